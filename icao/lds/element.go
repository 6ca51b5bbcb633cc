package lds

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/tlv"
)

const redacted = "[redacted]"

// An Element is a data object that was not understood, as the chip has it. Its
// value is personal data and is not printed; it shares memory with the file.
type Element struct {
	Tag   tlv.Tag
	Value []byte
}

// String returns tag and length.
func (e Element) String() string { return fmt.Sprintf("%X of %d bytes", uint32(e.Tag), len(e.Value)) }

// GoString is String.
func (e Element) GoString() string { return e.String() }

// A PersonName is a name that is written as in a machine readable zone, in
// national characters: fillers between the parts, two of them between the
// identifiers. It is personal data.
type PersonName struct {
	Primary   string // words separated by one space
	Secondary string // empty when there is none, or when the issuer does not tell
}

// String returns "[redacted]".
func (n PersonName) String() string { return redacted }

// GoString returns "[redacted]".
func (n PersonName) GoString() string { return redacted }

// A Date is a date as a chip states it. What the issuer does not know is 0,
// each part by itself (Doc 9303-10, 4.7.11.1); the zero Date is no date, or one
// of which nothing is known.
type Date struct {
	Year, Month, Day int
}

// IsZero reports whether nothing of d is known.
func (d Date) IsZero() bool { return d == Date{} }

// String returns the date as YYYYMMDD with zeros for what is not known, and ""
// for the zero Date.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d%02d%02d", d.Year, d.Month, d.Day)
}

// A DateTime is a point in time as a chip states it, without a time zone.
type DateTime struct {
	Date
	Hour, Minute, Second int
}

// String returns the time as YYYYMMDDhhmmss, and "" for the zero DateTime.
func (t DateTime) String() string {
	if t == (DateTime{}) {
		return ""
	}
	return fmt.Sprintf("%04d%02d%02d%02d%02d%02d", t.Year, t.Month, t.Day, t.Hour, t.Minute, t.Second)
}

// Deviations of the list of elements in DG11 and DG12.
const (
	DevTagList    = "lds: list of elements is missing or malformed"
	DevListed     = "lds: element that is listed and absent"
	DevUnlisted   = "lds: element that is present and not listed"
	DevBareNames  = "lds: further names outside their template"
	DevIncomplete = "lds: element that is required is missing"
)

const (
	tagList  tlv.Tag = 0x5C // list of the elements that are there
	tagNames tlv.Tag = 0xA0 // template with further names
)

// Limits of a group of elements: the standard knows fewer than twenty, and
// allows 99 names (Doc 9303-10, table 72).
const (
	maxElements = 64
	maxNames    = 99
)

// maxText is the length of a text that the standard allows; maxCustody that of
// the one that may be longer (Doc 9303-10, table 72).
const (
	maxText    = 99
	maxCustody = 999
)

// elements reads the elements of DG11, DG12 and of a person in DG16.
type elements struct {
	deviations
	rest []Element
	// known takes the value of each element the standard has; false means
	// that it is not what the standard says, and was left alone.
	known map[tlv.Tag]func(tlv.String) bool
	// nested is the tag of the names inside tagNames; 0 when there are none.
	nested tlv.Tag
}

// readAll reads elements up to the end of s and returns their tags, a template of
// names counted as the tag of the names in it.
func (e *elements) readAll(s tlv.String) (present []tlv.Tag, ok bool) {
	for n := 0; !s.Empty(); n++ {
		var v tlv.String
		var tag tlv.Tag
		if n == maxElements || !e.read(&s, &v, &tag) {
			return nil, false
		}
		put, known := e.known[tag]
		element := e.element(tag)
		twice := slices.Contains(present, element)
		problem := ""
		switch {
		case !known:
			problem = DevUnknown
		case twice && (e.nested == 0 || tag != e.nested): // names outside their template repeat
			problem = DevTwice
		case !put(v):
			problem = DevValue
		}
		if problem != "" {
			e.note(problem)
			e.rest = append(e.rest, Element{Tag: tag, Value: v})
		}
		if !twice {
			present = append(present, element)
		}
	}
	return present, true
}

// element maps the template of names to the names: the list of elements names
// either, depending on the issuer.
func (e *elements) element(tag tlv.Tag) tlv.Tag {
	if tag == tagNames && e.nested != 0 {
		return e.nested
	}
	return tag
}

// readListed reads the list of elements and the elements. Only a list or an
// element that cannot be taken apart is a failure.
func (e *elements) readListed(s tlv.String) bool {
	var listed []tlv.Tag
	hasList := false
	if tag, ok := s.PeekTag(); ok && tag == tagList {
		var list tlv.String
		if hasList = e.read(&s, &list, nil); !hasList {
			return false
		}
		for !list.Empty() {
			tag, ok := readTag(&list)
			if !ok || len(listed) == maxElements {
				return false
			}
			if tag = e.element(tag); !slices.Contains(listed, tag) {
				listed = append(listed, tag)
			}
		}
	} else {
		e.note(DevTagList)
	}
	present, ok := e.readAll(s)
	if !ok {
		return false
	}
	for _, tag := range listed {
		if _, known := e.known[tag]; !known {
			e.note(DevUnknown)
		}
		if !slices.Contains(present, tag) {
			e.note(DevListed)
		}
	}
	for _, tag := range present {
		if hasList && !slices.Contains(listed, tag) {
			e.note(DevUnlisted)
		}
	}
	return true
}

// str takes a text as it is, with at most limit bytes by the standard, 0 for
// no limit.
func (e *elements) str(out *string, limit int) func(tlv.String) bool {
	return func(v tlv.String) bool {
		s, ok := e.utf8(v, limit)
		*out = s
		return ok
	}
}

// text takes a text whose words may be separated by fillers.
func (e *elements) text(out *string, limit int) func(tlv.String) bool {
	return func(v tlv.String) bool {
		s, ok := e.utf8(v, limit)
		*out = words(s)
		return ok
	}
}

// lines takes the parts of a text that fillers separate. Empty ones are left out.
func (e *elements) lines(out *[]string, limit int) func(tlv.String) bool {
	return func(v tlv.String) bool {
		s, ok := e.utf8(v, limit)
		for part := range strings.SplitSeq(s, "<") {
			if part = strings.TrimSpace(part); part != "" {
				*out = append(*out, part)
			}
		}
		return ok
	}
}

// name takes a name.
func (e *elements) name(out *PersonName, limit int) func(tlv.String) bool {
	return func(v tlv.String) bool {
		s, ok := e.utf8(v, limit)
		if !ok {
			return false
		}
		if strings.HasPrefix(s, "<") || strings.HasSuffix(s, "<") {
			e.note(DevFiller)
			s = strings.Trim(s, "<")
		}
		primary, secondary, _ := strings.Cut(s, "<<")
		n := PersonName{Primary: words(primary), Secondary: words(secondary)}
		if n.Primary == "" { // what stood before the only part was nothing
			n = PersonName{Primary: n.Secondary}
		}
		if n == (PersonName{}) {
			return false
		}
		*out = n
		return true
	}
}

// names takes the template of further names: their number, and the names.
func (e *elements) names(out *[]PersonName) func(tlv.String) bool {
	return func(s tlv.String) bool {
		count, ok := e.count(&s)
		if !ok {
			return false
		}
		var names []PersonName
		for !s.Empty() {
			var v tlv.String
			var n PersonName
			if len(names) == maxNames || !e.readTag(&s, &v, e.nested) || !e.name(&n, maxText)(v) {
				return false
			}
			names = append(names, n)
		}
		if count != len(names) {
			e.note(DevCount)
		}
		*out = append(*out, names...)
		return true
	}
}

// bareName takes a further name that is not in the template, as some issuers
// write them.
func (e *elements) bareName(out *[]PersonName) func(tlv.String) bool {
	return func(v tlv.String) bool {
		e.note(DevBareNames)
		var n PersonName
		if !e.name(&n, maxText)(v) {
			return false
		}
		*out = append(*out, n)
		return true
	}
}

// count reads the number that stands before repeated data objects, -1 when it
// is not there or is no number. It is false only for a malformed data object.
func (d *deviations) count(s *tlv.String) (int, bool) {
	if tag, ok := s.PeekTag(); !ok || tag != tagCount {
		return -1, true
	}
	var v tlv.String
	if !d.read(s, &v, nil) {
		return 0, false
	}
	if len(v) != 1 {
		return -1, true
	}
	return int(v[0]), true
}

// date takes a date in eight digits or, as older documents have it, four
// packed bytes (Doc 9303-10, 4.7.12).
func (e *elements) date(out *Date) func(tlv.String) bool {
	return func(v tlv.String) bool {
		d, ok := e.digits(v, 8)
		if !ok {
			return false
		}
		*out, ok = date(d)
		return ok
	}
}

// dateTime takes a date and a time in fourteen digits or seven packed bytes.
func (e *elements) dateTime(out *DateTime) func(tlv.String) bool {
	return func(v tlv.String) bool {
		d, ok := e.digits(v, 14)
		if !ok {
			return false
		}
		day, ok := date(d[:8])
		t := DateTime{Date: day, Hour: value(d[8:10]), Minute: value(d[10:12]), Second: value(d[12:14])}
		if !ok || t.Hour > 23 || t.Minute > 59 || t.Second > 60 {
			return false
		}
		*out = t
		return true
	}
}

// picture takes a picture, of a kind that may be shown later or not.
func (e *elements) picture(out *face.Image) func(tlv.String) bool {
	return func(v tlv.String) bool {
		if v.Empty() {
			return false
		}
		img, known := picture(v)
		if !known {
			e.note(DevPicture)
		}
		*out = img
		return true
	}
}

func picture(b []byte) (img face.Image, known bool) {
	img = face.Image{Codec: face.Detect(b), Data: b}
	return img, img.Codec != face.Unknown
}

// digits returns the n digits that v has as characters or packed.
func (e *elements) digits(v tlv.String, n int) (string, bool) {
	if len(v) == n && digits(v) {
		return string(v), true
	}
	if len(v) != n/2 {
		return "", false
	}
	d := make([]byte, 0, n)
	for _, c := range v {
		d = append(d, '0'+c>>4, '0'+c&0xF)
	}
	if !digits(d) {
		return "", false
	}
	e.note(DevBCD)
	return string(d), true
}

// date reads eight digits. A month or day that there is not is refused.
func date(d string) (Date, bool) {
	t := Date{Year: value(d[:4]), Month: value(d[4:6]), Day: value(d[6:8])}
	if t.Month > 12 || t.Day > days(t.Year, t.Month) {
		return Date{}, false
	}
	return t, true
}

// days returns the most days that a month has; any may be 0 for not known.
func days(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 != 0 || year%100 == 0 && year%400 != 0 {
			return 28
		}
		return 29
	}
	return 31
}

// value returns the number that digits stand for.
func value(digits string) int {
	n := 0
	for _, c := range []byte(digits) {
		n = n*10 + int(c-'0')
	}
	return n
}

// utf8 returns the text of v, with spaces in the place of control characters.
// False means that v is in another encoding, which the chip does not name.
func (e *elements) utf8(v tlv.String, limit int) (string, bool) {
	if !utf8.Valid(v) {
		return "", false
	}
	if limit != 0 && len(v) > limit {
		e.note(DevTooLong)
	}
	s := string(v)
	if strings.ContainsFunc(s, unicode.IsControl) {
		e.note(DevControl)
		s = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, s)
	}
	return s, true
}

// words turns fillers into spaces and leaves one between two words.
func words(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "<", " ")), " ")
}
