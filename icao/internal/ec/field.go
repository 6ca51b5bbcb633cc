package ec

import "math/bits"

//go:generate go run ./gen

// maxLimbs is the number of 64-bit limbs of the largest field, 521 bits.
const maxLimbs = 9

// fe is a residue modulo the modulus of some [field], least significant limb
// first. Every method keeps two invariants: the value is below the modulus, and
// the limbs that the field does not use are zero. In Montgomery form the limbs
// hold x·R, where R = 2^(64·limbs); mul takes and returns that form.
type fe [maxLimbs]uint64

// field is arithmetic modulo an odd prime m: a curve's field or the field of
// its scalars. The modulus is data, so the same code serves every curve; only
// the number of limbs has code of its own (limbs.go, generated).
//
// Every method runs in time and touches memory independent of the values of its
// fe arguments, unless its name ends in Vartime. Results may alias arguments.
// A field is immutable after newField.
type field struct {
	limbs int
	bits  int    // length of m in bits
	size  int    // length of m in bytes
	k0    uint64 // -1/m mod 2^64
	m     fe
	one   fe     // 1 in Montgomery form: R mod m
	rr    fe     // R² mod m
	shift fe     // 2^64·R mod m: multiplying by it moves a residue up one limb
	inv   []byte // m - 2, the exponent of inversion (Fermat)
}

// newField returns the arithmetic modulo m, a big-endian odd prime without
// leading zero bytes, of 129 to 576 bits.
func newField(m []byte) *field {
	f := &field{size: len(m), limbs: (len(m) + 7) / 8}
	f.load(&f.m, m)
	top := f.m[f.limbs-1]
	f.bits = 64*(f.limbs-1) + bits.Len64(top)

	// Newton: each step doubles the number of correct low bits of 1/m.
	inv := f.m[0]
	for range 5 {
		inv *= 2 - f.m[0]*inv
	}
	f.k0 = -inv

	// By doubling 1: R = 2^(64·limbs), then R² and 2^64·R.
	x := fe{1}
	for i := range 128*f.limbs + 1 {
		switch i {
		case 64 * f.limbs:
			f.one = x
		case 64 * (f.limbs + 1):
			f.shift = x
		}
		if i == 128*f.limbs {
			f.rr = x
		}
		f.add(&x, &x, &x)
	}

	e, borrow := f.m, uint64(0)
	e[0], borrow = bits.Sub64(e[0], 2, 0)
	for i := 1; i < f.limbs; i++ { // P-224 ends in a limb of 1
		e[i], borrow = bits.Sub64(e[i], 0, borrow)
	}
	f.inv = f.store(&e)
	return f
}

// load sets the limbs of z to big-endian b, of at most 8·limbs bytes, without
// reduction.
func (f *field) load(z *fe, b []byte) {
	*z = fe{}
	for i, v := range b {
		n := len(b) - 1 - i
		z[n/8] |= uint64(v) << (n % 8 * 8)
	}
}

// store returns the limbs of x, big-endian, size bytes.
func (f *field) store(x *fe) []byte {
	b := make([]byte, f.size)
	for i := range b {
		n := f.size - 1 - i
		b[i] = byte(x[n/8] >> (n % 8 * 8))
	}
	return b
}

// setBytes sets z to big-endian b in Montgomery form and reports whether b has
// exactly size bytes and is below the modulus. If not, z is zero.
func (f *field) setBytes(z *fe, b []byte) bool {
	*z = fe{}
	if len(b) != f.size {
		return false
	}
	var x fe
	f.load(&x, b)
	if !f.reduced(&x) {
		return false
	}
	f.toMont(z, &x)
	return true
}

// reduced reports whether the limbs of x are below the modulus.
func (f *field) reduced(x *fe) bool {
	var borrow uint64
	for i := range f.limbs {
		_, borrow = bits.Sub64(x[i], f.m[i], borrow)
	}
	return borrow == 1
}

// bytes returns x, which is in Montgomery form, big-endian with size bytes.
func (f *field) bytes(x *fe) []byte {
	var y fe
	f.fromMont(&y, x)
	return f.store(&y)
}

// setReduced sets z to big-endian b of any length modulo the modulus, in
// Montgomery form. Its time depends on the length of b only.
func (f *field) setReduced(z *fe, b []byte) {
	var acc fe
	for i := 0; i < len(b); {
		// The first limb takes what is over a multiple of eight bytes.
		var limb uint64
		for more := true; more; more = (len(b)-i)%8 != 0 {
			limb = limb<<8 | uint64(b[i])
			i++
		}
		f.mul(&acc, &acc, &f.shift)
		f.add(&acc, &acc, &fe{limb}) // limb < 2^64 <= m
	}
	f.toMont(z, &acc)
}

// toMont sets z to x·R.
func (f *field) toMont(z, x *fe) { f.mul(z, x, &f.rr) }

// fromMont sets z to x/R.
func (f *field) fromMont(z, x *fe) { f.mul(z, x, &fe{1}) }

// neg sets z to -x.
func (f *field) neg(z, x *fe) { f.sub(z, &fe{}, x) }

// triple sets z to 3x.
func (f *field) triple(z, x *fe) {
	var t fe
	f.add(&t, x, x)
	f.add(z, &t, x)
}

// isZero returns 1 if x is zero, else 0.
func (f *field) isZero(x *fe) uint64 {
	var acc uint64
	for i := range f.limbs {
		acc |= x[i]
	}
	return 1 ^ (acc|-acc)>>63
}

// equal returns 1 if x and y are equal, else 0.
func (f *field) equal(x, y *fe) uint64 {
	var acc uint64
	for i := range f.limbs {
		acc |= x[i] ^ y[i]
	}
	return 1 ^ (acc|-acc)>>63
}

// choose sets z to x if bit is 1 and leaves it if bit is 0.
func (f *field) choose(z, x *fe, bit uint64) {
	mask := -bit
	for i := range f.limbs {
		z[i] ^= mask & (z[i] ^ x[i])
	}
}

// pow sets z to x^e. The big-endian exponent is public: time depends on it.
func (f *field) pow(z, x *fe, e []byte) {
	var table [16]fe
	table[0] = f.one
	for i := 1; i < len(table); i++ {
		f.mul(&table[i], &table[i-1], x)
	}
	acc := f.one
	for _, v := range e {
		for _, nibble := range [2]byte{v >> 4, v & 15} {
			for range 4 {
				f.sqr(&acc, &acc)
			}
			if nibble != 0 {
				f.mul(&acc, &acc, &table[nibble])
			}
		}
	}
	*z = acc
}

// invert sets z to 1/x, and to zero if x is zero.
func (f *field) invert(z, x *fe) { f.pow(z, x, f.inv) }
