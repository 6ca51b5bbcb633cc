package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/event"
	"github.com/chamthe/chamthe/agent/wire"
)

// OwnerDesk is the owner of what the desk begins, and the audience of its
// events. It sees every check-in.
const OwnerDesk = event.Desk

// CheckIns is the front desk: one check-in at a time. Each method takes the
// caller as owner and does nothing to another's check-in. It is satisfied by
// checkin.Front.
type CheckIns interface {
	Start(ctx context.Context, owner string, s wire.Start) (wire.CheckIn, error)
	Key(ctx context.Context, owner, id string, k wire.Key) (wire.CheckIn, error)
	Confirm(ctx context.Context, owner, id string, c wire.Confirmation) (wire.CheckIn, error)
	Cancel(ctx context.Context, owner, id string) (wire.CheckIn, error)
	Current(ctx context.Context, owner string) (wire.CheckIn, error)
	Get(ctx context.Context, owner, id string) (wire.CheckIn, error)
	Photo(ctx context.Context, owner, id string) (picture []byte, mediaType string, err error)
	Record(ctx context.Context, owner, id string) (xml []byte, err error)
}

// A Journal is what was recorded on this computer. Retry sends a rejected visit
// again and writes in the audit trail that actor had it sent.
type Journal interface {
	History(ctx context.Context, q wire.HistoryQuery) (wire.History, error)
	Queue(ctx context.Context, state, after string) (wire.QueuePage, error)
	Retry(ctx context.Context, visit, actor string) error
}

// Operators are the people who sit at the desk. Current is empty when nobody is
// signed in.
type Operators interface {
	SignIn(ctx context.Context, s wire.SignIn) (wire.Operator, error)
	SignOut(ctx context.Context) error
	Current() string
}

// Config is what a [Server] serves. What is nil or zero has the default that is
// said there; a function that is nil answers as not ready.
type Config struct {
	CheckIns  CheckIns
	Journal   Journal
	Operators Operators
	// Events carries what happens; check-ins are published to their owner. Nil: there
	// is no event stream.
	Events *event.Bus
	// Status is asked on behalf of owner: whose check-in runs is for the one who
	// began it.
	Status  func(ctx context.Context, owner string) (wire.Status, error)
	Readers func(ctx context.Context) ([]wire.Reader, error)
	Doctor  func(ctx context.Context) (wire.Diagnosis, error)
	// Support writes an archive (zip) without personal data.
	Support func(ctx context.Context, w io.Writer) error
	// Fault names an error of the above for the caller, as checkin.FrontConfig has
	// it: agent/fault, which knows package agent and so cannot be known by what agent
	// is made of. Nil: every error is an internal one.
	Fault func(err error) *wire.Fault

	// Desk is the hash of the desk's token: see [WriteDeskToken]. Zero: no desk.
	Desk Hash
	// Clients keeps those who were paired; nil: in memory only.
	Clients Store
	// Grants are those whom IT approved.
	Grants []Grant
	// NoPairing leaves it at Grants: nobody else can ask for a token.
	NoPairing bool

	// Audit appends to the audit trail: (*audit.Log).Append. What cannot be written
	// there is not shown. It may be nil only in tests.
	Audit  func(ctx context.Context, entries ...audit.Entry) error
	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
}

// A Server is the API. It may be used concurrently. Nothing runs before
// [Server.Serve]; as an [http.Handler] it serves on a listener of somebody else,
// which [Server.Serve] should be preferred to, because of its time limits.
type Server struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	mux     *http.ServeMux
	routes  map[string]*route // by pattern
	clients *registry
	desk    *client
	pairing *pairings
	seen    *views

	// What needs no token, each apart: any page on the internet can have a browser fetch
	// one of our pages, and must not keep a program from asking for life, nor those who
	// want to be paired from asking.
	pages     *rate.Limiter // our pages and life, in a browser
	programs  *rate.Limiter // the same, by a program
	strangers *rate.Limiter // pairing
	refusals  *rate.Limiter // those who were not let in: they do not use up the above
	asking    *rate.Limiter // pairings
	signIns   *rate.Limiter // PINs

	mu      sync.Mutex
	streams int
}

// Rates. A page that polls each 100 ms and loads a photo stays far below; the
// rest is for those who try tokens, codes and PINs.
const (
	clientRate    = rate.Limit(30)
	clientBurst   = 90
	strangerRate  = rate.Limit(5)
	strangerBurst = 40
	askingRate    = rate.Limit(0.1)
	askingBurst   = 5
	signInRate    = rate.Limit(0.5)
	signInBurst   = 5
)

// New returns the API over cfg. It loads the clients.
func New(cfg Config) (*Server, error) {
	s := &Server{
		cfg: cfg, log: cfg.Logger, now: cfg.Now,
		seen:      &views{},
		pages:     rate.NewLimiter(strangerRate, strangerBurst),
		programs:  rate.NewLimiter(strangerRate, strangerBurst),
		strangers: rate.NewLimiter(strangerRate, strangerBurst),
		refusals:  rate.NewLimiter(strangerRate, strangerBurst),
		asking:    rate.NewLimiter(askingRate, askingBurst),
		signIns:   rate.NewLimiter(signInRate, signInBurst),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.cfg.Clients == nil {
		s.cfg.Clients = &memory{}
	}
	if cfg.Desk != (Hash{}) {
		s.desk = newClient(Kept{Client: wire.Client{ID: OwnerDesk, Name: OwnerDesk}, Hash: cfg.Desk}, true)
	}
	var err error
	if s.clients, err = newRegistry(s.cfg.Clients, cfg.Grants); err != nil {
		return nil, err
	}
	s.pairing = newPairings(s.now)
	s.mux = http.NewServeMux()
	s.routes = map[string]*route{}
	for _, r := range s.table() {
		pattern := r.method + " " + r.path
		if _, twice := s.routes[pattern]; twice {
			return nil, errors.New("api: two routes of one pattern")
		}
		s.routes[pattern] = r
		s.mux.Handle(pattern, http.NotFoundHandler()) // only to match: see ServeHTTP
	}
	return s, nil
}

// publish tells the desk and, unless audience is the desk, the audience.
func (s *Server) publish(e wire.Event, audience string) {
	if s.cfg.Events != nil {
		e.At = s.now()
		s.cfg.Events.Publish(e, audience)
	}
}

// actor is who is responsible for what the desk does.
func (s *Server) actor() string {
	if s.cfg.Operators != nil {
		if name := s.cfg.Operators.Current(); name != "" {
			return name
		}
	}
	return OwnerDesk
}

// audit appends to the trail, all or none.
func (s *Server) audit(ctx context.Context, entries ...audit.Entry) error {
	if s.cfg.Audit == nil {
		return nil
	}
	return s.cfg.Audit(ctx, entries...)
}
