package lds_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/tlv"
)

// A hostile answers whatever the fuzzer wrote: for each exchange a byte for
// the status word, one for the length, and data. It keeps what it has sent in
// answer to reading.
type hostile struct {
	script    []byte
	sent      []byte
	exchanges int
}

var hostileStatus = []apdu.Status{
	apdu.OK, apdu.OK, apdu.OK, apdu.OK, apdu.EndOfFile, apdu.WrongP1P2, apdu.WrongLength, apdu.FileNotFound,
	apdu.SecurityStatusNotSatisfied, apdu.IncorrectP1P2, 0x6C00, 0x6C01, 0x6CFF, 0x6100, 0x6310, 0,
}

func (h *hostile) Do(_ context.Context, c apdu.Command) (apdu.Response, error) {
	h.exchanges++
	if len(h.script) < 2 {
		return apdu.Response{}, errTorn
	}
	sw := hostileStatus[int(h.script[0])%len(hostileStatus)]
	repeat := h.script[0] >= 0x80 // the same for ever
	n := min(int(h.script[1])*3, len(h.script)-2)
	data := bytes.Clone(h.script[2 : 2+n])
	if !repeat {
		h.script = h.script[2+n:]
	}
	if c.INS == 0xA4 {
		return apdu.Response{Data: data, SW: sw}, nil
	}
	content := data
	if c.INS == 0xB1 {
		s := tlv.String(data)
		var v tlv.String
		if !s.ReadLenient(&v, nil) {
			v = nil
		}
		content = v
	}
	switch sw {
	case apdu.OK, apdu.EndOfFile, apdu.WrongP1P2:
		h.sent = append(h.sent, content[:min(len(content), c.Ne)]...)
	}
	return apdu.Response{Data: data, SW: sw}, nil
}

// Whatever a card answers, reading ends, and what it returns is the beginning
// of what the card sent.
func FuzzReadFile(f *testing.F) {
	for _, b := range seeds(f, "DG1") {
		n := (len(b) + 2) / 3
		script := append([]byte{0, byte(n)}, b...)
		f.Add(script, byte(1), false)
		f.Add(append([]byte{6, 0}, script...), byte(1), true)
	}
	f.Add(append([]byte{0, 3, 0x75, 0x82, 0xFF, 0xFF, 1, 2, 3, 4, 5, 0x80, 1}, make([]byte, 600)...), byte(2), false)
	f.Add([]byte{7, 0, 0, 0, 0x80, 1, 0x61, 0x82, 0x10}, byte(1), false)
	f.Add([]byte{0, 1, 0x61, 0x05, 1, 4, 1, 2, 3, 4}, byte(0), false)
	f.Fuzz(func(t *testing.T, script []byte, dg byte, probe bool) {
		file, ok := lds.DataGroup(int(dg % 17))
		if !ok {
			file = lds.EFATRInfo
		}
		h := &hostile{script: script}
		opt := &lds.ReadOptions{MaxSize: 1 << 16, Learned: &lds.Learned{Probe: probe}}
		got, err := lds.ReadFile(t.Context(), h, file, opt)
		if limit := 66 + len(h.sent)/16; h.exchanges > limit {
			t.Fatalf("%d exchanges for %d bytes", h.exchanges, len(h.sent))
		}
		if (got == nil) == (err == nil) {
			t.Fatalf("%d bytes and error %v", len(got), err)
		}
		if !bytes.HasPrefix(h.sent, got) {
			t.Fatal("data that the card did not send")
		}
		var re *lds.ReadError
		if err != nil && !errors.As(err, &re) {
			t.Fatalf("error %v", err)
		}
		if err != nil {
			if re.Partial != nil && re.Partial.Offset() > len(h.sent) {
				t.Fatalf("partial of %d bytes, sent %d", re.Partial.Offset(), len(h.sent))
			}
			return
		}
		if file.Tag == 0 {
			return
		}
		tag, headerLen, valueLen, ok := tlv.Header(got)
		if !ok || tag != file.Tag || headerLen+valueLen != len(got) {
			t.Fatalf("not one data object of %d bytes", len(got))
		}
	})
}

func FuzzParseCOM(f *testing.F) {
	for _, b := range seeds(f, "EF.COM") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := lds.ParseCOM(b)
		if err != nil {
			if !reflect.ValueOf(c).IsZero() {
				t.Error("content with an error")
			}
			return
		}
		// What was read, written again, is read as the same.
		var list []byte
		for _, tag := range c.Tags {
			list = append(list, tlv.Append(nil, tag, nil)...)
			list = list[:len(list)-1]
		}
		var w tlv.Builder
		w.AddFunc(0x60, func(w *tlv.Builder) {
			w.Add(0x5F01, []byte(c.LDSVersion))
			w.Add(0x5F36, []byte(c.UnicodeVersion))
			w.Add(0x5C, list)
		})
		again, err := w.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if c2, err := lds.ParseCOM(again); err != nil || !reflect.DeepEqual(c, c2) {
			t.Errorf("%+v became %+v, %v", c, c2, err)
		}
	})
}

func FuzzParseDG1(f *testing.F) {
	for _, b := range seeds(f, "DG1") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := lds.ParseDG1(b)
		if err != nil {
			if m.Format != 0 || m.Lines != nil || m.DocumentNumber != "" {
				t.Error("zone with an error")
			}
			return
		}
		if _, err := m.Key(); err != nil {
			t.Errorf("a zone without a key: %v", err)
		}
	})
}

func FuzzParseDG2(f *testing.F) {
	f.Add(faceGroup(faceRecord(0, tinyJPEG)))
	f.Add(faceGroup(faceRecord(1, []byte{0xFF, 0x4F, 0xFF, 0x51}), faceRecord(0, tinyJPEG)))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := lds.ParseDG2(b)
		if err != nil {
			if d.Faces != nil || d.Deviations != nil {
				t.Error("faces with an error")
			}
			return
		}
		img, ok := d.Portrait()
		if !ok || len(img.Data) == 0 || !bytes.Contains(b, img.Data) {
			t.Error("no picture, or one that is not in the file")
		}
	})
}

func FuzzParseATRInfo(f *testing.F) {
	for _, b := range seeds(f, "EF.ATR/INFO") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := lds.ParseATRInfo(b)
		if err != nil && a != (lds.ATRInfo{}) {
			t.Error("content with an error")
		}
		if a.MaxNe() < 0 || a.MaxNe() > 65536 {
			t.Errorf("MaxNe %d", a.MaxNe())
		}
	})
}
