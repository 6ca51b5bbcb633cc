package agent_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/nats-io/nkeys"
	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/internal/privacytest"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/uplink"
)

// How the busy process ends, and the key of the insurer's lists.
const (
	crashVariable   = "CHAMTHE_TEST_CRASH" // quit or panic
	insurerVariable = "CHAMTHE_TEST_INSURER"
)

// patients are the cards that are laid on the reader.
var patients = []struct{ profile, person string }{
	{chip.ProfileCCCD, "nguyen-van-thu"},
	{chip.ProfileCCCD, "tran-thi-mau"},
	{chip.ProfileCCCDPACE, ""},
	{chip.ProfilePassportBAC, ""},
	{chip.ProfilePassportPACECAM, ""},
}

// cards makes those cards, of issuing states that are the same in every process.
var cards = sync.OnceValues(func() ([]*chip.Document, error) {
	var all []*chip.Document
	states := map[string]*chip.PKI{}
	for _, p := range patients {
		if states[p.profile] == nil {
			seed := [32]byte{}
			copy(seed[:], p.profile)
			pki, err := chip.NewPKI(p.profile, issuerDay, mathrand.NewChaCha8(seed))
			if err != nil {
				return nil, err
			}
			states[p.profile] = pki
		}
		d, err := chip.Build(p.profile, chip.Options{PKI: states[p.profile], At: issuerDay, Person: p.person})
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
})

// issuers is the pool of the states that made them.
func issuers(cards []*chip.Document) (*trust.Pool, error) {
	pool := trust.NewPool()
	for _, d := range cards {
		c, err := cms.ParseCertificate(d.CSCA)
		if err != nil {
			return nil, err
		}
		if err := pool.Add(c, "test"); err != nil {
			return nil, err
		}
	}
	return pool, nil
}

// insuranceNumber is the card number of the i-th person of the insurer.
func insuranceNumber(i int) string { return fmt.Sprintf("GD40101%08d", 77000+i) }

// insuredPeople are all synthetic people, as the insurer holds them.
func insuredPeople() []central.Person {
	var people []central.Person
	for i, p := range specimen.People() {
		people = append(people, central.Person{
			Number: p.Number, InsuranceNumber: insuranceNumber(i), Name: p.Name,
			BirthDate: contract.Date(p.Birth.Format("2006-01-02")), Code: "000", Facility: facility,
		})
	}
	return people
}

// busyProcess does all that an agent does, with everything in its log, and comes
// to a bad end in the middle of a check-in.
func busyProcess(dir, url, insurer, crash string) error {
	docs, err := cards()
	if err != nil {
		return err
	}
	cfg := config(dir)
	cfg.URLs, cfg.BundleKey = []string{url}, insurer
	cfg.Logger = slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
	if cfg.Trust, err = issuers(docs); err != nil {
		return err
	}
	a, err := agent.Open(cfg)
	if err != nil {
		return err
	}
	go func() { _ = a.Run(context.Background()) }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	in := bufio.NewReader(os.Stdin)
	if crash == "quit" {
		if err := a.Wait(ctx, func() (bool, error) {
			s, err := a.Bundle(contract.BundlePopulation)
			return s.Installed(), err
		}); err != nil {
			return fmt.Errorf("no list: %w", err)
		}
		// With a link.
		for _, d := range docs {
			out, err := lay(ctx, a, d, nil)
			if err != nil {
				return fmt.Errorf("with a link: %w", err)
			}
			if _, err := a.Settled(ctx, out.Visit.ID); err != nil {
				return err
			}
			cfg.Logger.Debug("state", "link", a.Link(ctx), "health", a.Health())
			fmt.Fprintf(os.Stderr, "%+v\n%#v\n", a.Link(ctx), a.Health())
		}
		fmt.Println("settled")
		// The link goes; what is recorded now stays in the queue.
		if _, err := in.ReadString('\n'); err != nil {
			return err
		}
		for _, d := range docs {
			if _, err := lay(ctx, a, d, nil); err != nil {
				return fmt.Errorf("without a link: %w", err)
			}
		}
	}
	_, err = lay(ctx, a, docs[0], func(e inspect.Event) {
		if e.Step != checkin.StepRecord {
			return
		}
		if crash == "panic" {
			panic("the worst moment")
		}
		fmt.Println("ready")
		select {}
	})
	return errors.Join(errors.New("it did not crash"), err)
}

// lay checks the holder of a card in.
func lay(ctx context.Context, a *agent.Agent, d *chip.Document, progress func(inspect.Event)) (*checkin.Outcome, error) {
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
	return desk.CheckIn(ctx, card, inspect.Access{Keys: []mrz.Key{key}}, checkin.Options{Photo: true, Reader: "Model", Progress: progress})
}

// insurer is a server and the central service behind it, with a log.
type insurer struct {
	url, bundleKey string
	log            *syncBuffer
	stop           func()
}

func startInsurer(t *testing.T, agentKey string, pool *trust.Pool) *insurer {
	t.Helper()
	service, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	serviceKey, err := service.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	lists, public := insurerKey(t)
	publish, subscribe, err := uplink.Permissions(facility, agentKey)
	if err != nil {
		t.Fatal(err)
	}
	s := &insurer{bundleKey: public, log: &syncBuffer{}}
	server, err := natsd.Start(natsd.Options{
		Dir: t.TempDir(), Port: natsd.RandomPort, Logger: s.log.logger("nats"),
		Users: []natsd.User{{NKey: serviceKey}, {NKey: agentKey, Publish: publish, Subscribe: subscribe}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.url = fmt.Sprintf("nats://127.0.0.1:%d", server.Port())
	credentials, err := uplink.NKeyCredentials(service)
	if err != nil {
		t.Fatal(err)
	}
	c, err := central.New(central.Config{
		URLs: []string{s.url}, Credentials: credentials, Anchors: pool, Logger: s.log.logger("central"), BundleKey: lists,
		Seed: &central.Seed{Agents: []central.Agent{{Key: agentKey, Facility: facility}}, People: insuredPeople()},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("central: %v", err)
		}
		server.Shutdown()
	})
	t.Cleanup(s.stop)
	return s
}

// busy runs the busy process to its end and returns its log and its dump. hear gets
// each line of its standard output, the process and its standard input.
func busy(t *testing.T, dir string, s *insurer, crash string, hear func(word string, p *exec.Cmd, in *os.File)) []byte {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVariable+"=busy", dirVariable+"="+dir, urlVariable+"="+s.url,
		insurerVariable+"="+s.bundleKey, crashVariable+"="+crash, "GOTRACEBACK=all")
	cmd.Stdin = theirs
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		hear(lines.Text(), cmd, ours)
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 || !bytes.Contains(stderr.Bytes(), []byte("goroutine ")) {
		t.Fatalf("the busy process ended otherwise: %v\n%s", err, stderr.Bytes())
	}
	return stderr.Bytes()
}

// TestNobodyAtRest lets an agent work: cards of several people and kinds, lookups,
// the list of registered people, a queue, an export, damaged visits, a rotation of
// the key, with everything in the log; kills it in the middle of a check-in with a
// dump of all goroutines, and lets it panic there. Then it looks for everything that
// is known of every synthetic person in every file of the data directory, raw, in
// the logs of the agent, the NATS server and the central service, in the dumps, and
// in what the commands for IT print.
func TestNobodyAtRest(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signal that makes a process dump its goroutines")
	}
	t.Parallel()
	docs, err := cards()
	if err != nil {
		t.Fatal(err)
	}
	pool, err := issuers(docs)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, err := agent.Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := startInsurer(t, key, pool)

	// Everything about everybody.
	var all []*privacytest.Needles
	for _, d := range docs {
		all = append(all, privacytest.Of(t, d))
	}
	for i, p := range specimen.People() {
		n := privacytest.Of(t, &chip.Document{Person: p, QR: p.QR(), MRZ: p.MRZ()})
		n.Text("insurance number", insuranceNumber(i))
		all = append(all, n)
	}
	nobodyIn := func(where string, data []byte) {
		t.Helper()
		for _, n := range all {
			n.Absent(t, where, data)
		}
	}
	found := func(data []byte) (people int) {
		for _, n := range all {
			if len(n.Find(data)) > 0 {
				people++
			}
		}
		return people
	}

	quit := busy(t, dir, s, "quit", func(word string, p *exec.Cmd, in *os.File) {
		switch word {
		case "settled":
			s.stop()
			fmt.Fprintln(in, "go on")
		case "ready":
			if err := p.Process.Signal(syscall.SIGQUIT); err != nil {
				t.Error(err)
			}
		}
	})
	for _, want := range []string{"SIGQUIT", "CheckIn", `"level":"DEBUG"`, "msg"} {
		if !bytes.Contains(quit, []byte(want)) {
			t.Errorf("%q is not in the log and the dump:\n%s", want, quit)
		}
	}
	nobodyIn("the log and the dump after SIGQUIT", quit)
	panicked := busy(t, dir, s, "panic", func(string, *exec.Cmd, *os.File) {})
	if !bytes.Contains(panicked, []byte("the worst moment")) {
		t.Errorf("it did not panic:\n%s", panicked)
	}
	nobodyIn("the dump of a panic", panicked)
	if log := s.log.String(); !strings.Contains(log, "service=nats") || !strings.Contains(log, "service=central") {
		t.Errorf("this is not the log:\n%s", log)
	}
	nobodyIn("the log of the server and the central service", []byte(s.log.String()))

	inFiles := func(when string) {
		t.Helper()
		seen := map[string]bool{}
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			seen[e.Name()] = true
			nobodyIn(e.Name()+" "+when, read(t, path))
			nobodyIn("the name of a file", []byte(path))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !seen["visits.db"] || !seen["agent.nk"] {
			t.Errorf("files %v", seen)
		}
	}
	inFiles("after the crashes")
	stats := queueStats(t, dir)
	if stats.Accepted+stats.Rejected < len(docs) || stats.Queued < len(docs) {
		t.Errorf("this was no busy run: %+v", stats)
	}

	// What is for people shows people: the search works. And what is for IT does not.
	export := filepath.Join(t.TempDir(), "visits.jsonl")
	command := func(status int, args ...string) []byte {
		t.Helper()
		var out, stderr bytes.Buffer
		if got := cli.Main(t.Context(), args, strings.NewReader(""), &out, &stderr); got != status {
			t.Errorf("%q: exit status %d, want %d:\n%s", args[:2], got, status, stderr.Bytes())
		}
		return append(out.Bytes(), stderr.Bytes()...)
	}
	nobodyIn("queue export", command(0, "queue", "export", "--data", dir, "--out", export))
	if n := found(read(t, export)); n < len(docs) {
		t.Errorf("%d people are found in the export: the search does not work", n)
	}
	damageOne(t, dir)
	nobodyIn("queue check", command(56, "queue", "check", "--data", dir))
	nobodyIn("queue list", command(0, "queue", "list", "--data", dir, "--json"))
	inFiles("with a damaged visit")
	nobodyIn("key rotate", command(56, "key", "rotate", "--data", dir))
	nobodyIn("key rotate", command(0, "key", "rotate", "--data", dir, "--lose-damaged"))
	nobodyIn("audit list", command(0, "audit", "list", "--data", dir, "--json"))
	nobodyIn("audit verify", command(0, "audit", "verify", "--data", dir))
	inFiles("after a rotation")
	nobodyIn("key destroy", command(82, "key", "destroy", "--data", dir, "--yes"))

	// The test can fail: it finds somebody in the file as soon as anybody is there.
	p := docs[0].Person
	for name, leak := range map[string][]byte{
		"upper case, without marks": []byte(strings.ToUpper(p.Surname + " " + p.Given)),
		"UTF-16":                    inUTF16(p.Name),
		"the machine readable line": []byte(docs[0].MRZ[2]),
	} {
		change(t, dir, func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("planted"))
			if err != nil {
				return err
			}
			return b.Put([]byte("k"), leak)
		})
		if found(read(t, filepath.Join(dir, "visits.db"))) == 0 {
			t.Errorf("%s: planted, and not found", name)
		}
		change(t, dir, func(tx *bbolt.Tx) error {
			// All of the page, as a free page keeps what was in it.
			return tx.Bucket([]byte("planted")).Put([]byte("k"), bytes.Repeat([]byte{0}, len(leak)))
		})
	}
	if err := os.WriteFile(filepath.Join(dir, "forgotten.log"), append(bytes.Clone(quit), p.Number...), 0o600); err != nil {
		t.Fatal(err)
	}
	if found(read(t, filepath.Join(dir, "forgotten.log"))) == 0 {
		t.Error("a number at the end of a log is not found")
	}
}

func inUTF16(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

func queueStats(t *testing.T, dir string) outbox.Stats {
	t.Helper()
	q, st, err := agent.OpenQueue(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := q.Stats(t.Context())
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
	return s
}

// damageOne damages the first visit on the disk.
func damageOne(t *testing.T, dir string) {
	t.Helper()
	change(t, dir, func(tx *bbolt.Tx) error {
		log := tx.Bucket([]byte("outbox")).Bucket([]byte("log"))
		k, v := log.Cursor().First()
		v = bytes.Clone(v)
		v[len(v)-1] ^= 1
		return log.Put(bytes.Clone(k), v)
	})
}
