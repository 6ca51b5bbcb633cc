package uplink

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chamthe/chamthe/sync/internal/natsconn"
)

// TestTenThousandAgentsReturn has all agents lose the same server at once and
// looks at when they are back, and when they begin to send.
func TestTenThousandAgentsReturn(t *testing.T) {
	const (
		agents   = 10_000
		retryMin = 2 * time.Second // the defaults
		retryMax = time.Minute
	)
	tests := []struct {
		name   string
		outage time.Duration
		// The most that may come within any one second. Of ten thousand over a
		// minute 167 are the mean; those that wait with a ceiling of a minute come
		// at twice that rate at first.
		connects, begins int
	}{
		// Those who look within the first two seconds find nobody and soon try again.
		{"a restart of the server", 2 * time.Second, 1800, 1300},
		{"ten minutes", 10 * time.Minute, 450, 350},
		{"a month", 30 * 24 * time.Hour, 450, 350},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			s := spread{draw: func(below time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(below))) }}
			connects, begins := make(map[int]int), make(map[int]int)
			for range agents {
				// As in Run, from the loss of the link on.
				b := natsconn.Backoff{Min: retryMin, Max: retryMax}
				b.Next()
				at := s.reconnect(retryMax)
				for at < tt.outage {
					if tt.outage-at > 3*retryMax {
						at = tt.outage - 3*retryMax // nothing happens in between
						for range 10 {
							b.Next() // the ceiling is reached
						}
					}
					at += b.Next()
				}
				connects[int((at-tt.outage)/time.Second)]++
				begins[int((at+s.turn(at, retryMax)-tt.outage)/time.Second)]++
			}
			for _, x := range []struct {
				what string
				per  map[int]int
				most int
			}{{"connect", connects, tt.connects}, {"begin to send", begins, tt.begins}} {
				most, last := 0, 0
				for second, n := range x.per {
					most, last = max(most, n), max(last, second)
				}
				t.Logf("%d at most %s within a second, the last after %d s", most, x.what, last)
				if most > x.most {
					t.Errorf("%d agents %s within one second, want at most %d", most, x.what, x.most)
				}
				if last > 125 {
					t.Errorf("the last one would %s after %d s", x.what, last)
				}
			}
		})
	}
}

func TestSpreadIsUniform(t *testing.T) {
	var s spread // with the randomness of every day
	const draws, parts, limit = 100_000, 20, time.Minute
	var count [parts]int
	for range draws {
		d := s.turn(time.Hour, limit)
		if d < 0 || d >= limit {
			t.Fatalf("%v is not below %v", d, limit)
		}
		count[d*parts/limit]++
	}
	for i, n := range count {
		// 5,000 each, with a deviation of 69: ten of them.
		if n < 4300 || n > 5700 {
			t.Errorf("part %d: %d draws, want about %d", i, n, draws/parts)
		}
	}
	if d := s.turn(0, limit); d != 0 {
		t.Errorf("without an outage: %v", d)
	}
	for range 1000 {
		if d := s.turn(time.Second, limit); d >= time.Second {
			t.Fatalf("%v after an outage of a second", d)
		}
	}
}
