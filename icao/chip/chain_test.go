package chip

import (
	"fmt"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
)

// chainChip opens a chip with a key modulo a prime of 2048 bits.
func chainChip(t *testing.T, cipher int, limits Limits) (*terminal, ChipAuthentication) {
	t.Helper()
	key, err := issuer.NewDHKey(seeded("static"), 2, false)
	if err != nil {
		t.Fatal(err)
	}
	ca := ChipAuthentication{Protocol: fmt.Sprintf("0.4.0.127.0.7.2.2.3.1.%d", cipher), Key: key}
	return open(newTestChip(t, func(p *Personalisation) { p.ChipAuthentication, p.Limits = &ca, limits })), ca
}

// TestChainedKey: the key of a group modulo a prime reaches a chip without extended
// length in pieces, by either command.
func TestChainedKey(t *testing.T) {
	for _, tt := range []struct {
		cipher int
		kat    bool
		link   int
	}{{1, true, 1}, {1, true, 223}, {1, false, 200}, {2, false, 64}, {3, false, 130}, {4, false, 223}} {
		t.Run(fmt.Sprintf("cipher %d, KAT %t, %d bytes", tt.cipher, tt.kat, tt.link), func(t *testing.T) {
			m, ca := chainChip(t, tt.cipher, Limits{})
			m.link = tt.link
			if sw := m.chipAuthentication(ca, tt.kat, false, nil); sw != apdu.OK {
				t.Fatalf("status %04X", uint16(sw))
			}
			m.read(0x1E) // under the new keys
			m, ca = chainChip(t, tt.cipher, Limits{NoChaining: true})
			m.link = tt.link
			if sw := m.chipAuthentication(ca, tt.kat, false, nil); sw != apdu.CommandChainingNotSupported {
				t.Errorf("without chaining: status %04X", uint16(sw))
			}
			m.read(0x1E) // under the old keys
		})
	}
}

// TestChain: what ends a chain, and that nothing of it is left then.
func TestChain(t *testing.T) {
	const setAT = "2241a4" // MSE:Set AT, without its class
	half := []byte{0x80, 0x0A, 0x04, 0x00, 0x7F, 0x00}
	rest := []byte{0x07, 0x02, 0x02, 0x03, 0x01, 0x01}
	// begun returns a chip that has the first half of a command.
	begun := func(t *testing.T) *terminal {
		m, _ := chainChip(t, 1, Limits{})
		if data, sw := m.do("10"+setAT, half, 0); sw != apdu.OK || len(data) > 0 {
			t.Fatalf("first piece: %04X, %d bytes", uint16(sw), len(data))
		}
		return m
	}
	// over wants the second half to be a command of its own, and a malformed one.
	over := func(t *testing.T, m *terminal) {
		t.Helper()
		if _, sw := m.do("00"+setAT, rest, 0); sw == apdu.OK {
			t.Error("the chain went on")
		}
	}
	t.Run("complete", func(t *testing.T) {
		m := begun(t)
		if _, sw := m.do("00"+setAT, rest, 0); sw != apdu.OK {
			t.Errorf("status %04X", uint16(sw))
		}
		over(t, m)
	})
	for name, header := range map[string]string{"other P1": "002281a4", "other instruction": "00b09e00", "other instruction, chained": "10860000"} {
		t.Run(name, func(t *testing.T) {
			m := begun(t)
			if _, sw := m.do(header, rest, 0); sw != apdu.LastCommandOfChainExpected {
				t.Errorf("status %04X", uint16(sw))
			}
			over(t, m)
			m.read(0x1E)
		})
	}
	t.Run("too long", func(t *testing.T) {
		m := begun(t)
		piece := make([]byte, 200)
		var sw apdu.Status
		pieces := 0
		for sw = apdu.OK; sw == apdu.OK && pieces < 2*maxChained/len(piece); pieces++ {
			_, sw = m.do("10"+setAT, piece, 0)
		}
		if sw != apdu.WrongLength || pieces*len(piece) > maxChained+len(piece) {
			t.Errorf("status %04X after %d pieces", uint16(sw), pieces)
		}
		over(t, m)
	})
	t.Run("plain command in between", func(t *testing.T) {
		m := begun(t)
		m.want("00b0810000", apdu.SecurityStatusNotSatisfied)
		if m.chip.state.chain != nil {
			t.Error("the chain outlived its session")
		}
	})
	t.Run("instruction that is not chained", func(t *testing.T) {
		m, _ := chainChip(t, 1, Limits{})
		if _, sw := m.do("10b09e00", nil, 0); sw != apdu.CommandChainingNotSupported {
			t.Errorf("status %04X", uint16(sw))
		}
	})
	t.Run("in clear", func(t *testing.T) {
		c, e := paceChip(t)
		m := &terminal{t: t, chip: c}
		cmd := e.command(0) // MSE:Set AT
		first, last := "10"+cmd[2:8]+"04"+cmd[10:18], cmd[:8]+fmt.Sprintf("%02x", len(cmd[18:])/2)+cmd[18:]
		m.want(first, apdu.OK)
		m.want("00a4020c02011c", apdu.LastCommandOfChainExpected)
		m.want("00a4020c02011c", apdu.OK)
		m.want(first, apdu.OK)
		m.want(last, apdu.OK)
		m.want(e.command(1), apdu.OK) // a step of PACE, whose chaining bit is its own
		if c.state.chain != nil || c.state.pace == nil {
			t.Error("a step of PACE was taken for a piece of a command")
		}
	})
}
