package central_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

// station is an agent with its queue and uplink.
type station struct {
	agent
	t     *testing.T
	queue *outbox.Queue
	cfg   uplink.Config
	log   *syncBuffer
}

func (r *rig) station() *station {
	r.t.Helper()
	st, err := store.Open(filepath.Join(r.t.TempDir(), "agent.db"), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { st.Close() })
	master, err := seal.NewMemoryKey().MasterKey()
	if err != nil {
		r.t.Fatal(err)
	}
	sealer, err := seal.New(master)
	if err != nil {
		r.t.Fatal(err)
	}
	q, err := outbox.Open(st, sealer, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	log := &syncBuffer{}
	return &station{agent: r.agent, t: r.t, queue: q, log: log, cfg: uplink.Config{
		URLs: []string{r.ns.ClientURL()}, Facility: facility, Signer: r.agent, Queue: q,
		Nonces:   uplink.NonceFile(filepath.Join(r.t.TempDir(), "nonce.json")),
		RetryMin: 5 * time.Millisecond, RetryMax: 50 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}}
}

func (s *station) run() (u *uplink.Uplink, stop func()) {
	s.t.Helper()
	u, err := uplink.New(s.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("uplink: Run = %v", err)
		}
	})
	s.t.Cleanup(stop)
	return u, stop
}

func (s *station) record(v *contract.Visit) {
	s.t.Helper()
	m, err := contract.NewVisitMessage(s, v)
	if err != nil {
		s.t.Fatal(err)
	}
	e := outbox.Entry{ID: m.ID, Subject: m.Subject, Header: m.Header, Payload: m.Payload}
	if err := s.queue.Put(s.t.Context(), e); err != nil {
		s.t.Fatal(err)
	}
}

// verdict waits for the verdict of a visit in the queue.
func (s *station) verdict(id string) contract.Verdict {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		_, it, err := s.queue.Get(s.t.Context(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		if it.State == outbox.Accepted || it.State == outbox.Rejected {
			return *it.Verdict
		}
		if time.Now().After(end) {
			s.t.Fatalf("no verdict; the visit is %s; log:\n%s", it.State, s.log)
		}
	}
}

// TestWholeWay takes a citizen from the lookup to the accepted visit, and then
// a copied card to its refusal, between a real agent and a real service.
func TestWholeWay(t *testing.T) {
	doc, clone := document(t, "cccd", chip.TamperNone), document(t, "cccd", chip.TamperClone)
	p := doc.Person
	r := newRig(t, anchors(t, doc, clone), central.Person{
		Number: p.Number, Name: p.Name, BirthDate: contract.Date(p.Birth.Format(time.DateOnly)), BenefitLevel: "4",
	})
	_, stopCentral := r.run()
	s := r.station()
	u, stop := s.run()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, ok := u.Nonce(); ok {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no nonce")
		}
	}
	resp, err := u.Ask(t.Context(), contract.LookupRequest{Number: p.Number, Name: p.Name, BirthDate: contract.Date(p.Birth.Format(time.DateOnly))})
	if err != nil || resp.Entitlement.Status != contract.StatusValid {
		t.Fatalf("lookup: %+v, %v", resp.Entitlement, err)
	}
	nonce, _ := u.Nonce()
	v := newVisit(t, s.agent, doc, &nonce, true)
	v.Entitlement = resp.Entitlement
	s.record(v)
	if got := s.verdict(v.ID); got.State != contract.VerdictAccepted || got.Assurance != contract.AssuranceChip {
		t.Errorf("verdict %s", describe(got))
	}
	bad := newVisit(t, s.agent, clone, &nonce, true)
	s.record(bad)
	if got := s.verdict(bad.ID); got.State != contract.VerdictRejected || got.Reason != contract.ReasonChipSignature {
		t.Errorf("clone: verdict %s", describe(got))
	}

	// Recorded with no server at all, by an agent that ends before it comes
	// back, and judged when nobody listens.
	port := r.ns.Port()
	r.nc.Close()
	r.ns.Shutdown()
	late := newVisit(t, s.agent, doc, &nonce, true)
	s.record(late)
	stop()
	r.startServer(port)
	_, stop = s.run()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		_, it, err := s.queue.Get(t.Context(), late.ID)
		if err != nil {
			t.Fatal(err)
		}
		if it.State != outbox.Queued {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("still queued; log:\n%s", s.log)
		}
	}
	stop() // perhaps before the verdict
	r.drained()
	s.run()
	if got := s.verdict(late.ID); got.State != contract.VerdictAccepted || got.Assurance != contract.AssuranceChip {
		t.Errorf("late: verdict %s", describe(got))
	}
	stopCentral()
	for _, log := range []string{r.log.String(), s.log.String()} {
		for _, datum := range []string{p.Name, p.Number, p.Surname, "1999-01-31"} {
			if strings.Contains(log, datum) {
				t.Errorf("a log holds %q", datum)
			}
		}
	}
}
