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
	"slices"
	"strconv"
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
	// dropIn says where the service may write besides the unit's directories.
	dropIn = "etc/systemd/system/" + unitName + ".d/50-directories.conf"
	// serialGroup owns serial ports, where there is such a group.
	serialGroup = "dialout"
)

// Manager is systemd. The zero value is that of this computer.
type Manager struct {
	root  string // "/" but in tests
	run   func(ctx context.Context, name string, args ...string) (string, error)
	user  func(name string) error
	group func(name string) error
	own   func(dir string) error // gives a directory to the account
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
	more, err := dropInFor(i)
	if err != nil {
		return err
	}
	if err := m.makeAccount(ctx, i.DeskGroup); err != nil {
		return err
	}
	if err := m.makeDirs(i); err != nil {
		return err
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
	if more != "" {
		if err := os.MkdirAll(filepath.Dir(m.path(dropIn)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(m.path(dropIn), []byte(more), 0o644); err != nil {
			return err
		}
	} else if err := m.removeDropIn(); err != nil {
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

// makeAccount makes the account and the group of the desk's users, where they are
// missing, and has the account be in it and in that of the serial ports.
func (m Manager) makeAccount(ctx context.Context, deskGroup string) error {
	haveUser, haveGroup := m.user, m.group
	if haveUser == nil {
		haveUser = func(name string) error { _, err := user.Lookup(name); return err }
	}
	if haveGroup == nil {
		haveGroup = func(name string) error { _, err := user.LookupGroup(name); return err }
	}
	if haveUser(account) != nil {
		if said, err := m.command(ctx, "useradd", "--system", "--user-group", "--home-dir", "/var/lib/chamthe", "--no-create-home", "--shell", "/usr/sbin/nologin", account); err != nil {
			return failed("useradd", said, err)
		}
	}
	var groups []string
	if haveGroup(serialGroup) == nil {
		groups = append(groups, serialGroup)
	}
	if deskGroup != "" {
		if haveGroup(deskGroup) != nil {
			if said, err := m.command(ctx, "groupadd", "--system", deskGroup); err != nil {
				return failed("groupadd", said, err)
			}
		}
		groups = append(groups, deskGroup)
	}
	if len(groups) == 0 {
		return nil
	}
	if said, err := m.command(ctx, "usermod", "--append", "--groups", strings.Join(groups, ","), account); err != nil {
		return failed("usermod", said, err)
	}
	return nil
}

// ownDirs are those that systemd makes by itself.
var ownDirs = []string{"/var/lib/chamthe", "/var/log/chamthe", "/run/chamthe"}

// within reports whether a directory is one of others or lies below one.
func within(dir string, others ...string) bool {
	for _, o := range others {
		if dir = filepath.Clean(dir); dir == o || strings.HasPrefix(dir, o+"/") {
			return true
		}
	}
	return false
}

// makeDirs makes what systemd does not, for the account. One in which there is
// something belongs to whom it belongs to.
func (m Manager) makeDirs(i Install) error {
	own := m.own
	if own == nil {
		own = giveAway
	}
	prepare := func(dir string, mode fs.FileMode) error {
		if within(dir, ownDirs...) {
			return nil
		}
		dir = m.path(dir)
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return err
		}
		if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if there, err := os.ReadDir(dir); err != nil || len(there) > 0 {
			return err
		}
		return own(dir)
	}
	for _, dir := range i.Dirs {
		if err := prepare(dir, 0o700); err != nil {
			return err
		}
	}
	if i.DeskDir == "" {
		return nil
	}
	return prepare(i.DeskDir, 0o755)
}

// giveAway gives a directory to the account.
func giveAway(dir string) error {
	u, err := user.Lookup(account)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return os.Lchown(dir, uid, gid)
}

// dropInFor lets the service write where the unit does not let it; empty if it need
// not.
func dropInFor(i Install) (string, error) {
	var more []string
	for _, dir := range append(append(slices.Clone(i.Dirs), i.DeskDir), i.Shared...) {
		switch {
		case dir == "" || within(dir, ownDirs...):
			continue
		case strings.ContainsAny(dir, " \"'\\%$;\n\t") || !filepath.IsAbs(dir):
			return "", errors.New("service: a directory with a blank or a special character cannot be installed")
		case within(dir, "/home", "/root", "/run/user", "/tmp", "/var/tmp"):
			return "", errors.New("service: the service does not see /home, /root and /tmp of others (ProtectHome, PrivateTmp): use another directory")
		}
		if !slices.Contains(more, filepath.Clean(dir)) {
			more = append(more, filepath.Clean(dir))
		}
	}
	if len(more) == 0 {
		return "", nil
	}
	// A directory that is not there then is the agent's to report: systemd's words for
	// it help nobody.
	return "# Directories of the configuration; written by \"chamthe service install\".\n[Unit]\nRequiresMountsFor=" + strings.Join(more, " ") +
		"\n\n[Service]\nReadWritePaths=-" + strings.Join(more, " -") + "\n", nil
}

func (m Manager) removeDropIn() error {
	if err := os.Remove(m.path(dropIn)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// An administrator may have others beside it.
	_ = os.Remove(filepath.Dir(m.path(dropIn)))
	return nil
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
	if err := m.removeDropIn(); err != nil {
		return err
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
