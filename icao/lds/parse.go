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
func content(b []byte, f File) (tlv.String, error) {
	s := tlv.String(b)
	var v tlv.String
	var tag tlv.Tag
	if !s.ReadLenient(&v, &tag) || tag != f.Tag {
		return nil, ErrTemplate
	}
	for _, c := range s {
		if c != 0 {
			return nil, ErrTemplate
		}
	}
	return v, nil
}

// ParseDG13 returns what issuer-specific bytes DG13 holds (Doc 9303-10,
// 4.7.13), sharing memory with b. icao/vn knows Vietnam's.
func ParseDG13(b []byte) ([]byte, error) { return raw(b, 13) }

// ParseDG14 returns the SecurityInfos that DG14 holds (Doc 9303-10, 4.7.14),
// sharing memory with b. icao/secinfo takes them apart.
func ParseDG14(b []byte) ([]byte, error) { return set(b, 14, 0x31) }

// ParseDG15 returns the SubjectPublicKeyInfo that DG15 holds (Doc 9303-11,
// 6.1.5), sharing memory with b. icao/cms and icao/activeauth take it apart.
func ParseDG15(b []byte) ([]byte, error) { return set(b, 15, 0x30) }

func raw(b []byte, n int) ([]byte, error) {
	f, _ := DataGroup(n)
	v, err := content(b, f)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// set returns the content of data group n, which is one object with the given
// tag.
func set(b []byte, n int, want tlv.Tag) ([]byte, error) {
	v, err := raw(b, n)
	if err != nil {
		return nil, err
	}
	s := tlv.String(v)
	var tag tlv.Tag
	if !s.ReadLenient(nil, &tag) || tag != want || !s.Empty() {
		return nil, ErrTemplate
	}
	return v, nil
}
