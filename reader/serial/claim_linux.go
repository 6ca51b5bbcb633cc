package serial

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A hold keeps other programs from a port: tarm/serial opens it as anybody
// may, and two readers on one line each get half of the bytes.
type hold struct{ fd int }

// claim takes the port, or says by EAGAIN that somebody has it. Programs that
// lock ports agree on flock; TIOCEXCL keeps the others out (but not root).
func claim(name string) (*hold, error) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &hold{fd}, nil
}

// shut keeps everybody out who has not opened the port yet.
func (h *hold) shut() { _ = unix.IoctlSetInt(h.fd, unix.TIOCEXCL, 0) }

// writable waits up to d until the port takes data. The system knows no time
// limit for a write, and to discard what is on its way does not end one on
// every kind of port.
func (h *hold) writable(d time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds, int(d.Milliseconds()))
	return n > 0 || err != nil && !errors.Is(err, unix.EINTR) // the write will say what is wrong
}

func (h *hold) release() {
	_ = unix.IoctlSetInt(h.fd, unix.TIOCNXCL, 0)
	_ = unix.Close(h.fd)
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
