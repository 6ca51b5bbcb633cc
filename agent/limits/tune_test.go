package limits_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/virtual"
)

// card is one on a reader that says what it carries.
type card struct {
	caps reader.Capabilities
	err  error
}

func (c card) ATR() []byte { return []byte{0x3B, 0x80, 0x80, 0x01, 0x01} }

func (c card) Capabilities(context.Context) (reader.Capabilities, error) { return c.caps, c.err }

// leased is a card that knows its limits.
type leased struct {
	card
	limits reader.Limits
	found  *reader.Limits
}

func (l leased) Limits() reader.Limits { return l.limits }

func (l leased) Learned() reader.Limits {
	if l.limits.Learned.IsZero() {
		return reader.Limits{}
	}
	return l.limits
}

func (l leased) Relearn(_ context.Context, found reader.Limits) error {
	*l.found = found
	return nil
}

const readerName = "ACME Contactless 00 00"

func TestTune(t *testing.T) {
	t.Parallel()
	k := reader.KeyOf(readerName, card{}.ATR())
	failed := errors.New("reader broken")
	for _, tt := range []struct {
		name    string
		card    any
		known   reader.Limits
		maxNe   int
		learned lds.Learned
		err     error
	}{
		{"nothing is known", struct{}{}, reader.Limits{}, 256, lds.Learned{}, nil},
		{"reader says nothing", card{}, reader.Limits{}, 256, lds.Learned{}, nil},
		{"reader cannot be asked", card{err: failed}, reader.Limits{}, 256, lds.Learned{}, failed},
		{"short reader", card{caps: reader.Capabilities{MaxAPDU: 253}}, reader.Limits{}, 253, lds.Learned{}, nil},
		{"long reader", card{caps: reader.Capabilities{MaxAPDU: 2048, Extended: true}}, reader.Limits{}, 2048, lds.Learned{}, nil},
		{"reader of any length", card{caps: reader.Capabilities{Extended: true}}, reader.Limits{}, 65536, lds.Learned{}, nil},
		{"reader that says too much", card{caps: reader.Capabilities{MaxAPDU: 1 << 30}}, reader.Limits{}, 65536, lds.Learned{}, nil},
		{"reader that says nonsense", card{caps: reader.Capabilities{MaxAPDU: -1}}, reader.Limits{}, 256, lds.Learned{}, nil},
		{"learned", card{caps: reader.Capabilities{MaxAPDU: 2048}}, reader.Limits{MaxNe: 223, NoSFI: true, Probe: true}, 2048, lds.Learned{MaxNe: 223, NoSFI: true, Probe: true}, nil},
		{"learned that extended length is not safe", card{caps: reader.Capabilities{MaxAPDU: 2048}}, reader.Limits{NoExtended: true}, 256, lds.Learned{NoExtended: true}, nil},
		{"short, and extended length not safe", card{caps: reader.Capabilities{MaxAPDU: 200}}, reader.Limits{NoExtended: true}, 200, lds.Learned{NoExtended: true}, nil},
		{"learned long ago", card{}, reader.Limits{MaxNe: 112, NoSFI: true, Learned: time.Now().Add(-reader.LimitLife)}, 256, lds.Learned{}, nil},
		{"learned in the future", card{}, reader.Limits{MaxNe: 112, NoSFI: true, Learned: time.Now().Add(time.Hour)}, 256, lds.Learned{}, nil},
		{"lease that knows nothing", leased{}, reader.Limits{MaxNe: 1}, 256, lds.Learned{}, nil}, // its hub has asked the store
		{"lease of a reader", leased{limits: reader.Limits{MaxNe: 2048}}, reader.Limits{}, 2048, lds.Learned{}, nil},
		{"lease of a reader with a quirk", leased{limits: reader.Limits{MaxNe: 2048, NoExtended: true}}, reader.Limits{}, 256, lds.Learned{}, nil},
		{"lease that has learned that extended length works", leased{limits: reader.Limits{MaxNe: 4096, NoSFI: true, Learned: noon}}, reader.Limits{}, 4096, lds.Learned{NoSFI: true}, nil},
		{"lease that has learned", leased{limits: reader.Limits{MaxNe: 223, NoSFI: true, Learned: noon}}, reader.Limits{}, 256, lds.Learned{MaxNe: 223, NoSFI: true}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store := new(reader.MemoryLimits)
			if tt.known != (reader.Limits{}) {
				if tt.known.Learned.IsZero() {
					tt.known.Learned = time.Now()
				}
				if err := store.Save(t.Context(), k, tt.known); err != nil {
					t.Fatal(err)
				}
			}
			var cfg inspect.Config
			tuning, err := limits.Tune(t.Context(), store, readerName, tt.card, &cfg)
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if cfg.MaxNe != tt.maxNe || cfg.Learned == nil || *cfg.Learned != tt.learned {
				t.Errorf("at most %d bytes, learned %+v; want %d, %+v", cfg.MaxNe, cfg.Learned, tt.maxNe, tt.learned)
			}
			if err := tuning.Save(t.Context()); err != nil {
				t.Errorf("nothing to save: %v", err)
			}
		})
	}
}

// TestLearn: what an inspection finds out is there for the next one, and what the
// reader's own limits are stays.
func TestLearn(t *testing.T) {
	t.Parallel()
	s, _ := inStore(t)
	k := reader.KeyOf(readerName, card{}.ATR())
	if err := s.Save(t.Context(), k, reader.Limits{NoExtended: true, Delay: 5, Learned: time.Now()}); err != nil {
		t.Fatal(err)
	}
	var cfg inspect.Config
	tuning, err := limits.Tune(t.Context(), s, readerName, card{}, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	*cfg.Learned = lds.Learned{MaxNe: 192, NoExtended: true, Probe: true} // as the inspection does
	if err := tuning.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, _, err := s.Load(t.Context(), k)
	if err != nil || l.Learned.IsZero() || !l.Same(reader.Limits{MaxNe: 192, Probe: true, NoExtended: true, Delay: 5}) {
		t.Errorf("%+v, %v", l, err)
	}
	// Another reader of the same model, and not another model.
	for name, want := range map[string]int{"ACME Contactless 01 00": 192, "ACME Contact 00 00": 0} {
		if _, err := limits.Tune(t.Context(), s, name, card{}, &cfg); err != nil || cfg.Learned.MaxNe != want {
			t.Errorf("%s: %+v, %v", name, cfg.Learned, err)
		}
	}
	var found reader.Limits
	tuning, err = limits.Tune(t.Context(), s, readerName, leased{found: &found}, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Learned.NoSFI = true
	if err := tuning.Save(t.Context()); err != nil || found != (reader.Limits{NoSFI: true}) {
		t.Errorf("the lease was told %+v, %v", found, err)
	}
}

// TestRelearnThroughLease: what an inspection found not to hold any more is gone from
// a hub's store, and what reading says nothing of stays.
func TestRelearnThroughLease(t *testing.T) {
	t.Parallel()
	v := virtual.New(readerName)
	if err := v.Insert(readerName, readertest.NewChip()); err != nil {
		t.Fatal(err)
	}
	store := new(reader.MemoryLimits)
	h, err := reader.OpenHub(reader.HubConfig{Sources: []reader.Source{{Name: "virtual", Driver: v}}, Limits: store})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	// inspected takes the card, and returns what an inspection is told and what the
	// store has when it has found that.
	inspected := func(found lds.Learned) (told lds.Learned, maxNe int, kept reader.Limits) {
		t.Helper()
		l, err := h.Take(t.Context(), readerName)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var cfg inspect.Config
		tuning, err := limits.Tune(t.Context(), nil, "", l, &cfg)
		if err != nil {
			t.Fatal(err)
		}
		told = *cfg.Learned
		*cfg.Learned = found
		if err := tuning.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		kept, _, err = store.Load(t.Context(), l.Key())
		if err != nil {
			t.Fatal(err)
		}
		kept.Learned = time.Time{}
		return told, cfg.MaxNe, kept
	}
	l, err := h.Take(t.Context(), readerName)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Learn(t.Context(), reader.Limits{MaxNe: 4096, Delay: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	tight := lds.Learned{MaxNe: 112, NoExtended: true, NoSFI: true, Probe: true}
	for i, tt := range []struct {
		told, found lds.Learned
		maxNe       int
		kept        reader.Limits
	}{
		{lds.Learned{}, lds.Learned{Probe: true}, 4096, reader.Limits{MaxNe: 4096, Probe: true, Delay: time.Millisecond}},
		{lds.Learned{Probe: true}, tight, 4096, reader.Limits{MaxNe: 112, NoExtended: true, NoSFI: true, Probe: true, Delay: time.Millisecond}},
		{tight, lds.Learned{MaxNe: 224}, 256, reader.Limits{MaxNe: 224, Delay: time.Millisecond}},
		{lds.Learned{MaxNe: 224}, lds.Learned{}, 256, reader.Limits{Delay: time.Millisecond}},
	} {
		told, maxNe, kept := inspected(tt.found)
		if told != tt.told || maxNe != tt.maxNe || kept != tt.kept {
			t.Errorf("inspection %d: told %+v and %d, kept %+v; want %+v and %d, %+v", i, told, maxNe, kept, tt.told, tt.maxNe, tt.kept)
		}
	}
}
