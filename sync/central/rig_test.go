package central_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/icao/activeauth"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/bac"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const facility = "01013"

// patience is how long a test waits for what must come; nothing is timed.
const patience = time.Minute

// documents are personalised once: keys take a while.
var documents sync.Map // by profile and tampering

func document(t *testing.T, profile string, tamper chip.Tamper) *chip.Document {
	t.Helper()
	key := profile + "/" + string(tamper)
	if d, ok := documents.Load(key); ok {
		return d.(*chip.Document)
	}
	d, err := chip.Build(profile, chip.Options{Tamper: tamper, At: time.Now()})
	if err != nil {
		t.Fatalf("build %s: %v", key, err)
	}
	documents.Store(key, d)
	return d
}

func anchors(t *testing.T, docs ...*chip.Document) *trust.Pool {
	t.Helper()
	pool := trust.NewPool()
	for _, d := range docs {
		c, err := cms.ParseCertificate(d.CSCA)
		if err != nil {
			t.Fatal(err)
		}
		if err := pool.Add(c, "test"); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}

// agent is an enrolled agent with its key.
type agent struct {
	nkeys.KeyPair
	name string
}

func newAgent(t *testing.T) agent {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	name, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return agent{kp, name}
}

// now is the time of visits: whole milliseconds.
func now() time.Time { return contract.Timestamp(time.Now()) }

func newID(t *testing.T) string {
	t.Helper()
	id, err := contract.NewID(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// newVisit is a visit with the evidence of a document, as an honest agent makes
// it. sign says whether the chip signs the challenge.
func newVisit(t *testing.T, a agent, d *chip.Document, nonce *contract.Nonce, sign bool) *contract.Visit {
	t.Helper()
	p := d.Person
	at := now()
	v := &contract.Visit{
		Version: contract.Version, ID: newID(t), Facility: facility, Agent: a.name, Operator: "desk 1",
		StartedAt: at.Add(-2 * time.Second), RecordedAt: at.Add(time.Second), Clock: contract.ClockSynchronised,
		Means: contract.MeansChip, Verified: true,
		Person: contract.Person{
			Number: p.Number, Name: p.Name, BirthDate: contract.Date(p.Birth.Format(time.DateOnly)),
			Sex: map[byte]contract.Sex{'M': contract.SexMale, 'F': contract.SexFemale}[p.Sex], Nationality: p.State,
		},
		Checks: []contract.Check{
			{ID: contract.CheckPassiveAuthentication, Result: contract.Successful},
			{ID: contract.CheckActiveAuthentication, Result: contract.Successful},
		},
		Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown},
		Evidence:    &contract.Evidence{SOD: d.SOD, DG1: d.Groups[1], DG14: d.Groups[14], DG15: d.Groups[15], Time: at, Nonce: nonce},
	}
	if !p.Expiry.IsZero() {
		v.Person.Expiry = contract.Date(p.Expiry.Format(time.DateOnly))
	}
	v.Evidence.Challenge = v.ExpectedChallenge()
	if sign {
		v.Evidence.Signature = chipSignature(t, d, v.Evidence.Challenge)
	} else {
		v.Checks[1].Result = contract.NotSupported
	}
	return v
}

// chipSignature has the software chip sign a challenge, under secure messaging
// as a reader does it. A chip without the right key signs all the same.
func chipSignature(t *testing.T, d *chip.Document, challenge contract.RNDIFD) []byte {
	t.Helper()
	ctx := t.Context()
	c, err := d.Chip()
	if err != nil {
		t.Fatal(err)
	}
	session := apdu.NewSession(c)
	if err := lds.Select(ctx, session); err != nil {
		t.Fatal(err)
	}
	zone, err := mrz.Parse(strings.Join(d.MRZ, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := zone.Key()
	if err != nil {
		t.Fatal(err)
	}
	ch, err := bac.Establish(ctx, session, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := lds.ParseDG15(d.Groups[15])
	if err != nil {
		t.Fatal(err)
	}
	res, err := activeauth.Authenticate(ctx, ch, spki, challenge, nil)
	if len(res.Signature) == 0 {
		t.Fatalf("the chip did not sign: %v", err)
	}
	return res.Signature
}

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

func (b *syncBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// rig is a NATS server, an enrolled agent and central services.
type rig struct {
	t      *testing.T
	dir    string
	ns     *natsd.Server
	agent  agent
	config central.Config
	clock  func() time.Time // of the services; nil: the real one
	log    *syncBuffer
	nc     *nats.Conn
	js     jetstream.JetStream
}

func newRig(t *testing.T, pool *trust.Pool, people ...central.Person) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), agent: newAgent(t), log: &syncBuffer{}}
	r.startServer(0)
	r.config = central.Config{
		URLs: []string{r.ns.ClientURL()}, Anchors: pool, Workers: 2,
		Seed:   &central.Seed{Agents: []central.Agent{{Key: r.agent.name, Facility: facility}}, People: people},
		Logger: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	return r
}

func (r *rig) startServer(port int) {
	r.t.Helper()
	ns, err := natsd.Start(natsd.Options{Dir: r.dir, Port: port})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(ns.Shutdown)
	r.ns = ns
	r.connect()
}

func (r *rig) connect() {
	r.t.Helper()
	nc, err := nats.Connect(r.ns.ClientURL(), nats.NoReconnect())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	r.nc = nc
	if r.js, err = jetstream.New(nc); err != nil {
		r.t.Fatal(err)
	}
}

// run starts a central service and returns when it answers. stop waits for its
// end; the test's end calls it too.
func (r *rig) run() (c *central.Central, stop func()) {
	r.t.Helper()
	ready := make(chan struct{}, 16)
	cfg := r.config
	cfg.Ready = func() { ready <- struct{}{} }
	c, err := central.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.clock != nil {
		c.SetClock(r.clock)
	}
	stop = runUntil(r.t, c.Run)
	await(r.t, ready, r.log)
	return c, stop
}

// runUntil runs a service until stop is called or the test ends, which waits for its
// end.
func runUntil(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// await waits until a service answers.
func await(t *testing.T, ready <-chan struct{}, log fmt.Stringer) {
	t.Helper()
	select {
	case <-ready:
	case <-time.After(patience):
		t.Fatalf("the service is not ready; log:\n%s", log)
	}
}

func (r *rig) nonce() *contract.Nonce {
	r.t.Helper()
	subject, err := contract.NonceSubject(facility)
	if err != nil {
		r.t.Fatal(err)
	}
	msg, err := r.nc.Request(subject, nil, patience)
	if err != nil {
		r.t.Fatal(err)
	}
	n, err := contract.DecodeNonce(msg.Data)
	if err != nil {
		r.t.Fatalf("nonce %q %v: %v", msg.Data, msg.Header, err)
	}
	return &n
}

// send publishes a visit as the agent does.
func (r *rig) send(v *contract.Visit) { r.sendAs(r.agent, v) }

func (r *rig) sendAs(a agent, v *contract.Visit) {
	r.t.Helper()
	m, err := contract.NewVisitMessage(a, v)
	if err != nil {
		r.t.Fatal(err)
	}
	r.publish(m, m.ID)
}

func (r *rig) publish(m contract.Message, msgID string) {
	r.t.Helper()
	msg := &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload}
	_, err := r.js.PublishMsg(r.t.Context(), msg, jetstream.WithMsgID(msgID), jetstream.WithExpectStream(contract.VisitStream))
	if err != nil {
		r.t.Fatal(err)
	}
}

// verdicts reads an agent's verdicts from the first.
type verdicts struct {
	t  *testing.T
	it jetstream.MessagesContext
}

func (r *rig) verdicts(a agent) *verdicts {
	r.t.Helper()
	subject, err := contract.VerdictSubject(a.name)
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := r.js.OrderedConsumer(r.t.Context(), "VERDICTS", jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		r.t.Fatal(err)
	}
	it, err := c.Messages()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(it.Stop)
	return &verdicts{r.t, it}
}

func (vs *verdicts) next() contract.Verdict {
	vs.t.Helper()
	msg, err := vs.it.Next(jetstream.NextMaxWait(patience))
	if err != nil {
		vs.t.Fatalf("no verdict: %v", err)
	}
	v, err := contract.DecodeVerdict(msg.Data())
	if err != nil {
		vs.t.Fatalf("verdict %s: %v", msg.Data(), err)
	}
	return v
}

// declared is a visit without a chip.
func declared(t *testing.T, a agent) *contract.Visit {
	t.Helper()
	return &contract.Visit{
		Version: contract.Version, ID: newID(t), Facility: facility, Agent: a.name,
		StartedAt: now(), RecordedAt: now(), Clock: contract.ClockUnknown, Means: contract.MeansManual,
		Person:      contract.Person{Name: "Nguyễn Văn Thử", Number: "001099000001"},
		Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown},
	}
}

func describe(v contract.Verdict) string {
	return fmt.Sprintf("%s %s %s %s", v.Visit, v.State, v.Reason, v.Assurance)
}

// expect compares a verdict; "" in reason means accepted with the assurance.
func (vs *verdicts) expect(visit string, assurance contract.Assurance, reason contract.Reason) contract.Verdict {
	vs.t.Helper()
	v := vs.next()
	state := contract.VerdictAccepted
	if reason != "" {
		state = contract.VerdictRejected
	}
	if v.Visit != visit || v.State != state || v.Assurance != assurance || v.Reason != reason {
		vs.t.Errorf("verdict %s; want %s %s %s %s", describe(v), visit, state, reason, assurance)
	}
	return v
}

// records counts the visits on record.
func (r *rig) records() int {
	r.t.Helper()
	kv, err := r.js.KeyValue(r.t.Context(), "ins-visits")
	if err != nil {
		r.t.Fatal(err)
	}
	st, err := kv.Status(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return int(st.Values())
}

// drained waits until the intake has nothing left to do.
func (r *rig) drained() {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		c, err := r.js.Consumer(r.t.Context(), contract.VisitStream, "central-intake")
		if err != nil {
			r.t.Fatal(err)
		}
		i := c.CachedInfo()
		if i.NumPending == 0 && i.NumAckPending == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("the intake does not come to an end: %d pending, %d unacknowledged; log:\n%s", i.NumPending, i.NumAckPending, r.log)
		}
	}
}
