package agent_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/enrol"
	"github.com/chamthe/chamthe/agent/enrol/enroltest"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/uplink"
)

// TestEnrolledAgent: a new directory is enrolled, and the agent then needs to be
// told nothing else: it has a nonce, asks who is insured, and gets the insurer's
// lists, whose key was pinned. When it is revoked, it is told so while it runs.
func TestEnrolledAgent(t *testing.T) {
	var log syncBuffer
	d := enroltest.Start(t, enroltest.Options{Log: &log})
	dir := filepath.Join(t.TempDir(), "desk")
	if e, err := agent.Enrolled(dir); e != nil || err != nil {
		t.Fatalf("before: %v, %v", e, err)
	}
	e, err := agent.Enrol(t.Context(), dir, enrol.Request{Server: d.URL, CASHA256: d.CASHA256, Code: d.Code(time.Hour)})
	if err != nil {
		t.Fatalf("%v; log:\n%s", err, &log)
	}
	if got, err := agent.Enrolled(dir); err != nil || got.JWT != e.JWT {
		t.Fatalf("enrolled: %v", err)
	}
	if key, err := agent.Identity(dir); err != nil || key != e.Agent {
		t.Errorf("identity %s, %v", key, err)
	}

	a, err := agent.Open(agent.Config{Dir: dir, Facility: "99999", Logger: log.logger("agent")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		cancel()
		if err := errors.Join(<-done, a.Close()); err != nil {
			t.Error(err)
		}
	}()
	wait := func(what string, until func() bool) {
		t.Helper()
		limited, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := a.Wait(limited, func() (bool, error) { return until(), nil }); err != nil {
			t.Fatalf("%s: %v; link %+v; log:\n%s", what, err, a.Link(t.Context()), &log)
		}
	}
	wait("online", func() bool {
		_, ok := a.Nonce()
		return a.Link(ctx).Online && ok
	})
	// The insurer makes the list of a facility when it next looks: not now. That of
	// certificates is for all.
	wait("list of certificates", func() bool {
		if err := a.UpdateBundles(ctx); err != nil {
			return false
		}
		s, err := a.Bundle(contract.BundleTrust)
		return err == nil && s.Installed()
	})
	if err := d.Registry.Revoke(t.Context(), e.Agent); err != nil {
		t.Fatal(err)
	}
	wait("revoked", func() bool { l := a.Link(ctx); return !l.Online && l.Last == uplink.Unauthorized })
}

// TestEnrolmentIsInTheTrail: that of a new directory once it is opened, each later one
// at once.
func TestEnrolmentIsInTheTrail(t *testing.T) {
	d := enroltest.Start(t, enroltest.Options{})
	dir := filepath.Join(t.TempDir(), "desk")
	enrolDir := func() string {
		t.Helper()
		e, err := agent.Enrol(t.Context(), dir, enrol.Request{Server: d.URL, CASHA256: d.CASHA256, Code: d.Code(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return e.Agent
	}
	key := enrolDir()
	for range 2 {
		a, err := agent.Open(agent.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	enrolDir()
	_, log, st, err := agent.OpenTrail(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := log.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	entries, err := log.List(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var actors []string
	for _, e := range entries {
		if e.Action != audit.AgentEnrolled {
			continue
		}
		if actors = append(actors, e.Actor); e.Object != key || !strings.HasPrefix(e.Note, "facility "+enroltest.Facility+", ") {
			t.Errorf("%+v", e)
		}
	}
	if len(actors) != 2 || actors[0] != "agent" || actors[1] == "agent" {
		t.Errorf("enrolled by %q", actors)
	}
}

// TestEnrolmentIsNotUsedBlindly: one that is damaged, another's, or without its key
// stops the agent; it does not go on as nobody.
func TestEnrolmentIsNotUsedBlindly(t *testing.T) {
	d := enroltest.Start(t, enroltest.Options{})
	enrolled := func() string {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "desk")
		if _, err := agent.Enrol(t.Context(), dir, enrol.Request{Server: d.URL, CASHA256: d.CASHA256, Code: d.Code(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		spoil  func(dir string)
		opened error // of Open
		looked error // of Enrolled
	}{
		{"damaged", func(dir string) { must(os.WriteFile(filepath.Join(dir, enrol.File), []byte("{}"), 0o600)) }, enrol.ErrFile, enrol.ErrFile},
		{"empty", func(dir string) { must(os.Truncate(filepath.Join(dir, enrol.File), 0)) }, enrol.ErrFile, enrol.ErrFile},
		{"another's", func(dir string) {
			must(os.Rename(filepath.Join(enrolled(), enrol.File), filepath.Join(dir, enrol.File)))
		}, enrol.ErrFile, enrol.ErrFile},
		{"other key", func(dir string) { must(os.Remove(filepath.Join(dir, "agent.nk"))) }, enrol.ErrFile, agent.ErrKeyMissing},
		{"open to others", func(dir string) {
			if runtime.GOOS == "windows" {
				must(os.Truncate(filepath.Join(dir, enrol.File), 0)) // a mode says nothing there
				return
			}
			must(os.Chmod(filepath.Join(dir, enrol.File), 0o640))
		}, enrol.ErrFile, enrol.ErrFile},
	} {
		dir := enrolled()
		tt.spoil(dir)
		if _, err := agent.Enrolled(dir); !errors.Is(err, tt.looked) {
			t.Errorf("%s: enrolled: %v, want %v", tt.name, err, tt.looked)
		}
		a, err := agent.Open(agent.Config{Dir: dir})
		if !errors.Is(err, tt.opened) {
			t.Errorf("%s: open: %v, want %v", tt.name, err, tt.opened)
		}
		if err == nil {
			must(a.Close())
		}
	}
}

// waitingVisit puts a visit into the queue of an enrolled directory, as a desk that
// is offline does, and returns its id.
func waitingVisit(t *testing.T, dir string) string {
	t.Helper()
	a, err := agent.Open(agent.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	e, err := agent.Enrolled(dir)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := os.ReadFile(filepath.Join(dir, "agent.nk"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		t.Fatal(err)
	}
	id, err := contract.NewID(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	now := contract.Timestamp(time.Now())
	m, err := contract.NewVisitMessage(key, &contract.Visit{
		Version: contract.Version, ID: id, Facility: e.Facility, Agent: e.Agent, StartedAt: now, RecordedAt: now,
		Clock: contract.ClockUnknown, Means: contract.MeansManual, Person: contract.Person{Number: "001099000001"},
		Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown},
	})
	if err == nil {
		err = a.Queue().Put(t.Context(), outbox.Entry{ID: m.ID, Subject: m.Subject, Header: m.Header, Payload: m.Payload})
	}
	if err := errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
	return id
}

// sendAll runs an agent until so many visits of its queue are accepted, and returns
// how the queue stands.
func sendAll(t *testing.T, dir string, accepted int, log *syncBuffer) outbox.Stats {
	t.Helper()
	a, err := agent.Open(agent.Config{Dir: dir, Logger: log.logger("agent")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var s outbox.Stats
	limited, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	err = a.Wait(limited, func() (bool, error) {
		var err error
		s, err = a.Queue().Stats(ctx)
		return s.Accepted >= accepted, err
	})
	cancel()
	if err := errors.Join(err, <-done, a.Close()); err != nil {
		t.Fatalf("%v; %+v; log:\n%s", err, s, log)
	}
	return s
}

// TestEnrolWhileVisitsWait: a visit that waits is not left behind by an enrolment,
// whatever it is for.
func TestEnrolWhileVisitsWait(t *testing.T) {
	var log syncBuffer
	d := enroltest.Start(t, enroltest.Options{Log: &log})
	dir := filepath.Join(t.TempDir(), "desk")
	request := func(facility string) enrol.Request {
		t.Helper()
		code, _, err := d.Registry.NewCode(t.Context(), facility, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return enrol.Request{Server: d.URL, CASHA256: d.CASHA256, Code: code}
	}
	first, err := agent.Enrol(t.Context(), dir, request(enroltest.Facility))
	if err != nil {
		t.Fatal(err)
	}
	waitingVisit(t, dir)

	// Refused before the code is spent: it works when nothing waits any more.
	r := request("79001")
	_, err = agent.Enrol(t.Context(), dir, r)
	if w, ok := errors.AsType[*agent.WaitingError](err); !ok || w.Visits != 1 {
		t.Fatalf("enrolled anew while a visit waits: %v", err)
	}
	if e, err := agent.Enrolled(dir); err != nil || e.JWT != first.JWT {
		t.Errorf("the enrolment was replaced: %v", err)
	}
	if s := sendAll(t, dir, 1, &log); s.Accepted != 1 {
		t.Errorf("%+v", s)
	}

	if e, err := agent.Enrol(t.Context(), dir, r); err != nil || e.Facility != "79001" {
		t.Fatalf("with the same code: %v", err)
	}
	if first, err = agent.Enrol(t.Context(), dir, request(enroltest.Facility)); err != nil {
		t.Fatal(err)
	}

	// The same facility: the visit is sent under the new enrolment.
	waitingVisit(t, dir)
	again, foreign, err := agent.EnrolKeeping(t.Context(), dir, request(enroltest.Facility))
	if err != nil || foreign != 0 || again.JWT == first.JWT {
		t.Fatalf("same facility: %d foreign, %v", foreign, err)
	}
	if s := sendAll(t, dir, 2, &log); s.Queued != 0 {
		t.Errorf("%+v", s)
	}

	// Another: the visit stays, and keeps nothing from being sent.
	waitingVisit(t, dir)
	if _, foreign, err = agent.EnrolKeeping(t.Context(), dir, request("79001")); err != nil || foreign != 1 {
		t.Fatalf("another facility: %d foreign, %v", foreign, err)
	}
	waitingVisit(t, dir)
	if s := sendAll(t, dir, 3, &log); s.Queued != 1 {
		t.Errorf("%+v", s)
	}
	// Back again: nothing was lost.
	if _, foreign, err = agent.EnrolKeeping(t.Context(), dir, request(enroltest.Facility)); err != nil || foreign != 0 {
		t.Fatalf("back: %d foreign, %v", foreign, err)
	}
	if s := sendAll(t, dir, 4, &log); s.Queued != 0 || s.Rejected != 0 {
		t.Errorf("%+v", s)
	}

	// Another key, because the file was lost.
	waitingVisit(t, dir)
	key := filepath.Join(dir, "agent.nk")
	saved, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, _, err := agent.EnrolKeeping(t.Context(), dir, request(enroltest.Facility)); !errors.Is(err, agent.ErrKeyMissing) {
		t.Errorf("enrolled without the key: %v", err)
	}
	other, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := other.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	e, foreign, err := agent.EnrolKeeping(t.Context(), dir, request(enroltest.Facility))
	if err != nil || foreign != 1 || e.Agent == first.Agent {
		t.Fatalf("another key: %d foreign, %v", foreign, err)
	}
	if err := os.WriteFile(key, saved, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, foreign, err = agent.EnrolKeeping(t.Context(), dir, request(enroltest.Facility)); err != nil || foreign != 0 {
		t.Fatalf("the old key: %d foreign, %v", foreign, err)
	}
	if s := sendAll(t, dir, 5, &log); s.Queued != 0 || s.Rejected != 0 {
		t.Errorf("%+v", s)
	}
}
