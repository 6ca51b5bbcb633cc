package uplink

import (
	"context"
	"time"

	"github.com/chamthe/chamthe/sync/outbox"
)

// marker marks visits as stored beside the publishing of others, many in one
// transaction. It belongs to one goroutine and has one of its own, which ends
// with finish.
type marker struct {
	acks chan<- outbox.Ack // nil after finish
	done chan struct{}     // closed at the end of its goroutine
	err  error             // of the queue; to be read after done
}

// newMarker starts a marker that marks so many visits at most in one transaction.
// It marks what it was given also after ctx has ended: to forget an acknowledgement
// means to send the visit again.
func newMarker(ctx context.Context, q *outbox.Queue, most int) *marker {
	// A full channel has the publisher wait for the disk.
	acks := make(chan outbox.Ack, 2*most)
	m := &marker{acks: acks, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		m.err = mark(context.WithoutCancel(ctx), q, acks, most)
	}()
	return m
}

// add has one visit marked soon. The error is that of an earlier one.
func (m *marker) add(a outbox.Ack) error {
	select {
	case m.acks <- a:
		return nil
	case <-m.done:
		return m.err
	}
}

// finish has everything marked that was added, and returns when that is done.
// Nothing may be added afterwards; finishing again is harmless.
func (m *marker) finish() error {
	if m.acks != nil {
		close(m.acks)
		m.acks = nil
	}
	<-m.done
	return m.err
}

// mark works until acks is closed.
func mark(ctx context.Context, q *outbox.Queue, acks <-chan outbox.Ack, most int) error {
	batch := make([]outbox.Ack, 0, most)
	for more := true; more; {
		var first outbox.Ack
		if first, more = <-acks; !more {
			return nil
		}
		batch = append(batch[:0], first)
		late := time.NewTimer(markWithin)
	gather:
		for len(batch) < most {
			select {
			case a, ok := <-acks:
				if more = ok; !ok {
					break gather
				}
				batch = append(batch, a)
			case <-late.C:
				break gather
			}
		}
		late.Stop()
		if err := q.MarkStored(ctx, batch...); err != nil {
			return &storeError{err}
		}
	}
	return nil
}
