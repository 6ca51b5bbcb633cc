package contract_test

import (
	"testing"
	"time"

	"github.com/chamthe/chamthe/sync/contract"
)

// TestDateIsTheCalendars compares with the standard library's calendar.
func TestDateIsTheCalendars(t *testing.T) {
	for _, year := range []int{1, 1600, 1900, 1999, 2000, 2023, 2024, 2100, 9999} {
		for month := range 14 {
			for day := range 33 {
				text := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Format("2006") + "-" + two(month) + "-" + two(day)
				_, err := time.Parse(time.DateOnly, text)
				y, m, d, ok := contract.Date(text).Parts()
				if ok != (err == nil) || ok && (y != year || m != month || d != day) {
					t.Errorf("%s: %d %d %d %v, want %v", text, y, m, d, ok, err)
				}
			}
		}
	}
	for _, bad := range []contract.Date{"", "0000", "0000-01-01", "199", "19999", "1999-1", "1999-1-31", "1999/01/31", "1999-01/31", "+999", "-999", "1999-+1", "1999-00", "1999-13", " 1999", "1999-01-3 ", "１９９９"} {
		if bad.Valid() {
			t.Errorf("%q is valid", bad)
		}
	}
}

func two(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }
