package chip

import (
	"bytes"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
)

type paceExample struct {
	ID       string
	Password struct {
		Type, CAN      string
		DocumentNumber string `json:"document_number"`
		DateOfBirth    string `json:"date_of_birth"`
		DateOfExpiry   string `json:"date_of_expiry"`
	}
	OID          string
	ParameterID  int    `json:"parameter_id"`
	EFCardAccess string `json:"ef_card_access"`
	Nonce        struct{ S string }
	Mapping      struct {
		ChipPrivate     string          `json:"chip_private"`
		MappedGenerator json.RawMessage `json:"mapped_generator"`
	}
	KeyAgreement struct {
		ChipPrivate    string          `json:"chip_private"`
		ChipPublic     json.RawMessage `json:"chip_public"`
		TerminalPublic json.RawMessage `json:"terminal_public"`
	} `json:"key_agreement"`
	SessionKeys struct {
		KSEnc string `json:"ks_enc"`
		KSMac string `json:"ks_mac"`
	} `json:"session_keys"`
	APDUs []struct {
		apduExample
		CommandCAN string `json:"command_can_reference"`
	}
	ChipAuthentication struct {
		Private  string `json:"static_private"`
		Private2 string `json:"static_private_recomputed"`
	} `json:"chip_authentication"`
}

// command is the command of step i. Appendix H prints the reference of the MRZ
// for what is a card access number.
func (e paceExample) command(i int) string {
	if a := e.APDUs[i]; a.CommandCAN != "" {
		return a.CommandCAN
	}
	return e.APDUs[i].Command
}

// paceExamples are the files of PACE examples, and the name of each example.
var paceExamples = map[string][]string{
	"testdata/9303-11-G1-pace-ecdh-gm.json":  {"G.1"},
	"testdata/9303-11-G2-pace-dh-gm.json":    {"G.2"},
	"testdata/9303-11-H1-pace-ecdh-im.json":  {"H.1"},
	"testdata/9303-11-H2-pace-dh-im.json":    {"H.2"},
	"testdata/9303-11-I1-pace-ecdh-cam.json": {"I.1"},
	"pace-cam-traces.json":                   {"", "", ""},
	"pace-gm-3des-trace.json":                {""},
}

// loadPACE returns the examples of a file of paceExamples.
func loadPACE(t testing.TB, file string) []paceExample {
	t.Helper()
	path := file
	if !strings.HasPrefix(file, "testdata/") {
		path = vectortest.Path(t, file)
	}
	var all []paceExample
	vectortest.JSON(t, path, &all)
	if len(all) != len(paceExamples[file]) {
		t.Fatalf("%s: %d examples, want %d", file, len(all), len(paceExamples[file]))
	}
	for i := range all {
		if all[i].ID == "" {
			all[i].ID = paceExamples[file][i]
		}
		if len(all[i].APDUs) != 5 {
			t.Fatalf("%s is not complete", all[i].ID)
		}
	}
	return all
}

// chip is the chip of the example. Its randomness is the example's, as far as
// the example says.
func (e paceExample) chip(t testing.TB) *Chip {
	t.Helper()
	p := &Personalisation{
		CAN:         e.Password.CAN,
		PACE:        &PACE{Protocol: e.OID, ParameterID: e.ParameterID, Version: 2},
		Files:       []File{groupFile(1, []byte{0x61, 0x00}, AfterAuthentication)},
		MasterFiles: []File{{ID: idCardAccess, SFI: 0x1C, Content: vectortest.Hex(t, e.EFCardAccess), Access: Always}},
	}
	if e.Password.CAN == "" {
		key, err := mrz.NewKey(e.Password.DocumentNumber, e.Password.DateOfBirth, e.Password.DateOfExpiry)
		if err != nil {
			t.Fatal(err)
		}
		p.AccessKey = key
	}
	if e.ID == "G.2" { // its chip has terminal authentication
		p.CertificationAuthorities = []string{"DETESTCVCA00003"}
	}
	random := vectortest.Hex(t, e.Nonce.S)
	for _, private := range []string{e.Mapping.ChipPrivate, e.KeyAgreement.ChipPrivate} {
		if private == "" {
			continue
		}
		// Some published private keys are above the order (H.2, I.1).
		var order []byte
		if g := issuer.GroupByID(e.ParameterID); g != nil {
			order = g.Q()
		} else {
			order = ec.ByName(issuer.CurveByID(e.ParameterID)).N()
		}
		x := new(big.Int).SetBytes(vectortest.Hex(t, private))
		x.Mod(x, new(big.Int).SetBytes(order))
		random = append(random, x.FillBytes(make([]byte, len(order)))...)
	}
	p.Rand = bytes.NewReader(random)
	if strings.HasPrefix(e.OID, "0.4.0.127.0.7.2.2.4.6.") {
		private := e.ChipAuthentication.Private + e.ChipAuthentication.Private2
		if private == "" { // a real card's
			private = strings.Repeat("01", 32)
		}
		k, err := ec.ByName(issuer.CurveByID(e.ParameterID)).NewPrivateKey(vectortest.Hex(t, private))
		if err != nil {
			t.Fatal(err)
		}
		p.ChipAuthentication = &ChipAuthentication{Key: &issuer.Key{EC: k}, KeyID: e.ParameterID}
	}
	c, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// paceChip is the chip of appendix G.1, with its nonce and ephemeral keys.
func paceChip(t testing.TB) (*Chip, paceExample) {
	t.Helper()
	e := loadPACE(t, "testdata/9303-11-G1-pace-ecdh-gm.json")[0]
	return e.chip(t), e
}

// TestVectorsPACE: the chip answers the published commands with exactly the
// published responses, and then speaks secure messaging with the published
// keys. Of recorded cards the private keys are not known: those drive the steps
// before and after the two key agreements.
func TestVectorsPACE(t *testing.T) {
	for file := range paceExamples {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			for _, e := range loadPACE(t, file) {
				t.Run(e.ID, func(t *testing.T) {
					c := e.chip(t)
					exchange(t, c, "READ EF.CardAccess", "00b09c0000", e.EFCardAccess+"9000")
					for i, a := range e.APDUs {
						if e.KeyAgreement.ChipPrivate == "" && i == 2 {
							e.agree(t, c)
						}
						if e.KeyAgreement.ChipPrivate != "" || i < 2 || i == 4 {
							exchange(t, c, a.Step, e.command(i), a.Response)
						}
					}
					m := &terminal{t: t, chip: c}
					if strings.HasSuffix(e.OID, ".1") {
						m.start3DES(vectortest.Hex(t, e.SessionKeys.KSEnc), vectortest.Hex(t, e.SessionKeys.KSMac), make([]byte, 8))
					} else {
						m.startAES(vectortest.Hex(t, e.SessionKeys.KSEnc), vectortest.Hex(t, e.SessionKeys.KSMac))
					}
					if _, sw := m.do("00a4040c", []byte(applicationID), 0); sw != apdu.OK {
						t.Fatalf("SELECT application: %04X", uint16(sw))
					}
					if got := m.read(1); !bytes.Equal(got, []byte{0x61, 0x00}) {
						t.Errorf("DG1 = %x", got)
					}
				})
			}
		})
	}
}

// agree puts the results of the two key agreements of a recorded card into the
// chip. What the chip cannot know is not compared: its encrypted authentication
// data.
func (e *paceExample) agree(t *testing.T, c *Chip) {
	t.Helper()
	run := c.state.pace
	set := func(to *element, from json.RawMessage) {
		var point struct{ X, Y string }
		if err := json.Unmarshal(from, &point); err != nil {
			t.Fatal(err)
		}
		var err error
		if *to, err = run.domain.parse(vectortest.Hex(t, "04"+point.X+point.Y)); err != nil {
			t.Fatal(err)
		}
	}
	set(&run.mapped, e.Mapping.MappedGenerator)
	set(&run.pkIFD, e.KeyAgreement.TerminalPublic)
	set(&run.pkIC, e.KeyAgreement.ChipPublic)
	run.ksMac = vectortest.Hex(t, e.SessionKeys.KSMac)
	var err error
	if run.next, err = newSession(run.suite, vectortest.Hex(t, e.SessionKeys.KSEnc), run.ksMac, nil); err != nil {
		t.Fatal(err)
	}
	run.static = nil
	if last := &e.APDUs[4]; len(last.Response) > 28 {
		last.Response = "7c0a" + last.Response[4:24] + "9000"
	}
}

// TestPACERefusals changes the published exchange in every step.
func TestPACERefusals(t *testing.T) {
	_, e := paceChip(t)
	flip := func(s string, at int) string { // changes one hex digit
		b := []byte(s)
		if at < 0 {
			at += len(b)
		}
		if b[at] == '0' {
			b[at] = '1'
		} else {
			b[at] = '0'
		}
		return string(b)
	}
	command := e.command
	tests := []struct {
		name string
		step int // that is replaced
		cmd  string
		want apdu.Status
	}{
		{"unknown protocol", 0, flip(command(0), 33), apdu.WrongData},
		{"password CAN without one", 0, flip(command(0), -1)[:len(command(0))-1] + "2", apdu.ReferencedDataNotFound},
		{"password PIN", 0, command(0)[:len(command(0))-1] + "3", apdu.ReferencedDataNotFound},
		{"wrong parameter", 0, "0022c1a412800a04007f0007020204020283010184010c", apdu.ReferencedDataNotFound},
		{"parameter of two bytes", 0, "0022c1a413800a04007f000702020402028301018402000d", apdu.ReferencedDataNotFound},
		{"right parameter", 0, "0022c1a412800a04007f0007020204020283010184010d", apdu.OK},
		{"malformed data", 0, "0022c1a403800a04", apdu.WrongData},
		{"template of terminal authentication", 0, "002281a4028000", apdu.IncorrectP1P2},
		{"step 1 not chained", 1, "0086000002" + "7c0000", apdu.ConditionsNotSatisfied},
		{"step 1 with data", 1, "10860000047c02810000", apdu.WrongData},
		{"mapping point off the curve", 2, flip(command(2), -3), apdu.WrongData},
		{"mapping point with a wrong tag", 2, "10860000457c438341" + command(2)[18:], apdu.WrongData},
		{"agreement point off the curve", 3, flip(command(3), -3), apdu.WrongData},
		{"our own key reflected", 3, command(3)[:18] + e.APDUs[3].Response[8:len(e.APDUs[3].Response)-4] + "00", apdu.WrongData},
		{"wrong token", 4, flip(command(4), -3), apdu.AuthenticationFailed},
		{"token chained", 4, flip(command(4), 0), apdu.ConditionsNotSatisfied},
		{"general authenticate with P1", 1, "10860100027c0000", apdu.IncorrectP1P2},
		{"no dynamic data", 1, "108600000281007c00", apdu.WrongLength},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := paceChip(t)
			m := &terminal{t: t, chip: c}
			for i := range tt.step {
				m.want(command(i), apdu.OK)
			}
			m.want(tt.cmd, tt.want)
			if tt.want == apdu.OK {
				return
			}
			// The run is over: the published next step comes to nothing.
			if tt.step > 0 {
				if _, sw := m.raw(command(tt.step)); sw != apdu.ConditionsNotSatisfied {
					t.Errorf("after the failure: %04X", uint16(sw))
				}
			}
			if c.state.session != nil {
				t.Error("a session was opened")
			}
		})
	}
	t.Run("another command in between", func(t *testing.T) {
		c, _ := paceChip(t)
		m := &terminal{t: t, chip: c}
		m.want(command(0), apdu.OK)
		m.want("0084000008", apdu.OK)
		m.want(command(1), apdu.ConditionsNotSatisfied)
	})
}

type caExample struct {
	ID          string
	Curve       string
	CACipher    string `json:"ca_cipher"`
	ChipPrivate string `json:"chip_private"`
	Secret      string `json:"shared_secret_x"`
	SMBefore    struct {
		Cipher, SSC string
		KSEnc       string `json:"ks_enc"`
		KSMac       string `json:"ks_mac"`
	} `json:"sm_before"`
	Exchanges []struct {
		PlainCommand      string `json:"plain_command"`
		ProtectedCommand  string `json:"protected_command"`
		ProtectedResponse string `json:"protected_response"`
	}
}

// caExamples are the examples of chip authentication whose private key is
// known, with what the chip is personalised with.
var caExamples = map[string]struct {
	curve, protocol string // no curve: the first group of RFC 5114
	id              int
}{
	"bsi-ecdh-3des-mse-kat":              {"brainpoolP224r1", "0.4.0.127.0.7.2.2.3.2.1", 0},
	"bsi-ecdh-3des-general-authenticate": {"brainpoolP224r1", "0.4.0.127.0.7.2.2.3.2.1", 0},
	"synthetic-ecdh-aes192":              {"brainpoolP384r1", "0.4.0.127.0.7.2.2.3.2.3", 7},
	"synthetic-ecdh-aes256":              {"brainpoolP384r1", "0.4.0.127.0.7.2.2.3.2.4", 8},
	"synthetic-dh-3des":                  {"", "0.4.0.127.0.7.2.2.3.1.1", 0},
	"synthetic-dh-aes128":                {"", "0.4.0.127.0.7.2.2.3.1.2", 0},
}

// caCards are the recorded cards, whose private keys nobody has.
var caCards = []string{"at-ecdh-aes128", "de-ecdh-aes128", "my-ecdh-3des", "fr-ecdh-3des"}

// key is the static key of the example.
func (e caExample) key(t testing.TB) *issuer.Key {
	t.Helper()
	curve := caExamples[e.ID].curve
	if curve == "" {
		k, err := issuer.NewDHKeyFrom(issuer.GroupByID(0), vectortest.Hex(t, e.ChipPrivate), true)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	private, err := ec.ByName(curve).NewPrivateKey(vectortest.Hex(t, e.ChipPrivate))
	if err != nil {
		t.Fatal(err)
	}
	return &issuer.Key{EC: private}
}

func caChip(t testing.TB, e caExample) *Chip {
	t.Helper()
	x := caExamples[e.ID]
	return e.session(t, &ChipAuthentication{Protocol: x.protocol, Key: e.key(t), KeyID: x.id})
}

// session is a chip in the session that the example begins with.
func (e caExample) session(t testing.TB, ca *ChipAuthentication) *Chip {
	t.Helper()
	key, err := mrz.NewKey("L898902C<", "690806", "940623")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(&Personalisation{
		AccessKey:          key,
		Files:              []File{groupFile(14, []byte{0x6E, 0x00}, AfterAuthentication)},
		ChipAuthentication: ca,
	})
	if err != nil {
		t.Fatal(err)
	}
	b := e.SMBefore
	s, err := newSession(suites[b.Cipher], vectortest.Hex(t, b.KSEnc), vectortest.Hex(t, b.KSMac), vectortest.Hex(t, b.SSC))
	if err != nil {
		t.Fatal(err)
	}
	c.state = state{application: true, session: s}
	return c
}

// TestVectorsChipAuthentication: from the recorded session on, the chip answers
// every command with exactly the recorded response, under the old keys and
// under the new ones.
func TestVectorsChipAuthentication(t *testing.T) {
	var all []caExample
	vectortest.JSON(t, vectortest.Path(t, "ca-traces.json"), &all)
	seen := 0
	for _, e := range all {
		if _, ok := caExamples[e.ID]; !ok {
			continue
		}
		seen++
		t.Run(e.ID, func(t *testing.T) {
			c := caChip(t, e)
			for _, x := range e.Exchanges {
				if x.PlainCommand == "00a4020c02010e" { // SELECT DG14
					if c.state.current != nil {
						t.Error("a file is selected already")
					}
				}
				exchange(t, c, x.PlainCommand, x.ProtectedCommand, x.ProtectedResponse)
			}
		})
		t.Run(e.ID+" refused", func(t *testing.T) {
			// A point off the curve leaves the old session in force (6.2.2).
			c := caChip(t, e)
			old := c.state.session
			if r := c.startCA(c.ca[0], bytes.Repeat([]byte{4}, 57)); r.sw != apdu.WrongData || c.state.session != old {
				t.Errorf("status %04X, session kept %t", uint16(r.sw), c.state.session == old)
			}
		})
	}
	if seen != len(caExamples) {
		t.Errorf("%d of %d examples found", seen, len(caExamples))
	}
}

// TestVectorsChipAuthenticationCards: of recorded cards the static key is not
// known, so the shared secret is put in; from there on, every answer is the
// card's.
func TestVectorsChipAuthenticationCards(t *testing.T) {
	var all []caExample
	vectortest.JSON(t, vectortest.Path(t, "ca-traces.json"), &all)
	seen := 0
	for _, e := range all {
		if !slices.Contains(caCards, e.ID) {
			continue
		}
		seen++
		t.Run(e.ID, func(t *testing.T) {
			protocol := map[string]string{"3des": "0.4.0.127.0.7.2.2.3.2.1", "aes128": "0.4.0.127.0.7.2.2.3.2.2"}[e.CACipher]
			key, err := issuer.NewECKey(seeded(e.ID), map[string]string{"secp256r1": "P-256"}[e.Curve]+strings.TrimPrefix(e.Curve, "secp256r1"), false)
			if err != nil {
				t.Fatal(err)
			}
			id := 0
			if e.ID == "de-ecdh-aes128" {
				id = 195
			}
			c := e.session(t, &ChipAuthentication{Protocol: protocol, Key: key, KeyID: id})
			c.ca[0].domain = fixedSecret{c.ca[0].domain, vectortest.Hex(t, e.Secret)}
			for _, x := range e.Exchanges {
				exchange(t, c, x.PlainCommand, x.ProtectedCommand, x.ProtectedResponse)
			}
		})
	}
	if seen != len(caCards) {
		t.Errorf("%d of %d cards found", seen, len(caCards))
	}
}

// fixedSecret is a domain in which every agreement has the same result.
type fixedSecret struct {
	domain
	result []byte
}

func (d fixedSecret) power(element, []byte) (element, error) { return rawElement(d.result), nil }

type rawElement []byte

func (e rawElement) wire() []byte   { return e }
func (e rawElement) secret() []byte { return e }
