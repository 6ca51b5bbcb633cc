package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/store"
)

// TestBranchBelowABranch: a key of a branch page that has branches below it leads
// bbolt past the entries under it, though each page is in order by itself.
func TestBranchBelowABranch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.db")
	s, err := store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	var root int
	// In one transaction pages are filled by half; a larger page takes more.
	n := uint64(30_000 * (page / 4096) * (page / 4096))
	err = errors.Join(
		s.Update(func(tx *bbolt.Tx) error {
			b, err := tx.Bucket(store.OutboxBucket).CreateBucket([]byte("queued"))
			for i := uint64(1); i <= n && err == nil; i++ {
				key := binary.BigEndian.AppendUint64(nil, i)
				err = b.Put(key, key)
			}
			return err
		}),
		s.View(func(tx *bbolt.Tx) error {
			root = int(tx.Bucket(store.OutboxBucket).Bucket([]byte("queued")).Root())
			return nil
		}),
		s.Check(t.Context()),
		s.Close(),
	)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const branch = 1
	top := file[root*page:]
	second := top[16+16:] // element
	key := second[binary.NativeEndian.Uint32(second):][:8]
	below := file[int(binary.NativeEndian.Uint64(second[8:]))*page:]
	if binary.NativeEndian.Uint16(top[8:]) != branch || binary.NativeEndian.Uint16(below[8:]) != branch {
		t.Fatal("the tree has no three levels")
	}
	was := binary.BigEndian.Uint64(key)
	third := top[16+2*16:]
	high := binary.BigEndian.Uint64(third[binary.NativeEndian.Uint32(third):])
	tried := 0
	for bit := range bits.Len64(n) { // one bit, so that the key stays between its neighbours
		bad := was ^ 1<<bit
		if bad <= 1 || bad >= high {
			continue
		}
		tried++
		binary.BigEndian.PutUint64(key, bad)
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(path, nil)
		if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("key %d instead of %d: %v, want %v", bad, was, err, store.ErrCorrupt)
		}
		if err == nil {
			_ = s.Close()
		}
	}
	if tried == 0 {
		t.Fatalf("no key but %d below %d", was, high)
	}
}

// TestRolledBack: with the newest meta page damaged bbolt goes back to the one
// before it, and the change that was reported as durable is gone: not in silence.
func TestRolledBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.db")
	s, err := store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "first", "1")
	put(t, s, "last", "2")
	if s.RolledBack() {
		t.Error("a new file is said to miss something")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const header, transaction = 16, 48 // where the number of the transaction is in a meta page
	page := os.Getpagesize()
	newest := 0
	if binary.NativeEndian.Uint64(file[page+header+transaction:]) > binary.NativeEndian.Uint64(file[header+transaction:]) {
		newest = page
	}
	tests := []struct {
		name string
		at   int // -1: nowhere
		last string
		want bool
	}{
		{"sound", -1, "2", false},
		{"magic", newest + header, "", true},
		{"version", newest + header + 4, "", true},
		{"root", newest + header + 16, "", true},
		{"transaction", newest + header + transaction, "", true},
		{"checksum", newest + header + transaction + 8, "", true},
		{"the older one", page - newest + header + 16, "2", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "visits.db")
			file := bytes.Clone(file)
			if tt.at >= 0 {
				file[tt.at] ^= 1
			}
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, want := range []bool{tt.want, false} { // until something is written
				s, err := store.Open(path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := s.RolledBack(); got != want {
					t.Errorf("RolledBack = %v, want %v", got, want)
				}
				if first, last := get(t, s, "first"), get(t, s, "last"); first != "1" || last != tt.last {
					t.Errorf("%q and %q, want 1 and %q", first, last, tt.last)
				}
				put(t, s, "next", "3")
				if err := errors.Join(s.Check(t.Context()), s.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
