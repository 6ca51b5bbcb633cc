package vn

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// HIQR is the QR code of a health insurance card: personal data that nobody has
// signed. Printing it shows nothing of it.
type HIQR struct {
	// Number is that of the card, 15 characters (two letters, benefit, province, social
	// insurance number), or the social insurance number alone, ten digits, as on cards
	// from 2021 on.
	Number      string
	Name        string
	DateOfBirth Date // may be the year alone
	Sex         Sex
	Address     string
	Facility    string // where the person is registered: five characters
	From, To    Date   // To is zero when the card does not say
	DateOfIssue Date
	Managed     string // code of the social insurance office, as given
	Parent      string // may be empty
	Area        string // living area code, as given
	FiveYears   Date   // day from which five years are continuous; may be zero
	// Extra is what follows, as given: a check string of unknown make, and "$".
	Extra []string
}

// String returns "[redacted]".
func (HIQR) String() string { return redacted }

// Format prints "[redacted]" for every verb.
func (HIQR) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText gives "[redacted]", so that no encoder writes a person by itself.
func (HIQR) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const (
	minHIFields = 10
	hiCardLen   = 15
	hiNumberLen = 10
)

// ParseHIQR parses the text of a health insurance card's QR code: at least ten
// fields separated by "|",
//
//	number | name | birth | sex | address | facility | from | to | issue | office | parent | area | five years | check | $
//
// of which name, address and parent are the hexadecimal digits of their UTF-8 text,
// so that a scanner that types cannot damage them; dates are dd/MM/yyyy or yyyy; sex
// is 1 (Nam) or 2 (Nữ); "-" is no value. There is no public description: this is what
// the programs that read it agree on. White space around the whole is removed.
//
// Text that is some other QR code gives [ErrQR]; a health insurance card's with
// something wrong a [*FieldError]. The HIQR is zero on error.
func ParseHIQR(s string) (HIQR, error) {
	if len(s) > maxQRLen {
		return HIQR{}, ErrTooLong
	}
	fields := strings.Split(trimmed(s), "|")
	number := strings.ToUpper(fields[0])
	if len(fields) < minHIFields || !HINumber(number) {
		return HIQR{}, ErrQR
	}
	if len(fields) > maxQRFields {
		return HIQR{}, ErrTooLong
	}
	for _, f := range fields {
		if !text(f) {
			return HIQR{}, &FieldError{Field: FieldExtra, Err: ErrText}
		}
	}
	field := func(i int) string {
		if i >= len(fields) || fields[i] == "-" || fields[i] == "$" {
			return ""
		}
		return strings.TrimSpace(fields[i])
	}
	q := HIQR{
		Number: number, Facility: hiFacility(field(5)), Managed: field(9), Area: field(11),
	}
	switch field(3) {
	case "1":
		q.Sex = Male
	case "2":
		q.Sex = Female
	}
	var err error
	for _, t := range []struct {
		to    *string
		place int
		name  Field
	}{
		{&q.Name, 1, FieldName},
		{&q.Address, 4, FieldResidence},
		{&q.Parent, 10, FieldParent},
	} {
		if *t.to, err = hexText(field(t.place)); err != nil {
			return HIQR{}, &FieldError{Field: t.name, Err: err}
		}
	}
	for _, d := range []struct {
		to    *Date
		place int
		name  Field
	}{
		{&q.DateOfBirth, 2, FieldDateOfBirth},
		{&q.From, 6, FieldValidFrom},
		{&q.To, 7, FieldValidTo},
		{&q.DateOfIssue, 8, FieldDateOfIssue},
		{&q.FiveYears, 12, FieldFiveYears},
	} {
		v := field(d.place)
		if v == "" && d.name != FieldDateOfBirth {
			continue
		}
		if *d.to, err = ParseDate(v); err != nil {
			return HIQR{}, &FieldError{Field: d.name, Err: err}
		}
	}
	if q.Name == "" {
		return HIQR{}, &FieldError{Field: FieldName, Err: ErrText}
	}
	if len(fields) > 13 {
		q.Extra = fields[13:]
	}
	return q, nil
}

// HINumber reports whether s has the form of a health insurance number: two capital
// letters and thirteen digits, or ten digits.
func HINumber(s string) bool {
	switch len(s) {
	case hiNumberLen:
		return digits(s)
	case hiCardLen:
		return s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z' && digits(s[2:])
	}
	return false
}

// hexText decodes text that is written as hexadecimal digits.
func hexText(s string) (string, error) {
	b, err := hex.DecodeString(s)
	if err != nil || !text(string(b)) {
		return "", ErrText
	}
	return strings.TrimSpace(string(b)), nil
}

// hiFacility takes the separators out of "01 - 013".
func hiFacility(s string) string {
	return strings.NewReplacer(" ", "", "-", "", "–", "").Replace(s)
}

// A Kind is what a scanned text is.
type Kind uint8

// The kinds. The zero value is text that this package knows nothing about, such as
// the QR code of VNeID, which is for its issuer's own service to read.
const (
	Opaque     Kind = iota
	CardQR          // a citizen card's QR code: [ParseCCCDQR]
	InsuredQR       // a health insurance card's: [ParseHIQR]
	MRZLines        // lines of a machine readable zone: package mrz
	CardNumber      // twelve digits alone
)

// KindOf says what a scanned text is by its form, as kiosks do: by how long the
// first field is. The text may still be malformed.
func KindOf(s string) Kind {
	s = trimmed(s)
	first, _, fields := strings.Cut(s, "|")
	switch {
	case fields && len(first) == numberLen && digits(first):
		return CardQR
	case fields && HINumber(strings.ToUpper(first)):
		return InsuredQR
	case fields:
		return Opaque
	case len(s) == numberLen && digits(s):
		return CardNumber
	case strings.Contains(s, "<<"):
		return MRZLines
	}
	return Opaque
}

// trimmed takes away what scanners add around a text.
func trimmed(s string) string { return strings.TrimSpace(strings.TrimPrefix(s, "\ufeff")) }
