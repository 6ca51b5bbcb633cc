package vn

import (
	"fmt"
	"strings"
)

// A Date is a date as a card states it. Month and Day are 0 where the card
// does not say: the day of birth of some older people is not known. The zero
// Date is no date. Two Dates are the same day when ==.
type Date struct {
	Year, Month, Day int
}

// IsZero reports whether d is no date.
func (d Date) IsZero() bool { return d == Date{} }

// Full reports whether year, month and day are known.
func (d Date) Full() bool { return d.Year != 0 && d.Month != 0 && d.Day != 0 }

// String returns the date as ISO 8601 has it, as far as it is known:
// "1999-01-31", "1999-01", "1999", and "" for no date.
func (d Date) String() string {
	switch {
	case d.Year == 0:
		return ""
	case d.Month == 0:
		return fmt.Sprintf("%04d", d.Year)
	case d.Day == 0:
		return fmt.Sprintf("%04d-%02d", d.Year, d.Month)
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day)
}

// MRZ returns the date as a machine readable zone has it, YYMMDD. ok is false
// when the date is not [Date.Full].
func (d Date) MRZ() (s string, ok bool) {
	if !d.Full() {
		return "", false
	}
	return fmt.Sprintf("%02d%02d%02d", d.Year%100, d.Month, d.Day), true
}

// Before reports whether d is earlier than e. Unknown parts count as 0.
func (d Date) Before(e Date) bool {
	if d.Year != e.Year {
		return d.Year < e.Year
	}
	if d.Month != e.Month {
		return d.Month < e.Month
	}
	return d.Day < e.Day
}

// Years that a card of today can speak of; the number of a citizen ends with
// the births of 2399.
const (
	minYear = 1800
	maxYear = 2399
)

// ParseDate reads a date as cards and forms write it: "31/01/1999", "01/1999",
// "1999" (DG13), or the same without slashes (QR code). Day or month 00 means
// unknown. Anything else is [ErrDate]; the Date is then zero.
func ParseDate(s string) (Date, error) {
	var day, month, year string
	if strings.Contains(s, "/") {
		parts := strings.Split(s, "/")
		switch len(parts) {
		case 2:
			month, year = parts[0], parts[1]
		case 3:
			day, month, year = parts[0], parts[1], parts[2]
			if len(day) != 2 {
				return Date{}, ErrDate
			}
		default:
			return Date{}, ErrDate
		}
		if len(month) != 2 {
			return Date{}, ErrDate
		}
	} else {
		switch len(s) {
		case 8:
			day, month, year = s[0:2], s[2:4], s[4:8]
		case 6:
			month, year = s[0:2], s[2:6]
		default:
			year = s
		}
	}
	if len(year) != 4 || !digits(day) || !digits(month) || !digits(year) {
		return Date{}, ErrDate
	}
	d := Date{Year: number(year), Month: number(month), Day: number(day)}
	if !d.valid() {
		return Date{}, ErrDate
	}
	return d, nil
}

func (d Date) valid() bool {
	if d.Year < minYear || d.Year > maxYear || d.Month > 12 {
		return false
	}
	if d.Month == 0 {
		return d.Day == 0
	}
	return d.Day <= daysIn(d.Year, d.Month)
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// digits reports whether s has nothing but ASCII digits.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// number is the value of a short string of digits.
func number(s string) int {
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}
