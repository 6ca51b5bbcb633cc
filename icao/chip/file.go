package chip

import (
	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/tlv"
)

// applicationID is the AID of the eMRTD application (Doc 9303-10, 4.1).
const applicationID = "\xA0\x00\x00\x02\x47\x10\x01"

const masterFileID = 0x3F00

// P1 of SELECT (ISO/IEC 7816-4:2020, 11.2.2).
const (
	selectMF     = 0x00
	selectEF     = 0x02
	selectByName = 0x04
)

// P2 of SELECT: which control information to return.
const (
	returnFCI  = 0x00
	returnFCP  = 0x04
	returnNone = 0x0C
)

const (
	tagFCP      = 0x62
	tagFCI      = 0x6F
	tagFileSize = 0x80
	tagFileID   = 0x83
	tagDFName   = 0x84
	tagShortID  = 0x88
	tagOffset   = 0x54 // READ BINARY with odd INS
	tagData     = 0x53
	sfiInP1     = 0x80
	sfiMask     = 0x1F
)

// selectFile is SELECT (Doc 9303-10, 3.6.1 and 3.6.2).
func (c *Chip) selectFile(in command) response {
	if in.p2 != returnFCI && in.p2 != returnFCP && in.p2 != returnNone {
		return status(apdu.IncorrectP1P2)
	}
	if c.p.Quirks.RefuseLeSelect && in.p2 == returnNone && in.ne != 0 {
		return status(apdu.WrongLength)
	}
	switch in.p1 {
	case selectMF:
		var id uint16
		data := tlv.String(in.data)
		if len(in.data) != 0 && (!data.ReadUint16(&id) || !data.Empty() || id != masterFileID) {
			return status(apdu.FileNotFound)
		}
		form := c.p.Quirks.SelectMFByID
		if len(in.data) == 0 {
			form = c.p.Quirks.SelectMFBare
		}
		for _, sw := range []apdu.Status{c.p.SelectMF, form} {
			if sw != 0 && sw != apdu.OK {
				return status(sw)
			}
		}
		c.state.application, c.state.current = false, nil
		return controlInformation(in, tlv.Append(nil, tagFileID, []byte{masterFileID >> 8, masterFileID & 0xFF}))
	case selectByName:
		if string(in.data) != applicationID {
			return status(apdu.FileNotFound)
		}
		// From anywhere, and inside secure messaging too: the session goes on.
		c.state.application, c.state.current = true, nil
		return controlInformation(in, tlv.Append(nil, tagDFName, []byte(applicationID)))
	case selectEF:
		if sw := c.p.Quirks.NoSelectEF; sw != 0 {
			return status(sw)
		}
		var id uint16
		data := tlv.String(in.data)
		if !data.ReadUint16(&id) || !data.Empty() {
			return status(apdu.WrongLength)
		}
		f, sw := c.find(func(f *File) bool { return f.ID == id })
		if sw != apdu.OK {
			return status(sw)
		}
		c.state.current = f
		n := len(f.Content)
		fcp := tlv.Append(nil, tagFileSize, []byte{byte(n >> 16), byte(n >> 8), byte(n)})
		fcp = tlv.Append(fcp, tagFileID, []byte{byte(id >> 8), byte(id)})
		if f.SFI != 0 {
			fcp = tlv.Append(fcp, tagShortID, []byte{f.SFI << 3})
		}
		return controlInformation(in, fcp)
	default:
		return status(apdu.IncorrectP1P2)
	}
}

// controlInformation is the answer to SELECT, if the terminal wants one.
func controlInformation(in command, objects []byte) response {
	switch {
	case in.p2 == returnNone || in.ne == 0:
		return status(apdu.OK)
	case in.p2 == returnFCP:
		return success(tlv.Append(nil, tagFCP, objects))
	default:
		return success(tlv.Append(nil, tagFCI, objects))
	}
}

// find looks a file up in the current DF and checks that it may be read now.
// Without authentication an absent file looks like a protected one: which
// files a document has is nobody's business (Doc 9303-11, 4.4.2).
func (c *Chip) find(match func(*File) bool) (*File, apdu.Status) {
	files := c.p.MasterFiles
	if c.state.application {
		files = c.p.Files
	}
	for i := range files {
		f := &files[i]
		if !match(f) {
			continue
		}
		if f.Access == Never || f.Access == AfterAuthentication && !c.authenticated() {
			return nil, apdu.SecurityStatusNotSatisfied
		}
		if f.Refused != 0 {
			return nil, f.Refused
		}
		return f, apdu.OK
	}
	if c.state.application && !c.authenticated() {
		return nil, apdu.SecurityStatusNotSatisfied
	}
	return nil, apdu.FileNotFound
}

// room is how much a READ BINARY may return: bytes of response data, and
// whether the chip's own buffer, not the terminal's, set that bound.
type room struct {
	bytes   int
	refused bool // the terminal asked for more than the chip's buffer
}

// room is what fits in clear into ne bytes and into the chip's limit.
func (c *Chip) room(ne, limit int) room {
	if limit > 0 && ne > limit {
		return room{bytes: limit, refused: true}
	}
	return room{bytes: ne}
}

// protectedRoom is what fits under secure messaging: the command asks for
// in.ne bytes of data, and the protected response is to have ne at most.
func (c *Chip) protectedRoom(in command, ne int) room {
	fits := c.state.session.maxData(in.ins, ne)
	if limit := c.p.Limits.Protected; limit > 0 {
		if n := c.state.session.maxData(in.ins, limit); n < min(fits, in.ne) {
			return room{bytes: n, refused: true}
		}
	}
	return room{bytes: min(fits, in.ne)}
}

// readBinary is READ BINARY (Doc 9303-10, 3.6.3 and 3.6.6).
func (c *Chip) readBinary(in command, room room) response {
	if in.ne == 0 || c.p.Quirks.RefuseLe00 && c.state.session != nil && (in.ne == maxShort || in.ne == maxExtended) {
		return status(apdu.WrongLength)
	}
	if over := c.p.Limits.OverLimit; room.refused && over != 0 {
		if over.SW1() == 0x6C && over.SW2() == 0 {
			over |= apdu.Status(room.bytes & 0xFF)
		}
		return status(over)
	}
	odd := in.ins == insReadBinaryOdd
	f, offset, sw := c.readTarget(in, odd)
	if sw != apdu.OK {
		return status(sw)
	}
	left := tlv.String(f.Content)
	if c.p.Quirks.PadPastEnd {
		if missing := offset + in.ne - len(left); missing > 0 {
			left = append(append(make([]byte, 0, len(left)+missing), left...), make([]byte, missing)...)
		}
	}
	if offset >= len(left) {
		return status(apdu.WrongP1P2)
	}
	left.Skip(offset)

	n := room.bytes
	if odd {
		// DO'53' around the data takes its part of the room.
		for n > 0 && headerLen(n)+n > room.bytes {
			n--
		}
		if n == 0 {
			return status(apdu.WrongLength)
		}
	}
	var data []byte
	left.ReadBytes(&data, min(n, len(left)))
	if odd {
		data = tlv.Append(nil, tagData, data)
	}
	if len(left) != 0 || len(data) >= in.ne || in.ne == maxShort || in.ne == maxExtended {
		return success(data)
	}
	switch end := c.p.Limits.ShortEnd; {
	case end == 0:
		return response{data: data, sw: apdu.EndOfFile}
	case end.SW1() == 0x6C && end.SW2() == 0:
		return status(end | apdu.Status(len(data)&0xFF)) // 256 and more cannot be said exactly
	case end == apdu.OK || end.SW1() == 0x62:
		return response{data: data, sw: end}
	default:
		return status(end)
	}
}

// readTarget finds the file and the offset that a READ BINARY means, and makes
// that file the current one.
func (c *Chip) readTarget(in command, odd bool) (f *File, offset int, sw apdu.Status) {
	var sfi byte
	switch {
	case odd:
		var raw tlv.String
		data := tlv.String(in.data)
		if !data.ReadTag(&raw, tagOffset) || !data.Empty() || len(raw) == 0 || len(raw) > 3 {
			return nil, 0, apdu.WrongData
		}
		for _, b := range raw {
			offset = offset<<8 | int(b)
		}
		if in.p1 != 0 || in.p2&^sfiMask != 0 {
			id := uint16(in.p1)<<8 | uint16(in.p2) // a file identifier
			f, sw = c.find(func(f *File) bool { return f.ID == id })
			if sw == apdu.OK {
				c.state.current = f
			}
			return f, offset, sw
		}
		sfi = in.p2
	case len(in.data) != 0:
		return nil, 0, apdu.WrongLength
	case in.p1&sfiInP1 != 0:
		sfi, offset = in.p1&sfiMask, int(in.p2)
		if sfi == 0 || in.p1&^(sfiInP1|sfiMask) != 0 {
			return nil, 0, apdu.IncorrectP1P2
		}
	default:
		offset = int(in.p1)<<8 | int(in.p2)
	}

	if sfi != 0 {
		if sw := c.p.Quirks.NoShortID; sw != 0 {
			return nil, 0, sw
		}
		f, sw = c.find(func(f *File) bool { return f.SFI == sfi })
		if sw == apdu.OK {
			c.state.current = f
		}
		return f, offset, sw
	}
	if c.state.current == nil {
		if c.state.application && !c.authenticated() {
			return nil, 0, apdu.SecurityStatusNotSatisfied
		}
		return nil, 0, apdu.CommandNotAllowed
	}
	return c.state.current, offset, apdu.OK
}
