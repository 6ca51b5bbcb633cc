package outbox_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// box is a queue on a file that can be closed and opened again.
type box struct {
	*outbox.Queue
	t    testing.TB
	path string
	seal *seal.Sealer
	now  time.Time
	st   *store.Store
}

func newSealer(t testing.TB) *seal.Sealer {
	t.Helper()
	m, err := seal.NewMaster(bytes.Repeat([]byte{3}, seal.MasterSize))
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newBox(t testing.TB) *box {
	t.Helper()
	b := &box{t: t, path: filepath.Join(t.TempDir(), "visits.db"), seal: newSealer(t), now: time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)}
	b.open()
	t.Cleanup(b.close)
	return b
}

func (b *box) open() {
	b.t.Helper()
	st, err := store.Open(b.path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.st = st
	b.Queue, err = outbox.Open(st, b.seal, &outbox.Options{Now: func() time.Time { return b.now }})
	if err != nil {
		b.t.Fatal(err)
	}
}

// close checks every page of the file, after every test.
func (b *box) close() {
	b.t.Helper()
	if err := b.st.Check(context.Background()); err != nil {
		b.t.Error(err)
	}
	if err := b.st.Close(); err != nil {
		b.t.Error(err)
	}
}

func (b *box) reopen() {
	b.t.Helper()
	b.close()
	b.open()
}

func entry(id string) outbox.Entry {
	return outbox.Entry{
		ID: id, Subject: "ins.v1.visit.01013.UA",
		Header:  map[string][]string{"Chamthe-Agent": {"UA"}, "Chamthe-Signature": {"sig of " + id}},
		Payload: []byte("payload of " + id),
	}
}

func (b *box) put(ids ...string) {
	b.t.Helper()
	for _, id := range ids {
		if err := b.Put(b.t.Context(), entry(id)); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *box) queued() []string {
	b.t.Helper()
	entries, err := b.Next(context.Background(), 0, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	ids := []string{}
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

func (b *box) state(id string) outbox.State {
	b.t.Helper()
	_, it, err := b.Get(context.Background(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return it.State
}

func (b *box) stats() outbox.Stats {
	b.t.Helper()
	s, err := b.Stats(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func accepted(id string) contract.Verdict {
	return contract.Verdict{Version: 1, Visit: id, State: contract.VerdictAccepted, Assurance: contract.AssuranceAttested, At: time.Unix(1000, 0).UTC()}
}

func rejected(id string, why contract.Reason) contract.Verdict {
	return contract.Verdict{Version: 1, Visit: id, State: contract.VerdictRejected, Reason: why, At: time.Unix(1000, 0).UTC()}
}

func TestPutAndNext(t *testing.T) {
	b := newBox(t)
	b.put("a", "b", "c")
	b.reopen()
	got, err := b.Next(t.Context(), 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := []outbox.Entry{entry("a"), entry("b")}
	for i := range want {
		want[i].Seq, want[i].RecordedAt = uint64(i+1), b.now
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Next (-want +got):\n%s", diff)
	}
	got, err = b.Next(t.Context(), got[1].Seq, 2)
	if err != nil || len(got) != 1 || got[0].ID != "c" {
		t.Errorf("Next = %v, %v", got, err)
	}
	if got, err = b.Next(t.Context(), got[0].Seq, 2); err != nil || len(got) != 0 {
		t.Errorf("Next = %v, %v", got, err)
	}
}

func TestPutTwice(t *testing.T) {
	b := newBox(t)
	b.put("a", "a")
	if diff := cmp.Diff([]string{"a"}, b.queued()); diff != "" {
		t.Error(diff)
	}
	resigned := entry("a")
	resigned.Header["Chamthe-Signature"] = []string{"another"}
	if err := b.Put(t.Context(), resigned); err != nil {
		t.Errorf("other headers: %v", err)
	}
	other := entry("a")
	other.Payload = []byte("another payload")
	if err := b.Put(t.Context(), other); !errors.Is(err, outbox.ErrConflict) {
		t.Errorf("another payload: %v", err)
	}
	other = entry("a")
	other.Subject = "ins.v1.visit.01014.UA"
	if err := b.Put(t.Context(), other); !errors.Is(err, outbox.ErrConflict) {
		t.Errorf("another subject: %v", err)
	}
	// Also when it was accepted, and when nothing but the hash is left.
	if _, err := b.Verdict(t.Context(), accepted("a")); err != nil {
		t.Fatal(err)
	}
	b.put("a")
	if n, err := b.Purge(t.Context(), b.now.Add(time.Hour), 10); n != 1 || err != nil {
		t.Fatalf("Purge = %d, %v", n, err)
	}
	b.reopen()
	b.put("a")
	if got := b.queued(); len(got) != 0 {
		t.Errorf("queued again: %v", got)
	}
	other = entry("a")
	other.Payload = []byte("another payload")
	if err := b.Put(t.Context(), other); !errors.Is(err, outbox.ErrConflict) {
		t.Errorf("another payload after purge: %v", err)
	}
}

func TestPutRefuses(t *testing.T) {
	b := newBox(t)
	tests := []struct {
		name  string
		spoil func(*outbox.Entry)
	}{
		{"no id", func(e *outbox.Entry) { e.ID = "" }},
		{"long id", func(e *outbox.Entry) { e.ID = strings.Repeat("x", 129) }},
		{"no subject", func(e *outbox.Entry) { e.Subject = "" }},
		{"long subject", func(e *outbox.Entry) { e.Subject = strings.Repeat("x", 257) }},
		{"no payload", func(e *outbox.Entry) { e.Payload = nil }},
		{"large payload", func(e *outbox.Entry) { e.Payload = make([]byte, contract.MaxVisit+1) }},
		{"large header", func(e *outbox.Entry) { e.Header["x"] = []string{strings.Repeat("x", 5000)} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := entry("a")
			tt.spoil(&e)
			if err := b.Put(t.Context(), e); !errors.Is(err, outbox.ErrInvalid) {
				t.Errorf("error = %v, want %v", err, outbox.ErrInvalid)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Put(ctx, entry("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if got := b.stats(); got != (outbox.Stats{}) {
		t.Errorf("stats = %+v", got)
	}
}

func TestPutKeepsNoMemory(t *testing.T) {
	b := newBox(t)
	e := entry("a")
	if err := b.Put(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	clear(e.Payload)
	e.Header["Chamthe-Agent"][0] = "x"
	got, _, err := b.Get(t.Context(), "a")
	if err != nil || string(got.Payload) != "payload of a" || got.Header["Chamthe-Agent"][0] != "UA" {
		t.Errorf("Get = %v, %v", got, err)
	}
}

func TestLifeOfAnEntry(t *testing.T) {
	b := newBox(t)
	b.put("a")
	recorded := b.now
	if got := b.state("a"); got != outbox.Queued {
		t.Errorf("state = %v", got)
	}
	b.now = b.now.Add(time.Minute)
	if err := b.MarkStored(t.Context(), outbox.Ack{ID: "a", Stream: "VISITS", Seq: 7}); err != nil {
		t.Fatal(err)
	}
	stored := b.now
	b.now = b.now.Add(time.Minute)
	b.reopen()
	changed, err := b.Verdict(t.Context(), rejected("a", contract.ReasonNoTrustAnchor))
	if err != nil {
		t.Fatal(err)
	}
	v := rejected("a", contract.ReasonNoTrustAnchor)
	want := []outbox.Item{{
		Seq: 1, ID: "a", Subject: "ins.v1.visit.01013.UA", RecordedAt: recorded, Size: len("payload of a"),
		State: outbox.Rejected, Stream: "VISITS", StreamSeq: 7, StoredAt: stored, Verdict: &v, VerdictAt: b.now,
	}}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("Verdict (-want +got):\n%s", diff)
	}
	b.reopen()
	if items, err := b.List(t.Context(), outbox.Rejected, 0, 10); err != nil || !cmp.Equal(want, items) {
		t.Errorf("List = %v, %v", items, err)
	}
	// The trust anchor arrived.
	if _, err := b.Verdict(t.Context(), accepted("a")); err != nil {
		t.Fatal(err)
	}
	if got := b.state("a"); got != outbox.Accepted {
		t.Errorf("state = %v", got)
	}
}

func TestTransitions(t *testing.T) {
	ack := func(b *box) error { return b.MarkStored(t.Context(), outbox.Ack{ID: "a", Stream: "VISITS", Seq: 1}) }
	verdict := func(v contract.Verdict) func(*box) error {
		return func(b *box) error {
			_, err := b.Verdict(t.Context(), v)
			return err
		}
	}
	accept, reject := verdict(accepted("a")), verdict(rejected("a", contract.ReasonTime))
	again := rejected("a", contract.ReasonTime)
	again.At = again.At.Add(time.Hour)
	rejectAgain := verdict(again)
	retry := verdict(contract.Verdict{Version: 1, Visit: "a", State: contract.VerdictRetry, Reason: contract.ReasonUnavailable})
	requeue := func(b *box) error { return b.Requeue(t.Context(), "a") }
	tests := []struct {
		name string
		do   []func(*box) error
		want outbox.State
	}{
		{"stored", []func(*box) error{ack}, outbox.Stored},
		{"stored twice", []func(*box) error{ack, ack}, outbox.Stored},
		{"accepted", []func(*box) error{ack, accept}, outbox.Accepted},
		{"accepted, acknowledgement lost", []func(*box) error{accept}, outbox.Accepted},
		{"accepted, late acknowledgement", []func(*box) error{accept, ack}, outbox.Accepted},
		{"accepted never goes back", []func(*box) error{accept, reject, retry, rejectAgain}, outbox.Accepted},
		{"rejected", []func(*box) error{ack, reject}, outbox.Rejected},
		{"rejected, late acknowledgement", []func(*box) error{reject, ack}, outbox.Rejected},
		{"rejected, then accepted", []func(*box) error{ack, reject, accept}, outbox.Accepted},
		{"not yet", []func(*box) error{ack, retry}, outbox.Stored},
		{"not yet, while queued", []func(*box) error{retry}, outbox.Queued},
		{"not yet does not undo a rejection", []func(*box) error{reject, retry}, outbox.Rejected},
		{"sent again", []func(*box) error{ack, reject, requeue}, outbox.Queued},
		{"old verdict does not undo sending again", []func(*box) error{ack, reject, requeue, reject}, outbox.Queued},
		{"sent again, same verdict", []func(*box) error{ack, reject, requeue, ack, reject}, outbox.Rejected},
		{"sent again, new verdict", []func(*box) error{ack, reject, requeue, rejectAgain}, outbox.Rejected},
		{"stored, stream lost", []func(*box) error{ack, requeue}, outbox.Queued},
		{"requeue while queued", []func(*box) error{requeue}, outbox.Queued},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t)
			b.put("a")
			for i, do := range tt.do {
				if err := do(b); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
			}
			b.reopen()
			if got := b.state("a"); got != tt.want {
				t.Errorf("state = %v, want %v", got, tt.want)
			}
			s := b.stats()
			if n := map[outbox.State]int{outbox.Queued: s.Queued, outbox.Stored: s.Stored, outbox.Accepted: s.Accepted, outbox.Rejected: s.Rejected}[tt.want]; n != 1 || s.Queued+s.Stored+s.Accepted+s.Rejected != 1 {
				t.Errorf("stats = %+v", s)
			}
		})
	}
}

func TestUnknownIDsAreHarmless(t *testing.T) {
	b := newBox(t)
	b.put("a")
	if err := b.MarkStored(t.Context(), outbox.Ack{ID: "x", Stream: "VISITS", Seq: 1}); err != nil {
		t.Error(err)
	}
	if items, err := b.Verdict(t.Context(), accepted("x"), rejected("y", contract.ReasonTime)); err != nil || items != nil {
		t.Errorf("Verdict = %v, %v", items, err)
	}
	if items, err := b.Verdict(t.Context(), contract.Verdict{Visit: "a", State: "odd"}); err != nil || items != nil {
		t.Errorf("Verdict = %v, %v", items, err)
	}
	if err := b.Requeue(t.Context(), "x"); !errors.Is(err, outbox.ErrNotFound) {
		t.Errorf("Requeue: %v", err)
	}
	if _, _, err := b.Get(t.Context(), "x"); !errors.Is(err, outbox.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if err := b.MarkStored(t.Context(), outbox.Ack{ID: "a"}); !errors.Is(err, outbox.ErrInvalid) {
		t.Errorf("MarkStored without a stream: %v", err)
	}
	if got := b.state("a"); got != outbox.Queued {
		t.Errorf("state = %v", got)
	}
	if _, err := b.Verdict(t.Context(), accepted("a")); err != nil {
		t.Fatal(err)
	}
	if err := b.Requeue(t.Context(), "a"); !errors.Is(err, outbox.ErrFinal) {
		t.Errorf("Requeue: %v", err)
	}
}

// TestRequeueKeepsItsPlace: visits are published in the order of recording.
func TestRequeueKeepsItsPlace(t *testing.T) {
	b := newBox(t)
	b.put("a", "b", "c")
	if _, err := b.Verdict(t.Context(), rejected("a", contract.ReasonTime), accepted("b")); err != nil {
		t.Fatal(err)
	}
	recorded := b.now
	b.now = b.now.Add(time.Hour)
	if err := b.Requeue(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "c"}, b.queued()); diff != "" {
		t.Error(diff)
	}
	if got := b.stats().Oldest; !got.Equal(recorded) {
		t.Errorf("oldest = %v, want %v", got, recorded)
	}
}

func TestWake(t *testing.T) {
	b := newBox(t)
	woken := func() bool {
		select {
		case <-b.Wake():
			return true
		default:
			return false
		}
	}
	if woken() {
		t.Error("an empty queue wakes")
	}
	b.put("a", "b")
	if !woken() || woken() {
		t.Error("two puts are not one wake-up")
	}
	b.put("a") // nothing new
	if woken() {
		t.Error("nothing new wakes")
	}
	b.reopen() // something is left from before
	if !woken() {
		t.Error("old entries do not wake")
	}
}

func TestPurge(t *testing.T) {
	b := newBox(t)
	start := b.now
	for i := range 6 {
		b.put(fmt.Sprint(i))
	}
	for i := range 5 {
		b.now = start.Add(time.Duration(i) * time.Hour)
		v := accepted(fmt.Sprint(i))
		if i == 4 {
			v = rejected("4", contract.ReasonTime)
		}
		if _, err := b.Verdict(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{2, 1, 0} {
		if n, err := b.Purge(t.Context(), start.Add(150*time.Minute), 2); n != want || err != nil {
			t.Errorf("Purge = %d, %v; want %d", n, err, want)
		}
	}
	if s := b.stats(); s.Accepted != 1 || s.Rejected != 1 || s.Queued != 1 {
		t.Errorf("stats = %+v", s)
	}
	// However old, what is not accepted stays.
	if _, err := b.Purge(t.Context(), start.Add(1000*time.Hour), 100); err != nil {
		t.Fatal(err)
	}
	items, err := b.List(t.Context(), 0, 0, 100)
	if err != nil || len(items) != 2 || items[0].ID != "4" || items[1].ID != "5" {
		t.Errorf("List = %v, %v", items, err)
	}
	// A verdict for what is gone is harmless.
	if items, err := b.Verdict(t.Context(), rejected("0", contract.ReasonTime)); err != nil || items != nil {
		t.Errorf("Verdict = %v, %v", items, err)
	}
}

func TestDamagedEntryStopsNobody(t *testing.T) {
	b := newBox(t)
	b.put("a", "b", "c")
	if err := b.st.Update(func(tx *bbolt.Tx) error {
		log := tx.Bucket(store.OutboxBucket).Bucket([]byte("log"))
		k, v := log.Cursor().First()
		v = bytes.Clone(v)
		v[len(v)-1] ^= 1
		return log.Put(bytes.Clone(k), v)
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "c"}, b.queued()); diff != "" {
		t.Error(diff)
	}
	items, err := b.List(t.Context(), 0, 0, 10)
	if err != nil || len(items) != 3 || !items[0].Damaged || items[1].Damaged {
		t.Errorf("List = %v, %v", items, err)
	}
	if _, _, err := b.Get(t.Context(), "a"); !errors.Is(err, outbox.ErrDamaged) {
		t.Errorf("Get: %v", err)
	}
	// The central service may have it: its verdict still counts.
	if _, err := b.Verdict(t.Context(), accepted("a")); err != nil {
		t.Error(err)
	}
}

// TestUnknownStateIsNotAccepted: what a damaged disk took away is never taken
// for an acceptance.
func TestUnknownStateIsNotAccepted(t *testing.T) {
	b := newBox(t)
	b.put("a", "b", "c", "d")
	if _, err := b.Verdict(t.Context(), accepted("c"), rejected("d", contract.ReasonTime)); err != nil {
		t.Fatal(err)
	}
	err := b.st.Update(func(tx *bbolt.Tx) error {
		ob := tx.Bucket(store.OutboxBucket)
		// a is in no bucket, the records of c and d cannot be opened.
		return errors.Join(
			ob.Bucket([]byte("queued")).Delete(seq(1)),
			ob.Bucket([]byte("info")).Put(seq(3), []byte("damaged")),
			ob.Bucket([]byte("info")).Put(seq(4), []byte("damaged")),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]outbox.State{"a": outbox.Lost, "b": outbox.Queued, "c": outbox.Accepted, "d": outbox.Rejected} {
		if got := b.state(id); got != want {
			t.Errorf("%s is %v, want %v", id, got, want)
		}
	}
	if n, err := b.Damaged(t.Context()); n != 1 || err != nil {
		t.Errorf("damaged %d, %v", n, err)
	}
	// It can be sent again.
	if err := b.Requeue(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got := b.queued(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("queued %q", got)
	}
	if n, err := b.Damaged(t.Context()); n != 0 || err != nil {
		t.Errorf("damaged %d, %v", n, err)
	}
}

// TestStrangeKeys: keys that this package never writes end an iteration.
func TestStrangeKeys(t *testing.T) {
	for _, bucket := range []string{"queued", "log", "accepted"} {
		b := newBox(t)
		b.put("a")
		if bucket == "accepted" {
			if _, err := b.Verdict(t.Context(), accepted("a")); err != nil {
				t.Fatal(err)
			}
		}
		err := b.st.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket(store.OutboxBucket).Bucket([]byte(bucket)).Put([]byte("strange"), seq(9))
		})
		if err != nil {
			t.Fatal(err)
		}
		switch bucket {
		case "queued":
			_, err = b.Next(t.Context(), 0, 10)
		case "log":
			_, err = b.List(t.Context(), 0, 0, 10)
		default:
			_, err = b.Purge(t.Context(), time.Now().Add(time.Hour), 10)
		}
		if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v, want %v", bucket, err, store.ErrCorrupt)
		}
	}
}

func seq(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// TestOldVerdictAfterRequeue: verdicts are read again after a restart, all of
// them. A person who put a visit back is not overruled by the past.
func TestOldVerdictAfterRequeue(t *testing.T) {
	b := newBox(t)
	b.put("a")
	first, second := rejected("a", contract.ReasonTime), rejected("a", contract.ReasonTime)
	second.At = first.At.Add(time.Minute)
	if _, err := b.Verdict(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := b.Requeue(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Verdict(t.Context(), second); err != nil || b.state("a") != outbox.Rejected {
		t.Fatalf("rejected again: %v, %v", b.state("a"), err)
	}
	if err := b.Requeue(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if items, err := b.Verdict(t.Context(), first, second); len(items) != 0 || err != nil {
		t.Errorf("old verdicts changed %v, %v", items, err)
	}
	if got := b.state("a"); got != outbox.Queued {
		t.Errorf("state %v", got)
	}
	late := accepted("a")
	late.At = first.At.Add(-time.Hour)
	if _, err := b.Verdict(t.Context(), late); err != nil || b.state("a") != outbox.Accepted {
		t.Errorf("accepted: %v, %v", b.state("a"), err)
	}
}

func TestNextIsBoundedInBytes(t *testing.T) {
	b := newBox(t)
	for i := range 60 {
		e := entry(fmt.Sprint(i))
		e.Payload = make([]byte, contract.MaxVisit)
		if err := b.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	after, total := uint64(0), 0
	for {
		entries, err := b.Next(t.Context(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		if len(entries) > 50 {
			t.Errorf("%d large entries at once", len(entries))
		}
		total += len(entries)
		after = entries[len(entries)-1].Seq
	}
	if total != 60 {
		t.Errorf("%d entries", total)
	}
}

func TestOpenWithAnotherKey(t *testing.T) {
	b := newBox(t)
	m, err := seal.NewMemoryKey().MasterKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := seal.New(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Open(b.st, other, nil); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("error = %v, want %v", err, store.ErrWrongKey)
	}
}

func TestClosedStore(t *testing.T) {
	b := newBox(t)
	if err := b.st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), entry("a")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Put: %v", err)
	}
	if _, err := b.Next(t.Context(), 0, 1); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Next: %v", err)
	}
	b.open()
}

// TestFullFileTakesNothing: "cannot record" must be heard, and what was
// recorded stays.
func TestFullFileTakesNothing(t *testing.T) {
	st, err := store.Open(filepath.Join(t.TempDir(), "visits.db"), &store.Options{MaxSize: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	q, err := outbox.Open(st, newSealer(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; n < 100; n++ {
		e := entry(fmt.Sprint(n))
		e.Payload = make([]byte, 90<<10)
		if err = q.Put(t.Context(), e); err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("error = %v, want %v", err, store.ErrFull)
	}
	entries, err := q.Next(t.Context(), 0, 1000)
	if err != nil || len(entries) != n {
		t.Errorf("%d entries of %d, %v", len(entries), n, err)
	}
	if err := st.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStateNames(t *testing.T) {
	for s, want := range map[outbox.State]string{0: "none", outbox.Queued: "queued", outbox.Stored: "stored", outbox.Accepted: "accepted", outbox.Rejected: "rejected", outbox.Lost: "lost", 9: "outbox.State(9)"} {
		if b, err := s.MarshalText(); string(b) != want || err != nil || s.String() != want {
			t.Errorf("%d = %q, %v; want %q", s, b, err, want)
		}
		var back outbox.State
		if err := back.UnmarshalText([]byte(want)); (err == nil) != (s >= outbox.Queued && s <= outbox.Lost) || err == nil && back != s {
			t.Errorf("%q = %v, %v", want, back, err)
		}
	}
}
