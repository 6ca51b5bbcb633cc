package secinfo

import (
	"errors"
	"slices"

	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrUnknownParameters reports domain parameters that are not one of the
// curves that this module knows, or a key that is not on its curve.
var ErrUnknownParameters = errors.New("secinfo: unknown domain parameters")

// firstProprietaryID is the first parameter identifier that is not reserved
// for standardized domain parameters (Doc 9303-11, 9.5.1).
const firstProprietaryID = 32

// Object identifiers of an AlgorithmIdentifier (Doc 9303-11, 9.5.1 and 9.5.2).
const (
	oidStandardized = "0.4.0.127.0.7.1.2"
	oidECPublicKey  = "1.2.840.10045.2.1"
	oidPrimeField   = "1.2.840.10045.1.1"
)

// StandardizedCurve returns the curve with a number of Doc 9303-11, 9.5.1
// (8 to 18), and nil for any other number.
func StandardizedCurve(id int) *ec.Curve {
	names := [...]string{
		8: "P-192", 9: "brainpoolP192r1", 10: "P-224", 11: "brainpoolP224r1",
		12: "P-256", 13: "brainpoolP256r1", 14: "brainpoolP320r1", 15: "P-384",
		16: "brainpoolP384r1", 17: "brainpoolP512r1", 18: "P-521",
	}
	if id < 8 || id >= len(names) {
		return nil
	}
	return ec.ByName(names[id])
}

// DomainParameters is an AlgorithmIdentifier with domain parameters
// (Doc 9303-11, 9.5). The zero value is none.
type DomainParameters struct {
	raw []byte
}

// Raw returns the AlgorithmIdentifier, DER, as a copy; nil for the zero value.
func (d DomainParameters) Raw() []byte { return slices.Clone(d.raw) }

// IsZero reports whether d holds no parameters.
func (d DomainParameters) IsZero() bool { return len(d.raw) == 0 }

// Curve returns the curve that d describes, by its standardized number, its
// name or its numbers; nil if that is none of the curves known to this module.
// Explicit numbers have to be equal to a known curve in all of them, so an
// attacker cannot bring a weak one.
func (d DomainParameters) Curve() *ec.Curve {
	s := tlv.String(d.raw)
	var body, params tlv.String
	var oid string
	var p parser
	if !s.ReadTag(&body, tagSequence) || !p.readOID(&body, &oid) {
		return nil
	}
	switch oid {
	case oidStandardized:
		var id int
		if !p.readInt(&body, &id) || !body.Empty() {
			return nil
		}
		return StandardizedCurve(id)
	case oidECPublicKey:
		if tag, ok := body.PeekTag(); ok && tag == tagOID {
			var name string
			if !p.readOID(&body, &name) || !body.Empty() {
				return nil
			}
			return ec.ByOID(name)
		}
		if !body.ReadTag(&params, tagSequence) || !body.Empty() {
			return nil
		}
		return explicitCurve(params)
	}
	return nil
}

// explicitCurve reads the content of ECParameters (RFC 3279, 2.3.5).
func explicitCurve(s tlv.String) *ec.Curve {
	var p parser
	var version, cofactor int
	var field, curve, a, b, g tlv.String
	var prime, order []byte
	var oid string
	ok := p.readInt(&s, &version) && version >= 1 && version <= 3 &&
		s.ReadTag(&field, tagSequence) && p.readOID(&field, &oid) && oid == oidPrimeField &&
		readNumber(&field, &prime) && field.Empty() &&
		s.ReadTag(&curve, tagSequence) && curve.ReadTag(&a, tagOctets) && curve.ReadTag(&b, tagOctets) &&
		curve.ReadOptional(nil, nil, tagBits) && curve.Empty() && // the seed
		s.ReadTag(&g, tagOctets) && readNumber(&s, &order)
	if !ok {
		return nil
	}
	if !s.Empty() && (!p.readInt(&s, &cofactor) || !s.Empty()) {
		return nil
	}
	return ec.Match(prime, a, b, g, order, cofactor)
}

// Point returns the public key of an ECDH entry, which is on its curve. The
// error is [ErrUnknownParameters] for a DH key, a curve that is not known, and
// a point that is not on it.
func (i ChipAuthenticationPublicKeyInfo) Point() (*ec.Point, error) {
	s := tlv.String(i.PublicKey)
	var body, bits tlv.String
	var p parser
	var d DomainParameters
	var unused uint8
	if !s.ReadTag(&body, tagSequence) || !s.Empty() || !p.readElement(&body, &d.raw, tagSequence) ||
		!body.ReadTag(&bits, tagBits) || !body.Empty() || !bits.ReadUint8(&unused) || unused != 0 {
		return nil, ErrUnknownParameters
	}
	curve := d.Curve()
	if curve == nil {
		return nil, ErrUnknownParameters
	}
	point, err := curve.ParsePoint(bits)
	if err != nil {
		return nil, ErrUnknownParameters
	}
	return point, nil
}
