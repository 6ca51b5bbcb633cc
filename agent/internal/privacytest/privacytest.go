// Package privacytest looks for a person's data where it must not be: in logs,
// in errors, and in files that are said to be sealed. It is for tests, and
// knows the synthetic people only.
package privacytest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

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

// text looks for a text in any case and Unicode form.
func (n *Needles) text(what, s string) {
	if len(s) < 6 {
		return // too short to mean anything
	}
	want := bytes.ToLower(norm.NFC.Bytes([]byte(s)))
	n.list = append(n.list, needle{what, func(_, folded []byte) bool { return bytes.Contains(folded, want) }})
}

// date looks for a day in the notations of this field. Bare digits count only
// when they stand alone: a duration or an id may hold any six digits.
func (n *Needles) date(what string, d time.Time) {
	for _, layout := range []string{
		"2006-01-02", "02/01/2006", "2/1/2006", "02-01-2006", "02.01.2006", "02 01 2006", "2 Jan 2006", "Jan 2, 2006",
		"060102", "20060102", "02012006",
	} {
		re := regexp.MustCompile(`(?i)(^|[^0-9a-z])` + regexp.QuoteMeta(d.Format(layout)) + `([^0-9a-z]|$)`)
		n.list = append(n.list, needle{what + " as " + layout, func(data, _ []byte) bool { return re.Match(data) }})
	}
}

// Secret adds bytes that must not be found raw, in hexadecimal or in base64.
func (n *Needles) Secret(what string, b []byte) {
	const enough = 30 // bytes that nobody prints by chance
	b = b[:min(len(b), enough)]
	hexed := []byte(hex.EncodeToString(b))
	b64 := []byte(strings.TrimRight(base64.StdEncoding.EncodeToString(b), "="))
	url := []byte(strings.TrimRight(base64.URLEncoding.EncodeToString(b), "="))
	list := []byte(strings.Trim(fmt.Sprint(b), "[]")) // %v of a slice
	n.list = append(n.list, needle{what, func(data, folded []byte) bool {
		return bytes.Contains(data, b) || bytes.Contains(folded, hexed) || bytes.Contains(data, b64) ||
			bytes.Contains(data, url) || bytes.Contains(data, list)
	}})
}

// Find returns what of the needles is in data, by name.
func (n *Needles) Find(data []byte) []string {
	folded := bytes.ToLower(norm.NFC.Bytes(data))
	var found []string
	for _, one := range n.list {
		if one.in(data, folded) {
			found = append(found, one.what)
		}
	}
	return found
}

// Absent fails the test if anything of n is in data.
func (n *Needles) Absent(t testing.TB, where string, data []byte) {
	t.Helper()
	if found := n.Find(data); len(found) > 0 {
		t.Errorf("%s holds personal or secret data: %s", where, strings.Join(found, ", "))
	}
}
