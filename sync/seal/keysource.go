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
// time; it makes and keeps one when there is none yet.
type KeySource interface {
	MasterKey() (Master, error)
}

// Slot is a place that outlives the process and holds one master key: a [KeyFile]
// or an entry of the system's [Keyring].
type Slot interface {
	KeySource
	// Load returns the key like MasterKey, but makes none: [ErrNoKey].
	Load() (Master, error)
	// Destroy takes the key away for good. That there is none is no error.
	Destroy() error
}

// ErrNoKey reports a place that holds no key.
var ErrNoKey = errors.New("seal: there is no key")

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
	_ Slot      = KeyFile("")
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

// Load reads the key: with [ErrNoKey] when there is no file, and otherwise with
// the errors of MasterKey.
func (f KeyFile) Load() (Master, error) {
	m, err := f.read()
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	return m, err
}

// Destroy overwrites the file and removes it. Every name of the file loses the
// key, also one that a process left which was killed while making it. Whether the
// disk keeps the old block somewhere (flash memory moves blocks, some file systems
// never overwrite) nobody can say from here: full-disk encryption is the answer.
func (f KeyFile) Destroy() error {
	info, err := os.Lstat(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = ErrKeyFileInvalid
	}
	if err != nil {
		return fmt.Errorf("seal: key file: %w", err)
	}
	// What cannot be overwritten is removed all the same.
	over := f.overwrite(info)
	if err := errors.Join(over, os.Remove(string(f)), syncDir(filepath.Dir(string(f)))); err != nil {
		return fmt.Errorf("seal: destroy key file: %w", err)
	}
	return nil
}

// overwrite replaces what is in the file that info is of.
func (f KeyFile) overwrite(info fs.FileInfo) error {
	file, err := os.OpenFile(string(f), os.O_WRONLY|openNoFollow, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if opened, err := file.Stat(); err != nil || !os.SameFile(info, opened) {
		return ErrKeyFileInvalid
	}
	noise := make([]byte, max(MasterSize, min(info.Size(), 4096)))
	_, _ = rand.Read(noise) // never fails
	_, err = file.WriteAt(noise, 0)
	return errors.Join(err, file.Sync())
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
