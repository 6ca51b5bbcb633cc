package reader_test

import (
	"context"
	"testing"

	"github.com/chamthe/chamthe/reader"
)

// claims is a reader with a card that says how much it carries.
type claims struct {
	name string
	caps reader.Capabilities
}

func (d claims) Readers(context.Context) ([]reader.Info, error) {
	return []reader.Info{{Name: d.name, State: reader.Present, ATR: []byte{0x3B, 0x80, 0x80, 0x01, 0x01}}}, nil
}

func (d claims) Wait(ctx context.Context, _ []reader.Info) ([]reader.Info, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (d claims) Open(context.Context, string) (reader.Card, error) { return d, nil }

func (d claims) Transmit(context.Context, []byte) ([]byte, error) { return []byte{0x90, 0x00}, nil }
func (d claims) Reset(context.Context) error                      { return nil }
func (d claims) ATR() []byte                                      { return []byte{0x3B, 0x80, 0x80, 0x01, 0x01} }
func (d claims) Close() error                                     { return nil }
func (d claims) Capabilities(context.Context) (reader.Capabilities, error) {
	return d.caps, nil
}

// TestR19ReaderLimits: what readers and drivers say they carry is not what they
// carry. Only what is known to work is used, so that the first tap works.
func TestR19ReaderLimits(t *testing.T) {
	tests := []struct {
		name  string
		model string
		caps  reader.Capabilities
		most  int // bytes of response data that may be asked for at first
	}{
		{"the driver says short only", "Reader Nobody Knows 0", reader.Capabilities{MaxAPDU: 256}, 256},
		{"the driver says nothing", "Reader Nobody Knows 0", reader.Capabilities{}, 256},
		{"the driver claims everything", "Reader Nobody Knows 0", reader.Capabilities{MaxAPDU: 65536}, 256},
		{"ACR1281 claims everything", "ACS ACR1281 1S Dual Reader 00 01", reader.Capabilities{MaxAPDU: 65536}, 256},
		{"a driver of this program", "PN532 /dev/ttyUSB0", reader.Capabilities{MaxAPDU: 65536, Extended: true}, 65536},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := reader.OpenHub(reader.HubConfig{All: true, Sources: []reader.Source{{Name: "test", Driver: claims{tt.model, tt.caps}}}})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			l, err := h.Take(t.Context(), tt.model)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			got := l.Limits()
			most := got.MaxNe
			if most == 0 || got.NoExtended && most > 256 {
				most = 256
			}
			if most != tt.most {
				t.Errorf("asks for %d at first, want %d (%+v)", most, tt.most, got)
			}
		})
	}
}

// TestR19ReaderChoice: of several logical readers the antenna is taken, and never
// the SAM slot or a reader that is none.
func TestR19ReaderChoice(t *testing.T) {
	for name, want := range map[string]reader.Kind{
		"ACS ACR1252 1S CL Reader PICC 0":   reader.Contactless,
		"ACS ACR1252 1S CL Reader SAM 0":    reader.SAM,
		"Windows Hello for Business 1":      reader.Virtual,
		"HID Global OMNIKEY 5422 CL 0":      reader.Contactless,
		"Identiv uTrust 3700 F CL Reader 0": reader.Contactless,
	} {
		if got := reader.KindOf(name, nil); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
