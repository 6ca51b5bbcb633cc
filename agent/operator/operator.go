// Package operator knows who sits at the desk: by the login name that the desk
// program vouches for, or by name and PIN. Signing in and out, and every wrong PIN,
// is written in the audit trail.
//
// A PIN is short, so two things stand before it: its hash is slow and salted
// (Argon2id, RFC 9106) and lies in a file that only the service may read, and wrong
// ones are answered more and more slowly, also across a restart. Whether a name
// exists cannot be told from the answer or its time.
package operator

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/wire"
)

// What the audit trail keeps of operators, beside the actions of package audit. The
// object is the operator's name.
const (
	SignedIn  audit.Action = "operator_signed_in"
	SignedOut audit.Action = "operator_signed_out"
	Refused   audit.Action = "operator_refused"
	Changed   audit.Action = "operator_changed" // a PIN was set, or an operator taken out
)

// Errors.
var (
	// ErrDenied reports a wrong name or PIN, without saying which.
	ErrDenied = errors.New("operator: wrong name or PIN")
	// ErrWait is every [*WaitError].
	ErrWait = errors.New("operator: too many wrong PINs")
	// ErrName reports a name that is empty, too long, holds what cannot be seen, or
	// would be taken for a part of the agent or a client in the audit trail: "agent",
	// "desk", "via ...", an origin.
	ErrName = errors.New("operator: name cannot be used")
	// ErrPIN reports a PIN that is too short, too long or too easily guessed.
	ErrPIN = errors.New("operator: PIN cannot be used")
	// ErrFull reports that no more operators can be added.
	ErrFull = errors.New("operator: too many operators")
	// ErrUnknown reports an operator who is not there to be taken out.
	ErrUnknown = errors.New("operator: no such operator")
	// ErrStore reports stored operators that cannot be understood.
	ErrStore = errors.New("operator: stored operators are damaged")
)

// A WaitError says for how long no PIN of this name is looked at.
type WaitError struct{ For time.Duration }

// Error says how long.
func (e *WaitError) Error() string {
	return fmt.Sprintf("%v: wait %v", ErrWait, e.For.Round(time.Second))
}

// Is makes every WaitError an [ErrWait].
func (e *WaitError) Is(target error) bool { return target == ErrWait }

// How somebody signed in, as [wire.Operator] has it.
const (
	HowLogin = "login"
	HowPIN   = "pin"
)

// Limits.
const (
	maxName      = 64 // characters, as in a visit
	minPIN       = 4
	maxPIN       = 64
	maxOperators = 256
	// freeTries wrong PINs cost nothing; each one after that doubles the wait from
	// firstWait up to longestWait.
	freeTries   = 3
	firstWait   = 2 * time.Second
	longestWait = 15 * time.Minute
)

// A Store keeps the operators. Load returns nil when there are none yet; what Save
// was given is there after it returned, or what was there before.
type Store interface {
	Load() ([]byte, error)
	Save([]byte) error
}

// Config says how operators sign in. Store is required for PINs.
type Config struct {
	// Store keeps names and hashes of PINs; nil: nobody has a PIN.
	Store Store
	// Logins takes a name without a PIN, for whoever has none: the caller vouches that
	// it is the login name of the person in front of the computer. A name that differs
	// from that of somebody with a PIN only in case, spaces or composition is theirs.
	Logins bool
	// Shift is how long somebody stays signed in; 0: until signing out.
	Shift time.Duration
	// Audit writes into the audit trail; nil: there is none. Who cannot be written down
	// is not signed in.
	Audit func(ctx context.Context, entries ...audit.Entry) error
	Now   func() time.Time // nil: time.Now

	cost cost // zero: the right one
}

// cost is what one hash takes.
type cost struct {
	time, memory uint32 // memory in KiB
}

// defaultCost is the least that OWASP's password storage cheat sheet (2024) gives for
// Argon2id: 19 MiB, two passes.
var defaultCost = cost{time: 2, memory: 19 << 10}

// Operators are those who may sit at one desk, at most one at a time. Its methods
// may be called from several goroutines at once. Make it with [Open].
type Operators struct {
	cfg Config

	trying sync.Mutex // one PIN after the other: each costs memory

	mu      sync.Mutex
	known   []record
	strange map[string]tries // of names that nobody has
	current *wire.Operator
	until   time.Time // zero: for ever
}

// tries counts the wrong PINs of a name.
type tries struct {
	Fails int       `json:"fails,omitempty"`
	Last  time.Time `json:"last,omitzero"`
}

// record is one operator as stored.
type record struct {
	Name   string    `json:"name"`
	Salt   []byte    `json:"salt"`
	Hash   []byte    `json:"hash"`
	Time   uint32    `json:"time"`
	Memory uint32    `json:"memory"`
	Set    time.Time `json:"set"`
	tries
}

type file struct {
	Version   int      `json:"version"`
	Operators []record `json:"operators"`
}

// Open reads who is known. Nobody is signed in. The error is that of the store, or
// [ErrStore].
func Open(cfg Config) (*Operators, error) {
	if cfg.Audit == nil {
		cfg.Audit = func(context.Context, ...audit.Entry) error { return nil }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.cost == (cost{}) {
		cfg.cost = defaultCost
	}
	o := &Operators{cfg: cfg, strange: make(map[string]tries)}
	if cfg.Store == nil {
		return o, nil
	}
	b, err := cfg.Store.Load()
	if err != nil || b == nil {
		return o, err
	}
	o.known, err = decode(b)
	return o, err
}

// decode reads what is stored.
func decode(b []byte) ([]record, error) {
	var f file
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil || d.More() || f.Version != 1 || len(f.Operators) > maxOperators {
		return nil, ErrStore
	}
	for i, r := range f.Operators {
		twice := slices.ContainsFunc(f.Operators[:i], func(o record) bool { return o.Name == r.Name })
		// Nobody who can write the file gains by a cost that stops the service.
		if !usable(r.Name) || twice || len(r.Salt) < 8 || len(r.Salt) > 64 || len(r.Hash) != hashSize ||
			r.Time == 0 || r.Time > 16 || r.Memory < 8 || r.Memory > 256<<10 || r.Fails < 0 {
			return nil, ErrStore
		}
	}
	return f.Operators, nil
}

const hashSize = 32

// Current returns the name of who is signed in, "" for nobody.
func (o *Operators) Current() string {
	if c := o.Operator(); c != nil {
		return c.Name
	}
	return ""
}

// Operator returns who is signed in and how; nil for nobody.
func (o *Operators) Operator() *wire.Operator {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current == nil || !o.until.IsZero() && !o.cfg.Now().Before(o.until) {
		return nil
	}
	c := *o.current
	return &c
}

// SignIn signs somebody in, in the place of whoever was. The errors are [ErrDenied],
// a [*WaitError], [ErrName], and those of the store and of the audit trail.
func (o *Operators) SignIn(ctx context.Context, in wire.SignIn) (wire.Operator, error) {
	name, err := readName(in.Name)
	if err != nil {
		return wire.Operator{}, err
	}
	o.trying.Lock()
	defer o.trying.Unlock()
	if err := ctx.Err(); err != nil {
		return wire.Operator{}, err
	}
	now := o.cfg.Now()
	r, tried := o.look(name)
	if r != nil {
		name = r.Name
	}
	if wait := waits(tried, now); wait > 0 {
		return wire.Operator{}, &WaitError{wait}
	}
	how := HowPIN
	switch {
	case in.PIN == "" && r == nil && o.cfg.Logins:
		how = HowLogin
	case in.PIN == "":
		return wire.Operator{}, ErrDenied // asks for nothing: no try
	default:
		// It is counted before it is looked at, so that to pull the plug gains nothing.
		if err := o.count(name, tries{tried.Fails + 1, now}); err != nil {
			return wire.Operator{}, err
		}
		if !o.right(r, in.PIN) {
			if err := o.cfg.Audit(ctx, audit.Entry{Actor: name, Action: Refused, Object: name}); err != nil {
				return wire.Operator{}, err
			}
			return wire.Operator{}, ErrDenied
		}
		if err := o.count(name, tries{}); err != nil {
			return wire.Operator{}, err
		}
	}
	entries := []audit.Entry{{Actor: name, Action: SignedIn, Object: name, Note: how}}
	if before := o.Current(); before != "" && before != name {
		entries = append([]audit.Entry{{Actor: name, Action: SignedOut, Object: before}}, entries...)
	}
	if err := o.cfg.Audit(ctx, entries...); err != nil {
		return wire.Operator{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.current, o.until = &wire.Operator{Name: name, How: how}, time.Time{}
	if o.cfg.Shift > 0 {
		o.until = now.Add(o.cfg.Shift)
	}
	return *o.current, nil
}

// SignOut signs out whoever is signed in. Nobody is no error.
func (o *Operators) SignOut(ctx context.Context) error {
	o.mu.Lock()
	was := o.current
	o.current = nil // whatever becomes of the trail
	o.mu.Unlock()
	if was == nil {
		return nil
	}
	return o.cfg.Audit(ctx, audit.Entry{Actor: was.Name, Action: SignedOut, Object: was.Name})
}

// Names returns who has a PIN, in order.
func (o *Operators) Names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	names := make([]string, 0, len(o.known))
	for _, r := range o.known {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return names
}

// SetPIN gives an operator a PIN, who may be new, and forgets the wrong ones. actor
// is who does that, for the audit trail. The errors are [ErrName], [ErrPIN],
// [ErrFull], and those of the store and of the audit trail.
func (o *Operators) SetPIN(ctx context.Context, actor, name, pin string) error {
	name, err := readName(name)
	switch {
	case err != nil:
		return err
	case !strong(pin):
		return ErrPIN
	}
	o.trying.Lock()
	defer o.trying.Unlock()
	r := record{Name: name, Salt: make([]byte, 16), Time: o.cfg.cost.time, Memory: o.cfg.cost.memory, Set: o.cfg.Now().UTC()}
	_, _ = rand.Read(r.Salt) // never fails
	r.Hash = hash(pin, r)
	return o.change(ctx, audit.Entry{Actor: actor, Action: Changed, Object: name, Note: "PIN set"}, func(list []record) ([]record, error) {
		i := find(list, name)
		switch {
		case i >= 0:
			r.Name = list[i].Name
			list[i] = r
		case len(list) >= maxOperators:
			return nil, ErrFull
		default:
			list = append(list, r)
		}
		return list, nil
	})
}

// Remove takes an operator out, and signs out who is signed in by that name. The
// errors are [ErrUnknown], and those of the store and of the audit trail.
func (o *Operators) Remove(ctx context.Context, actor, name string) error {
	o.trying.Lock()
	defer o.trying.Unlock()
	r, _ := o.look(name)
	if r == nil {
		return ErrUnknown
	}
	name = r.Name
	err := o.change(ctx, audit.Entry{Actor: actor, Action: Changed, Object: name, Note: "taken out"}, func(list []record) ([]record, error) {
		i := find(list, name)
		return slices.Delete(list, i, i+1), nil
	})
	if err == nil && o.Current() == name {
		err = o.SignOut(ctx)
	}
	return err
}

// change changes the list, on disk first. The caller holds trying.
func (o *Operators) change(ctx context.Context, e audit.Entry, f func([]record) ([]record, error)) error {
	o.mu.Lock()
	list := slices.Clone(o.known)
	o.mu.Unlock()
	list, err := f(list)
	if err != nil {
		return err
	}
	if o.cfg.Store == nil {
		return errors.New("operator: no store for PINs")
	}
	if err := o.cfg.Audit(ctx, e); err != nil {
		return err
	}
	return o.save(list)
}

func (o *Operators) save(list []record) error {
	b, err := json.Marshal(file{1, list})
	if err != nil {
		return err
	}
	if err := o.cfg.Store.Save(b); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known = list
	return nil
}

// look returns the record of a name, nil if nobody has it, and its wrong tries.
func (o *Operators) look(name string) (*record, tries) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := find(o.known, name); i >= 0 {
		r := o.known[i]
		return &r, r.tries
	}
	return nil, o.strange[same(name)]
}

// count notes the wrong tries of a name, on disk for those who exist.
func (o *Operators) count(name string, t tries) error {
	o.mu.Lock()
	list := slices.Clone(o.known)
	i := find(list, name)
	if i < 0 {
		if len(o.strange) >= maxOperators {
			clear(o.strange) // of names that open nothing
		}
		o.strange[same(name)] = t
	}
	o.mu.Unlock()
	if i < 0 {
		return nil
	}
	list[i].tries = t
	return o.save(list)
}

// waits returns for how long a name has to wait. A clock that was put back does not
// lengthen it beyond measure.
func waits(t tries, now time.Time) time.Duration {
	if t.Fails < freeTries {
		return 0
	}
	wait := longestWait
	if n := t.Fails - freeTries; n < 10 {
		wait = min(firstWait<<n, longestWait)
	}
	return min(wait-now.Sub(t.Last), wait)
}

// right reports whether a PIN is an operator's. For nobody it takes as long.
func (o *Operators) right(r *record, pin string) bool {
	dummy := record{Salt: make([]byte, 16), Time: o.cfg.cost.time, Memory: o.cfg.cost.memory, Hash: make([]byte, hashSize)}
	if len(pin) > 4*maxPIN {
		r = nil
		pin = ""
	}
	if r == nil {
		hash(pin, dummy)
		return false
	}
	return subtle.ConstantTimeCompare(hash(pin, *r), r.Hash) == 1
}

func hash(pin string, r record) []byte {
	return argon2.IDKey([]byte(pin), r.Salt, r.Time, r.Memory, 1, hashSize)
}

// strong reports whether a PIN is worth setting: of all PINs people choose one
// digit again and again, and counting up or down, far too often.
func strong(pin string) bool {
	n := utf8.RuneCountInString(pin)
	if !utf8.ValidString(pin) || n < minPIN || n > maxPIN {
		return false
	}
	runes := []rune(pin)
	for _, step := range []rune{0, 1, -1} {
		easy := true
		for i := 1; i < n; i++ {
			easy = easy && runes[i]-runes[i-1] == step
		}
		if easy {
			return false
		}
	}
	return true
}
