package bundle_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chamthe/chamthe/sync/bundle"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/seal"
	"github.com/chamthe/chamthe/sync/store"
)

var at = time.Date(2026, time.November, 22, 1, 0, 0, 0, time.UTC)

type signer struct{ key ed25519.PrivateKey }

func newSigner(n byte) signer { return signer{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32))} }

func (s signer) Sign(m []byte) ([]byte, error) { return ed25519.Sign(s.key, m), nil }
func (s signer) PublicKey() (string, error) {
	return contract.EncodeAgent(s.key.Public().(ed25519.PublicKey))
}

func (s signer) name(t testing.TB) string {
	t.Helper()
	n, err := s.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// insurer is a central service that hands out one bundle.
type insurer struct {
	t         testing.TB
	key       signer
	manifest  contract.Bundle
	content   [][]byte
	current   bool
	fetched   []int
	failAfter int // parts, then the link breaks; 0: never
	change    func(headers map[string][]string, payload []byte) (map[string][]string, []byte)
}

var errLink = errors.New("link down")

func (f *insurer) Manifest(context.Context, contract.BundleKind, int64) (map[string][]string, []byte, error) {
	if f.current {
		return nil, nil, bundle.ErrCurrent
	}
	h, p, err := contract.SignBundle(f.key, &f.manifest)
	if err != nil {
		f.t.Fatal(err)
	}
	if f.change != nil {
		h, p = f.change(h, p)
	}
	return h, p, nil
}

func (f *insurer) Part(_ context.Context, _ contract.BundleKind, serial, base int64, n int) ([]byte, error) {
	if f.failAfter > 0 && len(f.fetched) == f.failAfter {
		return nil, errLink
	}
	if serial != f.manifest.Serial || base != f.manifest.Base || n >= len(f.content) {
		f.t.Errorf("part %d of %d to %d was asked for", n, serial, base)
		return nil, errLink
	}
	f.fetched = append(f.fetched, n)
	return f.content[n], nil
}

// offer makes a bundle of parts the newest.
func (f *insurer) offer(serial, base int64, kind contract.BundleKind, entries int, parts ...[]byte) {
	f.manifest = contract.Bundle{Version: contract.Version, Kind: kind, Serial: serial, Base: base, IssuedAt: at.Add(-time.Hour), Entries: entries}
	if kind == contract.BundlePopulation {
		f.manifest.Facility = "01013"
	}
	f.content, f.fetched = parts, nil
	for _, p := range parts {
		sum := sha256.Sum256(p)
		f.manifest.Parts = append(f.manifest.Parts, contract.BundlePart{SHA256: sum[:], Size: len(p)})
	}
}

func person(n int) contract.Registered {
	return contract.Registered{
		Number: number(n), InsuranceNumber: card(n),
		Person: &contract.Insured{Number: number(n), Name: fmt.Sprintf("Nguyễn Văn Thử %d", n), BirthDate: "1999-01-31"},
		Entitlement: &contract.Entitlement{
			Source: contract.SourcePopulation, AsOf: at.Add(-time.Hour), Status: contract.StatusValid, Code: "000", CardNumber: card(n), Facility: "01013",
		},
	}
}

func number(n int) string { return fmt.Sprintf("001099%06d", n) }
func card(n int) string   { return fmt.Sprintf("GD401%010d", n) }

func people(t testing.TB, list ...contract.Registered) []byte {
	t.Helper()
	b, err := contract.EncodePopulationPart(&contract.PopulationPart{Version: contract.Version, People: list})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type rig struct {
	*bundle.Keeper
	insurer *insurer
	path    string
	st      *store.Store
	sealer  *seal.Sealer
}

func (r *rig) config() bundle.Config {
	return bundle.Config{
		Store: r.st, Sealer: r.sealer, Fetcher: r.insurer, Facility: "01013", Key: r.insurer.key.name(r.insurer.t),
		Now: func() time.Time { return at },
	}
}

func newRig(t testing.TB) *rig {
	t.Helper()
	master, err := seal.NewMemoryKey().MasterKey()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{insurer: &insurer{t: t, key: newSigner(9)}, path: filepath.Join(t.TempDir(), "visits.db")}
	if r.sealer, err = seal.New(master); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	t.Cleanup(func() { r.st.Close() })
	return r
}

func (r *rig) open(t testing.TB) {
	t.Helper()
	var err error
	if r.st, err = store.Open(r.path, nil); err != nil {
		t.Fatal(err)
	}
	if r.Keeper, err = bundle.Open(r.config()); err != nil {
		t.Fatal(err)
	}
}

// installs asserts that an update installs what is offered.
func (r *rig) installs(t testing.TB) {
	t.Helper()
	if new, err := r.Update(t.Context(), r.insurer.manifest.Kind); !new || err != nil {
		t.Fatalf("not installed: %v, %v", new, err)
	}
}

func (r *rig) has(t testing.TB, want map[int]bool) {
	t.Helper()
	for n, want := range want {
		for _, by := range []string{"number", "card"} {
			got, s, ok := contract.Registered{}, bundle.State{}, false
			if by == "number" {
				got, s, ok = r.Find(number(n), "")
			} else {
				got, s, ok = r.Find("", card(n))
			}
			if ok != want || ok && (got.Number != number(n) || got.Entitlement.CardNumber != card(n) || s.Serial != r.insurer.manifest.Serial) {
				t.Errorf("person %d by %s: %v", n, by, ok)
			}
		}
	}
}

func TestPopulation(t *testing.T) {
	r := newRig(t)
	r.has(t, map[int]bool{1: false})
	r.insurer.offer(100, 0, contract.BundlePopulation, 3, people(t, person(1), person(2)), people(t, person(3)))
	r.installs(t)
	r.has(t, map[int]bool{1: true, 2: true, 3: true, 4: false})
	if _, _, ok := r.Find("", ""); ok {
		t.Error("nobody is found")
	}
	s, err := r.State(contract.BundlePopulation)
	if err != nil || s.Serial != 100 || s.Entries != 3 || s.Age(at.Add(time.Hour)) != 2*time.Hour || s.Pending != nil || s.Refused != "" {
		t.Errorf("state %+v, %v", s, err)
	}

	// A difference: one gone, one new, one changed.
	changed := person(2)
	changed.Entitlement.Code, changed.Entitlement.Status = "010", contract.StatusNotEntitled
	r.insurer.offer(200, 100, contract.BundlePopulation, 3, people(t,
		contract.Registered{Number: number(1), InsuranceNumber: card(1), Removed: true}, changed, person(4)))
	r.installs(t)
	r.has(t, map[int]bool{1: false, 2: true, 3: true, 4: true})
	if got, _, _ := r.Find(number(2), ""); got.Entitlement.Status != contract.StatusNotEntitled {
		t.Error("the old entitlement is still there")
	}

	// A card that goes to somebody else: it must not name its old owner.
	moved := person(5)
	moved.InsuranceNumber = card(3)
	without := person(3)
	without.InsuranceNumber = ""
	r.insurer.offer(300, 200, contract.BundlePopulation, 4, people(t, moved, without))
	r.installs(t)
	if got, _, _ := r.Find("", card(3)); got.Number != number(5) {
		t.Error("the card names its old owner")
	}
	if got, _, ok := r.Find(number(3), card(3)); !ok || got.InsuranceNumber != "" {
		t.Error("the old owner is gone")
	}

	// A whole list takes everybody's place.
	r.insurer.offer(400, 0, contract.BundlePopulation, 1, people(t, person(9)))
	r.installs(t)
	r.has(t, map[int]bool{2: false, 3: false, 4: false, 9: true})

	// Nothing newer.
	r.insurer.current = true
	if new, err := r.Update(t.Context(), contract.BundlePopulation); new || err != nil {
		t.Errorf("%v, %v", new, err)
	}
	// The list survives a restart, and is nobody's with another pinned key.
	if err := r.st.Close(); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	r.has(t, map[int]bool{9: true})
	c := r.config()
	c.Key = newSigner(10).name(t)
	other, err := bundle.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := other.Find(number(9), ""); ok {
		t.Error("a list is believed whose key is no longer pinned")
	}
}

func TestTrust(t *testing.T) {
	r := newRig(t)
	part := func(pieces ...contract.TrustPiece) []byte {
		b, err := contract.EncodeTrustPart(&contract.TrustPart{Version: contract.Version, Pieces: pieces})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if p, s, err := r.Pieces(t.Context()); p != nil || s.Installed() || err != nil {
		t.Errorf("%v, %+v, %v", p, s, err)
	}
	a, b, c := contract.TrustPiece{DER: []byte("a")}, contract.TrustPiece{DER: []byte("b")}, contract.TrustPiece{DER: []byte("c")}
	r.insurer.offer(1, 0, contract.BundleTrust, 2, part(a, b))
	r.installs(t)
	b.Removed = true
	r.insurer.offer(2, 1, contract.BundleTrust, 2, part(b, c))
	r.installs(t)
	got, s, err := r.Pieces(t.Context())
	if err != nil || len(got) != 2 || s.Entries != 2 || s.Serial != 2 {
		t.Fatalf("%d, %+v, %v", len(got), s, err)
	}
	if all := string(got[0]) + string(got[1]); all != "ac" && all != "ca" {
		t.Errorf("%s", all)
	}
}

// TestResume: parts that have arrived are not fetched again, also after a restart.
func TestResume(t *testing.T) {
	r := newRig(t)
	r.insurer.offer(1, 0, contract.BundlePopulation, 4, people(t, person(1)), people(t, person(2)), people(t, person(3)), people(t, person(4)))
	r.insurer.failAfter = 2
	if new, err := r.Update(t.Context(), contract.BundlePopulation); new || !errors.Is(err, errLink) {
		t.Fatalf("%v, %v", new, err)
	}
	r.has(t, map[int]bool{1: false}) // nothing counts before all of it is there
	if err := r.st.Close(); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	r.insurer.failAfter, r.insurer.fetched = 0, nil
	r.installs(t)
	if fmt.Sprint(r.insurer.fetched) != "[2 3]" {
		t.Errorf("fetched again: %v", r.insurer.fetched)
	}
	r.has(t, map[int]bool{1: true, 4: true})

	// Another bundle that comes while one is under way begins from its start.
	r.insurer.offer(2, 0, contract.BundlePopulation, 2, people(t, person(1)), people(t, person(2)))
	r.insurer.failAfter = 1
	if _, err := r.Update(t.Context(), contract.BundlePopulation); !errors.Is(err, errLink) {
		t.Fatal(err)
	}
	r.insurer.offer(3, 0, contract.BundlePopulation, 2, people(t, person(6)), people(t, person(7)))
	r.insurer.failAfter = 0
	r.installs(t)
	r.has(t, map[int]bool{1: false, 6: true, 7: true})
}

func TestRefusals(t *testing.T) {
	good := func(r *rig, t *testing.T) {
		r.insurer.offer(100, 0, contract.BundlePopulation, 1, people(t, person(1)))
	}
	tests := []struct {
		name string
		make func(r *rig, t *testing.T)
		want error
	}{
		{"another key", func(r *rig, t *testing.T) {
			good(r, t)
			r.insurer.manifest.Serial = 200
			r.insurer.key = newSigner(10)
		}, bundle.ErrSignature},
		{"changed", func(r *rig, t *testing.T) {
			r.insurer.offer(200, 0, contract.BundlePopulation, 1, people(t, person(2)))
			r.insurer.change = func(h map[string][]string, p []byte) (map[string][]string, []byte) {
				return h, bytes.Replace(p, []byte("01013"), []byte("01014"), 1)
			}
		}, bundle.ErrSignature},
		{"not signed", func(r *rig, t *testing.T) {
			r.insurer.offer(200, 0, contract.BundlePopulation, 1, people(t, person(2)))
			r.insurer.change = func(_ map[string][]string, p []byte) (map[string][]string, []byte) { return nil, p }
		}, bundle.ErrSignature},
		{"signed nonsense", func(r *rig, t *testing.T) {
			r.insurer.change = func(map[string][]string, []byte) (map[string][]string, []byte) {
				p := []byte(`{"version":1}`)
				h, err := contract.Sign(r.insurer.key, contract.DomainBundle, p)
				if err != nil {
					t.Fatal(err)
				}
				return h, p
			}
		}, bundle.ErrMalformed},
		{"the same again", func(r *rig, t *testing.T) {
			r.insurer.offer(100, 0, contract.BundlePopulation, 1, people(t, person(2)))
		}, bundle.ErrOlder},
		{"older", func(r *rig, t *testing.T) {
			r.insurer.offer(99, 0, contract.BundlePopulation, 1, people(t, person(2)))
		}, bundle.ErrOlder},
		{"another facility", func(r *rig, t *testing.T) {
			r.insurer.offer(200, 0, contract.BundlePopulation, 1, people(t, person(2)))
			r.insurer.manifest.Facility = "01014"
		}, bundle.ErrForeign},
		{"another kind", func(r *rig, t *testing.T) {
			r.insurer.offer(200, 0, contract.BundleTrust, 0)
		}, bundle.ErrForeign},
		{"difference to something else", func(r *rig, t *testing.T) {
			r.insurer.offer(200, 150, contract.BundlePopulation, 1, people(t, person(2)))
		}, bundle.ErrBase},
		{"of next week", func(r *rig, t *testing.T) {
			r.insurer.offer(200, 0, contract.BundlePopulation, 1, people(t, person(2)))
			r.insurer.manifest.IssuedAt = at.AddDate(0, 0, 7)
		}, bundle.ErrFuture},
		{"a part that was changed", func(r *rig, t *testing.T) {
			r.insurer.offer(200, 0, contract.BundlePopulation, 1, people(t, person(2)))
			r.insurer.content[0] = people(t, person(3))
		}, bundle.ErrPart},
		{"a part that is shorter", func(r *rig, t *testing.T) {
			r.insurer.offer(200, 0, contract.BundlePopulation, 1, people(t, person(2)))
			r.insurer.content[0] = r.insurer.content[0][:10]
		}, bundle.ErrPart},
		{"a part that is no part", func(r *rig, t *testing.T) {
			r.insurer.offer(200, 0, contract.BundlePopulation, 1, []byte(`{"version":1,"people":[{"number":"1"}]}`))
		}, bundle.ErrMalformed},
		{"fewer people than it says", func(r *rig, t *testing.T) {
			r.insurer.offer(200, 0, contract.BundlePopulation, 2, people(t, person(2)))
		}, bundle.ErrPart},
		{"somebody twice", func(r *rig, t *testing.T) {
			r.insurer.offer(200, 0, contract.BundlePopulation, 2, people(t, person(2), person(2)))
		}, bundle.ErrPart},
		{"somebody removed from a whole list", func(r *rig, t *testing.T) {
			r.insurer.offer(200, 0, contract.BundlePopulation, 0, people(t, contract.Registered{Number: number(1), Removed: true}))
		}, bundle.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			good(r, t)
			r.installs(t)
			before, err := r.State(contract.BundlePopulation)
			if err != nil {
				t.Fatal(err)
			}
			tt.make(r, t)
			new, err := r.Update(t.Context(), contract.BundlePopulation)
			if why, refused := bundle.Refused(err); new || !errors.Is(err, tt.want) || !refused || why != tt.want {
				t.Fatalf("%v, %v, want %v", new, err, tt.want)
			}
			// The old list stays, and the refusal shows.
			after, err := r.State(contract.BundlePopulation)
			if err != nil || after.Serial != before.Serial || after.Entries != 1 || after.Refused != tt.want.Error() || after.Pending != nil || !after.RefusedAt.Equal(at) {
				t.Errorf("state %+v, %v", after, err)
			}
			if _, _, ok := r.Find(number(1), ""); !ok {
				t.Error("the old list is gone")
			}
			// A good one is taken afterwards.
			r.insurer.change, r.insurer.key = nil, newSigner(9)
			r.insurer.offer(300, 100, contract.BundlePopulation, 2, people(t, person(7)))
			r.installs(t)
			if s, err := r.State(contract.BundlePopulation); err != nil || s.Refused != "" {
				t.Errorf("state %+v, %v", s, err)
			}
		})
	}
}

// TestSealed: whoever copies the file learns nothing of the people in it.
func TestSealed(t *testing.T) {
	r := newRig(t)
	r.insurer.offer(1, 0, contract.BundlePopulation, 2, people(t, person(1)), people(t, person(2)))
	r.insurer.failAfter = 1
	if _, err := r.Update(t.Context(), contract.BundlePopulation); !errors.Is(err, errLink) {
		t.Fatal(err)
	}
	r.insurer.failAfter = 0
	r.installs(t)
	if err := r.st.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{number(1), number(2), card(1), "Nguyễn", "Thử", "1999-01-31"} {
		if bytes.Contains(raw, []byte(s)) {
			t.Errorf("the file holds %q in clear", s)
		}
	}
}

// TestPowerCut: an installation that was not committed is none. The store gives
// the transaction; this shows that there is only one.
func TestPowerCut(t *testing.T) {
	r := newRig(t)
	r.insurer.offer(1, 0, contract.BundlePopulation, 2, people(t, person(1), person(2)))
	r.installs(t)
	before := transactions(t, r.st)
	r.insurer.offer(2, 0, contract.BundlePopulation, 1, people(t, person(3)))
	r.installs(t)
	// One to note the manifest, one for the part, one for everything else.
	if n := transactions(t, r.st) - before; n != 3 {
		t.Errorf("%d transactions", n)
	}
}

func transactions(t *testing.T, st *store.Store) (id int) {
	t.Helper()
	err := st.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestConfig(t *testing.T) {
	r := newRig(t)
	for name, change := range map[string]func(*bundle.Config){
		"no store":    func(c *bundle.Config) { c.Store = nil },
		"no key":      func(c *bundle.Config) { c.Key = "" },
		"no facility": func(c *bundle.Config) { c.Facility = "a.b" },
		"no fetcher":  func(c *bundle.Config) { c.Fetcher = nil },
	} {
		c := r.config()
		change(&c)
		if _, err := bundle.Open(c); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// A station's whole list: how long it takes to install, with everything that is
// checked and sealed.
func BenchmarkInstall10000(b *testing.B) {
	r := newRig(b)
	var parts [][]byte
	for n := 0; n < 10000; n += 500 {
		var list []contract.Registered
		for i := range 500 {
			list = append(list, person(n+i))
		}
		parts = append(parts, people(b, list...))
	}
	serial := int64(0)
	for b.Loop() {
		serial++
		r.insurer.offer(serial, 0, contract.BundlePopulation, 10000, parts...)
		r.installs(b)
	}
}

func BenchmarkFind(b *testing.B) {
	r := newRig(b)
	var list []contract.Registered
	for i := range 500 {
		list = append(list, person(i))
	}
	r.insurer.offer(1, 0, contract.BundlePopulation, 500, people(b, list...))
	r.installs(b)
	for b.Loop() {
		if _, _, ok := r.Find(number(250), ""); !ok {
			b.Fatal("not found")
		}
	}
}
