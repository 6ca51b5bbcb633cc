package lds_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/inspect/inspecttest"
	"github.com/chamthe/chamthe/icao/lds"
)

// What the strict mode finds in a zone that package mrz reads.
func TestZoneFindings(t *testing.T) {
	tests := []struct {
		name                       string
		state, holder, nationality string
		want                       []string
	}{
		{"none", "UTO", "MUSTER<<TESTA", "UTO", nil},
		{"state of one letter", "D<<", "MUSTER<<TESTA", "D<<", nil},
		{"digit in the state", "U1O", "MUSTER<<TESTA", "UTO", []string{lds.DevState}},
		{"filler within the state", "U<O", "MUSTER<<TESTA", "UTO", []string{lds.DevState}},
		{"digit in the nationality", "UTO", "MUSTER<<TESTA", "UT0", []string{lds.DevState}},
		{"no nationality", "UTO", "MUSTER<<TESTA", "<<<", []string{lds.DevState}},
		{"one name", "UTO", "MUSTER", "UTO", nil},
		{"no name", "UTO", "", "UTO", []string{lds.DevNoName}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			zone := strings.Join(inspecttest.TD3(tt.state, tt.holder, "T0000008", tt.nationality, "851224", "310809", ""), "")
			file := append([]byte{0x61, 0x5B, 0x5F, 0x1F, 0x58}, zone...)
			dg1, _ := lds.DataGroup(1)
			var got []string
			for _, f := range lds.Check(dg1, file) {
				got = append(got, f.Deviation)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if _, err := lds.ParseDG1(file); err != nil {
				t.Errorf("it cannot be read: %v", err)
			}
		})
	}
}

// Versions of the LDS, of which the standard knows 1.7 and 1.8.
func TestLDSVersions(t *testing.T) {
	for version, ok := range map[string]bool{"0106": true, "0107": true, "0108": true, "0109": true, "0110": true, "0105": false, "0100": false, "0200": false, "0300": false, "1599": false} {
		file := append([]byte{0x60, 0x14, 0x5F, 0x01, 0x04}, version...)
		file = append(file, "\x5F\x36\x06040000\x5C\x02\x61\x75"...)
		com, err := lds.ParseCOM(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := !slices.Contains(com.Deviations, lds.DevLDSVersion); got != ok {
			t.Errorf("%s: in order is %v, want %v", version, got, ok)
		}
	}
}
