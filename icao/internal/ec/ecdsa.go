package ec

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Sign signs a message digest (ECDSA, FIPS 186-5, 6.4.1) and returns r and s,
// big-endian, OrderSize bytes each. The digest may have any length; the leftmost
// bits count, as many as the order has.
//
// The nonce is hedged (RFC 6979, 3.6): it depends on the key, the digest and 32
// bytes from random, which is [crypto/rand.Reader] if nil, so that neither a bad
// source of randomness nor a glitch that repeats a computation gives the key away.
func (k *PrivateKey) Sign(random io.Reader, digest []byte) (r, s []byte, err error) {
	if random == nil {
		random = rand.Reader
	}
	extra := make([]byte, 32)
	if _, err := io.ReadFull(random, extra); err != nil {
		return nil, nil, fmt.Errorf("ec: read randomness: %w", err)
	}
	return k.sign(sha512.New, extra, digest)
}

// sign is Sign with a nonce of RFC 6979 over the hash function h and additional
// data, which may be empty.
func (k *PrivateKey) sign(h func() hash.Hash, extra, digest []byte) (r, s []byte, err error) {
	c := k.Curve()
	if c == nil {
		return nil, nil, ErrInvalidScalar
	}
	n := c.fn
	var e fe
	c.digestScalar(&e, digest)
	nonces := newNonceSource(c, h, n.bytes(&k.d), n.bytes(&e), extra)
	// A candidate of the order's length is below the order with a probability
	// of more than a half, on every curve.
	for range 128 {
		var nonce, x, sig fe
		if !nonces.next(&nonce) {
			continue
		}
		p, err := c.baseMult(&nonce)
		if err != nil {
			continue
		}
		n.setReduced(&x, p.X())
		if n.isZero(&x) == 1 {
			continue
		}
		n.mul(&sig, &x, &k.d)
		n.add(&sig, &sig, &e)
		n.invert(&nonce, &nonce)
		n.mul(&sig, &sig, &nonce)
		if n.isZero(&sig) == 1 {
			continue
		}
		return n.bytes(&x), n.bytes(&sig), nil
	}
	return nil, nil, errors.New("ec: no usable nonce")
}

// digestScalar sets e to the leftmost bits of digest, as many as the order has,
// as a scalar in Montgomery form (FIPS 186-5, 6.4.1, steps 2 and 3).
func (c *Curve) digestScalar(e *fe, digest []byte) {
	n := c.fn
	if len(digest) < n.size {
		n.setReduced(e, digest)
		return
	}
	b := make([]byte, n.size)
	copy(b, digest)
	shift := 8*n.size - n.bits
	var carry byte
	for i, v := range b {
		b[i] = v>>shift | carry
		carry = v << (8 - shift)
	}
	n.setReduced(e, b)
}

// nonceSource is the generator of RFC 6979, 3.2 (HMAC_DRBG) with the additional
// data of 3.6.
type nonceSource struct {
	curve   *Curve
	h       func() hash.Hash
	k, v    []byte
	started bool
}

// newNonceSource seeds a source with the private key and the reduced digest, both
// OrderSize bytes, and additional data.
func newNonceSource(c *Curve, h func() hash.Hash, d, e, extra []byte) *nonceSource {
	s := &nonceSource{curve: c, h: h, k: make([]byte, h().Size()), v: make([]byte, h().Size())}
	for i := range s.v {
		s.v[i] = 1
	}
	s.rekey([]byte{0}, d, e, extra)
	s.rekey([]byte{1}, d, e, extra)
	return s
}

func (s *nonceSource) mac(data ...[]byte) []byte {
	m := hmac.New(s.h, s.k)
	for _, b := range data {
		m.Write(b)
	}
	return m.Sum(nil)
}

func (s *nonceSource) rekey(data ...[]byte) {
	s.k = s.mac(append([][]byte{s.v}, data...)...)
	s.v = s.mac(s.v)
}

// next draws a candidate and reports whether it is between 1 and n-1. If so,
// nonce is that scalar in Montgomery form.
func (s *nonceSource) next(nonce *fe) bool {
	if s.started {
		s.rekey([]byte{0})
	}
	s.started = true
	n := s.curve.fn
	b := make([]byte, 0, n.size+len(s.v))
	for len(b) < n.size {
		s.v = s.mac(s.v)
		b = append(b, s.v...)
	}
	b = b[:n.size]
	shift := 8*n.size - n.bits
	for i := len(b) - 1; i >= 0; i-- {
		b[i] >>= shift
		if i > 0 {
			b[i] |= b[i-1] << (8 - shift)
		}
	}
	return n.setBytes(nonce, b) && n.isZero(nonce) == 0
}

// Verify reports whether r and s are an ECDSA signature of digest by the owner
// of pub (FIPS 186-5, 6.4.2). r and s are big-endian, with any number of leading
// zero bytes; outside 1 to n-1 they are refused. The digest may have any length,
// as for [PrivateKey.Sign].
//
// Everything here is public: the time depends on the values.
func Verify(pub *Point, digest, r, s []byte) bool {
	if pub == nil || pub.curve == nil {
		return false
	}
	c := pub.curve
	n := c.fn
	var e, rm, sm fe
	if !c.signatureScalar(&rm, r) || !c.signatureScalar(&sm, s) {
		return false
	}
	c.digestScalar(&e, digest)

	var w, u1, u2 fe
	n.invert(&w, &sm)
	n.mul(&u1, &e, &w)
	n.mul(&u2, &rm, &w)
	n.fromMont(&u1, &u1)
	n.fromMont(&u2, &u2)
	return c.verifyVartime(&pub.affine, &u1, &u2, &rm)
}

// signatureScalar sets z to half a signature in Montgomery form and reports
// whether it is between 1 and n-1.
func (c *Curve) signatureScalar(z *fe, b []byte) bool {
	n := c.fn
	b = trim(b)
	if len(b) == 0 || len(b) > n.size {
		return false
	}
	var x fe
	n.load(&x, b)
	if !n.reduced(&x) {
		return false
	}
	n.toMont(z, &x)
	return true
}
