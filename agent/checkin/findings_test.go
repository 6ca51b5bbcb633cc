package checkin_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
)

// checkInDraft checks a document in, and returns what became of it and whom
// the insurer was asked about.
func checkInDraft(t *testing.T, d *inspecttest.Draft) (out *checkin.Outcome, disk *disk, asked []lookup.Request, err error) {
	t.Helper()
	questions := make(chan lookup.Request, 8)
	desk, disk := desk(t, paper{pool: d.Pool(t)})
	desk.Lookup = insurer(func(_ context.Context, r lookup.Request) (lookup.Answer, error) {
		questions <- r
		return insured, nil
	})
	out, err = desk.CheckIn(t.Context(), d.Card(t), d.Access(t), checkin.Options{Photo: true})
	if err == nil { // then the answer was waited for
		for len(questions) > 0 {
			asked = append(asked, <-questions)
		}
		return out, disk, asked, nil
	}
	// A question that goes out all the same is on its way before the card is read
	// to its end; the goroutine may not have run yet.
	t.Cleanup(func() {
		if len(questions) > 0 {
			t.Error("the insurer was asked about a person on a refused card")
		}
	})
	return out, disk, nil, err
}

// The text on a copied or exchanged chip is signed, and its holder is not
// verified: not in the output, and nobody is asked about them.
func TestPersonOnARefusedCardIsNotVerified(t *testing.T) {
	tests := []struct {
		name   string
		change func(*testing.T, *inspecttest.Draft)
		cause  inspect.ID
	}{
		{"copy without a key", func(_ *testing.T, d *inspecttest.Draft) {
			d.Personalisation.ActiveAuthentication = nil
		}, inspect.ActiveAuthentication},
		{"copy that hides its key", func(_ *testing.T, d *inspecttest.Draft) { d.Withhold(15) }, inspect.DG15Integrity},
		{"data of another card", func(t *testing.T, d *inspecttest.Draft) {
			d.MRZ = inspecttest.TD1("VNM", "MAU<<VAN", "000000001", "VNM", "700101", "300101", "001070000001<<7")
			d.Personalisation.AccessKey = inspecttest.Key(t, d.MRZ)
		}, inspect.KeyBinding},
		{"two people", func(t *testing.T, d *inspecttest.Draft) {
			d.DG13(t, issuer.Domestic{Number: "001099000001", Name: "Trần Thị Khác", DateOfBirth: "05/05/1950"})
			d.Sign(t)
		}, inspect.DataConsistency},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCD)
			tt.change(t, d)
			out, disk, _, err := checkInDraft(t, d)
			if c, is := errors.AsType[*inspect.CheckError](err); !is || c.ID != tt.cause {
				t.Errorf("got %v, want %s", err, tt.cause)
			}
			if out.Visit != nil || len(disk.entries) != 0 {
				t.Error("there is a visit")
			}
			if !out.Report.TextVerified() {
				t.Fatal("the text is not signed: this tests nothing")
			}
			p := checkin.EncodePerson(out.Report, out.Decision)
			if p.Verified || !p.SignedByIssuer {
				t.Errorf("verified %v, signed %v", p.Verified, p.SignedByIssuer)
			}
			b, err := json.Marshal(checkin.EncodeOutcome(out.Report, out.Decision, nil))
			if err != nil {
				t.Fatal(err)
			}
			var encoded struct{ Person struct{ Verified *bool } }
			if err := json.Unmarshal(b, &encoded); err != nil || encoded.Person.Verified == nil || *encoded.Person.Verified {
				t.Errorf("the JSON says that the person is verified, %v", err)
			}
		})
	}
}

// A document number with a filler inside, which stands for a character that a
// zone cannot have, is a number like any other.
func TestDocumentNumberWithFillerIsRecorded(t *testing.T) {
	d := inspecttest.New(t, chip.ProfilePassportBAC)
	d.Zone(t, inspecttest.TD3("UTO", "MUSTER<<TESTA", "AB<123456", "UTO", "851224", "310809", "")...)
	d.Sign(t)
	out, disk, _, err := checkInDraft(t, d)
	if err != nil || len(disk.entries) != 1 {
		t.Fatalf("got %v, %d visits", err, len(disk.entries))
	}
	v, err := contract.DecodeVisit(disk.entries[0].Payload)
	if err != nil {
		t.Fatal(err)
	}
	if v.Person.DocumentNumber != "AB<123456" || out.Visit.Person.DocumentNumber != v.Person.DocumentNumber {
		t.Error("another document number is on record")
	}
}

// What DG13 says is used only where it is known to speak of the person in DG1.
func TestDG13WithoutNumberIsNotUsed(t *testing.T) {
	tests := []struct {
		name   string
		number string
		want   contract.Person
	}{
		{"with the number", "001099000001", contract.Person{Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"}},
		{"without a number", "", contract.Person{Name: "NGUYEN VAN THU", BirthDate: "1999-01-31"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := inspecttest.New(t, chip.ProfileCCCD)
			d.DG13(t, issuer.Domestic{Number: tt.number, Name: "Nguyễn Văn Thử", DateOfBirth: "31/01/1999", Residence: "Hà Nội"})
			d.Sign(t)
			out, disk, asked, err := checkInDraft(t, d)
			if err != nil || len(disk.entries) != 1 || len(asked) != 1 {
				t.Fatalf("got %v, %d visits, %d questions", err, len(disk.entries), len(asked))
			}
			v, err := contract.DecodeVisit(disk.entries[0].Payload)
			if err != nil {
				t.Fatal(err)
			}
			if v.Person.Name != tt.want.Name || v.Person.BirthDate != tt.want.BirthDate || v.Person.Number != "001099000001" {
				t.Error("another person is on record")
			}
			if asked[0].Name != tt.want.Name || asked[0].Number != "001099000001" {
				t.Error("the insurer was asked about another person")
			}
			if p := checkin.EncodePerson(out.Report, out.Decision); (p.Residence != "") != (tt.number != "") {
				t.Error("the residence comes from somebody else's DG13")
			}
		})
	}
}

// Whatever a report says, a refusing decision verifies nobody.
func TestRefusingDecisionVerifiesNobody(t *testing.T) {
	r, err := inspecttest.New(t, chip.ProfileCCCD).Inspect(t)
	if err != nil || !r.TextVerified() {
		t.Fatalf("text verified %v, %v", r.TextVerified(), err)
	}
	for _, o := range []policy.Outcome{policy.Refuse, policy.Warn, policy.Accept} {
		if p := checkin.EncodePerson(r, policy.Decision{Outcome: o}); p.Verified != (o != policy.Refuse) {
			t.Errorf("%v: verified %v", o, p.Verified)
		}
	}
}
