package serial

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/reader/serial/serialtest"
)

func openPTY(t *testing.T) (*serialtest.PTY, *Port) {
	t.Helper()
	pty := serialtest.NewPTY(t)
	p, err := OpenPort(PortConfig{Name: pty.Name, Baud: 115200, WriteTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return pty, p
}

func TestPort(t *testing.T) {
	pty, p := openPTY(t)
	if n, err := p.Write([]byte("hello")); n != 5 || err != nil {
		t.Fatalf("Write: %d, %v", n, err)
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(pty, buf); err != nil || string(buf) != "hello" {
		t.Errorf("arrived: %q, %v", buf, err)
	}
	if n, err := p.ReadFor(buf, 0); n != 0 || err != nil {
		t.Errorf("ReadFor of nothing: %d, %v", n, err)
	}
	send(t, pty, "world!\r\n\x00\x11\x13\x7F\xFF") // nothing of it is special
	var got []byte
	for len(got) < 13 {
		n, err := p.ReadFor(buf, patience)
		if n == 0 || err != nil {
			t.Fatalf("ReadFor: %d, %v", n, err)
		}
		got = append(got, buf[:n]...)
	}
	if string(got) != "world!\r\n\x00\x11\x13\x7F\xFF" {
		t.Errorf("read %q", got)
	}
}

// TestPortCloseEndsCalls closes a port under a read and a write that wait. It
// can be opened again at once.
func TestPortCloseEndsCalls(t *testing.T) {
	pty, p := openPTY(t)
	errs := make(chan error, 1)
	go func() {
		_, err := p.ReadFor(make([]byte, 1), time.Hour)
		errs <- err
	}()
	if err := p.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-errs; !errors.Is(err, ErrPortClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, ErrPortClosed) {
		t.Errorf("write: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	again, err := OpenPort(PortConfig{Name: pty.Name, Baud: 9600})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestPortStuck writes to a device that takes nothing.
func TestPortStuck(t *testing.T) {
	_, p := openPTY(t)
	if _, err := p.Write(make([]byte, 1<<20)); !errors.Is(err, ErrPortStuck) {
		t.Errorf("write: %v", err)
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, ErrPortStuck) {
		t.Errorf("the write after it: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestPortGone(t *testing.T) {
	pty, p := openPTY(t)
	send(t, pty, "last words")
	buf := make([]byte, 64)
	n, err := p.ReadFor(buf, patience)
	if err != nil || !strings.HasPrefix("last words", string(buf[:n])) || n == 0 {
		t.Errorf("before: %q, %v", buf[:n], err)
	}
	errs := make(chan error, 1)
	go func() {
		for {
			if n, err := p.ReadFor(buf, time.Hour); n == 0 {
				errs <- err
				return
			}
		}
	}()
	pty.Unplug()
	if err := <-errs; !errors.Is(err, ErrPortGone) {
		t.Errorf("read: %v", err)
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, ErrPortGone) {
		t.Errorf("write: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestOpenPortRefuses(t *testing.T) {
	pty := serialtest.NewPTY(t)
	held, err := OpenPort(PortConfig{Name: pty.Name, Baud: 9600})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	free := serialtest.NewPTY(t)
	for _, tt := range []struct {
		name string
		cfg  PortConfig
		want error
	}{
		{"absent", PortConfig{Name: filepath.Join(dir, "ttyNONE"), Baud: 9600}, ErrNoPort},
		{"no terminal", PortConfig{Name: file, Baud: 9600}, ErrNoPort},
		{"a folder", PortConfig{Name: dir, Baud: 9600}, ErrPortConfig},
		{"in use", PortConfig{Name: pty.Name, Baud: 9600}, ErrPortBusy},
		{"no such speed", PortConfig{Name: free.Name, Baud: 12345}, ErrPortConfig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := OpenPort(tt.cfg)
			if !errors.Is(err, tt.want) || p != nil {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			var pe *PortError
			if !errors.As(err, &pe) || pe.Port != tt.cfg.Name || pe.Op != "open" {
				t.Errorf("not a PortError of the port: %#v", err)
			}
		})
	}
}

// TestPorts lists whatever ports this computer has.
func TestPorts(t *testing.T) {
	ports, err := Ports(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ports {
		if p.Name == "" || (p.VendorID == 0) != (p.ProductID == 0) {
			t.Errorf("%+v", p)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Ports(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}
