package conformitytest

import (
	"encoding/binary"
	"slices"
)

// portrait changes DG2, which is signed again: its header template and the block
// that holds the record.
func (d *document) portrait(change func(header, block *node)) {
	d.t.Helper()
	g := parseNode(d.t, d.Groups[2])
	change(g.find(0xA1), g.find(0x5F, 0x2E))
	d.put(2, g.bytes())
	d.sign(signing{})
}

// A record is a facial record of ISO/IEC 19794-5:2005, 5.3 to 5.7, in its parts.
type record struct {
	header []byte   // 14 bytes: identifier, version, length, number of pictures
	person []byte   // 20 bytes: facial information
	points [][]byte // 8 bytes each
	about  []byte   // 12 bytes: about the picture
	image  []byte
	// keep leaves the lengths as they are, and the number of points.
	keep bool
}

// Places in the parts of a record.
const (
	atVersion   = 4
	atGender    = 6
	atEyes      = 7
	atHair      = 8
	atPose      = 14 // yaw, pitch and roll
	atPoseError = 17
	atImageType = 0
	atDataType  = 1
)

// face changes the record in DG2, which is signed again.
func (d *document) face(change func(r *record)) {
	d.t.Helper()
	d.portrait(func(_, block *node) {
		b := block.val
		n := int(binary.BigEndian.Uint16(b[18:]))
		if n != 0 {
			d.t.Fatal("the portrait has feature points already")
		}
		r := &record{header: slices.Clone(b[:14]), person: slices.Clone(b[14:34]), about: slices.Clone(b[34:46]), image: b[46:]}
		change(r)
		points := slices.Concat(r.points...)
		if !r.keep {
			size := len(r.person) + len(points) + len(r.about) + len(r.image)
			binary.BigEndian.PutUint32(r.header[8:], uint32(len(r.header)+size))
			binary.BigEndian.PutUint32(r.person, uint32(size))
			binary.BigEndian.PutUint16(r.person[4:], uint16(len(r.points)))
		}
		block.val = slices.Concat(r.header, r.person, points, r.about, r.image)
	})
}
