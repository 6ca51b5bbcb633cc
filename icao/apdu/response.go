package apdu

import "errors"

// maxResponse is the length of the longest response APDU: 65536 bytes of
// data and the status word.
const maxResponse = maxExtendedNe + 2

// ErrResponse reports bytes that are no response APDU: fewer than the two
// bytes of the status word, or more than 65538.
var ErrResponse = errors.New("apdu: malformed response")

// A Response is a response APDU. The zero value is not the answer of any
// card: its status word is 0000.
type Response struct {
	Data []byte
	SW   Status
}

// ParseResponse splits a response APDU into data and status word. Data shares
// its memory with b. Bytes that are no response give [ErrResponse].
func ParseResponse(b []byte) (Response, error) {
	if len(b) < 2 || len(b) > maxResponse {
		return Response{}, ErrResponse
	}
	n := len(b) - 2
	return Response{
		Data: b[:n:n],
		SW:   Status(b[n])<<8 | Status(b[n+1]),
	}, nil
}

// Err returns nil when the status word is 9000 and the [Status] otherwise.
func (r Response) Err() error {
	if r.SW == OK {
		return nil
	}
	return r.SW
}
