// Package inspecttest makes documents for tests that no issuer hands out: with
// other data under a good signature, with files that the chip keeps back, with
// keys that the chip does not have. It is used by tests only.
package inspecttest

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/trust"
)

// At is a time at which the documents are valid.
var At = time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)

// A Draft is a document that may be changed before its chip is made. Drafts
// share their keys and nothing else.
type Draft struct {
	*chip.Document
	pki *chip.PKI
}

var genuine sync.Map // by profile

// New returns the genuine document of a profile.
func New(tb testing.TB, profile string) *Draft {
	tb.Helper()
	build, _ := genuine.LoadOrStore(profile, sync.OnceValues(func() (*Draft, error) {
		pki, err := chip.NewPKI(profile, At, nil)
		if err != nil {
			return nil, err
		}
		d, err := chip.Build(profile, chip.Options{At: At, PKI: pki})
		return &Draft{d, pki}, err
	}))
	shared, err := build.(func() (*Draft, error))()
	if err != nil {
		tb.Fatal(err)
	}
	doc, pers := *shared.Document, *shared.Personalisation
	pers.Files, pers.MasterFiles = slices.Clone(pers.Files), slices.Clone(pers.MasterFiles)
	doc.Personalisation, doc.Groups = &pers, maps.Clone(doc.Groups)
	return &Draft{&doc, shared.pki}
}

// File identifiers (Doc 9303-10, 4.6).
const (
	idSOD        = 0x011D
	idDG1        = 0x0101
	idCardAccess = 0x011C
)

// Put writes a data group. The signature does not cover it before [Draft.Sign].
func (d *Draft) Put(dg int, content []byte) {
	d.Groups[dg] = content
	d.write(idDG1+uint16(dg)-1, byte(dg), content)
}

// Withhold takes a data group from the chip; the signature stays as it is.
func (d *Draft) Withhold(dg int) {
	d.Personalisation.Files = slices.DeleteFunc(d.Personalisation.Files, func(f chip.File) bool { return f.ID == idDG1+uint16(dg)-1 })
}

// Omit makes the document one that never had a data group, as of [Draft.Sign].
func (d *Draft) Omit(dg int) {
	d.Withhold(dg)
	delete(d.Groups, dg)
}

// Sign has the issuer sign the data groups as they are now.
func (d *Draft) Sign(tb testing.TB) {
	tb.Helper()
	sod, err := d.pki.DS.SignSOD(d.Groups, issuer.SODOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	d.SOD = sod
	d.write(idSOD, 0x1D, sod)
}

func (d *Draft) write(id uint16, sfi byte, content []byte) {
	files := d.Personalisation.Files
	if i := slices.IndexFunc(files, func(f chip.File) bool { return f.ID == id }); i >= 0 {
		files[i].Content = content
		return
	}
	d.Personalisation.Files = append(files, chip.File{ID: id, SFI: sfi, Content: content})
}

// Zone gives the document another machine readable zone: printed, in DG1 and
// as the access key. It has to be signed.
func (d *Draft) Zone(tb testing.TB, lines ...string) {
	tb.Helper()
	d.MRZ = lines
	d.Put(1, issuer.DG1(lines))
	d.Personalisation.AccessKey = Key(tb, lines)
}

// DG13 replaces the domestic data. It has to be signed.
func (d *Draft) DG13(tb testing.TB, data issuer.Domestic) {
	tb.Helper()
	b, err := issuer.DG13(data)
	if err != nil {
		tb.Fatal(err)
	}
	d.Put(13, b)
}

// DG14 replaces the security infos. It has to be signed.
func (d *Draft) DG14(tb testing.TB, infos ...[]byte) {
	tb.Helper()
	b, err := issuer.DG14(infos)
	if err != nil {
		tb.Fatal(err)
	}
	d.Put(14, b)
}

// CardAccess replaces EF.CardAccess; without infos the chip has none, and
// performs no PACE.
func (d *Draft) CardAccess(tb testing.TB, infos ...[]byte) {
	tb.Helper()
	p := d.Personalisation
	if len(infos) == 0 {
		p.MasterFiles = slices.DeleteFunc(p.MasterFiles, func(f chip.File) bool { return f.ID == idCardAccess })
		p.PACE, p.CAN = nil, ""
		return
	}
	content, err := issuer.SecurityInfos(infos)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range p.MasterFiles {
		if p.MasterFiles[i].ID == idCardAccess {
			p.MasterFiles[i].Content = content
		}
	}
}

// Card returns a chip with the document.
func (d *Draft) Card(tb testing.TB) *chip.Chip {
	tb.Helper()
	c, err := d.Chip()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// Access returns the key that is printed on the document.
func (d *Draft) Access(tb testing.TB) inspect.Access {
	tb.Helper()
	return inspect.Access{Keys: []mrz.Key{Key(tb, d.MRZ)}}
}

// Pool trusts the document's authority.
func (d *Draft) Pool(tb testing.TB) *trust.Pool {
	tb.Helper()
	c, err := cms.ParseCertificate(d.CSCA)
	if err != nil {
		tb.Fatal(err)
	}
	p := trust.NewPool()
	if err := p.Add(c, "test"); err != nil {
		tb.Fatal(err)
	}
	return p
}

// Inspect reads the document with everything that a desk asks for.
func (d *Draft) Inspect(tb testing.TB) (*inspect.Report, error) {
	tb.Helper()
	return inspect.Run(tb.Context(), d.Card(tb), d.Access(tb), &inspect.Config{At: At, Trust: d.Pool(tb), Photo: true})
}

// Key returns the access key of a machine readable zone.
func Key(tb testing.TB, lines []string) mrz.Key {
	tb.Helper()
	m, err := mrz.Parse(strings.Join(lines, "\n"))
	if err != nil {
		tb.Fatal(err)
	}
	k, err := m.Key()
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// Digit appends the check digit to a field.
func Digit(field string) string {
	c, _ := mrz.CheckDigit(field)
	return field + string(rune(c))
}

// TD3 returns the zone of a passport (Doc 9303-4, 4.2.2). name is as in the
// zone, dates are YYMMDD; short fields are filled up.
func TD3(state, name, number, nationality, birth, expiry, optional string) []string {
	number, optional = Digit(fill(number, 9)), Digit(fill(optional, 14))
	birth, expiry = Digit(birth), Digit(expiry)
	all := Digit(number + birth + expiry + optional)
	return []string{
		fill("P<"+state+name, 44),
		number + nationality + birth + "M" + expiry + optional + all[len(all)-1:],
	}
}

// TD1 returns the zone of a card (Doc 9303-5, 4.2.2); see [TD3].
func TD1(state, name, number, nationality, birth, expiry, optional string) []string {
	first := Digit(fill(number, 9)) + fill(optional, 15)
	birth, expiry = Digit(birth), Digit(expiry)
	rest := fill("", 11)
	all := Digit(first + birth + expiry + rest)
	return []string{
		"ID" + state + first,
		birth + "M" + expiry + nationality + rest + all[len(all)-1:],
		fill(name, 30),
	}
}

func fill(s string, n int) string { return s + strings.Repeat("<", n-len(s)) }
