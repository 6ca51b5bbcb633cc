package central_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

func newStatus(t *testing.T, a agent, queued int64) *nats.Msg {
	t.Helper()
	s := &contract.Status{
		Version: contract.Version, Agent: a.name, Facility: facility, At: now(), Software: "v1.2.3",
		Clock: contract.ClockSynchronised, Queued: queued, Trust: now().Add(-time.Hour),
	}
	if queued > 0 {
		s.Oldest = now().Add(-time.Minute)
	}
	m, err := contract.NewStatusMessage(a, s)
	if err != nil {
		t.Fatal(err)
	}
	return &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload}
}

// until waits for something of the counts.
func until(t *testing.T, c *central.Central, what string, reached func(central.Counts) bool) {
	t.Helper()
	for end := time.Now().Add(patience); !reached(c.Counts()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: %+v", what, c.Counts())
		}
	}
}

func TestStatuses(t *testing.T) {
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)))
	other := r.second()
	c, _ := r.run()
	kv, err := r.js.KeyValue(t.Context(), "ins-statuses")
	if err != nil {
		t.Fatal(err)
	}
	of := func(a agent) (st central.AgentStatus, ok bool) {
		t.Helper()
		e, err := kv.Get(t.Context(), a.name)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return st, false
		}
		if err == nil {
			err = json.Unmarshal(e.Value(), &st)
		}
		if err != nil {
			t.Fatal(err)
		}
		return st, true
	}
	send := func(m *nats.Msg) {
		t.Helper()
		if err := r.nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	// The last one counts.
	before := now()
	for i := range int64(3) {
		send(newStatus(t, r.agent, i))
		until(t, c, "status", func(n central.Counts) bool { return n.Statuses == uint64(i)+1 })
	}
	st, ok := of(r.agent)
	if !ok || st.Queued != 2 || st.Software != "v1.2.3" || st.Oldest.IsZero() || st.Trust.IsZero() || st.Heard.Before(before) || st.Heard.After(time.Now()) {
		t.Errorf("%+v", st)
	}

	// What is not an agent's own is not kept.
	stranger := newAgent(t)
	foreign := newStatus(t, other, 1)
	foreign.Subject = newStatus(t, r.agent, 0).Subject
	forged := newStatus(t, r.agent, 1)
	forged.Data = bytes.Replace(forged.Data, []byte(`"queued":1`), []byte(`"queued":9`), 1)
	elsewhere := &contract.Status{Version: contract.Version, Agent: other.name, Facility: "79001", At: now(), Software: "x", Clock: contract.ClockUnknown}
	em, err := contract.NewStatusMessage(other, elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	unreadable := newStatus(t, other, 1)
	unreadable.Data = []byte("{}")
	for _, tt := range []struct {
		name string
		m    *nats.Msg
		want contract.Reason
	}{
		{"nobody's", newStatus(t, stranger, 1), contract.ReasonUnknownAgent},
		{"in another's place", foreign, contract.ReasonSubjectMismatch},
		{"forged", forged, contract.ReasonAgentSignature},
		{"of another facility", &nats.Msg{Subject: em.Subject, Header: nats.Header(em.Header), Data: em.Payload}, contract.ReasonUnknownAgent},
		{"unreadable", unreadable, contract.ReasonAgentSignature},
	} {
		had := c.Counts().StatusesRefused[tt.want]
		send(tt.m)
		until(t, c, tt.name, func(n central.Counts) bool { return n.StatusesRefused[tt.want] == had+1 })
	}
	for _, a := range []agent{other, stranger} {
		if st, ok := of(a); ok {
			t.Errorf("kept: %+v", st)
		}
	}
	if st, _ := of(r.agent); st.Queued != 2 {
		t.Errorf("replaced: %+v", st)
	}

	// One that tells without end is heard sometimes, and keeps nobody from being
	// heard.
	m := newStatus(t, r.agent, 7)
	for range 500 {
		send(m)
	}
	until(t, c, "flood", func(n central.Counts) bool { return n.StatusesRefused[contract.ReasonUnavailable] >= 400 })
	kept := c.Counts().Statuses
	send(newStatus(t, other, 3))
	until(t, c, "the other", func(central.Counts) bool { st, ok := of(other); return ok && st.Queued == 3 })
	if kept > 20 {
		t.Errorf("%d statuses were written", kept)
	}
}
