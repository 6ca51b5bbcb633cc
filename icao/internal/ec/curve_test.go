package ec

import (
	"bytes"
	"errors"
	"math/big"
	"slices"
	"testing"
)

func TestParametersAreConsistent(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			r, g := newReference(c)
			if !r.p.ProbablyPrime(32) || !r.n.ProbablyPrime(32) {
				t.Error("p or n is not a prime")
			}
			for name, b := range map[string][]byte{"a": c.a, "b": c.b, "gx": c.gx, "gy": c.gy, "n": c.n} {
				if len(b) != len(c.p) {
					t.Errorf("%s has %d bytes, p has %d", name, len(b), len(c.p))
				}
			}
			// What the arithmetic relies on: one limb count and one length for
			// both fields, n < p, and at most two x for each r of a signature.
			if r.p.BitLen() != r.n.BitLen() || r.n.Cmp(r.p) >= 0 {
				t.Errorf("p has %d bits, n has %d, n < p is %v", r.p.BitLen(), r.n.BitLen(), r.n.Cmp(r.p) < 0)
			}
			if c.BitSize() != r.p.BitLen() || c.Size() != len(c.p) || c.OrderSize() != len(c.n) {
				t.Errorf("sizes: %d bits, %d and %d bytes", c.BitSize(), c.Size(), c.OrderSize())
			}
			// n is the order: n·G is infinite and n is a prime. That it is the
			// order of the whole curve (cofactor 1) follows from Hasse's bound.
			if q := r.ladder(g, r.n); q.x != nil {
				t.Error("n·G is not infinite")
			}
			if !c.contains(&c.g.affine) {
				t.Error("the generator is not on the model")
			}
			if got := c.Generator().Bytes(); !bytes.Equal(got, r.encode(g)) {
				t.Errorf("generator: got %x, want %x", got, r.encode(g))
			}
			// The model: a·u⁴ = -3, where inX is u².
			f := c.fp
			var a, minus3 fe
			f.setBytes(&a, c.a)
			f.mul(&a, &a, &c.inX)
			f.mul(&a, &a, &c.inX)
			f.triple(&minus3, &f.one)
			f.neg(&minus3, &minus3)
			if a != minus3 {
				t.Errorf("a of the model: got %x, want %x", a, minus3)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	names := map[string]string{
		"P-192": "1.2.840.10045.3.1.1", "P-224": "1.3.132.0.33", "P-256": "1.2.840.10045.3.1.7",
		"P-384": "1.3.132.0.34", "P-521": "1.3.132.0.35",
		"brainpoolP192r1": "1.3.36.3.3.2.8.1.1.3", "brainpoolP224r1": "1.3.36.3.3.2.8.1.1.5",
		"brainpoolP256r1": "1.3.36.3.3.2.8.1.1.7", "brainpoolP320r1": "1.3.36.3.3.2.8.1.1.9",
		"brainpoolP384r1": "1.3.36.3.3.2.8.1.1.11", "brainpoolP512r1": "1.3.36.3.3.2.8.1.1.13",
	}
	if got := len(All()); got != len(names) {
		t.Errorf("curves: got %d, want %d", got, len(names))
	}
	for name, oid := range names {
		c := ByName(name)
		if c == nil || c.Name() != name || c.String() != name || c.OID() != oid || ByOID(oid) != c {
			t.Errorf("%s (%s): not found, or not the same curve by name and by OID", name, oid)
		}
	}
	for _, s := range []string{"", "p-256", "secp256k1", "1.3.132.0.10", "1.2.840.10045.3.1.7.0"} {
		if ByName(s) != nil || ByOID(s) != nil {
			t.Errorf("%q: found", s)
		}
	}
}

func TestParametersAreCopies(t *testing.T) {
	c := ByName("P-256")
	for name, get := range map[string]func() []byte{"P": c.P, "A": c.A, "B": c.B, "Gx": c.Gx, "Gy": c.Gy, "N": c.N} {
		before := get()
		clear(get())
		if !bytes.Equal(get(), before) {
			t.Errorf("%s: a caller changed it", name)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			pad := func(b []byte) []byte { return append(make([]byte, 3), b...) }
			tweak := func(b []byte) []byte {
				b = slices.Clone(b)
				b[len(b)-1] ^= 1
				return b
			}
			g := c.Generator().Bytes()
			minus, err := c.ScalarMult(c.Generator(), new(big.Int).Sub(new(big.Int).SetBytes(c.n), big.NewInt(1)).Bytes())
			if err != nil {
				t.Fatal(err)
			}
			compressed := append([]byte{2 | c.gy[len(c.gy)-1]&1}, c.gx...)
			hybrid := slices.Clone(g)
			hybrid[0] = 6 | c.gy[len(c.gy)-1]&1
			for _, tt := range []struct {
				name          string
				p, a, b, g, n []byte
				h             int
				want          *Curve
			}{
				{"as they are", c.p, c.a, c.b, g, c.n, 1, c},
				{"no cofactor", c.p, c.a, c.b, g, c.n, 0, c},
				{"leading zeros", pad(c.p), pad(c.a), pad(c.b), g, pad(c.n), 1, c},
				{"no leading zeros", trim(c.p), trim(c.a), trim(c.b), g, trim(c.n), 1, c},
				{"compressed generator", c.p, c.a, c.b, compressed, c.n, 1, c},
				{"hybrid generator", c.p, c.a, c.b, hybrid, c.n, 1, nil},
				{"opposite generator", c.p, c.a, c.b, minus.Bytes(), c.n, 1, nil},
				{"opposite compressed generator", c.p, c.a, c.b, append([]byte{compressed[0] ^ 1}, c.gx...), c.n, 1, nil},
				{"other generator", c.p, c.a, c.b, tweak(g), c.n, 1, nil},
				{"no generator", c.p, c.a, c.b, nil, c.n, 1, nil},
				{"cofactor 2", c.p, c.a, c.b, g, c.n, 2, nil},
				{"negative cofactor", c.p, c.a, c.b, g, c.n, -1, nil},
				{"other p", tweak(c.p), c.a, c.b, g, c.n, 1, nil},
				{"other a", c.p, tweak(c.a), c.b, g, c.n, 1, nil},
				{"other b", c.p, c.a, tweak(c.b), g, c.n, 1, nil},
				{"other n", c.p, c.a, c.b, g, tweak(c.n), 1, nil},
				{"nothing", nil, nil, nil, nil, nil, 0, nil},
			} {
				if got := Match(tt.p, tt.a, tt.b, tt.g, tt.n, tt.h); got != tt.want {
					t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
				}
			}
		})
	}
}

func TestScalarMultEdges(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			t.Parallel()
			r, g := newReference(c)
			n := r.n
			q := r.mult(g, big.NewInt(0xC0FFEE))
			p, err := c.ParsePoint(r.encode(q))
			if err != nil {
				t.Fatal(err)
			}
			power := func(bits int) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(bits)) }
			plus := func(x *big.Int, d int64) *big.Int { return new(big.Int).Add(x, big.NewInt(d)) }
			for _, k := range []*big.Int{
				big.NewInt(0), big.NewInt(1), big.NewInt(2), big.NewInt(3), big.NewInt(15), big.NewInt(16), big.NewInt(17), big.NewInt(31), big.NewInt(32),
				plus(n, -2), plus(n, -1), n, plus(n, 1), plus(n, 2), plus(n, 16), new(big.Int).Lsh(n, 1), new(big.Int).Mul(n, n),
				new(big.Int).Rsh(n, 1), plus(new(big.Int).Rsh(n, 1), 1),
				power(64), plus(power(64), -1), power(c.BitSize() - 1), plus(power(c.BitSize()), -1), power(c.BitSize()), power(8 * c.OrderSize()), plus(power(1000), -1),
			} {
				wantP := r.encode(r.mult(q, k))
				wantG := r.encode(r.mult(g, k))
				for _, pad := range []int{0, 1, 9} {
					b := append(make([]byte, pad), k.Bytes()...)
					for _, op := range []struct {
						name string
						do   func([]byte) (*Point, error)
						want []byte
					}{
						{"ScalarMult", func(k []byte) (*Point, error) { return c.ScalarMult(p, k) }, wantP},
						{"ScalarBaseMult", c.ScalarBaseMult, wantG},
					} {
						got, err := op.do(b)
						switch {
						case op.want == nil:
							if !errors.Is(err, ErrInfinity) || got != nil {
								t.Errorf("%s(%x): got %v, %v, want infinity", op.name, b, got, err)
							}
						case err != nil:
							t.Errorf("%s(%x): %v", op.name, b, err)
						case !bytes.Equal(got.Bytes(), op.want):
							t.Errorf("%s(%x): got %x, want %x", op.name, b, got.Bytes(), op.want)
						}
					}
				}
			}
		})
	}
}

func TestAdd(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			r, g := newReference(c)
			mult := func(k int64) *Point {
				p, err := c.ScalarBaseMult(new(big.Int).Mod(big.NewInt(k), r.n).Bytes())
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			for _, tt := range []struct {
				name string
				p, q int64
			}{
				{"different", 5, 9}, {"equal", 7, 7}, {"opposite", 7, -7}, {"equal generators", 1, 1}, {"opposite generators", -1, 1}, {"sum is a summand's opposite", 2, -4},
			} {
				want := r.encode(r.mult(g, big.NewInt(tt.p+tt.q)))
				got, err := c.Add(mult(tt.p), mult(tt.q))
				if want == nil {
					if !errors.Is(err, ErrInfinity) || got != nil {
						t.Errorf("%s: got %v, %v, want infinity", tt.name, got, err)
					}
					continue
				}
				if err != nil || !bytes.Equal(got.Bytes(), want) {
					t.Errorf("%s: got %v, %v, want %x", tt.name, got, err, want)
				}
			}
		})
	}
}

func TestOperandsOfOtherCurvesAreRefused(t *testing.T) {
	a, b := ByName("P-256"), ByName("brainpoolP256r1")
	key, err := a.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []*Point{nil, {}, b.Generator()} {
		if _, err := a.Add(a.Generator(), other); !errors.Is(err, ErrCurveMismatch) {
			t.Errorf("Add: %v", err)
		}
		if _, err := a.Add(other, a.Generator()); !errors.Is(err, ErrCurveMismatch) {
			t.Errorf("Add: %v", err)
		}
		if _, err := a.ScalarMult(other, []byte{1}); !errors.Is(err, ErrCurveMismatch) {
			t.Errorf("ScalarMult: %v", err)
		}
		if _, err := key.DH(other); !errors.Is(err, ErrCurveMismatch) {
			t.Errorf("DH: %v", err)
		}
		if _, err := key.ECDH(other); !errors.Is(err, ErrCurveMismatch) {
			t.Errorf("ECDH: %v", err)
		}
		if a.Generator().Equal(other) {
			t.Error("Equal")
		}
	}
	if new(Point).Equal(new(Point)) {
		t.Error("zero points are equal to each other")
	}
	if p := a.Generator(); !p.Equal(a.Generator()) || p.Curve() != a {
		t.Error("the generator is not equal to itself")
	}
}

// edgeScalars are those whose sums and multiples meet every exception of affine
// addition.
var edgeScalars = []int64{0, 1, 2, 3, 4, -1, -2, -3, -4}

// TestCompleteAddition adds every pair of edges in every formula and with a
// denominator that is not 1.
func TestCompleteAddition(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			f := c.fp
			r, g := newReference(c)
			var z fe
			f.setReduced(&z, []byte("any denominator"))

			point := func(k int64) (p affine, finite bool) {
				q := r.mult(g, big.NewInt(k))
				if q.x == nil {
					return affine{}, false
				}
				pt, err := c.ParsePoint(r.encode(q))
				if err != nil {
					t.Fatal(err)
				}
				return pt.affine, true
			}
			homogeneous := func(k int64) (p projective) {
				a, finite := point(k)
				if finite {
					p.set(c, &a)
				} else {
					p.setInfinity(c)
				}
				f.mul(&p.x, &p.x, &z)
				f.mul(&p.y, &p.y, &z)
				f.mul(&p.z, &p.z, &z)
				return p
			}
			jac := func(k int64) (p jacobian) {
				a, finite := point(k)
				if !finite {
					return jacobian{x: z, y: z} // the coordinates do not count
				}
				var zz fe
				f.sqr(&zz, &z)
				f.mul(&p.x, &a.x, &zz)
				f.mul(&zz, &zz, &z)
				f.mul(&p.y, &a.y, &zz)
				p.z = z
				return p
			}
			same := func(how string, i, j int64, p projective) {
				t.Helper()
				want, finite := point(i + j)
				got, err := c.finite(&p)
				if !finite {
					if !errors.Is(err, ErrInfinity) || f.isZero(&p.x) == 0 || f.isZero(&p.y) == 1 {
						t.Errorf("%s: %d + %d is not (0 : y : 0): %v", how, i, j, err)
					}
					return
				}
				if err != nil || got.affine != want {
					t.Errorf("%s: %d + %d is wrong: %v", how, i, j, err)
				}
			}
			sameJacobian := func(how string, i, j int64, p jacobian) {
				t.Helper()
				if f.isZero(&p.z) == 1 {
					if i+j != 0 {
						t.Errorf("%s: %d + %d is infinite", how, i, j)
					}
					return
				}
				var h projective
				f.mul(&h.x, &p.x, &p.z)
				h.y = p.y
				f.sqr(&h.z, &p.z)
				f.mul(&h.z, &h.z, &p.z)
				same(how, i, j, h)
			}

			for _, i := range edgeScalars {
				double := homogeneous(i)
				c.doubleTimes(&double, 1)
				same("doubleTimes", i, i, double)
				j2 := jac(i)
				c.doubleJacobian(&j2, &j2)
				sameJacobian("doubleJacobian", i, i, j2)

				for _, j := range edgeScalars {
					p, q := homogeneous(i), homogeneous(j)
					var sum projective
					c.add(&sum, &p, &q)
					same("add", i, j, sum)
					sum = p
					c.add(&sum, &sum, &q)
					same("add into p", i, j, sum)
					sum = q
					c.add(&sum, &p, &sum)
					same("add into q", i, j, sum)

					jp, jq := jac(i), jac(j)
					var jsum jacobian
					c.addVartime(&jsum, &jp, &jq)
					sameJacobian("addVartime", i, j, jsum)
					jsum = jp
					c.addVartime(&jsum, &jsum, &jq)
					sameJacobian("addVartime into p", i, j, jsum)

					if a, finite := point(j); finite {
						c.addMixed(&sum, &p, &a)
						same("addMixed", i, j, sum)
						sum = p
						c.addMixed(&sum, &sum, &a)
						same("addMixed into p", i, j, sum)
						c.addMixedVartime(&jsum, &jp, &a)
						sameJacobian("addMixedVartime", i, j, jsum)
						jsum = jp
						c.addMixedVartime(&jsum, &jsum, &a)
						sameJacobian("addMixedVartime into p", i, j, jsum)
					}
				}
			}
		})
	}
}

// TestCombine compares k·G + l·(m·G) of the verification with (k + l·m)·G of the
// complete formulas, at the scalars where its two chains meet.
func TestCombine(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name(), func(t *testing.T) {
			t.Parallel()
			f := c.fp
			r, _ := newReference(c)
			gen := elements(c.fn)
			scalars := slices.Clone(edgeScalars)
			check := func(k, l, m *big.Int) {
				t.Helper()
				q, err := c.ScalarBaseMult(m.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				ke, le := element(c.fn, k), element(c.fn, l)
				var sum jacobian
				c.combineVartime(&sum, &ke, &q.affine, &le)
				e := new(big.Int).Mul(l, m)
				e.Add(e, k)
				var want []byte // of the complete formulas
				if p, err := c.ScalarBaseMult(e.Bytes()); err == nil {
					want = p.Bytes()
				}
				if f.isZero(&sum.z) == 1 {
					if want != nil {
						t.Errorf("%v·G + %v·%v·G is infinite", k, l, m)
					}
					return
				}
				var h projective
				f.mul(&h.x, &sum.x, &sum.z)
				h.y = sum.y
				f.sqr(&h.z, &sum.z)
				f.mul(&h.z, &h.z, &sum.z)
				got, err := c.finite(&h)
				if err != nil || !bytes.Equal(got.Bytes(), want) {
					t.Errorf("%v·G + %v·%v·G: got %v, want %x", k, l, m, err, want)
				}
			}
			mod := func(k int64) *big.Int { return new(big.Int).Mod(big.NewInt(k), r.n) }
			for _, k := range scalars {
				for _, l := range scalars {
					for _, m := range []int64{1, -1, 2} {
						check(mod(k), mod(l), mod(m))
					}
				}
			}
			for i := range 20 {
				k, l := gen.Example(i), gen.Example(100+i)
				check(integer(&k), integer(&l), mod(int64(3+i)))
			}
		})
	}
}
