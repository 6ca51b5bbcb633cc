package chip

import (
	"crypto"
	"encoding/asn1"
	"io"
	"math/big"

	_ "crypto/sha1"   // as the documents name them
	_ "crypto/sha256" // also SHA-224
	_ "crypto/sha512" // also SHA-384

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
)

// internalAuthenticate is INTERNAL AUTHENTICATE: active authentication
// (Doc 9303-11, 6.1).
func (c *Chip) internalAuthenticate(in command) response {
	switch {
	case c.p.ActiveAuthentication == nil:
		return status(apdu.InstructionNotSupported)
	case in.p1 != 0 || in.p2 != 0:
		return status(apdu.IncorrectP1P2)
	case !c.state.application:
		return status(apdu.ConditionsNotSatisfied)
	case !c.authenticated():
		return status(apdu.SecurityStatusNotSatisfied)
	case len(in.data) != nonceLen || in.ne == 0:
		return status(apdu.WrongLength)
	}
	if c.p.Quirks.AAEmptyExtended && in.extended {
		return status(apdu.OK)
	}
	key, form := c.p.ActiveAuthentication, c.p.ActiveAuthenticationForm
	for range maxDraws {
		signature, err := form.sign(c.p.Rand, key, in.data, c.p.Faults.Representative)
		if err != nil {
			return status(apdu.NoPreciseDiagnosis)
		}
		if c.p.Redraw != nil && c.p.Redraw(DrawSignature, signature) {
			continue
		}
		if n := c.p.Quirks.AATruncate; n > 0 && len(signature) > n {
			signature = signature[:n] // n < len(signature)
		}
		return success(signature)
	}
	return status(apdu.NoPreciseDiagnosis)
}

// valid reports whether the form fits the key, which may be nil.
func (f AAForm) valid(key *issuer.Key) bool {
	if key == nil {
		return true
	}
	if f.PSS {
		return key.RSA != nil && !f.LongTrailer && !f.Smaller && f.pss(key).Fits(key) == nil
	}
	if f.Hash == 0 {
		return true
	}
	if _, ok := trailers[f.Hash]; !ok {
		return false
	}
	if key.EC != nil {
		return f.Hash != crypto.SHA1
	}
	return key.RSA.Size() > f.Hash.Size()+3 // header, trailer, and a byte of M1
}

// hash is the hash that key signs with.
func (f AAForm) hash(key *issuer.Key) crypto.Hash {
	if f.Hash != 0 {
		return f.Hash
	}
	return key.Hash()
}

// sign signs the challenge. alter, if not nil, is the fault
// [Faults.Representative].
func (f AAForm) sign(rand io.Reader, key *issuer.Key, rndIFD []byte, alter func([]byte) []byte) ([]byte, error) {
	if key.EC != nil {
		return signECDSA(rand, key, f.hash(key), f.DER, rndIFD)
	}
	if f.PSS {
		return f.pss(key).Sign(rand, key, rndIFD)
	}
	return signISO9796(rand, key, f, rndIFD, alter)
}

// pss is the algorithm of a form with RSASSA-PSS.
func (f AAForm) pss(key *issuer.Key) issuer.Algorithm {
	return issuer.Algorithm{Scheme: issuer.PSS, Hash: f.hash(key), Bits: key.RSA.N.BitLen()}
}

// signECDSA signs rndIFD in the plain format r || s of TR-03111, with a hash no
// longer than the key (Doc 9303-11, 6.1.2.3), or in DER.
func signECDSA(rand io.Reader, key *issuer.Key, hash crypto.Hash, der bool, rndIFD []byte) ([]byte, error) {
	h := hash.New()
	h.Write(rndIFD)
	r, s, err := key.EC.Sign(rand, h.Sum(nil))
	if err != nil {
		return nil, err
	}
	if der {
		return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)})
	}
	return append(append([]byte(nil), r...), s...), nil
}

// trailers are the trailer fields of ISO/IEC 9796-2 that name a hash.
var trailers = map[crypto.Hash][]byte{
	crypto.SHA1:   {0x33, 0xCC},
	crypto.SHA224: {0x38, 0xCC},
	crypto.SHA256: {0x34, 0xCC},
	crypto.SHA384: {0x36, 0xCC},
	crypto.SHA512: {0x35, 0xCC},
}

// signISO9796 signs rndIFD with scheme 1 of ISO/IEC 9796-2:2010: M1 is drawn by
// the chip and comes back with the signature, M2 is the challenge
// (Doc 9303-11, 6.1.2.2).
func signISO9796(rand io.Reader, key *issuer.Key, form AAForm, rndIFD []byte, alter func([]byte) []byte) ([]byte, error) {
	const partialRecovery = 0x6A // header 01, more data 1, padding 000, border 1010
	hash := form.hash(key)
	trailer := trailers[hash]
	if hash == crypto.SHA1 && !form.LongTrailer {
		trailer = []byte{0xBC} // option 1
	}

	k := key.RSA.Size()
	m1 := make([]byte, k-1-hash.Size()-len(trailer))
	if _, err := io.ReadFull(rand, m1); err != nil {
		return nil, err
	}
	h := hash.New()
	h.Write(m1)
	h.Write(rndIFD)

	f := append(make([]byte, 0, k), partialRecovery)
	f = append(f, m1...)
	f = h.Sum(f)
	f = append(f, trailer...)
	if alter != nil {
		f = alter(f)
	}
	// Annex B.6, which Doc 9303 asks for: the plain power, not the smaller of it
	// and its complement (B.4).
	signature := key.Power(new(big.Int).SetBytes(f))
	if form.Smaller {
		s := new(big.Int).SetBytes(signature)
		if other := new(big.Int).Sub(key.RSA.N, s); other.Cmp(s) < 0 {
			other.FillBytes(signature)
		}
	}
	return signature, nil
}
