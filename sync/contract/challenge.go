package contract

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// challengeTag separates this hash from every other use of SHA-256.
const challengeTag = "chamthe active authentication challenge v1"

// Challenge returns the active-authentication challenge of a visit: the first
// eight bytes of SHA-256 over, each preceded by its length as a four-byte
// big-endian number,
//
//	"chamthe active authentication challenge v1"
//	facility
//	agent       the agent's public nkey, as text
//	visitID
//	time        milliseconds since 1970 UTC, eight bytes, big-endian
//	nonce       the value of the latest nonce; empty when there is none
//
// The length prefixes make the encoding unambiguous: no two different visits
// hash the same bytes.
//
// The chip's signature over the challenge proves that it was present after the
// nonce was issued. The length is the chip's, not ours: RND.IFD has eight bytes
// (Doc 9303-11, 6.1). Whoever holds n old signatures of one chip can search for
// a visit whose challenge equals one of the old ones in about 2^64/n hashes;
// the verifier narrows that by refusing nonces it did not issue.
func Challenge(facility, agent, visitID string, at time.Time, nonce []byte) [8]byte {
	var millis [8]byte
	binary.BigEndian.PutUint64(millis[:], uint64(at.UnixMilli()))
	h := sha256.New()
	for _, part := range [][]byte{[]byte(challengeTag), []byte(facility), []byte(agent), []byte(visitID), millis[:], nonce} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	return [8]byte(h.Sum(nil)[:8])
}
