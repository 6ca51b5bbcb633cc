package seal

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zalando/go-keyring"
)

// Errors of a keyring.
var (
	// ErrNoKeyring reports that the operating system's keyring cannot be used: no
	// such service runs, or it does not let this account in.
	ErrNoKeyring = errors.New("seal: the system's keyring cannot be used")
	// ErrKeyringLocked reports a keyring that somebody has to unlock first.
	ErrKeyringLocked = errors.New("seal: the system's keyring is locked")
	// ErrKeyringInvalid reports an entry of the keyring that is no master key.
	ErrKeyringInvalid = errors.New("seal: the keyring's entry is no master key")
)

// Keyring is a master key in the operating system's keyring: the Credential
// Manager of Windows, the Keychain of macOS, elsewhere the Secret Service
// (GNOME Keyring, KWallet). It belongs to the account under which the program
// runs; a service account often has none. A keyring that is missing or locked is
// an error, and never a reason to keep the key elsewhere.
type Keyring struct {
	Service string // the program: "chamthe"
	Account string // which of its keys; two data directories never share one
}

var _ Slot = Keyring{}

// DefaultService is the Service of the agent's keys.
const DefaultService = "chamthe"

// keyringPatience is how long the keyring may take. The Secret Service asks the
// user to unlock it, and of a computer that nobody sits at it asks for ever. What
// waits then is a goroutine, until the answer or the end of the process.
const keyringPatience = 30 * time.Second

// keyringPrefix names the format of an entry.
const keyringPrefix = "chamthe-key-1:"

// MasterKey returns the key, and makes one if there is none. Two processes must
// not make the same one at the same time: the keyring cannot tell which was
// first.
func (k Keyring) MasterKey() (Master, error) {
	m, err := k.Load()
	if !errors.Is(err, ErrNoKey) {
		return m, err
	}
	var key [MasterSize]byte
	_, _ = rand.Read(key[:]) // never fails
	err = patiently(func() error {
		return keyring.Set(k.Service, k.Account, keyringPrefix+base64.RawStdEncoding.EncodeToString(key[:]))
	})
	if err != nil {
		return Master{}, fmt.Errorf("make a key: %w", keyringError(err))
	}
	// What counts is what the keyring gives back.
	return k.Load()
}

// Load returns the key, and makes none: [ErrNoKey].
func (k Keyring) Load() (Master, error) {
	if k.Service == "" || k.Account == "" {
		return Master{}, errors.New("seal: a keyring's entry needs service and account")
	}
	var text string
	// The variable is read only when the call has ended.
	err := patiently(func() (err error) {
		text, err = keyring.Get(k.Service, k.Account)
		return err
	})
	if err != nil {
		return Master{}, keyringError(err)
	}
	encoded, ok := strings.CutPrefix(text, keyringPrefix)
	if !ok {
		return Master{}, ErrKeyringInvalid
	}
	key, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil || len(key) != MasterSize {
		return Master{}, ErrKeyringInvalid
	}
	return NewMaster(key)
}

// Destroy takes the key out of the keyring. That there is none is no error. What
// the keyring's own file still holds is for the keyring to say.
func (k Keyring) Destroy() error {
	err := patiently(func() error { return keyring.Delete(k.Service, k.Account) })
	if err = keyringError(err); errors.Is(err, ErrNoKey) {
		return nil
	}
	return err
}

// patiently calls fn and waits for it, but not for ever.
func patiently(fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	limit := time.NewTimer(keyringPatience)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return ErrKeyringLocked
	}
}

// keyringError tells the errors of the systems' keyrings apart. That library
// has a value for one of them only; of the rest there is a text.
func keyringError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return ErrNoKey
	case errors.Is(err, ErrKeyringLocked), isLocked(err.Error()):
		return ErrKeyringLocked
	}
	return fmt.Errorf("%w: %w", ErrNoKeyring, err)
}

// isLocked recognises a keyring that wants its password: of the Secret Service
// the error of that name and the end of a prompt that nobody answered, of macOS
// errSecInteractionNotAllowed and errSecAuthFailed as the exit status of security.
func isLocked(text string) bool {
	for _, s := range []string{"IsLocked", "unlock correct collection", "prompt dismissed", "exit status 36", "exit status 51"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}
