package cms

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	encoding_asn1 "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of a certificate.
const (
	// MaxCertificate is the largest certificate read, in octets. The largest of
	// the German master list has 2299; RSA-8192 twice and long extensions stay
	// below 8 KiB.
	MaxCertificate = 16 << 10
	maxExtensions  = 64 // real ones have up to a dozen
	// maxDocumentTypes bounds the document types of a signer: there are a few dozen
	// codes in all.
	maxDocumentTypes = 64
)

// KeyUsage is the set of purposes in the key usage extension (RFC 5280,
// 4.2.1.3); bit n of the value is bit n of the standard.
type KeyUsage uint16

// The key usages that matter here.
const (
	KeyUsageDigitalSignature KeyUsage = 1 << 0
	KeyUsageCertSign         KeyUsage = 1 << 5
	KeyUsageCRLSign          KeyUsage = 1 << 6
)

// Certificate is an X.509 certificate. Its fields are what it says; nothing in
// it is verified by reading.
type Certificate struct {
	Raw    []byte // the whole certificate, DER
	RawTBS []byte // tbsCertificate: the octets that are signed

	RawIssuer, RawSubject []byte // names, DER
	Issuer, Subject       Name

	// SerialNumber is the INTEGER as read: big-endian two's complement, one octet
	// at least. One state uses a negative one, another zero: compare octets.
	SerialNumber []byte

	NotBefore, NotAfter time.Time // inclusive, UTC

	// PublicKey is nil when the certificate's key is of a kind that this package
	// does not support ([DevPublicKeyUnsupported]); PublicKeyError says why.
	PublicKey      *PublicKey
	PublicKeyError error

	SignatureAlgorithm SignatureAlgorithm
	Signature          []byte

	SubjectKeyID   []byte // nil when the extension is absent
	AuthorityKeyID []byte // keyIdentifier; nil when absent

	HasBasicConstraints bool
	IsCA                bool
	MaxPathLen          int // -1 when not given

	HasKeyUsage bool
	KeyUsage    KeyUsage // meaningful when HasKeyUsage

	ExtendedKeyUsage []string // object identifiers, nil when the extension is absent

	// DocumentTypes are the documents that the holder may sign: codes as at the
	// beginning of a machine readable zone, fillers removed, of which a single
	// letter stands for every code that begins with it (Doc 9303-12, 7.1.1.6).
	// HasDocumentTypes says that the extension is there; with it and no
	// DocumentTypes it could not be read ([DevDocumentTypesUnreadable]).
	HasDocumentTypes bool
	DocumentTypes    []string

	// UnknownCritical lists the critical extensions that were not interpreted.
	UnknownCritical []string

	Deviations []string
}

// ParseCertificate reads one DER certificate. The error names the field; it
// never holds data of the certificate.
func ParseCertificate(der []byte) (*Certificate, error) {
	if len(der) > MaxCertificate {
		return nil, fmt.Errorf("cms: certificate of %d octets is too large", len(der))
	}
	s := cryptobyte.String(der)
	c := &Certificate{MaxPathLen: -1}
	var raw, body, tbs, rawTBS cryptobyte.String
	var outer algorithmID
	if !s.ReadASN1Element(&raw, asn1.SEQUENCE) || !s.Empty() {
		return nil, errors.New("cms: malformed certificate")
	}
	c.Raw = raw
	if !raw.ReadASN1(&body, asn1.SEQUENCE) ||
		!body.ReadASN1Element(&rawTBS, asn1.SEQUENCE) ||
		!readAlgorithmID(&body, &outer) ||
		!body.ReadASN1BitStringAsBytes(&c.Signature) || !body.Empty() {
		return nil, errors.New("cms: malformed certificate")
	}
	c.RawTBS = rawTBS
	if !rawTBS.ReadASN1(&tbs, asn1.SEQUENCE) {
		return nil, errors.New("cms: malformed certificate")
	}
	inner, err := c.parseTBS(tbs)
	if err != nil {
		return nil, err
	}
	// RFC 5280, 4.1.1.2: both identifiers are the same; only the inner one is
	// signed, so it is the one that counts.
	c.SignatureAlgorithm = signatureAlgorithm(inner, &c.Deviations)
	if !bytes.Equal(inner.raw, outer.raw) {
		var ignored []string
		if signatureAlgorithm(outer, &ignored) != c.SignatureAlgorithm {
			return nil, errors.New("cms: inner and outer signature algorithm differ")
		}
		note(&c.Deviations, DevAlgorithmEncodingsDiffer)
	}
	return c, nil
}

// parseTBS reads TBSCertificate (RFC 5280, 4.1).
func (c *Certificate) parseTBS(tbs cryptobyte.String) (signature algorithmID, err error) {
	version := 0
	if !tbs.ReadOptionalASN1Integer(&version, explicit0, 0) || version < 0 || version > 2 {
		return signature, errors.New("cms: malformed certificate version")
	}
	if version != 2 {
		note(&c.Deviations, DevVersionNot3)
	}

	var serial cryptobyte.String
	if !tbs.ReadASN1(&serial, asn1.INTEGER) || serial.Empty() {
		return signature, errors.New("cms: malformed serial number")
	}
	c.SerialNumber = serial
	c.noteSerial()

	if !readAlgorithmID(&tbs, &signature) {
		return signature, errors.New("cms: malformed signature algorithm")
	}
	if !readName(&tbs, &c.Issuer) {
		return signature, errors.New("cms: malformed issuer")
	}
	var validity cryptobyte.String
	if !tbs.ReadASN1(&validity, asn1.SEQUENCE) || !c.readValidity(&validity, &c.NotBefore) || !c.readValidity(&validity, &c.NotAfter) || !validity.Empty() {
		return signature, errors.New("cms: malformed validity")
	}
	if c.NotAfter.Before(c.NotBefore) {
		note(&c.Deviations, DevValidityReversed)
	}
	if !readName(&tbs, &c.Subject) {
		return signature, errors.New("cms: malformed subject")
	}
	c.RawIssuer, c.RawSubject = c.Issuer.Raw, c.Subject.Raw
	if c.Issuer.Country() == "" || c.Subject.Country() == "" {
		note(&c.Deviations, DevCountryMissing)
	}
	if !c.Issuer.countryConforms() || !c.Subject.countryConforms() {
		note(&c.Deviations, DevCountryEncoding)
	}

	var spki cryptobyte.String
	if !tbs.ReadASN1Element(&spki, asn1.SEQUENCE) {
		return signature, errors.New("cms: malformed public key info")
	}
	switch c.PublicKey, err = ParsePublicKey(spki); {
	case errors.Is(err, ErrUnsupported):
		c.PublicKeyError = err
		note(&c.Deviations, DevPublicKeyUnsupported)
	case err != nil:
		return signature, err
	default:
		for _, d := range c.PublicKey.Deviations {
			note(&c.Deviations, d)
		}
	}

	for _, tag := range []asn1.Tag{implicit1, implicit2} {
		var id cryptobyte.String
		var present bool
		if !tbs.ReadOptionalASN1(&id, &present, tag) {
			return signature, errors.New("cms: malformed unique identifier")
		}
		if present {
			note(&c.Deviations, DevUniqueID)
		}
	}
	var extensions cryptobyte.String
	var present bool
	if !tbs.ReadOptionalASN1(&extensions, &present, explicit3) || !tbs.Empty() {
		return signature, errors.New("cms: malformed certificate extensions")
	}
	if present {
		return signature, c.parseExtensions(extensions)
	}
	return signature, nil
}

func (c *Certificate) noteSerial() {
	n := c.SerialNumber
	switch {
	case n[0] >= 0x80:
		note(&c.Deviations, DevSerialNegative)
	case len(bytes.Trim(n, "\x00")) == 0:
		note(&c.Deviations, DevSerialZero)
	}
	if len(n) > 20 { // RFC 5280, 4.1.2.2
		note(&c.Deviations, DevSerialTooLong)
	}
	if len(n) > 1 && (n[0] == 0 && n[1] < 0x80 || n[0] == 0xff && n[1] >= 0x80) {
		note(&c.Deviations, DevSerialNotMinimal)
	}
}

// readValidity reads one end of the validity, which is a UTCTime from 1950 to 2049 and
// a GeneralizedTime from then on (RFC 5280, 4.1.2.5; Doc 9303-12, 7.1, table 6).
func (c *Certificate) readValidity(s *cryptobyte.String, t *time.Time) bool {
	general := s.PeekASN1Tag(asn1.GeneralizedTime)
	if !readTime(s, t) {
		return false
	}
	if y := t.Year(); general && y >= 1950 && y < 2050 {
		note(&c.Deviations, DevTimeEncoding)
	}
	return true
}

// readTime reads Time (RFC 5280, 4.1.2.5): UTCTime or GeneralizedTime.
func readTime(s *cryptobyte.String, t *time.Time) bool {
	ok := false
	if s.PeekASN1Tag(asn1.UTCTime) {
		ok = s.ReadASN1UTCTime(t)
	} else {
		ok = s.ReadASN1GeneralizedTime(t)
	}
	*t = t.UTC()
	return ok
}

func (c *Certificate) parseExtensions(s cryptobyte.String) error {
	err := readExtensions(s, func(oid string, critical bool, value cryptobyte.String) (known bool, err error) {
		ok := true
		switch oid {
		case "2.5.29.14":
			ok = readKeyID(&value, &c.SubjectKeyID, asn1.OCTET_STRING) && value.Empty()
		case "2.5.29.15":
			ok = c.readKeyUsage(value)
			if !critical {
				note(&c.Deviations, DevKeyUsageNotCrit)
			}
		case "2.5.29.19":
			ok = c.readBasicConstraints(value)
			if c.IsCA && !critical {
				note(&c.Deviations, DevBasicConstraintsNotCrit)
			}
		case "2.5.29.35":
			ok = readAuthorityKeyID(value, &c.AuthorityKeyID)
		case "2.5.29.37":
			ok = c.readExtendedKeyUsage(value)
		case "2.23.136.1.1.6.2":
			// Doc 9303-12 makes it not critical, and states have been seen to encode it
			// in their own ways: a reader that refused those would lose the document.
			c.HasDocumentTypes = true
			if !c.readDocumentTypes(value) {
				c.DocumentTypes = nil
				note(&c.Deviations, DevDocumentTypesUnreadable)
				if critical {
					c.UnknownCritical = append(c.UnknownCritical, oid)
				}
			}
			if critical {
				note(&c.Deviations, DevDocumentTypesCritical)
			}
		case "2.5.29.16": // private key usage period: binds the issuer, not a verifier (Doc 9303-12, 7.1.1)
		default:
			if critical {
				c.UnknownCritical = append(c.UnknownCritical, oid)
			}
			return false, nil
		}
		if !ok {
			return false, fmt.Errorf("cms: malformed certificate extension %s", oid)
		}
		return true, nil
	})
	if errors.Is(err, ErrUnsupported) { // it is in UnknownCritical, for the caller to judge
		return nil
	}
	return err
}

// readKeyID reads a key identifier: octets to be compared, at least one. States
// use 8, 20 and 32.
func readKeyID(s *cryptobyte.String, id *[]byte, tag asn1.Tag) bool {
	var value cryptobyte.String
	if !s.ReadASN1(&value, tag) || value.Empty() {
		return false
	}
	*id = value
	return true
}

// readAuthorityKeyID reads the keyIdentifier of RFC 5280, 4.2.1.1.
func readAuthorityKeyID(value cryptobyte.String, id *[]byte) bool {
	var body cryptobyte.String
	if !value.ReadASN1(&body, asn1.SEQUENCE) || !value.Empty() {
		return false
	}
	if body.PeekASN1Tag(implicit0) && !readKeyID(&body, id, implicit0) {
		return false
	}
	// The issuer's name and serial number may follow. They name the certificate
	// of the issuer, not its key, and are not used (Doc 9303-12, 7.1.1).
	return body.SkipOptionalASN1(explicit1) && body.SkipOptionalASN1(implicit2) && body.Empty()
}

func (c *Certificate) readKeyUsage(value cryptobyte.String) bool {
	var bits encoding_asn1.BitString
	if !value.ReadASN1BitString(&bits) || !value.Empty() {
		return false
	}
	c.HasKeyUsage = true
	for i := range 9 {
		if bits.At(i) != 0 {
			c.KeyUsage |= 1 << i
		}
	}
	if c.KeyUsage == 0 {
		note(&c.Deviations, DevKeyUsageEmpty)
	}
	return true
}

// readBasicConstraints reads RFC 5280, 4.2.1.9, as it is met: empty, with the
// default FALSE written out, with TRUE as 01, with a path length but no cA.
func (c *Certificate) readBasicConstraints(value cryptobyte.String) bool {
	var body cryptobyte.String
	if !value.ReadASN1(&body, asn1.SEQUENCE) || !value.Empty() {
		return false
	}
	c.HasBasicConstraints = true
	if body.PeekASN1Tag(asn1.BOOLEAN) {
		var der bool
		if !readBoolean(&body, &c.IsCA, &der) {
			return false
		}
		if !der || !c.IsCA {
			note(&c.Deviations, DevBasicConstraintsEncoding)
		}
	}
	if body.PeekASN1Tag(asn1.INTEGER) {
		if !body.ReadASN1Integer(&c.MaxPathLen) || c.MaxPathLen < 0 {
			return false
		}
		if !c.IsCA {
			note(&c.Deviations, DevPathLenWithoutCA)
		}
	}
	return body.Empty()
}

func (c *Certificate) readExtendedKeyUsage(value cryptobyte.String) bool {
	var body cryptobyte.String
	if !value.ReadASN1(&body, asn1.SEQUENCE) || !value.Empty() || body.Empty() {
		return false
	}
	for !body.Empty() {
		var oid string
		if !readOID(&body, &oid) || len(c.ExtendedKeyUsage) == maxExtensions {
			return false
		}
		c.ExtendedKeyUsage = append(c.ExtendedKeyUsage, oid)
	}
	return true
}

// readDocumentTypes reads DocumentTypeListSyntax (Doc 9303-12, 7.1.1.6). Moldova
// puts every type into a SET of its own; other string types than PrintableString
// and a filler behind a single letter are read too. A list of nothing is as good
// as unreadable: nobody certifies a key for no document.
func (c *Certificate) readDocumentTypes(value cryptobyte.String) bool {
	var body cryptobyte.String
	var version int
	if !value.ReadASN1(&body, asn1.SEQUENCE) || !value.Empty() || !body.ReadASN1Integer(&version) || version != 0 {
		return false
	}
	conforms := true
	for n := 0; n == 0 || !body.Empty(); n++ {
		var set cryptobyte.String
		if !body.ReadASN1(&set, asn1.SET) {
			return false
		}
		conforms = conforms && n == 0
		for !set.Empty() {
			var code cryptobyte.String
			var tag asn1.Tag
			if len(c.DocumentTypes) == maxDocumentTypes || !set.ReadAnyASN1(&code, &tag) {
				return false
			}
			text := strings.TrimRight(string(code), "<")
			switch tag {
			case asn1.PrintableString:
				conforms = conforms && len(text) == len(code)
			case asn1.UTF8String, asn1.IA5String:
				conforms = false
			default:
				return false
			}
			if len(text) < 1 || len(code) > 2 || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
				return false
			}
			c.DocumentTypes = append(c.DocumentTypes, text)
		}
	}
	if !conforms {
		note(&c.Deviations, DevDocumentTypesEncoding)
	}
	return c.DocumentTypes != nil
}

// CheckSignatureBy reports whether issuer's key signed the certificate: nil,
// [ErrSignature], or an error that wraps [ErrUnsupported]. Names, validity and
// extensions are the caller's to judge.
func (c *Certificate) CheckSignatureBy(issuer *PublicKey) error {
	return issuer.Verify(c.SignatureAlgorithm, c.RawTBS, c.Signature)
}

// SelfIssued reports whether subject and issuer are the same name. That does not
// make it self-signed: more than half of the 213 link certificates of the German
// master list are self-issued. Only the key tells: see [Certificate.SelfSigned].
func (c *Certificate) SelfIssued() bool { return c.Subject.Equal(c.Issuer) }

// SelfSigned reports whether the certificate is signed by its own key.
func (c *Certificate) SelfSigned() bool {
	return c.CheckSignatureBy(c.PublicKey) == nil
}

// ValidAt reports whether t lies in the certificate's validity, both ends
// included.
func (c *Certificate) ValidAt(t time.Time) bool {
	return !t.Before(c.NotBefore) && !t.After(c.NotAfter)
}

// IssuerCountry returns the country of the issuer in upper case, or "".
func (c *Certificate) IssuerCountry() string { return c.Issuer.Country() }

// SubjectCountry returns the country of the subject in upper case, or "".
func (c *Certificate) SubjectCountry() string { return c.Subject.Country() }
