package agent_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/internal/privacytest"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if used, err := agent.Used(dir); used || err != nil {
		t.Errorf("an empty directory is used: %v, %v", used, err)
	}
	if _, _, err := agent.OpenQueue(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the queue of an empty directory: %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("looking made %d files, %v", len(files), err)
	}
	a := open(t, dir)
	if used, err := agent.Used(dir); !used || err != nil {
		t.Errorf("used: %v, %v", used, err)
	}
	if _, err := agent.Open(config(dir)); !errors.Is(err, store.ErrLocked) {
		t.Errorf("a second agent: %v", err)
	}
	if _, _, err := agent.OpenQueue(dir); !errors.Is(err, store.ErrLocked) {
		t.Errorf("a second queue: %v", err)
	}
	if key, err := agent.Identity(dir); err != nil || key != a.Key() {
		t.Errorf("the identity of a running agent: %s, %v", key, err)
	}
	for range 3 {
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	q, st, err := agent.OpenQueue(dir)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := q.Stats(t.Context()); err != nil || s != (outbox.Stats{}) {
		t.Errorf("stats %+v, %v", s, err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	open(t, dir)
}

// TestOpenRefuses: whatever is refused leaves the directory free for the next.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir).Close() // there is a file to be below
	for name, tt := range map[string]struct {
		change func(*agent.Config)
		want   error
	}{
		"no address":   {func(c *agent.Config) { c.URLs = nil }, nil},
		"bad address":  {func(c *agent.Config) { c.URLs = []string{"http://127.0.0.1"} }, uplink.ErrAddress},
		"plain text":   {func(c *agent.Config) { c.URLs = []string{"nats://192.0.2.1:4222"} }, uplink.ErrPlaintext},
		"no facility":  {func(c *agent.Config) { c.Facility = "" }, nil},
		"no directory": {func(c *agent.Config) { c.Dir = filepath.Join(dir, "agent.nk", "below a file") }, nil},
	} {
		cfg := config(dir)
		tt.change(&cfg)
		if a, err := agent.Open(cfg); err == nil || a != nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		open(t, dir).Close()
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	a := open(t, t.TempDir())
	if err := a.Wait(t.Context(), func() (bool, error) { return true, nil }); err != nil {
		t.Errorf("done at once: %v", err)
	}
	broken := errors.New("broken")
	if err := a.Wait(t.Context(), func() (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := a.Wait(ctx, func() (bool, error) {
		if calls++; calls == 3 {
			cancel()
		}
		return false, nil
	})
	if !errors.Is(err, context.Canceled) || calls < 3 {
		t.Errorf("got %v after %d calls", err, calls)
	}
	if _, err := a.Settled(t.Context(), "00000000-0000-7000-8000-000000000000"); !errors.Is(err, outbox.ErrNotFound) {
		t.Errorf("a visit that is not there: %v", err)
	}
	if _, ok := a.Nonce(); ok || a.Link(t.Context()).Online {
		t.Error("there is a link")
	}
}

// TestDay is a day at a desk: nobody there, then a link, then none again, with
// every log line that there is. The log and the files name no person.
func TestDay(t *testing.T) {
	t.Parallel()
	dir, doc := t.TempDir(), document(t)
	key, err := agent.Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := newCentre(t, key)
	var log syncBuffer
	cfg := config(dir)
	cfg.URLs, cfg.Trust, cfg.Logger = []string{c.url()}, c.pool, log.logger("agent")
	a := openWith(t, cfg)
	stop := run(t, a)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	// Nobody is there: the visit is safe, and waits.
	first, err := tap(ctx, a, doc)
	if err != nil {
		t.Fatal(err)
	}
	short, cancelShort := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancelShort()
	item, err := a.Settled(short, first.Visit.ID)
	if !errors.Is(err, context.DeadlineExceeded) || item.State != outbox.Queued || item.ID != first.Visit.ID {
		t.Errorf("without a link: %v, %v", item.State, err)
	}

	// The link comes: the first visit is accepted without anybody's doing.
	c.start()
	if item, err = a.Settled(ctx, first.Visit.ID); err != nil || item.State != outbox.Accepted {
		t.Fatalf("the first visit: %v, %v\n%s", item.State, err, c.log)
	}
	if item.Verdict == nil || item.Verdict.Assurance != contract.AssuranceAttested {
		t.Errorf("a visit without nonce: %+v", item.Verdict)
	}
	if err := a.Wait(ctx, func() (bool, error) { _, ok := a.Nonce(); return ok && a.Link(ctx).Online, nil }); err != nil {
		t.Fatal(err)
	}
	second, err := tap(ctx, a, doc)
	if err != nil {
		t.Fatal(err)
	}
	if e := second.Visit.Entitlement; e.Source != contract.SourceCentral || e.Status != contract.StatusValid {
		t.Errorf("entitlement %+v", e)
	}
	if item, err = a.Settled(ctx, second.Visit.ID); err != nil || item.State != outbox.Accepted || item.Verdict.Assurance != contract.AssuranceChip {
		t.Errorf("the second visit: %v, %v", item.State, err)
	}

	// The link goes: what is known of the person is known still.
	c.stop()
	if err := a.Wait(ctx, func() (bool, error) { return !a.Link(ctx).Online, nil }); err != nil {
		t.Fatal(err)
	}
	third, err := tap(ctx, a, doc)
	if err != nil {
		t.Fatal(err)
	}
	if e := third.Visit.Entitlement; e.Source != contract.SourceCache || e.Status != contract.StatusValid {
		t.Errorf("entitlement %+v", e)
	}
	// The agent is restarted meanwhile.
	stop()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a = openWith(t, cfg)
	run(t, a)
	c.start()
	if item, err = a.Settled(ctx, third.Visit.ID); err != nil || item.State != outbox.Accepted {
		t.Errorf("the third visit: %v, %v", item.State, err)
	}
	c.stop()
	if c.accepted != 3 {
		t.Errorf("the central service accepted %d visits", c.accepted)
	}

	n := privacytest.Of(t, doc)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		n.Absent(t, f.Name(), b)
		if f.Name() == "seal.key" || f.Name() == "agent.nk" {
			n.Secret(f.Name(), b)
		}
	}
	n.Absent(t, "the agent's log", []byte(log.String()))
	n.Absent(t, "the central service's log", []byte(c.log.String()))
	if log.String() == "" || c.log.String() == "" {
		t.Error("nothing was logged")
	}
}

// TestLastChangeMayBeMissing: bbolt goes on with the state before, and somebody has to
// be told.
func TestLastChangeMayBeMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	// The newer of the two meta pages: the one with the larger transaction, at 48 in
	// the meta after the page's header of 16 bytes.
	path := filepath.Join(dir, "visits.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := int(binary.NativeEndian.Uint32(b[16+8:]))
	newer := 0
	if binary.NativeEndian.Uint64(b[page+16+48:]) > binary.NativeEndian.Uint64(b[16+48:]) {
		newer = page
	}
	b[newer+16+48] ^= 0x80
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir)
	defer a.Close()
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- a.Run(ctx) }()
	if err := a.Wait(t.Context(), func() (bool, error) { return a.Health().Checked, nil }); err != nil {
		t.Fatal(err)
	}
	if err := a.Health().Err; !errors.Is(err, store.ErrUncertain) {
		t.Errorf("health = %v", err)
	}
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
