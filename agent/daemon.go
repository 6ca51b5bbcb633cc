package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/api/handoff"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/enrol"
	"github.com/chamthe/chamthe/agent/event"
	"github.com/chamthe/chamthe/agent/internal/metrics"
	"github.com/chamthe/chamthe/agent/internal/supervise"
	"github.com/chamthe/chamthe/agent/operator"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/serial"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/uplink"
)

// Errors of a daemon.
var (
	// ErrPort reports a port that another program has.
	ErrPort = errors.New("agent: port is in use")
	// ErrTraining reports a software chip that would work together with a central
	// service without being allowed to.
	ErrTraining = errors.New("agent: software chip with a central service")
	// ErrBundle is why a newer list of the insurer is not used; [Daemon.Status] has it.
	ErrBundle = errors.New("agent: list of the insurer refused")
	// ErrEnrolled ends a daemon that waited to be enrolled: open it again.
	ErrEnrolled = errors.New("agent: the computer is enrolled now")
	// ErrStuck reports a part of the daemon that did not stop in time. The data
	// directory was left open; it is sound, and the process should end.
	ErrStuck = supervise.ErrStuck
)

// DaemonConfig describes a [Daemon]. Agent.Dir, Version and Fault are required.
type DaemonConfig struct {
	// Agent is the agent; its Logger is the daemon's. Without URLs, and with a directory
	// that is not enrolled, it depends on Facility: if there is one, visits are
	// recorded and stay; if not, the daemon answers that it is not configured. Either
	// way it ends with [ErrEnrolled] once it is enrolled.
	Agent        Config
	FacilityName string
	Version      string // of the program
	Revision     string // of its source
	Goversion    string

	// Sources are where card readers come from; whoever opened them closes them after
	// the daemon. Prefer is as in [reader.HubConfig].
	Sources  []reader.Source
	Prefer   string
	Scanners []serial.ScannerConfig
	// ScanStarts has a scan begin a check-in of the desk when none is running.
	ScanStarts bool
	// Training says that Sources are software chips. It is refused together with a
	// central service unless TrainingAllowed. Sample opens the chip.
	Training, TrainingAllowed bool
	Sample                    *wire.Key

	Port          int           // of the local API; 0: any
	MetricsListen string        // address for metrics, of this computer; empty: none
	DeskTokenFile string        // empty: the desk gets no token
	DeskGroup     string        // may read that file; may be missing
	Grants        []api.Grant   // clients from the configuration
	NoPairing     bool          //
	LogLost       func() uint64 // lines of the log that are lost; may be nil

	// Handoff is a folder for finished check-ins; without Dir there is none. Record,
	// Audit, Actor and Logger are the daemon's. A folder that is not there is waited
	// for; one that everybody may look into is [handoff.ErrExposed].
	Handoff handoff.Config

	// Logins takes operators by the login name that the desk vouches for, Shift is how
	// long somebody stays signed in (0: until signing out), and OperatorRequired has
	// nothing recorded before somebody signs in.
	Logins           bool
	Shift            time.Duration
	OperatorRequired bool

	// Settings are what is configured and no secret, by key; a change since the last
	// start is written in the audit trail. Nil: nothing is compared.
	Settings map[string]string

	// Fault names an error for those who see it, and LinkFault what keeps the link from
	// working, nil for nothing: agent/fault, which knows this package.
	Fault     func(error) *wire.Fault
	LinkFault func(uplink.State) *wire.Fault
	// FaultCodes are all codes, for metrics.
	FaultCodes []string
	// Picture makes photos fit for a browser; nil: JPEG only.
	Picture func(ctx context.Context, i face.Image) (checkin.Picture, error)
	// Diagnose and Support look at the daemon for people; nil: not offered.
	Diagnose func(ctx context.Context, d *Daemon) (wire.Diagnosis, error)
	Support  func(ctx context.Context, d *Daemon, w io.Writer) error
}

// A Daemon is an agent with its readers, its front desk and its local API, as it
// runs on a desk's computer. [OpenDaemon] opens files and ports, [Daemon.Run] works.
// Close it after Run has returned. Its methods are safe for concurrent use.
type Daemon struct {
	cfg       DaemonConfig
	log       *slog.Logger
	agent     *Agent // nil: not configured
	hub       *reader.Hub
	bus       *event.Bus
	operators *operator.Operators
	front     *checkin.Front
	handoff   *handoff.Folder // nil: none
	server    *api.Server
	scanners  []*serial.Scanner
	listeners []net.Listener
	metrics   *metrics.Metrics
	figures   net.Listener // of metrics; nil: none

	ready  atomic.Bool
	stuck  atomic.Bool
	online atomic.Bool  // the link was there once
	usable atomic.Int32 // readers, and one; 0: nobody has looked

	mu      sync.Mutex
	summary trustSummary
}

// OpenDaemon opens the data directory, the readers and the ports, in an order in
// which nothing of the outside sees a daemon that then fails. Errors are those of
// [Open], [ErrPort], [ErrTraining] and those of the files of the API.
func OpenDaemon(ctx context.Context, cfg DaemonConfig) (*Daemon, error) {
	d := &Daemon{cfg: cfg, log: cfg.Agent.Logger, bus: event.New()}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
		d.cfg.Agent.Logger = d.log
	}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Daemon) open(ctx context.Context) error {
	if d.cfg.Agent.Dir == "" || d.cfg.Fault == nil {
		return errors.New("agent: a daemon needs a directory and names for faults")
	}
	if err := MakeDir(d.cfg.Agent.Dir); err != nil {
		return err
	}
	enrolled, err := enrol.Exists(d.cfg.Agent.Dir)
	if err != nil {
		return err
	}
	central := enrolled || len(d.cfg.Agent.URLs) > 0 || d.cfg.Agent.Server != nil
	if d.cfg.Training && central && !d.cfg.TrainingAllowed {
		return ErrTraining
	}
	// Ports first: a second daemon ends here and has touched nothing.
	if d.listeners, err = api.Listen(ctx, d.cfg.Port); err != nil {
		return portError(err)
	}
	if d.cfg.MetricsListen != "" {
		var lc net.ListenConfig
		if d.figures, err = lc.Listen(ctx, "tcp", d.cfg.MetricsListen); err != nil {
			return portError(err)
		}
	}
	if central || d.cfg.Agent.Facility != "" {
		d.cfg.Agent.Offline = !central
		d.cfg.Agent.Software, d.cfg.Agent.Build = d.cfg.Version, d.cfg.Revision
		d.cfg.Agent.Presence = d.presence
		if d.agent, err = Open(d.cfg.Agent); err != nil {
			return err
		}
		if err := d.agent.noteSettings(ctx, d.cfg.Settings); err != nil {
			return err
		}
		if err := d.openFront(); err != nil {
			return err
		}
		if err := d.openHandoff(); err != nil {
			return err
		}
	}
	return d.openAPI()
}

// portError tells a port that is taken from other trouble.
func portError(err error) error {
	// Windows refuses a port that somebody holds alone as access (WSAEACCES, 10013), and
	// says that it is taken with WSAEADDRINUSE (10048).
	const accessDenied, inUse = syscall.Errno(10013), syscall.Errno(10048)
	if errors.Is(err, syscall.EADDRINUSE) || runtime.GOOS == "windows" && (errors.Is(err, accessDenied) || errors.Is(err, inUse)) {
		return fmt.Errorf("%w: %w", ErrPort, err)
	}
	return err
}

// openFront opens the readers, and assembles the front desk.
func (d *Daemon) openFront() (err error) {
	d.hub, err = reader.OpenHub(reader.HubConfig{
		Sources: d.cfg.Sources, Prefer: d.cfg.Prefer, Limits: d.agent.limits, Log: d.log.With("service", "readers"),
		All: d.cfg.Training,
	})
	if err != nil {
		return err
	}
	for _, s := range d.cfg.Scanners {
		d.scanners = append(d.scanners, serial.NewScanner(s))
	}
	if d.cfg.MetricsListen != "" {
		d.metrics = metrics.New(metrics.Build{Version: d.cfg.Version, Revision: d.cfg.Revision, Go: d.cfg.Goversion},
			d.cfg.FaultCodes, stepNames(), auditActions(), metrics.Sources{
				Status:  func(ctx context.Context) (wire.Status, error) { return d.Status(ctx, api.OwnerDesk) },
				LogLost: d.cfg.LogLost,
			})
	}
	d.operators, err = operator.Open(operator.Config{
		Store: operators(d.cfg.Agent.Dir), Logins: d.cfg.Logins, Shift: d.cfg.Shift, Audit: d.audit,
	})
	if err != nil {
		return err
	}
	d.front, err = checkin.NewFront(checkin.FrontConfig{
		Readers: d.hub, Desk: d.agent.Desk, Fault: d.cfg.Fault, Deliveries: d.agent, Events: d.bus,
		Operator: d.operators.Current, OperatorRequired: d.cfg.OperatorRequired, Audit: d.audit, Picture: d.cfg.Picture,
		Logger: d.log.With("service", "front"),
	})
	return err
}

// openHandoff opens the folder for finished check-ins, if there is to be one.
func (d *Daemon) openHandoff() (err error) {
	cfg := d.cfg.Handoff
	if cfg.Dir == "" {
		return nil
	}
	cfg.Record = func(ctx context.Context, id string) ([]byte, error) {
		return d.front.Record(ctx, checkin.OwnerDesk, id)
	}
	cfg.Audit, cfg.Actor, cfg.Logger = d.audit, d.operators.Current, d.log.With("service", "handoff")
	d.handoff, err = handoff.Open(cfg)
	if err == nil || errors.Is(err, handoff.ErrConfig) || errors.Is(err, handoff.ErrExposed) {
		return err
	}
	// A share that is not mounted yet keeps nobody from being checked in. The folder
	// is looked at anew for each file.
	cfg.Logger.Error("the hand-off folder cannot be used now", "error", err)
	return nil
}

func (d *Daemon) openAPI() error {
	cfg := api.Config{
		Events: d.bus, Status: d.Status, Readers: d.Readers, Fault: d.cfg.Fault,
		Grants: d.cfg.Grants, NoPairing: d.cfg.NoPairing, Clients: api.ClientFile{Path: filepath.Join(d.cfg.Agent.Dir, clientsFile)},
		Logger: d.log.With("service", "api"),
	}
	if d.agent != nil {
		cfg.CheckIns, cfg.Journal, cfg.Audit = d.front, d.agent.Journal(), d.audit
		cfg.Operators = signIns{d.operators, d.tellOperator}
	}
	if d.cfg.Diagnose != nil {
		cfg.Doctor = func(ctx context.Context) (wire.Diagnosis, error) { return d.cfg.Diagnose(ctx, d) }
	}
	if d.cfg.Support != nil {
		cfg.Support = func(ctx context.Context, w io.Writer) error { return d.cfg.Support(ctx, d, w) }
	}
	if d.cfg.DeskTokenFile != "" {
		if err := os.MkdirAll(filepath.Dir(d.cfg.DeskTokenFile), 0o755); err != nil {
			return err
		}
		group := d.deskGroup()
		var err error
		cfg.Desk, err = api.WriteDeskToken(d.cfg.DeskTokenFile, group)
		if group >= 0 && errors.Is(err, fs.ErrPermission) {
			// Then the desk's users do not get in, but hospital systems do.
			d.log.Warn("the desk's token cannot be given to the group of the desk's users", "group", d.cfg.DeskGroup, "error", err)
			cfg.Desk, err = api.WriteDeskToken(d.cfg.DeskTokenFile, -1)
		}
		if err != nil {
			return err
		}
	}
	var err error
	d.server, err = api.New(cfg)
	return err
}

// Files in a data directory: the clients that were paired, and the operators.
const (
	clientsFile   = "clients.json"
	operatorsFile = "operators.json"
)

// signIns are the operators as the API calls them. Whoever comes or goes is told to
// all.
type signIns struct {
	*operator.Operators
	tell func()
}

// SignIn implements [api.Operators].
func (s signIns) SignIn(ctx context.Context, in wire.SignIn) (wire.Operator, error) {
	out, err := s.Operators.SignIn(ctx, in)
	if errors.Is(err, operator.ErrDenied) {
		return out, fmt.Errorf("%w: %w", api.ErrDenied, err)
	}
	if err == nil {
		s.tell()
	}
	return out, err
}

// SignOut implements [api.Operators].
func (s signIns) SignOut(ctx context.Context) error {
	err := s.Operators.SignOut(ctx)
	if err == nil {
		s.tell()
	}
	return err
}

// tellOperator publishes who sits at the desk.
func (d *Daemon) tellOperator() {
	if st, err := d.Status(context.Background(), ""); err == nil {
		d.bus.Publish(wire.Event{Type: wire.EventOperator, At: st.Now, Status: &st}, event.Desk)
	}
}

// deskGroup returns the number of the group that may read the desk's token, or -1 if
// there is none or this account is not in it: then its own group may.
func (d *Daemon) deskGroup() int {
	if d.cfg.DeskGroup == "" || runtime.GOOS == "windows" {
		return -1
	}
	g, err := user.LookupGroup(d.cfg.DeskGroup)
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(g.Gid)
	if err != nil {
		return -1
	}
	if os.Getuid() == 0 {
		return n
	}
	mine, err := os.Getgroups()
	if err != nil {
		return -1
	}
	for _, m := range append(mine, os.Getgid()) {
		if m == n {
			return n
		}
	}
	d.log.Warn("this account is not in the group of the desk's users", "group", d.cfg.DeskGroup)
	return -1
}

// audit appends to the trail and counts.
func (d *Daemon) audit(ctx context.Context, entries ...audit.Entry) error {
	if err := d.agent.Audit(ctx, entries...); err != nil {
		return err
	}
	if d.metrics != nil {
		for _, e := range entries {
			d.metrics.Audited(string(e.Action))
		}
	}
	return nil
}

// Agent returns the agent; nil while it is not configured.
func (d *Daemon) Agent() *Agent { return d.agent }

// Hub returns the readers; nil while the agent is not configured.
func (d *Daemon) Hub() *reader.Hub { return d.hub }

// Config returns what the daemon was opened with.
func (d *Daemon) Config() DaemonConfig { return d.cfg }

// Port returns the port of the API.
func (d *Daemon) Port() int { return d.listeners[0].Addr().(*net.TCPAddr).Port }

// MetricsAddr returns the address of the metrics, nil for none.
func (d *Daemon) MetricsAddr() net.Addr {
	if d.figures == nil {
		return nil
	}
	return d.figures.Addr()
}

// Times to stop. Reading a card takes no longer than its reader's longest exchange,
// and a visit that is being recorded no longer than its disk. The manager of services
// waits longer than for all of them together: the data is closed after that.
const (
	patienceIntake = 10 * time.Second
	patienceFront  = 15 * time.Second
	patienceLink   = 10 * time.Second
	patienceLast   = 5 * time.Second
)

// Run works until ctx ends, and returns nil then. It stops in order: what takes work
// in, the check-in with the card that is on the reader, the link, what only
// watches. [Daemon.Close] closes the data last. ready is called once, beside everything
// that runs, so that nobody waits for what it does; it may be nil. Run does not return
// before it. An error means that the daemon cannot go on.
func (d *Daemon) Run(ctx context.Context, ready func()) error {
	// What is waiting for it has to hear the first events.
	watch := d.bus.Subscribe(event.Desk, 256)
	defer watch.Close()
	intake := supervise.Stage{Patience: patienceIntake, Services: []supervise.Service{
		{Name: "api", Run: func(ctx context.Context) error { return d.server.Serve(ctx, d.listeners...) }},
	}}
	last := supervise.Stage{Patience: patienceLast, Services: []supervise.Service{
		{Name: "events", Run: func(ctx context.Context) error { return d.count(ctx, watch) }},
	}}
	if d.handoff != nil {
		events := d.bus.Subscribe(event.Desk, 256)
		defer events.Close()
		last.Services = append(last.Services, supervise.Service{Name: "handoff", Run: func(ctx context.Context) error { return d.handoff.Run(ctx, events) }})
	}
	var front, link supervise.Stage
	if d.agent == nil || d.cfg.Agent.Offline && !d.cfg.Training {
		intake.Services = append(intake.Services, supervise.Service{Name: "enrolment", Run: d.waitEnrolled})
	}
	if d.agent == nil {
		if d.figures != nil {
			_ = d.figures.Close() // there is nothing to count
		}
	} else {
		for _, s := range d.scanners {
			intake.Services = append(intake.Services,
				supervise.Service{Name: "scanner", Run: s.Run},
				supervise.Service{Name: "scans", Run: func(ctx context.Context) error { return d.takeScans(ctx, s.Scans()) }})
		}
		intake.Services = append(intake.Services,
			supervise.Service{Name: "readers", Run: d.tellReaders},
			supervise.Service{Name: "changes", Run: d.tellLink})
		front = supervise.Stage{Patience: patienceFront, Services: []supervise.Service{{Name: "front", Run: d.front.Run}}}
		link = supervise.Stage{Patience: patienceLink, Services: []supervise.Service{{Name: "link", Run: d.agent.Run}}}
		if d.metrics != nil {
			last.Services = append(last.Services, supervise.Service{Name: "metrics", Run: func(ctx context.Context) error { return d.metrics.Serve(ctx, d.figures) }})
		}
	}
	d.ready.Store(d.agent != nil)
	d.log.Info("ready", "version", d.cfg.Version, "port", d.Port(), "configured", d.agent != nil, "training", d.cfg.Training)
	if ready != nil {
		intake.Services = append(intake.Services, supervise.Service{Name: "ready", Run: func(ctx context.Context) error {
			ready()
			<-ctx.Done()
			return nil
		}})
	}
	err := supervise.Run(ctx, intake, front, link, last)
	d.ready.Store(false)
	if errors.Is(err, supervise.ErrStuck) {
		d.stuck.Store(true)
	}
	if err != nil && !errors.Is(err, ErrEnrolled) {
		d.log.Error("ended", "error", err)
	} else {
		d.log.Info("ended")
	}
	return err
}

// Close closes everything, the data last. If a part of the daemon did not stop
// ([ErrStuck]), the data stays open for it.
func (d *Daemon) Close() error {
	for _, l := range d.listeners {
		_ = l.Close() // closed already, as a rule
	}
	if d.figures != nil {
		_ = d.figures.Close()
	}
	if d.stuck.Load() {
		return nil
	}
	var err error
	if d.hub != nil {
		err = d.hub.Close()
	}
	d.bus.Close()
	if d.agent != nil {
		err = errors.Join(err, d.agent.Close())
	}
	return err
}

// Alive reports whether the store and the front desk answer, for a watchdog. It
// returns when ctx ends, with an error.
func (d *Daemon) Alive(ctx context.Context) error {
	if d.agent == nil {
		return nil
	}
	// What hangs holds a lock, and heeds no context.
	answer := make(chan error, 1)
	go func() {
		_, err := d.agent.queue.Stats(ctx)
		_ = d.front.Busy()
		answer <- err
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enrolEvery is how often it is looked whether the computer was enrolled.
const enrolEvery = 2 * time.Second

// waitEnrolled ends with ErrEnrolled when somebody has enrolled the computer.
func (d *Daemon) waitEnrolled(ctx context.Context) error {
	t := time.NewTicker(enrolEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if ok, err := enrol.Exists(d.cfg.Agent.Dir); err == nil && ok {
			return ErrEnrolled
		}
	}
}

// count counts what happens.
func (d *Daemon) count(ctx context.Context, watch *event.Subscription) error {
	for {
		e, err := watch.Next(ctx)
		if err != nil {
			<-ctx.Done()
			return nil
		}
		if d.metrics != nil {
			d.metrics.CheckIn(e.CheckIn)
		}
	}
}

// takeScans gives what was scanned to the check-in that runs, or begins one.
func (d *Daemon) takeScans(ctx context.Context, scans <-chan serial.Scan) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-scans:
			if !d.takeScan(ctx, s.Text) {
				d.bus.Publish(wire.Event{Type: wire.EventScan, At: time.Now()}, event.Desk)
			}
		}
	}
}

// takeScan reports whether somebody got what was scanned.
func (d *Daemon) takeScan(ctx context.Context, text string) bool {
	if d.front.Scanned(ctx, text) {
		return true
	}
	if !d.cfg.ScanStarts {
		return false
	}
	_, err := d.front.Start(ctx, checkin.OwnerDesk, wire.Start{Key: &wire.Key{Scan: text}, Photo: true})
	if err != nil {
		// The text of the error holds nothing of what was scanned.
		d.log.Info("a scan was not taken", "code", d.cfg.Fault(err).Code)
	}
	return err == nil
}

// presence says whether a card could be read, as tellReaders saw it last.
func (d *Daemon) presence() contract.ReaderPresence {
	switch d.usable.Load() {
	case 0:
		return "" // not looked yet
	case 1:
		return contract.ReaderAbsent
	default:
		return contract.ReaderPresent
	}
}

// tellReaders publishes what changes about readers.
func (d *Daemon) tellReaders(ctx context.Context) error {
	s := d.hub.Subscribe(0)
	defer s.Close()
	for {
		if _, err := s.Next(ctx); err != nil {
			<-ctx.Done()
			return nil
		}
		list, err := d.Readers(ctx)
		if err != nil {
			continue // that of ctx, or of a hub that ends
		}
		usable := int32(1)
		for _, r := range list {
			if r.Trouble == "" && r.Kind != reader.SAM.String() && r.Kind != reader.Virtual.String() {
				usable++
			}
		}
		d.usable.Store(usable)
		d.bus.Publish(wire.Event{Type: wire.EventReaders, At: time.Now(), Readers: list}, event.Everybody)
	}
}

// gather is how long changes of the link and of visits are gathered: a backlog that
// is sent changes something a thousand times a second.
const gather = 250 * time.Millisecond

// tellLink publishes changes of the link and of the queue.
func (d *Daemon) tellLink(ctx context.Context) error {
	for {
		changed := d.agent.Changed()
		if st, err := d.Status(ctx, ""); err == nil {
			d.bus.Publish(wire.Event{Type: wire.EventLink, At: st.Now, Status: &st}, event.Everybody)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(gather):
		}
	}
}

// stepNames are the names of the timings of a check-in.
func stepNames() []string {
	var all []string
	for _, s := range []inspect.Step{
		inspect.StepAccess, inspect.StepSOD, inspect.StepChipAuthentication, inspect.StepAuthenticity, inspect.StepDG1, inspect.StepDG13,
		inspect.StepVerify, inspect.StepPhoto, checkin.StepEntitlement, checkin.StepRecord,
	} {
		all = append(all, string(s))
	}
	return append(all, "verified_text", "confirm")
}

func auditActions() []string {
	var all []string
	for _, a := range []audit.Action{
		audit.VisitShown, audit.VisitExported, audit.VisitRequeued, audit.PolicyChanged, audit.ConfigChanged,
		audit.TokenApproved, audit.TokenRevoked, checkin.VisitConfirmed, checkin.PersonMismatch, checkin.ScanGiven,
	} {
		all = append(all, string(a))
	}
	return all
}
