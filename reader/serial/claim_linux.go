package serial

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A hold is a second handle of a port, for what tarm/serial cannot do. It
// keeps other programs away: two readers on one line each get half of the
// bytes. And it waits: a port that nobody uses costs no time. It waits in the
// runtime's own poller, because a goroutine that blocks in the system keeps the
// runtime's watchdog awake, which costs more than what is waited for.
type hold struct {
	fd   int
	file *os.File // owns fd
	conn syscall.RawConn
}

// claim takes the port, or says by EAGAIN that somebody has it. Programs that
// lock ports agree on flock; TIOCEXCL keeps the others out (but not root).
func claim(name string) (*hold, error) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	h := &hold{fd: fd, file: os.NewFile(uintptr(fd), name)}
	err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		h.conn, err = h.file.SyscallConn()
	}
	if err != nil {
		_ = h.file.Close()
		return nil, err
	}
	return h, nil
}

// shut keeps everybody out who has not opened the port yet.
func (h *hold) shut() { _ = unix.IoctlSetInt(h.fd, unix.TIOCEXCL, 0) }

// readable waits until there is something to read, or an error to be read, or
// the hold is interrupted.
func (h *hold) readable() {
	// What is wrong with the port, the call that follows will say.
	_ = h.conn.Read(func(fd uintptr) bool { return ready(fd, unix.POLLIN) })
}

// writable waits up to d until the port takes data, and reports false when time
// is over. The system knows no time limit for a write, and to discard what is
// on its way does not end one on every kind of port.
func (h *hold) writable(d time.Duration) bool {
	_ = h.file.SetWriteDeadline(time.Now().Add(d))
	err := h.conn.Write(func(fd uintptr) bool { return ready(fd, unix.POLLOUT) })
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// free reports whether the port takes data at once.
func (h *hold) free() (yes bool) {
	_ = h.conn.Control(func(fd uintptr) { yes = ready(fd, unix.POLLOUT) })
	return yes
}

// ready reports whether something has happened on the port, without waiting.
func ready(fd uintptr, event int16) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: event}}
	for {
		if n, err := unix.Poll(fds, 0); !errors.Is(err, unix.EINTR) {
			return n > 0 || err != nil
		}
	}
}

// interrupt ends all waiting to read, now and later. Waiting to write is short.
func (h *hold) interrupt() { _ = h.file.SetReadDeadline(time.Unix(1, 0)) }

func (h *hold) release() {
	_ = unix.IoctlSetInt(h.fd, unix.TIOCNXCL, 0)
	_ = h.file.Close()
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
