package truststore

import (
	"time"

	"github.com/chamthe/chamthe/icao/trust"
)

// Summary says how much trust material there is and how old it is, for one line;
// what needs attention, [Store.Check] says.
type Summary struct {
	Anchors int // certificates
	States  int
	// Dated is when the newest signed list says that it was signed, Imported when
	// something was imported last; zero if unknown.
	Dated, Imported time.Time
	// CRLs counts revocation lists, Outdated those of which a newer one is due.
	CRLs, Outdated int
}

// Summarize sums a pool up as of the given time. A nil pool is empty.
func Summarize(pool *trust.Pool, at time.Time) Summary {
	var s Summary
	states := make(map[string]bool)
	for _, a := range pool.Anchors() {
		s.Anchors++
		states[a.Certificate.SubjectCountry()] = true
		if a.Dated.After(s.Dated) {
			s.Dated = a.Dated
		}
		if a.Added.After(s.Imported) {
			s.Imported = a.Added
		}
	}
	s.States = len(states)
	for _, l := range pool.RevocationLists() {
		s.CRLs++
		if at.After(l.Expires()) {
			s.Outdated++
		}
	}
	return s
}

// Newest is the date by which the age of the material is told: that of the
// newest signed list, else that of the last import.
func (s Summary) Newest() time.Time {
	if !s.Dated.IsZero() {
		return s.Dated
	}
	return s.Imported
}
