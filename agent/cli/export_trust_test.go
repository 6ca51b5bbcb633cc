package cli

import (
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/trust"
)

// Because is a reason in words.
func Because(r trust.Reason) string { return because(r) }

// Reasons are all that have words.
func Reasons() (list []trust.Reason) {
	return append(list, trust.ByAdministrator, trust.ByMasterList, trust.ByLink, trust.BySignature, trust.ByPossession,
		trust.NotVouched, trust.Unreadable, trust.Unsupported, trust.NoIssuer, trust.SignatureInvalid, trust.NotCA, trust.OtherState,
		trust.SignerNotAllowed, trust.SignerNotTrusted, trust.SignerNotValid, trust.SignerRevoked, trust.Older, trust.DeltaCRL,
		trust.IndirectCRL, trust.PartialCRL, trust.ChangeRecord, trust.ReferenceElsewhere)
}

// Quirks says what is peculiar about a chip.
func Quirks(p *chip.Personalisation, v chip.Variant) []string { return quirksOf(p, v) }
