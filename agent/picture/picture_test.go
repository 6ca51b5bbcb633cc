package picture_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chamthe/chamthe/agent/picture"
	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/lds"
)

// shared is compiled once for all tests that do not configure their own.
var shared = picture.New(nil)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := shared.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "close:", err)
		code = 1
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func jp2k(data []byte) face.Image { return face.Image{Codec: face.Detect(data), Data: data} }

// decode decodes a picture that has to work.
func decode(t testing.TB, data []byte) image.Image {
	t.Helper()
	m, err := shared.Decode(t.Context(), jp2k(data))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// at returns a pixel in eight bits, not premultiplied.
func at(m image.Image, x, y int) color.NRGBA {
	switch m := m.(type) {
	case *image.Gray:
		v := m.GrayAt(x, y).Y
		return color.NRGBA{v, v, v, 0xFF}
	case *image.NRGBA:
		return m.NRGBAAt(x, y)
	}
	return color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)
}

// compare fails the test if a pixel is further than tolerance from want.
func compare(t *testing.T, m image.Image, tolerance int, want func(x, y int) color.NRGBA) {
	t.Helper()
	b := m.Bounds()
	if b.Min != (image.Point{}) {
		t.Fatalf("picture begins at %v", b.Min)
	}
	worst, where := 0, image.Point{}
	for y := range b.Dy() {
		for x := range b.Dx() {
			got, want := at(m, x, y), want(x, y)
			for _, d := range []int{int(got.R) - int(want.R), int(got.G) - int(want.G), int(got.B) - int(want.B), int(got.A) - int(want.A)} {
				if d = max(d, -d); d > worst {
					worst, where = d, image.Pt(x, y)
				}
			}
		}
	}
	if worst > tolerance {
		t.Errorf("pixel %v is off by %d, %d is allowed: %v, want %v", where, worst, tolerance, at(m, where.X, where.Y), want(where.X, where.Y))
	}
}

// plain is what a sample without chrominance has to look like: grey or colours.
func (s sample) plain(x, y int) color.NRGBA {
	v := func(c int) uint8 { return uint8(s.scaled(c, x, y)) }
	if s.components < 3 {
		return color.NRGBA{v(0), v(0), v(0), 0xFF}
	}
	return color.NRGBA{v(0), v(1), v(2), 0xFF}
}

// chrominance is what a sample looks like whose components are Y, Cb and Cr;
// shift is where its picture begins on the reference grid.
func (s sample) chrominance(shift int) func(x, y int) color.NRGBA {
	return func(x, y int) color.NRGBA {
		var v [3]uint8
		for c := range v {
			d := [2]int{1, 1}
			if s.subsampling != nil {
				d = s.subsampling[c]
			}
			// The first sample is at the first multiple of its distance.
			nearest := func(i, d int) int {
				return max((i+shift)/d-(shift+d-1)/d, 0) * d
			}
			v[c] = uint8(s.scaled(c, nearest(x, d[0]), nearest(y, d[1])))
		}
		r, g, b := color.YCbCrToRGB(v[0], v[1], v[2])
		return color.NRGBA{r, g, b, 0xFF}
	}
}

// TestCodestreams decodes bare codestreams: what was compressed without loss
// comes out to the last bit.
func TestCodestreams(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			m := decode(t, s.read(t))
			if got := m.Bounds().Size(); got != image.Pt(sampleW, sampleH) {
				t.Fatalf("size %v", got)
			}
			_, grey := m.(*image.Gray)
			if want := s.components < 3; grey != want {
				t.Errorf("%T", m)
			}
			want, tolerance := s.plain, 0
			switch {
			case s.name == "chroma-420-offset":
				want = s.chrominance(1)
			case s.subsampling != nil:
				want = s.chrominance(0)
			case s.lossy:
				tolerance = 24
			}
			compare(t, m, tolerance, want)
		})
	}
}

// TestFiles decodes JP2 files, whose boxes say what the components mean.
func TestFiles(t *testing.T) {
	t.Parallel()
	word := binary.BigEndian.AppendUint16
	// A palette of 16 colours for the codestream of four bits.
	palette := [][]byte{word(nil, 16), {3, 7, 7, 7}}
	for i := range 16 {
		palette = append(palette, []byte{byte(i * 17), byte(255 - i*17), byte(i * 3)})
	}
	pclr := box("pclr", palette...)
	cmap := box("cmap", []byte{0, 0, 1, 0}, []byte{0, 0, 1, 1}, []byte{0, 0, 1, 2})
	channel := func(n, kind, colour uint16) []byte { return word(word(word(nil, n), kind), colour) }
	cdef := func(channels ...[]byte) []byte {
		return box("cdef", word(nil, uint16(len(channels))), slices.Concat(channels...))
	}
	rgba := func(kind uint16) []byte {
		return cdef(channel(0, 0, 1), channel(1, 0, 2), channel(2, 0, 3), channel(3, kind, 0))
	}
	icc := box("colr", []byte{2, 0, 0}, bytes.Repeat([]byte("not a profile at all "), 8))

	grey, colour, alpha := find(t, "grey"), find(t, "colour"), find(t, "colour-alpha")
	tests := []struct {
		name string
		code string
		jp2  [][]byte
		want func(x, y int) color.NRGBA
		err  error
	}{
		{name: "grey", code: "grey", jp2: [][]byte{colr(enumGrey)}, want: grey.plain},
		{name: "sRGB", code: "colour", jp2: [][]byte{colr(enumSRGB)}, want: colour.plain},
		{name: "sRGB, one component", code: "grey", jp2: [][]byte{colr(enumSRGB)}, want: grey.plain},
		{name: "grey, three components", code: "colour", jp2: [][]byte{colr(enumGrey)}, want: func(x, y int) color.NRGBA {
			v := uint8(colour.scaled(0, x, y))
			return color.NRGBA{v, v, v, 0xFF}
		}},
		{name: "sYCC", code: "colour", jp2: [][]byte{colr(enumSYCC)}, want: colour.chrominance(0)},
		{name: "sYCC 4:2:0", code: "chroma-420", jp2: [][]byte{colr(enumSYCC)}, want: find(t, "chroma-420").chrominance(0)},
		{name: "sYCC 4:2:2", code: "chroma-422", jp2: [][]byte{colr(enumSYCC)}, want: find(t, "chroma-422").chrominance(0)},
		{name: "ICC, colours", code: "colour", jp2: [][]byte{icc}, want: colour.plain},
		{name: "ICC, grey", code: "grey-16bit", jp2: [][]byte{icc}, want: find(t, "grey-16bit").plain},
		{name: "opacity", code: "colour-alpha", jp2: [][]byte{colr(enumSRGB), rgba(1)}, want: func(x, y int) color.NRGBA {
			c := alpha.plain(x, y)
			c.A = uint8(alpha.scaled(3, x, y))
			return c
		}},
		{name: "grey with opacity", code: "grey-alpha", jp2: [][]byte{colr(enumGrey), cdef(channel(0, 0, 1), channel(1, 1, 0))}, want: func(x, y int) color.NRGBA {
			s := find(t, "grey-alpha")
			v := uint8(s.scaled(0, x, y))
			return color.NRGBA{v, v, v, uint8(s.scaled(1, x, y))}
		}},
		{name: "premultiplied opacity is left out", code: "colour-alpha", jp2: [][]byte{colr(enumSRGB), rgba(2)}, want: alpha.plain},
		{name: "channels in another order", code: "colour", jp2: [][]byte{colr(enumSRGB), cdef(channel(0, 0, 3), channel(1, 0, 2), channel(2, 0, 1))}, want: func(x, y int) color.NRGBA {
			c := colour.plain(x, y)
			c.R, c.B = c.B, c.R
			return c
		}},
		{name: "palette", code: "grey-4bit", jp2: [][]byte{colr(enumSRGB), pclr, cmap}, want: func(x, y int) color.NRGBA {
			i := find(t, "grey-4bit").level(0, x, y)
			return color.NRGBA{uint8(i * 17), uint8(255 - i*17), uint8(i * 3), 0xFF}
		}},
		{name: "nothing but opacity", code: "grey", jp2: [][]byte{colr(enumGrey), cdef(channel(0, 1, 0))}, err: face.ErrPicture},
		{name: "CMYK", code: "colour-alpha", jp2: [][]byte{colr(enumCMYK)}, err: face.ErrFormat},
		{name: "e-sYCC", code: "colour", jp2: [][]byte{colr(enumESYCC)}, err: face.ErrFormat},
		{name: "no colour space", code: "colour", want: colour.plain},
		{name: "palette without a map", code: "grey-4bit", jp2: [][]byte{colr(enumSRGB), pclr}, want: find(t, "grey-4bit").plain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := shared.Decode(t.Context(), jp2k(jp2(find(t, tt.code).read(t), tt.jp2...)))
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil {
				if m != nil {
					t.Error("a picture with an error")
				}
				return
			}
			compare(t, m, 0, tt.want)
		})
	}
}

// second decodes a file with opj_decompress, of the same library compiled for
// this machine by somebody else.
func second(t *testing.T, name string) image.Image {
	t.Helper()
	if _, err := exec.LookPath("opj_decompress"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("opj_decompress (Debian: libopenjp2-tools) not found, and CI=true")
		}
		t.Skip("opj_decompress (Debian: libopenjp2-tools) not found")
	}
	out := filepath.Join(t.TempDir(), "out.png")
	if msg, err := exec.CommandContext(t.Context(), "opj_decompress", "-i", name, "-o", out).CombinedOutput(); err != nil {
		t.Fatalf("opj_decompress: %v\n%s", err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestSecondDecoder compares every sample with what opj_decompress makes of it.
func TestSecondDecoder(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			want := second(t, s.path())
			tolerance := 0
			switch {
			case s.subsampling != nil:
				tolerance = 3 // it rounds its conversion towards zero, with shorter factors
			case s.bits > 8:
				tolerance = 1 // PNG has sixteen bits; color.Model cuts them off
			}
			m := decode(t, s.read(t))
			compare(t, m, tolerance, func(x, y int) color.NRGBA {
				if s.name == "chroma-420-offset" && (x == 0 || y == 0) {
					return at(m, x, y) // it has no chrominance for these and takes 0, which is deep green
				}
				c := at(want, x, y)
				c.A = 0xFF // it takes a further component for an opacity
				return c
			})
		})
	}
}

// portrait returns the picture in DG2 of the document of BSI TR-03105-5.
func portrait(t testing.TB) face.Image {
	t.Helper()
	b, err := os.ReadFile(vector(t, "bsi-reference-dataset/Datagroup2.bin"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := lds.ParseDG2(b)
	if err != nil {
		t.Fatal(err)
	}
	img, ok := d.Portrait()
	if !ok || img.Codec != face.JPEG2000 {
		t.Fatalf("portrait %v, %v", ok, img.Codec)
	}
	return img
}

// vector returns the path of published data that may not be copied here.
func vector(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("CHAMTHE_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "vectors")
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("test vectors %s not found, and CI=true; set CHAMTHE_VECTORS to their folder", name)
		}
		t.Skipf("test vectors %s not found; set CHAMTHE_VECTORS to their folder", name)
	}
	return path
}

// referencePixels is the SHA-256 of the samples, row by row, that opj_decompress
// 2.5.0 (Debian, amd64) gives for the portrait of the reference data set.
const referencePixels = "cab1a8938eb85e1e519e0f6a13b7213fd9857b675d2b56de36c566201b8bb094"

// TestReferenceDataSet decodes the portrait of the document of BSI TR-03105-5.
func TestReferenceDataSet(t *testing.T) {
	t.Parallel()
	img := portrait(t)
	m, err := shared.Decode(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	// The record says 337 by 449: one more reason not to believe it.
	if got := m.Bounds().Size(); got != image.Pt(413, 531) {
		t.Fatalf("size %v", got)
	}
	t.Run("published pixels", func(t *testing.T) {
		h := sha256.New()
		for y := range m.Bounds().Dy() {
			for x := range m.Bounds().Dx() {
				c := at(m, x, y)
				h.Write([]byte{c.R, c.G, c.B})
			}
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != referencePixels {
			t.Errorf("pixels %s, want %s", got, referencePixels)
		}
	})
	t.Run("opj_decompress", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "portrait.jp2")
		if img.Data[0] != 0 {
			name = strings.TrimSuffix(name, "jp2") + "j2k"
		}
		if err := os.WriteFile(name, img.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		want := second(t, name)
		compare(t, m, 0, func(x, y int) color.NRGBA { return at(want, x, y) })
	})
}

// TestLimits: sizes are read and compared before anything is decoded.
func TestLimits(t *testing.T) {
	t.Parallel()
	good := find(t, "colour").read(t)
	edit := func(off int, b ...byte) []byte {
		out := slices.Clone(good)
		copy(out[off:], b)
		return out
	}
	resize := func(w, h uint32) []byte {
		return edit(8, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)...)
	}
	file := jp2(good, colr(enumSRGB))
	code := bytes.Index(file, []byte("jp2c")) - 4
	tests := []struct {
		name string
		data []byte
		err  error
	}{
		{"too wide", resize(face.MaxSide+1, 1), face.ErrTooLarge},
		{"too high", resize(1, face.MaxSide+1), face.ErrTooLarge},
		{"too many pixels", resize(1024, 1537), face.ErrTooLarge},
		{"as large as can be", resize(0xFFFFFFFF, 0xFFFFFFFF), face.ErrTooLarge},
		{"in a file", jp2(resize(1024, 1537), colr(enumSRGB)), face.ErrTooLarge},
		{"no width", resize(0, 43), face.ErrPicture},
		{"offset as wide as the picture", edit(16, 0, 0, 0, 62), face.ErrPicture},
		{"no components", edit(40, 0, 0), face.ErrPicture},
		{"five components", edit(40, 0, 5), face.ErrFormat},
		{"more components than bytes", edit(40, 0xFF, 0xFF), face.ErrPicture},
		{"17 bits", edit(42, 16), face.ErrFormat},
		{"no distance", edit(43, 0), face.ErrPicture},
		{"tiles that take more memory than there is", edit(8, 0, 0, 0, 255, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1), face.ErrPicture},
		{"more tiles than can be numbered", edit(8, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1), face.ErrPicture},
		{"no tile", edit(24, 0, 0, 0, 0), face.ErrPicture},
		{"size cut off", good[:43], face.ErrPicture},
		{"head alone", good[:sizEnd(good)], face.ErrPicture},
		{"half of it", good[:len(good)/2], face.ErrPicture},
		{"half of a file", file[:len(file)/2], face.ErrPicture},
		{"file without a codestream", file[:code], face.ErrPicture},
		{"file of a signature", file[:12], face.ErrPicture},
		{"box longer than the file", append(slices.Clone(file[:12]), 0x7F, 0xFF, 0xFF, 0xFF, 'f', 't', 'y', 'p'), face.ErrPicture},
		{"box shorter than its header", append(slices.Clone(file[:12]), 0, 0, 0, 7, 'f', 't', 'y', 'p'), face.ErrPicture},
		{"box with half of a long length", append(slices.Clone(file[:12]), 0, 0, 0, 1, 'j', 'p', '2', 'c', 0, 0), face.ErrPicture},
		{"box with an absurd length", append(slices.Clone(file[:12]), 0, 0, 0, 1, 'f', 't', 'y', 'p', 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF), face.ErrPicture},
		{"neither", []byte("GIF89a"), face.ErrFormat},
		{"nothing", nil, face.ErrFormat},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// The record's word does not count.
			m, err := shared.Decode(t.Context(), face.Image{Codec: face.JPEG2000, Width: 1, Height: 1, Data: tt.data})
			if !errors.Is(err, tt.err) || m != nil {
				t.Errorf("picture %v, error %v, want %v", m != nil, err, tt.err)
			}
		})
	}
	t.Run("smaller limits", func(t *testing.T) {
		t.Parallel()
		for _, limits := range []picture.Limits{{Side: sampleW - 1}, {Pixels: sampleW*sampleH - 1}} {
			d := picture.New(&picture.Config{Limits: limits}) // compiles nothing
			if _, err := d.Decode(t.Context(), jp2k(good)); !errors.Is(err, face.ErrTooLarge) {
				t.Errorf("%+v: %v", limits, err)
			}
		}
	})
}

// sizEnd is where the segment of sizes ends.
func sizEnd(code []byte) int { return 4 + int(binary.BigEndian.Uint16(code[4:])) }

// TestLongBoxes: the length of a box may be in eight bytes, or be left open.
func TestLongBoxes(t *testing.T) {
	t.Parallel()
	s := find(t, "colour")
	code := s.read(t)
	file := jp2(code, colr(enumSRGB))
	head := file[:len(file)-len(code)-8]
	long := binary.BigEndian.AppendUint64([]byte{0, 0, 0, 1, 'j', 'p', '2', 'c'}, uint64(16+len(code)))
	for name, boxHead := range map[string][]byte{
		"eight bytes": long,
		"to the end":  {0, 0, 0, 0, 'j', 'p', '2', 'c'},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, decode(t, slices.Concat(head, boxHead, code)), 0, s.plain)
		})
	}
}

// TestLargest: what the limits allow fits into the sandbox, in whatever form. The
// pictures are of one colour, which makes them small files; CHAMTHE_LARGEST=1
// asks for noise as well, which is the worst, and takes opj_compress and time.
func TestLargest(t *testing.T) {
	t.Parallel()
	for _, l := range largest() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			code, err := os.ReadFile(l.path())
			if err != nil {
				t.Fatal(err)
			}
			if got := decode(t, code).Bounds().Size(); got != image.Pt(largestW, largestH) {
				t.Errorf("size %v", got)
			}
		})
	}
	if os.Getenv("CHAMTHE_LARGEST") == "" {
		return
	}
	rnd := rand.NewChaCha8([32]byte{1})
	for _, l := range largest() {
		t.Run(l.name+", noise", func(t *testing.T) {
			raw := make([]byte, largestW*largestH*l.bytes)
			_, _ = rnd.Read(raw)
			l.compress(t, raw, filepath.Join(t.TempDir(), "out.j2k"), func(code []byte) {
				if got := decode(t, code).Bounds().Size(); got != image.Pt(largestW, largestH) {
					t.Errorf("size %v", got)
				}
			})
		})
	}
}

// TestMutated changes bytes of pictures: an error that is of the picture, or
// some picture of bearable size, and the next one is decoded as if nothing had
// been. CHAMTHE_MUTATIONS sets how many.
func TestMutated(t *testing.T) {
	t.Parallel()
	n := 200
	if s := os.Getenv("CHAMTHE_MUTATIONS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	rnd := rand.New(rand.NewPCG(8, 4))
	list := samples()
	var decoded, refused int
	for i := range n {
		s := list[i%len(list)]
		data := s.read(t)
		if i%2 == 1 {
			data = jp2(data, colr([]uint32{enumSRGB, enumGrey, enumSYCC}[rnd.IntN(3)]))
		}
		for range 1 + rnd.IntN(4) {
			at := rnd.IntN(len(data))
			if rnd.IntN(2) == 0 {
				at = rnd.IntN(min(len(data), 200)) // headers are where it matters
			}
			data[at] = byte(rnd.Uint32())
		}
		if rnd.IntN(8) == 0 {
			data = data[:rnd.IntN(len(data))]
		}
		if check(t, data) {
			decoded++
		} else {
			refused++
		}
	}
	t.Logf("%d decoded, %d refused", decoded, refused)
	if decoded == 0 || refused == 0 {
		t.Error("the mutations are all of one kind")
	}
	s := find(t, "colour")
	compare(t, decode(t, s.read(t)), 0, s.plain)
}

// check decodes what anybody may have made, and reports whether it gave a
// picture.
func check(t *testing.T, data []byte) bool {
	t.Helper()
	m, err := shared.Decode(t.Context(), jp2k(data))
	if err != nil {
		if m != nil {
			t.Error("a picture with an error")
		}
		if !errors.Is(err, face.ErrFormat) && !errors.Is(err, face.ErrTooLarge) && !errors.Is(err, face.ErrPicture) {
			t.Errorf("error %v", err)
		}
		return false
	}
	if size := m.Bounds().Size(); size.X < 1 || size.Y < 1 || size.X > face.MaxSide || size.Y > face.MaxSide || size.X*size.Y > face.MaxPixels {
		t.Errorf("size %v", size)
	}
	return true
}

// TestInterpreted: a system for which wazero has no compiler shows the same
// pictures.
func TestInterpreted(t *testing.T) {
	t.Parallel()
	d := picture.Interpreted(nil)
	defer closing(t, d)
	data := find(t, "colour-lossy").read(t)
	m, err := d.Decode(t.Context(), jp2k(data))
	if err != nil {
		t.Fatal(err)
	}
	want := decode(t, data)
	compare(t, m, 0, func(x, y int) color.NRGBA { return at(want, x, y) })
}

func closing(t testing.TB, d *picture.Decoder) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestTime: a picture that takes too long is left, and so is one that nobody
// waits for any more; the decoder is as good as new after that.
func TestTime(t *testing.T) {
	t.Parallel()
	img := portrait(t)
	gone := errors.New("the desk has gone on")
	d := picture.Interpreted(&picture.Config{Limits: picture.Limits{Time: time.Millisecond}})
	defer closing(t, d)
	if err := d.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, err := d.Decode(t.Context(), img); !errors.Is(err, face.ErrTooLarge) || m != nil {
		t.Errorf("a portrait that is interpreted takes a second or more: %v", err)
	}

	patient := picture.Interpreted(nil)
	defer closing(t, patient)
	if err := patient.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, gone)
	defer cancel()
	if m, err := patient.Decode(ctx, img); !errors.Is(err, gone) || m != nil {
		t.Errorf("nobody waits: %v", err)
	}
	if m, err := patient.Decode(ctx, img); !errors.Is(err, gone) || m != nil {
		t.Errorf("nobody waits, and it has not begun: %v", err)
	}
	s := find(t, "grey")
	m, err := patient.Decode(t.Context(), jp2k(s.read(t)))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, m, 0, s.plain)
}

// TestPortrait: only a photo with the hash that was signed is decoded.
func TestPortrait(t *testing.T) {
	t.Parallel()
	doc := inspecttest.New(t, "cccd")
	r, err := inspect.Run(t.Context(), doc.Card(t), doc.Access(t), &inspect.Config{At: time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC), Trust: doc.Pool(t), Photo: true})
	if err != nil {
		t.Fatal(err)
	}
	m, err := shared.Portrait(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := picture.PNG(m)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, shown, 0, func(x, y int) color.NRGBA { return at(m, x, y) })

	for name, tt := range map[string]struct {
		report *inspect.Report
		err    error
	}{
		"no report":        {nil, picture.ErrNoPhoto},
		"no photo":         {&inspect.Report{}, picture.ErrNoPhoto},
		"hash not checked": {&inspect.Report{Photo: r.Photo}, picture.ErrUnverified},
	} {
		if m, err := shared.Portrait(t.Context(), tt.report); !errors.Is(err, tt.err) || m != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestJPEG(t *testing.T) {
	t.Parallel()
	m := image.NewGray(image.Rect(0, 0, 40, 30))
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	d := picture.New(nil) // is not compiled for this
	got, err := d.Decode(t.Context(), jp2k(b.Bytes()))
	if err != nil || got.Bounds() != m.Bounds() {
		t.Errorf("%v", err)
	}
	if _, err := d.Decode(t.Context(), jp2k(b.Bytes()[:100])); !errors.Is(err, face.ErrPicture) {
		t.Errorf("cut off: %v", err)
	}
}

// TestClose: several wait for their turn, then the decoder is closed.
func TestClose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := picture.New(&picture.Config{CacheDir: dir})
	s := find(t, "grey")
	data := s.read(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			m, err := d.Decode(t.Context(), jp2k(data))
			if err != nil {
				t.Error(err)
				return
			}
			compare(t, m, 0, s.plain)
		})
	}
	wg.Wait()
	for range 2 {
		closing(t, d)
	}
	if _, err := d.Decode(t.Context(), jp2k(data)); !errors.Is(err, picture.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := d.Warm(t.Context()); !errors.Is(err, picture.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	closing(t, picture.New(nil)) // that was never used

	// The next start of the program finds what was compiled.
	files := 0
	err := filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files++
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files in the cache, %v", files, err)
	}
	d = picture.New(&picture.Config{CacheDir: dir})
	defer closing(t, d)
	m, err := d.Decode(t.Context(), jp2k(data))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, m, 0, s.plain)

	d = picture.New(&picture.Config{CacheDir: filepath.Join(s.path(), "below a file")})
	defer closing(t, d)
	if _, err := d.Decode(t.Context(), jp2k(data)); err == nil || errors.Is(err, face.ErrPicture) {
		t.Errorf("cache that cannot be: %v", err)
	}
}

// TestModule: what is embedded is what build.sh built.
func TestModule(t *testing.T) {
	t.Parallel()
	line, err := os.ReadFile(filepath.Join("openjpeg", "openjpeg.wasm.sha256"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(picture.Module)
	if want, _, _ := strings.Cut(string(line), " "); hex.EncodeToString(sum[:]) != want {
		t.Error("openjpeg.wasm does not have the checksum beside it")
	}
}

func seeds(f *testing.F) {
	for _, s := range samples() {
		code := s.read(f)
		f.Add(code)
		f.Add(jp2(code, colr(enumSYCC)))
	}
}

func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) { check(t, data) })
}

func FuzzReadSize(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if face.Detect(data) != face.JPEG2000 {
			return
		}
		w, h, n, err := picture.ReadSize(data)
		if err != nil {
			if w != 0 || h != 0 || n != 0 || (!errors.Is(err, face.ErrPicture) && !errors.Is(err, face.ErrFormat)) {
				t.Errorf("%d by %d, %d components, error %v", w, h, n, err)
			}
			return
		}
		if w == 0 || h == 0 || n < 1 || n > 4 {
			t.Errorf("%d by %d, %d components", w, h, n)
		}
	})
}

// BenchmarkDecode decodes the portrait of the reference data set in a new
// instance; "cold" compiles the sandbox as well.
func BenchmarkDecode(b *testing.B) {
	img := portrait(b)
	run := func(d *picture.Decoder) {
		if _, err := d.Decode(b.Context(), img); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("warm", func(b *testing.B) {
		d := picture.New(nil)
		defer closing(b, d)
		run(d)
		b.ReportAllocs()
		for b.Loop() {
			run(d)
		}
	})
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			d := picture.New(nil)
			run(d)
			closing(b, d)
		}
	})
	b.Run("interpreted", func(b *testing.B) {
		d := picture.Interpreted(nil)
		defer closing(b, d)
		for b.Loop() {
			run(d)
		}
	})
	b.Run("PNG", func(b *testing.B) {
		d := picture.New(nil)
		defer closing(b, d)
		m, err := d.Decode(b.Context(), img)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := picture.PNG(m); err != nil {
				b.Fatal(err)
			}
		}
	})
}
