package chipauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/pace"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/icao/tlv"
)

// example is one of ca-traces.json.
type example struct {
	ID       string
	DG14     string
	Private  string `json:"terminal_private"`
	SMBefore struct {
		Cipher string
		KSEnc  string `json:"ks_enc"`
		KSMac  string `json:"ks_mac"`
		SSC    string
	} `json:"sm_before"`
	Exchanges []struct {
		Plain    string `json:"plain_command"`
		Command  string `json:"protected_command"`
		Response string `json:"protected_response"`
	}
}

var ciphers = map[string]sm.Cipher{"3des": sm.TripleDES, "aes128": sm.AES128, "aes192": sm.AES192, "aes256": sm.AES256}

func (e example) infos(tb testing.TB) secinfo.SecurityInfos {
	tb.Helper()
	in := tlv.String(vectortest.Hex(tb, e.DG14))
	var content tlv.String
	if !in.ReadTag(&content, 0x6E) || !in.Empty() {
		tb.Fatal("malformed DG14")
	}
	infos, err := secinfo.Parse(content)
	if err != nil {
		tb.Fatal(err)
	}
	return infos
}

func (e example) script() string {
	var b strings.Builder
	for _, x := range e.Exchanges {
		fmt.Fprintf(&b, "%s -> %s\n", x.Command, x.Response)
	}
	return b.String()
}

// examples are all of ca-traces.json, with what is expected of each.
var examples = map[string]struct {
	algorithm  string
	keyID      int
	kat        bool // recorded with MSE:Set KAT
	deviations []string
}{
	"at-ecdh-aes128":                     {"CA ECDH AES-128 brainpoolP256r1", secinfo.NoID, false, nil},
	"de-ecdh-aes128":                     {"CA ECDH AES-128 brainpoolP256r1", 195, false, nil},
	"my-ecdh-3des":                       {"CA ECDH 3DES brainpoolP256r1", secinfo.NoID, false, []string{chipauth.DevNoKAT}},
	"fr-ecdh-3des":                       {"CA ECDH 3DES P-256", secinfo.NoID, true, []string{chipauth.DevNoInfo}},
	"bsi-ecdh-3des-mse-kat":              {"CA ECDH 3DES brainpoolP224r1", secinfo.NoID, true, nil},
	"bsi-ecdh-3des-general-authenticate": {"CA ECDH 3DES brainpoolP224r1", secinfo.NoID, false, []string{chipauth.DevNoKAT}},
	"synthetic-ecdh-aes192":              {"CA ECDH AES-192 brainpoolP384r1", 7, false, nil},
	"synthetic-ecdh-aes256":              {"CA ECDH AES-256 brainpoolP384r1", 8, false, nil},
	"synthetic-dh-3des":                  {"CA DH 3DES MODP-1024-160", secinfo.NoID, true, nil},
	"synthetic-dh-aes128":                {"CA DH AES-128 MODP-1024-160", secinfo.NoID, false, nil},
}

func loadExamples(tb testing.TB) []example {
	tb.Helper()
	var all []example
	vectortest.JSON(tb, vectortest.Path(tb, "ca-traces.json"), &all)
	if len(all) != len(examples) {
		tb.Fatalf("%d examples, want %d", len(all), len(examples))
	}
	return all
}

// Every recorded exchange, octet for octet. The two with 3DES by MSE:Set AT are
// preceded by MSE:Set KAT, which the chip refuses: two messages earlier.
func TestVectors(t *testing.T) {
	for _, e := range loadExamples(t) {
		t.Run(e.ID, func(t *testing.T) {
			want, ok := examples[e.ID]
			if !ok {
				t.Fatal("not expected")
			}
			b := e.SMBefore
			ksEnc, ksMac, ssc := vectortest.Hex(t, b.KSEnc), vectortest.Hex(t, b.KSMac), vectortest.Hex(t, b.SSC)
			private := vectortest.Hex(t, e.Private)
			var card apdu.Transceiver = apdutest.NewScript(t, e.script())
			if slices.Contains(want.deviations, chipauth.DevNoKAT) {
				n := new(big.Int).SetBytes(ssc)
				n.Sub(n, big.NewInt(2)).FillBytes(ssc)
				card = refuseFirst(t, newPeer(t, ciphers[b.Cipher], ksEnc, ksMac, ssc), card)
				private = append(bytes.Repeat([]byte{0x01}, len(private)), private...)
			}
			d := apdu.NewSession(card)
			ch, err := sm.New(d, ciphers[b.Cipher], ksEnc, ksMac, ssc)
			if err != nil {
				t.Fatal(err)
			}
			random := bytes.NewReader(private)
			next, r, err := chipauth.Authenticate(t.Context(), d, ch, e.infos(t), &chipauth.Config{Rand: random})
			if err != nil {
				t.Fatal(err)
			}
			if r.Algorithm != want.algorithm || r.KeyID != want.keyID || r.Response.SW != apdu.OK || !slices.Equal(r.Deviations, want.deviations) {
				t.Errorf("result %+v, want %+v", r, want)
			}
			if !strings.Contains(want.algorithm, next.Cipher().String()) {
				t.Errorf("channel with %v", next.Cipher())
			}
			if random.Len() != 0 {
				t.Errorf("%d bytes of the private keys are left", random.Len())
			}
		})
	}
}

// refuseFirst answers the first command, which has to be MSE:Set KAT, with a
// protected 6D00, and passes the others on.
func refuseFirst(t *testing.T, p *peer, card apdu.Transceiver) apdu.Transceiver {
	first := true
	return apdutest.Func(func(ctx context.Context, cmd []byte) ([]byte, error) {
		if !first {
			return card.Transmit(ctx, cmd)
		}
		first = false
		c, err := p.open(cmd)
		if err != nil || c.INS != 0x22 || c.P1 != 0x41 || c.P2 != 0xA6 {
			t.Errorf("first command %02x %02x%02x, %v", c.INS, c.P1, c.P2, err)
		}
		return p.seal(apdu.Response{SW: apdu.InstructionNotSupported}), nil
	})
}

// Every recorded exchange with one bit of the last response changed proves
// nothing, and one with a chip that is gone is no failure of the chip.
func TestVectorsAltered(t *testing.T) {
	for _, e := range loadExamples(t) {
		if slices.Contains(examples[e.ID].deviations, chipauth.DevNoKAT) {
			continue // the same steps as with AES
		}
		for _, tt := range []struct {
			name string
			last func([]byte) string
			want error
		}{
			{"checksum", func(b []byte) string { b[len(b)-3] ^= 1; return fmt.Sprintf("%x", b) }, chipauth.ErrCardAuthentication},
			{"status", func(b []byte) string { b[len(b)-1] ^= 1; return fmt.Sprintf("%x", b) }, chipauth.ErrCardAuthentication},
			{"plain", func([]byte) string { return "9000" }, chipauth.ErrCardAuthentication},
			{"cut off", func([]byte) string { return "90" }, chipauth.ErrCardAuthentication},
			{"gone", func([]byte) string { return "!" }, apdutest.ErrGone},
		} {
			t.Run(e.ID+"/"+tt.name, func(t *testing.T) {
				e := e
				e.Exchanges = slices.Clone(e.Exchanges)
				last := &e.Exchanges[len(e.Exchanges)-1]
				last.Response = tt.last(vectortest.Hex(t, last.Response))
				b := e.SMBefore
				d := apdu.NewSession(apdutest.NewScript(t, e.script()))
				ch, err := sm.New(d, ciphers[b.Cipher], vectortest.Hex(t, b.KSEnc), vectortest.Hex(t, b.KSMac), vectortest.Hex(t, b.SSC))
				if err != nil {
					t.Fatal(err)
				}
				next, r, err := chipauth.Authenticate(t.Context(), d, ch, e.infos(t), &chipauth.Config{Rand: bytes.NewReader(vectortest.Hex(t, e.Private))})
				if !errors.Is(err, tt.want) || next != nil || r.Algorithm != "" {
					t.Errorf("%v, %+v, want %v", err, r, tt.want)
				}
				if gone := tt.want == apdutest.ErrGone; gone != (chipauth.ReasonOf(err) == chipauth.ReasonInterrupted) {
					t.Errorf("reason %s", chipauth.ReasonOf(err))
				}
			})
		}
	}
}

// camExample is appendix I.1.
type camExample struct {
	Password struct {
		Number string `json:"document_number"`
		Birth  string `json:"date_of_birth"`
		Expiry string `json:"date_of_expiry"`
	}
	PACEInfo string `json:"ef_card_access"`
	Mapping  struct {
		Private string `json:"terminal_private"`
	}
	KeyAgreement struct {
		Private string `json:"terminal_private"`
	} `json:"key_agreement"`
	APDUs []struct{ Command, Response string }
	CA    struct {
		KeyInfo string `json:"chip_authentication_public_key_info"`
	} `json:"chip_authentication"`
}

// camKey is the public key info of appendix I.1.
func camKey(tb testing.TB) (camExample, []byte) {
	tb.Helper()
	var all []camExample
	vectortest.JSON(tb, "../pace/testdata/9303-11-I1-pace-ecdh-cam.json", &all)
	return all[0], vectortest.Hex(tb, all[0].CA.KeyInfo)
}

// runCAM runs the PACE of appendix I.1 and returns the proof and the key.
func runCAM(t *testing.T) (*pace.CAM, secinfo.ChipAuthenticationPublicKeyInfo) {
	t.Helper()
	e, keyInfo := camKey(t)
	access, err := secinfo.Parse(slices.Concat([]byte{0x31, 0x14}, vectortest.Hex(t, e.PACEInfo)[2:]))
	if err != nil || len(access.PACE) != 1 {
		t.Fatal("EF.CardAccess", err)
	}
	security, err := secinfo.Parse(tlv.Append(nil, 0x31, keyInfo))
	if err != nil || len(security.ChipAuthenticationKeys) != 1 {
		t.Fatal("EF.CardSecurity", err)
	}
	var script strings.Builder
	for _, a := range e.APDUs {
		fmt.Fprintf(&script, "%s -> %s\n", a.Command, a.Response)
	}
	key, err := mrz.NewKey(e.Password.Number, e.Password.Birth, e.Password.Expiry)
	if err != nil {
		t.Fatal(err)
	}
	random := bytes.NewReader(vectortest.Hex(t, e.Mapping.Private+e.KeyAgreement.Private))
	d := apdu.NewSession(apdutest.NewScript(t, script.String()))
	_, cam, err := pace.Establish(t.Context(), d, access.PACE[0], pace.FromMRZ(key), &pace.Config{Rand: random})
	if err != nil {
		t.Fatal(err)
	}
	return cam, security.ChipAuthenticationKeys[0]
}

func TestVerifyCAM(t *testing.T) {
	cam, key := runCAM(t)
	with := func(id int, info []byte) secinfo.ChipAuthenticationPublicKeyInfo {
		return secinfo.ChipAuthenticationPublicKeyInfo{Protocol: key.Protocol, PublicKey: info, KeyID: id}
	}
	onCurve := func(name string) []byte { return curveStatic(t, name).info }
	bp256 := onCurve("brainpoolP256r1")
	off := bytes.Clone(key.PublicKey)
	off[len(off)-1] ^= 1
	unknown := bytes.Replace(bp256, oid(t, ec.ByName("brainpoolP256r1").OID()), oid(t, "1.3.36.3.3.2.8.1.1.8"), 1) // brainpoolP256t1
	dh := key
	dh.Protocol = "0.4.0.127.0.7.2.2.1.1"
	type keys = []secinfo.ChipAuthenticationPublicKeyInfo
	tests := []struct {
		name       string
		keys       keys
		want       error
		deviations []string
	}{
		{"I.1", keys{key}, nil, nil},
		{"I.1 beside another key", keys{with(14, bp256), key}, nil, nil},
		{"I.1 after another key of the same number", keys{with(13, bp256), key}, nil, nil},
		{"key without a number", keys{with(secinfo.NoID, key.PublicKey)}, nil, []string{chipauth.DevKeyID}},
		{"another number", keys{with(14, key.PublicKey)}, chipauth.ErrKey, nil},
		{"no key", nil, chipauth.ErrKey, nil},
		{"another key", keys{with(13, bp256)}, chipauth.ErrCardAuthentication, nil},
		{"a key without a number beside one with it", keys{with(secinfo.NoID, key.PublicKey), with(13, bp256)}, chipauth.ErrCardAuthentication, nil},
		{"another curve", keys{with(13, onCurve("P-256"))}, chipauth.ErrCardAuthentication, nil},
		{"not on the curve", keys{with(13, off)}, chipauth.ErrKey, nil},
		{"unknown curve", keys{with(13, unknown)}, chipauth.ErrUnsupported, nil},
		{"of DH", keys{dh}, chipauth.ErrKey, nil},
		{"no key info", keys{with(13, []byte{0x30, 0})}, chipauth.ErrKey, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := chipauth.VerifyCAM(cam, secinfo.SecurityInfos{ChipAuthenticationKeys: tt.keys})
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err != nil {
				if r.Algorithm != "" || r.KeyID != 0 || r.Deviations != nil {
					t.Errorf("result %+v with an error", r)
				}
				return
			}
			if r.Algorithm != "PACE-CAM brainpoolP256r1" || r.KeyID != 13 || !slices.Equal(r.Deviations, tt.deviations) {
				t.Errorf("result %+v", r)
			}
		})
	}
	t.Run("no proof", func(t *testing.T) {
		if _, err := chipauth.VerifyCAM(nil, secinfo.SecurityInfos{ChipAuthenticationKeys: keys{key}}); !errors.Is(err, chipauth.ErrNotOffered) {
			t.Errorf("error %v", err)
		}
		if _, err := chipauth.VerifyCAM(&pace.CAM{KeyID: 13}, secinfo.SecurityInfos{ChipAuthenticationKeys: keys{key}}); !errors.Is(err, chipauth.ErrCardAuthentication) {
			t.Errorf("error %v", err)
		}
	})
}
