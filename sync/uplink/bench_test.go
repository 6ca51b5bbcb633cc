package uplink_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/outbox"
)

// benchmarkVisits is what one round drains.
const benchmarkVisits = 5000

// BenchmarkDrain compares the outbox with bare asynchronous publishing of the
// same messages to the same kind of server, in turn. The ratio of visits per
// second is what counts; the outbox's side includes connecting, reading and
// opening the sealed entries, and the transactions that mark them stored. With a
// server that writes to the disk before it answers, as one for visits does, that
// happens while it writes: 0.97. With one that does not, every microsecond counts:
// opening a visit takes 5, marking it 6, and a sync of the queue's own file, which
// nothing can leave out, as long as the disk takes. That gave 0.61 on a machine with
// two processors and much other work (0.27 at that moment with an eighth of
// markBatch), at more than ten thousand visits a second. The aim of 0.8 is missed
// there; nobody has a link that would show it.
func BenchmarkDrain(b *testing.B) {
	for _, bb := range []struct {
		name, what, aim string
		opt             natsd.Options
	}{
		{"SyncAlways", "a server with sync_interval: always", ">= 0.8", natsd.Options{SyncAlways: true}},
		{"default", "a server that syncs every two minutes", "", natsd.Options{}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var outbox, bare time.Duration
			for b.Loop() {
				for _, side := range []struct {
					drain func(*testing.B, *agent, *service) time.Duration
					sum   *time.Duration
				}{{drainOutbox, &outbox}, {drainBare, &bare}} {
					s := newService(b, bb.opt)
					a := newAgent(b)
					s.enrol(a)
					for range benchmarkVisits {
						a.record()
					}
					*side.sum += side.drain(b, a, s)
					s.stop()
				}
			}
			rate := func(d time.Duration) float64 { return float64(b.N*benchmarkVisits) / d.Seconds() }
			ratio := rate(outbox) / rate(bare)
			b.ReportMetric(ratio, "ratio")
			b.Logf("bench-sync\toutbox drained, against bare asynchronous publishing to %s\t%.2f (%.0f and %.0f a second)\t%s",
				bb.what, ratio, rate(outbox), rate(bare), bb.aim)
		})
	}
}

func drainOutbox(b *testing.B, a *agent, s *service) time.Duration {
	cfg := a.config(s.url())
	cfg.Logger = nil
	began := time.Now()
	_, stop := a.run(cfg)
	eventually(b, "all stored", func() bool { return a.stats().Queued == 0 })
	took := time.Since(began)
	stop()
	return took
}

func drainBare(b *testing.B, a *agent, s *service) time.Duration {
	entries := make([]outbox.Entry, 0, benchmarkVisits)
	for after := uint64(0); len(entries) < benchmarkVisits; after = entries[len(entries)-1].Seq {
		page, err := a.queue.Next(b.Context(), after, benchmarkVisits)
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, page...)
	}
	js, err := jetstream.New(s.nc, jetstream.WithPublishAsyncMaxPending(256), jetstream.WithPublishAsyncTimeout(patience))
	if err != nil {
		b.Fatal(err)
	}
	defer js.CleanupPublisher()
	began := time.Now()
	for _, e := range entries {
		m := &nats.Msg{Subject: e.Subject, Header: nats.Header(e.Header), Data: e.Payload}
		if _, err := js.PublishMsgAsync(m, jetstream.WithMsgID(e.ID), jetstream.WithStallWait(patience)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	return time.Since(began)
}
