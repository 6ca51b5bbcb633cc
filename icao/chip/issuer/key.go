// Package issuer is the issuing office of the software chip: a country signing
// authority, document signers, revocation lists, master lists, security objects
// (Doc 9303-12 and 9303-10, 8th edition; RFC 5652 and 5280), and the data groups of
// a document, all built from parameters. It writes DER itself, so that it can produce what Vietnam's and
// other states' certificates contain and crypto/x509 does not: explicit elliptic
// curve parameters and brainpool curves.
//
// Nothing here is meant for real documents: keys live in memory, and with a
// seeded reader everything is reproducible.
//
// Left out: DSA, CV certificates, defect lists.
package issuer

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/internal/ec"
)

const (
	publicExponent = 65537
	minRSABits     = 1024 // the active authentication key of the BSI reference data set
	maxRSABits     = 8192
)

// ErrKey is wrapped by the errors about keys that cannot be used.
var ErrKey = errors.New("issuer: unusable key")

// Key is a private key of a chip, a document signer or an authority: exactly
// one of RSA, EC and DH is set. It prints as [redacted]. It may be used
// concurrently, but not changed.
type Key struct {
	RSA *rsa.PrivateKey
	EC  *ec.PrivateKey
	DH  *DHKey // of chip authentication only
	// ExplicitParameters makes [Key.PublicKeyInfo] spell the curve out in place
	// of naming it, as Doc 9303-12 asks of certificates.
	ExplicitParameters bool
	// StandardizedParameters makes it refer to the number of the curve or group
	// in Doc 9303-11, 9.5.1, as keys of PACE with chip authentication mapping do.
	// It has precedence over ExplicitParameters.
	StandardizedParameters bool
	// PSS, if not zero, makes an RSA key in [Key.PublicKeyInfo] one for RSASSA-PSS
	// alone, with this hash, MGF1 with the same, and a salt of its length or more
	// (RFC 4055, 3.1).
	PSS crypto.Hash
}

const redacted = "[redacted]"

// Format prints no content.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText gives no content either, nor does JSON.
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// NewECKey makes a key on the curve of the given name, such as "P-256" or
// "brainpoolP384r1". A nil random is crypto/rand.Reader.
func NewECKey(random io.Reader, curve string, explicit bool) (*Key, error) {
	c := ec.ByName(curve)
	if c == nil {
		return nil, fmt.Errorf("%w: unknown curve", ErrKey)
	}
	k, err := c.GenerateKey(reader(random))
	if err != nil {
		return nil, err
	}
	return &Key{EC: k, ExplicitParameters: explicit}, nil
}

// NewRSAKey makes a key of the given number of bits, a multiple of 16. Unlike
// [rsa.GenerateKey] it uses random as its only source, so that a seeded reader
// makes the same key again. A nil random is crypto/rand.Reader.
func NewRSAKey(random io.Reader, bits int) (*Key, error) {
	if bits < minRSABits || bits > maxRSABits || bits%16 != 0 {
		return nil, fmt.Errorf("%w: RSA key of %d bits", ErrKey, bits)
	}
	random = reader(random)
	for {
		p, err := prime(random, bits/2)
		if err != nil {
			return nil, err
		}
		q, err := prime(random, bits/2)
		if err != nil {
			return nil, err
		}
		if p.Cmp(q) != 0 {
			return newRSA(p, q)
		}
	}
}

// newRSA completes a key from its primes.
func newRSA(p, q *big.Int) (*Key, error) {
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(big.NewInt(publicExponent), phi)
	if d == nil {
		return nil, fmt.Errorf("%w: primes do not fit the exponent", ErrKey)
	}
	k := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: publicExponent},
		D:         d,
		Primes:    []*big.Int{p, q},
	}
	k.Precompute()
	return &Key{RSA: k}, nil
}

// prime draws a prime with its two highest bits set, so that the product of
// two has exactly twice the bits, and with no factor in common with the
// public exponent below it.
func prime(random io.Reader, bits int) (*big.Int, error) {
	const window = 1 << 13 // odd numbers to look at; a prime of 1024 bits is one in 355
	b := make([]byte, bits/8)
	for {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, err
		}
		b[0] |= 0xC0
		b[len(b)-1] |= 1
		start := new(big.Int).SetBytes(b)

		// Cross out what small primes divide: p = start + 2i.
		var composite [window]bool
		rest := new(big.Int)
		for _, q := range smallPrimes {
			r := int(rest.Mod(start, big.NewInt(int64(q))).Int64())
			i := (q - r) % q
			if i%2 == 1 {
				i += q // the first even distance at which q divides
			}
			for i /= 2; i < window; i += q {
				composite[i] = true
			}
		}
		p, e, one := new(big.Int), big.NewInt(publicExponent), big.NewInt(1)
		for i := range composite {
			if composite[i] {
				continue
			}
			p.Add(start, big.NewInt(int64(2*i)))
			if p.BitLen() > bits {
				break // walked over the end
			}
			// p = 1 mod e would leave e without an inverse.
			if rest.Mod(p, e).Cmp(one) != 0 && p.ProbablyPrime(1) {
				return p, nil
			}
		}
	}
}

// smallPrimes are the odd primes below 2^11.
var smallPrimes = func() []int {
	var primes []int
next:
	for n := 3; n < 1<<11; n += 2 {
		for _, q := range primes {
			if n%q == 0 {
				continue next
			}
		}
		primes = append(primes, n)
	}
	return primes
}()

// reader replaces a nil source by crypto/rand.Reader.
func reader(random io.Reader) io.Reader {
	if random == nil {
		return rand.Reader
	}
	return random
}

// Usable reports whether k holds one key of a kind and size that a chip can
// use.
func (k *Key) Usable() bool {
	switch {
	case k == nil:
		return false
	case k.DH != nil:
		return k.RSA == nil && k.EC == nil
	case (k.RSA == nil) == (k.EC == nil):
		return false
	case k.RSA != nil:
		n := k.RSA.N.BitLen()
		return n >= minRSABits && n <= maxRSABits && n%8 == 0 && len(k.RSA.Primes) == 2
	default:
		return true
	}
}

// Hash is the hash that k signs with: for a curve, the longest of SHA-224 to
// SHA-512 that is not longer than its order (Doc 9303-11, 6.1.2.3); for RSA,
// SHA-256.
func (k *Key) Hash() crypto.Hash {
	if k.EC == nil {
		return crypto.SHA256
	}
	switch n := k.EC.Public().Curve().OrderSize(); {
	case n < 32:
		return crypto.SHA224
	case n < 48:
		return crypto.SHA256
	case n < 64:
		return crypto.SHA384
	default:
		return crypto.SHA512
	}
}

// Power is m to the private exponent of an RSA key, in as many bytes as the
// modulus; m is below the modulus. Its time depends on its input, which is good
// enough for synthetic documents only.
func (k *Key) Power(m *big.Int) []byte {
	pre, p, q := k.RSA.Precomputed, k.RSA.Primes[0], k.RSA.Primes[1]
	// Chinese remainder theorem: two powers of half the size.
	a := new(big.Int).Exp(m, pre.Dp, p)
	b := new(big.Int).Exp(m, pre.Dq, q)
	h := a.Sub(a, b)
	h.Mul(h, pre.Qinv).Mod(h, p)
	return h.Mul(h, q).Add(h, b).FillBytes(make([]byte, k.RSA.Size()))
}

var (
	oidRSA            = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidECPublicKey    = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidPrimeField     = asn1.ObjectIdentifier{1, 2, 840, 10045, 1, 1}
	oidECDH           = asn1.ObjectIdentifier{1, 3, 132, 1, 12}
	oidPKCS3          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 3, 1} // dhKeyAgreement
	oidX942           = asn1.ObjectIdentifier{1, 2, 840, 10046, 2, 1}     // dhpublicnumber
	oidStandardized   = asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 1, 2}   // standardizedDomainParameters
	errPKCS8          = fmt.Errorf("%w: malformed PKCS #8", ErrKey)
	errPKCS8Algorithm = fmt.Errorf("%w: PKCS #8 algorithm", ErrKey)
)

// PublicKeyInfo is the SubjectPublicKeyInfo of k, in DER (RFC 5280, RFC 5480).
func (k *Key) PublicKeyInfo() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			switch {
			case k.RSA != nil && k.PSS != 0:
				b.AddASN1ObjectIdentifier(oidPSS)
				Algorithm{Scheme: PSS, Hash: k.PSS}.addPSSParameters(b)
			case k.RSA != nil:
				b.AddASN1ObjectIdentifier(oidRSA)
				b.AddASN1NULL()
			case k.StandardizedParameters:
				b.AddASN1ObjectIdentifier(oidStandardized)
				b.AddASN1Int64(int64(k.ParameterID()))
			case k.DH != nil:
				k.DH.addParameters(b)
			case k.ExplicitParameters:
				b.AddASN1ObjectIdentifier(oidECPublicKey)
				addExplicitParameters(b, k.EC.Public().Curve())
			default:
				b.AddASN1ObjectIdentifier(oidECPublicKey)
				b.AddASN1ObjectIdentifier(parseOID(k.EC.Public().Curve().OID()))
			}
		})
		b.AddASN1BitString(k.publicBits())
	})
	return b.Bytes()
}

// addParameters adds the algorithm and the group of a DH key.
func (k *DHKey) addParameters(b *cryptobyte.Builder) {
	g := k.group
	if k.pkcs3 {
		b.AddASN1ObjectIdentifier(oidPKCS3)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1BigInt(g.p)
			b.AddASN1BigInt(g.g)
			b.AddASN1Int64(int64(g.q.BitLen())) // privateValueLength
		})
		return
	}
	b.AddASN1ObjectIdentifier(oidX942)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(g.p)
		b.AddASN1BigInt(g.g)
		b.AddASN1BigInt(g.q)
	})
}

// curveParameters are the standardized domain parameters with curves, from
// number 8 on (Doc 9303-11, 9.5.1).
var curveParameters = [...]string{
	"P-192", "brainpoolP192r1", "P-224", "brainpoolP224r1", "P-256", "brainpoolP256r1",
	"brainpoolP320r1", "P-384", "brainpoolP384r1", "brainpoolP512r1", "P-521",
}

const firstCurveParameter = 8

// CurveByID returns the name of the curve with a number among the standardized
// domain parameters, 8 to 18, and an empty string for any other number.
func CurveByID(id int) string {
	if id < firstCurveParameter || id >= firstCurveParameter+len(curveParameters) {
		return ""
	}
	return curveParameters[id-firstCurveParameter]
}

// ParameterID is the number of the key's curve or group among the standardized
// domain parameters, or -1 if it has none.
func (k *Key) ParameterID() int {
	if k.DH != nil {
		return k.DH.group.id
	}
	if k.EC != nil {
		if i := slices.Index(curveParameters[:], k.EC.Public().Curve().Name()); i >= 0 {
			return i + firstCurveParameter
		}
	}
	return -1
}

// publicBits is the content of the subjectPublicKey field.
func (k *Key) publicBits() []byte {
	if k.EC != nil {
		return k.EC.Public().Bytes()
	}
	var b cryptobyte.Builder
	if k.DH != nil { // an INTEGER (RFC 3279, 2.3.3)
		b.AddASN1BigInt(new(big.Int).SetBytes(k.DH.y))
		return b.BytesOrPanic() // one integer cannot fail to encode
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(k.RSA.N)
		b.AddASN1Int64(int64(k.RSA.E))
	})
	return b.BytesOrPanic() // two integers cannot fail to encode
}

// addExplicitParameters adds ECParameters of a prime curve (ANSI X9.62, as
// TR-03111 profiles it). All our curves have cofactor 1.
func addExplicitParameters(b *cryptobyte.Builder, c *ec.Curve) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidPrimeField)
			b.AddASN1BigInt(new(big.Int).SetBytes(c.P()))
		})
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(c.A())
			b.AddASN1OctetString(c.B())
		})
		b.AddASN1OctetString(append(append([]byte{4}, c.Gx()...), c.Gy()...))
		b.AddASN1BigInt(new(big.Int).SetBytes(c.N()))
		b.AddASN1Int64(1)
	})
}

// parseOID reads dotted decimal. The strings are ours: our curves' and our
// protocols' identifiers.
func parseOID(s string) asn1.ObjectIdentifier {
	var oid asn1.ObjectIdentifier
	n := 0
	for _, c := range s + "." {
		if c == '.' {
			oid, n = append(oid, n), 0
			continue
		}
		n = n*10 + int(c-'0')
	}
	return oid
}

// ParsePKCS8 reads a private key in DER (RFC 5208): RSA with two primes, or a
// key on an elliptic curve with named or explicit parameters. Its errors wrap
// [ErrKey].
func ParsePKCS8(der []byte) (*Key, error) {
	var (
		outer, algorithm, parameters, key cryptobyte.String
		version                           int
		oid                               asn1.ObjectIdentifier
	)
	input := cryptobyte.String(der)
	if !input.ReadASN1(&outer, cbasn1.SEQUENCE) || !input.Empty() ||
		!outer.ReadASN1Integer(&version) ||
		!outer.ReadASN1(&algorithm, cbasn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&oid) ||
		!outer.ReadASN1(&key, cbasn1.OCTET_STRING) { // attributes may follow
		return nil, errPKCS8
	}
	switch {
	case oid.Equal(oidRSA):
		return parseRSA(key)
	case oid.Equal(oidECPublicKey), oid.Equal(oidECDH):
		parameters = algorithm
		return parseEC(key, parameters)
	default:
		return nil, errPKCS8Algorithm
	}
}

// parseRSA reads RSAPrivateKey (RFC 8017, A.1.2).
func parseRSA(der cryptobyte.String) (*Key, error) {
	var (
		seq     cryptobyte.String
		version int
		n, e    = new(big.Int), new(big.Int)
		d, p, q = new(big.Int), new(big.Int), new(big.Int)
	)
	if !der.ReadASN1(&seq, cbasn1.SEQUENCE) || !der.Empty() ||
		!seq.ReadASN1Integer(&version) || version != 0 ||
		!seq.ReadASN1Integer(n) || !seq.ReadASN1Integer(e) || !seq.ReadASN1Integer(d) ||
		!seq.ReadASN1Integer(p) || !seq.ReadASN1Integer(q) {
		return nil, errPKCS8
	}
	if n.BitLen() > maxRSABits || p.BitLen() > maxRSABits || q.BitLen() > maxRSABits {
		return nil, fmt.Errorf("%w: RSA key of %d bits", ErrKey, n.BitLen())
	}
	if p.Cmp(big.NewInt(2)) <= 0 || q.Cmp(big.NewInt(2)) <= 0 || new(big.Int).Mul(p, q).Cmp(n) != 0 ||
		e.Cmp(big.NewInt(publicExponent)) != 0 {
		return nil, errPKCS8
	}
	k, err := newRSA(p, q)
	if err != nil {
		return nil, err
	}
	if !k.Usable() {
		return nil, fmt.Errorf("%w: RSA key of %d bits", ErrKey, n.BitLen())
	}
	if err := k.RSA.Validate(); err != nil { // such as factors that are no primes
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return k, nil
}

// parseEC reads ECPrivateKey (RFC 5915) with the parameters of the algorithm
// identifier around it.
func parseEC(der, parameters cryptobyte.String) (*Key, error) {
	curve, explicit := parseCurve(parameters)
	if curve == nil {
		return nil, fmt.Errorf("%w: curve", ErrKey)
	}
	var (
		seq, d  cryptobyte.String
		version int
	)
	if !der.ReadASN1(&seq, cbasn1.SEQUENCE) || !der.Empty() ||
		!seq.ReadASN1Integer(&version) || version != 1 ||
		!seq.ReadASN1(&d, cbasn1.OCTET_STRING) {
		return nil, errPKCS8
	}
	if len(d) > curve.OrderSize() {
		return nil, errPKCS8
	}
	k, err := curve.NewPrivateKey(append(make([]byte, curve.OrderSize()-len(d)), d...))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &Key{EC: k, ExplicitParameters: explicit}, nil
}

// parseCurve reads named or explicit parameters; nil if it knows no such curve.
func parseCurve(s cryptobyte.String) (curve *ec.Curve, explicit bool) {
	if s.PeekASN1Tag(cbasn1.OBJECT_IDENTIFIER) {
		var oid asn1.ObjectIdentifier
		if !s.ReadASN1ObjectIdentifier(&oid) {
			return nil, false
		}
		return ec.ByOID(oid.String()), false
	}
	var (
		seq, fieldID, coefficients, a, b, g cryptobyte.String
		version                             int
		field                               asn1.ObjectIdentifier
		p, n                                = new(big.Int), new(big.Int)
	)
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1Integer(&version) ||
		!seq.ReadASN1(&fieldID, cbasn1.SEQUENCE) ||
		!fieldID.ReadASN1ObjectIdentifier(&field) || !field.Equal(oidPrimeField) ||
		!fieldID.ReadASN1Integer(p) ||
		!seq.ReadASN1(&coefficients, cbasn1.SEQUENCE) ||
		!coefficients.ReadASN1(&a, cbasn1.OCTET_STRING) ||
		!coefficients.ReadASN1(&b, cbasn1.OCTET_STRING) ||
		!seq.ReadASN1(&g, cbasn1.OCTET_STRING) ||
		!seq.ReadASN1Integer(n) || p.Sign() <= 0 || n.Sign() <= 0 {
		return nil, false
	}
	return ec.Match(p.Bytes(), a, b, g, n.Bytes(), 0), true
}
