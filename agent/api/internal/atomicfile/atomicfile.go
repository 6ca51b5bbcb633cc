// Package atomicfile replaces files as a whole.
package atomicfile

import (
	"os"
	"path/filepath"
	"runtime"
)

// Partial begins the name of a file that is not whole yet. One that is left over
// from a crash may be deleted.
const Partial = ".chamthe-part-"

// Write replaces a file at once or not at all, and has it survive a power failure.
// The group, unless negative, becomes the file's. Until it is whole it lies beside
// its place under a name that begins with [Partial] and that only this user can
// read.
func Write(path string, b []byte, mode os.FileMode, group int) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), Partial+"*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if group >= 0 && runtime.GOOS != "windows" {
		if err := f.Chown(-1, group); err != nil {
			return err
		}
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
