package readertest

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
)

// ATR is the answer to reset of [Chip]: direct convention, T=0 announced first
// and T=1 after it, in the form that PC/SC part 3 gives to contactless cards.
var ATR = []byte{0x3B, 0x80, 0x80, 0x01, 0x01}

// Commands of [Chip]. The class is 80; everything else is answered by 6E00.
const (
	// InsEcho returns the command's data.
	InsEcho = 0x10
	// InsRemember keeps the command's data until the next reset.
	InsRemember = 0x12
	// InsRecall returns what InsRemember kept.
	InsRecall = 0x14
	// InsProduce returns as many bytes as P1 and P2 say, big-endian; see
	// [Pattern].
	InsProduce = 0x16
)

// Chip is a card that knows nothing of travel documents: it echoes, remembers
// until reset, and can be told to leave or to stall. It is safe for use by
// several goroutines.
type Chip struct {
	mu        sync.Mutex
	memory    []byte
	seen      int // commands since NewChip
	resets    int
	leaveIn   int
	stall     chan struct{}
	stalled   chan struct{}
	exchanges int // running now
	overlap   bool
}

// NewChip returns a chip with an empty memory.
func NewChip() *Chip { return &Chip{} }

var errLeft = errors.New("readertest: chip left the field")

// LeaveAt makes the chip leave the field in the n-th exchange from now, once:
// it sees the command and gives no response.
func (c *Chip) LeaveAt(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaveIn = n
}

// Stall makes the next exchange wait until release is called. The channel
// is closed when that exchange has reached the chip.
func (c *Chip) Stall() (reached <-chan struct{}, release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stall, stalled := make(chan struct{}), make(chan struct{})
	c.stall, c.stalled = stall, stalled
	return stalled, sync.OnceFunc(func() { close(stall) })
}

// Seen returns how many commands have reached the chip.
func (c *Chip) Seen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

// Resets returns how often the chip was reset.
func (c *Chip) Resets() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resets
}

// Overlapped reports whether two exchanges ever ran at once.
func (c *Chip) Overlapped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.overlap
}

// ATR returns the answer to reset.
func (c *Chip) ATR() []byte { return slices.Clone(ATR) }

// Reset empties the memory.
func (c *Chip) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memory = nil
	c.resets++
}

// Transmit answers a command.
func (c *Chip) Transmit(_ context.Context, cmd []byte) ([]byte, error) {
	c.mu.Lock()
	c.seen++
	c.exchanges++
	c.overlap = c.overlap || c.exchanges > 1
	leave := c.leaveIn == 1
	c.leaveIn = max(c.leaveIn-1, 0)
	stall, stalled := c.stall, c.stalled
	c.stall, c.stalled = nil, nil
	c.mu.Unlock()

	if stall != nil {
		close(stalled)
		<-stall
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.exchanges--
	if leave {
		return nil, errLeft
	}
	return c.answer(cmd), nil
}

func (c *Chip) answer(cmd []byte) []byte {
	if len(cmd) < 4 {
		return []byte{0x67, 0x00}
	}
	if cmd[0] != 0x80 {
		return []byte{0x6E, 0x00}
	}
	data, ok := body(cmd[4:])
	if !ok {
		return []byte{0x67, 0x00}
	}
	var out []byte
	switch cmd[1] {
	case InsEcho:
		out = data
	case InsRemember:
		c.memory = slices.Clone(data)
	case InsRecall:
		out = c.memory
	case InsProduce:
		out = Pattern(int(binary.BigEndian.Uint16(cmd[2:4])))
	default:
		return []byte{0x6D, 0x00}
	}
	return append(slices.Clone(out), 0x90, 0x00)
}

// body returns the data of a command, given what follows the header
// (ISO/IEC 7816-4, 5.1).
func body(b []byte) (data []byte, ok bool) {
	switch {
	case len(b) <= 1: // case 1, case 2 short
		return nil, true
	case b[0] != 0: // cases 3 and 4 short
		n := int(b[0])
		if len(b) != 1+n && len(b) != 2+n {
			return nil, false
		}
		return b[1 : 1+n], true
	case len(b) == 3: // case 2 extended
		return nil, true
	case len(b) < 3:
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(b[1:3]))
	if n == 0 || len(b) != 3+n && len(b) != 5+n {
		return nil, false
	}
	return b[3 : 3+n], true
}

// Pattern returns n bytes that do not repeat with a short period.
func Pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i>>8)
	}
	return p
}

// Command encodes a command for [Chip]: with short lengths if they do for
// the data and the response, else with extended ones. le is 0 for none.
func Command(ins, p1, p2 byte, data []byte, le int) []byte {
	cmd := []byte{0x80, ins, p1, p2}
	short := len(data) <= 255 && le <= 256
	if len(data) > 0 {
		if short {
			cmd = append(cmd, byte(len(data)))
		} else {
			cmd = append(cmd, 0, byte(len(data)>>8), byte(len(data)))
		}
		cmd = append(cmd, data...)
	}
	switch {
	case le == 0:
	case short:
		cmd = append(cmd, byte(le))
	case len(data) > 0:
		cmd = append(cmd, byte(le>>8), byte(le))
	default:
		cmd = append(cmd, 0, byte(le>>8), byte(le))
	}
	return cmd
}
