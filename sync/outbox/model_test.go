package outbox_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
)

// modelEntry is what a plain slice knows of an entry.
type modelEntry struct {
	id       string
	payload  string
	state    outbox.State
	verdict  *contract.Verdict
	settled  time.Time // when it was accepted
	recorded time.Time
	purged   bool
	place    uint64 // in the stream, as last acknowledged
}

// model is the queue as one would write it without a disk.
type model struct{ entries []*modelEntry }

func (m *model) find(id string) *modelEntry {
	for _, e := range m.entries {
		if e.id == id {
			return e
		}
	}
	return nil
}

func (m *model) in(s outbox.State) []string {
	ids := []string{}
	for _, e := range m.entries {
		if e.state == s && !e.purged {
			ids = append(ids, e.id)
		}
	}
	return ids
}

// TestModel compares the queue with the slice under random use.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBox(t)
		m := &model{}
		id := func() string { return fmt.Sprintf("id-%d", rapid.IntRange(0, 12).Draw(rt, "id")) }
		ctx := context.Background()
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				e := entry(id())
				e.Payload = []byte(rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "payload"))
				err := b.Put(ctx, e)
				switch known := m.find(e.ID); {
				case known == nil:
					if err != nil {
						rt.Fatal(err)
					}
					m.entries = append(m.entries, &modelEntry{id: e.ID, payload: string(e.Payload), state: outbox.Queued, recorded: b.now})
				case known.payload == string(e.Payload):
					if err != nil {
						rt.Fatalf("the same again: %v", err)
					}
				default:
					if err != outbox.ErrConflict {
						rt.Fatalf("conflict: %v", err)
					}
				}
			},
			"ack": func(rt *rapid.T) {
				var acks []outbox.Ack
				for range rapid.IntRange(1, 3).Draw(rt, "acks") {
					acks = append(acks, outbox.Ack{ID: id(), Stream: "VISITS", Seq: rapid.Uint64Range(1, 9).Draw(rt, "place")})
				}
				if err := b.MarkStored(ctx, acks...); err != nil {
					rt.Fatal(err)
				}
				for _, a := range acks {
					if e := m.find(a.ID); e != nil && e.state == outbox.Queued {
						e.state, e.place = outbox.Stored, a.Seq
					}
				}
			},
			"verdict": func(rt *rapid.T) {
				var verdicts []contract.Verdict
				for range rapid.IntRange(1, 3).Draw(rt, "verdicts") {
					v := accepted(id())
					switch rapid.IntRange(0, 3).Draw(rt, "verdict") {
					case 0:
						v = rejected(v.Visit, contract.ReasonTime)
					case 1:
						v = rejected(v.Visit, contract.ReasonChipSignature)
					case 2:
						v = contract.Verdict{Version: 1, Visit: v.Visit, State: contract.VerdictRetry, Reason: contract.ReasonUnavailable}
					}
					v.At = time.Unix(int64(rapid.IntRange(1000, 1002).Draw(rt, "at")), 0).UTC()
					verdicts = append(verdicts, v)
				}
				changed, err := b.Verdict(ctx, verdicts...)
				if err != nil {
					rt.Fatal(err)
				}
				want := []string{}
				for _, v := range verdicts {
					e := m.find(v.Visit)
					if e == nil || e.purged || e.state == outbox.Accepted {
						continue
					}
					old := e.state
					same := e.verdict != nil && e.verdict.State == v.State && e.verdict.Reason == v.Reason && e.verdict.At.Equal(v.At)
					if e.verdict != nil && v.State != contract.VerdictAccepted && v.At.Before(e.verdict.At) {
						continue // from the past
					}
					switch v.State {
					case contract.VerdictAccepted:
						e.state, e.settled = outbox.Accepted, b.now
					case contract.VerdictRejected:
						if same && e.state == outbox.Queued {
							continue // read again, after somebody put it back
						}
						e.state = outbox.Rejected
					}
					e.verdict = &v
					if e.state != old {
						want = append(want, v.Visit)
					}
				}
				got := []string{}
				for _, it := range changed {
					got = append(got, it.ID)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					rt.Fatalf("changed (-want +got):\n%s", diff)
				}
			},
			"requeue": func(rt *rapid.T) {
				i := id()
				err := b.Requeue(ctx, i)
				switch e := m.find(i); {
				case e == nil || e.purged:
					if err != outbox.ErrNotFound {
						rt.Fatal(err)
					}
				case e.state == outbox.Accepted:
					if err != outbox.ErrFinal {
						rt.Fatal(err)
					}
				default:
					if err != nil {
						rt.Fatal(err)
					}
					e.state = outbox.Queued
				}
			},
			"purge": func(rt *rapid.T) {
				before := b.now.Add(-time.Duration(rapid.IntRange(0, 100).Draw(rt, "age")) * time.Minute)
				n, err := b.Purge(ctx, before, 1000)
				if err != nil {
					rt.Fatal(err)
				}
				for _, e := range m.entries {
					if e.state == outbox.Accepted && !e.purged && e.settled.Before(before) {
						e.purged = true
						n--
					}
				}
				if n != 0 {
					rt.Fatalf("purged %d more than the model", n)
				}
			},
			"clock": func(rt *rapid.T) {
				// In both directions, by more than a day.
				b.now = b.now.Add(time.Duration(rapid.IntRange(-1500, 1500).Draw(rt, "minutes")) * time.Minute)
			},
			"reopen": func(*rapid.T) { b.reopen() },
			"next": func(rt *rapid.T) {
				// In pages from any place on, as the uplink reads.
				after := rapid.Uint64Range(0, uint64(len(m.entries))+1).Draw(rt, "after")
				n := rapid.IntRange(1, 4).Draw(rt, "n")
				want := []string{}
				for i, e := range m.entries {
					if e.state == outbox.Queued && uint64(i) >= after && len(want) < n {
						want = append(want, fmt.Sprint(i+1, e.id, e.payload))
					}
				}
				entries, err := b.Next(ctx, after, n)
				if err != nil {
					rt.Fatal(err)
				}
				got := []string{}
				for _, e := range entries {
					got = append(got, fmt.Sprint(e.Seq, e.ID, string(e.Payload)))
					if w := entry(e.ID); e.Subject != w.Subject || !reflect.DeepEqual(e.Header, w.Header) {
						rt.Fatalf("%s: another subject or header", e.ID)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					rt.Fatalf("next (-model +queue):\n%s", diff)
				}
			},
			"get": func(rt *rapid.T) {
				i := id()
				e, it, err := b.Get(ctx, i)
				w := m.find(i)
				if w == nil || w.purged {
					if err != outbox.ErrNotFound {
						rt.Fatal(err)
					}
					return
				}
				if err != nil || string(e.Payload) != w.payload || it.State != w.state || it.StreamSeq != w.place || (it.Verdict == nil) != (w.verdict == nil) {
					rt.Fatalf("%s: %v %v %d %v, %v; want %v", i, it.State, it.Verdict, it.StreamSeq, string(e.Payload) == w.payload, err, w)
				}
				if w.verdict != nil && (it.Verdict.State != w.verdict.State || it.Verdict.Reason != w.verdict.Reason || !it.Verdict.At.Equal(w.verdict.At)) {
					rt.Fatalf("%s: verdict %v, want %v", i, it.Verdict, w.verdict)
				}
			},
			"": func(rt *rapid.T) {
				if diff := cmp.Diff(m.in(outbox.Queued), b.queued()); diff != "" {
					rt.Fatalf("queued (-model +queue):\n%s", diff)
				}
				want := outbox.Stats{
					Queued: len(m.in(outbox.Queued)), Stored: len(m.in(outbox.Stored)),
					Accepted: len(m.in(outbox.Accepted)), Rejected: len(m.in(outbox.Rejected)),
				}
				if i := slices.IndexFunc(m.entries, func(e *modelEntry) bool { return e.state == outbox.Queued }); i >= 0 {
					want.Oldest = m.entries[i].recorded
				}
				if diff := cmp.Diff(want, b.stats()); diff != "" {
					rt.Fatalf("stats (-model +queue):\n%s", diff)
				}
				for _, s := range []outbox.State{outbox.Queued, outbox.Stored, outbox.Accepted, outbox.Rejected} {
					items, err := b.List(ctx, s, 0, 1000)
					if err != nil {
						rt.Fatal(err)
					}
					ids := []string{}
					for _, it := range items {
						ids = append(ids, it.ID)
					}
					if diff := cmp.Diff(m.in(s), ids); diff != "" {
						rt.Fatalf("%v (-model +queue):\n%s", s, diff)
					}
				}
			},
		})
	})
}
