package agent_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/agent/truststore"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/reader"
)

// TestTrustDir: what an administrator imports is what the agent verifies with,
// from the next card on; what cannot be read is no reason to call an issuer unknown.
func TestTrustDir(t *testing.T) {
	t.Parallel()
	doc, dir := document(t), filepath.Join(t.TempDir(), "trust")
	cfg := config(t.TempDir())
	cfg.TrustDir = dir
	a := openWith(t, cfg)

	out, err := tap(t.Context(), a, doc)
	if out == nil || out.Decision.Outcome != policy.Refuse || out.Visit != nil {
		t.Fatalf("before the import: %v", err)
	}
	if c := out.Report.Check(inspect.TrustChain); c.Value != result.Undetermined {
		t.Errorf("before the import the chain is %v", c)
	}

	file := filepath.Join(t.TempDir(), "csca.der")
	if err := os.WriteFile(file, doc.CSCA, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = truststore.Import(t.Context(), dir, &truststore.Request{Files: []string{file}, Accept: "a test", By: "tester", At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if out, err = tap(t.Context(), a, doc); err != nil || out.Visit == nil {
		t.Fatalf("after the import: %v", err)
	}
	if out.Report.IssuerSource != "csca.der" {
		t.Errorf("issuer from %q", out.Report.IssuerSource)
	}
	if pool, err := a.Issuers(t.Context()); err != nil || pool.Len() != 1 {
		t.Errorf("%d issuers, %v", pool.Len(), err)
	}

	entry := filepath.Join(dir, "imports", "000001.json")
	if err := os.Rename(entry, filepath.Join(dir, "imports", "000002.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := tap(t.Context(), a, doc); !errors.Is(err, truststore.ErrDamaged) {
		t.Errorf("with a damaged store: %v", err)
	}
	if a, err := agent.Open(agent.Config{Dir: t.TempDir(), Facility: facility, URLs: cfg.URLs, TrustDir: dir}); !errors.Is(err, truststore.ErrDamaged) {
		t.Errorf("opened on a damaged store: %v, %v", a, err)
	}
	if a, err := agent.Open(agent.Config{Dir: t.TempDir(), Facility: facility, URLs: cfg.URLs, TrustDir: file}); !errors.Is(err, truststore.ErrAccess) {
		t.Errorf("opened on a file: %v, %v", a, err)
	}
}

// TestLimits: what was learned is in the agent's directory, and can be seen while
// no agent runs.
func TestLimits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := agent.Open(config(dir))
	if err != nil {
		t.Fatal(err)
	}
	key := reader.LimitKey{Reader: "ACME Contactless", ATR: "3B80800101"}
	err = a.Limits().Save(t.Context(), key, reader.Limits{MaxNe: 223, Learned: time.Now()})
	if err := errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
	l, st, err := agent.OpenLimits(dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := l.All(t.Context())
	if err != nil || len(all) != 1 || all[0].Reader != key.Reader || all[0].Limits.MaxNe != 223 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "visits.db"))
	if err != nil || bytes.Contains(b, []byte(key.ATR)) || bytes.Contains(b, []byte(key.Reader)) {
		t.Errorf("the file tells which card was here: %v", err)
	}
	if _, _, err := agent.OpenLimits(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a directory that nobody used: %v", err)
	}
}
