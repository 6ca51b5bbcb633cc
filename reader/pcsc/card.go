package pcsc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chamthe/chamthe/reader"
)

// card is the side of an open card that callers hold. The native handle
// belongs to the goroutine that runs owner.run.
type card struct {
	o    *owner
	asks chan ask      // to the owner; closed to end it
	gone chan struct{} // closed when the owner has cleaned up

	turn chan struct{} // holds one token while no call is being made

	// Guarded by turn.
	dead error // why no call can be made any more

	mu  sync.Mutex
	atr []byte
}

var (
	_ reader.Card    = (*card)(nil)
	_ reader.Capable = (*card)(nil)
)

// ask is one call for the owner to make. It answers exactly once; done has
// room for the answer, so an owner whose caller has given up does not block.
type ask struct {
	op   string
	work func(*owner) answer
	done chan answer
}

type answer struct {
	resp []byte
	atr  []byte
	caps reader.Capabilities
	err  error
}

// Open implements [reader.Driver]. If another program has the card, it waits
// for up to Options.Busy. A context that ends while Open waits makes it
// return; what it has begun is undone as soon as the service lets it. While a
// call on this reader is left behind, Open returns what that call was left
// with; other readers are not concerned. A question to the reader that does not
// come back is the exception: see [Driver.Stuck].
func (d *Driver) Open(ctx context.Context, name string) (reader.Card, error) {
	c, err := d.open(ctx, name)
	if errors.Is(err, errNoAnswer) {
		c, err = d.open(ctx, name) // and asks nothing this time
	}
	if err != nil {
		return nil, err // not an interface that holds a nil
	}
	return c, nil
}

// errNoAnswer means that a question to the reader was left behind.
var errNoAnswer = errors.New("pcsc: reader does not answer questions")

func (d *Driver) open(ctx context.Context, name string) (*card, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o := &owner{d: d, name: name, quit: make(chan struct{})}
	o.limit.begun = make(chan struct{}, 1)
	if other := d.own(o); other != nil {
		if err := d.leftWith(other); err != nil {
			return nil, err
		}
		return nil, &SharingError{ThisProgram}
	}
	c := &card{
		o:    o,
		asks: make(chan ask),
		gone: make(chan struct{}),
		turn: make(chan struct{}, 1),
	}
	opened := make(chan answer, 1)
	o.limit.begin("open", d.opt.Step)
	go o.run(c.asks, opened, c.gone)

	a, err := await(ctx.Done(), opened, &o.limit)
	if err != nil && o.stage.CompareAndSwap(int32(asking), int32(unwanted)) {
		d.leaveAsking(o)
		close(c.asks)
		if errors.Is(err, errEnded) {
			return nil, ctx.Err()
		}
		return nil, errNoAnswer
	}
	switch {
	case errors.Is(err, errEnded):
		err = ctx.Err()
	case err != nil:
		switch stage(o.stage.Load()) {
		case connecting:
			// Under pcscd connect waits for the transaction of another
			// program to end.
			if how, busy := d.inUse(ctx, name); busy {
				err = &SharingError{how}
			}
		case blocked:
			err = &SharingError{Transaction}
		}
	case a.err != nil:
		timer := time.NewTimer(d.opt.Disconnect)
		defer timer.Stop()
		select {
		case <-c.gone: // the reader is free again
		case <-timer.C:
			d.abandon(o, &stuckError{op: "close"})
		}
		return nil, a.err
	default:
		c.atr = a.atr
		c.turn <- struct{}{}
		return c, nil
	}
	d.abandon(o, err)
	close(o.quit)
	close(c.asks)
	return nil, err
}

// A limit is the time limit of what an owner does now, for the one who waits.
type limit struct {
	mu    sync.Mutex
	op    string
	until time.Time
	begun chan struct{} // with room for one: a step has begun
}

func (l *limit) begin(op string, max time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.op, l.until = op, time.Now().Add(max)
	select {
	case l.begun <- struct{}{}:
	default:
	}
}

func (l *limit) left() (op string, left time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.op, time.Until(l.until)
}

// errEnded means that what ends a waiting has come.
var errEnded = errors.New("pcsc: ended")

// await waits for an answer until the step that the owner is at is over its
// limit, or until ended.
func await(ended <-chan struct{}, answers <-chan answer, l *limit) (answer, error) {
	for {
		_, left := l.left()
		timer := time.NewTimer(left)
		select {
		case a := <-answers:
			timer.Stop()
			return a, nil
		case <-ended:
			timer.Stop()
			return answer{}, errEnded
		case <-l.begun: // perhaps with a shorter limit
			timer.Stop()
			continue
		case <-timer.C:
		}
		if op, left := l.left(); left <= 0 {
			return answer{}, &stuckError{op: op}
		}
	}
}

// abandon notes that nobody waits for o any more although a call of its has
// not returned; err is what was told instead of an answer. A nil err takes it
// back.
func (d *Driver) abandon(o *owner, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owned[o.name] == o {
		o.left = err
	}
}

// leftWith returns the error that the caller of o was left with.
func (d *Driver) leftWith(o *owner) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(o.left, context.Canceled) || errors.Is(o.left, context.DeadlineExceeded) {
		return nil // that was the caller's own
	}
	return o.left
}

// Transmit implements [reader.Card].
func (c *card) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if err := reader.CheckCommand(cmd); err != nil {
		return nil, err
	}
	cmd = slices.Clone(cmd) // the owner may still read it after the time limit
	a, err := c.call(ctx, "transmit", func(o *owner) (a answer) {
		a.resp, a.err = o.transmit(cmd)
		return a
	})
	return a.resp, err
}

// Reset implements [reader.Card].
func (c *card) Reset(ctx context.Context) error {
	a, err := c.call(ctx, "reset", func(o *owner) (a answer) {
		a.atr, a.err = o.reset()
		return a
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.atr = a.atr
	return nil
}

// Capabilities implements [reader.Capable] with what PC/SC part 10 and the
// attributes of the reader's driver offer; a reader that has left a question
// unanswered says nothing. Nothing is sent to the chip; UID and ATS stay empty,
// see Identify.
func (c *card) Capabilities(ctx context.Context) (reader.Capabilities, error) {
	a, err := c.call(ctx, "ask the reader", (*owner).describe)
	if errors.Is(err, reader.ErrTimeout) {
		c.o.d.beSilent(c.o.name)
	}
	return a.caps, err
}

// Identify returns Capabilities, and with them the UID and the answer to
// select of a contactless card where the reader offers them (PC/SC part 3).
// It is for diagnosis, on request of a person: a UID can be the same for ever.
// Readers without these pseudo-APDUs may hand them to the chip, where they end
// a session of secure messaging, so it has its place before one.
func (c *card) Identify(ctx context.Context) (reader.Capabilities, error) {
	a, err := c.call(ctx, "identify", func(o *owner) (a answer) {
		if a = o.describe(); a.err != nil {
			return a
		}
		for _, q := range []struct {
			cmd  []byte
			most int
			to   *[]byte
		}{{getUID, maxUID, &a.caps.UID}, {getATS, maxATS, &a.caps.ATS}} {
			var resp []byte
			if resp, a.err = o.transmit(q.cmd); a.err != nil {
				return a
			}
			*q.to = pseudoData(resp, q.most)
		}
		return a
	})
	return a.caps, err
}

// ATR implements [reader.Card].
func (c *card) ATR() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.atr)
}

// call lets the owner do work. Once it has begun it is waited for, whatever
// becomes of ctx, up to the limits of its steps.
func (c *card) call(ctx context.Context, op string, work func(*owner) answer) (answer, error) {
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

	q := ask{op: op, work: work, done: make(chan answer, 1)}
	// The owner is idle, for this call is the only one, or looks at its idle
	// card at this moment.
	c.o.limit.begin(op, c.o.d.opt.Step)
	timer := time.NewTimer(c.o.d.opt.Step)
	defer timer.Stop()
	var a answer
	var err error
	select {
	case c.asks <- q:
		a, err = await(nil, q.done, &c.o.limit)
	case <-timer.C:
		err = &stuckError{op: op}
	}
	if err != nil {
		c.dead = err
		c.o.d.abandon(c.o, err)
		return answer{}, err
	}
	if errors.Is(a.err, reader.ErrCardRemoved) {
		c.dead = a.err
	}
	if a.err != nil {
		return answer{}, a.err
	}
	return a, nil
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
	timer := time.NewTimer(c.o.d.opt.Disconnect)
	defer timer.Stop()
	select {
	case <-c.gone:
		return nil
	case <-timer.C:
		err := &stuckError{op: "close"}
		c.o.d.abandon(c.o, err)
		return err
	}
}

// stage tells how far the opening of a card is.
type stage int32

const (
	connecting stage = iota
	asking           // the reader what it bears
	unwanted         // because the reader did not answer
	blocked          // by another program, for certain
	ours
)

// owner holds the native handle of one card.
type owner struct {
	d     *Driver
	name  string
	quit  chan struct{} // closed when nobody wants the card any more
	stage atomic.Int32  // for the one who waits
	limit limit         // of the step that it is at
	left  error         // guarded by d.mu: what its caller was left with

	ctx    scardContext
	card   scardCard
	absent bool // the card is known to have gone
	passed bool // nothing was done to the card, and another owner may have it
	ended  bool // the transaction is known to be over
}

// run opens the card, answers until asks is closed or the card has left, and
// cleans up. What it has done is reported on opened; gone is closed last.
func (o *owner) run(asks <-chan ask, opened chan<- answer, gone chan<- struct{}) {
	defer close(gone)
	defer o.d.disown(o)
	defer o.close()

	atr, err := o.open()
	opened <- answer{atr: atr, err: err}
	if err != nil {
		return
	}
	for {
		q, more := o.next(asks)
		if !more {
			return
		}
		a := q.work(o)
		o.d.abandon(o, nil) // no longer, if it was
		q.done <- a
		if errors.Is(a.err, reader.ErrCardRemoved) {
			o.absent = true
			return // no further ask will come; the reader is free for the next card
		}
	}
}

// next waits for something to do. Meanwhile the card is looked at, if the
// system wants that.
func (o *owner) next(asks <-chan ask) (q ask, more bool) {
	var look <-chan time.Time
	if o.d.keep > 0 {
		t := time.NewTicker(o.d.keep)
		defer t.Stop()
		look = t.C
	}
	for {
		select {
		case q, more = <-asks:
			o.limit.begin(q.op, o.d.opt.Step)
			return q, more
		case <-look:
			_, _ = o.card.status() // what it says, the next exchange says, too
		}
	}
}

// close lets everything go. Errors are of no use here: the card or the service
// may have gone already.
func (o *owner) close() {
	if o.card != nil {
		// No reset of what is not there: after one that failed, pcscd can miss
		// the next card. See firmware-notes/os/pcscd.md.
		_ = o.card.disconnect(!o.absent && !o.passed)
	}
	if o.ctx != nil {
		_ = o.ctx.release()
	}
}

func (o *owner) open() (atr []byte, err error) {
	if o.ctx, err = o.d.lib.establish(); err != nil {
		return nil, toServiceError("establish context", err)
	}
	// An exclusive connection of another program makes connect fail. A
	// transaction of another program makes begin block, and under pcscd
	// connect as well: see firmware-notes/os/pcscd.md and inUse.
	until := time.Now().Add(o.d.opt.Busy)
	for {
		o.limit.begin("connect", o.d.opt.Connect+o.d.opt.Busy)
		if o.card, err = o.ctx.connect(o.name); err == nil {
			break
		}
		o.card = nil // not an interface that holds a nil
		if !errors.Is(err, codeSharingViolation) {
			return nil, toError("connect", err)
		}
		if !time.Now().Before(until) {
			return nil, &SharingError{ExclusiveConnection}
		}
		o.stage.Store(int32(blocked))
		select {
		case <-time.After(min(50*time.Millisecond, o.d.opt.Busy)):
		case <-o.quit:
			return nil, &SharingError{ExclusiveConnection}
		}
	}
	if !o.ask() {
		o.passed = true
		return nil, errNoAnswer
	}
	atr, err = o.seize()
	if e, ok := errors.AsType[*Error](err); ok && errors.Is(err, reader.ErrCardRemoved) {
		// Nothing was open yet: for the caller there just is no card.
		return nil, &Error{Op: "open", Code: e.Code, kind: reader.ErrNoCard}
	}
	return atr, err
}

// ask asks the reader what it bears, before the card is ours alone: a question
// that never comes back then holds nothing but a shared connection, which keeps
// nobody from the card. It returns false if nobody waits any more.
func (o *owner) ask() bool {
	if !o.d.mayAsk(o.name) {
		return true
	}
	o.stage.Store(int32(asking))
	// What is wrong with the card, the next call tells.
	if caps, err := o.capabilities(); err == nil {
		o.d.answered(o.name, caps)
	}
	return o.stage.CompareAndSwap(int32(asking), int32(connecting))
}

// seizeTries is how often another program may come in between.
const seizeTries = 4

// seize makes the card ours alone, by a transaction, and resets it after that.
// A begin that is refused because another program has reset the card did not
// begin, and is made again after a reset of our own.
func (o *owner) seize() (atr []byte, err error) {
	for range seizeTries {
		o.stage.Store(int32(blocked))
		o.limit.begin("begin transaction", o.d.opt.Step+o.d.opt.Busy)
		berr := o.card.begin()
		o.stage.Store(int32(ours))
		if berr != nil && !errors.Is(berr, codeResetCard) {
			return nil, toOpenError("begin transaction", berr)
		}
		if atr, err = o.powerUp(); err != nil {
			return nil, err
		}
		if berr == nil {
			o.ended = false
			return atr, nil
		}
	}
	return nil, &SharingError{Transaction}
}

// reset powers the card up anew and sees to it that the card is ours alone.
func (o *owner) reset() ([]byte, error) {
	if o.ended {
		return o.seize()
	}
	return o.powerUp()
}

// powerUp resets the card: without a power cut if that is enough.
func (o *owner) powerUp() ([]byte, error) {
	o.limit.begin("reset", o.d.opt.Reset)
	err := o.card.reconnect(false)
	if errors.Is(err, codeUnresponsiveCard) || errors.Is(err, codeUnpoweredCard) {
		o.limit.begin("reset", o.d.opt.Reset)
		err = o.card.reconnect(true)
	}
	if err != nil {
		return nil, o.explain("reset", err)
	}
	o.limit.begin("reset", o.d.opt.Step)
	atr, err := o.card.status()
	if err != nil {
		return nil, o.explain("reset", err)
	}
	return atr, nil
}

func (o *owner) transmit(cmd []byte) ([]byte, error) {
	o.limit.begin("transmit", o.d.opt.Exchange)
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
	o.ended = o.ended || c == codeResetCard // as Windows does with an idle transaction
	if !ok || !meansNoAnswer(c) {
		return toOpenError(op, err)
	}
	until := time.Now().Add(o.d.opt.Settle)
	for {
		o.limit.begin(op, o.d.opt.Step)
		_, serr := o.card.status()
		switch now, _ := errors.AsType[code](serr); now {
		case codeRemovedCard, codeNoSmartcard:
			return &Error{Op: op, Code: uint32(codeRemovedCard), kind: reader.ErrCardRemoved}
		case codeResetCard:
			o.ended = true
			return toOpenError(op, serr)
		}
		if now := toOpenError(op, serr); errors.Is(now, reader.ErrNoService) || errors.Is(now, reader.ErrNoReader) {
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
	return toOpenError(op, c)
}

// describe returns what the reader has said, or asks it: it has shown that it
// answers, or Open would have left the question behind.
func (o *owner) describe() (a answer) {
	var known bool
	if a.caps, known = o.d.said(o.name); !known && o.d.mayAsk(o.name) {
		a.caps, a.err = o.capabilities()
	}
	return a
}

// capabilities asks the reader's driver. Drivers refuse what they do not know
// with every code there is, so a refusal is no error; only a card that is of
// no more use is.
func (o *owner) capabilities() (reader.Capabilities, error) {
	var c reader.Capabilities
	var names []string
	for _, id := range []uint32{attrVendorName, attrVendorType} {
		b, err := o.attribute(id)
		if err != nil {
			return reader.Capabilities{}, err
		}
		if s := text(b); s != "" {
			names = append(names, s)
		}
	}
	c.Name = strings.Join(names, " ")
	b, err := o.attribute(attrVendorVersion)
	if err != nil {
		return reader.Capabilities{}, err
	}
	c.Firmware = parseVersion(b)

	features, err := o.control(featureRequest)
	if err != nil {
		return reader.Capabilities{}, err
	}
	if ioctl, ok := featureCode(features, featureTLVProperties); ok {
		properties, err := o.control(ioctl)
		if err != nil {
			return reader.Capabilities{}, err
		}
		parseProperties(properties, &c)
	}
	return c, nil
}

func (o *owner) control(ioctl uint32) ([]byte, error) {
	o.limit.begin("ask the reader", o.d.opt.Control)
	b, err := o.card.control(ioctl, nil)
	return b, o.fatal(err)
}

func (o *owner) attribute(id uint32) ([]byte, error) {
	o.limit.begin("ask the reader", o.d.opt.Control)
	b, err := o.card.attribute(id)
	return b, o.fatal(err)
}

// fatal returns err if it says that the card, its reader or the service has
// gone, and nil for every other refusal.
func (o *owner) fatal(err error) error {
	if err == nil {
		return nil
	}
	err = toOpenError("ask the reader", err)
	for _, end := range []error{reader.ErrCardRemoved, reader.ErrCardReset, reader.ErrNoService, reader.ErrNoReader} {
		if errors.Is(err, end) {
			return err
		}
	}
	return nil
}
