package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/contract"
)

// The insurer's key rolls by a statement of the old key that names the new one. The
// central service sends all statements there are with every manifest, the oldest
// first, as values of the header [HeaderRoll]: an agent that was away for two of them
// follows both. It pins the new key when the statements lead to it from the pinned
// one and a manifest is signed with it. From then on the old key is worth nothing,
// nor are its statements.
//
// A statement is JSON, signed like every message of package contract with a domain of
// its own; as a header it is base64 of the JSON, a dot, and the signature as in
// contract.HeaderSignature.
//
// What this does not help against is an old key that was stolen: who has it can sign
// a statement too. Agents are enrolled anew then.

// HeaderRoll carries statements beside a manifest.
const HeaderRoll = "Chamthe-Key-Roll"

// domainRoll keeps a statement from being anything else.
const domainRoll contract.Domain = "bundle-key"

const (
	// MaxRolls is how many statements are looked at; one a year for a working life.
	MaxRolls = 32
	maxRoll  = 1 << 10 // of a statement as a header, in bytes
)

// ErrRoll reports a statement that cannot be made or read.
var ErrRoll = errors.New("bundle: not a statement about the insurer's key")

// Roll says that the insurer signs with another key from now on.
type Roll struct {
	Version int       `json:"version"` // 1
	From    string    `json:"from"`    // public keys
	To      string    `json:"to"`
	At      time.Time `json:"at"`
}

// NewRoll has the old key sign that to takes its place, and returns the value for
// [HeaderRoll]. Errors are those of the signer and [ErrRoll].
func NewRoll(old contract.Signer, to string, at time.Time) (string, error) {
	from, err := old.PublicKey()
	if err != nil {
		return "", err
	}
	if contract.CheckAgent(to) != nil || from == to {
		return "", ErrRoll
	}
	payload, err := json.Marshal(Roll{Version: 1, From: from, To: to, At: contract.Timestamp(at)})
	if err != nil {
		return "", err
	}
	h, err := contract.Sign(old, domainRoll, payload)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(payload) + "." + h[contract.HeaderSignature][0], nil
}

// OpenRoll reads a statement and verifies that the key that it takes leave of has
// signed it. It returns [ErrRoll] for anything else.
func OpenRoll(s string) (Roll, error) {
	text, signature, ok := strings.Cut(s, ".")
	if len(s) > maxRoll || !ok {
		return Roll{}, ErrRoll
	}
	payload, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return Roll{}, ErrRoll
	}
	var r Roll
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if d.Decode(&r) != nil || d.More() || r.Version != 1 || contract.CheckAgent(r.From) != nil || contract.CheckAgent(r.To) != nil || r.From == r.To || r.At.IsZero() {
		return Roll{}, ErrRoll
	}
	h := map[string][]string{contract.HeaderAgent: {r.From}, contract.HeaderSignature: {signature}}
	if _, err := contract.Verify(domainRoll, h, payload); err != nil {
		return Roll{}, ErrRoll
	}
	return r, nil
}

// leads reports whether statements lead from one key to another. Those that cannot
// be read, or that are about other keys, count for nothing.
func leads(from, to string, rolls []string) bool {
	if len(rolls) > MaxRolls {
		rolls = rolls[len(rolls)-MaxRolls:]
	}
	for _, s := range rolls {
		if r, err := OpenRoll(s); err == nil && r.From == from {
			from = r.To
		}
		if from == to {
			return true
		}
	}
	return false
}

// pin is which key is believed now, and which one was pinned at enrolment: another
// enrolment begins anew.
type pin struct {
	Enrolled string `json:"enrolled"`
	Key      string `json:"key"`
}

// pinKey is where the pin lies, beside the states of the kinds.
var pinKey = []byte("pinned")

// pinned returns the key that is believed. A record that cannot be read is none: the
// statements that led to its key come with the next manifest.
func (k *Keeper) pinned(top *bbolt.Bucket) string {
	var p pin
	plain, err := k.c.Sealer.Open(placeState, pinKey, top.Bucket(stateBucket).Get(pinKey))
	if err != nil || json.Unmarshal(plain, &p) != nil || p.Enrolled != k.c.Key || contract.CheckAgent(p.Key) != nil {
		return k.c.Key
	}
	return p.Key
}

// follow pins the key that signed a manifest if statements beside it lead there. The
// lists that are installed stay: they are of the same insurer.
func (k *Keeper) follow(headers map[string][]string, payload []byte) error {
	signer, err := contract.Verify(contract.DomainBundle, headers, payload)
	if err != nil || len(headers[HeaderRoll]) == 0 {
		return nil // open refuses what is wrong
	}
	return k.c.Store.Update(func(tx *bbolt.Tx) error {
		top := tx.Bucket(topBucket)
		if old := k.pinned(top); old == signer || !leads(old, signer, headers[HeaderRoll]) {
			return nil
		}
		states := make(map[contract.BundleKind]State)
		for _, kind := range kinds {
			states[kind] = k.state(top, kind)
		}
		plain, err := json.Marshal(pin{Enrolled: k.c.Key, Key: signer})
		if err != nil {
			return err
		}
		if err := top.Bucket(stateBucket).Put(pinKey, k.c.Sealer.Seal(placeState, pinKey, plain)); err != nil {
			return err
		}
		for kind, s := range states {
			s.Key = signer
			if err := k.setState(top, kind, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// kinds are the lists that are kept.
var kinds = []contract.BundleKind{contract.BundlePopulation, contract.BundleTrust}
