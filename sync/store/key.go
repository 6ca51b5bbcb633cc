package store

import "go.etcd.io/bbolt"

// KeyID returns the id of the master key to which [Store.Bind] tied the file; ok is
// false when nothing did yet.
func (s *Store) KeyID() (id [8]byte, ok bool, err error) {
	err = s.View(func(tx *bbolt.Tx) error {
		got := tx.Bucket(metaBucket).Get(keyKey)
		if ok = got != nil; ok && copy(id[:], got) != len(id) {
			return ErrCorrupt
		}
		return nil
	})
	return id, ok, err
}

// Buckets returns the names of all buckets but the store's own: whose data is in
// the file.
func (s *Store) Buckets() ([]string, error) {
	var names []string
	err := s.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
			if string(name) != string(metaBucket) {
				names = append(names, string(name))
			}
			return nil
		})
	})
	return names, err
}

// Copier writes to a store in transactions of bearable size. Call Flush at the
// end. It is for one goroutine.
type Copier struct {
	st      *Store
	pending []func(*bbolt.Tx) error
	bytes   int
}

// Copier's transactions hold about as much as this. Memory is what it costs.
const (
	copyEntries = 5000
	copyBytes   = 8 << 20
)

// NewCopier returns a Copier to a store.
func NewCopier(to *Store) *Copier { return &Copier{st: to} }

// Do has fn run in one of the next transactions, in order. size is about how many
// bytes it writes. What fn uses must stay as it is until then.
func (c *Copier) Do(size int, fn func(*bbolt.Tx) error) error {
	c.pending, c.bytes = append(c.pending, fn), c.bytes+size
	if len(c.pending) < copyEntries && c.bytes < copyBytes {
		return nil
	}
	return c.Flush()
}

// Flush makes everything durable that is not yet.
func (c *Copier) Flush() error {
	if len(c.pending) == 0 {
		return nil
	}
	err := c.st.Update(func(tx *bbolt.Tx) error {
		for _, fn := range c.pending {
			if err := fn(tx); err != nil {
				return err
			}
		}
		return nil
	})
	clear(c.pending)
	c.pending, c.bytes = c.pending[:0], 0
	return err
}
