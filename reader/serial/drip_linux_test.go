package serial_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/chamthe/chamthe/reader/serial"
	"github.com/chamthe/chamthe/reader/serial/pn532"
	"github.com/chamthe/chamthe/reader/serial/serialtest"
)

// drip answers like a PN532 whose card sends one byte a block, for ever.
func drip(p *serialtest.PTY, delay time.Duration) {
	var dec pn532.Decoder
	buf := make([]byte, 512)
	for {
		n, err := p.Read(buf)
		if err != nil {
			return
		}
		dec.Write(buf[:n])
		for f, ok := dec.Next(); ok; f, ok = dec.Next() {
			if f.Kind != pn532.Data {
				continue
			}
			resp := []byte{f.Data[0] + 1}
			switch f.Data[0] {
			case 0x02: // GetFirmwareVersion
				resp = append(resp, 0x32, 1, 6, 7)
			case 0x00: // Diagnose: the line, and the card
				resp = append(resp, f.Data[1:]...)
				if len(f.Data) == 2 {
					resp = []byte{1, 0}
				}
			case 0x4A: // InListPassiveTarget
				if f.Data[2] == 0 {
					resp = append(resp, 1, 1, 0, 4, 0x20, 4, 1, 2, 3, 4, 1)
				} else {
					resp = append(resp, 0)
				}
			case 0x40: // InDataExchange: a byte, and more to come
				time.Sleep(delay)
				resp = append(resp, 0x40, 0xAA)
			case 0x52: // InRelease
				resp = append(resp, 0)
			}
			out, err := pn532.AppendFrame(pn532.AppendACK(nil), pn532.FromModule, resp)
			if err != nil {
				return
			}
			if _, err := p.Write(out); err != nil {
				return
			}
		}
	}
}

// dripping opens the card of a module whose card never comes to an end.
func dripping(t *testing.T, timing pn532.Timing) (*serial.Driver, func() error) {
	t.Helper()
	p := serialtest.NewPTY(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		drip(p, 20*time.Millisecond)
	}()
	d := serial.New(serial.Config{Ports: []string{p.Name}, Timing: timing})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		p.Unplug()
		<-done
	})
	c, err := d.Open(t.Context(), serial.ReaderName(p.Name))
	if err != nil {
		t.Fatal(err)
	}
	return d, func() error {
		_, err := c.Transmit(context.Background(), []byte{0x00, 0xB0, 0x00, 0x00, 0x00})
		return err
	}
}

// TestDripEnds: a card that sends a byte at a time has the time of an APDU, not of
// an APDU for each byte.
func TestDripEnds(t *testing.T) {
	_, transmit := dripping(t, pn532.Timing{Exchange: 300 * time.Millisecond})
	ended := make(chan error, 1)
	go func() { ended <- transmit() }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("an answer that never ends was taken")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the exchange goes on")
	}
}

// TestCloseCutsADrip: who wants to go is not held up by a card that has its time
// still.
func TestCloseCutsADrip(t *testing.T) {
	d, transmit := dripping(t, pn532.Timing{Exchange: time.Hour})
	ended := make(chan error, 1)
	go func() { ended <- transmit() }()
	time.Sleep(100 * time.Millisecond) // it may have begun; if not, it never will
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	for range 2 {
		select {
		case err := <-closed:
			if err != nil && !errors.Is(err, serial.ErrPortClosed) {
				t.Error(err)
			}
		case err := <-ended:
			if err == nil {
				t.Error("an answer that never ends was taken")
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the card holds the program")
		}
	}
}
