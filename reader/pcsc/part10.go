package pcsc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/chamthe/chamthe/reader"
)

// What a reader says of itself, by PC/SC part 10 (revision 2.02.09): a request
// whose answer lists control codes for features, and a feature that lists
// properties. Drivers that know nothing of it, and drivers that answer
// something else, are normal. Everything here is foreign input; nothing of it
// is believed that could only do harm.

const (
	featureTLVProperties = 0x12 // FEATURE_GET_TLV_PROPERTIES

	propertyFirmware  = 0x08 // sFirmwareID
	propertyMaxAPDU   = 0x0A // dwMaxAPDUDataSize
	propertyVendorID  = 0x0B // wIdVendor
	propertyProductID = 0x0C // wIdProduct

	attrVendorName    = 0x10100 // SCARD_ATTR_VENDOR_NAME
	attrVendorType    = 0x10101 // SCARD_ATTR_VENDOR_IFD_TYPE
	attrVendorVersion = 0x10102 // SCARD_ATTR_VENDOR_IFD_VERSION
)

// Bounds of what is looked at.
const (
	maxFeatures = 1024 // bytes: 170 features, of which some 20 are defined
	maxText     = 64   // bytes of a name or of a firmware's
	shortAPDU   = 256  // most response data of a short command
	longestAPDU = 0x10000
)

// eachTLV calls f for each element of b: one byte tag, one byte length, value.
// It stops at the first that is not whole.
func eachTLV(b []byte, f func(tag byte, value []byte)) {
	b = b[:min(len(b), maxFeatures)]
	for len(b) >= 2 {
		n := int(b[1])
		if len(b) < 2+n {
			return
		}
		f(b[0], b[2:2+n])
		b = b[2+n:]
	}
}

// featureCode returns the control code of a feature from the answer to
// CM_IOCTL_GET_FEATURE_REQUEST: values of four bytes, big-endian. The first
// one counts.
func featureCode(answer []byte, feature byte) (ioctl uint32, ok bool) {
	eachTLV(answer, func(tag byte, value []byte) {
		if tag == feature && len(value) == 4 && !ok {
			ioctl, ok = binary.BigEndian.Uint32(value), true
		}
	})
	return ioctl, ok
}

// parseProperties adds what the answer to FEATURE_GET_TLV_PROPERTIES says to c.
// Its numbers are little-endian, unlike those of the features.
func parseProperties(answer []byte, c *reader.Capabilities) {
	eachTLV(answer, func(tag byte, value []byte) {
		switch {
		case tag == propertyFirmware:
			c.Firmware = text(value)
		case tag == propertyMaxAPDU && len(value) == 4:
			c.MaxAPDU = maxAPDU(binary.LittleEndian.Uint32(value))
		case tag == propertyVendorID && len(value) == 2:
			c.VendorID = binary.LittleEndian.Uint16(value)
		case tag == propertyProductID && len(value) == 2:
			c.ProductID = binary.LittleEndian.Uint16(value)
		}
	})
}

// maxAPDU says what dwMaxAPDUDataSize means: 0 is short commands only, and
// 0x10000 is the most that extended ones carry, which libccid says of every
// reader that exchanges TPDUs or extended APDUs: a claim. Values that fit a
// short command are not defined; a driver that says one is not believed, for it
// could make every card unreadable.
func maxAPDU(n uint32) int {
	switch {
	case n == 0 || n == shortAPDU:
		return shortAPDU
	case n < shortAPDU:
		return 0
	default:
		return int(min(n, longestAPDU))
	}
}

// parseVersion reads SCARD_ATTR_VENDOR_IFD_VERSION: major in the upper byte,
// minor in the next, build in the lower half.
func parseVersion(b []byte) string {
	if len(b) != 4 {
		return ""
	}
	v := binary.NativeEndian.Uint32(b)
	if v == 0 {
		return ""
	}
	// libccid puts the device's bcdDevice there, so the digits are hexadecimal.
	version := fmt.Sprintf("%x.%02x", v>>24, v>>16&0xFF)
	if build := v & 0xFFFF; build != 0 {
		version += fmt.Sprintf(".%d", build)
	}
	return version
}

// text keeps what can be printed of a name that a device gives, up to the
// first NUL. It ends in logs and on screens.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	b = b[:min(len(b), maxText)]
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b)))
}

// Pseudo-APDUs of PC/SC part 3 (3.2.2.1.3): GET DATA, which the reader answers
// itself.
var (
	getUID = []byte{0xFF, 0xCA, 0x00, 0x00, 0x00}
	getATS = []byte{0xFF, 0xCA, 0x01, 0x00, 0x00}
)

// Bounds of what contactless cards say: a UID has 4, 7 or 10 bytes (ISO/IEC
// 14443-3) or 8 (ISO/IEC 15693), an answer to select at most 254 (ISO/IEC
// 14443-4).
const (
	maxUID = 10
	maxATS = 254
)

// pseudoData returns the data of an answer to a pseudo-APDU, and nothing for
// a refusal or for an answer that cannot be one.
func pseudoData(resp []byte, most int) []byte {
	data, ok := bytes.CutSuffix(resp, []byte{0x90, 0x00})
	if !ok || len(data) == 0 || len(data) > most {
		return nil
	}
	return bytes.Clone(data)
}
