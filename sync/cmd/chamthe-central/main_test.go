package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

type files struct{ seed, trust, dir string }

// prepare writes what serve needs, with one enrolled agent.
func prepare(t *testing.T, agent nkeys.KeyPair) files {
	t.Helper()
	name, err := agent.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := chip.Build("cccd-no-aa", chip.Options{At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	f := files{filepath.Join(t.TempDir(), "seed.json"), t.TempDir(), filepath.Join(t.TempDir(), "js")}
	seed, err := json.Marshal(central.Seed{
		Agents: []central.Agent{{Key: name, Facility: "01013"}},
		People: []central.Person{{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string][]byte{f.seed: seed, filepath.Join(f.trust, "csca.der"): doc.CSCA} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func newKey(t *testing.T) nkeys.KeyPair {
	t.Helper()
	k, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// start runs the program until stop, and returns the address that it prints.
func start(t *testing.T, args ...string) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	var stderr bytes.Buffer
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, args, w, &stderr)
		w.Close()
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if s := <-status; s != 0 {
			t.Errorf("exit status %d", s)
		}
	})
	t.Cleanup(stop)
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("no address: %v; %s", err, &stderr)
	}
	return strings.TrimSpace(line), stop
}

// TestServe records a visit with a real agent and restarts the service on the
// same directory.
func TestServe(t *testing.T) {
	key := newKey(t)
	name, _ := key.PublicKey()
	f := prepare(t, key)
	url, stop := start(t, "serve", "--seed", f.seed, "--trust", f.trust, "--dir", f.dir, "--listen", "127.0.0.1:0", "--workers", "2")
	if nc, err := nats.Connect(url, nats.NoReconnect()); err == nil {
		nc.Close()
		t.Error("somebody without a key was let in")
	}

	st, err := store.Open(filepath.Join(t.TempDir(), "agent.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	master, err := seal.NewMemoryKey().MasterKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	q, err := outbox.Open(st, sealer, nil)
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := uplink.NKeyCredentials(key)
	if err != nil {
		t.Fatal(err)
	}
	u, err := uplink.New(uplink.Config{
		URLs: []string{url}, Credentials: credentials, Facility: "01013", Signer: key, Queue: q, RetryMin: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	defer func() { <-done }()
	defer cancel()

	record := func() {
		t.Helper()
		id, err := contract.NewID(time.Now(), nil)
		if err != nil {
			t.Fatal(err)
		}
		now := contract.Timestamp(time.Now())
		m, err := contract.NewVisitMessage(key, &contract.Visit{
			Version: contract.Version, ID: id, Facility: "01013", Agent: name, StartedAt: now, RecordedAt: now,
			Clock: contract.ClockUnknown, Means: contract.MeansManual, Person: contract.Person{Number: "001099000001"},
			Entitlement: contract.Entitlement{Source: contract.SourceNone, Status: contract.StatusUnknown},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Put(t.Context(), outbox.Entry{ID: m.ID, Subject: m.Subject, Header: m.Header, Payload: m.Payload}); err != nil {
			t.Fatal(err)
		}
	}
	accepted := func(want int) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			s, err := q.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if s.Accepted == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("stats %+v, state %+v; want %d accepted", s, u.State(t.Context()), want)
			}
		}
	}
	record()
	accepted(1)
	resp, err := u.Ask(t.Context(), contract.LookupRequest{Number: "001099000001", Name: "Nguyen Van Thu", BirthDate: "1999-01-31"})
	if err != nil || resp.Entitlement.Status != contract.StatusValid {
		t.Errorf("lookup: %v, %v", resp.Entitlement.Status, err)
	}
	stop()
	record()
	if _, err := u.Ask(t.Context(), contract.LookupRequest{Number: "1", Name: "x", BirthDate: "1999"}); !errors.Is(err, uplink.ErrOffline) && !errors.Is(err, uplink.ErrNoAnswer) {
		t.Errorf("lookup without a service: %v", err)
	}
	address := strings.TrimPrefix(url, "nats://")
	again, _ := start(t, "serve", "--seed", f.seed, "--trust", f.trust, "--dir", f.dir, "--listen", address)
	if again != url {
		t.Errorf("address %s, want %s", again, url)
	}
	accepted(2)
}

func TestRefuses(t *testing.T) {
	f := prepare(t, newKey(t))
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`{"people":[{"name":"Mẫu"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		want string // in the message
	}{
		{"nothing", []string{"serve"}, "required flag"},
		{"neither server", []string{"serve", "--seed", f.seed, "--trust", f.trust}, "[dir nats]"},
		{"both servers", []string{"serve", "--seed", f.seed, "--trust", f.trust, "--dir", f.dir, "--nats", "nats://127.0.0.1"}, "[dir nats]"},
		{"no seed", []string{"serve", "--trust", f.trust, "--dir", f.dir}, "seed"},
		{"no seed file", []string{"serve", "--seed", f.seed + "x", "--trust", f.trust, "--dir", f.dir}, "no such file"},
		{"bad seed", []string{"serve", "--seed", bad, "--trust", f.trust, "--dir", f.dir}, "people[0]"},
		{"empty trust", []string{"serve", "--seed", f.seed, "--trust", t.TempDir(), "--dir", f.dir}, "no trust anchors"},
		{"open to others", []string{"serve", "--seed", f.seed, "--trust", f.trust, "--dir", f.dir, "--listen", "0.0.0.0:0"}, "--nats"},
		{"not an address", []string{"serve", "--seed", f.seed, "--trust", f.trust, "--dir", f.dir, "--listen", "4222"}, "host:port"},
		{"in the clear", []string{"serve", "--seed", f.seed, "--trust", f.trust, "--nats", "nats://10.0.0.1"}, "TLS"},
		{"no key", []string{"serve", "--seed", f.seed, "--trust", f.trust, "--nats", "nats://127.0.0.1", "--nkey", bad}, "no nkey seed"},
		{"no certificate", []string{"serve", "--seed", f.seed, "--trust", f.trust, "--nats", "nats://127.0.0.1", "--ca", bad}, "no certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if s := run(t.Context(), tt.args, &stdout, &stderr); s != 1 {
				t.Errorf("exit status %d, want 1", s)
			}
			if stdout.Len() != 0 || !strings.Contains(stderr.String(), tt.want) || strings.Contains(stderr.String(), "Mẫu") {
				t.Errorf("stdout %q, stderr %q; want %q on stderr", &stdout, &stderr, tt.want)
			}
		})
	}
}
