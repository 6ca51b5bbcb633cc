package policy_test

import (
	"context"
	"errors"
	"testing"

	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/mrz"
)

// Tests of what the default policy does with documents that are not what they
// seem to be. What the checks say is tested in icao/inspect.

func must(t *testing.T) func(b []byte, err error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

const (
	caNobody = "0.4.0.127.0.7.2.2.3.2.99" // chip authentication with a cipher that nobody knows
	paceDES  = "0.4.0.127.0.7.2.2.4.2.1"  // PACE with 3DES
	p256r1   = 13                         // brainpoolP256r1
)

func TestWhatAForgerTries(t *testing.T) {
	forged, err := mrz.NewKey("000000001", "700101", "300101")
	if err != nil {
		t.Fatal(err)
	}
	person := issuer.Domestic{Number: "001099000001", Name: "Nguyễn Văn Thử", DateOfBirth: "31/01/1999"}
	tests := []struct {
		name    string
		profile string
		change  func(*testing.T, *inspecttest.Draft)
		access  func(*inspecttest.Draft) inspect.Access // nil: what is printed
		probe   bool
		want    policy.Outcome
		cause   inspect.ID // of a refusal or a warning
		err     error      // of the inspection
	}{
		// Chip authentication that the issuer announced.
		{name: "genuine", profile: chip.ProfileCCCDPACE, want: policy.Accept},
		{name: "chip authentication alone", profile: chip.ProfileCCCDPACE, change: func(t *testing.T, d *inspecttest.Draft) {
			d.Omit(15)
			d.Sign(t)
		}, want: policy.Accept},
		{name: "a copy that refuses chip authentication", profile: chip.ProfileCCCDPACE, change: func(t *testing.T, d *inspecttest.Draft) {
			d.Omit(15)
			d.Sign(t)
			d.Personalisation.ChipAuthentication = nil
		}, want: policy.Refuse, cause: inspect.ChipAuthentication},
		{name: "a copy with another key", profile: chip.ProfileCCCDPACE, change: func(t *testing.T, d *inspecttest.Draft) {
			key, err := issuer.NewECKey(nil, "brainpoolP256r1", true)
			if err != nil {
				t.Fatal(err)
			}
			ca := *d.Personalisation.ChipAuthentication
			ca.Key = key
			d.Personalisation.ChipAuthentication = &ca
		}, want: policy.Refuse, cause: inspect.ChipAuthentication, err: inspect.ErrCopy},
		{name: "chip authentication refused, active authentication performed", profile: chip.ProfileCCCDPACE, change: func(_ *testing.T, d *inspecttest.Draft) {
			d.Personalisation.ChipAuthentication = nil
		}, want: policy.Refuse, cause: inspect.ChipAuthentication},
		{name: "chip authentication that nobody knows", profile: chip.ProfileCCCDPACE, change: func(t *testing.T, d *inspecttest.Draft) {
			d.Omit(15)
			d.DG14(t, must(t)(issuer.ChipAuthenticationInfo(caNobody, 1, 0)),
				must(t)(issuer.ChipAuthenticationPublicKeyInfo(d.Personalisation.ChipAuthentication.Key, 0)))
			d.Sign(t)
		}, want: policy.Refuse, cause: inspect.ChipAuthenticity},
		{name: "the announcement withheld", profile: chip.ProfileCCCDPACE, change: func(t *testing.T, d *inspecttest.Draft) {
			d.Omit(15)
			d.Sign(t)
			d.Withhold(14)
		}, want: policy.Refuse, cause: inspect.DG14Integrity},
		// Active authentication.
		{name: "the key withheld", profile: chip.ProfileCCCD, change: func(_ *testing.T, d *inspecttest.Draft) {
			d.Withhold(15)
		}, want: policy.Refuse, cause: inspect.DG15Integrity},
		{name: "a key that nobody signed, and not even that", profile: chip.ProfileCCCD, change: func(t *testing.T, d *inspecttest.Draft) {
			dg15 := d.Groups[15]
			d.Omit(15)
			d.Sign(t)
			d.Put(15, dg15)
			d.Personalisation.ActiveAuthentication = nil
		}, probe: true, want: policy.Refuse, cause: inspect.ActiveAuthentication},
		{name: "a key that nobody signed", profile: chip.ProfileCCCD, change: func(t *testing.T, d *inspecttest.Draft) {
			dg15 := d.Groups[15]
			d.Omit(15)
			d.Sign(t)
			d.Put(15, dg15)
		}, probe: true, want: policy.Warn, cause: inspect.ChipAuthenticity},
		// The offer of PACE.
		{name: "EF.CardAccess hidden", profile: chip.ProfileCCCDPACE, change: func(t *testing.T, d *inspecttest.Draft) {
			d.CardAccess(t)
		}, want: policy.Warn, cause: inspect.CardAccess},
		{name: "EF.CardAccess altered", profile: chip.ProfileCCCDPACE, change: func(t *testing.T, d *inspecttest.Draft) {
			d.CardAccess(t, must(t)(issuer.PACEInfo(paceDES, 2, p256r1)))
			weak := *d.Personalisation.PACE
			weak.Protocol = paceDES
			d.Personalisation.PACE = &weak
		}, want: policy.Refuse, cause: inspect.CardAccess},
		// What is kept back.
		{name: "the photo withheld", profile: chip.ProfileCCCD, change: func(_ *testing.T, d *inspecttest.Draft) {
			d.Withhold(2)
		}, want: policy.Refuse, cause: inspect.DG2Integrity},
		{name: "something else in the photo's place", profile: chip.ProfileCCCD, change: func(_ *testing.T, d *inspecttest.Draft) {
			d.Put(2, []byte{0x30, 0x03, 1, 2, 3})
		}, want: policy.Refuse, cause: inspect.DG2Integrity},
		{name: "no photo", profile: chip.ProfileCCCD, change: func(t *testing.T, d *inspecttest.Draft) {
			d.Omit(2)
			d.Sign(t)
		}, want: policy.Warn, cause: inspect.DG2Integrity},
		{name: "DG13 withheld", profile: chip.ProfileCCCD, change: func(_ *testing.T, d *inspecttest.Draft) {
			d.Withhold(13)
		}, want: policy.Warn, cause: inspect.DG13Integrity},
		{name: "no DG13", profile: chip.ProfileCCCD, change: func(t *testing.T, d *inspecttest.Draft) {
			d.Omit(13)
			d.Sign(t)
		}, want: policy.Accept},
		// Another document behind the printed one.
		{name: "the key of another card", profile: chip.ProfileCCCD, change: func(_ *testing.T, d *inspecttest.Draft) {
			d.Personalisation.AccessKey = forged
		}, access: func(*inspecttest.Draft) inspect.Access { return inspect.Access{Keys: []mrz.Key{forged}} }, want: policy.Refuse, cause: inspect.KeyBinding},
		{
			name: "the card access number", profile: chip.ProfileCCCDPACE,
			access: func(d *inspecttest.Draft) inspect.Access { return inspect.Access{CAN: d.CAN} }, want: policy.Accept,
		},
		{name: "DG13 of another name", profile: chip.ProfileCCCD, change: func(t *testing.T, d *inspecttest.Draft) {
			other := person
			other.Name = "Trần Thị Khác"
			d.DG13(t, other)
			d.Sign(t)
		}, want: policy.Refuse, cause: inspect.DataConsistency},
		{name: "DG13 of another birth date", profile: chip.ProfileCCCD, change: func(t *testing.T, d *inspecttest.Draft) {
			other := person
			other.DateOfBirth = "05/05/1950"
			d.DG13(t, other)
			d.Sign(t)
		}, want: policy.Refuse, cause: inspect.DataConsistency},
		{name: "DG13 without a number", profile: chip.ProfileCCCD, change: func(t *testing.T, d *inspecttest.Draft) {
			other := person
			other.Number = ""
			d.DG13(t, other)
			d.Sign(t)
		}, want: policy.Accept},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := inspecttest.New(t, tt.profile)
			if tt.change != nil {
				tt.change(t, d)
			}
			a := d.Access(t)
			if tt.access != nil {
				a = tt.access(d)
			}
			r, err := inspect.Run(t.Context(), d.Card(t), a, &inspect.Config{
				At: inspecttest.At, Trust: d.Pool(t), Photo: true, ProbeUncovered: tt.probe,
			})
			if !errors.Is(err, tt.err) || err != nil && tt.err == nil {
				t.Fatalf("inspection: got %v, want %v", err, tt.err)
			}
			got := policy.Policy{}.Decide(r)
			if got.Outcome != tt.want {
				t.Fatalf("got %v, want %v: %v", got.Outcome, tt.want, got.Reasons)
			}
			for _, reason := range got.Reasons {
				if reason.ID == tt.cause && reason.Outcome == tt.want {
					return
				}
			}
			if tt.cause != "" || len(got.Reasons) > 0 {
				t.Errorf("not because of %q: %v", tt.cause, got.Reasons)
			}
		})
	}
}

// Basic access control after a failed PACE is a matter of the policy: who did not
// allow it refuses, whoever performed it.
func TestBACAfterFailedPACE(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		p := policy.Policy{AllowBAC: allowed}
		cfg := inspect.Config{At: inspecttest.At, Photo: true}
		p.Prepare(&cfg)
		if cfg.FallBackToBAC != allowed || !cfg.Photo {
			t.Errorf("allowed %t: prepared %t", allowed, cfg.FallBackToBAC)
		}
		want := policy.Refuse
		if allowed {
			want = policy.Warn
		}
		d := inspecttest.New(t, chip.ProfileCCCDPACE)
		cfg.Trust, cfg.FallBackToBAC = d.Pool(t), true
		r, err := inspect.Run(t.Context(), withoutPACE{d.Card(t)}, d.Access(t), &cfg)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Decide(r)
		if got.Outcome != want || len(got.Reasons) == 0 || got.Reasons[0].ID != inspect.AccessControl || got.Reasons[0].Check.Reason != inspect.ReasonPACEFailed {
			t.Errorf("allowed %t: %v, want %v because of %s", allowed, got, want, inspect.AccessControl)
		}
	}
}

// withoutPACE refuses MSE:Set AT of PACE, as somebody in between can.
type withoutPACE struct{ *chip.Chip }

func (c withoutPACE) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if len(cmd) > 3 && cmd[1] == 0x22 && cmd[2] == 0xC1 {
		return []byte{0x6A, 0x80}, nil
	}
	return c.Chip.Transmit(ctx, cmd)
}

func (c withoutPACE) Reset(context.Context) error {
	c.Chip.Reset()
	return nil
}
