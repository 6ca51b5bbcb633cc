package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/zalando/go-keyring"

	"github.com/chamthe/chamthe/sync/seal"
)

// keyringVariable says that this machine has a keyring to test with, and that its
// absence is a failure. .ci/keyring-run sets it.
const keyringVariable = "CHAMTHE_TEST_KEYRING"

// TestKeyringOfTheSystem runs against the real one. It comes before the tests
// that put another in its place.
func TestKeyringOfTheSystem(t *testing.T) {
	if os.Getenv(keyringVariable) == "" {
		t.Skipf("no %s: this machine may have no keyring; make keyring starts one", keyringVariable)
	}
	useKeyring(t)
}

// useKeyring makes, reads and destroys a key.
func useKeyring(t *testing.T) {
	t.Helper()
	k := seal.Keyring{Service: "chamthe-test", Account: t.Name() + t.TempDir()}
	t.Cleanup(func() { _ = k.Destroy() })
	if m, err := k.Load(); !errors.Is(err, seal.ErrNoKey) || !m.Equal(seal.Master{}) {
		t.Fatalf("before there is one: %v", err)
	}
	if err := k.Destroy(); err != nil {
		t.Errorf("destroy none: %v", err)
	}
	first, err := k.MasterKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []func() (seal.Master, error){k.MasterKey, k.Load} {
		if m, err := again(); err != nil || !m.Equal(first) {
			t.Errorf("again: %v, the same: %v", err, m.Equal(first))
		}
	}
	other := k
	other.Account += "-2"
	t.Cleanup(func() { _ = other.Destroy() })
	if m, err := other.MasterKey(); err != nil || m.Equal(first) {
		t.Errorf("another account: %v, the same key: %v", err, m.Equal(first))
	}
	if err := k.Destroy(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Load(); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("after it was destroyed: %v", err)
	}
	if m, err := other.Load(); err != nil || m.Equal(seal.Master{}) {
		t.Errorf("the other one went too: %v", err)
	}
	// What is no key is not taken for one, and not replaced.
	if err := keyring.Set(k.Service, k.Account, "hunter2"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.MasterKey(); !errors.Is(err, seal.ErrKeyringInvalid) {
		t.Errorf("an entry of somebody else's: %v", err)
	}
}

// TestKeyringOfMemory: the same, with a keyring that every machine has.
func TestKeyringOfMemory(t *testing.T) {
	keyring.MockInit()
	useKeyring(t)
	if _, err := (seal.Keyring{Service: "chamthe"}).MasterKey(); err == nil {
		t.Error("a key without an account")
	}
}

// TestKeyringFails: no keyring is an error that says so, and no new key.
func TestKeyringFails(t *testing.T) {
	tests := []struct {
		name  string
		cause error
		want  error
	}{
		{"no session bus", errors.New("dbus: couldn't determine address of session bus"), seal.ErrNoKeyring},
		{"no service on the bus", errors.New("The name org.freedesktop.secrets was not provided by any .service files"), seal.ErrNoKeyring},
		{"nobody unlocks it", errors.New("failed to unlock correct collection '/org/freedesktop/secrets/aliases/default'"), seal.ErrKeyringLocked},
		{"locked", errors.New("org.freedesktop.Secret.Error.IsLocked"), seal.ErrKeyringLocked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keyring.MockInitWithError(tt.cause)
			k := seal.Keyring{Service: "chamthe", Account: "a"}
			for name, call := range map[string]func() error{
				"MasterKey": func() error { _, err := k.MasterKey(); return err },
				"Load":      func() error { _, err := k.Load(); return err },
				"Destroy":   k.Destroy,
			} {
				if err := call(); !errors.Is(err, tt.want) {
					t.Errorf("%s: %v, want %v", name, err, tt.want)
				}
			}
		})
	}
}

func TestKeyFileDestroy(t *testing.T) {
	dir := t.TempDir()
	file := seal.KeyFile(filepath.Join(dir, "seal.key"))
	if _, err := file.Load(); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("before there is one: %v", err)
	}
	if err := file.Destroy(); err != nil {
		t.Errorf("destroy none: %v", err)
	}
	m, err := file.MasterKey()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := file.Load(); err != nil || !again.Equal(m) {
		t.Errorf("Load: %v", err)
	}
	before, err := os.ReadFile(string(file))
	if err != nil {
		t.Fatal(err)
	}
	// A second name, as a killed process leaves it.
	left := filepath.Join(dir, ".key-1")
	if err := os.Link(string(file), left); err != nil {
		t.Fatal(err)
	}
	if err := file.Destroy(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(string(file)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file stays: %v", err)
	}
	after, err := os.ReadFile(left)
	if err != nil || bytes.Equal(after, before) || len(after) != len(before) {
		t.Errorf("the key is still on the disk: %v", err)
	}
	if _, err := file.Load(); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("after it was destroyed: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	// A link is not followed: what it leads to is not ours to destroy.
	if err := os.Symlink(left, string(file)); err != nil {
		t.Fatal(err)
	}
	if err := file.Destroy(); !errors.Is(err, seal.ErrKeyFileInvalid) {
		t.Errorf("a link: %v", err)
	}
	if got, _ := os.ReadFile(left); !bytes.Equal(got, after) {
		t.Error("a file behind a link was overwritten")
	}
}

func TestKeyringPrintsNoKey(t *testing.T) {
	keyring.MockInit()
	k := seal.Keyring{Service: "chamthe", Account: "printed"}
	if _, err := k.MasterKey(); err != nil {
		t.Fatal(err)
	}
	secret, err := keyring.Get(k.Service, k.Account)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(fmt.Appendf(nil, "%+v %#v", k, k), []byte(secret)) {
		t.Error("the key is printed")
	}
}
