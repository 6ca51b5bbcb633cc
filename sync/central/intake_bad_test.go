package central_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

// spoilt returns versions of a payload that no reader may take.
func spoilt(good []byte) map[string][]byte {
	inside := func(more string) []byte { return append([]byte("{"+more+","), good[1:]...) }
	return map[string][]byte{
		"empty":              nil,
		"no JSON":            []byte("visit"),
		"null":               []byte("null"),
		"array":              []byte("[]"),
		"cut off":            good[:len(good)-1],
		"trailing":           append(bytes.Clone(good), good...),
		"invalid UTF-8":      bytes.Replace(good, []byte(facility), []byte("01\xff13"), 1),
		"zero byte":          bytes.Replace(good, []byte(facility), []byte("01\x0013"), 1),
		"deep":               []byte(strings.Repeat("[", 8000)),
		"deep member":        inside(`"person":` + strings.Repeat(`{"person":`, 500) + "1" + strings.Repeat("}", 500)),
		"unknown member":     inside(`"religion":"x"`),
		"duplicate member":   inside(`"facility":"` + facility + `"`),
		"member in capitals": bytes.Replace(good, []byte(`"facility"`), []byte(`"Facility"`), 1),
		"number for a text":  bytes.Replace(good, []byte(`"facility":"`+facility+`"`), []byte(`"facility":1013`), 1),
		"facility with dots": bytes.Replace(good, []byte(facility), []byte("01.>"), 1),
		"local time":         bytes.Replace(good, []byte(`Z"`), []byte(`+07:00"`), 1),
	}
}

// beside runs a bystander: a good visit and a good lookup next to everything bad.
type beside struct {
	*rig
	a        agent
	vs       *verdicts
	question contract.LookupRequest
	visits   int
	lookups  int
}

func (b *beside) unharmed(t *testing.T) {
	t.Helper()
	v := declared(t, b.a)
	b.sendAs(b.a, v)
	b.vs.expect(v.ID, contract.AssuranceDeclared, "")
	b.visits++
	if msg := b.ask(b.a, b.question); msg.Header.Get(micro.ErrorCodeHeader) != "" {
		t.Errorf("the bystander's lookup: %v", msg.Header)
	}
	b.lookups++
}

// TestBadInputHarmsNobody sends what is malformed, oversized, not signed and not
// allowed, of every kind of message. Each is refused for the right reason, each is
// counted once, and somebody else is served next to each.
func TestBadInputHarmsNobody(t *testing.T) {
	thu := central.Person{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"}
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)), thu)
	bystander, other := newAgent(t), newAgent(t)
	r.config.Seed.Agents = append(r.config.Seed.Agents,
		central.Agent{Key: bystander.name, Facility: facility}, central.Agent{Key: other.name, Facility: "79001"})
	r.config.Workers = 1 // one that is held up would hold up everything
	c, stop := r.run()
	by := &beside{rig: r, a: bystander, vs: r.verdicts(bystander), question: contract.LookupRequest{Number: thu.Number, Name: thu.Name, BirthDate: thu.BirthDate}}
	vs := r.verdicts(r.agent)
	rejected, refused := make(map[contract.Reason]uint64), make(map[contract.Reason]uint64)

	message := func() contract.Message {
		m, err := contract.NewVisitMessage(r.agent, declared(t, r.agent))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	refuse := func(name string, m contract.Message, why contract.Reason) {
		t.Helper()
		r.publish(m, m.ID)
		if got := vs.next(); got.Visit != m.ID || got.State != contract.VerdictRejected || got.Reason != why {
			t.Errorf("visit, %s: verdict %s, want rejected %s", name, describe(got), why)
		}
		rejected[why]++
		by.unharmed(t)
	}
	for name, b := range spoilt(message().Payload) {
		refuse(name, resigned(t, r.agent, message(), b), contract.ReasonMalformed)
	}
	m := message()
	refuse("oversized", resigned(t, r.agent, m, append(m.Payload, bytes.Repeat([]byte(" "), contract.MaxVisit)...)[:contract.MaxVisit+1]), contract.ReasonMalformed)
	m = message()
	refuse("version 2", resigned(t, r.agent, m, bytes.Replace(m.Payload, []byte(`"version":1`), []byte(`"version":2`), 1)), contract.ReasonUnsupportedVersion)
	headers := func(change func(h map[string][]string)) contract.Message {
		m := message()
		m.Header = maps.Clone(m.Header)
		change(m.Header)
		return m
	}
	sig, key := contract.HeaderSignature, contract.HeaderAgent
	for name, change := range map[string]func(map[string][]string){
		"no headers":          func(h map[string][]string) { clear(h) },
		"two signatures":      func(h map[string][]string) { h[sig] = []string{h[sig][0], h[sig][0]} },
		"two agents":          func(h map[string][]string) { h[key] = []string{h[key][0], other.name} },
		"signature cut off":   func(h map[string][]string) { h[sig] = []string{h[sig][0][4:]} },
		"signature not clean": func(h map[string][]string) { h[sig] = []string{h[sig][0][:86] + "!="} },
		"signature of zeros":  func(h map[string][]string) { h[sig] = []string{strings.Repeat("A", 86) + "=="} },
		"long signature":      func(h map[string][]string) { h[sig] = []string{strings.Repeat("A", 3000)} },
		"agent is no key":     func(h map[string][]string) { h[key] = []string{"UAAAA"} },
		"another's key":       func(h map[string][]string) { h[key] = []string{other.name} },
	} {
		refuse(name, headers(change), contract.ReasonAgentSignature)
	}
	m = message()
	m.Subject = strings.Replace(m.Subject, facility, "79001", 1)
	refuse("for another facility", m, contract.ReasonSubjectMismatch)
	m = message()
	h, err := contract.Sign(other, contract.DomainVisit, m.Payload)
	if err != nil {
		t.Fatal(err)
	}
	m.Header = h
	refuse("signed by another agent", m, contract.ReasonSubjectMismatch)

	// The same id: with the same bytes it is the same visit, else another.
	v := declared(t, r.agent)
	first, err := contract.NewVisitMessage(r.agent, v)
	if err != nil {
		t.Fatal(err)
	}
	r.publish(first, first.ID)
	told := vs.expect(v.ID, contract.AssuranceDeclared, "")
	r.publish(first, first.ID+".2")
	if again := vs.expect(v.ID, contract.AssuranceDeclared, ""); !again.At.Equal(told.At) {
		t.Error("the same visit was judged twice")
	}
	v.Operator = "desk 2"
	changed, err := contract.NewVisitMessage(r.agent, v)
	if err != nil {
		t.Fatal(err)
	}
	r.publish(changed, first.ID+".3")
	vs.expect(v.ID, "", contract.ReasonConflict)
	rejected[contract.ReasonConflict]++
	by.unharmed(t)

	// What does not fit into the stream never gets there.
	m = message()
	m.Header[sig] = append(m.Header[sig], strings.Repeat("A", 90<<10))
	m.Payload = append(m.Payload, bytes.Repeat([]byte(" "), 64<<10)...)
	if _, err := r.js.PublishMsg(t.Context(), &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Payload}); err == nil {
		t.Error("oversized headers were taken")
	}
	// Nobody to tell: no agent in the subject, no id in the headers.
	r.publish(contract.Message{Subject: "ins.v1.visit.01013.NOBODY", Payload: first.Payload, Header: first.Header}, "x")
	r.publish(contract.Message{Subject: first.Subject, Payload: []byte("{}"), Header: map[string][]string{}}, "y")
	rejected[contract.ReasonAgentSignature]++
	by.unharmed(t)

	// Requests.
	request := func(name string, m contract.Message, code string, why contract.Reason) {
		t.Helper()
		msg, err := r.nc.RequestMsg(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Payload}, patience)
		if err != nil {
			t.Fatalf("%s %s: %v", m.Subject, name, err)
		}
		if got, text := msg.Header.Get(micro.ErrorCodeHeader), msg.Header.Get(micro.ErrorHeader); got != code || text != string(why) || len(msg.Data) != 0 {
			t.Errorf("%s %s: %q %q with %d bytes, want %s %s", m.Subject, name, got, text, len(msg.Data), code, why)
		}
		refused[why]++
		by.unharmed(t)
	}
	lookup := func(a agent, at string) contract.Message {
		q := by.question
		q.Version, q.ID, q.Facility, q.Agent, q.At = contract.Version, newID(t), at, a.name, now()
		m, err := contract.NewLookupMessage(a, &q)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	bundle := func(a agent, at string) contract.Message {
		m, err := contract.NewBundleRequestMessage(a, &contract.BundleRequest{
			Version: contract.Version, ID: newID(t), Facility: at, Agent: a.name, At: now(), Kind: contract.BundlePopulation,
		})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, kind := range []struct {
		domain contract.Domain
		make   func(agent, string) contract.Message
	}{{contract.DomainLookup, lookup}, {contract.DomainBundleRequest, bundle}} {
		sign := func(m contract.Message, payload []byte) contract.Message {
			h, err := contract.Sign(r.agent, kind.domain, payload)
			if err != nil {
				t.Fatal(err)
			}
			return contract.Message{Subject: m.Subject, Header: h, Payload: payload}
		}
		m := kind.make(r.agent, facility)
		for name, b := range spoilt(m.Payload) {
			request(name, sign(m, b), "400", contract.ReasonMalformed)
		}
		request("oversized", sign(m, append(bytes.Clone(m.Payload), bytes.Repeat([]byte(" "), 100<<10)...)), "400", contract.ReasonMalformed)
		request("version 2", sign(m, bytes.Replace(m.Payload, []byte(`"version":1`), []byte(`"version":2`), 1)), "400", contract.ReasonUnsupportedVersion)
		unsigned := m
		unsigned.Header = nil
		request("not signed", unsigned, "400", contract.ReasonAgentSignature)
		twice := m
		twice.Header = maps.Clone(m.Header)
		twice.Header[sig] = []string{m.Header[sig][0], m.Header[sig][0]}
		request("signed twice", twice, "400", contract.ReasonAgentSignature)
		request("agent of another facility", kind.make(other, facility), "403", contract.ReasonUnknownAgent)
		request("agent of nobody", kind.make(newAgent(t), facility), "403", contract.ReasonUnknownAgent)
		elsewhere := kind.make(r.agent, facility)
		elsewhere.Subject = strings.Replace(elsewhere.Subject, facility, "79001", 1)
		request("for another facility", elsewhere, "400", contract.ReasonSubjectMismatch)
	}
	for name, b := range map[string][]byte{"with a body": []byte("{}"), "oversized": make([]byte, 500<<10)} {
		request(name, contract.Message{Subject: "ins.v1.nonce." + facility, Payload: b}, "400", contract.ReasonMalformed)
	}
	request("odd facility", contract.Message{Subject: "ins.v1.nonce." + strings.Repeat("9", 33)}, "400", contract.ReasonMalformed)

	// A status of any kind is not kept.
	status, err := contract.StatusSubject(r.agent.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range spoilt(message().Payload) {
		if err := r.nc.Publish(status, b); err != nil {
			t.Fatal(err)
		}
	}
	// An answer that would go astray is not given.
	if err := r.nc.PublishRequest("ins.v1.nonce."+facility, "ins.v1.visit.01013.NOBODY", nil); err != nil {
		t.Fatal(err)
	}
	by.unharmed(t)

	kinds := len(spoilt(message().Payload))
	until(t, c, "statuses", func(n central.Counts) bool { return n.StatusesRefused[contract.ReasonAgentSignature] == uint64(kinds) })
	r.drained()
	stop()
	n := c.Counts()
	if n.Statuses+n.Limited+n.Untold != 0 {
		t.Errorf("%+v", n)
	}
	if n.Accepted != uint64(by.visits)+1 || n.Repeated != 1 || n.Malformed != 1 || n.Unheard != 1 {
		t.Errorf("%+v; want %d accepted, 1 repeated, 1 malformed, 1 unheard", n, by.visits+1)
	}
	if n.Redelivered+n.Postponed+n.SetAside+n.Unanswered != 0 {
		t.Errorf("%+v: something was done twice", n)
	}
	if n.Lookups != uint64(by.lookups) {
		t.Errorf("%d lookups, want %d", n.Lookups, by.lookups)
	}
	if !maps.Equal(n.Rejected, rejected) {
		t.Errorf("rejected %v, want %v", n.Rejected, rejected)
	}
	if !maps.Equal(n.Refused, refused) {
		t.Errorf("refused %v, want %v", n.Refused, refused)
	}
	if got := r.records(); got != by.visits+1 {
		t.Errorf("%d on record, want %d: who refuses keeps nothing", got, by.visits+1)
	}
}

// TestAgentsClockJumps: a clock that is wrong costs no visit and no lookup. It
// costs the proof of presence, and nobody else's.
func TestAgentsClockJumps(t *testing.T) {
	doc := document(t, "cccd", chip.TamperNone)
	p := doc.Person
	birth := contract.Date(p.Birth.Format(time.DateOnly))
	r := newRig(t, anchors(t, doc), central.Person{Number: p.Number, Name: p.Name, BirthDate: birth})
	r.run()
	vs := r.verdicts(r.agent)
	nonce := r.nonce()
	for _, tt := range []struct {
		name  string
		shift func(time.Time) time.Time
	}{
		{"a day behind", func(at time.Time) time.Time { return at.AddDate(0, 0, -1) }},
		{"a day ahead", func(at time.Time) time.Time { return at.AddDate(0, 0, 1) }},
		{"ten years behind", func(at time.Time) time.Time { return at.AddDate(-10, 0, 0) }},
		{"ten years ahead", func(at time.Time) time.Time { return at.AddDate(10, 0, 0) }},
		{"empty battery", func(at time.Time) time.Time { return time.Unix(60, 0).UTC() }},
		{"before 1970", func(at time.Time) time.Time { return at.AddDate(-100, 0, 0) }},
		{"the end of time", func(at time.Time) time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVisit(t, r.agent, doc, nonce, false)
			id, err := contract.NewID(tt.shift(time.Now()), nil)
			if err != nil {
				t.Fatal(err)
			}
			v.ID, v.StartedAt, v.RecordedAt, v.Evidence.Time = id, tt.shift(v.StartedAt), tt.shift(v.RecordedAt), tt.shift(v.Evidence.Time)
			v.Evidence.Challenge = v.ExpectedChallenge()
			v.Evidence.Signature = chipSignature(t, doc, v.Evidence.Challenge)
			v.Checks[1].Result = contract.Successful
			r.send(v)
			vs.expect(v.ID, contract.AssuranceAttested, "")
			if got := r.doubt(v.ID); got != contract.ReasonTime {
				t.Errorf("doubt %q, want %q", got, contract.ReasonTime)
			}
			q := contract.LookupRequest{
				Version: contract.Version, ID: newID(t), Facility: facility, Agent: r.agent.name, At: tt.shift(now()),
				Number: p.Number, Name: p.Name, BirthDate: birth,
			}
			m, err := contract.NewLookupMessage(r.agent, &q)
			if err != nil {
				t.Fatal(err)
			}
			msg, err := r.nc.RequestMsg(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Payload}, patience)
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := contract.DecodeLookupResponse(msg.Data); err != nil || resp.Entitlement.Status != contract.StatusValid {
				t.Errorf("lookup: %v, %v", resp.Entitlement.Status, err)
			}
			good := newVisit(t, r.agent, doc, nonce, true)
			r.send(good)
			vs.expect(good.ID, contract.AssuranceChip, "")
		})
	}
}

func (r *rig) doubt(id string) contract.Reason {
	r.t.Helper()
	kv, err := r.js.KeyValue(r.t.Context(), "ins-visits")
	if err != nil {
		r.t.Fatal(err)
	}
	e, err := kv.Get(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	var rec struct{ Doubt contract.Reason }
	if err := json.Unmarshal(e.Value(), &rec); err != nil {
		r.t.Fatal(err)
	}
	return rec.Doubt
}

// TestCentralsClockJumps: that of a service is set a day back or forward between
// the nonce and the visit, and no longer agrees with the NATS server's.
func TestCentralsClockJumps(t *testing.T) {
	doc := document(t, "cccd", chip.TamperNone)
	for _, tt := range []struct {
		name      string
		days      int
		assurance contract.Assurance
		doubt     contract.Reason
	}{
		// A nonce that claims to be older than it is widens the window; it proves
		// less and nothing that is wrong.
		{"back", -1, contract.AssuranceChip, ""},
		{"forward", 1, contract.AssuranceAttested, contract.ReasonTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, anchors(t, doc))
			r.clock = func() time.Time { return time.Now().AddDate(0, 0, tt.days) }
			_, stop := r.run()
			vs := r.verdicts(r.agent)
			nonce := r.nonce()
			if age := time.Since(nonce.IssuedAt).Round(24 * time.Hour); age != time.Duration(-tt.days)*24*time.Hour {
				t.Fatalf("the nonce is %v old: the clock is not the other one", age)
			}
			v := newVisit(t, r.agent, doc, nonce, true)
			r.send(v)
			got := vs.expect(v.ID, tt.assurance, "")
			if d := r.doubt(v.ID); d != tt.doubt {
				t.Errorf("doubt %q, want %q", d, tt.doubt)
			}
			if p := got.Presence; p != nil && (p.From.After(now()) || p.To.Before(v.StartedAt)) {
				t.Errorf("presence %+v", p)
			}
			// It is set right: what was recorded meanwhile is taken too, and the next
			// nonce is good again.
			stop()
			r.clock = nil
			late := newVisit(t, r.agent, doc, nonce, true)
			r.send(late)
			r.run()
			vs.expect(late.ID, tt.assurance, "")
			good := newVisit(t, r.agent, doc, r.nonce(), true)
			r.send(good)
			vs.expect(good.ID, contract.AssuranceChip, "")
		})
	}

	// Within one process: a clock that is set back ends the nonce of the moment.
	var shift atomicDuration
	r := newRig(t, anchors(t, doc))
	r.clock = func() time.Time { return time.Now().Add(shift.Load()) }
	r.run()
	seen := make(map[string]bool)
	for _, d := range []time.Duration{0, -24 * time.Hour, 0, 24 * time.Hour, 0} {
		shift.Store(d)
		n := r.nonce()
		if seen[n.ID] || time.Since(n.IssuedAt).Round(24*time.Hour) != -d {
			t.Errorf("clock set by %v: nonce of %v, seen %v", d, n.IssuedAt, seen[n.ID])
		}
		seen[n.ID] = true
	}
}

// atomicDuration is how far a clock is off.
type atomicDuration struct{ n atomic.Int64 }

func (d *atomicDuration) Load() time.Duration   { return time.Duration(d.n.Load()) }
func (d *atomicDuration) Store(v time.Duration) { d.n.Store(int64(v)) }
