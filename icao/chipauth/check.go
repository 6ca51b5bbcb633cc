package chipauth

import (
	"errors"

	"github.com/chamthe/chamthe/icao/result"
)

// Reasons of the checks that [Check] returns.
const (
	ReasonNotOffered  result.Reason = "ca_not_offered"
	ReasonUnsupported result.Reason = "ca_algorithm_not_supported"
	ReasonKey         result.Reason = "ca_key_invalid"
	ReasonRefused     result.Reason = "ca_refused"
	ReasonNotProved   result.Reason = "ca_not_proved"
	ReasonInterrupted result.Reason = "ca_interrupted"
)

// ReasonOf names the cause of an error of this package; "" for nil.
func ReasonOf(err error) result.Reason {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrNotOffered):
		return ReasonNotOffered
	case errors.Is(err, ErrUnsupported):
		return ReasonUnsupported
	case errors.Is(err, ErrKey):
		return ReasonKey
	case errors.Is(err, ErrRefused):
		return ReasonRefused
	case errors.Is(err, ErrCardAuthentication):
		return ReasonNotProved
	}
	return ReasonInterrupted
}

// Check turns what [Authenticate] or [VerifyCAM] returned into the outcome of a
// check. A chip that announces chip authentication and refuses it has failed: a
// copy can do no better. An unknown algorithm is undetermined, a lost chip
// aborted. Success says nothing yet about the key's origin, see the package
// comment.
func Check(algorithm string, err error) result.Check {
	reason := ReasonOf(err)
	switch reason {
	case "":
		return result.Pass(algorithm)
	case ReasonNotOffered:
		return result.Check{Value: result.NotSupported, Reason: reason}
	case ReasonUnsupported:
		return result.Unknown(reason)
	case ReasonInterrupted:
		return result.Check{Value: result.Aborted, Reason: reason}
	}
	return result.Fail(reason)
}
