package inspect

import (
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

// MaxAccessExchanges bounds what comes before the chip has opened.
const MaxAccessExchanges = maxAccessExchanges

// Comparisons of contents, for their tables.
var (
	DocumentValidityOf = documentValidity
	SameBirth          = sameBirth
)

// ApplyDefects returns a report with the checks given, after what is known of the
// documents of its signer has been applied to it.
func ApplyDefects(checks map[ID]result.Check, cardSecurityFailed bool, defects ...trust.KnownDefect) *Report {
	in := &inspection{r: &Report{}, defects: defects, cardSecurityFailed: cardSecurityFailed}
	for id, c := range checks {
		in.r.set(id, c)
	}
	in.applyDefects()
	return in.r
}

// ReportOf returns a report with the checks given.
func ReportOf(checks map[ID]result.Check) *Report {
	r := &Report{}
	for id, c := range checks {
		r.set(id, c)
	}
	return r
}
