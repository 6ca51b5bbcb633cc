package contract

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"io"
	"time"
)

// NewID returns a UUID version 7 (RFC 9562, 5.7) for the given time, in lower
// case. Ids made later sort later, to the millisecond. A nil r means
// crypto/rand. The only errors are those of r.
func NewID(at time.Time, r io.Reader) (string, error) {
	if r == nil {
		r = rand.Reader
	}
	var u [16]byte
	if _, err := io.ReadFull(r, u[6:]); err != nil {
		return "", err
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
	copy(u[:6], ms[2:])
	u[6] = 0x70 | u[6]&0x0F // version 7
	u[8] = 0x80 | u[8]&0x3F // variant 10
	b := make([]byte, 0, 36)
	for i, part := range [][]byte{u[0:4], u[4:6], u[6:8], u[8:10], u[10:16]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return string(b), nil
}

// CheckID returns an error unless s is a UUID version 7 in lower case.
func CheckID(s string) error { return check("uuid7", "id", s) }
