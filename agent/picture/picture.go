package picture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"time"

	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/result"
)

var (
	// ErrNoPhoto reports a report without a portrait; its PhotoNote says why.
	ErrNoPhoto = errors.New("picture: no photo was read")
	// ErrUnverified reports a portrait whose hash is not the signed one. It is
	// not decoded.
	ErrUnverified = errors.New("picture: photo is not what was signed")
	// ErrClosed reports a Decoder after its Close.
	ErrClosed = errors.New("picture: decoder is closed")
)

// Limits of a JPEG 2000 picture. A portrait of a travel document has about 413
// by 531 pixels. Zero fields take the defaults. A JPEG has the limits of
// [face.DecodeJPEG].
type Limits struct {
	// Side is the greatest width and height in pixels, by default and at most
	// [face.MaxSide].
	Side int
	// Pixels is their greatest product, by default and at most [MaxPixels].
	Pixels int
	// Time is how long one picture may take; by default [DefaultTime].
	Time time.Duration
}

const (
	// MaxPixels is the most that fits into the memory of the sandbox in any form:
	// while it decodes, a sample is held up to twice, in four bytes.
	MaxPixels = 3 << 19
	// DefaultTime is many times what the largest picture takes, where the sandbox
	// is compiled; a portrait is done in it where it has to be interpreted.
	DefaultTime = 15 * time.Second
)

// Config configures a [Decoder]; nil and the zero value are good.
type Config struct {
	Limits Limits
	// CacheDir is a folder where the compiled sandbox is kept for the next start
	// of the program, made if it does not exist. It holds machine code that will
	// be run: nobody else may be able to write to it. Empty for none.
	CacheDir string
}

// A Decoder decodes pictures, one at a time, so that what many of them need
// together is bounded. It is safe for concurrent use and holds no picture. The
// sandbox is compiled when the first JPEG 2000 picture comes, or by [Decoder.Warm].
type Decoder struct {
	limits    Limits
	cacheDir  string
	interpret bool // for tests: as where there is no compiler

	// turn holds a token while nobody decodes. Who has taken it owns what is below.
	turn   chan struct{}
	closed bool
	box    *sandbox // nil until it is needed
}

// New returns a Decoder, which starts nothing. Close it when it has decoded
// anything.
func New(cfg *Config) *Decoder {
	if cfg == nil {
		cfg = &Config{}
	}
	d := &Decoder{limits: cfg.Limits, cacheDir: cfg.CacheDir, turn: make(chan struct{}, 1)}
	if d.limits.Side <= 0 || d.limits.Side > face.MaxSide {
		d.limits.Side = face.MaxSide
	}
	if d.limits.Pixels <= 0 || d.limits.Pixels > MaxPixels {
		d.limits.Pixels = MaxPixels
	}
	if d.limits.Time <= 0 {
		d.limits.Time = DefaultTime
	}
	d.turn <- struct{}{}
	return d
}

// Warm compiles the sandbox, so that the first picture does not wait for it.
func (d *Decoder) Warm(ctx context.Context) error {
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.give()
	_, err := d.sandbox(ctx)
	return err
}

// Close waits for the picture that is being decoded and frees the sandbox. A
// second Close does nothing.
func (d *Decoder) Close() error {
	<-d.turn
	defer d.give()
	d.closed = true
	if d.box == nil {
		return nil
	}
	box := d.box
	d.box = nil
	return box.close(context.Background())
}

// Portrait decodes the photo of an inspected document, after a look at the
// report: it must say that DG2 has the hash that was signed. Errors:
// [ErrNoPhoto], [ErrUnverified], and those of [Decoder.Decode].
func (d *Decoder) Portrait(ctx context.Context, r *inspect.Report) (image.Image, error) {
	if r == nil || r.Photo == nil {
		return nil, ErrNoPhoto
	}
	if r.Check(inspect.DG2Integrity).Value != result.Successful {
		return nil, ErrUnverified
	}
	return d.Decode(ctx, *r.Photo)
}

// Decode decodes a picture, whose hash the caller has found to be the signed
// one; [Decoder.Portrait] does both. The result is an [*image.Gray], an
// [*image.NRGBA] or, of a JPEG, what image/jpeg gives. It blocks until the
// picture is done, the time that Limits grants is over, or ctx is done; a JPEG
// is small enough not to be interrupted.
//
// Errors: [face.ErrFormat] for a format or a colour space that is not decoded,
// [face.ErrTooLarge] for too many pixels or too much time, [face.ErrPicture] for
// a picture that cannot be decoded, the cause of ctx, [ErrClosed]. Any other is
// of this machine and not of the picture. None of them holds card data.
func (d *Decoder) Decode(ctx context.Context, img face.Image) (image.Image, error) {
	if err := d.take(ctx); err != nil {
		return nil, err
	}
	defer d.give()
	switch face.Detect(img.Data) {
	case face.JPEG:
		return face.DecodeJPEG(img)
	case face.JPEG2000:
		return d.decodeJPEG2000(ctx, img.Data)
	}
	return nil, face.ErrFormat
}

// PNG encodes a picture for a screen. What a browser or a toolkit is given is
// then of our making; the card's own bytes end here.
func PNG(m image.Image) ([]byte, error) {
	if j, ok := m.(*image.YCbCr); ok { // for which the encoder asks pixel by pixel
		rgb := image.NewRGBA(j.Bounds())
		draw.Draw(rgb, rgb.Bounds(), j, j.Bounds().Min, draw.Src)
		m = rgb
	}
	var b bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestSpeed} // it goes over the loopback
	if err := e.Encode(&b, m); err != nil {
		return nil, fmt.Errorf("picture: encode: %w", err)
	}
	return b.Bytes(), nil
}

func (d *Decoder) decodeJPEG2000(ctx context.Context, data []byte) (image.Image, error) {
	if len(data) > maxMemory {
		return nil, face.ErrTooLarge
	}
	s, err := readSize(data)
	if err != nil {
		return nil, err
	}
	if uint64(s.width) > uint64(d.limits.Side) || uint64(s.height) > uint64(d.limits.Side) ||
		uint64(s.width)*uint64(s.height) > uint64(d.limits.Pixels) {
		return nil, face.ErrTooLarge
	}
	box, err := d.sandbox(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.limits.Time, errTime)
	defer cancel()
	var m image.Image
	err = box.decode(ctx, data, s.jp2, d.limits, func(p planes) (err error) {
		m, err = p.image()
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// errTime reports a picture that took too long.
var errTime = fmt.Errorf("%w: it takes too long", face.ErrTooLarge)

// take waits for this caller's turn.
func (d *Decoder) take(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-d.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *Decoder) give() { d.turn <- struct{}{} }

// sandbox returns the compiled sandbox; whoever calls it has the turn. The end
// of ctx does not interrupt the compiling, which the next picture needs as well.
func (d *Decoder) sandbox(ctx context.Context) (*sandbox, error) {
	if d.closed {
		return nil, ErrClosed
	}
	if d.box == nil {
		box, err := newSandbox(context.WithoutCancel(ctx), d.cacheDir, d.interpret)
		if err != nil {
			return nil, err
		}
		d.box = box
	}
	return d.box, nil
}
