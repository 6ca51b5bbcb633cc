package screen

import (
	"fyne.io/fyne/v2"

	"github.com/chamthe/chamthe/ui/model"
	"github.com/chamthe/chamthe/ui/theme"
)

// beginSheet starts to draw what scrolls.
func (s *Screen) beginSheet(name string) {
	if s.scroller != name {
		s.scroll.Offset = fyne.Position{}
		s.scroller = name
	}
	s.inner.begin(s.pal, s.view.Large)
}

// endSheet puts what was drawn into its place in the window.
func (s *Screen) endSheet(x, y, w, h, contents float32) {
	s.sheet.Layout.(*fixed).size = fyne.NewSize(w-theme.Unit, contents)
	s.sheet.Objects = s.inner.objects
	s.frame.add(s.scroll, x, y, w, h)
	s.scroll.Refresh()
}

// drawPage draws a page of blocks under its title.
func (s *Screen) drawPage(y, w, h float32) {
	f, p := &s.frame, s.pal
	const u = theme.Unit
	y += u
	h -= u
	f.panel(2*u, y, w-4*u, h, p.Surface, p.Line)
	x := 4 * u
	width := w - 8*u
	ty := y + 2*u
	ty += f.para(x, ty, width, s.view.Title, style{theme.Heading, true, p.Text}, 1) + u
	bottom := y + h - 2*u
	if n := s.view.Notice; n != nil {
		bottom -= s.drawNotice(n, x, bottom, width) + u
	}
	s.beginSheet("page")
	end := s.drawBlocks(width - 2*u)
	s.endSheet(x, ty, width, bottom-ty, end)
}

// drawBlocks draws the blocks of a page in the sheet and returns how high they are.
// Fields stand in two columns.
func (s *Screen) drawBlocks(w float32) float32 {
	g, p := &s.inner, s.pal
	const u = theme.Unit
	y := float32(2) // room for the ring of what has the focus
	half := (w - 3*u) / 2
	left := true // the next field goes into the left column
	rowH := float32(0)
	newLine := func() {
		if !left {
			y += rowH + u
			left = true
		}
	}
	for _, b := range s.view.Body {
		switch {
		case b.Input != nil:
			if b.Input.Lines > 1 || b.Input.Field == model.FieldSearch || b.Input.Field == model.FieldReason {
				newLine()
				y += s.drawInput(g, b.Input, 2, y, min(w, 720)) + u
				continue
			}
			if left {
				rowH = s.drawInput(g, b.Input, 2, y, half)
				left = false
				continue
			}
			rowH = max(rowH, s.drawInput(g, b.Input, 2+half+3*u, y, half-2))
			newLine()
		case b.Choice != nil:
			if b.Choice.Options[0].Action == model.ActSex+"male" && !left {
				rowH = max(rowH, s.drawChoice(b.Choice, 2+half+3*u, y, half))
				newLine()
				continue
			}
			newLine()
			if b.Choice.Options[0].Action == model.ActSex+"male" {
				rowH = s.drawChoice(b.Choice, 2, y, half)
				left = false
				continue
			}
			y += s.drawChoice(b.Choice, 2, y, w) + u
		case b.Heading != "":
			newLine()
			y += u
			y += g.para(2, y, w, b.Heading, style{theme.Body, true, p.Text}, 1) + u/2
		case b.Text != "":
			newLine()
			y += g.para(2, y, min(w, 860), b.Text, style{theme.Body, false, p.Text}, 0) + u
		case b.Line != nil:
			newLine()
			y += s.drawLine(b.Line, 2, y, w) + u
		case b.Row != nil:
			newLine()
			y += s.drawRow(b.Row, 2, y, w, s.rowButton())
		}
	}
	newLine()
	return y
}

// drawInput draws a field with its label and its hint, and returns the height, which
// is the same with a hint and without.
func (s *Screen) drawInput(f *frame, in *model.Input, x, y, w float32) float32 {
	p := s.pal
	e := s.entry(in)
	top := y
	y += f.para(x, y, w, in.Label, style{theme.Small, true, p.Text}, 1)
	h := e.MinSize().Height
	f.add(e, x, y, w, h)
	y += h + 2
	hint := style{theme.Small, false, p.Muted}
	side := f.points(theme.Small)
	switch {
	case in.State == model.Wrong:
		c := p.Role(model.Caution).Fore
		hint.col, hint.bold = c, true
		f.icon(x, y+2, side, model.IconWarning, c, p.Surface)
		f.fit(x+side+theme.Unit, y, w-side-theme.Unit, in.Hint, hint)
	case in.State == model.Valid:
		f.icon(x, y+2, side, model.IconCheck, p.Role(model.Good).Fore, p.Surface)
	default:
		f.fit(x, y, w, in.Hint, hint)
	}
	return y + f.lineHeight(theme.Small) - top
}

// drawChoice draws buttons of which one is chosen.
func (s *Screen) drawChoice(c *model.Choice, x, y, w float32) float32 {
	g := &s.inner
	top := y
	y += g.para(x, y, w, c.Label, style{theme.Small, true, s.pal.Text}, 1)
	bx := x
	h := g.points(theme.Body)*1.36 + theme.Unit + 4
	for _, o := range c.Options {
		b := s.button(model.ActionView{Action: o.Action, Label: o.Label}, true, o.On)
		bw := max(b.MinSize().Width, 12*theme.Unit)
		if bx+bw > x+w && bx > x {
			bx = x
			y += h + theme.Unit
		}
		g.add(b, bx, y, bw, h)
		bx += bw + theme.Unit
	}
	return y + h - top
}

// drawLine draws a sentence with its icon.
func (s *Screen) drawLine(l *model.Line, x, y, w float32) float32 {
	g, c := &s.inner, s.pal.Role(l.Role)
	side := g.points(theme.Body)
	g.icon(x, y+(g.lineHeight(theme.Body)-side)/2, side, l.Icon, c.Fore, s.pal.Surface)
	st := style{theme.Body, l.Role == model.Bad || l.Role == model.Caution, s.pal.Text}
	tx := x + side + theme.Unit
	h := g.para(tx, y, w-side-theme.Unit, l.Text, st, 0)
	h += g.para(tx, y+h, w-side-theme.Unit, l.Detail, style{theme.Small, false, s.pal.Text}, 0)
	return h
}

// columns are the shares of the cells of a row, by how many there are.
var columns = map[int][]float32{
	3: {0.3, 0.4, 0.3},
	5: {0.17, 0.33, 0.1, 0.2, 0.2},
}

// drawRow draws a line of a list, with its button at the right.
// button is the room for buttons at the right, which all rows of a list leave.
func (s *Screen) drawRow(r *model.Row, x, y, w, button float32) float32 {
	g, p := &s.inner, s.pal
	const u = theme.Unit
	c := p.Role(r.Role)
	h := g.lineHeight(theme.Body) + 2*u
	room := w
	if button > 0 {
		room -= button + 2*u
	}
	if r.Action != nil {
		b := s.button(*r.Action, false, false)
		bh := g.points(theme.Body)*1.36 + u
		g.add(b, x+w-button, y+(h-bh)/2, button, bh)
	}
	shares := columns[len(r.Cells)]
	cx := x
	for i, cell := range r.Cells {
		cw := room / float32(len(r.Cells))
		if shares != nil {
			cw = room * shares[i]
		}
		st := style{theme.Body, i == len(r.Cells)/4, p.Text} // the name
		tx := cx
		if i == len(r.Cells)-1 && r.Icon != model.IconNone {
			side := g.points(theme.Body)
			g.icon(tx, y+u+(g.lineHeight(theme.Body)-side)/2, side, r.Icon, c.Fore, p.Surface)
			tx += side + u
			st = style{theme.Body, false, c.Fore}
		}
		g.fit(tx, y+u, cx+cw-tx-u, cell, st)
		cx += cw
	}
	if r.Note != "" {
		note := style{theme.Small, false, p.Text}
		h += g.para(x+room*0.17, y+h-u, room*0.8, r.Note, note, 2)
	}
	g.rect(x, y+h, w, 1, p.Line, nil, 0, 0)
	return h + 1
}

// rowButton is the width of the widest button in the list.
func (s *Screen) rowButton() float32 {
	w := float32(0)
	for _, b := range s.view.Body {
		if b.Row != nil && b.Row.Action != nil {
			w = max(w, s.button(*b.Row.Action, false, false).MinSize().Width)
		}
	}
	return w
}
