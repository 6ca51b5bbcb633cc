// Package tlv reads and writes the BER-TLV data objects of chip cards
// (ISO/IEC 7816-4:2020, 6.3; as used by ICAO Doc 9303, 8th edition).
//
// It is the only package of icao that cuts slices at bounds found in card
// data. [String] is a cursor in the manner of golang.org/x/crypto/cryptobyte:
// every read reports whether it succeeded, nothing is copied, nothing panics,
// and the caller names the field that was malformed and checks at the end
// that nothing is left over.
//
// Tags have at most three bytes and lengths at most three bytes after the
// first ([MaxLength]). The indefinite length, the tag 00 and longer tags are
// refused. [String.ReadLenient] and [Header] alone accept a length that is
// longer than it needs to be. Left out on purpose: SIMPLE-TLV, compact TLV,
// and any knowledge of what a tag means.
package tlv

// MaxLength is the length of the longest value that this package reads: what
// a length field of 83 and three more bytes can say. No file of a chip card
// comes near it.
const MaxLength = 0xFFFFFF

// maxTagLen is the number of bytes of the longest tag (ISO/IEC 7816-4, 6.3).
const maxTagLen = 3

// A Tag is the tag field of a data object, its bytes read as one big-endian
// number: 0x61, 0x5F1F, 0x7F61.
type Tag uint32

// Constructed reports whether the value of a data object with this tag is
// itself a sequence of data objects (bit 6 of the first byte).
func (t Tag) Constructed() bool {
	for t > 0xFF {
		t >>= 8
	}
	return t&0x20 != 0
}

// A String is bytes that are still to be read. Its methods advance it past
// what they return. A method that reports false has changed neither the
// String nor any of its results. What a method returns shares its memory with
// the String, and appending to it never overwrites the String's bytes.
//
// The zero value is an empty String. A String is not safe for concurrent use.
type String []byte

// Empty reports whether nothing is left to read.
func (s String) Empty() bool { return len(s) == 0 }

// Read reads the next data object, whatever its tag. The length must be
// encoded in as few bytes as possible. value and tag may be nil.
func (s *String) Read(value *String, tag *Tag) bool {
	return s.read(value, tag, false)
}

// ReadLenient is [String.Read], but accepts a length that is encoded in more
// bytes than it needs, such as 81 05. Some cards write them.
func (s *String) ReadLenient(value *String, tag *Tag) bool {
	return s.read(value, tag, true)
}

// ReadTag reads the next data object if it has exactly the tag want.
// value may be nil.
func (s *String) ReadTag(value *String, want Tag) bool {
	rest := *s
	var v String
	var t Tag
	if !rest.Read(&v, &t) || t != want {
		return false
	}
	*s = rest
	if value != nil {
		*value = v
	}
	return true
}

// ReadOptional reads the next data object if it has the tag want, and says in
// present whether it was there. Another tag, or the end, is not an error. A
// data object that begins with want and cannot be read is. value and present
// may be nil; value is only written when the data object is present.
func (s *String) ReadOptional(value *String, present *bool, want Tag) bool {
	t, ok := s.PeekTag()
	there := ok && t == want
	if there && !s.ReadTag(value, want) {
		return false
	}
	if !there && !s.Empty() && !ok {
		return false
	}
	if present != nil {
		*present = there
	}
	return true
}

// PeekTag returns the tag of the next data object without reading it.
func (s String) PeekTag() (Tag, bool) {
	t, _, ok := parseTag(s)
	return t, ok
}

// ReadBytes reads n bytes. out may be nil.
func (s *String) ReadBytes(out *[]byte, n int) bool {
	if n < 0 || n > len(*s) {
		return false
	}
	if out != nil {
		*out = (*s)[:n:n]
	}
	*s = (*s)[n:]
	return true
}

// Skip passes over n bytes.
func (s *String) Skip(n int) bool { return s.ReadBytes(nil, n) }

// ReadUint8 reads one byte.
func (s *String) ReadUint8(out *uint8) bool {
	var v uint32
	if !s.readUint(&v, 1) {
		return false
	}
	*out = uint8(v)
	return true
}

// ReadUint16 reads two bytes, the most significant first.
func (s *String) ReadUint16(out *uint16) bool {
	var v uint32
	if !s.readUint(&v, 2) {
		return false
	}
	*out = uint16(v)
	return true
}

// ReadUint32 reads four bytes, the most significant first.
func (s *String) ReadUint32(out *uint32) bool { return s.readUint(out, 4) }

func (s *String) readUint(out *uint32, n int) bool {
	var b []byte
	if !s.ReadBytes(&b, n) {
		return false
	}
	var v uint32
	for _, c := range b {
		v = v<<8 | uint32(c)
	}
	*out = v
	return true
}

func (s *String) read(value *String, tag *Tag, lenient bool) bool {
	t, headerLen, valueLen, ok := parseHeader(*s, lenient)
	if !ok {
		return false
	}
	rest := *s
	var v []byte
	if !rest.Skip(headerLen) || !rest.ReadBytes(&v, valueLen) {
		return false
	}
	*s = rest
	if value != nil {
		*value = v
	}
	if tag != nil {
		*tag = t
	}
	return true
}

// Header reads the tag and the length at the beginning of b, whose value need
// not be complete yet: reading a file of a card begins with its first bytes.
// It reports false when b is too short for them, or they are malformed. A
// length in more bytes than it needs is accepted here, because the file has
// to be read either way; the parser of the file decides.
func Header(b []byte) (tag Tag, headerLen, valueLen int, ok bool) {
	return parseHeader(b, true)
}

func parseHeader(b []byte, lenient bool) (tag Tag, headerLen, valueLen int, ok bool) {
	tag, tagLen, ok := parseTag(b)
	if !ok {
		return 0, 0, 0, false
	}
	rest := String(b)
	var first uint8
	if !rest.Skip(tagLen) || !rest.ReadUint8(&first) {
		return 0, 0, 0, false
	}
	if first < 0x80 {
		return tag, tagLen + 1, int(first), true
	}
	n := int(first & 0x7F) // 0: indefinite length, refused
	var length uint32
	if n < 1 || n > 3 || !rest.readUint(&length, n) {
		return 0, 0, 0, false
	}
	minimal := length >= 0x80 && length>>(8*(n-1)) != 0
	if !minimal && !lenient {
		return 0, 0, 0, false
	}
	return tag, tagLen + 1 + n, int(length), true
}

// parseTag reads a tag of one to three bytes. The first byte 00 is refused:
// on a card it is padding between or after data objects (ISO/IEC 7816-4,
// 6.3), never one of them.
//
// Tag numbers below 31 in two bytes are accepted although BER forbids them:
// Doc 9303-10 itself uses 5F01 and 5F0E.
func parseTag(b []byte) (tag Tag, n int, ok bool) {
	for i, c := range b {
		if i == 0 && c == 0 || i == 1 && c == 0x80 || i == maxTagLen {
			return 0, 0, false
		}
		tag = tag<<8 | Tag(c)
		more := i == 0 && c&0x1F == 0x1F || i > 0 && c&0x80 != 0
		if !more {
			return tag, i + 1, true
		}
	}
	return 0, 0, false
}
