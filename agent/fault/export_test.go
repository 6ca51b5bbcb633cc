package fault

import (
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/result"
)

// Sentinels returns the errors that [Classify] knows, with their codes.
func Sentinels() (errs []error, codes []Code) {
	for _, s := range sentinels {
		errs, codes = append(errs, s.err), append(codes, s.code)
	}
	return errs, codes
}

// Checks returns the codes of failed checks.
func Checks() map[inspect.ID]map[result.Value]Code { return checks }
