package trust

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/chamthe/chamthe/icao/cms"
)

// Reasons for which a revocation list does not enter a [Pool], besides
// [ErrNoSource], [ErrNoIssuer] and those of package cms.
var (
	// ErrCRLSigner reports that the certificates of the key that signed the list
	// do not allow it to sign revocation lists (RFC 5280, 6.3.3 (f)).
	ErrCRLSigner = errors.New("trust: key may not sign revocation lists")
	// ErrCRLCountry reports a list in the name of another state than its signer's.
	ErrCRLCountry = errors.New("trust: revocation list names another state than its signer")
	// ErrOldCRL reports a list that is older than the one in the pool: somebody
	// may wish a revocation forgotten.
	ErrOldCRL = errors.New("trust: a newer revocation list is in the pool")
)

// crlLifetime is how long a list without nextUpdate counts as current: a CSCA
// issues one every 90 days at least (Doc 9303-12, 4.1.5).
const crlLifetime = 90 * 24 * time.Hour

// RevocationList is a revocation list whose signature was verified. It must not
// be changed. A nil *RevocationList lists nothing and is never current.
type RevocationList struct {
	CRL    *cms.CRL
	Source string
	Signer *Anchor // whose key signed it
}

// Revoked returns the entry for a serial number, see [cms.CRL.Revoked].
func (l *RevocationList) Revoked(serial []byte) (cms.Revocation, bool) {
	if l == nil {
		return cms.Revocation{}, false
	}
	return l.CRL.Revoked(serial)
}

// Expires returns when a newer list is due.
func (l *RevocationList) Expires() time.Time {
	if l.CRL.NextUpdate.IsZero() {
		return l.CRL.ThisUpdate.Add(crlLifetime)
	}
	return l.CRL.NextUpdate
}

// newer reports whether l is to replace other.
func (l *RevocationList) newer(other *RevocationList) bool {
	if other == nil {
		return true
	}
	if !l.CRL.ThisUpdate.Equal(other.CRL.ThisUpdate) {
		return l.CRL.ThisUpdate.After(other.CRL.ThisUpdate)
	}
	a, b := bytes.TrimLeft(l.CRL.Number, "\x00"), bytes.TrimLeft(other.CRL.Number, "\x00")
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return bytes.Compare(a, b) > 0
}

// AddCRL puts a revocation list into the pool if a key of the pool signed it,
// and returns [ErrNoIssuer] if there is no such key, [cms.ErrSignature] if the
// key that the list names did not sign it. Anchors go first.
//
// A list speaks for its CSCA: for all that the CSCA's earlier and later keys
// issued as well (Doc 9303-12, 4.1.5), which is to say every anchor that shares
// its signer's key or name or is bound to it by link certificates. It does not
// speak for another CSCA of the same state, of which there are several (Vietnam
// has one for passports and one for identity cards). The newest list of each
// CSCA is kept, [ErrOldCRL] is returned for an older one; the same again is no
// error.
func (p *Pool) AddCRL(c *cms.CRL, source string) error {
	if strings.TrimSpace(source) == "" {
		return ErrNoSource
	}
	if c == nil {
		return cms.ErrUnsupported
	}
	err := error(ErrNoIssuer)
	for _, a := range p.findIssuers(c.AuthorityKeyID, c.Issuer) {
		switch signed := c.CheckSignatureBy(a.Certificate.PublicKey); {
		case errors.Is(signed, cms.ErrSignature):
			// As in passive authentication: only a key that the list names by its
			// identifier can be said to have not signed it.
			if err == ErrNoIssuer && c.AuthorityKeyID != nil && a.Certificate.SubjectKeyID != nil {
				err = signed
			}
			continue
		case signed != nil:
			err = signed
			continue
		}
		switch {
		case c.Issuer.Country() != a.Certificate.SubjectCountry():
			err = ErrCRLCountry
			continue
		case a.Certificate.HasKeyUsage && a.Certificate.KeyUsage&cms.KeyUsageCRLSign == 0:
			err = ErrCRLSigner
			continue // a root and its links may differ
		}
		l, old := &RevocationList{CRL: c, Source: source, Signer: a}, a.family.crl
		switch {
		case l.newer(old):
			a.family.crl = l
			return nil
		case bytes.Equal(c.Raw, old.CRL.Raw):
			return nil
		}
		return ErrOldCRL
	}
	return err
}

// RevocationList returns the newest list that speaks for what the CSCA of this
// anchor issued, or nil. It takes constant time, once the state was asked for.
func (p *Pool) RevocationList(a *Anchor) *RevocationList {
	if p == nil || a == nil || a.family == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.revocationList(a)
}

func (p *Pool) revocationList(a *Anchor) *RevocationList {
	p.place(a.Certificate.SubjectCountry()) // the rest of its family
	return a.family.crl
}

// RevokedAnchor reports whether the CSCA itself has revoked a certificate of this
// anchor's key, or one of a key that vouched for it through link certificates:
// what a revoked key signed is revoked as well (Doc 9303-12, 4.1.5.1). Unlike a
// document signer's, the entry has to be in the certificate's own issuer's name:
// a mistake would cost all documents of a state.
func (p *Pool) RevokedAnchor(a *Anchor) bool {
	if p == nil || a == nil || a.family == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.revocationList(a)
	if l == nil {
		return false
	}
	for ; a != nil; a = a.Issuer {
		for _, same := range p.byKey[a.Certificate.PublicKey.ID()] {
			if _, listed := l.Revoked(same.Certificate.SerialNumber); listed && l.speaksInNameOf(same.Certificate.Issuer) {
				return true
			}
		}
	}
	return false
}

func (l *RevocationList) speaksInNameOf(n cms.Name) bool {
	return n.Equal(l.CRL.Issuer) || slices.ContainsFunc(l.CRL.AltNames, n.Equal)
}

// RevocationLists returns the lists of the pool, one for each CSCA that has one,
// in the order of the anchors.
func (p *Pool) RevocationLists() []*RevocationList {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var lists []*RevocationList
	seen := make(map[*family]bool)
	for _, a := range p.anchors {
		if f := a.family; f.crl != nil && !seen[f] {
			seen[f] = true
			lists = append(lists, f.crl)
		}
	}
	return lists
}

// family is one CSCA: all anchors with the same key or the same name, and those
// to which a link certificate leads. States change the name along with the key
// (a serial number in it, say), so that neither alone tells.
type family struct {
	members    []*Anchor
	crl        *RevocationList
	deviations *DeviationList
}

// join makes one family of two. The smaller one's members move, so that n
// anchors move at most n log n times.
func join(a, b *Anchor) {
	to, from := a.family, b.family
	if to == from {
		return
	}
	if len(to.members) < len(from.members) {
		to, from = from, to
	}
	for _, m := range from.members {
		m.family = to
	}
	to.members = append(to.members, from.members...)
	if from.crl != nil && from.crl.newer(to.crl) {
		to.crl = from.crl
	}
	if from.deviations != nil && (to.deviations == nil || from.deviations.Signed.After(to.deviations.Signed)) {
		to.deviations = from.deviations
	}
}
