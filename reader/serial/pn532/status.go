package pn532

import "fmt"

// A Status is the error that the module reports in its response (UM 7.1). It
// says what went wrong between module and card, or that a command made no
// sense. It is an error and its own sentinel.
type Status byte

const (
	// StatusTimeout means that the card did not answer in time.
	StatusTimeout Status = 0x01
	// StatusCRC, StatusParity, StatusFraming and StatusProtocol mean that the
	// card's answer was damaged on its way.
	StatusCRC      Status = 0x02
	StatusParity   Status = 0x03
	StatusFraming  Status = 0x05
	StatusOverflow Status = 0x09
	StatusProtocol Status = 0x0B
	// StatusHeat means that the module has switched its field off.
	StatusHeat Status = 0x0D
	// StatusContext means that the command does not fit: there is no such
	// card any more, for example.
	StatusContext Status = 0x27
	// StatusOtherCard and StatusLeft mean that the card is not the one that
	// was activated.
	StatusOtherCard Status = 0x2A
	StatusLeft      Status = 0x2B
	// StatusCurrent means that the module draws too much current.
	StatusCurrent Status = 0x2D
)

var statusWords = map[Status]string{
	StatusTimeout:   "card did not answer",
	StatusCRC:       "checksum of the card's answer",
	StatusParity:    "parity of the card's answer",
	StatusFraming:   "framing of the card's answer",
	StatusOverflow:  "card sent too much",
	StatusProtocol:  "card broke the protocol",
	StatusHeat:      "module too hot",
	StatusContext:   "no such card",
	StatusOtherCard: "another card",
	StatusLeft:      "card has left",
	StatusCurrent:   "module draws too much current",
}

// Error implements error.
func (s Status) Error() string {
	if w, ok := statusWords[s]; ok {
		return fmt.Sprintf("pn532: %s (status %02x)", w, byte(s))
	}
	return fmt.Sprintf("pn532: status %02x", byte(s))
}

// OnAir reports whether the status speaks of a disturbed exchange with the
// card, which a slower bit rate may avoid.
func (s Status) OnAir() bool {
	switch s {
	case StatusTimeout, StatusCRC, StatusParity, StatusFraming, StatusOverflow, StatusProtocol:
		return true
	}
	return false
}
