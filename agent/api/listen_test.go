package api_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/api/apitest"
)

func TestLoopbackOnly(t *testing.T) {
	s, err := api.New(api.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	everywhere, err := lc.Listen(t.Context(), "tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	here, err := api.Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), append(here, everywhere)...); !errors.Is(err, api.ErrAddress) {
		t.Errorf("serving everywhere: %v", err)
	}
	if conn, err := net.Dial("tcp", here[0].Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("the other listeners are still open")
	}
	if err := s.Serve(t.Context()); err == nil {
		t.Error("serving nowhere: no error")
	}
}

func TestListenTaken(t *testing.T) {
	first, err := api.Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, l := range first {
			_ = l.Close()
		}
	}()
	port := first[0].Addr().(*net.TCPAddr).Port
	for _, l := range first {
		if tcp := l.Addr().(*net.TCPAddr); !tcp.IP.IsLoopback() || tcp.Port != port {
			t.Errorf("listens on %v", tcp)
		}
	}
	if second, err := api.Listen(t.Context(), port); err == nil {
		for _, l := range second {
			_ = l.Close()
		}
		t.Error("a taken port was opened")
	}
}

// TestConnections opens more connections than are served, and sees that those
// over it are closed at once, and that room comes back.
func TestConnections(t *testing.T) {
	rig := apitest.Start(t, nil)
	address := strings.TrimPrefix(rig.URL, "http://")
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for range api.Connections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	over, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	_ = over.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := over.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one connection too many is held: %v", err)
	}
	for _, c := range open {
		_ = c.Close()
	}
	open = nil
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if err := rig.Desk.Healthy(t.Context()); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestStreamLimit opens more event streams than one client may have.
func TestStreamLimit(t *testing.T) {
	rig := apitest.Start(t, nil)
	_, lab := rig.Program(t, "Lab")
	head := "GET /api/v1/events HTTP/1.1\r\nHost: " + strings.TrimPrefix(rig.URL, "http://") + "\r\nAuthorization: Bearer " + lab.Token + "\r\n\r\n"
	for i := range api.StreamsEach + 1 {
		c, err := net.Dial("tcp", strings.TrimPrefix(rig.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		line := make([]byte, len("HTTP/1.1 200"))
		if _, err := io.ReadFull(c, line); err != nil {
			t.Fatal(err)
		}
		want := "HTTP/1.1 200"
		if i == api.StreamsEach {
			want = "HTTP/1.1 429"
		}
		if string(line) != want {
			t.Errorf("stream %d: %s", i+1, line)
		}
	}
}

// TestRateOfOneClient has one client ask without end, and another one go on.
func TestRateOfOneClient(t *testing.T) {
	rig := apitest.Start(t, nil)
	_, lab := rig.Program(t, "Lab")
	limited := false
	for range 2000 {
		if r := do(t, rig, request{method: "GET", path: "/api/v1/readers", token: lab.Token}); r.status == 429 {
			limited = true
			break
		}
	}
	if !limited {
		t.Error("one client may ask without end")
	}
	if _, err := rig.Desk.Status(t.Context()); err != nil {
		t.Errorf("the desk pays for it: %v", err)
	}
}

// TestPagesUseUpNothingElse has a page of somebody else fetch one of ours without end.
func TestPagesUseUpNothingElse(t *testing.T) {
	rig := apitest.Start(t, nil)
	ask := func(q request) int { return do(t, rig, q).status }
	without := func(name string, q request) {
		t.Helper()
		for range 2000 {
			if ask(q) == 429 {
				return
			}
		}
		t.Errorf("%s may ask without end", name)
	}
	without("a page", request{method: "GET", path: "/healthz", header: map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}})
	if got := ask(request{method: "GET", path: "/healthz"}); got != 200 {
		t.Errorf("a program that asks for life pays for a page: status %d", got)
	}
	without("a program", request{method: "GET", path: "/healthz"})
	if got := ask(request{method: "POST", path: "/api/v1/pairings", body: `{"name":"Lab"}`}); got != 201 {
		t.Errorf("who wants to be paired pays for others: status %d", got)
	}
	if _, err := rig.Desk.Status(t.Context()); err != nil {
		t.Errorf("the desk pays for it: %v", err)
	}
}
