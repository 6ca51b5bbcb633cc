package lookup_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/store"
)

// large makes a store that is not checked before it is used, with entries among
// the answers.
func large(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "visits.db")
	st, err := store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = st.Update(func(tx *bbolt.Tx) error {
		b, err := tx.Bucket(store.LookupBucket).CreateBucketIfNotExists([]byte("answers"))
		if err != nil {
			return err
		}
		for i := range 400 {
			if err := b.Put(fmt.Appendf(nil, "answer %04d", i), make([]byte, 300)); err != nil {
				return err
			}
		}
		return tx.Bucket(store.OutboxBucket).Put([]byte("large"), make([]byte, lookup.CheckAtOnce))
	})
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAnswersWhileTheStoreIsChecked: nobody waits for the check, and what was
// answered meanwhile is kept.
func TestAnswersWhileTheStoreIsChecked(t *testing.T) {
	d := newDeskAt(t, large(t))
	if a := d.lookup(t); a.Entitlement.Status != contract.StatusValid {
		t.Errorf("status %v", a.Entitlement.Status)
	}
	if a := d.lookup(t); a.Entitlement.Source != contract.SourceCache {
		t.Errorf("source %v: the answer was forgotten", a.Entitlement.Source)
	}
	if _, err := d.Purge(t.Context(), 1); err != nil { // waits for the check
		t.Fatal(err)
	}
	d.central.set("000", errors.New("no link"))
	d.advance(2 * time.Hour)
	if a := d.lookup(t); a.Entitlement.Source != contract.SourceCache || !a.Stale {
		t.Errorf("source %v, stale %v", a.Entitlement.Source, a.Stale)
	}
	d.Close()
	if err := d.st.View(func(tx *bbolt.Tx) error {
		if n := tx.Bucket(store.LookupBucket).Bucket([]byte("answers")).Stats().KeyN; n != 401 {
			t.Errorf("%d answers in the file, want 401", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedAnswers: where the cache is damaged nothing is read from it or
// written to it. People are looked up, and visits recorded, all the same.
func TestDamagedAnswers(t *testing.T) {
	path := large(t)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 399; ; i-- {
		key := fmt.Appendf(nil, "answer %04d", i)
		if bytes.Count(b, key) == 1 { // a key in a leaf only
			b = bytes.ReplaceAll(b, key, bytes.Repeat([]byte{1}, len(key)))
			break
		}
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDeskAt(t, path)
	if a := d.lookup(t); a.Entitlement.Source != contract.SourceCentral {
		t.Errorf("source %v", a.Entitlement.Source)
	}
	if _, err := d.Purge(t.Context(), 1); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Purge = %v, want %v", err, store.ErrCorrupt)
	}
	d.central.set("000", errors.New("no link"))
	d.advance(2 * time.Hour)
	if a := d.lookup(t); a.Entitlement.Source != contract.SourceCache || !a.Stale {
		t.Errorf("source %v, stale %v: not remembered", a.Entitlement.Source, a.Stale)
	}
	other := person
	other.Number = "001099000002"
	if a, err := d.Lookup(t.Context(), other); err != nil || a.Entitlement.Source != contract.SourceNone {
		t.Errorf("source %v, %v", a.Entitlement.Source, err)
	}
	if err := d.st.Update(func(tx *bbolt.Tx) error { return tx.Bucket(store.OutboxBucket).Put([]byte("k"), []byte("v")) }); err != nil {
		t.Errorf("a visit: %v", err)
	}
}
