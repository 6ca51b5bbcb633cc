package checkin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/chamthe/chamthe/agent/internal/overlap"
	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/outbox"
)

// A Recorder makes a visit durable: when Put returns nil, it is on disk.
type Recorder interface {
	Put(ctx context.Context, e outbox.Entry) error
}

// A Lookuper says what is known of a person's entitlement. That nobody knows
// is an answer, not an error. Lookup returns soon after ctx ends.
type Lookuper interface {
	Lookup(ctx context.Context, r lookup.Request) (lookup.Answer, error)
}

// ErrNotRecorded wraps every error after which the visit is not on disk
// although the card was read and accepted.
var ErrNotRecorded = errors.New("checkin: visit not recorded")

// A Desk is a place where people check in. Fill in every field but those with
// a stated default; it may then be used by one card at a time.
type Desk struct {
	Facility string
	Operator string // who sits there; may be empty
	Signer   contract.Signer
	Trust    *trust.Pool
	Policy   policy.Policy // the zero value is the default policy
	Lookup   Lookuper
	Recorder Recorder
	// Limits remembers what readers and cards bear; nil remembers nothing.
	Limits reader.LimitStore
	// Trouble hears of what went wrong and kept nobody from working, for a log; nil:
	// nobody listens.
	Trouble func(error)
	// Nonce returns the latest nonce of the central service, and false when
	// there never was one; nil: never.
	Nonce func() (contract.Nonce, bool)
	// Clock says how far Now can be believed; nil: nobody can tell.
	Clock func() contract.ClockQuality
	Now   func() time.Time // nil: time.Now
	Rand  io.Reader        // nil: crypto/rand
}

// Steps after those of the inspection.
const (
	StepEntitlement inspect.Step = "entitlement"
	StepRecord      inspect.Step = "record"
)

// DefaultLimit is how long reading a card may take: the slowest good card and
// reader need a fifth of it.
const DefaultLimit = time.Minute

// Options are the choices of one check-in.
type Options struct {
	Photo bool // read the photo as well
	// Reader is the name of the reader that the card lies on, for [Desk.Limits];
	// may be empty.
	Reader string
	// Limit is how long the inspection may take; 0 means DefaultLimit.
	Limit time.Duration
	// Progress hears the steps of the inspection, then StepEntitlement and, with
	// CheckIn, StepRecord. It is called from the caller's goroutine. May be nil.
	Progress func(inspect.Event)
}

// An Outcome is what came of one check-in. It is the caller's, and personal.
type Outcome struct {
	Report   *inspect.Report // never nil
	Decision policy.Decision
	// Answer is what is known of the entitlement; zero unless policy let the
	// person in.
	Answer lookup.Answer
	// Visit and Message are what was recorded; nil and zero if nothing was.
	Visit   *contract.Visit
	Message contract.Message
}

// An Inspection is a person's turn at the desk up to the moment in which somebody
// says that it may be recorded: [Inspection.Record]. It comes from [Desk.Inspect] or
// [Desk.Claim], is the caller's, personal, and for one goroutine at a time.
type Inspection struct {
	Outcome
	desk  *Desk
	visit *contract.Visit // as far as it is known; nil: there is nothing to record
	done  bool            // Record was called
}

// CheckIn inspects the card, applies the policy, looks the entitlement up and
// records the visit, without asking anybody: [Desk.Inspect] and
// [Inspection.Record] in one. It records nothing unless the inspection went to its
// end and the policy accepts, and the error then says why: that of [inspect.Run], or
// of [policy.Decision.Err]; [ErrNotRecorded] if only the recording failed.
func (d *Desk) CheckIn(ctx context.Context, card apdu.Transceiver, access inspect.Access, opt Options) (*Outcome, error) {
	in, err := d.Inspect(ctx, card, access, opt)
	if err != nil {
		return &in.Outcome, err
	}
	return &in.Outcome, in.Record(ctx, d.Operator, opt.Progress)
}

// begin fixes what a visit is before anything is asked.
func (d *Desk) begin(means contract.Means) (*Inspection, error) {
	in := &Inspection{Outcome: Outcome{Report: &inspect.Report{Key: -1}}, desk: d}
	started := contract.Timestamp(d.now())
	v := &contract.Visit{
		Version: contract.Version, Facility: d.Facility, Operator: d.Operator,
		StartedAt: started, Means: means, Clock: contract.ClockUnknown,
	}
	var err error
	if v.ID, err = contract.NewID(started, d.Rand); err != nil {
		return in, err
	}
	if v.Agent, err = d.Signer.PublicKey(); err != nil {
		return in, err
	}
	if d.Clock != nil {
		v.Clock = d.Clock()
	}
	in.visit = v
	return in, nil
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// Inspect inspects the card, applies the policy and looks the entitlement up. It
// records nothing. The error says why the inspection cannot be recorded: that of
// [inspect.Run], or of [policy.Decision.Err]. The Inspection is never nil; with an
// error it holds what was found until then.
//
// The visit's identity is fixed before the card is asked anything, because the
// challenge that the chip signs is made from it (sync/contract, Challenge).
func (d *Desk) Inspect(ctx context.Context, card apdu.Transceiver, access inspect.Access, opt Options) (*Inspection, error) {
	in, err := d.begin(contract.MeansChip)
	if err != nil {
		return in, err
	}
	v := in.visit
	in.visit = nil // until it may be recorded
	v.Evidence = &contract.Evidence{Time: v.StartedAt}
	if d.Nonce != nil {
		if n, ok := d.Nonce(); ok {
			v.Evidence.Nonce = &n
		}
	}
	v.Evidence.Challenge = v.ExpectedChallenge()

	// The question to the insurer goes out as soon as the text is verified, while
	// the photo is still being read.
	var answer chan lookup.Answer
	asking, stopAsking := context.WithCancel(ctx)
	defer stopAsking()
	challenge := [8]byte(v.Evidence.Challenge)
	cfg := &inspect.Config{
		At: v.StartedAt.In(d.now().Location()), Trust: d.Trust, Challenge: &challenge, Rand: d.Rand, Photo: opt.Photo, Now: d.now,
		Progress: func(e inspect.Event) {
			if opt.Progress != nil {
				opt.Progress(e)
			}
			// Nobody is asked about a person whose card is going to be refused.
			if answer == nil && e.Report.TextVerified() && d.Policy.Decide(e.Report).Outcome != policy.Refuse {
				answer = make(chan lookup.Answer, 1)
				p := person(e.Report)
				go func() { answer <- d.ask(asking, p) }()
			}
		},
	}
	d.Policy.Prepare(cfg)
	limit := opt.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tuning, terr := limits.Tune(limited, d.Limits, opt.Reader, card, cfg)
	d.trouble(terr)
	var beside overlap.Group
	defer beside.Wait()
	cfg.Overlap = beside.Do
	in.Report, err = inspect.Run(limited, card, access, cfg)
	d.trouble(tuning.Save(context.WithoutCancel(ctx)))
	in.Decision = d.Policy.Decide(in.Report)
	if err != nil {
		return in, err
	}
	if err := in.Decision.Err(); err != nil {
		return in, err
	}

	end := d.step(opt.Progress, StepEntitlement)
	if answer == nil {
		return in, fmt.Errorf("%w: policy accepted a text that is not verified", ErrNotRecorded)
	}
	in.Answer = <-answer
	end()
	in.visit = v
	return in, nil
}

// A Claim is what somebody says of themselves, by a code that nobody signed or by
// word of mouth.
type Claim struct {
	Means  contract.Means // not MeansChip
	Person contract.Person
}

// Claim looks the entitlement of a person up who is not verified and, by this way,
// never will be: there is no evidence, and every check is not performed. It records
// nothing. The error is that of [policy.Decision.Err]; the Inspection is as with
// [Desk.Inspect].
func (d *Desk) Claim(ctx context.Context, c Claim, opt Options) (*Inspection, error) {
	in, err := d.begin(c.Means)
	if err != nil {
		return in, err
	}
	v := in.visit
	in.visit = nil
	v.Person = c.Person
	in.Report.At = v.StartedAt.In(d.now().Location())
	in.Decision = d.Policy.DecideMeans(c.Means)
	if err := in.Decision.Err(); err != nil {
		return in, err
	}
	end := d.step(opt.Progress, StepEntitlement)
	in.Answer = d.ask(ctx, c.Person)
	end()
	in.visit = v
	return in, ctx.Err()
}

// Record puts the visit on record, and returns nil when it is on disk: then Visit
// and Message are set. operator is who confirmed it. It can be called once; the
// errors are those of the policy, and [ErrNotRecorded] with its cause.
//
// The policy is asked again, so that what was refused cannot be recorded by any way
// through this package.
func (in *Inspection) Record(ctx context.Context, operator string, progress func(inspect.Event)) error {
	d, v := in.desk, in.visit
	if d == nil || v == nil || in.done {
		return fmt.Errorf("%w: there is nothing to record, or it was tried before", ErrNotRecorded)
	}
	in.done = true
	if v.Means == contract.MeansChip {
		if err := d.Policy.Decide(in.Report).Err(); err != nil {
			return err
		}
		if !in.Report.TextVerified() {
			return fmt.Errorf("%w: policy accepted a text that is not verified", ErrNotRecorded)
		}
	} else if err := d.Policy.DecideMeans(v.Means).Err(); err != nil {
		return err
	}
	end := d.step(progress, StepRecord)
	v.Operator = operator
	d.fill(v, &in.Outcome)
	v.RecordedAt = contract.Timestamp(d.now())
	msg, err := contract.NewVisitMessage(d.Signer, v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotRecorded, err)
	}
	err = d.Recorder.Put(ctx, outbox.Entry{ID: msg.ID, Subject: msg.Subject, Header: msg.Header, Payload: msg.Payload})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotRecorded, err)
	}
	in.Visit, in.Message = v, msg
	end()
	return nil
}

// step tells of a step after the inspection; the function that it returns tells of
// its end.
func (d *Desk) step(progress func(inspect.Event), s inspect.Step) (end func()) {
	if progress == nil {
		return func() {}
	}
	began := d.now()
	progress(inspect.Event{Step: s})
	return func() { progress(inspect.Event{Step: s, Done: true, Elapsed: d.now().Sub(began)}) }
}

func (d *Desk) trouble(err error) {
	if err != nil && d.Trouble != nil {
		d.Trouble(err)
	}
}

// ask looks a person up. A question that cannot be asked (a passport has no
// number that the insurer knows) is answered with "nobody knows".
func (d *Desk) ask(ctx context.Context, p contract.Person) lookup.Answer {
	none := lookup.Answer{Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown}}
	if d.Lookup == nil {
		return none
	}
	a, err := d.Lookup.Lookup(ctx, lookup.Request{Number: p.Number, InsuranceNumber: p.InsuranceNumber, Name: p.Name, BirthDate: p.BirthDate})
	if err != nil {
		none.Cause = err
		return none
	}
	return a
}

// fill completes the visit from the report and the answer.
func (d *Desk) fill(v *contract.Visit, out *Outcome) {
	r := out.Report
	if v.Means == contract.MeansChip {
		v.Person = person(r)
	}
	for _, c := range r.Checks() {
		v.Checks = append(v.Checks, contract.Check{
			ID: string(c.ID), Result: contract.Result(c.Value.String()), Reason: string(c.Reason),
			Algorithm: c.Algorithm, Millis: int64(c.Millis),
		})
	}
	v.Entitlement = out.Answer.Entitlement.Clone()
	v.Entitlement.Findings = lookup.Findings(v.Person, out.Answer, r.At)
	if v.Means != contract.MeansChip {
		v.Evidence, v.Verified = nil, false
		return
	}
	v.Evidence.SOD, v.Evidence.DG1 = r.Evidence.SOD, r.Evidence.DG1
	v.Evidence.DG15, v.Evidence.Signature = r.Evidence.DG15, r.Evidence.Signature
	if len(v.Evidence.Signature) == 0 {
		v.Evidence.DG15 = nil
	} else if len(r.Evidence.DG14) <= contract.MaxDG14 {
		// It says how the chip signs: which hash function, which can be found without
		// it, or RSASSA-PSS, which is not looked for unless it is announced. No
		// document is known that has more of it; such a visit is still recorded.
		v.Evidence.DG14 = r.Evidence.DG14
	}
	v.Verified = v.MayBeVerified()
}
