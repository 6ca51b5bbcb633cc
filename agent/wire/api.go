package wire

import "time"

// What the local API says, version 1. Times are RFC 3339 with the computer's
// offset, dates yyyy-mm-dd with unknown parts left out, durations milliseconds.
// A list is never null. Texts that a person reads (a fault's cause) are English;
// a desk translates them by code.

// The states of a [CheckIn], in the order in which a good one takes them.
const (
	StateKey       = "key"       // wants what opens the chip: a scan, typed lines, an expiry date
	StateCard      = "card"      // wants the card on the reader
	StateReading   = "reading"   // nothing is verified yet
	StateText      = "text"      // the text is verified and shown; the photo is still being read
	StateConfirm   = "confirm"   // wants the operator's confirmation; Person and Entitlement are there
	StateRecording = "recording" // being written to the disk
	StateRecorded  = "recorded"  // on disk; Delivery says how far it went
	StateRefused   = "refused"   // policy refuses the card, or cannot tell: nothing was or will be recorded
	StateFailed    = "failed"    // something outside the card's judgement went wrong: see Fault
	StateCancelled = "cancelled" // given up, or abandoned: nothing was recorded
)

// What a [CheckIn] in StateKey wants.
const (
	WantsKey    = "key"    // a scan, machine readable lines or a card access number
	WantsExpiry = "expiry" // the date of expiry as well: a [Key] with nothing but Expiry will do
)

// Ended reports whether a check-in takes no more input. Its Delivery may still
// change when it is StateRecorded.
func Ended(state string) bool {
	switch state {
	case StateRecorded, StateRefused, StateFailed, StateCancelled:
		return true
	}
	return false
}

// The means by which a person shows who they are. Only MeansChip can be verified.
const (
	MeansChip   = "chip"
	MeansCCCDQR = "cccd-qr"
	MeansHIQR   = "hi-qr"
	MeansVNeID  = "vneid-qr" // kept opaque: nothing is read out of it
	MeansManual = "manual"
)

// A Start begins a check-in. Everything may be left out: then the check-in waits
// for a key.
type Start struct {
	// Means is how the person shows who they are; empty: MeansChip.
	Means string `json:"means,omitempty"`
	// Key opens the chip, or is the code that the other means are about.
	Key *Key `json:"key,omitempty"`
	// Person is what was typed, with MeansManual, or what completes a code.
	Person *TypedPerson `json:"person,omitempty"`
	// Reader is the reader to use; empty: the best one that has a card, or gets one.
	Reader string `json:"reader,omitempty"`
	// Photo asks for the photo. Without it the chip is not asked for one.
	Photo bool `json:"photo,omitempty"`
	// Reference is the caller's own name for this visit, returned unchanged and
	// never sent to the central service: at most 64 printable ASCII characters.
	Reference string `json:"reference,omitempty"`
}

// A Key is one way to open the chip. Exactly one of Scan, MRZ and CAN is given;
// Expiry may come with Scan, and alone where the check-in wants it.
type Key struct {
	// Scan is the text of a scanned code: CCCD QR, health-insurance QR, MRZ lines or
	// VNeID; the agent finds out which.
	Scan string `json:"scan,omitempty"`
	MRZ  string `json:"mrz,omitempty"` // lines, with or without line feeds
	CAN  string `json:"can,omitempty"`
	// Expiry of the card, yyyy-mm-dd, where the candidates from a CCCD QR failed.
	Expiry string `json:"expiry,omitempty"`
}

// A TypedPerson is what was typed or scanned: never verified.
type TypedPerson struct {
	Name            string `json:"name,omitempty"`
	Number          string `json:"number,omitempty"`     // 12 digits
	BirthDate       string `json:"birth_date,omitempty"` // yyyy-mm-dd, yyyy-mm or yyyy
	Sex             string `json:"sex,omitempty"`        // male, female, unspecified
	InsuranceNumber string `json:"insurance_number,omitempty"`
	// Child: under the age of cards; Guardian says by whom they were brought, free text.
	Child    bool   `json:"child,omitempty"`
	Guardian string `json:"guardian,omitempty"`
}

// A Confirmation is the operator's word that this is the person.
type Confirmation struct {
	// PhotoMatches: the person at the desk is the one on the photo, or, where there
	// is none, on the document.
	PhotoMatches bool `json:"photo_matches"`
	// Reason is required when PhotoMatches is false: nothing is recorded then, and the
	// audit trail keeps the reason. At most 200 characters.
	Reason string `json:"reason,omitempty"`
}

// A CheckIn is one person's turn at the desk, as it stands.
type CheckIn struct {
	ID    string `json:"id"`
	State string `json:"state"`
	// Version grows with every change; the one with the larger number is the newer.
	Version   uint64    `json:"version"`
	Means     string    `json:"means"`
	Owner     string    `json:"owner"` // "desk", or the origin or name of the client that began it
	Reference string    `json:"reference,omitempty"`
	Started   time.Time `json:"started"`
	Reader    string    `json:"reader,omitempty"`
	Progress  *Progress `json:"progress,omitempty"`
	// Fault is why the check-in does not go on, or, in StateKey and StateCard, why it
	// went back there.
	Fault  *Fault  `json:"fault"`
	Report *Report `json:"report"`
	// Person is there from StateText on.
	Person      *Person      `json:"person"`
	Photo       *Photo       `json:"photo"`
	Entitlement *Entitlement `json:"entitlement"`
	// Wants is what would take the check-in on in StateKey: WantsKey or WantsExpiry.
	Wants string `json:"wants,omitempty"`
	// Warnings are what is unusual about data that was typed or scanned, to be looked
	// at again: "number_other_birth_year". They refuse nobody.
	Warnings []string `json:"warnings"`
	// Guardian is by whom a child was brought, as typed: it goes no further.
	Guardian string `json:"guardian,omitempty"`
	// Visit is there from StateRecorded on.
	Visit     string             `json:"visit,omitempty"`
	Delivery  *Delivery          `json:"delivery"`
	TimingsMS map[string]float64 `json:"timings_ms"`
}

// Progress says how far reading is.
type Progress struct {
	Step  string `json:"step"`  // a step of the inspection, "entitlement" or "record"
	Done  int    `json:"done"`  // steps that have ended
	Total int    `json:"total"` // as far as is known
	// Bytes and Size of the file that is being read; Size is 0 when it is not known.
	Bytes   int     `json:"bytes,omitempty"`
	Size    int     `json:"size,omitempty"`
	Elapsed float64 `json:"elapsed_ms"` // since the card was opened
}

// A Photo says whether there is one to fetch at checkins/{id}/photo.
type Photo struct {
	Available bool   `json:"available"`
	Signed    bool   `json:"signed"` // it is the one that the issuer signed
	MediaType string `json:"media_type,omitempty"`
	Width     int    `json:"width,omitempty"`
	Height    int    `json:"height,omitempty"`
	// Reason why there is none: not_asked, absent, not_signed, not_decodable, not_read.
	Reason string `json:"reason,omitempty"`
}

// An Entitlement is what is known of the person's health insurance.
type Entitlement struct {
	// Status: valid, not_entitled, mismatch, retry, login, configuration, unknown.
	Status string `json:"status"`
	Code   string `json:"code,omitempty"` // the insurer's
	// Source: central, cache, population, none.
	Source string `json:"source"`
	AsOf   string `json:"as_of,omitempty"` // when the insurer said so
	// AgeSeconds since AsOf; Stale: older than an answer should be.
	AgeSeconds   int64     `json:"age_seconds"`
	Stale        bool      `json:"stale"`
	CardNumber   string    `json:"card_number,omitempty"`
	From         string    `json:"from,omitempty"`
	To           string    `json:"to,omitempty"`
	Facility     string    `json:"facility,omitempty"`
	BenefitLevel string    `json:"benefit_level,omitempty"`
	Area         string    `json:"area,omitempty"`
	FiveYears    string    `json:"five_years,omitempty"`
	Next         *NextCard `json:"next,omitempty"`
	Findings     []Finding `json:"findings"`
}

// A NextCard is the card that takes an old one's place.
type NextCard struct {
	CardNumber string `json:"card_number"`
	From       string `json:"from,omitempty"`
	To         string `json:"to,omitempty"`
	Facility   string `json:"facility,omitempty"`
}

// A Finding is where insurer and document disagree.
type Finding struct {
	Field    string `json:"field"` // name, birth_date, number, sex, ...
	Document string `json:"document"`
	Insurer  string `json:"insurer"`
}

// The types of an [Event].
const (
	EventCheckIn  = "checkin"  // CheckIn changed; without photo and, for other clients, not sent
	EventReaders  = "readers"  // a reader or a card came or went
	EventLink     = "link"     // the link to the central service, or the queue
	EventScan     = "scan"     // a scanner read something while no check-in wanted it
	EventPairing  = "pairing"  // somebody asks to be paired: for the desk only
	EventOperator = "operator" // somebody signed in or out: for the desk only
	EventMissed   = "missed"   // the client was too slow: events are missing, read the state again
)

// An Event says that something changed. Exactly the field of its type is set.
type Event struct {
	Type    string    `json:"type"`
	Seq     uint64    `json:"seq"`
	At      time.Time `json:"at"`
	CheckIn *CheckIn  `json:"checkin,omitempty"`
	Readers []Reader  `json:"readers,omitempty"`
	Status  *Status   `json:"status,omitempty"` // with EventLink and EventOperator
	Pairing *Pairing  `json:"pairing,omitempty"`
}

// A Reader is a card reader as it is now.
type Reader struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // contactless, contact, sam, virtual, unknown
	Card bool   `json:"card"`
	// Best: the one that a check-in takes unless it is told another.
	Best    bool   `json:"best"`
	Busy    string `json:"busy,omitempty"`    // who holds it
	Trouble string `json:"trouble,omitempty"` // fault code
	Page    string `json:"page,omitempty"`    // of firmware-notes
}

// Status is what the desk shows in its bar.
type Status struct {
	Version  string    `json:"version"`
	Now      time.Time `json:"now"`
	Ready    bool      `json:"ready"`
	Facility Facility  `json:"facility"`
	Agent    string    `json:"agent,omitempty"` // public key, by which the central service knows it
	Operator *Operator `json:"operator"`        // null: nobody is signed in, or you are not the desk
	// OperatorRequired: nothing is recorded before somebody signs in.
	OperatorRequired bool     `json:"operator_required"`
	Readers          []Reader `json:"readers"`
	Link             Link     `json:"link"`
	Queue            Queue    `json:"queue"`
	Trust            *Trust   `json:"trust"`
	Bundles          []Bundle `json:"bundles"`
	Store            Store    `json:"store"`
	// Busy: a check-in is running; whose, only for the one who began it.
	Busy bool `json:"busy"`
	// Training: the cards are samples and nothing reaches an insurer.
	Training bool `json:"training"`
	// Sample opens the sample card that lies on the virtual reader, where there is
	// one: only ever with Training.
	Sample *Key `json:"sample,omitempty"`
}

// A Facility is the place that this computer works for.
type Facility struct {
	Code string `json:"code"`
	Name string `json:"name,omitempty"`
}

// An Operator is who sits at the desk.
type Operator struct {
	Name string `json:"name"`
	How  string `json:"how"` // login, pin
}

// A Link is the connection to the central service.
type Link struct {
	// State: online, offline, connecting, refused, untrusted, not_configured.
	State string     `json:"state"`
	Since *time.Time `json:"since,omitempty"` // of State
	Fault *Fault     `json:"fault"`
}

// A Queue counts the visits on this computer.
type Queue struct {
	Queued   int        `json:"queued"` // on disk, nobody else has them
	Stored   int        `json:"stored"` // the server has them, without a verdict
	Accepted int        `json:"accepted"`
	Rejected int        `json:"rejected"`         // to be looked at
	Oldest   *time.Time `json:"oldest,omitempty"` // that waits
}

// A Bundle is a signed list from the insurer.
type Bundle struct {
	Kind    string    `json:"kind"` // population, trust
	Version uint64    `json:"version"`
	Entries int       `json:"entries"`
	AsOf    time.Time `json:"as_of"`
	AgeDays int       `json:"age_days"`
	Fault   *Fault    `json:"fault"` // why a newer one was refused
}

// A Store is the data on this computer.
type Store struct {
	Checked bool   `json:"checked"`
	Damaged int    `json:"damaged"`
	Free    int64  `json:"free_bytes"` // on its disk; -1: not known
	Fault   *Fault `json:"fault"`
}

// A HistoryEntry is one visit of a day.
type HistoryEntry struct {
	Visit    string    `json:"visit"`
	At       time.Time `json:"at"`
	Name     string    `json:"name"`
	Number   string    `json:"number,omitempty"` // the last four digits
	Means    string    `json:"means"`
	Verified bool      `json:"verified"`
	Operator string    `json:"operator,omitempty"`
	// Entitlement is its status.
	Entitlement string    `json:"entitlement"`
	Delivery    *Delivery `json:"delivery"`
}

// History is what was recorded on one day, newest first. Looking at it is
// written in the audit trail.
type History struct {
	Day     string         `json:"day"`
	Entries []HistoryEntry `json:"entries"`
	// Next continues the list; empty at its end.
	Next string `json:"next,omitempty"`
}

// A HistoryQuery asks for a [History]. It is a body, because what is searched for
// is a person's name or number and has no place in an address.
type HistoryQuery struct {
	Day   string `json:"day,omitempty"`   // empty: today
	Text  string `json:"q,omitempty"`     // part of a name, or the last digits of a number
	After string `json:"after,omitempty"` // Next of the page before
}

// A QueuePage is a part of the visits on this computer, oldest first.
type QueuePage struct {
	Entries []HistoryEntry `json:"entries"`
	// Next continues the list; empty at its end.
	Next string `json:"next,omitempty"`
}

// The levels of a [Finding] of the doctor.
const (
	LevelOK      = "ok"
	LevelInfo    = "info"
	LevelWarning = "warning"
	LevelError   = "error"
	LevelSkipped = "skipped" // could not be looked at here, and Why says why
)

// A Diagnosis is what `chamthe doctor` found. It holds no personal data.
type Diagnosis struct {
	At       time.Time   `json:"at"`
	Version  string      `json:"version"`
	Level    string      `json:"level"` // the worst of Findings
	Findings []Diagnosed `json:"findings"`
}

// Diagnosed is one thing that was looked at.
type Diagnosed struct {
	ID     string `json:"id"`    // "pcsc.service": never renamed
	Title  string `json:"title"` // "Smart card service"
	Level  string `json:"level"`
	What   string `json:"what"`             // what was found
	Why    string `json:"why,omitempty"`    // what it means for the desk
	Remedy string `json:"remedy,omitempty"` // what to do
	Page   string `json:"page,omitempty"`   // of the documentation, "agent/docs/faults/no_reader.md"
	// Values are figures and versions, for those who read by machine.
	Values map[string]string `json:"values,omitempty"`
	Millis float64           `json:"millis"`
}

// A PairingRequest asks for a token for a web page of this origin (taken from the
// request's header) or, without a header, for a program of this name.
type PairingRequest struct {
	Name string `json:"name"` // of the information system, shown at the desk: at most 64 characters
}

// A Pairing waits for the desk's approval.
type Pairing struct {
	ID      string    `json:"id"`
	Origin  string    `json:"origin,omitempty"`
	Name    string    `json:"name"`
	Expires time.Time `json:"expires"`
	// Code is shown at the desk only, and typed into the page that asks.
	Code  string `json:"code,omitempty"`
	State string `json:"state"` // waiting, approved, denied, expired, done: the token was given
}

// A TokenRequest turns an approved pairing into a token.
type TokenRequest struct {
	Code string `json:"code"`
}

// A Token is given once; only its hash is kept.
type Token struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

// A Client is one who may call the API.
type Client struct {
	ID      string     `json:"id"`
	Origin  string     `json:"origin,omitempty"`
	Name    string     `json:"name"`
	Added   time.Time  `json:"added"`
	AddedBy string     `json:"added_by"` // an operator, or "config"
	Used    *time.Time `json:"used,omitempty"`
}

// A SignIn names the operator.
type SignIn struct {
	Name string `json:"name"`
	PIN  string `json:"pin,omitempty"`
}

// An Error is the body of every answer that is not 2xx.
type Error struct {
	Fault Fault `json:"fault"`
}
