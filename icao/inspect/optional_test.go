package inspect_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

func all(c *inspect.Config)    { c.All = true }
func strict(c *inspect.Config) { c.All, c.Strict = true, true }

// Whatever the optional data groups are, only who asks for them gets them, and
// only as they were signed.
func TestOptionalFiles(t *testing.T) {
	v := chip.Variant{Optional: []int{7, 11, 12, 16}}
	accepted(t, v, variant(t, v), tap{report: func(t *testing.T, r *inspect.Report) {
		if r.COM != nil || r.DG11 != nil || len(r.Checks()) != len(inspect.IDs()) {
			t.Error("read without being asked for")
		}
	}})
	accepted(t, v, variant(t, v), tap{change: all, report: func(t *testing.T, r *inspect.Report) {
		if r.COM == nil || r.DG7 == nil || r.DG11 == nil || r.DG12 == nil || r.DG16 == nil {
			t.Error("a file is missing")
		}
		for _, id := range inspect.OptionalIDs() {
			want := ok
			switch id {
			case inspect.Conformity, inspect.DG5Integrity, inspect.DG6Integrity, inspect.DG8Integrity, inspect.DG9Integrity, inspect.DG10Integrity:
				want = nop
			}
			wantCheck(t, r, id, want, "")
		}
	}})
	t.Run("not there", func(t *testing.T) {
		v := chip.Variant{}
		accepted(t, v, variant(t, v), tap{change: all, except: map[inspect.ID]result.Value{
			inspect.DG7Integrity: nos, inspect.DG11Integrity: nos, inspect.DG12Integrity: nos, inspect.DG16Integrity: nos,
		}})
	})
	t.Run("altered, refused and absent", func(t *testing.T) {
		d := inspecttest.New(t, chip.ProfilePassportFull)
		d.Put(11, flipLast(d.Groups[11]))
		deny(d, 12)
		d.Withhold(16)
		r, err := inspect.Run(t.Context(), d.Card(t), d.Access(t), &inspect.Config{At: at, Trust: d.Pool(t), All: true})
		if err != nil {
			t.Fatal(err)
		}
		wantCheck(t, r, inspect.DG7Integrity, ok, "")
		wantCheck(t, r, inspect.DG11Integrity, bad, passiveauth.HashMismatch)
		wantCheck(t, r, inspect.PassiveAuthentication, bad, passiveauth.HashMismatch)
		wantCheck(t, r, inspect.DG12Integrity, nos, inspect.ReasonDenied)
		wantCheck(t, r, inspect.DG16Integrity, nos, inspect.ReasonAbsent)
		if r.DG7 == nil || r.DG11 != nil || r.DG12 != nil || r.DG16 != nil {
			t.Error("taken from a file that nobody signed, or not taken")
		}
	})
	t.Run("EF.COM lists another data group", func(t *testing.T) {
		v := chip.Variant{Listed: []int{1, 2, 14}}
		accepted(t, v, variant(t, v), tap{
			change: all, deviations: []string{"EF.COM: DG14: not in EF.SOD"},
			except: map[inspect.ID]result.Value{
				inspect.DG7Integrity: nos, inspect.DG11Integrity: nos, inspect.DG12Integrity: nos, inspect.DG16Integrity: nos, inspect.COMConsistency: bad,
			},
		})
	})
}

// Dates of DG11 and DG12 are read in either form.
func TestR21DatesInEitherForm(t *testing.T) {
	var births, issues []lds.Date
	for _, packed := range []bool{false, true} {
		v := chip.Variant{Optional: []int{7, 11, 12, 16}, BCD: packed}
		accepted(t, v, variant(t, v), tap{change: all, report: func(t *testing.T, r *inspect.Report) {
			births, issues = append(births, r.DG11.DateOfBirth), append(issues, r.DG12.DateOfIssue)
		}})
	}
	if births[0] != births[1] || issues[0] != issues[1] || births[0] == (lds.Date{}) || issues[0] == (lds.Date{}) {
		t.Error("the dates differ, or are none")
	}
}

// Strict mode finds what is tolerated otherwise, and changes no other check.
func TestStrictMode(t *testing.T) {
	rest := []int{7, 11, 12, 16}
	tests := []struct {
		name string
		v    chip.Variant
		want string // part of a deviation; empty: the document conforms
	}{
		{"conforming", chip.Variant{Optional: rest}, ""},
		{"conforming, PACE", chip.Variant{Optional: rest, PACE: []chip.PACE{paceOf(ecdhCAM, 2, 13)}}, ""},
		{"packed dates", chip.Variant{Optional: rest, BCD: true}, lds.DevBCD},
		{"EF.COM differs", chip.Variant{Optional: rest, Listed: []int{1, 2}}, "not in EF.COM"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := variant(t, tt.v).Chip()
			if err != nil {
				t.Fatal(err)
			}
			d := variant(t, tt.v)
			cfg := &inspect.Config{At: at, Trust: pool(t, d.CSCA), Photo: true}
			strict(cfg)
			r, err := inspect.Run(t.Context(), c, access(t, d), cfg)
			if err != nil || r.Err(inspect.GenuineIDs()...) != nil {
				t.Fatalf("%v, %v", err, r.Err(inspect.GenuineIDs()...))
			}
			if tt.want == "" {
				wantCheck(t, r, inspect.Conformity, ok, "")
				if len(r.Deviations) > 0 {
					t.Errorf("deviations %q", r.Deviations)
				}
				return
			}
			wantCheck(t, r, inspect.Conformity, bad, inspect.ReasonNonconforming)
			if !slices.ContainsFunc(r.Deviations, func(d string) bool { return strings.Contains(d, tt.want) }) {
				t.Errorf("deviations %q", r.Deviations)
			}
		})
	}
}

// Extended length is used only if reader and chip say that they carry it.
func TestExtendedLength(t *testing.T) {
	portrait := chip.Portrait{Image: thumbnail(), Width: 8, Height: 8, Size: 20_000}
	declared := chip.Variant{ATRInfo: true, Limits: buffered, Portrait: portrait}
	silent := chip.Variant{Limits: buffered, Portrait: portrait}
	lying := chip.Variant{ATRInfo: true, Portrait: portrait} // short commands only
	tests := []struct {
		name  string
		v     chip.Variant
		maxNe int
		most  int // bytes in one response, status word included; 0: anything
	}{
		{"reader says nothing", declared, 0, 258},
		{"reader without", declared, 256, 258},
		{"both", declared, 65536, 4096},
		{"smaller reader", declared, 1024, 1026},
		{"chip says nothing", silent, 65536, 258},
		{"chip says so and cannot", lying, 65536, 258},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			most := 0
			accepted(t, tt.v, variant(t, tt.v), tap{
				change: func(c *inspect.Config) { c.MaxNe = tt.maxNe },
				through: func(c *chip.Chip) *terminal {
					return &terminal{chip: c, answer: func(_, resp []byte) []byte {
						most = max(most, len(resp))
						return resp
					}}
				},
			})
			if most > tt.most || tt.most > 258 && most < tt.most-64 {
				t.Errorf("%d bytes in one response, want up to %d", most, tt.most)
			}
		})
	}
}

// What defect lists know of a signer's documents (BSI TR-03135-1, 5.8.2).
func TestDefects(t *testing.T) {
	pass, fail := result.Pass("x"), result.Fail("why")
	ca, aa := trust.KnownDefect{Type: trust.ChipAuthKeysCompromised}, trust.KnownDefect{Type: trust.ActiveAuthKeysCompromised}
	security := trust.KnownDefect{Type: trust.CardSecurityMalformed}
	tests := []struct {
		name         string
		cam, ca, aa  result.Check
		unsigned     bool // the signature of EF.CardSecurity failed
		defects      []trust.KnownDefect
		wantCAM      result.Value
		wantCA       result.Value
		wantAA       result.Value
		authenticity result.Value
	}{
		{"none", pass, pass, pass, false, nil, ok, ok, ok, ok},
		{"another one", pass, pass, pass, false, []trust.KnownDefect{{Type: trust.PowerDownRequired}}, ok, ok, ok, ok},
		{"chip authentication compromised", pass, pass, result.Check{Value: nos}, false, []trust.KnownDefect{ca}, bad, bad, nos, bad},
		{"chip authentication compromised, not active authentication", result.Check{Value: nos}, pass, pass, false, []trust.KnownDefect{ca}, nos, bad, ok, ok},
		{"active authentication compromised", result.Check{Value: nos}, result.Check{Value: nos}, pass, false, []trust.KnownDefect{aa}, nos, nos, bad, bad},
		{"both compromised", pass, pass, pass, false, []trust.KnownDefect{ca, aa}, bad, bad, bad, bad},
		{"compromised, and the other fails", result.Check{Value: nos}, pass, fail, false, []trust.KnownDefect{ca}, nos, bad, bad, bad},
		{"EF.CardSecurity malformed", fail, result.Check{Value: nos}, result.Check{Value: nos}, true, []trust.KnownDefect{security}, unk, nos, nos, unk},
		{"EF.CardSecurity malformed, but it is the proof that fails", fail, result.Check{Value: nos}, result.Check{Value: nos}, false, []trust.KnownDefect{security}, bad, nos, nos, bad},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checks := map[inspect.ID]result.Check{
				inspect.SODSignature: pass, inspect.TrustChain: pass,
				inspect.PACECAM: tt.cam, inspect.ChipAuthentication: tt.ca, inspect.ActiveAuthentication: tt.aa,
			}
			r := inspect.ApplyDefects(checks, tt.unsigned, tt.defects...)
			for id, want := range map[inspect.ID]result.Value{
				inspect.PACECAM: tt.wantCAM, inspect.ChipAuthentication: tt.wantCA, inspect.ActiveAuthentication: tt.wantAA, inspect.ChipAuthenticity: tt.authenticity,
			} {
				if got := r.Check(id); got.Value != want {
					t.Errorf("%s: got %v (%s), want %v", id, got.Value, got.Reason, want)
				}
			}
			// Who only names the signer gains nothing.
			checks[inspect.SODSignature] = fail
			r = inspect.ApplyDefects(checks, tt.unsigned, tt.defects...)
			if got := r.Check(inspect.PACECAM); got != tt.cam {
				t.Errorf("without a signature: %v", got)
			}
		})
	}
}
