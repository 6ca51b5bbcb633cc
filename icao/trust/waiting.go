package trust

import (
	"maps"
	"slices"

	"github.com/chamthe/chamthe/icao/cms"
)

// waiting holds certificates of master lists that were verified, until somebody
// asks for their state. A state is the unit because link certificates stay within
// one: what becomes of a certificate depends on those of its state alone.
type waiting struct {
	certificates map[string][]listed // by the country of the subject
	placed       map[string]bool     // countries that have nothing waiting, nor has one that they share a key with

	// Where to look: the countries of the certificates with a subject key
	// identifier, and with a key (cms.PublicKey.ID).
	bySKI, byKey map[string][]string
}

// listed is the part of one master list that is about one state.
type listed struct {
	origin       Anchor
	certificates []*cms.Certificate
}

func newWaiting() waiting {
	return waiting{
		certificates: make(map[string][]listed),
		placed:       make(map[string]bool),
		bySKI:        make(map[string][]string),
		byKey:        make(map[string][]string),
	}
}

// await puts the certificates of a verified list aside.
func (p *Pool) await(certificates []*cms.Certificate, origin Anchor) {
	w := &p.waiting
	clear(w.placed)
	remember := func(m map[string][]string, key, country string) {
		if !slices.Contains(m[key], country) {
			m[key] = append(m[key], country)
		}
	}
	parts := make(map[string][]*cms.Certificate)
	for _, c := range certificates {
		if c.PublicKey == nil { // it could not be placed
			continue
		}
		country := c.SubjectCountry()
		parts[country] = append(parts[country], c)
		if c.SubjectKeyID != nil {
			remember(w.bySKI, string(c.SubjectKeyID), country)
		}
		remember(w.byKey, c.PublicKey.ID(), country)
	}
	for country, part := range parts {
		w.certificates[country] = append(w.certificates[country], listed{origin, part})
	}
}

// place checks the certificates of a state that wait and puts them where they
// belong. It goes on to the states that share a key with it, because they share
// revocation lists as well: see family.
func (p *Pool) place(country string) {
	w := &p.waiting
	if len(w.certificates) == 0 || w.placed[country] {
		return
	}
	parts := w.certificates[country]
	if parts == nil && p.byCountry[country] == nil {
		return // not remembered: a document may claim any country
	}
	w.placed[country] = true
	delete(w.certificates, country)
	for _, part := range parts {
		p.addListed(part.certificates, part.origin)
	}
	for _, a := range slices.Clone(p.byCountry[country]) {
		p.placeEach(w.byKey[a.Certificate.PublicKey.ID()])
	}
}

func (p *Pool) placeEach(countries []string) {
	for _, country := range countries {
		p.place(country)
	}
}

// placeAll places all that waits, in the order of the countries.
func (p *Pool) placeAll() {
	p.placeEach(slices.Sorted(maps.Keys(p.waiting.certificates)))
}
