package agent_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/store"
)

// TestLostKeys: a key that is gone is not replaced beside visits that need it.
func TestLostKeys(t *testing.T) {
	for _, name := range []string{"agent.nk", "seal.key"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir).Close()
			file := filepath.Join(dir, name)
			key, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if _, err := agent.Open(config(dir)); !errors.Is(err, agent.ErrKeyMissing) {
				t.Errorf("Open: %v", err)
			}
			if name == "agent.nk" {
				if _, err := agent.Identity(dir); !errors.Is(err, agent.ErrKeyMissing) {
					t.Errorf("Identity: %v", err)
				}
			} else if _, _, err := agent.OpenQueue(dir); !errors.Is(err, agent.ErrKeyMissing) {
				t.Errorf("OpenQueue: %v", err)
			}
			if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("another key was made: %v", err)
			}
			if err := os.WriteFile(file, key, 0o600); err != nil {
				t.Fatal(err)
			}
			open(t, dir)
		})
	}
}

func TestExposed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	dir := t.TempDir()
	open(t, dir).Close()
	for _, name := range []string{dir, filepath.Join(dir, "visits.db")} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, info.Mode().Perm()|0o002); err != nil {
			t.Fatal(err)
		}
		if _, err := agent.Open(config(dir)); !errors.Is(err, agent.ErrExposed) {
			t.Errorf("Open: %v", err)
		}
		if _, _, err := agent.OpenQueue(dir); !errors.Is(err, agent.ErrExposed) {
			t.Errorf("OpenQueue: %v", err)
		}
		if err := os.Chmod(name, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir)
}

// TestSweep: what a killed process left is removed, above all copies of keys.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	open(t, dir).Close()
	if err := os.Link(filepath.Join(dir, "seal.key"), filepath.Join(dir, ".key-1")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".identity-2", ".store-3", "nonce-4.tmp", ".operators-5", ".store-young", "notes.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{".key-1", ".identity-2", ".store-3", "nonce-4.tmp", ".operators-5", "notes.tmp"} {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if want := []string{".store-young", "agent.nk", "notes.tmp", "seal.key", "visits.db"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

// TestHealth: a running agent finds damage by itself, and says so.
func TestHealth(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	for _, id := range []string{"a", "b"} {
		if err := a.Queue().Put(t.Context(), outbox.Entry{ID: id, Subject: "s", Payload: []byte("visit")}); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	db, err := bbolt.Open(filepath.Join(dir, "visits.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		log := tx.Bucket(store.OutboxBucket).Bucket([]byte("log"))
		k, v := log.Cursor().First()
		v = bytes.Clone(v)
		v[len(v)-1] ^= 1
		return log.Put(bytes.Clone(k), v)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	cfg := config(dir)
	cfg.Logger = log.logger("agent")
	a = openWith(t, cfg)
	if h := a.Health(); h.Checked {
		t.Errorf("before Run: %+v", h)
	}
	stop := run(t, a)
	if err := a.Wait(t.Context(), func() (bool, error) { return a.Health().Checked, nil }); err != nil {
		t.Fatal(err)
	}
	stop()
	if h := a.Health(); h.Damaged != 1 || h.Err != nil {
		t.Errorf("health %+v", h)
	}
	if !strings.Contains(log.String(), "stored visits are damaged") {
		t.Errorf("the log does not say it:\n%s", log.String())
	}
}

// TestServer: the server is started for who has the directory, and nobody else.
func TestServer(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	cfg := config(dir)
	cfg.Server = func(string) (string, error) {
		t.Error("a server for a second agent")
		return "", errors.New("no")
	}
	if _, err := agent.Open(cfg); !errors.Is(err, store.ErrLocked) {
		t.Errorf("a second agent: %v", err)
	}
	a.Close()
	var key string
	cfg.Server = func(agent string) (string, error) {
		key = agent
		return "nats://127.0.0.1:1", nil
	}
	if a = openWith(t, cfg); a.Key() != key {
		t.Errorf("the server knows %q", key)
	}
	a.Close()
	broken := errors.New("broken")
	cfg.Server = func(string) (string, error) { return "", broken }
	if _, err := agent.Open(cfg); !errors.Is(err, broken) {
		t.Errorf("a server that does not start: %v", err)
	}
	open(t, dir)
}

// TestUnreadableNonce: a nonce that cannot be read is none, and the agent works.
func TestUnreadableNonce(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "nonce.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir)
	stop := run(t, a)
	// It goes on until it is told to stop: the check is over by then.
	if err := a.Wait(t.Context(), func() (bool, error) { return a.Health().Checked, nil }); err != nil {
		t.Fatal(err)
	}
	if _, ok := a.Nonce(); ok {
		t.Error("there is a nonce")
	}
	stop()
}
