package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zalando/go-keyring"
	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// insured answers for everybody, or fails the test.
type insured struct{ silent bool }

func (i insured) Ask(_ context.Context, r contract.LookupRequest) (contract.LookupResponse, error) {
	if i.silent {
		return contract.LookupResponse{}, errors.New("no link")
	}
	at := time.Now().UTC().Truncate(time.Second)
	return contract.LookupResponse{
		Version: contract.Version, At: at,
		Entitlement: contract.Entitlement{Source: contract.SourceCentral, AsOf: at, Status: contract.StatusValid, Code: "000", CardNumber: "GD4010100000001", From: "2026-01-01", To: "2026-12-31"},
		Person:      &contract.Insured{Number: r.Number, Name: r.Name, BirthDate: r.BirthDate},
	}, nil
}

// opened is a data directory with everything that is sealed in it.
type opened struct {
	t      testing.TB
	store  *store.Store
	queue  *outbox.Queue
	lookup *lookup.Service
	trail  *audit.Log
	limits *limits.Store
}

// openSealed opens a data directory with the key that it says it has.
func openSealed(t testing.TB, dir string, ask insured) *opened {
	t.Helper()
	where, err := agent.KeyOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	var slot seal.Slot = seal.KeyFile(filepath.Join(dir, "seal.key"))
	if where.Source == agent.InKeyring {
		slot = seal.Keyring{Service: where.Service, Account: where.Account}
	}
	m, err := slot.Load()
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(m)
	if err != nil {
		t.Fatal(err)
	}
	o := &opened{t: t}
	if o.store, err = store.Open(filepath.Join(dir, "visits.db"), nil); err != nil {
		t.Fatal(err)
	}
	if o.queue, err = outbox.Open(o.store, s, nil); err != nil {
		t.Fatal(err)
	}
	if o.lookup, err = lookup.Open(lookup.Config{Store: o.store, Sealer: s, Asker: ask}); err != nil {
		t.Fatal(err)
	}
	o.trail, o.limits = audit.New(o.store, s, nil), limits.New(o.store, s)
	return o
}

func (o *opened) close() {
	o.t.Helper()
	o.lookup.Close()
	if err := o.store.Close(); err != nil {
		o.t.Fatal(err)
	}
}

func entry(i int) outbox.Entry {
	return outbox.Entry{
		ID: fmt.Sprintf("visit-%04d", i), Subject: "ins.v1.visit.01013.A", Header: map[string][]string{"Nats-Msg-Id": {strconv.Itoa(i)}},
		Payload: bytes.Repeat([]byte{byte(i), byte(i >> 8), 1}, 500),
	}
}

func request(i int) lookup.Request {
	return lookup.Request{Number: fmt.Sprintf("0010990%05d", i), Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"}
}

const (
	filledVisits  = 24
	filledAnswers = 10
)

// fill makes a directory with visits in every state, answers and a trail.
func fill(t testing.TB, dir string, keys seal.KeySource) {
	t.Helper()
	cfg := config(dir)
	cfg.Keys = keys
	a, err := agent.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	o := openSealed(t, dir, insured{})
	defer o.close()
	ctx := context.Background()
	var verdicts []contract.Verdict
	var acks []outbox.Ack
	for i := range filledVisits {
		e := entry(i)
		if err := o.queue.Put(ctx, e); err != nil {
			t.Fatal(err)
		}
		v := contract.Verdict{Visit: e.ID, At: time.Now().UTC().Truncate(time.Millisecond), State: contract.VerdictRejected, Reason: contract.ReasonPersonMismatch}
		switch i % 4 {
		case 0:
			continue
		case 1:
			v.State, v.Reason = contract.VerdictAccepted, ""
			verdicts = append(verdicts, v)
		case 2:
			verdicts = append(verdicts, v)
		}
		acks = append(acks, outbox.Ack{ID: e.ID, Stream: "VISITS", Seq: uint64(i + 1)})
	}
	if err := o.queue.MarkStored(ctx, acks...); err != nil {
		t.Fatal(err)
	}
	if _, err := o.queue.Verdict(ctx, verdicts...); err != nil {
		t.Fatal(err)
	}
	if n, err := o.queue.Purge(ctx, time.Now().Add(time.Hour), 3); err != nil || n != 3 {
		t.Fatalf("%d purged: %v", n, err)
	}
	for i := range filledAnswers {
		if _, err := o.lookup.Lookup(ctx, request(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		if err := o.trail.Append(ctx, audit.Entry{Actor: "le-tan", Action: audit.VisitShown, Object: entry(i).ID}); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.limits.Save(ctx, reader.LimitKey{Reader: "Model", ATR: "3B00"}, reader.Limits{MaxNe: 231, Learned: time.Now()}); err != nil {
		t.Fatal(err)
	}
}

// contents is everything that a person can get out of a directory.
type dirContents struct {
	Items   []outbox.Item
	Entries []outbox.Entry
	Stats   outbox.Stats
	Answers []lookup.Answer
	Trail   []audit.Entry
}

func contentsOf(t testing.TB, dir string) dirContents {
	t.Helper()
	o := openSealed(t, dir, insured{silent: true})
	defer o.close()
	ctx := context.Background()
	var c dirContents
	var err error
	if c.Items, err = o.queue.List(ctx, 0, 0, 1000); err != nil {
		t.Fatal(err)
	}
	for _, i := range c.Items {
		e, _, err := o.queue.Get(ctx, i.ID)
		if err != nil {
			t.Fatal(err)
		}
		c.Entries = append(c.Entries, e)
		if err := o.queue.Put(ctx, outbox.Entry{ID: e.ID, Subject: e.Subject, Payload: e.Payload}); err != nil {
			t.Errorf("put again: %v", err)
		}
		if err := o.queue.Put(ctx, outbox.Entry{ID: e.ID, Subject: e.Subject, Payload: []byte("other")}); !errors.Is(err, outbox.ErrConflict) {
			t.Errorf("put another: %v", err)
		}
	}
	if c.Stats, err = o.queue.Stats(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range filledAnswers {
		a, err := o.lookup.Lookup(ctx, request(i))
		if err != nil {
			t.Fatal(err)
		}
		a.Age, a.Cause = 0, nil
		c.Answers = append(c.Answers, a)
	}
	if _, err := o.trail.Verify(ctx); err != nil {
		t.Errorf("the trail: %v", err)
	}
	if c.Trail, err = o.trail.List(ctx, 0, 1000); err != nil {
		t.Fatal(err)
	}
	return c
}

// rotated compares a directory with what it was: the trail has grown.
func rotated(t testing.TB, before, after dirContents, rotations int) {
	t.Helper()
	if len(after.Trail) != len(before.Trail)+rotations {
		t.Errorf("%d entries in the trail, want %d", len(after.Trail), len(before.Trail)+rotations)
	}
	after.Trail = after.Trail[:min(len(before.Trail), len(after.Trail))]
	// Comparing bytes one by one takes long, and they are the same as a rule.
	if !reflect.DeepEqual(before, after) {
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("not as before (-before +after):\n%s", diff)
		}
	}
}

// files returns the names in a directory.
func files(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestRotateKey(t *testing.T) {
	keyring.MockInit()
	inFile := []string{"agent.nk", "seal.key", "visits.db"}
	inKeyring := []string{"agent.nk", "key.json", "visits.db"}
	tests := []struct {
		name  string
		keys  seal.KeySource
		to    string
		files []string
	}{
		{"file", nil, "", inFile},
		{"file to file", nil, agent.InFile, inFile},
		{"file to keyring", nil, agent.InKeyring, inKeyring},
		{"keyring", seal.Keyring{}, "", inKeyring},
		{"keyring to file", seal.Keyring{}, agent.InFile, inFile},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir, tt.keys)
			before := contentsOf(t, dir)
			where, err := agent.KeyOf(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "visits.db.v1.bak"), []byte("sealed with the old key"), 0o600); err != nil {
				t.Fatal(err)
			}
			oldFile, _ := os.ReadFile(filepath.Join(dir, "seal.key"))
			n, err := agent.RotateKey(t.Context(), dir, agent.Rotate{Actor: "it", To: tt.to})
			if err != nil {
				t.Fatal(err)
			}
			if n.Old == n.New || n.Visits.Entries != filledVisits-3 || n.Visits.Forgotten != 3 || n.Visits.Damaged != 0 || n.Answers != filledAnswers || n.AnswersLeft != 0 {
				t.Errorf("rotation %+v", n)
			}
			if got := files(t, dir); !slices.Equal(got, tt.files) {
				t.Errorf("files %q, want %q", got, tt.files)
			}
			if newFile, _ := os.ReadFile(filepath.Join(dir, "seal.key")); oldFile != nil && bytes.Equal(newFile, oldFile) {
				t.Error("the same key")
			}
			if where.Source == agent.InKeyring {
				if _, err := (seal.Keyring{Service: where.Service, Account: where.Account}).Load(); !errors.Is(err, seal.ErrNoKey) {
					t.Errorf("the old key is in the keyring: %v", err)
				}
			}
			after := contentsOf(t, dir)
			rotated(t, before, after, 1)
			last := after.Trail[len(after.Trail)-1]
			if last.Action != audit.KeyRotated || last.Actor != "it" || !strings.Contains(last.Note, n.Trail.Head) || n.Trail.Head == "" {
				t.Errorf("last entry %+v, head %s", last, n.Trail.Head)
			}
			// No value and no hash of before is in the new file.
			raw, err := os.ReadFile(filepath.Join(dir, "visits.db"))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(raw, n.Old[:]) || !bytes.Contains(raw, n.New[:]) {
				t.Error("something is still sealed with the old key")
			}
			// And once more, from where it is now; then an agent works with it.
			if _, err := agent.RotateKey(t.Context(), dir, agent.Rotate{Actor: "it"}); err != nil {
				t.Fatal(err)
			}
			rotated(t, before, contentsOf(t, dir), 2)
			open(t, dir)
		})
	}
}

// TestRotateRefuses: what would lose something changes nothing.
func TestRotateRefuses(t *testing.T) {
	t.Parallel()
	corrupt := func(bucket ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			change(t, dir, func(tx *bbolt.Tx) error {
				b := tx.Bucket([]byte(bucket[0]))
				for _, name := range bucket[1:] {
					b = b.Bucket([]byte(name))
				}
				k, v := b.Cursor().First()
				v = bytes.Clone(v)
				v[len(v)-1] ^= 1
				return b.Put(bytes.Clone(k), v)
			})
		}
	}
	tests := []struct {
		name string
		do   func(t *testing.T, dir string)
		to   agent.Rotate
		want error
	}{
		{"damaged visit", corrupt("outbox", "log"), agent.Rotate{Actor: "it"}, agent.ErrDamagedVisits},
		{"broken trail", corrupt("audit"), agent.Rotate{Actor: "it"}, audit.ErrBroken},
		{"unknown bucket", func(t *testing.T, dir string) {
			change(t, dir, func(tx *bbolt.Tx) error {
				_, err := tx.CreateBucket([]byte("tomorrow"))
				return err
			})
		}, agent.Rotate{Actor: "it"}, agent.ErrUnknownData},
		{"unknown data in the queue", func(t *testing.T, dir string) {
			change(t, dir, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("outbox")).Put([]byte("tomorrow"), []byte{1}) })
		}, agent.Rotate{Actor: "it"}, outbox.ErrUnknown},
		{"missing key", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "seal.key")); err != nil {
				t.Fatal(err)
			}
		}, agent.Rotate{Actor: "it"}, agent.ErrKeyMissing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			fill(t, dir, nil)
			tt.do(t, dir)
			names, db := files(t, dir), read(t, filepath.Join(dir, "visits.db"))
			if _, err := agent.RotateKey(t.Context(), dir, tt.to); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if got := files(t, dir); !slices.Equal(got, names) {
				t.Errorf("files %q, before %q", got, names)
			}
			// Opening the queue writes one transaction, and no more.
			if got := read(t, filepath.Join(dir, "visits.db")); len(got) != len(db) {
				t.Errorf("%d bytes, before %d", len(got), len(db))
			}
		})
	}
	t.Run("a damaged visit that is given up", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		fill(t, dir, nil)
		corrupt("outbox", "log")(t, dir)
		n, err := agent.RotateKey(t.Context(), dir, agent.Rotate{Actor: "it", LoseDamaged: true})
		if err != nil || n.Visits.Damaged != 1 {
			t.Fatalf("%+v, %v", n, err)
		}
		o := openSealed(t, dir, insured{silent: true})
		defer o.close()
		if d, err := o.queue.Damaged(t.Context()); err != nil || d != 1 {
			t.Errorf("%d damaged, %v", d, err)
		}
	})
	t.Run("a running agent", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		open(t, dir)
		if _, err := agent.RotateKey(t.Context(), dir, agent.Rotate{Actor: "it"}); !errors.Is(err, store.ErrLocked) {
			t.Errorf("%v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		fill(t, dir, nil)
		before := contentsOf(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := agent.RotateKeyStep(ctx, dir, agent.Rotate{Actor: "it"}, func(step string) {
			if step == "answers" {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if got := files(t, dir); !slices.Equal(got, []string{"agent.nk", "seal.key", "visits.db"}) {
			t.Errorf("files %q", got)
		}
		rotated(t, before, contentsOf(t, dir), 0)
	})
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// change changes the raw file of a directory.
func change(t *testing.T, dir string, fn func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "visits.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// stepVariable names the step before which the process that rotates a key kills
// itself: a name, or a number of microseconds after its start.
const stepVariable = "CHAMTHE_TEST_STEP"

// rotateProcess rotates the key of dir and is killed meanwhile.
func rotateProcess(dir, step string) error {
	die := func() { _ = killSelf() }
	if µs, err := strconv.Atoi(step); err == nil {
		time.AfterFunc(time.Duration(µs)*time.Microsecond, die)
	}
	_, err := agent.RotateKeyStep(context.Background(), dir, agent.Rotate{Actor: "it"}, func(name string) {
		if name == step {
			die()
		}
	})
	return err
}

func killSelf() error {
	p, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := p.Kill(); err != nil {
		return err
	}
	select {} // until the signal has arrived
}

// killedRotation runs a rotation in a process of its own and reports whether it was
// killed.
func killedRotation(t *testing.T, dir, step string) bool {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVariable+"=rotate", dirVariable+"="+dir, stepVariable+"="+step)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == -1 {
		return true
	}
	if err != nil {
		t.Fatalf("before %s: %v\n%s", step, err, out)
	}
	return false
}

// TestRotateKilled kills a rotation before each of its steps, and then at random
// moments: the directory opens afterwards, with everything in it, under one key.
// CHAMTHE_CRASH_KILLS says how many random moments; 8 when unset.
func TestRotateKilled(t *testing.T) {
	t.Parallel()
	kills := 8
	if s := os.Getenv(killsVariable); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil || kills < 1 {
			t.Fatalf("%s: %v", killsVariable, err)
		}
	}
	dir := t.TempDir()
	fill(t, dir, nil)
	before := contentsOf(t, dir)
	rotations := 0
	// after opens what a kill left, and looks whether it is all there.
	after := func(step string) {
		t.Helper()
		a, err := agent.Open(config(dir))
		if err != nil {
			t.Fatalf("killed before %s: %v; files %q", step, err, files(t, dir))
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		got := contentsOf(t, dir)
		if n := len(got.Trail) - len(before.Trail) - rotations; n == 1 || n == 2 && strings.HasSuffix(step, "µs") {
			rotations += n
		}
		rotated(t, before, got, rotations)
		if names := files(t, dir); len(names) != 4 {
			// What a killed process was just making is removed a minute later.
			for _, name := range names {
				if ok, _ := filepath.Match(".*-*", name); !ok && !slices.Contains([]string{"agent.nk", "seal.key", "visits.db"}, name) {
					t.Errorf("killed before %s: %q is left", step, name)
				}
			}
		}
		if t.Failed() {
			t.Fatalf("killed before %s", step)
		}
	}
	var names []string
	start := time.Now()
	if _, err := agent.RotateKeyStep(t.Context(), dir, agent.Rotate{Actor: "it"}, func(s string) { names = append(names, s) }); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(start)
	after("nothing")
	if len(names) < 13 {
		t.Fatalf("steps %q", names)
	}
	for _, step := range names {
		was := rotations
		if !killedRotation(t, dir, step) {
			t.Fatalf("not killed before %s", step)
		}
		after(step)
		if done := slices.Index(names, step) > slices.Index(names, "switch"); done != (rotations > was) {
			t.Errorf("killed before %s: rotated %v", step, rotations > was)
		}
	}
	killed := 0
	for i := range kills {
		at := strconv.FormatInt(rand.Int64N(whole.Microseconds()*3/2), 10)
		// How long a rotation takes depends on what else the machine does: most kills
		// are to fall into it.
		if killedRotation(t, dir, at) {
			killed++
			whole += whole / 8
		} else {
			whole -= whole / 4
		}
		// Every other time the next process finds what the last one left, and is
		// killed itself.
		if i%2 == 0 || i == kills-1 {
			after(at + " µs")
		}
	}
	t.Logf("%d steps, %d of %d kills at random moments, %d rotations, %d visits there", len(names), killed, kills, rotations, len(before.Items))
}

// TestKeyringOfDirectory: the directory remembers that its key is in the keyring.
func TestKeyringOfDirectory(t *testing.T) {
	keyring.MockInit()
	inKeyring(t)

	// A keyring that is not there is a fault, and no key in a file.
	t.Run("gone", func(t *testing.T) {
		dir := t.TempDir()
		cfg := config(dir)
		cfg.Keys = seal.Keyring{}
		openWith(t, cfg).Close()
		keyring.MockInitWithError(errors.New("no session bus"))
		noKeyring(t, dir)
		keyring.MockInit() // empty: the key is lost
		if _, err := agent.Open(config(dir)); !errors.Is(err, agent.ErrKeyMissing) {
			t.Errorf("a keyring without the key: %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, "seal.key")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a key file: %v", err)
		}
	})
}

// TestKeyFileElsewhere: a key file that only the configuration knows of is not made
// beside data either.
func TestKeyFileElsewhere(t *testing.T) {
	dir, file := t.TempDir(), seal.KeyFile(filepath.Join(t.TempDir(), "other.key"))
	cfg := config(dir)
	cfg.Keys = file
	openWith(t, cfg).Close()
	openWith(t, cfg).Close()
	if got := files(t, dir); slices.Contains(got, "seal.key") {
		t.Errorf("files %q", got)
	}
	if _, err := agent.RotateKey(t.Context(), dir, agent.Rotate{Actor: "it"}); !errors.Is(err, agent.ErrKeyMissing) {
		t.Errorf("RotateKey: %v", err)
	}
	if err := os.Remove(string(file)); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Open(cfg); !errors.Is(err, agent.ErrKeyMissing) {
		t.Errorf("Open: %v", err)
	}
	if _, err := os.Stat(string(file)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("another key was made: %v", err)
	}
}

// FuzzKeyOf: what stands in key.json is a place, or an error, and never a place in
// the key file by mistake.
func FuzzKeyOf(f *testing.F) {
	for _, s := range []string{
		`{"source":"keyring","service":"chamthe","account":"0123456789abcdef"}`, `{"source":"file"}`, `{"source":"keyring"}`, `{}`, ``, `null`,
		`{"source":"cloud"}`, `{"source":"file","more":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "key.json"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := agent.KeyOf(dir)
		switch {
		case err != nil:
			if !errors.Is(err, agent.ErrKeySource) || k != (agent.KeySource{}) {
				t.Errorf("%+v, %v", k, err)
			}
		case k.Source == agent.InFile:
			if !bytes.Contains(content, []byte("file")) && !bytes.Contains(content, []byte(`\u`)) {
				t.Errorf("%q is a key file", content)
			}
		case k.Source != agent.InKeyring || k.Service == "" || k.Account == "":
			t.Errorf("%+v", k)
		}
	})
}

// inKeyring works with a directory whose key is in the keyring that there is.
func inKeyring(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	cfg := config(dir)
	cfg.Keys = seal.Keyring{Service: "chamthe-test"}
	a := openWith(t, cfg)
	if err := a.Queue().Put(t.Context(), entry(1)); err != nil {
		t.Fatal(err)
	}
	a.Close()
	where, err := agent.KeyOf(dir)
	if err != nil || where.Source != agent.InKeyring || where.Service != "chamthe-test" || where.Account == "" {
		t.Fatalf("%+v, %v", where, err)
	}
	t.Cleanup(func() {
		if where, err := agent.KeyOf(dir); err == nil {
			_ = seal.Keyring{Service: where.Service, Account: where.Account}.Destroy()
		}
	})
	if got := files(t, dir); slices.Contains(got, "seal.key") {
		t.Errorf("files %q", got)
	}
	// Without being told, and when told again.
	for _, keys := range []seal.KeySource{nil, seal.Keyring{}, seal.Keyring{Service: where.Service, Account: where.Account}} {
		cfg.Keys = keys
		a := openWith(t, cfg)
		if _, _, err := a.Queue().Get(t.Context(), entry(1).ID); err != nil {
			t.Errorf("%v: %v", keys, err)
		}
		a.Close()
	}
	// Told otherwise.
	for _, keys := range []seal.KeySource{seal.Keyring{Account: "other"}, seal.KeyFile(filepath.Join(dir, "seal.key")), seal.NewMemoryKey()} {
		cfg.Keys = keys
		if _, err := agent.Open(cfg); !errors.Is(err, agent.ErrKeySource) {
			t.Errorf("%T: %v", keys, err)
		}
	}
	// A directory with a key file does not go over to the keyring by itself.
	other := config(t.TempDir())
	openWith(t, other).Close()
	other.Keys = seal.Keyring{}
	if _, err := agent.Open(other); !errors.Is(err, agent.ErrKeySource) {
		t.Errorf("from file to keyring: %v", err)
	}
	if _, err := agent.RotateKey(t.Context(), dir, agent.Rotate{Actor: "it"}); err != nil {
		t.Fatal(err)
	}
	q, st, err := agent.OpenQueue(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := q.Get(t.Context(), entry(1).ID); err != nil {
		t.Error(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.DestroyKey(t.Context(), dir, agent.Destroy{Actor: "it", LoseVisits: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Open(config(dir)); !errors.Is(err, agent.ErrErased) {
		t.Errorf("erased: %v", err)
	}
}

// noKeyring looks at what is said without a keyring: in a directory that needs it,
// and in a new one that is to use it.
func noKeyring(t *testing.T, dir string) {
	t.Helper()
	fresh := config(t.TempDir())
	fresh.Keys = seal.Keyring{}
	for _, cfg := range []agent.Config{config(dir), fresh} {
		names := []string{"agent.nk"}
		if cfg.Keys == nil {
			names = files(t, cfg.Dir)
		}
		if _, err := agent.Open(cfg); !errors.Is(err, seal.ErrNoKeyring) {
			t.Errorf("Open: %v", err)
		}
		if got := files(t, cfg.Dir); !slices.Equal(got, names) {
			t.Errorf("files %q, before %q", got, names)
		}
	}
}

// What the machine has; see .ci/keyring-run.
const (
	keyringVariable   = "CHAMTHE_TEST_KEYRING"
	noKeyringVariable = "CHAMTHE_TEST_NO_KEYRING"
)

func TestKeyringOfTheSystem(t *testing.T) {
	if os.Getenv(keyringVariable) == "" {
		t.Skipf("no %s: this machine may have no keyring; make keyring starts one", keyringVariable)
	}
	inKeyring(t)
}

func TestNoKeyringOfTheSystem(t *testing.T) {
	if os.Getenv(noKeyringVariable) == "" {
		t.Skipf("no %s: this machine may have a keyring; make keyring runs this without", noKeyringVariable)
	}
	dir := t.TempDir()
	open(t, dir).Close()
	if err := os.Remove(filepath.Join(dir, "seal.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key.json"), []byte(`{"source":"keyring","service":"chamthe","account":"1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	noKeyring(t, dir)
}

// TestDestroyKeyKeepsRejected: a rejected visit may be sent again once the reason is
// gone, so it is not lost without a word.
func TestDestroyKeyKeepsRejected(t *testing.T) {
	dir := t.TempDir()
	if _, err := seal.KeyFile(filepath.Join(dir, "seal.key")).MasterKey(); err != nil {
		t.Fatal(err)
	}
	o := openSealed(t, dir, insured{silent: true})
	e := entry(1)
	if err := o.queue.Put(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	v := contract.Verdict{Version: contract.Version, Visit: e.ID, State: contract.VerdictRejected, Reason: contract.ReasonTime, At: time.Now()}
	if _, err := o.queue.Verdict(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	o.close()
	if r, err := agent.DestroyKey(t.Context(), dir, agent.Destroy{Actor: "it"}); !errors.Is(err, agent.ErrUnsent) || r.Unsent != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestDestroyKey(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, nil)
	before := contentsOf(t, dir)
	copied := read(t, filepath.Join(dir, "seal.key"))
	if err := os.Link(filepath.Join(dir, "seal.key"), filepath.Join(dir, ".key-1")); err != nil {
		t.Fatal(err)
	}
	// Not while visits wait.
	r, err := agent.DestroyKey(t.Context(), dir, agent.Destroy{Actor: "it"})
	if !errors.Is(err, agent.ErrUnsent) || r.Unsent != before.Stats.Queued+before.Stats.Stored+before.Stats.Rejected || r.Unsent == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if after := contentsOf(t, dir); cmp.Diff(before, after) != "" {
		t.Error("a refusal has changed something")
	}
	r, err = agent.DestroyKey(t.Context(), dir, agent.Destroy{Actor: "it", LoseVisits: true})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"queued": before.Stats.Queued, "stored": before.Stats.Stored, "accepted": before.Stats.Accepted, "rejected": before.Stats.Rejected}
	if !maps.Equal(r.Visits, want) || r.Unsent != want["queued"]+want["stored"]+want["rejected"] || !r.KeyFound || len(r.Files) < 2 {
		t.Errorf("remains %+v", r)
	}
	if got := files(t, dir); !slices.Equal(got, []string{"agent.nk", "erased.json", "visits.db"}) {
		t.Errorf("files %q", got)
	}
	var said agent.Remains
	if err := json.Unmarshal(read(t, filepath.Join(dir, "erased.json")), &said); err != nil || !cmp.Equal(said, r) {
		t.Errorf("erased.json: %v\n%s", err, cmp.Diff(said, r))
	}
	for name, try := range map[string]func() error{
		"Open":      func() error { _, err := agent.Open(config(dir)); return err },
		"OpenQueue": func() error { _, _, err := agent.OpenQueue(dir); return err },
		"RotateKey": func() error { _, err := agent.RotateKey(t.Context(), dir, agent.Rotate{Actor: "it"}); return err },
	} {
		if err := try(); !errors.Is(err, agent.ErrErased) || !errors.Is(err, agent.ErrKeyMissing) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Only who copied the key before can read it: what is there is still sealed, and
	// it was the key that opened it.
	if err := os.WriteFile(filepath.Join(dir, "seal.key"), copied, 0o600); err != nil {
		t.Fatal(err)
	}
	if after := contentsOf(t, dir); len(after.Items) != len(before.Items) || after.Trail[len(after.Trail)-1].Action != audit.DataErased {
		t.Error("the control finds something else")
	}
	if err := os.WriteFile(filepath.Join(dir, "seal.key"), make([]byte, seal.MasterSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Open(config(dir)); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
	// Again: nothing is left to destroy but that.
	if r, err := agent.DestroyKey(t.Context(), dir, agent.Destroy{Actor: "it", LoseVisits: true}); err != nil || r.Visits != nil {
		t.Errorf("again: %+v, %v", r, err)
	}
}

// TestRetain: accepted visits, answers and backups go when their time has come, and
// nothing else does.
func TestRetain(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, nil)
	before := contentsOf(t, dir)
	old, young := filepath.Join(dir, "visits.db.v1.bak"), filepath.Join(dir, "visits.db.v2.bak")
	for _, name := range []string{old, young} {
		if err := os.WriteFile(name, []byte("sealed"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	longAgo := time.Now().Add(-agent.DefaultBackups - time.Hour)
	if err := os.Chtimes(old, longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir)
	if err := a.Retain(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if s, err := a.Queue().Stats(t.Context()); err != nil || s != before.Stats {
		t.Errorf("too early: %+v, %v", s, err)
	}
	if got := files(t, dir); slices.Contains(got, filepath.Base(old)) || !slices.Contains(got, filepath.Base(young)) {
		t.Errorf("files %q", got)
	}
	if err := a.Retain(t.Context(), time.Now().Add(agent.DefaultVisits+time.Hour)); err != nil {
		t.Fatal(err)
	}
	s, err := a.Queue().Stats(t.Context())
	want := before.Stats
	want.Accepted = 0
	if err != nil || s != want {
		t.Errorf("stats %+v, %v, want %+v", s, err, want)
	}
	a.Close()
	after := contentsOf(t, dir)
	var erased []string
	for _, e := range after.Trail[len(before.Trail):] {
		if e.Action != audit.DataErased {
			t.Errorf("trail: %+v", e)
		}
		erased = append(erased, e.Object+": "+e.Note)
	}
	if want := []string{
		"copies of the store: 1, older than 720h0m0s",
		fmt.Sprintf("accepted visits: %d, older than 720h0m0s", before.Stats.Accepted),
		"copies of the store: 1, older than 720h0m0s",
	}; !slices.Equal(erased, want) {
		t.Errorf("trail %q, want %q", erased, want)
	}

	// What it keeps no time goes as soon as the central service has said that the
	// clock by which it is old is right: then by itself, or when it is told to.
	key, err := agent.Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := newCentre(t, key)
	cfg := config(dir)
	cfg.URLs, cfg.Retention.Answers = []string{c.url()}, time.Nanosecond
	a = openWith(t, cfg)
	if err := a.Retain(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := a.CachedAnswers(); err != nil || n != filledAnswers {
		t.Errorf("%d answers by a clock that nobody vouches for, %v", n, err)
	}
	c.start()
	stop := run(t, a)
	limited, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.Wait(limited, func() (bool, error) {
		got, err := a.LookUp(limited, request(filledAnswers))
		return got.Entitlement.Source == contract.SourceCentral, err
	}); err != nil {
		t.Fatalf("%v; log:\n%s", err, c.log)
	}
	if err := a.Retain(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := a.CachedAnswers(); err != nil || n != 0 {
		t.Errorf("%d answers, %v", n, err)
	}
	stop()
	a.Close()
	_, log, st, err := agent.OpenTrail(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	entries, err := log.List(t.Context(), uint64(len(after.Trail)), 10)
	i := slices.IndexFunc(entries, func(e audit.Entry) bool { return e.Object == "cached answers" })
	if err != nil || i < 0 || entries[i].Note != fmt.Sprintf("%d, older than 1ns", filledAnswers+1) {
		t.Errorf("trail %+v, %v", entries, err)
	}
}

// TestRetainGoesOn: a copy that cannot be removed keeps no other, and is not counted.
func TestRetainGoesOn(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	stuck, old := filepath.Join(dir, "visits.db.v1.bak"), filepath.Join(dir, "visits.db.v2.bak")
	if err := os.MkdirAll(filepath.Join(stuck, "x"), 0o700); err != nil { // as one that is open elsewhere, on Windows
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte("sealed"), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(agent.DefaultBackups + time.Hour)
	for range 2 {
		if err := a.Retain(t.Context(), later); err == nil {
			t.Error("the copy that stays is not told of")
		}
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the other copy: %v", err)
	}
	a.Close()
	var erased []string
	for _, e := range contentsOf(t, dir).Trail {
		if e.Action == audit.DataErased {
			erased = append(erased, e.Note)
		}
	}
	if want := []string{"1, older than 720h0m0s"}; !slices.Equal(erased, want) {
		t.Errorf("trail %q, want %q", erased, want)
	}
}
