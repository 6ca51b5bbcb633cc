package issuer

import (
	"crypto"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"

	_ "crypto/sha1" // hashes named by crypto.Hash
	_ "crypto/sha256"
	_ "crypto/sha512"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/internal/ec"
)

// Scheme is a signature scheme.
type Scheme uint8

// The schemes of authorities and document signers.
const (
	ECDSA Scheme = iota + 1
	PKCS1        // RSASSA-PKCS1-v1_5
	PSS          // RSASSA-PSS
)

// Algorithm is a signature algorithm together with the kind of key it takes. It
// is comparable. The zero value is no algorithm.
type Algorithm struct {
	Scheme Scheme
	Hash   crypto.Hash // SHA-1, or SHA-224 to SHA-512

	Curve    string // of ECDSA, such as "P-256" or "brainpoolP384r1"
	Explicit bool   // spell the curve out in certificates instead of naming it
	// Plain signs with ECDSA in the plain format r || s under the identifiers of
	// TR-03111, in place of the DER of ANSI X9.62.
	Plain bool

	Bits int // of an RSA key; 0: 2048
	// MGF is the hash of the mask generation of PSS; 0: Hash.
	MGF crypto.Hash
	// Salt is the length of the salt of PSS in bytes; 0: as long as the hash, and
	// negative: no salt.
	Salt int
}

// Algorithms that documents have.
var (
	// ECDSABrainpoolP384 is ECDSA with SHA-384 on brainpoolP384r1, with the
	// curve spelled out: what the security objects of Vietnamese cards use.
	ECDSABrainpoolP384 = Algorithm{Scheme: ECDSA, Hash: crypto.SHA384, Curve: "brainpoolP384r1", Explicit: true}
	// ECDSAP256 is ECDSA with SHA-256 on the named curve P-256.
	ECDSAP256 = Algorithm{Scheme: ECDSA, Hash: crypto.SHA256, Curve: "P-256"}
	// RSAPKCS1 is RSASSA-PKCS1-v1_5 with SHA-256 and 2048 bits.
	RSAPKCS1 = Algorithm{Scheme: PKCS1, Hash: crypto.SHA256}
	// RSAPSS is RSASSA-PSS with SHA-256, MGF1 with SHA-256, a salt of 32
	// bytes, and 2048 bits.
	RSAPSS = Algorithm{Scheme: PSS, Hash: crypto.SHA256}
)

const defaultBits = 2048

// KeyKind is the kind of key that an algorithm takes. It is comparable.
type KeyKind struct {
	Curve    string // of an EC key
	Explicit bool   // curve spelled out
	Bits     int    // of an RSA key
	Group    int    // of a DH key, by its number; counts if the others are zero
}

// NewKey makes a key of the kind. A nil random is crypto/rand.Reader.
func (k KeyKind) NewKey(random io.Reader) (*Key, error) {
	switch {
	case k.Curve != "":
		return NewECKey(random, k.Curve, k.Explicit)
	case k.Bits != 0:
		return NewRSAKey(random, k.Bits)
	default:
		return NewDHKey(random, k.Group, false)
	}
}

// KeyKind is the kind of key that a takes. Its error wraps [ErrKey].
func (a Algorithm) KeyKind() (KeyKind, error) {
	if !a.Hash.Available() || digestOIDs[a.Hash] == nil {
		return KeyKind{}, fmt.Errorf("%w: hash of the algorithm", ErrKey)
	}
	switch a.Scheme {
	case ECDSA:
		return KeyKind{Curve: a.Curve, Explicit: a.Explicit}, nil
	case PKCS1, PSS:
		bits := a.Bits
		if bits == 0 {
			bits = defaultBits
		}
		if a.Scheme == PSS && (bits+7)/8 < a.Hash.Size()+a.saltLength()+2 {
			return KeyKind{}, fmt.Errorf("%w: too short for its hash and salt", ErrKey)
		}
		return KeyKind{Bits: bits}, nil
	default:
		return KeyKind{}, fmt.Errorf("%w: unknown algorithm", ErrKey)
	}
}

// NewKey makes a key for a.
func (a Algorithm) NewKey(random io.Reader) (*Key, error) {
	kind, err := a.KeyKind()
	if err != nil {
		return nil, err
	}
	return kind.NewKey(random)
}

// Fits reports whether k is a key for a: nil, or an error that wraps [ErrKey].
func (a Algorithm) Fits(k *Key) error {
	kind, err := a.KeyKind()
	if err != nil {
		return err
	}
	switch {
	case !k.Usable():
	case kind.Curve != "" && k.EC != nil && k.EC.Public().Curve() == ec.ByName(kind.Curve) && k.ExplicitParameters == kind.Explicit:
		return nil
	case kind.Curve == "" && k.RSA != nil && k.RSA.N.BitLen() == kind.Bits:
		return nil
	}
	return fmt.Errorf("%w: not for this algorithm", ErrKey)
}

func (a Algorithm) mgf() crypto.Hash {
	if a.MGF != 0 {
		return a.MGF
	}
	return a.Hash
}

func (a Algorithm) saltLength() int {
	switch {
	case a.Salt == 0:
		return a.Hash.Size()
	case a.Salt < 0:
		return 0
	default:
		return a.Salt
	}
}

var (
	digestOIDs = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 3, 14, 3, 2, 26},
		crypto.SHA224: {2, 16, 840, 1, 101, 3, 4, 2, 4},
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
		crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
	ecdsaOIDs = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 2, 840, 10045, 4, 1},
		crypto.SHA224: {1, 2, 840, 10045, 4, 3, 1},
		crypto.SHA256: {1, 2, 840, 10045, 4, 3, 2},
		crypto.SHA384: {1, 2, 840, 10045, 4, 3, 3},
		crypto.SHA512: {1, 2, 840, 10045, 4, 3, 4},
	}
	pkcs1OIDs = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 2, 840, 113549, 1, 1, 5},
		crypto.SHA224: {1, 2, 840, 113549, 1, 1, 14},
		crypto.SHA256: {1, 2, 840, 113549, 1, 1, 11},
		crypto.SHA384: {1, 2, 840, 113549, 1, 1, 12},
		crypto.SHA512: {1, 2, 840, 113549, 1, 1, 13},
	}
	oidPSS  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidMGF1 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
)

// addIdentifier adds the AlgorithmIdentifier of the signature.
func (a Algorithm) addIdentifier(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		switch {
		case a.Scheme == ECDSA && a.Plain:
			b.AddASN1ObjectIdentifier(oidPlainECDSA[a.Hash])
		case a.Scheme == ECDSA:
			b.AddASN1ObjectIdentifier(ecdsaOIDs[a.Hash])
		case a.Scheme == PKCS1:
			b.AddASN1ObjectIdentifier(pkcs1OIDs[a.Hash])
			b.AddASN1NULL()
		case a.Scheme == PSS:
			b.AddASN1ObjectIdentifier(oidPSS)
			a.addPSSParameters(b)
		}
	})
}

// addPSSParameters adds RSASSA-PSS-params (RFC 4055, 3.1). What has its default,
// SHA-1 and 20 bytes of salt, is left out, as DER asks.
func (a Algorithm) addPSSParameters(b *cryptobyte.Builder) {
	const defaultSalt = 20
	explicit := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).Constructed().ContextSpecific() }
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if a.Hash != crypto.SHA1 {
			b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { addDigestIdentifier(b, a.Hash, false) })
		}
		if a.mgf() != crypto.SHA1 {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidMGF1)
					addDigestIdentifier(b, a.mgf(), false)
				})
			})
		}
		if n := a.saltLength(); n != defaultSalt {
			b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(n)) })
		}
	})
}

// addDigestIdentifier adds the AlgorithmIdentifier of a hash. Its parameters are
// absent (Doc 9303-10, 4.6.2.3, note 2), or NULL as many issuers have it.
func addDigestIdentifier(b *cryptobyte.Builder, h crypto.Hash, null bool) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(digestOIDs[h])
		if null {
			b.AddASN1NULL()
		}
	})
}

// Sign signs message with k, which has to fit. A nil random is
// crypto/rand.Reader. The signature has the form that certificates have, r || s
// if Plain.
func (a Algorithm) Sign(random io.Reader, k *Key, message []byte) ([]byte, error) {
	if err := a.Fits(k); err != nil {
		return nil, err
	}
	h := a.Hash.New()
	h.Write(message)
	digest := h.Sum(nil)
	switch a.Scheme {
	case ECDSA:
		r, s, err := k.EC.Sign(reader(random), digest)
		if err != nil {
			return nil, err
		}
		if a.Plain {
			return append(append([]byte(nil), r...), s...), nil
		}
		return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)})
	case PKCS1:
		return rsa.SignPKCS1v15(nil, k.RSA, a.Hash, digest)
	default:
		return a.signPSS(reader(random), k, digest)
	}
}

// signPSS is RSASSA-PSS (RFC 8017, 8.1.1 and 9.1.1). The standard library ties
// the hash of the mask generation to the other one.
func (a Algorithm) signPSS(random io.Reader, k *Key, digest []byte) ([]byte, error) {
	const trailer = 0xBC
	salt := make([]byte, a.saltLength())
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, err
	}
	h := a.Hash.New()
	h.Write(make([]byte, 8))
	h.Write(digest)
	h.Write(salt)
	mPrime := h.Sum(nil)

	emBits := k.RSA.N.BitLen() - 1
	em := make([]byte, (emBits+7)/8)
	db := em[:len(em)-len(mPrime)-1] // KeyKind has made sure that all of it fits
	db[len(db)-len(salt)-1] = 1
	copy(db[len(db)-len(salt):], salt)
	for i, x := range mgf1(a.mgf(), mPrime, len(db)) {
		db[i] ^= x
	}
	db[0] &= 0xFF >> (8*len(em) - emBits)
	copy(em[len(db):], mPrime)
	em[len(em)-1] = trailer
	return k.Power(new(big.Int).SetBytes(em)), nil
}

// mgf1 is the mask generation function of RFC 8017, B.2.1.
func mgf1(hash crypto.Hash, seed []byte, n int) []byte {
	var mask []byte
	for counter := byte(0); len(mask) < n; counter++ { // never 256 blocks
		h := hash.New()
		h.Write(seed)
		h.Write([]byte{0, 0, 0, counter})
		mask = h.Sum(mask)
	}
	return mask[:n]
}
