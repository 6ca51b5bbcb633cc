package central

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/bundle"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/internal/natsconn"
)

// Errors of [New]. The latter two say what is wrong with an address.
var (
	ErrConfig    = errors.New("central: incomplete configuration")
	ErrPlaintext = natsconn.ErrPlaintext
	ErrAddress   = natsconn.ErrAddress
)

const (
	reconnectMin = 100 * time.Millisecond
	reconnectMax = 10 * time.Second
)

// MinKeepVisits is the least that [Config.KeepVisits] may be: a visit that waits
// because nobody judges it, for a month even, is not thrown away.
const MinKeepVisits = 90 * 24 * time.Hour

// Credentials prove to the NATS server who the service is. The zero value is
// nobody, which only a server without users accepts.
type Credentials = natsconn.Credentials

// Config describes a central service. URLs and Anchors are required.
type Config struct {
	// URLs of the NATS servers. An address that is not loopback needs TLS.
	URLs        []string
	TLS         *tls.Config
	Credentials Credentials
	// Anchors are the country signing CAs. The pool must not change any more.
	Anchors *trust.Pool
	// Seed is written before the service answers; nil leaves what is there.
	Seed *Seed
	// BundleKey signs the population and trust bundles, which agents have pinned;
	// nil publishes none. TrustPieces are the certificates and revocation lists
	// (DER) of the trust bundle. BundleRolls are the statements by which agents that
	// have pinned an older key come to believe this one, the oldest first (package
	// bundle); every process needs the same key and statements.
	BundleKey   contract.Signer
	BundleRolls []string
	TrustPieces [][]byte
	// PeopleKey (32 random bytes) is what people are filed under in the store, where
	// their numbers must not show. It must stay the same; another is [ErrPeopleKey],
	// and nothing is served. nil has the first process make one, which is kept in the
	// store: as good against who sees the names of things there, and worthless
	// against who sees their contents.
	PeopleKey []byte
	// Workers verify visits side by side; 0 is one.
	Workers int
	// Replicas of every stream: 0 and 1 for one server, 3 for a cluster.
	Replicas int
	// MaxBytes limits the stream of visits; 0 does not.
	MaxBytes int64
	// KeepVisits is how long the stream keeps a visit, [MinKeepVisits] at least; 0 is
	// for ever. What became of a visit is kept for ever: without it a visit that is
	// sent again would be counted again.
	KeepVisits time.Duration
	// Logger never receives anything about a person; nil discards.
	Logger *slog.Logger
	// Ready is called each time the service begins to answer; it must not
	// block. It may be nil.
	Ready func()
}

// Central is a central service. Its methods are safe for concurrent use.
type Central struct {
	cfg    Config
	log    *slog.Logger
	now    func() time.Time
	counts counts
	limits limits
}

// New assembles a central service; [Central.Run] runs it.
func New(cfg Config) (*Central, error) {
	if cfg.Anchors == nil || cfg.Anchors.Len() == 0 {
		return nil, ErrNoAnchors
	}
	if cfg.Workers < 0 || cfg.Replicas < 0 || cfg.MaxBytes < 0 || cfg.KeepVisits != 0 && cfg.KeepVisits < MinKeepVisits ||
		cfg.PeopleKey != nil && len(cfg.PeopleKey) != PeopleKeySize || len(cfg.BundleRolls) > bundle.MaxRolls {
		return nil, ErrConfig
	}
	for _, s := range cfg.BundleRolls {
		if _, err := bundle.OpenRoll(s); err != nil {
			return nil, ErrConfig
		}
	}
	if cfg.Seed != nil {
		if err := cfg.Seed.check(); err != nil {
			return nil, err
		}
	}
	c := &Central{cfg: cfg, log: cfg.Logger, now: time.Now, limits: newLimits()}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	o := c.dialOptions()
	if err := o.Check(); err != nil {
		return nil, err
	}
	return c, nil
}

// Counts returns what this process has done since it started.
func (c *Central) Counts() Counts { return c.counts.snapshot() }

func (c *Central) dialOptions() natsconn.Options {
	return natsconn.Options{
		URLs: c.cfg.URLs, TLS: c.cfg.TLS, Credentials: c.cfg.Credentials, Name: serviceName,
		Trouble: func(err error) { c.log.Warn("nats", "error", err) },
	}
}

// Run serves until ctx ends, and then returns nil after the work in hand is
// done. A server that is not there is waited for, one that goes away is looked
// for again, and a stream or bucket that is lost is made and seeded again; none
// of it is an error.
func (c *Central) Run(ctx context.Context) error {
	backoff := natsconn.Backoff{Min: reconnectMin, Max: reconnectMax}
	for {
		err := c.session(ctx, backoff.Reset)
		if ctx.Err() != nil {
			return nil
		}
		wait := backoff.Next()
		c.log.Warn("not serving", "error", err, "wait", wait)
		if !natsconn.Sleep(ctx, wait) {
			return nil
		}
	}
}

// session serves on one connection until it is lost, a part of the store is, or
// ctx ends.
func (c *Central) session(ctx context.Context, serving func()) error {
	nc, err := natsconn.Dial(ctx, c.dialOptions())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	st, err := openStore(ctx, js, storeOptions{replicas: max(c.cfg.Replicas, 1), maxBytes: c.cfg.MaxBytes, maxAge: c.cfg.KeepVisits, log: c.log})
	if err != nil {
		return err
	}
	if err := st.openPeople(ctx, c.cfg.PeopleKey); err != nil {
		return err
	}
	if c.cfg.Seed != nil {
		if err := st.seed(ctx, c.cfg.Seed); err != nil {
			return err
		}
	}
	if err := st.enrol(ctx); err != nil {
		return err
	}

	svc := &service{store: st, counts: &c.counts, log: c.log, now: c.now, limits: c.limits, rolls: c.cfg.BundleRolls}
	stop, err := svc.serve(nc)
	if err != nil {
		return err
	}
	defer stop()
	watch := &statuses{store: st, counts: &c.counts, log: c.log, now: c.now, limit: c.limits.statuses}
	stopWatch, err := watch.listen(nc)
	if err != nil {
		return err
	}
	defer stopWatch()
	if err := nc.FlushTimeout(callTimeout); err != nil { // the subscriptions are made
		return err
	}
	serving()
	c.log.Info("serving", "workers", max(c.cfg.Workers, 1), "anchors", c.cfg.Anchors.Len())
	if c.cfg.Ready != nil {
		c.cfg.Ready()
	}

	in := &intake{store: st, verifier: &Verifier{Anchors: c.cfg.Anchors}, counts: &c.counts, log: c.log, now: c.now, bad: c.limits.bad}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return in.run(gctx, max(c.cfg.Workers, 1)) })
	g.Go(func() error { return closed(gctx, nc) })
	g.Go(func() error { return st.watch(gctx) })
	g.Go(func() error { return c.keepBundles(gctx, st) })
	return g.Wait()
}

// closed waits until the connection is lost.
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
