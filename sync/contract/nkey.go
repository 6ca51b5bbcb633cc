package contract

import (
	"crypto/ed25519"
	"encoding/base32"
)

// A NATS user nkey's public half is text: base32 without padding over a prefix
// byte, the 32 bytes of the Ed25519 key and a CRC-16 (XMODEM polynomial 1021,
// initial value 0), least significant byte first.
const (
	prefixUser = 20 << 3 // "U" in base32
	agentChars = 56
)

var nkeyEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

func crc16(b []byte) uint16 {
	var crc uint16
	for _, c := range b {
		crc ^= uint16(c) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// DecodeAgent returns the Ed25519 key of an agent's public name, a NATS user
// nkey ("U" and 55 more characters). The result is the caller's.
func DecodeAgent(s string) (ed25519.PublicKey, error) {
	if len(s) != agentChars {
		return nil, fail(Invalid, "agent")
	}
	b, err := nkeyEncoding.DecodeString(s)
	if err != nil || len(b) != 1+ed25519.PublicKeySize+2 {
		return nil, fail(Invalid, "agent")
	}
	body, sum := b[:1+ed25519.PublicKeySize], b[1+ed25519.PublicKeySize:]
	if body[0] != prefixUser || crc16(body) != uint16(sum[0])|uint16(sum[1])<<8 {
		return nil, fail(Invalid, "agent")
	}
	// One key, one name: DecodeString skips line breaks.
	if nkeyEncoding.EncodeToString(b) != s {
		return nil, fail(Invalid, "agent")
	}
	return ed25519.PublicKey(body[1:]), nil
}

// EncodeAgent returns the public name of an agent's key.
func EncodeAgent(key ed25519.PublicKey) (string, error) {
	if len(key) != ed25519.PublicKeySize {
		return "", fail(Invalid, "agent")
	}
	b := append([]byte{prefixUser}, key...)
	crc := crc16(b)
	return nkeyEncoding.EncodeToString(append(b, byte(crc), byte(crc>>8))), nil
}

// CheckAgent returns an error unless s names an agent: what [DecodeAgent]
// accepts. Such a name is safe as a subject token.
func CheckAgent(s string) error {
	_, err := DecodeAgent(s)
	return err
}
