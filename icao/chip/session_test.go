package chip

import (
	"bytes"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
)

// TestMaxData: for every capacity, the promised number of bytes fits and one
// more does not.
func TestMaxData(t *testing.T) {
	for name, s := range suites {
		sess, err := newSession(s, make([]byte, keyLen(s)), make([]byte, keyLen(s)), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, ins := range []byte{insReadBinary, insReadBinaryOdd} {
			for capacity := range 700 {
				n := sess.maxData(ins, capacity)
				if n > 0 && sess.protectedLen(ins, n) > capacity {
					t.Fatalf("%s, INS %02X: %d bytes do not fit into %d", name, ins, n, capacity)
				}
				if sess.protectedLen(ins, n+1) <= capacity {
					t.Fatalf("%s, INS %02X: %d bytes fit into %d, maxData says %d", name, ins, n+1, capacity, n)
				}
			}
		}
	}
}

func keyLen(s suite) int {
	return map[suite]int{tripleDES: 16, aes128: 16, aes192: 24, aes256: 32}[s]
}

// TestCounterUsedUp: a send sequence counter never starts again; the session
// ends.
func TestCounterUsedUp(t *testing.T) {
	for _, left := range []int{0, 1} { // in the command, in the response
		m := open(newTestChip(t, nil))
		full := bytes.Repeat([]byte{0xFF}, 8)
		full[7] -= byte(left)
		m.ssc, m.chip.state.session.ssc = bytes.Clone(full), full
		resp, err := m.chip.Transmit(t.Context(), m.protect(vectortest.Hex(t, "00b09e00"), nil, 4, false))
		if err != nil || !bytes.Equal(resp, []byte{0x69, 0x88}) {
			t.Errorf("%d left: response %x, error %v", left, resp, err)
		}
		if m.chip.state.session != nil {
			t.Errorf("%d left: the session goes on", left)
		}
	}
}

// TestProtectedLe decodes DO'97' of every length.
func TestProtectedLe(t *testing.T) {
	tests := []struct {
		name     string
		value    string
		extended bool
		want     int
		ok       bool
	}{
		{"empty, short", "", false, 256, true},
		{"empty, extended", "", true, 65536, true},
		{"one byte", "e7", false, 231, true},
		{"one byte 00", "00", false, 256, true},
		{"two bytes", "0200", true, 512, true},
		{"two bytes 0000", "0000", true, 65536, true},
		{"three bytes", "000100", true, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := protectedLe(vectortest.Hex(t, tt.value), tt.extended); got != tt.want || ok != tt.ok {
				t.Errorf("%d, %t, want %d, %t", got, ok, tt.want, tt.ok)
			}
		})
	}
}

// TestOpenChip: without an access key, files are read in clear, within the
// chip's buffer.
func TestOpenChip(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		cmd    string
		want   int
		sw     apdu.Status
	}{
		{"Le 00", Limits{}, "00b0810000", 256, apdu.OK},
		{"Le 00 over the buffer", Limits{Plain: 100}, "00b0810000", 100, apdu.OK},
		{"over the buffer, refused", Limits{Plain: 100, OverLimit: apdu.WrongLength}, "00b0810065", 0, apdu.WrongLength},
		{"over the buffer, exact length", Limits{Plain: 100, OverLimit: 0x6C64}, "00b0810065", 0, 0x6C64},
		{"the buffer", Limits{Plain: 100, OverLimit: apdu.WrongLength}, "00b0810064", 100, apdu.OK},
		{"extended", Limits{Extended: true}, "00b0810000012C", 300, apdu.OK},
		{"extended, short-only chip", Limits{}, "00b0810000012C", 0, apdu.WrongLength},
		{"DG3", Limits{}, "00b0830000", 0, apdu.SecurityStatusNotSatisfied},
		{"DG11", Limits{}, "00b08b0000", 0, apdu.FileNotFound},
		{"basic access control", Limits{}, "0084000008", 8, apdu.OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newTestChip(t, func(p *Personalisation) { p.AccessKey, p.Limits = mrz.Key{}, tt.limits })
			m.want(selectApplication, apdu.OK)
			if got := m.want(tt.cmd, tt.sw); len(got) != tt.want {
				t.Errorf("%d bytes, want %d", len(got), tt.want)
			}
		})
	}
}
