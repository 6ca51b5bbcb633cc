package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/sync/outbox"
)

// exported counts the visits that the trail of a directory says have left.
func exported(t *testing.T, dir string) int {
	t.Helper()
	got := command(t, "audit", "list", "--json", "--data", dir)
	got.succeeded(t)
	return strings.Count(got.stdout, `"`+string(audit.VisitExported)+`"`)
}

// TestExportFails: an export that cannot be written takes nothing out of the store,
// and one that fails leaves no part of itself behind.
func TestExportFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "desk")
	command(t, "demo", "--json", "--data", dir).succeeded(t)
	before := exported(t, dir)

	out := t.TempDir()
	command(t, "queue", "export", "--data", dir, "--out", filepath.Join(out, "missing", "visits.jsonl")).failed(t, fault.Usage)
	if n := exported(t, dir); n != before {
		t.Errorf("%d visits are noted as exported to a file that cannot be", n-before)
	}

	file := filepath.Join(out, "visits.jsonl")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	listed := command(t, "queue", "export", "--data", dir, "--out", "-")
	visit := one[wire.ExportedVisit](t, listed.stdout).ID
	command(t, "queue", "export", "--data", dir, "--out", file, visit, "01890a5d-ac96-774b-bcce-b302099a8057").failed(t, fault.Usage)
	if got := string(contents(t, file)); got != "old" {
		t.Errorf("the file was replaced by %d bytes", len(got))
	}
	names, err := os.ReadDir(out)
	if err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// watched is a writer that knows the trail: what is written must stand there.
type watched struct {
	t       *testing.T
	log     *audit.Log
	longest int
	lines   int
	unknown int
}

func (w *watched) Write(p []byte) (int, error) {
	w.longest = max(w.longest, len(p))
	known := make(map[string]bool)
	for after := uint64(0); ; {
		page, err := w.log.List(w.t.Context(), after, 500)
		if err != nil {
			w.t.Error(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			after = e.Seq
			if e.Action == audit.VisitExported {
				known[e.Object] = true
			}
		}
	}
	for line := range bytes.Lines(p) {
		var v wire.ExportedVisit
		if err := json.Unmarshal(line, &v); err != nil {
			w.t.Error(err)
		}
		w.lines++
		if !known[v.ID] {
			w.unknown++
		}
	}
	return len(p), nil
}

// TestExportStreams: visits leave in pieces of bearable size, each after the trail
// has them.
func TestExportStreams(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "desk")
	command(t, "demo", "--json", "--data", dir).succeeded(t)
	q, log, st, err := agent.OpenTrail(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	const visits, size = 450, 10_000 // 6 MB as they are exported
	for i := range visits {
		e := outbox.Entry{ID: fmt.Sprintf("visit-%04d", i), Subject: "ins.v1.visit.01013.A", Payload: bytes.Repeat([]byte{'x'}, size)}
		if err := q.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	w := &watched{t: t, log: log}
	if err := cli.Export(t.Context(), q, log, w); err != nil {
		t.Fatal(err)
	}
	if w.lines != visits+1 || w.unknown != 0 {
		t.Errorf("%d visits written, %d of them before the trail had them", w.lines, w.unknown)
	}
	if w.longest > 2<<20 {
		t.Errorf("%d bytes gathered in memory", w.longest)
	}
}
