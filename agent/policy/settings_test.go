package policy_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/sync/contract"
)

func TestSettings(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    policy.Settings
		want policy.Policy
		diff []string
	}{
		{"default", policy.Settings{}, policy.Policy{}, nil},
		{"default in words", policy.Policy{}.Settings(), policy.Policy{}, nil},
		{"chip", policy.Settings{ChipAuthenticity: "refuse"}, policy.Policy{RequireChipAuthenticity: true}, []string{"chip_authenticity: warn -> refuse"}},
		{"revocation required", policy.Settings{Revocation: "refuse"}, policy.Policy{Revocation: policy.RequireRevocation}, []string{"revocation: warn_outdated -> refuse"}},
		{"revocation warns", policy.Settings{Revocation: "warn"}, policy.Policy{Revocation: policy.WarnRevocation}, []string{"revocation: warn_outdated -> warn"}},
		{"revocation ignored", policy.Settings{Revocation: "accept"}, policy.Policy{Revocation: policy.IgnoreRevocation}, []string{"revocation: warn_outdated -> accept"}},
		{"weak refused", policy.Settings{Weak: "refuse"}, policy.Policy{Weak: policy.RefuseWeak}, []string{"weak: warn -> refuse"}},
		{"weak accepted", policy.Settings{Weak: "accept"}, policy.Policy{Weak: policy.AcceptWeak}, []string{"weak: warn -> accept"}},
		{"expired", policy.Settings{Expired: "warn"}, policy.Policy{AllowExpired: true}, []string{"expired: refuse -> warn"}},
		{"bac", policy.Settings{BACAfterPACE: "warn"}, policy.Policy{AllowBAC: true}, []string{"bac_after_pace: refuse -> warn"}},
		{"photo", policy.Settings{NoPhoto: "refuse"}, policy.Policy{RefuseNoPhoto: true}, []string{"no_photo: warn -> refuse"}},
		{
			"no chip",
			policy.Settings{CardQR: "refuse", InsuranceQR: "refuse", VNeID: "refuse", Manual: "refuse"},
			policy.Policy{Refused: policy.RefusedMeans{CardQR: true, InsuranceQR: true, VNeID: true, Manual: true}},
			[]string{"card_qr: warn -> refuse", "insurance_qr: warn -> refuse", "vneid: warn -> refuse", "manual: warn -> refuse"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.s.Policy()
			if err != nil || got != tt.want {
				t.Fatalf("%v, %+v", err, got)
			}
			if diff := policy.Diff(policy.Policy{}, got); !slices.Equal(diff, tt.diff) {
				t.Errorf("changes %q, want %q", diff, tt.diff)
			}
			// In words and back.
			if again, err := got.Settings().Policy(); err != nil || again != got {
				t.Errorf("back: %v, %+v", err, again)
			}
		})
	}
}

// Every setting has a field, every field a setting, and none takes anything else.
func TestSettingsAreComplete(t *testing.T) {
	keys := policy.Keys()
	v := reflect.ValueOf(&policy.Settings{}).Elem()
	if v.NumField() != len(keys) {
		t.Fatalf("%d fields, %d settings", v.NumField(), len(keys))
	}
	seen := map[string]bool{}
	for i := range v.NumField() {
		var s policy.Settings
		reflect.ValueOf(&s).Elem().Field(i).SetString("no such thing")
		p, err := s.Policy()
		e, ok := errors.AsType[*policy.SettingError](err)
		if !ok || p != (policy.Policy{}) || e.Value != "no such thing" || seen[e.Key] || !strings.Contains(e.Error(), strings.Join(e.Allowed, ", ")) {
			t.Errorf("field %d: %v", i, err)
			continue
		}
		seen[e.Key] = true
		k := slices.IndexFunc(keys, func(k policy.SettingError) bool { return k.Key == e.Key })
		if k < 0 || !cmp.Equal(keys[k].Allowed, e.Allowed) {
			t.Errorf("%s is not among the keys", e.Key)
		}
		for _, value := range e.Allowed {
			reflect.ValueOf(&s).Elem().Field(i).SetString(value)
			if p, err := s.Policy(); err != nil || reflect.ValueOf(p.Settings()).Field(i).String() != value {
				t.Errorf("%s = %s: %v", e.Key, value, err)
			}
		}
		if first := reflect.ValueOf(policy.Policy{}.Settings()).Field(i).String(); first != e.Allowed[0] {
			t.Errorf("%s: the default is %s, and %s stands first", e.Key, first, e.Allowed[0])
		}
	}
	// A value from nowhere refuses, and says so.
	if s := (policy.Policy{Weak: 99}).Settings(); s.Weak != "refuse" {
		t.Errorf("weak is %s", s.Weak)
	}
}

func TestDecideMeans(t *testing.T) {
	all := []contract.Means{contract.MeansCCCDQR, contract.MeansHIQR, contract.MeansVNeIDQR, contract.MeansManual}
	refusing := map[contract.Means]policy.RefusedMeans{
		contract.MeansCCCDQR: {CardQR: true}, contract.MeansHIQR: {InsuranceQR: true}, contract.MeansVNeIDQR: {VNeID: true}, contract.MeansManual: {Manual: true},
	}
	for _, m := range all {
		d := policy.Policy{}.DecideMeans(m)
		if d.Outcome != policy.Warn || d.Err() != nil || len(d.Reasons) != 1 || d.Reasons[0].String() != "warn: not verified ("+string(m)+")" {
			t.Errorf("%s: %v", m, d)
		}
		for who, refused := range refusing {
			d := policy.Policy{Refused: refused}.DecideMeans(m)
			if (d.Outcome == policy.Refuse) != (who == m) || errors.Is(d.Err(), policy.ErrMeans) != (who == m) {
				t.Errorf("%s where %s is refused: %v", m, who, d)
			}
		}
	}
	// A chip is judged by its report, and nothing else is known.
	for _, m := range []contract.Means{contract.MeansChip, "", "x"} {
		if d := (policy.Policy{}).DecideMeans(m); d.Outcome != policy.Refuse {
			t.Errorf("%q: %v", m, d)
		}
	}
}
