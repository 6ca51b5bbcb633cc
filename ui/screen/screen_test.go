package screen_test

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"

	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/ui/i18n"
	"github.com/chamthe/chamthe/ui/internal/scene"
	"github.com/chamthe/chamthe/ui/model"
	"github.com/chamthe/chamthe/ui/screen"
)

// of returns the model of the scene of that name.
func of(t testing.TB, name string) *model.Model {
	t.Helper()
	for _, sc := range scene.All() {
		if sc.Name == name {
			return sc.Model(i18n.Vietnamese)
		}
	}
	t.Fatalf("no scene %q", name)
	return nil
}

// key presses a key where the focus is.
func (d *desk) key(name fyne.KeyName) {
	e := &fyne.KeyEvent{Name: name}
	if f := d.w.Canvas().Focused(); f != nil {
		f.TypedKey(e)
		return
	}
	d.w.Canvas().OnTypedKey()(e)
}

func (d *desk) rune(r rune) {
	if f := d.w.Canvas().Focused(); f != nil {
		f.TypedRune(r)
		return
	}
	d.w.Canvas().OnTypedRune()(r)
}

// TestKeys presses the keys that the buttons show, with the focus nowhere, in a field,
// and on a button.
func TestKeys(t *testing.T) {
	test.NewTempApp(t)
	for _, tt := range []struct {
		scene string
		key   fyne.KeyName
		page  model.Page
		sent  string
	}{
		{"ready", fyne.KeyF2, model.PageOther, ""},
		{"ready", fyne.KeyF3, model.PageToday, "LoadHistory"},
		{"ready", fyne.KeyF4, model.PageDiagnosis, "Diagnose"},
		{"ready", fyne.KeyF9, model.PageDesk, "Save"},
		{"ready", fyne.KeyF10, model.PageSettings, "LoadClients"},
		{"today", fyne.KeyF2, model.PageOther, ""},
		{"today", fyne.KeyEscape, model.PageDesk, ""},
		{"other-typed", fyne.KeyEscape, model.PageDesk, ""},
		{"confirm", fyne.KeyReturn, model.PageDesk, "Confirm"},
		{"confirm", fyne.KeyEnter, model.PageDesk, "Confirm"},
		{"confirm", fyne.KeyF8, model.PageMismatch, ""},
		{"confirm", fyne.KeyEscape, model.PageDesk, "Cancel"},
		{"pairing", fyne.KeyF11, model.PageDesk, "Decide"},
		{"pairing", fyne.KeyReturn, model.PageDesk, ""},
	} {
		for _, tabs := range []int{0, 1} {
			if tabs > 0 && (tt.key == fyne.KeyReturn || tt.key == fyne.KeyEnter) {
				continue // the focused button's own
			}
			d := newDesk(t, of(t, tt.scene), size)
			for range tabs {
				d.w.Canvas().FocusNext()
			}
			d.key(tt.key)
			if got := d.m.View(scene.Now).Page; got != tt.page {
				t.Errorf("%s, %s after %d tabs: page %d, want %d", tt.scene, tt.key, tabs, got, tt.page)
			}
			got := ""
			for _, e := range d.sent {
				got += strings.TrimPrefix(typeName(e), "model.")
			}
			if got != tt.sent {
				t.Errorf("%s, %s after %d tabs: sent %q, want %q", tt.scene, tt.key, tabs, got, tt.sent)
			}
		}
	}
	t.Run("Ctrl+Q", func(t *testing.T) {
		for _, name := range []string{"ready", "today"} {
			d := newDesk(t, of(t, name), size)
			quit := &desktop.CustomShortcut{KeyName: fyne.KeyQ, Modifier: fyne.KeyModifierControl}
			if f, ok := d.w.Canvas().Focused().(fyne.Shortcutable); ok {
				f.TypedShortcut(quit)
			} else {
				d.w.Canvas().(fyne.Shortcutable).TypedShortcut(quit)
			}
			if !slices.Contains(d.sent, model.Effect(model.Quit{})) {
				t.Errorf("%s: not quit", name)
			}
		}
	})
}

// TestEverythingByKeyboard goes through each scene with Tab: every button that is drawn
// gets the focus, is seen to have it, and the space bar presses it.
func TestEverythingByKeyboard(t *testing.T) {
	test.NewTempApp(t)
	for i, sc := range scene.All() {
		if raceDetector && !long && i%16 != 0 {
			continue // see TestGolden
		}
		m := sc.Model(i18n.Vietnamese)
		d := newDesk(t, m, size)
		want := len(m.View(scene.Now).Actions)
		for _, b := range m.View(scene.Now).Body {
			switch {
			case b.Input != nil:
				want++
			case b.Choice != nil:
				want += len(b.Choice.Options)
			case b.Row != nil && b.Row.Action != nil:
				want++
			}
		}
		if d := m.View(scene.Now).Desk; d != nil && d.Expiry != nil {
			want++
		}
		if m.View(scene.Now).Pairing != nil {
			want += 2
		}
		seen := map[fyne.Focusable]bool{}
		for range want + 3 {
			d.w.Canvas().FocusNext()
			if f := d.w.Canvas().Focused(); f != nil {
				seen[f] = true
			}
		}
		if len(seen) != want {
			t.Errorf("%s: %d of %d can be reached with Tab", sc.Name, len(seen), want)
		}
	}
	d := newDesk(t, of(t, "settings"), size)
	d.w.Canvas().FocusNext()
	before := d.w.Canvas().Capture()
	d.w.Canvas().Unfocus()
	if difference(reduce(before), reduce(d.w.Canvas().Capture())) == 0 {
		t.Error("the focus is not to be seen")
	}
	d = newDesk(t, of(t, "ready"), size)
	d.w.Canvas().FocusNext()
	d.rune(' ')
	if got := d.m.View(scene.Now).Page; got != model.PageOther {
		t.Errorf("the space bar on the first button: page %d", got)
	}
}

// TestScanOverFocus: a scan goes to the agent wherever the focus is, and presses and
// fills nothing.
func TestScanOverFocus(t *testing.T) {
	test.NewTempApp(t)
	for _, name := range []string{"ready", "today", "other-typed", "settings"} {
		for tabs := range 3 {
			d := newDesk(t, of(t, name), size)
			for range tabs {
				d.w.Canvas().FocusNext()
			}
			before := d.m.View(scene.Now)
			d.sent = nil
			for _, r := range scene.QR {
				d.rune(r)
			}
			d.key(fyne.KeyReturn)
			if after := d.m.View(scene.Now); after.Page != before.Page {
				t.Errorf("%s, %d tabs: the scan turned to page %d", name, tabs, after.Page)
			}
			for i, b := range d.m.View(scene.Now).Body {
				if b.Input != nil && b.Input.Text != before.Body[i].Input.Text {
					t.Errorf("%s, %d tabs: field %s has %q", name, tabs, b.Input.Field, b.Input.Text)
				}
			}
			todo := d.m.Update(scene.Now.Add(time.Second), model.Tick{})
			if len(todo) != 1 {
				t.Errorf("%s, %d tabs: %d effects at the end of the scan", name, tabs, len(todo))
				continue
			}
			if b, ok := todo[0].(model.Begin); !ok || b.Start.Key.Scan != scene.QR {
				t.Errorf("%s, %d tabs: the code did not arrive whole", name, tabs)
			}
		}
	}
}

// read is the messages of one check-in, of a version of its own.
func read(n uint64) []model.Message {
	var out []model.Message
	id := string(rune('a' + n%26))
	msg := func(state, step string, bytes int) model.Message {
		return model.GotCheckIn{CheckIn: scene.CheckIn(state, func(c *wire.CheckIn) {
			c.ID, c.Version, c.Started = id, c.Version*100+uint64(bytes), scene.Now.Add(time.Duration(n)*time.Minute)
			if c.Progress != nil && step != "" {
				c.Progress.Step, c.Progress.Bytes, c.Progress.Size = step, bytes, 20
			}
		})}
	}
	out = append(out, msg(wire.StateCard, "", 0))
	for i, step := range []string{"access", "ef_sod", "active_authentication", "dg1", "dg13"} {
		out = append(out, msg(wire.StateReading, step, i))
	}
	for i := range 20 {
		out = append(out, msg(wire.StateText, "dg2", i))
	}
	out = append(out, msg(wire.StateConfirm, "", 0), model.GotPhoto{ID: id, Photo: scene.Portrait()},
		msg(wire.StateRecording, "", 0), msg(wire.StateRecorded, "", 0), model.Press{Action: model.ActPrimary})
	return out
}

// TestMemory checks a thousand people in and looks at what is left of them.
func TestMemory(t *testing.T) {
	test.NewTempApp(t)
	people := 1000
	if raceDetector && !long || testing.Short() {
		people = 5
	}
	d := newDesk(t, of(t, "ready"), size)
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	for n := range 20 {
		for _, msg := range read(uint64(n)) {
			d.late += time.Second
			d.send(msg)
		}
	}
	begin := heap()
	for n := range people {
		for _, msg := range read(uint64(n + 20)) {
			d.late += time.Second
			d.send(msg)
		}
		d.sent = nil
	}
	// A photo is 300 KB, decoded: a thousand that stay would be 300 MB.
	if end := heap(); end > begin+48 {
		t.Errorf("heap %.1f MiB after 20 people, %.1f MiB after %d more", begin, end, people)
	}
	if d.m.State() != "" {
		t.Errorf("state %q at the end", d.m.State())
	}
}

// BenchmarkFrame is one frame of a read: a message, the layout and the drawing, as the
// software driver does them. Its aim is 50 ms.
func BenchmarkFrame(b *testing.B) {
	test.NewTempApp(b)
	d := newDesk(b, of(b, "ready"), size)
	d.w.Canvas().Capture()
	b.ReportAllocs()
	var all []model.Message
	n := uint64(0)
	worst := time.Duration(0)
	for b.Loop() {
		if len(all) == 0 {
			all = read(n)
			n++
		}
		d.late += time.Second
		began := time.Now()
		d.send(all[0])
		d.w.Canvas().Capture()
		worst = max(worst, time.Since(began))
		all = all[1:]
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
}

// BenchmarkUpdate is what Fyne's goroutine does for a message with a graphics card:
// everything but the drawing of pixels.
func BenchmarkUpdate(b *testing.B) {
	test.NewTempApp(b)
	d := newDesk(b, of(b, "ready"), size)
	b.ReportAllocs()
	var all []model.Message
	n := uint64(0)
	for b.Loop() {
		if len(all) == 0 {
			all = read(n)
			n++
		}
		d.late += time.Second
		d.send(all[0])
		all = all[1:]
	}
}

var _ screen.Controller = (*desk)(nil)

func typeName(e model.Effect) string { return reflect.TypeOf(e).String() }
