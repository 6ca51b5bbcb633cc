package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/chamthe/chamthe/agent/config"
	"github.com/chamthe/chamthe/agent/policy"
)

// write makes a file that only its owner may read.
func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// options are those of a test: nothing of this computer counts.
func options(t testing.TB, file string) config.Options {
	t.Helper()
	o := config.Options{Policy: filepath.Join(t.TempDir(), "none"), Env: []string{}}
	o.File = write(t, "chamthe.yaml", file)
	return o
}

func TestDefaultsWork(t *testing.T) {
	for _, file := range []string{"", "# nothing\n", "log:\n", "log:\n  # level: x\n", "~\n", "log:\n  level:\n"} {
		c, err := config.Load(options(t, file))
		if err != nil {
			t.Fatalf("%q: %v", file, err)
		}
		if c.API.Port != 9786 || !c.Readers.PCSC || c.Log.Level != "info" || c.Data.KeepVisits != 30*24*time.Hour || c.Metrics.Listen != "" || c.Training.Allowed {
			t.Errorf("%q: defaults are %+v", file, *c)
		}
		if !filepath.IsAbs(c.Data.Dir) || !filepath.IsAbs(c.API.DeskTokenFile) || strings.Contains(c.Log.Dir, "{") {
			t.Errorf("directories: %s, %s, %s", c.Data.Dir, c.API.DeskTokenFile, c.Log.Dir)
		}
		for _, v := range c.Values() {
			if v.Source != config.FromDefault {
				t.Errorf("%s came from %s", v.Key, v.Source)
			}
		}
	}
}

func TestMissingFile(t *testing.T) {
	o := options(t, "")
	o.File = filepath.Join(t.TempDir(), "not there")
	if _, err := config.Load(o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a named file that is missing: %v", err)
	}
	o.File = t.TempDir()
	if _, err := config.Load(o); err == nil {
		t.Error("a directory was read")
	}
}

// TestWhatWins puts a value into every layer, one more each time.
func TestWhatWins(t *testing.T) {
	restore := config.Believe(func(string) error { return nil })
	defer restore()
	o := options(t, "log:\n  level: debug\nfacility:\n  code: 01013\n")
	step := func(want string, kind config.Kind, where string) {
		t.Helper()
		c, err := config.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Source("log.level"); c.Log.Level != want || got.Kind != kind || !strings.HasSuffix(got.Where, where) {
			t.Errorf("level %q from %+v, want %q from %s %s", c.Log.Level, got, want, kind, where)
		}
		if c.Facility.Code != "01013" {
			t.Errorf("the code lost its zero: %q", c.Facility.Code)
		}
	}
	step("debug", config.FromFile, "chamthe.yaml:2")
	o.Env = []string{"CHAMTHE_LOG_LEVEL=warn", "CHAMTHE_TRUST=/x", "CHAMTHE_TEST_ROLE=y", "PATH=z"}
	step("warn", config.FromEnvironment, "CHAMTHE_LOG_LEVEL")
	o.Flags = map[string]string{"log.level": "error"}
	step("error", config.FromFlag, "")
	o.Policy = write(t, "policy.yaml", "\nlog:\n\n  level: info\n")
	step("info", config.FromPolicy, "policy.yaml:4")
}

func TestPolicyOfOthers(t *testing.T) {
	restore := config.Believe(func(string) error { return config.ErrExposed })
	defer restore()
	o := options(t, "")
	o.Policy = write(t, "policy.yaml", "log: {level: debug}\n")
	if _, err := config.Load(o); !errors.Is(err, config.ErrExposed) {
		t.Errorf("Load = %v, want ErrExposed", err)
	}
}

// TestOnlyAdministrators uses files of whoever runs the test.
func TestOnlyAdministrators(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("owners on Windows are not made here")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	root := os.Getuid() == 0
	for _, test := range []struct {
		name      string
		dir, file fs.FileMode
		want      error
	}{
		{"root's", 0o755, 0o644, nil},
		{"file of a group", 0o755, 0o664, config.ErrExposed},
		{"file of everybody", 0o755, 0o646, config.ErrExposed},
		{"directory of everybody", 0o757, 0o644, config.ErrExposed},
		{"directory of everybody, sticky", 0o777 | fs.ModeSticky, 0o644, config.ErrExposed},
	} {
		if err := errors.Join(os.Chmod(dir, test.dir), os.Chmod(path, test.file)); err != nil {
			t.Fatal(err)
		}
		want := test.want
		if !root {
			want = config.ErrExposed // it is not root's
		}
		if err := config.OnlyAdministrators(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", test.name, err, want)
		}
	}
}

// TestProblems has every kind of mistake, in one file and alone.
func TestProblems(t *testing.T) {
	file := `api:
  port: 99999
  prot: 1
  clients: [{name: A, token_sha256: zz}]
log:
  level: loud
  max_size_mb: 0
  max_size_mb: 5
  keep: many
  stderr: yes
dta:
  dir: x
data:
  dir: here
  keep_visits: a while
  keep_answers: 1m
central:
  urls: nats://central.example:4222
  proxy: http://u:geheim123@proxy:3128
facility: 01013
metrics:
  listen: 0.0.0.0:9787
operator:
  required: *yes
`
	_, err := config.Load(options(t, file))
	if err == nil || !errors.Is(err, config.ErrInvalid) {
		t.Fatalf("Load = %v", err)
	}
	e, ok := errors.AsType[*config.Error](err)
	if !ok || len(e.Problems) != 1 || !strings.HasSuffix(e.Problems[0].Where, ":24") && !strings.HasSuffix(e.Problems[0].Where, "chamthe.yaml") {
		t.Errorf("an unknown alias: %v", err)
	}
	file = strings.Replace(file, "*yes", "true", 1)
	_, err = config.Load(options(t, file))
	if e, ok = errors.AsType[*config.Error](err); !ok {
		t.Fatal(err)
	}
	var got []string
	for _, p := range e.Problems {
		at := p.Where[strings.LastIndexByte(p.Where, ':')+1:]
		got = append(got, at+" "+p.Key+": "+p.Text)
	}
	want := []string{
		"2 api.port: want a number from 0 to 65535",
		"3 api.prot: no such key; did you mean port?",
		"4 api.clients: token_sha256: want 64 hexadecimal digits",
		"6 log.level: want one of debug, info, warn, error",
		"7 log.max_size_mb: want a number from 1 to 1024",
		"8 log.max_size_mb: it stands in line 7 already",
		"9 log.keep: want a number",
		"10 log.stderr: want true or false",
		"11 dta: no such section; did you mean data?",
		"14 data.dir: want a whole path, from the root of the disk",
		"15 data.keep_visits: want a duration: 90s, 15m, 12h, 30d",
		"16 data.keep_answers: at least 1h",
		"18 central.urls: want a list: [a, b], or lines that begin with -",
		"19 central.proxy: name and password go into proxy_user and proxy_password",
		"20 facility: want keys below the section, indented",
		"22 metrics.listen: only on this computer: 127.0.0.1, [::1] or localhost",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
	if strings.Contains(err.Error(), "geheim") {
		t.Errorf("a password is in the error: %v", err)
	}
}

func TestOneProblem(t *testing.T) {
	root := t.TempDir()
	for _, test := range []struct{ name, file, want string }{
		{"tab", "log:\n\tlevel: info\n", "chamthe.yaml:2: cannot be understood: found character that cannot start any token"},
		{"unclosed", "log: [\n", "chamthe.yaml:1: cannot be understood"},
		{"two documents", "log: {level: info}\n---\nlog: {level: warn}\n", "chamthe.yaml: one document only"},
		{"list", "- a\n", "chamthe.yaml:1: want sections"},
		{"text", "hello\n", "chamthe.yaml:1: want sections"},
		{"anchor", "log: &a\n  level: info\n", "chamthe.yaml:1: log: a value that begins"},
		{"password as alias", "central:\n  proxy: http://p:1\n  proxy_password: *geheim123\n", "a value that begins with * or &"},
		{"key that is a value", "central:\n  'geheim 123 456': x\n", "chamthe.yaml:2: central.?: no such key"},
		{"list as key", "log:\n  [a]: b\n", "chamthe.yaml:2: log: want a name before the colon"},
		{"plain far away", "central:\n  urls: [nats://central.example]\n", "without TLS only on this computer"},
		{"mixed", "central:\n  urls: ['wss://a:1', 'tls://b:1']\n", "chamthe.yaml:2: central.urls: either all"},
		{"user in address", "central:\n  urls: ['tls://u:geheim123@b:1']\n", "no name or password"},
		{"password without proxy", "central:\n  proxy_password: x\n", "chamthe.yaml:2: central.proxy: a name or a password"},
		{"same port", "metrics:\n  listen: 127.0.0.1:9786\n", "chamthe.yaml:2: metrics.listen: this is the port of the API"},
		{"hand-off beside the log", "log:\n  dir: '" + root + "'\nhandoff:\n  dir: '" + root + "'\n", "chamthe.yaml:4: handoff.dir: want a folder of its own: this is log.dir"},
		{"hand-off anywhere", "handoff:\n  dir: files\n", "chamthe.yaml:2: handoff.dir: want a whole path"},
		{"hand-off of what", "handoff:\n  format: csv\n", "chamthe.yaml:2: handoff.format: want one of json, xml"},
		{"hand-off that nobody can fetch", "handoff:\n  keep: 1s\n", "chamthe.yaml:2: handoff.keep: at least 1m"},
		{"origin", "api:\n  clients: [{name: A, origin: 'https://a/', token_sha256: " + strings.Repeat("ab", 32) + "}]\n", "origin: want https://host"},
		{"origin with the usual port", "api:\n  clients:\n    - {name: A, token_sha256: " + strings.Repeat("ab", 32) + "}\n    - name: B\n      origin: https://his.hospital.lan:443\n      token_sha256: " + strings.Repeat("ac", 32) + "\n", "chamthe.yaml:4: api.clients: origin: want https://host"},
		{"client desk", "api:\n  clients: [{name: Desk, token_sha256: " + strings.Repeat("ab", 32) + "}]\n", "chamthe.yaml:2: api.clients: name: a program is not called desk"},
		{"client like an address", "api:\n  clients: [{name: 'HIS: main', token_sha256: " + strings.Repeat("ab", 32) + "}]\n", "name: a program is not"},
		{"client with a blank", "api:\n  clients: [{name: ' HIS', token_sha256: " + strings.Repeat("ab", 32) + "}]\n", "name: want 1 to 64 letters"},
		{"token of nothing", "api:\n  clients: [{name: A, token_sha256: '" + strings.Repeat("00", 32) + "'}]\n", "token_sha256: want 64"},
		{"two of one name", "api:\n  clients:\n  - {name: A, token_sha256: " + strings.Repeat("ab", 32) + "}\n  - {name: a, token_sha256: " + strings.Repeat("ac", 32) + "}\n", "chamthe.yaml:4: api.clients: two clients have one name"},
		{"two of one token", "api:\n  clients:\n  - {name: A, token_sha256: " + strings.Repeat("ab", 32) + "}\n  - {name: B, token_sha256: " + strings.Repeat("AB", 32) + "}\n", "chamthe.yaml:4: api.clients: two clients have one token"},
		{"key without its check", "central:\n  bundle_key: " + strings.Repeat("A", 56) + "\n", "chamthe.yaml:2: central.bundle_key: want a public key"},
		{"one port for two", "readers:\n  pn532: [/dev/ttyUSB0]\n  scanners:\n  - /dev/ttyACM0\n  - /dev/ttyUSB0\n", "chamthe.yaml:5: readers.scanners: this port stands in readers.pn532 already"},
		{"one port twice", "readers:\n  scanners: [COM3, com3]\n", "chamthe.yaml:2: readers.scanners: this port stands in readers.scanners already"},
		{"no address in the second line", "central:\n  urls:\n  - wss://a:1\n  - b\n", "chamthe.yaml:4: central.urls: want nats://"},
		{"control", "facility:\n  name: \"a\\x07b\"\n", "no control characters"},
		{"too long", "facility:\n  name: " + strings.Repeat("a", 200) + "\n", "facility.name: too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Load(options(t, test.file))
			if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("Load = %v, want %q", err, test.want)
			}
			if e, ok := errors.AsType[*config.Error](err); !ok || len(e.Problems) != 1 {
				t.Errorf("%v is not one problem", err)
			}
		})
	}
}

// TestPolicy compares the section with package policy: every setting is there, in its
// order, with its words and its default, and comes through.
func TestPolicy(t *testing.T) {
	type setting struct {
		Key     string
		Default string
		Allowed []string
	}
	var got, want []setting
	for _, s := range config.Sections() {
		for _, k := range s.Keys {
			if s.Name == "policy" {
				got = append(got, setting{strings.TrimPrefix(k.Name, "policy."), k.Default, k.OneOf})
			}
		}
	}
	var file strings.Builder
	file.WriteString("policy:\n")
	for _, k := range policy.Keys() {
		want = append(want, setting{k.Key, k.Allowed[0], k.Allowed})
		fmt.Fprintf(&file, "  %s: %s\n", k.Key, k.Allowed[len(k.Allowed)-1])
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("settings (-policy +config):\n%s", d)
	}
	c, err := config.Load(options(t, file.String()))
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Settings(c.Policy).Policy()
	if err != nil {
		t.Fatal(err)
	}
	if changes := policy.Diff(policy.Policy{}, p); len(changes) != len(want) {
		t.Errorf("%d of %d settings came through: %v", len(changes), len(want), changes)
	}
	c, err = config.Load(options(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	if p, err = policy.Settings(c.Policy).Policy(); err != nil || p != (policy.Policy{}) {
		t.Errorf("the default is %+v, %v", p, err)
	}
}

func TestEnvironment(t *testing.T) {
	o := options(t, "")
	o.Env = []string{
		"CHAMTHE_CENTRAL_URLS=wss://a:443, wss://b:443", "CHAMTHE_READERS_PCSC=false", "CHAMTHE_DATA_KEEP_VISITS=7d",
		`CHAMTHE_API_CLIENTS=[{name: A, token_sha256: ` + strings.Repeat("AB", 32) + `}]`, "CHAMTHE_READERS_PN532=",
	}
	c, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"wss://a:443", "wss://b:443"}, c.Central.URLs); d != "" || c.Readers.PCSC || c.Data.KeepVisits != 7*24*time.Hour || len(c.Readers.PN532) != 0 {
		t.Errorf("%s %+v", d, c.Readers)
	}
	if d := cmp.Diff([]config.Client{{Name: "A", TokenSHA256: strings.Repeat("ab", 32)}}, c.API.Clients); d != "" {
		t.Error(d)
	}
	o.Env = []string{"CHAMTHE_LOG_LEVL=debug", "CHAMTHE_API_PORT=x"}
	_, err = config.Load(o)
	want := "environment CHAMTHE_API_PORT: api.port: want a number\nenvironment CHAMTHE_LOG_LEVL: no such key; did you mean level?"
	if err == nil || err.Error() != want {
		t.Errorf("Load = %v, want %s", err, want)
	}
	o.Env, o.Flags = nil, map[string]string{"log.nothing": "x"}
	if _, err = config.Load(o); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("an unknown flag: %v", err)
	}
}

// TestSecrets looks for a password in everything that a configuration prints.
func TestSecrets(t *testing.T) {
	const file = "central:\n  proxy: http://p:1\n  proxy_password: geheim123\n"
	o := options(t, file)
	c, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	if c.Central.ProxyPassword != "geheim123" {
		t.Fatal("the password was not read")
	}
	shown := fmt.Sprintf("%v %+v %#v %s %v", c, c, c, c, c.Values())
	if strings.Contains(shown, "geheim") || !strings.Contains(shown, "[redacted]") {
		t.Errorf("shown: %s", shown)
	}
	if runtime.GOOS == "windows" {
		return // no permission bits
	}
	if err := os.Chmod(o.File, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(o); !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), "everybody may read it: chgrp chamthe-desk "+o.File+" && chmod 640 "+o.File) {
		t.Errorf("a password that everybody may read: %v", err)
	}
	// As the remedy leaves it, and the package.
	if err := os.Chmod(o.File, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(o); err != nil {
		t.Errorf("a password that a group may read: %v", err)
	}
}

// TestTemplate takes every # away that stands before a key: what is proposed must
// be understood.
func TestTemplate(t *testing.T) {
	var b bytes.Buffer
	if err := config.Template(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(options(t, b.String())); err != nil {
		t.Errorf("the template as it is: %v", err)
	}
	lines := strings.Split(b.String(), "\n")
	keys := 0
	for i, line := range lines {
		if key, ok := strings.CutPrefix(line, "  # "); ok {
			var one map[string]yaml.Node
			name, _, found := strings.Cut(key, ": ")
			if found && !strings.ContainsAny(name, " .") && yaml.Unmarshal([]byte(key), &one) == nil {
				lines[i] = "  " + key
				keys++
			}
		}
		if len([]rune(line)) > 160 {
			t.Errorf("line %d is too long", i+1)
		}
	}
	all := 0
	for _, s := range config.Sections() {
		all += len(s.Keys)
	}
	if keys != all {
		t.Errorf("%d of %d keys stand in the template", keys, all)
	}
	file := strings.ReplaceAll(strings.Join(lines, "\n"), "token_sha256: '…'", "token_sha256: "+strings.Repeat("ab", 32))
	if runtime.GOOS == "windows" {
		return // the examples are paths of Linux
	}
	if _, err := config.Load(options(t, file)); err != nil {
		t.Errorf("the template in force: %v", err)
	}
}

// TestPageIsUpToDate compares the documentation with what would be generated, and
// looks for every key in it.
func TestPageIsUpToDate(t *testing.T) {
	var want bytes.Buffer
	if err := config.Page(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.FromSlash("../docs/config.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("agent/docs/config.md is out of date: run go generate ./agent/config")
	}
	for _, s := range config.Sections() {
		if len(s.Doc) < 10 {
			t.Errorf("section %s is not documented", s.Name)
		}
		for _, k := range s.Keys {
			if len(k.Doc) < 20 || !strings.HasSuffix(k.Doc, ".") || strings.HasSuffix(k.Name, ".") || !bytes.Contains(got, []byte("`"+k.Name+"`<br>`"+k.Env+"`")) {
				t.Errorf("%s is not documented", k.Name)
			}
			if strings.Contains(k.Name, "password") != k.Secret {
				t.Errorf("%s: secret is %v", k.Name, k.Secret)
			}
		}
	}
}

// TestShow reads back what is shown.
func TestShow(t *testing.T) {
	const file = "readers:\n  scanners: [COM3, 'a#b']\n  scanner_baud: 115200\nfacility: {name: 'a: b'}\ndata: {keep_visits: 36h}\n"
	c, err := config.Load(options(t, file))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, v := range c.Values() {
		shown[v.Key] = v.Text()
	}
	for key, want := range map[string]string{
		"readers.scanners": `[COM3, "a#b"]`, "readers.scanner_baud": "115200", "facility.name": `"a: b"`,
		"data.keep_visits": "36h", "data.keep_answers": "60d", "facility.code": `""`, "readers.pcsc": "true", "api.clients": "[]",
	} {
		if shown[key] != want {
			t.Errorf("%s is shown as %s, want %s", key, shown[key], want)
		}
	}
}

// FuzzLoad feeds files: never a panic, never half a configuration, never a value in
// an error.
func FuzzLoad(f *testing.F) {
	var b bytes.Buffer
	if err := config.Template(&b); err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{b.String(), "log: {level: debug}", "api:\n  clients: [{name: A}]\n", "a: &a [*a]", "central: {proxy_password: zq!zq!zq}", "central: {zq!zq!zq}", "{", "- - -", "log: {keep: 3", "? a\n: b"} {
		f.Add(s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, s string) {
		o := config.Options{File: filepath.Join(dir, "f.yaml"), Policy: filepath.Join(dir, "none"), Env: []string{}}
		if err := os.WriteFile(o.File, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(o)
		if (c == nil) != (err != nil) {
			t.Fatalf("Load = %v, %v", c, err)
		}
		// No name of a key has an exclamation mark, and names are shown.
		if err != nil && strings.Contains(err.Error(), "zq!zq!zq") {
			t.Errorf("a value is in the error: %v", err)
		}
	})
}
