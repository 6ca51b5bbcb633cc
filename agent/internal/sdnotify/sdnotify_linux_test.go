package sdnotify_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/internal/sdnotify"
)

func TestNotify(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "s"), "@chamthe-test-" + strconv.Itoa(os.Getpid())} {
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", "30000000")
		t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
		n := sdnotify.FromEnvironment()
		if !n.Enabled() || n.Watchdog() != 30*time.Second {
			t.Errorf("enabled %v, watchdog %v", n.Enabled(), n.Watchdog())
		}
		if os.Getenv("NOTIFY_SOCKET") != "" || os.Getenv("WATCHDOG_USEC") != "" {
			t.Error("a child could speak for this process")
		}
		if err := n.Notify(sdnotify.Ready, sdnotify.Status("a\nb")); err != nil {
			t.Fatal(err)
		}
		var b [100]byte
		m, err := l.Read(b[:])
		if err != nil || string(b[:m]) != "READY=1\nSTATUS=a b" {
			t.Errorf("read %q, %v", b[:m], err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := n.Notify(sdnotify.Stopping); err == nil {
			t.Error("a manager that is gone was told")
		}
	}
}

func TestNobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", "1")
	n := sdnotify.FromEnvironment()
	if err := n.Notify(sdnotify.Ready); err != nil || n.Enabled() {
		t.Errorf("Notify = %v, enabled %v", err, n.Enabled())
	}
	if n.Watchdog() != 0 {
		t.Error("the watchdog is another process's")
	}
	t.Setenv("NOTIFY_SOCKET", "relative")
	if err := sdnotify.FromEnvironment().Notify(sdnotify.Ready); err == nil {
		t.Error("a name that is no socket was taken")
	}
}
