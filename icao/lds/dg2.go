package lds

import (
	"errors"

	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrDG2 reports a DG2 whose templates cannot be taken apart.
var ErrDG2 = errors.New("lds: malformed DG2")

// DG2 is the face of the holder as the chip has it.
type DG2 struct {
	Faces []face.Record // at least one, each with at least one picture
	// Deviations lists what does not follow the standard and was tolerated,
	// here and in the records.
	Deviations []string
}

// Portrait returns the first picture, which the standard wants to be the best
// understood one (Doc 9303-10, 4.7.2.1).
func (d DG2) Portrait() (face.Image, bool) {
	for _, f := range d.Faces {
		for _, img := range f.Images {
			return img, true
		}
	}
	return face.Image{}, false
}

// Deviations of a [DG2].
const (
	DevFaceCount   = "lds: number of faces is missing or wrong"
	DevFaceHeader  = "lds: biometric header template is missing or malformed"
	DevFormatOwner = "lds: format owner of a face is not 0101"
	DevFormatType  = "lds: format type of a face is not that of its record"
	DevFaceSkipped = "lds: a face could not be read"

	DevBiometricType = "lds: biometric type of a face is not facial features"
	DevBlockTag      = "lds: tag of a biometric data block is not that of its record"
)

// Tags of DG2 (Doc 9303-10, table 44).
const (
	tagGroup         tlv.Tag = 0x7F61
	tagCount         tlv.Tag = 0x02
	tagTemplate      tlv.Tag = 0x7F60
	tagHeader        tlv.Tag = 0xA1
	tagBiometricType tlv.Tag = 0x81
	tagFormatOwner   tlv.Tag = 0x87
	tagFormatType    tlv.Tag = 0x88
	tagBlock         tlv.Tag = 0x5F2E
	tagBlockNested   tlv.Tag = 0x7F2E
)

// maxFaces is the most that the standard allows (Doc 9303-10, table 45).
const maxFaces = 9

// ParseDG2 parses DG2 (Doc 9303-10, 4.7.2). A face that cannot be read is
// skipped when another can; if none can, the error is that of the first, and
// errors.Is tells [face.ErrFormat] (a kind of record that is not read) and
// [face.ErrEmpty] from a malformed file. The DG2 is zero on error. Pictures
// share their memory with b.
func ParseDG2(b []byte) (DG2, error) {
	var d DG2
	var dev deviations
	f, _ := DataGroup(2)
	s, err := content(b, f, &dev)
	if err != nil {
		return DG2{}, err
	}
	var group tlv.String
	if !dev.readTag(&s, &group, tagGroup) || !s.Empty() {
		return DG2{}, ErrDG2
	}
	counted, ok := dev.count(&group)
	if !ok {
		return DG2{}, ErrDG2
	}
	var first error
	templates := 0
	for ; !group.Empty(); templates++ {
		var template tlv.String
		if templates == maxFaces || !dev.readTag(&group, &template, tagTemplate) {
			return DG2{}, ErrDG2
		}
		record, err := readTemplate(template, &dev)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		d.Faces = append(d.Faces, record)
		for _, what := range record.Deviations {
			dev.note(what)
		}
	}
	if len(d.Faces) == 0 {
		if first == nil {
			first = face.ErrEmpty
		}
		return DG2{}, first
	}
	if first != nil {
		dev.note(DevFaceSkipped)
	}
	if counted != templates {
		dev.note(DevFaceCount)
	}
	d.Deviations = dev
	return d, nil
}

// readTemplate reads one biometric information template.
func readTemplate(s tlv.String, dev *deviations) (face.Record, error) {
	var header tlv.String
	hasHeader := false
	if tag, ok := s.PeekTag(); ok && tag == tagHeader {
		if hasHeader = dev.read(&s, &header, nil); !hasHeader {
			return face.Record{}, ErrDG2
		}
	}
	if s.Empty() {
		return face.Record{}, face.ErrEmpty
	}
	var block tlv.String
	var tag tlv.Tag
	if !dev.read(&s, &block, &tag) || !s.Empty() {
		return face.Record{}, ErrDG2
	}
	if tag != tagBlock && tag != tagBlockNested {
		return face.Record{}, ErrDG2
	}
	record, err := face.Parse(block)
	if err != nil {
		return face.Record{}, err
	}
	// The tag says which standard the record follows, by the text of today; the
	// record itself knows better (Doc 9303-10, 4.5.6, table 1).
	if (tag == tagBlockNested) != (record.Standard == face.ISO39794) {
		dev.note(DevBlockTag)
	}
	if hasHeader {
		checkHeader(header, record.Standard, dev)
	} else {
		dev.note(DevFaceHeader)
	}
	return record, nil
}

// Elements of the header by which a face is known (Doc 9303-10, A.3):
// ISO/IEC JTC 1/SC 37, its facial records of 2005 and of 2019, and the type of
// biometrics.
const (
	formatOwner    = "\x01\x01"
	formatType     = "\x00\x08"
	formatType2019 = "\x00\x2A"
	typeFacial     = "\x02"
)

// checkHeader looks at the elements of the header that say what the block is.
// The others say nothing that a reader needs.
func checkHeader(s tlv.String, standard face.Standard, dev *deviations) {
	var owner, format, biometric tlv.String
	hasType := false
	for !s.Empty() {
		var v tlv.String
		var tag tlv.Tag
		if !dev.read(&s, &v, &tag) {
			dev.note(DevFaceHeader)
			return
		}
		switch tag {
		case tagFormatOwner:
			owner = v
		case tagFormatType:
			format = v
		case tagBiometricType:
			biometric, hasType = v, true
		}
	}
	want := formatType
	if standard == face.ISO39794 {
		want = formatType2019
	}
	if string(owner) != formatOwner {
		dev.note(DevFormatOwner)
	}
	if string(format) != want {
		dev.note(DevFormatType)
	}
	if hasType && string(biometric) != typeFacial {
		dev.note(DevBiometricType)
	}
}
