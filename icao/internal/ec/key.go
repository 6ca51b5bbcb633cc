package ec

import (
	"crypto/rand"
	"fmt"
	"io"
)

// PrivateKey is a secret scalar with its public point. It prints as
// "[redacted]" with every verb. It is immutable and safe for concurrent use; the
// zero PrivateKey is unusable and every operation with it fails.
type PrivateKey struct {
	_      [0]func() // not comparable: == would not be constant time
	d      fe        // in Montgomery form
	public *Point
}

// NewPrivateKey returns the private key with a big-endian scalar of exactly
// OrderSize bytes between 1 and n-1, else [ErrInvalidScalar]. It does not
// retain d.
func (c *Curve) NewPrivateKey(d []byte) (*PrivateKey, error) {
	k := new(PrivateKey)
	if !c.fn.setBytes(&k.d, d) || c.fn.isZero(&k.d) == 1 {
		return nil, ErrInvalidScalar
	}
	var err error
	if k.public, err = c.baseMult(&k.d); err != nil {
		return nil, err
	}
	return k, nil
}

// GenerateKey returns a new private key from random, which is
// [crypto/rand.Reader] if nil. It draws OrderSize bytes until they are, without
// the bits above the order's length, a scalar between 1 and n-1
// (FIPS 186-5, A.2.2). So a reader that delivers a valid scalar yields exactly
// that key, which is how tests replay published exchanges.
func (c *Curve) GenerateKey(random io.Reader) (*PrivateKey, error) {
	if random == nil {
		random = rand.Reader
	}
	// More than half of all candidates fit, so only a broken source needs so
	// many.
	const attempts = 128
	d := make([]byte, c.fn.size)
	defer clear(d)
	for range attempts {
		if _, err := io.ReadFull(random, d); err != nil {
			return nil, fmt.Errorf("ec: read randomness: %w", err)
		}
		d[0] &= 0xff >> (8*c.fn.size - c.fn.bits)
		if k, err := c.NewPrivateKey(d); err == nil {
			return k, nil
		}
	}
	return nil, fmt.Errorf("ec: no scalar in %d random strings", attempts)
}

// Bytes returns the secret scalar: big-endian, OrderSize bytes. The caller owns
// it and keeps it secret. It returns nil for the zero PrivateKey.
func (k *PrivateKey) Bytes() []byte {
	if k.public == nil {
		return nil
	}
	return k.public.curve.fn.bytes(&k.d)
}

// Public returns the public point, nil for the zero PrivateKey.
func (k *PrivateKey) Public() *Point { return k.public }

// Curve returns the key's curve, nil for the zero PrivateKey.
func (k *PrivateKey) Curve() *Curve {
	if k.public == nil {
		return nil
	}
	return k.public.curve
}

// DH returns the key times p: the shared point of Diffie-Hellman, whole. It fails with [ErrCurveMismatch] if p is of another curve.
func (k *PrivateKey) DH(p *Point) (*Point, error) {
	c := k.Curve()
	if !c.owns(p) {
		return nil, ErrCurveMismatch
	}
	return c.mult(p, &k.d)
}

// ECDH returns the x coordinate of the shared point, Size bytes: the shared
// secret of Diffie-Hellman. It fails as [PrivateKey.DH] does.
func (k *PrivateKey) ECDH(p *Point) ([]byte, error) {
	s, err := k.DH(p)
	if err != nil {
		return nil, err
	}
	return s.X(), nil
}

const redacted = "[redacted]"

// String returns "[redacted]".
func (k PrivateKey) String() string { return redacted }

// GoString returns "[redacted]".
func (k PrivateKey) GoString() string { return redacted }

// Format writes "[redacted]" for every verb, the numeric ones included, which
// would otherwise print the fields.
func (k PrivateKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText returns "[redacted]", for encoders that look no further.
func (k PrivateKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }
