package checkin_test

import (
	"crypto"
	"encoding/asn1"
	"testing"

	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
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

// DG14 goes into the evidence however many keys it lists: it may announce how the
// chip signs, and the centre does not guess.
func TestAgentAndCentreAgreeOnLargeDG14(t *testing.T) {
	pss, err := issuer.ActiveAuthenticationInfoPSS()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 5 << 10, contract.MaxDG14 - 100} {
		d := inspecttest.New(t, chip.ProfileCCCD)
		d.Personalisation.ActiveAuthenticationForm = chip.AAForm{Hash: crypto.SHA256, PSS: true}
		other, err := asn1.Marshal(struct {
			Protocol asn1.ObjectIdentifier
			Required []byte
		}{asn1.ObjectIdentifier{2, 999, 1}, make([]byte, size)})
		if err != nil {
			t.Fatal(err)
		}
		d.DG14(t, pss, other)
		d.Sign(t)
		agree(t, d)
	}
}
