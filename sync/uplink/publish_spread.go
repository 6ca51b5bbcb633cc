package uplink

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/chamthe/chamthe/sync/internal/natsconn"
)

// When a server comes back after an outage, ten thousand agents would connect,
// and send what they have recorded meanwhile, in the same second. Two random
// waits keep them apart, both uniform, so that no moment is busier than another:
//
//   - Whoever has lost its link waits before it looks for the server again. Those
//     that find none take [natsconn.Backoff] from there, up to RetryMax.
//   - Whoever has found it again waits before it sends what has gathered: at most
//     as long as the outage was, so that the agents together send no more than
//     twice what they send on any day, and at most RetryMax. Lookups do not wait,
//     nor does an agent that has nothing to send.
//
// A process that finds the server at once does not wait: it was started by
// itself, and somebody may be watching.

// returnPart of RetryMax is the longest wait after a link was lost: ten seconds
// of the default minute, a thousand handshakes a second for ten thousand agents.
const returnPart = 6

// spread draws the waits. The zero value draws them at random.
type spread struct {
	draw func(below time.Duration) time.Duration // nil: uniform
}

// below returns a wait in [0, limit).
func (s spread) below(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	if s.draw != nil {
		return s.draw(limit)
	}
	return rand.N(limit)
}

// reconnect returns how long to wait after a link was lost.
func (s spread) reconnect(retryMax time.Duration) time.Duration {
	return s.below(retryMax / returnPart)
}

// turn returns how long to wait before a backlog is sent.
func (s spread) turn(outage, retryMax time.Duration) time.Duration {
	return s.below(min(outage, retryMax))
}

// takeTurn waits, after an outage, for this agent's turn to send its backlog. It
// reports whether ctx lasted. The turn is drawn once for an outage: a link that
// comes and goes does not put it off.
func (u *Uplink) takeTurn(ctx context.Context) bool {
	if u.outage.IsZero() {
		return ctx.Err() == nil
	}
	if u.queued(ctx) > 0 {
		if u.turn.IsZero() {
			wait := u.spread.turn(time.Since(u.outage), u.cfg.RetryMax)
			u.turn = time.Now().Add(wait)
			u.log.Info("backlog waits for its turn", "wait", wait)
		}
		if !natsconn.Sleep(ctx, time.Until(u.turn)) {
			return false
		}
	}
	u.outage, u.turn = time.Time{}, time.Time{}
	return ctx.Err() == nil
}

// queued returns how many visits wait to be sent. An error is met again, and
// told, where they are read.
func (u *Uplink) queued(ctx context.Context) int {
	s, err := u.cfg.Queue.Stats(ctx)
	if err != nil {
		return 0
	}
	return s.Queued
}
