package natsd_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/operator"
)

func TestOperator(t *testing.T) {
	d, err := operator.New("test")
	if err != nil {
		t.Fatal(err)
	}
	system, err := d.System.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := natsd.Operator{
		JWT: d.OperatorJWT, System: system, Accounts: []string{d.SystemJWT, d.ServiceJWT, d.EnrolJWT}, Dir: filepath.Join(dir, "accounts"),
	}
	begin := func(o natsd.Operator) *natsd.Server {
		t.Helper()
		return start(t, natsd.Options{Dir: filepath.Join(dir, "js"), Operator: &o})
	}
	central := nats.UserJWT(func() (string, error) { return d.Central.JWT, nil }, d.Central.Key.Sign)
	s := begin(o)
	if nc, err := nats.Connect(s.ClientURL(), nats.NoReconnect()); !errors.Is(err, nats.ErrAuthorization) {
		if err == nil {
			nc.Close()
		}
		t.Errorf("somebody without credentials: %v", err)
	}
	nc, err := nats.Connect(s.ClientURL(), nats.NoReconnect(), central)
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Errorf("the service has no JetStream: %v", err)
	}
	nc.Close()
	s.Shutdown()

	// The store is there again, and with a sentinel anybody gets in.
	o.Sentinel = d.Sentinel.JWT
	s = begin(o)
	if nc, err = nats.Connect(s.ClientURL(), nats.NoReconnect(), central); err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(t.Context(), "S"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	anybody, err := nats.Connect(s.ClientURL(), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	anybody.Close()
}

func TestOperatorRefuses(t *testing.T) {
	d, err := operator.New("test")
	if err != nil {
		t.Fatal(err)
	}
	other, err := operator.New("other")
	if err != nil {
		t.Fatal(err)
	}
	system, err := d.System.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	good := natsd.Operator{JWT: d.OperatorJWT, System: system, Accounts: []string{d.SystemJWT, d.ServiceJWT}, Sentinel: d.Sentinel.JWT}
	for name, spoil := range map[string]func(*natsd.Operator){
		"no operator":           func(o *natsd.Operator) { o.JWT = "" },
		"an account's JWT":      func(o *natsd.Operator) { o.JWT = d.ServiceJWT },
		"an operator's account": func(o *natsd.Operator) { o.Accounts = []string{d.OperatorJWT} },
		"another's account":     func(o *natsd.Operator) { o.Accounts = append(o.Accounts, other.ServiceJWT) },
		"no system account":     func(o *natsd.Operator) { o.Accounts = []string{d.ServiceJWT} },
		"sentinel with a key":   func(o *natsd.Operator) { o.Sentinel = d.Central.JWT },
	} {
		o := good
		o.Accounts = slices.Clone(good.Accounts)
		spoil(&o)
		o.Dir = filepath.Join(t.TempDir(), "accounts")
		s, err := natsd.Start(natsd.Options{Dir: filepath.Join(t.TempDir(), "js"), Operator: &o})
		if err == nil {
			s.Shutdown()
			t.Errorf("%s was accepted", name)
		}
	}
}
