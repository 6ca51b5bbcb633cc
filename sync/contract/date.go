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
	switch len(d) {
	case len("2006-01-02"):
		if day = digits(d[8:]); d[7] != '-' || day < 1 {
			return 0, 0, 0, false
		}
		fallthrough
	case len("2006-01"):
		if month = digits(d[5:7]); d[4] != '-' || month < 1 || month > 12 {
			return 0, 0, 0, false
		}
		fallthrough
	case len("2006"):
		year = digits(d[:4])
	}
	if year < 1 || day > 28 && day > daysIn(year, month) {
		return 0, 0, 0, false
	}
	return year, month, day, true
}

// digits returns the value of decimal digits, -1 if there is anything else.
func digits(s Date) int {
	n := 0
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// Timestamp returns t as the contract writes times: UTC, whole milliseconds,
// no monotonic reading.
func Timestamp(t time.Time) time.Time { return t.Round(0).UTC().Truncate(time.Millisecond) }
