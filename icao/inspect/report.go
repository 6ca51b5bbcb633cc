package inspect

import (
	"fmt"
	"time"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/vn"
)

// ID names a check. The set is closed; a [Report] holds each one once.
type ID string

// The checks, in the order in which a report lists them.
const (
	AccessControl  ID = "access_control"  // BAC or PACE opened the chip with the key given
	SODSignature   ID = "sod_signature"   // the signer's signature over EF.SOD holds
	SignerValidity ID = "signer_validity" // signer and issuer certificates were valid at the time of inspection
	TrustChain     ID = "trust_chain"     // the signer is certified by a trusted CSCA
	Revocation     ID = "revocation"      // the signer is not on a revocation list
	IssuingState   ID = "issuing_state"   // the state that DG1 names is the one that signed
	DG1Integrity   ID = "dg1_integrity"   // DG1 is what was signed
	DG13Integrity  ID = "dg13_integrity"  // DG13 is what was signed
	DG14Integrity  ID = "dg14_integrity"  // the announced algorithms and keys are what was signed
	DG15Integrity  ID = "dg15_integrity"  // the active authentication key is what was signed
	DG2Integrity   ID = "dg2_integrity"   // the photo is what was signed
	// PassiveAuthentication is the checks above from SODSignature on, as one
	// (Doc 9303-11, 5.1): signature, chain, and the hash of every group read.
	PassiveAuthentication ID = "passive_authentication"
	PACECAM               ID = "pace_cam"              // the chip proved its key within PACE, and its issuer signed that key
	ChipAuthentication    ID = "chip_authentication"   // the chip holds the private key that belongs to DG14
	ActiveAuthentication  ID = "active_authentication" // the chip holds the private key that belongs to DG15
	ChipAuthenticity      ID = "chip_authenticity"     // any covered protocol proved that the chip is no copy (TR-03135-1, 5.6.4.1)
	KeyBinding            ID = "key_binding"           // DG1 is of the document whose code opened the chip, and repeats its printed zone
	CardAccess            ID = "card_access"           // the offer of PACE is the one that was signed (Doc 9303-11, 4.2)
	DataConsistency       ID = "data_consistency"      // DG1 and DG13 speak of the same person
	DocumentValidity      ID = "document_validity"     // the document had not expired at the time of inspection
)

// The checks that are performed on request only, see [OptionalIDs].
const (
	DG5Integrity   ID = "dg5_integrity"   // the displayed portrait is what was signed
	DG6Integrity   ID = "dg6_integrity"   // DG6, which is reserved, is what was signed
	DG7Integrity   ID = "dg7_integrity"   // the signature or usual mark is what was signed
	DG8Integrity   ID = "dg8_integrity"   // the data features are what was signed
	DG9Integrity   ID = "dg9_integrity"   // the structure features are what was signed
	DG10Integrity  ID = "dg10_integrity"  // the substance features are what was signed
	DG11Integrity  ID = "dg11_integrity"  // the additional personal details are what was signed
	DG12Integrity  ID = "dg12_integrity"  // the additional document details are what was signed
	DG16Integrity  ID = "dg16_integrity"  // the persons to notify are what was signed
	COMConsistency ID = "com_consistency" // EF.COM lists what EF.SOD signs (TR-03135-1, 5.6.4.4.1)
	Conformity     ID = "conformity"      // nothing deviates from the standard
)

// OptionalIDs returns the checks that [Config.All] (all but the last) and
// [Config.Strict] (the last) ask for, in the order of a report, which lists them
// behind those of [IDs] if they were performed. None of them is needed to verify
// a document, and a policy that does not ask for them need not know them.
func OptionalIDs() []ID {
	return []ID{
		DG5Integrity, DG6Integrity, DG7Integrity, DG8Integrity, DG9Integrity, DG10Integrity, DG11Integrity, DG12Integrity, DG16Integrity,
		COMConsistency, Conformity,
	}
}

// IDs returns every check of every inspection in the order of a report.
func IDs() []ID {
	return []ID{
		AccessControl, SODSignature, SignerValidity, TrustChain, Revocation, IssuingState,
		DG1Integrity, DG13Integrity, DG14Integrity, DG15Integrity, DG2Integrity, PassiveAuthentication,
		PACECAM, ChipAuthentication, ActiveAuthentication, ChipAuthenticity, KeyBinding, CardAccess, DataConsistency, DocumentValidity,
	}
}

// Reasons that this package gives; passiveauth and activeauth add theirs.
const (
	ReasonWrongKey       result.Reason = "wrong_key"           // the chip refused every key candidate
	ReasonRefused        result.Reason = "access_refused"      // the chip refused the access protocol itself
	ReasonUnprotected    result.Reason = "unprotected"         // the chip has no access control and hands its data to everybody
	ReasonInterrupted    result.Reason = "interrupted"         // the chip went away or broke off during this check
	ReasonAbsent         result.Reason = "file_absent"         // the chip does not have the file
	ReasonDenied         result.Reason = "file_denied"         // the chip refuses to hand out the file
	ReasonUnreadable     result.Reason = "file_unreadable"     // the chip answered, but not with the file
	ReasonMalformed      result.Reason = "file_malformed"      // the file is there and cannot be understood
	ReasonPACEFailed     result.Reason = "pace_failed"         // opened by BAC after PACE, which it offers, had failed
	ReasonWithheld       result.Reason = "withheld"            // the chip keeps back what its issuer signed
	ReasonFormat         result.Reason = "picture_format"      // the photo is in a record format that is not read
	ReasonNotCovered     result.Reason = "not_covered"         // the security object has no hash of this file
	ReasonKeyNotCovered  result.Reason = "key_not_covered"     // the chip proved possession of a key that nobody signed
	ReasonKeyAltered     result.Reason = "key_altered"         // the public key is not the one that was signed
	ReasonOtherIssuer    result.Reason = "other_issuer"        // EF.CardSecurity is not known to be signed by the document's own state
	ReasonNotTried       result.Reason = "proof_not_performed" // the document has a key whose proof was not asked for
	ReasonOtherDocument  result.Reason = "other_document"      // the chip holds the data of another document than its key
	ReasonByCAN          result.Reason = "opened_by_can"       // the chip was not opened with a key from the MRZ
	ReasonZoneDiffers    result.Reason = "zone_differs"        // DG1 is not the zone that is printed on the document
	ReasonOfferAltered   result.Reason = "offer_altered"       // EF.CardAccess offers something else than DG14
	ReasonOfferHidden    result.Reason = "offer_hidden"        // DG14 offers PACE and EF.CardAccess was not to be had
	ReasonOfferUnsigned  result.Reason = "offer_unsigned"      // EF.CardAccess offers PACE and nothing signed confirms it
	ReasonPersonMismatch result.Reason = "person_mismatch"     // DG1 and DG13 hold different names or birth dates
	ReasonNumberMismatch result.Reason = "number_mismatch"     // DG1 and DG13 hold different document or person numbers
	ReasonKeyCompromised result.Reason = "key_compromised"     // a defect list says that others have the document's private keys
	ReasonDiffers        result.Reason = "com_differs"         // EF.COM is not what EF.SOD says
	ReasonNonconforming  result.Reason = "nonconforming"       // something deviates from the standard, see [Report.Deviations]
	ReasonExpired        result.Reason = "document_expired"    // the expiry date is past
	ReasonNoExpiry       result.Reason = "expiry_unreadable"   // the expiry date cannot be understood
)

// Check is one line of a report.
type Check struct {
	ID ID `json:"id"`
	result.Check
	// Millis is how long the check took, exchanges included, in milliseconds;
	// zero when [Config.Now] was nil or the check was part of another.
	Millis float64 `json:"millis,omitempty"`
}

// GroupState says what became of one elementary file.
type GroupState uint8

// The states of a file. The zero value is a file that nobody asked for.
const (
	NotRequested GroupState = iota // not asked for, or not wanted although it could be read
	Read                           // read completely
	Absent                         // the chip does not have it
	Denied                         // the chip refuses it: DG3 and DG4 without being asked, but for [Config.All]
	Unreadable                     // a fault while reading
)

var groupStates = [...]string{"not_requested", "read", "absent", "denied", "unreadable"}

// String returns the state's name.
func (s GroupState) String() string {
	if int(s) < len(groupStates) {
		return groupStates[s]
	}
	return fmt.Sprintf("inspect.GroupState(%d)", uint8(s))
}

// MarshalText implements [encoding.TextMarshaler].
func (s GroupState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Evidence is what another party needs to repeat the judgement later: the
// files as they were read, and the chip's signature. It is personal data.
type Evidence struct {
	SOD, DG1, DG14, DG15 []byte
	// Challenge is RND.IFD of active authentication and Signature the chip's
	// answer; nil when active authentication was not performed.
	Challenge []byte
	Signature []byte
}

// Report is the outcome of one inspection. It belongs to the caller of [Run],
// is not safe for concurrent use, and holds personal data: never log it.
type Report struct {
	At     time.Time // the time of inspection that the caller gave
	Access string    // access protocol and cipher: "BAC 3DES"; empty when the chip did not open
	Key    int       // index of the key candidate that opened the chip; -1 when none did

	// Groups has a state for EF.COM's and EF.SOD's data groups by number, as far
	// as they were looked at or are listed in the security object.
	Groups map[int]GroupState

	MRZ   *mrz.MRZ    // DG1 as read; nil when it was not. See [Report.TextVerified].
	DG13  *vn.DG13    // DG13 as read, if it is a Vietnamese citizen card's and speaks of the person in DG1
	Photo *face.Image // the first face of DG2, not decoded
	// PhotoNote says why there is no photo, empty when there is one or it was not wanted.
	PhotoNote result.Reason

	// What [Config.All] asks for; nil when it was not read, does not have the
	// signed hash (EF.DIR and EF.COM have none) or cannot be understood.
	DIR  *lds.DIR // which applications the chip says it has; not signed
	COM  *lds.COM
	DG7  *lds.DG7  // signature or usual mark
	DG11 *lds.DG11 // additional personal details
	DG12 *lds.DG12 // additional document details
	DG16 *lds.DG16 // persons to notify: personal data of others

	// Signer is the document signer certificate that the security object names;
	// Issuer names the trust anchor it chains to.
	Signer       *cms.Certificate
	IssuerSource string // where the trust anchor came from
	// Deviations is what is not as the standard has it, and what was done about
	// it: a closed set of words without card data. In strict mode there are more.
	Deviations []string
	// Weak is what the judgement rests on and today's standards would not accept
	// any more: keys and signatures with less than 112 bits of security, of the
	// signer, its CSCA and the chip ("document signer key, RSA-1024"). A closed set
	// of words and names of algorithms, which no check takes into account: whether
	// to is policy.
	Weak []string

	Evidence Evidence

	Exchanges      int // APDUs sent
	Sent, Received int // bytes, both with headers and status words

	checks map[ID]*Check
}

const redacted = "[redacted]"

// Format prints "[redacted]" for every verb: a report, and a copy of
// one, is personal data.
func (Report) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText gives "[redacted]", so that no encoder writes a report by itself.
func (Report) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Format prints "[redacted]" for every verb.
func (Evidence) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText gives "[redacted]".
func (Evidence) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Checks returns a copy of every check in the order of [IDs], each once,
// performed or not, and then those of [OptionalIDs] that were asked for.
func (r *Report) Checks() []Check {
	out := make([]Check, 0, len(r.checks))
	for _, id := range IDs() {
		out = append(out, r.check(id))
	}
	for _, id := range OptionalIDs() {
		if c := r.check(id); c.Value != result.NotPerformed {
			out = append(out, c)
		}
	}
	return out
}

// Check returns one check's outcome. A nil report has performed nothing.
func (r *Report) Check(id ID) result.Check { return r.check(id).Check }

func (r *Report) check(id ID) Check {
	if r != nil {
		if c, ok := r.checks[id]; ok {
			return *c
		}
	}
	return Check{ID: id}
}

func (r *Report) set(id ID, c result.Check) {
	if r.checks == nil {
		r.checks = make(map[ID]*Check)
	}
	if old, ok := r.checks[id]; ok {
		old.Check = c
		return
	}
	r.checks[id] = &Check{ID: id, Check: c}
}

// GenuineIDs are the checks that make a document's data trustworthy (passive
// authentication): all of them must be Successful before the text of the chip
// may be shown as verified.
func GenuineIDs() []ID {
	return []ID{AccessControl, SODSignature, SignerValidity, TrustChain, IssuingState, DG1Integrity}
}

// TextVerified reports whether the person's text data ([Report.MRZ], and
// [Report.DG13] when it was read) is what a trusted issuer signed. It says
// nothing about whether the chip is a copy.
func (r *Report) TextVerified() bool {
	if r == nil || r.MRZ == nil || r.Err(GenuineIDs()...) != nil {
		return false
	}
	return r.DG13 == nil || r.Check(DG13Integrity).Value == result.Successful
}

// CheckError reports the first required check that was not successful.
type CheckError struct {
	ID    ID
	Check result.Check
}

// Error names the check, its value and its reason; it holds no personal data.
func (e *CheckError) Error() string {
	if e.Check.Reason == "" {
		return fmt.Sprintf("inspect: %s %s", e.ID, e.Check.Value)
	}
	return fmt.Sprintf("inspect: %s %s: %s", e.ID, e.Check.Value, e.Check.Reason)
}

// Err returns nil only if every required check is Successful, else a
// [*CheckError] for the worst of them: one that failed before one that cannot
// tell. Without arguments it requires [GenuineIDs], [PassiveAuthentication] and
// [ChipAuthenticity].
func (r *Report) Err(required ...ID) error {
	if len(required) == 0 {
		required = append(GenuineIDs(), PassiveAuthentication, ChipAuthenticity)
	}
	var first *CheckError
	for _, id := range required {
		c := r.Check(id)
		if c.Value == result.Successful {
			continue
		}
		if first == nil || (c.Value == result.Failed && first.Check.Value != result.Failed) {
			first = &CheckError{ID: id, Check: c}
		}
	}
	if first == nil {
		return nil
	}
	return first
}

// StrictErr is the strictest reading of a report, that of BSI TR-03105 Part 5.1: nil
// only if an inspection with [Config.Photo], [Config.All] and [Config.Strict] found
// nothing to object to. Every check has to be successful that the document gives cause
// for; EF.COM has to agree with EF.SOD, and nothing may deviate from the standard.
// Only what the document does not have may be missing: access control, a protocol
// against copying, an optional data group, a revocation list. Otherwise it is a
// [*CheckError] for the worst check. What a site does about it is its policy, in
// package policy of the agent; a desk tolerates more.
func (r *Report) StrictErr() error {
	var required []ID
	for _, id := range append(IDs(), OptionalIDs()...) {
		if c := r.Check(id); !excused(id, c) {
			required = append(required, id)
		}
	}
	return r.Err(append(required, SODSignature, TrustChain, DG1Integrity, DG2Integrity, COMConsistency, Conformity)...)
}

// excused reports whether a check need not be successful for [Report.StrictErr].
func excused(id ID, c result.Check) bool {
	switch {
	case c.Value == result.Failed || c.Value == result.Aborted:
		return false
	case id == AccessControl:
		return c.Reason == ReasonUnprotected
	case id == Revocation:
		return c.Reason == passiveauth.NoRevocationInformation
	case c.Value == result.Undetermined:
		return false
	case id == PACECAM || id == ChipAuthentication || id == ActiveAuthentication:
		return true // nobody needs all of them: ChipAuthenticity says what they come to
	}
	switch c.Reason {
	case "", ReasonNotCovered, ReasonByCAN:
		return true // the document has nothing of the kind, or it was not asked for
	case ReasonAbsent:
		return id == CardAccess // nothing was offered; a data group was signed and is not there
	}
	return false
}
