package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/agent/enrol/enroltest"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
)

// TestEnrol enrols a directory with a line as it is passed on, and sends a visit
// with what the directory then knows.
func TestEnrol(t *testing.T) {
	d := enroltest.Start(t, enroltest.Options{})
	dir := usedDir(t)
	command(t, "queue", "send", "--data", dir).failed(t, fault.Usage) // not enrolled
	code := d.Code(time.Hour)
	line := func(code string, more ...string) []string {
		return append([]string{"enrol", "--data", dir, "--server", d.URL, "--ca-sha256", d.CASHA256, "--code", code}, more...)
	}
	got := command(t, line(strings.ToLower(code.Text()), "--json")...)
	got.succeeded(t)
	out := one[struct {
		Agent    string    `json:"agent"`
		Facility string    `json:"facility"`
		Servers  []string  `json:"servers"`
		At       time.Time `json:"at"`
	}](t, got.stdout)
	if out.Facility != enroltest.Facility || len(out.Servers) != 1 || out.Servers[0] != d.URL || out.At.IsZero() {
		t.Errorf("printed %+v", out)
	}

	seed, err := os.ReadFile(filepath.Join(dir, "agent.nk"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		t.Fatal(err)
	}
	id, err := contract.NewID(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	now := contract.Timestamp(time.Now())
	m, err := contract.NewVisitMessage(key, &contract.Visit{
		Version: contract.Version, ID: id, Facility: enroltest.Facility, Agent: out.Agent, StartedAt: now, RecordedAt: now,
		Clock: contract.ClockUnknown, Means: contract.MeansManual, Person: contract.Person{Number: d.Insured.Number},
		Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown},
	})
	if err != nil {
		t.Fatal(err)
	}
	put := func(id, subject string) {
		t.Helper()
		inQueue(t, dir, func(q *outbox.Queue) error {
			return q.Put(t.Context(), outbox.Entry{ID: id, Subject: subject, Header: m.Header, Payload: m.Payload})
		})
	}
	put(m.ID, m.Subject)
	// Nothing is left behind by mistake.
	waiting := command(t, line(d.Code(time.Hour).Text(), "--replace")...)
	waiting.failed(t, fault.Usage)
	if !strings.Contains(waiting.stderr, "1 visit not accepted yet") {
		t.Errorf("waiting: %s", waiting.stderr)
	}
	sent := command(t, "queue", "send", "--data", dir)
	sent.succeeded(t)
	if !strings.Contains(sent.stdout, "0 queued, 0 stored, 1 accepted, 0 rejected") {
		t.Errorf("sent: %s", sent.stdout)
	}

	// The directory is enrolled, and is not enrolled again by mistake.
	next := d.Code(time.Hour)
	command(t, line(next.Text())...).failed(t, fault.Usage)
	again := on(t, nil, next.Text()+"\n", line("-", "--replace")...)
	again.succeeded(t)
	if !strings.Contains(again.stdout, out.Agent) {
		t.Errorf("printed %s", again.stdout)
	}

	// A visit of another facility is told of.
	put("another", "ins.v1.visit.79001."+out.Agent)
	foreign := command(t, line(d.Code(time.Hour).Text(), "--replace", "--keep-visits")...)
	foreign.failed(t, fault.VisitForeign)
	if !strings.Contains(foreign.stdout, out.Agent) || !strings.Contains(foreign.stderr, "again: 1 visit") {
		t.Errorf("printed %s%s", foreign.stdout, foreign.stderr)
	}
}

func TestEnrolFaults(t *testing.T) {
	d := enroltest.Start(t, enroltest.Options{})
	expired := enroltest.Start(t, enroltest.Options{At: time.Now().AddDate(-11, 0, 0)})
	good := d.Code(time.Hour).Text()
	wrong := "0" + good[1:]
	if good[0] == '0' {
		wrong = "1" + good[1:]
	}
	unknown, err := contract.NewEnrolCode(strings.NewReader("nobody has made this"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, server, sum, code string
		want                    fault.Code
	}{
		{"typing error", d.URL, d.CASHA256, wrong, fault.Usage},
		{"no code", d.URL, d.CASHA256, "hello", fault.Usage},
		{"short fingerprint", d.URL, d.CASHA256[1:], good, fault.Usage},
		{"plain address", "nats://127.0.0.1:4222", d.CASHA256, good, fault.BadAddress},
		{"unknown code", d.URL, d.CASHA256, unknown.Text(), fault.EnrolRefused},
		{"expired code", d.URL, d.CASHA256, d.Code(time.Nanosecond).Text(), fault.EnrolRefused},
		{"another authority", d.URL, expired.CASHA256, good, fault.CentralUntrusted},
		{"expired certificate", expired.URL, expired.CASHA256, good, fault.CentralUntrusted},
		{"nobody there", "tls://127.0.0.1:1", d.CASHA256, good, fault.CentralUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := command(t, "enrol", "--data", filepath.Join(t.TempDir(), "desk"), "--server", tt.server, "--ca-sha256", tt.sum, "--code", tt.code)
			got.failed(t, tt.want)
			if tt.code != "hello" && strings.Contains(got.stderr+got.stdout, tt.code[:9]) {
				t.Error("the code is printed")
			}
		})
	}
	for range 6 {
		command(t, "enrol", "--data", t.TempDir(), "--server", d.URL, "--ca-sha256", d.CASHA256, "--code", unknown.Text())
	}
	command(t, "enrol", "--data", t.TempDir(), "--server", d.URL, "--ca-sha256", d.CASHA256, "--code", good).failed(t, fault.EnrolLater)
}
