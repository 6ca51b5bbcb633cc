package lookup_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
)

func TestCompareNames(t *testing.T) {
	tests := []struct {
		document, insured string
		differ            bool
	}{
		{"Nguyễn Văn Thử", "Nguyễn Văn Thử", false},
		{"Nguyễn Văn Thử", "NGUYEN VAN THU", false},
		{"NGUYEN VAN THU", "nguyễn  văn thử ", false},
		{"Nguyễn Văn Thử", "Nguyễn Văn Thử", false}, // composed and decomposed
		{"Đỗ Thị Đào", "DO THI DAO", false},
		{"đặng ưu ơn", "DANG UU ON", false},
		{"Trần Thị Mẫu", "TRAN-THI MAU", false},
		{"Nguyễn Văn Thử", "Nguyễn Văn Thư", false}, // tone marks are not compared
		{"Nguyễn Văn Thử", "Nguyễn Văn Thi", true},
		{"Nguyễn Văn Thử", "Nguyễn Thử", true},
		{"Nguyễn Văn Thử", "Văn Thử Nguyễn", true},
		{"Nguyễn Văn Thử", "", false}, // not told
		{"", "Nguyễn Văn Thử", false},
	}
	for _, tt := range tests {
		got := lookup.Compare(contract.Person{Name: tt.document}, &contract.Insured{Name: tt.insured})
		if differ := len(got) == 1 && got[0] == contract.NameDiffers; differ != tt.differ || !differ && len(got) > 0 {
			t.Errorf("%q and %q: %v", tt.document, tt.insured, got)
		}
	}
}

func TestCompareBirthDates(t *testing.T) {
	tests := []struct {
		document, insured contract.Date
		differ            bool
	}{
		{"1999-01-31", "1999-01-31", false},
		{"1999-01-31", "1999-01", false},
		{"1999-01-31", "1999", false},
		{"1999", "1999-01-31", false},
		{"1999-01", "1999-02-01", true},
		{"1999-01-31", "1999-01-30", true},
		{"1999-01-31", "1998", true},
		{"1999-01-31", "", false},
		{"", "1999-01-31", false},
		{"1999-01-31", "not a date", false},
	}
	for _, tt := range tests {
		got := lookup.Compare(contract.Person{BirthDate: tt.document}, &contract.Insured{BirthDate: tt.insured})
		if differ := len(got) == 1 && got[0] == contract.BirthDateDiffers; differ != tt.differ || !differ && len(got) > 0 {
			t.Errorf("%q and %q: %v", tt.document, tt.insured, got)
		}
	}
}

func TestCompareAll(t *testing.T) {
	document := contract.Person{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Sex: contract.SexMale}
	if got := lookup.Compare(document, nil); got != nil {
		t.Errorf("with nobody: %v", got)
	}
	if got := lookup.Compare(document, &contract.Insured{Sex: contract.SexUnspecified}); got != nil {
		t.Errorf("with nothing: %v", got)
	}
	insured := &contract.Insured{Number: "001099000002", Name: "Trần Thị Mẫu", BirthDate: "1950", Sex: contract.SexFemale}
	before := *insured
	want := []contract.Finding{contract.NumberDiffers, contract.NameDiffers, contract.BirthDateDiffers, contract.SexDiffers}
	if diff := cmp.Diff(want, lookup.Compare(document, insured)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if *insured != before {
		t.Error("the insurer's data were changed")
	}
}

func TestCanonicalNames(t *testing.T) {
	for _, name := range []string{
		"Nguyễn Văn Thử", "nguyễn văn thử", "Nguyễn Văn Thử", " Nguyễn Văn Thử", "Nguyễn Văn Thử ", "Nguyễn  Văn Thử",
		"Nguyễn\tVăn\nThử", "Nguyễn\u00a0Văn Thử", "  Nguyễn Văn   Thử \r\n",
	} {
		if got := lookup.Canonical(name); got != "NGUYỄN VĂN THỬ" {
			t.Errorf("%q: %q", name, got)
		}
	}
	for name, want := range map[string]string{"": "", " ": "", "a": "A", "Nguyễn Văn Thu": "NGUYỄN VĂN THU"} {
		if got := lookup.Canonical(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// TestFindingsOfAnAnswer: an answer about nobody, or about another card, is not one
// about the person at the desk.
func TestFindingsOfAnAnswer(t *testing.T) {
	const number, name, birth, card = "001099000001", "Nguyễn Văn Thử", contract.Date("1999-01-31"), "GD4010100000001"
	at := time.Date(2026, 3, 2, 5, 0, 0, 0, time.UTC)
	document := contract.Person{Number: number, Name: name, BirthDate: birth, InsuranceNumber: card}
	insured := contract.Insured{Number: number, Name: name, BirthDate: birth}
	tests := []struct {
		name  string
		spoil func(d *contract.Person, a *lookup.Answer)
		want  []contract.Finding
	}{
		{"all fits", func(*contract.Person, *lookup.Answer) {}, nil},
		{"nobody", func(_ *contract.Person, a *lookup.Answer) { a.Person = nil }, []contract.Finding{contract.NotComparable}},
		{"somebody without anything", func(_ *contract.Person, a *lookup.Answer) { *a.Person = contract.Insured{} }, []contract.Finding{contract.NotComparable}},
		{"no name", func(_ *contract.Person, a *lookup.Answer) { a.Person.Name = "" }, []contract.Finding{contract.NotComparable}},
		{"name without letters", func(_ *contract.Person, a *lookup.Answer) { a.Person.Name = "--" }, []contract.Finding{contract.NameDiffers, contract.NotComparable}},
		{"a name alone", func(_ *contract.Person, a *lookup.Answer) { a.Person.Number, a.Person.BirthDate = "", "" }, []contract.Finding{contract.NotComparable}},
		{"no number", func(_ *contract.Person, a *lookup.Answer) { a.Person.Number = "" }, nil},
		{"a year of birth", func(_ *contract.Person, a *lookup.Answer) { a.Person.Number, a.Person.BirthDate = "", "1999" }, nil},
		{"no birth date", func(_ *contract.Person, a *lookup.Answer) { a.Person.BirthDate = "" }, nil},
		{"a document without a name", func(d *contract.Person, _ *lookup.Answer) { d.Name = "" }, []contract.Finding{contract.NotComparable}},
		{"nobody, and not entitled", func(_ *contract.Person, a *lookup.Answer) {
			a.Person, a.Entitlement.Status = nil, contract.StatusMismatch
		}, nil},
		{"another card", func(_ *contract.Person, a *lookup.Answer) { a.Entitlement.CardNumber = "GD4019999999999" }, []contract.Finding{contract.CardDiffers}},
		{"another card, and nobody", func(_ *contract.Person, a *lookup.Answer) { a.Person, a.Entitlement.CardNumber = nil, "9999999999" }, []contract.Finding{contract.CardDiffers, contract.NotComparable}},
		{"ten digits", func(_ *contract.Person, a *lookup.Answer) { a.Entitlement.CardNumber = card[5:] }, nil},
		{"ten digits shown", func(d *contract.Person, _ *lookup.Answer) { d.InsuranceNumber = card[5:] }, nil},
		{"another benefit", func(_ *contract.Person, a *lookup.Answer) { a.Entitlement.CardNumber = "HN2" + card[3:] }, []contract.Finding{contract.CardDiffers}},
		{"the card that replaces it", func(_ *contract.Person, a *lookup.Answer) {
			a.Entitlement.CardNumber, a.Entitlement.Next = "GD4019999999999", &contract.NextCard{CardNumber: card}
		}, nil},
		{"no card told", func(_ *contract.Person, a *lookup.Answer) { a.Entitlement.CardNumber = "" }, nil},
		{"no card shown", func(d *contract.Person, a *lookup.Answer) {
			d.InsuranceNumber, a.Entitlement.CardNumber = "", "GD4019999999999"
		}, nil},
		{"a card too short", func(d *contract.Person, _ *lookup.Answer) { d.InsuranceNumber = "1" }, []contract.Finding{contract.CardDiffers}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, i := document, insured
			a := lookup.Answer{Entitlement: contract.Entitlement{Status: contract.StatusValid, CardNumber: card}, Person: &i}
			tt.spoil(&d, &a)
			got := lookup.Findings(d, a, at)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			e := contract.Entitlement{Source: contract.SourceCentral, AsOf: at, Status: contract.StatusValid, Code: "000", Findings: got}
			if _, err := contract.EncodeLookupResponse(&contract.LookupResponse{
				Version: contract.Version, ID: "01890a5d-ac96-774b-bcce-b302099a8057", At: at, Entitlement: e,
			}); err != nil {
				t.Errorf("in a message: %v", err)
			}
		})
	}
}

func TestPeriod(t *testing.T) {
	noon := time.Date(2026, 3, 2, 5, 0, 0, 0, time.UTC)  // 2 March in Vietnam
	late := time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC) // 3 March in Vietnam
	ended, notBegun := []contract.Finding{contract.PeriodEnded}, []contract.Finding{contract.PeriodNotBegun}
	tests := []struct {
		name     string
		at       time.Time
		from, to contract.Date
		next     *contract.NextCard
		want     []contract.Finding
	}{
		{"inside", noon, "2026-01-01", "2026-12-31", nil, nil},
		{"unknown", noon, "", "", nil, nil},
		{"first day", noon, "2026-03-02", "", nil, nil},
		{"last day", noon, "", "2026-03-02", nil, nil},
		{"last day is over in Vietnam", late, "", "2026-03-02", nil, ended},
		{"ended", noon, "2025-01-01", "2025-12-31", nil, ended},
		{"not begun", noon, "2026-03-03", "2026-12-31", nil, notBegun},
		{"last month", noon, "", "2026-03", nil, nil},
		{"month over", noon, "", "2026-02", nil, ended},
		{"first year", noon, "2026", "2026", nil, nil},
		{"ended, renewed", noon, "2025-01-01", "2025-12-31", &contract.NextCard{From: "2026-01-01", To: "2026-12-31"}, nil},
		{"ended, renewed later", noon, "2025-01-01", "2025-12-31", &contract.NextCard{From: "2026-06-01"}, ended},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := lookup.Period(contract.Entitlement{From: tt.from, To: tt.to, Next: tt.next}, tt.at)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
