package screen_test

import (
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"github.com/chamthe/chamthe/ui/i18n"
	"github.com/chamthe/chamthe/ui/internal/scene"
	"github.com/chamthe/chamthe/ui/model"
	"github.com/chamthe/chamthe/ui/screen"
	"github.com/chamthe/chamthe/ui/theme"
)

var update = flag.Bool("update", false, "write the golden images anew")

// desk is a model with its screen, on a canvas without a display.
type desk struct {
	m    *model.Model
	s    *screen.Screen
	w    fyne.Window
	sent []model.Effect
	late time.Duration // since the scene's time
}

func (d *desk) now() time.Time { return scene.Now.Add(d.late) }

func newDesk(t testing.TB, m *model.Model, size fyne.Size) *desk {
	t.Helper()
	d := &desk{m: m}
	d.s = screen.New(d)
	d.w = test.NewTempWindow(t, nil)
	d.w.SetPadded(false)
	d.s.Attach(d.w.Canvas())
	d.w.Resize(size)
	d.show()
	return d
}

func (d *desk) show() {
	v := d.m.View(d.now())
	isDark := v.Theme == "dark"
	th := theme.Theme{Dark: isDark, Large: v.Large}
	if fyne.CurrentApp().Settings().Theme() != fyne.Theme(th) {
		fyne.CurrentApp().Settings().SetTheme(th)
	}
	d.s.Set(v, isDark)
}

func (d *desk) send(msg model.Message) {
	d.sent = append(d.sent, d.m.Update(d.now(), msg)...)
	d.show()
}

func (d *desk) Press(a model.Action)            { d.send(model.Press{Action: a}) }
func (d *desk) Edit(f model.Field, text string) { d.send(model.Edit{Field: f, Text: text}) }
func (d *desk) Pending() bool                   { return d.m.Pending(d.now()) }

func (d *desk) Type(r rune) bool {
	swallow, todo := d.m.Type(d.now(), r)
	d.sent = append(d.sent, todo...)
	if swallow {
		d.show()
	}
	return swallow
}

// size of the golden images: that of the screens most desks have.
var size = fyne.NewSize(1366, 768)

// long has the race detector look at everything: minutes.
var long = os.Getenv("CHAMTHE_LONG") == "1"

// TestGolden compares every scene in both languages with its picture. The race detector
// makes drawing ten times as slow and has nothing to find in it: with it, a sample is
// compared, some scenes in this language and some in that.
func TestGolden(t *testing.T) {
	test.NewTempApp(t)
	for i, sc := range scene.All() {
		for j, l := range i18n.Langs() {
			if raceDetector && !long && (i+12*j)%24 != 0 {
				continue
			}
			name := sc.Name + "." + l.String()
			t.Run(name, func(t *testing.T) {
				d := newDesk(t, sc.Model(l), size)
				compare(t, name, d.w.Canvas().Capture())
			})
		}
	}
}

// TestSmall draws the scenes that hold most in the smallest window.
func TestSmall(t *testing.T) {
	test.NewTempApp(t)
	for _, sc := range scene.All() {
		if raceDetector && !long && sc.Name != "confirm-large" {
			continue
		}
		switch sc.Name {
		case "confirm", "confirm-mismatch", "confirm-longname", "reading", "ready", "refused-cloned", "confirm-large":
			t.Run(sc.Name, func(t *testing.T) {
				d := newDesk(t, sc.Model(i18n.Vietnamese), screen.Min)
				compare(t, "small-"+sc.Name, d.w.Canvas().Capture())
			})
		}
	}
}

// tolerance is the mean difference of two pictures per pixel and channel, of 255. A
// label that is moved by one pixel makes more.
const tolerance = 0.02

func compare(t *testing.T, name string, got image.Image) {
	t.Helper()
	file := filepath.Join("..", "testdata", "screens", name+".png")
	got = reduce(got)
	if *update {
		write(t, file, got)
		return
	}
	r, err := os.Open(file)
	if err != nil {
		t.Fatalf("%v (make it with -update, and look at it)", err)
	}
	defer r.Close()
	want, err := png.Decode(r)
	if err != nil {
		t.Fatal(err)
	}
	if want.Bounds() != got.Bounds() {
		t.Fatalf("size: got %v, want %v", got.Bounds(), want.Bounds())
	}
	if diff := difference(want, got); diff > tolerance {
		out := filepath.Join(t.ArtifactDir(), name+".png")
		write(t, out, got)
		t.Errorf("mean difference %.4f, want at most %.2f; what was drawn is in %s (-test.artifacts keeps it)", diff, tolerance, out)
	}
}

func write(t *testing.T, file string, img image.Image) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	if err := enc.Encode(f, img); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// difference is the mean of all differences of red, green and blue.
func difference(a, b image.Image) float64 {
	pa, okA := a.(*image.Paletted)
	pb, okB := b.(*image.Paletted)
	if !okA || !okB {
		return 255
	}
	lut := make([]uint32, 256*256)
	for i, ca := range pa.Palette {
		for j, cb := range pb.Palette {
			r1, g1, b1, _ := ca.RGBA()
			r2, g2, b2, _ := cb.RGBA()
			lut[i<<8|j] = apart(r1, r2) + apart(g1, g2) + apart(b1, b2)
		}
	}
	sum := uint64(0)
	for i := range pa.Pix {
		sum += uint64(lut[int(pa.Pix[i])<<8|int(pb.Pix[i])])
	}
	return float64(sum) / float64(3*len(pa.Pix))
}

func apart(a, b uint32) uint32 { return max(a>>8, b>>8) - min(a>>8, b>>8) }

// reduce makes a picture with a palette of its own 256 most frequent colours; the rest,
// which are edges of letters, go to the nearest.
func reduce(img image.Image) *image.Paletted {
	b := img.Bounds()
	src, ok := img.(*image.NRGBA)
	if !ok {
		src = image.NewNRGBA(b)
		draw.Draw(src, b, img, b.Min, draw.Src)
	}
	// Colours in steps of eight have 15 bits: tables do in place of maps.
	count := make([]int, 1<<15)
	for i := 0; i < len(src.Pix); i += 4 {
		count[key(src.Pix[i:i+3])]++
	}
	palette := frequent(count)
	index := make([]int16, 1<<15)
	for i := range index {
		index[i] = -1
	}
	out := image.NewPaletted(image.Rect(0, 0, b.Dx(), b.Dy()), palette)
	for i := 0; i < len(src.Pix); i += 4 {
		k := key(src.Pix[i : i+3])
		if index[k] < 0 {
			index[k] = int16(palette.Index(colour(k)))
		}
		out.Pix[i/4] = uint8(index[k])
	}
	return out
}

// key is a colour in steps of eight, and colour is one in the middle of its step.
func key(p []uint8) int { return int(p[0]>>3)<<10 | int(p[1]>>3)<<5 | int(p[2]>>3) }

func colour(k int) color.RGBA {
	wide := func(v int) uint8 { return uint8(v<<3 | v>>2) }
	return color.RGBA{wide(k >> 10), wide(k >> 5 & 31), wide(k & 31), 0xff}
}

// frequent returns the 256 most frequent colours, in an order that depends on nothing
// else.
func frequent(count []int) color.Palette {
	var keys []int
	for k, n := range count {
		if n > 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b int) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
	var p color.Palette
	for _, k := range keys[:min(256, len(keys))] {
		p = append(p, colour(k))
	}
	return p
}
