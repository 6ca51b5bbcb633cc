package audit

import (
	"context"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// Reseal copies the trail of one store, sealed with one key, into another store
// that has none, sealed with another key, and returns what the old one came to.
// The MACs of a trail are made with its key, so the copy is a chain of its own,
// with the same entries, numbers and times. Whoever noted the old head finds it in
// the entry that the caller appends next ([KeyRotated]): it says that the old chain
// was followed from its first entry to that head, under the old key, before it was
// copied.
//
// A trail that is broken or missing is [ErrBroken] and is not copied: a new chain
// would hide it.
func Reseal(ctx context.Context, from *store.Store, old *seal.Sealer, to *store.Store, fresh *seal.Sealer) (Summary, error) {
	before := New(from, old, nil)
	s, err := before.Verify(ctx)
	if err != nil {
		return Summary{}, err
	}
	after := New(to, fresh, nil)
	copier := store.NewCopier(to)
	err = to.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	})
	if err != nil {
		return Summary{}, fmt.Errorf("audit: reseal: %w", err)
	}
	var h head
	for {
		entries, err := before.List(ctx, h.Seq, 500)
		if err != nil {
			return Summary{}, err
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			h.Seq, h.MAC = e.Seq, after.mac(h.MAC, e)
			r := record{e, slices.Clone(h.MAC)}
			err := copier.Do(maxText, func(tx *bbolt.Tx) error {
				return after.put(tx.Bucket(bucket), seqKey(r.Seq), placeEntry, r)
			})
			if err != nil {
				return Summary{}, fmt.Errorf("audit: reseal: %w", err)
			}
		}
	}
	err = copier.Do(maxText, func(tx *bbolt.Tx) error { return after.put(tx.Bucket(bucket), headKey, placeHead, h) })
	if err == nil {
		err = copier.Flush()
	}
	if err != nil {
		return Summary{}, fmt.Errorf("audit: reseal: %w", err)
	}
	return s, nil
}
