package specimen

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"image/jpeg"
	"math"
)

// Size of a portrait in pixels, and the quality that makes it about as large as
// the portraits of real documents (12 to 18 KB).
const (
	PortraitWidth  = 480
	PortraitHeight = 640

	portraitQuality = 45
)

// Portrait draws p: a simple figure under the word MẪU, different for each
// person and the same at every call. It returns a JPEG.
func Portrait(p Person) ([]byte, error) {
	h := fnv.New64a()
	h.Write([]byte(p.ID))
	look := newLook(h.Sum64(), p.Sex)

	img := image.NewRGBA(image.Rect(0, 0, PortraitWidth, PortraitHeight))
	for y := range PortraitHeight {
		for x := range PortraitWidth {
			img.SetRGBA(x, y, look.at(float64(x), float64(y)))
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: portraitQuality}); err != nil {
		return nil, fmt.Errorf("specimen: %w", err)
	}
	return b.Bytes(), nil
}

// Size of a signature in pixels.
const (
	SignatureWidth  = 320
	SignatureHeight = 80
)

// Signature draws a signature that is nobody's: a wave, different for each person
// and the same at every call. It returns a JPEG.
func Signature(p Person) ([]byte, error) {
	h := fnv.New64a()
	h.Write([]byte(p.ID))
	seed := h.Sum64()
	turns, slant := 3+float64(seed%4), float64(seed>>8%16)

	img := image.NewGray(image.Rect(0, 0, SignatureWidth, SignatureHeight))
	for y := range SignatureHeight {
		for x := range SignatureWidth {
			phase := float64(x) / SignatureWidth
			line := SignatureHeight/2 + 24*math.Sin(2*math.Pi*turns*phase)*(1-phase) - slant*(phase-0.5)
			ink := uint8(255)
			if x > 12 && x < SignatureWidth-12 && math.Abs(float64(y)-line) < 3 {
				ink = 40
			}
			img.SetGray(x, y, color.Gray{Y: ink})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 75}); err != nil {
		return nil, fmt.Errorf("specimen: %w", err)
	}
	return b.Bytes(), nil
}

// look is one person's appearance.
type look struct {
	grain               uint32
	skin, hair, clothes color.RGBA
	faceW, faceH        float64
	hairLen             float64
}

func newLook(seed uint64, sex byte) *look {
	pick := func(n uint64) uint64 { // a small number out of the seed
		v := seed % n
		seed = seed/n ^ seed<<7
		return v
	}
	skins := []color.RGBA{{232, 190, 160, 255}, {222, 178, 140, 255}, {205, 160, 122, 255}, {240, 205, 176, 255}}
	hairs := []color.RGBA{{38, 30, 28, 255}, {58, 44, 38, 255}, {120, 116, 114, 255}}
	cloths := []color.RGBA{{52, 84, 130, 255}, {122, 52, 60, 255}, {60, 104, 78, 255}, {92, 80, 116, 255}, {70, 70, 78, 255}}
	l := &look{
		skin:    skins[pick(4)],
		hair:    hairs[pick(3)],
		clothes: cloths[pick(5)],
		faceW:   112 + float64(pick(18)),
		faceH:   150 + float64(pick(20)),
		hairLen: 300,
	}
	if sex == 'F' {
		l.hairLen = 430
	}
	l.grain = uint32(seed) | 1
	return l
}

// at is the colour of one pixel: the drawing from front to back, with the grain
// of a camera so that the file is as large as a photograph.
func (l *look) at(x, y float64) color.RGBA {
	const cx, cy = PortraitWidth / 2, 290.0
	dx, dy := x-cx, y-cy
	shade := 1 - 0.10*dx/cx // light from the left

	base := color.RGBA{206, 216, 222, 255} // background
	switch {
	case y > 480 && stroke(x, y):
		base = color.RGBA{196, 60, 56, 255}
	case inside(dx+42, dy+18, 15, 8) || inside(dx-42, dy+18, 15, 8): // eyes
		base = color.RGBA{250, 250, 248, 255}
		if inside(dx+42, dy+18, 7, 7) || inside(dx-42, dy+18, 7, 7) {
			base = color.RGBA{44, 34, 30, 255}
		}
	case math.Abs(dy+44) < 4 && math.Abs(math.Abs(dx)-42) < 22: // brows
		base = l.hair
	case math.Abs(dx-dy/9) < 5 && dy > -10 && dy < 36: // nose
		base = scale(l.skin, 0.86)
	case inside(dx, dy-76, 34, 10): // mouth
		base = color.RGBA{176, 84, 84, 255}
	case dy < -0.52*l.faceH && inside(dx, dy, l.faceW, l.faceH): // fringe
		base = l.hair
	case inside(dx, dy, l.faceW, l.faceH):
		base = scale(l.skin, 1-0.12*(dx*dx)/(l.faceW*l.faceW))
	case inside(dx, dy+24, l.faceW+24, l.faceH+22) && y < l.hairLen:
		base = l.hair
	case math.Abs(dx) < 46 && y > cy && y < 520: // neck
		base = scale(l.skin, 0.9)
	case inside(dx, y-660, 220, 190): // shoulders
		base = l.clothes
	}
	// Grain: a hash of the place, so that it does not depend on the order.
	g := (uint32(x)*2654435761 ^ uint32(y)*2246822519) * l.grain
	g ^= g >> 15
	grain := float64(g%13) - 6
	return color.RGBA{
		level(float64(base.R)*shade + grain),
		level(float64(base.G)*shade + grain),
		level(float64(base.B)*shade + grain),
		255,
	}
}

// stroke reports whether a pixel belongs to the word MẪU across the foot of the
// picture.
func stroke(x, y float64) bool {
	const width = 7
	for _, s := range [...][4]float64{
		{90, 610, 90, 540}, {90, 540, 122, 585}, {122, 585, 154, 540}, {154, 540, 154, 610}, // M
		{196, 610, 230, 540}, {230, 540, 264, 610}, {208, 586, 252, 586}, // A
		{212, 528, 230, 512}, {230, 512, 248, 528}, // circumflex
		{208, 502, 220, 492}, {220, 492, 238, 502}, {238, 502, 252, 490}, // tilde
		{306, 540, 306, 592}, {306, 592, 324, 610}, {324, 610, 352, 610}, {352, 610, 370, 592}, {370, 592, 370, 540}, // U
	} {
		if x < min(s[0], s[2])-width || x > max(s[0], s[2])+width || y < min(s[1], s[3])-width || y > max(s[1], s[3])+width {
			continue // too far away to measure
		}
		if segmentDistance(x, y, s) < width {
			return true
		}
	}
	return false
}

// segmentDistance is the distance of a point from a segment {x1, y1, x2, y2}.
func segmentDistance(x, y float64, s [4]float64) float64 {
	vx, vy := s[2]-s[0], s[3]-s[1]
	t := ((x-s[0])*vx + (y-s[1])*vy) / (vx*vx + vy*vy)
	t = math.Max(0, math.Min(1, t))
	return math.Hypot(x-s[0]-t*vx, y-s[1]-t*vy)
}

// inside reports whether (dx, dy) lies in the ellipse with half axes a and b.
func inside(dx, dy, a, b float64) bool {
	dx, dy = dx/a, dy/b
	return dx*dx+dy*dy < 1
}

func scale(c color.RGBA, f float64) color.RGBA {
	return color.RGBA{level(float64(c.R) * f), level(float64(c.G) * f), level(float64(c.B) * f), 255}
}

func level(v float64) uint8 { return uint8(max(0, min(255, v))) }
