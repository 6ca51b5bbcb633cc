package inspect

import (
	"strings"
	"time"

	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/vn"
)

// consistency compares the person's number in DG1 and DG13. Both are signed, so
// a difference means an issuing mistake or two documents mixed into one chip;
// neither may be used then.
func consistency(m *mrz.MRZ, d *vn.DG13) result.Check {
	if m == nil || d.Number == "" {
		return result.Unknown(ReasonAbsent)
	}
	number := strings.Trim(m.OptionalData, "<")
	if len(number) > 12 {
		number = number[:12]
	}
	if number != string(d.Number) || d.Number.DocumentNumber() != strings.Trim(m.DocumentNumber, "<") {
		return result.Fail(ReasonNumberMismatch)
	}
	return result.Pass("")
}

// documentValidity judges the expiry date of the MRZ at the time of inspection.
// A document is valid through its last day (Doc 9303-3, 4.8); what day it is
// depends on where the desk stands, so at's own location counts. 991231 is how
// cards without an expiry date write it.
func documentValidity(m mrz.MRZ, at time.Time) result.Check {
	if m.DateOfExpiry == vn.NoExpiry {
		return result.Pass("")
	}
	// Expiry is never far in the past's other century: Doc 9303 documents began
	// in the 1980s, and no citizen document is valid for 70 years.
	exp, err := time.ParseInLocation("060102", m.DateOfExpiry, at.Location())
	if err != nil {
		return result.Unknown(ReasonNoExpiry)
	}
	year := 2000 + exp.Year()%100
	end := time.Date(year, exp.Month(), exp.Day()+1, 0, 0, 0, 0, at.Location())
	if !at.Before(end) {
		return result.Fail(ReasonExpired)
	}
	return result.Pass("")
}
