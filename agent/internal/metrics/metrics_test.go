package metrics_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/agent/internal/metrics"
	"github.com/chamthe/chamthe/agent/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs the figures and returns how to ask for them.
func serve(t *testing.T, m *metrics.Metrics) func(header map[string]string) (int, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return func(header map[string]string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, "http://"+l.Addr().String()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range header {
			req.Header.Set(k, v)
			if k == "Host" {
				req.Host = v
			}
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
}

func TestFigures(t *testing.T) {
	now := time.Now()
	oldest := now.Add(-time.Minute)
	var trouble error
	m := metrics.New(metrics.Build{Version: "1.2", Revision: "abc", Go: "go1"}, []string{"no_card"}, []string{"dg1"}, []string{"visit_shown"}, metrics.Sources{
		Status: func(context.Context) (wire.Status, error) {
			return wire.Status{
				Now: now, Queue: wire.Queue{Queued: 3, Stored: 2, Rejected: 1, Oldest: &oldest}, Link: wire.Link{State: "offline"},
				Readers: []wire.Reader{{}, {Trouble: "reader_busy"}}, Store: wire.Store{Damaged: 4, Free: 5}, Trust: &wire.Trust{Certificates: 6},
				Bundles: []wire.Bundle{{Kind: "population", AsOf: now.Add(-time.Hour)}, {Kind: "Nguyễn"}},
			}, trouble
		},
		LogLost: func() uint64 { return 7 },
	})
	get := serve(t, m)
	c := &wire.CheckIn{ID: "1", State: wire.StateReading, Means: wire.MeansChip}
	m.CheckIn(nil)
	m.CheckIn(c) // not at its end
	c.State, c.Entitlement, c.TimingsMS = wire.StateRecorded, &wire.Entitlement{Source: "cache"}, map[string]float64{"dg1": 20, "Nguyễn": 1}
	m.CheckIn(c)
	m.CheckIn(c) // its delivery changed
	m.CheckIn(&wire.CheckIn{ID: "2", State: wire.StateFailed, Means: "001099000001", Fault: &wire.Fault{Code: "no_card"}})
	m.CheckIn(&wire.CheckIn{ID: "3", State: wire.StateRefused, Means: wire.MeansChip, Fault: &wire.Fault{Code: "001099000001"}, Entitlement: &wire.Entitlement{Source: "001099000001"}})
	m.Audited("visit_shown")
	code, got := get(nil)
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	for _, want := range []string{
		`chamthe_build_info{go="go1",revision="abc",version="1.2"} 1`,
		`chamthe_checkins_total{means="chip",outcome="recorded"} 1`, `chamthe_checkins_total{means="other",outcome="failed"} 1`,
		`chamthe_checkins_total{means="chip",outcome="cancelled"} 0`,
		`chamthe_step_seconds_sum{step="dg1"} 0.02`, `chamthe_step_seconds_count{step="other"} 1`,
		`chamthe_lookups_total{source="cache"} 1`, `chamthe_lookups_total{source="other"} 1`, `chamthe_lookups_total{source="central"} 0`,
		`chamthe_faults_total{code="no_card"} 1`, `chamthe_faults_total{code="other"} 1`, `chamthe_audit_entries_total{action="visit_shown"} 1`,
		`chamthe_queue_visits{state="queued"} 3`, `chamthe_queue_oldest_seconds 60`, `chamthe_link{state="offline"} 1`, `chamthe_link{state="online"} 0`,
		`chamthe_readers 1`, `chamthe_readers_in_trouble 1`, `chamthe_store_damaged_visits 4`, `chamthe_store_free_bytes 5`,
		`chamthe_trust_certificates 6`, `chamthe_bundle_age_seconds{kind="population"} 3600`, `chamthe_log_lost_lines_total 7`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("figures lack %s", want)
		}
	}
	if strings.Contains(got, "001099") || strings.Contains(got, "Nguy") {
		t.Error("a label is from no closed set")
	}
	trouble = errors.New("closed")
	if _, got := get(nil); strings.Contains(got, "chamthe_queue_visits") || !strings.Contains(got, "chamthe_checkins_total") {
		t.Error("figures that nobody knows")
	}
}

// TestForPrograms: a page in a browser does not get figures, whatever name it uses.
func TestForPrograms(t *testing.T) {
	get := serve(t, metrics.New(metrics.Build{}, nil, nil, nil, metrics.Sources{}))
	for _, header := range []map[string]string{
		{"Origin": "https://evil.example"}, {"Referer": "https://evil.example/"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}, {"Host": "evil.example:9787"},
	} {
		if code, body := get(header); code != http.StatusForbidden || strings.Contains(body, "chamthe_") {
			t.Errorf("%v: status %d", header, code)
		}
	}
	if code, _ := get(nil); code != http.StatusOK {
		t.Errorf("status %d", code)
	}
}

// TestDocumented looks for every figure of ours in the page for operators.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.FromSlash("../../docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	get := serve(t, metrics.New(metrics.Build{}, nil, nil, nil, metrics.Sources{
		Status: func(context.Context) (wire.Status, error) {
			return wire.Status{Trust: &wire.Trust{}, Bundles: []wire.Bundle{{Kind: "trust"}}}, nil
		},
		LogLost: func() uint64 { return 0 },
	}))
	_, got := get(nil)
	n := 0
	for line := range strings.Lines(got) {
		name, ok := strings.CutPrefix(line, "# HELP ")
		if name, _, _ = strings.Cut(name, " "); ok && strings.HasPrefix(name, "chamthe_") {
			n++
			if !strings.Contains(string(page), "`"+name) {
				t.Errorf("%s is not documented", name)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d figures", n)
	}
}
