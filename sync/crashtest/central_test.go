package crashtest

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
)

func init() { roles["central"] = beCentral }

// What a central service reads in its folder.
const (
	seedFile   = "seed.json"
	anchorFile = "anchor.der"
)

// beCentral is a central service until it is killed. It says what it has done,
// now and then.
func beCentral(c config) error {
	f, err := os.Open(filepath.Join(c.Dir, seedFile))
	if err != nil {
		return err
	}
	seed, err := central.ReadSeed(f)
	_ = f.Close()
	if err != nil {
		return err
	}
	anchors, err := central.ReadAnchors(os.DirFS(c.Dir))
	if err != nil {
		return err
	}
	ready := make(chan struct{}, 1)
	s, err := central.New(central.Config{
		URLs: c.URLs, Anchors: anchors, Seed: seed, Workers: c.Workers,
		Ready: func() {
			select {
			case ready <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	<-ready
	say("ready")
	for {
		select {
		case err := <-ended:
			return errors.Join(err, errors.New("it ended"))
		case <-time.After(20 * time.Millisecond):
			n := s.Counts()
			own, files := resident()
			say("counts", n.Accepted, n.Lookups, n.Redelivered, n.SetAside, own+files)
		}
	}
}

// writeCentral puts what a central service reads into a folder.
func writeCentral(t testing.TB, seed *central.Seed) string {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(seed)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, b := range map[string][]byte{seedFile: b, anchorFile: doc.CSCA} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// service is a place for a central service, in which one comes after the other.
type service struct {
	t      testing.TB
	config config
	child  *child

	accepted, lookups, redelivered, aside int // by all of them, as far as they could tell
	last                                  [4]int
	memory                                int // the most
}

func (s *service) start() {
	s.t.Helper()
	s.last = [4]int{}
	s.child = spawn(s.t, "central", s.config)
	select {
	case line, more := <-s.child.lines:
		if !more || line[0] != "ready" {
			s.t.Fatalf("the central service says %q", line)
		}
	case <-time.After(patience):
		s.t.Fatal("the central service does not start")
	}
}

// hear takes what the service has said.
func (s *service) hear(line []string) {
	if len(line) != 6 || line[0] != "counts" {
		return // cut off by a kill
	}
	var n [5]int
	for i, w := range line[1:] {
		var err error
		if n[i], err = strconv.Atoi(w); err != nil {
			s.t.Errorf("the central service says %q", line)
			return
		}
	}
	s.accepted += n[0] - s.last[0]
	s.lookups += n[1] - s.last[1]
	s.redelivered += n[2] - s.last[2]
	s.aside += n[3] - s.last[3]
	s.last = [4]int(n[:4])
	s.memory = max(s.memory, n[4])
}

func (s *service) kill() {
	s.t.Helper()
	s.child.kill(s.hear)
}

// TestCentralKilled has two central services share the visits and the lookups of
// one server, and kills now the one and now the other.
func TestCentralKilled(t *testing.T) {
	r := newRig(t)
	ns, err := natsd.Start(natsd.Options{Dir: t.TempDir(), SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ns.Shutdown)
	p := r.person()
	seed := *r.config.Seed
	seed.People = []central.Person{{Number: p.Number, Name: p.Name, BirthDate: p.BirthDate, BenefitLevel: "4"}}
	r.agent.URLs = []string{ns.ClientURL()}
	c := config{Dir: writeCentral(t, &seed), URLs: r.agent.URLs, Workers: 2}
	services := []*service{{t: t, config: c}, {t: t, config: c}}
	services[0].start() // makes the streams
	services[0].kill()
	// All of it waits in the stream, so that every kill finds visits in the hands
	// of who dies.
	times := max(6, kills(t)/10)
	ids := r.fill(200*times, 0)
	for _, id := range ids {
		r.told[id] = true
	}
	d := r.desk(nil)
	eventually(t, "all in the stream", func() bool {
		st, err := d.queue.Stats(t.Context())
		return err == nil && st.Stored == len(ids)
	})
	for _, s := range services {
		s.start()
	}

	ctx, stop := context.WithCancel(t.Context())
	var asked, unanswered atomic.Int64
	var wg sync.WaitGroup
	for range 4 { // desks
		wg.Go(func() {
			for ctx.Err() == nil {
				resp, err := d.uplink.Ask(ctx, contract.LookupRequest{Number: p.Number, Name: p.Name, BirthDate: p.BirthDate})
				if ctx.Err() != nil {
					return
				}
				if asked.Add(1); err != nil || resp.Entitlement.Status != contract.StatusValid {
					unanswered.Add(1)
					t.Errorf("lookup: %s, %v", resp.Entitlement.Status, err)
				}
				// No faster than the service lets one agent ask: ten times a second.
				time.Sleep(500*time.Millisecond + rand.N(pace))
			}
		})
	}
	defer wg.Wait()
	defer stop()
	for range times {
		d.accepted(t, "accepted by two services", 1+rand.IntN(40))
		time.Sleep(rand.N(20 * time.Millisecond))
		s := services[rand.IntN(len(services))]
		s.kill()
		r.kills++
		d.accepted(t, "accepted by one service", 10)
		s.start()
	}
	stop()
	wg.Wait()
	d.stop()
	r.settle()
	// What died with a service comes to the other one, although its agent may have
	// asked again and been answered by now.
	js := r.connect()
	eventually(t, "nothing left in the stream", func() bool {
		c, err := js.Consumer(t.Context(), contract.VisitStream, "central-intake")
		return err == nil && c.CachedInfo().NumPending == 0 && c.CachedInfo().NumAckPending == 0
	})
	eventually(t, "a kill that left a visit in the middle: else this tests nothing", func() bool {
		redelivered := 0
		for _, s := range services {
			for len(s.child.lines) > 0 {
				s.hear(<-s.child.lines)
			}
			redelivered += s.redelivered
		}
		return redelivered > 0
	})
	if accepted, written := r.records(); written != len(accepted) || len(accepted) != r.recorded {
		t.Errorf("%d on record, written %d times; %d recorded", len(accepted), written, r.recorded)
	}
	for i, s := range services {
		s.kill()
		if s.accepted == 0 || s.lookups == 0 {
			t.Errorf("service %d accepted %d visits and answered %d lookups: it had no share", i+1, s.accepted, s.lookups)
		}
		if s.aside != 0 {
			t.Errorf("service %d set %d visits aside that were no poison", i+1, s.aside)
		}
	}
	t.Logf("accepted at least %d and %d, looked up at least %d and %d; %d lookups asked, %d unanswered",
		services[0].accepted, services[1].accepted, services[0].lookups, services[1].lookups, asked.Load(), unanswered.Load())
}
