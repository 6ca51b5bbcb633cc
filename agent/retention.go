package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/sync/lookup"
)

// Retention says how long personal data stays on this computer. A duration of 0
// means its default. Visits that the insurer has not accepted yet, or has rejected,
// are kept whatever their age.
type Retention struct {
	Visits  time.Duration // accepted visits, since their verdict; DefaultVisits
	Answers time.Duration // cached answers of the central service; lookup.DefaultKeep
	Backups time.Duration // copies of the store that migrations left; DefaultBackups
}

// Defaults of [Retention].
const (
	DefaultVisits  = 30 * 24 * time.Hour
	DefaultBackups = 30 * 24 * time.Hour
)

// withDefaults returns r without zeros.
func (r Retention) withDefaults() Retention {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{{&r.Visits, DefaultVisits}, {&r.Answers, lookup.DefaultKeep}, {&r.Backups, DefaultBackups}} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	return r
}

const (
	// retainEvery is how often the agent looks for what is past its time.
	retainEvery = time.Hour
	// retainBatch is how much is removed in one transaction: the desk waits for it
	// when a visit is to be recorded at that moment.
	retainBatch = 200
)

// retentionActor is who removes data in the audit trail.
const retentionActor = "retention"

// keepRetention removes what is past its time, now and then again, until ctx ends.
func (a *Agent) keepRetention(ctx context.Context) {
	for {
		if err := a.Retain(ctx, time.Now()); err != nil && ctx.Err() == nil {
			a.cfg.Logger.Warn("data past its time stays", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retainEvery):
		}
	}
}

// Retain removes what is past its time at a time: accepted visits, cached answers,
// copies of the store, and files that killed processes left. [Agent.Run] does so
// every hour. What was removed is in the audit trail, as numbers.
//
// The time is that of this computer. A clock that runs ahead removes early what the
// insurer has accepted; visits that it has not accepted never go.
func (a *Agent) Retain(ctx context.Context, now time.Time) error {
	keep := a.cfg.Retention.withDefaults()
	err := errors.Join(
		a.erase(ctx, "accepted visits", keep.Visits, func() (int, error) {
			return a.queue.Purge(ctx, now.Add(-keep.Visits), retainBatch)
		}),
		a.erase(ctx, "cached answers", keep.Answers, func() (int, error) { return a.lookup.Purge(ctx, retainBatch) }),
	)
	if ctx.Err() != nil {
		return err
	}
	old, globErr := filepath.Glob(filepath.Join(a.cfg.Dir, backups))
	var stay []error
	err = errors.Join(err, globErr, a.erase(ctx, "copies of the store", keep.Backups, func() (int, error) {
		for len(old) > 0 {
			name := old[0]
			old = old[1:]
			if info, err := os.Lstat(name); err != nil || now.Sub(info.ModTime()) < keep.Backups {
				continue // gone, or not yet
			}
			if err := os.Remove(name); err != nil {
				stay = append(stay, err) // the others go all the same
				continue
			}
			return 1, nil
		}
		return 0, nil
	}))
	return errors.Join(err, errors.Join(stay...), sweep(a.cfg.Dir))
}

// erase calls remove until it removes nothing more, and writes down how much that
// was. It is written afterwards, because only then the number is known; a process
// that is killed in between has erased something of which only the absence tells.
func (a *Agent) erase(ctx context.Context, what string, age time.Duration, remove func() (int, error)) error {
	total := 0
	var err error
	for err == nil {
		var n int
		if n, err = remove(); n == 0 {
			break
		}
		total += n
		if err == nil {
			err = ctx.Err()
		}
	}
	if total == 0 {
		return err
	}
	a.cfg.Logger.Info("data past its time was removed", "what", what, "number", total)
	return errors.Join(err, a.audit.Append(context.WithoutCancel(ctx), audit.Entry{
		Actor: retentionActor, Action: audit.DataErased, Object: what,
		Note: fmt.Sprintf("%d, older than %s", total, age),
	}))
}
