package tlv

import "errors"

// ErrTooLong reports a value longer than [MaxLength] given to a [Builder].
var ErrTooLong = errors.New("tlv: value too long")

// ErrTag reports a tag given to a [Builder] that no [String] would read back.
var ErrTag = errors.New("tlv: unusable tag")

// Append appends a data object to dst and returns the extended slice, with
// the length in as few bytes as possible. The tag is written as its bytes,
// unchecked. A value longer than [MaxLength] is written in full, with a length
// field that no [String] reads; use a [Builder] where the length is not known
// to be small.
func Append(dst []byte, tag Tag, value []byte) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		if shift == 0 || tag>>shift != 0 {
			dst = append(dst, byte(tag>>shift))
		}
	}
	n := uint64(len(value))
	if n < 0x80 {
		dst = append(dst, byte(n))
		return append(dst, value...)
	}
	size := 1
	for n>>(8*size) != 0 {
		size++
	}
	dst = append(dst, 0x80|byte(size))
	for i := size - 1; i >= 0; i-- {
		dst = append(dst, byte(n>>(8*i)))
	}
	return append(dst, value...)
}

// A Builder writes nested data objects and keeps the first error. The zero
// value is ready for use. It is not safe for concurrent use.
type Builder struct {
	b   []byte
	err error
}

// Add appends a data object with the given value, which is copied.
func (b *Builder) Add(tag Tag, value []byte) {
	if b.err != nil {
		return
	}
	if len(value) > MaxLength {
		b.err = ErrTooLong
		return
	}
	header := Append(nil, tag, nil)
	if t, n, ok := parseTag(header); !ok || t != tag || n != len(header)-1 {
		b.err = ErrTag
		return
	}
	b.b = Append(b.b, tag, value)
}

// AddFunc appends a data object whose value is what f writes to its Builder.
func (b *Builder) AddFunc(tag Tag, f func(*Builder)) {
	var inner Builder
	f(&inner)
	if b.err == nil {
		b.err = inner.err
	}
	b.Add(tag, inner.b)
}

// AddBytes appends raw bytes, such as a data object that is already encoded.
func (b *Builder) AddBytes(raw []byte) {
	if b.err == nil {
		b.b = append(b.b, raw...)
	}
}

// Bytes returns what was written, or the first error. The slice stays the
// Builder's until its last use.
func (b *Builder) Bytes() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.b, nil
}
