package contract

import (
	"encoding/hex"
	"time"
)

// Visit is one person's arrival at a reception desk: who it was, how that is
// known, what the insurer was known to say, and the evidence. The agent signs
// the exact bytes that [EncodeVisit] returns; nobody re-encodes them.
//
// All times are UTC in whole milliseconds (see [Timestamp]).
type Visit struct {
	Version     int          `json:"version" is:"version"`
	ID          string       `json:"id" is:"uuid7"`                  // see NewID
	Facility    string       `json:"facility" is:"facility"`         // facility code, "01013"
	Agent       string       `json:"agent" is:"agent"`               // agent's public NATS user nkey
	Operator    string       `json:"operator,omitempty" is:"text64"` // who sat at the desk, as the facility names them
	StartedAt   time.Time    `json:"startedAt"`                      // the person's turn began
	RecordedAt  time.Time    `json:"recordedAt"`                     // the visit was put on record
	Clock       ClockQuality `json:"clock"`                          // how far the two times can be believed
	Means       Means        `json:"means"`                          // how the person was identified
	Verified    bool         `json:"verified"`                       // the chip proved it: see MayBeVerified
	Person      Person       `json:"person"`                         //
	Checks      []Check      `json:"checks,omitempty" is:"checks"`   // every check of the inspection, in order
	Entitlement Entitlement  `json:"entitlement"`                    // as known when the visit was recorded
	Evidence    *Evidence    `json:"evidence,omitempty"`             // only with MeansChip
}

// ClockQuality says how far an agent's clock can be believed.
type ClockQuality string

// The qualities of a clock.
const (
	ClockSynchronised   ClockQuality = "synchronised"   // the system says it follows a time server, or the central service's time agreed lately
	ClockUnsynchronised ClockQuality = "unsynchronised" // it is known to run free or to be wrong
	ClockUnknown        ClockQuality = "unknown"        // nobody could tell
)

func (ClockQuality) values() []string {
	return []string{string(ClockSynchronised), string(ClockUnsynchronised), string(ClockUnknown)}
}

// Means is how a person was identified. Only a chip can verify; a QR code and
// a typed number are claims.
type Means string

// The means of identification.
const (
	MeansChip    Means = "chip"
	MeansCCCDQR  Means = "cccd-qr"
	MeansHIQR    Means = "hi-qr"
	MeansVNeIDQR Means = "vneid-qr"
	MeansManual  Means = "manual"
)

func (Means) values() []string {
	return []string{string(MeansChip), string(MeansCCCDQR), string(MeansHIQR), string(MeansVNeIDQR), string(MeansManual)}
}

// Person holds what the insurer needs to know who came: from DG1 and DG13 when
// a chip was read, else from the QR code or the keyboard. At least one of name
// and the three numbers is present.
type Person struct {
	Number          string `json:"number,omitempty" is:"number"`                   // personal identification number: 12 digits for citizens
	Name            string `json:"name,omitempty" is:"text128"`                    // with tone marks when known
	BirthDate       Date   `json:"birthDate,omitempty" is:"date"`                  // day or month may be unknown
	Sex             Sex    `json:"sex,omitempty"`                                  //
	Nationality     string `json:"nationality,omitempty" is:"country"`             // three letters as in an MRZ, "VNM"
	DocumentNumber  string `json:"documentNumber,omitempty" is:"document"`         //
	Expiry          Date   `json:"expiry,omitempty" is:"date"`                     // of the document; absent when it has none
	InsuranceNumber string `json:"insuranceNumber,omitempty" is:"insuranceNumber"` // 15 characters or 10 digits, from an HI QR or the keyboard
}

// Sex as in Doc 9303-3: unspecified is what "<" says.
type Sex string

// The sexes that a document can state.
const (
	SexMale        Sex = "male"
	SexFemale      Sex = "female"
	SexUnspecified Sex = "unspecified"
)

func (Sex) values() []string {
	return []string{string(SexMale), string(SexFemale), string(SexUnspecified)}
}

// Check is the outcome of one check of the inspection.
type Check struct {
	ID        string `json:"id" is:"checkID"`                    // "passive_authentication", see the constants
	Result    Result `json:"result"`                             //
	Reason    string `json:"reason,omitempty" is:"reason"`       // snake_case, of the check's own closed set
	Algorithm string `json:"algorithm,omitempty" is:"algorithm"` // as a person would write it: "ECDSA SHA-256"
	Millis    int64  `json:"millis" is:"millis"`                 // how long it took
}

// Checks that this package itself reasons about. There are more; their ids are
// the inspection's.
const (
	CheckPassiveAuthentication = "passive_authentication" // EF.SOD signature, chain and hashes of every group read, as one
	CheckActiveAuthentication  = "active_authentication"
	CheckChipAuthentication    = "chip_authentication"
	CheckChipAuthenticity      = "chip_authenticity" // any of the protocols against copies, as one
)

// Result is the value of a [Check]: the vocabulary of BSI TR-03135-1, 5.2, and
// "not_performed".
type Result string

// The results.
const (
	NotPerformed Result = "not_performed"
	Successful   Result = "successful"
	Failed       Result = "failed"
	Undetermined Result = "undetermined"
	NotSupported Result = "not_supported"
	Aborted      Result = "aborted"
)

func (Result) values() []string {
	return []string{string(NotPerformed), string(Successful), string(Failed), string(Undetermined), string(NotSupported), string(Aborted)}
}

// Evidence lets the insurer verify a visit without trusting the clinic: the
// issuing state signed the hashes of DG1 and DG15 (SOD), and the chip, whose
// public key is in DG15, signed a challenge that belongs to this visit only.
// DG13 is not part of it: it holds what the insurer must not have.
//
// A chip without active authentication leaves DG15 and Signature empty; such a
// visit is attested by the agent at most.
type Evidence struct {
	SOD       []byte    `json:"sod" is:"sod"`                 // EF.SOD as read, tag 77
	DG1       []byte    `json:"dg1" is:"dg1"`                 // as read, tag 61
	DG14      []byte    `json:"dg14,omitempty" is:"dg14"`     // as read, tag 6E: may name the algorithm of the signature
	DG15      []byte    `json:"dg15,omitempty" is:"dg15"`     // as read, tag 6F
	Time      time.Time `json:"time"`                         // when the challenge was made
	Nonce     *Nonce    `json:"nonce,omitempty"`              // the latest that the agent held; absent when it never had one
	Challenge RNDIFD    `json:"challenge"`                    // as sent to the chip; never believed, see Visit.ExpectedChallenge
	Signature []byte    `json:"signature,omitempty" is:"sig"` // the chip's answer
}

// RNDIFD is the challenge of active authentication, RND.IFD in Doc 9303-11,
// 6.1. In JSON it is 16 lower-case hexadecimal digits.
type RNDIFD [8]byte

// MarshalText implements [encoding.TextMarshaler].
func (r RNDIFD) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, r[:]), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It leaves r alone when
// the text is not 16 hexadecimal digits.
func (r *RNDIFD) UnmarshalText(text []byte) error {
	var v RNDIFD
	if len(text) != hex.EncodedLen(len(v)) {
		return fail(Invalid, "challenge")
	}
	if _, err := hex.Decode(v[:], text); err != nil {
		return fail(Invalid, "challenge")
	}
	*r = v
	return nil
}

// Nonce is a random value that the central service hands out. Nobody can know
// it before IssuedAt, so a chip that signed a challenge made from it was
// present after IssuedAt.
type Nonce struct {
	Version  int       `json:"version" is:"version"`
	ID       string    `json:"id" is:"nonceID"` // by which the central service finds its own copy
	Value    []byte    `json:"value" is:"nonce"`
	IssuedAt time.Time `json:"issuedAt"` // central time
}

// MayBeVerified reports whether v carries what the word "verified" needs: a
// chip as the means, EF.SOD and DG1 as evidence, passive authentication
// successful and no check failed. It is the upper bound: a site's policy may
// ask for more, never for less, and a Visit with Verified set for which this
// is false can be neither encoded nor decoded.
func (v *Visit) MayBeVerified() bool {
	if v.Means != MeansChip || v.Evidence == nil || len(v.Evidence.SOD) == 0 || len(v.Evidence.DG1) == 0 {
		return false
	}
	passive := false
	for _, c := range v.Checks {
		switch {
		case c.Result == Failed:
			return false
		case c.ID == CheckPassiveAuthentication:
			if c.Result != Successful {
				return false
			}
			passive = true
		}
	}
	return passive
}

// ExpectedChallenge returns the challenge that a chip must have signed for
// exactly this visit, with the nonce as the evidence states it. A verifier
// that holds its own copy of the nonce puts that one into the evidence first.
// Without evidence it returns zeros.
func (v *Visit) ExpectedChallenge() RNDIFD {
	if v.Evidence == nil {
		return RNDIFD{}
	}
	var nonce []byte
	if v.Evidence.Nonce != nil {
		nonce = v.Evidence.Nonce.Value
	}
	return Challenge(v.Facility, v.Agent, v.ID, v.Evidence.Time, nonce)
}

func (v *Visit) consistent() error {
	if v.Verified && !v.MayBeVerified() {
		return fail(Inconsistent, "verified")
	}
	if v.Evidence != nil && v.Means != MeansChip {
		return fail(Inconsistent, "evidence")
	}
	p := &v.Person
	if p.Name == "" && p.Number == "" && p.DocumentNumber == "" && p.InsuranceNumber == "" {
		return fail(Missing, "person")
	}
	if e := v.Evidence; e != nil && len(e.Signature) > 0 && len(e.DG15) == 0 {
		return fail(Inconsistent, "evidence.signature")
	}
	return v.Entitlement.consistent("entitlement")
}

// EncodeVisit returns v as JSON: the bytes to sign, to keep and to send. It
// returns an [*Error] for a visit that [DecodeVisit] would refuse.
func EncodeVisit(v *Visit) ([]byte, error) { return encode(v, MaxVisit, v.consistent) }

// DecodeVisit reads a visit. It checks neither the signature nor the evidence;
// see [OpenVisit].
func DecodeVisit(b []byte) (Visit, error) {
	return decode[Visit](b, MaxVisit, closed, (*Visit).consistent)
}

// EncodeNonce returns n as JSON.
func EncodeNonce(n *Nonce) ([]byte, error) { return encode(n, MaxMessage, nil) }

// DecodeNonce reads a nonce.
func DecodeNonce(b []byte) (Nonce, error) { return decode[Nonce](b, MaxMessage, open, nil) }
