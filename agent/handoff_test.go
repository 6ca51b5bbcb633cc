package agent_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/api/handoff"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/wire"
)

// unfetched is a file that was handed over long ago.
const unfetched = "20260102T030405Z-0198d7a0-0000-7000-8000-000000000001.json"

// handedOver waits until a folder has a file of a visit, beside what else may be in
// it, and returns what is in it at the first sight.
func handedOver(t *testing.T, dir, visit string) (string, []byte) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		for _, name := range files(t, dir) {
			if strings.Contains(name, visit) {
				return name, read(t, filepath.Join(dir, name))
			}
		}
		if time.Now().After(end) {
			t.Fatalf("not handed over: %q", files(t, dir))
		}
	}
}

// TestDaemonHandsOver checks somebody in with a hospital system that only looks into
// a folder.
func TestDaemonHandsOver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		format string
		shared bool
		mode   os.FileMode
	}{{handoff.JSON, false, 0o600}, {handoff.XML, true, 0o640}} {
		t.Run(tt.format, func(t *testing.T) {
			t.Parallel()
			dir, folder := t.TempDir(), filepath.Join(t.TempDir(), "handoff")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			old := filepath.Join(folder, unfetched)
			if err := os.WriteFile(old, []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, "notes.json"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			past := time.Now().Add(-25 * time.Hour)
			for _, name := range []string{unfetched, "notes.json"} {
				if err := os.Chtimes(filepath.Join(folder, name), past, past); err != nil {
					t.Fatal(err)
				}
			}
			cfg := daemonConfig(t, dir, nil)
			cfg.Handoff = handoff.Config{Dir: folder, Format: tt.format, Shared: tt.shared, Keep: 24 * time.Hour}
			_, desk, stop := startDaemon(t, cfg)
			if _, err := desk.SignIn(t.Context(), wire.SignIn{Name: "lan"}); err != nil {
				t.Fatal(err)
			}
			c := checkIn(t, desk)
			name, b := handedOver(t, folder, c.Visit)
			if !regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-` + c.Visit + `\.` + tt.format + `$`).MatchString(name) {
				t.Errorf("it is called %q", name)
			}
			if info, err := os.Lstat(filepath.Join(folder, name)); err != nil || runtime.GOOS != "windows" && info.Mode() != tt.mode {
				t.Errorf("mode %v, %v; want %v", info.Mode(), err, tt.mode)
			}
			if tt.format == handoff.XML {
				want, err := desk.Record(t.Context(), c.ID)
				if err != nil || !bytes.Equal(b, want) {
					t.Errorf("not the record that the API gives: %d and %d bytes, %v", len(b), len(want), err)
				}
			} else {
				var got wire.CheckIn
				if err := json.Unmarshal(b, &got); err != nil {
					t.Fatal(err)
				}
				if got.ID != c.ID || got.State != wire.StateRecorded || got.Visit != c.Visit || got.Person == nil || got.Person.Name != c.Person.Name || !got.Person.Verified {
					t.Errorf("handed over %+v", got)
				}
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			// What nobody fetched is gone, what is not ours is not, and nothing half.
			if got := files(t, folder); len(got) != 2 || got[0] != name || got[1] != "notes.json" {
				t.Errorf("in the folder: %q", got)
			}
			_, trail, s, err := agent.OpenTrail(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			entries, err := trail.List(t.Context(), 0, 1000)
			if err != nil {
				t.Fatal(err)
			}
			said := 0
			for _, e := range entries {
				if e.Action == audit.VisitExported && e.Actor == "lan" && e.Object == c.Visit && e.Note == "handoff "+tt.format {
					said++
				}
			}
			if said != 1 {
				t.Errorf("the trail says so %d times: %+v", said, entries)
			}
		})
	}
}

// TestDaemonHandoffFolder: a folder that is not there keeps nobody from being checked
// in, and is used once it is; one that is open to everybody is refused.
func TestDaemonHandoffFolder(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "handoff")
	cfg := daemonConfig(t, t.TempDir(), nil)
	cfg.Handoff = handoff.Config{Dir: folder, Format: handoff.JSON}
	_, desk, _ := startDaemon(t, cfg)
	checkIn(t, desk)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	handedOver(t, folder, checkIn(t, desk).Visit)
	if runtime.GOOS == "windows" {
		return // the folder's permissions are the system's
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	cfg = daemonConfig(t, t.TempDir(), nil)
	cfg.Handoff = handoff.Config{Dir: folder, Format: handoff.JSON}
	if _, err := agent.OpenDaemon(t.Context(), cfg); !errors.Is(err, handoff.ErrExposed) {
		t.Errorf("a folder that is open to everybody: %v", err)
	}
}
