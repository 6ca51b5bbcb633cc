package model_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/ui/i18n"
	"github.com/chamthe/chamthe/ui/internal/scene"
	"github.com/chamthe/chamthe/ui/model"
)

// play begins with a desk that works, and takes the messages at the scene's time.
func play(messages ...model.Message) *model.Model {
	return scene.Scene{Messages: append([]model.Message{model.GotStatus{Status: scene.Status()}}, messages...)}.Model(i18n.Vietnamese)
}

func checkIn(state string, change func(*wire.CheckIn)) model.Message {
	return model.GotCheckIn{CheckIn: scene.CheckIn(state, change)}
}

// photo is that of the check-in of the scenes.
var photo = model.GotPhoto{ID: "c1", Photo: scene.Portrait()}

func press(a model.Action) model.Message { return model.Press{Action: a} }

// scan types a code and returns what is to be done.
func scan(m *model.Model, now time.Time, text string) []model.Effect {
	var todo []model.Effect
	for _, r := range text + "\n" {
		now = now.Add(4 * time.Millisecond)
		_, more := m.Type(now, r)
		todo = append(todo, more...)
	}
	return append(todo, m.Update(now.Add(model.ScanQuiet), model.Tick{})...)
}

// names are the types of effects, which is enough where their content is tested
// elsewhere.
func names(todo []model.Effect) []string {
	out := []string{}
	for _, e := range todo {
		out = append(out, reflect.TypeOf(e).Name())
	}
	return out
}

// TestGoodCheckIn goes the whole way of most people.
func TestGoodCheckIn(t *testing.T) {
	m := play()
	now := scene.Now.Add(time.Minute)
	todo := scan(m, now, scene.QR)
	if diff := cmp.Diff([]model.Effect{model.Begin{Start: wire.Start{Means: wire.MeansChip, Key: &wire.Key{Scan: scene.QR}, Photo: true}}}, todo); diff != "" {
		t.Fatalf("after the scan (-want +got):\n%s", diff)
	}
	for _, step := range []struct {
		msg      model.Message
		want     []string // effects
		name     string   // of the person on the screen
		verdict  model.Role
		insured  model.Role
		recorded string
		primary  string
	}{
		{checkIn(wire.StateCard, nil), []string{}, "", model.Muted, model.Muted, "Ghi nhận?", ""},
		{checkIn(wire.StateReading, nil), []string{}, "", model.Info, model.Muted, "Ghi nhận?", ""},
		{checkIn(wire.StateText, nil), []string{}, "Nguyễn Văn Thử", model.Info, model.Info, "Ghi nhận?", ""},
		{checkIn(wire.StateConfirm, nil), []string{"LoadPhoto"}, "Nguyễn Văn Thử", model.Good, model.Good, "Chờ xác nhận của bạn", "Ảnh đúng người — Ghi nhận lượt khám"},
		{photo, []string{}, "Nguyễn Văn Thử", model.Good, model.Good, "Chờ xác nhận của bạn", "Ảnh đúng người — Ghi nhận lượt khám"},
		{press(model.ActPrimary), []string{"Confirm"}, "Nguyễn Văn Thử", model.Good, model.Good, "Chờ xác nhận của bạn", "Ảnh đúng người — Ghi nhận lượt khám"},
		{press(model.ActPrimary), []string{}, "Nguyễn Văn Thử", model.Good, model.Good, "Chờ xác nhận của bạn", "Ảnh đúng người — Ghi nhận lượt khám"}, // a second Enter records nothing twice
		{checkIn(wire.StateRecording, nil), []string{}, "Nguyễn Văn Thử", model.Good, model.Good, "Đang ghi nhận…", ""},
		{checkIn(wire.StateRecorded, nil), []string{"LoadHistory"}, "Nguyễn Văn Thử", model.Good, model.Good, "Đã ghi nhận lượt khám", "Người tiếp theo"},
		{model.Happened{Event: wire.Event{Type: wire.EventCheckIn, CheckIn: accepted()}}, []string{"LoadHistory"}, "Nguyễn Văn Thử", model.Good, model.Good, "BHXH đã nhận", "Người tiếp theo"},
		{press(model.ActPrimary), []string{}, "", model.Muted, model.Muted, "Ghi nhận?", ""},
	} {
		now = now.Add(time.Second)
		todo := m.Update(now, step.msg)
		if diff := cmp.Diff(step.want, names(todo)); diff != "" {
			t.Errorf("%T %+v: effects (-want +got):\n%s", step.msg, step.msg, diff)
		}
		v := m.View(now)
		name := ""
		if v.Desk.Person != nil {
			name = v.Desk.Person.Name
		}
		primary := ""
		if len(v.Actions) > 0 && v.Actions[0].Primary {
			primary = v.Actions[0].Label
		}
		got := []any{name, v.Desk.Verdict.Role, v.Desk.Insured.Role, v.Desk.Recorded.Word, primary}
		if diff := cmp.Diff([]any{step.name, step.verdict, step.insured, step.recorded, step.primary}, got); diff != "" {
			t.Errorf("%T: screen (-want +got):\n%s", step.msg, diff)
		}
	}
}

func accepted() *wire.CheckIn {
	c := scene.CheckIn(wire.StateRecorded, func(c *wire.CheckIn) {
		c.Version++
		c.Delivery = &wire.Delivery{VisitID: "v5", State: "accepted", Assurance: "chip-verified"}
	})
	return &c
}

// TestNeverWronglyVerified: whatever the agent sends, "genuine" stands on the screen
// only if it said so in every place where it says it.
func TestNeverWronglyVerified(t *testing.T) {
	states := []string{wire.StateKey, wire.StateCard, wire.StateReading, wire.StateText, wire.StateConfirm, wire.StateRecording, wire.StateRecorded, wire.StateRefused, wire.StateFailed, "of_tomorrow", ""}
	rapid.Check(t, func(t *rapid.T) {
		c := wire.CheckIn{
			ID: "c1", Version: 1, Owner: "desk", State: rapid.SampledFrom(states).Draw(t, "state"),
			Means: rapid.SampledFrom([]string{wire.MeansChip, wire.MeansChip, wire.MeansCCCDQR, wire.MeansManual, "", "of_tomorrow"}).Draw(t, "means"),
		}
		if rapid.Bool().Draw(t, "person") {
			c.Person = scene.Person()
			c.Person.Verified = rapid.Bool().Draw(t, "verified")
			c.Person.SignedByIssuer = rapid.Bool().Draw(t, "signed")
		}
		if rapid.Bool().Draw(t, "report") {
			c.Report = scene.Report(rapid.SampledFrom([]string{"accept", "warn", "refuse", "", "of_tomorrow"}).Draw(t, "decision"))
			c.Report.Reasons = []string{rapid.SampledFrom([]string{"", "warn", "warn: ", "warn: x y (z)", "warn: weak a"}).Draw(t, "reason")}
		}
		if rapid.Bool().Draw(t, "fault") {
			c.Fault = scene.Fault(rapid.SampledFrom([]string{"chip_copied", "issuer_unknown", "wrong_key", "of_tomorrow"}).Draw(t, "code"), "refuse")
		}
		if rapid.Bool().Draw(t, "entitlement") {
			c.Entitlement = scene.Entitlement()
			c.Entitlement.Status = rapid.SampledFrom([]string{"valid", "not_entitled", "mismatch", "retry", "login", "unknown", "of_tomorrow", ""}).Draw(t, "status")
			if rapid.Bool().Draw(t, "finding") {
				c.Entitlement.Findings = []wire.Finding{{Field: "name"}}
			}
		}
		first := c
		first.State, first.Version = wire.StateCard, 0
		m := play(model.GotCheckIn{CheckIn: first}, model.GotCheckIn{CheckIn: c})
		for _, details := range []bool{false, true} {
			v := m.View(scene.Now)
			if v.Desk == nil {
				t.Fatal("no desk")
			}
			may := (c.State != wire.StateRefused && c.State != wire.StateFailed && c.State != wire.StateText && c.State != wire.StateReading) && c.Means == wire.MeansChip &&
				c.Person != nil && c.Person.Verified && c.Report != nil && c.Report.Decision == "accept"
			if c.Means == "" { // an agent that leaves it out means the chip
				may = may || c.Person != nil && c.Person.Verified && c.Report != nil && c.Report.Decision == "accept"
			}
			if v.Desk.Verdict.Role == model.Good && !may {
				t.Fatalf("details %v: %q for %+v", details, v.Desk.Verdict.Word, c)
			}
			if p := v.Desk.Person; p != nil && p.Role == model.Good && (!c.Person.Verified || c.State == wire.StateRefused || c.State == wire.StateFailed) {
				t.Fatalf("caption %q", p.Caption)
			}
			if v.Desk.Insured.Role == model.Good && (c.Entitlement == nil || c.Entitlement.Status != "valid" || len(c.Entitlement.Findings) > 0) {
				t.Fatalf("insured: %q", v.Desk.Insured.Word)
			}
			if v.Desk.Recorded.Role == model.Good && c.State != wire.StateRecorded {
				t.Fatalf("recorded: %q in state %q", v.Desk.Recorded.Word, c.State)
			}
			m.Update(scene.Now, press(model.ActDetails))
		}
	})
}

// TestRefusals: red accuses the card, amber does not, and both say what to do.
func TestRefusals(t *testing.T) {
	red := []string{
		"dg1_altered", "dg13_altered", "security_object_invalid", "chip_copied", "photo_altered", "issuer_invalid", "other_document",
		"card_security_invalid", "offer_altered", "signer_revoked", "data_mismatch", "photo_withheld",
	}
	for _, l := range i18n.Langs() {
		for _, f := range fault.All() {
			m := scene.Scene{Messages: []model.Message{
				model.GotStatus{Status: scene.Status()},
				checkIn(wire.StateCard, nil),
				checkIn(wire.StateRefused, func(c *wire.CheckIn) {
					c.Fault = &wire.Fault{Code: string(f.Code), Kind: string(f.Kind), Cause: f.Cause, Remedy: f.Remedy}
				}),
			}}.Model(l)
			p := m.View(scene.Now).Desk.Verdict
			want := model.Caution
			if slices.Contains(red, string(f.Code)) {
				want = model.Bad
			}
			if p.Role != want {
				t.Errorf("%v %s: role %d, want %d", l, f.Code, p.Role, want)
			}
			if p.Word == "" || len(p.Lines) == 0 || p.Remedy == "" {
				t.Errorf("%v %s: %+v: nothing to read, or to do", l, f.Code, p)
			}
		}
	}
}

func TestExpiry(t *testing.T) {
	wrong := func(version uint64) model.Message {
		return checkIn(wire.StateKey, func(c *wire.CheckIn) { c.Fault, c.Version = scene.Fault("wrong_key", "input"), version })
	}
	m := play()
	now := scene.Now.Add(time.Minute)
	scan(m, now, scene.QR)
	m.Update(now, checkIn(wire.StateCard, nil))
	if m.View(now).Desk.Expiry != nil {
		t.Fatal("the expiry date is asked for before a key has failed")
	}
	m.Update(now, wrong(9))
	v := m.View(now)
	if v.Desk.Expiry == nil || !v.Desk.Expiry.First {
		t.Fatal("the expiry date is not asked for after the candidates have failed")
	}
	if todo := m.Update(now, press(model.ActPrimary)); len(todo) != 0 {
		t.Errorf("sent without a date: %v", todo)
	}
	m.Update(now, model.Edit{Field: model.FieldExpiry, Text: "31/01/2039"})
	want := []model.Effect{model.Unlock{ID: "c1", Key: wire.Key{Scan: scene.QR, Expiry: "2039-01-31"}}}
	if diff := cmp.Diff(want, m.Update(now, press(model.ActPrimary))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// Machine readable lines have the date: there is nothing to ask for.
	m = play()
	scan(m, now, strings.TrimSpace(lines))
	m.Update(now, checkIn(wire.StateCard, nil))
	m.Update(now, wrong(9))
	if m.View(now).Desk.Expiry != nil {
		t.Error("the expiry date is asked for although it was in the code")
	}
	// Another code may be scanned instead.
	if got := names(scan(m, now.Add(time.Second), scene.QR)); !slices.Equal(got, []string{"Unlock"}) {
		t.Errorf("after another scan: %v", got)
	}
}

// TestIdle: what is personal leaves the screen, and a check-in that waits is covered.
func TestIdle(t *testing.T) {
	personal := func(v model.View) bool {
		all := fmt.Sprintf("%+v %+v", v.Body, v)
		if v.Desk != nil {
			all += fmt.Sprintf("%+v %+v %+v", v.Desk.Person, v.Desk.Insured, v.Desk.Guide)
		}
		for _, b := range v.Body {
			all += fmt.Sprintf("%+v%+v", b.Input, b.Row)
		}
		return strings.Contains(all, "Thử") || strings.Contains(all, "001 099") || strings.Contains(all, "GD 4")
	}
	for _, tt := range []struct {
		name     string
		messages []model.Message
		stays    bool // covered, and there again after a key
	}{
		{"recorded", []model.Message{checkIn(wire.StateCard, nil), checkIn(wire.StateRecorded, nil)}, false},
		{"refused", []model.Message{checkIn(wire.StateCard, nil), checkIn(wire.StateRefused, func(c *wire.CheckIn) { c.Person = scene.Person() })}, false},
		{"waits for the operator", []model.Message{checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, nil)}, true},
		{"typed", []model.Message{press(model.ActOther), press(model.ActWay.With(1)), model.Edit{Field: model.FieldName, Text: "Nguyễn Văn Thử"}}, false},
		{"today", []model.Message{press(model.ActToday), model.GotHistory{History: wire.History{Entries: []wire.HistoryEntry{{Name: "Nguyễn Văn Thử"}}}}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := play(tt.messages...)
			if !personal(m.View(scene.Now)) {
				t.Fatal("nothing personal is on the screen to begin with")
			}
			early := scene.Now.Add(58 * time.Second) // the last key was a second before
			m.Update(early, model.Tick{})
			if !personal(m.View(early)) {
				t.Error("gone too early")
			}
			late := scene.Now.Add(61 * time.Second)
			m.Update(late, model.Tick{})
			if personal(m.View(late)) {
				t.Error("still on the screen")
			}
			// The key that lifts the cover confirms nothing.
			if todo := m.Update(late, press(model.ActPrimary)); len(todo) != 0 {
				t.Errorf("the first key does something: %v", names(todo))
			}
			if got := personal(m.View(late)); got != tt.stays {
				t.Errorf("there again: %v, want %v", got, tt.stays)
			}
		})
	}
	t.Run("configurable", func(t *testing.T) {
		m := play(press(model.ActIdle.With(300)), checkIn(wire.StateCard, nil), checkIn(wire.StateRecorded, nil))
		m.Update(scene.Now.Add(299*time.Second), model.Tick{})
		if !personal(m.View(scene.Now)) {
			t.Error("gone before the time that was set")
		}
	})
	t.Run("reading", func(t *testing.T) {
		// A slow card: nobody has to press anything meanwhile.
		m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateReading, nil))
		m.Update(scene.Now.Add(90*time.Second), model.Tick{})
		if d := m.View(scene.Now).Desk; d.Veil != "" || len(d.Steps) == 0 {
			t.Error("a card that is being read is covered")
		}
	})
}

func TestForms(t *testing.T) {
	fill := func(way model.Way, fields map[model.Field]string) *model.Model {
		m := play(press(model.ActOther), press(model.ActWay.With(int(way))))
		for f, s := range fields {
			m.Update(scene.Now, model.Edit{Field: f, Text: s})
		}
		return m
	}
	for _, tt := range []struct {
		name   string
		way    model.Way
		fields map[model.Field]string
		want   []model.Effect
	}{
		{
			"lines", model.WayLines,
			map[model.Field]string{model.FieldLines: strings.ReplaceAll(lines, "\n", " ")},
			[]model.Effect{model.Begin{Start: wire.Start{Means: wire.MeansChip, Key: &wire.Key{MRZ: lines}, Photo: true}}},
		},
		{"lines begun", model.WayLines, map[model.Field]string{model.FieldLines: "IDVNM"}, nil},
		{
			"typed", model.WayTyped,
			map[model.Field]string{model.FieldName: "Nguyễn Văn Thử", model.FieldBirth: "31/01/1999", model.FieldNumber: "001 099 000 001"},
			[]model.Effect{model.Begin{Start: wire.Start{Means: wire.MeansManual, Person: &wire.TypedPerson{Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Number: "001099000001"}}}},
		},
		{"typed without a number", model.WayTyped, map[model.Field]string{model.FieldName: "Nguyễn Văn Thử", model.FieldBirth: "31/01/1999"}, nil},
		{"typed with half a number", model.WayTyped, map[model.Field]string{model.FieldName: "Nguyễn Văn Thử", model.FieldBirth: "31/01/1999", model.FieldNumber: "001", model.FieldHI: "0100000001"}, nil},
		{"typed, born after today", model.WayTyped, map[model.Field]string{model.FieldName: "Nguyễn Văn Thử", model.FieldBirth: "2027", model.FieldHI: "0100000001"}, nil},
		{
			"child", model.WayChild,
			map[model.Field]string{model.FieldName: "Đặng Thu Nhi", model.FieldBirth: "05/2023", model.FieldGuardian: "mẹ"},
			[]model.Effect{model.Begin{Start: wire.Start{Means: wire.MeansManual, Person: &wire.TypedPerson{Name: "Đặng Thu Nhi", BirthDate: "2023-05", Child: true, Guardian: "mẹ"}}}},
		},
		{"child with nobody", model.WayChild, map[model.Field]string{model.FieldName: "Đặng Thu Nhi", model.FieldBirth: "05/2023"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := fill(tt.way, tt.fields)
			got := m.Update(scene.Now, press(model.ActPrimary))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if tt.want == nil && m.View(scene.Now).Notice == nil {
				t.Error("nothing says what is missing")
			}
		})
	}
	t.Run("scan on the page without a chip", func(t *testing.T) {
		for text, means := range map[string]string{scene.QR: wire.MeansCCCDQR, hiQR: wire.MeansHIQR} {
			m := fill(model.WayTyped, nil)
			todo := scan(m, scene.Now.Add(time.Minute), text)
			if b, ok := todo[0].(model.Begin); !ok || b.Start.Means != means || b.Start.Key.Scan != text {
				t.Errorf("%s: %v", means, names(todo))
			}
		}
	})
	t.Run("a code that nobody here can read", func(t *testing.T) {
		const opaque = "https://example.org/q/AbCdEf0123456789"
		m := play()
		if todo := scan(m, scene.Now, opaque); len(todo) != 0 {
			t.Fatalf("sent without a person: %v", names(todo))
		}
		m.Update(scene.Now, model.Edit{Field: model.FieldName, Text: "Nguyễn Văn Thử"})
		m.Update(scene.Now, model.Edit{Field: model.FieldBirth, Text: "31/01/1999"})
		want := []model.Effect{model.Begin{Start: wire.Start{
			Means: wire.MeansVNeID, Key: &wire.Key{Scan: opaque}, Person: &wire.TypedPerson{Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"},
		}}}
		if diff := cmp.Diff(want, m.Update(scene.Now, press(model.ActPrimary))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		// Esc lets go of the code.
		m = play()
		scan(m, scene.Now, opaque)
		m.Update(scene.Now, press(model.ActBack))
		m.Update(scene.Now, press(model.ActOther))
		m.Update(scene.Now, press(model.ActWay.With(1)))
		m.Update(scene.Now, model.Edit{Field: model.FieldName, Text: "Nguyễn Văn Thử"})
		m.Update(scene.Now, model.Edit{Field: model.FieldBirth, Text: "31/01/1999"})
		if todo := m.Update(scene.Now, press(model.ActPrimary)); len(todo) != 0 {
			t.Errorf("the code is still there: %v", names(todo))
		}
	})
	t.Run("nothing typed stays behind", func(t *testing.T) {
		m := fill(model.WayTyped, map[model.Field]string{model.FieldName: "Nguyễn Văn Thử"})
		m.Update(scene.Now, press(model.ActBack))
		m.Update(scene.Now, press(model.ActOther))
		m.Update(scene.Now, press(model.ActWay.With(1)))
		for _, b := range m.View(scene.Now).Body {
			if b.Input != nil && b.Input.Text != "" {
				t.Errorf("%s: still %q", b.Input.Field, b.Input.Text)
			}
		}
	})
	t.Run("long text", func(t *testing.T) {
		m := fill(model.WayTyped, map[model.Field]string{model.FieldName: strings.Repeat("ễ", 5000)})
		for _, b := range m.View(scene.Now).Body {
			if b.Input != nil && len([]rune(b.Input.Text)) > 200 {
				t.Errorf("%d characters", len([]rune(b.Input.Text)))
			}
		}
	})
}

func TestMismatch(t *testing.T) {
	ready := []model.Message{checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, nil), press(model.ActMismatch)}
	for _, tt := range []struct {
		name     string
		messages []model.Message
		want     []model.Effect
	}{
		{"no reason", nil, nil},
		{"chosen", []model.Message{press(model.ActReason.With(1))}, []model.Effect{model.Confirm{ID: "c1", Confirmation: wire.Confirmation{Reason: "Người khác cầm thẻ"}}}},
		{"written", []model.Message{model.Edit{Field: model.FieldReason, Text: "râu giả"}}, []model.Effect{model.Confirm{ID: "c1", Confirmation: wire.Confirmation{Reason: "râu giả"}}}},
		// Whatever the language of the desk, the trail is read in one.
		{"chosen in English", []model.Message{press(model.ActLanguage), press(model.ActReason.With(3))}, []model.Effect{model.Confirm{ID: "c1", Confirmation: wire.Confirmation{Reason: "Đặt nhầm thẻ"}}}},
		{"not offered", []model.Message{press(model.ActReason.With(9))}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := play(append(slices.Clone(ready), tt.messages...)...)
			if diff := cmp.Diff(tt.want, m.Update(scene.Now, press(model.ActPrimary))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestOrder: answers and events come in any order, and from check-ins that are over.
func TestOrder(t *testing.T) {
	t.Run("an older version changes nothing", func(t *testing.T) {
		m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, nil), checkIn(wire.StateReading, nil))
		if m.State() != wire.StateConfirm {
			t.Errorf("state %s", m.State())
		}
	})
	t.Run("another's check-in is not shown", func(t *testing.T) {
		m := play(checkIn(wire.StateConfirm, func(c *wire.CheckIn) { c.Owner = "https://his.example" }))
		if m.State() != "" || m.View(scene.Now).Desk.Person != nil {
			t.Error("the desk shows a hospital system's patient")
		}
	})
	t.Run("the verdict of the one before does not bring them back", func(t *testing.T) {
		m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateRecorded, nil), press(model.ActPrimary))
		todo := m.Update(scene.Now, model.Happened{Event: wire.Event{Type: wire.EventCheckIn, CheckIn: accepted()}})
		if m.State() != "" || !slices.Equal(names(todo), []string{"LoadHistory"}) {
			t.Errorf("state %q, effects %v", m.State(), names(todo))
		}
	})
	t.Run("the verdict of the one before does not displace the next", func(t *testing.T) {
		m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateRecorded, nil), press(model.ActPrimary),
			checkIn(wire.StateConfirm, func(c *wire.CheckIn) { c.ID, c.Started = "c2", c.Started.Add(time.Second) }))
		m.Update(scene.Now, model.Happened{Event: wire.Event{Type: wire.EventCheckIn, CheckIn: accepted()}})
		if m.State() != wire.StateConfirm {
			t.Errorf("state %q", m.State())
		}
	})
	t.Run("an answer that is an end is shown to who asked", func(t *testing.T) {
		m := play()
		scan(m, scene.Now, scene.QR)
		m.Update(scene.Now, model.GotCheckIn{Begun: true, CheckIn: scene.CheckIn(wire.StateFailed, func(c *wire.CheckIn) { c.Fault = scene.Fault("no_reader", "system") })})
		if m.State() != wire.StateFailed {
			t.Errorf("state %q: nobody is told that it failed", m.State())
		}
	})
	t.Run("a photo of somebody else is not shown", func(t *testing.T) {
		m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, nil), model.GotPhoto{ID: "c0", Photo: scene.Portrait()})
		if m.View(scene.Now).Desk.Person.Photo != nil {
			t.Error("it is")
		}
	})
	t.Run("a photo that cannot be shown is said to be one", func(t *testing.T) {
		m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, nil), model.GotPhoto{ID: "c1"})
		if got := m.View(scene.Now).Desk.Person.PhotoNote; got != "Định dạng ảnh chưa hiện được" {
			t.Errorf("note %q", got)
		}
	})
	t.Run("a scan while somebody waits does not displace them", func(t *testing.T) {
		m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, nil))
		if todo := scan(m, scene.Now, scene.QR); len(todo) != 0 || m.State() != wire.StateConfirm || m.View(scene.Now).Notice == nil {
			t.Errorf("effects %v, state %s", names(todo), m.State())
		}
	})
	t.Run("a scan after an end begins the next", func(t *testing.T) {
		m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateRecorded, nil))
		if todo := scan(m, scene.Now, scene.QR); !slices.Equal(names(todo), []string{"Begin"}) || m.View(scene.Now).Desk.Person != nil {
			t.Errorf("effects %v", names(todo))
		}
	})
	t.Run("an agent that was started anew knows of none", func(t *testing.T) {
		m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateReading, nil), model.Failed{Effect: model.LoadCurrent{}, Fault: scene.Fault("x", "input"), None: true})
		if m.State() != "" {
			t.Errorf("state %q", m.State())
		}
	})
	t.Run("what is being written cannot be given up", func(t *testing.T) {
		m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateRecording, nil))
		if todo := m.Update(scene.Now, press(model.ActBack)); len(todo) != 0 {
			t.Errorf("effects %v", names(todo))
		}
	})
	t.Run("a serial scanner begins one", func(t *testing.T) {
		m := play()
		todo := m.Update(scene.Now, model.Happened{Event: wire.Event{Type: wire.EventScan}})
		if !slices.Equal(names(todo), []string{"Begin"}) {
			t.Errorf("effects %v", names(todo))
		}
	})
	t.Run("missed events", func(t *testing.T) {
		m := play()
		todo := m.Update(scene.Now, model.Happened{Event: wire.Event{Type: wire.EventMissed}})
		if !slices.Equal(names(todo), []string{"LoadStatus", "LoadCurrent", "LoadPairings", "LoadHistory"}) {
			t.Errorf("effects %v", names(todo))
		}
	})
}

func TestOperator(t *testing.T) {
	need := scene.Status()
	need.OperatorRequired = true
	m := play(model.GotStatus{Status: need})
	if todo := scan(m, scene.Now, scene.QR); len(todo) != 0 || m.View(scene.Now).Page != model.PageSignIn {
		t.Fatalf("a check-in begins although nobody is signed in: %v", names(todo))
	}
	m.Update(scene.Now, model.Edit{Field: model.FieldOperator, Text: "Lan"})
	m.Update(scene.Now, model.Edit{Field: model.FieldPIN, Text: "1234"})
	want := []model.Effect{model.SignIn{SignIn: wire.SignIn{Name: "Lan", PIN: "1234"}}}
	if diff := cmp.Diff(want, m.Update(scene.Now, press(model.ActPrimary))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, b := range m.View(scene.Now).Body {
		if b.Input != nil && b.Input.Field == model.FieldPIN && b.Input.Text != "" {
			t.Error("the PIN stays in its field")
		}
	}
	if got := names(m.Update(scene.Now, model.Done{Effect: model.SignIn{}})); !slices.Equal(got, []string{"LoadStatus"}) {
		t.Errorf("effects %v", got)
	}
	need.Operator = &wire.Operator{Name: "Lan"}
	m.Update(scene.Now, model.GotStatus{Status: need})
	if v := m.View(scene.Now); v.Page != model.PageDesk || v.Bar.Operator != "Lan" {
		t.Errorf("page %d, operator %q", v.Page, v.Bar.Operator)
	}
}

func TestOffline(t *testing.T) {
	since := scene.Now.Add(-26 * time.Hour)
	s := scene.Status()
	s.Link = wire.Link{State: "offline", Since: &since}
	s.Queue.Queued = 37
	v := play(model.GotStatus{Status: s}).View(scene.Now)
	if v.Notice == nil || v.Notice.Role != model.Info {
		t.Fatal("being offline is not said, or not calmly")
	}
	all := v.Notice.Text + v.Notice.Remedy
	for _, want := range []string{"07:12 01/03/2026", "37", "01/03/2026"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q lacks %q", all, want)
		}
	}
	if v.Bar.Items[1].Role == model.Bad || v.Bar.Items[1].Role == model.Caution {
		t.Error("being offline alarms")
	}
}

// TestEntitlement: green is for what the insurer said lately and without a doubt.
func TestEntitlement(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*wire.Entitlement)
		want   model.Role
		word   string
		line   string
	}{
		{"valid", func(*wire.Entitlement) {}, model.Good, "BHYT CÒN HẠN đến 31/12/2026", "Nguồn: BHXH, tra cứu vừa xong"},
		{"from the cache", func(e *wire.Entitlement) { e.Source, e.AgeSeconds = "cache", 7200 }, model.Good, "BHYT CÒN HẠN đến 31/12/2026", "Nguồn: lưu trên máy này, 2 giờ trước"},
		{"from the facility's list", func(e *wire.Entitlement) { e.Source, e.AgeSeconds = "population", 200000 }, model.Good, "BHYT CÒN HẠN đến 31/12/2026", "danh sách của cơ sở, 2 ngày trước"},
		{"stale", func(e *wire.Entitlement) { e.Source, e.AgeSeconds, e.Stale = "cache", 200000, true }, model.Caution, "BHYT CÒN HẠN đến 31/12/2026", "dữ liệu cũ"},
		{"a name that differs", func(e *wire.Entitlement) {
			e.Findings = []wire.Finding{{Field: "name", Document: "Thử", Insurer: "Thư"}}
		}, model.Caution, "BHYT CÒN HẠN đến 31/12/2026", "Họ tên trên thẻ khác với BHXH: “Thử” / “Thư”"},
		{"mismatch", func(e *wire.Entitlement) {
			e.Status, e.Findings = "mismatch", []wire.Finding{{Field: "birth_date", Document: "1999-01-31", Insurer: "1999"}}
		}, model.Caution, "BHYT KHÔNG KHỚP THÔNG TIN", "Ngày sinh trên thẻ khác với BHXH: “31/01/1999” / “1999”"},
		{"ended", func(e *wire.Entitlement) { e.Status, e.To = "not_entitled", "2025-12-31" }, model.Caution, "BHYT đã hết hạn ngày 31/12/2025", ""},
		{"none", func(e *wire.Entitlement) { *e = wire.Entitlement{Status: "not_entitled", Source: "central"} }, model.Caution, "Không có thẻ BHYT còn hạn", ""},
		{"unknown", func(e *wire.Entitlement) { *e = wire.Entitlement{Status: "unknown", Source: "none"} }, model.Caution, "Chưa tra cứu được BHYT", "Vẫn ghi nhận"},
		{"insurer in trouble", func(e *wire.Entitlement) { e.Status = "retry" }, model.Caution, "Chưa tra cứu được BHYT", "Vẫn ghi nhận"},
		{"status of tomorrow", func(e *wire.Entitlement) { e.Status = "of_tomorrow" }, model.Caution, "Chưa tra cứu được BHYT", "Vẫn ghi nhận"},
		{"a new card", func(e *wire.Entitlement) {
			e.Next = &wire.NextCard{CardNumber: "GD4010100000009", From: "2027-01-01"}
		}, model.Good, "BHYT CÒN HẠN đến 31/12/2026", "Thẻ mới GD 4 01 0100000009 từ 01/01/2027"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := play(checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, func(c *wire.CheckIn) { tt.change(c.Entitlement) })).View(scene.Now).Desk.Insured
			if p.Role != tt.want || p.Word != tt.word {
				t.Errorf("got role %d, %q, want %d, %q", p.Role, p.Word, tt.want, tt.word)
			}
			if !strings.Contains(strings.Join(p.Lines, "\n"), tt.line) {
				t.Errorf("lines %q lack %q", p.Lines, tt.line)
			}
		})
	}
}

func TestClipboard(t *testing.T) {
	m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateRecorded, nil))
	todo := m.Update(scene.Now, press(model.ActCopy.With("number")))
	if diff := cmp.Diff([]model.Effect{model.Copy{Text: "001099000001"}}, todo); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if todo := m.Update(scene.Now.Add(model.ClipboardTime-time.Second), model.Tick{}); len(todo) != 0 {
		t.Errorf("too early: %v", names(todo))
	}
	if got := names(m.Update(scene.Now.Add(model.ClipboardTime), model.Tick{})); !slices.Equal(got, []string{"ClearClipboard"}) {
		t.Errorf("effects %v", got)
	}
	if todo := play().Update(scene.Now, press(model.ActCopy.With("number"))); len(todo) != 0 {
		t.Errorf("copied of nobody: %v", names(todo))
	}
}

func TestPairing(t *testing.T) {
	p := wire.Pairing{ID: "p1", Name: "HIS", Origin: "https://his.example", Code: "482 913", State: "waiting", Expires: scene.Now.Add(time.Minute)}
	m := play()
	if got := names(m.Update(scene.Now, model.Happened{Event: wire.Event{Type: wire.EventPairing}})); !slices.Equal(got, []string{"LoadPairings"}) {
		t.Errorf("effects %v", got)
	}
	done := p
	done.ID, done.State = "p0", "approved"
	m.Update(scene.Now, model.GotPairings{Pairings: []wire.Pairing{done, p}})
	v := m.View(scene.Now).Pairing
	if v == nil || v.Code != "482 913" || !strings.Contains(v.Who, "https://his.example") {
		t.Fatalf("shown: %+v", v)
	}
	// Enter never approves: it is what a receptionist presses three hundred times a day.
	if todo := m.Update(scene.Now, press(model.ActPrimary)); len(todo) != 0 {
		t.Errorf("Enter: %v", names(todo))
	}
	if diff := cmp.Diff([]model.Effect{model.Decide{ID: "p1", Approve: true}}, m.Update(scene.Now, press(model.ActApprove))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.Update(scene.Now.Add(2*time.Minute), model.Tick{})
	if m.View(scene.Now).Pairing != nil {
		t.Error("a request that has expired is still shown")
	}
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name string
		msg  model.Failed
		want string
	}{
		{"busy", model.Failed{Effect: model.Begin{}, Fault: scene.Fault("x", "input"), Busy: true}, "phần mềm bệnh viện"},
		{"known fault", model.Failed{Effect: model.Confirm{}, Fault: scene.Fault("cannot_record", "system")}, "CHƯA ghi nhận"},
		{"fault of tomorrow", model.Failed{Effect: model.Confirm{}, Fault: scene.Fault("of_tomorrow", "system")}, "cause of of_tomorrow"},
		{"no agent", model.Failed{Effect: model.Confirm{}}, "Chưa kết nối"},
		{"photo", model.Failed{Effect: model.LoadPhoto{}, Fault: scene.Fault("x", "input")}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := play(checkIn(wire.StateCard, nil), checkIn(wire.StateConfirm, nil), photo, press(model.ActPrimary))
			m.Update(scene.Now, tt.msg)
			v := m.View(scene.Now)
			got := ""
			if v.Notice != nil {
				got = v.Notice.Text
			}
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("notice %q, want %q", got, tt.want)
			}
			if tt.want != "" && v.Actions[0].Disabled {
				if _, ok := tt.msg.Effect.(model.LoadPhoto); !ok && tt.msg.Effect != (model.Begin{}) {
					t.Error("the button stays dead after a failure")
				}
			}
		})
	}
}

// TestAgentLost: the desk says so, and everything is there again when the agent is.
func TestAgentLost(t *testing.T) {
	m := play(model.Lost{})
	if v := m.View(scene.Now.Add(time.Minute)); v.Bar.Items[0].Role != model.Caution || v.Desk.Guide.Drawing != model.DrawNoReader {
		t.Errorf("bar %+v", v.Bar.Items[0])
	}
	todo := m.Update(scene.Now, model.GotStatus{Status: scene.Status()})
	if v := m.View(scene.Now); v.Bar.Items[0].Role != model.Good || !slices.Contains(names(todo), "LoadHistory") {
		t.Errorf("bar %+v, effects %v", v.Bar.Items[0], names(todo))
	}
}

func TestSettings(t *testing.T) {
	m := play(press(model.ActSettings), press(model.ActText.With("large")), press(model.ActTheme.With("dark")), press(model.ActIdle.With(120)))
	todo := m.Update(scene.Now, press(model.ActLang.With("en")))
	want := model.Settings{Lang: i18n.English, Theme: "dark", Large: true, IdleSeconds: 120}
	if diff := cmp.Diff([]model.Effect{model.Save{Settings: want}}, todo); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.Update(scene.Now, press(model.ActIdle.With("never")))
	if got := m.Settings().IdleSeconds; got != 60 {
		t.Errorf("idle time %d after nonsense", got)
	}
	odd := model.Settings{Lang: 9, Theme: "pink", IdleSeconds: -1}.Clean()
	if diff := cmp.Diff(model.Defaults(), odd); diff != "" {
		t.Errorf("cleaned (-want +got):\n%s", diff)
	}
}

// TestScenes looks at every screen in both languages: no name of a text shows through, no
// verb is left over, each button has a word.
func TestScenes(t *testing.T) {
	for _, sc := range scene.All() {
		for _, l := range i18n.Langs() {
			v := sc.Model(l).View(scene.Now)
			dump := cmp.Diff(nil, struct {
				D *model.DeskView
				B []model.Block
				A []model.ActionView
				R model.Bar
				S model.StripView
				N *model.Saying
			}{noPhoto(v.Desk), v.Body, v.Actions, v.Bar, v.Strip, v.Notice})
			for _, bad := range []string{"%!", "\"act.", "\"hint.", "\"verdict.", "\"photo.", "\"group."} {
				if strings.Contains(dump, bad) {
					t.Errorf("%s in %v: %q in\n%s", sc.Name, l, bad, dump)
				}
			}
			for i, a := range v.Actions {
				if a.Label == "" || a.Primary && i > 0 {
					t.Errorf("%s: button %d: %+v", sc.Name, i, a)
				}
			}
			if len(v.Bar.Items) != 3 {
				t.Errorf("%s: %d signs in the bar", sc.Name, len(v.Bar.Items))
			}
		}
	}
}

func noPhoto(d *model.DeskView) *model.DeskView {
	if d == nil || d.Person == nil {
		return d
	}
	out, p := *d, *d.Person
	p.Photo = nil
	out.Person = &p
	return &out
}

// TestStripHidesNames: what a person before the desk may read has no full name.
func TestStripHidesNames(t *testing.T) {
	m := play(model.GotHistory{History: scene.History()})
	for _, e := range m.View(scene.Now).Strip.Entries {
		for _, full := range scene.History().Entries {
			if strings.EqualFold(e.Name, full.Name) {
				t.Errorf("%q is whole", e.Name)
			}
		}
	}
}
