package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// writeFile gives a file, private to its owner, new contents: after a crash or
// a power failure it has the old ones or the new ones.
func writeFile(name string, content []byte) error {
	return replaceFile(name, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// replaceFile is writeFile for contents that write makes bit by bit. They gather in
// a hidden file beside the other, which takes its name when they are complete and on
// the disk; if anything fails it is removed. Only of a process that is killed it
// stays.
func replaceFile(name string, write func(io.Writer) error) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	err = write(temp)
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
