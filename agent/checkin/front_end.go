package checkin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/agent/xml0"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
)

// What the audit trail keeps of a front desk, beside the actions of package audit.
const (
	// PersonMismatch: the operator said that it is another person; nothing was
	// recorded. The object is the check-in.
	PersonMismatch audit.Action = "person_mismatch"
	// VisitConfirmed: somebody said that it is the person, and the visit is recorded.
	// The object is the visit; the note names the check-in, by which the trail knows
	// it until then, and says whether who confirmed had looked at the photo of a chip.
	VisitConfirmed audit.Action = "visit_confirmed"
	// ScanGiven: what the desk's scanner read went to a client's check-in, which is the
	// object.
	ScanGiven audit.Action = "scan_given"
)

// recorded is what is left of a visit once it is on disk.
type recorded struct {
	visit *contract.Visit
}

// claim looks a person up who shows no chip.
func (f *Front) claim(ctx context.Context, t *turn) {
	f.mu.Lock()
	if !f.reading(t) || t.typed == nil {
		f.mu.Unlock()
		return
	}
	c := Claim{Means: t.means, Person: t.typed.person}
	t.began = f.cfg.Now()
	t.c.Progress = &wire.Progress{Step: string(StepEntitlement), Total: 1}
	f.publish(t)
	f.mu.Unlock()

	desk, err := f.cfg.Desk(ctx)
	var in *Inspection
	if err == nil {
		in, err = desk.Claim(ctx, c, Options{})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.reading(t):
	case in != nil && in.Decision.Err() != nil:
		f.end(t, wire.StateRefused, err)
	case err != nil:
		f.end(t, wire.StateFailed, err)
	default:
		t.in = in
		t.c.Photo = &wire.Photo{Reason: photoNotAsked}
		f.confirm(t, in)
	}
}

// confirm has a check-in wait for the operator's word, with mu held.
func (f *Front) confirm(t *turn, in *Inspection) {
	t.halt()
	t.access, t.qr = inspect.Access{}, nil // the chip is not opened again
	t.c.State, t.c.Progress, t.c.Fault = wire.StateConfirm, nil, nil
	t.c.Report = EncodeReport(in.Report, in.Decision)
	who := in.visit.Person
	if t.means == contract.MeansChip {
		t.c.Person, who = EncodePerson(in.Report, in.Decision), person(in.Report)
	} else {
		t.c.Person = encodeClaim(who)
	}
	t.c.Entitlement = encodeEntitlement(who, in.Answer, in.Report.At)
	t.touched = f.cfg.Now()
	t.time("confirm", f.cfg.Now().Sub(t.began))
	f.publish(t)
}

// putOnRecord records a visit that was confirmed. The trail is written first: nothing
// is recorded that nobody answers for.
func (f *Front) putOnRecord(ctx context.Context, t *turn, in *Inspection, operator string, confirmed audit.Entry) {
	began := f.cfg.Now()
	err := f.cfg.Audit(ctx, confirmed)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrNotRecorded, err)
	} else {
		err = in.Record(ctx, operator, nil)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer close(t.settled)
	if err != nil {
		f.log.Error("visit is not recorded", "error", err)
		f.end(t, wire.StateFailed, err)
		return
	}
	t.time(string(StepRecord), f.cfg.Now().Sub(began))
	t.c.Visit = in.Visit.ID
	t.c.Delivery = &wire.Delivery{VisitID: in.Visit.ID, State: "queued"}
	t.record = &recorded{visit: in.Visit}
	f.end(t, wire.StateRecorded, nil)
	select {
	case f.visits <- struct{}{}:
	default:
	}
}

// mismatch ends a check-in whose person is somebody else. It is called with mu held
// and gives it back.
func (f *Front) mismatch(ctx context.Context, owner string, t *turn, reason string) (wire.CheckIn, error) {
	reason, err := visible(reason, maxReason, "reason")
	switch {
	case t.c.State != wire.StateConfirm || t.settled != nil:
		err = ErrState
	case err == nil && reason == "":
		err = &InputError{"reason", whyMissing}
	}
	if err != nil {
		defer f.mu.Unlock()
		return t.c, err
	}
	actor := f.actor(owner)
	// First nothing can be recorded any more, then it is written down.
	f.end(t, wire.StateCancelled, errors.Join(ErrMismatch, context.Canceled))
	c := t.c
	f.mu.Unlock()
	var entries []audit.Entry
	parts := split(reason)
	for i, p := range parts {
		if len(parts) > 1 {
			p = fmt.Sprintf("%d/%d %s", i+1, len(parts), p)
		}
		entries = append(entries, audit.Entry{Actor: actor, Action: PersonMismatch, Object: c.ID, Note: p})
	}
	if err := f.cfg.Audit(context.WithoutCancel(ctx), entries...); err != nil {
		f.log.Error("audit trail cannot be written", "error", err)
		return c, err
	}
	return c, nil
}

// actor is who acts on a check-in, for the audit trail: at the desk who is signed in
// there, and else the client. Who sits at the desk does not answer for what a client
// does, which has users of its own.
func (f *Front) actor(owner string) string {
	if owner != OwnerDesk {
		return clip(owner)
	}
	if name := f.cfg.Operator(); name != "" {
		return name
	}
	return OwnerDesk
}

// operatorOf is who confirmed, for the visit: "" when nobody is signed in at the desk.
func (f *Front) operatorOf(owner string) string {
	if owner == OwnerDesk {
		return f.cfg.Operator()
	}
	via := []rune("via " + owner)
	if len(via) > maxOperator {
		via = append(via[:maxOperator-3], []rune("...")...)
	}
	return string(via)
}

// maxOperator is how many characters of whoever confirmed a visit holds.
const maxOperator = 64

// looked says whether the caller has looked at the photo that the confirmation is
// about, for the audit trail.
func (t *turn) looked(owner string) string {
	switch {
	case t.means != contract.MeansChip:
		return ""
	case slices.Contains(t.viewers, owner):
		return ", photo seen"
	case t.picture != nil:
		return ", photo not looked at"
	case t.c.Photo != nil:
		return ", no photo: " + t.c.Photo.Reason
	}
	return ", no photo"
}

// split cuts a text into parts that an entry of the audit trail takes.
func split(s string) (parts []string) {
	const most = 200 // bytes
	for len(s) > most {
		n := most
		for !utf8.RuneStart(s[n]) {
			n--
		}
		parts, s = append(parts, s[:n]), s[n:]
	}
	return append(parts, s)
}

// Record returns the check-in record of a recorded visit (XML0), with what reception
// can know filled in. Who fetched it is written in the audit trail first. The error
// may be an [*xml0.FieldError]: the record cannot hold what the visit says.
func (f *Front) Record(ctx context.Context, owner, id string) ([]byte, error) {
	f.mu.Lock()
	t, err := f.find(owner, id)
	if err == nil && t.record == nil {
		err = ErrState
	}
	if err != nil {
		f.mu.Unlock()
		return nil, err
	}
	v, actor := t.record.visit, f.actor(owner)
	f.mu.Unlock()
	b, err := xml0.Of(v).Encode()
	if err != nil {
		return nil, err
	}
	err = f.cfg.Audit(ctx, audit.Entry{Actor: actor, Action: audit.VisitExported, Object: v.ID, Note: "check-in record for " + clip(owner)})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// clip keeps a client's name short enough for the audit trail.
func clip(s string) string {
	if parts := split(s); len(parts) > 1 {
		return parts[0] + "..."
	}
	return s
}

// keepTime cancels check-ins to which nobody came back, and forgets those that were
// kept long enough.
func (f *Front) keepTime(ctx context.Context) {
	for {
		f.mu.Lock()
		next, wake := f.expire(f.cfg.Now()), f.wake
		f.mu.Unlock()
		timer := time.NewTimer(next)
		select {
		case <-wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// expire does what is due, with mu held, and returns when something is due again. A
// clock that was put back only makes it later.
func (f *Front) expire(now time.Time) time.Duration {
	next := f.cfg.Keep
	if t := f.cur; t != nil {
		switch t.c.State {
		case wire.StateKey, wire.StateCard, wire.StateConfirm:
			left := f.cfg.Abandon - now.Sub(t.touched)
			if left <= 0 {
				f.end(t, wire.StateCancelled, errors.Join(ErrAbandoned, context.Canceled))
				break
			}
			next = min(next, left)
		}
	}
	f.kept = slices.DeleteFunc(f.kept, func(t *turn) bool {
		left := f.cfg.Keep - now.Sub(t.ended)
		if left > 0 {
			next = min(next, left)
			return false
		}
		t.forget()
		return true
	})
	return max(next, time.Millisecond)
}

// followVisits shows what becomes of the visits that are kept.
func (f *Front) followVisits(ctx context.Context) {
	for {
		changed := f.cfg.Deliveries.Changed()
		f.mu.Lock()
		var waiting []*turn
		for _, t := range f.kept {
			if d := t.c.Delivery; d != nil && d.State != "accepted" {
				waiting = append(waiting, t)
			}
		}
		f.mu.Unlock()
		for _, t := range waiting {
			f.follow(ctx, t)
		}
		pause := lookAgain
		if len(waiting) == 0 {
			pause, changed = time.Hour, nil // nobody wants to know
		}
		wait, stop := context.WithTimeout(ctx, pause)
		select {
		case <-wait.Done():
		case <-changed:
		case <-f.visits:
		}
		stop()
		if ctx.Err() != nil {
			return
		}
	}
}

func (f *Front) follow(ctx context.Context, t *turn) {
	f.mu.Lock()
	visit := t.c.Visit
	f.mu.Unlock()
	d, err := f.cfg.Deliveries.Delivery(ctx, visit)
	if err != nil || d == nil {
		if err != nil && !errors.Is(err, context.Canceled) {
			f.log.Warn("a visit's delivery cannot be read", "error", err)
		}
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.c.Delivery != nil && *t.c.Delivery == *d || !slices.Contains(f.kept, t) {
		return
	}
	t.c.Delivery = d
	f.publish(t)
}

// The reasons why there is no photo.
const (
	photoNotAsked     = "not_asked"
	photoAbsent       = "absent"
	photoNotSigned    = "not_signed"
	photoNotDecodable = "not_decodable"
	photoNotRead      = "not_read"
)

// encodePhoto says whether there is a photo to fetch.
func encodePhoto(r *inspect.Report, asked bool, p *Picture, note string) *wire.Photo {
	signed := r.Check(inspect.DG2Integrity)
	out := &wire.Photo{Signed: signed.Value.String() == string(contract.Successful), Reason: note}
	switch {
	case p != nil && out.Signed:
		out.Available, out.MediaType, out.Width, out.Height = true, p.MediaType, p.Width, p.Height
	case !asked:
		out.Reason = photoNotAsked
	case note != "":
	case r.Photo != nil, signed.Reason == inspect.ReasonNotCovered && r.Groups[2] == inspect.Read:
		out.Reason = photoNotSigned
	case r.Groups[2] == inspect.Absent, signed.Reason == inspect.ReasonNotCovered:
		out.Reason = photoAbsent
	case r.PhotoNote == inspect.ReasonFormat, r.PhotoNote == inspect.ReasonMalformed:
		out.Reason = photoNotDecodable
	default:
		out.Reason = photoNotRead
	}
	return out
}

// encodeClaim shows a person who is not verified.
func encodeClaim(p contract.Person) *wire.Person {
	return &wire.Person{
		Name: p.Name, Number: p.Number, DocumentNumber: p.DocumentNumber, BirthDate: string(p.BirthDate),
		Sex: string(p.Sex), Nationality: p.Nationality, Photo: "not read",
	}
}

// encodeEntitlement shows what is known of a person's insurance on that day.
func encodeEntitlement(p contract.Person, a lookup.Answer, at time.Time) *wire.Entitlement {
	e := a.Entitlement
	out := &wire.Entitlement{
		Status: string(e.Status), Code: e.Code, Source: string(e.Source), AgeSeconds: int64(a.Age / time.Second), Stale: a.Stale,
		CardNumber: e.CardNumber, From: string(e.From), To: string(e.To), Facility: e.Facility,
		BenefitLevel: e.BenefitLevel, Area: e.Area, FiveYears: string(e.FiveYears), Findings: []wire.Finding{},
	}
	if !e.AsOf.IsZero() {
		out.AsOf = e.AsOf.Format(time.RFC3339)
	}
	if n := e.Next; n != nil {
		out.Next = &wire.NextCard{CardNumber: n.CardNumber, From: string(n.From), To: string(n.To), Facility: n.Facility}
	}
	insured := contract.Insured{}
	if a.Person != nil {
		insured = *a.Person
	}
	for _, f := range lookup.Findings(p, a, at) {
		w := wire.Finding{Field: string(f)}
		switch f {
		case contract.NumberDiffers:
			w = wire.Finding{Field: "number", Document: p.Number, Insurer: insured.Number}
		case contract.NameDiffers:
			w = wire.Finding{Field: "name", Document: p.Name, Insurer: insured.Name}
		case contract.BirthDateDiffers:
			w = wire.Finding{Field: "birth_date", Document: string(p.BirthDate), Insurer: string(insured.BirthDate)}
		case contract.SexDiffers:
			w = wire.Finding{Field: "sex", Document: string(p.Sex), Insurer: string(insured.Sex)}
		case contract.PeriodEnded:
			w.Insurer = string(e.To)
		case contract.PeriodNotBegun:
			w.Insurer = string(e.From)
		}
		out.Findings = append(out.Findings, w)
	}
	return out
}
