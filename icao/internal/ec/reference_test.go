package ec

import (
	"crypto/elliptic"
	"math/big"
	"testing"

	"github.com/ProtonMail/go-crypto/brainpool"
)

// reference is the schoolbook group of a curve: affine points, one inversion for
// each addition, integers of any size. It shares only the parameters with the
// package, and those are compared with other implementations below.
type reference struct{ p, a, b, n *big.Int }

// refPoint is a point of a reference; x is nil at infinity.
type refPoint struct{ x, y *big.Int }

func newReference(c *Curve) (reference, refPoint) {
	num := func(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
	return reference{num(c.p), num(c.a), num(c.b), num(c.n)}, refPoint{num(c.gx), num(c.gy)}
}

func (r reference) add(p, q refPoint) refPoint {
	if p.x == nil {
		return q
	}
	if q.x == nil {
		return p
	}
	num, den := new(big.Int), new(big.Int)
	if p.x.Cmp(q.x) != 0 {
		num.Sub(q.y, p.y)
		den.Sub(q.x, p.x)
	} else {
		if sum := new(big.Int).Add(p.y, q.y); sum.Mod(sum, r.p).Sign() == 0 {
			return refPoint{}
		}
		num.Mul(p.x, p.x)
		num.Mul(num, big.NewInt(3))
		num.Add(num, r.a)
		den.Lsh(p.y, 1)
	}
	slope := den.ModInverse(den.Mod(den, r.p), r.p)
	slope.Mul(slope, num)
	x := new(big.Int).Mul(slope, slope)
	x.Sub(x, p.x)
	x.Sub(x, q.x)
	x.Mod(x, r.p)
	y := new(big.Int).Sub(p.x, x)
	y.Mul(y, slope)
	y.Sub(y, p.y)
	return refPoint{x, y.Mod(y, r.p)}
}

// mult returns k·p, where k is of any size and sign.
func (r reference) mult(p refPoint, k *big.Int) refPoint {
	k = new(big.Int).Mod(k, r.n)
	if half := new(big.Int).Rsh(r.n, 1); k.Cmp(half) > 0 { // -k·-p may be shorter
		k.Sub(r.n, k)
		p = refPoint{p.x, new(big.Int).Sub(r.p, p.y)}
	}
	return r.ladder(p, k)
}

// ladder returns k·p for k >= 0, without knowing the order.
func (r reference) ladder(p refPoint, k *big.Int) refPoint {
	var sum refPoint
	for i := k.BitLen() - 1; i >= 0; i-- {
		sum = r.add(sum, sum)
		if k.Bit(i) == 1 {
			sum = r.add(sum, p)
		}
	}
	return sum
}

// encode returns the uncompressed encoding of p, nil for infinity.
func (r reference) encode(p refPoint) []byte {
	if p.x == nil {
		return nil
	}
	size := (r.p.BitLen() + 7) / 8
	b := append([]byte{4}, p.x.FillBytes(make([]byte, size))...)
	return append(b, p.y.FillBytes(make([]byte, size))...)
}

// oracles are independent implementations of the curves, those of the standard
// library and of another project.
var oracles = map[string]elliptic.Curve{
	"P-224":           elliptic.P224(),
	"P-256":           elliptic.P256(),
	"P-384":           elliptic.P384(),
	"P-521":           elliptic.P521(),
	"brainpoolP256r1": brainpool.P256r1(),
	"brainpoolP384r1": brainpool.P384r1(),
	"brainpoolP512r1": brainpool.P512r1(),
}

func TestParametersMatchOracles(t *testing.T) {
	for name, o := range oracles {
		t.Run(name, func(t *testing.T) {
			c := ByName(name)
			r, g := newReference(c)
			want := o.Params()
			for _, v := range []struct {
				name      string
				got, want *big.Int
			}{
				{"p", r.p, want.P}, {"b", r.b, want.B}, {"n", r.n, want.N}, {"gx", g.x, want.Gx}, {"gy", g.y, want.Gy},
			} {
				// The brainpool oracle states b of the twist.
				if v.name == "b" && c.fp.equal(&c.inX, &c.fp.one) == 0 {
					continue
				}
				if v.got.Cmp(v.want) != 0 {
					t.Errorf("%s: got %x, want %x", v.name, v.got, v.want)
				}
			}
			if c.BitSize() != want.BitSize {
				t.Errorf("bits: got %d, want %d", c.BitSize(), want.BitSize)
			}
		})
	}
}
