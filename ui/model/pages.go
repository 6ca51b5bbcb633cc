package model

import (
	"fmt"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/ui/i18n"
)

// mismatchReasons is how many reasons there are to choose from.
const mismatchReasons = 3

func mismatchName(i int) string { return fmt.Sprintf("mismatch.%d", i) }

// otherPage is the ways without the scan of a chip card's code.
func (m *Model) otherPage(now time.Time) []Block {
	l := m.lang()
	way := Choice{Label: l.T("other.way")}
	for i, name := range []string{"other.lines", "other.typed", "other.child"} {
		way.Options = append(way.Options, Option{ActWay.With(i), l.T(name), m.way == Way(i)})
	}
	out := []Block{{Choice: &way}}
	if m.way == WayLines {
		in := m.input(FieldLines, "field.lines", CheckLines(m.fields[FieldLines]))
		in.Lines, in.First, in.Placeholder = 3, true, "IDVNM…<<"
		return append(out, Block{Text: l.T("other.lines.note")}, Block{Input: in}, Block{Text: l.T("other.scan.note")})
	}
	note := "other.typed.note"
	switch {
	case m.code != "":
		note = "other.code.note"
	case m.way == WayChild:
		note = "other.child.note"
	}
	name := m.input(FieldName, "field.name", CheckName(m.fields[FieldName]))
	name.First = true
	birth := m.input(FieldBirth, "field.birth", CheckDate(m.fields[FieldBirth], now.Year()-130, now.Year(), true))
	birth.Placeholder = l.T("placeholder.date")
	num := m.input(FieldNumber, "field.number", CheckNumber(m.fields[FieldNumber]))
	num.Placeholder = "000 000 000 000"
	hi := m.input(FieldHI, "field.hi", CheckHI(m.fields[FieldHI]))
	sex := Choice{Label: l.T("field.sex")}
	for _, s := range []string{"male", "female"} {
		sex.Options = append(sex.Options, Option{ActSex.With(s), l.Sex(s), m.sex == s})
	}
	out = append(out, Block{Text: l.T(note)}, Block{Input: name}, Block{Input: birth}, Block{Choice: &sex})
	if m.way == WayChild {
		g := m.input(FieldGuardian, "field.guardian", Typed{State: Empty})
		return append(out, Block{Input: g}, Block{Input: num}, Block{Input: hi})
	}
	return append(out, Block{Input: num}, Block{Input: hi})
}

// todayPage is the list of today with a search. Names are whole here: it was asked for,
// and the audit trail has it.
func (m *Model) todayPage(now time.Time) []Block {
	l := m.lang()
	in := m.input(FieldSearch, "field.search", Typed{})
	in.First, in.Placeholder = true, l.T("placeholder.search")
	out := []Block{{Input: in}}
	if m.today == nil {
		return append(out, Block{Text: l.T("loading")})
	}
	if len(m.today.Entries) == 0 {
		return append(out, Block{Text: l.T("today.none")})
	}
	for _, e := range m.today.Entries {
		out = append(out, Block{Row: m.row(e, now)})
	}
	if m.today.Next != "" {
		out = append(out, Block{Text: l.T("today.more")})
	}
	return out
}

// row is a visit in a list.
func (m *Model) row(e wire.HistoryEntry, now time.Time) *Row {
	l := m.lang()
	s := m.deliverySign(e.Delivery)
	tail := ""
	if e.Number != "" {
		tail = "… " + e.Number
	}
	means := l.T("means." + e.Means)
	if e.Verified {
		means = l.T("means.verified")
	}
	return &Row{Cells: []string{i18n.Clock(e.At.In(now.Location())), e.Name, tail, means, s.Text}, Icon: s.Icon, Role: s.Role, Note: s.Detail}
}

// rejectedPage is what the insurer rejected, with its reason.
func (m *Model) rejectedPage(now time.Time) []Block {
	l := m.lang()
	out := []Block{{Text: l.T("rejected.note")}}
	if m.rejects == nil {
		return append(out, Block{Text: l.T("loading")})
	}
	if len(m.rejects) == 0 {
		return append(out, Block{Line: &Line{Icon: IconCheck, Role: Good, Text: l.T("rejected.none")}})
	}
	for _, e := range m.rejects {
		r := m.row(e, now)
		r.Cells[0] = i18n.Moment(e.At, now)
		r.Action = &ActionView{Action: ActRetry.With(e.Visit), Label: l.T("act.retry")}
		out = append(out, Block{Row: r})
	}
	return out
}

// mismatchPage asks why the photo is not the person's.
func (m *Model) mismatchPage() []Block {
	l := m.lang()
	c := Choice{Label: l.T("mismatch.why")}
	for i := 1; i <= mismatchReasons; i++ {
		c.Options = append(c.Options, Option{ActReason.With(i), l.T(mismatchName(i)), m.reason == i})
	}
	in := m.input(FieldReason, "field.reason", Typed{})
	return []Block{{Text: l.T("mismatch.note")}, {Choice: &c}, {Input: in}}
}

// doctorPage is what the doctor found, the worst first.
func (m *Model) doctorPage(now time.Time) []Block {
	l := m.lang()
	if m.busy {
		return []Block{{Line: &Line{Icon: IconWait, Role: Info, Text: l.T("doctor.looking")}}}
	}
	d := m.doctor
	if d == nil {
		return []Block{{Text: l.T("doctor.nothing")}}
	}
	var out []Block
	icon, role := levelSign(d.Level)
	out = append(out, Block{Line: &Line{Icon: icon, Role: role, Text: l.T("doctor." + known(d.Level)), Detail: l.T("doctor.at", i18n.Moment(d.At, now))}})
	for _, level := range []string{wire.LevelError, wire.LevelWarning, wire.LevelInfo, wire.LevelOK, wire.LevelSkipped} {
		for _, f := range d.Findings {
			if known(f.Level) != level {
				continue
			}
			line := Line{Text: l.Diagnosed(f.ID, f.Title) + ": " + f.What}
			line.Icon, line.Role = levelSign(level)
			if level != wire.LevelOK {
				line.Detail = f.Why
				if f.Remedy != "" {
					line.Detail = f.Remedy
				}
			}
			out = append(out, Block{Line: &line})
		}
	}
	return append(out, Block{Text: l.T("doctor.note")})
}

// known returns the level, or skipped for one that this program does not know.
func known(level string) string {
	switch level {
	case wire.LevelOK, wire.LevelInfo, wire.LevelWarning, wire.LevelError:
		return level
	}
	return wire.LevelSkipped
}

func levelSign(level string) (Icon, Role) {
	switch level {
	case wire.LevelOK:
		return IconCheck, Good
	case wire.LevelInfo:
		return IconInfo, Info
	case wire.LevelWarning:
		return IconWarning, Caution
	case wire.LevelError:
		return IconStop, Bad
	}
	return IconDot, Muted
}

// settingsPage is what can be chosen, and who may use this desk's readers.
func (m *Model) settingsPage(now time.Time) []Block {
	l, s := m.lang(), m.set
	lang := Choice{Label: l.T("settings.language")}
	for _, o := range i18n.Langs() {
		lang.Options = append(lang.Options, Option{ActLang.With(o), o.T("language.name"), s.Lang == o})
	}
	look := Choice{Label: l.T("settings.theme")}
	for _, o := range []string{"auto", "light", "dark"} {
		look.Options = append(look.Options, Option{ActTheme.With(o), l.T("theme." + o), s.Theme == o})
	}
	text := Choice{Label: l.T("settings.text")}
	for _, o := range []string{"normal", "large"} {
		text.Options = append(text.Options, Option{ActText.With(o), l.T("text." + o), s.Large == (o == "large")})
	}
	idle := Choice{Label: l.T("settings.idle")}
	for _, o := range idleChoices {
		idle.Options = append(idle.Options, Option{ActIdle.With(o), l.T("seconds", o), s.IdleSeconds == o})
	}
	out := []Block{{Choice: &lang}, {Choice: &look}, {Choice: &text}, {Choice: &idle}, {Heading: l.T("settings.clients")}}
	if len(m.clients) == 0 {
		return append(out, Block{Text: l.T("settings.noclients")})
	}
	for _, c := range m.clients {
		used := l.T("client.never")
		if c.Used != nil {
			used = l.T("client.used", i18n.Moment(*c.Used, now))
		}
		r := &Row{Cells: []string{c.Name, c.Origin, used}}
		if c.AddedBy != "config" {
			r.Action = &ActionView{Action: ActRevoke.With(c.ID), Label: l.T("act.revoke"), Danger: true}
		}
		out = append(out, Block{Row: r})
	}
	return out
}

func (m *Model) aboutPage() []Block {
	l := m.lang()
	out := []Block{{Text: l.T("about.what")}, {Heading: l.T("about.version")}, {Text: m.version}}
	if s := m.status; s != nil {
		out = append(out, Block{Text: l.T("about.agent", s.Version)})
		if s.Agent != "" {
			out = append(out, Block{Text: l.T("about.key", s.Agent)})
		}
		if t := s.Trust; t != nil {
			text := l.T("about.trust", l.Count(t.Certificates), l.Count(t.States))
			if t.AgeDays != nil {
				text += " · " + l.T("ago.days", *t.AgeDays)
			}
			out = append(out, Block{Text: text})
		}
		for _, b := range s.Bundles {
			if b.Kind == "population" {
				out = append(out, Block{Text: l.T("about.population", l.Count(b.Entries), i18n.Day(b.AsOf))})
			}
		}
	}
	return append(out, Block{Heading: l.T("about.privacy.title")}, Block{Text: l.T("about.privacy")}, Block{Text: l.T("about.licence")})
}

func (m *Model) signInPage() []Block {
	l := m.lang()
	name := m.input(FieldOperator, "field.operator", Typed{})
	name.First = true
	pin := m.input(FieldPIN, "field.pin", Typed{})
	pin.Secret = true
	return []Block{{Text: l.T("signin.note")}, {Input: name}, {Input: pin}}
}
