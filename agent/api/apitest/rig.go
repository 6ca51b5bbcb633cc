// Package apitest is an agent without cards, readers and disk behind the real
// local API: for tests of the API, of its Go client, of the page for integrators
// and of the desk. Its people are made up.
package apitest

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/event"
	"github.com/chamthe/chamthe/agent/wire"
)

// A Rig is a served API over fakes.
type Rig struct {
	URL     string // http://127.0.0.1:port
	Port    int
	Front   *Front
	Bus     *event.Bus
	Server  *api.Server
	Desk    *client.Client
	Token   string // of the desk, as in TokenFile
	Clients api.ClientFile

	TokenFile string

	mu       sync.Mutex
	trail    []audit.Entry
	broken   error
	operator string
}

// PIN is the one that the fake operators have.
const PIN = "1234"

// Start serves the API on a free port until the test ends. change, which may be
// nil, gets the configuration before it is used.
func Start(t testing.TB, change func(*api.Config)) *Rig {
	t.Helper()
	dir := t.TempDir()
	r := &Rig{Bus: event.New(), TokenFile: filepath.Join(dir, "desk.token"), Clients: api.ClientFile{Path: filepath.Join(dir, "clients.json")}}
	r.Front = NewFront(r.Bus)
	hash, err := api.WriteDeskToken(r.TokenFile, -1)
	if err != nil {
		t.Fatal(err)
	}
	cfg := api.Config{
		CheckIns: r.Front, Journal: journal{}, Operators: r, Events: r.Bus,
		Status: r.status,
		Readers: func(context.Context) ([]wire.Reader, error) {
			return []wire.Reader{{Name: "Virtual 00", Kind: "virtual", Card: true, Best: true}}, nil
		},
		Doctor:  diagnose,
		Support: bundle,
		Fault:   name,
		Desk:    hash,
		Clients: r.Clients,
		Audit:   r.audit,
		Logger:  slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	if r.Server, err = api.New(cfg); err != nil {
		t.Fatal(err)
	}
	listeners, err := api.Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Server.Serve(ctx, listeners...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		r.Bus.Close()
	})
	r.Port = listeners[0].Addr().(*net.TCPAddr).Port
	r.URL = "http://" + listeners[0].Addr().String()
	r.Desk = client.NewWithTokenFile(r.URL, r.TokenFile)
	t.Cleanup(r.Desk.CloseIdle)
	return r
}

// Program pairs a program and returns its client.
func (r *Rig) Program(t testing.TB, name string) (*client.Client, wire.Token) {
	t.Helper()
	c := client.New(r.URL, "")
	t.Cleanup(c.CloseIdle)
	p, err := c.RequestPairing(t.Context(), wire.PairingRequest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	code := r.Approve(t, p.ID)
	token, err := c.Token(t.Context(), p.ID, code)
	if err != nil {
		t.Fatal(err)
	}
	c = client.New(r.URL, token.Token)
	t.Cleanup(c.CloseIdle)
	return c, token
}

// Approve approves a pairing at the desk and returns the code that it shows.
func (r *Rig) Approve(t testing.TB, id string) string {
	t.Helper()
	list, err := r.Desk.Pairings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(p wire.Pairing) bool { return p.ID == id })
	if i < 0 {
		t.Fatal("the desk does not know the pairing")
	}
	if _, err := r.Desk.Approve(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return list[i].Code
}

// Trail returns what was written in the audit trail.
func (r *Rig) Trail() []audit.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.trail)
}

// BreakTrail has the trail refuse entries, or with nil take them again.
func (r *Rig) BreakTrail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = err
}

func (r *Rig) audit(_ context.Context, entries ...audit.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	r.trail = append(r.trail, entries...)
	return nil
}

// SignIn takes any name with the [PIN].
func (r *Rig) SignIn(_ context.Context, s wire.SignIn) (wire.Operator, error) {
	if s.PIN != PIN {
		return wire.Operator{}, api.ErrDenied
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.operator = s.Name
	return wire.Operator{Name: s.Name, How: "pin"}, nil
}

// SignOut signs out.
func (r *Rig) SignOut(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.operator = ""
	return nil
}

// Current returns who is signed in.
func (r *Rig) Current() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.operator
}

func (r *Rig) status(_ context.Context, owner string) (wire.Status, error) {
	now := time.Now()
	s := wire.Status{
		Version: "test", Now: now, Ready: true, Facility: wire.Facility{Code: "01013", Name: "Trạm Y tế Thử"}, Training: true,
		Readers: []wire.Reader{{Name: "Virtual 00", Kind: "virtual", Card: true, Best: true}},
		Link:    wire.Link{State: "online", Since: &now}, Busy: r.Front.Busy(), Bundles: []wire.Bundle{{Kind: "trust", Version: 3, AsOf: now}},
		Store:  wire.Store{Checked: true, Free: 1 << 40},
		Sample: &wire.Key{CAN: "123456"},
	}
	if name := r.Current(); name != "" {
		s.Operator = &wire.Operator{Name: name, How: "pin"}
	}
	return s, nil
}

type journal struct{}

var entry = wire.HistoryEntry{
	Visit: "0198d7a0-0000-7000-8000-00000000a001", Name: "TRẦN THỊ MẪU", Number: "0001", Means: wire.MeansChip, Verified: true, Entitlement: "valid",
	Delivery: &wire.Delivery{VisitID: "0198d7a0-0000-7000-8000-00000000a001", State: "rejected", Reason: "facility_unknown"},
}

func (journal) History(_ context.Context, q wire.HistoryQuery) (wire.History, error) {
	if q.Day == "" {
		q.Day = time.Now().Format(time.DateOnly)
	}
	h := wire.History{Day: q.Day, Entries: []wire.HistoryEntry{}}
	if strings.Contains(entry.Name, q.Text) {
		h.Entries = append(h.Entries, entry)
	}
	return h, nil
}

func (journal) Queue(_ context.Context, state, _ string) (wire.QueuePage, error) {
	p := wire.QueuePage{Entries: []wire.HistoryEntry{}}
	if state == "" || state == entry.Delivery.State {
		p.Entries = append(p.Entries, entry)
	}
	return p, nil
}

func (journal) Retry(_ context.Context, visit, _ string) error {
	if visit != entry.Visit {
		return api.ErrNone
	}
	return nil
}

func diagnose(context.Context) (wire.Diagnosis, error) {
	return wire.Diagnosis{At: time.Now(), Version: "test", Level: wire.LevelOK, Findings: []wire.Diagnosed{
		{ID: "pcsc.service", Title: "Smart card service", Level: wire.LevelOK, What: "It runs.", Values: map[string]string{"version": "1.9"}},
	}}, nil
}

func bundle(_ context.Context, w io.Writer) error {
	z := zip.NewWriter(w)
	f, err := z.Create("version.txt")
	if err != nil {
		return err
	}
	if _, err := io.WriteString(f, "test\n"); err != nil {
		return err
	}
	return z.Close()
}

// name is the fault of [ErrInput].
func name(err error) *wire.Fault {
	if errors.Is(err, ErrInput) {
		return &wire.Fault{Code: "bad_mrz", Kind: "input", Cause: "The lines are not those of a card.", Remedy: "Scan them again.", ExitCode: 30}
	}
	return nil
}
