package bundle_test

import (
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/sync/bundle"
	"github.com/chamthe/chamthe/sync/contract"
)

func roll(t testing.TB, from, to signer) string {
	t.Helper()
	s, err := bundle.NewRoll(from, to.name(t), at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// beside has the insurer send statements with its manifests.
func (f *insurer) beside(rolls ...string) {
	f.change = func(h map[string][]string, p []byte) (map[string][]string, []byte) {
		h = maps.Clone(h)
		h[bundle.HeaderRoll] = rolls
		return h, p
	}
}

// refuses asserts that what is offered is refused, and that nothing has changed.
func (r *rig) refuses(t *testing.T, name string, want error) {
	t.Helper()
	before, err := r.State(r.insurer.manifest.Kind)
	if err != nil {
		t.Fatal(err)
	}
	new, err := r.Update(t.Context(), r.insurer.manifest.Kind)
	if why, refused := bundle.Refused(err); new || !refused || why != want {
		t.Errorf("%s: %v, %v, want %v", name, new, err, want)
	}
	after, err := r.State(r.insurer.manifest.Kind)
	if err != nil || after.Key != before.Key || after.Serial != before.Serial {
		t.Errorf("%s: state %+v, before %+v, %v", name, after, before, err)
	}
}

// TestRoll: the insurer's key rolls, twice while nobody looks. The agent follows,
// keeps its lists, and believes the old keys nothing any more, whatever their
// statements say.
func TestRoll(t *testing.T) {
	r := newRig(t)
	one, two, three, thief := r.insurer.key, newSigner(20), newSigner(21), newSigner(66)
	trust := func(serial int64, pieces ...string) {
		t.Helper()
		part := contract.TrustPart{Version: contract.Version}
		for _, p := range pieces {
			part.Pieces = append(part.Pieces, contract.TrustPiece{DER: []byte(p)})
		}
		b, err := contract.EncodeTrustPart(&part)
		if err != nil {
			t.Fatal(err)
		}
		r.insurer.offer(serial, 0, contract.BundleTrust, len(pieces), b)
	}
	trust(1, "root")
	r.installs(t)
	r.insurer.offer(10, 0, contract.BundlePopulation, 2, people(t, person(1), person(2)))
	r.installs(t)

	// Forgeries, on the way to the real thing.
	r.insurer.offer(11, 10, contract.BundlePopulation, 3, people(t, person(3)))
	stolen := roll(t, one, two)
	text, _, _ := strings.Cut(stolen, ".")
	_, signature, _ := strings.Cut(roll(t, thief, two), ".")
	forged := base64.StdEncoding.EncodeToString([]byte(`{"version":1,"from":"` + one.name(t) + `","to":"` + thief.name(t) + `","at":"2026-11-22T01:00:00Z"}`))
	_, ofOther, _ := strings.Cut(stolen, ".")
	for name, tt := range map[string]struct {
		key   signer
		rolls []string
	}{
		"no statement":             {two, nil},
		"of the new key itself":    {two, []string{roll(t, two, three)}},
		"to somebody else":         {thief, []string{stolen}},
		"by somebody else":         {thief, []string{roll(t, two, thief)}},
		"another's signature":      {two, []string{text + "." + signature}},
		"signature of another":     {thief, []string{forged + "." + ofOther}},
		"no signature":             {two, []string{text}},
		"a gap":                    {three, []string{roll(t, two, three)}},
		"the wrong way round":      {three, []string{roll(t, two, three), stolen}},
		"beyond how many are read": {two, append([]string{stolen}, slices.Repeat([]string{roll(t, two, three)}, bundle.MaxRolls)...)},
	} {
		r.insurer.key = tt.key
		r.insurer.beside(tt.rolls...)
		r.refuses(t, name, bundle.ErrSignature)
	}

	// Rolled twice; what is not about it stands in between.
	r.insurer.key = three
	r.insurer.beside("rubbish", stolen, roll(t, thief, one), roll(t, two, three))
	r.installs(t)
	s, err := r.State(contract.BundlePopulation)
	if err != nil || s.Key != three.name(t) || s.Serial != 11 || s.Entries != 3 {
		t.Errorf("state %+v, %v", s, err)
	}
	r.has(t, map[int]bool{1: true, 3: true})
	// The other list is as good as before.
	if s, err := r.State(contract.BundleTrust); err != nil || s.Serial != 1 || s.Key != three.name(t) {
		t.Errorf("certificates %+v, %v", s, err)
	}
	if pieces, _, err := r.Pieces(t.Context()); err != nil || len(pieces) != 1 {
		t.Errorf("%d certificates, %v", len(pieces), err)
	}

	// The old keys sign nothing any more, newer or not, with or without statements.
	again := func() {
		t.Helper()
		for name, tt := range map[string]struct {
			key   signer
			rolls []string
		}{
			"first key":                 {one, nil},
			"first key, its statement":  {one, []string{stolen}},
			"second key, its statement": {two, []string{stolen}},
			"second key rolls again":    {thief, []string{stolen, roll(t, two, thief)}},
			"first key rolls again":     {thief, []string{roll(t, one, thief)}},
		} {
			r.insurer.key = tt.key
			r.insurer.offer(50, 0, contract.BundlePopulation, 1, people(t, person(9)))
			r.insurer.beside(tt.rolls...)
			r.refuses(t, name, bundle.ErrSignature)
		}
	}
	again()
	// Also after a restart, and under a new sealing key.
	r.insurer.key = one // what was pinned at enrolment
	r.st.Close()
	r.open(t)
	again()
	r.insurer.key = one
	to, _, err := r.reseal(t)
	if err != nil {
		t.Fatal(err)
	}
	r = to
	again()
	r.stillHas(t, 3)
	r.insurer.key = three
	r.insurer.beside()
	r.insurer.offer(60, 0, contract.BundlePopulation, 1, people(t, person(4)))
	r.installs(t)

	// Another enrolment begins anew.
	r.insurer.key = newSigner(30)
	if r.Keeper, err = bundle.Open(r.config()); err != nil {
		t.Fatal(err)
	}
	if s, err := r.State(contract.BundlePopulation); err != nil || s.Installed() || s.Key != r.insurer.key.name(t) {
		t.Errorf("after another enrolment: %+v, %v", s, err)
	}
}

// stillHas asserts that somebody is in the list, whatever its serial.
func (r *rig) stillHas(t *testing.T, n int) {
	t.Helper()
	if _, _, ok := r.Find(number(n), ""); !ok {
		t.Errorf("person %d is gone", n)
	}
}

func TestNewRoll(t *testing.T) {
	one, two := newSigner(1), newSigner(2)
	s := roll(t, one, two)
	r, err := bundle.OpenRoll(s)
	if err != nil || r.From != one.name(t) || r.To != two.name(t) || !r.At.Equal(at) {
		t.Errorf("%+v, %v", r, err)
	}
	for name, to := range map[string]string{"itself": one.name(t), "nobody": "", "no key": "UAAA"} {
		if _, err := bundle.NewRoll(one, to, at); !errors.Is(err, bundle.ErrRoll) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzOpenRoll: a statement is read whole or not at all.
func FuzzOpenRoll(f *testing.F) {
	good := roll(f, newSigner(1), newSigner(2))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(good + ".")
	f.Add("e30=." + good[strings.IndexByte(good, '.')+1:])
	f.Add(".")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := bundle.OpenRoll(s)
		if err != nil {
			if r != (bundle.Roll{}) || !errors.Is(err, bundle.ErrRoll) {
				t.Errorf("%+v with %v", r, err)
			}
			return
		}
		if contract.CheckAgent(r.From) != nil || contract.CheckAgent(r.To) != nil || r.From == r.To || r.At.Before(time.Time{}) {
			t.Errorf("%+v", r)
		}
	})
}
