package reader

import "context"

// A Change is what a [Subscription] delivers.
type Change struct {
	// Kind tells which of the other fields count.
	Kind EventKind
	// Device is the reader that the change is about, as [Event] has it. It
	// counts unless Kind is Snapshot or SourceChanged.
	Device Device
	// Source is the driver that began or ceased to work, for SourceChanged.
	Source SourceState
	// Devices and Sources are all readers and drivers, for Snapshot. What was
	// known before is to be forgotten.
	Devices []Device
	Sources []SourceState
	// Lost is how many changes the snapshot stands for, because they came
	// faster than they were taken.
	Lost int
}

// defaultQueue is how many changes wait for a subscriber. A reader that is
// plugged in with a card on it makes two.
const defaultQueue = 32

// A Subscription delivers what changes on a [Hub]. It begins with a Snapshot. A
// subscriber that is too slow loses changes and gets another Snapshot in their
// place, so it may be late but is never wrong. Call Close to end it.
type Subscription struct {
	h    *Hub
	max  int
	wake chan struct{}

	// Guarded by Hub.mu.
	queue  []Change
	stale  bool // the next delivery is a snapshot
	lost   int
	closed bool
}

// Subscribe begins a subscription with room for n changes that wait; 0 means
// 32.
func (h *Hub) Subscribe(n int) *Subscription {
	if n <= 0 {
		n = defaultQueue
	}
	s := &Subscription{h: h, max: n, wake: make(chan struct{}, 1), stale: true}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs[s] = struct{}{}
	return s
}

// Next returns the next change, in the order in which they happened. It waits
// for one, and ends with the error of ctx, or with [ErrHubClosed] when the hub
// or the subscription was closed. It is for one goroutine.
func (s *Subscription) Next(ctx context.Context) (Change, error) {
	if err := s.h.looked(ctx); err != nil {
		return Change{}, err
	}
	for {
		c, ok, closed := s.take()
		switch {
		case ctx.Err() != nil:
			return Change{}, ctx.Err()
		case closed:
			return Change{}, ErrHubClosed
		case ok:
			return c, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
	}
}

// take returns what waits.
func (s *Subscription) take() (c Change, ok, closed bool) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	switch {
	case s.closed || s.h.closed:
		return Change{}, false, true
	case s.stale:
		c = Change{Kind: Snapshot, Devices: cloned(s.h.devices), Lost: s.lost}
		for _, src := range s.h.sources {
			c.Sources = append(c.Sources, src.state)
		}
		s.queue, s.stale, s.lost = nil, false, 0
		return c, true, false
	case len(s.queue) > 0:
		c = s.queue[0]
		s.queue = s.queue[1:]
		return c, true, false
	}
	return Change{}, false, false
}

// put adds changes, with Hub.mu held.
func (s *Subscription) put(changes []Change) {
	if len(changes) == 0 {
		return
	}
	if s.stale || len(s.queue)+len(changes) > s.max {
		if !s.stale || s.lost > 0 {
			s.lost += len(s.queue) + len(changes)
		}
		s.queue, s.stale = nil, true
	} else {
		s.queue = append(s.queue, changes...)
	}
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close ends the subscription. Closing twice is harmless.
func (s *Subscription) Close() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.closed = true
	delete(s.h.subs, s)
	s.signal()
}
