package model

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/ui/i18n"
)

// deskView is the desk: the guide or the person on the left, the answers on the right.
func (m *Model) deskView(now time.Time) *DeskView {
	d := &DeskView{Details: m.details}
	ci := m.checkin
	if ci == nil {
		d.Guide = m.readyGuide(now)
		d.Verdict, d.Insured, d.Recorded = m.emptyPanels()
		return d
	}
	if m.veiled {
		d.Veil = m.lang().T("veil")
		d.Guide = &Guide{Headline: m.lang().T("veil"), Note: m.lang().T("veil.note"), Drawing: DrawKeep}
		d.Verdict, d.Insured, d.Recorded = m.emptyPanels()
		return d
	}
	d.Verdict = m.verdict(now)
	d.Insured = m.insured(now)
	d.Recorded = m.recorded(now)
	if ci.Person != nil {
		d.Person = m.person(now)
	} else {
		d.Guide = m.guide()
	}
	if ci.Progress != nil && !wire.Ended(ci.State) && ci.State != wire.StateConfirm && ci.State != wire.StateKey && ci.State != wire.StateCard {
		d.Steps = m.stepViews()
	}
	if ci.Report != nil {
		if d.Checks = m.checkLines(ci.Report); m.details {
			d.Checks = m.allChecks(ci.Report)
		}
	}
	if m.wantsExpiry() {
		t := CheckDate(m.fields[FieldExpiry], now.Year()-30, now.Year()+60, false)
		d.Expiry = m.input(FieldExpiry, "field.expiry", t)
		d.Expiry.First = true
		d.Expiry.Placeholder = m.lang().T("placeholder.date")
	}
	return d
}

func (m *Model) emptyPanels() (verdict, insured, recorded Panel) {
	l := m.lang()
	return Panel{Icon: IconShield, Role: Muted, Word: l.T("panel.genuine")},
		Panel{Icon: IconHeart, Role: Muted, Word: l.T("panel.insured")},
		Panel{Icon: IconNote, Role: Muted, Word: l.T("panel.recorded")}
}

// readyGuide is what to do when nobody is there.
func (m *Model) readyGuide(now time.Time) *Guide {
	l := m.lang()
	if m.starting(now) {
		return &Guide{Headline: l.T("agent.connecting"), Drawing: DrawPlace}
	}
	if m.status == nil || !m.agent.up {
		return &Guide{Headline: l.T("agent.lost.headline"), Note: l.T("agent.lost.remedy"), Drawing: DrawNoReader}
	}
	r := m.reader()
	switch {
	case r == nil:
		return &Guide{Headline: l.T("reader.none.headline"), Note: l.T("reader.none.note"), Drawing: DrawNoReader}
	case r.Card:
		return &Guide{Steps: []string{l.T("ready.step1")}, Note: l.T("ready.there"), Drawing: DrawScan}
	}
	return &Guide{Steps: []string{l.T("ready.step1"), l.T("ready.step2")}, Note: l.T("ready"), Drawing: DrawPlace}
}

// guide is what to do while a check-in knows nobody yet.
func (m *Model) guide() *Guide {
	l, ci := m.lang(), m.checkin
	switch ci.State {
	case wire.StateKey:
		if m.wantsExpiry() {
			return &Guide{Headline: l.T("key.expiry"), Note: l.T("key.expiry.note"), Drawing: DrawScan}
		}
		return &Guide{Headline: l.T("key"), Drawing: DrawScan}
	case wire.StateCard:
		if ci.Fault != nil {
			cause, remedy := m.faultWords(ci.Fault)
			return &Guide{Headline: remedy, Note: cause, Drawing: DrawPlace}
		}
		return &Guide{Headline: l.T("card"), Drawing: DrawPlace}
	case wire.StateReading, wire.StateText:
		return &Guide{Headline: l.T("reading"), Drawing: DrawKeep}
	}
	return &Guide{Headline: l.T("nobody"), Drawing: DrawScan}
}

// order is that of the steps of a reading, as the desk lists them.
var order = []string{"access", "ef_sod", "active_authentication", "dg1", "dg13", "passive_authentication", "dg2", "entitlement"}

// stepViews are the steps of reading with their times. Steps that this card does not
// have are left out once a later one has begun.
func (m *Model) stepViews() []StepView {
	ci := m.checkin
	p := ci.Progress
	now := -1
	for i, s := range order {
		if s == p.Step {
			now = i
		}
	}
	if p.Step == "chip_authentication" {
		now = 2
	}
	var out []StepView
	for i, s := range order {
		ms, timed := ci.TimingsMS[s]
		if i < now && !timed && ci.TimingsMS != nil && len(ci.TimingsMS) > 0 {
			continue
		}
		v := StepView{Text: m.lang().Step(s), Done: i < now || timed && i != now, Now: i == now, Millis: ms}
		if v.Now && p.Size > 0 {
			v.Part = min(1, float64(p.Bytes)/float64(p.Size))
		}
		out = append(out, v)
	}
	return out
}

// person is who it is.
func (m *Model) person(now time.Time) *PersonView {
	l, ci := m.lang(), m.checkin
	p := ci.Person
	v := &PersonView{Name: plain(p.Name), Number: i18n.Number(number(p)), Address: plain(p.Residence), Photo: m.photo, CanCopy: number(p) != ""}
	if v.Name == "" {
		v.Name = plain(p.NameMRZ)
	}
	parts := []string{i18n.Date(p.BirthDate)}
	if s := l.Sex(p.Sex); p.Sex == "male" || p.Sex == "female" {
		parts = append(parts, s)
	}
	if a, ok := age(p.BirthDate, now); ok {
		parts = append(parts, l.T("age", a))
	}
	v.Line = strings.Join(parts, " · ")
	var doc []string
	if p.Nationality != "" && p.Nationality != "VNM" {
		doc = append(doc, l.T("nationality", p.Nationality))
	}
	if p.Expiry != "" {
		doc = append(doc, l.T("expires", i18n.Date(p.Expiry)))
	} else if ci.Means == wire.MeansChip {
		doc = append(doc, l.T("expires.never"))
	}
	v.Document = strings.Join(doc, " · ")
	switch {
	case ci.Means != wire.MeansChip:
		v.Caption, v.Role = l.T("caption.declared"), Caution
	case ci.State == wire.StateRefused || ci.State == wire.StateFailed:
		v.Caption, v.Role = l.T("caption.notverified"), Caution
	case p.Verified:
		v.Caption, v.Role = l.T("caption.verified"), Good
	case p.SignedByIssuer:
		v.Caption, v.Role = l.T("caption.checking"), Info
	default:
		v.Caption, v.Role = l.T("caption.notverified"), Caution
	}
	v.PhotoNote = m.photoNote()
	return v
}

// plain returns s without what changes how the rest of a line is read: controls, and
// the marks that turn the direction of writing.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s)
}

// photoNote says why there is no photo.
func (m *Model) photoNote() string {
	l, ci := m.lang(), m.checkin
	switch {
	case ci.Means != wire.MeansChip:
		return l.T("photo.none")
	case ci.Photo == nil && (ci.State == wire.StateText || ci.State == wire.StateReading):
		return l.T("photo.coming")
	case ci.Photo == nil:
		return l.T("photo.not_read")
	case ci.Photo.Available && m.noPhoto:
		return l.T("photo.not_decodable")
	case ci.Photo.Available:
		return l.T("photo.coming")
	}
	switch ci.Photo.Reason {
	case "not_asked", "absent", "not_signed", "not_decodable", "not_read":
		return l.T("photo." + ci.Photo.Reason)
	}
	return l.T("photo.not_read")
}

// number is the person's, or the document's where there is none.
func number(p *wire.Person) string {
	if p.Number != "" {
		return p.Number
	}
	return p.DocumentNumber
}

// age is the age in years on the day of now.
func age(birth string, now time.Time) (int, bool) {
	b, err := time.Parse(time.DateOnly, birth)
	if err != nil {
		b, err = time.Parse("2006", birth)
		if err != nil {
			return 0, false
		}
		return now.Year() - b.Year(), now.Year() >= b.Year()
	}
	a := now.Year() - b.Year()
	if now.Month() < b.Month() || now.Month() == b.Month() && now.Day() < b.Day() {
		a--
	}
	return a, a >= 0 && a < 140
}

// badFaults are those that accuse the card: red. Everything else that policy refuses
// is amber: it cannot be accepted, and nobody has done anything wrong.
var badFaults = map[string]bool{
	"dg1_altered": true, "dg13_altered": true, "security_object_invalid": true, "chip_copied": true, "photo_altered": true,
	"issuer_invalid": true, "other_document": true, "card_security_invalid": true, "offer_altered": true, "signer_revoked": true,
	"data_mismatch": true, "photo_withheld": true,
}

// verdict is the one word on the card.
func (m *Model) verdict(now time.Time) Panel {
	l, ci := m.lang(), m.checkin
	if ci.Means != "" && ci.Means != wire.MeansChip && ci.State != wire.StateFailed && ci.State != wire.StateRefused {
		p := Panel{Icon: IconWarning, Role: Caution, Word: l.T("verdict.nochip"), Lines: []string{l.T("verdict.nochip.why")}}
		for _, w := range ci.Warnings {
			switch w {
			case "child_age", "no_number", "no_guardian":
				p.Lines = append(p.Lines, l.T("warning."+w))
			}
		}
		if ci.Guardian != "" {
			p.Lines = append(p.Lines, l.T("guardian", ci.Guardian))
		}
		return p
	}
	switch ci.State {
	case wire.StateKey, wire.StateCard:
		p := Panel{Icon: IconWait, Role: Muted, Word: l.T("verdict.waiting")}
		if ci.Fault != nil {
			p.Icon, p.Role = IconWarning, Caution
			cause, remedy := m.faultWords(ci.Fault)
			p.Word, p.Remedy = strings.TrimSuffix(cause, "."), remedy
		}
		return p
	case wire.StateReading:
		return Panel{Icon: IconWait, Role: Info, Word: l.T("verdict.reading")}
	case wire.StateText:
		return Panel{Icon: IconWait, Role: Info, Word: l.T("verdict.text")}
	case wire.StateRefused, wire.StateFailed:
		return m.refusal(now)
	}
	if ci.Person == nil || !ci.Person.Verified || ci.Report == nil || ci.Report.Decision == "refuse" ||
		slices.ContainsFunc(ci.Report.Checks, func(c wire.Check) bool { return c.Result == "failed" }) {
		return Panel{Icon: IconWarning, Role: Caution, Word: l.T("verdict.unverified")}
	}
	if ci.Report.Decision != "accept" {
		p := Panel{Icon: IconWarning, Role: Caution, Word: l.T("verdict.warn")}
		p.Lines = m.warnings(ci.Report.Reasons)
		return p
	}
	return Panel{Icon: IconShield, Role: Good, Word: l.T("verdict.genuine")}
}

// refusal says why it does not go on.
func (m *Model) refusal(now time.Time) Panel {
	l, ci := m.lang(), m.checkin
	if ci.Fault == nil {
		return Panel{Icon: IconWarning, Role: Caution, Word: l.T("verdict.unverified")}
	}
	cause, remedy := m.faultWords(ci.Fault)
	p := Panel{Icon: IconWarning, Role: Caution, Word: l.T("verdict.cannot"), Lines: []string{cause}, Remedy: remedy}
	switch {
	case badFaults[ci.Fault.Code]:
		p.Icon, p.Role, p.Word = IconStop, Bad, l.T("verdict.refuse")
		if ci.Fault.Code == "chip_copied" {
			p.Word = l.T("verdict.cloned")
		} else if ci.Fault.Code == "other_document" {
			p.Word = l.T("verdict.otherperson")
		}
	case ci.Fault.Code == "document_expired":
		p.Word = l.T("verdict.expired")
		if ci.Person != nil && ci.Person.Expiry != "" {
			p.Lines = []string{l.T("expired.on", i18n.Date(ci.Person.Expiry))}
		}
	case ci.Fault.Code == "issuer_unknown":
		p.Word = l.T("verdict.issuer")
	case ci.Fault.Kind == "unsure" || ci.Fault.Kind == "refuse":
	default:
		p.Word = l.T("verdict.notread")
	}
	return p
}

// warnings says the reasons of a policy that accepts with a warning: "warn: revocation
// undetermined (revocation_list_outdated)" or "warn: weak group_hash: SHA-1".
func (m *Model) warnings(reasons []string) []string {
	l := m.lang()
	var out []string
	for _, r := range reasons {
		_, r, _ = strings.Cut(r, ": ")
		if weak, ok := strings.CutPrefix(r, "weak "); ok {
			out = append(out, l.T("warn.weak", weak))
			continue
		}
		id, rest, _ := strings.Cut(r, " ")
		result, reason, _ := strings.Cut(rest, " (")
		line := l.Check(id) + ": " + l.Result(result)
		if why, remedy, ok := l.Reason(strings.TrimSuffix(reason, ")")); ok {
			line = l.Check(id) + ": " + why
			if remedy != "" {
				line += ". " + remedy
			}
		}
		out = append(out, capital(line))
	}
	return out
}

// A group is what stands in one line for several checks.
type group struct {
	name string // in package i18n
	// of is the check that decides; the reason is that of the first in why that has one.
	of  []string
	why []string
}

var groups = []group{
	{"group.signature", []string{"passive_authentication"}, []string{"sod_signature", "trust_chain", "signer_validity", "revocation", "issuing_state", "passive_authentication"}},
	{"group.chip", []string{"chip_authenticity"}, []string{"active_authentication", "chip_authentication", "pace_cam", "chip_authenticity"}},
	{"group.data", []string{"dg1_integrity", "dg13_integrity", "data_consistency", "key_binding"}, []string{"dg1_integrity", "dg13_integrity", "data_consistency", "key_binding"}},
	{"group.photo", []string{"dg2_integrity"}, []string{"dg2_integrity"}},
	{"group.valid", []string{"document_validity"}, []string{"document_validity"}},
}

// severity orders results, the worst last.
var severity = map[string]int{"successful": 1, "not_supported": 0, "not_performed": 2, "aborted": 3, "undetermined": 4, "failed": 5}

// checkLines are the checks in a handful of lines.
func (m *Model) checkLines(r *wire.Report) []Line {
	l := m.lang()
	by := make(map[string]wire.Check, len(r.Checks))
	for _, c := range r.Checks {
		by[c.ID] = c
	}
	var out []Line
	for _, g := range groups {
		worst := "not_supported"
		for _, id := range g.of {
			c, ok := by[id]
			if !ok || c.Result == "not_performed" && id != g.of[0] {
				continue
			}
			if severity[c.Result] > severity[worst] {
				worst = c.Result
			}
		}
		line := Line{Text: l.T(g.name)}
		line.Icon, line.Role = resultSign(worst)
		if worst != "successful" {
			line.Detail = m.why(worst, g.why, by)
		}
		out = append(out, line)
	}
	return out
}

// why is the reason of the first check with that result that has one.
func (m *Model) why(result string, ids []string, by map[string]wire.Check) string {
	l := m.lang()
	for _, id := range ids {
		if c := by[id]; c.Result == result && c.Reason != "" {
			if why, remedy, ok := l.Reason(c.Reason); ok {
				return strings.TrimSuffix(why+". "+remedy, ". ")
			}
			return c.Reason
		}
	}
	return l.Result(result)
}

// allChecks is every check of the report.
func (m *Model) allChecks(r *wire.Report) []Line {
	l := m.lang()
	var out []Line
	for _, c := range r.Checks {
		line := Line{Text: capital(l.Check(c.ID)), Detail: l.Result(c.Result)}
		line.Icon, line.Role = resultSign(c.Result)
		if c.Reason != "" {
			if why, _, ok := l.Reason(c.Reason); ok {
				line.Detail += ": " + why
			} else {
				line.Detail += ": " + c.Reason
			}
		}
		if c.Millis >= 1 {
			line.Detail += fmt.Sprintf(" · %.0f ms", c.Millis)
		}
		out = append(out, line)
	}
	return out
}

func resultSign(result string) (Icon, Role) {
	switch result {
	case "successful":
		return IconCheck, Good
	case "failed":
		return IconStop, Bad
	case "undetermined", "aborted":
		return IconWarning, Caution
	}
	return IconDot, Muted
}

// insured is what is known of the entitlement.
func (m *Model) insured(now time.Time) Panel {
	l, e := m.lang(), m.checkin.Entitlement
	if e == nil {
		p := Panel{Icon: IconHeart, Role: Muted, Word: l.T("panel.insured")}
		if s := m.checkin.State; s == wire.StateText {
			p.Icon, p.Role, p.Word = IconWait, Info, l.T("insured.looking")
		}
		return p
	}
	p := Panel{Icon: IconWarning, Role: Caution}
	switch e.Status {
	case "valid":
		p.Icon, p.Role, p.Word = IconHeart, Good, l.T("insured.valid")
		switch {
		case e.To != "" && e.To < now.Format(time.DateOnly):
			// An old answer, kept over the end of the card.
			p.Icon, p.Role, p.Word = IconWarning, Caution, l.T("insured.ended", i18n.Date(e.To))
		case e.To != "":
			p.Word = l.T("insured.until", i18n.Date(e.To))
		}
	case "not_entitled":
		p.Word = l.T("insured.none")
		if e.To != "" && e.To < now.Format(time.DateOnly) {
			p.Word = l.T("insured.ended", i18n.Date(e.To))
		}
	case "mismatch":
		p.Word = l.T("insured.mismatch")
	default:
		p.Icon, p.Word = IconWait, l.T("insured.unknown")
		p.Lines = []string{l.T("insured.unknown.later")}
		return p
	}
	var parts []string
	if e.CardNumber != "" {
		parts = append(parts, i18n.Number(e.CardNumber))
	}
	if e.BenefitLevel != "" {
		parts = append(parts, l.T("level", e.BenefitLevel))
	}
	if e.Facility != "" {
		parts = append(parts, l.T("registered", e.Facility))
	}
	if len(parts) > 0 {
		p.Lines = append(p.Lines, strings.Join(parts, " · "))
	}
	if e.From != "" && e.To != "" {
		p.Lines = append(p.Lines, l.T("period", i18n.Date(e.From), i18n.Date(e.To)))
	}
	if n := e.Next; n != nil {
		p.Lines = append(p.Lines, l.T("nextcard", i18n.Number(n.CardNumber), i18n.Date(n.From)))
	}
	for _, f := range e.Findings {
		doc, ins := f.Document, f.Insurer
		if strings.HasSuffix(f.Field, "date") {
			doc, ins = i18n.Date(doc), i18n.Date(ins)
		}
		p.Lines = append(p.Lines, l.T("finding", l.Field(f.Field), doc, ins))
	}
	if (len(e.Findings) > 0 || e.Stale) && p.Role == Good {
		p.Role, p.Icon = Caution, IconWarning
	}
	p.Lines = append(p.Lines, m.source(e, now))
	return p
}

// source says where the answer comes from and how old it is.
func (m *Model) source(e *wire.Entitlement, now time.Time) string {
	l := m.lang()
	ago := l.Ago(time.Duration(e.AgeSeconds) * time.Second)
	var s string
	switch e.Source {
	case "central":
		s = l.T("source.central", ago)
	case "cache":
		s = l.T("source.cache", ago)
	case "population":
		s = l.T("source.population", ago)
	default:
		return l.T("source.none")
	}
	if e.Stale {
		s += " · " + l.T("source.stale")
		if m.status != nil && m.status.Link.State == "offline" && m.status.Link.Since != nil {
			s = l.T("source.offline", i18n.Moment(*m.status.Link.Since, now), ago)
		}
	}
	return s
}

// recorded says how far this visit went.
func (m *Model) recorded(now time.Time) Panel {
	l, ci := m.lang(), m.checkin
	switch ci.State {
	case wire.StateRecording:
		return Panel{Icon: IconWait, Role: Info, Word: l.T("recorded.writing")}
	case wire.StateRecorded:
	case wire.StateRefused, wire.StateFailed, wire.StateCancelled:
		return Panel{Icon: IconDot, Role: Muted, Word: l.T("recorded.nothing")}
	case wire.StateConfirm:
		return Panel{Icon: IconNote, Role: Muted, Word: l.T("recorded.confirm")}
	default:
		return Panel{Icon: IconNote, Role: Muted, Word: l.T("panel.recorded")}
	}
	p := Panel{Icon: IconCheck, Role: Good, Word: l.T("recorded")}
	d := ci.Delivery
	switch {
	case d == nil || d.State == "queued":
		p.Lines = []string{l.T("recorded.queued")}
		if m.status != nil && m.status.Link.State != "online" {
			p.Lines = []string{l.T("recorded.offline")}
		}
	case d.State == "stored":
		p.Lines = []string{l.T("recorded.stored")}
	case d.State == "accepted":
		p.Word = l.T("accepted")
		switch d.Assurance {
		case "chip-verified", "attested", "declared":
			p.Lines = []string{l.T("assurance." + d.Assurance)}
		}
	case d.State == "rejected":
		p.Icon, p.Role, p.Word = IconStop, Bad, l.T("rejected", l.Rejection(d.Reason))
		p.Remedy = l.T("rejected.remedy")
	}
	return p
}

// input makes the view of a field.
func (m *Model) input(f Field, label string, t Typed) *Input {
	l := m.lang()
	in := &Input{Field: f, Label: l.T(label), Text: m.fields[f], State: t.State}
	if t.Hint != "" {
		if t.Arg > 0 {
			in.Hint = l.T(t.Hint, t.Arg)
		} else {
			in.Hint = l.T(t.Hint)
		}
	}
	return in
}

func capital(s string) string {
	r := []rune(s)
	if len(r) == 0 {
		return s
	}
	return strings.ToUpper(string(r[:1])) + string(r[1:])
}
