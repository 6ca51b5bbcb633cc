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

// Object identifiers of BSI TR-03129-2 (version 1.4.1), 7.
const (
	oidDefectList = "0.4.0.127.0.7.3.1.5"
	// id-electronicDefectListSigningKey. The guideline recommends it and announces
	// that it will be mandatory; here it is: any document signer of the root could
	// otherwise excuse its own documents.
	oidDefectListSigning = "0.4.0.127.0.7.3.11.2.1.2"
)

// Limits of a defect list.
const (
	maxDefects = 8192 // document signers; there are some 30,000 in the world
	maxKnown   = 32   // defects of one signer; fifteen kinds are defined
)

// DefectType is a kind of defect: an object identifier below that of the list
// (BSI TR-03129-2, 7.3).
type DefectType string

// The defects of BSI TR-03129-2, 7.3. Each concerns all documents of one document
// signer.
const (
	CertificateRevoked        DefectType = oidDefectList + ".1.1" // Status says how sure that is
	CertificateReplaced       DefectType = oidDefectList + ".1.2" // malformed; the list holds a replacement
	ChipAuthKeysCompromised   DefectType = oidDefectList + ".1.3"
	ActiveAuthKeysCompromised DefectType = oidDefectList + ".1.4"
	AuthenticationFails       DefectType = oidDefectList + ".1.5" // Status says which protocol
	ValidityIncorrect         DefectType = oidDefectList + ".1.6" // Status says of which certificate
	DataGroupMalformed        DefectType = oidDefectList + ".2.1" // DataGroups
	SecurityObjectInvalid     DefectType = oidDefectList + ".2.2" // Status says in what
	COMDiscrepancy            DefectType = oidDefectList + ".2.3"
	WrongSignerIdentifier     DefectType = oidDefectList + ".2.4"
	IssuingCountryWrong       DefectType = oidDefectList + ".2.5" // Country is the right one
	CardSecurityMalformed     DefectType = oidDefectList + ".4.1"
	ChipSecurityMalformed     DefectType = oidDefectList + ".4.2"
	PowerDownRequired         DefectType = oidDefectList + ".4.3"

	documentDefects = oidDefectList + ".4."
)

// Status codes of [CertificateRevoked] (BSI TR-03129-2, 7.3.1.1).
const (
	RevokedNoIndication = 0
	RevokedOnHold       = 1
	RevokedTesting      = 2
	RevokedByIssuer     = 3
	RevokedByListSigner = 4
	RevokedInadequate   = 5
)

// Status codes of [ValidityIncorrect] (BSI TR-03129-2, 7.3.1.6).
const (
	ValidityOfCSCA = 0
	ValidityOfDS   = 1
	ValidityOfBoth = 2
)

// KnownDefect is one defect of the documents of a signer.
type KnownDefect struct {
	Type        DefectType
	Status      int    // the status code of the types that have one, else -1
	DataGroups  []int  // of DataGroupMalformed
	Country     string // of IssuingCountryWrong
	Parameters  []byte // DER as read, nil when absent
	Description string // for a person to read; version 2 only
}

// Unknown reports a defect of the document in general of a type that is not known
// here: the chip of such a document is not to be relied on (BSI TR-03129-2,
// 7.3.3).
func (k KnownDefect) Unknown() bool {
	switch k.Type {
	case CardSecurityMalformed, ChipSecurityMalformed, PowerDownRequired:
		return false
	}
	return strings.HasPrefix(string(k.Type), documentDefects)
}

// Defect is what is known of the documents of one signer, which is named as in a
// SignerInfo.
type Defect struct {
	Issuer          cms.Name
	SerialNumber    []byte // nil when named by SubjectKeyID
	SubjectKeyID    []byte
	CertificateHash []byte // nil when absent
	Known           []KnownDefect
	Description     string // version 2 only

	hash crypto.Hash
}

// DefectList is a defect list (BSI TR-03129-2, 7.1, versions 1 and 2): production
// errors and revocations by document signer, collected by one state for all.
// Reading it does not verify it: see [Pool.AddDefectList].
type DefectList struct {
	SignedData *cms.SignedData
	Version    int // 0 or 1, for versions 1 and 2
	Defects    []Defect
	// Unusable counts entries that name no signer.
	Unusable int

	// Source and Signed are set by [Pool.AddDefectList].
	Source string
	Signed time.Time
}

var errDefectList = errors.New("trust: malformed defect list")

// ParseDefectList reads a defect list. It shares memory with der.
func ParseDefectList(der []byte) (*DefectList, error) {
	sd, err := cms.ParseSignedData(der)
	if err != nil {
		return nil, fmt.Errorf("trust: defect list: %w", err)
	}
	return parseDefectList(sd)
}

func parseDefectList(sd *cms.SignedData) (*DefectList, error) {
	if sd.ContentType != oidDefectList {
		return nil, errors.New("trust: not a defect list")
	}
	l := &DefectList{SignedData: sd}
	content := cryptobyte.String(sd.Content)
	var body, set cryptobyte.String
	var hashAlg string // an object identifier alone, not an AlgorithmIdentifier
	if !content.ReadASN1(&body, asn1.SEQUENCE) || !content.Empty() || !body.ReadASN1Integer(&l.Version) ||
		!cms.ReadOID(&body, &hashAlg) || !body.ReadASN1(&set, asn1.SET) || !body.Empty() {
		return nil, errDefectList
	}
	if l.Version != 0 && l.Version != 1 {
		return nil, fmt.Errorf("trust: defect list version %d", l.Version)
	}
	for n := 0; !set.Empty(); n++ {
		d := Defect{hash: cms.DigestByOID(hashAlg)}
		if n == maxDefects || !readDefect(&set, &d) {
			return nil, errDefectList
		}
		if d.SerialNumber == nil && d.SubjectKeyID == nil {
			l.Unusable++
			continue
		}
		l.Defects = append(l.Defects, d)
	}
	return l, nil
}

func contextTag(n uint8) asn1.Tag { return asn1.Tag(n).ContextSpecific() }

func readDefect(s *cryptobyte.String, d *Defect) bool {
	var body, set cryptobyte.String
	if !s.ReadASN1(&body, asn1.SEQUENCE) {
		return false
	}
	switch {
	case body.PeekASN1Tag(asn1.SEQUENCE):
		if !readIssuerAndSerial(&body, asn1.SEQUENCE, &d.Issuer, &d.SerialNumber) {
			return false
		}
	case body.PeekASN1Tag(contextTag(0)):
		if !readOctets(&body, contextTag(0), &d.SubjectKeyID) {
			return false
		}
	}
	if body.PeekASN1Tag(asn1.OCTET_STRING) && !readOctets(&body, asn1.OCTET_STRING, &d.CertificateHash) {
		return false
	}
	if !body.ReadASN1(&set, asn1.SET) {
		return false
	}
	for !set.Empty() {
		k := KnownDefect{Status: -1}
		if len(d.Known) == maxKnown || !readKnownDefect(&set, &k) {
			return false
		}
		d.Known = append(d.Known, k)
	}
	return readText(&body, asn1.UTF8String, &d.Description) && body.Empty()
}

func readIssuerAndSerial(s *cryptobyte.String, tag asn1.Tag, issuer *cms.Name, serial *[]byte) bool {
	var body, number cryptobyte.String
	if !s.ReadASN1(&body, tag) || !cms.ReadName(&body, issuer) || !body.ReadASN1(&number, asn1.INTEGER) || number.Empty() || !body.Empty() {
		return false
	}
	*serial = number
	return true
}

func readOctets(s *cryptobyte.String, tag asn1.Tag, out *[]byte) bool {
	var value cryptobyte.String
	if !s.ReadASN1(&value, tag) || value.Empty() {
		return false
	}
	*out = value
	return true
}

// readText reads an optional string.
func readText(s *cryptobyte.String, tag asn1.Tag, out *string) bool {
	var value cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&value, &present, tag) {
		return false
	}
	*out = string(value)
	return true
}

// readKnownDefect reads VersionedKnownDefect. The guideline does not say whether
// its tags are implicit or explicit; both are read.
func readKnownDefect(s *cryptobyte.String, k *KnownDefect) bool {
	var body cryptobyte.String
	version2 := contextTag(0).Constructed()
	if s.PeekASN1Tag(version2) {
		if !s.ReadASN1(&body, version2) {
			return false
		}
		if body.PeekASN1Tag(asn1.SEQUENCE) {
			explicit := body
			if !explicit.ReadASN1(&body, asn1.SEQUENCE) || !explicit.Empty() {
				return false
			}
		}
	} else if !s.ReadASN1(&body, asn1.SEQUENCE) {
		return false
	} else {
		version2 = 0
	}
	var oid string
	if !cms.ReadOID(&body, &oid) {
		return false
	}
	k.Type = DefectType(oid)
	var parameters cryptobyte.String
	var tag asn1.Tag
	switch {
	case version2 == 0:
		if !body.Empty() && !body.ReadAnyASN1Element(&parameters, &tag) {
			return false
		}
	case body.PeekASN1Tag(version2):
		if !body.ReadASN1(&parameters, version2) {
			return false
		}
	}
	k.Parameters = parameters
	if version2 != 0 {
		if body.PeekASN1Tag(contextTag(1)) {
			if !readText(&body, contextTag(1), &k.Description) {
				return false
			}
		} else {
			var explicit cryptobyte.String
			var present bool
			if !body.ReadOptionalASN1(&explicit, &present, contextTag(1).Constructed()) ||
				present && (!readText(&explicit, asn1.UTF8String, &k.Description) || !explicit.Empty()) {
				return false
			}
		}
	}
	return body.Empty() && k.readParameters(parameters)
}

// readParameters reads those that are used here; a type that needs a parameter is
// malformed without it. The others stay raw.
func (k *KnownDefect) readParameters(s cryptobyte.String) bool {
	switch k.Type {
	case CertificateRevoked, AuthenticationFails, ValidityIncorrect:
		return s.ReadASN1Enum(&k.Status) && s.Empty() && k.Status >= 0
	case SecurityObjectInvalid:
		return len(s) == 0 || s.ReadASN1Enum(&k.Status) && s.Empty() && k.Status >= 0
	case DataGroupMalformed:
		var set cryptobyte.String
		if !s.ReadASN1(&set, asn1.SET) || !s.Empty() {
			return false
		}
		for !set.Empty() {
			var n int
			if len(k.DataGroups) == maxKnown || !set.ReadASN1Integer(&n) {
				return false
			}
			k.DataGroups = append(k.DataGroups, n)
		}
	case IssuingCountryWrong:
		return readText(&s, asn1.PrintableString, &k.Country) && s.Empty() && k.Country != ""
	}
	return true
}

// key is that under which the signer is looked up.
func (d *Defect) key() string {
	if d.SubjectKeyID != nil {
		return defectKey(nil, nil, d.SubjectKeyID)
	}
	return defectKey(&d.Issuer, d.SerialNumber, nil)
}

func defectKey(issuer *cms.Name, serial, subjectKeyID []byte) string {
	if issuer == nil {
		return "id " + string(subjectKeyID)
	}
	return fmt.Sprintf("serial %x %s", serial, issuer.Key())
}

// names reports whether the entry is for this certificate.
func (d *Defect) names(c *cms.Certificate) bool {
	if d.CertificateHash == nil {
		return true
	}
	if d.hash == 0 || !d.hash.Available() {
		return false
	}
	h := d.hash.New()
	h.Write(c.Raw)
	return bytes.Equal(h.Sum(nil), d.CertificateHash)
}

// AddDefectList puts a defect list into the pool if a defect list signer that the
// given root issued signed it, both valid at the given time. The root is pinned
// by the caller, as for a master list. The newest list of each root is kept.
func (p *Pool) AddDefectList(l *DefectList, root *cms.Certificate, at time.Time, source string) error {
	if strings.TrimSpace(source) == "" {
		return ErrNoSource
	}
	signer, signed, err := verifyList(l.SignedData, oidDefectListSigning, root, at)
	if err != nil {
		return err
	}
	if p.revoked(signer, root) {
		return ErrListRevoked
	}
	key := root.PublicKey.ID()
	if old := p.defectLists[key]; old != nil && signed.Before(old.Signed) {
		return ErrOldList
	}
	kept := *l
	kept.Source, kept.Signed = source, signed
	p.defectLists[key] = &kept
	clear(p.defects)
	for _, list := range p.defectLists {
		for i := range list.Defects {
			d := &list.Defects[i]
			p.defects[d.key()] = append(p.defects[d.key()], d)
		}
	}
	return nil
}

// DefectLists returns the defect lists of the pool, in no particular order.
func (p *Pool) DefectLists() []*DefectList {
	if p == nil {
		return nil
	}
	lists := make([]*DefectList, 0, len(p.defectLists))
	for _, l := range p.defectLists {
		lists = append(lists, l)
	}
	return lists
}

// Defects returns what the defect lists of the pool know about the documents of a
// signer. It takes constant time.
func (p *Pool) Defects(c *cms.Certificate) []KnownDefect {
	if p == nil || c == nil || len(p.defects) == 0 {
		return nil
	}
	var known []KnownDefect
	keys := []string{defectKey(&c.Issuer, c.SerialNumber, nil)}
	if c.SubjectKeyID != nil {
		keys = append(keys, defectKey(nil, nil, c.SubjectKeyID))
	}
	for _, key := range keys {
		for _, d := range p.defects[key] {
			if d.names(c) {
				known = append(known, d.Known...)
			}
		}
	}
	return known
}
