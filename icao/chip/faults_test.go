package chip

import (
	"bytes"
	"crypto"
	"math/big"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
)

// TestFaultProtect: the data objects are altered below a good checksum.
func TestFaultProtect(t *testing.T) {
	read := vectortest.Hex(t, "00b09e00")
	var exchanges []int
	m := open(newTestChip(t, func(p *Personalisation) {
		p.Faults.Protect = func(exchange int, ins byte, objects []byte) []byte {
			exchanges = append(exchanges, exchange)
			if ins != insReadBinary {
				t.Errorf("instruction %02X", ins)
			}
			return objects[len(objects)-4:] // DO'99' alone
		}
	}))
	before := m.chip.Exchanges()
	resp, err := m.chip.Transmit(t.Context(), m.protect(read, nil, 4, false))
	if err != nil {
		t.Fatal(err)
	}
	if data, sw := m.unprotect(insReadBinary, resp); len(data) != 0 || sw != apdu.OK { // verifies the checksum
		t.Errorf("%x, %04X", data, uint16(sw))
	}
	if len(exchanges) != 1 || exchanges[0] != before+1 {
		t.Errorf("called for exchanges %v, want %d", exchanges, before+1)
	}
}

// TestFaultChipAuthentication: the chip stays with its old keys, and sees the
// terminal's key.
func TestFaultChipAuthentication(t *testing.T) {
	key, err := issuer.NewECKey(nil, "brainpoolP256r1", true)
	if err != nil {
		t.Fatal(err)
	}
	ca := ChipAuthentication{Protocol: "0.4.0.127.0.7.2.2.3.2.2", Key: key}
	t.Run("old keys", func(t *testing.T) {
		m := open(newTestChip(t, func(p *Personalisation) { p.ChipAuthentication, p.Faults.OldKeys = &ca, true }))
		old := *m
		old.ssc = bytes.Clone(m.ssc)
		if sw := m.chipAuthentication(ca, false, false, nil); sw != apdu.OK {
			t.Fatalf("%04X", uint16(sw))
		}
		for range 4 { // two commands and their answers
			old.count()
		}
		old.read(0x1E)
	})
	t.Run("ephemeral key", func(t *testing.T) {
		var seen [][]byte
		m := open(newTestChip(t, func(p *Personalisation) {
			p.ChipAuthentication = &ca
			p.Faults.Ephemeral = func(key []byte) bool {
				seen = append(seen, bytes.Clone(key))
				return len(seen) > 1
			}
		}))
		if sw := m.chipAuthentication(ca, false, false, nil); sw != apdu.WrongData {
			t.Errorf("refused: %04X", uint16(sw))
		}
		if sw := m.chipAuthentication(ca, false, false, seeded("another")); sw != apdu.OK {
			t.Errorf("accepted: %04X", uint16(sw))
		}
		m.read(0x1E)
		if len(seen) != 2 || len(seen[0]) != 65 || bytes.Equal(seen[0], seen[1]) {
			t.Errorf("%d keys", len(seen))
		}
	})
}

// TestFaultRepresentative: an RSA key signs what the fault returns.
func TestFaultRepresentative(t *testing.T) {
	key, err := issuer.NewRSAKey(seeded("AA"), 1024)
	if err != nil {
		t.Fatal(err)
	}
	var made []byte
	alter := func(f []byte) []byte {
		f[len(f)-1] = 0xCD
		made = bytes.Clone(f)
		return f
	}
	signature, err := AAForm{Hash: crypto.SHA256}.sign(seeded("M1"), key, make([]byte, 8), alter)
	if err != nil {
		t.Fatal(err)
	}
	e := big.NewInt(int64(key.RSA.E))
	got := new(big.Int).Exp(new(big.Int).SetBytes(signature), e, key.RSA.N)
	if !bytes.Equal(got.Bytes(), made) {
		t.Error("the signature is not of what was returned")
	}
}
