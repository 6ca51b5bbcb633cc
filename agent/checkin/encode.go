package checkin

import (
	"fmt"
	"time"

	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/lds"
)

// EncodeReport returns r and what policy says of it as JSON types.
func EncodeReport(r *inspect.Report, d policy.Decision) *wire.Report {
	out := &wire.Report{Decision: d.Outcome.String(), Groups: make(map[string]string), Access: r.Access, Deviations: r.Deviations}
	for _, c := range r.Checks() {
		out.Checks = append(out.Checks, wire.Check{
			ID: string(c.ID), Result: c.Value.String(), Reason: string(c.Reason), Algorithm: c.Algorithm, Millis: c.Millis,
		})
	}
	for _, reason := range d.Reasons {
		s := fmt.Sprintf("%s: %s %s", reason.Outcome, reason.ID, reason.Check.Value)
		if reason.Check.Reason != "" {
			s += " (" + string(reason.Check.Reason) + ")"
		}
		out.Reasons = append(out.Reasons, s)
	}
	for dg, state := range r.Groups {
		if f, ok := lds.DataGroup(dg); ok {
			out.Groups[f.Name] = state.String()
		}
	}
	if s := r.Signer; s != nil {
		out.Signer = &wire.Signer{
			Country:   s.IssuerCountry(),
			NotBefore: s.NotBefore.Format(time.RFC3339),
			NotAfter:  s.NotAfter.Format(time.RFC3339),
			Anchor:    r.IssuerSource,
		}
	}
	return out
}

// EncodePerson returns what the chip says about its holder, or nil when DG1
// was not read. A person on a card that policy refuses is never verified,
// whoever signed the text.
func EncodePerson(r *inspect.Report, d policy.Decision) *wire.Person {
	if r.MRZ == nil {
		return nil
	}
	p := person(r)
	out := &wire.Person{
		Verified:       r.TextVerified() && d.Outcome != policy.Refuse,
		SignedByIssuer: r.TextVerified(),
		Name:           p.Name,
		NameMRZ:        mrzName(r.MRZ),
		Number:         p.Number,
		DocumentNumber: p.DocumentNumber,
		BirthDate:      string(p.BirthDate),
		Sex:            string(p.Sex),
		Nationality:    p.Nationality,
		Expiry:         string(p.Expiry),
		Photo:          photo(r),
	}
	if r.DG13 != nil {
		out.Residence = r.DG13.Residence
	}
	return out
}

func photo(r *inspect.Report) string {
	switch {
	case r.Photo != nil:
		return fmt.Sprintf("%s %dx%d, %d bytes", r.Photo.Format, r.Photo.Width, r.Photo.Height, len(r.Photo.Data))
	case r.PhotoNote != "":
		return "none: " + string(r.PhotoNote)
	default:
		return "not read"
	}
}

// EncodeOutcome returns the part of an outcome that the inspection alone
// decides; the caller sets the verdict, and what became of the visit.
func EncodeOutcome(r *inspect.Report, d policy.Decision, timings map[string]float64) *wire.Outcome {
	return &wire.Outcome{
		Report: EncodeReport(r, d), Person: EncodePerson(r, d), TimingsMS: timings,
		Exchanges: r.Exchanges, Bytes: r.Sent + r.Received, BytesSent: r.Sent, BytesReceived: r.Received,
	}
}
