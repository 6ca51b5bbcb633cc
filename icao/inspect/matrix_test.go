package inspect_test

import (
	"bytes"
	"crypto"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/result"
)

// The matrix reads one document for every combination that a chip may have. The
// full product: PACE mapping x group x cipher x password; chip authentication
// group x cipher; active authentication key x hash x form; algorithm of EF.SOD
// scheme x hash x the rest of its parameters. Pairwise, each value with every
// group of PACE or with a fixed rest: explicit domain parameters, encodings of
// keys, key identifiers, shapes of the signed data, limits of the chip.
//
// A chip of ours that our reader opens is no proof of conformity: the published
// examples are (package pace, chipauth, activeauth, cms). The matrix proves that
// no combination falls between the packages.

// stream is a source of randomness that is the same in every run.
func stream(seed string) *rand.ChaCha8 {
	var s [32]byte
	copy(s[:], seed)
	return rand.NewChaCha8(s)
}

// matrixKeys are shared by all documents of this package's tests: a key of 4096
// bits takes a second.
var matrixKeys = issuer.NewKeyCache(stream("matrix"))

// thumbnail is a portrait of one exchange.
var thumbnail = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
		panic(err)
	}
	return b.Bytes()
})

// variant builds the document of a variant, a passport unless v says otherwise, with
// what the matrix does not vary filled in.
func variant(t testing.TB, v chip.Variant) *chip.Document {
	t.Helper()
	if v.Kind == 0 {
		v.Kind = specimen.Passport
	}
	if v.Signer == (issuer.Algorithm{}) {
		v.Signer = issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA256, Curve: "P-256", Explicit: true}
	}
	if v.Portrait.Image == nil && v.Portrait.Size == 0 {
		v.Portrait.Image, v.Portrait.Width, v.Portrait.Height = thumbnail(), 8, 8
	}
	d, err := chip.BuildVariant(v, chip.Options{At: at, Keys: matrixKeys, Rand: stream("document")})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// buffered is a chip that carries keys modulo a prime of 2048 bits in one command.
var buffered = chip.Limits{Extended: true, GetResponse: true, Plain: 4094, Protected: 4094}

// want says what the checks of a genuine document of v have to be; what it does
// not name has to be successful.
func want(v chip.Variant, byCAN bool) map[inspect.ID]result.Value {
	cam := slices.ContainsFunc(v.PACE, func(p chip.PACE) bool { return strings.Contains(p.Protocol, ".2.2.4.6.") })
	w := map[inspect.ID]result.Value{inspect.Revocation: unk} // no list is known
	unless := func(offered bool, value result.Value, ids ...inspect.ID) {
		if !offered {
			for _, id := range ids {
				w[id] = value
			}
		}
	}
	announced := v.AA != nil && (v.AA.Kind.Curve != "" || v.AA.Form.PSS) && !v.AA.NotAnnounced
	unless(v.Kind == specimen.CitizenCard, nos, inspect.DG13Integrity)
	unless(v.Kind == specimen.CitizenCard, nop, inspect.DataConsistency)
	unless(len(v.PACE) > 0, nos, inspect.CardAccess)
	unless(cam, nos, inspect.PACECAM)
	unless(len(v.CA) > 0, nos, inspect.ChipAuthentication)
	unless(v.AA != nil, nos, inspect.ActiveAuthentication)
	unless(v.AA != nil, nop, inspect.DG15Integrity)
	unless(cam || len(v.CA) > 0 || v.AA != nil, nos, inspect.ChipAuthenticity)
	unless(len(v.PACE) > 0 || len(v.CA) > 0 || announced || v.TerminalAuthentication, nos, inspect.DG14Integrity)
	unless(!byCAN, nos, inspect.KeyBinding)
	return w
}

// a tap is one inspection of a document.
type tap struct {
	byCAN      bool
	change     func(*inspect.Config)
	deviations []string                          // that are expected, and no others
	except     map[inspect.ID]result.Value       // beside want
	through    func(*chip.Chip) *terminal        // nil: a terminal that can reset
	report     func(*testing.T, *inspect.Report) // nil: nothing else is looked at
}

// accepted inspects d, which is of variant v, and wants everything about it found
// in order.
func accepted(t *testing.T, v chip.Variant, d *chip.Document, p tap) {
	t.Helper()
	if v.Kind == 0 {
		v.Kind = specimen.Passport
	}
	c, err := d.Chip()
	if err != nil {
		t.Fatal(err)
	}
	a := access(t, d)
	if p.byCAN {
		a = inspect.Access{CAN: d.CAN}
	}
	trusted := pool(t, d.CSCA)
	if v.SOD.NoCertificate {
		ds, err := cms.ParseCertificate(d.DS)
		if err != nil {
			t.Fatal(err)
		}
		trusted.AddSigner(ds)
	}
	cfg := &inspect.Config{At: at, Trust: trusted, Photo: true}
	if p.change != nil {
		p.change(cfg)
	}
	term := &terminal{chip: c}
	if p.through != nil {
		term = p.through(c)
	}
	r, err := inspect.Run(t.Context(), resettable{term}, a, cfg)
	if err != nil {
		t.Fatal(err)
	}
	expected := want(v, p.byCAN)
	for id, value := range p.except {
		expected[id] = value
	}
	for _, check := range r.Checks() {
		w := ok
		if value, is := expected[check.ID]; is {
			w = value
		}
		if check.Value != w {
			t.Errorf("%s: got %v (%s), want %v", check.ID, check.Value, check.Reason, w)
		}
	}
	if !r.TextVerified() {
		t.Error("the text is not verified")
	}
	if r.Photo == nil {
		t.Errorf("no photo: %s", r.PhotoNote)
	}
	if !slices.Equal(slices.Sorted(slices.Values(r.Deviations)), slices.Sorted(slices.Values(p.deviations))) {
		t.Errorf("deviations %q, want %q", r.Deviations, p.deviations)
	}
	if p.report != nil {
		p.report(t, r)
	}
}

// Second arcs of the protocols of PACE, and the ciphers by their last arc.
const (
	dhGM, ecdhGM, dhIM, ecdhIM, ecdhCAM = 1, 2, 3, 4, 6
)

var (
	mappings    = map[int]string{dhGM: "DH-GM", ecdhGM: "ECDH-GM", dhIM: "DH-IM", ecdhIM: "ECDH-IM", ecdhCAM: "ECDH-CAM"}
	mappingArcs = []int{dhGM, ecdhGM, dhIM, ecdhIM, ecdhCAM}
	ciphers     = []string{1: "3DES", 2: "AES-128", 3: "AES-192", 4: "AES-256"}
	hashes      = []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}
	// curveIDs are the numbers of the standardized curves (Doc 9303-11, 9.5.1).
	curveIDs = []int{8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}
)

func paceOf(arc, cipher, id int) chip.PACE {
	return chip.PACE{Protocol: fmt.Sprintf("0.4.0.127.0.7.2.2.4.%d.%d", arc, cipher), Version: 2, ParameterID: id}
}

// everyPACE is every mapping, group and cipher of Doc 9303-11, 9.2.3 and 9.5.1:
// chip authentication mapping has no 3DES and no groups modulo a prime, and
// integrated mapping does not exist on P-224 (number 10), whose prime is 1 mod 4.
func everyPACE(f func(name string, p chip.PACE)) {
	for _, arc := range mappingArcs {
		ids := curveIDs
		if arc == dhGM || arc == dhIM {
			ids = []int{0, 1, 2}
		}
		for _, id := range ids {
			for c, name := range ciphers {
				if c == 0 || arc == ecdhIM && id == 10 || arc == ecdhCAM && c == 1 {
					continue
				}
				f(fmt.Sprintf("%s %s %d", mappings[arc], name, id), paceOf(arc, c, id))
			}
		}
	}
}

// TestMatrixPACE is the full product of mapping, group, cipher and password.
func TestMatrixPACE(t *testing.T) {
	t.Parallel()
	n := 0
	everyPACE(func(name string, p chip.PACE) {
		v := chip.Variant{PACE: []chip.PACE{p}, CAN: "123456", NoBAC: n%2 == 0, Limits: buffered}
		ways := []bool{false, true}
		if !long() {
			ways = ways[n/2%2:][:1] // n%2 is that of NoBAC
		}
		n++
		t.Run(name, func(t *testing.T) {
			d := variant(t, v)
			for _, byCAN := range ways {
				accepted(t, v, d, tap{byCAN: byCAN, report: func(t *testing.T, r *inspect.Report) {
					if name, _, _ := strings.Cut(strings.TrimPrefix(r.Access, "PACE "), " "); name != mappings[arcOf(p)] {
						t.Errorf("opened by %q", r.Access)
					}
				}})
			}
		})
	})
	if want := 2*3*4 + 11*4 + 10*4 + 11*3; n != want {
		t.Errorf("%d combinations, want %d", n, want)
	}
}

// arcOf is the second arc of the protocol.
func arcOf(p chip.PACE) (arc int) {
	_, _ = fmt.Sscanf(strings.TrimPrefix(p.Protocol, "0.4.0.127.0.7.2.2.4."), "%d", &arc)
	return arc
}

// TestMatrixPACEOffers: several variants in one EF.CardAccess, explicit domain
// parameters, and parameters left out. Pairwise.
func TestMatrixPACEOffers(t *testing.T) {
	explicit := func(arc, cipher int, curve string) chip.PACE {
		p := paceOf(arc, cipher, 40)
		p.Curve = curve
		return p
	}
	tests := []struct {
		name   string
		v      chip.Variant
		access string
	}{
		{"all mappings of one curve", chip.Variant{PACE: []chip.PACE{paceOf(ecdhGM, 2, 13), paceOf(ecdhIM, 2, 13), paceOf(ecdhCAM, 2, 13)}}, "PACE ECDH-CAM AES-128 brainpoolP256r1"},
		{"two curves", chip.Variant{PACE: []chip.PACE{paceOf(ecdhGM, 2, 13), paceOf(ecdhGM, 4, 16)}}, ""},
		{"a curve and a prime", chip.Variant{PACE: []chip.PACE{paceOf(dhGM, 2, 2), paceOf(ecdhGM, 2, 13)}, Limits: buffered}, ""},
		{"3DES and AES", chip.Variant{PACE: []chip.PACE{paceOf(ecdhGM, 1, 12), paceOf(ecdhGM, 4, 12)}}, ""},
		{"parameters by reference only", chip.Variant{PACE: []chip.PACE{paceOf(ecdhGM, 2, 12)}, Quirks: chip.Quirks{PACEReference: 0x6A88}}, ""},
		{"generic mapping, explicit", chip.Variant{PACE: []chip.PACE{explicit(ecdhGM, 2, "brainpoolP256r1")}}, ""},
		{"integrated mapping, explicit", chip.Variant{PACE: []chip.PACE{explicit(ecdhIM, 3, "P-384")}}, ""},
		{"chip authentication mapping, explicit", chip.Variant{PACE: []chip.PACE{explicit(ecdhCAM, 4, "brainpoolP512r1")}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.v.CAN = "123456"
			d := variant(t, tt.v)
			for _, byCAN := range []bool{false, true} {
				accepted(t, tt.v, d, tap{byCAN: byCAN, report: func(t *testing.T, r *inspect.Report) {
					if tt.access != "" && r.Access != tt.access || !strings.HasPrefix(r.Access, "PACE ") {
						t.Errorf("opened by %q, want %q", r.Access, tt.access)
					}
				}})
			}
		})
	}
}

func caProtocol(id, cipher int) string {
	arc := 2
	if id < 8 {
		arc = 1
	}
	return fmt.Sprintf("0.4.0.127.0.7.2.2.3.%d.%d", arc, cipher)
}

func caKind(id int) chip.KeyKind {
	if id < 8 {
		return chip.KeyKind{Group: id}
	}
	return chip.KeyKind{Curve: issuer.CurveByID(id), Explicit: true}
}

// TestMatrixChipAuthentication is the full product of group and cipher; the
// encoding of the key, its identifier and the access protocol take turns.
func TestMatrixChipAuthentication(t *testing.T) {
	t.Parallel()
	n := 0
	for _, id := range append([]int{0, 1, 2}, curveIDs...) {
		for c, name := range ciphers {
			if c == 0 {
				continue
			}
			v := chip.Variant{
				CA: []chip.CAKey{{
					Protocol: caProtocol(id, c), Kind: caKind(id), KeyID: n % 3,
					PKCS3: n%2 == 0, Standardized: n%5 == 0,
				}},
				Limits: buffered,
			}
			if n%2 == 1 { // the channel that is replaced
				v.PACE = []chip.PACE{paceOf(ecdhGM, n/2%4+1, 12)}
			}
			n++
			var deviations []string
			if id < 8 && !v.CA[0].PKCS3 && !v.CA[0].Standardized {
				deviations = []string{"chip_authentication_key_x942"} // Doc 9303-11, 9.6, names PKCS #3
			}
			t.Run(fmt.Sprintf("%d %s", id, name), func(t *testing.T) { accepted(t, v, variant(t, v), tap{deviations: deviations}) })
		}
	}
}

// TestMatrixChipAuthenticationForms: how documents announce chip authentication
// and how chips want to be asked. Pairwise.
func TestMatrixChipAuthenticationForms(t *testing.T) {
	p256, bp256, group := chip.KeyKind{Curve: "P-256"}, chip.KeyKind{Curve: "brainpoolP256r1", Explicit: true}, chip.KeyKind{Group: 1}
	aes, des, desDH := caProtocol(12, 2), caProtocol(12, 1), caProtocol(1, 1)
	cam := []chip.PACE{paceOf(ecdhCAM, 2, 12)}
	tests := []struct {
		name       string
		v          chip.Variant
		deviations []string
	}{
		{"key without an info", chip.Variant{CA: []chip.CAKey{{Protocol: des, Kind: p256, NoInfo: true}}}, []string{"chip_authentication_info_missing"}},
		{"key without an info, modulo a prime", chip.Variant{CA: []chip.CAKey{{Protocol: desDH, Kind: group, PKCS3: true, NoInfo: true}}}, []string{"chip_authentication_info_missing"}},
		{"3DES by MSE:Set AT only", chip.Variant{CA: []chip.CAKey{{Protocol: des, Kind: p256}}, Quirks: chip.Quirks{NoSetKAT: true}}, []string{"chip_authentication_kat_refused"}},
		{"3DES by MSE:Set KAT only", chip.Variant{CA: []chip.CAKey{{Protocol: des, Kind: p256}}, Quirks: chip.Quirks{NoSetAT: true}}, nil},
		{"two keys", chip.Variant{CA: []chip.CAKey{{Protocol: aes, Kind: p256, KeyID: 1}, {Protocol: aes, Kind: bp256, KeyID: 2}}}, nil},
		{"curve and prime", chip.Variant{CA: []chip.CAKey{{Protocol: desDH, Kind: group, PKCS3: true, KeyID: 1}, {Protocol: aes, Kind: bp256, KeyID: 2}}}, nil},
		{"one key, two ciphers", chip.Variant{CA: []chip.CAKey{{Protocol: des, Kind: p256, KeyID: 1}, {Protocol: aes, Kind: p256, KeyID: 1}}}, nil},
		{"beside chip authentication mapping, own key", chip.Variant{PACE: cam, CA: []chip.CAKey{{Protocol: aes, Kind: bp256, KeyID: 1}}}, nil},
		{"beside chip authentication mapping, same key", chip.Variant{PACE: cam, CA: []chip.CAKey{{Protocol: aes, Kind: p256, KeyID: 12}}}, nil},
		{"beside active authentication", chip.Variant{CA: []chip.CAKey{{Protocol: aes, Kind: p256}}, AA: &chip.AAKey{Kind: p256}}, nil},
		{"beside terminal authentication", chip.Variant{CA: []chip.CAKey{{Protocol: aes, Kind: p256}}, TerminalAuthentication: true, Hidden: []int{3}}, nil},
		{"no Le where there is no answer", chip.Variant{CA: []chip.CAKey{{Protocol: aes, Kind: p256}}, Quirks: chip.Quirks{RefuseLe: true}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.v.Limits = buffered
			accepted(t, tt.v, variant(t, tt.v), tap{deviations: tt.deviations})
		})
	}
}

// TestMatrixActiveAuthentication is the full product of key, hash and form, where
// the form exists.
func TestMatrixActiveAuthentication(t *testing.T) {
	t.Parallel()
	read := func(t *testing.T, v chip.Variant) { accepted(t, v, variant(t, v), tap{}) }
	for _, bits := range []int{1024, 1280, 2048, 3072, 4096} {
		for _, hash := range hashes {
			for _, form := range []struct {
				name string
				form chip.AAForm
			}{{"", chip.AAForm{}}, {"smaller", chip.AAForm{Smaller: true}}, {"long trailer", chip.AAForm{LongTrailer: true}}} {
				if form.form.LongTrailer && hash != crypto.SHA1 {
					continue // the others have no short one
				}
				form.form.Hash = hash
				// A response of more than 256 bytes comes in one, or in pieces.
				v := chip.Variant{AA: &chip.AAKey{Kind: chip.KeyKind{Bits: bits}, Form: form.form}, Limits: chip.Limits{GetResponse: true}}
				if bits > 2048 || form.form.Smaller {
					v.Limits = buffered
				}
				t.Run(fmt.Sprintf("RSA %d %v %s", bits, hash, form.name), func(t *testing.T) { read(t, v) })
			}
		}
	}
	// RSASSA-PSS, announced in DG14 or by the key in DG15: no standard has it.
	for _, bits := range []int{2048, 3072} {
		for _, hash := range hashes {
			for _, byKey := range []bool{false, true} {
				v := chip.Variant{AA: &chip.AAKey{Kind: chip.KeyKind{Bits: bits}, Form: chip.AAForm{Hash: hash, PSS: true}, PSSKey: byKey, NotAnnounced: byKey}}
				for name, limits := range map[string]chip.Limits{"in pieces": {GetResponse: true}, "whole": buffered} {
					v.Limits = limits
					t.Run(fmt.Sprintf("RSASSA-PSS %d %v, by key %t, %s", bits, hash, byKey, name), func(t *testing.T) { read(t, v) })
				}
			}
		}
	}
	for _, id := range curveIDs {
		curve := issuer.CurveByID(id)
		for _, hash := range hashes[1:] { // SHA-1 is not for ECDSA: Doc 9303-11, 6.1.2.3
			for _, der := range []bool{false, true} {
				v := chip.Variant{AA: &chip.AAKey{Kind: chip.KeyKind{Curve: curve, Explicit: id%2 == 0}, Form: chip.AAForm{Hash: hash, DER: der}}}
				t.Run(fmt.Sprintf("ECDSA %s %v DER %t", curve, hash, der), func(t *testing.T) { read(t, v) })
			}
		}
		v := chip.Variant{AA: &chip.AAKey{Kind: chip.KeyKind{Curve: curve}, NotAnnounced: true}}
		t.Run(fmt.Sprintf("ECDSA %s not announced", curve), func(t *testing.T) { read(t, v) })
	}
}

// signers are every algorithm of a document signer: scheme, hash, and the
// parameters of the scheme in full product.
func signers(f func(name string, a issuer.Algorithm)) {
	for _, hash := range hashes {
		f(fmt.Sprintf("PKCS1 %v", hash), issuer.Algorithm{Scheme: issuer.PKCS1, Hash: hash})
		for _, mgf := range []crypto.Hash{0, crypto.SHA1, crypto.SHA512} {
			for _, salt := range []int{0, -1, 20, 64} {
				f(fmt.Sprintf("PSS %v MGF %d salt %d", hash, mgf, salt), issuer.Algorithm{Scheme: issuer.PSS, Hash: hash, MGF: mgf, Salt: salt})
			}
		}
		for _, id := range curveIDs {
			for _, plain := range []bool{false, true} {
				for _, explicit := range []bool{false, true} {
					curve := issuer.CurveByID(id)
					f(fmt.Sprintf("ECDSA %s %v plain %t explicit %t", curve, hash, plain, explicit),
						issuer.Algorithm{Scheme: issuer.ECDSA, Hash: hash, Curve: curve, Plain: plain, Explicit: explicit})
				}
			}
		}
	}
}

// TestMatrixSecurityObject: every algorithm of a document signer, under an
// authority of the same algorithm; hashes of the data groups and shapes of the
// signed data take turns.
func TestMatrixSecurityObject(t *testing.T) {
	t.Parallel()
	n := 0
	signers(func(name string, a issuer.Algorithm) {
		v := chip.Variant{Signer: a, SOD: issuer.SODOptions{Hash: hashes[n%len(hashes)]}}
		if n%2 == 1 {
			v.LDSVersion = "0108"
			v.SOD.LDSVersion, v.SOD.UnicodeVersion = "0108", "040000"
		}
		v.SOD.BySKI = n%3 == 1
		v.SOD.NullParameters = n%4 == 3
		n++
		t.Run(name, func(t *testing.T) {
			accepted(t, v, variant(t, v), tap{deviations: sodDeviations(v)})
		})
	})
}

// sodDeviations are those of a document that is signed so.
func sodDeviations(v chip.Variant) []string {
	var out []string
	if v.SOD.Digest != 0 && v.SOD.Digest != v.Signer.Hash {
		out = append(out, "digest_algorithms_differ")
	}
	if v.Signer.Curve != "" && !v.Signer.Explicit {
		out = append(out, "signer: curve_named", "anchor: curve_named")
	}
	if v.Signer.Hash == crypto.SHA1 {
		out = append(out, "sha1", "signer: sha1", "anchor: sha1")
	}
	if v.SOD.Hash == crypto.SHA1 {
		out = append(out, "security_object_hash_sha1")
	}
	return out
}

// TestMatrixSignedData: the shapes of signed data that documents have, each with
// every scheme.
func TestMatrixSignedData(t *testing.T) {
	schemes := []struct {
		name string
		a    issuer.Algorithm
	}{
		{"PKCS1", issuer.RSAPKCS1},
		{"PSS", issuer.RSAPSS},
		{"ECDSA", issuer.ECDSABrainpoolP384},
		{"plain ECDSA", issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA256, Curve: "brainpoolP256r1", Explicit: true, Plain: true}},
	}
	shapes := []struct {
		name   string
		change func(*chip.Variant)
		more   []string
	}{
		{"as most have it", func(*chip.Variant) {}, nil},
		{"by key identifier", func(v *chip.Variant) { v.SOD.BySKI = true }, nil},
		{"signer outside", func(v *chip.Variant) { v.SOD.NoCertificate = true }, nil},
		{"signer outside, by key identifier", func(v *chip.Variant) { v.SOD.NoCertificate, v.SOD.BySKI = true, true }, nil},
		{"parameters NULL", func(v *chip.Variant) { v.SOD.NullParameters = true }, nil},
		{"signing time", func(v *chip.Variant) { v.SOD.SigningTime = at.AddDate(-1, 0, 0) }, nil},
		{"indefinite lengths", func(v *chip.Variant) { v.SOD.Indefinite = true }, []string{"ber_indefinite_length", "ber_constructed_octet_string"}},
		{"another digest of the content", func(v *chip.Variant) { v.SOD.Digest = crypto.SHA512 }, nil},
		{"no key identifiers", func(v *chip.Variant) { v.NoKeyIdentifiers = true }, []string{"signer_authority_key_id_missing"}},
		{"another algorithm of the authority", func(v *chip.Variant) {
			v.Authority = issuer.Algorithm{Scheme: issuer.ECDSA, Hash: crypto.SHA512, Curve: "brainpoolP512r1", Explicit: true}
		}, nil},
		{"rsaEncryption", func(v *chip.Variant) { v.SOD.RSAEncryption = true }, nil},
	}
	for _, s := range schemes {
		for _, shape := range shapes {
			t.Run(s.name+", "+shape.name, func(t *testing.T) {
				if shape.name == "rsaEncryption" && s.name != "PKCS1" {
					return // there is no such thing
				}
				v := chip.Variant{Signer: s.a}
				shape.change(&v)
				accepted(t, v, variant(t, v), tap{deviations: append(sodDeviations(v), shape.more...)})
			})
		}
	}
}

// TestMatrixData: data groups, portraits and limits of chips.
func TestMatrixData(t *testing.T) {
	all := []int{7, 11, 12, 16}
	tests := []struct {
		name string
		v    chip.Variant
	}{
		{"citizen card", chip.Variant{Kind: specimen.CitizenCard}},
		{"optional data groups", chip.Variant{Optional: all}},
		{"packed dates", chip.Variant{Optional: all, BCD: true}},
		{"hidden data groups", chip.Variant{Hidden: []int{3, 4}}},
		{"EF.COM lists too much", chip.Variant{Listed: []int{1, 2, 14, 15}}},
		{"EF.DIR and EF.ATR/INFO", chip.Variant{DIR: true, ATRInfo: true, Limits: buffered}},
		{"large portrait", chip.Variant{Portrait: chip.Portrait{Size: 40_000}, Limits: buffered}},
		{"large portrait in short commands", chip.Variant{Portrait: chip.Portrait{Size: 40_000}}},
		{"ISO/IEC 39794-5", chip.Variant{Portrait: chip.Portrait{ISO39794: true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { accepted(t, tt.v, variant(t, tt.v), tap{}) })
	}
}

// zeroed is a wish for a value with leading zero bytes, and a count of how often
// the chip was asked.
type zeroed struct {
	what chip.Drawn
	at   int // of the byte that is zero: in a point it stands behind the 04
	size int // of a number modulo a prime, which is sent without leading zeros; else 0
	seen int
}

func (z *zeroed) redraw(what chip.Drawn, b []byte) bool {
	if what != z.what {
		return false
	}
	z.seen++
	if z.size > 0 && what != chip.DrawSecret {
		return len(b) >= z.size
	}
	return b[z.at] != 0
}

// TestMatrixLeadingZeros forces a leading zero byte in every value of every
// mapping that the chip's randomness decides: nonce, public keys by both
// coordinates, shared secrets, mapped generators. Encodings that are shorter then
// open the chip in all runs but one in 256 (requirement R8).
func TestMatrixLeadingZeros(t *testing.T) {
	t.Parallel()
	const password = "123456"
	// The smallest curves, because the chip draws some 256 times for each wish, and
	// the one whose width is no multiple of eight bits.
	for _, p := range []chip.PACE{
		paceOf(dhGM, 2, 0), paceOf(ecdhGM, 1, 8), paceOf(ecdhGM, 3, 18),
		paceOf(dhIM, 3, 0), paceOf(ecdhIM, 1, 9), paceOf(ecdhIM, 4, 18),
		paceOf(ecdhCAM, 2, 9), paceOf(ecdhCAM, 3, 18),
	} {
		size, x, y := 0, 1, 0 // a point is 04, x, y
		if g := issuer.GroupByID(p.ParameterID); g != nil {
			size, x = g.Size(), 0
		} else {
			y = 1 + fieldSize(p.ParameterID)
		}
		wishes := map[string]*zeroed{
			"nonce":  {what: chip.DrawNonce},
			"key x":  {what: chip.DrawKey, at: x, size: size},
			"secret": {what: chip.DrawSecret},
		}
		switch arc := arcOf(p); arc {
		case dhGM, ecdhGM, ecdhCAM:
			wishes["mapping key x"] = &zeroed{what: chip.DrawMapKey, at: x, size: size}
			wishes["mapping secret x"] = &zeroed{what: chip.DrawMapSecret, at: x, size: size}
			wishes["generator x"] = &zeroed{what: chip.DrawGenerator, at: x, size: size}
			if size == 0 {
				wishes["mapping key y"] = &zeroed{what: chip.DrawMapKey, at: y}
				wishes["mapping secret y"] = &zeroed{what: chip.DrawMapSecret, at: y}
			}
			if arc == ecdhCAM {
				wishes["authentication data"] = &zeroed{what: chip.DrawChipAuthenticationData}
			}
		}
		if size == 0 {
			wishes["key y"] = &zeroed{what: chip.DrawKey, at: y}
		}
		v := chip.Variant{PACE: []chip.PACE{p}, CAN: password, Limits: buffered}
		d := variant(t, v)
		for name, wish := range wishes {
			t.Run(fmt.Sprintf("%s %d %s", mappings[arcOf(p)], p.ParameterID, name), func(t *testing.T) {
				t.Parallel()
				personal := *d.Personalisation
				personal.Redraw = wish.redraw
				wished := *d
				wished.Personalisation = &personal
				accepted(t, v, &wished, tap{byCAN: true})
				if wish.seen == 0 {
					t.Error("the chip never drew that value")
				}
			})
		}
	}
}

// fieldSize is the length of a coordinate on a standardized curve, in bytes.
func fieldSize(id int) int {
	curve := issuer.CurveByID(id)
	var bits int
	if _, err := fmt.Sscanf(strings.NewReplacer("P-", "", "brainpoolP", "", "r1", "").Replace(curve), "%d", &bits); err != nil {
		panic(err)
	}
	return (bits + 7) / 8
}

// TestMatrixLeadingZerosElsewhere: basic access control and active
// authentication, whose challenges, keys and signatures have fixed widths too.
func TestMatrixLeadingZerosElsewhere(t *testing.T) {
	tests := []struct {
		name string
		v    chip.Variant
		wish zeroed
	}{
		{"RND.IC", chip.Variant{}, zeroed{what: chip.DrawRndIC}},
		{"K.IC", chip.Variant{}, zeroed{what: chip.DrawKIC}},
		{"signature RSA", chip.Variant{AA: &chip.AAKey{Kind: chip.KeyKind{Bits: 1024}}}, zeroed{what: chip.DrawSignature}},
		{"signature ECDSA, r", chip.Variant{AA: &chip.AAKey{Kind: chip.KeyKind{Curve: "P-256"}}}, zeroed{what: chip.DrawSignature}},
		{"signature ECDSA, s", chip.Variant{AA: &chip.AAKey{Kind: chip.KeyKind{Curve: "brainpoolP256r1"}}}, zeroed{what: chip.DrawSignature, at: 32}},
		// In DER a leading zero is not written: SEQUENCE, length, INTEGER, length.
		{"signature ECDSA in DER", chip.Variant{AA: &chip.AAKey{Kind: chip.KeyKind{Curve: "P-256"}, Form: chip.AAForm{DER: true}}}, zeroed{what: chip.DrawSignature, size: 70}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := variant(t, tt.v)
			d.Personalisation.Redraw = tt.wish.redraw
			accepted(t, tt.v, d, tap{})
			if tt.wish.seen == 0 {
				t.Error("the chip never drew that value")
			}
		})
	}
}
