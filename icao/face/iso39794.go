package face

import "github.com/chamthe/chamthe/icao/tlv"

// Tags of ISO/IEC 39794-5:2019, whose ASN.1 module has implicit tags; a choice
// inside a tag is a tag of its own. Doc 9303-10, 4.5.6 lays the envelope down.
const (
	tagStandardised tlv.Tag = 0xA1 // biometric data in standardised format (Doc 9303-10, 4.5.6, table 2)
	tagFaceData     tlv.Tag = 0x65 // FaceImageDataBlock, [APPLICATION 5]
	tagSequence     tlv.Tag = 0x30

	tagVersion         tlv.Tag = 0xA0 // FaceImageDataBlock: VersionBlock
	tagRepresentations tlv.Tag = 0xA1 // FaceImageDataBlock: RepresentationBlocks
	tagImage           tlv.Tag = 0xA1 // RepresentationBlock: ImageRepresentation
	tagBase            tlv.Tag = 0xA0 // of a choice: what the standard lays down, and not an extension
	tag2D              tlv.Tag = 0xA0 // ImageRepresentationBase: ImageRepresentation2DBlock
	tagPicture         tlv.Tag = 0x80 // ImageRepresentation2DBlock: representationData2D
	tagInformation     tlv.Tag = 0xA1 // ImageRepresentation2DBlock: ImageInformation2DBlock
	tagDataFormat      tlv.Tag = 0xA0 // ImageInformation2DBlock: ImageDataFormat
	tagSize            tlv.Tag = 0xA7 // ImageInformation2DBlock: ImageSizeBlock

	tagFirst  tlv.Tag = 0x80 // a number: generation, data format code, width
	tagSecond tlv.Tag = 0x81 // year, height
)

// First edition of ISO/IEC 39794, whose record calls itself generation 3, after
// the two of ISO/IEC 19794.
const (
	generation39794 = 3
	year39794       = 2019
)

// Codes of ImageDataFormat.
const (
	codeJPEG         = 2
	codeJPEG2000     = 3
	codeJPEG2000Full = 4 // lossless
)

// maxFields is above what any sequence of the record has.
const maxFields = 32

// parse39794 reads a facial record of ISO/IEC 39794-5, with or without the
// envelope that DG2 puts round it.
func parse39794(b []byte) (Record, error) {
	r := Record{Standard: ISO39794}
	s := tlv.String(b)
	if tag, _ := s.PeekTag(); tag == tagStandardised {
		var inner tlv.String
		if !r.read(&s, &inner, tagStandardised) {
			return Record{}, ErrRecord
		}
		r.rest(s)
		s = inner
	} else {
		r.deviate(DevEnvelope)
	}
	var block tlv.String
	if !r.read(&s, &block, tagFaceData) {
		return Record{}, ErrRecord
	}
	r.rest(s)
	fields, ok := r.fields(block)
	if !ok {
		return Record{}, ErrRecord
	}
	r.checkVersion(fields[tagVersion])

	representations, ok := fields[tagRepresentations]
	if !ok || representations.Empty() {
		return Record{}, ErrEmpty
	}
	for n := 0; !representations.Empty(); n++ {
		var one tlv.String
		if n == maxImages || !r.read(&representations, &one, tagSequence) {
			return Record{}, ErrRecord
		}
		if err := r.readRepresentation(one); err != nil {
			return Record{}, err
		}
	}
	// The application profile for travel documents has exactly one.
	if len(r.Images) != 1 {
		r.deviate(DevRepresentations)
	}
	return r, nil
}

func (r *Record) checkVersion(s tlv.String) {
	fields, ok := r.fields(s)
	generation, ok1 := number(fields[tagFirst])
	year, ok2 := number(fields[tagSecond])
	if !ok || !ok1 || !ok2 || generation != generation39794 || year < year39794 {
		r.deviate(DevVersion)
	}
}

// readRepresentation reads one RepresentationBlock. A representation that is
// no flat picture (a shape, an extension) is [ErrFormat].
func (r *Record) readRepresentation(s tlv.String) error {
	fields, ok := r.fields(s)
	if !ok {
		return ErrRecord
	}
	image, ok := fields[tagImage]
	if !ok {
		return ErrEmpty
	}
	for _, choice := range []tlv.Tag{tagBase, tag2D} {
		tag, ok := image.PeekTag()
		if !ok {
			return ErrRecord
		}
		if tag != choice {
			return ErrFormat
		}
		var inner tlv.String
		if !r.read(&image, &inner, choice) || !image.Empty() {
			return ErrRecord
		}
		image = inner
	}
	if fields, ok = r.fields(image); !ok {
		return ErrRecord
	}
	picture := fields[tagPicture]
	if picture.Empty() {
		return ErrEmpty
	}
	img := Image{Data: picture, Codec: Detect(picture)}
	if img.Codec == Unknown {
		r.deviate(DevUnknownImage)
	}
	r.readInformation(&img, fields[tagInformation])
	r.Images = append(r.Images, img)
	return nil
}

// readInformation takes the size from ImageInformation2DBlock and compares the
// format. What is wrong there does not keep the picture from being shown.
func (r *Record) readInformation(img *Image, s tlv.String) {
	fields, ok := r.fields(s)
	format, ok1 := r.fields(fields[tagDataFormat])
	if !ok || !ok1 || s.Empty() {
		r.deviate(DevInformation)
		return
	}
	if img.Codec != Unknown {
		code, ok := number(format[tagFirst])
		match := img.Codec == JPEG && code == codeJPEG ||
			img.Codec == JPEG2000 && (code == codeJPEG2000 || code == codeJPEG2000Full)
		if !ok || !match {
			r.deviate(DevImageDataType)
		}
	}
	size, ok := fields[tagSize]
	if !ok {
		return // it is optional
	}
	sides, ok := r.fields(size)
	width, ok1 := number(sides[tagFirst])
	height, ok2 := number(sides[tagSecond])
	if !ok || !ok1 || !ok2 {
		r.deviate(DevInformation)
		return
	}
	img.Width, img.Height = width, height
}

// fields takes a SEQUENCE apart. Fields that are not known stay in the map:
// the standard leaves room for extensions. A field that is there twice is
// refused, because readers would differ in which one they take.
func (r *Record) fields(s tlv.String) (map[tlv.Tag]tlv.String, bool) {
	fields := make(map[tlv.Tag]tlv.String)
	var last tlv.Tag
	for !s.Empty() {
		var v tlv.String
		tag, ok := s.PeekTag()
		if !ok || len(fields) == maxFields || !r.read(&s, &v, tag) {
			return nil, false
		}
		if _, twice := fields[tag]; twice {
			return nil, false
		}
		// Without the bit for constructed, context tags ascend.
		if order := tag &^ 0x20; order < last {
			r.deviate(DevOrder)
		} else {
			last = order
		}
		fields[tag] = v
	}
	return fields, true
}

// read reads an object with the tag want, and notes a length in more bytes
// than it needs.
func (r *Record) read(s, value *tlv.String, want tlv.Tag) bool {
	rest := *s
	var tag tlv.Tag
	minimal := rest.Read(value, &tag)
	if !minimal && !rest.ReadLenient(value, &tag) || tag != want {
		return false
	}
	if !minimal {
		r.deviate(DevLength)
	}
	*s = rest
	return true
}

func (r *Record) rest(s tlv.String) {
	if !s.Empty() {
		r.deviate(DevTrailingData)
	}
}

// number reads the value of an INTEGER or ENUMERATED from 0 to 65535.
func number(s tlv.String) (int, bool) {
	if len(s) < 1 || len(s) > 3 || s[0] >= 0x80 {
		return 0, false
	}
	n := 0
	for _, c := range s {
		n = n<<8 | int(c)
	}
	return n, n <= 0xFFFF
}
