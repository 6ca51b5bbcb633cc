package natsd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrInUse reports a directory that another server is using: two servers on
// one store destroy it.
var ErrInUse = errors.New("natsd: the directory is in use by another server")

// lockName is a file that is locked as long as a server runs, and stays. The
// operating system releases the lock when the process ends, however it ends.
const lockName = "natsd.lock"

func lockDir(dir string) (*os.File, error) {
	f, err := openLocked(filepath.Join(dir, lockName))
	if errors.Is(err, ErrInUse) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("natsd: lock: %w", err)
	}
	return f, nil
}
