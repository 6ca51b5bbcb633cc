package outbox_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/store"
)

// The crash test runs this test binary again as a writer, kills it with SIGKILL
// at a random moment, and compares the file with what the writer had said.
const (
	crashFile  = "CHAMTHE_OUTBOX_CRASH_FILE"  // set for the writer
	crashStart = "CHAMTHE_OUTBOX_CRASH_START" // first number that it uses
	crashKills = "CHAMTHE_CRASH_KILLS"        // how often to kill; 20 when unset
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashFile); path != "" {
		go func() { // ends with the test, however that ended
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
		if err := crashWriter(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// noTest stands in for a test in the writer, which is none.
type noTest struct{ testing.TB }

func (noTest) Helper() {}

// crashWriter uses a queue as an agent does, for ever. It says what it did only
// after the queue has said so.
func crashWriter(path string) error {
	start, err := strconv.Atoi(os.Getenv(crashStart))
	if err != nil {
		return err
	}
	st, err := store.Open(path, &store.Options{Timeout: 10 * time.Second})
	if err != nil {
		return err
	}
	q, err := outbox.Open(st, newSealer(noTest{}), nil)
	if err != nil {
		return err
	}
	ctx := context.Background()
	say := func(what string, n int) { fmt.Printf("%s %d\n", what, n) }
	for n := start; ; n++ {
		e := entry(crashID(n))
		e.Payload = []byte(strings.Repeat(crashID(n), 1+n%300))
		if err := q.Put(ctx, e); err != nil {
			return err
		}
		say("put", n)
		if n%3 == 0 {
			continue
		}
		if err := q.MarkStored(ctx, outbox.Ack{ID: crashID(n), Stream: "VISITS", Seq: uint64(n)}); err != nil {
			return err
		}
		say("stored", n)
		v := accepted(crashID(n))
		if n%5 == 0 {
			v = rejected(crashID(n), contract.ReasonChipSignature)
		}
		if _, err := q.Verdict(ctx, v); err != nil {
			return err
		}
		say(string(v.State), n)
	}
}

func crashID(n int) string { return fmt.Sprintf("visit-%08d", n) }

func TestKill(t *testing.T) {
	kills := 20
	if s := os.Getenv(crashKills); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil || kills < 1 {
			t.Fatalf("%s: %v", crashKills, err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := newBox(t)
	b.close()
	defer b.open()               // for the clean-up
	said := make(map[int]string) // the last thing said of each number
	next, lost, doubled := 1, 0, 0
	for range kills {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), crashFile+"="+b.path, crashStart+"="+strconv.Itoa(next))
		cmd.Stderr = os.Stderr
		if _, err := cmd.StdinPipe(); err != nil { // Wait closes it
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // after a failure; otherwise it has ended
		lines := bufio.NewScanner(out)
		// From the start: opening the file must survive it too.
		time.AfterFunc(time.Duration(rand.IntN(150_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		for lines.Scan() {
			what, number, _ := strings.Cut(lines.Text(), " ")
			n, err := strconv.Atoi(number)
			if err != nil {
				t.Fatalf("the writer says %q", lines.Text())
			}
			said[n] = what
			next = max(next, n)
		}
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("the writer ended by itself: %v", err)
		}
		next += 2 // the one after next may be there already

		b.open()
		l, d := compareWithSaid(t, b, said)
		b.close() // checks every page
		lost, doubled = lost+l, doubled+d
	}
	if lost != 0 || doubled != 0 {
		t.Errorf("lost %d, doubled %d", lost, doubled)
	}
	t.Logf("kills %d, recorded %d, lost %d, doubled %d", kills, len(said), lost, doubled)
}

// compareWithSaid counts what the writer reported and the file does not hold,
// and what the file holds more than once.
func compareWithSaid(t *testing.T, b *box, said map[int]string) (lost, doubled int) {
	t.Helper()
	items, err := b.List(t.Context(), 0, 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]outbox.Item)
	last := ""
	for _, it := range items {
		if it.Damaged {
			t.Errorf("entry %d is damaged", it.Seq)
		}
		if _, has := found[it.ID]; has {
			doubled++
		}
		if it.ID <= last {
			t.Errorf("%s comes after %s", it.ID, last)
		}
		last = it.ID
		found[it.ID] = it
	}
	reached := map[outbox.State]int{outbox.Queued: 0, outbox.Stored: 1, outbox.Accepted: 2, outbox.Rejected: 2}
	for n, what := range said {
		it, has := found[crashID(n)]
		want := map[string]int{"put": 0, "stored": 1, "accepted": 2, "rejected": 2}[what]
		if !has || reached[it.State] < want {
			t.Errorf("%s: the writer said %s, the file says %v", crashID(n), what, it.State)
			lost++
			continue
		}
		if want := len(strings.Repeat(crashID(n), 1+n%300)); it.Size != want {
			t.Errorf("%s: %d bytes, want %d", crashID(n), it.Size, want)
		}
	}
	s := b.stats()
	if total := s.Queued + s.Stored + s.Accepted + s.Rejected; total != len(items) {
		t.Errorf("%d counted, %d there", total, len(items))
	}
	return lost, doubled
}
