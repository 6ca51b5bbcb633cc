package chip

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
)

func seeded(seed string) *rand.ChaCha8 {
	var s [32]byte
	copy(s[:], seed)
	return rand.NewChaCha8(s)
}

// build makes a document that is the same in every run.
func build(t testing.TB, profile string, opt Options) *Document {
	t.Helper()
	if opt.Rand == nil {
		opt.Rand = seeded(profile)
	}
	d, err := Build(profile, opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// insert puts a document's chip before the reference terminal.
func insert(t testing.TB, d *Document) *terminal {
	t.Helper()
	c, err := d.Chip()
	if err != nil {
		t.Fatal(err)
	}
	return &terminal{t: t, chip: c}
}

// information is the MRZ information out of printed lines.
func information(lines []string) string {
	if len(lines) == 3 {
		return lines[0][5:15] + lines[1][0:7] + lines[1][8:15]
	}
	return lines[1][0:10] + lines[1][13:20] + lines[1][21:28]
}

// TestProfiles reads every profile with the reference terminal, from what is
// printed on the card.
func TestProfiles(t *testing.T) {
	cam := PACE{Protocol: "0.4.0.127.0.7.2.2.4.6.4", ParameterID: 16}
	im := PACE{Protocol: "0.4.0.127.0.7.2.2.4.4.2", ParameterID: 12}
	dh := PACE{Protocol: "0.4.0.127.0.7.2.2.4.1.2", ParameterID: 2}
	tests := map[string]struct {
		com      string // tag list of EF.COM
		groups   []int
		absent   []int
		hidden   []int
		aa       int // length of the signature, 0 for none
		selectMF apdu.Status
		pace     *PACE // nil: basic access control
		ne       int   // of READ BINARY; 0: 256
	}{
		ProfileCCCD:             {com: "6175636d6f6e", groups: []int{1, 2, 13, 15}, absent: []int{11, 12, 14}, hidden: []int{3}, aa: 256, selectMF: apdu.InstructionNotSupported},
		ProfileCCCDNoAA:         {com: "6175636d6e", groups: []int{1, 2, 13}, absent: []int{11, 12, 14, 15}, hidden: []int{3}, selectMF: apdu.InstructionNotSupported},
		ProfileCCCDPACE:         {com: "6175636d6f6e", groups: []int{1, 2, 13, 14, 15}, absent: []int{11, 12}, hidden: []int{3}, aa: 256},
		ProfilePassportBAC:      {com: "61756e6f", groups: []int{1, 2, 14, 15}, absent: []int{3, 11, 13}, aa: 64},
		ProfilePassportPACECAM:  {com: "61756e", groups: []int{1, 2, 14}, absent: []int{3, 15}, pace: &cam},
		ProfilePassportPACEIM:   {com: "61756e6f", groups: []int{1, 2, 14, 15}, absent: []int{3, 11}, aa: 256, pace: &im},
		ProfilePassportPACEDH:   {com: "61756e6f", groups: []int{1, 2, 14, 15}, absent: []int{3, 11}, aa: 64, pace: &dh},
		ProfilePassportCAAES:    {com: "61756e", groups: []int{1, 2, 14}, absent: []int{3, 15}},
		ProfilePassportEAC:      {com: "6175636e", groups: []int{1, 2, 14}, absent: []int{4, 15}, hidden: []int{3}},
		ProfilePassportOld:      {com: "61756b6c6f", groups: []int{1, 2, 11, 12, 15}, absent: []int{3, 14}, aa: 128},
		ProfilePassportFull:     {com: "6175676b6c6e6f70", groups: []int{1, 2, 7, 11, 12, 14, 15, 16}, absent: []int{3, 13}, aa: 96},
		ProfilePassportStubborn: {com: "61756e6f", groups: []int{1, 2, 14, 15}, aa: 64, selectMF: apdu.ConditionsNotSatisfied, ne: 128},
	}
	if len(tests) != len(Profiles()) {
		t.Fatalf("%d profiles, want %d", len(Profiles()), len(tests))
	}
	for _, p := range Profiles() {
		tt, ok := tests[p.Name]
		if !ok {
			t.Errorf("no test for %s", p.Name)
		}
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			d := build(t, p.Name, Options{})
			if got := slices.Sorted(maps.Keys(d.Groups)); !slices.Equal(got, tt.groups) {
				t.Errorf("groups %v, want %v", got, tt.groups)
			}
			m := insert(t, d)
			if tt.selectMF == 0 {
				tt.selectMF = apdu.OK
			}
			m.want("00a4000c023f00", tt.selectMF)
			m.ne = tt.ne
			if tt.pace == nil {
				if sw := m.bac(information(d.MRZ)); sw != apdu.OK {
					t.Fatalf("BAC: %04X", uint16(sw))
				}
			} else {
				reference, secret := byte(passwordCAN), []byte(d.CAN)
				if d.CAN == "" {
					reference, secret = passwordMRZ, sum1([]byte(information(d.MRZ)))
				}
				var static []byte
				if isCAM(*tt.pace) {
					static = d.Personalisation.ChipAuthentication.Key.EC.Public().Bytes()
				}
				if sw := m.pace(*tt.pace, reference, secret, static, paceOptions{}); sw != apdu.OK {
					t.Fatalf("PACE: %04X", uint16(sw))
				}
				if static != nil {
					if got := m.read(0x1D); !bytes.Equal(got, d.CardSecurity) || !bytes.Contains(got, static) {
						t.Error("EF.CardSecurity differs, or has another key")
					}
				}
				m.do("00a4040c", []byte(applicationID), 0)
			}
			if got := m.read(0x1D); !bytes.Equal(got, d.SOD) {
				t.Error("EF.SOD differs")
			}
			if got := hex.EncodeToString(m.read(0x1E)); !strings.HasSuffix(got, tt.com) {
				t.Errorf("EF.COM %s, want tags %s", got, tt.com)
			}
			for dg, want := range d.Groups {
				if got := m.read(byte(dg)); !bytes.Equal(got, want) {
					t.Errorf("DG%d differs", dg)
				}
				sum := sum256(want)
				if p.Name == ProfilePassportOld {
					sum = sum1(want)
				}
				if !bytes.Contains(d.SOD, sum) {
					t.Errorf("hash of DG%d is not in EF.SOD", dg)
				}
			}
			for _, dg := range tt.absent {
				if _, sw := m.do(fmt.Sprintf("00b0%02x00", 0x80|dg), nil, 256); sw != apdu.FileNotFound {
					t.Errorf("DG%d: %04X", dg, uint16(sw))
				}
			}
			for _, dg := range tt.hidden {
				if _, sw := m.do(fmt.Sprintf("00b0%02x00", 0x80|dg), nil, 256); sw != apdu.SecurityStatusNotSatisfied {
					t.Errorf("DG%d: %04X", dg, uint16(sw))
				}
			}
			if tt.aa > 0 {
				if signature, sw := m.do("00880000", []byte("8 bytes!"), 256); sw != apdu.OK || len(signature) != tt.aa {
					t.Errorf("active authentication: %d bytes, %04X", len(signature), uint16(sw))
				}
			} else if _, sw := m.do("00880000", []byte("8 bytes!"), 256); sw != apdu.InstructionNotSupported {
				t.Errorf("active authentication: %04X", uint16(sw))
			}
			for _, ca := range d.Personalisation.allCA() {
				if ca.Protocol == "" {
					continue
				}
				if sw := m.chipAuthentication(ca, strings.HasSuffix(ca.Protocol, ".1"), ca.KeyID != 0, nil); sw != apdu.OK {
					t.Errorf("chip authentication: %04X", uint16(sw))
				}
				m.read(1)
			}
			if certificates := [][]byte{d.CSCA, d.DS}; !bytes.Contains(d.SOD, d.DS) || bytes.Contains(d.SOD, d.CSCA) {
				t.Errorf("EF.SOD does not hold just the signer's certificate of %d", len(certificates))
			}
		})
	}
}

// TestPACEProfile opens a card with PACE, CAN and MRZ, as the terminal of
// appendix G.1 would.
func TestPACEProfile(t *testing.T) {
	d := build(t, ProfileCCCDPACE, Options{})
	for name, password := range map[string]struct {
		reference byte
		secret    []byte
	}{
		"CAN": {2, []byte(d.CAN)},
		"MRZ": {1, sum1([]byte(information(d.MRZ)))},
	} {
		t.Run(name, func(t *testing.T) {
			m := insert(t, d)
			access := m.want("00b09c0000", apdu.OK)
			if got := hex.EncodeToString(access); got != "31143012060a04007f0007020204020202010202010d" {
				t.Errorf("EF.CardAccess %s", got)
			}
			if got := d.Groups[14]; !bytes.Contains(got, access[2:]) {
				t.Error("DG14 does not repeat PACEInfo")
			}
			if sw := m.pace(*d.Personalisation.PACE, password.reference, password.secret, nil, paceOptions{}); sw != apdu.OK {
				t.Fatalf("PACE: %04X", uint16(sw))
			}
			if _, sw := m.do("00a4040c", []byte(applicationID), 0); sw != apdu.OK {
				t.Fatalf("SELECT application: %04X", uint16(sw))
			}
			if got := m.read(1); !bytes.Equal(got, d.Groups[1]) {
				t.Error("DG1 differs")
			}

			// Chip authentication with the key in DG14, which a clone has not.
			public := d.Personalisation.ChipAuthentication.Key.EC.Public()
			if !bytes.Contains(m.read(14), public.Bytes()) {
				t.Fatal("DG14 does not hold the key of chip authentication")
			}
			if sw := m.chipAuthentication(*d.Personalisation.ChipAuthentication, false, false, nil); sw != apdu.OK {
				t.Fatalf("chip authentication: %04X", uint16(sw))
			}
			if got := m.read(1); !bytes.Equal(got, d.Groups[1]) {
				t.Error("DG1 differs under the new keys")
			}
		})
	}
	t.Run("clone", func(t *testing.T) {
		clone := build(t, ProfileCCCDPACE, Options{Tamper: TamperClone})
		public := clone.Personalisation.ChipAuthentication.Key.EC.Public()
		if bytes.Contains(clone.Groups[14], public.Bytes()) {
			t.Error("the clone has the key of chip authentication")
		}
	})
}

// TestChipAuthenticationRefusals: the old session stays in force.
func TestChipAuthenticationRefusals(t *testing.T) {
	d := build(t, ProfileCCCDPACE, Options{})
	m := insert(t, d)
	m.want(selectApplication, apdu.OK)
	m.want("002241a40c800a04007f00070202030202", apdu.SecurityStatusNotSatisfied)
	if sw := m.bac(information(d.MRZ)); sw != apdu.OK {
		t.Fatalf("BAC: %04X", uint16(sw))
	}
	point := d.Personalisation.ChipAuthentication.Key.EC.Public().Bytes()
	point[64] ^= 1 // off the curve
	tests := []struct {
		name, header string
		data         []byte
		want         apdu.Status
	}{
		{"another protocol", "002241a4", vectortest.Hex(t, "800a04007f00070202030203"), apdu.WrongData},
		{"Set KAT without 3DES", "002241a6", object(0x91, point), apdu.FunctionNotSupported},
		{"key agreement before MSE", "00860000", object(0x7C, object(0x80, point)), apdu.ConditionsNotSatisfied},
		{"protocol", "002241a4", vectortest.Hex(t, "800a04007f00070202030202"), apdu.OK},
		{"point off the curve", "00860000", object(0x7C, object(0x80, point)), apdu.WrongData},
		{"MSE is used up", "00860000", object(0x7C, object(0x80, point)), apdu.ConditionsNotSatisfied},
		{"protocol again", "002241a4", vectortest.Hex(t, "800a04007f00070202030202"), apdu.OK},
		{"no ephemeral key", "00860000", []byte{0x7C, 0}, apdu.WrongData},
	}
	for _, tt := range tests {
		if _, sw := m.do(tt.header, tt.data, 256); sw != tt.want {
			t.Errorf("%s: %04X, want %04X", tt.name, uint16(sw), uint16(tt.want))
		}
	}
	if got := m.read(1); !bytes.Equal(got, d.Groups[1]) {
		t.Error("DG1 differs")
	}
}

// TestPrinted: DG1, the printed lines, the QR text and the CAN agree.
func TestPrinted(t *testing.T) {
	for _, p := range specimen.People() {
		if p.Kind != specimen.CitizenCard {
			continue
		}
		d := build(t, ProfileCCCDNoAA, Options{Person: p.ID, Rand: seeded("printed")})
		if got := string(d.Groups[1][5:]); got != strings.Join(d.MRZ, "") {
			t.Errorf("%s: DG1 holds %q", p.ID, got)
		}
		if !strings.HasPrefix(d.QR, d.MRZ[0][15:27]+"|") || strings.Count(d.QR, "|") != 6 {
			t.Errorf("%s: QR %q", p.ID, d.QR)
		}
		if d.CAN != "" {
			t.Errorf("%s: a CAN without PACE", p.ID)
		}
	}
}

// TestTamper: each kind changes what it says and nothing else.
func TestTamper(t *testing.T) {
	const profile = ProfileCCCD
	pki, err := NewPKI(profile, defaultAt, seeded("pki"))
	if err != nil {
		t.Fatal(err)
	}
	document := func(t *testing.T, tamper Tamper) *Document {
		return build(t, profile, Options{PKI: pki, Tamper: tamper, Rand: seeded("document")})
	}
	original := document(t, TamperNone)
	hashed := func(d *Document, dg int) bool { return bytes.Contains(d.SOD, sum256(d.Groups[dg])) }

	for _, info := range Tampers() {
		if info.Kind == TamperCardSecurity {
			continue // this profile has none
		}
		t.Run(string(info.Kind), func(t *testing.T) {
			d := document(t, info.Kind)
			for dg := range d.Groups {
				altered := info.Kind == TamperDG1 && dg == 1 || info.Kind == TamperDG13 && dg == 13
				if hashed(d, dg) == altered {
					t.Errorf("DG%d hashed in EF.SOD: %t", dg, !altered)
				}
				if len(d.Groups[dg]) != len(original.Groups[dg]) {
					t.Errorf("DG%d has another length", dg)
				}
			}
			if !bytes.Equal(d.CSCA, original.CSCA) {
				t.Error("another trust anchor")
			}
			if same := bytes.Equal(d.DS, original.DS); same == (info.Kind == TamperExpiredDS || info.Kind == TamperUnknownCSCA) {
				t.Errorf("same signer: %t", same)
			}
			m := insert(t, d)
			want := apdu.OK
			if info.Kind == TamperWrongKey {
				want = apdu.AuthenticationFailed
			}
			if sw := m.bac(information(d.MRZ)); sw != want {
				t.Errorf("BAC: %04X, want %04X", uint16(sw), uint16(want))
			}
			public, err := d.Personalisation.ActiveAuthentication.PublicKeyInfo()
			if err != nil {
				t.Fatal(err)
			}
			if same := bytes.HasSuffix(d.Groups[15], public); same == (info.Kind == TamperClone) {
				t.Errorf("the chip has the private key of DG15: %t", same)
			}
			if torn := d.Personalisation.TearAfter > 0; torn != (info.Kind == TamperTorn) {
				t.Errorf("torn: %t", torn)
			}
			if info.Kind == TamperSODSignature {
				diff := 0
				for i := range d.SOD {
					diff += bits.OnesCount8(d.SOD[i] ^ original.SOD[i])
				}
				if len(d.SOD) != len(original.SOD) || diff != 1 {
					t.Errorf("EF.SOD differs in %d bits, want 1", diff)
				}
			}
		})
	}
}

func TestBuildRefuses(t *testing.T) {
	tests := []struct {
		name, profile string
		opt           Options
		want          error
	}{
		{"unknown profile", "eac", Options{}, ErrUnknownProfile},
		{"unknown person", ProfileCCCD, Options{Person: "nobody"}, ErrUnknownPerson},
		{"citizen with a passport", ProfilePassportBAC, Options{Person: standardCitizen}, ErrUnknownPerson},
		{"traveller with a citizen card", ProfileCCCD, Options{Person: standardTraveller}, ErrUnknownPerson},
		{"unknown tampering", ProfileCCCD, Options{Tamper: "dg2"}, ErrUnknownTamper},
		{"clone without a key", ProfileCCCDNoAA, Options{Tamper: TamperClone}, ErrTamperNotApplicable},
		{"card security without one", ProfileCCCDPACE, Options{Tamper: TamperCardSecurity}, ErrTamperNotApplicable},
		{"DG13 of a passport", ProfilePassportBAC, Options{Tamper: TamperDG13}, ErrTamperNotApplicable},
		{"no randomness", ProfileCCCD, Options{Rand: bytes.NewReader(nil)}, io.EOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d, err := Build(tt.profile, tt.opt); !errors.Is(err, tt.want) || d != nil {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := NewPKI("eac", defaultAt, nil); !errors.Is(err, ErrUnknownProfile) {
		t.Errorf("NewPKI: %v", err)
	}
}

// TestPassportTampers: the kinds that apply to the other profile too.
func TestPassportTampers(t *testing.T) {
	pki, err := NewPKI(ProfilePassportBAC, defaultAt, seeded("pki"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tamper := range []Tamper{TamperDG1, TamperClone, TamperWrongKey, TamperExpiredDS, TamperUnknownCSCA, TamperSODSignature, TamperTorn} {
		d := build(t, ProfilePassportBAC, Options{Tamper: tamper, PKI: pki})
		m := insert(t, d)
		want := apdu.OK
		if tamper == TamperWrongKey {
			want = apdu.AuthenticationFailed
		}
		if sw := m.bac(information(d.MRZ)); sw != want {
			t.Errorf("%s: BAC: %04X, want %04X", tamper, uint16(sw), uint16(want))
		}
		if hashed := bytes.Contains(d.SOD, sum256(d.Groups[1])); hashed == (tamper == TamperDG1) {
			t.Errorf("%s: DG1 hashed in EF.SOD: %t", tamper, hashed)
		}
	}
}

// TestDeterministicDocument: one seed, one document.
func TestDeterministicDocument(t *testing.T) {
	for _, name := range []string{ProfileCCCD, ProfilePassportBAC, ProfilePassportPACECAM, ProfilePassportOld} {
		a, b := build(t, name, Options{}), build(t, name, Options{})
		if !bytes.Equal(a.SOD, b.SOD) || !bytes.Equal(a.CSCA, b.CSCA) || !bytes.Equal(a.Groups[15], b.Groups[15]) ||
			!bytes.Equal(a.CardSecurity, b.CardSecurity) {
			t.Errorf("%s: two runs differ", name)
		}
	}
}

// TestLoadBSI reads the reference document.
func TestLoadBSI(t *testing.T) {
	dir := vectortest.Path(t, "bsi-reference-dataset")
	d, err := LoadBSI(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	m := insert(t, d)
	if sw := m.bac(information(d.MRZ)); sw != apdu.OK {
		t.Fatalf("BAC: %04X", uint16(sw))
	}
	for sfi, name := range map[byte]string{
		0x1E: "EF_COM.bin", 0x1D: "EF_SOD.bin",
		1: "Datagroup1.bin", 2: "Datagroup2.bin", 14: "Datagroup14.bin", 15: "Datagroup15.bin",
	} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.read(sfi); !bytes.Equal(got, want) {
			t.Errorf("%s differs", name)
		}
	}
	for _, dg := range []int{3, 4} {
		if _, sw := m.do(fmt.Sprintf("00b0%02x00", 0x80|dg), nil, 256); sw != apdu.SecurityStatusNotSatisfied {
			t.Errorf("DG%d: %04X", dg, uint16(sw))
		}
	}
	// The private keys belong to the published public ones.
	info, err := d.Personalisation.ActiveAuthentication.PublicKeyInfo()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(d.Groups[15], info) {
		t.Error("DG15 holds another key")
	}
	ca := d.Personalisation.ChipAuthentication
	// Our encoding is the published one.
	public, err := issuer.ChipAuthenticationPublicKeyInfo(ca.Key, 0)
	if err != nil {
		t.Fatal(err)
	}
	protocol, err := issuer.ChipAuthenticationInfo(ca.Protocol, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, info := range [][]byte{public, protocol} {
		if !bytes.Contains(d.Groups[14], info) {
			t.Errorf("DG14 does not contain our SecurityInfo %d: %x", i, info)
		}
	}
	signature, sw := m.do("00880000", []byte("8 bytes!"), 256)
	if sw != apdu.OK || len(signature) != 128 {
		t.Errorf("active authentication: %d bytes, %04X", len(signature), uint16(sw))
	}

	for _, missing := range []string{
		"EF_COM.bin", "EF_SOD.bin", "Datagroup1.bin", "Datagroup2.bin", "Datagroup14.bin", "Datagroup15.bin",
		"DG14_sk.pkcs8", "DG15_sk.pkcs8",
	} {
		files := fstest.MapFS{}
		if err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(filepath.Join(dir, name))
			files[name] = &fstest.MapFile{Data: b}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		whole := files[missing].Data
		delete(files, missing)
		if _, err := LoadBSI(files); !errors.Is(err, ErrBSI) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without %s: %v", missing, err)
		}
		files[missing] = &fstest.MapFile{}
		if _, err := LoadBSI(files); !errors.Is(err, ErrBSI) {
			t.Errorf("with an empty %s: %v", missing, err)
		}
		if missing == "Datagroup1.bin" || strings.HasSuffix(missing, "pkcs8") {
			files[missing] = &fstest.MapFile{Data: whole[:len(whole)-1]}
			if _, err := LoadBSI(files); !errors.Is(err, ErrBSI) {
				t.Errorf("with a cut %s: %v", missing, err)
			}
		}
	}
}

// Modes of FuzzTransmit. The lower bits choose the one variant of PACE.
const (
	fuzzPACE   = 0x80 // no session to begin with, and one variant of PACE only
	fuzzQuirks = 0x40
)

// FuzzTransmit sends sequences of arbitrary commands, in clear and under secure
// messaging: the chip never panics, and always answers with two bytes or more.
// The input is a list of commands, each behind its two-byte length; the highest
// bit of the length has the command protected.
func FuzzTransmit(f *testing.F) {
	list := func(cmds ...string) []byte {
		var b []byte
		for _, c := range cmds {
			protected := strings.HasPrefix(c, "sm:")
			raw := vectortest.Hex(f, strings.TrimPrefix(c, "sm:"))
			n := len(raw)
			if protected {
				n |= 0x8000
			}
			b = append(b, byte(n>>8), byte(n))
			b = append(b, raw...)
		}
		return b
	}
	d3, d4 := bacExamples(f)
	f.Add(byte(0), list(selectApplication, d3.APDUs[0].Command, d3.APDUs[1].Command, d4.Exchanges[0].ProtectedCommand))
	f.Add(byte(0), list("sm:00b09e0000", "sm:00b1001e0354010000", "sm:0088000008010203040506070800", "sm:00a4020c020101"))
	f.Add(byte(0), list("sm:00b09e00000000", "sm:002241a40f800a04007f00070202030202840101", "sm:008600003d7c3b8039"))
	f.Add(byte(0), list("00c0000000", "ffca000000", "00", "00a4", "0cb0000000"))
	f.Add(byte(fuzzQuirks), list("sm:002241a40f800a04007f00070202030102840102", "sm:00860000067c0480020102", "sm:002241a606910101840102",
		"sm:00b09e0a14", "sm:00b08bff00", "sm:00b1001e0354010a05"))
	for i, file := range []string{"G2-pace-dh-gm", "H2-pace-dh-im", "H1-pace-ecdh-im", "I1-pace-ecdh-cam", "G1-pace-ecdh-gm"} {
		e := loadPACE(f, "testdata/9303-11-"+file+".json")[0]
		var steps []string
		for j := range e.APDUs {
			steps = append(steps, e.command(j))
		}
		f.Add(byte(fuzzPACE|i), list(steps...))
	}

	key := func(k *issuer.Key, err error) *issuer.Key {
		if err != nil {
			f.Fatal(err)
		}
		return k
	}
	aa := key(issuer.NewECKey(seeded("fuzz"), "P-256", false))
	static := key(issuer.NewECKey(seeded("fuzz static"), "brainpoolP256r1", false))
	group := key(issuer.NewDHKey(seeded("fuzz group"), 0, false))
	variants := []PACE{
		{Protocol: "0.4.0.127.0.7.2.2.4.1.2"},
		{Protocol: "0.4.0.127.0.7.2.2.4.3.2"},
		{Protocol: "0.4.0.127.0.7.2.2.4.4.2", ParameterID: 13},
		{Protocol: "0.4.0.127.0.7.2.2.4.6.2", ParameterID: 13},
		{Protocol: oidPACEGMAES128, ParameterID: 13},
	}
	f.Fuzz(func(t *testing.T, mode byte, input []byte) {
		m := newTestChip(t, func(p *Personalisation) {
			p.MorePACE = variants
			if mode&fuzzPACE != 0 {
				i := int(mode) % 8 % len(variants)
				p.MorePACE = variants[i : i+1]
			}
			p.CAN, p.CANTries = "123456", 3
			p.ActiveAuthentication = aa
			p.ChipAuthentication = &ChipAuthentication{Protocol: "0.4.0.127.0.7.2.2.3.2.2", Key: aa, KeyID: 1}
			p.MoreChipAuthentication = []ChipAuthentication{
				{Protocol: "0.4.0.127.0.7.2.2.3.1.1", Key: group, KeyID: 2},
				{Protocol: "0.4.0.127.0.7.2.2.3.1.2", Key: group, KeyID: 2},
				{Key: static, KeyID: 13},
			}
			p.Limits = Limits{Extended: true, GetResponse: true, Protected: 300}
			p.Rand = seeded("chip")
			if mode&fuzzQuirks != 0 {
				p.Limits.ShortEnd, p.Limits.OverLimit = 0x6C00, 0x6C00
				p.Quirks = Quirks{RefuseLe: true, RefuseLe00: true, PadPastEnd: true, Naked: NakedCounted, AATruncate: 3, FailedPACELocks: true}
			}
		})
		if mode&fuzzPACE == 0 {
			open(m)
		}
		for range 64 { // commands in one sequence
			if len(input) < 2 {
				return
			}
			n, protected := int(input[0]&0x7F)<<8|int(input[1]), input[0]&0x80 != 0
			input = input[2:]
			cmd := input[:min(n, len(input))]
			input = input[len(cmd):]
			if in, ok := parseCommand(cmd); protected && ok && m.block != nil {
				ne := min(in.ne, 0xFFFF)
				extended := in.extended || ne > 256 || len(in.data) > 200
				cmd = m.protect(cmd[:4], in.data, ne, extended)
			}
			resp, err := m.chip.Transmit(t.Context(), cmd)
			if err != nil || len(resp) < 2 || len(resp) > maxExtended+2 {
				t.Fatalf("response of %d bytes, error %v", len(resp), err)
			}
			if sw1 := resp[len(resp)-2]; sw1>>4 != 6 && sw1>>4 != 9 {
				t.Fatalf("status %X", resp[len(resp)-2:])
			}
			if m.block != nil {
				m.count() // the counters stay together while the session lasts
			}
		}
	})
}
