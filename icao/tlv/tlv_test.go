package tlv_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/tlv"
)

func TestRead(t *testing.T) {
	long := bytes.Repeat([]byte{0xAB}, 0x1234)
	tests := []struct {
		name  string
		in    []byte
		tag   tlv.Tag
		value []byte
		rest  int
	}{
		{"one-byte tag", []byte{0x5A, 2, 1, 2}, 0x5A, []byte{1, 2}, 0},
		{"empty value", []byte{0x8E, 0}, 0x8E, nil, 0},
		{"two-byte tag", []byte{0x5F, 0x1F, 1, 9}, 0x5F1F, []byte{9}, 0},
		{"two-byte tag with a number below 31", []byte{0x5F, 0x01, 1, 9}, 0x5F01, []byte{9}, 0},
		{"three-byte tag", []byte{0x7F, 0x81, 0x01, 1, 9}, 0x7F8101, []byte{9}, 0},
		{"rest is left", []byte{0x61, 1, 7, 0xFF}, 0x61, []byte{7}, 1},
		{"length in 81", append([]byte{0x61, 0x81, 0x80}, long[:0x80]...), 0x61, long[:0x80], 0},
		{"length in 82", append([]byte{0x61, 0x82, 0x12, 0x34}, long...), 0x61, long, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, lenient := range []bool{false, true} {
				s := tlv.String(tt.in)
				read := s.Read
				if lenient {
					read = s.ReadLenient
				}
				var value tlv.String
				var tag tlv.Tag
				if !read(&value, &tag) {
					t.Fatalf("lenient %v: not read", lenient)
				}
				if tag != tt.tag || !bytes.Equal(value, tt.value) || len(s) != tt.rest {
					t.Errorf("lenient %v: tag %x, %d bytes, %d left; want %x, %d, %d", lenient, tag, len(value), len(s), tt.tag, len(tt.value), tt.rest)
				}
			}
			tag, headerLen, valueLen, ok := tlv.Header(tt.in)
			if !ok || tag != tt.tag || valueLen != len(tt.value) || headerLen+valueLen+tt.rest != len(tt.in) {
				t.Errorf("Header = %x, %d, %d, %v", tag, headerLen, valueLen, ok)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct {
		name, in string
		lenient  bool // ReadLenient accepts it
	}{
		{"nothing", "", false},
		{"tag alone", "61", false},
		{"half a tag", "5f", false},
		{"tag of four bytes", "7f81818101ff", false},
		{"tag 00", "0000", false},
		{"tag number with a leading zero", "5f800100", false},
		{"indefinite length", "61800000", false},
		{"length of length cut off", "6182", false},
		{"length cut off", "618201", false},
		{"length in four bytes", "6184000000010a", false},
		{"value cut off", "610201", false},
		{"value missing, largest length", "6183ffffff", false},
		{"81 for a length below 80", "61810109", true},
		{"82 for a length below 100", "618200" + "0109", true},
		{"82 for a length of one byte", "61820080" + strings.Repeat("09", 0x80), true},
		{"83 for a length of two bytes", "6183000100" + strings.Repeat("09", 0x100), true},
		{"83 for a length below 10000", "6183000001" + "09", true},
		{"81 for no value", "618100", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := vectortest.Hex(t, tt.in)
			s := tlv.String(in)
			value, tag, present := tlv.String("value"), tlv.Tag(1), true
			if s.Read(&value, &tag) {
				t.Error("Read accepted it")
			}
			if s.ReadTag(&value, 0x61) {
				t.Error("ReadTag accepted it")
			}
			if len(in) > 0 && in[0] == 0x61 && s.ReadOptional(&value, &present, 0x61) {
				t.Error("ReadOptional accepted it")
			}
			if string(value) != "value" || tag != 1 || !present || len(s) != len(in) {
				t.Error("a refused read changed something")
			}
			if got := s.ReadLenient(&value, &tag); got != tt.lenient {
				t.Errorf("ReadLenient = %v, want %v", got, tt.lenient)
			}
			if tt.lenient && (len(s) != 0 || tag != 0x61) {
				t.Errorf("ReadLenient: tag %x, %d left", tag, len(s))
			}
		})
	}
}

func TestReadTag(t *testing.T) {
	s := tlv.String{0x5C, 1, 9, 0x61, 0}
	if s.ReadTag(nil, 0x61) {
		t.Fatal("read another tag")
	}
	var v tlv.String
	if !s.ReadTag(&v, 0x5C) || len(v) != 1 || !s.ReadTag(nil, 0x61) || !s.Empty() {
		t.Fatalf("value %x, left %x", []byte(v), []byte(s))
	}
}

func TestReadOptional(t *testing.T) {
	tests := []struct {
		name, in            string
		wantOK, wantPresent bool
		rest                int
	}{
		{"present", "99029000", true, true, 0},
		{"another tag", "8e00", true, false, 2},
		{"the end", "", true, false, 0},
		{"malformed with the tag", "990290", false, false, 3},
		{"no tag at all", "00", false, false, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tlv.String(vectortest.Hex(t, tt.in))
			var present bool
			if ok := s.ReadOptional(nil, &present, 0x99); ok != tt.wantOK || present != tt.wantPresent || len(s) != tt.rest {
				t.Errorf("ok %v, present %v, %d left", ok, present, len(s))
			}
		})
	}
}

func TestIntegers(t *testing.T) {
	s := tlv.String(vectortest.Hex(t, "01020304050607080c"))
	var a uint8
	var b uint16
	var d uint32
	var e []byte
	if !s.ReadUint8(&a) || !s.ReadUint16(&b) || !s.ReadUint32(&d) || !s.Skip(1) || !s.ReadBytes(&e, 1) || !s.Empty() {
		t.Fatal("not read")
	}
	if a != 1 || b != 0x0203 || d != 0x04050607 || e[0] != 0x0C {
		t.Errorf("%x %x %x %x", a, b, d, e)
	}
	if s.ReadUint8(&a) || s.ReadUint16(&b) || s.ReadUint32(&d) || s.Skip(1) || s.Skip(-1) || s.ReadBytes(&e, 1) {
		t.Error("read past the end")
	}
	if a != 1 || b != 0x0203 || e[0] != 0x0C {
		t.Error("a refused read changed its result")
	}
}

// What is read may be appended to without touching what follows it.
func TestReadDoesNotAliasTheRest(t *testing.T) {
	in := []byte{0x5C, 1, 9, 0x61, 0}
	s := tlv.String(in)
	var v tlv.String
	if !s.ReadTag(&v, 0x5C) {
		t.Fatal("not read")
	}
	_ = append(v, 0xEE)
	if in[3] != 0x61 {
		t.Error("append to a value overwrote the next data object")
	}
}

func TestHeaderOfIncompleteValue(t *testing.T) {
	tag, headerLen, valueLen, ok := tlv.Header(vectortest.Hex(t, "7582a1b2"))
	if !ok || tag != 0x75 || headerLen != 4 || valueLen != 0xA1B2 {
		t.Errorf("Header = %x, %d, %d, %v", tag, headerLen, valueLen, ok)
	}
	if _, _, _, ok := tlv.Header(vectortest.Hex(t, "7582a1")); ok {
		t.Error("half a length accepted")
	}
}

func TestConstructed(t *testing.T) {
	for tag, want := range map[tlv.Tag]bool{0x61: true, 0x5F1F: false, 0x7F61: true, 0x04: false, 0x7F8101: true, 0x5F8101: false} {
		if got := tag.Constructed(); got != want {
			t.Errorf("%x: %v, want %v", uint32(tag), got, want)
		}
	}
}

func TestAppendRoundTrip(t *testing.T) {
	tags := []tlv.Tag{0x01, 0x61, 0x80, 0x5F01, 0x5F1F, 0x7F49, 0x7F8101, 0xDF8101}
	lengths := []int{0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000, 0x10001}
	for _, tag := range tags {
		for _, n := range lengths {
			value := bytes.Repeat([]byte{0xC3}, n)
			s := tlv.String(tlv.Append([]byte{0xEE}, tag, value))
			var got tlv.String
			if !s.Skip(1) || !s.ReadTag(&got, tag) || !s.Empty() || !bytes.Equal(got, value) {
				t.Errorf("tag %x, %d bytes: does not read back", uint32(tag), n)
			}
		}
	}
}

func TestBuilder(t *testing.T) {
	var b tlv.Builder
	b.AddFunc(0x7F49, func(b *tlv.Builder) {
		b.Add(0x06, []byte{1, 2})
		b.AddFunc(0x30, func(*tlv.Builder) {})
		b.AddBytes([]byte{0x81, 0})
	})
	got, err := b.Bytes()
	if want := "7f4908" + "06020102" + "3000" + "8100"; err != nil || hex.EncodeToString(got) != want {
		t.Errorf("%x, %v, want %s", got, err, want)
	}
}

func TestBuilderErrors(t *testing.T) {
	tests := []struct {
		name string
		tag  tlv.Tag
		n    int
		want error
	}{
		{"value too long", 0x61, tlv.MaxLength + 1, tlv.ErrTooLong},
		{"no tag", 0, 0, tlv.ErrTag},
		{"one byte of a longer tag", 0x5F, 0, tlv.ErrTag},
		{"two tags in one", 0x6161, 0, tlv.ErrTag},
		{"tag of four bytes", 0x7F818101, 0, tlv.ErrTag},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b tlv.Builder
			b.AddFunc(0x30, func(b *tlv.Builder) { b.Add(tt.tag, make([]byte, tt.n)) })
			b.Add(0x04, nil)
			if got, err := b.Bytes(); got != nil || err != tt.want {
				t.Errorf("%d bytes, %v, want %v", len(got), err, tt.want)
			}
		})
	}
}

// seeds are the protected responses of the published secure messaging
// examples: data objects of every length form.
func seeds(tb testing.TB) [][]byte {
	tb.Helper()
	text, err := os.ReadFile("../sm/testdata/sm-and-kdf-examples.json")
	if err != nil {
		tb.Fatal(err)
	}
	var out [][]byte
	for _, m := range regexp.MustCompile(`"protected_response": "([0-9a-f]+)"`).FindAllSubmatch(text, -1) {
		out = append(out, vectortest.Hex(tb, string(m[1])))
	}
	if len(out) == 0 {
		tb.Fatal("no seeds")
	}
	return out
}

func FuzzRead(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Add([]byte{0x7F, 0x61, 0x81, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, in []byte) {
		strict, lenient := tlv.String(in), tlv.String(in)
		for !lenient.Empty() {
			before := lenient
			var v, lv tlv.String
			var tag, ltag tlv.Tag
			ok := strict.Read(&v, &tag)
			lok := lenient.ReadLenient(&lv, &ltag)
			htag, headerLen, valueLen, hok := tlv.Header(before)
			if hok && (headerLen < 2 || valueLen < 0 || valueLen > tlv.MaxLength) {
				t.Fatalf("Header: %d, %d", headerLen, valueLen)
			}
			if lok != (hok && headerLen+valueLen <= len(before)) {
				t.Fatalf("ReadLenient %v, Header %v", lok, hok)
			}
			if ok {
				if !lok || tag != ltag || !bytes.Equal(v, lv) || tag != htag {
					t.Fatal("strict and lenient differ")
				}
				// Strict input has one encoding.
				if again := tlv.Append(nil, tag, v); !bytes.Equal(again, before[:len(before)-len(strict)]) {
					t.Fatalf("encodes as %x", again)
				}
			} else if v != nil || tag != 0 {
				t.Fatal("result of a refused read")
			}
			if !lok {
				return
			}
			strict = lenient
		}
	})
}

func BenchmarkRead(b *testing.B) {
	// A sequence like an EF.COM and a data group around it.
	inner := tlv.Append(tlv.Append(nil, 0x5F01, []byte("0107")), 0x5C, make([]byte, 8))
	for len(inner) < 2000 {
		inner = tlv.Append(inner, 0x5F2E, make([]byte, 120))
	}
	in := tlv.Append(nil, 0x60, inner)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		s := tlv.String(in)
		var v tlv.String
		if !s.ReadTag(&v, 0x60) {
			b.Fatal("not read")
		}
		for !v.Empty() {
			if !v.Read(nil, nil) {
				b.Fatal("not read")
			}
		}
	}
}
