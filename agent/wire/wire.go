// Package wire is the JSON that the agent shows to the outside: on standard
// output with --json, and later over the local API. It is a leaf and knows no
// protocol. Field names are part of the API and are never renamed.
package wire

import "encoding/json"

// The verdicts of an [Outcome]. Only VerdictAccepted means that the central
// service has the visit and believes it.
const (
	VerdictAccepted     = "accepted"     // the central service verified the visit and accepted it
	VerdictRecorded     = "recorded"     // the visit is safe on this computer and waits for the central service
	VerdictRejected     = "rejected"     // the central service looked at the visit and rejected it
	VerdictRefused      = "refused"      // a check failed: no visit was recorded
	VerdictUndetermined = "undetermined" // a check could not tell: no visit was recorded
	VerdictNotRead      = "not_read"     // the chip was not read to the end: no visit was recorded
	VerdictVerified     = "verified"     // `read`: everything that the policy requires is successful; nothing was recorded
	VerdictError        = "error"        // something outside the card went wrong
)

// An Outcome is one inspection, and the visit that came of it.
type Outcome struct {
	Verdict string `json:"verdict"`
	Fault   *Fault `json:"fault"` // null unless something kept the verdict from being the best one
	// Trust is what the issuers were known from; null before that was looked at.
	Trust  *Trust  `json:"trust"`
	Report *Report `json:"report"` // null when there was no card
	// Person is what the chip says. It is present only if a person was read;
	// Person.Verified says whether to believe it.
	Person *Person `json:"person"`
	// Visit is the signed document exactly as it was recorded; null when none was.
	Visit    json.RawMessage `json:"visit"`
	Delivery *Delivery       `json:"delivery"`
	// TimingsMS is the time of each step in milliseconds; "total" is the time
	// from the tap to the end, "verified_text" until the text was verified.
	TimingsMS     map[string]float64 `json:"timings_ms"`
	Exchanges     int                `json:"exchanges"` // APDUs sent to the chip
	Bytes         int                `json:"bytes"`     // bytes on the wire, both ways
	BytesSent     int                `json:"bytes_sent"`
	BytesReceived int                `json:"bytes_received"`
}

// A Fault says what went wrong and what to do.
type Fault struct {
	Code     string `json:"code"`
	Kind     string `json:"kind"` // refuse, unsure, retry, input, system, waiting
	Cause    string `json:"cause"`
	Remedy   string `json:"remedy"`
	Detail   string `json:"detail,omitempty"`
	ExitCode int    `json:"exit_code"`
	// TriesLeft is how often a wrong key may still be given, where the chip tells.
	TriesLeft *int `json:"tries_left,omitempty"`
}

// A Failure is what a command other than `read` and `demo`, which print an
// [Outcome], prints when it has nothing else to show.
type Failure struct {
	Verdict string `json:"verdict"` // VerdictError or VerdictNotRead
	Fault   *Fault `json:"fault"`
}

// Trust says how much trust material there was, and how old it is.
type Trust struct {
	Certificates int    `json:"certificates"` // of issuing authorities; 0: no issuer is known
	States       int    `json:"states"`
	Dated        string `json:"dated,omitempty"`    // when the newest signed list was signed, RFC 3339
	Imported     string `json:"imported,omitempty"` // when something was imported last
	AgeDays      *int   `json:"age_days,omitempty"` // since Dated, else since Imported
	// RevocationLists counts them, OutdatedLists those of which a newer one is due.
	RevocationLists int `json:"revocation_lists"`
	OutdatedLists   int `json:"outdated_lists"`
}

// A Report has one entry for every check, performed or not.
type Report struct {
	Checks     []Check           `json:"checks"`
	Decision   string            `json:"decision"` // accept, warn, refuse
	Reasons    []string          `json:"reasons,omitempty"`
	Access     string            `json:"access,omitempty"` // access protocol and cipher
	Groups     map[string]string `json:"groups"`           // state of every data group by name
	Signer     *Signer           `json:"signer,omitempty"`
	Deviations []string          `json:"deviations,omitempty"`
	// Applications are the identifiers of what the chip says it has (EF.DIR), in
	// hexadecimal: not signed.
	Applications []string `json:"applications,omitempty"`
	// Weak lists algorithms and keys that the results rest on and that are weak by
	// today's measure: "group_hash: SHA-1".
	Weak []string `json:"weak,omitempty"`
}

// A Check is the outcome of one check, in the vocabulary of BSI TR-03135-1.
type Check struct {
	ID        string  `json:"id"`
	Result    string  `json:"result"`
	Reason    string  `json:"reason,omitempty"`
	Algorithm string  `json:"algorithm,omitempty"`
	Millis    float64 `json:"millis,omitempty"`
}

// A Signer is the document signer certificate that the card names.
type Signer struct {
	Country   string `json:"country"`
	NotBefore string `json:"not_before"` // RFC 3339
	NotAfter  string `json:"not_after"`
	// Anchor says where the trusted issuer certificate came from; empty when
	// there is none.
	Anchor string `json:"anchor,omitempty"`
}

// A Person is what the chip says about its holder.
type Person struct {
	// Verified: the site's policy accepts this card as this person's. Nothing
	// else here may be used to fill in a form as verified.
	Verified bool `json:"verified"`
	// SignedByIssuer: a trusted issuer signed exactly this text. It is true for
	// the data on a copied chip, too.
	SignedByIssuer bool   `json:"signed_by_issuer"`
	Name           string `json:"name"` // with tone marks when the chip has them
	NameMRZ        string `json:"name_mrz"`
	Number         string `json:"number,omitempty"`
	DocumentNumber string `json:"document_number"`
	BirthDate      string `json:"birth_date"` // yyyy-mm-dd; unknown parts are left out
	Sex            string `json:"sex"`        // male, female, unspecified
	Nationality    string `json:"nationality"`
	Expiry         string `json:"expiry,omitempty"` // empty: does not expire
	Residence      string `json:"residence,omitempty"`
	Photo          string `json:"photo"` // "image/jpeg 480x640, 14210 bytes", or why there is none
	// Details is what the optional data groups hold, as far as each is what was
	// signed: it is to be believed as the rest is. Absent unless asked for.
	Details *Details `json:"details,omitempty"`
}

// Details are the optional data groups. Dates are yyyy-mm-dd; unknown parts are
// left out, or 00 in the middle.
type Details struct {
	Signatures []string `json:"signatures,omitempty"` // DG7: what kind of pictures

	Name           string   `json:"name,omitempty"` // DG11, from here on
	OtherNames     []string `json:"other_names,omitempty"`
	PersonalNumber string   `json:"personal_number,omitempty"`
	BirthDate      string   `json:"birth_date,omitempty"`
	BirthPlace     string   `json:"birth_place,omitempty"`
	Address        string   `json:"address,omitempty"`
	Telephone      string   `json:"telephone,omitempty"`
	Profession     string   `json:"profession,omitempty"`
	Title          string   `json:"title,omitempty"`
	Summary        string   `json:"summary,omitempty"`
	Citizenship    string   `json:"citizenship,omitempty"` // what kind of picture
	OtherDocuments []string `json:"other_documents,omitempty"`
	Custody        string   `json:"custody,omitempty"`

	Authority    string   `json:"authority,omitempty"` // DG12, from here on
	IssueDate    string   `json:"issue_date,omitempty"`
	OtherPersons []string `json:"other_persons,omitempty"`
	Endorsements string   `json:"endorsements,omitempty"`
	TaxExit      string   `json:"tax_exit,omitempty"`
	Front        string   `json:"front,omitempty"` // what kind of picture
	Rear         string   `json:"rear,omitempty"`
	Personalised string   `json:"personalised,omitempty"`
	SystemSerial string   `json:"system_serial,omitempty"`

	Notify []Contact `json:"notify,omitempty"` // DG16
	// Unknown counts elements of these groups that were not understood.
	Unknown int `json:"unknown,omitempty"`
}

// A Contact is somebody to notify in an emergency.
type Contact struct {
	Name      string `json:"name,omitempty"`
	Telephone string `json:"telephone,omitempty"`
	Address   string `json:"address,omitempty"`
	Recorded  string `json:"recorded,omitempty"`
}

// A Delivery is what became of a visit.
type Delivery struct {
	VisitID     string `json:"visit_id"`
	State       string `json:"state"`                  // queued, stored, accepted, rejected
	Reason      string `json:"reason,omitempty"`       // of a rejection
	Assurance   string `json:"assurance,omitempty"`    // what the central service could verify by itself
	PresentFrom string `json:"present_from,omitempty"` // the chip was present between these two moments
	PresentTo   string `json:"present_to,omitempty"`
	Waiting     int    `json:"waiting"` // visits in the queue that have no verdict yet
}
