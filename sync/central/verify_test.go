package central_test

import (
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

func newNonce(at time.Time) *contract.Nonce {
	return &contract.Nonce{Version: contract.Version, ID: "n1", Value: []byte("0123456789abcdef0123456789abcdef"), IssuedAt: at}
}

func flip(b []byte, i int) []byte {
	c := append([]byte(nil), b...)
	if i < 0 {
		i += len(c)
	}
	c[i] ^= 1
	return c
}

func TestAssess(t *testing.T) {
	doc := document(t, "cccd", chip.TamperNone)
	plain := document(t, "cccd-no-aa", chip.TamperNone)
	a, b := newAgent(t), newAgent(t)
	nonce := newNonce(now().Add(-time.Minute))
	genuine := newVisit(t, a, doc, nonce, true)
	older := newVisit(t, a, doc, nonce, true) // an earlier visit of the same card
	both := anchors(t, doc, plain)
	arrived := now().Add(2 * time.Second)

	type input struct {
		v       *contract.Visit
		own     *contract.Nonce
		pool    *trust.Pool
		arrived time.Time
	}
	tests := []struct {
		name      string
		change    func(*input)
		assurance contract.Assurance
		reason    contract.Reason
	}{
		{"genuine", func(*input) {}, contract.AssuranceChip, ""},
		// What the challenge binds.
		{"other facility", func(in *input) { in.v.Facility = "79001" }, "", contract.ReasonChallenge},
		{"other agent", func(in *input) { in.v.Agent = b.name }, "", contract.ReasonChallenge},
		{"other id", func(in *input) { in.v.ID = older.ID }, "", contract.ReasonChallenge},
		{"other time", func(in *input) { in.v.Evidence.Time = in.v.Evidence.Time.Add(time.Millisecond) }, "", contract.ReasonChallenge},
		{"nonce that is not known (any more)", func(in *input) { in.own = nil }, contract.AssuranceAttested, ""},
		{"nonce that is not known, old signature", func(in *input) {
			in.own, in.v.Evidence.Signature = nil, older.Evidence.Signature
		}, "", contract.ReasonChipSignature},
		{"nonce with another value", func(in *input) { in.v.Evidence.Nonce.Value = flip(in.v.Evidence.Nonce.Value, 0) }, "", contract.ReasonNonceUnknown},
		{"nonce made older", func(in *input) {
			in.v.Evidence.Nonce.IssuedAt = in.v.Evidence.Nonce.IssuedAt.Add(-time.Hour)
		}, "", contract.ReasonNonceUnknown},
		{"another nonce of ours", func(in *input) {
			n := newNonce(nonce.IssuedAt)
			n.ID, n.Value = "n2", flip(n.Value, 3)
			in.own, in.v.Evidence.Nonce = n, n
		}, "", contract.ReasonChallenge},
		{"nonce left out", func(in *input) { in.v.Evidence.Nonce, in.own = nil, nil }, "", contract.ReasonChallenge},
		{"challenge as claimed, not as bound", func(in *input) {
			in.v.Evidence.Challenge = older.Evidence.Challenge
			in.v.Evidence.Signature = older.Evidence.Signature
		}, "", contract.ReasonChallenge},
		{"old signature under the right challenge", func(in *input) {
			in.v.Evidence.Signature = older.Evidence.Signature
		}, "", contract.ReasonChipSignature},
		{"evidence of an older visit", func(in *input) { in.v.Evidence = older.Evidence }, "", contract.ReasonChallenge},
		// What the issuing state signed.
		{"DG1 changed", func(in *input) { in.v.Evidence.DG1 = document(t, "cccd", chip.TamperDG1).Groups[1] }, "", contract.ReasonHashMismatch},
		{"DG15 changed", func(in *input) { in.v.Evidence.DG15 = flip(in.v.Evidence.DG15, -1) }, "", contract.ReasonHashMismatch},
		{"DG15 of another chip", func(in *input) {
			in.v.Evidence.DG15 = document(t, "cccd", chip.TamperDG1).Groups[15]
		}, "", contract.ReasonHashMismatch},
		{"DG15 of a document that has none", func(in *input) {
			in.v.Evidence.SOD, in.v.Evidence.DG1 = plain.SOD, plain.Groups[1]
		}, "", contract.ReasonNotCovered},
		{"EF.SOD signature changed", func(in *input) {
			d := document(t, "cccd", chip.TamperSODSignature)
			in.v.Evidence.SOD, in.v.Evidence.DG1, in.v.Evidence.DG15 = d.SOD, d.Groups[1], d.Groups[15]
			in.pool = anchors(t, d)
		}, "", contract.ReasonSODSignature},
		{"EF.SOD cut off", func(in *input) {
			in.v.Evidence.SOD = in.v.Evidence.SOD[:len(in.v.Evidence.SOD)-1]
		}, "", contract.ReasonEvidenceMalformed},
		{"EF.SOD of another document", func(in *input) { in.v.Evidence.SOD = document(t, "cccd", chip.TamperDG1).SOD }, "", contract.ReasonHashMismatch},
		{"unknown authority", func(in *input) { in.pool = anchors(t, plain) }, "", contract.ReasonNoTrustAnchor},
		{"unknown authority of the same name", func(in *input) {
			d := document(t, "cccd", chip.TamperUnknownCSCA)
			*in.v = *newVisit(t, a, d, nonce, true)
			in.pool = anchors(t, d)
		}, "", contract.ReasonNoTrustAnchor},
		{"signer expired", func(in *input) {
			d := document(t, "cccd", chip.TamperExpiredDS)
			*in.v = *newVisit(t, a, d, nonce, true)
			in.pool = anchors(t, d)
		}, "", contract.ReasonSignerExpired},
		// The chip.
		{"signature changed", func(in *input) { in.v.Evidence.Signature = flip(in.v.Evidence.Signature, 5) }, "", contract.ReasonChipSignature},
		{"signature cut off", func(in *input) { in.v.Evidence.Signature = in.v.Evidence.Signature[1:] }, "", contract.ReasonChipSignature},
		{"clone", func(in *input) {
			d := document(t, "cccd", chip.TamperClone)
			*in.v = *newVisit(t, a, d, nonce, true)
			in.pool = anchors(t, d)
		}, "", contract.ReasonChipSignature},
		{"clone that hides its signature", func(in *input) { in.v.Evidence.Signature = nil }, "", contract.ReasonEvidenceMissing},
		{"clone that admits it", func(in *input) {
			in.v.Evidence.Signature, in.v.Verified = nil, false
			in.v.Checks = []contract.Check{{ID: contract.CheckActiveAuthentication, Result: contract.Failed}}
		}, "", contract.ReasonChipSignature},
		// The person.
		{"other name", func(in *input) { in.v.Person.Name = "Trần Thị Mẫu" }, "", contract.ReasonPersonMismatch},
		{"other number", func(in *input) { in.v.Person.Number = "001099000002" }, "", contract.ReasonPersonMismatch},
		{"other birth date", func(in *input) { in.v.Person.BirthDate = "1999-01-30" }, "", contract.ReasonPersonMismatch},
		{"other sex", func(in *input) { in.v.Person.Sex = contract.SexFemale }, "", contract.ReasonPersonMismatch},
		{"other nationality", func(in *input) { in.v.Person.Nationality = "LAO" }, "", contract.ReasonPersonMismatch},
		{"other document", func(in *input) { in.v.Person.DocumentNumber = "099000002" }, "", contract.ReasonPersonMismatch},
		{"other expiry", func(in *input) { in.v.Person.Expiry = "2040-01-31" }, "", contract.ReasonPersonMismatch},
		{"name without tone marks", func(in *input) { in.v.Person.Name = "NGUYEN VAN THU" }, contract.AssuranceChip, ""},
		{"only a year of birth", func(in *input) { in.v.Person.BirthDate = "1999" }, contract.AssuranceChip, ""},
		{"document number instead", func(in *input) {
			in.v.Person.Number, in.v.Person.DocumentNumber = "", "099000001"
		}, contract.AssuranceChip, ""},
		// Time.
		{"recorded in the future", func(in *input) { in.arrived = in.arrived.Add(-24 * time.Hour) }, contract.AssuranceAttested, ""},
		{"recorded before it began", func(in *input) { in.v.RecordedAt = in.v.StartedAt.Add(-time.Hour) }, contract.AssuranceAttested, ""},
		{"challenge after the record", func(in *input) {
			in.v.StartedAt, in.v.RecordedAt = in.v.StartedAt.Add(-time.Hour), in.v.RecordedAt.Add(-time.Hour)
		}, contract.AssuranceAttested, ""},
		{"our nonce is from the future", func(in *input) {
			n := *nonce
			n.IssuedAt = n.IssuedAt.Add(time.Hour)
			in.own, in.v.Evidence.Nonce = &n, &n
		}, contract.AssuranceAttested, ""},
		{"clock a day behind the nonce", func(in *input) {
			n := *nonce
			n.IssuedAt = n.IssuedAt.Add(24 * time.Hour)
			in.own, in.v.Evidence.Nonce, in.arrived = &n, &n, in.arrived.Add(24*time.Hour)
		}, contract.AssuranceAttested, ""},
		{"began years ago", func(in *input) { in.v.StartedAt = in.v.StartedAt.AddDate(-2, 0, 0) }, contract.AssuranceAttested, ""},
		{"arrives after four months", func(in *input) { in.arrived = in.arrived.AddDate(0, 4, 0) }, contract.AssuranceAttested, ""},
		{"backdated to before the signer expired", func(in *input) {
			d := document(t, "cccd", chip.TamperExpiredDS)
			*in.v = *newVisit(t, a, d, nil, false)
			back := in.v.RecordedAt.AddDate(-2, 0, 0)
			in.v.StartedAt, in.v.RecordedAt, in.v.Evidence.Time, in.v.Verified = back, back, back, false
			in.own, in.pool = nil, anchors(t, d)
		}, "", contract.ReasonSignerExpired},
		{"typed by hand, battery empty", func(in *input) {
			*in.v = *declared(t, a)
			in.v.StartedAt = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
			in.v.RecordedAt = in.v.StartedAt
		}, contract.AssuranceDeclared, ""},
		{"arrives after a month", func(in *input) { in.arrived = in.arrived.AddDate(0, 1, 0) }, contract.AssuranceChip, ""},
		// Less than a signature.
		{"chip without active authentication", func(in *input) {
			*in.v = *newVisit(t, a, plain, nonce, false)
		}, contract.AssuranceAttested, ""},
		{"never had a nonce", func(in *input) {
			*in.v = *newVisit(t, a, doc, nil, true)
			in.own = nil
		}, contract.AssuranceAttested, ""},
		{"signature left out, not called verified", func(in *input) {
			in.v.Evidence.Signature, in.v.Verified = nil, false
		}, contract.AssuranceAttested, ""},
		{"typed by hand", func(in *input) { *in.v = *declared(t, a) }, contract.AssuranceDeclared, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := *genuine
			e := *genuine.Evidence
			n := *nonce
			e.Nonce = &n
			v.Evidence = &e
			in := &input{v: &v, own: nonce, pool: both, arrived: arrived}
			tt.change(in)
			f := (&central.Verifier{Anchors: in.pool}).Assess(in.v, in.own, in.arrived)
			if f.Reason != tt.reason || f.Assurance != tt.assurance {
				t.Fatalf("reason %q, assurance %q; want %q, %q", f.Reason, f.Assurance, tt.reason, tt.assurance)
			}
			if (f.Presence != nil) != (tt.assurance == contract.AssuranceChip) {
				t.Fatalf("presence %v with assurance %q", f.Presence, f.Assurance)
			}
			if p := f.Presence; p != nil && (!p.From.Equal(nonce.IssuedAt) || !p.To.Equal(in.arrived)) {
				t.Errorf("presence from %v to %v, want from the nonce's issue %v to the arrival %v", p.From, p.To, nonce.IssuedAt, in.arrived)
			}
		})
	}
}
