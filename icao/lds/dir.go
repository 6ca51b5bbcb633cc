package lds

import (
	"bytes"
	"errors"

	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrDIR reports an EF.DIR that cannot be taken apart. The file is a hint: a
// reader does without it.
var ErrDIR = errors.New("lds: malformed EF.DIR")

// DIR is the content of EF.DIR: which applications the card says it has. It is
// not signed, so nothing may be decided by it.
type DIR struct {
	AIDs       [][]byte // application identifiers, in the order of the file
	Deviations []string
}

// Has reports whether the application with the given identifier is listed.
func (d DIR) Has(aid []byte) bool {
	for _, have := range d.AIDs {
		if bytes.Equal(have, aid) {
			return true
		}
	}
	return false
}

// Deviations of EF.DIR.
const (
	DevNoAID    = "lds: application template without an identifier"
	DevNoEMRTD  = "lds: eMRTD application is not listed"
	DevAIDShape = "lds: application identifier outside a template or of a wrong length"
)

// Tags of EF.DIR (Doc 9303-10, table 31; ISO/IEC 7816-4).
const (
	tagApplication tlv.Tag = 0x61
	tagAID         tlv.Tag = 0x4F

	maxApplications = 32
	minAIDLen       = 5 // ISO/IEC 7816-4, 12.3.3: 5 to 16 bytes
	maxAIDLen       = 16
)

// ParseDIR parses EF.DIR (Doc 9303-10, 3.11.2). Other data objects than
// application templates are passed over, zero bytes between them too. The DIR
// is zero on error.
func ParseDIR(b []byte) (DIR, error) {
	var d DIR
	var dev deviations
	s := tlv.String(b)
	for n := 0; !s.Empty(); {
		if s[0] == 0 {
			dev.note(DevPadding)
			s.Skip(1)
			continue
		}
		var v tlv.String
		var tag tlv.Tag
		if n++; n > maxApplications || !dev.read(&s, &v, &tag) {
			return DIR{}, ErrDIR
		}
		switch tag {
		case tagApplication:
			if !d.template(v, &dev) {
				return DIR{}, ErrDIR
			}
		case tagAID:
			dev.note(DevAIDShape)
			d.AIDs = append(d.AIDs, v)
		default:
			dev.note(DevUnknown)
		}
	}
	if !d.Has(AID()) {
		dev.note(DevNoEMRTD)
	}
	d.Deviations = dev
	return d, nil
}

// template reads one application template. What else it may say, such as a
// label, is passed over.
func (d *DIR) template(s tlv.String, dev *deviations) bool {
	found := false
	for !s.Empty() {
		var v tlv.String
		var tag tlv.Tag
		if !dev.read(&s, &v, &tag) {
			return false
		}
		if tag != tagAID {
			continue
		}
		if found {
			return false // two identifiers for one application
		}
		found = true
		if len(v) < minAIDLen || len(v) > maxAIDLen {
			dev.note(DevAIDShape)
		}
		d.AIDs = append(d.AIDs, v)
	}
	if !found {
		dev.note(DevNoAID)
	}
	return true
}
