package serialtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A PTY is a pseudo-terminal: the end that a test holds, and a name under which
// the code under test finds the other. It is unplugged when the test ends.
type PTY struct {
	*os.File // the test's end

	// Name is the port. It stays the same when a device is plugged in again.
	Name string

	device string
	slave  int // held open, so that closing the port does not end the line
}

// NewPTY makes a pseudo-terminal with the port name in a folder of the test.
func NewPTY(tb testing.TB) *PTY {
	tb.Helper()
	p := &PTY{Name: filepath.Join(tb.TempDir(), "ttyTEST0"), slave: -1}
	p.Plug(tb)
	tb.Cleanup(func() { p.Unplug() })
	return p
}

// Plug connects a new device under the name.
func (p *PTY) Plug(tb testing.TB) {
	tb.Helper()
	if err := p.plug(); err != nil {
		tb.Fatalf("pseudo-terminal: %v", err)
	}
}

func (p *PTY) plug() error {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	p.File = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	p.device = fmt.Sprintf("/dev/pts/%d", n)
	if p.slave, err = unix.Open(p.device, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	// No echo and no translation, even before the port is opened.
	t, err := unix.IoctlGetTermios(p.slave, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	t.Ispeed, t.Ospeed = unix.B115200, unix.B115200
	if err := unix.IoctlSetTermios(p.slave, unix.TCSETS, t); err != nil {
		return err
	}
	return os.Symlink(p.device, p.Name)
}

// Unplug takes the device away: whoever has the port open loses it. Doing so
// twice is harmless.
func (p *PTY) Unplug() {
	if p.slave < 0 {
		return
	}
	_ = os.Remove(p.Name)
	_ = p.File.Close()
	_ = unix.Close(p.slave)
	p.slave = -1
}

// Speed returns the speed that the other end has set.
func (p *PTY) Speed() (int, error) {
	t, err := unix.IoctlGetTermios(p.slave, unix.TCGETS)
	if err != nil {
		return 0, err
	}
	switch t.Cflag & unix.CBAUD {
	case unix.B9600:
		return 9600, nil
	case unix.B115200:
		return 115200, nil
	case unix.B230400:
		return 230400, nil
	case unix.B460800:
		return 460800, nil
	case unix.B921600:
		return 921600, nil
	}
	return 0, unix.EINVAL
}
