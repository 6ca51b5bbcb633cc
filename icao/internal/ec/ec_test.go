package ec_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"

	"github.com/ProtonMail/go-crypto/brainpool"

	"github.com/chamthe/chamthe/icao/internal/ec"
)

// oracles are independent implementations of the curves: the standard
// library's, and one for brainpool.
var oracles = map[string]elliptic.Curve{
	"P-224":           elliptic.P224(),
	"P-256":           elliptic.P256(),
	"P-384":           elliptic.P384(),
	"P-521":           elliptic.P521(),
	"brainpoolP256r1": brainpool.P256r1(),
	"brainpoolP384r1": brainpool.P384r1(),
	"brainpoolP512r1": brainpool.P512r1(),
}

func TestParametersAreConsistent(t *testing.T) {
	for _, c := range ec.All() {
		t.Run(c.Name(), func(t *testing.T) {
			g, err := c.NewPoint(c.Gx(), c.Gy())
			if err != nil {
				t.Fatalf("generator: %v", err)
			}
			if _, err := c.ScalarMult(g, c.N()); !errors.Is(err, ec.ErrInfinity) {
				t.Errorf("n*G: got %v, want infinity", err)
			}
			one := new(big.Int).SetBytes(c.N())
			one.Sub(one, big.NewInt(1))
			p, err := c.ScalarMult(g, one.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(p.X(), c.Gx()) || bytes.Equal(p.Y(), c.Gy()) {
				t.Errorf("(n-1)*G is not -G")
			}
			if q, err := c.ScalarBaseMult(one.Bytes()); err != nil || !q.Equal(p) {
				t.Errorf("ScalarBaseMult(n-1): %v", err)
			}
		})
	}
}

func TestAgainstOracles(t *testing.T) {
	for _, c := range ec.All() {
		o, ok := oracles[c.Name()]
		if !ok {
			continue
		}
		t.Run(c.Name(), func(t *testing.T) {
			for range 20 {
				k, err := c.GenerateKey(nil)
				if err != nil {
					t.Fatal(err)
				}
				x, y := o.ScalarBaseMult(k.Bytes())
				if !bytes.Equal(k.Public().X(), x.FillBytes(make([]byte, c.Size()))) || !bytes.Equal(k.Public().Y(), y.FillBytes(make([]byte, c.Size()))) {
					t.Fatal("base mult")
				}
				l, _ := c.GenerateKey(rand.Reader)
				p, err := k.DH(l.Public())
				if err != nil {
					t.Fatal(err)
				}
				x, y = o.ScalarMult(x, y, l.Bytes())
				if !bytes.Equal(p.X(), x.FillBytes(make([]byte, c.Size()))) || !bytes.Equal(p.Y(), y.FillBytes(make([]byte, c.Size()))) {
					t.Fatal("mult")
				}
				d := sha256.Sum256(p.X())
				r, s, err := k.Sign(nil, d[:])
				if err != nil {
					t.Fatal(err)
				}
				pub := &ecdsa.PublicKey{Curve: o, X: new(big.Int).SetBytes(k.Public().X()), Y: new(big.Int).SetBytes(k.Public().Y())}
				if !ecdsa.Verify(pub, d[:], new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)) {
					t.Fatal("oracle refuses")
				}
				if !ec.Verify(k.Public(), d[:], r, s) {
					t.Fatal("verify")
				}
			}
		})
	}
}
