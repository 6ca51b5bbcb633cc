package ec

import (
	"bytes"
	"encoding/hex"
	"slices"
	"sync"
)

// Curve is a group of prime order on an elliptic curve. There is exactly one
// *Curve for each curve, so pointers may be compared; [ByName], [ByOID],
// [Match] and [All] return it. It is safe for concurrent use.
type Curve struct {
	name, oid          string
	p, a, b, gx, gy, n []byte
	fp, fn             *field // coordinates, scalars
	g                  Point
	modelB             fe // b in the model with a = -3
	inX, inY           fe // factors into the model: u², u³
	outX, outY         fe // and out of it
	baseOnce, oddOnce  sync.Once
	baseTable          [][8]affine // see scalarBaseMult
	oddG               []affine    // see combineVartime
}

// registry holds the definitions with their curves, built at first use.
var registry = func() []entry {
	r := make([]entry, len(definitions))
	for i, d := range definitions {
		r[i] = entry{d, sync.OnceValue(func() *Curve { return newCurve(d) })}
	}
	return r
}()

type entry struct {
	params
	curve func() *Curve
}

// newCurve builds the curve of a definition.
func newCurve(d params) *Curve {
	c := &Curve{
		name: d.name, oid: d.oid,
		p: unhex(d.p), a: unhex(d.a), b: unhex(d.b),
		gx: unhex(d.gx), gy: unhex(d.gy), n: unhex(d.n),
	}
	c.fp, c.fn = newField(c.p), newField(c.n)
	f := c.fp

	var a, minus3, u fe
	f.setBytes(&a, c.a)
	f.triple(&minus3, &f.one)
	f.neg(&minus3, &minus3)
	u = f.one
	if f.equal(&a, &minus3) == 0 {
		f.invert(&u, &a)
		f.mul(&u, &u, &minus3)
		// p = 3 mod 4 for these curves: x^((p+1)/4) is that root of a square
		// x which is a square itself, so the root of the root exists.
		root := f.rootExponent()
		f.pow(&u, &u, root)
		f.pow(&u, &u, root)
	}
	f.sqr(&c.inX, &u)
	f.mul(&c.inY, &c.inX, &u)
	f.invert(&c.outX, &c.inX)
	f.invert(&c.outY, &c.inY)
	f.setBytes(&c.modelB, c.b)
	f.mul(&c.modelB, &c.modelB, &c.inY)
	f.mul(&c.modelB, &c.modelB, &c.inY)

	c.g.curve = c
	f.setBytes(&c.g.x, c.gx)
	f.setBytes(&c.g.y, c.gy)
	f.mul(&c.g.x, &c.g.x, &c.inX)
	f.mul(&c.g.y, &c.g.y, &c.inY)
	return c
}

// rootExponent returns (m+1)/4, big-endian, for m = 3 mod 4.
func (f *field) rootExponent() []byte {
	// (m+1)/4 = (m-3)/4 + 1, and (m-3)/4 is m shifted right by two bits.
	var e fe
	for i := range f.limbs {
		e[i] = f.m[i] >> 2
		if i+1 < f.limbs {
			e[i] |= f.m[i+1] << 62
		}
	}
	for i := range f.limbs {
		if e[i]++; e[i] != 0 {
			break
		}
	}
	return f.store(&e)
}

// unhex decodes a constant of this package; the tests check them all.
func unhex(s string) []byte {
	b, _ := hex.DecodeString(s)
	return b
}

// All returns every curve: NIST, then brainpool, each by size.
func All() []*Curve {
	cs := make([]*Curve, len(registry))
	for i := range registry {
		cs[i] = registry[i].curve()
	}
	return cs
}

// ByName returns the curve with a name such as "P-256" or "brainpoolP384r1",
// or nil if there is none.
func ByName(name string) *Curve {
	return find(func(e *entry) bool { return e.name == name })
}

// ByOID returns the curve with an object identifier in dotted form, such as
// "1.2.840.10045.3.1.7", or nil if there is none.
func ByOID(oid string) *Curve {
	return find(func(e *entry) bool { return e.oid == oid })
}

func find(match func(*entry) bool) *Curve {
	for i := range registry {
		if e := &registry[i]; match(e) {
			return e.curve()
		}
	}
	return nil
}

// Match returns the curve whose domain parameters are exactly these, the
// generator included, or nil if there is none. It is how explicit parameters
// (RFC 3279, 2.3.5) become a curve: a set of parameters that is not equal to a
// known one in every number is never accepted, because a forged generator makes
// any public key verify any signature (CVE-2020-0601).
//
// Numbers are big-endian with any number of leading zero bytes. The generator
// g is an encoded point, uncompressed or compressed (SEC 1, 2.3.3). A cofactor
// h of 0 means absent.
func Match(p, a, b, g, n []byte, h int) *Curve {
	if h != 0 && h != 1 {
		return nil
	}
	return find(func(e *entry) bool {
		same := func(want string, got []byte) bool {
			return bytes.Equal(trim(unhex(want)), trim(got))
		}
		if !same(e.p, p) || !same(e.a, a) || !same(e.b, b) || !same(e.n, n) {
			return false
		}
		gx, gy := unhex(e.gx), unhex(e.gy)
		return bytes.Equal(g, slices.Concat([]byte{4}, gx, gy)) ||
			bytes.Equal(g, slices.Concat([]byte{2 | gy[len(gy)-1]&1}, gx))
	})
}

// trim returns b without its leading zero bytes.
func trim(b []byte) []byte { return bytes.TrimLeft(b, "\x00") }

// Name returns the curve's name, for example "P-256" or "brainpoolP384r1".
func (c *Curve) Name() string { return c.name }

// String returns the curve's name.
func (c *Curve) String() string { return c.name }

// OID returns the curve's object identifier in dotted form.
func (c *Curve) OID() string { return c.oid }

// BitSize returns the length of the field's modulus in bits.
func (c *Curve) BitSize() int { return c.fp.bits }

// Size returns the length of a coordinate in bytes.
func (c *Curve) Size() int { return c.fp.size }

// OrderSize returns the length of the order in bytes, which is that of private
// keys and of each half of a signature.
func (c *Curve) OrderSize() int { return c.fn.size }

// P returns the field's modulus: big-endian, Size bytes, a copy.
func (c *Curve) P() []byte { return slices.Clone(c.p) }

// A returns the coefficient a of the curve's equation: big-endian, Size bytes,
// a copy.
func (c *Curve) A() []byte { return slices.Clone(c.a) }

// B returns the coefficient b of the curve's equation: big-endian, Size bytes,
// a copy.
func (c *Curve) B() []byte { return slices.Clone(c.b) }

// Gx returns the x coordinate of the generator: big-endian, Size bytes, a copy.
func (c *Curve) Gx() []byte { return slices.Clone(c.gx) }

// Gy returns the y coordinate of the generator: big-endian, Size bytes, a copy.
func (c *Curve) Gy() []byte { return slices.Clone(c.gy) }

// N returns the order of the generator, a prime: big-endian, OrderSize bytes, a
// copy.
func (c *Curve) N() []byte { return slices.Clone(c.n) }

// Generator returns the curve's generator.
func (c *Curve) Generator() *Point { return &Point{c, c.g.affine} }
