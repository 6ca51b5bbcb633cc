package logging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chamthe/chamthe/agent/internal/logging"
)

// TestFullDisk fills a small disk and frees it again. It needs the right to mount
// one; the limit on the size of files, which nobody has to be allowed, stands in for
// it elsewhere.
func TestFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	f, err := logging.Open(dir, 1<<20, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := []byte(strings.Repeat("a", 999) + "\n")
	for range 100 {
		if n, err := f.Write(line); n != len(line) || err != nil {
			t.Fatalf("Write = %d, %v: a full disk must stop nobody", n, err)
		}
	}
	if f.Lost() == 0 {
		t.Fatal("the disk was not full")
	}
	for _, l := range lines(t, dir) {
		if len(l) != 999 {
			t.Fatalf("a torn line of %d bytes", len(l))
		}
	}
	if err := os.Truncate(filepath.Join(dir, logging.FileName), 0); err != nil { // somebody frees space
		t.Fatal(err)
	}
	if _, err := f.Write(line); err != nil {
		t.Fatal(err)
	}
	got := lines(t, dir)
	if len(got) != 2 || !strings.Contains(got[0], "lines of the log are lost") || len(got[1]) != 999 {
		t.Errorf("%d lines after the disk had room again", len(got))
	}
}

// TestFullForOthers does the same in a process that may not write large files.
func TestFullForOthers(t *testing.T) {
	const variable = "CHAMTHE_TEST_SMALL"
	if dir := os.Getenv(variable); dir != "" {
		f, err := logging.Open(dir, 1<<20, 1)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := f.Write([]byte(strings.Repeat("a", 999) + "\n")); err != nil {
				t.Fatal(err)
			}
		}
		if f.Lost() == 0 {
			t.Error("nothing was lost")
		}
		return
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// In blocks of 512 bytes or of 1024, as the shell counts.
	c := exec.Command("/bin/sh", "-c", `trap '' XFSZ; ulimit -f 20; exec "$0" -test.run '^TestFullForOthers$'`, self)
	c.Env = append(os.Environ(), variable+"="+dir)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, l := range lines(t, dir) {
		if len(l) != 999 && !strings.Contains(l, "lines of the log are lost") {
			t.Fatalf("a torn line of %d bytes", len(l))
		}
	}
}
