package cms

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

const oidCountryName = "2.5.4.6"

// maxAttributes bounds the attributes of a name; certificates of states have up
// to eight.
const maxAttributes = 32

// Name is a distinguished name (RFC 5280, 4.1.2.4). The zero value is the empty
// name.
type Name struct {
	Raw        []byte // DER, as read
	attributes []attribute
}

type attribute struct {
	oid   string
	value string // UTF-8
	first bool   // begins a relative distinguished name
	tag   asn1.Tag
}

// ReadName reads one name and advances s. It reports whether the name is well
// formed; n shares memory with s.
func ReadName(s *cryptobyte.String, n *Name) bool { return readName(s, n) }

func readName(s *cryptobyte.String, name *Name) bool {
	var raw, rdns cryptobyte.String
	if !s.ReadASN1Element(&raw, asn1.SEQUENCE) {
		return false
	}
	const few = 4 // most names have three or four: state, organisation, name
	name.Raw, name.attributes = raw, make([]attribute, 0, few)
	if !raw.ReadASN1(&rdns, asn1.SEQUENCE) {
		return false
	}
	for !rdns.Empty() {
		var rdn cryptobyte.String
		if !rdns.ReadASN1(&rdn, asn1.SET) || rdn.Empty() {
			return false
		}
		for first := true; !rdn.Empty(); first = false {
			var pair, value cryptobyte.String
			var tag asn1.Tag
			a := attribute{first: first}
			if !rdn.ReadASN1(&pair, asn1.SEQUENCE) || !readOID(&pair, &a.oid) ||
				!pair.ReadAnyASN1(&value, &tag) || !pair.Empty() || len(name.attributes) == maxAttributes {
				return false
			}
			a.value, a.tag = directoryString(value, tag), tag
			name.attributes = append(name.attributes, a)
		}
	}
	return true
}

// directoryString returns the text of a string type. Octets that are not UTF-8
// are taken for ISO 8859-1, which is what TeletexString and mislabelled strings
// hold in practice.
func directoryString(value []byte, tag asn1.Tag) string {
	const bmpString = asn1.Tag(30)
	if tag == bmpString && len(value)%2 == 0 {
		units := make([]uint16, 0, len(value)/2)
		s := cryptobyte.String(value)
		for unit := uint16(0); s.ReadUint16(&unit); {
			units = append(units, unit)
		}
		return string(utf16.Decode(units))
	}
	if utf8.Valid(value) {
		return string(value)
	}
	latin := make([]rune, len(value))
	for i, b := range value {
		latin[i] = rune(b)
	}
	return string(latin)
}

// Country returns the countryName in upper case, or "" when there is none of
// exactly two letters. Certificates of five states hold it in lower case
// (Doc 9303-12, 7.1.1 asks for upper case).
func (n Name) Country() string {
	for _, a := range n.attributes {
		if a.oid != oidCountryName {
			continue
		}
		code := []byte(strings.TrimSpace(a.value))
		if len(code) != 2 {
			return ""
		}
		for i, c := range code {
			// ASCII only: other alphabets have letters whose capitals are ours.
			if c |= 0x20; c < 'a' || c > 'z' {
				return ""
			}
			code[i] &^= 0x20
		}
		return string(code)
	}
	return ""
}

// countryConforms reports whether every countryName is a PrintableString in upper
// case (Doc 9303-12, 7.1, table 6).
func (n Name) countryConforms() bool {
	for _, a := range n.attributes {
		if a.oid == oidCountryName && (a.tag != asn1.PrintableString || a.value != strings.ToUpper(a.value)) {
			return false
		}
	}
	return true
}

var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.5": "serialNumber", oidCountryName: "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU",
}

// String returns the name as a person would write it, in the order of the
// certificate: "C=DE, O=bund, CN=csca-germany". Characters that do not print are
// replaced. It is for display and is not unique.
func (n Name) String() string {
	var b strings.Builder
	for i, a := range n.attributes {
		switch {
		case i > 0 && a.first:
			b.WriteString(", ")
		case i > 0:
			b.WriteByte('+')
		}
		key, ok := attributeNames[a.oid]
		if !ok {
			key = a.oid
		}
		b.WriteString(key + "=")
		b.WriteString(strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return unicode.ReplacementChar
			}
			return r
		}, a.value))
	}
	return b.String()
}

// Equal reports whether both names are the same: equal as DER, or equal in
// every attribute without regard to case, to the string type and to repeated
// spaces (RFC 5280, 7.1). Documents exist whose SignerInfo writes the issuer
// with another string type than the certificate.
func (n Name) Equal(other Name) bool {
	return bytes.Equal(n.Raw, other.Raw) || n.Key() == other.Key()
}

// Key returns a text that is the same exactly for names that are [Name.Equal]:
// the key of a look-up by name.
func (n Name) Key() string {
	var b strings.Builder
	for _, a := range n.attributes {
		value := strings.Map(fold, strings.Join(strings.Fields(a.value), " "))
		// Lengths instead of separators: a value may hold any character.
		fmt.Fprintf(&b, "%t %s %d:%s", a.first, a.oid, len(value), value)
	}
	return b.String()
}

// fold returns the least of the characters that differ from r in case alone.
func fold(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}
