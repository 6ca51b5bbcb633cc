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

// TestDirectoryIsTakenOnce: two servers on one store lose what either has
// acknowledged.
func TestDirectoryIsTakenOnce(t *testing.T) {
	dir := t.TempDir()
	s := start(t, natsd.Options{Dir: dir})
	for range 2 { // the one who was refused takes nothing away
		other, err := natsd.Start(natsd.Options{Dir: dir})
		if err == nil {
			other.Shutdown()
		}
		if !errors.Is(err, natsd.ErrInUse) {
			t.Fatalf("second server: %v, want ErrInUse", err)
		}
	}
	connect(t, s.ClientURL())
	s.Shutdown()
	start(t, natsd.Options{Dir: dir})
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

// TestRepliesStayWithWhoAsked chooses reply subjects as an attacker does: the
// acknowledgement of a publication, and the answer of a service, would delete a
// stream or overwrite a bucket if they were published in the service's account.
func TestRepliesStayWithWhoAsked(t *testing.T) {
	newKey := func() (nkeys.KeyPair, string) {
		t.Helper()
		kp, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		pub, err := kp.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return kp, pub
	}
	service, servicePub := newKey()
	users := []natsd.User{{NKey: servicePub}}
	var keys []nkeys.KeyPair
	var pubs []string
	for range 2 { // both may ask at the same place
		kp, pub := newKey()
		keys, pubs = append(keys, kp), append(pubs, pub)
		users = append(users, natsd.User{NKey: pub, Subscribe: []string{"_INBOX." + pub + ".>"}, Publish: []string{
			"s." + pub, "ask.x", "$JS.API.CONSUMER.INFO.V." + pub, "$JS.API.CONSUMER.MSG.NEXT.V." + pub, "$JS.ACK.V." + pub + ".>",
		}})
	}
	dir := t.TempDir()
	s := start(t, natsd.Options{Dir: dir, Users: users})
	ctx := t.Context()
	nc, err := nats.Connect(s.ClientURL(), nats.NoReconnect(), nats.Nkey(servicePub, service.Sign))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for name, subject := range map[string]string{"S": "s.*", "V": "v.*"} {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{subject}}); err != nil {
			t.Fatal(err)
		}
	}
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(ctx, "k", "good"); err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 16)
	if _, err := nc.Subscribe("ask.x", func(m *nats.Msg) {
		if err := m.Respond(nil); err != nil {
			t.Error(err)
		}
		asked <- struct{}{}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}

	mine, err := nats.Connect(s.ClientURL(), nats.NoReconnect(), nats.Nkey(pubs[0], keys[0].Sign), nats.CustomInboxPrefix("_INBOX."+pubs[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	targets := []string{"$JS.API.STREAM.DELETE.S", "$JS.API.STREAM.PURGE.S", "$KV.b.k", "v." + pubs[1], "s." + pubs[1]}
	for _, reply := range targets {
		for _, subject := range []string{"s." + pubs[0], "ask.x"} {
			if err := mine.PublishRequest(subject, reply, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range targets {
		select {
		case <-asked:
		case <-time.After(10 * time.Second):
			t.Fatal("a request did not arrive")
		}
	}
	// What is answered now was asked after all of that.
	own, err := jetstream.New(mine)
	if err != nil {
		t.Fatal(err)
	}
	ack, err := own.Publish(ctx, "s."+pubs[0], []byte("last"))
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	if want := uint64(len(targets) + 1); ack.Sequence != want {
		t.Errorf("sequence %d, want %d: something else was stored or removed", ack.Sequence, want)
	}
	if e, err := kv.Get(ctx, "k"); err != nil || string(e.Value()) != "good" {
		t.Errorf("the bucket was written: %v", err)
	}
	if st, err := js.Stream(ctx, "S"); err != nil || st.CachedInfo().State.Msgs != uint64(len(targets)+1) {
		t.Errorf("stream: %v", err)
	}
	if st, err := js.Stream(ctx, "V"); err != nil || st.CachedInfo().State.Msgs != 0 {
		t.Errorf("stream of others: %v", err)
	}

	// The pull consumer of its own works across the accounts, and no other's.
	if _, err := js.Publish(ctx, "v."+pubs[0], []byte("hello")); err != nil {
		t.Fatal(err)
	}
	for _, pub := range pubs {
		if _, err := js.CreateConsumer(ctx, "V", jetstream.ConsumerConfig{
			Durable: pub, FilterSubject: "v." + pub, AckPolicy: jetstream.AckExplicitPolicy,
		}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := own.Consumer(ctx, "V", pubs[0])
	if err != nil {
		t.Fatal(err)
	}
	msg, err := c.Next()
	if err != nil || string(msg.Data()) != "hello" {
		t.Fatalf("next: %v", err)
	}
	if err := msg.DoubleAck(ctx); err != nil {
		t.Errorf("ack: %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if _, err := own.Consumer(short, "V", pubs[1]); err == nil {
		t.Error("found the consumer of somebody else")
	}

	// The store is where it was before there were users.
	nc.Close()
	mine.Close()
	s.Shutdown()
	plain := start(t, natsd.Options{Dir: dir})
	if _, err := connect(t, plain.ClientURL()).Stream(ctx, "S"); err != nil {
		t.Errorf("without users the stream is gone: %v", err)
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
