package uplink

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/internal/natsconn"
)

// The agent tells how it is while it is connected: soon after it has connected,
// and then every Config.StatusEvery, each time give or take a quarter, so that ten
// thousand agents do not tell it in step. A status is not acknowledged and not
// repeated: the next one says it anew, and its absence says enough.

// statusSoon is the part of Config.StatusEvery within which a new connection tells
// its first status: a minute and a bit of the default.
const statusSoon = 4

// tell publishes the agent's status for as long as the session lasts.
func (u *Uplink) tell(ctx context.Context, nc *nats.Conn) error {
	if u.cfg.Status == nil {
		return nil
	}
	wait := rand.N(u.cfg.StatusEvery / statusSoon)
	for natsconn.Sleep(ctx, wait) {
		wait = u.cfg.StatusEvery*3/4 + rand.N(u.cfg.StatusEvery/2)
		m, err := u.status(ctx)
		if err == nil {
			err = nc.PublishMsg(&nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload})
		}
		if err != nil && ctx.Err() == nil {
			// Whoever made the status put something into it that it cannot hold, or the
			// connection has just ended.
			u.log.Warn("status was not told", "error", err)
		}
	}
	return nil
}

// status makes the message: what the hook knows, and what the uplink knows better.
func (u *Uplink) status(ctx context.Context) (contract.Message, error) {
	s := u.cfg.Status()
	st, err := u.cfg.Queue.Stats(ctx)
	if err != nil {
		return contract.Message{}, &storeError{err}
	}
	s.Version, s.Agent, s.Facility, s.At = contract.Version, u.agent, u.cfg.Facility, contract.Timestamp(u.cfg.Now())
	s.Queued, s.Stored, s.Rejected = int64(st.Queued), int64(st.Stored), int64(st.Rejected)
	if s.Oldest = (time.Time{}); s.Queued > 0 && !st.Oldest.IsZero() {
		s.Oldest = contract.Timestamp(st.Oldest)
	}
	s.Malformed = int64(min(u.board.snapshot().Malformed, math.MaxInt32))
	if n, ok := u.Nonce(); ok {
		s.Nonce = n.IssuedAt
	}
	if s.Clock == "" {
		s.Clock = contract.ClockUnknown
	}
	return contract.NewStatusMessage(u.cfg.Signer, &s)
}
