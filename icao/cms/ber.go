package cms

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// maxDepth bounds the nesting of constructed elements. A SignedData with
// certificates nests about fifteen deep; recursion stops here.
const maxDepth = 32

var errBER = errors.New("cms: malformed BER")

// toDER returns in with definite, minimal lengths and primitive OCTET STRINGs:
// the part of BER that SignedData from the field is met with. Input that has
// these already, which is nearly all, is returned as it is, so that hashed
// bytes stay the bytes that were read. Other rules of DER (the order of a SET,
// the value of a BOOLEAN) are not touched.
//
// Each level copies its content once at most, so the work is bounded by
// maxDepth times the length of the input.
func toDER(in []byte) (out []byte, deviations []string, err error) {
	if isDefinite(in, 0) {
		return in, nil, nil
	}
	s := cryptobyte.String(in)
	var r berReader
	out, ok := r.element(nil, &s, 0)
	if !ok || !s.Empty() {
		return nil, nil, errBER
	}
	return out, r.deviations, nil
}

// isDefinite reports whether every element in s has a definite, minimal length
// and no OCTET STRING is constructed. It says no to anything malformed, and to
// the end-of-contents marker, which belongs to indefinite lengths.
func isDefinite(s cryptobyte.String, depth int) bool {
	if depth > maxDepth {
		return false
	}
	for !s.Empty() {
		var h header
		var content []byte
		if !readHeader(&s, &h) || h.indefinite || !h.minimal || h.tag == 0 || h.tag == constructedOctetString || !s.ReadBytes(&content, h.length) {
			return false
		}
		if h.constructed() && !isDefinite(content, depth+1) {
			return false
		}
	}
	return true
}

const constructedOctetString = asn1.OCTET_STRING | 0x20

// header is the identifier and length of one element.
type header struct {
	tag        asn1.Tag
	length     int
	indefinite bool
	minimal    bool // the length is encoded as DER would
}

func (h header) constructed() bool { return h.tag&0x20 != 0 }

// endOfContents reports the marker that ends an indefinite length (X.690, 8.1.5).
func (h header) endOfContents() bool {
	return h.tag == 0 && h.length == 0 && !h.indefinite && h.minimal
}

func readHeader(s *cryptobyte.String, h *header) bool {
	var tag, first byte
	if !s.ReadUint8(&tag) || !s.ReadUint8(&first) || tag&0x1f == 0x1f {
		return false // tag numbers above 30 occur nowhere in these structures
	}
	*h = header{tag: asn1.Tag(tag), length: int(first), minimal: true}
	switch {
	case first < 0x80:
		return true
	case first == 0x80:
		h.length, h.indefinite = 0, true
		return h.constructed()
	case first > 0x84:
		return false // more than four octets of length
	}
	var n uint64
	for i := 0; i < int(first&0x7f); i++ {
		var b byte
		if !s.ReadUint8(&b) {
			return false
		}
		if i == 0 && b == 0 {
			h.minimal = false
		}
		n = n<<8 | uint64(b)
	}
	if n < 0x80 {
		h.minimal = false
	}
	if n > maxSize {
		return false
	}
	h.length = int(n)
	return true
}

type berReader struct {
	deviations []string
}

// element appends the next element of s to dst in definite form.
func (r *berReader) element(dst []byte, s *cryptobyte.String, depth int) ([]byte, bool) {
	var h header
	if !readHeader(s, &h) || h.endOfContents() {
		return nil, false
	}
	return r.body(dst, s, h, depth)
}

func (r *berReader) body(dst []byte, s *cryptobyte.String, h header, depth int) ([]byte, bool) {
	if depth > maxDepth {
		return nil, false
	}
	if !h.minimal {
		note(&r.deviations, DevNonMinimalLength)
	}
	if !h.constructed() {
		var content []byte
		if !s.ReadBytes(&content, h.length) {
			return nil, false
		}
		return appendElement(dst, h.tag, content), true
	}

	tag, join := h.tag, false
	if h.tag == constructedOctetString {
		note(&r.deviations, DevConstructedString)
		tag, join = asn1.OCTET_STRING, true
	}
	children := s
	if h.indefinite {
		note(&r.deviations, DevIndefiniteLength)
	} else {
		var content []byte
		if !s.ReadBytes(&content, h.length) {
			return nil, false
		}
		inner := cryptobyte.String(content)
		children = &inner
	}

	var content []byte
	for {
		if !h.indefinite && children.Empty() {
			return appendElement(dst, tag, content), true
		}
		var child header
		if !readHeader(children, &child) {
			return nil, false
		}
		if child.endOfContents() {
			if !h.indefinite {
				return nil, false
			}
			return appendElement(dst, tag, content), true
		}
		if !join {
			var ok bool
			if content, ok = r.body(content, children, child, depth+1); !ok {
				return nil, false
			}
			continue
		}
		// X.690, 8.7.3: the parts of a string are strings of the same kind.
		if child.tag != asn1.OCTET_STRING && child.tag != constructedOctetString {
			return nil, false
		}
		part, ok := r.body(nil, children, child, depth+1)
		var value cryptobyte.String
		if p := cryptobyte.String(part); !ok || !p.ReadASN1(&value, asn1.OCTET_STRING) {
			return nil, false
		}
		content = append(content, value...)
	}
}

// appendElement appends tag, minimal length and content.
func appendElement(dst []byte, tag asn1.Tag, content []byte) []byte {
	dst = append(dst, byte(tag))
	switch n := len(content); {
	case n < 0x80:
		dst = append(dst, byte(n))
	case n < 1<<8:
		dst = append(dst, 0x81, byte(n))
	case n < 1<<16:
		dst = append(dst, 0x82, byte(n>>8), byte(n))
	case n < 1<<24:
		dst = append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, content...)
}
