package chip

import (
	"crypto"
	"encoding/asn1"
	"errors"
	"io"
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

	ProfilePassportPACECAM  = "passport-pace-cam"
	ProfilePassportPACEIM   = "passport-pace-im"
	ProfilePassportPACEDH   = "passport-pace-dh"
	ProfilePassportCAAES    = "passport-ca-aes"
	ProfilePassportEAC      = "passport-eac"
	ProfilePassportOld      = "passport-old"
	ProfilePassportFull     = "passport-full"
	ProfilePassportStubborn = "passport-stubborn"
)

// ProfileInfo describes a profile to a person who chooses one.
type ProfileInfo struct {
	Name        string
	Description string
	// Person is the ID of the person that the profile takes when none is given.
	Person string
}

// profile is a named variant.
type profile struct {
	info    ProfileInfo
	variant Variant
}

const (
	// standardCitizen and standardTraveller are in every table of people.
	standardCitizen   = "nguyen-van-thu"
	standardTraveller = "testa-muster"

	// chipBuffer is the largest response APDU of our chips with extended length,
	// in bytes.
	chipBuffer = 4096

	// travelCAN is the card access number printed on our passports that have one.
	travelCAN = "271828"

	// oidPACEGMAES128 is id-PACE-ECDH-GM-AES-CBC-CMAC-128; parameter 13 is
	// brainpoolP256r1 (Doc 9303-11, 9.2.3 and 9.5.1).
	oidPACEGMAES128      = "0.4.0.127.0.7.2.2.4.2.2"
	paramBrainpoolP256r1 = 13

	// oidCAAES128 is id-CA-ECDH-AES-CBC-CMAC-128 (Doc 9303-11, 9.2.7).
	oidCAAES128 = "0.4.0.127.0.7.2.2.3.2.2"
)

func profiles() []profile {
	// The buffer holds a whole response APDU, with its status word.
	buffered := Limits{Extended: true, GetResponse: true, Plain: chipBuffer - 2, Protected: chipBuffer - 2}
	rsa2048 := KeyKind{Bits: 2048}
	cccd := profile{
		info: ProfileInfo{
			Name: ProfileCCCD,
			Description: "Vietnamese citizen card: basic access control, no EF.CardAccess, active authentication RSA-2048, " +
				"DG1, DG2, DG13, DG15; DG3 cannot be read, DG14 is listed in EF.COM but absent; " +
				"signed with ECDSA brainpoolP384r1 (explicit parameters)",
			Person: standardCitizen,
		},
		variant: Variant{
			Kind:       specimen.CitizenCard,
			AA:         &AAKey{Kind: rsa2048},
			Signer:     issuer.ECDSABrainpoolP384,
			Listed:     []int{1, 2, 3, 13, 15, 14},
			Hidden:     []int{3},
			LDSVersion: "0107",
			Limits:     buffered,
			SelectMF:   apdu.InstructionNotSupported, // as the open readers' users report
		},
	}

	noAA := cccd
	noAA.info.Name = ProfileCCCDNoAA
	noAA.info.Description = "Vietnamese citizen card without active authentication: as cccd, but without DG15; such a chip cannot prove that it is no copy"
	noAA.variant.AA = nil
	noAA.variant.Listed = []int{1, 2, 3, 13, 14}

	pace := cccd
	pace.info.Name = ProfileCCCDPACE
	pace.info.Description = "citizen card with PACE: as cccd, but with EF.CardAccess (PACE ECDH generic mapping, AES-128, brainpoolP256r1; " +
		"passwords MRZ and CAN) beside basic access control, DG14 with chip authentication (ECDH, AES-128), and EF.ATR/INFO"
	pace.variant.PACE = []PACE{{Protocol: oidPACEGMAES128, Version: 2, ParameterID: paramBrainpoolP256r1}}
	pace.variant.CA = []CAKey{{Protocol: oidCAAES128, Kind: KeyKind{Curve: "brainpoolP256r1", Explicit: true}}}
	pace.variant.SelectMF = apdu.OK
	pace.variant.ATRInfo = true

	passport := profile{
		info: ProfileInfo{
			Name: ProfilePassportBAC,
			Description: "passport of the Utopia of Doc 9303: TD3, basic access control, active authentication ECDSA P-256 (announced in DG14), " +
				"DG1, DG2, DG14, DG15; signed with RSASSA-PSS; short APDUs only",
			Person: standardTraveller,
		},
		variant: Variant{
			Kind:       specimen.Passport,
			AA:         &AAKey{Kind: KeyKind{Curve: "P-256"}},
			Signer:     issuer.RSAPSS,
			LDSVersion: "0108",
			SOD:        issuer.SODOptions{LDSVersion: "0108", UnicodeVersion: "040000"},
		},
	}
	// travel makes a passport out of that one.
	travel := func(name, description string, change func(*Variant)) profile {
		p := passport
		p.info.Name, p.info.Description = name, description
		p.variant.AA = nil
		p.variant.Limits = buffered
		p.variant.ATRInfo = true
		change(&p.variant)
		return p
	}
	explicitP256 := KeyKind{Curve: "brainpoolP256r1", Explicit: true}

	return []profile{
		cccd, noAA, pace, passport,
		travel(ProfilePassportPACECAM, "passport with chip authentication mapping: PACE ECDH generic and chip authentication mapping, AES-256, "+
			"brainpoolP384r1, passwords MRZ and CAN; EF.CardSecurity with its own signer; basic access control too; signed with ECDSA brainpoolP256r1", func(v *Variant) {
			v.PACE = []PACE{
				{Protocol: "0.4.0.127.0.7.2.2.4.2.4", Version: 2, ParameterID: 16},
				{Protocol: "0.4.0.127.0.7.2.2.4.6.4", Version: 2, ParameterID: 16},
			}
			v.CAN = travelCAN
			v.Signer = issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA256, Curve: "brainpoolP256r1", Explicit: true}
		}),
		travel(ProfilePassportPACEIM, "passport with integrated mapping only: PACE ECDH integrated mapping, AES-128, P-256, password MRZ; "+
			"no basic access control; active authentication RSA-2048", func(v *Variant) {
			v.PACE = []PACE{{Protocol: "0.4.0.127.0.7.2.2.4.4.2", Version: 2, ParameterID: 12}}
			v.NoCAN, v.NoBAC = true, true
			v.AA = &AAKey{Kind: rsa2048}
		}),
		travel(ProfilePassportPACEDH, "passport with PACE modulo a prime: DH generic mapping, AES-128, 2048 bits, passwords MRZ and CAN, "+
			"three tries for the CAN; active authentication ECDSA brainpoolP256r1", func(v *Variant) {
			v.PACE = []PACE{{Protocol: "0.4.0.127.0.7.2.2.4.1.2", Version: 2, ParameterID: 2}}
			v.CAN, v.CANTries = travelCAN, 3
			v.AA = &AAKey{Kind: KeyKind{Curve: "brainpoolP256r1"}}
		}),
		travel(ProfilePassportCAAES, "passport with chip authentication: basic access control, ECDH AES-256 on brainpoolP256r1; signed with RSA PKCS#1", func(v *Variant) {
			v.CA = []CAKey{{Protocol: "0.4.0.127.0.7.2.2.3.2.4", Kind: explicitP256, KeyID: 1}}
			v.Signer = issuer.RSAPKCS1
		}),
		travel(ProfilePassportEAC, "passport with fingerprints: basic access control, chip authentication DH with 3DES (2048 bits, MSE:Set KAT), "+
			"terminal authentication announced, DG3 cannot be read", func(v *Variant) {
			v.CA = []CAKey{{Protocol: "0.4.0.127.0.7.2.2.3.1.1", Kind: KeyKind{Group: 2}, PKCS3: true}}
			v.TerminalAuthentication = true
			v.Hidden = []int{3}
		}),
		travel(ProfilePassportOld, "passport of the first years: basic access control, active authentication RSA-1024 with SHA-1, packed dates in DG11 and DG12, "+
			"signed with RSA PKCS#1 SHA-1, no LDS version in EF.SOD; short APDUs only", func(v *Variant) {
			v.AA = &AAKey{Kind: KeyKind{Bits: 1024}, Form: AAForm{Hash: crypto.SHA1}}
			v.Signer = issuer.Algorithm{Scheme: issuer.PKCS1, Hash: crypto.SHA1}
			v.SOD = issuer.SODOptions{Hash: crypto.SHA1}
			v.LDSVersion = "0107"
			v.Optional, v.BCD = []int{11, 12}, true
			v.Limits, v.ATRInfo = Limits{GetResponse: true}, false
		}),
		travel(ProfilePassportFull, "passport with everything: PACE and basic access control, chip authentication, active authentication, "+
			"DG7, DG11, DG12, DG16, EF.DIR, a portrait of 40 KB as ISO/IEC 39794-5", func(v *Variant) {
			v.PACE = []PACE{{Protocol: oidPACEGMAES128, Version: 2, ParameterID: paramBrainpoolP256r1}}
			v.CAN = travelCAN
			v.AA = &AAKey{Kind: KeyKind{Curve: "P-384"}}
			v.CA = []CAKey{{Protocol: oidCAAES128, Kind: explicitP256}}
			v.Optional = []int{7, 11, 12, 16}
			v.DIR = true
			v.Portrait = Portrait{ISO39794: true, Size: 40_000}
		}),
		travel(ProfilePassportStubborn, "passport that is hard to read: short APDUs and at most 192 bytes at a time, else 6700; no selection of the master file, "+
			"no Le of zero, zero bytes past the end of files, error statuses in clear", func(v *Variant) {
			v.AA = &AAKey{Kind: KeyKind{Curve: "P-256"}}
			v.Limits, v.ATRInfo = Limits{Plain: 192, Protected: 192, OverLimit: apdu.WrongLength}, false
			v.SelectMF = apdu.ConditionsNotSatisfied
			v.Quirks = Quirks{RefuseLe: true, RefuseLe00: true, PadPastEnd: true, Naked: NakedEnds}
		}),
	}
}

// ProfileVariant is what the named profile is made of, to change and to give to
// [BuildVariant]. The caller owns it.
func ProfileVariant(name string) (Variant, bool) {
	p, ok := findProfile(name)
	return p.variant, ok
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
	TamperCardSecurity Tamper = "card-security" // a bit of the signature of EF.CardSecurity flipped
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
		{TamperCardSecurity, "a bit of the signature of EF.CardSecurity was flipped"},
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

// NewPKI makes the authority and document signer of a profile, valid around
// at. One PKI may sign many documents of its profile. A nil random is
// crypto/rand.Reader.
func NewPKI(profile string, at time.Time, random io.Reader) (*PKI, error) {
	p, ok := findProfile(profile)
	if !ok {
		return nil, ErrUnknownProfile
	}
	return NewVariantPKI(p.variant, at, random, nil)
}

func findProfile(name string) (profile, bool) {
	all := profiles()
	i := slices.IndexFunc(all, func(p profile) bool { return p.info.Name == name })
	if i < 0 {
		return profile{}, false
	}
	return all[i], true
}

// Options choose what [Build] makes of a profile. The zero value is the
// untampered document of the profile's standard person.
type Options struct {
	Person string // ID of a synthetic person; empty: the profile's own, or the standard one
	Tamper Tamper
	// PKI signs the document; nil: a new one, valid around At. It must be of the
	// same profile. Expired and unknown signers are always made anew.
	PKI *PKI
	// Keys are used, and filled, instead of making every key anew, of the issuing
	// state and of the chip: documents that are built with the same Keys share
	// them, which makes a matrix of many documents cheap. (What is left is the
	// drawing of the portrait; a small Portrait.Image saves that, and the reading
	// of it.) Nil: new keys.
	Keys *issuer.KeyCache
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

	CSCA []byte // certificate to trust, DER
	DS   []byte // certificate of the signer, DER; not in EF.SOD if the variant says so
	PKI  *PKI   // that signed the document, to revoke its signer for example

	Groups map[int][]byte // readable data groups, as on the chip
	SOD    []byte         // as on the chip
	// CardSecurity is EF.CardSecurity, nil if there is none.
	CardSecurity []byte
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
	if opt.Person == "" {
		opt.Person = p.info.Person
	}
	return BuildVariant(p.variant, opt)
}
