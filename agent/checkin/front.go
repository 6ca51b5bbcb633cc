package checkin

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/event"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/vn"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/sync/contract"
)

// OwnerDesk is the owner that sees every check-in and may act on each.
const OwnerDesk = event.Desk

// Errors of a [Front]. Those about what was given are [ErrInput] and [ErrCAN], and
// those of packages vn and mrz about codes and lines.
var (
	// ErrBusy means that a check-in is running: there is one at a time.
	ErrBusy = errors.New("checkin: another check-in is running")
	// ErrNone means that there is no such check-in, or no longer, or that it has no
	// such thing as was asked for.
	ErrNone = errors.New("checkin: no such check-in")
	// ErrOwner means that the check-in is another client's.
	ErrOwner = errors.New("checkin: another client's check-in")
	// ErrState means that the check-in is not in a state in which this can be done.
	ErrState = errors.New("checkin: not in this state of the check-in")
	// ErrOperator means that nothing is recorded before an operator signs in.
	ErrOperator = errors.New("checkin: nobody is signed in")
	// ErrClosed means that the front desk has ended.
	ErrClosed = errors.New("checkin: closed")
	// ErrAbandoned is why a check-in was cancelled to which nobody came back, beside
	// [context.Canceled].
	ErrAbandoned = errors.New("checkin: abandoned")
	// ErrMismatch is why a check-in was cancelled whose person is not the one in front
	// of the operator, beside [context.Canceled].
	ErrMismatch = errors.New("checkin: not the person on the document")
	// ErrTries is beside the last cause when a check-in has ended because it was tried
	// too often.
	ErrTries = errors.New("checkin: tried too often")
)

// Readers is where cards are. A *reader.Hub is one.
type Readers interface {
	Take(ctx context.Context, name string) (*reader.Lease, error)
	Devices(ctx context.Context) ([]reader.Device, error)
	Subscribe(n int) *reader.Subscription
}

// Deliveries tells how far a recorded visit went.
type Deliveries interface {
	// Delivery returns how a visit stands.
	Delivery(ctx context.Context, visit string) (*wire.Delivery, error)
	// Changed returns a channel that is closed at the next change of any visit. A
	// change that it does not tell of is seen a second later.
	Changed() <-chan struct{}
}

// A Picture is a photo as a browser shows it.
type Picture struct {
	Data          []byte
	MediaType     string // image/jpeg or image/png
	Width, Height int
}

// Defaults and limits of a [Front].
const (
	DefaultAbandon = 5 * time.Minute
	DefaultKeep    = 15 * time.Minute
	// MaxKept is how many check-ins that have ended are kept to be read again.
	MaxKept = 32
	// MaxKeys is how many wrong keys are taken in one check-in, MaxReads how often a
	// card is read in one.
	MaxKeys  = 5
	MaxReads = 12
	// ScanTime is how long after its start a client's check-in gets what the desk's
	// scanner reads.
	ScanTime = time.Minute
	// HoldOff is how long a client begins no other check-in after the desk cancelled
	// one of its: so that the desk comes first.
	HoldOff = 5 * time.Second
)

// FrontConfig says what a [Front] works with. Readers, Desk and Fault are required.
// Fault, Operator and Now are called in the middle of things: they answer at once and
// call nothing of the Front.
type FrontConfig struct {
	Readers Readers
	// Desk returns what checks the next person in: with the issuers and the policy of
	// this moment.
	Desk func(ctx context.Context) (*Desk, error)
	// Fault names an error for those who see it, and nil for nil: agent/fault, which
	// knows this package and so cannot be known by it.
	Fault func(error) *wire.Fault
	// Deliveries may be nil: then a recorded visit is "queued" and stays so.
	Deliveries Deliveries
	// Events hears every change; nil: nobody does.
	Events *event.Bus
	// Operator returns who is signed in, "" for nobody; nil: nobody ever is.
	Operator func() string
	// OperatorRequired has nothing recorded before somebody signs in.
	OperatorRequired bool
	// Audit writes entries into the audit trail, all or none; nil: there is none.
	Audit func(ctx context.Context, entries ...audit.Entry) error
	// Picture makes a photo fit for a browser; nil: JPEG as it is, and nothing else.
	Picture func(ctx context.Context, i face.Image) (Picture, error)
	// Abandon is how long a check-in may wait for somebody, 0: DefaultAbandon. Keep is
	// how long one that has ended can be read, 0: DefaultKeep.
	Abandon, Keep time.Duration
	Logger        *slog.Logger     // nil discards; never gets personal data
	Now           func() time.Time // nil: time.Now
}

// A Front is the front desk: it takes people in one at a time, from the key to the
// verdict on the visit, and shows how far it is ([wire.CheckIn]). [Front.Run] does
// the work. All methods may be called from several goroutines at once; the owner
// that they take is [OwnerDesk] or the name of a client, and a client sees and
// touches only what it began. What they return is shared and must not be changed.
//
// Nothing is shown as a verified person ([wire.Person]'s Verified) before the whole
// chip was read and the policy has decided, and nothing is recorded before the
// operator has confirmed. A check-in makes at most one visit, however often it is
// confirmed. What the chip, the reader or a client does wrong takes a check-in back
// to where it can go on, with a fault that says why, a bounded number of times.
//
// Personal data leaves memory when a check-in is cancelled, and with the others
// when they are not kept any longer.
type Front struct {
	cfg FrontConfig
	log *slog.Logger

	work sync.WaitGroup // recordings and claims

	mu     sync.Mutex
	cur    *turn                // the one that is running, or nil
	held   map[string]time.Time // clients whose check-in the desk cancelled, and when
	kept   []*turn              // those that have ended, oldest first
	wake   chan struct{}        // closed and replaced on every change
	visits chan struct{}        // holds a token when another visit is to be followed
	ran    bool
	closed bool
}

// turn is one check-in. Its fields are guarded by Front.mu.
type turn struct {
	c wire.CheckIn // what it points to is never changed, only replaced

	means     contract.Means
	open      bool // nobody said what means it is
	photo     bool
	reader    string // asked for; empty: any
	access    inspect.Access
	qr        *vn.CCCDQR // of the keys in access, to try another date of expiry
	keys      int        // wrong ones
	reads     int
	spent     *spot       // the card that was tried and has to be laid on anew
	typed     *typed      // the person, without a chip
	completes *typed      // what was typed beside a code
	in        *Inspection // what can be recorded
	picture   *Picture
	viewers   []string // who was given the picture: owners
	record    *recorded
	touched   time.Time // when somebody did something
	ended     time.Time
	stop      context.CancelFunc // ends what is being done for it; may be nil
	settled   chan struct{}      // closed when recording has ended; nil before it began
	began     time.Time          // when reading began
	torn      bool               // Fault is about the last card
}

// NewFront returns a front desk; nothing happens before [Front.Run]. It returns an
// error for a configuration without what is required.
func NewFront(cfg FrontConfig) (*Front, error) {
	if cfg.Readers == nil || cfg.Desk == nil || cfg.Fault == nil {
		return nil, errors.New("checkin: a front desk needs readers, a desk and names for faults")
	}
	if cfg.Abandon <= 0 {
		cfg.Abandon = DefaultAbandon
	}
	if cfg.Keep <= 0 {
		cfg.Keep = DefaultKeep
	}
	if cfg.Events == nil {
		cfg.Events = event.New()
	}
	if cfg.Operator == nil {
		cfg.Operator = func() string { return "" }
	}
	if cfg.Audit == nil {
		cfg.Audit = func(context.Context, ...audit.Entry) error { return nil }
	}
	if cfg.Picture == nil {
		cfg.Picture = jpegOnly
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Front{cfg: cfg, log: cfg.Logger, wake: make(chan struct{}), visits: make(chan struct{}, 1), held: make(map[string]time.Time)}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f, nil
}

// Run reads cards, follows the visits that were recorded, and cancels what was
// abandoned, until ctx ends; it returns nil then, when everything is cleaned up: a
// visit that is being recorded is recorded, any other check-in is cancelled, and
// nothing is kept. It is called once.
func (f *Front) Run(ctx context.Context) error {
	f.mu.Lock()
	if f.ran {
		f.mu.Unlock()
		return errors.New("checkin: front desk runs already")
	}
	f.ran = true
	f.mu.Unlock()

	var loops sync.WaitGroup
	loops.Go(func() { f.serveCards(ctx) })
	loops.Go(func() { f.keepTime(ctx) })
	if f.cfg.Deliveries != nil {
		loops.Go(func() { f.followVisits(ctx) })
	}
	<-ctx.Done()

	f.mu.Lock()
	f.closed = true
	if t := f.cur; t != nil && t.c.State != wire.StateRecording {
		f.end(t, wire.StateCancelled, context.Canceled)
	}
	f.mu.Unlock()
	loops.Wait()
	f.work.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = nil
	return nil
}

// Start begins a check-in, unless one is running, or the desk has just cancelled one
// of this client's: both are [ErrBusy]. With a key in s, or a person, it goes on at once. What is
// wrong with them is the error, and no check-in begins. A reader that is not there
// is no error: it may come.
func (f *Front) Start(ctx context.Context, owner string, s wire.Start) (wire.CheckIn, error) {
	t, err := f.newTurn(s)
	if err != nil {
		return wire.CheckIn{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case owner == event.Everybody:
		return wire.CheckIn{}, ErrOwner // whose events would be everybody's
	case f.closed:
		return wire.CheckIn{}, ErrClosed
	case f.cur != nil || f.holds(owner):
		return wire.CheckIn{}, ErrBusy
	}
	if t.c.ID, err = contract.NewID(f.cfg.Now(), nil); err != nil {
		return wire.CheckIn{}, err
	}
	t.c.Owner, t.c.Started, t.touched = owner, f.cfg.Now(), f.cfg.Now()
	f.cur = t
	f.log.Info("check-in begun", "means", t.c.Means)
	f.proceed(ctx, t)
	return t.c, nil
}

// Key gives a check-in what opens the chip, or the code that it is about. In
// StateCard a better key takes the place of the one that it has, and a card that
// could not be read is tried again.
func (f *Front) Key(ctx context.Context, owner, id string, k wire.Key) (wire.CheckIn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.find(owner, id)
	if err != nil {
		return wire.CheckIn{}, err
	}
	if !t.takesKey() {
		return t.c, ErrState
	}
	err = f.key(ctx, t, k)
	return t.c, err
}

// key takes a check-in on that waits for a key, with mu held.
func (f *Front) key(ctx context.Context, t *turn, k wire.Key) error {
	t.touched = f.cfg.Now()
	if err := t.take(k, f.cfg.Now()); err != nil {
		return err
	}
	t.halt() // whoever waits for the card begins anew
	t.spent, t.torn, t.c.Fault = nil, false, nil
	f.proceed(ctx, t)
	return nil
}

// Scanned takes what a scanner of this computer has read. The check-in that wants a
// key gets it, and shows what is wrong with it; took is false when there is none.
//
// The scanner is the desk's. A client's check-in gets a scan only soon after it has
// begun ([ScanTime]), and the audit trail says so: one that waits for longer may be
// there to catch the next person's card.
func (f *Front) Scanned(ctx context.Context, text string) (took bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.cur
	if text == "" || t == nil || !t.takesKey() {
		return false
	}
	if t.c.Owner != OwnerDesk {
		if f.cfg.Now().Sub(t.c.Started).Abs() >= ScanTime {
			f.log.Info("a scan was not given to a client that waits for long")
			return false
		}
		e := audit.Entry{Actor: f.actor(OwnerDesk), Action: ScanGiven, Object: t.c.ID, Note: "to " + clip(t.c.Owner)}
		f.mu.Unlock()
		err := f.cfg.Audit(ctx, e)
		f.mu.Lock()
		if err != nil {
			f.log.Error("audit trail cannot be written", "error", err)
			return false
		}
		if f.cur != t || !t.takesKey() {
			return false // it has gone on meanwhile
		}
	}
	if err := f.key(ctx, t, wire.Key{Scan: text}); err != nil {
		t.c.Fault = f.cfg.Fault(err)
		f.publish(t)
	}
	return true
}

// takesKey reports whether a check-in takes a key as it stands.
func (t *turn) takesKey() bool { return t.c.State == wire.StateKey || t.c.State == wire.StateCard }

// Confirm takes the operator's word. It records the visit and returns how that
// ended; when ctx ends first it returns the check-in as it is then, and the visit is
// recorded all the same. To confirm once more what was confirmed is no error and
// records nothing more.
//
// The visit names who is signed in if the desk confirms, and else the client: "via
// https://his.example".
//
// With PhotoMatches false it needs a reason: the check-in is cancelled, and the
// audit trail keeps who said so and why.
func (f *Front) Confirm(ctx context.Context, owner, id string, c wire.Confirmation) (wire.CheckIn, error) {
	f.mu.Lock()
	t, err := f.find(owner, id)
	if err != nil {
		f.mu.Unlock()
		return wire.CheckIn{}, err
	}
	if !c.PhotoMatches {
		return f.mismatch(ctx, owner, t, c.Reason) // unlocks
	}
	operator := f.operatorOf(owner)
	switch {
	case t.settled != nil: // confirmed before
	case t.c.State != wire.StateConfirm || t.in == nil:
		defer f.mu.Unlock()
		return t.c, ErrState
	case f.closed:
		defer f.mu.Unlock()
		return t.c, ErrClosed
	case f.cfg.Operator() == "" && f.cfg.OperatorRequired:
		defer f.mu.Unlock()
		return t.c, ErrOperator
	default:
		t.settled = make(chan struct{})
		t.c.State, t.c.Fault = wire.StateRecording, nil
		t.touched = f.cfg.Now()
		f.publish(t)
		in := t.in
		entry := audit.Entry{Actor: f.actor(owner), Action: VisitConfirmed, Object: in.visit.ID, Note: "check-in " + t.c.ID + t.looked(owner)}
		// Whoever confirmed may be gone before it is on disk.
		f.work.Go(func() { f.putOnRecord(context.WithoutCancel(ctx), t, in, operator, entry) })
	}
	settled := t.settled
	f.mu.Unlock()
	select {
	case <-settled:
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return t.c, nil
}

// Cancel gives a check-in up. A client whose check-in the desk cancels begins no
// other one for a while ([HoldOff]). One that is being recorded, or has ended in another
// way, cannot be given up any more.
func (f *Front) Cancel(_ context.Context, owner, id string) (wire.CheckIn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.find(owner, id)
	if err != nil {
		return wire.CheckIn{}, err
	}
	switch {
	case t.c.State == wire.StateCancelled:
		return t.c, nil
	case t.c.State == wire.StateRecording || wire.Ended(t.c.State):
		return t.c, ErrState
	}
	if owner == OwnerDesk && t.c.Owner != OwnerDesk {
		f.held[t.c.Owner] = f.cfg.Now()
	}
	f.end(t, wire.StateCancelled, nil)
	return t.c, nil
}

// holds reports whether a client has to let the desk go first, with mu held.
func (f *Front) holds(owner string) bool {
	now := f.cfg.Now()
	maps.DeleteFunc(f.held, func(_ string, at time.Time) bool { return now.Sub(at).Abs() >= HoldOff })
	_, held := f.held[owner]
	return held
}

// Current returns the check-in that is running, if it concerns the owner.
func (f *Front) Current(_ context.Context, owner string) (wire.CheckIn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.cur; t != nil && mayTouch(owner, t) {
		return t.c, nil
	}
	return wire.CheckIn{}, ErrNone
}

// Busy reports whether a check-in is running, whoever began it.
func (f *Front) Busy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cur != nil
}

// Get returns a check-in that is running, or has ended not long ago.
func (f *Front) Get(_ context.Context, owner, id string) (wire.CheckIn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.find(owner, id)
	if err != nil {
		return wire.CheckIn{}, err
	}
	return t.c, nil
}

// Photo returns the photo that was read, for a browser.
func (f *Front) Photo(_ context.Context, owner, id string) (picture []byte, mediaType string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.find(owner, id)
	if err != nil {
		return nil, "", err
	}
	if t.picture == nil {
		return nil, "", ErrNone
	}
	if !slices.Contains(t.viewers, owner) {
		t.viewers = append(t.viewers, owner) // the desk and whoever began it
	}
	return t.picture.Data, t.picture.MediaType, nil
}

// find returns a check-in that concerns the owner.
func (f *Front) find(owner, id string) (*turn, error) {
	all := f.kept
	if f.cur != nil {
		all = append(all[:len(all):len(all)], f.cur)
	}
	for _, t := range all {
		if t.c.ID != id {
			continue
		}
		if !mayTouch(owner, t) {
			return nil, ErrOwner
		}
		return t, nil
	}
	return nil, ErrNone
}

func mayTouch(owner string, t *turn) bool { return owner == OwnerDesk || owner == t.c.Owner }

// proceed takes a check-in that waits as far as what it has allows.
func (f *Front) proceed(ctx context.Context, t *turn) {
	t.c.Means, t.c.Wants = string(t.means), ""
	switch {
	case t.means != contract.MeansChip && t.typed != nil:
		t.c.State = wire.StateReading // of what the insurer knows: there is no chip
		claiming, stop := context.WithCancel(context.WithoutCancel(ctx))
		t.stop = stop
		f.work.Go(func() { f.claim(claiming, t) })
	case len(t.access.Keys) > 0 || t.access.CAN != "":
		t.c.State = wire.StateCard
	default:
		t.c.State, t.c.Wants = wire.StateKey, wire.WantsKey
		if t.qr != nil {
			t.c.Wants = wire.WantsExpiry
		}
	}
	f.publish(t)
}

// publish makes a change known.
func (f *Front) publish(t *turn) {
	t.c.Version++
	c := t.c
	f.cfg.Events.Publish(wire.Event{Type: wire.EventCheckIn, At: f.cfg.Now(), CheckIn: &c}, t.c.Owner)
	close(f.wake)
	f.wake = make(chan struct{})
}

// end ends a check-in, for a reason that may be nil.
func (f *Front) end(t *turn, state string, why error) {
	t.halt()
	t.c.State, t.c.Wants, t.c.Progress = state, "", nil
	t.c.Fault = f.cfg.Fault(why)
	t.access, t.qr, t.typed, t.in = inspect.Access{}, nil, nil, nil
	if state == wire.StateCancelled {
		t.forget()
	}
	t.ended = f.cfg.Now()
	if f.cur == t {
		f.cur = nil
		f.kept = append(f.kept, t)
	}
	if n := len(f.kept) - MaxKept; n > 0 {
		f.kept = append([]*turn(nil), f.kept[n:]...)
	}
	code := ""
	if t.c.Fault != nil {
		code = t.c.Fault.Code
	}
	f.log.Info("check-in ended", "state", state, "means", t.c.Means, "fault", code)
	f.publish(t)
}

// forget drops what is personal.
func (t *turn) forget() {
	t.c.Person, t.c.Photo, t.c.Entitlement, t.c.Report, t.c.Guardian = nil, nil, nil, nil, ""
	t.c.Warnings = []string{}
	t.picture, t.in, t.record = nil, nil, nil
}

// halt ends what is being done for a check-in.
func (t *turn) halt() {
	if t.stop != nil {
		t.stop()
		t.stop = nil
	}
}
