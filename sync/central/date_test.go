package central

import (
	"testing"

	"github.com/chamthe/chamthe/sync/contract"
)

func TestIsDate(t *testing.T) {
	tests := []struct {
		date, zone string
		want       bool
	}{
		{"1999-01-31", "990131", true},
		{"1999-01-31", "990130", false},
		{"1999-01-31", "980131", false},
		{"1999-01", "990131", true},
		{"1999", "990131", true},
		{"1998", "990131", false},
		{"1950-03-01", "50<<<<", true},
		{"1951-03-01", "50<<<<", false},
		{"2005-10-09", "051009", true},
		{"", "990131", true},
		{"1999-01-31", "", false},
		{"1999-01-31", "9901311", false},
	}
	for _, tt := range tests {
		t.Run(tt.date+" "+tt.zone, func(t *testing.T) {
			if got := isDate(contract.Date(tt.date), tt.zone); got != tt.want {
				t.Errorf("isDate = %v, want %v", got, tt.want)
			}
		})
	}
}
