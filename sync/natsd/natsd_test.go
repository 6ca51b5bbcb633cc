package natsd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/sync/natsd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o natsd.Options) *natsd.Server {
	t.Helper()
	s, err := natsd.Start(o)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func connect(t *testing.T, url string, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, append(opts, nats.NoReconnect())...)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestRestartKeepsPortAndMessages(t *testing.T) {
	for _, always := range []bool{false, true} {
		t.Run(fmt.Sprintf("SyncAlways=%v", always), func(t *testing.T) {
			ctx, dir := t.Context(), filepath.Join(t.TempDir(), "js")
			s := start(t, natsd.Options{Dir: dir, SyncAlways: always})
			js := connect(t, s.ClientURL())
			if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
				t.Fatal(err)
			}
			for i := range 10 {
				if _, err := js.Publish(ctx, "s.a", fmt.Append(nil, i)); err != nil {
					t.Fatal(err)
				}
			}
			url, port := s.ClientURL(), s.Port()
			s.Shutdown()
			s.Shutdown() // harmless

			again := start(t, natsd.Options{Dir: dir, Port: port, SyncAlways: always})
			if again.ClientURL() != url {
				t.Errorf("ClientURL = %q, want %q", again.ClientURL(), url)
			}
			st, err := connect(t, url).Stream(ctx, "S")
			if err != nil {
				t.Fatal(err)
			}
			if n := st.CachedInfo().State.Msgs; n != 10 {
				t.Errorf("%d messages after the restart, want 10", n)
			}
			if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
				t.Errorf("directory: mode %v, %v; want 0700", fi.Mode(), err)
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		o    natsd.Options
		want error
	}{
		{"no directory", natsd.Options{}, natsd.ErrNoDir},
		{"directory is a file", natsd.Options{Dir: file}, nil},
		{"all interfaces without TLS", natsd.Options{Dir: t.TempDir(), Host: "0.0.0.0"}, natsd.ErrPlaintext},
		{"name without TLS", natsd.Options{Dir: t.TempDir(), Host: "central.example"}, natsd.ErrPlaintext},
		{"routes without TLS", natsd.Options{Dir: t.TempDir(), Cluster: &natsd.Cluster{Name: "c", Host: "0.0.0.0"}}, natsd.ErrPlaintext},
		{"port in use", natsd.Options{Dir: t.TempDir(), Port: busy.Addr().(*net.TCPAddr).Port}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := natsd.Start(tt.o)
			if err == nil {
				s.Shutdown()
				t.Fatal("started")
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if !strings.HasPrefix(err.Error(), "natsd: ") || strings.Count(err.Error(), "natsd: ") != 1 {
				t.Errorf("error %q does not name its package once", err)
			}
		})
	}
}

func TestUsersAreHeldToTheirSubjects(t *testing.T) {
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, natsd.Options{Dir: t.TempDir(), Users: []natsd.User{{NKey: pub, Publish: []string{"mine.>"}, Subscribe: []string{"_INBOX.>"}}}})
	if nc, err := nats.Connect(s.ClientURL(), nats.NoReconnect()); err == nil {
		nc.Close()
		t.Error("connected without a key")
	}

	refused := make(chan error, 8)
	nc, err := nats.Connect(s.ClientURL(), nats.NoReconnect(), nats.Nkey(pub, kp.Sign),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.Publish("mine.a", nil); err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("yours.a", nil); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused:
		if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), "yours.a") {
			t.Errorf("refusal %v, want a permission violation for yours.a", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("publishing to a foreign subject was not refused")
	}
}

func TestLogsGoToTheInjectedLoggerWithoutPayloads(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := natsd.Start(natsd.Options{Dir: t.TempDir(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.ClientURL(), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("a", []byte("NGUYEN VAN THU")); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	s.Shutdown() // the buffer is read after every writer has gone
	if !strings.Contains(buf.String(), "Server is ready") {
		t.Errorf("the server's messages did not arrive: %q", buf.String())
	}
	if strings.Contains(buf.String(), "NGUYEN") {
		t.Error("a payload was logged")
	}
}

func TestThreeNodesFormACluster(t *testing.T) {
	ports := freePorts(t, 3)
	var routes []string
	for _, p := range ports {
		routes = append(routes, fmt.Sprintf("nats-route://127.0.0.1:%d", p))
	}
	var nodes []*natsd.Server
	for i, p := range ports {
		nodes = append(nodes, start(t, natsd.Options{
			Dir: t.TempDir(), Name: fmt.Sprintf("n%d", i),
			Cluster: &natsd.Cluster{Name: "c", Port: p, Routes: routes},
		}))
	}
	js := connect(t, nodes[0].ClientURL())
	ctx := t.Context()
	create := func() error {
		// While the nodes elect a leader nobody answers: ask again soon.
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "R", Subjects: []string{"r.>"}, Replicas: 3})
		return err
	}
	err := create()
	for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); err = create() {
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("no stream with three replicas: %v", err)
	}
	if _, err := js.Publish(ctx, "r.a", nil); err != nil {
		t.Errorf("publish: %v", err)
	}
}

func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
