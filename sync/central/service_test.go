package central_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

func TestLookup(t *testing.T) {
	today := time.Now().In(time.FixedZone("ICT", 7*60*60))
	day := func(days int) contract.Date { return contract.Date(today.AddDate(0, 0, days).Format(time.DateOnly)) }
	thu := central.Person{
		Number: "001099000001", InsuranceNumber: "GD4010100000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Sex: contract.SexMale,
		From: day(-100), To: day(0), Facility: facility, BenefitLevel: "4",
	}
	mau := central.Person{Number: "079150000002", Name: "Trần Thị Mẫu", BirthDate: "1950", To: day(-1)}
	gone := central.Person{Number: "031090000004", Name: "Phạm Văn Mẫu", BirthDate: "1990-11-20", Code: "110"}
	r := newRig(t, anchors(t, document(t, "cccd-no-aa", chip.TamperNone)), thu, mau, gone)
	stranger := newAgent(t)
	c, stop := r.run()

	base := contract.LookupRequest{Number: thu.Number, Name: thu.Name, BirthDate: thu.BirthDate}
	tests := []struct {
		name   string
		change func(*contract.LookupRequest)
		code   string // of the insurer
	}{
		{"in order until today", func(*contract.LookupRequest) {}, "000"},
		{"without tone marks", func(q *contract.LookupRequest) { q.Name = "NGUYEN VAN  THU" }, "000"},
		{"only a year of birth", func(q *contract.LookupRequest) { q.BirthDate = "1999" }, "000"},
		{"by the insurance number", func(q *contract.LookupRequest) {
			q.Number, q.InsuranceNumber = "", thu.InsuranceNumber
		}, "000"},
		{"ended yesterday", func(q *contract.LookupRequest) {
			q.Number, q.Name, q.BirthDate = mau.Number, mau.Name, "1950-03-01"
		}, "010"},
		{"revoked", func(q *contract.LookupRequest) {
			q.Number, q.Name, q.BirthDate = gone.Number, gone.Name, gone.BirthDate
		}, "110"},
		{"nobody", func(q *contract.LookupRequest) { q.Number = "001099000009" }, "050"},
		{"insurance number as a personal number", func(q *contract.LookupRequest) { q.Number = thu.InsuranceNumber }, "050"},
		{"other name", func(q *contract.LookupRequest) { q.Name = "Nguyễn Văn Mẫu" }, "060"},
		{"other birth date", func(q *contract.LookupRequest) { q.BirthDate = "1999-02-01" }, "070"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := base
			tt.change(&q)
			msg := r.ask(r.agent, q)
			resp, err := contract.DecodeLookupResponse(msg.Data)
			if err != nil {
				t.Fatalf("response %v: %v", msg.Header, err)
			}
			e := resp.Entitlement
			if e.Code != tt.code || e.Status != contract.StatusOf(tt.code) || e.Source != contract.SourceCentral {
				t.Errorf("code %s, status %s; want %s", e.Code, e.Status, tt.code)
			}
			known := tt.code != "050" && tt.code != "060" && tt.code != "070"
			if (resp.Person != nil) != known {
				t.Errorf("person told: %v, want %v", resp.Person != nil, known)
			}
			if tt.code == "000" && (e.CardNumber != thu.InsuranceNumber || e.BenefitLevel != "4" || e.Facility != facility) {
				t.Errorf("entitlement %+v", e)
			}
		})
	}

	for _, tt := range []struct {
		name string
		msg  *nats.Msg
		want string
	}{
		{"agent that nobody enrolled", r.ask(stranger, base), "403"},
		{"not signed", r.request("ins.v1.lookup."+facility, []byte("{}")), "400"},
		{"nonce with a body", r.request("ins.v1.nonce."+facility, []byte("x")), "400"},
	} {
		if got := tt.msg.Header.Get(micro.ErrorCodeHeader); got != tt.want {
			t.Errorf("%s: error code %q, want %q", tt.name, got, tt.want)
		}
	}
	stop()
	if n := c.Counts().Lookups; int(n) != len(tests) {
		t.Errorf("%d lookups counted, want %d", n, len(tests))
	}
	for _, datum := range []string{thu.Name, thu.Number, thu.InsuranceNumber, mau.Name} {
		if strings.Contains(r.log.String(), datum) {
			t.Errorf("the log holds %q", datum)
		}
	}
}

func (r *rig) request(subject string, data []byte) *nats.Msg {
	r.t.Helper()
	msg, err := r.nc.Request(subject, data, patience)
	if err != nil {
		r.t.Fatal(err)
	}
	return msg
}

func (r *rig) ask(a agent, q contract.LookupRequest) *nats.Msg {
	r.t.Helper()
	q.Version, q.ID, q.Facility, q.Agent, q.At = contract.Version, newID(r.t), facility, a.name, now()
	m, err := contract.NewLookupMessage(a, &q)
	if err != nil {
		r.t.Fatal(err)
	}
	msg, err := r.nc.RequestMsg(&nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload}, patience)
	if err != nil {
		r.t.Fatal(err)
	}
	return msg
}

// TestNonces: everybody gets the same for a while, from every process one of
// its own, and all of them are known to all.
func TestNonces(t *testing.T) {
	doc := document(t, "cccd", chip.TamperNone)
	r := newRig(t, anchors(t, doc))
	_, stop := r.run()
	first := r.nonce()
	if again := r.nonce(); again.ID != first.ID {
		t.Error("two nonces within a moment")
	}
	if len(first.Value) != 32 || time.Since(first.IssuedAt) > time.Minute {
		t.Errorf("nonce of %d bytes, issued at %v", len(first.Value), first.IssuedAt)
	}
	stop()
	r.run() // another process
	if second := r.nonce(); second.ID == first.ID || string(second.Value) == string(first.Value) {
		t.Error("a new process hands out the old nonce as its own")
	}
	v := newVisit(t, r.agent, doc, first, true)
	r.send(v)
	r.verdicts(r.agent).expect(v.ID, contract.AssuranceChip, "")
}

func TestReadSeed(t *testing.T) {
	const key = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
	good := fmt.Sprintf(`{"agents":[{"key":%q,"facility":"01013"}],
		"people":[{"number":"001099000001","name":"Nguyễn Văn Thử","birthDate":"1999-01-31","benefitLevel":"4","to":"2026-12-31"}]}`, newAgent(t).name)
	s, err := central.ReadSeed(strings.NewReader(good))
	if err != nil || len(s.Agents) != 1 || len(s.People) != 1 {
		t.Fatalf("ReadSeed = %v, %v", s, err)
	}
	tests := []struct{ name, text, want string }{
		{"empty", ``, "byte 0"},
		{"unknown member", `{"agent":[]}`, "byte"},
		{"trailing", `{} {}`, "follows"},
		{"agent's key", `{"agents":[{"key":"` + key[:55] + `A","facility":"01013"}]}`, "agents[0].key"},
		{"facility", `{"agents":[{"key":"` + newAgent(t).name + `","facility":"01.013"}]}`, "agents[0].facility"},
		{"person without a number", `{"people":[{"name":"Mẫu","birthDate":"1950"}]}`, "people[0]: missing: number"},
		{"date", `{"people":[{"number":"1","name":"Mẫu","birthDate":"31/01/1999"}]}`, "people[0]: invalid: birthDate"},
		{"code", `{"people":[{"number":"1","name":"Mẫu","birthDate":"1999","code":"ok"}]}`, "people[0]: invalid: entitlement.code"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := central.ReadSeed(strings.NewReader(tt.text))
			if !errors.Is(err, central.ErrSeed) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want ErrSeed that names %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "Mẫu") {
				t.Error("the error repeats the person")
			}
		})
	}
}

func TestReadAnchors(t *testing.T) {
	a, b := document(t, "cccd", chip.TamperNone), document(t, "cccd-no-aa", chip.TamperNone)
	tests := []struct {
		name  string
		files fstest.MapFS
		want  int // anchors; 0: an error
	}{
		{"two, and other files", fstest.MapFS{"a.der": {Data: a.CSCA}, "b.CER": {Data: b.CSCA}, "README": {Data: []byte("x")}}, 2},
		{"empty", fstest.MapFS{}, 0},
		{"no certificate", fstest.MapFS{"a.der": {Data: a.CSCA}, "b.der": {Data: []byte("x")}}, 0},
		{"document signer", fstest.MapFS{"a.der": {Data: a.CSCA}, "b.der": {Data: a.DS}}, 0},
		{"oversized", fstest.MapFS{"a.der": {Data: append(a.CSCA, make([]byte, 1<<20)...)}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool, err := central.ReadAnchors(tt.files)
			if (err == nil) != (tt.want > 0) || err == nil && pool.Len() != tt.want {
				t.Errorf("%v, %v; want %d anchors", pool, err, tt.want)
			}
		})
	}
	// A link into the directory is followed: mounted secrets are links.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data"), a.CSCA, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("data", filepath.Join(dir, "a.der")); err != nil {
		t.Fatal(err)
	}
	if pool, err := central.ReadAnchors(os.DirFS(dir)); err != nil || pool.Len() != 1 {
		t.Errorf("with a link: %v, %v", pool, err)
	}
}

// TestAnswersGoToInboxesOnly: without accounts nothing but this service keeps
// its answers from being published as requests of its own.
func TestAnswersGoToInboxesOnly(t *testing.T) {
	r := newRig(t, anchors(t, document(t, "cccd", chip.TamperNone)))
	r.run()
	nonce, err := contract.NonceSubject(facility)
	if err != nil {
		t.Fatal(err)
	}
	lookup, err := contract.LookupSubject(facility)
	if err != nil {
		t.Fatal(err)
	}
	stolen, err := r.nc.SubscribeSync("$KV.ins-agents.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{nonce, lookup} {
		if err := r.nc.PublishRequest(subject, "$KV.ins-agents."+r.agent.name, nil); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(patience); strings.Count(r.log.String(), "reply subject is no inbox") < 2; time.Sleep(time.Millisecond) {
		if m, err := stolen.NextMsg(time.Millisecond); err == nil {
			t.Fatalf("an answer of %d bytes went into a bucket", len(m.Data))
		}
		if time.Now().After(end) {
			t.Fatal("the requests did not arrive")
		}
	}
	r.nonce() // others are answered
}
