package pcsc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/chamthe/chamthe/reader"
)

// Options are the time limits of a driver. The zero value of each field stands
// for its default.
type Options struct {
	// Step bounds one call of the service that has no limit of its own here:
	// listing, asking for states, beginning and ending. 5 seconds by default.
	Step time.Duration
	// Connect bounds the connection to a card that no other program has. Step
	// by default: powering a card up takes well under a second.
	Connect time.Duration
	// Reset bounds one reset. Step by default.
	Reset time.Duration
	// Exchange bounds one APDU. 20 seconds by default: a chip may ask for
	// more time again and again while it computes.
	Exchange time.Duration
	// Control bounds one question to the reader's driver. 1 second by default:
	// drivers answer these without the card.
	Control time.Duration
	// Disconnect bounds the end of a connection, with its reset. Step by
	// default.
	Disconnect time.Duration
	// Busy is how long Open waits for another program to let the card go.
	// 2 seconds by default: Windows looks at every new card by itself for
	// about a second.
	Busy time.Duration
	// Settle is how long a failed exchange waits for the service to notice
	// that the card has gone. 900 milliseconds by default: pcscd looks every
	// 400. See firmware-notes/os/pcscd.md.
	Settle time.Duration
	// Slice is the longest that one call waits for a change. After it the
	// readers are listed anew, so that a change that the service lost, in its
	// sleep for example, is seen all the same. 30 seconds by default.
	Slice time.Duration
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.Step, 5*time.Second)
	def(&o.Connect, o.Step)
	def(&o.Reset, o.Step)
	def(&o.Exchange, 20*time.Second)
	def(&o.Control, min(time.Second, o.Step))
	def(&o.Disconnect, o.Step)
	def(&o.Busy, 2*time.Second)
	def(&o.Settle, 900*time.Millisecond)
	def(&o.Slice, 30*time.Second)
	return o
}

const (
	// firstSlice is how long the first wait after a change lasts; each later
	// one is twice as long, up to Options.Slice. A reader that comes between
	// a list and the wait that follows it is missed by pcsc-lite before
	// 2.3.0, and noticed when that wait ends.
	firstSlice = 500 * time.Millisecond
	// cancelEvery is how often a wait that is no longer wanted is cancelled.
	// A cancel that comes before the call has blocked is lost.
	cancelEvery = 20 * time.Millisecond
	// wakePause is how long Wait rests when the service woke it for nothing
	// that shows, so that a service that does so all the time costs little.
	wakePause = 100 * time.Millisecond
	// listTries is how often the readers are listed until two lists agree.
	listTries = 4
)

// A Driver reaches the readers of the system's smart card service. It keeps
// no connection, so it needs no closing. Its methods may be called from
// several goroutines at once.
type Driver struct {
	lib  winscard
	opt  Options
	keep time.Duration // how often an idle card is looked at; 0: never

	mu     sync.Mutex
	owned  map[string]*owner              // readers with a card open, or being opened
	askers map[*owner]struct{}            // who were left behind with a question to the reader
	dumb   map[string]bool                // models that left a question unanswered, by reader.Model
	says   map[string]reader.Capabilities // what readers have answered, until they leave
	lost   int                            // status calls left behind
	back   chan struct{}                  // closed when lost becomes 0
}

var _ reader.Driver = (*Driver)(nil)

// New returns a driver; nil options are the defaults. It does not ask the
// service for anything yet.
func New(opt *Options) *Driver {
	d := newDriver(newNative(), opt)
	d.keep = keepAlive
	return d
}

func newDriver(lib winscard, opt *Options) *Driver {
	var o Options
	if opt != nil {
		o = *opt
	}
	return &Driver{
		lib: lib, opt: o.withDefaults(), owned: make(map[string]*owner), askers: make(map[*owner]struct{}),
		dumb: make(map[string]bool), says: make(map[string]reader.Capabilities),
	}
}

// Stuck returns how many calls the service has not returned from within their
// time limits. Each costs a thread until it does. There is at most one for
// each reader with a card, and one for each caller that was in Readers or Wait
// when the service got stuck. One more for each reader is a question that the
// reader has not answered: it keeps nobody from the card, and readers of that
// model are asked nothing any more.
func (d *Driver) Stuck() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.lost + len(d.askers)
	for _, o := range d.owned {
		if o.left != nil {
			n++
		}
	}
	return n
}

// Readers implements [reader.Driver]. The order is that of the service.
func (d *Driver) Readers(ctx context.Context) ([]reader.Info, error) {
	l, err := d.look(ctx)
	if err == nil {
		d.keepAnswers(l.infos)
	}
	return l.infos, err
}

func (d *Driver) look(ctx context.Context) (list, error) {
	var l list
	err := d.call(ctx, "list readers", d.opt.Step, func() (err error) {
		sc, err := d.lib.establish()
		if err != nil {
			return toServiceError("establish context", err)
		}
		defer func() { _ = sc.release() }()
		l, err = lookNow(sc)
		return err
	}, nothing)
	if err != nil {
		return list{}, err // a call that was left behind may still write to l
	}
	return l, nil
}

// Wait implements [reader.Driver]. The connection that it makes lasts until it
// returns, so a service that stops meanwhile ends it with
// [reader.ErrNoService]. Windows stops its service with the last reader.
func (d *Driver) Wait(ctx context.Context, known []reader.Info) ([]reader.Info, error) {
	w := &watch{}
	err := d.call(ctx, "list readers", d.opt.Step, func() error { return w.open(d.lib) }, w.close)
	if err != nil {
		return nil, err
	}
	infos, err := d.wait(ctx, w, known)
	if err == nil {
		d.keepAnswers(infos)
	}
	if !isLost(err) { // who is left behind closes it
		_ = d.run(context.WithoutCancel(ctx), "release context", d.opt.Step, func() error { w.close(); return nil }, nothing)
	}
	return infos, err
}

func (d *Driver) wait(ctx context.Context, w *watch, known []reader.Info) ([]reader.Info, error) {
	slice := min(firstSlice, d.opt.Slice)
	idle := true // the last wait was not woken for nothing
	for reader.Same(w.infos, known) {
		woken := false
		err := d.call(ctx, "list readers", slice+d.opt.Step, func() (err error) {
			woken, err = w.next(ctx, slice)
			return err
		}, w.close)
		if err != nil {
			return nil, err
		}
		slice = min(2*slice, d.opt.Slice)
		if woken && !idle && reader.Same(w.infos, known) {
			select {
			case <-time.After(wakePause):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		idle = !woken
	}
	return w.infos, nil
}

// A lostError is the error of a call that still runs.
type lostError struct{ error }

func (e *lostError) Unwrap() error { return e.error }

func isLost(err error) bool {
	_, lost := errors.AsType[*lostError](err)
	return lost
}

func nothing() {}

// call runs work as run does, but only once no call is left behind, so that a
// service that is stuck does not take a thread with every try.
func (d *Driver) call(ctx context.Context, op string, limit time.Duration, work func() error, cleanup func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.await(ctx, op); err != nil {
		return err
	}
	return d.run(ctx, op, limit, work, cleanup)
}

// run runs work, which enters the service, in a goroutine of its own and waits
// for it up to limit. If ctx ends meanwhile, work has a last Step to notice.
// What is left behind, with a lostError, runs cleanup when it returns at last;
// until then the driver counts it.
func (d *Driver) run(ctx context.Context, op string, limit time.Duration, work func() error, cleanup func()) error {
	var mu sync.Mutex
	var finished, abandoned bool
	done := make(chan error, 1)
	go func() {
		err := work()
		mu.Lock()
		finished = true
		late := abandoned
		mu.Unlock()
		if late {
			cleanup()
			d.returned()
			return
		}
		done <- err
	}()

	timer := time.NewTimer(limit)
	defer timer.Stop()
	ended := ctx.Done()
	for {
		select {
		case err := <-done:
			if cerr := ctx.Err(); cerr != nil && err != nil {
				return cerr // cancelled by us
			}
			return err
		case <-ended:
			ended = nil
			timer.Reset(min(limit, d.opt.Step))
			continue
		case <-timer.C:
		}
		mu.Lock()
		if !finished {
			abandoned = true
			d.leave()
		}
		mu.Unlock()
		if !abandoned {
			continue // it has just come back
		}
		if err := ctx.Err(); err != nil {
			return &lostError{err}
		}
		return &lostError{&stuckError{op: op}}
	}
}

// await waits up to a Step until no call is left behind.
func (d *Driver) await(ctx context.Context, op string) error {
	timer := time.NewTimer(d.opt.Step)
	defer timer.Stop()
	for {
		d.mu.Lock()
		back := d.back
		d.mu.Unlock()
		if back == nil {
			return nil
		}
		select {
		case <-back:
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return &stuckError{op: op}
		}
	}
}

// leave counts a call that is left behind, returned one that has come back.
func (d *Driver) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lost == 0 {
		d.back = make(chan struct{})
	}
	d.lost++
}

func (d *Driver) returned() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lost--; d.lost == 0 {
		close(d.back)
		d.back = nil
	}
}

// list is one look at the readers.
type list struct {
	infos  []reader.Info
	states []readerState // the readers, in the same order
	pnp    uint32        // event value of the list itself; 0 if the service gives none
	noPnP  bool          // the service does not watch the list itself
}

// lookNow lists the readers with what lies on them.
func lookNow(sc scardContext) (list, error) {
	names, err := listNames(sc)
	if err != nil {
		return list{}, err
	}
	err = toError("get status", codeReaderUnavailable)
	for range listTries {
		if len(names) == 0 {
			return list{}, nil
		}
		l, serr := lookAt(sc, names)
		// The value of the list itself has to be older than the list: what
		// comes between the two is then noticed by the next wait.
		again, lerr := listNames(sc)
		if lerr != nil {
			return list{}, lerr
		}
		if serr == nil && slices.Equal(again, names) {
			return l, nil
		}
		if c, _ := errors.AsType[code](serr); serr != nil && c != codeUnknownReader && c != codeReaderUnavailable {
			return list{}, toListError("get status", serr)
		}
		names = again // one came, or is about to leave the list
	}
	return list{}, err
}

// lookAt asks what lies on the readers of these names.
func lookAt(sc scardContext, names []string) (list, error) {
	states := make([]readerState, len(names), len(names)+1)
	for i, name := range names {
		states[i] = readerState{name: name, current: stateUnaware}
	}
	var l list
	all := append(states, readerState{name: pnpReader})
	err := sc.getStatusChange(all, 0)
	l.states, l.pnp = all[:len(names)], all[len(names)].event&^stateChanged
	if errors.Is(err, codeUnknownReader) {
		err = sc.getStatusChange(states, 0)
		l.states, l.pnp, l.noPnP = states, 0, true
	}
	if err != nil && !errors.Is(err, codeTimeout) {
		return list{}, err
	}
	for _, s := range l.states {
		l.infos = append(l.infos, infoOf(s))
	}
	return l, nil
}

func listNames(sc scardContext) ([]string, error) {
	names, err := sc.listReaders()
	if errors.Is(err, codeNoReaders) {
		return nil, nil
	}
	if err != nil {
		return nil, toListError("list readers", err)
	}
	return names, nil
}

// A watch is a connection to the service and what was last seen through it.
// Its methods enter the service; only one of them runs at a time.
type watch struct {
	list
	sc scardContext
}

// open connects and looks. After an error there is nothing to close.
func (w *watch) open(lib winscard) (err error) {
	sc, err := lib.establish()
	if err != nil {
		return toServiceError("establish context", err)
	}
	if w.list, err = lookNow(sc); err != nil {
		_ = sc.release()
		return err
	}
	w.sc = sc
	return nil
}

func (w *watch) close() {
	if w.sc != nil {
		_ = w.sc.release()
	}
}

// next waits for a change, up to slice, and looks again. woken means that the
// service spoke of a change.
func (w *watch) next(ctx context.Context, slice time.Duration) (woken bool, err error) {
	states := make([]readerState, 0, len(w.states)+1)
	for _, s := range w.states {
		states = append(states, readerState{name: s.name, current: s.event &^ stateChanged})
	}
	if w.noPnP {
		slice = min(slice, firstSlice) // readers that come show in the list only
	} else {
		states = append(states, readerState{name: pnpReader, current: w.pnp})
	}

	err = w.block(ctx, states, slice)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	noPnP := w.noPnP
	switch c, _ := errors.AsType[code](err); {
	case err == nil:
		woken = true
	case c == codeTimeout:
	case c == codeUnknownReader && len(states) == 1:
		noPnP = true // the list itself is the only one that was named
	case c == codeCancelled, c == codeUnknownReader, c == codeReaderUnavailable:
		woken = true // a reader that has just gone shows in the list
	default:
		return false, toListError("wait for change", err)
	}
	w.list, err = lookNow(w.sc)
	if len(w.states) == 0 {
		w.noPnP = noPnP
	}
	return woken, err
}

// block waits for a change. If ctx ends, it is cancelled.
func (w *watch) block(ctx context.Context, states []readerState, slice time.Duration) error {
	if len(states) == 0 {
		select {
		case <-time.After(slice):
		case <-ctx.Done():
		}
		return codeTimeout
	}
	returned, cancelled := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cancelled)
		again := time.NewTicker(cancelEvery)
		defer again.Stop()
		for {
			_ = w.sc.cancel()
			select {
			case <-returned:
				return
			case <-again.C:
			}
		}
	})
	err := w.sc.getStatusChange(states, slice)
	close(returned)
	if !stop() {
		<-cancelled // it must not cancel what comes next on this handle
	}
	return err
}

// inUse tells how another program has the card on the reader, if one has.
func (d *Driver) inUse(ctx context.Context, name string) (Holder, bool) {
	l, err := d.look(ctx)
	if err != nil {
		return HolderUnknown, false
	}
	for _, s := range l.states {
		switch {
		case s.name != name:
		case s.event&stateExclusive != 0:
			return ExclusiveConnection, true
		case s.event&stateInUse != 0:
			return Transaction, true
		}
	}
	return HolderUnknown, false
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

// own makes o the owner of its reader, or returns who is.
func (d *Driver) own(o *owner) (other *owner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if other := d.owned[o.name]; other != nil {
		return other
	}
	d.owned[o.name] = o
	return nil
}

func (d *Driver) disown(o *owner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.askers, o)
	if d.owned[o.name] == o {
		delete(d.owned, o.name)
	}
}

// leaveAsking frees the reader of an owner that has asked it and waits, and
// remembers that readers of this model are not to be asked.
func (d *Driver) leaveAsking(o *owner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.owned, o.name)
	d.askers[o] = struct{}{}
	d.dumb[reader.Model(o.name)] = true
}

// beSilent remembers that readers of this model are not to be asked.
func (d *Driver) beSilent(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dumb[reader.Model(name)] = true
}

// mayAsk reports whether the reader can be asked and has not answered yet.
func (d *Driver) mayAsk(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, known := d.says[name]
	return !known && !d.dumb[reader.Model(name)]
}

// answered notes what a reader has answered, however late. Nothing at all is no
// answer: another program may have kept the reader from it.
func (d *Driver) answered(name string, caps reader.Capabilities) {
	if caps.Name == "" && caps.Firmware == "" && caps.MaxAPDU == 0 && caps.VendorID == 0 && caps.ProductID == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.says[name] = caps
}

// said returns what a reader has answered.
func (d *Driver) said(name string) (caps reader.Capabilities, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	caps, known = d.says[name]
	return caps, known
}

// keepAnswers forgets the answers of readers that are not in the list: another
// device may come under that name.
func (d *Driver) keepAnswers(infos []reader.Info) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.says {
		if !slices.ContainsFunc(infos, func(in reader.Info) bool { return in.Name == name }) {
			delete(d.says, name)
		}
	}
}
