// Package store opens the agent's one database file (bbolt) and keeps its
// schema: version, migrations with a backup before them, a check of every page.
// The packages outbox and lookup keep their data in buckets of it.
//
// # Durability
//
// [Store.Update] returns nil after fsync, never before: no option turns that
// off. bbolt also offers to gather concurrent transactions into one (Batch);
// a desk has one writer, for which that only adds a delay, so it is not used.
//
// # Damage
//
// bbolt does not survive a damaged page: it loses what is on it, or follows it in
// a circle until the process is killed. [Open] therefore reads every page of
// every bucket but one from the file, and checks it, before bbolt uses any of them:
// whatever was done to the file since it was last open. A hundred thousand visits
// take a tenth of a second.
//
// The one is the bucket of cached lookups, which may be the larger part of the file
// and which nobody's money depends on. Whoever uses it waits for
// [Store.Checked], which reads that as well, in the background; visits are recorded
// meanwhile. Nothing says that this may be left out: a mark beside the file that it
// was closed properly would promise nothing about the disk.
//
// Each of the two meta pages is the start of one state of the file; when one is
// damaged bbolt takes the other, which is perhaps the state before the last change.
// Such a file is opened, and [Store.RolledBack] tells of it.
//
// What breaks later is caught where it is used, and found by [Store.Check]. All of
// it is [ErrCorrupt].
//
// # Full disk
//
// bbolt appends new pages and only then switches to them, so a write that finds
// no space leaves the last good state: [ErrFull], and the next write may
// succeed. If the switch itself was written but could not be synced, nobody
// knows what a power failure would leave; the store then refuses to write until
// it is opened again ([ErrUncertain]).
package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Errors that callers branch on.
var (
	// ErrLocked reports that another process has the file open.
	ErrLocked = errors.New("store: file is in use by another process")
	// ErrNewerSchema reports a file that a newer version of the program wrote.
	// Nothing was changed in it.
	ErrNewerSchema = errors.New("store: file has a newer schema")
	// ErrCorrupt reports a file that is damaged or is no store at all.
	ErrCorrupt = errors.New("store: file is damaged")
	// ErrFull reports that there is no space left to write. What was stored
	// before is intact.
	ErrFull = errors.New("store: no space left")
	// ErrUncertain reports that a write reached the file but possibly not the
	// disk. The store takes no more writes until it is opened again.
	ErrUncertain = errors.New("store: state on disk is uncertain")
	// ErrWrongKey reports a file whose values were sealed with another master
	// key.
	ErrWrongKey = errors.New("store: file belongs to another key")
	// ErrClosed reports a store that was closed.
	ErrClosed = errors.New("store: closed")
)

// DefaultTimeout is how long [Open] waits for another process to let go.
const DefaultTimeout = 2 * time.Second

// Options tune [Open]. The zero value, or nil, is right for the agent.
type Options struct {
	// Timeout is how long to wait for the file's lock; 0 means DefaultTimeout.
	Timeout time.Duration
	// MaxSize is the most bytes the file may grow to; 0 means no limit. Beyond
	// it every Update returns ErrFull, also one that deletes: it is for tests
	// of what the desk does then.
	MaxSize int
}

// Store is an open database file. It may be used concurrently: one Update at a
// time, any number of Views beside it. Call [Store.Close] when done.
type Store struct {
	db         *bbolt.DB
	path       string
	rolledBack bool
	uncertain  atomic.Bool
	corrupt    atomic.Bool

	sound    atomic.Bool           // a Check has found nothing
	checking sync.Mutex            // one Check at a time
	check    atomic.Pointer[check] // the one that runs, or nil
	onPage   pageHook              // of Check; nil but in a test
}

// Open opens the file at path, or makes it, and brings its schema up to date.
// A new file appears complete or not at all. Before an existing file is
// migrated a copy of it is left beside it, named after its schema version
// (visits.db.v1.bak).
//
// It returns [ErrLocked], [ErrNewerSchema], [ErrCorrupt], [ErrFull], or an
// error of the file system.
func Open(path string, o *Options) (*Store, error) { return open(path, o, migrations) }

func open(path string, o *Options, steps []migration) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	options := bbolt.Options{
		Timeout:      o.Timeout,
		MaxSize:      o.MaxSize,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
	}
	if options.Timeout <= 0 {
		options.Timeout = DefaultTimeout
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path, options, steps); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("create %w", classify(err))
		}
		info, err = os.Stat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return nil, ErrCorrupt
	}
	have, rolledBack, err := inspect(path, options)
	switch {
	case err != nil:
		return nil, err
	case have > len(steps):
		return nil, ErrNewerSchema
	}
	db, err := guarded(path, options)
	if err != nil {
		return nil, err
	}
	if err := migrate(db, path, have, steps); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate %w", classify(err)), db.Close())
	}
	return &Store{db: db, path: path, rolledBack: rolledBack}, nil
}

// guarded opens the file. bbolt answers a damaged freelist page with a panic;
// here, where the file comes from a disk that may have lost power, that is an
// answer like any other. See also [Store.damage].
func guarded(path string, options bbolt.Options) (db *bbolt.DB, err error) {
	defer func() {
		if recover() != nil {
			db, err = nil, ErrCorrupt
		}
	}()
	db, err = bbolt.Open(path, 0o600, &options)
	if err != nil {
		return nil, classify(err)
	}
	return db, nil
}

// inspect reads the schema version without changing the file, and whether the last
// change may be missing (see [Store.RolledBack]). It also makes sure that what Open
// promises is sound, and inside the file: bbolt maps the file into memory, and
// touching a page beyond the end of a file that was cut off would kill the process.
func inspect(path string, options bbolt.Options) (version int, rolledBack bool, err error) {
	options.ReadOnly = true
	db, err := guarded(path, options)
	if err != nil {
		if errors.Is(err, ErrLocked) || errors.Is(err, fs.ErrPermission) {
			return 0, false, err
		}
		return 0, false, ErrCorrupt
	}
	defer func() {
		if recover() != nil { // see guarded
			version, err = 0, ErrCorrupt
		}
		err = errors.Join(err, db.Close())
	}()
	info, err := os.Stat(path)
	if err != nil {
		return 0, false, fmt.Errorf("store: %w", err)
	}
	tx, err := db.Begin(false)
	if err != nil {
		return 0, false, fmt.Errorf("store: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if tx.Size() > info.Size() {
		return 0, false, ErrCorrupt
	}
	if err := walk(context.Background(), tx, path, start, nil); err != nil {
		return 0, false, err
	}
	if rolledBack, err = damagedMeta(path, db.Info().PageSize); err != nil {
		return 0, false, err
	}
	version, err = schemaOf(tx)
	return version, rolledBack, err
}

// create makes a new file under another name and links it to its own when it is
// complete. It returns an error that is [fs.ErrExist] when somebody else was
// faster.
func create(path string, options bbolt.Options, steps []migration) (err error) {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".store-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if rm := os.Remove(temp.Name()); err == nil {
			err = rm
		}
	}()
	if err := temp.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(temp.Name(), 0o600, &options)
	if err != nil {
		return err
	}
	err = errors.Join(db.Update(func(tx *bbolt.Tx) error { return apply(tx, 0, steps) }), db.Close())
	if err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// View runs fn in a read transaction. What fn gets from the transaction is
// valid until it returns and must not be changed. Its error is returned as it
// is. A page that turns out to be damaged is [ErrCorrupt], from then on for
// every call.
func (s *Store) View(fn func(*bbolt.Tx) error) error {
	return s.damage(func() error {
		err := s.db.View(fn)
		if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
			return ErrClosed
		}
		return err
	})
}

// Update runs fn in a write transaction and makes its changes durable. It
// returns fn's error as it is, or [ErrFull], [ErrUncertain], [ErrCorrupt],
// [ErrClosed], or an error of the disk; in all these cases nothing was changed,
// except with ErrUncertain, and perhaps with ErrCorrupt.
func (s *Store) Update(fn func(*bbolt.Tx) error) error {
	if s.uncertain.Load() {
		return ErrUncertain
	}
	return s.damage(func() error { return s.update(fn) })
}

func (s *Store) update(fn func(*bbolt.Tx) error) error {
	tx, err := s.db.Begin(true)
	if err != nil {
		return classify(err)
	}
	defer func() { _ = tx.Rollback() }() // after Commit: nothing
	if err := fn(tx); err != nil {
		return err
	}
	if c := s.check.Load(); c != nil {
		waiting := time.AfterFunc(c.hold, c.yield)
		defer waiting.Stop()
	}
	id := tx.ID()
	if err := tx.Commit(); err != nil {
		// Readers that see this transaction see something that was perhaps
		// never synced.
		visible := s.db.View(func(tx *bbolt.Tx) error {
			if tx.ID() >= id {
				return ErrUncertain
			}
			return nil
		})
		if visible != nil {
			s.uncertain.Store(true)
			return errors.Join(ErrUncertain, classify(err))
		}
		return fmt.Errorf("commit %w", classify(err))
	}
	return nil
}

// damage runs fn on the database. Its pages have been walked, but a disk can
// fail later: bbolt then panics, or touches memory that is not there. That is a
// foreign library's word for a damaged file, not a mistake of this program, and
// so it becomes [ErrCorrupt]; the store refuses further use, because locks may
// be held that nobody will give back. Every other panic goes on.
func (s *Store) damage(fn func() error) (err error) {
	if s.corrupt.Load() {
		return ErrCorrupt
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover(); {
		case p == nil:
		case ofDamage(p):
			s.corrupt.Store(true)
			err = ErrCorrupt
		default:
			panic(p)
		}
	}()
	return fn()
}

// ofDamage reports whether a panic comes from bbolt or from memory that a file
// was to back. It is called while panicking.
func ofDamage(p any) bool {
	if _, fault := p.(interface{ Addr() uintptr }); fault {
		return true
	}
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(0, pc)])
	panicking := false
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicking = true // those before are ours; the one that began it follows
		case panicking && !strings.HasPrefix(f.Function, "runtime."):
			return strings.HasPrefix(f.Function, "go.etcd.io/bbolt")
		}
		if !more {
			return false
		}
	}
}

// Bind ties the file to a master key by its id: the first call records it, a
// later one with another id returns [ErrWrongKey]. Without it, a lost key file
// would be replaced by a new one and everything stored would look forged.
func (s *Store) Bind(keyID [8]byte) error {
	var known bool
	err := s.View(func(tx *bbolt.Tx) error {
		got := tx.Bucket(metaBucket).Get(keyKey)
		if known = got != nil; known && string(got) != string(keyID[:]) {
			return ErrWrongKey
		}
		return nil
	})
	if err != nil || known {
		return err
	}
	return s.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(keyKey, keyID[:]) })
}

// firstHold is how long a Check may keep a write waiting the first time.
const firstHold = 100 * time.Millisecond

// check is a Check that is under way.
type check struct {
	yield context.CancelFunc
	hold  time.Duration // how long a write waits before it calls yield
}

// Check reads every page and returns [ErrCorrupt] with the first thing that is
// wrong, or the context's error. It takes as long as reading the file. Reading
// and writing go on meanwhile. A write that has to enlarge what is mapped into
// memory cannot, while a transaction reads: Check then gives way and begins
// again, each time twice as patient.
func (s *Store) Check(ctx context.Context) error {
	s.checking.Lock()
	defer s.checking.Unlock()
	return s.checkAll(ctx)
}

// Checked returns nil once a [Store.Check] has found nothing since Open: it
// waits for one that runs, or makes it. Until then nobody may use a bucket inside
// of [LookupBucket].
func (s *Store) Checked(ctx context.Context) error {
	if s.sound.Load() {
		return nil
	}
	s.checking.Lock()
	defer s.checking.Unlock()
	if s.sound.Load() {
		return nil
	}
	return s.checkAll(ctx)
}

// checkAll is Check. The caller holds checking.
func (s *Store) checkAll(ctx context.Context) error {
	defer s.check.Store(nil)
	for hold := firstHold; ; hold *= 2 {
		turn, yield := context.WithCancel(ctx)
		s.check.Store(&check{yield, hold})
		err := s.View(func(tx *bbolt.Tx) error { return walk(turn, tx, s.path, whole, s.onPage) })
		yield()
		if err == nil {
			s.sound.Store(true)
		}
		if ctx.Err() != nil || !errors.Is(err, context.Canceled) {
			return err
		}
	}
}

// Size returns how many bytes the file has in use, free pages among them.
func (s *Store) Size() (size int64, err error) {
	err = s.View(func(tx *bbolt.Tx) error {
		size = tx.Size()
		return nil
	})
	return size, err
}

// RolledBack reports that one of the file's two meta pages was damaged when it was
// opened: the last change before that, which had been reported as durable, may be
// missing. So may nothing: a power failure in the middle of a change leaves the same,
// and then the change had not been reported. The next change writes that page anew,
// so only the Store that was opened first says so.
func (s *Store) RolledBack() bool { return s.rolledBack }

// Path returns the path of the file.
func (s *Store) Path() string { return s.path }

// closeDamaged is how long Close waits for a database that broke in the middle
// of a transaction.
const closeDamaged = time.Second

// Close waits for running transactions and closes the file. A damaged store may
// stay open until the process ends.
func (s *Store) Close() error {
	closed := make(chan error, 1)
	go func() { closed <- s.db.Close() }()
	var never <-chan time.Time
	if s.corrupt.Load() {
		never = time.After(closeDamaged)
	}
	select {
	case err := <-closed:
		if err != nil {
			return fmt.Errorf("store: close: %w", err)
		}
		return nil
	case <-never:
		return ErrCorrupt
	}
}

// classify names bbolt's and the system's errors.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrLocked
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return ErrClosed
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return ErrCorrupt
	case errors.Is(err, bolterrors.ErrMaxSizeReached), isFull(err):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("store: %w", err)
}

// schemaOf reads the version that [apply] wrote.
func schemaOf(tx *bbolt.Tx) (int, error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return 0, ErrCorrupt
	}
	b := meta.Get(schemaKey)
	if len(b) != 4 {
		return 0, ErrCorrupt
	}
	v := int(binary.BigEndian.Uint32(b))
	if v < 1 {
		return 0, ErrCorrupt
	}
	return v, nil
}
