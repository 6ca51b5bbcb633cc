package virtual

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/chamthe/chamthe/reader/readertest"
)

// pcd plays vpcd: it listens, and asks like a reader.
type pcd struct {
	t        *testing.T
	listener net.Listener
	conn     net.Conn
}

func newPCD(t *testing.T) *pcd {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &pcd{t: t, listener: l}
}

func (p *pcd) accept() {
	p.t.Helper()
	if err := p.listener.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	conn, err := p.listener.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	p.conn = conn
}

// send writes a frame as vpcd does: length and body apart.
func (p *pcd) send(body []byte) {
	p.t.Helper()
	for _, part := range [][]byte{binary.BigEndian.AppendUint16(nil, uint16(len(body))), body} {
		if _, err := p.conn.Write(part); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *pcd) receive() []byte {
	p.t.Helper()
	body, err := readFrame(p.conn, make([]byte, maxFrame))
	if err != nil {
		p.t.Fatal(err)
	}
	return bytes.Clone(body)
}

// lend runs a lender until the end of the test, which waits for it.
func lend(t *testing.T, l *Lender) context.CancelFunc {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v after its context ended", err)
		}
	})
	return cancel
}

func TestLenderAnswers(t *testing.T) {
	p, chip := newPCD(t), readertest.NewChip()
	lend(t, &Lender{Address: p.listener.Addr().String(), Chip: chip})
	p.accept()

	p.send([]byte{ctlGetATR})
	if got := p.receive(); !bytes.Equal(got, readertest.ATR) {
		t.Errorf("ATR % X", got)
	}
	ask := func(cmd, want []byte) {
		t.Helper()
		p.send(cmd)
		if got := p.receive(); !bytes.Equal(got, want) {
			t.Errorf("answer of %d bytes, want %d", len(got), len(want))
		}
	}
	recall := readertest.Command(readertest.InsRecall, 0, 0, nil, 256)
	for _, ctl := range []byte{ctlPowerOff, ctlPowerOn, ctlReset} {
		ask(readertest.Command(readertest.InsRemember, 0, 0, []byte{1, 2}, 0), []byte{0x90, 0x00})
		ask(recall, []byte{1, 2, 0x90, 0x00})
		p.send([]byte{ctl})
		p.send(nil)        // says nothing
		p.send([]byte{99}) // an unknown control is not answered either
		ask(recall, []byte{0x90, 0x00})
	}
	ask(readertest.Command(readertest.InsProduce, 0xFF, 0xFD, nil, 65535), append(readertest.Pattern(0xFFFD), 0x90, 0x00))
	ask(readertest.Command(readertest.InsProduce, 0xFF, 0xFF, nil, 65535), []byte{0x67, 0x00}) // with status too long for a frame
	ask([]byte{0x80, readertest.InsRecall}, []byte{0x67, 0x00})
}

func TestLenderReconnects(t *testing.T) {
	p, chip := newPCD(t), readertest.NewChip()
	states := make(chan bool, 16)
	lend(t, &Lender{
		Address: p.listener.Addr().String(), Chip: chip, Absent: time.Millisecond,
		Notify: func(connected bool, reason error) {
			if connected == (reason != nil) {
				t.Errorf("connected %v, reason %v", connected, reason)
			}
			states <- connected
		},
	})
	expect := func(want bool) {
		t.Helper()
		if got := <-states; got != want {
			t.Errorf("state %v, want %v", got, want)
		}
	}
	cmd := readertest.Command(readertest.InsRemember, 0, 0, []byte{1}, 0)

	p.accept()
	expect(true)
	p.send(cmd)
	p.receive()

	// The service ends.
	p.conn.Close()
	expect(false)
	p.accept()
	expect(true)
	p.send(readertest.Command(readertest.InsRecall, 0, 0, nil, 1))
	if got := p.receive(); !bytes.Equal(got, []byte{0x90, 0x00}) {
		t.Errorf("the chip remembers across an insertion: %d bytes", len(got))
	}

	// The chip leaves: no answer, and the connection ends.
	chip.LeaveAt(1)
	p.send(cmd)
	if n, err := p.conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the chip left: %d bytes, %v", n, err)
	}
	expect(false)
	p.accept()
	expect(true)
}

func TestLenderWaitsForService(t *testing.T) {
	p := newPCD(t)
	addr := p.listener.Addr().String()
	p.listener.Close() // nobody listens yet
	lend(t, &Lender{Address: addr, Chip: readertest.NewChip()})
	time.Sleep(3 * vpcdFirstRetry)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("the port was taken meanwhile: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	p.listener = l
	p.accept()
	p.send([]byte{ctlGetATR})
	p.receive()
}

// stream feeds input to serve and keeps what it writes.
type stream struct {
	io.Reader
	out bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) { return s.out.Write(p) }

// FuzzServe checks that whatever a peer sends is answered by whole frames, one
// for each ATR request and each command.
func FuzzServe(f *testing.F) {
	frame := func(body ...byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(body))), body...)
	}
	seeds := [][]byte{
		frame(ctlGetATR),
		append(frame(ctlPowerOn), frame(ctlGetATR)...),
		frame(0x00, 0xA4, 0x04, 0x0C, 0x02, 0x3F, 0x00),
		frame(readertest.Command(readertest.InsEcho, 0, 0, []byte{1, 2, 3}, 3)...),
		append(frame(), frame(0x80, readertest.InsProduce, 0xFF, 0xFF, 0, 0, 0)...),
		{0xFF, 0xFF, 0x00}, // truncated
		{0x00},
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		s := &stream{Reader: bytes.NewReader(input)}
		err := serve(t.Context(), s, readertest.NewChip())
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("serve ended with %v, not with its input", err)
		}
		want := 0
		in, buf := bytes.NewReader(input), make([]byte, maxFrame)
		for {
			body, err := readFrame(in, buf)
			if err != nil {
				break
			}
			if len(body) > 1 || len(body) == 1 && body[0] == ctlGetATR {
				want++
			}
		}
		got := 0
		for s.out.Len() > 0 {
			body, err := readFrame(&s.out, buf)
			if err != nil || len(body) < 2 {
				t.Fatalf("answer %d is no frame: %v", got, err)
			}
			got++
		}
		if got != want {
			t.Errorf("%d answers, want %d", got, want)
		}
	})
}
