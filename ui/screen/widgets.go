package screen

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/widget"

	"github.com/chamthe/chamthe/ui/model"
	"github.com/chamthe/chamthe/ui/theme"
)

// A button shows what it does and its key. Enter and the space bar press it while it
// has the focus, which a ring shows.
type button struct {
	widget.BaseWidget
	s       *Screen
	v       model.ActionView
	on      bool // chosen, of several
	choice  bool // one of several
	tight   bool // the label is written smaller
	focused bool
	hovered bool
}

func newButton(s *Screen) *button {
	b := &button{s: s}
	b.ExtendBaseWidget(b)
	return b
}

// set changes what the button shows.
func (b *button) set(v model.ActionView, choice, on bool) {
	if b.v == v && b.choice == choice && b.on == on {
		return
	}
	b.v, b.choice, b.on = v, choice, on
	b.Refresh()
}

func (b *button) setTight(tight bool) {
	if b.tight != tight {
		b.tight = tight
		b.Refresh()
	}
}

// Tapped implements fyne.Tappable.
func (b *button) Tapped(*fyne.PointEvent) { b.press() }

func (b *button) press() {
	if !b.v.Disabled {
		b.s.ctl.Press(b.v.Action)
	}
}

// FocusGained implements fyne.Focusable.
func (b *button) FocusGained() {
	b.focused = true
	b.Refresh()
	b.s.reveal(b)
}

// FocusLost implements fyne.Focusable.
func (b *button) FocusLost() {
	b.focused = false
	b.Refresh()
}

// TypedRune implements fyne.Focusable.
func (b *button) TypedRune(r rune) {
	if b.s.typed(r) {
		return
	}
	if r == ' ' && !b.s.ctl.Pending() {
		b.press()
	}
}

// TypedKey implements fyne.Focusable.
func (b *button) TypedKey(e *fyne.KeyEvent) {
	if isEnter(e.Name) {
		if !b.s.typed(model.Enter) && !b.s.ctl.Pending() {
			b.press()
		}
		return
	}
	b.s.key(e)
}

// MouseIn implements desktop.Hoverable.
func (b *button) MouseIn(*desktop.MouseEvent) {
	b.hovered = true
	b.Refresh()
}

// MouseMoved implements desktop.Hoverable.
func (b *button) MouseMoved(*desktop.MouseEvent) {}

// MouseOut implements desktop.Hoverable.
func (b *button) MouseOut() {
	b.hovered = false
	b.Refresh()
}

// MinSize implements fyne.CanvasObject.
func (b *button) MinSize() fyne.Size {
	size := theme.Body.Points(b.s.view.Large)
	st := fyne.TextStyle{Bold: b.v.Primary || b.on}
	w := fyne.MeasureText(b.v.Label, size, st).Width + 4*theme.Unit
	if b.v.Key != "" {
		w += fyne.MeasureText(b.v.Key, theme.Small.Points(b.s.view.Large), fyne.TextStyle{}).Width + 2*theme.Unit
	}
	return fyne.NewSize(w, size*1.36+2*theme.Unit)
}

func (b *button) textSize() float32 {
	if b.tight {
		return theme.Small.Points(b.s.view.Large)
	}
	return theme.Body.Points(b.s.view.Large)
}

// CreateRenderer implements fyne.Widget.
func (b *button) CreateRenderer() fyne.WidgetRenderer {
	r := &buttonRenderer{b: b, back: &canvas.Rectangle{}, label: &canvas.Text{}, key: &canvas.Text{}}
	r.Refresh()
	return r
}

type buttonRenderer struct {
	b          *button
	back       *canvas.Rectangle
	label, key *canvas.Text
}

func (r *buttonRenderer) Destroy()           {}
func (r *buttonRenderer) MinSize() fyne.Size { return r.b.MinSize() }
func (r *buttonRenderer) Objects() []fyne.CanvasObject {
	return []fyne.CanvasObject{r.back, r.label, r.key}
}

// Layout centres the label and puts the key at its right.
func (r *buttonRenderer) Layout(size fyne.Size) {
	r.back.Resize(size)
	r.back.Move(fyne.NewPos(0, 0))
	lm := fyne.MeasureText(r.label.Text, r.label.TextSize, r.label.TextStyle)
	km := fyne.MeasureText(r.key.Text, r.key.TextSize, r.key.TextStyle)
	gap := float32(0)
	if r.key.Text == "" {
		km.Width = 0
	} else {
		gap = 2 * theme.Unit
	}
	x := (size.Width - lm.Width - gap - km.Width) / 2
	r.label.Resize(lm)
	r.label.Move(fyne.NewPos(x, (size.Height-lm.Height)/2))
	r.key.Resize(km)
	r.key.Move(fyne.NewPos(x+lm.Width+gap, (size.Height-lm.Height)/2+(lm.Height-km.Height)*0.75))
}

// Refresh takes colours and words anew.
func (r *buttonRenderer) Refresh() {
	b, p := r.b, r.b.s.pal
	fill, fore, keyCol, line, thick := p.Surface, p.Text, p.Muted, p.Border, float32(1)
	switch {
	case b.v.Primary && b.v.Disabled:
		fill, fore, line = p.Line, p.Muted, p.Line
	case b.v.Primary && b.v.Danger:
		fill, fore, keyCol, line = p.Danger, p.OnDanger, p.OnDanger, p.Danger
	case b.v.Primary:
		fill, fore, keyCol, line = p.Primary, p.OnPrimary, p.OnPrimary, p.Primary
	case b.on:
		fill, fore, line, thick = p.Role(model.Info).Tint, p.Text, p.Focus, 2
	case b.v.Danger:
		fore = p.Role(model.Bad).Fore
	}
	if b.hovered && !b.v.Primary && !b.on {
		fill = p.Hover
	}
	if b.focused {
		line, thick = p.Focus, 3
		if b.v.Primary { // a ring of the button's own colour would not be seen
			line = p.Text
		}
	}
	r.back.FillColor, r.back.StrokeColor, r.back.StrokeWidth, r.back.CornerRadius = fill, line, thick, theme.Unit
	setText(r.label, b.v.Label, b.textSize(), b.v.Primary || b.on, fore)
	setText(r.key, b.v.Key, theme.Small.Points(b.s.view.Large), false, keyCol)
	r.Layout(b.Size())
	canvas.Refresh(r.back)
	canvas.Refresh(r.label)
	canvas.Refresh(r.key)
}

func setText(t *canvas.Text, s string, size float32, bold bool, c color.NRGBA) {
	t.Text, t.TextSize, t.TextStyle.Bold, t.Color = s, size, bold, c
}

// An entry is a field. Keys go to the desk first: a scan may come while it has the
// focus.
type entry struct {
	widget.Entry
	s     *Screen
	field model.Field
	quiet bool // the text is being set from the view
}

func newEntry(s *Screen, in *model.Input) *entry {
	e := &entry{s: s, field: in.Field}
	e.ExtendBaseWidget(e)
	e.MultiLine = in.Lines > 1
	e.Password = in.Secret
	e.Wrapping = fyne.TextWrapOff
	if e.MultiLine {
		e.Wrapping = fyne.TextWrapBreak
		e.SetMinRowsVisible(in.Lines)
		e.TextStyle.Monospace = true
	}
	e.OnChanged = func(text string) {
		if !e.quiet {
			s.ctl.Edit(e.field, text)
		}
	}
	return e
}

func (e *entry) set(in *model.Input) {
	e.quiet = true
	if e.Text != in.Text {
		e.SetText(in.Text)
		e.CursorRow, e.CursorColumn = 0, len([]rune(in.Text))
		if e.MultiLine {
			e.CursorColumn = 0
		}
	}
	if e.PlaceHolder != in.Placeholder {
		e.SetPlaceHolder(in.Placeholder)
	}
	e.quiet = false
}

// FocusGained implements fyne.Focusable.
func (e *entry) FocusGained() {
	e.Entry.FocusGained()
	e.s.reveal(e)
}

// TypedRune implements fyne.Focusable.
func (e *entry) TypedRune(r rune) {
	if !e.s.typed(r) {
		e.Entry.TypedRune(r)
	}
}

// TypedKey implements fyne.Focusable.
func (e *entry) TypedKey(k *fyne.KeyEvent) {
	switch {
	case isEnter(k.Name):
		if !e.s.typed(model.Enter) && !e.s.ctl.Pending() {
			e.s.ctl.Press(model.ActPrimary)
		}
	case k.Name == fyne.KeyBackspace:
		if !e.s.typed(model.Backspace) {
			e.Entry.TypedKey(k)
		}
	case !e.s.key(k):
		e.Entry.TypedKey(k)
	}
}

// TypedShortcut implements fyne.Shortcutable: the desk's own go before those of a
// field.
func (e *entry) TypedShortcut(c fyne.Shortcut) {
	if !e.s.shortcut(c) {
		e.Entry.TypedShortcut(c)
	}
}

func isEnter(k fyne.KeyName) bool { return k == fyne.KeyReturn || k == fyne.KeyEnter }
