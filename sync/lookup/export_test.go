package lookup

import (
	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/store"
)

// CheckAtOnce is the size of a store that Open checks before it returns.
const CheckAtOnce = checkAtOnce

// Canonical is the form of a name under which answers are filed.
var Canonical = canonical

// Fill caches an answer for many people in one transaction.
func Fill(tx *bbolt.Tx, s *Service, people []Request, resp contract.LookupResponse) error {
	b := tx.Bucket(store.LookupBucket).Bucket(answersBucket)
	for _, p := range people {
		r := record{
			Asked: askedOf(p), Entitlement: resp.Entitlement, Person: resp.Person,
			FetchedAt: s.c.Now().UTC(), AgeThen: resp.At.Sub(resp.Entitlement.AsOf),
		}
		key := s.key(p)
		if err := b.Put(key, s.c.Sealer.Seal(placeAnswer, key, r.encode())); err != nil {
			return err
		}
	}
	return nil
}
