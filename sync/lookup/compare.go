package lookup

import (
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/chamthe/chamthe/sync/contract"
)

// indochina is the time of Vietnam, which has no summer time: days on an
// insurance card begin there.
var indochina = time.FixedZone("ICT", 7*60*60)

// Findings returns everything in an answer that does not fit the person in
// front of the desk on that day: [Compare] and [Period] together, whether the answer
// is about the card that was shown, and, of somebody who is entitled, whether that
// is this person at all: an answer that names nobody fits everybody. It changes
// nothing.
func Findings(document contract.Person, a Answer, at time.Time) []contract.Finding {
	f := Compare(document, a.Person)
	if cardDiffers(document.InsuranceNumber, a.Entitlement) {
		f = append(f, contract.CardDiffers)
	}
	if a.Entitlement.Status == contract.StatusValid && !comparable(document, a.Person) {
		f = append(f, contract.NotComparable)
	}
	return append(f, Period(a.Entitlement, at)...)
}

// comparable reports whether both sides know enough for a difference to show: a
// name, and a number or a birth date. The least of a birth date is its year.
func comparable(document contract.Person, insured *contract.Insured) bool {
	if insured == nil || letters(document.Name) == "" || letters(insured.Name) == "" {
		return false
	}
	return document.Number != "" && insured.Number != "" || hasYear(document.BirthDate) && hasYear(insured.BirthDate)
}

func hasYear(d contract.Date) bool {
	year, _, _, ok := d.Parts()
	return ok && year != 0
}

// cardDiffers compares the number that was shown with the one that the insurer
// names and the one that replaces it.
func cardDiffers(shown string, e contract.Entitlement) bool {
	if shown == "" || e.CardNumber == "" || sameCard(shown, e.CardNumber) {
		return false
	}
	return e.Next == nil || !sameCard(shown, e.Next.CardNumber)
}

// sameCard compares all characters, or, where one side has only the ten digits of
// the social insurance number that cards of 2021 show, those: they end the longer
// number (QĐ 1351/QĐ-BHXH, QĐ 1666/QĐ-BHXH).
func sameCard(a, b string) bool {
	const digits = 10
	return a == b || len(a) >= digits && len(b) >= digits && (len(a) == digits || len(b) == digits) && a[len(a)-digits:] == b[len(b)-digits:]
}

// Compare returns in what the insurer's data differ from the document's. What
// only one side knows is no difference. Names are compared by their letters,
// without tone marks, case and spacing, since a document's machine-readable
// zone has none of these; of birth dates the parts that both sides know.
func Compare(document contract.Person, insured *contract.Insured) []contract.Finding {
	if insured == nil {
		return nil
	}
	var f []contract.Finding
	if document.Number != "" && insured.Number != "" && document.Number != insured.Number {
		f = append(f, contract.NumberDiffers)
	}
	if document.Name != "" && insured.Name != "" && letters(document.Name) != letters(insured.Name) {
		f = append(f, contract.NameDiffers)
	}
	if datesDiffer(document.BirthDate, insured.BirthDate) {
		f = append(f, contract.BirthDateDiffers)
	}
	if known(document.Sex) && known(insured.Sex) && document.Sex != insured.Sex {
		f = append(f, contract.SexDiffers)
	}
	return f
}

func known(s contract.Sex) bool { return s == contract.SexMale || s == contract.SexFemale }

func datesDiffer(a, b contract.Date) bool {
	ay, am, ad, ok := a.Parts()
	if !ok {
		return false
	}
	by, bm, bd, ok := b.Parts()
	if !ok {
		return false
	}
	differ := func(x, y int) bool { return x != 0 && y != 0 && x != y }
	return differ(ay, by) || differ(am, bm) || differ(ad, bd)
}

// Period returns [contract.PeriodEnded] or [contract.PeriodNotBegun] when the
// card, and the one that replaces it, do not cover the day of at in Vietnam.
// Partial dates cover all that they may mean.
func Period(e contract.Entitlement, at time.Time) []contract.Finding {
	var b [len(time.DateOnly)]byte
	day := contract.Date(at.In(indochina).AppendFormat(b[:0], time.DateOnly))
	ended, notBegun := outside(e.From, e.To, day)
	if e.Next != nil {
		if nextEnded, nextNotBegun := outside(e.Next.From, e.Next.To, day); !nextEnded && !nextNotBegun {
			return nil
		}
	}
	switch {
	case ended:
		return []contract.Finding{contract.PeriodEnded}
	case notBegun:
		return []contract.Finding{contract.PeriodNotBegun}
	}
	return nil
}

// outside compares days as text, each cut to the length that both have.
func outside(from, to, day contract.Date) (ended, notBegun bool) {
	if to.Valid() {
		ended = day[:min(len(day), len(to))] > to
	}
	if from.Valid() {
		notBegun = day[:min(len(day), len(from))] < from
	}
	return ended, notBegun
}

// letters reduces a name to upper-case words without marks: "Nguyễn Văn Đức"
// becomes "NGUYEN VAN DUC".
func letters(name string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(name) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case r == 'đ', r == 'Đ': // a letter of its own: it has no decomposition
			b.WriteByte('D')
		case unicode.IsLetter(r), unicode.IsDigit(r):
			b.WriteRune(unicode.ToUpper(r))
		default:
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// canonical is a name as it is typed, but for case, spacing and the two ways to
// write an accent.
func canonical(name string) string {
	name = strings.ToUpper(norm.NFC.String(name))
	space := true
	for _, r := range name {
		is := unicode.IsSpace(r)
		if is && (space || r != ' ') {
			return strings.Join(strings.Fields(name), " ")
		}
		space = is
	}
	return strings.TrimSuffix(name, " ")
}
