package face_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/tlv"
)

// portrait is a synthetic picture: a gradient.
func portrait(t testing.TB, width, height int) []byte {
	t.Helper()
	m := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	for i := range m.Y {
		m.Y[i] = byte(i % width * 255 / width)
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = 120, 140
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type picture struct {
	points   int
	dataType byte
	data     []byte
}

func record(pictures ...picture) []byte {
	var body []byte
	for _, p := range pictures {
		body = binary.BigEndian.AppendUint32(body, uint32(20+8*p.points+12+len(p.data)))
		body = binary.BigEndian.AppendUint16(body, uint16(p.points))
		body = append(body, make([]byte, 14+8*p.points)...)
		body = append(body, 1, p.dataType, 1, 0x9D, 2, 0x13, 1, 2, 0, 0, 0, 0)
		body = append(body, p.data...)
	}
	b := []byte("FAC\x00010\x00")
	b = binary.BigEndian.AppendUint32(b, uint32(14+len(body)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(pictures)))
	return append(b, body...)
}

var (
	jp2        = []byte{0, 0, 0, 12, 'j', 'P', ' ', ' ', 13, 10, 0x87, 10, 1, 2, 3}
	codestream = []byte{0xFF, 0x4F, 0xFF, 0x51, 0, 41}
	jpg        = []byte{0xFF, 0xD8, 0xFF, 0xDB, 0, 0}
)

func TestParse(t *testing.T) {
	t.Parallel()
	good := record(picture{0, 0, jpg})
	edit := func(at int, b ...byte) []byte {
		out := slices.Clone(good)
		copy(out[at:], b)
		return out
	}
	tests := []struct {
		name    string
		record  []byte
		formats []face.Format
		devs    []string
		err     error
	}{
		{name: "JPEG", record: good, formats: []face.Format{face.JPEG}},
		{name: "JPEG 2000", record: record(picture{0, 1, jp2}), formats: []face.Format{face.JPEG2000}},
		{name: "JPEG 2000 codestream", record: record(picture{0, 1, codestream}), formats: []face.Format{face.JPEG2000}},
		{name: "feature points", record: record(picture{17, 0, jpg}), formats: []face.Format{face.JPEG}},
		{name: "several pictures", record: record(picture{1, 0, jpg}, picture{0, 1, jp2}), formats: []face.Format{face.JPEG, face.JPEG2000}},
		{name: "neither", record: record(picture{0, 0, []byte("GIF89a")}), formats: []face.Format{face.Unknown}, devs: []string{face.DevUnknownImage}},
		{name: "data type says otherwise", record: record(picture{0, 1, jpg}), formats: []face.Format{face.JPEG}, devs: []string{face.DevImageDataType}},
		{name: "bytes behind", record: append(slices.Clone(good), 0, 0), formats: []face.Format{face.JPEG}, devs: []string{face.DevRecordLength, face.DevTrailingData}},
		{name: "record length", record: edit(8, 0, 0, 0, 1), formats: []face.Format{face.JPEG}, devs: []string{face.DevRecordLength}},
		{name: "other identifier", record: edit(0, 'F', 'I', 'R'), err: face.ErrRecord},
		{name: "later version", record: edit(4, '0', '3', '0'), err: face.ErrFormat},
		{name: "no picture", record: edit(12, 0, 0), err: face.ErrEmpty},
		{name: "more pictures than there are", record: edit(12, 0, 2), err: face.ErrRecord},
		{name: "too many pictures", record: edit(12, 0xFF, 0xFF), err: face.ErrRecord},
		{name: "empty picture", record: record(picture{0, 0, nil}), err: face.ErrEmpty},
		{name: "block too long", record: edit(14, 0xFF, 0xFF, 0xFF, 0xFF), err: face.ErrRecord},
		{name: "block shorter than its headers", record: edit(14, 0, 0, 0, 31), err: face.ErrRecord},
		{name: "more feature points than bytes", record: edit(18, 0xFF, 0xFF), err: face.ErrRecord},
		{name: "nothing", record: nil, err: face.ErrRecord},

		// BSI TR-03105-5.1, LDS_C_14 to LDS_C_26: what the record says about the
		// person and the portrait.
		{name: "LDS_C_14 other format identifier", record: edit(0, 'F', 'A', 'D'), err: face.ErrRecord},
		{name: "LDS_C_15 other version", record: edit(4, '0', '2', '0'), err: face.ErrFormat},
		{name: "LDS_C_16 more feature points than the length has", record: edit(18, 0, 1), err: face.ErrRecord},
		{name: "LDS_C_17 sex", record: edit(20, 3), formats: []face.Format{face.JPEG}, devs: []string{face.DevFacialInformation}},
		{name: "LDS_C_18 colour of eyes", record: edit(21, 8), formats: []face.Format{face.JPEG}, devs: []string{face.DevFacialInformation}},
		{name: "LDS_C_19 colour of hair", record: edit(22, 10), formats: []face.Format{face.JPEG}, devs: []string{face.DevFacialInformation}},
		{name: "LDS_C_20 yaw", record: edit(28, 182), formats: []face.Format{face.JPEG}, devs: []string{face.DevFacialInformation}},
		{name: "LDS_C_21 pitch", record: edit(29, 182), formats: []face.Format{face.JPEG}, devs: []string{face.DevFacialInformation}},
		{name: "LDS_C_22 roll", record: edit(30, 182), formats: []face.Format{face.JPEG}, devs: []string{face.DevFacialInformation}},
		{name: "LDS_C_23 uncertainty of yaw", record: edit(31, 182), formats: []face.Format{face.JPEG}, devs: []string{face.DevFacialInformation}},
		{name: "LDS_C_24 uncertainty of pitch", record: edit(32, 182), formats: []face.Format{face.JPEG}, devs: []string{face.DevFacialInformation}},
		{name: "LDS_C_25 uncertainty of roll", record: edit(33, 182), formats: []face.Format{face.JPEG}, devs: []string{face.DevFacialInformation}},
		{name: "LDS_C_26 type of portrait", record: edit(34, 0), formats: []face.Format{face.JPEG}, devs: []string{face.DevImageType}},
		{name: "values unknown or at the limits", record: edit(20, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 181, 181, 181, 181, 181, 181, 2), formats: []face.Format{face.JPEG}},
		{name: "largest values", record: edit(20, 2, 7, 9), formats: []face.Format{face.JPEG}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := face.Parse(tt.record)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if want := face.ISO19794; err == nil && r.Standard != want {
				t.Errorf("standard %v, want %v", r.Standard, want)
			}
			var formats []face.Format
			for _, img := range r.Images {
				formats = append(formats, img.Codec)
				if img.Width != 413 || img.Height != 531 {
					t.Errorf("%d by %d pixels", img.Width, img.Height)
				}
			}
			if !slices.Equal(formats, tt.formats) || !slices.Equal(r.Deviations, tt.devs) {
				t.Errorf("got %v, %q; want %v, %q", formats, r.Deviations, tt.formats, tt.devs)
			}
		})
	}
	for n := range good {
		if _, err := face.Parse(good[:n]); err == nil {
			t.Errorf("a record of %d bytes, cut to %d, is accepted", len(good), n)
		}
	}
}

// TestReferenceDataSet reads the record in DG2 of the document of BSI TR-03105-5.
func TestReferenceDataSet(t *testing.T) {
	t.Run("Datagroup2.bin", func(t *testing.T) {
		b, err := os.ReadFile(vectortest.Path(t, "bsi-reference-dataset/Datagroup2.bin"))
		if err != nil {
			t.Fatal(err)
		}
		// 75, 7F61, 02 (one), 7F60, A1 (header), 5F2E (record).
		file := tlv.String(b)
		var content, group, template, rest, data tlv.String
		if !file.ReadTag(&content, 0x75) || !content.ReadTag(&group, 0x7f61) || !group.ReadTag(&rest, 0x02) ||
			!group.ReadTag(&template, 0x7f60) || !template.ReadTag(&rest, 0xa1) || !template.ReadTag(&data, 0x5f2e) {
			t.Fatal("not DG2")
		}
		r, err := face.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Images) != 1 || r.Images[0].Codec != face.JPEG2000 || len(r.Deviations) != 0 {
			t.Errorf("%d pictures, %v, deviations %v", len(r.Images), r.Images[0].Codec, r.Deviations)
		}
	})
}

func TestImagePrintsNoPicture(t *testing.T) {
	t.Parallel()
	img := face.Image{Codec: face.JPEG, Data: []byte("\xff\xd8\xffsecret")}
	outputs := []string{img.String()}
	for _, v := range []any{img, &img} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08b", "%c"} {
			outputs = append(outputs, fmt.Sprintf(verb, v))
		}
	}
	for _, s := range outputs {
		if s != "[redacted]" {
			t.Errorf("prints as %q", s)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	got := fmt.Sprint(face.ISO19794, ", ", face.ISO39794, ", ", face.Standard(9), ", ", face.JPEG2000, ", ", face.Format(9))
	if want := "ISO/IEC 19794-5, ISO/IEC 39794-5, face.Standard(9), JPEG 2000, face.Format(9)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDecodeJPEG(t *testing.T) {
	t.Parallel()
	good := portrait(t, 413, 531)
	// A start of frame that promises more pixels than the limits allow.
	resize := func(width, height uint16) []byte {
		b := slices.Clone(good)
		at := bytes.Index(b, []byte{0xFF, 0xC0})
		binary.BigEndian.PutUint16(b[at+5:], height)
		binary.BigEndian.PutUint16(b[at+7:], width)
		return b
	}
	tests := []struct {
		name string
		data []byte
		err  error
	}{
		{"picture", good, nil},
		{"largest", portrait(t, 2048, 2048), nil},
		{"too many pixels", resize(2049, 2048), face.ErrTooLarge},
		{"too wide", resize(4097, 1), face.ErrTooLarge},
		{"too high", resize(1, 65535), face.ErrTooLarge},
		{"no width", resize(0, 10), face.ErrPicture},
		{"JPEG 2000", jp2, face.ErrFormat},
		{"no picture", nil, face.ErrFormat},
		{"cut off", good[:len(good)/2], face.ErrPicture},
		{"header alone", good[:20], face.ErrPicture},
		{"many passes", append(slices.Clone(good), bytes.Repeat([]byte{0xFF, 0xDA, 0, 2}, 65)...), face.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// What the record says about the size is not to be believed.
			m, err := face.DecodeJPEG(face.Image{Codec: face.JPEG, Width: 1, Height: 1, Data: tt.data})
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if (m == nil) != (err != nil) {
				t.Fatalf("picture %v with error %v", m != nil, err)
			}
			if tt.name == "picture" {
				if got := m.Bounds().Size(); got != image.Pt(413, 531) {
					t.Errorf("size %v", got)
				}
				if c := color.GrayModel.Convert(m.At(400, 100)).(color.Gray); c.Y < 200 {
					t.Errorf("right edge has brightness %d", c.Y)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(record(picture{0, 0, jpg}))
	f.Add(record(picture{2, 1, jp2}, picture{0, 1, codestream}))
	f.Add(record(picture{0, 0, portrait(f, 16, 16)}))
	f.Add(record39794(representation(2, 413, 531, portrait(f, 16, 16))))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := face.Parse(b)
		if err != nil {
			if r.Images != nil || r.Deviations != nil || r.Standard != 0 {
				t.Error("record with an error")
			}
			return
		}
		if len(r.Images) == 0 || r.Standard == 0 {
			t.Error("no picture or no standard, and no error")
		}
		for _, img := range r.Images {
			if len(img.Data) == 0 || !bytes.Contains(b, img.Data) {
				t.Error("picture is not in the record")
			}
			if img.Codec != face.Detect(img.Data) {
				t.Errorf("picture %v", img)
			}
			// Pictures of more than a few pixels only cost time here.
			if len(img.Data) < 4096 {
				if m, err := face.DecodeJPEG(img); err == nil && m.Bounds().Dx()*m.Bounds().Dy() > face.MaxPixels {
					t.Error("picture too large")
				}
			}
		}
	})
}
