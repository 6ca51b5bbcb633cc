package pcsc_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/pcsc"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/virtual"
)

// The tests of this file need a running pcscd whose first virtual reader vpcd
// listens at CHAMTHE_VPCD. The script .ci/pcsc-run provides both and sets
// CHAMTHE_PCSC=1.

// realReader is the name that pcscd gives to the first reader of vpcd.
const realReader = "Virtual PCD 00 00"

func realAddress(t testing.TB) string {
	t.Helper()
	if os.Getenv("CHAMTHE_PCSC") != "1" {
		t.Skip("needs a running pcscd with vpcd: run make pcsc")
	}
	addr := os.Getenv("CHAMTHE_VPCD")
	if addr == "" {
		addr = virtual.DefaultVPCDAddress
	}
	return addr
}

// lend puts chip on the reader and returns the hand that takes it off.
func lend(t testing.TB, addr string, chip *readertest.Chip) (remove func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	// A chip that leaves stays away: the suite puts a new one on.
	l := &virtual.Lender{Address: addr, Chip: chip, Absent: time.Hour}
	go func() {
		defer close(done)
		if err := l.Run(ctx); err != nil {
			t.Errorf("lender: %v", err)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func TestConformanceOnRealService(t *testing.T) {
	addr := realAddress(t)
	readertest.Run(t, func(t testing.TB) *readertest.Rig {
		d := pcsc.New(nil)
		var remove func()
		off := func() {
			if remove != nil {
				remove()
				remove = nil
			}
		}
		rig := &readertest.Rig{
			Driver: d,
			Name:   realReader,
			Insert: func(t testing.TB, c *readertest.Chip) {
				off()
				remove = lend(t, addr, c)
			},
			Remove:  func(testing.TB) { off() },
			MaxData: 65535 - 9, // a frame of vpcd holds the whole command
		}
		t.Cleanup(func() {
			off()
			awaitEmpty(t, d)
		})
		return rig
	})
}

func awaitEmpty(t testing.TB, d *pcsc.Driver) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	infos, err := d.Readers(ctx)
	for {
		if err != nil {
			t.Fatalf("the reader does not become empty: %v", err)
		}
		for _, in := range infos {
			if in.Name == realReader && in.State == reader.Empty {
				return
			}
		}
		infos, err = d.Wait(ctx, infos)
	}
}

// Two programs that know nothing of each other share a card by transactions.
func TestTwoProgramsOnRealService(t *testing.T) {
	addr := realAddress(t)
	first, second := pcsc.New(nil), pcsc.New(&pcsc.Options{Busy: 200 * time.Millisecond, Step: time.Second})
	remove := lend(t, addr, readertest.NewChip())
	defer awaitEmpty(t, first)
	defer remove()
	if _, err := reader.WaitCard(t.Context(), first, realReader); err != nil {
		t.Fatal(err)
	}
	card, err := first.Open(t.Context(), realReader)
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("kept")
	if _, err := card.Transmit(t.Context(), readertest.Command(readertest.InsRemember, 0, 0, data, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Open(t.Context(), realReader); !errors.Is(err, reader.ErrSharing) {
		t.Errorf("second program: %v, want %v", err, reader.ErrSharing)
	}
	resp, err := card.Transmit(t.Context(), readertest.Command(readertest.InsRecall, 0, 0, nil, 256))
	if err != nil || !bytes.HasPrefix(resp, data) {
		t.Errorf("the second program disturbed the first: %d bytes, %v", len(resp), err)
	}
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
	// What the second program began while it was blocked is undone when it
	// gets the card; then it can have it.
	var other reader.Card
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if other, err = second.Open(t.Context(), realReader); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}
