package reader_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/virtual"
)

// Of what a store says, a lease believes what was learned lately, within bounds.
func TestLimitsOfStore(t *testing.T) {
	const name = "Reader of a clinic 00 00"
	for _, tt := range []struct {
		name   string
		age    time.Duration
		stored reader.Limits
		want   reader.Limits
	}{
		{"now", 0, reader.Limits{MaxNe: 112}, reader.Limits{MaxNe: 112}},
		{"just not too old", reader.LimitLife - 1, reader.Limits{MaxNe: 112}, reader.Limits{MaxNe: 112}},
		{"too old", reader.LimitLife, reader.Limits{MaxNe: 112, NoSFI: true}, reader.Limits{}},
		{"of the future", -50 * 365 * 24 * time.Hour, reader.Limits{MaxNe: 112, NoSFI: true}, reader.Limits{}},
		{"a pause without end", 0, reader.Limits{Delay: time.Hour}, reader.Limits{Delay: 100 * time.Millisecond}},
		{"nonsense", 0, reader.Limits{MaxNe: -1, Delay: -1, Probe: true}, reader.Limits{Probe: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := virtual.New(name)
				must(t, v.Insert(name, readertest.NewChip()))
				store := new(reader.MemoryLimits)
				h := openHub(t, reader.HubConfig{Sources: sources(v), Limits: store})
				l, err := h.Take(t.Context(), name)
				must(t, err)
				key := l.Key()
				must(t, l.Close())
				tt.stored.Learned = time.Now().Add(-tt.age)
				must(t, store.Save(t.Context(), key, tt.stored))
				l, err = h.Take(t.Context(), name)
				must(t, err)
				defer l.Close()
				if got := l.Limits(); !got.Same(tt.want) {
					t.Errorf("%+v, want %+v", got, tt.want)
				}
			})
		})
	}
}
