package central_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

// TestCardOfTheEntitlement: whose card a visit is charged to, the insurer's own
// records say, and not the agent.
func TestCardOfTheEntitlement(t *testing.T) {
	doc := document(t, "cccd", chip.TamperNone)
	p := doc.Person
	birth := contract.Date(p.Birth.Format(time.DateOnly))
	const (
		own, bare, next = "GD4010100000001", "0100000001", "GD4010100000007"
		others          = "GD4010100000002" // of somebody else
		namesake        = "GD4010100000003" // the same name and birth date, another number
		misspelt        = "GD4010100000004" // the same number, another name
		child           = "TE1010100000005" // on record without a personal number
		stranger        = "TE1010100000006" // the same, of somebody else
		nobodys         = "GD4010100000009"
	)
	r := newRig(t, anchors(t, doc),
		central.Person{Number: p.Number, InsuranceNumber: misspelt, Name: "Nguyễn Văn Thủ Khác", BirthDate: birth},
		central.Person{Number: "001099000009", InsuranceNumber: namesake, Name: p.Name, BirthDate: birth},
		central.Person{InsuranceNumber: others, Number: "079150000002", Name: "Trần Thị Mẫu", BirthDate: "1950"},
		central.Person{InsuranceNumber: child, Name: p.Name, BirthDate: birth},
		central.Person{InsuranceNumber: stranger, Name: "Trần Thị Mẫu", BirthDate: "1950"},
		// Last, so that the personal number leads here.
		central.Person{
			Number: p.Number, InsuranceNumber: own, Name: p.Name, BirthDate: birth, Code: "004",
			Next: &contract.NextCard{CardNumber: next},
		})
	r.run()
	vs := r.verdicts(r.agent)
	nonce := r.nonce()
	kv, err := r.js.KeyValue(t.Context(), "ins-visits")
	if err != nil {
		t.Fatal(err)
	}
	claim := func(c contract.Person) *contract.Person { return &c }
	none := contract.Reason("")
	for _, tt := range []struct {
		name    string
		claimed *contract.Person // nil: a chip was read
		card    string
		reason  contract.Reason // of the rejection
		doubt   contract.Reason
	}{
		{"chip, own card", nil, own, none, none},
		{"chip, ten digits", nil, bare, none, none},
		{"chip, the card that follows", nil, next, none, none},
		{"chip, name misspelt by the insurer", nil, misspelt, none, none},
		{"chip, record without a number", nil, child, none, none},
		{"chip, card of another", nil, others, contract.ReasonCardHolder, none},
		{"chip, card of a namesake", nil, namesake, contract.ReasonCardHolder, none},
		{"chip, record of another without a number", nil, stranger, contract.ReasonCardHolder, none},
		{"chip, card of nobody", nil, nobodys, none, contract.ReasonCardUnknown},
		{"declared, own card", claim(contract.Person{Number: p.Number}), own, none, none},
		{"declared, card of another", claim(contract.Person{Number: p.Number, Name: "Trần Thị Mẫu"}), others, contract.ReasonCardHolder, none},
		{"declared by name", claim(contract.Person{Name: p.Name, BirthDate: birth[:4]}), own, none, none},
		{"declared by another name", claim(contract.Person{Name: p.Name}), others, contract.ReasonCardHolder, none},
		{"declared by the card", claim(contract.Person{InsuranceNumber: others}), others, none, none},
		{"declared by another card", claim(contract.Person{InsuranceNumber: own, Name: p.Name, BirthDate: birth}), stranger, contract.ReasonCardHolder, none},
		{"declared by a document", claim(contract.Person{DocumentNumber: "099000001"}), own, none, contract.ReasonCardUnknown},
		{"declared, card of nobody", claim(contract.Person{Number: p.Number}), nobodys, none, contract.ReasonCardUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, assurance := newVisit(t, r.agent, doc, nonce, true), contract.AssuranceChip
			if tt.claimed != nil {
				v, assurance = declared(t, r.agent), contract.AssuranceDeclared
				v.Person = *tt.claimed
			}
			v.Entitlement = contract.Entitlement{
				Source: contract.SourceCache, AsOf: now(), Status: contract.StatusValid, Code: "000", CardNumber: tt.card,
			}
			if tt.reason != none {
				assurance = ""
			}
			r.send(v)
			vs.expect(v.ID, assurance, tt.reason)
			e, err := kv.Get(t.Context(), v.ID)
			if err != nil {
				t.Fatal(err)
			}
			var rec struct{ Doubt contract.Reason }
			if err := json.Unmarshal(e.Value(), &rec); err != nil || rec.Doubt != tt.doubt {
				t.Errorf("doubt %q on record (%v), want %q", rec.Doubt, err, tt.doubt)
			}
		})
	}
}
