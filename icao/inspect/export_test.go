package inspect

// Comparisons of contents, for their tables.
var (
	DocumentValidityOf = documentValidity
	SameBirth          = sameBirth
)
