package serial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The codes of domain.md; nobody has these numbers.
const (
	codeCCCD = "001099000001|012345678|Nguyễn Văn Thử|31011999|Nam|Số 1, Phường X, Quận Y, Hà Nội|15042021"
	codeNew  = "079301000002||Trần Thị Mẫu|01032001|Nữ|Số 2, Phường X, Quận Y, TP Hồ Chí Minh|15042021|Trần Văn A|Lê Thị B"
	codeHI   = "GD4010100000001|4E677579E1BB856E2056C4836E205468E1BBAD|31/01/1999|1|48C3A0204EE1BB9969|01 - 013|01/01/2026|31/12/2026|01/01/2026|01010100000001|-|4|01/01/2028|0123456789abcdef-0000|$"
	codeHI10 = "0100000001|4E677579E1BB856E|1999|1|48C3A0|01 - 013|01/01/2026|-|01/01/2026|01010100000001|-|4"
)

// The specimen documents of Doc 9303-4, -5 and -6.
var (
	zoneTD3 = []string{
		"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
		"L898902C36UTO7408122F1204159ZE184226B<<<<<10",
	}
	zoneTD1 = []string{
		"I<UTOD231458907<<<<<<<<<<<<<<<",
		"7408122F1204159UTO<<<<<<<<<<<6",
		"ERIKSSON<<ANNA<MARIA<<<<<<<<<<",
	}
	zoneTD2 = []string{
		"I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<",
		"D231458907UTO7408122F1204159<<<<<<<6",
	}
)

func TestFramer(t *testing.T) {
	tests := []struct {
		name       string
		terminator string
		max        int
		in         string // "~" is a silence
		want       []string
		oversized  uint64
	}{
		{name: "CR", in: "abc\rdef\r", want: []string{"abc", "def"}},
		{name: "LF", in: "abc\n", want: []string{"abc"}},
		{name: "CR LF", in: "abc\r\ndef\r\n", want: []string{"abc", "def"}},
		{name: "silence", in: "abc~def~", want: []string{"abc", "def"}},
		{name: "silence within nothing", in: "~~abc\r~", want: []string{"abc"}},
		{name: "terminators alone", in: "\r\n\r\n\n", want: nil},
		{name: "TAB", terminator: "\t", in: "abc\tde\rf\t", want: []string{"abc", "de\rf"}},
		{name: "ETX, and STX before", terminator: "\x03", in: "\x02abc\x03\x02def\x03", want: []string{"abc", "def"}},
		{name: "exactly CR LF", terminator: "\r\n", in: "a\nb\rc\r\r\nd~", want: []string{"a\nb\rc", "d"}},
		{name: "as long as may be", max: 3, in: "abc\rabcd\rab\r", want: []string{"abc", "ab"}, oversized: 1},
		{name: "far too long", max: 3, in: strings.Repeat("x", 5000) + "\rok\r", want: []string{"ok"}, oversized: 1},
		{name: "far too long, long terminator", max: 3, terminator: "\r\n", in: strings.Repeat("x\r", 500) + "\r\nok\r\n", want: []string{"ok"}, oversized: 1},
		{name: "as long as may be, long terminator", max: 3, terminator: "\r\n", in: "abc\r\nabcd\r\n", want: []string{"abc"}, oversized: 1},
		{name: "too long, then silence", max: 3, in: "xxxxxx~ok\r", want: []string{"ok"}, oversized: 1},
		{name: "passport", in: strings.Join(zoneTD3, "\r") + "\r", want: []string{strings.Join(zoneTD3, "\n")}},
		{name: "identity card", in: strings.Join(zoneTD1, "\r\n") + "\r\n", want: []string{strings.Join(zoneTD1, "\n")}},
		{name: "small card", in: strings.Join(zoneTD2, "\r") + "~", want: []string{strings.Join(zoneTD2, "\n")}},
		{name: "two documents", in: strings.Join(append(zoneTD1, zoneTD3...), "\r") + "\r", want: []string{strings.Join(zoneTD1, "\n"), strings.Join(zoneTD3, "\n")}},
		{name: "half a document", in: zoneTD1[0] + "\r" + zoneTD1[1] + "\r~" + "abc\r", want: []string{zoneTD1[0] + "\n" + zoneTD1[1], "abc"}},
		{name: "half a document, then another", in: zoneTD1[0] + "\r" + strings.Join(zoneTD3, "\r") + "\r", want: []string{zoneTD1[0], strings.Join(zoneTD3, "\n")}},
		{name: "half a document, then a code", in: zoneTD1[0] + "\r" + codeCCCD + "\r", want: []string{zoneTD1[0], codeCCCD}},
		{name: "a code as long as a line", in: "00" + strings.Repeat("7", 28) + "\rabc\r", want: []string{"00" + strings.Repeat("7", 28), "abc"}},
		{name: "zone in one piece", in: strings.Join(zoneTD3, "") + "\r", want: []string{strings.Join(zoneTD3, "")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range []int{1, 2, 7, 1 << 20} {
				f := &framer{terminator: []byte(tt.terminator), max: 4096}
				if tt.max > 0 {
					f.max = tt.max
				}
				var got []string
				emit := func(b []byte) { got = append(got, string(b)) }
				for i, part := range strings.Split(tt.in, "~") {
					if i > 0 {
						f.silence(true, emit)
					}
					for p := []byte(part); len(p) > 0; {
						n := min(piece, len(p))
						f.feed(p[:n], emit)
						p = p[n:]
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" || f.oversized != tt.oversized {
					t.Errorf("in pieces of %d: %d oversized, want %d (-want +got):\n%s", piece, f.oversized, tt.oversized, diff)
				}
			}
		})
	}
}

// FuzzFramer: the pieces do not matter, no scan is longer than it may be, and
// nothing is kept without bound.
func FuzzFramer(f *testing.F) {
	f.Add([]byte(codeCCCD+"\r\n"+codeHI+"\r"), "", uint8(3), uint16(300))
	f.Add([]byte(strings.Join(zoneTD1, "\r\n")+"\r\n"), "\r\n", uint8(1), uint16(90))
	f.Add([]byte("\x02abc\x03xxxxxxxxxx\x03"), "\x03", uint8(2), uint16(4))
	f.Fuzz(func(t *testing.T, in []byte, terminator string, piece uint8, max_ uint16) {
		if len(terminator) > 8 {
			return
		}
		run := func(piece int) (scans [][]byte) {
			fr := &framer{terminator: []byte(terminator), max: int(max_) + 1}
			emit := func(b []byte) { scans = append(scans, b) }
			for p := in; len(p) > 0; {
				n := min(piece, len(p))
				fr.feed(p[:n], emit)
				p = p[n:]
				if len(fr.buf) > fr.max+len(terminator) || len(fr.lines) > 2 {
					t.Fatalf("%d bytes and %d lines are kept", len(fr.buf), len(fr.lines))
				}
			}
			fr.silence(true, emit)
			return scans
		}
		whole := run(len(in) + 1)
		if diff := cmp.Diff(whole, run(int(piece)+1)); diff != "" {
			t.Error(diff)
		}
		for _, s := range whole {
			if len(s) == 0 || len(s) > 3*(int(max_)+1)+2 {
				t.Errorf("scan of %d bytes", len(s))
			}
			text, _ := decode(s, EncodingAuto)
			_, _ = printable(text), kindOf(text)
		}
	})
}

func TestDecode(t *testing.T) {
	const name = "Nguyễn Văn Thử"
	tests := []struct {
		name string
		raw  string
		as   Encoding
		want string
		enc  Encoding
	}{
		{"as on the card", name, EncodingAuto, name, UTF8},
		{"letters and marks apart", "Nguye\u0302\u0303n Va\u0306n Thu\u031B\u0309", EncodingAuto, name, UTF8},
		{"byte order mark", "\xEF\xBB\xBFabc", EncodingAuto, "abc", UTF8},
		{"without marks", "Nguyen Van Thu", EncodingAuto, "Nguyen Van Thu", UTF8},
		// The base letter with its shape, then the tone (code page 1258).
		{"Windows-1258, recognised", "Nguy\xEA\xDEn V\xE3n Th\xFD\xD2", EncodingAuto, name, Windows1258},
		{"Windows-1258, told", "Nguy\xEA\xDEn", Windows1258, "Nguyễn", Windows1258},
		{"UTF-8, told, and broken", "001|\xFF|x", UTF8, "001|\uFFFD|x", UTF8},
		{"nothing", "", EncodingAuto, "", UTF8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, enc := decode([]byte(tt.raw), tt.as); got != tt.want || enc != tt.enc {
				t.Errorf("got %q in %v, want %q in %v", got, enc, tt.want, tt.enc)
			}
		})
	}
}

func TestKindOf(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Kind
	}{
		{codeCCCD, KindCCCD},
		{codeNew, KindCCCD},
		{codeHI, KindHI},
		{codeHI10, KindHI},
		{strings.Join(zoneTD1, ""), KindMRZ},
		{strings.Join(zoneTD2, ""), KindMRZ},
		{strings.Join(zoneTD3, ""), KindMRZ},
		{"", KindUnknown},
		{"001099000001", KindUnknown},
		{"00109900000A" + strings.Repeat("|", 6), KindUnknown},
		{"001099000001|||||", KindUnknown},
		{"0100000001|||||||", KindUnknown},
		{"GD401010000000é" + strings.Repeat("|", 9), KindUnknown},
		{strings.Repeat("<", 90), KindUnknown},
		{"https://vneid.example/" + strings.Repeat("x", 68), KindUnknown},
	} {
		if got := kindOf(tt.text); got != tt.want {
			t.Errorf("%.20q of %d bytes: %v, want %v", tt.text, len(tt.text), got, tt.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for _, s := range []string{codeCCCD, codeHI, "a\tb\r\nc", "[)>\x1E06\x1DP1\x1E\x04", ""} {
		if !printable(s) {
			t.Errorf("%q is refused", s)
		}
	}
	for _, s := range []string{"a\x00b", "\x7F", "\x1B[A", "\u0085"} {
		if printable(s) {
			t.Errorf("%q passes", s)
		}
	}
}

// TestScanShowsNothing prints a scan in every way that a log might.
func TestScanShowsNothing(t *testing.T) {
	scan := Scan{Text: codeCCCD, Raw: []byte(codeCCCD), At: time.Now()}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d", scan, &scan, scan, scan, scan, scan, []Scan{scan})
	fmt.Fprintln(&out, scan, &scan, map[string]Scan{"x": scan}, struct{ S Scan }{scan})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "scan", scan, "list", []Scan{scan})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "scan", scan)
	b, err := json.Marshal(scan)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	for _, secret := range []string{"001099", "Nguy", "Tho", "3030313039", "48 48 49"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q shows", secret)
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing was printed")
	}
}
