package service

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fakeSystemd notes what it is asked, and answers.
type fakeSystemd struct {
	asked []string
	say   map[string]string // by the second word
	fail  string            // the second word of what fails
}

func (f *fakeSystemd) run(_ context.Context, name string, args ...string) (string, error) {
	f.asked = append(f.asked, strings.Join(append([]string{name}, args...), " "))
	if args[0] == f.fail {
		return "Access denied", errors.New("exit status 1")
	}
	return f.say[args[0]], nil
}

// booted is a manager on a computer of its own.
func booted(t *testing.T, account bool) (Manager, *fakeSystemd) {
	t.Helper()
	f := &fakeSystemd{say: map[string]string{"show": "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nResult=success\nStatusText=link online\n"}}
	m := Manager{root: t.TempDir(), run: f.run, own: func(string) error { return nil }, user: func(string) error {
		if account {
			return nil
		}
		return errors.New("no such user")
	}}
	m.group = func(name string) error {
		if name == serialGroup {
			return nil
		}
		return errors.New("no such group")
	}
	if err := os.MkdirAll(m.path("run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	return m, f
}

func contents(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

func TestInstall(t *testing.T) {
	m, f := booted(t, false)
	if err := os.MkdirAll(m.path(rulesDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := m.Install(t.Context(), Install{Program: "/opt/chamthe/chamthe", Config: "/etc/x.yaml"}); err != nil {
		t.Fatal(err)
	}
	if unit := contents(t, m.path(local)); !strings.Contains(unit, "\nExecStart=/opt/chamthe/chamthe run --config /etc/x.yaml\n") || strings.Count(unit, "ExecStart=") != 1 {
		t.Errorf("unit:\n%s", unit)
	}
	if contents(t, m.path(localRules)) != Rules {
		t.Error("polkit was not told")
	}
	want := []string{
		"useradd --system --user-group --home-dir /var/lib/chamthe --no-create-home --shell /usr/sbin/nologin chamthe",
		"usermod --append --groups dialout chamthe",
		"systemctl daemon-reload", "systemctl enable chamthe.service",
	}
	if !slices.Equal(f.asked, want) {
		t.Errorf("asked %q", f.asked)
	}
	f.asked = nil
	if err := m.Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if contents(t, m.path(local)) != "" || contents(t, m.path(localRules)) != "" || !slices.Contains(f.asked, "systemctl disable --now chamthe.service") {
		t.Errorf("something is left, asked %q", f.asked)
	}
}

// TestInstallOverPackage leaves the unit of a package alone if it is the same.
func TestInstallOverPackage(t *testing.T) {
	m, f := booted(t, true)
	for _, name := range []string{packaged, local} {
		if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(m.path(name), []byte(Unit), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Install(t.Context(), Install{Program: program}); err != nil {
		t.Fatal(err)
	}
	if contents(t, m.path(local)) != "" || contents(t, m.path(packaged)) != Unit {
		t.Error("there are two units")
	}
	if !slices.Equal(f.asked, []string{"usermod --append --groups dialout chamthe", "systemctl daemon-reload", "systemctl enable chamthe.service"}) {
		t.Errorf("asked %q", f.asked)
	}
}

// TestInstallElsewhere has data, logs and the desk's token elsewhere than the unit
// expects them.
func TestInstallElsewhere(t *testing.T) {
	m, f := booted(t, true)
	var given []string
	m.own = func(dir string) error { given = append(given, strings.TrimPrefix(dir, m.root)); return nil }
	m.group = func(string) error { return errors.New("no such group") }
	// Somebody's, with something in it.
	if err := os.MkdirAll(m.path("srv/log/old"), 0o755); err != nil {
		t.Fatal(err)
	}
	i := Install{Program: program, Dirs: []string{"/srv/data", "/srv/log", "/var/lib/chamthe/x"}, DeskDir: "/run/chamthe", Shared: []string{"/srv/his"}, DeskGroup: "reception"}
	if err := m.Install(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	more := contents(t, m.path(dropIn))
	if !strings.Contains(more, "\n[Service]\nReadWritePaths=-/srv/data -/srv/log -/srv/his\n") || !strings.Contains(more, "\n[Unit]\nRequiresMountsFor=/srv/data /srv/log /srv/his\n") {
		t.Errorf("drop-in:\n%s", more)
	}
	if !slices.Equal(given, []string{"/srv/data"}) {
		t.Errorf("the account was given %q", given)
	}
	if info, err := os.Stat(m.path("srv/data")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	want := []string{"groupadd --system reception", "usermod --append --groups reception chamthe", "systemctl daemon-reload", "systemctl enable chamthe.service"}
	if !slices.Equal(f.asked, want) {
		t.Errorf("asked %q", f.asked)
	}
	// Back where they were.
	if err := m.Install(t.Context(), Install{Program: program, Dirs: []string{"/var/lib/chamthe"}, DeskDir: "/run/chamthe"}); err != nil {
		t.Fatal(err)
	}
	if contents(t, m.path(dropIn)) != "" {
		t.Error("the drop-in is left")
	}
	if err := m.Install(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if err := m.Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if contents(t, m.path(dropIn)) != "" {
		t.Error("the drop-in is left after Uninstall")
	}
	for _, dir := range []string{"/home/a/data", "/tmp/x", "/root", "/srv/my data", "/srv/%h", "data"} {
		if err := m.Install(t.Context(), Install{Program: program, Dirs: []string{dir}}); err == nil {
			t.Errorf("%s was installed", dir)
		}
	}
}

func TestInstallRefusesPaths(t *testing.T) {
	m, f := booted(t, true)
	for _, i := range []Install{
		{Program: "/opt/my programs/chamthe"}, {Program: "/opt/$x"}, {Program: "/opt/x\nExecStartPre=/bin/sh"}, {Program: "/a", Config: "/my files/x"}, {Program: "/a", Config: "/%h"}, {Program: `/a"b`},
	} {
		if err := m.Install(t.Context(), i); err == nil {
			t.Errorf("%+v was installed", i)
		}
	}
	if len(f.asked) != 0 || contents(t, m.path(local)) != "" {
		t.Errorf("asked %q", f.asked)
	}
}

func TestStatus(t *testing.T) {
	m, f := booted(t, true)
	for _, test := range []struct {
		name, said string
		want       State
	}{
		{"running", f.say["show"], State{true, true, true, "active (running): link online"}},
		{"failed", "LoadState=loaded\nActiveState=failed\nSubState=failed\nUnitFileState=disabled\nResult=exit-code\n", State{true, false, false, "failed (failed), exit-code"}},
		{"none", "LoadState=not-found\nActiveState=inactive\nSubState=dead\n", State{}},
	} {
		f.say["show"] = test.said
		if st, err := m.Status(t.Context()); err != nil || st != test.want {
			t.Errorf("%s: %+v, %v, want %+v", test.name, st, err, test.want)
		}
	}
	if err := m.Uninstall(t.Context()); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("Uninstall = %v", err)
	}
	f.fail = "start"
	if err := m.Start(t.Context()); !errors.Is(err, ErrManager) || !strings.Contains(err.Error(), "Access denied") {
		t.Errorf("Start = %v", err)
	}
	if err := m.Stop(t.Context()); err != nil {
		t.Errorf("Stop = %v", err)
	}
	nowhere := Manager{root: t.TempDir(), run: f.run}
	for name, fn := range map[string]func() error{
		"install": func() error { return nowhere.Install(t.Context(), Install{}) }, "start": func() error { return nowhere.Start(t.Context()) },
		"uninstall": func() error { return nowhere.Uninstall(t.Context()) },
	} {
		if err := fn(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s without systemd: %v", name, err)
		}
	}
}

// TestUnit looks for what the service rests on.
func TestUnit(t *testing.T) {
	for _, line := range []string{
		"Type=notify", "WatchdogSec=60", "Restart=on-failure", "StartLimitIntervalSec=0", "RestartPreventExitStatus=1", "User=chamthe", "StateDirectory=chamthe",
		"LogsDirectory=chamthe", "RuntimeDirectory=chamthe", "ProtectSystem=strict", "NoNewPrivileges=yes", "PrivateTmp=yes", "CapabilityBoundingSet=",
		"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK", "SystemCallFilter=@system-service",
		"Wants=modprobe@usbserial.service modprobe@cdc_acm.service", "After=modprobe@usbserial.service modprobe@cdc_acm.service",
		"DeviceAllow=char-ttyUSB rw", "DeviceAllow=char-ttyACM rw", "LimitCORE=0", "ExecStart=" + program + " run", "PrivateUsers=no", "WantedBy=multi-user.target",
	} {
		if !strings.Contains(Unit, "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
	if !strings.Contains(Rules, "org.debian.pcsc-lite.access_pcsc") || !strings.Contains(Rules, `subject.user == "`+account+`"`) {
		t.Error("the rules are not those for pcscd")
	}
}

// systemdAnalyze is systemd's own judge, which the set-up of the tests installs.
func systemdAnalyze(t *testing.T) string {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip("there is no systemd-analyze here")
	}
	return analyze
}

// TestUnitAllowsCalls works out the unit's filter of system calls with systemd's own
// groups: what the agent calls has to pass, and what it never calls must not.
func TestUnitAllowsCalls(t *testing.T) {
	analyze := systemdAnalyze(t)
	var expand func(name string) []string
	expand = func(name string) (calls []string) {
		if !strings.HasPrefix(name, "@") {
			return []string{name}
		}
		out, err := exec.Command(analyze, "syscall-filter", "--no-pager", name).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSpace(line); line != "" && line != name && !strings.HasPrefix(line, "#") {
				calls = append(calls, expand(line)...)
			}
		}
		return calls
	}
	// systemd.exec(5): the first line says what the list is; later ones add and take
	// away, in their order.
	allowed := map[string]bool{}
	for line := range strings.Lines(Unit) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "SystemCallFilter=")
		if !ok {
			continue
		}
		value, away := strings.CutPrefix(value, "~")
		for _, name := range strings.Fields(value) {
			for _, call := range expand(name) {
				allowed[call] = !away
			}
		}
	}
	for _, call := range []string{
		"fchown", "fchownat", "fchmod", "rename", "renameat", "fsync", "flock", "fcntl", "ioctl", "mmap", "mprotect", "madvise", "clone", "futex", "epoll_pwait",
		"socket", "bind", "listen", "accept4", "connect", "sendmsg", "memfd_create", "sched_getaffinity", "prlimit64", "getrandom", "rt_sigreturn", "tgkill",
	} {
		if !allowed[call] {
			t.Errorf("%s is not allowed", call)
		}
	}
	for _, call := range []string{"mount", "ptrace", "reboot", "setuid", "chroot", "bpf", "init_module", "keyctl", "settimeofday", "iopl"} {
		if allowed[call] {
			t.Errorf("%s is allowed", call)
		}
	}
}

// TestUnitBySystemd has systemd judge the unit.
func TestUnitBySystemd(t *testing.T) {
	analyze := systemdAnalyze(t)
	dir := t.TempDir()
	name := filepath.Join(dir, unitName)
	// It looks for the program.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(strings.Replace(Unit, program, self, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	// Other units of this computer are not our concern, but ours has to be without a
	// word about it.
	out, _ := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", name).CombinedOutput()
	if strings.Contains(string(out), unitName) {
		t.Errorf("verify:\n%s", out)
	}
	out, err = exec.Command(analyze, "security", "--offline=true", "--no-pager", name).CombinedOutput()
	if err != nil {
		t.Skipf("systemd-analyze of this version cannot judge a file: %v", err)
	}
	_, rest, ok := strings.Cut(string(out), "Overall exposure level for "+unitName+": ")
	if !ok {
		t.Fatalf("no judgement:\n%s", out)
	}
	level, _, _ := strings.Cut(rest, " ")
	exposure, err := strconv.ParseFloat(level, 64)
	const most = 2.5 // of 10; 1.8 with systemd 252
	if err != nil || exposure > most {
		t.Errorf("exposure %s, want at most %v:\n%s", level, most, out)
	}
	t.Logf("exposure %s of 10", level)
}
