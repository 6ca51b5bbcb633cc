package checkin_test

import (
	"testing"

	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/sync/central"
)

// agree has a document verified at the desk, and wants the central service to find
// the same from the evidence. It returns what the desk's policy said.
func agree(t *testing.T, d *inspecttest.Draft) policy.Decision {
	t.Helper()
	desk, _ := desk(t, paper{pool: d.Pool(t)})
	out, err := desk.CheckIn(t.Context(), d.Card(t), d.Access(t), checkin.Options{Photo: true})
	if err != nil || !out.Visit.Verified {
		t.Fatalf("the desk: %v, %v", out.Decision, err)
	}
	if c := out.Report.Check(inspect.ActiveAuthentication); c.Value != result.Successful {
		t.Fatalf("this tests nothing: active authentication %v", c)
	}
	v := central.Verifier{Anchors: d.Pool(t)}
	if f := v.Assess(out.Visit, out.Visit.Evidence.Nonce, at); f.Reason != "" {
		t.Errorf("accepted and verified at the desk, rejected at the centre: %s", f.Reason)
	}
	return out.Decision
}

// A DG14 that its issuer signed and that cannot be understood announces nothing,
// to both sides.
func TestAgentAndCentreAgreeOnDG14(t *testing.T) {
	for _, tt := range []struct {
		name string
		dg14 []byte
	}{
		{"absent", nil},
		{"empty set", []byte{0x6E, 0x02, 0x31, 0x00}},
		{"no set", []byte{0x6E, 0x03, 0x04, 0x01, 0x05}},
		{"entries that are none", []byte{0x6E, 0x05, 0x31, 0x03, 0x02, 0x05, 0x05}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCD)
			if tt.dg14 != nil {
				d.Put(14, tt.dg14)
				d.Sign(t)
			}
			agree(t, d)
		})
	}
}
