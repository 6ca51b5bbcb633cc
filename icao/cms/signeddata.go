package cms

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of a SignedData.
const (
	// maxSize is the largest SignedData read, in octets: the German master list
	// of 2026 has 0.9 MB and grows by some ten per cent a year.
	maxSize = 8 << 20
	// maxCertificates bounds the certificates beside the content: a document has
	// one or none, a master list its signer and the way to the root.
	maxCertificates = 16
	// maxSigners: Doc 9303-10, 4.6.2 recommends one.
	maxSigners = 4
	// maxSignedAttributes: four are in use.
	maxSignedAttributes = 16
	maxDigestAlgorithms = 16
)

// Errors of [SignedData.Verify], besides [ErrSignature] and [ErrUnsupported].
var (
	// ErrDigest reports that the content is not the one that was signed: the
	// messageDigest attribute differs from its hash.
	ErrDigest = errors.New("cms: message digest differs from content")
	// ErrSignedAttributes reports that the signed attributes are missing,
	// repeated or name another content type (RFC 5652, 5.3 and 11).
	ErrSignedAttributes = errors.New("cms: invalid signed attributes")
)

const (
	oidSignedData    = "1.2.840.113549.1.7.2"
	oidContentType   = "1.2.840.113549.1.9.3"
	oidMessageDigest = "1.2.840.113549.1.9.4"
	oidSigningTime   = "1.2.840.113549.1.9.5"
)

// SignedData is a CMS SignedData (RFC 5652, 5.1) with its content.
type SignedData struct {
	Version     int
	ContentType string // object identifier of the content
	// Content is the signed content, nil when it is detached.
	Content      []byte
	Certificates []*Certificate // may be empty
	// Unreadable counts certificates that were passed over: malformed, or not
	// X.509.
	Unreadable int
	Signers    []SignerInfo
	Deviations []string
}

// SignerInfo is one signature (RFC 5652, 5.3).
type SignerInfo struct {
	Version int

	// The signer is named by Issuer and SerialNumber, or by SubjectKeyID.
	Issuer       Name
	SerialNumber []byte
	SubjectKeyID []byte

	DigestAlgorithm    crypto.Hash // zero when not supported
	SignatureAlgorithm SignatureAlgorithm
	Signature          []byte

	// SigningTime is what the signer says, zero when it says nothing.
	SigningTime time.Time

	contentType   string
	messageDigest []byte
	signedAttrs   []byte // SET OF Attribute as read, tag 31; nil when absent
	sortedAttrs   []byte // the same in the order of DER; nil when signedAttrs is sorted
}

// ParseSignedData reads a ContentInfo that holds a SignedData. BER with
// indefinite lengths is accepted and recorded: it is met in documents, although
// Doc 9303-10 asks for DER.
func ParseSignedData(der []byte) (*SignedData, error) {
	if len(der) > maxSize {
		return nil, fmt.Errorf("cms: signed data of %d octets is too large", len(der))
	}
	der, deviations, err := toDER(der)
	if err != nil {
		return nil, err
	}
	sd := &SignedData{Deviations: deviations}

	body, ok := readContentInfo(der, oidSignedData)
	if !ok {
		return nil, errors.New("cms: malformed content info")
	}
	var digests, encap, signers cryptobyte.String
	if !body.ReadASN1Integer(&sd.Version) {
		return nil, errors.New("cms: malformed signed data version")
	}
	if !body.ReadASN1(&digests, asn1.SET) {
		return nil, errors.New("cms: malformed digest algorithms")
	}
	if !body.ReadASN1(&encap, asn1.SEQUENCE) || !sd.readContent(encap) {
		return nil, errors.New("cms: malformed encapsulated content")
	}
	if err := sd.readCertificates(&body); err != nil {
		return nil, err
	}
	if !body.SkipOptionalASN1(explicit1) { // embedded CRLs are not used
		return nil, errors.New("cms: malformed revocation information")
	}
	if !body.ReadASN1(&signers, asn1.SET) || !body.Empty() {
		return nil, errors.New("cms: malformed signer infos")
	}
	for !signers.Empty() {
		if len(sd.Signers) == maxSigners {
			return nil, errors.New("cms: too many signers")
		}
		si, err := sd.readSignerInfo(&signers)
		if err != nil {
			return nil, err
		}
		sd.Signers = append(sd.Signers, si)
	}
	// Doc 9303-10, 4.6.2 and Doc 9303-12, 9.2: version 3 always, as the content is not id-data.
	if sd.Version != 3 {
		note(&sd.Deviations, DevSignedDataVersion)
	}
	if err := sd.checkDigests(digests); err != nil {
		return nil, err
	}
	return sd, nil
}

func (sd *SignedData) readContent(encap cryptobyte.String) bool {
	var explicit, content cryptobyte.String
	var present bool
	if !readOID(&encap, &sd.ContentType) || !encap.ReadOptionalASN1(&explicit, &present, explicit0) || !encap.Empty() {
		return false
	}
	if !present {
		return true
	}
	if !explicit.ReadASN1(&content, asn1.OCTET_STRING) || !explicit.Empty() {
		return false
	}
	sd.Content = content
	if sd.Content == nil {
		sd.Content = []byte{} // present and empty is not detached
	}
	return true
}

// readCertificates reads certificates [0] IMPLICIT SET OF CertificateChoices. A
// certificate that cannot be read is passed over: it may not be the signer's.
func (sd *SignedData) readCertificates(body *cryptobyte.String) error {
	var set cryptobyte.String
	var present bool
	if !body.ReadOptionalASN1(&set, &present, explicit0) {
		return errors.New("cms: malformed certificates")
	}
	for n := 0; !set.Empty(); n++ {
		var der cryptobyte.String
		var tag asn1.Tag
		if !set.ReadAnyASN1Element(&der, &tag) {
			return errors.New("cms: malformed certificates")
		}
		if n == maxCertificates {
			return errors.New("cms: too many certificates")
		}
		if tag != asn1.SEQUENCE {
			sd.Unreadable++
			note(&sd.Deviations, DevCertificateFormatOther)
			continue
		}
		c, err := ParseCertificate(der)
		if err != nil {
			sd.Unreadable++
			note(&sd.Deviations, DevCertificateUnreadable)
			continue
		}
		sd.Certificates = append(sd.Certificates, c)
	}
	return nil
}

func (sd *SignedData) readSignerInfo(s *cryptobyte.String) (SignerInfo, error) {
	malformed := func(field string) (SignerInfo, error) {
		return SignerInfo{}, errors.New("cms: malformed signer info: " + field)
	}
	var si SignerInfo
	var body cryptobyte.String
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1Integer(&si.Version) {
		return malformed("version")
	}
	wantVersion := 1
	if body.PeekASN1Tag(asn1.SEQUENCE) {
		var sid, serial cryptobyte.String
		if !body.ReadASN1(&sid, asn1.SEQUENCE) || !readName(&sid, &si.Issuer) ||
			!sid.ReadASN1(&serial, asn1.INTEGER) || serial.Empty() || !sid.Empty() {
			return malformed("issuer and serial number")
		}
		si.SerialNumber = serial
	} else {
		wantVersion = 3
		if !readKeyID(&body, &si.SubjectKeyID, implicit0) {
			return malformed("subject key identifier")
		}
	}
	if si.Version != wantVersion {
		note(&sd.Deviations, DevSignerInfoVersion)
	}

	var digest, signature algorithmID
	if !readAlgorithmID(&body, &digest) {
		return malformed("digest algorithm")
	}
	si.DigestAlgorithm = digestAlgorithm(digest)

	if body.PeekASN1Tag(explicit0) {
		var attrs cryptobyte.String
		if !body.ReadASN1(&attrs, explicit0) || !si.readSignedAttributes(attrs, &sd.Deviations) {
			return malformed("signed attributes")
		}
	}
	if !readAlgorithmID(&body, &signature) {
		return malformed("signature algorithm")
	}
	si.SignatureAlgorithm = signatureAlgorithm(signature, &sd.Deviations).withHash(si.DigestAlgorithm)
	if si.DigestAlgorithm == crypto.SHA1 {
		note(&sd.Deviations, DevSHA1)
	}
	if h := si.SignatureAlgorithm.Hash; h != 0 && h != si.DigestAlgorithm {
		note(&sd.Deviations, DevDigestsDiffer)
	}
	var value cryptobyte.String
	if !body.ReadASN1(&value, asn1.OCTET_STRING) {
		return malformed("signature")
	}
	si.Signature = value
	if !body.SkipOptionalASN1(explicit1) || !body.Empty() { // unsigned attributes prove nothing
		return malformed("unsigned attributes")
	}
	return si, nil
}

// readSignedAttributes reads the content of SignedAttributes (RFC 5652, 5.3
// and 11). set is without its tag and length.
func (si *SignerInfo) readSignedAttributes(set cryptobyte.String, deviations *[]string) bool {
	// RFC 5652, 5.4: what is hashed has the tag of a SET instead of [0].
	si.signedAttrs = appendElement(nil, asn1.SET, set)
	var elements [][]byte
	var seen []string
	for !set.Empty() {
		var element, attr, values cryptobyte.String
		var oid string
		if len(elements) == maxSignedAttributes || !set.ReadASN1Element(&element, asn1.SEQUENCE) {
			return false
		}
		elements = append(elements, element)
		if !element.ReadASN1(&attr, asn1.SEQUENCE) || !readOID(&attr, &oid) ||
			!attr.ReadASN1(&values, asn1.SET) || !attr.Empty() {
			return false
		}
		// RFC 5652, 5.3 and 11.1 to 11.3: one instance, one value.
		if slices.Contains(seen, oid) {
			return false
		}
		seen = append(seen, oid)
		switch oid {
		case oidContentType:
			if !readOID(&values, &si.contentType) || !values.Empty() {
				return false
			}
		case oidMessageDigest:
			var digest cryptobyte.String
			if !values.ReadASN1(&digest, asn1.OCTET_STRING) || digest.Empty() || !values.Empty() {
				return false
			}
			si.messageDigest = digest
		case oidSigningTime:
			if !readTime(&values, &si.SigningTime) || !values.Empty() {
				si.SigningTime = time.Time{}
				note(deviations, DevSigningTimeUnusable)
			}
		}
	}
	if !slices.IsSortedFunc(elements, bytes.Compare) {
		note(deviations, DevSignedAttrsNotDER)
		slices.SortFunc(elements, bytes.Compare)
		si.sortedAttrs = appendElement(nil, asn1.SET, slices.Concat(elements...))
	}
	return true
}

// checkDigests records when a signer's digest algorithm is not announced in
// digestAlgorithms (RFC 5652, 5.1 says that a verifier may then give up).
func (sd *SignedData) checkDigests(set cryptobyte.String) error {
	var announced []crypto.Hash
	for !set.Empty() {
		h, _, ok := ReadDigestAlgorithm(&set)
		if !ok || len(announced) == maxDigestAlgorithms {
			return errors.New("cms: malformed digest algorithms")
		}
		announced = append(announced, h)
	}
	for i := range sd.Signers {
		if !slices.Contains(announced, sd.Signers[i].DigestAlgorithm) {
			note(&sd.Deviations, DevDigestNotListed)
		}
	}
	return nil
}

// Names reports whether the signer is named as c: by issuer and serial number or
// by subject key identifier (RFC 5652, 5.3).
func (si *SignerInfo) Names(c *Certificate) bool {
	if si.SubjectKeyID != nil {
		return bytes.Equal(si.SubjectKeyID, c.SubjectKeyID)
	}
	return si.SerialNumber != nil && bytes.Equal(si.SerialNumber, c.SerialNumber) && si.Issuer.Equal(c.Issuer)
}

// SignerCertificates returns the embedded certificates that si names. There may
// be none, and there may be several, as a name is anyone's to write: only
// [SignedData.Verify] tells whose signature it is.
func (sd *SignedData) SignerCertificates(si *SignerInfo) []*Certificate {
	var found []*Certificate
	for _, c := range sd.Certificates {
		if si.Names(c) {
			found = append(found, c)
		}
	}
	return found
}

// Verify reports whether the key of cert made the signature si over the content
// of sd (RFC 5652, 5.4 and 5.6): nil, [ErrSignedAttributes], [ErrDigest],
// [ErrSignature], or an error that wraps [ErrUnsupported]. It does not ask
// whether cert is trusted, valid, or the one that si names.
//
// Signed attributes are required, as RFC 5652, 5.3 does for every content type
// but id-data. Without that rule the octets of the attributes themselves could
// be passed off as a signed content.
func (sd *SignedData) Verify(si *SignerInfo, cert *Certificate) error {
	if si == nil || cert == nil || cert.PublicKey == nil {
		return ErrUnsupported
	}
	if sd.Content == nil || si.signedAttrs == nil || si.messageDigest == nil || si.contentType == "" || si.contentType != sd.ContentType {
		return ErrSignedAttributes
	}
	if si.DigestAlgorithm == 0 || !si.DigestAlgorithm.Available() {
		return ErrUnsupported
	}
	h := si.DigestAlgorithm.New()
	h.Write(sd.Content)
	if !bytes.Equal(h.Sum(nil), si.messageDigest) {
		return ErrDigest
	}
	// RFC 5652, 5.4: the DER encoding is hashed, whatever order was sent. Some
	// signers sign the order they send; it is the same set of attributes.
	if si.sortedAttrs != nil {
		if err := cert.PublicKey.Verify(si.SignatureAlgorithm, si.sortedAttrs, si.Signature); !errors.Is(err, ErrSignature) {
			return err
		}
	}
	return cert.PublicKey.Verify(si.SignatureAlgorithm, si.signedAttrs, si.Signature)
}
