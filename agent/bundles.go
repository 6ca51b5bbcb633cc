package agent

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/truststore"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/bundle"
	"github.com/chamthe/chamthe/sync/contract"
)

// bundlesEvery is how often the central service is asked for newer lists.
const bundlesEvery = 15 * time.Minute

// firstBundles is how long after the start it is asked first, at the latest: when
// ten thousand computers are switched on at seven, not at once.
const firstBundles = time.Minute

// insurersBundle is the source of what the trust bundle holds.
const insurersBundle = "insurer's bundle"

// bundleKinds are the lists that an agent keeps.
var bundleKinds = []contract.BundleKind{contract.BundlePopulation, contract.BundleTrust}

// Bundle returns what is known of the insurer's list of a kind: its age, and why a
// newer one was refused. The zero State is none.
func (a *Agent) Bundle(kind contract.BundleKind) (bundle.State, error) {
	if a.bundles == nil {
		return bundle.State{}, nil
	}
	return a.bundles.State(kind)
}

// UpdateBundles fetches what is newer and installs it. What was installed or
// refused is in the audit trail. The error is the first that came up; a refusal
// ([bundle.Refused]) of one list does not keep the other from being updated.
func (a *Agent) UpdateBundles(ctx context.Context) error {
	if a.bundles == nil {
		return nil
	}
	var first error
	for _, kind := range bundleKinds {
		before, err := a.bundles.State(kind)
		if err == nil {
			var installed bool
			installed, err = a.bundles.Update(ctx, kind)
			err = errors.Join(err, a.noteKey(ctx, kind, before), a.noteBundle(ctx, kind, before, installed, err))
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return first
}

// noteKey writes into the audit trail that the insurer's key has rolled, which the
// lists follow: see [bundle.HeaderRoll].
func (a *Agent) noteKey(ctx context.Context, kind contract.BundleKind, before bundle.State) error {
	after, err := a.bundles.State(kind)
	if err != nil || after.Key == before.Key {
		return err
	}
	a.cfg.Logger.Info("the insurer signs its lists with another key", "key", after.Key)
	return a.audit.Append(context.WithoutCancel(ctx), audit.Entry{
		Actor: "agent", Action: audit.BundleKeyRolled, Object: after.Key, Note: "in place of " + before.Key,
	})
}

// noteBundle writes what became of a list into the audit trail; a refusal for the
// same reason as the last one is no news.
func (a *Agent) noteBundle(ctx context.Context, kind contract.BundleKind, before bundle.State, installed bool, err error) error {
	e := audit.Entry{Actor: "agent", Object: string(kind)}
	why, refused := bundle.Refused(err)
	switch {
	case installed:
		e.Action = audit.BundleInstalled
	case refused && before.Refused != why.Error():
		e.Action, e.Note = audit.BundleRefused, why.Error()
		a.cfg.Logger.Error("a list of the insurer was refused", "kind", kind, "error", why)
	default:
		return nil
	}
	a.signal()
	return a.audit.Append(context.WithoutCancel(ctx), e)
}

// keepBundles asks for newer lists until ctx ends.
func (a *Agent) keepBundles(ctx context.Context) {
	if a.bundles == nil {
		return
	}
	wait := rand.N(firstBundles)
	// A station that has no list yet is not left without one for long.
	if s, err := a.bundles.State(contract.BundlePopulation); err == nil && !s.Installed() {
		wait = 0
	}
	again := time.Duration(0) // ceiling of the next wait after a failure
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		err := a.UpdateBundles(ctx)
		if _, refused := bundle.Refused(err); err == nil || refused {
			wait, again = bundlesEvery*3/4+rand.N(bundlesEvery/2), 0
			continue
		}
		// There is no link yet, or it broke in the middle.
		a.cfg.Logger.Debug("no newer lists", "error", err)
		again = min(max(2*again, time.Second), firstBundles)
		wait = again/2 + rand.N(again/2)
	}
}

// registered is the agent's list of people for package lookup.
func (a *Agent) registered(number, card string) (contract.Registered, time.Time, bool) {
	r, s, ok := a.bundles.Find(number, card)
	return r, s.IssuedAt, ok
}

// merged is a pool of issuers that holds the insurer's list too.
type merged struct {
	store  *truststore.Store // nil: nothing was imported
	serial int64
	pool   *trust.Pool
}

// withBundle returns the pool that was imported together with what the insurer's
// bundle holds. The insurer's key was pinned when the agent was enrolled: its word
// is that of who runs the agent.
func (a *Agent) withBundle(ctx context.Context, s *truststore.Store) (*trust.Pool, error) {
	state, err := a.bundles.State(contract.BundleTrust)
	if err != nil {
		return nil, err
	}
	if !state.Installed() {
		if s == nil {
			return trust.NewPool(), nil
		}
		return s.Pool, nil
	}
	a.mu.Lock()
	have := a.merged
	a.mu.Unlock()
	if have.pool != nil && have.store == s && have.serial == state.Serial {
		return have.pool, nil
	}
	pool := trust.NewPool()
	if s != nil {
		if pool, err = truststore.Gather(ctx, []string{s.Dir}, time.Now()); err != nil {
			return nil, err
		}
	}
	pieces, state, err := a.bundles.Pieces(ctx)
	if err != nil {
		return nil, err
	}
	report, err := pool.Import(itemsOf(pieces), &trust.Import{Source: insurersBundle, At: state.InstalledAt, Trust: true})
	if err != nil {
		return nil, err
	}
	if n := report.Refused(); n > 0 {
		a.cfg.Logger.Warn("pieces of the insurer's trust bundle were refused", "refused", n, "accepted", report.Accepted())
	}
	a.mu.Lock()
	a.merged = merged{s, state.Serial, pool}
	a.mu.Unlock()
	return pool, nil
}

// itemsOf reads each piece on its own, so that one that is broken stops nothing.
func itemsOf(pieces [][]byte) iter.Seq2[trust.Item, error] {
	return func(yield func(trust.Item, error) bool) {
		for _, der := range pieces {
			for item, err := range trust.Items(bytes.NewReader(der)) {
				if err != nil {
					item, err = trust.Item{Err: err}, nil
				}
				if !yield(item, err) {
					return
				}
			}
		}
	}
}
