package central_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

// A Vietnamese number is proven by a Vietnamese citizen card only. Any other
// state may write what it likes into its optional data, and its certificates
// are trusted for passports, not for this.
func TestNumberIsProvenByVietnamsCardsOnly(t *testing.T) {
	const number = "001099000001"
	const name, birth, expiry = "NGUYEN<<VAN<THU", "990131", "390131"
	tests := []struct {
		name    string
		profile string
		zone    []string
		number  string
		want    contract.Assurance // empty: the person does not match
	}{
		{"citizen card", chip.ProfileCCCDNoAA, inspecttest.TD1("VNM", name, "099000001", "VNM", birth, expiry, number+"<<6"), number, contract.AssuranceAttested},
		{"citizen card, another number", chip.ProfileCCCDNoAA, inspecttest.TD1("VNM", name, "099000001", "VNM", birth, expiry, number+"<<6"), "001099000002", ""},
		{"citizen card, part of the number", chip.ProfileCCCDNoAA, inspecttest.TD1("VNM", name, "099000001", "VNM", birth, expiry, number+"<<6"), "00109900000", ""},
		{"citizen card without a number", chip.ProfileCCCDNoAA, inspecttest.TD1("VNM", name, "099000001", "VNM", birth, expiry, ""), number, ""},
		{"passport of Vietnam", chip.ProfileCCCDNoAA, inspecttest.TD3("VNM", name, "C1234567", "VNM", birth, expiry, number), number, ""},
		{"passport of another state", chip.ProfilePassportBAC, inspecttest.TD3("UTO", name, "L898902C3", "VNM", birth, expiry, number), number, ""},
		{"card of another state", chip.ProfilePassportBAC, inspecttest.TD1("UTO", name, "099000001", "VNM", birth, expiry, number+"<<6"), number, ""},
		{"passport of another state, no number claimed", chip.ProfilePassportBAC, inspecttest.TD3("UTO", name, "L898902C3", "VNM", birth, expiry, number), "", contract.AssuranceAttested},
	}
	a := newAgent(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := inspecttest.New(t, tt.profile)
			d.Omit(15) // without a signature of the chip, the person is all there is to judge
			d.Zone(t, tt.zone...)
			d.Sign(t)
			v := newVisit(t, a, d.Document, nil, false)
			v.Evidence.DG15 = nil
			v.Person = contract.Person{Number: tt.number, Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Sex: contract.SexMale, Nationality: "VNM"}
			f := (&central.Verifier{Anchors: anchors(t, d.Document)}).Assess(v, nil, now().Add(2*time.Second))
			want := central.Finding{Assurance: tt.want}
			if tt.want == "" {
				want.Reason = contract.ReasonPersonMismatch
			}
			if (tt.profile == chip.ProfilePassportBAC) != (len(tt.zone) == 2) {
				// These are refused before: the signer's certificate is for the other
				// kind of document. The number alone must not do either.
				want.Reason = contract.ReasonChain
				m, err := mrz.Parse(strings.Join(tt.zone, "\n"))
				if err != nil || central.IsNumber(tt.number, m) {
					t.Errorf("the zone proves the number (%v)", err)
				}
			}
			if f != want {
				t.Errorf("got %+v, want %+v", f, want)
			}
		})
	}
}

// A visit whose own checks say that the chip failed is not mended by leaving
// the evidence out, whichever of the proofs it was.
func TestFailedProofIsNotLeftOut(t *testing.T) {
	d := inspecttest.New(t, chip.ProfileCCCD)
	a := newAgent(t)
	for _, id := range []string{contract.CheckActiveAuthentication, contract.CheckChipAuthentication, contract.CheckChipAuthenticity} {
		for _, failed := range []bool{true, false} {
			v := newVisit(t, a, d.Document, nil, false)
			v.Evidence.DG15, v.Verified = nil, false
			v.Checks = []contract.Check{{ID: id, Result: contract.NotSupported}}
			want := central.Finding{Assurance: contract.AssuranceAttested}
			if failed {
				v.Checks[0].Result = contract.Failed
				want = central.Finding{Reason: contract.ReasonChipSignature}
			}
			if f := (&central.Verifier{Anchors: anchors(t, d.Document)}).Assess(v, nil, now().Add(2*time.Second)); f != want {
				t.Errorf("%s failed %v: got %+v, want %+v", id, failed, f, want)
			}
		}
	}
}
