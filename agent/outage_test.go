package agent_test

import (
	"bufio"
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/sync/outbox"
)

// killsVariable says how often the outage test kills the desk; 5 when unset.
const killsVariable = "CHAMTHE_CRASH_KILLS"

// deskProcess checks people in for ever, and says so only after the agent has.
func deskProcess(dir, url string) error {
	doc, err := issue()
	if err != nil {
		return err
	}
	cfg := config(dir)
	cfg.URLs = []string{url}
	if cfg.Trust, err = anchors(doc); err != nil {
		return err
	}
	fmt.Println("ready")
	a, err := agent.Open(cfg)
	if err != nil {
		return err
	}
	go func() { _ = a.Run(context.Background()) }()
	for {
		out, err := tap(context.Background(), a, doc)
		if err != nil {
			return err
		}
		fmt.Println("recorded", out.Visit.ID)
	}
}

// TestOutage: a desk records visits while the central service is away, and is
// killed (SIGKILL) at random moments; later also while visits are being sent.
// When the service is back, everything that was reported as recorded is
// accepted, exactly once.
func TestOutage(t *testing.T) {
	t.Parallel()
	kills := 5
	if s := os.Getenv(killsVariable); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil || kills < 1 {
			t.Fatalf("%s: %v", killsVariable, err)
		}
	}
	dir := t.TempDir()
	key, err := agent.Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := newCentre(t, key)
	var said []string
	for n := range kills {
		switch n {
		case kills * 3 / 5:
			c.start() // the last kills fall into sending
		case kills - 1:
			c.stop()
		}
		// In turn at a random moment after the start, because opening the directory
		// must survive it too, and after the first visit.
		after := []string{"recorded", "ready"}[n%2]
		said = append(said, killedDesk(t, dir, c.url(), after)...)
	}
	c.stop()

	c.start()
	cfg := config(dir)
	cfg.URLs, cfg.Trust = []string{c.url()}, c.pool
	a := openWith(t, cfg)
	stop := run(t, a)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var s outbox.Stats
	err = a.Wait(ctx, func() (bool, error) {
		s, err = a.Queue().Stats(ctx)
		return s.Queued+s.Stored == 0, err
	})
	if err != nil {
		t.Fatalf("%v; %+v; the central service says:\n%s", err, s, c.log)
	}
	items, err := a.Queue().List(ctx, 0, 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	c.stop()

	accepted := map[string]int{}
	for _, i := range items {
		if i.Damaged || i.State != outbox.Accepted || i.Verdict == nil || i.Verdict.Visit != i.ID {
			t.Errorf("visit %s: %v, damaged %v, %+v", i.ID, i.State, i.Damaged, i.Verdict)
		}
		accepted[i.ID]++
	}
	for _, id := range said {
		if accepted[id] != 1 {
			t.Errorf("visit %s was reported as recorded, and accepted %d times", id, accepted[id])
		}
	}
	// A kill between the disk and the report leaves a visit that nobody was told
	// of; no more than one each.
	if extra := len(items) - len(said); extra < 0 || extra > kills {
		t.Errorf("%d visits, %d were reported, %d kills", len(items), len(said), kills)
	}
	if int(c.accepted) != len(items) {
		t.Errorf("the central service accepted %d visits, the desk has %d", c.accepted, len(items))
	}
	if len(said) < (kills+1)/2 {
		t.Errorf("only %d visits were recorded", len(said))
	}
	t.Logf("kills %d, reported %d, accepted %d", kills, len(said), len(items))
}

// killedDesk runs a desk, kills it at a random moment after it first said a
// word, and returns the visits that it reported.
func killedDesk(t *testing.T, dir, url, after string) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), roleVariable+"=desk", dirVariable+"="+dir, urlVariable+"="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	var once sync.Once
	for lines := bufio.NewScanner(out); lines.Scan(); {
		what, id, _ := strings.Cut(lines.Text(), " ")
		if what == after {
			once.Do(func() {
				time.AfterFunc(time.Duration(mathrand.IntN(500))*time.Millisecond, func() { _ = cmd.Process.Kill() })
			})
		}
		switch what {
		case "ready":
		case "recorded":
			said = append(said, id)
		default:
			t.Errorf("the desk says %q", lines.Text())
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the desk ended by itself: %v", err)
	}
	return said
}
