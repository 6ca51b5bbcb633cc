package pn532

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// decodeAll returns the frames in b, their data copied.
func decodeAll(b []byte, piece int) []Frame {
	var d Decoder
	var frames []Frame
	for len(b) > 0 {
		n := min(piece, len(b))
		_, _ = d.Write(b[:n])
		b = b[n:]
		for f, ok := d.Next(); ok; f, ok = d.Next() {
			f.Data = bytes.Clone(f.Data)
			frames = append(frames, f)
		}
	}
	return frames
}

// TestFrames decodes frames from UM 6.2.1 and from recorded dialogues with
// firmware 1.6.
func TestFrames(t *testing.T) {
	long := append([]byte{0x41, 0x00}, bytes.Repeat([]byte{0xFF}, 262)...)
	tests := []struct {
		name string
		hex  string
		want []Frame
	}{
		{"GetFirmwareVersion", "00 00 FF 02 FE D4 02 2A 00", []Frame{{Data, ToModule, []byte{0x02}}}},
		{"its response", "00 00 FF 06 FA D5 03 32 01 06 07 E8 00", []Frame{{Data, FromModule, []byte{0x03, 0x32, 0x01, 0x06, 0x07}}}},
		{"SAMConfiguration", "00 00 FF 05 FB D4 14 01 00 01 16 00", []Frame{{Data, ToModule, []byte{0x14, 0x01, 0x00, 0x01}}}},
		{"ACK and response", "00 00 FF 00 FF 00 00 00 FF 02 FE D5 15 16 00", []Frame{{Kind: ACK}, {Data, FromModule, []byte{0x15}}}},
		{"extended, though short", "00 00 FF FF FF 00 02 FE D4 02 2A 00", []Frame{{Data, ToModule, []byte{0x02}}}},
		{"NACK", "00 00 FF FF 00 00", []Frame{{Kind: NACK}}},
		{"error frame", "00 00 FF 01 FF 7F 81 00", []Frame{{Kind: Syntax}}},
		{"no preamble, no postamble", "00 FF 02 FE D4 02 2A 00 FF 00 FF", []Frame{{Data, ToModule, []byte{0x02}}, {Kind: ACK}}},
		{"long preamble", "00 00 00 00 00 00 FF 00 FF 00", []Frame{{Kind: ACK}}},
		{"noise before", "FF 13 00 37 FF 00 00 FF 00 FF 00", []Frame{{Kind: ACK}}},
		{"the longest", "00 00 FF FF FF 01 09 F6 D5 " + hex.EncodeToString(long) + "F0 00", []Frame{{Data, FromModule, long}}},
		{"wrong checksum of the length", "00 00 FF 02 FD D4 02 2A 00 00 FF 00 FF 00", []Frame{{}, {Kind: ACK}}},
		{"wrong checksum of the data", "00 00 FF 02 FE D4 02 2B 00 00 FF 00 FF 00", []Frame{{}, {Kind: ACK}}},
		{"a frame inside a damaged one", "00 00 FF 08 F8 D5 00 FF 02 FE D5 41 EA 99 00", []Frame{{}}},
		{"longer than any", "00 00 FF FF FF 01 0A F5 D5 00", []Frame{{}}},
		{"extended without data", "00 00 FF FF FF 00 01 FF D5 2B 00", []Frame{{}}},
		{"identifier alone", "00 00 FF 01 FF D5 2B 00", []Frame{{}}},
		{"only half", "00 00 FF 06 FA D5 03 32", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.hex)
			for _, piece := range []int{len(b), 1, 2, 3, 7} {
				if diff := cmp.Diff(tt.want, decodeAll(b, piece)); diff != "" {
					t.Errorf("in pieces of %d (-want +got):\n%s", piece, diff)
				}
			}
			if len(tt.want) == 1 && tt.want[0].Kind == Data && strings.HasPrefix(tt.hex, "00 00 FF") && !strings.HasPrefix(tt.name, "extended") {
				got, err := AppendFrame(nil, tt.want[0].TFI, tt.want[0].Data)
				if err != nil || !bytes.Equal(got, b) {
					t.Errorf("encoded % X, %v", got, err)
				}
			}
		})
	}
	for _, n := range []int{0, MaxData + 1} {
		if _, err := AppendFrame(nil, ToModule, make([]byte, n)); err == nil {
			t.Errorf("a frame with %d bytes was made", n)
		}
	}
}

// TestFramesRoundTrip sends any data, in any pieces, behind any noise.
func TestFramesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(1, MaxData), rapid.SampledFrom([]int{1, 2, 253, 254, 255, 256, MaxData})).Draw(t, "n")
		data := rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "data")
		noise := rapid.SliceOfN(rapid.ByteRange(1, 255), 0, 20).Draw(t, "noise")
		b, err := AppendFrame(noise, FromModule, data)
		if err != nil {
			t.Fatal(err)
		}
		b = AppendNACK(AppendSyntax(AppendACK(b)))
		want := []Frame{{Data, FromModule, data}, {Kind: ACK}, {Kind: Syntax}, {Kind: NACK}}
		if diff := cmp.Diff(want, decodeAll(b, rapid.IntRange(1, len(b)).Draw(t, "piece"))); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzDecoder: no panic, nothing kept without bound, the pieces do not matter,
// and what is decoded encodes to itself.
func FuzzDecoder(f *testing.F) {
	f.Add(unhex(f, "0000FF00FF000000FF06FAD50332010607E800"), uint8(1))
	f.Add(unhex(f, "0000FFFFFF0109F6D541"), uint8(3))
	f.Add(unhex(f, "0000FF01FF7F81000000FFFF0000"), uint8(2))
	f.Add(unhex(f, "00FF08F8D500FF02FED541EA9900"), uint8(255))
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		whole := decodeAll(b, max(len(b), 1))
		if diff := cmp.Diff(whole, decodeAll(b, max(int(piece), 1))); diff != "" {
			t.Errorf("pieces of %d (-whole +pieces):\n%s", piece, diff)
		}
		for _, fr := range whole {
			if fr.Kind != Data {
				continue
			}
			enc, err := AppendFrame(nil, fr.TFI, fr.Data)
			if err != nil {
				t.Fatalf("decoded what cannot be encoded: %d bytes", len(fr.Data))
			}
			if again := decodeAll(enc, len(enc)); !cmp.Equal(again, []Frame{fr}) {
				t.Error("encoding and decoding changed the frame")
			}
		}
		var d Decoder
		for range 8 {
			_, _ = d.Write(b)
			for _, ok := d.Next(); ok; _, ok = d.Next() {
			}
			if limit := MaxData + 16; len(b) < limit && len(d.buf) > 2*limit {
				t.Fatalf("%d bytes are kept", len(d.buf))
			}
		}
	})
}
