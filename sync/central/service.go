package central

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"golang.org/x/sync/semaphore"

	"github.com/chamthe/chamthe/sync/contract"
)

const (
	// nonceShared is how long one nonce is handed to everybody who asks. A
	// nonce need not be anybody's own: the challenge holds facility, agent and
	// visit besides. One for each of thirteen thousand agents every few minutes
	// would fill the bucket with a hundred million entries in a month.
	nonceShared = 30 * time.Second
	nonceBytes  = 32

	serviceName    = "chamthe-central"
	serviceVersion = "1.0.0"

	// requestsAtOnce bounds the requests of a kind that are answered side by side;
	// the others wait in the subscription.
	requestsAtOnce = 64
)

// Error codes of the micro services. They follow HTTP, because that is what
// everybody knows.
const (
	codeBadRequest  = "400"
	codeForbidden   = "403"
	codeUnavailable = "503"
)

// service answers lookups and hands out nonces and bundles.
type service struct {
	nc     *nats.Conn // set by serve
	store  *store
	counts *counts
	log    *slog.Logger
	now    func() time.Time

	limits          // of which it counts lookups, bundles and nonces
	rolls  []string // see [Config.BundleRolls]

	mu      sync.Mutex
	current *contract.Nonce
}

// serve answers requests until stop is called, which waits for those in hand.
func (s *service) serve(nc *nats.Conn) (stop func(), err error) {
	s.nc = nc
	svc, err := micro.AddService(nc, micro.Config{
		Name: serviceName, Version: serviceVersion, Description: "entitlement lookups, nonces and bundles",
	})
	if err != nil {
		return nil, err
	}
	// A handler holds up its subscription, and each answer waits for the store:
	// so they run side by side, within a bound for each kind: who waits for a nonce
	// holds up no lookup.
	ctx, cancel := context.WithCancel(context.Background())
	var kinds []*semaphore.Weighted
	stop = func() {
		if err := svc.Stop(); err != nil {
			s.log.Debug("service not stopped in order", "error", err)
		}
		cancel() // handlers that wait for their turn give up
		for _, busy := range kinds {
			// Without a bound on time this cannot fail; each call has its own.
			_ = busy.Acquire(context.Background(), requestsAtOnce)
		}
	}
	for _, e := range []struct {
		name, subject string
		handle        func(context.Context, micro.Request)
		limit         *limiter
		key           func(micro.Request) string // of the limit
	}{
		{"lookup", contract.LookupSubjects, s.lookup, s.lookups, agentOf},
		{"nonce", contract.NonceSubjects, s.nonce, s.nonces, facilityOf},
		{"bundle", contract.BundleSubjects, s.bundle, s.bundles, agentOf},
	} {
		busy := semaphore.NewWeighted(requestsAtOnce)
		kinds = append(kinds, busy)
		handler := micro.HandlerFunc(func(req micro.Request) {
			if !isInbox(req.Reply()) {
				s.counts.add(&s.counts.Unheard)
				s.log.Warn("request dropped: its reply subject is no inbox", "endpoint", e.name)
				return
			}
			// Before anything is spent on it. An agent's name costs nothing, but only
			// what it has signed is counted against it.
			if e.limit.spent(e.key(req), time.Now()) {
				s.limited(req)
				return
			}
			if busy.Acquire(ctx, 1) != nil {
				return // the asker's time runs out and it asks again, elsewhere
			}
			go func() {
				defer busy.Release(1)
				e.handle(context.WithoutCancel(ctx), req)
			}()
		})
		if err := svc.AddEndpoint(e.name, handler, micro.WithEndpointSubject(e.subject)); err != nil {
			stop()
			return nil, err
		}
	}
	return stop, nil
}

// agentOf is the agent that a request says it comes from.
func agentOf(req micro.Request) string { return req.Headers().Get(contract.HeaderAgent) }

// facilityOf is the facility that a request for a nonce comes from: nobody signs it,
// but the server lets an agent ask on the subject of its own facility only.
func facilityOf(req micro.Request) string {
	facility, err := contract.ParseNonceSubject(req.Subject())
	if err != nil {
		return "" // no facility, and nothing is counted against it
	}
	return facility
}

// isInbox reports whether an answer may go to a subject. Who asks chooses it,
// and the server lets this service publish anywhere: an answer must not become
// a request to the JetStream API, or an entry of a bucket. An agent that has an
// account of its own is heard from below _R_, where the server passes answers
// on.
func isInbox(reply string) bool {
	return strings.HasPrefix(reply, "_INBOX.") || strings.HasPrefix(reply, "_R_.")
}

// enrolled reports whether an agent may ask for a facility, and tells it if not.
func (s *service) enrolled(ctx context.Context, req micro.Request, agent, facility string) bool {
	own, err := s.store.facilityOf(ctx, agent)
	switch {
	case err != nil:
		s.unavailable(req, err)
	case own != facility: // "" when nobody enrolled the agent
		s.fail(req, codeForbidden, string(contract.ReasonUnknownAgent))
	default:
		return true
	}
	return false
}

// lookup answers a signed [contract.LookupRequest].
func (s *service) lookup(ctx context.Context, req micro.Request) {
	r, err := contract.OpenLookup(req.Subject(), req.Headers(), req.Data())
	if err != nil {
		s.fail(req, codeBadRequest, string(reasonOf(err)))
		return
	}
	if !s.enrolled(ctx, req, r.Agent, r.Facility) {
		return
	}
	// The request is the agent's own, and so is what it costs.
	if !s.lookups.allow(r.Agent, time.Now()) {
		s.limited(req)
		return
	}
	key := s.store.personKey(kindNumber, r.Number)
	if r.Number == "" {
		key = s.store.personKey(kindInsurance, r.InsuranceNumber)
	}
	p, err := s.store.person(ctx, key)
	if err != nil {
		s.unavailable(req, err)
		return
	}
	now := contract.Timestamp(s.now())
	var resp contract.LookupResponse
	switch {
	case p == nil:
		resp = noAnswer(r.ID, now, codeNoCard)
	case !sameName(p.Name, r.Name):
		resp = noAnswer(r.ID, now, codeWrongName)
	case !sameDate(p.BirthDate, r.BirthDate):
		resp = noAnswer(r.ID, now, codeWrongBirthDate)
	default:
		resp = p.answer(r.ID, now)
	}
	b, err := contract.EncodeLookupResponse(&resp)
	if err != nil {
		s.unavailable(req, err)
		return
	}
	s.counts.add(&s.counts.Lookups)
	s.respond(req, b)
}

// The insurer's result codes that this service gives of itself; see
// [contract.StatusOf].
const (
	codeInOrder        = "000"
	codeNewCard        = "003"
	codeOldCardValid   = "004"
	codeExpired        = "010"
	codeNoCard         = "050"
	codeWrongName      = "060"
	codeWrongBirthDate = "070"
)

// noAnswer says why there is no entitlement. It tells nothing of the person:
// who asks with the right number and the wrong name learns only that.
func noAnswer(id string, at time.Time, code string) contract.LookupResponse {
	return contract.LookupResponse{
		Version: contract.Version, ID: id, At: at,
		Entitlement: contract.Entitlement{Source: contract.SourceCentral, AsOf: at, Status: contract.StatusOf(code), Code: code},
	}
}

func (p Person) answer(id string, at time.Time) contract.LookupResponse {
	code := p.Code
	if code == "" {
		code = codeInOrder
	}
	if contract.StatusOf(code) == contract.StatusValid && code != codeNewCard && code != codeOldCardValid && ended(p.To, at) {
		code = codeExpired
	}
	r := noAnswer(id, at, code)
	e := &r.Entitlement
	e.CardNumber, e.From, e.To, e.Facility = p.InsuranceNumber, p.From, p.To, p.Facility
	e.BenefitLevel, e.Area, e.FiveYears, e.Next = p.BenefitLevel, p.Area, p.FiveYears, p.Next
	r.Person = &contract.Insured{Number: p.Number, Name: p.Name, BirthDate: p.BirthDate, Sex: p.Sex}
	return r
}

// vietnam is the time zone of an entitlement's days; the country has one, and
// no summer time.
var vietnam = time.FixedZone("ICT", 7*60*60)

// ended reports whether a whole date lies before the day of t.
func ended(d contract.Date, t time.Time) bool {
	_, _, day, ok := d.Parts()
	return ok && day != 0 && string(d) < t.In(vietnam).Format(time.DateOnly)
}

// sameDate compares in the parts that both dates know.
func sameDate(a, b contract.Date) bool {
	ay, am, ad, aok := a.Parts()
	by, bm, bd, bok := b.Parts()
	if !aok || !bok || ay != by {
		return false
	}
	return (am == 0 || bm == 0 || am == bm) && (ad == 0 || bd == 0 || ad == bd)
}

// nonce hands out a nonce that nobody could know before its time.
func (s *service) nonce(ctx context.Context, req micro.Request) {
	facility := facilityOf(req)
	if facility == "" || len(req.Data()) != 0 {
		s.fail(req, codeBadRequest, string(contract.ReasonMalformed))
		return
	}
	if !s.nonces.allow(facility, time.Now()) {
		s.limited(req)
		return
	}
	n, err := s.fresh(ctx)
	if err != nil {
		s.unavailable(req, err)
		return
	}
	b, err := contract.EncodeNonce(n)
	if err != nil {
		s.unavailable(req, err)
		return
	}
	s.respond(req, b)
}

// fresh returns the nonce of the moment. It leaves the house only when it is
// stored: a visit with a nonce that a crash forgot would be refused.
func (s *service) fresh(ctx context.Context) (*contract.Nonce, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if n := s.current; n != nil {
		// A clock that was set back ends a nonce too.
		if age := now.Sub(n.IssuedAt); age >= 0 && age < nonceShared {
			return n, nil
		}
	}
	value := make([]byte, nonceBytes)
	id := make([]byte, 16)
	rand.Read(value) // crypto/rand.Read never fails
	rand.Read(id)
	// IssuedAt is the lower bound of the presence window, so it must not be
	// later than the moment at which the value existed: it is read before.
	n := &contract.Nonce{
		Version: contract.Version, ID: base64.RawURLEncoding.EncodeToString(id), Value: value, IssuedAt: contract.Timestamp(now),
	}
	if err := s.store.putNonce(ctx, n); err != nil {
		return nil, err
	}
	s.current = n
	s.counts.add(&s.counts.Nonces)
	return n, nil
}

func (s *service) respond(req micro.Request, b []byte) { answer(s.nc, s.log, req, nil, b) }

func (s *service) fail(req micro.Request, code, reason string) {
	if code == codeBadRequest || code == codeForbidden {
		s.counts.addTo(&s.counts.Refused, contract.Reason(reason))
	}
	answer(s.nc, s.log, req, failure(code, reason), nil)
}

// answer does what the methods of a request do but for their notes in it, which
// package micro reads when the handler has returned: ours go on after that.
func answer(nc *nats.Conn, log *slog.Logger, req micro.Request, header nats.Header, b []byte) {
	if err := nc.PublishMsg(&nats.Msg{Subject: req.Reply(), Header: header, Data: b}); err != nil {
		log.Debug("answer not sent", "error", err)
	}
}

// failure returns the headers by which package micro tells an error.
func failure(code, reason string) nats.Header {
	return nats.Header{micro.ErrorCodeHeader: {code}, micro.ErrorHeader: {reason}}
}

// limited puts off an agent that asks too often. It is told what it is told when the
// service is out of reach: it is to go on with what it knows.
func (s *service) limited(req micro.Request) {
	s.counts.add(&s.counts.Limited)
	s.fail(req, codeUnavailable, string(contract.ReasonUnavailable))
}

func (s *service) unavailable(req micro.Request, err error) {
	s.counts.add(&s.counts.Unanswered)
	s.log.Warn("request not answered", "error", err)
	s.store.suspect()
	s.fail(req, codeUnavailable, string(contract.ReasonUnavailable))
}
