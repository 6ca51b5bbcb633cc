// Package bundle keeps the insurer's signed lists on this machine: the people who
// are registered at the facility, so that a station without a link can answer for
// somebody who comes for the first time, and the certificates that documents are
// verified with.
//
// A list is fetched part by part, and a fetch that was interrupted goes on where
// it stopped, also after a restart. It takes the place of the older one in a
// single transaction, when its manifest's signature is that of the pinned key (which
// the insurer may have rolled, see [HeaderRoll]), it
// is for this facility, it is newer, and every part has the signed hash. What
// fails any of that is refused, for good, and shown in [State.Refused]; the old
// list stays.
//
// People are sealed at rest and filed under HMACs of their numbers (package seal),
// so a list is worth nothing without the agent's key. In clear are only sizes and
// numbers of entries.
//
// Layout, inside the bucket "bundle" of the store, kind by kind:
//
//	state     kind                -> sealed state record
//	          "pinned"            -> sealed record of the key that is believed
//	pending   kind, 00, part (4)  -> sealed bytes of a part that was fetched
//	people    HMAC(number)        -> sealed [contract.Registered]; who has no
//	                                 personal number lies under that of the card
//	cards     HMAC(card number)   -> key in people
//	pieces    SHA-256(DER)        -> sealed DER
package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// Why a bundle was refused. Errors of the store and of the fetcher come through as
// they are; they say that it may work another time, these do not.
var (
	// ErrSignature: the manifest is not signed by the pinned key.
	ErrSignature = errors.New("bundle: not signed by the pinned key")
	// ErrMalformed: what is signed cannot be read.
	ErrMalformed = errors.New("bundle: malformed")
	// ErrForeign: it is of another kind or for another facility.
	ErrForeign = errors.New("bundle: for another facility")
	// ErrOlder: its serial number is not above that of what is installed.
	ErrOlder = errors.New("bundle: not newer than what is installed")
	// ErrBase: it is the difference to something that is not installed here.
	ErrBase = errors.New("bundle: difference to another list")
	// ErrFuture: it was made in the future of this machine's clock.
	ErrFuture = errors.New("bundle: made in the future")
	// ErrPart: a part is not what the manifest says, or the whole does not have as
	// many entries.
	ErrPart = errors.New("bundle: a part is not the one that was signed")
)

// ErrCurrent is what a [Fetcher] returns when there is nothing newer.
var ErrCurrent = errors.New("bundle: nothing newer")

// refusals are the errors that say something of the bundle itself.
var refusals = []error{ErrSignature, ErrMalformed, ErrForeign, ErrOlder, ErrBase, ErrFuture, ErrPart}

// Refused reports whether err says that a bundle was refused, and which of the
// errors of this package it is.
func Refused(err error) (why error, refused bool) {
	for _, why := range refusals {
		if errors.Is(err, why) {
			return why, true
		}
	}
	return nil, false
}

// maxSkew is by how much a list may be of tomorrow: the insurer's clock and ours
// are two, and ours may be the wrong one by more than that; then the list waits
// until the clock is right.
const maxSkew = 24 * time.Hour

// A Fetcher gets bundles from the central service.
type Fetcher interface {
	// Manifest returns the newest manifest for who has the serial number have (0:
	// nothing), as it was signed, or [ErrCurrent].
	Manifest(ctx context.Context, kind contract.BundleKind, have int64) (headers map[string][]string, payload []byte, err error)
	// Part returns one part, from 0.
	Part(ctx context.Context, kind contract.BundleKind, serial, base int64, part int) ([]byte, error)
}

// Config says what a [Keeper] works with. All but Now are required.
type Config struct {
	Store    *store.Store
	Sealer   *seal.Sealer
	Fetcher  Fetcher
	Facility string
	// Key is the insurer's public bundle key, pinned at enrolment. The key that is
	// believed may be a later one, see [HeaderRoll] and [State.Key].
	Key string
	Now func() time.Time // nil: time.Now
}

// State is what is known of the bundle of one kind. The zero value is none.
type State struct {
	Serial      int64     `json:"serial,omitempty"`
	IssuedAt    time.Time `json:"issuedAt,omitzero"`    // when the insurer made it
	InstalledAt time.Time `json:"installedAt,omitzero"` // this machine's clock
	CheckedAt   time.Time `json:"checkedAt,omitzero"`   // when the central service last said what is newest
	Entries     int       `json:"entries,omitempty"`
	// Refused is why the last one was refused, in the words of this package's
	// errors; empty since one was installed.
	Refused   string    `json:"refused,omitempty"`
	RefusedAt time.Time `json:"refusedAt,omitzero"`

	Key     string         `json:"key,omitempty"` // the insurer's that is pinned: another enrolment makes a list void
	Pending *pendingBundle `json:"pending,omitempty"`
}

// Installed reports whether there is a bundle.
func (s State) Installed() bool { return s.Serial > 0 }

// Age is how old the insurer's word is; 0 without one, or when this machine's clock
// is behind.
func (s State) Age(now time.Time) time.Duration {
	if !s.Installed() {
		return 0
	}
	return max(0, now.Sub(s.IssuedAt))
}

// pendingBundle is a manifest whose parts are being fetched.
type pendingBundle struct {
	Headers map[string][]string `json:"headers"`
	Payload []byte              `json:"payload"`
}

// Keeper keeps the bundles of one agent. It may be used concurrently.
type Keeper struct {
	c  Config
	mu sync.Mutex // one Update at a time
}

var (
	topBucket     = []byte("bundle")
	stateBucket   = []byte("state")
	pendingBucket = []byte("pending")
	peopleBucket  = []byte("people")
	cardsBucket   = []byte("cards")
	piecesBucket  = []byte("pieces")
)

const (
	placeState   = "bundle/state"
	placePending = "bundle/pending"
	placePeople  = "bundle/people"
	placeInsured = "bundle/insured"
	placePieces  = "bundle/pieces"
)

// Open returns a Keeper on a store. It ties the store to the sealer's key and
// returns store.ErrWrongKey when that is another one.
func Open(c Config) (*Keeper, error) {
	if c.Store == nil || c.Sealer == nil || c.Fetcher == nil || contract.CheckFacility(c.Facility) != nil || contract.CheckAgent(c.Key) != nil {
		return nil, errors.New("bundle: store, sealer, fetcher, facility and key are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := c.Store.Bind(c.Sealer.KeyID()); err != nil {
		return nil, err
	}
	if err := makeBuckets(c.Store); err != nil {
		return nil, err
	}
	return &Keeper{c: c}, nil
}

var buckets = [][]byte{stateBucket, pendingBucket, peopleBucket, cardsBucket, piecesBucket}

func makeBuckets(st *store.Store) error {
	err := st.Update(func(tx *bbolt.Tx) error {
		top, err := tx.CreateBucketIfNotExists(topBucket)
		if err != nil {
			return err
		}
		for _, name := range buckets {
			if _, err := top.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}

// State returns what is known of the bundle of a kind. One that another key than
// the pinned one signed is none.
func (k *Keeper) State(kind contract.BundleKind) (State, error) {
	var s State
	err := k.c.Store.View(func(tx *bbolt.Tx) error {
		s = k.state(tx.Bucket(topBucket), kind)
		return nil
	})
	return s, err
}

// state reads the record of a kind. One that cannot be read is none: the bundle
// will be fetched again.
func (k *Keeper) state(top *bbolt.Bucket, kind contract.BundleKind) State {
	key := []byte(kind)
	plain, err := k.c.Sealer.Open(placeState, key, top.Bucket(stateBucket).Get(key))
	var s State
	if pinned := k.pinned(top); err != nil || json.Unmarshal(plain, &s) != nil || s.Key != pinned {
		return State{Key: pinned}
	}
	return s
}

func (k *Keeper) setState(top *bbolt.Bucket, kind contract.BundleKind, s State) error {
	plain, err := json.Marshal(s)
	if err != nil {
		return err
	}
	key := []byte(kind)
	return top.Bucket(stateBucket).Put(key, k.c.Sealer.Seal(placeState, key, plain))
}

// Update asks for the newest bundle of a kind, fetches what of it is missing, and
// installs it. It returns true when something new was installed, and false with a
// nil error when there was nothing newer. A refusal is one of this package's
// errors ([Refused]); anything else may work another time, and the parts that have
// arrived are not fetched again.
func (k *Keeper) Update(ctx context.Context, kind contract.BundleKind) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.State(kind)
	if err != nil {
		return false, err
	}
	headers, payload, err := k.c.Fetcher.Manifest(ctx, kind, s.Serial)
	if errors.Is(err, ErrCurrent) {
		return false, k.change(kind, func(_ *bbolt.Bucket, s *State) error {
			s.CheckedAt = k.now()
			return nil
		})
	}
	if err != nil {
		return false, err
	}
	if err := k.follow(headers, payload); err != nil {
		return false, err
	}
	if s, err = k.State(kind); err != nil {
		return false, err
	}
	b, err := k.open(kind, s, headers, payload)
	if err == nil {
		if err = k.begin(kind, headers, payload); err == nil {
			err = k.fetch(ctx, kind, b)
		}
		if err == nil {
			err = k.install(kind, b)
		}
	}
	if why, refused := Refused(err); refused {
		return false, errors.Join(err, k.refuse(kind, why))
	}
	return err == nil, err
}

// open decides whether a manifest may be fetched.
func (k *Keeper) open(kind contract.BundleKind, s State, headers map[string][]string, payload []byte) (contract.Bundle, error) {
	b, err := contract.OpenBundle(s.Key, headers, payload)
	switch {
	case errors.Is(err, contract.BadSignature):
		return b, ErrSignature
	case err != nil:
		return b, fmt.Errorf("%w: %w", ErrMalformed, err)
	case b.Kind != kind || kind == contract.BundlePopulation && b.Facility != k.c.Facility:
		return b, ErrForeign
	case b.Serial <= s.Serial:
		return b, ErrOlder
	case b.Base != 0 && b.Base != s.Serial:
		return b, ErrBase
	case b.IssuedAt.After(k.now().Add(maxSkew)):
		return b, ErrFuture
	}
	return b, nil
}

// begin notes a manifest before its parts are fetched, and forgets the parts of
// another one.
func (k *Keeper) begin(kind contract.BundleKind, headers map[string][]string, payload []byte) error {
	return k.change(kind, func(top *bbolt.Bucket, s *State) error {
		s.CheckedAt = k.now()
		if p := s.Pending; p != nil && string(p.Payload) == string(payload) {
			return nil
		}
		s.Pending = &pendingBundle{headers, payload}
		return clearPending(top, kind)
	})
}

// fetch gets the parts that are not there yet, one at a time, so that a slow link
// stays free for lookups and visits in between.
func (k *Keeper) fetch(ctx context.Context, kind contract.BundleKind, b contract.Bundle) error {
	for i, part := range b.Parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		have := false
		err := k.c.Store.View(func(tx *bbolt.Tx) error {
			have = k.part(tx.Bucket(topBucket), kind, i, part) != nil
			return nil
		})
		if err != nil {
			return err
		}
		if have {
			continue
		}
		content, err := k.c.Fetcher.Part(ctx, kind, b.Serial, b.Base, i)
		if err != nil {
			return err
		}
		if !part.Matches(content) {
			return ErrPart
		}
		key := pendingKey(kind, i)
		sealed := k.c.Sealer.Seal(placePending, key, content)
		err = k.c.Store.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket(topBucket).Bucket(pendingBucket).Put(key, sealed)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// part returns a part that was fetched; nil when it was not, or is damaged.
func (k *Keeper) part(top *bbolt.Bucket, kind contract.BundleKind, i int, want contract.BundlePart) []byte {
	key := pendingKey(kind, i)
	content, err := k.c.Sealer.Open(placePending, key, top.Bucket(pendingBucket).Get(key))
	if err != nil || !want.Matches(content) {
		return nil
	}
	return content
}

// install puts the new list in the place of the old one, all or nothing.
func (k *Keeper) install(kind contract.BundleKind, b contract.Bundle) error {
	var people []registered
	if kind == contract.BundlePopulation {
		// What takes time is done before the transaction: a visit may be waiting to
		// be recorded.
		var err error
		if people, err = k.prepare(b); err != nil {
			return err
		}
	}
	return k.change(kind, func(top *bbolt.Bucket, s *State) error {
		entries := 0
		if b.Base != 0 {
			entries = s.Entries
		}
		var err error
		switch kind {
		case contract.BundlePopulation:
			entries, err = k.installPeople(top, b, people, entries)
		case contract.BundleTrust:
			entries, err = k.installPieces(top, b, entries)
		default:
			err = ErrForeign
		}
		if err != nil {
			return err
		}
		if entries != b.Entries {
			return ErrPart
		}
		now := k.now()
		*s = State{Serial: b.Serial, IssuedAt: b.IssuedAt, InstalledAt: now, CheckedAt: now, Entries: entries, Key: s.Key}
		return clearPending(top, kind)
	})
}

// parts gives each part to fn, in order.
func (k *Keeper) parts(top *bbolt.Bucket, b contract.Bundle, fn func(content []byte) error) error {
	for i, part := range b.Parts {
		content := k.part(top, b.Kind, i, part)
		if content == nil {
			return errPartGone
		}
		if err := fn(content); err != nil {
			return err
		}
	}
	return nil
}

// errPartGone reports a part that the disk has lost since it was fetched. The next
// Update fetches it again.
var errPartGone = errors.New("bundle: a part is gone")

// renew empties a bucket when a whole list is to be installed.
func renew(top *bbolt.Bucket, name []byte, b contract.Bundle) (*bbolt.Bucket, error) {
	if b.Base != 0 {
		return top.Bucket(name), nil
	}
	if err := top.DeleteBucket(name); err != nil {
		return nil, err
	}
	return top.CreateBucket(name)
}

// registered is a person of a list as they are stored.
type registered struct {
	key    []byte // HMAC of the personal number, or of the card's for who has none
	card   []byte // HMAC of the card's number; nil without one
	sealed []byte // nil: removed
}

// prepare reads and seals the people of a bundle, in the order of their keys if it
// is a whole list.
func (k *Keeper) prepare(b contract.Bundle) ([]registered, error) {
	var all []registered
	err := k.c.Store.View(func(tx *bbolt.Tx) error {
		return k.parts(tx.Bucket(topBucket), b, func(content []byte) error {
			part, err := contract.DecodePopulationPart(content)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrMalformed, err)
			}
			for _, r := range part.People {
				p := registered{key: k.index(placePeople, r.Number), card: k.index(placeInsured, r.InsuranceNumber)}
				if p.key == nil {
					p.key = p.card
				}
				switch {
				case !r.Removed:
					plain, err := json.Marshal(r)
					if err != nil {
						return err
					}
					p.sealed = k.c.Sealer.Seal(placePeople, p.key, plain)
				case b.Base == 0:
					return fmt.Errorf("%w: somebody is removed from a whole list", ErrMalformed)
				}
				all = append(all, p)
			}
			return nil
		})
	})
	if err == nil && b.Base == 0 {
		slices.SortFunc(all, func(a, b registered) int { return bytes.Compare(a.key, b.key) })
	}
	return all, err
}

// installPeople returns how many people there are then. Whoever is twice in a
// whole list, or whose card is, shows in the number.
func (k *Keeper) installPeople(top *bbolt.Bucket, b contract.Bundle, list []registered, n int) (int, error) {
	people, err := renew(top, peopleBucket, b)
	if err != nil {
		return 0, err
	}
	cards, err := renew(top, cardsBucket, b)
	if err != nil {
		return 0, err
	}
	for _, r := range list {
		gone, err := k.forget(people, cards, r)
		if err != nil {
			return 0, err
		}
		n -= gone
		if r.sealed == nil {
			continue
		}
		n++
		if err := people.Put(r.key, r.sealed); err != nil {
			return 0, err
		}
		if r.card != nil {
			if err := cards.Put(r.card, r.key); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// forget takes out who is known under either number of r, with the numbers that
// they had, and returns how many people that were: two, when a card has changed
// hands.
func (k *Keeper) forget(people, cards *bbolt.Bucket, r registered) (int, error) {
	n := 0
	drop := func(key []byte) error {
		was, ok := k.registered(people, key)
		if people.Get(key) == nil {
			return nil
		}
		n++
		if card := k.index(placeInsured, was.InsuranceNumber); ok && card != nil {
			if err := cards.Delete(card); err != nil {
				return err
			}
		}
		return people.Delete(key)
	}
	if err := drop(r.key); err != nil {
		return 0, err
	}
	if owner := cards.Get(r.card); r.card != nil && owner != nil {
		if err := drop(bytes.Clone(owner)); err != nil {
			return 0, err
		}
		return n, cards.Delete(r.card)
	}
	return n, nil
}

func (k *Keeper) installPieces(top *bbolt.Bucket, b contract.Bundle, before int) (int, error) {
	pieces, err := renew(top, piecesBucket, b)
	if err != nil {
		return 0, err
	}
	n := before
	err = k.parts(top, b, func(content []byte) error {
		part, err := contract.DecodeTrustPart(content)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		for _, p := range part.Pieces {
			sum := sha256.Sum256(p.DER)
			key := sum[:]
			had := pieces.Get(key) != nil
			switch {
			case p.Removed && b.Base == 0:
				return fmt.Errorf("%w: something is removed from a whole list", ErrMalformed)
			case p.Removed && had:
				n--
				err = pieces.Delete(key)
			case !p.Removed && !had:
				n++
				err = pieces.Put(key, k.c.Sealer.Seal(placePieces, key, p.DER))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// refuse notes why a bundle was refused, and forgets what was fetched of it.
func (k *Keeper) refuse(kind contract.BundleKind, why error) error {
	return k.change(kind, func(top *bbolt.Bucket, s *State) error {
		s.Refused, s.RefusedAt, s.Pending = why.Error(), k.now(), nil
		return clearPending(top, kind)
	})
}

// change changes the record of a kind, in one transaction with what fn does.
func (k *Keeper) change(kind contract.BundleKind, fn func(top *bbolt.Bucket, s *State) error) error {
	return k.c.Store.Update(func(tx *bbolt.Tx) error {
		top := tx.Bucket(topBucket)
		s := k.state(top, kind)
		if err := fn(top, &s); err != nil {
			return err
		}
		return k.setState(top, kind, s)
	})
}

// Find returns the person who is registered here under a personal number or, when
// that is empty or unknown, under that of an insurance card, with the state of the
// list. The result is the caller's; false means that the list does not have the
// person, or that there is no list.
func (k *Keeper) Find(number, card string) (contract.Registered, State, bool) {
	var r contract.Registered
	var s State
	var ok bool
	err := k.c.Store.View(func(tx *bbolt.Tx) error {
		top := tx.Bucket(topBucket)
		if s = k.state(top, contract.BundlePopulation); !s.Installed() {
			return nil
		}
		people := top.Bucket(peopleBucket)
		if key := k.index(placePeople, number); key != nil {
			r, ok = k.registered(people, key)
		}
		if key := k.index(placeInsured, card); key != nil && !ok {
			if owner := top.Bucket(cardsBucket).Get(key); owner != nil {
				r, ok = k.registered(people, owner)
			}
		}
		return nil
	})
	if err != nil || !ok {
		return contract.Registered{}, State{}, false
	}
	return r, s, true
}

// Pieces returns the certificates and revocation lists of the trust bundle, with
// the state of the list. The slices are the caller's.
func (k *Keeper) Pieces(ctx context.Context) ([][]byte, State, error) {
	var all [][]byte
	var s State
	err := k.c.Store.View(func(tx *bbolt.Tx) error {
		top := tx.Bucket(topBucket)
		if s = k.state(top, contract.BundleTrust); !s.Installed() {
			return nil
		}
		return top.Bucket(piecesBucket).ForEach(func(key, sealed []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			der, err := k.c.Sealer.Open(placePieces, key, sealed)
			if err != nil {
				return fmt.Errorf("bundle: a certificate: %w", err)
			}
			all = append(all, der)
			return nil
		})
	})
	if err != nil {
		return nil, State{}, err
	}
	return all, s, nil
}

// index is where a number is filed; nil for none.
func (k *Keeper) index(place, number string) []byte {
	if number == "" {
		return nil
	}
	return k.c.Sealer.Index(place, []byte(number))
}

// registered opens a person's record. One that cannot be opened is none.
func (k *Keeper) registered(people *bbolt.Bucket, key []byte) (contract.Registered, bool) {
	var r contract.Registered
	plain, err := k.c.Sealer.Open(placePeople, key, people.Get(key))
	if err != nil || json.Unmarshal(plain, &r) != nil {
		return contract.Registered{}, false
	}
	return r, true
}

func (k *Keeper) now() time.Time { return k.c.Now().UTC().Round(0) }

// pendingKey is where a part lies that was fetched.
func pendingKey(kind contract.BundleKind, part int) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(kind), 0), uint32(part))
}

func clearPending(top *bbolt.Bucket, kind contract.BundleKind) error {
	b := top.Bucket(pendingBucket)
	prefix := append([]byte(kind), 0)
	var keys [][]byte
	c := b.Cursor()
	for key, _ := c.Seek(prefix); key != nil && len(key) > len(prefix) && string(key[:len(prefix)]) == string(prefix); key, _ = c.Next() {
		keys = append(keys, append([]byte(nil), key...))
	}
	for _, key := range keys {
		if err := b.Delete(key); err != nil {
			return err
		}
	}
	return nil
}
