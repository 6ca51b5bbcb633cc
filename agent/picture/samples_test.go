package picture_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/agent/picture"
)

var update = flag.Bool("update", false, "compress the codestreams in testdata anew, with opj_compress")

// Size of the samples.
const sampleW, sampleH = 62, 44

// A sample is a codestream in testdata, compressed from components that follow
// a formula, most of them without loss: what has to come out is known without
// asking any decoder.
type sample struct {
	name string
	// raw is the format that opj_compress is given: components, bits, u or s,
	// and the subsampling of each.
	components, bits int
	signed           bool
	subsampling      [][2]int
	args             []string
	lossy            bool
}

func samples() []sample {
	return []sample{
		{name: "grey", components: 1, bits: 8},
		{name: "grey-1bit", components: 1, bits: 1},
		{name: "grey-4bit", components: 1, bits: 4},
		{name: "grey-12bit", components: 1, bits: 12},
		{name: "grey-16bit", components: 1, bits: 16},
		{name: "grey-signed", components: 1, bits: 8, signed: true},
		{name: "grey-alpha", components: 2, bits: 8},
		{name: "colour", components: 3, bits: 8},
		{name: "colour-16bit", components: 3, bits: 16},
		{name: "colour-mct", components: 3, bits: 8, args: []string{"-mct", "1"}},
		{name: "colour-tiles", components: 3, bits: 8, args: []string{"-t", "16,16", "-n", "2"}},
		{name: "colour-offset", components: 3, bits: 8, args: []string{"-d", "7,5"}},
		{name: "colour-lossy", components: 3, bits: 8, args: []string{"-r", "4", "-I"}, lossy: true},
		{name: "colour-layers", components: 3, bits: 8, args: []string{"-r", "8,4,1", "-p", "RPCL", "-b", "32,32", "-SOP", "-EPH"}},
		{name: "colour-alpha", components: 4, bits: 8},
		{name: "chroma-420", components: 3, bits: 8, subsampling: [][2]int{{1, 1}, {2, 2}, {2, 2}}},
		{name: "chroma-422", components: 3, bits: 8, subsampling: [][2]int{{1, 1}, {2, 1}, {2, 1}}},
		{name: "chroma-420-offset", components: 3, bits: 8, subsampling: [][2]int{{1, 1}, {2, 2}, {2, 2}}, args: []string{"-d", "1,1"}},
	}
}

// value is the sample at (x, y) of a component, 0 to 1: a slope, which is
// another one for each component, under a pattern.
func value(component, x, y int) float64 {
	slope := []float64{
		float64(x) / (sampleW - 1),
		float64(y) / (sampleH - 1),
		1 - float64(x+y)/(sampleW+sampleH-2),
		0.5,
	}[component]
	return 0.8*slope + 0.2*float64((7*x+13*y+5*component)%11)/10
}

// level is value in steps of the sample's precision.
func (s sample) level(component, x, y int) int {
	top := 1<<s.bits - 1
	return int(value(component, x, y)*float64(top) + 0.5)
}

// scaled is level in eight bits.
func (s sample) scaled(component, x, y int) int {
	top := 1<<s.bits - 1
	return (s.level(component, x, y)*255 + top/2) / top
}

func (s sample) path() string { return filepath.Join("testdata", s.name+".j2k") }

// read returns the codestream.
func (s sample) read(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(s.path())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// find returns the sample of that name.
func find(t testing.TB, name string) sample {
	t.Helper()
	list := samples()
	i := slices.IndexFunc(list, func(s sample) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("no sample %s", name)
	}
	return list[i]
}

// compress makes the codestream.
func (s sample) compress(t *testing.T) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "in.raw")
	var b []byte
	var steps []string
	for c := range s.components {
		d := [2]int{1, 1}
		if s.subsampling != nil {
			d = s.subsampling[c]
		}
		steps = append(steps, fmt.Sprintf("%dx%d", d[0], d[1]))
		for y := 0; y < sampleH; y += d[1] {
			for x := 0; x < sampleW; x += d[0] {
				v := s.level(c, x, y)
				if s.signed {
					v -= 1 << (s.bits - 1)
				}
				if s.bits > 8 {
					b = binary.BigEndian.AppendUint16(b, uint16(v))
				} else {
					b = append(b, byte(v))
				}
			}
		}
	}
	if err := os.WriteFile(raw, b, 0o600); err != nil {
		t.Fatal(err)
	}
	sign := "u"
	if s.signed {
		sign = "s"
	}
	format := fmt.Sprintf("%d,%d,%d,%d,%s@%s", sampleW, sampleH, s.components, s.bits, sign, strings.Join(steps, ":"))
	args := append([]string{"-i", raw, "-o", s.path(), "-F", format}, s.args...)
	if !slices.Contains(s.args, "-mct") {
		args = append(args, "-mct", "0")
	}
	if out, err := exec.CommandContext(t.Context(), "opj_compress", args...).CombinedOutput(); err != nil {
		t.Fatalf("opj_compress %v: %v\n%s", args, err, out)
	}
}

// TestUpdateSamples writes testdata, when asked to.
func TestUpdateSamples(t *testing.T) {
	if !*update {
		t.Skip("without -update, testdata stays as it is")
	}
	for _, s := range samples() {
		s.compress(t)
	}
	for _, l := range largest() {
		l.compress(t, make([]byte, largestW*largestH*l.bytes), l.path(), func([]byte) {})
	}
}

// Size of the largest pictures.
const largestW, largestH = 1024, picture.MaxPixels / 1024

// A large is a form in which the largest picture may come.
type large struct {
	name   string
	format string // components, bits, unsigned
	bytes  int    // of a pixel
	args   []string
}

func largest() []large {
	return []large{
		{"one-tile", "3,8,u", 3, []string{"-r", "8"}},
		{"tiles", "3,8,u", 3, []string{"-r", "8", "-t", "512,512"}},
		{"four-lossy", "4,16,u", 8, []string{"-r", "16", "-I"}},
	}
}

func (l large) path() string { return filepath.Join("testdata", "largest-"+l.name+".j2k") }

// compress compresses a raw picture to a file and gives it to use.
func (l large) compress(t *testing.T, raw []byte, out string, use func([]byte)) {
	t.Helper()
	in := filepath.Join(t.TempDir(), "in.raw")
	if err := os.WriteFile(in, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-i", in, "-o", out, "-mct", "0", "-F", fmt.Sprintf("%d,%d,%s", largestW, largestH, l.format)}, l.args...)
	if msg, err := exec.CommandContext(t.Context(), "opj_compress", args...).CombinedOutput(); err != nil {
		t.Fatalf("opj_compress %v: %v\n%s", args, err, msg)
	}
	code, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	use(code)
}

// box is a box of a JP2 file (ISO/IEC 15444-1, I.4).
func box(kind string, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return slices.Concat(b, []byte(kind), body)
}

// Enumerated colour spaces (ISO/IEC 15444-1, I.5.3.3, and 15444-2, M.11.7.3.1).
const (
	enumCMYK  = 12
	enumSRGB  = 16
	enumGrey  = 17
	enumSYCC  = 18
	enumESYCC = 24
)

func colr(enum uint32) []byte {
	return box("colr", []byte{1, 0, 0}, binary.BigEndian.AppendUint32(nil, enum))
}

// jp2 wraps a codestream into a file, with the boxes that describe its colours.
func jp2(code []byte, colours ...[]byte) []byte {
	components := code[40:42]
	depth := code[42] // bits - 1, the first bit for signed
	ihdr := box("ihdr", binary.BigEndian.AppendUint32(nil, sampleH), binary.BigEndian.AppendUint32(nil, sampleW), components, []byte{depth, 7, 0, 0})
	return slices.Concat(
		box("jP  ", []byte{13, 10, 0x87, 10}),
		box("ftyp", []byte("jp2 \x00\x00\x00\x00jp2 ")),
		box("jp2h", append([][]byte{ihdr}, colours...)...),
		box("jp2c", code),
	)
}
