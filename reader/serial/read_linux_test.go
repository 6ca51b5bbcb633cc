package serial_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/serial"
	"github.com/chamthe/chamthe/reader/serial/serialtest"
)

// patience bounds what must happen; nothing takes longer for it unless it
// fails.
const patience = 20 * time.Second

func limited(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// tap opens the card that lies on the module, or is about to.
func (b *bench) tap(tb testing.TB) reader.Card {
	tb.Helper()
	ctx := limited(tb)
	if _, err := reader.WaitCard(ctx, b.driver, b.name); err != nil {
		tb.Fatalf("no card: %v; problem: %v", err, b.driver.Problem(b.name))
	}
	card, err := b.driver.Open(ctx, b.name)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { card.Close() })
	return card
}

// await waits until the reader is in a state.
func (b *bench) await(tb testing.TB, want reader.State) {
	tb.Helper()
	ctx := limited(tb)
	infos, err := b.driver.Readers(ctx)
	for {
		if err != nil {
			tb.Fatalf("waiting for state %v: %v", want, err)
		}
		if len(infos) == 1 && infos[0].State == want {
			return
		}
		infos, err = b.driver.Wait(ctx, infos)
	}
}

// TestReadsDocuments inspects whole documents through the module.
func TestReadsDocuments(t *testing.T) {
	disturbed := serialtest.Faults{Seed: 7, BadChecksum: 30, TwoACKs: 10, Refuse: 30, Noise: 20, Stale: 10, Pieces: 3}
	tests := []struct {
		profile string
		maxNe   int
		kind    serialtest.CardKind
		fast    byte
		faults  serialtest.Faults
	}{
		{profile: chip.ProfileCCCD},
		{profile: chip.ProfileCCCD, faults: disturbed},
		{profile: chip.ProfileCCCDPACE, fast: 2},
		{profile: chip.ProfileCCCDPACE, maxNe: 65536, fast: 1},
		{profile: chip.ProfileCCCDPACE, maxNe: 65536, faults: disturbed},
		{profile: chip.ProfileCCCDPACE, maxNe: 65536, kind: serialtest.TypeB},
		{profile: chip.ProfilePassportBAC},
		{profile: chip.ProfilePassportPACECAM, maxNe: 65536},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprintf("%d-%s-%d", i, tt.profile, tt.maxNe), func(t *testing.T) {
			b := newBench(t, serial.Config{})
			b.module.Fail(tt.faults)
			if tt.fast > 0 {
				b.module.Fast(tt.fast, false)
			}
			d := inspecttest.New(t, tt.profile)
			b.module.InsertAs(d.Card(t), tt.kind)
			card := b.tap(t)
			if send, receive := b.module.Rates(); send != tt.fast || receive != tt.fast {
				t.Errorf("rates %d and %d, want %d", send, receive, tt.fast)
			}
			r, err := inspect.Run(limited(t), card, d.Access(t), &inspect.Config{
				At: inspecttest.At, Trust: d.Pool(t), Photo: true, MaxNe: tt.maxNe,
			})
			if err != nil {
				t.Fatal(err)
			}
			if !r.TextVerified() || r.Photo == nil {
				t.Errorf("text verified %v, photo %v: %v", r.TextVerified(), r.Photo != nil, r.Err())
			}
			if tt.maxNe > 0 && tt.profile == chip.ProfileCCCDPACE && r.Exchanges > 60 {
				t.Errorf("%d exchanges: extended length was not used", r.Exchanges)
			}
		})
	}
}

// A torn chip leaves the field in one of its exchanges.
type torn struct {
	serialtest.Chip
	left int
}

func (c *torn) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if c.left--; c.left < 0 {
		return nil, errors.New("left")
	}
	return c.Chip.Transmit(ctx, cmd)
}

// TestNextTapWorks tears a card away at many points of a read. The next tap is
// read to its end.
func TestNextTapWorks(t *testing.T) {
	b := newBench(t, serial.Config{})
	d := inspecttest.New(t, chip.ProfileCCCDPACE)
	cfg := &inspect.Config{At: inspecttest.At, Trust: d.Pool(t), Photo: true, MaxNe: 65536}
	for n := 0; n <= 18; n += 2 {
		b.module.Insert(&torn{d.Card(t), n})
		card := b.tap(t)
		if _, err := inspect.Run(limited(t), card, d.Access(t), cfg); !errors.Is(err, reader.ErrCardRemoved) {
			t.Fatalf("torn in exchange %d: error %v, want %v", n+1, err, reader.ErrCardRemoved)
		}
		if err := card.Close(); err != nil {
			t.Error(err)
		}
		b.await(t, reader.Empty)
		if n%6 != 0 {
			continue
		}
		b.module.Insert(d.Card(t))
		card = b.tap(t)
		r, err := inspect.Run(limited(t), card, d.Access(t), cfg)
		if err != nil || !r.TextVerified() {
			t.Fatalf("the tap after one that was torn in exchange %d: %v", n+1, err)
		}
		if err := card.Close(); err != nil {
			t.Error(err)
		}
		b.module.Remove()
		b.await(t, reader.Empty)
	}
}

// TestVanishesWhileReading unplugs the module in the middle of a read, and
// plugs it in again.
func TestVanishesWhileReading(t *testing.T) {
	b := newBench(t, serial.Config{})
	d := inspecttest.New(t, chip.ProfileCCCD)
	cfg := &inspect.Config{At: inspecttest.At, Trust: d.Pool(t), Photo: true}
	for n := 1; n <= 3; n++ {
		reached := make(chan struct{})
		hold := &holding{Chip: d.Card(t), at: 7 * n, reached: reached, release: make(chan struct{})}
		b.module.Insert(hold)
		card := b.tap(t)
		go func() {
			<-reached
			b.Unplug()
			close(hold.release)
		}()
		if _, err := inspect.Run(limited(t), card, d.Access(t), cfg); !errors.Is(err, reader.ErrNoReader) {
			t.Fatalf("unplugged in exchange %d: error %v, want %v", 7*n, err, reader.ErrNoReader)
		}
		if err := card.Close(); err != nil {
			t.Error(err)
		}
		<-b.served
		if infos, err := b.driver.Readers(limited(t)); err != nil || len(infos) != 0 {
			t.Fatalf("without the module: %d readers, %v", len(infos), err)
		}
		b.plug(t)
		b.module.Insert(d.Card(t))
		card = b.tap(t)
		if r, err := inspect.Run(limited(t), card, d.Access(t), cfg); err != nil || !r.TextVerified() {
			t.Fatalf("after plugging in again: %v", err)
		}
		card.Close()
	}
}

// A holding chip stops in one exchange until it is released.
type holding struct {
	serialtest.Chip
	at               int
	reached, release chan struct{}
}

func (c *holding) Transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if c.at--; c.at == 0 {
		close(c.reached)
		<-c.release
	}
	return c.Chip.Transmit(ctx, cmd)
}

// BenchmarkRead reads a citizen card through the module and reports how long
// the bytes on the serial line alone would take at its speeds. The card's own
// time comes on top: some 1.5 s of cryptography and air at 106 kbit/s with
// a real one, which no pseudo-terminal shows.
func BenchmarkRead(b *testing.B) {
	for _, maxNe := range []int{256, 65536} {
		b.Run(fmt.Sprintf("Ne%d", maxNe), func(b *testing.B) {
			bench := newBench(b, serial.Config{})
			d := inspecttest.New(b, chip.ProfileCCCDPACE)
			cfg := &inspect.Config{At: inspecttest.At, Trust: d.Pool(b), Photo: true, MaxNe: maxNe}
			bench.module.Insert(d.Card(b))
			card := bench.tap(b)
			before, n := bench.module.Traffic(), 0
			for b.Loop() {
				if err := card.Reset(b.Context()); err != nil {
					b.Fatal(err)
				}
				if _, err := inspect.Run(b.Context(), card, d.Access(b), cfg); err != nil {
					b.Fatal(err)
				}
				n++
			}
			after := bench.module.Traffic()
			bytes := float64(after.In+after.Out-before.In-before.Out) / float64(n)
			b.ReportMetric(bytes, "line-bytes/op")
			b.ReportMetric(float64(after.Exchanges-before.Exchanges)/float64(n), "blocks/op")
			for _, baud := range []float64{115200, 921600} {
				b.ReportMetric(bytes*10/baud*1000, fmt.Sprintf("line-ms@%.0f/op", baud))
			}
		})
	}
}
