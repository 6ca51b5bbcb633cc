package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/sync/bundle"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// Errors of a rotation. None of them has changed anything.
var (
	// ErrUnknownData reports a store with data of which this version does not know
	// how it is sealed.
	ErrUnknownData = errors.New("agent: the store has data that this version cannot seal anew")
	// ErrDamagedVisits reports visits that cannot be opened: they would not be
	// there any more after a rotation.
	ErrDamagedVisits = errors.New("agent: damaged visits would be lost")
)

// Rotate says how to rotate a key. Actor is required: who does it, for the audit
// trail.
type Rotate struct {
	Actor string
	// To is where the new key is to be kept: [InFile] or [InKeyring]; empty: where
	// the old one is.
	To string
	// LoseDamaged gives up visits that cannot be opened. Their places stay, as those
	// of damaged visits.
	LoseDamaged bool
}

// Rotation is what a rotation did.
type Rotation struct {
	Old, New     seal.KeyID
	Key          KeySource // where the new key is
	Visits       outbox.Resealed
	Answers      int // cached answers that were kept
	AnswersLeft  int // and that were not: unreadable, or of an earlier version
	Lists        int // people and certificates of the insurer's lists
	ListsDropped []contract.BundleKind
	Trail        audit.Summary // the trail as it was under the old key
}

// RotateKey gives a data directory that no agent uses a new master key: everything
// that is sealed is sealed anew, everything that is filed under a keyed hash is
// filed anew, and the old key is destroyed. What was learned of readers and cards
// is left behind: that is learned again from the next card.
//
// The new store is written beside the old one, and takes its place in one step, the
// renaming of a file. Whenever the process is killed, [Open] finds either the old
// store or the new one, and both keys; it then destroys the key that is not the
// store's, and what else is left. Copies of the store that migrations left
// (visits.db.v1.bak) are sealed with the old key and cannot be opened after this;
// they are removed.
//
// Meanwhile the disk holds both stores. An error other than one of what comes after
// the renaming leaves all as it was.
func RotateKey(ctx context.Context, dir string, r Rotate) (Rotation, error) {
	return rotateKey(ctx, dir, r, nil)
}

// steps is called by a rotation before each change of the directory, with a name
// for it; nil but in tests.
type steps func(name string)

func (s steps) at(name string) {
	if s != nil {
		s(name)
	}
}

func rotateKey(ctx context.Context, dir string, r Rotate, step steps) (n Rotation, err error) {
	if err := checkDir(dir); err != nil {
		return n, err
	}
	if _, err := os.Stat(filepath.Join(dir, storeFile)); err != nil {
		return n, err
	}
	st, old, err := openData(dir, nil)
	if err != nil {
		return n, err
	}
	closed := false
	closeOld := func() error {
		if closed {
			return nil
		}
		closed = true
		return st.Close()
	}
	defer func() { err = errors.Join(err, closeOld()) }()
	if err := rotatable(ctx, st, old, r); err != nil {
		return n, err
	}
	from, err := KeyOf(dir)
	if err != nil {
		return n, err
	}
	n.Key = KeySource{Source: InFile}
	if r.To == InKeyring || r.To == "" && from.Source == InKeyring {
		n.Key = inKeyring(from.Service)
	}
	if err := prepare(ctx, dir, st, old, r, &n, step); err != nil {
		return n, errors.Join(err, rollback(dir, n.Key, step))
	}
	// Windows does not rename over a file that is open. Whoever opens it now first
	// rolls back what was prepared, and the renaming finds nothing.
	if runtime.GOOS == "windows" {
		if err := closeOld(); err != nil {
			return n, err
		}
	}
	step.at("switch")
	path := filepath.Join(dir, storeFile)
	if err := os.Rename(filepath.Join(dir, nextStoreFile), path); err != nil {
		if !closed {
			err = errors.Join(err, rollback(dir, n.Key, step))
		}
		return n, err
	}
	// The new store is the store. The next Open can do the rest as well.
	step.at("switched")
	if err := closeOld(); err != nil {
		return n, err
	}
	if st, err = openStore(dir); err != nil {
		return n, err
	}
	closed = false
	return n, errors.Join(settle(dir, st, step), removeBackups(dir))
}

// rotatable looks for what would be lost.
func rotatable(ctx context.Context, st *store.Store, sealer *seal.Sealer, r Rotate) error {
	if r.Actor == "" || r.To != "" && r.To != InFile && r.To != InKeyring {
		return errors.New("agent: a rotation needs an actor, and a place that exists")
	}
	if err := st.Bind(sealer.KeyID()); err != nil {
		return err
	}
	names, err := st.Buckets()
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.Contains([]string{string(store.OutboxBucket), string(store.LookupBucket), "audit", "bundle", "limits"}, name) {
			return ErrUnknownData
		}
	}
	q, err := outbox.Open(st, sealer, nil)
	if err != nil {
		return err
	}
	damaged, err := q.Damaged(ctx)
	if err == nil && damaged > 0 && !r.LoseDamaged {
		err = fmt.Errorf("%w: %d", ErrDamagedVisits, damaged)
	}
	return err
}

// prepare makes the new key and the new store beside the old ones.
func prepare(ctx context.Context, dir string, st *store.Store, old *seal.Sealer, r Rotate, n *Rotation, step steps) (err error) {
	step.at("begin")
	if err := writeNew(filepath.Join(dir, nextSourceFile), n.Key); err != nil {
		return err
	}
	step.at("new key")
	master, err := n.Key.next(dir).MasterKey()
	if err != nil {
		return err
	}
	fresh, err := seal.New(master)
	if err != nil {
		return err
	}
	n.Old, n.New = old.KeyID(), fresh.KeyID()
	step.at("new store")
	to, err := store.Open(filepath.Join(dir, nextStoreFile), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	step.at("visits")
	if n.Visits, err = outbox.Reseal(ctx, st, old, to, fresh); err != nil {
		return err
	}
	step.at("answers")
	if n.Answers, n.AnswersLeft, err = lookup.Reseal(ctx, st, old, to, fresh); err != nil {
		return err
	}
	step.at("lists")
	lists, err := bundle.Reseal(ctx, st, old, to, fresh)
	if err != nil {
		return err
	}
	n.Lists, n.ListsDropped = lists.Entries, lists.Dropped
	step.at("trail")
	if n.Trail, err = audit.Reseal(ctx, st, old, to, fresh); err != nil {
		return err
	}
	trail := audit.New(to, fresh, nil)
	err = trail.Append(ctx, audit.Entry{
		Actor: r.Actor, Action: audit.KeyRotated, Object: hex.EncodeToString(n.New[:]),
		Note: fmt.Sprintf("in place of %s; %d entries followed to head %s, and chained anew; %d visits sealed anew, %d damaged",
			hex.EncodeToString(n.Old[:]), n.Trail.Entries, n.Trail.Head, n.Visits.Entries, n.Visits.Damaged),
	})
	if err != nil {
		return err
	}
	step.at("check")
	return sameVisits(ctx, st, old, to, fresh)
}

// sameVisits looks whether the new store is as good as the old one, before that is
// given up.
func sameVisits(ctx context.Context, st *store.Store, old *seal.Sealer, to *store.Store, fresh *seal.Sealer) error {
	before, err := outbox.Open(st, old, nil)
	if err != nil {
		return err
	}
	after, err := outbox.Open(to, fresh, nil)
	if err != nil {
		return err
	}
	was, err := before.Stats(ctx)
	if err != nil {
		return err
	}
	is, err := after.Stats(ctx)
	if err != nil {
		return err
	}
	lost, err := before.Damaged(ctx)
	if err != nil {
		return err
	}
	damaged, err := after.Damaged(ctx)
	if err != nil {
		return err
	}
	if was != is || damaged > lost {
		return errors.New("agent: the new store is not as the old one")
	}
	if _, err := audit.New(to, fresh, nil).Verify(ctx); err != nil {
		return err
	}
	return to.Check(ctx)
}

// settle ends a rotation that was interrupted: it goes on with it if the store is
// the new one, and takes it back if not. The caller holds the store, and so its
// lock.
func settle(dir string, st *store.Store, step steps) error {
	next, pending, err := readSource(filepath.Join(dir, nextSourceFile))
	if err != nil || !pending {
		return err
	}
	id, bound, err := st.KeyID()
	if err != nil {
		return err
	}
	have, err := KeyOf(dir)
	if err != nil {
		return err
	}
	current := have.slot(dir)
	slot := next.next(dir)
	if _, err := slot.Load(); errors.Is(err, seal.ErrNoKey) {
		// A key file has its name already, or was not made yet: either way there is
		// nothing but the note of it to remove.
		slot = next.slot(dir)
	}
	is, err := holds(slot, id)
	if err != nil {
		return err
	}
	if is && bound {
		return finish(dir, next, current, slot, step)
	}
	// The old store. Nothing is destroyed unless its key is there.
	if is, err = holds(current, id); err != nil {
		return err
	}
	if !is && bound {
		return fmt.Errorf("%w: neither the key before a rotation nor the one after it", ErrKeyMissing)
	}
	return rollback(dir, next, step)
}

// holds reports whether a place has the key of that name.
func holds(slot seal.Slot, id seal.KeyID) (bool, error) {
	m, err := slot.Load()
	if errors.Is(err, seal.ErrNoKey) || errors.Is(err, seal.ErrKeyFileInvalid) || errors.Is(err, seal.ErrKeyringInvalid) {
		return false, nil
	}
	if err != nil {
		return false, err // a keyring that is locked, say
	}
	s, err := seal.New(m)
	return err == nil && s.KeyID() == id, err
}

// finish destroys the old key and has the new one take its place. The new one was
// found in slot.
func finish(dir string, next KeySource, current, slot seal.Slot, step steps) error {
	// Before the old key goes, the new store has to be the one that is there after
	// a power failure.
	if err := syncDir(dir); err != nil {
		return err
	}
	if slot != current {
		step.at("destroy")
		if err := current.Destroy(); err != nil {
			return err
		}
	}
	step.at("destroyed")
	if next.Source == InKeyring {
		return replace(dir, nextSourceFile, sourceFile)
	}
	if slot == next.next(dir) {
		if err := replace(dir, nextSealFile, sealFile); err != nil {
			return err
		}
	}
	step.at("renamed")
	if err := errors.Join(removeIf(filepath.Join(dir, sourceFile)), syncDir(dir)); err != nil {
		return err
	}
	step.at("forget")
	return errors.Join(removeIf(filepath.Join(dir, nextSourceFile)), syncDir(dir))
}

// rollback takes back what was prepared. The note of it goes last.
func rollback(dir string, next KeySource, step steps) error {
	step.at("roll back")
	err := errors.Join(
		removeIf(filepath.Join(dir, nextStoreFile)),
		next.next(dir).Destroy(),
	)
	step.at("rolled back")
	if err != nil {
		return err
	}
	return errors.Join(removeIf(filepath.Join(dir, nextSourceFile)), syncDir(dir))
}

func replace(dir, from, to string) error {
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		return err
	}
	return syncDir(dir)
}

func removeIf(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// backups are the copies of the store that migrations leave.
const backups = storeFile + ".v*.bak"

// removeBackups removes those copies.
func removeBackups(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, backups))
	for _, name := range names {
		err = errors.Join(err, removeIf(name))
	}
	return err
}
