package crashtest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

const (
	backlogVar     = "CHAMTHE_BACKLOG" // visits in the backlog
	cacheVar       = "CHAMTHE_CACHE"   // cached lookups
	defaultBacklog = 2000
	defaultCache   = 20_000
	// maxHeap bounds what an agent may take for any backlog.
	maxHeap = 48 << 20
)

func number(t testing.TB, name string, or int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return or
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: not a number", name, s)
	}
	return n
}

// fill records n visits and puts cached answers beside them, where syncing costs
// least, and moves the file to the agent's folder. It returns the visits' ids.
func (r *rig) fill(n, cached int) []string {
	r.t.Helper()
	c := r.agent
	if dir, err := os.MkdirTemp("/dev/shm", "chamthe-*"); err == nil {
		c.Dir = dir
		defer os.RemoveAll(dir)
	}
	st, err := openStation(c, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	ids := make([]string, n)
	for i := range ids {
		if ids[i], err = st.record(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
	// Keys and values as package lookup has them, but for their contents: nobody
	// asks for these.
	const batch, answer = 20_000, 720
	value := make([]byte, answer)
	for done := 0; done < cached; done += batch {
		err := st.store.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(store.LookupBucket)
			answers, err := b.CreateBucketIfNotExists([]byte("answers"))
			if err != nil {
				return err
			}
			fetched, err := b.CreateBucketIfNotExists([]byte("fetched"))
			if err != nil {
				return err
			}
			answers.FillPercent, fetched.FillPercent = 0.75, 0.75 // as after random insertion
			for i := done; i < min(done+batch, cached); i++ {
				key := make([]byte, 32)
				_, _ = rand.Read(key)
				_, _ = rand.Read(value)
				binary.BigEndian.PutUint64(key, uint64(i)<<32)
				if err := answers.Put(key, slices.Clone(value)); err != nil {
					return err
				}
				if err := fetched.Put(append(binary.BigEndian.AppendUint64(nil, uint64(i)), key...), nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
	if err := st.store.Close(); err != nil {
		r.t.Fatal(err)
	}
	if c.Dir == r.agent.Dir {
		return ids
	}
	if err := move(filepath.Join(c.Dir, storeFile), filepath.Join(r.agent.Dir, storeFile)); err != nil {
		r.t.Fatal(err)
	}
	return ids
}

// move takes a file to another file system, onto its disk.
func move(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	return os.Remove(from)
}

// resident returns how many bytes of this process are in memory: its own, and
// those of files (its program, and what bbolt has mapped). Zero where the system
// does not say.
func resident() (own, files int) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.Atoi(f[1])
		switch f[0] {
		case "RssAnon:":
			own = kib << 10
		case "RssFile:":
			files = kib << 10
		}
	}
	return own, files
}

// beDrainer sends a backlog, and looks a person up all the while.
func beDrainer(c config) error {
	s, err := openStation(c, nil)
	if err != nil {
		return err
	}
	u, err := uplink.New(s.config(c.URLs))
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
	began := time.Now()
	for {
		st, err := s.queue.Stats(ctx)
		if err != nil {
			return err
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		own, _ := resident()
		say("memory", st.Queued, m.HeapInuse, own)
		if st.Queued == 0 {
			break
		}
		asked := time.Now()
		p := s.visit.Person
		if _, err := u.Ask(ctx, contract.LookupRequest{Number: p.Number, Name: p.Name, BirthDate: p.BirthDate}); err != nil {
			return fmt.Errorf("a lookup while the backlog is sent: %w", err)
		}
		say("lookup", time.Since(asked).Microseconds())
		time.Sleep(10 * time.Millisecond) // the next patient
	}
	say("drained", time.Since(began).Milliseconds())
	cancel()
	return <-ended
}

// TestBacklog sends what has gathered in a long outage: in order, in a bounded
// memory, and while lookups are answered.
func TestBacklog(t *testing.T) {
	r := newRig(t)
	n := number(t, backlogVar, defaultBacklog)
	ids := r.fill(n, 0)
	ns, err := natsd.Start(natsd.Options{Dir: t.TempDir(), SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ns.Shutdown)
	p := r.person()
	r.config.Seed.People = []central.Person{{Number: p.Number, Name: p.Name, BirthDate: p.BirthDate, BenefitLevel: "4"}}
	r.serve(ns.ClientURL())

	d := spawn(t, "drainer", r.agent)
	var lookups []int
	heap, own, early, took := 0, 0, 0, 0 // the most; early: before a tenth was sent
	for line := range d.lines {
		var v [3]int
		for i, w := range line[1:] {
			if v[i], err = strconv.Atoi(w); err != nil {
				t.Fatalf("the agent says %q", line)
			}
		}
		switch line[0] {
		case "memory":
			heap, own = max(heap, v[1]), max(own, v[2])
			if v[0] >= n*9/10 {
				early = max(early, v[1])
			}
		case "lookup":
			lookups = append(lookups, v[0])
		case "drained":
			took = v[0]
		}
	}
	d.reap()
	if took == 0 || len(lookups) == 0 {
		t.Fatalf("drained in %d ms with %d lookups", took, len(lookups))
	}
	slices.Sort(lookups)
	at := func(part float64) float64 { return float64(lookups[int(part*float64(len(lookups)-1))]) / 1000 }
	if heap > maxHeap {
		t.Errorf("%d bytes of heap, want at most %d", heap, maxHeap)
	}
	t.Logf("bench-sync\tbacklog of %d visits sent\t%.0f a second, in order\t", n, float64(n)/float64(took)*1000)
	t.Logf("bench-sync\tmemory while it is sent: heap, first tenth and most; own pages\t%.1f MB, %.1f MB; %.1f MB\tflat",
		mb(early), mb(heap), mb(own))
	t.Logf("bench-sync\t%d lookups meanwhile\tp50 %.1f ms, p99 %.1f ms, longest %.1f ms\tnot starved", len(lookups), at(0.5), at(0.99), at(1))

	// In order: that of the stream is that of recording.
	js := r.connect()
	c, err := js.OrderedConsumer(t.Context(), contract.VisitStream, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	it, err := c.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer it.Stop()
	for i, id := range ids {
		m, err := it.Next(jetstream.NextMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Headers().Get(jetstream.MsgIDHeader); got != id {
			t.Fatalf("message %d is %s, want %s", i, got, id)
		}
	}
}

func mb(n int) float64 { return float64(n) / (1 << 20) }

// noAsker stands for a link that is down.
type noAsker struct{}

func (noAsker) Ask(context.Context, contract.LookupRequest) (contract.LookupResponse, error) {
	return contract.LookupResponse{}, uplink.ErrOffline
}

// beStarter opens what an agent keeps, and says how long that took.
func beStarter(c config) error {
	began := time.Now()
	s, err := openStation(c, nil)
	if err != nil {
		return err
	}
	sealer, err := newSealer()
	if err != nil {
		return err
	}
	l, err := lookup.Open(lookup.Config{Store: s.store, Sealer: sealer, Asker: noAsker{}})
	if err != nil {
		return err
	}
	if _, err := uplink.New(s.config([]string{"nats://127.0.0.1:1"})); err != nil {
		return err
	}
	st, err := s.queue.Stats(context.Background())
	if err != nil {
		return err
	}
	took := time.Since(began)
	own, files := resident()
	say("open", took.Microseconds(), own, files, st.Queued)
	if err := s.store.Checked(context.Background()); err != nil { // before which no cached answer is used
		return err
	}
	own, files = resident()
	say("checked", time.Since(began).Microseconds(), own, files, st.Queued)
	if c.Record { // is killed
		p, err := os.FindProcess(os.Getpid())
		if err != nil {
			return err
		}
		return p.Kill()
	}
	l.Close()
	return s.store.Close()
}

// TestStart opens a store with a backlog and a large cache, after a proper end
// and after a kill: there is no difference.
func TestStart(t *testing.T) {
	r := newRig(t)
	n, cached := number(t, backlogVar, defaultBacklog), number(t, cacheVar, defaultCache)
	r.fill(n, cached)
	info, err := os.Stat(filepath.Join(r.agent.Dir, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d visits, %d cached answers: %.0f MB", n, cached, mb(int(info.Size())))
	type figures struct{ took, own, files int } // microseconds, bytes
	var best map[string]figures
	for _, tt := range []struct {
		name   string
		killed bool
	}{
		{"after a proper end", false},
		{"after a kill", true},
	} {
		best = make(map[string]figures)
		for range 3 { // the first may have to read the disk
			c := r.agent
			c.Record = tt.killed
			p := spawn(t, "starter", c)
			for line := range p.lines {
				var v [4]int
				for i, w := range line[1:] {
					if v[i], err = strconv.Atoi(w); err != nil {
						t.Fatalf("the agent says %q", line)
					}
				}
				if v[3] != n {
					t.Errorf("%d visits are queued, want %d", v[3], n)
				}
				if b, ok := best[line[0]]; !ok || v[0] < b.took {
					best[line[0]] = figures{v[0], v[1], v[2]}
				}
			}
			p.reap()
		}
		for what, aim := range map[string]string{"open": "< 300 ms, < 64 MB", "checked": "in the background"} {
			b, ok := best[what]
			if !ok {
				t.Fatalf("%s: the agent was never %s", tt.name, what)
			}
			t.Logf("bench-sync\tstart %s, %d visits and %d cached answers: %s\tin %.0f ms; resident %.0f MB\t%s",
				tt.name, n, cached, what, float64(b.took)/1000, mb(b.own+b.files), aim)
		}
	}
}
