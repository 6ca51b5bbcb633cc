package chip

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
)

// TestEndOfFile: every answer to a READ BINARY that asks for more than is left.
func TestEndOfFile(t *testing.T) {
	tests := []struct {
		name  string
		end   apdu.Status
		want  apdu.Status
		bytes bool
	}{
		{"default", 0, apdu.EndOfFile, true},
		{"6282", apdu.EndOfFile, apdu.EndOfFile, true},
		{"9000", apdu.OK, apdu.OK, true},
		{"6B00", apdu.WrongP1P2, apdu.WrongP1P2, false},
		{"6700", apdu.WrongLength, apdu.WrongLength, false},
		{"6Cxx", 0x6C00, 0x6C0C, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := open(newTestChip(t, func(p *Personalisation) { p.Limits.ShortEnd = tt.end }))
			got, sw := m.do("00b09e0a", nil, 20) // 12 of EF.COM's 22 bytes are left
			if sw != tt.want || (len(got) == 12) != tt.bytes {
				t.Errorf("%d bytes, %04X, want %04X", len(got), uint16(sw), uint16(tt.want))
			}
			if got, sw := m.do("00b09e0a", nil, 12); sw != apdu.OK || len(got) != 12 {
				t.Errorf("exactly: %d bytes, %04X", len(got), uint16(sw))
			}
			if got := m.read(0x1E); len(got) != 22 {
				t.Errorf("EF.COM of %d bytes", len(got))
			}
		})
	}
}

// TestQuirks sends one command to a chip with one quirk. sm: under secure
// messaging, behind basic access control.
func TestQuirks(t *testing.T) {
	padded := vectortest.Hex(t, "000000000000")
	tests := []struct {
		name   string
		change func(*Personalisation)
		sm     bool
		header string
		data   string
		ne     int
		want   apdu.Status
		answer []byte
	}{
		{"SELECT MF by identifier", func(p *Personalisation) { p.Quirks.SelectMFByID = apdu.WrongData }, false, "00a4000c", "3f00", 0, apdu.WrongData, nil},
		{"SELECT MF bare", func(p *Personalisation) { p.Quirks.SelectMFByID = apdu.WrongData }, false, "00a4000c", "", 0, apdu.OK, nil},
		{"SELECT MF bare refused", func(p *Personalisation) { p.Quirks.SelectMFBare = apdu.WrongLength }, false, "00a4000c", "", 0, apdu.WrongLength, nil},
		{"SELECT MF by identifier all the same", func(p *Personalisation) { p.Quirks.SelectMFBare = apdu.WrongLength }, false, "00a4000c", "3f00", 0, apdu.OK, nil},
		{"no short identifiers", func(p *Personalisation) { p.Quirks.NoShortID = apdu.IncorrectP1P2 }, true, "00b09e00", "", 4, apdu.IncorrectP1P2, nil},
		{"no short identifiers, odd", func(p *Personalisation) { p.Quirks.NoShortID = apdu.IncorrectP1P2 }, true, "00b1001e", "540100", 8, apdu.IncorrectP1P2, nil},
		{"no SELECT of files", func(p *Personalisation) { p.Quirks.NoSelectEF = apdu.FunctionNotSupported }, true, "00a4020c", "011e", 0, apdu.FunctionNotSupported, nil},
		{"Le of zero", func(p *Personalisation) { p.Quirks.RefuseLe00 = true }, true, "00b09e00", "", 256, apdu.WrongLength, nil},
		{"Le of one", func(p *Personalisation) { p.Quirks.RefuseLe00 = true }, true, "00b09e00", "", 1, apdu.OK, []byte{0x60}},
		{"Le of zero in clear", func(p *Personalisation) { p.Quirks.RefuseLe00 = true }, false, "00b08100", "", 256, apdu.OK, vectortest.Hex(t, "7f66080202010002020100")},
		{"past the end, zeros", func(p *Personalisation) { p.Quirks.PadPastEnd = true }, true, "00b09e16", "", 6, apdu.OK, padded},
		{"over the end, zeros", func(p *Personalisation) { p.Quirks.PadPastEnd = true }, true, "00b09e15", "", 7, apdu.OK, join([]byte{0x75}, padded)},
		{"over the limit, 6Cxx", func(p *Personalisation) { p.Limits.Plain, p.Limits.OverLimit = 5, 0x6C00 }, false, "00b08100", "", 8, 0x6C05, nil},
		{"MSE with Le", func(p *Personalisation) { p.Quirks.RefuseLe = true }, false, "0022c1a4", "800a04007f00070202040202830101", 256, apdu.WrongLength, nil},
		{"SELECT with Le", func(p *Personalisation) { p.Quirks.RefuseLeSelect = true }, false, "00a4000c", "3f00", 256, apdu.WrongLength, nil},
		{"SELECT without Le", func(p *Personalisation) { p.Quirks.RefuseLeSelect = true }, false, "00a4000c", "3f00", 0, apdu.OK, nil},
		{"SELECT with Le that wants information", func(p *Personalisation) { p.Quirks.RefuseLeSelect = true }, false, "00a40004", "3f00", 256, apdu.OK, vectortest.Hex(t, "620483023f00")},
		{"GET CHALLENGE without BAC", func(p *Personalisation) { p.NoBAC, p.Quirks.NoBAC = true, apdu.ReferencedDataNotFound }, false, "00840000", "", 8, apdu.ReferencedDataNotFound, nil},
		{"MSE without Le", func(p *Personalisation) { p.Quirks.RefuseLe = true }, false, "0022c1a4", "800a04007f00070202040202830101", 0, apdu.OK, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newTestChip(t, func(p *Personalisation) {
				p.PACE = &PACE{Protocol: oidPACEGMAES128, ParameterID: 12}
				tt.change(p)
			})
			var (
				got []byte
				sw  apdu.Status
			)
			data := vectortest.Hex(t, tt.data)
			if tt.sm {
				got, sw = open(m).do(tt.header, data, tt.ne)
			} else {
				cmd := tt.header
				if len(data) > 0 {
					cmd += fmt.Sprintf("%02x%x", len(data), data)
				}
				if tt.ne > 0 {
					cmd += fmt.Sprintf("%02x", byte(tt.ne))
				}
				got, sw = m.raw(cmd)
			}
			if sw != tt.want || !bytes.Equal(got, tt.answer) {
				t.Errorf("%x %04X, want %x %04X", got, uint16(sw), tt.answer, uint16(tt.want))
			}
		})
	}
}

// TestRefused: files that refuse to be read, by whatever road, and only once the
// terminal could read them.
func TestRefused(t *testing.T) {
	d := variant(t, Variant{
		Hidden: []int{3, 4}, DIR: true, ATRInfo: true,
		Refused: map[uint16]apdu.Status{0x0103: apdu.ConditionsNotSatisfied, idDIR: apdu.SecurityStatusNotSatisfied, 0x010D: apdu.FileNotFound},
	}, Options{})
	m := insert(t, d)
	m.want("00b09e0000", apdu.SecurityStatusNotSatisfied) // EF.DIR
	m.want("00a4020c022f00", apdu.SecurityStatusNotSatisfied)
	m.want("00b0810000", apdu.OK) // EF.ATR/INFO
	m.want(selectApplication, apdu.OK)
	m.want("00b0830000", apdu.SecurityStatusNotSatisfied) // DG3, not yet
	if sw := m.bac(information(d.MRZ)); sw != apdu.OK {
		t.Fatalf("%04X", uint16(sw))
	}
	for _, tt := range []struct {
		header string
		data   []byte
		ne     int
		want   apdu.Status
	}{
		{"00b08300", nil, 8, apdu.ConditionsNotSatisfied},
		{"00a4020c", []byte{1, 3}, 0, apdu.ConditionsNotSatisfied},
		{"00b10103", []byte{0x54, 1, 0}, 16, apdu.ConditionsNotSatisfied},
		{"00b08400", nil, 8, apdu.SecurityStatusNotSatisfied},
		{"00b08d00", nil, 8, apdu.FileNotFound},
		{"00b08100", nil, 8, apdu.OK},
	} {
		if _, sw := m.do(tt.header, tt.data, tt.ne); sw != tt.want {
			t.Errorf("%s: %04X, want %04X", tt.header, uint16(sw), uint16(tt.want))
		}
	}
}

// TestNaked: an error status in clear, and what becomes of the session.
func TestNaked(t *testing.T) {
	tests := []struct {
		name  string
		naked Naked
		back  int // how far the terminal has to set its counter back
		goes  bool
	}{
		{"ends", NakedEnds, 0, false},
		{"counted", NakedCounted, 0, true},
		{"ignored", NakedIgnored, 2, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := open(newTestChip(t, func(p *Personalisation) { p.Quirks.Naked = tt.naked }))
			m.read(0x1E)
			before := bytes.Clone(m.ssc)
			cmd := m.protect(vectortest.Hex(t, "00a4020c"), []byte{0x01, 0x0B}, 0, false)
			m.count()
			resp, err := m.chip.Transmit(t.Context(), cmd)
			if err != nil || !bytes.Equal(resp, []byte{0x6A, 0x82}) {
				t.Fatalf("%x, %v", resp, err)
			}
			if tt.back > 0 {
				m.ssc = before
			}
			if tt.goes {
				m.read(0x1E)
				if _, sw := m.do("00b09e0a", nil, 20); sw != apdu.EndOfFile { // a warning is protected
					t.Errorf("warning: %04X", uint16(sw))
				}
				return
			}
			resp, err = m.chip.Transmit(t.Context(), m.protect(vectortest.Hex(t, "00b09e00"), nil, 4, false))
			if err != nil || !bytes.Equal(resp, []byte{0x69, 0x88}) {
				t.Errorf("afterwards: %x, %v", resp, err)
			}
			open(m).read(0x1E)
		})
	}
}

// TestFailedAccess: the answers to wrong keys.
func TestFailedAccess(t *testing.T) {
	t.Run("BAC", func(t *testing.T) {
		m := newTestChip(t, func(p *Personalisation) { p.Quirks.WrongKey = 0x63C0 })
		if sw := m.bac("L898902C<369080619406237"); sw != 0x63C0 {
			t.Errorf("%04X", uint16(sw))
		}
		open(m).read(0x1E)
	})
	t.Run("PACE locks", func(t *testing.T) {
		v := PACE{Protocol: oidPACEGMAES128, ParameterID: 12}
		m, _ := withPACE(t, v, func(p *Personalisation) { p.Quirks.FailedPACELocks = true })
		if sw := m.pace(v, passwordCAN, []byte("654321"), nil, paceOptions{}); sw != apdu.AuthenticationFailed {
			t.Fatalf("%04X", uint16(sw))
		}
		m.want(selectApplication, apdu.OK)
		m.want("0084000008", apdu.ConditionsNotSatisfied)
		if sw := m.pace(v, passwordCAN, []byte("123456"), nil, paceOptions{}); sw != apdu.ConditionsNotSatisfied {
			t.Errorf("PACE again: %04X", uint16(sw))
		}
		m.chip.Reset()
		open(m).read(0x1E)
	})
}
