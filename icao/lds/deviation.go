package lds

import (
	"slices"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/tlv"
)

// Deviations that several files have in common. Those of one file stand with
// its parser.
const (
	DevPadding = "lds: zero bytes behind the file's data object"
	DevLength  = "lds: length in more bytes than needed"
	DevUnknown = "lds: data object that the standard does not know"
	DevTwice   = "lds: data object that is there twice"
	DevCount   = "lds: number of elements is missing or wrong"
	DevValue   = "lds: value that is not of the element's kind"
	DevBCD     = "lds: date in packed decimal digits"
	DevTooLong = "lds: value longer than the standard allows"
	DevControl = "lds: text with control characters"
	DevFiller  = "lds: name with filler characters at an end"
	DevPicture = "lds: picture is neither JPEG nor JPEG 2000"
)

// A Finding is one thing about a file that is not as the standard has it.
type Finding struct {
	File      File
	Deviation string // what the parser tolerated: a constant of this package, face, cms or secinfo
	Err       error  // why the file could not be parsed at all; Deviation is empty then
}

// String names the file and what was found, and nothing of the file's content.
func (f Finding) String() string {
	if f.Err != nil {
		return f.File.Name + ": " + f.Err.Error()
	}
	return f.File.Name + ": " + f.Deviation
}

// Check is the strict mode of every parser of this package: it parses the
// bytes of a whole file and returns whatever is not as the standard has it, in
// the order in which it was met. None means that the file conforms, as far as
// this module reads it: of EF.CardSecurity, DG13, DG3, DG4 and the reserved
// groups that is the outermost data object. The security infos of
// EF.CardAccess and DG14 and the key of DG15 are looked at, but no key is
// tried.
//
// What a site does with a finding is its policy. A reader that wants the data
// calls the parsers themselves, which tolerate what can be tolerated.
func Check(f File, b []byte) []Finding {
	dev, err := check(f, b)
	var found []Finding
	for _, d := range dev {
		found = append(found, Finding{File: f, Deviation: d})
	}
	if err != nil {
		found = append(found, Finding{File: f, Err: err})
	}
	return found
}

func check(f File, b []byte) (dev []string, err error) {
	switch f {
	case EFCOM:
		c, err := ParseCOM(b)
		return c.Deviations, err
	case EFSOD:
		sod, err := ParseSOD(b)
		if err != nil {
			return nil, err
		}
		return sod.Deviations, nil
	case EFATRInfo:
		var d deviations
		_, err := parseATRInfo(b, &d)
		return d, err
	case EFDIR:
		dir, err := ParseDIR(b)
		return dir.Deviations, err
	case EFCardAccess:
		infos, err := secinfo.Parse(b)
		return infos.Deviations, err
	}
	var d deviations
	switch f.DG {
	case 1:
		_, err = parseDG1(b, &d)
	case 2:
		g, err := ParseDG2(b)
		return g.Deviations, err
	case 7:
		g, err := ParseDG7(b)
		return g.Deviations, err
	case 11:
		g, err := ParseDG11(b)
		return g.Deviations, err
	case 12:
		g, err := ParseDG12(b)
		return g.Deviations, err
	case 14:
		v, err := set(b, f, tagSet, &d)
		if err != nil {
			return nil, err
		}
		infos, err := secinfo.Parse(v)
		return append(d, infos.Deviations...), err
	case 15:
		v, err := set(b, f, tagSequence, &d)
		if err == nil {
			_, err = cms.ParsePublicKey(v)
		}
		return d, err
	case 16:
		g, err := ParseDG16(b)
		return g.Deviations, err
	default:
		_, err = content(b, f, &d)
	}
	return d, err
}

// deviations collects what a parser tolerates.
type deviations []string

// note notes a deviation once.
func (d *deviations) note(what string) {
	if !slices.Contains(*d, what) {
		*d = append(*d, what)
	}
}

// read reads the next data object, whatever way its length is encoded. value
// and tag may be nil.
func (d *deviations) read(s, value *tlv.String, tag *tlv.Tag) bool {
	if s.Read(value, tag) {
		return true
	}
	if !s.ReadLenient(value, tag) {
		return false
	}
	d.note(DevLength)
	return true
}

// readTag reads the next data object if it has the tag want.
func (d *deviations) readTag(s, value *tlv.String, want tlv.Tag) bool {
	tag, ok := s.PeekTag()
	return ok && tag == want && d.read(s, value, nil)
}
