package cms

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"strconv"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/internal/ec"
)

// Sentinel errors of verification.
var (
	// ErrSignature reports that a signature does not verify under the key.
	ErrSignature = errors.New("cms: signature does not verify")
	// ErrUnsupported reports an algorithm, key type or curve that this package
	// does not know: nothing can be said about the signature.
	ErrUnsupported = errors.New("cms: algorithm not supported")
)

// Limits of RSA keys.
const (
	// 1024 bits is what crypto/rsa still verifies, and the smallest key met in
	// documents (active authentication). Doc 9303-12, 4.4.1.2 asks 2048 of a
	// document signer.
	minRSABits = 1024
	// The largest key of the German master list of 2026 has 6144 bits. A
	// verification with 8192 bits costs well under a millisecond; more is a way
	// to make a desk wait.
	maxRSABits = 8192
	// crypto/rsa takes exponents up to 31 bits; 3 and 38129 occur, and 2^16+1.
	maxRSAExponent = 1<<31 - 1
)

// PublicKey is an RSA, an elliptic-curve or a DSA public key. Exactly one of RSA,
// EC and DSA is set by [ParsePublicKey]. It must not be changed.
type PublicKey struct {
	Raw []byte // SubjectPublicKeyInfo, DER

	RSA *rsa.PublicKey
	EC  *ec.Point
	DSA *DSAPublicKey

	Deviations []string

	pss *SignatureAlgorithm // restriction of an id-RSASSA-PSS key (RFC 4055, 3.1), nil if none
	// pssOnly says that the key may be used with RSASSA-PSS alone.
	pssOnly bool
}

// String names the kind and size of the key: "RSA-2048", "brainpoolP384r1". It
// holds no key material.
func (k *PublicKey) String() string {
	switch {
	case k == nil:
		return "none"
	case k.RSA != nil:
		return "RSA-" + strconv.Itoa(k.RSA.N.BitLen())
	case k.EC != nil:
		return k.EC.Curve().Name()
	case k.DSA != nil:
		return "DSA-" + strconv.Itoa(k.DSA.P.BitLen())
	}
	return "none"
}

// Equal reports whether both are the same key, however they are encoded. A nil
// key equals nothing.
func (k *PublicKey) Equal(other *PublicKey) bool {
	switch {
	case k == nil || other == nil:
		return false
	case k.RSA != nil:
		return other.RSA != nil && k.RSA.Equal(other.RSA)
	case k.EC != nil:
		return k.EC.Equal(other.EC)
	}
	return k.DSA != nil && k.ID() == other.ID()
}

// ID returns octets that are the same exactly for keys that are
// [PublicKey.Equal]: the key of a look-up by key. It is empty for a nil key.
func (k *PublicKey) ID() string {
	switch {
	case k == nil:
		return ""
	case k.RSA != nil:
		return "RSA " + strconv.Itoa(k.RSA.E) + " " + string(k.RSA.N.Bytes())
	case k.EC != nil:
		return "EC " + k.EC.Curve().Name() + " " + string(k.EC.Bytes())
	case k.DSA != nil:
		return fmt.Sprintf("DSA %x %x %x %x", k.DSA.P, k.DSA.Q, k.DSA.G, k.DSA.Y)
	}
	return ""
}

// ParsePublicKey reads a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7): the content of
// EF.DG15, or the key of a certificate. The error wraps [ErrUnsupported] when
// the structure is sound but the algorithm, the curve or the key size is not
// one of ours.
//
// Explicit curve parameters are compared with the known curves in every
// component, the generator included: a certificate that brought its own
// generator could make any public key its own.
func ParsePublicKey(spki []byte) (*PublicKey, error) {
	s := cryptobyte.String(spki)
	var body cryptobyte.String
	var alg algorithmID
	var key []byte
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !s.Empty() ||
		!readAlgorithmID(&body, &alg) ||
		!body.ReadASN1BitStringAsBytes(&key) || !body.Empty() {
		return nil, errors.New("cms: malformed public key info")
	}
	k := &PublicKey{Raw: spki}
	var err error
	switch alg.oid {
	case oidRSAEncryption:
		if !alg.absentOrNull() {
			return nil, errors.New("cms: malformed RSA key parameters")
		}
		if alg.params == nil {
			note(&k.Deviations, DevRSAParametersMissing)
		}
		err = k.setRSA(key)
	case oidRSAPSS:
		// RFC 4055, 3.1: absent parameters put no restriction on the key.
		k.pssOnly = true
		if !alg.absentOrNull() {
			k.pss = new(SignatureAlgorithm)
			if !readPSSParameters(alg.params, k.pss) {
				return nil, fmt.Errorf("cms: RSASSA-PSS key parameters: %w", ErrUnsupported)
			}
		}
		err = k.setRSA(key)
	case oidECPublicKey:
		err = k.setEC(alg.params, key)
	case oidDSA:
		err = k.setDSA(alg.params, key)
	default:
		err = fmt.Errorf("cms: public key type: %w", ErrUnsupported)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// setRSA reads an RSAPublicKey (RFC 8017, A.1.1).
func (k *PublicKey) setRSA(der []byte) error {
	s := cryptobyte.String(der)
	var body cryptobyte.String
	n, e := new(big.Int), new(big.Int)
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !s.Empty() ||
		!body.ReadASN1Integer(n) || !body.ReadASN1Integer(e) || !body.Empty() ||
		n.Sign() <= 0 || e.Sign() <= 0 {
		return errors.New("cms: malformed RSA key")
	}
	if bits := n.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("cms: RSA key of %d bits: %w", bits, ErrUnsupported)
	}
	// An even modulus or exponent, or the exponent 1, is no RSA key: with
	// exponent 1 every value would be its own signature.
	if n.Bit(0) == 0 || e.Bit(0) == 0 || e.Cmp(big.NewInt(3)) < 0 {
		return errors.New("cms: invalid RSA key")
	}
	if e.Cmp(big.NewInt(maxRSAExponent)) > 0 {
		return fmt.Errorf("cms: RSA exponent of %d bits: %w", e.BitLen(), ErrUnsupported)
	}
	if e.Cmp(big.NewInt(65537)) < 0 {
		note(&k.Deviations, DevRSAExponentSmall)
	}
	k.RSA = &rsa.PublicKey{N: n, E: int(e.Int64())}
	return nil
}

// setEC reads EcpkParameters (RFC 3279, 2.3.5; SEC 1, C.2) and the point.
func (k *PublicKey) setEC(params cryptobyte.String, point []byte) error {
	var curve *ec.Curve
	switch {
	case params == nil || params.PeekASN1Tag(asn1.NULL): // implicitlyCA: inherited from nowhere
		return fmt.Errorf("cms: curve parameters absent: %w", ErrUnsupported)
	case params.PeekASN1Tag(asn1.OBJECT_IDENTIFIER):
		var oid string
		if !readOID(&params, &oid) || !params.Empty() {
			return errors.New("cms: malformed curve name")
		}
		curve = ec.ByOID(oid)
		note(&k.Deviations, DevCurveNamed)
	default:
		var ok bool
		if curve, ok = readExplicitCurve(params); !ok {
			return errors.New("cms: malformed curve parameters")
		}
	}
	if curve == nil {
		return fmt.Errorf("cms: curve: %w", ErrUnsupported)
	}
	p, err := curve.ParsePoint(point)
	if err != nil {
		return fmt.Errorf("cms: public key point: %w", err)
	}
	k.EC = p
	return nil
}

// readExplicitCurve reads SpecifiedECDomain (SEC 1, C.2). The curve is nil when
// the parameters are well formed and equal no known prime curve. The seed, if
// any, explains how the curve was made and is not compared.
func readExplicitCurve(s cryptobyte.String) (*ec.Curve, bool) {
	var body, fieldID, curve, seed cryptobyte.String
	var version int
	var fieldType string
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !s.Empty() ||
		!body.ReadASN1Integer(&version) || version < 1 || version > 3 ||
		!body.ReadASN1(&fieldID, asn1.SEQUENCE) || !readOID(&fieldID, &fieldType) {
		return nil, false
	}
	if fieldType != oidPrimeField {
		return nil, true
	}
	var p, n []byte
	var a, b, g cryptobyte.String
	if !fieldID.ReadASN1Integer(&p) || !fieldID.Empty() ||
		!body.ReadASN1(&curve, asn1.SEQUENCE) ||
		!curve.ReadASN1(&a, asn1.OCTET_STRING) || !curve.ReadASN1(&b, asn1.OCTET_STRING) ||
		!curve.ReadOptionalASN1(&seed, nil, asn1.BIT_STRING) || !curve.Empty() ||
		!body.ReadASN1(&g, asn1.OCTET_STRING) ||
		!body.ReadASN1Integer(&n) {
		return nil, false
	}
	cofactor := 0
	if body.PeekASN1Tag(asn1.INTEGER) && (!body.ReadASN1Integer(&cofactor) || cofactor < 1) {
		return nil, false
	}
	// A hash may follow in version 3: how the curve was verified, not what it is.
	if body.PeekASN1Tag(asn1.SEQUENCE) && !body.SkipASN1(asn1.SEQUENCE) {
		return nil, false
	}
	if !body.Empty() {
		return nil, false
	}
	return ec.Match(p, a, b, g, n, cofactor), true
}

// Verify reports whether signature is a signature over message by this key:
// nil, [ErrSignature], or an error that wraps [ErrUnsupported] when the
// algorithm is unknown or does not go with the key. It may take different time
// for different input; everything here is public.
func (k *PublicKey) Verify(alg SignatureAlgorithm, message, signature []byte) error {
	if k == nil || alg.Hash == 0 || !alg.Hash.Available() {
		return ErrUnsupported
	}
	h := alg.Hash.New()
	h.Write(message)
	digest := h.Sum(nil)

	var good bool
	switch {
	case alg.Scheme == RSAPKCS1v15 && k.RSA != nil && !k.pssOnly:
		good = rsa.VerifyPKCS1v15(k.RSA, alg.Hash, digest, signature) == nil
	case alg.Scheme == RSAPSS && k.RSA != nil && k.allowsPSS(alg):
		good = verifyPSS(k.RSA, alg, digest, signature)
	case alg.Scheme == ECDSA && k.EC != nil:
		good = verifyECDSA(k.EC, digest, signature)
	case alg.Scheme == DSA && k.DSA != nil:
		good = k.DSA.verify(digest, signature)
	default:
		return ErrUnsupported
	}
	if !good {
		return ErrSignature
	}
	return nil
}

// allowsPSS applies the restriction of an id-RSASSA-PSS key: the same hashes
// and at least its salt length (RFC 4055, 3.1).
func (k *PublicKey) allowsPSS(alg SignatureAlgorithm) bool {
	return k.pss == nil ||
		alg.Hash == k.pss.Hash && alg.MGFHash == k.pss.MGFHash && alg.SaltLength >= k.pss.SaltLength
}

// verifyECDSA accepts a signature as DER SEQUENCE { r, s } (RFC 3279, 2.2.3) or
// as r || s of fixed width (BSI TR-03111, 5.2.1). The identifier should say
// which, and documents exist in which it does not; a pair (r, s) that verifies
// is a signature by this key in either dress.
func verifyECDSA(pub *ec.Point, digest, signature []byte) bool {
	size := pub.Curve().OrderSize()
	var seq cryptobyte.String
	var r, s []byte
	if der := cryptobyte.String(signature); der.ReadASN1(&seq, asn1.SEQUENCE) && der.Empty() &&
		seq.ReadASN1Integer(&r) && seq.ReadASN1Integer(&s) && seq.Empty() {
		if ec.Verify(pub, digest, r, s) {
			return true
		}
	}
	plain := cryptobyte.String(signature)
	return len(signature) == 2*size && plain.ReadBytes(&r, size) && plain.ReadBytes(&s, size) && ec.Verify(pub, digest, r, s)
}

// verifyPSS is RSASSA-PSS-VERIFY (RFC 8017, 8.1.2). crypto/rsa takes two thirds of
// the time, but has one hash for message and mask, takes a salt length of zero for
// any, and refuses keys below 1024 bits; documents exist with two hashes.
func verifyPSS(pub *rsa.PublicKey, alg SignatureAlgorithm, mHash, signature []byte) bool {
	if alg.MGFHash == alg.Hash && alg.SaltLength > 0 && pub.N.BitLen() >= 1024 {
		return rsa.VerifyPSS(pub, alg.Hash, mHash, signature, &rsa.PSSOptions{SaltLength: alg.SaltLength}) == nil
	}
	if alg.MGFHash == 0 || !alg.MGFHash.Available() || alg.SaltLength < 0 || len(signature) != pub.Size() {
		return false
	}
	// Step 2: RSAVP1 (5.2.2).
	s := new(big.Int).SetBytes(signature)
	if s.Cmp(pub.N) >= 0 {
		return false
	}
	m := s.Exp(s, big.NewInt(int64(pub.E)), pub.N)
	emBits := pub.N.BitLen() - 1
	emLen := (emBits + 7) / 8
	if m.BitLen() > 8*emLen {
		return false
	}
	em := cryptobyte.String(m.FillBytes(make([]byte, emLen)))

	// EMSA-PSS-VERIFY (9.1.2), steps 3 to 6.
	hLen := alg.Hash.Size()
	var db, h []byte
	var trailer byte
	if emLen < hLen+alg.SaltLength+2 ||
		!em.ReadBytes(&db, emLen-hLen-1) || !em.ReadBytes(&h, hLen) || !em.ReadUint8(&trailer) || trailer != 0xbc {
		return false
	}
	unused := 8*emLen - emBits // leftmost bits of db that emBits leaves free: 0 to 7
	if db[0]>>(8-unused) != 0 {
		return false
	}
	// Steps 7 to 10: unmask, then zeros, 01 and the salt.
	mgf1XOR(db, alg.MGFHash.New(), h)
	db[0] &= 0xff >> unused
	rest := cryptobyte.String(db)
	var padding, salt []byte
	var one byte
	if !rest.ReadBytes(&padding, emLen-hLen-alg.SaltLength-2) || !rest.ReadUint8(&one) || one != 1 || !rest.ReadBytes(&salt, alg.SaltLength) {
		return false
	}
	for _, b := range padding {
		if b != 0 {
			return false
		}
	}
	// Steps 12 to 14.
	hPrime := alg.Hash.New()
	hPrime.Write(make([]byte, 8))
	hPrime.Write(mHash)
	hPrime.Write(salt)
	return bytes.Equal(h, hPrime.Sum(nil))
}

// mgf1XOR masks out with MGF1 (RFC 8017, B.2.1).
func mgf1XOR(out []byte, h hash.Hash, seed []byte) {
	var mask []byte
	for counter := uint32(0); len(mask) < len(out); counter++ {
		h.Reset()
		h.Write(seed)
		h.Write([]byte{byte(counter >> 24), byte(counter >> 16), byte(counter >> 8), byte(counter)})
		mask = h.Sum(mask)
	}
	for i := range out {
		out[i] ^= mask[i]
	}
}
