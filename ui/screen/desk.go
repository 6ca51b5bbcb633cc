package screen

import (
	"fmt"
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"github.com/chamthe/chamthe/ui/model"
	"github.com/chamthe/chamthe/ui/theme"
)

// drawDesk draws who it is on the left, and the three other answers on the right.
func (s *Screen) drawDesk(d *model.DeskView, y, w, h float32) {
	f := &s.frame
	const u = theme.Unit
	y, h = y+u, h-u
	leftW := float32(int((w-5*u)*0.54/u)) * u
	rightX := 2*u + leftW + u
	rightW := w - rightX - 2*u
	f.panel(2*u, y, leftW, h, s.pal.Surface, s.pal.Line)
	if d.Person != nil {
		s.drawPerson(d, 4*u, y+2*u, leftW-4*u, h-4*u)
	} else if d.Guide != nil {
		s.drawGuide(d, 4*u, y+2*u, leftW-4*u, h-4*u)
	}
	if d.Details && len(d.Checks) > 0 {
		s.drawDetails(d, rightX, y, rightW, h)
		return
	}
	// Fixed shares of the height, so that each answer has its place; one that needs
	// more takes it from the verdict.
	room := h - 2*u
	if need := s.panelHeight(&d.Verdict, d.Checks, rightW) + s.panelHeight(&d.Insured, nil, rightW) + s.panelHeight(&d.Recorded, nil, rightW); need > room && f.large {
		// Large text is a wish; that everything is there is not.
		f.large = false
		defer func() { f.large = true }()
	}
	recorded := float32(int(room*0.19/u)) * u
	insured := float32(int(room*0.31/u)) * u
	recorded = max(recorded, s.panelHeight(&d.Recorded, nil, rightW))
	insured = max(insured, min(s.panelHeight(&d.Insured, nil, rightW), room-recorded-s.panelHeight(&d.Verdict, d.Checks, rightW)))
	genuine := room - recorded - insured
	s.drawPanel(&d.Verdict, d.Checks, rightX, y, rightW, genuine)
	s.drawPanel(&d.Insured, nil, rightX, y+genuine+u, rightW, insured)
	s.drawPanel(&d.Recorded, nil, rightX, y+genuine+insured+2*u, rightW, recorded)
}

// wordStyle is the largest size in which the word of a panel fits.
func (s *Screen) wordStyle(p *model.Panel, w float32) style {
	c := s.pal.Role(p.Role)
	st := style{theme.Heading, true, c.Fore}
	switch {
	case p.Role == model.Muted:
		st = style{theme.Body, false, c.Fore}
	case strings.ToUpper(p.Word) == p.Word: // the verdict is written in capitals
		st.size = theme.Display
	}
	for st.size > theme.Body && s.frame.width(p.Word, st) > w {
		st.size--
	}
	return st
}

const panelPad = 12

func (s *Screen) panelInner(w float32) (text, iconSide float32) {
	side := s.frame.points(theme.Display)
	return w - 2*panelPad - side - panelPad, side
}

// panelHeight is what a panel needs.
func (s *Screen) panelHeight(p *model.Panel, checks []model.Line, w float32) float32 {
	f := &s.frame
	tw, _ := s.panelInner(w)
	st := s.wordStyle(p, tw)
	h := float32(2*panelPad) + float32(len(f.wrap(p.Word, tw, st, 2)))*f.lineHeight(st.size)
	small := style{theme.Small, false, s.pal.Text}
	for _, l := range p.Lines {
		h += float32(len(f.wrap(l, tw, small, 3))) * f.lineHeight(theme.Small)
	}
	if p.Remedy != "" {
		h += float32(len(f.wrap(p.Remedy, tw, style{theme.Small, true, s.pal.Text}, 4))) * f.lineHeight(theme.Small)
	}
	if len(checks) > 0 {
		h += theme.Unit / 2
		for _, c := range checks {
			h += float32(len(f.wrap(checkText(c), tw, s.checkStyle(c), 2))) * f.lineHeight(theme.Small)
		}
	}
	return h
}

// checkStyle sets off what did not pass.
func (s *Screen) checkStyle(c model.Line) style {
	return style{theme.Small, c.Role == model.Bad || c.Role == model.Caution, s.pal.Text}
}

func checkText(c model.Line) string {
	if c.Detail != "" {
		return c.Text + ": " + c.Detail
	}
	return c.Text
}

// drawPanel draws an answer: its icon, its word, and what belongs to it.
func (s *Screen) drawPanel(p *model.Panel, checks []model.Line, x, y, w, h float32) {
	f := &s.frame
	c := s.pal.Role(p.Role)
	fill := c.Tint
	line := s.pal.Line
	if p.Role != model.Muted && p.Role != model.Plain {
		line = c.Fore
	}
	f.panel(x, y, w, h, fill, line)
	if p.Role != model.Muted && p.Role != model.Plain {
		f.rect(x, y, theme.Unit, h, c.Fore, nil, 0, 0)
	}
	tw, side := s.panelInner(w)
	st := s.wordStyle(p, tw)
	ix, tx, ty := x+panelPad+4, x+2*panelPad+side, y+panelPad
	iconSide := side
	if p.Role == model.Muted {
		iconSide = f.points(theme.Heading)
	}
	f.icon(ix+(side-iconSide)/2, ty+max(0, (f.lineHeight(st.size)-iconSide)/2), iconSide, p.Icon, c.Fore, fill)
	bottom := y + h - panelPad/2
	text := func(t string, st style, limit int) {
		if t == "" {
			return
		}
		for _, l := range f.wrap(t, tw, st, limit) {
			if ty+f.lineHeight(st.size) > bottom+2 {
				return
			}
			f.line(tx, ty, l, st)
			ty += f.lineHeight(st.size)
		}
	}
	text(p.Word, st, 2)
	small := style{theme.Small, false, s.pal.Text}
	for _, l := range p.Lines {
		text(l, small, 3)
	}
	text(p.Remedy, style{theme.Small, true, s.pal.Text}, 4)
	if len(checks) == 0 {
		return
	}
	ty += theme.Unit / 2
	mark := f.points(theme.Small)
	if s.panelHeight(p, checks, w) > h+panelPad/2 {
		// No room for all: what passed can be left out, what did not cannot.
		checks = slices.DeleteFunc(slices.Clone(checks), func(l model.Line) bool { return l.Role == model.Good })
	}
	for _, l := range checks {
		st := s.checkStyle(l)
		lines := f.wrap(checkText(l), tw, st, 2)
		if ty+float32(len(lines))*f.lineHeight(theme.Small) > bottom+2 {
			return
		}
		lc := s.pal.Role(l.Role)
		f.icon(ix+(side-mark)/2, ty+(f.lineHeight(theme.Small)-mark)/2-1, mark, l.Icon, lc.Fore, fill)
		for _, t := range lines {
			f.line(tx, ty, t, st)
			ty += f.lineHeight(theme.Small)
		}
	}
}

// drawDetails draws every check in a list that scrolls.
func (s *Screen) drawDetails(d *model.DeskView, x, y, w, h float32) {
	f := &s.frame
	f.panel(x, y, w, h, s.pal.Surface, s.pal.Line)
	vh := s.panelHeight(&model.Panel{Role: d.Verdict.Role, Word: d.Verdict.Word}, nil, w)
	s.drawPanel(&model.Panel{Icon: d.Verdict.Icon, Role: d.Verdict.Role, Word: d.Verdict.Word}, nil, x, y, w, vh)
	s.beginSheet("details")
	g := &s.inner
	ty := float32(0)
	mark := g.points(theme.Small)
	for _, l := range d.Checks {
		c := s.pal.Role(l.Role)
		g.icon(panelPad, ty+(g.lineHeight(theme.Small)-mark)/2-1, mark, l.Icon, c.Fore, s.pal.Surface)
		ty += g.para(panelPad+mark+theme.Unit, ty, w-3*panelPad-mark-theme.Unit, checkText(l), style{theme.Small, false, s.pal.Text}, 2)
		ty += theme.Unit / 2
	}
	s.endSheet(x, y+vh+theme.Unit, w, h-vh-2*theme.Unit, ty)
}

// photoBox is the place of the photo: reserved before there is one.
func (s *Screen) photoBox(w, h float32) fyne.Size {
	pw := min(w*0.38, 320)
	ph := pw * 4 / 3
	if ph > h*0.72 {
		ph = h * 0.72
		pw = ph * 3 / 4
	}
	return fyne.NewSize(float32(int(pw)), float32(int(ph)))
}

// drawPerson draws who it is.
func (s *Screen) drawPerson(d *model.DeskView, x, y, w, h float32) {
	f, p, v := &s.frame, s.pal, d.Person
	const u = theme.Unit
	box := s.photoBox(w, h)
	f.panel(x, y, box.Width, box.Height, p.Role(model.Muted).Tint, p.Line)
	if v.Photo != nil {
		img, fresh := f.photo(x+1, y+1, box.Width-2, box.Height-2, v.Photo)
		if fresh {
			fadeIn(img)
		}
	} else {
		side := box.Width / 2
		f.icon(x+(box.Width-side)/2, y+box.Height*0.24, side, model.IconPerson, p.Line, p.Line)
		st := style{theme.Small, false, p.Muted}
		ty := y + box.Height - 2*f.lineHeight(theme.Small) - u
		for _, l := range f.wrap(v.PhotoNote, box.Width-2*u, st, 2) {
			f.line(x+(box.Width-f.width(l, st))/2, ty, l, st)
			ty += f.lineHeight(theme.Small)
		}
	}
	tx, tw := x+box.Width+3*u, w-box.Width-3*u
	ty := y
	name := style{theme.Display, true, p.Text}
	for name.size > theme.Body && !s.holds(v.Name, tw, name, 3) {
		name.size--
	}
	ty += f.para(tx, ty, tw, v.Name, name, 0) + u/2
	line := style{theme.Heading, false, p.Text}
	if f.width(v.Line, line) > tw {
		line.size = theme.Body
	}
	ty += f.para(tx, ty, tw, v.Line, line, 2)
	ty += f.para(tx, ty, tw, v.Number, style{theme.Heading, true, p.Text}, 1) + u/2
	ty += f.para(tx, ty, tw, v.Address, style{theme.Body, false, p.Text}, 3)
	ty += f.para(tx, ty, tw, v.Document, style{theme.Small, false, p.Muted}, 2)

	// Below the photo: whose word this is, then what goes on.
	by := max(y+box.Height, ty) + u
	c := p.Role(v.Role)
	side := f.points(theme.Body)
	f.icon(x, by+(f.lineHeight(theme.Small)-side)/2, side, roleIcon(v.Role), c.Fore, p.Surface)
	f.fit(x+side+u, by, w-side-u, v.Caption, style{theme.Small, true, c.Fore})
	by += f.lineHeight(theme.Small) + u
	if n := s.view.Notice; n != nil {
		s.drawNotice(n, x, y+h, w)
		return
	}
	for _, st := range d.Steps {
		if st.Now {
			s.drawProgress(st, x, y+h-f.lineHeight(theme.Small)-u, w)
		}
	}
}

// holds reports whether text fits in so many lines without a word being cut.
func (s *Screen) holds(text string, w float32, st style, lines int) bool {
	for _, word := range strings.Fields(text) {
		if s.frame.width(word, st) > w {
			return false
		}
	}
	return len(s.frame.wrap(text, w, st, 0)) <= lines
}

func roleIcon(r model.Role) model.Icon {
	switch r {
	case model.Good:
		return model.IconCheck
	case model.Bad:
		return model.IconStop
	case model.Caution:
		return model.IconWarning
	}
	return model.IconInfo
}

// fadeTime is how long a photo takes to come.
const fadeTime = canvas.DurationShort

// fadeIn lets the photo come without a start.
func fadeIn(img *canvas.Image) {
	img.Translucency = 1
	fyne.NewAnimation(fadeTime, func(done float32) {
		img.Translucency = float64(1 - done)
		img.Refresh()
	}).Start()
}

// drawProgress draws the step that runs, with how far its file is.
func (s *Screen) drawProgress(st model.StepView, x, y, w float32) {
	f, p := &s.frame, s.pal
	f.fit(x, y, w, st.Text, style{theme.Small, false, p.Muted})
	by := y + f.lineHeight(theme.Small)
	f.rect(x, by, w, 4, p.Line, nil, 0, 2)
	part := st.Part
	if part <= 0 {
		part = 0.04
	}
	f.rect(x, by, w*float32(part), 4, p.Primary, nil, 0, 2)
}

// drawGuide draws what to do now.
func (s *Screen) drawGuide(d *model.DeskView, x, y, w, h float32) {
	f, p, g := &s.frame, s.pal, d.Guide
	const u = theme.Unit
	head := style{theme.Display, true, p.Text}
	if len(f.wrap(g.Headline, w, head, 0)) > 2 || h < 440 {
		head.size = theme.Heading
	}
	ty := y
	if g.Headline != "" {
		ty += f.para(x, y, w, g.Headline, head, 3) + u
	}
	body := style{theme.Body, false, p.Text}
	step := style{theme.Display, true, p.Text}
	for _, st := range g.Steps {
		if f.width(st, step) > w-8*u {
			step.size = theme.Heading
		}
	}
	for i, st := range g.Steps {
		side := f.lineHeight(step.size) - u/2
		f.rect(x, ty, side, side, p.Primary, nil, 0, side/2)
		n := fmt.Sprint(i + 1)
		ns := style{theme.Heading, true, p.OnPrimary}
		f.line(x+(side-f.width(n, ns))/2, ty+(side-f.lineHeight(ns.size))/2, n, ns)
		ty += f.para(x+side+2*u, ty-2, w-side-2*u, st, step, 2) + u
	}
	if g.Note != "" {
		ty += f.para(x, ty, w, g.Note, body, 4) + u
	}
	if d.Expiry != nil {
		ty += s.drawInput(f, d.Expiry, x, ty, min(w, 420)) + u
	}
	bottom := y + h
	if n := s.view.Notice; n != nil {
		bottom -= s.drawNotice(n, x, bottom, w) + u
	}
	if len(d.Steps) > 0 {
		s.drawSteps(d.Steps, x, ty, w)
		return
	}
	// The drawing takes what is left.
	room := bottom - ty - u
	dh := min(room, 320)
	dw := dh * 1.5
	if dw > w {
		dw, dh = w, w/1.5
	}
	if dh >= 80 {
		f.picture(x+(w-dw)/2, ty+(room-dh)/2, dw, dh, drawing(g.Drawing, p))
	}
}

// drawSteps draws the steps of reading with their times.
func (s *Screen) drawSteps(steps []model.StepView, x, y, w float32) {
	f, p := &s.frame, s.pal
	lh := f.lineHeight(theme.Body) + theme.Unit/2
	side := f.points(theme.Body)
	for _, st := range steps {
		i, c, text := model.IconDot, p.Role(model.Muted).Fore, style{theme.Body, false, p.Muted}
		switch {
		case st.Done:
			i, c, text = model.IconCheck, p.Role(model.Good).Fore, style{theme.Body, false, p.Text}
		case st.Now:
			i, c, text = model.IconWait, p.Role(model.Info).Fore, style{theme.Body, true, p.Text}
		}
		f.icon(x, y+(f.lineHeight(theme.Body)-side)/2, side, i, c, p.Surface)
		f.fit(x+side+theme.Unit, y, w-side-10*theme.Unit, st.Text, text)
		if st.Done && st.Millis > 0 {
			ms := fmt.Sprintf("%.0f ms", st.Millis)
			ts := style{theme.Small, false, p.Muted}
			f.line(x+w-f.width(ms, ts), y+2, ms, ts)
		}
		if st.Now && st.Part > 0 {
			f.rect(x+w-9*theme.Unit, y+f.lineHeight(theme.Body)/2-2, 9*theme.Unit, 4, p.Line, nil, 0, 2)
			f.rect(x+w-9*theme.Unit, y+f.lineHeight(theme.Body)/2-2, 9*theme.Unit*float32(st.Part), 4, p.Primary, nil, 0, 2)
		}
		y += lh
	}
}

// drawNotice draws a sentence in a box that ends at bottom, and returns its height.
func (s *Screen) drawNotice(n *model.Saying, x, bottom, w float32) float32 {
	f, p := &s.frame, s.pal
	const u = theme.Unit
	c := p.Role(n.Role)
	side := f.points(theme.Heading)
	tw := w - side - 5*u
	head, body := style{theme.Body, true, c.Fore}, style{theme.Small, false, p.Text}
	lines, remedy := f.wrap(n.Text, tw, head, 3), []string(nil)
	if n.Remedy != "" {
		remedy = f.wrap(n.Remedy, tw, body, 3)
	}
	h := 2*u + float32(len(lines))*f.lineHeight(theme.Body) + float32(len(remedy))*f.lineHeight(theme.Small)
	y := bottom - h
	f.panel(x, y, w, h, c.Tint, c.Fore)
	f.icon(x+u+u/2, y+u, side, n.Icon, c.Fore, c.Tint)
	ty := y + u
	for _, l := range lines {
		f.line(x+3*u+side, ty, l, head)
		ty += f.lineHeight(theme.Body)
	}
	for _, l := range remedy {
		f.line(x+3*u+side, ty, l, body)
		ty += f.lineHeight(theme.Small)
	}
	return h
}
