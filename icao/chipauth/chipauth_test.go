package chipauth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
)

var allCiphers = []sm.Cipher{sm.TripleDES, sm.AES128, sm.AES192, sm.AES256}

// one is a card with one key without a number.
func one(s static) map[int]static { return map[int]static{secinfo.NoID: s} }

// stillOpen fails the test if the old channel does not work any more.
func stillOpen(t *testing.T, ch *sm.Channel) {
	t.Helper()
	if resp, err := ch.Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 4}); err != nil || resp.SW != apdu.OK {
		t.Errorf("old channel: status %v, error %v", resp.SW, err)
	}
}

func TestAuthenticateCurves(t *testing.T) {
	for _, curve := range ec.All() {
		for _, c := range allCiphers {
			t.Run(fmt.Sprint(curve.Name(), " ", c), func(t *testing.T) {
				s := curveStatic(t, curve.Name())
				card, d, ch := newCard(t, one(s))
				next, r, err := chipauth.Authenticate(t.Context(), d, ch, s.offers(c), nil)
				if err != nil {
					t.Fatal(err)
				}
				if want := fmt.Sprintf("CA ECDH %v %s", c, curve.Name()); r.Algorithm != want || r.Deviations != nil || r.KeyID != secinfo.NoID {
					t.Errorf("result %+v, want %s", r, want)
				}
				// 3DES needs one command, AES two; then comes the proof.
				want := 3
				if c == sm.TripleDES {
					want = 2
				}
				if len(card.plain) != want || next.Cipher() != c {
					t.Errorf("%d commands, channel with %v", len(card.plain), next.Cipher())
				}
				stillOpen(t, next)
				if len(card.public) != 1 || len(card.public[0]) != 1+2*curve.Size() {
					t.Errorf("public keys of the terminal: %d", len(card.public))
				}
			})
		}
	}
}

func TestAuthenticateDH(t *testing.T) {
	g := modp2048(t)
	tests := []struct {
		name       string
		key        static
		cipher     sm.Cipher
		maxData    int
		short      bool
		deviations []string
		links      int // chained commands
	}{
		{"3DES", dhStatic(t, g, pkcs3), sm.TripleDES, 0, false, nil, 0},
		{"AES", dhStatic(t, g, pkcs3), sm.AES128, 0, false, nil, 0},
		{"private key length", dhStatic(t, g, pkcs3, integer(big.NewInt(256))), sm.AES256, 0, false, nil, 0},
		{"useless private key length", dhStatic(t, g, pkcs3, integer(big.NewInt(8))), sm.AES256, 0, false, nil, 0},
		{"X9.42", dhStatic(t, g, x942, integer(g.q)), sm.AES192, 0, false, []string{chipauth.DevX942}, 0},
		{
			"X9.42 with cofactor and seed", dhStatic(t, g, x942, integer(g.q), integer(big.NewInt(2)), element(0x30, element(0x03, []byte{0, 1}), integer(big.NewInt(9)))),
			sm.AES128, 0, false,
			[]string{chipauth.DevX942},
			0,
		},
		{"chip without extended length, 3DES", dhStatic(t, g, pkcs3), sm.TripleDES, 0, true, []string{chipauth.DevChained}, 1},
		{"chip without extended length, AES", dhStatic(t, g, pkcs3), sm.AES128, 0, true, []string{chipauth.DevChained}, 1},
		{"reader without extended length", dhStatic(t, g, pkcs3), sm.AES128, 255, true, nil, 1},
		{"reader with short frames", dhStatic(t, g, pkcs3), sm.AES128, 100, true, nil, 3},
		{"reader with the shortest frames", dhStatic(t, g, pkcs3), sm.AES128, 1, true, nil, 8},
		{"reader with long frames", dhStatic(t, g, pkcs3), sm.AES128, 300, false, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			card, d, ch := newCard(t, one(tt.key))
			card.short = tt.short
			next, r, err := chipauth.Authenticate(t.Context(), d, ch, tt.key.offers(tt.cipher), &chipauth.Config{MaxData: tt.maxData})
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("CA DH %v MODP-2048", tt.cipher); r.Algorithm != want || !slices.Equal(r.Deviations, tt.deviations) {
				t.Errorf("result %+v, want %s %v", r, want, tt.deviations)
			}
			links := 0
			for _, c := range card.plain {
				if c.CLA&0x10 != 0 {
					links++
					if c.Ne != 0 {
						t.Error("a link asks for data")
					}
				}
			}
			if links != tt.links {
				t.Errorf("%d links, want %d", links, tt.links)
			}
			if limit := max(tt.maxData, 64); tt.maxData != 0 && card.longest > limit+9 {
				t.Errorf("a command of %d bytes", card.longest)
			}
			if len(card.public) != 1 || len(card.public[0]) != 256 || card.public[0][0] == 0 {
				t.Error("public key of the terminal is not of full width")
			}
			stillOpen(t, next)
		})
	}
}

// The arithmetic of chains agrees with what the channel makes of a command.
func TestLinkLen(t *testing.T) {
	for _, c := range allCiphers {
		bs := c.BlockSize()
		for limit := 64; limit <= 1000; limit++ {
			n := chipauth.LinkLen(bs, limit)
			if n < 1 || chipauth.ProtectedLen(bs, n) > limit || chipauth.ProtectedLen(bs, n+bs) <= limit {
				t.Fatalf("%v, limit %d: link of %d bytes", c, limit, n)
			}
		}
		for _, n := range []int{1, 15, 100, 111, 112, 127, 223, 224, 231, 232, 260, 500} {
			sent := 0
			k := bytes.Repeat([]byte{1}, c.KeyLen())
			ch, err := sm.New(apdu.NewSession(apdutest.Func(func(_ context.Context, cmd []byte) ([]byte, error) {
				sent = len(cmd) - 6 // header, Lc and Le
				if cmd[4] == 0 {
					sent -= 3
				}
				return nil, apdutest.ErrGone
			})), c, k, k, make([]byte, bs))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = ch.Do(t.Context(), apdu.Command{INS: 0x86, Data: make([]byte, n), Ne: 256})
			// An Le in short length takes one byte less.
			if got := chipauth.ProtectedLen(bs, n); sent == 0 || got < sent || got > sent+1 {
				t.Errorf("%v, %d bytes: %d, sent %d", c, n, got, sent)
			}
		}
	}
}

// Public keys and shared secrets that begin with zeros.
func TestLeadingZeros(t *testing.T) {
	curve := ec.ByName("brainpoolP256r1")
	s := curveStatic(t, curve.Name())
	infos := s.offers(sm.AES128)
	zeros := map[string]int{}
	for i := 1; zeros["x"] < 2 || zeros["y"] < 2 || zeros["secret"] < 2; i++ {
		scalar := big.NewInt(int64(i)).FillBytes(make([]byte, curve.OrderSize()))
		key, err := curve.NewPrivateKey(scalar)
		if err != nil {
			t.Fatal(err)
		}
		public := key.Public()
		secret, _ := s.agree(public.Bytes())
		kind := ""
		switch {
		case public.X()[0] == 0:
			kind = "x"
		case public.Y()[0] == 0:
			kind = "y"
		case secret[0] == 0:
			kind = "secret"
		default:
			continue
		}
		zeros[kind]++
		_, d, ch := newCard(t, one(s))
		if _, _, err := chipauth.Authenticate(t.Context(), d, ch, infos, &chipauth.Config{Rand: bytes.NewReader(scalar)}); err != nil {
			t.Errorf("zero in %s: %v", kind, err)
		}
	}
}

// The same in a DH group: the secret keeps its zeros, and a public key with
// zeros is never sent.
func TestLeadingZerosDH(t *testing.T) {
	g := modp2048(t)
	s := dhStatic(t, g, x942, integer(g.q))
	// With x above 1024, 4^x is reduced modulo p.
	var public, secret []byte
	for i := int64(1025); public == nil || secret == nil; i++ {
		x := big.NewInt(i)
		y := new(big.Int).Exp(g.g, x, g.p).FillBytes(make([]byte, 256))
		if y[0] == 0 {
			public = x.FillBytes(make([]byte, 256))
		} else if secret == nil {
			if z, _ := s.agree(y); z[0] == 0 {
				secret = x.FillBytes(make([]byte, 256))
			}
		}
	}
	random := bytes.NewReader(slices.Concat(public, secret))
	card, d, ch := newCard(t, one(s))
	if _, _, err := chipauth.Authenticate(t.Context(), d, ch, s.offers(sm.AES128), &chipauth.Config{Rand: random}); err != nil {
		t.Fatal(err)
	}
	if random.Len() != 0 || len(card.public) != 1 || len(card.public[0]) != 256 || card.public[0][0] == 0 {
		t.Error("a public key with zeros was sent")
	}
}

// Every run and every attempt has a key of its own.
func TestEphemeralKeys(t *testing.T) {
	s := curveStatic(t, "P-256")
	seen := map[string]bool{}
	for range 4 {
		card, d, ch := newCard(t, one(s))
		card.answer = func(c apdu.Command) []byte {
			if c.INS == 0x22 && c.P2 == 0xA6 {
				card.public = append(card.public, c.Data[2:])
				return card.sm.seal(apdu.Response{SW: apdu.InstructionNotSupported})
			}
			return nil
		}
		_, r, err := chipauth.Authenticate(t.Context(), d, ch, s.offers(sm.TripleDES), nil)
		if err != nil || !slices.Equal(r.Deviations, []string{chipauth.DevNoKAT}) {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, p := range card.public {
			if seen[string(p)] {
				t.Error("a key was used twice")
			}
			seen[string(p)] = true
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d keys, want 8", len(seen))
	}
}

// What the chip does at one step, and what comes of it.
func TestAuthenticateFailures(t *testing.T) {
	const (
		setKAT  = 0xA6
		setAT   = 0xA4
		agree   = 0x00
		confirm = 0x0C
	)
	s := curveStatic(t, "brainpoolP256r1")
	seal := func(sw apdu.Status, data ...byte) func(*card) []byte {
		return func(k *card) []byte { return k.sm.seal(apdu.Response{SW: sw, Data: data}) }
	}
	raw := func(b ...byte) func(*card) []byte { return func(*card) []byte { return b } }
	gone := raw(0)
	endless := func(k *card) []byte {
		k.endless = true
		return []byte{0x61, 0x10}
	}
	type test struct {
		name   string
		cipher sm.Cipher
		step   byte
		answer func(*card) []byte
		want   error // sentinel or cause
		reason result.Reason
		status apdu.Status
		open   bool // the old channel
	}
	var tests []test
	for _, sw := range []apdu.Status{
		apdu.AuthenticationFailed, apdu.WrongLength, apdu.SecurityStatusNotSatisfied, apdu.ConditionsNotSatisfied, apdu.WrongData,
		apdu.FunctionNotSupported, apdu.ReferencedDataNotFound, apdu.InstructionNotSupported, apdu.ClassNotSupported, 0x63C2, 0x6282, 0x6F00,
	} {
		for step, c := range map[byte]sm.Cipher{setAT: sm.AES128, agree: sm.AES256} {
			tests = append(tests,
				test{fmt.Sprintf("%02x protected %04x", step, uint16(sw)), c, step, seal(sw), chipauth.ErrRefused, chipauth.ReasonRefused, sw, true},
				test{fmt.Sprintf("%02x plain %04x", step, uint16(sw)), c, step, raw(sw.SW1(), sw.SW2()), chipauth.ErrRefused, chipauth.ReasonRefused, sw, false},
			)
		}
		tests = append(tests,
			test{fmt.Sprintf("a6 plain %04x", uint16(sw)), sm.TripleDES, setKAT, raw(sw.SW1(), sw.SW2()), chipauth.ErrRefused, chipauth.ReasonRefused, sw, false},
			test{fmt.Sprintf("0c plain %04x", uint16(sw)), sm.AES128, confirm, raw(sw.SW1(), sw.SW2()), chipauth.ErrCardAuthentication, chipauth.ReasonNotProved, sw, false},
		)
	}
	for step, c := range map[byte]sm.Cipher{setKAT: sm.TripleDES, setAT: sm.AES128, agree: sm.AES128, confirm: sm.AES192} {
		tests = append(tests,
			test{fmt.Sprintf("%02x gone", step), c, step, gone, apdutest.ErrGone, chipauth.ReasonInterrupted, 0, false},
			test{fmt.Sprintf("%02x endless", step), c, step, endless, chipauth.ErrCardAuthentication, chipauth.ReasonNotProved, 0, false},
			test{fmt.Sprintf("%02x garbage", step), c, step, raw(0xDE, 0xAD, 0x90, 0x00), chipauth.ErrCardAuthentication, chipauth.ReasonNotProved, 0, false},
			test{
				fmt.Sprintf("%02x wrong checksum", step), c, step, func(k *card) []byte {
					b := k.sm.seal(apdu.Response{SW: apdu.OK})
					b[len(b)-3] ^= 1
					return b
				}, chipauth.ErrCardAuthentication, chipauth.ReasonNotProved, 0, false,
			},
		)
	}
	tests = append(tests, test{
		"says yes to everything under the old keys", sm.AES128, agree, seal(apdu.OK, 0x7C, 0),
		chipauth.ErrCardAuthentication, chipauth.ReasonNotProved, 0, false,
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			card, d, ch := newCard(t, one(s))
			// After a faked agreement there are no new keys on the card's side,
			// and what it says then is under the old ones.
			card.answer = func(c apdu.Command) []byte {
				if c.P2 == tt.step {
					return tt.answer(card)
				}
				return nil
			}
			next, r, err := chipauth.Authenticate(t.Context(), d, ch, s.offers(tt.cipher), nil)
			if next != nil || r.Algorithm != "" || r.Deviations != nil || !errors.Is(err, tt.want) {
				t.Fatalf("channel %v, %+v, %v, want %v", next, r, err, tt.want)
			}
			if got := chipauth.ReasonOf(err); got != tt.reason {
				t.Errorf("reason %s, want %s", got, tt.reason)
			}
			if tt.status != 0 && !errors.Is(err, tt.status) {
				t.Errorf("%v does not wrap %v", err, tt.status)
			}
			if got := chipauth.Check("", err).Value; (got == result.Aborted) != (tt.want == apdutest.ErrGone) || got == result.Successful {
				t.Errorf("check %v", got)
			}
			if tt.open {
				if errors.Is(err, sm.ErrBroken) {
					t.Errorf("%v wraps ErrBroken", err)
				}
				card.answer = nil
				stillOpen(t, ch)
			} else if tt.want == chipauth.ErrRefused && !errors.Is(err, sm.ErrBroken) {
				t.Errorf("%v does not wrap ErrBroken", err)
			}
		})
	}
}

// A copy has the data of the document and another key.
func TestAuthenticateCopy(t *testing.T) {
	g := modp2048(t)
	for name, pair := range map[string][2]static{
		"ECDH": {curveStatic(t, "P-256"), curveStatic(t, "P-256")},
		"DH":   {dhStatic(t, g, pkcs3), dhStatic(t, g, pkcs3)},
	} {
		for _, c := range allCiphers {
			t.Run(fmt.Sprint(name, " ", c), func(t *testing.T) {
				_, d, ch := newCard(t, one(pair[0]))
				_, _, err := chipauth.Authenticate(t.Context(), d, ch, pair[1].offers(c), nil)
				if !errors.Is(err, chipauth.ErrCardAuthentication) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

// A chip that goes on under the old keys after it agreed on new ones.
func TestAuthenticateOldKeys(t *testing.T) {
	s := curveStatic(t, "P-256")
	card, _, _ := newCard(t, one(s))
	old := card.sm
	d := apdu.NewSession(apdutest.Func(func(ctx context.Context, cmd []byte) ([]byte, error) {
		if card.sm != old { // agreed: the next one is the proof
			old.step()
			return old.seal(apdu.Response{SW: apdu.OK}), nil
		}
		return card.Transmit(ctx, cmd)
	}))
	ch, err := sm.New(d, sm.AES128, bytes.Repeat([]byte{0x11}, 16), bytes.Repeat([]byte{0x22}, 16), make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := chipauth.Authenticate(t.Context(), d, ch, s.offers(sm.AES128), nil); !errors.Is(err, chipauth.ErrCardAuthentication) {
		t.Errorf("error %v", err)
	}
	if card.exchanges != 2 {
		t.Errorf("%d exchanges before the proof", card.exchanges)
	}
}

func TestConfirm(t *testing.T) {
	s := curveStatic(t, "P-256")
	t.Run("read binary", func(t *testing.T) {
		card, d, ch := newCard(t, one(s))
		_, r, err := chipauth.Authenticate(t.Context(), d, ch, s.offers(sm.AES128), &chipauth.Config{Confirm: &apdu.Command{INS: 0xB0, P1: 0x81, Ne: 3}})
		if err != nil || !bytes.Equal(r.Response.Data, []byte{0xDA, 0xDA, 0xDA}) {
			t.Errorf("%+v, %v", r, err)
		}
		if last := card.plain[len(card.plain)-1]; last.INS != 0xB0 || last.P1 != 0x81 {
			t.Errorf("%02x %02x", last.INS, last.P1)
		}
	})
	t.Run("an error status is as good a proof", func(t *testing.T) {
		card, d, ch := newCard(t, one(s))
		card.answer = func(c apdu.Command) []byte {
			if c.INS == 0xA4 {
				return card.sm.seal(apdu.Response{SW: apdu.FileNotFound})
			}
			return nil
		}
		next, r, err := chipauth.Authenticate(t.Context(), d, ch, s.offers(sm.AES128), nil)
		if err != nil || next == nil || r.Response.SW != apdu.FileNotFound {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("the old channel does not work any more", func(t *testing.T) {
		_, d, ch := newCard(t, one(s))
		if _, _, err := chipauth.Authenticate(t.Context(), d, ch, s.offers(sm.AES128), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := ch.Do(t.Context(), apdu.Command{INS: 0xB0, Ne: 4}); !errors.Is(err, sm.ErrBroken) {
			t.Errorf("error %v", err)
		}
	})
}

// Whatever the answer to GENERAL AUTHENTICATE holds, the proof decides.
func TestAgreementResponse(t *testing.T) {
	s := curveStatic(t, "P-256")
	for name, data := range map[string][]byte{"none": nil, "unexpected object": {0x7C, 2, 0x82, 0}, "trailing data": {0x7C, 0, 0}, "malformed": {0x7C, 5}} {
		t.Run(name, func(t *testing.T) {
			card, d, ch := newCard(t, one(s))
			card.answer = func(c apdu.Command) []byte {
				if c.INS != 0x86 {
					return nil
				}
				resp, next := card.execute(c)
				resp.Data = data
				out := card.sm.seal(resp)
				card.sm = next
				return out
			}
			_, r, err := chipauth.Authenticate(t.Context(), d, ch, s.offers(sm.AES128), nil)
			if err != nil || !slices.Equal(r.Deviations, []string{chipauth.DevResponse}) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// A chip that refuses what it offers is asked for the rest of it, but not
// forever.
func TestAuthenticateSeveral(t *testing.T) {
	a, b := curveStatic(t, "P-256"), curveStatic(t, "brainpoolP384r1")
	infos := secinfo.SecurityInfos{
		ChipAuthentication: []secinfo.ChipAuthenticationInfo{
			{Protocol: protocol(true, sm.TripleDES), Version: 1, KeyID: 1},
			{Protocol: protocol(true, sm.AES256), Version: 1, KeyID: 2},
		},
		ChipAuthenticationKeys: []secinfo.ChipAuthenticationPublicKeyInfo{a.keyInfo(1), b.keyInfo(2)},
	}
	tests := []struct {
		name       string
		keys       map[int]static
		algorithm  string
		keyID      int
		deviations []string
	}{
		{"both", map[int]static{1: a, 2: b}, "CA ECDH AES-256 brainpoolP384r1", 2, nil},
		{"only the second best", map[int]static{1: a}, "CA ECDH 3DES P-256", 1, []string{chipauth.DevVariantRefused}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, d, ch := newCard(t, tt.keys)
			next, r, err := chipauth.Authenticate(t.Context(), d, ch, infos, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Algorithm != tt.algorithm || r.KeyID != tt.keyID || !slices.Equal(r.Deviations, tt.deviations) {
				t.Errorf("result %+v", r)
			}
			stillOpen(t, next)
		})
	}
	t.Run("none", func(t *testing.T) {
		card, d, ch := newCard(t, nil)
		if _, _, err := chipauth.Authenticate(t.Context(), d, ch, infos, nil); !errors.Is(err, chipauth.ErrRefused) || !errors.Is(err, apdu.ReferencedDataNotFound) {
			t.Errorf("error %v", err)
		}
		if len(card.plain) != 3 { // AES by AT, 3DES by KAT, 3DES by AT
			t.Errorf("%d commands", len(card.plain))
		}
		stillOpen(t, ch)
	})
	t.Run("many", func(t *testing.T) {
		var many secinfo.SecurityInfos
		for i := range 40 {
			many.ChipAuthentication = append(many.ChipAuthentication, secinfo.ChipAuthenticationInfo{Protocol: protocol(true, sm.TripleDES), Version: 1, KeyID: i})
			many.ChipAuthenticationKeys = append(many.ChipAuthenticationKeys, a.keyInfo(i))
		}
		card, d, ch := newCard(t, nil)
		if _, _, err := chipauth.Authenticate(t.Context(), d, ch, many, nil); !errors.Is(err, chipauth.ErrRefused) {
			t.Errorf("error %v", err)
		}
		if len(card.plain) != chipauth.MaxVariants {
			t.Errorf("%d commands", len(card.plain))
		}
	})
}

// A chip says "wrong length" to everything: chained once, then left.
func TestWrongLengthForever(t *testing.T) {
	s := dhStatic(t, modp2048(t), pkcs3)
	card, d, ch := newCard(t, one(s))
	card.answer = func(apdu.Command) []byte { return card.sm.seal(apdu.Response{SW: apdu.WrongLength}) }
	_, _, err := chipauth.Authenticate(t.Context(), d, ch, s.offers(sm.TripleDES), nil)
	if !errors.Is(err, chipauth.ErrRefused) || !errors.Is(err, apdu.WrongLength) {
		t.Errorf("error %v", err)
	}
	if len(card.plain) != 3 { // KAT long, KAT chained, AT
		t.Errorf("%d commands", len(card.plain))
	}
}

func TestContext(t *testing.T) {
	s := curveStatic(t, "P-256")
	for after := range 3 {
		t.Run(fmt.Sprint("after ", after), func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			card, d, ch := newCard(t, one(s))
			if after == 0 {
				cancel()
			}
			card.answer = func(apdu.Command) []byte {
				if card.exchanges == after {
					cancel()
				}
				return nil
			}
			next, _, err := chipauth.Authenticate(ctx, d, ch, s.offers(sm.AES128), nil)
			if !errors.Is(err, context.Canceled) || next != nil || card.exchanges != after || chipauth.ReasonOf(err) != chipauth.ReasonInterrupted {
				t.Errorf("%d exchanges, %v", card.exchanges, err)
			}
		})
	}
}

func TestBadRandomness(t *testing.T) {
	g := modp2048(t)
	for name, s := range map[string]static{"ECDH": curveStatic(t, "P-256"), "DH": dhStatic(t, g, x942, integer(g.q)), "DH PKCS #3": dhStatic(t, g, pkcs3)} {
		for kind, r := range map[string]io.Reader{"empty": bytes.NewReader(nil), "zeros": zeros{}} {
			t.Run(name+" "+kind, func(t *testing.T) {
				card, d, ch := newCard(t, one(s))
				_, _, err := chipauth.Authenticate(t.Context(), d, ch, s.offers(sm.AES128), &chipauth.Config{Rand: r})
				if err == nil || card.exchanges != 0 || chipauth.ReasonOf(err) != chipauth.ReasonInterrupted {
					t.Errorf("%d exchanges, %v", card.exchanges, err)
				}
			})
		}
	}
}

// zeros is the worst source of randomness.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestOffers(t *testing.T) {
	bp, p256 := curveStatic(t, "brainpoolP256r1"), curveStatic(t, "P-256")
	g := modp2048(t)
	dh := dhStatic(t, g, pkcs3)
	type info = secinfo.ChipAuthenticationInfo
	type keys = []secinfo.ChipAuthenticationPublicKeyInfo
	other := func(protocol string) info { return info{Protocol: protocol, Version: 1, KeyID: secinfo.NoID} }
	ecdh := func(c sm.Cipher, version, id int) info {
		return info{Protocol: protocol(true, c), Version: version, KeyID: id}
	}
	const no = secinfo.NoID
	cam := []secinfo.PACEInfo{{Protocol: "0.4.0.127.0.7.2.2.4.6.2", Version: 2, ParameterID: 13}}
	off := bytes.Clone(bp.info)
	off[len(off)-1] ^= 1
	tests := []struct {
		name  string
		infos secinfo.SecurityInfos
		want  []string
		err   error
	}{
		{"nothing", secinfo.SecurityInfos{}, nil, chipauth.ErrNotOffered},
		{"info without key", secinfo.SecurityInfos{ChipAuthentication: []info{ecdh(sm.AES128, 1, no)}}, nil, chipauth.ErrKey},
		{
			"3DES twice: KAT, then AT",
			secinfo.SecurityInfos{ChipAuthentication: []info{ecdh(sm.TripleDES, 1, no)}, ChipAuthenticationKeys: keys{bp.keyInfo(no)}},
			[]string{"CA ECDH 3DES brainpoolP256r1, KAT", "CA ECDH 3DES brainpoolP256r1"},
			nil,
		},
		{
			"AES first, the longer first",
			secinfo.SecurityInfos{
				ChipAuthentication:     []info{ecdh(sm.TripleDES, 1, no), ecdh(sm.AES128, 1, no), ecdh(sm.AES256, 1, no), ecdh(sm.AES192, 1, no)},
				ChipAuthenticationKeys: keys{bp.keyInfo(no)},
			},
			[]string{
				"CA ECDH AES-256 brainpoolP256r1", "CA ECDH AES-192 brainpoolP256r1", "CA ECDH AES-128 brainpoolP256r1",
				"CA ECDH 3DES brainpoolP256r1, KAT", "CA ECDH 3DES brainpoolP256r1",
			},
			nil,
		},
		{
			"ECDH before DH",
			secinfo.SecurityInfos{
				ChipAuthentication:     []info{other(protocol(false, sm.AES128)), ecdh(sm.AES128, 1, no)},
				ChipAuthenticationKeys: keys{dh.keyInfo(no), bp.keyInfo(no)},
			},
			[]string{"CA ECDH AES-128 brainpoolP256r1", "CA DH AES-128 MODP-2048"},
			nil,
		},
		{
			"keys by number, whatever their order",
			secinfo.SecurityInfos{
				ChipAuthentication:     []info{ecdh(sm.AES128, 1, 1), ecdh(sm.AES128, 1, 300)},
				ChipAuthenticationKeys: keys{p256.keyInfo(300), bp.keyInfo(1)},
			},
			[]string{"CA ECDH AES-128 brainpoolP256r1, reference 1", "CA ECDH AES-128 P-256, reference 300"},
			nil,
		},
		{
			"number that no key has",
			secinfo.SecurityInfos{ChipAuthentication: []info{ecdh(sm.AES128, 1, 1)}, ChipAuthenticationKeys: keys{bp.keyInfo(2)}},
			nil, chipauth.ErrKey,
		},
		{
			"key of the other kind",
			secinfo.SecurityInfos{ChipAuthentication: []info{ecdh(sm.AES128, 1, no)}, ChipAuthenticationKeys: keys{dh.keyInfo(no)}},
			nil, chipauth.ErrKey,
		},
		{
			"number in the info only",
			secinfo.SecurityInfos{ChipAuthentication: []info{ecdh(sm.AES128, 1, 5)}, ChipAuthenticationKeys: keys{bp.keyInfo(no)}},
			[]string{"CA ECDH AES-128 brainpoolP256r1, reference 5 [" + chipauth.DevKeyID + "]"},
			nil,
		},
		{
			"number in the key only",
			secinfo.SecurityInfos{ChipAuthentication: []info{ecdh(sm.AES128, 1, no)}, ChipAuthenticationKeys: keys{bp.keyInfo(5)}},
			[]string{"CA ECDH AES-128 brainpoolP256r1 [" + chipauth.DevKeyID + "]"},
			nil,
		},
		{
			"numbers in two keys only",
			secinfo.SecurityInfos{ChipAuthentication: []info{ecdh(sm.AES128, 1, no)}, ChipAuthenticationKeys: keys{bp.keyInfo(5), p256.keyInfo(6)}},
			[]string{
				"CA ECDH AES-128 brainpoolP256r1, reference 5 [" + chipauth.DevKeyID + "]",
				"CA ECDH AES-128 P-256, reference 6 [" + chipauth.DevKeyID + "]",
			},
			nil,
		},
		{
			"no info",
			secinfo.SecurityInfos{ChipAuthenticationKeys: keys{p256.keyInfo(no)}},
			[]string{"CA ECDH 3DES P-256, KAT [" + chipauth.DevNoInfo + "]", "CA ECDH 3DES P-256 [" + chipauth.DevNoInfo + "]"},
			nil,
		},
		{
			"no info, DH",
			secinfo.SecurityInfos{ChipAuthenticationKeys: keys{dh.keyInfo(9)}},
			[]string{"CA DH 3DES MODP-2048, KAT, reference 9 [" + chipauth.DevNoInfo + "]", "CA DH 3DES MODP-2048, reference 9 [" + chipauth.DevNoInfo + "]"},
			nil,
		},
		{"the key of PACE with chip authentication mapping is no offer", secinfo.SecurityInfos{PACE: cam, ChipAuthenticationKeys: keys{bp.keyInfo(13)}}, nil, chipauth.ErrNotOffered},
		{
			"one key for both",
			secinfo.SecurityInfos{PACE: cam, ChipAuthentication: []info{ecdh(sm.AES128, 1, 13)}, ChipAuthenticationKeys: keys{bp.keyInfo(13)}},
			[]string{"CA ECDH AES-128 brainpoolP256r1, reference 13"},
			nil,
		},
		{
			"version 1 before others, whatever their cipher",
			secinfo.SecurityInfos{ChipAuthentication: []info{ecdh(sm.AES256, 2, no), ecdh(sm.AES128, 1, no)}, ChipAuthenticationKeys: keys{bp.keyInfo(no)}},
			[]string{"CA ECDH AES-128 brainpoolP256r1", "CA ECDH AES-256 brainpoolP256r1 [" + chipauth.DevVersion + "]"},
			nil,
		},
		{
			"the same twice",
			secinfo.SecurityInfos{ChipAuthentication: []info{ecdh(sm.AES128, 1, no), ecdh(sm.AES128, 2, no)}, ChipAuthenticationKeys: keys{bp.keyInfo(no), bp.keyInfo(no)}},
			[]string{"CA ECDH AES-128 brainpoolP256r1"},
			nil,
		},
		{
			"unknown cipher",
			secinfo.SecurityInfos{ChipAuthentication: []info{other("0.4.0.127.0.7.2.2.3.2.5")}, ChipAuthenticationKeys: keys{bp.keyInfo(no)}},
			nil, chipauth.ErrUnsupported,
		},
		{
			"unknown agreement",
			secinfo.SecurityInfos{ChipAuthentication: []info{other("0.4.0.127.0.7.2.2.3.4.2")}, ChipAuthenticationKeys: keys{bp.keyInfo(no)}},
			nil, chipauth.ErrUnsupported,
		},
		{
			"unknown kind of key without info",
			secinfo.SecurityInfos{ChipAuthenticationKeys: keys{{Protocol: "0.4.0.127.0.7.2.2.1.3", PublicKey: bp.info, KeyID: no}}},
			nil, chipauth.ErrUnsupported,
		},
		{
			"unknown cipher beside a known one",
			secinfo.SecurityInfos{ChipAuthentication: []info{other("0.4.0.127.0.7.2.2.3.2.5"), ecdh(sm.AES128, 1, no)}, ChipAuthenticationKeys: keys{bp.keyInfo(no)}},
			[]string{"CA ECDH AES-128 brainpoolP256r1 [" + chipauth.DevUnusable + "]"},
			nil,
		},
		{
			"bad key beside a good one",
			secinfo.SecurityInfos{
				ChipAuthentication: []info{ecdh(sm.AES256, 1, 1), ecdh(sm.AES128, 1, 2)},
				ChipAuthenticationKeys: keys{
					{Protocol: "0.4.0.127.0.7.2.2.1.2", PublicKey: off, KeyID: 1}, p256.keyInfo(2),
				},
			},
			[]string{"CA ECDH AES-128 P-256, reference 2 [" + chipauth.DevUnusable + "]"},
			nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := chipauth.Variants(tt.infos)
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) || !slices.Equal(got, tt.want) {
				t.Errorf("%q, %v\nwant %q, %v", got, err, tt.want, tt.err)
			}
			if tt.err != nil {
				card, d, ch := newCard(t, nil)
				if _, _, err := chipauth.Authenticate(t.Context(), d, ch, tt.infos, nil); !errors.Is(err, tt.err) || card.exchanges != 0 {
					t.Errorf("%d exchanges, %v", card.exchanges, err)
				}
			}
		})
	}
}

func TestKeys(t *testing.T) {
	// The number of so many bits that has one of them in its first byte, and no more
	// until its last.
	barely := func(bits uint) *big.Int {
		p := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return p.Add(p, big.NewInt(1))
	}
	g := modp2048(t)
	y := new(big.Int).Exp(g.g, big.NewInt(77), g.p)
	add := func(a *big.Int, b int64) *big.Int { return new(big.Int).Add(a, big.NewInt(b)) }
	n := big.NewInt
	nonResidue := new(big.Int).Sub(g.p, y) // of order 2q
	short, err := rand.Prime(rand.Reader, 1023)
	if err != nil {
		t.Fatal(err)
	}
	long := new(big.Int).Lsh(n(1), 4096)
	large := new(big.Int).Lsh(n(1), 40000)
	good := dhKeyInfo(t, pkcs3, g.p, g.g, y)
	off := curveStatic(t, "P-256").info
	off[len(off)-1] ^= 1
	tests := []struct {
		name  string
		curve bool
		info  []byte
		want  error
	}{
		{"good", false, good, nil},
		{"order 2q without q", false, dhKeyInfo(t, pkcs3, g.p, g.g, nonResidue), nil},
		{"X9.42 good", false, dhKeyInfo(t, x942, g.p, g.g, y, integer(g.q)), nil},
		{"order 2q", false, dhKeyInfo(t, x942, g.p, g.g, nonResidue, integer(g.q)), chipauth.ErrKey},
		{"generator of order 2q", false, dhKeyInfo(t, x942, g.p, new(big.Int).Sub(g.p, g.g), y, integer(g.q)), chipauth.ErrKey},
		{"X9.42 without q", false, dhKeyInfo(t, x942, g.p, g.g, y), chipauth.ErrKey},
		{"small q", false, dhKeyInfo(t, x942, g.p, g.g, y, integer(n(2))), chipauth.ErrKey},
		{"q that divides nothing", false, dhKeyInfo(t, x942, g.p, g.g, y, integer(add(g.q, 2))), chipauth.ErrKey},
		{"q zero", false, dhKeyInfo(t, x942, g.p, g.g, y, integer(n(0))), chipauth.ErrKey},
		{"p-1 as q", false, dhKeyInfo(t, x942, g.p, g.g, y, integer(add(g.p, -1))), chipauth.ErrKey},
		{"more after q", false, dhKeyInfo(t, x942, g.p, g.g, y, integer(g.q), element(0x04, []byte{0})), chipauth.ErrKey},
		{"even p", false, dhKeyInfo(t, pkcs3, add(g.p, -1), g.g, y), chipauth.ErrKey},
		{"composite p", false, dhKeyInfo(t, pkcs3, add(g.p, -2), g.g, y), chipauth.ErrKey},
		{"p too short", false, dhKeyInfo(t, pkcs3, short, g.g, n(77)), chipauth.ErrUnsupported},
		{"p too long", false, dhKeyInfo(t, pkcs3, long, g.g, y), chipauth.ErrUnsupported},
		{"p endless", false, dhKeyInfo(t, pkcs3, large, g.g, y), chipauth.ErrKey},
		{"nearly every public value shorter than p", false, dhKeyInfo(t, pkcs3, barely(4089), g.g, y), chipauth.ErrUnsupported},
		{"nearly every public value shorter than p of 1025 bits", false, dhKeyInfo(t, pkcs3, barely(1025), g.g, n(77)), chipauth.ErrUnsupported},
		{"p zero", false, dhKeyInfo(t, pkcs3, n(0), g.g, y), chipauth.ErrUnsupported},
		{"g 0", false, dhKeyInfo(t, pkcs3, g.p, n(0), y), chipauth.ErrKey},
		{"g 1", false, dhKeyInfo(t, pkcs3, g.p, n(1), y), chipauth.ErrKey},
		{"g p-1", false, dhKeyInfo(t, pkcs3, g.p, add(g.p, -1), y), chipauth.ErrKey},
		{"y 0", false, dhKeyInfo(t, pkcs3, g.p, g.g, n(0)), chipauth.ErrKey},
		{"y 1", false, dhKeyInfo(t, pkcs3, g.p, g.g, n(1)), chipauth.ErrKey},
		{"y p-1", false, dhKeyInfo(t, pkcs3, g.p, g.g, add(g.p, -1)), chipauth.ErrKey},
		{"y p", false, dhKeyInfo(t, pkcs3, g.p, g.g, g.p), chipauth.ErrKey},
		{"more after the length", false, dhKeyInfo(t, pkcs3, g.p, g.g, y, integer(n(9)), integer(n(9))), chipauth.ErrKey},
		{"length is no number", false, dhKeyInfo(t, pkcs3, g.p, g.g, y, element(0x04, []byte{1})), chipauth.ErrKey},
		{"large length", false, dhKeyInfo(t, pkcs3, g.p, g.g, y, integer(g.q)), nil},
		{"another algorithm", false, dhKeyInfo(t, "1.2.840.113549.1.1.1", g.p, g.g, y), chipauth.ErrUnsupported},
		{"cut off", false, good[:len(good)-1], chipauth.ErrKey},
		{"more after it", false, append(bytes.Clone(good), 0), chipauth.ErrKey},
		{"empty", false, nil, chipauth.ErrKey},
		{"ECDH", false, curveStatic(t, "P-256").info, chipauth.ErrUnsupported},
		{"DH", true, good, chipauth.ErrUnsupported},
		{"not on the curve", true, off, chipauth.ErrKey},
		{"point cut off", true, namedKeyInfo(t, "1.2.840.10045.3.1.7", []byte{4, 1}), chipauth.ErrKey},
		{"point at infinity", true, namedKeyInfo(t, "1.2.840.10045.3.1.7", []byte{0}), chipauth.ErrKey},
		{"point of another curve", true, namedKeyInfo(t, "1.2.840.10045.3.1.7", ec.ByName("P-384").Generator().Bytes()), chipauth.ErrKey},
		{"unknown curve", true, namedKeyInfo(t, "1.3.132.0.10", ec.ByName("P-256").Generator().Bytes()), chipauth.ErrUnsupported},
		{"curve key cut off", true, curveStatic(t, "P-256").info[:20], chipauth.ErrKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			infos := static{info: tt.info, curve: tt.curve}.offers(sm.AES128)
			_, err := chipauth.Variants(infos)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		err  error
		want result.Check
	}{
		{nil, result.Check{Value: result.Successful, Algorithm: "CA"}},
		{chipauth.ErrNotOffered, result.Check{Value: result.NotSupported, Reason: chipauth.ReasonNotOffered}},
		{chipauth.ErrUnsupported, result.Check{Value: result.Undetermined, Reason: chipauth.ReasonUnsupported}},
		{chipauth.ErrKey, result.Check{Value: result.Failed, Reason: chipauth.ReasonKey}},
		{fmt.Errorf("%w: %w", chipauth.ErrRefused, apdu.WrongData), result.Check{Value: result.Failed, Reason: chipauth.ReasonRefused}},
		{chipauth.ErrCardAuthentication, result.Check{Value: result.Failed, Reason: chipauth.ReasonNotProved}},
		{apdutest.ErrGone, result.Check{Value: result.Aborted, Reason: chipauth.ReasonInterrupted}},
		{context.Canceled, result.Check{Value: result.Aborted, Reason: chipauth.ReasonInterrupted}},
	}
	for _, tt := range tests {
		if got := chipauth.Check("CA", tt.err); got != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.err, got, tt.want)
		}
	}
}

// What fails with a command that is too long for a short one may have been its
// length, and the error says so; nothing else may.
func TestErrLong(t *testing.T) {
	dh, curve := dhStatic(t, modp2048(t), pkcs3), curveStatic(t, "P-256")
	tests := []struct {
		name   string
		key    static
		cipher sm.Cipher
		ins    byte
		want   bool
	}{
		{"MSE:Set KAT with DH", dh, sm.TripleDES, 0x22, true},
		{"GENERAL AUTHENTICATE with DH", dh, sm.AES128, 0x86, true},
		{"MSE:Set AT with DH", dh, sm.AES128, 0x22, false},
		{"MSE:Set KAT with ECDH", curve, sm.TripleDES, 0x22, false},
		{"GENERAL AUTHENTICATE with ECDH", curve, sm.AES128, 0x86, false},
		{"the proof with DH", dh, sm.AES128, 0xA4, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, answer := range map[string][]byte{"refused in clear": {0x67, 0x00}, "no answer": {0}} {
				for _, maxData := range []int{0, 255} {
					card, d, ch := newCard(t, one(tt.key))
					card.answer = func(c apdu.Command) []byte {
						if c.INS == tt.ins {
							return answer
						}
						return nil
					}
					_, r, err := chipauth.Authenticate(t.Context(), d, ch, tt.key.offers(tt.cipher), &chipauth.Config{MaxData: maxData})
					if err == nil || errors.Is(err, chipauth.ErrLong) != tt.want {
						t.Errorf("%s, at most %d bytes: error %v", name, maxData, err)
					}
					if r.Algorithm != "" || !errors.Is(err, sm.ErrBroken) {
						t.Errorf("%s, at most %d bytes: %+v, %v", name, maxData, r, err)
					}
				}
			}
		})
	}
}
