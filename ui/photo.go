package ui

import (
	"bytes"
	"errors"
	"image"
	_ "image/jpeg" // the two kinds of pictures that the agent hands out
	_ "image/png"
)

// Limits of a photo. Those of documents have about 500 by 650 pixels; the screen's box
// has 320 by 427 units, which are twice as many pixels on a fine screen.
const (
	maxSide    = 4096
	photoWidth = 480
)

var errPhoto = errors.New("ui: photo is too large")

// decodePhoto decodes a picture and makes it as small as the screen shows it, so that
// drawing it costs little. It is called outside of Fyne's goroutine.
func decodePhoto(raw []byte) (image.Image, error) {
	c, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxSide || c.Height > maxSide {
		return nil, errPhoto
	}
	img, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return shrink(img, photoWidth), nil
}

// shrink makes a picture at most width pixels wide: each of its pixels is the mean of
// those that it stands for.
func shrink(img image.Image, width int) *image.NRGBA {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if w > width {
		h = max(1, h*width/w)
		w = width
	}
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		y0, y1 := b.Dy()*y/h, max(b.Dy()*(y+1)/h, b.Dy()*y/h+1)
		for x := range w {
			x0, x1 := b.Dx()*x/w, max(b.Dx()*(x+1)/w, b.Dx()*x/w+1)
			var r, g, bl, n uint64
			for sy := y0; sy < y1; sy++ {
				for sx := x0; sx < x1; sx++ {
					cr, cg, cb, _ := img.At(b.Min.X+sx, b.Min.Y+sy).RGBA()
					r, g, bl, n = r+uint64(cr), g+uint64(cg), bl+uint64(cb), n+1
				}
			}
			i := out.PixOffset(x, y)
			out.Pix[i], out.Pix[i+1], out.Pix[i+2], out.Pix[i+3] = uint8(r/n>>8), uint8(g/n>>8), uint8(bl/n>>8), 0xff
		}
	}
	return out
}
