// Package face reads facial records of ISO/IEC 19794-5:2005, as DG2 of a
// travel document carries them (Doc 9303-10, 8th edition, 4.5.6 and 4.7.2),
// and decodes their JPEG pictures.
//
// [Parse] takes a record apart without looking at the picture, beyond telling
// which kind it is. [DecodeJPEG] checks the picture's size before it decodes.
//
// Left out on purpose: everything that a record says about the person (sex,
// colour of eyes and hair, expression, pose) and where the features of the
// face are. Left out for now: ISO/IEC 39794-5 records and the decoding of
// JPEG 2000, which both give [ErrFormat]; a picture that cannot be shown is no
// reason to distrust a document.
package face

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/chamthe/chamthe/icao/tlv"
)

var (
	// ErrRecord reports bytes that are not a facial record, or whose lengths
	// do not fit.
	ErrRecord = errors.New("face: malformed record")
	// ErrFormat reports a record version or a picture format that this
	// package knows of and cannot read.
	ErrFormat = errors.New("face: format not supported")
	// ErrEmpty reports a record without a picture, or a picture of no bytes.
	ErrEmpty = errors.New("face: no picture")
)

// Format is how a picture is compressed.
type Format uint8

// The formats. ISO/IEC 19794-5 allows JPEG and JPEG 2000; the zero value is
// anything else.
const (
	Unknown Format = iota
	JPEG
	JPEG2000 // in a JP2 file or as a bare codestream
)

var formatNames = [...]string{"unknown", "JPEG", "JPEG 2000"}

// String returns the format's name.
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return fmt.Sprintf("face.Format(%d)", uint8(f))
}

// An Image is one picture of a record. It is personal data; printing it shows
// format and size only. Data shares its memory with what was parsed.
type Image struct {
	Format Format // by the first bytes of Data, whatever the record calls it
	// Width and Height are what the record says, in pixels. The picture itself
	// may say otherwise, and is right then.
	Width, Height int
	Data          []byte
}

// String returns the format and the number of bytes.
func (i Image) String() string { return fmt.Sprintf("%v picture of %d bytes", i.Format, len(i.Data)) }

// GoString is String.
func (i Image) GoString() string { return i.String() }

// A Record is a facial record: one picture, seldom more.
type Record struct {
	Images []Image
	// Deviations lists what does not follow the standard and was tolerated.
	Deviations []string
}

// Layout of a record (ISO/IEC 19794-5:2005, 5.3 to 5.7): a header of 14 bytes,
// then for each picture a block of 20 bytes, feature points of 8 bytes each,
// 12 bytes about the picture, and the picture.
const (
	formatIdentifier = "FAC\x00"
	version2005      = "010\x00"

	recordHeaderLen = 14
	facialInfoLen   = 20
	featurePointLen = 8
	imageInfoLen    = 12

	// maxImages is more than anybody stores; each picture costs at least 32
	// bytes of input, so the limit guards a reader's patience and not memory.
	maxImages = 16
)

// Deviations of a [Record].
const (
	DevRecordLength  = "face: record length differs from the data object"
	DevImageDataType = "face: image data type does not match the picture"
	DevUnknownImage  = "face: picture is neither JPEG nor JPEG 2000"
	DevTrailingData  = "face: bytes after the last picture"
)

// Parse reads a facial record, the content of a biometric data block. The
// error is [ErrFormat] for a version other than that of 2005, [ErrEmpty] or
// [ErrRecord], and the Record is then zero.
func Parse(b []byte) (Record, error) {
	s := tlv.String(b)
	var id, version []byte
	var length uint32
	var count uint16
	if !s.ReadBytes(&id, len(formatIdentifier)) || string(id) != formatIdentifier {
		return Record{}, ErrRecord
	}
	if !s.ReadBytes(&version, len(version2005)) {
		return Record{}, ErrRecord
	}
	if string(version) != version2005 {
		return Record{}, ErrFormat
	}
	if !s.ReadUint32(&length) || !s.ReadUint16(&count) {
		return Record{}, ErrRecord
	}
	if count == 0 {
		return Record{}, ErrEmpty
	}
	if count > maxImages {
		return Record{}, ErrRecord
	}
	var r Record
	if int64(length) != int64(len(b)) {
		r.Deviations = append(r.Deviations, DevRecordLength)
	}
	for range count {
		if err := r.readImage(&s); err != nil {
			return Record{}, err
		}
	}
	if !s.Empty() {
		r.Deviations = append(r.Deviations, DevTrailingData)
	}
	return r, nil
}

func (r *Record) readImage(s *tlv.String) error {
	var blockLen uint32
	var points, width, height uint16
	var dataType uint8
	if !s.ReadUint32(&blockLen) || !s.ReadUint16(&points) || !s.Skip(facialInfoLen-6) ||
		!s.Skip(int(points)*featurePointLen) ||
		!s.Skip(1) || !s.ReadUint8(&dataType) || // type of portrait, type of data
		!s.ReadUint16(&width) || !s.ReadUint16(&height) || !s.Skip(imageInfoLen-6) {
		return ErrRecord
	}
	headers := int64(facialInfoLen) + int64(points)*featurePointLen + imageInfoLen
	n := int64(blockLen) - headers
	if n < 0 || n > int64(len(*s)) {
		return ErrRecord
	}
	if n == 0 {
		return ErrEmpty
	}
	img := Image{Width: int(width), Height: int(height)}
	if !s.ReadBytes(&img.Data, int(n)) {
		return ErrRecord
	}
	img.Format = Detect(img.Data)
	switch {
	case img.Format == Unknown:
		r.Deviations = append(r.Deviations, DevUnknownImage)
	case img.Format == JPEG && dataType != 0, img.Format == JPEG2000 && dataType != 1:
		r.Deviations = append(r.Deviations, DevImageDataType)
	}
	r.Images = append(r.Images, img)
	return nil
}

// First bytes of pictures: SOI and the next marker of JPEG (ISO/IEC 10918-1,
// B.1.1), the signature box of JP2 and the SOC and SIZ markers of a codestream
// (ISO/IEC 15444-1, I.5.1 and A.4.1).
var (
	magicJPEG       = []byte{0xFF, 0xD8, 0xFF}
	magicJP2        = []byte{0x00, 0x00, 0x00, 0x0C, 'j', 'P', ' ', ' ', 0x0D, 0x0A, 0x87, 0x0A}
	magicCodestream = []byte{0xFF, 0x4F, 0xFF, 0x51}
)

// Detect tells the format of a picture by its first bytes.
func Detect(data []byte) Format {
	switch {
	case bytes.HasPrefix(data, magicJPEG):
		return JPEG
	case bytes.HasPrefix(data, magicJP2), bytes.HasPrefix(data, magicCodestream):
		return JPEG2000
	}
	return Unknown
}
