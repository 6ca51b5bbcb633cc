package pn532

import (
	"bytes"
	"testing"
)

// TestTargets reads descriptions of cards as InListPassiveTarget gives them
// (UM 7.3.5), and makes up their answers to reset (PC/SC part 3,
// 3.1.3.2.3.1). That of a DESFire card is what every PC/SC reader shows for one.
func TestTargets(t *testing.T) {
	tests := []struct {
		name   string
		hex    string
		typeB  bool
		isoDEP bool
		atr    string
		send   byte // at most 424 kbit/s
		recv   byte
	}{
		{name: "DESFire", hex: "01 0344 20 07 04112233445566 06 75 77 81 02 80", isoDEP: true, atr: "3B 81 80 01 80 80", send: 2, recv: 2},
		{name: "no historical bytes", hex: "01 0344 20 04 08112233 05 78 80 70 02", isoDEP: true, atr: "3B 80 80 01 01"},
		{name: "citizen card", hex: "01 0004 20 04 08112233 0A 78 33 70 02 80 73 94 21 40", isoDEP: true, atr: "3B 85 80 01 80 73 94 21 40 02", send: 2, recv: 2},
		{name: "same rate in both directions only", hex: "01 0004 20 04 08112233 05 78 B1 70 02", isoDEP: true, atr: "3B 80 80 01 01", send: 1, recv: 1},
		{name: "T0 alone", hex: "01 0004 20 04 08112233 02 08", isoDEP: true, atr: "3B 80 80 01 01"},
		{name: "ATS of its length byte alone", hex: "01 0004 20 04 08112233 01", isoDEP: true, atr: "3B 80 80 01 01"},
		{name: "ATS that announces too much", hex: "01 0004 20 04 08112233 02 78", isoDEP: true, atr: "3B 80 80 01 01"},
		{name: "more historical bytes than an ATR holds", hex: "01 0004 20 04 08112233 15 08 0102030405060708090A0B0C0D0E0F10111213", isoDEP: true, atr: "3B 8F 80 01 0102030405060708090A0B0C0D0E0F 0E"},
		{name: "MIFARE Classic", hex: "01 0004 08 04 DEADBEEF", atr: "3B 80 80 01 01"},
		{name: "type B", hex: "01 50 08010203 A1A2A3A4 008171 01 21", typeB: true, isoDEP: true, atr: "3B 88 80 01 A1A2A3A4 008171 20 DD"},
		{name: "type B, no answer to ATTRIB", hex: "01 50 08010203 A1A2A3A4 008171", typeB: true, isoDEP: true, atr: "3B 88 80 01 A1A2A3A4 008171 00 FD"},
		{name: "type B, another protocol", hex: "01 50 08010203 A1A2A3A4 008071 01 00", typeB: true, atr: "3B 88 80 01 A1A2A3A4 008071 00 FC"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target, err := parseTarget(unhex(t, tt.hex), tt.typeB)
			if err != nil {
				t.Fatal(err)
			}
			if target.ISODEP() != tt.isoDEP {
				t.Errorf("ISO-DEP %v, want %v", target.ISODEP(), tt.isoDEP)
			}
			if want := unhex(t, tt.atr); !bytes.Equal(target.ATR(), want) {
				t.Errorf("ATR % X, want % X", target.ATR(), want)
			}
			if send, recv := target.rates(Rate424); send != tt.send || recv != tt.recv {
				t.Errorf("rates %d and %d, want %d and %d", send, recv, tt.send, tt.recv)
			}
			if send, recv := target.rates(Rate106); send != 0 || recv != 0 {
				t.Errorf("rates %d and %d though 106 kbit/s was asked for", send, recv)
			}
		})
	}
}

func TestTargetsMalformed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hex   string
		typeB bool
	}{
		{"empty", "", false},
		{"no identifier", "01 0344 20", false},
		{"identifier too short", "01 0344 20 07 0411", false},
		{"ATS shorter than it says", "01 0344 20 04 08112233 06 75 77", false},
		{"bytes after the ATS", "01 0344 20 04 08112233 02 08 00", false},
		{"ATS of no length", "01 0344 20 04 08112233 00", false},
		{"ATQB too short", "01 50 0801", true},
		{"no ATQB", "01 51 08010203 A1A2A3A4 008171 01 21", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if target, err := parseTarget(unhex(t, tt.hex), tt.typeB); err == nil || target != nil {
				t.Errorf("got %v, %v", target, err)
			}
		})
	}
}

func FuzzTarget(f *testing.F) {
	f.Add(unhex(f, "010344200704112233445566067577810280"), false)
	f.Add(unhex(f, "015008010203A1A2A3A40081710121"), true)
	f.Fuzz(func(t *testing.T, b []byte, typeB bool) {
		target, err := parseTarget(b, typeB)
		if err != nil {
			if target != nil {
				t.Error("a card beside an error")
			}
			return
		}
		atr := target.ATR()
		if len(atr) < 5 || len(atr) > 33 || int(atr[1]&0x0F) != len(atr)-5 {
			t.Errorf("ATR of %d bytes, T0 %02X", len(atr), atr[1])
		}
		if send, recv := target.rates(Rate424); send > 2 || recv > 2 {
			t.Errorf("rates %d and %d", send, recv)
		}
	})
}
