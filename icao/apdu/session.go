// Package apdu is the command and response APDUs of chip cards
// (ISO/IEC 7816-4:2020, clause 5) and a plain session over a reader.
//
// [Transceiver] is the one seam to hardware; [Doer] is what protocols use,
// and both [Session] and the secure messaging channel are one. Left out on
// purpose: logical channels other than passing CLA through, command chaining
// (a protocol that chains sends the links itself), and all knowledge of files.
package apdu

import (
	"context"
	"fmt"
)

// A Transceiver exchanges one APDU with a card: it sends cmd and returns the
// whole response, status word included. An error means that there is no
// response at all. An exchange that has begun is finished even if ctx ends:
// readers cannot cancel one. cmd is not kept; the response belongs to the
// caller.
type Transceiver interface {
	Transmit(ctx context.Context, cmd []byte) (resp []byte, err error)
}

// A Doer sends a command and returns the card's response. An error status
// word is a response, not an error: err is set only when there is no valid
// response. Commands are sent one at a time; a Doer is not safe for
// concurrent use unless it says so.
type Doer interface {
	Do(ctx context.Context, c Command) (Response, error)
}

var _ Doer = (*Session)(nil)

// insGetResponse fetches the rest of a response (ISO/IEC 7816-4:2020, 11.8.1).
const insGetResponse = 0xC0

// What a card may make a [Session] do for one command. Nothing else ends the
// exchange with a card that answers 61xx or 6Cxx for ever.
const (
	// maxExchanges allows 65536 bytes in pieces of 256 and as much again
	// for corrected lengths and short pieces.
	maxExchanges = 512

	// maxData is the longest response data field there is.
	maxData = maxExtendedNe
)

// A LimitError reports a card that does not come to the end of its response:
// it kept answering 61xx or 6Cxx, or sent more than 65536 bytes.
type LimitError struct {
	Exchanges int    // APDUs sent for the one command
	Bytes     int    // response data received so far
	SW        Status // of the last response
}

// Error describes the limit that was reached, without any data.
func (e *LimitError) Error() string {
	return fmt.Sprintf("apdu: response does not end: %d exchanges, %d bytes, status %04x", e.Exchanges, e.Bytes, uint16(e.SW))
}

// A Session sends commands in plain. It fetches responses that arrive in
// pieces (61xx) and repeats a command once with the length that the card asks
// for (6Cxx), so that callers see neither. It is not safe for concurrent use.
type Session struct {
	t    Transceiver
	most int
}

// NewSession returns a session over t. It exchanges nothing yet.
func NewSession(t Transceiver) *Session { return &Session{t: t} }

// Limit makes the session ask for at most n bytes in one short exchange, and fetch
// what is longer in such pieces: for readers that break long answers off. 0 takes
// the limit away. Commands of extended length stay as they are.
func (s *Session) Limit(n int) { s.most = max(0, min(n, maxShortNe)) }

func (s *Session) limited(ne int) int {
	if s.most > 0 && ne <= maxShortNe {
		return min(ne, s.most)
	}
	return ne
}

// Do sends c and returns the card's response. ctx is checked before every
// APDU. The error is ctx's, the Transceiver's, [ErrCommand], [ErrResponse] or
// a [*LimitError]; on error the Response is zero.
func (s *Session) Do(ctx context.Context, c Command) (Response, error) {
	var (
		data      []byte
		next      = c
		corrected bool // next.Ne is already what the card asked for
	)
	if !c.Extended() {
		next.Ne = s.limited(c.Ne)
	}
	for n := 1; ; n++ {
		resp, err := s.exchange(ctx, next)
		if err != nil {
			return Response{}, err
		}
		more, wrongLe := resp.SW.SW1() == sw1MoreData, resp.SW.SW1() == sw1WrongLe
		if wrongLe && protected(c.CLA) && len(resp.Data) > 0 {
			// The answer is protected, so it belongs to the command inside. The
			// same command sent again would come out of order, and end the channel.
			wrongLe = false
		}
		if !wrongLe {
			// The first piece is usually the only one: no copy then.
			if data == nil {
				data = resp.Data
			} else {
				data = append(data, resp.Data...)
			}
		}
		if !more && !wrongLe {
			return Response{Data: data, SW: resp.SW}, nil
		}
		if n == maxExchanges || len(data) > maxData || wrongLe && corrected {
			return Response{}, &LimitError{Exchanges: n, Bytes: len(data), SW: resp.SW}
		}
		if more {
			next = Command{CLA: getResponseClass(c.CLA), INS: insGetResponse}
		}
		corrected = wrongLe
		next.Ne = int(resp.SW.SW2())
		if next.Ne == 0 {
			next.Ne = maxShortNe
		}
		if more {
			next.Ne = s.limited(next.Ne)
		}
	}
}

func (s *Session) exchange(ctx context.Context, c Command) (Response, error) {
	if err := ctx.Err(); err != nil {
		return Response{}, err
	}
	cmd, err := c.Encode()
	if err != nil {
		return Response{}, err
	}
	b, err := s.t.Transmit(ctx, cmd)
	if err != nil {
		return Response{}, err
	}
	return ParseResponse(b)
}

// getResponseClass returns the class of a GET RESPONSE that follows a command
// of class cla: the same logical channel, without secure messaging and
// without chaining, because it belongs to the transport of the bytes and not
// to the protected command (ISO/IEC 7816-4:2020, 5.4.1).
func getResponseClass(cla byte) byte {
	switch {
	case cla&0xE0 == 0x00: // first interindustry: 000 chaining SM SM channel channel
		return cla & 0x03
	case cla&0xC0 == 0x40: // further interindustry: 01 SM chaining channel(4)
		return cla & 0x4F
	default:
		return cla
	}
}

// protected reports whether a class byte says that the command is under secure
// messaging (ISO/IEC 7816-4:2020, 5.4.1).
func protected(cla byte) bool {
	switch {
	case cla&0xE0 == 0x00:
		return cla&0x0C != 0
	case cla&0xC0 == 0x40:
		return cla&0x20 != 0
	default:
		return false
	}
}
