package lds_test

import (
	"bytes"
	"testing"

	"github.com/chamthe/chamthe/icao/lds"
)

// FuzzParseWrapped: the data groups whose content other packages take apart.
func FuzzParseWrapped(f *testing.F) {
	parsers := []func([]byte) ([]byte, error){lds.ParseDG13, lds.ParseDG14, lds.ParseDG15}
	for i, name := range []string{"DG13", "DG14", "DG15"} {
		for _, b := range seeds(f, name) {
			f.Add(b, byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, which byte) {
		v, err := parsers[int(which)%len(parsers)](b)
		if err != nil {
			if v != nil {
				t.Error("content with an error")
			}
			return
		}
		// DG13 may be empty; the others are one object.
		if !bytes.Contains(b, v) || int(which)%len(parsers) != 0 && len(v) < 2 {
			t.Errorf("%d bytes of %d", len(v), len(b))
		}
	})
}
