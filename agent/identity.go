package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/sync/contract"
)

// ErrIdentity reports an identity file that cannot be used: not a user seed, or
// readable by others.
var ErrIdentity = errors.New("agent: identity file is damaged or accessible to others")

// maxIdentity bounds the file; a seed has 58 characters.
const maxIdentity = 128

// identity is the agent's key pair. It prints nothing of the private key.
type identity struct {
	pair   nkeys.KeyPair
	public string
}

var _ contract.Signer = (*identity)(nil)

// Sign implements [contract.Signer].
func (i *identity) Sign(message []byte) ([]byte, error) { return i.pair.Sign(message) }

// PublicKey implements [contract.Signer].
func (i *identity) PublicKey() (string, error) { return i.public, nil }

// String returns the public key.
func (i *identity) String() string { return i.public }

// GoString returns the public key.
func (i *identity) GoString() string { return i.public }

// LogValue returns the public key.
func (i *identity) LogValue() slog.Value { return slog.StringValue(i.public) }

// openIdentity reads the agent's user seed (an nkey), or makes one. The file is
// private to its owner, appears complete or not at all, and is never replaced:
// a second key would be an agent that the central service does not know.
func openIdentity(path string) (*identity, error) {
	seed, err := readIdentity(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeIdentity(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("agent: make identity: %w", err)
		}
		seed, err = readIdentity(path)
	}
	if err != nil {
		return nil, err
	}
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return nil, ErrIdentity
	}
	public, err := pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		return nil, ErrIdentity
	}
	return &identity{pair, public}, nil
}

func readIdentity(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxIdentity || (runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0) {
		return nil, ErrIdentity
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		return nil, ErrIdentity
	}
	return io.ReadAll(io.LimitReader(f, maxIdentity))
}

func makeIdentity(path string) (err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	seed, err := pair.Seed()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".identity-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(append(seed, '\n'))
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	// Link, unlike Rename, fails when the name is taken.
	if err := os.Link(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}
