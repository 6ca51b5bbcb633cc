package checkin

import "time"

// Parts of the encoding, for their tables.
var (
	BirthDate  = birthDate
	ExpiryDate = expiryDate
	PersonOf   = person
	Years      = years
)

// Expire does what is due, as the clock of Front does.
func (f *Front) Expire() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.expire(f.cfg.Now())
}

// Kept returns how many check-ins are kept that have ended.
func (f *Front) Kept() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.kept)
}
