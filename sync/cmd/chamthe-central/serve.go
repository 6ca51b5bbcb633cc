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
	"strconv"

	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

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
	visitBytes        int64
	stdout, stderr    io.Writer
	log               *slog.Logger
	seeded            *central.Seed
	key               nkeys.KeyPair // of the service itself; nil: none
}

func serve(stdout, stderr io.Writer) *cobra.Command {
	s := &settings{stdout: stdout, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "serve --seed FILE --trust DIR (--dir DIR [--listen HOST:PORT] | --nats URL)",
		Short: "Answer lookups and judge visits until interrupted",
		Long: `serve answers agents over NATS. With --dir it brings its own NATS server with
JetStream, which keeps everything in that directory; with --nats it uses yours.
Once it answers, it prints the server's address on standard output.

The server that it brings listens on this machine only, and lets in exactly the
agents of the seed file, each with its key and to its own subjects. For other
machines run a NATS server with TLS and give its address with --nats.

The seed file is JSON: who may send visits, and who is insured.

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
		Example: `  chamthe-central serve --seed seed.json --trust csca/ --dir /var/lib/chamthe-central
  chamthe-central serve --seed seed.json --trust csca/ --nats tls://nats.example:4222 --nkey central.nk --workers 4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&s.seed, "seed", "", "seed `FILE` (JSON)")
	f.StringVar(&s.trust, "trust", "", "`DIR` of country signing CA certificates")
	f.StringVar(&s.dir, "dir", "", "bring a NATS server that keeps everything in `DIR`")
	f.StringVar(&s.listen, "listen", "127.0.0.1:4222", "`HOST:PORT` for that server; port 0 takes a free one")
	f.BoolVar(&s.unsafeSync, "no-sync", false, "let that server write to the disk later: faster, but a power cut may lose visits")
	f.StringSliceVar(&s.nats, "nats", nil, "use the NATS server at `URL`; may be repeated")
	f.StringVar(&s.ca, "ca", "", "`FILE` of certificates (PEM) that the NATS server's must lead to; default: the system's")
	f.StringVar(&s.nkey, "nkey", "", "`FILE` with the seed of the nkey to log in with")
	f.IntVar(&s.workers, "workers", 1, "visits that are verified side by side")
	f.IntVar(&s.replicas, "replicas", 1, "copies of every stream: 3 in a cluster")
	f.Int64Var(&s.visitBytes, "max-visit-bytes", 0, "refuse visits when they take so many `BYTES`; 0: no limit")
	f.BoolVar(&s.debug, "debug", false, "log more")
	for _, name := range []string{"seed", "trust"} {
		_ = cmd.MarkFlagRequired(name) // fails for a flag that does not exist
	}
	cmd.MarkFlagsMutuallyExclusive("dir", "nats")
	cmd.MarkFlagsOneRequired("dir", "nats")
	return cmd
}

func (s *settings) run(ctx context.Context) error {
	level := slog.LevelInfo
	if s.debug {
		level = slog.LevelDebug
	}
	s.log = slog.New(slog.NewTextHandler(s.stderr, &slog.HandlerOptions{Level: level}))

	cfg := central.Config{Workers: s.workers, Replicas: s.replicas, MaxBytes: s.visitBytes, Logger: s.log}
	var err error
	if s.seeded, err = readSeed(s.seed); err != nil {
		return err
	}
	cfg.Seed = s.seeded
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
	cfg.URLs = s.nats
	var own *ownServer
	if s.dir != "" {
		if own, err = s.startServer(); err != nil {
			return err
		}
		// After the service: it finishes the visits in hand.
		defer own.stop()
		cfg.URLs = []string{own.ns.ClientURL()}
	}
	if s.key != nil {
		if cfg.Credentials, err = uplink.NKeyCredentials(s.key); err != nil {
			return err
		}
	}
	announced := false
	cfg.Ready = func() { // one call after the other, from one goroutine
		if !announced {
			announced = true
			fmt.Fprintln(s.stdout, cfg.URLs[0])
		}
	}
	c, err := central.New(cfg)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.Run(gctx) })
	if own != nil {
		g.Go(func() error { return own.supervise(gctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	n := c.Counts()
	s.log.Info("stopped", "accepted", n.Accepted, "rejected", n.Rejected, "repeated", n.Repeated, "lookups", n.Lookups)
	return nil
}

// startServer brings up the NATS server of --dir, for this service and the
// agents of the seed.
func (s *settings) startServer() (*ownServer, error) {
	host, port, err := net.SplitHostPort(s.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: not host:port", s.listen)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: not a port", s.listen)
	}
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
	srv := &ownServer{log: s.log, opt: natsd.Options{
		Dir: s.dir, Host: host, Port: int(n), SyncAlways: !s.unsafeSync, Users: users, Logger: s.log,
	}}
	srv.ns, err = natsd.Start(srv.opt)
	switch {
	case errors.Is(err, natsd.ErrPlaintext):
		return nil, fmt.Errorf("--listen %s: other machines could listen in; run a NATS server with TLS and use --nats", s.listen)
	case errors.Is(err, natsd.ErrInUse):
		return nil, fmt.Errorf("--dir %s: another chamthe-central is using it", s.dir)
	case err != nil:
		return nil, err
	}
	srv.opt.Port = srv.ns.Port() // where its clients look for it
	return srv, nil
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
