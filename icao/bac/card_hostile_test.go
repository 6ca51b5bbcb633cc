package bac_test

import (
	"context"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/bac"
)

// scripted answers with pieces of its script, each with its length before it.
type scripted struct {
	script []byte
	sent   int
}

func (s *scripted) Do(context.Context, apdu.Command) (apdu.Response, error) {
	s.sent++
	if len(s.script) == 0 {
		return apdu.Response{}, apdutest.ErrGone
	}
	n := min(int(s.script[0]), len(s.script)-1)
	r := s.script[1 : 1+n]
	s.script = s.script[1+n:]
	return apdu.ParseResponse(r)
}

// ownRandom is other randomness than that of the example: with the example's,
// the example's card would be let in, as it should.
type ownRandom struct{}

func (ownRandom) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(0x55 + i)
	}
	return len(b), nil
}

// FuzzHostileCard: a responder that does not know the key gets two commands and
// no channel.
func FuzzHostileCard(f *testing.F) {
	answer := func(script, data []byte, sw ...byte) []byte {
		script = append(script, byte(len(data)+len(sw)))
		return append(append(script, data...), sw...)
	}
	challenge := answer(nil, make([]byte, 8), 0x90, 0)
	f.Add(answer(challenge, make([]byte, 40), 0x90, 0))
	f.Add(answer(challenge, nil, 0x63, 0))
	f.Add(answer(challenge, make([]byte, 39), 0x90, 0))
	f.Add(answer(nil, make([]byte, 7), 0x90, 0))
	f.Add([]byte{2, 0x6D, 0})
	key := exampleKey(f)
	f.Fuzz(func(t *testing.T, script []byte) {
		d := &scripted{script: script}
		ch, err := bac.Establish(t.Context(), d, key, &bac.Config{Rand: ownRandom{}})
		if ch != nil || err == nil {
			t.Error("a channel with a card that does not know the key")
		}
		if d.sent > 2 {
			t.Errorf("%d commands", d.sent)
		}
	})
}
