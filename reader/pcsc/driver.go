package pcsc

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/chamthe/chamthe/reader"
)

// Options are the time limits of a driver. The zero value of each field stands
// for its default.
type Options struct {
	// Step bounds one call of the service other than an exchange: listing,
	// connecting, resetting. 5 seconds by default; a reset of a contactless
	// card takes well under one.
	Step time.Duration
	// Exchange bounds one APDU. 20 seconds by default: a chip may ask for
	// more time again and again while it computes.
	Exchange time.Duration
	// Busy is how long Open waits for another program to let the card go.
	// 2 seconds by default: Windows looks at every new card by itself for
	// about a second.
	Busy time.Duration
	// Settle is how long a failed exchange waits for the service to notice
	// that the card has gone. 900 milliseconds by default: pcscd looks every
	// 400. See firmware-notes/os/pcscd.md.
	Settle time.Duration
	// Slice is how long one call waits for a change. A context that ends cuts
	// it short. 500 milliseconds by default.
	Slice time.Duration
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.Step, 5*time.Second)
	def(&o.Exchange, 20*time.Second)
	def(&o.Busy, 2*time.Second)
	def(&o.Settle, 900*time.Millisecond)
	def(&o.Slice, 500*time.Millisecond)
	return o
}

// A Driver reaches the readers of the system's smart card service. It keeps
// no connection, so it needs no closing. Its methods may be called from
// several goroutines at once.
type Driver struct {
	lib  winscard
	opt  Options
	gate chan struct{} // held during a status call

	mu    sync.Mutex
	owned map[string]bool // readers with a card open, or being opened
}

var _ reader.Driver = (*Driver)(nil)

// statusGate is shared by all drivers of the process on the native library:
// github.com/ebfe/scard keeps the reader names that a blocked GetStatusChange
// looks at in a map by name, and a second call with the same name lets the
// first one's memory go.
var statusGate = make(chan struct{}, 1)

// New returns a driver; nil options are the defaults. It does not ask the
// service for anything yet.
func New(opt *Options) *Driver {
	d := newDriver(newNative(), opt)
	d.gate = statusGate
	return d
}

func newDriver(lib winscard, opt *Options) *Driver {
	var o Options
	if opt != nil {
		o = *opt
	}
	return &Driver{
		lib:   lib,
		opt:   o.withDefaults(),
		gate:  make(chan struct{}, 1),
		owned: make(map[string]bool),
	}
}

// Readers implements [reader.Driver]. The order is that of the service.
func (d *Driver) Readers(ctx context.Context) ([]reader.Info, error) {
	infos, _, err := d.look(ctx, nil)
	return infos, err
}

// Wait implements [reader.Driver].
func (d *Driver) Wait(ctx context.Context, known []reader.Info) ([]reader.Info, error) {
	var seen []readerState
	for {
		infos, states, err := d.look(ctx, seen)
		if err != nil {
			return nil, err
		}
		if !reader.Same(infos, known) {
			return infos, nil
		}
		seen = states
	}
}

type looked struct {
	infos  []reader.Info
	states []readerState
	err    error
}

// look lists the readers. If seen is not nil, it first waits up to one slice
// for something to differ from it.
func (d *Driver) look(ctx context.Context, seen []readerState) ([]reader.Info, []readerState, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	limit := time.NewTimer(d.opt.Slice + d.opt.Step)
	defer limit.Stop()

	select {
	case d.gate <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-limit.C:
		return nil, nil, &stuckError{op: "list readers"}
	}

	done := make(chan looked, 1)
	go func() {
		defer func() { <-d.gate }()
		var l looked
		l.infos, l.states, l.err = d.lookNow(ctx, seen)
		done <- l
	}()
	select {
	case l := <-done:
		if err := ctx.Err(); err != nil && l.err != nil {
			return nil, nil, err // cancelled by us
		}
		return l.infos, l.states, l.err
	case <-limit.C:
		return nil, nil, &stuckError{op: "list readers"}
	}
}

// lookNow does the work of look on a context of its own.
func (d *Driver) lookNow(ctx context.Context, seen []readerState) ([]reader.Info, []readerState, error) {
	sc, err := d.lib.establish()
	if err != nil {
		return nil, nil, toError("establish context", err)
	}
	defer func() { _ = sc.release() }()

	if seen != nil {
		if err := d.wait(ctx, sc, seen); err != nil {
			return nil, nil, err
		}
	}

	names, err := sc.listReaders()
	if errors.Is(err, codeNoReaders) {
		names, err = nil, nil
	}
	if err != nil {
		return nil, nil, toError("list readers", err)
	}
	states := make([]readerState, len(names))
	for i, name := range names {
		states[i] = readerState{name: name, current: stateUnaware}
	}
	if len(states) > 0 {
		if err := sc.getStatusChange(states, 0); err != nil && !errors.Is(err, codeTimeout) {
			return nil, nil, toError("get status", err)
		}
	}
	infos := make([]reader.Info, 0, len(states))
	for _, s := range states {
		infos = append(infos, infoOf(s))
	}
	return infos, states, nil
}

// wait returns when something differs from seen, after one slice, or when ctx
// ends.
func (d *Driver) wait(ctx context.Context, sc scardContext, seen []readerState) error {
	states := make([]readerState, 0, len(seen)+1)
	for _, s := range seen {
		states = append(states, readerState{name: s.name, current: s.event &^ stateChanged})
	}
	// Some services count the readers in the upper half. Where the count is
	// not understood the call returns at once or after the slice; both only
	// cost a look.
	states = append(states, readerState{name: pnpReader, current: uint32(len(seen)) << 16})

	// A cancel that comes before the call blocks is lost: then the slice ends
	// it.
	stop := context.AfterFunc(ctx, func() { _ = sc.cancel() })
	err := sc.getStatusChange(states, d.opt.Slice)
	if !stop() {
		return ctx.Err()
	}
	switch c, _ := errors.AsType[code](err); c {
	case codeTimeout, codeCancelled, codeUnknownReader, codeReaderUnavailable:
		return nil // a reader that has just gone shows in the list
	}
	return toError("wait for change", err)
}

// inUse reports whether some program has the card on the reader.
func (d *Driver) inUse(ctx context.Context, name string) bool {
	_, states, err := d.look(ctx, nil)
	if err != nil {
		return false
	}
	for _, s := range states {
		if s.name == name {
			return s.event&(stateInUse|stateExclusive) != 0
		}
	}
	return false
}

// infoOf translates the state of a reader.
func infoOf(s readerState) reader.Info {
	in := reader.Info{Name: s.name, Changes: s.event >> 16}
	switch e := s.event; {
	case e&(stateUnknown|stateUnavailable) != 0:
		in.State = reader.Unavailable
	case e&stateEmpty != 0:
		in.State = reader.Empty
	case e&statePresent != 0 && e&stateMute != 0:
		in.State = reader.Mute
	case e&statePresent != 0 && e&stateExclusive != 0:
		in.State = reader.Busy
	case e&statePresent != 0:
		in.State = reader.Present
	}
	if in.State.HasCard() {
		in.ATR = s.atr
	}
	return in
}

// A stuckError is an own time limit that ran out.
type stuckError struct{ op string }

func (e *stuckError) Error() string { return e.op + ": " + reader.ErrTimeout.Error() }
func (e *stuckError) Unwrap() error { return reader.ErrTimeout }

// own marks the reader as ours, or reports that it is already.
func (d *Driver) own(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owned[name] {
		return false
	}
	d.owned[name] = true
	return true
}

func (d *Driver) disown(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.owned, name)
}
