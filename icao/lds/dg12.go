package lds

import (
	"errors"

	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrDG12 reports a DG12 that cannot be taken apart.
var ErrDG12 = errors.New("lds: malformed DG12")

// DG12 is what the chip says about the document. It names persons and may show
// the data page, so it is personal data. Every field may be empty. Printing it
// shows nothing.
type DG12 struct {
	IssuingAuthority string
	DateOfIssue      Date
	OtherPersons     []PersonName // at most 99
	Endorsements     string       // and observations
	TaxExit          string       // requirements on tax or on leaving the country
	Front, Rear      face.Image   // pictures of the document; Data is nil when there is none
	Personalised     DateTime
	SystemSerial     string // of the personalisation system

	// Rest has what was not understood, in the order of the file: elements
	// that the standard does not know, that are there twice, or whose value is
	// not of their kind.
	Rest []Element
	// Deviations lists what does not follow the standard and was tolerated.
	Deviations []string
}

// String returns "[redacted]".
func (d DG12) String() string { return redacted }

// GoString returns "[redacted]".
func (d DG12) GoString() string { return redacted }

const tagOtherPerson tlv.Tag = 0x5F1A

// ParseDG12 parses DG12 (Doc 9303-10, 4.7.12), and tolerates and keeps what
// [ParseDG11] does. The DG12 is zero on error.
func ParseDG12(b []byte) (DG12, error) {
	var d DG12
	e := elements{nested: tagOtherPerson}
	e.known = map[tlv.Tag]func(tlv.String) bool{ // Doc 9303-10, tables 73 and 74
		0x5F19:         e.text(&d.IssuingAuthority, maxText),
		0x5F26:         e.date(&d.DateOfIssue),
		tagNames:       e.names(&d.OtherPersons),
		tagOtherPerson: e.bareName(&d.OtherPersons),
		0x5F1B:         e.text(&d.Endorsements, maxText),
		0x5F1C:         e.text(&d.TaxExit, maxText),
		0x5F1D:         e.picture(&d.Front),
		0x5F1E:         e.picture(&d.Rear),
		0x5F55:         e.dateTime(&d.Personalised),
		0x5F56:         e.str(&d.SystemSerial, maxText),
	}
	f, _ := DataGroup(12)
	s, err := content(b, f, &e.deviations)
	if err != nil {
		return DG12{}, err
	}
	if !e.readListed(s) || len(d.OtherPersons) > maxNames {
		return DG12{}, ErrDG12
	}
	d.Rest, d.Deviations = e.rest, e.deviations
	return d, nil
}
