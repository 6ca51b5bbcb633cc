package screen

import (
	"image"
	"image/color"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"github.com/chamthe/chamthe/ui/model"
	"github.com/chamthe/chamthe/ui/theme"
)

// A frame is one drawing of the screen. What stood in the frame before, and is the same
// now, is used again, moved where it has to be: drivers keep the picture of a text with
// its object, so that only what changed is drawn.
type frame struct {
	pal     *theme.Palette
	large   bool
	objects []fyne.CanvasObject
	prev    stock // of the frame before: to take from
	next    stock
}

// A stock is objects by what they show.
type stock struct {
	texts  map[textKey][]*canvas.Text
	icons  map[string][]*canvas.Image
	rects  []*canvas.Rectangle
	photos map[image.Image]*canvas.Image
}

func newStock() stock {
	return stock{texts: map[textKey][]*canvas.Text{}, icons: map[string][]*canvas.Image{}, photos: map[image.Image]*canvas.Image{}}
}

type textKey struct {
	text string
	size float32
	bold bool
	col  color.NRGBA
}

// begin starts the next frame.
func (f *frame) begin(pal *theme.Palette, large bool) {
	f.pal, f.large = pal, large
	f.prev, f.next = f.next, newStock()
	if f.prev.texts == nil {
		f.prev = newStock()
	}
	f.objects = nil
}

func (f *frame) add(o fyne.CanvasObject, x, y, w, h float32) {
	// Move and Resize of what has not moved would draw it anew.
	if p := (fyne.Position{X: x, Y: y}); o.Position() != p {
		o.Move(p)
	}
	if s := (fyne.Size{Width: w, Height: h}); o.Size() != s {
		o.Resize(s)
	}
	f.objects = append(f.objects, o)
}

// rect draws a filled rectangle, with a border unless stroke is nil.
func (f *frame) rect(x, y, w, h float32, fill color.Color, stroke color.Color, thick, radius float32) {
	var r *canvas.Rectangle
	if n := len(f.prev.rects); n > 0 {
		r = f.prev.rects[0]
		f.prev.rects = f.prev.rects[1:]
	} else {
		r = &canvas.Rectangle{}
	}
	if stroke == nil {
		thick = 0
	}
	r.FillColor, r.StrokeColor, r.StrokeWidth, r.CornerRadius = fill, stroke, thick, radius
	f.next.rects = append(f.next.rects, r)
	f.add(r, x, y, w, h)
}

// panel draws a large surface with a thin border. Its corners are square: round ones
// cost the software driver, which desks without a graphics card have, as much as all
// the rest of the frame.
func (f *frame) panel(x, y, w, h float32, fill, line color.Color) {
	if fill != color.Color(f.pal.Background) {
		f.rect(x, y, w, h, fill, nil, 0, 0)
	}
	f.rect(x, y, w, 1, line, nil, 0, 0)
	f.rect(x, y+h-1, w, 1, line, nil, 0, 0)
	f.rect(x, y, 1, h, line, nil, 0, 0)
	f.rect(x+w-1, y, 1, h, line, nil, 0, 0)
}

// A style is how text looks.
type style struct {
	size theme.Size
	bold bool
	col  color.NRGBA
}

func (f *frame) points(s theme.Size) float32 { return s.Points(f.large) }

// lineHeight is the distance of two lines: on the grid's half units.
func (f *frame) lineHeight(s theme.Size) float32 {
	h := f.points(s) * 1.36
	n := float32(int(h/2)) * 2
	if n < h {
		n += 2
	}
	return n
}

func (f *frame) width(s string, st style) float32 {
	return fyne.MeasureText(s, f.points(st.size), fyne.TextStyle{Bold: st.bold}).Width
}

// line draws one line and returns its width.
func (f *frame) line(x, y float32, s string, st style) float32 {
	if s == "" {
		return 0
	}
	size := f.points(st.size)
	k := textKey{s, size, st.bold, st.col}
	var t *canvas.Text
	if have := f.prev.texts[k]; len(have) > 0 {
		t = have[0]
		f.prev.texts[k] = have[1:]
	} else {
		t = canvas.NewText(s, st.col)
		t.TextSize = size
		t.TextStyle.Bold = st.bold
	}
	f.next.texts[k] = append(f.next.texts[k], t)
	m := fyne.MeasureText(s, size, t.TextStyle)
	f.add(t, x, y, m.Width, m.Height)
	return m.Width
}

// fit draws one line, cut with an ellipsis where it is too long, and returns its width.
func (f *frame) fit(x, y, w float32, s string, st style) float32 {
	return f.line(x, y, f.cut(s, w, st), st)
}

func (f *frame) cut(s string, w float32, st style) string {
	if f.width(s, st) <= w {
		return s
	}
	r := []rune(s)
	lo, hi := 0, len(r)
	for lo < hi { // the longest that fits with the ellipsis
		mid := (lo + hi + 1) / 2
		if f.width(strings.TrimSpace(string(r[:mid]))+"…", st) <= w {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return strings.TrimSpace(string(r[:lo])) + "…"
}

// wrap breaks text into lines at spaces; at most limit of them unless that is 0, the
// last one cut.
func (f *frame) wrap(s string, w float32, st style, limit int) []string {
	var lines []string
	for _, para := range strings.Split(s, "\n") {
		line := ""
		for _, word := range strings.Fields(para) {
			try := word
			if line != "" {
				try = line + " " + word
			}
			if line != "" && f.width(try, st) > w {
				lines = append(lines, line)
				line = word
				continue
			}
			line = try
		}
		lines = append(lines, line)
	}
	if limit > 0 && len(lines) > limit {
		rest := strings.Join(lines[limit-1:], " ")
		lines = append(lines[:limit-1], rest)
	}
	for i := range lines {
		lines[i] = f.cut(lines[i], w, st)
	}
	return lines
}

// para draws text in lines and returns how high it is.
func (f *frame) para(x, y, w float32, s string, st style, limit int) float32 {
	h := float32(0)
	if s == "" {
		return 0
	}
	for _, l := range f.wrap(s, w, st, limit) {
		f.line(x, y+h, l, st)
		h += f.lineHeight(st.size)
	}
	return h
}

// icon draws an icon in a square of the given side.
func (f *frame) icon(x, y, side float32, i model.Icon, fore, back color.NRGBA) {
	res := icon(i, fore, back)
	if res == nil {
		return
	}
	f.picture(x, y, side, side, res)
}

func (f *frame) picture(x, y, w, h float32, res fyne.Resource) {
	var img *canvas.Image
	if have := f.prev.icons[res.Name()]; len(have) > 0 {
		img = have[0]
		f.prev.icons[res.Name()] = have[1:]
	} else {
		img = canvas.NewImageFromResource(res)
		img.FillMode = canvas.ImageFillContain
	}
	f.next.icons[res.Name()] = append(f.next.icons[res.Name()], img)
	f.add(img, x, y, w, h)
}

// photo draws a photo; fresh says that it was not in the frame before.
func (f *frame) photo(x, y, w, h float32, p image.Image) (img *canvas.Image, fresh bool) {
	img, ok := f.prev.photos[p]
	if !ok {
		img = canvas.NewImageFromImage(p)
		img.FillMode = canvas.ImageFillContain
		img.ScaleMode = canvas.ImageScaleFastest // it was scaled when it was decoded
	}
	f.next.photos[p] = img
	f.add(img, x, y, w, h)
	return img, !ok
}
