//go:build cgo || windows

package pcsc

import (
	"errors"
	"slices"

	"github.com/ebfe/scard"
)

// native is the system's library through github.com/ebfe/scard. What differs
// between systems is in native_windows.go and native_unix.go.
type native struct{}

// newNative returns the one implementation that this build has.
func newNative() winscard { return native{} }

// featureRequest is CM_IOCTL_GET_FEATURE_REQUEST (PC/SC part 10): the macro
// SCARD_CTL_CODE(3400), which is 0x00313520 on Windows and 0x42000D48 under
// pcsc-lite.
var featureRequest = scard.CtlCode(3400)

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

// connectNative opens the card on the reader of that name.
func connectNative(c *scard.Context, readerName string) (scardCard, error) {
	card, err := c.Connect(readerName, scard.ShareShared, scard.ProtocolAny)
	if err != nil {
		return nil, codeOf(err)
	}
	return nativeCard{card}, nil
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

func (n nativeCard) control(ioctl uint32, in []byte) ([]byte, error) {
	out, err := n.c.Control(ioctl, in)
	if err != nil {
		return nil, codeOf(err)
	}
	return slices.Clone(out), nil // not the 64 KiB buffer behind it
}

func (n nativeCard) attribute(id uint32) ([]byte, error) {
	b, err := n.c.GetAttrib(scard.Attrib(id))
	return b, codeOf(err)
}

func (n nativeCard) disconnect(reset bool) error {
	how := scard.LeaveCard
	if reset {
		how = scard.ResetCard
	}
	return codeOf(n.c.Disconnect(how))
}
