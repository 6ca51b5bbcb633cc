package trust

import (
	"errors"
	"slices"
	"time"

	"github.com/chamthe/chamthe/icao/cms"
)

// Reasons for which a signed list is not believed, besides those of package cms.
// A list is a master list, a defect list or a deviation list.
var (
	// ErrListSigner reports that no embedded certificate made the signature.
	ErrListSigner = errors.New("trust: list has no signer certificate")
	// ErrListPurpose reports a signer that may not sign lists of this kind.
	ErrListPurpose = errors.New("trust: signer may not sign such lists")
	// ErrListRoot reports that the signer was not issued by the given root.
	ErrListRoot = errors.New("trust: list signer is not issued by the root")
	// ErrListTime reports that the root or the signer is not valid at the time.
	ErrListTime = errors.New("trust: list signer or root is not valid at this time")
	// ErrListRevoked reports that a revocation list in the pool names the signer.
	ErrListRevoked = errors.New("trust: list signer is revoked")
	// ErrOldList reports a list that is older than the one in the pool.
	ErrOldList = errors.New("trust: a newer list is in the pool")
)

// verifyList reports whether a signer that the root issued for this purpose, an
// extended key usage, signed sd, with both valid at the given time. It returns
// the signer and what it says of the time of signing.
func verifyList(sd *cms.SignedData, purpose string, root *cms.Certificate, at time.Time) (signer *cms.Certificate, signed time.Time, err error) {
	if root == nil || root.PublicKey == nil {
		return nil, time.Time{}, cms.ErrUnsupported
	}
	err = ErrListSigner
	for i := range sd.Signers {
		si := &sd.Signers[i]
		for _, signer := range sd.SignerCertificates(si) {
			if err = verifyListSigner(sd, si, signer, purpose, root, at); err == nil {
				return signer, si.SigningTime, nil
			}
		}
	}
	return nil, time.Time{}, err
}

func verifyListSigner(sd *cms.SignedData, si *cms.SignerInfo, signer *cms.Certificate, purpose string, root *cms.Certificate, at time.Time) error {
	if err := sd.Verify(si, signer); err != nil {
		return err
	}
	switch {
	// Without this, any document signer of the state could sign a list of
	// anchors (Doc 9303-12, 7.1.1).
	case !slices.Contains(signer.ExtendedKeyUsage, purpose),
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

// revoked reports whether a revocation list of the pool names a certificate that
// root issued.
func (p *Pool) revoked(c, root *cms.Certificate) bool {
	key := root.PublicKey.ID()
	p.placeEach(p.waiting.byKey[key])
	anchors := p.byKey[key]
	if len(anchors) == 0 {
		return false
	}
	_, listed := p.revocationList(anchors[0]).Revoked(c.SerialNumber)
	return listed
}
