package reader

import (
	"bytes"
	"regexp"
	"strings"
)

// Kind tells what a reader is for, as far as its name and the card on it show.
// Lower is better for reading a contactless document.
type Kind uint8

const (
	// KindUnknown is the zero value: the name says nothing.
	KindUnknown Kind = iota
	// Contactless is a reader with an antenna, or that half of one with both.
	Contactless
	// Contact is a slot for cards with contacts.
	Contact
	// SAM is a slot inside a reader for a module that never leaves it.
	SAM
	// Token is a USB device that is reader and card in one: a signing token or
	// a security key.
	Token
	// Virtual is a reader that the system invents for itself, for example that
	// of Windows Hello.
	Virtual
)

// String returns the kind in lower case, as the command line prints it.
func (k Kind) String() string {
	switch k {
	case Contactless:
		return "contactless"
	case Contact:
		return "contact"
	case SAM:
		return "sam"
	case Token:
		return "token"
	case Virtual:
		return "virtual"
	default:
		return "unknown"
	}
}

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Ignored reports whether nobody can lay a document on a reader of this kind.
// Such readers often hold a card for ever, so taking "the reader that has a
// card" would take them.
func (k Kind) Ignored() bool { return k == SAM || k == Token || k == Virtual }

// class orders kinds for reading documents: what is unknown is tried before
// what surely is the wrong slot.
func (k Kind) class() int {
	switch k {
	case Contactless:
		return 0
	case KindUnknown:
		return 1
	case Contact:
		return 2
	case SAM:
		return 3
	case Token:
		return 4
	default:
		return 5
	}
}

// kindOf reads names as vendors, drivers and systems write them. Each row of
// the table in the tests has its source. The first pattern that fits decides.
var kindOf = []struct {
	pattern *regexp.Regexp
	kind    Kind
}{
	{regexp.MustCompile(`(?i)^windows hello|microsoft virtual smart card|^microsoft uicc|virtual ?reader`), Virtual},
	{regexp.MustCompile(`(?i)\byubikey\b|\bnitrokey\b|\bcanokeys?\b|\be-?pass2003|\be-?token\b|\busb token\b`), Token},
	// A driver without words for the slots. The third is that of the SAM. Which
	// of the others has the antenna differs: the ACR1581U counts it first, the
	// ACR1281U-C1 second on Linux and, by what one list says, first on macOS. See
	// their pages in firmware-notes/readers; quirks and cards tell.
	{regexp.MustCompile(`^ACS ACR1(281|581) 1S Dual Reader( 00 02| ?\(3\))`), SAM},
	{regexp.MustCompile(`^ACS ACR125[12] 1S CL Reader ?\(2\)`), SAM},
	{regexp.MustCompile(`^ACS ACR1(281|581) 1S Dual Reader( 00 0[01]| ?\([12]\))`), KindUnknown},
}

// slotWord are the words by which the halves of a reader tell themselves apart.
// Of several the last decides: "1S CL Reader SAM".
var slotWord = regexp.MustCompile(`(?i)\bsam\d*\b|\bpicc\b|contactless|[0-9 :-]cl\b|\bicc\b|contact(?:l?[^a-z]|$)`)

// antenna marks models that have an antenna and no word for it.
var antenna = regexp.MustCompile(`(?i)\brfid\b|\bnfc\b|felica|pasori|\bpn53\d|\bpr533\b|scl3711|omnikey 502\d\b|cyberjack wave|\bidtoken\b|(utrust|cloud) 37\d\d|acr122\b|acr125[125]\b`)

// KindOf tells what kind of reader has this name. With the answer to reset of
// the card on it, a name that says nothing still is a reader with an antenna if
// the answer is one that only such readers make up (PC/SC part 3, 3.1.3.2.3).
func KindOf(name string, atr []byte) Kind {
	for _, k := range kindOf {
		if k.pattern.MatchString(name) {
			return k.kind.orSeen(atr)
		}
	}
	if words := slotWord.FindAllString(inner(name), -1); len(words) > 0 {
		switch w := strings.ToLower(words[len(words)-1]); {
		case strings.HasPrefix(w, "sam"):
			return SAM
		case w == "picc", w == "contactless", strings.HasSuffix(w, "cl"):
			return Contactless
		default:
			return Contact
		}
	}
	if antenna.MatchString(name) {
		return Contactless
	}
	return KindUnknown.orSeen(atr)
}

// orSeen replaces what is unknown by what the answer to reset shows.
func (k Kind) orSeen(atr []byte) Kind {
	// TS, T0 with TD1 alone and the number of historical bytes, TD1 for T=0
	// with TD2, TD2 for T=1.
	if k == KindUnknown && len(atr) > 4 && atr[0] == 0x3B && atr[1]&0xF0 == 0x80 && bytes.Equal(atr[2:4], []byte{0x80, 0x01}) {
		return Contactless
	}
	return k
}

// inner returns the interface that pcsc-lite sets in square brackets, or the
// whole name if there is none.
func inner(name string) string {
	if i := strings.IndexByte(name, '['); i >= 0 {
		if in, _, ok := strings.Cut(name[i+1:], "]"); ok {
			return in
		}
	}
	return name
}

// slotNumbers ends a reader's name: pcsc-lite appends two hexadecimal numbers,
// of the reader and of the slot; Windows appends one decimal number.
var slotNumbers = regexp.MustCompile(`( [0-9A-F]{2} [0-9A-F]{2}| [0-9]{1,2})$`)

// serialNumber is what pcsc-lite takes from the USB descriptor and sets in
// round brackets, after the interface in square ones; Gemalto's driver for
// Windows puts it behind an underscore. A number of one digit is that of the
// slot on macOS.
var serialNumber = regexp.MustCompile(`( \([^()\[\]]{4,}\)|_[0-9]{6,})$`)

// Model returns the name of a reader without what differs between two devices
// of the same model: the numbers of reader and slot, and the serial number.
// The interface stays: the two halves of a dual-interface reader differ.
func Model(name string) string {
	name = slotNumbers.ReplaceAllString(strings.TrimSpace(name), "")
	name = serialNumber.ReplaceAllString(name, "")
	return strings.TrimSpace(name)
}
