package event_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/chamthe/chamthe/agent/event"
	"github.com/chamthe/chamthe/agent/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func checkin(id string, version uint64) wire.Event {
	return wire.Event{Type: wire.EventCheckIn, CheckIn: &wire.CheckIn{ID: id, Version: version}}
}

// drain takes what waits, as "type" or "id version".
func drain(t *testing.T, s *event.Subscription) []string {
	t.Helper()
	got := []string{}
	for {
		e, ok := event.Poll(s)
		if !ok {
			return got
		}
		if e.CheckIn != nil {
			got = append(got, fmt.Sprint(e.CheckIn.ID, " ", e.CheckIn.Version))
			continue
		}
		got = append(got, e.Type)
	}
}

func TestWhoHearsWhat(t *testing.T) {
	b := event.New()
	desk, his, other := b.Subscribe(event.Desk, 0), b.Subscribe("https://his.example", 0), b.Subscribe("https://other.example", 0)
	b.Publish(checkin("a", 1), "https://his.example")
	b.Publish(checkin("b", 1), event.Desk)
	b.Publish(wire.Event{Type: wire.EventReaders}, event.Everybody)
	for _, tt := range []struct {
		name string
		s    *event.Subscription
		want []string
	}{
		{"desk", desk, []string{"a 1", "b 1", "readers"}},
		{"owner", his, []string{"a 1", "readers"}},
		{"other client", other, []string{"readers"}},
	} {
		if diff := cmp.Diff(tt.want, drain(t, tt.s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		tt.s.Close()
	}
}

func TestSlowSubscriber(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []wire.Event
		want   []string
	}{
		{"fits", []wire.Event{checkin("a", 1), checkin("a", 2), checkin("a", 3)}, []string{"a 1", "a 2", "a 3"}},
		{"progress gives way", []wire.Event{checkin("a", 1), checkin("a", 2), checkin("a", 3), checkin("a", 4), checkin("a", 5)}, []string{"a 3", "a 4", "a 5"}},
		{
			"each check-in keeps its newest",
			[]wire.Event{checkin("a", 1), checkin("a", 2), checkin("b", 1), checkin("b", 2), checkin("b", 3)},
			[]string{"a 2", "b 2", "b 3"},
		},
		{
			"a new one makes the oldest of its own superfluous",
			[]wire.Event{checkin("a", 1), checkin("b", 1), checkin("c", 1), checkin("b", 2)},
			[]string{"a 1", "c 1", "b 2"},
		},
		{
			"too many at once are told as missed",
			[]wire.Event{checkin("a", 1), checkin("b", 1), checkin("c", 1), checkin("d", 1), checkin("e", 1)},
			[]string{"missed", "c 1", "d 1", "e 1"},
		},
		{
			"what says something by itself is not superfluous",
			[]wire.Event{{Type: wire.EventScan}, {Type: wire.EventScan}, {Type: wire.EventPairing}, {Type: wire.EventScan}},
			[]string{"missed", "scan", "pairing", "scan"},
		},
		{
			"the newest readers stand for all of them",
			[]wire.Event{{Type: wire.EventReaders}, {Type: wire.EventReaders}, checkin("a", 1), {Type: wire.EventReaders}},
			[]string{"readers", "a 1", "readers"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := event.New()
			s := b.Subscribe(event.Desk, 3)
			defer s.Close()
			for _, e := range tt.events {
				b.Publish(e, event.Desk)
			}
			if diff := cmp.Diff(tt.want, drain(t, s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if e, ok := event.Poll(s); ok {
				t.Errorf("then %v", e.Type)
			}
		})
	}
}

// Whatever is published and taken, each subscriber ends with the newest state of
// every check-in, or was told that it has missed something; numbers only grow.
func TestNewestOrMissed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := event.New()
		s := b.Subscribe("him", rapid.IntRange(1, 5).Draw(t, "room"))
		defer s.Close()
		newest, seen := map[string]uint64{}, map[string]uint64{}
		var last uint64
		take := func() bool {
			e, ok := event.Poll(s)
			if !ok {
				return false
			}
			if e.Seq <= last {
				t.Fatalf("number %d after %d", e.Seq, last)
			}
			last = e.Seq
			if e.Type == wire.EventMissed {
				clear(seen) // reads the state again
				for id, v := range newest {
					seen[id] = v
				}
				return true
			}
			seen[e.CheckIn.ID] = max(seen[e.CheckIn.ID], e.CheckIn.Version)
			return true
		}
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "publish") {
				id := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "id")
				newest[id]++
				b.Publish(checkin(id, newest[id]), "him")
				continue
			}
			take()
		}
		for take() {
		}
		if diff := cmp.Diff(newest, seen); diff != "" {
			t.Fatalf("(-published +known):\n%s", diff)
		}
	})
}

func TestNextWaits(t *testing.T) {
	b := event.New()
	s := b.Subscribe("", 0)
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 1)
	go func() {
		_, err := s.Next(ctx)
		errs <- err
	}()
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	go func() {
		_, err := s.Next(t.Context())
		errs <- err
	}()
	b.Publish(wire.Event{Type: wire.EventLink}, event.Everybody)
	if err := <-errs; err != nil {
		t.Errorf("an event: %v", err)
	}
	b.Publish(wire.Event{Type: wire.EventLink}, event.Everybody)
	b.Close()
	if _, err := s.Next(t.Context()); err != nil {
		t.Errorf("what waited when the bus closed: %v", err)
	}
	if _, err := s.Next(t.Context()); !errors.Is(err, event.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	late := b.Subscribe("", 0)
	if _, err := late.Next(t.Context()); !errors.Is(err, event.ErrClosed) {
		t.Errorf("a late subscriber: %v", err)
	}
}

// Publishers, subscribers and closers at once; for the race detector, and nobody
// waits for anybody.
func TestConcurrent(t *testing.T) {
	b := event.New()
	var readers, writers sync.WaitGroup
	for i := range 4 {
		s := b.Subscribe(fmt.Sprint(i%2), 2)
		readers.Go(func() {
			defer s.Close()
			for n := 0; ; n++ {
				if _, err := s.Next(t.Context()); err != nil {
					return
				}
				if i == 3 && n == 10 {
					return
				}
			}
		})
	}
	for i := range 4 {
		writers.Go(func() {
			for v := range uint64(500) {
				b.Publish(checkin(fmt.Sprint(i), v), fmt.Sprint(i%2))
			}
		})
	}
	writers.Wait()
	b.Close()
	readers.Wait()
}
