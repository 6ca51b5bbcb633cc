package checkin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/outbox"
)

// gate is a chip that stands still before an exchange for which closed says so, until
// it is opened.
type gate struct {
	*chip.Chip
	closed func() bool
	open   chan struct{}
}

func (g *gate) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if g.closed() {
		select {
		case <-g.open:
		case <-ctx.Done():
		}
	}
	return g.Chip.Transmit(ctx, cmd)
}

// slowDisk is a recorder that waits until it is let go.
type slowDisk struct {
	*disk
	begun, release chan struct{}
}

func (d *slowDisk) Put(ctx context.Context, e outbox.Entry) error {
	d.begun <- struct{}{}
	<-d.release
	return d.disk.Put(ctx, e)
}

// reach brings a place to a state, and returns the check-in there and what lets go of
// what it holds up.
func reach(t *testing.T, state string) (pl *place, id string, release func()) {
	t.Helper()
	profile, tamper := chip.ProfileCCCDNoAA, chip.TamperNone
	if state == wire.StateRefused {
		tamper = chip.TamperDG1
	}
	p := document(t, profile, tamper)
	slow := &slowDisk{begun: make(chan struct{}, 1), release: make(chan struct{})}
	pl = open(t, p, func(pl *place) {
		slow.disk = pl.disk
		if state == wire.StateRecording {
			pl.desk.Recorder = slow
		}
		if state == wire.StateFailed {
			pl.disk.fail = errors.New("no space left")
		}
	})
	release = func() {}
	c := pl.start(wire.Start{Photo: true})
	id = c.ID
	if state == wire.StateKey {
		return pl, id, release
	}
	if _, err := pl.front.Key(t.Context(), his, id, *p.scan()); err != nil {
		t.Fatal(err)
	}
	if state == wire.StateCard {
		return pl, id, release
	}
	g := &gate{Chip: p.card(t), open: make(chan struct{})}
	g.closed = func() bool {
		c, err := pl.front.Get(context.Background(), his, id)
		return err == nil && c.State == state && (state == wire.StateReading || state == wire.StateText)
	}
	pl.insert(g)
	switch state {
	case wire.StateReading, wire.StateText:
		pl.state(id, state)
		return pl, id, func() { close(g.open) }
	case wire.StateRefused:
		pl.state(id, state)
		return pl, id, release
	}
	pl.state(id, wire.StateConfirm)
	switch state {
	case wire.StateRecording:
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = pl.front.Confirm(context.Background(), his, id, confirmed)
		}()
		<-slow.begun
		return pl, id, func() {
			close(slow.release)
			<-done
		}
	case wire.StateRecorded, wire.StateFailed:
		if _, err := pl.front.Confirm(t.Context(), his, id, confirmed); err != nil {
			t.Fatal(err)
		}
	case wire.StateCancelled:
		if _, err := pl.front.Cancel(t.Context(), his, id); err != nil {
			t.Fatal(err)
		}
	}
	pl.state(id, state)
	return pl, id, release
}

// TestTransitions tries everything in every state.
func TestTransitions(t *testing.T) {
	const same = "" // the state stays
	no := checkin.ErrState
	type step struct {
		err  error
		next string
	}
	ops := []string{"key", "confirm", "mismatch", "cancel", "photo", "record", "start"}
	do := func(pl *place, id, op string) error {
		ctx := t.Context()
		switch op {
		case "key":
			_, err := pl.front.Key(ctx, his, id, wire.Key{CAN: "123456"})
			return err
		case "confirm":
			_, err := pl.front.Confirm(ctx, his, id, confirmed)
			return err
		case "mismatch":
			_, err := pl.front.Confirm(ctx, his, id, wire.Confirmation{Reason: "another face"})
			return err
		case "cancel":
			_, err := pl.front.Cancel(ctx, his, id)
			return err
		case "photo":
			_, _, err := pl.front.Photo(ctx, his, id)
			return err
		case "record":
			_, err := pl.front.Record(ctx, his, id)
			return err
		default:
			_, err := pl.front.Start(ctx, "another", wire.Start{})
			return err
		}
	}
	cancelled := step{nil, wire.StateCancelled}
	none, busy, stays := step{checkin.ErrNone, same}, step{checkin.ErrBusy, same}, step{nil, same}
	not := step{no, same}
	table := map[string][]step{ // in the order of ops
		wire.StateKey:       {{nil, wire.StateCard}, not, not, cancelled, none, not, busy},
		wire.StateCard:      {stays, not, not, cancelled, none, not, busy},
		wire.StateReading:   {not, not, not, cancelled, none, not, busy},
		wire.StateText:      {not, not, not, cancelled, none, not, busy},
		wire.StateConfirm:   {not, {nil, wire.StateRecorded}, cancelled, cancelled, stays, not, busy},
		wire.StateRecording: {not, {nil, wire.StateRecorded}, not, not, stays, not, busy},
		wire.StateRecorded:  {not, stays, not, not, stays, stays, stays},
		wire.StateRefused:   {not, not, not, not, none, not, stays},
		wire.StateFailed:    {not, stays, not, not, stays, not, stays},
		wire.StateCancelled: {not, not, not, stays, none, not, stays},
	}
	for state, steps := range table {
		for i, op := range ops {
			t.Run(state+" "+op, func(t *testing.T) {
				t.Parallel()
				pl, id, release := reach(t, state)
				want := steps[i]
				if state == wire.StateRecording && op == "confirm" {
					release() // it waits for that
				}
				if err := do(pl, id, op); !errors.Is(err, want.err) {
					t.Errorf("error %v, want %v", err, want.err)
				}
				c, err := pl.front.Get(t.Context(), his, id)
				if err != nil {
					t.Fatal(err)
				}
				next := want.next
				if next == same {
					next = state
				}
				if c.State != next {
					t.Errorf("state %s, want %s", c.State, next)
				}
				if n := pl.visits(); (n == 1) != (c.State == wire.StateRecorded) || n > 1 {
					t.Errorf("%d visits in state %s", n, c.State)
				}
				if c.State == wire.StateCancelled && (c.Person != nil || c.Photo != nil || c.Entitlement != nil || c.Report != nil) {
					t.Error("a cancelled check-in still shows somebody")
				}
				if state != wire.StateRecording || op != "confirm" {
					release()
				}
			})
		}
	}
}

// TestOwner: a client sees and touches nothing of another's, the desk everything.
func TestOwner(t *testing.T) {
	pl, id, _ := reach(t, wire.StateConfirm)
	ctx := t.Context()
	const other = "https://other.example"
	_, key := pl.front.Key(ctx, other, id, wire.Key{CAN: "123456"})
	_, confirm := pl.front.Confirm(ctx, other, id, confirmed)
	_, mismatch := pl.front.Confirm(ctx, other, id, wire.Confirmation{Reason: "x"})
	_, cancel := pl.front.Cancel(ctx, other, id)
	got, get := pl.front.Get(ctx, other, id)
	_, _, photo := pl.front.Photo(ctx, other, id)
	_, record := pl.front.Record(ctx, other, id)
	for name, err := range map[string]error{"key": key, "confirm": confirm, "mismatch": mismatch, "cancel": cancel, "get": get, "photo": photo, "record": record} {
		if !errors.Is(err, checkin.ErrOwner) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got.ID != "" || got.Person != nil {
		t.Error("the other client is told something")
	}
	if _, err := pl.front.Current(ctx, other); !errors.Is(err, checkin.ErrNone) {
		t.Errorf("current: %v", err)
	}
	if _, err := pl.front.Get(ctx, checkin.OwnerDesk, "0192f0c0-0000-7000-8000-000000000000"); !errors.Is(err, checkin.ErrNone) {
		t.Errorf("an id that nobody has: %v", err)
	}
	if _, err := pl.front.Start(ctx, "", wire.Start{}); !errors.Is(err, checkin.ErrOwner) {
		t.Errorf("nobody's check-in: %v", err)
	}
	for _, owner := range []string{his, checkin.OwnerDesk} {
		if c, err := pl.front.Current(ctx, owner); err != nil || c.ID != id || c.Person == nil {
			t.Errorf("%s: current %v", owner, err)
		}
	}
	if c, err := pl.front.Confirm(ctx, checkin.OwnerDesk, id, confirmed); err != nil || c.State != wire.StateRecorded || c.Owner != his {
		t.Errorf("the desk confirms: %v, %s", err, c.State)
	}
}

// TestMismatch: the operator says that it is somebody else. Nothing is recorded, and
// the audit trail says who said so and why, all of it.
func TestMismatch(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		want         []string
		err          error
	}{
		{"said why", "Ảnh là người khác", []string{"Ảnh là người khác"}, nil},
		{"at length", strings.Repeat("ễ", 200), []string{"1/4 " + strings.Repeat("ễ", 66), "2/4 " + strings.Repeat("ễ", 66), "3/4 " + strings.Repeat("ễ", 66), "4/4 ễễ"}, nil},
		{"no reason", "  ", nil, checkin.ErrInput},
		{"too long", strings.Repeat("a", 201), nil, checkin.ErrInput},
		{"not to be seen", "a\u202eb", nil, checkin.ErrInput},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pl, id, _ := reach(t, wire.StateConfirm)
			c, err := pl.front.Confirm(t.Context(), his, id, wire.Confirmation{Reason: tt.reason})
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v", err)
			}
			if tt.err != nil {
				if c.State != wire.StateConfirm || len(pl.trail) != 0 {
					t.Errorf("state %s, trail %v", c.State, pl.trail)
				}
				return
			}
			if c.State != wire.StateCancelled || c.Person != nil || pl.visits() != 0 || c.Fault == nil || c.Fault.Code == "internal" {
				t.Errorf("state %s, %d visits", c.State, pl.visits())
			}
			var got []string
			for _, e := range pl.trail {
				if e.Action != checkin.PersonMismatch || e.Actor != his || e.Object != id || len(e.Note) > 256 {
					t.Errorf("entry %+v", e)
				}
				got = append(got, e.Note)
			}
			if strings.Join(got, "|") != strings.Join(tt.want, "|") {
				t.Errorf("trail %q, want %q", got, tt.want)
			}
			if _, err := pl.front.Confirm(t.Context(), his, id, confirmed); !errors.Is(err, checkin.ErrState) || pl.visits() != 0 {
				t.Errorf("confirmed afterwards: %v, %d visits", err, pl.visits())
			}
		})
	}
	// A trail that cannot be written is told, and still nothing is recorded.
	pl, id, _ := reach(t, wire.StateConfirm)
	pl.auditErr = audit.ErrBroken
	c, err := pl.front.Confirm(t.Context(), his, id, wire.Confirmation{Reason: "x"})
	if !errors.Is(err, audit.ErrBroken) || c.State != wire.StateCancelled || pl.visits() != 0 {
		t.Errorf("broken trail: %v, %s", err, c.State)
	}
}

// TestNothingIsRecordedUnseen: a visit that cannot be written in the trail, by which a
// check-in is known to be that visit, is not recorded.
func TestNothingIsRecordedUnseen(t *testing.T) {
	pl, id, _ := reach(t, wire.StateConfirm)
	pl.auditErr = audit.ErrBroken
	c, err := pl.front.Confirm(t.Context(), his, id, confirmed)
	if err != nil || c.State != wire.StateFailed || c.Fault == nil || pl.visits() != 0 {
		t.Errorf("%v, state %s, %d visits", err, c.State, pl.visits())
	}
}

// TestOperatorRequired: nobody signed in, nothing recorded; the check-in waits.
func TestOperatorRequired(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	pl := open(t, p, func(pl *place) { pl.cfg.OperatorRequired, pl.operator = true, "" })
	pl.insert(p.card(t)) // before anything begins
	c := pl.start(wire.Start{Key: p.scan()})
	pl.state(c.ID, wire.StateConfirm)
	if c, err := pl.front.Confirm(t.Context(), his, c.ID, confirmed); !errors.Is(err, checkin.ErrOperator) || c.State != wire.StateConfirm || pl.visits() != 0 {
		t.Fatalf("nobody: %v, %s", err, c.State)
	}
	pl.mu.Lock()
	pl.operator = "hoa"
	pl.mu.Unlock()
	if c, err := pl.front.Confirm(t.Context(), checkin.OwnerDesk, c.ID, confirmed); err != nil || c.State != wire.StateRecorded {
		t.Fatalf("somebody: %v, %s", err, c.State)
	}
	v, err := contract.DecodeVisit(pl.disk.entries[0].Payload)
	if err != nil || v.Operator != "hoa" {
		t.Errorf("operator %q, %v", v.Operator, err)
	}
}

// TestWhoConfirmed: a visit and the audit trail name who confirmed, and whether they
// had looked at a photo; who is signed in at the desk does not answer for a client.
func TestWhoConfirmed(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	long := "https://" + strings.Repeat("a", 180) + ".example"
	for _, tt := range []struct {
		name, owner, signedIn string // owner: who confirms
		photo, look           bool
		operator, actor, seen string
	}{
		{"desk", checkin.OwnerDesk, "lan", true, true, "lan", "lan", "photo seen"},
		{"desk without looking", checkin.OwnerDesk, "lan", true, false, "lan", "lan", "photo not looked at"},
		{"desk without photo", checkin.OwnerDesk, "lan", false, false, "lan", "lan", "no photo: not_asked"},
		{"nobody at the desk", checkin.OwnerDesk, "", true, true, "", "desk", "photo seen"},
		{"client", his, "lan", true, true, "via " + his, his, "photo seen"},
		{"client without photo", his, "lan", false, false, "via " + his, his, "no photo: not_asked"},
		{"client, nobody at the desk", his, "", true, false, "via " + his, his, "photo not looked at"},
		{"client with a long name", long, "lan", false, false, "via " + long[:57] + "...", long, "no photo: not_asked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pl := open(t, p, func(pl *place) { pl.operator = tt.signedIn })
			pl.insert(p.card(t))
			began := tt.owner
			if began == checkin.OwnerDesk {
				began = his // what a client begins, the desk may confirm
			}
			c, err := pl.front.Start(t.Context(), began, wire.Start{Key: p.scan(), Photo: tt.photo})
			if err != nil {
				t.Fatal(err)
			}
			for c.State != wire.StateConfirm {
				e, err := pl.events.Next(t.Context())
				if err != nil || wire.Ended(e.CheckIn.State) {
					t.Fatalf("state %s: %v", c.State, err)
				}
				c = *e.CheckIn
			}
			if tt.look {
				if _, _, err := pl.front.Photo(t.Context(), tt.owner, c.ID); err != nil {
					t.Fatal(err)
				}
			} else if tt.photo { // somebody else's look is not theirs
				other := checkin.OwnerDesk
				if tt.owner == other {
					other = began
				}
				if _, _, err := pl.front.Photo(t.Context(), other, c.ID); err != nil {
					t.Fatal(err)
				}
			}
			if c, err = pl.front.Confirm(t.Context(), tt.owner, c.ID, confirmed); err != nil || c.State != wire.StateRecorded {
				t.Fatalf("%v, state %s", err, c.State)
			}
			v, err := contract.DecodeVisit(pl.disk.entries[0].Payload)
			if err != nil || v.Operator != tt.operator {
				t.Errorf("operator %q, %v", v.Operator, err)
			}
			want := []audit.Entry{{Actor: tt.actor, Action: checkin.VisitConfirmed, Object: c.Visit, Note: "check-in " + c.ID + ", " + tt.seen}}
			if d := cmp.Diff(want, pl.trail); d != "" {
				t.Errorf("trail (-want +got):\n%s", d)
			}
		})
	}
}

// TestAbandoned: what waits for somebody is given up, and what has ended is forgotten.
func TestAbandoned(t *testing.T) {
	for _, state := range []string{wire.StateKey, wire.StateCard, wire.StateConfirm} {
		t.Run(state, func(t *testing.T) {
			pl, id, _ := reach(t, state)
			pl.pass(checkin.DefaultAbandon - time.Second)
			if left := pl.front.Expire(); left > time.Second {
				t.Errorf("looks again in %v", left)
			}
			if c, err := pl.front.Get(t.Context(), his, id); err != nil || c.State != state {
				t.Fatalf("too early: %v, %s", err, c.State)
			}
			pl.pass(time.Second)
			pl.front.Expire()
			c, err := pl.front.Get(t.Context(), his, id)
			if err != nil || c.State != wire.StateCancelled || c.Fault == nil || c.Fault.Code == "internal" || c.Person != nil || c.Entitlement != nil {
				t.Fatalf("%v, %s, fault %v", err, c.State, c.Fault)
			}
			if _, _, err := pl.front.Photo(t.Context(), his, id); !errors.Is(err, checkin.ErrNone) {
				t.Errorf("the photo is still there: %v", err)
			}
			if _, err := pl.front.Start(t.Context(), "next", wire.Start{}); err != nil {
				t.Errorf("the next one: %v", err)
			}
		})
	}
	t.Run("input counts", func(t *testing.T) {
		pl, id, _ := reach(t, wire.StateKey)
		pl.pass(checkin.DefaultAbandon - time.Second)
		if _, err := pl.front.Key(t.Context(), his, id, wire.Key{CAN: "123456"}); err != nil {
			t.Fatal(err)
		}
		pl.pass(time.Minute)
		pl.front.Expire()
		if c, _ := pl.front.Get(t.Context(), his, id); c.State != wire.StateCard {
			t.Errorf("state %s", c.State)
		}
	})
	t.Run("a result is kept for a while", func(t *testing.T) {
		pl, id, _ := reach(t, wire.StateRecorded)
		pl.pass(checkin.DefaultKeep - time.Second)
		pl.front.Expire()
		if c, err := pl.front.Get(t.Context(), his, id); err != nil || c.Person == nil {
			t.Fatalf("too early: %v", err)
		}
		pl.pass(time.Second)
		pl.front.Expire()
		if _, err := pl.front.Get(t.Context(), his, id); !errors.Is(err, checkin.ErrNone) || pl.front.Kept() != 0 {
			t.Errorf("still kept: %v", err)
		}
		if _, err := pl.front.Record(t.Context(), his, id); !errors.Is(err, checkin.ErrNone) {
			t.Errorf("its record: %v", err)
		}
	})
	t.Run("only so many", func(t *testing.T) {
		pl := open(t, document(t, chip.ProfileCCCDNoAA, chip.TamperNone), nil)
		first := ""
		for range checkin.MaxKept + 3 {
			c := pl.start(wire.Start{})
			if first == "" {
				first = c.ID
			}
			if _, err := pl.front.Cancel(t.Context(), his, c.ID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := pl.front.Get(t.Context(), his, first); !errors.Is(err, checkin.ErrNone) || pl.front.Kept() != checkin.MaxKept {
			t.Errorf("%d are kept, the first: %v", pl.front.Kept(), err)
		}
	})
}

// TestShutdown ends the front desk in every state: what is being recorded is
// recorded, everything else is cancelled, and nothing more is taken.
func TestShutdown(t *testing.T) {
	for _, state := range []string{wire.StateKey, wire.StateCard, wire.StateReading, wire.StateText, wire.StateConfirm, wire.StateRecording, wire.StateRecorded} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			pl, id, release := reach(t, state)
			ended := make(chan error, 1)
			go func() { ended <- pl.stop() }()
			for state != wire.StateRecorded { // where the next one may begin
				_, err := pl.front.Start(t.Context(), "late", wire.Start{})
				if errors.Is(err, checkin.ErrClosed) {
					break
				}
				if err == nil {
					t.Error("a check-in began while another runs")
					break
				}
				time.Sleep(time.Millisecond)
			}
			release()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			want := 0
			if state == wire.StateRecording || state == wire.StateRecorded {
				want = 1
			}
			if pl.visits() != want {
				t.Errorf("%d visits, want %d", pl.visits(), want)
			}
			if _, err := pl.front.Get(t.Context(), his, id); !errors.Is(err, checkin.ErrNone) {
				t.Errorf("kept after the end: %v", err)
			}
		})
	}
}

// TestRecordingSurvivesTheClient: whoever confirmed goes away, and the visit is
// recorded all the same.
func TestRecordingSurvivesTheClient(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	slow := &slowDisk{begun: make(chan struct{}, 1), release: make(chan struct{})}
	pl := open(t, p, func(pl *place) {
		slow.disk = pl.disk
		pl.desk.Recorder = slow
	})
	pl.insert(p.card(t))
	c := pl.start(wire.Start{Key: p.scan()})
	pl.state(c.ID, wire.StateConfirm)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-slow.begun
		cancel()
	}()
	c, err := pl.front.Confirm(ctx, his, c.ID, confirmed)
	if err != nil || c.State != wire.StateRecording || pl.visits() != 0 {
		t.Fatalf("gone: %v, %s", err, c.State)
	}
	close(slow.release)
	pl.state(c.ID, wire.StateRecorded)
	if pl.visits() != 1 {
		t.Errorf("%d visits", pl.visits())
	}
}

// TestCannotRecord: the disk says no, or does not know, and so does the desk. To
// confirm again makes nothing of it.
func TestCannotRecord(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code string
	}{
		{errFull, "cannot_record"},
		{errUncertain, "perhaps_recorded"},
		{errors.New("something else"), "not_recorded"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
			pl := open(t, p, func(pl *place) { pl.disk.fail = fmt.Errorf("outbox: %w", tt.err) })
			pl.insert(p.card(t))
			c := pl.start(wire.Start{Key: p.scan()})
			pl.state(c.ID, wire.StateConfirm)
			c, err := pl.front.Confirm(t.Context(), his, c.ID, confirmed)
			if err != nil || c.State != wire.StateFailed || c.Fault == nil || c.Fault.Code != tt.code || c.Visit != "" || c.Delivery != nil {
				t.Fatalf("%v, state %s, fault %+v, visit %q", err, c.State, c.Fault, c.Visit)
			}
			pl.disk.mu.Lock()
			pl.disk.fail = nil
			pl.disk.mu.Unlock()
			if again, err := pl.front.Confirm(t.Context(), his, c.ID, confirmed); err != nil || again.State != wire.StateFailed || pl.visits() != 0 {
				t.Errorf("again: %v, %s, %d visits", err, again.State, pl.visits())
			}
			if _, err := pl.front.Record(t.Context(), his, c.ID); !errors.Is(err, checkin.ErrState) {
				t.Errorf("a record of what is not recorded: %v", err)
			}
		})
	}
}

// TestRecordAudited: an export that cannot be written down does not happen.
func TestRecordAudited(t *testing.T) {
	pl, id, _ := reach(t, wire.StateRecorded)
	pl.mu.Lock()
	pl.auditErr = audit.ErrBroken
	pl.mu.Unlock()
	if b, err := pl.front.Record(t.Context(), his, id); !errors.Is(err, audit.ErrBroken) || b != nil {
		t.Errorf("%v, %d bytes", err, len(b))
	}
}

// TestNewFrontNeeds what it cannot do without.
func TestNewFrontNeeds(t *testing.T) {
	if _, err := checkin.NewFront(checkin.FrontConfig{}); err == nil {
		t.Error("a front desk without anything")
	}
	pl := open(t, document(t, chip.ProfileCCCDNoAA, chip.TamperNone), nil)
	f, err := checkin.NewFront(pl.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Run(ended); err != nil {
		t.Errorf("run: %v", err)
	}
	if err := f.Run(t.Context()); err == nil {
		t.Error("runs twice")
	}
}

// TestFindings: where document and insurer differ is shown with both sides.
func TestFrontFindings(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	pl := open(t, p, func(pl *place) {
		pl.desk.Lookup = insurer(func(context.Context, lookup.Request) (lookup.Answer, error) {
			a := insured
			a.Age, a.Stale = 36*time.Hour, true
			a.Entitlement.To = "2025-12-31"
			a.Entitlement.Next = &contract.NextCard{CardNumber: "GD4010100000002", From: "2027-01-01"}
			a.Person = &contract.Insured{Number: "001099000002", Name: "Nguyễn Văn Khác", BirthDate: "1999-02-01", Sex: contract.SexFemale}
			return a, nil
		})
	})
	pl.insert(p.card(t))
	c := pl.state(pl.start(wire.Start{Key: p.scan()}).ID, wire.StateConfirm)
	want := []wire.Finding{
		{Field: "number", Document: "001099000001", Insurer: "001099000002"},
		{Field: "name", Document: "Nguyễn Văn Thử", Insurer: "Nguyễn Văn Khác"},
		{Field: "birth_date", Document: "1999-01-31", Insurer: "1999-02-01"},
		{Field: "sex", Document: "male", Insurer: "female"},
		{Field: "period_ended", Insurer: "2025-12-31"},
	}
	e := c.Entitlement
	if fmt.Sprint(e.Findings) != fmt.Sprint(want) {
		t.Errorf("%d findings, want %d", len(e.Findings), len(want))
	}
	if !e.Stale || e.AgeSeconds != 36*3600 || e.Next == nil || e.Next.CardNumber != "GD4010100000002" || e.AsOf == "" {
		t.Errorf("stale %v, age %d, next %v", e.Stale, e.AgeSeconds, e.Next)
	}
}
