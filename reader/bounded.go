package reader

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// callLimit bounds one call of a driver that opens, resets or uses a card.
	// Drivers have shorter limits of their own: this is for one that fails to
	// keep them.
	callLimit = time.Minute
	// closeLimit bounds the closing of a card.
	closeLimit = 10 * time.Second
)

// bounded is a card whose calls end whatever its driver does. A call that does
// not come back is left behind, the card is of no further use, and closes when
// the call returns at last.
type bounded struct {
	h    *Hub
	at   place
	card Card

	turn chan struct{} // holds a token during a call
	dead error         // why no call can be made any more; guarded by turn

	mu  sync.Mutex
	atr []byte
}

var (
	_ Card    = (*bounded)(nil)
	_ Capable = (*bounded)(nil)
)

// openCard opens the card at a place. When ctx has ended, the driver has a
// moment to notice.
func (h *Hub) openCard(ctx context.Context, at place) (Card, error) {
	b := &bounded{h: h, at: at, turn: make(chan struct{}, 1)}
	_, err := h.bound(ctx, at, callLimit, func() (err error) {
		if b.card, err = at.source.Driver.Open(ctx, at.name); err == nil {
			b.atr = b.card.ATR()
		}
		return err
	}, func(err error) {
		if err == nil {
			_ = b.card.Close()
		}
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// bound makes one call of a driver and waits for it up to limit, and no longer
// than Grace after the end of ctx. A call that takes longer is left behind, and
// nothing that f sets may be read then: until f has returned and late has
// cleaned up after it, the reader is unavailable, so there is at most one such
// call for each reader.
func (h *Hub) bound(ctx context.Context, at place, limit time.Duration, f func() error, late func(error)) (behind bool, err error) {
	done := make(chan error, 1)
	var mu sync.Mutex
	var finished, left bool
	go func() {
		err := f()
		mu.Lock()
		finished = true
		unwanted := left
		mu.Unlock()
		if !unwanted {
			done <- err
			return
		}
		late(err)
		h.leave(at, false)
	}()

	timer := time.NewTimer(limit)
	defer timer.Stop()
	ended := ctx.Done()
	for {
		select {
		case err := <-done:
			return false, err
		case <-ended:
			ended = nil
			timer.Reset(min(limit, h.cfg.Grace))
			continue
		case <-timer.C:
		}
		mu.Lock()
		if finished {
			mu.Unlock()
			return false, <-done
		}
		left = true
		h.leave(at, true) // before the call can come back
		mu.Unlock()
		if err := ctx.Err(); err != nil {
			return true, err
		}
		return true, errStuck
	}
}

// leave notes that a call was left behind at a place, or that it has come back.
func (h *Hub) leave(at place, behind bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if behind {
		h.stuck[at] = struct{}{}
		h.say(at.source, "driver does not return", "model", Model(at.name))
	} else {
		delete(h.stuck, at)
		h.say(at.source, "driver has returned", "model", Model(at.name))
	}
	h.publish(nil)
}

// Stuck returns how many readers are unavailable because their driver has not
// returned from a call in time. Each costs a goroutine until it does.
func (h *Hub) Stuck() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.stuck)
}

// call makes one call in its turn. The end of a context does not cut it short.
func (b *bounded) call(f func() error) error {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	if b.dead != nil {
		return b.dead
	}
	behind, err := b.h.bound(context.Background(), b.at, callLimit, f, func(error) { _ = b.card.Close() })
	if behind {
		b.dead = err
	}
	return err
}

// Transmit implements [Card].
func (b *bounded) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	cmd = slices.Clone(cmd) // the driver may still read it after the time limit
	var resp []byte
	if err := b.call(func() (err error) {
		resp, err = b.card.Transmit(ctx, cmd)
		return err
	}); err != nil {
		return nil, err
	}
	return resp, nil
}

// Reset implements [Card].
func (b *bounded) Reset(ctx context.Context) error {
	var atr []byte
	if err := b.call(func() (err error) {
		err = b.card.Reset(ctx)
		atr = b.card.ATR()
		return err
	}); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.atr = atr
	return nil
}

// Capabilities implements [Capable].
func (b *bounded) Capabilities(ctx context.Context) (Capabilities, error) {
	var caps Capabilities
	if err := b.call(func() (err error) {
		caps, err = CapabilitiesOf(ctx, b.card)
		return err
	}); err != nil {
		return Capabilities{}, err
	}
	return caps, nil
}

// ATR implements [Card].
func (b *bounded) ATR() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.atr)
}

// Close implements [Card]. After a call that was left behind it does nothing:
// who had that call was told.
func (b *bounded) Close() error {
	b.turn <- struct{}{} // no longer than the call that has it
	defer func() { <-b.turn }()
	if b.dead != nil {
		return nil
	}
	b.dead = ErrClosed
	_, err := b.h.bound(context.Background(), b.at, closeLimit, b.card.Close, func(error) {})
	return err
}
