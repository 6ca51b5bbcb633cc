package chip

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
)

const testInformation = "L898902C<369080619406236" // of appendix D.2

// largeFile is longer than a 15-bit offset reaches.
func largeFile(t testing.TB) []byte {
	t.Helper()
	b := make([]byte, 0x8000+700)
	if _, err := seeded("large").Read(b); err != nil {
		t.Fatal(err)
	}
	copy(b, []byte{0x75, 0x82, byte((len(b) - 4) >> 8), byte(len(b) - 4)})
	return b
}

// newTestChip makes a chip with a few files and the limits given.
func newTestChip(t testing.TB, change func(*Personalisation)) *terminal {
	t.Helper()
	key, err := mrz.NewKey("L898902C<", "690806", "940623")
	if err != nil {
		t.Fatal(err)
	}
	p := &Personalisation{
		AccessKey: key,
		Files: []File{
			{ID: idCOM, SFI: 0x1E, Content: vectortest.Hex(t, "60145f0104303130365f36063034303030305c026175")},
			groupFile(1, bytes.Repeat([]byte{0xA1}, 300), AfterAuthentication),
			groupFile(2, largeFile(t), AfterAuthentication),
			groupFile(3, nil, Never),
		},
		MasterFiles: []File{{ID: idATRInfo, SFI: 1, Content: issuer.ATRInfo(256, 256), Access: Always}},
		Limits:      Limits{Extended: true},
	}
	if change != nil {
		change(p)
	}
	c, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return &terminal{t: t, chip: c}
}

// open runs basic access control, which must succeed.
func open(m *terminal) *terminal {
	m.t.Helper()
	if sw := m.bac(testInformation); sw != apdu.OK {
		m.t.Fatalf("BAC: %04X", uint16(sw))
	}
	return m
}

// TestPlainCommands sends commands in clear to a chip without a session.
func TestPlainCommands(t *testing.T) {
	tests := []struct {
		name string
		app  bool // the application is selected
		cmd  string
		want string
	}{
		{"select application", false, selectApplication, "9000"},
		{"select application with Le", false, selectApplication + "00", "9000"},
		{"select application, FCI", false, "00a4040007a000000247100100", "6f098407a00000024710019000"},
		{"select application, FCI without Le", false, "00a4040007a0000002471001", "9000"},
		{"select application, FCP", false, "00a4040407a000000247100100", "62098407a00000024710019000"},
		{"select application, P2 08", false, "00a4040807a0000002471001", "6a86"},
		{"select another application", false, "00a4040c07a0000002472001", "6a82"},
		{"select master file", true, "00a4000c", "9000"},
		{"select master file by identifier", true, "00a4000c023f00", "9000"},
		{"select with P1 01", true, "00a4010c023f00", "6a86"},
		{"select EF.ATR/INFO", false, "00a4020c022f01", "9000"},
		{"select EF.ATR/INFO, FCP", false, "00a40204022f0100", "620c800300000b83022f0188010 89000"},
		{"select EF.CardAccess, absent", false, "00a4020c02011c", "6a82"},
		{"select EF with one byte", false, "00a4020c012f", "6700"},
		{"select EF with three bytes", false, "00a4020c032f0100", "6700"},
		{"select DG1 without authentication", true, "00a4020c020101", "6982"},
		{"select DG11, absent, without authentication", true, "00a4020c02010b", "6982"},
		{"select DG1 in the master file", false, "00a4020c020101", "6a82"},
		{"read EF.ATR/INFO", false, "00b0810000", "7f6608020201000202010 09000"},
		{"read EF.ATR/INFO from an offset", false, "00b0810902", "01009000"},
		{"read EF.ATR/INFO beyond its end, explicit length", false, "00b0810805", "0201006282"},
		{"read EF.ATR/INFO at its end", false, "00b0810b00", "6b00"},
		{"read without Le", false, "00b08100", "6700"},
		{"read with data", false, "00b0810001aa00", "6700"},
		{"read SFI 0", false, "00b0800000", "6a86"},
		{"read with RFU bits in P1", false, "00b0e10000", "6a86"},
		{"read without a current file", false, "00b0000000", "6986"},
		{"read without a current file, application", true, "00b0000000", "6982"},
		{"read DG1 without authentication", true, "00b0810000", "6982"},
		{"read DG3 without authentication", true, "00b0830000", "6982"},
		{"read DG11 without authentication", true, "00b08b0000", "6982"},
		{"read EF.ATR/INFO, extended", false, "00b08100000000", "7f6608020201000202010 09000"},
		{"odd read", false, "00b1000103540100 00", "530b7f66080202010002020100 9000"},
		{"odd read by file identifier", false, "00b12f010354010200", "5309080202010002020100 9000"},
		{"odd read without offset", false, "00b1000100", "6a80"},
		{"odd read of an unknown file", false, "00b1000203540100 00", "6a82"},
		{"challenge", true, "0084000001", "6700"},
		{"challenge with P1", true, "0084010008", "6a86"},
		{"external authenticate without challenge", true, "0082000028" + strings.Repeat("00", 40) + "28", "6985"},
		{"external authenticate, short", true, "0082000020" + strings.Repeat("00", 32) + "28", "6700"},
		{"internal authenticate without a key", true, "00880000080102030405060708 00", "6d00"},
		{"unknown instruction", true, "00ca000000", "6d00"},
		{"unknown class", true, "80ca000000", "6e00"},
		{"pseudo-APDU of a reader", true, "ffca000000", "6e00"},
		{"chaining outside general authenticate", true, "10a4040c07a0000002471001", "6884"},
		{"secure messaging without authenticated header", true, "04b0810000", "6882"},
		{"secure messaging without a session", true, "0cb0000000", "6988"},
		{"get response without a rest", true, "00c0000000", "6d00"},
		{"MSE without PACE", true, "0022c1a40f800a04007f00070202040202830101", "6a80"},
		{"MSE without chip authentication", true, "002241a40c800a04007f00070202030202", "6a81"},
		{"general authenticate out of the blue", true, "10860000027c0000", "6985"},
		{"three bytes", false, "00a404", "6700"},
		{"no bytes", false, "", "6700"},
		{"Lc too long", false, "00a4040c08a0000002471001", "6700"},
		{"Lc too short", false, "00a4040c05a0000002471001", "6700"},
		{"extended Lc of zero", false, "00a4040c0000000000", "6700"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newTestChip(t, nil)
			if tt.app {
				m.want(selectApplication, apdu.OK)
			}
			got, err := m.chip.Transmit(t.Context(), vectortest.Hex(t, strings.ReplaceAll(tt.cmd, " ", "")))
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(tt.want, " ", ""); hex.EncodeToString(got) != want {
				t.Errorf("response %x, want %s", got, want)
			}
		})
	}
}

// TestSessionGoesOn sends protected commands that fail: the status comes back
// protected, and the session goes on.
func TestSessionGoesOn(t *testing.T) {
	tests := []struct {
		name   string
		header string
		data   string
		ne     int
		want   apdu.Status
	}{
		{"DG11, absent", "00a4020c", "010b", 0, apdu.FileNotFound},
		{"DG11 by short identifier", "00b08b00", "", 256, apdu.FileNotFound},
		{"DG3", "00a4020c", "0103", 0, apdu.SecurityStatusNotSatisfied},
		{"DG3 by short identifier", "00b08300", "", 256, apdu.SecurityStatusNotSatisfied},
		{"offset outside", "00b09eff", "", 1, apdu.WrongP1P2},
		{"no Le", "00b09e00", "", 0, apdu.WrongLength},
		{"unknown instruction", "00ca0000", "", 256, apdu.InstructionNotSupported},
		{"another application", "00a4040c", "a0000002472001", 0, apdu.FileNotFound},
		{"select application again", "00a4040c", "a0000002471001", 0, apdu.OK},
		{"a second external authenticate", "00820000", strings.Repeat("00", 40), 40, apdu.ConditionsNotSatisfied},
		{"PACE inside the session", "0022c1a4", "800a04007f00070202040202830101", 0, apdu.ConditionsNotSatisfied},
		{"internal authenticate without a key", "00880000", "0102030405060708", 256, apdu.InstructionNotSupported},
	}
	m := open(newTestChip(t, nil))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m.t = t
			if _, sw := m.do(tt.header, vectortest.Hex(t, tt.data), tt.ne); sw != tt.want {
				t.Errorf("status %04X, want %04X", uint16(sw), uint16(tt.want))
			}
			if got := m.read(0x1E); len(got) != 22 {
				t.Errorf("afterwards EF.COM has %d bytes", len(got))
			}
		})
	}
	t.Run("pseudo-APDU of a reader", func(t *testing.T) {
		m.t = t
		m.want("ffca000000", apdu.ClassNotSupported)
		m.read(0x1E)
	})
}

// TestSessionEnds: a plain command and every secure messaging error are answered
// in clear, and the keys are gone.
func TestSessionEnds(t *testing.T) {
	tests := []struct {
		name string
		cmd  func(m *terminal) []byte
		want apdu.Status
	}{
		{"plain SELECT of the application", func(m *terminal) []byte {
			return vectortest.Hex(m.t, selectApplication)
		}, apdu.SMObjectsMissing},
		{"plain SELECT of a file", func(m *terminal) []byte {
			return vectortest.Hex(m.t, "00a4020c02011e")
		}, apdu.SecurityStatusNotSatisfied}, // Doc 9303-11, 4.3.2
		{"plain READ BINARY", func(m *terminal) []byte {
			return vectortest.Hex(m.t, "00b0000004")
		}, apdu.SecurityStatusNotSatisfied},
		{"plain GET CHALLENGE", func(m *terminal) []byte {
			return vectortest.Hex(m.t, "0084000008")
		}, apdu.SMObjectsMissing},
		{"wrong MAC", func(m *terminal) []byte {
			c := m.protect(vectortest.Hex(m.t, "00b09e00"), nil, 256, false)
			c[len(c)-2] ^= 1
			return c
		}, apdu.SMObjectsIncorrect},
		{"header changed", func(m *terminal) []byte {
			c := m.protect(vectortest.Hex(m.t, "00b09e00"), nil, 256, false)
			c[3] ^= 1
			return c
		}, apdu.SMObjectsIncorrect},
		{"data changed", func(m *terminal) []byte {
			c := m.protect(vectortest.Hex(m.t, "00a4020c"), []byte{1, 0x1E}, 0, false)
			c[10] ^= 1
			return c
		}, apdu.SMObjectsIncorrect},
		{"an old command again", func(m *terminal) []byte {
			c := m.protect(vectortest.Hex(m.t, "00b09e00"), nil, 4, false)
			resp, err := m.chip.Transmit(m.t.Context(), c)
			if err != nil {
				m.t.Fatal(err)
			}
			if _, sw := m.unprotect(0xB0, resp); sw != apdu.OK {
				m.t.Fatalf("first time: %04X", uint16(sw))
			}
			return c
		}, apdu.SMObjectsIncorrect},
		{"no MAC", func(m *terminal) []byte { return vectortest.Hex(m.t, "0cb09e0003970104 00"[:16]+"00") }, apdu.SMObjectsMissing},
		{"no data objects", func(m *terminal) []byte { return vectortest.Hex(m.t, "0cb09e0000") }, apdu.SMObjectsMissing},
		{"objects out of order", func(m *terminal) []byte {
			c := m.protect(vectortest.Hex(m.t, "00a4020c"), []byte{1, 0x1E}, 4, false)
			do87, do97 := bytes.Clone(c[5:16]), bytes.Clone(c[16:19])
			copy(c[5:], do97)
			copy(c[8:], do87)
			return c
		}, apdu.SMObjectsIncorrect},
		{"malformed", func(m *terminal) []byte { return vectortest.Hex(m.t, "0cb09e0005970104") }, apdu.WrongLength},
		{"unknown class", func(m *terminal) []byte { return vectortest.Hex(m.t, "80b09e0004") }, apdu.ClassNotSupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := open(newTestChip(t, nil))
			m.read(0x1E)
			resp, err := m.chip.Transmit(t.Context(), tt.cmd(m))
			if err != nil {
				t.Fatal(err)
			}
			if want := []byte{tt.want.SW1(), tt.want.SW2()}; !bytes.Equal(resp, want) {
				t.Errorf("response %x, want %x in clear", resp, want)
			}
			// The keys are gone, and so are the access rights.
			if resp, _ = m.chip.Transmit(t.Context(), m.protect(vectortest.Hex(t, "00b09e00"), nil, 4, false)); len(resp) != 2 || resp[0] != 0x69 {
				t.Errorf("old keys: %x", resp)
			}
			m.want("00b09e0004", apdu.SecurityStatusNotSatisfied)
			open(m).read(0x1E) // a second session
		})
	}
}

// TestReset: the state goes with the power, and the next session works.
func TestReset(t *testing.T) {
	m := open(newTestChip(t, nil))
	m.read(0x1E)
	m.chip.Reset()
	if _, sw := m.raw("00b09e0004"); sw != apdu.FileNotFound { // back in the master file
		t.Errorf("after reset: %04X", uint16(sw))
	}
	for range 3 {
		open(m).read(0x1E)
		m.chip.Reset()
	}
	m.want(selectApplication, apdu.OK)
	m.want("0084000008", apdu.OK)
	m.chip.Reset()
	m.want(selectApplication, apdu.OK)
	m.want("0082000028"+strings.Repeat("00", 40)+"28", apdu.ConditionsNotSatisfied)
}

// TestBACRefusals: one status for every wrong cryptogram, and a challenge is
// good for one attempt.
func TestBACRefusals(t *testing.T) {
	d3, _ := bacExamples(t)
	good := d3.APDUs[1].Command
	for at := 10; at < len(good)-2; at++ { // each hex digit of cryptogram and MAC
		changed := []byte(good)
		if changed[at] == '0' {
			changed[at] = '1'
		} else {
			changed[at] = '0'
		}
		m := &terminal{t: t, chip: exampleChip(t)}
		m.want(selectApplication, apdu.OK)
		m.want(d3.APDUs[0].Command, apdu.OK)
		m.want(string(changed), apdu.AuthenticationFailed)
		m.want(good, apdu.ConditionsNotSatisfied) // the challenge is used up
	}
	t.Run("application not selected", func(t *testing.T) {
		m := &terminal{t: t, chip: exampleChip(t)}
		m.want(d3.APDUs[0].Command, apdu.OK)
		m.want(good, apdu.ConditionsNotSatisfied)
	})
	t.Run("PACE only", func(t *testing.T) {
		m := newTestChip(t, func(p *Personalisation) { p.NoBAC = true })
		m.want(selectApplication, apdu.OK)
		m.want("0084000008", apdu.OK)
		m.want(good, apdu.InstructionNotSupported)
	})
	t.Run("wrong MRZ", func(t *testing.T) {
		m := newTestChip(t, nil)
		if sw := m.bac("L898902C<369080619406237"); sw != apdu.AuthenticationFailed {
			t.Errorf("status %04X", uint16(sw))
		}
	})
	t.Run("no randomness", func(t *testing.T) {
		m := newTestChip(t, func(p *Personalisation) { p.Rand = bytes.NewReader(nil) })
		m.want("0084000008", apdu.NoPreciseDiagnosis)
	})
}

// TestReadBinary compares every way of reading with the file.
func TestReadBinary(t *testing.T) {
	file := largeFile(t)
	odd := func(offset int) []byte {
		switch {
		case offset < 0x100:
			return []byte{0x54, 1, byte(offset)}
		case offset < 0x10000:
			return []byte{0x54, 2, byte(offset >> 8), byte(offset)}
		default:
			return []byte{0x54, 3, byte(offset >> 16), byte(offset >> 8), byte(offset)}
		}
	}
	// strip takes DO'53' off.
	strip := func(t *testing.T, b []byte) []byte {
		t.Helper()
		switch {
		case len(b) > 1 && b[0] == 0x53 && b[1] < 0x80:
			return b[2:]
		case len(b) > 2 && b[0] == 0x53 && b[1] == 0x81:
			return b[3:]
		case len(b) > 3 && b[0] == 0x53 && b[1] == 0x82:
			return b[4:]
		}
		t.Fatalf("no DO'53' in %d bytes", len(b))
		return nil
	}
	tests := []struct {
		name     string
		limits   Limits
		extended bool
		ne       int
		offset   int
		want     int // bytes of the file, if even INS
		sw       apdu.Status
	}{
		{"short, Le 00", Limits{}, false, 256, 0, 231, apdu.OK},
		{"short, Le E7", Limits{}, false, 231, 0, 231, apdu.OK},
		{"short, Le E8", Limits{}, false, 232, 0, 231, apdu.OK},
		{"short, Le 01", Limits{}, false, 1, 4, 1, apdu.OK},
		{"extended, 1000", Limits{Extended: true}, true, 1000, 100, 1000, apdu.OK},
		{"extended, everything", Limits{Extended: true}, true, 65535, 0, len(file), apdu.EndOfFile},
		{"extended, Le 0000", Limits{Extended: true}, true, 65536, 0, len(file), apdu.OK},
		{"extended over the buffer", Limits{Extended: true, Protected: 512}, true, 1000, 0, 487, apdu.OK},
		{"extended over the buffer, refused", Limits{Extended: true, Protected: 512, OverLimit: apdu.WrongLength}, true, 1000, 0, 0, apdu.WrongLength},
		{"extended within the buffer", Limits{Extended: true, Protected: 512, OverLimit: apdu.WrongLength}, true, 487, 0, 487, apdu.OK},
		{"extended, short-only chip", Limits{}, true, 1000, 0, 0, apdu.WrongLength},
		{"last bytes", Limits{}, false, 200, 0x7FFF, 200, apdu.OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := open(newTestChip(t, func(p *Personalisation) { p.Limits = tt.limits }))
			if _, sw := m.do("00a4020c", []byte{0x01, 0x02}, 0); sw != apdu.OK {
				t.Fatalf("SELECT: %04X", uint16(sw))
			}
			got, sw := m.send(fmt.Sprintf("00b0%04x", tt.offset), nil, tt.ne, tt.extended)
			if sw != tt.sw || !bytes.Equal(got, file[tt.offset:tt.offset+tt.want]) {
				t.Errorf("even INS: %d bytes, %04X, want %d, %04X", len(got), uint16(sw), tt.want, uint16(tt.sw))
			}
			if tt.sw != apdu.OK {
				return
			}
			got, sw = m.send("00b10000", odd(tt.offset), tt.ne, tt.extended)
			if tt.ne < 5 { // no room for DO'53'
				if sw != apdu.WrongLength {
					t.Errorf("odd INS without room: %04X", uint16(sw))
				}
				return
			}
			if data := strip(t, got); sw != apdu.OK || len(data) == 0 || !bytes.HasPrefix(file[tt.offset:], data) {
				t.Errorf("odd INS: %d bytes, %04X", len(got), uint16(sw))
			}
		})
	}
	t.Run("whole file by odd INS", func(t *testing.T) {
		m := open(newTestChip(t, nil))
		var got []byte
		header := "00b10002" // DG2 by its short identifier
		for len(got) < len(file) {
			data, sw := m.send(header, odd(len(got)), 256, false)
			if sw != apdu.OK {
				t.Fatalf("offset %d: %04X", len(got), uint16(sw))
			}
			got, header = append(got, strip(t, data)...), "00b10000"
		}
		if !bytes.Equal(got, file) {
			t.Error("file differs")
		}
	})
	t.Run("end of file, another status", func(t *testing.T) {
		m := open(newTestChip(t, func(p *Personalisation) { p.Limits.ShortEnd = apdu.OK }))
		if got, sw := m.do("00b09e10", nil, 100); sw != apdu.OK || len(got) != 6 {
			t.Errorf("%d bytes, %04X", len(got), uint16(sw))
		}
	})
}

// TestActiveAuthentication checks the chip's signatures with the public key
// alone: the power with the public exponent, the recovered parts, the hash.
func TestActiveAuthentication(t *testing.T) {
	rsaKey, err := issuer.NewRSAKey(seeded("aa"), 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := issuer.NewECKey(seeded("aa"), "P-256", false)
	if err != nil {
		t.Fatal(err)
	}
	rndIFD := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	checkRSA := func(t *testing.T, signature []byte, trailer string, hash func([]byte) []byte) {
		t.Helper()
		f := new(big.Int).Exp(new(big.Int).SetBytes(signature), big.NewInt(65537), rsaKey.RSA.N).FillBytes(make([]byte, 256))
		tail := vectortest.Hex(t, trailer)
		n := len(hash(nil))
		end := 256 - len(tail)
		if f[0] != 0x6A || !bytes.Equal(f[end:], tail) || !bytes.Equal(f[end-n:end], hash(join(f[1:end-n], rndIFD))) {
			t.Errorf("representative starts with %02X and ends with %x, or the hash differs", f[0], f[end:])
		}
	}
	tests := []struct {
		name     string
		limits   Limits
		extended bool
		form     AAForm
		key      *issuer.Key
		want     apdu.Status
	}{
		{"RSA-2048 SHA-256, extended", Limits{Extended: true}, true, AAForm{}, rsaKey, apdu.OK},
		{"RSA-2048 SHA-1, extended", Limits{Extended: true}, true, AAForm{Hash: crypto.SHA1}, rsaKey, apdu.OK},
		{"RSA-2048, GET RESPONSE", Limits{GetResponse: true}, false, AAForm{}, rsaKey, apdu.OK},
		{"RSA-2048, no room", Limits{}, false, AAForm{}, rsaKey, apdu.WrongLength},
		{"RSA-2048 PSS", Limits{Extended: true}, true, AAForm{PSS: true}, rsaKey, apdu.OK},
		{"RSA-2048 PSS SHA-512", Limits{Extended: true}, true, AAForm{PSS: true, Hash: crypto.SHA512}, rsaKey, apdu.OK},
		{"ECDSA P-256", Limits{}, false, AAForm{}, ecKey, apdu.OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newTestChip(t, func(p *Personalisation) {
				p.Limits, p.ActiveAuthentication, p.ActiveAuthenticationForm = tt.limits, tt.key, tt.form
			})
			m.want(selectApplication, apdu.OK)
			m.want("0088000008010203040506070800", apdu.SecurityStatusNotSatisfied)
			open(m)
			ne := 256
			signature, sw := m.send("00880000", rndIFD, ne, tt.extended)
			if sw != tt.want {
				t.Fatalf("status %04X, want %04X", uint16(sw), uint16(tt.want))
			}
			if _, sw := m.do("00880000", rndIFD[1:], 256); sw != apdu.WrongLength {
				t.Errorf("challenge of seven bytes: %04X", uint16(sw))
			}
			m.read(0x1E)
			switch {
			case sw != apdu.OK:
			case tt.key.EC != nil:
				if len(signature) != 64 || !ec.Verify(ecKey.EC.Public(), sum256(rndIFD), signature[:32], signature[32:]) {
					t.Errorf("signature of %d bytes does not verify", len(signature))
				}
			case tt.form.PSS:
				hash := cmp.Or(tt.form.Hash, crypto.SHA256)
				h := hash.New()
				h.Write(rndIFD)
				if err := rsa.VerifyPSS(&rsaKey.RSA.PublicKey, hash, h.Sum(nil), signature, &rsa.PSSOptions{SaltLength: hash.Size()}); err != nil {
					t.Error(err)
				}
			case tt.form.Hash == crypto.SHA1:
				checkRSA(t, signature, "bc", sum1)
			default:
				checkRSA(t, signature, "34cc", sum256)
			}
		})
	}
	t.Run("in clear, GET RESPONSE", func(t *testing.T) {
		m := newTestChip(t, func(p *Personalisation) {
			p.AccessKey = mrz.Key{} // an open chip
			p.ActiveAuthentication, p.Limits.GetResponse = rsaKey, true
		})
		m.want(selectApplication, apdu.OK)
		signature, sw := m.raw("008800000801020304050607080A")
		for sw.SW1() == 0x61 {
			var more []byte
			more, sw = m.raw(fmt.Sprintf("00c00000%02x", min(100, int(sw.SW2()))))
			signature = append(signature, more...)
		}
		if sw != apdu.OK || len(signature) != 256 {
			t.Fatalf("%d bytes, %04X", len(signature), uint16(sw))
		}
		checkRSA(t, signature, "34cc", sum256)
	})
}

func TestSelectMF(t *testing.T) {
	m := newTestChip(t, func(p *Personalisation) { p.SelectMF = apdu.InstructionNotSupported })
	m.want("00a4000c023f00", apdu.InstructionNotSupported)
	m.want("00a4000c", apdu.InstructionNotSupported)
	m.want("00b0810000", apdu.OK) // the master file is selected all the same
}

func TestATR(t *testing.T) {
	for want, limits := range map[string]Limits{ // and the check byte
		"3b85800180739421e0": {Extended: true},
		"3b8580018073942160": {Extended: true, NoChaining: true},
		"3b85800180739421a0": {},
	} {
		atr := newTestChip(t, func(p *Personalisation) { p.Limits = limits }).chip.ATR()
		var x byte
		for _, b := range atr[1:] {
			x ^= b
		}
		if got := hex.EncodeToString(atr); got[:len(got)-2] != want || x != 0 {
			t.Errorf("ATR %s, check %02X, want %s and its check byte", got, x, want)
		}
	}
}

// TestTorn: the card leaves the field after its exchanges, stays away over a
// reset, and works again once inserted.
func TestTorn(t *testing.T) {
	m := newTestChip(t, func(p *Personalisation) { p.TearAfter = 5 })
	open(m)
	for m.chip.Exchanges() < 5 {
		m.read(0x1E)
	}
	for range 2 {
		if _, err := m.chip.Transmit(t.Context(), vectortest.Hex(t, selectApplication)); !errors.Is(err, ErrTorn) {
			t.Fatalf("error %v, want ErrTorn", err)
		}
		m.chip.Reset()
	}
	if m.chip.Inserted() {
		t.Error("still inserted")
	}
	m.chip.Insert()
	for range 10 {
		open(m).read(0x1E)
		m.chip.Reset()
	}
	m.chip.Remove()
	if _, err := m.chip.Transmit(t.Context(), nil); !errors.Is(err, ErrTorn) {
		t.Errorf("removed: error %v", err)
	}
}

// TestFault: a fault sees every exchange, may replace the response, and may take
// the card away.
func TestFault(t *testing.T) {
	var numbers []int
	other := errors.New("reader unplugged")
	m := newTestChip(t, func(p *Personalisation) {
		p.Fault = func(exchange int, cmd []byte, next func() []byte) ([]byte, error) {
			numbers = append(numbers, exchange)
			switch exchange {
			case 2:
				return []byte{0x6F, 0x00}, nil
			case 3:
				next()
				return []byte{0x90}, nil // cut
			case 4:
				return nil, other
			case 6:
				return nil, fmt.Errorf("step: %w", ErrTorn)
			}
			return next(), nil
		}
	})
	transmit := func() ([]byte, error) { return m.chip.Transmit(t.Context(), vectortest.Hex(t, selectApplication)) }
	want := []string{"9000", "6f00", "90", "reader unplugged", "9000", "torn", "torn"}
	for i, w := range want {
		got, err := transmit()
		text := hex.EncodeToString(got)
		if errors.Is(err, ErrTorn) {
			text = "torn"
		} else if err != nil {
			text = err.Error()
		}
		if text != w {
			t.Errorf("exchange %d: %s, want %s", i+1, text, w)
		}
	}
	if len(numbers) != 6 || m.chip.Inserted() {
		t.Errorf("fault saw %v; inserted %t", numbers, m.chip.Inserted())
	}
}

func TestContext(t *testing.T) {
	m := newTestChip(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.chip.Transmit(ctx, vectortest.Hex(t, selectApplication)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if n := m.chip.Exchanges(); n != 0 {
		t.Errorf("%d exchanges", n)
	}
}

// TestConcurrent has the race detector look at every method.
func TestConcurrent(t *testing.T) {
	m := newTestChip(t, nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if resp, err := m.chip.Transmit(t.Context(), vectortest.Hex(t, selectApplication)); err == nil && len(resp) < 2 {
					t.Errorf("response of %d bytes", len(resp))
				}
				m.chip.Reset()
				m.chip.Remove()
				m.chip.Insert()
				m.chip.Inserted()
				m.chip.ATR()
			}
		})
	}
	wg.Wait()
}

func TestNewRefuses(t *testing.T) {
	good := ChipAuthentication{Protocol: "0.4.0.127.0.7.2.2.3.2.2"}
	ecKey, err := issuer.NewECKey(seeded("x"), "P-256", false)
	if err != nil {
		t.Fatal(err)
	}
	good.Key = ecKey
	otherKey, err := issuer.NewECKey(seeded("y"), "P-256", false)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := sharedKeys.Key("AA", KeyKind{Bits: 2048})
	if err != nil {
		t.Fatal(err)
	}
	shortKey, err := sharedKeys.Key("AA", KeyKind{Bits: 1024})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(&Personalisation{ChipAuthentication: &good}); err != nil {
		t.Errorf("a good one: %v", err)
	}
	tests := []struct {
		name string
		p    Personalisation
	}{
		{"repeated file", Personalisation{Files: []File{{ID: 1}, {ID: 1}}}},
		{"repeated short identifier", Personalisation{Files: []File{{ID: 1, SFI: 1}, {ID: 2, SFI: 1}}}},
		{"short identifier 31", Personalisation{MasterFiles: []File{{ID: 1, SFI: 31}}}},
		{"empty key", Personalisation{ActiveAuthentication: &issuer.Key{}}},
		{"ECDSA with SHA-1", Personalisation{ActiveAuthentication: ecKey, ActiveAuthenticationForm: AAForm{Hash: crypto.SHA1}}},
		{"PSS on a curve", Personalisation{ActiveAuthentication: ecKey, ActiveAuthenticationForm: AAForm{PSS: true}}},
		{"PSS and ISO 9796-2", Personalisation{ActiveAuthentication: rsaKey, ActiveAuthenticationForm: AAForm{PSS: true, Smaller: true}}},
		{"PSS with an unknown hash", Personalisation{ActiveAuthentication: rsaKey, ActiveAuthenticationForm: AAForm{PSS: true, Hash: crypto.MD5}}},
		{"PSS too long for the key", Personalisation{ActiveAuthentication: shortKey, ActiveAuthenticationForm: AAForm{PSS: true, Hash: crypto.SHA512}}},
		{"unknown hash", Personalisation{ActiveAuthentication: ecKey, ActiveAuthenticationForm: AAForm{Hash: crypto.MD5}}},
		{"PACE integrated mapping on P-224", Personalisation{PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.4.2", ParameterID: 10}}},
		{"PACE DH on a curve", Personalisation{PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.1.2", ParameterID: 13}}},
		{"PACE ECDH in a group", Personalisation{PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.2.2", ParameterID: 1}}},
		{"PACE DH with chip authentication mapping", Personalisation{PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.5.2", ParameterID: 1}}},
		{"PACE chip authentication mapping without a key", Personalisation{PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.6.2", ParameterID: 12}}},
		{"PACE chip authentication mapping with a key of another number", Personalisation{
			PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.6.2", ParameterID: 12}, ChipAuthentication: &ChipAuthentication{Key: ecKey, KeyID: 13},
		}},
		{"PACE chip authentication mapping with a key on another curve", Personalisation{
			PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.6.2", ParameterID: 13}, ChipAuthentication: &ChipAuthentication{Key: ecKey, KeyID: 13},
		}},
		{"PACE chip authentication mapping with 3DES", Personalisation{
			PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.6.1", ParameterID: 12}, ChipAuthentication: &ChipAuthentication{Key: ecKey, KeyID: 12},
		}},
		{"PACE unknown mapping", Personalisation{PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.7.2", ParameterID: 13}}},
		{"PACE repeated", Personalisation{
			PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.2.2", ParameterID: 13}, MorePACE: []PACE{{Protocol: "0.4.0.127.0.7.2.2.4.2.2", ParameterID: 13}},
		}},
		{"PACE unknown curve", Personalisation{PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.2.2", ParameterID: 32, Curve: "P-255"}}},
		{"too many tries", Personalisation{CANTries: 16}},
		{"too many authorities", Personalisation{CertificationAuthorities: make([]string, 3)}},
		{"CA DH with a curve", Personalisation{ChipAuthentication: &ChipAuthentication{Protocol: "0.4.0.127.0.7.2.2.3.1.2", Key: ecKey}}},
		{"CA one identifier, two keys", Personalisation{
			ChipAuthentication: &good, MoreChipAuthentication: []ChipAuthentication{{Protocol: good.Protocol, Key: otherKey}},
		}},
		{"PACE unknown cipher", Personalisation{PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.2.5", ParameterID: 13}}},
		{"PACE no identifier", Personalisation{PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.2.2x", ParameterID: 13}}},
		{"PACE unknown parameters", Personalisation{PACE: &PACE{Protocol: "0.4.0.127.0.7.2.2.4.2.2", ParameterID: 19}}},
		{"CA without a key", Personalisation{ChipAuthentication: &ChipAuthentication{Protocol: good.Protocol}}},
		{"CA with PACE's identifier", Personalisation{ChipAuthentication: &ChipAuthentication{Protocol: "0.4.0.127.0.7.2.2.4.2.2", Key: ecKey}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if c, err := New(&tt.p); !errors.Is(err, ErrPersonalisation) || c != nil {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestRedacted: nothing prints or encodes a key.
func TestRedacted(t *testing.T) {
	d := build(t, ProfileCCCD, Options{})
	c, err := d.Chip()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{d.Personalisation, *d.Personalisation, d.Personalisation.ActiveAuthentication, c} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			if got := fmt.Sprintf(format, v); got != "[redacted]" {
				t.Errorf("%T with %s: %d bytes", v, format, len(got))
			}
		}
		if v == any(c) {
			continue // has no exported field
		}
		if got, err := json.Marshal(v); err != nil || string(got) != `"[redacted]"` {
			t.Errorf("%T as JSON: %d bytes, %v", v, len(got), err)
		}
	}
}
