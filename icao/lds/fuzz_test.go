package lds_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/face"
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
		c2, err := lds.ParseCOM(again)
		c.Deviations, c2.Deviations = nil, nil // how lengths were written is gone
		if err != nil || !reflect.DeepEqual(c, c2) {
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
			if m.Layout != 0 || m.Lines != nil || m.DocumentNumber != "" {
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
	f.Add(templateGroup([]byte{2, 1, 1}, tlv.Append(nil, 0x7F2E, faceRecord39794(tinyJPEG))))
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

// inside reports whether every element that was kept is in the file.
func inside(b []byte, rest []lds.Element) bool {
	for _, e := range rest {
		if !bytes.Contains(b, e.Value) {
			return false
		}
	}
	return true
}

// written writes a name as a group has it.
func written(n lds.PersonName) string {
	s := strings.ReplaceAll(n.Primary, " ", "<")
	if n.Secondary != "" || n.Primary == "" {
		s += "<<" + strings.ReplaceAll(n.Secondary, " ", "<")
	}
	return s
}

// group writes the elements that have a value.
func group(tag tlv.Tag, namesTag tlv.Tag, names []lds.PersonName, elements map[tlv.Tag]string) []byte {
	var parts [][]byte
	for _, t := range slices.Sorted(maps.Keys(elements)) {
		if elements[t] != "" {
			parts = append(parts, obj(t, elements[t]))
		}
	}
	if names != nil {
		template := []byte{2, 1, byte(len(names))}
		for _, n := range names {
			template = append(template, obj(namesTag, written(n))...)
		}
		parts = append(parts, obj(0xA0, template))
	}
	return listed(tag, parts...)
}

// What was understood, written again as the standard has it, is read as the
// same, with no other deviation than one that lies in a value.
func FuzzParseDG11(f *testing.F) {
	for _, b := range seeds(f, "DG11") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := lds.ParseDG11(b)
		if err != nil {
			if !reflect.ValueOf(d).IsZero() {
				t.Error("content with an error")
			}
			return
		}
		if !inside(b, d.Rest) {
			t.Error("element that is not in the file")
		}
		elements := map[tlv.Tag]string{
			0x5F10: d.PersonalNumber, 0x5F2B: d.DateOfBirth.String(), 0x5F11: strings.Join(d.PlaceOfBirth, "<"),
			0x5F42: strings.Join(d.Address, "<"), 0x5F12: d.Telephone, 0x5F13: d.Profession, 0x5F14: d.Title, 0x5F15: d.Summary,
			0x5F16: string(d.Citizenship.Data), 0x5F17: strings.Join(d.OtherDocuments, "<"), 0x5F18: d.Custody,
		}
		if d.Name != (lds.PersonName{}) {
			elements[0x5F0E] = written(d.Name)
		}
		again, err := lds.ParseDG11(group(0x6B, 0x5F0F, d.OtherNames, elements))
		if err != nil {
			t.Fatal(err)
		}
		sameAgain(t, d.Deviations, again.Deviations)
		d.Rest, d.Deviations, again.Deviations = nil, nil, nil
		if !equal(d, again) {
			t.Errorf("%s became %s", all(d), all(again))
		}
	})
}

func FuzzParseDG12(f *testing.F) {
	for _, b := range seeds(f, "DG12") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := lds.ParseDG12(b)
		if err != nil {
			if !reflect.ValueOf(d).IsZero() {
				t.Error("content with an error")
			}
			return
		}
		if !inside(b, d.Rest) {
			t.Error("element that is not in the file")
		}
		again, err := lds.ParseDG12(group(0x6C, 0x5F1A, d.OtherPersons, map[tlv.Tag]string{
			0x5F19: d.IssuingAuthority, 0x5F26: d.DateOfIssue.String(), 0x5F1B: d.Endorsements, 0x5F1C: d.TaxExit,
			0x5F1D: string(d.Front.Data), 0x5F1E: string(d.Rear.Data), 0x5F55: d.Personalised.String(), 0x5F56: d.SystemSerial,
		}))
		if err != nil {
			t.Fatal(err)
		}
		sameAgain(t, d.Deviations, again.Deviations)
		d.Rest, d.Deviations, again.Deviations = nil, nil, nil
		if !equal(d, again) {
			t.Errorf("%s became %s", all(d), all(again))
		}
	})
}

// sameAgain fails for deviations of what was written by the standard, except
// those that lie in a value and were there before.
func sameAgain(t *testing.T, before, after []string) {
	t.Helper()
	for _, dev := range after {
		// A name without its primary part begins with fillers by itself.
		if dev != lds.DevFiller && (dev != lds.DevTooLong && dev != lds.DevPicture || !slices.Contains(before, dev)) {
			t.Errorf("deviation %q after %q", dev, before)
		}
	}
}

func FuzzParseDG7(f *testing.F) {
	f.Add(obj(0x67, []byte{2, 1, 1}, obj(0x5F43, tinyJPEG)))
	f.Add(obj(0x67, obj(0x5F43, "\xFF\x4F\xFF\x51"), obj(0x5F40, "x"), obj(0x5F43, "GIF89a")))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := lds.ParseDG7(b)
		if err != nil {
			if !reflect.ValueOf(g).IsZero() {
				t.Error("content with an error")
			}
			return
		}
		if len(g.Images) == 0 || len(g.Images) > 9 {
			t.Fatalf("%d pictures", len(g.Images))
		}
		for _, img := range g.Images {
			if len(img.Data) == 0 || !bytes.Contains(b, img.Data) || img.Codec != face.Detect(img.Data) {
				t.Errorf("picture %v", img)
			}
		}
	})
}

func FuzzParseDG16(f *testing.F) {
	for _, b := range seeds(f, "DG16") {
		f.Add(b)
	}
	f.Add(obj(0x70, obj(0xA2, obj(0x5F50, "\x20\x02\x01\x01"), obj(0x5F54, "x"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := lds.ParseDG16(b)
		if err != nil {
			if !reflect.ValueOf(g).IsZero() {
				t.Error("content with an error")
			}
			return
		}
		if len(g.Persons) > 15 {
			t.Fatalf("%d persons", len(g.Persons))
		}
		for _, p := range g.Persons {
			if !inside(b, p.Rest) || len(p.Recorded.String()) > 8 {
				t.Errorf("person %s", all(p))
			}
		}
	})
}

func FuzzParseDIR(f *testing.F) {
	app := obj(0x61, obj(0x4F, lds.AID()))
	f.Add(app)
	f.Add(slices.Concat(app, []byte{0, 0}, obj(0x61, obj(0x50, "x"), obj(0x4F, "12345")), obj(0x4F, "1")))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := lds.ParseDIR(b)
		if err != nil {
			if !reflect.ValueOf(d).IsZero() {
				t.Error("content with an error")
			}
			return
		}
		var again []byte
		for _, aid := range d.AIDs {
			again = append(again, obj(0x61, obj(0x4F, aid))...)
		}
		if d2, err := lds.ParseDIR(again); err != nil || !slices.EqualFunc(d.AIDs, d2.AIDs, bytes.Equal) {
			t.Errorf("%x became %x, %v", d.AIDs, d2.AIDs, err)
		}
	})
}

// The strict mode never accepts what a parser refuses, and prints no content.
func FuzzCheck(f *testing.F) {
	for _, name := range []string{"EF.COM", "EF.ATR/INFO", "EF.CardAccess", "DG1", "DG11", "DG12", "DG13", "DG14", "DG15", "DG16"} {
		for _, b := range seeds(f, name) {
			f.Add(b, byte(files(f, name).SFI))
		}
	}
	f.Add(faceGroup(faceRecord39794(tinyJPEG)), byte(2))
	f.Fuzz(func(t *testing.T, b []byte, sfi byte) {
		file, ok := lds.DataGroup(int(sfi))
		if !ok {
			file = []lds.File{lds.EFCOM, lds.EFSOD, lds.EFATRInfo, lds.EFDIR, lds.EFCardAccess, lds.EFCardSecurity}[sfi%6]
		}
		failed := false
		for _, found := range lds.Check(file, b) {
			if found.File != file || (found.Err == nil) == (found.Deviation == "") {
				t.Fatalf("finding %+v", found)
			}
			failed = failed || found.Err != nil
		}
		if len(b) == 0 && file.Tag != 0 && !failed {
			t.Error("nothing is accepted")
		}
	})
}
