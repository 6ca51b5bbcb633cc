package vn

import (
	"fmt"

	"github.com/chamthe/chamthe/icao/tlv"
)

// DG13 is what a citizen card's DG13 says and a check-in may need: personal
// data. Fields that the card does not have are empty; cards of 2024 have few.
// Printing it shows nothing of it.
type DG13 struct {
	Number         Number // as the card has it; see [Number.Valid]
	Name           string
	DateOfBirth    Date   // may be partial
	Sex            string // "Nam", "Nữ"; see [ParseSex]
	Nationality    string
	PlaceOfOrigin  string
	Residence      string
	DateOfIssue    Date
	DateOfExpiry   Date   // zero when the card does not expire or does not say
	ExpiryText     string // what the card says there, which need not be a date
	OldNumber      string // of the identity card before
	Serial         string // sixteen characters whose meaning is not settled
	FieldsLeftOut  int    // fields that are there and were passed over on purpose
	FieldsNotKnown int    // fields with an index that is not known
}

// String returns "[redacted]".
func (DG13) String() string { return redacted }

// Format prints "[redacted]" for every verb.
func (DG13) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText gives "[redacted]", so that no encoder writes a person by itself.
func (DG13) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Limits of DG13. Those that are known have sixteen fields and less than 700
// bytes.
const (
	maxDG13Len    = 8 << 10
	maxDG13Fields = 64
)

// Universal tags that DG13 uses (ITU-T X.690, 8).
const (
	tagInteger         = 0x02
	tagOID             = 0x06
	tagUTF8String      = 0x0C
	tagPrintableString = 0x13
	tagIA5String       = 0x16
	tagSequence        = 0x30
	tagSet             = 0x31
)

// ParseDG13 parses a whole DG13 of a citizen card, with its tag 6D:
//
//	SEQUENCE { version INTEGER, id OBJECT IDENTIFIER, SET OF SEQUENCE { index INTEGER, value } }
//
// in any order of fields, with version and id optional and lengths in any
// encoding. Other structures give [ErrDG13]: the group belongs to the issuer,
// who may change it, so that is no fault of the card. A field with something
// wrong gives a [*FieldError]. The DG13 is zero on error.
func ParseDG13(b []byte) (DG13, error) {
	if len(b) > maxDG13Len {
		return DG13{}, ErrTooLong
	}
	file := tlv.String(b)
	var group, seq, set tlv.String
	if !read(&file, &group, 0x6D) || !padding(file) {
		return DG13{}, ErrDG13
	}
	if !read(&group, &seq, tagSequence) || !group.Empty() {
		return DG13{}, ErrDG13
	}
	if !optional(&seq, tagInteger) || !optional(&seq, tagOID) ||
		!read(&seq, &set, tagSet) || !seq.Empty() {
		return DG13{}, ErrDG13
	}
	var d DG13
	var seen [256]bool
	for n := 0; !set.Empty(); n++ {
		var field, index tlv.String
		if n == maxDG13Fields {
			return DG13{}, ErrTooLong
		}
		if !read(&set, &field, tagSequence) || !read(&field, &index, tagInteger) || len(index) != 1 {
			return DG13{}, ErrDG13
		}
		// A second field with the same index would leave it to the reader
		// which of the two is shown.
		if seen[index[0]] {
			return DG13{}, ErrDuplicate
		}
		seen[index[0]] = true
		if err := d.set(index[0], field); err != nil {
			return DG13{}, err
		}
	}
	return d, nil
}

// set takes one field.
func (d *DG13) set(index byte, value tlv.String) error {
	switch index {
	case 1:
		var s string
		err := str(&s, value, FieldNumber)
		d.Number = Number(s)
		return err
	case 2:
		return str(&d.Name, value, FieldName)
	case 3:
		return date(&d.DateOfBirth, value, FieldDateOfBirth)
	case 4:
		return str(&d.Sex, value, FieldSex)
	case 5:
		return str(&d.Nationality, value, FieldNationality)
	case 8:
		return str(&d.PlaceOfOrigin, value, FieldOrigin)
	case 9:
		return str(&d.Residence, value, FieldResidence)
	case 11:
		return date(&d.DateOfIssue, value, FieldDateOfIssue)
	case 12:
		if err := str(&d.ExpiryText, value, FieldDateOfExpiry); err != nil {
			return err
		}
		// Cards that do not expire have words here. What is not a date stays
		// text, and the date zero.
		d.DateOfExpiry, _ = ParseDate(d.ExpiryText)
		return nil
	case 15:
		return str(&d.OldNumber, value, FieldOldNumber)
	case 16:
		return str(&d.Serial, value, FieldSerial)
	case 6, 7, 10, 13, 14: // ethnicity, religion, identifying marks, parents, spouse
		d.FieldsLeftOut++
		return nil
	}
	d.FieldsNotKnown++
	return nil
}

// str reads the one string of a field, or leaves out empty when there is none.
func str(out *string, s tlv.String, name Field) error {
	if s.Empty() {
		return nil
	}
	var v tlv.String
	var tag tlv.Tag
	if !s.ReadLenient(&v, &tag) || !s.Empty() {
		return &FieldError{Field: name, Err: ErrDG13}
	}
	switch tag {
	case tagUTF8String, tagPrintableString, tagIA5String:
	default:
		return &FieldError{Field: name, Err: ErrDG13}
	}
	if !text(string(v)) {
		return &FieldError{Field: name, Err: ErrText}
	}
	*out = string(v)
	return nil
}

// date reads a date; an empty string is none.
func date(out *Date, s tlv.String, name Field) error {
	var text string
	if err := str(&text, s, name); err != nil || text == "" {
		return err
	}
	d, err := ParseDate(text)
	if err != nil {
		return &FieldError{Field: name, Err: err}
	}
	*out = d
	return nil
}

// read reads an object with the given tag, whatever way its length is encoded.
func read(s, value *tlv.String, want tlv.Tag) bool {
	rest := *s
	var tag tlv.Tag
	if !rest.ReadLenient(value, &tag) || tag != want {
		return false
	}
	*s = rest
	return true
}

// optional passes over an object with the given tag if it comes next.
func optional(s *tlv.String, tag tlv.Tag) bool {
	if t, ok := s.PeekTag(); !ok || t != tag {
		return true
	}
	var v tlv.String
	return read(s, &v, tag)
}

// padding reports whether nothing but zero bytes is left, which some cards
// send behind a file.
func padding(s tlv.String) bool {
	for _, c := range s {
		if c != 0 {
			return false
		}
	}
	return true
}
