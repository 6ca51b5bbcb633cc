package lds

import (
	"errors"

	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrDG7 reports a DG7 that cannot be taken apart or has no picture.
var ErrDG7 = errors.New("lds: malformed DG7")

// DG7 is the signature or usual mark of the holder, as displayed on the
// document.
type DG7 struct {
	// Images has at least one picture. The chip says nothing of their size;
	// they share memory with the file.
	Images     []face.Image
	Deviations []string
}

const (
	tagSignature tlv.Tag = 0x5F43

	// maxSignatures is the most that the standard allows (Doc 9303-10, table 64).
	maxSignatures = 9
)

// ParseDG7 parses DG7 (Doc 9303-10, 4.7.7). A picture of an unknown kind is
// kept and noted. The DG7 is zero on error.
func ParseDG7(b []byte) (DG7, error) {
	var g DG7
	var dev deviations
	f, _ := DataGroup(7)
	s, err := content(b, f, &dev)
	if err != nil {
		return DG7{}, err
	}
	count, ok := dev.count(&s)
	if !ok {
		return DG7{}, ErrDG7
	}
	for !s.Empty() {
		var v tlv.String
		var tag tlv.Tag
		if !dev.read(&s, &v, &tag) {
			return DG7{}, ErrDG7
		}
		switch {
		case tag != tagSignature:
			dev.note(DevUnknown)
			continue
		case len(g.Images) == maxSignatures:
			return DG7{}, ErrDG7
		case v.Empty():
			dev.note(DevValue)
			continue
		}
		img, known := picture(v)
		if !known {
			dev.note(DevPicture)
		}
		g.Images = append(g.Images, img)
	}
	if len(g.Images) == 0 {
		return DG7{}, ErrDG7
	}
	if count != len(g.Images) {
		dev.note(DevCount)
	}
	g.Deviations = dev
	return g, nil
}
