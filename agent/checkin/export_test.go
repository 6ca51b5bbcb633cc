package checkin

// Parts of the encoding, for their tables.
var (
	BirthDate  = birthDate
	ExpiryDate = expiryDate
	PersonOf   = person
)
