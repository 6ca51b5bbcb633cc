package readertest

import (
	"context"
	"errors"
	"testing"

	"github.com/chamthe/chamthe/reader"
)

// testCapabilities checks what [reader.Capable] promises. A card that is not
// Capable has nothing to keep.
func testCapabilities(t *testing.T, r *Rig) {
	r.insert(t, NewChip())
	card := r.open(t)
	_, capable := card.(reader.Capable)
	exchange(t, card, remember)
	caps, err := reader.CapabilitiesOf(limited(t), card)
	if err != nil {
		t.Fatalf("Capabilities: %v", err)
	}
	if caps.MaxAPDU < 0 || caps.MaxAPDU > 65536 {
		t.Errorf("the reader carries %d bytes", caps.MaxAPDU)
	}
	if len(exchange(t, card, recall)) == 0 {
		t.Error("asking the reader cost the session on the chip")
	}
	if !capable {
		return
	}
	ended, cancel := context.WithCancel(limited(t))
	cancel()
	_, err = reader.CapabilitiesOf(ended, card)
	wantError(t, "Capabilities with an ended context", err, context.Canceled)
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = reader.CapabilitiesOf(limited(t), card)
	wantError(t, "Capabilities after Close", err, reader.ErrClosed)
}

// testHub checks that a hub over the driver tells what happens, lends the card
// to one owner, and goes on after a card that was torn away.
func testHub(t *testing.T, r *Rig) {
	h, err := reader.OpenHub(reader.HubConfig{Sources: []reader.Source{{Name: "tested", Driver: r.Driver}}, All: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	s := h.Subscribe(0)
	defer s.Close()
	next := func(want reader.EventKind) reader.Device {
		t.Helper()
		for {
			c, err := s.Next(limited(t))
			if err != nil {
				t.Fatalf("waiting for %q: %v", want, err)
			}
			if c.Kind == reader.Snapshot {
				for _, d := range c.Devices {
					if d.Name == r.Name && want == reader.Snapshot {
						return d
					}
				}
			} else if c.Kind == want && c.Device.Name == r.Name {
				return c.Device
			}
		}
	}
	if d := next(reader.Snapshot); d.State != reader.Empty || d.Source != "tested" {
		t.Errorf("at the beginning: %v on a reader of source %q", d.State, d.Source)
	}
	for range 2 {
		chip := NewChip()
		r.Insert(t, chip)
		if d := next(reader.CardInserted); !d.State.HasCard() {
			t.Errorf("a card came and the state is %v", d.State)
		}
		in, err := reader.WaitCard(limited(t), h, r.Name)
		if err != nil {
			t.Fatal(err)
		}
		l, err := h.Take(limited(t), in.Name)
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, l, remember)
		_, err = h.Take(limited(t), r.Name)
		wantError(t, "second owner", err, reader.ErrSharing)
		if busy, ok := errors.AsType[*reader.BusyError](err); !ok || !busy.Ours {
			t.Errorf("second owner: %v does not say that the card is ours", err)
		}
		chip.LeaveAt(1)
		_, err = l.Transmit(limited(t), recall)
		wantError(t, "torn exchange", err, reader.ErrCardRemoved)
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		r.Remove(t)
		next(reader.CardRemoved)
		r.await(t, reader.Empty)
	}
}
