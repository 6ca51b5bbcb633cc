package apdu_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
)

func TestEncode(t *testing.T) {
	data := func(n int) []byte { return bytes.Repeat([]byte{0xDD}, n) }
	hexData := func(n int) string { return strings.Repeat("dd", n) }
	tests := []struct {
		name string
		data int
		ne   int
		want string // after the header 00a4040c
	}{
		{"case 1", 0, 0, ""},
		{"case 2 short", 0, 1, "01"},
		{"case 2 short, largest", 0, 256, "00"},
		{"case 2 extended, smallest", 0, 257, "000101"},
		{"case 2 extended, low byte zero", 0, 512, "000200"},
		{"case 2 extended, largest", 0, 65536, "000000"},
		{"case 3 short", 1, 0, "01dd"},
		{"case 3 short, largest", 255, 0, "ff" + hexData(255)},
		{"case 3 extended, smallest", 256, 0, "000100" + hexData(256)},
		{"case 3 extended, ff00", 0xFF00, 0, "00ff00" + hexData(0xFF00)},
		{"case 3 extended, largest", 65535, 0, "00ffff" + hexData(65535)},
		{"case 4 short", 2, 256, "02dddd00"},
		{"case 4 extended for Ne", 2, 257, "000002dddd0101"},
		{"case 4 extended for data", 256, 1, "000100" + hexData(256) + "0001"},
		{"case 4 extended for data, Ne 256", 256, 256, "000100" + hexData(256) + "0100"},
		{"case 4 extended, largest", 65535, 65536, "00ffff" + hexData(65535) + "0000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := apdu.Command{INS: 0xA4, P1: 4, P2: 0x0C, Data: data(tt.data), Ne: tt.ne}
			b, err := c.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if got, want := hex.EncodeToString(b), "00a4040c"+tt.want; got != want {
				t.Errorf("got %.60s (%d), want %.60s (%d)", got, len(got)/2, want, len(want)/2)
			}
			if got := decode(t, b); !equal(got, c) {
				t.Error("does not decode to the same command")
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, c := range []apdu.Command{{Ne: -1}, {Ne: 65537}, {Data: make([]byte, 65536)}} {
		if b, err := c.Encode(); b != nil || !errors.Is(err, apdu.ErrCommand) {
			t.Errorf("Ne %d, %d bytes: %d bytes, %v", c.Ne, len(c.Data), len(b), err)
		}
	}
}

func TestEncodeDoesNotAlias(t *testing.T) {
	c := apdu.Command{Data: []byte{1, 2}}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b[5] = 9
	if c.Data[0] != 1 {
		t.Error("the encoded command shares its memory with Data")
	}
}

// decode is ISO/IEC 7816-4:2020, 5.2, table 1, read from the card's side: it
// decides by the number of bytes alone, and shares no code with Encode.
func decode(t *testing.T, b []byte) apdu.Command {
	t.Helper()
	if len(b) < 4 {
		t.Fatalf("command of %d bytes", len(b))
	}
	c := apdu.Command{CLA: b[0], INS: b[1], P1: b[2], P2: b[3]}
	body := b[4:]
	n := len(body)
	be := func(i int) int { return int(body[i])*256 + int(body[i+1]) }
	or := func(v, zero int) int {
		if v == 0 {
			return zero
		}
		return v
	}
	switch {
	case n == 0: // 1
	case n == 1: // 2S
		c.Ne = or(int(body[0]), 256)
	case body[0] != 0 && n == 1+int(body[0]): // 3S
		c.Data = body[1:]
	case body[0] != 0 && n == 2+int(body[0]): // 4S
		c.Data, c.Ne = body[1:n-1], or(int(body[n-1]), 256)
	case body[0] == 0 && n == 3: // 2E
		c.Ne = or(be(1), 65536)
	case body[0] == 0 && n > 3 && be(1) > 0 && n == 3+be(1): // 3E
		c.Data = body[3:]
	case body[0] == 0 && n > 5 && be(1) > 0 && n == 5+be(1): // 4E
		c.Data, c.Ne = body[3:n-2], or(be(n-2), 65536)
	default:
		t.Fatalf("a body of %d bytes that begins with %02x is no case of ISO 7816-4", n, body[0])
	}
	return c
}

func equal(a, b apdu.Command) bool {
	return a.CLA == b.CLA && a.INS == b.INS && a.P1 == b.P1 && a.P2 == b.P2 && a.Ne == b.Ne && bytes.Equal(a.Data, b.Data)
}

func FuzzEncode(f *testing.F) {
	for _, n := range []int{0, 1, 255, 256, 0xFF00, 65535} {
		for _, ne := range []int{0, 1, 256, 257, 65536} {
			f.Add(uint32(0x00A4040C), make([]byte, n), ne)
		}
	}
	f.Fuzz(func(t *testing.T, header uint32, data []byte, ne int) {
		c := apdu.Command{CLA: byte(header >> 24), INS: byte(header >> 16), P1: byte(header >> 8), P2: byte(header), Data: data, Ne: ne}
		b, err := c.Encode()
		if err != nil {
			if b != nil || ne >= 0 && ne <= 65536 && len(data) <= 65535 {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		if !equal(decode(t, b), c) {
			t.Fatal("does not decode to the same command")
		}
	})
}

func TestParseResponse(t *testing.T) {
	tests := []struct {
		name, in string
		want     apdu.Response
		ok       bool
	}{
		{"status alone", "9000", apdu.Response{Data: []byte{}, SW: apdu.OK}, true},
		{"data", "01026282", apdu.Response{Data: []byte{1, 2}, SW: apdu.EndOfFile}, true},
		{"longest", strings.Repeat("00", 65536) + "9000", apdu.Response{Data: make([]byte, 65536), SW: apdu.OK}, true},
		{"empty", "", apdu.Response{}, false},
		{"half a status", "90", apdu.Response{}, false},
		{"too long", strings.Repeat("00", 65537) + "9000", apdu.Response{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := apdu.ParseResponse(vectortest.Hex(t, tt.in))
			if (err == nil) != tt.ok || !tt.ok && !errors.Is(err, apdu.ErrResponse) {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// responseSeeds are the responses of the worked example of Doc 9303-11, D.3
// and D.4.
func responseSeeds(tb testing.TB) [][]byte {
	tb.Helper()
	text, err := os.ReadFile("../bac/testdata/9303-11-D-bac.json")
	if err != nil {
		tb.Fatal(err)
	}
	var out [][]byte
	for _, m := range regexp.MustCompile(`response": "([0-9a-f]+)"`).FindAllSubmatch(text, -1) {
		out = append(out, vectortest.Hex(tb, string(m[1])))
	}
	if len(out) == 0 {
		tb.Fatal("no seeds")
	}
	return out
}

func FuzzParseResponse(f *testing.F) {
	for _, s := range responseSeeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := apdu.ParseResponse(in)
		if err != nil {
			if r.Data != nil || r.SW != 0 || len(in) >= 2 && len(in) <= 65538 {
				t.Fatalf("refused %d bytes: %v", len(in), err)
			}
			return
		}
		if again := append(bytes.Clone(r.Data), r.SW.SW1(), r.SW.SW2()); !bytes.Equal(again, in) {
			t.Fatal("does not encode to the same bytes")
		}
		if (r.Err() == nil) != (r.SW == apdu.OK) || r.SW.Error() == "" {
			t.Fatal("Err does not fit the status")
		}
	})
}

func TestStatus(t *testing.T) {
	wrapped := fmt.Errorf("select: %w", apdu.Response{SW: 0x6A82}.Err())
	if !errors.Is(wrapped, apdu.FileNotFound) || errors.Is(wrapped, apdu.WrongData) {
		t.Error("the sentinel is lost in wrapping")
	}
	if sw, ok := errors.AsType[apdu.Status](wrapped); !ok || sw.SW1() != 0x6A || sw.SW2() != 0x82 {
		t.Errorf("status %v, %v", sw, ok)
	}
	if err := (apdu.Response{SW: apdu.OK}).Err(); err != nil {
		t.Errorf("9000 is the error %v", err)
	}
	for sw, want := range map[apdu.Status]string{
		0x6A82: "status 6a82 (file not found)",
		0x63C2: "status 63c2 (2 tries left)",
		0x6300: "status 6300 (authentication failed)",
		0x0001: "status 0001",
	} {
		if got := sw.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestStatusRetries(t *testing.T) {
	tests := []struct {
		sw apdu.Status
		n  int
		ok bool
	}{
		{0x63C0, 0, true},
		{0x63C3, 3, true},
		{0x63CF, 15, true},
		{0x6300, 0, false},
		{0x63D0, 0, false},
		{0x63B3, 0, false},
		{0x6983, 0, false},
		{0x9000, 0, false},
	}
	for _, tt := range tests {
		if n, ok := tt.sw.Retries(); n != tt.n || ok != tt.ok {
			t.Errorf("%04x: %d, %v, want %d, %v", uint16(tt.sw), n, ok, tt.n, tt.ok)
		}
	}
}

func TestSession(t *testing.T) {
	tests := []struct {
		name   string
		script string
		c      apdu.Command
		want   string // data and status
	}{
		{"plain", "00b0000004 -> 01020304 9000", apdu.Command{INS: 0xB0, Ne: 4}, "010203049000"},
		{"error status", "00b0000004 -> 6a82", apdu.Command{INS: 0xB0, Ne: 4}, "6a82"},
		{
			"response in pieces", `
			00b0000000 -> 0102 6103
			00c0000003 -> 030405 6100
			00c0000000 -> 06 9000`, apdu.Command{INS: 0xB0, Ne: 256}, "0102030405069000",
		},
		{
			"pieces without data at first", `
			008800000101 -> 6102
			00c0000002 -> aabb 9000`, apdu.Command{INS: 0x88, Data: []byte{1}}, "aabb9000",
		},
		{
			"error after a piece", `
			00b0000000 -> 01 6103
			00c0000003 -> 6f00`, apdu.Command{INS: 0xB0, Ne: 256}, "016f00",
		},
		{
			"exact length", `
			00b0000000 -> 6c05
			00b0000005 -> 0102030405 9000`, apdu.Command{INS: 0xB0, Ne: 256}, "01020304059000",
		},
		{
			"exact length 256", `
			00b00000000400 -> 6c00
			00b0000000 -> 01 9000`, apdu.Command{INS: 0xB0, Ne: 1024}, "019000",
		},
		{
			"exact length of a piece", `
			00b0000000 -> 01 6108
			00c0000008 -> 6c02
			00c0000002 -> 0203 9000`, apdu.Command{INS: 0xB0, Ne: 256}, "0102039000",
		},
		{
			"exact length, then pieces", `
			00b0000000 -> 6c05
			00b0000005 -> 0102 6103
			00c0000003 -> 030405 9000`, apdu.Command{INS: 0xB0, Ne: 256}, "01020304059000",
		},
		{
			"exact length, then pieces, then the exact length of one", `
			00b0000000 -> 6c05
			00b0000005 -> 01 6108
			00c0000008 -> 6c02
			00c0000002 -> 0203 9000`, apdu.Command{INS: 0xB0, Ne: 256}, "0102039000",
		},
		{
			"data beside a wrong length is none", `
			00b0000000 -> eeee 6c02
			00b0000002 -> 0102 9000`, apdu.Command{INS: 0xB0, Ne: 256}, "01029000",
		},
		{
			"a wrong length inside a protected answer is the caller's matter", `
			0cb0000000 -> 99026c02 6c02`, apdu.Command{CLA: 0x0C, INS: 0xB0, Ne: 256}, "99026c026c02",
		},
		{
			"a wrong length in clear is the session's, also under secure messaging", `
			0cb0000000 -> 6c02
			0cb0000002 -> 0102 9000`, apdu.Command{CLA: 0x0C, INS: 0xB0, Ne: 256}, "01029000",
		},
		{
			"class of a protected command", `
			0cb0000000 -> 01 6101
			00c0000001 -> 02 9000`, apdu.Command{CLA: 0x0C, INS: 0xB0, Ne: 256}, "01029000",
		},
		{
			"class of a chained command on channel 1", `
			11860000017c00 -> 01 6101
			01c0000001 -> 02 9000`, apdu.Command{CLA: 0x11, INS: 0x86, Data: []byte{0x7C}, Ne: 256}, "01029000",
		},
		{
			"class of a further channel", `
			65b0000000 -> 01 6101
			45c0000001 -> 02 9000`, apdu.Command{CLA: 0x65, INS: 0xB0, Ne: 256}, "01029000",
		},
		{
			"proprietary class", `
			80ca000000 -> 01 6101
			80c0000001 -> 02 9000`, apdu.Command{CLA: 0x80, INS: 0xCA, Ne: 256}, "01029000",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := apdu.NewSession(apdutest.NewScript(t, tt.script)).Do(t.Context(), tt.c)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(append(resp.Data, resp.SW.SW1(), resp.SW.SW2())); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSessionErrors(t *testing.T) {
	tests := []struct {
		name, script string
		c            apdu.Command
		want         error
	}{
		{"card gone", "00b0000004 -> !", apdu.Command{INS: 0xB0, Ne: 4}, apdutest.ErrGone},
		{"card gone between pieces", "00b0000004 -> 01 6103\n00c0000003 -> !", apdu.Command{INS: 0xB0, Ne: 4}, apdutest.ErrGone},
		{"half a response", "00b0000004 -> 90", apdu.Command{INS: 0xB0, Ne: 4}, apdu.ErrResponse},
		{"empty response", "00b0000004 ->", apdu.Command{INS: 0xB0, Ne: 4}, apdu.ErrResponse},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := apdu.NewSession(apdutest.NewScript(t, tt.script)).Do(t.Context(), tt.c)
			if !errors.Is(err, tt.want) || resp.Data != nil || resp.SW != 0 {
				t.Errorf("%d bytes, status %04x, %v, want %v", len(resp.Data), uint16(resp.SW), err, tt.want)
			}
		})
	}
}

func TestSessionRefusesBadCommand(t *testing.T) {
	card := apdutest.Func(func(context.Context, []byte) ([]byte, error) {
		t.Error("command was sent")
		return nil, apdutest.ErrGone
	})
	if _, err := apdu.NewSession(card).Do(t.Context(), apdu.Command{Ne: -1}); !errors.Is(err, apdu.ErrCommand) {
		t.Errorf("error %v", err)
	}
}

// A card that never comes to the end of a response is left.
func TestSessionHostileCard(t *testing.T) {
	piece := bytes.Repeat([]byte{0xAA}, 256)
	tests := []struct {
		name       string
		respond    func(n int) []byte
		exchanges  int // at most
		wantStatus apdu.Status
	}{
		{"61 for ever with data", func(int) []byte { return append(bytes.Clone(piece), 0x61, 0x00) }, 258, 0x6100},
		{"61 for ever without data", func(int) []byte { return []byte{0x61, 0x00} }, 512, 0x6100},
		{"6C for ever", func(int) []byte { return []byte{0x6C, 0x10} }, 2, 0x6C10},
		{"6C and 61 in turn", func(n int) []byte { return []byte{0x61 + 0x0B*byte(n%2), 0x10} }, 512, 0},
		{"largest pieces", func(int) []byte { return append(make([]byte, 65536), 0x61, 0x00) }, 2, 0x6100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			card := apdutest.Func(func(context.Context, []byte) ([]byte, error) {
				n++
				return tt.respond(n), nil
			})
			resp, err := apdu.NewSession(card).Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 256})
			limit, ok := errors.AsType[*apdu.LimitError](err)
			if !ok || resp.Data != nil || resp.SW != 0 {
				t.Fatalf("error %v", err)
			}
			if n > tt.exchanges || limit.Exchanges != n || limit.Bytes > 2*65536 {
				t.Errorf("%d exchanges; error %v", n, limit)
			}
			if tt.wantStatus != 0 && limit.SW != tt.wantStatus {
				t.Errorf("status %04x, want %04x", uint16(limit.SW), uint16(tt.wantStatus))
			}
		})
	}
}

// The longest response there is fits, in the smallest pieces a reader makes.
func TestSessionLongestResponse(t *testing.T) {
	n := 0
	card := apdutest.Func(func(context.Context, []byte) ([]byte, error) {
		n++
		if n == 256 {
			return append(make([]byte, 256), 0x90, 0x00), nil
		}
		return append(make([]byte, 256), 0x61, 0x00), nil
	})
	resp, err := apdu.NewSession(card).Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 65536})
	if err != nil || len(resp.Data) != 65536 || resp.SW != apdu.OK {
		t.Errorf("%d bytes, %v", len(resp.Data), err)
	}
}

func TestSessionChecksContextBeforeEveryAPDU(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	card := apdutest.Func(func(context.Context, []byte) ([]byte, error) {
		n++
		cancel()
		return []byte{0x01, 0x61, 0x01}, nil
	})
	s := apdu.NewSession(card)
	if _, err := s.Do(ctx, apdu.Command{INS: 0xB0, Ne: 256}); !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("%d exchanges, %v", n, err)
	}
	if _, err := s.Do(ctx, apdu.Command{INS: 0xB0, Ne: 256}); !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("%d exchanges, %v", n, err)
	}
}
