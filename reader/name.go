package reader

import (
	"regexp"
	"strings"
)

// slotNumbers ends a reader's name: pcsc-lite appends two hexadecimal numbers,
// of the reader and of the slot; Windows appends one decimal number.
var slotNumbers = regexp.MustCompile(`( [0-9A-F]{2} [0-9A-F]{2}| [0-9]{1,2})$`)

// serialNumber is what pcsc-lite takes from the USB descriptor and sets in
// round brackets, after the interface in square ones.
var serialNumber = regexp.MustCompile(` \([^()\[\]]*\)$`)

// Model returns the name of a reader without what differs between two devices
// of the same model: the numbers of reader and slot, and the serial number.
// The interface stays: the two halves of a dual-interface reader differ.
func Model(name string) string {
	name = slotNumbers.ReplaceAllString(strings.TrimSpace(name), "")
	name = serialNumber.ReplaceAllString(name, "")
	return strings.TrimSpace(name)
}
