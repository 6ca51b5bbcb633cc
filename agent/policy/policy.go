// Package policy decides what a site does with an inspection report: accept,
// accept with a warning, or refuse. The report judges nothing by itself; what
// is required is here, and only here.
package policy

import (
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/result"
)

// An Outcome is what the desk does. The zero value refuses.
type Outcome uint8

// The outcomes.
const (
	Refuse Outcome = iota // do not check in as verified
	Warn                  // check in, and tell the receptionist why to look twice
	Accept                // check in
)

var outcomes = [...]string{"refuse", "warn", "accept"}

// String returns the outcome's name.
func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return "refuse"
}

// MarshalText implements [encoding.TextMarshaler].
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// A Reason is one check that kept a report from being accepted outright.
type Reason struct {
	Outcome Outcome      `json:"outcome"`
	ID      inspect.ID   `json:"check"`
	Check   result.Check `json:"result"`
}

// A Decision is what a [Policy] says of one report.
type Decision struct {
	Outcome Outcome  `json:"outcome"`
	Reasons []Reason `json:"reasons,omitempty"` // those that refuse first, each group in the order of the report
}

// Err returns nil unless the decision refuses; then an [*inspect.CheckError]
// for the check that names the cause best: the first that failed, else the
// first that could not tell.
func (d Decision) Err() error {
	if d.Outcome != Refuse {
		return nil
	}
	var first *inspect.CheckError
	for _, r := range d.Reasons {
		if r.Outcome != Refuse {
			continue
		}
		e := &inspect.CheckError{ID: r.ID, Check: r.Check}
		if first == nil || r.Check.Value == result.Failed && first.Check.Value != result.Failed {
			first = e
		}
	}
	if first == nil { // a decision that nobody made
		return &inspect.CheckError{}
	}
	return first
}

// A Policy is what a site requires. The zero value is the default: everything
// that a document can prove it must prove; a document without any means of
// proving its chip is accepted with a warning.
type Policy struct {
	// RequireChipAuthenticity refuses documents that offer no protocol against
	// copying, instead of accepting them with a warning.
	RequireChipAuthenticity bool
	// RequireRevocation refuses when no revocation list of the issuer is known.
	RequireRevocation bool
	// AllowExpired accepts an expired document with a warning.
	AllowExpired bool
}

// Decide applies the policy. A nil report, and any check in a state that the
// policy does not know, refuses.
func (p Policy) Decide(r *inspect.Report) Decision {
	var refuse, warn []Reason
	for _, id := range inspect.IDs() {
		c := r.Check(id)
		switch p.outcome(id, c.Value, r) {
		case Accept:
		case Warn:
			warn = append(warn, Reason{Warn, id, c})
		default:
			refuse = append(refuse, Reason{Refuse, id, c})
		}
	}
	d := Decision{Outcome: Accept, Reasons: append(refuse, warn...)}
	if len(refuse) > 0 {
		d.Outcome = Refuse
	} else if len(warn) > 0 {
		d.Outcome = Warn
	}
	return d
}

// outcome says what one check's value means. Whatever is not named refuses.
func (p Policy) outcome(id inspect.ID, v result.Value, r *inspect.Report) Outcome {
	if v == result.Successful {
		return Accept
	}
	switch id {
	case inspect.KeyBinding:
		if v == result.NotSupported {
			return Accept // opened by the card access number, which says nothing of the MRZ
		}
	case inspect.CardAccess:
		switch v {
		case result.NotSupported, result.NotPerformed:
			return Accept // nothing was offered, in the clear or signed
		case result.Undetermined:
			return Warn
		}
	case inspect.DG13Integrity:
		switch {
		case v == result.NotSupported && r.Check(id).Reason == inspect.ReasonNotCovered:
			return Accept // the document has none
		case v == result.NotSupported:
			return Warn // the chip keeps back what its issuer signed
		}
	case inspect.DG14Integrity, inspect.DG15Integrity:
		// Not every document has them. One that the issuer signed and that does
		// not match has Failed, and is refused below.
		if v == result.NotSupported || (v == result.NotPerformed && id == inspect.DG15Integrity) {
			return Accept
		}
	case inspect.DG2Integrity:
		switch {
		case v == result.NotPerformed && r != nil && r.Groups[2] == inspect.NotRequested:
			return Accept // nobody asked for the photo
		case v == result.NotSupported:
			return Warn // a card without a photo (a child's): the receptionist cannot compare
		}
	case inspect.ActiveAuthentication, inspect.ChipAuthentication, inspect.PACECAM:
		// What they are worth is judged through ChipAuthenticity; but a proof that
		// failed is never overlooked, whatever key it was for.
		if v == result.NotPerformed || v == result.NotSupported || v == result.Undetermined {
			return Accept
		}
	case inspect.ChipAuthenticity:
		if v == result.NotSupported && !p.RequireChipAuthenticity {
			return Warn
		}
	case inspect.Revocation:
		if (v == result.NotPerformed || v == result.Undetermined) && !p.RequireRevocation {
			return Accept // no list known: its age is IT's matter, not the receptionist's
		}
	case inspect.DataConsistency:
		if v == result.NotPerformed || v == result.Undetermined {
			return Accept // nothing to compare with
		}
	case inspect.DocumentValidity:
		if v == result.Failed && p.AllowExpired {
			return Warn
		}
	}
	return Refuse
}
