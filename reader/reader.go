package reader

import (
	"bytes"
	"context"
	"slices"
)

// A Driver gives access to the readers of one kind. Its methods may be called
// from several goroutines at once.
type Driver interface {
	// Readers lists the readers that are there now, with what lies on them.
	// No reader at all is an empty list, not an error; a missing or stopped
	// system service is [ErrNoService].
	Readers(ctx context.Context) ([]Info, error)

	// Wait blocks until the list differs from known, which is what an earlier
	// call of Readers or Wait returned, and returns the new list. It returns
	// at once when they differ already, so no change between two calls is
	// lost. It ends with the error of ctx when ctx ends.
	Wait(ctx context.Context, known []Info) ([]Info, error)

	// Open connects to the card on the reader called name, resets it, and
	// keeps every other program from it until the card is closed. The errors
	// are [ErrNoReader], [ErrNoCard], [ErrCardMute], [ErrSharing] and those of
	// [Card].
	Open(ctx context.Context, name string) (Card, error)
}

// A Card is an exclusive connection to a chip; call Close to give it back.
// Its methods may be called from several goroutines: exchanges happen one
// after the other.
type Card interface {
	// Transmit sends a command APDU and returns the response APDU with its
	// status word. Neither slice is kept. The context is checked before the
	// exchange; an exchange that has begun is finished even when ctx ends
	// meanwhile. An error means that there is no response at all:
	//
	//   - [ErrCardRemoved]: the card has left. Close, and open the next one.
	//   - [ErrCardReset]: somebody else reset it. Reset, then start over.
	//   - [ErrComm]: no usable answer, though the card is still there. Reset
	//     may help.
	//   - [ErrTimeout]: the reader does not return. The card is unusable.
	//   - [ErrNoService], [ErrNoReader]: the service or the reader has gone.
	//   - [ErrBadCommand]: the command cannot be sent; nothing was.
	//   - [ErrClosed]: after Close.
	Transmit(ctx context.Context, cmd []byte) (resp []byte, err error)

	// Reset powers the chip up anew: every session on it ends. It keeps the
	// card exclusive. A card that was removed cannot be reset.
	Reset(ctx context.Context) error

	// ATR returns a copy of the answer to reset as it is since Open or the
	// last Reset.
	ATR() []byte

	// Close resets the chip and frees the reader. It waits for an exchange in
	// flight. Closing twice is harmless.
	Close() error
}

// State tells what lies on a reader.
type State uint8

const (
	// Unknown is the zero value: nobody has looked.
	Unknown State = iota
	// Empty means that there is no card.
	Empty
	// Present means that there is a card.
	Present
	// Busy means that there is a card, in exclusive use by some program.
	Busy
	// Mute means that there is a card that does not answer: the wrong way up,
	// not held still, or not a chip that this reader understands.
	Mute
	// Unavailable means that the reader itself cannot be used now.
	Unavailable
)

// HasCard reports whether something lies on the reader.
func (s State) HasCard() bool { return s == Present || s == Busy || s == Mute }

// String returns the state in lower case, as the command line and the local
// API print it.
func (s State) String() string {
	switch s {
	case Empty:
		return "empty"
	case Present:
		return "present"
	case Busy:
		return "busy"
	case Mute:
		return "mute"
	case Unavailable:
		return "unavailable"
	default:
		return "unknown"
	}
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Info describes a reader at one moment.
type Info struct {
	// Name is what the system calls the reader. It is unique within a driver.
	Name string
	// State tells what lies on the reader.
	State State
	// ATR is the answer to reset of the card, empty without one.
	ATR []byte
	// Changes counts what the driver saw come and go on this reader. A card
	// that was swapped between two looks shows in nothing else.
	Changes uint32
}

// Equal reports whether a and b say the same.
func (a Info) Equal(b Info) bool {
	return a.Name == b.Name && a.State == b.State && a.Changes == b.Changes && bytes.Equal(a.ATR, b.ATR)
}

// Same reports whether two lists say the same. The order matters: drivers
// keep it.
func Same(a, b []Info) bool { return slices.EqualFunc(a, b, Info.Equal) }

// WaitCard waits for a card that can be opened (state Present) on the reader
// called name, or on any reader if name is empty, and returns that reader. A
// card that is there already counts. A reader that is not there yet may still
// arrive. It ends with the error of ctx when ctx ends.
func WaitCard(ctx context.Context, d Driver, name string) (Info, error) {
	infos, err := d.Readers(ctx)
	for {
		if err != nil {
			return Info{}, err
		}
		for _, in := range infos {
			if in.State == Present && (name == "" || in.Name == name) {
				return in, nil
			}
		}
		infos, err = d.Wait(ctx, infos)
	}
}
