package sm_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/internal/mac"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/icao/tlv"
)

// example is a session of the vectors: of sm-and-kdf-examples.json, or D.4 of
// 9303-11-D-bac.json, which writes its exchanges in two more ways.
type example struct {
	ID, Cipher string
	KsEnc      string `json:"ks_enc"`
	KsMac      string `json:"ks_mac"`
	SSCStart   string `json:"ssc_start"`
	Exchanges  []struct {
		Name         string
		PlainCommand string  `json:"plain_command"`
		PlainHeader  string  `json:"plain_header"`
		PlainData    string  `json:"plain_data"`
		Le           *string `json:"le_do97"`

		ProtectedCommand  string `json:"protected_command"`
		ProtectedResponse string `json:"protected_response"`

		PlainResponse     string  `json:"plain_response"`
		PlainResponseData *string `json:"plain_response_data"`

		SSCAfter     string `json:"ssc_after"`
		CommandSteps struct {
			CC string
		} `json:"command_steps"`
		ResponseSteps struct {
			SSC string
		} `json:"response_steps"`
	}
}

// exchange is one of them in one way.
type exchange struct {
	name      string
	c         apdu.Command
	want      apdu.Response
	sent, got []byte // protected
	sscBefore string // of the command
	sscAfter  string
}

var ciphers = map[string]sm.Cipher{
	"3DES": sm.TripleDES, "3des": sm.TripleDES, "aes128": sm.AES128, "aes192": sm.AES192, "aes256": sm.AES256,
}

func load(tb testing.TB) map[string]example {
	tb.Helper()
	out := map[string]example{}
	for _, path := range []string{"testdata/sm-and-kdf-examples.json", "../bac/testdata/9303-11-D-bac.json"} {
		var all []example
		vectortest.JSON(tb, path, &all)
		for _, e := range all {
			if len(e.Exchanges) > 0 {
				out[e.ID] = e
			}
		}
	}
	if len(out) != 6 {
		tb.Fatalf("%d sessions in the vectors, want 6", len(out))
	}
	return out
}

func (e example) channel(tb testing.TB, d apdu.Doer, ssc string) *sm.Channel {
	tb.Helper()
	c, err := sm.New(d, ciphers[e.Cipher], vectortest.Hex(tb, e.KsEnc), vectortest.Hex(tb, e.KsMac), vectortest.Hex(tb, ssc))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// exchanges brings the exchanges of an example into one form.
func (e example) exchanges(tb testing.TB) []exchange {
	tb.Helper()
	var out []exchange
	for i, x := range e.Exchanges {
		o := exchange{
			name: x.Name,
			sent: vectortest.Hex(tb, x.ProtectedCommand),
			got:  vectortest.Hex(tb, x.ProtectedResponse),
		}
		if o.name == "" {
			o.name = fmt.Sprintf("exchange %d", i+1)
		}
		if x.PlainHeader != "" {
			h := vectortest.Hex(tb, x.PlainHeader)
			o.c = apdu.Command{CLA: h[0], INS: h[1], P1: h[2], P2: h[3], Data: vectortest.Hex(tb, x.PlainData)}
			if x.Le != nil {
				le := vectortest.Hex(tb, *x.Le)
				o.c.Ne = int(new(big.Int).SetBytes(le).Int64())
				if o.c.Ne == 0 {
					o.c.Ne = 1 << (8 * len(le))
				}
			}
		} else {
			o.c = short(tb, vectortest.Hex(tb, x.PlainCommand))
		}
		resp := x.PlainResponse
		if x.PlainResponseData != nil {
			resp = *x.PlainResponseData + "9000"
		}
		var err error
		if o.want, err = apdu.ParseResponse(vectortest.Hex(tb, resp)); err != nil {
			tb.Fatal(err)
		}
		if o.sscAfter = x.SSCAfter; o.sscAfter == "" {
			o.sscAfter = x.ResponseSteps.SSC
		}
		n, _ := new(big.Int).SetString(o.sscAfter, 16)
		o.sscBefore = fmt.Sprintf("%0*x", len(o.sscAfter), n.Sub(n, big.NewInt(2)))
		out = append(out, o)
	}
	return out
}

// short decodes the plain commands of the vectors: case 2, 3, and one
// extended case 3.
func short(tb testing.TB, b []byte) apdu.Command {
	tb.Helper()
	c := apdu.Command{CLA: b[0], INS: b[1], P1: b[2], P2: b[3]}
	switch {
	case len(b) == 5:
		c.Ne = int(b[4])
	case len(b) == 5+int(b[4]):
		c.Data = b[5:]
	case b[4] == 0 && len(b) == 7+int(b[5])<<8+int(b[6]):
		c.Data = b[7:]
	default:
		tb.Fatalf("plain command of %d bytes", len(b))
	}
	return c
}

func sameResponse(a, b apdu.Response) bool { return a.SW == b.SW && bytes.Equal(a.Data, b.Data) }

// Every exchange of every session alone: Wrap and Unwrap.
func TestVectors(t *testing.T) {
	for id, e := range load(t) {
		for _, x := range e.exchanges(t) {
			t.Run(id+"/"+x.name, func(t *testing.T) {
				c := e.channel(t, nil, x.sscBefore)
				got, err := c.Wrap(x.c).Encode()
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, x.sent) {
					t.Errorf("command\n got %x\nwant %x", got, x.sent)
				}
				resp, err := apdu.ParseResponse(x.got)
				if err != nil {
					t.Fatal(err)
				}
				plain, err := c.Unwrap(resp)
				if err != nil || !sameResponse(plain, x.want) {
					t.Errorf("response %x %v, error %v", plain.Data, plain.SW, err)
				}
				if ssc := hex.EncodeToString(c.SSC()); ssc != x.sscAfter {
					t.Errorf("SSC = %s, want %s", ssc, x.sscAfter)
				}
			})
		}
	}
}

// Every session as a whole: Do over a plain session and a strict card.
func TestVectorSessions(t *testing.T) {
	for id, e := range load(t) {
		if id == "tr03110-worked-example-8" {
			continue // an exchange is missing in the source: see its notes
		}
		t.Run(id, func(t *testing.T) {
			var script strings.Builder
			for _, x := range e.exchanges(t) {
				fmt.Fprintf(&script, "%x -> %x\n", x.sent, x.got)
			}
			c := e.channel(t, apdu.NewSession(apdutest.NewScript(t, script.String())), e.SSCStart)
			for _, x := range e.exchanges(t) {
				plain, err := c.Do(t.Context(), x.c)
				if err != nil || !sameResponse(plain, x.want) {
					t.Fatalf("%s: %x %v, error %v", x.name, plain.Data, plain.SW, err)
				}
			}
		})
	}
}

// card is the chip's side of secure messaging, written for these tests from
// Doc 9303-11, 9.8, without the code under test: it verifies and decrypts a
// command and protects a response.
type card struct {
	t      testing.TB
	c      sm.Cipher
	enc    cipher.Block
	ksMac  []byte
	ssc    *big.Int
	answer func(c apdu.Command) apdu.Response
	mangle func([]byte) []byte // of the protected response; may be nil
	gone   bool
	seen   apdu.Command // the last command, decrypted
	wide   bool         // and whether its DO'97' had two bytes
}

func newPair(t testing.TB, c sm.Cipher, answer func(apdu.Command) apdu.Response) (*card, *sm.Channel) {
	t.Helper()
	key := func(b byte) []byte {
		k := make([]byte, c.KeyLen())
		for i := range k {
			k[i] = b + byte(i)
		}
		return k
	}
	k := &card{t: t, c: c, ksMac: key(0x80), answer: answer}
	var err error
	if c == sm.TripleDES {
		enc := key(0x10)
		k.enc, err = des.NewTripleDESCipher(append(enc[:16:16], enc[:8]...))
	} else {
		k.enc, err = aes.NewCipher(key(0x10))
	}
	if err != nil {
		t.Fatal(err)
	}
	ssc := bytes.Repeat([]byte{0xFF}, c.BlockSize()) // wraps around at once
	k.ssc = new(big.Int).SetBytes(ssc)
	ch, err := sm.New(apdu.NewSession(k), c, key(0x10), key(0x80), ssc)
	if err != nil {
		t.Fatal(err)
	}
	return k, ch
}

func (k *card) step() []byte {
	k.ssc.Add(k.ssc, big.NewInt(1))
	bs := k.c.BlockSize()
	k.ssc.Mod(k.ssc, new(big.Int).Lsh(big.NewInt(1), uint(8*bs)))
	return k.ssc.FillBytes(make([]byte, bs))
}

func (k *card) mac(ssc []byte, parts ...[]byte) []byte {
	n := bytes.Join(append([][]byte{ssc}, parts...), nil)
	if k.c == sm.TripleDES {
		m := mac.Retail([16]byte(k.ksMac), n)
		return m[:]
	}
	n = append(n, 0x80)
	for len(n)%16 != 0 {
		n = append(n, 0)
	}
	m := mac.CMAC(k.ksMac, n)
	return m[:8]
}

func (k *card) iv(ssc []byte) []byte {
	iv := make([]byte, k.c.BlockSize())
	if k.c != sm.TripleDES {
		k.enc.Encrypt(iv, ssc)
	}
	return iv
}

func (k *card) Transmit(_ context.Context, b []byte) ([]byte, error) {
	if k.gone {
		return nil, apdutest.ErrGone
	}
	ssc := k.step()
	bs := k.c.BlockSize()
	cmd := apdu.Command{CLA: b[0] &^ 0x0C, INS: b[1], P1: b[2], P2: b[3]}
	if b[0]&0x0C != 0x0C {
		k.t.Errorf("class %02x", b[0])
	}
	// Lc and Le of both formats; Le is 00 or 0000.
	data := b[5 : 5+int(b[4])]
	rest := b[5+int(b[4]):]
	extended := b[4] == 0
	if extended {
		n := int(b[5])<<8 | int(b[6])
		data, rest = b[7:7+n], b[7+n:]
	}
	if extended && !bytes.Equal(rest, []byte{0, 0}) || !extended && !bytes.Equal(rest, []byte{0}) {
		k.t.Errorf("Le of the protected command is %x", rest)
	}
	objects, do8E := data[:len(data)-10], data[len(data)-10:]
	header := append(bytes.Clone(b[:4]), 0x80)
	for len(header)%bs != 0 {
		header = append(header, 0)
	}
	if want := append([]byte{0x8E, 8}, k.mac(ssc, header, objects)...); !bytes.Equal(do8E, want) {
		k.t.Errorf("checksum object %x, want %x", do8E, want)
	}
	s := tlv.String(objects)
	for last := tlv.Tag(0); !s.Empty(); {
		var v tlv.String
		var tag tlv.Tag
		if !s.Read(&v, &tag) {
			k.t.Fatal("malformed command")
		}
		if tag <= last {
			k.t.Errorf("tag %x after %x", tag, last)
		}
		last = tag
		switch tag {
		case 0x85, 0x87:
			if odd := b[1]%2 == 1; odd != (tag == 0x85) {
				k.t.Errorf("tag %x for INS %02x", tag, b[1])
			}
			if tag == 0x87 {
				if v[0] != 1 {
					k.t.Errorf("padding indicator %02x", v[0])
				}
				v = v[1:]
			}
			plain := make([]byte, len(v))
			cipher.NewCBCDecrypter(k.enc, k.iv(ssc)).CryptBlocks(plain, v)
			plain = bytes.TrimRight(plain, "\x00")
			if len(plain) == 0 || plain[len(plain)-1] != 0x80 {
				k.t.Error("padding of the command")
			}
			cmd.Data = plain[:len(plain)-1]
		case 0x97:
			cmd.Ne = int(new(big.Int).SetBytes(v).Int64())
			if cmd.Ne == 0 {
				cmd.Ne = 1 << (8 * len(v))
			}
			k.wide = len(v) == 2
		default:
			k.t.Errorf("tag %x in a command", tag)
		}
	}
	k.seen = cmd
	out := k.protect(k.answer(cmd), b[1]%2 == 1)
	if k.mangle != nil {
		out = k.mangle(out)
	}
	return out, nil
}

func (k *card) protect(r apdu.Response, odd bool) []byte {
	ssc := k.step()
	var objects []byte
	if len(r.Data) > 0 {
		enc := append(bytes.Clone(r.Data), 0x80)
		for len(enc)%k.c.BlockSize() != 0 {
			enc = append(enc, 0)
		}
		cipher.NewCBCEncrypter(k.enc, k.iv(ssc)).CryptBlocks(enc, enc)
		if odd {
			objects = tlv.Append(objects, 0x85, enc)
		} else {
			objects = tlv.Append(objects, 0x87, append([]byte{1}, enc...))
		}
	}
	objects = tlv.Append(objects, 0x99, []byte{r.SW.SW1(), r.SW.SW2()})
	return k.seal(ssc, objects, r.SW)
}

// seal adds a right checksum and the status word to any objects.
func (k *card) seal(ssc, objects []byte, sw apdu.Status) []byte {
	out := tlv.Append(bytes.Clone(objects), 0x8E, k.mac(ssc, objects))
	return append(out, sw.SW1(), sw.SW2())
}

var allCiphers = []sm.Cipher{sm.TripleDES, sm.AES128, sm.AES192, sm.AES256}

// Every command case, both parities of INS, all ciphers, at the lengths where
// a form of length or padding changes.
func TestCases(t *testing.T) {
	lengths := []int{0, 1, 7, 8, 15, 16, 100, 111, 112, 223, 231, 232, 239, 240, 255, 256, 1000, 65500}
	nes := []int{0, 1, 255, 256, 257, 512, 65535, 65536}
	for _, c := range allCiphers {
		t.Run(c.String(), func(t *testing.T) {
			var answer apdu.Response
			card, ch := newPair(t, c, func(apdu.Command) apdu.Response { return answer })
			for _, ins := range []byte{0xB0, 0xB1} {
				for _, n := range lengths {
					for _, ne := range nes {
						cmd := apdu.Command{INS: ins, P1: 1, P2: 2, Data: bytes.Repeat([]byte{0x80}, n), Ne: ne}
						in := bytes.Clone(cmd.Data)
						answer = apdu.Response{Data: bytes.Repeat([]byte{0x00}, min(n, 65000)), SW: apdu.OK}
						got, err := ch.Do(t.Context(), cmd)
						if err != nil {
							t.Fatalf("INS %02x, %d bytes, Ne %d: %v", ins, n, ne, err)
						}
						if !sameResponse(got, answer) {
							t.Errorf("INS %02x, %d bytes, Ne %d: wrong response", ins, n, ne)
						}
						s := card.seen
						if s.CLA != 0 || s.INS != ins || s.P1 != 1 || s.P2 != 2 || s.Ne != ne || !bytes.Equal(s.Data, cmd.Data) {
							t.Errorf("INS %02x, %d bytes, Ne %d: the card saw another command", ins, n, ne)
						}
						if ne > 0 && card.wide != cmd.Extended() {
							t.Errorf("INS %02x, %d bytes, Ne %d: DO'97' of the wrong length", ins, n, ne)
						}
						if !bytes.Equal(cmd.Data, in) {
							t.Fatal("the caller's data was changed")
						}
					}
				}
			}
		})
	}
}

func TestChainedCommandKeepsItsClass(t *testing.T) {
	card, ch := newPair(t, sm.AES128, func(apdu.Command) apdu.Response { return apdu.Response{SW: apdu.OK} })
	if _, err := ch.Do(t.Context(), apdu.Command{CLA: 0x10, INS: 0x86, Data: []byte{0x7C, 0}, Ne: 256}); err != nil {
		t.Fatal(err)
	}
	if card.seen.CLA != 0x10 {
		t.Errorf("class %02x", card.seen.CLA)
	}
}

// An error status that is protected is an answer, and the session goes on:
// every file that a document does not have looks like this.
func TestProtectedErrorStatus(t *testing.T) {
	for _, c := range allCiphers {
		var answer apdu.Response
		_, ch := newPair(t, c, func(apdu.Command) apdu.Response { return answer })
		for _, sw := range []apdu.Status{apdu.FileNotFound, apdu.SecurityStatusNotSatisfied, apdu.EndOfFile, apdu.OK} {
			answer = apdu.Response{SW: sw}
			if sw == apdu.EndOfFile {
				answer.Data = []byte{1, 2, 3}
			}
			got, err := ch.Do(t.Context(), apdu.Command{INS: 0xA4, Data: []byte{1, 0x0E}})
			if err != nil || !sameResponse(got, answer) {
				t.Errorf("%v, %v: %v, error %v", c, sw, got.SW, err)
			}
		}
	}
}

// broken checks that the channel refuses everything from now on, with the
// same error, and without asking the card.
func broken(t *testing.T, card *card, ch *sm.Channel, first error) {
	t.Helper()
	if !errors.Is(first, sm.ErrBroken) {
		t.Errorf("error %v does not wrap ErrBroken", first)
	}
	card.answer = func(apdu.Command) apdu.Response {
		t.Error("a broken channel asked the card")
		return apdu.Response{}
	}
	card.mangle, card.gone = nil, false
	got, err := ch.Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 4})
	if err != first || got.Data != nil || got.SW != 0 {
		t.Errorf("later call: %d bytes, %v", len(got.Data), err)
	}
	if ch.SSC() != nil {
		t.Error("the counter outlives the channel")
	}
}

func TestBadResponses(t *testing.T) {
	data := []byte{0x60, 0x14, 0x5F, 0x01}
	tests := []struct {
		name   string
		mangle func(k *card, b []byte) []byte
	}{
		{"no checksum object", func(_ *card, b []byte) []byte { return append(b[:len(b)-12], 0x90, 0) }},
		{"checksum object alone", func(_ *card, b []byte) []byte { return b[len(b)-12:] }},
		{"checksum of seven bytes", func(_ *card, b []byte) []byte {
			b[len(b)-11] = 7
			return append(b[:len(b)-3], 0x90, 0)
		}},
		{"byte after the checksum", func(_ *card, b []byte) []byte { return append(b[:len(b)-2], 0, 0x90, 0) }},
		{"data in plain", func(_ *card, _ []byte) []byte { return []byte{0x60, 0x14, 0x90, 0} }},
		{"data of zeros", func(_ *card, _ []byte) []byte { return make([]byte, 200) }},
		{"outer status differs", func(_ *card, b []byte) []byte { return append(b[:len(b)-2], 0x62, 0x82) }},
		{"no status object", func(k *card, b []byte) []byte { return k.reseal(b[:len(b)-16]) }},
		{"no objects at all", func(k *card, _ []byte) []byte { return k.reseal(nil) }},
		{"status object of one byte", func(k *card, b []byte) []byte {
			return k.reseal(append(b[:len(b)-16], 0x99, 1, 0x90))
		}},
		{"status object of three bytes", func(k *card, b []byte) []byte {
			return k.reseal(append(b[:len(b)-16], 0x99, 3, 0x90, 0, 0))
		}},
		{"status object twice", func(k *card, b []byte) []byte {
			return k.reseal(append(b[:len(b)-12], 0x99, 2, 0x90, 0))
		}},
		{"cryptogram twice", func(k *card, b []byte) []byte {
			enc := bytes.Clone(b[:len(b)-16])
			return k.reseal(append(append(enc, enc...), 0x99, 2, 0x90, 0))
		}},
		{"both kinds of cryptogram", func(k *card, b []byte) []byte {
			enc := bytes.Clone(b[:len(b)-16])
			other := tlv.Append(nil, 0x85, enc[3:])
			return k.reseal(append(append(enc, other...), 0x99, 2, 0x90, 0))
		}},
		{"status before the cryptogram", func(k *card, b []byte) []byte {
			return k.reseal(append([]byte{0x99, 2, 0x90, 0}, b[:len(b)-16]...))
		}},
		{"unknown object", func(k *card, b []byte) []byte {
			return k.reseal(append([]byte{0x81, 1, 0xAA}, b[:len(b)-12]...))
		}},
		{"padding indicator 02", func(k *card, b []byte) []byte {
			b[2] = 2
			return k.reseal(b[:len(b)-12])
		}},
		{"cryptogram without content", func(k *card, _ []byte) []byte {
			return k.reseal([]byte{0x87, 0, 0x99, 2, 0x90, 0})
		}},
		{"cryptogram with an indicator alone", func(k *card, _ []byte) []byte {
			return k.reseal([]byte{0x87, 1, 1, 0x99, 2, 0x90, 0})
		}},
		{"cryptogram of half a block", func(k *card, _ []byte) []byte {
			return k.reseal([]byte{0x87, 5, 1, 2, 3, 4, 5, 0x99, 2, 0x90, 0})
		}},
		{"cryptogram with wrong padding", func(k *card, _ []byte) []byte {
			enc := make([]byte, k.c.BlockSize()) // decrypts to all zero
			ssc := k.ssc.FillBytes(make([]byte, k.c.BlockSize()))
			cipher.NewCBCEncrypter(k.enc, k.iv(ssc)).CryptBlocks(enc, enc)
			return k.reseal(append(tlv.Append(nil, 0x87, append([]byte{1}, enc...)), 0x99, 2, 0x90, 0))
		}},
	}
	for _, c := range allCiphers {
		for _, tt := range tests {
			t.Run(c.String()+"/"+tt.name, func(t *testing.T) {
				card, ch := newPair(t, c, func(apdu.Command) apdu.Response { return apdu.Response{Data: data, SW: apdu.OK} })
				if _, err := ch.Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 4}); err != nil {
					t.Fatal(err)
				}
				card.mangle = func(b []byte) []byte { return tt.mangle(card, bytes.Clone(b)) }
				got, err := ch.Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 4})
				if err == nil || got.Data != nil || got.SW != 0 {
					t.Fatalf("accepted: %x %v, %v", got.Data, got.SW, err)
				}
				broken(t, card, ch, err)
			})
		}
	}
}

// reseal gives objects a right checksum for the present counter, so that only
// what a test changed is wrong.
func (k *card) reseal(objects []byte) []byte {
	return k.seal(k.ssc.FillBytes(make([]byte, k.c.BlockSize())), bytes.Clone(objects), apdu.OK)
}

// Not one bit of a response may change.
func TestEveryBitIsProtected(t *testing.T) {
	for _, c := range allCiphers {
		answer := apdu.Response{Data: []byte("0123456789"), SW: apdu.OK}
		var length int
		for bit := 0; bit == 0 || bit < 8*length; bit++ {
			card, ch := newPair(t, c, func(apdu.Command) apdu.Response { return answer })
			card.mangle = func(b []byte) []byte {
				length = len(b)
				b[bit/8] ^= 1 << (bit % 8)
				if b[len(b)-2] == 0x61 || b[len(b)-2] == 0x6C {
					b[len(b)-2] = 0x6F // belongs to the transport, below
				}
				return b
			}
			got, err := ch.Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 10})
			if !errors.Is(err, sm.ErrBroken) || got.Data != nil || got.SW != 0 {
				t.Errorf("%v: bit %d flipped: %x %v, %v", c, bit, got.Data, got.SW, err)
			}
		}
	}
}

// An old response is as wrong as a forged one.
func TestReplay(t *testing.T) {
	for _, c := range allCiphers {
		card, ch := newPair(t, c, func(apdu.Command) apdu.Response { return apdu.Response{Data: []byte{1}, SW: apdu.OK} })
		var first []byte
		card.mangle = func(b []byte) []byte {
			if first == nil {
				first = bytes.Clone(b)
			}
			return bytes.Clone(first)
		}
		if _, err := ch.Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 1}); err != nil {
			t.Fatal(err)
		}
		_, err := ch.Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 1})
		if err == nil {
			t.Fatalf("%v: replay accepted", c)
		}
		broken(t, card, ch, err)
	}
}

func TestUnprotectedResponse(t *testing.T) {
	for _, sw := range []apdu.Status{apdu.SMObjectsIncorrect, apdu.SecurityStatusNotSatisfied, apdu.FileNotFound, apdu.OK} {
		t.Run(sw.Error(), func(t *testing.T) {
			card, ch := newPair(t, sm.AES128, func(apdu.Command) apdu.Response { return apdu.Response{SW: apdu.OK} })
			card.mangle = func([]byte) []byte { return []byte{sw.SW1(), sw.SW2()} }
			_, err := ch.Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 4})
			e, ok := errors.AsType[*sm.UnprotectedError](err)
			if !ok || e.SW != sw || !errors.Is(err, sw) {
				t.Errorf("error %v", err)
			}
			broken(t, card, ch, err)
		})
	}
}

func TestCardGone(t *testing.T) {
	card, ch := newPair(t, sm.TripleDES, func(apdu.Command) apdu.Response { return apdu.Response{SW: apdu.OK} })
	card.gone = true
	_, err := ch.Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 4})
	if !errors.Is(err, apdutest.ErrGone) {
		t.Errorf("error %v does not wrap the cause", err)
	}
	broken(t, card, ch, err)
}

// What is refused before anything is sent leaves the channel as it was.
func TestRefusedCommandsLeaveTheChannel(t *testing.T) {
	_, ch := newPair(t, sm.AES256, func(apdu.Command) apdu.Response { return apdu.Response{SW: apdu.OK} })
	for _, c := range []apdu.Command{
		{CLA: 0x0C, INS: 0xB0},
		{CLA: 0x04, INS: 0xB0},
		{CLA: 0x40, INS: 0xB0},
		{INS: 0xB0, Ne: -1},
		{INS: 0xB0, Ne: 65537},
		{INS: 0xB0, Data: make([]byte, 65501)},
	} {
		if _, err := ch.Do(t.Context(), c); !errors.Is(err, sm.ErrCommand) {
			t.Errorf("CLA %02x, Ne %d, %d bytes: %v", c.CLA, c.Ne, len(c.Data), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ch.Do(ctx, apdu.Command{INS: 0xB0}); err != context.Canceled {
		t.Errorf("error %v", err)
	}
	if _, err := ch.Do(t.Context(), apdu.Command{INS: 0xB0}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	k, ssc := make([]byte, 16), make([]byte, 16)
	tests := []struct {
		name            string
		c               sm.Cipher
		enc, mac, start []byte
	}{
		{"no cipher", 0, k, k, ssc},
		{"unknown cipher", 9, k, k, ssc},
		{"counter of 3DES with AES", sm.AES128, k, k, ssc[:8]},
		{"counter of AES with 3DES", sm.TripleDES, k, k, ssc},
		{"short encryption key", sm.AES192, k, make([]byte, 24), ssc},
		{"short MAC key", sm.AES256, make([]byte, 32), k, ssc},
		{"no keys", sm.AES128, nil, nil, ssc},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if ch, err := sm.New(nil, tt.c, tt.enc, tt.mac, tt.start); ch != nil || err == nil {
				t.Errorf("channel %v, error %v", ch != nil, err)
			}
		})
	}
}

func TestNewCopiesItsKeys(t *testing.T) {
	e := load(t)["D.4"]
	x := e.exchanges(t)[0]
	enc, ksMac, ssc := vectortest.Hex(t, e.KsEnc), vectortest.Hex(t, e.KsMac), vectortest.Hex(t, e.SSCStart)
	ch, err := sm.New(nil, sm.TripleDES, enc, ksMac, ssc)
	if err != nil {
		t.Fatal(err)
	}
	clear(enc)
	clear(ksMac)
	clear(ssc)
	if got, err := ch.Wrap(x.c).Encode(); err != nil || !bytes.Equal(got, x.sent) {
		t.Error("the channel uses the caller's slices")
	}
}

// MaxNe is exact: that many bytes fit, one more does not.
func TestMaxNe(t *testing.T) {
	for _, c := range allCiphers {
		card, ch := newPair(t, c, nil)
		protected := func(n int) int {
			return len(card.protect(apdu.Response{Data: make([]byte, n), SW: apdu.OK}, false)) - 2
		}
		for _, limit := range []int{-1, 0, 10, 24, 25, 32, 33, 128, 145, 160, 161, 223, 256, 261, 512, 1000, 4096, 65535, 65536, 1 << 20} {
			n := ch.MaxNe(limit)
			if n > 0 && protected(n) > limit {
				t.Errorf("%v: MaxNe(%d) = %d, which takes %d bytes", c, limit, n, protected(n))
			}
			if min(limit, 65536) > 0 && protected(n+1) <= min(limit, 65536) {
				t.Errorf("%v: MaxNe(%d) = %d, but %d fit", c, limit, n, n+1)
			}
		}
	}
	_, des := newPair(t, sm.TripleDES, nil)
	_, aes := newPair(t, sm.AES128, nil)
	if d, a := des.MaxNe(256), aes.MaxNe(256); d != 231 || a != 223 {
		t.Errorf("MaxNe(256) = %d and %d, want 231 and 223", d, a)
	}
}

func TestChannelIsRedacted(t *testing.T) {
	e := load(t)["D.4"]
	ch := e.channel(t, nil, e.SSCStart)
	//lint:ignore SA9005 that nothing comes out is the point
	asJSON, err := json.Marshal(ch)
	if err != nil {
		t.Fatal(err)
	}
	outputs := []string{string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		outputs = append(outputs, fmt.Sprintf(verb, ch), fmt.Sprintf(verb, struct{ ch *sm.Channel }{ch}))
	}
	mac := vectortest.Hex(t, e.KsMac)
	for _, out := range outputs {
		for _, secret := range []string{e.KsMac[:8], e.KsEnc[:8], e.SSCStart[:8], strings.Trim(fmt.Sprint(mac[:4]), "[]")} {
			if strings.Contains(out, secret) {
				t.Errorf("output holds a secret: %s", out)
			}
		}
	}
	if got := fmt.Sprint(ch) + ch.String() + ch.GoString(); got != strings.Repeat("[redacted]", 3) {
		t.Errorf("printed as %s", got)
	}
}

// Errors of the channel repeat nothing of keys, checksums or data.
func TestErrorsRepeatNothing(t *testing.T) {
	card, ch := newPair(t, sm.AES128, func(apdu.Command) apdu.Response {
		return apdu.Response{Data: []byte("NGUYEN"), SW: apdu.OK}
	})
	var sent []byte
	card.mangle = func(b []byte) []byte { b[len(b)-3] ^= 1; sent = b; return b }
	_, err := ch.Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 6})
	if err == nil {
		t.Fatal("accepted")
	}
	for i := 0; i+3 <= len(sent)-2; i++ {
		if strings.Contains(err.Error(), hex.EncodeToString(sent[i:i+3])) {
			t.Errorf("error %q repeats the response", err)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	vectors := load(f)
	seeds := 0
	for _, e := range vectors {
		for _, x := range e.exchanges(f) {
			f.Add(uint8(ciphers[e.Cipher]), x.got)
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	d4 := vectors["D.4"]
	x := d4.exchanges(f)[1]
	f.Fuzz(func(t *testing.T, c uint8, in []byte) {
		resp, err := apdu.ParseResponse(in)
		if err != nil {
			return
		}
		before := bytes.Clone(in)

		// Whatever it is, it is not the response to this command, unless it
		// is exactly that.
		ch := d4.channel(t, nil, x.sscBefore)
		ch.Wrap(x.c)
		got, err := ch.Unwrap(resp)
		if genuine := bytes.Equal(in, x.got); genuine != (err == nil) || genuine && !sameResponse(got, x.want) {
			t.Fatalf("genuine %v: %v", genuine, err)
		}
		if err != nil && (got.Data != nil || got.SW != 0 || !errors.Is(err, sm.ErrBroken)) {
			t.Fatalf("result with error %v", err)
		}

		// The same as objects with a right checksum reaches the parser.
		cipher := allCiphers[c%4]
		card, ch2 := newPair(t, cipher, func(apdu.Command) apdu.Response { return apdu.Response{} })
		card.mangle = func([]byte) []byte { return card.reseal(resp.Data) }
		got, err = ch2.Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 256})
		if err != nil && (got.Data != nil || got.SW != 0 || !errors.Is(err, sm.ErrBroken)) {
			t.Fatalf("result with error %v", err)
		}
		if err == nil && !bytes.HasSuffix(resp.Data, []byte{0x99, 2, 0x90, 0}) {
			t.Fatal("accepted without a status object at its end")
		}
		if !bytes.Equal(in, before) {
			t.Fatal("the response was changed")
		}
	})
}

func BenchmarkWrap(b *testing.B) {
	for _, c := range allCiphers {
		b.Run(c.String(), func(b *testing.B) {
			_, ch := newPair(b, c, nil)
			cmd := apdu.Command{INS: 0xB0, Ne: ch.MaxNe(256)}
			b.ReportAllocs()
			for b.Loop() {
				ch.Wrap(cmd)
			}
		})
	}
}

func BenchmarkUnwrap(b *testing.B) {
	for _, c := range allCiphers {
		for _, size := range []int{223, 1000} {
			b.Run(fmt.Sprintf("%v/%d", c, size), func(b *testing.B) {
				card, first := newPair(b, c, func(apdu.Command) apdu.Response {
					return apdu.Response{Data: make([]byte, size), SW: apdu.OK}
				})
				var raw []byte
				card.mangle = func(r []byte) []byte { raw = bytes.Clone(r); return r }
				if _, err := first.Do(b.Context(), apdu.Command{INS: 0xB0, Ne: size}); err != nil {
					b.Fatal(err)
				}
				resp, err := apdu.ParseResponse(raw)
				if err != nil {
					b.Fatal(err)
				}
				_, ch := newPair(b, c, nil)
				ch.Wrap(apdu.Command{INS: 0xB0, Ne: size})
				start := bytes.Clone(ch.SSC())
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					copy(ch.SSC(), start) // the same response again and again
					if _, err := ch.Unwrap(resp); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
