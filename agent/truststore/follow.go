package truststore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// Follower gives a store as it is now to a program that runs for months, while
// administrators import into it. It may be used concurrently. The zero value is
// of no use; see [Follow].
type Follower struct {
	dir   string
	mu    sync.Mutex
	store *Store // nil: not loaded, or not there
}

// Follow returns a Follower of the store in dir, which need not be there yet.
func Follow(dir string) *Follower { return &Follower{dir: dir} }

// Store returns what [Load] does, and loads only if something was imported since
// the last call. A store that cannot be loaded gives its error in every call,
// never what it was before: whoever took a root back wants it gone. What it
// returns stays as it is when a later call returns another one.
func (f *Follower) Store(ctx context.Context) (*Store, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.store != nil && f.store.current() {
		return f.store, nil
	}
	f.store = nil
	s, err := Load(ctx, f.dir)
	if err != nil {
		return nil, err
	}
	f.store = s
	return s, nil
}

// current reports whether the last entry is still there and is the last one.
// Entries are never changed, so that there is nothing else to look at; what was
// done to the directory by other hands shows at the next start.
func (s *Store) current() bool {
	_, last := os.Stat(filepath.Join(s.Dir, entriesDir, nameOf(s.next-1)))
	_, next := os.Lstat(filepath.Join(s.Dir, entriesDir, nameOf(s.next)))
	return (s.next == 1 || last == nil) && errors.Is(next, os.ErrNotExist)
}
