package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/uplink"
)

// settings are the flags of serve.
type settings struct {
	seed, trust       string
	nats              []string
	ca, nkey          string
	listen, dir       string
	unsafeSync, debug bool
	workers, replicas int
	visitDays         int
	visitBytes        int64
	stdout, stderr    io.Writer
	log               *slog.Logger
	seeded            *central.Seed
	key               nkeys.KeyPair // of the service itself; nil: none
	deployed          *deployed     // what init has made; nil: --dir is only a place for the store
}

func serve(stdout, stderr io.Writer) *cobra.Command {
	s := &settings{stdout: stdout, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "serve --trust DIR [--seed FILE] (--dir DIR [--listen HOST:PORT] | --nats URL)",
		Short: "Answer lookups and judge visits until interrupted",
		Long: `serve answers agents over NATS. With --dir it brings its own NATS server with
JetStream, which keeps everything in that directory; with --nats it uses yours.
Once it answers, it prints the server's address on standard output.

With a DIR that init has made, that server speaks TLS and is there for other
machines: agents come in with the credentials that they are given when they are
enrolled. Give --nats as well to use your own server with the same DIR.

With any other DIR it listens on this machine only, and lets in exactly the agents
of the seed file, each with its key and to its own subjects.

The seed file is JSON: who may send visits besides those who are enrolled, and who
is insured.

  {
    "agents": [
      {"key": "U...public nkey of the agent...", "facility": "01013"}
    ],
    "people": [
      {"number": "001099000001", "name": "Nguyễn Văn Thử", "birthDate": "1999-01-31",
       "sex": "male", "insuranceNumber": "GD4010100000001", "benefitLevel": "4",
       "from": "2026-01-01", "to": "2026-12-31", "facility": "01013"}
    ]
  }

The trust directory holds the certificates of the country signing CAs, one in
each file that ends in .der, .cer or .crt (DER).`,
		Example: `  chamthe-central serve --trust csca/ --dir /var/lib/chamthe --seed people.json
  chamthe-central serve --trust csca/ --dir /var/lib/chamthe --nats tls://nats.example:4222
  chamthe-central serve --seed seed.json --trust csca/ --nats tls://nats.example:4222 --nkey central.nk --workers 4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&s.seed, "seed", "", "seed `FILE` (JSON)")
	f.StringVar(&s.trust, "trust", "", "`DIR` of country signing CA certificates")
	f.StringVar(&s.dir, "dir", "", "bring a NATS server that keeps everything in `DIR`")
	f.StringVar(&s.listen, "listen", "", "`HOST:PORT` for that server; port 0 takes a free one; default: as init was told, or 127.0.0.1:4222")
	f.BoolVar(&s.unsafeSync, "no-sync", false, "let that server write to the disk later: faster, but a power cut may lose visits")
	f.StringSliceVar(&s.nats, "nats", nil, "use the NATS server at `URL`; may be repeated")
	f.StringVar(&s.ca, "ca", "", "`FILE` of certificates (PEM) that the NATS server's must lead to; default: the system's")
	f.StringVar(&s.nkey, "nkey", "", "`FILE` with the seed of the nkey to log in with")
	f.IntVar(&s.workers, "workers", 1, "visits that are verified side by side")
	f.IntVar(&s.replicas, "replicas", 1, "copies of every stream: 3 in a cluster")
	f.Int64Var(&s.visitBytes, "max-visit-bytes", 0, "refuse visits when they take so many `BYTES`; 0: no limit")
	f.IntVar(&s.visitDays, "keep-visit-days", 0, "remove visits after so many `DAYS`, 90 at least; what became of them stays; 0: never")
	f.BoolVar(&s.debug, "debug", false, "log more")
	_ = cmd.MarkFlagRequired("trust") // fails for a flag that does not exist
	cmd.MarkFlagsOneRequired("dir", "nats")
	return cmd
}

func (s *settings) run(ctx context.Context) error {
	level := slog.LevelInfo
	if s.debug {
		level = slog.LevelDebug
	}
	s.log = slog.New(slog.NewTextHandler(s.stderr, &slog.HandlerOptions{Level: level}))

	if least := int(central.MinKeepVisits / (24 * time.Hour)); s.visitDays != 0 && s.visitDays < least {
		return fmt.Errorf("--keep-visit-days: %d at least, or 0 for ever", least)
	}
	cfg := central.Config{Workers: s.workers, Replicas: s.replicas, MaxBytes: s.visitBytes, KeepVisits: time.Duration(s.visitDays) * 24 * time.Hour, Logger: s.log}
	var err error
	switch {
	case isDeployment(s.dir):
		if s.ca != "" || s.nkey != "" {
			return errors.New("--ca and --nkey: the directory that init has made says both")
		}
		if s.deployed, err = readDeployment(s.dir); err != nil {
			return err
		}
		cfg.TLS, cfg.Credentials, cfg.BundleKey = s.deployed.tls, s.deployed.central, s.deployed.bundle
		cfg.PeopleKey, cfg.BundleRolls = s.deployed.people, s.deployed.rolls
	case s.dir != "" && len(s.nats) > 0:
		return errors.New("[dir nats]: give one of them, or a DIR that init has made")
	case s.seed == "":
		return errors.New(`required flag "seed" not set`)
	}
	if s.seed != "" {
		if s.seeded, err = readSeed(s.seed); err != nil {
			return err
		}
		cfg.Seed = s.seeded
	}
	if cfg.Anchors, err = central.ReadAnchors(os.DirFS(s.trust)); err != nil {
		return err
	}
	if s.ca != "" {
		if cfg.TLS, err = readCA(s.ca); err != nil {
			return err
		}
	}
	if s.nkey != "" {
		if s.key, err = readKey(s.nkey); err != nil {
			return err
		}
	}
	cfg.TrustPieces = pieces(cfg.Anchors)
	cfg.URLs = s.nats
	var own *ownServer
	if len(s.nats) == 0 {
		if own, err = s.startServer(); err != nil {
			return err
		}
		// After the service: it finishes the visits in hand.
		defer own.stop()
		cfg.URLs = []string{own.ns.ClientURL()}
		if s.deployed != nil {
			if cfg.URLs[0], err = local(own.ns.Addr()); err != nil {
				return err
			}
		}
	}
	if s.key != nil {
		if cfg.Credentials, err = uplink.NKeyCredentials(s.key); err != nil {
			return err
		}
	}
	var waiting atomic.Int32 // services that do not answer yet
	ready := func() func() {
		waiting.Add(1)
		return sync.OnceFunc(func() {
			if waiting.Add(-1) == 0 {
				fmt.Fprintln(s.stdout, cfg.URLs[0])
			}
		})
	}
	cfg.Ready = ready()
	c, err := central.New(cfg)
	if err != nil {
		return err
	}
	services := []func(context.Context) error{c.Run}
	if s.deployed != nil {
		rc, err := s.deployed.registry(cfg.URLs)
		if err != nil {
			return err
		}
		rc.Replicas, rc.Logger = s.replicas, s.log
		e, err := central.NewEnroller(rc, ready())
		if err != nil {
			return err
		}
		services = append(services, e.Run)
	}
	if own != nil {
		services = append(services, own.supervise)
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, run := range services {
		g.Go(func() error { return run(gctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	n := c.Counts()
	s.log.Info("stopped", "accepted", n.Accepted, "rejected", n.Rejected, "repeated", n.Repeated, "lookups", n.Lookups)
	return nil
}

// pieces is what agents are given to verify documents with: the certificates and
// revocation lists that this service itself believes.
func pieces(p *trust.Pool) [][]byte {
	var all [][]byte
	for _, a := range p.Anchors() {
		all = append(all, a.Certificate.Raw)
	}
	for _, l := range p.RevocationLists() {
		all = append(all, l.CRL.Raw)
	}
	return all
}

// startServer brings up the NATS server of --dir.
func (s *settings) startServer() (*ownServer, error) {
	listen := s.listen
	if listen == "" {
		listen = "127.0.0.1:4222"
		if s.deployed != nil {
			listen = s.deployed.Listen
		}
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: not host:port", listen)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: not a port", listen)
	}
	opt := natsd.Options{Dir: s.dir, Host: host, Port: int(n), SyncAlways: !s.unsafeSync, Logger: s.log}
	if s.deployed != nil {
		opt.Dir = filepath.Join(s.dir, storeDir)
		opt.Operator, opt.TLS, err = s.deployed.server()
	} else {
		opt.Users, err = s.users()
	}
	if err != nil {
		return nil, err
	}
	srv := &ownServer{log: s.log, opt: opt}
	srv.ns, err = natsd.Start(srv.opt)
	switch {
	case errors.Is(err, natsd.ErrPlaintext):
		return nil, fmt.Errorf("--listen %s: other machines could listen in; use a DIR that init has made, or run a NATS server with TLS and use --nats", listen)
	case errors.Is(err, natsd.ErrInUse):
		return nil, fmt.Errorf("--dir %s: another chamthe-central is using it", s.dir)
	case errors.Is(err, natsd.ErrOperator):
		return nil, fmt.Errorf("%s: %w", s.dir, errDeployment)
	case err != nil:
		return nil, err
	}
	srv.opt.Port = srv.ns.Port() // where its clients look for it
	return srv, nil
}

// users are this service and the agents of the seed.
func (s *settings) users() (_ []natsd.User, err error) {
	if s.key == nil {
		// A key for this run: nobody else may be the central service.
		if s.key, err = nkeys.CreateUser(); err != nil {
			return nil, err
		}
	}
	own, err := s.key.PublicKey()
	if err != nil {
		return nil, err
	}
	users := []natsd.User{{NKey: own}}
	seen := map[string]bool{own: true}
	for _, a := range s.seeded.Agents {
		if seen[a.Key] {
			return nil, errors.New("seed: an agent's key occurs twice, or is the service's own")
		}
		seen[a.Key] = true
		publish, subscribe, err := uplink.Permissions(a.Facility, a.Key)
		if err != nil {
			return nil, err
		}
		users = append(users, natsd.User{NKey: a.Key, Publish: publish, Subscribe: subscribe})
	}
	return users, nil
}

func readSeed(path string) (*central.Seed, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	seed, err := central.ReadSeed(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return seed, nil
}

func readCA(path string) (*tls.Config, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in PEM", path)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

func readKey(path string) (nkeys.KeyPair, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := nkeys.ParseDecoratedNKey(b)
	if err != nil {
		// The library's text is safe, but nothing of a key file belongs in one.
		return nil, fmt.Errorf("%s: no nkey seed", path)
	}
	return key, nil
}
