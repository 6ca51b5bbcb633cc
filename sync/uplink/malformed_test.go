package uplink_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/uplink"
)

// garbage is what no message of the central service looks like.
func garbage() [][]byte {
	return [][]byte{
		nil, []byte("{"), []byte("null"), []byte(`{"version":1}`), []byte(`{"version":2,"visit":"x"}`), []byte(`"verdict"`),
		{0xff, 0xfe, 0x00},
		[]byte(`{"version":1,"agent":"` + "\xc3\x28" + `"}`),
		[]byte(strings.Repeat("[", 50_000)), []byte(`{"later":` + strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_001)),
		[]byte(`{"version":1,"version":1}`), make([]byte, 900_000),
	}
}

// TestMalformedVerdicts: what is no verdict, or not this agent's, is counted and
// dropped, and the next one is read.
func TestMalformedVerdicts(t *testing.T) {
	s := newService(t, natsd.Options{})
	s.answer(func(*nats.Msg) []byte { return nonceFor(t) })
	a, other := newAgent(t), newAgent(t)
	s.enrol(a)
	mine, unheard := a.record(), a.record()
	var moved atomic.Int64
	cfg := a.config(s.url())
	cfg.OnVerdict = func(items []outbox.Item) { moved.Add(int64(len(items))) }
	u, stop := a.run(cfg)
	eventually(t, "stored", func() bool { return a.stats().Stored == 2 })

	bad := garbage()
	for _, b := range bad {
		s.say(a.name, b)
	}
	good, err := contract.EncodeVerdict(&contract.Verdict{
		Version: contract.Version, Visit: unheard, Agent: other.name, State: contract.VerdictRejected, Reason: contract.ReasonMalformed,
		At: contract.Timestamp(time.Now()),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.say(a.name, good)                                                              // of another agent
	s.say(a.name, []byte(strings.Replace(string(good), "rejected", "forgotten", 1))) // a state that does not exist
	id, err := contract.NewID(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.verdict(a.name, id, "") // for a visit that it does not have: nothing is wrong with the message
	s.verdict(a.name, mine, "")
	eventually(t, "accepted", func() bool { return a.stats().Accepted == 1 })
	if st := a.stats(); st.Stored != 1 || st.Rejected != 0 {
		t.Errorf("%+v: a verdict that is none has moved a visit", st)
	}
	if got, want := u.State(t.Context()).Malformed, uint64(len(bad)+2); got != want {
		t.Errorf("%d counted, want %d", got, want)
	}
	eventually(t, "nothing comes again", func() bool {
		c, err := s.js.Consumer(t.Context(), contract.VerdictStream, a.name)
		return err == nil && c.CachedInfo().NumAckPending == 0 && c.CachedInfo().NumPending == 0
	})
	stop()
	if n := moved.Load(); n != 1 {
		t.Errorf("%d entries moved, want 1", n)
	}
}

// TestMalformedAnswers: each is a typed error, is counted, and the next question
// is answered.
func TestMalformedAnswers(t *testing.T) {
	s := newService(t, natsd.Options{})
	var say atomic.Pointer[[]byte] // nil: the truth
	entitled := contract.Entitlement{
		Source: contract.SourceCentral, AsOf: contract.Timestamp(time.Now()), Status: contract.StatusValid, Code: "000",
	}
	s.answer(func(m *nats.Msg) []byte {
		if b := say.Load(); b != nil {
			return *b
		}
		if strings.HasPrefix(m.Subject, "ins.v1.nonce.") {
			return nonceFor(t)
		}
		r, err := contract.OpenLookup(m.Subject, m.Header, m.Data)
		if err != nil {
			t.Errorf("request: %v", err)
			return nil
		}
		b, err := contract.EncodeLookupResponse(&contract.LookupResponse{Version: contract.Version, ID: r.ID, At: r.At, Entitlement: entitled})
		if err != nil {
			t.Errorf("response: %v", err)
		}
		return b
	})
	a := newAgent(t)
	s.enrol(a)
	cfg := a.config(s.url())
	cfg.NonceEvery = time.Hour
	cfg.AskTimeout = patience
	u, _ := a.run(cfg)
	eventually(t, "a nonce", func() bool { _, ok := u.Nonce(); return ok })
	another := slices.Concat([]byte(`{"version":1,"id":"00000000-0000-7000-8000-000000000000","at":"2026-01-01T00:00:00Z",`),
		[]byte(`"entitlement":{"source":"central","asOf":"2026-01-01T00:00:00Z","status":"valid","code":"000"}}`))
	bad := append(garbage(), another)
	for i, b := range bad {
		say.Store(&b)
		if resp, err := u.Ask(t.Context(), request()); !errors.Is(err, uplink.ErrMalformed) || resp.ID != "" {
			t.Errorf("answer %d: %v, want ErrMalformed", i, err)
		}
		say.Store(nil)
		if _, err := u.Ask(t.Context(), request()); err != nil {
			t.Errorf("after answer %d: %v", i, err)
		}
	}
	if n := u.State(t.Context()).Malformed; n != uint64(len(bad)) {
		t.Errorf("%d counted, want %d", n, len(bad))
	}
}

// TestMalformedNonces: the old nonce stays until there is a new one.
func TestMalformedNonces(t *testing.T) {
	s := newService(t, natsd.Options{})
	var turn atomic.Int64
	bad := garbage()
	s.answer(func(*nats.Msg) []byte {
		switch i := turn.Add(1) - 1; {
		case i == 0 || i > int64(len(bad)):
			return nonceFor(t)
		default:
			return bad[i-1]
		}
	})
	a := newAgent(t)
	s.enrol(a)
	cfg := a.config(s.url())
	cfg.NonceEvery = 4 * time.Millisecond
	u, _ := a.run(cfg)
	eventually(t, "all of them", func() bool {
		if _, ok := u.Nonce(); !ok && turn.Load() > 1 {
			t.Error("the nonce is gone")
		}
		return u.State(t.Context()).Malformed == uint64(len(bad)) && u.State(t.Context()).Last == uplink.NoTrouble
	})
}

// TestAsksAgain: a request that gets lost, because who had it died, is sent once
// more within the time limit.
func TestAsksAgain(t *testing.T) {
	s := newService(t, natsd.Options{})
	var asked atomic.Int64
	if _, err := s.nc.Subscribe(contract.LookupSubjects, func(m *nats.Msg) {
		if asked.Add(1) == 1 {
			return // dies
		}
		r, err := contract.OpenLookup(m.Subject, m.Header, m.Data)
		if err != nil {
			t.Errorf("request: %v", err)
			return
		}
		b, err := contract.EncodeLookupResponse(&contract.LookupResponse{
			Version: contract.Version, ID: r.ID, At: r.At,
			Entitlement: contract.Entitlement{Source: contract.SourceCentral, AsOf: r.At, Status: contract.StatusValid, Code: "000"},
		})
		if err != nil {
			t.Errorf("response: %v", err)
		}
		_ = m.Respond(b)
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	a := newAgent(t)
	s.enrol(a)
	cfg := a.config(s.url())
	cfg.AskTimeout = patience
	u, _ := a.run(cfg)
	a.online(u)
	if _, err := u.Ask(t.Context(), request()); err != nil {
		t.Errorf("Ask = %v", err)
	}
	if n := asked.Load(); n < 2 {
		t.Errorf("asked %d times", n)
	}
}
