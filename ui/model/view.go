package model

import (
	"fmt"
	"image"
	"strconv"
	"strings"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/ui/i18n"
)

// A Role is what a colour means. No role is ever shown by colour alone: a word and an
// icon go with it.
type Role uint8

// The roles.
const (
	Plain   Role = iota
	Info         // what is going on
	Good         // verified, insured, recorded
	Caution      // cannot tell, or look twice
	Bad          // refuse
	Muted        // not yet, or not here
)

// An Icon is a small picture beside a word.
type Icon uint8

// The icons.
const (
	IconNone    Icon = iota
	IconCheck        // good
	IconWarning      // caution
	IconStop         // bad
	IconInfo         //
	IconWait         // an hourglass: on its way
	IconDot          // open
	IconReader       //
	IconLink         //
	IconNoLink       //
	IconQueue        //
	IconPerson       //
	IconShield       // genuine
	IconHeart        // insured
	IconNote         // recorded
)

// A View is everything on the screen at one moment, in words. It shares nothing that
// changes with the model, but for the photo, which nobody writes to.
type View struct {
	Lang  i18n.Lang
	Theme string // auto, light, dark
	Large bool
	Page  Page

	Bar      Bar
	Training string // not empty: say so, always
	Notice   *Saying
	Pairing  *PairingView

	Desk  *DeskView // on PageDesk
	Title string    // of the other pages
	Body  []Block

	Actions []ActionView // the first is the primary one
	Tray    *TrayView    // of sample cards; nil: none
	Strip   StripView
}

// Saying is one sentence with what to do about it.
type Saying struct {
	Role   Role
	Icon   Icon
	Text   string
	Remedy string
}

// A Bar is the line at the top.
type Bar struct {
	Facility string
	Operator string
	Items    []Sign // reader, link, queue: always three, in this order
}

// A Sign is a word with its icon and role. Detail says more, in a smaller size.
type Sign struct {
	Icon   Icon
	Role   Role
	Text   string
	Detail string
}

// A DeskView is the middle of the window on the desk itself. Left is either the guide or
// the person; on the right stand the three other answers, always at the same place.
type DeskView struct {
	Guide    *Guide
	Person   *PersonView
	Verdict  Panel // genuine?
	Insured  Panel
	Recorded Panel
	Checks   []Line
	Details  bool // Checks is the long list
	Steps    []StepView
	Expiry   *Input
	Veil     string // not empty: personal data is covered, and this says how to see it
}

// A Guide says what to do now, large, with a drawing.
type Guide struct {
	Headline string
	Steps    []string
	Drawing  Drawing
	Note     string
}

// A Drawing is which drawing goes with a guide.
type Drawing uint8

// The drawings.
const (
	DrawScan Drawing = iota
	DrawPlace
	DrawKeep     // the card lies there: keep it still
	DrawNoReader // plug it in
)

// A PersonView is who it is.
type PersonView struct {
	Name     string
	Line     string // birth date, sex, age
	Number   string // grouped
	Address  string
	Document string // nationality and expiry of the document
	Caption  string // whose word it is
	Role     Role   // of Caption
	Photo    image.Image
	// PhotoNote stands in the photo's place while there is none.
	PhotoNote string
	CanCopy   bool
}

// A Panel is one of the answers on the right.
type Panel struct {
	Icon  Icon
	Role  Role
	Word  string
	Lines []string
	// Remedy is what to do, if anything.
	Remedy string
}

// A Line is a check.
type Line struct {
	Icon   Icon
	Role   Role
	Text   string
	Detail string // why, and what to do
}

// A StepView is a step of reading.
type StepView struct {
	Text   string
	Done   bool
	Now    bool
	Millis float64
	Part   float64 // of the file that is being read, 0 to 1; 0: not known
}

// An ActionView is a button.
type ActionView struct {
	Action   Action
	Label    string
	Key      string
	Primary  bool
	Danger   bool
	Disabled bool
}

// A StripView is the line of today's visits.
type StripView struct {
	Title   string
	Entries []StripEntry
	Empty   string
}

// A StripEntry is one of today's visits: the name is shortened.
type StripEntry struct {
	Time, Name, Word string
	Icon             Icon
	Role             Role
}

// A TrayView is the sample cards of the training mode.
type TrayView struct {
	Title string
	Note  string
	Cards []ActionView
}

// Tray returns the view of sample cards by their names in package i18n; the first nine
// have keys.
func Tray(l i18n.Lang, cards []string) *TrayView {
	t := &TrayView{Title: l.T("tray"), Note: l.T("tray.note")}
	for i, c := range cards {
		v := ActionView{Action: ActTray.With(c), Label: l.T("tray." + c)}
		if i < 9 {
			v.Key = fmt.Sprintf("Ctrl+%d", i+1)
		}
		t.Cards = append(t.Cards, v)
	}
	return t
}

// A PairingView is somebody who asks to use this desk's readers.
type PairingView struct {
	Text, Who, Code, Hint string
	Approve, Deny         ActionView
}

// A Block is a part of a page: exactly one of its fields is set.
type Block struct {
	Heading string
	Text    string
	Line    *Line
	Row     *Row
	Input   *Input
	Choice  *Choice
}

// A Row is a line of a list.
type Row struct {
	Cells  []string
	Icon   Icon
	Role   Role
	Note   string
	Action *ActionView
}

// An Input is a field to type into.
type Input struct {
	Field       Field
	Label       string
	Text        string
	Placeholder string
	Hint        string
	State       Entered
	Lines       int  // 0 or 1: one line
	Secret      bool // dots in place of characters
	First       bool // has the focus when the page opens
}

// A Choice is a row of buttons of which one is chosen.
type Choice struct {
	Label   string
	Options []Option
}

// An Option is one of them.
type Option struct {
	Action Action
	Label  string
	On     bool
}

// lang says in which language the desk speaks.
func (m *Model) lang() i18n.Lang { return m.set.Lang }

// View returns what the screen shows now.
func (m *Model) View(now time.Time) View {
	l := m.lang()
	v := View{Lang: l, Theme: m.set.Theme, Large: m.set.Large, Page: m.page, Bar: m.bar(now), Strip: m.stripView(now), Actions: m.actions()}
	if m.status != nil && m.status.Training {
		v.Training = l.T("training")
	}
	v.Notice = m.noticeView(now)
	if len(m.pairing) > 0 {
		v.Pairing = m.pairingView()
	}
	switch m.page {
	case PageDesk:
		v.Desk = m.deskView(now)
	case PageOther:
		v.Title, v.Body = l.T("other.title"), m.otherPage(now)
	case PageToday:
		v.Title, v.Body = l.T("today.title", i18n.Day(now)), m.todayPage(now)
	case PageRejected:
		v.Title, v.Body = l.T("rejected.title"), m.rejectedPage(now)
	case PageMismatch:
		v.Title, v.Body = l.T("mismatch.title"), m.mismatchPage()
	case PageDiagnosis:
		v.Title, v.Body = l.T("doctor.title"), m.doctorPage(now)
	case PageSettings:
		v.Title, v.Body = l.T("settings.title"), m.settingsPage(now)
	case PageAbout:
		v.Title, v.Body = l.T("about.title"), m.aboutPage()
	case PageSignIn:
		v.Title, v.Body = l.T("signin.title"), m.signInPage()
	}
	return v
}

// bar is the line at the top: facility, reader, link, queue.
func (m *Model) bar(now time.Time) Bar {
	l := m.lang()
	if m.status == nil || !m.agent.up {
		s := Sign{IconWarning, Caution, l.T("agent.lost"), ""}
		if m.starting(now) {
			s = Sign{IconWait, Muted, l.T("agent.connecting"), ""}
		}
		none := Sign{IconDot, Muted, "–", ""}
		return Bar{Items: []Sign{s, none, none}}
	}
	s := m.status
	b := Bar{Facility: s.Facility.Name}
	if b.Facility == "" {
		b.Facility = l.T("facility")
	}
	if s.Facility.Code != "" {
		b.Facility += " (" + s.Facility.Code + ")"
	}
	if s.Operator != nil {
		b.Operator = s.Operator.Name
	}
	b.Items = []Sign{m.readerSign(), m.linkSign(now), m.queueSign(now)}
	return b
}

// starting reports whether the agent is not missed yet: one that has to start takes a
// moment.
func (m *Model) starting(now time.Time) bool {
	return m.status == nil && now.Sub(m.agent.since) < startTime
}

const startTime = 5 * time.Second

func (m *Model) reader() *wire.Reader {
	if m.status == nil {
		return nil
	}
	for i := range m.status.Readers {
		if m.status.Readers[i].Best {
			return &m.status.Readers[i]
		}
	}
	if len(m.status.Readers) > 0 {
		return &m.status.Readers[0]
	}
	return nil
}

func (m *Model) readerSign() Sign {
	l := m.lang()
	r := m.reader()
	switch {
	case r == nil:
		return Sign{IconWarning, Caution, l.T("reader.none"), l.T("reader.none.remedy")}
	case r.Trouble != "":
		cause, remedy, ok := l.Fault(r.Trouble)
		if !ok {
			cause, remedy = l.T("reader.trouble"), ""
		}
		return Sign{IconWarning, Caution, strings.TrimSuffix(cause, "."), remedy}
	case r.Busy != "" && !m.running():
		return Sign{IconWait, Caution, l.T("reader.busy"), r.Busy}
	case r.Card:
		return Sign{IconReader, Info, shortReader(r.Name), l.T("reader.card")}
	}
	return Sign{IconReader, Good, shortReader(r.Name), ""}
}

// shortReader cuts a reader's name to what tells it from others.
func shortReader(s string) string {
	s, _, _ = strings.Cut(s, "[")
	s = strings.TrimSpace(s)
	s = strings.TrimSuffix(strings.TrimSuffix(s, " 00 00"), " 00")
	if r := []rune(s); len(r) > 22 {
		s = strings.TrimSpace(string(r[:21])) + "…"
	}
	return s
}

func (m *Model) linkSign(now time.Time) Sign {
	l, k := m.lang(), m.status.Link
	since := ""
	if k.Since != nil {
		since = l.T("since", i18n.Moment(*k.Since, now))
	}
	switch k.State {
	case "online":
		return Sign{IconLink, Good, l.T("link.online"), ""}
	case "connecting":
		return Sign{IconWait, Muted, l.T("link.connecting"), ""}
	case "offline":
		return Sign{IconNoLink, Info, l.T("link.offline"), since}
	case "not_configured":
		return Sign{IconNoLink, Muted, l.T("link.none"), ""}
	case "refused":
		return Sign{IconWarning, Caution, l.T("link.refused"), since}
	}
	return Sign{IconWarning, Caution, l.T("link.untrusted"), since}
}

func (m *Model) queueSign(now time.Time) Sign {
	l, q := m.lang(), m.status.Queue
	switch {
	case q.Rejected > 0:
		return Sign{IconWarning, Caution, l.T("queue.rejected", l.Count(q.Rejected)), "F5"}
	case q.Queued+q.Stored == 0:
		return Sign{IconCheck, Good, l.T("queue.empty"), ""}
	}
	s := Sign{IconQueue, Info, l.T("queue.waiting", l.Count(q.Queued+q.Stored)), ""}
	if q.Oldest != nil && now.Sub(*q.Oldest) > 5*time.Minute {
		s.Detail = l.T("since", i18n.Moment(*q.Oldest, now))
	}
	return s
}

func (m *Model) noticeView(now time.Time) *Saying {
	n := m.notice
	l := m.lang()
	if n == nil {
		if t := m.aged(now); t != nil {
			return t
		}
		return nil
	}
	out := &Saying{Role: n.Role, Icon: roleIcon(n.Role)}
	if n.fault != nil {
		out.Text, out.Remedy = m.faultWords(n.fault)
		return out
	}
	out.Text = l.T(n.name, n.args...)
	if n.advice != "" {
		out.Remedy = l.T(n.advice)
	}
	return out
}

// aged says, on the empty desk, that what this computer knows is old.
func (m *Model) aged(now time.Time) *Saying {
	l := m.lang()
	if m.checkin != nil || m.page != PageDesk || m.status == nil {
		return nil
	}
	s := m.status
	if f := s.Store.Fault; f != nil {
		out := &Saying{Role: Caution, Icon: IconWarning}
		out.Text, out.Remedy = m.faultWords(f)
		return out
	}
	if s.Trust != nil && s.Trust.Certificates == 0 {
		return &Saying{Caution, IconWarning, l.T("trust.none"), l.T("trust.none.remedy")}
	}
	if s.Link.State != "offline" && s.Link.State != "connecting" {
		return nil
	}
	text := l.T("offline.calm")
	if s.Link.Since != nil {
		text = l.T("offline.since", i18n.Moment(*s.Link.Since, now))
	}
	out := &Saying{Role: Info, Icon: IconNoLink, Text: text, Remedy: l.T("offline.kept", l.Count(s.Queue.Queued+s.Queue.Stored))}
	for _, b := range s.Bundles {
		if b.Kind == "population" {
			out.Remedy += " " + l.T("offline.population", i18n.Day(b.AsOf.In(now.Location())))
		}
	}
	return out
}

// faultWords says a fault in the desk's words, else in the agent's.
func (m *Model) faultWords(f *wire.Fault) (cause, remedy string) {
	l := m.lang()
	cause, remedy, ok := l.Fault(f.Code)
	if !ok {
		cause, remedy = f.Cause, f.Remedy
	}
	if cause == "" {
		cause = f.Code
	}
	if f.TriesLeft != nil {
		remedy = l.T("tries", *f.TriesLeft) + " " + remedy
	}
	return cause, remedy
}

func roleIcon(r Role) Icon {
	switch r {
	case Good:
		return IconCheck
	case Caution:
		return IconWarning
	case Bad:
		return IconStop
	case Info:
		return IconInfo
	case Muted:
		return IconDot
	}
	return IconNone
}

func (m *Model) stripView(now time.Time) StripView {
	l := m.lang()
	s := StripView{Title: l.T("strip.title"), Empty: l.T("strip.empty")}
	if m.status == nil {
		s.Empty = ""
	}
	for _, e := range m.strip {
		sign := m.deliverySign(e.Delivery)
		s.Entries = append(s.Entries, StripEntry{
			Time: i18n.Clock(e.At.In(now.Location())), Name: i18n.ShortName(e.Name), Word: sign.Text, Icon: sign.Icon, Role: sign.Role,
		})
	}
	return s
}

// deliverySign says in a word how far a visit went.
func (m *Model) deliverySign(d *wire.Delivery) Sign {
	l := m.lang()
	if d == nil {
		return Sign{IconWait, Info, l.T("delivery.queued"), ""}
	}
	switch d.State {
	case "accepted":
		return Sign{IconCheck, Good, l.T("delivery.accepted"), ""}
	case "rejected":
		return Sign{IconStop, Bad, l.T("delivery.rejected"), l.Rejection(d.Reason)}
	case "stored":
		return Sign{IconWait, Info, l.T("delivery.stored"), ""}
	}
	return Sign{IconWait, Info, l.T("delivery.queued"), ""}
}

func (m *Model) pairingView() *PairingView {
	l, p := m.lang(), m.pairing[0]
	who := p.Name
	if p.Origin != "" {
		who += " (" + p.Origin + ")"
	}
	return &PairingView{
		Text: l.T("pairing.text"), Who: who, Code: p.Code, Hint: l.T("pairing.hint"),
		Approve: ActionView{Action: ActApprove, Label: l.T("pairing.approve"), Key: "F11"},
		Deny:    ActionView{Action: ActDeny, Label: l.T("pairing.deny"), Key: "F12"},
	}
}

// actions are the buttons below, the primary one first.
func (m *Model) actions() []ActionView {
	l := m.lang()
	act := func(a Action, name, key string) ActionView {
		return ActionView{Action: a, Label: l.T(name), Key: key}
	}
	primary := func(name string) ActionView {
		v := act(ActPrimary, name, "Enter")
		v.Primary, v.Disabled = true, m.acting
		return v
	}
	back := act(ActBack, "act.back", "Esc")
	switch m.page {
	case PageOther:
		return []ActionView{primary("act.go"), back}
	case PageToday:
		return []ActionView{primary("act.search"), act(ActRejected, "act.rejected", "F5"), back}
	case PageRejected, PageAbout:
		return []ActionView{primary("act.close"), act(ActToday, "act.today", "F3"), back}
	case PageSettings:
		out := []ActionView{primary("act.close"), act(ActAbout, "act.about", "F1")}
		if m.status != nil && m.status.Operator != nil {
			out = append(out, act(ActSignOut, "act.signout", ""))
		}
		return append(out, back)
	case PageMismatch:
		v := primary("act.mismatch.send")
		v.Danger = true
		return []ActionView{v, back}
	case PageDiagnosis:
		v := primary("act.recheck")
		v.Disabled = m.busy
		return []ActionView{v, back}
	case PageSignIn:
		return []ActionView{primary("act.signin"), back}
	}
	ways := []ActionView{
		act(ActOther, "act.other", "F2"), act(ActToday, "act.today", "F3"), act(ActDiagnosis, "act.doctor", "F4"),
		act(ActLanguage, "act.language", "F9"), act(ActSettings, "act.settings", "F10"),
	}
	ci := m.checkin
	switch {
	case m.veiled:
		return []ActionView{primary("act.unveil")}
	case ci == nil && m.mustSignIn():
		return append([]ActionView{primary("act.signin")}, ways...)
	case ci == nil:
		return ways
	case ci.State == wire.StateConfirm:
		name := "act.confirm"
		if ci.Means != wire.MeansChip {
			name = "act.confirm.nochip"
		} else if ci.Photo == nil || !ci.Photo.Available || m.noPhoto {
			name = "act.confirm.nophoto"
		}
		out := []ActionView{primary(name)}
		out[0].Disabled = out[0].Disabled || m.photoPending()
		if ci.Means == wire.MeansChip {
			v := act(ActMismatch, "act.mismatch", "F8")
			v.Danger = true
			out = append(out, v)
		}
		if ci.Report != nil {
			out = append(out, m.detailsAction())
		}
		return append(out, act(ActBack, "act.skip", "Esc"))
	case ci.State == wire.StateKey && m.wantsExpiry():
		return []ActionView{primary("act.expiry"), act(ActOther, "act.other", "F2"), act(ActBack, "act.skip", "Esc")}
	case ci.State == wire.StateKey:
		return []ActionView{act(ActOther, "act.other", "F2"), act(ActBack, "act.skip", "Esc")}
	case ci.State == wire.StateCard:
		return []ActionView{act(ActBack, "act.skip", "Esc")}
	case wire.Ended(ci.State):
		out := []ActionView{primary("act.next")}
		if ci.State != wire.StateRecorded {
			out = append(out, act(ActOther, "act.other", "F2"))
		}
		if ci.Report != nil {
			out = append(out, m.detailsAction())
		}
		if ci.Person != nil && ci.Person.Verified {
			out = append(out, act(ActCopy.With("number"), "act.copy", "F7"))
		}
		return append(out, act(ActToday, "act.today", "F3"))
	case ci.State == wire.StateRecording:
		return nil
	}
	return []ActionView{act(ActBack, "act.skip", "Esc")}
}

func (m *Model) detailsAction() ActionView {
	name := "act.details"
	if m.details {
		name = "act.fewer"
	}
	return ActionView{Action: ActDetails, Label: m.lang().T(name), Key: "F6"}
}

// split parts an action from its argument.
func (a Action) split() (name Action, arg string) {
	if i := strings.IndexByte(string(a), ':'); i >= 0 {
		return a[:i+1], string(a[i+1:])
	}
	return a, ""
}

// With returns the action with an argument.
func (a Action) With(arg any) Action { return Action(fmt.Sprintf("%s%v", a, arg)) }

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
