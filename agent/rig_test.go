package agent_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/uplink"
)

const facility = "01013"

// patience is how long a test waits for what must come; nothing is timed.
const patience = time.Minute

// This binary is started again in another role by some tests.
const (
	roleVariable = "CHAMTHE_TEST_ROLE" // identity, desk, rotate or one of those of privacy_run_test.go
	dirVariable  = "CHAMTHE_TEST_DIR"
	urlVariable  = "CHAMTHE_TEST_URL"
)

func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(roleVariable); role {
	case "":
		// The one connection to the session bus that a program keeps.
		goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/godbus/dbus/v5.newConn.func1"),
			goleak.IgnoreAnyFunction("github.com/godbus/dbus/v5.(*Conn).inWorker"))
	case "identity":
		err = identityProcess(os.Getenv(dirVariable))
	case "rotate":
		err = rotateProcess(os.Getenv(dirVariable), os.Getenv(stepVariable))
	case "busy":
		err = busyProcess(os.Getenv(dirVariable), os.Getenv(urlVariable), os.Getenv(insurerVariable), os.Getenv(crashVariable))
	case "desk":
		err = deskProcess(os.Getenv(dirVariable), os.Getenv(urlVariable))
	default:
		err = fmt.Errorf("no role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// identityProcess says which agent works in dir, once its standard input ends.
func identityProcess(dir string) error {
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	key, err := agent.Identity(dir)
	if err != nil {
		return err
	}
	fmt.Println(key)
	return nil
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *syncBuffer) logger(service string) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})).With("service", service)
}

// issuerDay is around when the documents' certificates are valid: long ago and
// long from now.
var issuerDay = time.Now().UTC().Truncate(30 * 24 * time.Hour)

// issue makes a citizen card of an issuing state that is the same in every
// process.
var issue = sync.OnceValues(func() (*chip.Document, error) {
	pki, err := chip.NewPKI(chip.ProfileCCCD, issuerDay, mathrand.NewChaCha8([32]byte([]byte("an issuing state for tests only."))))
	if err != nil {
		return nil, err
	}
	return chip.Build(chip.ProfileCCCD, chip.Options{PKI: pki, At: issuerDay})
})

func document(t *testing.T) *chip.Document {
	t.Helper()
	d, err := issue()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func anchors(d *chip.Document) (*trust.Pool, error) {
	c, err := cms.ParseCertificate(d.CSCA)
	if err != nil {
		return nil, err
	}
	pool := trust.NewPool()
	return pool, pool.Add(c, "test")
}

// tap checks the document's holder in.
func tap(ctx context.Context, a *agent.Agent, d *chip.Document) (*checkin.Outcome, error) {
	m, err := mrz.Parse(strings.Join(d.MRZ, "\n"))
	if err != nil {
		return nil, err
	}
	key, err := m.Key()
	if err != nil {
		return nil, err
	}
	card, err := d.Chip()
	if err != nil {
		return nil, err
	}
	desk, err := a.Desk(ctx)
	if err != nil {
		return nil, err
	}
	return desk.CheckIn(ctx, card, inspect.Access{Keys: []mrz.Key{key}}, checkin.Options{Photo: true})
}

// config is an agent without a central service.
func config(dir string) agent.Config {
	return agent.Config{Dir: dir, Facility: facility, Operator: "desk 1", URLs: []string{"nats://127.0.0.1:1"}}
}

// open opens an agent and closes it at the end of the test.
func open(t *testing.T, dir string) *agent.Agent {
	t.Helper()
	return openWith(t, config(dir))
}

func openWith(t *testing.T, cfg agent.Config) *agent.Agent {
	t.Helper()
	a, err := agent.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// run runs an agent. stop waits for its end; the test's end calls it too.
func run(t *testing.T, a *agent.Agent) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// centre is a NATS server and the central service behind it, with the files
// and the address that they always have.
type centre struct {
	t       *testing.T
	log     *syncBuffer
	dir     string
	port    int
	agent   string // who may connect
	pool    *trust.Pool
	service nkeys.KeyPair

	bundleKey nkeys.KeyPair // nil: no bundles
	pieces    [][]byte      // of the trust bundle

	central  *central.Central
	stopping func()
	accepted uint64 // by earlier runs
}

// newCentre returns a central service that is not running yet.
func newCentre(t *testing.T, agentKey string) *centre {
	t.Helper()
	c := &centre{t: t, log: &syncBuffer{}, dir: t.TempDir(), agent: agentKey}
	var err error
	if c.pool, err = anchors(document(t)); err != nil {
		t.Fatal(err)
	}
	if c.service, err = nkeys.CreateUser(); err != nil {
		t.Fatal(err)
	}
	c.port = natsd.RandomPort
	c.listen().Shutdown() // now the port is known
	t.Cleanup(c.stop)
	return c
}

func (c *centre) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", c.port) }

func (c *centre) listen() *natsd.Server {
	c.t.Helper()
	publish, subscribe, err := uplink.Permissions(facility, c.agent)
	if err != nil {
		c.t.Fatal(err)
	}
	service, err := c.service.PublicKey()
	if err != nil {
		c.t.Fatal(err)
	}
	s, err := natsd.Start(natsd.Options{
		Dir: c.dir, Port: c.port, Logger: c.log.logger("nats"),
		Users: []natsd.User{{NKey: service}, {NKey: c.agent, Publish: publish, Subscribe: subscribe}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.port = s.Port()
	return s
}

func (c *centre) start() {
	c.t.Helper()
	server := c.listen()
	credentials, err := uplink.NKeyCredentials(c.service)
	if err != nil {
		c.t.Fatal(err)
	}
	p := document(c.t).Person
	cfg := central.Config{
		URLs: []string{c.url()}, Credentials: credentials, Anchors: c.pool, Logger: c.log.logger("central"),
		Seed: &central.Seed{
			Agents: []central.Agent{{Key: c.agent, Facility: facility}},
			People: []central.Person{{
				Number: p.Number, InsuranceNumber: "GD4010100000001", Name: p.Name, BirthDate: "1999-01-31", Code: "000", Facility: facility,
			}},
		},
	}
	if c.bundleKey != nil {
		cfg.BundleKey, cfg.TrustPieces = c.bundleKey, c.pieces
	}
	c.central, err = central.New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.central.Run(ctx) }()
	c.stopping = func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Errorf("central: %v", err)
		}
		server.Shutdown()
	}
}

// stop stops what runs. It may be started again.
func (c *centre) stop() {
	if c.stopping != nil {
		c.stopping()
		c.stopping = nil
		c.accepted += c.central.Counts().Accepted
	}
}
