package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
)

// usedDir returns a data directory that an agent has used before.
func usedDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t *testing.T, dir string) *agent.Agent {
	t.Helper()
	a, err := agent.Open(agent.Config{Dir: dir, Facility: "01013", URLs: []string{"nats://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// everyCommand runs each command that opens a data directory.
func everyCommand(t *testing.T, dir string, want fault.Code) {
	t.Helper()
	for _, args := range [][]string{
		{"queue", "list", "--data", dir},
		{"queue", "send", "--data", dir, "--central", "nats://127.0.0.1:1"},
	} {
		got := command(t, args...)
		got.failed(t, want)
		if got.stdout != "" {
			t.Errorf("%s: standard output %q", args[0], got.stdout)
		}
	}
	got := command(t, "demo", "--json", "--chip", chip.ProfileCCCDNoAA, "--data", dir)
	got.failed(t, want)
	cameToNothing(t, got, want, wire.VerdictError)
	got = command(t, "queue", "list", "--data", dir, "--json")
	got.failed(t, want)
	if v := one[wire.Failure](t, got.stdout); v.Verdict != wire.VerdictError || v.Fault == nil || v.Fault.Code != string(want) {
		t.Errorf("queue list: %+v", v)
	}
}

func TestNewerStore(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	file := filepath.Join(dir, "visits.db")
	db, err := bbolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte{0, 0, 0, 99})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := contents(t, file)
	beside, err := filepath.Glob(file + "?*")
	if err != nil {
		t.Fatal(err)
	}
	everyCommand(t, dir, fault.StoreNewer)
	if !bytes.Equal(contents(t, file), before) {
		t.Error("the file was touched")
	}
	if now, _ := filepath.Glob(file + "?*"); !slices.Equal(now, beside) {
		t.Errorf("files %q, before %q", now, beside)
	}
}

func TestLockedStore(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	a := open(t, dir)
	defer a.Close()
	everyCommand(t, dir, fault.StoreLocked)
}

func TestDamagedStore(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	file := filepath.Join(dir, "visits.db")
	if err := os.WriteFile(file, bytes.Repeat([]byte("no database "), 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	before := contents(t, file)
	everyCommand(t, dir, fault.StoreDamaged)
	if !bytes.Equal(contents(t, file), before) {
		t.Error("the file was touched")
	}
}

func TestBadKeyFiles(t *testing.T) {
	t.Parallel()
	t.Run("key of another file", func(t *testing.T) {
		t.Parallel()
		dir := usedDir(t)
		if err := os.WriteFile(filepath.Join(dir, "seal.key"), make([]byte, 32), 0o600); err != nil {
			t.Fatal(err)
		}
		everyCommand(t, dir, fault.BadKeyFile)
	})
	t.Run("key readable by others", func(t *testing.T) {
		t.Parallel()
		dir := usedDir(t)
		if err := os.Chmod(filepath.Join(dir, "seal.key"), 0o644); err != nil {
			t.Fatal(err)
		}
		everyCommand(t, dir, fault.BadKeyFile)
	})
	t.Run("identity readable by others", func(t *testing.T) {
		t.Parallel()
		dir := usedDir(t)
		if err := os.Chmod(filepath.Join(dir, "agent.nk"), 0o644); err != nil {
			t.Fatal(err)
		}
		command(t, "queue", "send", "--data", dir, "--central", "nats://127.0.0.1:1").failed(t, fault.BadKeyFile)
		command(t, "demo", "--chip", chip.ProfileCCCDNoAA, "--data", dir).failed(t, fault.BadKeyFile)
		// Looking at the queue needs no identity.
		command(t, "queue", "list", "--data", dir).succeeded(t)
	})
}

func contents(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEmptyQueue(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	if q := queued(t, dir); q == nil || len(q) != 0 {
		t.Errorf("visits %v, want an empty list", q)
	}
	// Nothing waits, so there is nothing to be sent and nobody to be reached.
	command(t, "queue", "send", "--data", dir, "--central", "nats://127.0.0.1:1").succeeded(t)
}
