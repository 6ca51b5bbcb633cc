package virtual_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/virtual"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const name = "Virtual 00"

func TestConformance(t *testing.T) {
	readertest.Run(t, func(testing.TB) *readertest.Rig {
		d := virtual.New("Other reader", name)
		check := func(t testing.TB, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		return &readertest.Rig{
			Driver:       d,
			Name:         name,
			Insert:       func(t testing.TB, c *readertest.Chip) { check(t, d.Insert(name, c)) },
			Remove:       func(t testing.TB) { check(t, d.Remove(name)) },
			ResetByOther: func(t testing.TB) { check(t, d.ResetCard(name)) },
			Unplug:       func(testing.TB) { d.Unplug(name) },
		}
	})
}

func TestTear(t *testing.T) {
	for _, tt := range []struct {
		name string
		tear int
		want []error
	}{
		{"first exchange", 1, []error{reader.ErrCardRemoved, reader.ErrCardRemoved}},
		{"third exchange", 3, []error{nil, nil, reader.ErrCardRemoved, reader.ErrCardRemoved}},
		{"order taken back", 0, []error{nil, nil, nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, chip := virtual.New(name), readertest.NewChip()
			if err := d.Insert(name, chip); err != nil {
				t.Fatal(err)
			}
			card, err := d.Open(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Tear(name, 7); err != nil {
				t.Fatal(err)
			}
			if err := d.Tear(name, tt.tear); err != nil {
				t.Fatal(err)
			}
			for i, want := range tt.want {
				if _, err := card.Transmit(t.Context(), []byte{0x80, readertest.InsRecall, 0, 0}); !errors.Is(err, want) {
					t.Errorf("exchange %d: %v, want %v", i+1, err, want)
				}
			}
			if tt.tear > 0 && chip.Seen() != tt.tear {
				t.Errorf("the chip saw %d commands, want %d: the torn one reaches it", chip.Seen(), tt.tear)
			}
		})
	}
}

// A removed card need not be closed before the next one is opened, and closing
// it later does not disturb the next one.
func TestCloseAfterNextOpen(t *testing.T) {
	d := virtual.New(name)
	open := func() reader.Card {
		if err := d.Insert(name, readertest.NewChip()); err != nil {
			t.Fatal(err)
		}
		card, err := d.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return card
	}
	first := open()
	if err := d.Remove(name); err != nil {
		t.Fatal(err)
	}
	second := open()
	first.Close()
	if _, err := d.Open(t.Context(), name); !errors.Is(err, reader.ErrSharing) {
		t.Errorf("Open while the second card is open: %v, want %v", err, reader.ErrSharing)
	}
	second.Close()
}

func TestHandRefuses(t *testing.T) {
	d := virtual.New(name)
	if err := d.Insert("nowhere", readertest.NewChip()); !errors.Is(err, reader.ErrNoReader) {
		t.Errorf("Insert: %v", err)
	}
	if err := d.Remove("nowhere"); !errors.Is(err, reader.ErrNoReader) {
		t.Errorf("Remove: %v", err)
	}
	for what, f := range map[string]func(string) error{
		"Tear":      func(n string) error { return d.Tear(n, 1) },
		"ResetCard": d.ResetCard,
	} {
		if err := f("nowhere"); !errors.Is(err, reader.ErrNoReader) {
			t.Errorf("%s: %v", what, err)
		}
		if err := f(name); !errors.Is(err, reader.ErrNoCard) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := d.Insert(name, readertest.NewChip()); err != nil {
		t.Fatal(err)
	}
	if err := d.Insert(name, readertest.NewChip()); err == nil {
		t.Error("two cards on one reader")
	}
	if err := d.Plug(name); err == nil {
		t.Error("two readers of one name")
	}
	if err := d.Plug("second"); err != nil {
		t.Error(err)
	}
	infos, err := d.Readers(context.Background())
	if err != nil || len(infos) != 2 || infos[1].Name != "second" {
		t.Errorf("readers %v, %v", infos, err)
	}
}
