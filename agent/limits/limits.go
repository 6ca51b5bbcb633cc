package limits

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

const (
	// maxEntries bounds the store. A clinic meets a dozen kinds of card; should some
	// cards answer each reset differently, the oldest entries go.
	maxEntries = 256

	place     = "limits"
	storeFile = "limits.db"
	keyFile   = "limits.key"
)

// bucket holds HMAC(reader, answer to reset) -> sealed record. It is made when it
// is first needed and is no part of the store's schema: whoever does not know it
// may ignore it, and whoever loses it learns again.
var bucket = []byte("limits")

// Store keeps learned limits. It may be used concurrently.
type Store struct {
	open func(write bool) (*store.Store, *seal.Sealer, func() error, error)
	dir  string // empty: the store is the caller's
}

var _ reader.LimitStore = (*Store)(nil)

// New returns a Store in an open store, which stays the caller's.
func New(st *store.Store, sealer *seal.Sealer) *Store {
	return &Store{open: func(bool) (*store.Store, *seal.Sealer, func() error, error) {
		return st, sealer, func() error { return nil }, nil
	}}
}

// In returns a Store in a directory of its own, which is made when there is
// something to remember. The file is open during each call only, so that several
// programs may use it; [store.ErrLocked] means that one of them takes long.
func In(dir string) *Store {
	return &Store{dir: dir, open: func(write bool) (*store.Store, *seal.Sealer, func() error, error) {
		path := filepath.Join(dir, storeFile)
		if write {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return nil, nil, nil, err
			}
		} else if _, err := os.Stat(path); err != nil {
			return nil, nil, nil, err
		}
		master, err := seal.KeyFile(filepath.Join(dir, keyFile)).MasterKey()
		if err != nil {
			return nil, nil, nil, err
		}
		sealer, err := seal.New(master)
		if err != nil {
			return nil, nil, nil, err
		}
		st, err := store.Open(path, nil)
		if err != nil {
			return nil, nil, nil, err
		}
		return st, sealer, st.Close, nil
	}}
}

// record is an entry as it is stored. Field names are part of the format.
type record struct {
	Reader     string        `json:"reader"`
	MaxNe      int           `json:"max_ne,omitempty"`
	NoExtended bool          `json:"no_extended,omitempty"`
	Delay      time.Duration `json:"delay_ns,omitempty"`
	NoSFI      bool          `json:"no_sfi,omitempty"`
	Probe      bool          `json:"probe,omitempty"`
	Learned    time.Time     `json:"learned"`
}

func (r record) limits() reader.Limits {
	return reader.Limits{MaxNe: r.MaxNe, NoExtended: r.NoExtended, Delay: r.Delay, NoSFI: r.NoSFI, Probe: r.Probe, Learned: r.Learned}
}

// Entry is what is known of one kind of card on one model of reader.
type Entry struct {
	Reader string // model
	// Card stands for the answer to reset: eight hexadecimal digits that mean
	// nothing outside this store. See [Store.Card].
	Card   string
	Limits reader.Limits
}

// with runs fn on the bucket; b is nil in a store that has none.
func (s *Store) with(ctx context.Context, write bool, fn func(b *bbolt.Bucket, sealer *seal.Sealer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	st, sealer, release, err := s.open(write)
	if err != nil {
		if !write && errors.Is(err, fs.ErrNotExist) {
			return nil // nothing was learned yet
		}
		return fmt.Errorf("limits: %w", err)
	}
	if write {
		err = st.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(bucket)
			if err != nil {
				return err
			}
			return fn(b, sealer)
		})
	} else {
		err = st.View(func(tx *bbolt.Tx) error {
			if b := tx.Bucket(bucket); b != nil {
				return fn(b, sealer)
			}
			return nil
		})
	}
	if err = errors.Join(err, release()); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	return nil
}

// index is where the entry of a key lies.
func index(sealer *seal.Sealer, key reader.LimitKey) []byte {
	return sealer.Index(place, []byte(key.Reader), []byte(key.ATR))
}

func cardOf(index []byte) string { return hex.EncodeToString(index[:4]) }

// get returns the record at an index. One that does not open is none: it was
// sealed with a key that is gone, or is damaged.
func get(b *bbolt.Bucket, sealer *seal.Sealer, index []byte) (record, bool) {
	sealed := b.Get(index)
	if sealed == nil {
		return record{}, false
	}
	plain, err := sealer.Open(place, index, sealed)
	var r record
	if err != nil || json.Unmarshal(plain, &r) != nil {
		return record{}, false
	}
	return r, true
}

// Load implements [reader.LimitStore].
func (s *Store) Load(ctx context.Context, key reader.LimitKey) (l reader.Limits, ok bool, err error) {
	err = s.with(ctx, false, func(b *bbolt.Bucket, sealer *seal.Sealer) error {
		var r record
		if r, ok = get(b, sealer, index(sealer, key)); ok {
			l = r.limits()
		}
		return nil
	})
	return l, ok, err
}

// Save implements [reader.LimitStore]. What is known already is not written
// again while it holds: reading cards must not wear out a disk.
func (s *Store) Save(ctx context.Context, key reader.LimitKey, l reader.Limits) error {
	old, known, err := s.Load(ctx, key)
	if err != nil {
		return err
	}
	if known && old.Same(l) && old.Fresh(l.Learned) {
		return nil
	}
	r := record{
		Reader: key.Reader, MaxNe: l.MaxNe, NoExtended: l.NoExtended, Delay: l.Delay, NoSFI: l.NoSFI, Probe: l.Probe,
		Learned: l.Learned.UTC().Round(0),
	}
	plain, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	return s.with(ctx, true, func(b *bbolt.Bucket, sealer *seal.Sealer) error {
		at := index(sealer, key)
		if b.Get(at) == nil {
			if err := makeRoom(b, sealer); err != nil {
				return err
			}
		}
		return b.Put(at, sealer.Seal(place, at, plain))
	})
}

// makeRoom takes the oldest entries away, those first that do not open.
func makeRoom(b *bbolt.Bucket, sealer *seal.Sealer) error {
	type aged struct {
		index   []byte
		learned time.Time
	}
	var all []aged
	err := b.ForEach(func(k, _ []byte) error {
		r, _ := get(b, sealer, k)
		all = append(all, aged{slices.Clone(k), r.Learned})
		return nil
	})
	if err != nil || len(all) < maxEntries {
		return err
	}
	slices.SortStableFunc(all, func(a, b aged) int { return a.learned.Compare(b.learned) })
	for _, a := range all[:len(all)-maxEntries+1] {
		if err := b.Delete(a.index); err != nil {
			return err
		}
	}
	return nil
}

// All returns every entry, by reader and then by card.
func (s *Store) All(ctx context.Context) ([]Entry, error) {
	var all []Entry
	err := s.with(ctx, false, func(b *bbolt.Bucket, sealer *seal.Sealer) error {
		return b.ForEach(func(k, _ []byte) error {
			if r, ok := get(b, sealer, k); ok {
				all = append(all, Entry{Reader: r.Reader, Card: cardOf(k), Limits: r.limits()})
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Reader, b.Reader), cmp.Compare(a.Card, b.Card))
	})
	return all, nil
}

// Card returns what [Entry.Card] is for a key: to tell which entry is that of the
// card on the reader. It is empty where nothing was learned yet.
func (s *Store) Card(ctx context.Context, key reader.LimitKey) (card string, err error) {
	err = s.with(ctx, false, func(_ *bbolt.Bucket, sealer *seal.Sealer) error {
		card = cardOf(index(sealer, key))
		return nil
	})
	return card, err
}

// Forget takes away what was learned with one model of reader, and returns how
// many entries that were. No reader is without a name.
func (s *Store) Forget(ctx context.Context, model string) (n int, err error) {
	return s.forget(ctx, func(r record, ok bool) bool { return ok && model != "" && r.Reader == model })
}

// ForgetAll takes everything away, and returns how many entries that were. A file of
// [In] that is damaged is removed: nothing in it is worth more than what it costs to
// learn it again.
func (s *Store) ForgetAll(ctx context.Context) (n int, err error) {
	n, err = s.forget(ctx, func(record, bool) bool { return true })
	if s.dir == "" || !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, seal.ErrKeyFileInvalid) {
		return n, err
	}
	// The key goes last: without it nothing of the file could be told.
	for _, name := range []string{storeFile, keyFile} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("limits: %w", err)
		}
	}
	return 0, nil
}

func (s *Store) forget(ctx context.Context, which func(r record, ok bool) bool) (n int, err error) {
	goes := func(b *bbolt.Bucket, sealer *seal.Sealer) (indices [][]byte, err error) {
		err = b.ForEach(func(k, _ []byte) error {
			if which(get(b, sealer, k)) {
				indices = append(indices, slices.Clone(k))
			}
			return nil
		})
		return indices, err
	}
	// A look first: to forget nothing makes no file, and writes to none.
	err = s.with(ctx, false, func(b *bbolt.Bucket, sealer *seal.Sealer) error {
		indices, err := goes(b, sealer)
		n = len(indices)
		return err
	})
	if err != nil || n == 0 {
		return 0, err
	}
	err = s.with(ctx, true, func(b *bbolt.Bucket, sealer *seal.Sealer) error {
		indices, err := goes(b, sealer)
		for _, k := range indices {
			err = errors.Join(err, b.Delete(k))
		}
		n = len(indices)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// variable names the directory of what the user's own commands learned.
const variable = "CHAMTHE_LIMITS"

// UserDir returns the directory in which commands that a user runs keep what
// they learn: that of the environment ($CHAMTHE_LIMITS), else one among the
// user's caches. An agent keeps it with its visits.
func UserDir() (string, error) {
	if dir := os.Getenv(variable); dir != "" {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("limits: no directory for caches, and no %s: %w", variable, err)
	}
	return filepath.Join(cache, "chamthe", "limits"), nil
}
