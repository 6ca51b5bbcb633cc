package agent_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/sync/contract"
)

const identityFile = "agent.nk"

func TestIdentity(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "desk")
	key, err := agent.Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if contract.CheckAgent(key) != nil {
		t.Errorf("key %q", key)
	}
	file := filepath.Join(dir, identityFile)
	seed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]os.FileMode{file: 0o600, dir: 0o700} {
			if fi, err := os.Stat(name); err != nil || fi.Mode().Perm() != want {
				t.Errorf("%s: mode %v, %v; want %v", name, fi.Mode(), err, want)
			}
		}
	}
	again, err := agent.Identity(dir)
	if err != nil || again != key {
		t.Errorf("the second time: %s, %v", again, err)
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, seed) {
		t.Errorf("the file was changed: %v", err)
	}
	a := open(t, dir)
	if a.Key() != key {
		t.Errorf("the agent is %s", a.Key())
	}
	// Nothing that holds the agent's identity prints the seed.
	desk, err := a.Desk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{a, desk, desk.Signer} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if strings.Contains(fmt.Sprintf(format, v), string(bytes.TrimSpace(seed))) {
				t.Errorf("%s of %T prints the seed", format, v)
			}
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("agent", "value", v)
		if strings.Contains(log.String(), string(bytes.TrimSpace(seed))) {
			t.Errorf("the log of %T holds the seed", v)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("a temporary file is left: %s", e.Name())
		}
	}
}

// TestIdentityFile: a file that is not what we wrote is refused, and stays as
// it is.
func TestIdentityFile(t *testing.T) {
	t.Parallel()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountSeed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		content []byte
		mode    os.FileMode
		good    bool
	}{
		{"seed", seed, 0o600, true},
		{"seed with line end", append(bytes.Clone(seed), "\r\n"...), 0o600, true},
		{"read-only", seed, 0o400, true},
		{"readable by the group", seed, 0o640, false},
		{"readable by others", seed, 0o604, false},
		{"writable by others", seed, 0o602, false},
		{"empty", nil, 0o600, false},
		{"garbage", []byte("SUgarbage"), 0o600, false},
		{"public key", []byte(public), 0o600, false},
		{"seed of an account", accountSeed, 0o600, false},
		{"cut", seed[:50], 0o600, false},
		{"two seeds", append(append(bytes.Clone(seed), '\n'), seed...), 0o600, false},
		{"large", append(bytes.Clone(seed), bytes.Repeat([]byte(" "), 4096)...), 0o600, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && tt.mode&0o077 != 0 {
				t.Skip("Windows has no such modes")
			}
			dir := t.TempDir()
			file := filepath.Join(dir, identityFile)
			if err := os.WriteFile(file, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, tt.mode); err != nil {
				t.Fatal(err)
			}
			key, err := agent.Identity(dir)
			if tt.good && (err != nil || key != public) || !tt.good && (!errors.Is(err, agent.ErrIdentity) || key != "") {
				t.Errorf("got %q, %v", key, err)
			}
			if err != nil && strings.Contains(err.Error(), string(seed)) {
				t.Error("the error holds the seed")
			}
			if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, tt.content) {
				t.Errorf("the file was changed: %v", err)
			}
			if tt.good {
				if a := open(t, dir); a.Key() != public {
					t.Errorf("the agent is %s", a.Key())
				}
			} else if _, err := agent.Open(config(dir)); !errors.Is(err, agent.ErrIdentity) {
				t.Errorf("Open: %v", err)
			}
		})
	}
	t.Run("link", func(t *testing.T) {
		dir := t.TempDir()
		target := filepath.Join(t.TempDir(), "seed")
		if err := os.WriteFile(target, seed, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, identityFile)); err != nil {
			t.Skip("this system makes no links:", err)
		}
		if _, err := agent.Identity(dir); !errors.Is(err, agent.ErrIdentity) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("link to nothing", func(t *testing.T) {
		dir := t.TempDir()
		target := filepath.Join(t.TempDir(), "seed")
		if err := os.Symlink(target, filepath.Join(dir, identityFile)); err != nil {
			t.Skip("this system makes no links:", err)
		}
		if _, err := agent.Identity(dir); !errors.Is(err, agent.ErrIdentity) {
			t.Errorf("got %v", err)
		}
		if _, err := os.Lstat(target); err == nil {
			t.Error("a key was written where the link points")
		}
	})
	t.Run("directory", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, identityFile), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := agent.Identity(dir); !errors.Is(err, agent.ErrIdentity) {
			t.Errorf("got %v", err)
		}
	})
}

// TestIdentityRace starts several processes in one new directory: they agree
// on one key.
func TestIdentityRace(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		dir := t.TempDir()
		var running []*exec.Cmd
		var outs []*bufio.Reader
		var start []func() error
		for range 4 {
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = append(os.Environ(), roleVariable+"=identity", dirVariable+"="+dir)
			cmd.Stderr = os.Stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			running, outs, start = append(running, cmd), append(outs, bufio.NewReader(out)), append(start, in.Close)
		}
		for _, out := range outs {
			if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
				t.Fatalf("got %q, %v", line, err)
			}
		}
		for _, begin := range start {
			if err := begin(); err != nil {
				t.Fatal(err)
			}
		}
		keys := map[string]bool{}
		for i, out := range outs {
			line, err := out.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "U") {
				t.Errorf("got %q, %v", line, err)
			}
			keys[line] = true
			if err := running[i].Wait(); err != nil {
				t.Error(err)
			}
		}
		if len(keys) != 1 {
			t.Errorf("the processes have %d identities", len(keys))
		}
	}
}
