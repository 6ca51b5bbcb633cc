package cms

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func TestToDER(t *testing.T) {
	tests := []struct {
		name, in, want string // hex; want "" means an error
		dev            []string
	}{
		{"definite", "3003020105", "3003020105", nil},
		{"empty", "", "", nil},
		{"indefinite", "30800201050000", "3003020105", []string{DevIndefiniteLength}},
		{"indefinite in indefinite", "3080308000000000", "30023000", []string{DevIndefiniteLength}},
		{"definite around indefinite", "3007a0800201050000", "3005a003020105", []string{DevIndefiniteLength}},
		{"constructed string", "24800401aa0402bbcc0000", "0403aabbcc", []string{DevConstructedString, DevIndefiniteLength}},
		{"constructed string, definite", "24060401aa0401bb", "0402aabb", []string{DevConstructedString}},
		{"nested strings", "248024050401aa04000401bb0000", "0402aabb", []string{DevConstructedString, DevIndefiniteLength}},
		{"long length", "30810102", "", nil},
		{"non-minimal length", "308103020105", "3003020105", []string{DevNonMinimalLength}},
		{"zero-padded length", "30820003020105", "3003020105", []string{DevNonMinimalLength}},
		{"end of contents alone", "0000", "", nil},
		{"end of contents in definite", "30020000", "", nil},
		{"end of contents missing", "3080020105", "", nil},
		{"primitive indefinite", "04800000", "", nil},
		{"other type in string", "2480020105" + "0000", "", nil},
		{"high tag number", "3f810100", "", nil},
		{"length of five octets", "30850000000000", "", nil},
		{"length beyond the input", "3084ffffffff", "", nil},
		{"length reserved", "30ff", "", nil},
		{"trailing", "308000000500ff", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, err := hex.DecodeString(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			out, dev, err := toDER(in)
			if tt.name == "empty" { // nothing to convert; the parser refuses it
				if err != nil || len(out) != 0 {
					t.Errorf("got %x, %v", out, err)
				}
				return
			}
			if got := hex.EncodeToString(out); got != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
			slices.Sort(dev)
			if !slices.Equal(dev, tt.dev) {
				t.Errorf("deviations %v, want %v", dev, tt.dev)
			}
			again, dev, err := toDER(out)
			if err != nil || !bytes.Equal(again, out) || dev != nil {
				t.Errorf("a second time: %x, %v, %v", again, dev, err)
			}
		})
	}
}

// TestNestingIsBounded: a kilobyte of opening brackets must not cost a stack.
func TestNestingIsBounded(t *testing.T) {
	for _, open := range []string{"3080", "2480", "a080"} {
		in, err := hex.DecodeString(strings.Repeat(open, 1<<16) + strings.Repeat("0000", 1<<16))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := toDER(in); err == nil {
			t.Errorf("%s nested 65536 deep is accepted", open)
		}
	}
	deep := []byte{5, 0}
	for range maxDepth + 2 {
		deep = appendElement(nil, 0x30, deep)
	}
	if _, _, err := toDER(deep); err == nil {
		t.Error("definite nesting beyond the limit is accepted")
	}
}

func TestAppendElementLengths(t *testing.T) {
	for _, n := range []int{0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000} {
		e := appendElement(nil, 4, make([]byte, n))
		if !isDefinite(e, 0) {
			t.Errorf("%d octets: not minimal: %x", n, e[:5])
		}
	}
}
