package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/config"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/internal/privacytest"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/store"
)

// programVariable holds the command line of a process that is this test binary in the
// part of the program.
const programVariable = "CHAMTHE_TEST_PROGRAM"

// TestAsProgram is the program, for the tests below.
func TestAsProgram(t *testing.T) {
	line := os.Getenv(programVariable)
	if line == "" {
		return // there is nothing to test
	}
	var args []string
	if err := json.Unmarshal([]byte(line), &args); err != nil {
		t.Fatal(err)
	}
	// As package main does.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Main(ctx, args, os.Stdin, os.Stdout, os.Stderr))
}

// process is a program that runs.
type process struct {
	*exec.Cmd
	t      *testing.T
	ready  *bufio.Reader // of --ready-fd
	stdout notes
	stderr bytes.Buffer // to be read after the end
	ended  bool
}

// program starts the program with a policy-free configuration and without the
// environment of whoever runs the tests.
func program(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(self, "-test.run", "^TestAsProgram$"), t: t, ready: bufio.NewReader(r)}
	p.Env = append(os.Environ(), programVariable+"="+string(line))
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	p.ExtraFiles = []*os.File{w}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		r.Close()
		if !p.ended {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	})
	return p
}

// end waits for the end and returns the exit status; -1: ended by a signal.
func (p *process) end() int {
	p.t.Helper()
	p.ended = true
	err := p.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return 0
}

// runs starts "run" with a software chip and returns a client of the desk once it is
// ready.
func runs(t *testing.T, dir string, more ...string) (*process, *client.Client) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a descriptor is not handed over there")
	}
	p := program(t, append([]string{"run", "--config", configIn(t, ""), "--data", dir, "--chip", chip.ProfileCCCD, "--port", "0", "--ready-fd", "3"}, more...)...)
	line, err := p.ready.ReadString('\n')
	port, ok := strings.CutPrefix(strings.TrimSpace(line), "READY ")
	if err != nil || !ok {
		t.Fatalf("not ready: %q, %v; exit status %d\n%s", line, err, p.end(), p.stderr.String())
	}
	desk := client.NewWithTokenFile("http://127.0.0.1:"+port, filepath.Join(dir, "desk.token"))
	t.Cleanup(desk.CloseIdle)
	return p, desk
}

// configIn writes a configuration file.
func configIn(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// toConfirm takes the sample up to the operator's word.
func toConfirm(t *testing.T, desk *client.Client) wire.CheckIn {
	t.Helper()
	st, err := desk.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := desk.Start(t.Context(), wire.Start{Key: st.Sample, Photo: true})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); c.State != wire.StateConfirm; {
		if wire.Ended(c.State) || time.Now().After(deadline) {
			t.Fatalf("the check-in is %s: %+v", c.State, c.Fault)
		}
		time.Sleep(5 * time.Millisecond) // asking again
		if c, err = desk.Get(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// TestRunKilled kills the agent around the moment in which a visit is recorded. What
// was called recorded is there; the rest is there or not; the store is sound, and the
// next start works.
func TestRunKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	promised := map[string]bool{}
	const kills = 4
	for i := range kills {
		p, desk := runs(t, dir)
		c := toConfirm(t, desk)
		answered := make(chan wire.CheckIn, 1)
		go func() {
			done, err := desk.Confirm(context.WithoutCancel(t.Context()), c.ID, wire.Confirmation{PhotoMatches: true})
			if err != nil {
				done = wire.CheckIn{}
			}
			answered <- done
		}()
		if i > 0 { // the first one is allowed to end
			time.Sleep(time.Duration(i-1) * 2 * time.Millisecond) // some moment or other
			_ = p.Process.Kill()
		}
		if done := <-answered; done.State == wire.StateRecorded {
			promised[done.Visit] = true
		}
		_ = p.Process.Kill()
		if exit := p.end(); exit != -1 {
			t.Fatalf("exit status %d:\n%s", exit, p.stderr.String())
		}
		desk.CloseIdle()
	}
	if len(promised) == 0 {
		t.Fatal("nothing was recorded")
	}
	q, st, err := agent.OpenQueue(filepath.Join(dir, "training"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := st.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if n, err := q.Damaged(t.Context()); n != 0 || err != nil {
		t.Errorf("%d visits are damaged, %v", n, err)
	}
	items, err := q.List(t.Context(), 0, 0, 100)
	if err != nil || len(items) < len(promised) || len(items) > kills {
		t.Errorf("%d visits, %d were promised, %v", len(items), len(promised), err)
	}
	for id := range promised {
		if _, item, err := q.Get(t.Context(), id); err != nil || item.State != outbox.Queued {
			t.Errorf("visit that was called recorded: %v, %v", item.State, err)
		}
	}
}

// TestRunTwice starts a second agent on what the first one has.
func TestRunTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, desk := runs(t, dir)
	second := program(t, "run", "--config", configIn(t, ""), "--data", dir, "--chip", chip.ProfileCCCD, "--port", "0")
	if exit := second.end(); exit != fault.About(fault.StoreLocked).Exit || !strings.Contains(second.stderr.String(), "(store_locked)") || !strings.Contains(second.stderr.String(), "what to do: End the other chamthe") {
		t.Errorf("on one directory: exit status %d\n%s", exit, second.stderr.String())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	third := program(t, "run", "--config", configIn(t, ""), "--data", t.TempDir(), "--chip", chip.ProfileCCCD, "--port", port)
	if exit := third.end(); exit != fault.About(fault.PortInUse).Exit || !strings.Contains(third.stderr.String(), "(port_in_use)") || !strings.Contains(third.stderr.String(), "api.port") {
		t.Errorf("on a port that is taken: exit status %d\n%s", exit, third.stderr.String())
	}
	if _, err := desk.Status(t.Context()); err != nil {
		t.Errorf("the first one: %v", err)
	}
	desk.CloseIdle()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if exit := p.end(); exit != 0 {
		t.Errorf("exit status %d after SIGTERM\n%s", exit, p.stderr.String())
	}
}

// TestRunStartsAgain has what passes: the manager tries again.
func TestRunStartsAgain(t *testing.T) {
	t.Parallel()
	full := error(syscall.ENOSPC)
	if runtime.GOOS == "windows" {
		full = syscall.Errno(112) // ERROR_DISK_FULL
	}
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"port taken", agent.ErrPort, true},
		{"data directory in use", store.ErrLocked, true},
		{"store without space", store.ErrFull, true},
		{"disk full", &fs.PathError{Op: "write", Path: "desk.token", Err: full}, true},
		{"no permission", &fs.PathError{Op: "open", Path: "agent.nk", Err: fs.ErrPermission}, false},
		{"configuration", &config.Error{}, false},
	} {
		if got := cli.Restarts(fmt.Errorf("start: %w", test.err)); got != test.want {
			t.Errorf("%s: starts again %v, want %v", test.name, got, test.want)
		}
	}
}

// TestRunStartsNot has everything that keeps the agent from starting: the exit status
// tells a manager of services not to try again.
func TestRunStartsNot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, config string
		args         []string
		exit         int
		want         string
	}{
		{"two mistakes", "log:\n  level: loud\nreaders:\n  pcsc: maybe\n", nil, 1, "config.yaml:2: log.level: want one of debug, info, warn, error; "},
		{"second mistake", "log:\n  level: loud\nreaders:\n  pcsc: maybe\n", nil, 1, "config.yaml:4: readers.pcsc: want true or false"},
		{"no authorities", "central:\n  urls: [wss://a:1]\n  ca_file: /nowhere/ca.pem\nfacility: {code: 01013}\n", nil, 1, "config.yaml:3: central.ca_file: there is no such file"},
		{"training with a centre", "central:\n  urls: [wss://a:1]\nfacility: {code: 01013}\n", []string{"--chip", "cccd"}, 1, "(training_refused)"},
		{"unknown chip", "", []string{"--chip", "credit-card"}, 1, "chamthe chip list"},
		{"unknown flag", "", []string{"--chips", "cccd"}, 2, "no such flag"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := command(t, append([]string{"run", "--config", configIn(t, test.config), "--data", t.TempDir(), "--port", "0"}, test.args...)...)
			if got.exit != test.exit || !strings.Contains(got.stderr, test.want) || !strings.Contains(got.stderr, "what to do: ") {
				t.Errorf("exit status %d, want %d and %q:\n%s", got.exit, test.exit, test.want, got.stderr)
			}
		})
	}
	got := command(t, "run", "--config", filepath.Join(t.TempDir(), "none.yaml"), "--data", t.TempDir())
	if got.exit != 1 || !strings.Contains(got.stderr, "(config_invalid)") {
		t.Errorf("a file that is not there: exit status %d\n%s", got.exit, got.stderr)
	}
}

// TestRunHandoffFolder: a folder that must not be used is named with its line.
func TestRunHandoffFolder(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes of folders are not kept there")
	}
	exposed := t.TempDir()
	file := filepath.Join(exposed, "file")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Chmod(exposed, 0o755)); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{exposed: "everybody on this computer may look into the folder", file: "want a folder, and no link to one"} {
		got := command(t, "run", "--config", configIn(t, "handoff:\n  dir: "+dir+"\n"), "--data", t.TempDir(), "--port", "0", "--chip", chip.ProfileCCCD)
		if got.exit != 1 || !strings.Contains(got.stderr, "config.yaml:2: handoff.dir: "+want) {
			t.Errorf("exit status %d\n%s", got.exit, got.stderr)
		}
	}
}

// TestRunTells looks at everything that a start leaves: port file, log, figures.
func TestRunTells(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := configIn(t, "metrics:\n  listen: 127.0.0.1:0\nfacility:\n  name: Trạm y tế\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, errs := &notes{}, &notes{}
	done := make(chan int, 1)
	go func() {
		done <- cli.Main(ctx, []string{"run", "--config", name, "--data", dir, "--chip", chip.ProfileCCCD, "--port", "0", "--port-file", filepath.Join(dir, "port"), "-v"}, strings.NewReader(""), out, errs)
	}()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(out.String(), "TRAINING"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not ready:\n%s%s", out, errs)
		}
	}
	port, err := os.ReadFile(filepath.Join(dir, "port"))
	if err != nil || !strings.Contains(out.String(), "http://127.0.0.1:"+strings.TrimSpace(string(port))+" ") {
		t.Errorf("port %q, %v; said:\n%s", port, err, out)
	}
	cancel()
	if exit := <-done; exit != 0 {
		t.Fatalf("exit status %d:\n%s", exit, errs)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log", "chamthe.log"))
	if err != nil || string(log) != errs.String() || !strings.Contains(string(log), `"msg":"ready"`) || !strings.HasSuffix(string(log), "\"msg\":\"ended\"}\n") {
		t.Errorf("log: %v\n%s", err, log)
	}
	for _, file := range []string{"qr.txt", "csca.der", "visits.db"} {
		if _, err := os.Stat(filepath.Join(dir, "training", file)); err != nil {
			t.Error(err)
		}
	}
}

// TestRunHoldsNobody takes a person in at the most talkative level and lets the agent
// crash; then it looks for the person in the logs, the figures and the crash.
func TestRunHoldsNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, desk := runs(t, dir, "--log-level", "debug", "-v")
	st, err := desk.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := toConfirm(t, desk)
	if c, err = desk.Confirm(t.Context(), c.ID, wire.Confirmation{PhotoMatches: true}); err != nil || c.State != wire.StateRecorded {
		t.Fatalf("%s, %v", c.State, err)
	}
	if _, err := desk.History(t.Context(), wire.HistoryQuery{Text: "thử"}); err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Start(t.Context(), wire.Start{Key: &wire.Key{MRZ: st.Sample.Scan}}); err == nil {
		t.Error("a code was taken for lines")
	}
	toConfirm(t, desk) // with the person in memory
	// A crash of the runtime writes all stacks.
	if err := p.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if exit := p.end(); exit != 2 || !strings.Contains(p.stderr.String(), "goroutine") {
		t.Fatalf("exit status %d, no stacks:\n%s", exit, p.stderr.String())
	}
	log, err := os.ReadFile(filepath.Join(dir, "log", "chamthe.log"))
	if err != nil || !strings.Contains(string(log), `"check-in begun"`) {
		t.Fatalf("this is not the log: %v\n%s", err, log)
	}
	n := privacytest.Of(t, document(t, chip.ProfileCCCD, chip.TamperNone))
	n.Absent(t, "the log", log)
	n.Absent(t, "the crash", p.stderr.Bytes())
	for _, file := range []string{"visits.db", "settings.json", "clients.json", "operators.json"} {
		b, err := os.ReadFile(filepath.Join(dir, "training", file))
		if err != nil && file == "visits.db" {
			t.Error(err)
		}
		n.Absent(t, file, b)
	}
}

// TestRunFigures looks for the person in the figures.
func TestRunFigures(t *testing.T) {
	t.Setenv("CHAMTHE_METRICS_LISTEN", "127.0.0.1:0")
	p, desk := runs(t, t.TempDir())
	address := ""
	for deadline := time.Now().Add(time.Minute); address == ""; time.Sleep(5 * time.Millisecond) {
		if _, rest, ok := strings.Cut(p.stdout.String(), "metrics on "); ok {
			address, _, _ = strings.Cut(rest, "\n")
		} else if time.Now().After(deadline) {
			t.Fatalf("no address:\n%s", p.stdout.String())
		}
	}
	c := toConfirm(t, desk)
	if _, err := desk.Confirm(t.Context(), c.ID, wire.Confirmation{PhotoMatches: true}); err != nil {
		t.Fatal(err)
	}
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		resp, err := h.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), `chamthe_checkins_total{means="chip",outcome="recorded"} 1`) {
			privacytest.Of(t, document(t, chip.ProfileCCCD, chip.TamperNone)).Absent(t, "the figures", b)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the check-in is not counted:\n%s", b)
		}
	}
}

// TestConfigCommands checks, shows and begins a file.
func TestConfigCommands(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "deep", "config.yaml")
	if got := command(t, "config", "init", "--file", name); got.exit != 0 {
		t.Fatalf("init: %+v", got)
	}
	if got := command(t, "config", "init", "--file", name); got.exit != 2 || !strings.Contains(got.stderr, "--force") {
		t.Errorf("init over a file: %+v", got)
	}
	// As every other command has the flag.
	for _, args := range [][]string{{"config", "check"}, {"config", "show"}, {"config", "init", "--force"}} {
		if got := command(t, append(args, "--config", name)...); got.exit != 0 {
			t.Errorf("%v --config: %+v", args, got)
		}
		command(t, append(args, "--config", name, "--file", name)...).failed(t, fault.Usage)
	}
	if got := command(t, "config", "check", "--file", name); got.exit != 0 || got.stdout != "no mistakes\n" {
		t.Errorf("check: %+v", got)
	}
	if got := command(t, "config", "show", "--changed", "--file", name); got.exit != 0 || got.stdout != "" {
		t.Errorf("show --changed: %+v", got)
	}
	wrong := configIn(t, "api:\n  port: high\nlog: {levl: info}\n")
	got := command(t, "config", "check", "--file", wrong)
	if want := wrong + ":2: api.port: want a number\n" + wrong + ":3: log.levl: no such key; did you mean level?\n"; got.exit != 90 || got.stdout != want {
		t.Errorf("check: exit status %d\n%s", got.exit, got.stdout)
	}
	got = command(t, "config", "check", "--json", "--file", wrong)
	var doc struct {
		OK       bool
		Problems []struct{ Where, Key, Text string }
	}
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || doc.OK || len(doc.Problems) != 2 || doc.Problems[1].Key != "log.levl" {
		t.Errorf("check --json: %v\n%s", err, got.stdout)
	}
	secret := configIn(t, "central:\n  proxy: http://p:1\n  proxy_user: desk\n  proxy_password: geheim123\n")
	for _, args := range [][]string{{"config", "show", "--file", secret}, {"config", "show", "--json", "--file", secret}} {
		got := command(t, args...)
		if got.exit != 0 || strings.Contains(got.stdout, "geheim") || !strings.Contains(got.stdout, "[redacted]") || !strings.Contains(got.stdout, fmt.Sprintf("%s:4", secret)) {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

// TestServiceWithoutManager: there is none in a container, and it is said so.
func TestServiceWithoutManager(t *testing.T) {
	if _, err := os.Stat("/run/systemd/system"); err == nil || runtime.GOOS != "linux" {
		t.Skip("systemd manages this computer")
	}
	for _, args := range [][]string{{"service", "status"}, {"service", "start"}, {"service", "install"}, {"service", "uninstall"}} {
		if got := command(t, args...); got.exit != 93 || !strings.Contains(got.stderr, "(service_trouble)") {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

// notes is what a command writes while somebody reads.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

// TestRunObeysThePolicy has a site that takes nobody whose data were typed in.
func TestRunObeysThePolicy(t *testing.T) {
	t.Setenv("CHAMTHE_POLICY_MANUAL", "refuse")
	_, desk := runs(t, t.TempDir())
	c, err := desk.Start(t.Context(), wire.Start{Means: wire.MeansManual, Person: &wire.TypedPerson{Name: "Nguyễn Văn Thử", BirthDate: "1990-01-31"}})
	for deadline := time.Now().Add(time.Minute); err == nil && !wire.Ended(c.State) && c.State != wire.StateConfirm; c, err = desk.Get(t.Context(), c.ID) {
		if time.Now().After(deadline) {
			t.Fatalf("the check-in is %s", c.State)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil || c.State != wire.StateRefused || c.Fault == nil || c.Fault.Code != string(fault.MeansRefused) {
		t.Errorf("%+v, %v, want it refused", c, err)
	}
}

// TestRunLetsClientsOfTheConfigurationIn has a hospital system whose token IT has
// entered, and one that nobody knows.
func TestRunLetsClientsOfTheConfigurationIn(t *testing.T) {
	const token = "QmFzZTY0IG9mIDI1NiByYW5kb20gYml0cyBnb2VzIGg"
	t.Setenv("CHAMTHE_API_CLIENTS", fmt.Sprintf("[{name: HIS, token_sha256: %x}]", sha256.Sum256([]byte(token))))
	p, desk := runs(t, t.TempDir())
	st, err := desk.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(p.stdout.String(), "ready on ")
	for deadline := time.Now().Add(time.Minute); rest == ""; _, rest, _ = strings.Cut(p.stdout.String(), "ready on ") {
		if time.Now().After(deadline) {
			t.Fatal("no address")
		}
		time.Sleep(5 * time.Millisecond)
	}
	base, _, _ := strings.Cut(rest, " ")
	his, stranger := client.New(base, token), client.New(base, token+"x")
	defer his.CloseIdle()
	defer stranger.CloseIdle()
	c, err := his.Start(t.Context(), wire.Start{Key: st.Sample, Reference: "42"})
	if err != nil || c.Owner != "HIS" || c.Reference != "42" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := stranger.Status(t.Context()); err == nil {
		t.Error("a token that nobody knows was let in")
	}
	if _, err := desk.Get(t.Context(), c.ID); err != nil {
		t.Errorf("the desk does not see it: %v", err)
	}
}
