package deb

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// computer is one on which a script runs.
type computer struct {
	root, bin, notes string
}

// newComputer has every command that changes something; all succeed but for those in
// fail, by their whole line.
func newComputer(t *testing.T, systemd bool, fail ...string) *computer {
	t.Helper()
	dir := t.TempDir()
	c := &computer{filepath.Join(dir, "root"), filepath.Join(dir, "bin"), filepath.Join(dir, "notes")}
	for _, d := range []string{"etc/chamthe", "run", "etc/systemd/system/multi-user.target.wants"} {
		if err := os.MkdirAll(filepath.Join(c.root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if systemd {
		if err := os.MkdirAll(filepath.Join(c.root, "run/systemd/system"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(c.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nline=\"${0##*/} $*\"\nprintf '%s\\n' \"$line\" >>'" + c.notes + "'\ncase \"$line\" in\n"
	for _, f := range append(fail, "getent *") { // nothing is known yet
		script += strings.ReplaceAll(f, " ", "\\ ") + ") exit 1 ;;\n"
	}
	script += "stat\\ *) echo root ;;\nesac\n"
	for _, name := range []string{"getent", "addgroup", "adduser", "install", "chgrp", "chmod", "stat", "systemctl"} {
		if err := os.WriteFile(filepath.Join(c.bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// run runs a script and returns what it asked.
func (c *computer) run(t *testing.T, script string, args ...string) []string {
	t.Helper()
	_ = os.Remove(c.notes)
	x := exec.Command("/bin/sh", append([]string{script}, args...)...)
	x.Env = []string{"DPKG_ROOT=" + c.root, "PATH=" + c.bin + ":/usr/bin:/bin"}
	if out, err := x.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", script, args, err, out)
	}
	b, err := os.ReadFile(c.notes)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(string(b), c.root, "")), "\n")
}

// TestConfigurationIsForTheGroup: a password may come into it.
func TestConfigurationIsForTheGroup(t *testing.T) {
	c := newComputer(t, true)
	if err := os.WriteFile(filepath.Join(c.root, "etc/chamthe/config.yaml"), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	asked := c.run(t, "postinst", "configure", "")
	for _, want := range []string{"addgroup --system --quiet chamthe-desk", "adduser --quiet chamthe chamthe-desk", "chgrp chamthe-desk /etc/chamthe/config.yaml", "chmod 0640 /etc/chamthe/config.yaml"} {
		if !slices.Contains(asked, want) {
			t.Errorf("not asked: %s\n%s", want, strings.Join(asked, "\n"))
		}
	}
}

// TestServiceStaysAsITSaid goes through what dpkg calls the scripts with.
func TestServiceStaysAsITSaid(t *testing.T) {
	const enable, restart, stop, enabled = "systemctl enable --quiet chamthe.service", "systemctl restart chamthe.service", "systemctl stop chamthe.service", "systemctl is-enabled --quiet chamthe.service"
	for _, test := range []struct {
		name     string
		systemd  bool
		disabled bool
		script   string
		args     []string
		want     []string
		never    []string
	}{
		{"first installation", true, false, "postinst", []string{"configure", ""}, []string{enable, restart}, nil},
		{"first installation into an image", false, false, "postinst", []string{"configure", ""}, []string{enable}, []string{restart}},
		{"upgrade", true, false, "postinst", []string{"configure", "1.0"}, []string{restart}, []string{enable}},
		{"upgrade where IT has disabled it", true, true, "postinst", []string{"configure", "1.0"}, []string{enabled}, []string{enable, restart}},
		{"upgrade that was given up", true, false, "postinst", []string{"abort-upgrade", "2.0"}, []string{restart}, []string{enable}},
		{"upgrade that was given up, disabled", true, true, "postinst", []string{"abort-upgrade", "2.0"}, []string{enabled}, []string{enable, restart}},
		{"removal that was given up", true, false, "postinst", []string{"abort-remove"}, []string{restart}, []string{enable}},
		{"a trigger", true, false, "postinst", []string{"triggered", "x"}, nil, []string{enable, restart}},
		{"before an upgrade", true, false, "preinst", []string{"upgrade", "1.0"}, []string{stop}, nil},
		{"removal", true, false, "prerm", []string{"remove"}, []string{stop}, []string{"systemctl disable --quiet --now chamthe.service"}},
		{"upgrade of the old one", true, false, "prerm", []string{"upgrade", "2.0"}, nil, []string{stop}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var fail []string
			if test.disabled {
				fail = []string{enabled}
			}
			asked := newComputer(t, test.systemd, fail...).run(t, test.script, test.args...)
			for _, want := range test.want {
				if !slices.Contains(asked, want) {
					t.Errorf("not asked: %s\n%s", want, strings.Join(asked, "\n"))
				}
			}
			for _, never := range test.never {
				if slices.Contains(asked, never) {
					t.Errorf("asked: %s", never)
				}
			}
		})
	}
}

// TestPurge forgets whether the service starts, and keeps the visits.
func TestPurge(t *testing.T) {
	c := newComputer(t, true)
	link := filepath.Join(c.root, "etc/systemd/system/multi-user.target.wants/chamthe.service")
	data := filepath.Join(c.root, "var/lib/chamthe/visits.db")
	if err := os.MkdirAll(filepath.Dir(data), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/lib/systemd/system/chamthe.service", link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(data, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.run(t, "postrm", "remove")
	if _, err := os.Lstat(link); err != nil {
		t.Errorf("a removal has forgotten whether the service starts: %v", err)
	}
	c.run(t, "postrm", "purge")
	if _, err := os.Lstat(link); err == nil {
		t.Error("a purge has left the service's link")
	}
	if _, err := os.Stat(data); err != nil {
		t.Errorf("the visits: %v", err)
	}
}
