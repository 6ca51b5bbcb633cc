package pace

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/hex"

	"github.com/chamthe/chamthe/icao/internal/kdf"
	"github.com/chamthe/chamthe/icao/internal/mac"
	"github.com/chamthe/chamthe/icao/sm"
)

// tokenLen is the length of an authentication token (Doc 9303-11, 4.4.3.4).
const tokenLen = 8

// derive derives a key of the cipher's length (Doc 9303-11, 9.7.1).
func derive(c sm.Cipher, secret []byte, counter uint32) []byte {
	if c == sm.TripleDES {
		key := kdf.TripleDES(secret, counter)
		return key[:]
	}
	return kdf.AES(secret, counter, 8*c.KeyLen())
}

// newBlock returns the block cipher with a key of c.KeyLen bytes.
func newBlock(c sm.Cipher, key []byte) cipher.Block {
	// The key has the right length, so neither call can fail.
	if c == sm.TripleDES {
		k := append(make([]byte, 0, 24), key...) // K1 K2 K1
		block, _ := des.NewTripleDESCipher(append(k, key[:8]...))
		return block
	}
	block, _ := aes.NewCipher(key)
	return block
}

// decrypt returns whole blocks decrypted in CBC mode with zero initial value.
func decrypt(c sm.Cipher, key, b []byte) []byte {
	out := make([]byte, len(b))
	cipher.NewCBCDecrypter(newBlock(c, key), make([]byte, c.BlockSize())).CryptBlocks(out, b)
	return out
}

// encrypt is the inverse of decrypt.
func encrypt(c sm.Cipher, key, b []byte) []byte {
	out := make([]byte, len(b))
	cipher.NewCBCEncrypter(newBlock(c, key), make([]byte, c.BlockSize())).CryptBlocks(out, b)
	return out
}

// authenticationCode returns the MAC of tokens. It pads by itself.
func authenticationCode(c sm.Cipher, key, msg []byte) [tokenLen]byte {
	if c == sm.TripleDES {
		return mac.Retail([16]byte(key), msg)
	}
	full := mac.CMAC(key, msg)
	return [tokenLen]byte(full[:tokenLen])
}

// nonceLen is the length of s in integrated mapping: the smallest number of
// whole blocks that is not shorter than the key, 3DES counting as 16 bytes
// (Doc 9303-11, 4.4.3.3 and 4.4.3.3.2).
func nonceLen(c sm.Cipher) int {
	return (c.KeyLen() + c.BlockSize() - 1) / c.BlockSize() * c.BlockSize()
}

// Constants of the pseudo-random function (Doc 9303-11, 4.4.3.3.2), by the
// length of the nonce: 16 and 32 bytes.
var (
	c0of16 = unhex("a668892a7c41e3ca739f40b057d85904")
	c1of16 = unhex("a4e136ac725f738b01c1f60217c188ad")
	c0of32 = unhex("d463d65234124ef7897054986dca0a174e28df758cbaa03f240616414d5a1676")
	c1of32 = unhex("54bd7255f0aaf831bec3423fcf39d69b6cbf066677d0faae5aadd99df8e53517")
)

// pseudoRandom returns R(s,t) of integrated mapping, before it is reduced
// modulo a prime of so many bits (Doc 9303-11, 4.4.3.3.2, Figure 2). Its first
// key is t; every key after it is an output, cut to the length of a key.
func pseudoRandom(c sm.Cipher, s, t []byte, bits int) []byte {
	c0, c1 := c0of16, c1of16
	if nonceLen(c) == 32 {
		c0, c1 = c0of32, c1of32
	}
	var x []byte
	key := encrypt(c, t, s)[:c.KeyLen()]
	for 8*len(x) < bits+64 {
		x = append(x, encrypt(c, key, c1)...)
		key = encrypt(c, key, c0)[:c.KeyLen()]
	}
	return x
}

// unhex decodes a constant of this package; the tests check them all.
func unhex(s string) []byte {
	b, _ := hex.DecodeString(s)
	return b
}
