package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

// A row says what each value of one check means: n not performed, s
// successful, f failed, u undetermined, x not supported, a aborted, ? a value
// that does not exist. A is accept, W warn, R refuse.
type row struct {
	id   inspect.ID
	want string // in the order n s f u x a ?
}

var values = []result.Value{
	result.NotPerformed, result.Successful, result.Failed, result.Undetermined, result.NotSupported, result.Aborted, 99,
}

var letters = map[byte]policy.Outcome{'A': policy.Accept, 'W': policy.Warn, 'R': policy.Refuse}

// defaults is the whole default policy: every check, every value. Change it
// only together with a decision about what a desk may accept.
var defaults = []row{
	//                               nsfuxa?
	{inspect.AccessControl, "RARRRRR"},
	{inspect.SODSignature, "RARRRRR"},
	{inspect.SignerValidity, "RARRRRR"},
	{inspect.TrustChain, "RARRRRR"},
	{inspect.Revocation, "AARARRR"},
	{inspect.IssuingState, "RARRRRR"},
	{inspect.DG1Integrity, "RARRRRR"},
	{inspect.DG13Integrity, "RARRWRR"}, // not supported: signed, and kept back
	{inspect.DG14Integrity, "RARRARR"},
	{inspect.DG15Integrity, "AARRARR"},
	{inspect.DG2Integrity, "AARRWRR"}, // not performed: nobody asked for the photo
	{inspect.PassiveAuthentication, "RARRRRR"},
	{inspect.PACECAM, "AARAARR"}, // these three are judged through chip authenticity, but for one that failed
	{inspect.ChipAuthentication, "AARAARR"},
	{inspect.ActiveAuthentication, "AARAARR"},
	{inspect.ChipAuthenticity, "RARRWRR"},
	{inspect.KeyBinding, "RARRARR"},
	{inspect.CardAccess, "AARWARR"},
	{inspect.DataConsistency, "AARARRR"},
	{inspect.DocumentValidity, "RARRRRR"},
	// On request only; when they are not performed they are not judged.
	{inspect.COMConsistency, "RAWAAWR"},
	{inspect.Conformity, "RAWRRRR"},
}

func TestTable(t *testing.T) {
	tests := []struct {
		name   string
		policy policy.Policy
		report *inspect.Report
		other  []row // than the defaults
	}{
		{"default", policy.Policy{}, &inspect.Report{}, nil},
		{"chip authenticity required", policy.Policy{RequireChipAuthenticity: true}, &inspect.Report{}, []row{{inspect.ChipAuthenticity, "RARRRRR"}}},
		{"revocation list required", policy.Policy{Revocation: policy.RequireRevocation}, &inspect.Report{}, []row{{inspect.Revocation, "RARRRRR"}}},
		{"revocation list wished for", policy.Policy{Revocation: policy.WarnRevocation}, &inspect.Report{}, []row{{inspect.Revocation, "WARWRRR"}}},
		{"revocation of no interest", policy.Policy{Revocation: policy.IgnoreRevocation}, &inspect.Report{}, []row{{inspect.Revocation, "AARARRR"}}},
		{"a policy of tomorrow", policy.Policy{Revocation: 99, Weak: 99}, &inspect.Report{}, []row{{inspect.Revocation, "RARRRRR"}}},
		{"expired allowed", policy.Policy{AllowExpired: true}, &inspect.Report{}, []row{{inspect.DocumentValidity, "RAWRRRR"}}},
		{"photo asked for", policy.Policy{}, &inspect.Report{Groups: map[int]inspect.GroupState{2: inspect.Unreadable}}, []row{{inspect.DG2Integrity, "RARRWRR"}}},
		{"photo required", policy.Policy{RefuseNoPhoto: true}, &inspect.Report{}, []row{{inspect.DG2Integrity, "AARRRRR"}}},
		{"no report", policy.Policy{}, nil, []row{{inspect.DG2Integrity, "RARRWRR"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows := map[inspect.ID]string{}
			for _, r := range append(slices.Clone(defaults), tt.other...) {
				rows[r.id] = r.want
			}
			for _, id := range slices.Concat(inspect.IDs(), inspect.OptionalIDs()) {
				want, ok := rows[id]
				if slices.Contains(inspect.OptionalIDs(), id) && strings.HasSuffix(string(id), "_integrity") {
					want, ok = "RARRWWR", true // data groups that only a diagnosis reads; not performed: not judged
				}
				if !ok {
					t.Errorf("check %s is not in the table", id)
					continue
				}
				for i, v := range values {
					if got := policy.OutcomeOf(tt.policy, id, v, tt.report); got != letters[want[i]] {
						t.Errorf("%s %v: got %v, want %v", id, v, got, letters[want[i]])
					}
				}
			}
			for _, v := range values {
				want := policy.Refuse
				if v == result.Successful {
					want = policy.Accept
				}
				if got := policy.OutcomeOf(tt.policy, "a check of tomorrow", v, tt.report); got != want {
					t.Errorf("unknown check %v: got %v", v, got)
				}
			}
		})
	}
}

// TestNoDG13: a document that has none, and a chip that keeps it back.
func TestNoDG13(t *testing.T) {
	r := inspected(t, chip.TamperNone, time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC), true)
	if got := policy.OutcomeOf(policy.Policy{}, inspect.DG13Integrity, result.NotSupported, r); got != policy.Warn {
		t.Errorf("kept back: %v", got)
	}
	if c := r.Check(inspect.DG14Integrity); c.Reason != inspect.ReasonNotCovered {
		t.Fatalf("DG14 is %v", c)
	}
	for _, reason := range (policy.Policy{}).Decide(r).Reasons {
		if reason.ID == inspect.DG14Integrity || reason.ID == inspect.DG13Integrity {
			t.Errorf("%s: %v", reason.ID, reason.Check)
		}
	}
}

// TestNothing: what nobody looked at is refused.
func TestNothing(t *testing.T) {
	for _, p := range []policy.Policy{{}, {AllowExpired: true}} {
		for name, r := range map[string]*inspect.Report{"nil": nil, "empty": {}} {
			d := p.Decide(r)
			if d.Outcome != policy.Refuse || len(d.Reasons) == 0 {
				t.Errorf("%s report: %v", name, d)
			}
			if c, ok := errors.AsType[*inspect.CheckError](d.Err()); !ok || c.ID != inspect.AccessControl {
				t.Errorf("%s report: error %v", name, d.Err())
			}
		}
	}
	if d := (policy.Decision{}); d.Outcome != policy.Refuse || d.Err() == nil {
		t.Error("the zero decision lets people in")
	}
	for o := range 256 {
		if o := policy.Outcome(o); (o.String() == "accept") != (o == policy.Accept) {
			t.Errorf("Outcome(%d) is called %q", o, o)
		}
	}
}

// TestErr: of several reasons the one that names the cause is reported.
func TestErr(t *testing.T) {
	refuse := func(id inspect.ID, v result.Value) policy.Reason {
		return policy.Reason{Outcome: policy.Refuse, ID: id, Check: result.Check{Value: v}}
	}
	warn := policy.Reason{Outcome: policy.Warn, ID: inspect.ChipAuthenticity, Check: result.Check{Value: result.Failed}}
	tests := []struct {
		name    string
		outcome policy.Outcome
		reasons []policy.Reason
		want    inspect.ID // empty: no error
	}{
		{"accepted", policy.Accept, nil, ""},
		{"warned", policy.Warn, []policy.Reason{warn}, ""},
		{"one", policy.Refuse, []policy.Reason{refuse(inspect.TrustChain, result.Undetermined)}, inspect.TrustChain},
		{"first of two that cannot tell", policy.Refuse, []policy.Reason{refuse(inspect.TrustChain, result.Undetermined), refuse(inspect.PassiveAuthentication, result.Undetermined)}, inspect.TrustChain},
		{"failed before undetermined", policy.Refuse, []policy.Reason{refuse(inspect.TrustChain, result.Undetermined), refuse(inspect.DG1Integrity, result.Failed)}, inspect.DG1Integrity},
		{"first of two that failed", policy.Refuse, []policy.Reason{refuse(inspect.DG1Integrity, result.Failed), refuse(inspect.PassiveAuthentication, result.Failed)}, inspect.DG1Integrity},
		{"never a warning", policy.Refuse, []policy.Reason{warn, refuse(inspect.TrustChain, result.Undetermined)}, inspect.TrustChain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := policy.Decision{Outcome: tt.outcome, Reasons: tt.reasons}.Err()
			c, ok := errors.AsType[*inspect.CheckError](err)
			if ok != (tt.want != "") || ok && c.ID != tt.want || ok != (err != nil) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestDecide judges real reports.
func TestDecide(t *testing.T) {
	at := time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)
	tests := []struct {
		name    string
		tamper  chip.Tamper
		at      time.Time
		noTrust bool
		policy  policy.Policy
		want    policy.Outcome
		cause   inspect.ID
		value   result.Value
		reasons []inspect.ID
	}{
		{name: "no protocol against copies", at: at, want: policy.Warn, reasons: []inspect.ID{inspect.ChipAuthenticity}},
		{name: "and that is not enough", at: at, policy: policy.Policy{RequireChipAuthenticity: true}, want: policy.Refuse, cause: inspect.ChipAuthenticity, value: result.NotSupported, reasons: []inspect.ID{inspect.ChipAuthenticity}},
		{name: "no revocation list, and that is not enough", at: at, policy: policy.Policy{Revocation: policy.RequireRevocation}, want: policy.Refuse, cause: inspect.Revocation, value: result.Undetermined, reasons: []inspect.ID{inspect.Revocation, inspect.ChipAuthenticity}},
		{name: "altered", at: at, tamper: chip.TamperDG1, want: policy.Refuse, cause: inspect.DG1Integrity, value: result.Failed, reasons: []inspect.ID{inspect.IssuingState, inspect.DG1Integrity, inspect.PassiveAuthentication, inspect.DataConsistency, inspect.ChipAuthenticity}},
		{name: "unknown issuer", at: at, noTrust: true, want: policy.Refuse, cause: inspect.TrustChain, value: result.Undetermined, reasons: []inspect.ID{inspect.TrustChain, inspect.IssuingState, inspect.PassiveAuthentication, inspect.ChipAuthenticity}},
		{name: "expired", at: at.AddDate(13, 0, 0), want: policy.Refuse, cause: inspect.DocumentValidity, value: result.Failed, reasons: []inspect.ID{inspect.DocumentValidity, inspect.ChipAuthenticity}},
		{name: "expired, and the site allows it", at: at.AddDate(13, 0, 0), policy: policy.Policy{AllowExpired: true}, want: policy.Warn, reasons: []inspect.ID{inspect.ChipAuthenticity, inspect.DocumentValidity}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// The signer's certificate is valid when the document is looked at.
			d := tt.policy.Decide(inspected(t, tt.tamper, tt.at, !tt.noTrust))
			if d.Outcome != tt.want {
				t.Errorf("got %v, want %v", d.Outcome, tt.want)
			}
			var ids []inspect.ID
			for _, r := range d.Reasons {
				ids = append(ids, r.ID)
			}
			if !slices.Equal(ids, tt.reasons) {
				t.Errorf("reasons %q, want %q", ids, tt.reasons)
			}
			c, ok := errors.AsType[*inspect.CheckError](d.Err())
			if ok != (tt.cause != "") || ok && (c.ID != tt.cause || c.Check.Value != tt.value) {
				t.Errorf("error %v, want %s %v", d.Err(), tt.cause, tt.value)
			}
		})
	}
}

// inspected reads a citizen card without active authentication.
func inspected(t *testing.T, tamper chip.Tamper, at time.Time, trusted bool) *inspect.Report {
	t.Helper()
	d, err := chip.Build(chip.ProfileCCCDNoAA, chip.Options{At: at, Tamper: tamper})
	if err != nil {
		t.Fatal(err)
	}
	if !trusted {
		return read(t, d, trust.NewPool(), at)
	}
	return read(t, d, trusting(t, d), at)
}

// trusting is a pool with the issuer of a document.
func trusting(t *testing.T, d *chip.Document) *trust.Pool {
	t.Helper()
	c, err := cms.ParseCertificate(d.CSCA)
	if err != nil {
		t.Fatal(err)
	}
	pool := trust.NewPool()
	if err := pool.Add(c, "test"); err != nil {
		t.Fatal(err)
	}
	return pool
}

func read(t *testing.T, d *chip.Document, pool *trust.Pool, at time.Time) *inspect.Report {
	t.Helper()
	card, err := d.Chip()
	if err != nil {
		t.Fatal(err)
	}
	m, err := mrz.Parse(strings.Join(d.MRZ, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := m.Key()
	if err != nil {
		t.Fatal(err)
	}
	r, err := inspect.Run(t.Context(), card, inspect.Access{Keys: []mrz.Key{key}}, &inspect.Config{At: at, Trust: pool})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// withList reads a citizen card with a revocation list of its issuer; without one
// if it was issued never.
func withList(t *testing.T, at, issued, next time.Time) *inspect.Report {
	t.Helper()
	pki, err := chip.NewPKI(chip.ProfileCCCDNoAA, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := chip.Build(chip.ProfileCCCDNoAA, chip.Options{At: at, PKI: pki})
	if err != nil {
		t.Fatal(err)
	}
	pool := trusting(t, d)
	if !issued.IsZero() {
		der, err := pki.CSCA.CRL(issuer.CRLOptions{Number: 1, ThisUpdate: issued, NextUpdate: next})
		if err != nil {
			t.Fatal(err)
		}
		crl, err := cms.ParseCRL(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := pool.AddCRL(crl, "test"); err != nil {
			t.Fatal(err)
		}
	}
	return read(t, d, pool, at)
}

// TestWeak: an old document's algorithms are told, and a site may want better ones.
func TestWeak(t *testing.T) {
	at := time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)
	d, err := chip.Build(chip.ProfilePassportOld, chip.Options{At: at})
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, d, trusting(t, d), at)
	if len(r.Weak) == 0 {
		t.Fatal("nothing is weak about the old passport")
	}
	for rule, want := range map[policy.Weak]policy.Outcome{
		policy.WarnWeak: policy.Warn, policy.AcceptWeak: policy.Accept, policy.RefuseWeak: policy.Refuse, 99: policy.Refuse,
	} {
		got := policy.Policy{Weak: rule}.Decide(r)
		if got.Outcome != want {
			t.Errorf("rule %d: %v, want %v", rule, got.Outcome, want)
		}
		if err := got.Err(); errors.Is(err, policy.ErrWeak) != (want == policy.Refuse) {
			t.Errorf("rule %d: error %v", rule, err)
		}
		var told []string
		for _, reason := range got.Reasons {
			if reason.ID != "" || reason.Outcome != want || !strings.Contains(reason.String(), reason.Weak) {
				t.Errorf("reason %v", reason)
			}
			told = append(told, reason.Weak)
		}
		if want != policy.Accept && !slices.Equal(told, r.Weak) {
			t.Errorf("rule %d tells %q, want %q", rule, told, r.Weak)
		}
	}
	// What failed goes before what is weak.
	r = read(t, d, trust.NewPool(), at)
	if c, ok := errors.AsType[*inspect.CheckError](policy.Policy{Weak: policy.RefuseWeak}.Decide(r).Err()); !ok || c.ID != inspect.TrustChain {
		t.Errorf("an unknown issuer is hidden by what is weak: %v", c)
	}
}

// TestRevocation: why nobody can tell makes the difference.
func TestRevocation(t *testing.T) {
	at := time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name     string
		crl      time.Time // zero: none
		next     time.Time
		want     map[policy.Revocation]policy.Outcome
		expected result.Reason
	}{
		{"no list", time.Time{}, time.Time{}, map[policy.Revocation]policy.Outcome{
			policy.WarnOutdated: policy.Accept, policy.RequireRevocation: policy.Refuse, policy.WarnRevocation: policy.Warn, policy.IgnoreRevocation: policy.Accept,
		}, passiveauth.NoRevocationInformation},
		{"outdated list", at.AddDate(0, -4, 0), at.AddDate(0, -1, 0), map[policy.Revocation]policy.Outcome{
			policy.WarnOutdated: policy.Warn, policy.RequireRevocation: policy.Refuse, policy.WarnRevocation: policy.Warn, policy.IgnoreRevocation: policy.Accept,
		}, passiveauth.RevocationListOutdated},
		{"list of today", at.AddDate(0, 0, -1), at.AddDate(0, 2, 0), map[policy.Revocation]policy.Outcome{
			policy.WarnOutdated: policy.Accept, policy.RequireRevocation: policy.Accept, policy.WarnRevocation: policy.Accept, policy.IgnoreRevocation: policy.Accept,
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := withList(t, at, tt.crl, tt.next)
			if got := r.Check(inspect.Revocation); got.Reason != tt.expected {
				t.Fatalf("the report says %v", got)
			}
			for rule, want := range tt.want {
				got := policy.Accept
				for _, reason := range (policy.Policy{Revocation: rule}).Decide(r).Reasons {
					if reason.ID == inspect.Revocation {
						got = reason.Outcome
					}
				}
				if got != want {
					t.Errorf("rule %d: %v, want %v", rule, got, want)
				}
			}
		})
	}
}
