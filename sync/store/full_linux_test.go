package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/store"
)

// TestFullDisk fills a real file system.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "visits.db")
	s, err := store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	for ; written < 200; written++ {
		err = s.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket(store.OutboxBucket).Put([]byte(strconv.Itoa(written)), make([]byte, 20<<10))
		})
		if err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrUncertain) {
		t.Errorf("after %d writes: error = %v, want %v", written, err, store.ErrFull)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := store.Open(filepath.Join(dir, "second.db"), nil); !errors.Is(err, store.ErrFull) {
		t.Errorf("a new file: error = %v, want %v", err, store.ErrFull)
	}
	// No more than the file and the mark that it was closed, if there was room.
	if entries, _ := os.ReadDir(dir); len(entries) > 2 {
		t.Errorf("%d files are left", len(entries))
	}
	// What was stored is there.
	s, err = store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range written {
		if len(get(t, s, strconv.Itoa(i))) != 20<<10 {
			t.Errorf("write %d is lost", i)
		}
	}
	// Space is found again: writing goes on.
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=4m"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "last", "v")
}

func TestClassifySystemErrors(t *testing.T) {
	for _, e := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if err := store.Classify(&os.PathError{Op: "write", Err: e}); !errors.Is(err, store.ErrFull) || !errors.Is(err, e) {
			t.Errorf("%v becomes %v", e, err)
		}
	}
	if err := store.Classify(syscall.EIO); errors.Is(err, store.ErrFull) {
		t.Errorf("EIO becomes %v", err)
	}
}
