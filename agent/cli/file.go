package cli

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// writeFile gives a file, private to its owner, new contents: after a crash or
// a power failure it has the old ones or the new ones.
func writeFile(name string, content []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), name); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be synced there
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return nil // the file itself is there
	}
	defer dir.Close()
	return dir.Sync()
}
