package apdu_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
)

// longAnswer has 300 bytes to say, in pieces as long as it is asked for.
type longAnswer struct {
	left int
	asks []int
}

func (l *longAnswer) Transmit(_ context.Context, cmd []byte) ([]byte, error) {
	ne := int(cmd[len(cmd)-1])
	if ne == 0 {
		ne = 256
	}
	l.asks = append(l.asks, ne)
	n := min(ne, l.left)
	l.left -= n
	resp := bytes.Repeat([]byte{0xAA}, n)
	if l.left > 0 {
		return append(resp, 0x61, byte(min(l.left, 255))), nil
	}
	return append(resp, 0x90, 0x00), nil
}

func TestSessionLimit(t *testing.T) {
	for _, tt := range []struct{ limit, longest int }{{0, 256}, {112, 112}, {1000, 256}, {-1, 256}} {
		card := &longAnswer{left: 300}
		s := apdu.NewSession(card)
		s.Limit(tt.limit)
		resp, err := s.Do(t.Context(), apdu.Command{INS: 0x88, Ne: 256})
		if err != nil || len(resp.Data) != 300 || resp.SW != apdu.OK {
			t.Errorf("limit %d: %d bytes, %v, %v", tt.limit, len(resp.Data), resp.SW, err)
		}
		for i, n := range card.asks {
			if n > tt.longest || i == 0 && n != tt.longest {
				t.Errorf("limit %d: exchange %d asks for %d bytes", tt.limit, i, n)
			}
		}
	}
}
