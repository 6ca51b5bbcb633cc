package face

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
)

var (
	// ErrTooLarge reports a picture with more pixels, or more passes over
	// them, than a portrait has.
	ErrTooLarge = errors.New("face: picture too large")
	// ErrPicture reports a picture that cannot be decoded.
	ErrPicture = errors.New("face: malformed picture")
)

// Limits of a picture that is decoded. A portrait of a travel document has
// about 413 by 531 pixels; the limits leave room for four times the resolution
// and keep a hostile picture below 100 MiB of memory.
const (
	MaxSide   = 4096
	MaxPixels = 4 << 20

	// maxScans limits the passes of a progressive JPEG. Each may touch every
	// pixel and cost a few bytes only, so that a small file could keep a
	// processor busy for minutes. Encoders write about ten.
	maxScans = 64
)

// DecodeJPEG decodes a JPEG picture. Size and number of passes are checked
// before anything is decoded. Errors: [ErrFormat] if img is not a JPEG,
// [ErrTooLarge], [ErrPicture]. agent/picture decodes JPEG 2000 as well.
func DecodeJPEG(img Image) (image.Image, error) {
	if Detect(img.Data) != JPEG {
		return nil, ErrFormat
	}
	cfg, err := jpeg.DecodeConfig(bytes.NewReader(img.Data))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	if cfg.Width < 1 || cfg.Height < 1 {
		return nil, ErrPicture
	}
	if cfg.ColorModel == color.CMYKModel {
		return nil, fmt.Errorf("%w: four colour components", ErrPicture) // for printing presses
	}
	if cfg.Width > MaxSide || cfg.Height > MaxSide || cfg.Width*cfg.Height > MaxPixels {
		return nil, ErrTooLarge
	}
	// A start of scan marker cannot occur inside compressed data, where FF is
	// followed by 00; what is counted too much is in application segments.
	if bytes.Count(img.Data, []byte{0xFF, 0xDA}) > maxScans {
		return nil, ErrTooLarge
	}
	m, err := jpeg.Decode(bytes.NewReader(img.Data))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	return m, nil
}
