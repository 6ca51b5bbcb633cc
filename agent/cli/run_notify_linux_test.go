package cli_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/reader"
)

// manager listens as systemd does.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "300000")
	t.Setenv("WATCHDOG_PID", "")
	if err := l.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return l
}

// hears waits for a message that begins so.
func hears(t *testing.T, l *net.UnixConn, want string) string {
	t.Helper()
	var b [1024]byte
	for {
		n, err := l.Read(b[:])
		if err != nil {
			t.Fatalf("%s was not told: %v", want, err)
		}
		if got := string(b[:n]); strings.HasPrefix(got, want) {
			return got
		}
	}
}

// TestRunTellsSystemd hears that the agent is ready, that it lives, and that it stops.
func TestRunTellsSystemd(t *testing.T) {
	l := manager(t)
	p, _ := runs(t, t.TempDir())
	hears(t, l, "READY=1\n")
	hears(t, l, "STATUS=link not configured, 0 visits waiting")
	hears(t, l, "WATCHDOG=1\n")
	hears(t, l, "WATCHDOG=1\n")
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hears(t, l, "STOPPING=1\n")
	if exit := p.end(); exit != 0 {
		t.Errorf("exit status %d\n%s", exit, p.stderr.String())
	}
}

// hung is a card service that answers to nothing.
type hung struct{ reader.Driver }

func (hung) Readers(ctx context.Context) ([]reader.Info, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (hung) Wait(ctx context.Context, _ []reader.Info) ([]reader.Info, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestRunIsReadyWithoutReaders: systemd hears that the agent is ready before anybody
// has asked a card service that hangs.
func TestRunIsReadyWithoutReaders(t *testing.T) {
	l := manager(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	line := []string{"run", "--config", configIn(t, "facility: {code: 01013}\n"), "--data", t.TempDir(), "--port", "0"}
	var errs notes
	ended := make(chan int, 1)
	go func() { ended <- cli.MainWith(ctx, line, strings.NewReader(""), io.Discard, &errs, hung{}) }()
	if got := hears(t, l, "READY=1\n"); !strings.Contains(got, "STATUS=running") {
		t.Errorf("told %q", got)
	}
	stop()
	if exit := <-ended; exit != 0 {
		t.Errorf("exit status %d\n%s", exit, errs.String())
	}
}

// TestRunWaitsForEnrolment: without a facility it is ready and says that it is not
// configured; two interrupts end it.
func TestRunWaitsForEnrolment(t *testing.T) {
	l := manager(t)
	dir := t.TempDir()
	p := program(t, "run", "--config", configIn(t, "readers: {pcsc: false}\n"), "--data", dir, "--port", "0", "--ready-fd", "3")
	if line, err := p.ready.ReadString('\n'); err != nil || !strings.HasPrefix(line, "READY ") {
		t.Fatalf("%q, %v: %s", line, err, p.stderr.String())
	}
	hears(t, l, "READY=1\n")
	if _, err := os.Stat(filepath.Join(dir, "visits.db")); err == nil {
		t.Error("a store was made for nobody")
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = p.Process.Signal(os.Interrupt)
	// The second one may come before or after the end.
	if exit := p.end(); exit != 0 && exit != -1 {
		t.Errorf("exit status %d\n%s", exit, p.stderr.String())
	}
}

// TestRunWithoutScanner: a scanner that is not plugged in keeps nobody from working.
func TestRunWithoutScanner(t *testing.T) {
	t.Setenv("CHAMTHE_READERS_SCANNERS", "/nowhere/scanner") // a state and no error
	_, desk := runs(t, t.TempDir())
	st, err := desk.Status(t.Context())
	if err != nil || !st.Ready {
		t.Fatalf("%+v, %v", st, err)
	}
	if c, err := desk.Start(t.Context(), wire.Start{}); err != nil || c.State != wire.StateKey {
		t.Errorf("%+v, %v", c, err)
	}
}
