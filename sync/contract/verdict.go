package contract

import (
	"slices"
	"time"
)

// Verdict is the central service's word on one visit.
type Verdict struct {
	Version   int          `json:"version" is:"version"`
	Visit     string       `json:"visit" is:"uuid7"` // the visit's ID
	Agent     string       `json:"agent" is:"agent"` // who sent it
	State     VerdictState `json:"state"`
	Reason    Reason       `json:"reason,omitempty" is:"reason"` // why not accepted
	Assurance Assurance    `json:"assurance,omitempty"`          // only when accepted
	Presence  *Presence    `json:"presence,omitempty"`           // only with AssuranceChip
	At        time.Time    `json:"at"`                           // central time
}

// VerdictState is what became of a visit.
type VerdictState string

// The states. Accepted is final; a rejected visit may be accepted later, when
// the central service has changed its mind (a trust anchor arrived, say).
const (
	VerdictAccepted VerdictState = "accepted"
	VerdictRejected VerdictState = "rejected"
	VerdictRetry    VerdictState = "retry" // not decided yet; the central service has the visit and will decide
)

func (VerdictState) values() []string {
	return []string{string(VerdictAccepted), string(VerdictRejected), string(VerdictRetry)}
}

// Assurance is how much an accepted visit proves.
type Assurance string

// The levels, strongest first.
const (
	AssuranceChip     Assurance = "chip-verified" // the insurer verified that this chip was present for this visit
	AssuranceAttested Assurance = "attested"      // a chip was read, but its presence rests on the agent's word
	AssuranceDeclared Assurance = "declared"      // a QR code or a typed number: a claim
)

func (Assurance) values() []string {
	return []string{string(AssuranceChip), string(AssuranceAttested), string(AssuranceDeclared)}
}

// Presence is the window in which the chip was present: after the nonce in its
// challenge was issued and before the visit arrived, both by the central
// service's clock. The agent's own clock plays no part in it.
type Presence struct {
	From time.Time `json:"from,omitzero"` // absent when the agent never had a nonce: no lower bound
	To   time.Time `json:"to"`
}

// Reason says why a visit is not accepted. The set is closed for who writes a
// verdict; who reads one keeps a reason that it does not know, because a
// verdict that cannot be read would leave the visit in the queue for ever.
type Reason string

// The reasons.
const (
	ReasonMalformed            Reason = "malformed"             // not a valid visit
	ReasonUnsupportedVersion   Reason = "unsupported_version"   //
	ReasonUnknownAgent         Reason = "unknown_agent"         // nobody enrolled this key, or not for this facility
	ReasonAgentSignature       Reason = "agent_signature"       // the agent's signature does not hold
	ReasonSubjectMismatch      Reason = "subject_mismatch"      // subject, header and visit name different senders
	ReasonConflict             Reason = "conflict"              // another visit with this id exists
	ReasonTime                 Reason = "time"                  // of earlier versions: clocks alone reject nothing now
	ReasonEvidenceMissing      Reason = "evidence_missing"      // "verified" without what proves it
	ReasonEvidenceMalformed    Reason = "evidence_malformed"    // EF.SOD or a data group cannot be read
	ReasonNonceUnknown         Reason = "nonce_unknown"         // the central service issued another nonce under this id
	ReasonChallenge            Reason = "challenge"             // the challenge is not this visit's
	ReasonSODSignature         Reason = "sod_signature"         // the signature over EF.SOD does not hold
	ReasonHashMismatch         Reason = "hash_mismatch"         // DG1, DG14 or DG15 differs from what the issuer signed
	ReasonNotCovered           Reason = "not_covered"           // a data group is not covered by EF.SOD
	ReasonChain                Reason = "chain"                 // the signer's certificate is not the issuer's
	ReasonNoTrustAnchor        Reason = "no_trust_anchor"       // the issuing state is not known: neither genuine nor forged
	ReasonSignerExpired        Reason = "signer_expired"        //
	ReasonSignerRevoked        Reason = "signer_revoked"        //
	ReasonChipSignature        Reason = "chip_signature"        // the chip's signature does not hold
	ReasonPersonMismatch       Reason = "person_mismatch"       // the person is not the one in DG1
	ReasonCardHolder           Reason = "card_holder"           // the card in the entitlement is another person's
	ReasonCardUnknown          Reason = "card_unknown"          // the card in the entitlement is not on record: a doubt, no rejection
	ReasonUnsupportedAlgorithm Reason = "unsupported_algorithm" //
	ReasonUnavailable          Reason = "unavailable"           // retry: a store or trust material is out of reach
)

var reasons = []Reason{
	ReasonMalformed, ReasonUnsupportedVersion, ReasonUnknownAgent, ReasonAgentSignature, ReasonSubjectMismatch, ReasonConflict,
	ReasonTime, ReasonEvidenceMissing, ReasonEvidenceMalformed, ReasonNonceUnknown, ReasonChallenge, ReasonSODSignature,
	ReasonHashMismatch, ReasonNotCovered, ReasonChain, ReasonNoTrustAnchor, ReasonSignerExpired, ReasonSignerRevoked,
	ReasonChipSignature, ReasonPersonMismatch, ReasonCardHolder, ReasonCardUnknown, ReasonUnsupportedAlgorithm, ReasonUnavailable,
}

// Reasons returns every reason, in the order of declaration.
func Reasons() []Reason { return slices.Clone(reasons) }

// Known reports whether r is one of the constants.
func (r Reason) Known() bool { return slices.Contains(reasons, r) }

func (v *Verdict) consistent() error {
	accepted := v.State == VerdictAccepted
	switch {
	case accepted && v.Reason != "":
		return fail(Inconsistent, "reason")
	case !accepted && v.Reason == "":
		return fail(Missing, "reason")
	case accepted && v.Assurance == "":
		return fail(Missing, "assurance")
	case !accepted && v.Assurance != "":
		return fail(Inconsistent, "assurance")
	case (v.Presence != nil) != (v.Assurance == AssuranceChip):
		return fail(Inconsistent, "presence")
	case v.Presence != nil && v.Presence.From.After(v.Presence.To):
		return fail(Inconsistent, "presence.from")
	}
	return nil
}

// EncodeVerdict returns v as JSON. It refuses a reason that is not one of the
// constants.
func EncodeVerdict(v *Verdict) ([]byte, error) {
	if v.Reason != "" && !v.Reason.Known() {
		return nil, fail(Invalid, "reason")
	}
	return encode(v, MaxMessage, v.consistent)
}

// DecodeVerdict reads a verdict.
func DecodeVerdict(b []byte) (Verdict, error) {
	return decode[Verdict](b, MaxMessage, open, (*Verdict).consistent)
}
