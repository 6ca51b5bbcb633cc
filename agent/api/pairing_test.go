package api_test

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/api/apitest"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/wire"
)

func ask(t *testing.T, rig *apitest.Rig, origin, name string) response {
	t.Helper()
	return do(t, rig, request{method: "POST", path: "/api/v1/pairings", origin: origin, body: `{"name":` + quote(name) + `}`})
}

func quote(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }

func redeem(t *testing.T, rig *apitest.Rig, origin, id, code string) response {
	t.Helper()
	return do(t, rig, request{method: "POST", path: "/api/v1/pairings/" + id + "/token", origin: origin, body: `{"code":"` + code + `"}`})
}

func fails(t *testing.T, r response, status int, code string) {
	t.Helper()
	if got := r.fault(t).Code; r.status != status || got != code {
		t.Errorf("status %d %q, want %d %q", r.status, got, status, code)
	}
}

// wrong is a code that is not the given one.
func wrong(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func TestPairingOrder(t *testing.T) {
	rig := apitest.Start(t, nil)
	r := ask(t, rig, his, "Bệnh viện Thử")
	p := decode[wire.Pairing](t, r)
	if p.Code != "" || strings.Contains(string(r.body), "code") || p.State != "waiting" || p.Origin != his {
		t.Fatalf("the one who asks is told %+v", p)
	}
	list, err := rig.Desk.Pairings(t.Context())
	if err != nil || len(list) != 1 || list[0].Code == "" || list[0].Name != "Bệnh viện Thử" {
		t.Fatalf("the desk sees %d: %v", len(list), err)
	}
	code := list[0].Code
	fails(t, redeem(t, rig, his, p.ID, code), 409, "pairing_waiting") // not approved yet
	rig.Approve(t, p.ID)
	fails(t, redeem(t, rig, other, p.ID, code), 404, "not_found") // another page
	fails(t, redeem(t, rig, "", p.ID, code), 404, "not_found")    // a program
	token := decode[wire.Token](t, redeem(t, rig, his, p.ID, code))
	fails(t, redeem(t, rig, his, p.ID, code), 404, "not_found") // once only

	b, err := os.ReadFile(rig.Clients.Path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(token.Token)) || bytes.Contains(b, []byte(strings.TrimPrefix(token.Token, "chamthe_"))) || !bytes.Contains(b, []byte(token.ID)) {
		t.Error("the file of clients has the token, or not the client")
	}
	if info, err := os.Stat(rig.Clients.Path); err != nil || (runtime.GOOS != "windows" && info.Mode().Perm() != 0o600) {
		t.Errorf("file of clients: %v, %v", info.Mode(), err)
	}
	trail := rig.Trail()
	if len(trail) != 1 || trail[0].Action != audit.TokenApproved || trail[0].Object != token.ID || trail[0].Note != his {
		t.Errorf("trail: %+v", trail)
	}
	if len(token.Token) < 43 {
		t.Errorf("token has %d characters", len(token.Token))
	}
}

func TestPairingTries(t *testing.T) {
	rig := apitest.Start(t, nil)
	p := decode[wire.Pairing](t, ask(t, rig, his, "HIS"))
	code := rig.Approve(t, p.ID)
	for left := 2; left > 0; left-- {
		r := redeem(t, rig, his, p.ID, wrong(code))
		fails(t, r, 400, "pairing_code")
		if got := r.fault(t).TriesLeft; got == nil || *got != left {
			t.Errorf("tries left: %v, want %d", got, left)
		}
	}
	fails(t, redeem(t, rig, his, p.ID, wrong(code)), 403, "pairing_denied")
	fails(t, redeem(t, rig, his, p.ID, code), 403, "pairing_denied") // the right one, too late
	if _, err := rig.Desk.Approve(t.Context(), p.ID); err == nil {
		t.Error("three wrong codes were forgiven")
	}
	// What tried and failed can ask again, and gets another code.
	decode[wire.Pairing](t, ask(t, rig, his, "HIS"))
}

func TestPairingLimits(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	rig := apitest.Start(t, func(cfg *api.Config) {
		cfg.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	first := decode[wire.Pairing](t, ask(t, rig, his, "HIS"))
	code := rig.Approve(t, first.ID)
	second := decode[wire.Pairing](t, ask(t, rig, his, "HIS")) // loaded anew: takes the first one's place
	fails(t, redeem(t, rig, his, first.ID, code), 404, "not_found")
	if list, err := rig.Desk.Pairings(t.Context()); err != nil || len(list) != 1 || list[0].ID != second.ID {
		t.Errorf("the desk sees %d pairings: %v", len(list), err)
	}
	code = rig.Approve(t, second.ID)
	mu.Lock()
	now = now.Add(api.PairTime)
	mu.Unlock()
	fails(t, redeem(t, rig, his, second.ID, code), 404, "not_found") // expired
	refused := 0
	for range 8 {
		if r := ask(t, rig, other, "HIS"); r.status == http.StatusTooManyRequests {
			refused++
			if r.header.Get("Retry-After") == "" {
				t.Error("nobody says how long to wait")
			}
		}
	}
	if refused == 0 {
		t.Error("the desk can be asked without end")
	}
}

func TestPairingNames(t *testing.T) {
	for _, tt := range []struct {
		name, origin, given string
		want                bool
	}{
		{"page", his, "Bệnh viện Đa khoa", true},
		{"page, desk", his, "desk", true}, // its owner is its origin
		{"program", "", "Lab 2", true},
		{"program called desk", "", "Desk", false},
		{"program like an origin", "", "https://his.example", false},
		{"empty", his, "", false},
		{"spaces", his, " HIS", false},
		{"two lines", his, "HIS\nApproved", false},
		{"writing turned round", his, "HIS\u202egpj", false},
		{"invisible", his, "HIS\u200b", false},
		{"long", his, strings.Repeat("a", 65), false},
		{"just long enough", his, strings.Repeat("ế", 64), true},
		{"broken", his, "HIS\xff", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := api.ValidClient(tt.origin, tt.given); got != tt.want {
				t.Errorf("%q: %v, want %v", tt.given, got, tt.want)
			}
		})
	}
	rig := apitest.Start(t, nil)
	rig.Program(t, "Lab")
	fails(t, ask(t, rig, "", "Lab"), 409, "name_taken") // it would see the other's check-ins
	fails(t, ask(t, rig, "", "desk"), 400, "bad_request")
}

func TestPairingOff(t *testing.T) {
	hash := api.HashToken("chamthe_of_it")
	rig := apitest.Start(t, func(cfg *api.Config) {
		cfg.NoPairing = true
		cfg.Grants = []api.Grant{{Origin: his, Name: "HIS"}, {Name: "Lab", Hash: hash}}
	})
	fails(t, ask(t, rig, other, "HIS"), 403, "origin_refused")
	fails(t, ask(t, rig, "", "Program"), 403, "pairing_off")
	// A page that IT approved needs no desk, and cannot choose its name.
	p := decode[wire.Pairing](t, ask(t, rig, his, "The desk itself"))
	if p.State != "approved" || p.Name != "HIS" {
		t.Fatalf("%+v", p)
	}
	token := decode[wire.Token](t, redeem(t, rig, his, p.ID, ""))
	decode[wire.Status](t, do(t, rig, request{method: "GET", path: "/api/v1/status", token: token.Token, origin: his}))
	decode[wire.Status](t, do(t, rig, request{method: "GET", path: "/api/v1/status", token: "chamthe_of_it"}))
	list, err := rig.Desk.Clients(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%d clients: %v", len(list), err)
	}
	for _, c := range list {
		if c.AddedBy != "config" {
			t.Errorf("%s was added by %q", c.Name, c.AddedBy)
		}
		err := rig.Desk.Revoke(t.Context(), c.ID)
		if (err == nil) != (c.Name == "HIS") {
			t.Errorf("revoking %s: %v", c.Name, err)
		}
	}
}

// TestGrantsAreBounded has a page that keeps no token ask again and again.
func TestGrantsAreBounded(t *testing.T) {
	cfg := func(path string) func(*api.Config) {
		return func(cfg *api.Config) {
			cfg.Grants = []api.Grant{{Origin: his, Name: "HIS"}}
			cfg.Clients = api.ClientFile{Path: path}
		}
	}
	path := filepath.Join(t.TempDir(), "clients.json")
	var first string
	for i := 0; i < api.MaxGranted+2; {
		rig := apitest.Start(t, cfg(path)) // one server lets ask so often only
		for range api.AskingBurst {
			p := decode[wire.Pairing](t, ask(t, rig, his, "HIS"))
			token := decode[wire.Token](t, redeem(t, rig, his, p.ID, ""))
			if i++; i == 1 {
				first = token.Token
			}
		}
	}
	rig := apitest.Start(t, cfg(path))
	list, err := rig.Desk.Clients(t.Context())
	if err != nil || len(list) != api.MaxGranted {
		t.Errorf("%d clients: %v", len(list), err)
	}
	fails(t, do(t, rig, request{method: "GET", path: "/api/v1/status", token: first, origin: his}), 401, "no_token")
}

// TestRevoke takes a token back while its event stream is open and its check-in
// runs.
func TestRevoke(t *testing.T) {
	rig := apitest.Start(t, nil)
	rig.Front.SetManual(true)
	lab, token := rig.Program(t, "Lab")
	if _, err := lab.Start(t.Context(), wire.Start{}); err != nil {
		t.Fatal(err)
	}
	opened, ended := make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // patience
	defer cancel()
	go func() {
		for e, err := range lab.Events(ctx) {
			if e.Type == wire.EventMissed {
				close(opened)
			}
			if err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	<-opened
	if err := rig.Desk.Revoke(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the open stream was not ended")
	}
	fails(t, do(t, rig, request{method: "GET", path: "/api/v1/status", token: token.Token}), 401, "no_token")
	if rig.Front.Busy() {
		t.Error("its check-in keeps the desk waiting")
	}
	// It stays so after a restart.
	kept, err := rig.Clients.Load()
	if err != nil || len(kept) != 0 {
		t.Errorf("%d clients kept: %v", len(kept), err)
	}
	if trail := rig.Trail(); trail[len(trail)-1].Action != audit.TokenRevoked {
		t.Errorf("trail: %+v", trail)
	}
}

// TestEventsAreForTheirOwner has two clients listen.
func TestEventsAreForTheirOwner(t *testing.T) {
	rig := apitest.Start(t, nil)
	one, _ := rig.Program(t, "One")
	two, _ := rig.Program(t, "Two")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type stream struct {
		list []wire.Event
		done chan struct{}
	}
	listen := func(events iter.Seq2[wire.Event, error]) *stream {
		s, opened := &stream{done: make(chan struct{})}, make(chan struct{})
		go func() {
			defer close(s.done)
			first := true
			for e, err := range events {
				if err != nil {
					return
				}
				if first {
					first = false
					close(opened)
					continue
				}
				s.list = append(s.list, e)
				if e.Type == wire.EventLink { // the last one
					return
				}
			}
		}()
		<-opened
		return s
	}
	mine, others, desk := listen(one.Events(ctx)), listen(two.Events(ctx)), listen(rig.Desk.Events(ctx))
	if _, err := one.Start(t.Context(), wire.Start{Key: &wire.Key{CAN: "123456"}}); err != nil {
		t.Fatal(err)
	}
	ask(t, rig, his, "HIS")
	// A bus that errs must not be enough to show a person to somebody else.
	rig.Bus.Publish(wire.Event{Type: wire.EventCheckIn, CheckIn: &wire.CheckIn{ID: "x", Owner: "One", Person: &wire.Person{}}}, "Two")
	rig.Bus.Publish(wire.Event{Type: wire.EventLink, Status: &wire.Status{}}, "")
	count := func(s *stream, typ string) (n int) {
		<-s.done
		for _, e := range s.list {
			if e.Type == typ {
				n++
			}
		}
		return n
	}
	if n := count(mine, wire.EventCheckIn); n == 0 || n != count(desk, wire.EventCheckIn)-1 {
		t.Errorf("owner heard %d, the desk %d", n, count(desk, wire.EventCheckIn))
	}
	if n := count(others, wire.EventCheckIn); n != 0 {
		t.Errorf("another client heard %d events of a check-in that is not its own", n)
	}
	if n := count(mine, wire.EventPairing) + count(others, wire.EventPairing); n != 0 || count(desk, wire.EventPairing) == 0 {
		t.Errorf("clients heard of %d pairings, the desk of %d", n, count(desk, wire.EventPairing))
	}
}

// TestLog looks for what a log must not have.
func TestLog(t *testing.T) {
	var b lockedBuffer
	rig := apitest.Start(t, func(cfg *api.Config) {
		cfg.Logger = slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	desk := deskToken(t, rig)
	page := pairPage(t, rig, his).Token
	c := decode[wire.CheckIn](t, do(t, rig, request{method: "POST", path: "/api/v1/checkins", token: page, origin: his, body: `{"key":{"can":"123456"},"reference":"secret-reference"}`}))
	do(t, rig, request{method: "GET", path: "/api/v1/checkins/" + c.ID, token: page, origin: his})
	do(t, rig, request{method: "GET", path: "/api/v1/nothing/001190000001?q=MAU", token: desk})
	do(t, rig, request{method: "POST", path: "/api/v1/history/search", token: desk, body: `{"q":"TRAN"}`})
	do(t, rig, request{method: "GET", path: "/api/v1/status", token: "chamthe_wrong", origin: other})
	got := b.String()
	if !strings.Contains(got, `"route":"GET /api/v1/checkins/{id}","status":200`) || !strings.Contains(got, `"fault":"origin_refused"`) {
		t.Errorf("the log does not say what was asked:\n%s", got)
	}
	for _, secret := range []string{c.ID, page, desk, "chamthe_", "123456", "secret-reference", "001190000001", "MAU", "MẪU", "TRAN", "q="} {
		if strings.Contains(got, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestClientFile reads files that are not as they were written.
func TestClientFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clients.json")
	f := api.ClientFile{Path: path}
	if list, err := f.Load(); err != nil || len(list) != 0 {
		t.Errorf("no file: %d clients, %v", len(list), err)
	}
	k := api.Kept{Client: wire.Client{ID: "1", Origin: his, Name: "HIS", Added: time.Now().UTC().Truncate(time.Second)}, Hash: api.HashToken("x")}
	if err := f.Save([]api.Kept{k}); err != nil {
		t.Fatal(err)
	}
	if list, err := f.Load(); err != nil || len(list) != 1 || list[0].Hash != k.Hash || list[0].Origin != his {
		t.Errorf("%+v, %v", list, err)
	}
	for name, text := range map[string]string{
		"empty": "", "broken": "{", "other version": `{"version":2,"clients":[]}`, "unknown field": `{"version":1,"clients":[],"x":1}`,
		"more": `{"version":1,"clients":[]}{}`, "short hash": `{"version":1,"clients":[{"id":"1","name":"a","added":"2026-01-01T00:00:00Z","added_by":"","token_sha256":"00"}]}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Load(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, text := range map[string]string{
		"no origin and no name": `{"version":1,"clients":[{"id":"1","name":"","added":"2026-01-01T00:00:00Z","added_by":"","token_sha256":"` + strings.Repeat("11", 32) + `"}]}`,
		"no hash":               `{"version":1,"clients":[{"id":"1","name":"a","added":"2026-01-01T00:00:00Z","added_by":"","token_sha256":"` + strings.Repeat("00", 32) + `"}]}`,
		"wild origin":           `{"version":1,"clients":[{"id":"1","origin":"https://*","name":"a b","added":"2026-01-01T00:00:00Z","added_by":"","token_sha256":"` + strings.Repeat("11", 32) + `"}]}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := api.New(api.Config{Clients: f}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if runtime.GOOS != "windows" {
		if err := f.Save(nil); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o622); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Load(); err == nil {
			t.Error("a file that others may write to is believed")
		}
	}
}

// TestApprovedBy: a token is the responsibility of who approved it, not of who sits at
// the desk when it is fetched.
func TestApprovedBy(t *testing.T) {
	rig := apitest.Start(t, nil)
	sit := func(name string) {
		t.Helper()
		if _, err := rig.SignIn(t.Context(), wire.SignIn{Name: name, PIN: apitest.PIN}); err != nil {
			t.Fatal(err)
		}
	}
	lab := client.New(rig.URL, "")
	t.Cleanup(lab.CloseIdle)
	sit("mai")
	p, err := lab.RequestPairing(t.Context(), wire.PairingRequest{Name: "Lab"})
	if err != nil {
		t.Fatal(err)
	}
	sit("lan")
	code := rig.Approve(t, p.ID)
	sit("hoa")
	rig.Approve(t, p.ID) // approved already
	token, err := lab.Token(t.Context(), p.ID, code)
	if err != nil {
		t.Fatal(err)
	}
	trail := rig.Trail()
	if e := trail[len(trail)-1]; e.Action != audit.TokenApproved || e.Actor != "lan" || e.Object != token.ID {
		t.Errorf("entry %+v", e)
	}
	if list, err := rig.Desk.Clients(t.Context()); err != nil || len(list) != 1 || list[0].AddedBy != "lan" {
		t.Errorf("clients %+v, %v", list, err)
	}
}
