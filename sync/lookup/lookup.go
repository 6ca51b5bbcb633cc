// Package lookup answers "is this person insured?" whether or not there is a
// link:
//
//  1. a fresh answer from the cache;
//  2. else the central service, within a time limit, asked once per person
//     however many desks want to know;
//  3. else the old answer from the cache, with its age;
//  4. else the list of people who are registered here (package bundle), with its
//     age;
//  5. else "unknown, recorded for a later check", which is an answer too.
//
// Of an old answer and the list, the newer one is served.
//
// A refusal ("expired", "wrong name") is cached only briefly, and never served
// once it is old: the person may have paid, or the typing error been corrected,
// since. A failure of the insurer's is not cached at all.
//
// Answers are sealed at rest and filed under an HMAC of the person (package
// seal). In clear are only their number, size and the times at which they were
// fetched.
//
// The clock may jump. An answer that was given or fetched in the future of the
// present clock is not fresh, whatever its age would be, nor is any while the clock
// shows less than it has shown before; it still serves as an old one.
// [Service.Clock] tells of the doubt. Where two clocks can say how old an answer is,
// the older age counts. An answer that the central service gives from old knowledge
// is as stale as a cached one of that age.
package lookup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// Errors.
var (
	// ErrInvalid reports a request without a name, a birth date or a number.
	ErrInvalid = errors.New("lookup: request does not name a person")
	// ErrClosed reports a service that was closed.
	ErrClosed = errors.New("lookup: closed")
	// ErrNoAnswer is the Cause of an [Answer] when the central service
	// responded but could not tell: the insurer is down, or wants a login, or
	// the facility's account is wrong. The entitlement's code says which.
	ErrNoAnswer = errors.New("lookup: central service has no answer")
	// ErrWrongAnswer is the Cause of an [Answer] when the central service's
	// response is not one to the request.
	ErrWrongAnswer = errors.New("lookup: response does not belong to the request")
)

// Asker asks the central service. The service sets Number, InsuranceNumber,
// Name and BirthDate of the request; the Asker, which knows who it is, fills in
// the rest (version, id, facility, agent, time), signs and sends it, and makes
// sure that the response answers it. It returns when ctx ends, with an error.
// It is called concurrently, for different people.
type Asker interface {
	Ask(ctx context.Context, r contract.LookupRequest) (contract.LookupResponse, error)
}

// Population is the list of people who are registered at the facility. Find returns
// the person under a personal number or that of a card, and when the insurer made
// the list. *bundle.Keeper is one, by way of [PopulationFunc].
type Population interface {
	Find(number, card string) (r contract.Registered, made time.Time, ok bool)
}

// PopulationFunc makes a function a Population.
type PopulationFunc func(number, card string) (contract.Registered, time.Time, bool)

// Find calls f.
func (f PopulationFunc) Find(number, card string) (contract.Registered, time.Time, bool) {
	return f(number, card)
}

// Defaults of [Config].
const (
	DefaultTTL         = 4 * time.Hour
	DefaultNegativeTTL = 5 * time.Minute
	DefaultTimeout     = 1500 * time.Millisecond
	DefaultKeep        = 60 * 24 * time.Hour // a month off line, and some
)

// maxSkew is by how much a fetch time may lie in the future and still be taken
// for the present: clocks are adjusted by small steps all the time.
const maxSkew = 2 * time.Minute

// Config says what a Service works with. Store, Sealer and Asker are required;
// a duration of 0 means its default.
type Config struct {
	Store       *store.Store
	Sealer      *seal.Sealer
	Asker       Asker
	TTL         time.Duration    // how long a positive answer is fresh
	NegativeTTL time.Duration    // how long a negative one is
	Timeout     time.Duration    // how long the central service may take
	Keep        time.Duration    // how old an answer may be and still be shown
	Now         func() time.Time // nil: time.Now
	Population  Population       // nil: there is no list
}

// Request names a person: name and birth date as on the document, and the
// personal number or that of the insurance card.
type Request struct {
	Number          string
	InsuranceNumber string
	Name            string
	BirthDate       contract.Date
}

// Answer is what is known. It is the caller's.
type Answer struct {
	Entitlement contract.Entitlement // Source and AsOf say from where and from when
	Person      *contract.Insured    // as the insurer holds them; nil when not told
	Age         time.Duration        // of the knowledge: at least this
	Stale       bool                 // older than it should be, or nobody knows how old
	Cause       error                // why the central service was of no help; nil when it was, or was not asked
}

// Service looks people up. It may be used concurrently. Call [Service.Close]
// when done, before closing the store.
type Service struct {
	c      Config
	cache  *cache
	clock  clock
	flight singleflight.Group
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	mu     sync.Mutex // guards closed, and Add against Wait
	closed bool
	wg     sync.WaitGroup
}

// Open returns a Service on a store. It ties the store to the sealer's key and
// returns store.ErrWrongKey when that is another one. The cached answers of a large
// store are checked in the background (see [store.Store.Checked]) and not used
// until then.
func Open(c Config) (*Service, error) {
	if c.Store == nil || c.Sealer == nil || c.Asker == nil {
		return nil, errors.New("lookup: store, sealer and asker are required")
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{{&c.TTL, DefaultTTL}, {&c.NegativeTTL, DefaultNegativeTTL}, {&c.Timeout, DefaultTimeout}, {&c.Keep, DefaultKeep}} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := c.Store.Bind(c.Sealer.KeyID()); err != nil {
		return nil, err
	}
	if err := makeBuckets(c.Store); err != nil {
		return nil, fmt.Errorf("lookup: %w", err)
	}
	latest, err := loadLatest(c.Store, c.Sealer)
	if err != nil {
		return nil, fmt.Errorf("lookup: %w", err)
	}
	s := &Service{c: c, cache: newCache(c.Store, c.Sealer)}
	s.clock.latest, s.clock.saved = latest, latest
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if size, err := c.Store.Size(); err != nil || size <= checkAtOnce {
		s.cache.check(s.ctx)
	} else {
		s.wg.Go(func() { s.cache.check(s.ctx) })
	}
	return s, nil
}

// Close ends questions that are under way and waits for them.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	if s.clock.due(time.Millisecond) {
		s.clock.save(s.c.Store, s.c.Sealer)
	}
}

// Clock says how far this machine's clock can be believed: what the central
// service's answers have shown within a day, and whether the clock has shown a later
// moment before, in this run of the program or an earlier one.
func (s *Service) Clock() contract.ClockQuality { return s.clock.quality(s.c.Now()) }

// look reads the clock: now, the latest moment that it has shown, and whether now
// is doubtful.
func (s *Service) look() moment {
	now := s.c.Now()
	latest, doubt := s.clock.show(now)
	s.remember()
	return moment{now, latest, doubt}
}

// moment is a reading of a clock that may be wrong.
type moment struct {
	now    time.Time
	latest time.Time // that was ever shown: not before now
	doubt  bool      // it was later once
}

// remember has the store learn of the latest moment, from time to time and without
// anybody waiting.
func (s *Service) remember() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.clock.due(savedEvery) {
		s.wg.Go(func() { s.clock.save(s.c.Store, s.c.Sealer) })
	}
}

// Lookup returns what is known about a person's entitlement, at the latest
// after the time limit. That nobody knows is an answer, not an error. The
// errors are [ErrInvalid], [ErrClosed], and the context's when it was
// cancelled; a context whose deadline passes only ends the wait for the central
// service.
func (s *Service) Lookup(ctx context.Context, r Request) (Answer, error) {
	if r.Name == "" || !r.BirthDate.Valid() || r.Number == "" && r.InsuranceNumber == "" {
		return Answer{}, ErrInvalid
	}
	if ctx.Err() == context.Canceled {
		return Answer{}, ctx.Err()
	}
	if s.ctx.Err() != nil {
		return Answer{}, ErrClosed // also while a question that Close has ended is still known
	}
	began := time.Now()
	key := s.key(r)
	cached, have := s.cache.load(key)
	at := s.look()
	if have && s.fresh(cached, at) {
		return s.answer(cached, contract.SourceCache, at, nil), nil
	}
	// The question outlives a caller who goes away: another may wait for the
	// same answer, and the next patient with this number will.
	result := s.flight.DoChan(string(key), func() (any, error) { return s.ask(key, r) })
	var cause error
	var told record // with ErrNoAnswer
	select {
	case <-ctx.Done():
		if ctx.Err() == context.Canceled {
			return Answer{}, ctx.Err()
		}
		cause = ctx.Err()
	case res := <-result:
		if res.Err == nil {
			return s.answer(res.Val.(record), contract.SourceCentral, s.look(), nil), nil
		}
		if errors.Is(res.Err, ErrClosed) {
			return Answer{}, ErrClosed
		}
		cause, told = res.Err, res.Val.(record)
	}
	if !have {
		cached, have = s.late(ctx, began, key)
	}
	if errors.Is(cause, ErrNoAnswer) && !have {
		if a, ok := s.listed(r, s.look(), cause); ok {
			return a, nil
		}
		return s.answer(told, contract.SourceCentral, s.look(), cause), nil
	}
	at = s.look()
	listed, inList := s.listed(r, at, cause)
	if have && cached.Entitlement.Status == contract.StatusValid && cached.age(at.now) <= s.c.Keep && (!inList || cached.age(at.latest) <= listed.Age) {
		return s.answer(cached, contract.SourceCache, at, cause), nil
	}
	if inList {
		return listed, nil
	}
	return Answer{
		Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown},
		Cause:       cause,
	}, nil
}

// late returns a cached answer from a cache that was shut when the question was
// asked, if it opens within the time limit.
func (s *Service) late(ctx context.Context, began time.Time, key []byte) (record, bool) {
	ctx, cancel := context.WithDeadline(ctx, began.Add(s.c.Timeout))
	defer cancel()
	if s.cache.await(ctx) != nil {
		return record{}, false
	}
	return s.cache.load(key)
}

// listed returns what the list of people says: of whoever has the number of another
// person, what the central service would say, and no more.
func (s *Service) listed(r Request, at moment, cause error) (Answer, bool) {
	if s.c.Population == nil {
		return Answer{}, false
	}
	p, made, ok := s.c.Population.Find(r.Number, r.InsuranceNumber)
	if !ok || p.Entitlement == nil || p.Person == nil {
		return Answer{}, false
	}
	a := Answer{Age: max(0, at.latest.Sub(made)), Stale: true, Cause: cause}
	switch {
	case letters(p.Person.Name) != letters(r.Name):
		a.Entitlement.Code = codeWrongName
	case datesDiffer(p.Person.BirthDate, r.BirthDate):
		a.Entitlement.Code = codeWrongBirthDate
	default:
		person := *p.Person
		a.Entitlement, a.Person = p.Entitlement.Clone(), &person
	}
	a.Entitlement.Status = contract.StatusOf(a.Entitlement.Code)
	a.Entitlement.Source = contract.SourcePopulation
	// The list is as old as its making, whatever an entry says of itself.
	a.Entitlement.AsOf = contract.Timestamp(made)
	return a, true
}

// The insurer's result codes for a number with another name or birth date; see
// [contract.StatusOf].
const (
	codeWrongName      = "060"
	codeWrongBirthDate = "070"
)

// ask asks the central service and caches its answer.
func (s *Service) ask(key []byte, r Request) (record, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return record{}, ErrClosed
	}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()

	ctx, cancel := context.WithTimeout(s.ctx, s.c.Timeout)
	defer cancel()
	resp, err := s.c.Asker.Ask(ctx, contract.LookupRequest{
		Number: r.Number, InsuranceNumber: r.InsuranceNumber, Name: r.Name, BirthDate: r.BirthDate,
	})
	if err != nil {
		return record{}, err
	}
	if resp.Entitlement.Source != contract.SourceCentral {
		return record{}, ErrWrongAnswer
	}
	now := s.c.Now()
	s.clock.hear(resp.At, now)
	rec := record{
		Asked: askedOf(r), Entitlement: resp.Entitlement, Person: resp.Person,
		FetchedAt: now.Round(0).UTC(),
		// Two readings of one clock, the central service's: ours does not
		// matter.
		AgeThen: max(0, resp.At.Sub(resp.Entitlement.AsOf)),
	}
	switch st := rec.Entitlement.Status; {
	case st == contract.StatusRetry, st == contract.StatusLogin, st == contract.StatusConfiguration:
		return rec, ErrNoAnswer
	}
	// A cache that cannot be written (a full disk) makes the next lookup
	// slower; it does not make this answer wrong.
	_ = s.cache.save(key, rec)
	return rec, nil
}

// record is a cached answer.
type record struct {
	// Asked is kept for Reseal; nil in records of earlier versions.
	Asked       *asked               `json:"asked,omitempty"`
	Entitlement contract.Entitlement `json:"entitlement"`
	Person      *contract.Insured    `json:"person,omitempty"`
	FetchedAt   time.Time            `json:"fetchedAt"` // this machine's clock
	AgeThen     time.Duration        `json:"ageThen"`   // how old it was when it arrived
}

// since is how long ago the answer was given, at least: by this machine's clock,
// then and now, or by the central service's then and this machine's now.
func (r *record) since(now time.Time) time.Duration {
	return max(now.Sub(r.FetchedAt), now.Sub(r.Entitlement.AsOf)-r.AgeThen, 0)
}

// age is how old the knowledge is at least.
func (r *record) age(now time.Time) time.Duration { return r.AgeThen + r.since(now) }

// ttl is how long an answer is fresh.
func (s *Service) ttl(r *record) time.Duration {
	if r.Entitlement.Status == contract.StatusValid {
		return s.c.TTL
	}
	return s.c.NegativeTTL
}

// fresh reports whether a cached answer serves without asking again. One that was
// old when it arrived does as well: asking again would bring no newer one.
func (s *Service) fresh(r record, at moment) bool {
	if r.Entitlement.Status == contract.StatusValid && slices.Contains(Period(r.Entitlement, at.latest), contract.PeriodEnded) {
		return false // it may have been renewed
	}
	return !at.doubt && !r.Entitlement.AsOf.After(at.now.Add(maxSkew)) &&
		at.now.Sub(r.FetchedAt) >= -maxSkew && r.since(at.now) < s.ttl(&r)
}

// answer makes an answer of a record. It copies: one record may answer many
// callers.
func (s *Service) answer(r record, source contract.Source, at moment, cause error) Answer {
	now := at.now // of what was heard just now this clock may be in doubt, not the age
	a := Answer{Cause: cause}
	if source == contract.SourceCache {
		now, a.Stale = at.latest, !s.fresh(r, at)
	}
	// Also of what was heard just now, and whatever it says: knowledge that was too
	// old when it was given, or a giver whose present is long past.
	a.Age, a.Stale = r.age(now), a.Stale || r.AgeThen >= s.c.TTL || r.since(now) >= s.c.TTL
	a.Entitlement = r.Entitlement.Clone()
	a.Entitlement.Source = source
	if r.Person != nil {
		p := *r.Person
		a.Person = &p
	}
	return a
}

// key files a person.
func (s *Service) key(r Request) []byte { return askedOf(r).key(s.c.Sealer) }

// Purge removes up to n answers that are older than Config.Keep, in one
// transaction, and returns how many; call it until it returns 0. It waits until
// the store has been checked.
//
// How old they are, only the clock says. So nothing goes unless that is
// synchronised ([Service.Clock]): one that is ahead for a moment would take away
// what a desk without a link lives on. What is too old is not served meanwhile.
func (s *Service) Purge(ctx context.Context, n int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := s.cache.await(ctx); err != nil {
		return 0, err
	}
	now := s.c.Now()
	if s.clock.quality(now) != contract.ClockSynchronised {
		return 0, nil
	}
	return s.cache.purge(now.Add(-s.c.Keep), n)
}
