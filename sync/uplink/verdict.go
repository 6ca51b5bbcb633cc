package uplink

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
)

const (
	apiTimeout = 10 * time.Second // one call of the JetStream API
	// verdictBatch is how many verdicts are written in one transaction, and
	// verdictLinger how long the first waits for the others.
	verdictBatch  = 128
	verdictLinger = 5 * time.Millisecond
)

// receive brings verdicts into the queue for as long as the session lasts.
func (u *Uplink) receive(ctx context.Context, js jetstream.JetStream) error {
	backoff := u.backoff()
	for {
		err := u.consume(ctx, js, func() {
			backoff.Reset()
			u.board.report(loopVerdicts, NoTrouble)
		})
		if !u.pause(ctx, loopVerdicts, err, backoff) {
			return nil
		}
	}
}

// consume reads verdicts until something fails. It calls fine when it works.
func (u *Uplink) consume(ctx context.Context, js jetstream.JetStream, fine func()) error {
	call, cancel := context.WithTimeout(ctx, apiTimeout)
	c, err := js.Consumer(call, contract.VerdictStream, u.agent)
	cancel()
	if err != nil {
		return err
	}
	it, err := c.Messages(jetstream.PullMaxMessages(2 * verdictBatch))
	if err != nil {
		return err
	}
	defer it.Stop()
	fine()
	// How many verdicts were waiting: when they are read, a visit without one
	// has none.
	info := c.CachedInfo()
	waiting := int(info.NumPending) + info.NumAckPending
	u.late.consumer(info.Created)
	if waiting <= 0 {
		u.late.caughtUp()
	}
	for {
		batch, err := next(ctx, it)
		if len(batch) > 0 {
			// What has arrived is written and acknowledged, also at the end.
			if err := u.settle(context.WithoutCancel(ctx), batch); err != nil {
				return err
			}
			fine()
			if waiting -= len(batch); waiting <= 0 {
				u.late.caughtUp()
			}
		}
		if err != nil {
			return err
		}
	}
}

// next waits for a message and takes those that follow at once.
func next(ctx context.Context, it jetstream.MessagesContext) ([]jetstream.Msg, error) {
	msg, err := it.Next(jetstream.NextContext(ctx))
	if err != nil {
		return nil, err
	}
	batch := []jetstream.Msg{msg}
	for len(batch) < verdictBatch {
		msg, err := it.Next(jetstream.NextMaxWait(verdictLinger))
		if errors.Is(err, nats.ErrTimeout) {
			break
		}
		if err != nil {
			return batch, err
		}
		batch = append(batch, msg)
	}
	return batch, nil
}

// settle writes verdicts to the queue and acknowledges them after that. What
// is delivered twice changes nothing the second time.
func (u *Uplink) settle(ctx context.Context, batch []jetstream.Msg) error {
	var verdicts []contract.Verdict
	var good []jetstream.Msg
	for _, msg := range batch {
		v, err := contract.DecodeVerdict(msg.Data())
		if err != nil || v.Agent != u.agent {
			// It will not get better by being delivered again. The visit keeps
			// its place and is asked about later.
			u.board.dropped()
			u.log.Error("verdict is not readable", "error", err)
			u.acknowledge(msg.Term())
			continue
		}
		verdicts = append(verdicts, v)
		good = append(good, msg)
	}
	if len(verdicts) == 0 {
		return nil
	}
	moved, err := u.cfg.Queue.Verdict(ctx, verdicts...)
	if err != nil {
		return &storeError{err} // they come again, unacknowledged as they are
	}
	for _, msg := range good {
		u.acknowledge(msg.Ack())
	}
	u.answered()
	if u.cfg.OnVerdict != nil && len(moved) > 0 {
		u.cfg.OnVerdict(moved)
	}
	return nil
}

// acknowledge notes an acknowledgement that could not be sent; the message
// comes again.
func (u *Uplink) acknowledge(err error) {
	if err != nil {
		u.log.Debug("acknowledgement not sent", "error", err)
	}
}

const (
	// chaseEvery and chaseAtOnce bound what visits without a verdict cost: a
	// central service that is busy with a backlog must not be sent it again.
	chaseEvery  = time.Minute
	chaseAtOnce = 4
	chasePage   = 64
	// aliveWithin is how lately the central service must have answered
	// something before its silence about a visit means anything.
	aliveWithin = 3
)

// chase sends visits again that the central service has had for long without a
// verdict.
func (u *Uplink) chase(ctx context.Context, js jetstream.JetStream) error {
	c := &chaser{u: u, js: js, asked: make(map[string]asked)}
	tick := time.NewTicker(min(chaseEvery, u.cfg.OverdueAfter))
	defer tick.Stop()
	for {
		round := c.round
		select {
		case <-ctx.Done():
			return nil
		case <-u.late.look:
			round = c.sweep
		case <-tick.C:
		}
		if err := round(ctx); err != nil && ctx.Err() == nil {
			u.log.Warn("visits without a verdict were not sent again", "class", classify(err), "error", err)
		}
	}
}

// asked is when a visit was last sent again, and how often.
type asked struct {
	at    time.Time
	times int
}

type chaser struct {
	u     *Uplink
	js    jetstream.JetStream
	asked map[string]asked // by id; visits that have their verdict are dropped
	after uint64           // place in the queue where the next round begins
}

// round looks at one page of the stored visits.
func (c *chaser) round(ctx context.Context) error {
	u := c.u
	if !u.alive() {
		return nil
	}
	items, err := u.cfg.Queue.List(ctx, outbox.Stored, c.after, chasePage)
	if err != nil {
		return &storeError{err}
	}
	if len(items) == 0 {
		c.after = 0 // from the beginning next time
		return nil
	}
	left := chaseAtOnce
	for _, it := range items {
		c.after = it.Seq
		last := c.asked[it.ID]
		// Each time twice as patient, up to a day or so.
		wait := u.cfg.OverdueAfter << min(last.times, 7)
		age := u.cfg.Now().Sub(it.StoredAt)
		if last.times > 0 {
			age = time.Since(last.at) // in this process, whatever the clock does
		}
		// A negative age tells of a clock that was wrong then or is now: nothing
		// that could be waited for.
		if it.Damaged || age >= 0 && age < wait {
			continue
		}
		if left--; left < 0 {
			break
		}
		if err := c.again(ctx, it.ID); err != nil {
			return err
		}
		c.asked[it.ID] = asked{time.Now(), last.times + 1}
	}
	c.trim()
	return nil
}

// sweep sends every visit again that was stored before the moment since which
// verdicts may be missing. Until the central service and the verdicts that wait
// have been heard it does nothing.
func (c *chaser) sweep(ctx context.Context) error {
	u := c.u
	since, ok := u.late.due()
	if !ok || !u.alive() {
		return nil
	}
	for after := uint64(0); ; {
		items, err := u.cfg.Queue.List(ctx, outbox.Stored, after, chasePage)
		if err != nil {
			return &storeError{err}
		}
		if len(items) == 0 {
			u.late.done(since)
			return nil
		}
		for _, it := range items {
			after = it.Seq
			if it.Damaged || it.StoredAt.After(since) && !it.StoredAt.After(u.cfg.Now()) {
				continue
			}
			if err := c.again(ctx, it.ID); err != nil {
				return err
			}
			c.asked[it.ID] = asked{time.Now(), c.asked[it.ID].times + 1}
		}
		c.trim()
	}
}

// late knows when visits that are stored must be asked about at once: when the
// process begins, which may be a short one, and when the store of the central
// service has begun anew. It is safe for concurrent use.
type late struct {
	look chan struct{} // something happened that sweep waits for
	now  func() time.Time

	mu      sync.Mutex
	since   time.Time // what was stored before; zero: nothing is to be asked
	created time.Time // the consumer of this agent's verdicts
	ready   bool      // the verdicts that waited have been read
}

func newLate(now func() time.Time) *late {
	return &late{look: make(chan struct{}, 1), now: now, since: now()}
}

func (l *late) signal() {
	select {
	case l.look <- struct{}{}:
	default:
	}
}

// consumer notes which consumer the verdicts come from: another one than before
// means that the store was lost.
func (l *late) consumer(created time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.created.IsZero() && !l.created.Equal(created) {
		l.since = l.now()
	}
	l.created, l.ready = created, false
}

func (l *late) caughtUp() {
	l.mu.Lock()
	news := !l.ready
	l.ready = true
	l.mu.Unlock()
	if news {
		l.signal()
	}
}

// due returns the moment in question, and false when there is none or it is
// too early to tell.
func (l *late) due() (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since, l.ready && !l.since.IsZero()
}

// done ends what due returned, unless something new has happened.
func (l *late) done(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.Equal(since) {
		l.since = time.Time{}
	}
}

// maxAsked bounds the chaser's memory. Forgetting a visit merely makes it
// impatient.
const maxAsked = 4096

func (c *chaser) trim() {
	if len(c.asked) > maxAsked {
		clear(c.asked)
	}
}

// again publishes a visit under another message id, because the stream would
// take the old one for a duplicate and drop it.
func (c *chaser) again(ctx context.Context, id string) error {
	e, it, err := c.u.cfg.Queue.Get(ctx, id)
	if err != nil {
		return &storeError{err}
	}
	if it.State != outbox.Stored || len(e.Payload) == 0 || e.Subject != c.u.subject {
		return nil // its verdict has just come, or it is not this agent's
	}
	f, err := publishAsync(c.js, message(e, id+"."+strconv.FormatInt(time.Now().UnixMilli(), 36)))
	if err != nil {
		return err
	}
	c.u.log.Info("visit without a verdict sent again", "visit", id)
	select {
	case <-f.Ok():
		return nil
	case err := <-f.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
