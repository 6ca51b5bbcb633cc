package vn_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/vn"
)

func TestParseDate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text, iso string
		ok        bool
	}{
		{"31/01/1999", "1999-01-31", true},
		{"31011999", "1999-01-31", true},
		{"01/1999", "1999-01", true},
		{"011999", "1999-01", true},
		{"1999", "1999", true},
		{"00/00/1950", "1950", true},
		{"00001950", "1950", true},
		{"00/05/1950", "1950-05", true},
		{"29/02/2000", "2000-02-29", true},
		{"29/02/1900", "", false},
		{"29/02/2023", "", false},
		{"31/04/2023", "", false},
		{"15/00/1950", "", false},
		{"01/13/1999", "", false},
		{"32/01/1999", "", false},
		{"1/1/1999", "", false},
		{"31-01-1999", "", false},
		{"1999-01-31", "", false},
		{"31/01/99", "", false},
		{"310199", "", false}, // month 31
		{"01/01/0001", "", false},
		{"01/01/9999", "", false},
		{"+1/01/1999", "", false},
		{"//", "", false},
		{"///", "", false},
		{"", "", false},
		{"Không thời hạn", "", false},
		{"０１/01/1999", "", false},
	}
	for _, tt := range tests {
		d, err := vn.ParseDate(tt.text)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, vn.ErrDate) {
			t.Errorf("%q: error %v", tt.text, err)
		}
		if d.String() != tt.iso || d.IsZero() == tt.ok {
			t.Errorf("%q: got %v, want %s", tt.text, d, tt.iso)
		}
		if s, ok := d.MRZ(); ok != (len(tt.iso) == 10) || ok && s != tt.iso[2:4]+tt.iso[5:7]+tt.iso[8:10] {
			t.Errorf("%q: MRZ %q", tt.text, s)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "01234567890", "0123456789012", "01234567890a", "０１２３", "012 34567890"} {
		if n, err := vn.ParseNumber(s); !errors.Is(err, vn.ErrNumber) || n != "" {
			t.Errorf("%q: %v", s, err)
		}
	}
	n, err := vn.ParseNumber("001099000001")
	if err != nil || n.DocumentNumber() != "099000001" || n.Masked() != "********0001" {
		t.Errorf("%v: %s, %s", err, n.DocumentNumber(), n.Masked())
	}
	if bad := vn.Number("123"); bad.Valid() || bad.DocumentNumber() != "" || bad.Masked() != "************" {
		t.Errorf("%s, %s", bad.DocumentNumber(), bad.Masked())
	}
}

func TestNumberWarnings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		number vn.Number
		birth  vn.Date
		sex    vn.Sex
		want   []vn.Warning
	}{
		{"man of 1999", "001099000001", vn.Date{Year: 1999, Month: 1, Day: 31}, vn.Male, nil},
		{"woman of 1950", "079150000002", vn.Date{Year: 1950}, vn.Female, nil},
		{"woman of 2001", "079301000002", vn.Date{Year: 2001}, vn.Female, nil},
		{"man of 2010", "096210000003", vn.Date{Year: 2010}, vn.Male, nil},
		{"woman of 2101", "001501000003", vn.Date{Year: 2101}, vn.Female, nil},
		{"nothing known", "001099000001", vn.Date{}, vn.SexUnknown, nil},
		{"other year", "001099000001", vn.Date{Year: 1998}, vn.Male, []vn.Warning{vn.WarnBirthYear}},
		{"other century", "001099000001", vn.Date{Year: 2099}, vn.Male, []vn.Warning{vn.WarnBirthYear}},
		{"other sex", "001099000001", vn.Date{Year: 1999}, vn.Female, []vn.Warning{vn.WarnSex}},
		{"no such province", "003099000001", vn.Date{Year: 1999}, vn.Male, []vn.Warning{vn.WarnPlace}},
		{"000", "000099000001", vn.Date{Year: 1999}, vn.Male, []vn.Warning{vn.WarnPlace}},
		{"born abroad", "123099000001", vn.Date{Year: 1999}, vn.Male, nil},
		{"everything", "100199000001", vn.Date{Year: 1950}, vn.Male, []vn.Warning{vn.WarnPlace, vn.WarnBirthYear, vn.WarnSex}},
		{"too short", "12", vn.Date{}, vn.SexUnknown, []vn.Warning{vn.WarnLength}},
	}
	for _, tt := range tests {
		if got := tt.number.Warnings(tt.birth, tt.sex); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestParseSex(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]vn.Sex{
		"Nam": vn.Male, "NAM": vn.Male, "M": vn.Male,
		"Nữ": vn.Female, "NỮ": vn.Female, "Nu": vn.Female, "F": vn.Female,
		"N\u01b0\u0303": vn.Female, "N\u0169\u031b": vn.Female, "Nu\u031b\u0303": vn.Female, "Nu\u0303\u031b": vn.Female,
		"": vn.SexUnknown, "<": vn.SexUnknown, "Nàm": vn.SexUnknown, "Khác": vn.SexUnknown,
	} {
		if got := vn.ParseSex(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
