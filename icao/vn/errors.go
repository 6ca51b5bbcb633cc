package vn

import "errors"

// Causes of a [*FieldError], and errors of their own. Match with errors.Is.
var (
	// ErrDG13 reports a DG13 that is not structured as those of citizen cards
	// are. It may still be in order: the structure belongs to the issuer.
	ErrDG13 = errors.New("vn: not a citizen card's DG13")
	// ErrQR reports text that is not the QR code in question: too few fields, or a
	// first field that is no number of a citizen card, or of a health insurance card.
	ErrQR = errors.New("vn: not a QR code of this kind")
	// ErrTooLong reports input above the limits of this package.
	ErrTooLong = errors.New("vn: too long")
	// ErrText reports text that is not UTF-8, or has control characters.
	ErrText = errors.New("vn: malformed text")
	// ErrDate reports a date that is none, or of no known form.
	ErrDate = errors.New("vn: malformed date")
	// ErrPartialDate reports a date without day or month where a full one is
	// needed.
	ErrPartialDate = errors.New("vn: incomplete date")
	// ErrNumber reports a number that is not twelve digits.
	ErrNumber = errors.New("vn: malformed number")
	// ErrDuplicate reports a field that is there twice.
	ErrDuplicate = errors.New("vn: duplicate field")
)

// A Field names a field of DG13 or of a QR code in an error.
type Field string

// The fields.
const (
	FieldNumber       Field = "number"
	FieldName         Field = "name"
	FieldDateOfBirth  Field = "date_of_birth"
	FieldSex          Field = "sex"
	FieldNationality  Field = "nationality"
	FieldOrigin       Field = "place_of_origin"
	FieldResidence    Field = "residence"
	FieldDateOfIssue  Field = "date_of_issue"
	FieldDateOfExpiry Field = "date_of_expiry"
	FieldOldNumber    Field = "old_number"
	FieldSerial       Field = "serial"
	FieldExtra        Field = "extra"
	FieldParent       Field = "parent"
	FieldValidFrom    Field = "valid_from"
	FieldValidTo      Field = "valid_to"
	FieldFiveYears    Field = "five_years"
)

// A FieldError says which field is wrong and how.
type FieldError struct {
	Field Field
	Err   error
}

// Error names the field and the cause: "date_of_birth: vn: malformed date".
func (e *FieldError) Error() string { return string(e.Field) + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *FieldError) Unwrap() error { return e.Err }
