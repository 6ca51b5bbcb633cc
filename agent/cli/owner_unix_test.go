//go:build !windows

package cli_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chamthe/chamthe/sync/contract"
)

// nobody is an account that owns nothing else.
const nobody = 65534

// givenAway gives a data directory with all in it to another account.
func givenAway(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	// The test's own directory is above it.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// owners looks for files that are not of the directory's owner.
func owners(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if s := info.Sys().(*syscall.Stat_t); s.Uid != nobody || s.Gid != nobody {
			t.Errorf("%s belongs to %d:%d", d.Name(), s.Uid, s.Gid)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRootWorksAsTheOwner has root work in the data directory of the service.
func TestRootWorksAsTheOwner(t *testing.T) {
	t.Parallel()
	dir := waiting(t)
	givenAway(t, dir)
	code, err := contract.NewEnrolCode(strings.NewReader("nobody has made this"))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"key", "rotate", "--data", dir},
		{"queue", "list", "--data", dir},
		// Nobody answers, but the key of the computer is made.
		{"enrol", "--data", filepath.Join(dir, "new"), "--server", "tls://127.0.0.1:1", "--ca-sha256", strings.Repeat("ab", 32), "--code", code.Text()},
	} {
		if args[0] == "enrol" {
			if err := os.Mkdir(args[2], 0o700); err != nil {
				t.Fatal(err)
			}
			givenAway(t, dir)
		}
		p := program(t, args...)
		if exit := p.end(); exit != 0 && args[0] != "enrol" {
			t.Errorf("%v: exit status %d\n%s", args, exit, p.stderr.String())
		}
		owners(t, dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "new", "agent.nk")); err != nil {
		t.Errorf("enrol has made nothing: %v", err)
	}
	list := program(t, "audit", "list", "--data", dir)
	if exit := list.end(); exit != 0 || !strings.Contains(list.stdout.String(), "root") {
		t.Errorf("the trail does not say who it was: exit status %d\n%s", exit, list.stdout.String())
	}
}

// TestRootRunsNotAsTheOwner refuses to be the service by hand: its logs and its token
// would be root's.
func TestRootRunsNotAsTheOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	givenAway(t, dir)
	p := program(t, "run", "--config", configIn(t, ""), "--data", dir, "--port", "0")
	if exit := p.end(); exit != 1 || !strings.Contains(p.stderr.String(), "data.dir: ") || !strings.Contains(p.stderr.String(), "runuser -u nobody -- chamthe run") {
		t.Errorf("exit status %d\n%s", exit, p.stderr.String())
	}
	owners(t, dir)
}
