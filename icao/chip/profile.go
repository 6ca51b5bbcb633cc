package chip

import (
	"encoding/asn1"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chip/specimen"
)

// Names of the profiles.
const (
	ProfileCCCD        = "cccd"
	ProfileCCCDNoAA    = "cccd-no-aa"
	ProfileCCCDPACE    = "cccd-pace"
	ProfilePassportBAC = "passport-bac"
)

// ProfileInfo describes a profile to a person who chooses one.
type ProfileInfo struct {
	Name        string
	Description string
	// Person is the ID of the person that the profile takes when none is given.
	Person string
}

// profile is what a document is made of.
type profile struct {
	info       ProfileInfo
	kind       specimen.Kind
	algorithm  issuer.Algorithm
	aa         func(io.Reader) (*issuer.Key, error) // nil: no active authentication
	listed     []int                                // tag list of EF.COM, in its order
	hidden     []int                                // data groups that no terminal here may read
	pace       *PACE
	ca         string // protocol of chip authentication, empty for none
	ldsVersion string // of EF.COM
	sod        issuer.SODOptions
	limits     Limits
	selectMF   apdu.Status
	atrInfo    bool // EF.ATR/INFO with the buffer sizes
}

const (
	// standardCitizen and standardTraveller are in every table of people.
	standardCitizen   = "nguyen-van-thu"
	standardTraveller = "testa-muster"

	// chipBuffer is the largest response APDU of our chips with extended length,
	// in bytes.
	chipBuffer = 4096

	// oidPACEGMAES128 is id-PACE-ECDH-GM-AES-CBC-CMAC-128; parameter 13 is
	// brainpoolP256r1 (Doc 9303-11, 9.2.3 and 9.5.1).
	oidPACEGMAES128      = "0.4.0.127.0.7.2.2.4.2.2"
	paramBrainpoolP256r1 = 13

	// oidCAAES128 is id-CA-ECDH-AES-CBC-CMAC-128 (Doc 9303-11, 9.2.7).
	oidCAAES128 = "0.4.0.127.0.7.2.2.3.2.2"
)

func newAARSA(random io.Reader) (*issuer.Key, error) { return issuer.NewRSAKey(random, 2048) }

func newAAP256(random io.Reader) (*issuer.Key, error) { return issuer.NewECKey(random, "P-256", false) }

func profiles() []profile {
	// The buffer holds a whole response APDU, with its status word.
	buffered := Limits{Extended: true, GetResponse: true, Plain: chipBuffer - 2, Protected: chipBuffer - 2}
	cccd := profile{
		info: ProfileInfo{
			Name: ProfileCCCD,
			Description: "Vietnamese citizen card: basic access control, no EF.CardAccess, active authentication RSA-2048, " +
				"DG1, DG2, DG13, DG15; DG3 cannot be read, DG14 is listed in EF.COM but absent; " +
				"signed with ECDSA brainpoolP384r1 (explicit parameters)",
			Person: standardCitizen,
		},
		kind:       specimen.CitizenCard,
		algorithm:  issuer.ECDSABrainpoolP384,
		aa:         newAARSA,
		listed:     []int{1, 2, 3, 13, 15, 14},
		hidden:     []int{3},
		ldsVersion: "0107",
		limits:     buffered,
		selectMF:   apdu.InstructionNotSupported, // as the open readers' users report
	}

	noAA := cccd
	noAA.info.Name = ProfileCCCDNoAA
	noAA.info.Description = "Vietnamese citizen card without active authentication: as cccd, but without DG15; such a chip cannot prove that it is no copy"
	noAA.aa = nil
	noAA.listed = []int{1, 2, 3, 13, 14}

	pace := cccd
	pace.info.Name = ProfileCCCDPACE
	pace.info.Description = "citizen card with PACE: as cccd, but with EF.CardAccess (PACE ECDH generic mapping, AES-128, brainpoolP256r1; " +
		"passwords MRZ and CAN) beside basic access control, DG14 with chip authentication (ECDH, AES-128), and EF.ATR/INFO"
	pace.pace = &PACE{Protocol: oidPACEGMAES128, Version: 2, ParameterID: paramBrainpoolP256r1}
	pace.ca = oidCAAES128
	pace.selectMF = apdu.OK
	pace.atrInfo = true

	passport := profile{
		info: ProfileInfo{
			Name: ProfilePassportBAC,
			Description: "passport of the Utopia of Doc 9303: TD3, basic access control, active authentication ECDSA P-256 (announced in DG14), " +
				"DG1, DG2, DG14, DG15; signed with RSASSA-PSS; short APDUs only",
			Person: standardTraveller,
		},
		kind:       specimen.Passport,
		algorithm:  issuer.RSAPSS,
		aa:         newAAP256,
		listed:     []int{1, 2, 14, 15},
		ldsVersion: "0108",
		sod:        issuer.SODOptions{LDSVersion: "0108", UnicodeVersion: "040000"},
	}
	return []profile{cccd, noAA, pace, passport}
}

// Profiles lists what [Build] can make.
func Profiles() []ProfileInfo {
	var infos []ProfileInfo
	for _, p := range profiles() {
		infos = append(infos, p.info)
	}
	return infos
}

// Tamper is one way in which a document is not what its issuer handed out.
type Tamper string

// The kinds of tampering.
const (
	TamperNone         Tamper = ""
	TamperDG1          Tamper = "dg1"           // the name in DG1 altered after signing
	TamperDG13         Tamper = "dg13"          // the residence in DG13 altered after signing
	TamperSODSignature Tamper = "sod-signature" // a bit of the signature flipped
	TamperExpiredDS    Tamper = "expired-ds"    // the document signer's certificate has expired
	TamperUnknownCSCA  Tamper = "unknown-csca"  // signed below another authority than the returned trust anchor
	TamperClone        Tamper = "clone"         // all data copied to a chip with another private key
	TamperWrongKey     Tamper = "wrong-key"     // the printed MRZ and QR belong to another person's card
	TamperTorn         Tamper = "torn"          // the card leaves the field while it is read
)

// TamperInfo describes a kind of tampering to a person who chooses one.
type TamperInfo struct {
	Kind        Tamper
	Description string
}

// Tampers lists the kinds of tampering that [Build] knows.
func Tampers() []TamperInfo {
	return []TamperInfo{
		{TamperDG1, "the name in DG1 was altered after signing"},
		{TamperDG13, "the residence in DG13 was altered after signing"},
		{TamperSODSignature, "a bit of the security object's signature was flipped"},
		{TamperExpiredDS, "the document signer's certificate has expired"},
		{TamperUnknownCSCA, "signed below an authority that is not the trust anchor"},
		{TamperClone, "all data was copied to a chip that has another private key"},
		{TamperWrongKey, "the printed MRZ and QR code belong to another card"},
		{TamperTorn, "the card leaves the field while it is read"},
	}
}

// The errors of [Build] that are about its input.
var (
	ErrUnknownProfile = errors.New("chip: unknown profile")
	ErrUnknownPerson  = errors.New("chip: unknown person, or one without this kind of document")
	ErrUnknownTamper  = errors.New("chip: unknown kind of tampering")
	// ErrTamperNotApplicable: the profile has nothing to tamper with in this way.
	ErrTamperNotApplicable = errors.New("chip: tampering does not apply to this profile")
)

// PKI is an issuing state: its authority and a document signer below it.
type PKI struct {
	CSCA *issuer.Authority
	DS   *issuer.Signer
}

// NewPKI makes the authority and document signer of a profile, valid around
// at. One PKI may sign many documents of its profile. A nil random is
// crypto/rand.Reader.
func NewPKI(profile string, at time.Time, random io.Reader) (*PKI, error) {
	p, ok := findProfile(profile)
	if !ok {
		return nil, ErrUnknownProfile
	}
	return p.newPKI(at, random, "CSCA", at.AddDate(10, 0, 0))
}

func findProfile(name string) (profile, bool) {
	all := profiles()
	i := slices.IndexFunc(all, func(p profile) bool { return p.info.Name == name })
	if i < 0 {
		return profile{}, false
	}
	return all[i], true
}

// newPKI makes an authority with the given name, and a document signer that
// expires at the given time.
func (p profile) newPKI(at time.Time, random io.Reader, name string, dsExpiry time.Time) (*PKI, error) {
	csca, err := issuer.NewCSCA(issuer.Params{
		Subject:   p.subject(name),
		Algorithm: p.algorithm,
		NotBefore: at.AddDate(-8, 0, 0),
		NotAfter:  at.AddDate(15, 0, 0),
		Rand:      random,
	})
	if err != nil {
		return nil, err
	}
	ds, err := p.newDS(csca, at, random, dsExpiry)
	if err != nil {
		return nil, err
	}
	return &PKI{CSCA: csca, DS: ds}, nil
}

// newDS makes a document signer below csca.
func (p profile) newDS(csca *issuer.Authority, at time.Time, random io.Reader, expiry time.Time) (*issuer.Signer, error) {
	documentType := "ID"
	if p.kind == specimen.Passport {
		documentType = "P"
	}
	return csca.NewDS(issuer.Params{
		Subject:       p.subject("DS"),
		Algorithm:     p.algorithm,
		NotBefore:     at.AddDate(-6, 0, 0),
		NotAfter:      expiry,
		DocumentTypes: []string{documentType},
		Rand:          random,
	})
}

// subject names a certificate of the issuing state. UT is nobody's country
// code; its state UTO is the Utopia of Doc 9303.
func (p profile) subject(role string) issuer.Subject {
	s := issuer.Subject{Country: "VN", State: "VNM", Organization: "chamthe specimen"}
	if p.kind == specimen.Passport {
		s.Country, s.State = "UT", "UTO"
	}
	s.CommonName = role + " Specimen " + s.Country
	return s
}

// Options choose what [Build] makes of a profile. The zero value is the
// untampered document of the profile's standard person.
type Options struct {
	Person string // ID of a synthetic person; empty: the profile's own
	Tamper Tamper
	// PKI signs the document; nil: a new one, valid around At. It must be of the
	// same profile. Expired and unknown signers are always made anew.
	PKI *PKI
	// At is the day around which certificates are valid. Zero: 2026-07-01.
	At time.Time
	// Rand makes keys and signatures; the same bytes make the same document.
	// It is not the chip's source of nonces. Nil: crypto/rand.Reader.
	Rand io.Reader
	// TearAfter is the number of exchanges that a torn card survives; 0: 10, which
	// is after access control and within the files.
	TearAfter int
	// DomesticOID is the object identifier in DG13; nil: the issuer's default.
	DomesticOID asn1.ObjectIdentifier
}

// Document is a finished document: the chip's contents, and what is printed on
// the card or known about it.
type Document struct {
	Personalisation *Personalisation
	Person          specimen.Person // whose data the chip holds

	QR  string   // QR text of a citizen card, else empty
	MRZ []string // lines of the machine readable zone, as printed
	CAN string   // for PACE, else empty

	CSCA   []byte         // certificate to trust, DER
	DS     []byte         // certificate of the signer, DER
	Groups map[int][]byte // readable data groups, as on the chip
	SOD    []byte         // as on the chip
}

// Chip makes a chip with the document's contents, inserted and fresh.
func (d *Document) Chip() (*Chip, error) { return New(d.Personalisation) }

// defaultAt is the zero value of Options.At: the core has no clock.
var defaultAt = time.Date(2026, time.July, 1, 0, 0, 0, 0, time.UTC)

const defaultTearAfter = 10

// Build makes the document of the profile with the given name.
func Build(name string, opt Options) (*Document, error) {
	p, ok := findProfile(name)
	if !ok {
		return nil, ErrUnknownProfile
	}
	if opt.At.IsZero() {
		opt.At = defaultAt
	}
	if opt.TearAfter <= 0 {
		opt.TearAfter = defaultTearAfter
	}
	person, err := p.person(opt.Person)
	if err != nil {
		return nil, err
	}
	if err := p.checkTamper(opt.Tamper); err != nil {
		return nil, err
	}
	pki, anchor, err := p.signers(opt)
	if err != nil {
		return nil, err
	}

	d := &Document{Person: person, QR: person.QR(), MRZ: person.MRZ(), CSCA: anchor, DS: pki.DS.Certificate}
	pers := &Personalisation{Limits: p.limits, SelectMF: p.selectMF, PACE: p.pace}
	d.Personalisation = pers
	if pers.AccessKey, err = person.AccessKey(); err != nil {
		return nil, err
	}
	if p.pace != nil {
		d.CAN = person.CAN()
		pers.CAN = d.CAN
	}
	if err := p.chipKeys(pers, opt.Rand); err != nil {
		return nil, err
	}
	if d.Groups, err = p.groups(person, pers, opt.DomesticOID); err != nil {
		return nil, err
	}

	// The hash of a group that nobody here may read stands for its content.
	signed := maps.Clone(d.Groups)
	for _, dg := range p.hidden {
		signed[dg] = []byte{issuer.GroupTag(dg), 0}
	}
	sod := p.sod
	sod.Tamper = opt.Tamper == TamperSODSignature
	sod.Rand = opt.Rand
	if d.SOD, err = pki.DS.SignSOD(signed, sod); err != nil {
		return nil, err
	}

	switch opt.Tamper {
	case TamperDG1:
		altered := person
		altered.Surname = swapFirst(altered.Surname)
		d.Groups[1] = issuer.DG1(altered.MRZ())
	case TamperDG13:
		altered := person
		altered.Residence = swapFirst(altered.Residence)
		if d.Groups[13], err = domestic(altered, opt.DomesticOID); err != nil {
			return nil, err
		}
	case TamperClone:
		if err := p.chipKeys(pers, opt.Rand); err != nil {
			return nil, err
		}
	case TamperWrongKey:
		other := p.otherPerson(person)
		d.QR, d.MRZ = other.QR(), other.MRZ()
		if d.CAN != "" {
			d.CAN = other.CAN()
		}
	case TamperTorn:
		pers.TearAfter = opt.TearAfter
	}
	if err := p.files(d); err != nil {
		return nil, err
	}
	return d, nil
}

// swapFirst replaces the first letter by another one of the same length.
func swapFirst(s string) string {
	if s[0] == 'X' {
		return "K" + s[1:]
	}
	return "X" + s[1:]
}

// person finds the holder.
func (p profile) person(id string) (specimen.Person, error) {
	if id == "" {
		id = p.info.Person
	}
	person, ok := specimen.Find(id)
	if !ok || person.Kind != p.kind {
		return specimen.Person{}, ErrUnknownPerson
	}
	return person, nil
}

// otherPerson is somebody else with the same kind of document; for the only
// passport holder, a neighbour with the next number.
func (p profile) otherPerson(person specimen.Person) specimen.Person {
	for _, other := range specimen.People() {
		if other.Kind == person.Kind && other.ID != person.ID {
			return other
		}
	}
	person.Number = person.Number[:len(person.Number)-1] + "9"
	return person
}

func (p profile) checkTamper(t Tamper) error {
	if t == TamperNone {
		return nil
	}
	if !slices.ContainsFunc(Tampers(), func(i TamperInfo) bool { return i.Kind == t }) {
		return ErrUnknownTamper
	}
	if t == TamperDG13 && p.kind != specimen.CitizenCard || t == TamperClone && p.aa == nil {
		return ErrTamperNotApplicable
	}
	return nil
}

// signers finds or makes who signs the document, and the anchor to trust.
func (p profile) signers(opt Options) (pki *PKI, anchor []byte, err error) {
	pki = opt.PKI
	if pki == nil {
		if pki, err = p.newPKI(opt.At, opt.Rand, "CSCA", opt.At.AddDate(10, 0, 0)); err != nil {
			return nil, nil, err
		}
	}
	anchor = pki.CSCA.Certificate
	switch opt.Tamper {
	case TamperExpiredDS:
		ds, err := p.newDS(pki.CSCA, opt.At, opt.Rand, opt.At.AddDate(-1, 0, 0))
		if err != nil {
			return nil, nil, err
		}
		pki = &PKI{CSCA: pki.CSCA, DS: ds}
	case TamperUnknownCSCA:
		if pki, err = p.newPKI(opt.At, opt.Rand, "Unknown CSCA", opt.At.AddDate(10, 0, 0)); err != nil {
			return nil, nil, err
		}
	}
	return pki, anchor, nil
}

// chipKeys makes the private keys of a chip.
func (p profile) chipKeys(pers *Personalisation, random io.Reader) error {
	if p.aa != nil {
		key, err := p.aa(random)
		if err != nil {
			return err
		}
		pers.ActiveAuthentication = key
	}
	if p.ca != "" {
		key, err := issuer.NewECKey(random, "brainpoolP256r1", true)
		if err != nil {
			return err
		}
		pers.ChipAuthentication = &ChipAuthentication{Protocol: p.ca, Key: key}
	}
	return nil
}

// groups makes the readable data groups.
func (p profile) groups(person specimen.Person, pers *Personalisation, oid asn1.ObjectIdentifier) (map[int][]byte, error) {
	portrait, err := specimen.Portrait(person)
	if err != nil {
		return nil, err
	}
	groups := map[int][]byte{1: issuer.DG1(person.MRZ())}
	groups[2], err = issuer.DG2(issuer.Face{
		Image: portrait, Width: specimen.PortraitWidth, Height: specimen.PortraitHeight, Sex: person.Sex,
	})
	if err != nil {
		return nil, err
	}
	if person.Kind == specimen.CitizenCard {
		if groups[13], err = domestic(person, oid); err != nil {
			return nil, err
		}
	}

	var infos [][]byte
	if p.pace != nil {
		info, err := issuer.PACEInfo(p.pace.Protocol, p.pace.Version, p.pace.ParameterID)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	if ca := pers.ChipAuthentication; ca != nil {
		info, err := issuer.ChipAuthenticationInfo(ca.Protocol, ca.KeyID)
		if err != nil {
			return nil, err
		}
		key, err := issuer.ChipAuthenticationPublicKeyInfo(ca.Key, ca.KeyID)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info, key)
	}
	if aa := pers.ActiveAuthentication; aa != nil {
		if groups[15], err = issuer.DG15(aa); err != nil {
			return nil, err
		}
		if aa.EC != nil {
			info, err := issuer.ActiveAuthenticationInfo(aa.Hash())
			if err != nil {
				return nil, err
			}
			infos = append(infos, info)
		}
	}
	if len(infos) > 0 {
		if groups[14], err = issuer.DG14(infos); err != nil {
			return nil, err
		}
	}
	return groups, nil
}

// domestic makes DG13.
func domestic(p specimen.Person, oid asn1.ObjectIdentifier) ([]byte, error) {
	const day = "02/01/2006"
	expiry := "Không thời hạn"
	if !p.Expiry.IsZero() {
		expiry = p.Expiry.Format(day)
	}
	return issuer.DG13(issuer.Domestic{
		OID:    oid,
		Number: p.Number, Name: p.Name, DateOfBirth: p.Birth.Format(day), Sex: p.SexVietnamese(), Nationality: "Việt Nam",
		Ethnicity: p.Ethnicity, Religion: p.Religion, Hometown: p.Hometown, Residence: p.Residence,
		Marks: p.Marks, DateOfIssue: p.Issue.Format(day), DateOfExpiry: expiry,
		Father: p.Father, Mother: p.Mother, Spouse: p.Spouse,
		OldNumber: p.Old, ChipID: p.ChipID,
	})
}

// File identifiers (Doc 9303-10, 3.11 and 4.6); short identifiers are their
// last five bits.
const (
	idCOM        = 0x011E
	idSOD        = 0x011D
	idDG1        = 0x0101 // and so on to DG16
	idCardAccess = 0x011C
	idATRInfo    = 0x2F01
)

func groupFile(dg int, content []byte, access Access) File {
	return File{ID: idDG1 + uint16(dg) - 1, SFI: byte(dg), Content: content, Access: access}
}

// files writes the files of the document to its chip.
func (p profile) files(d *Document) error {
	com, err := issuer.COM(p.ldsVersion, p.listed)
	if err != nil {
		return err
	}
	pers := d.Personalisation
	pers.Files = []File{
		{ID: idCOM, SFI: 0x1E, Content: com},
		{ID: idSOD, SFI: 0x1D, Content: d.SOD},
	}
	for _, dg := range slices.Sorted(maps.Keys(d.Groups)) {
		pers.Files = append(pers.Files, groupFile(dg, d.Groups[dg], AfterAuthentication))
	}
	for _, dg := range p.hidden {
		pers.Files = append(pers.Files, groupFile(dg, nil, Never))
	}
	if p.pace != nil {
		info, err := issuer.PACEInfo(p.pace.Protocol, p.pace.Version, p.pace.ParameterID)
		if err != nil {
			return err
		}
		access, err := issuer.SecurityInfos([][]byte{info})
		if err != nil {
			return err
		}
		pers.MasterFiles = append(pers.MasterFiles, File{ID: idCardAccess, SFI: 0x1C, Content: access, Access: Always})
	}
	if p.atrInfo {
		pers.MasterFiles = append(pers.MasterFiles,
			File{ID: idATRInfo, SFI: 0x01, Content: issuer.ATRInfo(chipBuffer, chipBuffer), Access: Always})
	}
	return nil
}
