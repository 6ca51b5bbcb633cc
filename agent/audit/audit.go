// Package audit is the append-only record of what people did with personal data
// and with the agent: who looked at a visit, exported some, changed a policy.
//
// Each entry carries a MAC over itself and over the MAC of the entry before it,
// so one that was changed, moved or taken out shows in [Log.Verify], and so does
// an end that was cut off, because the last entry is written down a second time.
// Entries are sealed like everything else in the store, and name visits by their
// id: no entry holds a person's data.
//
// The first entry says that the store was begun ([TrailBegun]). It is written when
// the store is opened for the first time, before there is anything in it to look at,
// and sealed with its key. So a trail that was taken out as a whole shows as well:
// there is none then, and the store is no new one. The next one to open it notes
// that ([TrailMissing]) and goes on from there; Verify never calls such a trail
// sound again.
//
// What it gives: whoever copies, edits or restores the file without its key is
// found out. What it does not give: protection from somebody who has file and
// key, or puts back an older copy of the file, or an empty one that has lost the
// visits too. Against that only a place outside this machine helps, which is why
// [Summary.Head] is short enough to be sent.
package audit

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// Errors that callers branch on. Errors of the store come through as they are.
var (
	// ErrBroken reports a trail that is not as it was written. It is wrapped in a
	// [*BrokenError].
	ErrBroken = errors.New("audit: trail is broken")
	// ErrInvalid reports an entry without actor or action, or with a text that is
	// too long.
	ErrInvalid = errors.New("audit: invalid entry")
)

// A BrokenError says where a trail is broken.
type BrokenError struct {
	Seq uint64 // the first entry that is not as it was written
	Why string // "changed", "missing", "moved", "cut off", "unreadable" or "no beginning"
}

// Error names the place and nothing of what stands there.
func (e *BrokenError) Error() string { return fmt.Sprintf("audit: entry %d is %s", e.Seq, e.Why) }

// Is makes every BrokenError an [ErrBroken].
func (e *BrokenError) Is(target error) bool { return target == ErrBroken }

// An Action is what somebody did. The set is closed; names are part of the
// trail's format.
type Action string

// The actions.
const (
	TrailBegun      Action = "trail_begun"      // the store was opened for the first time; always the first entry
	TrailMissing    Action = "trail_missing"    // the store had data and no trail; the first entry in place of that
	VisitShown      Action = "visit_shown"      // a person's data was shown
	VisitExported   Action = "visit_exported"   // a visit left the store in a file
	VisitRequeued   Action = "visit_requeued"   // a visit was put back to be sent again
	PolicyChanged   Action = "policy_changed"   //
	ConfigChanged   Action = "config_changed"   //
	TokenApproved   Action = "token_approved"   // a hospital system may call
	TokenRevoked    Action = "token_revoked"    //
	AgentEnrolled   Action = "agent_enrolled"   //
	KeyRotated      Action = "key_rotated"      //
	DataErased      Action = "data_erased"      // personal data past its time, or the key to all of it
	BundleRefused   Action = "bundle_refused"   // a signed list did not hold
	BundleInstalled Action = "bundle_installed" //
	BundleKeyRolled Action = "bundle_key"       // the insurer signs its lists with another key from now on
)

// An Entry is one line of the trail.
type Entry struct {
	Seq    uint64    `json:"seq"`              // set by Append: from 1, without gaps
	At     time.Time `json:"at"`               // set by Append: this machine's clock, UTC
	Actor  string    `json:"actor"`            // login name of the operator, or of the service
	Action Action    `json:"action"`           //
	Object string    `json:"object,omitempty"` // what it was done to: a visit's id, a key of the configuration
	Note   string    `json:"note,omitempty"`   // how: "rejected, 12 visits"; never a person's data
}

// maxText bounds each text of an entry, in bytes.
const maxText = 256

// record is an entry as it is sealed.
type record struct {
	Entry
	MAC []byte `json:"mac"` // over the entry and the MAC before it
}

// head is the last entry once more.
type head struct {
	Seq uint64 `json:"seq"`
	MAC []byte `json:"mac"`
}

// The bucket holds seq (8 bytes, big endian) -> sealed record, and headKey ->
// sealed head.
var (
	bucket  = []byte("audit")
	headKey = []byte("head")
)

const (
	placeEntry = "audit/entry"
	placeHead  = "audit/head"
	placeMAC   = "audit/mac"
)

// A Log is the trail in one store. It may be used concurrently.
type Log struct {
	st   *store.Store
	seal *seal.Sealer
	now  func() time.Time
}

// New returns the trail in a store, which stays the caller's. A nil now is
// time.Now.
func New(st *store.Store, sealer *seal.Sealer, now func() time.Time) *Log {
	if now == nil {
		now = time.Now
	}
	return &Log{st, sealer, now}
}

// beginner is who begins a trail.
const beginner = "agent"

// Begin makes sure that the trail has its first entry. It is to be called whenever
// the store has been opened, before anything is put into it. A store that has data
// and no trail gets [TrailMissing], which is not an error: the agent goes on, and
// [Log.Verify] reports it from then on.
func (l *Log) Begin(ctx context.Context) error {
	begun := false
	err := l.st.View(func(tx *bbolt.Tx) error {
		begun = !empty(tx.Bucket(bucket))
		return ctx.Err()
	})
	if err != nil || begun {
		return err
	}
	return l.append(ctx, nil)
}

// empty reports whether a bucket has nothing in it. It may be nil.
func empty(b *bbolt.Bucket) bool {
	if b == nil {
		return true
	}
	k, _ := b.Cursor().First()
	return k == nil
}

// used reports whether there is anything in the store: a value in a bucket of any
// package. The store's own bucket does not count. Of the cache of answers only what is
// beside its buckets does: those may be damaged, and are read once they were checked.
func used(tx *bbolt.Tx) bool {
	var any func(b *bbolt.Bucket) bool
	any = func(b *bbolt.Bucket) bool {
		if b.Sequence() > 0 {
			return true
		}
		c := b.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if v != nil || any(b.Bucket(k)) {
				return true
			}
		}
		return false
	}
	c := tx.Cursor()
	for name, _ := c.First(); name != nil; name, _ = c.Next() {
		switch {
		case string(name) == "meta", bytes.Equal(name, bucket):
		case bytes.Equal(name, store.LookupBucket):
			c := tx.Bucket(name).Cursor()
			for k, v := c.First(); k != nil; k, v = c.Next() {
				if v != nil {
					return true
				}
			}
		case any(tx.Bucket(name)):
			return true
		}
	}
	return false
}

// Append writes entries, all or none, and returns when they are on disk. Do what
// they tell of afterwards: an act that is written down and was then prevented does
// no harm, the other way round does.
//
// An end of the trail that cannot be read is [ErrBroken]: the act should not
// happen unseen.
func (l *Log) Append(ctx context.Context, entries ...Entry) error {
	for _, e := range entries {
		if e.Actor == "" || e.Action == "" || e.Action == TrailBegun || e.Action == TrailMissing {
			return ErrInvalid
		}
		for _, s := range []string{e.Actor, string(e.Action), e.Object, e.Note} {
			if len(s) > maxText || !utf8.ValidString(s) {
				return ErrInvalid
			}
		}
	}
	if len(entries) == 0 {
		return ctx.Err()
	}
	return l.append(ctx, entries)
}

// append writes entries, and before them the first one of the trail if it has none.
func (l *Log) append(ctx context.Context, entries []Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.st.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucket)
		if err != nil {
			return err
		}
		h, err := l.head(b)
		if err != nil {
			return err
		}
		if h.Seq == 0 {
			id := l.seal.KeyID()
			first := Entry{Actor: beginner, Action: TrailBegun, Object: hex.EncodeToString(id[:])}
			if used(tx) {
				first.Action = TrailMissing
			}
			entries = slices.Insert(slices.Clone(entries), 0, first)
		}
		b.FillPercent = 0.95 // keys only grow
		for _, e := range entries {
			h.Seq++
			e.Seq, e.At = h.Seq, l.now().UTC().Truncate(time.Millisecond)
			h.MAC = l.mac(h.MAC, e)
			if err := l.put(b, seqKey(e.Seq), placeEntry, record{e, h.MAC}); err != nil {
				return err
			}
		}
		return l.put(b, headKey, placeHead, h)
	})
}

// List returns up to n entries after the given one, oldest first; 0 is before the
// first. It does not follow the chain, see [Log.Verify]; an entry that cannot be
// opened ends the list with [ErrBroken], together with those before it.
func (l *Log) List(ctx context.Context, after uint64, n int) ([]Entry, error) {
	var entries []Entry
	err := l.st.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, v := c.Seek(seqKey(after + 1)); k != nil && len(entries) < n; k, v = c.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if len(k) != seqSize {
				continue // the head
			}
			r, err := l.open(k, v)
			if err != nil {
				return err
			}
			entries = append(entries, r.Entry)
		}
		return nil
	})
	return entries, err
}

// Summary is what a sound trail comes to.
type Summary struct {
	Entries     uint64
	First, Last time.Time // of the first and last entry
	// Head stands for the whole trail: 16 hexadecimal digits of the last MAC. The
	// same trail has the same head; whoever noted it before sees whether the trail
	// was put back to an older state, by number and head.
	Head string
}

// Verify reads the whole trail and returns [ErrBroken] with the first place where
// it is not as it was written. A trail that is not there, because nobody called
// [Log.Begin] or because it was taken out, is "missing".
func (l *Log) Verify(ctx context.Context) (Summary, error) {
	var s Summary
	err := l.st.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		if empty(b) {
			return &BrokenError{1, "missing"}
		}
		h, err := l.head(b)
		if err != nil {
			return err
		}
		var last []byte
		c := b.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if len(k) != seqSize {
				continue
			}
			s.Entries++
			if binary.BigEndian.Uint64(k) != s.Entries {
				return &BrokenError{s.Entries, "missing"}
			}
			r, err := l.open(k, v)
			if err != nil {
				return err
			}
			want := l.mac(last, r.Entry)
			if subtle.ConstantTimeCompare(want, r.MAC) != 1 {
				return &BrokenError{s.Entries, "changed"}
			}
			last = want
			if s.Entries == 1 {
				s.First = r.At
				switch r.Action {
				case TrailBegun:
				case TrailMissing:
					return &BrokenError{1, "missing"}
				default:
					return &BrokenError{1, "no beginning"}
				}
			}
			s.Last = r.At
		}
		if s.Entries == 0 || h.Seq != s.Entries || subtle.ConstantTimeCompare(h.MAC, last) != 1 {
			return &BrokenError{min(h.Seq, s.Entries) + 1, "cut off"}
		}
		s.Head = hex.EncodeToString(last[:8])
		return nil
	})
	if err != nil {
		return Summary{}, err
	}
	return s, nil
}

// head reads the last entry's number and MAC. A trail that has entries and no
// head was tampered with.
func (l *Log) head(b *bbolt.Bucket) (head, error) {
	sealed := b.Get(headKey)
	if sealed == nil {
		if k, _ := b.Cursor().First(); k != nil {
			var seq uint64
			if len(k) == seqSize {
				seq = binary.BigEndian.Uint64(k)
			}
			return head{}, &BrokenError{seq, "cut off"}
		}
		return head{}, nil
	}
	var h head
	plain, err := l.seal.Open(placeHead, headKey, sealed)
	if err != nil || json.Unmarshal(plain, &h) != nil {
		return head{}, &BrokenError{0, "unreadable"}
	}
	return h, nil
}

func (l *Log) open(k, sealed []byte) (record, error) {
	var r record
	seq := binary.BigEndian.Uint64(k)
	plain, err := l.seal.Open(placeEntry, k, sealed)
	if err != nil || json.Unmarshal(plain, &r) != nil {
		return record{}, &BrokenError{seq, "unreadable"}
	}
	if r.Seq != seq {
		return record{}, &BrokenError{seq, "moved"}
	}
	return r, nil
}

func (l *Log) put(b *bbolt.Bucket, key []byte, place string, v any) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return b.Put(key, l.seal.Seal(place, key, plain))
}

// mac is over the MAC before and every field of the entry.
func (l *Log) mac(before []byte, e Entry) []byte {
	return l.seal.Index(placeMAC, before, seqKey(e.Seq), binary.BigEndian.AppendUint64(nil, uint64(e.At.UnixMilli())),
		[]byte(e.Actor), []byte(e.Action), []byte(e.Object), []byte(e.Note))
}

const seqSize = 8

func seqKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
