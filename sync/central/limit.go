package central

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// What one agent may cost the others, for each worker. The limits are far above
// what a desk does: ten receptionists do not look up ten people a second. An agent
// that is over one is not told that it was wrong. It is treated as if the service
// were out of reach, and goes on with what it knows.
const (
	// lookupsPerSecond lets a hospital system that shares one agent look up a whole
	// waiting list, and nobody a whole province.
	lookupsPerSecond = 10
	lookupsBurst     = 300
	// bundlesPerSecond and bundlesBurst let an agent fetch its lists, each in many
	// parts, one after the other.
	bundlesPerSecond = 10
	bundlesBurst     = 1000
	// noncesPerSecond is for all agents of a facility, which ask for one every few
	// minutes, and all at once when the link is back.
	noncesPerSecond = 20
	noncesBurst     = 1000
	// badPerMinute are visits that are refused at the door: not signed, not an
	// agent's, not what they say they are. An honest agent has none, or, in a version
	// that is broken, as many as it has visits on a day.
	badPerMinute = 6
	badBurst     = 100
	// statusesPerMinute is more often than an agent tells how it is.
	statusesPerMinute = 6
	statusesBurst     = 10

	// keysKnown bounds the memory of a limiter; beyond it some keys are forgotten.
	// They are agents that are enrolled, or that the NATS server let in under that
	// name: nobody can make more of them.
	keysKnown = 1 << 15
)

// limits are those of one process. They outlive a connection: whoever has it cut off
// does not begin anew.
type limits struct{ lookups, bundles, nonces, bad, statuses *limiter }

func newLimits() limits {
	return limits{
		lookups:  newLimiter(lookupsPerSecond, lookupsBurst, keysKnown),
		bundles:  newLimiter(bundlesPerSecond, bundlesBurst, keysKnown),
		nonces:   newLimiter(noncesPerSecond, noncesBurst, keysKnown), // by facility
		bad:      newLimiter(rate.Limit(badPerMinute)/60, badBurst, keysKnown),
		statuses: newLimiter(rate.Limit(statusesPerMinute)/60, statusesBurst, keysKnown),
	}
}

// limiter counts how often each of many keys does something. It is safe for
// concurrent use.
type limiter struct {
	every rate.Limit
	burst int
	room  int

	mu   sync.Mutex
	keys map[string]*rate.Limiter
}

func newLimiter(every rate.Limit, burst, room int) *limiter {
	return &limiter{every: every, burst: burst, room: room, keys: make(map[string]*rate.Limiter)}
}

// spent reports whether a key may not do it now. It counts nothing.
func (l *limiter) spent(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.keys[key]
	return k != nil && k.TokensAt(now) < 1
}

// allow counts, and reports whether the key may do it.
func (l *limiter) allow(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.keys[key]
	if k == nil {
		if len(l.keys) >= l.room {
			l.forget(now)
		}
		k = rate.NewLimiter(l.every, l.burst)
		l.keys[key] = k
	}
	return k.AllowN(now, 1)
}

// forget makes room: first those who have waited long enough, then anybody.
func (l *limiter) forget(now time.Time) {
	for key, k := range l.keys {
		if k.TokensAt(now) >= float64(l.burst) {
			delete(l.keys, key)
		}
	}
	for key := range l.keys {
		if len(l.keys) < l.room {
			return
		}
		delete(l.keys, key)
	}
}
