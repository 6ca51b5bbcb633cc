package activeauth

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1"   // trailers BC and 33CC
	_ "crypto/sha256" // trailers 34CC and 38CC
	_ "crypto/sha512" // trailers 35CC and 36CC
	"crypto/subtle"
	"fmt"
	"math/big"

	"github.com/chamthe/chamthe/icao/tlv"
)

// The message representative F of ISO/IEC 9796-2:2010, scheme 1, for a message
// M = M1 || M2 of which the verifier knows M2 (Doc 9303-11, 6.1.2.2 and F):
//
//	6A || M1 || H(M1 || M2) || BC          SHA-1, trailer of one byte
//	6A || M1 || H(M1 || M2) || xx CC       the hash function named by xx
const (
	// headerPartial: bits 01, partial recovery, and no padding of M1, which
	// always has the full length.
	headerPartial = 0x6A

	trailerImplicit = 0xBC
	trailerExplicit = 0xCC
)

// trailerHash returns the hash function that a trailer names (ISO/IEC 10118-3
// numbers; 33 for SHA-1 occurs although Doc 9303 asks for BC).
func trailerHash(id byte) crypto.Hash {
	switch id {
	case 0x33:
		return crypto.SHA1
	case 0x34:
		return crypto.SHA256
	case 0x35:
		return crypto.SHA512
	case 0x36:
		return crypto.SHA384
	case 0x38:
		return crypto.SHA224
	}
	return 0
}

// verifyRSA verifies a signature of ISO/IEC 9796-2, scheme 1. All of it is
// public, so big integers that take different time for different values do.
func verifyRSA(key *rsa.PublicKey, rndIFD [8]byte, signature []byte) (string, error) {
	bits := key.N.BitLen()
	if bits%8 != 0 {
		// F would not begin at a byte; no such key has been seen.
		return "", fmt.Errorf("%w: RSA key of %d bits", ErrUnsupported, bits)
	}
	// The signature has the length of the modulus and is below it. (N - s is as
	// good a signature as s: nothing may use one as an identifier.)
	if len(signature) != bits/8 {
		return "", ErrSignature
	}
	s := new(big.Int).SetBytes(signature)
	if s.Sign() == 0 || s.Cmp(key.N) >= 0 {
		return "", ErrSignature
	}
	f := s.Exp(s, big.NewInt(int64(key.E)), key.N)
	// ISO/IEC 9796-2, B.6 has F itself here; with B.4, which a terminal should
	// know as well, it may be N - F. Every F ends in C, and N is odd, so the
	// last four bits tell.
	if lowNibble(f) != 0x0C {
		f.Sub(key.N, f)
	}
	hash, ok := openRepresentative(f.FillBytes(make([]byte, bits/8)), rndIFD)
	if !ok {
		return "", ErrSignature
	}
	return fmt.Sprintf("RSA-%d ISO/IEC 9796-2 %v", bits, hash), nil
}

func lowNibble(x *big.Int) uint {
	return x.Bit(3)<<3 | x.Bit(2)<<2 | x.Bit(1)<<1 | x.Bit(0)
}

// openRepresentative reports whether f is the representative of a message that
// ends in rndIFD, and by which hash function.
//
// The trailer decides the hash function before anything is compared: were
// several tried, a representative could be made for the weakest of them.
func openRepresentative(f []byte, rndIFD [8]byte) (crypto.Hash, bool) {
	if len(f) < 2 {
		return 0, false
	}
	var hash crypto.Hash
	trailerLen := 1
	switch f[len(f)-1] {
	case trailerImplicit:
		hash = crypto.SHA1
	case trailerExplicit:
		hash = trailerHash(f[len(f)-2])
		trailerLen = 2
	}
	if hash == 0 {
		return 0, false
	}
	s := tlv.String(f)
	var header uint8
	var m1, digest []byte
	m1Len := len(f) - 1 - hash.Size() - trailerLen
	if !s.ReadUint8(&header) || header != headerPartial ||
		m1Len < 1 || !s.ReadBytes(&m1, m1Len) || !s.ReadBytes(&digest, hash.Size()) {
		return 0, false
	}
	h := hash.New()
	h.Write(m1)
	h.Write(rndIFD[:])
	return hash, subtle.ConstantTimeCompare(h.Sum(nil), digest) == 1
}
