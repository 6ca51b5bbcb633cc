package reader

import "errors"

// What can go wrong before a card is there.
var (
	// ErrNoService means that the system's smart card service does not run or
	// has stopped.
	ErrNoService = errors.New("reader: no smart card service")
	// ErrAccess means that this user or this login session may not use the
	// smart card service.
	ErrAccess = errors.New("reader: smart card service refuses access")
	// ErrNoReader means that there is no reader of that name, or no longer.
	ErrNoReader = errors.New("reader: no such reader")
	// ErrNoCard means that no card lies on the reader.
	ErrNoCard = errors.New("reader: no card")
	// ErrCardMute means that there is a card that does not answer to power.
	ErrCardMute = errors.New("reader: card does not answer")
	// ErrCardUnsupported means that reader and card share no protocol.
	ErrCardUnsupported = errors.New("reader: card not supported by the reader")
	// ErrSharing means that somebody else, in this or in another program, has
	// the card.
	ErrSharing = errors.New("reader: card in use by another program")
)

// What can go wrong while a card is open.
var (
	// ErrCardRemoved means that the card has left the reader. The Card is of
	// no further use.
	ErrCardRemoved = errors.New("reader: card removed")
	// ErrCardReset means that the card was reset behind our back, so every
	// session on it is gone. Card.Reset makes it usable again.
	ErrCardReset = errors.New("reader: card was reset")
	// ErrComm means that an exchange brought no usable response although the
	// card seems to be still there.
	ErrComm = errors.New("reader: no valid answer from the card")
	// ErrTimeout means that the reader or the service did not return within
	// the driver's limit. The Card is of no further use.
	ErrTimeout = errors.New("reader: reader does not respond")
	// ErrBadCommand means that the command can be no APDU: shorter than four
	// bytes or longer than [MaxCommand]. Nothing was sent.
	ErrBadCommand = errors.New("reader: command of impossible length")
	// ErrClosed means that the card was closed by its owner.
	ErrClosed = errors.New("reader: card closed")
)

// Limits of the APDUs that a driver takes, from ISO/IEC 7816-4, 5.1.
const (
	// MinCommand is the header alone.
	MinCommand = 4
	// MaxCommand is the longest extended command: header, three bytes Lc,
	// 65,535 bytes of data, two bytes Le.
	MaxCommand = 4 + 3 + 65535 + 2
	// MaxResponse is the longest extended response with its status word.
	MaxResponse = 65536 + 2
)

// CheckCommand returns [ErrBadCommand] unless cmd has a length that an APDU
// can have. It is for drivers.
func CheckCommand(cmd []byte) error {
	if len(cmd) < MinCommand || len(cmd) > MaxCommand {
		return ErrBadCommand
	}
	return nil
}
