package contract

import (
	"encoding/base64"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits.
const (
	// MaxVisit is the most bytes an encoded visit may have: a real one has
	// about five thousand, and a NATS server takes a million.
	MaxVisit = 96 << 10
	// MaxDG14 is the most bytes that DG14 may have in a visit: real ones have a few
	// hundred, or a few thousand where they list many keys.
	MaxDG14 = 16 << 10
	// MaxMessage is the most bytes that any other message may have.
	MaxMessage = 8 << 10
	// MaxPart is the most bytes a part of a bundle may have: it goes into one NATS
	// message, in which a slow link is not busy for long.
	MaxPart = 256 << 10
	// MaxManifest is the most bytes a bundle's manifest may have.
	MaxManifest = 64 << 10
	// MaxBundle is the most bytes all parts of a bundle may have: a hundred
	// thousand people.
	MaxBundle = 48 << 20
	maxParts  = 512
	// maxDepth is the deepest nesting: a message needs four levels.
	maxDepth = 8
)

// format is the rule for one kind of value. Exactly one of pattern, maxBytes
// and maxInt (with minInt) or maxItems is set.
type format struct {
	pattern  string            // strings: a regular expression that means the same to RE2 and ECMA-262
	also     func(string) bool // strings: what a pattern cannot say
	minBytes int               // byte slices
	maxBytes int               //
	minInt   int64             // numbers
	maxInt   int64             //
	maxItems int               // slices
	about    string            // for the reader of the schema
}

// text is anything that a person may read: no control characters, no bidirectional
// overrides (they make a name read as another one), no replacement character (it
// stands where something was lost).
const text = `[^\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffd]`

// formats names every rule. A struct field refers to one by its tag `is`.
var formats = map[string]*format{
	"version":  {minInt: Version, maxInt: Version},
	"millis":   {minInt: 0, maxInt: 86_400_000},
	"count":    {minInt: 0, maxInt: math.MaxInt32},
	"serial":   {minInt: 0, maxInt: math.MaxInt64 >> 11}, // what a JavaScript number holds
	"part":     {minInt: 0, maxInt: maxParts - 1},
	"partSize": {minInt: 1, maxInt: MaxPart},
	"parts":    {maxItems: maxParts},
	"people":   {maxItems: 4096},
	"pieces":   {maxItems: 4096},
	"checks":   {maxItems: 64},
	"findings": {maxItems: 16},

	"uuid7":    {pattern: `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, about: "UUID version 7"},
	"facility": {pattern: `^[0-9A-Za-z_-]{1,32}$`, about: "facility code"},
	"agent": {
		pattern: `^U[A-Z2-7]{55}$`, about: "public NATS user nkey",
		also: func(s string) bool { return CheckAgent(s) == nil },
	},
	"date": {
		pattern: `^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?$`, about: "date; day, or month and day, may be unknown",
		also: func(s string) bool { return Date(s).Valid() },
	},
	"text64":          {pattern: `^` + text + `{1,64}$`},
	"text128":         {pattern: `^` + text + `{1,128}$`},
	"release":         {pattern: `^[0-9A-Za-z(][0-9A-Za-z.+_()/-]{0,63}$`, about: "version or revision of a program"},
	"number":          {pattern: `^[0-9A-Z]{1,20}$`, about: "personal identification number"},
	"document":        {pattern: `^[0-9A-Z]([0-9A-Z<]{0,20}[0-9A-Z])?$`, about: "document number; a filler stands for a character that an MRZ cannot have"},
	"country":         {pattern: `^[A-Z]{1,3}$`, about: "code as in an MRZ"},
	"insuranceNumber": {pattern: `^([A-Z]{2}[0-9]{13}|[0-9]{10})$`, about: "health insurance card number"},
	"resultCode":      {pattern: `^[0-9]{3}$`, about: "result code of the insurer"},
	"benefit":         {pattern: `^[1-9]$`, about: "benefit level"},
	"area":            {pattern: `^[0-9A-Z]{1,4}$`, about: "living area code"},
	"checkID":         {pattern: `^[a-z][a-z0-9_.-]{0,63}$`},
	"reason":          {pattern: `^[a-z][a-z0-9_]{0,63}$`},
	"algorithm":       {pattern: `^[ -~]{1,96}$`},
	"nonceID":         {pattern: `^[0-9A-Za-z_-]{1,64}$`},

	"sod":   {minBytes: 1, maxBytes: 32 << 10, about: "EF.SOD"},
	"dg1":   {minBytes: 1, maxBytes: 1 << 10, about: "EF.DG1"},
	"dg14":  {minBytes: 1, maxBytes: MaxDG14, about: "EF.DG14"},
	"dg15":  {minBytes: 1, maxBytes: 4 << 10, about: "EF.DG15"},
	"sig":   {minBytes: 1, maxBytes: 1 << 10, about: "signature of the chip"},
	"nonce": {minBytes: 16, maxBytes: 64},

	"sha256": {minBytes: 32, maxBytes: 32},
	"der":    {minBytes: 1, maxBytes: 160 << 10, about: "certificate or revocation list"},

	"enrolCode": {
		pattern: `^([0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]{4}$`, about: "one-time enrolment code",
		also: func(s string) bool { _, err := ParseEnrolCode(s); return err == nil },
	},
	"curve":     {pattern: `^X[A-Z2-7]{55}$`, about: "public NATS curve nkey"},
	"jwt":       {pattern: `^[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+$`, about: "JWT of a NATS user"},
	"servers":   {maxItems: 16},
	"serverURL": {pattern: `^(tls|nats)://[0-9A-Za-z.:\[\]-]{1,255}$`, about: "address of a NATS server"},
}

// Rules for types that have the same form wherever they appear.
var (
	timeFormat   = &format{pattern: `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?Z$`, about: "UTC"}
	rndIFDFormat = &format{pattern: `^[0-9a-f]{16}$`, about: "RND.IFD"}
	base64Format = &format{pattern: `^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`}
)

var compiled = func() map[string]*regexp.Regexp {
	m := make(map[string]*regexp.Regexp)
	for _, f := range formats {
		if f.pattern != "" {
			m[f.pattern] = compile(f.pattern)
		}
	}
	for _, f := range []*format{timeFormat, rndIFDFormat, base64Format} {
		m[f.pattern] = compile(f.pattern)
	}
	return m
}()

var unicodeEscape = regexp.MustCompile(`\\u([0-9a-f]{4})`)

// compile turns an ECMA-262 pattern into Go's, which writes a code point in
// another way.
func compile(pattern string) *regexp.Regexp {
	return regexp.MustCompile(unicodeEscape.ReplaceAllString(pattern, `\x{$1}`))
}

func (f *format) matches(s string) bool {
	return utf8.ValidString(s) && compiled[f.pattern].MatchString(s) && (f.also == nil || f.also(s))
}

// check applies a named string format.
func check(name, field, s string) error {
	if !formats[name].matches(s) {
		return fail(Invalid, field)
	}
	return nil
}

// enumerated is a string type with a closed set of values.
type enumerated interface{ values() []string }

// member is one member of a message type.
type member struct {
	name     string
	index    int
	typ      reflect.Type
	required bool
	format   *format // nil: none beyond the type
}

var (
	timeType    = reflect.TypeFor[time.Time]()
	rndIFDType  = reflect.TypeFor[RNDIFD]()
	bytesType   = reflect.TypeFor[[]byte]()
	messageType = map[string]reflect.Type{
		"visit":           reflect.TypeFor[Visit](),
		"lookup-request":  reflect.TypeFor[LookupRequest](),
		"lookup-response": reflect.TypeFor[LookupResponse](),
		"nonce":           reflect.TypeFor[Nonce](),
		"status":          reflect.TypeFor[Status](),
		"verdict":         reflect.TypeFor[Verdict](),
		"bundle":          reflect.TypeFor[Bundle](),
		"bundle-request":  reflect.TypeFor[BundleRequest](),
		"population-part": reflect.TypeFor[PopulationPart](),
		"trust-part":      reflect.TypeFor[TrustPart](),
		"enrol-request":   reflect.TypeFor[EnrolRequest](),
		"enrol-answer":    reflect.TypeFor[EnrolAnswer](),
	}
	// members holds the members of every struct type that occurs in a message.
	// It is complete after initialisation and only read from then on.
	members = func() map[reflect.Type][]member {
		m := make(map[reflect.Type][]member)
		for _, t := range messageType {
			collect(m, t)
		}
		return m
	}()
)

func collect(m map[reflect.Type][]member, t reflect.Type) {
	switch {
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice:
		collect(m, t.Elem())
		return
	case t.Kind() != reflect.Struct, t == timeType, m[t] != nil:
		return
	}
	var list []member
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		list = append(list, member{
			name: name, index: i, typ: f.Type,
			required: !strings.Contains(options, "omit"),
			format:   formats[f.Tag.Get("is")],
		})
	}
	m[t] = list
	for _, f := range list {
		collect(m, f.typ)
	}
}

// valid applies the rules to a value and everything in it. path is the value's
// place in the message.
func valid(v reflect.Value, path string) error {
	for _, f := range members[v.Type()] {
		if err := validMember(v.Field(f.index), &f, join(path, f.name)); err != nil {
			return err
		}
	}
	return nil
}

func validMember(v reflect.Value, f *member, path string) error {
	if v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
		switch {
		case !f.required:
			return nil
		case v.Kind() == reflect.String, v.Kind() == reflect.Slice, v.Type() == timeType:
			return fail(Missing, path)
		}
	}
	switch v.Kind() {
	case reflect.Bool, reflect.Array:
		return nil
	case reflect.Int, reflect.Int64:
		if f.name == "version" && v.Int() != Version {
			return fail(UnsupportedVersion, path)
		}
		if v.Int() < f.format.minInt || v.Int() > f.format.maxInt {
			return fail(Invalid, path)
		}
		return nil
	case reflect.String:
		return validString(v, f.format, path)
	case reflect.Pointer:
		return valid(v.Elem(), path)
	case reflect.Slice:
		return validSlice(v, f.format, path)
	}
	if v.Type() == timeType {
		return validTime(v.Interface().(time.Time), path)
	}
	return valid(v, path)
}

func validString(v reflect.Value, f *format, path string) error {
	if e, ok := v.Interface().(enumerated); ok {
		for _, s := range e.values() {
			if s == v.String() {
				return nil
			}
		}
		return fail(Invalid, path)
	}
	if !f.matches(v.String()) {
		return fail(Invalid, path)
	}
	return nil
}

func validSlice(v reflect.Value, f *format, path string) error {
	if v.Type() == bytesType {
		if n := v.Len(); n < f.minBytes || n > f.maxBytes {
			return fail(Invalid, path)
		}
		return nil
	}
	if v.Len() > f.maxItems {
		return fail(Invalid, path)
	}
	for i := range v.Len() {
		at := path + "[" + strconv.Itoa(i) + "]"
		var err error
		if e := v.Index(i); e.Kind() == reflect.String {
			err = validString(e, nil, at)
		} else {
			err = valid(e, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func validTime(t time.Time, path string) error {
	if _, offset := t.Zone(); offset != 0 || t.Nanosecond()%int(time.Millisecond) != 0 || t.Year() < 1 || t.Year() > 9999 {
		return fail(Invalid, path)
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// base64Len returns the characters that n bytes take.
func base64Len(n int) int { return base64.StdEncoding.EncodedLen(n) }
