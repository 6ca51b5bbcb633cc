package ec

import (
	"errors"
	"slices"
)

// What callers may branch on.
var (
	// ErrInvalidPoint reports bytes or coordinates that are no point of the
	// curve: wrong length or form, a coordinate that is not below the modulus,
	// or a pair that does not satisfy the equation.
	ErrInvalidPoint = errors.New("ec: invalid point")
	// ErrInfinity reports a result that is the point at infinity, which has no
	// coordinates and no place in any protocol.
	ErrInfinity = errors.New("ec: point at infinity")
	// ErrCurveMismatch reports operands that belong to different curves, or an
	// operand that is absent.
	ErrCurveMismatch = errors.New("ec: operands of different curves")
	// ErrInvalidScalar reports a private key that is not between 1 and n-1 or
	// has the wrong length.
	ErrInvalidScalar = errors.New("ec: invalid private key")
)

// Point is a point of a curve other than the one at infinity. Every *Point that
// this package returns is on its curve; the zero Point belongs to no curve and
// every operation refuses it. A Point is immutable and safe for concurrent use.
type Point struct {
	curve *Curve
	affine
}

// affine is a finite point of a curve's model, in Montgomery form.
type affine struct{ x, y fe }

// ParsePoint returns the point with an uncompressed encoding (SEC 1, 2.3.4): 04,
// x, y, each coordinate Size bytes. Anything else is [ErrInvalidPoint]: other
// forms (compressed, hybrid, infinity), coordinates that are not below the
// modulus, points off the curve.
func (c *Curve) ParsePoint(b []byte) (*Point, error) {
	if len(b) != 1+2*c.fp.size || b[0] != 4 {
		return nil, ErrInvalidPoint
	}
	return c.NewPoint(b[1:1+c.fp.size], b[1+c.fp.size:])
}

// NewPoint returns the point with these big-endian coordinates, each Size
// bytes. It fails with [ErrInvalidPoint] as [Curve.ParsePoint] does.
func (c *Curve) NewPoint(x, y []byte) (*Point, error) {
	f := c.fp
	p := &Point{curve: c}
	if !f.setBytes(&p.x, x) || !f.setBytes(&p.y, y) {
		return nil, ErrInvalidPoint
	}
	f.mul(&p.x, &p.x, &c.inX)
	f.mul(&p.y, &p.y, &c.inY)
	if !c.contains(&p.affine) {
		return nil, ErrInvalidPoint
	}
	return p, nil
}

// contains reports whether p satisfies the model's equation y² = x³ - 3x + b.
func (c *Curve) contains(p *affine) bool {
	f := c.fp
	var l, r, t fe
	f.sqr(&l, &p.y)
	f.sqr(&r, &p.x)
	f.mul(&r, &r, &p.x)
	f.triple(&t, &p.x)
	f.sub(&r, &r, &t)
	f.add(&r, &r, &c.modelB)
	return f.equal(&l, &r) == 1
}

// Curve returns the point's curve.
func (p *Point) Curve() *Curve { return p.curve }

// X returns the x coordinate: big-endian, Size bytes.
func (p *Point) X() []byte {
	var x fe
	p.curve.fp.mul(&x, &p.x, &p.curve.outX)
	return p.curve.fp.bytes(&x)
}

// Y returns the y coordinate: big-endian, Size bytes.
func (p *Point) Y() []byte {
	var y fe
	p.curve.fp.mul(&y, &p.y, &p.curve.outY)
	return p.curve.fp.bytes(&y)
}

// Bytes returns the uncompressed encoding: 04, x, y.
func (p *Point) Bytes() []byte { return slices.Concat([]byte{4}, p.X(), p.Y()) }

// Equal reports whether p and q are the same point of the same curve. Its time
// does not depend on the coordinates.
func (p *Point) Equal(q *Point) bool {
	if !p.curve.owns(p) || !p.curve.owns(q) {
		return false
	}
	f := p.curve.fp
	return f.equal(&p.x, &q.x)&f.equal(&p.y, &q.y) == 1
}

// owns reports whether p is a point of c.
func (c *Curve) owns(p *Point) bool { return c != nil && p != nil && p.curve == c }

// Add returns p + q, where q may equal p. It fails with [ErrInfinity] if q is
// the opposite of p, and with [ErrCurveMismatch] if either is not of this
// curve.
func (c *Curve) Add(p, q *Point) (*Point, error) {
	if !c.owns(p) || !c.owns(q) {
		return nil, ErrCurveMismatch
	}
	var r projective
	r.set(c, &p.affine)
	c.addMixed(&r, &r, &q.affine)
	return c.finite(&r)
}

// ScalarMult returns k·p for a big-endian integer k of any length, which is
// reduced modulo the order. It fails with [ErrInfinity] if k is a multiple of
// the order, and with [ErrCurveMismatch] if p is not of this curve. Its time
// depends on the length of k, not on its value.
func (c *Curve) ScalarMult(p *Point, k []byte) (*Point, error) {
	if !c.owns(p) {
		return nil, ErrCurveMismatch
	}
	var s fe
	c.fn.setReduced(&s, k)
	return c.mult(p, &s)
}

// ScalarBaseMult returns k times the generator. It takes k and fails as
// [Curve.ScalarMult] does.
func (c *Curve) ScalarBaseMult(k []byte) (*Point, error) {
	var s fe
	c.fn.setReduced(&s, k)
	return c.baseMult(&s)
}

// mult returns s·p for a scalar in Montgomery form.
func (c *Curve) mult(p *Point, s *fe) (*Point, error) {
	var k fe
	c.fn.fromMont(&k, s)
	var r projective
	c.scalarMult(&r, &p.affine, &k)
	return c.finite(&r)
}

// baseMult returns s times the generator for a scalar in Montgomery form.
func (c *Curve) baseMult(s *fe) (*Point, error) {
	var k fe
	c.fn.fromMont(&k, s)
	var r projective
	c.scalarBaseMult(&r, &k)
	return c.finite(&r)
}

// finite returns r as a point, or [ErrInfinity]. That a result is infinite is
// not a secret: no protocol goes on after it.
func (c *Curve) finite(r *projective) (*Point, error) {
	f := c.fp
	if f.isZero(&r.z) == 1 {
		return nil, ErrInfinity
	}
	p := &Point{curve: c}
	var zInv fe
	f.invert(&zInv, &r.z)
	f.mul(&p.x, &r.x, &zInv)
	f.mul(&p.y, &r.y, &zInv)
	return p, nil
}
