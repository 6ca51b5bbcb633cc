package uplink_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
)

// TestTellsItsStatus: who watches hundreds of agents hears from each how it is,
// again and again, and nothing about anybody.
func TestTellsItsStatus(t *testing.T) {
	s := newService(t, natsd.Options{})
	s.answer(func(*nats.Msg) []byte { return nonceFor(t) })
	a := newAgent(t)
	s.enrol(a)
	heard, err := s.nc.SubscribeSync(contract.StatusSubjects)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	issued := contract.Timestamp(time.Now()).Add(-30 * time.Hour)
	cfg := a.config(s.url())
	cfg.StatusEvery = 20 * time.Millisecond
	cfg.Status = func() contract.Status {
		return contract.Status{
			Agent: "somebody", Facility: "*", Queued: 99, // for the uplink to say
			Software: "0.2.0", Build: "c845abf", Reader: contract.ReaderPresent, Trust: issued, Population: issued,
		}
	}
	u, _ := a.run(cfg)
	accepted, rejected, waiting := a.record(), a.record(), a.record()
	eventually(t, "stored, and a nonce", func() bool { _, ok := u.Nonce(); return ok && a.stats().Stored == 3 })
	s.verdict(a.name, accepted, "")
	s.verdict(a.name, rejected, contract.ReasonMalformed)
	s.say(a.name, []byte("{"))
	eventually(t, "settled", func() bool {
		st := a.stats()
		return st.Accepted == 1 && st.Rejected == 1 && u.State(t.Context()).Malformed == 1
	})

	next := func() contract.Status {
		t.Helper()
		m, err := heard.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		st, err := contract.OpenStatus(m.Subject, m.Header, m.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, personal := range []string{secret, "001099000001", accepted, rejected, waiting} {
			if strings.Contains(string(m.Data), personal) {
				t.Errorf("the status holds %q", personal)
			}
		}
		return st
	}
	var got contract.Status
	eventually(t, "a status that tells of all this", func() bool { got = next(); return got.Rejected == 1 && got.Malformed == 1 })
	nonce, _ := u.Nonce()
	want := contract.Status{
		Version: contract.Version, Agent: a.name, Facility: facility, At: got.At, Clock: contract.ClockUnknown,
		Software: "0.2.0", Build: "c845abf", Reader: contract.ReaderPresent, Stored: 1, Rejected: 1, Malformed: 1,
		Nonce: nonce.IssuedAt, Trust: issued, Population: issued,
	}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got.At.IsZero() {
		t.Error("no time")
	}
	// The link goes and comes: so does the status, with what could not be sent.
	s.stop()
	eventually(t, "offline", func() bool { return !u.State(t.Context()).Online })
	a.record()
	s.start()
	if heard, err = s.nc.SubscribeSync(contract.StatusSubjects); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a status after the outage", func() bool { return next().Stored == 2 })
}

// TestStatusOfAQueue: what waits, and since when, by a server that takes nothing.
func TestStatusOfAQueue(t *testing.T) {
	s := newService(t, natsd.Options{})
	a := newAgent(t) // not enrolled, and the stream is gone
	if err := s.js.DeleteStream(t.Context(), contract.VisitStream); err != nil {
		t.Fatal(err)
	}
	heard, err := s.nc.SubscribeSync(contract.StatusSubjects)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	a.record()
	a.record()
	cfg := a.config(s.url())
	cfg.StatusEvery = 20 * time.Millisecond
	cfg.Status = func() contract.Status { return contract.Status{Software: "0.2.0", Clock: contract.ClockSynchronised} }
	a.run(cfg)
	m, err := heard.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	st, err := contract.OpenStatus(m.Subject, m.Header, m.Data)
	if err != nil || st.Queued != 2 || !st.Oldest.Equal(a.stats().Oldest) || st.Oldest.IsZero() || st.Clock != contract.ClockSynchronised {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestStatusThatCannotBeTold: whoever makes it puts a name into it; nobody hears
// it, and everything else goes on.
func TestStatusThatCannotBeTold(t *testing.T) {
	s := newService(t, natsd.Options{})
	a := newAgent(t)
	s.enrol(a)
	heard, err := s.nc.SubscribeSync(contract.StatusSubjects)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	cfg := a.config(s.url())
	cfg.StatusEvery = 4 * time.Millisecond
	cfg.Status = func() contract.Status { return contract.Status{Software: secret} }
	a.run(cfg)
	eventually(t, "said in the log", func() bool { return strings.Contains(a.log.String(), "status was not told") })
	a.record()
	eventually(t, "stored", func() bool { return a.stats().Stored == 1 })
	if n, _, err := heard.Pending(); n != 0 || err != nil {
		t.Errorf("%d heard, %v", n, err)
	}
	if strings.Contains(a.log.String(), secret) {
		t.Error("the log holds the name")
	}
}
