//go:build linux || windows || cgo

package serial

import tarm "github.com/tarm/serial"

// openNative opens a port by tarm/serial, as it is in the version that go.mod
// pins. What matters of it:
//
//   - Linux: raw mode, IGNPAR, VMIN 0 and VTIME 1, so a read returns after a
//     tenth of a second with io.EOF when nothing came; it takes the speeds of
//     its table only. It locks nothing.
//   - Windows: overlapped, a read returns 0 and no error after the same time;
//     writes have no time limit; DTR is raised, RTS is not. CreateFile is
//     exclusive by itself.
//   - Elsewhere it needs cgo.
//   - Nothing interrupts a read, and there are no modem lines.
func openNative(name string, baud int) (rawPort, error) {
	return tarm.OpenPort(&tarm.Config{Name: name, Baud: baud, ReadTimeout: tick})
}
