// Package kdf is the key derivation function of Doc 9303-11 (8th edition),
// 9.7.1: a hash over a shared secret and a 32-bit counter.
package kdf

import (
	"crypto/sha1"
	"crypto/sha256"
	"math/bits"
)

// Counters of the derived keys (Doc 9303-11, 9.7.1).
const (
	Enc      = 1 // KDF_Enc
	Mac      = 2 // KDF_MAC
	Password = 3 // KDF_pi
)

// TripleDES derives a two-key 3DES key from a shared secret of any length,
// with the parity bits adjusted (Doc 9303-11, 9.7.1.1).
func TripleDES(secret []byte, counter uint32) [16]byte {
	h := sha1.Sum(input(secret, counter))
	key := [16]byte(h[:16])
	for i, b := range key {
		// DES counts ones per byte to an odd number, with the lowest bit.
		key[i] = b&^1 | byte(bits.OnesCount8(b&^1)+1)&1
	}
	return key
}

// AES derives an AES key of 128, 192 or 256 bits from a shared secret of any
// length (Doc 9303-11, 9.7.1.2). Any other number of bits gives nil.
func AES(secret []byte, counter uint32, keyBits int) []byte {
	switch keyBits {
	case 128:
		h := sha1.Sum(input(secret, counter))
		return h[:16]
	case 192, 256:
		h := sha256.Sum256(input(secret, counter))
		return h[:keyBits/8]
	default:
		return nil
	}
}

func input(secret []byte, counter uint32) []byte {
	b := make([]byte, 0, len(secret)+4)
	b = append(b, secret...)
	return append(b, byte(counter>>24), byte(counter>>16), byte(counter>>8), byte(counter))
}
