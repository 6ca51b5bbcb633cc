package checkin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/vn"
	"github.com/chamthe/chamthe/sync/contract"
)

// consistent returns the report of a good citizen card.
func consistent(t *testing.T) *inspect.Report {
	t.Helper()
	p := document(t, chip.ProfileCCCDNoAA, chip.TamperNone)
	r, err := inspect.Run(t.Context(), p.card(t), p.access, &inspect.Config{At: at, Trust: p.pool})
	if err != nil || !r.TextVerified() {
		t.Fatalf("text verified %v, %v", r.TextVerified(), err)
	}
	return r
}

func TestBirthDate(t *testing.T) {
	at := time.Date(2026, time.November, 22, 9, 0, 0, 0, time.FixedZone("ICT", 7*3600))
	tests := []struct {
		name, mrz string
		want      contract.Date
	}{
		{"last century", "990131", "1999-01-31"},
		{"this century", "150505", "2015-05-05"},
		{"born today", "261122", "2026-11-22"},
		{"tomorrow is a hundred years ago", "261123", "1926-11-23"},
		{"a hundred years and a day", "261121", "2026-11-21"},
		{"next month of this year", "261201", "1926-12-01"},
		{"first day of the century", "000101", "2000-01-01"},
		{"leap day", "720229", "1972-02-29"},
		{"leap day of 2000", "000229", "2000-02-29"},
		{"no such leap day", "010229", ""},
		{"day unknown", "9901<<", "1999-01"},
		{"day unknown, this year's coming month", "2612<<", "1926-12"},
		{"day unknown, this month", "2611<<", "2026-11"},
		{"month and day unknown", "99<<<<", "1999"},
		{"month and day unknown, this year", "26<<<<", "2026"},
		{"month and day unknown, next year", "27<<<<", "1927"},
		{"day known, month not", "99<<31", "1999"},
		{"zeros for unknown", "990000", "1999"},
		{"zero for an unknown day", "990100", "1999-01"},
		{"nothing known", "<<<<<<", ""},
		{"month 13", "991301", ""},
		{"day 32", "990132", ""},
		{"too short", "9901", ""},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := checkin.BirthDate(tt.mrz, at)
			if got != tt.want || got != "" && !got.Valid() {
				t.Errorf("%s: got %q, want %q", tt.mrz, got, tt.want)
			}
		})
	}
	midnight := time.Date(2026, time.November, 22, 0, 0, 0, 0, at.Location())
	if got := checkin.BirthDate("261122", midnight); got != "2026-11-22" {
		t.Errorf("born as the day begins: %s", got)
	}
	// What day it is depends on where the desk stands.
	utc := time.Date(2026, time.November, 21, 20, 0, 0, 0, time.UTC)
	if got := checkin.BirthDate("261122", utc.In(at.Location())); got != "2026-11-22" {
		t.Errorf("born today in Hanoi: %s", got)
	}
	if got := checkin.BirthDate("261122", utc); got != "1926-11-22" {
		t.Errorf("born tomorrow in London: %s", got)
	}
}

func TestExpiryDate(t *testing.T) {
	for mrz, want := range map[string]contract.Date{
		"390131": "2039-01-31", "991230": "2099-12-30", "991231": "", "000101": "2000-01-01", "320229": "2032-02-29", "330229": "",
		"39<<<<": "", "3901": "", "": "", "391301": "",
	} {
		if got := checkin.ExpiryDate(mrz); got != want {
			t.Errorf("%s: got %q, want %q", mrz, got, want)
		}
	}
}

func TestPerson(t *testing.T) {
	at := time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)
	citizen := func() *mrz.MRZ {
		return &mrz.MRZ{
			Layout: mrz.TD1, DocumentCode: "ID", IssuingState: "VNM", PrimaryIdentifier: "NGUYEN", SecondaryIdentifier: "VAN THU",
			DocumentNumber: "099000001", Nationality: "VNM", DateOfBirth: "990131", Sex: "M", DateOfExpiry: "390131", OptionalData: "001099000001<<6",
		}
	}
	want := func(change func(*contract.Person)) contract.Person {
		p := contract.Person{
			Number: "001099000001", Name: "NGUYEN VAN THU", BirthDate: "1999-01-31", Sex: contract.SexMale,
			Nationality: "VNM", DocumentNumber: "099000001", Expiry: "2039-01-31",
		}
		if change != nil {
			change(&p)
		}
		return p
	}
	tests := []struct {
		name string
		mrz  func(*mrz.MRZ)
		dg13 *vn.DG13
		want contract.Person
	}{
		{"citizen, DG1 alone", nil, nil, want(nil)},
		{"DG13 knows the tone marks", nil, &vn.DG13{Name: "Nguyễn Văn Thử"}, want(func(p *contract.Person) { p.Name = "Nguyễn Văn Thử" })},
		{"DG13 knows the century", func(m *mrz.MRZ) { m.DateOfBirth = "200301" }, &vn.DG13{DateOfBirth: vn.Date{Year: 1920, Month: 3, Day: 1}}, want(func(p *contract.Person) { p.BirthDate = "1920-03-01" })},
		{"DG13 knows the number", func(m *mrz.MRZ) { m.OptionalData = "" }, &vn.DG13{Number: "001099000001"}, want(nil)},
		{"DG13 with an endless name", nil, &vn.DG13{Name: strings.Repeat("ễ", 129)}, want(nil)},
		{"DG13 with a long name", nil, &vn.DG13{Name: strings.Repeat("ễ", 128)}, want(func(p *contract.Person) { p.Name = strings.Repeat("ễ", 128) })},
		{"an empty DG13 takes nothing away", nil, &vn.DG13{}, want(nil)},
		{"no expiry", func(m *mrz.MRZ) { m.DateOfExpiry = "991231" }, nil, want(func(p *contract.Person) { p.Expiry = "" })},
		{"woman", func(m *mrz.MRZ) { m.Sex = "F" }, nil, want(func(p *contract.Person) { p.Sex = contract.SexFemale })},
		{"sex not stated", func(m *mrz.MRZ) { m.Sex = "<" }, nil, want(func(p *contract.Person) { p.Sex = contract.SexUnspecified })},
		{"day of birth unknown", func(m *mrz.MRZ) { m.DateOfBirth = "5003<<" }, nil, want(func(p *contract.Person) { p.BirthDate = "1950-03" })},
		{"no given name", func(m *mrz.MRZ) { m.SecondaryIdentifier = "" }, nil, want(func(p *contract.Person) { p.Name = "NGUYEN" })},
		{"optional data without number", func(m *mrz.MRZ) { m.OptionalData = "0010990000" }, nil, want(func(p *contract.Person) { p.Number = "" })},
		{"optional data with letters", func(m *mrz.MRZ) { m.OptionalData = "00109900000A<<6" }, nil, want(func(p *contract.Person) { p.Number = "" })},
		{"foreign card", func(m *mrz.MRZ) { m.IssuingState, m.Nationality = "UTO", "UTO" }, nil, want(func(p *contract.Person) { p.Number, p.Nationality = "", "UTO" })},
		{"passport of Vietnam", func(m *mrz.MRZ) { m.Layout, m.DocumentNumber = mrz.TD3, "C1234567<" }, nil, want(func(p *contract.Person) { p.Number, p.DocumentNumber = "", "C1234567" })},
		{"one-letter nationality", func(m *mrz.MRZ) { m.Nationality = "D<<" }, nil, want(func(p *contract.Person) { p.Nationality = "D" })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := citizen()
			if tt.mrz != nil {
				tt.mrz(m)
			}
			r := &inspect.Report{At: at, MRZ: m}
			if tt.dg13 != nil {
				r = consistent(t) // its DG13 is known to speak of the same person
				r.At, r.MRZ, r.DG13 = at, m, tt.dg13
			}
			if diff := cmp.Diff(tt.want, checkin.PersonOf(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if tt.dg13 == nil && checkin.EncodePerson(r, policy.Decision{Outcome: policy.Accept}).Verified {
				t.Error("a report without checks verifies a person")
			}
		})
	}
	// A DG13 that may be somebody else's is not used.
	r := &inspect.Report{At: at, MRZ: citizen(), DG13: &vn.DG13{Name: "Trần Thị Mẫu", Number: "079150000002", DateOfBirth: vn.Date{Year: 1950, Month: 3, Day: 1}}}
	if diff := cmp.Diff(want(nil), checkin.PersonOf(r)); diff != "" {
		t.Errorf("DG13 of somebody else (-want +got):\n%s", diff)
	}
	// Nobody is verified on a card that is refused.
	good := consistent(t)
	for outcome, verified := range map[policy.Outcome]bool{policy.Accept: true, policy.Warn: true, policy.Refuse: false} {
		if p := checkin.EncodePerson(good, policy.Decision{Outcome: outcome}); p.Verified != verified || !p.SignedByIssuer {
			t.Errorf("%v: verified %v, signed %v", outcome, p.Verified, p.SignedByIssuer)
		}
	}
	if checkin.EncodePerson(&inspect.Report{}, policy.Decision{Outcome: policy.Accept}) != nil {
		t.Error("there is a person without DG1")
	}
}
