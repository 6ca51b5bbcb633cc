package lds

import (
	"errors"

	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrDG11 reports a DG11 that cannot be taken apart.
var ErrDG11 = errors.New("lds: malformed DG11")

// DG11 is what the chip says about the holder beyond the machine readable
// zone: personal data. Every field may be empty. Printing it shows nothing.
type DG11 struct {
	Name           PersonName   // in full and in national characters
	OtherNames     []PersonName // at most 99
	PersonalNumber string
	DateOfBirth    Date
	PlaceOfBirth   []string // one or more parts, such as town and state
	Address        []string
	Telephone      string
	Profession     string
	Title          string
	Summary        string
	// Citizenship is a picture of the proof of citizenship; Data is nil when
	// there is none.
	Citizenship    face.Image
	OtherDocuments []string // numbers of other valid travel documents
	Custody        string

	// Rest has what was not understood, in the order of the file: elements
	// that the standard does not know, that are there twice, or whose value is
	// not of their kind.
	Rest []Element
	// Deviations lists what does not follow the standard and was tolerated.
	Deviations []string
}

// String returns "[redacted]".
func (d DG11) String() string { return redacted }

// GoString returns "[redacted]".
func (d DG11) GoString() string { return redacted }

const tagOtherName tlv.Tag = 0x5F0F

// ParseDG11 parses DG11 (Doc 9303-10, 4.7.11). Only what cannot be taken apart
// is an error; the DG11 is then zero. It tolerates, and notes, dates in packed
// digits, further names outside their template, a list of elements that does
// not fit, and elements that it does not understand, which are kept in Rest.
func ParseDG11(b []byte) (DG11, error) {
	var d DG11
	e := elements{nested: tagOtherName}
	e.known = map[tlv.Tag]func(tlv.String) bool{ // Doc 9303-10, tables 71 and 72
		0x5F0E:       e.name(&d.Name, maxText),
		tagNames:     e.names(&d.OtherNames),
		tagOtherName: e.bareName(&d.OtherNames),
		0x5F10:       e.str(&d.PersonalNumber, maxText),
		0x5F2B:       e.date(&d.DateOfBirth),
		0x5F11:       e.lines(&d.PlaceOfBirth, maxText),
		0x5F42:       e.lines(&d.Address, maxText),
		0x5F12:       e.str(&d.Telephone, maxText),
		0x5F13:       e.text(&d.Profession, maxText),
		0x5F14:       e.text(&d.Title, maxText),
		0x5F15:       e.text(&d.Summary, maxText),
		0x5F16:       e.picture(&d.Citizenship),
		0x5F17:       e.lines(&d.OtherDocuments, maxText),
		0x5F18:       e.text(&d.Custody, maxCustody),
	}
	f, _ := DataGroup(11)
	s, err := content(b, f, &e.deviations)
	if err != nil {
		return DG11{}, err
	}
	if !e.readListed(s) || len(d.OtherNames) > maxNames {
		return DG11{}, ErrDG11
	}
	d.Rest, d.Deviations = e.rest, e.deviations
	return d, nil
}
