package trust

import (
	"bufio"
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/chamthe/chamthe/icao/cms"
)

// Format is the dress in which trust material comes.
type Format uint8

// The formats. The zero value is none of them.
const (
	FormatUnknown Format = iota
	FormatDER            // one certificate, revocation list or signed list; PKCS #7 (.p7b) and master lists (.ml) are DER, or BER
	FormatPEM            // RFC 7468: any number of the above
	FormatLDIF           // RFC 2849, as the ICAO PKD hands it out
)

// String returns "DER", "PEM", "LDIF" or "unknown".
func (f Format) String() string {
	switch f {
	case FormatDER:
		return "DER"
	case FormatPEM:
		return "PEM"
	case FormatLDIF:
		return "LDIF"
	}
	return "unknown"
}

// Kind is what a piece of trust material is.
type Kind uint8

// The kinds. The zero value is none of them.
const (
	KindUnknown Kind = iota
	KindCertificate
	KindCRL
	KindMasterList
	KindDefectList
	KindDeviationList
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case KindCertificate:
		return "certificate"
	case KindCRL:
		return "revocation list"
	case KindMasterList:
		return "master list"
	case KindDefectList:
		return "defect list"
	case KindDeviationList:
		return "deviation list"
	}
	return "unknown"
}

// Item is one piece of trust material as it was found. Exactly one of the
// pointers is set, that of Kind; or none, and Err says why. Nothing in it is
// verified: that is [Pool.Import].
type Item struct {
	Kind  Kind
	Where string // in its file: "PEM block 2", the name of an LDIF record; "" for a file that is one piece

	Certificate   *cms.Certificate
	CRL           *cms.CRL
	MasterList    *MasterList
	DefectList    *DefectList
	DeviationList *DeviationList

	Err error
}

// Limits of files.
const (
	// maxFile bounds a file that is read as a whole, DER or PEM. The master list of
	// the ICAO has one megabyte.
	maxFile = 16 << 20
	// detectSize is how much of a file Detect is shown: a PEM file may begin with
	// a certificate in words.
	detectSize = 32 << 10
)

// Errors of [Items].
var (
	// ErrFormat reports a file that is neither DER nor PEM nor LDIF.
	ErrFormat = errors.New("trust: not a file of certificates or lists")
	// ErrTooLarge reports a file, or a value in it, above the limits.
	ErrTooLarge = errors.New("trust: file is too large")

	errKind = errors.New("trust: neither certificate nor list")
)

// Detect says what format a file has that begins with these bytes. It only
// looks at the beginning.
func Detect(head []byte) Format {
	if len(head) > 0 && head[0] == 0x30 { // SEQUENCE; in text, a digit
		return FormatDER
	}
	if bytes.Contains(head, []byte("-----BEGIN ")) {
		return FormatPEM
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, utf8BOM), "\r\n")
	for bytes.HasPrefix(text, []byte("#")) { // a comment, with its continuations
		_, text, _ = bytes.Cut(text, []byte("\n"))
		for bytes.HasPrefix(text, []byte(" ")) {
			_, text, _ = bytes.Cut(text, []byte("\n"))
		}
		text = bytes.TrimLeft(text, "\r\n")
	}
	for _, first := range []string{"version:", "dn:"} {
		if len(text) >= len(first) && strings.EqualFold(string(text[:len(first)]), first) {
			return FormatLDIF
		}
	}
	return FormatUnknown
}

var utf8BOM = []byte("\xef\xbb\xbf")

// Items reads a file of trust material of any format: a certificate, a
// revocation list, a master, defect or deviation list, a PKCS #7 bundle, PEM
// with any of these, or LDIF of the ICAO PKD. A piece that cannot be read is an
// item with Err; the error beside the item ends the file. LDIF is read as a
// stream, one value in memory at a time, so that a collection of a hundred
// megabytes costs what its largest master list does.
//
// The items share no memory with what r yields.
func Items(r io.Reader) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		br := bufio.NewReaderSize(r, detectSize)
		head, err := br.Peek(detectSize)
		if err != nil && err != io.EOF {
			yield(Item{}, err)
			return
		}
		format := Detect(head)
		switch format {
		case FormatUnknown:
			yield(Item{}, ErrFormat)
			return
		case FormatLDIF:
			readLDIF(br, yield)
			return
		}
		b, err := io.ReadAll(io.LimitReader(br, maxFile+1))
		if err == nil && len(b) > maxFile {
			err = ErrTooLarge
		}
		if err != nil {
			yield(Item{}, err)
			return
		}
		if format == FormatDER {
			derItems(b, "", yield)
			return
		}
		readPEM(b, yield)
	}
}

func readPEM(b []byte, yield func(Item, error) bool) {
	n := 0
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		n++
		where := fmt.Sprintf("PEM block %d", n)
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE", "X509 CRL", "PKCS7", "CMS": // RFC 7468
			if !derItems(block.Bytes, where, yield) {
				return
			}
		default: // a private key, say, which is nobody's business here
			if !yield(Item{Where: where, Err: errKind}, nil) {
				return
			}
		}
	}
	if n == 0 {
		yield(Item{}, fmt.Errorf("trust: PEM without a readable block: %w", ErrFormat))
	}
}

// derItems yields what one piece of DER holds: itself, or what is in it when it
// is a bundle. It reports whether to go on.
func derItems(der []byte, where string, yield func(Item, error) bool) bool {
	if cms.Sniff(der) == cms.KindSignedData {
		bundle, err := cms.ParseBundle(der)
		if err == nil {
			return bundleItems(bundle, where, yield)
		}
		if !errors.Is(err, cms.ErrNotBundle) {
			return yield(Item{Where: where, Err: err}, nil)
		}
	}
	return yield(derItem(der, where), nil)
}

func bundleItems(bundle *cms.Bundle, where string, yield func(Item, error) bool) bool {
	if where != "" {
		where += ", "
	}
	n := 0
	for _, der := range slices.Concat(bundle.Certificates, bundle.CRLs) {
		n++
		if !yield(derItem(der, fmt.Sprintf("%selement %d", where, n)), nil) {
			return false
		}
	}
	for range bundle.Unreadable {
		if !yield(Item{Where: where + "another element", Err: errKind}, nil) {
			return false
		}
	}
	return true
}

// derItem reads one piece.
func derItem(der []byte, where string) Item {
	item := Item{Where: where}
	switch cms.Sniff(der) {
	case cms.KindCertificate:
		item.Kind = KindCertificate
		item.Certificate, item.Err = cms.ParseCertificate(der)
	case cms.KindCRL:
		item.Kind = KindCRL
		item.CRL, item.Err = cms.ParseCRL(der)
	case cms.KindSignedData:
		var sd *cms.SignedData
		if sd, item.Err = cms.ParseSignedData(der); item.Err != nil {
			return item
		}
		switch sd.ContentType {
		case oidMasterList:
			item.Kind = KindMasterList
			item.MasterList, item.Err = parseMasterList(sd)
		case oidDefectList:
			item.Kind = KindDefectList
			item.DefectList, item.Err = parseDefectList(sd)
		case oidDeviationList:
			item.Kind = KindDeviationList
			item.DeviationList, item.Err = parseDeviationList(sd)
		default:
			item.Err = errKind
		}
	default:
		item.Err = errKind
	}
	return item
}
