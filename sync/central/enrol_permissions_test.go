package central_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/uplink"
)

// client is a connection whose refusals are collected.
type client struct {
	t   *testing.T
	nc  *nats.Conn
	bad *trouble
}

func (d *deployment) client(opts ...nats.Option) *client {
	d.t.Helper()
	c := &client{t: d.t, bad: &trouble{}}
	c.nc = d.mustConnect(append(opts, nats.ErrorHandler(c.bad.add))...)
	return c
}

// settle waits until the server has looked at everything that was sent.
func (c *client) settle() {
	c.t.Helper()
	if err := c.nc.FlushTimeout(patience); err != nil {
		c.t.Fatal(err)
	}
}

// refused reports whether the server has complained about a subject. The complaint
// comes before the answer to the flush, and reaches the handler a little later.
func (c *client) refused(kind, subject string) bool {
	c.t.Helper()
	return c.complaint(kind + ` to "` + subject + `"`)
}

// refusedReply reports whether the server has complained about a reply subject.
func (c *client) refusedReply(subject string) bool {
	c.t.Helper()
	return c.complaint(`publish with reply of "` + subject + `"`)
}

// complaint waits for one complaint with a text.
func (c *client) complaint(text string) bool {
	c.t.Helper()
	c.settle()
	for end := time.Now().Add(patience / 6); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if c.bad.take1(text) {
			return true
		}
	}
	return false
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestAgentUsesItsOwnSubjects goes the whole way that an agent goes, each step over
// the borders of the accounts.
func TestAgentUsesItsOwnSubjects(t *testing.T) {
	d := deploy(t)
	a := d.enrol(facility)
	c := d.client(a.options()...)
	ctx := t.Context()
	ask := func(m contract.Message) *nats.Msg {
		t.Helper()
		resp, err := c.nc.RequestMsg(&nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload}, patience)
		must(t, err)
		return resp
	}
	lookup, err := contract.NewLookupMessage(a, &contract.LookupRequest{
		Version: contract.Version, ID: newID(t), Facility: facility, Agent: a.name, At: now(),
		Number: insured().Number, Name: insured().Name, BirthDate: insured().BirthDate,
	})
	must(t, err)
	if resp, err := contract.DecodeLookupResponse(ask(lookup).Data); err != nil || resp.Entitlement.Status != contract.StatusValid {
		t.Errorf("lookup: %v, %v", resp.Entitlement.Status, err)
	}
	for _, kind := range []contract.BundleKind{contract.BundlePopulation, contract.BundleTrust} {
		m, err := contract.NewBundleRequestMessage(a, &contract.BundleRequest{
			Version: contract.Version, ID: newID(t), Facility: facility, Agent: a.name, At: now(), Kind: kind,
		})
		must(t, err)
		// The service says that there is none, or gives it: both are answers.
		if code := ask(m).Header.Get(micro.ErrorCodeHeader); code != "" && code != "304" {
			t.Errorf("bundle %s: %s", kind, code)
		}
	}
	status, err := contract.NewStatusMessage(a, &contract.Status{
		Version: contract.Version, Agent: a.name, Facility: facility, At: now(), Software: "test", Clock: contract.ClockUnknown,
	})
	must(t, err)
	nc, _ := d.service()
	heard, err := nc.SubscribeSync(contract.StatusSubjects)
	must(t, err)
	must(t, nc.Flush())
	must(t, c.nc.PublishMsg(&nats.Msg{Subject: status.Subject, Header: nats.Header(status.Header), Data: status.Payload}))
	if _, err := heard.NextMsg(patience); err != nil {
		t.Errorf("status: %v", err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		all, err := d.admin().Agents(ctx)
		must(t, err)
		if len(all) == 1 && all[0].Key == a.name && all[0].Status != nil && all[0].Status.Software == "test" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("nobody has kept its status: %+v", all)
		}
	}

	visit := declared(t, a.agent)
	m, err := contract.NewVisitMessage(a, visit)
	must(t, err)
	js, err := jetstream.New(c.nc)
	must(t, err)
	if _, err := js.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload}, jetstream.WithMsgID(m.ID)); err != nil {
		t.Fatalf("visit: %v", err)
	}
	consumer, err := js.Consumer(ctx, contract.VerdictStream, a.name)
	if err != nil {
		t.Fatalf("consumer of the verdicts: %v", err)
	}
	msg, err := consumer.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		t.Fatalf("verdict: %v", err)
	}
	if v, err := contract.DecodeVerdict(msg.Data()); err != nil || v.Visit != visit.ID || v.State != contract.VerdictAccepted {
		t.Errorf("verdict %s, %v", describe(v), err)
	}
	must(t, msg.DoubleAck(ctx))
	if errs := c.bad.take(); len(errs) > 0 {
		t.Errorf("the server complains: %v", errs)
	}
}

// store describes all that an agent must not change, so that two moments can be
// compared: streams, consumers, buckets.
func (d *deployment) store() string {
	d.t.Helper()
	_, js := d.service()
	var b strings.Builder
	streams := js.ListStreams(d.t.Context())
	for s := range streams.Info() {
		fmt.Fprintf(&b, "%s: %d messages, %d to %d, %d deleted, %d consumers\n", s.Config.Name, s.State.Msgs, s.State.FirstSeq, s.State.LastSeq, s.State.NumDeleted, s.State.Consumers)
		st, err := js.Stream(d.t.Context(), s.Config.Name)
		must(d.t, err)
		consumers := st.ListConsumers(d.t.Context())
		for c := range consumers.Info() {
			fmt.Fprintf(&b, "  %s: delivered %d, acknowledged to %d, %d unacknowledged\n", c.Name, c.Delivered.Stream, c.AckFloor.Stream, c.NumAckPending)
		}
		must(d.t, consumers.Err())
	}
	must(d.t, streams.Err())
	return b.String()
}

// neighbours is two agents, one of which has a verdict that it has not
// acknowledged, and one more in another facility.
type neighbours struct {
	*deployment
	mine, other, far enrolled
	ack              string // what acknowledges the other's verdict
}

func newNeighbours(t *testing.T) *neighbours {
	t.Helper()
	n := &neighbours{deployment: deploy(t)}
	n.mine, n.other, n.far = n.enrol(facility), n.enrol(facility), n.enrol("01014")
	nc := n.mustConnect(n.other.options()...)
	m, err := contract.NewVisitMessage(n.other, declared(t, n.other.agent))
	must(t, err)
	js, err := jetstream.New(nc)
	must(t, err)
	_, err = js.PublishMsg(t.Context(), &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload})
	must(t, err)
	c, err := js.Consumer(t.Context(), contract.VerdictStream, n.other.name)
	must(t, err)
	msg, err := c.Next(jetstream.FetchMaxWait(patience))
	must(t, err)
	n.ack = msg.Reply()
	nc.Close()
	// The service has done what it does by itself.
	_, all := n.service()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		intake, err := all.Consumer(t.Context(), contract.VisitStream, "central-intake")
		must(t, err)
		bundles, err := all.Stream(t.Context(), "KV_ins-bundles")
		must(t, err)
		if i := intake.CachedInfo(); i.NumPending == 0 && i.NumAckPending == 0 && bundles.CachedInfo().State.Msgs > 0 {
			return n
		}
		if time.Now().After(end) {
			t.Fatal("the service does not come to rest")
		}
	}
}

// TestAgentMayNotPublishElsewhere tries every subject that means something and is
// not the agent's.
func TestAgentMayNotPublishElsewhere(t *testing.T) {
	n := newNeighbours(t)
	mine, other, far := n.mine.name, n.other.name, n.far.name
	before := n.store()
	c := n.client(n.mine.options()...)
	subjects := []string{
		"ins.v1.visit." + facility + "." + other, "ins.v1.visit.01014." + mine, "ins.v1.visit.01014." + far,
		"ins.v1.lookup.01014", "ins.v1.nonce.01014",
		"ins.v1.bundle.population.01014", "ins.v1.bundle.trust.01014", "ins.v1.bundle.other." + facility,
		"ins.v1.agent." + other + ".status", "ins.v1.agent." + far + ".status",
		"ins.v1.verdict." + mine, "ins.v1.verdict." + other, contract.EnrolSubject,

		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.VISITS", "$JS.API.STREAM.INFO.VERDICTS",
		"$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.UPDATE.VISITS", "$JS.API.STREAM.DELETE.VISITS", "$JS.API.STREAM.PURGE.VISITS",
		"$JS.API.STREAM.MSG.GET.VISITS", "$JS.API.STREAM.MSG.DELETE.VISITS", "$JS.API.STREAM.SNAPSHOT.VISITS", "$JS.API.STREAM.RESTORE.X",
		"$JS.API.DIRECT.GET.VERDICTS", "$JS.API.DIRECT.GET.KV_ins-people", "$JS.API.DIRECT.GET.KV_ins-people.$KV.ins-people.x",
		"$JS.API.CONSUMER.CREATE.VERDICTS", "$JS.API.CONSUMER.CREATE.VERDICTS." + mine, "$JS.API.CONSUMER.CREATE.VERDICTS." + mine + ".ins.v1.verdict." + other,
		"$JS.API.CONSUMER.DURABLE.CREATE.VERDICTS." + mine, "$JS.API.CONSUMER.DELETE.VERDICTS." + mine, "$JS.API.CONSUMER.DELETE.VERDICTS." + other,
		"$JS.API.CONSUMER.NAMES.VERDICTS", "$JS.API.CONSUMER.LIST.VERDICTS", "$JS.API.CONSUMER.PAUSE.VERDICTS." + mine,
		"$JS.API.CONSUMER.INFO.VERDICTS." + other, "$JS.API.CONSUMER.INFO.VISITS.central-intake",
		"$JS.API.CONSUMER.MSG.NEXT.VERDICTS." + other, "$JS.API.CONSUMER.MSG.NEXT.VISITS.central-intake",
		n.ack, "$JS.ACK.VISITS.central-intake.1.1.1.0.0", "$JS.FC.VERDICTS.x",

		"$KV.ins-people.x", "$KV.ins-agents." + mine, "$KV.ins-enrolments." + mine, "$KV.ins-codes.x", "$KV.ins-statuses." + mine, "$KV.ins-keys.people", "$O.x.C.y",
		"$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.CLAIMS.LIST", "$SYS.REQ.USER.INFO", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.ACCOUNT.x.CONNECT",
		"$SRV.PING", "$SRV.INFO.chamthe-central", "_R_.x.y", "$GR.x", "$JSC.x", "_INBOX." + other + ".x", "_INBOX." + mine + ".x", "_INBOX.x", "x",
	}
	for _, subject := range subjects {
		must(t, c.nc.PublishRequest(subject, "_INBOX."+mine+".answer", []byte("{}")))
		if !c.refused("publish", subject) {
			t.Errorf("publishing to %s was not refused", subject)
		}
	}
	if after := n.store(); after != before {
		t.Errorf("the store has changed from\n%s\nto\n%s", before, after)
	}
}

// TestAgentMayNotListenElsewhere: neither to others nor to all.
func TestAgentMayNotListenElsewhere(t *testing.T) {
	n := newNeighbours(t)
	mine, other := n.mine.name, n.other.name
	c := n.client(n.mine.options()...)
	for _, subject := range []string{
		">", "*", "*.>", "ins.>", "ins.v1.>", "ins.v1.visit.>", "ins.v1.visit." + facility + "." + mine, "ins.v1.visit." + facility + "." + other,
		"ins.v1.lookup." + facility, "ins.v1.nonce." + facility, "ins.v1.verdict." + mine, "ins.v1.verdict." + other, "ins.v1.agent.*.status",
		"_INBOX.>", "_INBOX.*.>", "_INBOX.*", "_INBOX." + other + ".>", "_R_.>", "$JS.>", "$JS.ACK.>", "$JS.EVENT.>", "$KV.>", "$SYS.>", "$SRV.>",
		contract.EnrolSubject,
	} {
		_, err := c.nc.SubscribeSync(subject)
		must(t, err)
		if !c.refused("subscription", subject) {
			t.Errorf("subscribing to %s was not refused", subject)
		}
		_, err = c.nc.QueueSubscribeSync(subject, "chamthe-central")
		must(t, err)
		if !c.refused("subscription", subject) {
			t.Errorf("subscribing to %s in a queue group was not refused", subject)
		}
	}
}

// TestRepliesOfAgentsStayTheirs names reply subjects that would do harm if whoever
// answers published there, with every subject that an agent may publish to.
func TestRepliesOfAgentsStayTheirs(t *testing.T) {
	n := newNeighbours(t)
	mine, other := n.mine.name, n.other.name
	publish, _, err := uplink.Permissions(facility, mine)
	must(t, err)
	c := n.client(n.mine.options()...)
	n.quiet(c) // there is a nonce now, and will be no other
	before := n.store()
	next, err := json.Marshal(map[string]any{"batch": 1, "no_wait": true})
	must(t, err)
	for _, reply := range []string{
		"$JS.API.STREAM.DELETE.KV_ins-nonces", "$JS.API.STREAM.PURGE.KV_ins-people", "$JS.API.STREAM.DELETE.VERDICTS", "$JS.API.CONSUMER.DELETE.VERDICTS." + other,
		"$KV.ins-agents." + mine, "$KV.ins-people.x", "ins.v1.verdict." + other, "ins.v1.visit." + facility + "." + other, "$SYS.REQ.CLAIMS.UPDATE",
		"_INBOX." + other + ".x",
	} {
		for _, subject := range publish {
			if strings.HasPrefix(subject, "ins.v1.visit.") {
				continue // below: it is stored, whatever it is
			}
			payload := []byte("{}")
			if strings.Contains(subject, ".MSG.NEXT.") {
				payload = next
			}
			if ack, wild := strings.CutSuffix(subject, ".>"); wild {
				for _, p := range []string{"", "+ACK", "+NXT {\"batch\":1,\"no_wait\":true}"} {
					must(t, c.nc.PublishRequest(ack+".1.1.1.1700000000000000000.0", reply, []byte(p)))
				}
				continue
			}
			must(t, c.nc.PublishRequest(subject, reply, payload))
		}
	}
	c.settle()
	n.quiet(c)
	if errs := c.bad.take(); len(errs) > 0 {
		t.Errorf("the server complains: %v", errs)
	}
	if after := n.store(); after != before {
		t.Errorf("the store has changed from\n%s\nto\n%s", before, after)
	}
	// An acknowledgement is the one reply subject that passes between accounts as it
	// is, and an empty answer there would acknowledge for another: the server holds
	// it to the permissions.
	for _, reply := range []string{n.ack, "$JS.ACK.VISITS.central-intake.1.1.1.1700000000000000000.0"} {
		must(t, c.nc.PublishRequest("$JS.ACK.VERDICTS."+mine+".1.1.1.1700000000000000000.0", reply, []byte("+NXT {\"batch\":1,\"no_wait\":true}")))
		must(t, c.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.VERDICTS."+mine, reply, next))
		for range 2 {
			if !c.refusedReply(reply) {
				t.Errorf("the reply subject %s was not refused", reply)
			}
		}
	}
	n.quiet(c)
	if after := n.store(); after != before {
		t.Errorf("the store has changed from\n%s\nto\n%s", before, after)
	}
	// The acknowledgement of a publication is an answer too: the visit is stored,
	// judged, and nothing else happens.
	for _, reply := range []string{"$KV.ins-agents." + mine, "$JS.API.STREAM.DELETE.KV_ins-nonces", "ins.v1.verdict." + other} {
		must(t, c.nc.PublishRequest("ins.v1.visit."+facility+"."+mine, reply, []byte("{}")))
	}
	n.quiet(c)
	_, js := n.service()
	for stream, want := range map[string]uint64{"KV_ins-agents": 3, "VISITS": 4} {
		st, err := js.Stream(t.Context(), stream)
		must(t, err)
		if got := st.CachedInfo().State.Msgs; got != want {
			t.Errorf("%s has %d messages, want %d", stream, got, want)
		}
	}
	if st, err := js.Stream(t.Context(), "VERDICTS"); err != nil {
		t.Error(err)
	} else if m, err := st.GetLastMsgForSubject(t.Context(), "ins.v1.verdict."+other); err != nil {
		t.Error(err)
	} else if _, err := contract.DecodeVerdict(m.Data); err != nil || m.Sequence != 1 {
		t.Errorf("somebody spoke as the central service to another agent: %d, %v", m.Sequence, err)
	}
	if _, err := js.Stream(t.Context(), "KV_ins-nonces"); err != nil {
		t.Errorf("a stream is gone: %v", err)
	}
}

// quiet waits until what a client has asked for was done: requests of one
// connection to one consumer and stream are worked off in order.
func (n *neighbours) quiet(c *client) {
	n.t.Helper()
	js, err := jetstream.New(c.nc)
	must(n.t, err)
	consumer, err := js.Consumer(n.t.Context(), contract.VerdictStream, n.mine.name)
	must(n.t, err)
	batch, err := consumer.FetchNoWait(1)
	must(n.t, err)
	for range batch.Messages() {
	}
	subject, err := contract.NonceSubject(facility)
	must(n.t, err)
	if _, err := c.nc.Request(subject, nil, patience); err != nil {
		n.t.Fatal(err)
	}
}

// TestWrongKeyForAJWT: a JWT is not secret, and worth nothing without its key.
func TestWrongKeyForAJWT(t *testing.T) {
	n := newNeighbours(t)
	for name, sign := range map[string]func([]byte) ([]byte, error){
		"own key":      n.mine.Sign,
		"no signature": func([]byte) ([]byte, error) { return nil, nil },
		"noise":        func([]byte) ([]byte, error) { return make([]byte, 64), nil },
	} {
		_, err := n.connect(nats.UserJWT(func() (string, error) { return n.other.answer.JWT, nil }, sign))
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v, want %v", name, err, nats.ErrAuthorization)
		}
	}
	// Nor is a key without the JWT, which is not known here.
	if nc, err := n.connect(nats.Nkey(n.mine.name, n.mine.Sign)); err == nil {
		// The server takes it for anybody.
		c := &client{t: t, nc: nc, bad: &trouble{}}
		nc.SetErrorHandler(c.bad.add)
		t.Cleanup(nc.Close)
		must(t, nc.Publish("ins.v1.nonce."+facility, nil))
		if !c.refused("publish", "ins.v1.nonce."+facility) {
			t.Error("a key alone was enough")
		}
	}
}

// TestStrangersMayOnlyAsk: who has no credentials.
func TestStrangersMayOnlyAsk(t *testing.T) {
	n := newNeighbours(t)
	c := n.client()
	before := n.store()
	for _, subject := range []string{
		"ins.v1.nonce." + facility, "ins.v1.visit." + facility + "." + n.mine.name, "ins.v1.enrol.x", "$JS.API.INFO", "$JS.API.STREAM.NAMES", "$KV.ins-codes.x",
		"$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.USER.INFO", "_INBOX.x",
	} {
		must(t, c.nc.PublishRequest(subject, "_INBOX.x", nil))
		if !c.refused("publish", subject) {
			t.Errorf("publishing to %s was not refused", subject)
		}
	}
	for _, subject := range []string{">", "ins.>", contract.EnrolSubject, "$SYS.>", "_R_.>"} {
		_, err := c.nc.SubscribeSync(subject)
		must(t, err)
		if !c.refused("subscription", subject) {
			t.Errorf("subscribing to %s was not refused", subject)
		}
	}
	for _, reply := range []string{"$KV.ins-codes.x", "$JS.API.STREAM.DELETE.KV_ins-codes", "ins.v1.verdict." + n.other.name, n.ack} {
		must(t, c.nc.PublishRequest(contract.EnrolSubject, reply, []byte("{}")))
	}
	c.settle()
	// Who asks after that is answered after that.
	unknown, err := contract.NewEnrolCode(strings.NewReader("nobody has made this"))
	must(t, err)
	if _, err := newRequest(t, newAgent(t), unknown).ask(t.Context(), c.nc); refusedWith(err) == "" {
		t.Errorf("enrolment: %v", err)
	}
	if after := n.store(); after != before {
		t.Errorf("the store has changed from\n%s\nto\n%s", before, after)
	}

	// All strangers share an account: one may hear the other's answer, and has
	// nothing of it.
	heard, err := c.nc.SubscribeSync("_INBOX.>")
	must(t, err)
	c.settle()
	d := n.deployment
	r := newRequest(t, newAgent(t), d.code(time.Hour))
	answer, err := r.ask(t.Context(), d.mustConnect())
	if err != nil {
		t.Fatalf("enrol: %v", err)
	}
	m, err := heard.NextMsg(patience)
	must(t, err)
	for _, part := range []string{answer.JWT, answer.Agent, answer.Facility} {
		if strings.Contains(string(m.Data), part) {
			t.Error("the answer can be read by others")
		}
	}
}

// TestEnrolmentAnswersInboxesOnly: who is in the service's own account may be a
// mistake of its operator's; no answer goes where it would be taken for a message.
func TestEnrolmentAnswersInboxesOnly(t *testing.T) {
	d := deploy(t)
	nc, js := d.service()
	reply := "ins.v1.verdict." + newAgent(t).name
	must(t, nc.PublishRequest(contract.EnrolSubject, reply, []byte("{}")))
	// Asked later on the same connection, and answered.
	unknown, err := contract.NewEnrolCode(strings.NewReader("nobody has made this"))
	must(t, err)
	if _, err := newRequest(t, newAgent(t), unknown).ask(t.Context(), nc); refusedWith(err) != contract.EnrolCodeUnknown {
		t.Errorf("enrolment: %v", err)
	}
	st, err := js.Stream(t.Context(), contract.VerdictStream)
	must(t, err)
	if n := st.CachedInfo().State.Msgs; n != 0 {
		t.Errorf("%d answers were taken for verdicts", n)
	}
	if !strings.Contains(d.log.String(), "its reply subject is no inbox") {
		t.Error("nothing of it in the log")
	}
}
