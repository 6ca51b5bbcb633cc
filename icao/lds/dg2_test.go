package lds_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/tlv"
)

var tinyJPEG = []byte{0xFF, 0xD8, 0xFF, 0xE0, 0, 2}

// faceRecord builds a record of ISO/IEC 19794-5 with one picture.
func faceRecord(dataType byte, picture []byte) []byte {
	b := []byte("FAC\x00010\x00")
	b = binary.BigEndian.AppendUint32(b, uint32(14+32+len(picture)))
	b = binary.BigEndian.AppendUint16(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(32+len(picture)))
	b = append(b, make([]byte, 16)...)
	b = append(b, 1, dataType, 1, 0x9D, 2, 0x13)
	b = append(b, make([]byte, 6)...)
	return append(b, picture...)
}

// faceRecord39794 builds a record of ISO/IEC 39794-5 with one JPEG picture,
// in the envelope of DG2.
func faceRecord39794(picture []byte) []byte {
	var w tlv.Builder
	w.AddFunc(0xA1, func(w *tlv.Builder) {
		w.AddFunc(0x65, func(w *tlv.Builder) {
			w.AddBytes([]byte{0xA0, 7, 0x80, 1, 3, 0x81, 2, 0x07, 0xE3})
			w.AddFunc(0xA1, func(w *tlv.Builder) {
				w.AddFunc(0x30, func(w *tlv.Builder) {
					w.Add(0x80, []byte{0})
					w.AddFunc(0xA1, func(w *tlv.Builder) {
						w.AddFunc(0xA0, func(w *tlv.Builder) {
							w.AddFunc(0xA0, func(w *tlv.Builder) {
								w.Add(0x80, picture)
								w.Add(0xA1, []byte{0xA0, 3, 0x80, 1, 2, 0xA7, 8, 0x80, 2, 1, 0x9D, 0x81, 2, 2, 0x13})
							})
						})
					})
				})
			})
		})
	})
	b, err := w.Bytes()
	if err != nil {
		panic(err)
	}
	return b
}

var faceHeader = tlv.Append(nil, 0xA1, []byte{0x87, 2, 1, 1, 0x88, 2, 0, 8})

func faceGroup(records ...[]byte) []byte {
	var templates [][]byte
	for _, r := range records {
		templates = append(templates, append(slices.Clone(faceHeader), tlv.Append(nil, 0x5F2E, r)...))
	}
	return templateGroup([]byte{2, 1, byte(len(records))}, templates...)
}

func templateGroup(count []byte, templates ...[]byte) []byte {
	inner := slices.Clone(count)
	for _, t := range templates {
		inner = tlv.Append(inner, 0x7F60, t)
	}
	return tlv.Append(nil, 0x75, tlv.Append(nil, 0x7F61, inner))
}

func TestParseDG2(t *testing.T) {
	t.Parallel()
	good := faceRecord(0, tinyJPEG)
	block := tlv.Append(nil, 0x5F2E, good)
	withHeader := func(header ...byte) []byte {
		return templateGroup([]byte{2, 1, 1}, append(tlv.Append(nil, 0xA1, header), block...))
	}
	ten := make([][]byte, 10)
	for i := range ten {
		ten[i] = good
	}
	v39794 := tlv.Append(nil, 0x7F2E, faceRecord39794(tinyJPEG))
	shape := tlv.Append(nil, 0x7F2E, bytes.Replace(faceRecord39794(tinyJPEG), []byte{0xA0, 0x1B, 0xA0, 0x19}, []byte{0xA0, 0x1B, 0xA1, 0x19}, 1))
	header39794 := tlv.Append(nil, 0xA1, []byte{0x81, 1, 2, 0x87, 2, 1, 1, 0x88, 2, 0, 0x2A})
	// A length in four bytes, though two would do.
	wide := slices.Concat([]byte{0x75, 0x83, 0, 0, byte(len(faceGroup(good)) - 2)}, faceGroup(good)[2:])
	tests := []struct {
		name  string
		file  []byte
		faces int
		devs  []string
		err   error
	}{
		{name: "one face", file: faceGroup(good), faces: 1},
		{name: "two faces", file: faceGroup(good, faceRecord(0, tinyJPEG)), faces: 2},
		{name: "nine faces", file: faceGroup(ten[:9]...), faces: 9},
		{name: "ten faces", file: faceGroup(ten...), err: lds.ErrDG2},
		{name: "lengths longer than needed", file: wide, faces: 1, devs: []string{lds.DevLength}},
		{name: "tag 7f2e for an old record", file: templateGroup([]byte{2, 1, 1}, append(slices.Clone(faceHeader), tlv.Append(nil, 0x7F2E, good)...)), faces: 1, devs: []string{lds.DevBlockTag}},
		{name: "iso 39794-5", file: templateGroup([]byte{2, 1, 1}, slices.Concat(header39794, v39794)), faces: 1},
		{name: "iso 39794-5 under the tag of old records", file: templateGroup([]byte{2, 1, 1}, append(slices.Clone(header39794), tlv.Append(nil, 0x5F2E, faceRecord39794(tinyJPEG))...)), faces: 1, devs: []string{lds.DevBlockTag}},
		{name: "iso 39794-5 with the type of old records", file: templateGroup([]byte{2, 1, 1}, slices.Concat(faceHeader, v39794)), faces: 1, devs: []string{lds.DevFormatType}},
		{name: "iso 39794-5 after an old record", file: templateGroup([]byte{2, 1, 2}, slices.Concat(faceHeader, block), slices.Concat(header39794, v39794)), faces: 2},
		{name: "iso 39794-5 with a shape", file: templateGroup([]byte{2, 1, 1}, slices.Concat(header39794, shape)), err: face.ErrFormat},
		{name: "iso 39794-5 with a shape after an old record", file: templateGroup([]byte{2, 1, 2}, slices.Concat(faceHeader, block), slices.Concat(header39794, shape)), faces: 1, devs: []string{lds.DevFaceSkipped}},
		{name: "LDS_C_12 deprecated biometric type", file: withHeader(0x81, 1, 8, 0x87, 2, 1, 1, 0x88, 2, 0, 8), faces: 1, devs: []string{lds.DevBiometricType}},
		{name: "LDS_C_13 other biometric type", file: withHeader(0x81, 1, 0x10, 0x87, 2, 1, 1, 0x88, 2, 0, 8), faces: 1, devs: []string{lds.DevBiometricType}},
		{name: "broken record after a good one", file: faceGroup(good, good[:30]), faces: 1, devs: []string{lds.DevFaceSkipped}},

		// BSI TR-03105-5.1, LDS_C_04 to LDS_C_28.
		{name: "LDS_C_04 other tag", file: append([]byte{0x76}, faceGroup(good)[1:]...), err: lds.ErrTemplate},
		{name: "LDS_C_05 length too small", file: slices.Concat([]byte{0x75, faceGroup(good)[1] - 1}, faceGroup(good)[2:]), err: lds.ErrTemplate},
		{name: "LDS_C_06 length too big", file: slices.Concat([]byte{0x75, faceGroup(good)[1] + 1}, faceGroup(good)[2:]), err: lds.ErrTemplate},
		{name: "LDS_C_07 no number of instances", file: templateGroup(nil, append(slices.Clone(faceHeader), block...)), faces: 1, devs: []string{lds.DevFaceCount}},
		{name: "other number of instances", file: templateGroup([]byte{2, 1, 3}, append(slices.Clone(faceHeader), block...)), faces: 1, devs: []string{lds.DevFaceCount}},
		{name: "LDS_C_08 other format owner", file: withHeader(0x87, 2, 1, 2, 0x88, 2, 0, 8), faces: 1, devs: []string{lds.DevFormatOwner}},
		{name: "LDS_C_09 no format owner", file: withHeader(0x88, 2, 0, 8), faces: 1, devs: []string{lds.DevFormatOwner}},
		{name: "LDS_C_10 other format type", file: withHeader(0x87, 2, 1, 1, 0x88, 2, 0, 9), faces: 1, devs: []string{lds.DevFormatType}},
		{name: "LDS_C_11 no format type", file: withHeader(0x87, 2, 1, 1), faces: 1, devs: []string{lds.DevFormatType}},
		{name: "no header", file: templateGroup([]byte{2, 1, 1}, block), faces: 1, devs: []string{lds.DevFaceHeader}},
		{name: "LDS_C_27 other image data type", file: faceGroup(faceRecord(1, tinyJPEG)), faces: 1, devs: []string{face.DevImageDataType}},
		{name: "LDS_C_28 no face", file: templateGroup([]byte{2, 1, 1}, faceHeader), err: face.ErrEmpty},
		{name: "no template", file: templateGroup([]byte{2, 1, 0}), err: face.ErrEmpty},
		{name: "picture of no bytes", file: faceGroup(faceRecord(0, nil)), err: face.ErrEmpty},
		{name: "record of a later version", file: faceGroup(bytes.Replace(good, []byte("010"), []byte("030"), 1)), err: face.ErrFormat},
		{name: "something behind the record", file: templateGroup([]byte{2, 1, 1}, slices.Concat(faceHeader, block, []byte{4, 0})), err: lds.ErrDG2},
		{name: "something behind the group", file: tlv.Append(nil, 0x75, append(faceGroup(good)[2:], 4, 0)), err: lds.ErrDG2},
		{name: "empty", file: []byte{0x75, 0}, err: lds.ErrDG2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := lds.ParseDG2(tt.file)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if len(d.Faces) != tt.faces || !slices.Equal(d.Deviations, tt.devs) {
				t.Fatalf("%d faces, deviations %q; want %d, %q", len(d.Faces), d.Deviations, tt.faces, tt.devs)
			}
			img, ok := d.Portrait()
			if ok != (tt.faces > 0) || ok && (img.Codec != face.JPEG || img.Width != 413 || img.Height != 531 || !bytes.Equal(img.Data, tinyJPEG)) {
				t.Errorf("portrait %v %v", img, ok)
			}
		})
	}
}
