package ec

import "math/bits"

// MapToPoint returns the point that the point encoding of PACE's integrated
// mapping assigns to t (Doc 9303-11, B.2), a big-endian number of Size bytes
// with 0 < t < p. It fails with [ErrInvalidPoint] for the few t that the
// encoding does not cover (0, 1, p-1 and what is not below p), and for P-224,
// because the encoding requires p = 3 mod 4.
//
// t derives from the password, so the time does not depend on its value.
func (c *Curve) MapToPoint(t []byte) (*Point, error) {
	f := c.fp
	var tm, a, b fe
	if f.m[0]%4 != 3 || !f.setBytes(&tm, t) {
		return nil, ErrInvalidPoint
	}
	f.setBytes(&a, c.a)
	f.setBytes(&b, c.b)

	var alpha, alpha1, d, x2, x3, h2, u, root, check fe
	f.sqr(&alpha, &tm)
	f.neg(&alpha, &alpha) // step 1: alpha = -t²
	f.sqr(&alpha1, &alpha)
	f.add(&alpha1, &alpha1, &alpha) // alpha + alpha²
	if f.isZero(&alpha1) == 1 {
		return nil, ErrInvalidPoint
	}
	f.mul(&d, &a, &alpha1) // step 2: X2 = -b(1 + alpha + alpha²) / (a(alpha + alpha²))
	f.invert(&d, &d)
	f.add(&x2, &f.one, &alpha1)
	f.mul(&x2, &x2, &b)
	f.mul(&x2, &x2, &d)
	f.neg(&x2, &x2)
	f.mul(&x3, &alpha, &x2) // step 3
	f.sqr(&h2, &x2)         // step 4: h2 = X2³ + a·X2 + b
	f.add(&h2, &h2, &a)
	f.mul(&h2, &h2, &x2)
	f.add(&h2, &h2, &b)
	f.sqr(&u, &tm) // step 6: U = t³·h2
	f.mul(&u, &u, &tm)
	f.mul(&u, &u, &h2)
	f.pow(&root, &h2, f.mapExponent()) // step 7
	f.sqr(&check, &root)
	f.mul(&check, &check, &h2)

	// Steps 8 and 9: both candidates, then one is kept.
	square := f.equal(&check, &f.one)
	p := &Point{curve: c}
	f.mul(&p.x, &x3, &c.inX)
	f.mul(&x2, &x2, &c.inX)
	f.choose(&p.x, &x2, square)
	f.choose(&u, &h2, square)
	f.mul(&p.y, &root, &u)
	f.mul(&p.y, &p.y, &c.inY)
	if !c.contains(&p.affine) { // cannot be, but costs nothing
		return nil, ErrInvalidPoint
	}
	return p, nil
}

// mapExponent returns m - 1 - (m+1)/4, big-endian.
func (f *field) mapExponent() []byte {
	var e, quarter fe
	f.load(&quarter, f.rootExponent())
	borrow := uint64(1)
	for i := range f.limbs {
		e[i], borrow = bits.Sub64(f.m[i], quarter[i], borrow)
	}
	return f.store(&e)
}
