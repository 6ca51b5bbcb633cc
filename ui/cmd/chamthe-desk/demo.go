//go:build cgo

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"fyne.io/fyne/v2"
	"github.com/nats-io/nkeys"
	"golang.org/x/sync/errgroup"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/virtual"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/uplink"
	"github.com/chamthe/chamthe/ui"
	"github.com/chamthe/chamthe/ui/model"
)

// What the training desk calls itself.
const (
	demoFacility = "01013"
	demoReader   = "software reader"
)

// A sample is a card of the tray. Everybody on it is made up.
type sample struct {
	name    string // in package i18n, behind "tray."
	profile string
	person  string
	tamper  chip.Tamper
	torn    int // the first tap ends after that many exchanges; 0: it does not
}

var samples = []sample{
	{name: "good", profile: chip.ProfileCCCD, person: "nguyen-van-thu"},
	{name: "uninsured", profile: chip.ProfileCCCD, person: "le-thi-thu-nghiem"},
	{name: "expired", profile: chip.ProfileCCCD, person: "bui-van-het-han"},
	{name: "cloned", profile: chip.ProfileCCCD, person: "nguyen-van-thu", tamper: chip.TamperClone},
	{name: "altered", profile: chip.ProfileCCCD, person: "tran-thi-mau", tamper: chip.TamperDG13},
	{name: "unknown", profile: chip.ProfileCCCD, person: "hoang-thi-vi-du", tamper: chip.TamperUnknownCSCA},
	{name: "torn", profile: chip.ProfileCCCD, person: "tran-thi-mau", torn: 14},
	{name: "other", profile: chip.ProfileCCCD, person: "vu-van-vi-du", tamper: chip.TamperWrongKey},
	{name: "passport", profile: "passport-bac", person: "testa-muster"},
	{name: "signer", profile: chip.ProfileCCCD, person: "pham-van-mau", tamper: chip.TamperExpiredDS},
}

// Names of the tray that are no card.
const (
	childWithoutCard = "child"
	liftCard         = "lift"
)

func trayCards() []string {
	var names []string
	for _, s := range samples {
		names = append(names, s.name)
	}
	return append(names, childWithoutCard, liftCard)
}

// demo is a whole small world: a central service, an agent, a reader and its cards.
type demo struct {
	dir    string
	driver *virtual.Driver
	pki    map[string]*chip.PKI // by profile
	pool   *trust.Pool
	at     time.Time

	mu   sync.Mutex
	keys *issuer.KeyCache          // making keys takes longer than all the rest
	docs map[string]*chip.Document // made when they are first wanted
	torn map[string]bool           // was torn once already
}

// runDemo runs it until the window is closed.
func (d *desk) runDemo(a *ui.App) (err error) {
	m := &demo{driver: virtual.New(demoReader), at: time.Now(), pki: map[string]*chip.PKI{}, pool: trust.NewPool(), keys: issuer.NewKeyCache(nil), docs: map[string]*chip.Document{}, torn: map[string]bool{}}
	if m.dir, err = os.MkdirTemp("", "chamthe-desk-"); err != nil {
		return err
	}
	defer os.RemoveAll(m.dir)
	anchors := filepath.Join(m.dir, "central", "trust")
	if err := os.MkdirAll(anchors, 0o700); err != nil {
		return err
	}
	for _, s := range samples {
		if m.pki[s.profile] != nil {
			continue
		}
		pki, err := chip.NewPKI(s.profile, m.at, nil)
		if err != nil {
			return err
		}
		m.pki[s.profile] = pki
		doc, err := m.document(s)
		if err != nil {
			return err
		}
		anchor, err := cms.ParseCertificate(doc.CSCA)
		if err != nil {
			return err
		}
		if err := m.pool.Add(anchor, "sample cards"); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(anchors, s.profile+".der"), doc.CSCA, 0o600); err != nil {
			return err
		}
	}
	known, err := central.ReadAnchors(os.DirFS(anchors))
	if err != nil {
		return err
	}
	service, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	var server *natsd.Server
	url := ""
	cfg := agent.DaemonConfig{
		Agent: agent.Config{
			Dir: filepath.Join(m.dir, "desk"), Facility: demoFacility, Trust: m.pool,
			Server: func(key string) (string, error) {
				var err error
				if server, err = startNATS(m.dir, key, service); err != nil {
					return "", err
				}
				url = server.ClientURL()
				return url, nil
			},
		},
		FacilityName: "Trạm Y tế xã X", Version: version(), Sources: []reader.Source{{Name: "software", Driver: m.driver}},
		Training: true, TrainingAllowed: true, Diagnose: cli.Diagnose, DeskTokenFile: filepath.Join(m.dir, "desk.token"), Fault: wireFault,
		LinkFault: func(s uplink.State) *wire.Fault {
			code := fault.OfLink(s)
			if code == fault.VisitWaiting || s.Last == uplink.NoTrouble {
				return nil
			}
			return wireFault(fault.New(code, nil))
		},
	}
	daemon, err := agent.OpenDaemon(d.ctx, cfg)
	defer func() {
		if server != nil {
			server.Shutdown()
		}
	}()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.Close()) }()
	credentials, err := uplink.NKeyCredentials(service)
	if err != nil {
		return err
	}
	c, err := central.New(central.Config{
		URLs: []string{url}, Credentials: credentials, Anchors: known, Seed: seed(daemon.Agent().Key(), m.at),
	})
	if err != nil {
		return err
	}
	services, ctx := errgroup.WithContext(d.ctx)
	services.Go(func() error { return c.Run(ctx) })
	services.Go(func() error {
		return daemon.Run(ctx, func() {
			b := client.NewWithTokenFile(fmt.Sprintf("http://127.0.0.1:%d", daemon.Port()), cfg.DeskTokenFile)
			d.mu.Lock()
			d.demo = m
			d.mu.Unlock()
			fyne.Do(func() { a.Start(b) })
		})
	})
	// The other cards are made meanwhile, so that a tap waits for nothing.
	services.Go(func() error {
		for _, s := range samples {
			if ctx.Err() != nil {
				break
			}
			if _, err := m.document(s); err != nil {
				return err
			}
		}
		return nil
	})
	return services.Wait()
}

func wireFault(err error) *wire.Fault {
	f := fault.Classify(err)
	if f == nil {
		return nil
	}
	return &wire.Fault{
		Code: string(f.Code), Kind: string(f.Kind), Cause: f.Cause, Remedy: f.Remedy, Detail: f.Detail, ExitCode: f.Exit, TriesLeft: f.Tries,
	}
}

// startNATS starts a server that knows the two who may connect.
func startNATS(dir, agentKey string, service nkeys.KeyPair) (*natsd.Server, error) {
	publish, subscribe, err := uplink.Permissions(demoFacility, agentKey)
	if err != nil {
		return nil, err
	}
	key, err := service.PublicKey()
	if err != nil {
		return nil, err
	}
	return natsd.Start(natsd.Options{
		Dir:   filepath.Join(dir, "central", "jetstream"),
		Users: []natsd.User{{NKey: key}, {NKey: agentKey, Publish: publish, Subscribe: subscribe}},
	})
}

// seed is whom the training insurer knows. One of them is insured no more.
func seed(key string, at time.Time) *central.Seed {
	s := &central.Seed{Agents: []central.Agent{{Key: key, Facility: demoFacility}}}
	for i, p := range specimen.People() {
		if p.Kind != specimen.CitizenCard {
			continue
		}
		year, code := at.Year(), "000"
		if p.ID == "le-thi-thu-nghiem" {
			year, code = year-1, "010"
		}
		s.People = append(s.People, central.Person{
			Number: p.Number, InsuranceNumber: fmt.Sprintf("GD40101%08d", i+1), Name: p.Name,
			BirthDate: contract.Date(p.Birth.Format(time.DateOnly)), Code: code,
			From: contract.Date(fmt.Sprintf("%d-01-01", year)), To: contract.Date(fmt.Sprintf("%d-12-31", year)),
			Facility: demoFacility, BenefitLevel: "4",
		})
	}
	return s
}

// document makes a sample, once.
func (m *demo) document(s sample) (*chip.Document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.docs[s.name]; d != nil {
		return d, nil
	}
	d, err := chip.Build(s.profile, chip.Options{Person: s.person, Tamper: s.tamper, PKI: m.pki[s.profile], Keys: m.keys, At: m.at})
	if err != nil {
		return nil, fmt.Errorf("sample card %s: %w", s.name, err)
	}
	m.docs[s.name] = d
	return d, nil
}

// tap does what a hand would: it scans the code and lays the card on the reader. A
// card that is waited for is only laid there.
func (d *desk) tap(a *ui.App, name string) {
	d.mu.Lock()
	m := d.demo
	d.mu.Unlock()
	if m == nil {
		return
	}
	switch name {
	case liftCard:
		_ = m.driver.Remove(demoReader) // there may be none
		return
	case childWithoutCard:
		p, _ := specimen.Find("dang-thu-nhi")
		a.Press(model.ActOther)
		a.Press(model.ActWay.With(int(model.WayChild)))
		a.Edit(model.FieldName, p.Name)
		a.Edit(model.FieldBirth, p.Birth.Format("02/01/2006"))
		a.Press(model.ActSex.With("female"))
		return
	}
	for _, s := range samples {
		if s.name != name {
			continue
		}
		state := a.State()
		go func() { // a card that is not made yet takes a moment
			doc, err := m.document(s)
			if err != nil {
				fmt.Fprintln(os.Stderr, "chamthe-desk:", err)
				return
			}
			if err := m.lay(s, doc); err != nil {
				fmt.Fprintln(os.Stderr, "chamthe-desk:", err)
				return
			}
			if state == wire.StateCard {
				return
			}
			code := doc.QR
			if code == "" {
				code = strings.Join(doc.MRZ, "\n")
			}
			fyne.Do(func() { a.Scan(code) })
		}()
		return
	}
}

// lay puts the card on the reader in the place of what lies there.
func (m *demo) lay(s sample, doc *chip.Document) error {
	card, err := doc.Chip()
	if err != nil {
		return err
	}
	if err := m.driver.Remove(demoReader); err != nil {
		return err
	}
	if err := m.driver.Insert(demoReader, card); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.torn == 0 || m.torn[s.name] {
		m.torn[s.name] = false
		return m.driver.Tear(demoReader, 0)
	}
	m.torn[s.name] = true
	return m.driver.Tear(demoReader, s.torn)
}
