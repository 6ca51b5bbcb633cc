package trust

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
)

const (
	oidMasterList        = "2.23.136.1.1.2" // id-icao-cscaMasterList (Doc 9303-12, 9.1)
	oidMasterListSigning = "2.23.136.1.1.3" // id-icao-cscaMasterListSigningKey

	// maxListed bounds the certificates of a list; the German one has 588.
	maxListed = 8192
)

// MasterList is a CSCA master list (Doc 9303-12, 9). Reading it does not verify
// it: see [MasterList.Verify] and [Pool.AddMasterList].
type MasterList struct {
	SignedData *cms.SignedData
	Version    int
	// Certificates in the order of the list.
	Certificates []*cms.Certificate
	// Unreadable counts certificates that were passed over because they are
	// malformed. One odd certificate must not cost a hundred states.
	Unreadable int
}

// ParseMasterList reads a master list file. The certificates share memory with
// der, which must not be changed.
func ParseMasterList(der []byte) (*MasterList, error) {
	sd, err := cms.ParseSignedData(der)
	if err != nil {
		return nil, fmt.Errorf("trust: master list: %w", err)
	}
	return parseMasterList(sd)
}

func parseMasterList(sd *cms.SignedData) (*MasterList, error) {
	if sd.ContentType != oidMasterList {
		return nil, errors.New("trust: not a master list")
	}
	ml := &MasterList{SignedData: sd}
	content := cryptobyte.String(sd.Content)
	var body, set cryptobyte.String
	if !content.ReadASN1(&body, asn1.SEQUENCE) || !content.Empty() ||
		!body.ReadASN1Integer(&ml.Version) || !body.ReadASN1(&set, asn1.SET) || !body.Empty() {
		return nil, errors.New("trust: malformed master list")
	}
	if ml.Version != 0 {
		return nil, fmt.Errorf("trust: master list version %d", ml.Version)
	}
	for n := 0; !set.Empty(); n++ {
		var element cryptobyte.String
		if n == maxListed || !set.ReadASN1Element(&element, asn1.SEQUENCE) {
			return nil, errors.New("trust: malformed master list")
		}
		c, err := cms.ParseCertificate(element)
		if err != nil {
			ml.Unreadable++
			continue
		}
		ml.Certificates = append(ml.Certificates, c)
	}
	return ml, nil
}

// Verify reports whether the list is signed by a master list signer that the
// given root issued, with both valid at the given time. The root is the CSCA
// certificate that the caller pinned; one inside the list proves nothing.
func (ml *MasterList) Verify(root *cms.Certificate, at time.Time) error {
	_, _, err := verifyList(ml.SignedData, oidMasterListSigning, root, at)
	return err
}

// Signed returns when the list says it was signed, or zero. Only that of a list
// that was verified means anything.
func (ml *MasterList) Signed() time.Time {
	if len(ml.SignedData.Signers) == 0 {
		return time.Time{}
	}
	return ml.SignedData.Signers[0].SigningTime
}

// AddMasterList verifies the list under root at the given time and puts its
// certificates into the pool. On an error nothing is added.
//
// Each certificate still has to be self-signed or signed by a key of its state,
// as with [Pool.Add] and [Pool.AddLink]. That is found out when somebody first
// asks for its state, because the signatures of a whole list take thirty times
// as long as its own. [Pool.Import] does it at once, to tell what became of each.
func (p *Pool) AddMasterList(ml *MasterList, root *cms.Certificate, at time.Time, source string) error {
	origin := Anchor{Source: source}
	if err := p.believe(ml, root, at, &origin); err != nil {
		return err
	}
	p.await(ml.Certificates, origin)
	return nil
}

// believe verifies the list and dates the origin.
func (p *Pool) believe(ml *MasterList, root *cms.Certificate, at time.Time, origin *Anchor) error {
	if strings.TrimSpace(origin.Source) == "" {
		return ErrNoSource
	}
	signer, signed, err := verifyList(ml.SignedData, oidMasterListSigning, root, at)
	if err != nil {
		return err
	}
	if p.revoked(signer, root) {
		return ErrListRevoked
	}
	origin.Dated = signed
	return nil
}

// addMasterList is AddMasterList that places every certificate at once.
func (p *Pool) addMasterList(ml *MasterList, root *cms.Certificate, at time.Time, origin Anchor) ([]Candidate, error) {
	if err := p.believe(ml, root, at, &origin); err != nil {
		return nil, err
	}
	return p.addListed(ml.Certificates, origin), nil
}

// addListed places certificates that a master list vouches for.
func (p *Pool) addListed(certificates []*cms.Certificate, origin Anchor) []Candidate {
	candidates := make([]Candidate, 0, len(certificates))
	var links []*Candidate
	for i, c := range certificates {
		candidate := Candidate{Kind: KindCertificate, Where: fmt.Sprintf("master list entry %d", i+1), Certificate: c, Why: ByMasterList}
		candidates = append(candidates, candidate) // within the capacity: the pointers below stay good
		last := &candidates[len(candidates)-1]
		if a := p.anchor(c); a != nil {
			last.Why = ByPossession
			continue
		}
		origin.Why = ByMasterList
		if last.Err = p.add(c, origin); errors.Is(last.Err, ErrNotSelfSigned) {
			links = append(links, last)
		}
	}
	p.addLinks(links, origin)
	for i := range candidates {
		candidates[i].settle()
	}
	return candidates
}

// addLinks places link certificates. A link may be signed by another link's key:
// it goes on while any is placed. The chain of a state is a few links long; each
// round places one at least, and the candidates of a round are those that none
// of the keys known so far has signed.
func (p *Pool) addLinks(links []*Candidate, origin Anchor) {
	origin.Why = ByLink
	for placed := true; placed; {
		placed = false
		rest := links[:0]
		for _, l := range links {
			l.Why = ByLink
			switch l.Err = p.addLink(l.Certificate, origin); {
			case l.Err == nil:
				placed = true
			case errors.Is(l.Err, ErrNoIssuer), errors.Is(l.Err, ErrLinkCountry):
				rest = append(rest, l)
			}
		}
		links = rest
	}
}
