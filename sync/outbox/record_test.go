package outbox_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/chamthe/chamthe/sync/outbox"
)

func FuzzDecodeEntry(f *testing.F) {
	at := time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)
	for _, e := range []outbox.Entry{entry("a"), {ID: "b", Subject: "s", Payload: []byte{0}}} {
		b, err := outbox.EncodeEntry(e, at)
		if err != nil || len(b) == 0 {
			f.Fatalf("no seed: %v", err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
		b[1] = 0xFF // a head that is longer than everything
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := outbox.DecodeEntry(b)
		if err != nil {
			if !errors.Is(err, outbox.ErrDamaged) || !cmp.Equal(e, outbox.Entry{}) {
				t.Errorf("%v, %v", e, err)
			}
			return
		}
		again, err := outbox.EncodeEntry(e, e.RecordedAt)
		if err != nil {
			return // larger than Put would have taken, or a year that JSON has not
		}
		back, err := outbox.DecodeEntry(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, back, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("round trip (-first +second):\n%s", diff)
		}
	})
}
