// Package agent wires the services of one reception desk together: the store,
// the outbox, the entitlement lookups, the link to the central service, and the
// check-in that uses them.
package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/agent/truststore"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/bundle"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

// Names of the files in a data directory.
const (
	storeFile    = "visits.db"
	sealFile     = "seal.key" // where the key is, unless key.json says otherwise
	identityFile = "agent.nk"
	nonceFile    = "nonce.json"
)

// Config describes an agent. Dir is required, and Facility and URLs are unless the
// directory is enrolled: then the enrolment says what Facility is, and URLs, TLS and
// BundleKey unless they are given. With Server, none of it counts.
type Config struct {
	Dir      string // data directory, made with mode 0700; one agent at a time uses it
	Facility string
	Operator string
	URLs     []string // of the NATS servers; plain only on loopback
	// Offline says that there is no central service: what is recorded stays in the
	// queue. URLs and enrolment do not count then.
	Offline bool
	// Dial and Path lead to the servers through a proxy and over WebSockets; see
	// [uplink.Config] and [Proxy.DialContext]. Nil and empty: directly.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Path string
	// Server, if not nil, is called once the directory belongs to this agent, to
	// start a server in this process that knows the agent's key; it returns the
	// server's URL, which takes the place of URLs.
	Server func(agent string) (url string, err error)
	TLS    *tls.Config // nil: the system's
	// Trust are the issuers that are known. If it is nil they are those of
	// TrustDir, a directory of package truststore: as they are when a card is read,
	// so that what is imported counts from the next card on. With neither, or
	// before the first import, nobody is trusted.
	Trust    *trust.Pool
	TrustDir string
	// BundleKey is the insurer's public key for its lists, pinned at enrolment: the
	// people who are registered at the facility, and issuers, which are then known
	// beside those of TrustDir. Empty: no lists.
	BundleKey string
	Policy    policy.Policy
	// Keys is where the key of a new directory is to be kept: nil for a key file in
	// Dir, [seal.Keyring] (its Account may be empty) for the system's keyring. An
	// existing directory remembers where its key is; another place is
	// [ErrKeySource].
	Keys      seal.KeySource
	Retention Retention // how long personal data stays
	// Software and Build are the version of the program and what it was made from, for
	// those who watch over many agents, and Presence says whether a card could be read;
	// nil: nobody can tell. It must not block.
	Software, Build string
	Presence        func() contract.ReaderPresence
	Logger          *slog.Logger // nil discards; never gets personal data
}

// Agent is the agent of one desk. Its methods are safe for concurrent use;
// [Agent.Run] is called once. Close it after Run has returned.
type Agent struct {
	cfg     Config
	signer  *identity
	store   *store.Store
	queue   *outbox.Queue
	lookup  *lookup.Service
	uplink  *uplink.Uplink       // nil: Offline
	trust   *truststore.Follower // nil: cfg.Trust
	limits  *limits.Store
	audit   *audit.Log
	bundles *bundle.Keeper // nil: without BundleKey

	mu      sync.Mutex
	changed chan struct{} // closed and replaced after every change of a visit or the link
	health  Health
	merged  merged
}

// Health is what a check of the data directory found.
type Health struct {
	Checked bool  // the check has ended
	Damaged int   // visits that cannot be read, or whose state is lost
	Err     error // of the check itself; [store.ErrCorrupt] when the file is damaged, [store.ErrUncertain] when its last change may be missing
}

// Open opens the data directory and assembles the agent. It makes what is not
// there yet: the directory, the key that seals the data, the agent's identity.
// Errors are those of the store and the key files; [store.ErrLocked] means that
// another agent is running, [ErrKeyMissing] and [ErrExposed] that the directory
// must not be used as it is; those of [truststore.Load] are of the directory of
// trust material.
func Open(cfg Config) (*Agent, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := MakeDir(cfg.Dir); err != nil {
		return nil, err
	}
	a := &Agent{cfg: cfg, changed: make(chan struct{})}
	if err := a.open(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *Agent) open() error {
	if a.cfg.Trust == nil && a.cfg.TrustDir != "" {
		a.trust = truststore.Follow(a.cfg.TrustDir)
	}
	// What cannot be read is said before anything is made.
	if _, err := a.Issuers(context.Background()); err != nil {
		return err
	}
	if err := checkDir(a.cfg.Dir, identityFile); err != nil {
		return err
	}
	var err error
	if a.signer, err = openIdentity(filepath.Join(a.cfg.Dir, identityFile)); err != nil {
		return err
	}
	var sealer *seal.Sealer
	if a.store, sealer, err = openData(a.cfg.Dir, a.cfg.Keys); err != nil {
		return err
	}
	if err := sweep(a.cfg.Dir); err != nil {
		a.cfg.Logger.Warn("leftovers of an earlier run stay", "error", err)
	}
	if a.queue, err = outbox.Open(a.store, sealer, nil); err != nil {
		return err
	}
	a.limits = limits.New(a.store, sealer)
	a.audit = audit.New(a.store, sealer, nil)
	var asker lookup.Asker = nobody{}
	if a.cfg.Offline {
		a.cfg.BundleKey = ""
		if _, err := contract.VisitSubject(a.cfg.Facility, a.signer.public); err != nil {
			return err // what is recorded could never be sent
		}
	} else {
		if err := a.connect(); err != nil {
			return err
		}
		asker = a.uplink
	}
	questions := lookup.Config{Store: a.store, Sealer: sealer, Asker: asker, Keep: a.cfg.Retention.withDefaults().Answers}
	if a.cfg.BundleKey != "" {
		a.bundles, err = bundle.Open(bundle.Config{
			Store: a.store, Sealer: sealer, Fetcher: a.uplink, Facility: a.cfg.Facility, Key: a.cfg.BundleKey,
		})
		if err != nil {
			return err
		}
		questions.Population = lookup.PopulationFunc(a.registered)
	}
	a.lookup, err = lookup.Open(questions)
	return err
}

// connect assembles the link to the central service.
func (a *Agent) connect() error {
	credentials, err := a.link()
	if err != nil {
		return err
	}
	a.uplink, err = uplink.New(uplink.Config{
		URLs: a.cfg.URLs, TLS: a.cfg.TLS, Credentials: credentials, Dial: a.cfg.Dial, Path: a.cfg.Path,
		Facility: a.cfg.Facility, Signer: a.signer, Queue: a.queue,
		Nonces:    nonces{uplink.NonceFile(filepath.Join(a.cfg.Dir, nonceFile)), a.cfg.Logger},
		OnState:   a.signal,
		OnVerdict: func([]outbox.Item) { a.signal() },
		Status:    a.heartbeat,
		Logger:    a.cfg.Logger,
	})
	return err
}

// heartbeat is what the agent tells of itself every few minutes; the uplink adds what
// it knows. It holds nothing of any person.
func (a *Agent) heartbeat() contract.Status {
	s := contract.Status{Software: a.cfg.Software, Build: a.cfg.Build, Clock: a.lookup.Clock()}
	if a.cfg.Presence != nil {
		s.Reader = a.cfg.Presence()
	}
	if a.bundles == nil {
		return s
	}
	for kind, at := range map[contract.BundleKind]*time.Time{contract.BundleTrust: &s.Trust, contract.BundlePopulation: &s.Population} {
		if b, err := a.bundles.State(kind); err == nil && b.Installed() {
			*at = b.IssuedAt
		}
	}
	return s
}

// nobody is asked when there is no central service.
type nobody struct{}

// Ask implements [lookup.Asker].
func (nobody) Ask(context.Context, contract.LookupRequest) (contract.LookupResponse, error) {
	return contract.LookupResponse{}, uplink.ErrOffline
}

// nonces is a nonce file that may be lost: one that cannot be read is none, and
// no reason not to work.
type nonces struct {
	uplink.NonceFile
	log *slog.Logger
}

// LoadNonce implements [uplink.NonceStore]. It returns no error.
func (n nonces) LoadNonce(ctx context.Context) (contract.Nonce, bool, error) {
	nonce, ok, err := n.NonceFile.LoadNonce(ctx)
	if err != nil {
		n.log.Warn("the last nonce cannot be read", "error", err)
		return contract.Nonce{}, false, nil
	}
	return nonce, ok, nil
}

// Run keeps the link to the central service until ctx ends, and returns nil
// then. Everything that was recorded before or meanwhile is sent. Meanwhile it
// checks the data once: see [Agent.Health].
func (a *Agent) Run(ctx context.Context) error {
	checking, stop := context.WithCancel(ctx)
	var check sync.WaitGroup
	check.Go(func() { a.check(checking) })
	check.Go(func() { a.keepBundles(checking) })
	check.Go(func() { a.keepRetention(checking) })
	var err error
	if a.uplink != nil {
		err = a.uplink.Run(ctx)
	} else {
		<-ctx.Done()
	}
	stop()
	check.Wait()
	return err
}

// check looks at all that is stored. What it finds needs a person; the agent
// goes on with what is sound.
func (a *Agent) check(ctx context.Context) {
	h := Health{Checked: true}
	if h.Err = a.store.Check(ctx); h.Err == nil {
		h.Damaged, h.Err = a.queue.Damaged(ctx)
	}
	if h.Err == nil && a.store.RolledBack() {
		h.Err = fmt.Errorf("%w: the last change before the start may be missing", store.ErrUncertain)
	}
	if ctx.Err() != nil {
		return // not to the end
	}
	if h.Err != nil || h.Damaged > 0 {
		a.cfg.Logger.Error("stored visits are damaged", "damaged", h.Damaged, "error", h.Err)
	}
	a.mu.Lock()
	a.health = h
	a.mu.Unlock()
	a.signal()
}

// Health returns what the check of the data found, which [Agent.Run] makes in
// the background.
func (a *Agent) Health() Health {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.health
}

// Close closes the data directory. Visits that were not sent stay in it.
func (a *Agent) Close() error {
	if a.lookup != nil {
		a.lookup.Close()
	}
	if a.store != nil {
		return a.store.Close()
	}
	return nil
}

// Key returns the agent's public key, by which the central service knows it.
func (a *Agent) Key() string { return a.signer.public }

// Queue returns the outbox.
func (a *Agent) Queue() *outbox.Queue { return a.queue }

// Link returns the state of the link. Without a central service it is that of a
// link that was never there.
func (a *Agent) Link(ctx context.Context) uplink.State {
	if a.uplink != nil {
		return a.uplink.State(ctx)
	}
	var s uplink.State
	if st, err := a.queue.Stats(ctx); err == nil {
		s.Queued, s.Stored = st.Queued, st.Stored
	} else if ctx.Err() == nil {
		s.Last = uplink.StoreTrouble
	}
	return s
}

// Nonce returns the latest nonce of the central service, if there ever was one.
func (a *Agent) Nonce() (contract.Nonce, bool) {
	if a.uplink == nil {
		return contract.Nonce{}, false
	}
	return a.uplink.Nonce()
}

// Facility returns whom the agent works for: what the enrolment says, else what was
// configured.
func (a *Agent) Facility() string { return a.cfg.Facility }

// Audit appends to the audit trail. Its errors are those of [audit.Log.Append].
func (a *Agent) Audit(ctx context.Context, entries ...audit.Entry) error {
	return a.audit.Append(ctx, entries...)
}

// Trail returns the audit trail, to be read and verified.
func (a *Agent) Trail() *audit.Log { return a.audit }

// Changed returns a channel that is closed after the next change of a visit or of
// the link. The step from queued to stored is not told of.
func (a *Agent) Changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

// Issuers returns the issuers that are known now. The errors are those of
// [truststore.Load], but for [truststore.ErrNone], which is an empty pool.
func (a *Agent) Issuers(ctx context.Context) (*trust.Pool, error) {
	if a.cfg.Trust != nil || a.trust == nil && a.bundles == nil {
		return a.cfg.Trust, nil
	}
	var s *truststore.Store
	if a.trust != nil {
		var err error
		if s, err = a.trust.Store(ctx); err != nil && !errors.Is(err, truststore.ErrNone) {
			return nil, err
		}
	}
	switch {
	case a.bundles != nil:
		return a.withBundle(ctx, s)
	case s == nil:
		return trust.NewPool(), nil
	}
	return s.Pool, nil
}

// Limits returns what was learned of readers and cards.
func (a *Agent) Limits() *limits.Store { return a.limits }

// Desk returns a desk that checks the next person in with this agent. Issuers
// that cannot be read give the error of [Agent.Issuers]: without them every card
// would pass for one of an unknown issuer.
func (a *Agent) Desk(ctx context.Context) (*checkin.Desk, error) {
	issuers, err := a.Issuers(ctx)
	if err != nil {
		return nil, err
	}
	return &checkin.Desk{
		Facility: a.cfg.Facility, Operator: a.cfg.Operator, Signer: a.signer,
		Trust: issuers, Policy: a.cfg.Policy, Limits: a.limits,
		Trouble: func(err error) {
			a.cfg.Logger.Warn("what readers and cards bear is not remembered", "error", err)
		},
		Lookup: a.lookup, Recorder: a.queue, Clock: a.lookup.Clock, Nonce: a.Nonce,
	}, nil
}

func (a *Agent) signal() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.changed)
	a.changed = make(chan struct{})
}

// lookAgain is how often Wait looks although nobody told it to: the step from
// queued to stored is not announced.
const lookAgain = 20 * time.Millisecond

// Wait calls done until it returns true, after every change of the link or of
// a visit. It returns the error of done, or ctx's.
func (a *Agent) Wait(ctx context.Context, done func() (bool, error)) error {
	t := time.NewTicker(lookAgain)
	defer t.Stop()
	for {
		changed := a.Changed()
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-t.C:
		}
	}
}

// Settled waits until the central service has spoken about a visit, and returns
// how it stands; when ctx ends first, how it stands then, and ctx's error.
func (a *Agent) Settled(ctx context.Context, id string) (outbox.Item, error) {
	var item outbox.Item
	err := a.Wait(ctx, func() (bool, error) {
		var err error
		_, item, err = a.queue.Get(context.WithoutCancel(ctx), id)
		if err != nil {
			return false, fmt.Errorf("visit in the queue: %w", err)
		}
		return item.State == outbox.Accepted || item.State == outbox.Rejected, nil
	})
	return item, err
}

// Identity returns the public key of the agent that works in a data directory,
// and makes directory and key when there are none: a central service has to
// know the key before the agent can connect.
func Identity(dir string) (string, error) {
	if err := MakeDir(dir); err != nil {
		return "", err
	}
	if err := checkDir(dir, identityFile); err != nil {
		return "", err
	}
	i, err := openIdentity(filepath.Join(dir, identityFile))
	if err != nil {
		return "", err
	}
	return i.public, nil
}

// Used reports whether an agent has worked in a data directory before.
func Used(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, storeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// OpenQueue opens only the outbox of a data directory that an agent has used
// before, to look at it. [store.ErrLocked] means that an agent is running.
func OpenQueue(dir string) (*outbox.Queue, *store.Store, error) {
	st, sealer, err := openUsed(dir)
	if err != nil {
		return nil, nil, err
	}
	q, err := outbox.Open(st, sealer, nil)
	if err != nil {
		return nil, nil, errors.Join(err, st.Close())
	}
	return q, st, nil
}

// OpenTrail opens the outbox of a data directory like [OpenQueue], and beside it the
// trail in which is written what is done with it.
func OpenTrail(dir string) (*outbox.Queue, *audit.Log, *store.Store, error) {
	st, sealer, err := openUsed(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	q, err := outbox.Open(st, sealer, nil)
	if err != nil {
		return nil, nil, nil, errors.Join(err, st.Close())
	}
	return q, audit.New(st, sealer, nil), st, nil
}

// OpenLimits opens only what an agent has learned of readers and cards in a data
// directory, as [OpenQueue] opens the outbox. The caller closes the store.
func OpenLimits(dir string) (*limits.Store, *store.Store, error) {
	st, sealer, err := openUsed(dir)
	if err != nil {
		return nil, nil, err
	}
	return limits.New(st, sealer), st, nil
}

// openUsed opens the store of a data directory that has one, and what seals it.
func openUsed(dir string) (*store.Store, *seal.Sealer, error) {
	if _, err := os.Stat(filepath.Join(dir, storeFile)); err != nil {
		return nil, nil, err
	}
	if err := checkDir(dir); err != nil {
		return nil, nil, err
	}
	return openData(dir, nil)
}
