package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// ErrUnsent reports visits that only this computer has, or of which the insurer has
// not said yet that it has them: they would be lost.
var ErrUnsent = errors.New("agent: visits that were not accepted yet would be lost")

// Destroy says how to destroy a key. Actor is required.
type Destroy struct {
	Actor      string
	LoseVisits bool // also those that are queued or stored, and what nobody can count
}

// Remains is what is left of a data directory whose key was destroyed. It is also
// what the directory says of itself then (erased.json).
type Remains struct {
	At       time.Time       `json:"at"`
	Key      KeySource       `json:"key"`              // where the key was
	Visits   map[string]int  `json:"visits,omitempty"` // by state; nil when they could not be counted
	Unsent   int             `json:"unsent"`           // of these, those that are lost: all that were not accepted
	Files    []RemainingFile `json:"files"`
	KeyFound bool            `json:"key_found"` // false: somebody had destroyed it before
}

// RemainingFile is a file of which name, size and time can still be seen.
type RemainingFile struct {
	Name string    `json:"name"`
	Size int64     `json:"size"`
	Time time.Time `json:"time"`
}

// DestroyKey erases a data directory that no agent uses, by destroying its key:
// visits, answers, lists and the audit trail cannot be opened by anybody any more,
// nor can copies and backups of the file. What stays is [Remains]: how many
// records there are in the file, how long each is and when it was written, and the
// agent's identity, which is no personal datum. The directory can be removed; used
// again it cannot be ([ErrErased]).
//
// It returns [ErrUnsent] and does nothing while visits wait that the insurer has
// not accepted, unless told to lose them.
func DestroyKey(ctx context.Context, dir string, d Destroy) (Remains, error) {
	if d.Actor == "" {
		return Remains{}, errors.New("agent: to destroy a key needs an actor")
	}
	if err := checkDir(dir); err != nil {
		return Remains{}, err
	}
	if _, err := os.Stat(filepath.Join(dir, storeFile)); err != nil {
		return Remains{}, err
	}
	// The lock says that no agent is running; a damaged store has none to give.
	st, err := openStore(dir)
	if errors.Is(err, store.ErrCorrupt) && d.LoseVisits {
		return destroyKeys(dir, Remains{})
	}
	if err != nil {
		return Remains{}, err
	}
	r, err := eraseStore(ctx, dir, st, d)
	return r, errors.Join(err, st.Close())
}

// eraseStore counts what will be lost, and destroys the key.
func eraseStore(ctx context.Context, dir string, st *store.Store, d Destroy) (Remains, error) {
	if err := settle(dir, st, nil); err != nil && !d.LoseVisits {
		return Remains{}, err
	}
	r, err := countVisits(ctx, dir, st, d)
	switch {
	case err == nil && r.Unsent > 0 && !d.LoseVisits:
		return r, fmt.Errorf("%w: %d", ErrUnsent, r.Unsent)
	case err != nil && !errors.Is(err, seal.ErrNoKey) && !d.LoseVisits:
		return Remains{}, err
	}
	return destroyKeys(dir, r)
}

// countVisits opens the queue, and writes into the trail what is about to happen:
// should destroying the key fail, the trail can still be read.
func countVisits(ctx context.Context, dir string, st *store.Store, d Destroy) (Remains, error) {
	var r Remains
	where, err := KeyOf(dir)
	if err != nil {
		return r, err
	}
	master, err := where.slot(dir).Load()
	if err != nil {
		return r, err
	}
	r.KeyFound = true
	sealer, err := seal.New(master)
	if err != nil {
		return r, err
	}
	q, err := outbox.Open(st, sealer, nil)
	if err != nil {
		return r, err
	}
	s, err := q.Stats(ctx)
	if err != nil {
		return r, err
	}
	r.Unsent = s.Queued + s.Stored + s.Rejected // a rejected one may be sent again
	r.Visits = map[string]int{
		outbox.Queued.String(): s.Queued, outbox.Stored.String(): s.Stored,
		outbox.Accepted.String(): s.Accepted, outbox.Rejected.String(): s.Rejected,
	}
	if r.Unsent > 0 && !d.LoseVisits {
		return r, nil
	}
	err = audit.New(st, sealer, nil).Append(ctx, audit.Entry{
		Actor: d.Actor, Action: audit.DataErased, Object: "everything, with its key",
		Note: fmt.Sprintf("%d visits, %d of them not accepted yet", s.Queued+s.Stored+s.Accepted+s.Rejected, r.Unsent),
	})
	return r, err
}

// destroyKeys destroys every key of a directory, also that of a rotation that was
// interrupted, and copies of one that a killed process left.
func destroyKeys(dir string, r Remains) (Remains, error) {
	var err error
	if r.Key, err = KeyOf(dir); err != nil {
		return r, err
	}
	slots := []seal.Slot{
		r.Key.slot(dir), seal.KeyFile(filepath.Join(dir, sealFile)), seal.KeyFile(filepath.Join(dir, nextSealFile)),
	}
	if next, ok, err := readSource(filepath.Join(dir, nextSourceFile)); err == nil && ok {
		slots = append(slots, next.next(dir))
	}
	left, err := filepath.Glob(filepath.Join(dir, ".key-*"))
	if err != nil {
		return r, err
	}
	for _, name := range left {
		slots = append(slots, seal.KeyFile(name))
	}
	for _, slot := range slots {
		err = errors.Join(err, slot.Destroy())
	}
	if err != nil {
		return r, fmt.Errorf("agent: the key may still be there: %w", err)
	}
	r.At = time.Now().UTC().Truncate(time.Second)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return r, err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			r.Files = append(r.Files, RemainingFile{e.Name(), info.Size(), info.ModTime().UTC().Truncate(time.Second)})
		}
	}
	if err := writeNew(filepath.Join(dir, erasedFile), r); !errors.Is(err, fs.ErrExist) {
		return r, err
	}
	return r, nil
}
