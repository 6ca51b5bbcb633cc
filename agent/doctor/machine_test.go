package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/agent/wire"
)

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name  string
		dir   string
		free  uint64
		err   error
		level string
	}{
		{"room", dir, 100 << 30, nil, wire.LevelOK},
		{"little room", dir, 500 << 20, nil, wire.LevelWarning},
		{"no room", dir, 10 << 20, nil, wire.LevelError},
		{"room unknown", dir, 0, errors.New("doctor: test"), wire.LevelOK},
		{"no directory", filepath.Join(dir, "not"), 100 << 30, nil, wire.LevelError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := find(t, disk(tt.dir, func(string) (uint64, error) { return tt.free, tt.err }))[0]
			// A disk that is slow just now is a warning, and no business of this test.
			if f.Level != tt.level && !(tt.level == wire.LevelOK && strings.Contains(f.What, "One write takes")) {
				t.Errorf("finding %+v", f)
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".doctor-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if n, err := free(dir); err != nil || n == 0 {
		t.Errorf("free = %d, %v", n, err)
	}
}

func TestFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file("target", 0o600), link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		path  Path
		level string
	}{
		{"secret", Path{Name: file("a", 0o600), Secret: true}, wire.LevelOK},
		{"secret, read by others", Path{Name: file("b", 0o644), Secret: true}, wire.LevelError},
		{"secret, read by its group", Path{Name: file("c", 0o640), Secret: true}, wire.LevelError},
		{"secret of a group", Path{Name: file("d", 0o640), Secret: true, Group: true}, wire.LevelOK},
		{"open", Path{Name: file("e", 0o644)}, wire.LevelOK},
		{"open to be written", Path{Name: file("f", 0o666)}, wire.LevelError},
		{"a link", Path{Name: link}, wire.LevelWarning},
		{"not there", Path{Name: filepath.Join(dir, "g"), Secret: true}, wire.LevelOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if f := find(t, Files(tt.path))[0]; f.Level != tt.level {
				t.Errorf("finding %+v", f)
			}
		})
	}
	mine := file("mine", 0o600)
	want := wire.LevelError
	if os.Geteuid() == 0 {
		want = wire.LevelOK
	}
	if f := find(t, Files(Path{Name: mine, With: dir}))[0]; f.Level != wire.LevelOK {
		t.Errorf("of the directory's owner: %+v", f)
	}
	if os.Geteuid() == 0 {
		theirs := file("theirs", 0o600)
		if err := os.Chown(theirs, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if f := find(t, Files(Path{Name: theirs, Secret: true, With: dir}))[0]; f.Level != wire.LevelError || !strings.Contains(f.Remedy, "chown") {
			t.Errorf("of another account: %+v", f)
		}
	}
	if f := find(t, Files(Path{Name: mine, Root: true}))[0]; f.Level != want {
		t.Errorf("of root: %+v", f)
	}
}

func TestPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	freed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := freed.Addr().String()
	if err := freed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, address string
		healthy       error
		level         string
	}{
		{"an agent", taken.Addr().String(), nil, wire.LevelOK},
		{"another program", taken.Addr().String(), errTest, wire.LevelError},
		{"nobody", free, errTest, wire.LevelError},
		{"no address", "256.0.0.1:99999", errTest, wire.LevelError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if f := find(t, Port(tt.address, func(context.Context) error { return tt.healthy }))[0]; f.Level != tt.level {
				t.Errorf("finding %+v", f)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	if f := find(t, Config("c.yaml", func() error { return nil }))[0]; f.Level != wire.LevelOK {
		t.Errorf("finding %+v", f)
	}
	f := find(t, Config("c.yaml", func() error { return fmt.Errorf("c.yaml:3: api.port: not a port") }))[0]
	if f.Level != wire.LevelError || !strings.Contains(f.What, "c.yaml:3") {
		t.Errorf("finding %+v", f)
	}
}
