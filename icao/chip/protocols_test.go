package chip

import (
	"bytes"
	"io"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
)

type paceExample struct {
	Password struct {
		DocumentNumber string `json:"document_number"`
		DateOfBirth    string `json:"date_of_birth"`
		DateOfExpiry   string `json:"date_of_expiry"`
	}
	OID          string
	ParameterID  int    `json:"parameter_id"`
	EFCardAccess string `json:"ef_card_access"`
	Nonce        struct{ S string }
	Mapping      struct {
		ChipPrivate string `json:"chip_private"`
	}
	KeyAgreement struct {
		ChipPrivate string `json:"chip_private"`
	} `json:"key_agreement"`
	SessionKeys struct {
		KSEnc string `json:"ks_enc"`
		KSMac string `json:"ks_mac"`
	} `json:"session_keys"`
	APDUs []apduExample
}

// paceChip is the chip of appendix G.1, with its nonce and ephemeral keys.
func paceChip(t testing.TB) (*Chip, paceExample) {
	t.Helper()
	var all []paceExample
	vectortest.JSON(t, "testdata/9303-11-G1-pace-ecdh-gm.json", &all)
	e := all[0]
	if len(e.APDUs) != 5 {
		t.Fatal("appendix G.1 is not complete")
	}
	key, err := mrz.NewKey(e.Password.DocumentNumber, e.Password.DateOfBirth, e.Password.DateOfExpiry)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(&Personalisation{
		AccessKey:   key,
		PACE:        &PACE{Protocol: e.OID, ParameterID: e.ParameterID, Version: 2},
		Files:       []File{groupFile(1, []byte{0x61, 0x00}, AfterAuthentication)},
		MasterFiles: []File{{ID: idCardAccess, SFI: 0x1C, Content: vectortest.Hex(t, e.EFCardAccess), Access: Always}},
		Rand:        bytes.NewReader(vectortest.Hex(t, e.Nonce.S)),
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{e.Mapping.ChipPrivate, e.KeyAgreement.ChipPrivate}
	c.newEphemeral = func(curve *ec.Curve, _ io.Reader) (*ec.PrivateKey, error) {
		k, err := curve.NewPrivateKey(vectortest.Hex(t, keys[0]))
		keys = keys[1:]
		return k, err
	}
	return c, e
}

// TestVectorsPACE: the chip answers the published commands of appendix G.1 with
// exactly the published responses, and then speaks secure messaging with the
// published keys.
func TestVectorsPACE(t *testing.T) {
	c, e := paceChip(t)
	t.Run("G.1", func(t *testing.T) {
		exchange(t, c, "READ EF.CardAccess", "00b09c0000", e.EFCardAccess+"9000")
		for _, a := range e.APDUs {
			exchange(t, c, a.Step, a.Command, a.Response)
		}
		m := &terminal{t: t, chip: c}
		m.startAES(vectortest.Hex(t, e.SessionKeys.KSEnc), vectortest.Hex(t, e.SessionKeys.KSMac))
		if _, sw := m.do("00a4040c", []byte(applicationID), 0); sw != apdu.OK {
			t.Fatalf("SELECT application: %04X", uint16(sw))
		}
		if got := m.read(1); !bytes.Equal(got, []byte{0x61, 0x00}) {
			t.Errorf("DG1 = %x", got)
		}
	})
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
	command := func(i int) string { return e.APDUs[i].Command }
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
	ChipPrivate string `json:"chip_private"`
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
	curve, protocol string
	id              int
}{
	"bsi-ecdh-3des-mse-kat":              {"brainpoolP224r1", "0.4.0.127.0.7.2.2.3.2.1", 0},
	"bsi-ecdh-3des-general-authenticate": {"brainpoolP224r1", "0.4.0.127.0.7.2.2.3.2.1", 0},
	"synthetic-ecdh-aes192":              {"brainpoolP384r1", "0.4.0.127.0.7.2.2.3.2.3", 7},
	"synthetic-ecdh-aes256":              {"brainpoolP384r1", "0.4.0.127.0.7.2.2.3.2.4", 8},
}

func caChip(t testing.TB, e caExample) *Chip {
	t.Helper()
	x := caExamples[e.ID]
	private, err := ec.ByName(x.curve).NewPrivateKey(vectortest.Hex(t, e.ChipPrivate))
	if err != nil {
		t.Fatal(err)
	}
	key, err := mrz.NewKey("L898902C<", "690806", "940623")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(&Personalisation{
		AccessKey:          key,
		Files:              []File{groupFile(14, []byte{0x6E, 0x00}, AfterAuthentication)},
		ChipAuthentication: &ChipAuthentication{Protocol: x.protocol, Key: &issuer.Key{EC: private}, KeyID: x.id},
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
			if r := c.startCA(bytes.Repeat([]byte{4}, 57)); r.sw != apdu.WrongData || c.state.session != old {
				t.Errorf("status %04X, session kept %t", uint16(r.sw), c.state.session == old)
			}
		})
	}
	if seen != len(caExamples) {
		t.Errorf("%d of %d examples found", seen, len(caExamples))
	}
}
