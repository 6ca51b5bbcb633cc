// Package outbox is the queue in which visits wait until the insurer has
// answered for them. It is what "recorded" means on the desk: [Queue.Put]
// returns after the visit is on disk, and an entry leaves the queue only by a
// verdict.
//
//	queued ──PubAck──▶ stored ──verdict──▶ accepted | rejected
//
// Delivery is at least once: an entry whose acknowledgement was lost in a crash
// is published again, under the same id, and the central service counts it
// once. Order is the order of Put, per file and so per agent.
//
// Payloads, headers, ids and verdicts are sealed (package seal); what is looked
// up by id is filed under an HMAC. In clear are sequence numbers, times, sizes
// and states.
//
// Layout, inside the bucket "outbox" of the store, with s for the eight-byte
// big-endian sequence number and t for milliseconds since 1970 likewise:
//
//	log       s          -> sealed entry, never rewritten
//	info      s          -> sealed state record; absent while nothing happened yet
//	ids       HMAC(id)   -> s, HMAC(subject, payload)
//	queued    s          -> t of recording      | an entry is in exactly
//	stored    s          -> t of the PubAck     | one of these four
//	rejected  s          -> t of the verdict    |
//	accepted  t, s       -> nothing             |
//
// An entry that cannot be opened (a damaged disk, which bbolt cannot tell from
// good data) is skipped by [Queue.Next] and shown as damaged by [Queue.List];
// it never stops those behind it. One whose state cannot be found is [Lost]:
// never taken for accepted. One whose id leads elsewhere, which is filed in clear,
// is sent but gets no verdict, and neither does the entry there in its stead.
package outbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// Errors that callers branch on. Errors of the store (store.ErrFull and the
// others) come through as they are.
var (
	// ErrConflict reports a Put with an id that another payload or subject has.
	ErrConflict = errors.New("outbox: another entry has this id")
	// ErrInvalid reports an entry or acknowledgement that misses something or
	// is too large.
	ErrInvalid = errors.New("outbox: invalid argument")
	// ErrNotFound reports an id that is not in the queue.
	ErrNotFound = errors.New("outbox: no such entry")
	// ErrFinal reports an attempt to send an accepted entry again.
	ErrFinal = errors.New("outbox: entry is accepted")
	// ErrDamaged reports an entry that cannot be opened, or not found by its id.
	ErrDamaged = errors.New("outbox: entry is damaged")
)

// Limits.
const (
	maxID      = 128
	maxSubject = 256
	maxHeader  = 4 << 10
	// maxBatch bounds the bytes that one call of Next or List opens.
	maxBatch = 4 << 20
	// full is how far a page is filled whose keys only grow.
	full = 0.95
	// checkBatch is how many entries Damaged opens in one transaction: a long one
	// would keep a Put waiting.
	checkBatch = 100
)

// State is where an entry stands. The zero value is no state.
type State uint8

// The states.
const (
	Queued   State = iota + 1 // on this machine only
	Stored                    // in the central service's stream, without a verdict
	Accepted                  // final
	Rejected                  // waits for a person; may still be accepted, or sent again
	Lost                      // a damaged disk: nobody knows; send it again
)

var stateNames = [...]string{"none", "queued", "stored", "accepted", "rejected", "lost"}

// String returns the state's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("outbox.State(%d)", uint8(s))
}

// MarshalText implements [encoding.TextMarshaler].
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It leaves s alone when
// the text names no state.
func (s *State) UnmarshalText(text []byte) error {
	if i := slices.Index(stateNames[:], string(text)); i > 0 {
		*s = State(i)
		return nil
	}
	return ErrInvalid
}

// Entry is a message that waits to be published: exactly these bytes, to this
// subject, with these headers.
type Entry struct {
	ID         string // the visit's id: also Nats-Msg-Id
	Subject    string
	Header     map[string][]string
	Payload    []byte
	Seq        uint64    // set by the queue: place in the order, from 1
	RecordedAt time.Time // set by the queue: when Put returned, this machine's clock
}

// Item tells how an entry stands, without its payload.
type Item struct {
	Seq        uint64
	ID         string // "" when it cannot be opened
	Subject    string
	RecordedAt time.Time
	Size       int // bytes of the payload; 0 when it was purged or is damaged
	State      State
	Stream     string // where it is stored; "" before
	StreamSeq  uint64
	StoredAt   time.Time
	Verdict    *contract.Verdict // the last one; nil before
	VerdictAt  time.Time         // when it arrived, this machine's clock
	Damaged    bool              // the entry cannot be opened or found by its id, or its state is [Lost]
}

// Ack is JetStream's acknowledgement of one entry.
type Ack struct {
	ID     string
	Stream string
	Seq    uint64
}

// Stats counts the entries by state.
type Stats struct {
	Queued, Stored, Accepted, Rejected int
	Oldest                             time.Time // when the oldest queued entry was recorded; zero without one
}

// Options tune a Queue. The zero value, or nil, is right for the agent.
type Options struct {
	Now func() time.Time // nil: time.Now
}

// Queue is the outbox of one agent. It may be used concurrently.
type Queue struct {
	st   *store.Store
	seal *seal.Sealer
	now  func() time.Time
	wake chan struct{}
}

var (
	logBucket      = []byte("log")
	infoBucket     = []byte("info")
	idsBucket      = []byte("ids")
	queuedBucket   = []byte("queued")
	storedBucket   = []byte("stored")
	acceptedBucket = []byte("accepted")
	rejectedBucket = []byte("rejected")
	countsKey      = []byte("counts")
)

// Names under which values are sealed and keys are hashed.
const (
	placeLog    = "outbox/log"
	placeInfo   = "outbox/info"
	placeID     = "outbox/id"
	placeDigest = "outbox/digest"
)

// Open returns the queue in a store. It ties the store to the sealer's key and
// returns store.ErrWrongKey when that is another one. The caller closes the
// store after the last use of the queue.
func Open(st *store.Store, s *seal.Sealer, o *Options) (*Queue, error) {
	q := &Queue{st: st, seal: s, now: time.Now, wake: make(chan struct{}, 1)}
	if o != nil && o.Now != nil {
		q.now = o.Now
	}
	if err := st.Bind(s.KeyID()); err != nil {
		return nil, err
	}
	var c counts
	err := st.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.OutboxBucket)
		for _, name := range [][]byte{logBucket, infoBucket, idsBucket, queuedBucket, storedBucket, acceptedBucket, rejectedBucket} {
			if _, err := b.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		c = readCounts(b)
		return mendSequence(b.Bucket(logBucket))
	})
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	if c[Queued] > 0 {
		q.signal()
	}
	return q, nil
}

// Wake returns a channel that receives when there may be something new to
// publish. One value can stand for many entries: whoever receives it calls
// [Queue.Next] until nothing is left.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Put makes an entry durable: when it returns nil, the entry survives a crash
// and a power failure. Putting the same id with the same subject and payload
// again is no error and changes nothing, also when the entry was accepted or
// purged since; with other contents it is [ErrConflict]. On any other error the
// entry is not recorded. The queue keeps none of the entry's memory.
func (q *Queue) Put(ctx context.Context, e Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.ID == "" || len(e.ID) > maxID || e.Subject == "" || len(e.Subject) > maxSubject || len(e.Payload) == 0 || len(e.Payload) > contract.MaxVisit {
		return ErrInvalid
	}
	plain, err := encodeEntry(e, q.now())
	if err != nil {
		return err
	}
	id := q.seal.Index(placeID, []byte(e.ID))
	digest := q.seal.Index(placeDigest, []byte(e.Subject), e.Payload)
	added := false
	err = q.st.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.OutboxBucket)
		ids := b.Bucket(idsBucket)
		if known := ids.Get(id); known != nil {
			if len(known) != seqSize+len(digest) || string(known[seqSize:]) != string(digest) {
				return ErrConflict
			}
			// A disk may have lost the entry and kept that there is one. Here it is
			// again, and in the same place.
			if seq := known[:seqSize]; b.Bucket(logBucket).Get(seq) == nil && waits(b, seq) {
				added = true
				seq = slices.Clone(seq) // what is from the transaction may move under a Put
				return b.Bucket(logBucket).Put(seq, q.seal.Seal(placeLog, seq, plain))
			}
			return errUnchanged
		}
		log, queued := b.Bucket(logBucket), b.Bucket(queuedBucket)
		seq, err := nextSeq(log)
		if err != nil {
			return err
		}
		// Keys only grow, so pages may be filled to the brim: the last one, which
		// is written anew each time, begins empty then and not half full.
		log.FillPercent, queued.FillPercent = full, full
		c := readCounts(b)
		c[Queued]++
		added = true
		return errors.Join(
			log.Put(seq, q.seal.Seal(placeLog, seq, plain)),
			ids.Put(id, slices.Concat(seq, digest)),
			queued.Put(seq, timeKey(q.now())),
			c.write(b),
		)
	})
	if errors.Is(err, errUnchanged) {
		return nil // the first Put made it durable
	}
	if err != nil {
		return err
	}
	if added {
		q.signal()
	}
	return nil
}

// nextSeq takes the next place in the log. It returns [store.ErrCorrupt] rather
// than one that is taken.
func nextSeq(log *bbolt.Bucket) ([]byte, error) {
	if err := mendSequence(log); err != nil {
		return nil, err
	}
	n, err := log.NextSequence()
	if err != nil {
		return nil, err
	}
	seq := seqKey(n)
	if n == 0 || log.Get(seq) != nil {
		return nil, store.ErrCorrupt
	}
	return seq, nil
}

// mendSequence sees that the log's sequence is not below its last place. bbolt
// keeps it in clear, and a damaged one would have new entries overwrite old ones.
func mendSequence(log *bbolt.Bucket) error {
	last, _ := log.Cursor().Last()
	switch {
	case last == nil:
		return nil
	case len(last) != seqSize:
		return store.ErrCorrupt
	}
	if n := binary.BigEndian.Uint64(last); n > log.Sequence() {
		return log.SetSequence(n)
	}
	return nil
}

// waits reports whether an entry is filed as one without a final verdict.
func waits(b *bbolt.Bucket, seq []byte) bool {
	for _, s := range waiting {
		if b.Bucket(bucketOf[s]).Get(seq) != nil {
			return true
		}
	}
	return false
}

// waiting are the states that an entry leaves only by a verdict.
var waiting = [...]State{Queued, Stored, Rejected}

// errUnchanged ends a transaction that has nothing to write.
var errUnchanged = errors.New("outbox: unchanged")

// Next returns up to n queued entries whose place in the order is after the
// given one, oldest first; 0 is before the first. It opens no more than a few
// megabytes at a time, and at least one entry. Fewer than n entries do not mean
// that there are no more; none do.
func (q *Queue) Next(ctx context.Context, after uint64, n int) ([]Entry, error) {
	var entries []Entry
	size := 0
	err := q.st.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.OutboxBucket)
		log := b.Bucket(logBucket)
		c := b.Bucket(queuedBucket).Cursor()
		at := order{last: after}
		for k, _ := c.Seek(seqKey(after + 1)); k != nil && len(entries) < n && size < maxBatch; k, _ = c.Next() {
			if err := errors.Join(ctx.Err(), at.step(k)); err != nil {
				return err
			}
			e, err := q.openEntry(log, k)
			if err != nil {
				continue // damaged: see the package comment
			}
			size += len(e.Payload)
			entries = append(entries, e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// MarkStored records that entries are in the central service's stream, all in
// one transaction. An id that is unknown, or that is no longer queued, is
// harmless. On error nothing is recorded, and publishing again is safe.
func (q *Queue) MarkStored(ctx context.Context, acks ...Ack) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, a := range acks {
		if a.Stream == "" || a.Seq == 0 {
			return ErrInvalid
		}
	}
	return q.change(func(c *changer) error {
		c.b.Bucket(infoBucket).FillPercent, c.b.Bucket(storedBucket).FillPercent = 0.8, full // a verdict makes the record longer
		for _, a := range acks {
			seq, in, err := c.find(a.ID)
			if err != nil || in.State != Queued {
				continue
			}
			in.Stream, in.StreamSeq, in.StoredAt = a.Stream, a.Seq, c.at
			if err := c.move(seq, in, Stored); err != nil {
				return err
			}
		}
		return nil
	})
}

// Verdict records what became of visits, all in one transaction, and returns
// the entries whose state it changed, in the order of the verdicts. It may be
// called with the same verdict any number of times. An unknown visit is
// harmless. An accepted entry never changes again; a rejected one may be
// accepted later. VerdictRetry leaves the state alone and is kept as the last
// word. A verdict that is older than the last word, and does not accept, is
// stale and changes nothing. A verdict for an entry that is still queued settles it: the
// acknowledgement was lost, the visit was not.
func (q *Queue) Verdict(ctx context.Context, verdicts ...contract.Verdict) ([]Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var items []Item
	err := q.change(func(c *changer) error {
		items = nil
		for _, v := range verdicts {
			seq, in, err := c.find(v.Visit)
			if err != nil || in.State == Accepted || in.Verdict != nil && (sameVerdict(*in.Verdict, v) && settled(in.State, v.State) || outdated(*in.Verdict, v)) {
				continue
			}
			to := in.State
			switch v.State {
			case contract.VerdictAccepted:
				to = Accepted
			case contract.VerdictRejected:
				to = Rejected
			case contract.VerdictRetry:
			default:
				continue
			}
			in.Verdict, in.VerdictAt = &v, c.at
			if err := c.move(seq, in, to); err != nil {
				return err
			}
		}
		for _, n := range c.changed {
			items = append(items, q.item(c.b, seqKey(n)))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// settled reports whether a verdict that arrives again has nothing to do to an
// entry. One that is queued although it was rejected was put back by a person:
// the old verdict, read again after a restart, must not undo that.
func settled(s State, v contract.VerdictState) bool {
	return v == contract.VerdictRetry || v == contract.VerdictRejected && s != Stored
}

// outdated reports whether a later verdict than v is known already: verdicts are
// read again after a restart. Acceptance is never outdated.
func outdated(known, v contract.Verdict) bool {
	return v.State != contract.VerdictAccepted && v.At.Before(known.At)
}

// sameVerdict compares what matters of two verdicts.
func sameVerdict(a, b contract.Verdict) bool {
	return a.State == b.State && a.Reason == b.Reason && a.Assurance == b.Assurance && a.At.Equal(b.At)
}

// Requeue puts a stored, rejected or lost entry back to be published again, in
// its old place: after the stream was lost, or when a person says so. A queued
// entry stays as it is. It returns [ErrNotFound], [ErrFinal] for an accepted
// entry, or [ErrDamaged] for one that cannot be opened.
func (q *Queue) Requeue(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := q.change(func(c *changer) error {
		seq, in, err := c.find(id)
		switch {
		case err != nil:
			return err
		case in.State == Accepted:
			return ErrFinal
		}
		if _, err := q.openEntry(c.b.Bucket(logBucket), seq); err != nil {
			return err
		}
		return c.move(seq, in, Queued)
	})
	if err == nil {
		q.signal()
	}
	return err
}

// Stats counts the entries. It takes the same short time for any number.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	if err := ctx.Err(); err != nil {
		return Stats{}, err
	}
	var s Stats
	err := q.st.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.OutboxBucket)
		c := readCounts(b)
		s = Stats{Queued: int(c[Queued]), Stored: int(c[Stored]), Accepted: int(c[Accepted]), Rejected: int(c[Rejected])}
		if _, v := b.Bucket(queuedBucket).Cursor().First(); v != nil {
			s.Oldest = timeOf(v)
		}
		return nil
	})
	return s, err
}

// List returns up to n items after a place in the order, oldest first, all of
// them or (state not 0) those in one state. It opens every entry that it
// passes: for people, not for counting. To find accepted entries it passes all.
func (q *Queue) List(ctx context.Context, state State, after uint64, n int) ([]Item, error) {
	var items []Item
	err := q.st.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.OutboxBucket)
		over := b.Bucket(logBucket)
		switch state {
		case Queued, Stored, Rejected:
			over = b.Bucket(bucketOf[state])
		}
		c := over.Cursor()
		at := order{last: after}
		for k, _ := c.Seek(seqKey(after + 1)); k != nil && len(items) < n; k, _ = c.Next() {
			if err := errors.Join(ctx.Err(), at.step(k)); err != nil {
				return err
			}
			it := q.item(b, k)
			if state == 0 || it.State == state {
				items = append(items, it)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// Damaged counts the entries that cannot be opened or found by their id, or whose
// state is [Lost]. It opens every entry: for a check in the background, and for people.
func (q *Queue) Damaged(ctx context.Context) (int, error) {
	damaged, err := q.gone(ctx)
	if err != nil {
		return 0, err
	}
	for after := uint64(0); ; {
		items, err := q.List(ctx, 0, after, checkBatch)
		if err != nil || len(items) == 0 {
			return damaged, err
		}
		for _, i := range items {
			if i.Damaged {
				damaged++
			}
			after = i.Seq
		}
	}
}

// gone counts entries that wait for a verdict and are not there any more.
func (q *Queue) gone(ctx context.Context) (int, error) {
	n := 0
	err := q.st.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.OutboxBucket)
		log := b.Bucket(logBucket)
		for _, s := range waiting {
			c := b.Bucket(bucketOf[s]).Cursor()
			at := order{}
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
				if err := errors.Join(ctx.Err(), at.step(k)); err != nil {
					return err
				}
				if log.Get(k) == nil {
					n++
				}
			}
		}
		return nil
	})
	return n, err
}

// wasAccepted reports whether the sealed record of an entry says so.
func (q *Queue) wasAccepted(b *bbolt.Bucket, seq []byte) bool {
	var in info
	plain, err := q.seal.Open(placeInfo, seq, b.Bucket(infoBucket).Get(seq))
	return err == nil && json.Unmarshal(plain, &in) == nil && in.State == Accepted
}

// Get returns an entry and how it stands. The entry's payload is empty when it
// was purged. It returns [ErrNotFound] or [ErrDamaged].
func (q *Queue) Get(ctx context.Context, id string) (Entry, Item, error) {
	var e Entry
	var it Item
	err := q.st.View(func(tx *bbolt.Tx) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := tx.Bucket(store.OutboxBucket)
		seq, err := q.place(b, id)
		if err != nil {
			return err
		}
		if e, err = q.openEntry(b.Bucket(logBucket), seq); err != nil {
			return err
		}
		it = q.item(b, seq)
		return nil
	})
	if err != nil {
		return Entry{}, Item{}, err
	}
	return e, it, nil
}

// Purge removes the entries that were accepted before a time, up to n of them
// in one transaction, and returns how many it removed; call it until it returns
// 0. What stays of an entry is a keyed hash of its id and contents, by which
// [Queue.Put] still knows it (72 bytes). Entries in other states are never
// removed.
func (q *Queue) Purge(ctx context.Context, before time.Time, n int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	removed := 0
	err := q.st.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.OutboxBucket)
		accepted := b.Bucket(acceptedBucket)
		var keys [][]byte
		limit := timeKey(before)
		c := accepted.Cursor()
		for k, _ := c.First(); k != nil && len(keys) < n; k, _ = c.Next() {
			if len(k) != timeSize+seqSize || len(keys) > 0 && string(k) <= string(keys[len(keys)-1]) {
				return store.ErrCorrupt
			}
			if string(k[:timeSize]) >= string(limit) {
				break
			}
			keys = append(keys, slices.Clone(k))
		}
		if len(keys) == 0 {
			return errUnchanged
		}
		for _, k := range keys {
			seq := k[timeSize:]
			// The key is in clear, and a damaged disk can make it another entry's:
			// the sealed record decides. An entry that is filed here by mistake stays,
			// and is [Lost] unless it is where it belongs.
			if b.Bucket(logBucket).Get(seq) != nil && !q.wasAccepted(b, seq) {
				if err := accepted.Delete(k); err != nil {
					return err
				}
				continue
			}
			if err := errors.Join(b.Bucket(logBucket).Delete(seq), b.Bucket(infoBucket).Delete(seq), accepted.Delete(k)); err != nil {
				return err
			}
		}
		removed = len(keys)
		counts := readCounts(b)
		counts[Accepted] -= min(uint64(removed), counts[Accepted])
		return counts.write(b)
	})
	if errors.Is(err, errUnchanged) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return removed, nil
}

var bucketOf = map[State][]byte{Queued: queuedBucket, Stored: storedBucket, Accepted: acceptedBucket, Rejected: rejectedBucket}

// info is the changing half of an entry, sealed as JSON.
type info struct {
	State     State             `json:"state"`
	Stream    string            `json:"stream,omitempty"`
	StreamSeq uint64            `json:"streamSeq,omitempty"`
	StoredAt  time.Time         `json:"storedAt,omitzero"`
	Verdict   *contract.Verdict `json:"verdict,omitempty"`
	VerdictAt time.Time         `json:"verdictAt,omitzero"`
}

// changer changes entries inside one transaction.
type changer struct {
	q       *Queue
	b       *bbolt.Bucket
	at      time.Time
	counts  counts
	changed []uint64
	dirty   bool
}

// change runs fn in a transaction. Nothing is written when fn changes nothing.
func (q *Queue) change(fn func(*changer) error) error {
	err := q.st.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.OutboxBucket)
		c := &changer{q: q, b: b, at: q.now(), counts: readCounts(b)}
		if err := fn(c); err != nil {
			return err
		}
		if !c.dirty {
			return errUnchanged
		}
		return c.counts.write(b)
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// find returns the place and state of an entry, or the error of [Queue.place].
func (c *changer) find(id string) ([]byte, info, error) {
	seq, err := c.q.place(c.b, id)
	if err != nil {
		return nil, info{}, err
	}
	return seq, c.q.info(c.b, seq), nil
}

// move writes an entry's new state record and files it under its new state.
func (c *changer) move(seq []byte, in info, to State) error {
	from := in.State
	old := seq
	if from == Accepted {
		return ErrFinal
	}
	in.State = to
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	c.dirty = true
	if err := c.b.Bucket(infoBucket).Put(seq, c.q.seal.Seal(placeInfo, seq, b)); err != nil {
		return err
	}
	if from == to {
		return nil
	}
	if from != Lost { // which is in no bucket, and counted nowhere
		if err := c.b.Bucket(bucketOf[from]).Delete(old); err != nil {
			return err
		}
		c.counts[from] -= min(1, c.counts[from]) // damage can leave less than there is
	}
	key, value := seq, timeKey(c.at)
	if to == Accepted {
		key, value = slices.Concat(timeKey(c.at), seq), nil
	}
	if to == Queued { // keeps the time of recording
		if e, err := c.q.openEntry(c.b.Bucket(logBucket), seq); err == nil {
			value = timeKey(e.RecordedAt)
		}
	}
	c.counts[to]++
	c.changed = append(c.changed, binary.BigEndian.Uint64(seq))
	return c.b.Bucket(bucketOf[to]).Put(key, value)
}

// place returns a copy of the place of an entry. It returns [ErrNotFound], or
// [ErrDamaged] when another entry is there: places are filed in clear, and a
// verdict must not go to another visit. An entry that cannot be opened has nothing
// to say against its place, and still gets its verdict.
func (q *Queue) place(b *bbolt.Bucket, id string) ([]byte, error) {
	log, seq := b.Bucket(logBucket), q.seqOf(b, id)
	if seq == nil || log.Get(seq) == nil {
		return nil, ErrNotFound
	}
	if e, err := q.openEntry(log, seq); err == nil && e.ID != id {
		return nil, ErrDamaged
	}
	return seq, nil
}

// seqOf returns a copy of what is filed as the place of an id, or nil.
func (q *Queue) seqOf(b *bbolt.Bucket, id string) []byte {
	v := b.Bucket(idsBucket).Get(q.seal.Index(placeID, []byte(id)))
	if len(v) < seqSize {
		return nil
	}
	return slices.Clone(v[:seqSize])
}

// info returns the state record of an entry. A record that cannot be opened is
// replaced by what the bucket of the entry says; an entry that is in none is
// [Lost].
func (q *Queue) info(b *bbolt.Bucket, seq []byte) info {
	if sealed := b.Bucket(infoBucket).Get(seq); sealed != nil {
		if plain, err := q.seal.Open(placeInfo, seq, sealed); err == nil {
			var in info
			if json.Unmarshal(plain, &in) == nil && in.State >= Queued && in.State <= Rejected {
				if in.State != Accepted && b.Bucket(bucketOf[in.State]).Get(seq) == nil {
					in.State = Lost // nobody would ever come across it
				}
				return in
			}
		}
	}
	for _, s := range waiting {
		if b.Bucket(bucketOf[s]).Get(seq) != nil {
			return info{State: s}
		}
	}
	// Filed under the time first: this looks at all of them, for a damaged entry.
	c := b.Bucket(acceptedBucket).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if len(k) == timeSize+seqSize && string(k[timeSize:]) == string(seq) {
			return info{State: Accepted}
		}
	}
	return info{State: Lost}
}

func (q *Queue) item(b *bbolt.Bucket, seq []byte) Item {
	in := q.info(b, seq)
	it := Item{
		Seq: binary.BigEndian.Uint64(seq), State: in.State,
		Stream: in.Stream, StreamSeq: in.StreamSeq, StoredAt: in.StoredAt,
		Verdict: in.Verdict, VerdictAt: in.VerdictAt, Damaged: in.State == Lost,
	}
	e, err := q.openEntry(b.Bucket(logBucket), seq)
	if err != nil {
		it.Damaged = true
		return it
	}
	it.ID, it.Subject, it.RecordedAt, it.Size = e.ID, e.Subject, e.RecordedAt, len(e.Payload)
	if !bytes.Equal(q.seqOf(b, e.ID), seq) {
		it.Damaged = true // no verdict would find it
	}
	return it
}

func (q *Queue) openEntry(log *bbolt.Bucket, seq []byte) (Entry, error) {
	plain, err := q.seal.Open(placeLog, seq, log.Get(seq))
	if err != nil {
		return Entry{}, ErrDamaged
	}
	e, err := decodeEntry(plain)
	if err != nil {
		return Entry{}, err
	}
	e.Seq = binary.BigEndian.Uint64(seq)
	return e, nil
}
