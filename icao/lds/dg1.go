package lds

import (
	"errors"
	"strings"

	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrDG1 reports a DG1 that holds anything but one machine readable zone.
var ErrDG1 = errors.New("lds: malformed DG1")

// Deviations of DG1.
const (
	DevState  = "lds: code of a state is not of letters" // Doc 9303-3, 5
	DevNoName = "lds: zone does not name anybody"        // Doc 9303-3, 4.6
)

// ParseDG1 parses DG1, the machine readable zone (Doc 9303-10, 4.7.1), of a
// card (TD1), a TD2 document or a passport (TD3). The zone is checked as
// [mrz.Parse] does, and its errors are wrapped. The MRZ is zero on error.
func ParseDG1(b []byte) (mrz.MRZ, error) { return parseDG1(b, new(deviations)) }

func parseDG1(b []byte, dev *deviations) (mrz.MRZ, error) {
	f, _ := DataGroup(1)
	s, err := content(b, f, dev)
	if err != nil {
		return mrz.MRZ{}, err
	}
	var zone tlv.String
	if !s.ReadTag(&zone, 0x5F1F) || !s.Empty() {
		return mrz.MRZ{}, ErrDG1
	}
	for _, c := range zone {
		// Line breaks have no place in a chip, though mrz.Parse knows them.
		if c < ' ' {
			return mrz.MRZ{}, ErrDG1
		}
	}
	m, err := mrz.Parse(string(zone))
	if err != nil {
		return mrz.MRZ{}, err
	}
	switch m.Layout {
	case mrz.TD1, mrz.TD2, mrz.TD3:
		checkZone(m, dev)
		return m, nil
	}
	return mrz.MRZ{}, ErrDG1
}

// checkZone looks at what package mrz leaves to its caller because it does not know
// which states and names there are: of what characters they consist.
func checkZone(m mrz.MRZ, dev *deviations) {
	for _, code := range []string{m.IssuingState, m.Nationality} {
		if code == "" || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			dev.note(DevState)
		}
	}
	if m.PrimaryIdentifier == "" {
		dev.note(DevNoName)
	}
}
