package chip

import (
	"errors"
	"io"
	"math/big"

	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/tlv"
)

var errElement = errors.New("chip: not an element of the group")

// domain is a set of domain parameters: the group in which PACE and chip
// authentication agree on secrets, on a curve or modulo a prime.
type domain interface {
	// parse validates a public key of the terminal.
	parse(b []byte) (element, error)
	// draw draws a private key, orderSize bytes.
	draw(random io.Reader) ([]byte, error)
	// power is base to the exponent, written multiplicatively; a nil base is
	// the generator. A neutral result is an error.
	power(base element, exponent []byte) (element, error)
	// multiply combines two elements; a neutral result is an error.
	multiply(a, b element) (element, error)
	// encodeToGroup is the function f of integrated mapping, from a number below the
	// field's modulus (Doc 9303-11, 4.4.3.3.2).
	encodeToGroup(x []byte) (element, error)
	modulus() *big.Int
	order() *big.Int
	orderSize() int
	// tag is that of the public value in a public key data object (9.4.3, 9.4.4).
	tag() tlv.Tag
}

// element is a public key, never the neutral element. Elements are compared by
// their wire form.
type element interface {
	// wire is the plain public key value of 9.4.5.
	wire() []byte
	// secret is what the key derivation takes of a shared secret, of fixed
	// length (9.6, 9.7.1).
	secret() []byte
}

// curveDomain is an elliptic curve. All our curves have the cofactor 1.
type curveDomain struct{ curve *ec.Curve }

type curveElement struct{ point *ec.Point }

func (e curveElement) wire() []byte   { return e.point.Bytes() }
func (e curveElement) secret() []byte { return e.point.X() }

func (d curveDomain) element(p *ec.Point, err error) (element, error) {
	if err != nil {
		return nil, err
	}
	return curveElement{p}, nil
}

func (d curveDomain) parse(b []byte) (element, error) { return d.element(d.curve.ParsePoint(b)) }

func (d curveDomain) draw(random io.Reader) ([]byte, error) {
	k, err := d.curve.GenerateKey(random)
	if err != nil {
		return nil, err
	}
	return k.Bytes(), nil
}

func (d curveDomain) power(base element, exponent []byte) (element, error) {
	if base == nil {
		return d.element(d.curve.ScalarBaseMult(exponent))
	}
	b, ok := base.(curveElement)
	if !ok {
		return nil, errElement
	}
	return d.element(d.curve.ScalarMult(b.point, exponent))
}

func (d curveDomain) multiply(a, b element) (element, error) {
	p, ok := a.(curveElement)
	q, ok2 := b.(curveElement)
	if !ok || !ok2 {
		return nil, errElement
	}
	return d.element(d.curve.Add(p.point, q.point))
}

func (d curveDomain) encodeToGroup(x []byte) (element, error) {
	fixed := new(big.Int).SetBytes(x).FillBytes(make([]byte, d.curve.Size()))
	return d.element(d.curve.MapToPoint(fixed))
}

func (d curveDomain) modulus() *big.Int { return new(big.Int).SetBytes(d.curve.P()) }
func (d curveDomain) order() *big.Int   { return new(big.Int).SetBytes(d.curve.N()) }
func (d curveDomain) orderSize() int    { return d.curve.OrderSize() }
func (d curveDomain) tag() tlv.Tag      { return 0x86 }

// groupDomain is a group modulo a prime.
type groupDomain struct {
	group *issuer.Group
	// fixed gives public keys the length of the modulus, as some chips do, where
	// Doc 9303-11, 9.4.3, wants no leading zero bytes.
	fixed bool
}

type groupElement struct {
	number []byte // as long as the modulus
	fixed  bool
}

func (e groupElement) secret() []byte { return e.number }

func (e groupElement) wire() []byte {
	if e.fixed {
		return e.number
	}
	return new(big.Int).SetBytes(e.number).Bytes()
}

func (d groupDomain) element(number []byte, err error) (element, error) {
	if err != nil {
		return nil, err
	}
	return groupElement{number, d.fixed}, nil
}

func (d groupDomain) parse(b []byte) (element, error) { return d.element(d.group.Parse(b)) }

func (d groupDomain) draw(random io.Reader) ([]byte, error) { return d.group.DrawScalar(random) }

func (d groupDomain) power(base element, exponent []byte) (element, error) {
	if base == nil {
		return d.element(d.group.Power(nil, exponent))
	}
	b, ok := base.(groupElement)
	if !ok {
		return nil, errElement
	}
	return d.element(d.group.Power(b.number, exponent))
}

func (d groupDomain) multiply(a, b element) (element, error) {
	x, ok := a.(groupElement)
	y, ok2 := b.(groupElement)
	if !ok || !ok2 {
		return nil, errElement
	}
	return d.element(d.group.Multiply(x.number, y.number))
}

func (d groupDomain) encodeToGroup(x []byte) (element, error) {
	return d.element(d.group.Power(x, d.group.Cofactor()))
}

func (d groupDomain) modulus() *big.Int { return new(big.Int).SetBytes(d.group.P()) }
func (d groupDomain) order() *big.Int   { return new(big.Int).SetBytes(d.group.Q()) }
func (d groupDomain) orderSize() int    { return d.group.OrderSize() }
func (d groupDomain) tag() tlv.Tag      { return 0x84 }
