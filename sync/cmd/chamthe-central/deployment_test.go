package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/operator"
)

// command runs the program to its end.
func command(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, bad bytes.Buffer
	status = run(t.Context(), args, &out, &bad)
	return out.String(), bad.String(), status
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, bad, status := command(t, args...)
	if status != 0 {
		t.Fatalf("%v: exit status %d; %s", args, status, bad)
	}
	return out
}

// freeURL returns an address on this machine that nobody listens at.
func freeURL(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "tls://localhost:" + port
}

func newDeployment(t *testing.T) (dir, url string) {
	t.Helper()
	dir, url = filepath.Join(t.TempDir(), "new", "deployment"), freeURL(t)
	if out := mustRun(t, "init", dir, "--url", url); !strings.Contains(out, "serve --dir "+dir) {
		t.Errorf("init does not say what is next: %s", out)
	}
	return dir, url
}

func TestInit(t *testing.T) {
	dir, _ := newDeployment(t)
	before := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", path, info.Mode())
		}
		if !e.IsDir() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			before[path] = string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(before) < 18 {
		t.Errorf("%d files", len(before))
	}
	if _, bad, status := command(t, "init", dir, "--url", "tls://localhost"); status == 0 || !strings.Contains(bad, "not empty") {
		t.Errorf("the second time: exit status %d, %s", status, bad)
	}
	for path, want := range before {
		if b, err := os.ReadFile(path); err != nil || string(b) != want {
			t.Errorf("%s was changed", path)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, url := range []string{"", "central.example", "nats://central.example:4222", "tls://", "tls://user:secret@central.example", "tls://central.example/x", "https://central.example"} {
		_, bad, status := command(t, "init", filepath.Join(t.TempDir(), "x"), "--url", url)
		if status == 0 || strings.Contains(bad, "secret") {
			t.Errorf("--url %q: exit status %d, %s", url, status, bad)
		}
	}
}

// TestExposedKeys: keys that others may read are not used.
func TestExposedKeys(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file's mode says nothing about who may read it on Windows")
	}
	for _, name := range []string{signingSeed, bundleSeed, peopleFile, centralCreds, pusherCreds} {
		dir, _ := newDeployment(t)
		if err := os.Chmod(filepath.Join(dir, name), 0o640); err != nil {
			t.Fatal(err)
		}
		if _, bad, status := command(t, "agents", "list", "--dir", dir); status == 0 || !strings.Contains(bad, "0600") {
			t.Errorf("%s: exit status %d, %s", name, status, bad)
		}
	}
}

type madeCode struct {
	Server   string `json:"server"`
	CASHA256 string `json:"ca_sha256"`
	Code     string `json:"code"`
	Name     string `json:"name"`
}

func code(t *testing.T, dir string, args ...string) madeCode {
	t.Helper()
	var c madeCode
	out := mustRun(t, append([]string{"enrol", "code", "--dir", dir, "--facility", "01013", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// enrolAt enrols a key as the agent's program does.
func enrolAt(t *testing.T, url, ca string, key nkeys.KeyPair, c madeCode) *contract.EnrolAnswer {
	t.Helper()
	seal, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	to, err := seal.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	name, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	m, err := contract.NewEnrolMessage(key, &contract.EnrolRequest{Version: contract.Version, Agent: name, Code: c.Code, Seal: to})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(url, nats.NoReconnect(), nats.RootCAs(ca))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	resp, err := nc.RequestMsg(&nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Payload}, patience)
	if err != nil {
		t.Fatal(err)
	}
	if text := resp.Header.Get(micro.ErrorHeader); text != "" {
		t.Fatalf("enrol: %s", text)
	}
	b, err := seal.Open(resp.Data[56:], string(resp.Data[:56]))
	if err != nil {
		t.Fatal(err)
	}
	a, err := contract.DecodeEnrolAnswer(b)
	if err != nil {
		t.Fatal(err)
	}
	return &a
}

// TestDeployment goes the whole way: init, serve, a code, an agent, restart, list,
// revoke.
func TestDeployment(t *testing.T) {
	dir, url := newDeployment(t)
	f := prepare(t, newKey(t))
	_, bad, status := command(t, "enrol", "code", "--dir", dir, "--facility", "01013")
	if status == 0 || !strings.Contains(bad, "serve running?") {
		t.Errorf("code without a server: exit status %d, %s", status, bad)
	}
	args := []string{"serve", "--trust", f.trust, "--dir", dir}
	_, stop := start(t, args...)

	ca := filepath.Join(dir, caFile)
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	der, err := operator.CertificateDER(pem)
	if err != nil {
		t.Fatal(err)
	}
	out := mustRun(t, "enrol", "code", "--dir", dir, "--facility", "01013", "--valid", "1h")
	if want := "chamthe enrol --data DIR --server " + url + " --ca-sha256 " + operator.Fingerprint(der) + " --code "; !strings.Contains(out, want) {
		t.Errorf("printed %q, want a line with %q", out, want)
	}
	c := code(t, dir)
	key := newKey(t)
	answer := enrolAt(t, url, ca, key, c)
	if answer.Servers[0].URL != url || string(answer.CA) != string(der) {
		t.Errorf("answer %+v", answer)
	}
	stop()
	start(t, args...)
	connect := func() (*nats.Conn, error) {
		return nats.Connect(url, nats.NoReconnect(), nats.RootCAs(ca), nats.UserJWT(func() (string, error) { return answer.JWT, nil }, key.Sign), nats.CustomInboxPrefix("_INBOX."+answer.Agent))
	}
	nc, err := connect()
	if err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	defer nc.Close()
	if m, err := nc.Request("ins.v1.nonce.01013", nil, patience); err != nil || len(m.Data) == 0 {
		t.Errorf("nonce: %v", err)
	}
	if out := mustRun(t, "agents", "list", "--dir", dir); !strings.Contains(out, answer.Agent) || !strings.Contains(out, c.Name) {
		t.Errorf("list %q", out)
	}
	// It tells how it is, by a clock that is a day ahead.
	ahead := contract.Timestamp(time.Now().Add(24 * time.Hour))
	st, err := contract.NewStatusMessage(key, &contract.Status{
		Version: contract.Version, Agent: answer.Agent, Facility: "01013", At: ahead, Clock: contract.ClockUnknown, Software: "v1.2.3",
		Queued: 4, Oldest: ahead.Add(-3 * time.Hour), Trust: contract.Timestamp(time.Now().Add(-50 * time.Hour)), Rejected: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	heard := func() (item agentItem, out string) {
		var list struct {
			Agents []agentItem `json:"agents"`
		}
		if err := json.Unmarshal([]byte(mustRun(t, "agents", "list", "--dir", dir, "--json")), &list); err != nil || len(list.Agents) != 1 {
			t.Fatalf("list %+v, %v", list, err)
		}
		return list.Agents[0], mustRun(t, "agents", "list", "--dir", dir)
	}
	if item, _ := heard(); item.Status != nil {
		t.Errorf("heard before it spoke: %+v", item.Status)
	}
	if err := nc.PublishMsg(&nats.Msg{Subject: st.Subject, Header: nats.Header(st.Header), Data: st.Payload}); err != nil {
		t.Fatal(err)
	}
	item, listed := heard()
	for end := time.Now().Add(patience); item.Status == nil; item, listed = heard() {
		if time.Now().After(end) {
			t.Fatal("nobody hears it")
		}
	}
	since := item.Status.Seen.Sub(item.Status.Oldest)
	if s := item.Status; s.Version != "v1.2.3" || s.Queued != 4 || s.Rejected != 1 || since != 3*time.Hour || s.Seen.After(time.Now()) || s.Trust.IsZero() {
		t.Errorf("status %+v", s)
	}
	if got := strings.Join(strings.Fields(strings.Split(listed, "\n")[1])[6:], " "); got != "now v1.2.3 4 3 h 1 2 d" {
		t.Errorf("listed %q", got)
	}
	mustRun(t, "agents", "revoke", "--dir", dir, answer.Agent)
	for end := time.Now().Add(patience); !nc.IsClosed(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still connected")
		}
	}
	if _, err := connect(); err == nil {
		t.Error("connected again")
	}
	var list struct {
		Agents []agentItem `json:"agents"`
	}
	if err := json.Unmarshal([]byte(mustRun(t, "agents", "list", "--dir", dir, "--json")), &list); err != nil || len(list.Agents) != 1 || list.Agents[0].Revoked.IsZero() {
		t.Errorf("list %+v, %v", list, err)
	}
	for _, args := range [][]string{
		{"agents", "revoke", "--dir", dir, "U"},
		{"agents", "revoke", "--dir", dir},
		{"agents", "list"},
		{"enrol", "code", "--dir", dir, "--facility", "01.13"},
		{"enrol", "code", "--dir", dir, "--facility", "01013", "--valid", "1000h"},
		{"serve", "--trust", f.trust, "--dir", dir, "--nkey", "x"},
		{"serve", "--trust", f.trust, "--dir", dir, "--keep-visit-days", "89"},
	} {
		if out, _, status := command(t, args...); status != 1 || out != "" {
			t.Errorf("%v: exit status %d, %q", args, status, out)
		}
	}
}

// TestOwnServer runs a NATS server with the configuration that init writes, and
// the service beside it.
func TestOwnServer(t *testing.T) {
	dir, url := newDeployment(t)
	f := prepare(t, newKey(t))
	t.Chdir(dir)
	conf, err := os.ReadFile(confFile)
	if err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(confFile)
	if err != nil {
		t.Fatalf("%v in\n%s", err, conf)
	}
	opts.NoSigs, opts.NoLog, opts.Host = true, true, "127.0.0.1"
	ns, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	defer func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	}()
	if !ns.ReadyForConnections(patience) {
		t.Fatal("not ready")
	}
	_, stop := start(t, "serve", "--trust", f.trust, "--dir", dir, "--nats", url)
	defer stop() // before the server
	key := newKey(t)
	answer := enrolAt(t, url, filepath.Join(dir, caFile), key, code(t, dir, "--nats", url))
	nc, err := nats.Connect(url, nats.NoReconnect(), nats.RootCAs(filepath.Join(dir, caFile)),
		nats.UserJWT(func() (string, error) { return answer.JWT, nil }, key.Sign), nats.CustomInboxPrefix("_INBOX."+answer.Agent))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if m, err := nc.Request("ins.v1.nonce.01013", nil, patience); err != nil || len(m.Data) == 0 {
		t.Errorf("nonce: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, storeDir)); err != nil {
		t.Error(err)
	}
	if _, err := nats.Connect(url, nats.NoReconnect()); err == nil || errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without its CA: %v", err)
	}
}
