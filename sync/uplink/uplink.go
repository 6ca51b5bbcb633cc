package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/internal/natsconn"
	"github.com/chamthe/chamthe/sync/outbox"
)

var (
	// ErrConfig reports a configuration without what is required.
	ErrConfig = errors.New("uplink: incomplete configuration")
	// ErrPlaintext reports an address that is not loopback and would be spoken
	// to without TLS, or with a TLS configuration that verifies nobody.
	ErrPlaintext = natsconn.ErrPlaintext
	// ErrAddress reports an address that is not nats://, tls://, ws:// or
	// wss://host:port, or WebSockets among others.
	ErrAddress = natsconn.ErrAddress
	// ErrOffline reports that there is no connection just now.
	ErrOffline = errors.New("uplink: offline")
	// ErrNoAnswer reports that the central service did not answer in time.
	ErrNoAnswer = errors.New("uplink: no answer")
	// ErrRefused reports that the central service refused a request: the agent
	// is not enrolled, say.
	ErrRefused = errors.New("uplink: refused")
	// ErrMalformed reports an answer that is not the contract, or not to what was
	// asked.
	ErrMalformed = errors.New("uplink: malformed message")
)

// Credentials prove to the NATS server who the agent is.
type Credentials = natsconn.Credentials

// NKeyCredentials returns credentials that answer the server's challenge with
// an agent's key.
func NKeyCredentials(s contract.Signer) (Credentials, error) {
	name, err := s.PublicKey()
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{NKey: name, Sign: s.Sign}, nil
}

// NonceStore keeps the latest nonce over a restart, so that a station which
// starts without a link still has the last one. Load reports false when there
// is none. See [NonceFile].
type NonceStore interface {
	LoadNonce(ctx context.Context) (contract.Nonce, bool, error)
	SaveNonce(ctx context.Context, n contract.Nonce) error
}

// Config describes an uplink. URLs, Facility, Signer and Queue are required;
// the zero value of everything else is the default.
type Config struct {
	// URLs of the NATS servers, nats:// or tls://, or all of them ws:// or wss://. An
	// address that is not loopback needs TLS.
	URLs        []string
	TLS         *tls.Config
	Credentials Credentials // the zero value connects as nobody
	// Dial opens connections, to a host by its name; nil: directly. Path is that of
	// the WebSocket at every server; empty: that of the URL. See package natsconn.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Path string

	Facility string
	Signer   contract.Signer // the agent's key; signs lookups
	Queue    *outbox.Queue
	Nonces   NonceStore // nil keeps the nonce in memory only

	// Window and WindowBytes bound what is published and not acknowledged: 256
	// messages, which keeps a server with sync_interval: always busy, and 1 MiB,
	// which keeps a lookup on a slow link from waiting behind a minute of visits.
	Window      int
	WindowBytes int

	NonceEvery   time.Duration // how often to ask for a fresh nonce; 5 minutes
	AskTimeout   time.Duration // longest wait for an answer; 3 seconds
	AckTimeout   time.Duration // longest wait for a PubAck; 30 seconds
	OverdueAfter time.Duration // when a stored visit without a verdict is sent again; 15 minutes
	RetryMin     time.Duration // ceiling of the first wait after a failure; 2 seconds
	RetryMax     time.Duration // ceiling of later ones; 1 minute

	// Status, if not nil, says how the agent is, for whoever watches hundreds of
	// them: version, build, clock, reader, bundles. The uplink adds who and when, the
	// queue, the nonce and what was malformed, and tells it while there is a link,
	// every StatusEvery (5 minutes), give or take a quarter. Status is called from
	// the uplink's goroutines and must not block.
	Status      func() contract.Status
	StatusEvery time.Duration

	// Now is this machine's clock, by which messages are dated and the age of stored
	// visits is told; nil is time.Now. Waits do not depend on it: the clock may jump.
	Now func() time.Time

	// OnState is called after every change of [State] but the counters, and
	// OnVerdict with the entries that verdicts have moved. Both are called from
	// the uplink's goroutines and must not block. They may be nil.
	OnState   func()
	OnVerdict func([]outbox.Item)

	// Logger never receives a payload or anything about a person; nil discards.
	Logger *slog.Logger
}

// Uplink is an agent's link to the central service. Its methods are safe for
// concurrent use; [Uplink.Run] is called once.
type Uplink struct {
	cfg     Config
	agent   string
	subject string // of this agent's visits
	log     *slog.Logger
	board   board

	conn    atomic.Pointer[nats.Conn] // nil while offline
	central atomic.Pointer[time.Time] // when the central service last answered; with a monotonic reading
	late    *late

	spread spread
	outage time.Time // since when there was no link; zero after the return
	turn   time.Time // when this agent may send what has gathered; zero when it is not drawn

	mu    sync.Mutex
	nonce *contract.Nonce
}

// New assembles an uplink. It reports a configuration that cannot work, above
// all an address that would be spoken to in the clear.
func New(cfg Config) (*Uplink, error) {
	if cfg.Signer == nil || cfg.Queue == nil {
		return nil, ErrConfig
	}
	agent, err := cfg.Signer.PublicKey()
	if err != nil {
		return nil, err
	}
	subject, err := contract.VisitSubject(cfg.Facility, agent)
	if err != nil {
		return nil, err
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&cfg.NonceEvery, 5 * time.Minute},
		{&cfg.AskTimeout, 3 * time.Second},
		{&cfg.AckTimeout, 30 * time.Second},
		{&cfg.OverdueAfter, 15 * time.Minute},
		{&cfg.RetryMin, 2 * time.Second},
		{&cfg.RetryMax, time.Minute},
		{&cfg.StatusEvery, 5 * time.Minute},
	} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Window <= 0 {
		cfg.Window = 256
	}
	if cfg.WindowBytes <= 0 {
		cfg.WindowBytes = 1 << 20
	}
	u := &Uplink{cfg: cfg, agent: agent, subject: subject, log: cfg.Logger, late: newLate(cfg.Now)}
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	u.board.onChange = cfg.OnState
	o := u.dialOptions()
	if err := o.Check(); err != nil {
		return nil, err
	}
	return u, nil
}

// State returns what the desk shows about the link. Its counters come from the
// queue; they are 0 when it cannot be read.
func (u *Uplink) State(ctx context.Context) State {
	s := u.board.snapshot()
	if st, err := u.cfg.Queue.Stats(ctx); err == nil {
		s.Queued, s.Stored = st.Queued, st.Stored
	} else if ctx.Err() == nil {
		s.Last = StoreTrouble
	}
	return s
}

// Nonce returns the latest nonce, whose IssuedAt tells its age. It reports
// false when the agent never had one.
func (u *Uplink) Nonce() (contract.Nonce, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.nonce == nil {
		return contract.Nonce{}, false
	}
	return *u.nonce, true
}

func (u *Uplink) dialOptions() natsconn.Options {
	return natsconn.Options{
		URLs: u.cfg.URLs, TLS: u.cfg.TLS, Credentials: u.cfg.Credentials, Dial: u.cfg.Dial, Path: u.cfg.Path,
		Name: "chamthe " + u.agent, InboxPrefix: inboxPrefix(u.agent),
		Trouble: func(err error) {
			u.log.Warn("nats", "class", classify(err))
			if errors.Is(err, nats.ErrPermissionViolation) {
				u.board.report(loopPermission, Unauthorized)
			}
		},
	}
}

// longSession is how long a connection must have lasted before the waits start
// small again: a server that accepts and closes must not be hammered.
const longSession = 30 * time.Second

// Run keeps the link until ctx ends, and returns nil then. It returns an error
// only when the stored nonce cannot be read, before it does anything.
func (u *Uplink) Run(ctx context.Context) error {
	if u.cfg.Nonces != nil {
		n, ok, err := u.cfg.Nonces.LoadNonce(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if ok {
			u.mu.Lock()
			u.nonce = &n
			u.mu.Unlock()
		}
	}
	u.board.setOnline(false)
	backoff := natsconn.Backoff{Min: u.cfg.RetryMin, Max: u.cfg.RetryMax}
	for {
		began := time.Now()
		err := u.session(ctx)
		lost := u.board.setOnline(false)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) >= longSession {
			backoff.Reset()
		}
		class := classify(err)
		u.board.report(loopConnect, class)
		wait := backoff.Next()
		if lost {
			wait = u.spread.reconnect(u.cfg.RetryMax)
		}
		if u.outage.IsZero() {
			u.outage = time.Now()
		}
		// The text of the error holds addresses and the server's words, nothing
		// of any person.
		u.log.Warn("offline", "class", class, "error", err, "wait", wait)
		if !natsconn.Sleep(ctx, wait) {
			return nil
		}
	}
}

// session works on one connection until it is lost or ctx ends.
func (u *Uplink) session(ctx context.Context) error {
	nc, err := natsconn.Dial(ctx, u.dialOptions())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(u.cfg.AckTimeout), jetstream.WithPublishAsyncMaxPending(2*u.cfg.Window))
	if err != nil {
		return err
	}
	defer js.CleanupPublisher()
	u.conn.Store(nc)
	defer u.conn.Store(nil)
	u.board.report(loopConnect, NoTrouble)
	u.board.report(loopPermission, NoTrouble)
	u.board.setOnline(true)
	u.log.Info("online")

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return closed(ctx, nc) })
	g.Go(func() error { return u.publish(ctx, nc, js) })
	g.Go(func() error { return u.receive(ctx, js) })
	g.Go(func() error { return u.refresh(ctx, nc) })
	g.Go(func() error { return u.tell(ctx, nc) })
	g.Go(func() error { return u.chase(ctx, js) })
	return g.Wait()
}

// closed waits until the connection is lost. Its error ends the session: the
// other loops only pause when something fails.
func closed(ctx context.Context, nc *nats.Conn) error {
	ch := nc.StatusChanged(nats.CLOSED)
	defer nc.RemoveStatusListener(ch)
	if nc.IsClosed() {
		return nats.ErrConnectionClosed
	}
	select {
	case <-ctx.Done():
		return nil
	case <-ch:
		return nats.ErrConnectionClosed
	}
}

// pause waits after a failure of one loop and reports whether to go on.
func (u *Uplink) pause(ctx context.Context, loop string, err error, backoff *natsconn.Backoff) bool {
	if ctx.Err() != nil {
		return false
	}
	class := classify(err)
	wait := backoff.Next()
	if u.board.report(loop, class) {
		u.log.Warn("link trouble", "loop", loop, "class", class, "error", err, "wait", wait)
	}
	return natsconn.Sleep(ctx, wait)
}

func (u *Uplink) backoff() *natsconn.Backoff {
	return &natsconn.Backoff{Min: u.cfg.RetryMin, Max: u.cfg.RetryMax}
}

// answered notes that the central service is alive.
func (u *Uplink) answered() {
	now := time.Now()
	u.central.Store(&now)
	if _, ok := u.late.due(); ok {
		u.late.signal()
	}
}

// alive reports whether the central service answered lately.
func (u *Uplink) alive() bool {
	at := u.central.Load()
	return at != nil && time.Since(*at) <= aliveWithin*u.cfg.NonceEvery
}

// storeError marks a failure of the local queue.
type storeError struct{ err error }

func (e *storeError) Error() string { return "queue: " + e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }
