// Package i18n is the words of the desk: Vietnamese first, English beside it.
//
// Every sentence that the desk shows stands in this package, once per language, so
// that a reader of Vietnamese can go through it without reading code. What the agent
// says of faults, checks and reasons is English and for machines; the desk says it by
// its code, in the words of this package, and falls back on the agent's own words for
// a code that is newer than this program.
//
// The package knows no protocol and no screen. All functions are safe for concurrent
// use: nothing here changes.
package i18n

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Lang is a language of the desk. The zero value is Vietnamese.
type Lang uint8

// The languages.
const (
	Vietnamese Lang = iota
	English
)

// Langs returns the languages, the first being the default.
func Langs() []Lang { return []Lang{Vietnamese, English} }

// Parse returns the language of a tag such as "vi" or "en-GB"; anything else is
// Vietnamese.
func Parse(tag string) Lang {
	if strings.HasPrefix(strings.ToLower(tag), "en") {
		return English
	}
	return Vietnamese
}

// String returns the language's tag.
func (l Lang) String() string {
	if l == English {
		return "en"
	}
	return "vi"
}

// Other returns the language that a press of the language key changes to.
func (l Lang) Other() Lang {
	if l == English {
		return Vietnamese
	}
	return English
}

// A pair is one text in both languages, in the order of [Langs].
type pair [2]string

func (p pair) in(l Lang) string {
	if int(l) < len(p) {
		return p[l]
	}
	return p[Vietnamese]
}

// T returns the text of that name, with args in the place of its verbs. A name that
// is not in the list comes back as it is; a test keeps that from happening.
func (l Lang) T(name string, args ...any) string {
	p, ok := words[name]
	if !ok {
		return name
	}
	if len(args) == 0 {
		return p.in(l)
	}
	return fmt.Sprintf(p.in(l), args...)
}

// Fault returns what went wrong and what to do, for a fault code of the agent. ok is
// false for a code that this program does not know.
func (l Lang) Fault(code string) (cause, remedy string, ok bool) {
	f, ok := faults[code]
	return f.cause.in(l), f.remedy.in(l), ok
}

// Check returns a few plain words for a check of a report; the identifier itself when
// it is not known.
func (l Lang) Check(id string) string { return known(checks, id, l) }

// Result returns the word for the result of a check.
func (l Lang) Result(result string) string { return known(results, result, l) }

// Reason returns why a check came out as it did, and what to do, which may be empty.
// ok is false for a reason that this program does not know.
func (l Lang) Reason(reason string) (why, remedy string, ok bool) {
	r, ok := reasons[reason]
	return r.cause.in(l), r.remedy.in(l), ok
}

// Rejection returns why the central service rejected a visit, in a few words.
func (l Lang) Rejection(reason string) string { return known(rejections, reason, l) }

// Field returns the name of a field in which document and insurer disagree.
func (l Lang) Field(name string) string { return known(fields, name, l) }

// Step returns what a step of a check-in is called.
func (l Lang) Step(step string) string { return known(steps, step, l) }

// Diagnosed returns the title of a finding of the doctor, or title when the finding
// is newer than this program.
func (l Lang) Diagnosed(id, title string) string {
	if p, ok := findings[id]; ok {
		return p.in(l)
	}
	if name, ok := strings.CutPrefix(title, reader.in(English)); ok {
		return reader.in(l) + name
	}
	return title
}

func known(m map[string]pair, key string, l Lang) string {
	if p, ok := m[key]; ok {
		return p.in(l)
	}
	return key
}

// Date turns yyyy-mm-dd, yyyy-mm or yyyy into dd/MM/yyyy, MM/yyyy or yyyy, which is how
// both languages write dates at this desk. Anything else comes back as it is.
func Date(s string) string {
	parts := strings.Split(s, "-")
	for _, p := range parts {
		if !digits(p) {
			return s
		}
	}
	switch {
	case len(parts) == 3 && len(parts[0]) == 4 && len(parts[1]) == 2 && len(parts[2]) == 2:
		return parts[2] + "/" + parts[1] + "/" + parts[0]
	case len(parts) == 2 && len(parts[0]) == 4 && len(parts[1]) == 2:
		return parts[1] + "/" + parts[0]
	}
	return s
}

// Day is the date of t.
func Day(t time.Time) string { return t.Format("02/01/2006") }

// Clock is the time of day of t.
func Clock(t time.Time) string { return t.Format("15:04") }

// Moment is the time of day of t, with its date unless that is now's.
func Moment(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return Clock(t)
	}
	return t.Format("15:04 02/01/2006")
}

// Number groups a card's number as people read it aloud: twelve digits in threes, and
// a health-insurance number of fifteen characters as 2, 1, 2 and 10. Other numbers
// come back as they are.
func Number(s string) string {
	switch {
	case len(s) == 12 && digits(s):
		return s[:3] + " " + s[3:6] + " " + s[6:9] + " " + s[9:]
	case len(s) == 15 && ascii(s):
		return s[:2] + " " + s[2:3] + " " + s[3:5] + " " + s[5:]
	case len(s) == 10 && digits(s):
		return s[:4] + " " + s[4:7] + " " + s[7:]
	}
	return s
}

// Count writes n with a point (Vietnamese) or a comma between groups of three.
func (l Lang) Count(n int) string {
	s := strconv.Itoa(n)
	sep := "."
	if l == English {
		sep = ","
	}
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + sep + s[i:]
	}
	return s
}

// Ago says how long a duration is, roughly, as "vừa xong" or "3 giờ trước". A negative
// one is as none.
func (l Lang) Ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return l.T("ago.now")
	case d < time.Hour:
		return l.T("ago.minutes", int(d/time.Minute))
	case d < 48*time.Hour:
		return l.T("ago.hours", int(d/time.Hour))
	}
	return l.T("ago.days", int(d/(24*time.Hour)))
}

// ShortName leaves the family name, and initials of the rest: "NGUYỄN V. T." It is for
// lists that a person before the desk may see.
func ShortName(name string) string {
	words := strings.Fields(name)
	if len(words) == 0 {
		return ""
	}
	out := strings.ToUpper(words[0])
	for _, w := range words[1:] {
		r, n := utf8.DecodeRuneInString(w)
		for n < len(w) { // marks that follow a letter belong to it
			m, k := utf8.DecodeRuneInString(w[n:])
			if !unicode.Is(unicode.Mn, m) {
				break
			}
			n += k
		}
		if unicode.IsLetter(r) {
			out += " " + strings.ToUpper(w[:n]) + "."
		}
	}
	return out
}

// Sex returns the word for male, female or unspecified.
func (l Lang) Sex(s string) string { return known(sexes, s, l) }

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
