package crashtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

// patience is how long a test waits for what must come; nothing is timed. A first start
// with thirteen thousand agents takes minutes.
const patience = 10 * time.Minute

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// rig is an agent that is enrolled with a central service.
type rig struct {
	t      testing.TB
	agent  config // of the process that records
	config central.Config
	told   map[string]bool // the visits that were reported recorded
	tally
}

// document is personalised once: keys take a while.
var document = sync.OnceValues(func() (*chip.Document, error) {
	return chip.Build("cccd", chip.Options{At: time.Now()})
})

// newRig makes an agent and its visit. The central service is run by run.
func newRig(t testing.TB) *rig {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := cms.ParseCertificate(doc.CSCA)
	if err != nil {
		t.Fatal(err)
	}
	pool := trust.NewPool()
	if err := pool.Add(anchor, "test"); err != nil {
		t.Fatal(err)
	}
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	name, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := key.Seed()
	if err != nil {
		t.Fatal(err)
	}
	p := doc.Person
	visit, err := json.Marshal(contract.Visit{
		Version: contract.Version, Clock: contract.ClockSynchronised, Means: contract.MeansChip,
		Person: contract.Person{
			Number: p.Number, Name: p.Name, BirthDate: contract.Date(p.Birth.Format(time.DateOnly)), Nationality: p.State,
		},
		Checks:      []contract.Check{{ID: contract.CheckPassiveAuthentication, Result: contract.Successful}},
		Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown},
		Evidence:    &contract.Evidence{SOD: doc.SOD, DG1: doc.Groups[1]},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		t: t, agent: config{Dir: t.TempDir(), Seed: string(seed), Visit: filepath.Join(t.TempDir(), "visit.json")},
		config: central.Config{
			Anchors: pool, Workers: 2, Seed: &central.Seed{Agents: []central.Agent{{Key: name, Facility: facility}}},
		},
		told: make(map[string]bool),
	}
	if err := os.WriteFile(r.agent.Visit, visit, 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// person returns the person of the visits.
func (r *rig) person() contract.Person {
	r.t.Helper()
	b, err := os.ReadFile(r.agent.Visit)
	if err != nil {
		r.t.Fatal(err)
	}
	var v contract.Visit
	if err := json.Unmarshal(b, &v); err != nil {
		r.t.Fatal(err)
	}
	return v.Person
}

// serve runs the central service on servers until the test ends.
func (r *rig) serve(urls ...string) {
	r.t.Helper()
	r.config.URLs, r.agent.URLs = urls, urls
	ready := make(chan struct{}, 1)
	r.config.Ready = func() {
		select {
		case ready <- struct{}{}:
		default:
		}
	}
	c, err := central.New(r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
	select {
	case <-ready:
	case <-time.After(patience):
		r.t.Fatal("the central service is not ready")
	}
}

// hear takes a line that the agent has said.
func (r *rig) hear(line []string) {
	if len(line) == 2 && line[0] == "recorded" {
		r.told[line[1]] = true
	}
}

// settle has the agent send what is left, counts, and adds to the last line.
func (r *rig) settle() {
	r.t.Helper()
	c := r.agent
	c.Record = false
	last := spawn(r.t, "agent", c)
	defer last.reap()
	for settled := false; !settled; {
		select {
		case line, more := <-last.lines: // less is left, or nothing
			if !more {
				r.t.Fatal("the last agent ended by itself")
			}
			settled = line[0] == "settled"
		case <-time.After(patience): // since something moved: how much is left is the machine's affair
			last.reap()
			r.t.Fatalf("the queue does not become empty: %s", r.left())
		}
	}
	last.reap()
	st, err := openStation(r.agent, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.count(st)
	if err := st.store.Close(); err != nil {
		r.t.Error(err)
	}
}

// left says what is still in the queue, and what the central service knows of it:
// where to look for what went wrong.
func (r *rig) left() string {
	r.t.Helper()
	st, err := openStation(r.agent, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer st.store.Close()
	accepted, written := r.records()
	var b strings.Builder
	fmt.Fprintf(&b, "%d records of %d visits", written, len(accepted))
	for _, state := range []outbox.State{outbox.Queued, outbox.Stored, outbox.Rejected} {
		items, err := st.queue.List(r.t.Context(), state, 0, 1000)
		if err != nil {
			r.t.Fatal(err)
		}
		on := 0
		for _, it := range items {
			if accepted[it.ID] {
				on++
			}
		}
		fmt.Fprintf(&b, "; %d %v, %d of them on record", len(items), state, on)
	}
	for _, name := range []string{contract.VisitStream, contract.VerdictStream} {
		s, err := r.connect().Stream(r.t.Context(), name)
		if err != nil {
			fmt.Fprintf(&b, "; %s: %v", name, err)
			continue
		}
		for c := range s.ListConsumers(r.t.Context()).Info() {
			fmt.Fprintf(&b, "; %s: %d messages, %d pending, %d unacknowledged, %d delivered again", name, s.CachedInfo().State.Msgs, c.NumPending, c.NumAckPending, c.NumRedelivered)
		}
	}
	return b.String()
}

// count compares what was reported recorded with the central service's record,
// and with the agent's queue.
func (r *rig) count(st *station) {
	r.t.Helper()
	if err := st.store.Check(r.t.Context()); err != nil {
		r.t.Error(err)
	}
	queued := make(map[string]bool)
	for after := uint64(0); ; {
		items, err := st.queue.List(r.t.Context(), 0, after, 1000)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(items) == 0 {
			break
		}
		for _, it := range items {
			after = it.Seq
			if it.Damaged || it.State != outbox.Accepted || queued[it.ID] {
				r.t.Errorf("entry %d: damaged %v, %v, twice %v", it.Seq, it.Damaged, it.State, queued[it.ID])
			}
			queued[it.ID] = true
		}
	}
	accepted, written := r.records()
	r.recorded = len(r.told)
	for id := range r.told {
		if accepted[id] && queued[id] {
			r.accepted++
		} else {
			r.lost++
		}
	}
	r.doubled = written - len(accepted)
	for id := range accepted {
		if !queued[id] {
			r.t.Errorf("%s is on record and not in the queue", id)
		}
	}
	if r.lost != 0 || r.doubled != 0 {
		r.t.Errorf("lost %d, doubled %d", r.lost, r.doubled)
	}
	if r.recorded == 0 {
		r.t.Error("nothing was recorded")
	}
	r.t.Logf("%v; %d more were recorded and not reported", &r.tally, len(queued)-r.recorded)
	total.add(&r.tally)
}

// records returns the visits that the central service has accepted, and how
// often it has written a record: each once, if none was counted twice.
func (r *rig) records() (accepted map[string]bool, written int) {
	r.t.Helper()
	js := r.connect()
	stream, err := js.Stream(r.t.Context(), "KV_ins-visits")
	if err != nil {
		r.t.Fatal(err)
	}
	written = int(stream.CachedInfo().State.LastSeq)
	kv, err := js.KeyValue(r.t.Context(), "ins-visits")
	if err != nil {
		r.t.Fatal(err)
	}
	w, err := kv.WatchAll(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = w.Stop() }()
	accepted = make(map[string]bool)
	for e := range w.Updates() {
		if e == nil {
			return accepted, written // that was all
		}
		var rec struct{ Verdict json.RawMessage }
		if err := json.Unmarshal(e.Value(), &rec); err != nil {
			r.t.Fatal(err)
		}
		v, err := contract.DecodeVerdict(rec.Verdict)
		if err != nil {
			r.t.Fatal(err)
		}
		if v.State != contract.VerdictAccepted || v.Assurance != contract.AssuranceAttested {
			r.t.Errorf("%s: %s %s %s", v.Visit, v.State, v.Reason, v.Assurance)
			continue
		}
		accepted[v.Visit] = true
	}
	r.t.Fatal("the watch ended")
	return nil, 0
}

func (r *rig) connect() jetstream.JetStream {
	r.t.Helper()
	var nc *nats.Conn
	eventually(r.t, "a connection", func() bool {
		for _, url := range r.agent.URLs {
			var err error
			if nc, err = nats.Connect(url, nats.NoReconnect()); err == nil {
				return true
			}
		}
		return false
	})
	r.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	return js
}

// TestAgentKilled kills the agent.
func TestAgentKilled(t *testing.T) {
	r := newRig(t)
	ns, err := natsd.Start(natsd.Options{Dir: t.TempDir(), SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ns.Shutdown)
	r.serve(ns.ClientURL())
	r.agent.Record = true
	early, publishing, waiting := 0, 0, 0
	for i := range kills(t) {
		a := spawn(t, "agent", r.agent)
		if i%4 == 0 { // from the start: opening the file must survive it too
			time.Sleep(rand.N(60 * time.Millisecond))
		} else {
			first, more := <-a.lines
			if !more {
				t.Fatal("the agent ended by itself")
			}
			// What the one before had left when it was killed.
			if len(first) != 3 || first[0] != "began" {
				t.Fatalf("the agent says %q", first)
			}
			if first[1] != "0" {
				publishing++
			}
			if first[2] != "0" {
				waiting++
			}
			time.Sleep(rand.N(120 * time.Millisecond))
		}
		before := len(r.told)
		a.kill(r.hear)
		r.kills++
		if len(r.told) == before {
			early++
		}
	}
	t.Logf("%d kills before anything was recorded; %d left visits to publish, %d left visits without a verdict", early, publishing, waiting)
	if publishing == 0 || waiting == 0 {
		t.Error("no kill came between recording, publishing and the verdict: this tests nothing")
	}
	r.settle()
}

// server is a NATS server that can be killed and comes back where it was.
type server struct {
	*child
	config config
}

func (r *rig) server(c config) *server {
	r.t.Helper()
	s := &server{config: c}
	s.start(r.t)
	return s
}

func (s *server) start(t testing.TB) {
	t.Helper()
	s.child = spawn(t, "server", s.config)
	select {
	case line, more := <-s.lines:
		if !more || line[0] != "ready" {
			t.Fatalf("the server says %q", line)
		}
	case <-time.After(patience):
		t.Fatal("the server does not start")
	}
}

func (s *server) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.config.Port) }

// desk is an agent in this process, which records while servers die.
type desk struct {
	*station
	uplink *uplink.Uplink
	stop   func() // ends it, and returns when it has ended
}

func (r *rig) desk(o *store.Options) *desk {
	r.t.Helper()
	st, err := openStation(r.agent, o)
	if err != nil {
		r.t.Fatal(err)
	}
	u, err := uplink.New(st.config(r.agent.URLs))
	if err != nil {
		r.t.Fatal(err)
	}
	d := &desk{station: st, uplink: u}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
		if err := st.store.Close(); err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(d.stop)
	return d
}

// maxWaiting is how many visits may wait for their verdict before recordWhile lets
// no more patients in. On a slow machine the central service would never be done
// with what they bring.
const maxWaiting = 500

// recordWhile records until fn returns.
func (r *rig) recordWhile(d *desk, fn func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			st, err := d.queue.Stats(r.t.Context())
			if err != nil {
				done <- err
				return
			}
			if st.Queued+st.Stored > maxWaiting {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			id, err := d.record(r.t.Context())
			if err != nil {
				done <- err
				return
			}
			r.told[id] = true
			time.Sleep(rand.N(2 * pace))
		}
		done <- nil
	}()
	defer func() { // also when fn gives up
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("record: %v", err)
		}
	}()
	fn()
}

// accepted waits until n more visits than before have their verdict.
func (d *desk) accepted(t testing.TB, what string, n int) {
	t.Helper()
	before := -1
	eventually(t, what, func() bool {
		st, err := d.queue.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if before < 0 {
			before = st.Accepted
		}
		return st.Accepted >= before+n
	})
}

// TestServerKilled kills the NATS server. Agent and central service go on.
func TestServerKilled(t *testing.T) {
	r := newRig(t)
	s := r.server(config{Dir: t.TempDir(), Port: freePorts(t, 1)[0]})
	r.serve(s.url())
	d := r.desk(nil)
	r.recordWhile(d, func() {
		for range max(3, kills(t)/20) {
			d.accepted(t, "accepted before a kill", 1+rand.IntN(30))
			s.kill(func([]string) {})
			r.kills++
			s.start(t)
		}
	})
	d.stop()
	r.settle()
}

// TestClusterNodeKilled kills one of three servers after the other, while the
// two others go on.
func TestClusterNodeKilled(t *testing.T) {
	r := newRig(t)
	r.config.Replicas = 3
	ports := freePorts(t, 6)
	var routes, urls []string
	for _, p := range ports[3:] {
		routes = append(routes, fmt.Sprintf("nats-route://127.0.0.1:%d", p))
	}
	var nodes []*server
	for i := range 3 {
		nodes = append(nodes, r.server(config{
			Dir: t.TempDir(), Name: fmt.Sprintf("n%d", i), Port: ports[i], Cluster: ports[3+i], Routes: routes,
		}))
		urls = append(urls, nodes[i].url())
	}
	r.serve(urls...)
	d := r.desk(nil)
	r.recordWhile(d, func() {
		for i := range max(1, kills(t)/50) {
			d.accepted(t, "accepted by three", 1+rand.IntN(30))
			nodes[i%3].kill(func([]string) {})
			r.kills++
			d.accepted(t, "accepted by two of three", 20)
			nodes[i%3].start(t)
			// One dies at a time: the one that came back has what it missed.
			js := r.connect()
			for _, name := range []string{contract.VisitStream, contract.VerdictStream, "KV_ins-visits", "KV_ins-agents", "KV_ins-nonces", "KV_ins-people"} {
				eventually(t, name+" has three copies", func() bool { return whole(t.Context(), js, name) })
			}
			js.Conn().Close()
		}
	})
	d.stop()
	r.settle()
}

// whole reports whether a stream has a leader and two others that are up to date.
func whole(ctx context.Context, js jetstream.JetStream, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, name)
	if err != nil {
		return false
	}
	c := s.CachedInfo().Cluster
	if c == nil || c.Leader == "" || len(c.Replicas) != 2 {
		return false
	}
	for _, p := range c.Replicas {
		if !p.Current || p.Offline {
			return false
		}
	}
	return true
}

func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// TestFullDisk fills the agent's disk, and makes room again.
func TestFullDisk(t *testing.T) {
	r := newRig(t)
	ns, err := natsd.Start(natsd.Options{Dir: t.TempDir(), SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ns.Shutdown)
	disk := smallDisk(t)
	r.agent.Dir = disk.dir
	r.agent.URLs = []string{"nats://127.0.0.1:1"} // nobody: the link is down too
	d := r.desk(disk.options)
	fill := func() {
		t.Helper()
		for range 100_000 {
			id, err := d.record(t.Context())
			if err != nil {
				if !errors.Is(err, store.ErrFull) {
					t.Fatalf("record = %v, want %v", err, store.ErrFull)
				}
				return
			}
			r.told[id] = true
		}
		t.Fatal("the disk does not become full")
	}
	fill()
	for range 10 { // the next patients: the desk is told each time, and takes it if it fits all the same
		fill()
	}
	if err := d.store.Check(t.Context()); err != nil {
		t.Error(err)
	}
	d.stop()

	// The link comes back before there is room: what can be sent is sent.
	r.serve(ns.ClientURL())
	d = r.desk(disk.options)
	js := r.connect()
	eventually(t, "visits in the stream", func() bool {
		s, err := js.Stream(t.Context(), contract.VisitStream)
		return err == nil && s.CachedInfo().State.Msgs > 0
	})
	if err := d.store.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if disk.inUse == nil {
		d.stop()
		d = r.desk(nil)
	} else {
		disk.inUse()
	}
	id, err := d.record(t.Context())
	if err != nil {
		t.Fatalf("with room again: %v", err)
	}
	r.told[id] = true
	eventually(t, "all settled", func() bool {
		st, err := d.queue.Stats(t.Context())
		return err == nil && st.Queued+st.Stored == 0
	})
	r.count(d.station)
	t.Logf("%s", disk.kind)
}

// disk is one that is soon full.
type disk struct {
	kind    string
	dir     string
	options *store.Options
	inUse   func() // makes room while it is in use; nil when the file must be opened anew
}

// limitedFile stands for a small disk where none can be mounted: the file does
// not grow beyond it.
func limitedFile(t testing.TB) disk {
	return disk{"a file that may not grow", t.TempDir(), &store.Options{MaxSize: 1 << 20}, nil}
}
