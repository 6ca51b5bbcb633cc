package lds_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/icao/tlv"
)

// ReadFile finds out by shape what a secure messaging channel can carry.
var _ interface{ MaxNe(limit int) int } = (*sm.Channel)(nil)

var errTorn = errors.New("card gone")

// A card answers SELECT and READ BINARY with the peculiarities that it is
// given. It checks what it is asked as strictly as the worst of cards would.
type card struct {
	t     testing.TB
	files map[uint16][]byte // by identifier
	sfis  map[byte]uint16   // by short identifier

	sfiStatus  apdu.Status // answer to reading by short identifier; 0: supported
	most       int         // most data per response; 0: no limit
	mostStatus apdu.Status // answer to asking for more; OK: no data, 6C00: the length that works, 0: fewer data
	eof        apdu.Status // answer to asking for more than is left: 0 the rest, WrongLength, EndOfFile with data, ...
	eofExact   bool        // answer to the same: 6Cxx
	pad        int         // zero bytes behind each file
	oddOverlap bool        // B1 also below 32768
	denied     map[uint16]bool
	tearAfter  int // exchanges until the card is gone; 0: never
	naked      apdu.Status
	nakedAt    int // exchange that is answered with naked in plain, which breaks the channel

	current   []byte
	broken    bool
	exchanges int
}

func newCard(t testing.TB, contents map[lds.File][]byte) *card {
	c := &card{t: t, files: map[uint16][]byte{}, sfis: map[byte]uint16{}, denied: map[uint16]bool{}}
	for f, b := range contents {
		c.files[f.ID] = b
		c.sfis[f.SFI] = f.ID
	}
	return c
}

// An unprotected is what a secure messaging channel returns for a status word
// in plain.
type unprotected struct{ sw apdu.Status }

func (u unprotected) Error() string { return "channel broken" }
func (u unprotected) Unwrap() error { return u.sw }

func (c *card) Do(_ context.Context, cmd apdu.Command) (apdu.Response, error) {
	c.exchanges++
	if c.broken {
		return apdu.Response{}, errTorn
	}
	if c.tearAfter > 0 && c.exchanges > c.tearAfter {
		c.broken = true
		return apdu.Response{}, errTorn
	}
	if c.exchanges == c.nakedAt {
		c.broken = true
		return apdu.Response{}, unprotected{c.naked}
	}
	switch cmd.INS {
	case 0xA4:
		if cmd.P1 != 0x02 || cmd.P2 != 0x0C || cmd.Ne != 0 || len(cmd.Data) != 2 {
			c.t.Errorf("SELECT %+v", cmd)
		}
		id := uint16(cmd.Data[0])<<8 | uint16(cmd.Data[1])
		b, ok := c.files[id]
		switch {
		case !ok:
			return apdu.Response{SW: apdu.FileNotFound}, nil
		case c.denied[id]:
			return apdu.Response{SW: apdu.SecurityStatusNotSatisfied}, nil
		}
		c.current = append(b[:len(b):len(b)], make([]byte, c.pad)...)
		return apdu.Response{SW: apdu.OK}, nil
	case 0xB0:
		if len(cmd.Data) != 0 {
			c.t.Errorf("READ BINARY %+v", cmd)
		}
		offset := int(cmd.P1)<<8 | int(cmd.P2)
		if cmd.P1&0x80 != 0 {
			if c.sfiStatus != 0 {
				return apdu.Response{SW: c.sfiStatus}, nil
			}
			id, ok := c.sfis[cmd.P1&0x1F]
			switch {
			case !ok:
				return apdu.Response{SW: apdu.FileNotFound}, nil
			case c.denied[id]:
				return apdu.Response{SW: apdu.SecurityStatusNotSatisfied}, nil
			}
			b := c.files[id]
			c.current = append(b[:len(b):len(b)], make([]byte, c.pad)...)
			offset = int(cmd.P2)
		}
		if offset+cmd.Ne > 0x8000 {
			c.t.Errorf("READ BINARY of %d bytes at %d crosses 32768", cmd.Ne, offset)
		}
		return c.read(offset, cmd.Ne), nil
	case 0xB1:
		s := tlv.String(cmd.Data)
		var v tlv.String
		if cmd.P1 != 0 || cmd.P2 != 0 || !s.ReadTag(&v, 0x54) || !s.Empty() || len(v) == 0 || len(v) > 1 && v[0] == 0 {
			c.t.Fatalf("READ BINARY with odd instruction %+v", cmd)
		}
		offset := 0
		for _, b := range v {
			offset = offset<<8 | int(b)
		}
		if offset < 0x8000 && !c.oddOverlap {
			c.t.Errorf("odd instruction at %d", offset)
		}
		header := 2
		if cmd.Ne > 2+0x7F {
			header = 3
		}
		if cmd.Ne > 3+0xFF {
			header = 4
		}
		resp := c.read(offset, cmd.Ne-header)
		if len(resp.Data) > 0 {
			resp.Data = tlv.Append(nil, 0x53, resp.Data)
		}
		return resp, nil
	}
	c.t.Errorf("instruction %02x", cmd.INS)
	return apdu.Response{SW: apdu.InstructionNotSupported}, nil
}

func (c *card) read(offset, ne int) apdu.Response {
	if c.current == nil {
		return apdu.Response{SW: apdu.CommandNotAllowed}
	}
	if ne < 1 {
		c.t.Errorf("Ne %d", ne)
	}
	if offset > len(c.current) {
		return apdu.Response{SW: apdu.WrongP1P2}
	}
	sw := apdu.OK
	left := len(c.current) - offset
	if c.most > 0 && ne > c.most {
		if c.mostStatus == 0x6C00 {
			return apdu.Response{SW: c.mostStatus | apdu.Status(c.most&0xFF)}
		}
		if c.mostStatus != 0 {
			return apdu.Response{SW: c.mostStatus}
		}
		ne = c.most
	}
	if ne > left {
		switch {
		case c.eofExact:
			return apdu.Response{SW: 0x6C00 | apdu.Status(left&0xFF)}
		case c.eof == apdu.WrongLength:
			return apdu.Response{SW: c.eof}
		case c.eof == apdu.WrongP1P2 && left == 0:
			return apdu.Response{SW: c.eof}
		case c.eof != 0:
			sw = c.eof
		}
		ne = left
	}
	return apdu.Response{Data: bytes.Clone(c.current[offset : offset+ne]), SW: sw}
}

// A channel is a card that loses 25 bytes of every response to protection.
type channel struct{ *card }

func (c channel) MaxNe(limit int) int { return limit - 25 }

func object(tag tlv.Tag, n int) []byte {
	value := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(value)
	return tlv.Append(nil, tag, value)
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	dg1, _ := lds.DataGroup(1)
	dg2, _ := lds.DataGroup(2)
	small, large := object(0x61, 93), object(0x75, 15000)
	tests := []struct {
		name    string
		file    lds.File
		content []byte
		quirk   func(*card)
		opt     lds.ReadOptions
		most    int // exchanges
		learned lds.Learned
	}{
		{name: "small file in one exchange", file: dg1, content: small, most: 1},
		{name: "empty data object", file: dg1, content: object(0x61, 0), most: 1},
		{name: "exactly one piece", file: dg1, content: object(0x61, 253), most: 1},
		{name: "one byte more than a piece", file: dg1, content: object(0x61, 254), most: 2},
		{name: "large file with short lengths", file: dg2, content: large, most: 59},
		{name: "large file with extended lengths", file: dg2, content: large, opt: lds.ReadOptions{MaxNe: 1900}, most: 8},
		{name: "largest length", file: dg2, content: large, opt: lds.ReadOptions{MaxNe: 65536}, quirk: func(c *card) { c.most = 32000 }, most: 1},
		{name: "zero padding behind the file", file: dg1, content: small, quirk: func(c *card) { c.pad = 400 }, most: 1},
		{name: "end of file warning", file: dg1, content: small, quirk: func(c *card) { c.eof = apdu.EndOfFile }, most: 1},
		{name: "6b00 with the last data", file: dg1, content: small, quirk: func(c *card) { c.eof = apdu.WrongP1P2 }, most: 1},
		{name: "6cxx at the end", file: dg1, content: small, quirk: func(c *card) { c.eofExact = true }, most: 2},
		{
			name: "6700 beyond the end", file: dg1, content: small, most: 3,
			quirk:   func(c *card) { c.eof = apdu.WrongLength },
			learned: lds.Learned{Probe: true},
		},
		{
			name: "6700 beyond the end, known", file: dg1, content: small, most: 2,
			quirk:   func(c *card) { c.eof = apdu.WrongLength },
			opt:     lds.ReadOptions{Learned: &lds.Learned{Probe: true}},
			learned: lds.Learned{Probe: true},
		},
		{
			name: "192 at most, 6700", file: dg2, content: large, most: 83,
			quirk:   func(c *card) { c.most, c.mostStatus = 192, apdu.WrongLength },
			learned: lds.Learned{Probe: true, MaxNe: 192},
		},
		{
			name: "192 at most, known", file: dg2, content: large, most: 79,
			quirk:   func(c *card) { c.most, c.mostStatus = 192, apdu.WrongLength },
			opt:     lds.ReadOptions{Learned: &lds.Learned{MaxNe: 192}},
			learned: lds.Learned{MaxNe: 192},
		},
		{
			name: "120 at most, 6282 without data", file: dg2, content: large, most: 142,
			quirk:   func(c *card) { c.most, c.mostStatus = 120, apdu.EndOfFile },
			learned: lds.Learned{Probe: true, MaxNe: 112},
		},
		{
			name: "6b00 for too much", file: dg2, content: large, most: 110,
			quirk:   func(c *card) { c.most, c.mostStatus = 160, apdu.WrongP1P2 },
			learned: lds.Learned{Probe: true, MaxNe: 160},
		},
		{
			name: "no data for an extended length", file: dg2, content: large, most: 64,
			quirk:   func(c *card) { c.most, c.mostStatus = 256, apdu.OK },
			opt:     lds.ReadOptions{MaxNe: 65536},
			learned: lds.Learned{Probe: true, MaxNe: 256},
		},
		{
			name: "exact length for too much", file: dg2, content: large, most: 80,
			quirk: func(c *card) { c.most, c.mostStatus = 200, 0x6C00 },
		},
		{name: "fewer data than asked for", file: dg2, content: large, quirk: func(c *card) { c.most = 231 }, most: 66},
		{
			name: "no short identifiers, 6a86", file: dg1, content: small, most: 3,
			quirk:   func(c *card) { c.sfiStatus = apdu.IncorrectP1P2 },
			learned: lds.Learned{NoSFI: true},
		},
		{
			name: "no short identifiers, 6a82", file: dg1, content: small, most: 3,
			quirk:   func(c *card) { c.sfiStatus = apdu.FileNotFound },
			learned: lds.Learned{NoSFI: true},
		},
		{
			name: "no short identifiers, 6b00", file: dg1, content: small, most: 4,
			quirk:   func(c *card) { c.sfiStatus = apdu.WrongP1P2 },
			learned: lds.Learned{NoSFI: true},
		},
		{
			name: "no short identifiers, 6700 beyond the end", file: dg1, content: small, most: 6,
			quirk:   func(c *card) { c.sfiStatus, c.eof = apdu.WrongP1P2, apdu.WrongLength },
			learned: lds.Learned{NoSFI: true, Probe: true},
		},
		{
			name: "no short identifiers, known", file: dg1, content: small, most: 2,
			quirk:   func(c *card) { c.sfiStatus = apdu.FunctionNotSupported },
			opt:     lds.ReadOptions{Learned: &lds.Learned{NoSFI: true}},
			learned: lds.Learned{NoSFI: true},
		},
		{name: "beyond 32767", file: dg2, content: object(0x75, 70000), most: 290},
		{name: "beyond 32767, extended", file: dg2, content: object(0x75, 70000), opt: lds.ReadOptions{MaxNe: 4000}, most: 20},
		{name: "ends at 32767", file: dg2, content: object(0x75, 0x7FFF-4), most: 128},
		{name: "ends at 32768", file: dg2, content: object(0x75, 0x8000-4), most: 128},
		{name: "ends at 32769", file: dg2, content: object(0x75, 0x8001-4), most: 129},
		{name: "file without one tag", file: lds.EFATRInfo, content: []byte{0x47, 1, 0, 0x7F, 0x66, 0}, most: 1},
		{name: "file without one tag, 6282", file: lds.EFATRInfo, content: []byte{0x47, 1, 0, 0x7F, 0x66, 0}, quirk: func(c *card) { c.eof = apdu.EndOfFile }, most: 1},
		{name: "file without one tag, full piece", file: lds.EFATRInfo, content: object(0x47, 253), most: 2},
		{name: "file without one tag, full piece, 6b00", file: lds.EFATRInfo, content: object(0x47, 253), quirk: func(c *card) { c.eof = apdu.WrongP1P2 }, most: 2},
	}
	for _, tt := range tests {
		for _, protected := range []bool{false, true} {
			name := tt.name
			if protected {
				name += ", protected"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := newCard(t, map[lds.File][]byte{tt.file: tt.content})
				if tt.quirk != nil {
					tt.quirk(c)
				}
				var d apdu.Doer = c
				if protected {
					d = channel{c}
					if c.most > 0 {
						c.most -= 25 // so that the same response length is the limit
					}
				}
				opt := tt.opt
				learned := lds.Learned{}
				if opt.Learned != nil {
					learned = *opt.Learned
				}
				opt.Learned = &learned
				var last int
				opt.Progress = func(have, size int) {
					if have < last || size != 0 && have > size {
						t.Errorf("progress %d of %d after %d", have, size, last)
					}
					last = have
				}
				got, err := lds.ReadFile(t.Context(), d, tt.file, &opt)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, tt.content) {
					t.Fatalf("%d bytes, want %d", len(got), len(tt.content))
				}
				if last != len(tt.content) {
					t.Errorf("progress ended at %d of %d", last, len(tt.content))
				}
				if protected {
					return // the limits below are for plain exchanges
				}
				if c.exchanges > tt.most {
					t.Errorf("%d exchanges, want at most %d", c.exchanges, tt.most)
				}
				if learned != tt.learned {
					t.Errorf("learned %+v, want %+v", learned, tt.learned)
				}
				// What was learned is true: the next file takes no more.
				before := c.exchanges
				c.exchanges, last = 0, 0
				if _, err := lds.ReadFile(t.Context(), d, tt.file, &opt); err != nil {
					t.Fatal(err)
				}
				if c.exchanges > before {
					t.Errorf("%d exchanges the second time, %d the first", c.exchanges, before)
				}
			})
		}
	}
}

// Every sample of a file comes off a card as it is, whether or not its parser
// likes it, as long as the outer length is right.
func TestReadSamples(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		t.Run(s.ID, func(t *testing.T) {
			t.Parallel()
			f, b := files(t, s.File), s.bytes(t)
			want := b
			var cause error
			switch s.ID {
			case "dg1-truncated", "dg11-9303-10-a5-as-printed":
				cause = lds.ErrTruncated
			case "dg1-wrong-tag", "com-wrong-tag", "cardaccess-truncated":
				cause = lds.ErrTag
			case "dg1-trailing-octets":
				want = b[:93]
			}
			got, err := lds.ReadFile(t.Context(), newCard(t, map[lds.File][]byte{f: b}), f, nil)
			if !errors.Is(err, cause) {
				t.Fatalf("error %v, want %v", err, cause)
			}
			if cause == nil && !bytes.Equal(got, want) {
				t.Errorf("got %x, want %x", got, want)
			}
			if cause != nil && got != nil {
				t.Error("data with an error")
			}
			if f == lds.EFCardAccess && cause == nil {
				got, err := lds.ReadCardAccess(t.Context(), newCard(t, map[lds.File][]byte{f: b}), nil)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("by its ladder: %x, %v", got, err)
				}
			}
		})
	}
}

// A file that a card keeps back is asked for once, and one that it hands out is
// not read.
func TestAsk(t *testing.T) {
	t.Parallel()
	dg3, _ := lds.DataGroup(3)
	content := map[lds.File][]byte{dg3: object(0x63, 3000)}
	tests := []struct {
		name    string
		files   map[lds.File][]byte
		quirk   func(*card)
		want    error
		most    int // exchanges
		learned lds.Learned
	}{
		{name: "handed out", files: content, most: 1},
		{name: "empty", files: map[lds.File][]byte{dg3: object(0x63, 0)}, most: 1},
		{name: "denied", files: content, quirk: func(c *card) { c.sfiStatus = apdu.SecurityStatusNotSatisfied }, want: lds.ErrAccessDenied, most: 1},
		{name: "absent", want: lds.ErrNoFile, most: 2},
		{name: "another tag", files: map[lds.File][]byte{dg3: object(0x61, 9)}, want: lds.ErrTag, most: 1},
		{name: "no short identifiers", files: content, quirk: func(c *card) { c.sfiStatus = apdu.IncorrectP1P2 }, most: 3, learned: lds.Learned{NoSFI: true}},
		{name: "in clear", files: content, quirk: func(c *card) { c.nakedAt, c.naked = 1, apdu.SecurityStatusNotSatisfied }, want: lds.ErrAccessDenied, most: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCard(t, tt.files)
			if tt.quirk != nil {
				tt.quirk(c)
			}
			n := 0
			counting := doerFunc(func(ctx context.Context, cmd apdu.Command) (apdu.Response, error) {
				n++
				if cmd.Ne > 5 {
					t.Errorf("asked for %d bytes", cmd.Ne)
				}
				return c.Do(ctx, cmd)
			})
			var learned lds.Learned
			if err := lds.Ask(t.Context(), counting, dg3, &learned); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if n > tt.most || learned != tt.learned {
				t.Errorf("%d exchanges, want %d; learned %+v", n, tt.most, learned)
			}
			if err := lds.Ask(t.Context(), newCard(t, content), dg3, nil); err != nil {
				t.Errorf("with nothing known: %v", err)
			}
		})
	}
}

type doerFunc func(context.Context, apdu.Command) (apdu.Response, error)

func (f doerFunc) Do(ctx context.Context, c apdu.Command) (apdu.Response, error) { return f(ctx, c) }

func TestReadFileErrors(t *testing.T) {
	t.Parallel()
	dg3, _ := lds.DataGroup(3)
	dg11, _ := lds.DataGroup(11)
	dg1, _ := lds.DataGroup(1)
	tests := []struct {
		name  string
		file  lds.File
		card  func(*card)
		opt   *lds.ReadOptions
		want  []error
		reads int // exchanges at most
	}{
		{name: "absent", file: dg11, want: []error{lds.ErrNoFile, apdu.FileNotFound}, reads: 2},
		{name: "denied", file: dg3, card: func(c *card) { c.denied[dg3.ID] = true }, want: []error{lds.ErrAccessDenied, apdu.SecurityStatusNotSatisfied}, reads: 1},
		{
			name: "denied, selected", file: dg3, reads: 1,
			card: func(c *card) { c.denied[dg3.ID] = true },
			opt:  &lds.ReadOptions{Learned: &lds.Learned{NoSFI: true}},
			want: []error{lds.ErrAccessDenied, apdu.SecurityStatusNotSatisfied},
		},
		{name: "other tag", file: dg1, card: func(c *card) { c.files[dg1.ID] = object(0x62, 3) }, want: []error{lds.ErrTag}, reads: 1},
		{name: "no header", file: dg1, card: func(c *card) { c.files[dg1.ID] = make([]byte, 300) }, want: []error{lds.ErrHeader}, reads: 1},
		{name: "indefinite length", file: dg1, card: func(c *card) { c.files[dg1.ID] = append([]byte{0x61, 0x80}, make([]byte, 300)...) }, want: []error{lds.ErrHeader}, reads: 1},
		{name: "half a header", file: dg1, card: func(c *card) { c.files[dg1.ID] = []byte{0x61, 0x82} }, want: []error{lds.ErrTruncated}, reads: 20},
		{name: "empty", file: dg1, card: func(c *card) { c.files[dg1.ID] = []byte{} }, want: []error{lds.ErrTruncated}, reads: 20},
		{name: "too large", file: dg1, card: func(c *card) { c.files[dg1.ID] = object(0x61, lds.DefaultMaxSize) }, want: []error{lds.ErrTooLarge}, reads: 1},
		{name: "above the limit given", file: dg1, card: func(c *card) { c.files[dg1.ID] = object(0x61, 99) }, opt: &lds.ReadOptions{MaxSize: 100}, want: []error{lds.ErrTooLarge}, reads: 1},
		{name: "truncated", file: dg1, card: func(c *card) { c.files[dg1.ID] = object(0x61, 1000)[:600] }, want: []error{lds.ErrTruncated}, reads: 20},
		{
			name: "truncated, 6282", file: dg1, reads: 20,
			card: func(c *card) { c.files[dg1.ID], c.eof = object(0x61, 1000)[:600], apdu.EndOfFile },
			want: []error{lds.ErrTruncated, apdu.EndOfFile},
		},
		{
			name: "truncated, 6b00", file: dg1, reads: 20,
			card: func(c *card) { c.files[dg1.ID], c.eof = object(0x61, 1000)[:600], apdu.WrongP1P2 },
			want: []error{lds.ErrTruncated, apdu.WrongP1P2},
		},
		{name: "one byte at a time", file: dg1, card: func(c *card) { c.files[dg1.ID], c.most = object(0x61, 30000), 1 }, want: []error{lds.ErrStalled}, reads: 80},
		{name: "gone at once", file: dg1, card: func(c *card) { c.broken = true }, want: []error{errTorn}, reads: 1},
		{name: "other status", file: dg1, card: func(c *card) { c.sfiStatus = 0x6F00 }, want: []error{apdu.NoPreciseDiagnosis}, reads: 1},
		{
			name: "absent, in plain", file: dg11, reads: 1,
			card: func(c *card) { c.nakedAt, c.naked = 1, apdu.FileNotFound },
			want: []error{lds.ErrNoFile, apdu.FileNotFound, unprotected{apdu.FileNotFound}},
		},
		{
			name: "denied, in plain", file: dg3, reads: 1,
			card: func(c *card) { c.nakedAt, c.naked = 1, apdu.SecurityStatusNotSatisfied },
			want: []error{lds.ErrAccessDenied, unprotected{apdu.SecurityStatusNotSatisfied}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCard(t, map[lds.File][]byte{dg1: object(0x61, 93), dg3: object(0x63, 10)})
			if tt.card != nil {
				tt.card(c)
			}
			got, err := lds.ReadFile(t.Context(), c, tt.file, tt.opt)
			for _, want := range tt.want {
				if !errors.Is(err, want) {
					t.Errorf("error %v, want %v", err, want)
				}
			}
			var re *lds.ReadError
			if !errors.As(err, &re) || re.File != tt.file {
				t.Errorf("error %#v, want a ReadError of %v", err, tt.file)
			}
			if got != nil {
				t.Error("data with an error")
			}
			if c.exchanges > tt.reads {
				t.Errorf("%d exchanges, want at most %d", c.exchanges, tt.reads)
			}
		})
	}
}

func TestReadFileStopsWithContext(t *testing.T) {
	t.Parallel()
	dg2, _ := lds.DataGroup(2)
	ctx, cancel := context.WithCancel(t.Context())
	c := newCard(t, map[lds.File][]byte{dg2: object(0x75, 15000)})
	_, err := lds.ReadFile(ctx, c, dg2, &lds.ReadOptions{Progress: func(have, _ int) {
		if have > 1000 {
			cancel()
		}
	}})
	var re *lds.ReadError
	if !errors.As(err, &re) || !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want %v", err, context.Canceled)
	}
	if re.Partial == nil || re.Partial.Offset() != 1024 || c.exchanges != 4 {
		t.Errorf("partial %v after %d exchanges", re.Partial, c.exchanges)
	}
}

// A card that is torn away at any point is resumed at that point, also where
// the next channel has other limits.
func TestResume(t *testing.T) {
	t.Parallel()
	dg2, _ := lds.DataGroup(2)
	content := object(0x75, 40000)
	for _, noSFI := range []bool{false, true} {
		for tear := 1; tear < 160; tear += 7 {
			learned := lds.Learned{NoSFI: noSFI}
			opt := &lds.ReadOptions{Learned: &learned}
			var got []byte
			tries, total := 0, 0
			for got == nil {
				if tries++; tries > 200 {
					t.Fatalf("tear after %d: no end", tear)
				}
				c := newCard(t, map[lds.File][]byte{dg2: content})
				c.tearAfter = tear + tries%2
				if noSFI {
					c.sfiStatus = apdu.IncorrectP1P2
				}
				b, err := lds.ReadFile(t.Context(), c, dg2, opt)
				total += c.exchanges
				if err == nil {
					got = b
					break
				}
				var re *lds.ReadError
				if !errors.As(err, &re) || !errors.Is(err, errTorn) {
					t.Fatal(err)
				}
				if re.Partial != nil {
					if re.Partial.Offset() != re.Offset || re.Partial.File() != dg2 {
						t.Errorf("partial %v, offset %d", re.Partial, re.Offset)
					}
					opt.Resume = re.Partial
				} else if opt.Resume != nil && !noSFI {
					t.Error("what was read is lost")
				}
				if tear < 3 && tries > 100 {
					break // one exchange per card does not get far
				}
			}
			if got != nil && !bytes.Equal(got, content) {
				t.Errorf("tear after %d: other content", tear)
			}
			if got == nil && tear > 3 {
				t.Errorf("tear after %d: not read", tear)
			}
			if least := 158; tear > 3 && total > least+4*tries {
				t.Errorf("tear after %d: %d exchanges in %d tries", tear, total, tries)
			}
		}
	}
}

func TestResumeRefusesAnotherFile(t *testing.T) {
	t.Parallel()
	dg2, _ := lds.DataGroup(2)
	for _, learned := range []lds.Learned{{}, {NoSFI: true}} {
		c := newCard(t, map[lds.File][]byte{dg2: object(0x75, 15000)})
		c.tearAfter = 10
		opt := &lds.ReadOptions{Learned: &learned}
		_, err := lds.ReadFile(t.Context(), c, dg2, opt)
		var re *lds.ReadError
		if !errors.As(err, &re) || re.Partial == nil {
			t.Fatal(err)
		}
		if s := fmt.Sprintf("%v %+v %#v %s", re.Partial, re.Partial, re.Partial, re.Partial); strings.Contains(s, "0x") || !strings.Contains(s, "DG2") {
			t.Errorf("partial prints as %s", s)
		}
		opt.Resume = re.Partial
		other := newCard(t, map[lds.File][]byte{dg2: object(0x75, 15001)})
		if _, err = lds.ReadFile(t.Context(), other, dg2, opt); !errors.Is(err, lds.ErrChanged) {
			t.Errorf("error %v, want %v", err, lds.ErrChanged)
		}
		if errors.As(err, &re); re.Partial != nil {
			t.Error("the mixture may be resumed")
		}
	}
}

// A status word in plain ends secure messaging. The second channel must not
// ask for the same again.
func TestUnprotectedStatusIsLearned(t *testing.T) {
	t.Parallel()
	dg1, _ := lds.DataGroup(1)
	dg2, _ := lds.DataGroup(2)
	var learned lds.Learned
	opt := &lds.ReadOptions{Learned: &learned}
	content := map[lds.File][]byte{dg1: object(0x61, 93), dg2: object(0x75, 3000)}
	break1 := func(f lds.File, at int, sw apdu.Status) {
		c := newCard(t, content)
		c.nakedAt, c.naked = at, sw
		_, err := lds.ReadFile(t.Context(), c, f, opt)
		if !errors.Is(err, unprotected{sw}) {
			t.Fatalf("error %v", err)
		}
	}
	break1(dg1, 1, apdu.WrongLength)
	if want := (lds.Learned{Probe: true}); learned != want {
		t.Fatalf("learned %+v, want %+v", learned, want)
	}
	break1(dg2, 2, apdu.WrongLength)
	if want := (lds.Learned{Probe: true, MaxNe: 224}); learned != want {
		t.Fatalf("learned %+v, want %+v", learned, want)
	}
	break1(dg2, 2, 0x6CC0)
	if want := (lds.Learned{Probe: true, MaxNe: 192}); learned != want {
		t.Fatalf("learned %+v, want %+v", learned, want)
	}
	break1(dg1, 1, apdu.IncorrectP1P2)
	if !learned.NoSFI {
		t.Fatal("not learned that short identifiers are refused")
	}
	got, err := lds.ReadFile(t.Context(), newCard(t, content), dg2, opt)
	if err != nil || !bytes.Equal(got, content[dg2]) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

// The bytes on the wire (Doc 9303-10, 3.6, and the exchanges that the clients
// of Vietnamese cards report).
func TestTranscripts(t *testing.T) {
	t.Parallel()
	dg1, _ := lds.DataGroup(1)
	read := func(f lds.File) func(context.Context, apdu.Doer) error {
		return func(ctx context.Context, d apdu.Doer) error {
			_, err := lds.ReadFile(ctx, d, f, nil)
			return err
		}
	}
	cardAccess := func(ctx context.Context, d apdu.Doer) error {
		b, err := lds.ReadCardAccess(ctx, d, nil)
		if err == nil && !bytes.Equal(b, []byte{0x31, 2, 5, 0}) {
			return fmt.Errorf("content %x", b)
		}
		return err
	}
	tests := []struct {
		name, transcript string
		do               func(context.Context, apdu.Doer) error
		want             error
	}{
		{"select application", "00a4040c07a0000002471001 -> 9000", lds.Select, nil},
		{"no application", "00a4040c07a0000002471001 -> 6a82", lds.Select, lds.ErrNoApplication},
		{"application denied", "00a4040c07a0000002471001 -> 6982", lds.Select, lds.ErrAccessDenied},
		{"application refused", "00a4040c07a0000002471001 -> 6f00", lds.Select, apdu.NoPreciseDiagnosis},
		{"no card", "00a4040c07a0000002471001 -> !", lds.Select, apdutest.ErrGone},
		{"short identifier", "00b0810000 -> 6103aabbcc 9000", read(dg1), nil},
		{"exact length", "00b0810000 -> 6c05\n00b0810005 -> 6103aabbcc 9000", read(dg1), nil},
		{"more data", "00b0810000 -> 6103 6103\n00c0000003 -> aabbcc 9000", read(dg1), nil},
		{"selected", "00b0810000 -> 6a81\n00a4020c020101 -> 9000\n00b0000000 -> 6103aabbcc 9000", read(dg1), nil},
		{"second piece", "00b09d0000 -> 7703aa 9000\n00b0000302 -> bbcc 9000", read(lds.EFSOD), nil},

		{"card access by short identifier", "00b09c0000 -> 31020500 9000", cardAccess, nil},
		{"card access selected", "00b09c0000 -> 6a82\n00a4020c02011c -> 9000\n00b0000000 -> 31020500 9000", cardAccess, nil},
		{
			"no card access in the master file", `
				00b09c0000 -> 6a82
				00a4020c02011c -> 6a82
				00a4000c -> 9000
				00a4020c02011c -> 6a82`, cardAccess, lds.ErrNoFile,
		},
		{
			"card access after master file", `
				00b09c0000 -> 6986
				00a4020c02011c -> 6a86
				00a4000c -> 9000
				00a4020c02011c -> 9000
				00b0000000 -> 31020500 6282`, cardAccess, nil,
		},
		{
			"card access after 3f00", `
				00b09c0000 -> 6a82
				00a4020c02011c -> 6a82
				00a4000c -> 6d00
				00a4000c023f00 -> 9000
				00a4020c02011c -> 9000
				00b0000000 -> 31020500 9000`, cardAccess, nil,
		},
		{
			"no card access", `
				00b09c0000 -> 6982
				00a4000c -> 6d00
				00a4000c023f00 -> 6985`, cardAccess, lds.ErrNoFile,
		},
		{
			"something else instead of card access", `
				00b09c0000 -> 30020500 9000
				00a4000c -> 6d00
				00a4000c023f00 -> 6700`, cardAccess, lds.ErrNoFile,
		},
		{"card gone at card access", "00b09c0000 -> !", cardAccess, apdutest.ErrGone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.do(t.Context(), apdu.NewSession(apdutest.NewScript(t, tt.transcript)))
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestErrorsAreAsTheyShouldRead(t *testing.T) {
	t.Parallel()
	dg11, _ := lds.DataGroup(11)
	_, err := lds.ReadFile(t.Context(), newCard(t, nil), dg11, nil)
	if got, want := err.Error(), "read DG11 at 0: lds: no such file: status 6a82 (file not found)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
