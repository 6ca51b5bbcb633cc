package central

import (
	"errors"

	"github.com/chamthe/chamthe/icao/activeauth"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/sync/contract"
)

// passiveReason turns a result of passive authentication into the reason for
// the agent; "" when all of it holds. Data that were changed come before
// certificates: where both are broken, the forgery is the news.
func passiveReason(r passiveauth.Result) contract.Reason {
	if r.Overall().Value == result.Successful {
		return ""
	}
	switch {
	case r.Signature.Reason == passiveauth.AlgorithmUnsupported, r.Hashes.Reason == passiveauth.AlgorithmUnsupported:
		return contract.ReasonUnsupportedAlgorithm
	case r.Signature.Reason == passiveauth.SignerCertificateMissing, r.Signature.Reason == passiveauth.SignerCertificateUnreadable:
		return contract.ReasonNoTrustAnchor
	case r.Signature.Value != result.Successful:
		return contract.ReasonSODSignature
	case r.Hashes.Reason == passiveauth.NotCovered:
		return contract.ReasonNotCovered
	case r.Hashes.Value != result.Successful:
		return contract.ReasonHashMismatch
	case r.Chain.Reason == passiveauth.NoTrustAnchor:
		return contract.ReasonNoTrustAnchor
	case r.Chain.Reason == passiveauth.AlgorithmUnsupported:
		return contract.ReasonUnsupportedAlgorithm
	case r.Chain.Value != result.Successful:
		return contract.ReasonChain
	case r.SignerValidity.Value != result.Successful:
		return contract.ReasonSignerExpired // or not valid yet
	case r.IssuingState.Reason == passiveauth.IssuingStateUnknown:
		return contract.ReasonNoTrustAnchor
	case r.IssuingState.Reason == passiveauth.IssuingStateUnreadable:
		return contract.ReasonEvidenceMalformed
	default:
		// The state in DG1 is another than its CSCA's, or a check that is newer
		// than this function.
		return contract.ReasonChain
	}
}

// activeReason does the same for a chip's signature.
func activeReason(err error) contract.Reason {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, activeauth.ErrUnsupported):
		return contract.ReasonUnsupportedAlgorithm
	case errors.Is(err, activeauth.ErrKey):
		return contract.ReasonEvidenceMalformed
	default:
		return contract.ReasonChipSignature
	}
}
