package ec

import (
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// fields returns every field of every curve.
func fields() map[string]*field {
	m := make(map[string]*field)
	for _, c := range All() {
		m[c.name+"/p"] = c.fp
		m[c.name+"/n"] = c.fn
	}
	return m
}

// integer returns the limbs of x as they stand.
func integer(x *fe) *big.Int {
	z := new(big.Int)
	for i := maxLimbs - 1; i >= 0; i-- {
		z.Lsh(z, 64)
		z.Add(z, new(big.Int).SetUint64(x[i]))
	}
	return z
}

// element returns x mod m as plain limbs.
func element(f *field, x *big.Int) fe {
	var z fe
	f.load(&z, new(big.Int).Mod(x, integer(&f.m)).FillBytes(make([]byte, 8*f.limbs)))
	return z
}

// elements draws residues with a weight on what arithmetic gets wrong: the ends
// of the range, the middle, powers of two, limbs that are all zeros or all ones.
func elements(f *field) *rapid.Generator[fe] {
	m := integer(&f.m)
	r := new(big.Int).Lsh(big.NewInt(1), uint(64*f.limbs))
	edges := []*big.Int{
		big.NewInt(0), big.NewInt(1), big.NewInt(2), big.NewInt(3),
		new(big.Int).Sub(m, big.NewInt(1)), new(big.Int).Sub(m, big.NewInt(2)),
		new(big.Int).Rsh(m, 1), new(big.Int).Add(new(big.Int).Rsh(m, 1), big.NewInt(1)),
		r, new(big.Int).Sub(r, big.NewInt(1)), new(big.Int).Mul(r, r), new(big.Int).Sub(r, m),
	}
	edge := rapid.Custom(func(t *rapid.T) fe { return element(f, rapid.SampledFrom(edges).Draw(t, "edge")) })
	power := rapid.Custom(func(t *rapid.T) fe {
		x := new(big.Int).Lsh(big.NewInt(1), uint(rapid.IntRange(0, f.bits).Draw(t, "shift")))
		return element(f, x.Add(x, big.NewInt(rapid.Int64Range(-1, 1).Draw(t, "delta"))))
	})
	limb := rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, 1 << 63, 1<<64 - 1, f.m[0]}), rapid.Uint64())
	pattern := rapid.Custom(func(t *rapid.T) fe {
		var x fe
		for i := range f.limbs {
			x[i] = limb.Draw(t, "limb")
		}
		return element(f, integer(&x))
	})
	return rapid.OneOf(edge, power, pattern)
}

func TestFieldMatchesIntegers(t *testing.T) {
	for name, f := range fields() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := integer(&f.m)
			rInv := new(big.Int).Lsh(big.NewInt(1), uint(64*f.limbs))
			rInv.ModInverse(rInv, m)
			gen := elements(f)
			rapid.Check(t, func(t *rapid.T) {
				x, y := gen.Draw(t, "x"), gen.Draw(t, "y")
				bx, by := integer(&x), integer(&y)
				montgomery := func(z *big.Int) *big.Int { return z.Mul(z, rInv) }
				for _, op := range []struct {
					name string
					do   func(z, x, y *fe)
					want *big.Int
				}{
					{"mul", f.mul, montgomery(new(big.Int).Mul(bx, by))},
					{"sqr", func(z, x, _ *fe) { f.sqr(z, x) }, montgomery(new(big.Int).Mul(bx, bx))},
					{"add", f.add, new(big.Int).Add(bx, by)},
					{"sub", f.sub, new(big.Int).Sub(bx, by)},
					{"neg", func(z, x, _ *fe) { f.neg(z, x) }, new(big.Int).Neg(bx)},
					{"triple", func(z, x, _ *fe) { f.triple(z, x) }, new(big.Int).Mul(bx, big.NewInt(3))},
				} {
					want := element(f, op.want)
					check := func(how string, got fe) {
						if got != want {
							t.Errorf("%s (%s): got %x, want %x", op.name, how, got, want)
						}
					}
					var z fe
					op.do(&z, &x, &y)
					check("apart", z)
					z = x
					op.do(&z, &z, &y)
					check("into x", z)
					z = y
					op.do(&z, &x, &z)
					check("into y", z)
				}
				// Both arguments and the result in one place.
				z := x
				f.mul(&z, &z, &z)
				if want := element(f, montgomery(new(big.Int).Mul(bx, bx))); z != want {
					t.Errorf("mul in place: got %x, want %x", z, want)
				}
				z = x
				f.add(&z, &z, &z)
				if want := element(f, new(big.Int).Lsh(bx, 1)); z != want {
					t.Errorf("add in place: got %x, want %x", z, want)
				}
				z = x
				f.sub(&z, &z, &z)
				if z != (fe{}) {
					t.Errorf("sub in place: got %x, want 0", z)
				}
				if got, want := f.equal(&x, &y) == 1, bx.Cmp(by) == 0; got != want {
					t.Errorf("equal: got %v, want %v", got, want)
				}
				if got, want := f.isZero(&x) == 1, bx.Sign() == 0; got != want {
					t.Errorf("isZero: got %v, want %v", got, want)
				}
				for bit, want := range []fe{x, y} {
					z := x
					if f.choose(&z, &y, uint64(bit)); z != want {
						t.Errorf("choose %d: got %x, want %x", bit, z, want)
					}
				}
			})
		})
	}
}

func TestFieldInvert(t *testing.T) {
	for name, f := range fields() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gen := elements(f)
			for i := range 40 {
				x := gen.Example(i)
				var inv, one fe
				f.invert(&inv, &x)
				f.mul(&one, &inv, &x)
				want := f.one
				if f.isZero(&x) == 1 {
					want = fe{}
				}
				if one != want {
					t.Errorf("x/x: got %x, want %x", one, want)
				}
			}
		})
	}
}

func TestFieldBytes(t *testing.T) {
	for name, f := range fields() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := integer(&f.m)
			gen := elements(f)
			rapid.Check(t, func(t *rapid.T) {
				x := gen.Draw(t, "x")
				b := f.store(&x)
				var z fe
				if !f.setBytes(&z, b) {
					t.Fatalf("setBytes refuses %x", b)
				}
				if got := f.bytes(&z); string(got) != string(b) {
					t.Errorf("round trip: got %x, want %x", got, b)
				}
				// x + m is the same residue, which is why it must be refused.
				if wide := new(big.Int).Add(integer(&x), m); wide.BitLen() <= 8*f.size {
					if f.setBytes(&z, wide.FillBytes(make([]byte, f.size))) || z != (fe{}) {
						t.Errorf("setBytes accepts %x", wide)
					}
				}

				long := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "long")
				f.setReduced(&z, long)
				want := new(big.Int).Mod(new(big.Int).SetBytes(long), m).FillBytes(make([]byte, f.size))
				if got := f.bytes(&z); string(got) != string(want) {
					t.Errorf("setReduced(%x): got %x, want %x", long, got, want)
				}
			})
			for _, b := range [][]byte{nil, make([]byte, f.size-1), make([]byte, f.size+1), f.store(&f.m)} {
				var z fe
				if f.setBytes(&z, b) {
					t.Errorf("setBytes accepts %d bytes: %x", len(b), b)
				}
			}
		})
	}
}

func TestEveryLimbCountHasCode(t *testing.T) {
	want := fmt.Sprint(map[int]bool{3: true, 4: true, 5: true, 6: true, 8: true, 9: true})
	got := make(map[int]bool)
	for _, f := range fields() {
		got[f.limbs] = true
	}
	if fmt.Sprint(got) != want {
		t.Errorf("limb counts: got %v, want %s", got, want)
	}
}

// TestBooth checks that signed windows add up to the scalar.
func TestBooth(t *testing.T) {
	for _, w := range []int{4, 5} {
		f := ByName("P-521").fn
		gen := elements(f)
		rapid.Check(t, func(t *rapid.T) {
			k := gen.Draw(t, "k")
			sum := new(big.Int)
			for i := windows(f.bits, w) - 1; i >= 0; i-- {
				digit, sign := booth(&k, i*w, w)
				if digit > 1<<(w-1) || sign > 1 {
					t.Fatalf("digit %d, sign %d at window %d", digit, sign, i)
				}
				d := big.NewInt(int64(digit))
				if sign == 1 {
					d.Neg(d)
				}
				sum.Add(sum.Lsh(sum, uint(w)), d)
			}
			if sum.Cmp(integer(&k)) != 0 {
				t.Errorf("width %d: got %x, want %x", w, sum, integer(&k))
			}
		})
	}
}

// TestNAF checks that the digits add up to the scalar and are as sparse and small
// as their tables need.
func TestNAF(t *testing.T) {
	for _, c := range All() {
		gen := elements(c.fn)
		for _, w := range []int{pointNAF, baseNAF} {
			rapid.Check(t, func(t *rapid.T) {
				k := gen.Draw(t, "k")
				var d nafDigits
				d.set(&k, w)
				sum, last := new(big.Int), len(d)+w
				for i := len(d) - 1; i >= 0; i-- {
					sum.Add(sum.Lsh(sum, 1), big.NewInt(int64(d[i])))
					if d[i] == 0 {
						continue
					}
					if d[i]%2 == 0 || int(d[i]) >= 1<<(w-1) || int(d[i]) <= -1<<(w-1) {
						t.Errorf("digit %d", d[i])
					}
					if last-i < w {
						t.Errorf("digits at %d and %d", last, i)
					}
					if i > c.fn.bits {
						t.Errorf("digit at %d of a scalar of %d bits", i, c.fn.bits)
					}
					last = i
				}
				if sum.Cmp(integer(&k)) != 0 {
					t.Errorf("width %d: got %x, want %x", w, sum, integer(&k))
				}
			})
		}
	}
}
