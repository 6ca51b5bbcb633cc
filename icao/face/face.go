// Package face reads facial records of ISO/IEC 19794-5:2005 and of
// ISO/IEC 39794-5:2019, as DG2 of a travel document carries them (Doc 9303-10,
// 8th edition, 4.5.6 and 4.7.2), and decodes their JPEG pictures. The layout of
// the second kind follows the ASN.1 module that ISO/IEC publishes with
// ISO/IEC 39794-5, in the application profile of ICAO.
//
// [Parse] takes a record apart without looking at the picture, beyond telling
// which kind it is. [DecodeJPEG] checks the picture's size before it decodes.
//
// Left out on purpose: everything that a record says about the person (sex,
// colour of eyes and hair, expression, pose) and where the features of the
// face are; pictures in three dimensions; the decoding of JPEG 2000, whose
// decoder is foreign code that is run in a sandbox, and that is not pure:
// agent/picture has it. A picture that cannot be shown is no reason to distrust
// a document.
package face

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

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
// nothing. Data shares its memory with what was parsed.
type Image struct {
	Codec Format // by the first bytes of Data, whatever the record calls it
	// Width and Height are what the record says, in pixels; 0 when it does not.
	// The picture itself may say otherwise, and is right then.
	Width, Height int
	Data          []byte
}

const redacted = "[redacted]"

// Format prints "[redacted]" for every verb.
func (Image) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String returns "[redacted]".
func (Image) String() string { return redacted }

// MarshalText gives "[redacted]", so that no encoder writes a picture by itself.
func (Image) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Standard is the standard that lays a record's layout down.
type Standard uint8

// The standards; the zero value is neither.
const (
	ISO19794 Standard = iota + 1 // ISO/IEC 19794-5:2005
	ISO39794                     // ISO/IEC 39794-5:2019
)

// String returns the standard's name.
func (s Standard) String() string {
	switch s {
	case ISO19794:
		return "ISO/IEC 19794-5"
	case ISO39794:
		return "ISO/IEC 39794-5"
	}
	return fmt.Sprintf("face.Standard(%d)", uint8(s))
}

// A Record is a facial record: one picture, seldom more.
type Record struct {
	Standard Standard
	Images   []Image
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

	// Of a record of ISO/IEC 19794-5 alone.
	DevFacialInformation = "face: facial information has a reserved value"
	DevImageType         = "face: picture is neither full frontal nor token frontal"

	// Of a record of ISO/IEC 39794-5 alone.
	DevEnvelope        = "face: record is not in a template of standardised format"
	DevVersion         = "face: version block is missing or of another edition"
	DevRepresentations = "face: more than one representation"
	DevInformation     = "face: image information is missing or malformed"
	DevOrder           = "face: fields out of order"
	DevLength          = "face: length in more bytes than needed"
)

// Parse reads a facial record, the content of a biometric data block, of
// either standard: the first byte tells them apart. The error is [ErrFormat]
// for a version or a kind of representation that this package does not read,
// [ErrEmpty] or [ErrRecord], and the Record is then zero.
func Parse(b []byte) (Record, error) {
	switch tag, _ := tlv.String(b).PeekTag(); tag {
	case tagStandardised, tagFaceData:
		return parse39794(b)
	}
	return parse19794(b)
}

// deviate notes a deviation once.
func (r *Record) deviate(what string) {
	if !slices.Contains(r.Deviations, what) {
		r.Deviations = append(r.Deviations, what)
	}
}

func parse19794(b []byte) (Record, error) {
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
	r := Record{Standard: ISO19794}
	if int64(length) != int64(len(b)) {
		r.deviate(DevRecordLength)
	}
	for range count {
		if err := r.readImage(&s); err != nil {
			return Record{}, err
		}
	}
	if !s.Empty() {
		r.deviate(DevTrailingData)
	}
	return r, nil
}

func (r *Record) readImage(s *tlv.String) error {
	var blockLen uint32
	var points, width, height uint16
	var imageType, dataType uint8
	var person []byte
	if !s.ReadUint32(&blockLen) || !s.ReadUint16(&points) || !s.ReadBytes(&person, facialInfoLen-6) ||
		!s.Skip(int(points)*featurePointLen) ||
		!s.ReadUint8(&imageType) || !s.ReadUint8(&dataType) ||
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
	img.Codec = Detect(img.Data)
	switch {
	case img.Codec == Unknown:
		r.deviate(DevUnknownImage)
	case img.Codec == JPEG && dataType != 0, img.Codec == JPEG2000 && dataType != 1:
		r.deviate(DevImageDataType)
	}
	if imageType != imageFullFrontal && imageType != imageTokenFrontal {
		r.deviate(DevImageType)
	}
	if !plausible(person) {
		r.deviate(DevFacialInformation)
	}
	r.Images = append(r.Images, img)
	return nil
}

// Types of portrait that a travel document may have (ISO/IEC 19794-5:2005, 5.7.1).
const (
	imageFullFrontal  = 1
	imageTokenFrontal = 2
)

// plausible reports whether the values that say something about the person are
// among those that ISO/IEC 19794-5:2005, 5.5 defines. They are looked at for
// conformity only and go nowhere.
func plausible(s tlv.String) bool {
	var sex, eyes, hair uint8
	var angles []byte // three of pose, three of its uncertainty
	if !s.ReadUint8(&sex) || !s.ReadUint8(&eyes) || !s.ReadUint8(&hair) ||
		!s.Skip(5) || // features, expression
		!s.ReadBytes(&angles, 6) {
		return false
	}
	const unknown = 0xFF
	if sex > 2 && sex != unknown || eyes > 7 && eyes != unknown || hair > 9 && hair != unknown {
		return false
	}
	// In steps of two degrees, 0 for none.
	return slices.Max(angles) <= 181
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
