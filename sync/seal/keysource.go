package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// KeySource provides the master key. MasterKey returns the same key every
// time; it makes and keeps one when there is none yet. The operating system's
// keyring will be another source.
type KeySource interface {
	MasterKey() (Master, error)
}

// Errors of a key file.
var (
	// ErrKeyFileOpen reports a key file that others than its owner may read or
	// write.
	ErrKeyFileOpen = errors.New("seal: key file is accessible to others")
	// ErrKeyFileInvalid reports a key file that is no regular file of 32 bytes.
	ErrKeyFileInvalid = errors.New("seal: key file is not a regular file of 32 bytes")
)

// MemoryKey is a key that lives as long as the process: for a demo and for
// tests. Make it with [NewMemoryKey].
type MemoryKey struct{ master Master }

// NewMemoryKey returns a source with a fresh random key.
func NewMemoryKey() *MemoryKey {
	var key [MasterSize]byte
	_, _ = rand.Read(key[:]) // never fails
	return &MemoryKey{masterOf(&key)}
}

// MasterKey returns the key.
func (m *MemoryKey) MasterKey() (Master, error) {
	if m.master.key == nil {
		return Master{}, errors.New("seal: empty memory key")
	}
	return m.master, nil
}

// KeyFile is the path of a file that holds the master key: 32 random bytes,
// readable by its owner only (0600). The directory must exist and be writable
// by trusted accounts only.
type KeyFile string

var (
	_ KeySource = KeyFile("")
	_ KeySource = (*MemoryKey)(nil)
)

// MasterKey reads the key, or makes the file when there is none. The file
// appears complete or not at all, also after a power failure, and an existing
// file is never replaced: two processes that start together end up with the
// same key. It refuses a symbolic link, anything that is not a regular file of
// 32 bytes ([ErrKeyFileInvalid]), and, on Unix, a file with any permission for
// group or others ([ErrKeyFileOpen]): whoever could have read it may have.
func (f KeyFile) MasterKey() (Master, error) {
	m, err := f.read()
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	if err := f.create(); err != nil && !errors.Is(err, fs.ErrExist) {
		return Master{}, fmt.Errorf("seal: create key file: %w", err)
	}
	return f.read()
}

func (f KeyFile) read() (Master, error) {
	// Lstat first: where the system cannot refuse links at open, this does.
	info, err := os.Lstat(string(f))
	if err != nil {
		return Master{}, fmt.Errorf("seal: key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Master{}, ErrKeyFileInvalid
	}
	file, err := os.OpenFile(string(f), os.O_RDONLY|openNoFollow, 0)
	if err != nil {
		return Master{}, fmt.Errorf("seal: key file: %w", err)
	}
	defer file.Close()
	// What counts is the file that was opened, not the one that had the name.
	opened, err := file.Stat()
	if err != nil {
		return Master{}, fmt.Errorf("seal: key file: %w", err)
	}
	if !opened.Mode().IsRegular() || !os.SameFile(info, opened) || opened.Size() != MasterSize {
		return Master{}, ErrKeyFileInvalid
	}
	if checkPermissions && opened.Mode().Perm()&0o077 != 0 {
		return Master{}, ErrKeyFileOpen
	}
	var key [MasterSize]byte
	if _, err := io.ReadFull(file, key[:]); err != nil {
		return Master{}, ErrKeyFileInvalid
	}
	return masterOf(&key), nil
}

// create writes a new key to a temporary file and gives it its name only when
// it is on disk. Link, unlike Rename, fails when the name is taken.
func (f KeyFile) create() (err error) {
	dir := filepath.Dir(string(f))
	temp, err := os.CreateTemp(dir, ".key-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if rm := os.Remove(temp.Name()); err == nil {
			err = rm
		}
	}()
	key := make([]byte, MasterSize)
	_, _ = rand.Read(key) // never fails
	_, err = temp.Write(key)
	if err == nil {
		err = temp.Sync()
	}
	if closing := temp.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	if err := os.Link(temp.Name(), string(f)); err != nil {
		return err
	}
	return syncDir(dir)
}
