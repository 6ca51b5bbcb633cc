package pace_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/pace"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
)

// An example is one published run of PACE. Not every field is in every one.
type example struct {
	ID           string
	OID          string
	ParameterID  int    `json:"parameter_id"`
	EFCardAccess string `json:"ef_card_access"`
	Password     struct {
		Type, CAN      string
		DocumentNumber string `json:"document_number"`
		DateOfBirth    string `json:"date_of_birth"`
		DateOfExpiry   string `json:"date_of_expiry"`
	}
	Domain  struct{ P, G, Q string }
	Nonce   struct{ S, T string }
	Mapping struct {
		TerminalPrivate string `json:"terminal_private"`
	}
	KeyAgreement struct {
		TerminalPrivate string `json:"terminal_private"`
	} `json:"key_agreement"`
	SessionKeys struct {
		KSEnc string `json:"ks_enc"`
		KSMac string `json:"ks_mac"`
	} `json:"session_keys"`
	Tokens struct {
		TIFD string `json:"t_ifd"`
		TIC  string `json:"t_ic"`
	}
	APDUs []struct {
		Step, Command, Response string
		CommandCAN              string `json:"command_can_reference"`
	}
	ChipAuthentication struct {
		PublicKeyInfo string                `json:"chip_authentication_public_key_info"`
		StaticPublic  struct{ X, Y string } `json:"static_public"`
	} `json:"chip_authentication"`
}

// examples returns every published run, by name: first those that are in this
// repository, then, if withTraces, those that may not be copied.
func examples(tb testing.TB, withTraces bool) []example {
	tb.Helper()
	var all []example
	load := func(id, path string) {
		var of []example
		vectortest.JSON(tb, path, &of)
		for _, e := range of {
			if e.ID == "" {
				e.ID = id
			}
			if len(e.APDUs) != 5 {
				tb.Fatalf("%s has %d exchanges", e.ID, len(e.APDUs))
			}
			all = append(all, e)
		}
	}
	load("G.1", "testdata/9303-11-G1-pace-ecdh-gm.json")
	load("G.2", "testdata/9303-11-G2-pace-dh-gm.json")
	load("H.1", "testdata/9303-11-H1-pace-ecdh-im.json")
	load("H.2", "testdata/9303-11-H2-pace-dh-im.json")
	load("I.1", "testdata/9303-11-I1-pace-ecdh-cam.json")
	if withTraces {
		load("", vectortest.Path(tb, "pace-cam-traces.json"))
		load("", vectortest.Path(tb, "pace-gm-3des-trace.json"))
	}
	return all
}

func exampleByID(tb testing.TB, id string) example {
	tb.Helper()
	for _, e := range examples(tb, false) {
		if e.ID == id {
			return e
		}
	}
	tb.Fatalf("no example %s", id)
	return example{}
}

// info is the PACEInfo of the example, from its EF.CardAccess.
func (e example) info(tb testing.TB) secinfo.PACEInfo {
	tb.Helper()
	infos, err := secinfo.Parse(vectortest.Hex(tb, e.EFCardAccess))
	if err != nil {
		tb.Fatal(err)
	}
	for _, i := range infos.PACE {
		if i.Protocol == e.OID && i.ParameterID == e.ParameterID {
			// The recorded terminals name the parameters always.
			i.Ambiguous = strings.HasSuffix(e.APDUs[0].Command, fmt.Sprintf("8401%02x", i.ParameterID))
			return i
		}
	}
	tb.Fatalf("EF.CardAccess does not offer %s", e.OID)
	return secinfo.PACEInfo{}
}

func (e example) password(tb testing.TB) pace.Password {
	tb.Helper()
	if e.Password.Type == "can" {
		pw, err := pace.FromCAN(e.Password.CAN)
		if err != nil {
			tb.Fatal(err)
		}
		return pw
	}
	key, err := mrz.NewKey(e.Password.DocumentNumber, e.Password.DateOfBirth, e.Password.DateOfExpiry)
	if err != nil {
		tb.Fatal(err)
	}
	return pace.FromMRZ(key)
}

// random is what the terminal of the example drew.
func (e example) random(tb testing.TB) io.Reader {
	tb.Helper()
	first := e.Mapping.TerminalPrivate
	if first == "" {
		first = e.Nonce.T
	}
	second := vectortest.Hex(tb, e.KeyAgreement.TerminalPrivate)
	if q := vectortest.Hex(tb, e.Domain.Q); len(q) > 0 && len(second) > len(q) {
		// H.2 has private keys longer than the order.
		x := new(big.Int).SetBytes(second)
		second = x.Mod(x, new(big.Int).SetBytes(q)).FillBytes(make([]byte, len(q)))
	}
	return bytes.NewReader(append(vectortest.Hex(tb, first), second...))
}

// transcript is the exchanges of the example; each edits one of the responses.
func (e example) transcript() []string {
	var lines []string
	for _, a := range e.APDUs {
		command := a.Command
		// Appendix H prints the reference of the MRZ; its key is that of a CAN.
		if e.Password.Type == "can" && a.CommandCAN != "" {
			command = a.CommandCAN
		}
		lines = append(lines, command+" -> "+a.Response)
	}
	return lines
}

func cipherOf(tb testing.TB, oid string) sm.Cipher {
	tb.Helper()
	switch oid[len(oid)-1] {
	case '1':
		return sm.TripleDES
	case '2':
		return sm.AES128
	case '3':
		return sm.AES192
	case '4':
		return sm.AES256
	}
	tb.Fatalf("protocol %s", oid)
	return 0
}

// protectedSelect is how SELECT of the application looks under the session
// keys of the example: it proves which keys and counter a channel has.
func (e example) protectedSelect(tb testing.TB) (cmd string) {
	tb.Helper()
	c := cipherOf(tb, e.OID)
	d := apdutest.Func(func(_ context.Context, b []byte) ([]byte, error) {
		cmd = fmt.Sprintf("%x", b)
		return nil, apdutest.ErrGone
	})
	ch, err := sm.New(apdu.NewSession(d), c, vectortest.Hex(tb, e.SessionKeys.KSEnc), vectortest.Hex(tb, e.SessionKeys.KSMac), make([]byte, c.BlockSize()))
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = ch.Do(tb.Context(), selectApplication)
	return cmd
}

var selectApplication = apdu.Command{INS: 0xA4, P1: 0x04, P2: 0x0C, Data: []byte("\xA0\x00\x00\x02\x47\x10\x01")}

// Every published run, command by command, up to the session keys.
func TestVectors(t *testing.T) {
	testVectors(t, examples(t, false))
}

func TestTraces(t *testing.T) {
	testVectors(t, examples(t, true)[5:])
}

func testVectors(t *testing.T, all []example) {
	for _, e := range all {
		t.Run(e.ID, func(t *testing.T) {
			lines := append(e.transcript(), e.protectedSelect(t)+" -> !")
			card := apdutest.NewScript(t, strings.Join(lines, "\n"))
			ch, cam, err := pace.Establish(t.Context(), apdu.NewSession(card), e.info(t), e.password(t), &pace.Config{Rand: e.random(t)})
			if err != nil {
				t.Fatal(err)
			}
			if ch.Cipher() != cipherOf(t, e.OID) {
				t.Errorf("cipher %v", ch.Cipher())
			}
			_, _ = ch.Do(t.Context(), selectApplication)

			isCAM := strings.HasPrefix(e.OID, "0.4.0.127.0.7.2.2.4.6.")
			if (cam != nil) != isCAM {
				t.Fatalf("CAM %v", cam != nil)
			}
			if !isCAM {
				return
			}
			static := e.staticKey(t)
			if cam.KeyID != e.ParameterID {
				t.Errorf("key %d, want %d", cam.KeyID, e.ParameterID)
			}
			if err := cam.Verify(static); err != nil {
				t.Error(err)
			}
			if err := cam.Verify(static.Curve().Generator()); err == nil {
				t.Error("verified with another key")
			}
		})
	}
}

// staticKey is the chip's static public key: from its
// ChipAuthenticationPublicKeyInfo where that is published.
func (e example) staticKey(tb testing.TB) *ec.Point {
	tb.Helper()
	if e.ChipAuthentication.PublicKeyInfo != "" {
		info := vectortest.Hex(tb, e.ChipAuthentication.PublicKeyInfo)
		infos, err := secinfo.Parse(append([]byte{0x31, byte(len(info))}, info...))
		if err != nil || len(infos.ChipAuthenticationKeys) != 1 || infos.ChipAuthenticationKeys[0].KeyID != e.ParameterID {
			tb.Fatalf("%+v, %v", infos, err)
		}
		p, err := infos.ChipAuthenticationKeys[0].Point()
		if err != nil {
			tb.Fatal(err)
		}
		return p
	}
	s := e.ChipAuthentication.StaticPublic
	p, err := secinfo.StandardizedCurve(e.ParameterID).NewPoint(vectortest.Hex(tb, s.X), vectortest.Hex(tb, s.Y))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// The card goes away at every exchange.
func TestCardGone(t *testing.T) {
	for _, e := range examples(t, false) {
		for i := range e.APDUs {
			t.Run(fmt.Sprintf("%s/%d", e.ID, i+1), func(t *testing.T) {
				lines := slices.Clone(e.transcript()[:i+1])
				command, _, _ := strings.Cut(lines[i], "->")
				lines[i] = command + "-> !"
				err := establish(t, e, lines)
				wantErr(t, err, apdutest.ErrGone, nil)
			})
		}
	}
}

// What is chosen of the sample files.
func TestSampleOffers(t *testing.T) {
	tests := map[string]string{
		"cardaccess-gm-13":  "PACE ECDH-GM AES-128 brainpoolP256r1",
		"cardaccess-gm-cam": "PACE ECDH-CAM AES-128 brainpoolP256r1",
		// No parameters are named.
		"cardaccess-no-parameter-id": "",
	}
	var all []struct{ ID, File, Hex string }
	vectortest.JSON(t, "../lds/testdata/dg-samples.json", &all)
	seen := 0
	for _, s := range all {
		if s.File != "EF.CardAccess" || s.ID == "cardaccess-truncated" {
			continue
		}
		seen++
		t.Run(s.ID, func(t *testing.T) {
			want, known := tests[s.ID]
			if !known {
				t.Fatal("nothing is known about this sample")
			}
			infos, err := secinfo.Parse(vectortest.Hex(t, s.Hex))
			if err != nil {
				t.Fatal(err)
			}
			got, ok := pace.Choose(infos.PACE)
			if ok != (want != "") || ok && pace.Name(got) != want {
				t.Errorf("%q, %t; want %q", pace.Name(got), ok, want)
			}
		})
	}
	if seen != len(tests) {
		t.Errorf("%d samples, want %d", seen, len(tests))
	}
}
