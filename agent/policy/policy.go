// Package policy decides what a site does with an inspection report: accept,
// accept with a warning, or refuse. The report judges nothing by itself; what
// is required is here, and only here.
package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/sync/contract"
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

// A Reason is one thing that kept a report from being accepted outright: a check,
// or an algorithm that is weak.
type Reason struct {
	Outcome Outcome      `json:"outcome"`
	ID      inspect.ID   `json:"check,omitempty"`
	Check   result.Check `json:"result"`
	Weak    string       `json:"weak,omitempty"` // as in [inspect.Report.Weak]; ID is empty then
	// Means is how a person identified themselves who showed no chip; the fields above
	// are empty then.
	Means contract.Means `json:"means,omitempty"`
}

// String returns the reason in a line, without personal data.
func (r Reason) String() string {
	switch {
	case r.Means != "":
		return fmt.Sprintf("%s: not verified (%s)", r.Outcome, r.Means)
	case r.Weak != "":
		return fmt.Sprintf("%s: weak %s", r.Outcome, r.Weak)
	case r.Check.Reason != "":
		return fmt.Sprintf("%s: %s %s (%s)", r.Outcome, r.ID, r.Check.Value, r.Check.Reason)
	}
	return fmt.Sprintf("%s: %s %s", r.Outcome, r.ID, r.Check.Value)
}

// ErrWeak reports a document whose proof rests on an algorithm or a key that is too
// weak for the site.
var ErrWeak = errors.New("policy: weak algorithm")

// ErrMeans reports a way of identification that the site does not take.
var ErrMeans = errors.New("policy: means of identification not accepted here")

// A Decision is what a [Policy] says of one report.
type Decision struct {
	Outcome Outcome  `json:"outcome"`
	Reasons []Reason `json:"reasons,omitempty"` // those that refuse first, each group in the order of the report
}

// Err returns nil unless the decision refuses; then an [*inspect.CheckError]
// for the check that names the cause best: the first that failed, else the
// first that could not tell. [ErrWeak] is for a document that has no other fault.
func (d Decision) Err() error {
	if d.Outcome != Refuse {
		return nil
	}
	var first *inspect.CheckError
	weak := ""
	for _, r := range d.Reasons {
		if r.Outcome != Refuse {
			continue
		}
		if r.Weak != "" {
			weak = r.Weak
			continue
		}
		if r.Means != "" {
			return fmt.Errorf("%w: %w", ErrMeans, &inspect.CheckError{})
		}
		e := &inspect.CheckError{ID: r.ID, Check: r.Check}
		if first == nil || r.Check.Value == result.Failed && first.Check.Value != result.Failed {
			first = e
		}
	}
	if first == nil && weak != "" {
		return fmt.Errorf("%w: %s", ErrWeak, weak)
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
	// Revocation says what to do when no current revocation list can tell whether
	// the signer is revoked.
	Revocation Revocation
	// Weak says what to do when a result rests on an algorithm or a key that is
	// weak by today's measure.
	Weak Weak
	// AllowExpired accepts an expired document with a warning.
	AllowExpired bool
	// AllowBAC opens a chip by basic access control after the PACE that it offers
	// was begun and failed, and accepts that with a warning. Whoever overhears it can
	// guess the key of basic access control afterwards, and whoever sits between can
	// make PACE fail.
	AllowBAC bool
	// RefuseNoPhoto refuses a document that has no photo, instead of accepting it with
	// a warning: nobody can be compared with it.
	RefuseNoPhoto bool
	// Refused are the ways without a chip that the site does not take. Whoever comes
	// by another one is checked in with a warning, and is never verified.
	Refused RefusedMeans
}

// RefusedMeans says which ways without a chip a site refuses. The zero value refuses
// none: whoever lost the card, and every child without one, is ill all the same.
type RefusedMeans struct{ CardQR, InsuranceQR, VNeID, Manual bool }

// DecideMeans applies the policy to a person who showed no chip. It never says
// Accept, and refuses what it does not know: a chip is judged by its report.
func (p Policy) DecideMeans(m contract.Means) Decision {
	refused, known := map[contract.Means]bool{
		contract.MeansCCCDQR:  p.Refused.CardQR,
		contract.MeansHIQR:    p.Refused.InsuranceQR,
		contract.MeansVNeIDQR: p.Refused.VNeID,
		contract.MeansManual:  p.Refused.Manual,
	}[m]
	d := Decision{Outcome: Warn}
	if refused || !known {
		d.Outcome = Refuse
	}
	d.Reasons = []Reason{{Outcome: d.Outcome, Means: m}}
	return d
}

// Prepare has an inspection do what the policy needs and allows. It changes nothing
// else in c.
func (p Policy) Prepare(c *inspect.Config) {
	c.FallBackToBAC = p.AllowBAC
	c.Photo = c.Photo || p.RefuseNoPhoto // whether there is one shows only to those who ask
}

// Revocation is what a site does when it cannot be told whether a signer is
// revoked. A revoked signer is refused whatever it says.
type Revocation uint8

// What to do. The default warns when the issuer's list is there and outdated, which
// somebody forgot to renew, and accepts when there is none: most states publish no
// list that can be had, and a warning that is always there is not read.
const (
	WarnOutdated      Revocation = iota
	RequireRevocation            // refuse in both cases
	WarnRevocation               // warn in both cases
	IgnoreRevocation             // accept in both cases
)

// Weak is what a site does about weak algorithms and keys.
type Weak uint8

// What to do. The default warns: old documents are valid for ten years.
const (
	WarnWeak Weak = iota
	RefuseWeak
	AcceptWeak
)

// Decide applies the policy. A nil report, and any check in a state that the
// policy does not know, refuses.
func (p Policy) Decide(r *inspect.Report) Decision {
	var refuse, warn []Reason
	add := func(o Outcome, r Reason) {
		r.Outcome = o
		switch o {
		case Accept:
		case Warn:
			warn = append(warn, r)
		default:
			r.Outcome = Refuse
			refuse = append(refuse, r)
		}
	}
	for _, id := range inspect.IDs() {
		c := r.Check(id)
		add(p.outcome(id, c.Value, r), Reason{ID: id, Check: c})
	}
	// Those that were not asked for say nothing.
	for _, id := range inspect.OptionalIDs() {
		if c := r.Check(id); c.Value != result.NotPerformed {
			add(p.outcome(id, c.Value, r), Reason{ID: id, Check: c})
		}
	}
	if r != nil {
		for _, w := range r.Weak {
			add(p.weak(), Reason{Weak: w})
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
	if id == inspect.AccessControl && r.Check(id).Reason == inspect.ReasonPACEFailed && v == result.Successful {
		if p.AllowBAC {
			return Warn
		}
		return Refuse
	}
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
		case v == result.NotSupported && !p.RefuseNoPhoto:
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
		if v == result.NotPerformed || v == result.Undetermined {
			return p.revocation(r.Check(id).Reason)
		}
	case inspect.DataConsistency:
		if v == result.NotPerformed || v == result.Undetermined {
			return Accept // nothing to compare with
		}
	case inspect.DocumentValidity:
		if v == result.Failed && p.AllowExpired {
			return Warn
		}
	case inspect.COMConsistency:
		// EF.COM is not signed and nothing rests on it. Documents whose issuer wrote
		// it wrongly are in the field.
		if v == result.Failed || v == result.Aborted {
			return Warn
		}
		if v == result.NotSupported || v == result.Undetermined {
			return Accept
		}
	case inspect.Conformity:
		if v == result.Failed {
			return Warn // genuine, and not as the standard has it
		}
	default:
		if slices.Contains(inspect.OptionalIDs(), id) { // a data group that only a diagnosis reads
			switch {
			case v == result.NotSupported && r.Check(id).Reason == inspect.ReasonNotCovered:
				return Accept // the document has none
			case v == result.NotSupported, v == result.Aborted:
				return Warn // the chip keeps back what its issuer signed
			}
		}
	}
	return Refuse
}

// revocation says what it means that nobody could tell, for this reason.
func (p Policy) revocation(why result.Reason) Outcome {
	switch p.Revocation {
	case IgnoreRevocation:
		return Accept
	case WarnRevocation:
		return Warn
	case WarnOutdated:
		if why == passiveauth.RevocationListOutdated {
			return Warn
		}
		if why == "" || why == passiveauth.NoRevocationInformation {
			return Accept // that no list is to be had is IT's matter, not the receptionist's
		}
		return Warn // somebody says something about the signer, and it is not clear what
	}
	return Refuse
}

func (p Policy) weak() Outcome {
	switch p.Weak {
	case AcceptWeak:
		return Accept
	case WarnWeak:
		return Warn
	}
	return Refuse
}
