// Package privacytest looks for a person's data where it must not be: in logs,
// in errors, and in files that are said to be sealed. It is for tests, and
// knows the synthetic people only.
package privacytest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/specimen"
)

// needle is one thing to look for.
type needle struct {
	what string
	in   func(data, folded []byte) bool
}

// Needles is what must not be found. Make it with [Of].
type Needles struct{ list []needle }

// Of returns everything about a document that is personal or secret: what is
// printed on it, what its chip holds, and the key that opens it, in every
// notation in which a careless program might print it.
func Of(t testing.TB, d *chip.Document) *Needles {
	t.Helper()
	n := &Needles{}
	p := d.Person
	for what, text := range map[string]string{
		"name": p.Name, "name in the MRZ": p.Surname + " " + p.Given, "name in the MRZ with fillers": p.Surname + "<<" + strings.ReplaceAll(p.Given, " ", "<"),
		"number": p.Number, "old number": p.Old, "hometown": p.Hometown, "residence": p.Residence, "marks": p.Marks,
		"father": p.Father, "mother": p.Mother, "spouse": p.Spouse, "chip id": p.ChipID, "QR": d.QR,
	} {
		n.text(what, text)
	}
	if p.Kind == specimen.CitizenCard {
		n.text("document number", p.Number[3:])
	}
	for i, line := range d.MRZ {
		n.text(fmt.Sprintf("MRZ line %d", i+1), line)
	}
	n.date("birth date", p.Birth)
	n.date("issue date", p.Issue)
	if !p.Expiry.IsZero() {
		n.date("expiry date", p.Expiry)
	}
	key, err := p.AccessKey()
	if err != nil {
		t.Fatal(err)
	}
	hash := key.Hash()
	n.Secret("access key", hash[:])
	n.Secret("access key seed", hash[:16])
	for dg, b := range d.Groups {
		if dg == 1 || dg == 2 || dg == 13 {
			n.Secret(fmt.Sprintf("DG%d", dg), b)
		}
	}
	return n
}

// text looks for a text, with and without its marks, in any case, Unicode form and
// notation.
func (n *Needles) text(what, s string) {
	if len(s) < shortest {
		return // too short to mean anything
	}
	n.plain(what, s)
	if bare := withoutMarks(s); bare != s {
		n.plain(what+" without marks", bare)
	}
}

// shortest is the length of the shortest text that is not found by chance.
const shortest = 6

func (n *Needles) plain(what, s string) {
	want := bytes.ToLower(norm.NFC.Bytes([]byte(s)))
	var exact [][]byte // as they are
	var folds [][]byte // in lower case
	for _, v := range variants(s) {
		exact = append(exact, encodings(v)...)
		folds = append(folds, []byte(hex.EncodeToString([]byte(v))))
		if ascii := strings.ToLower(escaped(v)); ascii != strings.ToLower(v) {
			folds = append(folds, []byte(ascii))
		}
		if u := strings.ToLower(url.QueryEscape(v)); u != strings.ToLower(v) {
			folds = append(folds, []byte(u), []byte(strings.ReplaceAll(u, "+", "%20")))
		}
	}
	n.list = append(n.list, needle{what, func(data, folded []byte) bool {
		return bytes.Contains(folded, want) || containsAny(data, exact) || containsAny(folded, folds)
	}})
}

// variants are the ways to write a text that change its bytes.
func variants(s string) []string {
	nfc := norm.NFC.String(s)
	all := []string{nfc, strings.ToUpper(nfc), strings.ToLower(nfc)}
	for _, v := range slices.Clone(all) {
		all = append(all, norm.NFD.String(v))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// encodings are the notations of a text in which the case of letters counts: base64
// at each of its three alignments, and UTF-16.
func encodings(s string) [][]byte {
	all := base64s([]byte(s))
	var little, big []byte
	for _, u := range utf16.Encode([]rune(s)) {
		little, big = append(little, byte(u), byte(u>>8)), append(big, byte(u>>8), byte(u))
	}
	return append(all, little, big)
}

// base64s returns bytes in base64 at each alignment, in both alphabets, without the
// characters that neighbours share.
func base64s(b []byte) [][]byte {
	var all [][]byte
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			enc := e.EncodeToString(append(make([]byte, shift), b...))
			if shift > 0 {
				enc = enc[shift+1:]
			}
			if (shift+len(b))%3 != 0 {
				enc = enc[:len(enc)-1]
			}
			if len(enc) >= shortest {
				all = append(all, []byte(enc))
			}
		}
	}
	return all
}

// escaped is a text as JSON and %+q write it in ASCII.
func escaped(s string) string { return strings.Trim(strconv.QuoteToASCII(s), `"`) }

// withoutMarks is a Vietnamese text as somebody types it who has no such keyboard.
func withoutMarks(s string) string {
	bare := strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case r == 'đ':
			return 'd'
		case r == 'Đ':
			return 'D'
		}
		return r
	}, norm.NFD.String(s))
	return norm.NFC.String(bare)
}

func containsAny(data []byte, any [][]byte) bool {
	return slices.ContainsFunc(any, func(b []byte) bool { return bytes.Contains(data, b) })
}

// date looks for a day in the notations of this field. Bare digits count only
// when they stand alone: a duration or an id may hold any six digits.
func (n *Needles) date(what string, d time.Time) {
	for _, layout := range []string{
		"2006-01-02", "02/01/2006", "2/1/2006", "02-01-2006", "02.01.2006", "02 01 2006", "2 Jan 2006", "Jan 2, 2006",
		"060102", "20060102", "02012006", "2006/01/02",
	} {
		text := d.Format(layout)
		want := []byte(strings.ToLower(text))
		var wide [][]byte
		if len(text) > 6 {
			wide = encodings(text)
			wide = append(wide, []byte(hex.EncodeToString([]byte(text))))
		}
		n.list = append(n.list, needle{what + " as " + layout, func(data, folded []byte) bool {
			return alone(folded, want) || containsAny(data, wide)
		}})
	}
}

// alone reports whether data has want without a letter or digit beside it.
func alone(data, want []byte) bool {
	word := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' }
	for at := 0; ; {
		i := bytes.Index(data[at:], want)
		if i < 0 {
			return false
		}
		i += at
		end := i + len(want)
		if (i == 0 || !word(data[i-1])) && (end == len(data) || !word(data[end])) {
			return true
		}
		at = i + 1
	}
}

// Text adds a text that must not be found in any notation.
func (n *Needles) Text(what, s string) { n.text(what, s) }

// Secret adds bytes that must not be found raw, in hexadecimal, in base64, or as
// package fmt and the runtime's stack traces print them.
func (n *Needles) Secret(what string, b []byte) {
	const enough = 30 // bytes that nobody prints by chance
	b = b[:min(len(b), enough)]
	exact := append(base64s(b), b, []byte(strings.Trim(fmt.Sprint(b), "[]"))) // %v of a slice
	traced := make([]string, len(b))
	for i, c := range b {
		traced[i] = fmt.Sprintf("0x%x", c)
	}
	folds := [][]byte{[]byte(hex.EncodeToString(b)), []byte(strings.Join(traced, ", ")), fmt.Appendf(nil, "% x", b)}
	n.list = append(n.list, needle{what, func(data, folded []byte) bool {
		return containsAny(data, exact) || containsAny(folded, folds)
	}})
}

// Find returns what of the needles is in data, by name.
func (n *Needles) Find(data []byte) []string {
	folded := fold(data)
	var found []string
	for _, one := range n.list {
		if one.in(data, folded) {
			found = append(found, one.what)
		}
	}
	return found
}

// fold returns data in lower case and composed. Bytes that are no text stay, so that
// a binary file can be searched: what Unicode makes of them is no concern.
func fold(data []byte) []byte { return bytes.ToLower(norm.NFC.Bytes(data)) }

// Absent fails the test if anything of n is in data.
func (n *Needles) Absent(t testing.TB, where string, data []byte) {
	t.Helper()
	if found := n.Find(data); len(found) > 0 {
		t.Errorf("%s holds personal or secret data: %s", where, strings.Join(found, ", "))
	}
}
