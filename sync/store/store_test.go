package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/store"
)

func open(t testing.TB, path string) *store.Store {
	t.Helper()
	s, err := store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Check(context.Background()); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("check: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t testing.TB, s *store.Store, key, value string) {
	t.Helper()
	if err := s.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(store.OutboxBucket).Put([]byte(key), []byte(value))
	}); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, s *store.Store, key string) string {
	t.Helper()
	var v string
	if err := s.View(func(tx *bbolt.Tx) error {
		v = string(tx.Bucket(store.OutboxBucket).Get([]byte(key)))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOpenCreatesAndReopens(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "visits.db")
	s, err := store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "v")
	if s.Path() != path {
		t.Errorf("Path = %q", s.Path())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files are left", len(entries))
	}
	if got := get(t, open(t, path), "k"); got != "v" {
		t.Errorf("got %q", got)
	}
}

func TestOpenLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.db")
	open(t, path)
	if _, err := store.Open(path, &store.Options{Timeout: 50 * time.Millisecond}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("error = %v, want %v", err, store.ErrLocked)
	}
}

func TestOpenConcurrentlyCreatesOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.db")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s, err := store.Open(path, &store.Options{Timeout: 30 * time.Second})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			put(t, s, fmt.Sprint(i), "v")
		})
	}
	wg.Wait()
	s := open(t, path)
	for i := range 4 {
		if get(t, s, fmt.Sprint(i)) != "v" {
			t.Errorf("write %d is lost", i)
		}
	}
}

func TestOpenNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.db")
	s, err := store.OpenWith(path, nil, store.Step{About: "future", Up: func(*bbolt.Tx) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "v")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(path, nil); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("error = %v, want %v", err, store.ErrNewerSchema)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed: %v", err)
	}
}

func TestMigrationLeavesABackup(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "visits.db")
	s, err := store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "old")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	step := store.Step{About: "rewrite k", Up: func(tx *bbolt.Tx) error {
		return tx.Bucket(store.OutboxBucket).Put([]byte("k"), []byte("new"))
	}}

	// A step that fails changes nothing.
	failing := errors.New("no")
	_, err = store.OpenWith(path, nil, step, store.Step{About: "fails", Up: func(*bbolt.Tx) error { return failing }})
	if !errors.Is(err, failing) {
		t.Errorf("error = %v, want %v", err, failing)
	}
	s, err = store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "k"); got != "old" {
		t.Errorf("after a failed migration: %q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, err = store.OpenWith(path, nil, step)
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "k"); got != "new" {
		t.Errorf("after migration: %q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, open(t, path+".v1.bak"), "k"); got != "old" {
		t.Errorf("in the backup: %q", got)
	}
	// It runs once.
	s, err = store.OpenWith(path, nil, store.Step{About: "never", Up: func(*bbolt.Tx) error {
		t.Error("ran again")
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 { // the file and the backup
		t.Errorf("%d files are left", len(entries))
	}
}

// TestStoredFileOpens opens the first file that a release could have written.
func TestStoredFileOpens(t *testing.T) {
	b, err := os.ReadFile("testdata/schema1.db")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "visits.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := get(t, open(t, path), "k"); got != "v" {
		t.Errorf("got %q", got)
	}
}

func TestOpenDamagedFile(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.db")
	s, err := store.Open(good, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		put(t, s, fmt.Sprintf("%04d", i), string(make([]byte, 500)))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	db, err := bbolt.Open(foreign, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	foreignBytes, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	zeroed := bytes.Clone(b)
	clear(zeroed[:2*page])
	scrambled := bytes.Clone(b)
	for i := 2 * page; i < len(scrambled); i++ {
		scrambled[i] ^= 0xA5
	}
	tests := []struct {
		name string
		file []byte
	}{
		{"empty", nil},
		{"text", []byte("this is not a database, whatever its name says\n")},
		{"long text", bytes.Repeat([]byte("not a database\n"), 5000)},
		{"another program's", foreignBytes},
		{"cut in the head", b[:page]},
		{"cut after the head", b[:2*page]},
		{"cut in half", b[:len(b)/2]},
		{"cut by a page", b[:4*page]},
		{"head zeroed", zeroed},
		{"pages scrambled", scrambled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "visits.db")
			if err := os.WriteFile(path, tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Open(path, nil); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("error = %v, want %v", err, store.ErrCorrupt)
			}
		})
	}
	if _, err := store.Open(t.TempDir(), nil); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := store.Open(filepath.Join(t.TempDir(), "no", "visits.db"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.db")
	s, err := store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		put(t, s, fmt.Sprintf("%04d", i), string(make([]byte, 500)))
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("a sound file: %v", err)
	}
	// The disk fails while the file is open: one key is another one.
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b, []byte("0150")); n == 0 {
		t.Fatal("the key is not in the file")
	}
	scribble(t, path, 0, bytes.ReplaceAll(b, []byte("0150"), []byte("9999")))
	if err := s.Check(t.Context()); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("error = %v, want %v", err, store.ErrCorrupt)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(path, nil); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("opened again: %v", err)
	}
}

// scribble changes a file in place, as a failing disk does.
func scribble(t *testing.T, path string, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// manyEntries is how many entries many puts into each of its two buckets.
const manyEntries = 130

// many fills a store with enough for pages of every kind: branches, values that
// span pages, free pages, a bucket of its own page, and a cache beside it.
func many(t testing.TB, path string) {
	t.Helper()
	s, err := store.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []struct{ bucket, name []byte }{{store.OutboxBucket, []byte("log")}, {store.LookupBucket, []byte("answers")}} {
		err = s.Update(func(tx *bbolt.Tx) error {
			b, err := tx.Bucket(of.bucket).CreateBucket(of.name)
			if err != nil {
				return err
			}
			for i := range manyEntries {
				if err := b.Put(append(bytes.Clone(of.name[:1]), binary.BigEndian.AppendUint64(nil, uint64(i))...), make([]byte, 300)); err != nil {
					return err
				}
			}
			return b.Put([]byte("long"), make([]byte, 9000))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		put(t, s, strconv.Itoa(i), "some value")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// visit goes through everything in a store, as its users do, but for what is in
// the buckets inside of one.
func visit(s *store.Store, but ...[]byte) error {
	return s.View(func(tx *bbolt.Tx) error {
		var all func(b *bbolt.Bucket, deeper bool) error
		n := 0
		all = func(b *bbolt.Bucket, deeper bool) error {
			return b.ForEach(func(k, v []byte) error {
				if n++; n > 1e5 {
					return errors.New("no end")
				}
				if v == nil {
					if inner := b.Bucket(k); inner != nil && deeper {
						return all(inner, true)
					}
					return nil
				}
				_ = string(k) + string(v)
				return nil
			})
		}
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return all(b, !slices.ContainsFunc(but, func(other []byte) bool { return bytes.Equal(name, other) }))
		})
	})
}

// write records something, as the outbox does.
func write(s *store.Store) error {
	return s.Update(func(tx *bbolt.Tx) error {
		b, err := tx.Bucket(store.OutboxBucket).CreateBucketIfNotExists([]byte("log"))
		if err != nil {
			return err
		}
		return b.Put([]byte("new"), make([]byte, 5000))
	})
}

// TestAnyPageDamaged damages each part of each page. Either the file is called
// damaged when it is opened, or its visits can be gone through and written to, and
// the cache as well unless it is called damaged before anybody uses it.
func TestAnyPageDamaged(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.db")
	many(t, good)
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	refused, late := 0, 0
	path := filepath.Join(dir, "visits.db")
	for at := 0; at < len(b); at += 16 {
		if at%4096 > 64 && at%1024 != 0 {
			continue // mostly heads of pages: there is what bbolt trusts
		}
		bad := bytes.Clone(b)
		switch rng.IntN(4) {
		case 0:
			bad[at+rng.IntN(16)] ^= 1 << rng.IntN(8)
		case 1:
			bad[at+rng.IntN(16)] = byte(rng.IntN(40)) // a page number, perhaps
		case 2: // another page's, but for its own number
			page, other := at/4096*4096, rng.IntN(len(b)/4096)*4096
			copy(bad[page+8:page+4096], b[other+8:other+4096])
		default:
			for i := range 16 {
				bad[at+i] ^= byte(rng.Uint32())
			}
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(path, nil)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNewerSchema) {
				t.Fatalf("at %d: %v", at, err)
			}
			refused++
			continue
		}
		if err := visit(s, store.LookupBucket); err != nil {
			t.Errorf("at %d: %v", at, err)
		}
		switch err := s.Checked(t.Context()); {
		case err == nil:
			if err := visit(s); err != nil {
				t.Errorf("at %d: %v", at, err)
			}
		case errors.Is(err, store.ErrCorrupt):
			if late++; late%10 != 0 {
				break
			}
			if err := errors.Join(visit(s, store.LookupBucket), write(s)); err != nil {
				t.Errorf("at %d, with a cache that is known to be damaged: %v", at, err)
			}
		default:
			t.Errorf("at %d: %v", at, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("at %d: %v", at, err)
		}
	}
	t.Logf("%d damaged files were refused, %d damaged caches found", refused, late)
	if refused < 30 || late < 30 {
		t.Errorf("only %d damaged files were refused, and %d damaged caches found", refused, late)
	}
}

// TestLeafThatIsABranch: a leaf that has become a copy of the branch above it
// would have bbolt go round in a circle until the process is killed, and a key
// beside its place would hide a visit. Neither is met, whatever is beside the file.
func TestLeafThatIsABranch(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.db")
	many(t, good)
	file, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	circle := func(first byte) []byte { // of the tree whose keys begin with that
		bad, n := bytes.Clone(file), 0
		for page := 2; page < len(bad)/4096; page++ {
			p := bad[page*4096:]
			if binary.NativeEndian.Uint16(p[8:]) != 1 || binary.NativeEndian.Uint64(p) != uint64(page) || p[16+binary.NativeEndian.Uint32(p[16:])] != first {
				continue
			}
			for i := 1; i < int(binary.NativeEndian.Uint16(p[10:])); i++ { // each leaf but the first
				child := int(binary.NativeEndian.Uint64(p[16+16*i+8:]))
				copy(bad[child*4096+8:child*4096+4096], p[8:4096])
				n++
			}
		}
		if n == 0 {
			t.Fatalf("no branch for keys with %q", first)
		}
		return bad
	}
	misplaced := func(first byte) []byte {
		for i := uint64(manyEntries - 1); i > manyEntries/2; i-- { // those in a branch are there twice
			if key := binary.BigEndian.AppendUint64([]byte{first}, i); bytes.Count(file, key) == 1 {
				return bytes.ReplaceAll(file, key, make([]byte, len(key)))
			}
		}
		t.Fatal("no such key in the file")
		return nil
	}
	tests := []struct {
		name          string
		file          []byte
		open, checked error
	}{
		{"sound", file, nil, nil},
		{"circle among the visits", circle('l'), store.ErrCorrupt, nil},
		{"misplaced visit", misplaced('l'), store.ErrCorrupt, nil},
		{"circle among the answers", circle('a'), nil, store.ErrCorrupt},
		{"misplaced answer", misplaced('a'), nil, store.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "visits.db")
			if err := os.WriteFile(path, tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := store.Open(path, nil)
			if !errors.Is(err, tt.open) {
				t.Fatalf("Open = %v, want %v", err, tt.open)
			}
			if err != nil {
				return
			}
			defer s.Close()
			for range 2 {
				if err := s.Checked(t.Context()); !errors.Is(err, tt.checked) {
					t.Errorf("Checked = %v, want %v", err, tt.checked)
				}
			}
			if err := errors.Join(visit(s, store.LookupBucket), write(s)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCheckGivesWay: a write that needs more memory mapped waits for those who
// read, and a check would read for minutes.
func TestCheckGivesWay(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "visits.db"))
	for i := range 50 {
		put(t, s, fmt.Sprintf("%04d", i), string(make([]byte, 500)))
	}
	const middle = 4 // pages before the check waits: some, and not all
	written, began := make(chan struct{}), make(chan struct{})
	var first context.Context // of the first turn
	turns, at := 0, 0
	store.OnPage(s, func(ctx context.Context, before int) {
		switch {
		case before == 0:
			turns, at = turns+1, 0
		case before != at:
			t.Errorf("after %d pages of turn %d: page %d", at, turns, before)
		}
		at++
		if first == nil {
			first = ctx
			close(began)
		}
		if turns != 1 || before != middle {
			return
		}
		// In the middle of the first turn, until the check is told to give way,
		// however long the write takes to come so far.
		select {
		case <-ctx.Done():
		case <-written:
			t.Error("the write did not have to wait: it was too small for this test")
		}
	})
	done := make(chan error, 1)
	go func() { done <- s.Check(t.Context()) }()
	<-began
	put(t, s, "large", string(make([]byte, 4<<20)))
	close(written)
	if err := <-done; err != nil {
		t.Errorf("Check = %v", err)
	}
	if first.Err() == nil {
		t.Error("nobody told the check to give way")
	}
	if turns != 2 || at <= middle {
		t.Errorf("%d turns, the last one of %d pages: want a second one from the beginning to the end", turns, at)
	}
}

// TestDamagedWhileOpen: bbolt panics, and the store answers.
func TestDamagedWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.db")
	many(t, path)
	for _, tt := range []struct {
		name string
		use  func(*store.Store) error
	}{
		{"View", func(s *store.Store) error { return visit(s) }},
		{"Update", func(s *store.Store) error {
			return s.Update(func(tx *bbolt.Tx) error { return tx.Bucket(store.LookupBucket).Put([]byte("k"), []byte("v")) })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "visits.db")
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := store.Open(file, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := visit(s); err != nil {
				t.Fatal(err)
			}
			scribble(t, file, 2*4096, bytes.Repeat([]byte{0xA5}, len(b)-2*4096))
			for range 2 {
				if err := tt.use(s); !errors.Is(err, store.ErrCorrupt) {
					t.Errorf("error = %v, want %v", err, store.ErrCorrupt)
				}
			}
			if err := s.View(func(*bbolt.Tx) error { return nil }); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("afterwards: %v", err)
			}
			_ = s.Close() // returns
		})
	}
}

// TestOwnPanicGoesOn: a mistake of the caller is not called damage.
func TestOwnPanicGoesOn(t *testing.T) {
	s, err := store.Open(filepath.Join(t.TempDir(), "visits.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, do := range []func(func(*bbolt.Tx) error) error{s.View, s.Update} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = do(func(*bbolt.Tx) error {
				var none []int
				none[len(t.Name())]++
				return nil
			})
		}()
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUpdateFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.db")
	s, err := store.Open(path, &store.Options{MaxSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, "first", "v")
	full := false
	for i := 0; i < 100 && !full; i++ {
		err := s.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket(store.OutboxBucket).Put([]byte{byte(i)}, make([]byte, 100<<10))
		})
		if full = errors.Is(err, store.ErrFull); err != nil && !full {
			t.Fatal(err)
		}
	}
	if !full {
		t.Fatal("the limit does not hold")
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if got := get(t, s, "first"); got != "v" {
		t.Errorf("got %q", got)
	}
}

func TestBind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.db")
	s := open(t, path)
	for range 2 {
		if err := s.Bind([8]byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Bind([8]byte{2}); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("error = %v, want %v", err, store.ErrWrongKey)
	}
}

func TestUpdateReturnsTheFunctionsError(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "visits.db"))
	mine := errors.New("mine")
	err := s.Update(func(tx *bbolt.Tx) error {
		if err := tx.Bucket(store.OutboxBucket).Put([]byte("k"), []byte("v")); err != nil {
			return err
		}
		return mine
	})
	if err != mine {
		t.Errorf("error = %v", err)
	}
	if get(t, s, "k") != "" {
		t.Error("the change was kept")
	}
	if err := s.View(func(*bbolt.Tx) error { return mine }); err != mine {
		t.Errorf("error = %v", err)
	}
}

func TestClosed(t *testing.T) {
	s, err := store.Open(filepath.Join(t.TempDir(), "visits.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	nothing := func(*bbolt.Tx) error { return nil }
	if err := s.Update(nothing); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Update: %v", err)
	}
	if err := s.View(nothing); !errors.Is(err, store.ErrClosed) {
		t.Errorf("View: %v", err)
	}
}
