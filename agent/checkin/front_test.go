package checkin_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/event"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/virtual"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/store"
)

// patience bounds a wait that something must end long before.
const patience = time.Minute

const readerName = "Software Reader PICC 0"

// his is a client that is not the desk.
const his = "https://his.example"

var errFull, errUncertain = store.ErrFull, store.ErrUncertain

// place is a front desk with everything around it.
type place struct {
	t      *testing.T
	front  *checkin.Front
	desk   *checkin.Desk
	disk   *disk
	slot   *virtual.Driver
	events *event.Subscription
	all    *event.Subscription // of everything, until the bus is closed
	cfg    checkin.FrontConfig
	log    safeBuffer
	stop   func() error
	logs   bool

	mu       sync.Mutex
	now      time.Time
	operator string
	trail    []audit.Entry
	auditErr error
	delivery wire.Delivery
	changed  chan struct{}
}

func encodeFault(err error) *wire.Fault {
	f := fault.Classify(err)
	if f == nil {
		return nil
	}
	return &wire.Fault{
		Code: string(f.Code), Kind: string(f.Kind), Cause: f.Cause, Remedy: f.Remedy, Detail: f.Detail, ExitCode: f.Exit, TriesLeft: f.Tries,
	}
}

// safeBuffer may be written to by several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// open makes a place for a document, with a reader and no card on it, and runs it.
func open(t *testing.T, p paper, change func(*place)) *place {
	t.Helper()
	pl := &place{t: t, slot: virtual.New(readerName), now: at, operator: "lan", changed: make(chan struct{})}
	pl.desk, pl.disk = desk(t, p)
	hub, err := reader.OpenHub(reader.HubConfig{Sources: []reader.Source{{Name: "virtual", Driver: pl.slot}}})
	if err != nil {
		t.Fatal(err)
	}
	bus := event.New()
	pl.cfg = checkin.FrontConfig{
		Readers: hub, Desk: func(context.Context) (*checkin.Desk, error) { return pl.desk, nil },
		Fault: encodeFault, Deliveries: pl, Events: bus,
		Operator: func() string {
			pl.mu.Lock()
			defer pl.mu.Unlock()
			return pl.operator
		},
		Audit: func(_ context.Context, entries ...audit.Entry) error {
			pl.mu.Lock()
			defer pl.mu.Unlock()
			if pl.auditErr == nil {
				pl.trail = append(pl.trail, entries...)
			}
			return pl.auditErr
		},
		Logger: slog.New(slog.NewTextHandler(&pl.log, nil)),
		Now: func() time.Time {
			pl.mu.Lock()
			defer pl.mu.Unlock()
			return pl.now
		},
	}
	if change != nil {
		change(pl)
	}
	if pl.front, err = checkin.NewFront(pl.cfg); err != nil {
		t.Fatal(err)
	}
	pl.events, pl.all = bus.Subscribe(event.Desk, 1000), bus.Subscribe(event.Desk, 100_000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- pl.front.Run(ctx) }()
	pl.stop = sync.OnceValue(func() error {
		cancel()
		err := <-done
		pl.events.Close()
		bus.Close()
		return errors.Join(err, hub.Close())
	})
	t.Cleanup(func() {
		if err := pl.stop(); err != nil {
			t.Error(err)
		}
		// Whatever happens, no log has anything of a person.
		for _, secret := range []string{"Nguyễn", "NGUYEN", "001099000001", "099000001", "1999-01-31", "990131", "GD4010", "Trần", "Mẫu"} {
			if strings.Contains(pl.log.b.String(), secret) {
				t.Errorf("the log has %q", secret)
			}
		}
		if !strings.Contains(pl.log.b.String(), "check-in begun") && pl.logs {
			t.Error("this tests nothing: the log is empty")
		}
	})
	return pl
}

// Delivery and Changed make a place a [checkin.Deliveries].
func (pl *place) Delivery(_ context.Context, visit string) (*wire.Delivery, error) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	d := pl.delivery
	if d.State == "" {
		d.State = "queued"
	}
	d.VisitID = visit
	return &d, nil
}

func (pl *place) Changed() <-chan struct{} {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return pl.changed
}

func (pl *place) deliver(d wire.Delivery) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.delivery = d
	close(pl.changed)
	pl.changed = make(chan struct{})
}

// pass lets time pass.
func (pl *place) pass(d time.Duration) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.now = pl.now.Add(d)
}

func (pl *place) start(s wire.Start) wire.CheckIn {
	pl.t.Helper()
	pl.logs = true
	c, err := pl.front.Start(pl.t.Context(), his, s)
	if err != nil {
		pl.t.Fatal(err)
	}
	return c
}

// await returns the check-in once ok holds.
func (pl *place) await(id, what string, ok func(wire.CheckIn) bool) wire.CheckIn {
	pl.t.Helper()
	ctx, cancel := context.WithTimeout(pl.t.Context(), patience)
	defer cancel()
	for {
		c, err := pl.front.Get(ctx, his, id)
		if err != nil {
			pl.t.Fatalf("%s: %v", what, err)
		}
		if ok(c) {
			return c
		}
		if _, err := pl.events.Next(ctx); err != nil {
			pl.t.Fatalf("never %s: state %s, fault %+v", what, c.State, c.Fault)
		}
	}
}

func (pl *place) state(id, state string) wire.CheckIn {
	pl.t.Helper()
	return pl.await(id, state, func(c wire.CheckIn) bool { return c.State == state })
}

func (pl *place) insert(c virtual.Chip) {
	pl.t.Helper()
	if err := pl.slot.Insert(readerName, c); err != nil {
		pl.t.Fatal(err)
	}
}

func (pl *place) remove() {
	pl.t.Helper()
	if err := pl.slot.Remove(readerName); err != nil {
		pl.t.Fatal(err)
	}
}

func (pl *place) visits() int {
	pl.disk.mu.Lock()
	defer pl.disk.mu.Unlock()
	return len(pl.disk.entries)
}

// scan is what a scanner reads from the document.
func (p paper) scan() *wire.Key { return &wire.Key{Scan: p.doc.QR} }

var confirmed = wire.Confirmation{PhotoMatches: true}

// TestFront goes the whole way: key, card, text, photo, entitlement, confirmation,
// record, verdict.
func TestFront(t *testing.T) {
	p := document(t, chip.ProfileCCCD, chip.TamperNone)
	pl := open(t, p, nil)
	c := pl.start(wire.Start{Photo: true, Reference: "his-1"})
	if c.State != wire.StateKey || c.Wants != wire.WantsKey || c.Owner != his || c.Means != wire.MeansChip || c.Reference != "his-1" {
		t.Fatalf("begun: %+v", c)
	}
	c, err := pl.front.Key(t.Context(), his, c.ID, *p.scan())
	if err != nil || c.State != wire.StateCard {
		t.Fatalf("key: %v, state %s", err, c.State)
	}
	pl.insert(p.card(t))

	var states []string
	for c.State != wire.StateConfirm {
		e, err := pl.events.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e.CheckIn.ID != c.ID || e.CheckIn.Version <= c.Version && e.CheckIn.Version != 1 && e.CheckIn.Version != 2 {
			t.Fatalf("event %d of %s after %d", e.CheckIn.Version, e.CheckIn.ID, c.Version)
		}
		c = *e.CheckIn
		if len(states) == 0 || states[len(states)-1] != c.State {
			states = append(states, c.State)
		}
		if (c.Person != nil && c.Person.Verified) != (c.State == wire.StateConfirm) {
			t.Errorf("state %s, person %v", c.State, c.Person != nil)
		}
		if c.State == wire.StateReading && c.Person != nil {
			t.Error("a person before anything is verified")
		}
	}
	if want := []string{"key", "card", "reading", "text", "confirm"}; !slices.Equal(states, want) {
		t.Errorf("states %q, want %q", states, want)
	}
	if c.Person.Name != "Nguyễn Văn Thử" || c.Entitlement.Status != "valid" || c.Report.Decision != "accept" || !c.Photo.Available || !c.Photo.Signed {
		t.Errorf("name ok %v, entitlement %+v, decision %s, photo %+v", c.Person.Name == "Nguyễn Văn Thử", c.Entitlement, c.Report.Decision, c.Photo)
	}
	picture, media, err := pl.front.Photo(t.Context(), his, c.ID)
	if err != nil || media != "image/jpeg" || !bytes.HasPrefix(picture, []byte{0xFF, 0xD8}) {
		t.Errorf("photo: %v, %s, %d bytes", err, media, len(picture))
	}
	if pl.visits() != 0 {
		t.Fatal("recorded before anybody confirmed")
	}
	if _, err := pl.front.Record(t.Context(), his, c.ID); !errors.Is(err, checkin.ErrState) {
		t.Errorf("a record before it is recorded: %v", err)
	}

	c, err = pl.front.Confirm(t.Context(), his, c.ID, confirmed)
	if err != nil || c.State != wire.StateRecorded || pl.visits() != 1 || c.Delivery.State != "queued" {
		t.Fatalf("confirmed: %v, state %s, %d visits", err, c.State, pl.visits())
	}
	e := pl.disk.entries[0]
	v, err := contract.OpenVisit(e.Subject, e.Header, e.Payload)
	if err != nil || v.ID != c.Visit || v.Operator != "via "+his || !v.Verified || v.Evidence.Challenge != v.ExpectedChallenge() {
		t.Fatalf("visit: %v", err)
	}
	again, err := pl.front.Confirm(t.Context(), his, c.ID, confirmed)
	if err != nil || again.Visit != c.Visit || pl.visits() != 1 {
		t.Errorf("confirmed twice: %v, %d visits", err, pl.visits())
	}

	pl.deliver(wire.Delivery{State: "stored"})
	pl.await(c.ID, "stored", func(c wire.CheckIn) bool { return c.Delivery.State == "stored" })
	pl.deliver(wire.Delivery{State: "accepted", Assurance: "verified_chip"})
	pl.await(c.ID, "accepted", func(c wire.CheckIn) bool { return c.Delivery.State == "accepted" })

	xml, err := pl.front.Record(t.Context(), his, c.ID)
	if err != nil || !strings.Contains(string(xml), "<HO_TEN>Nguyễn Văn Thử</HO_TEN>") {
		t.Errorf("record: %v", err)
	}
	want := []audit.Entry{
		{Actor: his, Action: checkin.VisitConfirmed, Object: c.Visit, Note: "check-in " + c.ID + ", photo seen"},
		{Actor: his, Action: audit.VisitExported, Object: c.Visit, Note: "check-in record for " + his},
	}
	if d := cmp.Diff(want, pl.trail); d != "" {
		t.Errorf("trail (-want +got):\n%s", d)
	}
	if _, err := pl.front.Current(t.Context(), his); !errors.Is(err, checkin.ErrNone) {
		t.Errorf("still current: %v", err)
	}
}

// checkHistory goes through everything that was told of the check-ins of one run.
func checkHistory(t *testing.T, seed uint64, pl *place, asked map[string]int, visits map[string]bool) {
	t.Helper()
	told := map[string]bool{}    // visits
	ended := map[string]string{} // check-in -> state
	last := map[string]wire.CheckIn{}
	running := ""
	for _, c := range pl.history() {
		before := last[c.ID]
		last[c.ID] = c
		if c.Version <= before.Version {
			t.Errorf("seed %d: version %d after %d", seed, c.Version, before.Version)
		}
		if s, over := ended[c.ID]; over && c.State != s {
			t.Errorf("seed %d: %s after %s", seed, c.State, s)
		}
		if running != "" && running != c.ID && !wire.Ended(c.State) {
			t.Errorf("seed %d: two check-ins at a time", seed)
		}
		if running = c.ID; wire.Ended(c.State) {
			ended[c.ID], running = c.State, ""
		}
		if c.Person != nil && c.Person.Verified && (c.Means != wire.MeansChip || c.Report.Decision == "refuse") {
			t.Errorf("seed %d: verified by %s, decision %s", seed, c.Means, c.Report.Decision)
		}
		switch c.State {
		case wire.StateRecording:
			if before.State != wire.StateConfirm {
				t.Errorf("seed %d: recording after %s", seed, before.State)
			}
		case wire.StateRecorded:
			if before.State != wire.StateRecording && before.State != wire.StateRecorded || c.Report.Decision == "refuse" || asked[c.ID] == 0 || !visits[c.Visit] {
				t.Errorf("seed %d: recorded after %s, decision %s, confirmed %d times", seed, before.State, c.Report.Decision, asked[c.ID])
			}
			told[c.Visit] = true
		case wire.StateCancelled:
			if c.Person != nil || c.Entitlement != nil || c.Report != nil {
				t.Errorf("seed %d: somebody is left of a cancelled check-in", seed)
			}
		}
		if c.Visit != "" && c.State != wire.StateRecorded {
			t.Errorf("seed %d: a visit in state %s", seed, c.State)
		}
	}
	if len(told) != len(visits) {
		t.Errorf("seed %d: %d visits on disk, %d were told of", seed, len(visits), len(told))
	}
}

// history returns every check-in event that was published.
func (pl *place) history() (list []wire.CheckIn) {
	for {
		ctx, cancel := context.WithTimeout(pl.t.Context(), time.Minute)
		e, err := pl.all.Next(ctx)
		cancel()
		if err != nil {
			return list
		}
		if e.Type == wire.EventMissed {
			pl.t.Fatal("this tests nothing: events were missed")
		}
		if e.CheckIn != nil {
			list = append(list, *e.CheckIn)
		}
	}
}
