package pace

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync"

	rfc5114 "github.com/chamthe/chamthe/icao/internal/modp"
	"github.com/chamthe/chamthe/icao/tlv"
)

// modp is a subgroup of prime order q of the integers modulo the prime p. It
// is immutable, and safe for concurrent use.
//
// The arithmetic is math/big: its exponentiation has fixed windows, but its
// time is not promised to be independent of the values. All secrets here are
// used for one run.
type modp struct {
	name    string
	p, g, q *big.Int
}

var modpGroups = sync.OnceValue(func() []*modp {
	var groups []*modp
	for _, g := range rfc5114.Groups() {
		groups = append(groups, &modp{name: g.Name, p: g.P, g: g.G, q: g.Q})
	}
	return groups
})

// modpGroup returns the group with a number of Doc 9303-11, 9.5.1, or nil.
func modpGroup(id int) *modp {
	if id < 0 || id >= len(modpGroups()) {
		return nil
	}
	return modpGroups()[id]
}

const tagPublicValue tlv.Tag = 0x84

func (m *modp) bits() int    { return m.p.BitLen() }
func (m *modp) tag() tlv.Tag { return tagPublicValue }

// size is the length of an element in bytes.
func (m *modp) size() int { return (m.p.BitLen() + 7) / 8 }

func (m *modp) bytes(x *big.Int) []byte { return x.FillBytes(make([]byte, m.size())) }

func (m *modp) newKey(random io.Reader) (key, error) { return modpGenerator{m, m.g}.newKey(random) }

// mapIntegrated is f_g(x) = x^a mod p with the cofactor a = (p-1)/q
// (Doc 9303-11, 4.4.3.3.2).
func (m *modp) mapIntegrated(r []byte) (generator, error) {
	one := big.NewInt(1)
	a := new(big.Int).Sub(m.p, one)
	a.Div(a, m.q)
	x := new(big.Int).SetBytes(r)
	x.Mod(x, m.p)
	return m.generator(x.Exp(x, a, m.p))
}

// generator returns g as a generator, unless it generates nothing.
func (m *modp) generator(g *big.Int) (generator, error) {
	if g.Cmp(big.NewInt(1)) <= 0 {
		return nil, errIdentity
	}
	return modpGenerator{m, g}, nil
}

// modpGenerator is an element of the subgroup other than 1.
type modpGenerator struct {
	group *modp
	g     *big.Int
}

// newKey draws a private key between 1 and q-1, as ec.Curve.GenerateKey does:
// bytes as long as q, without the bits above it, until they fit.
//
// Keys whose public value begins with a zero byte are left out. Doc 9303-11,
// 9.4.1, wants such a value without the byte, chips compute tokens over it
// with and without; so no chip is asked.
func (g modpGenerator) newKey(random io.Reader) (key, error) {
	if random == nil {
		random = rand.Reader
	}
	m := g.group
	const attempts = 256
	b := make([]byte, (m.q.BitLen()+7)/8)
	defer clear(b)
	for range attempts {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("read randomness: %w", err)
		}
		b[0] &= 0xFF >> (8*len(b) - m.q.BitLen())
		x := new(big.Int).SetBytes(b)
		if x.Sign() == 0 || x.Cmp(m.q) >= 0 {
			continue
		}
		y := new(big.Int).Exp(g.g, x, m.p)
		if y.BitLen() > 8*(m.size()-1) {
			return &modpKey{group: m, x: x, y: y}, nil
		}
	}
	return nil, errors.New("no private key in the random numbers")
}

// modpKey is a private exponent with the public value over some generator.
type modpKey struct {
	group *modp
	x, y  *big.Int
}

func (k *modpKey) public() []byte { return k.group.bytes(k.y) }

// shared returns the shared element, after the validation of RFC 2631, 2.1.5.
// A peer may write its value with or without leading zeros.
func (k *modpKey) shared(peer []byte) (*big.Int, error) {
	m := k.group
	if len(peer) > m.size() {
		return nil, errInvalidKey
	}
	one := big.NewInt(1)
	y := new(big.Int).SetBytes(peer)
	if y.Cmp(one) <= 0 || y.Cmp(m.p) >= 0 || new(big.Int).Exp(y, m.q, m.p).Cmp(one) != 0 {
		return nil, errInvalidKey
	}
	if y.Cmp(k.y) == 0 {
		return nil, errEqualKeys
	}
	return y.Exp(y, k.x, m.p), nil
}

// agree returns the shared secret in the width of p (PKCS #3, 8.3).
func (k *modpKey) agree(peer []byte) ([]byte, error) {
	z, err := k.shared(peer)
	if err != nil {
		return nil, err
	}
	return k.group.bytes(z), nil
}

// mapGeneric is g^s · h (Doc 9303-11, 4.4.3.3.1).
func (k *modpKey) mapGeneric(s, peer []byte) (generator, error) {
	h, err := k.shared(peer)
	if err != nil {
		return nil, err
	}
	m := k.group
	mapped := new(big.Int).Exp(m.g, new(big.Int).SetBytes(s), m.p)
	mapped.Mul(mapped, h)
	return m.generator(mapped.Mod(mapped, m.p))
}
