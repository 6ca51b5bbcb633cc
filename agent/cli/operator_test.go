package cli_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/reader/virtual"
)

const rightPIN = "2580-Lan"

// typed runs a command with something on its standard input.
func typed(t *testing.T, stdin string, args ...string) ended {
	t.Helper()
	return on(t, virtual.New("unused"), stdin, args...)
}

// answered is the answer of the agent in an error; its zero value if it has none.
func answered(err error) client.Error {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return *e
	}
	return client.Error{}
}

// TestOperator sets a PIN, signs in with it at a desk that demands it, and takes it
// away.
func TestOperator(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "training") // of a software chip
	if err := open(t, data).Close(); err != nil {
		t.Fatal(err)
	}
	if got := typed(t, rightPIN+"\nnot this\n", "operator", "set", "--data", data, "--name", "lan", "--pin", "-"); got.exit != 0 || got.stdout != "the PIN is set\n" || got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	p, desk := runs(t, dir, "--config", configIn(t, "operator:\n  required: true\n  logins: false\n"))
	c := toConfirm(t, desk)
	confirm := func() (wire.CheckIn, error) {
		return desk.Confirm(t.Context(), c.ID, wire.Confirmation{PhotoMatches: true})
	}
	if _, err := confirm(); answered(err).Fault.Code != "operator_required" {
		t.Errorf("confirmed by nobody: %v", err)
	}
	signIn := func(pin string) error {
		_, err := desk.SignIn(t.Context(), wire.SignIn{Name: "lan", PIN: pin})
		return err
	}
	if err := signIn(""); answered(err).Fault.Code != "sign_in_denied" {
		t.Errorf("without a PIN: %v", err)
	}
	for range 3 {
		if err := signIn("2580-lan"); answered(err).Fault.Code != "sign_in_denied" {
			t.Errorf("with a wrong PIN: %v", err)
		}
	}
	// Now even the right one has to wait.
	err := signIn(rightPIN)
	if a := answered(err); a.Status != http.StatusTooManyRequests || a.Fault.Code != "too_many" || !strings.HasPrefix(a.Fault.Detail, "wrong PINs") {
		t.Errorf("after three wrong ones: %v, %+v", err, a)
	}
	for end := time.Now().Add(time.Minute); err != nil; err = signIn(rightPIN) {
		if time.Now().After(end) {
			t.Fatalf("not signed in: %v", err)
		}
		time.Sleep(50 * time.Millisecond) // asking again
	}
	if done, err := confirm(); err != nil || done.State != wire.StateRecorded {
		t.Errorf("confirmed: %s, %v", done.State, err)
	}

	// While the agent runs its operators can be looked at.
	got := typed(t, "", "operator", "list", "--data", data)
	got.succeeded(t)
	if got.stdout != "lan\n" {
		t.Errorf("list: %q", got.stdout)
	}
	got = typed(t, rightPIN+"\n", "operator", "set", "--data", data, "--name", "mai", "--pin", "-")
	got.failed(t, fault.StoreLocked)
	if !strings.Contains(got.stderr, "it reads them when it starts") {
		t.Errorf("it does not say why:\n%s", got.stderr)
	}
	typed(t, "", "operator", "remove", "--data", data, "--name", "lan").failed(t, fault.StoreLocked)
	desk.CloseIdle()
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if exit := p.end(); exit != 0 {
		t.Fatalf("exit status %d\n%s", exit, p.stderr.String())
	}

	typed(t, "", "operator", "remove", "--data", data, "--name", "lan").succeeded(t)
	if got := typed(t, "", "operator", "list", "--data", data, "--json"); got.exit != 0 || strings.Join(strings.Fields(got.stdout), "") != `{"operators":[]}` {
		t.Errorf("after all: %+v", got)
	}
	got = typed(t, "", "audit", "list", "--data", data)
	got.succeeded(t)
	var did []string
	for line := range strings.Lines(got.stdout) {
		for _, f := range strings.Fields(line) {
			if strings.HasPrefix(f, "operator_") {
				did = append(did, f)
			}
		}
	}
	want := "operator_changed operator_refused operator_refused operator_refused operator_signed_in operator_changed"
	if strings.Join(did, " ") != want {
		t.Errorf("the trail says %q", did)
	}
	if strings.Contains(strings.ToLower(got.stdout), "2580") {
		t.Error("a PIN is in the trail")
	}
}

func TestOperatorRefuses(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	for _, test := range []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{"on the command line", "", []string{"set", "--name", "lan", "--pin", "8642"}, "does not belong on a command line"},
		{"no terminal", rightPIN + "\n", []string{"set", "--name", "lan"}, "no terminal"},
		{"nothing", "", []string{"set", "--name", "lan", "--pin", "-"}, "4 to 64 characters"},
		{"too easy", "1234\n", []string{"set", "--name", "lan", "--pin", "-"}, "counting up or down"},
		{"too long", strings.Repeat("8642", 1000), []string{"set", "--name", "lan", "--pin", "-"}, "4 to 64 characters"},
		{"unseen name", rightPIN, []string{"set", "--name", "lan\u200b", "--pin", "-"}, "--name: up to 64 characters"},
		{"not there", "", []string{"remove", "--name", "mai"}, "nobody of this name"},
	} {
		got := typed(t, test.stdin, append([]string{"operator", test.args[0], "--data", dir}, test.args[1:]...)...)
		got.failed(t, fault.Usage)
		if !strings.Contains(got.stderr, test.want) || strings.Contains(got.stderr, "8642") {
			t.Errorf("%s:\n%s", test.name, got.stderr)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "operators.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was set: %v", err)
	}
	typed(t, rightPIN, "operator", "set", "--data", t.TempDir(), "--name", "lan", "--pin", "-").failed(t, fault.Usage)
}
