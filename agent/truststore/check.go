package truststore

import (
	"slices"
	"strings"
	"time"

	"github.com/chamthe/chamthe/icao/trust"
)

// What a [Finding] is about: a closed set.
const (
	RootExpired      = "root_expired"        // a pinned root: no new list can be verified under it
	StateExpired     = "state_expired"       // no certificate of a state is valid
	Expired          = "expired"             // a certificate; the state has others
	NotYetValid      = "not_yet_valid"       // a certificate; most likely the clock is wrong
	Revoked          = "revoked"             // a certificate, by its own CSCA
	CRLOutdated      = "crl_outdated"        // a newer list is due
	ListOld          = "list_old"            // a master list that was signed more than MaxAge ago
	LinkWithoutRoot  = "link_without_issuer" // a link certificate of a list whose issuer is not there
	NoLongerAccepted = "no_longer_accepted"  // this version of the program refuses what was accepted
)

// MaxAge is the age at which a master list needs attention. States publish
// several a year, and renew their CSCA every three to five years (Doc 9303-12,
// 4.1.2).
const MaxAge = 365 * 24 * time.Hour

// Finding is something about a store that somebody may wish to know.
type Finding struct {
	What string
	// Attention says that something needs doing; else it is worth knowing, as
	// expired certificates are, which old documents need.
	Attention bool
	Piece     *Piece // nil for a state
	Source    *Source
	Country   string
	When      time.Time // since when, or zero
}

// Check judges a store at the given time: what needs attention comes first.
func (s *Store) Check(at time.Time) []Finding {
	var found []Finding
	for _, r := range s.Roots {
		if !r.Certificate.ValidAt(at) {
			found = append(found, Finding{
				What: RootExpired, Attention: true, Piece: &Piece{Kind: trust.KindCertificate, ID: r.ID, Certificate: r.Certificate},
				Country: r.Certificate.SubjectCountry(), When: r.Certificate.NotAfter,
			})
		}
	}
	found = append(found, s.checkAnchors(at)...)
	for _, l := range s.Pool.RevocationLists() {
		if due := l.Expires(); at.After(due) {
			found = append(found, Finding{
				What: CRLOutdated, Attention: true, Piece: &Piece{Kind: trust.KindCRL, ID: fingerprint(l.CRL.Raw), CRL: l.CRL, Dated: l.CRL.ThisUpdate},
				Country: l.CRL.Issuer.Country(), When: due,
			})
		}
	}
	for _, src := range s.Sources {
		for p := range src.All() {
			f := Finding{Piece: p, Source: src}
			if p.Certificate != nil {
				f.Country = p.Certificate.SubjectCountry()
			}
			switch {
			case p.Accepted && p.Kind == trust.KindMasterList && at.Sub(p.Dated) > MaxAge:
				f.What, f.When, f.Attention = ListOld, p.Dated, !s.newerList(p)
			case p.Accepted, p.Why == trust.Older:
				continue
			case p.Kind == trust.KindCertificate && p.Why == trust.NoIssuer && strings.HasPrefix(p.Where, "master list"):
				f.What = LinkWithoutRoot
			case src.promised(p):
				f.What, f.Attention = NoLongerAccepted, true
			default:
				continue
			}
			found = append(found, f)
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		switch {
		case a.Attention == b.Attention:
			return 0
		case a.Attention:
			return -1
		}
		return 1
	})
	return found
}

// promised reports whether a piece was accepted when it was imported: every
// piece that was kept by itself, and something of each file that was kept whole
// for the sake of a list in it.
func (s *Source) promised(p *Piece) bool {
	if slices.ContainsFunc(s.Pieces, (*Piece).list) {
		return s.accepted() == 0
	}
	return slices.Contains(s.Pieces, p)
}

// newerList reports whether the store has a later list of the same signer's
// state.
func (s *Store) newerList(p *Piece) bool {
	country := listCountry(p)
	for _, src := range s.Sources {
		for _, other := range src.Pieces {
			if other.Accepted && other.Kind == trust.KindMasterList && other.Dated.After(p.Dated) && listCountry(other) == country {
				return true
			}
		}
	}
	return false
}

func listCountry(p *Piece) string {
	for _, c := range signedData(p.item).Certificates {
		if country := c.SubjectCountry(); country != "" {
			return country
		}
	}
	return ""
}

func (s *Store) checkAnchors(at time.Time) (found []Finding) {
	valid := make(map[string]bool)
	last := make(map[string]time.Time)
	var states []string
	for _, a := range s.Pool.Anchors() {
		c := a.Certificate
		country := c.SubjectCountry()
		if _, seen := last[country]; !seen {
			states = append(states, country)
		}
		if c.NotAfter.After(last[country]) {
			last[country] = c.NotAfter
		}
		valid[country] = valid[country] || c.ValidAt(at)
		f := Finding{Piece: &Piece{Kind: trust.KindCertificate, ID: fingerprint(c.Raw), Certificate: c}, Country: country}
		switch {
		case s.Pool.RevokedAnchor(a):
			f.What, f.Attention = Revoked, true
		case at.After(c.NotAfter):
			f.What, f.When = Expired, c.NotAfter
		case at.Before(c.NotBefore):
			f.What, f.When = NotYetValid, c.NotBefore
		default:
			continue
		}
		found = append(found, f)
	}
	slices.Sort(states)
	for _, country := range states {
		if !valid[country] {
			found = append(found, Finding{What: StateExpired, Attention: true, Country: country, When: last[country]})
		}
	}
	return found
}

// NeedsAttention reports whether one of the findings does.
func NeedsAttention(found []Finding) bool {
	return slices.ContainsFunc(found, func(f Finding) bool { return f.Attention })
}
