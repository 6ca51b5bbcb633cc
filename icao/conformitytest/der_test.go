package conformitytest

import (
	"bytes"
	"slices"
	"testing"
)

// A node is a data object that can be changed: DER and BER-TLV are taken apart
// and put together again, with all lengths made anew. It is written apart from the
// module's own readers and trusts its input.
type node struct {
	tag  []byte
	kids []*node // of a constructed object
	val  []byte  // of a primitive one
}

func (n *node) constructed() bool { return n.tag[0]&0x20 != 0 }

// parseNodes takes a sequence of data objects apart.
func parseNodes(t testing.TB, b []byte) []*node {
	t.Helper()
	var all []*node
	for len(b) > 0 {
		i := 1
		if b[0]&0x1F == 0x1F {
			for b[i]&0x80 != 0 {
				i++
			}
			i++
		}
		n := &node{tag: slices.Clone(b[:i])}
		size := int(b[i])
		i++
		if size >= 0x80 {
			count := size & 0x7F
			size = 0
			for range count {
				size = size<<8 | int(b[i])
				i++
			}
		}
		if i+size > len(b) {
			t.Fatal("a test's own data object does not end")
		}
		if body := b[i : i+size]; n.constructed() {
			n.kids = parseNodes(t, body)
		} else {
			n.val = slices.Clone(body)
		}
		all = append(all, n)
		b = b[i+size:]
	}
	return all
}

// parseNode takes one data object apart.
func parseNode(t testing.TB, b []byte) *node {
	t.Helper()
	all := parseNodes(t, b)
	if len(all) != 1 {
		t.Fatalf("%d data objects in place of one", len(all))
	}
	return all[0]
}

// length encodes a length in as few bytes as possible.
func length(n int) []byte {
	switch {
	case n < 0x80:
		return []byte{byte(n)}
	case n < 0x100:
		return []byte{0x81, byte(n)}
	case n < 0x10000:
		return []byte{0x82, byte(n >> 8), byte(n)}
	default:
		return []byte{0x83, byte(n >> 16), byte(n >> 8), byte(n)}
	}
}

func (n *node) body() []byte {
	if !n.constructed() {
		return n.val
	}
	var b []byte
	for _, k := range n.kids {
		b = append(b, k.bytes()...)
	}
	return b
}

func (n *node) bytes() []byte {
	body := n.body()
	return slices.Concat(n.tag, length(len(body)), body)
}

// tlv encodes a data object; the tag is written as in hexadecimal.
func tlv(tag int, body ...[]byte) []byte {
	value := slices.Concat(body...)
	var t []byte
	for ; tag > 0; tag >>= 8 {
		t = append(t, byte(tag))
	}
	slices.Reverse(t)
	return slices.Concat(t, length(len(value)), value)
}

// find returns the first data object with a tag, at any depth.
func (n *node) find(tag ...byte) *node {
	if bytes.Equal(n.tag, tag) {
		return n
	}
	for _, k := range n.kids {
		if f := k.find(tag...); f != nil {
			return f
		}
	}
	return nil
}

// remove takes a kid away, wherever it is.
func (n *node) remove(kid *node) {
	n.kids = slices.DeleteFunc(n.kids, func(k *node) bool { return k == kid })
	for _, k := range n.kids {
		k.remove(kid)
	}
}

// set makes a node a copy of what b encodes.
func (n *node) set(t testing.TB, b []byte) {
	t.Helper()
	*n = *parseNode(t, b)
}

// Object identifiers, encoded.
var (
	oidMD5            = []byte{0x06, 0x08, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x02, 0x05}
	oidMD5WithRSA     = []byte{0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x04}
	oidMessageDigest  = []byte{0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x04}
	oidData           = []byte{0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01}
	oidAuthorityKeyID = []byte{0x55, 0x1D, 0x23}
	oidKeyUsage       = []byte{0x55, 0x1D, 0x0F}
	asn1Null          = []byte{0x05, 0x00}
)
