package inspect_test

import (
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/vn"
)

// TestDocumentValidity: a document is valid through its last day, where the
// desk stands.
func TestDocumentValidity(t *testing.T) {
	hanoi := time.FixedZone("ICT", 7*3600)
	tests := []struct {
		name   string
		expiry string
		at     time.Time
		want   result.Value
		reason result.Reason
	}{
		{"years before", "390131", time.Date(2026, 11, 22, 9, 0, 0, 0, hanoi), ok, ""},
		{"the last second of the last day", "261122", time.Date(2026, 11, 22, 23, 59, 59, 999_999_999, hanoi), ok, ""},
		{"midnight after the last day", "261122", time.Date(2026, 11, 23, 0, 0, 0, 0, hanoi), bad, inspect.ReasonExpired},
		{"the day after, in Hanoi", "261122", time.Date(2026, 11, 22, 17, 0, 0, 0, time.UTC).In(hanoi), bad, inspect.ReasonExpired},
		{"the same moment is the last day in London", "261122", time.Date(2026, 11, 22, 17, 0, 0, 0, time.UTC), ok, ""},
		{"last day of a month", "260430", time.Date(2026, 4, 30, 12, 0, 0, 0, hanoi), ok, ""},
		{"leap day", "320229", time.Date(2032, 2, 29, 12, 0, 0, 0, hanoi), ok, ""},
		{"after the leap day", "320229", time.Date(2032, 3, 1, 0, 0, 0, 0, hanoi), bad, inspect.ReasonExpired},
		{"no such leap day", "330229", time.Date(2032, 1, 1, 0, 0, 0, 0, hanoi), unk, inspect.ReasonNoExpiry},
		{"this century, not the last", "690101", time.Date(2026, 11, 22, 9, 0, 0, 0, hanoi), ok, ""},
		{"ended at the turn of the century", "000101", time.Date(2026, 11, 22, 9, 0, 0, 0, hanoi), bad, inspect.ReasonExpired},
		{"does not expire", "991231", time.Date(2150, 1, 1, 0, 0, 0, 0, hanoi), ok, ""},
		{"the day before that", "991230", time.Date(2100, 1, 1, 0, 0, 0, 0, hanoi), bad, inspect.ReasonExpired},
		{"day unknown", "3901<<", time.Date(2026, 11, 22, 9, 0, 0, 0, hanoi), unk, inspect.ReasonNoExpiry},
		{"unknown", "<<<<<<", time.Date(2026, 11, 22, 9, 0, 0, 0, hanoi), unk, inspect.ReasonNoExpiry},
		{"empty", "", time.Date(2026, 11, 22, 9, 0, 0, 0, hanoi), unk, inspect.ReasonNoExpiry},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := inspect.DocumentValidityOf(mrz.MRZ{DateOfExpiry: tt.expiry}, tt.at)
			if got.Value != tt.want || got.Reason != tt.reason {
				t.Errorf("%s at %v: got %v (%s), want %v (%s)", tt.expiry, tt.at, got.Value, got.Reason, tt.want, tt.reason)
			}
		})
	}
}

// TestSameBirth compares the birth dates of DG1 and DG13 in what both know.
func TestSameBirth(t *testing.T) {
	for _, tt := range []struct {
		mrz  string
		dg13 vn.Date
		want bool
	}{
		{"990131", vn.Date{Year: 1999, Month: 1, Day: 31}, true},
		{"990131", vn.Date{Year: 1899, Month: 1, Day: 31}, true}, // the zone has no century
		{"990131", vn.Date{Year: 1998, Month: 1, Day: 31}, false},
		{"990131", vn.Date{Year: 1999, Month: 2, Day: 31}, false},
		{"990131", vn.Date{Year: 1999, Month: 1, Day: 30}, false},
		{"990131", vn.Date{Year: 1999, Month: 1}, true},
		{"990131", vn.Date{Year: 1999}, true},
		{"9901<<", vn.Date{Year: 1999, Month: 1, Day: 31}, true},
		{"9902<<", vn.Date{Year: 1999, Month: 1, Day: 31}, false},
		{"99<<<<", vn.Date{Year: 1999, Month: 1, Day: 31}, true},
		{"990000", vn.Date{Year: 1999, Month: 1, Day: 31}, true},
		{"<<<<<<", vn.Date{Year: 1999, Month: 1, Day: 31}, true},
		{"000131", vn.Date{Year: 2000, Month: 1, Day: 31}, true},
		{"000131", vn.Date{Year: 1999, Month: 1, Day: 31}, false}, // a year 00 is known
	} {
		if got := inspect.SameBirth(tt.mrz, tt.dg13); got != tt.want {
			t.Errorf("%s and %v: got %v", tt.mrz, tt.dg13, got)
		}
	}
}
