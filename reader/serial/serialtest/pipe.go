package serialtest

import (
	"io"
	"sync"
	"time"
)

// ErrUnplugged is what both ends of a pipe return after Close.
const ErrUnplugged = pipeError("serialtest: unplugged")

type pipeError string

func (e pipeError) Error() string { return string(e) }

// Pipe returns the two ends of a line in memory: that of the host, with the
// methods of a serial port, and that of the device. Nothing that is sent is
// lost or waits.
func Pipe() (*Host, io.ReadWriteCloser) {
	p := &pipe{quit: make(chan struct{})}
	p.up.some, p.down.some = make(chan struct{}, 1), make(chan struct{}, 1)
	return &Host{p}, device{p}
}

type pipe struct {
	up, down queue
	quit     chan struct{}
	once     sync.Once
}

func (p *pipe) close() { p.once.Do(func() { close(p.quit) }) }

// queue is one direction.
type queue struct {
	mu   sync.Mutex
	buf  []byte
	some chan struct{} // holds a token when there may be bytes
}

func (q *queue) write(b []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.buf = append(q.buf, b...)
	select {
	case q.some <- struct{}{}:
	default:
	}
}

func (q *queue) read(b []byte) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := copy(b, q.buf)
	q.buf = q.buf[n:]
	return n
}

// wait returns what there is, waiting for it until end or quit.
func (q *queue) wait(b []byte, end <-chan time.Time, quit <-chan struct{}) (int, error) {
	for {
		if n := q.read(b); n > 0 {
			return n, nil
		}
		select {
		case <-q.some:
		case <-end:
			return 0, nil
		case <-quit:
			return 0, ErrUnplugged
		}
	}
}

// Host is the end of the host.
type Host struct{ p *pipe }

// ReadFor waits up to d for bytes; none is 0 and no error.
func (h *Host) ReadFor(b []byte, d time.Duration) (int, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	return h.p.down.wait(b, timer.C, h.p.quit)
}

// Write sends b.
func (h *Host) Write(b []byte) (int, error) { return h.p.write(&h.p.up, b) }

// Close ends both ends.
func (h *Host) Close() error {
	h.p.close()
	return nil
}

func (p *pipe) write(q *queue, b []byte) (int, error) {
	select {
	case <-p.quit:
		return 0, ErrUnplugged
	default:
		q.write(b)
		return len(b), nil
	}
}

type device struct{ p *pipe }

func (d device) Read(b []byte) (int, error)  { return d.p.up.wait(b, nil, d.p.quit) }
func (d device) Write(b []byte) (int, error) { return d.p.write(&d.p.down, b) }

func (d device) Close() error {
	d.p.close()
	return nil
}
