package trust

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
)

const (
	oidDeviationList        = "2.23.136.1.1.7" // id-icao-DeviationList (Doc 9303-12, 10.2)
	oidDeviationListSigning = "2.23.136.1.1.8" // id-icao-DeviationListSigningKey

	// The Italian list of 2018 has two deviations, with 346,275 document numbers.
	maxDeviations   = 4096
	maxDescriptions = 32
)

// DeviationType is a kind of deviation (Doc 9303-12, 10.2): an object identifier.
type DeviationType string

// The deviations of Doc 9303-12, 10.2.
const (
	DeviationDSSignature        DeviationType = oidDeviationList + ".1.1"
	DeviationDSEncoding         DeviationType = oidDeviationList + ".1.2"
	DeviationCSCAEncoding       DeviationType = oidDeviationList + ".1.3"
	DeviationAAKeyCompromised   DeviationType = oidDeviationList + ".1.4"
	DeviationDataGroupMalformed DeviationType = oidDeviationList + ".2.1" // DataGroup
	DeviationDataGroupHashWrong DeviationType = oidDeviationList + ".2.2" // DataGroup
	DeviationSODSignatureWrong  DeviationType = oidDeviationList + ".2.3"
	DeviationCOMInconsistent    DeviationType = oidDeviationList + ".2.4"
	DeviationMRZWrongData       DeviationType = oidDeviationList + ".3.1"
	DeviationMRZWrongCheckDigit DeviationType = oidDeviationList + ".3.2"
	DeviationChip               DeviationType = oidDeviationList + ".4"
	DeviationNationalUse        DeviationType = oidDeviationList + ".5"
)

// Deviation is one way in which documents depart from the standard.
type Deviation struct {
	Type        DeviationType
	DataGroup   int    // 1 to 16, 20 for EF.SOD, 21 for EF.COM; 0 when it does not apply
	Description string // for a person to read
	Parameters  []byte // DER as read, nil when absent
}

// DeviatingDocuments is a range of documents and what is wrong with them. All
// criteria that are given apply together (Doc 9303-12, 10).
type DeviatingDocuments struct {
	DocumentType string // as in the machine readable zone; "" for any

	// The document signer: one of these three, or none for any.
	Issuer            cms.Name
	SerialNumber      []byte
	SubjectKeyID      []byte
	CertificateDigest []byte

	FirstIssued, LastIssued time.Time // zero for any

	HasNumbers bool // a list of document numbers is given; see [DeviationList.Match]
	Deviations []Deviation

	numbers cryptobyte.String
	hash    crypto.Hash
}

// DeviationList is the deviation list of a state (Doc 9303-12, 10): documents
// that it issued and that do not conform. Reading it does not verify it: see
// [Pool.AddDeviationList].
type DeviationList struct {
	SignedData *cms.SignedData
	Documents  []DeviatingDocuments

	// Source and Signed are set by [Pool.AddDeviationList].
	Source string
	Signed time.Time
}

var errDeviationList = errors.New("trust: malformed deviation list")

// ParseDeviationList reads a deviation list. It shares memory with der.
func ParseDeviationList(der []byte) (*DeviationList, error) {
	sd, err := cms.ParseSignedData(der)
	if err != nil {
		return nil, fmt.Errorf("trust: deviation list: %w", err)
	}
	return parseDeviationList(sd)
}

func parseDeviationList(sd *cms.SignedData) (*DeviationList, error) {
	if sd.ContentType != oidDeviationList {
		return nil, errors.New("trust: not a deviation list")
	}
	l := &DeviationList{SignedData: sd}
	content := cryptobyte.String(sd.Content)
	var body, set cryptobyte.String
	var version int
	if !content.ReadASN1(&body, asn1.SEQUENCE) || !content.Empty() || !body.ReadASN1Integer(&version) {
		return nil, errDeviationList
	}
	if version != 0 {
		return nil, fmt.Errorf("trust: deviation list version %d", version)
	}
	var hash crypto.Hash
	if body.PeekASN1Tag(asn1.SEQUENCE) {
		var ok bool
		if hash, _, ok = cms.ReadDigestAlgorithm(&body); !ok {
			return nil, errDeviationList
		}
	}
	if !body.ReadASN1(&set, asn1.SET) || !body.Empty() {
		return nil, errDeviationList
	}
	for !set.Empty() {
		d := DeviatingDocuments{hash: hash}
		if len(l.Documents) == maxDeviations || !d.read(&set) {
			return nil, errDeviationList
		}
		l.Documents = append(l.Documents, d)
	}
	return l, nil
}

func (d *DeviatingDocuments) read(s *cryptobyte.String) bool {
	var body, documents, descriptions cryptobyte.String
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1(&documents, asn1.SEQUENCE) ||
		!body.ReadASN1(&descriptions, asn1.SET) || !body.Empty() {
		return false
	}
	if !readText(&documents, contextTag(0), &d.DocumentType) {
		return false
	}
	ok := true
	switch { // DocumentSignerIdentifier
	case documents.PeekASN1Tag(contextTag(1).Constructed()):
		ok = readIssuerAndSerial(&documents, contextTag(1).Constructed(), &d.Issuer, &d.SerialNumber)
	case documents.PeekASN1Tag(contextTag(2)):
		ok = readOctets(&documents, contextTag(2), &d.SubjectKeyID)
	case documents.PeekASN1Tag(contextTag(3)):
		ok = readOctets(&documents, contextTag(3), &d.CertificateDigest)
	}
	var period cryptobyte.String
	var present bool
	if !ok || !documents.ReadOptionalASN1(&period, &present, contextTag(4).Constructed()) {
		return false
	}
	// The Italian list writes fractions of a second, which the profile forbids.
	if present && (!readDay(&period, &d.FirstIssued) || !readDay(&period, &d.LastIssued) || !period.Empty()) {
		return false
	}
	if !documents.ReadOptionalASN1(&d.numbers, &d.HasNumbers, contextTag(5).Constructed()) || !documents.Empty() {
		return false
	}
	for numbers := d.numbers; !numbers.Empty(); {
		if !numbers.SkipASN1(asn1.PrintableString) {
			return false
		}
	}
	for !descriptions.Empty() {
		var v Deviation
		if len(d.Deviations) == maxDescriptions || !v.read(&descriptions) {
			return false
		}
		d.Deviations = append(d.Deviations, v)
	}
	return true
}

// readDay reads a GeneralizedTime and keeps the whole seconds.
func readDay(s *cryptobyte.String, t *time.Time) bool {
	var value cryptobyte.String
	if !s.ReadASN1(&value, asn1.GeneralizedTime) {
		return false
	}
	text, _, _ := strings.Cut(strings.TrimSuffix(string(value), "Z"), ".")
	var err error
	*t, err = time.Parse("20060102150405", text)
	return err == nil
}

func (v *Deviation) read(s *cryptobyte.String) bool {
	var body, parameters cryptobyte.String
	var present bool
	var oid string
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !readText(&body, asn1.PrintableString, &v.Description) || !cms.ReadOID(&body, &oid) ||
		!body.ReadOptionalASN1(&parameters, &present, contextTag(0).Constructed()) ||
		!body.SkipOptionalASN1(contextTag(1).Constructed()) || !body.Empty() { // nationalUse is nobody else's business
		return false
	}
	v.Type, v.Parameters = DeviationType(oid), parameters
	if v.Type == DeviationDataGroupMalformed || v.Type == DeviationDataGroupHashWrong {
		return parameters.ReadASN1Integer(&v.DataGroup) && parameters.Empty()
	}
	return true
}

// Document is what is known of a document when it is looked up in a
// [DeviationList]. A field that is zero is not known and excludes nothing.
type Document struct {
	Signer *cms.Certificate
	Type   string // document code of the machine readable zone, without fillers
	Number string // document number of the machine readable zone, without fillers
	Issued time.Time
}

// Match returns the deviations that may concern a document. It reads through the
// document numbers of the list, some three milliseconds for 350,000.
func (l *DeviationList) Match(doc Document) []Deviation {
	if l == nil {
		return nil
	}
	var found []Deviation
	for i := range l.Documents {
		if d := &l.Documents[i]; d.match(doc) {
			found = append(found, d.Deviations...)
		}
	}
	return found
}

func (d *DeviatingDocuments) match(doc Document) bool {
	if d.DocumentType != "" && doc.Type != "" && strings.TrimRight(d.DocumentType, "< ") != strings.TrimRight(doc.Type, "< ") {
		return false
	}
	if !doc.Issued.IsZero() && !d.FirstIssued.IsZero() && (doc.Issued.Before(d.FirstIssued) || doc.Issued.After(d.LastIssued)) {
		return false
	}
	if c := doc.Signer; c != nil {
		switch {
		case d.SerialNumber != nil && (!bytes.Equal(d.SerialNumber, c.SerialNumber) || !d.Issuer.Equal(c.Issuer)),
			d.SubjectKeyID != nil && !bytes.Equal(d.SubjectKeyID, c.SubjectKeyID),
			d.CertificateDigest != nil && !(&Defect{CertificateHash: d.CertificateDigest, hash: d.hash}).names(c):
			return false
		}
	}
	if !d.HasNumbers || doc.Number == "" {
		return true
	}
	numbers := d.numbers
	for !numbers.Empty() {
		var number cryptobyte.String
		if !numbers.ReadASN1(&number, asn1.PrintableString) {
			return false
		}
		if string(bytes.TrimRight(number, "< ")) == doc.Number {
			return true
		}
	}
	return false
}

// AddDeviationList puts the deviation list of a state into the pool if a
// deviation list signer signed it whom a CSCA of the pool issued, both valid at
// the given time. It speaks for that CSCA's documents alone; the newest is kept.
func (p *Pool) AddDeviationList(l *DeviationList, at time.Time, source string) error {
	if strings.TrimSpace(source) == "" {
		return ErrNoSource
	}
	err := error(ErrListSigner)
	for i := range l.SignedData.Signers {
		for _, signer := range l.SignedData.SignerCertificates(&l.SignedData.Signers[i]) {
			err = ErrNoIssuer
			for _, a := range p.findIssuers(signer.AuthorityKeyID, signer.Issuer) {
				var signed time.Time
				if _, signed, err = verifyList(l.SignedData, oidDeviationListSigning, a.Certificate, at); err != nil {
					continue
				}
				switch {
				case signer.SubjectCountry() != a.Certificate.SubjectCountry():
					err = ErrLinkCountry
					continue
				case p.revoked(signer, a.Certificate):
					return ErrListRevoked
				case a.family.deviations != nil && signed.Before(a.family.deviations.Signed):
					return ErrOldList
				}
				kept := *l
				kept.Source, kept.Signed = source, signed
				a.family.deviations = &kept
				return nil
			}
		}
	}
	return err
}

// DeviationList returns the newest deviation list of the CSCA of this anchor, or
// nil. It takes constant time, once the state was asked for.
func (p *Pool) DeviationList(a *Anchor) *DeviationList {
	if p == nil || a == nil || a.family == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.place(a.Certificate.SubjectCountry())
	return a.family.deviations
}
