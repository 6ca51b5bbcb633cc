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
	DevFormatType  = "lds: format type of a face is not 0008"
	DevFaceSkipped = "lds: a face could not be read"
)

// Tags of DG2 (Doc 9303-10, table 44).
const (
	tagGroup       tlv.Tag = 0x7F61
	tagCount       tlv.Tag = 0x02
	tagTemplate    tlv.Tag = 0x7F60
	tagHeader      tlv.Tag = 0xA1
	tagFormatOwner tlv.Tag = 0x87
	tagFormatType  tlv.Tag = 0x88
	tagBlock       tlv.Tag = 0x5F2E
	tagBlockNested tlv.Tag = 0x7F2E
)

// maxFaces is the most that the standard allows (Doc 9303-10, table 45).
const maxFaces = 9

// ParseDG2 parses DG2 (Doc 9303-10, 4.7.2). A face that cannot be read is
// skipped when another can; if none can, the error is that of the first, and
// errors.Is tells [face.ErrFormat] (a format that is not read yet) and
// [face.ErrEmpty] from a malformed file. The DG2 is zero on error. Pictures
// share their memory with b.
func ParseDG2(b []byte) (DG2, error) {
	f, _ := DataGroup(2)
	s, err := content(b, f)
	if err != nil {
		return DG2{}, err
	}
	var group tlv.String
	if !readAs(&s, &group, tagGroup) || !s.Empty() {
		return DG2{}, ErrDG2
	}
	var d DG2
	counted := -1
	if tag, ok := group.PeekTag(); ok && tag == tagCount {
		var v tlv.String
		if !readAs(&group, &v, tagCount) {
			return DG2{}, ErrDG2
		}
		if len(v) == 1 {
			counted = int(v[0])
		}
	}
	var first error
	templates := 0
	for ; !group.Empty(); templates++ {
		var template tlv.String
		if templates == maxFaces || !readAs(&group, &template, tagTemplate) {
			return DG2{}, ErrDG2
		}
		record, err := d.readTemplate(template)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		d.Faces = append(d.Faces, record)
		for _, dev := range record.Deviations {
			d.deviate(dev)
		}
	}
	if len(d.Faces) == 0 {
		if first == nil {
			first = face.ErrEmpty
		}
		return DG2{}, first
	}
	if first != nil {
		d.deviate(DevFaceSkipped)
	}
	if counted != templates {
		d.deviate(DevFaceCount)
	}
	return d, nil
}

// readTemplate reads one biometric information template.
func (d *DG2) readTemplate(s tlv.String) (face.Record, error) {
	if tag, ok := s.PeekTag(); ok && tag == tagHeader {
		var header tlv.String
		if !readAs(&s, &header, tagHeader) {
			return face.Record{}, ErrDG2
		}
		d.checkHeader(header)
	} else {
		d.deviate(DevFaceHeader)
	}
	if s.Empty() {
		return face.Record{}, face.ErrEmpty
	}
	var block tlv.String
	var tag tlv.Tag
	if !s.ReadLenient(&block, &tag) || !s.Empty() {
		return face.Record{}, ErrDG2
	}
	switch tag {
	case tagBlock:
		return face.Parse(block)
	case tagBlockNested:
		// ISO/IEC 39794-5 (Doc 9303-10, 4.5.6), unless an issuer used the tag
		// for a record of the old kind, as earlier editions allowed.
		record, err := face.Parse(block)
		if errors.Is(err, face.ErrRecord) && nested39794(block) {
			err = face.ErrFormat
		}
		return record, err
	}
	return face.Record{}, ErrDG2
}

// nested39794 reports whether a data block has the outer structure that
// ISO/IEC 39794 records have in DG2 (Doc 9303-10, 4.5.6, table 2).
func nested39794(s tlv.String) bool {
	var v tlv.String
	if !readAs(&s, &v, 0xA1) {
		return false
	}
	tag, ok := v.PeekTag()
	return ok && tag == 0x65
}

// checkHeader looks at the two elements of the header that are required; the
// others say nothing that a reader needs.
func (d *DG2) checkHeader(s tlv.String) {
	var owner, typ tlv.String
	for !s.Empty() {
		var v tlv.String
		var tag tlv.Tag
		if !s.ReadLenient(&v, &tag) {
			d.deviate(DevFaceHeader)
			return
		}
		switch tag {
		case tagFormatOwner:
			owner = v
		case tagFormatType:
			typ = v
		}
	}
	// ISO/IEC JTC 1/SC 37 and its facial record (Doc 9303-10, A.3).
	if string(owner) != "\x01\x01" {
		d.deviate(DevFormatOwner)
	}
	if string(typ) != "\x00\x08" {
		d.deviate(DevFormatType)
	}
}

// deviate notes a deviation once.
func (d *DG2) deviate(what string) {
	for _, have := range d.Deviations {
		if have == what {
			return
		}
	}
	d.Deviations = append(d.Deviations, what)
}

// readAs reads an object with the given tag, whatever way its length is
// encoded: pictures of some issuers have lengths of a fixed number of bytes.
func readAs(s *tlv.String, value *tlv.String, want tlv.Tag) bool {
	rest := *s
	var tag tlv.Tag
	if !rest.ReadLenient(value, &tag) || tag != want {
		return false
	}
	*s = rest
	return true
}
