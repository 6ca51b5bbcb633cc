package lds

import (
	"errors"
	"slices"

	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrDG16 reports a DG16 that cannot be taken apart.
var ErrDG16 = errors.New("lds: malformed DG16")

// DG16 names whom to notify in an emergency.
type DG16 struct {
	Persons []Person // at most 15
	// Deviations lists what does not follow the standard and was tolerated.
	Deviations []string
}

// A Person is somebody to notify: personal data of a third party. Printing it
// shows nothing.
type Person struct {
	Recorded  Date // when the entry was made
	Name      PersonName
	Telephone string
	Address   []string
	Rest      []Element // what was not understood, as in [DG11]
}

// String returns "[redacted]".
func (p Person) String() string { return redacted }

// GoString returns "[redacted]".
func (p Person) GoString() string { return redacted }

// Templates of persons have the tags A1, A2 and so on (Doc 9303-10, table 80).
const (
	tagFirstPerson tlv.Tag = 0xA1
	tagLastPerson  tlv.Tag = 0xAF
)

// DevPersonTag notes templates of DG16 that are not numbered from one upwards.
const DevPersonTag = "lds: template of a person out of sequence"

// ParseDG16 parses DG16 (Doc 9303-10, 4.7.16). Elements that a person lacks
// are noted. The DG16 is zero on error.
func ParseDG16(b []byte) (DG16, error) {
	var g DG16
	var dev deviations
	f, _ := DataGroup(16)
	s, err := content(b, f, &dev)
	if err != nil {
		return DG16{}, err
	}
	count, ok := dev.count(&s)
	if !ok {
		return DG16{}, ErrDG16
	}
	for n := 0; !s.Empty(); n++ {
		var v tlv.String
		var tag tlv.Tag
		if n == maxElements || !dev.read(&s, &v, &tag) {
			return DG16{}, ErrDG16
		}
		if tag < tagFirstPerson || tag > tagLastPerson {
			dev.note(DevUnknown)
			continue
		}
		if len(g.Persons) > int(tagLastPerson-tagFirstPerson) {
			return DG16{}, ErrDG16
		}
		if tag != tagFirstPerson+tlv.Tag(len(g.Persons)) {
			dev.note(DevPersonTag)
		}
		var p Person
		if !p.parse(v, &dev) {
			return DG16{}, ErrDG16
		}
		g.Persons = append(g.Persons, p)
	}
	if count != len(g.Persons) {
		dev.note(DevCount)
	}
	g.Deviations = dev
	return g, nil
}

func (p *Person) parse(s tlv.String, dev *deviations) bool {
	e := elements{deviations: *dev}
	required := []tlv.Tag{0x5F50, 0x5F51, 0x5F52, 0x5F53}
	e.known = map[tlv.Tag]func(tlv.String) bool{
		0x5F50: e.date(&p.Recorded),
		0x5F51: e.name(&p.Name, 0),
		0x5F52: e.str(&p.Telephone, 0),
		0x5F53: e.lines(&p.Address, 0),
	}
	present, ok := e.readAll(s)
	for _, tag := range required {
		if ok && !slices.Contains(present, tag) {
			e.note(DevIncomplete)
		}
	}
	p.Rest, *dev = e.rest, e.deviations
	return ok
}
