// Package enroltest runs a deployment that enrols agents, for tests: a NATS server
// with TLS and JWTs, and the central service with its enrolment service.
package enroltest

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/operator"
	"github.com/chamthe/chamthe/sync/operator/operatortest"
)

// Facility is whose agents are enrolled.
const Facility = "01013"

// patience is how long is waited for what must come.
const patience = time.Minute

// Deployment is a running deployment. It ends with the test.
type Deployment struct {
	URL      string
	CASHA256 string
	// Insured is the one person that the central service knows, registered at
	// Facility.
	Insured  central.Person
	Registry *central.Registry

	t testing.TB
}

// Options change what a deployment is.
type Options struct {
	Hosts []string  // of the server's certificate; nil: those that fit
	At    time.Time // when the certificates were made; zero: now
	Log   io.Writer // of the central side; nil discards
}

// Start runs a deployment until the end of the test. With certificates that its own
// services do not accept, they do not run, and Registry is nil.
func Start(t testing.TB, o Options) *Deployment {
	t.Helper()
	fits := o.Hosts == nil && o.At.IsZero()
	if o.Hosts == nil {
		o.Hosts = []string{"127.0.0.1"}
	}
	if o.At.IsZero() {
		o.At = time.Now()
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	made := operatortest.Start(t, o.Hosts, o.At)
	d := &Deployment{URL: made.Server.ClientURL(), CASHA256: operator.Fingerprint(made.CA), t: t}
	d.Insured = central.Person{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31", Facility: Facility}
	if !fits {
		return d
	}

	bundle, err := nkeys.CreateUser()
	must(t, err)
	bundleKey, err := bundle.PublicKey()
	must(t, err)
	log := slog.New(slog.NewTextHandler(o.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg := central.RegistryConfig{
		URLs: []string{d.URL}, TLS: made.TLS,
		Credentials: operatortest.Credentials(made.Central), System: operatortest.Credentials(made.Pusher),
		Issuer: made.Issuer, CA: made.CA, Servers: []string{d.URL}, BundleKey: bundleKey, Logger: log,
	}
	ready := make(chan struct{}, 16)
	c, err := central.New(central.Config{
		URLs: cfg.URLs, TLS: cfg.TLS, Credentials: cfg.Credentials, Anchors: anchors(t), BundleKey: bundle, Logger: log,
		Seed: &central.Seed{People: []central.Person{d.Insured}}, Ready: func() { ready <- struct{}{} },
	})
	must(t, err)
	d.serve(c.Run, ready)
	e, err := central.NewEnroller(cfg, func() { ready <- struct{}{} })
	must(t, err)
	d.serve(e.Run, ready)
	d.Registry, err = central.OpenRegistry(context.Background(), cfg)
	must(t, err)
	t.Cleanup(d.Registry.Close)
	return d
}

// Code makes a code for an agent of Facility.
func (d *Deployment) Code(valid time.Duration) contract.EnrolCode {
	d.t.Helper()
	code, _, err := d.Registry.NewCode(context.Background(), Facility, valid)
	must(d.t, err)
	return code
}

func (d *Deployment) serve(run func(context.Context) error, ready <-chan struct{}) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	d.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Errorf("run: %v", err)
		}
	})
	select {
	case <-ready:
	case <-time.After(patience):
		d.t.Fatal("enroltest: the central service is not ready")
	}
}

// anchors is the issuer of one software chip: a central service needs one.
func anchors(t testing.TB) *trust.Pool {
	t.Helper()
	doc, err := chip.Build("cccd-no-aa", chip.Options{At: time.Now()})
	must(t, err)
	c, err := cms.ParseCertificate(doc.CSCA)
	must(t, err)
	pool := trust.NewPool()
	must(t, pool.Add(c, "test"))
	return pool
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
