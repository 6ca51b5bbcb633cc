package cms

import (
	"math/big"
	"strconv"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Context-specific tags of the structures read here.
var (
	explicit0 = asn1.Tag(0).ContextSpecific().Constructed()
	explicit1 = asn1.Tag(1).ContextSpecific().Constructed()
	explicit2 = asn1.Tag(2).ContextSpecific().Constructed()
	explicit3 = asn1.Tag(3).ContextSpecific().Constructed()
	implicit0 = asn1.Tag(0).ContextSpecific()
	implicit1 = asn1.Tag(1).ContextSpecific()
	implicit2 = asn1.Tag(2).ContextSpecific()
)

// maxOIDLength bounds the content octets of an object identifier. The longest
// in use, a UUID arc (2.25.n), has 20.
const maxOIDLength = 64

// ReadOID reads an OBJECT IDENTIFIER of any arcs, in dotted decimal, and advances
// s. It reports whether it is well formed.
func ReadOID(s *cryptobyte.String, oid *string) bool { return readOID(s, oid) }

// readOID reads an OBJECT IDENTIFIER and returns it in dotted decimal. Unlike
// cryptobyte it reads arcs of any size: an extension may be named by a UUID.
func readOID(s *cryptobyte.String, oid *string) bool {
	var content cryptobyte.String
	if !s.ReadASN1(&content, asn1.OBJECT_IDENTIFIER) || content.Empty() || len(content) > maxOIDLength {
		return false
	}
	text := make([]byte, 0, 64)
	first := true
	for !content.Empty() {
		// Arcs of 63 bits, which are all but the UUIDs, need no big integer.
		var small uint64
		var large *big.Int
		var b byte
		for n := 0; ; n++ {
			if !content.ReadUint8(&b) || n == 0 && b == 0x80 { // truncated, or padded with a leading zero digit
				return false
			}
			if n == 9 {
				large = new(big.Int).SetUint64(small)
			}
			if large != nil {
				large.Lsh(large, 7)
				large.Or(large, big.NewInt(int64(b&0x7f)))
			} else {
				small = small<<7 | uint64(b&0x7f)
			}
			if b&0x80 == 0 {
				break
			}
		}
		// X.690, 8.19.4: the first two arcs share a number; the first is 0, 1 or 2.
		if first {
			first = false
			top := uint64(2)
			if large == nil && small < 80 {
				top = small / 40
			}
			text = strconv.AppendUint(text, top, 10)
			if large != nil {
				large.Sub(large, new(big.Int).SetUint64(40*top))
			} else {
				small -= 40 * top
			}
		}
		text = append(text, '.')
		if large != nil {
			text = append(text, large.String()...) // so that text stays on the stack
		} else {
			text = strconv.AppendUint(text, small, 10)
		}
	}
	*oid = string(text)
	return true
}

// algorithmID is an AlgorithmIdentifier (RFC 5280, 4.1.1.2).
type algorithmID struct {
	raw    []byte            // the whole element
	oid    string            // dotted decimal
	params cryptobyte.String // the parameters element, nil when absent
}

func readAlgorithmID(s *cryptobyte.String, a *algorithmID) bool {
	var raw, body cryptobyte.String
	if !s.ReadASN1Element(&raw, asn1.SEQUENCE) {
		return false
	}
	a.raw = raw
	if !raw.ReadASN1(&body, asn1.SEQUENCE) || !readOID(&body, &a.oid) {
		return false
	}
	a.params = nil
	if body.Empty() {
		return true
	}
	var tag asn1.Tag
	return body.ReadAnyASN1Element(&a.params, &tag) && body.Empty()
}

// absentOrNull reports whether the parameters are missing or NULL, the two forms
// that hash and PKCS #1 v1.5 identifiers are met with.
func (a *algorithmID) absentOrNull() bool {
	if a.params == nil {
		return true
	}
	p := a.params
	var null cryptobyte.String
	return p.ReadASN1(&null, asn1.NULL) && null.Empty() && p.Empty()
}

// readBoolean reads a BOOLEAN, taking any non-zero octet for true as BER does.
// der is false when the octet is neither 00 nor FF.
func readBoolean(s *cryptobyte.String, value, der *bool) bool {
	var content cryptobyte.String
	var b byte
	if !s.ReadASN1(&content, asn1.BOOLEAN) || !content.ReadUint8(&b) || !content.Empty() {
		return false
	}
	*value, *der = b != 0, b == 0 || b == 0xff
	return true
}
