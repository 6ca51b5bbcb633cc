package lookup

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

var (
	answersBucket = []byte("answers") // HMAC(person) -> sealed record
	fetchedBucket = []byte("fetched") // t, HMAC(person) -> nothing: for Purge
)

const (
	placeAnswer = "lookup/answer"
	placePerson = "lookup/person"
	timeSize    = 8
)

// maxPending bounds the answers that wait in memory for a store that is being
// checked: a busy hour's.
const maxPending = 1024

// checkAtOnce is the size of a store that is checked before anything else is done:
// it takes some ten milliseconds.
const checkAtOnce = 16 << 20

// cache is the answers in the store. The store has not read their pages when it
// is opened, because there may be a million; until it has, the cache is shut:
// nothing is read from it, and what is to be written waits in memory. When the
// store turns out to be damaged there, that stays so.
type cache struct {
	st   *store.Store
	seal *seal.Sealer

	mu      sync.Mutex
	open    bool
	pending map[string]record // not in the store yet, by key
	checked chan struct{}     // closed when the store has been checked
	err     error             // what the check found; to be read after checked
}

func newCache(st *store.Store, s *seal.Sealer) *cache {
	return &cache{st: st, seal: s, pending: make(map[string]record), checked: make(chan struct{})}
}

// makeBuckets makes what the cache needs in a new store.
func makeBuckets(st *store.Store) error {
	missing := false
	err := st.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.LookupBucket)
		missing = b.Bucket(answersBucket) == nil || b.Bucket(fetchedBucket) == nil
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return st.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{answersBucket, fetchedBucket} {
			if _, err := tx.Bucket(store.LookupBucket).CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
}

// check has the store checked, and opens the cache. It returns when ctx ends.
func (c *cache) check(ctx context.Context) {
	defer close(c.checked)
	if c.err = c.st.Checked(ctx); c.err != nil {
		return
	}
	for {
		key, r, ok := c.next()
		if !ok {
			return
		}
		_ = c.write([]byte(key), r) // see ask
		c.mu.Lock()
		if c.pending[key].FetchedAt.Equal(r.FetchedAt) {
			delete(c.pending, key)
		}
		c.mu.Unlock()
	}
}

// next returns one of the answers that wait. When none does the cache is open.
func (c *cache) next() (string, record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, r := range c.pending {
		return key, r, true
	}
	c.open = true
	return "", record{}, false
}

// await waits until the store has been checked and returns what was found, or
// ctx's error when that is not known yet.
func (c *cache) await(ctx context.Context) error {
	select {
	case <-c.checked:
		return c.err
	default:
	}
	select {
	case <-c.checked:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// load returns a cached answer. One that cannot be opened is none.
func (c *cache) load(key []byte) (r record, ok bool) {
	c.mu.Lock()
	open := c.open
	if !open {
		r, ok = c.pending[string(key)]
	}
	c.mu.Unlock()
	if !open {
		return r, ok
	}
	return c.read(key)
}

func (c *cache) read(key []byte) (r record, ok bool) {
	var plain []byte
	err := c.st.View(func(tx *bbolt.Tx) (err error) {
		sealed := tx.Bucket(store.LookupBucket).Bucket(answersBucket).Get(key)
		plain, err = c.seal.Open(placeAnswer, key, sealed) // nil does not open
		return err
	})
	if err != nil || !r.decode(plain) {
		return record{}, false
	}
	return r, true
}

func (c *cache) save(key []byte, r record) error {
	c.mu.Lock()
	open := c.open
	if _, known := c.pending[string(key)]; !open && (known || len(c.pending) < maxPending) {
		c.pending[string(key)] = r
	}
	c.mu.Unlock()
	if !open {
		return nil
	}
	return c.write(key, r)
}

func (c *cache) write(key []byte, r record) error {
	plain := r.encode()
	old, had := c.read(key)
	return c.st.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.LookupBucket)
		fetched := b.Bucket(fetchedBucket)
		if had {
			if err := fetched.Delete(fetchedKey(old.FetchedAt, key)); err != nil {
				return err
			}
		}
		return errors.Join(
			b.Bucket(answersBucket).Put(key, c.seal.Seal(placeAnswer, key, plain)),
			fetched.Put(fetchedKey(r.FetchedAt, key), nil),
		)
	})
}

func fetchedKey(at time.Time, key []byte) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, timeSize+len(key)), uint64(max(0, at.UnixMilli())))
	return append(b, key...)
}

// purge removes up to n answers that were fetched before a time.
func (c *cache) purge(before time.Time, n int) (int, error) {
	removed := 0
	limit := fetchedKey(before, nil)
	err := c.st.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.LookupBucket)
		var keys [][]byte
		cur := b.Bucket(fetchedBucket).Cursor()
		for k, _ := cur.First(); k != nil && len(keys) < n && len(k) > timeSize && string(k[:timeSize]) < string(limit); k, _ = cur.Next() {
			keys = append(keys, slices.Clone(k))
		}
		if len(keys) == 0 {
			return errNothing
		}
		for _, k := range keys {
			if err := errors.Join(b.Bucket(fetchedBucket).Delete(k), b.Bucket(answersBucket).Delete(k[timeSize:])); err != nil {
				return err
			}
		}
		removed = len(keys)
		return nil
	})
	if errors.Is(err, errNothing) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// errNothing ends a transaction that has nothing to write.
var errNothing = errors.New("lookup: nothing to remove")
