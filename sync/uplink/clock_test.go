package uplink_test

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/outbox"
)

// TestClockJumpsOfADay: in both directions, while everything is going on. Nothing
// waits for the clock: visits are sent, in order, also after an outage; the nonce
// stays fresh; verdicts are taken; questions are answered; and a visit that gets no
// verdict is sent again.
func TestClockJumpsOfADay(t *testing.T) {
	const day = 24 * time.Hour
	for name, jump := range map[string]time.Duration{"ahead": day, "back": -day} {
		t.Run(name, func(t *testing.T) {
			var shift atomic.Int64
			clock := func() time.Time { return time.Now().Round(0).Add(time.Duration(shift.Load())) }
			s := newService(t, natsd.Options{})
			listen := func() {
				s.answer(func(m *nats.Msg) []byte {
					r, err := contract.OpenLookup(m.Subject, m.Header, m.Data)
					if err != nil {
						return nonceFor(t)
					}
					if off := r.At.Sub(clock()).Abs(); off > time.Hour {
						t.Errorf("a question is dated %v beside the clock", off)
					}
					b, err := contract.EncodeLookupResponse(&contract.LookupResponse{
						Version: contract.Version, ID: r.ID, At: contract.Timestamp(time.Now()),
						Entitlement: contract.Entitlement{Source: contract.SourceCentral, AsOf: contract.Timestamp(time.Now()), Status: contract.StatusValid, Code: "000"},
					})
					if err != nil {
						t.Error(err)
					}
					return b
				})
			}
			listen()
			a := newAgent(t)
			a.queue = openQueueAt(t, filepath.Join(t.TempDir(), "jumps.db"), clock)
			s.enrol(a)
			cfg := a.config(s.url())
			cfg.Now, cfg.NonceEvery, cfg.AskTimeout = clock, 20*time.Millisecond, patience
			u, _ := a.run(cfg)
			renewed := func(what string) {
				t.Helper()
				before, _ := u.Nonce()
				eventually(t, what, func() bool { n, ok := u.Nonce(); return ok && string(n.Value) != string(before.Value) })
			}
			ids := []string{a.record()}
			eventually(t, "stored", func() bool { return a.stats().Stored == 1 })
			renewed("a nonce")

			shift.Store(int64(jump))
			ids = append(ids, a.record())
			eventually(t, "stored after the jump", func() bool { return a.stats().Stored == 2 })
			renewed("another nonce after the jump")
			renewed("and another one")
			if _, err := u.Ask(t.Context(), request()); err != nil {
				t.Errorf("Ask = %v", err)
			}
			s.stop()
			eventually(t, "offline", func() bool { return !u.State(t.Context()).Online })
			ids = append(ids, a.record())
			shift.Store(0) // and it jumps back again in the outage
			s.start()
			listen()
			eventually(t, "stored after the outage", func() bool { return a.stats().Stored == 3 })
			renewed("a nonce after the outage")
			for i, id := range s.ids() {
				if i < len(ids) && id != ids[i] {
					t.Errorf("message %d is %s, want %s", i, id, ids[i])
				}
			}
			for _, id := range ids {
				s.verdict(a.name, id, "")
			}
			eventually(t, "accepted", func() bool { return a.stats().Accepted == 3 })
		})
	}
}

// TestChasesAcrossAJump: a visit without a verdict is sent again whichever way the
// clock jumped since it was stored, and not on and on.
func TestChasesAcrossAJump(t *testing.T) {
	const day = 24 * time.Hour
	for name, jump := range map[string]time.Duration{"ahead": day, "back": -day} {
		t.Run(name, func(t *testing.T) {
			var shift atomic.Int64
			clock := func() time.Time { return time.Now().Round(0).Add(time.Duration(shift.Load())) }
			s := newService(t, natsd.Options{})
			s.answer(func(*nats.Msg) []byte { return nonceFor(t) })
			a := newAgent(t)
			a.queue = openQueueAt(t, filepath.Join(t.TempDir(), "jumps.db"), clock)
			s.enrol(a)
			cfg := a.config(s.url())
			cfg.Now, cfg.OverdueAfter = clock, 20*time.Millisecond
			a.run(cfg)
			lost := a.record()
			eventually(t, "stored", func() bool { return a.stats().Stored == 1 })
			shift.Store(int64(jump))
			eventually(t, "sent again, and again", func() bool { return len(s.ids()) >= 3 })
			s.verdict(a.name, lost, "")
			eventually(t, "accepted", func() bool { return a.stats().Accepted == 1 })
			if _, it, err := a.queue.Get(t.Context(), lost); err != nil || it.State != outbox.Accepted {
				t.Errorf("%v, %v", it.State, err)
			}
		})
	}
}

// TestMalformedBundles: they are counted here; refusing them is for package
// bundle, which sees what was signed.
func TestMalformedBundles(t *testing.T) {
	s := newService(t, natsd.Options{})
	bad := garbage()
	var turn atomic.Int64
	if _, err := s.nc.Subscribe(contract.BundleSubjects, func(m *nats.Msg) { _ = m.Respond(bad[turn.Load()]) }); err != nil {
		t.Fatal(err)
	}
	if err := s.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	a := newAgent(t)
	s.enrol(a)
	cfg := a.config(s.url())
	cfg.AskTimeout = patience
	u, _ := a.run(cfg)
	a.online(u)
	for i := range bad {
		turn.Store(int64(i))
		before := u.State(t.Context()).Malformed
		if _, b, err := u.Manifest(t.Context(), contract.BundleTrust, 0); err != nil || len(b) != len(bad[i]) {
			t.Errorf("manifest %d: %d bytes, %v", i, len(b), err)
		}
		if n := u.State(t.Context()).Malformed; n != before+1 {
			t.Errorf("manifest %d: %d counted", i, n-before)
		}
	}
	turn.Store(0) // nothing
	before := u.State(t.Context()).Malformed
	if _, err := u.Part(t.Context(), contract.BundleTrust, 1, 0, 0); err != nil {
		t.Errorf("part: %v", err)
	}
	turn.Store(int64(len(bad) - 1)) // too much
	if _, err := u.Part(t.Context(), contract.BundleTrust, 1, 0, 0); err != nil {
		t.Errorf("part: %v", err)
	}
	if n := u.State(t.Context()).Malformed; n != before+2 {
		t.Errorf("parts: %d counted, want 2", n-before)
	}
}
