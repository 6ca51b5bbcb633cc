//go:build !cgo && !windows

package pcsc

// native stands in where the library cannot be linked.
type native struct{}

// featureRequest is SCARD_CTL_CODE(3400) under pcsc-lite.
const featureRequest uint32 = 0x42000000 + 3400

const keepAlive = 0

func newNative() winscard { return native{} }

func (native) establish() (scardContext, error) { return nil, codeNoService }
