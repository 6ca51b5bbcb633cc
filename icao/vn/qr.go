package vn

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/chamthe/chamthe/icao/mrz"
)

// CCCDQR is the QR code of a citizen card: personal data that nobody has
// signed. Printing it shows nothing of it.
type CCCDQR struct {
	Number      Number
	OldNumber   string // of the identity card before, as given; may be empty
	Name        string
	DateOfBirth Date // may be partial
	Sex         string
	Residence   string
	DateOfIssue Date
	// Extra is what follows the seventh field, as given. Cards of 2024 are
	// said to have more fields; their order is not known.
	Extra []string
}

// String returns "[redacted]".
func (CCCDQR) String() string { return redacted }

// Format prints "[redacted]" for every verb.
func (CCCDQR) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText gives "[redacted]", so that no encoder writes a person by itself.
func (CCCDQR) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const redacted = "[redacted]"

// Limits of a QR code. The largest there is holds 2953 bytes (ISO/IEC 18004,
// version 40-L).
const (
	maxQRLen    = 4096
	maxQRFields = 64
	minQRFields = 7
)

// ParseCCCDQR parses the text of a citizen card's QR code: at least seven
// fields separated by "|",
//
//	number | old number | name | birth | sex | residence | issue | ...
//
// with dates of four, six or eight digits (yyyy, MMyyyy, ddMMyyyy). White space
// around the whole is removed, for scanners that add a line end.
//
// Text that is some other QR code gives [ErrQR], so that a caller can try
// other parsers; a citizen card's with something wrong gives a [*FieldError].
// The CCCDQR is zero on error.
func ParseCCCDQR(s string) (CCCDQR, error) {
	if len(s) > maxQRLen {
		return CCCDQR{}, ErrTooLong
	}
	fields := strings.Split(trimmed(s), "|")
	if len(fields) < minQRFields {
		return CCCDQR{}, ErrQR
	}
	number, err := ParseNumber(fields[0])
	if err != nil {
		return CCCDQR{}, ErrQR
	}
	if len(fields) > maxQRFields {
		return CCCDQR{}, ErrTooLong
	}
	names := [minQRFields]Field{
		FieldNumber, FieldOldNumber, FieldName, FieldDateOfBirth, FieldSex, FieldResidence, FieldDateOfIssue,
	}
	for i, f := range fields {
		if !text(f) {
			name := FieldExtra
			if i < len(names) {
				name = names[i]
			}
			return CCCDQR{}, &FieldError{Field: name, Err: ErrText}
		}
	}
	q := CCCDQR{
		Number: number, OldNumber: fields[1], Name: fields[2], Sex: fields[4], Residence: fields[5],
	}
	if q.DateOfBirth, err = ParseDate(fields[3]); err != nil {
		return CCCDQR{}, &FieldError{Field: FieldDateOfBirth, Err: err}
	}
	if q.DateOfIssue, err = ParseDate(fields[6]); err != nil {
		return CCCDQR{}, &FieldError{Field: FieldDateOfIssue, Err: err}
	}
	if len(fields) > minQRFields {
		q.Extra = fields[minQRFields:]
	}
	return q, nil
}

// Key returns the access key of the card's chip for a date of expiry as
// YYMMDD, which the card shows in print and the QR code does not have. Errors:
// a [*FieldError] with [ErrPartialDate] or [ErrNumber], or that of
// [mrz.NewKey].
func (q CCCDQR) Key(expiry string) (mrz.Key, error) {
	birth, ok := q.DateOfBirth.MRZ()
	if !ok {
		return mrz.Key{}, &FieldError{Field: FieldDateOfBirth, Err: ErrPartialDate}
	}
	number := q.Number.DocumentNumber()
	if number == "" {
		return mrz.Key{}, &FieldError{Field: FieldNumber, Err: ErrNumber}
	}
	return mrz.NewKey(number, birth, expiry)
}

// Keys returns the access keys for all [ExpiryCandidates], the most likely
// first. The error is a [*FieldError] with [ErrPartialDate] when a date in the
// QR code is incomplete, or with [ErrDate] when the card was issued before the
// birth; the date of expiry then has to be typed, for [CCCDQR.Key].
func (q CCCDQR) Keys() ([]mrz.Key, error) {
	if !q.DateOfIssue.Full() {
		return nil, &FieldError{Field: FieldDateOfIssue, Err: ErrPartialDate}
	}
	if !q.DateOfBirth.Full() {
		return nil, &FieldError{Field: FieldDateOfBirth, Err: ErrPartialDate}
	}
	candidates := ExpiryCandidates(q.DateOfBirth, q.DateOfIssue)
	if len(candidates) == 0 {
		return nil, &FieldError{Field: FieldDateOfIssue, Err: ErrDate}
	}
	keys := make([]mrz.Key, 0, len(candidates))
	for _, expiry := range candidates {
		k, err := q.Key(expiry)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// text reports whether s is UTF-8 of characters that can be seen.
func text(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, invisible)
}

// invisible are characters that have no place in a name or an address and make
// one read as another: controls, marks of direction and joining, separators of
// lines and paragraphs.
func invisible(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }
