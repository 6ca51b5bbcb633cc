package api_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/api/apitest"
	"github.com/chamthe/chamthe/agent/event"
	"github.com/chamthe/chamthe/agent/wire"
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

// TestConnections has a program open many more connections than are served, with and
// without a word: the desk and a client that keeps a stream are served all the same,
// and the oldest give way.
func TestConnections(t *testing.T) {
	rig := apitest.Start(t, nil)
	_, lab := rig.Program(t, "Lab")
	address := strings.TrimPrefix(rig.URL, "http://")
	dial := func(text string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		return c
	}
	status := func(c net.Conn) string {
		t.Helper()
		line := make([]byte, len("HTTP/1.1 200"))
		if _, err := io.ReadFull(c, line); err != nil {
			t.Fatal(err)
		}
		return string(line)
	}
	head := func(path, token string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	}
	stream := dial(head("/api/v1/events", lab.Token))
	if got := status(stream); got != "HTTP/1.1 200" {
		t.Fatal(got)
	}
	desk := dial("")
	answers := bufio.NewReader(desk)
	ask := func() {
		t.Helper()
		if _, err := io.WriteString(desk, head("/api/v1/readers", deskToken(t, rig))); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v", resp.Status, err)
		}
	}
	ask()
	for what, text := range map[string]string{
		"that are idle": "GET /healthz HTTP/1.1\r\nHost: " + address + "\r\n\r\n", "that are silent": "", "that never end": "GET /healthz HTTP/1.1\r\nHost: ",
	} {
		var open []net.Conn
		for i := range api.Connections + 20 {
			c := dial(text)
			open = append(open, c)
			if what == "that are idle" {
				status(c) // or it may not be idle yet
			}
			if i%40 != 39 && i < api.Connections {
				continue
			}
			rig.Desk.CloseIdle()
			soon, cancel := context.WithTimeout(t.Context(), 20*time.Second) // shorter than idle ones are kept
			_, err := rig.Desk.Status(soon)
			cancel()
			if err != nil {
				t.Fatalf("the desk is shut out by %d connections %s: %v", i, what, err)
			}
		}
		if _, err := io.Copy(io.Discard, open[0]); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("of those %s, the oldest is held", what)
		}
	}
	// Those that were there before, and are known, are not touched.
	ask()
	rig.Bus.Publish(wire.Event{Type: wire.EventReaders, Readers: []wire.Reader{{Name: "still there", Kind: "virtual"}}}, event.Everybody)
	var heard strings.Builder
	for b := make([]byte, 1); !strings.Contains(heard.String(), "still there"); heard.Write(b) {
		if _, err := io.ReadFull(stream, b); err != nil {
			t.Fatalf("the client's stream: %v", err)
		}
	}
}

// TestConnectionsOfAClient has a client with a token keep all connections: the desk
// takes the place of one that is idle.
func TestConnectionsOfAClient(t *testing.T) {
	p := api.NewPool()
	var ends, taken []net.Conn
	take := func() (net.Conn, bool) {
		here, there := net.Pipe()
		ends = append(ends, here, there)
		c, ok := p.Take(here)
		if ok {
			taken = append(taken, c)
		}
		return c, ok
	}
	defer func() {
		for _, c := range ends {
			_ = c.Close()
		}
	}()
	first, _ := take()
	for range api.Connections - 1 {
		if _, ok := take(); !ok {
			t.Fatal("no room below the limit")
		}
	}
	p.Known(false) // all of them, of a client, and at work
	if _, ok := take(); ok {
		t.Error("a connection at work gave way")
	}
	p.Idle(first)
	if _, ok := take(); !ok {
		t.Error("an idle connection did not give way")
	}
	p.Known(true)
	for _, c := range taken {
		p.Idle(c)
	}
	if _, ok := take(); ok {
		t.Error("a connection of the desk gave way")
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
