package serial

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"time"
)

// What can go wrong with a serial port.
var (
	// ErrNoPort means that there is no such port, or that nothing is behind
	// it.
	ErrNoPort = errors.New("serial: no such port")
	// ErrPortBusy means that another program, or another part of this one,
	// has the port.
	ErrPortBusy = errors.New("serial: port in use by another program")
	// ErrPortAccess means that this user may not open the port. On Linux the
	// group dialout may, as a rule.
	ErrPortAccess = errors.New("serial: access to the port denied")
	// ErrPortGone means that the device was unplugged while the port was open.
	ErrPortGone = errors.New("serial: device unplugged")
	// ErrPortStuck means that the device does not take what is sent to it.
	ErrPortStuck = errors.New("serial: device takes no data")
	// ErrPortClosed means that the port was closed by its owner.
	ErrPortClosed = errors.New("serial: port closed")
	// ErrPortConfig means that the port cannot work as it was asked to: no
	// such speed, for example.
	ErrPortConfig = errors.New("serial: setting not possible")
)

// A PortError is a refusal of the system. It unwraps to one of the errors of
// this package and to what the system said.
type PortError struct {
	// Op is what was tried: "open", "read", "write".
	Op string
	// Port is the name of the port.
	Port string

	kind, cause error
}

// Error implements error.
func (e *PortError) Error() string {
	s := e.Op + " " + e.Port + ": " + e.kind.Error()
	if e.cause != nil {
		s += " (" + e.cause.Error() + ")"
	}
	return s
}

// Unwrap returns the kind of the error and its cause.
func (e *PortError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

// PortConfig says how to open a port.
type PortConfig struct {
	// Name is what the system calls the port: "/dev/ttyUSB0", "COM5".
	Name string
	// Baud is the speed of the line, eight bits, no parity, one stop bit, no
	// flow control. A USB device that only looks like a serial port ignores
	// it.
	Baud int
	// WriteTimeout bounds a write. 2 seconds by default.
	WriteTimeout time.Duration
}

const (
	// tick is how often the system returns from a read on which nothing comes,
	// and so, but on Linux, how long closing may take: the shortest that
	// tarm/serial knows.
	tick = 100 * time.Millisecond
	// chunks is how many reads are kept for a caller that does not read. Then
	// the system's own buffer fills, and after it bytes are lost, as on every
	// serial line.
	chunks = 64
	// piece is how much the system is given at once. What it has room for by
	// the time it takes anything at all is more.
	piece = 256
	// closing bounds how long Close waits for the system.
	closing = 2 * time.Second
)

// rawPort is what tarm/serial gives us.
type rawPort interface {
	io.ReadWriteCloser
	// Flush discards what is on its way in both directions.
	Flush() error
}

// A Port is an open serial port; call Close to give it back. It mends what
// tarm/serial leaves open: closing interrupts a read, a write is bounded in
// time, a device that was unplugged is told from one that is silent, and, on
// Linux, no other program may open the port meanwhile.
//
// One goroutine may read while another writes and a third closes.
type Port struct {
	name string
	raw  rawPort
	hold *hold

	in     chan []byte
	rest   []byte // of the last chunk; belongs to the reader
	out    chan []byte
	sent   chan error
	wait   time.Duration
	turn   sync.Mutex // held during a write
	quit   chan struct{}
	pumps  sync.WaitGroup
	closed sync.Once

	fail  sync.Once
	lost  chan struct{} // closed after err is set
	err   error
	ended chan struct{} // closed when both pumps have ended
	freed chan struct{} // closed when the system has the port back
}

// OpenPort opens a port. The errors are [ErrNoPort], [ErrPortBusy],
// [ErrPortAccess] and [ErrPortConfig].
func OpenPort(cfg PortConfig) (*Port, error) {
	h, err := claim(cfg.Name)
	if err != nil {
		return nil, &PortError{Op: "open", Port: cfg.Name, kind: openKind(err), cause: err}
	}
	raw, err := openNative(cfg.Name, cfg.Baud)
	if err != nil {
		h.release()
		return nil, &PortError{Op: "open", Port: cfg.Name, kind: openKind(err), cause: err}
	}
	h.shut()
	return newPort(cfg, raw, h), nil
}

// openKind says what it means that a port could not be opened.
func openKind(err error) error {
	switch {
	case isBusy(err):
		return ErrPortBusy
	case errors.Is(err, fs.ErrNotExist), isAbsent(err):
		return ErrNoPort
	case errors.Is(err, fs.ErrPermission):
		return ErrPortAccess
	}
	return ErrPortConfig
}

func newPort(cfg PortConfig, raw rawPort, h *hold) *Port {
	p := &Port{
		name:  cfg.Name,
		raw:   raw,
		hold:  h,
		in:    make(chan []byte, chunks),
		out:   make(chan []byte),
		sent:  make(chan error, 1),
		wait:  cfg.WriteTimeout,
		quit:  make(chan struct{}),
		lost:  make(chan struct{}),
		ended: make(chan struct{}),
		freed: make(chan struct{}),
	}
	if p.wait <= 0 {
		p.wait = 2 * time.Second
	}
	p.pumps.Go(p.pumpIn)
	p.pumps.Go(p.pumpOut)
	go func() {
		p.pumps.Wait()
		close(p.ended)
	}()
	return p
}

// Name returns what the system calls the port.
func (p *Port) Name() string { return p.name }

// lose notes the first reason why the port is of no use any more.
func (p *Port) lose(op string, kind, cause error) {
	p.fail.Do(func() {
		p.err = &PortError{Op: op, Port: p.name, kind: kind, cause: cause}
		close(p.lost)
	})
}

// pumpIn reads until the port is closed or lost.
func (p *Port) pumpIn() {
	hasty := 0
	for {
		p.hold.readable()
		select {
		case <-p.quit:
			return
		default:
		}
		buf := make([]byte, 512)
		begin := time.Now()
		n, err := p.raw.Read(buf)
		select {
		case <-p.quit:
			return
		default:
		}
		switch {
		case n > 0:
			hasty = 0
			select {
			case p.in <- buf[:n]:
			case <-p.quit:
				return
			}
		case err != nil && !errors.Is(err, io.EOF):
			p.lose("read", ErrPortGone, err)
			return
		case time.Since(begin) < tick/2:
			// Nothing, and no waiting for it: that is how a device that was
			// unplugged looks on Linux. To write nothing is an error then.
			hasty++
			if _, err := p.raw.Write(nil); err != nil || hasty == 3 {
				p.lose("read", ErrPortGone, err)
				return
			}
		default:
			hasty = 0
		}
	}
}

// pumpOut writes until the port is closed.
func (p *Port) pumpOut() {
	for {
		select {
		case b := <-p.out:
			var err error
			for len(b) > 0 && err == nil {
				select {
				case <-p.quit:
					return
				default:
				}
				if !p.hold.writable(tick) {
					continue
				}
				var n int
				if n, err = p.raw.Write(b[:min(len(b), piece)]); n == 0 && err == nil {
					err = io.ErrShortWrite
				}
				b = b[n:]
			}
			p.sent <- err // has room: one write at a time
		case <-p.quit:
			return
		}
	}
}

// ReadFor waits up to d for bytes and returns those that have come; none
// within d is 0 and no error. What came before the port was lost is still
// returned. The errors are [ErrPortGone], [ErrPortStuck] and [ErrPortClosed].
func (p *Port) ReadFor(b []byte, d time.Duration) (int, error) {
	if len(p.rest) == 0 {
		select {
		case <-p.quit:
			return 0, ErrPortClosed
		case p.rest = <-p.in:
		default:
			if d <= 0 {
				select {
				case <-p.lost:
					return 0, p.err
				default:
					return 0, nil
				}
			}
			timer := time.NewTimer(d)
			defer timer.Stop()
			select {
			case p.rest = <-p.in:
			case <-timer.C:
				return 0, nil
			case <-p.quit:
				return 0, ErrPortClosed
			case <-p.lost:
				select {
				case p.rest = <-p.in: // it came before
				default:
					return 0, p.err
				}
			}
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// Write sends b, which is not kept. If the device does not take it in time the
// port is lost: how much of it went out is not known. The errors are those of
// ReadFor.
func (p *Port) Write(b []byte) (int, error) {
	p.turn.Lock()
	defer p.turn.Unlock()
	select {
	case <-p.quit:
		return 0, ErrPortClosed
	case <-p.lost:
		return 0, p.err
	default:
	}
	if len(b) <= piece && p.hold.free() {
		// As a rule: without the detour over a goroutine that can be waited for.
		n, err := p.raw.Write(b)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		if err == nil {
			return n, nil
		}
		select {
		case <-p.quit:
			return n, ErrPortClosed
		default:
			p.lose("write", ErrPortGone, err)
			return n, p.err
		}
	}
	select {
	case <-p.quit:
		return 0, ErrPortClosed
	case p.out <- append([]byte{}, b...):
	}
	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	select {
	case err := <-p.sent:
		if err != nil {
			p.lose("write", ErrPortGone, err)
			return 0, p.err
		}
		return len(b), nil
	case <-timer.C:
		p.lose("write", ErrPortStuck, nil)
		return 0, p.err
	case <-p.lost:
		return 0, p.err
	case <-p.quit:
		return 0, ErrPortClosed
	}
}

// Close gives the port back and ends every call on it. When it returns, the
// port can be opened again, unless the system does not let go of it within two
// seconds: then it returns [ErrPortStuck]. Closing twice is harmless.
func (p *Port) Close() error {
	p.closed.Do(func() {
		close(p.quit)
		p.hold.interrupt()
		go func() {
			// Discarding what is on its way frees a write that the device does
			// not take; what was written last may still be on its way to one
			// that does, so not at once.
			for wait := 2 * tick; ; wait = tick {
				select {
				case <-p.ended:
				case <-time.After(wait):
					_ = p.raw.Flush()
					continue
				}
				break
			}
			_ = p.raw.Close()
			p.hold.release()
			close(p.freed)
		}()
	})
	select {
	case <-p.freed:
		return nil
	case <-time.After(closing):
		return &PortError{Op: "close", Port: p.name, kind: ErrPortStuck}
	}
}

// portExists reports whether there is a port of that name, where names of
// ports are names of files. Elsewhere it is true: only opening shows it.
func portExists(name string) bool {
	if runtime.GOOS == "windows" {
		return true
	}
	_, err := os.Stat(name)
	return err == nil
}
