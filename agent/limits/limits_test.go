package limits_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

var (
	noon = time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)
	key  = reader.LimitKey{Reader: "ACME Contactless", ATR: "3B8880010000000000000009"}
	full = reader.Limits{MaxNe: 223, NoExtended: true, Delay: 3 * time.Millisecond, NoSFI: true, Probe: true, Learned: noon}
)

// inStore returns limits in a store that is open all the time.
func inStore(t *testing.T) (*limits.Store, *store.Store) {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "visits.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(st.Check(context.Background()), st.Close()); err != nil {
			t.Error(err)
		}
	})
	return limits.New(st, sealer(t)), st
}

func sealer(t *testing.T) *seal.Sealer {
	t.Helper()
	master, err := seal.NewMemoryKey().MasterKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStore runs the same through both kinds of store.
func TestStore(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) *limits.Store{
		"of an agent":    func(t *testing.T) *limits.Store { s, _ := inStore(t); return s },
		"of a directory": func(t *testing.T) *limits.Store { return limits.In(filepath.Join(t.TempDir(), "made", "later")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, s := t.Context(), open(t)
			card := func(k reader.LimitKey) string {
				t.Helper()
				c, err := s.Card(ctx, k)
				if err != nil || len(c) != 8 || strings.Contains(k.ATR, strings.ToUpper(c)) {
					t.Errorf("card %q, %v", c, err)
				}
				return c
			}
			all := func(want ...limits.Entry) {
				t.Helper()
				slices.SortFunc(want, func(a, b limits.Entry) int { return strings.Compare(a.Reader+a.Card, b.Reader+b.Card) })
				got, err := s.All(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("entries (-want +got):\n%s", d)
				}
			}
			forget := func(model string, want int) {
				t.Helper()
				if n, err := s.Forget(ctx, model); n != want || err != nil {
					t.Errorf("forgot %d of %q, %v, want %d", n, model, err, want)
				}
			}
			check := func(key reader.LimitKey, want reader.Limits, known bool) {
				t.Helper()
				if l, ok, err := s.Load(ctx, key); l != want || ok != known || err != nil {
					t.Errorf("%+v, %v, %v, want %+v", l, ok, err, want)
				}
			}
			save := func(key reader.LimitKey, l reader.Limits) {
				t.Helper()
				if err := s.Save(ctx, key, l); err != nil {
					t.Fatal(err)
				}
			}
			check(key, reader.Limits{}, false)
			all()
			forget("", 0)
			if c, err := s.Card(ctx, key); c != "" || err != nil {
				t.Errorf("card %q before anything was learned, %v", c, err)
			}
			save(key, full)
			other := reader.LimitKey{Reader: "ACME Contactless", ATR: "3B8880010000000000000010"}
			elsewhere := reader.LimitKey{Reader: "Zeta", ATR: key.ATR}
			check(key, full, true)
			check(other, reader.Limits{}, false)
			check(elsewhere, reader.Limits{}, false)
			extended := reader.Limits{MaxNe: 65536, Learned: noon.Add(time.Hour)}
			probe := reader.Limits{Probe: true, Learned: noon.Add(2 * time.Hour)}
			save(other, extended)
			save(elsewhere, full)
			save(key, probe)
			last := limits.Entry{Reader: elsewhere.Reader, Card: card(elsewhere), Limits: full}
			all(limits.Entry{Reader: key.Reader, Card: card(key), Limits: probe},
				limits.Entry{Reader: other.Reader, Card: card(other), Limits: extended}, last)
			forget("ACME", 0)
			forget("ACME Contactless", 2)
			all(last)
			check(other, reader.Limits{}, false)
			forget("", 0)
			all(last)
			if n, err := s.ForgetAll(ctx); n != 1 || err != nil {
				t.Errorf("forgot %d, %v", n, err)
			}
			all()

			ended, cancel := context.WithCancel(ctx)
			cancel()
			if err := s.Save(ended, key, full); !errors.Is(err, context.Canceled) {
				t.Errorf("after the end: %v", err)
			}
		})
	}
}

// TestSameAgain: a disk is not written to for what is known.
func TestSameAgain(t *testing.T) {
	t.Parallel()
	s, st := inStore(t)
	if err := s.Save(t.Context(), key, full); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(st.Path())
	if err != nil {
		t.Fatal(err)
	}
	later := full
	later.Learned = noon.Add(time.Hour)
	if err := s.Save(t.Context(), key, later); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(st.Path())
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was written: %v", err)
	}
	if l, _, _ := s.Load(t.Context(), key); !l.Learned.Equal(noon) {
		t.Errorf("learned %v", l.Learned)
	}
	// What has grown old is as good as new when it was found out again.
	later.Learned = noon.Add(reader.LimitLife)
	if err := s.Save(t.Context(), key, later); err != nil {
		t.Fatal(err)
	}
	if l, _, _ := s.Load(t.Context(), key); !l.Learned.Equal(later.Learned) {
		t.Errorf("learned again, and still of %v", l.Learned)
	}
}

// TestBounded: a card that makes its answers to reset up does not fill the disk,
// and costs what is new nothing.
func TestBounded(t *testing.T) {
	t.Parallel()
	s, _ := inStore(t)
	const many = 300
	for i := range many {
		k := reader.LimitKey{Reader: "R", ATR: fmt.Sprintf("3B%04X", i)}
		if err := s.Save(t.Context(), k, reader.Limits{MaxNe: 1 + i, Learned: noon.Add(time.Duration(i) * time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.All(t.Context())
	if err != nil || len(all) != 256 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	for _, e := range all {
		if e.Limits.MaxNe <= many-256 {
			t.Errorf("the entry of number %d was kept", e.Limits.MaxNe)
		}
	}
}

// TestAtRest: neither the answer to reset nor the reader can be read from the file.
func TestAtRest(t *testing.T) {
	t.Parallel()
	s, st := inStore(t)
	if err := s.Save(t.Context(), key, full); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(st.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{key.ATR, strings.ToLower(key.ATR), "\x3b\x88\x80\x01\x00\x00", "ACME"} {
		if bytes.Contains(b, []byte(text)) {
			t.Errorf("%q is in the file", text)
		}
	}
}

// TestOtherKey: what was sealed with a key that is gone is not known, is
// no error, and makes room first.
func TestOtherKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := limits.In(dir).Save(t.Context(), key, full); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "limits.key")); err != nil {
		t.Fatal(err)
	}
	s := limits.In(dir)
	if _, known, err := s.Load(t.Context(), key); known || err != nil {
		t.Errorf("known %v, %v", known, err)
	}
	if all, err := s.All(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("%d entries, %v", len(all), err)
	}
	if err := s.Save(t.Context(), key, full); err != nil {
		t.Error(err)
	}
	if l, known, err := s.Load(t.Context(), key); !known || l != full || err != nil {
		t.Errorf("%+v, %v, %v", l, known, err)
	}
	if n, err := s.ForgetAll(t.Context()); n != 2 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
}

// TestTrouble: a store that cannot be used says so.
func TestTrouble(t *testing.T) {
	t.Parallel()
	t.Run("damaged", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "limits.db"), []byte(strings.Repeat("no store ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := limits.In(dir).Load(t.Context(), key); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("got %v", err)
		}
		if _, err := limits.In(dir).Forget(t.Context(), key.Reader); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("forgot one: %v", err)
		}
		// It is a cache: whoever wants none of it gets a new one.
		if n, err := limits.In(dir).ForgetAll(t.Context()); n != 0 || err != nil {
			t.Errorf("forgot %d, %v", n, err)
		}
		if err := limits.In(dir).Save(t.Context(), key, full); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
	t.Run("no place", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := limits.In(file).Save(t.Context(), key, full); err == nil {
			t.Error("saved below a file")
		}
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		st, err := store.Open(filepath.Join(t.TempDir(), "visits.db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		s := limits.New(st, sealer(t))
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Save(t.Context(), key, full); !errors.Is(err, store.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

// TestTogether: several programs use one directory.
func TestTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			k := reader.LimitKey{Reader: "R", ATR: fmt.Sprint(i)}
			if err := limits.In(dir).Save(t.Context(), k, full); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if all, err := limits.In(dir).All(t.Context()); len(all) != 4 || err != nil {
		t.Errorf("%d entries, %v", len(all), err)
	}
}

func TestUserDir(t *testing.T) {
	t.Setenv("CHAMTHE_LIMITS", "/somewhere")
	if dir, err := limits.UserDir(); dir != "/somewhere" || err != nil {
		t.Errorf("%q, %v", dir, err)
	}
	cache := t.TempDir()
	t.Setenv("CHAMTHE_LIMITS", "")
	t.Setenv("XDG_CACHE_HOME", cache)
	if dir, err := limits.UserDir(); err != nil || !strings.HasSuffix(filepath.ToSlash(dir), "chamthe/limits") {
		t.Errorf("%q, %v", dir, err)
	}
}
