package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/virtual"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/store"
)

const softReader = "reader"

// nameFault names an error as the command line does.
func nameFault(err error) *wire.Fault {
	f := fault.Classify(err)
	if f == nil {
		return nil
	}
	return &wire.Fault{Code: string(f.Code), Kind: string(f.Kind), Cause: f.Cause, Remedy: f.Remedy, ExitCode: f.Exit}
}

// daemonConfig is a daemon without a central service, on any port, with a card on its
// reader.
func daemonConfig(t *testing.T, dir string, card virtual.Chip) agent.DaemonConfig {
	t.Helper()
	d := document(t)
	if card == nil {
		c, err := d.Chip()
		if err != nil {
			t.Fatal(err)
		}
		card = c
	}
	driver := virtual.New(softReader)
	if err := driver.Insert(softReader, card); err != nil {
		t.Fatal(err)
	}
	cfg := agent.DaemonConfig{
		Agent: config(dir), Version: "test", Fault: nameFault, DeskTokenFile: filepath.Join(dir, "desk.token"), Logins: true,
		Sources: []reader.Source{{Name: "virtual", Driver: driver}},
	}
	cfg.Agent.URLs = nil
	var err error
	if cfg.Agent.Trust, err = anchors(d); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// startDaemon runs a daemon until stop or the end of the test. stop returns what Run
// and Close returned.
func startDaemon(t *testing.T, cfg agent.DaemonConfig) (d *agent.Daemon, desk *client.Client, stop func() error) {
	t.Helper()
	d, err := agent.OpenDaemon(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- d.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case <-time.After(patience):
		t.Error("not ready")
	}
	desk = client.NewWithTokenFile(fmt.Sprintf("http://127.0.0.1:%d", d.Port()), cfg.DeskTokenFile)
	var once sync.Once
	var ended error
	stop = func() error {
		once.Do(func() {
			cancel()
			desk.CloseIdle()
			ended = errors.Join(<-done, d.Close())
		})
		return ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil && !errors.Is(err, agent.ErrEnrolled) {
			t.Errorf("the daemon ended with %v", err)
		}
	})
	return d, desk, stop
}

// until asks for a check-in until it is in one of the states.
func until(t *testing.T, desk *client.Client, id string, states ...string) wire.CheckIn {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		c, err := desk.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range states {
			if c.State == s {
				return c
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the check-in is %s (%+v), want %v", c.State, c.Fault, states)
		}
		time.Sleep(5 * time.Millisecond) // asking again, not synchronising
	}
}

// checkIn takes the person on the card in, to the end.
func checkIn(t *testing.T, desk *client.Client) wire.CheckIn {
	t.Helper()
	c, err := desk.Start(t.Context(), wire.Start{Key: &wire.Key{MRZ: strings.Join(document(t).MRZ, "\n")}, Photo: true})
	if err != nil {
		t.Fatal(err)
	}
	if c = until(t, desk, c.ID, wire.StateConfirm, wire.StateRefused, wire.StateFailed); c.State != wire.StateConfirm {
		t.Fatalf("the check-in is %s: %+v", c.State, c.Fault)
	}
	if c, err = desk.Confirm(t.Context(), c.ID, wire.Confirmation{PhotoMatches: true}); err != nil || c.State != wire.StateRecorded {
		t.Fatalf("confirmed: %s, %v", c.State, err)
	}
	return c
}

func TestDaemonTakesPeopleIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := daemonConfig(t, dir, nil)
	cfg.MetricsListen = "127.0.0.1:0"
	cfg.Settings = map[string]string{"policy.weak": "warn", "log.level": "info"}
	d, desk, stop := startDaemon(t, cfg)
	ctx := t.Context()
	st, err := desk.Status(ctx)
	if err != nil || !st.Ready || st.Facility.Code != facility || st.Agent != d.Agent().Key() || st.Link.State != "not_configured" || st.Training || st.Busy {
		t.Errorf("status %+v, %v", st, err)
	}
	if len(st.Readers) != 1 || !st.Readers[0].Best || !st.Readers[0].Card || st.Readers[0].Name != softReader || st.Trust == nil || st.Trust.Certificates != 1 {
		t.Errorf("status %+v, trust %+v", st.Readers, st.Trust)
	}
	if _, err := desk.SignIn(ctx, wire.SignIn{Name: "lan"}); err != nil {
		t.Fatal(err)
	}
	c := checkIn(t, desk)
	if !c.Person.Verified || c.Visit == "" {
		t.Errorf("the check-in: %+v", c)
	}
	h, err := desk.History(ctx, wire.HistoryQuery{Text: "thu nguyen"})
	if err != nil || len(h.Entries) != 1 {
		t.Fatalf("history %+v, %v", h, err)
	}
	e := h.Entries[0]
	number := document(t).Person.Number
	if e.Visit != c.Visit || !e.Verified || e.Number != number[len(number)-4:] || e.Operator != "lan" || e.Delivery.State != "queued" {
		t.Errorf("history %+v", e)
	}
	if err := d.Alive(ctx); err != nil {
		t.Errorf("Alive = %v", err)
	}
	// The figures count it, and name nobody.
	figures := get(t, "http://"+d.MetricsAddr().String()+"/metrics")
	for _, want := range []string{
		`chamthe_checkins_total{means="chip",outcome="recorded"} 1`, `chamthe_queue_visits{state="queued"} 1`,
		`chamthe_link{state="not_configured"} 1`, `chamthe_readers 1`, `chamthe_audit_entries_total{action="visit_shown"}`,
	} {
		if !strings.Contains(figures, want) {
			t.Errorf("figures lack %s", want)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// What was recorded is there when the store is opened again.
	q, trail, s, err := agent.OpenTrail(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, item, err := q.Get(ctx, c.Visit); err != nil || item.State != outbox.Queued {
		t.Errorf("the visit is %v, %v", item.State, err)
	}
	if _, err := trail.Verify(ctx); err != nil {
		t.Errorf("audit trail: %v", err)
	}
}

// TestDaemonStartsOnce starts a second one on what the first has.
func TestDaemonStartsOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, desk, _ := startDaemon(t, daemonConfig(t, dir, nil))
	same := daemonConfig(t, dir, nil)
	if _, err := agent.OpenDaemon(t.Context(), same); !errors.Is(err, store.ErrLocked) || fault.Classify(err).Code != fault.StoreLocked {
		t.Errorf("a second one on the directory: %v", err)
	}
	other := t.TempDir()
	taken := daemonConfig(t, other, nil)
	taken.Port = d.Port()
	if _, err := agent.OpenDaemon(t.Context(), taken); !errors.Is(err, agent.ErrPort) || fault.Classify(err).Code != fault.PortInUse {
		t.Errorf("a second one on the port: %v", err)
	}
	if left, err := os.ReadDir(other); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken = daemonConfig(t, other, nil)
	taken.MetricsListen = l.Addr().String()
	if _, err := agent.OpenDaemon(t.Context(), taken); !errors.Is(err, agent.ErrPort) {
		t.Errorf("metrics on a port that is taken: %v", err)
	}
	checkIn(t, desk) // the first one does not mind
}

func TestDaemonRefusesTraining(t *testing.T) {
	t.Parallel()
	cfg := daemonConfig(t, t.TempDir(), nil)
	cfg.Training, cfg.Agent.URLs = true, []string{"nats://127.0.0.1:1"}
	if _, err := agent.OpenDaemon(t.Context(), cfg); !errors.Is(err, agent.ErrTraining) {
		t.Errorf("OpenDaemon = %v, want ErrTraining", err)
	}
	cfg.TrainingAllowed, cfg.Sample = true, &wire.Key{Scan: "x"}
	_, desk, _ := startDaemon(t, cfg)
	st, err := desk.Status(t.Context())
	if err != nil || !st.Training || st.Sample == nil {
		t.Errorf("status %+v, %v", st, err)
	}
}

// TestDaemonWaitsForEnrolment answers before it is configured, and ends when it is.
func TestDaemonWaitsForEnrolment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := daemonConfig(t, dir, nil)
	cfg.Agent.Facility = ""
	d, err := agent.OpenDaemon(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.Run(context.Background(), nil) }()
	desk := client.NewWithTokenFile(fmt.Sprintf("http://127.0.0.1:%d", d.Port()), cfg.DeskTokenFile)
	defer desk.CloseIdle()
	st, err := desk.Status(t.Context())
	if err != nil || st.Ready || st.Link.State != "not_configured" || st.Facility.Code != "" {
		t.Errorf("status %+v, %v", st, err)
	}
	if _, err := desk.Start(t.Context(), wire.Start{}); err == nil {
		t.Error("a check-in began")
	}
	if err := d.Alive(t.Context()); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "enrolment.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	desk.CloseIdle()
	if err := <-done; !errors.Is(err, agent.ErrEnrolled) {
		t.Errorf("Run = %v, want ErrEnrolled", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestDaemonGoesOnline: one that records for a facility without a central service
// ends, to be opened anew, when it gets one.
func TestDaemonGoesOnline(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := agent.OpenDaemon(t.Context(), daemonConfig(t, dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.Run(context.Background(), nil) }()
	if err := os.WriteFile(filepath.Join(dir, "enrolment.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, agent.ErrEnrolled) {
		t.Errorf("Run = %v, want ErrEnrolled", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// slowChip holds one exchange until it is let go.
type slowChip struct {
	virtual.Chip
	mu    sync.Mutex
	left  int           // exchanges before the one that is held
	held  chan struct{} // closed when it has begun
	going chan struct{} // closed to let it go
	ended bool
}

func (s *slowChip) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	s.mu.Lock()
	s.left--
	hold := s.left == 0
	s.mu.Unlock()
	if hold {
		close(s.held)
		<-s.going
		defer func() {
			s.mu.Lock()
			s.ended = true
			s.mu.Unlock()
		}()
	}
	return s.Chip.Transmit(ctx, cmd)
}

// TestDaemonStopsDuringExchange is told to stop while a card answers: the exchange is
// finished, nothing is recorded, and the store is sound.
func TestDaemonStopsDuringExchange(t *testing.T) {
	t.Parallel()
	for _, left := range []int{1, 6, 20} {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			dir := t.TempDir()
			chip, err := document(t).Chip()
			if err != nil {
				t.Fatal(err)
			}
			card := &slowChip{Chip: chip, left: left, held: make(chan struct{}), going: make(chan struct{})}
			_, desk, stop := startDaemon(t, daemonConfig(t, dir, card))
			if _, err := desk.Start(t.Context(), wire.Start{Key: &wire.Key{MRZ: strings.Join(document(t).MRZ, "\n")}, Photo: true}); err != nil {
				t.Fatal(err)
			}
			select {
			case <-card.held:
			case <-time.After(patience):
				t.Fatal("the card was not asked so often")
			}
			ended := make(chan error, 1)
			go func() { ended <- stop() }()
			// The API is closed first; only then is it certain that stopping has begun.
			for deadline := time.Now().Add(patience); desk.Healthy(t.Context()) == nil && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			select {
			case err := <-ended:
				t.Fatalf("stopped in the middle of an exchange: %v", err)
			default:
			}
			close(card.going)
			if err := <-ended; err != nil {
				t.Fatalf("stopped with %v", err)
			}
			card.mu.Lock()
			defer card.mu.Unlock()
			if !card.ended {
				t.Error("the exchange was not finished")
			}
			q, s, err := agent.OpenQueue(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
			if items, err := q.List(t.Context(), 0, 0, 10); err != nil || len(items) != 0 {
				t.Errorf("recorded: %v, %v", items, err)
			}
		})
	}
}

// TestJournal puts visits of several people, days and states into a queue.
func TestJournal(t *testing.T) {
	t.Parallel()
	a := open(t, t.TempDir())
	j := a.Journal()
	ctx := t.Context()
	if h, err := j.History(ctx, wire.HistoryQuery{}); err != nil || len(h.Entries) != 0 || h.Next != "" || h.Day != time.Now().Format(time.DateOnly) {
		t.Errorf("history of an empty queue: %+v, %v", h, err)
	}
	var ids []string
	for i := range 230 {
		ids = append(ids, put(t, a, i))
	}
	// Newest first, in pages without gaps.
	var seen []string
	for q := (wire.HistoryQuery{}); ; {
		h, err := j.History(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range h.Entries {
			seen = append([]string{e.Visit}, seen...)
		}
		if q.After = h.Next; h.Next == "" {
			break
		}
	}
	if d := cmp.Diff(ids, seen); d != "" {
		t.Errorf("history (-want +got):\n%s", d)
	}
	for text, want := range map[string]int{"NGUYỄN": 230, "nguyen van": 230, "9000007": 1, "mai": 0, "dung": 0, "Ng Th": 230, "229": 1} {
		n := 0
		for q := (wire.HistoryQuery{Text: text}); ; {
			h, err := j.History(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			n += len(h.Entries)
			if q.After = h.Next; h.Next == "" {
				break
			}
		}
		if n != want {
			t.Errorf("%q finds %d, want %d", text, n, want)
		}
	}
	if h, err := j.History(ctx, wire.HistoryQuery{Day: "2020-02-03"}); err != nil || len(h.Entries) != 0 || h.Day != "2020-02-03" {
		t.Errorf("another day: %+v, %v", h, err)
	}
	for _, q := range []wire.HistoryQuery{{Day: "yesterday"}, {After: "x"}} {
		if _, err := j.History(ctx, q); err == nil {
			t.Errorf("%+v was taken", q)
		}
	}
	// One is rejected, one accepted.
	if err := a.Queue().MarkStored(ctx, outbox.Ack{ID: ids[3], Stream: "VISITS", Seq: 1}, outbox.Ack{ID: ids[4], Stream: "VISITS", Seq: 2}); err != nil {
		t.Fatal(err)
	}
	at := contract.Timestamp(time.Now())
	if _, err := a.Queue().Verdict(ctx,
		contract.Verdict{Version: contract.Version, Visit: ids[3], Agent: a.Key(), State: contract.VerdictRejected, Reason: "evidence_invalid", At: at},
		contract.Verdict{Version: contract.Version, Visit: ids[4], Agent: a.Key(), State: contract.VerdictAccepted, Assurance: contract.AssuranceAttested, At: at},
	); err != nil {
		t.Fatal(err)
	}
	page, err := j.Queue(ctx, "rejected", "")
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Visit != ids[3] || page.Entries[0].Delivery.Reason != "evidence_invalid" || page.Next != "" {
		t.Errorf("rejected: %+v, %v", page, err)
	}
	n := 0
	for after := ""; ; {
		page, err := j.Queue(ctx, "", after)
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Entries)
		if after = page.Next; after == "" {
			break
		}
	}
	if n != len(ids) {
		t.Errorf("the queue has %d, want %d", n, len(ids))
	}
	for _, wrong := range []func() error{
		func() error { _, err := j.Queue(ctx, "lost in space", ""); return err },
		func() error { _, err := j.Queue(ctx, "", "x"); return err },
		func() error { return j.Retry(ctx, ids[0], "lan") }, // on its way
		func() error { return j.Retry(ctx, ids[4], "lan") }, // accepted
		func() error { return j.Retry(ctx, "0198d7a0-0000-7000-8000-00000000ffff", "lan") },
	} {
		if err := wrong(); err == nil {
			t.Error("no error")
		}
	}
	if err := j.Retry(ctx, ids[3], "lan"); err != nil {
		t.Fatal(err)
	}
	if _, item, err := a.Queue().Get(ctx, ids[3]); err != nil || item.State != outbox.Queued {
		t.Errorf("after Retry: %v, %v", item.State, err)
	}
}

// put records a visit of the i-th person.
func put(t *testing.T, a *agent.Agent, i int) string {
	t.Helper()
	at := contract.Timestamp(time.Now())
	id, err := contract.NewID(at, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &contract.Visit{
		Version: contract.Version, ID: id, Facility: facility, Agent: a.Key(), StartedAt: at, RecordedAt: at, Clock: contract.ClockUnknown,
		Means: contract.MeansManual, Person: contract.Person{Name: "Nguyễn Văn Thử", Number: fmt.Sprintf("001099%06d", i)},
		Entitlement: contract.Entitlement{Status: contract.StatusUnknown, Source: contract.SourceNone},
	}
	b, err := contract.EncodeVisit(v)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := contract.VisitSubject(facility, a.Key())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Queue().Put(t.Context(), outbox.Entry{ID: id, Subject: subject, Payload: b}); err != nil {
		t.Fatal(err)
	}
	return id
}

// TestSettingsAreAudited changes the configuration between starts.
func TestSettingsAreAudited(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func(settings map[string]string) {
		t.Helper()
		cfg := daemonConfig(t, dir, nil)
		cfg.Settings = settings
		_, _, stop := startDaemon(t, cfg)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	start(map[string]string{"policy.weak": "warn", "log.level": "info"}) // nothing to compare
	start(map[string]string{"policy.weak": "warn", "log.level": "info"})
	start(map[string]string{"policy.weak": "accept", "log.level": "info"})
	start(map[string]string{"policy.weak": "accept", "log.level": "debug"})
	if err := os.WriteFile(filepath.Join(dir, "settings.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(map[string]string{"policy.weak": "accept", "log.level": strings.Repeat("é", 400)})
	_, trail, s, err := agent.OpenTrail(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := trail.List(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all {
		if e.Action == audit.PolicyChanged || e.Action == audit.ConfigChanged {
			got = append(got, fmt.Sprintf("%s %s: %.16s", e.Action, e.Object, e.Note))
		}
	}
	want := []string{
		"policy_changed policy.weak: warn -> accept", "config_changed log.level: info -> debug",
		fmt.Sprintf("config_changed log.level: %.16s", " -> "+strings.Repeat("é", 400)), "policy_changed policy.weak:  -> accept",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
}

// get fetches a page of text.
func get(t *testing.T, url string) string {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return string(b)
}

// TestHeartbeat looks at what an agent tells of itself: what the contract takes, and
// whether there is a reader.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	cfg := daemonConfig(t, t.TempDir(), nil)
	cfg.Agent.URLs, cfg.Version, cfg.Revision = []string{"nats://127.0.0.1:1"}, "1.2.3", "abcdef"
	d, desk, _ := startDaemon(t, cfg)
	deadline := time.Now().Add(patience)
	for agent.Heartbeat(d.Agent()).Reader == "" && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond) // until somebody has looked
	}
	s := agent.Heartbeat(d.Agent())
	if s.Reader != contract.ReaderPresent || s.Software != "1.2.3" || s.Build != "abcdef" {
		t.Errorf("status %+v", s)
	}
	s.Version, s.Agent, s.Facility, s.At = contract.Version, d.Agent().Key(), facility, contract.Timestamp(time.Now())
	if _, err := contract.EncodeStatus(&s); err != nil {
		t.Errorf("the contract does not take it: %v", err)
	}
	if st, err := desk.Status(t.Context()); err != nil || st.Link.State == "online" || st.Link.State == "not_configured" {
		t.Errorf("link %+v, %v", st.Link, err)
	}
}

// TestDaemonScans scans with and without a check-in that waits for it.
func TestDaemonScans(t *testing.T) {
	t.Parallel()
	qr := document(t).QR
	cfg := daemonConfig(t, t.TempDir(), nil)
	d, desk, stop := startDaemon(t, cfg)
	ctx := t.Context()
	if agent.TakeScan(ctx, d, qr) {
		t.Error("a scan began a check-in that nobody wanted")
	}
	c, err := desk.Start(ctx, wire.Start{})
	if err != nil || c.State != wire.StateKey {
		t.Fatalf("%s, %v", c.State, err)
	}
	if !agent.TakeScan(ctx, d, "https://example.org") {
		t.Error("the check-in that waits for it did not get the scan")
	}
	if c, err = desk.Get(ctx, c.ID); err != nil || c.Fault == nil || c.Fault.Code != "bad_qr" {
		t.Errorf("what is wrong with a scan is not shown: %+v, %v", c.Fault, err)
	}
	if !agent.TakeScan(ctx, d, qr) {
		t.Error("the check-in that waits for it did not get the scan")
	}
	until(t, desk, c.ID, wire.StateConfirm)
	if agent.TakeScan(ctx, d, qr) {
		t.Error("a scan was taken while somebody looks at the photo")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	cfg = daemonConfig(t, t.TempDir(), nil)
	cfg.ScanStarts = true
	d, desk, _ = startDaemon(t, cfg)
	if agent.TakeScan(ctx, d, "") || !agent.TakeScan(ctx, d, qr) {
		t.Error("scans begin check-ins, and blanks do not")
	}
	if c, err = desk.Current(ctx); err != nil || c.Owner != "desk" {
		t.Fatalf("%+v, %v", c, err)
	}
	until(t, desk, c.ID, wire.StateConfirm)
}
