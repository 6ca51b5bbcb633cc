package reader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrHubClosed means that the [Hub] was closed.
var ErrHubClosed = errors.New("reader: hub closed")

// A Source is a driver under the name that people read, for example "pcsc".
type Source struct {
	Name   string
	Driver Driver
}

// HubConfig says what a [Hub] watches and how. The zero value of each field
// stands for its default.
type HubConfig struct {
	// Sources are the drivers to watch. Of two readers with one name the one
	// of the earlier source keeps it.
	Sources []Source
	// Prefer is the name of the reader to use first, or a part of it. A reader
	// that is preferred is not ignored.
	Prefer string
	// All offers the readers that nobody can lay a document on, too; see
	// [Kind.Ignored].
	All bool
	// Limits remembers what was learned of readers and cards; nil forgets it
	// when the hub is closed.
	Limits LimitStore
	// Log takes changes of sources and readers; nil logs nothing. Cards are
	// never logged.
	Log *slog.Logger

	// Retry and MaxRetry are the first and the longest pause before a source
	// that failed is tried again: 100 milliseconds and 10 seconds.
	Retry, MaxRetry time.Duration
	// Audit is how long the hub relies on a driver's Wait before it lists the
	// readers itself. 30 seconds by default.
	Audit time.Duration
	// Grace is how long a driver may outlive the end of its context before the
	// hub goes on without it. 3 seconds by default.
	Grace time.Duration
	// Settle is the longest pause after a change of a source that changes for
	// ever: a reader with a loose plug, for example. A source that changes now
	// and then is not slowed down. 1 second by default.
	Settle time.Duration

	proc string           // where processes are listed; /proc by default
	now  func() time.Time // time.Now by default
}

const (
	// listLimit bounds one look at the list of a source.
	listLimit = 10 * time.Second
	// pace is the least pause after a change of one source. After more than
	// busy changes at once, and busy/4 a second from then on, it grows.
	pace = 2 * time.Millisecond
	busy = 40
	// maxReaders is how many readers of one source are looked at.
	maxReaders = 64
	// tick is how often the hub looks whether the computer was asleep, and
	// leap is the difference between the clocks that says so.
	tick = 2 * time.Second
	leap = 3 * time.Second
)

// A Hub watches the readers of several drivers as one. It is itself a [Driver]:
// its list holds the readers that a document can be laid on, the best first,
// and goes on when services stop and readers vanish. Call Close to end it. Its
// methods may be called from several goroutines at once.
type Hub struct {
	cfg     HubConfig
	log     *slog.Logger
	limits  LimitStore
	end     context.CancelFunc
	watched sync.WaitGroup
	ready   chan struct{} // closed when every source was looked at once

	mu      sync.Mutex
	sources []*source
	unseen  int // sources that were not looked at yet
	devices []Device
	leases  map[place]*Lease // who has the reader; nil while it is being opened
	open    map[*Lease]struct{}
	stuck   map[place]struct{} // whose driver has not returned from a call
	subs    map[*Subscription]struct{}
	changed chan struct{} // closed and replaced on every change
	closed  bool
}

var _ Driver = (*Hub)(nil)

// place is a reader as its driver knows it.
type place struct {
	source *source
	name   string
}

// source is a driver and what is known of it. What the driver said is guarded
// by Hub.mu; the calls belong to the goroutine that watches.
type source struct {
	Source
	order int
	state SourceState
	infos []Info
	looks int                     // how often infos was set
	caps  map[string]Capabilities // by name; without what belongs to a card

	waiting, listing *call // that did not come back in time
	poke             chan struct{}

	lines lines // what is logged of it; guarded by Hub.mu
}

// SourceState is how a driver is doing.
type SourceState struct {
	// Name is the name of the source.
	Name string
	// Looked tells whether the driver has answered, in whatever way.
	Looked bool
	// Err is why the driver gives no readers, [ErrNoService] for example; nil
	// if it does.
	Err error
	// Since is when this began.
	Since time.Time
	// Readers is how many readers the driver gives.
	Readers int
}

// A Device is a reader as a [Hub] sees it.
type Device struct {
	// Info is what the driver says. A card that was opened through this hub
	// makes the state Busy. The name is unique within the hub.
	Info
	// Source names the driver.
	Source string
	// Model is the name without numbers; see [Model].
	Model string
	// Kind is what the reader is for.
	Kind Kind
	// Rank is 1 for the reader to use first; 0 if the reader is ignored.
	Rank int
	// Ours means that the card is open through this hub.
	Ours bool
	// Page is the page of firmware notes that knows a quirk of the reader,
	// empty if there is none.
	Page string

	place place
}

// equal reports whether a and b say the same.
func (a Device) equal(b Device) bool {
	return a.Info.Equal(b.Info) && a.place == b.place && a.Kind == b.Kind && a.Rank == b.Rank && a.Ours == b.Ours
}

// OpenHub begins to watch. It returns an error only for a configuration that
// cannot work: a source without driver or with the name of another one. A
// driver that does not work yet is tried again, quietly, for ever.
func OpenHub(cfg HubConfig) (*Hub, error) {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&cfg.Retry, 100*time.Millisecond)
	def(&cfg.MaxRetry, 10*time.Second)
	def(&cfg.Audit, 30*time.Second)
	def(&cfg.Grace, 3*time.Second)
	def(&cfg.Settle, time.Second)
	cfg.proc = cmp.Or(cfg.proc, "/proc")
	if cfg.now == nil {
		cfg.now = time.Now
	}
	h := &Hub{
		cfg:     cfg,
		log:     cfg.Log,
		limits:  cfg.Limits,
		ready:   make(chan struct{}),
		unseen:  len(cfg.Sources),
		leases:  make(map[place]*Lease),
		open:    make(map[*Lease]struct{}),
		stuck:   make(map[place]struct{}),
		subs:    make(map[*Subscription]struct{}),
		changed: make(chan struct{}),
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.limits == nil {
		h.limits = &MemoryLimits{}
	}
	for i, s := range cfg.Sources {
		if s.Driver == nil {
			return nil, fmt.Errorf("reader: source %q has no driver", s.Name)
		}
		if slices.ContainsFunc(h.sources, func(o *source) bool { return o.Name == s.Name }) {
			return nil, fmt.Errorf("reader: two sources are called %q", s.Name)
		}
		h.sources = append(h.sources, &source{
			Source: s, order: i, state: SourceState{Name: s.Name, Since: cfg.now()},
			caps: make(map[string]Capabilities), poke: make(chan struct{}, 1),
		})
	}
	if len(h.sources) == 0 {
		close(h.ready)
	}

	ctx, cancel := context.WithCancel(context.Background())
	h.end = cancel
	for _, s := range h.sources {
		h.watched.Go(func() { h.watch(ctx, s) })
	}
	h.watched.Go(func() { h.minder(ctx) })
	return h, nil
}

// Close ends the watching and closes every card that is open through the hub,
// after an exchange that has begun. It waits up to Grace for that, and returns
// [ErrTimeout] if a driver takes longer: its card is closed when it returns. All
// else has ended when Close returns. Closing twice is harmless.
func (h *Hub) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	leases := slices.Collect(maps.Keys(h.open))
	for s := range h.subs {
		s.signal()
	}
	h.notify()
	h.mu.Unlock()

	h.end()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var all sync.WaitGroup
		for _, l := range leases {
			all.Go(func() { _ = l.Close() })
		}
		all.Wait()
	}()
	h.watched.Wait() // each of them is bounded by Grace
	limit := time.NewTimer(h.cfg.Grace)
	defer limit.Stop()
	select {
	case <-done:
		return nil
	case <-limit.C:
		return fmt.Errorf("close: %w", ErrTimeout)
	}
}

// watch follows one source until ctx ends.
func (h *Hub) watch(ctx context.Context, s *source) {
	b := backoff{first: h.cfg.Retry, longest: h.cfg.MaxRetry}
	c := calm{longest: h.cfg.Settle}
	var last []Info
	for {
		infos, err := h.call(ctx, &s.listing, listLimit, nil, s.Driver.Readers)
		for err == nil {
			if !Same(infos, last) {
				b.reset()
			}
			last = infos
			h.found(s, infos)
			sleep(ctx, c.pause(time.Now()))
			infos, err = h.next(ctx, s, infos, &b)
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errLookAgain):
			continue
		}
		last = nil
		h.failed(s, err)
		sleep(ctx, c.pause(time.Now()))
		b.pause(ctx)
	}
}

// next returns the list that follows known, or errLookAgain when that may be
// out of date.
func (h *Hub) next(ctx context.Context, s *source, known []Info, b *backoff) ([]Info, error) {
	for {
		infos, err := h.call(ctx, &s.waiting, h.cfg.Audit, s.poke, func(ctx context.Context) ([]Info, error) {
			return s.Driver.Wait(ctx, known)
		})
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && !Same(infos, known):
			return infos, nil
		case errors.Is(err, errOverdue):
			b.reset() // nothing has happened for that long, as is normal
			return nil, errLookAgain
		case errors.Is(err, errLookAgain):
			return nil, err
		}
		// The driver has failed, or waits for ever, or returned for nothing. It
		// may do so again and again, while its list still works: go on with
		// that, more and more slowly.
		b.pause(ctx)
		if err != nil {
			return nil, errLookAgain
		}
	}
}

// Why a call of a driver has no result.
var (
	errStuck     = fmt.Errorf("driver does not return: %w", ErrTimeout)
	errOverdue   = fmt.Errorf("driver takes too long: %w", ErrTimeout)
	errLookAgain = errors.New("reader: look again")
)

// call is one call of a driver.
type call struct {
	done  chan struct{}
	infos []Info
	err   error
}

// call lets a driver make one call, which ends with errOverdue after the limit
// and with errLookAgain when something comes from cut. A driver that does not
// return even then is left: the call stays in *left, and no other one of that
// kind is made until it has come back, so a driver that is stuck costs one
// goroutine for each kind of call.
func (h *Hub) call(ctx context.Context, left **call, limit time.Duration, cut <-chan struct{}, f func(context.Context) ([]Info, error)) ([]Info, error) {
	if *left != nil {
		select {
		case <-(*left).done:
			*left = nil
		default:
			return nil, errStuck
		}
	}
	bound, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := &call{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.infos, c.err = f(bound)
	}()
	why := errOverdue
	select {
	case <-c.done:
		return c.infos, c.err
	case <-bound.Done():
	case <-cut:
		why = errLookAgain
		cancel()
	}
	grace := time.NewTimer(h.cfg.Grace)
	defer grace.Stop()
	select {
	case <-c.done:
		if c.err != nil {
			return nil, why
		}
		return c.infos, nil
	case <-grace.C:
		*left = c
		return nil, errStuck
	}
}

// minder looks for signs that the computer was asleep: then what drivers know
// may be long past, and they may not notice.
func (h *Hub) minder(ctx context.Context) {
	last := h.cfg.now()
	for sleep(ctx, tick) {
		h.mu.Lock()
		for _, s := range h.sources {
			h.say(s, "")
		}
		h.mu.Unlock()
		now := h.cfg.now()
		// The time of the day goes on in sleep; the clock that timers use does
		// not on every system.
		byDay, byTimer := now.Round(0).Sub(last.Round(0)), now.Sub(last)
		if d := byDay - byTimer; d > leap || d < -leap || byTimer > tick+leap {
			h.Refresh()
		}
		last = now
	}
}

// Refresh makes the hub list all readers anew, as it does by itself when the
// computer was asleep.
func (h *Hub) Refresh() {
	for _, s := range h.sources {
		select {
		case s.poke <- struct{}{}:
		default:
		}
	}
}

// backoff counts failures in a row.
type backoff struct {
	first, longest time.Duration
	next           time.Duration
}

func (b *backoff) reset() { b.next = 0 }

// pause sleeps for about twice as long as the last time, between half and all
// of that, so that many programs do not come at once. It returns false if ctx
// ended.
func (b *backoff) pause(ctx context.Context) bool {
	b.next = min(max(2*b.next, b.first), b.longest)
	return sleep(ctx, b.next/2+rand.N(b.next/2+1))
}

// calm says how long to rest after each change of a source.
type calm struct {
	longest time.Duration
	last    time.Time
	changes float64 // lately; busy/4 of them are forgotten each second
	next    time.Duration
}

// pause returns the pause after a change that happens now. For a source that
// changes too often it is twice as long each time, until the source has been
// quiet for a while.
func (c *calm) pause(now time.Time) time.Duration {
	since := now.Sub(c.last)
	c.last = now
	c.changes = max(0, c.changes-since.Seconds()*busy/4) + 1
	switch {
	case since > 3*c.next && c.changes <= busy:
		c.next = 0
	case c.next > 0 || c.changes > busy:
		c.next = min(max(2*c.next, pace), c.longest)
	}
	return max(c.next, pace)
}

// lines thins out what is logged of a source.
type lines struct {
	since        time.Time
	left, unsaid int
}

// Of one source so many lines are logged in a minute, and while there are more,
// two: one of them and how many the others were.
const (
	maxLines   = 20
	linesEvery = time.Minute
)

// say logs a change of a source, with mu held. An empty text only says what
// became of earlier ones, if it is time.
func (h *Hub) say(s *source, text string, args ...any) {
	l := &s.lines
	if now := h.cfg.now(); now.Sub(l.since) >= linesEvery || now.Before(l.since) {
		l.since, l.left = now, maxLines
		if l.unsaid > 0 {
			h.log.Warn("readers change all the time", "source", s.Name, "unlogged", l.unsaid)
			l.left, l.unsaid = 1, 0
		}
	}
	switch {
	case text == "":
	case l.left == 0:
		l.unsaid++
	default:
		l.left--
		h.log.Info(text, append([]any{"source", s.Name}, args...)...)
	}
}

// sleep returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// found takes what a source has listed.
func (h *Hub) found(s *source, infos []Info) {
	h.mu.Lock()
	defer h.mu.Unlock()
	gone := func(name string) bool {
		return !slices.ContainsFunc(infos, func(in Info) bool { return in.Name == name })
	}
	for name := range s.caps {
		if gone(name) {
			delete(s.caps, name) // another device may come under this name
		}
	}
	s.infos, s.looks = fewer(infos), s.looks+1
	h.publish(h.told(s, nil, len(s.infos)))
}

// fewer returns the first readers of a list: a driver may say anything.
func fewer(infos []Info) []Info {
	seen := make(map[string]bool)
	var list []Info
	for _, in := range infos {
		if len(list) < maxReaders && !seen[in.Name] {
			seen[in.Name] = true
			list = append(list, in)
		}
	}
	return list
}

// failed takes why a source has no list.
func (h *Hub) failed(s *source, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(s.caps)
	s.infos, s.looks = nil, s.looks+1
	h.publish(h.told(s, err, 0))
}

// told notes how a source is doing, and returns the change, if it is one.
func (h *Hub) told(s *source, err error, n int) []Change {
	old := s.state
	if !old.Looked {
		if h.unseen--; h.unseen == 0 {
			defer close(h.ready)
		}
	}
	s.state.Looked, s.state.Err, s.state.Readers = true, err, n
	if old.Looked && errorText(old.Err) == errorText(err) {
		return nil
	}
	s.state.Since = h.cfg.now()
	if err != nil {
		h.say(s, "readers cannot be reached", "error", err)
	} else {
		h.say(s, "readers can be reached")
	}
	return []Change{{Kind: SourceChanged, Source: s.state}}
}

// errorText is what a person would see change.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// publish works out the list anew and tells everybody, with mu held.
func (h *Hub) publish(changes []Change) {
	before := h.devices
	h.devices = h.arrange()
	byName := func(list []Device, name string) Device {
		return list[slices.IndexFunc(list, func(d Device) bool { return d.Name == name })]
	}
	for _, e := range Diff(infosOf(before), infosOf(h.devices)) {
		list := h.devices
		if e.Kind == CardRemoved || e.Kind == ReaderRemoved {
			list = before
		}
		d := byName(list, e.Info.Name)
		changes = append(changes, Change{Kind: e.Kind, Device: d})
		if e.Kind == ReaderAdded || e.Kind == ReaderRemoved {
			h.say(d.place.source, e.Kind.String(), "model", d.Model, "kind", d.Kind.String())
		}
	}
	for s := range h.subs {
		s.put(changes)
	}
	if len(changes) > 0 || !slices.EqualFunc(before, h.devices, Device.equal) {
		h.notify()
	}
}

func (h *Hub) notify() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// arrange returns the readers of all sources, the best first, with mu held.
func (h *Hub) arrange() []Device {
	// A card that has gone holds no reader, even if its owner has not noticed.
	maps.DeleteFunc(h.leases, func(at place, l *Lease) bool {
		return l != nil && at.source.looks > l.looks && !slices.ContainsFunc(at.source.infos, func(in Info) bool {
			return in.Name == at.name && (in.State.HasCard() || in.State == Unavailable)
		})
	})
	var all []Device
	taken := make(map[string]bool)
	for _, s := range h.sources {
		for _, in := range s.infos {
			at := place{s, in.Name}
			d := Device{Info: in, Source: s.Name, Model: Model(in.Name), Kind: KindOf(in.Name, in.ATR), place: at}
			if q, known := QuirkOf(in.Name, 0, 0); known {
				d.Page = q.Page
				if q.Kind != KindUnknown {
					d.Kind = q.Kind
				}
			}
			for taken[d.Name] {
				d.Name += " (" + s.Name + ")"
			}
			taken[d.Name] = true
			if h.leases[at] != nil {
				d.Ours = true
				if d.State.HasCard() {
					d.State = Busy
				}
			}
			if _, stuck := h.stuck[at]; stuck {
				d.State, d.ATR = Unavailable, nil
			}
			all = append(all, d)
		}
	}
	order := func(d Device) int { return 10*h.wanted(d) + d.Kind.class() }
	slices.SortStableFunc(all, func(a, b Device) int { return cmp.Compare(order(a), order(b)) })
	rank := 0
	for i := range all {
		if !all[i].Kind.Ignored() || h.cfg.All || h.wanted(all[i]) < 2 {
			rank++
			all[i].Rank = rank
		}
	}
	return all
}

// wanted is 0 for the reader that was asked for, 1 for those whose name
// contains that, and 2 for others.
func (h *Hub) wanted(d Device) int {
	switch {
	case h.cfg.Prefer == "":
	case d.Name == h.cfg.Prefer:
		return 0
	case strings.Contains(strings.ToLower(d.Name), strings.ToLower(h.cfg.Prefer)):
		return 1
	}
	return 2
}

func infosOf(devices []Device) []Info {
	infos := make([]Info, len(devices))
	for i, d := range devices {
		infos[i] = d.Info
	}
	return infos
}

// cloned returns devices that share nothing with the hub.
func cloned(devices []Device) []Device {
	devices = slices.Clone(devices)
	for i := range devices {
		devices[i].ATR = slices.Clone(devices[i].ATR)
	}
	return devices
}

// Devices returns every reader, the best first, those that are ignored last.
// It waits until every source was looked at once.
func (h *Hub) Devices(ctx context.Context) ([]Device, error) {
	if err := h.looked(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return cloned(h.devices), nil
}

// Sources returns how each source is doing now, in the order of the
// configuration. It does not wait.
func (h *Hub) Sources() []SourceState {
	h.mu.Lock()
	defer h.mu.Unlock()
	states := make([]SourceState, len(h.sources))
	for i, s := range h.sources {
		states[i] = s.state
	}
	return states
}

// looked waits until every source was looked at once.
func (h *Hub) looked(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-h.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrHubClosed
	}
	return nil
}

// Readers implements [Driver]: it lists the readers that a document can be laid
// on, the best first. If there is no reader at all, it returns why the first
// source that failed gives none.
func (h *Hub) Readers(ctx context.Context) ([]Info, error) {
	if err := h.looked(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.devices) == 0 {
		for _, s := range h.sources {
			if s.state.Err != nil {
				return nil, s.state.Err
			}
		}
	}
	return h.offered(), nil
}

// offered is the list of Readers, with mu held.
func (h *Hub) offered() []Info {
	infos := make([]Info, 0, len(h.devices))
	for _, d := range cloned(h.devices) {
		if d.Rank > 0 {
			infos = append(infos, d.Info)
		}
	}
	return infos
}

// Wait implements [Driver]. A source that fails is a list without its readers,
// not an error.
func (h *Hub) Wait(ctx context.Context, known []Info) ([]Info, error) {
	for {
		if err := h.looked(ctx); err != nil {
			return nil, err
		}
		h.mu.Lock()
		infos, changed, closed := h.offered(), h.changed, h.closed
		h.mu.Unlock()
		switch {
		case closed:
			return nil, ErrHubClosed
		case !Same(infos, known):
			return infos, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}
