package chip

import (
	"crypto"
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
	key := c.p.ActiveAuthentication
	var (
		signature []byte
		err       error
	)
	if key.EC != nil {
		signature, err = signECDSA(c.p.Rand, key, in.data)
	} else {
		hash := crypto.SHA256
		if c.p.ActiveAuthenticationSHA1 {
			hash = crypto.SHA1
		}
		signature, err = signISO9796(c.p.Rand, key, hash, in.data)
	}
	if err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	return success(signature)
}

// signECDSA signs rndIFD in the plain format r || s of TR-03111, with a hash no
// longer than the key (Doc 9303-11, 6.1.2.3).
func signECDSA(rand io.Reader, key *issuer.Key, rndIFD []byte) ([]byte, error) {
	h := key.Hash().New()
	h.Write(rndIFD)
	r, s, err := key.EC.Sign(rand, h.Sum(nil))
	if err != nil {
		return nil, err
	}
	return append(append([]byte(nil), r...), s...), nil
}

// signISO9796 signs rndIFD with scheme 1 of ISO/IEC 9796-2:2010: M1 is drawn by
// the chip and comes back with the signature, M2 is the challenge
// (Doc 9303-11, 6.1.2.2).
func signISO9796(rand io.Reader, key *issuer.Key, hash crypto.Hash, rndIFD []byte) ([]byte, error) {
	const partialRecovery = 0x6A // header 01, more data 1, padding 000, border 1010
	trailer := map[crypto.Hash][]byte{
		crypto.SHA1:   {0xBC}, // option 1
		crypto.SHA224: {0x38, 0xCC},
		crypto.SHA256: {0x34, 0xCC},
		crypto.SHA384: {0x36, 0xCC},
		crypto.SHA512: {0x35, 0xCC},
	}[hash]

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
	// Annex B.6, which Doc 9303 asks for: the plain power, not the smaller of it
	// and its complement (B.4).
	return key.Power(new(big.Int).SetBytes(f)), nil
}
