package audit_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

var began = time.Date(2026, time.November, 22, 8, 0, 0, 0, time.UTC)

func newLog(t *testing.T) (*audit.Log, *store.Store, *seal.Sealer) {
	t.Helper()
	l, st, sealer := noLog(t)
	if err := l.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l, st, sealer
}

// noLog returns a trail that nobody has begun.
func noLog(t *testing.T) (*audit.Log, *store.Store, *seal.Sealer) {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "visits.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	master, err := seal.NewMemoryKey().MasterKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	at := began.Add(-time.Second)
	return audit.New(st, sealer, func() time.Time { at = at.Add(time.Second); return at }), st, sealer
}

func entries(n int) []audit.Entry {
	all := make([]audit.Entry, n)
	for i := range all {
		all[i] = audit.Entry{Actor: "desk-1", Action: audit.VisitShown, Object: strings.Repeat("v", i+1)}
	}
	return all
}

func TestAppendListVerify(t *testing.T) {
	l, _, sealer := newLog(t)
	ctx := t.Context()
	id := sealer.KeyID()
	begin := []audit.Entry{{Seq: 1, At: began, Actor: "agent", Action: audit.TrailBegun, Object: hex.EncodeToString(id[:])}}
	for range 2 { // begun once
		if s, err := l.Verify(ctx); err != nil || s.Entries != 1 || !s.First.Equal(began) {
			t.Fatalf("a new trail: %+v, %v", s, err)
		}
		if got, err := l.List(ctx, 0, 10); err != nil || !slices.Equal(got, begin) {
			t.Fatalf("a new trail: %+v, %v", got, err)
		}
		if err := l.Begin(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Append(ctx, entries(3)...); err != nil {
		t.Fatal(err)
	}
	before, err := l.Verify(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(ctx, audit.Entry{Actor: "desk-2", Action: audit.VisitExported, Note: "rejected"}); err != nil {
		t.Fatal(err)
	}
	s, err := l.Verify(ctx)
	if err != nil || s.Entries != 5 || !s.First.Equal(began) || !s.Last.Equal(began.Add(4*time.Second)) || s.Head == "" || s.Head == before.Head {
		t.Errorf("%+v, %v", s, err)
	}
	got, err := l.List(ctx, 3, 10)
	if err != nil || len(got) != 2 || got[0].Object != "vvv" || got[1].Actor != "desk-2" || got[1].Seq != 5 || got[1].Note != "rejected" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := l.List(ctx, 0, 2); err != nil || len(got) != 2 || got[1].Seq != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestForeignKey: a key that is no entry's number breaks the trail, and nothing else.
func TestForeignKey(t *testing.T) {
	l, st, _ := noLog(t)
	err := st.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("audit"))
		if err != nil {
			return err
		}
		return b.Put([]byte("x"), []byte("y"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), entries(1)...); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("Append: %v", err)
	}
	if _, err := l.Verify(t.Context()); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("Verify: %v", err)
	}
}

// TestBeginLeavesTheCacheAlone: whether a store is new is seen without its cache of
// answers, whose pages may be damaged, but with what is beside that.
func TestBeginLeavesTheCacheAlone(t *testing.T) {
	for _, tt := range []struct {
		name string
		put  func(b *bbolt.Bucket) error
		want audit.Action
	}{
		{"inside", func(b *bbolt.Bucket) error {
			answers, err := b.CreateBucketIfNotExists([]byte("answers"))
			if err != nil {
				return err
			}
			return answers.Put([]byte("k"), []byte("v"))
		}, audit.TrailBegun},
		{"beside", func(b *bbolt.Bucket) error { return b.Put([]byte("latest"), []byte("v")) }, audit.TrailMissing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, st, _ := noLog(t)
			if err := st.Update(func(tx *bbolt.Tx) error { return tt.put(tx.Bucket(store.LookupBucket)) }); err != nil {
				t.Fatal(err)
			}
			if err := l.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, err := l.List(t.Context(), 0, 10)
			if err != nil || len(got) != 1 || got[0].Action != tt.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestInvalidEntries(t *testing.T) {
	l, _, _ := newLog(t)
	for name, e := range map[string]audit.Entry{
		"nobody":  {Action: audit.VisitShown},
		"nothing": {Actor: "a"},
		"long":    {Actor: "a", Action: audit.VisitShown, Note: strings.Repeat("n", 300)},
		"broken":  {Actor: "a\xff", Action: audit.VisitShown},
		"begun":   {Actor: "a", Action: audit.TrailBegun},
		"gone":    {Actor: "a", Action: audit.TrailMissing},
	} {
		good := audit.Entry{Actor: "a", Action: audit.VisitShown}
		if err := l.Append(t.Context(), good, e); !errors.Is(err, audit.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Append(ctx, entries(1)...); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if s, err := l.Verify(t.Context()); err != nil || s.Entries != 1 {
		t.Errorf("a refused entry was written: %+v, %v", s, err)
	}
}

// TestTampering changes the file the ways that somebody without the key can.
func TestTampering(t *testing.T) {
	key := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	head := []byte("head")
	tests := []struct {
		name   string
		tamper func(b *bbolt.Bucket, sealer *seal.Sealer) error
		seq    uint64
	}{
		{"first taken out", func(b *bbolt.Bucket, _ *seal.Sealer) error { return b.Delete(key(1)) }, 1},
		{"one taken out", func(b *bbolt.Bucket, _ *seal.Sealer) error { return b.Delete(key(3)) }, 3},
		{"end cut off", func(b *bbolt.Bucket, _ *seal.Sealer) error { return b.Delete(key(5)) }, 5},
		{"all cut off", func(b *bbolt.Bucket, _ *seal.Sealer) error {
			for n := range uint64(5) {
				if err := b.Delete(key(n + 1)); err != nil {
					return err
				}
			}
			return nil
		}, 1},
		{"head taken away", func(b *bbolt.Bucket, _ *seal.Sealer) error { return b.Delete(head) }, 1},
		{"head damaged", func(b *bbolt.Bucket, _ *seal.Sealer) error { return b.Put(head, []byte("x")) }, 0},
		{"two swapped", func(b *bbolt.Bucket, _ *seal.Sealer) error {
			two, three := string(b.Get(key(2))), string(b.Get(key(3)))
			return errors.Join(b.Put(key(2), []byte(three)), b.Put(key(3), []byte(two)))
		}, 2},
		{"one damaged", func(b *bbolt.Bucket, _ *seal.Sealer) error {
			v := []byte(string(b.Get(key(4))))
			v[len(v)-1] ^= 1
			return b.Put(key(4), v)
		}, 4},
		{"one more at the end", func(b *bbolt.Bucket, _ *seal.Sealer) error { return b.Put(key(6), b.Get(key(5))) }, 6},
		{"one changed by the key's owner", func(b *bbolt.Bucket, sealer *seal.Sealer) error {
			plain, err := sealer.Open("audit/entry", key(2), b.Get(key(2)))
			if err != nil {
				return err
			}
			changed := strings.Replace(string(plain), "desk-1", "desk-9", 1)
			return b.Put(key(2), sealer.Seal("audit/entry", key(2), []byte(changed)))
		}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, st, sealer := newLog(t)
			if err := l.Append(t.Context(), entries(4)...); err != nil { // and the first
				t.Fatal(err)
			}
			if err := st.Update(func(tx *bbolt.Tx) error { return tt.tamper(tx.Bucket([]byte("audit")), sealer) }); err != nil {
				t.Fatal(err)
			}
			_, err := l.Verify(t.Context())
			broken, ok := errors.AsType[*audit.BrokenError](err)
			if !ok || !errors.Is(err, audit.ErrBroken) || broken.Seq != tt.seq {
				t.Errorf("got %v, want a break at %d", err, tt.seq)
			}
			if strings.Contains(tt.name, "head") {
				if err := l.Append(t.Context(), entries(1)...); !errors.Is(err, audit.ErrBroken) {
					t.Errorf("append after that: %v", err)
				}
			}
		})
	}
}

// TestTrailTakenOut takes the whole trail out of a store, as somebody can who does
// not have the key. That it is not there shows, at once and for ever, unless
// everything else was taken out with it.
func TestTrailTakenOut(t *testing.T) {
	visits := func(st *store.Store, change func(*bbolt.Bucket) error) {
		t.Helper()
		if err := st.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket(store.OutboxBucket)) }); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name  string
		out   func(tx *bbolt.Tx) error
		empty bool // of visits
		want  error
	}{
		{"bucket", func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("audit")) }, false, audit.ErrBroken},
		{"all in it", func(tx *bbolt.Tx) error {
			return errors.Join(tx.DeleteBucket([]byte("audit")), func() error { _, err := tx.CreateBucket([]byte("audit")); return err }())
		}, false, audit.ErrBroken},
		{"key's name too", func(tx *bbolt.Tx) error {
			return errors.Join(tx.DeleteBucket([]byte("audit")), tx.Bucket([]byte("meta")).Delete([]byte("key")))
		}, false, audit.ErrBroken},
		{"a new store", func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("audit")) }, true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, st, _ := newLog(t)
			if !tt.empty {
				visits(st, func(b *bbolt.Bucket) error {
					inner, err := b.CreateBucket([]byte("entries"))
					if err != nil {
						return err
					}
					return inner.Put([]byte("1"), []byte("sealed"))
				})
			}
			if err := l.Append(t.Context(), entries(4)...); err != nil {
				t.Fatal(err)
			}
			if err := st.Update(tt.out); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Verify(t.Context()); !errors.Is(err, audit.ErrBroken) {
				t.Errorf("the trail is gone: %v", err)
			}
			// Whoever opens it next begins again, and work goes on.
			if err := errors.Join(l.Begin(t.Context()), l.Append(t.Context(), entries(2)...)); err != nil {
				t.Fatal(err)
			}
			_, err := l.Verify(t.Context())
			if broken, ok := errors.AsType[*audit.BrokenError](err); !errors.Is(err, tt.want) || ok && (broken.Seq != 1 || broken.Why != "missing") {
				t.Errorf("later: %v, want %v", err, tt.want)
			}
			got, err := l.List(t.Context(), 0, 10)
			if err != nil || len(got) != 3 || (got[0].Action == audit.TrailMissing) != (tt.want != nil) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// TestNoBeginning: a trail that begins with anything else was not begun by this
// program, whatever its chain says.
func TestNoBeginning(t *testing.T) {
	l, st, sealer := newLog(t)
	if err := l.Append(t.Context(), entries(1)...); err != nil {
		t.Fatal(err)
	}
	// What the key's owner can make: the chain of a trail without its first entry.
	err := st.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("audit"))
		var r struct {
			audit.Entry
			MAC []byte `json:"mac"`
		}
		key := binary.BigEndian.AppendUint64(nil, 2)
		plain, err := sealer.Open("audit/entry", key, b.Get(key))
		if err == nil {
			err = json.Unmarshal(plain, &r)
		}
		if err != nil {
			return err
		}
		first := binary.BigEndian.AppendUint64(nil, 1)
		r.Seq = 1
		r.MAC = sealer.Index("audit/mac", nil, first, binary.BigEndian.AppendUint64(nil, uint64(r.At.UnixMilli())),
			[]byte(r.Actor), []byte(r.Action), []byte(r.Object), []byte(r.Note))
		entry, err := json.Marshal(r)
		if err != nil {
			return err
		}
		head, err := json.Marshal(struct {
			Seq uint64 `json:"seq"`
			MAC []byte `json:"mac"`
		}{1, r.MAC})
		if err != nil {
			return err
		}
		return errors.Join(b.Delete(key), b.Put(first, sealer.Seal("audit/entry", first, entry)),
			b.Put([]byte("head"), sealer.Seal("audit/head", []byte("head"), head)))
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Verify(t.Context())
	if broken, ok := errors.AsType[*audit.BrokenError](err); !ok || broken.Seq != 1 || broken.Why != "no beginning" {
		t.Errorf("%v", err)
	}
}
