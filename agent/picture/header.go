package picture

import (
	"encoding/binary"
	"fmt"

	"github.com/chamthe/chamthe/icao/face"
)

// size is what the SIZ marker segment of a codestream says (ISO/IEC 15444-1,
// A.5.1).
type size struct {
	width, height uint32
	components    int
	jp2           bool // in a JP2 file
}

const (
	signatureLen = 12 // of the box that begins a JP2 file, see face.Detect
	boxHeaderLen = 8
	boxCode      = "jp2c"
	// sizFixed is SOC, the SIZ marker and its segment up to the components.
	sizFixed     = 2 + 2 + 38
	sizComponent = 3

	maxComponents = 4
	// maxBits is the greatest precision of a component. The standard allows 38,
	// for instruments.
	maxBits = 16
)

// readSize finds the codestream in data and reads its sizes, nothing else. It
// trusts no length: each is compared with what is there.
func readSize(data []byte) (size, error) {
	s := size{jp2: data[0] == 0}
	if s.jp2 {
		code, ok := codestream(data)
		if !ok {
			return size{}, fmt.Errorf("%w: no codestream", face.ErrPicture)
		}
		data = code
	}
	if len(data) < sizFixed || binary.BigEndian.Uint32(data) != 0xFF4FFF51 {
		return size{}, fmt.Errorf("%w: no image size", face.ErrPicture)
	}
	x1, y1 := binary.BigEndian.Uint32(data[8:]), binary.BigEndian.Uint32(data[12:])
	x0, y0 := binary.BigEndian.Uint32(data[16:]), binary.BigEndian.Uint32(data[20:])
	s.components = int(binary.BigEndian.Uint16(data[40:]))
	if x1 <= x0 || y1 <= y0 || s.components == 0 || len(data)-sizFixed < s.components*sizComponent {
		return size{}, fmt.Errorf("%w: image size", face.ErrPicture)
	}
	s.width, s.height = x1-x0, y1-y0
	if s.components > maxComponents {
		return size{}, fmt.Errorf("%w: %d components", face.ErrFormat, s.components)
	}
	for i := range s.components {
		c := data[sizFixed+i*sizComponent:]
		if bits := c[0]&0x7F + 1; bits > maxBits {
			return size{}, fmt.Errorf("%w: %d bits", face.ErrFormat, bits)
		}
		if c[1] == 0 || c[2] == 0 {
			return size{}, fmt.Errorf("%w: subsampling", face.ErrPicture)
		}
	}
	return s, nil
}

// codestream returns what the first contiguous codestream box of a JP2 file
// holds (ISO/IEC 15444-1, I.4 and I.5.4). Each step goes on by at least a box
// header, so it ends.
func codestream(file []byte) ([]byte, bool) {
	for len(file) >= boxHeaderLen {
		length, kind := uint64(binary.BigEndian.Uint32(file)), string(file[4:8])
		header := uint64(boxHeaderLen)
		switch length {
		case 0: // to the end of the file
			length = uint64(len(file))
		case 1: // the length follows, in eight bytes
			if len(file) < 2*boxHeaderLen {
				return nil, false
			}
			length, header = binary.BigEndian.Uint64(file[8:]), 2*boxHeaderLen
		}
		if length < header || length > uint64(len(file)) {
			// A file that was cut off may have lost what lies behind the
			// picture's head; whether enough is left is for the decoder to say.
			if kind == boxCode && length > uint64(len(file)) && uint64(len(file)) > header {
				return file[header:], true
			}
			return nil, false
		}
		if kind == boxCode {
			return file[header:length], true
		}
		file = file[length:]
	}
	return nil, false
}
