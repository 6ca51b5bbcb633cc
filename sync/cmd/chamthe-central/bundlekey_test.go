package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/sync/bundle"
)

// TestRollBundleKey: each roll leaves a new key and a statement that leads to it, the
// old key is gone, and what was interrupted is finished by the next.
func TestRollBundleKey(t *testing.T) {
	dir, _ := newDeployment(t)
	read := func() (key string, rolls []bundle.Roll) {
		t.Helper()
		d, err := readDeployment(dir)
		if err != nil {
			t.Fatal(err)
		}
		if key, err = d.bundle.PublicKey(); err != nil {
			t.Fatal(err)
		}
		for _, s := range d.rolls {
			r, err := bundle.OpenRoll(s)
			if err != nil {
				t.Fatal(err)
			}
			rolls = append(rolls, r)
		}
		return key, rolls
	}
	seed := func() string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, bundleSeed))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first, rolls := read()
	if len(rolls) != 0 {
		t.Errorf("%d statements in a new deployment", len(rolls))
	}
	old := seed()
	out := mustRun(t, "bundle-key", "roll", "--dir", dir)
	second, rolls := read()
	if len(rolls) != 1 || rolls[0].From != first || rolls[0].To != second || second == first || !strings.Contains(out, second) {
		t.Errorf("%s to %s: %+v, %s", first, second, rolls, out)
	}
	path := filepath.Join(dir, bundleSeed)
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	// Killed before the new key had its place, and before there was a statement.
	for name, undo := range map[string]func(){
		"before the last step": func() {},
		"before the statement": func() {
			if err := os.Remove(filepath.Join(dir, rollsFile)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if err := os.Rename(path, filepath.Join(dir, nextBundle)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		undo()
		mustRun(t, "bundle-key", "roll", "--dir", dir)
		if key, rolls := read(); key != second || len(rolls) != 1 || rolls[0].From != first || rolls[0].To != second {
			t.Errorf("%s: %s, %+v", name, key, rolls)
		}
	}
	mustRun(t, "bundle-key", "roll", "--dir", dir)
	third, rolls := read()
	if len(rolls) != 2 || rolls[1].From != second || rolls[1].To != third {
		t.Errorf("%+v", rolls)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "keys", "*next*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	f := prepare(t, newKey(t))
	start(t, "serve", "--trust", f.trust, "--dir", dir)

	if err := os.WriteFile(filepath.Join(dir, rollsFile), []byte("rubbish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, bad, status := command(t, "serve", "--trust", f.trust, "--dir", dir); status != 1 || !strings.Contains(bad, rollsFile) {
		t.Errorf("rubbish: exit status %d, %s", status, bad)
	}
}
