package pace

import (
	"errors"
	"fmt"

	"github.com/chamthe/chamthe/icao/mrz"
)

// References of passwords in MSE:Set AT (Doc 9303-11, 4.4.4.1).
const (
	referenceMRZ = 0x01
	referenceCAN = 0x02
)

// maxCANLen bounds a card access number. Those printed on documents have six
// digits; the standard names no length.
const maxCANLen = 32

// ErrCAN reports a card access number that cannot be one.
var ErrCAN = errors.New("pace: malformed card access number")

const redacted = "[redacted]"

// A Password is what terminal and chip both know: a secret. It cannot be
// compared with ==, and every way of printing or encoding it gives
// "[redacted]". The zero Password is none. A Password may be copied, and used
// concurrently.
type Password struct {
	reference byte
	// k returns f(pi). A function, because fmt does not call Format for a
	// Password in an unexported field of another type: all it can print then
	// is an address.
	k func() []byte
}

// FromMRZ returns the password of a machine readable zone (Doc 9303-11,
// 9.7.3). The zero Key gives the zero Password.
func FromMRZ(key mrz.Key) Password {
	if key.IsZero() {
		return Password{}
	}
	return Password{reference: referenceMRZ, k: func() []byte {
		hash := key.Hash()
		return hash[:]
	}}
}

// FromCAN returns the password of a card access number: digits as they are
// printed, up to 32. Anything else gives [ErrCAN].
func FromCAN(can string) (Password, error) {
	if len(can) == 0 || len(can) > maxCANLen {
		return Password{}, ErrCAN
	}
	for _, c := range []byte(can) {
		if c < '0' || c > '9' {
			return Password{}, ErrCAN
		}
	}
	return Password{reference: referenceCAN, k: func() []byte { return []byte(can) }}, nil
}

// secret returns K = f(pi).
func (p Password) secret() []byte { return p.k() }

// IsZero reports whether p is the zero Password.
func (p Password) IsZero() bool { return p.k == nil }

// Format prints "[redacted]" for every verb.
func (p Password) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String returns "[redacted]".
func (p Password) String() string { return redacted }

// GoString returns "[redacted]".
func (p Password) GoString() string { return redacted }

// MarshalText returns "[redacted]"; encoding/json and log/slog use it.
func (p Password) MarshalText() ([]byte, error) { return []byte(redacted), nil }
