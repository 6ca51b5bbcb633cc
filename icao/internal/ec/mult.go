package ec

// Secret scalars are recoded into signed windows (Booth): the window of w bits
// at position p has a digit between -2^(w-1) and 2^(w-1), read from w+1 bits of
// the scalar, so a table needs only the multiples 1 to 2^(w-1). Digits, and so
// table entries, are secret: every entry is touched and the right one kept.

// booth returns the magnitude and the sign (1 for negative) of the digit of k
// whose lowest bit is at position pos, for windows of w bits.
func booth(k *fe, pos, w int) (digit, sign uint64) {
	// The window and the bit below it; below bit 0 there is a zero.
	var v uint64
	if pos == 0 {
		v = k[0] << 1
	} else {
		i, s := (pos-1)/64, uint(pos-1)%64
		v = k[i] >> s
		if s+uint(w)+1 > 64 && i+1 < maxLimbs {
			v |= k[i+1] << (64 - s)
		}
	}
	v &= 1<<(w+1) - 1
	sign = v >> w
	mask := -sign
	v = (v &^ mask) | ((1<<(w+1) - 1 - v) & mask)
	return v>>1 + v&1, sign
}

// windows returns the number of windows of w bits that cover a scalar of this
// many bits and the carry that a signed recoding can leave above it.
func windows(bits, w int) int { return bits/w + 1 }

// isEqual returns 1 if a and b, both below 2^63, are equal, else 0.
func isEqual(a, b uint64) uint64 {
	x := a ^ b
	return 1 ^ (x|-x)>>63
}

// scalarMult sets r to k·p, for the limbs of k below the order. Its time does not
// depend on k.
func (c *Curve) scalarMult(r *projective, p *affine, k *fe) {
	const w = 5
	var table [1 << (w - 1)]projective // table[i] = (i+1)·p
	table[0].set(c, p)
	for i := 1; i < len(table); i++ {
		c.addMixed(&table[i], &table[i-1], p)
	}

	f := c.fp
	r.setInfinity(c)
	for i := windows(c.fn.bits, w) - 1; i >= 0; i-- {
		c.doubleTimes(r, w)
		digit, sign := booth(k, i*w, w)
		var t projective
		t.setInfinity(c)
		for j := range table {
			t.choose(f, &table[j], isEqual(digit, uint64(j+1)))
		}
		var y fe
		f.neg(&y, &t.y)
		f.choose(&t.y, &y, sign)
		c.add(r, r, &t)
	}
}

// baseWindow is the width of the windows of scalarBaseMult; 2^(baseWindow-1) is
// the size of a row of Curve.baseTable.
const baseWindow = 4

// scalarBaseMult sets r to k times the generator, for the limbs of k below the
// order. Its time does not depend on k.
//
// Row i of the table holds the multiples of 2^(2·baseWindow·i)·G, so the even
// windows need no doubling at all, and the odd ones share baseWindow doublings.
func (c *Curve) scalarBaseMult(r *projective, k *fe) {
	c.baseOnce.Do(c.makeBaseTable)
	f := c.fp
	r.setInfinity(c)
	for _, odd := range []int{1, 0} {
		for i := odd; i < windows(c.fn.bits, baseWindow); i += 2 {
			digit, sign := booth(k, i*baseWindow, baseWindow)
			var t affine
			row := &c.baseTable[i/2]
			for j := range row {
				is := isEqual(digit, uint64(j+1))
				f.choose(&t.x, &row[j].x, is)
				f.choose(&t.y, &row[j].y, is)
			}
			var y fe
			f.neg(&y, &t.y)
			f.choose(&t.y, &y, sign)
			// For digit 0 there is no affine operand: compute, do not keep.
			var sum projective
			c.addMixed(&sum, r, &t)
			r.choose(f, &sum, 1^isEqual(digit, 0))
		}
		if odd == 1 {
			c.doubleTimes(r, baseWindow)
		}
	}
}

// makeBaseTable fills c.baseTable.
func (c *Curve) makeBaseTable() {
	rows := (windows(c.fn.bits, baseWindow) + 1) / 2
	points := make([]projective, rows*8)
	var p projective
	p.set(c, &c.g.affine)
	for i := range rows {
		row := points[i*8 : i*8+8]
		row[0] = p
		for j := 1; j < len(row); j++ {
			c.add(&row[j], &row[j-1], &p)
		}
		c.doubleTimes(&p, 2*baseWindow)
	}
	flat := c.normalize(points)
	c.baseTable = make([][8]affine, rows)
	for i := range c.baseTable {
		copy(c.baseTable[i][:], flat[i*8:])
	}
}

// normalize returns finite points in affine form, with one inversion for all
// (Montgomery's trick).
func (c *Curve) normalize(points []projective) []affine {
	f := c.fp
	out := make([]affine, len(points))
	acc := f.one
	for i := range points {
		out[i].x = acc // the product of all z before this one
		f.mul(&acc, &acc, &points[i].z)
	}
	f.invert(&acc, &acc)
	for i := len(points) - 1; i >= 0; i-- {
		var zInv fe
		f.mul(&zInv, &acc, &out[i].x)
		f.mul(&acc, &acc, &points[i].z)
		f.mul(&out[i].x, &points[i].x, &zInv)
		f.mul(&out[i].y, &points[i].y, &zInv)
	}
	return out
}
