package chip

import (
	"crypto"
	"encoding/asn1"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chip/specimen"
)

// KeyKind is a kind of private key: a curve, a number of RSA bits, or the number
// of a group modulo a prime.
type KeyKind = issuer.KeyKind

// Variant says what a document is made of: what its chip can do, what is on it
// and who signed it. The zero value with a Signer is a citizen card with basic
// access control, DG1, DG2 and DG13 and short APDUs. A Variant may be copied; its
// slices are never changed.
type Variant struct {
	// Kind is the document; 0: a citizen card.
	Kind specimen.Kind

	// Open leaves out all access control: every file can be read in clear.
	Open bool
	// NoBAC leaves out basic access control.
	NoBAC bool
	// PACE are the variants of PACE, in the order of EF.CardAccess; none: no PACE.
	// A variant with chip authentication mapping gets a key of its number (or takes
	// that of CA, if it is on the same curve) and EF.CardSecurity.
	PACE []PACE
	// CAN is the card access number; empty: that of the person, if there is one.
	// It matters with PACE only.
	CAN string
	// NoCAN leaves the card access number out, and NoPACEByMRZ the MRZ as a
	// password of PACE.
	NoCAN, NoPACEByMRZ bool
	// CANTries is the retry counter of Personalisation.CANTries.
	CANTries int
	// CertificationAuthorities are those of Personalisation.
	CertificationAuthorities []string
	// NoParameterID leaves parameterId out of every PACEInfo, as some documents do.
	NoParameterID bool

	AA *AAKey  // active authentication, with DG15; nil for none
	CA []CAKey // chip authentication; none: no chip authentication
	// TerminalAuthentication is announced in DG14. No terminal here can do it.
	TerminalAuthentication bool

	// Optional are the data groups beside those that every document has: 7, 11, 12
	// and 16.
	Optional []int
	// Hidden are data groups that are signed but cannot be read, such as 3 and 4.
	// They answer 6982; see Refused for others.
	Hidden []int
	// Refused are the statuses by which files refuse to be read, by identifier, such
	// as 6985 for 0103 (DG3) or 6982 for 2F00 (EF.DIR); see File.Refused.
	Refused map[uint16]apdu.Status
	// Listed is the tag list of EF.COM, in its order; nil: what is there.
	Listed []int
	// BCD packs the dates of DG11 and DG12 two digits to a byte.
	BCD      bool
	Portrait Portrait
	// DIR adds EF.DIR, and ATRInfo EF.ATR/INFO with the size of the buffer.
	DIR, ATRInfo bool
	// LDSVersion is the version in EF.COM; empty: "0107".
	LDSVersion string

	// Signer is the algorithm of the document signer, and Authority that of the
	// authority; zero: as the signer's.
	Signer, Authority issuer.Algorithm
	// SOD are the options of EF.SOD. Its Tamper and Rand do not count.
	SOD issuer.SODOptions
	// CardSecurity are the options of EF.CardSecurity; as with SOD.
	CardSecurity issuer.CMSOptions
	// NoKeyIdentifiers leaves key identifiers out of the certificates.
	NoKeyIdentifiers bool
	// DocumentTypes are what the document signer's certificate allows it to sign;
	// nil: this kind of document, "ID" or "P"; empty: the certificate does not say.
	DocumentTypes []string

	Limits   Limits
	Quirks   Quirks
	SelectMF apdu.Status // as in Personalisation
}

// AAKey is a key of active authentication.
type AAKey struct {
	Kind KeyKind // a curve, or RSA
	Form AAForm
	// PSSKey has DG15 say of an RSA key that it is for RSASSA-PSS with the hash of
	// Form.
	PSSKey bool
	// NotAnnounced leaves the hash of an ECDSA key out of DG14, where the standard
	// requires it, and the announcement of RSASSA-PSS.
	NotAnnounced bool
	// Announce is another hash to announce than the one of Form; 0: that one.
	Announce crypto.Hash
}

// CAKey is a key of chip authentication.
type CAKey struct {
	// Protocol as in [ChipAuthentication]; empty: a key for chip authentication
	// mapping only.
	Protocol string
	Kind     KeyKind // a curve, or a group
	KeyID    int     // 0: none. Entries with the same number share the key of the first.
	// PKCS3 encodes the key of a group as PKCS #3 does, and Standardized refers to
	// the number of a curve or group.
	PKCS3, Standardized bool
	// NoInfo leaves the ChipAuthenticationInfo out of DG14, as old documents do:
	// the key alone announces 3DES.
	NoInfo bool
	// Version is what the ChipAuthenticationInfo says; 0: 1. Whatever it says, the
	// chip does version 1.
	Version int
}

// Portrait says how DG2 holds the portrait. The zero value is the drawn portrait
// of the person as a JPEG in a record of ISO/IEC 19794-5.
type Portrait struct {
	// Image, if not nil, replaces the drawn portrait, with its size in pixels.
	Image         []byte
	Width, Height int
	JPEG2000      bool // Image is JPEG 2000
	ISO39794      bool // a record of ISO/IEC 39794-5
	// Size, if larger than the picture, fills it up with zero bytes behind its end
	// to that many bytes.
	Size int
}

// PKI is an issuing state: its authority and a document signer below it.
type PKI struct {
	CSCA *issuer.Authority
	DS   *issuer.Signer
	// CardSecurity signs EF.CardSecurity; nil: DS does.
	CardSecurity *issuer.Signer
}

// NewVariantPKI makes the authority and the signers of a variant, valid around
// at. One PKI may sign many documents of its variant. A nil random is
// crypto/rand.Reader; keys may be nil, as in [Options].
func NewVariantPKI(v Variant, at time.Time, random io.Reader, keys *issuer.KeyCache) (*PKI, error) {
	return v.office(Options{At: at, Rand: random, Keys: keys}).newPKI("CSCA", at.AddDate(10, 0, 0))
}

// office makes documents of one variant.
type office struct {
	Variant
	opt Options
}

func (v Variant) office(opt Options) office {
	if v.Kind == 0 {
		v.Kind = specimen.CitizenCard
	}
	if v.LDSVersion == "" {
		v.LDSVersion = "0107"
	}
	if v.Authority == (issuer.Algorithm{}) {
		v.Authority = v.Signer
	}
	if opt.At.IsZero() {
		opt.At = defaultAt
	}
	if opt.TearAfter <= 0 {
		opt.TearAfter = defaultTearAfter
	}
	return office{v, opt}
}

// newKey makes a key, or takes it from the cache.
func (o office) newKey(use string, kind KeyKind) (*issuer.Key, error) {
	if o.opt.Keys != nil {
		return o.opt.Keys.Key(use, kind)
	}
	return kind.NewKey(o.opt.Rand)
}

// newPKI makes an authority with the given name, and signers that expire at the
// given time.
func (o office) newPKI(name string, expiry time.Time) (*PKI, error) {
	p := issuer.Params{
		Subject:          o.subject(name),
		Algorithm:        o.Authority,
		NotBefore:        o.opt.At.AddDate(-8, 0, 0),
		NotAfter:         o.opt.At.AddDate(15, 0, 0),
		Rand:             o.opt.Rand,
		NoKeyIdentifiers: o.NoKeyIdentifiers,
	}
	if err := o.keyFromCache(name, &p); err != nil {
		return nil, err
	}
	csca, err := issuer.NewCSCA(p)
	if err != nil {
		return nil, err
	}
	return o.newSigners(csca, expiry)
}

// keyFromCache gives a certificate its key, if there is a cache.
func (o office) keyFromCache(use string, p *issuer.Params) error {
	if o.opt.Keys == nil {
		return nil
	}
	kind, err := p.Algorithm.KeyKind()
	if err != nil {
		return err
	}
	p.Key, err = o.opt.Keys.Key(use, kind)
	return err
}

// newSigners makes the signers below csca.
func (o office) newSigners(csca *issuer.Authority, expiry time.Time) (*PKI, error) {
	types := o.DocumentTypes
	switch {
	case types != nil:
	case o.Kind == specimen.Passport:
		types = []string{"P"}
	default:
		types = []string{"ID"}
	}
	signer := func(name string) (*issuer.Signer, error) {
		p := issuer.Params{
			Subject:          o.subject(name),
			Algorithm:        o.Signer,
			NotBefore:        o.opt.At.AddDate(-6, 0, 0),
			NotAfter:         expiry,
			DocumentTypes:    types,
			Rand:             o.opt.Rand,
			NoKeyIdentifiers: o.NoKeyIdentifiers,
		}
		if err := o.keyFromCache(name, &p); err != nil {
			return nil, err
		}
		return csca.NewDS(p)
	}
	pki := &PKI{CSCA: csca}
	var err error
	if pki.DS, err = signer("DS"); err != nil {
		return nil, err
	}
	if o.hasCardSecurity() {
		if pki.CardSecurity, err = signer("Card Security DS"); err != nil {
			return nil, err
		}
	}
	return pki, nil
}

// subject names a certificate of the issuing state. UT is nobody's country
// code; its state UTO is the Utopia of Doc 9303.
func (o office) subject(role string) issuer.Subject {
	s := issuer.Subject{Country: "VN", State: "VNM", Organization: "chamthe specimen"}
	if o.Kind == specimen.Passport {
		s.Country, s.State = "UT", "UTO"
	}
	s.CommonName = role + " Specimen " + s.Country
	return s
}

// isCAM reports whether a variant of PACE has chip authentication mapping.
func isCAM(p PACE) bool { return strings.HasPrefix(p.Protocol, "0.4.0.127.0.7.2.2.4.6.") }

// hasCardSecurity reports whether there is EF.CardSecurity.
func (o office) hasCardSecurity() bool { return slices.ContainsFunc(o.PACE, isCAM) }

// BuildVariant makes a document of a variant. opt.PKI, if any, must be of the
// same Signer and Kind.
func BuildVariant(v Variant, opt Options) (*Document, error) {
	o := v.office(opt)
	o.PACE = slices.Clone(o.PACE) // the chip gets parts of it
	person, err := o.person()
	if err != nil {
		return nil, err
	}
	if err := o.checkTamper(); err != nil {
		return nil, err
	}
	pki, anchor, err := o.signers()
	if err != nil {
		return nil, err
	}

	d := &Document{Person: person, QR: person.QR(), MRZ: person.MRZ(), CSCA: anchor, DS: pki.DS.Certificate, PKI: pki}
	pers := &Personalisation{
		Limits: o.Limits, Quirks: o.Quirks, SelectMF: o.SelectMF,
		NoBAC: o.NoBAC, MorePACE: o.PACE, NoPACEByMRZ: o.NoPACEByMRZ, CANTries: o.CANTries,
		CertificationAuthorities: o.CertificationAuthorities,
	}
	if len(o.PACE) > 0 {
		pers.PACE, pers.MorePACE = &o.PACE[0], o.PACE[1:]
	}
	d.Personalisation = pers
	if !o.Open {
		if pers.AccessKey, err = person.AccessKey(); err != nil {
			return nil, err
		}
		if len(o.PACE) > 0 && !o.NoCAN {
			if d.CAN = o.CAN; d.CAN == "" {
				d.CAN = person.CAN()
			}
			pers.CAN = d.CAN
		}
	}
	if err := o.chipKeys(pers, ""); err != nil {
		return nil, err
	}
	if d.Groups, err = o.groups(person, pers); err != nil {
		return nil, err
	}

	// The hash of a group that nobody here may read stands for its content.
	signed := maps.Clone(d.Groups)
	for _, dg := range o.Hidden {
		signed[dg] = []byte{issuer.GroupTag(dg), 0}
	}
	sod := o.SOD
	sod.Tamper = opt.Tamper == TamperSODSignature
	sod.Rand = opt.Rand
	if d.SOD, err = pki.DS.SignSOD(signed, sod); err != nil {
		return nil, err
	}
	if o.hasCardSecurity() {
		if d.CardSecurity, err = o.cardSecurity(pki, pers); err != nil {
			return nil, err
		}
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
		if err := o.chipKeys(pers, "clone "); err != nil {
			return nil, err
		}
	case TamperWrongKey:
		other := o.otherPerson(person)
		d.QR, d.MRZ = other.QR(), other.MRZ()
		if d.CAN != "" {
			if d.CAN = other.CAN(); d.CAN == "" || o.CAN != "" {
				d.CAN = swapDigit(pers.CAN)
			}
		}
	case TamperTorn:
		pers.TearAfter = o.opt.TearAfter
	}
	if err := o.files(d); err != nil {
		return nil, err
	}
	return d, nil
}

// swapDigit replaces the last digit of a number by another one.
func swapDigit(s string) string {
	last := len(s) - 1
	if s[last] == '0' {
		return s[:last] + "1"
	}
	return s[:last] + "0"
}

// swapFirst replaces the first letter by another one of the same length.
func swapFirst(s string) string {
	if s[0] == 'X' {
		return "K" + s[1:]
	}
	return "X" + s[1:]
}

// person finds the holder; nobody named is the first one with such a document.
func (o office) person() (specimen.Person, error) {
	for _, p := range specimen.People() {
		if p.Kind == o.Kind && (o.opt.Person == "" || o.opt.Person == p.ID) {
			return p, nil
		}
	}
	return specimen.Person{}, ErrUnknownPerson
}

// otherPerson is somebody else with the same kind of document; for the only
// passport holder, a neighbour with the next number.
func (o office) otherPerson(person specimen.Person) specimen.Person {
	for _, other := range specimen.People() {
		if other.Kind == person.Kind && other.ID != person.ID {
			return other
		}
	}
	person.Number = person.Number[:len(person.Number)-1] + "9"
	return person
}

func (o office) checkTamper() error {
	t := o.opt.Tamper
	if t == TamperNone {
		return nil
	}
	if !slices.ContainsFunc(Tampers(), func(i TamperInfo) bool { return i.Kind == t }) {
		return ErrUnknownTamper
	}
	if t == TamperDG13 && o.Kind != specimen.CitizenCard || t == TamperCardSecurity && !o.hasCardSecurity() ||
		t == TamperClone && o.AA == nil && len(o.CA) == 0 && !o.hasCardSecurity() {
		return ErrTamperNotApplicable
	}
	return nil
}

// signers finds or makes who signs the document, and the anchor to trust.
func (o office) signers() (pki *PKI, anchor []byte, err error) {
	pki = o.opt.PKI
	if pki == nil {
		if pki, err = o.newPKI("CSCA", o.opt.At.AddDate(10, 0, 0)); err != nil {
			return nil, nil, err
		}
	}
	anchor = pki.CSCA.Certificate
	switch o.opt.Tamper {
	case TamperExpiredDS:
		pki, err = o.newSigners(pki.CSCA, o.opt.At.AddDate(-1, 0, 0))
	case TamperUnknownCSCA:
		pki, err = o.newPKI("Unknown CSCA", o.opt.At.AddDate(10, 0, 0))
	}
	if err != nil {
		return nil, nil, err
	}
	return pki, anchor, nil
}

// chipKeys makes the private keys of a chip. The use of each in the key cache
// begins with prefix.
func (o office) chipKeys(pers *Personalisation, prefix string) error {
	if o.AA != nil {
		key, err := o.newKey(prefix+"AA", o.AA.Kind)
		if err != nil {
			return err
		}
		if o.AA.PSSKey {
			shaped := *key // keys of a cache are shared
			shaped.PSS = o.AA.Form.hash(key)
			key = &shaped
		}
		pers.ActiveAuthentication, pers.ActiveAuthenticationForm = key, o.AA.Form
	}
	var all []ChipAuthentication
	for _, ca := range o.staticKeys() {
		x := ChipAuthentication{Protocol: ca.Protocol, KeyID: ca.KeyID}
		if i := slices.IndexFunc(all, func(o ChipAuthentication) bool { return o.KeyID == ca.KeyID }); i >= 0 {
			x.Key = all[i].Key
		} else {
			key, err := o.newKey(fmt.Sprintf("%sCA %d", prefix, ca.KeyID), ca.Kind)
			if err != nil {
				return err
			}
			shaped := *key // keys of a cache are shared
			shaped.StandardizedParameters = ca.Standardized
			if shaped.DH != nil {
				shaped.DH = shaped.DH.WithPKCS3(ca.PKCS3)
			}
			x.Key = &shaped
		}
		all = append(all, x)
	}
	pers.ChipAuthentication, pers.MoreChipAuthentication = nil, nil
	if len(all) > 0 {
		pers.ChipAuthentication, pers.MoreChipAuthentication = &all[0], all[1:]
	}
	return nil
}

// staticKeys are the keys of chip authentication and those that chip
// authentication mapping needs beside them.
func (o office) staticKeys() []CAKey {
	all := slices.Clone(o.CA)
	for _, p := range o.PACE {
		if isCAM(p) && !slices.ContainsFunc(all, func(ca CAKey) bool { return ca.KeyID == p.ParameterID }) {
			curve := p.Curve
			if curve == "" {
				curve = issuer.CurveByID(p.ParameterID)
			}
			all = append(all, CAKey{Kind: KeyKind{Curve: curve}, KeyID: p.ParameterID, Standardized: p.Curve == ""})
		}
	}
	return all
}

// infoList collects SecurityInfos and the first error.
type infoList struct {
	infos [][]byte
	err   error
}

func (l *infoList) add(info []byte, err error) {
	if l.err == nil {
		l.infos, l.err = append(l.infos, info), err
	}
}

// addPACE adds the content of EF.CardAccess.
func (o office) addPACE(l *infoList) {
	for _, p := range o.PACE {
		id := p.ParameterID
		if o.NoParameterID {
			id = -1
		}
		l.add(issuer.PACEInfo(p.Protocol, p.Version, id))
		if p.Curve != "" {
			l.add(issuer.PACEDomainParameterInfo(p.Protocol[:strings.LastIndexByte(p.Protocol, '.')], p.Curve, id))
		}
	}
}

// addStatic adds the static keys that keep says, and their protocols.
func (o office) addStatic(l *infoList, pers *Personalisation, keep func(CAKey) bool) {
	keys := pers.allCA()
	var seen []int
	for i, ca := range o.staticKeys() {
		if !keep(ca) {
			continue
		}
		if ca.Protocol != "" && !ca.NoInfo {
			l.add(issuer.ChipAuthenticationInfo(ca.Protocol, max(ca.Version, 1), ca.KeyID))
		}
		if !slices.Contains(seen, ca.KeyID) {
			seen = append(seen, ca.KeyID)
			l.add(issuer.ChipAuthenticationPublicKeyInfo(keys[i].Key, ca.KeyID))
		}
	}
}

// cardSecurity makes EF.CardSecurity: the keys of chip authentication mapping and
// what is in EF.CardAccess (Doc 9303-10, 3.11.4).
func (o office) cardSecurity(pki *PKI, pers *Personalisation) ([]byte, error) {
	var l infoList
	o.addPACE(&l)
	o.addStatic(&l, pers, func(ca CAKey) bool {
		return slices.ContainsFunc(o.PACE, func(p PACE) bool { return isCAM(p) && p.ParameterID == ca.KeyID })
	})
	if l.err != nil {
		return nil, l.err
	}
	signer := pki.CardSecurity
	if signer == nil {
		signer = pki.DS
	}
	cms := o.CardSecurity
	cms.Tamper, cms.Rand = o.opt.Tamper == TamperCardSecurity, o.opt.Rand
	return signer.SignSecurityInfos(l.infos, cms)
}

// groups makes the readable data groups.
func (o office) groups(person specimen.Person, pers *Personalisation) (map[int][]byte, error) {
	groups := map[int][]byte{1: issuer.DG1(person.MRZ())}
	var err error
	if groups[2], err = o.portrait(person); err != nil {
		return nil, err
	}
	if person.Kind == specimen.CitizenCard {
		if groups[13], err = domestic(person, o.opt.DomesticOID); err != nil {
			return nil, err
		}
	}
	if aa := pers.ActiveAuthentication; aa != nil {
		if groups[15], err = issuer.DG15(aa); err != nil {
			return nil, err
		}
	}
	for _, dg := range o.Optional {
		if groups[dg], err = o.optional(dg, person); err != nil {
			return nil, err
		}
	}

	var l infoList
	o.addPACE(&l)
	o.addStatic(&l, pers, func(CAKey) bool { return true })
	if aa := pers.ActiveAuthentication; aa != nil && !o.AA.NotAnnounced {
		switch {
		case aa.EC != nil:
			hash := o.AA.Announce
			if hash == 0 {
				hash = o.AA.Form.hash(aa)
			}
			l.add(issuer.ActiveAuthenticationInfo(hash))
		case o.AA.Form.PSS:
			l.add(issuer.ActiveAuthenticationInfoPSS())
		}
	}
	if o.TerminalAuthentication {
		l.add(issuer.TerminalAuthenticationInfo())
	}
	if o.DIR && o.hasCardSecurity() {
		l.add(issuer.EFDIRInfo(dirFile()))
	}
	if l.err != nil {
		return nil, l.err
	}
	if len(l.infos) > 0 {
		if groups[14], err = issuer.DG14(l.infos); err != nil {
			return nil, err
		}
	}
	return groups, nil
}

// portrait makes DG2.
func (o office) portrait(person specimen.Person) ([]byte, error) {
	f := issuer.Face{
		Image: o.Portrait.Image, Width: o.Portrait.Width, Height: o.Portrait.Height,
		JPEG2000: o.Portrait.JPEG2000, ISO39794: o.Portrait.ISO39794, Sex: person.Sex,
	}
	if f.Image == nil {
		var err error
		if f.Image, err = specimen.Portrait(person); err != nil {
			return nil, err
		}
		f.Width, f.Height = specimen.PortraitWidth, specimen.PortraitHeight
	}
	if missing := o.Portrait.Size - len(f.Image); missing > 0 {
		f.Image = append(slices.Clone(f.Image), make([]byte, missing)...)
	}
	return issuer.DG2(f)
}

// optional makes one of the data groups that a document need not have.
func (o office) optional(dg int, p specimen.Person) ([]byte, error) {
	const day = "20060102"
	name := p.Surname + "<<" + strings.ReplaceAll(p.Given, " ", "<")
	switch dg {
	case 7:
		mark, err := specimen.Signature(p)
		if err != nil {
			return nil, err
		}
		return issuer.DG7(mark)
	case 11:
		return issuer.DG11(issuer.PersonalDetails{
			Name: name, OtherNames: []string{"SPECIMEN<<" + p.Surname}, PersonalNumber: p.Number,
			DateOfBirth: p.Birth.Format(day), PlaceOfBirth: "Zenith<Utopia", Address: "1 Specimen Street<Zenith<Utopia",
			Telephone: "0000000000", Profession: "Specimen", BCD: o.BCD,
		})
	case 12:
		return issuer.DG12(issuer.DocumentDetails{
			Authority: "Specimen Office<Zenith", DateOfIssue: p.Issue.Format(day), Endorsements: "Specimen",
			Personalised: p.Issue.Format(day) + "120000", PersonalisedBy: "SPECIMEN-1", BCD: o.BCD,
		})
	case 16:
		return issuer.DG16(issuer.Contact{
			Recorded: p.Issue.Format(day), Name: "SPECIMEN<<" + p.Surname, Telephone: "0000000000", Address: "2 Specimen Street<Zenith",
		})
	default:
		return nil, fmt.Errorf("%w: data group %d is not optional", ErrPersonalisation, dg)
	}
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
	idCOM = 0x011E
	idSOD = 0x011D
	idDG1 = 0x0101 // and so on to DG16

	// In the master file.
	idCardAccess   = 0x011C
	idCardSecurity = 0x011D
	idDIR          = 0x2F00
	idATRInfo      = 0x2F01
)

// dirFile is EF.DIR with the one application.
func dirFile() []byte { return issuer.DIR([]byte(applicationID)) }

func groupFile(dg int, content []byte, access Access) File {
	return File{ID: idDG1 + uint16(dg) - 1, SFI: byte(dg), Content: content, Access: access}
}

// files writes the files of the document to its chip.
func (o office) files(d *Document) error {
	groups := slices.Sorted(maps.Keys(d.Groups))
	listed := o.Listed
	if listed == nil {
		listed = slices.Sorted(slices.Values(slices.Concat(groups, o.Hidden)))
	}
	com, err := issuer.COM(o.LDSVersion, listed)
	if err != nil {
		return err
	}
	pers := d.Personalisation
	pers.Files = []File{
		{ID: idCOM, SFI: 0x1E, Content: com},
		{ID: idSOD, SFI: 0x1D, Content: d.SOD},
	}
	for _, dg := range groups {
		pers.Files = append(pers.Files, groupFile(dg, d.Groups[dg], AfterAuthentication))
	}
	for _, dg := range o.Hidden {
		pers.Files = append(pers.Files, groupFile(dg, nil, Never))
	}
	if len(o.PACE) > 0 {
		var l infoList
		o.addPACE(&l)
		if l.err != nil {
			return l.err
		}
		access, err := issuer.SecurityInfos(l.infos)
		if err != nil {
			return err
		}
		pers.MasterFiles = append(pers.MasterFiles, File{ID: idCardAccess, SFI: 0x1C, Content: access, Access: Always})
	}
	if d.CardSecurity != nil {
		pers.MasterFiles = append(pers.MasterFiles, File{ID: idCardSecurity, SFI: 0x1D, Content: d.CardSecurity})
	}
	if o.DIR {
		pers.MasterFiles = append(pers.MasterFiles, File{ID: idDIR, SFI: 0x1E, Content: dirFile(), Access: Always})
	}
	if o.ATRInfo {
		pers.MasterFiles = append(pers.MasterFiles,
			File{ID: idATRInfo, SFI: 0x01, Content: issuer.ATRInfo(chipBuffer, chipBuffer), Access: Always})
	}
	for _, files := range [][]File{pers.Files, pers.MasterFiles} {
		for i := range files {
			f := &files[i]
			if f.Refused = o.Refused[f.ID]; f.Refused != 0 && f.Access == Never {
				f.Access = AfterAuthentication // else it would never get so far
			}
		}
	}
	return nil
}
