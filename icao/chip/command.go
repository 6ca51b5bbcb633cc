package chip

import (
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/tlv"
)

const (
	claChaining = 0x10
	claSM       = 0x0C // secure messaging, header authenticated
	claInvalid  = 0xFF // never a card command; pseudo-APDUs of PC/SC readers

	insManageSecurityEnvironment = 0x22
	insExternalAuthenticate      = 0x82
	insGetChallenge              = 0x84
	insGeneralAuthenticate       = 0x86
	insInternalAuthenticate      = 0x88
	insSelect                    = 0xA4
	insReadBinary                = 0xB0
	insReadBinaryOdd             = 0xB1
	insGetResponse               = 0xC0

	maxShort    = 256
	maxExtended = 65536
)

// command is a command APDU taken apart (ISO/IEC 7816-4:2020, 5.2). data
// shares the memory of the bytes it was parsed from.
type command struct {
	cla, ins, p1, p2 byte
	data             []byte
	ne               int  // 0: no response data expected
	extended         bool // length fields of the extended form
}

// parseCommand reads one command APDU of any of the seven cases and reports
// whether b is exactly that.
func parseCommand(b []byte) (command, bool) {
	var c command
	s := tlv.String(b)
	if !s.ReadUint8(&c.cla) || !s.ReadUint8(&c.ins) || !s.ReadUint8(&c.p1) || !s.ReadUint8(&c.p2) {
		return command{}, false
	}
	if s.Empty() { // case 1
		return c, true
	}
	var first uint8
	if !s.ReadUint8(&first) {
		return command{}, false
	}
	if s.Empty() { // case 2, short
		c.ne = expected(int(first), maxShort)
		return c, true
	}
	if first != 0 { // cases 3 and 4, short
		if !s.ReadBytes(&c.data, int(first)) {
			return command{}, false
		}
		if s.Empty() {
			return c, true
		}
		var le uint8
		if !s.ReadUint8(&le) || !s.Empty() {
			return command{}, false
		}
		c.ne = expected(int(le), maxShort)
		return c, true
	}

	c.extended = true
	var n uint16
	if !s.ReadUint16(&n) {
		return command{}, false
	}
	if s.Empty() { // case 2, extended
		c.ne = expected(int(n), maxExtended)
		return c, true
	}
	if n == 0 || !s.ReadBytes(&c.data, int(n)) {
		return command{}, false
	}
	if s.Empty() { // case 3, extended
		return c, true
	}
	var le uint16
	if !s.ReadUint16(&le) || !s.Empty() {
		return command{}, false
	}
	c.ne = expected(int(le), maxExtended) // case 4, extended
	return c, true
}

// expected decodes an Le field: zero stands for the largest value of its form.
func expected(le, largest int) int {
	if le == 0 {
		return largest
	}
	return le
}

// response is what a command handler returns, before secure messaging.
type response struct {
	data []byte
	sw   apdu.Status
	// commit, if set, takes effect when the response has been protected: new
	// session keys never protect the answer that agreed on them
	// (Doc 9303-11, 9.8.2).
	commit func()
}

func status(sw apdu.Status) response { return response{sw: sw} }

func success(data []byte) response { return response{data: data, sw: apdu.OK} }

// failed reports whether the status is an error, and not 9000 or a warning.
func (r response) failed() bool {
	return r.sw != apdu.OK && r.sw.SW1() != 0x62 && r.sw.SW1() != 0x63
}

// bytes is the response APDU in clear.
func (r response) bytes() []byte {
	return append(append(make([]byte, 0, len(r.data)+2), r.data...), r.sw.SW1(), r.sw.SW2())
}
