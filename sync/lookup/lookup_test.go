package lookup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/lookup"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

// central is the central service as a desk sees it.
type central struct {
	calls  atomic.Int64
	mu     sync.Mutex
	answer contract.LookupResponse
	err    error
	delay  time.Duration
	last   contract.LookupRequest
	passed time.Duration // since centralTime
}

func (c *central) Ask(ctx context.Context, r contract.LookupRequest) (contract.LookupResponse, error) {
	c.calls.Add(1)
	c.mu.Lock()
	answer, err, delay := c.answer, c.err, c.delay
	answer.At, answer.Entitlement.AsOf = answer.At.Add(c.passed), answer.Entitlement.AsOf.Add(c.passed)
	c.last = r
	c.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return contract.LookupResponse{}, ctx.Err()
	}
	return answer, err
}

func (c *central) set(code string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer, c.err = response(code), err
}

// centralTime is when the central service speaks, by its own clock.
var centralTime = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)

func response(code string) contract.LookupResponse {
	return contract.LookupResponse{
		Version: contract.Version, At: centralTime,
		Entitlement: contract.Entitlement{
			Source: contract.SourceCentral, AsOf: centralTime.Add(-time.Minute), Status: contract.StatusOf(code), Code: code,
			CardNumber: "GD4010100000001", From: "2026-01-01", To: "2026-12-31",
		},
		Person: &contract.Insured{Number: "001099000001", Name: "NGUYEN VAN THU", BirthDate: "1999"},
	}
}

var person = lookup.Request{Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "1999-01-31"}

type desk struct {
	*lookup.Service
	config  lookup.Config
	central *central
	st      *store.Store
	seal    *seal.Sealer
	now     atomic.Pointer[time.Time]
	listed  lookup.PopulationFunc // nil: there is no list
}

// advance lets time pass.
func (d *desk) advance(by time.Duration) {
	d.jump(by)
	d.central.mu.Lock()
	defer d.central.mu.Unlock()
	d.central.passed += by
}

// jump sets the desk's clock, and no other.
func (d *desk) jump(by time.Duration) {
	t := d.now.Load().Add(by)
	d.now.Store(&t)
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := newDeskAt(t, filepath.Join(t.TempDir(), "visits.db"))
	t.Cleanup(func() { // before those of newDeskAt
		if err := d.st.Check(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

// newDeskAt opens a desk on a store that may be damaged.
func newDeskAt(t testing.TB, path string) *desk {
	t.Helper()
	m, err := seal.NewMaster(bytes.Repeat([]byte{3}, seal.MasterSize))
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{central: &central{answer: response("000")}}
	if d.seal, err = seal.New(m); err != nil {
		t.Fatal(err)
	}
	if d.st, err = store.Open(path, nil); err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)
	d.now.Store(&start)
	d.config = lookup.Config{
		Store: d.st, Sealer: d.seal, Asker: d.central,
		TTL: time.Hour, NegativeTTL: time.Minute, Timeout: time.Second, Keep: 30 * 24 * time.Hour,
		Now: func() time.Time { return *d.now.Load() },
		Population: lookup.PopulationFunc(func(number, card string) (contract.Registered, time.Time, bool) {
			if d.listed == nil {
				return contract.Registered{}, time.Time{}, false
			}
			return d.listed(number, card)
		}),
	}
	if d.Service, err = lookup.Open(d.config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		if err := d.st.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *desk) lookup(t testing.TB) lookup.Answer {
	t.Helper()
	a, err := d.Lookup(t.Context(), person)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var errOffline = errors.New("no link")

func TestLookup(t *testing.T) {
	month := 30 * 24 * time.Hour
	// What a first lookup left, what the second one meets, what it answers.
	tests := []struct {
		name   string
		first  string // result code of the first lookup; "" for none
		wait   time.Duration
		second string // result code of the second one; "" when there is no link
		source contract.Source
		status contract.EntitlementStatus
		age    time.Duration
		stale  bool
		calls  int64
		cause  error
	}{
		{"first time", "", 0, "000", contract.SourceCentral, contract.StatusValid, time.Minute, false, 1, nil},
		{"first time, no link", "", 0, "", contract.SourceNone, contract.StatusUnknown, 0, false, 1, errOffline},
		{"first time, refused", "", 0, "010", contract.SourceCentral, contract.StatusNotEntitled, time.Minute, false, 1, nil},
		{"first time, wrong name", "", 0, "060", contract.SourceCentral, contract.StatusMismatch, time.Minute, false, 1, nil},
		{"first time, new code", "", 0, "777", contract.SourceCentral, contract.StatusUnknown, time.Minute, false, 1, nil},
		{"first time, insurer down", "", 0, "500", contract.SourceCentral, contract.StatusRetry, time.Minute, false, 1, lookup.ErrNoAnswer},
		{"first time, login", "", 0, "401", contract.SourceCentral, contract.StatusLogin, time.Minute, false, 1, lookup.ErrNoAnswer},
		{"fresh", "000", 59 * time.Minute, "010", contract.SourceCache, contract.StatusValid, time.Hour, false, 1, nil},
		{"no longer fresh", "000", time.Hour, "010", contract.SourceCentral, contract.StatusNotEntitled, time.Minute, false, 2, nil},
		{"old, no link", "000", 2 * time.Hour, "", contract.SourceCache, contract.StatusValid, 121 * time.Minute, true, 2, errOffline},
		{"old, insurer down", "000", 2 * time.Hour, "101", contract.SourceCache, contract.StatusValid, 121 * time.Minute, true, 2, lookup.ErrNoAnswer},
		{"a month old, no link", "000", month - time.Hour, "", contract.SourceCache, contract.StatusValid, month - 59*time.Minute, true, 2, errOffline},
		{"too old, no link", "000", month, "", contract.SourceNone, contract.StatusUnknown, 0, false, 2, errOffline},
		{"refusal, fresh", "010", 59 * time.Second, "000", contract.SourceCache, contract.StatusNotEntitled, 119 * time.Second, false, 1, nil},
		{"refusal, no longer fresh", "010", time.Minute, "000", contract.SourceCentral, contract.StatusValid, time.Minute, false, 2, nil},
		{"refusal, old, no link", "010", time.Hour, "", contract.SourceNone, contract.StatusUnknown, 0, false, 2, errOffline},
		{"failure is not cached", "500", 0, "000", contract.SourceCentral, contract.StatusValid, time.Minute, false, 2, nil},
		{"clock back a little", "000", -time.Minute, "010", contract.SourceCache, contract.StatusValid, time.Minute, false, 1, nil},
		{"clock back a day", "000", -24 * time.Hour, "000", contract.SourceCentral, contract.StatusValid, time.Minute, false, 2, nil},
		{"clock back a day, no link", "000", -24 * time.Hour, "", contract.SourceCache, contract.StatusValid, time.Minute, true, 2, errOffline},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			if tt.first != "" {
				d.central.set(tt.first, nil)
				d.lookup(t)
			}
			if tt.wait < 0 {
				d.jump(tt.wait)
			} else {
				d.advance(tt.wait)
			}
			if tt.second == "" {
				d.central.set("000", errOffline)
			} else {
				d.central.set(tt.second, nil)
			}
			a := d.lookup(t)
			if a.Entitlement.Source != tt.source || a.Entitlement.Status != tt.status || a.Stale != tt.stale || a.Age != tt.age {
				t.Errorf("source %v, status %v, stale %v, age %v; want %v, %v, %v, %v",
					a.Entitlement.Source, a.Entitlement.Status, a.Stale, a.Age, tt.source, tt.status, tt.stale, tt.age)
			}
			if !errors.Is(a.Cause, tt.cause) || (a.Cause == nil) != (tt.cause == nil) {
				t.Errorf("cause %v, want %v", a.Cause, tt.cause)
			}
			if got := d.central.calls.Load(); got != tt.calls {
				t.Errorf("%d questions, want %d", got, tt.calls)
			}
			// Whatever the answer is, it can stand in a visit.
			v := contract.Visit{
				Version: contract.Version, ID: "01890a5d-ac96-774b-bcce-b302099a8057", Facility: "01013",
				Agent:     "UCFIRY65OQE7DFP5KLNS2PF2LVZMUZYJX4OZIEQ36N2IQANUB5XVZ45L",
				StartedAt: centralTime, RecordedAt: centralTime, Clock: contract.ClockUnknown, Means: contract.MeansManual,
				Person: contract.Person{Name: "x"}, Entitlement: a.Entitlement,
			}
			if _, err := contract.EncodeVisit(&v); err != nil {
				t.Errorf("in a visit: %v", err)
			}
		})
	}
}

func TestLookupAsksOnlyWhatIsNeeded(t *testing.T) {
	d := newDesk(t)
	d.lookup(t)
	want := contract.LookupRequest{Number: person.Number, Name: person.Name, BirthDate: person.BirthDate}
	if diff := cmp.Diff(want, d.central.last); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExpiredCardIsAskedForAgain(t *testing.T) {
	d := newDesk(t)
	// The last minute of 31 December in Vietnam.
	start := time.Date(2026, 12, 31, 16, 59, 0, 0, time.UTC)
	d.advance(start.Sub(centralTime))
	d.lookup(t)
	if a := d.lookup(t); a.Entitlement.Source != contract.SourceCache {
		t.Errorf("source %v", a.Entitlement.Source)
	}
	d.advance(time.Minute)
	if a := d.lookup(t); a.Entitlement.Source != contract.SourceCentral {
		t.Errorf("next year: source %v", a.Entitlement.Source)
	}
	d.central.set("000", errOffline)
	a := d.lookup(t)
	if a.Entitlement.Source != contract.SourceCache || !a.Stale {
		t.Errorf("next year, no link: source %v, stale %v", a.Entitlement.Source, a.Stale)
	}
	if diff := cmp.Diff([]contract.Finding{contract.PeriodEnded}, lookup.Findings(contract.Person{Number: person.Number, Name: person.Name}, a, *d.now.Load())); diff != "" {
		t.Errorf("findings:\n%s", diff)
	}
}

func TestSamePersonIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.central.delay = 500 * time.Millisecond
		var wg sync.WaitGroup
		answers := make([]lookup.Answer, 20)
		for i := range answers {
			wg.Go(func() {
				a, err := d.Lookup(t.Context(), person)
				if err != nil {
					t.Error(err)
				}
				answers[i] = a
			})
		}
		wg.Wait()
		if got := d.central.calls.Load(); got != 1 {
			t.Errorf("%d questions", got)
		}
		// Nobody gets the memory of another.
		answers[0].Person.Name = "changed"
		for _, a := range answers[1:] {
			if a.Person.Name == "changed" {
				t.Error("answers share memory")
			}
		}
	})
}

func TestTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.lookup(t)
		d.advance(2 * time.Hour)
		d.central.delay = time.Minute
		start := time.Now()
		a := d.lookup(t)
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
		if a.Entitlement.Source != contract.SourceCache || !errors.Is(a.Cause, context.DeadlineExceeded) {
			t.Errorf("source %v, cause %v", a.Entitlement.Source, a.Cause)
		}
		// The caller's own deadline ends the wait earlier, with an answer.
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start = time.Now()
		a, err := d.Lookup(ctx, person)
		if took := time.Since(start); err != nil || took != 100*time.Millisecond || a.Entitlement.Source != contract.SourceCache {
			t.Errorf("took %v, source %v, %v", took, a.Entitlement.Source, err)
		}
	})
}

// TestCallerGoesAway: the answer to a question that nobody waits for any more
// is kept for the next one.
func TestCallerGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.central.delay = 500 * time.Millisecond
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(100 * time.Millisecond)
			cancel()
		}()
		if _, err := d.Lookup(ctx, person); !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v", err)
		}
		time.Sleep(time.Second)
		if a := d.lookup(t); a.Entitlement.Source != contract.SourceCache {
			t.Errorf("source %v", a.Entitlement.Source)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.central.delay = 500 * time.Millisecond
		go func() { _, _ = d.Lookup(t.Context(), person) }()
		synctest.Wait()
		start := time.Now()
		d.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("close took %v", took)
		}
		if _, err := d.Lookup(t.Context(), person); !errors.Is(err, lookup.ErrClosed) {
			t.Errorf("error = %v, want %v", err, lookup.ErrClosed)
		}
	})
}

func TestLookupRefuses(t *testing.T) {
	d := newDesk(t)
	for name, r := range map[string]lookup.Request{
		"nobody":         {},
		"no number":      {Name: "Nguyễn Văn Thử", BirthDate: "1999"},
		"no name":        {Number: "001099000001", BirthDate: "1999"},
		"no birth date":  {Number: "001099000001", Name: "Nguyễn Văn Thử"},
		"bad birth date": {Number: "001099000001", Name: "Nguyễn Văn Thử", BirthDate: "31/01/1999"},
	} {
		if _, err := d.Lookup(t.Context(), r); !errors.Is(err, lookup.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Lookup(ctx, person); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if got := d.central.calls.Load(); got != 0 {
		t.Errorf("%d questions", got)
	}
	d.central.answer.Entitlement.Source = contract.SourceCache
	if a := d.lookup(t); !errors.Is(a.Cause, lookup.ErrWrongAnswer) || a.Entitlement.Source != contract.SourceNone {
		t.Errorf("source %v, cause %v", a.Entitlement.Source, a.Cause)
	}
}

// TestWhoIsThePerson: what the insurer's answer depends on tells people apart,
// how a name was typed does not.
func TestWhoIsThePerson(t *testing.T) {
	tests := []struct {
		name string
		r    lookup.Request
		same bool
	}{
		{"same", person, true},
		{"case and spaces", lookup.Request{Number: person.Number, Name: " NGUYỄN  văn thử", BirthDate: person.BirthDate}, true},
		{"decomposed accents", lookup.Request{Number: person.Number, Name: "Nguyễn Văn Thử", BirthDate: person.BirthDate}, true},
		{"no tone marks", lookup.Request{Number: person.Number, Name: "Nguyen Van Thu", BirthDate: person.BirthDate}, false},
		{"another number", lookup.Request{Number: "001099000002", Name: person.Name, BirthDate: person.BirthDate}, false},
		{"another birth date", lookup.Request{Number: person.Number, Name: person.Name, BirthDate: "1999"}, false},
		{"as card number", lookup.Request{InsuranceNumber: person.Number, Name: person.Name, BirthDate: person.BirthDate}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			d.lookup(t)
			a, err := d.Lookup(t.Context(), tt.r)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Entitlement.Source == contract.SourceCache; got != tt.same {
				t.Errorf("same person: %v, want %v", got, tt.same)
			}
		})
	}
}

// TestPurgeByAWrongClock: a clock that is ahead takes nothing away.
func TestPurgeByAWrongClock(t *testing.T) {
	d := newDesk(t)
	d.lookup(t)
	d.central.set("000", errOffline)
	const far = 4000 * day
	d.jump(far)
	if n, err := d.Purge(t.Context(), 10); n != 0 || err != nil {
		t.Errorf("Purge = %d, %v", n, err)
	}
	d.jump(-far)
	if a := d.lookup(t); a.Entitlement.Source != contract.SourceCache {
		t.Errorf("source %v: the answer was taken away", a.Entitlement.Source)
	}
}

func TestPurge(t *testing.T) {
	d := newDesk(t)
	for _, number := range []string{"001099000001", "001099000002", "001099000003"} {
		r := person
		r.Number = number
		if _, err := d.Lookup(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		d.advance(24 * time.Hour)
	}
	d.advance(28 * 24 * time.Hour) // the first is 31 days old, the second 30
	d.lookup(t)                    // and the first has been asked for again
	if n, err := d.Purge(t.Context(), 10); n != 0 || err != nil {
		t.Errorf("Purge = %d, %v", n, err)
	}
	d.advance(time.Minute)
	if n, err := d.Purge(t.Context(), 10); n != 1 || err != nil {
		t.Errorf("Purge = %d, %v", n, err)
	}
	left := 0
	if err := d.st.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.LookupBucket)
		left = b.Bucket([]byte("answers")).Inspect().KeyN
		if n := b.Bucket([]byte("fetched")).Inspect().KeyN; n != left {
			t.Errorf("%d answers, %d times", left, n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if left != 2 {
		t.Errorf("%d answers are left", left)
	}
}

func TestDamagedAnswerIsNone(t *testing.T) {
	d := newDesk(t)
	d.lookup(t)
	if err := d.st.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(store.LookupBucket).Bucket([]byte("answers"))
		k, v := b.Cursor().First()
		v = bytes.Clone(v)
		v[len(v)-1] ^= 1
		return b.Put(bytes.Clone(k), v)
	}); err != nil {
		t.Fatal(err)
	}
	if a := d.lookup(t); a.Entitlement.Source != contract.SourceCentral {
		t.Errorf("source %v", a.Entitlement.Source)
	}
}

func TestOpenRefuses(t *testing.T) {
	d := newDesk(t)
	if _, err := lookup.Open(lookup.Config{}); err == nil {
		t.Error("a service without anything")
	}
	m, err := seal.NewMemoryKey().MasterKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := seal.New(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lookup.Open(lookup.Config{Store: d.st, Sealer: other, Asker: d.central}); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("error = %v, want %v", err, store.ErrWrongKey)
	}
}

func BenchmarkCachedLookup(b *testing.B) {
	d := newDesk(b)
	d.lookup(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Lookup(b.Context(), person); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRatio looks people up whose answers are cached, and gets values of the
// same size by keys of the same size from a file of bbolt alone, in turn: what else
// the machine does meets both. The ratio of the times is what counts. A cached
// lookup makes the key (an HMAC), opens the sealed answer, and judges whether it is
// fresh.
func BenchmarkRatio(b *testing.B) {
	const people = 5000
	d := newDesk(b)
	asked := make([]lookup.Request, people)
	for i := range asked {
		asked[i] = person
		asked[i].Number = fmt.Sprintf("001099%06d", i)
	}
	var value []byte
	if err := d.st.Update(func(tx *bbolt.Tx) error { return lookup.Fill(tx, d.Service, asked, response("000")) }); err != nil {
		b.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var keys [][]byte
	err = d.st.View(func(from *bbolt.Tx) error {
		return db.Update(func(tx *bbolt.Tx) error {
			answers, err := tx.CreateBucket([]byte("answers"))
			if err != nil {
				return err
			}
			return from.Bucket(store.LookupBucket).Bucket([]byte("answers")).ForEach(func(k, v []byte) error {
				keys, value = append(keys, bytes.Clone(k)), v
				return answers.Put(bytes.Clone(k), bytes.Clone(v))
			})
		})
	})
	if err != nil || len(keys) != people || len(value) == 0 {
		b.Fatalf("%d answers, %v", len(keys), err)
	}
	const turn = 500
	var looking, getting time.Duration
	n := 0
	for b.Loop() {
		began := time.Now()
		for i := range turn {
			a, err := d.Lookup(b.Context(), asked[(n+i*7)%people])
			if err != nil || a.Entitlement.Source != contract.SourceCache {
				b.Fatalf("%v, %v", a.Entitlement.Source, err)
			}
		}
		looked := time.Now()
		for i := range turn {
			var got []byte
			err := db.View(func(tx *bbolt.Tx) error {
				got = append(got, tx.Bucket([]byte("answers")).Get(keys[(n+i*7)%people])...)
				return nil
			})
			if err != nil || len(got) == 0 {
				b.Fatal("not there")
			}
		}
		looking += looked.Sub(began)
		getting += time.Since(looked)
		n += turn
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(n) / 1000 }
	ratio := looking.Seconds() / getting.Seconds()
	b.ReportMetric(ratio, "ratio")
	b.Logf("bench-sync\tcached lookup, against a bare bbolt get of the same size\t%.1f times (%.1f and %.1f microseconds)\t<= 3 times", ratio, each(looking), each(getting))
}
