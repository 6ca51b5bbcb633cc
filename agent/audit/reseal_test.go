package audit_test

import (
	"errors"
	"strconv"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/agent/audit"
)

// TestReseal: the trail under the new key has the same entries in a chain of its
// own; one that is broken is not copied.
func TestReseal(t *testing.T) {
	log, st, sealer := newLog(t)
	if err := log.Append(t.Context(), many(1200)...); err != nil {
		t.Fatal(err)
	}
	before, err := log.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after, to, fresh := noLog(t)
	got, err := audit.Reseal(t.Context(), st, sealer, to, fresh)
	if err != nil || got != before {
		t.Fatalf("%+v, %v, want %+v", got, err, before)
	}
	now, err := after.Verify(t.Context())
	if err != nil || now.Entries != before.Entries || !now.Last.Equal(before.Last) || now.Head == before.Head {
		t.Errorf("%+v, %v, before %+v", now, err, before)
	}
	was, err := log.List(t.Context(), 0, 2000)
	if err != nil {
		t.Fatal(err)
	}
	is, err := after.List(t.Context(), 0, 2000)
	if err != nil || cmp.Diff(was, is) != "" {
		t.Errorf("%v\n%s", err, cmp.Diff(was, is))
	}
	if err := after.Append(t.Context(), audit.Entry{Actor: "it", Action: audit.KeyRotated, Note: before.Head}); err != nil {
		t.Fatal(err)
	}
	if s, err := after.Verify(t.Context()); err != nil || s.Entries != before.Entries+1 {
		t.Errorf("%+v, %v", s, err)
	}

	err = st.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("audit"))
		k, _ := b.Cursor().First()
		return b.Delete(k)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, empty, other := noLog(t)
	if _, err := audit.Reseal(t.Context(), st, sealer, empty, other); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("a broken trail: %v", err)
	}
	if _, err := audit.Reseal(t.Context(), empty, other, to, fresh); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("no trail: %v", err)
	}
}

func many(n int) []audit.Entry {
	all := make([]audit.Entry, n)
	for i := range all {
		all[i] = audit.Entry{Actor: "desk-1", Action: audit.VisitShown, Object: strconv.Itoa(i)}
	}
	return all
}
