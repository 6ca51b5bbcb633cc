package uplink_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	facility = "01013"
	// patience is how long a test waits for what must come; nothing is timed.
	patience = time.Minute
	// secret is a name that no log may hold.
	secret = "Nguyễn Văn Thử"
)

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// agent is one station: a key and a queue.
type agent struct {
	t     testing.TB
	key   nkeys.KeyPair
	name  string
	queue *outbox.Queue
	log   *syncBuffer
}

func newAgent(t testing.TB) *agent {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	name, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, key: key, name: name, log: &syncBuffer{}}
	a.queue = openQueue(t, filepath.Join(t.TempDir(), "agent.db"))
	return a
}

// record puts a visit into the queue and returns its id. A longer operator
// name makes it larger.
func (a *agent) record() string {
	a.t.Helper()
	e := a.entry()
	if err := a.queue.Put(a.t.Context(), e); err != nil {
		a.t.Fatal(err)
	}
	return e.ID
}

func (a *agent) entry() outbox.Entry {
	a.t.Helper()
	id, err := contract.NewID(time.Now(), nil)
	if err != nil {
		a.t.Fatal(err)
	}
	now := contract.Timestamp(time.Now())
	m, err := contract.NewVisitMessage(a.key, &contract.Visit{
		Version: contract.Version, ID: id, Facility: facility, Agent: a.name,
		StartedAt: now, RecordedAt: now, Clock: contract.ClockUnknown, Means: contract.MeansManual,
		Person:      contract.Person{Name: secret, Number: "001099000001"},
		Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return outbox.Entry{ID: m.ID, Subject: m.Subject, Header: m.Header, Payload: m.Payload}
}

func (a *agent) stats() outbox.Stats {
	a.t.Helper()
	s, err := a.queue.Stats(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	return s
}

func (a *agent) config(url string) uplink.Config {
	return uplink.Config{
		URLs: []string{url}, Facility: facility, Signer: a.key, Queue: a.queue,
		RetryMin: 5 * time.Millisecond, RetryMax: 50 * time.Millisecond, AckTimeout: 5 * time.Second,
		Logger: slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// run starts an uplink. stop waits for its end; the test's end calls it too.
func (a *agent) run(cfg uplink.Config) (u *uplink.Uplink, stop func()) {
	a.t.Helper()
	u, err := uplink.New(cfg)
	if err != nil {
		a.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			a.t.Errorf("Run = %v, want nil", err)
		}
	})
	a.t.Cleanup(stop)
	return u, stop
}

func (a *agent) online(u *uplink.Uplink) {
	a.t.Helper()
	eventually(a.t, "online", func() bool { return u.State(a.t.Context()).Online })
}

func (a *agent) trouble(u *uplink.Uplink, want uplink.Trouble) {
	a.t.Helper()
	eventually(a.t, fmt.Sprintf("trouble %q; log:\n%s", want, a.log), func() bool { return u.State(a.t.Context()).Last == want })
}

// service stands for the central service: its streams on a real server, and
// the test itself as the one who answers.
type service struct {
	t   testing.TB
	opt natsd.Options
	ns  *natsd.Server
	nc  *nats.Conn
	js  jetstream.JetStream
	key nkeys.KeyPair // nil: no users
}

func newService(t testing.TB, opt natsd.Options) *service {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	s := &service{t: t, opt: opt}
	s.start()
	s.streams()
	return s
}

func (s *service) start() {
	s.t.Helper()
	ns, err := natsd.Start(s.opt)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(ns.Shutdown)
	s.ns, s.opt.Port = ns, ns.Port()
	opts := []nats.Option{nats.NoReconnect()}
	if s.opt.TLS != nil {
		opts = append(opts, nats.Secure(&tls.Config{InsecureSkipVerify: true})) // the test's own connection
	}
	if s.key != nil {
		name, err := s.key.PublicKey()
		if err != nil {
			s.t.Fatal(err)
		}
		opts = append(opts, nats.Nkey(name, s.key.Sign))
	}
	if s.nc, err = nats.Connect(ns.ClientURL(), opts...); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.nc.Close)
	if s.js, err = jetstream.New(s.nc); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) stop() {
	s.nc.Close()
	s.ns.Shutdown()
}

func (s *service) url() string { return s.ns.ClientURL() }

func (s *service) streams() {
	s.t.Helper()
	for _, c := range []jetstream.StreamConfig{
		{Name: contract.VisitStream, Subjects: []string{contract.VisitSubjects}, Discard: jetstream.DiscardNew},
		{Name: "VERDICTS", Subjects: []string{contract.VerdictSubjects}},
	} {
		if _, err := s.js.CreateOrUpdateStream(s.t.Context(), c); err != nil {
			s.t.Fatal(err)
		}
	}
}

// enrol makes the consumer of an agent's verdicts, as the central service does.
func (s *service) enrol(agents ...*agent) {
	s.t.Helper()
	for _, a := range agents {
		subject, err := contract.VerdictSubject(a.name)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := s.js.CreateOrUpdateConsumer(s.t.Context(), contract.VerdictStream, jetstream.ConsumerConfig{
			Durable: a.name, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second,
		}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// ids returns the message ids in the stream of visits, in order.
func (s *service) ids() []string {
	s.t.Helper()
	st, err := s.js.Stream(s.t.Context(), contract.VisitStream)
	if err != nil {
		s.t.Fatal(err)
	}
	info := st.CachedInfo().State
	var ids []string
	for seq := info.FirstSeq; seq <= info.LastSeq && info.Msgs > 0; seq++ {
		m, err := st.GetMsg(s.t.Context(), seq)
		if err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, m.Header.Get(jetstream.MsgIDHeader))
	}
	return ids
}

func (s *service) verdict(agent, visit string, reason contract.Reason) {
	s.t.Helper()
	v := contract.Verdict{
		Version: contract.Version, Visit: visit, Agent: agent, State: contract.VerdictAccepted,
		Assurance: contract.AssuranceDeclared, At: contract.Timestamp(time.Now()),
	}
	if reason != "" {
		v.State, v.Reason, v.Assurance = contract.VerdictRejected, reason, ""
	}
	b, err := contract.EncodeVerdict(&v)
	if err != nil {
		s.t.Fatal(err)
	}
	s.say(agent, b)
}

// say publishes anything where an agent's verdicts appear.
func (s *service) say(agent string, b []byte) {
	s.t.Helper()
	subject, err := contract.VerdictSubject(agent)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.js.Publish(s.t.Context(), subject, b); err != nil {
		s.t.Fatal(err)
	}
}

func openQueue(t testing.TB, path string) *outbox.Queue {
	t.Helper()
	return openQueueAt(t, path, nil)
}

func openQueueAt(t testing.TB, path string, now func() time.Time) *outbox.Queue {
	t.Helper()
	st, err := store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	master, err := seal.NewMaster(make([]byte, seal.MasterSize)) // the same after a restart
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	q, err := outbox.Open(st, s, &outbox.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return q
}
