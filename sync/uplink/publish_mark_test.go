package uplink

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// few is a batch of which a test fills some.
const few = 32

func queueOf(t *testing.T, n int) (*outbox.Queue, *store.Store) {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "agent.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	master, err := seal.NewMaster(make([]byte, seal.MasterSize))
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	q, err := outbox.Open(st, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		e := outbox.Entry{ID: strconv.Itoa(i), Subject: "s", Payload: []byte("p")}
		if err := q.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	return q, st
}

func ackOf(i int) outbox.Ack {
	return outbox.Ack{ID: strconv.Itoa(i), Stream: "VISITS", Seq: uint64(i + 1)}
}

// TestMarksAllBeforeItEnds: what was acknowledged is known when a drain returns,
// also one that was told to end.
func TestMarksAllBeforeItEnds(t *testing.T) {
	const n = 3*few/2 + 1
	q, _ := queueOf(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m := newMarker(ctx, q, few)
	for i := range n {
		if i == n/2 {
			cancel()
		}
		if err := m.add(ackOf(i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := m.finish(); err != nil {
			t.Errorf("finish = %v", err)
		}
	}
	if st, err := q.Stats(t.Context()); err != nil || st.Queued != 0 || st.Stored != n {
		t.Errorf("%+v, %v; want all %d stored", st, err, n)
	}
}

// TestMarkerTellsOfTheQueue: a queue that cannot be written stops the drain,
// which would publish the same visits for ever.
func TestMarkerTellsOfTheQueue(t *testing.T) {
	q, st := queueOf(t, 1)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	m := newMarker(t.Context(), q, few)
	var err error
	for err == nil { // the channel takes some before the first is written
		err = m.add(ackOf(0))
	}
	for _, err := range []error{err, m.finish()} {
		if !errors.Is(err, store.ErrClosed) || classify(err) != StoreTrouble {
			t.Errorf("error = %v, want %v as trouble with the store", err, store.ErrClosed)
		}
	}
}
