package ec

import "math/bits"

// Signature verification handles public values only. Here branches and memory
// accesses follow the data: additions in Jacobian coordinates, which are cheaper
// and have exceptions, and signed digits that are mostly zero.

// Widths of the non-adjacent forms: a width of w needs 2^(w-2) odd multiples.
// The generator's are computed once.
const (
	pointNAF = 5
	baseNAF  = 8
)

// verifyVartime reports whether the x coordinate of u1·G + u2·p, as an integer
// modulo the order, is r. u1 and u2 are plain limbs, r is in Montgomery form.
func (c *Curve) verifyVartime(p *affine, u1, u2, r *fe) bool {
	f, n := c.fp, c.fn
	var sum jacobian
	c.combineVartime(&sum, u1, p, u2)
	if f.isZero(&sum.z) == 1 {
		return false
	}
	// Compare X with x·Z² for every x < p that is r modulo n. As n and p have
	// the same length there are two at most: r, and r + n if that is below p.
	// X is of the model, r is not.
	var x, zz fe
	n.fromMont(&x, r)
	f.sqr(&zz, &sum.z)
	f.mul(&zz, &zz, &c.inX)
	for {
		if !f.reduced(&x) {
			return false
		}
		var want fe
		f.toMont(&want, &x)
		f.mul(&want, &want, &zz)
		if f.equal(&want, &sum.x) == 1 {
			return true
		}
		if !addPlain(&x, &n.m, f.limbs) {
			return false
		}
	}
}

// addPlain sets z to z + x, limb by limb, and reports whether it fits.
func addPlain(z, x *fe, limbs int) bool {
	var c uint64
	for i := range limbs {
		z[i], c = bits.Add64(z[i], x[i], c)
	}
	return c == 0
}

// combineVartime sets r to k·G + l·p (Straus: one chain of doublings for both).
func (c *Curve) combineVartime(r *jacobian, k *fe, p *affine, l *fe) {
	c.oddOnce.Do(c.makeOddG)
	f := c.fp
	var odd [1 << (pointNAF - 2)]jacobian // p, 3p, 5p, ...
	var twice jacobian
	odd[0] = jacobian{p.x, p.y, f.one}
	c.doubleJacobian(&twice, &odd[0])
	for i := 1; i < len(odd); i++ {
		c.addVartime(&odd[i], &odd[i-1], &twice)
	}

	var kDigits, lDigits nafDigits
	kDigits.set(k, baseNAF)
	lDigits.set(l, pointNAF)
	*r = jacobian{}
	for i := c.fn.bits; i >= 0; i-- {
		c.doubleJacobian(r, r)
		if d := lDigits[i]; d > 0 {
			c.addVartime(r, r, &odd[d/2])
		} else if d < 0 {
			q := odd[-d/2]
			f.neg(&q.y, &q.y)
			c.addVartime(r, r, &q)
		}
		if d := kDigits[i]; d != 0 {
			g := c.oddG[max(d, -d)/2]
			if d < 0 {
				f.neg(&g.y, &g.y)
			}
			c.addMixedVartime(r, r, &g)
		}
	}
}

// makeOddG fills c.oddG with G, 3G, 5G, ...
func (c *Curve) makeOddG() {
	points := make([]projective, 1<<(baseNAF-2))
	var twice projective
	points[0].set(c, &c.g.affine)
	c.add(&twice, &points[0], &points[0])
	for i := 1; i < len(points); i++ {
		c.add(&points[i], &points[i-1], &twice)
	}
	c.oddG = c.normalize(points)
}

// nafDigits are the digits of a scalar in non-adjacent form, lowest first: each
// is zero or odd, and the sum of digit·2^i is the scalar.
type nafDigits [64*maxLimbs + 1]int8

// set computes the form of width w, at most 8: of any w digits in a row, one at
// most is not zero, and all are below 2^(w-1) in magnitude.
func (d *nafDigits) set(k *fe, w int) {
	var carry uint64 // what the digits so far still owe, at position i
	for i := 0; i < len(d)-1; {
		if bitsAt(k, i, 1) == carry {
			i++ // the bit that is left is zero
			continue
		}
		v := bitsAt(k, i, w) + carry
		carry = v >> (w - 1) // odd v above half the range: negative digit
		d[i] = int8(int(v) - int(carry)<<w)
		i += w
	}
	d[len(d)-1] = int8(carry)
}

// bitsAt returns w bits of k from position i, zero beyond its end.
func bitsAt(k *fe, i, w int) uint64 {
	if i/64 >= maxLimbs {
		return 0
	}
	v := k[i/64] >> (i % 64)
	if i%64+w > 64 && i/64+1 < maxLimbs {
		v |= k[i/64+1] << (64 - i%64)
	}
	return v & (1<<w - 1)
}

// addVartime sets r to p + q (12 multiplications, 4 squarings).
func (c *Curve) addVartime(r, p, q *jacobian) {
	f := c.fp
	if f.isZero(&p.z) == 1 {
		*r = *q
		return
	}
	if f.isZero(&q.z) == 1 {
		*r = *p
		return
	}
	var z1z1, z2z2, u1, u2, s1, s2, z fe
	f.sqr(&z1z1, &p.z)
	f.sqr(&z2z2, &q.z)
	f.mul(&u1, &p.x, &z2z2)
	f.mul(&u2, &q.x, &z1z1)
	f.mul(&s1, &p.y, &q.z)
	f.mul(&s1, &s1, &z2z2)
	f.mul(&s2, &q.y, &p.z)
	f.mul(&s2, &s2, &z1z1)
	f.mul(&z, &p.z, &q.z)
	c.chordVartime(r, p, &u1, &u2, &s1, &s2, &z)
}

// addMixedVartime sets r to p + q for a finite q.
func (c *Curve) addMixedVartime(r, p *jacobian, q *affine) {
	f := c.fp
	if f.isZero(&p.z) == 1 {
		*r = jacobian{q.x, q.y, f.one}
		return
	}
	var z1z1, u2, s2 fe
	f.sqr(&z1z1, &p.z)
	f.mul(&u2, &q.x, &z1z1)
	f.mul(&s2, &q.y, &p.z)
	f.mul(&s2, &s2, &z1z1)
	u1, s1, z := p.x, p.y, p.z
	c.chordVartime(r, p, &u1, &u2, &s1, &s2, &z)
}

// chordVartime ends an addition: (u1, s1) and (u2, s2) are the coordinates of p
// and q over the common denominators z² and z³. It doubles p if they are equal.
func (c *Curve) chordVartime(r, p *jacobian, u1, u2, s1, s2, z *fe) {
	f := c.fp
	var h, t, hh, hhh, v fe
	f.sub(&h, u2, u1)
	f.sub(&t, s2, s1)
	if f.isZero(&h) == 1 {
		if f.isZero(&t) == 1 {
			c.doubleJacobian(r, p)
		} else {
			*r = jacobian{}
		}
		return
	}
	f.sqr(&hh, &h)
	f.mul(&hhh, &hh, &h)
	f.mul(&v, u1, &hh)
	f.mul(&r.z, z, &h) // Z3 = z·h
	f.sqr(&r.x, &t)    // X3 = t² - h³ - 2v
	f.sub(&r.x, &r.x, &hhh)
	f.sub(&r.x, &r.x, &v)
	f.sub(&r.x, &r.x, &v)
	f.sub(&v, &v, &r.x) // Y3 = t(v - X3) - s1·h³
	f.mul(&v, &v, &t)
	f.mul(&hhh, &hhh, s1)
	f.sub(&r.y, &v, &hhh)
}
