package model

import (
	"strings"
	"time"
	"unicode"
)

// What tells a scanner from a hand. Wedge scanners send a key every 1 to 20 ms and
// the slow ones (Bluetooth, remote desktops) every 30 ms; fast typists need 60 ms and
// more on average, but press single pairs of keys faster than that. A key that is held
// down repeats every 30 ms: hence the number of different keys.
const (
	// ScanGap is the longest time between two keys of one scan.
	ScanGap = 45 * time.Millisecond
	// ScanKeys is the fewest keys of a scan, and the number after which the keys of a
	// burst no longer reach the field that has the focus.
	ScanKeys = 8
	// ScanQuiet is how long no key comes before a scan is over. Scanners that send
	// several lines pause shortly after each.
	ScanQuiet = 120 * time.Millisecond

	scanDistinct = 3       // different keys: a held key is no scan
	scanMax      = 4 << 10 // runes; the longest code here has about 900
)

// Keys that are no character, as they come in a scan.
const (
	Enter     = '\n'
	Tab       = '\t'
	Backspace = '\b'
)

// A Scan is what a scanner typed: a person's data.
type Scan struct {
	Text string
	// Corrections counts backspaces: no scanner sends them, an input method that
	// rewrites what it sees does.
	Corrections int
}

// A detector finds scans in what comes from the keyboard. The time is a parameter:
// it starts no timer. The zero value is ready to use.
type detector struct {
	text        []rune
	distinct    map[rune]struct{}
	keys        int
	corrections int
	last        time.Time
}

// typed takes one key. swallow says that the key is part of a scan and must reach
// nothing else; began says that it was the one by which that was recognised, so that
// those before it have reached the field with the focus. done is the scan that was
// over before this key, if there was one.
func (d *detector) typed(now time.Time, r rune) (swallow, began bool, done *Scan) {
	if d.keys > 0 && now.Sub(d.last) > ScanGap && !(d.isScan() && now.Sub(d.last) <= ScanQuiet) {
		done = d.end()
	}
	d.last = now
	if d.distinct == nil {
		d.distinct = make(map[rune]struct{})
	}
	was := d.isScan()
	d.keys++
	d.distinct[r] = struct{}{}
	switch {
	case r == Backspace:
		d.corrections++
		if n := len(d.text); n > 0 {
			d.text = d.text[:n-1]
		}
	case len(d.text) < scanMax:
		d.text = append(d.text, r)
	}
	swallow = d.isScan()
	return swallow, swallow && !was, done
}

// flush returns the scan that is over by now, or nil.
func (d *detector) flush(now time.Time) *Scan {
	if d.keys == 0 || now.Sub(d.last) < ScanQuiet {
		return nil
	}
	return d.end()
}

// pending reports whether keys came so fast that a scan may have begun: Enter and the
// space bar press nothing then.
func (d *detector) pending(now time.Time) bool {
	return d.keys > 1 && now.Sub(d.last) <= ScanGap || d.isScan()
}

// waiting reports whether flush has something to decide.
func (d *detector) waiting() bool { return d.keys > 0 }

func (d *detector) isScan() bool { return d.keys >= ScanKeys && len(d.distinct) >= scanDistinct }

func (d *detector) end() *Scan {
	var s *Scan
	if d.isScan() {
		s = &Scan{Text: strings.Trim(string(d.text), "\n\t "), Corrections: d.corrections}
	}
	clear(d.text) // it was a person's data
	*d = detector{text: d.text[:0]}
	return s
}

// A Kind is what a scan seems to be. The agent decides; the desk needs it to tell a
// code that an input method has spoilt from one that is merely unknown.
type Kind uint8

// The kinds.
const (
	KindUnknown Kind = iota // opaque, such as VNeID's
	KindCCCD
	KindHI
	KindMRZ
)

// A Spoilt says what changed a scan on its way. The zero value is "nothing".
type Spoilt uint8

// What spoils a scan.
const (
	Intact        Spoilt = iota
	SpoiltMethod         // an input method, one cannot tell which
	SpoiltTelex          // an input method in its Telex mode: letters become tone marks
	SpoiltVNI            // in its VNI mode: digits behind vowels do
	SpoiltLayout         // the keyboard layout "Vietnamese": the digit row types letters
	SpoiltShortly        // too short to be any code: broken off
)

// Classify looks at what a scanner typed. Whatever in a code has to be ASCII (numbers,
// dates, hexadecimal text, machine readable lines) and is not, was changed between the
// scanner and this program; only names and addresses of the citizen card's code may
// have marks.
func Classify(s Scan) (Kind, Spoilt) {
	text := s.Text
	if onLayout(text) {
		return KindUnknown, SpoiltLayout
	}
	fields := strings.Split(text, "|")
	switch {
	case len(fields) >= 7 && looksLike(fields[0], 12):
		// number | old number | name | birth | sex | residence | issue | ...
		for _, i := range []int{0, 1, 3, 6} {
			if strings.IndexFunc(fields[i], func(r rune) bool { return r < '0' || r > '9' }) >= 0 {
				return KindCCCD, method(text, s.Corrections)
			}
		}
		return KindCCCD, Intact
	case len(fields) >= 10:
		if !isASCII(text) || !isHex(fields[1]) || !isHex(fields[4]) {
			return KindHI, method(text, s.Corrections)
		}
		return KindHI, Intact
	case isLines(text):
		if !isASCII(text) {
			return KindMRZ, SpoiltTelex // no digit follows a vowel there
		}
		return KindMRZ, Intact
	case s.Corrections > 0:
		return KindUnknown, method(text, s.Corrections)
	case len(text) < 16:
		return KindUnknown, SpoiltShortly
	}
	return KindUnknown, Intact
}

// onLayout reports whether the text begins as one that came over the layout
// "Vietnamese", on which the digits 1 to 0 type ă â ê ô, five tone marks, and đ.
func onLayout(s string) bool {
	n := 0
	for _, r := range s {
		if r == '|' || n == 9 {
			break
		}
		if !strings.ContainsRune("ăâêôđĂÂÊÔĐ\u0300\u0309\u0303\u0301\u0323", r) {
			return false
		}
		n++
	}
	return n >= 6
}

// method says which mode of an input method makes such text.
func method(s string, corrections int) Spoilt {
	switch {
	case strings.ContainsAny(s, "ÁÉÍÓÚÝĂÃẼẺẢẠẸáéíóúýăãẽẻảạẹ"):
		return SpoiltVNI // by A1, E1, A8 ..: Telex needs letters that hexadecimal text has not
	case strings.ContainsAny(s, "ƯƠươ"):
		return SpoiltTelex
	case isASCII(s) && corrections == 0:
		return SpoiltMethod
	}
	return SpoiltMethod
}

// looksLike reports whether s has about n characters, most of them digits.
func looksLike(s string, n int) bool {
	d, all := 0, 0
	for _, r := range s {
		if r >= '0' && r <= '9' {
			d++
		}
		all++
	}
	return all >= n-3 && all <= n && d >= all-4 && d > 0
}

// isLines reports whether the text is made like a machine readable zone: long, full of
// fillers, no lower case. Letters with marks pass: they show that it was spoilt.
func isLines(s string) bool {
	n, fillers := 0, 0
	for _, r := range s {
		switch {
		case r == '\n' || r == '\r' || r == ' ':
			continue
		case r == '<':
			fillers++
		case r >= '0' && r <= '9', unicode.IsUpper(r):
		default:
			return false
		}
		n++
	}
	return n >= 60 && n <= 92 && fillers >= 2
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s)%2 == 0
}
