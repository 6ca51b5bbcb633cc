package reader

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// A BusyError says who has the card that could not be opened. It unwraps to
// [ErrSharing].
type BusyError struct {
	// Reader is the name of the reader.
	Reader string
	// Ours means that the card is open through the same [Hub].
	Ours bool
	// Exclusive means that the other program lets nobody else in; otherwise it
	// is in the middle of something, and may let go.
	Exclusive bool
	// Programs are those that probably have it, from what runs on the
	// computer; the system does not say which it is.
	Programs []string

	err error
}

// Error implements error.
func (e *BusyError) Error() string {
	if e.Ours {
		return "reader: card in use by this program"
	}
	text := ErrSharing.Error()
	if e.Exclusive {
		text += ", for itself alone"
	}
	for i, p := range e.Programs {
		if i == 0 {
			text += ": probably "
		} else {
			text += " or "
		}
		text += p
	}
	return text
}

// Unwrap returns ErrSharing and what the driver said.
func (e *BusyError) Unwrap() []error {
	if e.err == nil {
		return []error{ErrSharing}
	}
	return []error{ErrSharing, e.err}
}

// A Lease is a card that was opened through a [Hub]. Call Close to give it
// back; the end of the context that it was taken with does so as well. Between
// exchanges it keeps the pause that reader and card need.
type Lease struct {
	h      *Hub
	at     place
	device Device
	card   Card
	caps   Capabilities
	key    LimitKey
	base   Limits        // of reader and quirk
	wake   time.Duration // the pause that a reset needs
	looks  int
	stop   func() bool

	turn chan struct{} // holds a token during a call
	next time.Time     // before this no call may begin; guarded by turn

	mu      sync.Mutex
	learned Limits // what the store has
	closed  bool
}

var (
	_ Card    = (*Lease)(nil)
	_ Capable = (*Lease)(nil)
)

// Open implements [Driver]. The card is a [*Lease]; see [Hub.Take].
func (h *Hub) Open(ctx context.Context, name string) (Card, error) {
	l, err := h.Take(ctx, name)
	if err != nil {
		return nil, err // not an interface that holds a nil
	}
	return l, nil
}

// Take opens the card on the reader called name, which may be one that is
// ignored. The card is lent until ctx ends: then it is closed, after an
// exchange that has begun. The errors are those of [Driver.Open], with a
// [*BusyError] for a card that is in use.
func (h *Hub) Take(ctx context.Context, name string) (*Lease, error) {
	if err := h.looked(ctx); err != nil {
		return nil, err
	}
	d, err := h.reserve(name)
	if err != nil {
		return nil, err
	}
	card, err := h.openCard(ctx, d.place)
	if err != nil {
		ours := h.free(d.place)
		if errors.Is(err, ErrSharing) {
			busy := &BusyError{Reader: d.Name, Ours: ours, Exclusive: d.State == Busy, err: err}
			if !ours {
				busy.Programs = holders(h.cfg.proc)
			}
			err = busy
		}
		return nil, err
	}

	l := &Lease{
		h: h, at: d.place, device: d, card: card,
		key:  KeyOf(d.place.name, card.ATR()),
		turn: make(chan struct{}, 1),
	}
	l.caps = h.capabilities(ctx, d.place, card)
	l.base, l.wake = limitsOf(d.place.name, l.caps)
	// A store that does not work makes reading slower, not impossible.
	known, found, err := h.limits.Load(ctx, l.key)
	if err == nil && found && known.Fresh(h.cfg.now()) {
		l.learned = known.bounded()
	}
	l.next = time.Now().Add(l.wake)

	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		_ = card.Close()
		return nil, ErrHubClosed
	}
	defer h.mu.Unlock()
	l.looks = d.place.source.looks
	l.stop = context.AfterFunc(ctx, func() { _ = l.close() })
	h.leases[d.place] = l
	h.open[l] = struct{}{}
	h.publish(nil)
	return l, nil
}

// InUse says who has the card on the reader called name, or on the best reader
// whose card is in use if name is empty. It is false if none is. A card that is
// shared with a program that is in the middle of something does not show here,
// only when it is opened.
func (h *Hub) InUse(name string) (*BusyError, bool) {
	h.mu.Lock()
	i := slices.IndexFunc(h.devices, func(d Device) bool {
		return d.State == Busy && (d.Name == name || name == "" && d.Rank > 0)
	})
	if i < 0 {
		h.mu.Unlock()
		return nil, false
	}
	busy := &BusyError{Reader: h.devices[i].Name, Ours: h.devices[i].Ours, Exclusive: !h.devices[i].Ours}
	h.mu.Unlock()
	if !busy.Ours {
		busy.Programs = holders(h.cfg.proc)
	}
	return busy, true
}

// reserve finds the reader and keeps others from it.
func (h *Hub) reserve(name string) (Device, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.devices, func(d Device) bool { return d.Name == name })
	if i < 0 {
		for _, s := range h.sources {
			if s.state.Err != nil && len(h.devices) == 0 {
				return Device{}, s.state.Err
			}
		}
		return Device{}, ErrNoReader
	}
	d := cloned(h.devices[i : i+1])[0]
	if _, stuck := h.stuck[d.place]; stuck {
		return Device{}, errStuck
	}
	if _, taken := h.leases[d.place]; taken {
		return Device{}, &BusyError{Reader: name, Ours: true}
	}
	h.leases[d.place] = nil
	return d, nil
}

// free undoes reserve, and reports whether an earlier owner of ours still has a
// card there.
func (h *Hub) free(at place) (ours bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.leases, at)
	for l := range h.open {
		ours = ours || l.at == at
	}
	return ours
}

// capabilities asks the reader, once for as long as it is there.
func (h *Hub) capabilities(ctx context.Context, at place, card Card) Capabilities {
	h.mu.Lock()
	caps, known := at.source.caps[at.name]
	h.mu.Unlock()
	if known {
		return caps
	}
	caps, err := CapabilitiesOf(ctx, card)
	if err != nil {
		return Capabilities{} // the next exchange will tell what is wrong
	}
	caps.UID, caps.ATS = nil, nil
	h.mu.Lock()
	defer h.mu.Unlock()
	at.source.caps[at.name] = caps
	return caps
}

// limitsOf returns what a reader bears by what it says of itself and what is
// known of its model, and the pause that a card in it needs after a reset.
//
// What is known tightens what the reader says. Extended length is used only
// where it is known to work: the driver of ours carries it itself, the quirk of
// the model says that it was measured, or it was learned. A claim is not enough,
// for the common driver makes it for every reader of some classes, and a reader
// that does not keep it hangs or breaks off. So a claim of more than a short
// response counts as unknown: that costs a few more exchanges for each document,
// and never fails.
func limitsOf(name string, caps Capabilities) (l Limits, afterReset time.Duration) {
	l.MaxNe = caps.MaxAPDU
	if l.MaxNe == 0 && caps.Extended {
		l.MaxNe = maxExtendedNe
	}
	l.NoExtended = l.MaxNe > 0 && l.MaxNe <= maxShortNe
	q, _ := QuirkOf(name, caps.VendorID, caps.ProductID)
	claims := l.MaxNe > 0
	l = l.Tighter(q.Limits())
	switch safe := q.Extended == ExtendedSafe; {
	case l.NoExtended:
	case safe && !claims:
		l.MaxNe = q.MaxExtended
	case !safe && !caps.Extended:
		l.MaxNe = 0
	}
	return l, q.DelayAfterReset
}

// Response data of commands of short and of extended length (ISO/IEC 7816-4,
// 5.2).
const (
	maxShortNe    = 256
	maxExtendedNe = 65536
)

// Device returns the reader as it was when the card was opened.
func (l *Lease) Device() Device { return cloned([]Device{l.device})[0] }

// Key returns under which key limits of this card are remembered.
func (l *Lease) Key() LimitKey { return l.key }

// Limits returns what this card in this reader bears: by what the reader says
// of itself, by the quirks of its model, and by what was learned.
func (l *Lease) Limits() Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.base.Tighter(l.learned)
}

// Learned returns what was learned of cards of this kind in readers of this
// model. It is no more than a part of [Lease.Limits].
func (l *Lease) Learned() Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.learned
}

// Learn remembers what a measurement has shown, for the next card of this kind,
// and on top of what was known. Only what is tighter than the reader's own limits
// is kept. It does nothing if that is known already. The error is that of the
// store, and can be ignored: the next read takes longer, that is all.
func (l *Lease) Learn(ctx context.Context, found Limits) error {
	return l.keep(ctx, func(known Limits) Limits {
		if found.MaxNe == 0 {
			found.MaxNe = known.MaxNe
		}
		found.NoExtended = found.NoExtended || known.NoExtended
		found.Delay = max(found.Delay, known.Delay)
		found.NoSFI = found.NoSFI || known.NoSFI
		found.Probe = found.Probe || known.Probe
		return found
	})
}

// Relearn remembers what reading a card has shown in place of what was known: what
// found does not limit is limited no more. Only the pause, of which reading finds
// out nothing, stays. The error is as with [Lease.Learn].
func (l *Lease) Relearn(ctx context.Context, found Limits) error {
	return l.keep(ctx, func(known Limits) Limits {
		found.Delay = known.Delay
		return found
	})
}

// keep saves what of change's result the reader does not say of itself.
func (l *Lease) keep(ctx context.Context, change func(known Limits) Limits) error {
	l.mu.Lock()
	found := change(l.learned).bounded()
	if l.base.MaxNe > 0 && found.MaxNe >= l.base.MaxNe {
		found.MaxNe = 0
	}
	found.NoExtended = found.NoExtended && !l.base.NoExtended
	if found.Delay <= l.base.Delay {
		found.Delay = 0
	}
	if found.Same(l.learned) {
		l.mu.Unlock()
		return nil
	}
	found.Learned = l.h.cfg.now()
	l.learned = found
	l.mu.Unlock()
	return l.h.limits.Save(ctx, l.key, found)
}

// Capabilities implements [Capable]. What belongs to the card is asked anew
// each time.
func (l *Lease) Capabilities(ctx context.Context) (Capabilities, error) {
	var caps Capabilities
	err := l.do(ctx, l.Limits().Delay, func() (err error) {
		caps, err = CapabilitiesOf(ctx, l.card)
		return err
	})
	return caps, err
}

// Transmit implements [Card].
func (l *Lease) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if err := CheckCommand(cmd); err != nil {
		return nil, err
	}
	var resp []byte
	err := l.do(ctx, l.Limits().Delay, func() (err error) {
		resp, err = l.card.Transmit(ctx, cmd)
		return err
	})
	return resp, err
}

// Reset implements [Card].
func (l *Lease) Reset(ctx context.Context) error {
	return l.do(ctx, max(l.wake, l.Limits().Delay), func() error { return l.card.Reset(ctx) })
}

// do makes one call in its turn, and lets no other begin until pause after it.
func (l *Lease) do(ctx context.Context, pause time.Duration, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.turn }()
	if l.isClosed() {
		return ErrClosed
	}
	if d := time.Until(l.next); d > 0 && !sleep(ctx, d) {
		return ctx.Err()
	}
	err := f()
	if pause > 0 {
		l.next = time.Now().Add(pause)
	}
	if errors.Is(err, ErrCardRemoved) || errors.Is(err, ErrNoReader) || errors.Is(err, ErrNoService) {
		l.h.release(l) // what comes next on this reader is another card
	}
	return err
}

func (l *Lease) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// ATR implements [Card].
func (l *Lease) ATR() []byte { return l.card.ATR() }

// Close implements [Card]. It waits for an exchange that has begun.
func (l *Lease) Close() error {
	l.stop()
	return l.close()
}

func (l *Lease) close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	err := l.card.Close()
	l.h.release(l)
	l.h.mu.Lock()
	delete(l.h.open, l)
	l.h.mu.Unlock()
	return err
}

// release makes the reader free for the next owner.
func (h *Hub) release(l *Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.leases[l.at] == l {
		delete(h.leases, l.at)
		h.publish(nil)
	}
}
