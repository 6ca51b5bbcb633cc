package cms

import (
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of DSA keys. FIPS 186-4, 4.2 knows p of 1024 to 3072 bits and q of 160,
// 224 or 256; Doc 9303-12, 4.1.6.2 refers to it. A larger p would only make a desk
// wait.
const (
	minDSABits = 1024
	maxDSABits = 3072
)

// DSAPublicKey is a DSA public key with its domain parameters (FIPS 186-4, 4.1).
// It must not be changed.
type DSAPublicKey struct {
	P, Q, G, Y *big.Int
}

// setDSA reads Dss-Parms and DSAPublicKey (RFC 3279, 2.3.2). Parameters that are
// inherited from the issuer are not supported: Doc 9303-12 has every
// certificate stand for itself.
func (k *PublicKey) setDSA(params cryptobyte.String, der []byte) error {
	if params == nil {
		return fmt.Errorf("cms: DSA parameters absent: %w", ErrUnsupported)
	}
	d := &DSAPublicKey{P: new(big.Int), Q: new(big.Int), G: new(big.Int), Y: new(big.Int)}
	s := cryptobyte.String(der)
	var body cryptobyte.String
	if !params.ReadASN1(&body, asn1.SEQUENCE) || !params.Empty() ||
		!body.ReadASN1Integer(d.P) || !body.ReadASN1Integer(d.Q) || !body.ReadASN1Integer(d.G) || !body.Empty() ||
		!s.ReadASN1Integer(d.Y) || !s.Empty() {
		return errors.New("cms: malformed DSA key")
	}
	if d.P.Sign() <= 0 || d.Q.Sign() <= 0 || d.G.Sign() <= 0 || d.Y.Sign() <= 0 {
		return errors.New("cms: malformed DSA key")
	}
	q := d.Q.BitLen()
	if p := d.P.BitLen(); p < minDSABits || p > maxDSABits || q != 160 && q != 224 && q != 256 {
		return fmt.Errorf("cms: DSA key of %d and %d bits: %w", p, q, ErrUnsupported)
	}
	if !d.valid() {
		return errors.New("cms: invalid DSA key")
	}
	k.DSA = d
	return nil
}

// valid reports whether q divides p - 1, and g and y are elements of order q.
// With g or y equal to 1, or of another small order, signatures could be found
// without a private key. Whether p and q are prime is left to the issuer, who
// signs the key: a holder who chose them badly has given away their own.
func (d *DSAPublicKey) valid() bool {
	one := big.NewInt(1)
	rest := new(big.Int).Sub(d.P, one)
	if d.P.Bit(0) == 0 || d.Q.Bit(0) == 0 || rest.Mod(rest, d.Q).Sign() != 0 {
		return false
	}
	for _, v := range []*big.Int{d.G, d.Y} {
		if v.Cmp(one) <= 0 || v.Cmp(d.P) >= 0 || new(big.Int).Exp(v, d.Q, d.P).Cmp(one) != 0 {
			return false
		}
	}
	return true
}

// verify is the verification of FIPS 186-4, 4.7, of Dss-Sig-Value (RFC 3279,
// 2.2.2).
func (d *DSAPublicKey) verify(digest, signature []byte) bool {
	der := cryptobyte.String(signature)
	var seq cryptobyte.String
	r, s := new(big.Int), new(big.Int)
	if !der.ReadASN1(&seq, asn1.SEQUENCE) || !der.Empty() ||
		!seq.ReadASN1Integer(r) || !seq.ReadASN1Integer(s) || !seq.Empty() {
		return false
	}
	if r.Sign() <= 0 || r.Cmp(d.Q) >= 0 || s.Sign() <= 0 || s.Cmp(d.Q) >= 0 {
		return false
	}
	// The leftmost bits of the digest, as many as q has.
	z := new(big.Int).SetBytes(digest)
	if extra := 8*len(digest) - d.Q.BitLen(); extra > 0 {
		z.Rsh(z, uint(extra))
	}
	w := new(big.Int).ModInverse(s, d.Q)
	if w == nil { // q is not prime
		return false
	}
	u1 := z.Mul(z, w)
	u1.Mod(u1, d.Q)
	u2 := w.Mul(w, r)
	u2.Mod(u2, d.Q)
	v := u1.Exp(d.G, u1, d.P)
	v.Mul(v, u2.Exp(d.Y, u2, d.P))
	v.Mod(v, d.P)
	return v.Mod(v, d.Q).Cmp(r) == 0
}
