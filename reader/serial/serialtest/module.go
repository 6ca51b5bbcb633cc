package serialtest

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/chamthe/chamthe/reader/serial/pn532"
)

// A Chip answers APDUs. The software chip of this project satisfies it, and so
// does readertest.Chip.
type Chip interface {
	// Transmit returns the response to a command. An error means that the
	// chip has left the field.
	Transmit(ctx context.Context, cmd []byte) (resp []byte, err error)
	// Reset powers the chip up anew.
	Reset()
	// ATR returns the answer to reset, in the form of PC/SC part 3: the module
	// turns it back into an ATS or an ATQB.
	ATR() []byte
}

// Faults are what goes wrong on the line and on the air. Each field is how
// many frames or exchanges pass between two faults of a kind, by chance; 0 is
// never.
type Faults struct {
	// Seed of the chance.
	Seed uint64
	// BadChecksum damages responses; asked by a NACK, the module sends them
	// again.
	BadChecksum int
	// BadACK damages confirmations, NoACK leaves them out, TwoACKs sends them
	// twice.
	BadACK, NoACK, TwoACKs int
	// Refuse answers a command by a NACK instead of carrying it out.
	Refuse int
	// Noise sends bytes between frames that mean nothing; Wild does so with
	// bytes that can look like the beginning of a frame and swallow the next.
	Noise, Wild int
	// Stale sends the last response once more ahead of a confirmation.
	Stale int
	// Pieces writes frames in pieces.
	Pieces int
	// LostCommand does as if a command had been damaged on the line: nothing
	// happens.
	LostCommand int
	// OnAir answers an exchange with an error of the air; the card has not got
	// it.
	OnAir int
}

// A Module is a PN532 at the end of a serial line. Its methods may be called
// from several goroutines.
type Module struct {
	mu      sync.Mutex
	chip    Chip
	kind    CardKind
	faults  Faults
	rng     *rand.Rand
	delay   time.Duration
	frozen  bool
	baud    int
	traffic Traffic
	rates   [2]byte // of the last InPSL
	offered byte    // code of InPSL that the card says it bears
	fastest byte    // code of InPSL that it bears; 3: none
	breaks  bool    // exchanges at a fast rate fail
	failed  int
	hidden  int // presence checks that find nobody

	// The state of the firmware.
	awake, normal bool
	field, active bool
	newBaud       int
	chain, rest   []byte
	last          []byte // the last response as a frame
}

// Traffic counts what went over the line.
type Traffic struct {
	// In and Out are bytes to and from the module; Commands counts frames,
	// Exchanges those that went to a card.
	In, Out, Commands, Exchanges int
}

// A CardKind is how a card presents itself.
type CardKind uint8

const (
	// TypeA is a card of ISO/IEC 14443-4, type A.
	TypeA CardKind = iota
	// TypeB is a card of ISO/IEC 14443-4, type B.
	TypeB
	// Plain is a type A card without ISO/IEC 14443-4.
	Plain
)

// NewModule returns a module as it is after power-up, without a card.
func NewModule() *Module {
	m := &Module{fastest: 3}
	m.PowerUp()
	return m
}

// PowerUp does what pulling the plug of the module does: it forgets all.
func (m *Module) PowerUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.awake, m.normal, m.field, m.active = false, false, false, false
	m.baud, m.newBaud, m.chain, m.rest, m.last = 115200, 0, nil, nil, nil
	m.frozen = false
}

// Insert lays a card on the module.
func (m *Module) Insert(c Chip) { m.InsertAs(c, TypeA) }

// InsertAs lays a card on the module that presents itself as kind.
func (m *Module) InsertAs(c Chip, kind CardKind) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chip, m.kind, m.active = c, kind, false
	m.chain, m.rest = nil, nil
}

// Remove takes the card away.
func (m *Module) Remove() { m.InsertAs(nil, TypeA) }

// Fail sets what goes wrong from now on.
func (m *Module) Fail(f Faults) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults, m.rng, m.failed = f, rand.New(rand.NewPCG(f.Seed, 1)), 0
}

// Delay is how long the card takes over each exchange, asking for more time.
func (m *Module) Delay(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delay = d
}

// Freeze makes the module take commands and answer no more, until PowerUp.
func (m *Module) Freeze() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frozen = true
}

// Fast sets the fastest code of InPSL that the card offers (1: 212, 2: 424
// kbit/s). If breaks, exchanges at that rate fail all the same.
func (m *Module) Fast(code byte, breaks bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offered, m.fastest, m.breaks = code, code, breaks
}

// Offer has cards offer rates up to a code of InPSL and refuse them all.
func (m *Module) Offer(code byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offered, m.fastest = code, 3
}

// Hide makes the next n presence checks find nobody, though the card is there
// and active.
func (m *Module) Hide(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hidden = n
}

// Failed returns how many faults have happened since [Module.Fail].
func (m *Module) Failed() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// Rates returns the codes of InPSL in force.
func (m *Module) Rates() (send, receive byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rates[0], m.rates[1]
}

// Baud returns the speed of the line.
func (m *Module) Baud() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.baud
}

// Traffic returns what has gone over the line.
func (m *Module) Traffic() Traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.traffic
}

// A speeder knows the speed that the other end has set.
type speeder interface{ Speed() (int, error) }

// Serve is the module until reading fails. It may be called again with another
// line.
func (m *Module) Serve(rw io.ReadWriter) error {
	var dec pn532.Decoder
	buf := make([]byte, 1024)
	for {
		n, err := rw.Read(buf)
		if err != nil {
			return err
		}
		m.mu.Lock()
		m.traffic.In += n
		if s, ok := rw.(speeder); ok {
			if at, err := s.Speed(); err == nil && at != m.baud {
				for i := range n {
					buf[i] = buf[i]*7 + 0x31 // what another speed makes of it
				}
			}
		}
		// Low-power states: the first bytes only wake it up.
		if !m.awake {
			m.awake = slices.Contains(buf[:n], 0x55)
		}
		awake := m.awake
		m.mu.Unlock()
		if !awake {
			continue
		}
		_, _ = dec.Write(buf[:n])
		for f, ok := dec.Next(); ok; f, ok = dec.Next() {
			if err := m.frame(rw, f); err != nil {
				return err
			}
		}
	}
}

// chance reports whether a fault with the given distance happens now.
func (m *Module) chance(distance int) bool {
	if distance == 0 || m.rng.IntN(distance) != 0 {
		return false
	}
	m.failed++
	return true
}

func (m *Module) frame(w io.Writer, f pn532.Frame) error {
	m.mu.Lock()
	if m.frozen {
		m.mu.Unlock()
		return nil
	}
	switch f.Kind {
	case pn532.ACK:
		if m.newBaud != 0 {
			m.baud, m.newBaud = m.newBaud, 0
		}
		m.mu.Unlock()
		return nil
	case pn532.NACK:
		out := m.last
		m.mu.Unlock()
		return m.write(w, out)
	case pn532.Data:
		if f.TFI == pn532.ToModule {
			break
		}
		fallthrough
	default:
		m.mu.Unlock()
		return nil // not for us: no confirmation
	}
	var out []byte
	if m.chance(m.faults.LostCommand) {
		m.mu.Unlock()
		return nil
	}
	if m.chance(m.faults.Noise) {
		for range 1 + m.rng.IntN(9) {
			out = append(out, byte(1+m.rng.IntN(255)))
		}
	}
	if m.chance(m.faults.Wild) {
		out = append(out, 0x00, 0xFF, byte(m.rng.Uint32()))
		out = append(out, -out[len(out)-1])
	}
	if m.chance(m.faults.Refuse) {
		out = pn532.AppendNACK(out)
		m.mu.Unlock()
		return m.write(w, out)
	}
	if m.chance(m.faults.Stale) {
		out = append(out, m.last...)
	}
	switch {
	case m.chance(m.faults.NoACK):
	case m.chance(m.faults.BadACK):
		out = append(out, 0x00, 0x00, 0xFF, 0x00, 0x7F, 0x00)
	case m.chance(m.faults.TwoACKs):
		out = pn532.AppendACK(pn532.AppendACK(out))
	default:
		out = pn532.AppendACK(out)
	}
	m.traffic.Commands++
	m.mu.Unlock()
	if err := m.write(w, out); err != nil {
		return err
	}

	resp, ok := m.command(f.Data[0], slices.Clone(f.Data[1:]))

	m.mu.Lock()
	if m.frozen {
		m.mu.Unlock()
		return nil
	}
	if ok {
		m.last, _ = pn532.AppendFrame(nil, pn532.FromModule, append([]byte{f.Data[0] + 1}, resp...))
	} else {
		m.last = pn532.AppendSyntax(nil)
	}
	out = slices.Clone(m.last)
	if m.chance(m.faults.BadChecksum) {
		out[len(out)-2] ^= 0x20
	}
	m.mu.Unlock()
	return m.write(w, out)
}

// write sends b, in pieces if it is to.
func (m *Module) write(w io.Writer, b []byte) error {
	m.mu.Lock()
	m.traffic.Out += len(b)
	piece := len(b)
	if len(b) > 1 && m.chance(m.faults.Pieces) {
		piece = 1 + m.rng.IntN(len(b)-1)
	}
	m.mu.Unlock()
	for len(b) > 0 {
		n, err := w.Write(b[:min(piece, len(b))])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

var speeds = []int{9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600}

// Errors of the air and of the order of commands.
const (
	errTimeout = 0x01
	errProto   = 0x0B
	errParam   = 0x10
	errContext = 0x27
)

// command carries a command out and returns the response after its code. False
// is an error frame.
func (m *Module) command(code byte, p []byte) ([]byte, bool) {
	if code == 0x40 {
		return m.exchange(p)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.normal && code != 0x14 && code != 0x02 && code != 0x00 {
		return nil, false // after power-up it wants SAMConfiguration first
	}
	switch code {
	case 0x00: // Diagnose
		if len(p) == 0 {
			return nil, false
		}
		switch p[0] {
		case 0x00:
			return p, true
		case 0x06:
			if m.hidden > 0 {
				m.hidden--
			} else if m.present() {
				return []byte{0x00}, true
			}
			return []byte{errTimeout}, true
		}
		return nil, false
	case 0x02: // GetFirmwareVersion
		return []byte{0x32, 0x01, 0x06, 0x07}, true
	case 0x10: // SetSerialBaudRate
		if len(p) != 1 || int(p[0]) >= len(speeds) {
			return nil, false
		}
		m.newBaud = speeds[p[0]]
		return nil, true
	case 0x12: // SetParameters
		return nil, len(p) == 1
	case 0x14: // SAMConfiguration
		if len(p) < 1 || p[0] != 0x01 {
			return nil, false
		}
		m.normal = true
		return nil, true
	case 0x32: // RFConfiguration
		if len(p) < 2 {
			return nil, false
		}
		if p[0] == 0x01 {
			m.field = p[1]&0x01 != 0
			if !m.field {
				m.active = false
			}
		}
		return nil, true
	case 0x4A: // InListPassiveTarget
		if len(p) < 2 || p[0] == 0 || p[0] > 2 || p[1] > 4 || p[1] == 3 && len(p) < 3 {
			return nil, false
		}
		return m.list(p[1]), true
	case 0x4E: // InPSL
		if len(p) != 3 {
			return nil, false
		}
		switch {
		case !m.present():
			return []byte{errContext}, true
		case m.fastest == 3 || p[1] > m.fastest || p[2] > m.fastest:
			m.active = false // it is lost until it is powered up anew
			return []byte{errTimeout}, true
		}
		m.rates = [2]byte{p[1], p[2]}
		return []byte{0x00}, true
	case 0x44, 0x52: // InDeselect, InRelease
		if len(p) != 1 {
			return nil, false
		}
		m.active = false
		return []byte{0x00}, true
	}
	return nil, false
}

// present reports whether an active card is in the field.
func (m *Module) present() bool { return m.chip != nil && m.field && m.active && m.kind != Plain }

// list activates a card. One that is active already does not hear the call.
func (m *Module) list(kind byte) []byte {
	none := []byte{0}
	powered := m.field
	m.field = true
	if m.chip == nil || powered && m.active || (kind == 3) != (m.kind == TypeB) || kind != 0 && kind != 3 {
		return none
	}
	m.active, m.rates, m.chain, m.rest = true, [2]byte{}, nil, nil
	if m.kind == Plain {
		return []byte{1, 1, 0x00, 0x04, 0x08, 4, 0xDE, 0xAD, 0xBE, 0xEF}
	}
	m.chip.Reset()
	hist := m.chip.ATR()
	hist = hist[4 : len(hist)-1]
	if m.kind == TypeB {
		out := []byte{1, 1, 0x50, 0x08, 1, 2, 3}
		info := make([]byte, 8)
		copy(info, hist)
		info[5] = 0x81 // frames of 256 bytes, ISO/IEC 14443-4
		out = append(out, info[:7]...)
		return append(out, 1, info[7]&0xF0)
	}
	ta := byte(0x80)
	switch m.offered {
	case 1:
		ta = 0x11
	case 2:
		ta = 0x33
	}
	// T0: TA, TB, TC, frames of 256 bytes; TB: FWI 7; TC: CID.
	ats := append([]byte{0, 0x78, ta, 0x70, 0x02}, hist...)
	ats[0] = byte(len(ats))
	return append([]byte{1, 1, 0x03, 0x44, 0x20, 4, 0x08, 0x11, 0x22, 0x33}, ats...)
}

// block is what one exchange carries.
const block = 262

func (m *Module) exchange(p []byte) ([]byte, bool) {
	m.mu.Lock()
	if len(p) == 0 {
		m.mu.Unlock()
		return nil, false
	}
	if p[0]&0x3F != 1 {
		m.mu.Unlock()
		return []byte{errContext}, true
	}
	m.traffic.Exchanges++
	chip, delay := m.chip, m.delay
	switch {
	case !m.field || !m.active:
		m.mu.Unlock()
		return []byte{errContext}, true
	case !m.present():
		m.active = false
		m.mu.Unlock()
		return []byte{errTimeout}, true
	case m.chance(m.faults.OnAir), m.breaks && m.rates != [2]byte{}:
		m.chain, m.rest = nil, nil
		m.mu.Unlock()
		return []byte{errProto}, true
	case len(p) == 1 && len(m.rest) > 0:
		defer m.mu.Unlock()
		return m.next(), true
	}
	m.chain, m.rest = append(m.chain, p[1:]...), nil
	if p[0]&0x40 != 0 {
		m.mu.Unlock()
		return []byte{0x00}, true
	}
	cmd := m.chain
	m.chain = nil
	m.mu.Unlock()

	time.Sleep(delay)
	resp, err := chip.Transmit(context.Background(), cmd)

	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil && m.chip == chip {
		m.chip, m.active = nil, false
	}
	if err != nil || m.chip != chip {
		return []byte{errTimeout}, true
	}
	m.rest = resp
	return m.next(), true
}

// next returns the next block of a response.
func (m *Module) next() []byte {
	n := min(len(m.rest), block)
	out := append([]byte{0x00}, m.rest[:n]...)
	m.rest = m.rest[n:]
	if len(m.rest) > 0 {
		out[0] |= 0x40
	}
	return out
}

// Pattern returns n bytes that count up, for tests of what carries bytes.
func Pattern(n int) []byte {
	p := make([]byte, 0, n+1)
	for len(p) < n {
		p = binary.BigEndian.AppendUint16(p, uint16(len(p)/2))
	}
	return p[:n]
}
