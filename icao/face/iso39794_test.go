package face_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/tlv"
)

func object(tag tlv.Tag, parts ...[]byte) []byte {
	return tlv.Append(nil, tag, slices.Concat(parts...))
}

// number encodes an INTEGER of 0 to 65535.
func number(tag tlv.Tag, n int) []byte {
	b := []byte{0, byte(n >> 8), byte(n)}
	for len(b) > 1 && b[0] == 0 && b[1] < 0x80 {
		b = b[1:]
	}
	return tlv.Append(nil, tag, b)
}

var version39794 = object(0xA0, number(0x80, 3), number(0x81, 2019))

func information(code, width, height int) []byte {
	return object(0xA1, object(0xA0, number(0x80, code)), object(0xA7, number(0x80, width), number(0x81, height)))
}

func flat(parts ...[]byte) []byte {
	return object(0x30, number(0x80, 0), object(0xA1, object(0xA0, object(0xA0, parts...))))
}

func representation(code, width, height int, picture []byte) []byte {
	return flat(object(0x80, picture), information(code, width, height))
}

func block39794(parts ...[]byte) []byte { return object(0xA1, object(0x65, parts...)) }

// record39794 builds a record of ISO/IEC 39794-5.
func record39794(representations ...[]byte) []byte {
	return block39794(version39794, object(0xA1, representations...))
}

func TestParse39794(t *testing.T) {
	t.Parallel()
	good := representation(2, 413, 531, jpg)
	type size struct{ width, height int }
	real := size{413, 531}
	tests := []struct {
		name    string
		record  []byte
		formats []face.Format
		size    size
		devs    []string
		err     error
	}{
		{name: "JPEG", record: record39794(good), formats: []face.Format{face.JPEG}, size: real},
		{name: "JPEG 2000", record: record39794(representation(3, 413, 531, jp2)), formats: []face.Format{face.JPEG2000}, size: real},
		{name: "JPEG 2000 without loss", record: record39794(representation(4, 413, 531, codestream)), formats: []face.Format{face.JPEG2000}, size: real},
		{name: "largest size", record: record39794(representation(2, 65535, 65535, jpg)), formats: []face.Format{face.JPEG}, size: size{65535, 65535}},
		{name: "without size", record: record39794(flat(object(0x80, jpg), object(0xA1, object(0xA0, number(0x80, 2))))), formats: []face.Format{face.JPEG}},
		{
			name: "fields of all kinds", record: block39794(version39794, object(0xA1, object(0x30,
				number(0x80, 0),
				object(0xA1, object(0xA0, object(0xA0, object(0x80, jpg), information(2, 413, 531), object(0xA2, object(0xA0))))),
				object(0xA2, number(0x80, 2026)), object(0xA3), number(0x85, 1), object(0xA9))), object(0xA2, object(0x80, []byte{1}))),
			formats: []face.Format{face.JPEG}, size: real,
		},
		{name: "several pictures", record: record39794(good, representation(3, 413, 531, jp2)), formats: []face.Format{face.JPEG, face.JPEG2000}, size: real, devs: []string{face.DevRepresentations}},
		{name: "no envelope", record: object(0x65, version39794, object(0xA1, good)), formats: []face.Format{face.JPEG}, size: real, devs: []string{face.DevEnvelope}},
		{name: "no version", record: block39794(object(0xA1, good)), formats: []face.Format{face.JPEG}, size: real, devs: []string{face.DevVersion}},
		{name: "later generation", record: block39794(object(0xA0, number(0x80, 4), number(0x81, 2030)), object(0xA1, good)), formats: []face.Format{face.JPEG}, size: real, devs: []string{face.DevVersion}},
		{name: "fields out of order", record: block39794(object(0xA1, good), version39794), formats: []face.Format{face.JPEG}, size: real, devs: []string{face.DevOrder}},
		{name: "format says otherwise", record: record39794(representation(3, 413, 531, jpg)), formats: []face.Format{face.JPEG}, size: real, devs: []string{face.DevImageDataType}},
		{name: "format as an extension", record: record39794(flat(object(0x80, jpg), object(0xA1, object(0xA0, object(0xA1))))), formats: []face.Format{face.JPEG}, devs: []string{face.DevImageDataType}},
		{name: "neither", record: record39794(representation(2, 413, 531, []byte("GIF89a"))), formats: []face.Format{face.Unknown}, size: real, devs: []string{face.DevUnknownImage}},
		{name: "no information", record: record39794(flat(object(0x80, jpg))), formats: []face.Format{face.JPEG}, devs: []string{face.DevInformation}},
		{name: "malformed information", record: record39794(flat(object(0x80, jpg), object(0xA1, []byte{0xA0}))), formats: []face.Format{face.JPEG}, devs: []string{face.DevInformation}},
		{name: "negative size", record: record39794(flat(object(0x80, jpg), object(0xA1, object(0xA0, number(0x80, 2)), object(0xA7, object(0x80, []byte{0x80}), number(0x81, 1))))), formats: []face.Format{face.JPEG}, devs: []string{face.DevInformation}},
		{name: "bytes behind", record: append(record39794(good), 0), formats: []face.Format{face.JPEG}, size: real, devs: []string{face.DevTrailingData}},
		{name: "long form of a short length", record: object(0xA1, slices.Concat([]byte{0x65, 0x82, 0, byte(len(version39794) + len(object(0xA1, good)))}, version39794, object(0xA1, good))), formats: []face.Format{face.JPEG}, size: real, devs: []string{face.DevLength}},

		{name: "field once as a value and once as a template", record: block39794(version39794, object(0x80, []byte{0}), object(0xA1, good)), formats: []face.Format{face.JPEG}, size: real},
		{name: "no representation", record: record39794(), err: face.ErrEmpty},
		{name: "no list of representations", record: block39794(version39794), err: face.ErrEmpty},
		{name: "no image in the representation", record: record39794(object(0x30, number(0x80, 0))), err: face.ErrEmpty},
		{name: "empty picture", record: record39794(representation(2, 413, 531, nil)), err: face.ErrEmpty},
		{name: "no picture", record: record39794(flat(information(2, 413, 531))), err: face.ErrEmpty},
		{name: "shape", record: record39794(object(0x30, object(0xA1, object(0xA0, object(0xA1))))), err: face.ErrFormat},
		{name: "extension", record: record39794(object(0x30, object(0xA1, object(0xA1)))), err: face.ErrFormat},
		{name: "two pictures in one", record: record39794(flat(object(0x80, jpg), object(0x80, jp2))), err: face.ErrRecord},
		{name: "choice of two", record: record39794(object(0x30, object(0xA1, object(0xA0, object(0xA0, object(0x80, jpg)), object(0xA1))))), err: face.ErrRecord},
		{name: "empty choice", record: record39794(object(0x30, object(0xA1))), err: face.ErrRecord},
		{name: "no sequence", record: record39794(object(0x31, number(0x80, 0))), err: face.ErrRecord},
		{name: "finger", record: object(0xA1, object(0x64, version39794)), err: face.ErrRecord},
		{name: "too many pictures", record: record39794(slices.Repeat([][]byte{good}, 17)...), err: face.ErrRecord},
		{name: "too many fields", record: block39794(manyFields()...), err: face.ErrRecord},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := face.Parse(tt.record)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			var formats []face.Format
			for _, img := range r.Images {
				formats = append(formats, img.Codec)
				if (size{img.Width, img.Height}) != tt.size {
					t.Errorf("%d by %d pixels", img.Width, img.Height)
				}
			}
			if !slices.Equal(formats, tt.formats) || !slices.Equal(r.Deviations, tt.devs) {
				t.Errorf("got %v, %q; want %v, %q", formats, r.Deviations, tt.formats, tt.devs)
			}
			if err == nil && r.Standard != face.ISO39794 {
				t.Errorf("standard %v", r.Standard)
			}
		})
	}
	for n, whole := 0, record39794(good); n < len(whole); n++ {
		if _, err := face.Parse(whole[:n]); err == nil {
			t.Errorf("a record of %d bytes, cut to %d, is accepted", len(whole), n)
		}
	}
}

func manyFields() (fields [][]byte) {
	for n := range 33 {
		fields = append(fields, object(tlv.Tag(0x9F00+n&0x7F), nil))
	}
	return fields
}

// What was read, written again, is read as the same and without deviations.
func FuzzParse39794(f *testing.F) {
	f.Add(record39794(representation(2, 413, 531, jpg)))
	f.Add(record39794(representation(3, 65535, 1, jp2), representation(4, 0, 0, codestream)))
	f.Add(object(0x65, object(0xA1, flat(object(0x80, jpg)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := face.Parse(b)
		if err != nil || r.Standard != face.ISO39794 {
			return
		}
		for _, img := range r.Images {
			if !bytes.Contains(b, img.Data) {
				t.Fatal("picture is not in the record")
			}
			code := map[face.Format]int{face.JPEG: 2, face.JPEG2000: 3}[img.Codec]
			again, err := face.Parse(record39794(representation(code, img.Width, img.Height, img.Data)))
			if err != nil || len(again.Images) != 1 {
				t.Fatalf("error %v, %d pictures", err, len(again.Images))
			}
			if got := again.Images[0]; got.Codec != img.Codec || got.Width != img.Width || got.Height != img.Height || !bytes.Equal(got.Data, img.Data) {
				t.Errorf("%v became %v", img, got)
			}
			if want := img.Codec == face.Unknown; (len(again.Deviations) != 0) != want {
				t.Errorf("deviations %q", again.Deviations)
			}
		}
	})
}
