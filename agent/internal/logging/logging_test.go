package logging_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/agent/internal/logging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines returns every line of a directory of logs, the oldest first.
func lines(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, logging.FileName+"*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files) // .log, .log.1, .log.2, ...: fewer than ten
	slices.Reverse(files)
	var all []string
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		s := bufio.NewScanner(f)
		for s.Scan() {
			all = append(all, s.Text())
		}
		if err := errors.Join(s.Err(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestRotation has eight goroutines write while files turn over: every line is there,
// whole, once and in the order of its writer.
func TestRotation(t *testing.T) {
	const writers, each, size, keep = 8, 500, 64 << 10, 9
	dir := t.TempDir()
	f, err := logging.Open(dir, size, keep)
	if err != nil {
		t.Fatal(err)
	}
	log := logging.New("info", f)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				log.Info("line", "writer", w, "number", i)
			}
		})
	}
	all.Wait()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	next := make([]int, writers)
	got := lines(t, dir)
	for _, line := range got {
		var l struct{ Writer, Number int }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("torn line %q", line)
		}
		if l.Number != next[l.Writer] {
			t.Fatalf("writer %d: line %d, want %d", l.Writer, l.Number, next[l.Writer])
		}
		next[l.Writer]++
	}
	if len(got) != writers*each || f.Lost() != 0 {
		t.Errorf("%d lines, %d lost, want %d", len(got), f.Lost(), writers*each)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files (%v): nothing turned over", len(files), err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil || info.Size() > size || runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %d bytes, mode %v, %v", file.Name(), info.Size(), info.Mode(), err)
		}
	}
}

// TestBounds writes far more than is kept: the newest lines stay, and no more files
// than were asked for.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	for range 3 { // a process after the other
		f, err := logging.Open(dir, 1000, 2)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			fmt.Fprintf(f, "%099d\n", i)
		}
		if _, err := f.Write([]byte(strings.Repeat("x", 5000) + "\n")); err != nil { // larger than a file
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("late\n")); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Write after Close = %v", err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Errorf("%d files, want 3: %v", len(files), err)
	}
	got := lines(t, dir)
	if last := got[len(got)-1]; last != strings.Repeat("x", 5000) || got[len(got)-2] != fmt.Sprintf("%099d", 99) {
		t.Errorf("the newest line is missing")
	}
}

// TestTornByPowerFailure begins a new line behind half of one.
func TestTornByPowerFailure(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, logging.FileName), []byte("whole\nhal"), 0o640); err != nil {
		t.Fatal(err)
	}
	f, err := logging.Open(dir, 1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("next\n")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, dir); !slices.Equal(got, []string{"whole", "hal", "next"}) {
		t.Errorf("lines %q", got)
	}
}

// TestDirectoryComesBack loses lines while there is no directory, and counts them.
func TestDirectoryComesBack(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a directory with an open file cannot be taken away there")
	}
	dir := filepath.Join(t.TempDir(), "log")
	f, err := logging.Open(dir, 100, 1)
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("a", 80) + "\n")
	write := func() {
		t.Helper()
		if n, err := f.Write(line); n != len(line) || err != nil {
			t.Errorf("Write = %d, %v: a log must stop nobody", n, err)
		}
	}
	write()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		write() // the first turns over and finds nothing
	}
	if f.Lost() != 5 {
		t.Errorf("%d lines lost, want 5", f.Lost())
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	logging.RetryNow(f)
	write()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(lines(t, dir), "\n")
	if !strings.Contains(got, `"lines of the log are lost","lines":5}`) || !strings.HasSuffix(got, "aaa") {
		t.Errorf("log: %s", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := logging.Open(file, 1, 1); err == nil {
		t.Error("a file was taken for a directory")
	}
	if _, err := logging.Open(t.TempDir(), 0, 1); err == nil {
		t.Error("no size was taken")
	}
	if _, err := logging.Open(t.TempDir(), 1, 0); err == nil {
		t.Error("no number was taken")
	}
}

func TestLevels(t *testing.T) {
	for level, want := range map[string]int{"debug": 4, "info": 3, "warn": 2, "error": 1, "": 3, "?": 3} {
		var a, b bytes.Buffer
		log := logging.New(level, &a, &b).With("x", 1).WithGroup("g")
		log.Debug("d", "k", 1)
		log.Info("i")
		log.Warn("w")
		log.Error("e")
		if got := strings.Count(a.String(), "\n"); got != want || a.String() != b.String() || !strings.Contains(a.String(), `"x":1`) {
			t.Errorf("%q: %d lines, want %d in both:\n%s%s", level, got, want, &a, &b)
		}
	}
	logging.New("debug").Error("nobody hears this")
}
