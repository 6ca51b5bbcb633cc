// Package event carries what changes to those who watch: the desk and the
// hospital's systems. A [Bus] is typed and bounded. Who is slow loses progress, and
// is told so; never the newest state of a check-in without a word. Nobody's
// slowness holds up the check-in.
package event

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/chamthe/chamthe/agent/wire"
)

// Audiences of an event, besides the name of a client.
const (
	Everybody = ""     // every subscriber
	Desk      = "desk" // the desk, which gets everything
)

// ErrClosed means that the subscription or its bus was closed.
var ErrClosed = errors.New("event: closed")

// defaultRoom is how many events wait for a subscriber. One check-in makes about
// twenty-five.
const defaultRoom = 64

// A Bus hands events on. Its methods may be called from several goroutines at once;
// none of them waits for a subscriber. Make one with [New].
type Bus struct {
	now func() time.Time

	mu     sync.Mutex
	seq    uint64
	subs   map[*Subscription]struct{}
	closed bool
}

// New returns a bus without subscribers.
func New() *Bus {
	return &Bus{now: time.Now, subs: make(map[*Subscription]struct{})}
}

// Publish gives e its number, and its time unless it has one, and puts it into the
// queue of every subscriber whom it concerns: those of that audience, and the desk;
// all of them with [Everybody]. What e points to is shared with them and must not be
// changed afterwards. After Close it does nothing.
func (b *Bus) Publish(e wire.Event, audience string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.seq++
	e.Seq = b.seq
	if e.At.IsZero() {
		e.At = b.now()
	}
	for s := range b.subs {
		if audience == Everybody || s.audience == Desk || s.audience == audience {
			s.put(e)
		}
	}
}

// Subscribe begins a subscription with room for n events that wait; 0 and less
// mean 64. It gets what is published from now on: read the state after it. Close
// it in the end.
func (b *Bus) Subscribe(audience string, n int) *Subscription {
	if n <= 0 {
		n = defaultRoom
	}
	s := &Subscription{b: b, audience: audience, room: n, wake: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		s.closed = true
		return s
	}
	b.subs[s] = struct{}{}
	return s
}

// Close ends every subscription, once its subscriber has taken what waits for it.
func (b *Bus) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for s := range b.subs {
		s.closed = true
		s.signal()
	}
	clear(b.subs)
}

// A Subscription is one subscriber's queue. Next is for one goroutine, Close for
// any.
type Subscription struct {
	b        *Bus
	audience string
	room     int
	wake     chan struct{}

	// Guarded by Bus.mu.
	queue  []wire.Event
	missed *wire.Event // stands for those that were dropped; delivered first
	closed bool
}

// put adds e, with Bus.mu held. When there is no room, older states of a check-in
// give way to a newer one of the same; when nothing is like that, the oldest event
// goes, and the subscriber hears that it has missed something.
func (s *Subscription) put(e wire.Event) {
	if len(s.queue) >= s.room {
		if i := s.outdated(e); i >= 0 {
			s.queue = slices.Delete(s.queue, i, i+1)
		} else {
			lost := s.queue[0]
			s.missed = &wire.Event{Type: wire.EventMissed, Seq: lost.Seq, At: lost.At}
			s.queue = slices.Delete(s.queue, 0, 1)
		}
	}
	s.queue = append(s.queue, e)
	s.signal()
}

// outdated returns the place of the oldest event that says nothing any more once e
// is in the queue, -1 if every one does.
func (s *Subscription) outdated(e wire.Event) int {
	newest := make(map[string]uint64)
	for _, q := range append(slices.Clip(s.queue), e) {
		if k := subject(q); k != "" {
			newest[k] = q.Seq
		}
	}
	return slices.IndexFunc(s.queue, func(q wire.Event) bool {
		k := subject(q)
		return k != "" && newest[k] != q.Seq
	})
}

// subject names what an event is the whole state of: a later event about it makes
// it superfluous. It is empty for an event that says something by itself.
func subject(e wire.Event) string {
	switch {
	case e.Type == wire.EventCheckIn && e.CheckIn != nil:
		return e.Type + " " + e.CheckIn.ID
	case e.Type == wire.EventReaders, e.Type == wire.EventLink, e.Type == wire.EventOperator:
		return e.Type
	}
	return ""
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next returns the next event, in the order in which they were published, and waits
// for one. An [wire.EventMissed] stands in front of those that are left when some had
// to go. The error is that of ctx, or [ErrClosed].
func (s *Subscription) Next(ctx context.Context) (wire.Event, error) {
	for {
		if err := ctx.Err(); err != nil {
			return wire.Event{}, err
		}
		e, ok, closed := s.take()
		switch {
		case ok:
			return e, nil
		case closed:
			return wire.Event{}, ErrClosed
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
	}
}

func (s *Subscription) take() (e wire.Event, ok, closed bool) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	switch {
	case s.missed != nil:
		e, s.missed = *s.missed, nil
		return e, true, false
	case len(s.queue) > 0:
		e = s.queue[0]
		s.queue = slices.Delete(s.queue, 0, 1)
		return e, true, false
	}
	return wire.Event{}, false, s.closed
}

// Close ends the subscription and drops what waits. Closing twice is harmless.
func (s *Subscription) Close() {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	delete(s.b.subs, s)
	s.closed, s.queue, s.missed = true, nil, nil
	s.signal()
}
