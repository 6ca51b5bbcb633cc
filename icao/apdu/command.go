package apdu

import "errors"

// Limits of ISO/IEC 7816-4:2020, 5.2.
const (
	maxShortNc    = 255
	maxShortNe    = 256
	maxExtendedNc = 65535
	maxExtendedNe = 65536
)

// ErrCommand reports a [Command] that no APDU can express: more than 65535
// bytes of data, or Ne below 0 or above 65536.
var ErrCommand = errors.New("apdu: command out of range")

// A Command is a command APDU before it is encoded. The zero value of Data
// and Ne stand for an absent data field and an absent Le field.
type Command struct {
	CLA, INS, P1, P2 byte

	// Data is the command data field, at most 65535 bytes.
	Data []byte

	// Ne is the largest number of response bytes expected: 0 when none is,
	// up to 256 in a short command, up to 65536 in an extended one.
	Ne int
}

// Extended reports whether the command needs the extended length format.
func (c Command) Extended() bool { return len(c.Data) > maxShortNc || c.Ne > maxShortNe }

// Encode returns the command APDU: short if it fits, extended if not
// (ISO/IEC 7816-4:2020, 5.2, cases 1, 2, 3, 4 short and extended). The result
// is a new slice. A command that is out of range gives [ErrCommand].
func (c Command) Encode() ([]byte, error) {
	if len(c.Data) > maxExtendedNc || c.Ne < 0 || c.Ne > maxExtendedNe {
		return nil, ErrCommand
	}
	b := make([]byte, 0, 4+3+len(c.Data)+3)
	b = append(b, c.CLA, c.INS, c.P1, c.P2)
	if !c.Extended() {
		if len(c.Data) > 0 {
			b = append(b, byte(len(c.Data)))
			b = append(b, c.Data...)
		}
		if c.Ne > 0 {
			b = append(b, byte(c.Ne)) // 256 is written as 00
		}
		return b, nil
	}
	// One 00 announces the extended format, before Lc or, without data,
	// before Le.
	b = append(b, 0)
	if len(c.Data) > 0 {
		b = append(b, byte(len(c.Data)>>8), byte(len(c.Data)))
		b = append(b, c.Data...)
	}
	if c.Ne > 0 {
		b = append(b, byte(c.Ne>>8), byte(c.Ne)) // 65536 is written as 0000
	}
	return b, nil
}
