package inspect_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
)

// What the strict verdict excuses and what it does not. The cases of BSI
// TR-03105-5.1 are in package conformitytest.
func TestStrictErr(t *testing.T) {
	all := make(map[inspect.ID]result.Check)
	for _, id := range append(inspect.IDs(), inspect.OptionalIDs()...) {
		all[id] = result.Pass("")
	}
	not := func(value result.Value, reason result.Reason) result.Check {
		return result.Check{Value: value, Reason: reason}
	}
	tests := []struct {
		name string
		id   inspect.ID
		c    result.Check
		ok   bool
	}{
		{"everything", inspect.AccessControl, result.Pass(""), true},
		{"no access control", inspect.AccessControl, not(nos, inspect.ReasonUnprotected), true},
		{"access not tried", inspect.AccessControl, result.Check{}, false},
		{"no revocation list", inspect.Revocation, not(unk, passiveauth.NoRevocationInformation), true},
		{"outdated revocation list", inspect.Revocation, not(unk, passiveauth.RevocationListOutdated), false},
		{"no way against copying", inspect.ChipAuthenticity, not(nos, inspect.ReasonNotCovered), true},
		{"a way that was not tried", inspect.ChipAuthenticity, not(unk, inspect.ReasonNotTried), false},
		{"a protocol that is not offered", inspect.ChipAuthentication, not(nos, "ca_not_offered"), true},
		{"a protocol that fails", inspect.ActiveAuthentication, not(bad, "aa_refused"), false},
		{"no optional group", inspect.DG11Integrity, not(nos, inspect.ReasonNotCovered), true},
		{"a signed group that is not there", inspect.DG11Integrity, not(nos, inspect.ReasonAbsent), false},
		{"a signed group that is kept back", inspect.DG13Integrity, not(nos, inspect.ReasonDenied), false},
		{"no PACE", inspect.CardAccess, not(nos, inspect.ReasonAbsent), true},
		{"PACE that nobody signed", inspect.CardAccess, not(unk, inspect.ReasonOfferUnsigned), false},
		{"opened by the card access number", inspect.KeyBinding, not(nos, inspect.ReasonByCAN), true},
		{"no photo", inspect.DG2Integrity, result.Check{}, false},
		{"EF.COM not read", inspect.COMConsistency, result.Check{}, false},
		{"not strict", inspect.Conformity, result.Check{}, false},
		{"broken off", inspect.DG16Integrity, not(result.Aborted, inspect.ReasonInterrupted), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checks := make(map[inspect.ID]result.Check)
			for id, c := range all {
				checks[id] = c
			}
			checks[tt.id] = tt.c
			err := inspect.ReportOf(checks).StrictErr()
			var e *inspect.CheckError
			if (err == nil) != tt.ok || err != nil && (!errors.As(err, &e) || e.ID != tt.id) {
				t.Errorf("got %v, want ok %v", err, tt.ok)
			}
		})
	}
	if err := (*inspect.Report)(nil).StrictErr(); err == nil {
		t.Error("no report is accepted")
	}
}

// A chip without access control is read in clear, and says so.
func TestUnprotected(t *testing.T) {
	d := variant(t, chip.Variant{Open: true, AA: &chip.AAKey{Kind: chip.KeyKind{Curve: "P-256"}}})
	pool := anchors(t, d)
	lines := strings.Join(d.MRZ, "\n")
	right := zoneKey(t, lines)
	wrong, err := mrz.NewKey("X0000000", "700101", "300101")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		keys    []mrz.Key
		tear    int
		binding result.Check
	}{
		{"its own key", []mrz.Key{right}, 0, result.Pass("")},
		{"a candidate that fits", []mrz.Key{wrong, right}, 0, result.Pass("")},
		{"another document's key", []mrz.Key{wrong}, 0, result.Fail(inspect.ReasonOtherDocument)},
		{"lost in between", []mrz.Key{right}, 16, result.Pass("")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d.Personalisation.Fault = func(exchange int, _ []byte, next func() []byte) ([]byte, error) {
				if exchange == tt.tear {
					return nil, errLost
				}
				return next(), nil
			}
			term := &terminal{chip: newChip(t, d)}
			r, err := inspect.Run(t.Context(), resettable{term}, inspect.Access{Keys: tt.keys}, &inspect.Config{At: at, Trust: pool, Photo: true})
			if err != nil {
				t.Fatal(err)
			}
			wantCheck(t, r, inspect.AccessControl, nos, inspect.ReasonUnprotected)
			wantCheck(t, r, inspect.KeyBinding, tt.binding.Value, tt.binding.Reason)
			wantCheck(t, r, inspect.PassiveAuthentication, ok, "")
			wantCheck(t, r, inspect.ActiveAuthentication, ok, "")
			if (term.resets > 0) != (tt.tear > 0) {
				t.Errorf("%d resets", term.resets)
			}
			if r.TextVerified() || r.Key != -1 || r.Photo == nil {
				t.Errorf("verified %v, key %d, photo %v", r.TextVerified(), r.Key, r.Photo != nil)
			}
		})
	}
}

// Chip authentication changes the keys of a channel, so it is not tried without one;
// that is no proof.
func TestUnprotectedChipAuthentication(t *testing.T) {
	v := chip.Variant{Open: true, CA: []chip.CAKey{{Protocol: caAES128, Kind: chip.KeyKind{Curve: "P-256"}}}}
	d := variant(t, v)
	r, err := inspect.Run(t.Context(), newChip(t, d), inspect.Access{Keys: []mrz.Key{zoneKey(t, strings.Join(d.MRZ, "\n"))}},
		&inspect.Config{At: at, Trust: anchors(t, d)})
	if err != nil {
		t.Fatal(err)
	}
	wantCheck(t, r, inspect.ChipAuthentication, unk, inspect.ReasonNotTried)
	wantCheck(t, r, inspect.ChipAuthenticity, unk, inspect.ReasonNotTried)
}

// A chip that refuses the key is not asked for its files in clear.
func TestProtectedIsNotReadInClear(t *testing.T) {
	d := variant(t, chip.Variant{})
	term := &terminal{chip: newChip(t, d)}
	asked := false
	term.answer = func(cmd, resp []byte) []byte {
		asked = asked || cmd[1] == 0xB0 && cmd[2] == 0x9D // EF.SOD by its short identifier
		return resp
	}
	wrong, err := mrz.NewKey("X0000000", "700101", "300101")
	if err != nil {
		t.Fatal(err)
	}
	_, err = inspect.Run(t.Context(), term, inspect.Access{Keys: []mrz.Key{wrong}}, &inspect.Config{At: at, Trust: anchors(t, d)})
	if !errors.Is(err, inspect.ErrWrongKey) || asked {
		t.Errorf("%v, asked %v", err, asked)
	}
	// One that has nothing to do with basic access control is asked, and refuses.
	d = variant(t, chip.Variant{NoBAC: true, PACE: []chip.PACE{{Protocol: paceAES, ParameterID: p256r1, Version: 2}}})
	d.Personalisation.MasterFiles = slices.DeleteFunc(d.Personalisation.MasterFiles, func(f chip.File) bool { return f.ID == 0x011C })
	d.Personalisation.Quirks.NoBAC = apdu.ReferencedDataNotFound
	r, err := inspect.Run(t.Context(), newChip(t, d), inspect.Access{Keys: []mrz.Key{zoneKey(t, strings.Join(d.MRZ, "\n"))}},
		&inspect.Config{At: at, Trust: anchors(t, d)})
	wantRefused(t, r, err, inspect.ErrAccess, inspect.ReasonRefused)
}

// DG1 is compared with all of the printed zone, where that was read.
func TestPrintedZone(t *testing.T) {
	d := variant(t, chip.Variant{PACE: []chip.PACE{{Protocol: paceAES, ParameterID: p256r1, Version: 2}}, CAN: "123456"})
	parse := func(lines []string) *mrz.MRZ {
		m, err := mrz.Parse(strings.Join(lines, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		return &m
	}
	renamed := slices.Clone(d.MRZ)
	renamed[0] = strings.Replace(renamed[0], "TESTA", "OTHER", 1)
	key := []mrz.Key{zoneKey(t, strings.Join(d.MRZ, "\n"))}
	tests := []struct {
		name string
		a    inspect.Access
		want result.Check
	}{
		{"the same", inspect.Access{Keys: key, Zone: parse(d.MRZ)}, result.Pass("")},
		{"another name", inspect.Access{Keys: key, Zone: parse(renamed)}, result.Fail(inspect.ReasonZoneDiffers)},
		{"not read", inspect.Access{Keys: key}, result.Pass("")},
		{"card access number alone", inspect.Access{CAN: "123456"}, result.Check{Value: nos, Reason: inspect.ReasonByCAN}},
		{"card access number and zone", inspect.Access{CAN: "123456", Zone: parse(d.MRZ)}, result.Pass("")},
		{"card access number and another zone", inspect.Access{CAN: "123456", Zone: parse(renamed)}, result.Fail(inspect.ReasonZoneDiffers)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := inspect.Run(t.Context(), newChip(t, d), tt.a, &inspect.Config{At: at, Trust: anchors(t, d)})
			if err != nil {
				t.Fatal(err)
			}
			wantCheck(t, r, inspect.KeyBinding, tt.want.Value, tt.want.Reason)
		})
	}
}

func zoneKey(t *testing.T, lines string) mrz.Key {
	t.Helper()
	m, err := mrz.Parse(lines)
	if err != nil {
		t.Fatal(err)
	}
	k, err := m.Key()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
