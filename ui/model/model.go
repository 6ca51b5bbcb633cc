// Package model is what the desk does, without a screen: a state machine that takes
// what happens (keys, scans, events and answers of the agent, the passing of time) and
// returns what to do, as values. It starts no goroutine, reads no clock and knows no
// screen: package ui carries out the effects, package screen draws the [View].
//
// Everything a receptionist reads is put together here, in the words of package i18n,
// so that a table of tests can say what the desk shows.
package model

import (
	"image"
	"maps"
	"slices"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/ui/i18n"
)

// A Page is what fills the middle of the window.
type Page uint8

// The pages. The zero value is the desk itself.
const (
	PageDesk      Page = iota
	PageOther          // ways without the scan of a chip card's code
	PageToday          // today's visits, with search
	PageRejected       // visits that the insurer rejected
	PageMismatch       // why the photo is not the person's
	PageDiagnosis      // what the doctor found
	PageSettings       //
	PageAbout          //
	PageSignIn         // who sits at the desk
)

// A Way is one of those of [PageOther].
type Way uint8

// The ways.
const (
	WayLines Way = iota // machine readable lines, which open the chip
	WayTyped            // no chip: name and number are typed
	WayChild            // a child without a card
)

// An Action is something that a key or a button asks for.
type Action string

// The actions that have a button or a key of their own. Those that begin with a name
// and a colon carry an argument behind it.
const (
	ActNone      Action = ""
	ActPrimary   Action = "primary"  // Enter: whatever the highlighted button says
	ActBack      Action = "back"     // Esc
	ActOther     Action = "other"    // F2
	ActToday     Action = "today"    // F3
	ActDiagnosis Action = "doctor"   // F4
	ActRejected  Action = "rejected" // F5
	ActDetails   Action = "details"  // F6
	ActMismatch  Action = "mismatch" // F8
	ActLanguage  Action = "language" // F9
	ActSettings  Action = "settings" // F10
	ActAbout     Action = "about"    // F1
	ActQuit      Action = "quit"     // Ctrl+Q
	ActApprove   Action = "approve"  // F11: the pairing that is shown
	ActDeny      Action = "deny"     // F12
	ActSignOut   Action = "sign-out"
	ActWay       Action = "way:"    // + number of a [Way]
	ActSex       Action = "sex:"    // + male, female
	ActReason    Action = "reason:" // + number
	ActRetry     Action = "retry:"  // + visit
	ActRevoke    Action = "revoke:" // + client
	ActLang      Action = "lang:"   // + tag
	ActTheme     Action = "theme:"  // + auto, light, dark
	ActText      Action = "text:"   // + normal, large
	ActIdle      Action = "idle:"   // + seconds
	ActCopy      Action = "copy:"   // + number, hi
	ActRecheck   Action = "recheck"
	ActTray      Action = "tray:" // + name of a sample card; not the model's
)

// Settings are the choices of one desk. The zero value is not usable: see [Defaults].
type Settings struct {
	Lang  i18n.Lang `json:"language"` // as a number: 0 Vietnamese, 1 English
	Theme string    `json:"theme"`    // auto, light, dark
	Large bool      `json:"large_text"`
	// IdleSeconds without a key or a card after which personal data leaves the screen.
	IdleSeconds int `json:"idle_seconds"`
}

// Defaults returns the settings of a new desk. It is light: most receptions are, and
// many systems call themselves dark that nobody has asked.
func Defaults() Settings { return Settings{Theme: "light", IdleSeconds: 60} }

// idleChoices are what can be chosen, in seconds.
var idleChoices = []int{30, 60, 120, 300}

// Clean returns s with whatever cannot be in its default.
func (s Settings) Clean() Settings {
	d := Defaults()
	if s.Lang != i18n.English {
		s.Lang = d.Lang
	}
	if s.Theme != "auto" && s.Theme != "dark" {
		s.Theme = d.Theme
	}
	if s.IdleSeconds < 10 || s.IdleSeconds > 3600 {
		s.IdleSeconds = d.IdleSeconds
	}
	return s
}

// ClipboardTime is how long a number that was copied stays in the clipboard.
const ClipboardTime = 30 * time.Second

// stripLength is how many of today's visits the strip keeps.
const stripLength = 8

// What Enter means changes under the hand that presses it: a person comes to be
// confirmed, and is recorded. A key that is held, pressed twice, or is the late end of a
// scan must not answer a question that nobody has read yet.
const (
	settleConfirm = 300 * time.Millisecond // after a check-in has come to be confirmed
	settleEnded   = 650 * time.Millisecond // after its end: a held key begins to repeat after 500 to 660 ms
	settleScan    = 500 * time.Millisecond // after a scan
)

// photoTime is how long the photo of a check-in may take after its text.
const photoTime = 8 * time.Second

// A Model is the desk. It belongs to one goroutine. All methods that take a time take
// the present one, which never runs backwards.
type Model struct {
	set  Settings
	page Page
	way  Way

	agent  link // to the agent itself
	status *wire.Status
	asOf   time.Time // when status came

	checkin *wire.CheckIn
	photo   image.Image // of checkin
	noPhoto bool        // it came and cannot be shown
	ended   time.Time   // when checkin ended
	since   time.Time   // of checkin's state
	gone    string      // the last check-in that ended and was let go: it never comes back
	asked   string      // the check-in that was confirmed, until the agent has said what became of it
	details bool        // all checks are shown
	veiled  bool        // personal data is there and hidden
	acting  bool        // an answer to a key of the operator is still to come

	scannedAt time.Time // when the last scan was over
	scan      string    // that opened checkin: wanted again with an expiry date
	detector  detector
	before    map[Field]string // the fields as they were before a burst of keys

	code   string // a scanned code that nobody here can read: kept for what is typed with it
	fields map[Field]string
	sex    string
	reason int // chosen on PageMismatch; 0: none

	notice  *Notice
	pairing []wire.Pairing
	strip   []wire.HistoryEntry
	today   *wire.History
	query   string // that today answers
	rejects []wire.HistoryEntry
	clients []wire.Client
	doctor  *wire.Diagnosis
	busy    bool // the doctor looks

	touched   time.Time // last key, scan or change of a card
	clipboard time.Time // when to clear it; zero: nothing of ours is there
	version   string
}

// link is the connection to the agent: not to the insurer.
type link struct {
	up    bool
	since time.Time // of up; zero: never tried
}

// New returns a desk with these settings. version is what the page "about" names.
func New(now time.Time, s Settings, version string) *Model {
	return &Model{set: s.Clean(), fields: make(map[Field]string), touched: now, version: version, agent: link{since: now}}
}

// State returns the state of the check-in that is on the screen, as in package wire;
// empty for none.
func (m *Model) State() string {
	if m.checkin == nil {
		return ""
	}
	return m.checkin.State
}

// Settings returns the settings as they are.
func (m *Model) Settings() Settings { return m.set }

// Start returns what to do first.
func (m *Model) Start() []Effect { return []Effect{LoadStatus{}} }

// An Effect is something to do, outside the model.
type Effect interface{ effect() }

// The effects. Each request of the agent answers with one message: what it is about,
// or [Failed].
type (
	LoadStatus   struct{} // -> GotStatus
	LoadCurrent  struct{} // -> GotCheckIn, or Failed without a fault
	LoadPairings struct{} // -> GotPairings
	LoadClients  struct{} // -> GotClients
	LoadRejected struct{} // -> GotRejected
	Diagnose     struct{} // -> GotDiagnosis
	LoadPhoto    struct{ ID string }
	LoadHistory  struct{ Query string } // -> GotHistory
	Begin        struct{ Start wire.Start }
	Unlock       struct {
		ID  string
		Key wire.Key
	}
	Confirm struct {
		ID           string
		Confirmation wire.Confirmation
	}
	Cancel struct{ ID string }
	Retry  struct{ Visit string }
	Decide struct {
		ID      string
		Approve bool
	}
	Revoke         struct{ ID string }
	SignIn         struct{ SignIn wire.SignIn }
	SignOut        struct{}
	Save           struct{ Settings Settings }
	Copy           struct{ Text string } // to the clipboard
	ClearClipboard struct{ Text string } // if it still holds what was copied
	Quit           struct{}
)

func (LoadStatus) effect()     {}
func (LoadCurrent) effect()    {}
func (LoadPairings) effect()   {}
func (LoadClients) effect()    {}
func (LoadRejected) effect()   {}
func (Diagnose) effect()       {}
func (LoadPhoto) effect()      {}
func (LoadHistory) effect()    {}
func (Begin) effect()          {}
func (Unlock) effect()         {}
func (Confirm) effect()        {}
func (Cancel) effect()         {}
func (Retry) effect()          {}
func (Decide) effect()         {}
func (Revoke) effect()         {}
func (SignIn) effect()         {}
func (SignOut) effect()        {}
func (Save) effect()           {}
func (Copy) effect()           {}
func (ClearClipboard) effect() {}
func (Quit) effect()           {}

// A Message is something that happened.
type Message interface{ message() }

// The messages.
type (
	// Press: a button was pressed, or its key.
	Press struct{ Action Action }
	// Edit: a field holds this text now.
	Edit struct {
		Field Field
		Text  string
	}
	// Tick: time has passed. Send one a second, and one when [Model.Due] says so.
	Tick struct{}
	// Happened: the agent sent an event.
	Happened struct{ Event wire.Event }
	// Lost: no agent can be reached.
	Lost       struct{}
	GotStatus  struct{ Status wire.Status }
	GotCheckIn struct {
		CheckIn wire.CheckIn
		Begun   bool // it is what [Begin] has made
	}
	GotPairings struct{ Pairings []wire.Pairing }
	GotClients  struct{ Clients []wire.Client }
	GotRejected struct{ Entries []wire.HistoryEntry }
	GotHistory  struct {
		Query   string
		History wire.History
	}
	GotDiagnosis struct{ Diagnosis wire.Diagnosis }
	GotPhoto     struct {
		ID    string
		Photo image.Image // nil: it cannot be shown
	}
	// Done: a request that answers nothing went well.
	Done struct{ Effect Effect }
	// Failed: a request did not. Fault is nil when the agent did not answer at all;
	// None says that what was asked for is not there, Busy that a check-in is running.
	Failed struct {
		Effect     Effect
		Fault      *wire.Fault
		None, Busy bool
	}
)

func (Press) message()        {}
func (Edit) message()         {}
func (Tick) message()         {}
func (Happened) message()     {}
func (Lost) message()         {}
func (GotStatus) message()    {}
func (GotCheckIn) message()   {}
func (GotPairings) message()  {}
func (GotClients) message()   {}
func (GotRejected) message()  {}
func (GotHistory) message()   {}
func (GotDiagnosis) message() {}
func (GotPhoto) message()     {}
func (Done) message()         {}
func (Failed) message()       {}

// A Notice is a sentence about what just happened, and what to do.
type Notice struct {
	Role   Role
	name   string // in package i18n
	args   []any
	fault  *wire.Fault
	advice string // name in package i18n, or empty
}

// Update takes a message and returns what to do.
func (m *Model) Update(now time.Time, msg Message) []Effect {
	switch msg := msg.(type) {
	case Press:
		return m.press(now, msg.Action)
	case Edit:
		return m.edit(now, msg)
	case Tick:
		return m.tick(now)
	case Happened:
		return m.happened(now, msg.Event)
	case Lost:
		m.lost(now)
	case GotStatus:
		return m.gotStatus(now, msg.Status)
	case GotCheckIn:
		todo := m.gotCheckIn(now, &msg.CheckIn, msg.Begun)
		m.acting = false
		return todo
	case GotPairings:
		m.pairing = slices.DeleteFunc(slices.Clone(msg.Pairings), func(p wire.Pairing) bool { return p.State != "waiting" })
	case GotClients:
		m.clients = msg.Clients
	case GotRejected:
		m.rejects = msg.Entries
	case GotHistory:
		if msg.Query == "" {
			m.strip = msg.History.Entries[:min(stripLength, len(msg.History.Entries))]
		}
		if m.page == PageToday && msg.Query == m.fields[FieldSearch] {
			h := msg.History
			m.today, m.query = &h, msg.Query
		}
	case GotDiagnosis:
		d := msg.Diagnosis
		m.doctor, m.busy = &d, false
	case GotPhoto:
		if m.checkin != nil && m.checkin.ID == msg.ID {
			m.photo, m.noPhoto = msg.Photo, msg.Photo == nil
		}
	case Done:
		return m.done(msg.Effect)
	case Failed:
		return m.failed(now, msg)
	}
	return nil
}

// Type takes one key that makes a character, or [Enter], [Tab] or [Backspace], before
// anything else sees it. swallow says that it belongs to a scan and must go nowhere
// else. Fields may have changed then: draw the view anew.
func (m *Model) Type(now time.Time, r rune) (swallow bool, todo []Effect) {
	swallow, began, done := m.detector.typed(now, r)
	if m.detector.keys == 1 {
		// A burst may begin here; this key has not reached a field yet.
		m.before = maps.Clone(m.fields)
	}
	if done != nil {
		todo = m.scanned(now, *done)
	}
	if began {
		// The first keys of the scan have reached a field that was not meant.
		m.fields, m.before = m.before, nil
		m.touched = now
	}
	return swallow, todo
}

// Pending reports whether a scan may have begun: then Enter and the space bar are its
// keys, and press no button.
func (m *Model) Pending(now time.Time) bool { return m.detector.pending(now) }

// Due returns when the next [Tick] is wanted because a burst of keys may be over; ok is
// false when the ticks of each second do.
func (m *Model) Due() (at time.Time, ok bool) {
	return m.detector.last.Add(ScanQuiet), m.detector.waiting()
}

// scanned takes the text of a wedge scanner.
func (m *Model) scanned(now time.Time, s Scan) []Effect {
	m.touch(now)
	m.scannedAt, m.veiled = now, false
	kind, spoilt := Classify(s)
	switch spoilt {
	case Intact:
	case SpoiltLayout:
		m.notice = &Notice{Role: Caution, name: "scan.layout"}
		return nil
	case SpoiltShortly:
		m.notice = &Notice{Role: Caution, name: "scan.short"}
		return nil
	case SpoiltTelex:
		m.notice = &Notice{Role: Caution, name: "scan.spoilt", args: []any{"Telex"}}
		return nil
	case SpoiltVNI:
		m.notice = &Notice{Role: Caution, name: "scan.spoilt", args: []any{"VNI"}}
		return nil
	default:
		m.notice = &Notice{Role: Caution, name: "scan.spoilt", args: []any{"Unikey"}}
		return nil
	}
	ci := m.checkin
	switch {
	case m.acting:
		return nil // a second scan while the first is on its way
	case ci != nil && ci.State == wire.StateKey:
		m.scan, m.notice, m.acting = s.Text, nil, true
		return []Effect{Unlock{ci.ID, wire.Key{Scan: s.Text}}}
	case ci != nil && !wire.Ended(ci.State):
		m.notice = &Notice{Role: Info, name: "scan.notnow"}
		return nil
	}
	if kind == KindUnknown {
		// What is in such a code is between the citizen and its issuer: the person has
		// to be typed with it.
		if m.page != PageOther {
			m.open(PageOther)
		}
		m.way, m.code = WayTyped, s.Text
		m.notice = &Notice{Role: Info, name: "other.code"}
		return nil
	}
	means := wire.MeansChip
	if m.page == PageOther && m.way != WayLines || kind == KindHI {
		switch kind {
		case KindHI:
			means = wire.MeansHIQR
		case KindCCCD:
			means = wire.MeansCCCDQR
		}
	}
	return m.begin(now, wire.Start{Means: means, Key: &wire.Key{Scan: s.Text}, Photo: means == wire.MeansChip})
}

// begin starts a check-in, unless somebody has to sign in before.
func (m *Model) begin(now time.Time, s wire.Start) []Effect {
	if m.mustSignIn() {
		m.page = PageSignIn
		m.notice = &Notice{Role: Caution, name: "signin.first"}
		return nil
	}
	m.forget()
	m.touch(now)
	m.page, m.notice, m.acting = PageDesk, nil, true
	if s.Key != nil {
		m.scan = s.Key.Scan
	}
	return []Effect{Begin{s}}
}

func (m *Model) mustSignIn() bool {
	return m.status != nil && m.status.OperatorRequired && m.status.Operator == nil
}

// forget drops everything personal.
func (m *Model) forget() {
	if m.checkin != nil && wire.Ended(m.checkin.State) {
		m.gone = m.checkin.ID
	}
	m.checkin, m.photo, m.noPhoto, m.scan, m.veiled, m.details = nil, nil, false, "", false, false
	clear(m.fields)
	m.sex, m.reason, m.today, m.query, m.before, m.code, m.asked = "", 0, nil, "", nil, "", ""
}

func (m *Model) touch(now time.Time) { m.touched = now }

// running reports whether a check-in of the desk is under way.
func (m *Model) running() bool { return m.checkin != nil && !wire.Ended(m.checkin.State) }

func (m *Model) press(now time.Time, a Action) []Effect {
	idle := m.veiled
	m.touch(now)
	m.veiled = false
	if idle && (a == ActPrimary || a == ActBack) {
		return nil // the key that lifts the veil does nothing else
	}
	switch a {
	case ActPrimary:
		return m.primary(now)
	case ActBack:
		return m.back(now)
	case ActOther:
		if m.running() && m.checkin.State != wire.StateKey {
			m.notice = &Notice{Role: Info, name: "scan.notnow"}
			return nil
		}
		m.open(PageOther)
		m.way = WayLines
		return nil
	case ActToday:
		m.open(PageToday)
		m.fields[FieldSearch] = ""
		m.today = nil
		return []Effect{LoadHistory{}}
	case ActDiagnosis:
		m.open(PageDiagnosis)
		m.busy = true
		return []Effect{Diagnose{}}
	case ActRecheck:
		m.busy = true
		return []Effect{Diagnose{}}
	case ActRejected:
		m.open(PageRejected)
		return []Effect{LoadRejected{}}
	case ActSettings:
		m.open(PageSettings)
		return []Effect{LoadClients{}}
	case ActAbout:
		m.open(PageAbout)
	case ActDetails:
		m.details = !m.details
	case ActMismatch:
		if m.checkin != nil && m.checkin.State == wire.StateConfirm {
			m.open(PageMismatch)
			m.reason = 0
			m.fields[FieldReason] = ""
		}
	case ActLanguage:
		m.set.Lang = m.set.Lang.Other()
		return []Effect{Save{m.set}}
	case ActQuit:
		if m.running() && m.checkin.State == wire.StateConfirm {
			m.notice = &Notice{Role: Caution, name: "quit.running"}
			return nil
		}
		if !m.clipboard.IsZero() {
			m.clipboard = time.Time{}
			return []Effect{ClearClipboard{}, Quit{}}
		}
		return []Effect{Quit{}}
	case ActApprove, ActDeny:
		if len(m.pairing) > 0 {
			return []Effect{Decide{m.pairing[0].ID, a == ActApprove}}
		}
	case ActSignOut:
		return []Effect{SignOut{}}
	default:
		return m.pressWith(a)
	}
	return nil
}

// open turns to another page, and leaves the fields of the old one behind.
func (m *Model) open(p Page) {
	if p != m.page {
		for f := range m.fields {
			if f != FieldExpiry {
				delete(m.fields, f)
			}
		}
	}
	m.page, m.notice, m.code = p, nil, ""
}

// pressWith takes an action that carries an argument.
func (m *Model) pressWith(a Action) []Effect {
	name, arg := a.split()
	switch name {
	case ActWay:
		m.way = Way(atoi(arg))
	case ActSex:
		m.sex = arg
	case ActReason:
		m.reason = atoi(arg)
	case ActRetry:
		return []Effect{Retry{arg}}
	case ActRevoke:
		return []Effect{Revoke{arg}}
	case ActCopy:
		if text := m.copied(arg); text != "" {
			m.clipboard = m.touched.Add(ClipboardTime)
			m.notice = &Notice{Role: Info, name: "copied", args: []any{int(ClipboardTime / time.Second)}}
			return []Effect{Copy{text}}
		}
	case ActLang:
		m.set.Lang = i18n.Parse(arg)
		return []Effect{Save{m.set}}
	case ActTheme:
		m.set.Theme = arg
		return []Effect{Save{m.set.Clean()}}
	case ActText:
		m.set.Large = arg == "large"
		return []Effect{Save{m.set}}
	case ActIdle:
		m.set.IdleSeconds = atoi(arg)
		m.set = m.set.Clean()
		return []Effect{Save{m.set}}
	}
	return nil
}

// copied returns what a button copies.
func (m *Model) copied(what string) string {
	if m.checkin == nil {
		return ""
	}
	switch p, e := m.checkin.Person, m.checkin.Entitlement; {
	case what == "number" && p != nil:
		return number(p)
	case what == "hi" && e != nil:
		return e.CardNumber
	}
	return ""
}

// primary is the one thing that Enter does here.
func (m *Model) primary(now time.Time) []Effect {
	if m.acting || m.hasty(now) {
		return nil
	}
	switch m.page {
	case PageDesk:
		return m.primaryDesk(now)
	case PageOther:
		return m.primaryOther(now)
	case PageMismatch:
		if reason := m.mismatchReason(); reason != "" && m.checkin != nil {
			m.page, m.acting = PageDesk, true
			return []Effect{Confirm{m.checkin.ID, wire.Confirmation{Reason: reason}}}
		}
		m.notice = &Notice{Role: Caution, name: "mismatch.reason"}
	case PageSignIn:
		if name := m.fields[FieldOperator]; name != "" {
			pin := m.fields[FieldPIN]
			delete(m.fields, FieldPIN)
			m.acting = true
			return []Effect{SignIn{wire.SignIn{Name: name, PIN: pin}}}
		}
		m.notice = &Notice{Role: Caution, name: "signin.name"}
	case PageToday:
		return []Effect{LoadHistory{m.fields[FieldSearch]}}
	case PageDiagnosis:
		m.busy = true
		return []Effect{Diagnose{}}
	default:
		m.open(PageDesk)
	}
	return nil
}

// hasty reports whether Enter comes too early to be meant for what it does now.
func (m *Model) hasty(now time.Time) bool {
	if m.checkin == nil || m.page != PageDesk {
		return false
	}
	settled, scan := now.Sub(m.since), !m.scannedAt.IsZero() && now.Sub(m.scannedAt) < settleScan
	switch {
	case m.checkin.State == wire.StateConfirm:
		return scan || settled < settleConfirm || m.photoPending()
	case wire.Ended(m.checkin.State):
		return scan || settled < settleEnded
	}
	return false
}

// photoPending reports whether the agent has a photo that is not on the screen yet:
// nobody can say whose it is.
func (m *Model) photoPending() bool {
	ci := m.checkin
	return ci != nil && ci.Photo != nil && ci.Photo.Available && m.photo == nil && !m.noPhoto
}

func (m *Model) primaryDesk(now time.Time) []Effect {
	ci := m.checkin
	switch {
	case ci == nil:
		if m.mustSignIn() {
			m.open(PageSignIn)
		}
	case ci.State == wire.StateConfirm:
		m.acting, m.asked = true, ci.ID
		return []Effect{Confirm{ci.ID, wire.Confirmation{PhotoMatches: true}}}
	case ci.State == wire.StateKey && m.wantsExpiry():
		d := CheckDate(m.fields[FieldExpiry], now.Year()-30, now.Year()+60, false)
		if d.State != Valid {
			m.notice = &Notice{Role: Caution, name: "hint.date"}
			return nil
		}
		m.acting = true
		return []Effect{Unlock{ci.ID, wire.Key{Scan: m.scan, Expiry: d.Value}}}
	case wire.Ended(ci.State):
		m.next()
	}
	return nil
}

// next is ready for the next person.
func (m *Model) next() {
	m.forget()
	m.notice = nil
	m.page = PageDesk
}

func (m *Model) primaryOther(now time.Time) []Effect {
	if m.way == WayLines {
		lines := CheckLines(m.fields[FieldLines])
		if lines.State != Valid {
			m.notice = &Notice{Role: Caution, name: "hint.lines"}
			return nil
		}
		if ci := m.checkin; ci != nil && ci.State == wire.StateKey {
			m.page, m.acting = PageDesk, true
			delete(m.fields, FieldLines)
			return []Effect{Unlock{ci.ID, wire.Key{MRZ: lines.Value}}}
		}
		return m.begin(now, wire.Start{Means: wire.MeansChip, Key: &wire.Key{MRZ: lines.Value}, Photo: true})
	}
	p, ok := m.typedPerson(now)
	if !ok {
		m.notice = &Notice{Role: Caution, name: "form.incomplete"}
		return nil
	}
	if m.code != "" {
		return m.begin(now, wire.Start{Means: wire.MeansVNeID, Key: &wire.Key{Scan: m.code}, Person: &p})
	}
	return m.begin(now, wire.Start{Means: wire.MeansManual, Person: &p})
}

// typedPerson returns what was typed, and whether it is enough: a name and a birth
// date, and a number or an insurance number unless it is a child or a code goes with it.
func (m *Model) typedPerson(now time.Time) (wire.TypedPerson, bool) {
	name, num := CheckName(m.fields[FieldName]), CheckNumber(m.fields[FieldNumber])
	birth, hi := CheckDate(m.fields[FieldBirth], now.Year()-130, now.Year(), true), CheckHI(m.fields[FieldHI])
	p := wire.TypedPerson{
		Name: name.Value, Number: num.Value, BirthDate: birth.Value, InsuranceNumber: hi.Value, Sex: m.sex,
		Child: m.way == WayChild,
	}
	ok := name.State == Valid && birth.State == Valid
	for _, t := range []Typed{num, hi} {
		ok = ok && (t.State == Valid || t.State == Empty)
	}
	if p.Child {
		p.Guardian = m.fields[FieldGuardian]
		return p, ok && p.Guardian != ""
	}
	return p, ok && (p.Number != "" || p.InsuranceNumber != "" || m.code != "")
}

// back is Esc: a step back, and at the desk the end of this check-in.
func (m *Model) back(time.Time) []Effect {
	if m.page != PageDesk {
		m.open(PageDesk)
		return nil
	}
	ci := m.checkin
	switch {
	case ci == nil:
		m.notice = nil
	case wire.Ended(ci.State):
		m.next()
	case ci.State == wire.StateRecording:
		// It is being written: neither the desk nor anybody takes that back.
	default:
		return []Effect{Cancel{ci.ID}}
	}
	return nil
}

func (m *Model) edit(now time.Time, e Edit) []Effect {
	m.touch(now)
	text := []rune(e.Text)
	m.fields[e.Field] = string(text[:min(maxTyped, len(text))])
	if e.Field == FieldSearch && m.page == PageToday {
		return []Effect{LoadHistory{m.fields[FieldSearch]}}
	}
	return nil
}

// tick lets time pass: ends scans, hides what is personal, clears the clipboard.
func (m *Model) tick(now time.Time) []Effect {
	var todo []Effect
	if s := m.detector.flush(now); s != nil {
		todo = m.scanned(now, *s)
	} else if !m.detector.waiting() {
		m.before = nil
	}
	if !m.clipboard.IsZero() && !now.Before(m.clipboard) {
		m.clipboard = time.Time{}
		todo = append(todo, ClearClipboard{})
	}
	if m.photoPending() && m.checkin.State == wire.StateConfirm && now.Sub(m.since) >= photoTime {
		m.noPhoto = true // said in its place; a late one is shown all the same
	}
	m.pairing = slices.DeleteFunc(m.pairing, func(p wire.Pairing) bool { return !p.Expires.IsZero() && now.After(p.Expires) })
	if now.Sub(m.touched) < time.Duration(m.set.IdleSeconds)*time.Second {
		return todo
	}
	switch {
	case m.running():
		// Somebody may be looking for a pen: the check-in goes on, its data is
		// covered. While the card is being read nobody has to touch anything.
		m.veiled = m.checkin.State == wire.StateConfirm || m.checkin.State == wire.StateKey || m.checkin.State == wire.StateCard
		if m.page == PageToday || m.page == PageRejected || m.page == PageOther {
			// Others' data does not stay because somebody waits.
			m.open(PageDesk)
			m.today, m.query, m.rejects = nil, "", nil
		}
	case m.checkin != nil || m.page == PageToday || m.page == PageRejected || m.page == PageOther:
		m.next()
		m.rejects = nil
	}
	return todo
}

func (m *Model) happened(now time.Time, e wire.Event) []Effect {
	switch e.Type {
	case wire.EventCheckIn:
		if e.CheckIn != nil {
			return m.gotCheckIn(now, e.CheckIn, false)
		}
	case wire.EventReaders:
		if m.status != nil {
			m.status.Readers = e.Readers
		}
		m.touch(now)
	case wire.EventLink, wire.EventOperator:
		if e.Status != nil {
			return m.gotStatus(now, *e.Status)
		}
		return []Effect{LoadStatus{}}
	case wire.EventScan:
		// A serial scanner read something while nobody wanted it: the agent keeps it
		// for the check-in that begins now.
		if !m.running() && !m.acting {
			return m.begin(now, wire.Start{Means: wire.MeansChip, Photo: true})
		}
	case wire.EventPairing:
		return []Effect{LoadPairings{}}
	case wire.EventMissed:
		return []Effect{LoadStatus{}, LoadCurrent{}, LoadPairings{}, LoadHistory{}}
	}
	return nil
}

func (m *Model) lost(now time.Time) {
	if m.agent.up || m.agent.since.IsZero() {
		m.agent = link{since: now}
	}
	m.acting, m.busy = false, false
}

func (m *Model) gotStatus(now time.Time, s wire.Status) []Effect {
	var todo []Effect
	first := m.status == nil || !m.agent.up
	m.status, m.asOf = &s, now
	if !m.agent.up {
		m.agent = link{up: true, since: now}
	}
	if m.page == PageSignIn && !m.mustSignIn() {
		m.open(PageDesk)
	}
	if first {
		todo = append(todo, LoadHistory{})
	}
	return todo
}

// gotCheckIn takes a check-in as it stands. begun says that it answers [Begin]: only
// then may one that is over already come to the screen.
func (m *Model) gotCheckIn(now time.Time, ci *wire.CheckIn, begun bool) []Effect {
	if ci.Owner != "" && ci.Owner != ownerDesk {
		return nil // a hospital system's: its page shows it
	}
	old := m.checkin
	if old != nil && old.ID == ci.ID && old.Version >= ci.Version {
		return nil
	}
	if old != nil && old.ID != ci.ID && m.running() {
		// Versions of different check-ins say nothing about each other; the later
		// start does.
		if ci.Started.Before(old.Started) {
			return nil
		}
	}
	if old == nil && (ci.ID == m.gone || wire.Ended(ci.State) && !begun) {
		return m.updateStrip(ci) // let go already: nothing of it comes back to the screen
	}
	if old != nil && old.ID != ci.ID {
		if wire.Ended(ci.State) {
			return m.updateStrip(ci)
		}
		scan := m.scan
		m.forget()
		m.scan = scan
		old = nil
	}
	var todo []Effect
	was := ""
	if old != nil {
		was = old.State
	}
	m.checkin = ci
	if was != ci.State {
		m.touch(now)
		m.since, m.veiled = now, false
		if m.page == PageMismatch && ci.State != wire.StateConfirm {
			m.page = PageDesk
		}
		m.notice = nil
	}
	if ci.Photo != nil && ci.Photo.Available && (old == nil || old.Photo == nil || !old.Photo.Available) {
		todo = append(todo, LoadPhoto{ci.ID})
	}
	switch {
	case ci.State == wire.StateCancelled:
		m.next()
	case wire.Ended(ci.State) && !wire.Ended(was):
		m.ended, m.scan = now, ""
		delete(m.fields, FieldExpiry)
		if ci.State == wire.StateRecorded {
			todo = append(todo, LoadHistory{})
		}
	case ci.State == wire.StateRecorded:
		todo = append(todo, m.updateStrip(ci)...)
	}
	return todo
}

// ownerDesk is what the agent calls a check-in of the desk.
const ownerDesk = "desk"

// updateStrip takes how far a recorded visit went into the list of today.
func (m *Model) updateStrip(ci *wire.CheckIn) []Effect {
	if ci.State != wire.StateRecorded || ci.Delivery == nil {
		return nil
	}
	for i := range m.strip {
		if m.strip[i].Visit == ci.Visit {
			m.strip[i].Delivery = ci.Delivery
			return nil
		}
	}
	return []Effect{LoadHistory{}}
}

func (m *Model) done(e Effect) []Effect {
	switch e := e.(type) {
	case Retry:
		m.notice = &Notice{Role: Good, name: "rejected.again"}
		return []Effect{LoadRejected{}, LoadStatus{}}
	case Revoke:
		m.clients = slices.DeleteFunc(m.clients, func(c wire.Client) bool { return c.ID == e.ID })
	case Decide:
		m.pairing = slices.DeleteFunc(m.pairing, func(p wire.Pairing) bool { return p.ID == e.ID })
		m.notice = &Notice{Role: Info, name: "pairing.denied"}
		if e.Approve {
			m.notice = &Notice{Role: Good, name: "pairing.approved"}
		}
	case SignIn, SignOut:
		m.acting = false
		return []Effect{LoadStatus{}}
	}
	return nil
}

func (m *Model) failed(now time.Time, f Failed) []Effect {
	if f.Fault == nil && !f.None {
		m.lost(now)
	}
	switch f.Effect.(type) {
	case LoadCurrent:
		if f.None && m.running() {
			// The agent knows of none: it was started anew. What was being confirmed
			// may be on its disk or not: only its list can tell.
			unsure := m.asked != "" && m.asked == m.checkin.ID
			m.next()
			if unsure {
				m.notice = &Notice{Role: Caution, name: "confirm.unsure", advice: "confirm.unsure.remedy"}
				return []Effect{LoadHistory{}}
			}
		}
		return nil
	case LoadPhoto:
		if e := f.Effect.(LoadPhoto); m.checkin != nil && m.checkin.ID == e.ID {
			m.noPhoto = m.photo == nil
		}
		return nil
	case LoadStatus, LoadPairings, LoadClients:
		return nil
	case LoadHistory, LoadRejected:
		if f.Fault == nil {
			return nil
		}
	case Diagnose:
		m.busy = false
	case Begin, Unlock, Confirm, Cancel, SignIn:
		m.acting = false
	case ClearClipboard, Save:
		return nil
	}
	switch {
	case f.Busy:
		m.notice = &Notice{Role: Caution, name: "busy"}
		return []Effect{LoadCurrent{}} // if it is the desk's own it belongs on the screen
	case f.Fault != nil:
		m.notice = &Notice{Role: Caution, fault: f.Fault}
	default:
		m.notice = &Notice{Role: Caution, name: "agent.lost", advice: "agent.lost.remedy"}
	}
	return nil
}

// wantsExpiry reports whether the code that was scanned has failed, so that the expiry
// date may help: it is the only part of the key that a citizen card's code has not.
func (m *Model) wantsExpiry() bool {
	ci := m.checkin
	if ci == nil || ci.State != wire.StateKey || ci.Fault == nil || ci.Fault.Code != "wrong_key" || m.scan == "" {
		return false
	}
	kind, _ := Classify(Scan{Text: m.scan})
	return kind == KindCCCD
}

// mismatchReason returns the reason that was chosen or typed, in Vietnamese, which is
// what the audit trail is read in.
func (m *Model) mismatchReason() string {
	if m.reason > 0 && m.reason <= mismatchReasons {
		return i18n.Vietnamese.T(mismatchName(m.reason))
	}
	return m.fields[FieldReason]
}
