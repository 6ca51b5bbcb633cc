package operator

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// usable reports whether a name can stand in a visit and in the audit trail.
func usable(name string) bool {
	return name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= maxName && name == strings.TrimSpace(name) &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return r == unicode.ReplacementChar || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
				unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
		})
}

// readName returns a name as it is kept: composed (NFC), with single spaces. It is
// [ErrName] for one that cannot be used, or is kept for others.
func readName(s string) (string, error) {
	spaced := strings.FieldsFunc(strings.TrimSpace(s), func(r rune) bool { return unicode.Is(unicode.Zs, r) })
	name := norm.NFC.String(strings.Join(spaced, " "))
	if !usable(name) || !utf8.ValidString(s) || reserved(name) {
		return "", ErrName
	}
	return name, nil
}

// same returns what is equal for names that people take for the same: whatever the
// case, the composition and the width of its letters and spaces.
func same(name string) string {
	fold := cases.Fold()
	folded := fold.String(norm.NFKC.String(name))
	return strings.Join(strings.Fields(norm.NFKC.String(folded)), " ")
}

// others are actors of the audit trail who are no operators: parts of the agent, and
// the desk while nobody is signed in.
var others = []string{"agent", "chamthe", "config", "configuration", "desk", "handoff", "retention"}

// reserved reports whether a name would be read as somebody else's in a visit or in
// the audit trail: as one of the others, or as a client, which is named by its
// origin, and in a visit as "via" it.
func reserved(name string) bool {
	n := same(name)
	return slices.Contains(others, n) || strings.Contains(n, "://") || strings.HasPrefix(n, "via ")
}

// find returns the place of a name among the operators: of the very same, or else of
// one that people take for it; -1 if there is none.
func find(list []record, name string) int {
	if i := slices.IndexFunc(list, func(r record) bool { return r.Name == name }); i >= 0 {
		return i
	}
	n := same(name)
	return slices.IndexFunc(list, func(r record) bool { return same(r.Name) == n })
}
