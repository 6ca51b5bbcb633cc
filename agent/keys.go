package agent

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// Where the key is. A data directory says so in a small file, which holds no
// secret: a keyring that is missing then is a fault, and not the reason for a new
// key. Without that file the key is in the key file beside the visits.
//
// While the key is being rotated there are two such files, two keys and two
// stores; see [RotateKey].
const (
	sourceFile     = "key.json"      // where the key is
	nextSourceFile = "key.next.json" // where the one is that follows; there during a rotation only
	nextSealFile   = "seal.key.next"
	nextStoreFile  = storeFile + ".next"
	erasedFile     = "erased.json" // when the key was destroyed
)

// Errors of the key of a data directory.
var (
	// ErrKeySource reports a data directory whose key is kept elsewhere than the
	// configuration says.
	ErrKeySource = errors.New("agent: the data directory keeps its key elsewhere")
	// ErrErased reports a data directory whose key was destroyed. It is an
	// [ErrKeyMissing] too.
	ErrErased = errors.New("agent: the data was erased by destroying its key")
)

// KeySource says where the key of a data directory is kept.
type KeySource struct {
	Source  string `json:"source"` // "file" or "keyring"
	Service string `json:"service,omitempty"`
	Account string `json:"account,omitempty"`
}

// Kinds of [KeySource].
const (
	InFile    = "file"
	InKeyring = "keyring"
)

// String returns words for people.
func (k KeySource) String() string {
	if k.Source == InKeyring {
		return fmt.Sprintf("the system's keyring, service %q, account %q", k.Service, k.Account)
	}
	return "the key file " + sealFile
}

// slot returns the place of the key that is in use.
func (k KeySource) slot(dir string) seal.Slot {
	if k.Source == InKeyring {
		return seal.Keyring{Service: k.Service, Account: k.Account}
	}
	return seal.KeyFile(filepath.Join(dir, sealFile))
}

// next returns the place of a key that is not in use yet.
func (k KeySource) next(dir string) seal.Slot {
	if k.Source == InKeyring {
		return k.slot(dir)
	}
	return seal.KeyFile(filepath.Join(dir, nextSealFile))
}

// inKeyring returns a place in the keyring that nobody else uses: directories that
// share a key could not be rotated or erased one by one, and of two processes that
// set up the same directory one would overwrite the other's.
func inKeyring(service string) KeySource {
	var account [8]byte
	_, _ = rand.Read(account[:]) // never fails
	if service == "" {
		service = seal.DefaultService
	}
	return KeySource{Source: InKeyring, Service: service, Account: hex.EncodeToString(account[:])}
}

// KeyOf returns where the key of a data directory is kept.
func KeyOf(dir string) (KeySource, error) {
	k, ok, err := readSource(filepath.Join(dir, sourceFile))
	if err == nil && !ok {
		k = KeySource{Source: InFile}
	}
	return k, err
}

func readSource(path string) (k KeySource, ok bool, err error) {
	const limit = 4 << 10
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, false, nil
	}
	if err != nil {
		return k, false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return k, false, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if d.Decode(&k) != nil || k.Source != InFile && (k.Source != InKeyring || k.Service == "" || k.Account == "") {
		return KeySource{}, false, fmt.Errorf("%w: %s cannot be read", ErrKeySource, filepath.Base(path))
	}
	return k, true, nil
}

// writeNew makes a file with contents, complete or not at all; an existing one is
// left alone: [fs.ErrExist].
func writeNew(path string, v any) (err error) {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".store-*") // mode 0600; see leftovers
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(append(b, '\n'))
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// openData opens the store of a data directory, which it makes if there is none,
// and what seals it. keys is [Config.Keys]. The key of a new directory is made, that
// of any other never.
func openData(dir string, keys seal.KeySource) (*store.Store, *seal.Sealer, error) {
	slot, err := keySlot(dir, keys)
	if err != nil {
		return nil, nil, err
	}
	used, err := Used(dir)
	if err != nil {
		return nil, nil, err
	}
	var master seal.Master
	if !used {
		// Keys are older than the store.
		if err := erased(dir); err != nil {
			return nil, nil, err
		}
		if master, err = makeKey(slot); err != nil {
			return nil, nil, err
		}
	}
	st, err := openStore(dir)
	if err != nil {
		return nil, nil, err
	}
	sealer, err := func() (*seal.Sealer, error) {
		if _, custom := slot.(customSource); !custom {
			if err := settle(dir, st, nil); err != nil {
				return nil, err
			}
		}
		// A rotation that has just been finished has another place.
		if used {
			if slot, err = keySlot(dir, keys); err != nil {
				return nil, err
			}
			if master, err = loadKey(dir, slot); err != nil {
				return nil, err
			}
		}
		sealer, err := seal.New(master)
		if err != nil {
			return nil, err
		}
		// A file that was made for another key is another matter: the first package
		// to use it says so (store.ErrWrongKey).
		if id, bound, err := st.KeyID(); err != nil || bound && id != sealer.KeyID() {
			return sealer, err
		}
		return sealer, audit.New(st, sealer, nil).Begin(context.Background())
	}()
	if err != nil {
		return nil, nil, errors.Join(err, st.Close())
	}
	return st, sealer, nil
}

// customSource is a source of keys that this package knows nothing of, such as one
// in memory: what it returns is the key.
type customSource struct{ seal.KeySource }

func (c customSource) Load() (seal.Master, error) { return c.MasterKey() }
func (c customSource) Destroy() error             { return ErrKeySource }

// keySlot returns the place of the key of a directory. The first time that a
// keyring is to be used, the key is made there and the place written down.
func keySlot(dir string, keys seal.KeySource) (seal.Slot, error) {
	path := filepath.Join(dir, sourceFile)
	have, known, err := readSource(path)
	if err != nil {
		return nil, err
	}
	if !known {
		have = KeySource{Source: InFile}
	}
	switch k := keys.(type) {
	case nil:
		return have.slot(dir), nil
	case seal.KeyFile:
		if filepath.Clean(string(k)) == filepath.Join(dir, sealFile) {
			if have.Source != InFile {
				return nil, ErrKeySource
			}
			return have.slot(dir), nil
		}
		if known {
			return nil, ErrKeySource
		}
		return k, nil // somewhere else, which only the configuration knows
	case seal.Keyring:
		if known && have.Source == InKeyring && (k.Service == "" || k.Service == have.Service) && (k.Account == "" || k.Account == have.Account) {
			return have.slot(dir), nil
		}
		for _, name := range []string{sourceFile, storeFile, sealFile, erasedFile} {
			if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
				return nil, errors.Join(ErrKeySource, err)
			}
		}
		return firstInKeyring(dir, k)
	}
	if known {
		return nil, ErrKeySource
	}
	return customSource{keys}, nil
}

// firstInKeyring makes the key of a new directory. It is made before its place is
// written down: of two processes that do this at once, one finds the other's
// place, and takes its own key away again.
func firstInKeyring(dir string, k seal.Keyring) (seal.Slot, error) {
	place := inKeyring(k.Service)
	if k.Account != "" {
		place.Account = k.Account
	}
	slot := place.slot(dir)
	if _, err := slot.MasterKey(); err != nil {
		return nil, err
	}
	err := writeNew(filepath.Join(dir, sourceFile), place)
	if !errors.Is(err, fs.ErrExist) {
		return slot, err
	}
	winner, err := KeyOf(dir)
	if err != nil {
		return nil, err
	}
	if winner != place {
		err = slot.Destroy()
	}
	return winner.slot(dir), err
}

// makeKey returns the key of a directory without a store. What is in a keyring was
// made when its place was written down, and is not made again.
func makeKey(slot seal.Slot) (seal.Master, error) {
	if k, ok := slot.(seal.Keyring); ok {
		m, err := k.Load()
		if errors.Is(err, seal.ErrNoKey) {
			err = fmt.Errorf("%w: %w", ErrKeyMissing, err)
		}
		return m, err
	}
	return slot.MasterKey()
}

// loadKey returns the key of a directory that has a store.
func loadKey(dir string, slot seal.Slot) (seal.Master, error) {
	m, err := slot.Load()
	if errors.Is(err, seal.ErrNoKey) {
		if err := erased(dir); err != nil {
			return seal.Master{}, err
		}
		return seal.Master{}, fmt.Errorf("%w: %w", ErrKeyMissing, err)
	}
	return m, err
}

// erased returns an error for a directory whose key was destroyed.
func erased(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, erasedFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrErased, ErrKeyMissing)
}

// openStore opens the store's file. A rotation puts another file in its place;
// whoever waited for the lock of the old one meanwhile must not go on with a file
// that has no name any more.
func openStore(dir string) (*store.Store, error) {
	path := filepath.Join(dir, storeFile)
	before, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	st, err := store.Open(path, nil)
	if err != nil || before == nil {
		return st, err
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		return nil, errors.Join(store.ErrLocked, st.Close())
	}
	return st, nil
}
