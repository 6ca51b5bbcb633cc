package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/config"
	"github.com/chamthe/chamthe/agent/doctor"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/agent/truststore"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/serial"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/store"
	"github.com/chamthe/chamthe/sync/uplink"
)

// doctorCommand is one run of the command, and what finds the agent for others.
type doctorCommand struct {
	*env
	file, data string
	alone      bool
}

func newDoctor(e *env) *cobra.Command {
	d := &doctorCommand{env: e}
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything that the agent depends on, and say what is wrong and what to do",
		Long: `Doctor asks the running agent how it is, which sees all, and looks itself at what
an agent that does not run cannot tell. Each finding says what was found, what that
means, and what to do; its page says more. Nothing of it is personal.

The exit status is 0 unless something is marked as an error.`,
		Example: "  chamthe doctor\n  chamthe doctor --json\n  chamthe doctor --data /tmp/desk",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			found := d.look(c.Context())
			if err := c.Context().Err(); err != nil {
				return err
			}
			var err error
			if asJSON {
				err = writeJSON(e.stdout, found)
			} else {
				err = printDiagnosis(e, found)
			}
			if err == nil && found.Level == wire.LevelError {
				err = fault.New(fault.DoctorFound, nil)
			}
			return err
		},
	}
	d.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.Flags().BoolVar(&d.alone, "alone", false, "do not ask the running agent")
	return c
}

func (d *doctorCommand) flags(c *cobra.Command) {
	c.Flags().StringVar(&d.file, "config", "", "configuration `FILE` (default $"+configVariable+", or "+config.DefaultFile()+")")
	c.Flags().StringVar(&d.data, "data", "", "the `DIR` that \"chamthe run --data\" was given")
}

// load reads the configuration as "chamthe run" does. What is wrong with it is a
// finding; then the defaults are looked at.
func (d *doctorCommand) load() (cfg *config.Config, problem error) {
	run := &daemonCommand{env: d.env, file: d.file, data: d.data, port: -1}
	cfg, problem = run.load()
	if problem == nil {
		return cfg, nil
	}
	cfg, err := config.Load(config.Options{File: os.DevNull, Policy: os.DevNull, Env: []string{}, Flags: run.flags()})
	if err != nil {
		cfg = &config.Config{}
	}
	return cfg, problem
}

// client returns who asks the agent that runs with this configuration.
func (d *doctorCommand) client(cfg *config.Config) *client.Client {
	port := cfg.API.Port
	if d.data != "" || cfg.API.Port == 0 {
		// An agent that was told to take any port, says which one.
		if b, err := os.ReadFile(filepath.Join(cfg.Data.Dir, portName)); err == nil && len(b) < 16 {
			if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				port = n
			}
		}
	}
	return client.NewWithTokenFile("http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), cfg.API.DeskTokenFile)
}

// portName is where tests and trials tell the port: "chamthe run --port-file
// DIR/port".
const portName = "port"

// look makes the diagnosis: that of the running agent, with what it cannot see.
func (d *doctorCommand) look(ctx context.Context) wire.Diagnosis {
	v := buildVersion()
	cfg, problem := d.load()
	api := d.client(cfg)
	defer api.CloseIdle()
	own := []doctor.Check{
		doctor.System(v.Version, v.Revision),
		doctor.Config(cmpFile(d.file), func() error { return problem }),
	}
	if !d.alone {
		ask, cancel := context.WithTimeout(ctx, 2*doctor.Limit)
		theirs, err := api.Doctor(ask)
		cancel()
		if err == nil {
			found := doctor.Run(ctx, v.Version, own...)
			// What runs has a configuration that can be used; what this command reads may
			// be another one.
			if i := slices.IndexFunc(found.Findings, func(f wire.Diagnosed) bool { return f.ID == "config" && f.Level == wire.LevelOK }); i >= 0 {
				found.Findings = slices.Delete(found.Findings, i, i+1)
			}
			for _, f := range theirs.Findings {
				if f.ID != "version" {
					found.Findings = append(found.Findings, f)
					found.Level = doctor.Worse(found.Level, f.Level)
				}
			}
			return found
		}
	}
	checks := append(own, doctor.Port(net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.API.Port)), api.Healthy))
	checks = append(checks, files(cfg), doctor.Disk(cfg.Data.Dir))
	hub, closeHub, err := d.hub(cfg)
	if err == nil {
		defer closeHub()
		checks = append(checks, readerChecks(hub, cfg.Readers.PN532, cfg.Readers.Scanners)...)
	}
	checks = append(checks, d.dataChecks(cfg)...)
	return doctor.Run(ctx, v.Version, checks...)
}

func cmpFile(file string) string {
	if file = configFile(file); file != "" {
		return file
	}
	return config.DefaultFile()
}

// hub opens the readers of the configuration for as long as the command runs.
func (d *doctorCommand) hub(cfg *config.Config) (*reader.Hub, func(), error) {
	var sources []reader.Source
	if cfg.Readers.PCSC {
		sources = append(sources, reader.Source{Name: "pcsc", Driver: d.readers})
	}
	var modules *serial.Driver
	if len(cfg.Readers.PN532) > 0 {
		modules = serial.New(serial.Config{Ports: cfg.Readers.PN532})
		sources = append(sources, reader.Source{Name: "serial", Driver: modules})
	}
	h, err := reader.OpenHub(reader.HubConfig{Sources: sources, Prefer: cfg.Readers.Prefer})
	if err != nil {
		return nil, nil, err
	}
	return h, func() {
		h.Close()
		if modules != nil {
			modules.Close()
		}
	}, nil
}

func readerChecks(hub doctor.Hub, modules, scanners []string) []doctor.Check {
	var usb fs.FS
	if runtime.GOOS == "linux" {
		usb = os.DirFS("/sys/bus/usb/devices")
	}
	return []doctor.Check{
		doctor.Service(hub), doctor.Readers(hub, nil), doctor.USB(usb, hub),
		doctor.SerialPorts(serial.Ports, slices.Concat(modules, scanners)),
	}
}

// files are those whose permissions matter.
func files(cfg *config.Config) doctor.Check {
	dir := cfg.Data.Dir
	in := func(name string) string { return filepath.Join(dir, name) }
	return doctor.Files(
		doctor.Path{Name: dir, Secret: true},
		doctor.Path{Name: in("visits.db"), Secret: true, With: dir},
		doctor.Path{Name: in("seal.key"), Secret: true, With: dir},
		doctor.Path{Name: in("agent.nk"), Secret: true, With: dir},
		doctor.Path{Name: in("enrolment.json"), Secret: true, With: dir},
		doctor.Path{Name: in("clients.json"), Secret: true, With: dir},
		doctor.Path{Name: in("operators.json"), Secret: true, With: dir},
		doctor.Path{Name: cfg.API.DeskTokenFile, Secret: true, Group: true},
		doctor.Path{Name: cfg.Log.Dir, Secret: true, Group: true},
		doctor.Path{Name: cfg.Trust.Dir},
		doctor.Path{Name: config.DefaultFile()},
		doctor.Path{Name: config.PolicyFile(), Root: true},
	)
}

// dataChecks look at a data directory that no agent has open.
func (d *doctorCommand) dataChecks(cfg *config.Config) []doctor.Check {
	dir := cfg.Data.Dir
	urls, conf, err := centralOf(cfg)
	network := doctor.Server(urls, conf, nil)
	if err != nil {
		network.Run = func(context.Context) []wire.Diagnosed { return []wire.Diagnosed{d.closedDir(err)} }
	}
	if cfg.Central.Proxy != "" {
		p := agent.Proxy{URL: cfg.Central.Proxy, User: cfg.Central.ProxyUser, Password: cfg.Central.ProxyPassword}
		network = doctor.Server(urls, conf, p.DialContext)
	}
	checks := []doctor.Check{
		network,
		doctor.Clock(func(context.Context) (time.Duration, bool) { return clockOffset(dir) }),
		issuers(cfg),
	}
	data := doctor.Check{ID: "store", Title: "Stored visits", Run: func(ctx context.Context) []wire.Diagnosed { return d.lookInside(ctx, dir) }}
	return append(checks, data)
}

// issuers looks at the trust directory. The insurer's own list lies in the store,
// where only the agent reads it.
func issuers(cfg *config.Config) doctor.Check {
	check := doctor.Trust(func(ctx context.Context) (*wire.Trust, error) {
		s, err := truststore.Load(ctx, cfg.Trust.Dir)
		if errors.Is(err, truststore.ErrNone) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return encodeTrust(s.Pool, time.Now()), nil
	})
	look := check.Run
	check.Run = func(ctx context.Context) []wire.Diagnosed {
		_, err := truststore.Load(ctx, cfg.Trust.Dir)
		if enrolled, eerr := agent.Enrolled(cfg.Data.Dir); errors.Is(err, truststore.ErrNone) && (eerr != nil || enrolled != nil) {
			return []wire.Diagnosed{doctor.Skipped("The trust directory is empty; the insurer's list of issuers lies in the agent's data, which only the running agent reads.")}
		}
		return look(ctx)
	}
	return check
}

// lookInside opens the store, once for all who look into it.
func (d *doctorCommand) lookInside(ctx context.Context, dir string) []wire.Diagnosed {
	queue, trail, st, err := agent.OpenTrail(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []wire.Diagnosed{{Level: wire.LevelInfo, What: "No agent has worked in the data directory yet."}}
	case errors.Is(err, fs.ErrPermission):
		return []wire.Diagnosed{d.closedDir(err)}
	case errors.Is(err, store.ErrLocked):
		return []wire.Diagnosed{doctor.Skipped("An agent has it open, and did not answer this user: run `chamthe doctor` as an administrator, or as a member of the desk's group.")}
	case err != nil:
		return doctor.Store(func(context.Context) (wire.Store, error) { return wire.Store{}, err }).Run(ctx)
	}
	defer st.Close()
	found := doctor.Run(ctx, "",
		doctor.Store(func(ctx context.Context) (wire.Store, error) {
			if err := st.Check(ctx); err != nil {
				return wire.Store{}, err
			}
			n, err := queue.Damaged(ctx)
			return wire.Store{Checked: true, Damaged: n}, err
		}),
		doctor.Queue(func(ctx context.Context) (wire.Queue, error) {
			s, err := queue.Stats(ctx)
			return wireQueue(s), err
		}),
		doctor.Audit(func(ctx context.Context) (int, error) {
			s, err := trail.Verify(ctx)
			return int(s.Entries), err
		}),
	)
	return found.Findings
}

func (d *doctorCommand) closedDir(err error) wire.Diagnosed {
	if errors.Is(err, fs.ErrPermission) {
		return doctor.Skipped("This user may not look into the data directory: run `chamthe doctor` as an administrator.")
	}
	f := fault.Classify(err)
	return wire.Diagnosed{Level: wire.LevelError, What: f.Cause, Remedy: f.Remedy, Page: fault.PagePath(f.Code)}
}

func wireQueue(s outbox.Stats) wire.Queue {
	q := wire.Queue{Queued: s.Queued, Stored: s.Stored, Accepted: s.Accepted, Rejected: s.Rejected}
	if !s.Oldest.IsZero() {
		q.Oldest = &s.Oldest
	}
	return q
}

// centralOf returns where the central service is: as configured, else as enrolled.
func centralOf(cfg *config.Config) (urls []string, conf *tls.Config, err error) {
	urls = cfg.Central.URLs
	if conf, err = authorities(cfg); err != nil {
		return nil, nil, err
	}
	enrolled, err := agent.Enrolled(cfg.Data.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && enrolled == nil:
		return urls, conf, nil
	case err != nil:
		return nil, nil, err
	}
	if len(urls) == 0 {
		urls = enrolled.URLs()
	}
	if conf == nil {
		conf, err = enrolled.TLS()
	}
	return urls, conf, err
}

// clockOffset returns how far this computer's clock is ahead of the central
// service's, by the last nonce: by when that was issued there and written here. A nonce
// is at most half a minute old when it comes.
func clockOffset(dir string) (time.Duration, bool) {
	path := filepath.Join(dir, "nonce.json")
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	n, ok, err := uplink.NonceFile(path).LoadNonce(context.Background())
	if err != nil || !ok {
		return 0, false
	}
	// Written in the future: the clock was set back since then.
	if back := time.Until(info.ModTime()); back > time.Minute {
		return -back, true
	}
	return info.ModTime().Sub(n.IssuedAt), true
}

// diagnose is what a running agent says of itself.
func (d *daemonCommand) diagnose(cfg *config.Config, serialModules []string) func(context.Context, *agent.Daemon) (wire.Diagnosis, error) {
	return func(ctx context.Context, daemon *agent.Daemon) (wire.Diagnosis, error) {
		v := buildVersion()
		checks := []doctor.Check{
			doctor.System(v.Version, v.Revision),
			doctor.Config(cmpFile(d.file), func() error { return nil }), // it runs with it
			{ID: "api.port", Title: "Local API", Run: func(context.Context) []wire.Diagnosed {
				return []wire.Diagnosed{{Level: wire.LevelOK, What: "An agent answers there.", Values: map[string]string{"port": strconv.Itoa(daemon.Port())}}}
			}},
			files(cfg), doctor.Disk(cfg.Data.Dir),
		}
		if hub := daemon.Hub(); hub != nil {
			checks = append(checks, readerChecks(hub, serialModules, cfg.Readers.Scanners)...)
		}
		status := func(ctx context.Context) (wire.Status, error) { return daemon.Status(ctx, "") }
		urls, conf, err := centralOf(cfg)
		if err == nil && (len(urls) > 0 || !daemon.Config().Training) {
			check := doctor.Server(urls, conf, nil)
			if cfg.Central.Proxy != "" {
				check = doctor.Server(urls, conf, daemon.Config().Agent.Dial)
			}
			checks = append(checks, check)
		}
		checks = append(checks,
			doctor.Link(func(ctx context.Context) wire.Link {
				st, err := status(ctx)
				if err != nil {
					return wire.Link{}
				}
				return st.Link
			}),
			doctor.Clock(func(context.Context) (time.Duration, bool) { return clockOffset(cfg.Data.Dir) }),
			doctor.Store(func(ctx context.Context) (wire.Store, error) { st, err := status(ctx); return st.Store, err }),
			doctor.Queue(func(ctx context.Context) (wire.Queue, error) { st, err := status(ctx); return st.Queue, err }),
			doctor.Trust(func(ctx context.Context) (*wire.Trust, error) { st, err := status(ctx); return st.Trust, err }),
			doctor.Bundles(func(ctx context.Context) ([]wire.Bundle, error) { st, err := status(ctx); return st.Bundles, err }),
		)
		if a := daemon.Agent(); a != nil {
			checks = append(checks,
				doctor.Learned(func(ctx context.Context) ([]limits.Entry, error) { return a.Limits().All(ctx) }),
				doctor.Audit(func(ctx context.Context) (int, error) {
					s, err := a.Trail().Verify(ctx)
					return int(s.Entries), err
				}),
			)
		}
		return doctor.Run(ctx, v.Version, checks...), ctx.Err()
	}
}

// Diagnose is what a daemon that no configuration file describes says of itself, such as
// that of the training desk: of its directory, its token, its readers and its link.
func Diagnose(ctx context.Context, d *agent.Daemon) (wire.Diagnosis, error) {
	cfg := &config.Config{}
	cfg.Data.Dir, cfg.API.DeskTokenFile = d.Config().Agent.Dir, d.Config().DeskTokenFile
	found, err := (&daemonCommand{}).diagnose(cfg, nil)(ctx, d)
	found.Findings = slices.DeleteFunc(found.Findings, func(f wire.Diagnosed) bool { return f.ID == "config" })
	found.Level = wire.LevelOK
	for _, f := range found.Findings {
		found.Level = doctor.Worse(found.Level, f.Level)
	}
	return found, err
}

var levelMarks = map[string]string{wire.LevelOK: "+", wire.LevelInfo: "i", wire.LevelWarning: "!", wire.LevelError: "X", wire.LevelSkipped: "-"}

// printDiagnosis prints what was found for a person.
func printDiagnosis(e *env, d wire.Diagnosis) error {
	var b strings.Builder
	counts := map[string]int{}
	for _, f := range d.Findings {
		counts[f.Level]++
		fmt.Fprintf(&b, "[%s] %-28s %s\n", levelMarks[f.Level], printable(f.Title), printable(f.What))
		for _, line := range []struct{ word, text string }{{"why", f.Why}, {"do", f.Remedy}} {
			if line.text != "" && f.Level != wire.LevelOK {
				fmt.Fprintf(&b, "    %-28s %s: %s\n", "", line.word, printable(line.text))
			}
		}
		if f.Page != "" && (f.Level == wire.LevelWarning || f.Level == wire.LevelError) {
			fmt.Fprintf(&b, "    %-28s see %s\n", "", f.Page)
		}
	}
	fmt.Fprintf(&b, "\n%s, %s, %s\n", plural(counts[wire.LevelOK]+counts[wire.LevelInfo], "finding")+" fine", plural(counts[wire.LevelWarning], "warning"), plural(counts[wire.LevelError], "error"))
	_, err := fmt.Fprint(e.stdout, b.String())
	return err
}
