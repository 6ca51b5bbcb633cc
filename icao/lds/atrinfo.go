package lds

import (
	"errors"

	"github.com/chamthe/chamthe/icao/tlv"
)

// ErrATRInfo reports an EF.ATR/INFO that cannot be taken apart.
var ErrATRInfo = errors.New("lds: malformed EF.ATR/INFO")

// DevNoLengths is a deviation of an EF.ATR/INFO that says nothing about lengths,
// which is all that Doc 9303-10 has it for (3.11.1; BSI TR-03105-5.1, LDS_K_04).
const DevNoLengths = "lds: extended length information is missing"

// ATRInfo is what EF.ATR/INFO says about the lengths that a card can handle.
// Zero means that it says nothing: extended length is not to be used then
// (Doc 9303-10, 3.6.4.2).
type ATRInfo struct {
	MaxCommand  int // bytes of the longest command APDU
	MaxResponse int // bytes of the longest response APDU
}

// MaxNe returns the response data that fits into the longest response, for
// [ReadOptions.MaxNe]: without status word, at most 65536; 0 when the card
// does not say.
func (a ATRInfo) MaxNe() int { return max(0, min(a.MaxResponse-2, 65536)) }

// ParseATRInfo parses EF.ATR/INFO (Doc 9303-10, 3.11.1), of which only the
// extended length information (7F66) is used. The ATRInfo is zero on error.
func ParseATRInfo(b []byte) (ATRInfo, error) { return parseATRInfo(b, new(deviations)) }

func parseATRInfo(b []byte, dev *deviations) (ATRInfo, error) {
	var a ATRInfo
	s := tlv.String(b)
	for !s.Empty() {
		if s[0] == 0 { // padding between or after data objects
			dev.note(DevPadding)
			s.Skip(1)
			continue
		}
		var v tlv.String
		var tag tlv.Tag
		if !dev.read(&s, &v, &tag) {
			return ATRInfo{}, ErrATRInfo
		}
		if tag != 0x7F66 {
			continue
		}
		command, ok1 := readLength(&v)
		response, ok2 := readLength(&v)
		if !ok1 || !ok2 || !v.Empty() || a != (ATRInfo{}) {
			return ATRInfo{}, ErrATRInfo
		}
		a = ATRInfo{MaxCommand: command, MaxResponse: response}
	}
	if a == (ATRInfo{}) {
		dev.note(DevNoLengths)
	}
	return a, nil
}

// readLength reads a positive INTEGER of at most three bytes.
func readLength(s *tlv.String) (int, bool) {
	var v tlv.String
	if !s.ReadTag(&v, 0x02) || len(v) < 1 || len(v) > 3 || v[0] >= 0x80 {
		return 0, false
	}
	n := 0
	for _, c := range v {
		n = n<<8 | int(c)
	}
	return n, n > 0
}
