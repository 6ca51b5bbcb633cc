// Package ui is the receptionist's desk: it joins what the desk does (package model), how
// it looks (package screen) and the agent (a [Backend]).
//
// Model and screen belong to Fyne's goroutine. Requests to the agent, the decoding of
// photos and the waiting for events are done in other goroutines, whose results come
// back through one function ([App.post]). No personal data goes into a window's title, a
// notification or a log: there is none of the three here.
package ui

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"fyne.io/fyne/v2"
	fynetheme "fyne.io/fyne/v2/theme"

	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/ui/model"
	"github.com/chamthe/chamthe/ui/screen"
	"github.com/chamthe/chamthe/ui/theme"
)

// Config describes an [App]. Window is required.
type Config struct {
	Window fyne.Window
	// Settings are those of this desk, and Save keeps them; nil: they are forgotten.
	Settings model.Settings
	Save     func(model.Settings)
	Version  string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Do runs a function on Fyne's goroutine; nil: fyne.Do.
	Do func(func())
	// Tray are sample cards that are offered for training, and Tap lays the one of that
	// name on the reader; none: no tray.
	Tray []string
	Tap  func(a *App, card string)
}

// An App is the desk in a window. Its methods are for Fyne's goroutine.
type App struct {
	cfg    Config
	model  *model.Model
	screen *screen.Screen
	agent  Backend // nil before Start
	ctx    context.Context
	stop   context.CancelFunc
	work   sync.WaitGroup
	wake   *time.Timer // for the end of a scan
	copied string      // what of ours is in the clipboard
	dark   bool
	themed bool
}

// New puts the desk into the window and draws it. [App.Start] makes it work.
func New(cfg Config) *App {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Do == nil {
		cfg.Do = fyne.Do
	}
	a := &App{cfg: cfg, model: model.New(cfg.Now(), cfg.Settings, cfg.Version)}
	a.ctx, a.stop = context.WithCancel(context.Background())
	a.screen = screen.New(a)
	a.screen.Attach(cfg.Window.Canvas())
	cfg.Window.SetTitle("chamthe")
	a.draw()
	return a
}

// Screen returns the object that is drawn, for a window that shows more than the desk.
func (a *App) Screen() *screen.Screen { return a.screen }

// State returns the state of the check-in on the screen, as in package wire; empty for
// none.
func (a *App) State() string { return a.model.State() }

// Start begins to ask the agent. [App.Stop] ends it.
func (a *App) Start(b Backend) {
	a.agent = b
	a.carry(a.model.Start())
	a.work.Go(func() { a.listen(b) })
	a.work.Go(func() {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-a.ctx.Done():
				return
			case <-t.C:
				a.post(model.Tick{})
			}
		}
	})
}

// Stop ends everything that Start began, and waits for it. It must not be called on
// Fyne's goroutine while that serves others' calls of Do with waiting.
func (a *App) Stop() {
	a.stop()
	if a.wake != nil {
		a.wake.Stop()
	}
	a.work.Wait()
}

// post has a message taken on Fyne's goroutine: the only way in from outside.
func (a *App) post(msg model.Message) {
	a.cfg.Do(func() {
		if a.ctx.Err() == nil {
			a.Send(msg)
		}
	})
}

// Send takes a message and draws what has become of it.
func (a *App) Send(msg model.Message) {
	a.carry(a.model.Update(a.cfg.Now(), msg))
	a.draw()
}

// Press implements [screen.Controller].
func (a *App) Press(x model.Action) {
	if card, ok := strings.CutPrefix(string(x), string(model.ActTray)); ok {
		if a.cfg.Tap != nil {
			a.cfg.Tap(a, card)
		}
		return
	}
	a.Send(model.Press{Action: x})
}

// Scan takes text as a wedge scanner would type it.
func (a *App) Scan(text string) {
	at := a.cfg.Now()
	for _, r := range text + "\n" {
		_, todo := a.model.Type(at, r)
		a.carry(todo)
		at = at.Add(time.Millisecond)
	}
	a.carry(a.model.Update(at.Add(model.ScanQuiet), model.Tick{}))
	a.draw()
}

// Edit implements [screen.Controller].
func (a *App) Edit(f model.Field, text string) { a.Send(model.Edit{Field: f, Text: text}) }

// Pending implements [screen.Controller].
func (a *App) Pending() bool { return a.model.Pending(a.cfg.Now()) }

// Type implements [screen.Controller].
func (a *App) Type(r rune) bool {
	now := a.cfg.Now()
	swallow, todo := a.model.Type(now, r)
	a.carry(todo)
	if at, ok := a.model.Due(); ok {
		wait := at.Sub(now) + 5*time.Millisecond
		if a.wake == nil {
			a.wake = time.AfterFunc(wait, func() { a.post(model.Tick{}) })
		} else {
			a.wake.Reset(wait)
		}
	}
	if swallow || len(todo) > 0 {
		a.draw()
	}
	return swallow
}

// draw shows the model as it is.
func (a *App) draw() {
	v := a.model.View(a.cfg.Now())
	settings := fyne.CurrentApp().Settings()
	dark := v.Theme == "dark" || v.Theme == "auto" && settings.ThemeVariant() == fynetheme.VariantDark
	if th := (theme.Theme{Dark: dark, Large: v.Large}); !a.themed || settings.Theme() != fyne.Theme(th) {
		a.themed = true
		settings.SetTheme(th)
	}
	a.dark = dark
	if len(a.cfg.Tray) > 0 {
		v.Tray = model.Tray(v.Lang, a.cfg.Tray)
	}
	a.screen.Set(v, dark)
}

// carry does what the model wants.
func (a *App) carry(todo []model.Effect) {
	for _, e := range todo {
		switch e := e.(type) {
		case model.Copy:
			a.copied = e.Text
			fyne.CurrentApp().Clipboard().SetContent(e.Text)
		case model.ClearClipboard:
			// Somebody may have copied something else meanwhile.
			if c := fyne.CurrentApp().Clipboard(); a.copied != "" && c.Content() == a.copied {
				c.SetContent("")
			}
			a.copied = ""
		case model.Save:
			if a.cfg.Save != nil {
				a.cfg.Save(e.Settings)
			}
		case model.Quit:
			a.cfg.Window.Close()
		default:
			b := a.agent
			a.work.Go(func() { a.post(a.request(b, e)) })
		}
	}
}

// listen waits for events.
func (a *App) listen(b Backend) {
	for e, err := range b.Events(a.ctx) {
		if err != nil {
			a.post(model.Lost{})
			continue
		}
		a.post(model.Happened{Event: e})
	}
}

// maxRejected is how many rejected visits are shown.
const maxRejected = 200

// request asks the agent, and returns what came of it.
func (a *App) request(b Backend, e model.Effect) model.Message {
	ctx := a.ctx
	if b == nil {
		return model.Failed{Effect: e}
	}
	switch e := e.(type) {
	case model.LoadStatus:
		s, err := b.Status(ctx)
		return result(e, err, model.GotStatus{Status: s})
	case model.LoadCurrent:
		c, err := b.Current(ctx)
		return result(e, err, model.GotCheckIn{CheckIn: c})
	case model.LoadPairings:
		p, err := b.Pairings(ctx)
		return result(e, err, model.GotPairings{Pairings: p})
	case model.LoadClients:
		c, err := b.Clients(ctx)
		return result(e, err, model.GotClients{Clients: c})
	case model.LoadRejected:
		p, err := b.Queue(ctx, "rejected", "")
		return result(e, err, model.GotRejected{Entries: append([]wire.HistoryEntry{}, p.Entries[:min(maxRejected, len(p.Entries))]...)})
	case model.LoadHistory:
		h, err := b.History(ctx, wire.HistoryQuery{Text: e.Query})
		return result(e, err, model.GotHistory{Query: e.Query, History: h})
	case model.Diagnose:
		d, err := b.Doctor(ctx)
		return result(e, err, model.GotDiagnosis{Diagnosis: d})
	case model.LoadPhoto:
		raw, _, err := b.Photo(ctx, e.ID)
		if err != nil {
			return result(e, err, nil)
		}
		img, err := decodePhoto(raw)
		if err != nil {
			img = nil // said in the photo's place
		}
		return model.GotPhoto{ID: e.ID, Photo: img}
	case model.Begin:
		c, err := b.Start(ctx, e.Start)
		return result(e, err, model.GotCheckIn{CheckIn: c, Begun: true})
	case model.Unlock:
		c, err := b.Key(ctx, e.ID, e.Key)
		return result(e, err, model.GotCheckIn{CheckIn: c})
	case model.Confirm:
		c, err := b.Confirm(ctx, e.ID, e.Confirmation)
		return result(e, err, model.GotCheckIn{CheckIn: c})
	case model.Cancel:
		c, err := b.Cancel(ctx, e.ID)
		return result(e, err, model.GotCheckIn{CheckIn: c})
	case model.Retry:
		return result(e, b.Retry(ctx, e.Visit), model.Done{Effect: e})
	case model.Revoke:
		return result(e, b.Revoke(ctx, e.ID), model.Done{Effect: e})
	case model.Decide:
		decide := b.Deny
		if e.Approve {
			decide = b.Approve
		}
		_, err := decide(ctx, e.ID)
		return result(e, err, model.Done{Effect: e})
	case model.SignIn:
		_, err := b.SignIn(ctx, e.SignIn)
		return result(e, err, model.Done{Effect: e})
	case model.SignOut:
		return result(e, b.SignOut(ctx), model.Done{Effect: e})
	}
	return model.Done{Effect: e}
}

// result is good, or what err says.
func result(e model.Effect, err error, good model.Message) model.Message {
	if err == nil {
		return good
	}
	f := model.Failed{Effect: e}
	var answer *client.Error
	if errors.As(err, &answer) {
		f.Fault = &answer.Fault
		f.None = answer.Status == http.StatusNotFound
		f.Busy = answer.Fault.Code == "checkin_busy"
	}
	return f
}
