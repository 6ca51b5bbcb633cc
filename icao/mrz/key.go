package mrz

import (
	"crypto/sha1"
	"fmt"
	"strings"
)

// minNumberLen is the width of the document number in every format; shorter
// numbers are filled up (Doc 9303-4, 4.2.2). maxNumberLen is the longest
// number that fits: nine characters, and of the fifteen of a TD1's optional
// data all but the check digit and the filler after it (Doc 9303-5, 4.2.4).
const (
	minNumberLen = 9
	maxNumberLen = 22
)

const redacted = "[redacted]"

// A Key is what the machine readable zone gives for access to the chip: the
// SHA-1 of the MRZ information (Doc 9303-11, 4.3.2 and 9.7.3). It is a
// secret and cannot be compared with ==; every way of printing or encoding it
// gives "[redacted]".
//
// The zero Key belongs to no document; see [Key.IsZero]. A Key may be copied,
// and used concurrently.
type Key struct {
	// hash returns the hash. A function, because fmt does not call Format for
	// a Key in an unexported field of another type: all it can print then is
	// an address.
	hash func() [sha1.Size]byte
}

// NewKey makes the Key of a document from three fields of its MRZ, without
// their check digits: the document number, complete even where the MRZ has it
// in two pieces, with or without fillers at its end; the date of birth and the
// date of expiry as YYMMDD. Unknown parts of the date of birth are as printed,
// fillers or 00.
//
// Only the characters of an MRZ are accepted (A-Z, 0-9 and <). A field that is
// malformed gives an [*Error].
func NewKey(documentNumber, dateOfBirth, dateOfExpiry string) (Key, error) {
	number := strings.TrimRight(documentNumber, "<")
	if len(number) == 0 || len(number) > maxNumberLen {
		return Key{}, &Error{Class: BadLength, Field: DocumentNumber}
	}
	number = pad(number, minNumberLen)
	var info strings.Builder
	for _, f := range []struct {
		field Field
		value string
	}{
		{DocumentNumber, number},
		{DateOfBirth, dateOfBirth},
		{DateOfExpiry, dateOfExpiry},
	} {
		cd, ok := CheckDigit(f.value)
		if !ok {
			return Key{}, &Error{Class: BadCharacter, Field: f.field}
		}
		info.WriteString(f.value)
		info.WriteByte(cd)
	}
	if !validDate(dateOfBirth, true) {
		return Key{}, &Error{Class: BadDate, Field: DateOfBirth}
	}
	if !validDate(dateOfExpiry, false) {
		return Key{}, &Error{Class: BadDate, Field: DateOfExpiry}
	}
	hash := sha1.Sum([]byte(info.String()))
	return Key{hash: func() [sha1.Size]byte { return hash }}, nil
}

// Key returns the Key of the document. The error is that of [NewKey]; an MRZ
// from [Parse] has none.
func (m MRZ) Key() (Key, error) {
	return NewKey(m.DocumentNumber, m.DateOfBirth, m.DateOfExpiry)
}

// Hash returns the SHA-1 of the MRZ information. Its first 16 bytes are the
// key seed of basic access control (Doc 9303-11, 4.3.2); all 20 are the
// password of PACE (Doc 9303-11, 9.7.3). The result is a secret; for the zero
// Key it is zero.
func (k Key) Hash() [20]byte {
	if k.hash == nil {
		return [20]byte{}
	}
	return k.hash()
}

// IsZero reports whether k is the zero Key.
func (k Key) IsZero() bool { return k.hash == nil }

// Format prints "[redacted]" for every verb, so that no verb prints the hash.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String returns "[redacted]".
func (k Key) String() string { return redacted }

// GoString returns "[redacted]".
func (k Key) GoString() string { return redacted }

// MarshalText returns "[redacted]"; encoding/json and log/slog use it.
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

func pad(s string, n int) string {
	if len(s) >= n {
		return s
	}
	return s + strings.Repeat("<", n-len(s))
}
