package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/reader"
)

// TestMain keeps what the commands keep for their user away from the user who
// runs the tests.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "chamthe-cli-test-")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"CHAMTHE_TRUST", "CHAMTHE_LIMITS"} {
		if err := os.Setenv(name, filepath.Join(home, name)); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(exit int) {
		if err := os.RemoveAll(home); err != nil {
			panic(err)
		}
		os.Exit(exit)
	}))
}

// ended is a command that has ended.
type ended struct {
	exit           int
	stdout, stderr string
}

// command runs a command line.
func command(t *testing.T, args ...string) ended {
	t.Helper()
	var out, errs bytes.Buffer
	exit := cli.Main(t.Context(), args, strings.NewReader(""), &out, &errs)
	return ended{exit, out.String(), errs.String()}
}

// on runs a command line on a computer with the given readers.
func on(t *testing.T, d reader.Driver, stdin string, args ...string) ended {
	t.Helper()
	var out, errs bytes.Buffer
	exit := cli.MainWith(t.Context(), args, strings.NewReader(stdin), &out, &errs, d)
	return ended{exit, out.String(), errs.String()}
}

// failed asserts that a command ended with a fault, and told a person what it
// is and what to do.
func (e ended) failed(t *testing.T, want fault.Code) {
	t.Helper()
	about := fault.About(want)
	if e.exit != about.Exit {
		t.Errorf("exit status %d, want %d (%s); standard error:\n%s", e.exit, about.Exit, want, e.stderr)
	}
	for _, s := range []string{about.Cause, about.Remedy, "(" + string(want) + ")"} {
		if !strings.Contains(e.stderr, s) {
			t.Errorf("standard error does not say %q:\n%s", s, e.stderr)
		}
	}
}

// succeeded asserts exit status 0 and silence on standard error.
func (e ended) succeeded(t *testing.T) {
	t.Helper()
	if e.exit != 0 || e.stderr != "" {
		t.Fatalf("exit status %d; standard error:\n%s\nstandard output:\n%s", e.exit, e.stderr, e.stdout)
	}
}

// cameToNothing asserts that the document of a command that came to no card says
// what standard error does.
func cameToNothing(t *testing.T, e ended, want fault.Code, verdict string) {
	t.Helper()
	o, about := one[wire.Outcome](t, e.stdout), fault.About(want)
	if o.Verdict != verdict {
		t.Errorf("verdict %s, want %s", o.Verdict, verdict)
	}
	if f := o.Fault; f == nil || f.Code != string(want) || f.ExitCode != about.Exit || f.Cause != about.Cause || f.Remedy != about.Remedy {
		t.Errorf("fault %+v", o.Fault)
	}
	if o.Report != nil || o.Person != nil || string(o.Visit) != "null" || o.Delivery != nil || o.TimingsMS == nil {
		t.Errorf("there is more than a fault: %s", e.stdout)
	}
}

// one decodes the only JSON document in text, strictly.
func one[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("not the expected JSON: %v\n%s", err, text)
	}
	if _, err := dec.Token(); err != io.EOF {
		t.Fatalf("something follows the JSON document:\n%s", text)
	}
	return v
}

var documents sync.Map // of functions that return a *chip.Document

// document returns a document that is valid now. Documents are shared, because
// keys take time to make: do not change it.
func document(t *testing.T, profile string, tamper chip.Tamper) *chip.Document {
	t.Helper()
	build, _ := documents.LoadOrStore(profile+" "+string(tamper), sync.OnceValues(func() (*chip.Document, error) {
		return chip.Build(profile, chip.Options{Tamper: tamper, At: time.Now()})
	}))
	d, err := build.(func() (*chip.Document, error))()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tests := []struct {
		name string
		args []string
	}{
		{"unknown command", []string{"demonstrate"}},
		{"unknown subcommand", []string{"chip", "lend"}},
		{"unknown flag", []string{"demo", "--fast"}},
		{"an argument", []string{"demo", "clone"}},
		{"argument of a list", []string{"chip", "list", "cccd"}},
		{"flag without value", []string{"demo", "--tamper"}},
		{"not a duration", []string{"demo", "--wait", "soon"}},
		{"unknown profile", []string{"demo", "--chip", "cccd-9"}},
		{"unknown profile in a directory", []string{"demo", "--chip", "cccd-9", "--data", dir}},
		{"profile that is a path", []string{"demo", "--chip", "../cccd", "--data", dir}},
		{"unknown tampering", []string{"demo", "--tamper", "dg7"}},
		{"unknown person", []string{"demo", "--person", "nobody"}},
		{"person with another document", []string{"demo", "--chip", "cccd", "--person", "testa-muster"}},
		{"nothing to tamper with: no DG13", []string{"demo", "--chip", "passport-bac", "--tamper", "dg13"}},
		{"nothing to tamper with: no key", []string{"demo", "--chip", "cccd-no-aa", "--tamper", "clone"}},
		{"no key", []string{"read"}},
		{"two keys", []string{"read", "--can", "123456", "--mrz", "I<UTO"}},
		{"three keys", []string{"read", "--can", "123456", "--mrz", "I<UTO", "--qr", "0|"}},
		{"expiry without QR", []string{"read", "--can", "123456", "--expiry", "31/01/2039"}},
		{"nothing on standard input", []string{"read", "--qr", "-"}},
		{"queue without directory", []string{"queue", "list"}},
		{"queue without address", []string{"queue", "send", "--data", dir}},
		{"queue of an empty directory", []string{"queue", "list", "--data", dir}},
		{"queue of an unknown directory", []string{"queue", "list", "--data", dir + "/none"}},
		{"sending an empty directory", []string{"queue", "send", "--data", dir, "--central", "nats://127.0.0.1:1"}},
		{"sending an unknown directory", []string{"queue", "send", "--data", dir + "/none", "--central", "nats://127.0.0.1:1"}},
		{"vpcd without port", []string{"chip", "serve", "--vpcd", "localhost"}},
		{"two documents", []string{"chip", "serve", "--chip", "cccd", "--bsi", dir}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := command(t, tt.args...)
			got.failed(t, fault.Usage)
			if got.exit != 2 {
				t.Errorf("exit status %d", got.exit)
			}
			if got.stdout != "" {
				t.Errorf("standard output: %q", got.stdout)
			}
		})
	}
}

// TestUsageNamesFlags: flags that exclude each other or are missing are named, and
// nothing of what was given is repeated.
func TestUsageNamesFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"read", "--quick", "--strict", "--can", "123456"}, []string{"quick", "strict"}},
		{[]string{"chip", "serve", "--tamper", "clone", "--bsi", "123456"}, []string{"bsi", "tamper"}},
		{[]string{"queue", "send", "--central", "123456"}, []string{"data"}},
	} {
		got := command(t, tt.args...)
		got.failed(t, fault.Usage)
		for _, name := range tt.want {
			if !strings.Contains(got.stderr, name) {
				t.Errorf("%v: no %q in\n%s", tt.args, name, got.stderr)
			}
		}
		if strings.Contains(got.stderr, "123456") {
			t.Errorf("%v: a value is repeated:\n%s", tt.args, got.stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := command(t, "version")
	got.succeeded(t)
	if !strings.HasPrefix(got.stdout, "chamthe ") || !strings.Contains(got.stdout, "go1.") || strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("got %q", got.stdout)
	}
	got = command(t, "version", "--json")
	got.succeeded(t)
	v := one[struct{ Version, Revision, Go, OS, Arch string }](t, got.stdout)
	if v.Version == "" || !strings.HasPrefix(v.Go, "go1.") || v.OS == "" || v.Arch == "" {
		t.Errorf("got %+v", v)
	}
}

func TestChipList(t *testing.T) {
	t.Parallel()
	got := command(t, "chip", "list")
	got.succeeded(t)
	for _, p := range chip.Profiles() {
		if !strings.Contains(got.stdout, "  "+p.Name+" ") {
			t.Errorf("profile %s is not listed", p.Name)
		}
	}
	for _, k := range chip.Tampers() {
		if !strings.Contains(got.stdout, "  "+string(k.Kind)+" ") {
			t.Errorf("tampering %s is not listed", k.Kind)
		}
	}
	if !strings.Contains(got.stdout, "  nguyen-van-thu ") {
		t.Error("the people are not listed")
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	got := command(t, "completion", "bash")
	got.succeeded(t)
	if !strings.Contains(got.stdout, "complete -o default") {
		t.Error("no completion script for bash")
	}
	// What the script asks when the tabulator is pressed.
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"__complete", "demo", "--tamper", ""}, "clone\n"},
		{[]string{"__complete", "demo", "--chip", ""}, "passport-bac\n"},
		{[]string{"__complete", "chip", "serve", "--person", ""}, "tran-thi-mau\n"},
		{[]string{"__complete", "qu"}, "queue\t"},
	} {
		var out bytes.Buffer
		if exit := cli.Main(t.Context(), tt.args, strings.NewReader(""), &out, io.Discard); exit != 0 || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%q: exit status %d, got %q, want a line %q", tt.args, exit, out.String(), tt.want)
		}
	}
}

// TestHelp: every command has a sentence, and an example if it does anything.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"demo"}, {"readers"}, {"read"}, {"chip", "list"}, {"chip", "serve"}, {"queue", "list"}, {"queue", "send"}, {"operator", "set"}, {"version"},
	} {
		got := command(t, append(args, "--help")...)
		got.succeeded(t)
		if !strings.Contains(got.stdout, "Examples:\n  chamthe "+strings.Join(args, " ")) {
			t.Errorf("%q has no example:\n%s", args, got.stdout)
		}
	}
	for _, args := range [][]string{{}, {"chip"}, {"queue"}} {
		got := command(t, args...)
		got.succeeded(t)
		if !strings.Contains(got.stdout, "Available Commands:") {
			t.Errorf("%q does not list its commands", args)
		}
	}
}

// TestInterrupted ends a command in the middle, as Ctrl-C does.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errs bytes.Buffer
	out := &trigger{word: "tap  ", then: cancel}
	exit := cli.Main(ctx, []string{"demo"}, strings.NewReader(""), out, &errs)
	ended{exit, out.String(), errs.String()}.failed(t, fault.Cancelled)
	if strings.Contains(out.String(), "recorded") {
		t.Errorf("a visit was recorded:\n%s", out.String())
	}
}

// trigger is a buffer that calls a function when it is told a word.
type trigger struct {
	bytes.Buffer
	word string
	then func()
}

func (w *trigger) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.word)) {
		w.then()
	}
	return w.Buffer.Write(p)
}
