package lds

import (
	"errors"

	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrTemplate reports bytes that are not one data object with the tag of the
// file: another tag, a length that does not fit, or something behind it.
var ErrTemplate = errors.New("lds: malformed file")

// content returns the value of the data object that is the file. Zero bytes
// behind it are padding that some cards send; anything else is refused.
func content(b []byte, f File, dev *deviations) (tlv.String, error) {
	s := tlv.String(b)
	var v tlv.String
	if !dev.readTag(&s, &v, f.Tag) {
		return nil, ErrTemplate
	}
	for _, c := range s {
		if c != 0 {
			return nil, ErrTemplate
		}
		dev.note(DevPadding)
	}
	return v, nil
}

const (
	tagSequence tlv.Tag = 0x30
	tagSet      tlv.Tag = 0x31
)

// ParseDG13 returns what issuer-specific bytes DG13 holds (Doc 9303-10,
// 4.7.13), sharing memory with b. icao/vn knows Vietnam's.
func ParseDG13(b []byte) ([]byte, error) {
	f, _ := DataGroup(13)
	v, err := content(b, f, new(deviations))
	if err != nil {
		return nil, err
	}
	return v, nil
}

// ParseDG14 returns the SecurityInfos that DG14 holds (Doc 9303-10, 4.7.14),
// sharing memory with b. icao/secinfo takes them apart.
func ParseDG14(b []byte) ([]byte, error) {
	f, _ := DataGroup(14)
	return set(b, f, tagSet, new(deviations))
}

// ParseDG15 returns the SubjectPublicKeyInfo that DG15 holds (Doc 9303-11,
// 6.1.5), sharing memory with b. icao/cms and icao/activeauth take it apart.
func ParseDG15(b []byte) ([]byte, error) {
	f, _ := DataGroup(15)
	return set(b, f, tagSequence, new(deviations))
}

// set returns the content of a data group, which is one object with the given
// tag.
func set(b []byte, f File, want tlv.Tag, dev *deviations) ([]byte, error) {
	v, err := content(b, f, dev)
	if err != nil {
		return nil, err
	}
	s := v
	if !dev.readTag(&s, nil, want) || !s.Empty() {
		return nil, ErrTemplate
	}
	return v, nil
}
