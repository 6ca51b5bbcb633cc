package cms

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of a revocation list.
const (
	// MaxCRL is the largest revocation list read, in octets. A state has a few
	// hundred document signers; its list has one to a hundred kilobytes.
	MaxCRL = 4 << 20
	// maxRevoked bounds the entries. An entry has some 35 octets, of which a map
	// makes three times as many.
	maxRevoked = 1 << 16
	// maxAltNames bounds the former names of a CSCA.
	maxAltNames = 16
)

// Kinds of revocation list that are refused: each speaks of other certificates
// than all that its signer issued, so that a certificate missing from it is not
// thereby in order.
var (
	// ErrDeltaCRL reports a list of changes to another list (RFC 5280, 5.2.4).
	ErrDeltaCRL = errors.New("cms: delta revocation list")
	// ErrIndirectCRL reports a list with certificates of other issuers (RFC 5280,
	// 5.2.5 and 5.3.3).
	ErrIndirectCRL = errors.New("cms: indirect revocation list")
	// ErrPartialCRL reports a list for a part of the certificates or for some
	// reasons only (RFC 5280, 5.2.5). Doc 9303-12, 4.1.5 has no such lists.
	ErrPartialCRL = errors.New("cms: partial revocation list")
)

// RevocationReason says why a certificate was revoked (RFC 5280, 5.3.1). The zero
// value is "unspecified", which is also what is left out: Doc 9303-12, 7.1.4 has
// no reason codes. No reason makes a revoked certificate a good one.
type RevocationReason uint8

// The reasons.
const (
	ReasonUnspecified          RevocationReason = 0
	ReasonKeyCompromise        RevocationReason = 1
	ReasonCACompromise         RevocationReason = 2
	ReasonAffiliationChanged   RevocationReason = 3
	ReasonSuperseded           RevocationReason = 4
	ReasonCessationOfOperation RevocationReason = 5
	ReasonCertificateHold      RevocationReason = 6
	ReasonRemoveFromCRL        RevocationReason = 8
	ReasonPrivilegeWithdrawn   RevocationReason = 9
	ReasonAACompromise         RevocationReason = 10
)

var reasonNames = [...]string{
	"unspecified", "key_compromise", "ca_compromise", "affiliation_changed", "superseded", "cessation_of_operation",
	"certificate_hold", "", "remove_from_crl", "privilege_withdrawn", "aa_compromise",
}

// String returns the reason's name in lower case, with underscores.
func (r RevocationReason) String() string {
	if int(r) < len(reasonNames) && reasonNames[r] != "" {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason_%d", uint8(r))
}

// Revocation is one entry of a revocation list.
type Revocation struct {
	Time   time.Time // when the certificate was revoked
	Reason RevocationReason
}

// CRL is a certificate revocation list (RFC 5280, 5; profile of Doc 9303-12,
// 7.1.4). Its fields are what it says; nothing in it is verified by reading.
type CRL struct {
	Raw    []byte // the whole list, DER
	RawTBS []byte // tbsCertList: the octets that are signed

	Issuer Name
	// AltNames are the further names of the issuer, from the issuer alternative
	// name: former names of a CSCA that has changed its own (Doc 9303-12, 7.1.4,
	// note 1).
	AltNames []Name

	ThisUpdate time.Time // UTC
	NextUpdate time.Time // UTC; zero when absent ([DevCRLNextUpdateMissing])

	AuthorityKeyID []byte // keyIdentifier; nil when absent
	Number         []byte // cRLNumber, content of the INTEGER; nil when absent

	SignatureAlgorithm SignatureAlgorithm
	Signature          []byte

	Deviations []string

	revoked map[string]Revocation // by serial number, content of the INTEGER
}

// ParseCRL reads one DER revocation list. The error names the field; it is or
// wraps [ErrDeltaCRL], [ErrIndirectCRL] or [ErrPartialCRL] for a list that
// covers less or other certificates than all of its issuer, and
// [ErrUnsupported] for one with a critical extension that is not understood.
func ParseCRL(der []byte) (*CRL, error) {
	if len(der) > MaxCRL {
		return nil, fmt.Errorf("cms: revocation list of %d octets is too large", len(der))
	}
	s := cryptobyte.String(der)
	c := new(CRL)
	var raw, body, tbs, rawTBS cryptobyte.String
	var outer algorithmID
	if !s.ReadASN1Element(&raw, asn1.SEQUENCE) || !s.Empty() {
		return nil, errors.New("cms: malformed revocation list")
	}
	c.Raw = raw
	if !raw.ReadASN1(&body, asn1.SEQUENCE) ||
		!body.ReadASN1Element(&rawTBS, asn1.SEQUENCE) ||
		!readAlgorithmID(&body, &outer) ||
		!body.ReadASN1BitStringAsBytes(&c.Signature) || !body.Empty() {
		return nil, errors.New("cms: malformed revocation list")
	}
	c.RawTBS = rawTBS
	if !rawTBS.ReadASN1(&tbs, asn1.SEQUENCE) {
		return nil, errors.New("cms: malformed revocation list")
	}
	inner, err := c.parseTBS(tbs)
	if err != nil {
		return nil, err
	}
	// RFC 5280, 5.1.1.2: as for certificates, the signed identifier counts.
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

// parseTBS reads TBSCertList (RFC 5280, 5.1.2).
func (c *CRL) parseTBS(tbs cryptobyte.String) (signature algorithmID, err error) {
	version := 0
	if tbs.PeekASN1Tag(asn1.INTEGER) && (!tbs.ReadASN1Integer(&version) || version != 1) {
		return signature, errors.New("cms: malformed revocation list version")
	}
	if version == 0 {
		note(&c.Deviations, DevCRLVersionNot2)
	}
	if !readAlgorithmID(&tbs, &signature) {
		return signature, errors.New("cms: malformed signature algorithm")
	}
	if !readName(&tbs, &c.Issuer) {
		return signature, errors.New("cms: malformed issuer")
	}
	if !readTime(&tbs, &c.ThisUpdate) {
		return signature, errors.New("cms: malformed time of revocation list")
	}
	if tbs.PeekASN1Tag(asn1.UTCTime) || tbs.PeekASN1Tag(asn1.GeneralizedTime) {
		if !readTime(&tbs, &c.NextUpdate) {
			return signature, errors.New("cms: malformed time of revocation list")
		}
	} else {
		note(&c.Deviations, DevCRLNextUpdateMissing)
	}
	if !c.NextUpdate.IsZero() && c.NextUpdate.Before(c.ThisUpdate) {
		note(&c.Deviations, DevValidityReversed)
	}
	if tbs.PeekASN1Tag(asn1.SEQUENCE) {
		var list cryptobyte.String
		if !tbs.ReadASN1(&list, asn1.SEQUENCE) {
			return signature, errors.New("cms: malformed revoked certificates")
		}
		if err := c.readRevoked(list); err != nil {
			return signature, err
		}
	}
	var extensions cryptobyte.String
	var present bool
	if !tbs.ReadOptionalASN1(&extensions, &present, explicit0) || !tbs.Empty() {
		return signature, errors.New("cms: malformed revocation list extensions")
	}
	if !present {
		return signature, nil
	}
	return signature, readExtensions(extensions, c.readExtension)
}

func (c *CRL) readRevoked(list cryptobyte.String) error {
	if list.Empty() {
		note(&c.Deviations, DevCRLEmptyList)
	}
	c.revoked = make(map[string]Revocation)
	for !list.Empty() {
		var entry, serial cryptobyte.String
		var r Revocation
		if len(c.revoked) == maxRevoked {
			return errors.New("cms: too many revoked certificates")
		}
		if !list.ReadASN1(&entry, asn1.SEQUENCE) || !entry.ReadASN1(&serial, asn1.INTEGER) || serial.Empty() || !readTime(&entry, &r.Time) {
			return errors.New("cms: malformed revoked certificate")
		}
		if !entry.Empty() {
			err := readExtensions(entry, func(oid string, _ bool, value cryptobyte.String) (known bool, err error) {
				switch oid {
				case "2.5.29.21":
					note(&c.Deviations, DevCRLReasonCode)
					if !readReason(value, &r.Reason) {
						return false, errors.New("cms: malformed revocation reason")
					}
					return true, nil
				case "2.5.29.29": // certificateIssuer
					return false, ErrIndirectCRL
				}
				return false, nil
			})
			// An entry that is not understood in all is still a revocation, which is
			// the answer that does no harm: RFC 5280, 5.3.
			if err != nil && !errors.Is(err, ErrUnsupported) {
				return err
			}
		}
		if _, twice := c.revoked[string(serial)]; twice {
			note(&c.Deviations, DevCRLEntryTwice)
			continue
		}
		c.revoked[string(serial)] = r
	}
	return nil
}

func readReason(value cryptobyte.String, reason *RevocationReason) bool {
	var n int
	if !value.ReadASN1Enum(&n) || !value.Empty() || n < 0 || n > 255 {
		return false
	}
	*reason = RevocationReason(n)
	return true
}

// readExtension reads one extension of the list (Doc 9303-12, table 10).
func (c *CRL) readExtension(oid string, _ bool, value cryptobyte.String) (known bool, err error) {
	ok := true
	switch oid {
	case "2.5.29.35":
		ok = readAuthorityKeyID(value, &c.AuthorityKeyID)
	case "2.5.29.20":
		var n cryptobyte.String
		ok = value.ReadASN1(&n, asn1.INTEGER) && !n.Empty() && value.Empty()
		c.Number = n
	case "2.5.29.18":
		ok = c.readAltNames(value)
	case "2.5.29.27":
		return false, ErrDeltaCRL
	case "2.5.29.28":
		return true, c.readDistributionPoint(value)
	case "2.5.29.46": // freshestCRL: where delta lists are to be had
	default:
		return false, nil
	}
	if !ok {
		return false, fmt.Errorf("cms: malformed revocation list extension %s", oid)
	}
	return true, nil
}

// readAltNames keeps the directory names of GeneralNames (RFC 5280, 4.2.1.6).
func (c *CRL) readAltNames(value cryptobyte.String) bool {
	var names cryptobyte.String
	if !value.ReadASN1(&names, asn1.SEQUENCE) || !value.Empty() {
		return false
	}
	directoryName := asn1.Tag(4).ContextSpecific().Constructed()
	for n := 0; !names.Empty(); n++ {
		var element cryptobyte.String
		var tag asn1.Tag
		if n == maxAltNames || !names.ReadAnyASN1(&element, &tag) {
			return false
		}
		if tag != directoryName {
			continue
		}
		var name Name
		if !readName(&element, &name) || !element.Empty() {
			return false
		}
		c.AltNames = append(c.AltNames, name)
	}
	return true
}

// readDistributionPoint reads IssuingDistributionPoint (RFC 5280, 5.2.5). Of all
// restrictions, that to end entities alone leaves every document signer in.
func (c *CRL) readDistributionPoint(value cryptobyte.String) error {
	note(&c.Deviations, DevCRLDistributionPoint)
	malformed := errors.New("cms: malformed issuing distribution point")
	var body cryptobyte.String
	if !value.ReadASN1(&body, asn1.SEQUENCE) || !value.Empty() {
		return malformed
	}
	partial, indirect := false, false
	for !body.Empty() {
		var content cryptobyte.String
		var tag asn1.Tag
		if !body.ReadAnyASN1(&content, &tag) {
			return malformed
		}
		set := !bytes.Equal(content, []byte{0})
		switch tag {
		case implicit1: // onlyContainsUserCerts
		case asn1.Tag(4).ContextSpecific(): // indirectCRL
			indirect = indirect || set
		case implicit2, asn1.Tag(5).ContextSpecific(): // onlyContainsCACerts, onlyContainsAttributeCerts
			partial = partial || set
		default: // distributionPoint, onlySomeReasons
			partial = true
		}
	}
	switch {
	case indirect:
		return ErrIndirectCRL
	case partial:
		return ErrPartialCRL
	}
	return nil
}

// readExtensions reads Extensions and hands each to read, which says whether it
// knows it. It returns read's error, and one that wraps [ErrUnsupported] when a
// critical extension is not known, after having read them all.
func readExtensions(s cryptobyte.String, read func(oid string, critical bool, value cryptobyte.String) (known bool, err error)) error {
	var list cryptobyte.String
	if !s.ReadASN1(&list, asn1.SEQUENCE) || !s.Empty() {
		return errors.New("cms: malformed extensions")
	}
	var seen []string
	var unsupported error
	for !list.Empty() {
		var ext, value cryptobyte.String
		var oid string
		critical, der := false, true
		if !list.ReadASN1(&ext, asn1.SEQUENCE) || !readOID(&ext, &oid) ||
			ext.PeekASN1Tag(asn1.BOOLEAN) && !readBoolean(&ext, &critical, &der) ||
			!ext.ReadASN1(&value, asn1.OCTET_STRING) || !ext.Empty() {
			return errors.New("cms: malformed extension")
		}
		// RFC 5280, 4.2: one instance of each. Two would let two readers see two
		// different things.
		if slices.Contains(seen, oid) || len(seen) == maxExtensions {
			return errors.New("cms: repeated extension")
		}
		seen = append(seen, oid)
		known, err := read(oid, critical, value)
		if err != nil {
			return err
		}
		if critical && !known && unsupported == nil {
			unsupported = fmt.Errorf("cms: critical extension %s: %w", oid, ErrUnsupported)
		}
	}
	return unsupported
}

// Revoked returns the entry of the certificate with this serial number, given as
// the content of its INTEGER ([Certificate.SerialNumber]). Serial numbers are
// compared as octets.
func (c *CRL) Revoked(serial []byte) (Revocation, bool) {
	if c == nil {
		return Revocation{}, false
	}
	r, ok := c.revoked[string(serial)]
	return r, ok
}

// Len returns the number of revoked certificates.
func (c *CRL) Len() int { return len(c.revoked) }

// CheckSignatureBy reports whether issuer's key signed the list: nil,
// [ErrSignature], or an error that wraps [ErrUnsupported].
func (c *CRL) CheckSignatureBy(issuer *PublicKey) error {
	return issuer.Verify(c.SignatureAlgorithm, c.RawTBS, c.Signature)
}
