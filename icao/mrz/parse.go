package mrz

import "strings"

// parseTD1 reads a card (Doc 9303-5, 4.2.2).
//
//	1-2 document code   3-5 issuing state   6-14 number   15 cd   16-30 optional
//	1-6 birth   7 cd   8 sex   9-14 expiry   15 cd   16-18 nationality   19-29 optional   30 composite
//	1-30 name
func (m *MRZ) parseTD1() error {
	l1, l2, l3 := m.Lines[0], m.Lines[1], m.Lines[2]
	if err := m.setCode(l1[:2]); err != nil {
		return err
	}
	m.IssuingState = trim(l1[2:5])
	optional, err := m.setNumber(l1[5:14], l1[14], l1[15:30])
	if err != nil {
		return err
	}
	m.OptionalData = optional
	if err := m.setDates(l2[0:6], l2[6], l2[7], l2[8:14], l2[14]); err != nil {
		return err
	}
	m.Nationality = trim(l2[15:18])
	m.OptionalData2 = trim(l2[18:29])
	if !checks(l1[5:30]+l2[0:7]+l2[8:15]+l2[18:29], l2[29]) {
		return &Error{Class: BadCheckDigit, Field: Composite}
	}
	m.setName(l3)
	return nil
}

// parseTwoLines reads the four formats of two lines, which differ behind the
// date of expiry (Doc 9303-4, 4.2.2; 9303-6, 4.2.2; 9303-7, 4.2 and 5.2).
//
//	1-2 document code   3-5 issuing state   6- name
//	1-9 number   10 cd   11-13 nationality   14-19 birth   20 cd   21 sex   22-27 expiry   28 cd
//	TD3: 29-42 optional   43 cd   44 composite
//	TD2: 29-35 optional   36 composite
//	visas: 29- optional
func (m *MRZ) parseTwoLines() error {
	l1, l2 := m.Lines[0], m.Lines[1]
	if err := m.setCode(l1[:2]); err != nil {
		return err
	}
	m.IssuingState = trim(l1[2:5])
	m.setName(l1[5:])

	optional := l2[28:]
	var composite string
	switch m.Layout {
	case TD3:
		optional, composite = l2[28:42], l2[0:10]+l2[13:20]+l2[21:43]
	case TD2:
		optional, composite = l2[28:35], l2[0:10]+l2[13:20]+l2[21:35]
	}
	extension := ""
	if m.Layout == TD2 {
		extension = optional // the only one where a number may continue
	}
	rest, err := m.setNumber(l2[0:9], l2[9], extension)
	if err != nil {
		return err
	}
	if m.Layout == TD2 {
		optional = rest
	}
	m.OptionalData = trim(optional)
	m.Nationality = trim(l2[10:13])
	if err := m.setDates(l2[13:19], l2[19], l2[20], l2[21:27], l2[27]); err != nil {
		return err
	}
	// An empty field may have a filler for its check digit (Doc 9303-4, 4.2.2).
	if m.Layout == TD3 && !checks(optional, l2[42]) && (m.OptionalData != "" || l2[42] != '<') {
		return &Error{Class: BadCheckDigit, Field: OptionalData}
	}
	if composite != "" && !checks(composite, l2[len(l2)-1]) {
		return &Error{Class: BadCheckDigit, Field: Composite}
	}
	return nil
}

// setCode takes the document code. Its first letter belongs to the format: P
// in a passport, V in a visa, A, C or I in a card (Doc 9303-4, -5, -6, -7,
// 4.2.2). The second character is the issuer's.
func (m *MRZ) setCode(code string) error {
	letters := "ACI"
	switch m.Layout {
	case TD3:
		letters = "P"
	case MRVA, MRVB:
		letters = "V"
	}
	if !strings.Contains(letters, code[:1]) {
		return &Error{Class: BadDocumentCode, Field: DocumentCode}
	}
	m.DocumentCode = trim(code)
	return nil
}

// setNumber takes the document number and returns what remains of the optional
// data, trimmed.
//
// A number of more than nine characters has a filler for its check digit and
// continues in the optional data: its rest, the check digit over all of it,
// and a filler (Doc 9303-5 and -6, 4.2.2 and 4.2.4; Doc 9303-11, D.2).
func (m *MRZ) setNumber(number string, cd byte, optional string) (rest string, err error) {
	if cd == '<' && optional != "" {
		extension, after, found := strings.Cut(optional, "<")
		n := len(extension) - 1
		if !found || n < 1 {
			return "", &Error{Class: BadCheckDigit, Field: DocumentNumber}
		}
		number, cd, optional = number+extension[:n], extension[n], after
	}
	if !checks(number, cd) {
		return "", &Error{Class: BadCheckDigit, Field: DocumentNumber}
	}
	m.DocumentNumber = trim(number)
	if m.DocumentNumber == "" {
		return "", &Error{Class: BadLength, Field: DocumentNumber}
	}
	return trim(optional), nil
}

func (m *MRZ) setDates(birth string, birthCD, sex byte, expiry string, expiryCD byte) error {
	switch {
	case !checks(birth, birthCD):
		return &Error{Class: BadCheckDigit, Field: DateOfBirth}
	case !checks(expiry, expiryCD):
		return &Error{Class: BadCheckDigit, Field: DateOfExpiry}
	case !validDate(birth, true):
		return &Error{Class: BadDate, Field: DateOfBirth}
	case !validDate(expiry, false):
		return &Error{Class: BadDate, Field: DateOfExpiry}
	case sex != 'M' && sex != 'F' && sex != '<':
		return &Error{Class: BadSex, Field: Sex}
	}
	m.DateOfBirth, m.Sex, m.DateOfExpiry = birth, string(sex), expiry
	return nil
}

// setName splits the name field: two fillers between the identifiers, one
// between the parts of each (Doc 9303-3, 4.6).
func (m *MRZ) setName(field string) {
	primary, secondary, _ := strings.Cut(trim(field), "<<")
	m.PrimaryIdentifier = words(primary)
	m.SecondaryIdentifier = words(secondary)
}

func words(s string) string { return strings.ReplaceAll(trim(s), "<", " ") }

func trim(s string) string { return strings.TrimRight(s, "<") }

// checks reports whether cd is the check digit of s.
func checks(s string, cd byte) bool {
	want, ok := CheckDigit(s)
	return ok && cd == want
}
