// Package speedtest says how fast an inspection is, and keeps it so: how many
// exchanges every profile of icao/chip takes and how many it has to take, what they
// cost on a contactless link, and what the host does meanwhile. README.md has the
// figures, and what is behind them.
//
// Exchanges, bytes and their order are the same on every machine, so tests assert
// them. Durations are not: those are benchmarks, and what is to be reached is a ratio
// of two that ran in turn. The link is the exception: [Link] is a model, and the only
// place where the project says what a link costs.
package speedtest

import "time"

// A Link is a model of what lies between the host and the chip: the reader with
// its driver, the air, and the chip's own processor. It is for comparing ways to
// read the same document. What it leaves out is the same for all of them, above all
// the chip's time for a signature or a key agreement (some 20 ms to a second, by chip).
type Link struct {
	// BitRate is in bit/s, the same both ways. Of those of ISO/IEC 14443, chips must
	// have 106 and 424 kbit/s (Doc 9303-10, 8th edition, C.4); the reader chooses.
	BitRate int
	// BitsPerByte is how many bit times a byte takes: 9 with type A, which adds a
	// parity bit (ISO/IEC 14443-3).
	BitsPerByte int
	// FrameSize is how many bytes a frame carries. A longer APDU goes in several.
	FrameSize int
	// Turnaround is what each frame costs beside its bytes: the frame delay time, the
	// acknowledgement of a frame that is not the last, and the chip's answer to it.
	Turnaround time.Duration
	// Chip is the time the chip takes for any command, and ChipBlock what it takes
	// more for every 16 bytes of a protected command and its response.
	Chip, ChipBlock time.Duration
	// Host is what PC/SC, its driver and USB take for an exchange.
	Host time.Duration
}

// Rates are the bit rates that figures are given for, in bit/s.
var Rates = [...]int{106_000, 424_000, 848_000}

// Typical returns the model with the figures that this project uses at a bit rate. They
// are assumptions between published measurements, not measurements of ours: phones
// and readers were seen to take 10 to 150 ms for a short command, and chips differ
// as much.
func Typical(bitRate int) Link {
	return Link{
		BitRate: bitRate, BitsPerByte: 9, FrameSize: 256, Turnaround: 500 * time.Microsecond,
		Chip: 12 * time.Millisecond, ChipBlock: 50 * time.Microsecond, Host: 2 * time.Millisecond,
	}
}

// Exchange returns what a command of sent bytes and its response of received bytes
// cost, both with headers and status word.
func (l Link) Exchange(sent, received int, protected bool) time.Duration {
	d := l.Host + l.Chip
	for _, n := range []int{sent, received} {
		d += time.Duration(float64(n*l.BitsPerByte) / float64(l.BitRate) * float64(time.Second))
		d += time.Duration(ceil(n, l.FrameSize)) * l.Turnaround
	}
	if protected {
		d += time.Duration(ceil(sent+received, 16)) * l.ChipBlock
	}
	return d
}

// ceil returns a/b, rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }
