package cli_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/natsd"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/store"
)

// The ids of two visits.
const (
	visitA = "01890a5d-ac96-774b-bcce-b302099a8057"
	visitB = "01890a5d-ac96-774b-bcce-b302099a8058"
)

// waiting returns a data directory with two visits in the queue.
func waiting(t *testing.T) string {
	t.Helper()
	dir := usedDir(t)
	inQueue(t, dir, func(q *outbox.Queue) error {
		for _, id := range []string{visitA, visitB} {
			if err := q.Put(t.Context(), outbox.Entry{ID: id, Subject: "ins.v1.visit", Payload: []byte("a visit")}); err != nil {
				return err
			}
		}
		return nil
	})
	return dir
}

func inQueue(t *testing.T, dir string, fn func(*outbox.Queue) error) {
	t.Helper()
	q, st, err := agent.OpenQueue(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fn(q), st.Close()); err != nil {
		t.Fatal(err)
	}
}

// damage changes the database without the program.
func damage(t *testing.T, dir string, fn func(outbox *bbolt.Bucket) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "visits.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return fn(tx.Bucket(store.OutboxBucket)) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedVisits: a visit that a disk damaged is never shown as accepted,
// and never called something that will be sent.
func TestDamagedVisits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		harm  func(*bbolt.Bucket) error
		state string
		id    string
	}{
		"contents": {func(b *bbolt.Bucket) error {
			k, v := b.Bucket([]byte("log")).Cursor().First()
			v = bytes.Clone(v)
			v[len(v)-1] ^= 1
			return b.Bucket([]byte("log")).Put(bytes.Clone(k), v)
		}, "queued", ""},
		"state": {func(b *bbolt.Bucket) error {
			return b.Bucket([]byte("queued")).Delete([]byte{0, 0, 0, 0, 0, 0, 0, 1})
		}, "lost", visitA},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := waiting(t)
			command(t, "queue", "check", "--data", dir).succeeded(t)
			damage(t, dir, tt.harm)
			q := queued(t, dir)
			if len(q) != 2 || !q[0].Damaged || q[0].State != tt.state || q[0].ID != tt.id || q[1].Damaged {
				t.Errorf("queue %+v", q)
			}
			got := command(t, "queue", "list", "--data", dir)
			got.succeeded(t)
			if strings.Count(got.stdout, "DAMAGED") != 1 || strings.Contains(got.stdout, "accepted") || strings.Contains(got.stdout, "0001-01-01") {
				t.Errorf("the list says:\n%s", got.stdout)
			}
			got = command(t, "queue", "check", "--data", dir)
			got.failed(t, fault.VisitDamaged)
			if !strings.Contains(got.stdout, "; 1 damaged\n") {
				t.Errorf("the check says:\n%s", got.stdout)
			}
			got = command(t, "queue", "send", "--data", dir, "--central", "nats://127.0.0.1:1", "--wait", "200ms")
			got.failed(t, fault.VisitDamaged)
			if !strings.Contains(got.stderr, "1 visits are damaged") {
				t.Errorf("standard error:\n%s", got.stderr)
			}
		})
	}
}

// TestOnlyDamagedIsLeft: nobody waits for what can never be sent.
func TestOnlyDamagedIsLeft(t *testing.T) {
	t.Parallel()
	dir := waiting(t)
	inQueue(t, dir, func(q *outbox.Queue) error {
		_, err := q.Verdict(t.Context(), contract.Verdict{Version: 1, Visit: visitB, State: contract.VerdictAccepted, At: time.Now()})
		return err
	})
	damage(t, dir, func(b *bbolt.Bucket) error {
		return b.Bucket([]byte("log")).Put([]byte{0, 0, 0, 0, 0, 0, 0, 1}, []byte("x"))
	})
	command(t, "queue", "send", "--data", dir, "--central", "nats://127.0.0.1:1", "--wait", "1h").failed(t, fault.VisitDamaged)
}

func TestRequeue(t *testing.T) {
	t.Parallel()
	dir := waiting(t)
	inQueue(t, dir, func(q *outbox.Queue) error {
		_, err := q.Verdict(t.Context(), contract.Verdict{Version: 1, Visit: visitA, State: contract.VerdictRejected, Reason: contract.ReasonTime, At: time.Now()})
		return err
	})
	for _, args := range [][]string{{}, {visitA, "--rejected"}, {visitA, visitB}, {"01890a5d-0000-774b-bcce-b302099a8057"}} {
		command(t, append([]string{"queue", "requeue", "--data", dir}, args...)...).failed(t, fault.Usage)
	}
	got := command(t, "queue", "requeue", "--data", dir, "--rejected")
	got.succeeded(t)
	if want := visitA + " was rejected, is queued\n1 visits put back\n"; got.stdout != want {
		t.Errorf("got %q, want %q", got.stdout, want)
	}
	got = command(t, "queue", "requeue", "--data", dir, visitA)
	got.succeeded(t)
	if want := visitA + " was queued, is queued\n"; got.stdout != want {
		t.Errorf("got %q, want %q", got.stdout, want)
	}
	inQueue(t, dir, func(q *outbox.Queue) error {
		_, err := q.Verdict(t.Context(), contract.Verdict{Version: 1, Visit: visitA, State: contract.VerdictAccepted, At: time.Now()})
		return err
	})
	command(t, "queue", "requeue", "--data", dir, visitA).failed(t, fault.Usage)
}

// TestSendSaysWhy: an agent that the server does not know is told so.
func TestSendSaysWhy(t *testing.T) {
	t.Parallel()
	other, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	key, err := other.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	server, err := natsd.Start(natsd.Options{Dir: t.TempDir(), Users: []natsd.User{{NKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	got := command(t, "queue", "send", "--data", waiting(t), "--central", server.ClientURL(), "--wait", "3s")
	got.failed(t, fault.CentralRefuses)
	if !strings.Contains(got.stderr, "2 visits wait") {
		t.Errorf("standard error:\n%s", got.stderr)
	}
	got = command(t, "demo", "--chip", chip.ProfileCCCDNoAA, "--data", t.TempDir(), "--central", server.ClientURL(), "--wait", "1s")
	got.failed(t, fault.CentralRefuses)
	if !strings.Contains(got.stdout, "verdict  RECORDED\n") {
		t.Errorf("standard output:\n%s", got.stdout)
	}
}

// TestInterruptedWhileWaiting: what was recorded stays so, and is not to be
// made again.
func TestInterruptedWhileWaiting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errs bytes.Buffer
	out := &trigger{word: "recorded visit", then: cancel}
	exit := cli.Main(ctx, []string{"demo", "--chip", chip.ProfileCCCDNoAA, "--data", dir, "--central", "nats://127.0.0.1:1"}, strings.NewReader(""), out, &errs)
	got := ended{exit, out.String(), errs.String()}
	got.failed(t, fault.VisitWaiting)
	if !strings.Contains(got.stdout, "verdict  RECORDED\n") || strings.Contains(got.stderr, fault.About(fault.Cancelled).Remedy) {
		t.Errorf("standard output:\n%s\nstandard error:\n%s", got.stdout, got.stderr)
	}
	if q := queued(t, dir); len(q) != 1 || q[0].State != "queued" {
		t.Errorf("queue %+v", q)
	}
}

// TestNothingGivenIsRepeated: a person's number in the wrong place of a command
// line does not get into what standard error is kept in.
func TestNothingGivenIsRepeated(t *testing.T) {
	t.Parallel()
	const number = "001099000001"
	dir := usedDir(t)
	for _, args := range [][]string{
		{number},
		{"demo", number},
		{"queue", number},
		{"chip", number},
		{"demo", "--wait=" + number},
		{"demo", "--" + number},
		{"demo", "-" + number},
		{"demo", "--json=" + number},
		{"demo", "--person", number},
		{"demo", "--chip", number},
		{"demo", "--tamper", number},
		{"demo", "--central", number},
		{"read", number},
		{"read", "--can", number},
		{"read", "--mrz", number},
		{"read", "--qr", number},
		{"read", "--timeout", number},
		{"chip", "serve", "--vpcd", number},
		{"queue", "requeue", "--data", dir, number},
		{"queue", "requeue", number},
	} {
		got := command(t, args...)
		if got.exit == 0 || got.exit == 1 || strings.Contains(got.stdout+got.stderr, number) {
			t.Errorf("%q: exit status %d\n%s%s", args, got.exit, got.stdout, got.stderr)
		}
	}
}

// TestKeptFiles: what a data directory keeps for the next run is written whole,
// private, and without leftovers.
func TestKeptFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		command(t, "demo", "--chip", chip.ProfileCCCDNoAA, "--data", dir, "--central", "nats://127.0.0.1:1", "--wait", "10ms").failed(t, fault.VisitWaiting)
	}
	var names []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if strings.HasPrefix(path, filepath.Join(dir, "trust")) {
			want = 0o644 // certificates are public
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: mode %v", e.Name(), info.Mode())
		}
		names = append(names, e.Name())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, ".") {
			t.Errorf("left over: %s", n)
		}
	}
	if len(names) < 6 {
		t.Errorf("files %q", names)
	}
}

// TestTwoDemos: the second one does not start a server on the first one's store.
func TestTwoDemos(t *testing.T) {
	t.Parallel()
	dir := usedDir(t)
	a := open(t, dir)
	defer a.Close()
	command(t, "demo", "--chip", chip.ProfileCCCDNoAA, "--data", dir).failed(t, fault.StoreLocked)
	if _, err := os.Stat(filepath.Join(dir, "central", "jetstream")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a server was started: %v", err)
	}
}
