package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/chamthe/chamthe/sync/store"
)

// FuzzOpen overwrites any part of a sound file with anything: it is called
// damaged, or the visits can be gone through, and the cache is called damaged, or
// can be gone through.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	good := filepath.Join(dir, "good.db")
	many(f, good)
	b, err := os.ReadFile(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte{})
	f.Add(uint32(16), []byte{0xED})                      // of a meta page
	f.Add(uint32(2*4096+8), []byte{0x01, 0, 0xFF, 0xFF}) // kind and count of a page
	for page := uint32(2); int(page)*4096 < len(b); page += 7 {
		f.Add(page*4096, []byte{byte(page), 0, 0, 0, 0, 0, 0, 0, 0x01, 0, 2, 0})
		f.Add(page*4096+16, []byte{1, 0, 0, 0, 16, 0, 0, 0, 8})
	}
	path := filepath.Join(dir, "visits.db")
	f.Fuzz(func(t *testing.T, at uint32, with []byte) {
		bad := append([]byte(nil), b...)
		if int64(at) < int64(len(bad)) {
			copy(bad[at:], with)
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(path, nil)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNewerSchema) {
				t.Fatal(err)
			}
			return
		}
		if err := visit(s, store.LookupBucket); err != nil {
			t.Error(err)
		}
		switch err := s.Checked(t.Context()); {
		case err == nil:
			if err := visit(s); err != nil {
				t.Error(err)
			}
		case !errors.Is(err, store.ErrCorrupt):
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
