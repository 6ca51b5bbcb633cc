package virtual

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"time"
)

// DefaultVPCDAddress is where the first virtual reader of an unchanged
// installation of vpcd listens.
const DefaultVPCDAddress = "127.0.0.1:35963"

// A Lender lends a chip to the virtual reader vpcd of a pcscd, so that every
// program on that system meets it as a card on a reader. vpcd listens and has
// no access control: use it for tests and demonstrations, with data of nobody.
//
// The wire format is that of vsmartcard's vpcd: a two-byte big-endian length,
// then the body. A body of one byte from vpcd is a control (see the ctl
// constants); everything else is a command APDU, answered by a response APDU.
type Lender struct {
	// Address is host and port of vpcd; empty means [DefaultVPCDAddress].
	Address string
	// Chip is what is lent. It is reset with every new connection.
	Chip Chip
	// Absent is how long the card stays away after the chip has left the
	// field (an error of Chip.Transmit). One second by default: pcscd looks
	// every 0.4 seconds.
	Absent time.Duration
	// Notify, if not nil, is called when the state changes: true when the
	// chip lies on the reader, false with the reason when it does not. It is
	// called from Run, never at once with another call.
	Notify func(connected bool, reason error)
}

// Retry limits of the connection to vpcd.
const (
	vpcdFirstRetry = 100 * time.Millisecond
	vpcdLastRetry  = 2 * time.Second
	vpcdDialLimit  = 5 * time.Second
	vpcdWriteLimit = 10 * time.Second
)

// Run lends the chip until ctx ends, and then returns nil. A pcscd that is not
// there, or goes away, is tried again for ever.
func (l *Lender) Run(ctx context.Context) error {
	addr := l.Address
	if addr == "" {
		addr = DefaultVPCDAddress
	}
	absent := l.Absent
	if absent <= 0 {
		absent = time.Second
	}
	notify := l.Notify
	if notify == nil {
		notify = func(bool, error) {}
	}

	retry := vpcdFirstRetry
	for {
		dialer := net.Dialer{Timeout: vpcdDialLimit}
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		pause := retry
		retry = min(2*retry, vpcdLastRetry)
		if err == nil {
			retry = vpcdFirstRetry
			pause = retry
			notify(true, nil)
			l.Chip.Reset()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			err = serve(ctx, &vpcdConn{conn}, l.Chip)
			stop()
			conn.Close()
			if errors.Is(err, errChipLeft) {
				pause = absent
			}
			if ctx.Err() == nil {
				notify(false, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// vpcdConn makes the exchange quick: vpcd writes length and body in two small
// packets, and without a prompt acknowledgement of the first its side holds
// the second back for some 40 ms.
type vpcdConn struct{ net.Conn }

func (c *vpcdConn) Read(p []byte) (int, error) {
	quickAck(c.Conn)
	return c.Conn.Read(p)
}

func (c *vpcdConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(vpcdWriteLimit)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Controls of vpcd.
const (
	ctlPowerOff = 0
	ctlPowerOn  = 1
	ctlReset    = 2
	ctlGetATR   = 4
)

// maxFrame is what the two-byte length can say. A response of 65,536 bytes of
// data does not fit and is answered with 6700.
const maxFrame = 0xFFFF

// errChipLeft marks the end of a connection that the chip caused.
var errChipLeft = errors.New("virtual: chip left the field")

// serve answers vpcd until the connection ends or the chip leaves.
func serve(ctx context.Context, rw io.ReadWriter, chip Chip) error {
	buf := make([]byte, maxFrame)
	for {
		body, err := readFrame(rw, buf)
		if err != nil {
			return err
		}
		switch {
		case len(body) == 0:
			// Nothing to do, and nothing is expected.
		case len(body) == 1:
			switch body[0] {
			case ctlPowerOff, ctlPowerOn, ctlReset:
				// A chip without power forgets; it is enough that it has
				// forgotten when it is powered up.
				chip.Reset()
			case ctlGetATR:
				if err := writeFrame(rw, chip.ATR()); err != nil {
					return err
				}
			}
		default:
			resp, err := chip.Transmit(ctx, slices.Clone(body))
			if err != nil {
				return errChipLeft
			}
			if len(resp) < 2 || len(resp) > maxFrame {
				resp = []byte{0x67, 0x00}
			}
			if err := writeFrame(rw, resp); err != nil {
				return err
			}
		}
	}
}

// readFrame reads one frame into buf, which has room for the longest, and
// returns its body.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	body := buf[:binary.BigEndian.Uint16(head[:])]
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return body, nil
}

// writeFrame writes a frame in one piece. The body is at most maxFrame long.
func writeFrame(w io.Writer, body []byte) error {
	frame := make([]byte, 0, 2+len(body))
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(body)))
	_, err := w.Write(append(frame, body...))
	return err
}
