package issuer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"testing"

	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
)

// TestGroups: the table holds what it says. The first group is the one of
// appendix G.2.
func TestGroups(t *testing.T) {
	var g2 []struct{ Domain struct{ P, Q, G string } }
	vectortest.JSON(t, "../testdata/9303-11-G2-pace-dh-gm.json", &g2)
	first := issuer.GroupByID(0)
	if !bytes.Equal(first.P(), vectortest.Hex(t, g2[0].Domain.P)) || !bytes.Equal(first.Q(), vectortest.Hex(t, g2[0].Domain.Q)) ||
		!bytes.Equal(first.Generator(), vectortest.Hex(t, g2[0].Domain.G)) {
		t.Error("group 0 is not the one of appendix G.2")
	}
	for id, bits := range [][2]int{{1024, 160}, {2048, 224}, {2048, 256}} {
		g := issuer.GroupByID(id)
		p, q, gen := new(big.Int).SetBytes(g.P()), new(big.Int).SetBytes(g.Q()), new(big.Int).SetBytes(g.Generator())
		if p.BitLen() != bits[0] || q.BitLen() != bits[1] || g.ID() != id || g.Size() != bits[0]/8 || g.OrderSize() != bits[1]/8 {
			t.Errorf("group %d: %d and %d bits", id, p.BitLen(), q.BitLen())
		}
		if !p.ProbablyPrime(10) || !q.ProbablyPrime(10) {
			t.Errorf("group %d: not primes", id)
		}
		if new(big.Int).Exp(gen, q, p).Cmp(big.NewInt(1)) != 0 || gen.Cmp(big.NewInt(1)) == 0 {
			t.Errorf("group %d: the generator is not of order q", id)
		}
		one := big.NewInt(1)
		cofactor := new(big.Int).SetBytes(g.Cofactor())
		if cofactor.Mul(cofactor, q).Add(cofactor, one).Cmp(p) != 0 {
			t.Errorf("group %d: cofactor", id)
		}
		for name, y := range map[string]*big.Int{
			"0": new(big.Int), "1": one, "p-1": new(big.Int).Sub(p, one), "p": p, "p+g": new(big.Int).Add(p, gen), "not of order q": big.NewInt(2),
		} {
			if b, err := g.Parse(y.Bytes()); !errors.Is(err, issuer.ErrElement) || b != nil {
				t.Errorf("group %d: %s: %v", id, name, err)
			}
		}
		if b, err := g.Parse(append([]byte{0}, gen.Bytes()...)); err != nil || !bytes.Equal(b, g.Generator()) {
			t.Errorf("group %d: the generator with a leading zero: %v", id, err)
		}
		if _, err := g.Power(nil, g.Q()); !errors.Is(err, issuer.ErrElement) {
			t.Errorf("group %d: g^q: %v", id, err)
		}
		inverse := new(big.Int).ModInverse(gen, p)
		if _, err := g.Multiply(gen.Bytes(), inverse.Bytes()); !errors.Is(err, issuer.ErrElement) {
			t.Errorf("group %d: g/g: %v", id, err)
		}
	}
	for _, id := range []int{-1, 3, 8} {
		if issuer.GroupByID(id) != nil {
			t.Errorf("group %d exists", id)
		}
	}
}

// TestDHKeys: two keys agree, and a key is encoded in the form of the published
// DG14.
func TestDHKeys(t *testing.T) {
	for id := range 3 {
		a, err := issuer.NewDHKey(seeded("a"), id, false)
		if err != nil {
			t.Fatal(err)
		}
		b, err := issuer.NewDHKey(seeded("b"), id, true)
		if err != nil {
			t.Fatal(err)
		}
		public, err := a.DH.Group().Parse(b.DH.Public())
		if err != nil {
			t.Fatal(err)
		}
		x, err := a.DH.Agree(public)
		if err != nil {
			t.Fatal(err)
		}
		y, err := b.DH.Agree(a.DH.Public())
		if err != nil || !bytes.Equal(x, y) {
			t.Errorf("group %d: the secrets differ: %v", id, err)
		}
		if a.ParameterID() != id || !a.Usable() || a.DH.Equal(b.DH) {
			t.Errorf("group %d: number %d", id, a.ParameterID())
		}
		if got := fmt.Sprintf("%v %+v", a, a.DH); got != "[redacted] [redacted]" {
			t.Errorf("a key prints as %d bytes", len(got))
		}
	}
	if _, err := issuer.NewDHKey(nil, 3, false); !errors.Is(err, issuer.ErrKey) {
		t.Errorf("group 3: %v", err)
	}
	if _, err := issuer.NewDHKey(bytes.NewReader(nil), 0, false); !errors.Is(err, io.EOF) {
		t.Errorf("no randomness: %v", err)
	}
	g := issuer.GroupByID(0)
	if _, err := issuer.NewDHKeyFrom(g, g.Q(), false); !errors.Is(err, issuer.ErrKey) {
		t.Errorf("private value q: %v", err)
	}
}

// TestParameterIDs: the numbers of Doc 9303-11, 9.5.1.
func TestParameterIDs(t *testing.T) {
	for id := 8; id <= 18; id++ {
		k, err := issuer.NewECKey(seeded("x"), issuer.CurveByID(id), false)
		if err != nil || k.ParameterID() != id {
			t.Errorf("%d: %v", id, err)
		}
	}
	for _, id := range []int{-1, 0, 7, 19} {
		if name := issuer.CurveByID(id); name != "" {
			t.Errorf("%d: %s", id, name)
		}
	}
	k, err := issuer.NewRSAKey(seeded("x"), 1024)
	if err != nil || k.ParameterID() != -1 {
		t.Errorf("RSA: %v", err)
	}
}
