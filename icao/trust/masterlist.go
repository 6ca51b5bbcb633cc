package trust

import (
	"errors"
	"fmt"
	"slices"
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

// Reasons for which a master list is not believed, besides those of package cms.
var (
	// ErrListSigner reports that no embedded certificate made the signature.
	ErrListSigner = errors.New("trust: master list has no signer certificate")
	// ErrListPurpose reports a signer that may not sign master lists.
	ErrListPurpose = errors.New("trust: signer may not sign master lists")
	// ErrListRoot reports that the signer was not issued by the given root.
	ErrListRoot = errors.New("trust: master list signer is not issued by the root")
	// ErrListTime reports that the root or the signer is not valid at the time.
	ErrListTime = errors.New("trust: master list signer or root is not valid at this time")
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
	if root == nil || root.PublicKey == nil {
		return cms.ErrUnsupported
	}
	err := ErrListSigner
	for i := range ml.SignedData.Signers {
		si := &ml.SignedData.Signers[i]
		for _, signer := range ml.SignedData.SignerCertificates(si) {
			if err = ml.verify(si, signer, root, at); err == nil {
				return nil
			}
		}
	}
	return err
}

func (ml *MasterList) verify(si *cms.SignerInfo, signer, root *cms.Certificate, at time.Time) error {
	if err := ml.SignedData.Verify(si, signer); err != nil {
		return err
	}
	switch {
	// Without this, any document signer of the state could sign a list of
	// anchors (Doc 9303-12, 7.1.1).
	case !slices.Contains(signer.ExtendedKeyUsage, oidMasterListSigning),
		signer.IsCA,
		signer.HasKeyUsage && signer.KeyUsage&cms.KeyUsageDigitalSignature == 0,
		len(signer.UnknownCritical) > 0:
		return ErrListPurpose
	case signer.CheckSignatureBy(root.PublicKey) != nil:
		return ErrListRoot
	case !signer.ValidAt(at) || !root.ValidAt(at):
		return ErrListTime
	}
	return nil
}

// Added counts what became of the certificates of a master list.
type Added struct {
	Roots   int // self-signed: trusted on the word of the list
	Links   int // signed by a key of the pool
	Orphans int // link certificates without an issuer in the pool: left out
	Refused int // unsupported key, not a CA, link to another state
}

// AddMasterList verifies the list under root at the given time and puts its
// certificates into the pool. On an error nothing is added.
func (p *Pool) AddMasterList(ml *MasterList, root *cms.Certificate, at time.Time, source string) (Added, error) {
	if err := ml.Verify(root, at); err != nil {
		return Added{}, err
	}
	var added Added
	var links []*cms.Certificate
	for _, c := range ml.Certificates {
		switch err := p.Add(c, source); {
		case err == nil:
			added.Roots++
		case errors.Is(err, ErrNoSource):
			return Added{}, err // the first one already: nothing was added
		case errors.Is(err, ErrNotSelfSigned):
			links = append(links, c)
		default:
			added.Refused++
		}
	}
	// A link may be signed by another link's key: go on while any is placed. The
	// chain of a state is a few links long, and maxListed bounds the rounds.
	for placed := true; placed; {
		placed = false
		rest := links[:0]
		for _, c := range links {
			switch err := p.AddLink(c, source); {
			case err == nil:
				added.Links++
				placed = true
			case errors.Is(err, ErrNoIssuer):
				rest = append(rest, c)
			default:
				added.Refused++
			}
		}
		links = rest
	}
	added.Orphans = len(links)
	return added, nil
}
