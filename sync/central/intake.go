package central

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/sync/contract"
)

const (
	// ackWait is after what time a visit goes to another worker: how long one
	// waits that was on its way to a process that died. A verification takes
	// milliseconds; a worker that is slower than this, because the store is, does
	// no harm, since the first record wins.
	ackWait = 10 * time.Second
	// pullAhead is how many visits a worker holds: enough to hide a round trip,
	// few enough that a visit does not wait behind a slow worker.
	pullAhead   = 8
	maxNakDelay = time.Minute
)

// intake takes visits out of the stream and gives each its verdict. It is used
// by several workers at the same time.
type intake struct {
	store    *store
	verifier *Verifier
	counts   *counts
	log      *slog.Logger
	now      func() time.Time
	bad      *limiter // visits that are refused at the door, by agent
}

// run works until ctx ends (nil) or the consumer is lost.
func (in *intake) run(ctx context.Context, workers int) error {
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error { return in.work(ctx) })
	}
	return g.Wait()
}

func (in *intake) work(ctx context.Context) error {
	it, err := in.store.intake.Messages(jetstream.PullMaxMessages(pullAhead))
	if err != nil {
		return err
	}
	defer it.Stop()
	for {
		msg, err := it.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			continue // the iterator asks again by itself
		case err != nil:
			return err
		}
		// What was begun is finished: a visit that is half done would have to
		// wait for ackWait.
		in.handle(context.WithoutCancel(ctx), msg)
	}
}

// handle brings one message to its end: acknowledged, terminated, or given
// back for later.
func (in *intake) handle(ctx context.Context, msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		in.counts.add(&in.counts.Malformed)
		in.end(msg.Term())
		return
	}
	if meta.NumDelivered > 1 {
		in.counts.add(&in.counts.Redelivered)
	}
	if meta.NumDelivered <= unmarked {
		in.process(ctx, msg, meta)
		return
	}
	key := attemptKey(meta)
	n, err := in.store.begin(ctx, key)
	if err != nil {
		in.later(msg, meta, err)
		return
	}
	if n > poisonAfter {
		in.counts.add(&in.counts.SetAside)
		in.log.Error("visit set aside: too many processes ended while they had it", "sequence", meta.Sequence.Stream)
		in.end(msg.TermWithReason("too many attempts"))
		return
	}
	in.process(ctx, msg, meta)
	// Not deferred: a panic is what has to be remembered.
	if err := in.store.ended(ctx, key); err != nil {
		in.log.Warn("the end of an attempt is not on record", "sequence", meta.Sequence.Stream, "error", err)
	}
}

// process opens a message and has it decided.
func (in *intake) process(ctx context.Context, msg jetstream.Msg, meta *jetstream.MsgMetadata) {
	_, agent, err := contract.ParseVisitSubject(msg.Subject())
	if err != nil {
		// Nobody could be told.
		in.counts.add(&in.counts.Malformed)
		in.log.Warn("visit terminated", "sequence", meta.Sequence.Stream, "reason", contract.ReasonSubjectMismatch)
		in.end(msg.TermWithReason(string(contract.ReasonSubjectMismatch)))
		return
	}
	v, err := contract.OpenVisit(msg.Subject(), msg.Headers(), msg.Data())
	if err != nil {
		in.refuse(ctx, msg, meta, agent, claimedID(msg), reasonOf(err))
		return
	}
	if err := in.decide(ctx, msg, meta, &v); err != nil {
		in.later(msg, meta, err)
	}
}

// decide is for a visit that its agent has signed. An error means that the
// store could not be asked: nothing is decided.
func (in *intake) decide(ctx context.Context, msg jetstream.Msg, meta *jetstream.MsgMetadata, v *contract.Visit) error {
	facility, err := in.store.facilityOf(ctx, v.Agent)
	if err != nil {
		return err
	}
	seq := meta.Sequence.Stream
	if facility != v.Facility { // "" when nobody enrolled the agent
		in.refuse(ctx, msg, meta, v.Agent, v.ID, contract.ReasonUnknownAgent)
		return nil
	}
	sum := digest(msg.Data())
	// A second turn is for the worker that lost a race, a third for one that
	// lost it against a reconsidered visit.
	for range 3 {
		old, err := in.store.find(ctx, v.ID)
		if err != nil {
			return err
		}
		if old != nil && (old.Agent != v.Agent || old.Digest != sum) {
			in.refuse(ctx, msg, meta, v.Agent, v.ID, contract.ReasonConflict)
			return nil
		}
		if old != nil && !reconsider(old, seq, arrival(meta)) {
			in.counts.add(&in.counts.Repeated)
			return in.finish(ctx, msg, meta, v, old)
		}
		rec, verdict, err := in.judge(ctx, v, sum, meta)
		if err != nil {
			return err
		}
		if old != nil {
			rec.revision = old.revision
		}
		err = in.store.put(ctx, v.ID, rec)
		if errors.Is(err, errExists) {
			continue
		}
		if err != nil {
			return err
		}
		in.counts.verdict(verdict)
		in.log.Info("visit decided", "visit", v.ID, "facility", v.Facility, "sequence", seq,
			"state", verdict.State, "reason", verdict.Reason, "assurance", verdict.Assurance, "doubt", rec.Doubt)
		return in.finish(ctx, msg, meta, v, rec)
	}
	return errExists
}

// reconsider reports whether a visit that was rejected and sent again is
// looked at anew: a trust anchor may have arrived, or a clock been set. What
// was accepted stays so. A later message has a higher number, or, when the
// stream has begun anew, a later arrival.
func reconsider(old *record, seq uint64, arrived time.Time) bool {
	if seq <= old.Sequence && !arrived.After(old.Arrived) {
		return false // a redelivery of what was judged
	}
	v, err := contract.DecodeVerdict(old.Verdict)
	return err == nil && v.State != contract.VerdictAccepted
}

// arrival is when a message reached the stream, by the server's clock and not
// this process's: the same at every redelivery.
func arrival(meta *jetstream.MsgMetadata) time.Time { return contract.Timestamp(meta.Timestamp) }

func (in *intake) judge(ctx context.Context, v *contract.Visit, sum string, meta *jetstream.MsgMetadata) (*record, *contract.Verdict, error) {
	var own *contract.Nonce
	if v.Evidence != nil && v.Evidence.Nonce != nil {
		var err error
		if own, err = in.store.nonce(ctx, v.Evidence.Nonce.ID); err != nil {
			return nil, nil, err
		}
	}
	arrived := arrival(meta)
	f := in.verifier.Assess(v, own, arrived)
	if f.Reason == "" {
		var err error
		if f, err = in.charge(ctx, v, f); err != nil {
			return nil, nil, err
		}
	}
	verdict := &contract.Verdict{
		Version: contract.Version, Visit: v.ID, Agent: v.Agent, State: contract.VerdictRejected, Reason: f.Reason,
		Assurance: f.Assurance, Presence: f.Presence, At: contract.Timestamp(in.now()),
	}
	if f.Reason == "" {
		verdict.State = contract.VerdictAccepted
	}
	b, err := contract.EncodeVerdict(verdict)
	if err != nil {
		return nil, nil, err
	}
	return &record{
		Digest: sum, Facility: v.Facility, Agent: v.Agent, Sequence: meta.Sequence.Stream, Arrived: arrived, Verdict: b, Doubt: f.Doubt,
	}, verdict, nil
}

// charge looks up whom an accepted visit is charged to, in the insurer's own
// records, and returns the finding with what follows from it.
//
// An insurance number that the agent states of a person whose chip it read must
// be that person's. The card in the entitlement is what the agent was told, some
// time ago perhaps: one that is not on record is a doubt, one of somebody else a
// rejection.
func (in *intake) charge(ctx context.Context, v *contract.Visit, f Finding) (Finding, error) {
	var m *mrz.MRZ
	if v.Evidence != nil {
		zone, err := lds.ParseDG1(v.Evidence.DG1)
		if err != nil {
			return reject(contract.ReasonEvidenceMalformed), nil
		}
		m = &zone
	}
	if number := v.Person.InsuranceNumber; m != nil && number != "" {
		p, err := in.store.insured(ctx, number, v.Person.Number)
		if err != nil {
			return Finding{}, err
		}
		if !isHolder(p, *m) {
			return reject(contract.ReasonPersonMismatch), nil
		}
	}
	if number := v.Entitlement.CardNumber; number != "" {
		p, err := in.store.insured(ctx, number, v.Person.Number)
		if err != nil {
			return Finding{}, err
		}
		switch holds(p, number, &v.Person, m) {
		case another:
			return reject(contract.ReasonCardHolder), nil
		case unclear:
			f.Doubt = cmp.Or(f.Doubt, contract.ReasonCardUnknown)
		}
	}
	return f, nil
}

// insured returns who has an insurance number; nil for nobody. It may be on
// record in its other form, or as the card that follows, with the person of a
// personal number.
func (s *store) insured(ctx context.Context, insurance, number string) (*Person, error) {
	p, err := s.person(ctx, s.personKey(kindInsurance, insurance))
	if p != nil || err != nil || number == "" {
		return p, err
	}
	p, err = s.person(ctx, s.personKey(kindNumber, number))
	if p == nil || err != nil {
		return nil, err
	}
	if sameInsurance(p.InsuranceNumber, insurance) || p.Next != nil && sameInsurance(p.Next.CardNumber, insurance) {
		return p, nil
	}
	return nil, nil
}

// finish tells the agent what the record says, and only then lets the message
// go.
func (in *intake) finish(ctx context.Context, msg jetstream.Msg, meta *jetstream.MsgMetadata, v *contract.Visit, r *record) error {
	if err := in.store.verdict(ctx, v.Agent, verdictID(v.ID, meta), r.Verdict); err != nil {
		return err
	}
	in.end(msg.Ack())
	return nil
}

// refuse rejects a message without leaving a record: it is not authentic, or
// not the visit that owns the id. Only the agent in whose name it came is told,
// because the server let nobody else publish there.
//
// An agent that has too many refused is told no more, and neither is the log: each
// answer is a write, which the others wait for. An honest one asks again for what it
// has no verdict of.
func (in *intake) refuse(ctx context.Context, msg jetstream.Msg, meta *jetstream.MsgMetadata, agent, id string, why contract.Reason) {
	if !in.bad.allow(agent, time.Now()) {
		in.counts.add(&in.counts.Untold)
		in.end(msg.TermWithReason(string(why)))
		return
	}
	in.log.Warn("visit refused", "sequence", meta.Sequence.Stream, "reason", why)
	if id != "" {
		verdict := contract.Verdict{
			Version: contract.Version, Visit: id, Agent: agent, State: contract.VerdictRejected, Reason: why,
			At: contract.Timestamp(in.now()),
		}
		b, err := contract.EncodeVerdict(&verdict)
		if err == nil {
			err = in.store.verdict(ctx, agent, verdictID(id, meta), b)
		}
		if err != nil {
			in.later(msg, meta, err)
			return
		}
	}
	in.counts.addTo(&in.counts.Rejected, why)
	in.end(msg.TermWithReason(string(why)))
}

// later gives a message back.
func (in *intake) later(msg jetstream.Msg, meta *jetstream.MsgMetadata, err error) {
	in.counts.add(&in.counts.Postponed)
	in.store.suspect()
	in.log.Warn("visit postponed", "sequence", meta.Sequence.Stream, "deliveries", meta.NumDelivered, "error", err)
	in.end(msg.NakWithDelay(min(time.Duration(meta.NumDelivered)*time.Second, maxNakDelay)))
}

// end notes an acknowledgement that could not be sent. Nothing follows from
// it: the message comes again and finds its record.
func (in *intake) end(err error) {
	if err != nil {
		in.log.Debug("acknowledgement not sent", "error", err)
	}
}

// verdictID makes a redelivery's verdict a duplicate, and that of a visit
// which was sent again a new message, also into a stream that has begun anew.
func verdictID(visit string, meta *jetstream.MsgMetadata) string {
	return visit + "." + utoa(meta.Sequence.Stream) + "." + strconv.FormatInt(meta.Timestamp.UnixMilli(), 36)
}

// claimedID returns the visit id that the header of an unreadable message
// states; "" when it states none. A visit that is sent again carries its id
// with a suffix.
func claimedID(msg jetstream.Msg) string {
	id, _, _ := strings.Cut(msg.Headers().Get(jetstream.MsgIDHeader), ".")
	if contract.CheckID(id) != nil {
		return ""
	}
	return id
}

// reasonOf turns a refusal of package contract into the reason for the agent.
func reasonOf(err error) contract.Reason {
	switch {
	case errors.Is(err, contract.BadSignature):
		return contract.ReasonAgentSignature
	case errors.Is(err, contract.WrongSubject):
		return contract.ReasonSubjectMismatch
	case errors.Is(err, contract.UnsupportedVersion):
		return contract.ReasonUnsupportedVersion
	default:
		return contract.ReasonMalformed
	}
}
