package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chamthe/chamthe/sync/contract"
)

// TestFullDisk fills the file system of the store, and makes room again.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	key := newKey(t)
	name, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	f := prepare(t, key)
	url, _ := start(t, "serve", "--seed", f.seed, "--trust", f.trust, "--dir", filepath.Join(dir, "js"), "--listen", "127.0.0.1:0")
	nc, err := nats.Connect(url, nats.Nkey(name, key.Sign), nats.CustomInboxPrefix("_INBOX."+name),
		nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	subject, err := contract.NonceSubject("01013")
	if err != nil {
		t.Fatal(err)
	}
	answered := func() bool {
		m, err := nc.Request(subject, nil, time.Second)
		return err == nil && len(m.Data) > 0
	}

	filler := filepath.Join(dir, "filler")
	// The write ends with the error that is wanted here.
	if err := os.WriteFile(filler, make([]byte, 16<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	if answered() { // a nonce is stored before it is handed out
		t.Fatal("a nonce from a full disk")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); !answered(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("there is room, and no nonce")
		}
	}
}

// TestDirectoryInUse: the second service on one directory says so and ends.
func TestDirectoryInUse(t *testing.T) {
	f := prepare(t, newKey(t))
	args := []string{"serve", "--seed", f.seed, "--trust", f.trust, "--dir", f.dir, "--listen", "127.0.0.1:0"}
	start(t, args...)
	if status := run(t.Context(), args, os.Stdout, os.Stderr); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
}
