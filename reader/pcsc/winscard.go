package pcsc

import (
	"slices"
	"time"
	"unicode/utf16"
)

// The seam to the native library. A fake in the tests implements it too. All
// errors are of type code.

type winscard interface {
	// establish makes a context: a connection to the service. Contexts are
	// independent of each other; a call blocks others on its context only.
	establish() (scardContext, error)
}

type scardContext interface {
	listReaders() ([]string, error)
	// getStatusChange blocks until an entry differs from its current value,
	// or for the given time (0: does not block), and fills in the rest. What
	// it fills in together with an error is of no use.
	getStatusChange(states []readerState, wait time.Duration) error
	// cancel ends a getStatusChange that blocks now; one that is about to
	// block does not notice. It is the one method that may be called while
	// another one runs.
	cancel() error
	// connect opens the card in shared mode, with T=0 or T=1. It may block
	// while another program has a transaction.
	connect(readerName string) (scardCard, error)
	release() error
}

type scardCard interface {
	// begin blocks until no other program has a transaction.
	begin() error
	// reconnect resets the card, or cuts its power if cold is set.
	reconnect(cold bool) error
	// status returns the ATR, and an error if the card has left.
	status() (atr []byte, err error)
	transmit(cmd []byte) ([]byte, error)
	// control talks to the reader's driver, not to the card.
	control(code uint32, in []byte) ([]byte, error)
	// attribute returns what the reader's driver says of itself.
	attribute(id uint32) ([]byte, error)
	// disconnect ends the transaction and resets the card, unless told to
	// leave it alone.
	disconnect(reset bool) error
}

// readerState is SCARD_READERSTATE.
type readerState struct {
	name    string
	current uint32
	event   uint32
	atr     []byte
}

// Bits of readerState (SCARD_STATE_*). The upper half counts events.
const (
	stateUnaware     = 0x0000
	stateChanged     = 0x0002
	stateUnknown     = 0x0004
	stateUnavailable = 0x0008
	stateEmpty       = 0x0010
	statePresent     = 0x0020
	stateExclusive   = 0x0080
	stateInUse       = 0x0100
	stateMute        = 0x0200
	stateUnpowered   = 0x0400
)

// pnpReader is the name under which getStatusChange reports readers that come
// and go. The upper half of its event value is for the service to choose:
// Windows counts the readers, pcsc-lite from 2.3.0 on what became of them, and
// older ones leave it zero. A current value of zero there means "from now on";
// any other one that is not the service's own makes the call return at once.
const pnpReader = `\\?PnP?\Notification`

// splitNames takes a list of names apart as Windows gives it: each ends in a
// NUL, and an empty one ends the list. It is here, and not beside its only
// caller, so that it is tested on every system.
func splitNames(list []uint16) (names []string) {
	for {
		end := slices.Index(list, 0)
		if end < 0 {
			end = len(list) // cut off
		}
		if end == 0 {
			return names
		}
		names = append(names, string(utf16.Decode(list[:end])))
		list = list[min(end+1, len(list)):]
	}
}
