package pcsc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/chamthe/chamthe/reader/readertest"
)

// fake is a smart card service with state. It obeys pcsc-lite's contract as
// far as the driver relies on it: contexts are independent, an exclusive or a
// transaction-holding program blocks the others, a removed or reset card makes
// every handle on it say so, and a card that is pulled away first shows as
// an exchange that came to nothing.
type fake struct {
	mu      sync.Mutex
	cond    *sync.Cond
	readers []*fakeReader
	pnp     uint32 // readers that came and went

	down       bool            // the service does not run
	generation int             // how often it was started anew
	denied     bool            // this session may not use it
	lag        time.Duration   // until a removal is noticed by status
	refuse     map[string]code // next answer of the named call
	hang       map[string]chan struct{}
	contexts   int // established and not released
	handles    int // connected and not disconnected

	connectBlocks bool          // connect waits for the end of a transaction, as under pcscd
	tornIsEmpty   bool          // a torn exchange is an empty answer, as with vpcd
	idleReset     time.Duration // ends an idle transaction with a reset, as Windows does; 0: never
	pnpCounts     bool          // the list itself has a value: what became of readers, as from pcsc-lite 2.3.0 on
	noPnP         bool          // the list itself is not watched
	lateWakes     int           // status calls that speak of a change where there is none

	between func() // once, between a list of readers and what comes next
	looks   int    // lists of readers asked for

	failedResets  int // of cards that had left
	resetsAtBegin int // of the card, when the last transaction began
}

type fakeReader struct {
	name      string
	chip      *readertest.Chip
	mute      bool
	events    uint32
	exclusive bool // another program is connected exclusively
	locked    *fakeHandle
	foreign   bool // another program has a transaction
	handles   []*fakeHandle
	protocol  bool // false: no common protocol

	features   []byte            // answer to the request for features; nil refuses
	properties map[uint32][]byte // answers to other control codes
	attributes map[uint32][]byte
	pseudo     map[string][]byte // answers to pseudo-APDUs; others reach the chip
}

func newFake(names ...string) *fake {
	f := &fake{refuse: map[string]code{}, hang: map[string]chan struct{}{}, pnp: 1}
	f.cond = sync.NewCond(&f.mu)
	for _, name := range names {
		f.readers = append(f.readers, &fakeReader{name: name, protocol: true})
	}
	return f
}

// do changes something under the lock and wakes who waits.
func (f *fake) do(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.cond.Broadcast()
}

func (f *fake) reader(name string) *fakeReader {
	for _, r := range f.readers {
		if r.name == name {
			return r
		}
	}
	return nil
}

// at is the reader of that name, if there is one, for enter.
func (f *fake) at(name string) []*fakeReader {
	if r := f.reader(name); r != nil {
		return []*fakeReader{r}
	}
	return nil
}

func (f *fake) insert(name string, c *readertest.Chip) {
	f.do(func() {
		r := f.reader(name)
		r.chip = c
		r.events++
		c.Reset()
	})
}

// remove takes the card off. It may be called from an exchange.
func (f *fake) remove(name string) {
	f.do(func() {
		if r := f.reader(name); r != nil {
			r.removeCard(f.lag)
		}
	})
}

func (r *fakeReader) removeCard(lag time.Duration) {
	if r.chip == nil {
		return
	}
	r.chip = nil
	r.events++
	for _, h := range r.handles {
		h.removedAt = time.Now().Add(lag)
		h.removed = true
	}
}

func (f *fake) unplug(name string) {
	f.do(func() {
		f.reader(name).removeCard(0)
		f.readers = slices.DeleteFunc(f.readers, func(r *fakeReader) bool { return r.name == name })
		f.pnp++
	})
}

func (f *fake) plug(name string) {
	f.do(func() {
		f.readers = append(f.readers, &fakeReader{name: name, protocol: true})
		f.pnp++
	})
}

// restart stops the service and starts it again: every handle is void.
func (f *fake) restart() {
	f.do(func() {
		for _, r := range f.readers {
			for _, h := range r.handles {
				h.void = true
			}
			r.locked, r.foreign = nil, false
		}
		f.generation++
	})
}

// resetByOther resets the card as another program does.
func (f *fake) resetByOther(name string) {
	f.do(func() {
		r := f.reader(name)
		r.chip.Reset()
		for _, h := range r.handles {
			h.reset = true
		}
	})
}

// enter is at the head of every call: it can hang, refuse, or find the
// service gone. It is called and returns with the lock held.
// A hang of one reader alone is called "transmit at NAME".
func (f *fake) enter(op string, at ...*fakeReader) error {
	ch := f.hang[op]
	for _, r := range at {
		if own := f.hang[op+" at "+r.name]; own != nil {
			ch = own
		}
	}
	if ch != nil {
		f.mu.Unlock()
		<-ch
		f.mu.Lock()
	}
	if c, ok := f.refuse[op]; ok {
		delete(f.refuse, op)
		return c
	}
	if f.denied {
		return codeSecurityViolation
	}
	if f.down {
		return codeNoService
	}
	return nil
}

func (f *fake) establish() (scardContext, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("establish"); err != nil {
		return nil, err
	}
	f.contexts++
	return &fakeContext{f: f}, nil
}

type fakeContext struct {
	f         *fake
	cancelled bool
	released  bool
}

func (c *fakeContext) listReaders() ([]string, error) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if err := c.f.enter("list"); err != nil {
		return nil, err
	}
	c.f.looks++
	var names []string
	for _, r := range c.f.readers {
		names = append(names, r.name)
	}
	if f := c.f.between; f != nil {
		c.f.between = nil
		c.f.mu.Unlock()
		f()
		c.f.mu.Lock()
	}
	if len(names) == 0 {
		return nil, codeNoReaders
	}
	return names, nil
}

func (c *fakeContext) getStatusChange(states []readerState, wait time.Duration) error {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	op := "status"
	if wait > 0 {
		op = "wait"
	}
	if err := f.enter(op); err != nil {
		return err
	}
	end := time.Now().Add(wait)
	alarm := time.AfterFunc(wait, f.cond.Broadcast)
	defer alarm.Stop()
	pnp, generation := f.pnp, f.generation
	if f.lateWakes > 0 && wait > 0 {
		f.lateWakes--
		for i := range states {
			states[i].event = states[i].current | stateChanged
		}
		return nil
	}
	c.cancelled = false
	for {
		if f.down || f.generation != generation {
			return codeNoService
		}
		if c.cancelled {
			return codeCancelled
		}
		changed := false
		for i := range states {
			s := &states[i]
			if s.name == pnpReader && f.noPnP {
				return codeUnknownReader
			}
			if s.name == pnpReader {
				s.event = s.current
				if f.pnpCounts {
					s.event = f.pnp << 16
				}
				if f.pnp != pnp || f.pnpCounts && s.current>>16 != 0 && s.current>>16 != f.pnp {
					s.event |= stateChanged
					changed = true
				}
				continue
			}
			r := f.reader(s.name)
			if r == nil {
				return codeUnknownReader
			}
			now, atr := r.state()
			s.event, s.atr = now, atr
			if s.current == stateUnaware || now != s.current {
				s.event |= stateChanged
				changed = true
			}
		}
		if changed {
			return nil
		}
		if !time.Now().Before(end) {
			return codeTimeout
		}
		f.cond.Wait()
	}
}

func (r *fakeReader) state() (uint32, []byte) {
	s := r.events << 16
	switch {
	case r.chip == nil:
		return s | stateEmpty, nil
	case r.mute:
		return s | statePresent | stateMute, nil
	case r.exclusive:
		s |= stateExclusive | stateInUse
	case r.foreign || len(r.handles) > 0:
		s |= stateInUse
	}
	return s | statePresent, r.chip.ATR()
}

func (c *fakeContext) cancel() error {
	c.f.do(func() { c.cancelled = true })
	return nil
}

func (c *fakeContext) release() error {
	c.f.do(func() {
		if !c.released {
			c.released = true
			c.f.contexts--
		}
	})
	return nil
}

func (c *fakeContext) connect(name string) (scardCard, error) {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("connect", c.f.at(name)...); err != nil {
		return nil, err
	}
	r := f.reader(name)
	switch {
	case r == nil:
		return nil, codeUnknownReader
	case r.chip == nil:
		return nil, codeNoSmartcard
	case r.mute:
		return nil, codeUnresponsiveCard
	case r.exclusive:
		return nil, codeSharingViolation
	case !r.protocol:
		return nil, codeProtoMismatch
	}
	for f.connectBlocks && (r.foreign || r.locked != nil) {
		f.cond.Wait()
	}
	if r.chip == nil {
		return nil, codeNoSmartcard
	}
	h := &fakeHandle{f: f, r: r, chip: r.chip, used: time.Now()}
	r.handles = append(r.handles, h)
	f.handles++
	return h, nil
}

type fakeHandle struct {
	f    *fake
	r    *fakeReader
	chip *readertest.Chip

	void, removed, reset, closed bool
	removedAt                    time.Time // when the service notices
	used                         time.Time // when it was last called
}

// state tells why nothing can be done with the handle.
func (h *fakeHandle) state() error {
	if max := h.f.idleReset; max > 0 && h.r.locked == h && time.Since(h.used) > max {
		h.r.locked, h.reset = nil, true
		h.chip.Reset()
	}
	h.used = time.Now()
	switch {
	case h.void:
		return codeInvalidHandle
	case h.removed && !time.Now().Before(h.removedAt):
		return codeRemovedCard
	case h.reset:
		return codeResetCard
	}
	return nil
}

func (h *fakeHandle) begin() error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if err := h.f.enter("begin", h.r); err != nil {
		return err
	}
	for {
		if err := h.state(); err != nil {
			return err
		}
		if !h.r.foreign && (h.r.locked == nil || h.r.locked == h) {
			h.r.locked = h
			h.f.resetsAtBegin = h.chip.Resets()
			return nil
		}
		h.f.cond.Wait()
	}
}

func (h *fakeHandle) reconnect(cold bool) error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	op := "reset"
	if cold {
		op = "cold reset"
	}
	if err := h.f.enter(op, h.r); err != nil {
		return err
	}
	if err := h.state(); err != nil && !errors.Is(err, codeResetCard) {
		return err
	}
	if h.removed {
		return codeUnresponsiveCard
	}
	h.reset = false
	h.chip.Reset()
	return nil
}

func (h *fakeHandle) status() ([]byte, error) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if err := h.f.enter("card status", h.r); err != nil {
		return nil, err
	}
	if err := h.state(); err != nil {
		return nil, err
	}
	return h.chip.ATR(), nil
}

func (h *fakeHandle) transmit(cmd []byte) ([]byte, error) {
	h.f.mu.Lock()
	err := h.f.enter("transmit", h.r)
	if err == nil {
		err = h.state()
	}
	if err == nil && h.removed {
		err = codeNotTransacted
	}
	pseudo, own := h.r.pseudo[string(cmd)]
	h.f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if own {
		return slices.Clone(pseudo), nil
	}
	resp, err := h.chip.Transmit(context.Background(), cmd)
	if err != nil {
		h.f.remove(h.r.name)
		if h.f.tornIsEmpty {
			return nil, nil
		}
		return nil, codeNotTransacted
	}
	return resp, nil
}

func (h *fakeHandle) control(ioctl uint32, _ []byte) ([]byte, error) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if err := h.f.enter("control", h.r); err != nil {
		return nil, err
	}
	if err := h.state(); err != nil {
		return nil, err
	}
	answer, ok := h.r.properties[ioctl]
	if ioctl == featureRequest {
		answer, ok = h.r.features, h.r.features != nil
	}
	if !ok {
		return nil, codeUnexpected // what pcsc-lite says of an unsupported feature
	}
	return slices.Clone(answer), nil
}

func (h *fakeHandle) attribute(id uint32) ([]byte, error) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if err := h.f.enter("attribute", h.r); err != nil {
		return nil, err
	}
	if err := h.state(); err != nil {
		return nil, err
	}
	answer, ok := h.r.attributes[id]
	if !ok {
		return nil, codeUnsupportedFeature
	}
	return slices.Clone(answer), nil
}

func (h *fakeHandle) disconnect(reset bool) error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	defer h.f.cond.Broadcast()
	_ = h.f.enter("disconnect", h.r)
	if h.closed {
		return codeInvalidHandle
	}
	h.closed = true
	h.f.handles--
	if h.r.locked == h {
		h.r.locked = nil
	}
	h.r.handles = slices.DeleteFunc(h.r.handles, func(x *fakeHandle) bool { return x == h })
	if reset && h.removed {
		h.f.failedResets++
	}
	if reset && !h.removed && !h.void {
		h.chip.Reset()
		for _, other := range h.r.handles {
			other.reset = true
		}
	}
	return nil
}
