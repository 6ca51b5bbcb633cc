// Package mac is the two message authentication codes of Doc 9303-11
// (8th edition), 9.8, and the padding they share: the retail MAC with DES
// (ISO/IEC 9797-1, algorithm 3) and AES-CMAC (NIST SP 800-38B, RFC 4493).
package mac

import (
	"crypto/aes"
	"crypto/des"
	"crypto/subtle"
)

// Pad returns b followed by 80 and as many 00 as fill the last block: padding
// method 2 of ISO/IEC 9797-1. It always adds at least one byte, and returns a
// new slice.
func Pad(b []byte, blockSize int) []byte {
	n := len(b)/blockSize*blockSize + blockSize
	out := make([]byte, n)
	copy(out, b)
	out[len(b)] = 0x80
	return out
}

// Unpad returns b without the padding of [Pad], sharing its memory, and
// whether b was padded correctly: whole blocks, and the padding within the
// last one.
//
// The time it takes depends on the padding. That tells nothing here, because
// secure messaging verifies the MAC over the encrypted bytes first.
func Unpad(b []byte, blockSize int) ([]byte, bool) {
	if len(b) == 0 || len(b)%blockSize != 0 {
		return nil, false
	}
	for i := len(b) - 1; i >= len(b)-blockSize; i-- {
		switch b[i] {
		case 0x00:
		case 0x80:
			return b[:i:i], true
		default:
			return nil, false
		}
	}
	return nil, false
}

// Retail returns the MAC of msg: ISO/IEC 9797-1, algorithm 3, with DES, no
// initial value, and eight bytes of result (Doc 9303-11, 9.8.6.2). It applies
// padding method 2 itself; msg comes unpadded.
func Retail(key [16]byte, msg []byte) [8]byte {
	// The key sizes are right, so neither call can fail.
	ka, _ := des.NewCipher(key[:8])
	kb, _ := des.NewCipher(key[8:])
	var y [8]byte
	for m := Pad(msg, 8); len(m) > 0; m = m[8:] {
		subtle.XORBytes(y[:], y[:], m[:8])
		ka.Encrypt(y[:], y[:])
	}
	kb.Decrypt(y[:], y[:])
	ka.Encrypt(y[:], y[:])
	return y
}

// CMAC returns the AES-CMAC of msg, in full length; secure messaging and the
// authentication tokens use its first eight bytes (Doc 9303-11, 9.8.7.2). It
// takes msg unpadded. The key has 16, 24 or 32 bytes; any other length is a
// mistake of the caller, and panics.
func CMAC(key, msg []byte) [16]byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("mac: " + err.Error())
	}
	// RFC 4493, 2.3: the subkeys.
	var k [16]byte
	block.Encrypt(k[:], k[:])
	k = double(k)
	last := make([]byte, 16)
	n := (len(msg) - 1) / 16 * 16 // bytes before the last block; 0 for an empty msg
	if len(msg) > 0 && len(msg)%16 == 0 {
		copy(last, msg[n:])
	} else {
		k = double(k)
		copy(last, Pad(msg[n:], 16))
	}
	subtle.XORBytes(last, last, k[:])

	// RFC 4493, 2.4: CBC over the whole blocks, then the masked last one.
	var x [16]byte
	for i := 0; i < n; i += 16 {
		subtle.XORBytes(x[:], x[:], msg[i:i+16])
		block.Encrypt(x[:], x[:])
	}
	subtle.XORBytes(x[:], x[:], last)
	block.Encrypt(x[:], x[:])
	return x
}

// double multiplies by x in the field of CMAC: shift left by one, and reduce
// by 87 in constant time when a bit falls out.
func double(b [16]byte) [16]byte {
	var out [16]byte
	var carry byte
	for i := 15; i >= 0; i-- {
		out[i] = b[i]<<1 | carry
		carry = b[i] >> 7
	}
	out[15] ^= 0x87 & -carry
	return out
}
