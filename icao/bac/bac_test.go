package bac_test

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/bac"
	"github.com/chamthe/chamthe/icao/internal/kdf"
	"github.com/chamthe/chamthe/icao/internal/mac"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
)

// example is Doc 9303-11, D.2 to D.4, in one: each has its own fields.
type example struct {
	ID       string
	Examples []struct {
		DocumentNumber string `json:"document_number"`
		DateOfBirth    string `json:"date_of_birth"`
		DateOfExpiry   string `json:"date_of_expiry"`
		KEnc           string `json:"k_enc"`
		KMac           string `json:"k_mac"`
	}
	RndIC     string `json:"rnd_ic"`
	RndIFD    string `json:"rnd_ifd"`
	KIFD      string `json:"k_ifd"`
	APDUs     []struct{ Step, Command, Response string }
	Exchanges []struct {
		Name          string
		PlainCommand  string `json:"plain_command"`
		Command       string `json:"protected_command"`
		Response      string `json:"protected_response"`
		PlainResponse string `json:"plain_response"`
	}
	EFCOM string `json:"ef_com"`
}

func load(tb testing.TB) map[string]example {
	tb.Helper()
	var all []example
	vectortest.JSON(tb, "testdata/9303-11-D-bac.json", &all)
	out := map[string]example{}
	for _, e := range all {
		out[e.ID] = e
	}
	if len(out["D.2"].Examples) != 4 || len(out["D.3"].APDUs) != 2 || len(out["D.4"].Exchanges) != 3 {
		tb.Fatal("vectors incomplete")
	}
	return out
}

// exampleKey is the key of the worked example: the Eriksson document of D.2.
func exampleKey(tb testing.TB) mrz.Key {
	tb.Helper()
	key, err := mrz.NewKey("L898902C", "690806", "940623")
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// fixed is the randomness of D.3.
func fixed(tb testing.TB) *bac.Config {
	tb.Helper()
	d3 := load(tb)["D.3"]
	return &bac.Config{Rand: bytes.NewReader(vectortest.Hex(tb, d3.RndIFD+d3.KIFD))}
}

// D.3 and D.4 as one session: authentication, then EF.COM over the channel.
func TestAppendixD(t *testing.T) {
	v := load(t)
	var script strings.Builder
	for _, a := range v["D.3"].APDUs {
		fmt.Fprintf(&script, "%s -> %s # %s\n", a.Command, a.Response, a.Step)
	}
	for _, x := range v["D.4"].Exchanges {
		fmt.Fprintf(&script, "%s -> %s # %s\n", x.Command, x.Response, x.Name)
	}
	s := apdu.NewSession(apdutest.NewScript(t, script.String()))
	ch, err := bac.Establish(t.Context(), s, exampleKey(t), fixed(t))
	if err != nil {
		t.Fatal(err)
	}
	var efCOM []byte
	for _, x := range v["D.4"].Exchanges {
		b := vectortest.Hex(t, x.PlainCommand)
		c := apdu.Command{CLA: b[0], INS: b[1], P1: b[2], P2: b[3]}
		if len(b) == 5 {
			c.Ne = int(b[4])
		} else {
			c.Data = b[5:]
		}
		resp, err := ch.Do(t.Context(), c)
		if err != nil {
			t.Fatalf("%s: %v", x.Name, err)
		}
		if got := hex.EncodeToString(append(bytes.Clone(resp.Data), resp.SW.SW1(), resp.SW.SW2())); got != x.PlainResponse {
			t.Errorf("%s: %s, want %s", x.Name, got, x.PlainResponse)
		}
		efCOM = append(efCOM, resp.Data...)
	}
	if got := hex.EncodeToString(efCOM); got != v["D.4"].EFCOM {
		t.Errorf("EF.COM = %s, want %s", got, v["D.4"].EFCOM)
	}
}

// D.2: the keys of all four documents, against a card that knows them from
// the vectors.
func TestAppendixD2(t *testing.T) {
	for _, e := range load(t)["D.2"].Examples {
		t.Run(e.DocumentNumber, func(t *testing.T) {
			key, err := mrz.NewKey(e.DocumentNumber, e.DateOfBirth, e.DateOfExpiry)
			if err != nil {
				t.Fatal(err)
			}
			c := &card{
				t:    t,
				kEnc: [16]byte(vectortest.Hex(t, e.KEnc)),
				kMac: [16]byte(vectortest.Hex(t, e.KMac)),
			}
			if _, err := bac.Establish(t.Context(), apdu.NewSession(c), key, nil); err != nil {
				t.Error(err)
			}
			if !c.authenticated {
				t.Error("the card does not accept the terminal")
			}
		})
	}
}

// card is the chip's side of BAC for these tests.
type card struct {
	t          testing.TB
	kEnc, kMac [16]byte
	rndIC      []byte

	// Faults; each may be nil.
	refuse        []byte                                                    // what it says to EXTERNAL AUTHENTICATE
	forge         func(rndIC, rndIFD, kIC []byte) (r []byte)                // another R
	mangle        func(message []byte) []byte                               // another E.IC || M.IC
	observe       func(cmd []byte)                                          // every command
	key           func(kEnc, kMac [16]byte) (answerEnc, answerMac [16]byte) // other keys to answer with
	authenticated bool
}

func cbc(key [16]byte, b []byte, mode func(cipher.Block, []byte) cipher.BlockMode) []byte {
	block, _ := des.NewTripleDESCipher(append(key[:16:16], key[:8]...))
	out := make([]byte, len(b))
	mode(block, make([]byte, 8)).CryptBlocks(out, b)
	return out
}

func (c *card) Transmit(_ context.Context, cmd []byte) ([]byte, error) {
	if c.observe != nil {
		c.observe(cmd)
	}
	switch cmd[1] {
	case 0x84:
		c.rndIC = make([]byte, 8)
		_, _ = rand.Read(c.rndIC)
		return append(bytes.Clone(c.rndIC), 0x90, 0), nil
	case 0x82:
		if len(cmd) != 46 || cmd[4] != 40 || cmd[45] != 40 {
			c.t.Errorf("EXTERNAL AUTHENTICATE of %d bytes", len(cmd))
		}
		if c.refuse != nil {
			return c.refuse, nil
		}
		eIFD, mIFD := cmd[5:37], cmd[37:45]
		if want := mac.Retail(c.kMac, eIFD); !bytes.Equal(mIFD, want[:]) {
			return []byte{0x63, 0x00}, nil
		}
		s := cbc(c.kEnc, eIFD, cipher.NewCBCDecrypter)
		if !bytes.Equal(s[8:16], c.rndIC) {
			return []byte{0x63, 0x00}, nil
		}
		c.authenticated = true
		kIC := bytes.Repeat([]byte{0x5A}, 16)
		r := bytes.Join([][]byte{c.rndIC, s[:8], kIC}, nil)
		if c.forge != nil {
			r = c.forge(c.rndIC, s[:8], kIC)
		}
		kEnc, kMac := c.kEnc, c.kMac
		if c.key != nil {
			kEnc, kMac = c.key(kEnc, kMac)
		}
		eIC := cbc(kEnc, r, cipher.NewCBCEncrypter)
		mIC := mac.Retail(kMac, eIC)
		message := append(eIC, mIC[:]...)
		if c.mangle != nil {
			message = c.mangle(message)
		}
		return append(message, 0x90, 0), nil
	}
	c.t.Errorf("command %x", cmd)
	return []byte{0x6D, 0}, nil
}

func newCard(t testing.TB) *card {
	hash := exampleKey(t).Hash()
	return &card{t: t, kEnc: kdf.TripleDES(hash[:16], kdf.Enc), kMac: kdf.TripleDES(hash[:16], kdf.Mac)}
}

func TestWrongKey(t *testing.T) {
	other, err := mrz.NewKey("L898902C", "690806", "940624")
	if err != nil {
		t.Fatal(err)
	}
	ch, err := bac.Establish(t.Context(), apdu.NewSession(newCard(t)), other, nil)
	if ch != nil || !errors.Is(err, bac.ErrWrongKey) || !errors.Is(err, apdu.AuthenticationFailed) {
		t.Errorf("channel %v, error %v", ch != nil, err)
	}
}

// Which refusals mean a wrong key, and what is told of them.
func TestRefusals(t *testing.T) {
	tests := []struct {
		sw       apdu.Status
		wrongKey bool
	}{
		{apdu.AuthenticationFailed, true},
		{0x63C2, true},
		{0x63C0, true},
		{apdu.SecurityStatusNotSatisfied, true},
		{apdu.SMObjectsIncorrect, true},
		{apdu.WrongData, true},
		{apdu.AuthenticationMethodBlocked, false},
		{apdu.ConditionsNotSatisfied, true}, // selfxyz/self, issue 770
		{apdu.ReferencedDataNotFound, false},
		{apdu.WrongLength, false},
		{apdu.InstructionNotSupported, false},
		{apdu.NoPreciseDiagnosis, false},
		{apdu.EndOfFile, false},
	}
	for _, tt := range tests {
		t.Run(tt.sw.Error(), func(t *testing.T) {
			c := newCard(t)
			c.refuse = []byte{tt.sw.SW1(), tt.sw.SW2()}
			ch, err := bac.Establish(t.Context(), apdu.NewSession(c), exampleKey(t), nil)
			if ch != nil || !errors.Is(err, tt.sw) || errors.Is(err, bac.ErrWrongKey) != tt.wrongKey || errors.Is(err, bac.ErrCardAuthentication) {
				t.Fatalf("channel %v, error %v", ch != nil, err)
			}
			wantN, wantOK := tt.sw.Retries()
			sw, _ := errors.AsType[apdu.Status](err)
			if n, ok := sw.Retries(); n != wantN || ok != wantOK {
				t.Errorf("tries left %d, %v", n, ok)
			}
		})
	}
}

// A card that accepts the key and answers wrongly is not the user's mistake.
func TestCardAuthentication(t *testing.T) {
	tests := []struct {
		name  string
		fault func(c *card)
	}{
		{"wrong checksum", func(c *card) {
			c.mangle = func(m []byte) []byte { m[39] ^= 1; return m }
		}},
		{"changed cryptogram", func(c *card) {
			c.mangle = func(m []byte) []byte { m[0] ^= 1; return m }
		}},
		{"one byte missing", func(c *card) { c.mangle = func(m []byte) []byte { return m[:39] } }},
		{"one byte more", func(c *card) { c.mangle = func(m []byte) []byte { return append(m, 0) } }},
		{"no answer at all", func(c *card) { c.mangle = func([]byte) []byte { return nil } }},
		{"its own RND.IFD", func(c *card) {
			c.forge = func(rndIC, _, kIC []byte) []byte { return bytes.Join([][]byte{rndIC, make([]byte, 8), kIC}, nil) }
		}},
		{"another RND.IC", func(c *card) {
			c.forge = func(_, rndIFD, kIC []byte) []byte { return bytes.Join([][]byte{make([]byte, 8), rndIFD, kIC}, nil) }
		}},
		{"random numbers in the terminal's order", func(c *card) {
			c.forge = func(rndIC, rndIFD, kIC []byte) []byte { return bytes.Join([][]byte{rndIFD, rndIC, kIC}, nil) }
		}},
		{"one bit of RND.IFD", func(c *card) {
			c.forge = func(rndIC, rndIFD, kIC []byte) []byte {
				rndIFD = bytes.Clone(rndIFD)
				rndIFD[7] ^= 1
				return bytes.Join([][]byte{rndIC, rndIFD, kIC}, nil)
			}
		}},
		{"answer under another key", func(c *card) {
			c.key = func(_, kMac [16]byte) ([16]byte, [16]byte) { return [16]byte{}, kMac }
		}},
		{"checksum under another key", func(c *card) {
			c.key = func(kEnc, _ [16]byte) ([16]byte, [16]byte) { return kEnc, [16]byte{} }
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCard(t)
			tt.fault(c)
			ch, err := bac.Establish(t.Context(), apdu.NewSession(c), exampleKey(t), nil)
			if ch != nil || !errors.Is(err, bac.ErrCardAuthentication) || errors.Is(err, bac.ErrWrongKey) {
				t.Errorf("channel %v, error %v", ch != nil, err)
			}
		})
	}
}

// The terminal's own message played back as the card's answer, from a card
// that knows no key.
func TestReflection(t *testing.T) {
	card := apdutest.Func(func(_ context.Context, cmd []byte) ([]byte, error) {
		if cmd[1] == 0x84 {
			return append(make([]byte, 8), 0x90, 0), nil
		}
		return append(bytes.Clone(cmd[5:45]), 0x90, 0), nil
	})
	ch, err := bac.Establish(t.Context(), apdu.NewSession(card), exampleKey(t), nil)
	if ch != nil || !errors.Is(err, bac.ErrCardAuthentication) {
		t.Errorf("channel %v, error %v", ch != nil, err)
	}
}

func TestCardGone(t *testing.T) {
	d3 := load(t)["D.3"]
	for i, a := range d3.APDUs {
		t.Run(a.Step, func(t *testing.T) {
			var script strings.Builder
			for _, before := range d3.APDUs[:i] {
				fmt.Fprintf(&script, "%s -> %s\n", before.Command, before.Response)
			}
			fmt.Fprintf(&script, "%s -> !\n", a.Command)
			ch, err := bac.Establish(t.Context(), apdu.NewSession(apdutest.NewScript(t, script.String())), exampleKey(t), fixed(t))
			if ch != nil || !errors.Is(err, apdutest.ErrGone) || errors.Is(err, bac.ErrWrongKey) || errors.Is(err, bac.ErrCardAuthentication) {
				t.Errorf("channel %v, error %v", ch != nil, err)
			}
		})
	}
}

func TestBadChallenge(t *testing.T) {
	tests := []struct {
		name, response string
		want           error
	}{
		{"refused", "6982", apdu.SecurityStatusNotSatisfied},
		{"not supported", "6d00", apdu.InstructionNotSupported},
		{"seven bytes", "01020304050607 9000", nil},
		{"nine bytes", "010203040506070809 9000", nil},
		{"none", "9000", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := apdu.NewSession(apdutest.NewScript(t, "0084000008 -> "+tt.response))
			ch, err := bac.Establish(t.Context(), s, exampleKey(t), nil)
			if ch != nil || err == nil || tt.want != nil && !errors.Is(err, tt.want) || errors.Is(err, bac.ErrWrongKey) {
				t.Errorf("channel %v, error %v", ch != nil, err)
			}
		})
	}
}

func TestNothingIsSent(t *testing.T) {
	card := apdutest.Func(func(context.Context, []byte) ([]byte, error) {
		t.Error("a command was sent")
		return nil, apdutest.ErrGone
	})
	if ch, err := bac.Establish(t.Context(), apdu.NewSession(card), mrz.Key{}, nil); ch != nil || err == nil {
		t.Errorf("zero key: channel %v, error %v", ch != nil, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ch, err := bac.Establish(ctx, apdu.NewSession(card), exampleKey(t), nil); ch != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: channel %v, error %v", ch != nil, err)
	}
}

func TestContextEndsBetweenExchanges(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newCard(t)
	n := 0
	c.observe = func([]byte) { n++; cancel() }
	if ch, err := bac.Establish(ctx, apdu.NewSession(c), exampleKey(t), nil); ch != nil || !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("%d exchanges, channel %v, error %v", n, ch != nil, err)
	}
}

// Without all its randomness the terminal sends no cryptogram.
func TestShortRandomness(t *testing.T) {
	for n := range 24 {
		c := newCard(t)
		c.observe = func(cmd []byte) {
			if cmd[1] == 0x82 {
				t.Errorf("%d bytes: EXTERNAL AUTHENTICATE was sent", n)
			}
		}
		ch, err := bac.Establish(t.Context(), apdu.NewSession(c), exampleKey(t), &bac.Config{Rand: bytes.NewReader(make([]byte, n))})
		if ch != nil || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: channel %v, error %v", n, ch != nil, err)
		}
	}
}

// No run repeats RND.IFD or K.IFD of another.
func TestDefaultRandomness(t *testing.T) {
	seen := map[string]bool{}
	for range 20 {
		c := newCard(t)
		c.observe = func(cmd []byte) {
			if cmd[1] == 0x82 {
				s := cbc(c.kEnc, cmd[5:37], cipher.NewCBCDecrypter)
				seen[string(s[:8])] = true
				seen[string(s[16:])] = true
			}
		}
		if _, err := bac.Establish(t.Context(), apdu.NewSession(c), exampleKey(t), &bac.Config{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 40 {
		t.Errorf("%d different random numbers, want 40", len(seen))
	}
}
