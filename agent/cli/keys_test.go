package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/fault"
)

func TestKeyRotate(t *testing.T) {
	t.Parallel()
	dir := waiting(t)
	before := contents(t, filepath.Join(dir, "seal.key"))
	shown := command(t, "key", "show", "--data", dir)
	shown.succeeded(t)
	got := command(t, "key", "rotate", "--data", dir, "--json")
	got.succeeded(t)
	type rotation struct {
		Old       string `json:"old_key"`
		New       string `json:"new_key"`
		Source    string `json:"source"`
		Visits    int    `json:"visits"`
		Damaged   int    `json:"visits_damaged"`
		Forgotten int    `json:"visits_forgotten"`
		Answers   int    `json:"answers"`
		Left      int    `json:"answers_left"`
		Lists     int    `json:"list_entries"`
		Trail     int    `json:"audit_entries"`
		Head      string `json:"audit_head_before"`
	}
	r := one[rotation](t, got.stdout)
	if r.Visits != 2 || r.Source != agent.InFile || r.Old == r.New || !strings.Contains(shown.stdout, r.Old) {
		t.Errorf("%+v; before: %s", r, shown.stdout)
	}
	if string(contents(t, filepath.Join(dir, "seal.key"))) == string(before) {
		t.Error("the key is the same")
	}
	if q := queued(t, dir); len(q) != 2 {
		t.Errorf("%d visits in the queue", len(q))
	}
	if now := command(t, "key", "show", "--data", dir); !strings.Contains(now.stdout, r.New) {
		t.Errorf("now: %s", now.stdout)
	}
	list := command(t, "audit", "list", "--data", dir)
	if list.succeeded(t); !strings.Contains(list.stdout, "key_rotated") || !strings.Contains(list.stdout, r.New) {
		t.Errorf("the trail does not tell:\n%s", list.stdout)
	}
	command(t, "audit", "verify", "--data", dir).succeeded(t)
	again := command(t, "key", "rotate", "--data", dir)
	if again.succeeded(t); !strings.Contains(again.stdout, "2 visits") || !strings.Contains(again.stdout, "destroyed") {
		t.Errorf("for a person: %s", again.stdout)
	}
	command(t, "key", "rotate", "--data", dir, "--to", "cloud").failed(t, fault.Usage)
	command(t, "key", "rotate", "--data", t.TempDir()).failed(t, fault.Usage)
	a := open(t, dir)
	defer a.Close()
	command(t, "key", "rotate", "--data", dir).failed(t, fault.StoreLocked)
	command(t, "key", "destroy", "--data", dir, "--yes").failed(t, fault.StoreLocked)
}

func TestKeyDestroy(t *testing.T) {
	t.Parallel()
	dir := waiting(t)
	command(t, "key", "destroy", "--data", dir).failed(t, fault.Usage)
	command(t, "key", "destroy", "--data", dir, "--yes").failed(t, fault.VisitsUnsent)
	if q := queued(t, dir); len(q) != 2 {
		t.Errorf("%d visits in the queue", len(q))
	}
	got := command(t, "key", "destroy", "--data", dir, "--yes", "--lose-visits")
	got.succeeded(t)
	for _, want := range []string{"LOST: 2 visits", "queued 2", "visits.db", "how many records there are"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not said:\n%s", want, got.stdout)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "seal.key")); !os.IsNotExist(err) {
		t.Errorf("the key file: %v", err)
	}
	command(t, "queue", "list", "--data", dir).failed(t, fault.DataErased)
	command(t, "key", "show", "--data", dir).failed(t, fault.DataErased)
	command(t, "demo", "--data", dir).failed(t, fault.DataErased)
	again := command(t, "key", "destroy", "--data", dir, "--yes", "--json")
	again.succeeded(t)
	if r := one[agent.Remains](t, again.stdout); r.KeyFound || r.Visits != nil {
		t.Errorf("again: %+v", r)
	}
}
