package outbox_test

import (
	"encoding/binary"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/outbox"
)

// visitSize is what an encoded visit has: EF.SOD, DG1, DG15 and a signature.
const visitSize = 5000

func BenchmarkPut(b *testing.B) {
	q := newBox(b)
	e := entry("")
	e.Payload = make([]byte, visitSize)
	b.SetBytes(visitSize)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		e.ID = strconv.Itoa(n)
		if err := q.Put(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareBolt is the same amount of data in a transaction of its own, by
// bbolt alone: what Put is measured against.
func BenchmarkBareBolt(b *testing.B) {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	value := make([]byte, visitSize)
	b.SetBytes(visitSize)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		err := db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("visits"))
			if err != nil {
				return err
			}
			return bucket.Put(binary.BigEndian.AppendUint64(nil, n), value)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRatio records visits and writes bare transactions of the same size in
// turn, on the same disk, so that what else the machine does meets both. The
// ratio of the rates is what counts. A visit is in more places than its bytes: by
// its number, by its id, and by its state. What that costs is processor time and
// pages, and fsync waits for both, so the ratio is near 1 on a slow disk.
func BenchmarkRatio(b *testing.B) {
	q := newBox(b)
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	const turn = 20
	e := entry("")
	e.Payload = make([]byte, visitSize)
	var recording, bare time.Duration
	n := 0
	for b.Loop() {
		began := time.Now()
		for i := range turn {
			e.ID = strconv.Itoa(n + i)
			if err := q.Put(b.Context(), e); err != nil {
				b.Fatal(err)
			}
		}
		recorded := time.Now()
		for i := range turn {
			err := db.Update(func(tx *bbolt.Tx) error {
				bucket, err := tx.CreateBucketIfNotExists([]byte("visits"))
				if err != nil {
					return err
				}
				return bucket.Put(binary.BigEndian.AppendUint64(nil, uint64(n+i)), e.Payload)
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		recording += recorded.Sub(began)
		bare += time.Since(recorded)
		n += turn
	}
	rate := func(d time.Duration) float64 { return float64(n) / d.Seconds() }
	ratio := bare.Seconds() / recording.Seconds()
	b.ReportMetric(ratio, "ratio")
	b.Logf("bench-sync\trecorded visits, against bare bbolt transactions of the same size\t%.2f (%.0f and %.0f a second)\t>= 0.7", ratio, rate(recording), rate(bare))
}

// BenchmarkNext reads a backlog from end to end.
func BenchmarkNext(b *testing.B) {
	q := newBox(b)
	const entries = 500
	e := entry("")
	e.Payload = make([]byte, visitSize)
	for i := range entries {
		e.ID = strconv.Itoa(i)
		if err := q.Put(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(entries * visitSize)
	b.ReportAllocs()
	for b.Loop() {
		after, n := uint64(0), 0
		for {
			batch, err := q.Next(b.Context(), after, 64)
			if err != nil {
				b.Fatal(err)
			}
			if len(batch) == 0 {
				break
			}
			n += len(batch)
			after = batch[len(batch)-1].Seq
		}
		if n != entries {
			b.Fatalf("%d entries", n)
		}
	}
}

// BenchmarkMarkStored settles a window of acknowledgements in one transaction.
func BenchmarkMarkStored(b *testing.B) {
	q := newBox(b)
	const window = 64
	n := 0
	for b.Loop() {
		b.StopTimer()
		acks := make([]outbox.Ack, window)
		for i := range acks {
			n++
			e := entry(strconv.Itoa(n))
			if err := q.Put(b.Context(), e); err != nil {
				b.Fatal(err)
			}
			acks[i] = outbox.Ack{ID: e.ID, Stream: "VISITS", Seq: uint64(n)}
		}
		b.StartTimer()
		if err := q.MarkStored(b.Context(), acks...); err != nil {
			b.Fatal(err)
		}
	}
}
