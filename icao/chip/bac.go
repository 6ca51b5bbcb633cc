package chip

import (
	"crypto/cipher"
	"crypto/subtle"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/internal/kdf"
)

const (
	nonceLen  = 8
	kSeedLen  = 16
	bacMACLen = 8
	bacLen    = 2*nonceLen + kSeedLen + bacMACLen
)

// getChallenge is GET CHALLENGE (Doc 9303-11, 4.3.4.1). The nonce is good for
// one EXTERNAL AUTHENTICATE.
func (c *Chip) getChallenge(in command) response {
	if in.p1 != 0 || in.p2 != 0 {
		return status(apdu.IncorrectP1P2)
	}
	if len(in.data) != 0 || in.ne < nonceLen {
		return status(apdu.WrongLength)
	}
	if c.state.locked {
		return status(apdu.ConditionsNotSatisfied)
	}
	if sw := c.p.Quirks.NoBAC; sw != 0 && c.p.NoBAC {
		return status(sw)
	}
	rndIC, err := c.drawBytes(DrawRndIC, nonceLen)
	if err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	c.state.rndIC = rndIC
	return success(append([]byte(nil), rndIC...))
}

// externalAuthenticate is EXTERNAL AUTHENTICATE with mutual authentication: the
// chip's part of basic access control (Doc 9303-11, 4.3.1, step 3).
func (c *Chip) externalAuthenticate(in command) response {
	rndIC := c.state.rndIC
	c.state.rndIC = nil
	switch {
	case in.p1 != 0 || in.p2 != 0:
		return status(apdu.IncorrectP1P2)
	case c.p.NoBAC || c.p.AccessKey.IsZero():
		return status(apdu.InstructionNotSupported)
	case len(in.data) != bacLen || in.ne != 0 && in.ne < bacLen:
		return status(apdu.WrongLength)
	case rndIC == nil || !c.state.application || c.state.session != nil:
		return status(apdu.ConditionsNotSatisfied)
	}

	hash := c.p.AccessKey.Hash()
	kEnc := kdf.TripleDES(hash[:kSeedLen], kdf.Enc)
	kMac := kdf.TripleDES(hash[:kSeedLen], kdf.Mac)
	block, err := tripleDES.block(kEnc[:])
	if err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}

	eIFD, mIFD := in.data[:bacLen-bacMACLen], in.data[bacLen-bacMACLen:]
	iv := make([]byte, block.BlockSize())
	s := make([]byte, len(eIFD))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(s, eIFD)
	rndIFD, kIFD := s[:nonceLen], s[2*nonceLen:]

	// Both checks, always, and one status: a terminal that tries MRZs must not
	// learn which of them failed, nor from the time it took.
	good := subtle.ConstantTimeCompare(tripleDES.mac8(kMac[:], eIFD, true), mIFD)
	good &= subtle.ConstantTimeCompare(s[nonceLen:2*nonceLen], rndIC)
	if good != 1 {
		if sw := c.p.Quirks.WrongKey; sw != 0 {
			return status(sw)
		}
		return status(apdu.AuthenticationFailed)
	}

	kIC, err := c.drawBytes(DrawKIC, kSeedLen)
	if err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	r := append(append(append(make([]byte, 0, bacLen), rndIC...), rndIFD...), kIC...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(r, r) // r is now E_IC
	r = append(r, tripleDES.mac8(kMac[:], r, true)...)

	kSeed := make([]byte, kSeedLen)
	subtle.XORBytes(kSeed, kIC, kIFD)
	ssc := append(append([]byte(nil), rndIC[nonceLen/2:]...), rndIFD[nonceLen/2:]...) // Doc 9303-11, 9.8.6.3
	next, err := newSession(tripleDES, tripleDES.derive(kSeed, kdf.Enc), tripleDES.derive(kSeed, kdf.Mac), ssc)
	if err != nil {
		return status(apdu.NoPreciseDiagnosis)
	}
	return response{data: r, sw: apdu.OK, commit: func() {
		c.state = state{application: true, session: next}
	}}
}
