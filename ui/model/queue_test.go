package model_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/ui/internal/scene"
	"github.com/chamthe/chamthe/ui/model"
)

// The tests of this file are the mishaps of a tired receptionist with a queue.

func event(c wire.CheckIn) model.Message {
	return model.Happened{Event: wire.Event{Type: wire.EventCheckIn, CheckIn: &c}}
}

// TestFormerPerson: while the next check-in is on its way to the agent, late news of the
// one before brings nobody back to the screen.
func TestFormerPerson(t *testing.T) {
	for _, tt := range []struct {
		name string
		last string // state in which the one before was let go
		late wire.CheckIn
	}{
		{"the insurer's verdict", wire.StateRecorded, *accepted()},
		{"a cancelled one's event", wire.StateCancelled, scene.CheckIn(wire.StateText, func(c *wire.CheckIn) { c.Version = 99 })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := play(checkIn(wire.StateCard, nil), checkIn(tt.last, nil), press(model.ActPrimary))
			if got := names(scan(m, scene.Now.Add(time.Second), scene.QR)); !slices.Equal(got, []string{"Begin"}) {
				t.Fatalf("the next scan: %v", got)
			}
			m.Update(scene.Now.Add(2*time.Second), event(tt.late))
			if d := m.View(scene.Now).Desk; d.Person != nil || m.State() != "" {
				t.Errorf("the former person is there again, in state %q", m.State())
			}
			m.Update(scene.Now.Add(3*time.Second), model.GotCheckIn{Begun: true, CheckIn: scene.CheckIn(wire.StateCard, func(c *wire.CheckIn) { c.ID = "c2" })})
			if m.State() != wire.StateCard {
				t.Errorf("state %q of the new one", m.State())
			}
		})
	}
}

// TestHaste: Enter that comes too early, is held or ends a scan late answers nothing.
func TestHaste(t *testing.T) {
	confirm := func() *model.Model { return play(checkIn(wire.StateCard, nil)) }
	at := func(d time.Duration) time.Time { return scene.Now.Add(d) }
	t.Run("pressed while the person appears", func(t *testing.T) {
		m := confirm()
		m.Update(at(0), checkIn(wire.StateConfirm, nil))
		m.Update(at(0), photo)
		if todo := m.Update(at(250*time.Millisecond), press(model.ActPrimary)); len(todo) != 0 {
			t.Errorf("confirmed unread: %v", names(todo))
		}
		if todo := m.Update(at(350*time.Millisecond), press(model.ActPrimary)); !slices.Equal(names(todo), []string{"Confirm"}) {
			t.Errorf("a person's Enter: %v", names(todo))
		}
	})
	t.Run("held", func(t *testing.T) {
		m := confirm()
		m.Update(at(0), checkIn(wire.StateConfirm, nil))
		m.Update(at(0), photo)
		m.Update(at(time.Second), press(model.ActPrimary))
		m.Update(at(1050*time.Millisecond), checkIn(wire.StateRecorded, nil))
		m.Update(at(1660*time.Millisecond), press(model.ActPrimary)) // the key begins to repeat
		if m.State() != wire.StateRecorded {
			t.Error("the word that it is recorded was never seen")
		}
		m.Update(at(1800*time.Millisecond), press(model.ActPrimary))
		if m.State() != "" {
			t.Errorf("state %q after a second Enter", m.State())
		}
	})
	t.Run("late end of a scan", func(t *testing.T) {
		m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, nil), photo)
		now := at(0)
		for _, r := range scene.QR {
			now = now.Add(4 * time.Millisecond)
			m.Type(now, r)
		}
		now = now.Add(model.ScanQuiet)
		m.Update(now, model.Tick{})
		if todo := m.Update(now.Add(100*time.Millisecond), press(model.ActPrimary)); len(todo) != 0 {
			t.Errorf("the scanner's Enter confirms the one before: %v", names(todo))
		}
	})
}

// TestPhotoNeverComes: nobody can say whose photo it is before it is there; when it does
// not come, the button says so and works.
func TestPhotoNeverComes(t *testing.T) {
	m := play(checkIn(wire.StateCard, nil))
	m.Update(scene.Now, checkIn(wire.StateConfirm, nil))
	now := scene.Now.Add(2 * time.Second)
	m.Update(now, model.Tick{})
	if v := m.View(now); !v.Actions[0].Disabled {
		t.Error("a photo can be confirmed that is not there")
	}
	if todo := m.Update(now, press(model.ActPrimary)); len(todo) != 0 {
		t.Errorf("by Enter: %v", names(todo))
	}
	without := func(t *testing.T) {
		t.Helper()
		v := m.View(now)
		if a := v.Actions[0]; a.Disabled || strings.HasPrefix(a.Label, "Ảnh đúng người") {
			t.Errorf("button %q, disabled %v", a.Label, a.Disabled)
		}
		if v.Desk.Person.PhotoNote == "" || v.Desk.Person.PhotoNote == "Đang đọc ảnh" {
			t.Errorf("in its place: %q", v.Desk.Person.PhotoNote)
		}
	}
	now = scene.Now.Add(9 * time.Second)
	m.Update(now, model.Tick{})
	without(t)
	m.Update(now, photo)
	if v := m.View(now); v.Desk.Person.Photo == nil || !strings.HasPrefix(v.Actions[0].Label, "Ảnh đúng người") {
		t.Error("a late photo is not shown")
	}
	m = play(checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, nil), model.Failed{Effect: model.LoadPhoto{ID: "c1"}, Fault: scene.Fault("x", "system")})
	without(t)
}

// TestLostInConfirm: the agent went away with the answer. Whether the visit is recorded
// is said to be unknown, with the place where it can be seen.
func TestLostInConfirm(t *testing.T) {
	m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, nil), photo, press(model.ActPrimary))
	m.Update(scene.Now, model.Failed{Effect: model.Confirm{ID: "c1"}})
	m.Update(scene.Now, model.GotStatus{Status: scene.Status()})
	todo := m.Update(scene.Now, model.Failed{Effect: model.LoadCurrent{}, Fault: scene.Fault("not_found", "input"), None: true})
	v := m.View(scene.Now)
	if v.Notice == nil || !strings.Contains(v.Notice.Text+v.Notice.Remedy, "F3") {
		t.Errorf("notice %+v", v.Notice)
	}
	if !slices.Equal(names(todo), []string{"LoadHistory"}) || v.Desk.Person != nil {
		t.Errorf("effects %v, person %v", names(todo), v.Desk.Person)
	}
}

// TestBusy: when the agent has a check-in already, the desk looks whose it is.
func TestBusy(t *testing.T) {
	m := play()
	todo := m.Update(scene.Now, model.Failed{Effect: model.Begin{}, Fault: scene.Fault("checkin_busy", "input"), Busy: true})
	if !slices.Equal(names(todo), []string{"LoadCurrent"}) {
		t.Errorf("effects %v", names(todo))
	}
}

// TestListsWhileOneWaits: the day's names leave the screen although a check-in waits.
func TestListsWhileOneWaits(t *testing.T) {
	for _, a := range []model.Action{model.ActToday, model.ActRejected} {
		m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, nil), press(a))
		late := scene.Now.Add(61 * time.Second)
		m.Update(late, model.Tick{})
		if v := m.View(late); v.Page != model.PageDesk || v.Desk.Veil == "" {
			t.Errorf("%s: page %d is still open", a, v.Page)
		}
	}
}

// TestVeilLifts: what happens to the card lifts the veil, as a key does.
func TestVeilLifts(t *testing.T) {
	m := play(checkIn(wire.StateCard, nil))
	late := scene.Now.Add(61 * time.Second)
	m.Update(late, model.Tick{})
	m.Update(late, checkIn(wire.StateReading, nil))
	if d := m.View(late).Desk; d.Veil != "" {
		t.Error("a card that is being read is covered")
	}
}

// TestQuitClears: no number stays in the clipboard behind the desk.
func TestQuitClears(t *testing.T) {
	m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateRecorded, nil), press(model.ActCopy+"number"))
	if got := names(m.Update(scene.Now, press(model.ActQuit))); !slices.Equal(got, []string{"ClearClipboard", "Quit"}) {
		t.Errorf("effects %v", got)
	}
}

// TestGreenContradicted: a check that failed, or a period that is over, is not green.
func TestGreenContradicted(t *testing.T) {
	m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, func(c *wire.CheckIn) {
		c.Report = scene.Report("accept")
		c.Report.Checks = slices.Clone(c.Report.Checks)
		c.Report.Checks[0].Result = "failed"
		c.Entitlement = scene.Entitlement()
		c.Entitlement.To = "2026-02-28"
	}))
	d := m.View(scene.Now).Desk
	if d.Verdict.Role == model.Good {
		t.Errorf("%q with a check that failed", d.Verdict.Word)
	}
	if d.Insured.Role == model.Good {
		t.Errorf("%q on 2 March", d.Insured.Word)
	}
}

// TestPlain: marks that turn the direction of writing do not reach the screen; marks of
// letters do.
func TestPlain(t *testing.T) {
	m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, func(c *wire.CheckIn) {
		c.Person = scene.Person()
		c.Person.Name, c.Person.Residence = "Nguye\u0302\u0303n \u202eVăn\nThử\x1b", "A\u2066B\u2069"
	}))
	p := m.View(scene.Now).Desk.Person
	if p.Name != "Nguye\u0302\u0303n VănThử" || p.Address != "AB" {
		t.Errorf("name %q, address %q", p.Name, p.Address)
	}
}
