package chip

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/internal/mac"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
)

// terminal is the reference terminal of these tests: as little code as the
// published examples need, checked against them in TestTerminal, and with no
// part in common with the terminal side of this module. It holds its own key
// derivation and its own secure messaging.
type terminal struct {
	t     testing.TB
	chip  *Chip
	block cipher.Block // KSenc
	mac   func(padded []byte) []byte
	ssc   []byte
	ne    int // most to read at a time; 0: 256
	link  int // most data of a command, longer ones are chained; 0: extended length
}

// deriveFor is the key derivation for the cipher that the last arc of a
// protocol names. Parity bits do not matter to DES.
func deriveFor(arc byte, secret []byte, counter byte) []byte {
	if arc < '3' {
		return derive(secret, counter)
	}
	return sum256(append(bytes.Clone(secret), 0, 0, 0, counter))[:24+8*(arc-'3')]
}

// start opens secure messaging with the cipher that the last arc of a protocol
// names, with a counter of zero.
func (m *terminal) start(arc byte, secret []byte) {
	m.t.Helper()
	ksEnc, ksMac := deriveFor(arc, secret, 1), deriveFor(arc, secret, 2)
	if arc == '1' {
		m.start3DES(ksEnc, ksMac, make([]byte, 8))
	} else {
		m.startAES(ksEnc, ksMac)
	}
}

// derive is the key derivation with SHA-1.
func derive(secret []byte, counter byte) []byte {
	h := sha1.Sum(append(bytes.Clone(secret), 0, 0, 0, counter))
	return h[:16]
}

func tripleDESBlock(t testing.TB, key []byte) cipher.Block {
	t.Helper()
	b, err := des.NewTripleDESCipher(append(bytes.Clone(key), key[:8]...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// retail returns MAC algorithm 3 with key; the message comes padded.
func retail(t testing.TB, key []byte) func([]byte) []byte {
	t.Helper()
	ka, err := des.NewCipher(key[:8])
	if err != nil {
		t.Fatal(err)
	}
	full := tripleDESBlock(t, key)
	return func(m []byte) []byte {
		y := make([]byte, 8)
		for ; len(m) > 0; m = m[8:] {
			for i := range y {
				y[i] ^= m[i]
			}
			if len(m) == 8 {
				full.Encrypt(y, y)
			} else {
				ka.Encrypt(y, y)
			}
		}
		return y
	}
}

func pad(b []byte, block int) []byte {
	b = append(bytes.Clone(b), 0x80)
	for len(b)%block != 0 {
		b = append(b, 0)
	}
	return b
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// raw sends a command in clear and returns data and status.
func (m *terminal) raw(cmd string) ([]byte, apdu.Status) {
	m.t.Helper()
	b, err := hex.DecodeString(cmd)
	if err != nil {
		m.t.Fatal(err)
	}
	resp, err := m.chip.Transmit(m.t.Context(), b)
	if err != nil {
		m.t.Fatalf("%s: %v", cmd, err)
	}
	if len(resp) < 2 {
		m.t.Fatalf("%s: response of %d bytes", cmd, len(resp))
	}
	return resp[:len(resp)-2], apdu.Status(binary.BigEndian.Uint16(resp[len(resp)-2:]))
}

// want sends a command in clear that must end with sw.
func (m *terminal) want(cmd string, sw apdu.Status) []byte {
	m.t.Helper()
	data, got := m.raw(cmd)
	if got != sw {
		m.t.Fatalf("%s: status %04X, want %04X", cmd, uint16(got), uint16(sw))
	}
	return data
}

// bac selects the application and runs basic access control with the MRZ
// information, and returns the status of EXTERNAL AUTHENTICATE.
func (m *terminal) bac(information string) apdu.Status {
	m.t.Helper()
	m.want(selectApplication, apdu.OK)
	seed := sha1.Sum([]byte(information))
	enc, kMac := tripleDESBlock(m.t, derive(seed[:16], 1)), retail(m.t, derive(seed[:16], 2))
	rndIC := m.want("0084000008", apdu.OK)
	rndIFD, kIFD := bytes.Repeat([]byte{0x1F}, 8), bytes.Repeat([]byte{0x2E}, 16)

	e := join(rndIFD, rndIC, kIFD)
	cipher.NewCBCEncrypter(enc, make([]byte, 8)).CryptBlocks(e, e)
	data, sw := m.raw(fmt.Sprintf("0082000028%x%x28", e, kMac(pad(e, 8))))
	if sw != apdu.OK {
		return sw
	}
	if len(data) != 40 || !bytes.Equal(kMac(pad(data[:32], 8)), data[32:]) {
		m.t.Fatal("EXTERNAL AUTHENTICATE: wrong length or MAC")
	}
	r := bytes.Clone(data[:32])
	cipher.NewCBCDecrypter(enc, make([]byte, 8)).CryptBlocks(r, r)
	if !bytes.Equal(r[:8], rndIC) || !bytes.Equal(r[8:16], rndIFD) {
		m.t.Fatal("EXTERNAL AUTHENTICATE: wrong nonces")
	}
	kSeed := make([]byte, 16)
	for i := range kSeed {
		kSeed[i] = r[16+i] ^ kIFD[i]
	}
	m.start3DES(derive(kSeed, 1), derive(kSeed, 2), join(rndIC[4:], rndIFD[4:]))
	return sw
}

func (m *terminal) start3DES(ksEnc, ksMac, ssc []byte) {
	m.block, m.mac, m.ssc = tripleDESBlock(m.t, ksEnc), retail(m.t, ksMac), ssc
}

func (m *terminal) startAES(ksEnc, ksMac []byte) {
	m.t.Helper()
	b, err := aes.NewCipher(ksEnc)
	if err != nil {
		m.t.Fatal(err)
	}
	m.block, m.ssc = b, make([]byte, 16)
	m.mac = func(padded []byte) []byte {
		c := mac.CMAC(ksMac, padded)
		return c[:8]
	}
}

func (m *terminal) count() {
	for i := len(m.ssc) - 1; i >= 0; i-- {
		if m.ssc[i]++; m.ssc[i] != 0 {
			return
		}
	}
}

func (m *terminal) iv() []byte {
	iv := make([]byte, m.block.BlockSize())
	if len(iv) == 16 {
		m.block.Encrypt(iv, m.ssc)
	}
	return iv
}

func object(tag byte, value []byte) []byte {
	switch n := len(value); {
	case n < 0x80:
		return join([]byte{tag, byte(n)}, value)
	case n < 0x100:
		return join([]byte{tag, 0x81, byte(n)}, value)
	default:
		return join([]byte{tag, 0x82, byte(n >> 8), byte(n)}, value)
	}
}

// protect builds the protected form of a command: header, data, Ne (0 none).
// extended is the form of its length fields.
func (m *terminal) protect(header, data []byte, ne int, extended bool) []byte {
	m.count()
	bs := m.block.BlockSize()
	header = bytes.Clone(header)
	header[0] |= 0x0C
	var body []byte
	if len(data) > 0 {
		e := pad(data, bs)
		cipher.NewCBCEncrypter(m.block, m.iv()).CryptBlocks(e, e)
		if header[1]&1 == 1 {
			body = object(0x85, e)
		} else {
			body = object(0x87, join([]byte{1}, e))
		}
	}
	switch {
	case ne > 256 || ne == 256 && extended:
		body = join(body, object(0x97, []byte{byte(ne >> 8), byte(ne)}))
	case ne > 0:
		body = join(body, object(0x97, []byte{byte(ne)}))
	}
	cc := m.mac(pad(join(m.ssc, pad(header, bs), body), bs))
	body = join(body, object(0x8E, cc))
	if extended {
		return join(header, []byte{0, byte(len(body) >> 8), byte(len(body))}, body, []byte{0, 0})
	}
	return join(header, []byte{byte(len(body))}, body, []byte{0})
}

// unprotect verifies a protected response and returns its data and status.
func (m *terminal) unprotect(ins byte, resp []byte) ([]byte, apdu.Status) {
	m.t.Helper()
	m.count()
	bs := m.block.BlockSize()
	n := len(resp) - 2
	if n < 14 || resp[n-10] != 0x8E || resp[n-9] != 8 {
		m.t.Fatalf("response %x is not protected", resp)
	}
	body := resp[:n-10]
	if !bytes.Equal(m.mac(pad(join(m.ssc, body), bs)), resp[n-8:n]) {
		m.t.Fatal("wrong MAC in the response")
	}
	sw := body[len(body)-4:]
	if sw[0] != 0x99 || sw[1] != 2 || !bytes.Equal(sw[2:], resp[n:]) {
		m.t.Fatalf("DO'99' %x beside status %x", sw, resp[n:])
	}
	var data []byte
	if body = body[:len(body)-4]; len(body) > 0 {
		if want := 0x87 - byte(2)*(ins&1); body[0] != want {
			m.t.Fatalf("data in DO'%X', want DO'%X'", body[0], want)
		}
		head := 2
		if body[1] > 0x80 {
			head += int(body[1] - 0x80)
		}
		if ins&1 == 0 {
			if body[head] != 1 {
				m.t.Fatalf("padding indicator %02X", body[head])
			}
			head++
		}
		data = bytes.Clone(body[head:])
		cipher.NewCBCDecrypter(m.block, m.iv()).CryptBlocks(data, data)
		data = bytes.TrimRight(data, "\x00")
		if len(data) == 0 || data[len(data)-1] != 0x80 {
			m.t.Fatal("wrong padding in the response")
		}
		data = data[:len(data)-1]
	}
	return data, apdu.Status(binary.BigEndian.Uint16(sw[2:]))
}

// do sends a command under secure messaging, with short lengths.
func (m *terminal) do(header string, data []byte, ne int) ([]byte, apdu.Status) {
	m.t.Helper()
	return m.send(header, data, ne, false)
}

func (m *terminal) send(header string, data []byte, ne int, extended bool) ([]byte, apdu.Status) {
	m.t.Helper()
	h := vectortest.Hex(m.t, header)
	resp, err := m.chip.Transmit(m.t.Context(), m.protect(h, data, ne, extended))
	if err != nil {
		m.t.Fatalf("%s: %v", header, err)
	}
	for resp[len(resp)-2] == 0x61 {
		more, err := m.chip.Transmit(m.t.Context(), []byte{0x00, 0xC0, 0x00, 0x00, resp[len(resp)-1]})
		if err != nil {
			m.t.Fatal(err)
		}
		resp = join(resp[:len(resp)-2], more)
	}
	return m.unprotect(h[1], resp)
}

// long sends a command whose data may be too long for a short one, in extended
// length or chained, each piece protected on its own.
func (m *terminal) long(header string, data []byte, ne int) ([]byte, apdu.Status) {
	m.t.Helper()
	if m.link == 0 {
		return m.send(header, data, ne, len(data) > 200)
	}
	for ; len(data) > m.link; data = data[m.link:] {
		if body, sw := m.do("1"+header[1:], data[:m.link], 0); sw != apdu.OK || len(body) > 0 {
			return body, sw
		}
	}
	return m.do(header, data, ne)
}

// read reads a whole file by its short identifier under secure messaging.
func (m *terminal) read(sfi byte) []byte {
	m.t.Helper()
	ne := 256
	if m.ne > 0 {
		ne = m.ne
	}
	data, sw := m.do(fmt.Sprintf("00b0%02x00", 0x80|sfi), nil, ne)
	if sw != apdu.OK && sw != apdu.EndOfFile || len(data) < 2 {
		m.t.Fatalf("read file %02X: %04X, %d bytes", sfi, uint16(sw), len(data))
	}
	head, n := 2, int(data[1])
	if data[1] > 0x80 {
		head, n = 2+int(data[1]-0x80), 0
		for _, b := range data[2:head] {
			n = n<<8 | int(b)
		}
	}
	for len(data) < head+n {
		var more []byte
		want := min(ne, head+n-len(data))
		if len(data) < 0x8000 {
			more, sw = m.do(fmt.Sprintf("00b0%04x", len(data)), nil, want)
		} else { // odd INS: the offset in a data object, and the data in another
			want = min(want, 200)
			more, sw = m.do(fmt.Sprintf("00b100%02x", sfi), []byte{0x54, 3, byte(len(data) >> 16), byte(len(data) >> 8), byte(len(data))}, want+3)
			if len(more) > 2 {
				more = value(m.t, more, 0x53)
			}
		}
		if sw != apdu.OK && sw != apdu.EndOfFile || len(more) == 0 {
			m.t.Fatalf("read file %02X at %d: %04X, %d bytes", sfi, len(data), uint16(sw), len(more))
		}
		data = append(data, more...)
	}
	return data[:head+n]
}

// TestTerminal checks the reference terminal against appendix D.4 and the other
// secure messaging examples, so that it can vouch for the chip.
func TestTerminal(t *testing.T) {
	var all []smExample
	vectortest.JSON(t, "testdata/sm-and-kdf-examples.json", &all)
	for _, e := range all {
		for i, x := range e.Exchanges {
			if x.PlainHeader == "" {
				continue // one form of example is enough here
			}
			m := &terminal{t: t}
			if e.Cipher == "3des" {
				m.start3DES(vectortest.Hex(t, e.KSEnc), vectortest.Hex(t, e.KSMac), nil)
			} else {
				m.startAES(vectortest.Hex(t, e.KSEnc), vectortest.Hex(t, e.KSMac))
			}
			m.ssc = vectortest.Hex(t, x.SSCAfter)
			for range 2 { // back to the counter before this exchange
				for j := len(m.ssc) - 1; j >= 0; j-- {
					if m.ssc[j]--; m.ssc[j] != 0xFF {
						break
					}
				}
			}
			ne, want := 0, vectortest.Hex(t, x.ProtectedCommand)
			if x.LeDO97 != nil {
				le := vectortest.Hex(t, *x.LeDO97)
				if ne = int(le[0]); len(le) == 2 {
					ne = int(binary.BigEndian.Uint16(le))
				} else if ne == 0 {
					ne = 256
				}
			}
			extended := want[4] == 0
			if got := m.protect(vectortest.Hex(t, x.PlainHeader), vectortest.Hex(t, x.PlainData), ne, extended); !bytes.Equal(got, want) {
				t.Errorf("%s, exchange %d: %x, want %x", e.ID, i, got, want)
			}
			data, sw := m.unprotect(want[1], vectortest.Hex(t, x.ProtectedResponse))
			if sw != apdu.OK || !bytes.Equal(data, vectortest.Hex(t, x.PlainResponseData)) {
				t.Errorf("%s, exchange %d: response %x %04X", e.ID, i, data, uint16(sw))
			}
		}
	}
}

func sum1(b []byte) []byte {
	h := sha1.Sum(b)
	return h[:]
}

func sum256(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}
