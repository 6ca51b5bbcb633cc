package checkin

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/vn"
	"github.com/chamthe/chamthe/sync/contract"
)

// maxName is the longest name that the contract takes, in characters. The MRZ has
// a shorter form of every name.
const maxName = 128

// person takes from the report what the insurer needs to know. DG13 wins where
// it says the same thing better: a name with tone marks, a birth date with its
// century.
func person(r *inspect.Report) contract.Person {
	m := r.MRZ
	p := contract.Person{
		Name:           mrzName(m),
		BirthDate:      birthDate(m.DateOfBirth, r.At),
		Sex:            sex(m.Sex),
		Nationality:    strings.Trim(m.Nationality, "<"),
		DocumentNumber: strings.Trim(m.DocumentNumber, "<"),
		Expiry:         expiryDate(m.DateOfExpiry),
	}
	if m.IssuingState == vn.State && m.Layout == mrz.TD1 {
		// Vietnam puts the twelve-digit number into the optional data; the
		// fillers, and the check digit at its end, are not part of it.
		if n := m.OptionalData; len(n) >= 12 && digits(n[:12]) {
			p.Number = n[:12]
		}
	}
	// DG13 is taken only where it is known to speak of the same person.
	if d := r.DG13; d != nil && r.Check(inspect.DataConsistency).Value == result.Successful {
		if n := utf8.RuneCountInString(d.Name); n > 0 && n <= maxName {
			p.Name = d.Name
		}
		if d.Number != "" {
			p.Number = string(d.Number)
		}
		if !d.DateOfBirth.IsZero() {
			p.BirthDate = contract.Date(d.DateOfBirth.String())
		}
	}
	return p
}

// mrzName is the name as the MRZ spells it: family name first, no tone marks.
func mrzName(m *mrz.MRZ) string {
	return strings.TrimSpace(m.PrimaryIdentifier + " " + m.SecondaryIdentifier)
}

func digits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

func sex(s string) contract.Sex {
	switch s {
	case "M":
		return contract.SexMale
	case "F":
		return contract.SexFemale
	default:
		return contract.SexUnspecified
	}
}

// birthDate gives the two-digit year of an MRZ its century: the latest one in
// which the date is not after the inspection. Unknown parts stay unknown
// (Doc 9303-3, 4.8).
func birthDate(s string, at time.Time) contract.Date {
	if len(s) != 6 || !digits(s[:2]) {
		return ""
	}
	yy, _ := strconv.Atoi(s[:2])
	month, day := 0, 0
	if digits(s[2:4]) {
		month, _ = strconv.Atoi(s[2:4])
	}
	if month != 0 && digits(s[4:]) {
		day, _ = strconv.Atoi(s[4:])
	}
	year := at.Year() - at.Year()%100 + yy
	if after(year, month, day, at) {
		year -= 100
	}
	d, err := contract.DateOf(year, month, day)
	if err != nil {
		return ""
	}
	return d
}

func after(year, month, day int, at time.Time) bool {
	first := time.Date(year, time.Month(max(month, 1)), max(day, 1), 0, 0, 0, 0, at.Location())
	return first.After(at)
}

// expiryDate reads the expiry of an MRZ, which lies in this century; cards
// that do not expire have none.
func expiryDate(s string) contract.Date {
	if len(s) != 6 || !digits(s) || s == vn.NoExpiry {
		return ""
	}
	yy, _ := strconv.Atoi(s[:2])
	mm, _ := strconv.Atoi(s[2:4])
	dd, _ := strconv.Atoi(s[4:])
	d, err := contract.DateOf(2000+yy, mm, dd)
	if err != nil {
		return ""
	}
	return d
}
