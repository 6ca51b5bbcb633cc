package central

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/semaphore"

	"github.com/chamthe/chamthe/sync/contract"
)

// bucketStatuses holds what each agent said of itself last: agent -> [AgentStatus].
const bucketStatuses = "ins-statuses"

const (
	// statusGroup is the queue group of those that listen: each status is for one.
	statusGroup = "central-status"
	// statusesAtOnce bounds those that are written side by side; the others wait in the
	// subscription.
	statusesAtOnce = 32
)

// AgentStatus is what an agent said of itself last, and when that was heard, by the
// clock of this service.
type AgentStatus struct {
	contract.Status
	Heard time.Time `json:"heard"`
}

// statuses keeps what agents say of themselves.
type statuses struct {
	store  *store
	counts *counts
	log    *slog.Logger
	now    func() time.Time
	limit  *limiter // by agent
}

// listen keeps statuses until stop is called, which waits for those in hand.
func (s *statuses) listen(nc *nats.Conn) (stop func(), err error) {
	busy := semaphore.NewWeighted(statusesAtOnce)
	ctx, cancel := context.WithCancel(context.Background())
	sub, err := nc.QueueSubscribe(contract.StatusSubjects, statusGroup, func(m *nats.Msg) {
		if s.limit.spent(m.Header.Get(contract.HeaderAgent), time.Now()) {
			s.refuse(contract.ReasonUnavailable)
			return
		}
		if busy.Acquire(ctx, 1) != nil {
			return // the next one comes in a few minutes
		}
		go func() {
			defer busy.Release(1)
			s.handle(context.WithoutCancel(ctx), m)
		}()
	})
	if err != nil {
		cancel()
		return nil, err
	}
	return func() {
		if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			s.log.Debug("statuses not left in order", "error", err)
		}
		cancel() // those that wait for their turn give up
		// Without a bound on time this cannot fail; each call has its own.
		_ = busy.Acquire(context.Background(), statusesAtOnce)
	}, nil
}

// handle keeps a status if it is the agent's own, and the agent one. Nobody is told:
// a status is not asked for.
func (s *statuses) handle(ctx context.Context, m *nats.Msg) {
	st, err := contract.OpenStatus(m.Subject, m.Header, m.Data)
	if err != nil {
		s.refuse(reasonOf(err))
		return
	}
	facility, err := s.store.facilityOf(ctx, st.Agent)
	if err != nil {
		s.log.Warn("status not kept", "error", err)
		s.store.suspect()
		s.refuse(contract.ReasonUnavailable)
		return
	}
	if facility != st.Facility { // "" when nobody enrolled the agent
		s.refuse(contract.ReasonUnknownAgent)
		return
	}
	if !s.limit.allow(st.Agent, time.Now()) {
		s.refuse(contract.ReasonUnavailable)
		return
	}
	if err := set(ctx, s.store.statuses, st.Agent, &AgentStatus{st, contract.Timestamp(s.now())}); err != nil {
		s.log.Warn("status not kept", "error", err)
		s.store.suspect()
		s.refuse(contract.ReasonUnavailable)
		return
	}
	s.counts.add(&s.counts.Statuses)
}

func (s *statuses) refuse(why contract.Reason) { s.counts.addTo(&s.counts.StatusesRefused, why) }
