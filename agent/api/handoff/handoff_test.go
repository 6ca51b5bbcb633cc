package handoff_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/api/handoff"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/event"
	"github.com/chamthe/chamthe/agent/wire"
)

func recorded(n int) wire.CheckIn {
	return wire.CheckIn{
		ID: fmt.Sprintf("c%d", n), State: wire.StateRecorded, Visit: fmt.Sprintf("0198d7a0-0000-7000-8000-%012d", n),
		Person: &wire.Person{Verified: true, Name: "TRẦN THỊ MẪU", Number: "001190000001"},
	}
}

func folder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "handoff")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t *testing.T, cfg handoff.Config) *handoff.Folder {
	t.Helper()
	f, err := handoff.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestPut(t *testing.T) {
	for _, tt := range []struct {
		format string
		shared bool
		mode   os.FileMode
	}{{handoff.JSON, false, 0o600}, {handoff.XML, true, 0o640}} {
		t.Run(tt.format, func(t *testing.T) {
			dir := folder(t)
			var trail []audit.Entry
			f := open(t, handoff.Config{
				Dir: dir, Format: tt.format, Shared: tt.shared,
				Record: func(_ context.Context, id string) ([]byte, error) { return []byte("<" + id + "/>"), nil },
				Audit:  func(_ context.Context, e ...audit.Entry) error { trail = append(trail, e...); return nil },
				Actor:  func() string { return "lan" },
			})
			name, err := f.Put(t.Context(), recorded(1))
			if err != nil {
				t.Fatal(err)
			}
			if got := names(t, dir); len(got) != 1 || got[0] != name || !strings.HasSuffix(name, "-0198d7a0-0000-7000-8000-000000000001."+tt.format) {
				t.Errorf("files %q", got)
			}
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if tt.format == handoff.JSON {
				var c wire.CheckIn
				if err := json.Unmarshal(b, &c); err != nil || c.Person.Name != "TRẦN THỊ MẪU" {
					t.Errorf("%v", err)
				}
			} else if string(b) != "<c1/>" {
				t.Errorf("record %q", b)
			}
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || (runtime.GOOS != "windows" && info.Mode().Perm() != tt.mode) {
				t.Errorf("mode %v: %v", info.Mode(), err)
			}
			if len(trail) != 1 || trail[0].Actor != "lan" || trail[0].Action != audit.VisitExported || trail[0].Object != recorded(1).Visit {
				t.Errorf("trail %+v", trail)
			}
			// Fetched; its delivery goes on, and it does not come again.
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if again, err := f.Put(t.Context(), recorded(1)); again != "" || err != nil || len(names(t, dir)) != 0 {
				t.Errorf("again: %q, %v", again, err)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	dir := folder(t)
	full := errors.New("disk full")
	f := open(t, handoff.Config{Dir: dir, Format: handoff.JSON, Audit: func(context.Context, ...audit.Entry) error { return full }})
	if _, err := f.Put(t.Context(), recorded(1)); !errors.Is(err, full) {
		t.Errorf("without a word in the trail: %v", err)
	}
	f = open(t, handoff.Config{Dir: dir, Format: handoff.JSON})
	for name, c := range map[string]wire.CheckIn{
		"not recorded":          {ID: "a", State: wire.StateConfirm, Visit: recorded(1).Visit},
		"a visit that is a way": {ID: "b", State: wire.StateRecorded, Visit: "../../etc/passwd"},
	} {
		if _, err := f.Put(t.Context(), c); !errors.Is(err, handoff.ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("files %q", got)
	}
	link := dir + "-link"
	if err := os.Symlink(dir, link); err == nil {
		if _, err := handoff.Open(handoff.Config{Dir: link, Format: handoff.JSON}); !errors.Is(err, handoff.ErrConfig) {
			t.Errorf("a link: %v", err)
		}
	}
	for name, cfg := range map[string]handoff.Config{
		"relative": {Dir: "x", Format: handoff.JSON}, "format": {Dir: dir, Format: "csv"}, "no record": {Dir: dir, Format: handoff.XML},
		"negative": {Dir: dir, Format: handoff.JSON, Max: -1},
	} {
		if _, err := handoff.Open(cfg); !errors.Is(err, handoff.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Put(t.Context(), recorded(2)); !errors.Is(err, handoff.ErrExposed) {
			t.Errorf("open to everybody: %v", err)
		}
	}
}

func TestSweep(t *testing.T) {
	dir := folder(t)
	now := time.Now()
	f := open(t, handoff.Config{Dir: dir, Format: handoff.JSON, Max: 3, Keep: time.Hour, Now: func() time.Time { return now }})
	foreign := filepath.Join(dir, "report.json")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		if _, err := f.Put(t.Context(), recorded(n)); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	got := names(t, dir)
	if len(got) != 4 || !strings.HasSuffix(got[0], "0002.json") || !strings.HasSuffix(got[2], "0004.json") {
		t.Errorf("with room for three: %q", got)
	}
	part := filepath.Join(dir, ".chamthe-part-1")
	if err := os.WriteFile(part, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if err := f.Sweep(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 1 || got[0] != "report.json" {
		t.Errorf("after two hours: %q", got)
	}
}

// TestRun records on a bus.
func TestRun(t *testing.T) {
	dir, bus := folder(t), event.New()
	f := open(t, handoff.Config{Dir: dir, Format: handoff.JSON})
	events := bus.Subscribe(event.Desk, 0)
	defer events.Close()
	publish := func(n int, state, audience string) {
		c := recorded(n)
		c.State = state
		bus.Publish(wire.Event{Type: wire.EventCheckIn, CheckIn: &c}, audience)
	}
	publish(1, wire.StateConfirm, event.Desk)
	publish(2, wire.StateRecorded, "https://his.example")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx, events) }()
	for end := time.Now().Add(time.Minute); len(names(t, dir)) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing was handed over")
		}
	}
	// What is recorded before the end is handed over, whenever Run gets to it.
	publish(2, wire.StateRecorded, event.Desk) // its delivery goes on
	publish(3, wire.StateRecorded, event.Desk)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := strings.Join(names(t, dir), " "); strings.Count(got, " ") != 1 || !strings.Contains(got, "0002.json") || !strings.Contains(got, "0003.json") {
		t.Errorf("files %q", got)
	}
	bus.Close()
	if err := f.Run(t.Context(), events); !errors.Is(err, event.ErrClosed) {
		t.Errorf("on a closed bus: %v", err)
	}
}
