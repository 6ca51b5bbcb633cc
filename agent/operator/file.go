package operator

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// ErrOpen reports a file of operators that others than its owner may read or write:
// whoever could have read it may have tried all PINs.
var ErrOpen = errors.New("operator: file is accessible to others")

// maxFile bounds what is read.
const maxFile = 1 << 20

// A File is a [Store] in a file with mode 0600, by its path. The directory must
// exist.
type File string

var _ Store = File("")

// Load reads the file; nil when there is none. It refuses what is no regular file,
// and on Unix one that is open to others ([ErrOpen]).
func (f File) Load() ([]byte, error) {
	info, err := os.Lstat(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, ErrStore
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, ErrOpen
	}
	file, err := os.Open(string(f))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = ErrStore
	}
	return b, err
}

// TempPattern matches the names of files that a Save which was killed leaves in the
// directory. They hold hashes of PINs.
const TempPattern = ".operators-*"

// Save replaces the file: after a power failure it is the old or the new one, and the
// new one once Save has returned.
func (f File) Save(b []byte) (err error) {
	dir := filepath.Dir(string(f))
	temp, err := os.CreateTemp(dir, TempPattern) // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("operator: save: %w", errors.Join(err, ignoreAbsent(os.Remove(temp.Name()))))
		}
	}()
	_, err = temp.Write(b)
	if err == nil {
		err = temp.Sync()
	}
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp.Name(), string(f))
	}
	if err == nil {
		err = syncDir(dir)
	}
	return err
}

// syncDir makes the names of a directory durable. It is a variable for tests: no file
// system shows from outside whether it was called.
var syncDir = func(dir string) error {
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

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
