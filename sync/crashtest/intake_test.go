package crashtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
)

const (
	intakeVar     = "CHAMTHE_INTAKE" // visits that wait for each number of workers
	defaultIntake = 150
)

// TestIntake has visits wait in the stream, and lets services with different
// numbers of workers judge them: all of the evidence, with the chip's signature.
func TestIntake(t *testing.T) {
	n := number(t, intakeVar, defaultIntake)
	chip := newSigner(t)
	rates := make(map[string]float64)
	for _, tt := range []struct {
		name       string
		services   int
		workers    int
		syncAlways bool
	}{
		{"1 worker", 1, 1, false},
		{"2 workers", 1, 2, false},
		{"2 services, 1 worker each", 2, 1, false},
		{"1 worker, every write synced", 1, 1, true},
		{"2 workers, every write synced", 1, 2, true},
	} {
		ns, err := natsd.Start(natsd.Options{Dir: t.TempDir(), SyncAlways: tt.syncAlways})
		if err != nil {
			t.Fatal(err)
		}
		nc, err := nats.Connect(ns.ClientURL(), nats.NoReconnect())
		if err != nil {
			t.Fatal(err)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		a := newSimulated(t, 0)
		dir := writeCentral(t, &central.Seed{Agents: []central.Agent{{Key: a.name, Facility: a.facility}}})
		all := make([]*service, tt.services)
		for i := range all {
			all[i] = &service{t: t, config: config{Dir: dir, URLs: []string{ns.ClientURL()}, Workers: tt.workers}}
		}
		all[0].start() // makes the streams, and a nonce
		nonce := a.nonce(t, nc)
		all[0].kill()
		for range n {
			chip.sign(t, a, nonce)
			msg := &nats.Msg{Subject: a.visit.Subject, Header: nats.Header(a.visit.Header), Data: a.visit.Payload}
			if _, err := js.PublishMsg(t.Context(), msg, jetstream.WithMsgID(a.visit.ID)); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		for _, s := range all {
			s.start()
		}
		judged := func() int {
			st, err := js.Stream(t.Context(), contract.VerdictStream)
			if err != nil {
				t.Fatal(err)
			}
			return int(st.CachedInfo().State.Msgs)
		}
		from, at := judged(), time.Now() // what the first did while another one started does not count
		eventually(t, fmt.Sprintf("%d verdicts by %s", n, tt.name), func() bool { return judged() == n })
		rates[tt.name] = float64(n-from) / time.Since(at).Seconds()
		if from == n { // too few to measure
			rates[tt.name] = float64(n) / time.Since(began).Seconds()
		}
		subject, err := contract.VerdictSubject(a.name)
		if err != nil {
			t.Fatal(err)
		}
		accepted := 0
		c, err := js.OrderedConsumer(t.Context(), contract.VerdictStream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
		if err != nil {
			t.Fatal(err)
		}
		batch, err := c.Fetch(n, jetstream.FetchMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		for m := range batch.Messages() {
			if v, err := contract.DecodeVerdict(m.Data()); err == nil && v.Assurance == contract.AssuranceChip {
				accepted++
			}
		}
		if accepted != n {
			t.Errorf("%s: %d accepted as chip-verified, want %d", tt.name, accepted, n)
		}
		for _, s := range all {
			s.kill()
		}
		nc.Close()
		ns.Shutdown()
		row := fmt.Sprintf("%.0f a second", rates[tt.name])
		if tt.name != "1 worker" {
			row += fmt.Sprintf(", %.2f of 1 worker", rates[tt.name]/rates["1 worker"])
		}
		t.Logf("bench-sync\tintake of %d visits, %s\t%s\t", n, tt.name, row)
	}
}

// newSimulated makes an agent of a facility of its own.
func newSimulated(t testing.TB, i int) *simulated {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	name, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return &simulated{key: key, name: name, facility: fmt.Sprintf("%05d", i)}
}

// nonce asks for a nonce.
func (a *simulated) nonce(t testing.TB, nc *nats.Conn) *contract.Nonce {
	t.Helper()
	subject, err := contract.NonceSubject(a.facility)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	msg, err := nc.RequestWithContext(ctx, subject, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := contract.DecodeNonce(msg.Data)
	if err != nil {
		t.Fatal(err)
	}
	return &n
}

// BenchmarkAssess judges the evidence of one visit, on one processor and on all.
func BenchmarkAssess(b *testing.B) {
	r := newRig(b)
	chip := newSigner(b)
	at := contract.Timestamp(time.Now())
	nonce := &contract.Nonce{Version: contract.Version, ID: "n", Value: make([]byte, 32), IssuedAt: at}
	a := newSimulated(b, 0)
	chip.sign(b, a, nonce)
	v, err := contract.OpenVisit(a.visit.Subject, a.visit.Header, a.visit.Payload)
	if err != nil {
		b.Fatal(err)
	}
	verifier := &central.Verifier{Anchors: r.config.Anchors}
	assess := func() bool { return verifier.Assess(&v, nonce, v.RecordedAt).Assurance == contract.AssuranceChip }
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			if !assess() {
				b.Fatal("not accepted")
			}
		}
	})
	b.Run("all", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !assess() {
					b.Error("not accepted")
				}
			}
		})
	})
}
