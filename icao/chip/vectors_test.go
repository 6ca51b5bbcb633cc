package chip

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
)

type bacExample struct {
	ID        string
	RndIC     string `json:"rnd_ic"`
	KIC       string `json:"k_ic"`
	APDUs     []apduExample
	Cipher    string
	Exchanges []struct {
		Name              string
		ProtectedCommand  string `json:"protected_command"`
		ProtectedResponse string `json:"protected_response"`
	}
	EFCOM string `json:"ef_com"`
}

type apduExample struct{ Step, Command, Response string }

// bacExamples returns appendix D.3 and D.4.
func bacExamples(t testing.TB) (d3, d4 bacExample) {
	t.Helper()
	var all []bacExample
	vectortest.JSON(t, "testdata/9303-11-D-bac.json", &all)
	for _, e := range all {
		switch e.ID {
		case "D.3":
			d3 = e
		case "D.4":
			d4 = e
		}
	}
	if len(d3.APDUs) != 2 || len(d4.Exchanges) != 3 {
		t.Fatal("appendix D.3 or D.4 is not complete")
	}
	return d3, d4
}

// exampleChip is the chip of appendix D: its access key, its EF.COM, and its
// random numbers.
func exampleChip(t testing.TB) *Chip {
	t.Helper()
	d3, d4 := bacExamples(t)
	key, err := mrz.NewKey("L898902C<", "690806", "940623")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(&Personalisation{
		AccessKey: key,
		Files:     []File{{ID: idCOM, SFI: 0x1E, Content: vectortest.Hex(t, d4.EFCOM)}},
		Rand:      bytes.NewReader(append(vectortest.Hex(t, d3.RndIC), vectortest.Hex(t, d3.KIC)...)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const selectApplication = "00a4040c07a0000002471001"

// exchange sends a command and compares the whole response.
func exchange(t testing.TB, c *Chip, name, cmd, want string) {
	t.Helper()
	got, err := c.Transmit(t.Context(), vectortest.Hex(t, cmd))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !bytes.Equal(got, vectortest.Hex(t, want)) {
		t.Fatalf("%s: response %x, want %s", name, got, want)
	}
}

// TestVectorsBAC: the chip answers the published commands with exactly the
// published responses.
func TestVectorsBAC(t *testing.T) {
	d3, d4 := bacExamples(t)
	c := exampleChip(t)
	exchange(t, c, "SELECT application", selectApplication, "9000")
	ok := t.Run("D.3", func(t *testing.T) {
		for _, a := range d3.APDUs {
			exchange(t, c, a.Step, a.Command, a.Response)
		}
	})
	if !ok {
		t.FailNow()
	}
	t.Run("D.4", func(t *testing.T) {
		for _, e := range d4.Exchanges {
			exchange(t, c, e.Name, e.ProtectedCommand, e.ProtectedResponse)
		}
	})
}

type smExample struct {
	ID        string
	Cipher    string
	KSEnc     string `json:"ks_enc"`
	KSMac     string `json:"ks_mac"`
	SSCStart  string `json:"ssc_start"`
	Exchanges []struct {
		PlainHeader       string  `json:"plain_header"`
		PlainData         string  `json:"plain_data"`
		LeDO97            *string `json:"le_do97"`
		PlainCommand      string  `json:"plain_command"`
		ProtectedCommand  string  `json:"protected_command"`
		PlainResponse     string  `json:"plain_response"`
		PlainResponseData string  `json:"plain_response_data"`
		ProtectedResponse string  `json:"protected_response"`
		SSCAfter          string  `json:"ssc_after"`
	}
}

var suites = map[string]suite{"3des": tripleDES, "aes128": aes128, "aes192": aes192, "aes256": aes256}

// TestVectorsSecureMessaging drives the card's end of secure messaging with
// every published and constructed exchange: the command is taken apart, the
// response built.
func TestVectorsSecureMessaging(t *testing.T) {
	var all []smExample
	vectortest.JSON(t, "testdata/sm-and-kdf-examples.json", &all)
	seen := 0
	for _, e := range all {
		if len(e.Exchanges) == 0 {
			continue // key derivation only
		}
		seen++
		t.Run(e.ID, func(t *testing.T) {
			s, err := newSession(suites[e.Cipher], vectortest.Hex(t, e.KSEnc), vectortest.Hex(t, e.KSMac), vectortest.Hex(t, e.SSCStart))
			if err != nil {
				t.Fatal(err)
			}
			for i, x := range e.Exchanges {
				// Where the example leaves an exchange out, the counter
				// jumps: two counts per exchange, from the value after it.
				after := vectortest.Hex(t, x.SSCAfter)
				for !bytes.Equal(sscPlus(s.ssc, 2), after) {
					s.ssc = sscPlus(s.ssc, 2)
				}
				in, ok := parseCommand(vectortest.Hex(t, x.ProtectedCommand))
				if !ok {
					t.Fatalf("exchange %d: protected command does not parse", i)
				}
				got, sw := s.unprotect(in)
				if sw != apdu.OK {
					t.Fatalf("exchange %d: %v", i, sw)
				}
				var want command
				data, sw := vectortest.Hex(t, x.PlainResponseData), apdu.OK
				if x.PlainCommand != "" {
					if want, ok = parseCommand(vectortest.Hex(t, x.PlainCommand)); !ok {
						t.Fatalf("exchange %d: plain command does not parse", i)
					}
				} else {
					h := vectortest.Hex(t, x.PlainHeader)
					want = command{cla: h[0], ins: h[1], p1: h[2], p2: h[3], data: vectortest.Hex(t, x.PlainData)}
					want.ne = got.ne // compared below, by its DO'97'
				}
				if got.cla != want.cla || got.ins != want.ins || got.p1 != want.p1 || got.p2 != want.p2 ||
					!bytes.Equal(got.data, want.data) || got.ne != want.ne {
					t.Errorf("exchange %d: unprotected to %+v, want %+v", i, got, want)
				}
				if x.LeDO97 != nil {
					le, ok := protectedLe(vectortest.Hex(t, *x.LeDO97), in.extended)
					if !ok || got.ne != le {
						t.Errorf("exchange %d: Ne %d, want %d", i, got.ne, le)
					}
				}
				body, ok := s.protect(in.ins, response{data: data, sw: sw}, nil)
				resp := append(body, 0x90, 0x00)
				if !ok || !bytes.Equal(resp, vectortest.Hex(t, x.ProtectedResponse)) {
					t.Errorf("exchange %d: protected to %x, want %s", i, resp, x.ProtectedResponse)
				}
				if n := s.protectedLen(in.ins, len(data)); n != len(body) {
					t.Errorf("exchange %d: length %d foreseen, is %d", i, n, len(body))
				}
			}
		})
	}
	if seen < 5 {
		t.Fatalf("%d examples, want at least 5", seen)
	}
}

func sscPlus(ssc []byte, n int) []byte {
	s := &session{ssc: bytes.Clone(ssc)}
	for range n {
		s.count()
	}
	return s.ssc
}

// aaExample is an example of active authentication.
type aaExample struct {
	ID, M1, Signature, Expected, Fault string
	RndIFD                             string `json:"rnd_ifd"`
	DER                                string `json:"signature_der"`
	Private                            string `json:"private_key"`
	DG15                               string
	Info                               string `json:"dg14_active_authentication_info"`
}

// TestVectorsActiveAuthentication signs with the private key of the BSI
// reference data set and the recorded M1: the signatures must come out as
// computed elsewhere.
func TestVectorsActiveAuthentication(t *testing.T) {
	var all []aaExample
	vectortest.JSON(t, vectortest.Path(t, "aa-examples.json"), &all)
	der, err := os.ReadFile(vectortest.Path(t, "bsi-reference-dataset/DG15_sk.pkcs8"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := issuer.ParsePKCS8(der)
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string]AAForm{
		"bsi-rsa1024-sha1-bc":     {Hash: crypto.SHA1},
		"bsi-rsa1024-sha1-33cc":   {Hash: crypto.SHA1, LongTrailer: true},
		"bsi-rsa1024-sha224-38cc": {Hash: crypto.SHA224},
		"bsi-rsa1024-sha256-34cc": {},
		"bsi-rsa1024-sha384-36cc": {Hash: crypto.SHA384},
		"bsi-rsa1024-sha512-35cc": {Hash: crypto.SHA512},
	}
	seen := 0
	for _, e := range all {
		form, ok := forms[e.ID]
		if !ok {
			continue
		}
		seen++
		t.Run(e.ID, func(t *testing.T) {
			m := newTestChip(t, func(p *Personalisation) {
				p.AccessKey = mrz.Key{} // an open chip
				p.ActiveAuthentication, p.ActiveAuthenticationForm = key, form
				p.Rand = bytes.NewReader(vectortest.Hex(t, e.M1))
			})
			m.want(selectApplication, apdu.OK)
			if got := m.want("0088000008"+e.RndIFD+"00", apdu.OK); !bytes.Equal(got, vectortest.Hex(t, e.Signature)) {
				t.Errorf("signature %x, want %s", got, e.Signature)
			}
		})
	}
	if seen != len(forms) {
		t.Errorf("%d of %d examples found", seen, len(forms))
	}
}

// TestVectorsActiveAuthenticationECDSA: our nonces are not the examples', so the
// signatures are verified with the published public key; DG15 and the
// announcement in DG14 come out as published.
func TestVectorsActiveAuthenticationECDSA(t *testing.T) {
	var all []aaExample
	vectortest.JSON(t, vectortest.Path(t, "aa-examples.json"), &all)
	curves := map[string]string{"secp224r1": "P-224", "secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
	seen := 0
	for _, e := range all {
		name, ok := strings.CutPrefix(e.ID, "synthetic-ecdsa-")
		if !ok || e.Fault != "" {
			continue
		}
		seen++
		t.Run(e.ID, func(t *testing.T) {
			name, hashName, _ := strings.Cut(name, "-")
			if nist, ok := curves[name]; ok {
				name = nist
			}
			hash := map[string]crypto.Hash{"sha224": crypto.SHA224, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}[hashName]
			private, err := ec.ByName(name).NewPrivateKey(vectortest.Hex(t, e.Private))
			if err != nil {
				t.Fatal(err)
			}
			key := &issuer.Key{EC: private}
			if dg15, err := issuer.DG15(key); err != nil || !bytes.Equal(dg15, vectortest.Hex(t, e.DG15)) {
				t.Errorf("DG15 %x, %v", dg15, err)
			}
			if info, err := issuer.ActiveAuthenticationInfo(hash); err != nil || !bytes.Equal(info, vectortest.Hex(t, e.Info)) {
				t.Errorf("ActiveAuthenticationInfo %x, %v", info, err)
			}
			for _, form := range []AAForm{{}, {Hash: hash}, {DER: true}} {
				m := newTestChip(t, func(p *Personalisation) {
					p.AccessKey = mrz.Key{}
					p.ActiveAuthentication, p.ActiveAuthenticationForm = key, form
				})
				m.want(selectApplication, apdu.OK)
				signature := m.want("0088000008"+e.RndIFD+"00", apdu.OK)
				if form.DER {
					var rs struct{ R, S *big.Int }
					if rest, err := asn1.Unmarshal(signature, &rs); err != nil || len(rest) != 0 {
						t.Fatalf("DER: %v", err)
					}
					n := private.Public().Curve().OrderSize()
					signature = append(rs.R.FillBytes(make([]byte, n)), rs.S.FillBytes(make([]byte, n))...)
				}
				h := hash.New()
				h.Write(vectortest.Hex(t, e.RndIFD))
				digest, half := h.Sum(nil), len(signature)/2
				if len(signature) != len(vectortest.Hex(t, e.Signature)) || !ec.Verify(private.Public(), digest, signature[:half], signature[half:]) {
					t.Errorf("%+v: signature of %d bytes does not verify", form, len(signature))
				}
				// The published one verifies with the same key and hash.
				if published := vectortest.Hex(t, e.Signature); !ec.Verify(private.Public(), digest, published[:half], published[half:]) {
					t.Error("the published signature does not verify")
				}
			}
		})
	}
	if seen != 7 {
		t.Errorf("%d examples found, want 7", seen)
	}
}

// TestActiveAuthenticationForms: what chips do beside the standard.
func TestActiveAuthenticationForms(t *testing.T) {
	rsaKey, err := issuer.NewRSAKey(seeded("forms"), 1024)
	if err != nil {
		t.Fatal(err)
	}
	chip := func(change func(*Personalisation)) *terminal {
		m := newTestChip(t, func(p *Personalisation) {
			p.AccessKey = mrz.Key{}
			p.ActiveAuthentication = rsaKey
			p.Rand = seeded("forms")
			change(p)
		})
		m.want(selectApplication, apdu.OK)
		return m
	}
	const challenge = "0088000008010203040506070800"
	power := chip(func(*Personalisation) {}).want(challenge, apdu.OK)

	t.Run("smaller", func(t *testing.T) {
		for seed := range 8 { // one of the two forms each time
			random := func(p *Personalisation) { p.Rand = seeded(fmt.Sprint(seed)) }
			b6 := new(big.Int).SetBytes(chip(random).want(challenge, apdu.OK))
			b4 := new(big.Int).SetBytes(chip(func(p *Personalisation) {
				random(p)
				p.ActiveAuthenticationForm.Smaller = true
			}).want(challenge, apdu.OK))
			other := new(big.Int).Sub(rsaKey.RSA.N, b6)
			if b6.Cmp(other) > 0 {
				b6 = other
			}
			if b4.Cmp(b6) != 0 {
				t.Errorf("seed %d: not the smaller one", seed)
			}
		}
	})
	t.Run("truncated", func(t *testing.T) {
		m := chip(func(p *Personalisation) { p.Quirks.AATruncate = 100 })
		if got := m.want(challenge, apdu.OK); !bytes.Equal(got, power[:100]) {
			t.Errorf("%d bytes", len(got))
		}
	})
	t.Run("empty when extended", func(t *testing.T) {
		m := chip(func(p *Personalisation) { p.Quirks.AAEmptyExtended = true })
		if got := m.want("00880000000008010203040506070800"+"00", apdu.OK); len(got) != 0 {
			t.Errorf("%d bytes", len(got))
		}
		if got := m.want(challenge, apdu.OK); len(got) != 128 {
			t.Errorf("%d bytes with short length fields", len(got))
		}
	})
	t.Run("leading zero", func(t *testing.T) {
		for name, key := range map[string]string{"RSA": "", "ECDSA": "P-256"} {
			m := chip(func(p *Personalisation) {
				p.Redraw = func(what Drawn, b []byte) bool { return what == DrawSignature && b[0] != 0 }
				if key != "" {
					if p.ActiveAuthentication, err = issuer.NewECKey(seeded("forms"), key, false); err != nil {
						t.Fatal(err)
					}
				}
			})
			if got := m.want(challenge, apdu.OK); got[0] != 0 {
				t.Errorf("%s: begins with %02X", name, got[0])
			}
		}
	})
}
