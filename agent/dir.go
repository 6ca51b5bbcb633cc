package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/chamthe/chamthe/agent/enrol"
	"github.com/chamthe/chamthe/agent/operator"
)

// Errors of a data directory.
var (
	// ErrKeyMissing reports a directory that has visits, but not the key that
	// seals them or the identity that signed them. No other is made in its
	// place: the visits could not be read, or not be sent, ever again.
	ErrKeyMissing = errors.New("agent: a key file is missing beside recorded visits")
	// ErrExposed reports a data directory, or a file of visits, that everybody
	// on this computer may write to.
	ErrExposed = errors.New("agent: data directory can be written by others")
)

// MakeDir makes a data directory, private to its owner, and those above it, and
// has their names survive a power failure.
func MakeDir(dir string) error {
	var parents []string // of what is new, the lowest first
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) || filepath.Dir(d) == d {
			break
		}
		parents = append(parents, filepath.Dir(d))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range slices.Backward(parents) {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// checkDir refuses a directory that has visits but lacks one of the named key
// files, and one in which others may write. It is called before any key is made:
// keys are older than visits, so that another process which is making both is
// not taken for a loss.
func checkDir(dir string, keys ...string) error {
	for _, name := range []string{dir, filepath.Join(dir, storeFile)} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // new: there is nothing to lose
		}
		if err != nil {
			return err
		}
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0 {
			return ErrExposed
		}
	}
	for _, key := range keys {
		if _, err := os.Lstat(filepath.Join(dir, key)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s", ErrKeyMissing, key)
		}
	}
	return nil
}

// leftovers are what a process that was killed leaves of files that it was
// making. One of a key is that key: it must not stay.
var leftovers = []string{enrol.TempPattern, operator.TempPattern, ".key-*", ".identity-*", ".store-*", ".backup-*", "nonce-*.tmp"}

// sweepAfter spares what another process, which does not know yet that this
// one has the directory, is making just now.
const sweepAfter = time.Minute

// sweep removes leftovers. The caller holds the lock of the store.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		left := slices.ContainsFunc(leftovers, func(pattern string) bool {
			ok, _ := filepath.Match(pattern, e.Name())
			return ok
		})
		if !left || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err != nil || time.Since(info.ModTime()).Abs() < sweepAfter {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
