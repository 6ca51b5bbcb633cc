//go:build !linux && !windows && !cgo

package serial

func enumerate() ([]PortInfo, error) { return nil, errNative }
