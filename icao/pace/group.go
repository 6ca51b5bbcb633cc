package pace

import (
	"errors"
	"io"
	"math/big"

	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/tlv"
)

// A generator is what public keys are multiples (or powers) of.
type generator interface {
	newKey(random io.Reader) (key, error)
}

// A group is static domain parameters; as a generator it is their own.
type group interface {
	generator
	// mapIntegrated returns the generator that a big-endian number of any
	// length stands for, after its reduction modulo the field's prime.
	mapIntegrated(r []byte) (generator, error)
	bits() int    // of the field's prime
	tag() tlv.Tag // of a public key in the public key data object
}

// A key is an ephemeral key pair of the terminal. A peer's public key is
// validated by both methods that take one, and refused if it is the same as
// the terminal's. Their errors hold no values.
type key interface {
	public() []byte
	agree(peer []byte) (k []byte, err error)                 // fixed width
	mapGeneric(s, peer []byte) (mapped generator, err error) // s: big-endian, any length
}

// Why a peer's public key is refused.
var (
	errInvalidKey = errors.New("invalid public key")
	errEqualKeys  = errors.New("public key equal to the terminal's")
	errIdentity   = errors.New("mapping gives the neutral element")
)

// curveGroup is an elliptic curve with its standard generator.
type curveGroup struct{ curve *ec.Curve }

const tagPublicPoint tlv.Tag = 0x86

func (g curveGroup) bits() int    { return g.curve.BitSize() }
func (g curveGroup) tag() tlv.Tag { return tagPublicPoint }

func (g curveGroup) newKey(random io.Reader) (key, error) {
	d, err := g.curve.GenerateKey(random)
	if err != nil {
		return nil, err
	}
	return &curveKey{d: d, pub: d.Public()}, nil
}

func (g curveGroup) mapIntegrated(r []byte) (generator, error) {
	// The reduction takes a time that depends on r, which stands for the
	// password. r is used once and is not chosen by the other side.
	t := new(big.Int).SetBytes(r)
	t.Mod(t, new(big.Int).SetBytes(g.curve.P()))
	point, err := g.curve.MapToPoint(t.FillBytes(make([]byte, g.curve.Size())))
	if err != nil {
		return nil, errIdentity
	}
	return curveGenerator{point}, nil
}

// curveGenerator is a mapped generator.
type curveGenerator struct{ point *ec.Point }

func (g curveGenerator) newKey(random io.Reader) (key, error) {
	c := g.point.Curve()
	d, err := c.GenerateKey(random)
	if err != nil {
		return nil, err
	}
	pub, err := c.ScalarMult(g.point, d.Bytes())
	if err != nil {
		return nil, err
	}
	return &curveKey{d: d, pub: pub}, nil
}

// curveKey is a private key with the public key over some generator, which
// need not be the one in d.
type curveKey struct {
	d   *ec.PrivateKey
	pub *ec.Point
}

func (k *curveKey) public() []byte { return k.pub.Bytes() }

// shared returns the shared point. ParsePoint leaves out the point at
// infinity, and no curve here has a cofactor.
func (k *curveKey) shared(peer []byte) (*ec.Point, error) {
	p, err := k.d.Curve().ParsePoint(peer)
	if err != nil {
		return nil, errInvalidKey
	}
	if p.Equal(k.pub) {
		return nil, errEqualKeys
	}
	return k.d.DH(p)
}

func (k *curveKey) agree(peer []byte) ([]byte, error) {
	p, err := k.shared(peer)
	if err != nil {
		return nil, err
	}
	return p.X(), nil
}

func (k *curveKey) mapGeneric(s, peer []byte) (generator, error) {
	h, err := k.shared(peer)
	if err != nil {
		return nil, err
	}
	c := k.d.Curve()
	sG, err := c.ScalarBaseMult(s)
	if err != nil {
		return nil, errIdentity
	}
	mapped, err := c.Add(sG, h)
	if err != nil {
		return nil, errIdentity
	}
	return curveGenerator{mapped}, nil
}
