package checkin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/event"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/vn"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/virtual"
)

// tearing is a chip that leaves the field at its n-th exchange.
type tearing struct {
	*chip.Chip
	left int
}

func (c *tearing) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if c.left--; c.left < 0 {
		return nil, errors.New("gone")
	}
	return c.Chip.Transmit(ctx, cmd)
}

func waitsWith(code string) func(wire.CheckIn) bool {
	return func(c wire.CheckIn) bool { return c.Fault != nil && c.Fault.Code == code }
}

// TestTornCard: a card that is lifted, at whatever exchange, is waited for, without a
// new scan; nobody stays on the screen meanwhile.
func TestTornCard(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	for _, after := range []int{0, 1, 4, 9, 14, 20} {
		t.Run(fmt.Sprint("after ", after), func(t *testing.T) {
			t.Parallel()
			pl := open(t, p, nil)
			c := pl.start(wire.Start{Key: p.scan(), Photo: true})
			pl.insert(&tearing{p.card(t), after})
			c = pl.await(c.ID, "torn", waitsWith("card_removed"))
			if c.State != wire.StateCard || c.Person != nil || c.Entitlement != nil || c.Progress != nil {
				t.Errorf("state %s, person %v", c.State, c.Person != nil)
			}
			pl.remove()
			pl.insert(p.card(t))
			c = pl.state(c.ID, wire.StateConfirm)
			if c.Fault != nil || !c.Person.Verified {
				t.Errorf("fault %v", c.Fault)
			}
		})
	}
}

// TestTornForEver: there is an end to it.
func TestTornForEver(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	pl := open(t, p, nil)
	c := pl.start(wire.Start{Key: p.scan()})
	for range checkin.MaxReads {
		before := c.Version
		pl.insert(&tearing{p.card(t), 3})
		c = pl.await(c.ID, "torn once more", func(c wire.CheckIn) bool {
			return c.Version > before+1 && c.Fault != nil && c.Fault.Code == "card_removed"
		})
		pl.remove()
	}
	pl.state(c.ID, wire.StateFailed)
	if pl.visits() != 0 {
		t.Error("recorded")
	}
}

// unreadable is a card that refuses to open.
type unreadable struct{ *chip.Chip }

func (c unreadable) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	resp, err := c.Chip.Transmit(ctx, cmd)
	if err == nil && len(cmd) > 1 && cmd[1] == 0x84 { // GET CHALLENGE
		return []byte{0x6F, 0x00}, nil
	}
	return resp, err
}

// TestUnreadableCard: a card that does not answer as it should is not tried again and
// again, but once more when it is laid on anew, or asked for.
func TestUnreadableCard(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	pl := open(t, p, nil)
	c := pl.start(wire.Start{Key: p.scan()})
	pl.insert(unreadable{p.card(t)})
	c = pl.await(c.ID, "refuses", waitsWith("access_refused"))
	if c.State != wire.StateCard {
		t.Fatalf("state %s", c.State)
	}
	// The same key once more is a way to say "try again".
	if _, err := pl.front.Key(t.Context(), his, c.ID, *p.scan()); err != nil {
		t.Fatal(err)
	}
	version := c.Version
	c = pl.await(c.ID, "tried again", func(n wire.CheckIn) bool {
		return n.Version > version+2 && n.Fault != nil && n.Fault.Code == "access_refused"
	})
	pl.remove()
	pl.insert(p.card(t))
	pl.state(c.ID, wire.StateConfirm)
}

// TestWrongKey: the candidates from the code fail; only the date of expiry is asked
// for, and what is typed is counted.
func TestWrongKey(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	pl := open(t, p, nil)
	fields := strings.Split(p.doc.QR, "|")
	fields[6] = "01012010" // a date of issue with other candidates
	c := pl.start(wire.Start{Key: &wire.Key{Scan: strings.Join(fields, "|")}})
	pl.insert(p.card(t))
	c = pl.state(c.ID, wire.StateKey)
	if c.Wants != wire.WantsExpiry || c.Fault == nil || c.Fault.Code != "wrong_key" || c.Fault.Kind != "input" {
		t.Fatalf("wants %q, fault %+v", c.Wants, c.Fault)
	}
	if _, err := pl.front.Key(t.Context(), his, c.ID, wire.Key{Expiry: "2044-04"}); !errors.Is(err, checkin.ErrInput) {
		t.Errorf("half a date: %v", err)
	}
	if _, err := pl.front.Key(t.Context(), his, c.ID, wire.Key{Expiry: "2044-04-04"}); err != nil {
		t.Fatal(err)
	}
	c = pl.state(c.ID, wire.StateKey)
	if c.Wants != wire.WantsExpiry {
		t.Errorf("wants %q", c.Wants)
	}
	if _, err := pl.front.Key(t.Context(), his, c.ID, wire.Key{Expiry: p.expiry(t)}); err != nil {
		t.Fatal(err)
	}
	c = pl.state(c.ID, wire.StateConfirm) // the card lay there all the time
	if c.Wants != "" || c.Fault != nil {
		t.Errorf("wants %q, fault %v", c.Wants, c.Fault)
	}
}

// expiry is what the card says in print.
func (p paper) expiry(t *testing.T) string {
	t.Helper()
	line := p.doc.MRZ[1]
	if p.doc.QR == "" {
		t.Fatal("not a citizen card")
	}
	return "20" + line[8:10] + "-" + line[10:12] + "-" + line[12:14]
}

// TestWrongKeyForEver: there is an end to that, too.
func TestWrongKeyForEver(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	pl := open(t, p, nil)
	pl.insert(p.card(t))
	c := pl.start(wire.Start{Key: &wire.Key{Scan: p.doc.QR, Expiry: "2044-01-01"}})
	for n := range checkin.MaxKeys - 1 {
		c = pl.state(c.ID, wire.StateKey)
		if _, err := pl.front.Key(t.Context(), his, c.ID, wire.Key{Expiry: fmt.Sprintf("2044-02-%02d", n+1)}); err != nil {
			t.Fatal(err)
		}
	}
	c = pl.state(c.ID, wire.StateFailed)
	if c.Fault == nil || c.Fault.Code != "wrong_key" {
		t.Errorf("fault %+v", c.Fault)
	}
}

// TestWrongCAN: the chip says how many tries are left, and so does the desk.
func TestWrongCAN(t *testing.T) {
	p := document(t, chip.ProfileCCCDPACE, chip.TamperNone)
	doc, counting := *p.doc, *p.doc.Personalisation
	counting.CANTries = 3
	doc.Personalisation = &counting
	p.doc = &doc
	pl := open(t, p, nil)
	pl.insert(p.card(t))
	c := pl.start(wire.Start{Key: &wire.Key{CAN: "999999"}})
	for left := 2; left >= 1; left-- {
		c = pl.await(c.ID, "refused", func(c wire.CheckIn) bool { return c.State == wire.StateKey })
		if c.Wants != wire.WantsKey || c.Fault == nil || c.Fault.TriesLeft == nil || *c.Fault.TriesLeft != left {
			t.Fatalf("wants %q, fault %+v", c.Wants, c.Fault)
		}
		if _, err := pl.front.Key(t.Context(), his, c.ID, wire.Key{CAN: "999998"}); err != nil {
			t.Fatal(err)
		}
	}
	c = pl.state(c.ID, wire.StateKey)
	if c.Fault == nil || c.Fault.TriesLeft != nil && *c.Fault.TriesLeft != 0 {
		t.Errorf("the last try: %+v", c.Fault)
	}
	// The MRZ opens it all the same.
	if _, err := pl.front.Key(t.Context(), his, c.ID, wire.Key{MRZ: strings.Join(doc.MRZ, "\n")}); err != nil {
		t.Fatal(err)
	}
	pl.state(c.ID, wire.StateConfirm)
}

// TestTampered lays every forged document on the reader: none is confirmed, none is
// ever shown as verified, none is recorded.
func TestTampered(t *testing.T) {
	for _, k := range chip.Tampers() {
		t.Run(string(k.Kind), func(t *testing.T) {
			profile := chip.ProfileCCCD
			if k.Kind == chip.TamperCardSecurity {
				profile = chip.ProfilePassportPACECAM
			}
			p := document(t, profile, k.Kind)
			pl := open(t, p, nil)
			key := wire.Key{Scan: p.doc.QR}
			if key.Scan == "" {
				key = wire.Key{MRZ: strings.Join(p.doc.MRZ, "\n")}
			}
			c := pl.start(wire.Start{Photo: true, Key: &key})
			pl.insert(p.card(t))
			want := map[chip.Tamper]string{chip.TamperWrongKey: wire.StateKey, chip.TamperTorn: wire.StateCard}[k.Kind]
			if want == "" {
				want = wire.StateRefused
			}
			for ok := false; !ok; {
				e, err := pl.events.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				n := *e.CheckIn
				if n.Person != nil && n.Person.Verified {
					t.Fatalf("verified in state %s", n.State)
				}
				if n.State == wire.StateConfirm || n.Photo != nil && n.Photo.Available {
					t.Fatalf("state %s, photo %v", n.State, n.Photo)
				}
				ok = n.State == want && n.Fault != nil
			}
			if _, err := pl.front.Confirm(t.Context(), his, c.ID, confirmed); !errors.Is(err, checkin.ErrState) || pl.visits() != 0 {
				t.Errorf("confirmed: %v, %d visits", err, pl.visits())
			}
		})
	}
}

// sick is a driver whose service comes and goes.
type sick struct {
	*virtual.Driver
	well atomic.Bool
}

func (s *sick) Readers(ctx context.Context) ([]reader.Info, error) {
	if !s.well.Load() {
		return nil, reader.ErrNoService
	}
	return s.Driver.Readers(ctx)
}

func (s *sick) Wait(ctx context.Context, known []reader.Info) ([]reader.Info, error) {
	if !s.well.Load() {
		return nil, reader.ErrNoService
	}
	return s.Driver.Wait(ctx, known)
}

// TestReaderTroubles are states with a fault, and heal by themselves.
func TestReaderTroubles(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	t.Run("no reader, then one", func(t *testing.T) {
		pl := open(t, p, nil)
		pl.slot.Unplug(readerName)
		c := pl.start(wire.Start{Key: p.scan()})
		c = pl.await(c.ID, "no reader", waitsWith("no_reader"))
		if err := pl.slot.Plug(readerName); err != nil {
			t.Fatal(err)
		}
		c = pl.await(c.ID, "healed", func(c wire.CheckIn) bool { return c.Fault == nil })
		pl.insert(p.card(t))
		pl.state(c.ID, wire.StateConfirm)
	})
	t.Run("another reader than the one that was asked for", func(t *testing.T) {
		pl := open(t, p, nil)
		if err := pl.slot.Plug("Second Reader PICC 0"); err != nil {
			t.Fatal(err)
		}
		pl.insert(p.card(t))
		c := pl.start(wire.Start{Key: p.scan(), Reader: "Second Reader PICC 0"})
		if err := pl.slot.Insert("Second Reader PICC 0", p.card(t)); err != nil {
			t.Fatal(err)
		}
		if c = pl.state(c.ID, wire.StateConfirm); c.Reader != "Second Reader PICC 0" {
			t.Errorf("read on %q", c.Reader)
		}
	})
	t.Run("a reader that is not there", func(t *testing.T) {
		pl := open(t, p, nil)
		pl.insert(p.card(t))
		c := pl.start(wire.Start{Key: p.scan(), Reader: "none"})
		if c = pl.await(c.ID, "no reader", waitsWith("no_reader")); c.State != wire.StateCard {
			t.Errorf("state %s", c.State)
		}
	})
	t.Run("unplugged while it reads", func(t *testing.T) {
		pl := open(t, p, nil)
		c := pl.start(wire.Start{Key: p.scan(), Photo: true})
		g := &gate{Chip: p.card(t), open: make(chan struct{})}
		g.closed = func() bool {
			c, err := pl.front.Get(context.Background(), his, c.ID)
			return err == nil && c.State == wire.StateText
		}
		pl.insert(g)
		pl.state(c.ID, wire.StateText)
		pl.slot.Unplug(readerName)
		close(g.open)
		pl.await(c.ID, "gone", func(c wire.CheckIn) bool { return c.State == wire.StateCard && c.Fault != nil })
		if err := pl.slot.Plug(readerName); err != nil {
			t.Fatal(err)
		}
		pl.insert(p.card(t))
		pl.state(c.ID, wire.StateConfirm)
	})
	t.Run("no service, then one", func(t *testing.T) {
		s := &sick{Driver: virtual.New(readerName)}
		pl := open(t, p, func(pl *place) {
			hub, err := reader.OpenHub(reader.HubConfig{Sources: []reader.Source{{Name: "sick", Driver: s}}, MaxRetry: 200 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := hub.Close(); err != nil {
					t.Error(err)
				}
			})
			pl.slot, pl.cfg.Readers = s.Driver, hub
		})
		c := pl.start(wire.Start{Key: p.scan()})
		c = pl.await(c.ID, "no service", waitsWith("no_pcsc_service"))
		s.well.Store(true)
		pl.await(c.ID, "healed", func(c wire.CheckIn) bool { return c.Fault == nil })
		pl.insert(p.card(t))
		pl.state(c.ID, wire.StateConfirm)
	})
	t.Run("another program has the card", func(t *testing.T) {
		pl := open(t, p, nil)
		pl.insert(p.card(t))
		other, err := pl.slot.Open(t.Context(), readerName)
		if err != nil {
			t.Fatal(err)
		}
		c := pl.start(wire.Start{Key: p.scan()})
		c = pl.await(c.ID, "busy", waitsWith("reader_busy"))
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		pl.state(c.ID, wire.StateConfirm)
	})
	t.Run("issuers cannot be read", func(t *testing.T) {
		broken := errors.New("trust is broken")
		pl := open(t, p, func(pl *place) {
			pl.cfg.Desk = func(context.Context) (*checkin.Desk, error) { return nil, broken }
		})
		pl.insert(p.card(t))
		c := pl.state(pl.start(wire.Start{Key: p.scan()}).ID, wire.StateFailed)
		if c.Fault == nil || pl.visits() != 0 {
			t.Errorf("fault %v", c.Fault)
		}
	})
}

// TestSlowSubscriber: a client that does not listen for a whole check-in still finds
// its end, and holds nobody up.
func TestSlowSubscriber(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	var slow, stranger *event.Subscription
	pl := open(t, p, func(pl *place) {
		slow, stranger = pl.cfg.Events.Subscribe(his, 2), pl.cfg.Events.Subscribe("another", 100)
	})
	defer slow.Close()
	defer stranger.Close()
	pl.insert(p.card(t))
	c := pl.state(pl.start(wire.Start{Key: p.scan(), Photo: true}).ID, wire.StateConfirm)
	if _, err := pl.front.Confirm(t.Context(), his, c.ID, confirmed); err != nil {
		t.Fatal(err)
	}
	var last wire.Event
	for last.CheckIn == nil || last.CheckIn.State != wire.StateRecorded {
		e, err := slow.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == wire.EventMissed {
			t.Error("a result was missed")
		}
		last = e
	}
	if last.CheckIn.Visit == "" || last.CheckIn.Person == nil {
		t.Error("the last state lacks its result")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if e, err := stranger.Next(ended); err == nil {
		t.Errorf("a stranger hears of %s", e.Type)
	}
}

// TestProgress: each step is told, numbers only grow, and the photo is counted in
// bytes.
func TestProgress(t *testing.T) {
	p := document(t, chip.ProfileCCCD, chip.TamperNone)
	pl := open(t, p, nil)
	pl.insert(p.card(t))
	c := pl.start(wire.Start{Key: p.scan(), Photo: true})
	version, done, bytes := uint64(0), 0, 0
	for c.State != wire.StateConfirm {
		e, err := pl.events.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c = *e.CheckIn
		if c.Version <= version {
			t.Errorf("version %d after %d", c.Version, version)
		}
		version = c.Version
		if c.Progress == nil {
			continue
		}
		if c.Progress.Done < done || c.Progress.Done > c.Progress.Total {
			t.Errorf("%d of %d steps after %d", c.Progress.Done, c.Progress.Total, done)
		}
		done = c.Progress.Done
		if c.Progress.Step == "dg2" {
			bytes = max(bytes, c.Progress.Bytes)
		}
	}
	if done != 8 || bytes < 2048 {
		t.Errorf("%d steps, %d bytes of the photo", done, bytes)
	}
	for _, what := range []string{"access", "ef_sod", "dg1", "dg2", "verified_text", "entitlement", "confirm"} {
		if _, ok := c.TimingsMS[what]; !ok {
			t.Errorf("no time of %s", what)
		}
	}
}

// TestScanned: what a scanner of this computer reads goes to the check-in that wants
// it. A client's gets it for a minute, and the trail says so.
func TestScanned(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	if vn.KindOf(p.doc.QR) != vn.CardQR {
		t.Fatal("this tests nothing")
	}
	for _, tt := range []struct {
		name, owner string
		after       time.Duration
		trail       error
		want        bool
	}{
		{"desk", checkin.OwnerDesk, 0, nil, true},
		{"desk, long after", checkin.OwnerDesk, 4 * time.Minute, nil, true},
		{"client", his, 0, nil, true},
		{"client, just in time", his, checkin.ScanTime - time.Second, nil, true},
		{"client, long after", his, checkin.ScanTime, nil, false},
		{"client, the clock put back", his, -time.Hour, nil, false},
		{"client, unseen", his, 0, audit.ErrBroken, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pl := open(t, p, nil)
			ctx := t.Context()
			if pl.front.Scanned(ctx, p.doc.QR) {
				t.Error("nobody wanted it")
			}
			c, err := pl.front.Start(ctx, tt.owner, wire.Start{})
			if err != nil {
				t.Fatal(err)
			}
			pl.pass(tt.after)
			pl.auditErr = tt.trail
			if took := pl.front.Scanned(ctx, "https://example.org"); took != tt.want {
				t.Errorf("taken: %v", took)
			}
			if pl.front.Scanned(ctx, "") {
				t.Error("nothing was taken")
			}
			c, _ = pl.front.Get(ctx, tt.owner, c.ID)
			if bad := c.Fault != nil && c.Fault.Code == "bad_qr"; c.State != wire.StateKey || bad != tt.want {
				t.Errorf("state %s, fault %v", c.State, c.Fault)
			}
			if took := pl.front.Scanned(ctx, p.doc.QR); took != tt.want {
				t.Errorf("taken: %v", took)
			}
			want := wire.StateKey
			if tt.want {
				want = wire.StateCard
			}
			if c, _ = pl.front.Get(ctx, tt.owner, c.ID); c.State != want || c.Fault != nil {
				t.Errorf("state %s, fault %v", c.State, c.Fault)
			}
			var trail []audit.Entry
			if tt.want && tt.owner == his {
				e := audit.Entry{Actor: "lan", Action: checkin.ScanGiven, Object: c.ID, Note: "to " + his}
				trail = []audit.Entry{e, e}
			}
			if d := cmp.Diff(trail, pl.trail); d != "" {
				t.Errorf("trail (-want +got):\n%s", d)
			}
		})
	}
}

// TestDeskComesFirst: a client whose check-in the desk cancels leaves it room for its
// own.
func TestDeskComesFirst(t *testing.T) {
	pl := open(t, document(t, chip.ProfileCCCDNoAA, chip.TamperNone), nil)
	ctx := t.Context()
	begin := func(owner string) (string, error) {
		c, err := pl.front.Start(ctx, owner, wire.Start{})
		return c.ID, err
	}
	cancel := func(owner, id string) {
		t.Helper()
		if c, err := pl.front.Cancel(ctx, owner, id); err != nil || c.State != wire.StateCancelled {
			t.Fatalf("cancelled: %v, %s", err, c.State)
		}
	}
	id, err := begin(his)
	if err != nil {
		t.Fatal(err)
	}
	cancel(his, id) // by itself
	if id, err = begin(his); err != nil {
		t.Fatalf("after a client has cancelled its own: %v", err)
	}
	cancel(checkin.OwnerDesk, id)
	if _, err := begin(his); !errors.Is(err, checkin.ErrBusy) {
		t.Errorf("after the desk has cancelled it: %v", err)
	}
	if id, err = begin(checkin.OwnerDesk); err != nil {
		t.Fatalf("the desk: %v", err)
	}
	cancel(checkin.OwnerDesk, id)
	if id, err = begin("Lab"); err != nil {
		t.Fatalf("another client: %v", err)
	}
	cancel("Lab", id)
	pl.pass(checkin.HoldOff)
	if _, err := begin(his); err != nil {
		t.Errorf("a while later: %v", err)
	}
}

// TestPhotoOnlyWhenAsked: a policy that wants to see a photo has it read, and nobody
// gets it who did not ask.
func TestPhotoOnlyWhenAsked(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	for _, required := range []bool{false, true} {
		pl := open(t, p, func(pl *place) { pl.desk.Policy.RefuseNoPhoto = required })
		pl.insert(p.card(t))
		c := pl.state(pl.start(wire.Start{Key: p.scan()}).ID, wire.StateConfirm)
		if c.Photo == nil || c.Photo.Available || c.Photo.Reason != "not_asked" {
			t.Errorf("required %v: photo %+v", required, c.Photo)
		}
		if _, _, err := pl.front.Photo(t.Context(), his, c.ID); !errors.Is(err, checkin.ErrNone) {
			t.Errorf("required %v: %v", required, err)
		}
		if read := c.Report.Groups["DG2"] == "read"; read != required {
			t.Errorf("required %v, read %v", required, read)
		}
	}
}

// TestPhotoCannotBeShown: a photo in a form that nobody can show keeps nobody out.
func TestPhotoCannotBeShown(t *testing.T) {
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	pl := open(t, p, func(pl *place) {
		pl.cfg.Picture = func(context.Context, face.Image) (checkin.Picture, error) {
			return checkin.Picture{}, errors.New("face: not a picture")
		}
	})
	pl.insert(p.card(t))
	c := pl.state(pl.start(wire.Start{Key: p.scan(), Photo: true}).ID, wire.StateConfirm)
	if c.Photo.Available || c.Photo.Reason != "not_decodable" || !c.Photo.Signed || !c.Person.Verified {
		t.Errorf("photo %+v", c.Photo)
	}
}

// TestNoPhoto says why there is none, and who is let in all the same: a small child's
// card has none, but what the issuer signed must not be kept back or changed.
func TestNoPhoto(t *testing.T) {
	for _, tt := range []struct {
		name          string
		change        func(d *inspecttest.Draft)
		state, reason string
		signed        bool
	}{
		{"there is one", func(*inspecttest.Draft) {}, wire.StateConfirm, "", true},
		{"the card never had one", func(d *inspecttest.Draft) {
			d.Omit(2)
			d.Sign(t)
		}, wire.StateConfirm, "absent", false},
		{"signed, and nobody knows what it is", func(d *inspecttest.Draft) {
			d.Put(2, []byte{0x75, 0x02, 0x05, 0x00})
			d.Sign(t)
		}, wire.StateConfirm, "not_decodable", true},
		{"kept back", func(d *inspecttest.Draft) { d.Withhold(2) }, wire.StateRefused, "", false},
		{"changed", func(d *inspecttest.Draft) {
			b := slices.Clone(d.Groups[2])
			b[len(b)-1] ^= 1
			d.Put(2, b)
		}, wire.StateRefused, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCDNoAA)
			tt.change(d)
			pl := open(t, paper{doc: d.Document, pool: d.Pool(t)}, nil)
			pl.insert(d.Card(t))
			c := pl.start(wire.Start{Photo: true, Key: &wire.Key{MRZ: strings.Join(d.MRZ, "\n")}})
			c = pl.await(c.ID, tt.state, func(c wire.CheckIn) bool { return c.State == tt.state })
			if tt.state == wire.StateRefused {
				if c.Photo != nil || c.Fault == nil || c.Person != nil && c.Person.Verified {
					t.Errorf("photo %+v, fault %v", c.Photo, c.Fault)
				}
				return
			}
			if c.Photo.Available != (tt.reason == "") || c.Photo.Reason != tt.reason || c.Photo.Signed != tt.signed || !c.Person.Verified {
				t.Errorf("photo %+v", c.Photo)
			}
		})
	}
}
