package crashtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"golang.org/x/sync/errgroup"

	"github.com/chamthe/chamthe/icao/activeauth"
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/bac"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/uplink"
)

func init() { roles["desk"] = beDesk }

const (
	agentsVar      = "CHAMTHE_AGENTS"  // simulated agents
	workersVar     = "CHAMTHE_WORKERS" // of the central service
	defaultAgents  = 200
	defaultWorkers = 2

	// connections that the simulated agents share.
	connections = 16
	// A fifth of the agents come at this rate, and the others as fast as they are
	// served, so many at once.
	perSecond = 40
	atOnce    = 128
)

// simulated is an agent without a process: a key, a facility, its place in the
// streams, and a visit that its chip has signed.
type simulated struct {
	key      nkeys.KeyPair
	name     string
	facility string
	person   central.Person // whom it looks up
	visit    contract.Message
}

// signer is a chip in a reader, which answers one challenge after the other.
type signer struct {
	doc *chip.Document
	ch  *sm.Channel
	key []byte
}

func newSigner(t testing.TB) *signer {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	c, err := doc.Chip()
	if err != nil {
		t.Fatal(err)
	}
	session := apdu.NewSession(c)
	if err := lds.Select(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	zone, err := mrz.Parse(strings.Join(doc.MRZ, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := zone.Key()
	if err != nil {
		t.Fatal(err)
	}
	s := &signer{doc: doc}
	if s.ch, err = bac.Establish(t.Context(), session, key, nil); err != nil {
		t.Fatal(err)
	}
	if s.key, err = lds.ParseDG15(doc.Groups[15]); err != nil {
		t.Fatal(err)
	}
	return s
}

// sign makes the visit of an agent, which the chip signs.
func (s *signer) sign(t testing.TB, a *simulated, nonce *contract.Nonce) {
	t.Helper()
	now := contract.Timestamp(time.Now())
	id, err := contract.NewID(now, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := s.doc.Person
	v := &contract.Visit{
		Version: contract.Version, ID: id, Facility: a.facility, Agent: a.name, StartedAt: now, RecordedAt: now,
		Clock: contract.ClockSynchronised, Means: contract.MeansChip, Verified: true,
		Person: contract.Person{
			Number: p.Number, Name: p.Name, BirthDate: contract.Date(p.Birth.Format(time.DateOnly)), Nationality: p.State,
		},
		Checks: []contract.Check{
			{ID: contract.CheckPassiveAuthentication, Result: contract.Successful},
			{ID: contract.CheckActiveAuthentication, Result: contract.Successful},
		},
		Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown},
		Evidence: &contract.Evidence{
			SOD: s.doc.SOD, DG1: s.doc.Groups[1], DG14: s.doc.Groups[14], DG15: s.doc.Groups[15], Time: now, Nonce: nonce,
		},
	}
	v.Evidence.Challenge = v.ExpectedChallenge()
	res, err := activeauth.Authenticate(t.Context(), s.ch, s.key, v.Evidence.Challenge, nil)
	if err != nil {
		t.Fatal(err)
	}
	v.Evidence.Signature = res.Signature
	if a.visit, err = contract.NewVisitMessage(a.key, v); err != nil {
		t.Fatal(err)
	}
}

// ask looks the agent's person up and returns how long that took.
func (a *simulated) ask(ctx context.Context, nc *nats.Conn) (time.Duration, error) {
	began := time.Now()
	id, err := contract.NewID(began, nil)
	if err != nil {
		return 0, err
	}
	m, err := contract.NewLookupMessage(a.key, &contract.LookupRequest{
		Version: contract.Version, ID: id, Facility: a.facility, Agent: a.name, At: contract.Timestamp(began),
		Number: a.person.Number, Name: a.person.Name, BirthDate: a.person.BirthDate,
	})
	if err != nil {
		return 0, err
	}
	msg, err := nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Payload})
	if err != nil {
		return 0, fmt.Errorf("lookup: %w", err)
	}
	took := time.Since(began)
	resp, err := contract.DecodeLookupResponse(msg.Data)
	if err != nil || resp.ID != id || resp.Entitlement.Status != contract.StatusValid {
		return 0, fmt.Errorf("lookup: %s, %v %w", resp.Entitlement.Status, msg.Header, err)
	}
	return took, nil
}

// send publishes the agent's visit, as package uplink does, and takes the verdict
// from the agent's own consumer. It returns how long that took.
func (a *simulated) send(ctx context.Context, nc *nats.Conn) (time.Duration, error) {
	pull, err := json.Marshal(map[string]any{"batch": 1, "expires": patience})
	if err != nil {
		return 0, err
	}
	// Not by a request: a message from a stream keeps its subject, by which requests
	// that share an inbox are not told apart.
	verdicts, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return 0, err
	}
	defer func() { _ = verdicts.Unsubscribe() }() // it ends with the connection at the latest
	if err := nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+contract.VerdictStream+"."+a.name, verdicts.Subject, pull); err != nil {
		return 0, err
	}
	began := time.Now()
	h := nats.Header{jetstream.MsgIDHeader: {a.visit.ID}}
	for k, v := range a.visit.Header {
		h[k] = v
	}
	ack, err := nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: a.visit.Subject, Header: h, Data: a.visit.Payload})
	if err != nil {
		return 0, fmt.Errorf("visit: %w", err)
	}
	var stored struct{ Stream string }
	if err := json.Unmarshal(ack.Data, &stored); err != nil || stored.Stream != contract.VisitStream {
		return 0, fmt.Errorf("visit was not stored: %s %w", ack.Data, err)
	}
	m, err := verdicts.NextMsgWithContext(ctx)
	if err != nil {
		return 0, fmt.Errorf("verdict: %w", err)
	}
	took := time.Since(began)
	v, err := contract.DecodeVerdict(m.Data)
	if err != nil || v.Visit != a.visit.ID || v.Assurance != contract.AssuranceChip {
		return 0, fmt.Errorf("verdict: %s %s %s %w", v.State, v.Reason, v.Assurance, err)
	}
	return took, m.Ack()
}

// beDesk is an agent with everything that syncs. It looks a person up, records a
// visit, waits for the verdict, and says what memory it has.
func beDesk(c config) error {
	s, err := openStation(c, nil)
	if err != nil {
		return err
	}
	u, err := uplink.New(s.config(c.URLs))
	if err != nil {
		return err
	}
	sealer, err := newSealer()
	if err != nil {
		return err
	}
	l, err := lookup.Open(lookup.Config{Store: s.store, Sealer: sealer, Asker: u})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	for !u.State(ctx).Online {
		time.Sleep(time.Millisecond)
	}
	p := s.visit.Person
	if _, err := u.Ask(ctx, contract.LookupRequest{Number: p.Number, Name: p.Name, BirthDate: p.BirthDate}); err != nil {
		return err
	}
	if _, err := s.record(ctx); err != nil {
		return err
	}
	for {
		st, err := s.queue.Stats(ctx)
		if err != nil {
			return err
		}
		if st.Accepted == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	own, files := resident()
	say("resident", own, files)
	cancel()
	l.Close()
	return <-ended
}

// residentOf is resident for another process: all of its pages; 0 where the
// system does not say.
func residentOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(f[1])
	return pages * os.Getpagesize()
}

// times are how long something took, each time.
type times struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *times) add(d time.Duration) {
	l.mu.Lock()
	l.all = append(l.all, d)
	l.mu.Unlock()
}

func (l *times) String() string {
	slices.Sort(l.all)
	at := func(part float64) float64 {
		return float64(l.all[int(part*float64(len(l.all)-1))].Microseconds()) / 1000
	}
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, longest %.1f ms", at(0.5), at(0.99), at(1))
}

// TestLoad has many agents look up a person and record a visit, each with its own
// key and facility, against one central service. What is simulated and what is
// not, README.md says.
func TestLoad(t *testing.T) {
	n, workers := number(t, agentsVar, defaultAgents), number(t, workersVar, defaultWorkers)
	r := newRig(t)
	p := r.person()
	seed := &central.Seed{Agents: r.config.Seed.Agents, People: []central.Person{{Number: p.Number, Name: p.Name, BirthDate: p.BirthDate}}}
	agents := make([]*simulated, n)
	for i := range agents {
		agents[i] = newSimulated(t, i)
		agents[i].person = central.Person{Number: fmt.Sprintf("0010%08d", i), Name: p.Name, BirthDate: "1999", BenefitLevel: "4"}
		seed.Agents = append(seed.Agents, central.Agent{Key: agents[i].name, Facility: agents[i].facility})
		seed.People = append(seed.People, agents[i].person)
	}

	s := r.server(config{Dir: t.TempDir(), Port: freePorts(t, 1)[0]})
	r.agent.URLs = []string{s.url()}
	began := time.Now()
	c := &service{t: t, config: config{Dir: writeCentral(t, seed), URLs: r.agent.URLs, Workers: workers}}
	c.start()
	start := time.Since(began)
	c.kill() // and once more, with everything there
	began = time.Now()
	c.start()
	again := time.Since(began)

	conns := make([]*nats.Conn, connections)
	for i := range conns {
		var err error
		if conns[i], err = nats.Connect(s.url(), nats.NoReconnect()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conns[i].Close)
	}
	chip := newSigner(t)
	var nonce *contract.Nonce
	began = time.Now()
	for i, a := range agents {
		if i%1000 == 0 { // as agents do it from time to time
			nonce = a.nonce(t, conns[0])
		}
		chip.sign(t, a, nonce)
	}
	t.Logf("%d visits made and signed by the chip in %v", n, time.Since(began).Round(time.Millisecond))

	// run has agents come, and returns how long all of them took.
	run := func(agents []*simulated, pause time.Duration, atOnce int, lookups, verdicts *times) time.Duration {
		t.Helper()
		g, ctx := errgroup.WithContext(t.Context())
		g.SetLimit(atOnce)
		began := time.Now()
		for i, a := range agents {
			if pause > 0 {
				time.Sleep(time.Until(began.Add(time.Duration(i) * pause)))
			}
			g.Go(func() error {
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				nc := conns[i%len(conns)]
				took, err := a.ask(ctx, nc)
				if err != nil {
					return err
				}
				lookups.add(took)
				if took, err = a.send(ctx, nc); err != nil {
					return err
				}
				verdicts.add(took)
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	var calm, busy struct{ lookups, verdicts times }
	few := max(n/5, 1)
	run(agents[:few], time.Second/perSecond, n, &calm.lookups, &calm.verdicts)
	took := run(agents[few:], 0, atOnce, &busy.lookups, &busy.verdicts)

	desk := spawn(t, "desk", r.agent)
	own, files := 0, 0
	for line := range desk.lines {
		if len(line) != 3 || line[0] != "resident" {
			t.Fatalf("the agent says %q", line)
		}
		var err, err2 error
		own, err = strconv.Atoi(line[1])
		files, err2 = strconv.Atoi(line[2])
		if err != nil || err2 != nil {
			t.Fatalf("the agent says %q", line)
		}
	}
	desk.reap()
	if own+files == 0 {
		t.Error("the agent ended without a verdict")
	}
	servers := residentOf(s.cmd.Process.Pid)

	// Everything is there, once: those that were simulated and the real one.
	js := r.connect()
	for name, want := range map[string]int{contract.VisitStream: n + 1, "KV_ins-visits": n + 1, contract.VerdictStream: n + 1} {
		st, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if i := st.CachedInfo().State; int(i.Msgs) != want || int(i.LastSeq) != want {
			t.Errorf("%s holds %d messages of %d, want %d", name, i.Msgs, i.LastSeq, want)
		}
	}
	eventually(t, "the service tells of everything", func() bool {
		for len(c.child.lines) > 0 {
			c.hear(<-c.child.lines)
		}
		return c.accepted == n+1 && c.lookups == n+1
	})
	if c.aside+c.redelivered != 0 {
		t.Errorf("%d set aside, %d redelivered", c.aside, c.redelivered)
	}

	rest := n - few
	for _, row := range [][2]string{
		{fmt.Sprintf("%d agents on %d connections, one service with %d workers", n, connections, workers), fmt.Sprintf("%d lookups, %d verdicts, none missing", n, n)},
		{fmt.Sprintf("%d of them, %d a second: lookup", few, perSecond), calm.lookups.String()},
		{fmt.Sprintf("%d of them, %d a second: visit to verdict", few, perSecond), calm.verdicts.String()},
		{fmt.Sprintf("the others, %d at once", atOnce), fmt.Sprintf("%.0f lookups and as many visits a second", float64(rest)/took.Seconds())},
		{fmt.Sprintf("the others, %d at once: lookup", atOnce), busy.lookups.String()},
		{fmt.Sprintf("the others, %d at once: visit to verdict", atOnce), busy.verdicts.String()},
		{"resident: central service, most", fmt.Sprintf("%.0f MB", mb(c.memory))},
		{"resident: NATS server", fmt.Sprintf("%.0f MB", mb(servers))},
		{"resident: one agent, own pages and files", fmt.Sprintf("%.0f MB, %.0f MB", mb(own), mb(files))},
		{"start of the service, with an empty store and again", fmt.Sprintf("%.1f s, %.1f s", start.Seconds(), again.Seconds())},
	} {
		t.Logf("bench-sync\t%s\t%s\t", row[0], row[1])
	}
}
