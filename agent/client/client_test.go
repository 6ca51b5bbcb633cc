package client_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/agent/api/apitest"
	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryMethod goes through a check-in and the desk's own methods.
func TestEveryMethod(t *testing.T) {
	rig := apitest.Start(t, nil)
	ctx, desk := t.Context(), rig.Desk
	lab, token := rig.Program(t, "Lab")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(lab.Healthy(ctx))
	status, err := lab.Status(ctx)
	must(err)
	if status.Facility.Code != "01013" {
		t.Errorf("facility %q", status.Facility.Code)
	}
	readers, err := lab.Readers(ctx)
	must(err)
	if len(readers) != 1 {
		t.Errorf("%d readers", len(readers))
	}
	c, err := lab.Start(ctx, wire.Start{Photo: true})
	must(err)
	cur, err := lab.Current(ctx)
	must(err)
	if cur.ID != c.ID {
		t.Error("another check-in is running")
	}
	c, err = lab.Key(ctx, c.ID, wire.Key{CAN: "123456"})
	must(err)
	if c.State != wire.StateConfirm || c.Person.Name != "TRẦN THỊ MẪU" {
		t.Errorf("state %q", c.State)
	}
	picture, kind, err := lab.Photo(ctx, c.ID)
	must(err)
	if kind != "image/jpeg" || !bytes.HasPrefix(picture, []byte{0xFF, 0xD8}) {
		t.Errorf("photo of type %q", kind)
	}
	c, err = lab.Confirm(ctx, c.ID, wire.Confirmation{PhotoMatches: true})
	must(err)
	xml, err := lab.Record(ctx, c.ID)
	must(err)
	if !bytes.Contains(xml, []byte(c.Visit)) {
		t.Error("the record is another visit's")
	}
	if got, err := lab.Get(ctx, c.ID); err != nil || got.State != wire.StateRecorded {
		t.Errorf("state %q: %v", got.State, err)
	}
	c, err = lab.Start(ctx, wire.Start{})
	must(err)
	if c, err = lab.Cancel(ctx, c.ID); err != nil || c.State != wire.StateCancelled {
		t.Errorf("state %q: %v", c.State, err)
	}

	h, err := desk.History(ctx, wire.HistoryQuery{Day: "2026-11-22", Text: "MẪU"})
	must(err)
	q, err := desk.Queue(ctx, "rejected", "x&y")
	must(err)
	if len(h.Entries) != 1 || len(q.Entries) != 1 {
		t.Errorf("history of %d, queue of %d", len(h.Entries), len(q.Entries))
	}
	must(desk.Retry(ctx, q.Entries[0].Visit))
	_, err = desk.Doctor(ctx)
	must(err)
	_, err = desk.SignIn(ctx, wire.SignIn{Name: "lan", PIN: apitest.PIN})
	must(err)
	must(desk.SignOut(ctx))
	p, err := lab.RequestPairing(ctx, wire.PairingRequest{Name: "Another"})
	must(err)
	list, err := desk.Pairings(ctx)
	must(err)
	if len(list) != 1 {
		t.Errorf("%d pairings", len(list))
	}
	_, err = desk.Deny(ctx, p.ID)
	must(err)
	clients, err := desk.Clients(ctx)
	must(err)
	if len(clients) != 1 || clients[0].ID != token.ID {
		t.Errorf("clients %+v", clients)
	}
	var zip bytes.Buffer
	must(desk.SupportBundle(ctx, &zip))
	if !strings.HasPrefix(zip.String(), "PK") {
		t.Error("the support bundle is no archive")
	}
	must(desk.Revoke(ctx, token.ID))
}

func TestErrors(t *testing.T) {
	rig := apitest.Start(t, nil)
	lab, _ := rig.Program(t, "Lab")
	c, err := rig.Desk.Start(t.Context(), wire.Start{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		err    error
		status int
		code   string
	}{
		{"busy", second(lab.Start(t.Context(), wire.Start{})), 409, "checkin_busy"},
		{"another's", second(lab.Get(t.Context(), c.ID)), 404, "not_found"},
		{"id with a slash", second(lab.Get(t.Context(), "../queue")), 404, "not_found"},
		{"desk only", second(lab.Clients(t.Context())), 403, "desk_only"},
		{"bad key", second(rig.Desk.Key(t.Context(), c.ID, wire.Key{MRZ: "wrong"})), 400, "bad_mrz"},
		{"wrong state", second(rig.Desk.Confirm(t.Context(), c.ID, wire.Confirmation{PhotoMatches: true})), 409, "wrong_state"},
		{"no token", second(client.New(rig.URL, "").Status(t.Context())), 401, "no_token"},
		{"wrong PIN", second(rig.Desk.SignIn(t.Context(), wire.SignIn{Name: "lan", PIN: "0"})), 401, "sign_in_denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var e *client.Error
			if !errors.As(tt.err, &e) || e.Status != tt.status || e.Fault.Code != tt.code {
				t.Errorf("%v, want status %d %q", tt.err, tt.status, tt.code)
			}
			if tt.err != nil && strings.Contains(tt.err.Error(), c.ID) {
				t.Error("the error has an id")
			}
		})
	}
	_, err = rig.Desk.Token(t.Context(), "nothing", "000000")
	var e *client.Error
	if !errors.As(err, &e) || e.Status != 404 {
		t.Errorf("%v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAddress(t *testing.T) {
	for _, tt := range []struct {
		base string
		want bool
	}{
		{"http://127.0.0.1:1", true},
		{"http://[::1]:1/", true},
		{"http://localhost:1", true},
		{"http://192.0.2.1:9786", false},
		{"http://agent.example:9786", false},
		{"https://127.0.0.1:1", false}, // the agent speaks no TLS: this is somebody else
		{"http://user@127.0.0.1:1", false},
		{"http://127.0.0.1:1/api", false},
		{"http://127.0.0.1:1?x=1", false},
		{"127.0.0.1:1", false},
		{"", false},
	} {
		err := client.New(tt.base, "secret").Healthy(t.Context())
		if got := !errors.Is(err, client.ErrAddress); got != tt.want {
			t.Errorf("%q: %v", tt.base, err)
		}
	}
}

// TestForeignServer has something else listen where the agent should.
func TestForeignServer(t *testing.T) {
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"leads elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") }},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("<"))
		}},
		{"a fault without code", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(500)
			_, _ = w.Write([]byte("{}"))
		}},
		{"too much", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(bytes.Repeat([]byte(" "), 9<<20))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(tt.answer)
			defer s.Close()
			c := client.New(s.URL, "secret")
			defer c.CloseIdle()
			if _, err := c.Status(t.Context()); !errors.Is(err, client.ErrAnswer) {
				t.Errorf("%v", err)
			}
		})
	}
	if asked.Load() != 0 {
		t.Error("the token went elsewhere")
	}
}

// TestTokenFile has the agent start anew, with another token in the file.
func TestTokenFile(t *testing.T) {
	rig := apitest.Start(t, nil)
	path := filepath.Join(t.TempDir(), "token")
	c := client.NewWithTokenFile(rig.URL, path)
	defer c.CloseIdle()
	if _, err := c.Status(t.Context()); !errors.Is(err, client.ErrNoToken) {
		t.Errorf("no file: %v", err)
	}
	good, err := os.ReadFile(rig.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{{}, []byte("a b"), bytes.Repeat([]byte("a"), 10000)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Status(t.Context()); err == nil {
			t.Errorf("%d bytes are taken for a token", len(content))
		}
	}
	if err := os.WriteFile(path, []byte("chamthe_of_yesterday\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var e *client.Error
	if _, err := c.Status(t.Context()); !errors.As(err, &e) || e.Status != 401 {
		t.Errorf("an old token: %v", err)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("the new token was not read: %v", err)
	}
}

// TestEventsComeBack breaks the connection, and sees the stream go on with a word
// about what was missed.
func TestEventsComeBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var count atomic.Int64
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := count.Add(1)
		if n == 2 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(":\n\nevent: readers\nid: 7\ndata: {\"type\":\"readers\",\ndata: \"seq\":" + string(rune('0'+n)) + "}\n\n"))
		// The answer ends here: to the client the connection broke.
	})}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	c := client.New("http://"+l.Addr().String(), "x")
	defer c.CloseIdle()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []string
	for e, err := range c.Events(ctx) {
		if err != nil {
			got = append(got, "broken")
			continue
		}
		got = append(got, e.Type)
		if e.Seq == 3 {
			break
		}
	}
	want := "missed readers broken broken missed readers"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s, want %s", s, want)
	}
}

// TestEventsEnd ends the context of a stream on which nothing happens.
func TestEventsEnd(t *testing.T) {
	rig := apitest.Start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for e, err := range rig.Desk.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == wire.EventMissed {
			cancel()
		}
	}
	if ctx.Err() == nil {
		t.Error("the stream ended by itself")
	}
}
