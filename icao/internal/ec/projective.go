package ec

// projective is a point (X : Y : Z) of a curve's model in homogeneous
// coordinates: x = X/Z, y = Y/Z; the point at infinity is (0 : 1 : 0).
//
// The formulas are those of Renes, Costello and Batina (2016) for a = -3. On a
// group of odd order they hold for every pair of points, equal, opposite and
// infinite ones included, so that no secret ever decides which formula runs.
type projective struct{ x, y, z fe }

// set sets r to the finite point p.
func (r *projective) set(c *Curve, p *affine) {
	r.x, r.y, r.z = p.x, p.y, c.fp.one
}

// setInfinity sets r to the point at infinity.
func (r *projective) setInfinity(c *Curve) {
	r.x, r.y, r.z = fe{}, c.fp.one, fe{}
}

// choose sets r to p if bit is 1 and leaves it if bit is 0.
func (r *projective) choose(f *field, p *projective, bit uint64) {
	f.choose(&r.x, &p.x, bit)
	f.choose(&r.y, &p.y, bit)
	f.choose(&r.z, &p.z, bit)
}

// add sets r to p + q (Algorithm 4: 12 multiplications and 2 by b).
func (c *Curve) add(r, p, q *projective) {
	f := c.fp
	var xx, yy, zz, xy, yz, xz, t fe
	f.mul(&xx, &p.x, &q.x)
	f.mul(&yy, &p.y, &q.y)
	f.mul(&zz, &p.z, &q.z)
	f.cross(&xy, &p.x, &p.y, &q.x, &q.y, &xx, &yy, &t)
	f.cross(&yz, &p.y, &p.z, &q.y, &q.z, &yy, &zz, &t)
	f.cross(&xz, &p.x, &p.z, &q.x, &q.z, &xx, &zz, &t)
	c.finishAdd(r, &xx, &yy, &zz, &xy, &yz, &xz)
}

// addMixed sets r to p + q (Algorithm 5: 11 multiplications and 2 by b). Its q
// is finite by its type; p may be anything.
func (c *Curve) addMixed(r, p *projective, q *affine) {
	f := c.fp
	var xx, yy, zz, xy, yz, xz, t fe
	f.mul(&xx, &p.x, &q.x)
	f.mul(&yy, &p.y, &q.y)
	zz = p.z
	f.cross(&xy, &p.x, &p.y, &q.x, &q.y, &xx, &yy, &t)
	f.mul(&yz, &q.y, &p.z)
	f.add(&yz, &yz, &p.y)
	f.mul(&xz, &q.x, &p.z)
	f.add(&xz, &xz, &p.x)
	c.finishAdd(r, &xx, &yy, &zz, &xy, &yz, &xz)
}

// cross sets z to a·d + b·c = (a + b)(c + d) - ac - bd, with ac and bd given.
func (f *field) cross(z, a, b, c, d, ac, bd, t *fe) {
	f.add(t, a, b)
	f.add(z, c, d)
	f.mul(z, z, t)
	f.add(t, ac, bd)
	f.sub(z, z, t)
}

// finishAdd is what Algorithms 4 and 5 have in common. It takes the products
// xx = X1·X2, yy = Y1·Y2, zz = Z1·Z2, xy = X1·Y2 + X2·Y1, yz = Y1·Z2 + Y2·Z1 and
// xz = X1·Z2 + X2·Z1, and overwrites them.
func (c *Curve) finishAdd(r *projective, xx, yy, zz, xy, yz, xz *fe) {
	f := c.fp
	var u, v, w fe
	f.mul(&u, &c.modelB, zz) // u = 3(xz - b·zz)
	f.sub(&u, xz, &u)
	f.triple(&u, &u)
	f.sub(&v, yy, &u) // v = yy - u
	f.add(&u, yy, &u) // u = yy + u
	f.triple(zz, zz)
	f.mul(&w, &c.modelB, xz) // w = 3(b·xz - 3zz - xx)
	f.sub(&w, &w, zz)
	f.sub(&w, &w, xx)
	f.triple(&w, &w)
	f.triple(xx, xx) // xx = 3(xx - zz)
	f.sub(xx, xx, zz)

	f.mul(yy, &w, yz) // X3 = xy·u - yz·w
	f.mul(&r.x, xy, &u)
	f.sub(&r.x, &r.x, yy)
	f.mul(&w, &w, xx) // Y3 = u·v + xx·w
	f.mul(&r.y, &u, &v)
	f.add(&r.y, &r.y, &w)
	f.mul(xy, xy, xx) // Z3 = yz·v + xy·xx
	f.mul(&r.z, yz, &v)
	f.add(&r.z, &r.z, xy)
}

// doubleTimes sets r to 2^times·r, by way of Jacobian coordinates: they make
// chains of doublings cheaper by a third and need no exception for them.
func (c *Curve) doubleTimes(r *projective, times int) {
	f := c.fp
	var j jacobian
	f.mul(&j.x, &r.x, &r.z) // (X : Y : Z) is (XZ, YZ², Z)
	f.sqr(&j.y, &r.z)
	f.mul(&j.y, &j.y, &r.y)
	j.z = r.z
	// At infinity that is (0, 0, 0), which would come back as no point at all.
	// (0, Y, 0) comes back as infinity: doubled, it is (0, -8Y⁴, 0).
	f.choose(&j.y, &f.one, f.isZero(&r.z))
	for range times {
		c.doubleJacobian(&j, &j)
	}
	f.mul(&r.x, &j.x, &j.z) // (X, Y, Z) is (XZ : Y : Z³)
	r.y = j.y
	f.sqr(&r.z, &j.z)
	f.mul(&r.z, &r.z, &j.z)
}

// jacobian is a point of a curve's model with x = X/Z², y = Y/Z³. Z is zero for
// the point at infinity.
type jacobian struct{ x, y, z fe }

// doubleJacobian sets r to 2p (a = -3: 3 multiplications, 5 squarings). It holds
// for every point of a group of odd order, where only infinity is its own
// opposite.
func (c *Curve) doubleJacobian(r, p *jacobian) {
	f := c.fp
	var delta, gamma, beta, alpha, t fe
	f.sqr(&delta, &p.z)
	f.sqr(&gamma, &p.y)
	f.mul(&beta, &p.x, &gamma)
	f.sub(&t, &p.x, &delta) // alpha = 3(X - Z²)(X + Z²)
	f.add(&alpha, &p.x, &delta)
	f.mul(&alpha, &alpha, &t)
	f.triple(&alpha, &alpha)

	f.add(&t, &p.y, &p.z) // Z3 = (Y + Z)² - Y² - Z²
	f.sqr(&t, &t)
	f.sub(&t, &t, &gamma)
	f.sub(&r.z, &t, &delta)

	f.add(&beta, &beta, &beta) // X3 = alpha² - 8·X·Y²
	f.add(&beta, &beta, &beta)
	f.sqr(&r.x, &alpha)
	f.add(&t, &beta, &beta)
	f.sub(&r.x, &r.x, &t)

	f.sub(&t, &beta, &r.x) // Y3 = alpha(4·X·Y² - X3) - 8·Y⁴
	f.mul(&t, &t, &alpha)
	f.add(&gamma, &gamma, &gamma)
	f.sqr(&gamma, &gamma)
	f.add(&gamma, &gamma, &gamma)
	f.sub(&r.y, &t, &gamma)
}
