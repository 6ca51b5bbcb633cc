package contract

import (
	"strconv"
	"time"
)

// Date is a calendar date of which the day, or month and day, may be unknown:
// "1999-01-31", "1999-01", "1999". The empty Date is no date. People are on
// record whose day of birth nobody wrote down.
type Date string

// DateOf returns the date with the given parts; 0 stands for an unknown day,
// or an unknown month (then the day must be 0 too).
func DateOf(year, month, day int) (Date, error) {
	var b []byte
	for i, n := range []int{year, month, day} {
		if n == 0 && i > 0 {
			if i == 1 && day != 0 {
				return "", fail(Invalid, "")
			}
			break
		}
		width := 2
		if i == 0 {
			width = 4
		} else {
			b = append(b, '-')
		}
		s := strconv.Itoa(n)
		for range width - len(s) {
			b = append(b, '0')
		}
		b = append(b, s...)
	}
	if d := Date(b); d.Valid() {
		return d, nil
	}
	return "", fail(Invalid, "")
}

// Valid reports whether d is a date that the calendar has, whole or in part.
// The empty Date is not valid.
func (d Date) Valid() bool {
	_, _, _, ok := d.Parts()
	return ok
}

// Parts returns year, month and day; month or day is 0 when unknown. ok is
// false when d is not [Date.Valid].
func (d Date) Parts() (year, month, day int, ok bool) {
	var layout string
	switch len(d) {
	case len("2006-01-02"):
		layout = "2006-01-02"
	case len("2006-01"):
		layout = "2006-01"
	case len("2006"):
		layout = "2006"
	default:
		return 0, 0, 0, false
	}
	t, err := time.Parse(layout, string(d))
	if err != nil || t.Year() < 1 {
		return 0, 0, 0, false
	}
	year, month, day = t.Year(), int(t.Month()), t.Day()
	if len(d) < len("2006-01-02") {
		day = 0
	}
	if len(d) < len("2006-01") {
		month = 0
	}
	return year, month, day, true
}

// Timestamp returns t as the contract writes times: UTC, whole milliseconds,
// no monotonic reading.
func Timestamp(t time.Time) time.Time { return t.Round(0).UTC().Truncate(time.Millisecond) }
