package issuer

import (
	"fmt"

	"github.com/chamthe/chamthe/icao/tlv"
)

// field is a data object of DG11, DG12 or DG16.
type field struct {
	tag   tlv.Tag
	value []byte
}

// present drops the fields without a value.
func present(fields []field) []field {
	var out []field
	for _, f := range fields {
		if len(f.value) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// listed is the content of DG11 or DG12: the tags that are present, and the
// fields in that order.
func listed(fields []field) []byte {
	var tags, body []byte
	for _, f := range present(fields) {
		element := tlv.Append(nil, f.tag, f.value)
		if f.tag > 0xFF {
			tags = append(tags, byte(f.tag>>8))
		}
		tags = append(tags, byte(f.tag))
		body = append(body, element...)
	}
	return append(tlv.Append(nil, 0x5C, tags), body...)
}

// counted is the content of a template that repeats one field.
func counted(tag tlv.Tag, values []string) []byte {
	if len(values) == 0 {
		return nil
	}
	body := tlv.Append(nil, 0x02, []byte{byte(len(values))})
	for _, v := range values {
		body = tlv.Append(body, tag, []byte(v))
	}
	return body
}

// digits is a date or a time in its characters, or packed two to a byte as
// older documents have it.
func digits(s string, bcd bool) ([]byte, error) {
	if !bcd {
		return []byte(s), nil
	}
	if len(s)%2 != 0 {
		return nil, fmt.Errorf("%w: an odd number of digits", ErrContent)
	}
	var out []byte
	for i, c := range []byte(s) {
		if c < '0' || c > '9' {
			return nil, fmt.Errorf("%w: a date that is not digits", ErrContent)
		}
		if i%2 == 0 {
			out = append(out, (c-'0')<<4)
		} else {
			out[len(out)-1] |= c - '0'
		}
	}
	return out, nil
}

// DG7 wraps pictures of a signature or usual mark, JPEG each (Doc 9303-10,
// 4.7.7).
func DG7(images ...[]byte) ([]byte, error) {
	if len(images) == 0 || len(images) > 9 {
		return nil, fmt.Errorf("%w: %d signatures", ErrContent, len(images))
	}
	body := tlv.Append(nil, 0x02, []byte{byte(len(images))})
	for _, image := range images {
		body = tlv.Append(body, 0x5F43, image)
	}
	return tlv.Append(nil, 0x67, body), nil
}

// PersonalDetails is the content of DG11. Empty fields are left out. Parts of a
// name and of an address are separated as in the MRZ.
type PersonalDetails struct {
	Name           string
	OtherNames     []string
	PersonalNumber string
	PlaceOfBirth   string
	DateOfBirth    string // yyyymmdd
	Address        string
	Telephone      string
	Profession     string
	Title          string
	Summary        string
	Citizenship    []byte // picture of a proof of citizenship
	OtherDocuments string // numbers, separated by '<'
	Custody        string
	// BCD packs the date two digits to a byte, as older documents do.
	BCD bool
}

// DG11 encodes additional personal details (Doc 9303-10, 4.7.11).
func DG11(d PersonalDetails) ([]byte, error) {
	birth, err := digits(d.DateOfBirth, d.BCD)
	if err != nil {
		return nil, err
	}
	return tlv.Append(nil, 0x6B, listed([]field{
		{0x5F0E, []byte(d.Name)},
		{0xA0, counted(0x5F0F, d.OtherNames)},
		{0x5F10, []byte(d.PersonalNumber)},
		{0x5F2B, birth},
		{0x5F11, []byte(d.PlaceOfBirth)},
		{0x5F42, []byte(d.Address)},
		{0x5F12, []byte(d.Telephone)},
		{0x5F13, []byte(d.Profession)},
		{0x5F14, []byte(d.Title)},
		{0x5F15, []byte(d.Summary)},
		{0x5F16, d.Citizenship},
		{0x5F17, []byte(d.OtherDocuments)},
		{0x5F18, []byte(d.Custody)},
	})), nil
}

// DocumentDetails is the content of DG12. Empty fields are left out.
type DocumentDetails struct {
	Authority      string
	DateOfIssue    string // yyyymmdd
	OtherPersons   []string
	Endorsements   string
	TaxOrExit      string
	Front, Rear    []byte // pictures of the document
	Personalised   string // yyyymmddhhmmss
	PersonalisedBy string // serial number of the system
	BCD            bool   // dates two digits to a byte
}

// DG12 encodes additional document details (Doc 9303-10, 4.7.12).
func DG12(d DocumentDetails) ([]byte, error) {
	issue, err := digits(d.DateOfIssue, d.BCD)
	if err != nil {
		return nil, err
	}
	personalised, err := digits(d.Personalised, d.BCD)
	if err != nil {
		return nil, err
	}
	return tlv.Append(nil, 0x6C, listed([]field{
		{0x5F19, []byte(d.Authority)},
		{0x5F26, issue},
		{0xA0, counted(0x5F1A, d.OtherPersons)},
		{0x5F1B, []byte(d.Endorsements)},
		{0x5F1C, []byte(d.TaxOrExit)},
		{0x5F1D, d.Front},
		{0x5F1E, d.Rear},
		{0x5F55, personalised},
		{0x5F56, []byte(d.PersonalisedBy)},
	})), nil
}

// Contact is a person to notify.
type Contact struct {
	Recorded  string // yyyymmdd
	Name      string
	Telephone string
	Address   string
}

// DG16 encodes persons to notify (Doc 9303-10, 4.7.16).
func DG16(contacts ...Contact) ([]byte, error) {
	if len(contacts) == 0 || len(contacts) > 15 {
		return nil, fmt.Errorf("%w: %d contacts", ErrContent, len(contacts))
	}
	body := tlv.Append(nil, 0x02, []byte{byte(len(contacts))})
	for i, c := range contacts {
		var inner []byte
		for _, f := range present([]field{
			{0x5F50, []byte(c.Recorded)}, {0x5F51, []byte(c.Name)}, {0x5F52, []byte(c.Telephone)}, {0x5F53, []byte(c.Address)},
		}) {
			inner = tlv.Append(inner, f.tag, f.value)
		}
		body = tlv.Append(body, tlv.Tag(0xA1+i), inner)
	}
	return tlv.Append(nil, 0x70, body), nil
}

// DIR makes EF.DIR with the applications' identifiers (Doc 9303-10, 3.11.2).
func DIR(applications ...[]byte) []byte {
	var b []byte
	for _, aid := range applications {
		b = tlv.Append(b, 0x61, tlv.Append(nil, 0x4F, aid))
	}
	return b
}
