package lookup

import (
	"encoding/binary"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// clock doubts this machine's clock. It remembers the latest moment that the clock
// has ever shown, over restarts: one that shows an earlier moment was set back, or
// was ahead before, and who of the two is wrong only the central service can say.
// Until it does, no cached answer is fresh, and each is as old as the latest moment
// makes it. Nothing is withheld because of a doubt: a clock that was wrong for a
// minute must not take a station's answers away for a month.
type clock struct {
	mu     sync.Mutex
	latest time.Time // that was shown since the clock was last found to be right
	saved  time.Time // of it, in the store
	saving bool      // somebody is about to change that
	last   verdict   // of the central service's time on this clock
	at     time.Time // when that was; with a monotonic reading
	wall   time.Time // what this clock showed then
}

// verdict is what the central service's time says of this clock.
type verdict uint8

const (
	unheard verdict = iota
	agrees
	disagrees
)

const (
	// agreedFor is how long the central service's time vouches for this clock: no
	// crystal loses maxSkew in a day.
	agreedFor = 24 * time.Hour
	// savedEvery is how much of the latest moment a power failure may take.
	savedEvery = 10 * time.Minute
)

// show notes what the clock shows. It returns the latest moment, which is now
// or a later one, and whether now is doubtful.
func (c *clock) show(now time.Time) (latest time.Time, doubt bool) {
	now = now.Round(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.After(c.latest) {
		c.latest = now
	}
	return c.latest, c.latest.Sub(now) > maxSkew
}

// hear compares the clock with the central service's.
func (c *clock) hear(central, now time.Time) {
	now = now.Round(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.at, c.wall = disagrees, time.Now(), now
	if now.Sub(central).Abs() <= maxSkew {
		c.last, c.latest = agrees, now
	}
}

// quality says how far the clock can be believed. One that has moved otherwise than
// time has passed since it was heard to be right was set, or the machine slept: which
// of the two, the central service says next.
func (c *clock) quality(now time.Time) contract.ClockQuality {
	_, doubt := c.show(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case doubt, c.last == disagrees:
		return contract.ClockUnsynchronised
	case c.last == agrees && vouched(now.Round(0).Sub(c.wall), time.Since(c.at)):
		return contract.ClockSynchronised
	}
	return contract.ClockUnknown
}

// vouched reports whether the central service's word still holds for a clock that
// has moved by wall since, while that much time has passed.
func vouched(wall, passed time.Duration) bool {
	return max(wall, passed) < agreedFor && (wall-passed).Abs() <= maxSkew
}

// due reports whether the store should learn of the latest moment, and makes that
// the caller's task, which it ends with save.
func (c *clock) due(least time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.saving || c.latest.Sub(c.saved).Abs() < least {
		return false
	}
	c.saving = true
	return true
}

// save has the store learn of the latest moment. A store that cannot be written (a
// full disk) learns of it another time.
func (c *clock) save(st *store.Store, s *seal.Sealer) {
	c.mu.Lock()
	at := c.latest
	c.mu.Unlock()
	err := saveLatest(st, s, at)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.saving = false; err == nil {
		c.saved = at
	}
}

// The latest moment is sealed, because a bit that a disk turns over must not take
// the clock for one of the next century. It is beside the buckets of the cache, and
// so may be read and written before those have been checked.
var latestKey = []byte("latest")

const placeLatest = "lookup/latest"

// loadLatest returns the latest moment that a store knows; zero without one.
func loadLatest(st *store.Store, s *seal.Sealer) (at time.Time, err error) {
	err = st.View(func(tx *bbolt.Tx) error {
		plain, err := s.Open(placeLatest, latestKey, tx.Bucket(store.LookupBucket).Get(latestKey))
		if err == nil && len(plain) == timeSize {
			at = time.UnixMilli(int64(binary.BigEndian.Uint64(plain))).UTC()
		}
		return nil
	})
	return at, err
}

func saveLatest(st *store.Store, s *seal.Sealer, at time.Time) error {
	plain := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))
	return st.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(store.LookupBucket).Put(latestKey, s.Seal(placeLatest, latestKey, plain))
	})
}
