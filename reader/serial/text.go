package serial

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// An Encoding is how a scanner sends text.
type Encoding uint8

const (
	// EncodingAuto is the zero value: UTF-8 if the bytes are that, else
	// Windows-1258.
	EncodingAuto Encoding = iota
	// UTF8 is what the codes on the cards hold, and what a scanner sends that
	// is left as it comes.
	UTF8
	// Windows1258 is the Vietnamese code page of Windows, for scanners that
	// are set to a code page. That such are in use is unconfirmed.
	Windows1258
)

// String returns the name of the encoding.
func (e Encoding) String() string {
	switch e {
	case UTF8:
		return "utf-8"
	case Windows1258:
		return "windows-1258"
	default:
		return "auto"
	}
}

// MarshalText implements encoding.TextMarshaler.
func (e Encoding) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

var byteOrderMark = []byte("\xEF\xBB\xBF")

// decode turns what a scanner sent into text in the composed form (NFC):
// some scanners and some makers of codes write a letter and its marks apart, as
// Windows-1258 does. It returns the encoding that was taken. Bytes that are
// nothing in it become U+FFFD: the digits around them are still of use.
func decode(raw []byte, e Encoding) (string, Encoding) {
	raw = bytes.TrimPrefix(raw, byteOrderMark)
	if e == EncodingAuto {
		e = UTF8
		if !utf8.Valid(raw) {
			e = Windows1258
		}
	}
	text := string(raw)
	if e == Windows1258 {
		// The decoder of a code page knows no errors.
		text, _ = charmap.Windows1258.NewDecoder().String(text)
	}
	return norm.NFC.String(strings.ToValidUTF8(text, string(utf8.RuneError))), e
}

// printable reports whether text can be what a code holds: no control
// characters but those that separate fields (TAB, LF, CR, EOT, FS, GS, RS, US,
// as in ISO/IEC 15434). What a line of the wrong speed brings has others.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		switch r {
		case '\t', '\n', '\r', 0x04, 0x1C, 0x1D, 0x1E, 0x1F:
			return false
		}
		return r < 0x20 || r >= 0x7F && r < 0xA0
	})
}

// A Kind is what a scan looks like. It goes by the shape alone and is a hint
// where to send the text: parsing it, and believing it or not, is the caller's.
type Kind uint8

const (
	// KindUnknown is the zero value.
	KindUnknown Kind = iota
	// KindCCCD looks like the code on a citizen card: twelve digits and at
	// least six more fields.
	KindCCCD
	// KindHI looks like the code on a health-insurance card: ten or fifteen
	// letters and digits and at least nine more fields.
	KindHI
	// KindMRZ is a machine readable zone of two or three lines (Doc 9303-3,
	// 4.2), the lines separated by line feeds unless the scanner left that
	// out.
	KindMRZ
)

// String returns the kind in lower case.
func (k Kind) String() string {
	switch k {
	case KindCCCD:
		return "cccd"
	case KindHI:
		return "hi"
	case KindMRZ:
		return "mrz"
	default:
		return "unknown"
	}
}

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// kindOf looks at the shape of a scan.
func kindOf(text string) Kind {
	first, _, _ := strings.Cut(text, "|")
	fields := strings.Count(text, "|") + 1
	switch {
	case len(first) == 12 && only(first, isDigit) && fields >= 7:
		return KindCCCD
	case (len(first) == 10 && only(first, isDigit) || len(first) == 15 && only(first, isUpperOrDigit)) && fields >= 10:
		return KindHI
	case (len(text) == 90 || len(text) == 72 || len(text) == 88) && only(text, isMRZ) && beginsMRZ(text[0]):
		return KindMRZ
	}
	return KindUnknown
}

func only(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool        { return c >= '0' && c <= '9' }
func isUpperOrDigit(c byte) bool { return c >= 'A' && c <= 'Z' || isDigit(c) }
func isMRZ(c byte) bool          { return isUpperOrDigit(c) || c == '<' }

// beginsMRZ reports whether a machine readable zone begins with c: passports,
// visas, identity cards (Doc 9303-4, -5, -6, -7).
func beginsMRZ(c byte) bool { return strings.IndexByte("PVACI", c) >= 0 }

// mrzLines returns how many lines the machine readable zone has that s is a
// line of (Doc 9303-3, 4.2), or 0.
func mrzLines(s []byte) int {
	if !only(string(s), isMRZ) {
		return 0
	}
	switch len(s) {
	case 30:
		return 3
	case 36, 44:
		return 2
	}
	return 0
}
