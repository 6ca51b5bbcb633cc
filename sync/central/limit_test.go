package central_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

// second enrols another agent of the same facility.
func (r *rig) second() agent {
	a := newAgent(r.t)
	r.config.Seed.Agents = append(r.config.Seed.Agents, central.Agent{Key: a.name, Facility: facility})
	return a
}

// flood publishes a message many times, and returns when the server has them all.
func (r *rig) flood(n int, m *nats.Msg) {
	r.t.Helper()
	m.Reply = nats.NewInbox()
	for range n {
		if err := r.nc.PublishMsg(m); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := r.nc.FlushTimeout(patience); err != nil {
		r.t.Fatal(err)
	}
}

// lookupMessage is a lookup as an agent signs it.
func (r *rig) lookupMessage(a agent) *nats.Msg {
	r.t.Helper()
	m, err := contract.NewLookupMessage(a, &contract.LookupRequest{
		Version: contract.Version, ID: newID(r.t), Facility: facility, Agent: a.name, At: now(),
		Number: thu.Number, Name: thu.Name, BirthDate: thu.BirthDate,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload}
}

// TestLookupsAreLimited: an agent that asks without end is put off, the one beside it
// is answered, also when the first speaks in its name.
func TestLookupsAreLimited(t *testing.T) {
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)), thu)
	rogue := r.second()
	c, stop := r.run()
	const asked = 3000
	r.flood(asked, r.lookupMessage(rogue))
	forged := r.lookupMessage(r.agent)
	forged.Data = bytes.Replace(forged.Data, []byte(thu.Number), []byte("001099000002"), 1)
	r.flood(1000, forged)
	for i := range 50 {
		if !r.knows(thu) {
			t.Fatalf("lookup %d of the other agent is not answered", i)
		}
	}
	stop()
	n := c.Counts()
	if n.Limited < asked/3 || n.Lookups < 50+300 || n.Refused[contract.ReasonAgentSignature] != 1000 {
		t.Errorf("%d answered, %d put off, refused %v", n.Lookups, n.Limited, n.Refused)
	}
}

// TestBundlesAndNoncesAreLimited: whoever asks for lists or nonces without end is put
// off, and holds up nobody else.
func TestBundlesAndNoncesAreLimited(t *testing.T) {
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)), thu)
	rogue := r.second()
	c, stop := r.run()
	m, err := contract.NewBundleRequestMessage(rogue, &contract.BundleRequest{
		Version: contract.Version, ID: newID(t), Facility: facility, Agent: rogue.name, At: now(), Kind: contract.BundleTrust,
	})
	if err != nil {
		t.Fatal(err)
	}
	const asked = 5000
	limited := func(what string, m *nats.Msg) {
		t.Helper()
		before := c.Counts().Limited
		r.flood(asked, m)
		if !r.knows(thu) {
			t.Errorf("a flood of %s: the lookup of the other agent is not answered", what)
		}
		for end := time.Now().Add(patience); c.Counts().Limited < before+asked/3; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d of %d %s put off", c.Counts().Limited-before, asked, what)
			}
		}
	}
	limited("bundles", &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload})
	subject, err := contract.NonceSubject("01014") // the other facility's, not this one's
	if err != nil {
		t.Fatal(err)
	}
	limited("nonces", &nats.Msg{Subject: subject})
	r.nonce()
	stop()
}

// TestRefusedVisitsAreLimited: of an agent whose visits are not what they should be,
// only some are told what is wrong. What it sends that is right is judged as ever.
func TestRefusedVisitsAreLimited(t *testing.T) {
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)))
	rogue := r.second()
	c, stop := r.run()
	bad := func(a agent) contract.Message {
		m, err := contract.NewVisitMessage(a, declared(t, a))
		if err != nil {
			t.Fatal(err)
		}
		m.Payload = bytes.Replace(m.Payload, []byte("001099000001"), []byte("001099000002"), 1)
		return m
	}
	const sent = 180
	for range sent {
		m := bad(rogue)
		r.publish(m, m.ID)
	}
	good := declared(t, rogue)
	r.sendAs(rogue, good)
	others := bad(r.agent)
	r.publish(others, others.ID)
	r.verdicts(r.agent).expect(others.ID, "", contract.ReasonAgentSignature)
	r.drained()
	stop()

	told := 0
	for vs := r.verdicts(rogue); ; {
		v := vs.next()
		if v.Visit == good.ID {
			if v.State != contract.VerdictAccepted {
				t.Errorf("a good visit: %s", describe(v))
			}
			break
		}
		if v.Reason != contract.ReasonAgentSignature {
			t.Errorf("%s", describe(v))
		}
		told++
	}
	n := c.Counts()
	// The good one may be told before the last bad ones.
	if told > 140 || int(n.Untold) < sent-140 || n.Rejected[contract.ReasonAgentSignature]+n.Untold != sent+1 || n.Accepted != 1 {
		t.Errorf("%d told, %d not, rejected %v, accepted %d", told, n.Untold, n.Rejected, n.Accepted)
	}
	if lines := strings.Count(r.log.String(), "visit refused"); lines > 141 {
		t.Errorf("%d lines in the log", lines)
	}
}

// TestLimiter: what is spent comes back with time, and one key's is not another's.
func TestLimiter(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	l := central.NewLimiter(1, 3, 2)
	for i := range 5 {
		if got := l.Allow("a", at); got != (i < 3) {
			t.Errorf("a, %d: %v", i, got)
		}
	}
	if !l.Spent("a", at) || l.Spent("b", at) || !l.Allow("b", at) {
		t.Error("a and b")
	}
	if l.Spent("a", at.Add(time.Second)) || !l.Allow("a", at.Add(time.Second)) || l.Allow("a", at.Add(time.Second)) {
		t.Error("a second later")
	}
	// There is room for two: b has waited long enough to be forgotten, a has not.
	l.Allow("a", at.Add(10*time.Second))
	l.Allow("a", at.Add(10*time.Second))
	l.Allow("a", at.Add(10*time.Second))
	if !l.Allow("c", at.Add(10*time.Second)) || l.Len() != 2 || !l.Spent("a", at.Add(10*time.Second)) {
		t.Errorf("%d keys", l.Len())
	}
	for _, key := range []string{"d", "e", "f"} {
		l.Allow(key, at.Add(10*time.Second))
	}
	if l.Len() != 2 {
		t.Errorf("%d keys", l.Len())
	}
}
