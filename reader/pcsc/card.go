package pcsc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chamthe/chamthe/reader"
)

// card is the side of an open card that callers hold. The native handle
// belongs to the goroutine that runs owner.run.
type card struct {
	opt  Options
	asks chan ask      // to the owner; closed to end it
	gone chan struct{} // closed when the owner has cleaned up

	turn chan struct{} // holds one token while no call is being made

	// Guarded by turn.
	dead error // why no call can be made any more

	mu  sync.Mutex
	atr []byte
}

var _ reader.Card = (*card)(nil)

// ask is one call for the owner to make. It answers exactly once; done has
// room for the answer, so an owner whose caller has given up does not block.
type ask struct {
	op   string // "transmit" or "reset"
	cmd  []byte
	done chan answer
}

type answer struct {
	resp []byte
	atr  []byte
	err  error
}

// Open implements [reader.Driver]. If another program has the card, it waits
// for up to Options.Busy. A context that ends while Open waits makes it
// return; what it has begun is undone as soon as the service lets it.
func (d *Driver) Open(ctx context.Context, name string) (reader.Card, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !d.own(name) {
		return nil, &busyError{}
	}
	o := &owner{d: d, name: name, quit: make(chan struct{})}
	c := &card{
		opt:  d.opt,
		asks: make(chan ask),
		gone: make(chan struct{}),
		turn: make(chan struct{}, 1),
	}
	opened := make(chan answer, 1)
	go o.run(c.asks, opened, c.gone)

	limit := time.NewTimer(d.opt.Step + d.opt.Busy + d.opt.Settle)
	defer limit.Stop()
	var err error
	select {
	case a := <-opened:
		if a.err != nil {
			select {
			case <-c.gone: // the reader is free again
			case <-limit.C:
			}
			return nil, a.err
		}
		c.atr = a.atr
		c.turn <- struct{}{}
		return c, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-limit.C:
		err = &stuckError{op: "open"}
		switch stage(o.stage.Load()) {
		case connecting:
			if d.inUse(ctx, name) {
				err = &busyError{}
			}
		case blocked:
			err = &busyError{}
		}
	}
	close(o.quit)
	close(c.asks)
	return nil, err
}

// A busyError says that the card is in use where no code of the service does.
type busyError struct{}

func (*busyError) Error() string { return "open: " + reader.ErrSharing.Error() }
func (*busyError) Unwrap() error { return reader.ErrSharing }

// Transmit implements [reader.Card].
func (c *card) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if err := reader.CheckCommand(cmd); err != nil {
		return nil, err
	}
	// A copy: the owner may still read it after the time limit.
	a, err := c.call(ctx, "transmit", slices.Clone(cmd), c.opt.Exchange+c.opt.Settle)
	return a.resp, err
}

// Reset implements [reader.Card].
func (c *card) Reset(ctx context.Context) error {
	a, err := c.call(ctx, "reset", nil, c.opt.Step+c.opt.Settle)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.atr = a.atr
	return nil
}

// ATR implements [reader.Card].
func (c *card) ATR() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.atr)
}

// call lets the owner make one call. Once it has begun it is waited for,
// whatever becomes of ctx, up to the limit.
func (c *card) call(ctx context.Context, op string, cmd []byte, max time.Duration) (answer, error) {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	defer func() { c.turn <- struct{}{} }()
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	if c.dead != nil {
		return answer{}, c.dead
	}

	limit := time.NewTimer(max)
	defer limit.Stop()
	q := ask{op: op, cmd: cmd, done: make(chan answer, 1)}
	c.asks <- q // the owner is idle: this call is the only one
	select {
	case a := <-q.done:
		if errors.Is(a.err, reader.ErrCardRemoved) {
			c.dead = a.err
		}
		return a, a.err
	case <-limit.C:
		c.dead = &stuckError{op: op}
		return answer{}, c.dead
	}
}

// Close implements [reader.Card]. It returns [reader.ErrTimeout] if the
// service does not let the card go in time.
func (c *card) Close() error {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	if errors.Is(c.dead, reader.ErrClosed) {
		return nil
	}
	stuck := errors.Is(c.dead, reader.ErrTimeout)
	c.dead = reader.ErrClosed
	close(c.asks)
	if stuck {
		return nil // it was told already; the owner cleans up when it can
	}
	limit := time.NewTimer(c.opt.Step)
	defer limit.Stop()
	select {
	case <-c.gone:
		return nil
	case <-limit.C:
		return &stuckError{op: "close"}
	}
}

// stage tells how far the opening of a card is.
type stage int32

const (
	connecting stage = iota
	blocked          // by another program, for certain
	ours
)

// owner holds the native handle of one card.
type owner struct {
	d     *Driver
	name  string
	quit  chan struct{} // closed when nobody wants the card any more
	stage atomic.Int32  // for the one who waits

	ctx  scardContext
	card scardCard
	left bool // the card is known to have gone
}

// run opens the card, answers until asks is closed or the card has left, and
// cleans up. What it has done is reported on opened; gone is closed last.
func (o *owner) run(asks <-chan ask, opened chan<- answer, gone chan<- struct{}) {
	defer close(gone)
	defer o.d.disown(o.name)
	defer o.close()

	atr, err := o.open()
	opened <- answer{atr: atr, err: err}
	if err != nil {
		return
	}
	for q := range asks {
		var a answer
		switch q.op {
		case "transmit":
			a.resp, a.err = o.transmit(q.cmd)
		case "reset":
			a.atr, a.err = o.reset()
		}
		q.done <- a
		if errors.Is(a.err, reader.ErrCardRemoved) {
			o.left = true
			return // no further ask will come; the reader is free for the next card
		}
	}
}

// close lets everything go. Errors are of no use here: the card or the service
// may have gone already.
func (o *owner) close() {
	if o.card != nil {
		// No reset of what is not there: after one that failed, pcscd can miss
		// the next card. See firmware-notes/os/pcscd.md.
		_ = o.card.disconnect(!o.left)
	}
	if o.ctx != nil {
		_ = o.ctx.release()
	}
}

func (o *owner) open() (atr []byte, err error) {
	if o.ctx, err = o.d.lib.establish(); err != nil {
		return nil, toError("establish context", err)
	}
	// An exclusive connection of another program makes connect fail. A
	// transaction of another program makes begin block, and under pcscd
	// connect as well: see firmware-notes/os/pcscd.md and inUse.
	until := time.Now().Add(o.d.opt.Busy)
	for {
		if o.card, err = o.ctx.connect(o.name); err == nil {
			break
		}
		o.card = nil // not an interface that holds a nil
		if !errors.Is(err, codeSharingViolation) || !time.Now().Before(until) {
			return nil, toError("connect", err)
		}
		o.stage.Store(int32(blocked))
		select {
		case <-time.After(min(50*time.Millisecond, o.d.opt.Busy)):
		case <-o.quit:
			return nil, &busyError{}
		}
	}
	o.stage.Store(int32(blocked))
	err = o.card.begin()
	o.stage.Store(int32(ours))
	if err != nil && !errors.Is(err, codeResetCard) {
		return nil, toError("begin transaction", err)
	}
	atr, rerr := o.reset()
	if errors.Is(rerr, reader.ErrCardRemoved) {
		// Nothing was open yet: for the caller there just is no card.
		if e, ok := errors.AsType[*Error](rerr); ok {
			return nil, &Error{Op: "open", Code: e.Code, kind: reader.ErrNoCard}
		}
	}
	if rerr != nil {
		return nil, rerr
	}
	if err == nil {
		return atr, nil
	}
	// The other program reset the card as it gave it back, and our begin was
	// refused for that reason only.
	if err := o.card.begin(); err != nil {
		return nil, toError("begin transaction", err)
	}
	return atr, nil
}

// reset powers the card up anew: without a power cut if that is enough.
func (o *owner) reset() ([]byte, error) {
	err := o.card.reconnect(false)
	if errors.Is(err, codeUnresponsiveCard) || errors.Is(err, codeUnpoweredCard) {
		err = o.card.reconnect(true)
	}
	if err != nil {
		return nil, o.explain("reset", err)
	}
	atr, err := o.card.status()
	if err != nil {
		return nil, o.explain("reset", err)
	}
	return atr, nil
}

func (o *owner) transmit(cmd []byte) ([]byte, error) {
	resp, err := o.card.transmit(cmd)
	if err == nil && len(resp) < 2 {
		// What some drivers say of a card that was pulled away.
		// See firmware-notes/os/pcscd.md.
		err = codeNotTransacted
	}
	if err != nil {
		return nil, o.explain("transmit", err)
	}
	return resp, nil
}

// explain says what it means that a call on an open card failed. A card that
// was pulled away first shows as an exchange that came to nothing, and the
// service notices the removal a little later, so it is asked again for a
// while.
func (o *owner) explain(op string, err error) error {
	c, ok := errors.AsType[code](err)
	if !ok || !meansNoAnswer(c) {
		return toError(op, err)
	}
	until := time.Now().Add(o.d.opt.Settle)
	for {
		_, serr := o.card.status()
		switch now, _ := errors.AsType[code](serr); now {
		case codeRemovedCard, codeNoSmartcard:
			return &Error{Op: op, Code: uint32(codeRemovedCard), kind: reader.ErrCardRemoved}
		case codeResetCard:
			return toError(op, serr)
		}
		if now := toError(op, serr); errors.Is(now, reader.ErrNoService) || errors.Is(now, reader.ErrNoReader) {
			return now
		}
		if !time.Now().Before(until) {
			break
		}
		time.Sleep(min(25*time.Millisecond, o.d.opt.Settle))
	}
	if op == "transmit" {
		return &Error{Op: op, Code: uint32(c), kind: reader.ErrComm}
	}
	return toError(op, c)
}
