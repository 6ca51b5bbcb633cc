package pace_test

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/pace"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
)

func canPassword(tb testing.TB) pace.Password {
	tb.Helper()
	pw, err := pace.FromCAN(can)
	if err != nil {
		tb.Fatal(err)
	}
	return pw
}

// run establishes PACE with a card and checks that both sides agree.
func (c *card) run(t *testing.T, info secinfo.PACEInfo, pw pace.Password) (*sm.Channel, *pace.CAM) {
	t.Helper()
	ch, cam, err := pace.Establish(t.Context(), apdu.NewSession(c), info, pw, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !c.finished {
		t.Fatal("a channel before the card was convinced")
	}
	if (cam != nil) != (c.static != nil) {
		t.Fatalf("CAM %v", cam != nil)
	}
	if cam != nil {
		if err := cam.Verify(c.static.Public()); err != nil {
			t.Error(err)
		}
		if err := cam.Verify(c.static.Curve().Generator()); err == nil {
			t.Error("verified with another key")
		}
	}
	return ch, cam
}

// Every protocol with every set of standardized domain parameters.
func TestCombinations(t *testing.T) {
	all := combinations()
	if len(all) != 3*4+11*4+3*4+10*4+11*3 {
		t.Fatalf("%d combinations", len(all))
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			info := c.info()
			if !strings.HasPrefix(pace.Name(info), "PACE "+c.name[:strings.IndexByte(c.name, '-')+3]) {
				t.Errorf("supported as %q", pace.Name(info))
			}
			ch, _ := c.canCard(t).run(t, info, canPassword(t))
			if want := cipherOf(t, c.oid); ch.Cipher() != want {
				t.Errorf("cipher %v, want %v", ch.Cipher(), want)
			}
		})
	}
}

// The software chip, which was written by itself: PACE and then the
// application under secure messaging.
func TestSoftwareChip(t *testing.T) {
	key, err := mrz.NewKey("L898902C3", "740812", "120415")
	if err != nil {
		t.Fatal(err)
	}
	for _, comb := range combinations() {
		if !strings.HasPrefix(comb.name, "ECDH-GM") {
			continue
		}
		t.Run(comb.name, func(t *testing.T) {
			c, err := chip.New(&chip.Personalisation{
				AccessKey: key, CAN: can,
				PACE:  &chip.PACE{Protocol: comb.oid, ParameterID: comb.id, Version: 2},
				Files: []chip.File{{ID: 0x0101, SFI: 1, Content: []byte{0x61, 0x00}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, pw := range []pace.Password{pace.FromMRZ(key), canPassword(t)} {
				c.Reset()
				ch, _, err := pace.Establish(t.Context(), apdu.NewSession(c), comb.info(), pw, nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := ch.Do(t.Context(), selectApplication)
				if err != nil || resp.SW != apdu.OK {
					t.Fatalf("select: %v, %v", resp.SW, err)
				}
				resp, err = ch.Do(t.Context(), apdu.Command{INS: 0xB0, P1: 0x81, Ne: 2})
				if err != nil || resp.SW != apdu.OK || !bytes.Equal(resp.Data, []byte{0x61, 0x00}) {
					t.Fatalf("DG1 %x, %v, %v", resp.Data, resp.SW, err)
				}
			}
		})
	}
}

// Whatever begins with zeros keeps its width: the nonce, the chip's public
// keys, the shared secret.
func TestLeadingZeros(t *testing.T) {
	zeroNonce := make([]byte, 16)
	zeroNonce[15] = 1
	tests := []struct {
		name  string
		apply func(c *card)
	}{
		{"nonce", func(c *card) { c.nonce = zeroNonce }},
		{"nonce of one block more", func(c *card) { c.nonce = append(make([]byte, 16), zeroNonce...) }},
		{"shared secret", func(c *card) { c.accept = func(_, shared []byte) bool { return shared[0] == 0 } }},
		{"public key", func(c *card) {
			at := 0
			if c.group.tag == 0x86 {
				at = 1
			}
			c.accept = func(public, _ []byte) bool { return public[at] == 0 }
		}},
	}
	names := map[string]bool{
		"ECDH-GM-1/8": true, "ECDH-GM-2/13": true, "ECDH-GM-4/16": true, "ECDH-IM-2/12": true, "ECDH-CAM-2/12": true,
		"DH-GM-2/0": true, "DH-IM-1/0": true,
	}
	for _, comb := range combinations() {
		if !names[comb.name] {
			continue
		}
		delete(names, comb.name)
		for _, tt := range tests {
			if strings.Contains(comb.name, "-IM-") && tt.name == "nonce of one block more" {
				continue // the length is fixed there
			}
			t.Run(comb.name+"/"+tt.name, func(t *testing.T) {
				c := comb.canCard(t)
				tt.apply(c)
				c.run(t, comb.info(), canPassword(t))
			})
		}
	}
	if len(names) != 0 {
		t.Errorf("not tested: %v", names)
	}
}

// A chip may write a DH public value with its leading zeros or without; the
// token is over what it wrote.
func TestDHValueWithoutLeadingZeros(t *testing.T) {
	comb := combination{"DH-GM-2/0", "0.4.0.127.0.7.2.2.4.1.2", 0}
	for name, encode := range map[string]func([]byte) []byte{
		"padded":  bytes.Clone,
		"minimal": func(b []byte) []byte { return bytes.TrimLeft(b, "\x00") },
	} {
		t.Run(name, func(t *testing.T) {
			c := comb.canCard(t)
			c.accept = func(public, _ []byte) bool { return public[0] == 0 }
			c.encode = encode
			c.run(t, comb.info(), canPassword(t))
		})
	}
}

// The terminal's own DH values never begin with a zero byte, because chips do
// not agree on how to write such a value; and they have the width of p.
func TestDHValuesHaveFullWidth(t *testing.T) {
	comb := combination{"DH-GM-2/0", "0.4.0.127.0.7.2.2.4.1.2", 0}
	p, g, q := pace.MODP(0)
	// Private keys that are none: zero, and not below q. One whose public value
	// begins with a zero byte. Then some that are in order.
	x := big.NewInt(1)
	for new(big.Int).Exp(g, x, p).BitLen() > 8*127 {
		x.Add(x, big.NewInt(1))
	}
	short := x.FillBytes(make([]byte, 20))
	random := bytes.NewReader(bytes.Join([][]byte{
		make([]byte, 20), bytes.Repeat([]byte{0xFE}, 20), q.FillBytes(make([]byte, 20)), short, bytes.Repeat([]byte{0x11}, 20), bytes.Repeat([]byte{0x22}, 20),
		bytes.Repeat([]byte{0x33}, 20), bytes.Repeat([]byte{0x44}, 20),
	}, nil))
	c := comb.canCard(t)
	if _, _, err := pace.Establish(t.Context(), apdu.NewSession(c), comb.info(), canPassword(t), &pace.Config{Rand: random}); err != nil {
		t.Fatal(err)
	}
	want := new(big.Int).Exp(g, new(big.Int).SetBytes(bytes.Repeat([]byte{0x11}, 20)), p).FillBytes(make([]byte, 128))
	if !bytes.Equal(c.terminalPublic[0], want) {
		t.Error("a key was not passed over")
	}
	for _, y := range c.terminalPublic {
		if len(y) != 128 || y[0] == 0 {
			t.Errorf("public value of %d bytes that begins with %02x", len(y), y[0])
		}
	}
}

// RFC 5114, 2.1 to 2.3: sizes, and that p and q are prime and g has order q.
func TestMODPGroups(t *testing.T) {
	for id, size := range [][2]int{{1024, 160}, {2048, 224}, {2048, 256}} {
		p, g, q := pace.MODP(id)
		one := big.NewInt(1)
		if p.BitLen() != size[0] || q.BitLen() != size[1] || !p.ProbablyPrime(20) || !q.ProbablyPrime(20) ||
			g.Cmp(one) <= 0 || g.Cmp(p) >= 0 || new(big.Int).Exp(g, q, p).Cmp(one) != 0 {
			t.Errorf("group %d is not what its name says", id)
		}
	}
	p, g, q := pace.MODP(0)
	d := exampleByID(t, "G.2").Domain
	for _, n := range []struct {
		got  *big.Int
		want string
	}{{p, d.P}, {g, d.G}, {q, d.Q}} {
		if !bytes.Equal(n.got.Bytes(), vectortest.Hex(t, n.want)) {
			t.Error("group 0 is not that of G.2")
		}
	}
}

// H.1 and H.2: the output of the pseudo-random function.
func TestPseudoRandom(t *testing.T) {
	for _, f := range []string{"testdata/9303-11-H1-pace-ecdh-im.json", "testdata/9303-11-H2-pace-dh-im.json"} {
		var v []struct {
			Domain  struct{ P string }
			Nonce   struct{ S, T string }
			Mapping struct{ R string }
		}
		vectortest.JSON(t, f, &v)
		bits := 256
		if p := v[0].Domain.P; p != "" {
			bits = 4 * len(p)
		}
		got := pace.PseudoRandom(sm.AES128, vectortest.Hex(t, v[0].Nonce.S), vectortest.Hex(t, v[0].Nonce.T), bits)
		if want := vectortest.Hex(t, v[0].Mapping.R); !bytes.Equal(got, want) {
			t.Errorf("%s: R = %x, want %x", f, got, want)
		}
	}
}
