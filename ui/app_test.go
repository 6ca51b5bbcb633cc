package ui_test

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io/fs"
	"iter"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/ui"
	"github.com/chamthe/chamthe/ui/internal/scene"
	"github.com/chamthe/chamthe/ui/model"
)

// agent is one in memory: a check-in goes on when the test says so.
type agent struct {
	mu     sync.Mutex
	events chan wire.Event
	now    *wire.CheckIn
	calls  []string
	fail   error // of every call but Status
	photo  []byte
}

func (a *agent) note(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, name)
	return a.fail
}

func (a *agent) called(name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, c := range a.calls {
		if c == name {
			n++
		}
	}
	return n
}

// set changes the check-in and tells it.
func (a *agent) set(c wire.CheckIn) wire.CheckIn {
	a.mu.Lock()
	a.now = &c
	a.mu.Unlock()
	a.events <- wire.Event{Type: wire.EventCheckIn, CheckIn: &c}
	return c
}

func (a *agent) Status(context.Context) (wire.Status, error) { return scene.Status(), nil }

func (a *agent) Start(context.Context, wire.Start) (wire.CheckIn, error) {
	if err := a.note("start"); err != nil {
		return wire.CheckIn{}, err
	}
	return a.set(scene.CheckIn(wire.StateCard, nil)), nil
}

func (a *agent) Current(context.Context) (wire.CheckIn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now == nil {
		return wire.CheckIn{}, &client.Error{Status: http.StatusNotFound, Fault: wire.Fault{Code: "not_found"}}
	}
	return *a.now, nil
}

func (a *agent) Key(context.Context, string, wire.Key) (wire.CheckIn, error) {
	return wire.CheckIn{}, a.note("key")
}

func (a *agent) Confirm(_ context.Context, _ string, c wire.Confirmation) (wire.CheckIn, error) {
	if err := a.note("confirm"); err != nil {
		return wire.CheckIn{}, err
	}
	return a.set(scene.CheckIn(wire.StateRecorded, nil)), nil
}

func (a *agent) Cancel(context.Context, string) (wire.CheckIn, error) {
	return scene.CheckIn(wire.StateCancelled, nil), a.note("cancel")
}

func (a *agent) Photo(context.Context, string) ([]byte, string, error) {
	return a.photo, "image/jpeg", a.note("photo")
}

func (a *agent) History(context.Context, wire.HistoryQuery) (wire.History, error) {
	return scene.History(), a.note("history")
}

func (a *agent) Queue(context.Context, string, string) (wire.QueuePage, error) {
	return wire.QueuePage{}, a.note("queue")
}
func (a *agent) Retry(context.Context, string) error { return a.note("retry") }
func (a *agent) Doctor(context.Context) (wire.Diagnosis, error) {
	return wire.Diagnosis{}, a.note("doctor")
}
func (a *agent) SignOut(context.Context) error                    { return a.note("signout") }
func (a *agent) Pairings(context.Context) ([]wire.Pairing, error) { return nil, a.note("pairings") }
func (a *agent) Clients(context.Context) ([]wire.Client, error)   { return nil, a.note("clients") }
func (a *agent) Revoke(context.Context, string) error             { return a.note("revoke") }
func (a *agent) Approve(context.Context, string) (wire.Pairing, error) {
	return wire.Pairing{}, a.note("approve")
}

func (a *agent) Deny(context.Context, string) (wire.Pairing, error) {
	return wire.Pairing{}, a.note("deny")
}

func (a *agent) SignIn(context.Context, wire.SignIn) (wire.Operator, error) {
	return wire.Operator{}, a.note("signin")
}

func (a *agent) Events(ctx context.Context) iter.Seq2[wire.Event, error] {
	return func(yield func(wire.Event, error) bool) {
		if !yield(wire.Event{Type: wire.EventMissed}, nil) {
			return
		}
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-a.events:
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// rig is a desk on a canvas without a display. What the desk does on Fyne's goroutine
// is done under mu here.
type rig struct {
	app   *ui.App
	agent *agent
	mu    sync.Mutex
}

func newRig(t *testing.T) *rig {
	t.Helper()
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, scene.Portrait(), nil); err != nil {
		t.Fatal(err)
	}
	r := &rig{agent: &agent{events: make(chan wire.Event, 100), photo: photo.Bytes()}}
	w := test.NewTempWindow(t, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.app = ui.New(ui.Config{
		Window: w, Settings: model.Defaults(), Version: "0.7.0",
		Do: func(f func()) { r.mu.Lock(); defer r.mu.Unlock(); f() },
	})
	w.Resize(fyne.NewSize(1024, 600))
	return r
}

func (r *rig) do(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// await waits until the desk is in that state.
func (r *rig) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		var got bool
		r.do(func() { got = ok() })
		if got {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited a minute for: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *rig) awaitState(t *testing.T, state string) {
	t.Helper()
	r.await(t, "state "+state, func() bool { return r.app.State() == state })
}

func TestApp(t *testing.T) {
	// Fyne's own goroutines live as long as the process.
	already := goleak.IgnoreCurrent()
	test.NewTempApp(t)
	r := newRig(t)
	r.do(func() { r.app.Start(r.agent) })
	r.await(t, "the agent to be asked", func() bool { return r.agent.called("history") > 0 })
	r.do(func() { r.app.Scan(scene.QR) })
	r.awaitState(t, wire.StateCard)
	r.agent.set(scene.CheckIn(wire.StateReading, nil))
	r.awaitState(t, wire.StateReading)
	r.agent.set(scene.CheckIn(wire.StateConfirm, nil))
	r.awaitState(t, wire.StateConfirm)
	r.await(t, "the photo to be fetched", func() bool { return r.agent.called("photo") == 1 })
	// Enter does nothing before the photo is on the screen, and for a moment after each
	// change: it is pressed until it does.
	enter := func(from, to string) {
		t.Helper()
		r.await(t, "Enter to lead to state "+to, func() bool {
			if r.app.State() == from {
				r.app.Press(model.ActPrimary)
			}
			return r.app.State() == to
		})
	}
	enter(wire.StateConfirm, wire.StateRecorded)
	r.do(func() { r.app.Press(model.ActCopy.With("number")) })
	if got := fyne.CurrentApp().Clipboard().Content(); got != "001099000001" {
		t.Errorf("clipboard %q", got)
	}
	enter(wire.StateRecorded, "")
	if got := r.agent.called("confirm"); got != 1 {
		t.Errorf("confirmed %d times", got)
	}
	if got := r.agent.called("start"); got != 1 {
		t.Errorf("%d check-ins were begun", got)
	}
	r.app.Stop()
	goleak.VerifyNone(t, already, goleak.IgnoreTopFunction("fyne.io/fyne/v2/internal/animation.(*Runner).runAnimations"))
}

// TestAppFailures: nothing that the agent does keeps the desk from going on.
func TestAppFailures(t *testing.T) {
	test.NewTempApp(t) // one for all: its fonts take a second
	for _, tt := range []struct {
		name string
		err  error
	}{
		{"no agent", errors.New("connection refused")},
		{"busy", &client.Error{Status: http.StatusConflict, Fault: wire.Fault{Code: "checkin_busy", Kind: "retry"}}},
		{"refused", &client.Error{Status: http.StatusBadRequest, Fault: wire.Fault{Code: "bad_qr", Kind: "input"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.agent.fail = tt.err
			r.do(func() { r.app.Start(r.agent) })
			defer r.app.Stop()
			r.do(func() { r.app.Scan(scene.QR) })
			r.await(t, "the agent to be asked", func() bool { return r.agent.called("start") > 0 })
			// The answer is on its way; the next scan is taken once it is there.
			r.await(t, "the next scan to be taken", func() bool {
				r.app.Scan(scene.QR)
				return r.agent.called("start") > 1
			})
			if got := r.app.State(); got != "" {
				t.Errorf("state %q", got)
			}
		})
	}
	t.Run("before there is an agent", func(t *testing.T) {
		r := newRig(t)
		r.do(func() { r.app.Scan(scene.QR) })
		r.app.Stop()
	})
}

// TestNothingOutside looks at the desk's sources: no notification, no log, and a window's
// title that is always the same. On Windows Fyne makes a notification by a script that
// would run parts of what it is given.
func TestNothingOutside(t *testing.T) {
	forbidden := map[string]bool{"SendNotification": true, "NewNotification": true}
	titles := 0
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			if i.Path.Value == `"log"` || i.Path.Value == `"log/slog"` {
				t.Errorf("%s: logs", path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if forbidden[sel.Sel.Name] {
				t.Errorf("%s: calls %s", path, sel.Sel.Name)
			}
			if sel.Sel.Name == "SetTitle" || sel.Sel.Name == "NewWindow" {
				titles++
				if lit, ok := call.Args[0].(*ast.BasicLit); !ok || lit.Value != `"chamthe"` {
					t.Errorf("%s: a window's title that is not always the same", path)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if titles < 2 {
		t.Errorf("only %d titles were found", titles)
	}
}

func TestDecodePhoto(t *testing.T) {
	encode := func(w, h int) []byte {
		img := image.NewNRGBA(image.Rect(0, 0, w, h))
		for y := range h {
			for x := range w {
				img.Set(x, y, color.NRGBA{uint8(255 * (x * 2 / w)), 0, 200, 255})
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, tt := range []struct {
		name string
		raw  []byte
		want image.Point // zero: an error
	}{
		{"small", encode(240, 320), image.Pt(240, 320)},
		{"large", encode(960, 1280), image.Pt(480, 640)},
		{"flat", encode(2000, 1), image.Pt(480, 1)},
		{"too large", encode(5000, 2), image.Point{}},
		{"none", nil, image.Point{}},
		{"text", []byte("not a picture"), image.Point{}},
		{"cut off", encode(240, 320)[:100], image.Point{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img, err := ui.DecodePhoto(tt.raw)
			if (err != nil) != (tt.want == image.Point{}) {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			if got := img.Bounds().Size(); got != tt.want {
				t.Errorf("size %v, want %v", got, tt.want)
			}
			left, _, _, _ := img.At(tt.want.X/4, 0).RGBA()
			right, _, _, _ := img.At(tt.want.X*3/4, 0).RGBA()
			if left>>8 != 0 || right>>8 != 255 {
				t.Errorf("colours %d and %d are not those of the halves", left>>8, right>>8)
			}
		})
	}
}

func FuzzDecodePhoto(f *testing.F) {
	var p, j bytes.Buffer
	small := image.NewGray(image.Rect(0, 0, 9, 12))
	if err := errors.Join(png.Encode(&p, small), jpeg.Encode(&j, small, nil)); err != nil {
		f.Fatal(err)
	}
	f.Add(p.Bytes())
	f.Add(j.Bytes())
	f.Add([]byte("\xff\xd8\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		img, err := ui.DecodePhoto(raw)
		if err == nil && (img.Bounds().Dx() < 1 || img.Bounds().Dx() > 480) {
			t.Errorf("size %v", img.Bounds())
		}
	})
}
