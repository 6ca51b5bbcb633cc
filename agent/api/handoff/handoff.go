// Package handoff gives finished check-ins to a hospital information system that
// cannot call the local API: one file for each, JSON or the check-in record (XML0),
// in a folder that the system watches and empties.
//
// A file appears under its name when it is whole, and never changes after. Its name
// is time and number of the check-in, without anything of the person. What nobody
// fetches is personal data that lies about: it is deleted after a while, and the
// oldest when there are too many. No visit depends on these files; the queue has it.
package handoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chamthe/chamthe/agent/api/internal/atomicfile"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/event"
	"github.com/chamthe/chamthe/agent/wire"
)

// Errors that callers branch on.
var (
	// ErrConfig reports a configuration that cannot be used.
	ErrConfig = errors.New("handoff: configuration cannot be used")
	// ErrExposed reports a folder that everybody on this computer may look into or
	// write to.
	ErrExposed = errors.New("handoff: folder is open to everybody on this computer")
	// ErrState reports a check-in that was not recorded.
	ErrState = errors.New("handoff: check-in is not recorded")
)

// The formats.
const (
	JSON = "json" // wire.CheckIn, as the API gives it
	XML  = "xml"  // the check-in record, as the API gives it
)

// Defaults.
const (
	DefaultKeep = 12 * time.Hour
	DefaultMax  = 200
)

// Config says where and how. Dir and Format are required, and with [XML] Record.
type Config struct {
	Dir    string // exists, absolute, and belongs to nobody else
	Format string
	// Shared lets the group of the folder read the files (0640); otherwise only this
	// user can (0600). On Windows the folder's permissions decide.
	Shared bool
	Keep   time.Duration // 0: DefaultKeep
	Max    int           // files; 0: DefaultMax
	// Record returns the check-in record of a check-in.
	Record func(ctx context.Context, id string) ([]byte, error)
	// Audit appends to the audit trail; what cannot be written there is not handed
	// over. Nil: there is none.
	Audit  func(ctx context.Context, entries ...audit.Entry) error
	Actor  func() string    // who is signed in; nil or empty: "handoff"
	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
}

// A Folder is one such folder. It may be used concurrently, but only one Folder
// may use a directory.
type Folder struct {
	cfg Config
	log *slog.Logger

	mu    sync.Mutex
	given []string // ids that were handed over: a file that was fetched does not come again
}

// maxGiven bounds what is remembered of check-ins. The front desk keeps fewer.
const maxGiven = 512

// Open checks the configuration and the folder. It writes nothing.
func Open(cfg Config) (*Folder, error) {
	switch {
	case !filepath.IsAbs(cfg.Dir):
		return nil, fmt.Errorf("%w: the folder's path is not absolute", ErrConfig)
	case cfg.Format != JSON && cfg.Format != XML:
		return nil, fmt.Errorf("%w: the format is neither json nor xml", ErrConfig)
	case cfg.Format == XML && cfg.Record == nil:
		return nil, fmt.Errorf("%w: nobody gives the record", ErrConfig)
	case cfg.Keep < 0 || cfg.Max < 0:
		return nil, fmt.Errorf("%w: negative limit", ErrConfig)
	}
	if cfg.Keep == 0 {
		cfg.Keep = DefaultKeep
	}
	if cfg.Max == 0 {
		cfg.Max = DefaultMax
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Folder{cfg: cfg, log: cfg.Logger}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f, f.check()
}

// check looks at the folder, each time anew: it may be on a medium that goes.
func (f *Folder) check() error {
	info, err := os.Lstat(f.cfg.Dir)
	if err != nil {
		return fmt.Errorf("handoff: %w", err)
	}
	if !info.IsDir() { // nor a link, which leads elsewhere tomorrow
		return fmt.Errorf("%w: not a folder", ErrConfig)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return ErrExposed
	}
	return nil
}

// Put hands a recorded check-in over and returns the file's name. A check-in that
// was handed over before gives an empty name and no error, even when its file is
// gone.
func (f *Folder) Put(ctx context.Context, c wire.CheckIn) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.State != wire.StateRecorded || !visitID.MatchString(c.Visit) {
		return "", ErrState
	}
	if slices.Contains(f.given, c.ID) {
		return "", nil
	}
	if err := f.check(); err != nil {
		return "", err
	}
	var b []byte
	var err error
	if f.cfg.Format == XML {
		b, err = f.cfg.Record(ctx, c.ID)
	} else {
		b, err = json.MarshalIndent(c, "", " ")
	}
	if err != nil {
		return "", err
	}
	if err := f.sweep(1); err != nil {
		return "", err
	}
	if f.cfg.Audit != nil {
		actor := "handoff"
		if f.cfg.Actor != nil {
			if name := f.cfg.Actor(); name != "" {
				actor = name
			}
		}
		if err := f.cfg.Audit(ctx, audit.Entry{Actor: actor, Action: audit.VisitExported, Object: c.Visit, Note: "handoff " + f.cfg.Format}); err != nil {
			return "", err
		}
	}
	mode := fs.FileMode(0o600)
	if f.cfg.Shared {
		mode = 0o640
	}
	name := f.cfg.Now().UTC().Format("20060102T150405Z") + "-" + c.Visit + "." + f.cfg.Format
	if err := atomicfile.Write(filepath.Join(f.cfg.Dir, name), b, mode, -1); err != nil {
		return "", fmt.Errorf("handoff: %w", err)
	}
	if len(f.given) >= maxGiven {
		f.given = slices.Delete(f.given, 0, 1)
	}
	f.given = append(f.given, c.ID)
	return name, nil
}

var (
	visitID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	ours    = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(json|xml)$`)
)

// Sweep deletes what was not fetched in time, and leaves what is not ours.
func (f *Folder) Sweep() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.check(); err != nil {
		return err
	}
	return f.sweep(0)
}

// partTime is how long a file that is not whole can still become so.
const partTime = time.Hour

// sweep deletes old files, and of the others the oldest, until there is room.
func (f *Folder) sweep(room int) error {
	entries, err := os.ReadDir(f.cfg.Dir) // by name, which is by time
	if err != nil {
		return fmt.Errorf("handoff: %w", err)
	}
	now := f.cfg.Now()
	var kept, gone []string
	for _, e := range entries {
		part := strings.HasPrefix(e.Name(), atomicfile.Partial)
		if !e.Type().IsRegular() || (!part && !ours.MatchString(e.Name())) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // it was fetched just now
		}
		age := now.Sub(info.ModTime())
		switch {
		case part && age > partTime, !part && age > f.cfg.Keep:
			gone = append(gone, e.Name())
		case !part:
			kept = append(kept, e.Name())
		}
	}
	old := len(gone)
	if n := len(kept) + room - f.cfg.Max; n > 0 {
		gone = append(gone, kept[:min(n, len(kept))]...)
	}
	for _, name := range gone {
		if err := os.Remove(filepath.Join(f.cfg.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("handoff: %w", err)
		}
	}
	if len(gone) > 0 {
		f.log.Warn("handed over and not fetched: deleted", "old", old, "tooMany", len(gone)-old)
	}
	return nil
}

// lastWait is how long Run waits for an event after its end has come: those that
// are there already take no time.
const lastWait = 100 * time.Millisecond

// Run hands over what is recorded, as the events of the desk tell, and sweeps, until
// ctx ends; then it hands over what was recorded before, and returns nil. What goes
// wrong is logged, and does not keep the next check-in back. events, which have the
// audience [event.Desk], are the caller's to close.
func (f *Folder) Run(ctx context.Context, events *event.Subscription) error {
	for {
		if err := f.Sweep(); err != nil {
			f.log.Error("hand-off folder", "err", err)
		}
		if err := f.until(ctx, events, time.Now().Add(sweepEvery(f.cfg.Keep))); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return f.until(context.WithoutCancel(ctx), events, time.Now().Add(lastWait))
		}
	}
}

// sweepEvery is how often it is swept.
func sweepEvery(keep time.Duration) time.Duration { return max(time.Second, min(time.Hour, keep/4)) }

// until hands over until it is time to sweep. The error is that the events ended.
func (f *Folder) until(ctx context.Context, events *event.Subscription, end time.Time) error {
	wait, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for {
		e, err := events.Next(wait)
		if err != nil {
			if wait.Err() != nil {
				return nil
			}
			return err
		}
		if e.Type != wire.EventCheckIn || e.CheckIn == nil || e.CheckIn.State != wire.StateRecorded {
			continue
		}
		// What has begun is finished.
		if _, err := f.Put(context.WithoutCancel(ctx), *e.CheckIn); err != nil {
			f.log.Error("hand-off", "err", err)
		}
	}
}
