package chip

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/icao/cms"
)

// sharedKeys serve every variant of these tests.
var sharedKeys = issuer.NewKeyCache(seeded("variants"))

func variant(t testing.TB, v Variant, opt Options) *Document {
	t.Helper()
	if v.Signer == (issuer.Algorithm{}) {
		v.Signer = issuer.ECDSAP256
	}
	opt.Rand, opt.Keys = seeded("variant"), sharedKeys
	d, err := BuildVariant(v, opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// cardAccess is EF.CardAccess of a document, in hexadecimal digits.
func cardAccess(d *Document) string {
	for _, f := range d.Personalisation.MasterFiles {
		if f.ID == idCardAccess {
			return hex.EncodeToString(f.Content)
		}
	}
	return ""
}

// TestVariantAccess opens what each choice of access leaves open.
func TestVariantAccess(t *testing.T) {
	gm := PACE{Protocol: oidPACEGMAES128, Version: 2, ParameterID: 12}
	explicit := PACE{Protocol: oidPACEGMAES128, Version: 2, ParameterID: 40, Curve: "brainpoolP320r1"}
	byMRZ := func(d *Document) (byte, []byte) { return passwordMRZ, sum1([]byte(information(d.MRZ))) }
	byCAN := func(d *Document) (byte, []byte) { return passwordCAN, []byte(d.CAN) }
	wrongCAN := func(d *Document) (byte, []byte) { return passwordCAN, []byte("999999") }
	tests := []struct {
		name     string
		v        Variant
		password func(*Document) (byte, []byte) // nil: basic access control
		want     apdu.Status
	}{
		{"citizen card", Variant{}, nil, apdu.OK},
		{"passport", Variant{Kind: specimen.Passport}, nil, apdu.OK},
		{"PACE by MRZ", Variant{PACE: []PACE{gm}}, byMRZ, apdu.OK},
		{"PACE by CAN", Variant{PACE: []PACE{gm}}, byCAN, apdu.OK},
		{"PACE by another CAN", Variant{PACE: []PACE{gm}, CAN: "424242"}, byCAN, apdu.OK},
		{"no CAN", Variant{PACE: []PACE{gm}, NoCAN: true}, wrongCAN, apdu.ReferencedDataNotFound},
		{"CAN only", Variant{PACE: []PACE{gm}, NoPACEByMRZ: true}, byMRZ, apdu.ReferencedDataNotFound},
		{"passport without a CAN", Variant{Kind: specimen.Passport, PACE: []PACE{gm}}, wrongCAN, apdu.ReferencedDataNotFound},
		{"two tries", Variant{PACE: []PACE{gm}, CANTries: 2}, wrongCAN, 0x63C1},
		{"PACE only, by PACE", Variant{PACE: []PACE{gm}, NoBAC: true}, byMRZ, apdu.OK},
		{"PACE only, by BAC", Variant{PACE: []PACE{gm}, NoBAC: true}, nil, apdu.InstructionNotSupported},
		{"explicit parameters", Variant{PACE: []PACE{explicit}}, byCAN, apdu.OK},
		{"insists on a reference", Variant{PACE: []PACE{gm}, Quirks: Quirks{PACEReference: apdu.WrongData}}, byCAN, apdu.WrongData},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := variant(t, tt.v, Options{})
			m := insert(t, d)
			var sw apdu.Status
			if tt.password == nil {
				sw = m.bac(information(d.MRZ))
			} else {
				reference, secret := tt.password(d)
				sw = m.pace(tt.v.PACE[0], reference, secret, nil, paceOptions{})
			}
			if sw != tt.want {
				t.Fatalf("status %04X, want %04X", uint16(sw), uint16(tt.want))
			}
			if sw == apdu.OK {
				m.do("00a4040c", []byte(applicationID), 0)
				if got := m.read(1); !bytes.Equal(got, d.Groups[1]) {
					t.Error("DG1 differs")
				}
			}
		})
	}
	t.Run("open", func(t *testing.T) {
		d := variant(t, Variant{Open: true}, Options{})
		m := insert(t, d)
		m.want(selectApplication, apdu.OK)
		if got := m.want("00b0810000", apdu.OK); !bytes.Equal(got, d.Groups[1]) {
			t.Error("DG1 differs")
		}
	})
	t.Run("wrong key", func(t *testing.T) {
		for _, v := range []Variant{{PACE: []PACE{gm}}, {PACE: []PACE{gm}, CAN: "424240"}, {Kind: specimen.Passport, PACE: []PACE{gm}, CAN: "424242"}} {
			d := variant(t, v, Options{Tamper: TamperWrongKey})
			for _, password := range []func(*Document) (byte, []byte){byMRZ, byCAN} {
				reference, secret := password(d)
				if sw := insert(t, d).pace(gm, reference, secret, nil, paceOptions{}); sw != apdu.AuthenticationFailed {
					t.Errorf("password %d: %04X", reference, uint16(sw))
				}
			}
		}
	})
}

// TestVariantInfos: what EF.CardAccess, EF.CardSecurity and DG14 say.
func TestVariantInfos(t *testing.T) {
	gm := PACE{Protocol: oidPACEGMAES128, Version: 2, ParameterID: 12}
	cam := PACE{Protocol: "0.4.0.127.0.7.2.2.4.6.2", Version: 2, ParameterID: 12}
	explicit := PACE{Protocol: oidPACEGMAES128, Version: 2, ParameterID: 40, Curve: "brainpoolP320r1"}
	curve := KeyKind{Curve: "P-256"}
	const (
		caInfo    = "060a04007f0007020203020202010"   // version 1 of chip authentication with AES-128, ECDH
		aaInfo    = "060667810801010502010106"        // an algorithm of active authentication
		taInfo    = "300d060804007f000702020202"      // terminal authentication, version to follow
		ecdhKey   = "060904007f000702020102"          // a static key on a curve
		dhKey     = "060904007f000702020101"          // one in a group
		reference = "300c060704007f000701020201"      // parameters by number, one byte
		dirInfo   = "060667810801010d"                // EF.DIR repeated
		pkcs3     = "06092a864886f70d010301"          // dhKeyAgreement
		x942      = "06072a8648ce3e0201"              // dhpublicnumber
		explicits = "060904007f000702020402308201"    // PACEDomainParameterInfo
		sha512    = aaInfo + "0a04007f00070101040105" // ECDSA plain with SHA-512
		sha256    = aaInfo + "0a04007f00070101040103"
	)
	tests := []struct {
		name        string
		v           Variant
		has, hasNot []string // in DG14
		access      string   // part of EF.CardAccess
		security    []string // in EF.CardSecurity
	}{
		{"parameter id", Variant{PACE: []PACE{gm}}, []string{"3012060a04007f0007020204020202010202010c"}, nil, "3012060a04007f0007020204020202010202010c", nil},
		{"no parameter id", Variant{PACE: []PACE{gm}, NoParameterID: true}, []string{"300f060a04007f00070202040202020102"}, []string{"02010c"}, "300f060a04007f00070202040202020102", nil},
		{"explicit parameters", Variant{PACE: []PACE{explicit}}, []string{explicits, "020128"}, nil, explicits, nil},
		{"chip authentication", Variant{CA: []CAKey{{Protocol: oidCAAES128, Kind: curve}}}, []string{caInfo + "1", ecdhKey}, []string{reference}, "", nil},
		{"key identifier", Variant{CA: []CAKey{{Protocol: oidCAAES128, Kind: curve, KeyID: 7}}}, []string{caInfo + "1020107", ecdhKey}, nil, "", nil},
		{"no info", Variant{CA: []CAKey{{Protocol: oidCAAES128, Kind: curve, NoInfo: true}}}, []string{ecdhKey}, []string{caInfo}, "", nil},
		{"by number", Variant{CA: []CAKey{{Protocol: oidCAAES128, Kind: curve, Standardized: true}}}, []string{reference + "0c"}, nil, "", nil},
		{"group, PKCS 3", Variant{CA: []CAKey{{Protocol: "0.4.0.127.0.7.2.2.3.1.1", Kind: KeyKind{Group: 0}, PKCS3: true}}}, []string{dhKey, pkcs3}, []string{x942}, "", nil},
		{"group, X9.42", Variant{CA: []CAKey{{Protocol: "0.4.0.127.0.7.2.2.3.1.1", Kind: KeyKind{Group: 0}}}}, []string{dhKey, x942}, []string{pkcs3}, "", nil},
		{"terminal authentication", Variant{TerminalAuthentication: true}, []string{taInfo}, nil, "", nil},
		{"hash", Variant{AA: &AAKey{Kind: curve}}, []string{sha256}, nil, "", nil},
		{"hash of the form", Variant{AA: &AAKey{Kind: curve, Form: AAForm{Hash: crypto.SHA512}}}, []string{sha512}, nil, "", nil},
		{"another hash", Variant{AA: &AAKey{Kind: curve, Announce: crypto.SHA512}}, []string{sha512}, nil, "", nil},
		{"hash not announced", Variant{AA: &AAKey{Kind: curve, NotAnnounced: true}, TerminalAuthentication: true}, nil, []string{aaInfo}, "", nil},
		{"another version", Variant{CA: []CAKey{{Protocol: oidCAAES128, Kind: curve, Version: 2}}}, []string{caInfo + "2"}, nil, "", nil},
		{"PSS", Variant{AA: &AAKey{Kind: KeyKind{Bits: 2048}, Form: AAForm{PSS: true}}}, []string{aaInfo + "092a864886f70d01010a"}, nil, "", nil},
		{"PSS not announced", Variant{AA: &AAKey{Kind: KeyKind{Bits: 2048}, Form: AAForm{PSS: true}, NotAnnounced: true}, TerminalAuthentication: true}, nil, []string{aaInfo}, "", nil},
		{
			"mapping with chip authentication",
			Variant{PACE: []PACE{gm, cam}, DIR: true},
			[]string{ecdhKey, reference + "0c", dirInfo},
			[]string{caInfo},
			"02010c",
			[]string{ecdhKey, reference + "0c", "3012060a04007f0007020204020202010202010c", "060804007f0007030201"},
		},
		{
			"mapping and protocol with one key",
			Variant{PACE: []PACE{cam}, CA: []CAKey{{Protocol: oidCAAES128, Kind: curve, KeyID: 12}}},
			[]string{caInfo + "102010c", ecdhKey},
			nil, "02010c",
			[]string{ecdhKey, caInfo + "102010c"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := variant(t, tt.v, Options{})
			dg14 := hex.EncodeToString(d.Groups[14])
			for _, want := range tt.has {
				if strings.Count(dg14, want) == 0 {
					t.Errorf("DG14 does not contain %s: %s", want, dg14)
				}
			}
			for _, not := range tt.hasNot {
				if strings.Contains(dg14, not) {
					t.Errorf("DG14 contains %s: %s", not, dg14)
				}
			}
			if !strings.Contains(cardAccess(d), tt.access) {
				t.Errorf("EF.CardAccess does not contain %s: %s", tt.access, cardAccess(d))
			}
			for _, want := range tt.security {
				if !strings.Contains(hex.EncodeToString(d.CardSecurity), want) {
					t.Errorf("EF.CardSecurity does not contain %s", want)
				}
			}
			if (d.CardSecurity != nil) != (tt.security != nil) {
				t.Errorf("EF.CardSecurity of %d bytes", len(d.CardSecurity))
			}
			if _, err := d.Chip(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestVariantPSS: a key that says in DG15 how it signs, and signs so.
func TestVariantPSS(t *testing.T) {
	kind := KeyKind{Bits: 2048}
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
		d := variant(t, Variant{Open: true, Limits: Limits{GetResponse: true}, AA: &AAKey{Kind: kind, PSSKey: true, Form: AAForm{PSS: true, Hash: hash}}}, Options{})
		m := insert(t, d)
		m.want(selectApplication, apdu.OK)
		challenge := []byte{1, 2, 3, 4, 5, 6, 7, 8}
		signature := m.want("0088000008"+hex.EncodeToString(challenge)+"00", apdu.OK)
		dg15 := value(t, d.Groups[15], 0x6F)
		key, err := cms.ParsePublicKey(dg15)
		if err != nil {
			t.Fatal(err)
		}
		if err := key.Verify(cms.SignatureAlgorithm{Scheme: cms.RSAPSS, Hash: hash, MGFHash: hash, SaltLength: hash.Size()}, challenge, signature); err != nil {
			t.Errorf("%v: %v", hash, err)
		}
		if err := key.Verify(cms.SignatureAlgorithm{Scheme: cms.RSAPKCS1v15, Hash: hash}, challenge, signature); !errors.Is(err, cms.ErrUnsupported) {
			t.Errorf("%v: the key of DG15 is for PKCS #1 too: %v", hash, err)
		}
	}
	// The key of the cache is what it was.
	plain := variant(t, Variant{AA: &AAKey{Kind: kind}}, Options{})
	if key, err := cms.ParsePublicKey(value(t, plain.Groups[15], 0x6F)); err != nil || key.Verify(cms.SignatureAlgorithm{Scheme: cms.RSAPKCS1v15, Hash: crypto.SHA256}, nil, nil) != cms.ErrSignature {
		t.Errorf("a plain key: %v", err)
	}
}

// TestVariantDocumentTypes: what the signer's certificate says that it may sign.
func TestVariantDocumentTypes(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    Variant
		want []string
	}{
		{"citizen card", Variant{}, []string{"ID"}},
		{"passport", Variant{Kind: specimen.Passport}, []string{"P"}},
		{"several", Variant{DocumentTypes: []string{"P", "AC"}}, []string{"P", "AC"}},
		{"none", Variant{DocumentTypes: []string{}}, nil},
	} {
		ds, err := cms.ParseCertificate(variant(t, tt.v, Options{}).DS)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(ds.DocumentTypes, tt.want) || ds.HasDocumentTypes != (tt.want != nil) || len(ds.Deviations) != 0 && !slices.Equal(ds.Deviations, []string{cms.DevCurveNamed}) {
			t.Errorf("%s: %q, deviations %v", tt.name, ds.DocumentTypes, ds.Deviations)
		}
	}
}

// TestVariantChipAuthentication: two keys, and two protocols with one key, through
// the chip.
func TestVariantChipAuthentication(t *testing.T) {
	v := Variant{CA: []CAKey{
		{Protocol: oidCAAES128, Kind: KeyKind{Curve: "P-256"}, KeyID: 1},
		{Protocol: "0.4.0.127.0.7.2.2.3.2.1", Kind: KeyKind{Curve: "P-256"}, KeyID: 1},
		{Protocol: "0.4.0.127.0.7.2.2.3.1.4", Kind: KeyKind{Group: 1}, KeyID: 2},
	}, Limits: Limits{Extended: true}}
	d := variant(t, v, Options{})
	all := d.Personalisation.allCA()
	if all[0].Key != all[1].Key || all[0].Key == all[2].Key {
		t.Error("keys 0 and 1 are one, and 2 is another")
	}
	m := insert(t, d)
	m.bac(information(d.MRZ))
	for i, ca := range all {
		if sw := m.chipAuthentication(ca, i == 1, true, nil); sw != apdu.OK {
			t.Errorf("%d: %04X", i, uint16(sw))
		}
		m.read(14)
	}
}

// TestVariantClone: a copy has none of the keys.
func TestVariantClone(t *testing.T) {
	cam := PACE{Protocol: "0.4.0.127.0.7.2.2.4.6.2", Version: 2, ParameterID: 12}
	d := variant(t, Variant{PACE: []PACE{cam}}, Options{Tamper: TamperClone})
	public := d.Personalisation.ChipAuthentication.Key.EC.Public().Bytes()
	if bytes.Contains(d.CardSecurity, public) || bytes.Contains(d.Groups[14], public) {
		t.Error("the clone has the static key")
	}
	if _, err := BuildVariant(Variant{Signer: issuer.ECDSAP256}, Options{Tamper: TamperClone}); !errors.Is(err, ErrTamperNotApplicable) {
		t.Errorf("nothing to clone: %v", err)
	}
	good := variant(t, Variant{PACE: []PACE{cam}}, Options{})
	bad := variant(t, Variant{PACE: []PACE{cam}}, Options{Tamper: TamperCardSecurity})
	diff := 0
	for i := range good.CardSecurity {
		diff += bits.OnesCount8(good.CardSecurity[i] ^ bad.CardSecurity[i])
	}
	if diff != 1 || !bytes.Equal(good.SOD, bad.SOD) {
		t.Errorf("EF.CardSecurity differs in %d bits, EF.SOD the same: %t", diff, bytes.Equal(good.SOD, bad.SOD))
	}
	if bytes.Contains(good.CardSecurity, good.DS) {
		t.Error("EF.CardSecurity has the signer of EF.SOD")
	}
}

// TestVariantData: portraits, optional groups and small files.
func TestVariantData(t *testing.T) {
	picture := bytes.Repeat([]byte{0xFF, 0x4F}, 100)
	v := Variant{
		Kind:     specimen.Passport,
		Portrait: Portrait{Image: picture, Width: 10, Height: 20, JPEG2000: true, Size: 70_000},
		Optional: []int{7, 11, 12, 16}, Hidden: []int{3, 4}, DIR: true, ATRInfo: true, BCD: true, LDSVersion: "0108",
		SOD:    issuer.SODOptions{Hash: crypto.SHA512, LDSVersion: "0108", UnicodeVersion: "040000"},
		Limits: Limits{Extended: true},
	}
	d := variant(t, v, Options{})
	m := insert(t, d)
	if got := m.want("00b09e0000", apdu.OK); hex.EncodeToString(got) != "61094f07a0000002471001" {
		t.Errorf("EF.DIR %x", got)
	}
	m.bac(information(d.MRZ))
	if got := hex.EncodeToString(m.read(0x1E)); !strings.HasSuffix(got, "6175637667"+"6b6c70") || !strings.Contains(got, "30313038") {
		t.Errorf("EF.COM %s", got)
	}
	dg2 := m.read(2)
	if !bytes.Contains(dg2, picture) || len(dg2) < 70_000 || !bytes.Equal(dg2, d.Groups[2]) {
		t.Errorf("DG2 of %d bytes", len(dg2))
	}
	if !bytes.Contains(m.read(11), append([]byte{0x5F, 0x2B, 4}, 0x19, 0x85, 0x12, 0x24)) {
		t.Error("DG11 has no packed date of birth")
	}
	if !bytes.Contains(m.read(7), []byte{0x5F, 0x43}) || !bytes.Contains(m.read(7), []byte{0xFF, 0xD8, 0xFF}) {
		t.Error("DG7 holds no JPEG")
	}
	h := crypto.SHA512.New()
	h.Write(dg2)
	if !bytes.Contains(d.SOD, h.Sum(nil)) {
		t.Error("EF.SOD has no SHA-512 of DG2")
	}
	if _, err := BuildVariant(Variant{Signer: issuer.ECDSAP256, Optional: []int{5}}, Options{Keys: sharedKeys}); !errors.Is(err, ErrPersonalisation) {
		t.Errorf("DG5: %v", err)
	}
}

// TestVariantSigners: signer and authority of different algorithms, and the
// issuing state of one document signing another.
func TestVariantSigners(t *testing.T) {
	v := Variant{
		Signer:    issuer.Algorithm{Scheme: issuer.PSS, Hash: crypto.SHA384, MGF: crypto.SHA1, Salt: 20},
		Authority: issuer.ECDSABrainpoolP384,
		SOD:       issuer.SODOptions{CMSOptions: issuer.CMSOptions{BySKI: true, NoCertificate: true}},
	}
	d := variant(t, v, Options{})
	if bytes.Contains(d.SOD, d.DS) {
		t.Error("EF.SOD holds the signer's certificate")
	}
	again := variant(t, v, Options{PKI: d.PKI, Person: "tran-thi-mau"})
	if !bytes.Equal(again.DS, d.DS) || !bytes.Equal(again.CSCA, d.CSCA) {
		t.Error("another signer")
	}
	if _, err := d.PKI.CSCA.CRL(issuer.CRLOptions{ThisUpdate: defaultAt, NextUpdate: defaultAt}); err != nil {
		t.Errorf("CRL: %v", err)
	}
	if _, err := BuildVariant(Variant{}, Options{}); !errors.Is(err, issuer.ErrKey) {
		t.Errorf("without a signer: %v", err)
	}
}

// TestProfileVariant: a profile, changed.
func TestProfileVariant(t *testing.T) {
	v, ok := ProfileVariant(ProfilePassportPACECAM)
	if !ok {
		t.Fatal("no such profile")
	}
	v.CANTries = 5
	d := variant(t, v, Options{})
	if sw := insert(t, d).pace(v.PACE[0], passwordCAN, []byte("000000"), nil, paceOptions{}); sw != 0x63C4 {
		t.Errorf("%04X", uint16(sw))
	}
	if _, ok := ProfileVariant("eac"); ok {
		t.Error("a profile that does not exist")
	}
	for _, p := range Profiles() {
		v, _ := ProfileVariant(p.Name)
		v.PACE = append(v.PACE, PACE{})
		if again, _ := ProfileVariant(p.Name); len(again.PACE) == len(v.PACE) {
			t.Errorf("%s: changed for everybody", p.Name)
		}
	}
}

// TestKeysAreCheap: with shared keys a document costs no key.
func TestKeysAreCheap(t *testing.T) {
	v := Variant{AA: &AAKey{Kind: KeyKind{Bits: 2048}}, Signer: issuer.RSAPSS}
	first := variant(t, v, Options{})
	for i := range 20 {
		d, err := BuildVariant(v, Options{Rand: seeded(fmt.Sprint(i)), Keys: sharedKeys})
		if err != nil {
			t.Fatal(err)
		}
		if d.Personalisation.ActiveAuthentication != first.Personalisation.ActiveAuthentication || bytes.Equal(d.DS, first.DS) {
			t.Fatal("another key, or the same certificate")
		}
	}
}
