package lookup_test

import (
	"testing"
	"time"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
)

// list answers for one person, as the insurer knew them at a time.
func list(made time.Time, name string, birth contract.Date, code string) lookup.PopulationFunc {
	return func(number, _ string) (contract.Registered, time.Time, bool) {
		if number != person.Number {
			return contract.Registered{}, time.Time{}, false
		}
		return contract.Registered{
			Number: number, Person: &contract.Insured{Number: number, Name: name, BirthDate: birth},
			Entitlement: &contract.Entitlement{
				// An entry that calls itself newer than its list is not believed.
				Source: contract.SourcePopulation, AsOf: made.Add(time.Hour), Status: contract.StatusOf(code), Code: code,
			},
		}, made, true
	}
}

func TestPopulation(t *testing.T) {
	start := time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)
	yesterday := start.AddDate(0, 0, -1)
	tests := []struct {
		name   string
		cached time.Duration // how long ago the central service answered; 0: never
		list   lookup.PopulationFunc
		err    error  // of the central service
		code   string // that it gives, if err is nil
		source contract.Source
		status contract.EntitlementStatus
		age    time.Duration
		person bool
	}{
		{"first visit, no link", 0, list(yesterday, "Nguyễn Văn Thử", "1999-01-31", "000"), errOffline, "", contract.SourcePopulation, contract.StatusValid, 24 * time.Hour, true},
		{"name without marks, year only", 0, list(yesterday, "NGUYEN VAN THU", "1999", "000"), errOffline, "", contract.SourcePopulation, contract.StatusValid, 24 * time.Hour, true},
		{"revoked", 0, list(yesterday, "Nguyễn Văn Thử", "1999-01-31", "110"), errOffline, "", contract.SourcePopulation, contract.StatusNotEntitled, 24 * time.Hour, true},
		{"another name", 0, list(yesterday, "Trần Thị Mẫu", "1999-01-31", "000"), errOffline, "", contract.SourcePopulation, contract.StatusMismatch, 24 * time.Hour, false},
		{"another birth date", 0, list(yesterday, "Nguyễn Văn Thử", "1998-01-31", "000"), errOffline, "", contract.SourcePopulation, contract.StatusMismatch, 24 * time.Hour, false},
		{"insurer is down", 0, list(yesterday, "Nguyễn Văn Thử", "1999-01-31", "000"), nil, "500", contract.SourcePopulation, contract.StatusValid, 24 * time.Hour, true},
		{"central service answers", 0, list(yesterday, "Nguyễn Văn Thử", "1999-01-31", "110"), nil, "000", contract.SourceCentral, contract.StatusValid, time.Minute, true},
		{"old answer is newer", 5 * time.Hour, list(yesterday, "Nguyễn Văn Thử", "1999-01-31", "110"), errOffline, "", contract.SourceCache, contract.StatusValid, 5*time.Hour + time.Minute, true},
		{"list is newer", 48 * time.Hour, list(yesterday, "Nguyễn Văn Thử", "1999-01-31", "110"), errOffline, "", contract.SourcePopulation, contract.StatusNotEntitled, 24 * time.Hour, true},
		{"list of the future", 0, list(start.Add(time.Hour), "Nguyễn Văn Thử", "1999-01-31", "000"), errOffline, "", contract.SourcePopulation, contract.StatusValid, 0, true},
		{"not in the list", 0, func(string, string) (contract.Registered, time.Time, bool) {
			return contract.Registered{}, yesterday, false
		}, errOffline, "", contract.SourceNone, contract.StatusUnknown, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			if tt.cached > 0 {
				d.advance(-tt.cached)
				if a := d.lookup(t); a.Entitlement.Source != contract.SourceCentral {
					t.Fatalf("%v", a.Entitlement.Source)
				}
				d.advance(tt.cached)
			}
			d.listed = tt.list
			d.central.set(tt.code, tt.err)
			a := d.lookup(t)
			if a.Entitlement.Source != tt.source || a.Entitlement.Status != tt.status || a.Age != tt.age || (a.Person != nil) != tt.person {
				t.Errorf("source %v, status %v, age %v, person %v", a.Entitlement.Source, a.Entitlement.Status, a.Age, a.Person != nil)
			}
			if tt.source == contract.SourcePopulation {
				if a.Cause == nil || !a.Stale {
					t.Errorf("cause %v, stale %v", a.Cause, a.Stale)
				}
				if made := start.Add(-tt.age); tt.age > 0 && !a.Entitlement.AsOf.Equal(made) {
					t.Errorf("as of %v, want %v", a.Entitlement.AsOf, made)
				}
			}
		})
	}
}
