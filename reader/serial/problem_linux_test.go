package serial_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/serial"
	"github.com/chamthe/chamthe/reader/serial/pn532"
	"github.com/chamthe/chamthe/reader/serial/serialtest"
)

// quick are limits for ports on which nothing answers.
var quick = pn532.Timing{ACK: 50 * time.Millisecond, Reply: 200 * time.Millisecond}

var (
	echo   = readertest.Command(readertest.InsEcho, 0, 0, []byte{1, 2, 3}, 3)
	echoed = []byte{1, 2, 3, 0x90, 0x00}
)

// TestProblems puts on the port what is no module, or none that works, and
// then a module.
func TestProblems(t *testing.T) {
	tests := []struct {
		name  string
		reply func(line *serialtest.PTY, b []byte)
		want  error
	}{
		{"nothing", func(*serialtest.PTY, []byte) {}, serial.ErrNoModule},
		{"a scanner", func(line *serialtest.PTY, _ []byte) { _, _ = line.WriteString("001099000001|||\r\n") }, serial.ErrWrongDevice},
		{"a loop", func(line *serialtest.PTY, b []byte) { _, _ = line.Write(b) }, serial.ErrWrongDevice},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pty := serialtest.NewPTY(t)
			served := make(chan struct{})
			go func() {
				defer close(served)
				buf := make([]byte, 1024)
				for {
					n, err := pty.Read(buf)
					if err != nil {
						return
					}
					tt.reply(pty, buf[:n])
				}
			}()
			d := serial.New(serial.Config{Ports: []string{pty.Name}, Timing: quick, Retry: time.Millisecond, Poll: time.Millisecond})
			defer d.Close()
			name := serial.ReaderName(pty.Name)
			infos, err := d.Readers(limited(t))
			if err != nil || len(infos) != 1 || infos[0].State != reader.Unavailable || infos[0].Name != name {
				t.Fatalf("readers %v, %v", infos, err)
			}
			if err := d.Problem(name); !errors.Is(err, tt.want) {
				t.Errorf("problem %v, want %v", err, tt.want)
			}
			if _, err := d.Open(limited(t), name); !errors.Is(err, reader.ErrNoReader) {
				t.Errorf("Open: %v", err)
			}
			pty.Unplug()
			<-served
			if infos, err := d.Readers(limited(t)); err != nil || len(infos) != 0 {
				t.Errorf("after unplugging: %v, %v", infos, err)
			}
			if err := d.Problem(name); !errors.Is(err, reader.ErrNoReader) {
				t.Errorf("problem after unplugging: %v", err)
			}

			pty.Plug(t)
			served = make(chan struct{})
			go func() {
				defer close(served)
				_ = serialtest.NewModule().Serve(pty)
			}()
			for end := time.Now().Add(patience); d.Problem(name) != nil; {
				if time.Now().After(end) {
					t.Fatalf("with a module: %v", d.Problem(name))
				}
				_, _ = d.Readers(limited(t))
			}
			pty.Unplug()
			<-served
		})
	}
}

func TestPortsThatCannotBeOpened(t *testing.T) {
	pty := serialtest.NewPTY(t)
	held, err := serial.OpenPort(serial.PortConfig{Name: pty.Name, Baud: 9600})
	if err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(t.TempDir(), "ttyNONE")
	d := serial.New(serial.Config{Ports: []string{pty.Name, absent, pty.Name}})
	defer d.Close()
	infos, err := d.Readers(limited(t))
	if err != nil || len(infos) != 1 || infos[0].State != reader.Unavailable {
		t.Errorf("readers %v, %v", infos, err)
	}
	if err := d.Problem(serial.ReaderName(pty.Name)); !errors.Is(err, serial.ErrPortBusy) {
		t.Errorf("a port in use: %v", err)
	}
	if err := d.Problem(serial.ReaderName(absent)); !errors.Is(err, reader.ErrNoReader) {
		t.Errorf("a port that is not there: %v", err)
	}
	if err := d.Problem("PN532 nowhere"); !errors.Is(err, reader.ErrNoReader) {
		t.Errorf("a port that was not named: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
}

// TestStuckModule freezes the module in an exchange. It is set up again once
// it has been powered up anew.
func TestStuckModule(t *testing.T) {
	b := newBench(t, serial.Config{Timing: pn532.Timing{ACK: 50 * time.Millisecond, Reply: 200 * time.Millisecond, Exchange: 300 * time.Millisecond}})
	chip := readertest.NewChip()
	b.module.Insert(chip)
	card := b.tap(t)
	reached, release := chip.Stall()
	go func() {
		<-reached
		b.module.Freeze()
		release()
	}()
	if _, err := card.Transmit(limited(t), echo); !errors.Is(err, reader.ErrTimeout) {
		t.Errorf("exchange: %v", err)
	}
	if _, err := card.Transmit(limited(t), echo); !errors.Is(err, reader.ErrTimeout) {
		t.Errorf("the next: %v", err)
	}
	if err := card.Close(); err != nil {
		t.Error(err)
	}
	b.await(t, reader.Unavailable)
	if err := b.driver.Problem(b.name); err == nil {
		t.Error("no problem")
	}
	b.module.PowerUp()
	resp, err := b.tap(t).Transmit(limited(t), echo)
	if err != nil || !bytes.Equal(resp, echoed) {
		t.Errorf("after powering up: % X, %v", resp, err)
	}
}

// TestModuleLosesPower: a module that has forgotten everything is noticed by
// its answers, and set up again.
func TestModuleLosesPower(t *testing.T) {
	b := newBench(t, serial.Config{Timing: quick})
	b.module.Insert(readertest.NewChip())
	card := b.tap(t)
	b.module.PowerUp()
	if _, err := card.Transmit(limited(t), echo); err == nil {
		t.Error("an exchange with a card that has no power")
	}
	card.Close()
	resp, err := b.tap(t).Transmit(limited(t), echo)
	if err != nil || !bytes.Equal(resp, echoed) {
		t.Errorf("after it came back: % X, %v", resp, err)
	}
}

// TestLostExchange: a command that is lost on the line costs the session and
// no more.
func TestLostExchange(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faults serialtest.Faults
	}{
		{"command lost", serialtest.Faults{LostCommand: 1}},
		{"error on the air", serialtest.Faults{OnAir: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, serial.Config{Poll: time.Hour, Timing: pn532.Timing{Reply: 300 * time.Millisecond}})
			b.module.Insert(readertest.NewChip())
			card := b.tap(t)
			once := make(chan struct{})
			b.module.Fail(tt.faults)
			go func() {
				defer close(once)
				for b.module.Failed() == 0 {
					time.Sleep(time.Millisecond)
				}
				b.module.Fail(serialtest.Faults{})
			}()
			if _, err := card.Transmit(limited(t), echo); !errors.Is(err, reader.ErrComm) {
				t.Errorf("lost: %v", err)
			}
			<-once
			if _, err := card.Transmit(limited(t), echo); !errors.Is(err, reader.ErrCardReset) {
				t.Errorf("before a reset: %v", err)
			}
			if err := card.Reset(limited(t)); err != nil {
				t.Fatal(err)
			}
			if resp, err := card.Transmit(limited(t), echo); err != nil || !bytes.Equal(resp, echoed) {
				t.Errorf("after a reset: % X, %v", resp, err)
			}
		})
	}
}

// TestSlowsDown: a card that is disturbed at the fast rate is read at 106
// kbit/s after a reset, and the next card is tried at the fast one again.
func TestSlowsDown(t *testing.T) {
	b := newBench(t, serial.Config{})
	b.module.Fast(2, true)
	b.module.Insert(readertest.NewChip())
	card := b.tap(t)
	if caps, err := reader.CapabilitiesOf(limited(t), card); err != nil || caps.BitRate != 424 {
		t.Errorf("at first: %d kbit/s, %v", caps.BitRate, err)
	}
	if _, err := card.Transmit(limited(t), echo); !errors.Is(err, reader.ErrComm) {
		t.Errorf("disturbed: %v", err)
	}
	if err := card.Reset(limited(t)); err != nil {
		t.Fatal(err)
	}
	if caps, err := reader.CapabilitiesOf(limited(t), card); err != nil || caps.BitRate != 106 {
		t.Errorf("after a reset: %d kbit/s, %v", caps.BitRate, err)
	}
	if resp, err := card.Transmit(limited(t), echo); err != nil || !bytes.Equal(resp, echoed) {
		t.Errorf("at 106 kbit/s: % X, %v", resp, err)
	}
	card.Close()
	b.module.Remove()
	b.await(t, reader.Empty)
	b.module.Insert(readertest.NewChip())
	b.tap(t)
	if send, receive := b.module.Rates(); send != 2 || receive != 2 {
		t.Errorf("the next card: rates %d and %d", send, receive)
	}
}

// TestRefusesRate: a card that offers a rate and does not go along is read at
// 106 kbit/s at once.
func TestRefusesRate(t *testing.T) {
	b := newBench(t, serial.Config{})
	b.module.Offer(2)
	b.module.Insert(readertest.NewChip())
	if resp, err := b.tap(t).Transmit(limited(t), echo); err != nil || !bytes.Equal(resp, echoed) {
		t.Errorf("% X, %v", resp, err)
	}
	if send, receive := b.module.Rates(); send != 0 || receive != 0 {
		t.Errorf("rates %d and %d", send, receive)
	}
}

func TestCapabilities(t *testing.T) {
	b := newBench(t, serial.Config{BitRate: 212})
	b.module.Fast(2, false)
	b.module.Insert(readertest.NewChip())
	card := b.tap(t)
	caps, err := reader.CapabilitiesOf(limited(t), card)
	if err != nil || !caps.Extended || caps.MaxAPDU != 65536 || caps.Name != "PN532" || caps.Firmware != "1.6" || caps.BitRate != 212 || caps.UID != nil {
		t.Errorf("%+v, %v", caps, err)
	}
	card.Close()
	if _, err := reader.CapabilitiesOf(limited(t), card); !errors.Is(err, reader.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if reader.KindOf(b.name, nil) != reader.Contactless {
		t.Errorf("%q does not sound like a contactless reader", b.name)
	}
}

// TestPlainCard lays a card on the module that takes no APDUs.
func TestPlainCard(t *testing.T) {
	b := newBench(t, serial.Config{})
	b.module.InsertAs(readertest.NewChip(), serialtest.Plain)
	b.await(t, reader.Mute)
	before, err := b.driver.Readers(limited(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.driver.Open(limited(t), b.name); !errors.Is(err, reader.ErrCardUnsupported) {
		t.Errorf("Open: %v", err)
	}
	for range 3 {
		if now, err := b.driver.Readers(limited(t)); err != nil || !reader.Same(now, before) {
			t.Errorf("it lies there and shows as %v, %v", now, err)
		}
	}
	b.module.Remove()
	b.await(t, reader.Empty)
	b.module.Insert(readertest.NewChip())
	b.tap(t)
}

// TestOverlooked: a card that did not answer when it was asked whether it is
// there is a removed one, and is found again as the next.
func TestOverlooked(t *testing.T) {
	b := newBench(t, serial.Config{})
	b.module.Insert(readertest.NewChip())
	b.await(t, reader.Present)
	before, err := b.driver.Readers(limited(t))
	if err != nil {
		t.Fatal(err)
	}
	b.module.Hide(2) // one check asks three times
	if infos, err := b.driver.Readers(limited(t)); err != nil || !reader.Same(infos, before) {
		t.Errorf("overlooked for a moment: %v, %v", infos, err)
	}
	b.module.Hide(3)
	infos, err := b.driver.Wait(limited(t), before)
	if err != nil {
		t.Fatal(err)
	}
	if len(infos) != 1 || infos[0].State != reader.Present || infos[0].Changes != before[0].Changes+2 {
		t.Errorf("overlooked: %v, before %v", infos, before)
	}
	card := b.tap(t)
	b.module.Hide(3)
	b.await(t, reader.Present) // it is not busy any more
	if _, err := card.Transmit(limited(t), echo); !errors.Is(err, reader.ErrCardRemoved) {
		t.Errorf("the one that was open: %v", err)
	}
	card.Close()
	if resp, err := b.tap(t).Transmit(limited(t), echo); err != nil || !bytes.Equal(resp, echoed) {
		t.Errorf("the next: % X, %v", resp, err)
	}
}

// TestFastLine reads at 921600 baud, and leaves the module at the speed at
// which it is found; after a crash it is found at the other.
func TestFastLine(t *testing.T) {
	b := newBench(t, serial.Config{Baud: 921600, Timing: pn532.Timing{Reply: 300 * time.Millisecond}})
	b.module.Insert(readertest.NewChip())
	read := func(when string) {
		t.Helper()
		card := b.tap(t)
		defer card.Close()
		if resp, err := card.Transmit(limited(t), echo); err != nil || !bytes.Equal(resp, echoed) {
			t.Errorf("%s: % X, %v", when, resp, err)
		}
		if speed, err := b.Speed(); err != nil || speed != 921600 || b.module.Baud() != 921600 {
			t.Errorf("%s: line at %d baud, module at %d, %v", when, speed, b.module.Baud(), err)
		}
	}
	read("after power-up")
	if err := b.driver.Close(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); b.module.Baud() != 115200; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("left at %d baud", b.module.Baud())
		}
	}
	read("again")
	// Another program starts while the module still has the speed of one that
	// crashed.
	other := serial.New(serial.Config{Ports: []string{b.Name}, Baud: 921600, Timing: pn532.Timing{Reply: 300 * time.Millisecond}})
	defer other.Close()
	b.driver.Abandon()
	if infos, err := other.Readers(limited(t)); err != nil || len(infos) != 1 || infos[0].State != reader.Present {
		t.Errorf("after a crash: %v, %v, %v", infos, err, other.Problem(b.name))
	}
}

// TestLeaksNothing plugs the module in and out with a card open, again and
// again, and counts file descriptors. Goroutines are counted at the end of
// all tests.
func TestLeaksNothing(t *testing.T) {
	b := newBench(t, serial.Config{})
	cycle := func() {
		t.Helper()
		b.module.Insert(readertest.NewChip())
		card := b.tap(t)
		b.unplug()
		if _, err := card.Transmit(limited(t), echo); !errors.Is(err, reader.ErrNoReader) {
			t.Errorf("unplugged: %v", err)
		}
		card.Close()
		b.plug(t)
	}
	count := func() int {
		t.Helper()
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	cycle()
	before := count()
	for range 15 {
		cycle()
	}
	if after := count(); after > before {
		t.Errorf("%d file descriptors before, %d after", before, after)
	}
}

// TestErrorsHoldNoData greps the text of every error for what was exchanged.
func TestErrorsHoldNoData(t *testing.T) {
	b := newBench(t, serial.Config{Timing: quick})
	chip := readertest.NewChip()
	b.module.Insert(chip)
	card := b.tap(t)
	secret := []byte("QUITE-SECRET")
	chip.LeaveAt(1)
	_, err := card.Transmit(limited(t), readertest.Command(readertest.InsEcho, 0, 0, secret, 12))
	if err == nil || strings.Contains(err.Error(), "SECRET") || strings.Contains(strings.ToLower(err.Error()), "5155") {
		t.Errorf("error %v", err)
	}
}

// TestEndedContext gives up a look at a port on which nothing answers.
func TestEndedContext(t *testing.T) {
	pty := serialtest.NewPTY(t)
	d := serial.New(serial.Config{Ports: []string{pty.Name}, Timing: quick})
	defer d.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := d.Wait(ctx, nil)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
}
