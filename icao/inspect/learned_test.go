package inspect_test

import (
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/lds"
)

// sized has a portrait that takes a few exchanges, more with a limit.
func sized(v chip.Variant) chip.Variant {
	v.Portrait = chip.Portrait{Image: thumbnail(), Width: 8, Height: 8, Size: 3000}
	return v
}

// tapped inspects a document that was not seen before in the same reader.
func tapped(t *testing.T, d *chip.Document, learned *lds.Learned, change func(*inspect.Config)) (*inspect.Report, error) {
	t.Helper()
	c, err := d.Chip()
	if err != nil {
		t.Fatal(err)
	}
	cfg := &inspect.Config{At: at, Trust: pool(t, d.CSCA), Photo: true, Learned: learned}
	if change != nil {
		change(cfg)
	}
	return inspect.Run(t.Context(), resettable{&terminal{chip: c}}, access(t, d), cfg)
}

// neverAgain is randomness that never has limits put to the test.
type neverAgain struct{}

func (neverAgain) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 0x11
	}
	return len(p), nil
}

// What one tap has found out spares the next its detours.
func TestLearnedSparesTheNextTap(t *testing.T) {
	for name, v := range map[string]chip.Variant{
		"6700":                          {Limits: chip.Limits{Plain: 192, Protected: 192, OverLimit: apdu.WrongLength}},
		"6700 in clear, channel lost":   {Limits: chip.Limits{Plain: 192, Protected: 192, OverLimit: apdu.WrongLength}, Quirks: chip.Quirks{Naked: chip.NakedEnds}},
		"no short identifiers":          {Quirks: chip.Quirks{NoShortID: apdu.IncorrectP1P2}},
		"nothing beyond the end, clear": {Limits: chip.Limits{ShortEnd: apdu.WrongLength}, Quirks: chip.Quirks{Naked: chip.NakedEnds}},
	} {
		t.Run(name, func(t *testing.T) {
			d := variant(t, sized(v))
			var learned lds.Learned
			never := func(c *inspect.Config) { c.Rand = neverAgain{} }
			first, err := tapped(t, d, &learned, never)
			if err != nil || learned == (lds.Learned{}) {
				t.Fatalf("%v; learned %+v", err, learned)
			}
			was := learned
			second, err := tapped(t, d, &learned, never)
			if err != nil || second.Err(inspect.GenuineIDs()...) != nil || len(second.Deviations) > 0 {
				t.Fatalf("%v, %v, %q", err, second.Err(inspect.GenuineIDs()...), second.Deviations)
			}
			if second.Exchanges >= first.Exchanges || learned != was {
				t.Errorf("%d exchanges after %d; learned %+v, then %+v", second.Exchanges, first.Exchanges, was, learned)
			}
		})
	}
}

// A read that a limit ends, because nobody can reset the chip, is not in vain.
func TestLearnedFromAFailedRead(t *testing.T) {
	v := chip.Variant{
		Limits: chip.Limits{Plain: 160, Protected: 160, OverLimit: apdu.WrongLength, ShortEnd: apdu.WrongLength},
		Quirks: chip.Quirks{Naked: chip.NakedEnds},
	}
	d := variant(t, sized(v))
	var learned lds.Learned
	for taps := 1; ; taps++ {
		c, err := d.Chip()
		if err != nil {
			t.Fatal(err)
		}
		was := learned
		r, err := inspect.Run(t.Context(), c, access(t, d), &inspect.Config{At: at, Trust: pool(t, d.CSCA), Photo: true, Learned: &learned})
		if err == nil {
			if taps == 1 || r.Photo == nil {
				t.Errorf("read at tap %d", taps)
			}
			return
		}
		if learned == was || taps > 8 {
			t.Fatalf("tap %d: %v, and nothing learned: %+v", taps, err, learned)
		}
	}
}

// Nothing that a store may hold makes a read fail; it takes longer, and not for ever.
func TestLearnedNeverMakesAReadFail(t *testing.T) {
	for name, v := range map[string]chip.Variant{
		"3DES":    {},
		"AES-256": {PACE: []chip.PACE{paceOf(ecdhGM, 4, 13)}},
		"limited": {Limits: chip.Limits{Plain: 48, Protected: 48, OverLimit: apdu.WrongLength}},
	} {
		d := variant(t, sized(v))
		plain, err := tapped(t, d, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{-1 << 62, -1, 0, 1, 15, 32, 48, 64, 111, 112, 256, 65536, 1 << 62} {
			for _, flags := range []lds.Learned{{}, {NoSFI: true}, {Probe: true}, {NoSFI: true, Probe: true}} {
				flags.MaxNe = n
				learned := flags
				r, err := tapped(t, d, &learned, nil)
				if err != nil || r.Photo == nil || r.Err(inspect.GenuineIDs()...) != nil {
					t.Errorf("%s, %+v: %v", name, flags, err)
				}
				if r.Exchanges > 4*plain.Exchanges {
					t.Errorf("%s, %+v: %d exchanges, %d without", name, flags, r.Exchanges, plain.Exchanges)
				}
				if learned.MaxNe < 0 || learned.MaxNe > 0 && learned.MaxNe < 112 {
					t.Errorf("%s, %+v: learned %+v", name, flags, learned)
				}
			}
		}
	}
}

// A card that refuses every length, and is believed while it is there, does not
// spoil the next one: what it leaves has a bound, and is forgotten after a few reads.
func TestLearnedFromAHostileCardHeals(t *testing.T) {
	v := sized(chip.Variant{Limits: chip.Limits{ShortEnd: apdu.WrongLength}})
	hostile, honest := variant(t, v), variant(t, sized(chip.Variant{}))
	var learned lds.Learned
	for range 5 {
		c, err := hostile.Chip()
		if err != nil {
			t.Fatal(err)
		}
		reads := 0
		term := &terminal{chip: c, answer: func(cmd, resp []byte) []byte {
			if cmd[1] == 0xB0 { // in clear, each time
				if reads++; reads > 3 {
					return []byte{0x67, 0x00}
				}
			}
			return resp
		}}
		if _, err := inspect.Run(t.Context(), resettable{term}, access(t, hostile), &inspect.Config{At: at, Trust: pool(t, hostile.CSCA), Photo: true, Learned: &learned}); err == nil {
			t.Fatal("the hostile card was read")
		}
	}
	if learned == (lds.Learned{}) {
		t.Fatal("nothing learned: the test tests nothing")
	}
	plain, err := tapped(t, honest, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	random := stream("healing")
	for taps := 1; learned != (lds.Learned{}); taps++ {
		r, err := tapped(t, honest, &learned, func(c *inspect.Config) { c.Rand = random })
		if err != nil || r.Err(inspect.GenuineIDs()...) != nil {
			t.Fatalf("tap %d: %v", taps, err)
		}
		if r.Exchanges > 4*plain.Exchanges {
			t.Errorf("tap %d: %d exchanges, %d without limits", taps, r.Exchanges, plain.Exchanges)
		}
		if taps == 200 {
			t.Fatalf("not forgotten: %+v", learned)
		}
	}
}

// Limits that do hold outlast the tests that they are put to, which cost no report.
func TestLearnedLimitsThatHoldAreKept(t *testing.T) {
	for name, naked := range map[string]chip.Naked{"protected": chip.NakedNo, "in clear": chip.NakedEnds} {
		t.Run(name, func(t *testing.T) {
			d := variant(t, sized(chip.Variant{
				Limits: chip.Limits{Plain: 192, Protected: 192, OverLimit: apdu.WrongLength}, Quirks: chip.Quirks{Naked: naked},
			}))
			var learned lds.Learned
			if _, err := tapped(t, d, &learned, nil); err != nil || learned.MaxNe != 192 {
				t.Fatalf("%v; learned %+v", err, learned)
			}
			random, put := stream("keeping"), 0
			fewest := 0
			for range 60 {
				r, err := tapped(t, d, &learned, func(c *inspect.Config) { c.Rand = random })
				if err != nil || r.Err(inspect.GenuineIDs()...) != nil || len(r.Deviations) > 0 {
					t.Fatalf("%v, %v, %q", err, r.Err(inspect.GenuineIDs()...), r.Deviations)
				}
				if fewest == 0 {
					fewest = r.Exchanges
				}
				if r.Exchanges > fewest {
					put++
				}
				if learned.MaxNe != 192 {
					t.Fatalf("forgotten: %+v", learned)
				}
			}
			if put == 0 || put > 15 {
				t.Errorf("put to the test in %d of 60 taps", put)
			}
		})
	}
}
