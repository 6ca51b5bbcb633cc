package readertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/chamthe/chamthe/reader"
)

// Figures are what a soak has counted.
type Figures struct {
	Cycles    int // cards laid on the reader and taken off
	Torn      int // of those, cards that left in the middle of an exchange
	Pulled    int // of those, cards that left between two exchanges
	Exchanges int
	Elapsed   time.Duration
	CPU       time.Duration // of the process; 0 where it cannot be told

	// Before the first and after the last cycle.
	Goroutines, Files [2]int // Files is -1 where they cannot be counted
	Heap              [2]uint64
}

// String returns the figures in one line.
func (f Figures) String() string {
	return fmt.Sprintf("%d cycles (%d torn in an exchange, %d pulled between two), %d exchanges in %v, %v of CPU; goroutines %d -> %d, open files %d -> %d, heap %d -> %d KiB",
		f.Cycles, f.Torn, f.Pulled, f.Exchanges, f.Elapsed.Round(time.Millisecond), f.CPU.Round(time.Millisecond),
		f.Goroutines[0], f.Goroutines[1], f.Files[0], f.Files[1], f.Heap[0]>>10, f.Heap[1]>>10)
}

// heapRoom is how much the heap may have grown for reasons other than a leak:
// caches of the runtime and of the packages below. A leak of a hundred bytes in
// each of 10,000 cycles is twice that much.
const heapRoom = 512 << 10

// Soak lays a card on the rig's reader, reads and takes it off, again and
// again, through a [reader.Hub]. A third of the cards is torn away in an
// exchange, a sixth between two. It fails if a card is not seen, if an exchange
// does not end as it must, or if goroutines, open files or memory have become
// more. The cycles are random but for the seed, which is in the log of a test
// that fails.
func Soak(t testing.TB, r *Rig, cycles int) Figures {
	t.Helper()
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	rnd := rand.New(rand.NewPCG(seed, 0))

	h, err := reader.OpenHub(reader.HubConfig{
		Sources: []reader.Source{{Name: "soak", Driver: r.Driver}}, All: true,
		Settle: time.Millisecond, // many cards in a second are what is wanted
	})
	if err != nil {
		t.Fatal(err)
	}
	warm := min(20, cycles/2) // until every cache and pool is what it will be
	s := h.Subscribe(0)
	if _, err := s.Next(limited(t)); err != nil { // the state before the first card
		t.Fatal(err)
	}
	heard, counted := make(chan error, 1), make(chan struct{})
	go func() {
		heard <- hear(s, r.Name, warm+cycles)
		<-counted // so that it counts before and after
	}()
	defer close(counted)

	f := Figures{}
	for i := -warm; i < cycles; i++ {
		if i == 0 {
			f = Figures{Cycles: cycles, CPU: -processTime(), Elapsed: -time.Duration(time.Now().UnixNano())}
			f.Goroutines[0], f.Files[0], f.Heap[0] = resources()
		}
		f.cycle(t, r, h, rnd)
		if t.Failed() {
			t.Fatalf("in cycle %d", i)
		}
	}
	f.Elapsed += time.Duration(time.Now().UnixNano())
	f.CPU += processTime()
	f.Goroutines[1], f.Files[1], f.Heap[1] = resources()
	for deadline := time.Now().Add(patience); f.Goroutines[1] > f.Goroutines[0] && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // what ends by itself ends soon
		f.Goroutines[1], f.Files[1], f.Heap[1] = resources()
	}
	if err := <-heard; err != nil {
		t.Errorf("the hub did not tell of every card: %v", err)
	}
	s.Close()
	if err := h.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if f.Goroutines[1] > f.Goroutines[0] {
		t.Errorf("goroutines: %d, and %d before", f.Goroutines[1], f.Goroutines[0])
	}
	if f.Files[1] > f.Files[0] {
		t.Errorf("open files: %d, and %d before", f.Files[1], f.Files[0])
	}
	if f.Heap[1] > f.Heap[0]+heapRoom {
		t.Errorf("heap: %d bytes, and %d before", f.Heap[1], f.Heap[0])
	}
	return f
}

// hear returns when a subscription has told of n cards, at the latest some time
// after the last.
func hear(s *reader.Subscription, name string, n int) error {
	for n > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		c, err := s.Next(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("%d are missing: %w", n, err)
		}
		n -= c.Lost
		if c.Kind == reader.CardInserted && c.Device.Name == name {
			n--
		}
	}
	return nil
}

// cycle is one card.
func (f *Figures) cycle(t testing.TB, r *Rig, h *reader.Hub, rnd *rand.Rand) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	chip := NewChip()
	r.Insert(t, chip)
	in, err := reader.WaitCard(ctx, h, r.Name)
	if err != nil {
		t.Fatalf("no card after insertion: %v", err)
	}
	l, err := h.Take(ctx, in.Name)
	if err != nil {
		t.Fatalf("Take: %v", err)
	}
	defer l.Close()

	last := 1 + rnd.IntN(8)
	torn, pulled := 0, 0
	switch rnd.IntN(6) {
	case 0, 1:
		torn = 1 + rnd.IntN(last)
		chip.LeaveAt(torn)
		f.Torn++
	case 2:
		pulled = 1 + rnd.IntN(last)
		f.Pulled++
	}
	for i := 1; i <= last; i++ {
		if i == pulled {
			r.Remove(t)
		}
		_, err := l.Transmit(ctx, Command(InsProduce, 0, byte(rnd.UintN(256)), nil, 256))
		f.Exchanges++
		if i == torn || i == pulled {
			wantError(t, "exchange without a card", err, reader.ErrCardRemoved)
			break
		}
		if err != nil {
			t.Fatalf("exchange %d: %v", i, err)
		}
	}
	if rnd.IntN(2) == 0 {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if pulled == 0 {
		r.Remove(t)
	}
	infos, err := h.Readers(ctx)
	for err == nil {
		if in, ok := find(infos, r.Name); ok && in.State == reader.Empty {
			return
		}
		infos, err = h.Wait(ctx, infos)
	}
	t.Fatalf("waiting for the empty reader: %v", err)
}

// resources counts what can leak.
func resources() (goroutines, files int, heap uint64) {
	var m runtime.MemStats
	for range 3 { // finalizers need a second and a third round
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	files = -1
	if list, err := os.ReadDir("/proc/self/fd"); err == nil {
		files = len(list)
	}
	return runtime.NumGoroutine(), files, m.HeapAlloc
}

// Idle lets a hub over the given sources do nothing for a while, and returns
// which part of one core it took: 0.001 is a thousandth. It returns false where
// the time of a process cannot be told.
func Idle(t testing.TB, sources []reader.Source, d time.Duration) (share float64, known bool) {
	t.Helper()
	h, err := reader.OpenHub(reader.HubConfig{Sources: sources, All: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.Devices(limited(t)); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	began, before := time.Now(), processTime()
	time.Sleep(d)
	used, elapsed := processTime()-before, time.Since(began)
	return used.Seconds() / elapsed.Seconds(), before > 0
}
