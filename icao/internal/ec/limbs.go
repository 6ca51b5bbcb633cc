package ec

import "math/bits"

// mul sets z to x·y/R.
func (f *field) mul(z, x, y *fe) {
	var t [maxLimbs + 2]uint64
	n := f.limbs
	for i := range n {
		var c uint64
		for j := range n {
			hi, lo := bits.Mul64(x[j], y[i])
			var cc uint64
			lo, cc = bits.Add64(lo, t[j], 0)
			hi += cc
			t[j], cc = bits.Add64(lo, c, 0)
			c = hi + cc
		}
		var cc uint64
		t[n], cc = bits.Add64(t[n], c, 0)
		t[n+1] = cc
		m := t[0] * f.k0
		c = 0
		for j := range n {
			hi, lo := bits.Mul64(m, f.m[j])
			var cc uint64
			lo, cc = bits.Add64(lo, t[j], 0)
			hi += cc
			lo, cc = bits.Add64(lo, c, 0)
			c = hi + cc
			if j > 0 {
				t[j-1] = lo
			}
		}
		t[n-1], cc = bits.Add64(t[n], c, 0)
		t[n] = t[n+1] + cc
	}
	var r fe
	var b uint64
	for i := range n {
		r[i], b = bits.Sub64(t[i], f.m[i], b)
	}
	_, b = bits.Sub64(t[n], 0, b)
	for i := range n {
		z[i] = r[i] ^ (-b & (r[i] ^ t[i]))
	}
}

// sqr sets z to x²/R.
func (f *field) sqr(z, x *fe) { f.mul(z, x, x) }

// add sets z to x + y.
func (f *field) add(z, x, y *fe) {
	var s, r fe
	var c, b uint64
	for i := range f.limbs {
		s[i], c = bits.Add64(x[i], y[i], c)
	}
	for i := range f.limbs {
		r[i], b = bits.Sub64(s[i], f.m[i], b)
	}
	_, b = bits.Sub64(c, 0, b)
	for i := range f.limbs {
		z[i] = r[i] ^ (-b & (r[i] ^ s[i]))
	}
}

// sub sets z to x - y.
func (f *field) sub(z, x, y *fe) {
	var r fe
	var c, b uint64
	for i := range f.limbs {
		r[i], b = bits.Sub64(x[i], y[i], b)
	}
	for i := range f.limbs {
		z[i], c = bits.Add64(r[i], -b&f.m[i], c)
	}
}
