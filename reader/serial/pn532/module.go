package pn532

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A Line is a serial port.
type Line interface {
	// ReadFor waits up to d for bytes and returns those that have come; none
	// within d is 0 and no error. An error means that the port is lost.
	ReadFor(p []byte, d time.Duration) (int, error)
	// Write sends p, in bounded time. An error means that the port is lost.
	Write(p []byte) (int, error)
}

// What can go wrong between host and module. An error of the [Line] is passed
// on as it is.
var (
	// ErrSilent means that nothing at all answers on the line.
	ErrSilent = errors.New("pn532: nothing answers on this line")
	// ErrOther means that something answers that is no PN532: another device,
	// or the wrong speed.
	ErrOther = errors.New("pn532: what answers on this line is no PN532")
	// ErrLost means that a command or its response was lost on the line. The
	// module is there; whether it carried the command out is not known.
	ErrLost = errors.New("pn532: exchange lost on the line")
	// ErrStuck means that the module took a command and never answered.
	ErrStuck = errors.New("pn532: module does not finish")
	// ErrResponse means that the module answered nonsense.
	ErrResponse = errors.New("pn532: malformed response")
	// ErrSyntax means that the module does not know the command.
	ErrSyntax = errors.New("pn532: module refuses the command")
	// ErrTooLong means that a card went on sending past every limit.
	ErrTooLong = errors.New("pn532: card does not stop sending")
)

// errNACK and errNoACK are turned into another try or into ErrLost.
var (
	errNACK  = errors.New("pn532: refused on the line")
	errNoACK = errors.New("pn532: no acknowledgement")
)

// Timing bounds every call. The zero value of each field stands for its
// default.
type Timing struct {
	// ACK is how long the module may take to confirm a command: 15 ms by UM
	// 6.2.2, plus what USB adapters add. 300 ms by default.
	ACK time.Duration
	// Reply is how long a command may take that concerns no exchange. 2 s by
	// default.
	Reply time.Duration
	// Exchange is how long the card may take over one APDU, besides the time that
	// its bytes need on the line. 20 s by default: a chip may ask for more time
	// again and again while it computes.
	Exchange time.Duration
	// Gap is how long the line may be silent within a frame. 150 ms by
	// default.
	Gap time.Duration
	// PowerOff is how long the field stays off to make a card forget. 10 ms by
	// default; ISO/IEC 14443-3 asks for 5.1 ms of rest before a card is polled
	// (EMV Contactless, tRESET), and large antennas ring on.
	PowerOff time.Duration
}

func (t Timing) withDefaults() Timing {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&t.ACK, 300*time.Millisecond)
	def(&t.Reply, 2*time.Second)
	def(&t.Exchange, 20*time.Second)
	def(&t.Gap, 150*time.Millisecond)
	def(&t.PowerOff, 10*time.Millisecond)
	return t
}

// Commands (UM 7.1).
const (
	cmdDiagnose            = 0x00
	cmdGetFirmwareVersion  = 0x02
	cmdSetSerialBaudRate   = 0x10
	cmdSetParameters       = 0x12
	cmdSAMConfiguration    = 0x14
	cmdRFConfiguration     = 0x32
	cmdInDataExchange      = 0x40
	cmdInListPassiveTarget = 0x4A
	cmdInPSL               = 0x4E
	cmdInRelease           = 0x52
)

const (
	attempts = 3 // of a command that may be repeated
	// maxBlock is what one InDataExchange carries in either direction (UM
	// 7.3.8).
	maxBlock = 262
	// maxResponse is the longest response APDU.
	maxResponse = 65536 + 2
	// maxJunk is how much is thrown away at most, and for how long, to get a
	// line quiet.
	maxJunk = 64 << 10
	maxWait = 300 * time.Millisecond
)

// Firmware is what the module says of itself (UM 7.2.2).
type Firmware struct {
	IC, Version, Revision, Support byte
}

// String returns the version as the manual writes it: "1.6".
func (f Firmware) String() string { return fmt.Sprintf("%d.%d", f.Version, f.Revision) }

// A Module is a PN532 at the other end of a line.
type Module struct {
	line     Line
	t        Timing
	dec      Decoder
	rx       []byte
	heard    bool // bytes have come since the last command
	synced   bool // no frame is on its way that nobody waits for
	nonce    uint16
	firmware Firmware
}

// wakeUp gets the module out of its low-power states (UM 6.2.5 and 7.2.11:
// 55h, then a pause that is filled with zeros).
var wakeUp = []byte{0x55, 0x55, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// Connect wakes the module up, makes sure that it is one, and prepares it as
// a reader with the field off. ctx is looked at between commands. The errors
// are those of this package, of the line, and of ctx.
func Connect(ctx context.Context, line Line, t Timing) (*Module, error) {
	m := &Module{line: line, t: t.withDefaults(), rx: make([]byte, 1024)}
	if err := m.awake(ctx); err != nil {
		return nil, err
	}
	v, err := m.call(cmdGetFirmwareVersion, nil)
	if err != nil {
		return nil, err
	}
	if len(v) < 2 || v[0] != 0x32 {
		return nil, ErrOther
	}
	m.firmware = Firmware{IC: v[0], Version: v[1]}
	if len(v) >= 4 { // all but the oldest say it all
		m.firmware.Revision, m.firmware.Support = v[2], v[3]
	}
	for _, c := range []struct {
		code byte
		data []byte
	}{
		// Activate ISO/IEC 14443-4 by itself (UM 7.2.9).
		{cmdSetParameters, []byte{0x14}},
		// Look for a card twice, then say that there is none; the default is
		// to look for ever (UM 7.3.1, item 05h).
		{cmdRFConfiguration, []byte{0x05, 0xFF, 0x01, 0x01}},
		{cmdRFConfiguration, []byte{0x01, 0x00}},
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := m.call(c.code, c.data); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// awake wakes the module up.
func (m *Module) awake(ctx context.Context) error {
	answered := false
	for range attempts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := m.line.Write(wakeUp); err != nil {
			return err
		}
		// Out of the state after power-up leads this command only (NXP
		// AN10609, "low battery mode"). Normal mode: the SAM is not used.
		m.synced = true // nothing to be in step with yet
		// What comes too early is lost: the next round wakes it up again.
		_, err := m.command(cmdSAMConfiguration, []byte{0x01, 0x00, 0x01}, m.t.Reply, false)
		answered = answered || m.heard
		if err == nil {
			if err = m.resync(); err == nil {
				return nil
			}
		}
		if !ours(err) {
			return err
		}
	}
	if answered {
		return ErrOther
	}
	return ErrSilent
}

// ours reports whether err is about the dialogue and not about the line.
func ours(err error) bool {
	for _, e := range []error{ErrSilent, ErrOther, ErrLost, ErrStuck, ErrResponse, ErrSyntax} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Firmware returns what the module said of itself.
func (m *Module) Firmware() Firmware { return m.firmware }

// call sends a command that may be carried out twice.
func (m *Module) call(code byte, data []byte) ([]byte, error) {
	return m.command(code, data, m.t.Reply, true)
}

// command sends a command and returns the response after its code. The slice
// is valid until the next command. A command that may not be repeated is sent
// again only if the module said that it has not taken it.
func (m *Module) command(code byte, data []byte, wait time.Duration, repeat bool) ([]byte, error) {
	if !m.synced {
		if err := m.resync(); err != nil {
			return nil, err
		}
	}
	m.synced = false
	if err := m.drain(0); err != nil {
		return nil, err
	}
	frame, err := AppendFrame(nil, ToModule, append([]byte{code}, data...))
	if err != nil {
		return nil, err
	}
	m.heard = false
	for range attempts {
		if _, err := m.line.Write(frame); err != nil {
			return nil, err
		}
		resp, err := m.answer(code, wait)
		switch {
		case errors.Is(err, errNACK), errors.Is(err, errNoACK) && repeat:
			continue
		case errors.Is(err, errNoACK):
			return nil, ErrLost
		case err == nil, errors.Is(err, ErrSyntax):
			m.synced = true
		}
		return resp, err
	}
	return nil, ErrLost
}

// answer waits for the confirmation of a command and then for the response.
//
// An ACK may be damaged on the line, so a response without one is believed
// after the time for an ACK is over. It is not believed before: what precedes
// the ACK is as a rule a response to something earlier.
func (m *Module) answer(code byte, wait time.Duration) ([]byte, error) {
	begin := time.Now()
	deadline := begin.Add(m.t.ACK)
	acked, unsure, nacks := false, false, 0
	var held []byte
	for {
		f, ok, err := m.next(deadline)
		if err != nil {
			return nil, err
		}
		if !ok {
			switch {
			case unsure:
				return nil, errNoACK
			case acked && nacks > 0:
				return nil, ErrLost
			case acked:
				// End it, whatever it is (UM 6.2.1.3).
				_, err := m.line.Write(frameACK)
				return nil, errors.Join(ErrStuck, err)
			case held != nil:
				return held, nil
			case m.heard:
				// Perhaps the module is at work. It cannot be asked to say
				// again what it said: that may be the response to the command
				// before.
				unsure, deadline = true, begin.Add(min(wait, m.t.Reply))
				continue
			}
			return nil, errNoACK
		}
		switch f.Kind {
		case ACK:
			if !acked {
				acked, unsure, held, deadline = true, false, nil, time.Now().Add(wait)
			}
		case NACK:
			if !acked {
				return nil, errNACK
			}
		case Syntax:
			if acked {
				return nil, ErrSyntax
			}
		case Damaged:
			if acked {
				if nacks == attempts {
					return nil, ErrLost
				}
				nacks++
				if _, err := m.line.Write(frameNACK); err != nil {
					return nil, err
				}
				// What is asked for again comes at once.
				deadline = time.Now().Add(2 * m.t.ACK)
			}
		case Data:
			if f.TFI != FromModule || f.Data[0] != code+1 {
				continue // to something earlier
			}
			resp := append([]byte{}, f.Data[1:]...)
			if acked || unsure {
				return resp, nil
			}
			held = resp
		}
	}
}

// next returns the next frame, or false when the deadline is over.
func (m *Module) next(deadline time.Time) (Frame, bool, error) {
	for {
		if f, ok := m.dec.Next(); ok {
			return f, true, nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return Frame{}, false, nil
		}
		within := m.dec.Pending()
		if within {
			left = min(left, m.t.Gap)
		}
		n, err := m.line.ReadFor(m.rx, left)
		if err != nil {
			return Frame{}, false, err
		}
		if n > 0 {
			m.heard = true
			_, _ = m.dec.Write(m.rx[:n])
			continue
		}
		if within { // the rest of it does not come
			m.dec.Reset()
			return Frame{Kind: Damaged}, true, nil
		}
	}
}

// drain throws away what has come, until nothing comes for quiet.
func (m *Module) drain(quiet time.Duration) error {
	m.dec.Reset()
	begin := time.Now()
	for got := 0; got < maxJunk && time.Since(begin) < maxWait; {
		n, err := m.line.ReadFor(m.rx, quiet)
		if n == 0 || err != nil {
			return err
		}
		got += n
	}
	return nil
}

// resync ends whatever the module is doing and gets host and module into step:
// a line test with a new number comes back only after everything older (UM
// 7.2.1, test 00h). So no response to one APDU can be taken for that to
// another.
func (m *Module) resync() error {
	heard := false
	for range attempts {
		if _, err := m.line.Write(frameACK); err != nil {
			return err
		}
		if err := m.drain(20 * time.Millisecond); err != nil {
			return err
		}
		m.nonce++
		test := []byte{cmdDiagnose, 0x00, 'c', 't', 0, 0}
		binary.BigEndian.PutUint16(test[4:], m.nonce)
		frame, err := AppendFrame(nil, ToModule, test)
		if err != nil {
			return err
		}
		if _, err := m.line.Write(frame); err != nil {
			return err
		}
		m.heard = false
		for deadline := time.Now().Add(2 * m.t.ACK); ; {
			f, ok, err := m.next(deadline)
			if err != nil {
				return err
			}
			if !ok || f.Kind == NACK {
				break
			}
			if f.Kind == Data && f.TFI == FromModule && f.Data[0] == cmdDiagnose+1 && string(f.Data[1:]) == string(test[1:]) {
				m.synced = true
				return nil
			}
		}
		heard = heard || m.heard
	}
	m.heard = heard
	if heard {
		return ErrLost
	}
	return ErrSilent
}

// Find looks for a card, of type A and then of type B, switches the field on
// for it if it is off, and activates it. It returns nil if there is none.
func (m *Module) Find() (*Target, error) {
	// The answer tells how far one gets: none, a card that is broken off
	// while it is activated, or a card.
	for _, q := range []struct {
		data  []byte
		typeB bool
	}{
		{[]byte{0x01, 0x00}, false},
		{[]byte{0x01, 0x03, 0x00}, true}, // every application family
	} {
		resp, err := m.call(cmdInListPassiveTarget, q.data)
		if err != nil {
			return nil, err
		}
		if len(resp) == 0 {
			return nil, ErrResponse
		}
		if resp[0] == 0 {
			continue
		}
		t, err := parseTarget(resp[1:], q.typeB)
		if err != nil {
			return nil, errors.Join(ErrResponse, err)
		}
		return t, nil
	}
	return nil, nil
}

// Speed sets the fastest bit rate up to limit (in kbit/s) that the card offers,
// and returns the rate of the card's answers (UM 7.3.7). It must be the first
// thing after Find. A card whose rate could not be set must be found anew.
func (m *Module) Speed(t *Target, limit int) (int, error) {
	send, receive := t.rates(limit)
	if send == 0 && receive == 0 {
		return Rate106, nil
	}
	resp, err := m.command(cmdInPSL, []byte{t.number, send, receive}, m.t.Reply, false)
	return Rate106 << receive, status(resp, err)
}

// Present asks the card whether it is still there. It does not disturb a
// session on it (UM 7.2.1, test 06h: an R(NAK) block).
func (m *Module) Present() (bool, error) {
	for range attempts { // one lost block is no removed card
		resp, err := m.call(cmdDiagnose, []byte{0x06})
		if err != nil {
			return false, err
		}
		if len(resp) == 0 {
			return false, ErrResponse
		}
		if resp[len(resp)-1] == 0x00 {
			return true, nil
		}
	}
	return false, nil
}

// PowerCycle switches the field off, so that every card in it forgets what it
// knew, and leaves it off; Find switches it on.
func (m *Module) PowerCycle() error {
	if _, err := m.call(cmdInRelease, []byte{0x00}); err != nil { // all of them
		return err
	}
	if _, err := m.call(cmdRFConfiguration, []byte{0x01, 0x00}); err != nil {
		return err
	}
	time.Sleep(m.t.PowerOff)
	return nil
}

// Exchange sends a command APDU and returns the response APDU, however long,
// in blocks of the module's size (UM 7.3.8: bit MI). A [Status] means that the
// card did not answer; ErrLost, that it is not known whether it got the
// command.
func (m *Module) Exchange(t *Target, cmd []byte) ([]byte, error) {
	const more = 0x40
	end := time.Now().Add(m.t.Exchange)
	for len(cmd) > maxBlock {
		block := cmd[:maxBlock]
		cmd = cmd[maxBlock:]
		end = end.Add(lineTime(len(block)))
		resp, err := m.block(t.number|more, block, end)
		if err := status(resp, err); err != nil {
			return nil, err
		}
		if len(resp) > 1 {
			return nil, ErrResponse // the card may not speak yet
		}
	}
	var out []byte
	resp, err := m.block(t.number, cmd, end)
	for {
		if err := status(resp, err); err != nil {
			return nil, err
		}
		out = append(out, resp[1:]...)
		if resp[0]&more == 0 {
			return out, nil
		}
		if len(out) > maxResponse || len(resp) == 1 {
			return nil, ErrTooLong
		}
		// A card that sends a byte at a time does not earn time by it.
		end = end.Add(lineTime(len(resp) - 1))
		resp, err = m.block(t.number, nil, end)
	}
}

// lineTime is how long n bytes take on the slowest line that is in use.
func lineTime(n int) time.Duration { return time.Duration(n) * 1100 * time.Microsecond }

// block exchanges one block, until a time. A card that has used up its time is as
// good as one that does not answer.
func (m *Module) block(tg byte, data []byte, end time.Time) ([]byte, error) {
	wait := time.Until(end)
	if wait <= 0 {
		return nil, ErrTooLong
	}
	return m.command(cmdInDataExchange, append([]byte{tg}, data...), wait, false)
}

// status returns the error that a response begins with.
func status(resp []byte, err error) error {
	if err != nil {
		return err
	}
	if len(resp) == 0 {
		return ErrResponse
	}
	if s := Status(resp[0] & 0x3F); s != 0 {
		return s
	}
	return nil
}

// bauds are the codes of SetSerialBaudRate (UM 7.2.8).
var bauds = map[int]byte{
	9600: 0, 19200: 1, 38400: 2, 57600: 3, 115200: 4, 230400: 5, 460800: 6, 921600: 7,
}

// CanBaud reports whether the module knows a speed of the line.
func CanBaud(baud int) bool {
	_, ok := bauds[baud]
	return ok
}

// Baud has the module change the speed of the line. On success it listens at
// the new speed already: the line is of no use any more, and the caller
// continues with [Module.Moved].
func (m *Module) Baud(baud int) error {
	code, ok := bauds[baud]
	if !ok {
		return fmt.Errorf("pn532: no such speed: %d baud", baud)
	}
	if _, err := m.call(cmdSetSerialBaudRate, []byte{code}); err != nil {
		return err
	}
	// The module changes over when it gets this.
	_, err := m.line.Write(frameACK)
	return err
}

// Moved continues on another line and makes sure that the module is there.
func (m *Module) Moved(line Line) error {
	m.line, m.synced = line, false
	return m.resync()
}
