package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/api/handoff"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/config"
	"github.com/chamthe/chamthe/agent/enrol"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/internal/logging"
	"github.com/chamthe/chamthe/agent/internal/sdnotify"
	"github.com/chamthe/chamthe/agent/picture"
	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/agent/service"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/serial"
	"github.com/chamthe/chamthe/reader/virtual"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/uplink"
)

// daemonCommand is one run of the command.
type daemonCommand struct {
	*env
	file     string // configuration
	data     string
	document documentFlags // with --chip: the software chip
	port     int           // -1: as configured
	portFile string
	readyFD  int // 0: none
	level    string
	verbose  bool
}

// trainingFacility is whom a software chip works for when nobody else is named.
const trainingFacility = "00000"

func newRun(e *env) *cobra.Command {
	d := &daemonCommand{env: e}
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the agent: readers, check-ins, the local API, and the link to the insurer",
		Long: `Run is the agent itself, in the foreground until it is interrupted; as a service
the system starts it (chamthe service). The configuration says how it works; without
one the defaults do, once the computer is enrolled (chamthe enrol): before that it
runs, says that it is not configured, and goes on by itself when it is.

With --chip a software chip lies on a software reader in place of cards, for those
who connect a hospital system: everything says "training", what opens the chip is in
DIR/training, and no central service is used unless training.allowed is set.

The exit status is 1 when the start failed for a reason that starting again does not
mend; the text says which. A second interrupt ends it at once.`,
		Example: `  chamthe run
  chamthe run --data /tmp/desk --chip cccd
  chamthe run --config /etc/chamthe/config.yaml --port 0 --port-file /run/user/1000/port`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return service.Run(c.Context(), d.run)
		},
	}
	c.Flags().StringVar(&d.file, "config", "", "configuration `FILE` (default $"+configVariable+", or "+config.DefaultFile()+")")
	c.Flags().StringVar(&d.data, "data", "", "keep everything in this `DIR`: data, logs, trust, the desk's token, as far as nothing else is configured")
	c.Flags().StringVar(&d.document.profile, "chip", "", "lay a software chip of this `PROFILE` on a software reader: "+strings.Join(profileNames(), ", "))
	complete(c, "chip", profileNames())
	d.document.addDetails(c)
	c.Flags().IntVar(&d.port, "port", -1, "port of the local API, 0 for any (default as configured)")
	c.Flags().StringVar(&d.portFile, "port-file", "", "write the port into this `FILE` when ready")
	c.Flags().IntVar(&d.readyFD, "ready-fd", 0, "write \"READY\" and the port to this file `DESCRIPTOR` when ready, and close it")
	c.Flags().StringVar(&d.level, "log-level", "", "debug, info, warn or error (default as configured)")
	c.Flags().BoolVarP(&d.verbose, "verbose", "v", false, "log to standard error as well")
	return c
}

// A startError is why the agent did not start: starting it again would not help, and
// the exit status says so to the manager of services.
type startError struct{ *fault.Fault }

func (e *startError) Unwrap() error { return e.Fault }

// exitStart is the exit status that tells a manager not to start the agent again,
// and exitRunning that of an agent that ran and met what it does not know: then a new
// start may help.
const (
	exitStart   = 1
	exitRunning = 100
)

// passing are reasons for a failed start that go away by themselves, or by what
// somebody does without thinking of the agent: the other program ends, the command
// that has the data directory is done. A full disk is another one.
var passing = map[fault.Code]bool{
	fault.CannotRecord: true, fault.StoreTrouble: true, fault.PerhapsSaved: true, fault.KeyringTrouble: true, fault.Cancelled: true,
	fault.PortInUse: true, fault.StoreLocked: true,
}

// atStart names an error of the start.
func atStart(err error) error {
	if f := fault.Classify(err); f != nil && !passing[f.Code] && !diskFull(err) {
		return &startError{f}
	}
	return err
}

// flags are the settings that stand on the command line.
func (d *daemonCommand) flags() map[string]string {
	set := map[string]string{}
	if d.port >= 0 {
		set["api.port"] = strconv.Itoa(d.port)
	}
	if d.level != "" {
		set["log.level"] = d.level
	}
	if d.verbose {
		set["log.stderr"] = "true"
	}
	if d.data != "" {
		set["data.dir"] = d.data
	}
	return set
}

// load reads the configuration. With --data the other directories follow it where
// nobody has configured them.
func (d *daemonCommand) load() (*config.Config, error) {
	if d.data != "" {
		var err error
		if d.data, err = filepath.Abs(d.data); err != nil {
			return nil, err
		}
	}
	o := config.Options{File: configFile(d.file), Flags: d.flags()}
	cfg, err := loadConfig(o)
	if err != nil || d.data == "" {
		return cfg, err
	}
	again := false
	for key, name := range map[string]string{"log.dir": "log", "trust.dir": "trust", "api.desk_token_file": "desk.token"} {
		if cfg.Source(key).Kind == config.FromDefault {
			o.Flags[key], again = filepath.Join(d.data, name), true
		}
	}
	if !again {
		return cfg, nil
	}
	return loadConfig(o)
}

// run runs the agent until ctx ends. ready is for a manager of services that has to
// be told in the same process.
func (d *daemonCommand) run(ctx context.Context, ready func()) error {
	cfg, err := d.load()
	if err != nil {
		return atStart(err)
	}
	if account, err := ownerOnly(cfg.Data.Dir); err != nil {
		return atStart(err)
	} else if account != "" {
		where := cmp.Or(cfg.Source("data.dir").Where, "configuration")
		text := "the directory belongs to the account " + account + ", which could not read what root makes in it: start the service, or give `runuser -u " + account + " -- chamthe run`"
		return atStart(&config.Error{Problems: []config.Problem{{Where: where, Key: "data.dir", Text: text}}})
	}
	// Before the log, which may lie in it and would let a group in.
	if err := agent.MakeDir(cfg.Data.Dir); err != nil {
		return atStart(err)
	}
	log, logs := d.openLog(cfg)
	if logs != nil {
		defer logs.Close()
	}
	notify := sdnotify.FromEnvironment()
	for {
		err := d.once(ctx, cfg, log, logs, notify, ready)
		if !errors.Is(err, agent.ErrEnrolled) {
			return err
		}
		log.Info("enrolled: starting anew")
		ready = func() {} // the manager knows already
	}
}

// openLog opens the log. One that cannot be opened keeps nobody from working: then it
// goes to standard error.
func (d *daemonCommand) openLog(cfg *config.Config) (*slog.Logger, *logging.File) {
	var to []io.Writer
	var file *logging.File
	var trouble error
	if cfg.Log.Dir != "none" {
		if file, trouble = logging.Open(cfg.Log.Dir, int64(cfg.Log.MaxSize)<<20, cfg.Log.Keep); file != nil {
			to = append(to, file)
		}
	}
	if cfg.Log.Stderr || file == nil {
		to = append(to, d.stderr)
	}
	log := logging.New(cfg.Log.Level, to...)
	if trouble != nil {
		log.Warn("the log cannot be opened: it goes to standard error", "error", trouble)
	}
	return log, file
}

// once runs one daemon.
func (d *daemonCommand) once(ctx context.Context, cfg *config.Config, log *slog.Logger, logs *logging.File, notify *sdnotify.Notifier, ready func()) (err error) {
	made, err := d.build(ctx, cfg, log, logs)
	if err != nil {
		log.Error("not started", "code", fault.Classify(err).Code, "error", err)
		return atStart(err)
	}
	defer func() { err = errors.Join(err, made.close()) }()
	daemon, err := agent.OpenDaemon(ctx, made.DaemonConfig)
	if err != nil {
		if ctx.Err() != nil {
			return nil // interrupted before it began
		}
		err = atFolder(cfg, err)
		log.Error("not started", "code", fault.Classify(err).Code, "error", err)
		return atStart(err)
	}
	defer func() {
		if cerr := daemon.Close(); err == nil || errors.Is(err, agent.ErrEnrolled) {
			err = errors.Join(err, cerr)
		}
	}()
	if err := d.announce(daemon); err != nil {
		return atStart(err)
	}
	beside, alone := context.WithCancel(ctx)
	var watch errgroup.Group
	watch.Go(func() error { keepWatchdog(beside, daemon, notify, log); return nil })
	defer func() {
		alone()
		_ = watch.Wait()
	}()
	stopping := context.AfterFunc(ctx, func() { tell(log, notify, sdnotify.Stopping, sdnotify.Status("stopping")) })
	defer stopping()
	return daemon.Run(ctx, func() {
		// What is to be said of it may take seconds: a card service that hangs.
		tell(log, notify, sdnotify.Ready, sdnotify.Status("running"))
		d.say(cfg, daemon)
		ready()
		tell(log, notify, sdnotify.Status(statusLine(ctx, daemon)))
	})
}

// tell tells systemd; that it cannot be told is its trouble.
func tell(log *slog.Logger, n *sdnotify.Notifier, states ...string) {
	if err := n.Notify(states...); err != nil {
		log.Warn("systemd cannot be told", "error", err)
	}
}

// announce says where the agent is to be found to those who started it. The port is
// open: whoever comes waits until it is served.
func (d *daemonCommand) announce(daemon *agent.Daemon) error {
	line := strconv.Itoa(daemon.Port()) + "\n"
	if d.portFile != "" {
		if err := writeFile(d.portFile, []byte(line)); err != nil {
			return fault.New(fault.ConfigInvalid, err)
		}
	}
	if d.readyFD > 0 {
		f := os.NewFile(uintptr(d.readyFD), "ready")
		if f == nil {
			return usagef("--ready-fd: no such descriptor")
		}
		_, err := io.WriteString(f, "READY "+line)
		if err := errors.Join(err, f.Close()); err != nil {
			return usagef("--ready-fd: the descriptor cannot be written to")
		}
		d.readyFD = 0
	}
	return nil
}

// say tells a person in front of a terminal.
func (d *daemonCommand) say(cfg *config.Config, daemon *agent.Daemon) {
	fmt.Fprintf(d.stdout, "chamthe is ready on http://127.0.0.1:%d (desk's token: %s)\n", daemon.Port(), printable(cfg.API.DeskTokenFile))
	if a := daemon.MetricsAddr(); a != nil {
		fmt.Fprintf(d.stdout, "metrics on http://%s/metrics\n", a)
	}
	if daemon.Agent() == nil {
		fmt.Fprintln(d.stdout, "not configured yet: enrol this computer (chamthe enrol), or name a facility in the configuration")
	}
	if d.document.profile != "" {
		fmt.Fprintf(d.stdout, "TRAINING: a software chip in place of cards; what opens it is in %s\n", printable(filepath.Join(cfg.Data.Dir, trainingDir)))
	}
}

// statusLine is what systemctl status shows.
func statusLine(ctx context.Context, daemon *agent.Daemon) string {
	st, err := daemon.Status(ctx, api.OwnerDesk)
	if err != nil {
		return "running"
	}
	return fmt.Sprintf("link %s, %s waiting, %s", strings.ReplaceAll(st.Link.State, "_", " "), plural(st.Queue.Queued+st.Queue.Stored, "visit"), plural(len(st.Readers), "reader"))
}

// keepWatchdog feeds the watchdog as long as the agent answers. A hung agent is ended
// by systemd, and started again.
func keepWatchdog(ctx context.Context, daemon *agent.Daemon, notify *sdnotify.Notifier, log *slog.Logger) {
	every := notify.Watchdog() / 3
	if every <= 0 {
		return
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		asked, cancel := context.WithTimeout(ctx, every)
		err := daemon.Alive(asked)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("the agent does not answer: the watchdog is not fed", "error", err)
		default:
			tell(log, notify, sdnotify.Watchdog, sdnotify.Status(statusLine(ctx, daemon)))
		}
	}
}

// built is a daemon's configuration with what has to be closed after it.
type built struct {
	agent.DaemonConfig
	closers []func() error
}

func (b *built) close() error {
	var err error
	for _, fn := range b.closers {
		err = errors.Join(err, fn())
	}
	return err
}

// build turns the configuration into a daemon's.
func (d *daemonCommand) build(ctx context.Context, cfg *config.Config, log *slog.Logger, logs *logging.File) (*built, error) {
	v := buildVersion()
	site, err := policy.Settings(cfg.Policy).Policy()
	if err != nil {
		return nil, err
	}
	b := &built{DaemonConfig: agent.DaemonConfig{
		Agent: agent.Config{
			Dir: cfg.Data.Dir, Facility: cfg.Facility.Code, URLs: cfg.Central.URLs, BundleKey: cfg.Central.BundleKey,
			Path: cfg.Central.Path, TrustDir: cfg.Trust.Dir, Policy: site,
			Retention: agent.Retention{Visits: cfg.Data.KeepVisits, Answers: cfg.Data.KeepAnswers, Backups: cfg.Data.KeepBackups},
			Logger:    log,
		},
		FacilityName: cfg.Facility.Name, Version: v.Version, Revision: v.Revision, Goversion: v.Go,
		Prefer: cfg.Readers.Prefer, ScanStarts: cfg.Readers.ScanStarts,
		Port: cfg.API.Port, MetricsListen: cfg.Metrics.Listen, DeskTokenFile: cfg.API.DeskTokenFile, DeskGroup: cfg.API.DeskGroup,
		NoPairing: !cfg.API.Pairing, OperatorRequired: cfg.Operator.Required, Logins: cfg.Operator.Logins, Shift: cfg.Operator.Shift,
		Handoff:  handoff.Config{Dir: cfg.Handoff.Dir, Format: cfg.Handoff.Format, Keep: cfg.Handoff.Keep, Shared: cfg.Handoff.Shared},
		Settings: settings(cfg), Fault: wireFault, LinkFault: linkFault, FaultCodes: faultCodes(), TrainingAllowed: cfg.Training.Allowed,
	}}
	if logs != nil {
		b.LogLost = logs.Lost
	}
	if cfg.Data.Key == agent.InKeyring {
		used, err := agent.Used(cfg.Data.Dir)
		if err != nil {
			return nil, err
		}
		if !used {
			b.Agent.Keys = seal.Keyring{Service: seal.DefaultService}
		}
	}
	if cfg.Central.Proxy != "" {
		p := agent.Proxy{URL: cfg.Central.Proxy, User: cfg.Central.ProxyUser, Password: cfg.Central.ProxyPassword}
		b.Agent.Dial = p.DialContext
	}
	if b.Agent.TLS, err = authorities(cfg); err != nil {
		return nil, err
	}
	for _, c := range cfg.API.Clients {
		g := api.Grant{Name: c.Name, Origin: c.Origin}
		if err := g.Hash.UnmarshalText([]byte(c.TokenSHA256)); err != nil {
			return nil, err
		}
		b.Grants = append(b.Grants, g)
	}
	for _, port := range cfg.Readers.Scanners {
		b.Scanners = append(b.Scanners, serial.ScannerConfig{Port: port, Baud: cfg.Readers.ScannerBaud})
	}
	if d.document.profile != "" {
		if err := d.layChip(b); err != nil {
			return nil, err
		}
	} else {
		d.openReaders(cfg, b)
	}
	b.Diagnose = d.diagnose(cfg, cfg.Readers.PN532)
	b.Support = d.support(cfg, b.Diagnose)
	pictures := picture.New(nil)
	b.Picture = func(ctx context.Context, i face.Image) (checkin.Picture, error) { return showPicture(ctx, pictures, i) }
	b.closers = append(b.closers, pictures.Close)
	return b, ctx.Err()
}

// openReaders takes the readers of this computer.
func (d *daemonCommand) openReaders(cfg *config.Config, b *built) {
	if cfg.Readers.PCSC {
		b.Sources = append(b.Sources, reader.Source{Name: "pcsc", Driver: d.readers})
	}
	if len(cfg.Readers.PN532) > 0 {
		modules := serial.New(serial.Config{Ports: cfg.Readers.PN532})
		b.Sources = append(b.Sources, reader.Source{Name: "serial", Driver: modules})
		b.closers = append(b.closers, modules.Close)
	}
}

// trainingDir, in the data directory, has what opens the software chip; and, unless
// training.allowed, what is recorded with it.
const trainingDir = "training"

// layChip lays the software chip on a software reader, and has its issuer trusted and
// nobody else.
func (d *daemonCommand) layChip(b *built) error {
	if !b.TrainingAllowed {
		// The queue of a desk never gets a sample, which would be sent with the others
		// once the desk is enrolled.
		enrolled, err := enrol.Exists(b.Agent.Dir)
		if err != nil {
			return err
		}
		if enrolled || len(b.Agent.URLs) > 0 {
			return agent.ErrTraining
		}
		b.Agent.Dir = filepath.Join(b.Agent.Dir, trainingDir)
	}
	dir := b.Agent.Dir
	if err := agent.MakeDir(dir); err != nil {
		return err
	}
	now := time.Now()
	// The same issuer in every run: a central service that trusts it knows the next card.
	pki, err := (&demo{env: d.env, keep: true, dir: dir, document: d.document, began: now}).pki()
	if err != nil {
		return err
	}
	doc, err := d.document.build(now, pki)
	if err != nil {
		return err
	}
	card, err := doc.Chip()
	if err != nil {
		return err
	}
	driver := virtual.New(demoReader)
	if err := driver.Insert(demoReader, card); err != nil {
		return err
	}
	anchor, err := cms.ParseCertificate(doc.CSCA)
	if err != nil {
		return err
	}
	pool := trust.NewPool()
	if err := pool.Add(anchor, "software chip"); err != nil {
		return err
	}
	if b.TrainingAllowed {
		dir = filepath.Join(dir, trainingDir)
	}
	if err := writeCard(dir, doc); err != nil {
		return err
	}
	b.Training, b.Sample = true, sampleKey(doc)
	b.Sources = []reader.Source{{Name: "software", Driver: driver}}
	b.Agent.Trust, b.Agent.TrustDir = pool, ""
	if b.Agent.Facility == "" {
		b.Agent.Facility = trainingFacility
	}
	return nil
}

// sampleKey is what opens the software chip: what a scanner would read.
func sampleKey(d *chip.Document) *wire.Key {
	if d.QR != "" {
		return &wire.Key{Scan: d.QR}
	}
	return &wire.Key{MRZ: strings.Join(d.MRZ, "\n")}
}

// misconfigured is a value that only what it names shows to be wrong.
func misconfigured(cfg *config.Config, key, text string) error {
	where := cmp.Or(cfg.Source(key).Where, "configuration")
	return &config.Error{Problems: []config.Problem{{Where: where, Key: key, Text: text}}}
}

// atFolder says where it is configured when the hand-off folder is to blame.
func atFolder(cfg *config.Config, err error) error {
	switch {
	case errors.Is(err, handoff.ErrExposed):
		return misconfigured(cfg, "handoff.dir", "everybody on this computer may look into the folder: take that from others (chmod o-rwx)")
	case errors.Is(err, handoff.ErrConfig):
		return misconfigured(cfg, "handoff.dir", "want a folder, and no link to one")
	}
	return err
}

// authorities is the TLS configuration of central.ca_file; nil without one.
func authorities(cfg *config.Config) (*tls.Config, error) {
	if cfg.Central.CAFile == "" {
		return nil, nil
	}
	wrong := func(text string) error { return misconfigured(cfg, "central.ca_file", text) }
	pem, err := os.ReadFile(cfg.Central.CAFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, wrong("there is no such file")
	case err != nil:
		return nil, wrong("the file cannot be read")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, wrong("there is no certificate (PEM) in the file")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// settings are the values that a change of is written in the audit trail.
func settings(cfg *config.Config) map[string]string {
	all := map[string]string{}
	for _, v := range cfg.Values() {
		all[v.Key] = v.Text()
	}
	return all
}

// wireFault names an error for those who see it.
func wireFault(err error) *wire.Fault {
	f := fault.Classify(err)
	if f == nil {
		return nil
	}
	return encodeFault(f)
}

// linkFault names what keeps the link from working; nil for nothing.
func linkFault(s uplink.State) *wire.Fault {
	code := fault.OfLink(s)
	if code == fault.VisitWaiting || s.Last == uplink.NoTrouble {
		return nil
	}
	return encodeFault(fault.New(code, nil))
}

func faultCodes() []string {
	var all []string
	for _, i := range fault.All() {
		all = append(all, string(i.Code))
	}
	return all
}

// showPicture makes a photo fit for a browser. Its hash was found to be the signed one.
func showPicture(ctx context.Context, d *picture.Decoder, i face.Image) (checkin.Picture, error) {
	m, err := d.Decode(ctx, i)
	if err != nil {
		return checkin.Picture{}, err
	}
	p := checkin.Picture{Data: i.Data, MediaType: "image/jpeg", Width: m.Bounds().Dx(), Height: m.Bounds().Dy()}
	if face.Detect(i.Data) != face.JPEG {
		if p.Data, err = picture.PNG(m); err != nil {
			return checkin.Picture{}, err
		}
		p.MediaType = "image/png"
	}
	return p, nil
}
