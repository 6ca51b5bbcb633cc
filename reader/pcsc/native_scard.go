//go:build cgo || windows

package pcsc

import (
	"errors"
	"slices"
	"time"

	"github.com/ebfe/scard"
)

// native is the system's library through github.com/ebfe/scard.
type native struct{}

// newNative returns the one implementation that this build has.
func newNative() winscard { return native{} }

// codeOf keeps the return code of err and nothing of the library's text.
func codeOf(err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[scard.Error](err)
	if !ok {
		// A reader name with a NUL byte, on Windows.
		return codeInvalidParameter
	}
	return code(e)
}

func (native) establish() (scardContext, error) {
	c, err := scard.EstablishContext()
	if err != nil {
		return nil, codeOf(err)
	}
	return nativeContext{c}, nil
}

type nativeContext struct{ c *scard.Context }

func (n nativeContext) listReaders() ([]string, error) {
	names, err := n.c.ListReaders()
	return names, codeOf(err)
}

func (n nativeContext) getStatusChange(states []readerState, wait time.Duration) error {
	if len(states) == 0 {
		return nil // the library takes the address of the first
	}
	native := make([]scard.ReaderState, len(states))
	for i, s := range states {
		native[i] = scard.ReaderState{Reader: s.name, CurrentState: scard.StateFlag(s.current)}
	}
	if err := n.c.GetStatusChange(native, wait); err != nil {
		return codeOf(err)
	}
	for i, s := range native {
		states[i].event = uint32(s.EventState)
		states[i].atr = slices.Clone(s.Atr)
	}
	return nil
}

func (n nativeContext) cancel() error  { return codeOf(n.c.Cancel()) }
func (n nativeContext) release() error { return codeOf(n.c.Release()) }

func (n nativeContext) connect(readerName string) (scardCard, error) {
	c, err := n.c.Connect(readerName, scard.ShareShared, scard.ProtocolAny)
	if err != nil {
		return nil, codeOf(err)
	}
	return nativeCard{c}, nil
}

type nativeCard struct{ c *scard.Card }

func (n nativeCard) begin() error { return codeOf(n.c.BeginTransaction()) }

func (n nativeCard) reconnect(cold bool) error {
	how := scard.ResetCard
	if cold {
		how = scard.UnpowerCard
	}
	return codeOf(n.c.Reconnect(scard.ShareShared, scard.ProtocolAny, how))
}

func (n nativeCard) status() ([]byte, error) {
	s, err := n.c.Status()
	if err != nil {
		return nil, codeOf(err)
	}
	return s.Atr, nil
}

func (n nativeCard) transmit(cmd []byte) ([]byte, error) {
	// The library panics on any other protocol.
	if p := n.c.ActiveProtocol(); p != scard.ProtocolT0 && p != scard.ProtocolT1 {
		return nil, codeProtoMismatch
	}
	resp, err := n.c.Transmit(cmd)
	if err != nil {
		return nil, codeOf(err)
	}
	return slices.Clone(resp), nil // not the 64 KiB buffer behind it
}

func (n nativeCard) disconnect(reset bool) error {
	how := scard.LeaveCard
	if reset {
		how = scard.ResetCard
	}
	return codeOf(n.c.Disconnect(how))
}
