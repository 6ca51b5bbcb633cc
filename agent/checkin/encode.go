package checkin

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/lds"
)

// EncodeReport returns r and what policy says of it as JSON types.
func EncodeReport(r *inspect.Report, d policy.Decision) *wire.Report {
	out := &wire.Report{Decision: d.Outcome.String(), Groups: make(map[string]string), Access: r.Access, Deviations: r.Deviations, Weak: r.Weak}
	for _, c := range r.Checks() {
		out.Checks = append(out.Checks, wire.Check{
			ID: string(c.ID), Result: c.Value.String(), Reason: string(c.Reason), Algorithm: c.Algorithm, Millis: c.Millis,
		})
	}
	for _, reason := range d.Reasons {
		out.Reasons = append(out.Reasons, reason.String())
	}
	if r.COM != nil {
		out.Groups[lds.EFCOM.Name] = inspect.Read.String()
	}
	if r.DIR != nil {
		for _, aid := range r.DIR.AIDs {
			out.Applications = append(out.Applications, strings.ToUpper(hex.EncodeToString(aid)))
		}
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
		Details:        details(r),
	}
	if r.DG13 != nil {
		out.Residence = r.DG13.Residence
	}
	return out
}

func photo(r *inspect.Report) string {
	switch {
	case r.Photo != nil:
		return fmt.Sprintf("%s %dx%d, %d bytes", r.Photo.Codec, r.Photo.Width, r.Photo.Height, len(r.Photo.Data))
	case r.PhotoNote != "":
		return "none: " + string(r.PhotoNote)
	default:
		return "not read"
	}
}

// details returns what was read of the optional data groups, or nil. The
// inspection hands out only what is as it was signed.
func details(r *inspect.Report) *wire.Details {
	if r.DG7 == nil && r.DG11 == nil && r.DG12 == nil && r.DG16 == nil {
		return nil
	}
	out := new(wire.Details)
	if d := r.DG7; d != nil {
		for _, i := range d.Images {
			out.Signatures = append(out.Signatures, picture(i))
		}
	}
	if d := r.DG11; d != nil {
		out.Name, out.OtherNames = fullName(d.Name), fullNames(d.OtherNames)
		out.PersonalNumber, out.BirthDate = d.PersonalNumber, date(d.DateOfBirth)
		out.BirthPlace, out.Address = strings.Join(d.PlaceOfBirth, ", "), strings.Join(d.Address, ", ")
		out.Telephone, out.Profession, out.Title, out.Summary = d.Telephone, d.Profession, d.Title, d.Summary
		out.Citizenship, out.OtherDocuments, out.Custody = picture(d.Citizenship), d.OtherDocuments, d.Custody
		out.Unknown += len(d.Rest)
	}
	if d := r.DG12; d != nil {
		out.Authority, out.IssueDate, out.OtherPersons = d.IssuingAuthority, date(d.DateOfIssue), fullNames(d.OtherPersons)
		out.Endorsements, out.TaxExit = d.Endorsements, d.TaxExit
		out.Front, out.Rear, out.SystemSerial = picture(d.Front), picture(d.Rear), d.SystemSerial
		if t := d.Personalised; t != (lds.DateTime{}) {
			out.Personalised = fmt.Sprintf("%s %02d:%02d:%02d", date(t.Date), t.Hour, t.Minute, t.Second)
		}
		out.Unknown += len(d.Rest)
	}
	if d := r.DG16; d != nil {
		for _, p := range d.Persons {
			out.Notify = append(out.Notify, wire.Contact{
				Name: fullName(p.Name), Telephone: p.Telephone, Address: strings.Join(p.Address, ", "), Recorded: date(p.Recorded),
			})
			out.Unknown += len(p.Rest)
		}
	}
	return out
}

func fullName(n lds.PersonName) string { return strings.TrimSpace(n.Primary + " " + n.Secondary) }

func fullNames(list []lds.PersonName) (names []string) {
	for _, n := range list {
		names = append(names, fullName(n))
	}
	return names
}

// picture says what kind of picture it is, and nothing of what is on it.
func picture(i face.Image) string {
	if i.Data == nil {
		return ""
	}
	return fmt.Sprintf("%v, %d bytes", i.Codec, len(i.Data))
}

// date is yyyy-mm-dd without the parts at its end that are not known.
func date(d lds.Date) string {
	switch {
	case d.IsZero():
		return ""
	case d.Day != 0:
		return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day)
	case d.Month != 0:
		return fmt.Sprintf("%04d-%02d", d.Year, d.Month)
	}
	return fmt.Sprintf("%04d", d.Year)
}

// EncodeOutcome returns the part of an outcome that the inspection alone
// decides; the caller sets the verdict, and what became of the visit.
func EncodeOutcome(r *inspect.Report, d policy.Decision, timings map[string]float64) *wire.Outcome {
	return &wire.Outcome{
		Report: EncodeReport(r, d), Person: EncodePerson(r, d), TimingsMS: timings,
		Exchanges: r.Exchanges, Bytes: r.Sent + r.Received, BytesSent: r.Sent, BytesReceived: r.Received,
	}
}
