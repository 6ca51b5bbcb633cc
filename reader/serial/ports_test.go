package serial

import "testing"

func TestPortInfo(t *testing.T) {
	for _, tt := range []struct {
		name, vid, pid string
		want           PortInfo
	}{
		{"CH340", "1A86", "7523", PortInfo{Name: "CH340", VendorID: 0x1A86, ProductID: 0x7523, Guess: GuessBridge}},
		{"lower case", "0c2e", "0901", PortInfo{Name: "lower case", VendorID: 0x0C2E, ProductID: 0x0901, Guess: GuessScanner}},
		{"another", "2341", "0043", PortInfo{Name: "another", VendorID: 0x2341, ProductID: 0x0043}},
		{"no USB", "", "", PortInfo{Name: "no USB"}},
		{"nonsense", "xyz", "12345", PortInfo{Name: "nonsense"}},
	} {
		if got := newPortInfo(tt.name, tt.vid, tt.pid, ""); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
