package lookup

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// ErrUnknown reports data among the answers that this version does not know.
var ErrUnknown = errors.New("lookup: unknown data among the answers")

// Reseal copies the cached answers of one store, sealed with one key, into another
// store that has none, sealed with another key. It returns how many it copied and
// how many it left behind: those that cannot be opened, or that an earlier version
// wrote, which did not keep what had been asked.
func Reseal(ctx context.Context, from *store.Store, old *seal.Sealer, to *store.Store, fresh *seal.Sealer) (copied, left int, err error) {
	if err := errors.Join(from.Checked(ctx), to.Checked(ctx), makeBuckets(to)); err != nil {
		return 0, 0, fmt.Errorf("reseal the answers: %w", err)
	}
	if at, err := loadLatest(from, old); err != nil {
		return 0, 0, fmt.Errorf("reseal the answers: %w", err)
	} else if !at.IsZero() {
		if err := saveLatest(to, fresh, at); err != nil {
			return 0, 0, fmt.Errorf("reseal the answers: %w", err)
		}
	}
	copier := store.NewCopier(to)
	err = from.View(func(tx *bbolt.Tx) error {
		top := tx.Bucket(store.LookupBucket)
		err := top.ForEach(func(k, _ []byte) error {
			if !bytes.Equal(k, answersBucket) && !bytes.Equal(k, fetchedBucket) && !bytes.Equal(k, latestKey) {
				return ErrUnknown
			}
			return nil
		})
		answers := top.Bucket(answersBucket)
		if err != nil || answers == nil {
			return err
		}
		return answers.ForEach(func(key, sealed []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			var r record
			plain, err := old.Open(placeAnswer, key, sealed)
			if err != nil || !r.decode(plain) || r.Asked == nil {
				left++
				return nil
			}
			copied++
			at := r.Asked.key(fresh)
			value, filed := fresh.Seal(placeAnswer, at, plain), fetchedKey(r.FetchedAt, at)
			return copier.Do(len(value)+2*len(at), func(tx *bbolt.Tx) error {
				b := tx.Bucket(store.LookupBucket)
				return errors.Join(b.Bucket(answersBucket).Put(at, value), b.Bucket(fetchedBucket).Put(filed, nil))
			})
		})
	})
	if err = errors.Join(err, copier.Flush()); err != nil {
		return 0, 0, fmt.Errorf("reseal the answers: %w", err)
	}
	return copied, left, nil
}

// asked is who was asked about: what an answer is filed under.
type asked struct {
	Number          string `json:"number,omitempty"`
	InsuranceNumber string `json:"insuranceNumber,omitempty"`
	Name            string `json:"name"` // canonical
	BirthDate       string `json:"birthDate"`
}

func askedOf(r Request) *asked {
	return &asked{r.Number, r.InsuranceNumber, canonical(r.Name), string(r.BirthDate)}
}

// key files a person: all that the insurer's answer depends on. Case, spaces
// and the form of the accents do not matter, tone marks do.
func (a *asked) key(s *seal.Sealer) []byte {
	return s.Index(placePerson, []byte(a.Number), []byte(a.InsuranceNumber), []byte(a.Name), []byte(a.BirthDate))
}
