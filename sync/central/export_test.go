package central

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/chamthe/chamthe/sync/contract"
)

// IsNumber reports whether a zone proves a personal number.
var IsNumber = isNumber

// SetClock gives a service that does not run yet another clock.
func (c *Central) SetClock(now func() time.Time) { c.now = now }

// OnStep has a registry call f before each write of an enrolment or a revocation.
func (r *Registry) OnStep(f func()) { r.step = f }

// Enrol does what the service does with a request that it has opened.
func (r *Registry) Enrol(ctx context.Context, agent string, code contract.EnrolCode) error {
	_, err := r.enrol(ctx, agent, code)
	return err
}

// Expire ends a code's time.
func (r *Registry) Expire(ctx context.Context, code contract.EnrolCode) error {
	var rec codeRecord
	rev, err := get(ctx, r.codes, codeKey(code), &rec)
	if err != nil {
		return err
	}
	rec.Expires = rec.Created
	_, err = put(ctx, r.codes, codeKey(code), &rec, rev)
	return err
}

// Limiter opens a limiter to tests.
type Limiter struct{ l *limiter }

func NewLimiter(every float64, burst, room int) Limiter {
	return Limiter{newLimiter(rate.Limit(every), burst, room)}
}

func (l Limiter) Allow(key string, now time.Time) bool { return l.l.allow(key, now) }
func (l Limiter) Spent(key string, now time.Time) bool { return l.l.spent(key, now) }
func (l Limiter) Len() int                             { return len(l.l.keys) }
