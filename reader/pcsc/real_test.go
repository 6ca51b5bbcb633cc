package pcsc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/pcsc"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/virtual"
)

// The tests of this file need a running pcscd whose first virtual reader vpcd
// listens at CHAMTHE_VPCD, and the command CHAMTHE_PCSC_SERVICE to harm it
// with. The script .ci/pcsc-run provides them and sets CHAMTHE_PCSC=1.

// The names that pcscd gives to the readers of vpcd. The tests that leave the
// service alone have the second one, so that something else can use the first
// meanwhile.
const (
	realReader  = "Virtual PCD 00 00"
	otherReader = "Virtual PCD 00 01"
)

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

// secondAddress is where the second reader of vpcd listens: one port further.
func secondAddress(t testing.TB) string {
	t.Helper()
	host, text, err := net.SplitHostPort(realAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(host, strconv.Itoa(port+1))
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
	addr := secondAddress(t)
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
			Name:   otherReader,
			Insert: func(t testing.TB, c *readertest.Chip) {
				off()
				remove = lend(t, addr, c)
			},
			Remove:  func(testing.TB) { off() },
			MaxData: 65535 - 9, // a frame of vpcd holds the whole command
		}
		t.Cleanup(func() {
			off()
			awaitEmpty(t, d, otherReader)
		})
		return rig
	})
}

// service gives orders to the pcscd of these tests.
func service(t testing.TB, order string) {
	t.Helper()
	command := strings.Fields(os.Getenv("CHAMTHE_PCSC_SERVICE"))
	if len(command) == 0 {
		t.Fatal("CHAMTHE_PCSC_SERVICE is not set")
	}
	if out, err := exec.Command(command[0], append(command[1:], order)...).CombinedOutput(); err != nil {
		t.Fatalf("%s the service: %v: %s", order, err, out)
	}
}

// within repeats try until it succeeds.
func within(t testing.TB, limit time.Duration, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// openFiles counts the open files of this process.
func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

var (
	rememberIt = readertest.Command(readertest.InsRemember, 0, 0, []byte("kept"), 0)
	recallIt   = readertest.Command(readertest.InsRecall, 0, 0, nil, 256)
)

// openWhenThere opens the card as soon as one lies there.
func openWhenThere(t testing.TB, d *pcsc.Driver, name string) reader.Card {
	t.Helper()
	var card reader.Card
	within(t, 20*time.Second, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_, err := reader.WaitCard(ctx, d, name)
		if err == nil {
			card, err = d.Open(ctx, name)
		}
		return err
	})
	return card
}

// The service is killed, or ends, in the middle of an exchange and under a
// wait. Both say so at once; when it is back, the next tap works, with the same
// driver, and nothing is left open.
func TestServiceEndsMidReadOnRealService(t *testing.T) {
	addr := realAddress(t)
	d := pcsc.New(nil)
	files := 0
	for i, order := range []string{"kill", "stop", "kill", "stop"} {
		chip := readertest.NewChip()
		remove := lend(t, addr, chip)
		card := openWhenThere(t, d, realReader)
		known, err := d.Readers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waited := make(chan error, 1)
		go func() {
			_, err := d.Wait(t.Context(), known)
			waited <- err
		}()
		if _, err := card.Transmit(t.Context(), rememberIt); err != nil {
			t.Fatal(err)
		}
		reached, release := chip.Stall()
		read := make(chan error, 1)
		go func() {
			_, err := card.Transmit(t.Context(), recallIt)
			read <- err
		}()
		<-reached
		done := make(chan struct{})
		go func() { // a service that ends by itself waits for its exchange
			defer close(done)
			service(t, order)
		}()
		if order == "kill" {
			<-done
		}
		release()
		<-done
		if err := <-read; !errors.Is(err, reader.ErrNoService) {
			// A service that ends in good order may still hand the answer over.
			if order != "stop" || err != nil {
				t.Errorf("%s: exchange in flight: %v, want %v", order, err, reader.ErrNoService)
			}
		}
		if err := <-waited; !errors.Is(err, reader.ErrNoService) {
			t.Errorf("%s: Wait: %v, want %v", order, err, reader.ErrNoService)
		}
		if _, err := card.Transmit(t.Context(), recallIt); !errors.Is(err, reader.ErrNoService) {
			t.Errorf("%s: next exchange: %v, want %v", order, err, reader.ErrNoService)
		}
		if err := card.Close(); err != nil {
			t.Errorf("%s: Close: %v", order, err)
		}
		if _, err := d.Readers(t.Context()); !errors.Is(err, reader.ErrNoService) {
			t.Errorf("%s: Readers: %v, want %v", order, err, reader.ErrNoService)
		}

		service(t, "start")
		begin := time.Now()
		card = openWhenThere(t, d, realReader)
		resp, err := card.Transmit(t.Context(), recallIt)
		if err != nil || len(resp) != 2 {
			t.Errorf("%s: after the restart: %d bytes, %v", order, len(resp), err)
		}
		fmt.Printf("figure: service ended by %q; card open again %v after it was started\n", order, time.Since(begin).Round(time.Millisecond))
		if err := card.Close(); err != nil {
			t.Errorf("%s: Close after the restart: %v", order, err)
		}
		remove()
		awaitEmpty(t, d, realReader)
		if n := openFiles(t); i == 1 {
			files = n
		} else if i > 1 && n > files {
			t.Errorf("%d open files, and %d before", n, files)
		}
	}
	if n := d.Stuck(); n != 0 {
		t.Errorf("%d calls left behind", n)
	}
}

// A service that hangs holds nobody for longer than the limits. When it goes on
// everything is given back.
func TestServiceHangsOnRealService(t *testing.T) {
	addr := realAddress(t)
	d := pcsc.New(&pcsc.Options{Step: 500 * time.Millisecond, Exchange: time.Second})
	chip := readertest.NewChip()
	remove := lend(t, addr, chip)
	defer awaitEmpty(t, d, realReader)
	defer remove()
	card := openWhenThere(t, d, realReader)

	service(t, "pause")
	resume := sync.OnceFunc(func() { service(t, "resume") })
	defer resume()
	if _, err := card.Transmit(t.Context(), recallIt); !errors.Is(err, reader.ErrTimeout) {
		t.Errorf("Transmit: %v, want %v", err, reader.ErrTimeout)
	}
	for range 3 {
		if _, err := d.Readers(t.Context()); !errors.Is(err, reader.ErrTimeout) {
			t.Errorf("Readers: %v, want %v", err, reader.ErrTimeout)
		}
		if _, err := d.Open(t.Context(), realReader); !errors.Is(err, reader.ErrTimeout) {
			t.Errorf("Open: %v, want %v", err, reader.ErrTimeout)
		}
	}
	if n := d.Stuck(); n != 2 {
		t.Errorf("%d calls left behind, want 2: one of the card, one of the list", n)
	}
	if err := card.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}

	resume()
	within(t, 20*time.Second, func() error {
		if n := d.Stuck(); n != 0 {
			return fmt.Errorf("%d calls left behind", n)
		}
		return nil
	})
	card = openWhenThere(t, d, realReader)
	if _, err := card.Transmit(t.Context(), recallIt); err != nil {
		t.Errorf("after the service went on: %v", err)
	}
	if err := card.Close(); err != nil {
		t.Error(err)
	}
}

// Two readers at once: the card of one is pulled away, and the exchange of one
// lasts, without harm to the other.
func TestTwoReadersOnRealService(t *testing.T) {
	addr := realAddress(t)
	d := pcsc.New(nil)
	chips := []*readertest.Chip{readertest.NewChip(), readertest.NewChip()}
	removeFirst := lend(t, addr, chips[0])
	removeSecond := lend(t, secondAddress(t), chips[1])
	defer awaitEmpty(t, d, realReader)
	defer removeFirst()
	defer removeSecond()
	first, second := openWhenThere(t, d, realReader), openWhenThere(t, d, otherReader)
	for _, card := range []reader.Card{first, second} {
		if _, err := card.Transmit(t.Context(), rememberIt); err != nil {
			t.Fatal(err)
		}
	}

	reached, release := chips[0].Stall()
	long := make(chan error, 1)
	go func() {
		_, err := first.Transmit(t.Context(), recallIt)
		long <- err
	}()
	<-reached
	short := make(chan error, 1)
	go func() {
		_, err := second.Transmit(t.Context(), recallIt)
		short <- err
	}()
	// Whether the service lets the second through is the driver's affair: see
	// firmware-notes/os/pcscd.md. That both end well is ours.
	beside := false
	select {
	case err := <-short:
		beside = true
		short <- err
	case <-time.After(300 * time.Millisecond):
	}
	release()
	for _, ch := range []chan error{long, short} {
		if err := <-ch; err != nil {
			t.Error(err)
		}
	}
	fmt.Printf("figure: vpcd exchanges on two readers at once: %v\n", beside)

	chips[0].LeaveAt(1)
	if _, err := first.Transmit(t.Context(), recallIt); !errors.Is(err, reader.ErrCardRemoved) {
		t.Errorf("torn: %v", err)
	}
	resp, err := second.Transmit(t.Context(), recallIt)
	if err != nil || !bytes.HasPrefix(resp, []byte("kept")) {
		t.Errorf("the other reader: %d bytes, %v", len(resp), err)
	}
	for _, card := range []reader.Card{first, second} {
		if err := card.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSoakOnRealService(t *testing.T) {
	addr := secondAddress(t)
	cycles := 200
	if text := os.Getenv("CHAMTHE_SOAK"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("CHAMTHE_SOAK=%q is no number of cycles", text)
		}
		cycles = n
	}
	d := pcsc.New(nil)
	var remove func()
	off := func(testing.TB) {
		if remove != nil {
			remove()
			remove = nil
		}
	}
	f := readertest.Soak(t, &readertest.Rig{
		Driver: d,
		Name:   otherReader,
		Insert: func(t testing.TB, c *readertest.Chip) {
			off(t)
			remove = lend(t, addr, c)
		},
		Remove: off,
	}, cycles)
	off(t)
	if n := d.Stuck(); n != 0 {
		t.Errorf("%d calls left behind", n)
	}
	fmt.Printf("figure: soak, real pcscd: %v\n", f)
}

// What an idle hub over the real service costs. The figure is that of a longer
// run: CHAMTHE_IDLE=60s.
func TestIdleOnRealService(t *testing.T) {
	realAddress(t)
	d := 2 * time.Second
	if text := os.Getenv("CHAMTHE_IDLE"); text != "" {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			t.Fatalf("CHAMTHE_IDLE: %v", err)
		}
	}
	share, known := readertest.Idle(t, []reader.Source{{Name: "pcsc", Driver: pcsc.New(nil)}}, d)
	if !known {
		t.Skip("the time of a process cannot be told on this system")
	}
	fmt.Printf("figure: hub over the real pcscd, idle for %v: %.4f %% of a core\n", d, 100*share)
	most := 0.001
	if d < 30*time.Second {
		most = 0.05 // the beginning weighs in; this finds a loop, no more
	}
	if share >= most {
		t.Errorf("an idle hub takes %.3f %% of a core, want less than %.1f %%", 100*share, 100*most)
	}
}

// vpcd tells nothing of itself. The question must not harm the card, and the
// pseudo-APDUs reach the chip, which refuses.
func TestCapabilitiesOnRealService(t *testing.T) {
	addr := secondAddress(t)
	d := pcsc.New(nil)
	remove := lend(t, addr, readertest.NewChip())
	defer awaitEmpty(t, d, otherReader)
	defer remove()
	card := openWhenThere(t, d, otherReader)
	if _, err := card.Transmit(t.Context(), rememberIt); err != nil {
		t.Fatal(err)
	}
	caps, err := card.(interface {
		Identify(context.Context) (reader.Capabilities, error)
	}).Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(caps.UID) > 0 || len(caps.ATS) > 0 {
		t.Errorf("UID and ATS of %d and %d bytes from a chip that has none", len(caps.UID), len(caps.ATS))
	}
	fmt.Printf("figure: vpcd says: %+v\n", caps)
	if resp, err := card.Transmit(t.Context(), recallIt); err != nil || !bytes.HasPrefix(resp, []byte("kept")) {
		t.Errorf("after the questions: %d bytes, %v", len(resp), err)
	}
	if err := card.Close(); err != nil {
		t.Error(err)
	}
}

func awaitEmpty(t testing.TB, d *pcsc.Driver, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	infos, err := d.Readers(ctx)
	for {
		if err != nil {
			t.Fatalf("the reader does not become empty: %v", err)
		}
		for _, in := range infos {
			if in.Name == name && in.State == reader.Empty {
				return
			}
		}
		infos, err = d.Wait(ctx, infos)
	}
}

// Two programs that know nothing of each other share a card by transactions.
func TestTwoProgramsOnRealService(t *testing.T) {
	addr := secondAddress(t)
	first, second := pcsc.New(nil), pcsc.New(&pcsc.Options{Busy: 200 * time.Millisecond, Step: time.Second})
	remove := lend(t, addr, readertest.NewChip())
	defer awaitEmpty(t, first, otherReader)
	defer remove()
	if _, err := reader.WaitCard(t.Context(), first, otherReader); err != nil {
		t.Fatal(err)
	}
	card, err := first.Open(t.Context(), otherReader)
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("kept")
	if _, err := card.Transmit(t.Context(), readertest.Command(readertest.InsRemember, 0, 0, data, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Open(t.Context(), otherReader); !errors.Is(err, reader.ErrSharing) {
		t.Errorf("second program: %v, want %v", err, reader.ErrSharing)
	}
	resp, err := card.Transmit(t.Context(), readertest.Command(readertest.InsRecall, 0, 0, nil, 256))
	if err != nil || !bytes.HasPrefix(resp, data) {
		t.Errorf("the second program disturbed the first: %d bytes, %v", len(resp), err)
	}
	// A reset does not let the card go.
	if err := card.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	third := pcsc.New(&pcsc.Options{Busy: 200 * time.Millisecond, Step: time.Second})
	if _, err := third.Open(t.Context(), otherReader); !errors.Is(err, reader.ErrSharing) {
		t.Errorf("third program, after a reset: %v, want %v", err, reader.ErrSharing)
	}
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
	// What the second program began while it was blocked is undone when it
	// gets the card; then it can have it.
	var other reader.Card
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if other, err = second.Open(t.Context(), otherReader); err == nil {
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
