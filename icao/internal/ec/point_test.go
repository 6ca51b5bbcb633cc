package ec

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/internal/vectortest"
)

func TestParsePoint(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			g := c.Generator().Bytes()
			size := c.Size()
			with := func(change func(b []byte) []byte) []byte { return change(slices.Clone(g)) }
			// A point with a small x, so that x + p still fits the width where
			// p leaves room for it.
			small, smallX := smallPoint(c)
			p := new(big.Int).SetBytes(c.p)
			wide := new(big.Int).Add(smallX, p)
			if _, err := c.ParsePoint(small); err != nil {
				t.Fatalf("point with small x: %v", err)
			}
			for _, tt := range []struct {
				name string
				in   []byte
			}{
				{"empty", nil},
				{"infinity", []byte{0}},
				{"infinity in full width", make([]byte, len(g))},
				{"zero coordinates", with(func(b []byte) []byte { clear(b[1:]); return b })},
				{"tag only", []byte{4}},
				{"short", g[:len(g)-1]},
				{"long", append(slices.Clone(g), 0)},
				{"compressed", append([]byte{2 | g[len(g)-1]&1}, g[1:1+size]...)},
				{"compressed tag in full width", with(func(b []byte) []byte { b[0] = 2; return b })},
				{"hybrid", with(func(b []byte) []byte { b[0] = 6 | b[len(b)-1]&1; return b })},
				{"off the curve in y", with(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })},
				{"off the curve in x", with(func(b []byte) []byte { b[size] ^= 1; return b })},
				{"x is p", with(func(b []byte) []byte { copy(b[1:], c.p); return b })},
				{"y is p", with(func(b []byte) []byte { copy(b[1+size:], c.p); return b })},
				{"all ones", bytes.Repeat([]byte{0xff}, len(g))},
				{"x not below p", func() []byte {
					b := slices.Clone(small)
					if wide.BitLen() <= 8*size {
						wide.FillBytes(b[1 : 1+size])
					} else {
						copy(b[1:], c.p) // no room above p: the next best
					}
					return b
				}()},
			} {
				if q, err := c.ParsePoint(tt.in); !errors.Is(err, ErrInvalidPoint) || q != nil {
					t.Errorf("%s: got %v, %v", tt.name, q, err)
				}
			}
			for _, q := range []struct{ x, y []byte }{{nil, nil}, {c.gx, nil}, {c.gx[1:], c.gy}, {append([]byte{0}, c.gx...), c.gy}} {
				if _, err := c.NewPoint(q.x, q.y); !errors.Is(err, ErrInvalidPoint) {
					t.Errorf("NewPoint of %d and %d bytes: %v", len(q.x), len(q.y), err)
				}
			}
		})
	}
}

// smallPoint returns the encoding of a point with the smallest x, and that x.
func smallPoint(c *Curve) ([]byte, *big.Int) {
	r, _ := newReference(c)
	for x := big.NewInt(0); ; x.Add(x, big.NewInt(1)) {
		if y := r.solve(x); y != nil {
			return r.encode(refPoint{x, y}), x
		}
	}
}

// solve returns a y for x, nil if there is none.
func (r reference) solve(x *big.Int) *big.Int {
	yy := new(big.Int).Exp(x, big.NewInt(3), r.p)
	yy.Add(yy, new(big.Int).Mul(r.a, x))
	yy.Add(yy, r.b)
	return new(big.Int).ModSqrt(yy.Mod(yy, r.p), r.p)
}

func TestAgainstOracles(t *testing.T) {
	for name, o := range oracles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := ByName(name)
			point := func(x, y *big.Int) []byte {
				r, _ := newReference(c)
				return r.encode(refPoint{x, y})
			}
			gen := elements(c.fn)
			for i := range 40 {
				s := gen.Example(i)
				k := c.fn.store(&s)
				if c.fn.isZero(&s) == 1 {
					continue
				}
				//lint:ignore SA1019 deprecated for use, and good as an oracle
				want := point(o.ScalarBaseMult(k))
				p, err := c.ScalarBaseMult(k)
				if err != nil || !bytes.Equal(p.Bytes(), want) {
					t.Fatalf("ScalarBaseMult(%x): %v", k, err)
				}
				p2, err := c.ScalarMult(p, k)
				//lint:ignore SA1019 deprecated for use, and good as an oracle
				if err != nil || !bytes.Equal(p2.Bytes(), point(o.ScalarMult(new(big.Int).SetBytes(p.X()), new(big.Int).SetBytes(p.Y()), k))) {
					t.Fatalf("ScalarMult(%x): %v", k, err)
				}
				if p2.Equal(p) {
					continue // the oracles' addition is not for equal points
				}
				sum, err := c.Add(p, c.Generator())
				if errors.Is(err, ErrInfinity) || p.Equal(c.Generator()) {
					continue
				}
				//lint:ignore SA1019 deprecated for use, and good as an oracle
				x, y := o.Add(new(big.Int).SetBytes(p.X()), new(big.Int).SetBytes(p.Y()), o.Params().Gx, o.Params().Gy)
				if err != nil || !bytes.Equal(sum.Bytes(), point(x, y)) {
					t.Fatalf("Add: %v", err)
				}
			}
		})
	}
}

func TestECDHAgainstStandardLibrary(t *testing.T) {
	for name, o := range map[string]ecdh.Curve{"P-256": ecdh.P256(), "P-384": ecdh.P384(), "P-521": ecdh.P521()} {
		t.Run(name, func(t *testing.T) {
			c := ByName(name)
			for range 10 {
				k, err := c.GenerateKey(nil)
				if err != nil {
					t.Fatal(err)
				}
				ours, err := o.NewPrivateKey(k.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(ours.PublicKey().Bytes(), k.Public().Bytes()) {
					t.Errorf("public key: got %x, want %x", k.Public().Bytes(), ours.PublicKey().Bytes())
				}
				theirs, err := o.GenerateKey(nil)
				if err != nil {
					t.Fatal(err)
				}
				p, err := c.ParsePoint(theirs.PublicKey().Bytes())
				if err != nil {
					t.Fatal(err)
				}
				got, err := k.ECDH(p)
				if err != nil {
					t.Fatal(err)
				}
				want, err := ours.ECDH(theirs.PublicKey())
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("shared secret differs (%v)", err)
				}
			}
		})
	}
}

// paceVector is what the examples of Doc 9303-11, Appendices G.1 and H.1 say of
// points.
type paceVector struct {
	Curve string `json:"curve"`
	Nonce struct {
		S string `json:"s"`
	} `json:"nonce"`
	Mapping struct {
		TerminalPrivate string    `json:"terminal_private"`
		TerminalPublic  jsonPoint `json:"terminal_public"`
		ChipPrivate     string    `json:"chip_private"`
		ChipPublic      jsonPoint `json:"chip_public"`
		SharedH         jsonPoint `json:"shared_h"`
		RP              string    `json:"r_p"`
		MappedGenerator jsonPoint `json:"mapped_generator"`
	} `json:"mapping"`
	KeyAgreement struct {
		TerminalPrivate string    `json:"terminal_private"`
		TerminalPublic  jsonPoint `json:"terminal_public"`
		ChipPrivate     string    `json:"chip_private"`
		ChipPublic      jsonPoint `json:"chip_public"`
		SharedSecretX   string    `json:"shared_secret_x"`
	} `json:"key_agreement"`
}

type jsonPoint struct{ X, Y string }

func (p jsonPoint) parse(t *testing.T, c *Curve) *Point {
	t.Helper()
	q, err := c.NewPoint(vectortest.Hex(t, p.X), vectortest.Hex(t, p.Y))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func readPACE(t *testing.T, name string) paceVector {
	t.Helper()
	var vs []paceVector
	vectortest.JSON(t, "testdata/"+name, &vs)
	if len(vs) != 1 {
		t.Fatalf("%d vectors in %s, want 1", len(vs), name)
	}
	return vs[0]
}

// agree checks the key agreement on a mapped generator.
func (v paceVector) agree(t *testing.T, c *Curve, generator *Point) {
	t.Helper()
	for _, side := range []struct {
		name, private string
		public, peer  jsonPoint
	}{
		{"terminal", v.KeyAgreement.TerminalPrivate, v.KeyAgreement.TerminalPublic, v.KeyAgreement.ChipPublic},
		{"chip", v.KeyAgreement.ChipPrivate, v.KeyAgreement.ChipPublic, v.KeyAgreement.TerminalPublic},
	} {
		d := vectortest.Hex(t, side.private)
		public, err := c.ScalarMult(generator, d)
		if err != nil || !public.Equal(side.public.parse(t, c)) {
			t.Errorf("%s: public key differs (%v)", side.name, err)
		}
		k, err := c.NewPrivateKey(d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.ECDH(side.peer.parse(t, c))
		if want := vectortest.Hex(t, v.KeyAgreement.SharedSecretX); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: shared secret: got %x, %v, want %x", side.name, got, err, want)
		}
	}
}

func TestGenericMappingVector(t *testing.T) {
	v := readPACE(t, "9303-11-G1-pace-ecdh-gm.json")
	c := ByName(v.Curve)
	for _, side := range []struct {
		name, private string
		public, peer  jsonPoint
	}{
		{"terminal", v.Mapping.TerminalPrivate, v.Mapping.TerminalPublic, v.Mapping.ChipPublic},
		{"chip", v.Mapping.ChipPrivate, v.Mapping.ChipPublic, v.Mapping.TerminalPublic},
	} {
		// The published scalar as the source of randomness gives that key.
		k, err := c.GenerateKey(bytes.NewReader(vectortest.Hex(t, side.private)))
		if err != nil {
			t.Fatal(err)
		}
		if !k.Public().Equal(side.public.parse(t, c)) {
			t.Errorf("%s: public key differs", side.name)
		}
		h, err := k.DH(side.peer.parse(t, c))
		if err != nil || !h.Equal(v.Mapping.SharedH.parse(t, c)) {
			t.Errorf("%s: H differs (%v)", side.name, err)
		}
	}
	sG, err := c.ScalarBaseMult(vectortest.Hex(t, v.Nonce.S))
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := c.Add(sG, v.Mapping.SharedH.parse(t, c))
	if err != nil || !mapped.Equal(v.Mapping.MappedGenerator.parse(t, c)) {
		t.Fatalf("mapped generator differs (%v)", err)
	}
	v.agree(t, c, mapped)
}

func TestIntegratedMappingVector(t *testing.T) {
	v := readPACE(t, "9303-11-H1-pace-ecdh-im.json")
	c := ByName(v.Curve)
	mapped, err := c.MapToPoint(vectortest.Hex(t, v.Mapping.RP))
	if err != nil || !mapped.Equal(v.Mapping.MappedGenerator.parse(t, c)) {
		t.Fatalf("mapped generator differs (%v)", err)
	}
	v.agree(t, c, mapped)
}

// TestMapToPoint compares with the formulas of Doc 9303-11, B.2 on integers.
func TestMapToPoint(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			r, _ := newReference(c)
			p := r.p
			gen := elements(c.fp)
			mapped := 0
			for i := range 60 {
				x := gen.Example(i)
				in := c.fp.store(&x)
				got, err := c.MapToPoint(in)
				tt := integer(&x)
				edge := tt.Sign() == 0 || tt.Cmp(big.NewInt(1)) == 0 || tt.Cmp(new(big.Int).Sub(p, big.NewInt(1))) == 0
				if c.Name() == "P-224" || edge {
					if !errors.Is(err, ErrInvalidPoint) || got != nil {
						t.Errorf("%x: got %v, %v, want a refusal", in, got, err)
					}
					continue
				}
				if err != nil {
					t.Fatalf("%x: %v", in, err)
				}
				if want := r.encode(r.mapToPoint(tt)); !bytes.Equal(got.Bytes(), want) {
					t.Errorf("%x: got %x, want %x", in, got.Bytes(), want)
				}
				mapped++
			}
			if mapped == 0 && c.Name() != "P-224" {
				t.Error("nothing was mapped")
			}
			for _, in := range [][]byte{nil, c.p, c.p[1:], append([]byte{0}, c.gx...)} {
				if _, err := c.MapToPoint(in); !errors.Is(err, ErrInvalidPoint) {
					t.Errorf("%d bytes: %v", len(in), err)
				}
			}
		})
	}
}

func (r reference) mapToPoint(t *big.Int) refPoint {
	p := r.p
	mul := func(xs ...*big.Int) *big.Int {
		z := big.NewInt(1)
		for _, x := range xs {
			z.Mod(z.Mul(z, x), p)
		}
		return z
	}
	add := func(x, y *big.Int) *big.Int { z := new(big.Int).Add(x, y); return z.Mod(z, p) }
	neg := func(x *big.Int) *big.Int { return new(big.Int).Mod(new(big.Int).Neg(x), p) }
	inv := func(x *big.Int) *big.Int { return new(big.Int).ModInverse(x, p) }
	curve := func(x *big.Int) *big.Int { return add(add(mul(x, x, x), mul(r.a, x)), r.b) }
	alpha := neg(mul(t, t))
	x2 := mul(neg(r.b), inv(r.a), add(big.NewInt(1), inv(add(alpha, mul(alpha, alpha)))))
	h2 := curve(x2)
	e := new(big.Int).Add(p, big.NewInt(1))
	e.Sub(new(big.Int).Sub(p, big.NewInt(1)), e.Rsh(e, 2))
	a := new(big.Int).Exp(h2, e, p)
	if mul(a, a, h2).Cmp(big.NewInt(1)) == 0 {
		return refPoint{x2, mul(a, h2)}
	}
	return refPoint{mul(alpha, x2), mul(a, t, t, t, h2)}
}

func FuzzParsePoint(f *testing.F) {
	for i, c := range All() {
		small, _ := smallPoint(c)
		for _, seed := range [][]byte{c.Generator().Bytes(), small, append([]byte{2}, c.gx...), {0}, nil} {
			f.Add(i, seed)
		}
	}
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		cs := All()
		c := cs[uint(i)%uint(len(cs))]
		p, err := c.ParsePoint(b)
		r, _ := newReference(c)
		valid := len(b) == 1+2*c.Size() && b[0] == 4
		if valid {
			x, y := new(big.Int).SetBytes(b[1:1+c.Size()]), new(big.Int).SetBytes(b[1+c.Size():])
			valid = x.Cmp(r.p) < 0 && y.Cmp(r.p) < 0
			if valid {
				l := new(big.Int).Mul(y, y)
				l.Sub(l, new(big.Int).Exp(x, big.NewInt(3), r.p))
				l.Sub(l, new(big.Int).Mul(r.a, x))
				l.Sub(l, r.b)
				valid = l.Mod(l, r.p).Sign() == 0
			}
		}
		if !valid {
			if !errors.Is(err, ErrInvalidPoint) || p != nil {
				t.Fatalf("%s accepts %x: %v", c, b, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("%s refuses %x: %v", c, b, err)
		}
		if !bytes.Equal(p.Bytes(), b) {
			t.Fatalf("%s: round trip: got %x, want %x", c, p.Bytes(), b)
		}
	})
}
