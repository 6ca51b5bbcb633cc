package pn532

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
)

// A Target is a card that the module has activated.
type Target struct {
	number byte
	typeB  bool
	// Type A.
	sak byte
	ats []byte // after its length byte; nil without ISO/IEC 14443-4
	// Type B.
	application [4]byte // of ATQB
	protocol    [3]byte // of ATQB
	mbli        byte    // first byte of the answer to ATTRIB
}

var errTarget = errors.New("pn532: malformed description of a card")

// sakISODEP is the bit of SEL_RES that announces ISO/IEC 14443-4
// (ISO/IEC 14443-3, 6.5.3.4).
const sakISODEP = 0x20

// maxHistorical is how many historical bytes fit into an ATR (ISO/IEC 7816-3,
// 8.2.2).
const maxHistorical = 15

// parseTarget reads what InListPassiveTarget says of one card (UM 7.3.5). The
// identifier of the card is passed over: passports choose a new one each time,
// and nobody needs it.
func parseTarget(b []byte, typeB bool) (*Target, error) {
	t := &Target{typeB: typeB}
	s := cryptobyte.String(b)
	if !s.ReadUint8(&t.number) {
		return nil, errTarget
	}
	if typeB {
		var atqb, attrib cryptobyte.String
		var code byte
		if !s.ReadBytes((*[]byte)(&atqb), 12) || !atqb.ReadUint8(&code) || code != 0x50 || !atqb.Skip(4) ||
			!atqb.CopyBytes(t.application[:]) || !atqb.CopyBytes(t.protocol[:]) {
			return nil, errTarget
		}
		// Modules are known to leave the answer to ATTRIB out or to send
		// nonsense (github.com/nfc-tools/libnfc/issues/112); the card is
		// active all the same.
		if !s.ReadUint8LengthPrefixed(&attrib) || !attrib.ReadUint8(&t.mbli) {
			t.mbli = 0
		}
		return t, nil
	}
	var id cryptobyte.String
	if !s.Skip(2) || !s.ReadUint8(&t.sak) || !s.ReadUint8LengthPrefixed(&id) {
		return nil, errTarget
	}
	if s.Empty() {
		return t, nil
	}
	// The length byte of the ATS counts itself (ISO/IEC 14443-4, 5.2).
	var n byte
	if !s.ReadUint8(&n) || n == 0 || int(n)-1 != len(s) {
		return nil, errTarget
	}
	t.ats = append([]byte{}, s...)
	return t, nil
}

// ISODEP reports whether the card takes APDUs.
func (t *Target) ISODEP() bool {
	if t.typeB {
		// Protocol type (ISO/IEC 14443-3, 7.9.4.3).
		return t.protocol[1]&0x01 != 0
	}
	return t.sak&sakISODEP != 0 && t.ats != nil
}

// interfaceBytes splits the ATS into TA(1), if there, and the historical
// bytes (ISO/IEC 14443-4, 5.2).
func (t *Target) interfaceBytes() (ta byte, hasTA bool, historical []byte) {
	s := cryptobyte.String(t.ats)
	var t0, skip byte
	if !s.ReadUint8(&t0) {
		return 0, false, nil
	}
	if t0&0x10 != 0 {
		hasTA = s.ReadUint8(&ta)
	}
	for _, bit := range []byte{0x20, 0x40} {
		if t0&bit != 0 && !s.ReadUint8(&skip) {
			return ta, hasTA, nil
		}
	}
	return ta, hasTA, s
}

// ATR returns the answer to reset that a PC/SC reader would make up for the
// card (PC/SC part 3, 3.1.3.2.3.1): 3B 8n 80 01, the historical bytes of a
// type A card or eight bytes about a type B card, and a check byte.
func (t *Target) ATR() []byte {
	var hist []byte
	if t.typeB {
		hist = append(hist, t.application[:]...)
		hist = append(hist, t.protocol[:]...)
		hist = append(hist, t.mbli&0xF0)
	} else {
		_, _, hist = t.interfaceBytes()
		hist = hist[:min(len(hist), maxHistorical)]
	}
	atr := append([]byte{0x3B, 0x80 | byte(len(hist)), 0x80, 0x01}, hist...)
	var check byte
	for _, x := range atr[1:] {
		check ^= x
	}
	return append(atr, check)
}

// Bit rates between module and card, in kbit/s.
const (
	Rate106 = 106
	Rate212 = 212
	Rate424 = 424
)

// rates returns the codes of InPSL (0, 1, 2 for 106, 212, 424 kbit/s) of the
// fastest rates up to limit that the card offers in each direction
// (ISO/IEC 14443-4, 5.2.4). The rates of a type B card are settled when it is
// activated.
func (t *Target) rates(limit int) (send, receive byte) {
	ta, ok, _ := t.interfaceBytes()
	if t.typeB || !ok {
		return 0, 0
	}
	best := func(bits byte) byte {
		switch {
		case bits&0x02 != 0 && limit >= Rate424:
			return 2
		case bits&0x01 != 0 && limit >= Rate212:
			return 1
		}
		return 0
	}
	send, receive = best(ta), best(ta>>4)
	if ta&0x80 != 0 { // the same in both directions only
		send = min(send, receive)
		receive = send
	}
	return send, receive
}
