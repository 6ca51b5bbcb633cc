package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// ErrUnknown reports data among the lists that this version does not know.
var ErrUnknown = errors.New("bundle: unknown data among the lists")

// Resealed is what [Reseal] did.
type Resealed struct {
	Entries int                   // people and certificates
	Dropped []contract.BundleKind // lists of which something cannot be opened
}

// Reseal copies the lists of one store, sealed with one key, into another store
// that has none, sealed with another key. A list of which anything cannot be opened
// is left behind as a whole: what is missing would spoil the next difference, and
// the central service hands out the whole list again. Parts of a list that is still
// being fetched are left behind too.
func Reseal(ctx context.Context, from *store.Store, old *seal.Sealer, to *store.Store, fresh *seal.Sealer) (Resealed, error) {
	var n Resealed
	if err := makeBuckets(to); err != nil {
		return n, err
	}
	err := from.View(func(tx *bbolt.Tx) error {
		top := tx.Bucket(topBucket)
		if top == nil {
			return nil // the agent keeps no lists
		}
		err := top.ForEach(func(k, _ []byte) error {
			if !slices.ContainsFunc(buckets, func(name []byte) bool { return string(name) == string(k) }) {
				return ErrUnknown
			}
			return nil
		})
		if err != nil {
			return err
		}
		r := resealer{ctx, top, old, fresh, store.NewCopier(to)}
		if err := r.pin(); err != nil {
			return err
		}
		for _, kind := range kinds {
			entries, err := r.list(kind)
			if errors.Is(err, errUnreadable) {
				n.Dropped = append(n.Dropped, kind)
				continue
			}
			if err != nil {
				return err
			}
			n.Entries += entries
		}
		return r.copier.Flush()
	})
	if err != nil {
		return n, fmt.Errorf("reseal the lists: %w", err)
	}
	return n, nil
}

// errUnreadable reports a record that cannot be opened.
var errUnreadable = errors.New("bundle: unreadable record")

// resealer copies lists inside one transaction.
type resealer struct {
	ctx        context.Context
	top        *bbolt.Bucket
	old, fresh *seal.Sealer
	copier     *store.Copier
}

// pin copies which key is believed. One that cannot be read is left behind: the
// central service sends again what led to it.
func (r resealer) pin() error {
	sealed := r.top.Bucket(stateBucket).Get(pinKey)
	if sealed == nil {
		return nil
	}
	plain, err := r.old.Open(placeState, pinKey, sealed)
	if err != nil {
		return nil
	}
	return r.put(stateBucket, pinKey, r.fresh.Seal(placeState, pinKey, plain))
}

// list copies the list of a kind; its state record comes last, so that without it
// what was copied before is nothing.
func (r resealer) list(kind contract.BundleKind) (int, error) {
	name := []byte(kind)
	sealed := r.top.Bucket(stateBucket).Get(name)
	if sealed == nil {
		return 0, nil
	}
	plain, err := r.old.Open(placeState, name, sealed)
	var s State
	if err != nil || json.Unmarshal(plain, &s) != nil {
		return 0, errUnreadable
	}
	s.Pending = nil
	if plain, err = json.Marshal(s); err != nil {
		return 0, err
	}
	bucket, place, again := piecesBucket, placePieces, r.piece
	if kind == contract.BundlePopulation {
		bucket, place, again = peopleBucket, placePeople, r.person
	}
	// A look first: half a list must not be copied.
	err = r.top.Bucket(bucket).ForEach(func(key, sealed []byte) error {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if _, err := r.old.Open(place, key, sealed); err != nil {
			return errUnreadable
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	n := 0
	err = r.top.Bucket(bucket).ForEach(func(key, sealed []byte) error {
		plain, err := r.old.Open(place, key, sealed)
		if err != nil {
			return err
		}
		n++
		return errors.Join(r.ctx.Err(), again(slices.Clone(key), plain))
	})
	if err != nil {
		return 0, err
	}
	return n, r.put(stateBucket, name, r.fresh.Seal(placeState, name, plain))
}

func (r resealer) piece(key, plain []byte) error {
	return r.put(piecesBucket, key, r.fresh.Seal(placePieces, key, plain))
}

func (r resealer) person(_, plain []byte) error {
	var p contract.Registered
	if err := json.Unmarshal(plain, &p); err != nil {
		return err
	}
	k := &Keeper{c: Config{Sealer: r.fresh}}
	key, card := k.index(placePeople, p.Number), k.index(placeInsured, p.InsuranceNumber)
	if key == nil {
		key = card
	}
	err := r.put(peopleBucket, key, r.fresh.Seal(placePeople, key, plain))
	if card != nil {
		err = errors.Join(err, r.put(cardsBucket, card, key))
	}
	return err
}

func (r resealer) put(bucket, key, value []byte) error {
	return r.copier.Do(len(key)+len(value), func(tx *bbolt.Tx) error {
		return tx.Bucket(topBucket).Bucket(bucket).Put(key, value)
	})
}
