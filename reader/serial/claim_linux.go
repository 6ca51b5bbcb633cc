package serial

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A hold is a second handle of a port, for what tarm/serial cannot do. It
// keeps other programs away: two readers on one line each get half of the
// bytes. And it waits: a port that nobody uses costs no time.
type hold struct {
	fd          int
	wakeR, wake int // a pipe that ends every waiting
}

// claim takes the port, or says by EAGAIN that somebody has it. Programs that
// lock ports agree on flock; TIOCEXCL keeps the others out (but not root).
func claim(name string) (*hold, error) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var pipe [2]int
	err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &hold{fd: fd, wakeR: pipe[0], wake: pipe[1]}, nil
}

// shut keeps everybody out who has not opened the port yet.
func (h *hold) shut() { _ = unix.IoctlSetInt(h.fd, unix.TIOCEXCL, 0) }

// readable waits until there is something to read, or an error to be read.
func (h *hold) readable() { h.await(unix.POLLIN, time.Minute) }

// writable waits up to d until the port takes data. The system knows no time
// limit for a write, and to discard what is on its way does not end one on
// every kind of port.
func (h *hold) writable(d time.Duration) bool { return h.await(unix.POLLOUT, d) }

// interrupt ends all waiting, now and later.
func (h *hold) interrupt() { _, _ = unix.Write(h.wake, []byte{0}) }

// await reports false when time is over and nothing has happened.
func (h *hold) await(event int16, d time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(h.fd), Events: event}, {Fd: int32(h.wakeR), Events: unix.POLLIN}}
	_, err := unix.Poll(fds, int(d.Milliseconds()))
	// What is wrong with the port, the call that follows will say.
	return fds[0].Revents != 0 || err != nil && !errors.Is(err, unix.EINTR)
}

func (h *hold) release() {
	_ = unix.IoctlSetInt(h.fd, unix.TIOCNXCL, 0)
	for _, fd := range []int{h.fd, h.wakeR, h.wake} {
		_ = unix.Close(fd)
	}
}

func isBusy(err error) bool {
	return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EWOULDBLOCK)
}

// isAbsent reports whether the system says of a port that nothing is behind
// it: ttyS4 of a PC that has two answers EIO, a name that is no terminal
// ENOTTY.
func isAbsent(err error) bool {
	for _, e := range []syscall.Errno{unix.ENXIO, unix.ENODEV, unix.EIO, unix.ENOTTY} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
