package vn

import "strings"

// State is Vietnam as an issuing state in the machine readable zone
// (Doc 9303-3, 5).
const State = "VNM"

// numberLen is the length of a citizen's number, the one thing about it that
// the law guarantees (Law 26/2023/QH15, article 12).
const numberLen = 12

// A Number is the personal number of a citizen, which is also the number of
// the card. It is personal data.
type Number string

// ParseNumber accepts twelve digits, and nothing else: spaces and points are
// for whoever takes the input to remove. The error is [ErrNumber].
func ParseNumber(s string) (Number, error) {
	if len(s) != numberLen || !digits(s) {
		return "", ErrNumber
	}
	return Number(s), nil
}

// Valid reports whether n is twelve digits.
func (n Number) Valid() bool { return len(n) == numberLen && digits(string(n)) }

// DocumentNumber returns the document number that the card's machine readable
// zone has: the last nine digits. It is "" when n is not [Number.Valid].
func (n Number) DocumentNumber() string {
	if !n.Valid() {
		return ""
	}
	return string(n[3:])
}

// Masked returns the number with all but its last four digits hidden, for
// places where it is shown to people who need not know it.
func (n Number) Masked() string {
	if !n.Valid() {
		return strings.Repeat("*", numberLen)
	}
	return strings.Repeat("*", numberLen-4) + string(n[numberLen-4:])
}

// A Warning is something unusual about a number.
type Warning string

// The warnings.
const (
	WarnLength    Warning = "number_not_twelve_digits"
	WarnPlace     Warning = "number_unknown_place"
	WarnBirthYear Warning = "number_other_birth_year"
	WarnSex       Warning = "number_other_sex"
)

// Warnings compares a number with the way in which numbers were formed until
// 2024 (Decree 137/2015/NĐ-CP, article 13; Circular 07/2016/TT-BCA, article 7;
// Circular 59/2021/TT-BCA): three digits for the place where the birth was
// registered, one for century and sex, two for the year of birth, six at
// random. A zero birth date and an unknown sex are not compared.
//
// A warning is a hint to look again, for instance for a mistyped digit, and
// never a reason to refuse anybody: the last circular lapsed on 1 July 2024,
// and the law promises no more than twelve digits.
func (n Number) Warnings(birth Date, sex Sex) []Warning {
	if !n.Valid() {
		return []Warning{WarnLength}
	}
	var w []Warning
	if place := number(string(n[:3])); place <= maxPlace && !places[place] {
		w = append(w, WarnPlace)
	}
	century := int(n[3] - '0') // 0, 1: 1900 to 1999; 2, 3: 2000 to 2099; ...; odd for women
	if birth.Year != 0 && birth.Year != 1900+century/2*100+number(string(n[4:6])) {
		w = append(w, WarnBirthYear)
	}
	if sex == Male && century%2 == 1 || sex == Female && century%2 == 0 {
		w = append(w, WarnSex)
	}
	return w
}

// maxPlace is the last code of a place in Vietnam; the codes above it stand
// for countries, of which no complete list is known.
const maxPlace = 100

// places are the codes of the provinces (Circular 07/2016/TT-BCA, annex).
var places = func() (known [maxPlace + 1]bool) {
	for _, code := range []int{
		1, 2, 4, 6, 8, 10, 11, 12, 14, 15, 17, 19, 20, 22, 24, 25, 26, 27, 30, 31, 33, 34, 35, 36, 37, 38,
		40, 42, 44, 45, 46, 48, 49, 51, 52, 54, 56, 58, 60, 62, 64, 66, 67, 68, 70, 72, 74, 75, 77, 79,
		80, 82, 83, 84, 86, 87, 89, 91, 92, 93, 94, 95, 96,
	} {
		known[code] = true
	}
	return known
}()

// Sex as a card states it.
type Sex uint8

// The values. The zero value is a card that does not say, or says something
// else.
const (
	SexUnknown Sex = iota
	Male
	Female
)

// String returns "male", "female" or "unknown".
func (s Sex) String() string {
	switch s {
	case Male:
		return "male"
	case Female:
		return "female"
	}
	return "unknown"
}

// ParseSex understands what DG13 and the QR code say ("Nam", "Nữ", composed or
// decomposed, and "Nu" from scanners that lose diacritics) and what the
// machine readable zone says (M, F). Anything else is SexUnknown.
func ParseSex(text string) Sex {
	switch strings.ToLower(text) {
	case "nam", "m":
		return Male
	case "nữ", "nu", "f",
		"n\u01b0\u0303",  // ư and tilde
		"n\u0169\u031b",  // ũ and horn
		"nu\u031b\u0303", // fully decomposed
		"nu\u0303\u031b": // in the other order
		return Female
	}
	return SexUnknown
}
