package central

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// delivered is a message with a history. Everything that an intake must not do
// with it panics.
type delivered struct {
	jetstream.Msg
	times uint64
	ended string
}

func (m *delivered) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{NumDelivered: m.times, Timestamp: time.Now(), Sequence: jetstream.SequencePair{Stream: 7}}, nil
}
func (m *delivered) Subject() string                 { return "ins.v1.visit.01013.NOBODY" }
func (m *delivered) Headers() nats.Header            { return nil }
func (m *delivered) Data() []byte                    { return nil }
func (m *delivered) TermWithReason(why string) error { m.ended = why; return nil }

// TestSetsAsideWhatComesAgainForEver: a visit that takes the process down each
// time is given up after a while.
func TestSetsAsideWhatComesAgainForEver(t *testing.T) {
	in := &intake{counts: &counts{}, log: slog.New(slog.DiscardHandler)}
	m := &delivered{times: poisonAfter + 1}
	in.handle(t.Context(), m)
	if n := in.counts.snapshot(); m.ended != "too many deliveries" || n.SetAside != 1 || n.Redelivered != 1 {
		t.Errorf("ended %q, counts %+v", m.ended, n)
	}
	m = &delivered{times: poisonAfter}
	in.handle(t.Context(), m)
	if n := in.counts.snapshot(); m.ended == "too many deliveries" || n.SetAside != 1 {
		t.Errorf("ended %q, counts %+v: one too early", m.ended, n)
	}
}

func (m *delivered) NakWithDelay(time.Duration) error { m.ended = "later"; return nil }

// TestOutagesAreNotPoison: a visit that was given back because the store did not
// answer is innocent, however often.
func TestOutagesAreNotPoison(t *testing.T) {
	in := &intake{store: &store{doubt: make(chan struct{}, 1)}, counts: &counts{}, log: slog.New(slog.DiscardHandler)}
	m := &delivered{}
	for m.times < 3*poisonAfter {
		m.times++
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		in.later(m, meta, errors.New("no answer"))
	}
	m.times += poisonAfter
	in.handle(t.Context(), m)
	if n := in.counts.snapshot(); m.ended == "too many deliveries" || n.SetAside != 0 || n.Postponed != 3*poisonAfter {
		t.Errorf("ended %q, counts %+v", m.ended, n)
	}
	m.times++
	in.handle(t.Context(), m)
	if m.ended != "too many deliveries" {
		t.Errorf("ended %q after %d deliveries that were not postponed", m.ended, poisonAfter+1)
	}
}
