package checkin

import (
	"time"

	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/sync/contract"
)

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

// Typed returns whom a check-in without a chip is about, once it knows.
func Typed(f *Front, s wire.Start) (p contract.Person, known bool, err error) {
	t, err := f.newTurn(s)
	if err != nil || t.typed == nil {
		return p, false, err
	}
	return t.typed.person, true, nil
}
