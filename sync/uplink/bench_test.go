package uplink_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/outbox"
)

// benchmarkVisits is what one round drains.
const benchmarkVisits = 2000

// BenchmarkDrain compares the outbox with bare asynchronous publishing of the
// same messages to the same kind of server. The ratio of visits per second is
// what counts; the outbox's side includes connecting, opening the sealed entries
// and the transactions that mark them stored.
func BenchmarkDrain(b *testing.B) {
	for _, bb := range []struct {
		name  string
		opt   natsd.Options
		drain func(*testing.B, *agent, *service)
	}{
		{"default/outbox", natsd.Options{}, drainOutbox},
		{"default/bare", natsd.Options{}, drainBare},
		{"SyncAlways/outbox", natsd.Options{SyncAlways: true}, drainOutbox},
		{"SyncAlways/bare", natsd.Options{SyncAlways: true}, drainBare},
	} {
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s := newService(b, bb.opt)
				a := newAgent(b)
				s.enrol(a)
				for range benchmarkVisits {
					a.record()
				}
				b.StartTimer()
				bb.drain(b, a, s)
				b.StopTimer()
				s.stop()
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N)*benchmarkVisits/b.Elapsed().Seconds(), "visits/s")
		})
	}
}

func drainOutbox(b *testing.B, a *agent, s *service) {
	cfg := a.config(s.url())
	cfg.Logger = nil
	_, stop := a.run(cfg)
	eventually(b, "all stored", func() bool { return a.stats().Queued == 0 })
	b.StopTimer()
	stop()
	b.StartTimer()
}

func drainBare(b *testing.B, a *agent, s *service) {
	b.StopTimer()
	entries := make([]outbox.Entry, 0, benchmarkVisits)
	for after := uint64(0); len(entries) < benchmarkVisits; after = entries[len(entries)-1].Seq {
		page, err := a.queue.Next(b.Context(), after, benchmarkVisits)
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, page...)
	}
	js, err := jetstream.New(s.nc, jetstream.WithPublishAsyncMaxPending(256))
	if err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
	for _, e := range entries {
		m := &nats.Msg{Subject: e.Subject, Header: nats.Header(e.Header), Data: e.Payload}
		if _, err := js.PublishMsgAsync(m, jetstream.WithMsgID(e.ID)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}
