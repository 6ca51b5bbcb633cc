package picture

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/color"

	"github.com/chamthe/chamthe/icao/face"
)

// Colour spaces, as the library numbers them (openjpeg.h, COLOR_SPACE). What is
// not named here is told by the number of components.
const (
	spaceGrey  = 2
	spaceSYCC  = 3
	spaceESYCC = 4
	spaceCMYK  = 5
)

// What a component is (ISO/IEC 15444-1, I.5.3.6, channel definition). A
// premultiplied opacity is left out: the colours are then those of the picture
// on a black ground.
const (
	notAlpha = 0
	opacity  = 1
)

// image puts the components together: an [*image.Gray], or an [*image.NRGBA] if
// there are colours or an opacity. Samples are scaled to eight bits, and those
// of a component with fewer of them are repeated.
func (p planes) image() (image.Image, error) {
	var colours []component
	var alpha *component
	for i, c := range p.components {
		switch {
		case c.alpha == notAlpha:
			colours = append(colours, c)
		case c.alpha == opacity && alpha == nil:
			alpha = &p.components[i]
		}
	}
	if len(colours) == 0 {
		return nil, fmt.Errorf("%w: no colour", face.ErrPicture)
	}
	sycc := false
	switch p.space {
	case spaceESYCC, spaceCMYK:
		return nil, fmt.Errorf("%w: colour space", face.ErrFormat)
	case spaceGrey:
		colours = colours[:1]
	case spaceSYCC:
		sycc = len(colours) >= 3
	default:
		// A bare codestream does not name its colour space. Nobody subsamples two
		// of three components that are not chrominance.
		sycc = len(colours) == 3 && colours[1].dx != colours[0].dx
	}
	if len(colours) < 3 {
		colours = colours[:1] // the second one of two is something that was not said
	}

	w, h := int(p.width), int(p.height)
	bounds := image.Rect(0, 0, w, h)
	if len(colours) == 1 && alpha == nil {
		m := image.NewGray(bounds)
		row := p.rows(colours[0])
		for y := range h {
			row(y, m.Pix[y*m.Stride:][:w], 1)
		}
		return m, nil
	}
	m := image.NewNRGBA(bounds)
	for i := range 3 {
		row := p.rows(colours[min(i, len(colours)-1)])
		for y := range h {
			row(y, m.Pix[y*m.Stride+i:], 4)
		}
	}
	if sycc {
		for at := 0; at < len(m.Pix); at += 4 {
			m.Pix[at], m.Pix[at+1], m.Pix[at+2] = color.YCbCrToRGB(m.Pix[at], m.Pix[at+1], m.Pix[at+2])
		}
	}
	if alpha == nil {
		for at := 3; at < len(m.Pix); at += 4 {
			m.Pix[at] = 0xFF
		}
		return m, nil
	}
	row := p.rows(*alpha)
	for y := range h {
		row(y, m.Pix[y*m.Stride+3:], 4)
	}
	return m, nil
}

// rows returns a function that writes row y of the picture, one byte of c for
// each pixel, to every step-th byte of dst.
func (p planes) rows(c component) func(y int, dst []byte, step int) {
	// The sample for a point of the reference grid is the last one at or before it
	// (ISO/IEC 15444-1, B.2); the first column and row may have none.
	nearest := func(at, origin, distance, n uint32) int {
		first := (uint64(origin) + uint64(distance) - 1) / uint64(distance)
		i := (uint64(origin) + uint64(at)) / uint64(distance)
		if i < first {
			return 0
		}
		return int(min(i-first, uint64(n-1)))
	}
	columns := make([]int, p.width)
	for x := range columns {
		columns[x] = 4 * nearest(uint32(x), p.x0, c.dx, c.width)
	}
	top := int32(1)<<c.bits - 1
	offset := int32(0)
	if c.signed {
		offset = int32(1) << (c.bits - 1)
	}
	return func(y int, dst []byte, step int) {
		line := c.samples[4*int(c.width)*nearest(uint32(y), p.y0, c.dy, c.height):]
		for x, at := range columns {
			v := int32(binary.LittleEndian.Uint32(line[at:]))
			// No sum of a sample out of range may overflow.
			v = min(max(v, -offset), top-offset) + offset
			if c.bits != 8 {
				v = int32((int64(v)*0xFF + int64(top)/2) / int64(top))
			}
			dst[x*step] = byte(v)
		}
	}
}
