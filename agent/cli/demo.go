package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/truststore"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/vn"
	"github.com/chamthe/chamthe/reader/virtual"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/uplink"
)

// What the demonstration calls itself.
const (
	demoFacility = "01013"
	demoOperator = "demo"
	demoReader   = "software reader"
)

// How long the demonstration waits for the central service before it goes on
// without it: one in this process is there at once.
const (
	onlineWait  = 10 * time.Second
	outsideWait = 2 * time.Second
)

func newDemo(e *env) *cobra.Command {
	d := &demo{env: e}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Go the whole way from a tap to an acknowledged visit, without hardware or a server",
		Long: `Demo puts a software chip on a software reader, starts a NATS server with
JetStream and the reference central service in this process, and checks a
synthetic person in: access key, chip, verification, entitlement, recorded
visit, and the central service's verdict on it.

With --tamper the document is forged in one way; the visit is then refused, and
the exit status says why. With --qr, --mrz or --can you type what opens the chip in
place of the scan. With --data the visit and the keys stay in a
directory, and with --central another process is the central service (see
chamthe-central). DIR is the desk's, and private to it; DIR/central is the
central side's: what that service has to know, and the store of the server in
this process.`,
		Example: `  chamthe demo
  chamthe demo --chip passport-bac --json
  chamthe demo --tamper clone; echo $?
  chamthe demo --chip cccd-pace --can 000000
  chamthe demo --data /tmp/desk --central nats://127.0.0.1:4222`,
		Args:        cobra.NoArgs,
		Annotations: map[string]string{printsOutcome: ""},
		RunE:        func(c *cobra.Command, _ []string) error { return d.run(c.Context()) },
	}
	d.document.add(c)
	d.typed.add(c)
	c.Flags().BoolVar(&d.json, "json", false, "print one JSON document in place of the story")
	c.Flags().StringVar(&d.dir, "data", "", "keep visits and keys in this `DIR` (default: a temporary one)")
	c.Flags().StringVar(&d.url, "central", "", "`URL` of a running NATS server with a central service behind it")
	c.Flags().DurationVar(&d.wait, "wait", 30*time.Second, "how long to wait for the central service's verdict")
	c.Flags().BoolVarP(&d.verbose, "verbose", "v", false, "log what the services do to standard error (no personal data)")
	return c
}

// logger logs to standard error when that is wanted.
func (d *demo) logger(service string) *slog.Logger {
	if !d.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(d.stderr, nil)).With("service", service)
}

// demo is one run of the command.
type demo struct {
	*env
	document documentFlags
	typed    accessFlags
	json     bool
	verbose  bool
	keep     bool // dir is the user's
	dir, url string
	wait     time.Duration

	doc     *chip.Document
	agent   *agent.Agent
	began   time.Time
	timings map[string]float64
}

// say tells a person, and nobody else.
func (d *demo) say(format string, args ...any) {
	if !d.json {
		fmt.Fprintf(d.stdout, format+"\n", args...)
	}
}

func (d *demo) run(ctx context.Context) (err error) {
	d.began = time.Now()
	d.timings = make(map[string]float64)
	if d.dir != "" {
		d.keep = true
	} else {
		if d.dir, err = os.MkdirTemp("", "chamthe-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(d.dir)
	}
	pki, err := d.pki()
	if err != nil {
		return err
	}
	if d.doc, err = d.document.build(d.began, pki); err != nil {
		return err
	}
	access, err := d.access()
	if err != nil {
		return err
	}
	if err := d.trust(ctx); err != nil {
		return err
	}
	anchors, err := central.ReadAnchors(os.DirFS(d.centralTrust()))
	if err != nil {
		return err
	}
	d.say("From a tap to an acknowledged visit. Everyone here is made up.\n")

	cfg := agent.Config{
		Dir: d.dir, Facility: demoFacility, Operator: demoOperator, URLs: []string{d.url}, TrustDir: d.trustStore(),
		Logger: d.logger("agent"),
	}
	url := d.url
	var service nkeys.KeyPair // of the central service in this process
	if url == "" {
		if service, err = nkeys.CreateUser(); err != nil {
			return err
		}
		var server *natsd.Server
		defer func() {
			if server != nil {
				server.Shutdown()
			}
		}()
		// Only once the directory is the agent's: two demonstrations must not have
		// two servers on one store.
		cfg.Server = func(key string) (string, error) {
			if server, err = d.startNATS(key, service); err != nil {
				return "", err
			}
			url = server.ClientURL()
			return url, nil
		}
	}
	if d.agent, err = agent.Open(cfg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.agent.Close()) }()

	// The services end before the queue that they use is closed. One that ends by
	// itself interrupts everything; what it says is the cause.
	asked := ctx
	ctx, stop := context.WithCancel(ctx)
	services, ctx := errgroup.WithContext(ctx)
	running := true
	end := func() error {
		running = false
		stop()
		return services.Wait()
	}
	defer func() {
		if running {
			err = errors.Join(end(), err)
		}
	}()
	seed := d.seed()
	if d.url == "" {
		credentials, err := uplink.NKeyCredentials(service)
		if err != nil {
			return err
		}
		ready := make(chan struct{})
		c, err := central.New(central.Config{
			URLs: []string{url}, Credentials: credentials, Anchors: anchors, Seed: seed, Logger: d.logger("central"),
			Ready: sync.OnceFunc(func() { close(ready) }),
		})
		if err != nil {
			return err
		}
		services.Go(func() error { return c.Run(ctx) })
		// An agent that asks too early is told that nobody is there, and waits
		// before it asks again.
		select {
		case <-ready:
		case <-ctx.Done():
		case <-time.After(onlineWait):
		}
	} else if err := d.writeSeed(seed); err != nil {
		return err
	}
	services.Go(func() error { return d.agent.Run(ctx) })
	if d.service != nil {
		services.Go(func() error { return d.service(ctx) })
	}
	d.connect(ctx)
	o, err := d.checkIn(ctx, access)
	f := ofServices(fault.Classify(err), end(), asked.Err() != nil)
	switch {
	case o == nil && f == nil:
		return nil
	case o == nil:
		return f
	case f == nil:
		return d.finish(o)
	}
	o.Fault = encodeFault(f)
	return errors.Join(d.finish(o), f)
}

// ofServices says what a run ends with: f, what the check-in ended with, or why
// the services did, which may have interrupted it. Only what was found out about
// the document goes before that.
func ofServices(f *fault.Fault, ended error, interrupted bool) *fault.Fault {
	if ended == nil || f != nil && (f.Kind == fault.Refuse || f.Kind == fault.Unsure) {
		return f
	}
	s := fault.Classify(ended)
	if s.Code == fault.Cancelled {
		if interrupted {
			return f
		}
		s = fault.New(fault.Internal, ended) // nobody asked it to end
	}
	return s
}

// startNATS starts a server that knows the two who may connect: the agent, for
// its own subjects only, and the central service.
func (d *demo) startNATS(agentKey string, service nkeys.KeyPair) (*natsd.Server, error) {
	publish, subscribe, err := uplink.Permissions(demoFacility, agentKey)
	if err != nil {
		return nil, err
	}
	serviceKey, err := service.PublicKey()
	if err != nil {
		return nil, err
	}
	return natsd.Start(natsd.Options{
		Dir: filepath.Join(d.dir, "central", "jetstream"), SyncAlways: true, Logger: d.logger("nats"),
		Users: []natsd.User{{NKey: serviceKey}, {NKey: agentKey, Publish: publish, Subscribe: subscribe}},
	})
}

// connect gives the link a moment. Being without one is a state, not an error.
func (d *demo) connect(ctx context.Context) {
	limit := onlineWait
	where := "NATS server with JetStream and central service started in this process"
	if d.url != "" {
		limit, where = outsideWait, "connected to the central service"
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := d.agent.Wait(ctx, func() (bool, error) {
		// A nonce that is fresh shows that the central service itself answers.
		n, ok := d.agent.Nonce()
		return ok && d.agent.Link(ctx).Online && n.IssuedAt.After(d.began.Add(-time.Minute)), nil
	})
	if err != nil {
		d.say("central  not reached: going on without it (nothing will be lost)")
		return
	}
	d.say("central  %s (%.0f ms)", where, millis(time.Since(d.began)))
}

// checkIn taps the card. The outcome is nil if it came to none; its fault is the
// error.
func (d *demo) checkIn(ctx context.Context, access inspect.Access) (*wire.Outcome, error) {
	card, err := d.doc.Chip()
	if err != nil {
		return nil, err
	}
	driver := virtual.New(demoReader)
	if err := driver.Insert(demoReader, card); err != nil {
		return nil, err
	}
	d.sayScan()
	tap := time.Now()
	open, err := driver.Open(ctx, demoReader)
	if err != nil {
		return nil, err
	}
	defer open.Close()
	desk, err := d.agent.Desk(ctx)
	if err != nil {
		return nil, err
	}
	known := encodeTrust(desk.Trust, tap)
	d.say("trust    %s", trustLine(known))
	d.say("tap      chip profile %q on the %s", d.document.profile, demoReader)

	out, err := desk.CheckIn(ctx, open, access, checkin.Options{
		Photo: true, Reader: demoReader, Progress: func(ev inspect.Event) { d.progress(ev, tap) },
	})
	o := checkin.EncodeOutcome(out.Report, out.Decision, d.timings)
	o.Trust = known
	if err != nil {
		f := fault.Classify(err)
		if o.Verdict = verdictOf(f); errors.Is(err, checkin.ErrNotRecorded) {
			o.Verdict = wire.VerdictError
		}
		d.timings["total"] = millis(time.Since(tap))
		return o, f
	}
	o.Visit, o.Verdict = json.RawMessage(out.Message.Payload), wire.VerdictRecorded
	d.sayRecorded(out)

	settle, cancel := context.WithTimeout(ctx, d.wait)
	defer cancel()
	item, werr := d.agent.Settled(settle, out.Visit.ID)
	d.timings["total"] = millis(time.Since(tap))
	return o, d.settled(ctx, o, item, werr)
}

// settled turns the state of the visit into the outcome.
func (d *demo) settled(ctx context.Context, o *wire.Outcome, item outbox.Item, err error) error {
	interrupted := errors.Is(err, context.Canceled)
	if err != nil && !interrupted && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	stats, serr := d.agent.Queue().Stats(context.WithoutCancel(ctx))
	if serr != nil {
		return serr
	}
	o.Delivery = &wire.Delivery{VisitID: item.ID, State: item.State.String(), Waiting: stats.Queued + stats.Stored}
	if h := d.agent.Health(); h.Err != nil || h.Damaged > 0 {
		d.say("DAMAGED  what this directory keeps of earlier visits (%d of them): see chamthe queue check", h.Damaged)
	}
	var f *fault.Fault
	switch item.State {
	case outbox.Accepted:
		o.Verdict = wire.VerdictAccepted
	case outbox.Rejected:
		o.Verdict = wire.VerdictRejected
		f = fault.New(fault.VisitRejected, fmt.Errorf("reason %s", item.Verdict.Reason))
	default:
		// Also when somebody did not want to wait: the visit is recorded, and must
		// not be made again.
		o.Verdict = wire.VerdictRecorded
		f = fault.New(fault.VisitWaiting, nil)
		switch why := fault.OfLink(d.agent.Link(context.WithoutCancel(ctx))); {
		case interrupted:
			f.Detail = "not waited for: interrupted"
		case why == fault.CentralRefuses, why == fault.CentralUntrusted, why == fault.CentralFull:
			f = fault.New(why, nil) // waiting alone will not help
		case why != fault.VisitWaiting:
			f.Detail = string(why)
		}
	}
	if !item.StoredAt.IsZero() {
		d.timings["stored"] = millis(item.StoredAt.Sub(item.RecordedAt))
		d.say("stored   by JetStream stream %s, message %d (%.0f ms after recording)", item.Stream, item.StreamSeq, d.timings["stored"])
	}
	if v := item.Verdict; v != nil {
		d.timings["verdict"] = millis(item.VerdictAt.Sub(item.RecordedAt))
		o.Delivery.Reason, o.Delivery.Assurance = string(v.Reason), string(v.Assurance)
		if p := v.Presence; p != nil {
			if !p.From.IsZero() {
				o.Delivery.PresentFrom = p.From.Format(time.RFC3339Nano)
			}
			o.Delivery.PresentTo = p.To.Format(time.RFC3339Nano)
		}
		if item.State == outbox.Accepted {
			d.say("accepted by the central service, which verified the evidence by itself: %s (%.0f ms after recording)", v.Assurance, d.timings["verdict"])
			if p := v.Presence; p != nil && !p.From.IsZero() {
				d.say("         the chip was present between %s and %s (central time)", p.From.Format("15:04:05.000"), p.To.Format("15:04:05.000"))
			}
		}
	}
	if f == nil {
		return nil
	}
	return f
}

// finish prints the outcome.
func (d *demo) finish(o *wire.Outcome) error { return printOutcome(d.env, o, d.json) }

// stepWords tell a person what a step of the check-in is.
var stepWords = map[inspect.Step]string{
	inspect.StepAccess:             "chip opened",
	inspect.StepSOD:                "EF.SOD read: the issuer's signature over the chip's data",
	inspect.StepChipAuthentication: "chip authentication: the chip proved its key, new session keys",
	inspect.StepAuthenticity:       "active authentication: the chip signed this visit's challenge",
	inspect.StepDG1:                "DG1 read: the machine readable lines",
	inspect.StepDG13:               "DG13 read: the Vietnamese data",
	inspect.StepVerify:             "passive authentication: signatures and hashes checked",
	inspect.StepPhoto:              "DG2 read: the photo",
	checkin.StepEntitlement:        "entitlement looked up (asked while the photo was read)",
	checkin.StepRecord:             "visit signed and recorded on disk",
}

// progress keeps the time of each step and shows it.
func (d *demo) progress(ev inspect.Event, tap time.Time) {
	if !ev.Done {
		return
	}
	d.timings[string(ev.Step)] = millis(ev.Elapsed)
	d.say("  %7.1f ms  %s", millis(ev.Elapsed), stepWords[ev.Step])
	if r := ev.Report; r.TextVerified() {
		d.timings["verified_text"] = millis(time.Since(tap))
		name := ""
		if r.DG13 != nil {
			name = ": " + printable(r.DG13.Name) + ", " + printable(r.DG13.Residence)
		}
		d.say("            verified text on the desk after %.0f ms%s", d.timings["verified_text"], name)
	}
}

func (d *demo) sayRecorded(out *checkin.Outcome) {
	ent := out.Visit.Entitlement
	switch {
	case ent.Source == contract.SourceNone:
		d.say("insured  not known now: recorded for a later check")
	default:
		line := fmt.Sprintf("insured  %s, card %s", ent.Status, ent.CardNumber)
		if ent.To != "" {
			line += fmt.Sprintf(" until %s", ent.To)
		}
		d.say("%s (source: %s, as of %s)", line, ent.Source, ent.AsOf.Format(time.RFC3339))
	}
	for _, f := range ent.Findings {
		d.say("         finding: %s", f)
	}
	d.say("recorded visit %s", out.Visit.ID)
}

// access returns what opens the chip: what was typed, else what the desk makes of
// a scan.
func (d *demo) access() (inspect.Access, error) {
	if d.typed.given() {
		return d.typed.access(d.stdin)
	}
	scan := accessFlags{qr: d.doc.QR}
	if scan.qr == "" {
		scan.mrz = strings.Join(d.doc.MRZ, "\n")
	}
	return scan.access(nil)
}

// sayScan says what access does.
func (d *demo) sayScan() {
	switch {
	case d.typed.given():
		d.say("typed    %s", d.typed.what())
	case d.doc.QR == "":
		d.say("scan     machine readable lines: one access key")
	default:
		q, err := vn.ParseCCCDQR(d.doc.QR)
		if err != nil {
			return // access has said so
		}
		var candidates []string
		for _, c := range vn.ExpiryCandidates(q.DateOfBirth, q.DateOfIssue) {
			if c == vn.NoExpiry {
				c = "no expiry"
			}
			candidates = append(candidates, c)
		}
		d.say("scan     CCCD QR: number, birth date and issue date give %d access keys to try (expiry %s)",
			len(candidates), strings.Join(candidates, ", "))
	}
}

// issuerState is what makes the demonstration's issuing state the same one in
// every run with one data directory.
type issuerState struct {
	Seed [32]byte  `json:"seed"`
	At   time.Time `json:"at"`
}

// pki returns the issuing state: a new one for a single run, and always the same
// one for a data directory, because a central service that was started with its
// certificate must know the next document too. Its keys are worth nothing: no
// one but the demonstration trusts them.
func (d *demo) pki() (*chip.PKI, error) {
	if !d.keep || !slices.Contains(profileNames(), d.document.profile) {
		return nil, nil // an unknown profile is the next step's to refuse
	}
	if err := agent.MakeDir(d.dir); err != nil {
		return nil, err
	}
	file := filepath.Join(d.dir, "issuer-"+d.document.profile+".json")
	var s issuerState
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.At = d.began.UTC().Truncate(time.Second)
		if _, err := rand.Read(s.Seed[:]); err != nil {
			return nil, err
		}
		if b, err = json.Marshal(s); err != nil {
			return nil, err
		}
		if err := writeFile(file, b); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(b, &s); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return chip.NewPKI(d.document.profile, s.At, mathrand.NewChaCha8(s.Seed))
}

// trustStore is the desk's directory of trust material, and centralTrust that of
// the central side, which is another party with its own.
func (d *demo) trustStore() string   { return filepath.Join(d.dir, "trust") }
func (d *demo) centralTrust() string { return filepath.Join(d.dir, "central", "trust") }

// trust has both sides trust the issuer of this document, besides those of earlier
// runs in the same directory, whose visits may still be in the queue.
func (d *demo) trust(ctx context.Context) error {
	if err := os.MkdirAll(d.centralTrust(), 0o700); err != nil {
		return err
	}
	sum := sha256.Sum256(d.doc.CSCA)
	name := filepath.Join(d.centralTrust(), "csca-"+hex.EncodeToString(sum[:6])+".der")
	if err := writeFile(name, d.doc.CSCA); err != nil {
		return err
	}
	_, err := truststore.Import(ctx, d.trustStore(), &truststore.Request{
		Files: []string{name}, Accept: "made up by the demonstration", By: "chamthe demo", At: d.began,
	})
	return err
}

// seed is what the central service has to know: this agent, and who is insured.
func (d *demo) seed() *central.Seed {
	s := &central.Seed{Agents: []central.Agent{{Key: d.agent.Key(), Facility: demoFacility}}}
	for i, p := range specimen.People() {
		if p.Kind != specimen.CitizenCard {
			continue
		}
		s.People = append(s.People, central.Person{
			Number: p.Number, InsuranceNumber: fmt.Sprintf("GD40101%08d", i+1),
			Name: p.Name, BirthDate: contract.Date(p.Birth.Format(time.DateOnly)), Code: "000",
			From:     contract.Date(d.began.Format("2006") + "-01-01"),
			To:       contract.Date(d.began.Format("2006") + "-12-31"),
			Facility: demoFacility, BenefitLevel: "4",
		})
	}
	return s
}

// writeSeed leaves what another central service has to know where its operator
// finds it.
func (d *demo) writeSeed(s *central.Seed) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(d.dir, "central", "seed.json"), append(b, '\n'))
}
