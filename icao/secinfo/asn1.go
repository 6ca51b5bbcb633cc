package secinfo

import (
	"strconv"
	"strings"

	"github.com/chamthe/chamthe/icao/tlv"
)

// maxArc is the largest arc of an object identifier that is read. All the
// protocols known here are far below; an entry with a larger one stays raw.
const maxArc = 1<<32 - 1

// readOID reads an OBJECT IDENTIFIER (X.690, 8.19) in dotted decimal.
func (p *parser) readOID(s *tlv.String, oid *string) bool {
	var content tlv.String
	if !p.read(s, &content, tagOID) || content.Empty() {
		return false
	}
	var text strings.Builder
	for first := true; !content.Empty(); first = false {
		var arc uint64
		if !readArc(&content, &arc) {
			return false
		}
		if first {
			// The first two arcs share a number; the first is 0, 1 or 2.
			top := min(arc/40, 2)
			text.WriteString(strconv.FormatUint(top, 10))
			arc -= 40 * top
		}
		text.WriteByte('.')
		text.WriteString(strconv.FormatUint(arc, 10))
	}
	*oid = text.String()
	return true
}

// readArc reads digits of seven bits, the last without its high bit.
func readArc(s *tlv.String, arc *uint64) bool {
	for n := 0; ; n++ {
		var b uint8
		if !s.ReadUint8(&b) || n == 0 && b == 0x80 { // cut off, or a leading zero digit
			return false
		}
		if *arc = *arc<<7 | uint64(b&0x7F); *arc > maxArc {
			return false
		}
		if b&0x80 == 0 {
			return true
		}
	}
}

// readInt reads an INTEGER from 0 to 2^31-1.
func (p *parser) readInt(s *tlv.String, n *int) bool {
	var content tlv.String
	if !p.read(s, &content, tagInteger) || content.Empty() || len(content) > 4 {
		return false
	}
	var v uint32
	for i, b := range content {
		if i == 0 && b&0x80 != 0 { // negative
			return false
		}
		v = v<<8 | uint32(b)
	}
	*n = int(v)
	return true
}

// readOptionalID reads an INTEGER at the end of an entry if there is one.
func (p *parser) readOptionalID(s *tlv.String, id *int) bool {
	if *id = NoID; s.Empty() {
		return true
	}
	return p.readInt(s, id)
}

// readNumber reads a non-negative INTEGER of any size, big-endian, without
// regard to leading zeros.
func readNumber(s *tlv.String, n *[]byte) bool {
	var content tlv.String
	if !s.ReadTag(&content, tagInteger) || content.Empty() || content[0]&0x80 != 0 {
		return false
	}
	*n = content
	return true
}
