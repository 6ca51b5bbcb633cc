// Package mrz reads the machine readable zone of travel documents and identity
// cards: Doc 9303 (8th edition), Part 3 for what all formats share, Part 4 for
// passports (TD3), Part 5 for cards (TD1), Part 6 for TD2, Part 7 for visas
// (MRV-A, MRV-B).
//
// [Parse] is strict: lengths, characters, dates, sex and every check digit
// have to be right. It corrects nothing that a scanner misread, and it does
// not know which states or document codes exist. [Key] is what the zone gives
// for access to the chip.
//
// Left out on purpose: the century of a date, names in other scripts, and
// rules of single countries (Vietnam's are in icao/vn).
package mrz

import (
	"fmt"
	"strings"
)

// A Format is the size of document, which decides the layout of its zone.
type Format int

// The formats of Doc 9303. The zero value is none of them.
const (
	TD1  Format = iota + 1 // card, 3 lines of 30 characters (Doc 9303-5)
	TD2                    // 2 lines of 36 (Doc 9303-6)
	TD3                    // passport booklet, 2 lines of 44 (Doc 9303-4)
	MRVA                   // visa of format A, 2 lines of 44 (Doc 9303-7)
	MRVB                   // visa of format B, 2 lines of 36 (Doc 9303-7)
)

var formatNames = [...]string{"none", "TD1", "TD2", "TD3", "MRVA", "MRVB"}

// String returns the format's name, such as "TD1".
func (f Format) String() string {
	if f < 0 || int(f) >= len(formatNames) {
		return fmt.Sprintf("mrz.Format(%d)", int(f))
	}
	return formatNames[f]
}

// A Field is a part of the zone, as an [Error] names it.
type Field string

// The fields.
const (
	DocumentCode   Field = "document_code"
	IssuingState   Field = "issuing_state"
	Name           Field = "name"
	DocumentNumber Field = "document_number"
	Nationality    Field = "nationality"
	DateOfBirth    Field = "date_of_birth"
	Sex            Field = "sex"
	DateOfExpiry   Field = "date_of_expiry"
	OptionalData   Field = "optional_data"
	Composite      Field = "composite"
)

// A Class says what is wrong with a zone.
type Class string

// The classes.
const (
	BadLineCount    Class = "bad_line_count"
	BadLength       Class = "bad_length"
	BadCharacter    Class = "bad_character" // not A-Z, 0-9 or <
	BadDocumentCode Class = "bad_document_code"
	BadDate         Class = "bad_date"
	BadSex          Class = "bad_sex"
	BadCheckDigit   Class = "check_digit"
)

// An Error says what is wrong with a zone and where, and repeats nothing of
// what it says.
type Error struct {
	Class Class
	Field Field // empty when the Class is about the zone as a whole
}

// Error returns the class and the field: "mrz: check_digit: date_of_birth".
func (e *Error) Error() string {
	if e.Field == "" {
		return "mrz: " + string(e.Class)
	}
	return "mrz: " + string(e.Class) + ": " + string(e.Field)
}

// An MRZ is the content of a machine readable zone: personal data. Fillers
// are removed from the ends of fields and, in names, replaced by spaces. The
// zero MRZ has no Layout.
type MRZ struct {
	Layout       Format
	DocumentCode string // one or two letters: P, ID
	IssuingState string // up to three letters: VNM, D

	// PrimaryIdentifier and SecondaryIdentifier are the name: usually
	// surname and given names. A name that fills its field may be cut off
	// (see [MRZ.NameMayBeTruncated]).
	PrimaryIdentifier, SecondaryIdentifier string

	// DocumentNumber is complete, also where a TD1 or TD2 continues a long
	// one in the optional data.
	DocumentNumber string

	Nationality  string
	DateOfBirth  string // YYMMDD as printed; fillers where it is unknown
	Sex          string // "M", "F" or "<" (unspecified), as printed
	DateOfExpiry string // YYMMDD as printed

	// OptionalData is the only optional data field, or the first of a TD1,
	// without fillers at its end and without the rest of a long document
	// number. The check digit of TD3's is left out. OptionalData2 is the
	// second of a TD1.
	OptionalData, OptionalData2 string

	Lines []string // as read, without line breaks
}

// Format prints "[redacted]" for every verb.
func (MRZ) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String returns "[redacted]": a zone that is printed by mistake names nobody.
func (MRZ) String() string { return redacted }

// MarshalText gives "[redacted]", so that no encoder writes a zone by itself.
func (MRZ) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// NameMayBeTruncated reports whether the name fills its field to the last
// character, so that the document's name may be longer (Doc 9303-3, 4.6).
func (m MRZ) NameMayBeTruncated() bool {
	if m.Layout == 0 || len(m.Lines) == 0 {
		return false
	}
	line := m.Lines[0]
	if m.Layout == TD1 {
		line = m.Lines[len(m.Lines)-1]
	}
	return !strings.HasSuffix(line, "<")
}

// Parse reads a machine readable zone. Its lines may be separated by line
// breaks (LF or CR LF, also at the end) or follow each other without any, as
// in DG1. Nothing else is tolerated: no spaces, no lower case, no other
// characters that look alike. Whoever takes input from a keyboard converts it.
//
// The error is an [*Error], and the MRZ is then zero.
func Parse(s string) (MRZ, error) {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	for _, line := range lines {
		if _, ok := CheckDigit(line); !ok {
			return MRZ{}, &Error{Class: BadCharacter}
		}
	}
	m, err := arrange(lines)
	if err != nil {
		return MRZ{}, err
	}
	if m.Layout == TD1 {
		err = m.parseTD1()
	} else {
		err = m.parseTwoLines()
	}
	if err != nil {
		return MRZ{}, err
	}
	return m, nil
}

// layouts are the sizes of the formats. A visa shares its size with another
// format and differs in its first letter.
var layouts = []struct {
	format        Format
	count, length int
	visa          bool
}{
	{TD1, 3, 30, false},
	{TD2, 2, 36, false},
	{TD3, 2, 44, false},
	{MRVA, 2, 44, true},
	{MRVB, 2, 36, true},
}

// arrange finds the format that fits the lines, and cuts up a single line
// that holds all of a zone.
func arrange(lines []string) (MRZ, error) {
	visa := strings.HasPrefix(lines[0], "V")
	for _, l := range layouts {
		if l.visa != visa {
			continue
		}
		if len(lines) == 1 && len(lines[0]) == l.count*l.length {
			all := lines[0]
			lines = nil
			for ; all != ""; all = all[l.length:] {
				lines = append(lines, all[:l.length])
			}
		}
		if len(lines) == l.count && allOfLength(lines, l.length) {
			return MRZ{Layout: l.format, Lines: lines}, nil
		}
	}
	// Which of the two is wrong is a guess: lines of a known length, but not
	// enough of them, are a zone that was not read to its end.
	for _, l := range layouts {
		if len(lines) < l.count && allOfLength(lines, l.length) {
			return MRZ{}, &Error{Class: BadLineCount}
		}
	}
	if lines[0] == "" || len(lines) > 3 {
		return MRZ{}, &Error{Class: BadLineCount}
	}
	return MRZ{}, &Error{Class: BadLength}
}

func allOfLength(lines []string, n int) bool {
	for _, line := range lines {
		if len(line) != n {
			return false
		}
	}
	return true
}
