package lookup_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// TestReseal: an answer is found again under the new key, however the name is
// written, and one that cannot be filed anew is left behind.
func TestReseal(t *testing.T) {
	d := newDesk(t)
	asked := lookup.Request{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"}
	if _, err := d.Lookup(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	// One of an earlier version, which did not keep what had been asked, and one
	// that is damaged.
	err := d.st.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.LookupBucket).Bucket([]byte("answers"))
		old, broken := d.seal.Index("lookup/person", []byte("old")), d.seal.Index("lookup/person", []byte("broken"))
		return errors.Join(
			b.Put(old, d.seal.Seal("lookup/answer", old, []byte(`{"entitlement":{"source":"central"},"fetchedAt":"2026-03-02T01:00:00Z","ageThen":0}`))),
			b.Put(broken, []byte("x")),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	master, err := seal.NewMaster(bytes.Repeat([]byte{4}, seal.MasterSize))
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	to, err := store.Open(filepath.Join(t.TempDir(), "next.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	copied, left, err := lookup.Reseal(t.Context(), d.st, d.seal, to, fresh)
	if err != nil || copied != 1 || left != 2 {
		t.Fatalf("%d copied, %d left, %v", copied, left, err)
	}
	now := func() time.Time { return *d.now.Load() }
	s, err := lookup.Open(lookup.Config{
		Store: to, Sealer: fresh, Asker: d.central, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	asked.Name = "  nguyễn  văn thử"
	a, err := s.Lookup(t.Context(), asked)
	if err != nil || a.Entitlement.Source != contract.SourceCache || a.Stale {
		t.Errorf("%+v, %v", a, err)
	}
	// And its age counts on: it goes when its time has come, and the clock is right.
	d.advance(2 * lookup.DefaultKeep)
	other := asked
	other.Number = "001099000002"
	if _, err := s.Lookup(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Purge(t.Context(), 10); err != nil || n != 1 {
		t.Errorf("%d purged, %v", n, err)
	}

	err = d.st.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(store.LookupBucket).Put([]byte("tomorrow"), []byte{1})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := lookup.Reseal(t.Context(), d.st, d.seal, to, fresh); !errors.Is(err, lookup.ErrUnknown) {
		t.Errorf("unknown data: %v", err)
	}
}
