//go:build !cgo && !windows

package pcsc

// native stands in where the library cannot be linked.
type native struct{}

func newNative() winscard { return native{} }

func (native) establish() (scardContext, error) { return nil, codeNoService }
