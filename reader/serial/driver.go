package serial

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/serial/pn532"
)

// What can be wrong with a port that is to be a card reader. [Driver.Problem]
// tells which, while its reader is listed as unavailable.
var (
	// ErrNoModule means that nothing answers on the port: the module is not
	// connected, has no power, or is not switched to its serial interface
	// (HSU).
	ErrNoModule = pn532.ErrSilent
	// ErrWrongDevice means that something answers that is no PN532: a scanner
	// on that port, or a module at another speed.
	ErrWrongDevice = pn532.ErrOther
	// ErrModuleStuck means that the module stopped in the middle of a command.
	ErrModuleStuck = pn532.ErrStuck
)

// Config describes the modules of a [Driver]. The zero value of each field but
// Ports stands for its default.
type Config struct {
	// Ports are the serial ports with a PN532. Ports that are not named are
	// left alone: asking what is behind a port means to write to it.
	Ports []string
	// Baud is the speed of the line: 115200 by default, which every module
	// speaks after power-up; up to 921600 where the USB adapter keeps up.
	Baud int
	// BitRate is the fastest rate towards the card in kbit/s: 106, 212 or 424
	// (default). A card that is disturbed at a fast rate is read at 106 from
	// its next reset on.
	BitRate int
	// Poll is how often Wait looks at the modules while cards come and go. 250
	// milliseconds by default.
	Poll time.Duration
	// Idle is how often Wait looks at them when no card has come or gone for
	// two minutes. 900 milliseconds by default, or Poll if that is longer.
	Idle time.Duration
	// Retry is how long a port is left alone after its module did not answer.
	// It doubles each time, up to eight times this. 2 seconds by default.
	Retry time.Duration
	// Timing bounds what is asked of a module.
	Timing pn532.Timing
	// WriteTimeout bounds a write to the port. 2 seconds by default.
	WriteTimeout time.Duration

	open func(PortConfig) (line, error) // OpenPort, unless a test has another
}

// calm is how long nothing has to happen before a look every Config.Poll is
// more than it takes: nobody is at the desk.
const calm = 2 * time.Minute

// defaultBaud is the speed of a PN532 after power-up (UM0701-02, 7.2.8).
const defaultBaud = 115200

// line is a [Port].
type line interface {
	pn532.Line
	Close() error
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.Poll, 250*time.Millisecond)
	def(&c.Idle, 900*time.Millisecond)
	c.Idle = max(c.Idle, c.Poll)
	def(&c.Retry, 2*time.Second)
	if c.Baud == 0 {
		c.Baud = defaultBaud
	}
	if c.BitRate == 0 {
		c.BitRate = pn532.Rate424
	}
	if c.open == nil {
		c.open = func(pc PortConfig) (line, error) { return OpenPort(pc) }
	}
	return c
}

// A Driver reads cards by PN532 modules on serial ports. It opens a port when
// it is first asked about it and keeps it open; call Close to give the ports
// back. A module that is unplugged and comes back, or that loses its power, is
// set up again by the next look at it. The methods may be called from several
// goroutines at once.
type Driver struct {
	cfg   Config
	slots []*slot

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a slot changes
	stirred time.Time     // when a slot last changed
}

var _ reader.Driver = (*Driver)(nil)

// New returns a driver for the modules on the ports of cfg. It opens nothing
// yet.
func New(cfg Config) *Driver {
	d := &Driver{cfg: cfg.withDefaults(), changed: make(chan struct{})}
	for _, port := range cfg.Ports {
		if slices.ContainsFunc(d.slots, func(s *slot) bool { return s.port == port }) {
			continue
		}
		name := ReaderName(port)
		d.slots = append(d.slots, &slot{
			d: d, port: port, name: name,
			turn: make(chan struct{}, 1),
			info: reader.Info{Name: name},
		})
	}
	return d
}

// ReaderName is the name of the reader on a port.
func ReaderName(port string) string { return "PN532 " + port }

// Readers implements [reader.Driver]. A port that is not there is not listed;
// one whose module does not answer is listed as unavailable, see
// [Driver.Problem].
func (d *Driver) Readers(ctx context.Context) ([]reader.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	for _, s := range d.slots {
		wg.Go(func() { s.look(ctx) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.list(), nil
}

// Wait implements [reader.Driver].
func (d *Driver) Wait(ctx context.Context, known []reader.Info) ([]reader.Info, error) {
	timer := time.NewTimer(d.cfg.Poll)
	defer timer.Stop()
	for {
		d.mu.Lock()
		changed := d.changed
		d.mu.Unlock()
		infos, err := d.Readers(ctx)
		if err != nil || !reader.Same(infos, known) {
			return infos, err
		}
		timer.Reset(d.interval(time.Now()))
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// interval is how long after a look the next one is due.
func (d *Driver) interval(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.stirred) < calm {
		return d.cfg.Poll
	}
	return d.cfg.Idle
}

// Problem tells why a reader is unavailable: [ErrNoModule], [ErrWrongDevice],
// [ErrModuleStuck], [ErrPortBusy], [ErrPortAccess] or another error of opening
// the port. It is nil for a reader that works, and [reader.ErrNoReader] for
// one that is not there.
func (d *Driver) Problem(name string) error {
	s := d.slot(name)
	if s == nil {
		return reader.ErrNoReader
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return s.why
}

// Open implements [reader.Driver].
func (d *Driver) Open(ctx context.Context, name string) (reader.Card, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := d.slot(name)
	if s == nil {
		return nil, reader.ErrNoReader
	}
	if s.inUse() {
		return nil, reader.ErrSharing // without waiting for its exchange
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	return s.open(ctx)
}

// Close gives the ports back. Open cards are of no use afterwards. The driver
// can be used again: it opens the ports anew.
func (d *Driver) Close() error {
	var err error
	for _, s := range d.slots {
		s.take(closePatience)
		if s.mod != nil && s.baud != defaultBaud {
			// A module that stays at this speed is not found at the other
			// after a change of the settings.
			_ = s.mod.Baud(defaultBaud)
		}
		if e := s.disconnect(reader.ErrNoReader, nil); err == nil {
			err = e
		}
		s.retryAt, s.pause = time.Time{}, 0
		s.end()
	}
	return err
}

func (d *Driver) slot(name string) *slot {
	for _, s := range d.slots {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (d *Driver) list() []reader.Info {
	d.mu.Lock()
	defer d.mu.Unlock()
	infos := make([]reader.Info, 0, len(d.slots))
	for _, s := range d.slots {
		if errors.Is(s.why, reader.ErrNoReader) {
			continue
		}
		in := s.info
		in.ATR = slices.Clone(in.ATR)
		infos = append(infos, in)
	}
	return infos
}
