package chip

import (
	"errors"
	"io"
)

var errDraws = errors.New("chip: no value was accepted")

// Drawn names a value that depends on the chip's randomness, for
// [Personalisation.Redraw].
type Drawn uint8

// What a chip draws.
const (
	DrawRndIC                  Drawn = iota + 1 // challenge of basic access control, 8 bytes
	DrawKIC                                     // keying material of basic access control, 16 bytes
	DrawNonce                                   // nonce s of PACE in clear
	DrawMapKey                                  // public key of generic mapping, as sent
	DrawMapSecret                               // shared secret h of generic mapping: the point or the number, as a public key is sent
	DrawGenerator                               // mapped generator of generic mapping, likewise
	DrawKey                                     // public key of the key agreement of PACE, as sent
	DrawSecret                                  // shared secret of PACE: the x coordinate, or the number, with leading zero bytes
	DrawChipAuthenticationData                  // CA_IC of chip authentication mapping, as long as the order
	DrawSignature                               // signature of active authentication, as sent
)

// maxDraws bounds how often the chip draws a value again. One byte of zeros
// takes 256 attempts on average; it fails to come in this many once in 10^14
// runs.
const maxDraws = 1 << 13

// again reports whether Redraw wants another e.
func (c *Chip) again(what Drawn, e element) bool {
	if c.p.Redraw == nil {
		return false
	}
	if what == DrawSecret {
		return c.p.Redraw(what, e.secret())
	}
	return c.p.Redraw(what, e.wire())
}

// drawBytes draws n random bytes.
func (c *Chip) drawBytes(what Drawn, n int) ([]byte, error) {
	b := make([]byte, n)
	for range maxDraws {
		if _, err := io.ReadFull(c.p.Rand, b); err != nil {
			return nil, err
		}
		if c.p.Redraw == nil || !c.p.Redraw(what, b) {
			return b, nil
		}
	}
	return nil, errDraws
}
