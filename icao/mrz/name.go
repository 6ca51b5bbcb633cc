package mrz

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// letters that do not decompose into a Latin letter and marks, in the
// transliteration of Doc 9303-3, section 6.
var letters = strings.NewReplacer(
	"Đ", "D", "Ð", "D", "Ø", "OE", "Æ", "AE", "Œ", "OE", "Ł", "L", "Þ", "TH", "ẞ", "SS", "ß", "SS",
)

// umlauts are the letters for which Doc 9303-3 allows a second letter where
// others would drop the mark.
var umlauts = strings.NewReplacer("Ä", "AE", "Ö", "OE", "Ü", "UE", "Å", "AA")

// Words returns the words of a name as a register without tone marks has them:
// in capital letters, without diacritics, apostrophes and punctuation. Two
// spellings of one name have equal words.
func Words(name string) []string { return fold(name, false) }

func fold(name string, long bool) []string {
	name = norm.NFC.String(strings.ToUpper(name))
	if long {
		name = umlauts.Replace(name)
	}
	name = norm.NFD.String(letters.Replace(name))
	var b strings.Builder
	for _, r := range name {
		switch {
		case unicode.Is(unicode.Mn, r), r == '\'', r == '’':
		case unicode.IsLetter(r):
			b.WriteRune(r)
		default:
			b.WriteByte(' ')
		}
	}
	return strings.Fields(b.String())
}

// NameMatches reports whether a name, written with all its marks, can be the one
// in the zone: the same words in any order (states differ in what comes first),
// or, where the zone was cut off, words that begin so (Doc 9303-3, 4.6 and 6).
func (m MRZ) NameMatches(name string) bool {
	return nameMatches(name, m.PrimaryIdentifier+" "+m.SecondaryIdentifier, m.NameMayBeTruncated())
}

func nameMatches(name, zone string, truncated bool) bool {
	want := Words(zone)
	for _, long := range []bool{false, true} {
		got := fold(name, long)
		if !truncated {
			g, w := slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
			if slices.Equal(g, w) {
				return true
			}
			continue
		}
		if len(want) > 0 && beginsSo(got, want) {
			return true
		}
	}
	return false
}

// beginsSo reports whether every wanted word begins a different word of got.
func beginsSo(got, want []string) bool {
	rest := slices.Clone(got)
	// The longest first: a cut word must not take the place of a whole one.
	want = slices.SortedFunc(slices.Values(want), func(a, b string) int { return len(b) - len(a) })
	for _, w := range want {
		i := slices.IndexFunc(rest, func(g string) bool { return strings.HasPrefix(g, w) })
		if i < 0 {
			return false
		}
		rest = slices.Delete(rest, i, i+1)
	}
	return true
}
