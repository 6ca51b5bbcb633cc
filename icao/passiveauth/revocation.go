package passiveauth

import (
	"time"

	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

// verifyRevocation judges whether the signer is revoked (BSI TR-03135-1,
// 5.6.4.3.5), by the list of its CSCA and by defect lists.
func (r *signerResult) verifyRevocation(pool *trust.Pool, at time.Time) {
	var checks []result.Check
	for _, d := range r.defects {
		if d.Type != trust.CertificateRevoked {
			continue
		}
		// BSI TR-03135-1, table 5.54.
		switch d.Status {
		case trust.RevokedNoIndication, trust.RevokedTesting, trust.RevokedByIssuer, trust.RevokedByListSigner:
			checks = append(checks, result.Fail(SignerRevoked))
		default:
			checks = append(checks, result.Unknown(SignerStatusUnclear))
		}
	}
	r.revocation = result.Worst(append(checks, r.byList(pool, pool.RevocationList(r.anchor), at))...)
}

func (r *signerResult) byList(pool *trust.Pool, list *trust.RevocationList, at time.Time) result.Check {
	if list == nil {
		return result.Unknown(NoRevocationInformation)
	}
	// A revocation is for good: it counts in an old list too, whatever its reason
	// and whenever it was.
	if _, listed := list.Revoked(r.certificate.SerialNumber); listed {
		return result.Fail(SignerRevoked)
	}
	if pool.RevokedAnchor(r.anchor) {
		return result.Fail(AnchorRevoked)
	}
	switch {
	case at.IsZero():
		return result.Unknown(TimeUnknown)
	case at.After(list.Expires()):
		return result.Unknown(RevocationListOutdated)
	// A list that is newer than the time asked for is good, as long as it had to
	// name the signer (RFC 5280, 3.3: entries of expired certificates go).
	case list.CRL.ThisUpdate.After(r.certificate.NotAfter):
		return result.Unknown(RevocationListTooLate)
	}
	return result.Pass(list.CRL.SignatureAlgorithm.Describe(list.Signer.Certificate.PublicKey))
}

// applyDefects softens failures that the state's own documents are known for
// (BSI TR-03135-1, 5.8.2), and takes away trust where the whole document is in
// doubt. It is for signers whose chain leads to an anchor only: who merely
// borrows the certificate of a defective signer gains nothing but yellow for red.
func (r *signerResult) applyDefects() {
	soften := func(c *result.Check, reasons ...result.Reason) {
		for _, why := range reasons {
			if c.Value == result.Failed && c.Reason == why {
				c.Value, c.Reason = result.Undetermined, KnownDefect
			}
		}
	}
	for _, d := range r.defects {
		switch d.Type {
		case trust.ValidityIncorrect: // 5.8.2.1.6
			if d.Status == trust.ValidityOfDS || d.Status == trust.ValidityOfBoth {
				soften(&r.validity, SignerExpired, SignerNotYetValid)
			}
			if d.Status == trust.ValidityOfCSCA || d.Status == trust.ValidityOfBoth {
				soften(&r.chain, AnchorExpired, AnchorNotYetValid)
			}
		case trust.SecurityObjectInvalid: // 5.8.2.2.2
			soften(&r.signature, SignatureInvalid, ContentDigestMismatch, SignedAttributesInvalid)
		}
		if d.Unknown() {
			r.chain = result.Worst(r.chain, result.Unknown(KnownDefect))
		}
	}
}
