package secinfo_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/secinfo"
)

// A sample is one object of testdata/dg-samples.json with SecurityInfos.
type sample struct {
	ID, File, Hex string
}

// content returns the SecurityInfos of the sample.
func (s sample) content(tb testing.TB) []byte {
	tb.Helper()
	b := vectortest.Hex(tb, s.Hex)
	if s.File != "DG14" {
		return b
	}
	b, err := lds.ParseDG14(b)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func samples(tb testing.TB) (of []sample) {
	tb.Helper()
	var all []sample
	vectortest.JSON(tb, "testdata/dg-samples.json", &all)
	for _, s := range all {
		if s.File == "EF.CardAccess" || s.File == "DG14" {
			of = append(of, s)
		}
	}
	if len(of) != 10 {
		tb.Fatalf("%d samples", len(of))
	}
	return of
}

// kinds counts the entries of SecurityInfos.
func kinds(i secinfo.SecurityInfos) map[string]int {
	m := map[string]int{
		"PACEInfo": len(i.PACE), "PACEDomainParameterInfo": len(i.PACEDomainParameters),
		"ChipAuthenticationInfo": len(i.ChipAuthentication), "ChipAuthenticationPublicKeyInfo": len(i.ChipAuthenticationKeys),
		"ActiveAuthenticationInfo": len(i.ActiveAuthentication), "TerminalAuthenticationInfo": len(i.TerminalAuthentication),
		"": len(i.Other),
	}
	for k, n := range m {
		if n == 0 {
			delete(m, k)
		}
	}
	return m
}

func parse(t testing.TB, text string) secinfo.SecurityInfos {
	t.Helper()
	i, err := secinfo.Parse(vectortest.Hex(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// set wraps entries in a SET, all in hexadecimal.
func set(entries ...string) string { return object(0x31, strings.Join(entries, "")) }

func object(tag byte, value string) string {
	n := len(value) / 2
	header := []byte{tag, byte(n)}
	switch {
	case n >= 0x100:
		header = []byte{tag, 0x82, byte(n >> 8), byte(n)}
	case n >= 0x80:
		header = []byte{tag, 0x81, byte(n)}
	}
	return hex.EncodeToString(header) + value
}

const (
	gm13    = "3012060a04007f0007020204020202010202010d"
	gm12    = "3012060a04007f0007020204020202010202010c"
	im13    = "3012060a04007f0007020204040202010202010d"
	gmAlone = "300f060a04007f00070202040202020102"
)

// Every published example, and those constructed beside them.
func TestSamples(t *testing.T) {
	// What the samples say in words, by name.
	type keyed struct {
		curve string
		point bool
	}
	keys := map[string]keyed{
		"dg14-bsi":                   {"brainpoolP224r1", true},
		"dg14-synthetic-ecdh-aes192": {"brainpoolP384r1", true},
		"dg14-synthetic-ecdh-aes256": {"brainpoolP384r1", true},
		"dg14-synthetic-dh-3des":     {},
		"dg14-synthetic-dh-aes128":   {},
		"dg14-named-curve":           {}, // the point does not fit the curve that is named
		"cardaccess-gm-13":           {},
		"cardaccess-gm-cam":          {},
		"cardaccess-no-parameter-id": {},
		"cardaccess-truncated":       {},
	}
	for _, s := range samples(t) {
		t.Run(s.ID, func(t *testing.T) {
			want, known := keys[s.ID]
			if !known {
				t.Fatal("nothing is known about this sample")
			}
			infos, err := secinfo.Parse(s.content(t))
			if s.ID == "cardaccess-truncated" {
				if !errors.Is(err, secinfo.ErrMalformed) || !cmp.Equal(infos, secinfo.SecurityInfos{}) {
					t.Errorf("%+v, %v", infos, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(infos.Other) != 0 {
				t.Errorf("not understood: %+v", infos.Other)
			}
			if s.File == "DG14" && len(infos.ChipAuthenticationKeys) != 1 {
				t.Fatalf("%v", kinds(infos))
			}
			for _, k := range infos.ChipAuthenticationKeys {
				p, err := k.Point()
				if (err == nil) != want.point || err != nil && !errors.Is(err, secinfo.ErrUnknownParameters) {
					t.Errorf("key: %v", err)
				}
				if err == nil && p.Curve().Name() != want.curve {
					t.Errorf("curve %s, want %s", p.Curve().Name(), want.curve)
				}
				if err == nil && !bytes.Contains(s.content(t), p.Bytes()) {
					t.Error("another point")
				}
			}
		})
	}
}

// The fields of the samples, as the samples state them.
func TestSampleFields(t *testing.T) {
	none := secinfo.NoID
	tests := map[string]secinfo.SecurityInfos{
		"cardaccess-gm-13": {PACE: []secinfo.PACEInfo{{Protocol: "0.4.0.127.0.7.2.2.4.2.2", Version: 2, ParameterID: 13}}},
		// Two protocols with the same parameters: nothing to name.
		"cardaccess-gm-cam": {PACE: []secinfo.PACEInfo{
			{Protocol: "0.4.0.127.0.7.2.2.4.2.2", Version: 2, ParameterID: 13},
			{Protocol: "0.4.0.127.0.7.2.2.4.6.2", Version: 2, ParameterID: 13},
		}},
		"cardaccess-no-parameter-id": {
			PACE:       []secinfo.PACEInfo{{Protocol: "0.4.0.127.0.7.2.2.4.2.2", Version: 2, ParameterID: none}},
			Deviations: []string{secinfo.DevNoParameterID},
		},
		"dg14-bsi": {
			ChipAuthentication:     []secinfo.ChipAuthenticationInfo{{Protocol: "0.4.0.127.0.7.2.2.3.2.1", Version: 1, KeyID: none}},
			ChipAuthenticationKeys: []secinfo.ChipAuthenticationPublicKeyInfo{{Protocol: "0.4.0.127.0.7.2.2.1.2", KeyID: none}},
			TerminalAuthentication: []secinfo.TerminalAuthenticationInfo{{Version: 1}},
		},
		"dg14-synthetic-ecdh-aes192": {
			ChipAuthentication:     []secinfo.ChipAuthenticationInfo{{Protocol: "0.4.0.127.0.7.2.2.3.2.3", Version: 1, KeyID: 7}},
			ChipAuthenticationKeys: []secinfo.ChipAuthenticationPublicKeyInfo{{Protocol: "0.4.0.127.0.7.2.2.1.2", KeyID: 7}},
		},
		"dg14-synthetic-dh-3des": {
			ChipAuthentication:     []secinfo.ChipAuthenticationInfo{{Protocol: "0.4.0.127.0.7.2.2.3.1.1", Version: 1, KeyID: none}},
			ChipAuthenticationKeys: []secinfo.ChipAuthenticationPublicKeyInfo{{Protocol: "0.4.0.127.0.7.2.2.1.1", KeyID: none}},
		},
	}
	seen := 0
	for _, s := range samples(t) {
		want, ok := tests[s.ID]
		if !ok {
			continue
		}
		seen++
		t.Run(s.ID, func(t *testing.T) {
			got, err := secinfo.Parse(s.content(t))
			if err != nil {
				t.Fatal(err)
			}
			for i := range got.ChipAuthenticationKeys {
				if len(got.ChipAuthenticationKeys[i].PublicKey) == 0 {
					t.Error("no key")
				}
				got.ChipAuthenticationKeys[i].PublicKey = nil
			}
			if d := cmp.Diff(want, got, cmp.AllowUnexported(secinfo.DomainParameters{})); d != "" {
				t.Error(d)
			}
		})
	}
	if seen != len(tests) {
		t.Errorf("%d of %d", seen, len(tests))
	}
}

func TestActiveAuthenticationInfo(t *testing.T) {
	// ecdsa-plain-SHA256 of TR-03111 under id-icao-mrtd-security-aaProtocolObject.
	entry := object(0x30, "0606678108010105"+"020101"+"060a04007f00070101040103")
	got := parse(t, set(entry))
	want := []secinfo.ActiveAuthenticationInfo{{Version: 1, SignatureAlgorithm: "0.4.0.127.0.7.1.1.4.1.3"}}
	if !cmp.Equal(got.ActiveAuthentication, want) || len(got.Deviations) != 0 {
		t.Errorf("%+v", got)
	}
	got = parse(t, set(object(0x30, "0606678108010105"+"020102"+"060a04007f00070101040103")))
	if !slices.Equal(got.Deviations, []string{secinfo.DevAAVersion}) || len(got.ActiveAuthentication) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestTerminalAuthenticationInfo(t *testing.T) {
	for name, rest := range map[string]string{
		"version 1":           "",
		"with EF.CVCA":        "30040402011c",
		"with EF.CVCA by SFI": "3007040201" + "1c04011c",
	} {
		got := parse(t, set(object(0x30, "060804007f0007020202"+"020101"+rest)))
		if !cmp.Equal(got.TerminalAuthentication, []secinfo.TerminalAuthenticationInfo{{Version: 1}}) || len(got.Deviations) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What departs from the standard, and what becomes of it.
func TestDeviations(t *testing.T) {
	tests := []struct {
		name, input string
		kinds       map[string]int
		deviations  []string
	}{
		{"nothing", "3100", map[string]int{}, nil},
		{"in order", set(gm13), map[string]int{"PACEInfo": 1}, nil},
		{"length of the set not minimal", "318114" + gm13, map[string]int{"PACEInfo": 1}, []string{secinfo.DevLengthNotMinimal}},
		{"length of the entry not minimal", set("308112" + gm13[4:]), map[string]int{"PACEInfo": 1}, []string{secinfo.DevLengthNotMinimal}},
		{"length of an integer not minimal", set(object(0x30, "060a04007f00070202040202"+"02810102"+"02010d")), map[string]int{"PACEInfo": 1}, []string{secinfo.DevLengthNotMinimal}},
		{"zeros behind", set(gm13) + "0000", map[string]int{"PACEInfo": 1}, []string{secinfo.DevTrailingZeros}},
		{"no parameter identifier", set(gmAlone), map[string]int{"PACEInfo": 1}, []string{secinfo.DevNoParameterID}},
		{"version 1", set(object(0x30, "060a04007f00070202040202"+"020101"+"02010d")), map[string]int{"PACEInfo": 1}, []string{secinfo.DevPACEVersion}},
		{"an element more", set(object(0x30, gm13[4:]+"020100")), map[string]int{"PACEInfo": 1}, []string{secinfo.DevExtraElements}},
		{"twice", set(gm13, gm13), map[string]int{"PACEInfo": 2}, []string{secinfo.DevDuplicateEntry}},
		{"no version", set(object(0x30, "060a04007f00070202040202")), map[string]int{"": 1}, []string{secinfo.DevEntryMalformed}},
		{"negative identifier", set(object(0x30, "060a04007f00070202040202"+"020102"+"0201ff")), map[string]int{"": 1}, []string{secinfo.DevEntryMalformed}},
		{"huge identifier", set(object(0x30, "060a04007f00070202040202"+"020102"+"02050100000000")), map[string]int{"": 1}, []string{secinfo.DevEntryMalformed}},
		{"identifier is no integer", set(object(0x30, "060a04007f00070202040202"+"020102"+"04010d")), map[string]int{"": 1}, []string{secinfo.DevEntryMalformed}},
		{"entry is no sequence", set("0403010203"), map[string]int{"": 1}, []string{secinfo.DevEntryMalformed}},
		{"entry is empty", set("3000"), map[string]int{"": 1}, []string{secinfo.DevEntryMalformed}},
		{"empty object identifier", set("30020600"), map[string]int{"": 1}, []string{secinfo.DevEntryMalformed}},
		{"object identifier cut off", set("3003060184"), map[string]int{"": 1}, []string{secinfo.DevEntryMalformed}},
		{"object identifier with a zero digit", set("300506032a8001"), map[string]int{"": 1}, []string{secinfo.DevEntryMalformed}},
		{"object identifier with a huge arc", set("3009060769ffffffffff7f"), map[string]int{"": 1}, []string{secinfo.DevEntryMalformed}},
		{"unknown protocol", set("300706032a03040500"), map[string]int{"": 1}, nil},
		{"chip authentication domain parameters of EAC 2", set(object(0x30, "060904007f000702020302"+"3000")), map[string]int{"": 1}, nil},
		{"public key without its sequence", set(object(0x30, "060904007f000702020102"+"0400")), map[string]int{"": 1}, []string{secinfo.DevEntryMalformed}},
		{"explicit parameters under a standardized number", set(object(0x30, "060904007f000702020402"+"3000"+"02010d")), map[string]int{"PACEDomainParameterInfo": 1}, []string{secinfo.DevReservedID}},
		{"unknown beside known", set("300706032a03040500", gm13, "3000"), map[string]int{"": 2, "PACEInfo": 1}, []string{secinfo.DevEntryMalformed}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(t, tt.input)
			if d := cmp.Diff(tt.kinds, kinds(got)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.deviations, got.Deviations); d != "" {
				t.Error(d)
			}
			for _, o := range got.Other {
				if !strings.Contains(tt.input, hex.EncodeToString(o.Raw)) {
					t.Errorf("raw entry %x", o.Raw)
				}
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	tests := []struct {
		name, input string
		want        error
	}{
		{"empty", "", secinfo.ErrMalformed},
		{"a sequence", "3014" + gm13, secinfo.ErrMalformed},
		{"DG14 with its template", "6e16" + set(gm13), secinfo.ErrMalformed},
		{"one byte less", strings.TrimSuffix(set(gm13), "0d"), secinfo.ErrMalformed},
		{"something behind", set(gm13) + "01", secinfo.ErrMalformed},
		{"entry longer than the set", "31143013" + gm13[4:], secinfo.ErrMalformed},
		{"indefinite length", "3180" + gm13 + "0000", secinfo.ErrMalformed},
		{"padding between entries", set(gm13, "0000", gm12), secinfo.ErrMalformed},
		{"64 KiB and more", set(gm13) + strings.Repeat("00", 1<<16), secinfo.ErrTooLarge},
		{"65 entries", set(strings.Repeat("3000", 65)), secinfo.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := secinfo.Parse(vectortest.Hex(t, tt.input))
			if !errors.Is(err, tt.want) || !cmp.Equal(got, secinfo.SecurityInfos{}) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if got := parse(t, set(strings.Repeat("3000", 64))); len(got.Other) != 64 {
		t.Errorf("%d of 64 entries", len(got.Other))
	}
}

// When the terminal has to name the domain parameters.
func TestAmbiguous(t *testing.T) {
	proprietary := object(0x30, "060a04007f00070202040202"+"020102"+"020120")
	domain := object(0x30, "060904007f000702020402"+standardized13+"020120")
	tests := []struct {
		name, input string
		want        []bool
	}{
		{"one", set(gm13), []bool{false}},
		{"two protocols, one set", set(gm13, im13), []bool{false, false}},
		{"two sets", set(gm13, gm12), []bool{true, true}},
		{"standardized and explicit", set(gm13, proprietary, domain), []bool{true, true}},
		{"two sets, one without a name", set(gm13, gmAlone), []bool{true, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []bool
			for _, i := range parse(t, tt.input).PACE {
				got = append(got, i.Ambiguous)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

const (
	standardized13 = "300c060704007f0007010202010d"
	named13        = "301406072a8648ce3d020106092b2403030208010107"
)

// explicit writes ECParameters of a curve, with one number changed.
func explicit(c *ec.Curve, change string) string {
	integer := func(b []byte) string {
		if b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return object(0x02, hex.EncodeToString(b))
	}
	p, a, b, n := c.P(), c.A(), c.B(), c.N()
	g := c.Generator().Bytes()
	cofactor, version, field, seed := "020101", "020101", "06072a8648ce3d0101", ""
	switch change {
	case "p":
		p[3] ^= 1
	case "a":
		a[3] ^= 1
	case "b":
		b[3] ^= 1
	case "g":
		two, _ := c.Add(c.Generator(), c.Generator())
		g = two.Bytes()
	case "n":
		n[3] ^= 1
	case "cofactor":
		cofactor = "020102"
	case "no cofactor":
		cofactor = ""
	case "version":
		version = "020104"
	case "field":
		field = "06072a8648ce3d0102"
	case "seed":
		seed = "03020055"
	case "more":
		cofactor += "0500"
	}
	return object(0x30, version+object(0x30, field+integer(p))+
		object(0x30, object(0x04, hex.EncodeToString(a))+object(0x04, hex.EncodeToString(b))+seed)+
		object(0x04, hex.EncodeToString(g))+integer(n)+cofactor)
}

// Which domain parameters are known: by number, by name, and by all their
// numbers.
func TestDomainParameters(t *testing.T) {
	c := ec.ByName("brainpoolP256r1")
	ecKey := func(params string) string { return object(0x30, "06072a8648ce3d0201"+params) }
	tests := []struct{ name, parameters, want string }{
		{"standardized", standardized13, c.Name()},
		{"named", named13, c.Name()},
		{"explicit", ecKey(explicit(c, "")), c.Name()},
		{"explicit without cofactor", ecKey(explicit(c, "no cofactor")), c.Name()},
		{"explicit with seed", ecKey(explicit(c, "seed")), c.Name()},
		{"another prime", ecKey(explicit(c, "p")), ""},
		{"another a", ecKey(explicit(c, "a")), ""},
		{"another b", ecKey(explicit(c, "b")), ""},
		{"another generator", ecKey(explicit(c, "g")), ""},
		{"another order", ecKey(explicit(c, "n")), ""},
		{"another cofactor", ecKey(explicit(c, "cofactor")), ""},
		{"another version", ecKey(explicit(c, "version")), ""},
		{"another field", ecKey(explicit(c, "field")), ""},
		{"something behind the cofactor", ecKey(explicit(c, "more")), ""},
		{"something behind the parameters", ecKey(explicit(c, "") + "0500"), ""},
		{"implicit", ecKey("0500"), ""},
		{"unknown name", ecKey("06032a0304"), ""},
		{"standardized MODP group", "300c060704007f00070102020100", ""},
		{"standardized without a number", "3009060704007f00070102", ""},
		{"DH", "300d06092a864886f70d0103013000", ""},
		{"empty", "3000", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			infos := parse(t, set(gmAlone, object(0x30, "060904007f000702020402"+tt.parameters)))
			if len(infos.PACEDomainParameters) != 1 || len(infos.PACE) != 1 {
				t.Fatalf("%v", kinds(infos))
			}
			d := infos.PACEDomainParameters[0].Parameters
			if hex.EncodeToString(d.Raw()) != tt.parameters || d.IsZero() {
				t.Errorf("raw %x", d.Raw())
			}
			var got string
			if c := d.Curve(); c != nil {
				got = c.Name()
			}
			if got != tt.want {
				t.Errorf("curve %q, want %q", got, tt.want)
			}
			// The PACEInfo without an identifier means these parameters.
			if !bytes.Equal(infos.PACE[0].Explicit.Raw(), d.Raw()) || len(infos.Deviations) != 0 {
				t.Errorf("%+v", infos)
			}
		})
	}
	var zero secinfo.DomainParameters
	if !zero.IsZero() || zero.Raw() != nil || zero.Curve() != nil {
		t.Error("the zero value is something")
	}
}

// Explicit parameters belong to the PACEInfo with their number and key
// agreement, and never to one with a standardized number.
func TestExplicitParametersOf(t *testing.T) {
	domain := func(protocol, id string) string { return object(0x30, protocol+standardized13+id) }
	const gm, im = "060904007f000702020402", "060904007f000702020404"
	info := func(id string) string { return object(0x30, "060a04007f00070202040202"+"020102"+id) }
	tests := []struct {
		name, input string
		want        bool
	}{
		{"same number", set(info("020120"), domain(gm, "020120")), true},
		{"domain first", set(domain(gm, "020120"), info("020120")), true},
		{"another number", set(info("020120"), domain(gm, "020121")), false},
		{"another mapping", set(info("020120"), domain(im, "020120")), false},
		{"no number on one side", set(info("020120"), domain(gm, "")), false},
		{"standardized", set(info("02010d"), domain(gm, "02010d")), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := !parse(t, tt.input).PACE[0].Explicit.IsZero(); got != tt.want {
				t.Errorf("explicit parameters %v, want %v", got, tt.want)
			}
		})
	}
}

func TestStandardizedCurve(t *testing.T) {
	// Doc 9303-11, 9.5.1, Table 12.
	want := map[int]string{
		8: "P-192", 9: "brainpoolP192r1", 10: "P-224", 11: "brainpoolP224r1", 12: "P-256", 13: "brainpoolP256r1",
		14: "brainpoolP320r1", 15: "P-384", 16: "brainpoolP384r1", 17: "brainpoolP512r1", 18: "P-521",
	}
	for id := -2; id < 40; id++ {
		c := secinfo.StandardizedCurve(id)
		if name, ok := want[id]; ok != (c != nil) || ok && c.Name() != name {
			t.Errorf("%d: %v, want %q", id, c, name)
		}
	}
}

func TestPoint(t *testing.T) {
	g := ec.ByName("brainpoolP256r1").Generator()
	bits := func(unused byte, b []byte) string {
		return object(0x03, hex.EncodeToString(append([]byte{unused}, b...)))
	}
	tests := []struct {
		name, spki string
		ok         bool
	}{
		{"standardized", standardized13 + bits(0, g.Bytes()), true},
		{"named", named13 + bits(0, g.Bytes()), true},
		{"unused bits", standardized13 + bits(1, g.Bytes()), false},
		{"empty", standardized13 + "0300", false},
		{"no key", standardized13, false},
		{"point at infinity", standardized13 + bits(0, []byte{0}), false},
		{"one byte less", standardized13 + bits(0, g.Bytes()[:64]), false},
		{"off the curve", standardized13 + bits(0, append(g.Bytes()[:64:64], 1)), false},
		{"something behind", standardized13 + bits(0, g.Bytes()) + "0500", false},
		{"unknown curve", "300c060704007f00070102020107" + bits(0, g.Bytes()), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			infos := parse(t, set(object(0x30, "060904007f000702020102"+object(0x30, tt.spki)+"02010d")))
			if len(infos.ChipAuthenticationKeys) != 1 || infos.ChipAuthenticationKeys[0].KeyID != 13 {
				t.Fatalf("%v", kinds(infos))
			}
			p, err := infos.ChipAuthenticationKeys[0].Point()
			if tt.ok && (err != nil || !p.Equal(g)) || !tt.ok && (p != nil || !errors.Is(err, secinfo.ErrUnknownParameters)) {
				t.Errorf("%v, %v", p, err)
			}
		})
	}
	if p, err := (secinfo.ChipAuthenticationPublicKeyInfo{}).Point(); p != nil || !errors.Is(err, secinfo.ErrUnknownParameters) {
		t.Errorf("zero: %v, %v", p, err)
	}
}

func FuzzParse(f *testing.F) {
	n := 0
	for _, s := range samples(f) {
		f.Add(s.content(f))
		n++
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	c := ec.ByName("P-256")
	for _, s := range []string{
		set(gmAlone, object(0x30, "060904007f000702020402"+object(0x30, "06072a8648ce3d0201"+explicit(c, "")))),
		set(object(0x30, "0606678108010105"+"020101"+"060a04007f00070101040103"), gm12, im13),
	} {
		f.Add(vectortest.Hex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		infos, err := secinfo.Parse(b)
		if !bytes.Equal(b, before) {
			t.Error("the input was changed")
		}
		opt := cmp.AllowUnexported(secinfo.DomainParameters{})
		if err != nil {
			if !cmp.Equal(infos, secinfo.SecurityInfos{}, opt) {
				t.Error("a result beside an error")
			}
			return
		}
		total := 0
		for _, n := range kinds(infos) {
			total += n
		}
		if total > 64 || len(infos.Deviations) > 9 {
			t.Errorf("%d entries, %d deviations", total, len(infos.Deviations))
		}
		for _, k := range infos.ChipAuthenticationKeys {
			if p, err := k.Point(); (p == nil) == (err == nil) {
				t.Error("neither a key nor an error")
			}
		}
		for _, d := range infos.PACEDomainParameters {
			d.Parameters.Curve()
		}
		for _, i := range infos.PACE {
			if i.ParameterID < secinfo.NoID || i.Version < 0 {
				t.Errorf("%+v", i)
			}
		}
	})
}
