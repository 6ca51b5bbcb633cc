//go:build !linux && !windows && !cgo

package serial

import "errors"

var errNative = errors.New("serial: built without serial ports")

func openNative(string, int) (rawPort, error) { return nil, errNative }
