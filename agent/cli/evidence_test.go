package cli_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
)

type evidenceDocument struct {
	Visits []struct {
		Visit     string `json:"visit"`
		Assurance string `json:"assurance"`
		Reason    string `json:"reason"`
		Doubt     string `json:"doubt"`
		JudgedAt  string `json:"judged_at"`
		TimeFrom  string `json:"time_from"`
		Claimed   string `json:"claimed"`
		Checks    []struct {
			ID        string `json:"id"`
			Result    string `json:"result"`
			Reason    string `json:"reason"`
			Algorithm string `json:"algorithm"`
		} `json:"checks"`
	} `json:"visits"`
}

// result returns the value and reason of a check of the only visit.
func (d evidenceDocument) result(t *testing.T, id string) string {
	t.Helper()
	for _, c := range d.Visits[0].Checks {
		if c.ID == id {
			return strings.TrimSpace(c.Result + " " + c.Reason)
		}
	}
	t.Fatalf("no check %s", id)
	return ""
}

// TestEvidence takes a visit out of the store of a desk and verifies it elsewhere.
func TestEvidence(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "desk")
	command(t, "demo", "--json", "--data", dir).succeeded(t)
	file := filepath.Join(t.TempDir(), "visits.jsonl")
	if got := command(t, "queue", "export", "--data", dir, "--out", file); got.exit != 0 || got.stdout != "" || got.stderr != "1 visit written\n" {
		t.Fatalf("export: %+v", got)
	}
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file is open to others: %v, %v", info.Mode(), err)
	}
	line := string(contents(t, file))
	visit := one[wire.ExportedVisit](t, line)
	trusted := filepath.Join(dir, "trust")

	t.Run("holds", func(t *testing.T) {
		got := command(t, "evidence", "verify", "--json", "--trust", trusted, file)
		got.succeeded(t)
		d := one[evidenceDocument](t, got.stdout)
		v := d.Visits[0]
		// Offline nobody knows whether the nonce is genuine, so the chip's signature
		// has no lower bound in time: attested, and the doubt says why.
		if len(d.Visits) != 1 || v.Visit != visit.ID || v.Assurance != "attested" || v.Doubt != "nonce_unknown" || v.Claimed != "accepted" || v.TimeFrom != "file" {
			t.Errorf("%+v", v)
		}
		for id, want := range map[string]string{
			"agent_signature": "successful", "agent_enrolled": "undetermined central_service_only", "times": "successful", "nonce": "undetermined nonce_unknown", "passive_authentication": "successful",
			"dg1_integrity": "successful", "dg15_integrity": "successful", "person": "successful", "agents_checks": "successful", "chip_signature": "successful",
		} {
			if got := d.result(t, id); got != want {
				t.Errorf("%s is %s, want %s", id, got, want)
			}
		}
		told := on(t, nil, line, "evidence", "verify", "--trust", trusted, "-")
		told.succeeded(t)
		if !strings.Contains(told.stdout, "CHIP SIGNED FOR THIS VISIT") || !strings.Contains(told.stdout, "1 visit: 1 signed by a chip, 0 without a chip's signature, 0 that do not hold") {
			t.Errorf("told: %s", told.stdout)
		}
	})

	// verify changes the exported visit and verifies it.
	verify := func(t *testing.T, change func(*wire.ExportedVisit), args ...string) evidenceDocument {
		t.Helper()
		v := one[wire.ExportedVisit](t, line)
		change(&v)
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got := on(t, nil, string(b), append([]string{"evidence", "verify", "--json", "-"}, args...)...)
		got.failed(t, fault.EvidenceInvalid)
		d := one[evidenceDocument](t, got.stdout)
		if v := d.Visits[0]; v.Assurance != "" || v.Reason == "" {
			t.Errorf("%+v", v)
		}
		return d
	}
	t.Run("shown twice", func(t *testing.T) {
		got := on(t, nil, line+line, "evidence", "verify", "--json", "--trust", trusted, "--arrived", visit.RecordedAt.Format(time.RFC3339Nano), "-")
		got.failed(t, fault.EvidenceInvalid)
		d := one[evidenceDocument](t, got.stdout)
		if d.Visits[0].Assurance == "" || d.Visits[0].TimeFrom != "caller" || d.Visits[1].Assurance != "" || d.Visits[1].Reason != "repeated" {
			t.Errorf("%+v", d.Visits)
		}
	})
	t.Run("nobody trusted", func(t *testing.T) {
		d := verify(t, func(*wire.ExportedVisit) {})
		if got := d.result(t, "trust_chain"); got != "undetermined no_trust_anchor" {
			t.Error(got)
		}
		if got := d.result(t, "chip_signature"); got != "not_performed" {
			t.Error(got)
		}
	})
	t.Run("after the signer expired", func(t *testing.T) {
		verify(t, func(*wire.ExportedVisit) {}, "--trust", trusted, "--arrived", "2060-01-01T00:00:00Z")
	})
	for name, change := range map[string]func(*wire.ExportedVisit){
		"one byte of the payload": func(v *wire.ExportedVisit) { v.Payload[len(v.Payload)/2] ^= 1 },
		"other person": func(v *wire.ExportedVisit) {
			v.Payload = []byte(strings.Replace(string(v.Payload), "male", "female", 1))
		},
		"other facility": func(v *wire.ExportedVisit) { v.Subject = strings.Replace(v.Subject, "01013", "01014", 1) },
		"no signature":   func(v *wire.ExportedVisit) { v.Header = nil },
		"no subject":     func(v *wire.ExportedVisit) { v.Subject = "" },
	} {
		t.Run(name, func(t *testing.T) {
			d := verify(t, change, "--trust", trusted)
			if len(d.Visits[0].Checks) != 1 || !strings.HasPrefix(d.result(t, "agent_signature"), "failed") {
				t.Errorf("%+v", d.Visits[0])
			}
		})
	}

	t.Run("trail", func(t *testing.T) {
		shown := command(t, "queue", "show", "--data", dir, visit.ID)
		shown.succeeded(t)
		if !strings.Contains(shown.stdout, `"person"`) {
			t.Error("no person is shown")
		}
		listed := command(t, "audit", "list", "--data", dir)
		listed.succeeded(t)
		for _, s := range []string{"visit_exported", "visit_shown", visit.ID} {
			if !strings.Contains(listed.stdout, s) {
				t.Errorf("the trail does not tell of %s:\n%s", s, listed.stdout)
			}
		}
		sound := command(t, "audit", "verify", "--data", dir)
		sound.succeeded(t)
		if !strings.HasPrefix(sound.stdout, "3 entries") {
			t.Error(sound.stdout)
		}
		// A visit that is not there is not written down as shown.
		command(t, "queue", "show", "--data", dir, visitA).failed(t, fault.Usage)
		if again := command(t, "audit", "verify", "--data", dir); again.stdout != sound.stdout {
			t.Errorf("the trail went on: %s", again.stdout)
		}
		change := func(tamper func(tx *bbolt.Tx) error) {
			t.Helper()
			db, err := bbolt.Open(filepath.Join(dir, "visits.db"), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Update(tamper), db.Close()); err != nil {
				t.Fatal(err)
			}
		}
		change(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("audit")).Delete([]byte{0, 0, 0, 0, 0, 0, 0, 2}) })
		command(t, "audit", "verify", "--data", dir).failed(t, fault.AuditBroken)
		// Taken out as a whole: that shows, and goes on to show, but nobody is kept
		// from work.
		change(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("audit")) })
		command(t, "audit", "verify", "--data", dir).failed(t, fault.AuditBroken)
		command(t, "queue", "show", "--data", dir, visit.ID).succeeded(t)
		command(t, "audit", "verify", "--data", dir).failed(t, fault.AuditBroken)
		if listed := command(t, "audit", "list", "--data", dir); !strings.Contains(listed.stdout, "trail_missing") {
			t.Errorf("the trail does not tell:\n%s", listed.stdout)
		}
	})
}

// TestEvidenceWithoutSignature: a chip that cannot sign proves genuine data, no more.
func TestEvidenceWithoutSignature(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "desk")
	command(t, "demo", "--json", "--chip", chip.ProfileCCCDNoAA, "--data", dir).succeeded(t)
	got := command(t, "queue", "export", "--data", dir, "--out", "-", "--state", "accepted")
	if got.exit != 0 {
		t.Fatal(got.stderr)
	}
	told := on(t, nil, got.stdout, "evidence", "verify", "--trust", filepath.Join(dir, "trust"), "-")
	told.succeeded(t)
	if !strings.Contains(told.stdout, "ATTESTED") || !strings.Contains(told.stdout, "0 signed by a chip, 1 without a chip's signature") {
		t.Errorf("a chip that cannot sign: %s", told.stdout)
	}
}

func TestBadExports(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":     "\n\n",
		"not JSON":    "visit",
		"a list":      "[]",
		"no payload":  `{"id":"x"}`,
		"endless":     `{"payload":"` + strings.Repeat("A", 4<<20),
		"bad base64":  `{"payload":"?"}`,
		"second line": `{"payload":"` + base64.StdEncoding.EncodeToString([]byte("{}")) + "\"}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			on(t, nil, text, "evidence", "verify", "-").failed(t, fault.BadExport)
		})
	}
	command(t, "evidence", "verify").failed(t, fault.Usage)
	command(t, "evidence", "verify", filepath.Join(t.TempDir(), "none")).failed(t, fault.Usage)
	command(t, "evidence", "verify", "--arrived", "yesterday", "-").failed(t, fault.Usage)
	command(t, "queue", "export", "--data", usedDir(t), "--out", "-", "--state", "lost at sea").failed(t, fault.Usage)
	command(t, "queue", "export", "--data", usedDir(t), "--out", "-", "--state", "queued", visitA).failed(t, fault.Usage)
}
