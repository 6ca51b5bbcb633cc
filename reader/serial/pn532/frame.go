package pn532

import (
	"bytes"
	"errors"
)

// Frame identifiers: who sends (UM 6.2.1.1).
const (
	// ToModule is the identifier of commands.
	ToModule = 0xD4
	// FromModule is the identifier of responses.
	FromModule = 0xD5
)

// MaxData is the most that a frame carries after its identifier: command code
// and parameters (UM 6.2.1.2).
const MaxData = 264

// A Kind tells frames apart.
type Kind uint8

const (
	// Damaged is the zero value: something that began like a frame and was
	// none.
	Damaged Kind = iota
	// Data is a command or a response, normal or extended (UM 6.2.1.1, 6.2.1.2).
	Data
	// ACK confirms a frame; sent by the host, it also ends a command that is
	// still being carried out (UM 6.2.1.3).
	ACK
	// NACK asks for the last frame again (UM 6.2.1.4).
	NACK
	// Syntax is the error frame: the module did not understand the command
	// (UM 6.2.1.5).
	Syntax
)

// A Frame is what came over the line.
type Frame struct {
	Kind Kind
	// TFI and Data are set for Kind Data. Data begins with the command code;
	// it is valid until the next call of the decoder.
	TFI  byte
	Data []byte
}

var (
	startCode = []byte{0x00, 0xFF}
	frameACK  = []byte{0x00, 0x00, 0xFF, 0x00, 0xFF, 0x00}
	frameNACK = []byte{0x00, 0x00, 0xFF, 0xFF, 0x00, 0x00}
)

// AppendACK appends an ACK frame to dst.
func AppendACK(dst []byte) []byte { return append(dst, frameACK...) }

// AppendNACK appends a NACK frame to dst.
func AppendNACK(dst []byte) []byte { return append(dst, frameNACK...) }

// AppendSyntax appends an error frame to dst.
func AppendSyntax(dst []byte) []byte {
	return append(dst, 0x00, 0x00, 0xFF, 0x01, 0xFF, 0x7F, 0x81, 0x00)
}

var errFrameLength = errors.New("pn532: frame of impossible length")

// AppendFrame appends a data frame to dst, an extended one if data is too
// long for a normal one. It returns an error if data is empty or longer than
// [MaxData].
func AppendFrame(dst []byte, tfi byte, data []byte) ([]byte, error) {
	if len(data) == 0 || len(data) > MaxData {
		return dst, errFrameLength
	}
	n := len(data) + 1
	dst = append(dst, 0x00, 0x00, 0xFF)
	if n <= 0xFF {
		dst = append(dst, byte(n), byte(-n))
	} else {
		hi, lo := byte(n>>8), byte(n)
		dst = append(dst, 0xFF, 0xFF, hi, lo, -(hi + lo))
	}
	dst = append(dst, tfi)
	dst = append(dst, data...)
	return append(dst, -(tfi + sum(data)), 0x00), nil
}

// sum adds bytes; frames are made so that it comes out as zero.
func sum(b []byte) (s byte) {
	for _, x := range b {
		s += x
	}
	return s
}

// A Decoder finds frames in a stream of bytes. The zero value is ready for
// use. What it holds back is never longer than the longest frame.
type Decoder struct {
	buf  []byte
	last []byte // backs the data of the last frame
}

// Reset forgets a frame that has begun.
func (d *Decoder) Reset() { d.buf = d.buf[:0] }

// Pending reports whether a frame has begun and is not complete.
func (d *Decoder) Pending() bool { return bytes.Contains(d.buf, startCode) }

// Write adds what came over the line. It never fails. Call Next until it
// reports false before the next Write.
func (d *Decoder) Write(p []byte) (int, error) {
	d.buf = append(d.buf, p...)
	return len(p), nil
}

// Next returns the next frame, or false if more bytes are needed. Bytes
// between frames are skipped silently.
func (d *Decoder) Next() (Frame, bool) {
	i := bytes.Index(d.buf, startCode)
	if i < 0 {
		// A start code may have come by half.
		if n := len(d.buf); n > 0 && d.buf[n-1] == startCode[0] {
			d.buf = append(d.buf[:0], startCode[0])
		} else {
			d.buf = d.buf[:0]
		}
		return Frame{}, false
	}
	d.skip(i)
	b := d.buf[len(startCode):]
	if len(b) < 2 {
		return Frame{}, false
	}
	head, n := 2, int(b[0])
	switch {
	case b[0] == 0x00 && b[1] == 0xFF:
		d.skip(4)
		return Frame{Kind: ACK}, true
	case b[0] == 0xFF && b[1] == 0x00:
		d.skip(4)
		return Frame{Kind: NACK}, true
	case b[0] == 0xFF && b[1] == 0xFF:
		if len(b) < 5 {
			return Frame{}, false
		}
		head, n = 5, int(b[2])<<8|int(b[3])
		if sum(b[2:5]) != 0 || n < 2 || n > MaxData+1 {
			return d.damaged(len(startCode))
		}
	case b[0]+b[1] != 0 || n == 0:
		return d.damaged(len(startCode))
	}
	if len(b) < head+n+1 {
		return Frame{}, false
	}
	b = b[head : head+n+1]
	whole := len(startCode) + head + n + 1
	if sum(b) != 0 {
		// All of it goes: what a card sent must not be looked through for
		// something that resembles a frame.
		return d.damaged(whole)
	}
	d.last = append(d.last[:0], b[:n]...)
	d.skip(whole)
	if d.last[0] == 0x7F && n == 1 {
		return Frame{Kind: Syntax}, true
	}
	if n < 2 {
		return Frame{Kind: Damaged}, true
	}
	return Frame{Kind: Data, TFI: d.last[0], Data: d.last[1:]}, true
}

func (d *Decoder) damaged(n int) (Frame, bool) {
	d.skip(n)
	return Frame{Kind: Damaged}, true
}

func (d *Decoder) skip(n int) { d.buf = append(d.buf[:0], d.buf[n:]...) }
