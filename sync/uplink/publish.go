package uplink

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
)

const (
	// lookAgain bounds the wait for [outbox.Queue.Wake].
	lookAgain = time.Minute
	// readAhead is how many entries are opened at a time.
	readAhead = 128
	// markBatch is how many acknowledged visits are marked stored in one
	// transaction, and markWithin how long the first waits for the others. Few come
	// so fast that the first is met before the second: then each transaction is some
	// twenty milliseconds of work, which a Put may have to wait for, and one sync. Until
	// then a crash has them published again, which the message id and the central
	// service make harmless; a transaction for each would take longer than
	// publishing them.
	markBatch  = 4096
	markWithin = 100 * time.Millisecond
	// tooLargeFor is how long a visit that the server finds too large is left
	// out. It may be given a higher limit meanwhile.
	tooLargeFor = time.Hour
)

// publish brings the queue into the stream for as long as the session lasts.
func (u *Uplink) publish(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) error {
	p := &publisher{u: u, nc: nc, js: js, tooLarge: make(map[string]time.Time), foreign: make(map[string]bool)}
	if !u.takeTurn(ctx) {
		return nil
	}
	backoff := u.backoff()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	known := false
	for {
		var err error
		if !known {
			err = p.remember(ctx)
			known = err == nil
		}
		if known {
			err = p.drain(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			if !u.pause(ctx, loopPublish, err, backoff) {
				return nil
			}
			continue
		}
		backoff.Reset()
		u.board.report(loopPublish, NoTrouble)
		select {
		case <-ctx.Done():
			return nil
		case <-u.cfg.Queue.Wake():
		case <-look.C:
		}
	}
}

// publisher publishes on one connection. It belongs to one goroutine.
type publisher struct {
	u        *Uplink
	nc       *nats.Conn
	js       jetstream.JetStream
	tooLarge map[string]time.Time // by id: until when to leave it out
	foreign  map[string]bool      // by id: visits of another subject, which are left out
	last     uint64               // sequence of the last visit that was stored
}

// remember finds out how far the stream had come by the visits in it that have
// no verdict.
func (p *publisher) remember(ctx context.Context) error {
	return p.unsettled(ctx, func(it outbox.Item) error {
		p.last = max(p.last, it.StreamSeq)
		return nil
	})
}

// requeue puts back every visit that was stored, because the stream has begun
// anew: the number of a visit lies below that of an earlier one.
func (p *publisher) requeue(ctx context.Context) error {
	n := 0
	err := p.unsettled(ctx, func(it outbox.Item) error {
		err := p.u.cfg.Queue.Requeue(ctx, it.ID)
		if errors.Is(err, outbox.ErrFinal) || errors.Is(err, outbox.ErrNotFound) || errors.Is(err, outbox.ErrDamaged) {
			return nil // accepted this moment, or nothing is left of it to send
		}
		n++
		return err
	})
	if err != nil {
		return err
	}
	p.u.log.Warn("the stream of visits has begun anew", "requeued", n)
	return nil
}

// unsettled calls fn with every visit that waits for its verdict.
func (p *publisher) unsettled(ctx context.Context, fn func(outbox.Item) error) error {
	for after := uint64(0); ; {
		items, err := p.u.cfg.Queue.List(ctx, outbox.Stored, after, readAhead)
		if err != nil {
			return &storeError{err}
		}
		if len(items) == 0 {
			return nil
		}
		for _, it := range items {
			after = it.Seq
			if it.Damaged {
				continue
			}
			if err := fn(it); err != nil {
				return &storeError{err}
			}
		}
	}
}

// sent is a visit on its way.
type sent struct {
	id     string
	size   int
	future jetstream.PubAckFuture
}

// drain publishes from the oldest queued visit to the last. It returns nil
// when none is left but those that are too large, or not this agent's. Every
// visit that was acknowledged is marked when it returns, also when ctx has ended.
func (p *publisher) drain(ctx context.Context) error {
	p.forget()
	d := drain{publisher: p, marks: newMarker(ctx, p.u.cfg.Queue, markBatch)}
	err := d.run(ctx)
	if failed := d.marks.finish(); failed != nil {
		return failed // says more than what came of it
	}
	return err
}

func (d *drain) run(ctx context.Context) error {
	for {
		cause := d.fill(ctx)
		if len(d.window) == 0 {
			return cause
		}
		if cause == nil {
			cause = d.collect(ctx)
		}
		if cause == nil {
			continue
		}
		// Nothing more is published; what is on its way may still be
		// acknowledged, and is known then.
		for len(d.window) > 0 && ctx.Err() == nil && !d.nc.IsClosed() {
			if err := d.collect(ctx); errors.As(err, new(*storeError)) {
				break
			}
		}
		return cause
	}
}

// forget drops the marks of visits that may be tried again.
func (p *publisher) forget() {
	maps.DeleteFunc(p.tooLarge, func(_ string, until time.Time) bool { return time.Now().After(until) })
	if len(p.tooLarge) == 0 {
		p.u.board.report(loopOversized, NoTrouble)
	}
}

// drain is one run through the queue.
type drain struct {
	*publisher
	after  uint64 // place of the last entry that was read
	ahead  []outbox.Entry
	window []sent // in the order of publishing
	bytes  int
	marks  *marker
	open   bool // the first was acknowledged: the others may follow together
	others int  // visits of another subject that were met
}

// fill publishes while there is room in the window.
func (d *drain) fill(ctx context.Context) error {
	cfg := &d.u.cfg
	for len(d.window) < cfg.Window && d.bytes < cfg.WindowBytes && (d.open || len(d.window) == 0) {
		if len(d.ahead) == 0 {
			var err error
			d.ahead, err = cfg.Queue.Next(ctx, d.after, readAhead)
			if err != nil {
				return &storeError{err}
			}
			if len(d.ahead) == 0 {
				if d.others == 0 {
					d.u.board.report(loopForeign, NoTrouble)
				}
				return nil
			}
		}
		e := d.ahead[0]
		d.ahead = d.ahead[1:]
		d.after = e.Seq
		if e.Subject != d.u.subject {
			d.others++
			d.notOurs(e.ID)
			continue
		}
		if _, skip := d.tooLarge[e.ID]; skip {
			continue
		}
		msg := message(e, e.ID)
		if int64(size(msg)) > d.nc.MaxPayload() {
			d.leaveOut(e.ID)
			continue
		}
		f, err := publishAsync(d.js, msg)
		if err != nil {
			return err
		}
		d.window = append(d.window, sent{e.ID, size(msg), f})
		d.bytes += size(msg)
	}
	return nil
}

// collect waits for the acknowledgement of the oldest visit on its way, takes
// what else has come by then, and has it marked.
func (d *drain) collect(ctx context.Context) error {
	for taken := 0; len(d.window) > 0; taken++ {
		first := d.window[0]
		var err error
		var ack *jetstream.PubAck
		if taken == 0 {
			select {
			case ack = <-first.future.Ok():
			case err = <-first.future.Err():
			case <-ctx.Done():
				return ctx.Err()
			}
		} else {
			select {
			case ack = <-first.future.Ok():
			case err = <-first.future.Err():
			default:
				return nil // not there yet
			}
		}
		d.window = d.window[1:]
		d.bytes -= first.size
		switch {
		case err == nil && ack.Stream == contract.VisitStream:
			if err := d.stored(ctx, first.id, ack); err != nil {
				return err
			}
		case err == nil:
			return ErrMalformed // stored somewhere else: not stored for us
		case classify(err) == TooLarge:
			d.leaveOut(first.id)
		default:
			return err
		}
	}
	return nil
}

// stored has a visit marked that the stream has.
func (d *drain) stored(ctx context.Context, id string, ack *jetstream.PubAck) error {
	if !ack.Duplicate {
		if ack.Sequence <= d.last {
			// Also those that were acknowledged a moment ago were in the old stream.
			if err := d.marks.finish(); err != nil {
				return err
			}
			d.marks = newMarker(ctx, d.u.cfg.Queue, markBatch)
			if err := d.requeue(ctx); err != nil {
				return err
			}
		}
		d.last = ack.Sequence
	}
	d.open = true
	return d.marks.add(outbox.Ack{ID: id, Stream: ack.Stream, Seq: ack.Sequence})
}

func (p *publisher) leaveOut(id string) {
	p.tooLarge[id] = time.Now().Add(tooLargeFor)
	p.u.board.report(loopOversized, TooLarge)
	p.u.log.Error("visit is larger than the server takes", "visit", id)
}

// notOurs leaves out a visit that was recorded under another key or for
// another facility. The server would refuse it without a word, and the others
// would wait behind it; only a person can say what shall become of it.
func (p *publisher) notOurs(id string) {
	p.u.board.report(loopForeign, Foreign)
	if !p.foreign[id] {
		p.foreign[id] = true
		p.u.log.Error("visit was recorded under another identity or for another facility", "visit", id)
	}
}

// message makes a NATS message of an entry.
func message(e outbox.Entry, msgID string) *nats.Msg {
	h := make(nats.Header, len(e.Header)+2)
	for k, v := range e.Header {
		h[k] = v
	}
	h.Set(jetstream.MsgIDHeader, msgID)
	h.Set(jetstream.ExpectedStreamHeader, contract.VisitStream)
	return &nats.Msg{Subject: e.Subject, Header: h, Data: e.Payload}
}

// headerLine is what a header costs on the wire besides its text.
const headerLine = len(": \r\n")

// size is at least what the message counts against the server's limit.
func size(m *nats.Msg) int {
	n := len(m.Data) + len("NATS/1.0\r\n\r\n")
	for k, values := range m.Header {
		for _, v := range values {
			n += len(k) + len(v) + headerLine
		}
	}
	return n
}

// publishAsync publishes without the client's own repetitions, which would let
// a later visit overtake.
func publishAsync(js jetstream.JetStream, m *nats.Msg) (jetstream.PubAckFuture, error) {
	return js.PublishMsgAsync(m, jetstream.WithRetryAttempts(0))
}
