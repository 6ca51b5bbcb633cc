package inspect_test

import (
	"context"
	"errors"
	"testing"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/lds"
)

// A clippingReader gives no response longer than most, and no word in its place;
// or it breaks off commands of extended length, or one exchange.
type clippingReader struct {
	resettable
	most       int // response data; 0: any
	noExtended bool
	at         int // the exchange that breaks off; 0: none
	exchanges  int
	broken     int
}

func (r *clippingReader) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	r.exchanges++
	resp, err := r.resettable.Transmit(ctx, cmd)
	if r.exchanges == r.at || r.noExtended && len(cmd) > 6 && cmd[4] == 0 || r.most > 0 && len(resp)-2 > r.most {
		r.broken++
		return nil, errLost
	}
	return resp, err
}

// A reader that breaks long answers off is read with shorter ones, and the next
// card with those at once.
func TestReaderThatBreaksLongAnswersOff(t *testing.T) {
	for _, tt := range []struct {
		name   string
		reader clippingReader
		maxNe  int
		want   lds.Learned
	}{
		{"231", clippingReader{most: 231}, 256, lds.Learned{MaxNe: 224}},
		{"160", clippingReader{most: 160}, 256, lds.Learned{MaxNe: 160}},
		{"112", clippingReader{most: 112}, 256, lds.Learned{MaxNe: 112}},
		{"extended length", clippingReader{noExtended: true}, 65536, lds.Learned{NoExtended: true}},
		{"extended length and 192", clippingReader{noExtended: true, most: 192}, 65536, lds.Learned{NoExtended: true, MaxNe: 192}},
	} {
		for _, profile := range []string{chip.ProfileCCCD, chip.ProfileCCCDPACE, chip.ProfilePassportPACECAM} {
			t.Run(tt.name+" "+profile, func(t *testing.T) {
				d, err := chip.Build(profile, chip.Options{At: at})
				if err != nil {
					t.Fatal(err)
				}
				var learned lds.Learned
				before := 0
				for tap := range 3 {
					r := tt.reader
					r.resettable = resettable{&terminal{chip: newChip(t, d)}}
					cfg := &inspect.Config{At: at, Trust: pool(t, d.CSCA), Photo: true, MaxNe: tt.maxNe, Learned: &learned, Rand: neverAgain{}}
					rep, err := inspect.Run(t.Context(), &r, access(t, d), cfg)
					if err != nil || rep.Err(inspect.GenuineIDs()...) != nil {
						t.Fatalf("tap %d: %v, %v; learned %+v", tap, err, rep.Err(inspect.GenuineIDs()...), learned)
					}
					if tap == 0 && r.broken < 2 {
						t.Fatalf("%d exchanges broke off: the test tests nothing", r.broken)
					}
					// What the chip signs may be longer than such a reader carries.
					if tap > 0 && r.broken > 1 || tap > 0 && r.broken > before {
						t.Errorf("tap %d: %d exchanges broke off, %d before", tap, r.broken, before)
					}
					before = r.broken
				}
				if learned != tt.want {
					t.Errorf("learned %+v, want %+v", learned, tt.want)
				}
			})
		}
	}
}

// A card that was lifted once, at whatever moment, leaves nothing behind.
func TestOneLostExchangeTeachesNothing(t *testing.T) {
	d, err := chip.Build(chip.ProfileCCCD, chip.Options{At: at})
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for n := 1; ; n++ {
		r := clippingReader{resettable: resettable{&terminal{chip: newChip(t, d)}}, at: n}
		var learned lds.Learned
		_, err := inspect.Run(t.Context(), &r, access(t, d), &inspect.Config{At: at, Trust: pool(t, d.CSCA), Photo: true, MaxNe: 65536, Learned: &learned})
		if r.broken == 0 {
			break
		}
		if err == nil {
			read++
		}
		if learned != (lds.Learned{}) {
			t.Errorf("lost exchange %d: learned %+v", n, learned)
		}
	}
	if read < 10 {
		t.Errorf("read %d times", read)
	}
}

// Where asking for less does not help, it is not the card that is blamed, and
// nothing is learned.
func TestReaderThatBreaksAllAnswersOff(t *testing.T) {
	d, err := chip.Build(chip.ProfileCCCD, chip.Options{At: at})
	if err != nil {
		t.Fatal(err)
	}
	r := clippingReader{resettable: resettable{&terminal{chip: newChip(t, d)}}, most: 90}
	var learned lds.Learned
	_, err = inspect.Run(t.Context(), &r, access(t, d), &inspect.Config{At: at, Trust: pool(t, d.CSCA), Photo: true, Learned: &learned})
	if !errors.Is(err, inspect.ErrLongAnswers) || !errors.Is(err, inspect.ErrInterrupted) || !errors.Is(err, errLost) {
		t.Errorf("error %v", err)
	}
	if learned != (lds.Learned{}) {
		t.Errorf("learned %+v", learned)
	}
}
