package service

import (
	"context"
	_ "embed"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"time"
)

// Unit is the unit file.
//
//go:embed chamthe.service
var Unit string

// Rules is what polkit has to be told, so that pcscd lets the service's account in.
//
//go:embed chamthe.rules
var Rules string

const (
	unitName = Name + ".service"
	// packaged is where a package puts the unit, and local where an administrator does,
	// which goes before the other.
	packaged = "lib/systemd/system/" + unitName
	local    = "etc/systemd/system/" + unitName
	program  = "/usr/bin/chamthe"
	// rulesDir is there where polkit is, and rules of a package are in the second one.
	rulesDir      = "etc/polkit-1/rules.d"
	packagedRules = "usr/share/polkit-1/rules.d/50-chamthe.rules"
	localRules    = rulesDir + "/50-chamthe.rules"
	account       = Name
)

// Manager is systemd. The zero value is that of this computer.
type Manager struct {
	root string // "/" but in tests
	run  func(ctx context.Context, name string, args ...string) (string, error)
	user func(name string) error
}

// limit bounds each command to the manager: stopping waits for the service.
const limit = 2 * time.Minute

func (m Manager) path(name string) string {
	root := m.root
	if root == "" {
		root = "/"
	}
	return filepath.Join(root, name)
}

func (m Manager) command(ctx context.Context, name string, args ...string) (string, error) {
	if m.run != nil {
		return m.run(ctx, name, args...)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=")
	out, err := c.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// here reports whether systemd manages this computer (sd_booted(3)).
func (m Manager) here() error {
	if _, err := os.Stat(m.path("run/systemd/system")); err != nil {
		return ErrUnsupported
	}
	return nil
}

func (m Manager) systemctl(ctx context.Context, args ...string) error {
	if err := m.here(); err != nil {
		return err
	}
	if said, err := m.command(ctx, "systemctl", args...); err != nil {
		return failed("systemctl "+args[0], said, err)
	}
	return nil
}

// Install writes the unit, makes the account if there is none, and has the service
// start with the computer. The unit of a package stays, unless the program or the
// configuration are other ones.
func (m Manager) Install(ctx context.Context, i Install) error {
	if err := m.here(); err != nil {
		return err
	}
	if i.Program == "" {
		var err error
		if i.Program, err = os.Executable(); err != nil {
			return err
		}
	}
	unit, err := unitFor(i)
	if err != nil {
		return err
	}
	have := m.user
	if have == nil {
		have = func(name string) error { _, err := user.Lookup(name); return err }
	}
	if have(account) != nil {
		if said, err := m.command(ctx, "useradd", "--system", "--user-group", "--home-dir", "/var/lib/chamthe", "--no-create-home", "--shell", "/usr/sbin/nologin", account); err != nil {
			return failed("useradd", said, err)
		}
	}
	if b, err := os.ReadFile(m.path(packaged)); err != nil || string(b) != unit {
		if err := os.MkdirAll(filepath.Dir(m.path(local)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(m.path(local), []byte(unit), 0o644); err != nil {
			return err
		}
	} else if err := os.Remove(m.path(local)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.allowReaders(); err != nil {
		return err
	}
	if err := m.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	return m.systemctl(ctx, "enable", unitName)
}

// allowReaders gives polkit its rules, where there is one and no package has done so.
func (m Manager) allowReaders() error {
	if _, err := os.Stat(m.path(packagedRules)); err == nil {
		return nil
	}
	if _, err := os.Stat(m.path(rulesDir)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.WriteFile(m.path(localRules), []byte(Rules), 0o644)
}

// unitFor is the unit with another program or configuration.
func unitFor(i Install) (string, error) {
	start := i.Program + " run"
	if i.Config != "" {
		start += " --config " + i.Config
	}
	// Quoting for a unit is a language of its own (systemd.service(5), command lines);
	// paths that need it are not worth it.
	if strings.ContainsAny(start, "\"'\\%$;\n\t") || strings.Count(start, " ") != strings.Count("x run", " ")+2*min(1, len(i.Config)) {
		return "", errors.New("service: a path with a blank or a special character cannot be installed")
	}
	return strings.Replace(Unit, "ExecStart="+program+" run\n", "ExecStart="+start+"\n", 1), nil
}

// Uninstall stops the service and takes it away. Data, logs and account stay, and so
// does the unit of a package, disabled.
func (m Manager) Uninstall(ctx context.Context) error {
	st, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if !st.Installed {
		return ErrNotInstalled
	}
	if err := m.systemctl(ctx, "disable", "--now", unitName); err != nil {
		return err
	}
	for _, name := range []string{local, localRules} {
		if err := os.Remove(m.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return m.systemctl(ctx, "daemon-reload")
}

// Start starts the service and returns when it is ready.
func (m Manager) Start(ctx context.Context) error { return m.systemctl(ctx, "start", unitName) }

// Stop stops the service and returns when it has ended.
func (m Manager) Stop(ctx context.Context) error { return m.systemctl(ctx, "stop", unitName) }

// Status says how the service is.
func (m Manager) Status(ctx context.Context) (State, error) {
	if err := m.here(); err != nil {
		return State{}, err
	}
	said, err := m.command(ctx, "systemctl", "show", "--property=LoadState,ActiveState,SubState,UnitFileState,Result,StatusText", unitName)
	if err != nil {
		return State{}, failed("systemctl show", said, err)
	}
	is := map[string]string{}
	for line := range strings.Lines(said) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			is[k] = v
		}
	}
	st := State{
		Installed: is["LoadState"] == "loaded",
		Running:   is["ActiveState"] == "active" || is["ActiveState"] == "reloading" || is["ActiveState"] == "activating",
		Enabled:   strings.HasPrefix(is["UnitFileState"], "enabled"),
	}
	if st.Installed {
		st.Detail = is["ActiveState"] + " (" + is["SubState"] + ")"
		if r := is["Result"]; r != "" && r != "success" {
			st.Detail += ", " + r
		}
		if t := is["StatusText"]; t != "" {
			st.Detail += ": " + t
		}
	}
	return st, nil
}

// Run runs fn. systemd needs nothing more: it starts a program in the foreground,
// ends it by a signal, and hears from it by package sdnotify.
func Run(ctx context.Context, fn func(ctx context.Context, ready func()) error) error {
	return fn(ctx, func() {})
}
