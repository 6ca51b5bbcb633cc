package serial

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/reader/serial/serialtest"
)

const patience = 20 * time.Second

// start runs a scanner on a pseudo-terminal until the test ends.
func start(t *testing.T, cfg ScannerConfig) (*serialtest.PTY, *Scanner) {
	t.Helper()
	pty := serialtest.NewPTY(t)
	cfg.Port = pty.Name
	if cfg.Retry == 0 {
		cfg.Retry, cfg.RetryMax = 10*time.Millisecond, 20*time.Millisecond
	}
	s := NewScanner(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	s.await(t, "connected", func(st ScannerStatus) bool { return st.Connected })
	return pty, s
}

// await waits for a status.
func (s *Scanner) await(t *testing.T, what string, ok func(ScannerStatus) bool) ScannerStatus {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		st := s.Status()
		if ok(st) {
			return st
		}
		if time.Now().After(end) {
			t.Fatalf("not %s: %+v", what, st)
		}
	}
}

func send(t *testing.T, pty *serialtest.PTY, text string) {
	t.Helper()
	if _, err := pty.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, s *Scanner) Scan {
	t.Helper()
	select {
	case scan := <-s.Scans():
		return scan
	case <-time.After(patience):
		t.Fatalf("no scan: %+v", s.Status())
		return Scan{}
	}
}

func TestScanner(t *testing.T) {
	pty, s := start(t, ScannerConfig{})
	if speed, err := pty.Speed(); err != nil || speed != 9600 {
		t.Errorf("speed %d, %v", speed, err)
	}
	for _, tt := range []struct {
		name, sent, text string
		kind             Kind
	}{
		{"citizen card", codeCCCD + "\r\n", codeCCCD, KindCCCD},
		{"health insurance", codeHI + "\r", codeHI, KindHI},
		{"passport", strings.Join(zoneTD3, "\r") + "\r", strings.Join(zoneTD3, "\n"), KindMRZ},
		{"no terminator", codeNew, codeNew, KindCCCD},
		{"something else", "0123456789\n", "0123456789", KindUnknown},
	} {
		send(t, pty, tt.sent)
		scan := receive(t, s)
		if scan.Text != tt.text || scan.Kind != tt.kind || scan.Encoding != UTF8 || string(scan.Raw) != tt.text || scan.At.IsZero() {
			t.Errorf("%s: kind %v, encoding %v, text right %v", tt.name, scan.Kind, scan.Encoding, scan.Text == tt.text)
		}
	}
	if st := s.Status(); st.Scans != 5 || st.Dropped+st.Oversized+st.Garbage != 0 || st.Connects != 1 {
		t.Errorf("status %+v", st)
	}
}

// TestScannerUnplugged tears the plug out within a scan. What was sent of it
// does not show, and the scanner works when it is back.
func TestScannerUnplugged(t *testing.T) {
	pty, s := start(t, ScannerConfig{Silence: -1})
	for n := range uint64(3) {
		send(t, pty, "00109900")
		pty.Unplug()
		st := s.await(t, "unplugged", func(st ScannerStatus) bool { return !st.Connected && st.Err != nil })
		if !errors.Is(st.Err, ErrPortGone) && !errors.Is(st.Err, ErrNoPort) {
			t.Errorf("unplugged: %v", st.Err)
		}
		s.await(t, "missed", func(st ScannerStatus) bool { return errors.Is(st.Err, ErrNoPort) })
		pty.Plug(t)
		s.await(t, "connected again", func(st ScannerStatus) bool { return st.Connected && st.Connects == n+2 })
		send(t, pty, codeCCCD+"\r")
		if scan := receive(t, s); scan.Text != codeCCCD {
			t.Errorf("after plugging in: %d bytes", len(scan.Text))
		}
	}
}

// TestScannerSlowDesk lets the desk sleep while more is scanned than the queue
// holds.
func TestScannerSlowDesk(t *testing.T) {
	pty, s := start(t, ScannerConfig{Queue: 3})
	for _, text := range []string{"1", "2", "3", "4", "5"} {
		send(t, pty, text+"\r")
	}
	s.await(t, "finished", func(st ScannerStatus) bool { return st.Scans == 5 && st.Dropped == 2 })
	var got []string
	for range 3 {
		got = append(got, receive(t, s).Text)
	}
	if !slices.Equal(got, []string{"3", "4", "5"}) {
		t.Errorf("left: %q", got)
	}
}

// TestScannerGarbage sends what a line of the wrong speed brings, and what
// never ends.
func TestScannerGarbage(t *testing.T) {
	pty, s := start(t, ScannerConfig{Silence: -1, Max: 100})
	send(t, pty, "\x00\x1B\x80\x9F\r")
	s.await(t, "refused", func(st ScannerStatus) bool { return st.Garbage == 1 })
	for range 200 {
		send(t, pty, strings.Repeat("\xA5", 1000))
	}
	send(t, pty, "\r"+codeCCCD[:12]+"\r")
	if scan := receive(t, s); scan.Text != codeCCCD[:12] {
		t.Errorf("after garbage: %d bytes", len(scan.Text))
	}
	if st := s.Status(); st.Oversized != 1 || st.Scans != 1 || st.Dropped != 0 {
		t.Errorf("status %+v", st)
	}
}

// TestScannerNobodyThere runs without a device, and with one that another
// program has.
func TestScannerNobodyThere(t *testing.T) {
	pty, s := start(t, ScannerConfig{})
	other := NewScanner(ScannerConfig{Port: pty.Name, Retry: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- other.Run(ctx) }()
	other.await(t, "refused", func(st ScannerStatus) bool { return errors.Is(st.Err, ErrPortBusy) })
	send(t, pty, "abc\r")
	if scan := receive(t, s); scan.Text != "abc" {
		t.Error("the first one is disturbed")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
