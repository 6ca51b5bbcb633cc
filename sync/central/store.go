package central

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/chamthe/chamthe/sync/contract"
)

// Names in JetStream.
const (
	intakeConsumer = "central-intake"

	bucketVisits = "ins-visits"
	bucketNonces = "ins-nonces"
	bucketAgents = "ins-agents"
	bucketPeople = "ins-people"
)

const (
	// duplicateWindow is how long the stream itself recognises a visit that is
	// published twice: what a reconnect repeats. It saves work and is no
	// guarantee; that is ins-visits. It is short, because within it a visit that
	// somebody at a desk sends again on purpose would be dropped unread.
	duplicateWindow = 2 * time.Minute
	// verdictsKept is how long an agent may be switched off and still find its
	// verdicts without asking.
	verdictsKept = 90 * 24 * time.Hour
	// noncesKept is how long a station may be offline: a visit with an older
	// nonce is attested at most. A month is promised; three are kept.
	noncesKept = 90 * 24 * time.Hour
	// headerRoom is what the headers of a visit may take besides its payload.
	headerRoom = 4 << 10

	callTimeout = 5 * time.Second // one call of the JetStream API
	lookEvery   = 15 * time.Second

	// verdictAck is short because a connection that was just lost may have taken
	// a verdict with it; a second delivery costs nothing.
	verdictAck = 10 * time.Second
	// maxAgents is how many agents may have verdicts waiting: more than there are
	// facilities in any country, and no limit that anybody should meet.
	maxAgents = 1 << 20
	// verdictsAtOnce is how many verdicts an agent may hold unacknowledged.
	verdictsAtOnce = 512
)

// store is the service's state in JetStream. It is safe for concurrent use.
type store struct {
	js       jetstream.JetStream
	intake   jetstream.Consumer
	verdicts jetstream.Stream
	visits   jetstream.KeyValue
	nonces   jetstream.KeyValue
	agents   jetstream.KeyValue
	people   jetstream.KeyValue
	bundles  jetstream.KeyValue
	attempts jetstream.KeyValue
	keys     jetstream.KeyValue
	statuses jetstream.KeyValue
	log      *slog.Logger

	peopleKey []byte // set by openPeople

	made  map[string]time.Time // when each stream was made, as openStore found it
	doubt chan struct{}        // a call has failed: look whether everything is there
}

// open makes the streams, buckets and the consumer, or takes those that exist.
func openStore(ctx context.Context, js jetstream.JetStream, o storeOptions) (*store, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        contract.VisitStream,
		Description: "signed visits as they arrived",
		Subjects:    []string{contract.VisitSubjects},
		Storage:     jetstream.FileStorage,
		Replicas:    o.replicas,
		Duplicates:  duplicateWindow,
		MaxBytes:    o.maxBytes,
		MaxAge:      o.maxAge,
		MaxMsgSize:  contract.MaxVisit + headerRoom,
		// A full stream refuses; the agents keep what it refused. The other
		// policy would throw away the oldest visits.
		Discard:    jetstream.DiscardNew,
		DenyDelete: true,
		DenyPurge:  true,
	}); err != nil {
		return nil, fmt.Errorf("stream of visits: %w", err)
	}
	verdicts, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        contract.VerdictStream,
		Description: "verdicts, a subject for each agent",
		Subjects:    []string{contract.VerdictSubjects},
		Storage:     jetstream.FileStorage,
		Replicas:    o.replicas,
		MaxAge:      verdictsKept,
		Duplicates:  duplicateWindow,
		DenyDelete:  true,
		DenyPurge:   true,
		// One for each agent; a server's own limit is a thousand.
		MaxConsumers: maxAgents,
	})
	if err != nil {
		return nil, fmt.Errorf("stream of verdicts: %w", err)
	}
	s := &store{js: js, verdicts: verdicts, log: o.log, doubt: make(chan struct{}, 1)}
	for _, b := range []struct {
		kv   *jetstream.KeyValue
		name string
		ttl  time.Duration
	}{
		{&s.visits, bucketVisits, 0},
		{&s.nonces, bucketNonces, noncesKept},
		{&s.agents, bucketAgents, 0},
		{&s.people, bucketPeople, 0},
		{&s.bundles, bucketBundles, 0},
		{&s.attempts, bucketAttempts, attemptsKept},
		{&s.keys, bucketKeys, 0},
		{&s.statuses, bucketStatuses, 0},
	} {
		kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: b.name, Storage: jetstream.FileStorage, Replicas: o.replicas, TTL: b.ttl, History: 1,
		})
		if err != nil {
			return nil, fmt.Errorf("bucket %s: %w", b.name, err)
		}
		*b.kv = kv
	}
	c, err := js.CreateOrUpdateConsumer(ctx, contract.VisitStream, jetstream.ConsumerConfig{
		Durable:       intakeConsumer,
		Description:   "verifies visits; shared by every worker",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxAckPending: 4096,
		// No MaxDeliver: the server would then drop a visit silently. Intake
		// counts deliveries and sets a poisonous one aside itself.
	})
	if err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	s.intake = c
	if s.made, err = s.streams(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// streams returns when each stream of the store was made. An error says that
// one of them, or the consumer, is not there or cannot be asked.
func (s *store) streams(ctx context.Context) (map[string]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	made := make(map[string]time.Time)
	for _, name := range []string{
		contract.VisitStream, contract.VerdictStream,
		bucketStream + bucketVisits, bucketStream + bucketNonces, bucketStream + bucketAgents, bucketStream + bucketPeople, bucketStream + bucketBundles,
		bucketStream + bucketAttempts, bucketStream + bucketKeys, bucketStream + bucketStatuses,
	} {
		st, err := s.js.Stream(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", name, err)
		}
		made[name] = st.CachedInfo().Created
	}
	if _, err := s.js.Consumer(ctx, contract.VisitStream, intakeConsumer); err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	return made, nil
}

// bucketStream begins the name of the stream that holds a bucket.
const bucketStream = "KV_"

// suspect has watch look at once.
func (s *store) suspect() {
	select {
	case s.doubt <- struct{}{}:
	default:
	}
}

// watch looks from time to time, and when a call has failed, whether the store
// is the one that was opened. It returns an error when a part of it is gone or
// was made anew by others: the seed is not in it then.
func (s *store) watch(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.doubt:
		case <-tick.C:
		}
		made, err := s.streams(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if !maps.EqualFunc(made, s.made, time.Time.Equal) {
			return errBegunAnew
		}
	}
}

var errBegunAnew = errors.New("central: a part of the store was made anew")

type storeOptions struct {
	replicas int
	maxBytes int64
	maxAge   time.Duration // of visits
	log      *slog.Logger
}

// record is what became of a visit: the value in ins-visits.
type record struct {
	Digest   string          `json:"digest"` // of the signed bytes
	Facility string          `json:"facility"`
	Agent    string          `json:"agent"`
	Sequence uint64          `json:"sequence"` // in VISITS
	Arrived  time.Time       `json:"arrived"`
	Verdict  json.RawMessage `json:"verdict"`
	Doubt    contract.Reason `json:"doubt,omitempty"` // see [Finding]

	revision uint64
}

func digest(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}

// errExists reports that another worker, or an earlier delivery, was first.
var errExists = errors.New("central: record exists")

// find returns the record of a visit, or nil.
func (s *store) find(ctx context.Context, id string) (*record, error) {
	var r record
	rev, err := get(ctx, s.visits, id, &r)
	if err != nil || rev == 0 {
		return nil, err
	}
	r.revision = rev
	return &r, nil
}

// put writes the record of a visit: the first one, or, with r.revision, in
// place of the one that was read. It returns errExists when somebody else was
// faster.
func (s *store) put(ctx context.Context, id string, r *record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	// Revision 0 says that there is none yet.
	_, err = s.visits.Update(ctx, id, b, r.revision)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return errExists
	}
	return err
}

// facilityOf returns the facility that an agent speaks for; "" for an agent
// that nobody enrolled.
func (s *store) facilityOf(ctx context.Context, agent string) (string, error) {
	var a Agent
	if _, err := get(ctx, s.agents, agent, &a); err != nil {
		return "", err
	}
	return a.Facility, nil
}

// nonce returns this service's own copy of a nonce; nil when it has none.
func (s *store) nonce(ctx context.Context, id string) (*contract.Nonce, error) {
	var n contract.Nonce
	rev, err := get(ctx, s.nonces, id, &n)
	if err != nil || rev == 0 {
		return nil, err
	}
	return &n, nil
}

func (s *store) putNonce(ctx context.Context, n *contract.Nonce) error {
	b, err := contract.EncodeNonce(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = s.nonces.Create(ctx, n.ID, b)
	return err
}

// person returns whom a key stands for; nil for nobody.
func (s *store) person(ctx context.Context, key string) (*Person, error) {
	var p Person
	rev, err := get(ctx, s.people, key, &p)
	if err != nil || rev == 0 {
		return nil, err
	}
	return &p, nil
}

// writesAtOnce is how many entries are written side by side at the start: each
// waits for the disk, and there may be a hundred thousand.
const writesAtOnce = 32

// seed writes the entries that are new or differ, unless somebody else has changed
// one meanwhile. Where two entries have the same key, the last one counts.
func (s *store) seed(ctx context.Context, seed *Seed) error {
	agents, people := make(map[string][]byte), make(map[string][]byte)
	for _, a := range seed.Agents {
		b, err := json.Marshal(a)
		if err != nil {
			return err
		}
		agents[a.Key] = b
	}
	for _, p := range seed.People {
		b, err := json.Marshal(p)
		if err != nil {
			return err
		}
		for _, key := range s.personKeys(&p) {
			people[key] = b
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writesAtOnce)
	for _, to := range []struct {
		kv      jetstream.KeyValue
		entries map[string][]byte
	}{{s.agents, agents}, {s.people, people}} {
		for key, want := range to.entries {
			g.Go(func() error {
				var old json.RawMessage
				rev, err := get(ctx, to.kv, key, &old)
				if err != nil || bytes.Equal(old, want) {
					return err
				}
				// An agent that a registry has removed is not brought back: for what
				// was there once, 0 is not the revision.
				if _, err = put(ctx, to.kv, key, json.RawMessage(want), rev); errors.Is(err, errExists) {
					return nil
				}
				return err
			})
		}
	}
	return g.Wait()
}

// enrol makes, for every agent, the consumer that its verdicts wait in. An
// agent may not do so itself: a consumer can be told to deliver to any subject,
// also to those of the JetStream API and of the buckets.
func (s *store) enrol(ctx context.Context) error {
	keys, err := s.agents.Keys(ctx)
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil
	}
	if err != nil {
		return err
	}
	have := make(map[string]bool)
	names := s.verdicts.ConsumerNames(ctx)
	for name := range names.Name() {
		have[name] = true
	}
	if err := names.Err(); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writesAtOnce)
	for _, agent := range keys {
		subject, err := contract.VerdictSubject(agent)
		if err != nil || have[agent] {
			continue // nobody but this package writes here
		}
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			if _, err := s.verdicts.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
				Durable: agent, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy,
				AckWait: verdictAck, MaxAckPending: verdictsAtOnce,
			}); err != nil {
				return fmt.Errorf("consumer of an agent: %w", err)
			}
			return nil
		})
	}
	return g.Wait()
}

// verdict publishes a verdict. Publishing the same one again is harmless.
func (s *store) verdict(ctx context.Context, agent, msgID string, payload []byte) error {
	subject, err := contract.VerdictSubject(agent)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = s.js.Publish(ctx, subject, payload, jetstream.WithMsgID(msgID), jetstream.WithExpectStream(contract.VerdictStream))
	return err
}

// get reads a JSON value and its revision, which is 0 for a key that is not
// there.
func get(ctx context.Context, kv jetstream.KeyValue, key string, v any) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	e, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(e.Value(), v); err != nil {
		// Nobody but this package writes here. The key may be a hash of a
		// number: it is not repeated.
		return 0, fmt.Errorf("central: unreadable entry in bucket %s", kv.Bucket())
	}
	return e.Revision(), nil
}

func set(ctx context.Context, kv jetstream.KeyValue, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = kv.Put(ctx, key, b)
	return err
}
