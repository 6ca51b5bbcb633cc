// Package trust holds the certificates that an administrator has chosen to
// believe: country signing CA (CSCA) certificates, with their origin and date,
// and finds the one that issued a document signer. It follows Doc 9303-12 (8th
// edition) and, for the look-up, BSI TR-03135-1 (version 2.5), 5.6.4.3.3.
//
// All trust begins with a word from outside: a self-signed CSCA certificate that
// someone put into the pool ([Pool.Add]), or a master list under a pinned root
// ([Pool.AddMasterList]). A link certificate, with which a state carries its
// trust over to a new key, enters only if a key already in the pool signed it
// ([Pool.AddLink]). Revocation lists enter when a key of the pool signed them
// ([Pool.AddCRL]), defect lists of BSI TR-03129-2 under a pinned root
// ([Pool.AddDefectList]), deviation lists of a state when its CSCA issued their
// signer ([Pool.AddDeviationList]).
//
// Files come in many dresses; [Items] takes off PEM, PKCS #7 and LDIF, and
// [Pool.Import] decides about each piece and says why.
//
// The certificates of a master list are checked, each by its own signature or
// that of a link, when somebody first asks for their state: a document needs five
// of the six hundred. See [Pool.AddMasterList].
//
// What is left out: document signer lists, the fetching of anything, and any
// opinion on time. An expired CSCA certificate stays in the pool, because
// documents that it covers are judged at a time that the caller names.
package trust

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chamthe/chamthe/icao/cms"
)

// Reasons for which a certificate does not enter a [Pool].
var (
	// ErrNoSource reports that no source was named. Trust without an origin
	// cannot be reviewed.
	ErrNoSource = errors.New("trust: no source given")
	// ErrNotSelfSigned reports that a certificate is not signed by its own key,
	// so that it is no CSCA root: it may be a link certificate.
	ErrNotSelfSigned = errors.New("trust: certificate is not self-signed")
	// ErrNotCA reports that a certificate says of itself that it issues none.
	ErrNotCA = errors.New("trust: certificate is not that of a CA")
	// ErrNoIssuer reports that no key of the pool signed a link certificate.
	ErrNoIssuer = errors.New("trust: no key of the pool signed the certificate")
	// ErrLinkCountry reports a link certificate for another state than the one
	// that signed it.
	ErrLinkCountry = errors.New("trust: link certificate names another state than its issuer")
)

// Anchor is a trusted CSCA certificate. It must not be changed.
type Anchor struct {
	Certificate *cms.Certificate
	// Source says where the certificate came from and when, for a person to
	// read: "German master list of 2026-05-28".
	Source string
	// Issuer is nil for a root, which is trusted on the word of Source. For a link
	// certificate it is the anchor whose key signed it.
	Issuer *Anchor

	// Why says how it was accepted: [ByAdministrator], [ByMasterList] or [ByLink].
	Why Reason
	// Dated is the date of the source as far as it has one: when the master list
	// was signed. Zero when unknown.
	Dated time.Time
	// Added is when it was imported; zero when that was not said.
	Added time.Time

	family *family // never nil in a pool
}

// Pool is a set of trusted CSCA certificates. Make one with [NewPool]. A nil
// *Pool is empty and can be asked. Filling a pool needs one goroutine; a pool
// that nobody fills any more may be asked by many.
type Pool struct {
	mu      sync.Mutex // of every question: it may place what waits
	waiting waiting

	anchors   []*Anchor
	bySKI     map[string][]*Anchor
	bySubject map[string][]*Anchor // cms.Name.Key of the subject
	byCountry map[string][]*Anchor // upper case
	byKey     map[string][]*Anchor // cms.PublicKey.ID
	seen      map[[sha256.Size]byte]*Anchor

	defectLists map[string]*DefectList // by the ID of the root's key
	defects     map[string][]*Defect   // by Defect.keys

	// Document signers kept for documents that do not bring their own.
	signersBySKI    map[string][]*cms.Certificate
	signersBySerial map[string][]*cms.Certificate
}

// NewPool returns an empty pool, which trusts nobody.
func NewPool() *Pool {
	return &Pool{
		bySKI:           make(map[string][]*Anchor),
		bySubject:       make(map[string][]*Anchor),
		byCountry:       make(map[string][]*Anchor),
		byKey:           make(map[string][]*Anchor),
		seen:            make(map[[sha256.Size]byte]*Anchor),
		waiting:         newWaiting(),
		defectLists:     make(map[string]*DefectList),
		defects:         make(map[string][]*Defect),
		signersBySKI:    make(map[string][]*cms.Certificate),
		signersBySerial: make(map[string][]*cms.Certificate),
	}
}

// Add puts a CSCA root into the pool, on the caller's word. The certificate must
// be signed by its own key: that proves nothing about its origin, and refuses a
// damaged file, a link certificate or a document signer that was taken for a
// root. Adding it twice is no error; the first source stays.
func (p *Pool) Add(c *cms.Certificate, source string) error {
	return p.add(c, Anchor{Source: source, Why: ByAdministrator})
}

func (p *Pool) add(c *cms.Certificate, origin Anchor) error {
	if err := check(c, origin.Source); err != nil {
		return err
	}
	// A certificate that is in the pool was checked when it came.
	if p.anchor(c) != nil {
		return nil
	}
	if !c.SelfSigned() {
		return ErrNotSelfSigned
	}
	p.insert(c, origin)
	return nil
}

// AddLink puts a link certificate into the pool if a key in the pool signed it,
// and returns [ErrNoIssuer] otherwise. Roots go first.
//
// A link stays within its state: otherwise every state of the pool could sign
// itself a CSCA certificate in the name of another. (The United Kingdom and
// Bermuda share a CSCA and link the two names; nothing is lost by refusing
// those, as both names have roots of the same key. A link of one of them is not
// refused because the key is the other's as well.)
func (p *Pool) AddLink(c *cms.Certificate, source string) error {
	return p.addLink(c, Anchor{Source: source, Why: ByLink})
}

func (p *Pool) addLink(c *cms.Certificate, origin Anchor) error {
	if err := check(c, origin.Source); err != nil {
		return err
	}
	// A certificate that does not say that it is a CA's must not become an issuer
	// here: every document signer is signed by a key of the pool as well.
	if !c.IsCA && c.KeyUsage&cms.KeyUsageCertSign == 0 {
		return ErrNotCA
	}
	if p.anchor(c) != nil {
		return nil
	}
	err := error(ErrNoIssuer)
	for _, issuer := range p.findIssuers(c.AuthorityKeyID, c.Issuer) {
		if c.CheckSignatureBy(issuer.Certificate.PublicKey) != nil {
			continue
		}
		if c.SubjectCountry() != issuer.Certificate.SubjectCountry() {
			err = ErrLinkCountry // unless its own state has the key too
			continue
		}
		origin.Issuer = issuer
		p.insert(c, origin)
		return nil
	}
	return err
}

// anchor returns the entry of a certificate, nil when it is not in the pool.
func (p *Pool) anchor(c *cms.Certificate) *Anchor {
	p.place(c.SubjectCountry())
	return p.seen[sha256.Sum256(c.Raw)]
}

func check(c *cms.Certificate, source string) error {
	switch {
	case strings.TrimSpace(source) == "":
		return ErrNoSource
	case c == nil || c.PublicKey == nil:
		return cms.ErrUnsupported
	// Basic constraints of CSCA certificates are at times absent or empty; the key
	// usage then tells (Doc 9303-12, 7.1.1 makes both mandatory).
	case !c.IsCA && c.HasKeyUsage && c.KeyUsage&cms.KeyUsageCertSign == 0:
		return ErrNotCA
	}
	return nil
}

func (p *Pool) insert(c *cms.Certificate, origin Anchor) {
	id := sha256.Sum256(c.Raw)
	if p.seen[id] != nil {
		return
	}
	a := &origin
	a.Certificate = c
	a.family = &family{members: []*Anchor{a}}
	p.seen[id] = a
	p.anchors = append(p.anchors, a)
	if c.SubjectKeyID != nil {
		key := string(c.SubjectKeyID)
		p.bySKI[key] = append(p.bySKI[key], a)
	}
	name, key, country := c.Subject.Key(), c.PublicKey.ID(), c.SubjectCountry()
	p.bySubject[name] = append(p.bySubject[name], a)
	p.byKey[key] = append(p.byKey[key], a)
	p.byCountry[country] = append(p.byCountry[country], a)

	// One CSCA is one family. A name without a country is nobody's in particular.
	join(a, p.byKey[key][0])
	if country != "" {
		join(a, p.bySubject[name][0])
	}
	if a.Issuer != nil {
		join(a, a.Issuer)
	}
}

// Len returns the number of certificates in the pool, roots and links. All of
// them are checked for that.
func (p *Pool) Len() int { return len(p.Anchors()) }

// Anchors returns the certificates in the order in which they came, those of a
// master list by state. All of them are checked for that.
func (p *Pool) Anchors() []*Anchor {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.placeAll()
	return slices.Clone(p.anchors)
}

// Country returns the certificates of a state, by the country code of their
// subject (ISO 3166-1 alpha-2, or a code like EU or UN), in either case.
func (p *Pool) Country(code string) []*Anchor {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code = strings.ToUpper(code)
	p.place(code)
	return slices.Clone(p.byCountry[code])
}

// FindIssuers returns the certificates that may have issued c. When c has an
// authority key identifier they are those with that subject key identifier:
// mostly one, or a root and its links, all with the same key unless somebody
// cheats. Only when an identifier is missing, on either side, they are those
// whose subject is c's issuer; such a find may be the wrong key of the right
// state, so that a signature that does not verify proves nothing.
//
// Being found is not being verified: the caller checks the signature with each.
func (p *Pool) FindIssuers(c *cms.Certificate) []*Anchor {
	if p == nil || c == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.findIssuers(c.AuthorityKeyID, c.Issuer)
}

func (p *Pool) findIssuers(authorityKeyID []byte, issuer cms.Name) []*Anchor {
	p.place(issuer.Country())
	p.placeEach(p.waiting.bySKI[string(authorityKeyID)])
	if found := p.bySKI[string(authorityKeyID)]; authorityKeyID != nil && len(found) > 0 {
		return slices.Clone(found)
	}
	named := p.bySubject[issuer.Key()]
	if authorityKeyID == nil {
		return slices.Clone(named)
	}
	var found []*Anchor
	for _, a := range named {
		if a.Certificate.SubjectKeyID == nil {
			found = append(found, a)
		}
	}
	return found
}

// AddSigner keeps a document signer certificate for documents that carry none
// (Doc 9303-10, 4.6.2 leaves it to the state). It makes the certificate known,
// not trusted: it is verified like one that came with the document.
func (p *Pool) AddSigner(c *cms.Certificate) {
	if c.SubjectKeyID != nil {
		p.signersBySKI[string(c.SubjectKeyID)] = append(p.signersBySKI[string(c.SubjectKeyID)], c)
	}
	p.signersBySerial[string(c.SerialNumber)] = append(p.signersBySerial[string(c.SerialNumber)], c)
}

// FindSigners returns the kept document signer certificates that si names.
func (p *Pool) FindSigners(si *cms.SignerInfo) []*cms.Certificate {
	if p == nil || si == nil {
		return nil
	}
	candidates := p.signersBySerial[string(si.SerialNumber)]
	if si.SubjectKeyID != nil {
		candidates = p.signersBySKI[string(si.SubjectKeyID)]
	}
	var found []*cms.Certificate
	for _, c := range candidates {
		if si.Names(c) {
			found = append(found, c)
		}
	}
	return found
}
