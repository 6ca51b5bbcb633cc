package central_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/operator/operatortest"
)

// deployment is a NATS server with an operator and TLS, and the central service
// and the enrolment service behind it.
type deployment struct {
	*operatortest.Deployment
	t        *testing.T
	log      *syncBuffer
	registry central.RegistryConfig
	bundle   agent // the insurer's key
}

func deploy(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{t: t, log: &syncBuffer{}, bundle: newAgent(t)}
	d.Deployment = operatortest.Start(t, []string{"127.0.0.1", "localhost"}, time.Now())
	logger := slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	url := d.Server.ClientURL()
	d.registry = central.RegistryConfig{
		URLs: []string{url}, TLS: d.TLS, Credentials: operatortest.Credentials(d.Central), System: operatortest.Credentials(d.Pusher),
		Issuer: d.Issuer, CA: d.CA, Servers: []string{url}, BundleKey: d.bundle.name, Logger: logger,
	}
	d.runCentral(logger)
	d.runEnroller()
	return d
}

func (d *deployment) runCentral(logger *slog.Logger) {
	d.t.Helper()
	ready := make(chan struct{}, 16)
	c, err := central.New(central.Config{
		URLs: d.registry.URLs, TLS: d.TLS, Credentials: d.registry.Credentials, Anchors: anchors(d.t, document(d.t, "cccd-no-aa", "")),
		Seed:      &central.Seed{People: []central.Person{insured()}},
		BundleKey: d.bundle, Logger: logger, Ready: func() { ready <- struct{}{} },
	})
	if err != nil {
		d.t.Fatal(err)
	}
	runUntil(d.t, c.Run)
	await(d.t, ready, d.log)
}

func insured() central.Person {
	return central.Person{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Facility: facility}
}

func (d *deployment) runEnroller() {
	d.t.Helper()
	ready := make(chan struct{}, 16)
	e, err := central.NewEnroller(d.registry, func() { ready <- struct{}{} })
	if err != nil {
		d.t.Fatal(err)
	}
	runUntil(d.t, e.Run)
	await(d.t, ready, d.log)
}

// admin is what the command line uses.
func (d *deployment) admin() *central.Registry {
	d.t.Helper()
	r, err := central.OpenRegistry(d.t.Context(), d.registry)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(r.Close)
	return r
}

func (d *deployment) code(valid time.Duration) contract.EnrolCode {
	d.t.Helper()
	return d.codeFor(facility, valid)
}

func (d *deployment) codeFor(facility string, valid time.Duration) contract.EnrolCode {
	d.t.Helper()
	c, _, err := d.admin().NewCode(d.t.Context(), facility, valid)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// trouble collects what the server complains about.
type trouble struct {
	mu   sync.Mutex
	errs []error
}

func (tr *trouble) add(_ *nats.Conn, _ *nats.Subscription, err error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.errs = append(tr.errs, err)
}

// take returns and forgets the complaints.
func (tr *trouble) take() []error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	errs := tr.errs
	tr.errs = nil
	return errs
}

// take1 forgets one complaint about a permission with a text, in any case, and
// reports whether there was one.
func (tr *trouble) take1(text string) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	i := slices.IndexFunc(tr.errs, func(err error) bool {
		return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(strings.ToLower(err.Error()), strings.ToLower(text))
	})
	if i < 0 {
		return false
	}
	tr.errs = slices.Delete(tr.errs, i, i+1)
	return true
}

// connect connects as a client of whoever.
func (d *deployment) connect(opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(d.Server.ClientURL(), append([]nats.Option{nats.NoReconnect(), nats.Secure(d.TLS)}, opts...)...)
}

func (d *deployment) mustConnect(opts ...nats.Option) *nats.Conn {
	d.t.Helper()
	nc, err := d.connect(opts...)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(nc.Close)
	return nc
}

// service connects as the central service, which may look at everything.
func (d *deployment) service() (*nats.Conn, jetstream.JetStream) {
	d.t.Helper()
	c := d.registry.Credentials
	nc := d.mustConnect(nats.UserJWT(nats.UserJWTHandler(c.JWT), nats.SignatureHandler(c.Sign)))
	js, err := jetstream.New(nc)
	if err != nil {
		d.t.Fatal(err)
	}
	return nc, js
}

// request is an enrolment request, and the key that opens the answer.
type request struct {
	msg  *nats.Msg
	seal nkeys.KeyPair
}

func newRequest(t *testing.T, a agent, code contract.EnrolCode) request {
	t.Helper()
	seal, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	to, err := seal.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	m, err := contract.NewEnrolMessage(a, &contract.EnrolRequest{Version: contract.Version, Agent: a.name, Code: code.Text(), Seal: to})
	if err != nil {
		t.Fatal(err)
	}
	return request{&nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload}, seal}
}

// errRefused carries the text of a refusal.
type errRefused struct{ text contract.EnrolRefusal }

func (e *errRefused) Error() string { return string(e.text) }

func refusedWith(err error) contract.EnrolRefusal {
	if e, ok := errors.AsType[*errRefused](err); ok {
		return e.text
	}
	return ""
}

// ask sends a request as somebody who is not enrolled.
func (r request) ask(ctx context.Context, nc *nats.Conn) (*contract.EnrolAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m, err := nc.RequestMsgWithContext(ctx, r.msg)
	if err != nil {
		return nil, err
	}
	if m.Header.Get(micro.ErrorCodeHeader) != "" {
		return nil, &errRefused{contract.EnrolRefusal(m.Header.Get(micro.ErrorHeader))}
	}
	b, err := r.seal.Open(m.Data[56:], string(m.Data[:56]))
	if err != nil {
		return nil, err
	}
	a, err := contract.DecodeEnrolAnswer(b)
	return &a, err
}

// enrolled is an agent with its credentials.
type enrolled struct {
	agent
	answer *contract.EnrolAnswer
}

func (d *deployment) enrol(facility string) enrolled {
	d.t.Helper()
	a := newAgent(d.t)
	answer, err := newRequest(d.t, a, d.codeFor(facility, time.Hour)).ask(d.t.Context(), d.mustConnect())
	if err != nil {
		d.t.Fatalf("enrol: %v; log:\n%s", err, d.log)
	}
	return enrolled{a, answer}
}

func (e enrolled) options() []nats.Option {
	return []nats.Option{
		nats.UserJWT(func() (string, error) { return e.answer.JWT, nil }, e.Sign),
		nats.CustomInboxPrefix("_INBOX." + e.name),
	}
}
