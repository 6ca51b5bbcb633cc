package cms

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// ErrNotBundle reports a SignedData that has content or signers.
var ErrNotBundle = errors.New("cms: not a certificate bundle")

// maxBundle bounds the certificates and the revocation lists of a bundle.
const maxBundle = 8192

const oidData = "1.2.840.113549.1.7.1"

// Bundle is a SignedData without content and signers, which carries certificates
// and revocation lists from one place to another: PKCS #7 "certs-only", files
// named .p7b or .p7c (RFC 2315, 9.1; RFC 5652, 5.1). Nobody has signed it: it
// vouches for nothing.
type Bundle struct {
	// Certificates and CRLs are the DER of each, in the order of the bundle, not
	// yet read.
	Certificates, CRLs [][]byte
	// Unreadable counts elements that are no X.509 certificate or revocation list.
	Unreadable int
	Deviations []string
}

// ParseBundle reads a ContentInfo with a bundle. The slices share memory with
// der. The error is [ErrNotBundle] when der is a SignedData of another kind.
func ParseBundle(der []byte) (*Bundle, error) {
	if len(der) > maxSize {
		return nil, fmt.Errorf("cms: bundle of %d octets is too large", len(der))
	}
	der, deviations, err := toDER(der)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Deviations: deviations}
	body, ok := readContentInfo(der, oidSignedData)
	if !ok {
		return nil, errors.New("cms: malformed content info")
	}
	var digests, encap, signers cryptobyte.String
	var version int
	var contentType string
	if !body.ReadASN1Integer(&version) || !body.ReadASN1(&digests, asn1.SET) ||
		!body.ReadASN1(&encap, asn1.SEQUENCE) || !readOID(&encap, &contentType) {
		return nil, errors.New("cms: malformed bundle")
	}
	if contentType != oidData || !encap.Empty() {
		return nil, ErrNotBundle
	}
	if !b.readSet(&body, explicit0, &b.Certificates) || !b.readSet(&body, explicit1, &b.CRLs) ||
		!body.ReadASN1(&signers, asn1.SET) || !body.Empty() {
		return nil, errors.New("cms: malformed bundle")
	}
	if !signers.Empty() {
		return nil, ErrNotBundle
	}
	return b, nil
}

func (b *Bundle) readSet(s *cryptobyte.String, tag asn1.Tag, to *[][]byte) bool {
	var set cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&set, &present, tag) {
		return false
	}
	for n := 0; !set.Empty(); n++ {
		var element cryptobyte.String
		var kind asn1.Tag
		if n == maxBundle || !set.ReadAnyASN1Element(&element, &kind) {
			return false
		}
		if kind != asn1.SEQUENCE {
			b.Unreadable++
			continue
		}
		*to = append(*to, element)
	}
	return true
}

// readContentInfo returns the content of a ContentInfo of the given type
// (RFC 5652, 3).
func readContentInfo(der []byte, contentType string) (body cryptobyte.String, ok bool) {
	s := cryptobyte.String(der)
	var info, explicit cryptobyte.String
	var oid string
	ok = s.ReadASN1(&info, asn1.SEQUENCE) && s.Empty() && readOID(&info, &oid) && oid == contentType &&
		info.ReadASN1(&explicit, explicit0) && info.Empty() && explicit.ReadASN1(&body, asn1.SEQUENCE) && explicit.Empty()
	return body, ok
}

// Kind is what a piece of DER seems to be.
type Kind uint8

// The kinds that [Sniff] tells apart. The zero value is none of them.
const (
	KindUnknown     Kind = iota
	KindCertificate      // X.509
	KindCRL              // X.509
	KindSignedData       // ContentInfo with SignedData
)

// Sniff looks at the first elements of der and says what it may be, so that the
// right parser can be asked. It costs next to nothing and proves nothing.
func Sniff(der []byte) Kind {
	s := cryptobyte.String(der)
	var outer header
	if !readHeader(&s, &outer) || outer.tag != asn1.SEQUENCE {
		return KindUnknown
	}
	var oid string
	if s.PeekASN1Tag(asn1.OBJECT_IDENTIFIER) {
		if readOID(&s, &oid) && oid == oidSignedData {
			return KindSignedData
		}
		return KindUnknown
	}
	var tbs header
	if !readHeader(&s, &tbs) || tbs.tag != asn1.SEQUENCE {
		return KindUnknown
	}
	// TBSCertificate begins with [0] version or the serial number, TBSCertList
	// with the version or an algorithm. Where both have INTEGER, SEQUENCE,
	// SEQUENCE, the next is a time in a revocation list and a SEQUENCE of two in
	// a certificate.
	if s.PeekASN1Tag(explicit0) {
		return KindCertificate
	}
	if !s.SkipOptionalASN1(asn1.INTEGER) || !s.SkipASN1(asn1.SEQUENCE) || !s.SkipASN1(asn1.SEQUENCE) {
		return KindUnknown
	}
	switch {
	case s.PeekASN1Tag(asn1.UTCTime), s.PeekASN1Tag(asn1.GeneralizedTime):
		return KindCRL
	case s.PeekASN1Tag(asn1.SEQUENCE):
		return KindCertificate
	}
	return KindUnknown
}
