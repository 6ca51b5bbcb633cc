package operator_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/text/unicode/norm"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/operator"
	"github.com/chamthe/chamthe/agent/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is what operators work with.
type desk struct {
	mu    sync.Mutex
	now   time.Time
	trail []string
	fail  error
	file  operator.File
}

func newDesk(t *testing.T) *desk {
	return &desk{now: time.Date(2026, time.November, 22, 7, 0, 0, 0, time.UTC), file: operator.File(filepath.Join(t.TempDir(), "operators.json"))}
}

func (d *desk) config() operator.Config {
	return operator.Cheap(operator.Config{
		Store: d.file,
		Audit: func(_ context.Context, entries ...audit.Entry) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.fail != nil {
				return d.fail
			}
			for _, e := range entries {
				d.trail = append(d.trail, strings.TrimSpace(string(e.Action)+" "+e.Object+" "+e.Note))
			}
			return nil
		},
		Now: func() time.Time {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.now
		},
	})
}

func (d *desk) open(t *testing.T, change func(*operator.Config)) *operator.Operators {
	t.Helper()
	cfg := d.config()
	if change != nil {
		change(&cfg)
	}
	o, err := operator.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (d *desk) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

func TestPIN(t *testing.T) {
	d := newDesk(t)
	o := d.open(t, nil)
	ctx := t.Context()
	if err := o.SetPIN(ctx, "it", "Lan", "2580"); err != nil {
		t.Fatal(err)
	}
	in, err := o.SignIn(ctx, wire.SignIn{Name: " Lan ", PIN: "2580"})
	if err != nil || in != (wire.Operator{Name: "Lan", How: operator.HowPIN}) || o.Current() != "Lan" {
		t.Fatalf("signed in: %v, %+v", err, in)
	}
	if err := o.SignOut(ctx); err != nil || o.Current() != "" {
		t.Errorf("signed out: %v, %q", err, o.Current())
	}
	if err := o.SignOut(ctx); err != nil {
		t.Errorf("signed out twice: %v", err)
	}
	for _, in := range []wire.SignIn{{Name: "Lan", PIN: "2581"}, {Name: "Lan"}, {Name: "Hoa", PIN: "2580"}, {Name: "lan"}} {
		if _, err := o.SignIn(ctx, in); !errors.Is(err, operator.ErrDenied) || o.Current() != "" {
			t.Errorf("%q with a PIN of %d digits: %v", in.Name, len(in.PIN), err)
		}
	}
	want := []string{
		"operator_changed Lan PIN set", "operator_signed_in Lan pin", "operator_signed_out Lan",
		"operator_refused Lan", "operator_refused Hoa",
	}
	if !slices.Equal(d.trail, want) {
		t.Errorf("trail %q", d.trail)
	}
	b, err := os.ReadFile(string(d.file))
	if err != nil || strings.Contains(string(b), "2580") || !strings.Contains(string(b), "Lan") {
		t.Errorf("the file: %v", err)
	}
	if info, err := os.Stat(string(d.file)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode: %v, %v", err, info.Mode())
	}

	// Another process knows the same people, until one is taken out.
	o = d.open(t, nil)
	if _, err := o.SignIn(ctx, wire.SignIn{Name: "Lan", PIN: "2580"}); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := o.Remove(ctx, "it", "Lan"); err != nil || o.Current() != "" || len(o.Names()) != 0 {
		t.Errorf("taken out: %v, current %q", err, o.Current())
	}
	if err := o.Remove(ctx, "it", "Lan"); !errors.Is(err, operator.ErrUnknown) {
		t.Errorf("taken out twice: %v", err)
	}
	if _, err := d.open(t, nil).SignIn(ctx, wire.SignIn{Name: "Lan", PIN: "2580"}); !errors.Is(err, operator.ErrDenied) {
		t.Errorf("signed in after being taken out: %v", err)
	}
}

// Wrong PINs cost more and more time, also across restarts, for names that exist as
// for those that do not, and the right one does not help before the time is over.
func TestWrongPINsWait(t *testing.T) {
	for _, name := range []string{"Lan", "nobody"} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			o := d.open(t, nil)
			ctx := t.Context()
			if err := o.SetPIN(ctx, "it", "Lan", "2580"); err != nil {
				t.Fatal(err)
			}
			var waits []time.Duration
			for len(waits) < 12 {
				_, err := o.SignIn(ctx, wire.SignIn{Name: name, PIN: "0000"})
				if w, ok := errors.AsType[*operator.WaitError](err); ok {
					waits = append(waits, w.For)
					if _, err := o.SignIn(ctx, wire.SignIn{Name: name, PIN: "2580"}); !errors.Is(err, operator.ErrWait) {
						t.Fatalf("the right PIN does not wait: %v", err)
					}
					d.pass(w.For)
					continue
				}
				if !errors.Is(err, operator.ErrDenied) {
					t.Fatal(err)
				}
				if name == "Lan" {
					o = d.open(t, nil) // what was counted survives
				}
			}
			want := []time.Duration{2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900}
			for i := range want {
				if waits[i] != want[i]*time.Second {
					t.Fatalf("waits %v", waits)
				}
			}
			d.pass(-1000 * time.Hour) // a clock that was put back
			if _, err := o.SignIn(ctx, wire.SignIn{Name: name, PIN: "0000"}); name == "Lan" {
				w, ok := errors.AsType[*operator.WaitError](err)
				if !ok || w.For > 15*time.Minute {
					t.Errorf("with the clock put back: %v", err)
				}
			}
			d.pass(2000 * time.Hour)
			if name == "Lan" {
				if _, err := o.SignIn(ctx, wire.SignIn{Name: name, PIN: "2580"}); err != nil {
					t.Errorf("the right PIN in the end: %v", err)
				}
				if _, err := o.SignIn(ctx, wire.SignIn{Name: name, PIN: "0000"}); !errors.Is(err, operator.ErrDenied) {
					t.Errorf("the count begins anew: %v", err)
				}
			}
		})
	}
}

func TestLogins(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	o := d.open(t, func(c *operator.Config) { c.Logins, c.Shift = true, 12*time.Hour })
	if err := o.SetPIN(ctx, "it", "Lan", "2580"); err != nil {
		t.Fatal(err)
	}
	in, err := o.SignIn(ctx, wire.SignIn{Name: `CLINIC\hoa`})
	if err != nil || in.How != operator.HowLogin {
		t.Fatalf("by login name: %v, %+v", err, in)
	}
	if _, err := o.SignIn(ctx, wire.SignIn{Name: "Lan"}); !errors.Is(err, operator.ErrDenied) || o.Current() != `CLINIC\hoa` {
		t.Errorf("who has a PIN needs it: %v, current %q", err, o.Current())
	}
	d.pass(12 * time.Hour)
	if o.Current() != "" || o.Operator() != nil {
		t.Error("signed in after the shift")
	}
	for _, name := range []string{"", " ", "a\nb", "a\u202eb", "a\ufffd", strings.Repeat("x", 65), "\xff"} {
		if _, err := o.SignIn(ctx, wire.SignIn{Name: name}); !errors.Is(err, operator.ErrName) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	if _, err := d.open(t, nil).SignIn(ctx, wire.SignIn{Name: "hoa"}); !errors.Is(err, operator.ErrDenied) {
		t.Errorf("login names are not taken, and %v", err)
	}
}

// TestNamesAlike: who has a PIN needs it, however the name is written, and nobody gets
// a second chance with another way of writing it.
func TestNamesAlike(t *testing.T) {
	const name = "Trần Thị Hoà"
	alike := map[string]string{
		"case": "TRẦN THỊ HOÀ", "lower case": "trần thị hoà", "decomposed": norm.NFD.String(name), "no-break spaces": "Trần\u00a0Thị\u00a0Hoà",
		"two spaces": "Trần  Thị Hoà", "em space": "Trần\u2003Thị Hoà", "full width": "\uff34rần Thị Hoà", "space around": " " + name + "\u00a0",
	}
	for what, as := range alike {
		t.Run(what, func(t *testing.T) {
			d := newDesk(t)
			ctx := t.Context()
			o := d.open(t, func(c *operator.Config) { c.Logins = true })
			if err := o.SetPIN(ctx, "it", name, "2580"); err != nil {
				t.Fatal(err)
			}
			if _, err := o.SignIn(ctx, wire.SignIn{Name: as}); !errors.Is(err, operator.ErrDenied) || o.Current() != "" {
				t.Errorf("without a PIN: %v, current %q", err, o.Current())
			}
			if in, err := o.SignIn(ctx, wire.SignIn{Name: as, PIN: "2580"}); err != nil || in.Name != name || o.Current() != name {
				t.Errorf("with it: %v, %q", err, in.Name)
			}
			if err := o.SetPIN(ctx, "it", as, "1470"); err != nil || !slices.Equal(o.Names(), []string{name}) {
				t.Errorf("another PIN: %v, known %q", err, o.Names())
			}
			for range 3 {
				if _, err := o.SignIn(ctx, wire.SignIn{Name: as, PIN: "2580"}); !errors.Is(err, operator.ErrDenied) {
					t.Errorf("with the old one: %v", err)
				}
			}
			if _, err := o.SignIn(ctx, wire.SignIn{Name: name, PIN: "1470"}); !errors.Is(err, operator.ErrWait) {
				t.Errorf("tries under another way of writing do not count: %v", err)
			}
			if err := o.Remove(ctx, "it", as); err != nil || len(o.Names()) != 0 || o.Current() != "" {
				t.Errorf("taken out: %v, known %q, current %q", err, o.Names(), o.Current())
			}
		})
	}
	// For who has no PIN as well: the tries are of the person.
	d := newDesk(t)
	o := d.open(t, nil)
	for _, as := range []string{"Nobody", "NOBODY", "nobody"} {
		if _, err := o.SignIn(t.Context(), wire.SignIn{Name: as, PIN: "0000"}); !errors.Is(err, operator.ErrDenied) {
			t.Errorf("%q: %v", as, err)
		}
	}
	if _, err := o.SignIn(t.Context(), wire.SignIn{Name: "noBody", PIN: "0000"}); !errors.Is(err, operator.ErrWait) {
		t.Errorf("a fourth try: %v", err)
	}
}

// TestReservedNames: nobody signs in as what the trail knows as somebody else.
func TestReservedNames(t *testing.T) {
	d := newDesk(t)
	o := d.open(t, func(c *operator.Config) { c.Logins = true })
	for _, name := range []string{
		"agent", "Agent", "DESK", "desk\u00a0", "ｄesk", "config", "configuration", "chamthe", "handoff", "retention", "https://his.example", "via Lab", "VIA\u00a0Lab",
		"de\ufe0fsk", "de\u034fsk", "\u3164",
	} {
		if _, err := o.SignIn(t.Context(), wire.SignIn{Name: name}); !errors.Is(err, operator.ErrName) {
			t.Errorf("%q by login: %v", name, err)
		}
		if err := o.SetPIN(t.Context(), "it", name, "2580"); !errors.Is(err, operator.ErrName) {
			t.Errorf("%q with a PIN: %v", name, err)
		}
	}
	for _, name := range []string{"Agent Smith", "desk 1", "Việt", "via", `PC-1\desk`} {
		if in, err := o.SignIn(t.Context(), wire.SignIn{Name: name}); err != nil || in.Name != name {
			t.Errorf("%q: %v, %q", name, err, in.Name)
		}
	}
}

func TestPINsThatCannotBeSet(t *testing.T) {
	d := newDesk(t)
	o := d.open(t, nil)
	for _, pin := range []string{"", "258", "0000", "1234", "87654321", "abcd", strings.Repeat("25", 33), "25\xff80"} {
		if err := o.SetPIN(t.Context(), "it", "Lan", pin); !errors.Is(err, operator.ErrPIN) {
			t.Errorf("PIN of %d bytes: %v", len(pin), err)
		}
	}
	if err := o.SetPIN(t.Context(), "it", "a\x00", "2580"); !errors.Is(err, operator.ErrName) {
		t.Errorf("name: %v", err)
	}
	if len(d.trail) != 0 || len(o.Names()) != 0 {
		t.Errorf("changed: %q", d.trail)
	}
}

// Who cannot be written down is not signed in, and nothing is changed.
func TestAuditFails(t *testing.T) {
	d := newDesk(t)
	o := d.open(t, func(c *operator.Config) { c.Logins = true })
	ctx := t.Context()
	if err := o.SetPIN(ctx, "it", "Lan", "2580"); err != nil {
		t.Fatal(err)
	}
	d.fail = audit.ErrBroken
	for name, err := range map[string]error{
		"pin":    second(o.SignIn(ctx, wire.SignIn{Name: "Lan", PIN: "2580"})),
		"login":  second(o.SignIn(ctx, wire.SignIn{Name: "hoa"})),
		"set":    o.SetPIN(ctx, "it", "Mai", "2580"),
		"remove": o.Remove(ctx, "it", "Lan"),
	} {
		if !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if o.Current() != "" || !slices.Equal(o.Names(), []string{"Lan"}) {
		t.Errorf("current %q, known %q", o.Current(), o.Names())
	}
}

func second[T any](_ T, err error) error { return err }

func TestFile(t *testing.T) {
	dir := t.TempDir()
	f := operator.File(filepath.Join(dir, "operators.json"))
	if b, err := f.Load(); b != nil || err != nil {
		t.Errorf("none yet: %q, %v", b, err)
	}
	if err := f.Save([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if b, err := f.Load(); string(b) != "a" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(string(f), 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Load(); !errors.Is(err, operator.ErrOpen) {
			t.Errorf("open to others: %v", err)
		}
	}
	link := operator.File(filepath.Join(dir, "link"))
	if err := os.Mkdir(string(link), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := link.Load(); !errors.Is(err, operator.ErrStore) {
		t.Errorf("no regular file: %v", err)
	}
	if err := operator.File(filepath.Join(dir, "none", "x")).Save(nil); err == nil {
		t.Error("saved where there is no directory")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%d files are left: %v", len(left), err)
	}
}

// TestSaveIsDurable: the new name of the file is on disk when Save returns, and Save
// says so if it may not be. A count of wrong PINs that a power failure takes back
// would give further tries.
func TestSaveIsDurable(t *testing.T) {
	dir := t.TempDir()
	f := operator.File(filepath.Join(dir, "operators.json"))
	var synced []string
	fail := error(nil)
	defer operator.SyncDir(func(of string, sync func(string) error) error {
		if b, err := f.Load(); err != nil || len(b) != 1 {
			t.Errorf("synced before the file had its name: %q, %v", b, err)
		}
		synced = append(synced, of)
		return errors.Join(sync(of), fail)
	})()
	if err := f.Save([]byte("a")); err != nil || !slices.Equal(synced, []string{dir}) {
		t.Errorf("%v, synced %q", err, synced)
	}
	fail = os.ErrInvalid
	if err := f.Save([]byte("b")); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("a directory that cannot be synced: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, operator.TempPattern)); err != nil || len(left) != 0 {
		t.Errorf("left %q, %v", left, err)
	}
}

func TestDamaged(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "no JSON": "x", "version": `{"version":2,"operators":[]}`, "unknown field": `{"version":1,"people":[]}`, "two": `{"version":1}{}`,
		"no hash":   `{"version":1,"operators":[{"name":"a","salt":"AAAAAAAAAAAAAAAAAAAAAA==","hash":"","time":1,"memory":8,"set":"2026-01-01T00:00:00Z"}]}`,
		"long hash": `{"version":1,"operators":[{"name":"a","salt":"AAAAAAAAAAAAAAAAAAAAAA==","hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","time":99,"memory":8,"set":"2026-01-01T00:00:00Z"}]}`,
	} {
		if err := operator.Decode([]byte(text)); !errors.Is(err, operator.ErrStore) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"operators":[{"name":"a","salt":"AAAAAAAAAAAAAAAAAAAAAA==","hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","time":1,"memory":8,"set":"2026-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`{"version":1,"operators":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := operator.Decode(b); err != nil && !errors.Is(err, operator.ErrStore) {
			t.Errorf("error of another kind: %v", err)
		}
	})
}

// The real cost, once: a PIN opens with it, and it is what is meant.
func TestCost(t *testing.T) {
	d := newDesk(t)
	o, err := operator.Open(operator.Config{Store: d.file})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.SetPIN(t.Context(), "it", "Lan", "2580"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.SignIn(t.Context(), wire.SignIn{Name: "Lan", PIN: "2580"}); err != nil {
		t.Error(err)
	}
	b, err := os.ReadFile(string(d.file))
	if err != nil || !strings.Contains(string(b), `"time":2,"memory":19456`) {
		t.Errorf("cost: %v", err)
	}
}

// Many at once; for the race detector. One of them is signed in at the end.
func TestConcurrent(t *testing.T) {
	d := newDesk(t)
	o := d.open(t, func(c *operator.Config) { c.Logins = true })
	var all sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		all.Go(func() {
			for range 20 {
				if _, err := o.SignIn(t.Context(), wire.SignIn{Name: name}); err != nil {
					t.Error(err)
				}
				o.Current()
			}
		})
	}
	all.Wait()
	last := o.Current()
	if last == "" {
		t.Fatal("nobody is signed in")
	}
	if _, err := o.SignIn(t.Context(), wire.SignIn{Name: "d"}); err != nil {
		t.Fatal(err)
	}
	n := len(d.trail)
	if d.trail[n-2] != "operator_signed_out "+last || d.trail[n-1] != "operator_signed_in d login" {
		t.Errorf("who takes over signs the other out: %q", d.trail[n-2:])
	}
}
