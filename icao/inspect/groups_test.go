package inspect_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/result"
)

// notThere are the checks of data groups that the variants of this file lack.
var notThere = map[inspect.ID]result.Value{
	inspect.DG7Integrity: nos, inspect.DG11Integrity: nos, inspect.DG12Integrity: nos, inspect.DG16Integrity: nos,
}

// asked counts commands that name a data group by its short identifier; their
// header is in clear.
type asked map[int]int

func (a asked) terminal(c *chip.Chip) *terminal {
	return &terminal{chip: c, answer: func(cmd, resp []byte) []byte {
		if cmd[1] == 0xB0 && cmd[2]&0x80 != 0 {
			a[int(cmd[2]&0x1F)]++
		}
		return resp
	}}
}

// Fingers and irises are for others: no desk asks for them, and a diagnosis asks
// once, whatever the chip says.
func TestFingersAndIrisesAreDenied(t *testing.T) {
	v := chip.Variant{Hidden: []int{3, 4}}
	for _, everything := range []bool{false, true} {
		t.Run(fmt.Sprintf("everything %t", everything), func(t *testing.T) {
			times := asked{}
			except := map[inspect.ID]result.Value{}
			if everything {
				except = notThere
			}
			accepted(t, v, variant(t, v), tap{
				change: func(c *inspect.Config) { c.All = everything }, through: times.terminal, except: except,
				report: func(t *testing.T, r *inspect.Report) {
					want := 0
					if everything {
						want = 1
					}
					for _, dg := range []int{3, 4} {
						if r.Groups[dg] != inspect.Denied || times[dg] != want {
							t.Errorf("DG%d is %v, asked for %d times, want %d", dg, r.Groups[dg], times[dg], want)
						}
					}
				},
			})
		})
	}
	all := func(c *inspect.Config) { c.All = true }
	for name, tt := range map[string]struct {
		v    chip.Variant
		want inspect.GroupState
	}{
		"refused by 6985":      {chip.Variant{Hidden: []int{3}, Refused: map[uint16]apdu.Status{0x0103: apdu.ConditionsNotSatisfied}}, inspect.Denied},
		"refused in clear":     {chip.Variant{Hidden: []int{3}, Quirks: chip.Quirks{Naked: chip.NakedEnds}}, inspect.Denied},
		"no short identifiers": {chip.Variant{Hidden: []int{3}, Quirks: chip.Quirks{NoShortID: apdu.IncorrectP1P2}}, inspect.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			var deviations []string
			if tt.v.Quirks.Naked != chip.NakedNo {
				deviations = []string{reopenedOnce}
			}
			accepted(t, tt.v, variant(t, tt.v), tap{change: all, except: notThere, deviations: deviations, report: func(t *testing.T, r *inspect.Report) {
				if r.Groups[3] != tt.want {
					t.Errorf("DG3 is %v, want %v", r.Groups[3], tt.want)
				}
			}})
		})
	}
	t.Run("not there", func(t *testing.T) {
		d := inspecttest.New(t, chip.ProfileCCCD)
		d.Withhold(3)
		r := everythingOf(t, d)
		if r.Groups[3] != inspect.Absent {
			t.Errorf("DG3 is %v", r.Groups[3])
		}
	})
	t.Run("handed out", func(t *testing.T) {
		d := inspecttest.New(t, chip.ProfileCCCD)
		d.Withhold(3)
		secret := make([]byte, 5000)
		d.Put(3, append([]byte{0x63, 0x82, 0x13, 0x84}, secret[4:]...))
		times, most := asked{}, 0
		term := times.terminal(d.Card(t))
		count := term.answer
		term.answer = func(cmd, resp []byte) []byte {
			if cmd[1] == 0xB0 && cmd[2] == 0x83 {
				most = max(most, len(resp))
			}
			return count(cmd, resp)
		}
		r, err := inspect.Run(t.Context(), resettable{term}, d.Access(t), &inspect.Config{At: at, Trust: d.Pool(t), Photo: true, All: true})
		if err != nil {
			t.Fatal(err)
		}
		if r.Groups[3] != inspect.NotRequested || times[3] != 1 || most > 64 {
			t.Errorf("DG3 is %v, asked for %d times, %d bytes in an answer", r.Groups[3], times[3], most)
		}
		found := false
		for _, d := range r.Deviations {
			found = found || d == "DG3 is handed out without terminal authentication"
		}
		if !found {
			t.Errorf("deviations %q", r.Deviations)
		}
	})
}

// everythingOf reads all that a document has.
func everythingOf(t *testing.T, d *inspecttest.Draft) *inspect.Report {
	t.Helper()
	r, err := inspect.Run(t.Context(), resettable{&terminal{chip: d.Card(t)}}, d.Access(t), &inspect.Config{At: at, Trust: d.Pool(t), Photo: true, All: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Every data group that the issuer signed has a state, whatever becomes of one of
// them, and its hash is compared.
func TestEveryListedGroupHasItsState(t *testing.T) {
	rare := map[int]inspect.ID{5: inspect.DG5Integrity, 6: inspect.DG6Integrity, 8: inspect.DG8Integrity, 9: inspect.DG9Integrity, 10: inspect.DG10Integrity}
	full := func(t *testing.T) *inspecttest.Draft {
		d := inspecttest.New(t, chip.ProfilePassportFull)
		for dg := range rare {
			d.Put(dg, []byte{[]byte{5: 0x65, 6: 0x66, 8: 0x68, 9: 0x69, 10: 0x6A}[dg], 2, 0x02, 0x00})
		}
		d.Sign(t)
		return d
	}
	r := everythingOf(t, full(t))
	for dg := range r.Groups {
		if r.Groups[dg] != inspect.Read {
			t.Errorf("DG%d is %v", dg, r.Groups[dg])
		}
	}
	if len(r.Groups) != len(full(t).Groups) || len(r.Groups) < 13 {
		t.Errorf("%d states of %d data groups", len(r.Groups), len(full(t).Groups))
	}
	for _, id := range rare {
		wantCheck(t, r, id, ok, "")
	}
	ways := map[string]struct {
		change func(*inspecttest.Draft, int)
		state  inspect.GroupState
	}{
		"refused":          {func(d *inspecttest.Draft, dg int) { deny(d, dg) }, inspect.Denied},
		"refused in clear": {func(d *inspecttest.Draft, dg int) { deny(d, dg); d.Personalisation.Quirks.Naked = chip.NakedEnds }, inspect.Denied},
		"absent":           {func(d *inspecttest.Draft, dg int) { d.Withhold(dg) }, inspect.Absent},
		"broken":           {func(d *inspecttest.Draft, dg int) { d.Put(dg, []byte{0x30, 0x01, 0x00}) }, inspect.Unreadable},
		"altered":          {func(d *inspecttest.Draft, dg int) { d.Put(dg, flipLast(d.Groups[dg])) }, inspect.Read},
	}
	t.Run("all of the optional ones refused in clear", func(t *testing.T) {
		d := full(t)
		d.Personalisation.Quirks.Naked = chip.NakedEnds
		refused := []int{5, 6, 7, 8, 9, 10, 11, 12, 16}
		for _, dg := range refused {
			deny(d, dg)
		}
		r := everythingOf(t, d)
		for _, dg := range refused {
			if r.Groups[dg] != inspect.Denied {
				t.Errorf("DG%d is %v", dg, r.Groups[dg])
			}
		}
		if !r.TextVerified() || r.Photo == nil {
			t.Errorf("the rest is spoiled: %v", r.Err())
		}
	})
	for dg := range full(t).Groups {
		if dg == 1 {
			continue // without which there is nobody
		}
		for name, way := range ways {
			t.Run(fmt.Sprintf("DG%d %s", dg, name), func(t *testing.T) {
				d := full(t)
				way.change(d, dg)
				r, err := inspect.Run(t.Context(), resettable{&terminal{chip: d.Card(t)}}, d.Access(t), &inspect.Config{At: at, Trust: d.Pool(t), Photo: true, All: true})
				if err != nil && !errors.Is(err, inspect.ErrCopy) {
					t.Fatal(err)
				}
				for other := range d.Groups {
					want := inspect.Read
					if other == dg {
						want = way.state
					}
					if got := r.Groups[other]; got != want {
						t.Errorf("DG%d is %v, want %v", other, got, want)
					}
				}
				if id := rare[dg]; id != "" {
					want := map[inspect.GroupState]result.Value{inspect.Read: bad, inspect.Denied: nos, inspect.Absent: nos, inspect.Unreadable: nos}[way.state]
					if got := r.Check(id).Value; got != want {
						t.Errorf("%s is %v, want %v", id, got, want)
					}
					if got := r.Check(inspect.PassiveAuthentication).Value; (got == bad) != (want == bad) {
						t.Errorf("passive authentication is %v", got)
					}
				}
				wantCheck(t, r, inspect.DG1Integrity, ok, "")
			})
		}
	}
}

// A data group that EF.COM alone lists is asked for and never used.
func TestGroupThatOnlyCOMLists(t *testing.T) {
	d := inspecttest.New(t, chip.ProfileCCCD) // whose EF.COM lists a DG14 that is not there
	if got := everythingOf(t, d).Groups[14]; got != inspect.Absent {
		t.Errorf("DG14 is %v", got)
	}
	d.Put(14, []byte{0x6E, 2, 0x31, 0})
	r := everythingOf(t, d)
	if got, listed := r.Groups[14]; got != inspect.NotRequested || !listed || r.Evidence.DG14 != nil {
		t.Errorf("DG14 is %v", got)
	}
	wantCheck(t, r, inspect.DG14Integrity, nos, inspect.ReasonNotCovered)
}
