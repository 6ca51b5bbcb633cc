package speedtest

import (
	"fmt"
	"testing"
	"time"
)

// The figures that the model was published with, inside the project: reading 15,000
// bytes in pieces, with 30 bytes of secure messaging in every response and 20 in every
// command beside its header, in seconds.
func TestLinkModel(t *testing.T) {
	const size, tolerance = 15_000, 150 * time.Millisecond
	rates := []int{106_000, 212_000, 424_000, 848_000}
	for _, row := range []struct {
		payload int
		seconds [4]float64 // by rate
	}{
		{112, [4]float64{4.0, 3.0, 2.5, 2.2}},
		{160, [4]float64{3.2, 2.3, 1.9, 1.6}},
		{223, [4]float64{2.6, 1.8, 1.4, 1.2}},
		{1000, [4]float64{1.7, 1.0, 0.6, 0.5}},
		{1900, [4]float64{1.5, 0.9, 0.5, 0.4}},
	} {
		for i, rate := range rates {
			t.Run(fmt.Sprintf("%d bytes at %d", row.payload, rate), func(t *testing.T) {
				var got time.Duration
				for rest := size; rest > 0; rest -= row.payload {
					got += Typical(rate).Exchange(20, min(rest, row.payload)+30, true)
				}
				if want := time.Duration(row.seconds[i] * float64(time.Second)); (got - want).Abs() > tolerance {
					t.Errorf("%v, want %v", got, want)
				}
			})
		}
	}
}

// Each term of the model, by itself.
func TestLinkTerms(t *testing.T) {
	for _, tt := range []struct {
		name           string
		link           Link
		sent, received int
		protected      bool
		want           time.Duration
	}{
		{"host and chip", Link{BitRate: 1, FrameSize: 1, Chip: 3, Host: 4}, 100, 100, true, 7},
		{"bits", Link{BitRate: 9_000, BitsPerByte: 9, FrameSize: 1}, 10, 20, false, 30 * time.Millisecond},
		{"frames, both ways rounded up", Link{BitRate: 1, FrameSize: 256, Turnaround: 1}, 5, 257, false, 3},
		{"blocks, together rounded up", Link{BitRate: 1, FrameSize: 1, ChipBlock: 1}, 16, 17, true, 3},
		{"blocks in clear", Link{BitRate: 1, FrameSize: 1, ChipBlock: 1}, 16, 17, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.link.Exchange(tt.sent, tt.received, tt.protected); got != tt.want {
				t.Errorf("%d ns, want %d", got, tt.want)
			}
		})
	}
}
