// Package sdnotify tells systemd how a service is doing: sd_notify(3) and
// sd_watchdog_enabled(3), as far as the agent needs them. Elsewhere, and where
// nobody listens, it does nothing.
package sdnotify

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// What is told.
const (
	Ready     = "READY=1"    // the start is over
	Stopping  = "STOPPING=1" // the end has begun
	Watchdog  = "WATCHDOG=1" // all is well
	Extending = "EXTEND_TIMEOUT_USEC=15000000"
)

// Status is a line that systemctl status shows. It holds no line feeds.
func Status(s string) string { return "STATUS=" + strings.ReplaceAll(s, "\n", " ") }

// A Notifier tells the manager that started this process.
type Notifier struct {
	socket   string
	watchdog time.Duration
}

// FromEnvironment returns the notifier of this process. The variables are taken
// out of the environment, so that a program which this one starts does not speak
// for it.
func FromEnvironment() *Notifier {
	n := &Notifier{socket: os.Getenv("NOTIFY_SOCKET")}
	if usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		if pid := os.Getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
			n.watchdog = time.Duration(usec) * time.Microsecond
		}
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name) // only a malformed name is an error
	}
	return n
}

// Watchdog is how often [Watchdog] has to be told at the least; 0 if nobody waits
// for it. Tell it twice as often.
func (n *Notifier) Watchdog() time.Duration { return n.watchdog }

// Enabled reports whether anybody listens.
func (n *Notifier) Enabled() bool { return n.socket != "" }

// Notify tells the manager one or several things at once. Without a manager it does
// nothing and returns nil.
func (n *Notifier) Notify(states ...string) error {
	if n.socket == "" {
		return nil
	}
	name := n.socket
	switch name[0] {
	case '@': // of Linux's abstract names, which package net takes as they are
	case '/':
	default:
		return errors.New("sdnotify: socket is neither a path nor an abstract name")
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(strings.Join(states, "\n")))
	return errors.Join(err, c.Close())
}
