package central

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chamthe/chamthe/sync/natsd"
)

// delivered is a message with a history. Everything that an intake must not do
// with it panics.
type delivered struct {
	jetstream.Msg
	times uint64
	fatal bool // whoever reads it dies
	ended string
}

var arrivedAt = time.Now()

func (m *delivered) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{NumDelivered: m.times, Timestamp: arrivedAt, Sequence: jetstream.SequencePair{Stream: 7}}, nil
}
func (m *delivered) Subject() string      { return "ins.v1.visit.01013.NOBODY" }
func (m *delivered) Headers() nats.Header { return nil }
func (m *delivered) Data() []byte         { return nil }
func (m *delivered) TermWithReason(why string) error {
	if m.fatal && why != "too many attempts" {
		panic("this takes the process down")
	}
	m.ended = why
	return nil
}
func (m *delivered) NakWithDelay(time.Duration) error { m.ended = "later"; return nil }

// processes are intakes of several processes with one store.
type processes struct {
	t  *testing.T
	ns *natsd.Server
}

func newProcesses(t *testing.T) *processes {
	t.Helper()
	ns, err := natsd.Start(natsd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ns.Shutdown)
	return &processes{t: t, ns: ns}
}

// another starts a process: it remembers nothing but what is in the store.
func (p *processes) another() *intake {
	p.t.Helper()
	nc, err := nats.Connect(p.ns.ClientURL(), nats.NoReconnect())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		p.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	st, err := openStore(p.t.Context(), js, storeOptions{replicas: 1, log: log})
	if err != nil {
		p.t.Fatal(err)
	}
	return &intake{store: st, counts: &counts{}, log: log, now: time.Now}
}

// dies has a process take a message and reports whether it died of it. The
// process is gone in any case.
func (p *processes) dies(m *delivered) (died bool) {
	p.t.Helper()
	in := p.another()
	defer in.store.js.Conn().Close()
	defer func() { died = recover() != nil }()
	m.times++
	in.handle(p.t.Context(), m)
	return false
}

// TestSetsAsideWhatTakesProcessesDown: a visit that does so is given up after a
// while, although each process knows of its own death only.
func TestSetsAsideWhatTakesProcessesDown(t *testing.T) {
	p := newProcesses(t)
	m := &delivered{fatal: true}
	deaths := 0
	for p.dies(m) {
		if deaths++; deaths > 100 {
			t.Fatal("it is never given up")
		}
	}
	if deaths != unmarked+poisonAfter || m.ended != "too many attempts" {
		t.Errorf("given up after %d deaths, ended %q; want %d deaths", deaths, m.ended, unmarked+poisonAfter)
	}
	in := p.another()
	m.times++
	in.handle(t.Context(), m)
	if n := in.counts.snapshot(); n.SetAside != 1 || n.Redelivered != 1 || n.Malformed != 0 {
		t.Errorf("counts %+v, want one set aside", n)
	}
	// Another message is not this one, and a stream that has begun anew counts
	// from the beginning.
	old := arrivedAt
	defer func() { arrivedAt = old }()
	arrivedAt = arrivedAt.Add(time.Second)
	other := &delivered{times: 100}
	in.handle(t.Context(), other)
	if n := in.counts.snapshot(); n.SetAside != 1 || n.Malformed != 1 {
		t.Errorf("counts %+v: the next message with this number was set aside", n)
	}
}

// TestOutagesAreNotPoison: a visit that was given back because the store did not
// answer is innocent, however often, and so is one that came again for any other
// reason and did no harm. Restarts between them change nothing.
func TestOutagesAreNotPoison(t *testing.T) {
	p := newProcesses(t)
	m := &delivered{}
	for range 3 {
		in := p.another()
		for range poisonAfter {
			m.times++
			meta, err := m.Metadata()
			if err != nil {
				t.Fatal(err)
			}
			in.later(m, meta, errors.New("no answer"))
			m.times++
			in.handle(t.Context(), m)
			if m.ended == "too many attempts" {
				t.Fatalf("set aside at delivery %d", m.times)
			}
		}
		if n := in.counts.snapshot(); n.SetAside != 0 || n.Postponed != poisonAfter {
			t.Errorf("counts %+v", n)
		}
	}

	// Marks that cannot be written are no attempts either.
	in := p.another()
	if err := in.store.js.DeleteKeyValue(t.Context(), bucketAttempts); err != nil {
		t.Fatal(err)
	}
	for range 2 * poisonAfter {
		m.times, m.ended = m.times+1, ""
		in.handle(t.Context(), m)
		if m.ended != "later" {
			t.Fatalf("ended %q without a store, want later", m.ended)
		}
	}
	in = p.another()
	m.times++
	in.handle(t.Context(), m)
	if n := in.counts.snapshot(); n.SetAside != 0 || n.Malformed != 1 {
		t.Errorf("counts %+v: set aside after an outage", n)
	}
	n := 0
	meta, err := m.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), in.store.attempts, attemptKey(meta), &n); err != nil || n != 0 {
		t.Errorf("%d marks are left (%v), want none", n, err)
	}
}

// TestMarksOfTwoWorkers: two that hold the same message, because one of them was
// slow, do not lose each other's marks.
func TestMarksOfTwoWorkers(t *testing.T) {
	p := newProcesses(t)
	a, b := p.another(), p.another()
	const each = 5
	done := make(chan error, 2)
	for _, in := range []*intake{a, b} {
		go func() {
			for range each {
				// One worker holds a message at most once, so the turns suffice.
				if _, err := in.store.begin(t.Context(), "7.x"); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for i := 2 * each; i > 0; i-- {
		if err := a.store.ended(t.Context(), "7.x"); err != nil {
			t.Fatal(err)
		}
		e, err := b.store.attempts.Get(t.Context(), "7.x")
		if err != nil || !bytes.Equal(e.Value(), []byte(utoa(uint64(i-1)))) {
			t.Fatalf("%v, %v; want %d marks", e, err, i-1)
		}
	}
}
