package lds

import (
	"errors"
	"slices"

	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrCOM reports an EF.COM whose data objects are not those of the standard.
var ErrCOM = errors.New("lds: malformed EF.COM")

// COM is the content of EF.COM: which files the issuer says are there. It is
// not signed, so nothing may be decided by it; EF.SOD has the signed list.
type COM struct {
	LDSVersion     string    // "0107" for version 1.7
	UnicodeVersion string    // "040000" for version 4.0.0
	Tags           []tlv.Tag // as listed, known or not
	// Deviations lists what does not follow the standard and was tolerated.
	Deviations []string
}

// Deviations of EF.COM.
const (
	DevLDSVersion     = "lds: version of the LDS that is not known"
	DevUnicodeVersion = "lds: version of Unicode that is not known"
	DevCOMList        = "lds: list of data groups has a tag that is unknown or twice"
	DevCOMMandatory   = "lds: list of data groups lacks a required one"
)

// Versions that are in order: 1.7 and 1.8 of Doc 9303-10, 1.6 of the example in
// Doc 9303-11, Appendix D.4, and minor versions to come, which change nothing that
// is read here (Doc 9303-10, 4.6.1.1; BSI TR-03105-5.1, LDS_A_04 and LDS_H_89).
// Each goes with Unicode 4.0.0.
const (
	ldsMajor       = "01"
	ldsMinor       = "06" // or later
	unicodeVersion = "040000"
)

// DataGroups returns the numbers of the data groups that are listed, in the
// order of the list; tags of no data group are left out.
func (c COM) DataGroups() []int {
	var groups []int
	for _, tag := range c.Tags {
		if f, ok := ByTag(tag); ok && f.DG != 0 {
			groups = append(groups, f.DG)
		}
	}
	return groups
}

// maxComTags is far above the 18 tags that have a meaning.
const maxComTags = 64

// ParseCOM parses EF.COM (Doc 9303-10, 4.6.1). The COM is zero on error.
func ParseCOM(b []byte) (COM, error) {
	var dev deviations
	s, err := content(b, EFCOM, &dev)
	if err != nil {
		return COM{}, err
	}
	var version, unicode, list tlv.String
	if !s.ReadTag(&version, 0x5F01) || !s.ReadTag(&unicode, 0x5F36) || !s.ReadTag(&list, 0x5C) || !s.Empty() {
		return COM{}, ErrCOM
	}
	if len(version) != 4 || len(unicode) != 6 || !digits(version) || !digits(unicode) {
		return COM{}, ErrCOM
	}
	c := COM{LDSVersion: string(version), UnicodeVersion: string(unicode)}
	for !list.Empty() {
		tag, ok := readTag(&list)
		if !ok || len(c.Tags) == maxComTags {
			return COM{}, ErrCOM
		}
		if f, known := ByTag(tag); !known || f.DG == 0 || slices.Contains(c.Tags, tag) {
			dev.note(DevCOMList)
		}
		c.Tags = append(c.Tags, tag)
	}
	if c.LDSVersion[:2] != ldsMajor || c.LDSVersion[2:] < ldsMinor {
		dev.note(DevLDSVersion)
	}
	if c.UnicodeVersion != unicodeVersion {
		dev.note(DevUnicodeVersion)
	}
	for _, dg := range []int{1, 2} {
		if f, _ := DataGroup(dg); !slices.Contains(c.Tags, f.Tag) {
			dev.note(DevCOMMandatory)
		}
	}
	c.Deviations = dev
	return c, nil
}

// readTag reads a tag that stands alone, without a length.
func readTag(s *tlv.String) (tlv.Tag, bool) {
	tag, ok := s.PeekTag()
	if !ok {
		return 0, false
	}
	n := 1
	for t := tag >> 8; t != 0; t >>= 8 {
		n++
	}
	return tag, s.Skip(n)
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
