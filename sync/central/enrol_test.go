package central_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
)

func TestEnrol(t *testing.T) {
	d := deploy(t)
	code := d.code(time.Hour)
	a := newAgent(t)
	stranger := d.mustConnect()
	r := newRequest(t, a, code)
	answer, err := r.ask(t.Context(), stranger)
	if err != nil {
		t.Fatalf("enrol: %v; log:\n%s", err, d.log)
	}
	if answer.Agent != a.name || answer.Facility != facility || answer.BundleKey != d.bundle.name || string(answer.CA) != string(d.registry.CA) ||
		len(answer.Servers) != 1 || answer.Servers[0].URL != d.Server.ClientURL() {
		t.Errorf("answer %+v", answer)
	}
	e := enrolled{a, answer}
	nc := d.mustConnect(e.options()...)
	subject, err := contract.NonceSubject(facility)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := nc.Request(subject, nil, patience); err != nil || m.Header.Get("Nats-Service-Error") != "" {
		t.Errorf("nonce: %v", err)
	}

	// The answer was lost: the same key asks again, also with the very same bytes,
	// and gets the same.
	for name, again := range map[string]request{"replayed": r, "asked again": newRequest(t, a, code)} {
		got, err := again.ask(t.Context(), stranger)
		if err != nil || got.JWT != answer.JWT {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, err := d.admin().Agents(t.Context()); err != nil || len(all) != 1 || all[0].Key != a.name || all[0].Facility != facility || all[0].Enrolled.IsZero() || !all[0].Revoked.IsZero() {
		t.Errorf("agents %+v, %v", all, err)
	}
	// Another key does not.
	if _, err := newRequest(t, newAgent(t), code).ask(t.Context(), stranger); refusedWith(err) != contract.EnrolCodeUsed {
		t.Errorf("second computer: %v, want %s", err, contract.EnrolCodeUsed)
	}
	for _, secret := range []string{code.Text(), strings.ReplaceAll(code.Text(), "-", "")} {
		if strings.Contains(d.log.String(), secret) {
			t.Error("the code is in the log")
		}
	}
	if !strings.Contains(d.log.String(), `msg="agent enrolled" agent=`+a.name+" facility="+facility) {
		t.Errorf("the enrolment is not in the log:\n%s", d.log)
	}
}

// TestEnrolmentIsFinishedAfterTheCodeExpired: an agent whose enrolment was stopped
// before any of its writes asks again when its code has expired. Once the code is
// its own it gets what it was granted; before that, the old enrolment stands.
func TestEnrolmentIsFinishedAfterTheCodeExpired(t *testing.T) {
	d := deploy(t)
	a := newAgent(t)
	r := d.admin()
	if err := r.Enrol(t.Context(), a.name, d.code(time.Hour)); err != nil {
		t.Fatal(err)
	}
	// Three writes follow the one that takes the code.
	for stop := 1; stop <= 3; stop++ {
		code := d.code(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		r.OnStep(func() {
			if n++; n == stop {
				cancel()
			}
		})
		err := r.Enrol(ctx, a.name, code)
		r.OnStep(nil)
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped before write %d: %v", stop, err)
		}
		if err := r.Expire(t.Context(), code); err != nil {
			t.Fatal(err)
		}
		if err := r.Enrol(t.Context(), a.name, code); err != nil {
			t.Errorf("stopped before write %d, again after the code expired: %v", stop, err)
		}
		if err := r.Enrol(t.Context(), newAgent(t).name, code); err == nil {
			t.Error("another agent was enrolled with the code")
		}
	}
	unused := d.code(time.Hour)
	if err := r.Expire(t.Context(), unused); err != nil {
		t.Fatal(err)
	}
	if err := r.Enrol(t.Context(), a.name, unused); err == nil {
		t.Error("enrolled with a code that expired unused")
	}
}

func TestEnrolRefuses(t *testing.T) {
	d := deploy(t)
	nc := d.mustConnect()
	unknown, err := contract.NewEnrolCode(strings.NewReader("nobody has made this"))
	if err != nil {
		t.Fatal(err)
	}
	malformed := newRequest(t, newAgent(t), unknown)
	malformed.msg.Data = []byte("{}")
	stolen := newRequest(t, newAgent(t), d.code(time.Hour))
	stolen.msg.Header = newRequest(t, newAgent(t), unknown).msg.Header
	for _, tt := range []struct {
		name string
		r    request
		want contract.EnrolRefusal
	}{
		{"expired", newRequest(t, newAgent(t), d.code(time.Nanosecond)), contract.EnrolCodeExpired},
		{"unknown", newRequest(t, newAgent(t), unknown), contract.EnrolCodeUnknown},
		{"malformed", malformed, contract.EnrolRefusal(contract.ReasonMalformed)},
		{"another's signature", stolen, contract.EnrolRefusal(contract.ReasonMalformed)},
	} {
		if _, err := tt.r.ask(t.Context(), nc); refusedWith(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	if all, err := d.admin().Agents(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("agents %v, %v", all, err)
	}
	for _, valid := range []time.Duration{0, -time.Hour, central.MaxCodeValid + 1} {
		if _, _, err := d.admin().NewCode(t.Context(), facility, valid); !errors.Is(err, central.ErrValidity) {
			t.Errorf("valid for %v: %v", valid, err)
		}
	}
	if _, _, err := d.admin().NewCode(t.Context(), "01.>", time.Hour); !errors.Is(err, contract.Invalid) {
		t.Errorf("facility with a wildcard: %v", err)
	}
}

// TestGuessesAreLimited: after a few failures an address is not listened to, from
// whatever connection, whatever it says about where it comes from, and with the
// right code neither.
func TestGuessesAreLimited(t *testing.T) {
	d := deploy(t)
	good := d.code(time.Hour)
	unknown, err := contract.NewEnrolCode(strings.NewReader("nobody has made this"))
	if err != nil {
		t.Fatal(err)
	}
	busy := 0
	for range 12 {
		r := newRequest(t, newAgent(t), unknown)
		r.msg.Header.Set("Nats-Request-Info", `{"host":"192.0.2.`+string(rune('1'+busy%9))+`"}`)
		switch _, err := r.ask(t.Context(), d.mustConnect()); refusedWith(err) {
		case contract.EnrolBusy:
			busy++
		case contract.EnrolCodeUnknown:
		default:
			t.Fatalf("guess: %v", err)
		}
	}
	if busy < 6 || busy > 7 {
		t.Errorf("%d of 12 guesses were not listened to, want 7 (or 6, when the minute goes on)", busy)
	}
	if _, err := newRequest(t, newAgent(t), good).ask(t.Context(), d.mustConnect()); refusedWith(err) != contract.EnrolBusy {
		t.Errorf("the right code after that: %v, want %s", err, contract.EnrolBusy)
	}
}

// TestOneCodeOneAgent: of many computers that use one code at the same time, at
// two workers, one is enrolled.
func TestOneCodeOneAgent(t *testing.T) {
	d := deploy(t)
	d.runEnroller()
	code := d.code(time.Hour)
	const computers = 4 // fewer failures than make the address wait
	var requests []request
	var conns []*nats.Conn
	for range computers {
		requests, conns = append(requests, newRequest(t, newAgent(t), code)), append(conns, d.mustConnect())
	}
	errs := make([]error, computers)
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range computers {
		wg.Go(func() {
			<-begin
			_, errs[i] = requests[i].ask(context.Background(), conns[i])
		})
	}
	close(begin)
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case refusedWith(err) != contract.EnrolCodeUsed:
			t.Errorf("loser: %v, want %s", err, contract.EnrolCodeUsed)
		}
	}
	if all, err := d.admin().Agents(t.Context()); won != 1 || err != nil || len(all) != 1 {
		t.Errorf("%d won, %d agents, %v; want one", won, len(all), err)
	}
}

// TestRevoke: a revoked agent is disconnected at once, cannot come back, not even
// by asking with its old code, until there is a new one.
func TestRevoke(t *testing.T) {
	d := deploy(t)
	code := d.code(time.Hour)
	a := newAgent(t)
	stranger := d.mustConnect()
	old := newRequest(t, a, code)
	answer, err := old.ask(t.Context(), stranger)
	if err != nil {
		t.Fatal(err)
	}
	e, other := enrolled{a, answer}, d.enrol(facility)
	closed := make(chan struct{})
	d.mustConnect(append(e.options(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	bystander := d.mustConnect(other.options()...)

	admin := d.admin()
	if err := admin.Revoke(t.Context(), newAgent(t).name); !errors.Is(err, central.ErrNotEnrolled) {
		t.Errorf("revoke nobody: %v", err)
	}
	if err := admin.Revoke(t.Context(), a.name); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("still connected")
	}
	if _, err := d.connect(e.options()...); !errors.Is(err, nats.ErrAuthorization) && !errors.Is(err, nats.ErrAuthRevoked) {
		t.Errorf("connected again: %v", err)
	}
	if _, err := old.ask(t.Context(), stranger); refusedWith(err) != contract.EnrolRevoked {
		t.Errorf("old request: %v, want %s", err, contract.EnrolRevoked)
	}
	if err := admin.Revoke(t.Context(), a.name); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := bystander.FlushTimeout(patience); err != nil {
		t.Errorf("another agent: %v", err)
	}
	_, js := d.service()
	agents, err := js.KeyValue(t.Context(), "ins-agents")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agents.Get(t.Context(), a.name); err == nil {
		t.Error("its visits still count")
	}

	again, err := newRequest(t, a, d.codeFor("01014", time.Hour)).ask(t.Context(), stranger)
	if err != nil || again.Facility != "01014" {
		t.Fatalf("new code: %v", err)
	}
	d.mustConnect(enrolled{a, again}.options()...)
	// The first enrolment stays what it is: nothing.
	if _, err := d.connect(e.options()...); err == nil {
		t.Error("connected with revoked credentials")
	}
	if _, err := old.ask(t.Context(), stranger); refusedWith(err) == "" {
		t.Errorf("the old request was heard: %v", err)
	}
}

// TestMovedAgent: who is enrolled again, for another facility, loses the first
// enrolment, and a request that was kept does not bring it back.
func TestMovedAgent(t *testing.T) {
	d := deploy(t)
	a, stranger := newAgent(t), d.mustConnect()
	firstRequest := newRequest(t, a, d.code(time.Hour))
	first, err := firstRequest.ask(t.Context(), stranger)
	if err != nil {
		t.Fatal(err)
	}
	second, err := newRequest(t, a, d.codeFor("01014", time.Hour)).ask(t.Context(), stranger)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := firstRequest.ask(t.Context(), stranger); refusedWith(err) != contract.EnrolCodeUsed {
		t.Errorf("kept request: %v, want %s", err, contract.EnrolCodeUsed)
	}
	if _, err := d.connect(enrolled{a, first}.options()...); err == nil {
		t.Error("the first enrolment still holds")
	}
	d.mustConnect(enrolled{a, second}.options()...)
}

// TestRestartKeepsAccounts: the server has them on its disk, the revoked too.
func TestRestartKeepsAccounts(t *testing.T) {
	d := deploy(t)
	kept, revoked := d.enrol(facility), d.enrol(facility)
	if err := d.admin().Revoke(t.Context(), revoked.name); err != nil {
		t.Fatal(err)
	}
	port := d.Server.Port()
	d.Server.Shutdown()
	d.Serve(port)
	d.mustConnect(kept.options()...)
	if _, err := d.connect(revoked.options()...); err == nil {
		t.Error("a revoked agent is back")
	}
}

// TestRegistryConfig: what is missing is found out before anything is dialled.
func TestRegistryConfig(t *testing.T) {
	d := deploy(t)
	for name, change := range map[string]func(*central.RegistryConfig){
		"issuer":     func(c *central.RegistryConfig) { c.Issuer = nil },
		"ca":         func(c *central.RegistryConfig) { c.CA = nil },
		"servers":    func(c *central.RegistryConfig) { c.Servers = nil },
		"bundle key": func(c *central.RegistryConfig) { c.BundleKey = "U" },
	} {
		cfg := d.registry
		change(&cfg)
		if _, err := central.NewEnroller(cfg, nil); !errors.Is(err, central.ErrConfig) {
			t.Errorf("%s: %v, want %v", name, err, central.ErrConfig)
		}
		if _, err := central.OpenRegistry(t.Context(), cfg); !errors.Is(err, central.ErrConfig) {
			t.Errorf("%s: %v, want %v", name, err, central.ErrConfig)
		}
	}
	cfg := d.registry
	cfg.URLs = []string{"nats://192.0.2.1:4222"}
	cfg.TLS = nil
	if _, err := central.NewEnroller(cfg, nil); !errors.Is(err, central.ErrPlaintext) {
		t.Errorf("in the clear: %v", err)
	}
}
