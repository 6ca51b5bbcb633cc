package central_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

func TestVisitToVerdict(t *testing.T) {
	doc, plain := document(t, "cccd", chip.TamperNone), document(t, "cccd-no-aa", chip.TamperNone)
	r := newRig(t, anchors(t, doc, plain))
	c, stop := r.run()
	vs := r.verdicts(r.agent)
	nonce := r.nonce()

	v := newVisit(t, r.agent, doc, nonce, true)
	r.send(v)
	got := vs.expect(v.ID, contract.AssuranceChip, "")
	if p := got.Presence; p == nil || !p.From.Equal(nonce.IssuedAt) || p.To.Before(p.From) || p.To.After(now().Add(time.Second)) {
		t.Errorf("presence %v, want from the nonce's issue to the arrival", p)
	}
	if got.Agent != r.agent.name {
		t.Errorf("verdict for %s", got.Agent)
	}

	v = newVisit(t, r.agent, plain, nonce, false)
	r.send(v)
	vs.expect(v.ID, contract.AssuranceAttested, "")

	v = declared(t, r.agent)
	r.send(v)
	vs.expect(v.ID, contract.AssuranceDeclared, "")

	stop()
	if n := c.Counts(); n.Accepted != 3 || len(n.Rejected) != 0 || n.Malformed != 0 {
		t.Errorf("counts %+v, want three accepted", n)
	}
	for _, datum := range []string{doc.Person.Name, doc.Person.Number, doc.Person.Surname, "1999-01-31", "990131"} {
		if strings.Contains(r.log.String(), datum) {
			t.Errorf("the log holds %q", datum)
		}
	}
}

// TestRefusals changes one thing at a time in what an agent sends, and looks at
// the verdict. Everything about the evidence itself is in TestAssess.
func TestRefusals(t *testing.T) {
	doc := document(t, "cccd", chip.TamperNone)
	r := newRig(t, anchors(t, doc))
	other, stranger := newAgent(t), newAgent(t)
	r.config.Seed.Agents = append(r.config.Seed.Agents, central.Agent{Key: other.name, Facility: "79001"})
	r.run()
	nonce := r.nonce()
	genuine := func(a agent) *contract.Visit { return newVisit(t, a, doc, nonce, true) }
	message := func(a agent, v *contract.Visit) contract.Message {
		t.Helper()
		m, err := contract.NewVisitMessage(a, v)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}

	tests := []struct {
		name   string
		agent  agent // whose verdict it is
		make   func() contract.Message
		reason contract.Reason
	}{
		{"agent that nobody enrolled", stranger, func() contract.Message { return message(stranger, genuine(stranger)) }, contract.ReasonUnknownAgent},
		{"agent of another facility", other, func() contract.Message { return message(other, genuine(other)) }, contract.ReasonUnknownAgent},
		{"payload changed after signing", r.agent, func() contract.Message {
			m := message(r.agent, genuine(r.agent))
			m.Payload = []byte(strings.Replace(string(m.Payload), "desk 1", "desk 2", 1))
			return m
		}, contract.ReasonAgentSignature},
		{"signature of another message", r.agent, func() contract.Message {
			m := message(r.agent, genuine(r.agent))
			m.Header = message(r.agent, genuine(r.agent)).Header
			return m
		}, contract.ReasonAgentSignature},
		{"no signature", r.agent, func() contract.Message {
			m := message(r.agent, genuine(r.agent))
			m.Header = map[string][]string{}
			return m
		}, contract.ReasonAgentSignature},
		{"signed by another agent", r.agent, func() contract.Message {
			m := message(r.agent, genuine(r.agent))
			h, err := contract.Sign(other, contract.DomainVisit, m.Payload)
			if err != nil {
				t.Fatal(err)
			}
			m.Header = h
			return m
		}, contract.ReasonSubjectMismatch},
		{"signed as a lookup", r.agent, func() contract.Message {
			m := message(r.agent, genuine(r.agent))
			h, err := contract.Sign(r.agent, contract.DomainLookup, m.Payload)
			if err != nil {
				t.Fatal(err)
			}
			m.Header = h
			return m
		}, contract.ReasonAgentSignature},
		{"subject of another facility", r.agent, func() contract.Message {
			m := message(r.agent, genuine(r.agent))
			m.Subject = strings.Replace(m.Subject, facility, "79001", 1)
			return m
		}, contract.ReasonSubjectMismatch},
		{"not JSON", r.agent, func() contract.Message {
			m := message(r.agent, genuine(r.agent))
			return resigned(t, r.agent, m, m.Payload[:len(m.Payload)-1])
		}, contract.ReasonMalformed},
		{"unknown member", r.agent, func() contract.Message {
			m := message(r.agent, genuine(r.agent))
			return resigned(t, r.agent, m, []byte(`{"religion":"x",`+string(m.Payload[1:])))
		}, contract.ReasonMalformed},
		{"version of the future", r.agent, func() contract.Message {
			m := message(r.agent, genuine(r.agent))
			return resigned(t, r.agent, m, []byte(strings.Replace(string(m.Payload), `"version":1`, `"version":2`, 1)))
		}, contract.ReasonUnsupportedVersion},
		{"nonce with another value than ours", r.agent, func() contract.Message {
			forged := *r.nonce()
			forged.Value = flip(forged.Value, 0)
			return message(r.agent, newVisit(t, r.agent, doc, &forged, true))
		}, contract.ReasonNonceUnknown},
		{"old evidence under a new id", r.agent, func() contract.Message {
			v := genuine(r.agent)
			r.send(v)
			v.ID = newID(t)
			return message(r.agent, v)
		}, contract.ReasonChallenge},
		{"evidence of another station", r.agent, func() contract.Message {
			v := genuine(other)
			v.Agent = r.agent.name
			return message(r.agent, v)
		}, contract.ReasonChallenge},
		{"oversized", r.agent, func() contract.Message {
			m := message(r.agent, genuine(r.agent))
			return resigned(t, r.agent, m, append(m.Payload, make([]byte, contract.MaxVisit)...)[:contract.MaxVisit+1])
		}, contract.ReasonMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := tt.make()
			vs := r.verdicts(tt.agent)
			r.publish(m, m.ID)
			for {
				got := vs.next()
				if got.Visit != m.ID {
					continue // of another case
				}
				if got.State != contract.VerdictRejected || got.Reason != tt.reason {
					t.Errorf("verdict %s, want rejected %s", describe(got), tt.reason)
				}
				break
			}
		})
	}
	r.drained()
	// Only what its agent has signed is on record: the nonce, the old evidence
	// with its original, and the other station's evidence.
	if n := r.records(); n != 4 {
		t.Errorf("%d on record, want 4", n)
	}
}

// resigned is a message with another payload, properly signed.
func resigned(t *testing.T, a agent, m contract.Message, payload []byte) contract.Message {
	t.Helper()
	h, err := contract.Sign(a, contract.DomainVisit, payload)
	if err != nil {
		t.Fatal(err)
	}
	m.Payload, m.Header = payload, h
	return m
}

func TestSameIDCountsOnce(t *testing.T) {
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)))
	r.config.Workers = 4
	c1, stop1 := r.run()
	c2, stop2 := r.run() // a second process
	vs := r.verdicts(r.agent)
	const visits, times = 20, 5
	for range visits {
		v := declared(t, r.agent)
		m, err := contract.NewVisitMessage(r.agent, v)
		if err != nil {
			t.Fatal(err)
		}
		for i := range times { // the stream cannot tell that they are the same
			r.publish(m, m.ID+"."+string(rune('a'+i)))
		}
	}
	r.drained()
	said := make(map[string]int)
	for range visits * times {
		v := vs.next()
		if v.State != contract.VerdictAccepted {
			t.Errorf("verdict %s", describe(v))
		}
		said[v.Visit]++
	}
	stop1()
	stop2()
	a, b := c1.Counts(), c2.Counts()
	if n := a.Accepted + b.Accepted; n != visits {
		t.Errorf("%d counted, want %d", n, visits)
	}
	if n := a.Repeated + b.Repeated; n != visits*(times-1) {
		t.Errorf("%d recognised as repeated, want %d", n, visits*(times-1))
	}
	if n := r.records(); n != visits {
		t.Errorf("%d on record, want %d", n, visits)
	}
	if len(said) != visits {
		t.Errorf("verdicts for %d visits, want %d", len(said), visits)
	}
}

func TestSameIDWithOtherContents(t *testing.T) {
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)))
	other := newAgent(t)
	r.config.Seed.Agents = append(r.config.Seed.Agents, central.Agent{Key: other.name, Facility: facility})
	r.run()
	vs := r.verdicts(r.agent)
	v := declared(t, r.agent)
	r.send(v)
	first := vs.expect(v.ID, contract.AssuranceDeclared, "")

	theirs := declared(t, other)
	theirs.ID = v.ID
	m, err := contract.NewVisitMessage(other, theirs)
	if err != nil {
		t.Fatal(err)
	}
	r.publish(m, "x") // the stream would drop it under its own id
	r.verdicts(other).expect(v.ID, "", contract.ReasonConflict)

	// The visit that owns the id keeps its verdict.
	m, err = contract.NewVisitMessage(r.agent, v)
	if err != nil {
		t.Fatal(err)
	}
	r.publish(m, "y")
	if again := vs.expect(v.ID, contract.AssuranceDeclared, ""); !again.At.Equal(first.At) {
		t.Error("a new verdict was made for a visit that has one")
	}
	if n := r.records(); n != 1 {
		t.Errorf("%d on record, want 1", n)
	}
}

// TestUnknownNonce: the store was lost, or restored from yesterday's copy, while
// stations with its nonces were offline.
func TestUnknownNonce(t *testing.T) {
	doc := document(t, "cccd", chip.TamperNone)
	r := newRig(t, anchors(t, doc))
	r.run()
	v := newVisit(t, r.agent, doc, newNonce(now()), true)
	r.send(v)
	r.verdicts(r.agent).expect(v.ID, contract.AssuranceAttested, "")
	kv, err := r.js.KeyValue(t.Context(), "ins-visits")
	if err != nil {
		t.Fatal(err)
	}
	e, err := kv.Get(t.Context(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(e.Value()), `"doubt":"nonce_unknown"`) {
		t.Error("the record does not say why it is only attested")
	}
}

// TestInsuranceNumberIsTheHolders: a chip does not hold it, so the insurer's own
// record decides whose it is.
func TestInsuranceNumberIsTheHolders(t *testing.T) {
	doc := document(t, "cccd", chip.TamperNone)
	const own, others, bare, nobodys = "GD4010100000001", "GD4010100000002", "0100000001", "GD4010100000009"
	r := newRig(t, anchors(t, doc),
		central.Person{Number: doc.Person.Number, InsuranceNumber: own, Name: doc.Person.Name, BirthDate: contract.Date(doc.Person.Birth.Format(time.DateOnly))},
		central.Person{InsuranceNumber: others, Name: "Trần Thị Mẫu", BirthDate: "1950"},
		central.Person{Number: "001099000009", InsuranceNumber: "GD4010100000003", Name: doc.Person.Name, BirthDate: contract.Date(doc.Person.Birth.Format(time.DateOnly))})
	r.run()
	vs := r.verdicts(r.agent)
	nonce := r.nonce()
	for _, tt := range []struct {
		number string
		reason contract.Reason
	}{
		{own, ""},
		{bare, ""},
		{others, contract.ReasonPersonMismatch},
		{nobodys, contract.ReasonPersonMismatch},
		{"GD4010100000003", contract.ReasonPersonMismatch}, // the same name and birth date
	} {
		v := newVisit(t, r.agent, doc, nonce, true)
		v.Person.InsuranceNumber = tt.number
		r.send(v)
		assurance := contract.AssuranceChip
		if tt.reason != "" {
			assurance = ""
		}
		vs.expect(v.ID, assurance, tt.reason)
	}
}

// TestReconsidersInAStreamBegunAnew: the numbers of messages begin at one again.
func TestReconsidersInAStreamBegunAnew(t *testing.T) {
	doc, plain := document(t, "cccd", chip.TamperNone), document(t, "cccd-no-aa", chip.TamperNone)
	r := newRig(t, anchors(t, plain))
	_, stop := r.run()
	first := declared(t, r.agent) // the visit below is not the first message
	r.send(first)
	vs := r.verdicts(r.agent)
	vs.expect(first.ID, contract.AssuranceDeclared, "") // two workers keep no order
	v := newVisit(t, r.agent, doc, r.nonce(), true)
	r.send(v)
	vs.expect(v.ID, "", contract.ReasonNoTrustAnchor)
	stop()
	if err := r.js.DeleteStream(t.Context(), contract.VisitStream); err != nil {
		t.Fatal(err)
	}
	r.config.Anchors = anchors(t, plain, doc)
	r.run()
	r.send(v)
	vs.expect(v.ID, contract.AssuranceChip, "")
}

// TestRejectedIsReconsidered: the trust anchor arrives, the visit is sent again.
func TestRejectedIsReconsidered(t *testing.T) {
	doc, other := document(t, "cccd-no-aa", chip.TamperNone), document(t, "cccd", chip.TamperNone)
	r := newRig(t, anchors(t, other))
	c, stop := r.run()
	vs := r.verdicts(r.agent)
	v := newVisit(t, r.agent, doc, nil, false)
	m, err := contract.NewVisitMessage(r.agent, v)
	if err != nil {
		t.Fatal(err)
	}
	r.publish(m, m.ID)
	vs.expect(v.ID, "", contract.ReasonNoTrustAnchor)
	r.publish(m, m.ID+".1")
	vs.expect(v.ID, "", contract.ReasonNoTrustAnchor)
	stop()
	if n := c.Counts().Rejected[contract.ReasonNoTrustAnchor]; n != 2 {
		t.Errorf("%d rejections, want 2", n)
	}

	r.config.Anchors = anchors(t, other, doc)
	r.run()
	r.publish(m, m.ID+".2")
	vs.expect(v.ID, contract.AssuranceAttested, "")
	r.publish(m, m.ID+".3")
	vs.expect(v.ID, contract.AssuranceAttested, "")
	if n := r.records(); n != 1 {
		t.Errorf("%d on record, want 1", n)
	}
}

// TestPoisonIsIsolated: messages that are no visits come to an end, and those
// behind them get their verdicts.
func TestPoisonIsIsolated(t *testing.T) {
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)))
	r.config.Workers = 1
	c, stop := r.run()
	vs := r.verdicts(r.agent)
	subject, err := contract.VisitSubject(facility, r.agent.name)
	if err != nil {
		t.Fatal(err)
	}
	garbage := [][]byte{nil, []byte("{"), []byte(strings.Repeat("[", 90<<10)), {0xff, 0xfe}, []byte(`{"version":1}`)}
	for _, b := range garbage {
		r.publish(contract.Message{Subject: subject, Payload: b, Header: map[string][]string{}}, "")                     // nobody to tell
		r.publish(contract.Message{Subject: "ins.v1.visit.01013.NOBODY", Payload: b, Header: map[string][]string{}}, "") // no agent
	}
	v := declared(t, r.agent)
	r.send(v)
	vs.expect(v.ID, contract.AssuranceDeclared, "")
	r.drained()
	stop()
	n := c.Counts()
	if int(n.Malformed) != len(garbage) || int(n.Rejected[contract.ReasonAgentSignature]) != len(garbage) || n.Redelivered != 0 || n.Postponed != 0 {
		t.Errorf("counts %+v, want %d of each kind and no redelivery", n, len(garbage))
	}
	if r.records() != 1 {
		t.Errorf("%d on record, want 1", r.records())
	}

	// What is larger than any visit does not get into the stream.
	msg := &nats.Msg{Subject: subject, Data: make([]byte, contract.MaxVisit+8<<10)}
	if _, err := r.js.PublishMsg(t.Context(), msg); !errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum) {
		t.Errorf("oversized: %v, want a refusal by the stream", err)
	}
}

// TestRedeliveryAfterACrash stops between the steps of an intake: the record is
// written and the verdict is not; the verdict is out and the message is not
// acknowledged.
func TestRedeliveryAfterACrash(t *testing.T) {
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)))
	_, stop := r.run()
	vs := r.verdicts(r.agent)
	v := declared(t, r.agent)
	r.send(v)
	vs.expect(v.ID, contract.AssuranceDeclared, "")
	r.drained()
	stop()

	// The consumer forgets that it had the message, as after a crash before
	// the acknowledgement. The verdict is a duplicate then.
	if err := r.js.DeleteConsumer(t.Context(), contract.VisitStream, "central-intake"); err != nil {
		t.Fatal(err)
	}
	c, stop := r.run()
	r.drained()
	stop()
	if n := c.Counts(); n.Accepted != 0 || n.Repeated != 1 {
		t.Errorf("counts %+v, want one repeated", n)
	}
	if n := r.verdictCount(); n != 1 {
		t.Errorf("%d verdicts, want 1", n)
	}

	// The same, but the verdict was not published either.
	if err := r.js.DeleteConsumer(t.Context(), contract.VisitStream, "central-intake"); err != nil {
		t.Fatal(err)
	}
	if err := r.js.DeleteStream(t.Context(), "VERDICTS"); err != nil {
		t.Fatal(err)
	}
	c, stop = r.run()
	r.drained()
	stop()
	if n := c.Counts(); n.Accepted != 0 || n.Repeated != 1 {
		t.Errorf("counts %+v, want one repeated", n)
	}
	if n := r.verdictCount(); n != 1 {
		t.Errorf("%d verdicts, want the one on record", n)
	}
	if n := r.records(); n != 1 {
		t.Errorf("%d on record, want 1", n)
	}
}

func (r *rig) verdictCount() int {
	r.t.Helper()
	s, err := r.js.Stream(r.t.Context(), "VERDICTS")
	if err != nil {
		r.t.Fatal(err)
	}
	return int(s.CachedInfo().State.Msgs)
}

func TestServerRestarts(t *testing.T) {
	doc := document(t, "cccd", chip.TamperNone)
	r := newRig(t, anchors(t, doc))
	c, stop := r.run()
	nonce := r.nonce()
	var ids []string
	for i := range 90 {
		v := declared(t, r.agent)
		if i == 45 {
			v = newVisit(t, r.agent, doc, nonce, true) // the nonce outlives the server
		}
		r.send(v)
		ids = append(ids, v.ID)
		if i%30 == 20 {
			port := r.ns.Port()
			r.nc.Close()
			r.ns.Shutdown()
			r.startServer(port)
		}
	}
	vs := r.verdicts(r.agent)
	want := make(map[string]bool)
	for _, id := range ids {
		want[id] = true
	}
	for len(want) > 0 {
		v := vs.next()
		if v.State != contract.VerdictAccepted {
			t.Errorf("verdict %s", describe(v))
		}
		delete(want, v.Visit)
	}
	stop()
	if n := r.records(); n != len(ids) {
		t.Errorf("%d on record, want %d", n, len(ids))
	}
	if n := c.Counts().Accepted; int(n) != len(ids) {
		t.Errorf("%d counted, want %d", n, len(ids))
	}
}

// TestStoreDisappears: whatever is taken away is made again, and seeded.
func TestStoreDisappears(t *testing.T) {
	t.Parallel() // it waits for the service to look
	for _, name := range []string{"VISITS", "VERDICTS", "KV_ins-visits", "KV_ins-nonces", "KV_ins-agents", "KV_ins-people", "KV_ins-keys", "KV_ins-statuses"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)), central.Person{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999"})
			r.run()
			if err := r.js.DeleteStream(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			// Somebody needs what is gone; until then nothing is lost.
			nonce, err := contract.NonceSubject(facility)
			if err != nil {
				t.Fatal(err)
			}
			v := declared(t, r.agent)
			m, err := contract.NewVisitMessage(r.agent, v)
			if err != nil {
				t.Fatal(err)
			}
			kv := func(bucket string) bool {
				b, err := r.js.KeyValue(t.Context(), bucket)
				if err != nil {
					return false
				}
				st, err := b.Status(t.Context())
				return err == nil && st.Values() > 0
			}
			for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
				answer, err := r.nc.Request(nonce, nil, time.Second)
				answered := err == nil && len(answer.Data) > 0
				_, err = r.js.PublishMsg(t.Context(), &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload})
				_, gone := r.js.Stream(t.Context(), contract.VerdictStream)
				_, still := r.js.Stream(t.Context(), name)
				if answered && err == nil && gone == nil && still == nil && kv("ins-keys") && kv("ins-agents") && kv("ins-people") && kv("ins-visits") && r.verdictCount() > 0 {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("it does not come back; log:\n%s", r.log)
				}
			}
			r.verdicts(r.agent).expect(v.ID, contract.AssuranceDeclared, "")
		})
	}
}

func TestServerNotThereAtStart(t *testing.T) {
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)))
	port := r.ns.Port()
	r.nc.Close()
	r.ns.Shutdown()
	ready := make(chan struct{}, 1)
	go func() {
		defer close(ready)
		for !strings.Contains(r.log.String(), "not serving") {
			time.Sleep(time.Millisecond)
		}
	}()
	started := make(chan struct{})
	go func() {
		defer close(started)
		<-ready
		r.startServer(port)
	}()
	r.run()
	<-started
	v := declared(t, r.agent)
	r.send(v)
	r.verdicts(r.agent).expect(v.ID, contract.AssuranceDeclared, "")
}

func TestNewRefuses(t *testing.T) {
	pool := anchors(t, document(t, "cccd-no-aa", chip.TamperNone))
	url := []string{"nats://127.0.0.1:4222"}
	tests := []struct {
		name string
		cfg  central.Config
		want error
	}{
		{"no anchors", central.Config{URLs: url}, central.ErrNoAnchors},
		{"empty anchors", central.Config{URLs: url, Anchors: trust.NewPool()}, central.ErrNoAnchors},
		{"no address", central.Config{Anchors: pool}, central.ErrAddress},
		{"in the clear", central.Config{URLs: []string{"nats://10.0.0.1"}, Anchors: pool}, central.ErrPlaintext},
		{"workers", central.Config{URLs: url, Anchors: pool, Workers: -1}, central.ErrConfig},
		{"seed", central.Config{URLs: url, Anchors: pool, Seed: &central.Seed{Agents: []central.Agent{{}}}}, central.ErrSeed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := central.New(tt.cfg); !errors.Is(err, tt.want) {
				t.Errorf("New = %v, want %v", err, tt.want)
			}
		})
	}
}
