package outbox_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/store"
)

// TestPurgeBelievesSealedRecordsOnly: a key in clear that a disk has damaged names
// another entry, which waits to be sent.
func TestPurgeBelievesSealedRecordsOnly(t *testing.T) {
	b := newBox(t)
	b.put("a", "b")
	if _, err := b.Verdict(t.Context(), accepted("a")); err != nil {
		t.Fatal(err)
	}
	err := b.st.Update(func(tx *bbolt.Tx) error {
		filed := tx.Bucket(store.OutboxBucket).Bucket([]byte("accepted"))
		k, _ := filed.Cursor().First()
		k = slices.Clone(k)
		if err := filed.Delete(k); err != nil {
			return err
		}
		k[len(k)-1] ^= 3 // of entry 1 becomes that of 2
		return filed.Put(k, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n > 0; {
		if n, err = b.Purge(t.Context(), b.now.Add(1000*time.Hour), 100); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.queued(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("queued %q: a visit is gone without a verdict", got)
	}
	if _, item, err := b.Get(t.Context(), "b"); err != nil || item.State != outbox.Queued {
		t.Errorf("%v, %v", item.State, err)
	}
}

// TestEntryThatIsGone: an entry that a disk has lost is told of, and recording the
// visit again brings it back.
func TestEntryThatIsGone(t *testing.T) {
	for name, before := range map[string]func(*box){
		"queued":   func(*box) {},
		"stored":   func(b *box) { b.markStored(t, "b") },
		"rejected": func(b *box) { b.verdict(t, rejected("b", contract.ReasonTime)) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			b.put("a", "b", "c")
			before(b)
			err := b.st.Update(func(tx *bbolt.Tx) error {
				return tx.Bucket(store.OutboxBucket).Bucket([]byte("log")).Delete(seq(2))
			})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := b.Damaged(t.Context()); n != 1 || err != nil {
				t.Errorf("%d damaged, %v", n, err)
			}
			if err := b.Put(t.Context(), entry("b")); err != nil {
				t.Fatal(err)
			}
			if _, _, err := b.Get(t.Context(), "b"); err != nil {
				t.Errorf("recorded, and not there: %v", err)
			}
			if n, err := b.Damaged(t.Context()); n != 0 || err != nil {
				t.Errorf("%d damaged afterwards, %v", n, err)
			}
		})
	}
	// What was accepted and purged does not come back.
	b := newBox(t)
	b.put("a")
	b.verdict(t, accepted("a"))
	if n, err := b.Purge(t.Context(), b.now.Add(1000*time.Hour), 100); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if err := b.Put(t.Context(), entry("a")); err != nil || len(b.queued()) != 0 {
		t.Errorf("%v, queued %q", err, b.queued())
	}
}

// TestDamagedSequence: bbolt keeps in clear which place comes next, and its word
// must not have an entry overwritten.
func TestDamagedSequence(t *testing.T) {
	for _, tt := range []struct {
		name   string
		to     uint64
		reopen bool
		err    error
	}{
		{name: "reset", to: 0},
		{name: "back", to: 1},
		{name: "back, before it is opened", to: 0, reopen: true},
		{name: "ahead", to: 3 | 1<<40},
		{name: "at its end", to: math.MaxUint64, err: store.ErrCorrupt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t)
			b.put("a", "b", "c")
			sequence := func() (n uint64) {
				if err := b.st.View(func(tx *bbolt.Tx) error {
					n = tx.Bucket(store.OutboxBucket).Bucket([]byte("log")).Sequence()
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				return n
			}
			err := b.st.Update(func(tx *bbolt.Tx) error {
				return tx.Bucket(store.OutboxBucket).Bucket([]byte("log")).SetSequence(tt.to)
			})
			if err != nil {
				t.Fatal(err)
			}
			if tt.reopen {
				b.reopen()
				if n := sequence(); n != 3 {
					t.Errorf("sequence %d after it was opened", n)
				}
			}
			want := []string{"a", "b", "c", "d"}
			if tt.err != nil {
				want = want[:3]
			}
			if err := b.Put(t.Context(), entry("d")); !errors.Is(err, tt.err) {
				t.Errorf("Put = %v, want %v", err, tt.err)
			}
			if got := b.queued(); !slices.Equal(got, want) {
				t.Errorf("queued %q, want %q", got, want)
			}
			if n, err := b.Damaged(t.Context()); n != 0 || err != nil {
				t.Errorf("%d damaged, %v", n, err)
			}
		})
	}
}

// TestDamagedPlaceOfAnID: one bit of a place in clear must not give the verdict
// for one visit to another.
func TestDamagedPlaceOfAnID(t *testing.T) {
	lead := func(b *box, from, to uint64) {
		err := b.st.Update(func(tx *bbolt.Tx) error {
			ids := tx.Bucket(store.OutboxBucket).Bucket([]byte("ids"))
			c := ids.Cursor()
			for k, v := c.First(); k != nil; k, v = c.Next() {
				if bytes.HasPrefix(v, seq(from)) {
					return ids.Put(bytes.Clone(k), slices.Concat(seq(to), v[8:]))
				}
			}
			return errors.New("no such id")
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	b := newBox(t)
	b.put("a", "b", "c")
	lead(b, 2, 3)
	b.markStored(t, "b")
	for _, v := range []contract.Verdict{accepted("b"), rejected("b", contract.ReasonTime)} {
		if items, err := b.Verdict(t.Context(), v); err != nil || items != nil {
			t.Errorf("the verdict changed %+v, %v", items, err)
		}
	}
	if got := b.queued(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("queued %q", got)
	}
	if _, _, err := b.Get(t.Context(), "b"); !errors.Is(err, outbox.ErrDamaged) {
		t.Errorf("Get: %v", err)
	}
	if err := b.Requeue(t.Context(), "b"); !errors.Is(err, outbox.ErrDamaged) {
		t.Errorf("Requeue: %v", err)
	}
	items, err := b.List(t.Context(), 0, 0, 10)
	if err != nil || len(items) != 3 || items[0].Damaged || !items[1].Damaged || items[1].ID != "b" || items[2].Damaged {
		t.Errorf("List = %+v, %v", items, err)
	}
	if n, err := b.Damaged(t.Context()); n != 1 || err != nil {
		t.Errorf("%d damaged, %v", n, err)
	}
	b.verdict(t, accepted("c"))
	if got := b.state("c"); got != outbox.Accepted {
		t.Errorf("the visit whose place it is: %v", got)
	}
	// A place where nothing is.
	lead(b, 1, 9)
	if _, _, err := b.Get(t.Context(), "a"); !errors.Is(err, outbox.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if n, err := b.Damaged(t.Context()); n != 2 || err != nil {
		t.Errorf("%d damaged, %v", n, err)
	}
}

func (b *box) markStored(t *testing.T, id string) {
	t.Helper()
	if err := b.MarkStored(t.Context(), outbox.Ack{ID: id, Stream: "VISITS", Seq: 1}); err != nil {
		t.Fatal(err)
	}
}

func (b *box) verdict(t *testing.T, v contract.Verdict) {
	t.Helper()
	if _, err := b.Verdict(t.Context(), v); err != nil {
		t.Fatal(err)
	}
}
