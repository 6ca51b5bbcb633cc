package agent

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/store"
)

// RotateKeyStep is RotateKey with a look at each step.
func RotateKeyStep(ctx context.Context, dir string, r Rotate, step func(string)) (Rotation, error) {
	return rotateKey(ctx, dir, r, step)
}

// CachedAnswers counts the answers in the store.
func (a *Agent) CachedAnswers() (n int, err error) {
	err = a.store.View(func(tx *bbolt.Tx) error {
		n = tx.Bucket(store.LookupBucket).Bucket([]byte("answers")).Stats().KeyN
		return nil
	})
	return n, err
}

// LookUp asks who is insured, as a check-in does.
func (a *Agent) LookUp(ctx context.Context, r lookup.Request) (lookup.Answer, error) {
	return a.lookup.Lookup(ctx, r)
}
