package central

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/internal/natsconn"
)

// Limits of the enrolment service, for each worker. The arithmetic of guessing is
// with the code (contract.EnrolCode): it needs none of this. The limits keep those
// who try from keeping others from work.
const (
	enrolPerSecond = 20
	enrolBurst     = 100
	// triesPerMinute and triesBurst are failures from one address, whatever number of
	// connections it makes. Success costs nothing: a hospital behind one address may
	// enrol all its desks at once.
	triesPerMinute = 6
	triesBurst     = 5
	// addressesKnown bounds the memory; beyond it some of them are forgotten.
	addressesKnown = 4096

	enrolAtOnce = 16
)

// Codes of the enrolment service's errors, in the manner of HTTP.
const codeTooMany = "429"

// headerInfo is where the server says who asked. It overwrites what the asker may
// have put there.
const headerInfo = "Nats-Request-Info"

// Enroller is the service that enrols agents. Any number may run. It is apart from
// [Central], because it holds a signing key of the operator, and need not run in
// the process that reads what strangers call visits.
type Enroller struct {
	cfg   RegistryConfig
	ready func()
	tries *tries
}

// NewEnroller assembles the service; [Enroller.Run] runs it. ready is called each
// time it begins to answer, and must not block; it may be nil.
func NewEnroller(cfg RegistryConfig, ready func()) (*Enroller, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Enroller{cfg: cfg, ready: ready, tries: newTries()}, nil
}

// Run serves until ctx ends, and then returns nil. A server that is not there, or
// on which the central service has not made its streams yet, is waited for.
func (e *Enroller) Run(ctx context.Context) error {
	backoff := natsconn.Backoff{Min: reconnectMin, Max: reconnectMax}
	for {
		err := e.session(ctx, backoff.Reset)
		if ctx.Err() != nil {
			return nil
		}
		wait := backoff.Next()
		e.cfg.Logger.Warn("not enrolling", "error", err, "wait", wait)
		if !natsconn.Sleep(ctx, wait) {
			return nil
		}
	}
}

func (e *Enroller) session(ctx context.Context, serving func()) error {
	r, err := openRegistry(ctx, &e.cfg, true)
	if err != nil {
		return err
	}
	defer r.Close()
	svc, err := micro.AddService(r.nc, micro.Config{Name: serviceName + "-enrol", Version: serviceVersion, Description: "enrolment of agents"})
	if err != nil {
		return err
	}
	working, cancel := context.WithCancel(context.Background())
	busy := semaphore.NewWeighted(enrolAtOnce)
	defer func() {
		if err := svc.Stop(); err != nil {
			e.cfg.Logger.Debug("service not stopped in order", "error", err)
		}
		cancel() // handlers that wait for their turn give up
		// Without a bound on time this cannot fail; each call has its own.
		_ = busy.Acquire(context.Background(), enrolAtOnce)
	}()
	handler := micro.HandlerFunc(func(req micro.Request) {
		if !isInbox(req.Reply()) {
			e.cfg.Logger.Warn("request dropped: its reply subject is no inbox", "endpoint", "enrol")
			return
		}
		from := address(req)
		if !e.tries.allow(from, time.Now()) {
			e.refuse(r, req, codeTooMany, contract.EnrolBusy)
			return
		}
		if busy.Acquire(working, 1) != nil {
			return
		}
		go func() {
			defer busy.Release(1)
			e.handle(context.WithoutCancel(working), r, req, from)
		}()
	})
	if err := svc.AddEndpoint("enrol", handler, micro.WithEndpointSubject(contract.EnrolSubject)); err != nil {
		return err
	}
	if err := r.nc.FlushTimeout(callTimeout); err != nil {
		return err
	}
	serving()
	if e.ready != nil {
		e.ready()
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return closed(gctx, r.nc) })
	return g.Wait()
}

// handle answers one request.
func (e *Enroller) handle(ctx context.Context, r *Registry, req micro.Request, from string) {
	sealed, agent, err := e.answer(ctx, r, req)
	var refused refusal
	switch {
	case errors.As(err, &refused):
		e.tries.failed(from, time.Now())
		e.cfg.Logger.Warn("enrolment refused", "reason", string(refused), "agent", agent, "from", from)
		e.refuse(r, req, codeForbidden, contract.EnrolRefusal(refused))
		return
	case err != nil:
		// What is wrong with the request, or with the store.
		if bad, ok := errors.AsType[*contract.Error](err); ok {
			e.tries.failed(from, time.Now())
			e.cfg.Logger.Warn("enrolment refused", "reason", string(bad.Code), "from", from)
			e.refuse(r, req, codeBadRequest, contract.EnrolRefusal(contract.ReasonMalformed))
			return
		}
		e.cfg.Logger.Warn("enrolment not answered", "error", err)
		e.refuse(r, req, codeUnavailable, contract.EnrolRefusal(contract.ReasonUnavailable))
		return
	}
	answer(r.nc, e.cfg.Logger, req, nil, sealed)
}

// answer returns the sealed answer, and the agent once it is known to have asked.
func (e *Enroller) answer(ctx context.Context, r *Registry, req micro.Request) (sealed []byte, agent string, err error) {
	q, err := contract.OpenEnrol(req.Headers(), req.Data())
	if err != nil {
		return nil, "", err
	}
	code, err := contract.ParseEnrolCode(q.Code)
	if err != nil {
		return nil, q.Agent, err
	}
	a, err := r.enrol(ctx, q.Agent, code)
	if err != nil {
		return nil, q.Agent, err
	}
	b, err := contract.EncodeEnrolAnswer(a)
	if err != nil {
		// Not the asker's fault: the deployment says something that is no answer.
		return nil, q.Agent, errors.New("central: enrolment answer: " + err.Error())
	}
	key, err := nkeys.CreateCurveKeys()
	if err != nil {
		return nil, q.Agent, err
	}
	defer key.Wipe()
	from, err := key.PublicKey()
	if err != nil {
		return nil, q.Agent, err
	}
	if sealed, err = key.Seal(b, q.Seal); err != nil {
		return nil, q.Agent, &contract.Error{Code: contract.Invalid, Field: "seal"}
	}
	return append([]byte(from), sealed...), q.Agent, nil
}

func (e *Enroller) refuse(r *Registry, req micro.Request, code string, reason contract.EnrolRefusal) {
	answer(r.nc, e.cfg.Logger, req, failure(code, string(reason)), nil)
}

// address returns from where a request came, as the server says; "" if it does
// not say.
func address(req micro.Request) string {
	var info struct {
		Host string `json:"host"`
	}
	if json.Unmarshal([]byte(req.Headers().Get(headerInfo)), &info) != nil {
		return ""
	}
	return info.Host
}

// tries limits how often enrolment is tried. It is safe for concurrent use.
type tries struct {
	all  *rate.Limiter
	from *limiter // of failures, by address
}

func newTries() *tries {
	return &tries{
		all:  rate.NewLimiter(enrolPerSecond, enrolBurst),
		from: newLimiter(rate.Limit(triesPerMinute)/60, triesBurst, addressesKnown),
	}
}

// allow reports whether an address may try now.
func (t *tries) allow(from string, now time.Time) bool {
	if t.from.spent(from, now) {
		return false // it costs the others nothing
	}
	return t.all.AllowN(now, 1)
}

// failed counts a failure.
func (t *tries) failed(from string, now time.Time) { t.from.allow(from, now) }
