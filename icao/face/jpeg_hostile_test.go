package face_test

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"testing"

	"github.com/chamthe/chamthe/icao/face"
)

// FuzzDecodeJPEG: a picture is one of bearable size, or an error that is of the
// picture.
func FuzzDecodeJPEG(f *testing.F) {
	f.Add(portrait(f, 16, 16))
	f.Add(portrait(f, 33, 9))
	var grey bytes.Buffer
	if err := jpeg.Encode(&grey, image.NewGray(image.Rect(0, 0, 8, 8)), &jpeg.Options{Quality: 20}); err != nil {
		f.Fatal(err)
	}
	f.Add(grey.Bytes())
	f.Add(jp2)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := face.DecodeJPEG(face.Image{Codec: face.JPEG, Data: data})
		if err != nil {
			if m != nil || !errors.Is(err, face.ErrFormat) && !errors.Is(err, face.ErrTooLarge) && !errors.Is(err, face.ErrPicture) {
				t.Errorf("picture %v, error %v", m != nil, err)
			}
			return
		}
		if size := m.Bounds().Size(); size.X < 1 || size.Y < 1 || size.X > face.MaxSide || size.Y > face.MaxSide || size.X*size.Y > face.MaxPixels {
			t.Errorf("size %v", size)
		}
	})
}
