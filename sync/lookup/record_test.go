package lookup

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/sync/contract"
)

func records() map[string]record {
	at := time.Date(2026, time.March, 2, 1, 0, 0, 123456789, time.UTC)
	e := contract.Entitlement{
		Source: contract.SourceCentral, AsOf: at.Truncate(time.Millisecond), Status: contract.StatusValid, Code: "004", CardNumber: "GD4010100000001",
		From: "2026-01-01", To: "2026-12", Facility: "01013", BenefitLevel: "4", Area: "K1", FiveYears: "2028",
		Next:     &contract.NextCard{CardNumber: "0100000001", From: "2027-01-01", To: "2027-12-31", Facility: "01013"},
		Findings: []contract.Finding{contract.NameDiffers, contract.SexDiffers},
	}
	return map[string]record{
		"everything": {
			Asked:       &asked{Number: "001099000001", InsuranceNumber: "GD4010100000001", Name: "NGUYỄN VĂN THỬ", BirthDate: "1999-01-31"},
			Entitlement: e, Person: &contract.Insured{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Sex: contract.SexMale},
			FetchedAt: at, AgeThen: 90 * time.Second,
		},
		"least":       {Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown}, FetchedAt: at},
		"before 1970": {FetchedAt: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC), AgeThen: -time.Second},
	}
}

func TestRecord(t *testing.T) {
	for name, want := range records() {
		t.Run(name, func(t *testing.T) {
			var got record
			b := want.encode()
			if !got.decode(b) {
				t.Fatal("not read")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for n := range b {
				if got.decode(b[:n]) {
					t.Errorf("read when cut to %d of %d bytes", n, len(b))
				}
			}
			if got.decode(append(b, 0)) {
				t.Error("read with something behind it")
			}
			// What an earlier version wrote.
			old, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if !got.decode(old) {
				t.Fatal("JSON is not read")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzRecord(f *testing.F) {
	for _, r := range records() {
		f.Add(r.encode())
	}
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again record
		if !r.decode(b) || b[0] == '{' {
			return
		}
		if !again.decode(r.encode()) {
			t.Fatal("what was read is not read again")
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
