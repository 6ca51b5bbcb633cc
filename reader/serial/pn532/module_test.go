package pn532_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/serial/pn532"
	"github.com/chamthe/chamthe/reader/serial/serialtest"
)

// quick are limits for lines in memory on which nothing answers.
var quick = pn532.Timing{ACK: 30 * time.Millisecond, Reply: 100 * time.Millisecond, Gap: 30 * time.Millisecond}

// connect returns a module over a line in memory.
func connect(t *testing.T, sim *serialtest.Module, timing pn532.Timing) *pn532.Module {
	t.Helper()
	host, device := serialtest.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = sim.Serve(device)
	}()
	t.Cleanup(func() {
		host.Close()
		<-done
	})
	m, err := pn532.Connect(t.Context(), host, timing)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func find(t *testing.T, m *pn532.Module) *pn532.Target {
	t.Helper()
	target, err := m.Find()
	if err != nil || target == nil {
		t.Fatalf("no card found: %v", err)
	}
	return target
}

var echo = readertest.Command(readertest.InsEcho, 0, 0, []byte{1, 2, 3}, 3)

func TestModule(t *testing.T) {
	sim := serialtest.NewModule()
	m := connect(t, sim, pn532.Timing{})
	if f := m.Firmware(); f.String() != "1.6" || f.IC != 0x32 || f.Support != 0x07 {
		t.Errorf("firmware %+v", f)
	}
	if target, err := m.Find(); err != nil || target != nil {
		t.Errorf("without a card: %v, %v", target, err)
	}
	chip := readertest.NewChip()
	sim.Insert(chip)
	target := find(t, m)
	for _, n := range []int{1, 250, 251, 252, 262, 263, 264, 524, 525, 5000} { // around the sizes of frames and blocks
		data := readertest.Pattern(n)
		resp, err := m.Exchange(target, readertest.Command(readertest.InsEcho, 0, 0, data, n))
		if want := append(data, 0x90, 0x00); err != nil || !bytes.Equal(resp, want) {
			t.Errorf("echo of %d bytes: %d bytes, %v", n, len(resp), err)
		}
	}
	if here, err := m.Present(); err != nil || !here {
		t.Errorf("present: %v, %v", here, err)
	}
	before := chip.Resets()
	if err := m.PowerCycle(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Exchange(target, echo); !errors.Is(err, pn532.StatusContext) {
		t.Errorf("exchange without a field: %v", err)
	}
	target = find(t, m)
	if chip.Resets() == before {
		t.Error("a power cycle did not reset the card")
	}
	chip.LeaveAt(1)
	if _, err := m.Exchange(target, echo); !errors.Is(err, pn532.StatusTimeout) || !pn532.StatusTimeout.OnAir() {
		t.Errorf("card that leaves: %v", err)
	}
	if here, err := m.Present(); err != nil || here {
		t.Errorf("present after it left: %v, %v", here, err)
	}
}

// TestNothingCountsTwice sends commands that count over a line that loses
// and repeats: whatever an exchange reports, the card has seen each command at
// most once, and a response belongs to its command.
func TestNothingCountsTwice(t *testing.T) {
	sim := serialtest.NewModule()
	timing := quick
	timing.Exchange = time.Second
	m := connect(t, sim, timing)
	chip := readertest.NewChip()
	sim.Insert(chip)
	target := find(t, m)
	sim.Fail(serialtest.Faults{
		Seed: 3, BadChecksum: 11, NoACK: 23, BadACK: 13, TwoACKs: 5, Refuse: 7, Noise: 5, Wild: 17, Pieces: 3, LostCommand: 19, OnAir: 29,
	})
	lost := 0
	for i := range 150 {
		seen := chip.Seen()
		data := []byte{byte(i), byte(i >> 8), 0x5A}
		resp, err := m.Exchange(target, readertest.Command(readertest.InsEcho, 0, 0, data, 3))
		if n := chip.Seen() - seen; n > 1 || n == 0 && err == nil {
			t.Fatalf("exchange %d reached the card %d times (error %v)", i, n, err)
		}
		var st pn532.Status
		switch {
		case err == nil:
			if !bytes.Equal(resp, append(data, 0x90, 0x00)) {
				t.Fatalf("exchange %d has the response of another", i)
			}
		case errors.Is(err, pn532.ErrLost), errors.Is(err, pn532.ErrStuck), errors.As(err, &st):
			lost++
		default:
			t.Fatalf("exchange %d: %v", i, err)
		}
	}
	if lost == 0 || lost > 75 {
		t.Errorf("%d of 150 exchanges lost", lost)
	}
}

// TestLateResponse lets an exchange run out of time. What the module says of
// it afterwards is not taken for the response to the next.
func TestLateResponse(t *testing.T) {
	sim := serialtest.NewModule()
	timing := pn532.Timing{Exchange: 50 * time.Millisecond, ACK: 5 * time.Second}
	m := connect(t, sim, timing)
	chip := readertest.NewChip()
	sim.Insert(chip)
	target := find(t, m)
	reached, release := chip.Stall()
	defer release()
	if _, err := m.Exchange(target, echo); !errors.Is(err, pn532.ErrStuck) {
		t.Fatalf("exchange out of time: %v", err)
	}
	<-reached
	release()
	resp, err := m.Exchange(target, readertest.Command(readertest.InsEcho, 0, 0, []byte{9}, 1))
	if err != nil || !bytes.Equal(resp, []byte{9, 0x90, 0x00}) {
		t.Errorf("the next exchange: % X, %v", resp, err)
	}
}

func TestConnectRefuses(t *testing.T) {
	answers := func(reply func(b []byte) []byte) func(*testing.T) error {
		return func(t *testing.T) error {
			host, device := serialtest.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				buf := make([]byte, 1024)
				for {
					n, err := device.Read(buf)
					if err != nil {
						return
					}
					_, _ = device.Write(reply(buf[:n]))
				}
			}()
			defer func() {
				host.Close()
				<-done
			}()
			_, err := pn532.Connect(t.Context(), host, quick)
			return err
		}
	}
	version := func(ic byte) func([]byte) []byte {
		var dec pn532.Decoder
		return func(b []byte) (out []byte) {
			_, _ = dec.Write(b)
			for f, ok := dec.Next(); ok; f, ok = dec.Next() {
				if f.Kind != pn532.Data {
					continue
				}
				resp := append([]byte{f.Data[0] + 1}, f.Data[1:]...)
				if f.Data[0] == 0x02 {
					resp = []byte{0x03, ic, 1, 6, 7}
				}
				out, _ = pn532.AppendFrame(pn532.AppendACK(out), pn532.FromModule, resp)
			}
			return out
		}
	}
	tests := []struct {
		name string
		try  func(*testing.T) error
		want error
	}{
		{"silence", answers(func([]byte) []byte { return nil }), pn532.ErrSilent},
		{"a scanner", answers(func([]byte) []byte { return []byte("001099000001|\r\n") }), pn532.ErrOther},
		{"its own echo", answers(func(b []byte) []byte { return b }), pn532.ErrOther},
		{"refusals", answers(func([]byte) []byte { return pn532.AppendNACK(nil) }), pn532.ErrOther},
		{"confirmations and no more", answers(func([]byte) []byte { return pn532.AppendACK(nil) }), pn532.ErrOther},
		{"error frames", answers(func([]byte) []byte { return pn532.AppendSyntax(pn532.AppendACK(nil)) }), pn532.ErrOther},
		{"a PN533", answers(version(0x33)), pn532.ErrOther},
		{"a PN532", answers(version(0x32)), nil},
		{"an ended context", func(*testing.T) error {
			host, _ := serialtest.Pipe()
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, err := pn532.Connect(ctx, host, quick)
			return err
		}, context.Canceled},
		{"no line", func(t *testing.T) error {
			host, _ := serialtest.Pipe()
			host.Close()
			_, err := pn532.Connect(t.Context(), host, quick)
			return err
		}, serialtest.ErrUnplugged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.try(t); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// A scripted line answers every write with the next piece of a script, and is
// unplugged at its end.
type scripted struct{ script, now []byte }

func (s *scripted) Write(b []byte) (int, error) {
	if len(s.script) == 0 {
		return 0, serialtest.ErrUnplugged
	}
	n := min(1+int(s.script[0]), len(s.script))
	s.now = append(s.now, s.script[1:n]...)
	s.script = s.script[n:]
	return len(b), nil
}

func (s *scripted) ReadFor(b []byte, _ time.Duration) (int, error) {
	if len(s.now) == 0 {
		if len(s.script) == 0 {
			return 0, serialtest.ErrUnplugged
		}
		return 0, nil
	}
	n := copy(b, s.now)
	s.now = s.now[n:]
	return n, nil
}

// script makes the pieces of a scripted line from responses.
func script(responses ...[]byte) []byte {
	var out []byte
	for _, r := range responses {
		b := pn532.AppendACK(nil)
		if r == nil {
			b = nil
		} else {
			b, _ = pn532.AppendFrame(b, pn532.FromModule, r)
		}
		for len(b) > 255 {
			b = b[:255]
		}
		out = append(append(out, byte(len(b))), b...)
	}
	return out
}

// FuzzHostileModule talks to what claims to be a module: no panic, no endless
// loop, no nonsense beside a nil error.
func FuzzHostileModule(f *testing.F) {
	card := []byte{0x4B, 1, 1, 0x03, 0x44, 0x20, 4, 8, 1, 2, 3, 5, 0x78, 0x33, 0x70, 2}
	test := []byte{0x01, 0x00, 'c', 't', 0, 1}
	up := [][]byte{nil, {0x15}, nil, test, {0x03, 0x32, 1, 6, 7}, {0x13}, {0x33}, {0x33}}
	f.Add(script(append(up, card, []byte{0x4F, 0}, []byte{0x41, 0, 0x90, 0}, []byte{0x01, 0}, []byte{0x53, 0}, []byte{0x33})...))
	f.Add(script(append(up, card, []byte{0x4F, 0}, []byte{0x41, 0x40, 1}, []byte{0x41, 0x40, 2}, []byte{0x41, 0x40})...))
	f.Add(script(append(up, []byte{0x4B, 0}, []byte{0x4B, 1, 1, 0x50})...))
	f.Add(script(up[:4]...))
	f.Add([]byte{0, 6, 0, 0, 0xFF, 0, 0xFF, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		fast := time.Millisecond
		m, err := pn532.Connect(t.Context(), &scripted{script: b}, pn532.Timing{ACK: fast, Reply: fast, Exchange: fast, Gap: fast, PowerOff: 1})
		if err != nil {
			if m != nil {
				t.Error("a module beside an error")
			}
			return
		}
		target, err := m.Find()
		if err != nil || target == nil {
			return
		}
		if _, err := m.Speed(target, pn532.Rate424); err != nil {
			return
		}
		resp, err := m.Exchange(target, echo)
		if err != nil && resp != nil {
			t.Error("a response beside an error")
		}
		if len(resp) > 65538+262 {
			t.Errorf("response of %d bytes", len(resp))
		}
		_, _ = m.Present()
		_ = m.PowerCycle()
	})
}
