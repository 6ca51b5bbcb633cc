package uplink_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/uplink"
)

func TestPublishesInOrder(t *testing.T) {
	s := newService(t, natsd.Options{})
	a := newAgent(t)
	s.enrol(a)
	var want []string
	for range 300 { // more than a window
		want = append(want, a.record())
	}
	u, stop := a.run(a.config(s.url()))
	eventually(t, "all stored", func() bool { return a.stats().Stored == len(want) })
	for range 20 { // and those that are recorded while it runs
		want = append(want, a.record())
	}
	eventually(t, "all stored", func() bool { return a.stats().Stored == len(want) })
	if got := s.ids(); !slices.Equal(got, want) {
		t.Errorf("%d messages in the stream, want the %d recorded, in order", len(got), len(want))
	}
	if st := u.State(t.Context()); !st.Online || st.Queued != 0 || st.Stored != len(want) {
		t.Errorf("state %+v", st)
	}
	// The header carries the agent's signature over the exact bytes.
	stream, err := s.js.Stream(t.Context(), contract.VisitStream)
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := contract.OpenVisit(m.Subject, m.Header, m.Data); err != nil {
		t.Errorf("the message does not open: %v", err)
	}
	stop()
	if strings.Contains(a.log.String(), secret) {
		t.Error("a name is in the log")
	}
}

func TestServerNotThereAtStart(t *testing.T) {
	s := newService(t, natsd.Options{})
	url := s.url()
	a := newAgent(t)
	s.enrol(a)
	s.stop()
	want := []string{a.record(), a.record()}
	changes := make(chan struct{}, 1000)
	cfg := a.config(url)
	cfg.OnState = func() { changes <- struct{}{} }
	u, _ := a.run(cfg)
	a.trouble(u, uplink.Unreachable)
	if st := u.State(t.Context()); st.Online || st.Queued != 2 || st.Since.IsZero() {
		t.Errorf("state %+v, want offline with two queued", st)
	}
	if _, err := u.Ask(t.Context(), request()); !errors.Is(err, uplink.ErrOffline) {
		t.Errorf("Ask = %v, want ErrOffline", err)
	}
	s.start()
	a.online(u)
	eventually(t, "all stored", func() bool { return a.stats().Stored == 2 })
	if got := s.ids(); !slices.Equal(got, want) {
		t.Errorf("stream %v, want %v", got, want)
	}
	if len(changes) < 3 { // offline, its reason, online
		t.Errorf("%d changes were announced", len(changes))
	}
}

// TestServerRestartsWhileDraining restarts the server again and again while
// visits are recorded and published: each is in the stream once, in order.
func TestServerRestartsWhileDraining(t *testing.T) {
	s := newService(t, natsd.Options{SyncAlways: true})
	a := newAgent(t)
	s.enrol(a)
	a.run(a.config(s.url()))
	var want []string
	for i := range 600 {
		want = append(want, a.record())
		if i%100 == 99 { // in the middle of what is on its way
			s.stop()
			for range 30 {
				want = append(want, a.record())
			}
			s.start()
		}
	}
	eventually(t, "all stored", func() bool { return a.stats().Stored == len(want) })
	got := s.ids()
	if !slices.Equal(got, want) {
		t.Errorf("%d messages in the stream, want the %d recorded, each once and in order", len(got), len(want))
	}
}

// TestReturnsInTurn: an agent waits before it looks for a server that it has
// lost, and before it sends what has gathered; not when it was just started.
func TestReturnsInTurn(t *testing.T) {
	s := newService(t, natsd.Options{})
	a := newAgent(t)
	s.enrol(a)
	a.record()
	cfg := a.config(s.url())
	cfg.RetryMax = 6 * time.Second
	u, err := uplink.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	drawn := make(chan time.Duration, 10)
	uplink.SetDraw(u, func(below time.Duration) time.Duration {
		drawn <- below
		return time.Millisecond
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	next := func() time.Duration {
		t.Helper()
		select {
		case d := <-drawn:
			return d
		case <-time.After(patience):
			t.Fatal("the agent did not wait")
			return 0
		}
	}
	eventually(t, "stored", func() bool { return a.stats().Stored == 1 })
	if len(drawn) != 0 {
		t.Errorf("waited below %v at the first start", <-drawn)
	}
	s.stop()
	if d := next(); d != time.Second {
		t.Errorf("looked for the server within %v, want 1s", d)
	}
	a.record()
	s.start()
	if d := next(); d <= 0 || d > cfg.RetryMax {
		t.Errorf("began to send within %v, want the length of the outage", d)
	}
	eventually(t, "stored", func() bool { return a.stats().Stored == 2 })
	// Nothing has gathered: the next visit need not wait.
	s.stop()
	next()
	s.start()
	a.online(u)
	a.record()
	eventually(t, "stored", func() bool { return a.stats().Stored == 3 })
	if len(drawn) != 0 {
		t.Errorf("waited below %v without a backlog", <-drawn)
	}
}

// TestTurnIsDrawnOnce: a link that comes and goes does not put off the turn of an
// agent to send what has gathered.
func TestTurnIsDrawnOnce(t *testing.T) {
	s := newService(t, natsd.Options{})
	a := newAgent(t)
	s.enrol(a)
	cfg := a.config(s.url())
	cfg.RetryMax = 6 * time.Hour
	const look = time.Hour // RetryMax / 6: how a wait for the server is told from one for the turn
	u, err := uplink.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	drawn := make(chan time.Duration, 10)
	uplink.SetDraw(u, func(below time.Duration) time.Duration {
		drawn <- below
		if below == look {
			return time.Millisecond
		}
		return time.Hour
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	a.online(u)
	a.record()
	eventually(t, "stored", func() bool { return a.stats().Stored == 1 })
	next := func() time.Duration {
		t.Helper()
		select {
		case d := <-drawn:
			return d
		case <-time.After(patience):
			t.Fatal("the agent did not wait")
			return 0
		}
	}
	s.stop()
	if d := next(); d != look {
		t.Fatalf("looked for the server within %v", d)
	}
	a.record()
	s.start()
	if d := next(); d == look {
		t.Fatal("lost the server again")
	}
	for range 2 {
		s.stop()
		if d := next(); d != look {
			t.Errorf("drew its turn again, below %v", d)
		}
		s.start()
		a.online(u)
	}
	if st := a.stats(); st.Queued != 1 {
		t.Errorf("%+v, want the visit to wait for its turn", st)
	}
}

func TestAgentRestartsWhileDraining(t *testing.T) {
	s := newService(t, natsd.Options{})
	a := newAgent(t)
	s.enrol(a)
	var want []string
	for range 300 {
		want = append(want, a.record())
	}
	for a.stats().Queued > 0 {
		before := a.stats().Queued
		_, stop := a.run(a.config(s.url()))
		eventually(t, "some stored", func() bool { return a.stats().Queued < before })
		stop()
	}
	if got := s.ids(); !slices.Equal(got, want) {
		t.Errorf("%d messages in the stream, want the %d recorded, each once and in order", len(got), len(want))
	}
}

func TestVerdicts(t *testing.T) {
	s := newService(t, natsd.Options{})
	a, other := newAgent(t), newAgent(t)
	s.enrol(a, other)
	first, second, third := a.record(), a.record(), a.record()
	var mu sync.Mutex
	var moved []outbox.Item
	cfg := a.config(s.url())
	cfg.OnVerdict = func(items []outbox.Item) {
		mu.Lock()
		moved = append(moved, items...)
		mu.Unlock()
	}
	_, stop := a.run(cfg)
	eventually(t, "all stored", func() bool { return a.stats().Stored == 3 })
	s.verdict(a.name, first, "")
	eventually(t, "first accepted", func() bool { return a.stats().Accepted == 1 })
	stop()

	// Given while the agent is off, among things that are no verdict for it.
	s.say(a.name, []byte(`{"version":1,`))
	s.verdict(other.name, third, "")
	foreign := contract.Verdict{
		Version: contract.Version, Visit: third, Agent: other.name, State: contract.VerdictAccepted,
		Assurance: contract.AssuranceDeclared, At: contract.Timestamp(time.Now()),
	}
	b, err := contract.EncodeVerdict(&foreign)
	if err != nil {
		t.Fatal(err)
	}
	s.say(a.name, b)
	s.verdict(a.name, first, "") // again
	s.verdict(a.name, second, contract.ReasonChain)
	s.verdict(a.name, second, contract.ReasonChain)

	_, stop = a.run(cfg)
	eventually(t, "second rejected", func() bool { return a.stats().Rejected == 1 })
	if st := a.stats(); st.Stored != 1 || st.Accepted != 1 {
		t.Errorf("stats %+v, want the third without a verdict", st)
	}
	eventually(t, "all acknowledged", func() bool {
		c, err := s.js.Consumer(t.Context(), "VERDICTS", a.name)
		return err == nil && c.CachedInfo().NumAckPending == 0 && c.CachedInfo().NumPending == 0
	})
	stop()
	mu.Lock()
	defer mu.Unlock()
	var got []string
	for _, it := range moved {
		got = append(got, it.ID+" "+it.State.String())
	}
	if want := []string{first + " accepted", second + " rejected"}; !slices.Equal(got, want) {
		t.Errorf("announced %v, want %v", got, want)
	}
}

func TestFullStream(t *testing.T) {
	s := newService(t, natsd.Options{})
	s.answer(func(*nats.Msg) []byte { return nonceFor(t) })
	limit := func(n int64) {
		t.Helper()
		_, err := s.js.UpdateStream(t.Context(), jetstream.StreamConfig{
			Name: contract.VisitStream, Subjects: []string{contract.VisitSubjects}, Discard: jetstream.DiscardNew, MaxMsgs: n,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit(3)
	a := newAgent(t)
	s.enrol(a)
	var want []string
	for range 8 {
		want = append(want, a.record())
	}
	u, _ := a.run(a.config(s.url()))
	a.trouble(u, uplink.ServerFull)
	if st := u.State(t.Context()); !st.Online || st.Queued != 5 {
		t.Errorf("state %+v, want online with five queued", st)
	}
	limit(-1)
	eventually(t, "all stored", func() bool { return a.stats().Stored == len(want) })
	a.trouble(u, uplink.NoTrouble)
	if got := s.ids(); !slices.Equal(got, want) {
		t.Errorf("stream %v, want %v", got, want)
	}
}

// TestFullStore: the stream has no limit of its own, and the server's store is
// full. It refuses what is new and keeps what it has, for all of it is somebody's
// visit; the agent keeps the rest.
func TestFullStore(t *testing.T) {
	s := newService(t, natsd.Options{MaxStore: 256 << 10})
	a := newAgent(t)
	s.enrol(a)
	var want []string
	for range 400 {
		want = append(want, a.record())
	}
	u, _ := a.run(a.config(s.url()))
	a.trouble(u, uplink.ServerFull)
	st := a.stats()
	if st.Stored == 0 || st.Queued == 0 || st.Stored+st.Queued != len(want) {
		t.Errorf("%+v, want some stored and the others queued", st)
	}
	if got := s.ids(); len(got) < st.Stored || !slices.Equal(got, want[:len(got)]) {
		t.Errorf("%d in the stream, want the first %d, in order", len(got), st.Stored)
	}
	s.stop()
	s.opt.MaxStore = 64 << 20
	s.start()
	eventually(t, "all stored", func() bool { return a.stats().Stored == len(want) })
	if got := s.ids(); !slices.Equal(got, want) {
		t.Errorf("%d in the stream, want the %d recorded, each once and in order", len(got), len(want))
	}
}

func TestVisitTooLargeForTheServer(t *testing.T) {
	tests := []struct {
		name  string
		limit func(*testing.T, *service)
		opt   natsd.Options
	}{
		{"server's limit", func(*testing.T, *service) {}, natsd.Options{MaxPayload: 4096}},
		{"stream's limit", func(t *testing.T, s *service) {
			_, err := s.js.UpdateStream(t.Context(), jetstream.StreamConfig{
				Name: contract.VisitStream, Subjects: []string{contract.VisitSubjects}, Discard: jetstream.DiscardNew, MaxMsgSize: 4096,
			})
			if err != nil {
				t.Fatal(err)
			}
		}, natsd.Options{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t, tt.opt)
			tt.limit(t, s)
			a := newAgent(t)
			s.enrol(a)
			first := a.record()
			large := a.entry()
			large.Payload = append(large.Payload, make([]byte, 8192)...)
			if err := a.queue.Put(t.Context(), large); err != nil {
				t.Fatal(err)
			}
			last := a.record()
			u, _ := a.run(a.config(s.url()))
			eventually(t, "the others stored", func() bool { return a.stats().Stored == 2 })
			a.trouble(u, uplink.TooLarge)
			if got, want := s.ids(), []string{first, last}; !slices.Equal(got, want) {
				t.Errorf("stream %v, want %v", got, want)
			}
			if n := a.stats().Queued; n != 1 {
				t.Errorf("%d queued, want the large one", n)
			}
		})
	}
}

func TestStreamsNotThere(t *testing.T) {
	s := &service{t: t, opt: natsd.Options{Dir: t.TempDir()}}
	s.start()
	a := newAgent(t)
	a.record()
	u, _ := a.run(a.config(s.url()))
	a.trouble(u, uplink.NoService)
	if !u.State(t.Context()).Online {
		t.Error("offline, want online without a service")
	}
	s.streams()
	eventually(t, "stored", func() bool { return a.stats().Stored == 1 })
}

// TestOtherStreamIsNotOurs: a PubAck counts only when it names the stream of
// visits.
func TestOtherStreamIsNotOurs(t *testing.T) {
	s := &service{t: t, opt: natsd.Options{Dir: t.TempDir()}}
	s.start()
	if _, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVERYTHING", Subjects: []string{"ins.>"}}); err != nil {
		t.Fatal(err)
	}
	a := newAgent(t)
	a.record()
	u, _ := a.run(a.config(s.url()))
	a.trouble(u, uplink.NoService)
	if st := a.stats(); st.Queued != 1 {
		t.Errorf("stats %+v, want the visit queued", st)
	}
}

// TestChasesVerdicts: a visit whose verdict never came is sent again under
// another message id, so that the stream does not drop it.
func TestChasesVerdicts(t *testing.T) {
	s := newService(t, natsd.Options{})
	s.answer(func(m *nats.Msg) []byte { return nonceFor(t) })
	a := newAgent(t)
	s.enrol(a)
	id := a.record()
	cfg := a.config(s.url())
	cfg.OverdueAfter = 20 * time.Millisecond
	a.run(cfg)
	eventually(t, "sent again", func() bool { return len(s.ids()) >= 3 })
	ids := s.ids()
	for i, got := range ids {
		if i == 0 && got != id || i > 0 && !strings.HasPrefix(got, id+".") || i > 0 && got == ids[i-1] {
			t.Errorf("message ids %v, want %s and then others that begin so", ids, id)
		}
	}
	s.verdict(a.name, id, "")
	eventually(t, "accepted", func() bool { return a.stats().Accepted == 1 })
}

// TestForeignVisitsAreLeftOut: a visit that was recorded under another key or
// for another facility would be refused by the server without a word.
func TestForeignVisitsAreLeftOut(t *testing.T) {
	s := newService(t, natsd.Options{})
	a := newAgent(t)
	s.enrol(a)
	foreign := a.entry()
	foreign.Subject, _ = contract.VisitSubject("79001", a.name)
	if err := a.queue.Put(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	want := []string{a.record(), a.record()}
	u, _ := a.run(a.config(s.url()))
	eventually(t, "the others stored", func() bool { return a.stats().Stored == 2 })
	a.trouble(u, uplink.Foreign)
	if got := s.ids(); !slices.Equal(got, want) {
		t.Errorf("stream %v, want %v", got, want)
	}
	if n := a.stats().Queued; n != 1 {
		t.Errorf("%d queued, want the foreign one", n)
	}
}

// TestStreamBegunAnew: what was stored in a stream that is gone is sent again as
// soon as that shows.
func TestStreamBegunAnew(t *testing.T) {
	s := newService(t, natsd.Options{})
	a := newAgent(t)
	s.enrol(a)
	want := []string{a.record(), a.record(), a.record()}
	for _, restarted := range []bool{false, true} {
		_, stop := a.run(a.config(s.url()))
		eventually(t, "stored", func() bool { return a.stats().Stored == len(want) })
		if restarted {
			stop() // the next one knows by the queue only
		}
		if err := s.js.DeleteStream(t.Context(), contract.VisitStream); err != nil {
			t.Fatal(err)
		}
		if _, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: contract.VisitStream, Subjects: []string{contract.VisitSubjects}, Discard: jetstream.DiscardNew,
		}); err != nil {
			t.Fatal(err)
		}
		want = append(want, a.record())
		slices.Sort(want)
		if restarted {
			_, stop = a.run(a.config(s.url()))
		}
		eventually(t, "all of them stored anew", func() bool {
			ids := s.ids()
			slices.Sort(ids)
			return slices.Equal(slices.Compact(ids), want) && a.stats().Stored == len(want)
		})
		stop()
	}
}

// TestShortRunsAskAtOnce: a process that ends before a visit is overdue would
// otherwise never ask for its verdict.
func TestShortRunsAskAtOnce(t *testing.T) {
	s := newService(t, natsd.Options{})
	s.answer(func(*nats.Msg) []byte { return nonceFor(t) })
	a := newAgent(t)
	s.enrol(a)
	_, stop := a.run(a.config(s.url()))
	lost, waiting := a.record(), a.record()
	eventually(t, "stored", func() bool { return a.stats().Stored == 2 })
	stop()
	if n := len(s.ids()); n != 2 {
		t.Fatalf("%d messages, want one for each visit that was recorded in this run", n)
	}
	s.verdict(a.name, waiting, "") // it is read before anything is asked

	_, stop = a.run(a.config(s.url()))
	defer stop()
	eventually(t, "asked", func() bool { return len(s.ids()) == 3 })
	if id := s.ids()[2]; !strings.HasPrefix(id, lost+".") {
		t.Errorf("sent again as %s, want %s", id, lost)
	}
	if st := a.stats(); st.Accepted != 1 || st.Stored != 1 {
		t.Errorf("%+v, want one accepted and one stored", st)
	}
}

// TestChasesAcrossAClockThatWasWrong: the clock stood years ahead when the
// visit was stored.
func TestChasesAcrossAClockThatWasWrong(t *testing.T) {
	s := newService(t, natsd.Options{})
	s.answer(func(*nats.Msg) []byte { return nonceFor(t) })
	a := newAgent(t)
	a.queue = openQueueAt(t, filepath.Join(t.TempDir(), "wrong.db"), func() time.Time { return time.Now().AddDate(10, 0, 0) })
	s.enrol(a)
	cfg := a.config(s.url())
	cfg.OverdueAfter = 20 * time.Millisecond
	a.run(cfg)
	a.record()
	eventually(t, "sent again and again", func() bool { return len(s.ids()) >= 3 })
}

// answer answers nonce requests and lookups.
func (s *service) answer(f func(*nats.Msg) []byte) {
	s.t.Helper()
	for _, subject := range []string{contract.NonceSubjects, contract.LookupSubjects} {
		if _, err := s.nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond(f(m)) }); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
}

func nonceFor(t *testing.T) []byte {
	t.Helper()
	value := make([]byte, 32)
	rand.Read(value)
	b, err := contract.EncodeNonce(&contract.Nonce{
		Version: contract.Version, ID: "n", Value: value, IssuedAt: contract.Timestamp(time.Now()),
	})
	if err != nil {
		t.Error(err)
	}
	return b
}

func TestNonceIsRefreshedAndKept(t *testing.T) {
	s := newService(t, natsd.Options{})
	s.answer(func(*nats.Msg) []byte { return nonceFor(t) })
	a := newAgent(t)
	s.enrol(a)
	cfg := a.config(s.url())
	cfg.NonceEvery = 20 * time.Millisecond
	cfg.Nonces = uplink.NonceFile(filepath.Join(t.TempDir(), "nonce.json"))
	u, stop := a.run(cfg)
	eventually(t, "a nonce", func() bool { _, ok := u.Nonce(); return ok })
	first, _ := u.Nonce()
	eventually(t, "another nonce", func() bool { n, _ := u.Nonce(); return string(n.Value) != string(first.Value) })
	s.stop()
	eventually(t, "offline", func() bool { return !u.State(t.Context()).Online })
	last, _ := u.Nonce()
	stop()

	// A station that starts without a link has the last one.
	u, _ = a.run(cfg)
	eventually(t, "the kept nonce", func() bool { _, ok := u.Nonce(); return ok })
	if n, _ := u.Nonce(); string(n.Value) != string(last.Value) || !n.IssuedAt.Equal(last.IssuedAt) {
		t.Error("another nonce than the last")
	}
}

func TestNonceThatIsNone(t *testing.T) {
	s := newService(t, natsd.Options{})
	s.answer(func(*nats.Msg) []byte { return []byte(`{"version":1}`) })
	a := newAgent(t)
	s.enrol(a)
	u, _ := a.run(a.config(s.url()))
	a.trouble(u, uplink.Malformed)
	if _, ok := u.Nonce(); ok {
		t.Error("a nonce was taken over")
	}
}

func request() contract.LookupRequest {
	return contract.LookupRequest{Number: "001099000001", Name: secret, BirthDate: "1999-01-31"}
}

func TestAsk(t *testing.T) {
	s := newService(t, natsd.Options{})
	entitled := contract.Entitlement{
		Source: contract.SourceCentral, AsOf: contract.Timestamp(time.Now()), Status: contract.StatusValid, Code: "000",
	}
	var mode string
	var mu sync.Mutex
	s.answer(func(m *nats.Msg) []byte {
		if strings.HasPrefix(m.Subject, "ins.v1.nonce.") {
			return nonceFor(t)
		}
		r, err := contract.OpenLookup(m.Subject, m.Header, m.Data)
		if err != nil {
			t.Errorf("request: %v", err)
			return nil
		}
		resp := contract.LookupResponse{Version: contract.Version, ID: r.ID, At: r.At, Entitlement: entitled}
		mu.Lock()
		defer mu.Unlock()
		switch mode {
		case "other":
			resp.ID = strings.Replace(r.ID, r.ID[30:], "000000", 1)
		case "garbage":
			return []byte("{}")
		}
		b, err := contract.EncodeLookupResponse(&resp)
		if err != nil {
			t.Errorf("response: %v", err)
		}
		return b
	})
	a := newAgent(t)
	s.enrol(a)
	cfg := a.config(s.url())
	cfg.AskTimeout = 500 * time.Millisecond
	u, stop := a.run(cfg)
	a.online(u)

	resp, err := u.Ask(t.Context(), request())
	if err != nil || resp.Entitlement.Status != contract.StatusValid {
		t.Fatalf("Ask = %+v, %v", resp, err)
	}
	for _, m := range []string{"other", "garbage"} {
		mu.Lock()
		mode = m
		mu.Unlock()
		if resp, err := u.Ask(t.Context(), request()); err == nil || resp.ID != "" {
			t.Errorf("%s: Ask = %+v, %v, want an error", m, resp, err)
		}
	}
	if _, err := u.Ask(t.Context(), contract.LookupRequest{Name: secret}); !errors.Is(err, contract.Missing) {
		t.Errorf("incomplete request: %v, want contract.Missing", err)
	}
	s.nc.Close() // the service is gone, the server is not
	if _, err := u.Ask(t.Context(), request()); !errors.Is(err, uplink.ErrNoAnswer) {
		t.Errorf("without a service: %v, want ErrNoAnswer", err)
	}
	stop()
	if _, err := u.Ask(t.Context(), request()); !errors.Is(err, uplink.ErrOffline) {
		t.Errorf("after Run: %v, want ErrOffline", err)
	}
	if strings.Contains(a.log.String(), secret) || strings.Contains(a.log.String(), "001099000001") {
		t.Error("a person is in the log")
	}
}

// TestPermissions runs an agent with exactly the permissions that it needs, and
// then tries its neighbour's subjects.
func TestPermissions(t *testing.T) {
	a, b := newAgent(t), newAgent(t)
	admin, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	adminName, err := admin.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	users := []natsd.User{{NKey: adminName}}
	for _, x := range []*agent{a, b} {
		publish, subscribe, err := uplink.Permissions(facility, x.name)
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, natsd.User{NKey: x.name, Publish: publish, Subscribe: subscribe})
	}
	s := &service{t: t, opt: natsd.Options{Dir: t.TempDir(), Users: users}, key: admin}
	s.start()
	s.streams()
	s.enrol(a, b)
	s.answer(func(*nats.Msg) []byte { return nonceFor(t) })

	cfg := a.config(s.url())
	u, _ := a.run(cfg)
	a.trouble(u, uplink.Unauthorized) // it has not shown its key

	if cfg.Credentials, err = uplink.NKeyCredentials(a.key); err != nil {
		t.Fatal(err)
	}
	u, _ = a.run(cfg)
	id := a.record()
	eventually(t, "stored", func() bool { return a.stats().Stored == 1 })
	s.verdict(a.name, id, "")
	eventually(t, "accepted; log:\n"+a.log.String(), func() bool { return a.stats().Accepted == 1 })
	eventually(t, "a nonce", func() bool { _, ok := u.Nonce(); return ok })
	if st := u.State(t.Context()); st.Last != uplink.NoTrouble {
		t.Errorf("trouble %q with the permissions of an agent", st.Last)
	}

	// The neighbour, on the same server with its own key.
	nc, err := nats.Connect(s.url(), nats.NoReconnect(), nats.Nkey(b.name, b.key.Sign), nats.CustomInboxPrefix("_INBOX."+b.name),
		nats.PermissionErrOnSubscribe(true), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(300*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	visit, _ := contract.VisitSubject(facility, a.name)
	verdict, _ := contract.VerdictSubject(a.name)
	own, _ := contract.VerdictSubject(b.name)
	lookup, _ := contract.LookupSubject("79001")
	create := "$JS.API.CONSUMER.CREATE.VERDICTS." + b.name
	for _, subject := range []string{visit, verdict, own, lookup, create, create + "." + own, "$JS.API.STREAM.DELETE.VISITS", "$JS.ACK.VERDICTS." + a.name + ".1.1.1.1.1"} {
		if _, err := nc.Request(subject, []byte("{}"), 300*time.Millisecond); err == nil {
			t.Errorf("%s: answered", subject)
		}
	}
	for _, name := range []string{a.name, b.name} {
		_, err := js.CreateOrUpdateConsumer(t.Context(), "VERDICTS", jetstream.ConsumerConfig{Durable: name, FilterSubject: verdict})
		if err == nil {
			t.Errorf("the neighbour's verdicts can be consumed as %q", name)
		}
	}
	if _, err := js.Stream(t.Context(), contract.VisitStream); err == nil {
		t.Error("an agent can look at the stream of visits")
	}
	for _, subject := range []string{visit, verdict, "_INBOX." + a.name + ".>", ">"} {
		sub, err := nc.SubscribeSync(subject)
		if err != nil {
			continue
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := sub.NextMsg(patience); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("subscribing to %s: %v, want a permission violation", subject, err)
		}
	}
}

func TestTLS(t *testing.T) {
	ca, server := certificates(t)
	s := newService(t, natsd.Options{TLS: server})
	a := newAgent(t)
	s.enrol(a)
	a.record()

	cfg := a.config(fmt.Sprintf("tls://127.0.0.1:%d", s.ns.Port()))
	u, stop := a.run(cfg) // the system knows no such authority
	a.trouble(u, uplink.TLSTrouble)
	stop()

	cfg.TLS = &tls.Config{RootCAs: ca, MinVersion: tls.VersionTLS12}
	_, stop = a.run(cfg)
	eventually(t, "stored", func() bool { return a.stats().Stored == 1 })
	stop()

	plain := newService(t, natsd.Options{})
	cfg.URLs = []string{plain.url()} // TLS is wanted and not offered
	u, _ = a.run(cfg)
	a.trouble(u, uplink.TLSTrouble)
}

func certificates(t *testing.T) (*x509.CertPool, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return pool, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

func TestNewRefuses(t *testing.T) {
	a := newAgent(t)
	tests := []struct {
		name   string
		change func(*uplink.Config)
		want   error
	}{
		{"no address", func(c *uplink.Config) { c.URLs = nil }, uplink.ErrAddress},
		{"no scheme", func(c *uplink.Config) { c.URLs = []string{"127.0.0.1:4222"} }, uplink.ErrAddress},
		{"websocket among others", func(c *uplink.Config) { c.URLs = []string{"ws://127.0.0.1:8080", "nats://127.0.0.1:4222"} }, uplink.ErrAddress},
		{"websocket in the clear", func(c *uplink.Config) { c.URLs = []string{"ws://central.example:8080"} }, uplink.ErrPlaintext},
		{"two in one", func(c *uplink.Config) { c.URLs = []string{"nats://127.0.0.1:4222,nats://10.0.0.1"} }, uplink.ErrAddress},
		{"in the clear", func(c *uplink.Config) { c.URLs = []string{"nats://central.example:4222"} }, uplink.ErrPlaintext},
		{"one of two in the clear", func(c *uplink.Config) { c.URLs = append(c.URLs, "nats://10.0.0.1") }, uplink.ErrPlaintext},
		{"verifying nobody", func(c *uplink.Config) {
			c.URLs, c.TLS = []string{"tls://central.example"}, &tls.Config{InsecureSkipVerify: true}
		}, uplink.ErrPlaintext},
		{"no queue", func(c *uplink.Config) { c.Queue = nil }, uplink.ErrConfig},
		{"no key", func(c *uplink.Config) { c.Signer = nil }, uplink.ErrConfig},
		{"facility that is a wildcard", func(c *uplink.Config) { c.Facility = "*" }, contract.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := a.config("nats://127.0.0.1:4222")
			tt.change(&cfg)
			if _, err := uplink.New(cfg); !errors.Is(err, tt.want) {
				t.Errorf("New = %v, want %v", err, tt.want)
			}
		})
	}
	for _, url := range []string{"nats://127.0.0.1", "nats://[::1]:4222", "nats://localhost", "tls://central.example:4222"} {
		if _, err := uplink.New(a.config(url)); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}
