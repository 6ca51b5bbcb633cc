package chip

import (
	"bytes"
	"crypto"
	"os"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
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
				body, ok := s.protect(in.ins, response{data: data, sw: sw})
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

// TestVectorsActiveAuthentication signs with the private key of the BSI
// reference data set and the recorded M1: the signatures must come out as
// computed elsewhere.
func TestVectorsActiveAuthentication(t *testing.T) {
	var all []struct {
		ID, M1, Signature, Expected, Fault string
		RndIFD                             string `json:"rnd_ifd"`
	}
	vectortest.JSON(t, vectortest.Path(t, "aa-examples.json"), &all)
	der, err := os.ReadFile(vectortest.Path(t, "bsi-reference-dataset/DG15_sk.pkcs8"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := issuer.ParsePKCS8(der)
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[string]crypto.Hash{
		"bsi-rsa1024-sha1-bc":     crypto.SHA1,
		"bsi-rsa1024-sha224-38cc": crypto.SHA224,
		"bsi-rsa1024-sha256-34cc": crypto.SHA256,
		"bsi-rsa1024-sha384-36cc": crypto.SHA384,
		"bsi-rsa1024-sha512-35cc": crypto.SHA512,
	}
	seen := 0
	for _, e := range all {
		hash, ok := hashes[e.ID]
		if !ok {
			continue
		}
		seen++
		t.Run(e.ID, func(t *testing.T) {
			got, err := signISO9796(bytes.NewReader(vectortest.Hex(t, e.M1)), key, hash, vectortest.Hex(t, e.RndIFD))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, vectortest.Hex(t, e.Signature)) {
				t.Errorf("signature %x, want %s", got, e.Signature)
			}
		})
	}
	if seen != len(hashes) {
		t.Errorf("%d of %d examples found", seen, len(hashes))
	}
}
