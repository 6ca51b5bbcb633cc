package chip

import "github.com/chamthe/chamthe/icao/apdu"

// maxChained is the most data, in bytes, that a chain may bring: more than any key
// of chip authentication.
const maxChained = 4 << 10

// A chain is the part of a chained command that has arrived
// (ISO/IEC 7816-4:2020, 5.3.3).
type chain struct {
	ins, p1, p2 byte
	data        []byte
}

// collect puts chained commands together. It returns the command that is to be
// executed, and whether it is complete; if not, sw is the answer: 9000 to a piece
// with more to follow, or the error with which the chain ended. Another command in
// the middle ends it too.
//
// The chaining bit of GENERAL AUTHENTICATE belongs to PACE while that is being
// performed: there it links the steps (Doc 9303-11, 4.4.4.3), each of which is
// complete.
func (c *Chip) collect(in command) (_ command, sw apdu.Status, whole bool) {
	begun, more := c.state.chain, in.cla&claChaining != 0
	c.state.chain = nil
	switch {
	case begun != nil && (in.ins != begun.ins || in.p1 != begun.p1 || in.p2 != begun.p2):
		return in, apdu.LastCommandOfChainExpected, false
	case begun == nil && !more:
		return in, apdu.OK, true
	case in.ins == insGeneralAuthenticate && (c.state.pace != nil || c.state.ca == nil):
		return in, apdu.OK, true
	case c.p.Limits.NoChaining || in.ins != insGeneralAuthenticate && in.ins != insManageSecurityEnvironment:
		return in, apdu.CommandChainingNotSupported, false
	}
	if begun == nil {
		begun = &chain{ins: in.ins, p1: in.p1, p2: in.p2}
	}
	if len(begun.data)+len(in.data) > maxChained {
		return in, apdu.WrongLength, false
	}
	begun.data = append(begun.data, in.data...)
	if more {
		c.state.chain = begun
		return in, apdu.OK, false
	}
	in.data = begun.data
	return in, apdu.OK, true
}
