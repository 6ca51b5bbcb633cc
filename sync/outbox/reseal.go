package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// ErrUnknown reports data in the queue that this version does not know.
var ErrUnknown = errors.New("outbox: unknown data in the queue")

// Resealed is what [Reseal] did.
type Resealed struct {
	Entries   int
	Damaged   int // entries that cannot be opened: their place stays, their contents do not
	Forgotten int // purged entries whose id is not known any more
}

// Reseal copies the queue of one store, sealed with one key, into another store
// that has none, sealed with another key. Everything keeps its place and state.
//
// Two things cannot be carried over, because only the old key knew them. An entry
// that cannot be opened stays in its place as a damaged one, without contents. Of
// an entry that was purged there is but a hash of its id: a Put with that id would
// be taken for new after this, and be counted once all the same by the central
// service.
func Reseal(ctx context.Context, from *store.Store, old *seal.Sealer, to *store.Store, fresh *seal.Sealer) (Resealed, error) {
	var n Resealed
	q, err := Open(to, fresh, nil)
	if err != nil {
		return n, err
	}
	opener := &Queue{st: from, seal: old}
	copier := store.NewCopier(to)
	put := func(bucket, key, value []byte) error {
		key, value = slices.Clone(key), slices.Clone(value)
		return copier.Do(len(key)+len(value), func(tx *bbolt.Tx) error {
			b := tx.Bucket(store.OutboxBucket).Bucket(bucket)
			b.FillPercent = full
			return b.Put(key, value)
		})
	}
	err = from.View(func(tx *bbolt.Tx) error {
		top := tx.Bucket(store.OutboxBucket)
		known := [][]byte{logBucket, infoBucket, idsBucket, queuedBucket, storedBucket, acceptedBucket, rejectedBucket, countsKey}
		err := top.ForEach(func(k, _ []byte) error {
			if !slices.ContainsFunc(known, func(name []byte) bool { return bytes.Equal(name, k) }) {
				return ErrUnknown
			}
			return nil
		})
		if err != nil {
			return err
		}
		log := top.Bucket(logBucket)
		if log == nil {
			return nil // never opened
		}
		c := log.Cursor()
		var at order
		for seq, sealed := c.First(); seq != nil; seq, sealed = c.Next() {
			if err := errors.Join(ctx.Err(), at.step(seq)); err != nil {
				return err
			}
			n.Entries++
			plain, err := old.Open(placeLog, seq, sealed)
			e, derr := opener.openEntry(log, seq)
			if err != nil || derr != nil {
				n.Damaged++
				if err := put(logBucket, seq, nil); err != nil { // opens under no key
					return err
				}
				continue
			}
			digest := fresh.Index(placeDigest, []byte(e.Subject), e.Payload)
			err = errors.Join(
				put(logBucket, seq, fresh.Seal(placeLog, seq, plain)),
				put(idsBucket, fresh.Index(placeID, []byte(e.ID)), slices.Concat(seq, digest)),
			)
			if err != nil {
				return err
			}
		}
		// A state record that cannot be opened counts for nothing, here as there.
		err = top.Bucket(infoBucket).ForEach(func(seq, sealed []byte) error {
			plain, err := old.Open(placeInfo, seq, sealed)
			if err != nil {
				return ctx.Err()
			}
			return errors.Join(ctx.Err(), put(infoBucket, seq, fresh.Seal(placeInfo, seq, plain)))
		})
		if err != nil {
			return err
		}
		for _, bucket := range [][]byte{queuedBucket, storedBucket, acceptedBucket, rejectedBucket} {
			err := top.Bucket(bucket).ForEach(func(k, v []byte) error { return errors.Join(ctx.Err(), put(bucket, k, v)) })
			if err != nil {
				return err
			}
		}
		n.Forgotten = top.Bucket(idsBucket).Stats().KeyN - n.Entries
		sequence, counts := log.Sequence(), slices.Clone(top.Get(countsKey))
		return copier.Do(len(counts), func(tx *bbolt.Tx) error {
			top := tx.Bucket(store.OutboxBucket)
			if err := top.Bucket(logBucket).SetSequence(sequence); err != nil || counts == nil {
				return err
			}
			return top.Put(countsKey, counts)
		})
	})
	if err = errors.Join(err, copier.Flush()); err != nil {
		return n, fmt.Errorf("reseal the queue: %w", err)
	}
	q.signal()
	return n, nil
}
