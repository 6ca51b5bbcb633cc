// Package screen draws the desk: a [model.View] in, pictures and keys out. It decides
// nothing. It knows no agent and no clock.
//
// The screen is one widget that places everything itself, on the grid of package theme:
// the four answers stand at fixed places, so that nothing jumps while a card is read.
// Objects that show the same as before are kept and moved (see frame), so that a new
// view costs only what is new in it.
package screen

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/widget"

	"github.com/chamthe/chamthe/ui/model"
	"github.com/chamthe/chamthe/ui/theme"
)

// A Controller takes what the person at the desk does. Its methods are called on
// Fyne's goroutine and may call [Screen.Set].
type Controller interface {
	Press(model.Action)
	Edit(field model.Field, text string)
	// Type takes each key that makes a character before anything else does; true: it
	// is part of a scan and goes nowhere else.
	Type(r rune) bool
	// Pending reports whether a scan may have begun: then keys press no button.
	Pending() bool
}

// Min is the smallest window that the desk works in.
var Min = fyne.NewSize(1024, 600)

// A Screen is the desk's window. Use it on Fyne's goroutine only.
type Screen struct {
	widget.BaseWidget
	ctl   Controller
	view  model.View
	pal   *theme.Palette
	shown bool

	frame    frame // of the window
	inner    frame // of what scrolls
	scroll   *container.Scroll
	sheet    *fyne.Container // in scroll
	page     model.Page
	scroller string // what scrolls: a page, or the long list of checks
	buttons  map[model.Action]*button
	entries  map[model.Field]*entry
	used     map[any]bool
	objects  []fyne.CanvasObject
}

var quitShortcut = &desktop.CustomShortcut{KeyName: fyne.KeyQ, Modifier: fyne.KeyModifierControl}

// New returns a screen that tells ctl what is done. It shows nothing before
// [Screen.Set].
func New(ctl Controller) *Screen {
	s := &Screen{ctl: ctl, pal: theme.Of(false), buttons: map[model.Action]*button{}, entries: map[model.Field]*entry{}}
	s.sheet = container.New(&fixed{})
	s.scroll = container.NewVScroll(s.sheet)
	s.ExtendBaseWidget(s)
	return s
}

// fixed is the layout of the sheet: everything is placed already.
type fixed struct{ size fyne.Size }

func (l *fixed) Layout([]fyne.CanvasObject, fyne.Size) {}
func (l *fixed) MinSize([]fyne.CanvasObject) fyne.Size { return l.size }

// Attach puts the screen into a window and takes its keys.
func (s *Screen) Attach(c fyne.Canvas) {
	c.SetContent(s)
	c.SetOnTypedRune(func(r rune) { s.typed(r) })
	c.SetOnTypedKey(func(e *fyne.KeyEvent) {
		if isEnter(e.Name) {
			if !s.typed(model.Enter) && !s.ctl.Pending() {
				s.ctl.Press(model.ActPrimary)
			}
			return
		}
		s.key(e)
	})
	c.AddShortcut(quitShortcut, func(fyne.Shortcut) { s.ctl.Press(model.ActQuit) })
	for _, k := range digits {
		c.AddShortcut(k, func(k fyne.Shortcut) { s.shortcut(k) })
	}
}

// digits are the keys of the tray.
var digits = func() (keys []*desktop.CustomShortcut) {
	for _, k := range []fyne.KeyName{fyne.Key1, fyne.Key2, fyne.Key3, fyne.Key4, fyne.Key5, fyne.Key6, fyne.Key7, fyne.Key8, fyne.Key9} {
		keys = append(keys, &desktop.CustomShortcut{KeyName: k, Modifier: fyne.KeyModifierControl})
	}
	return keys
}()

// shortcut takes a key with Ctrl, and reports whether it was one of ours.
func (s *Screen) shortcut(c fyne.Shortcut) bool {
	if c.ShortcutName() == quitShortcut.ShortcutName() {
		s.ctl.Press(model.ActQuit)
		return true
	}
	for i, k := range digits {
		if c.ShortcutName() == k.ShortcutName() && s.view.Tray != nil && i < len(s.view.Tray.Cards) {
			s.ctl.Press(s.view.Tray.Cards[i].Action)
			return true
		}
	}
	return false
}

// Set draws v. isDark says whether the desk is dark.
func (s *Screen) Set(v model.View, isDark bool) {
	turned := !s.shown || v.Page != s.page
	s.shown, s.page = true, v.Page
	s.view, s.pal = v, theme.Of(isDark)
	if turned {
		s.scroll.Offset = fyne.Position{}
	}
	s.Refresh()
	s.focus(turned)
}

// focus gives the focus to the field that a page begins with, and takes it from what is
// not there any more.
func (s *Screen) focus(turned bool) {
	c := fyne.CurrentApp().Driver().CanvasForObject(s)
	if c == nil {
		return
	}
	if now := c.Focused(); now != nil && !s.used[now] {
		c.Unfocus()
	}
	first := s.first()
	switch {
	case first != nil && (turned || c.Focused() == nil):
		if c.Focused() != first {
			c.Focus(first)
		}
	case turned && c.Focused() != nil:
		c.Unfocus()
	}
}

// first is the field that has the focus to begin with, or nil.
func (s *Screen) first() fyne.Focusable {
	if d := s.view.Desk; d != nil && d.Expiry != nil {
		return s.entries[d.Expiry.Field]
	}
	for _, b := range s.view.Body {
		if b.Input != nil && b.Input.First {
			return s.entries[b.Input.Field]
		}
	}
	return nil
}

// typed passes a key on.
func (s *Screen) typed(r rune) bool { return s.ctl.Type(r) }

// keys are the shortcuts, wherever the focus is.
var keys = map[fyne.KeyName]model.Action{
	fyne.KeyEscape: model.ActBack, fyne.KeyF1: model.ActAbout, fyne.KeyF2: model.ActOther, fyne.KeyF3: model.ActToday,
	fyne.KeyF4: model.ActDiagnosis, fyne.KeyF5: model.ActRejected, fyne.KeyF6: model.ActDetails, fyne.KeyF7: model.ActCopy + "number",
	fyne.KeyF8: model.ActMismatch, fyne.KeyF9: model.ActLanguage, fyne.KeyF10: model.ActSettings, fyne.KeyF11: model.ActApprove,
	fyne.KeyF12: model.ActDeny,
}

// key takes a key that makes no character, and reports whether it was one of ours.
func (s *Screen) key(e *fyne.KeyEvent) bool {
	if a, ok := keys[e.Name]; ok {
		// Scanners type what is no character in a code as Esc or a function key.
		if !s.ctl.Pending() {
			s.ctl.Press(a)
		}
		return true
	}
	switch e.Name {
	case fyne.KeyPageDown:
		s.scrollBy(s.scroll.Size().Height * 0.9)
	case fyne.KeyPageUp:
		s.scrollBy(-s.scroll.Size().Height * 0.9)
	default:
		return false
	}
	return true
}

func (s *Screen) scrollBy(dy float32) {
	y := min(max(0, s.scroll.Offset.Y+dy), max(0, s.sheet.MinSize().Height-s.scroll.Size().Height))
	s.scroll.Offset.Y = y
	s.scroll.Refresh()
}

// reveal scrolls to what has got the focus.
func (s *Screen) reveal(o fyne.CanvasObject) {
	for _, have := range s.sheet.Objects {
		if have != o {
			continue
		}
		top, bottom := o.Position().Y, o.Position().Y+o.Size().Height
		switch y, h := s.scroll.Offset.Y, s.scroll.Size().Height; {
		case top < y:
			s.scrollBy(top - y - theme.Unit)
		case bottom > y+h:
			s.scrollBy(bottom - y - h + theme.Unit)
		}
	}
}

// MinSize implements fyne.CanvasObject.
func (s *Screen) MinSize() fyne.Size {
	return fyne.NewSize(Min.Width-theme.Unit, Min.Height-theme.Unit)
}

// CreateRenderer implements fyne.Widget.
func (s *Screen) CreateRenderer() fyne.WidgetRenderer { return &renderer{s} }

type renderer struct{ s *Screen }

func (r *renderer) Destroy()                     {}
func (r *renderer) MinSize() fyne.Size           { return r.s.MinSize() }
func (r *renderer) Objects() []fyne.CanvasObject { return r.s.objects }
func (r *renderer) Layout(size fyne.Size)        { r.s.draw(size) }

func (r *renderer) Refresh() {
	r.s.draw(r.s.Size())
	canvas.Refresh(r.s)
}

// draw places everything in a window of this size.
func (s *Screen) draw(size fyne.Size) {
	if !s.shown || size.Width < 1 || size.Height < 1 {
		return
	}
	f := &s.frame
	f.begin(s.pal, s.view.Large)
	s.used = map[any]bool{}
	if s.view.Tray != nil {
		size.Width -= s.drawTray(size)
	}
	y := s.drawBar(size.Width)
	bottom := size.Height - s.stripHeight()
	s.drawStrip(bottom, size.Width)
	bottom -= s.actionsHeight()
	s.drawActions(bottom, size.Width)
	if s.view.Pairing != nil {
		y += s.drawPairing(y, size.Width)
	}
	if d := s.view.Desk; d != nil {
		s.drawDesk(d, y, size.Width, bottom-y)
	} else {
		s.drawPage(y, size.Width, bottom-y)
	}
	s.objects = f.objects
}

// drawBar draws the line at the top and returns where it ends.
func (s *Screen) drawBar(w float32) float32 {
	f, p, v := &s.frame, s.pal, s.view
	h := f.lineHeight(theme.Small) + 3*theme.Unit
	f.rect(0, h-1, w, 1, p.Line, nil, 0, 0)
	small := style{theme.Small, false, p.Text}
	y := (h - f.lineHeight(theme.Small)) / 2
	x := 2 * theme.Unit
	x += f.line(x, y, "chamthe", style{theme.Small, true, p.Primary}) + 2*theme.Unit

	// The signs stand at the right; what is left of the line is the facility's.
	side := f.points(theme.Small) * 1.25
	right := w - 2*theme.Unit
	for i := len(v.Bar.Items) - 1; i >= 0; i-- {
		it := v.Bar.Items[i]
		c := p.Role(it.Role)
		text := style{theme.Small, it.Role == model.Caution || it.Role == model.Bad, c.Fore}
		detail := style{theme.Small, false, p.Muted}
		room := w * 0.24
		label := f.cut(it.Text, room, text)
		more := ""
		if it.Detail != "" {
			more = f.cut(it.Detail, room, detail)
		}
		width := side + theme.Unit + f.width(label, text)
		if more != "" {
			width += theme.Unit + f.width(more, detail)
		}
		right -= width
		f.icon(right, (h-side)/2, side, it.Icon, c.Fore, p.Surface)
		lw := f.line(right+side+theme.Unit, y, label, text)
		f.line(right+side+theme.Unit+lw+theme.Unit, y, more, detail)
		right -= 3 * theme.Unit
	}
	name := v.Bar.Facility
	if v.Bar.Operator != "" {
		name += " · " + v.Bar.Operator
	}
	if right > x {
		f.fit(x, y, right-x, name, small)
	}
	if v.Training == "" {
		return h
	}
	bh := f.lineHeight(theme.Small) + theme.Unit
	f.rect(0, h, w, bh, p.Training, nil, 0, 0)
	st := style{theme.Small, true, p.OnTraining}
	f.line((w-f.width(v.Training, st))/2, h+theme.Unit/2, v.Training, st)
	return h + bh
}

func (s *Screen) stripHeight() float32 { return s.frame.lineHeight(theme.Small) + 2*theme.Unit }

// drawStrip draws today's visits, newest first, as many as fit.
func (s *Screen) drawStrip(y, w float32) {
	f, p, v := &s.frame, s.pal, s.view.Strip
	f.rect(0, y, w, 1, p.Line, nil, 0, 0)
	ty := y + theme.Unit
	x := 2 * theme.Unit
	x += f.line(x, ty, v.Title, style{theme.Small, true, p.Text}) + 2*theme.Unit
	if len(v.Entries) == 0 {
		f.line(x, ty, v.Empty, style{theme.Small, false, p.Muted})
		return
	}
	side := f.points(theme.Small)
	for _, e := range v.Entries {
		c := p.Role(e.Role)
		text, word := e.Time+"  "+e.Name, style{theme.Small, false, c.Fore}
		st := style{theme.Small, false, p.Text}
		width := f.width(text, st) + theme.Unit + side + theme.Unit/2 + f.width(e.Word, word)
		if x+width > w-2*theme.Unit {
			return
		}
		x += f.line(x, ty, text, st) + theme.Unit
		f.icon(x, ty+(f.lineHeight(theme.Small)-side)/2-1, side, e.Icon, c.Fore, p.Surface)
		x += side + theme.Unit/2
		x += f.line(x, ty, e.Word, word) + 3*theme.Unit
	}
}

func (s *Screen) actionsHeight() float32 { return s.frame.points(theme.Body)*1.36 + 5*theme.Unit }

// drawActions draws the buttons: the primary one wide, at the left.
func (s *Screen) drawActions(y, w float32) {
	f := &s.frame
	h := s.actionsHeight() - 2*theme.Unit
	x := 2 * theme.Unit
	room := w - 4*theme.Unit
	rest := float32(0)
	for i, a := range s.view.Actions {
		b := s.button(a, false, false)
		if i > 0 || !a.Primary {
			rest += b.MinSize().Width + theme.Unit
		}
	}
	for i, a := range s.view.Actions {
		b := s.button(a, false, false)
		bw := b.MinSize().Width
		if i == 0 && a.Primary {
			// Where the label is too long for the room, it is written smaller.
			b.setTight(bw > room-rest)
			bw = min(max(bw, room*0.44), room-rest)
			f.add(b, x, y+theme.Unit, bw, h)
			// The others stand at the right, where they are in every state.
			x = 2*theme.Unit + room - rest + theme.Unit
			continue
		}
		f.add(b, x, y+theme.Unit, bw, h)
		x += bw + theme.Unit
	}
}

// button returns the button of an action, the same one each time.
func (s *Screen) button(a model.ActionView, choice, on bool) *button {
	b, ok := s.buttons[a.Action]
	if !ok {
		b = newButton(s)
		s.buttons[a.Action] = b
	}
	s.used[b] = true
	b.set(a, choice, on)
	return b
}

func (s *Screen) entry(in *model.Input) *entry {
	e, ok := s.entries[in.Field]
	if !ok {
		e = newEntry(s, in)
		s.entries[in.Field] = e
	}
	s.used[e] = true
	e.set(in)
	return e
}

// drawTray draws the sample cards at the right, and returns how wide the tray is.
func (s *Screen) drawTray(size fyne.Size) float32 {
	f, p, v := &s.frame, s.pal, s.view.Tray
	const u = theme.Unit
	w := float32(0)
	for _, c := range v.Cards {
		w = max(w, s.button(c, false, false).MinSize().Width)
	}
	x := size.Width - w - 3*u
	f.rect(x-u, 0, w+4*u, size.Height, p.Role(model.Info).Tint, nil, 0, 0)
	f.rect(x-u, 0, 2, size.Height, p.Training, nil, 0, 0)
	y := 2 * u
	y += f.para(x+u, y, w, v.Title, style{theme.Body, true, p.Text}, 1)
	y += f.para(x+u, y, w, v.Note, style{theme.Small, false, p.Text}, 4) + u
	h := min(f.points(theme.Body)*1.36+2*u, (size.Height-y-u)/float32(len(v.Cards))-u/2)
	for _, c := range v.Cards {
		f.add(s.button(c, false, false), x+u, y, w, h)
		y += h + u/2
	}
	return w + 4*u
}

// drawPairing draws the request of a program for this desk's readers, and returns its
// height.
func (s *Screen) drawPairing(y, w float32) float32 {
	f, p, v := &s.frame, s.pal, s.view.Pairing
	c := p.Role(model.Info)
	allow, deny := s.button(v.Approve, false, false), s.button(v.Deny, false, false)
	bw := allow.MinSize().Width + deny.MinSize().Width + theme.Unit
	code := style{theme.Display, true, p.Text}
	cw := f.width(v.Code, code)
	h := 2*f.lineHeight(theme.Small) + f.lineHeight(theme.Body) + 3*theme.Unit
	x := 2 * theme.Unit
	top := y + theme.Unit
	f.panel(x, top, w-4*theme.Unit, h, c.Tint, c.Fore)
	room := w - 4*theme.Unit - bw - cw - 10*theme.Unit
	ty := top + theme.Unit
	f.fit(x+2*theme.Unit, ty, room, v.Text, style{theme.Small, false, p.Text})
	ty += f.lineHeight(theme.Small)
	f.fit(x+2*theme.Unit, ty, room, v.Who, style{theme.Body, true, p.Text})
	ty += f.lineHeight(theme.Body)
	f.fit(x+2*theme.Unit, ty, room, v.Hint, style{theme.Small, false, p.Text})
	f.line(x+room+4*theme.Unit, top+(h-f.lineHeight(theme.Display))/2, v.Code, code)
	bx := w - 4*theme.Unit - bw
	bh := f.points(theme.Body)*1.36 + 2*theme.Unit
	f.add(allow, bx, top+(h-bh)/2, allow.MinSize().Width, bh)
	f.add(deny, bx+allow.MinSize().Width+theme.Unit, top+(h-bh)/2, deny.MinSize().Width, bh)
	return h + theme.Unit
}
