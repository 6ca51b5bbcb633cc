package serial

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// ScannerConfig describes a scanner. The zero value of each field but Port
// stands for its default.
type ScannerConfig struct {
	// Port is the serial port: "/dev/ttyACM0", "COM5".
	Port string
	// Baud is the speed of the line: 9600 by default, as scanners with a
	// serial cable leave the factory. A scanner on USB ignores it.
	Baud int
	// Terminator is what ends a scan, exactly: "\r\n", "\t", "\x03". By default
	// any CR or LF does.
	Terminator string
	// Silence ends a scan, too, if the scanner sends no terminator: 300
	// milliseconds by default. Less than zero means that only the terminator
	// ends a scan; what then stays without one for five seconds is thrown
	// away, so that it does not spoil the next scan.
	Silence time.Duration
	// Max is the longest scan in bytes: 4096 by default, which is more than a
	// QR code holds. Of a longer one nothing is kept.
	Max int
	// Encoding of the text.
	Encoding Encoding
	// Queue is how many scans wait for a receiver that is slow: 16 by default.
	// After that the oldest goes.
	Queue int
	// Retry is the first pause before a scanner that is not there is looked
	// for again: 250 milliseconds by default. It doubles up to RetryMax, 5
	// seconds by default.
	Retry, RetryMax time.Duration

	open func(PortConfig) (line, error) // OpenPort, unless a test has another
}

// stale is when the beginning of a scan is given up that nothing ends.
const stale = 5 * time.Second

// A Scan is what a scanner read from one code. It is personal data: printed,
// logged or marshalled as a whole it shows nothing.
type Scan struct {
	// Text is what was scanned, in the composed Unicode form (NFC), without
	// terminator.
	Text string
	// Raw are the bytes as they came, without terminator; the lines of a
	// machine readable zone are separated by LF.
	Raw []byte
	// Encoding is the one that Raw was taken to be in.
	Encoding Encoding
	// Kind is what Text looks like.
	Kind Kind
	// At is when the scan was complete.
	At time.Time
}

const redacted = "[redacted]"

// Format implements fmt.Formatter.
func (Scan) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText implements encoding.TextMarshaler, for package slog and JSON.
func (Scan) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// ScannerStatus tells how a scanner is.
type ScannerStatus struct {
	// Connected means that the port is open.
	Connected bool
	// Err is why it is not: [ErrNoPort], [ErrPortGone], [ErrPortBusy],
	// [ErrPortAccess] or [ErrPortConfig].
	Err error
	// Connects counts how often the port was opened, Scans what was scanned.
	Connects, Scans uint64
	// Dropped counts scans that nobody fetched in time, Oversized those that
	// were too long, Garbage those that were no text: the wrong speed, as a
	// rule.
	Dropped, Oversized, Garbage uint64
}

// A Scanner receives what a scanner on a serial port sends. [Scanner.Run] does
// the work; the other methods may be called from any goroutine.
type Scanner struct {
	cfg   ScannerConfig
	scans chan Scan

	mu     sync.Mutex
	status ScannerStatus
}

// NewScanner returns the scanner of cfg. It opens nothing yet.
func NewScanner(cfg ScannerConfig) *Scanner {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&cfg.Silence, 300*time.Millisecond)
	def(&cfg.Retry, 250*time.Millisecond)
	def(&cfg.RetryMax, 5*time.Second)
	if cfg.Baud == 0 {
		cfg.Baud = 9600
	}
	if cfg.Max <= 0 {
		cfg.Max = 4096
	}
	if cfg.Queue <= 0 {
		cfg.Queue = 16
	}
	if cfg.open == nil {
		cfg.open = func(pc PortConfig) (line, error) { return OpenPort(pc) }
	}
	return &Scanner{cfg: cfg, scans: make(chan Scan, cfg.Queue)}
}

// Scans returns the channel on which scans arrive. It is never closed.
func (s *Scanner) Scans() <-chan Scan { return s.scans }

// Status tells how the scanner is.
func (s *Scanner) Status() ScannerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Scanner) note(change func(*ScannerStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
}

// Run receives scans until ctx ends, then gives the port back and returns nil.
// A scanner that is not there, or that is unplugged, is a state and no error:
// it is looked for again and again. Only one Run may be going on at a time.
func (s *Scanner) Run(ctx context.Context) error {
	pause := s.cfg.Retry
	for ctx.Err() == nil {
		port, err := s.cfg.open(PortConfig{Name: s.cfg.Port, Baud: s.cfg.Baud})
		if err == nil {
			pause = s.cfg.Retry
			s.note(func(st *ScannerStatus) { st.Connected, st.Err = true, nil; st.Connects++ })
			err = s.receive(ctx, port)
			if cerr := port.Close(); err == nil {
				err = cerr
			}
		}
		s.note(func(st *ScannerStatus) { st.Connected, st.Err = false, err })
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, s.cfg.RetryMax)
	}
	s.note(func(st *ScannerStatus) { st.Err = nil })
	return nil
}

// receive reads until the port is lost or ctx ends.
func (s *Scanner) receive(ctx context.Context, port line) error {
	stop := context.AfterFunc(ctx, func() { _ = port.Close() }) // ends a read
	defer stop()
	f := &framer{terminator: []byte(s.cfg.Terminator), max: s.cfg.Max}
	buf := make([]byte, 1024)
	quiet := s.cfg.Silence
	if quiet < 0 {
		quiet = stale
	}
	for {
		wait := quiet
		if !f.pending() {
			wait = time.Hour // for nothing in particular
		} else if len(f.lines) > 0 && s.cfg.Silence < 0 {
			wait = 300 * time.Millisecond // for the next line
		}
		n, err := port.ReadFor(buf, wait)
		switch {
		case err != nil:
			return err // a scan that was torn is none
		case n > 0:
			f.feed(buf[:n], s.deliver)
		case s.cfg.Silence > 0:
			f.silence(true, s.deliver)
		case len(f.lines) > 0:
			f.silence(false, s.deliver)
		default:
			f.reset()
		}
		s.note(func(st *ScannerStatus) { st.Oversized += f.oversized })
		f.oversized = 0
	}
}

// deliver puts a scan into the queue.
func (s *Scanner) deliver(raw []byte) {
	text, enc := decode(raw, s.cfg.Encoding)
	if !printable(text) {
		s.note(func(st *ScannerStatus) { st.Garbage++ })
		return
	}
	scan := Scan{Text: text, Raw: raw, Encoding: enc, Kind: kindOf(strings.ReplaceAll(text, "\n", "")), At: time.Now()}
	s.note(func(st *ScannerStatus) { st.Scans++ })
	for {
		select {
		case s.scans <- scan:
			return
		default:
		}
		select {
		case <-s.scans: // the oldest
			s.note(func(st *ScannerStatus) { st.Dropped++ })
		default:
		}
	}
}
