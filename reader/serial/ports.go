package serial

import (
	"cmp"
	"context"
	"slices"
	"strconv"
)

// PortInfo describes a serial port of this computer.
type PortInfo struct {
	// Name is what the system calls the port, for [Config] and [ScannerConfig].
	Name string
	// VendorID and ProductID are the USB ids, 0 for a port that is not USB.
	VendorID, ProductID uint16
	// Product is what the USB device calls itself, where the system tells
	// without asking the device.
	Product string
	// Guess is what may be behind the port.
	Guess Guess
}

// A Guess is what the USB ids of a port say of the device behind it. Nothing
// was sent to it: asking a device that is none of ours can do harm.
type Guess uint8

const (
	// GuessUnknown is the zero value.
	GuessUnknown Guess = iota
	// GuessBridge is a USB-to-serial adapter. PN532 modules and scanners with
	// a cable are behind such; which it is does not show.
	GuessBridge
	// GuessScanner is a scanner of a known maker.
	GuessScanner
)

// String returns the guess in lower case.
func (g Guess) String() string {
	switch g {
	case GuessBridge:
		return "usb-to-serial adapter"
	case GuessScanner:
		return "scanner"
	default:
		return "unknown"
	}
}

// MarshalText implements encoding.TextMarshaler.
func (g Guess) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// guesses are vendor ids as the list usb.ids has them (linux-usb.org).
var guesses = map[uint16]Guess{
	0x0403: GuessBridge,  // Future Technology Devices International (FT232)
	0x067B: GuessBridge,  // Prolific Technology (PL2303)
	0x10C4: GuessBridge,  // Silicon Labs (CP210x)
	0x1A86: GuessBridge,  // QinHeng Electronics (CH340)
	0x05E0: GuessScanner, // Symbol Technologies (now Zebra)
	0x05F9: GuessScanner, // PSC Scanning (now Datalogic)
	0x065A: GuessScanner, // Optoelectronics (Opticon)
	0x0C2E: GuessScanner, // Metrologic Instruments (now Honeywell)
	0x1EAB: GuessScanner, // Fujian Newland Computer
}

// Ports lists the serial ports of this computer by name, with the USB ids where
// the system knows them. It opens none of them for work and sends nothing. A
// system without serial ports gives an empty list. ctx is looked at before, the
// system is asked without interruption.
func Ports(ctx context.Context) ([]PortInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ports, err := enumerate()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(ports, func(a, b PortInfo) int { return cmp.Compare(a.Name, b.Name) })
	return ports, nil
}

// newPortInfo makes up the description of a port from what the system says;
// the ids are hexadecimal.
func newPortInfo(name, vid, pid, product string) PortInfo {
	in := PortInfo{Name: name, VendorID: usbID(vid), ProductID: usbID(pid), Product: product}
	in.Guess = guesses[in.VendorID]
	return in
}

func usbID(s string) uint16 {
	n, err := strconv.ParseUint(s, 16, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}
