package pace_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/pace"
	"github.com/chamthe/chamthe/icao/secinfo"
)

// establish runs an example against a script and expects it to fail.
func establish(t *testing.T, e example, lines []string) error {
	t.Helper()
	s := apdu.NewSession(apdutest.NewScript(t, strings.Join(lines, "\n")))
	return fails(t, s, e.info(t), e.password(t), &pace.Config{Rand: e.random(t)})
}

func fails(t *testing.T, d apdu.Doer, info secinfo.PACEInfo, pw pace.Password, cfg *pace.Config) error {
	t.Helper()
	ch, cam, err := pace.Establish(t.Context(), d, info, pw, cfg)
	if ch != nil || cam != nil || err == nil {
		t.Fatalf("channel %v, CAM %v, error %v", ch != nil, cam != nil, err)
	}
	return err
}

var sentinels = []error{pace.ErrUnsupported, pace.ErrWrongPassword, pace.ErrCardAuthentication, pace.ErrProtocol}

// wantErr checks that err wraps want, and of this package's sentinels only the
// given one.
func wantErr(t *testing.T, err, want, sentinel error) {
	t.Helper()
	if want != nil && !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
	for _, s := range sentinels {
		if errors.Is(err, s) != (s == sentinel) {
			t.Errorf("error %v; is it %v: %v", err, s, s != sentinel)
		}
	}
	if !strings.HasPrefix(err.Error(), "pace: ") || strings.Count(err.Error(), "pace:") != 1 {
		t.Errorf("text %q", err)
	}
}

// dynamic wraps data objects in a response, all in hexadecimal.
func dynamic(objects string) string {
	b, err := hex.DecodeString(objects)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%x9000", object(0x7C, b))
}

// A chip that answers one of the steps with something else.
func TestWrongResponses(t *testing.T) {
	for _, id := range []string{"G.1", "G.2", "H.1", "H.2", "I.1"} {
		e := exampleByID(t, id)
		value := func(step int) string { // of the first data object
			b := vectortest.Hex(t, e.APDUs[step].Response)
			in := b[2:]
			if b[1] == 0x81 {
				in = b[3:]
			}
			if in[1] == 0x81 {
				return hex.EncodeToString(in[3 : 3+int(in[2])])
			}
			return hex.EncodeToString(in[2 : 2+int(in[1])])
		}
		sent := func(step int) string { // by the terminal
			c := vectortest.Hex(t, e.APDUs[step].Command)
			n := len(value(3)) / 2
			return hex.EncodeToString(c[len(c)-1-n : len(c)-1])
		}
		do := func(tag byte, v string) string {
			b, err := hex.DecodeString(v)
			if err != nil {
				t.Fatal(err)
			}
			return hex.EncodeToString(object(tag, b))
		}

		type test struct {
			name     string
			step     int // 1 to 4
			response string
			want     error
		}
		p := pace.ErrProtocol
		var tests []test
		add := func(step int, want error, responses ...string) {
			for i := 0; i < len(responses); i += 2 {
				tests = append(tests, test{responses[i], step, responses[i+1], want})
			}
		}

		// Doc 9303-11, Table 4; and TR-03105-5.1, ISO7816_G_09 to G_26.
		z := value(1)
		add(1, p,
			"tag 90", dynamic(do(0x90, z)),
			"no data", "9000",
			"no data object", dynamic(""),
			"empty nonce", dynamic(do(0x80, "")),
			"nonce of part of a block", dynamic(do(0x80, z[2:])),
			"nonce of five blocks", dynamic(do(0x80, strings.Repeat(z, 5))),
			"not wrapped", do(0x80, z)+"9000",
			"two nonces", dynamic(do(0x80, z)+do(0x80, z)),
			"something behind", strings.TrimSuffix(dynamic(do(0x80, z)), "9000")+"009000",
			"cut off", "7c1280109000",
			"length not minimal", "7c81128010"+z+"9000",
		)
		if strings.HasPrefix(id, "H") {
			add(1, p, "nonce of two blocks", dynamic(do(0x80, z+z)))
			add(2, p, "mapping data", dynamic(do(0x82, "00")))
		}

		// Public keys: those of mapping and of the agreement.
		steps := []int{3}
		if !strings.HasPrefix(id, "H") {
			steps = []int{2, 3}
		}
		for _, step := range steps {
			tag, wrong := byte(0x82), byte(0x92)
			if step == 3 {
				tag, wrong = 0x84, 0x94
			}
			key := value(step)
			add(step, p,
				fmt.Sprintf("tag %02x", wrong), dynamic(do(wrong, key)),
				"no data", "9000",
				"empty key", dynamic(do(tag, "")),
				"key equal to the terminal's", dynamic(do(tag, sent(step))),
				"key cut off", dynamic(do(tag, key[:len(key)-2])),
				"key too long", dynamic(do(tag, key+"00")),
				"key altered", dynamic(do(tag, key[:60]+flip(key[60:62])+key[62:])),
				"two keys", dynamic(do(tag, key)+do(tag, key)),
			)
			if e.Domain.P == "" {
				half := len(key)/2 - 1
				add(step, p,
					"point at infinity", dynamic(do(tag, "00")),
					"compressed point", dynamic(do(tag, "02"+key[2:2+half])),
					"hybrid point", dynamic(do(tag, "06"+key[2:])),
					"coordinates zero", dynamic(do(tag, "04"+strings.Repeat("00", len(key)/2-1))),
					"coordinates too large", dynamic(do(tag, "04"+strings.Repeat("ff", len(key)/2-1))),
				)
				continue
			}
			prime := new(big.Int).SetBytes(vectortest.Hex(t, e.Domain.P))
			number := func(d int64) string {
				x := new(big.Int).Add(prime, big.NewInt(d))
				return hex.EncodeToString(x.Bytes())
			}
			add(step, p,
				"zero", dynamic(do(tag, "00")),
				"one", dynamic(do(tag, "01")),
				"one in full width", dynamic(do(tag, strings.Repeat("00", 127)+"01")),
				"outside the subgroup", dynamic(do(tag, "02")),
				"p-1", dynamic(do(tag, number(-1))),
				"p", dynamic(do(tag, number(0))),
				"p+1", dynamic(do(tag, number(1))),
				"wider than p", dynamic(do(tag, "00"+key)),
			)
		}

		token := value(4)
		rest := strings.TrimSuffix(e.APDUs[4].Response, "9000")
		rest = rest[strings.Index(rest, token)+len(token):] // DO'8A' or DO'87'
		a := pace.ErrCardAuthentication
		add(4, p,
			"tag 96", dynamic(do(0x96, token)+rest),
			"no data", "9000",
			"two tokens", dynamic(do(0x86, token)+do(0x86, token)),
		)
		add(4, a,
			"wrong token", dynamic(do(0x86, flip(token[:2])+token[2:])+rest),
			"empty token", dynamic(do(0x86, "")+rest),
			"token cut off", dynamic(do(0x86, token[:14])+rest),
			"token too long", dynamic(do(0x86, token+"00")+rest),
			"the terminal's token", dynamic(do(0x86, e.Tokens.TIFD)+rest),
		)
		if id == "I.1" {
			// ISO7816_G_29 to G_33.
			add(4, a,
				"no chip authentication data", dynamic(do(0x86, token)),
				"tag 8B", dynamic(do(0x86, token)+strings.Replace(rest, "8a30", "8b30", 1)),
				"empty chip authentication data", dynamic(do(0x86, token)+do(0x8A, "")),
				"part of a block", dynamic(do(0x86, token)+do(0x8A, rest[4:98])),
				"one block less", dynamic(do(0x86, token)+do(0x8A, rest[4:68])),
				"padding altered", dynamic(do(0x86, token)+do(0x8A, rest[4:98]+flip(rest[98:100]))),
			)
		}
		for _, sw := range []apdu.Status{apdu.WrongLength, apdu.SecurityStatusNotSatisfied, apdu.ConditionsNotSatisfied, apdu.InstructionNotSupported, apdu.EndOfFile} {
			for step := range 5 {
				tests = append(tests, test{fmt.Sprintf("status %04x", uint16(sw)), step, fmt.Sprintf("%04x", uint16(sw)), sw})
			}
		}
		// A wrong password shows at the token and nowhere else.
		for _, sw := range []apdu.Status{apdu.AuthenticationFailed, 0x63C1} {
			for step := range 4 {
				tests = append(tests, test{fmt.Sprintf("status %04x", uint16(sw)), step, fmt.Sprintf("%04x", uint16(sw)), sw})
			}
		}

		seen := map[string]bool{}
		for _, tt := range tests {
			name := fmt.Sprintf("%s/step %d/%s", id, tt.step, tt.name)
			if seen[name] {
				t.Fatalf("twice: %s", name)
			}
			seen[name] = true
			t.Run(name, func(t *testing.T) {
				lines := slices.Clone(e.transcript()[:tt.step+1])
				command, _, _ := strings.Cut(lines[tt.step], "->")
				lines[tt.step] = command + "-> " + tt.response
				err := establish(t, e, lines)
				if _, status := tt.want.(apdu.Status); status {
					wantErr(t, err, tt.want, nil)
				} else {
					wantErr(t, err, tt.want, tt.want)
				}
			})
		}
	}
}

// flip changes a byte.
func flip(s string) string {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 1 {
		panic(s)
	}
	return fmt.Sprintf("%02x", b[0]^1)
}

func TestWrongPassword(t *testing.T) {
	for _, id := range []string{"G.1", "G.2", "H.1", "H.2", "I.1"} {
		for _, sw := range []apdu.Status{apdu.AuthenticationFailed, 0x63C2, 0x63C0} {
			t.Run(fmt.Sprintf("%s/%04x", id, uint16(sw)), func(t *testing.T) {
				e := exampleByID(t, id)
				lines := e.transcript()
				command, _, _ := strings.Cut(lines[4], "->")
				lines[4] = fmt.Sprintf("%s-> %04x", command, uint16(sw))
				err := establish(t, e, lines)
				wantErr(t, err, sw, pace.ErrWrongPassword)
				wantN, wantOK := sw.Retries()
				got, _ := errors.AsType[apdu.Status](err)
				if n, ok := got.Retries(); n != wantN || ok != wantOK {
					t.Errorf("tries left %d, %v", n, ok)
				}
			})
		}
	}
	// A card that really has another one, with every mapping.
	other, err := pace.FromCAN("543210")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range combinations() {
		if c.id == 13 || c.id == 0 {
			t.Run(c.name, func(t *testing.T) {
				card := c.canCard(t)
				err := fails(t, apdu.NewSession(card), c.info(), other, nil)
				wantErr(t, err, apdu.AuthenticationFailed, pace.ErrWrongPassword)
				if card.step != 4 {
					t.Errorf("refused at step %d", card.step)
				}
			})
		}
	}
}

// What chips add, or leave out, without harm.
func TestHarmlessResponses(t *testing.T) {
	tests := []struct {
		name, id string
		step     int
		edit     func(response string) string
	}{
		// ISO7816_G_35.
		{"chip authentication data in generic mapping", "G.1", 4, func(r string) string {
			return dynamic(r[4:len(r)-4] + "8a10" + strings.Repeat("00", 16))
		}},
		{"certification authority references", "G.1", 4, func(r string) string { return dynamic(r[4:len(r)-4] + "870101880102") }},
		{"another order", "I.1", 4, func(r string) string { return dynamic(r[24:len(r)-4] + r[4:24]) }},
		{"an unknown data object", "G.1", 1, func(r string) string { return dynamic("9f010100" + r[4:len(r)-4]) }},
		{"no mapping data at all", "H.1", 2, func(string) string { return "9000" }},
		{"no mapping data object", "H.2", 2, func(string) string { return "7c009000" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := exampleByID(t, tt.id)
			lines := e.transcript()
			command, response, _ := strings.Cut(lines[tt.step], " -> ")
			lines[tt.step] = command + " -> " + tt.edit(response)
			s := apdu.NewSession(apdutest.NewScript(t, strings.Join(lines, "\n")))
			var deviations, want []string
			if tt.name == "chip authentication data in generic mapping" {
				want = []string{pace.DevAuthData}
			}
			cfg := &pace.Config{Rand: e.random(t), Deviates: func(d string) { deviations = append(deviations, d) }}
			if _, _, err := pace.Establish(t.Context(), s, e.info(t), e.password(t), cfg); err != nil {
				t.Error(err)
			}
			if !slices.Equal(deviations, want) {
				t.Errorf("deviations %q, want %q", deviations, want)
			}
		})
	}
}

// When the domain parameters are named.
func TestNamedParameters(t *testing.T) {
	refuse := func(step int, sw ...byte) func(*card) {
		return func(c *card) {
			c.answer = func(at int, _, response []byte) []byte {
				if at == step && c.namedParameters[len(c.namedParameters)-1] < 0 {
					return sw
				}
				return response
			}
		}
	}
	always := func(c *card) { c.answer = func(int, []byte, []byte) []byte { return []byte{0x6A, 0x88} } }
	tests := []struct {
		name      string
		ambiguous bool
		apply     func(*card)
		want      []int
		err       error
	}{
		{"one set", false, nil, []int{-1}, nil},
		{"several sets", true, nil, []int{13}, nil},
		{"wanted with 6A80", false, refuse(0, 0x6A, 0x80), []int{-1, 13}, nil},
		{"wanted with 6A88", false, refuse(0, 0x6A, 0x88), []int{-1, 13}, nil},
		{"wanted at the nonce", false, refuse(1, 0x6A, 0x88), []int{-1, 13}, nil},
		{"another refusal", false, refuse(0, 0x6A, 0x81), []int{-1}, apdu.FunctionNotSupported},
		{"wanted after the nonce", false, refuse(2, 0x6A, 0x80), []int{-1}, apdu.WrongData},
		{"never enough", false, always, []int{-1, 13}, apdu.ReferencedDataNotFound},
		{"not enough though named", true, always, []int{13}, apdu.ReferencedDataNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			comb := combination{"ECDH-GM-2/13", "0.4.0.127.0.7.2.2.4.2.2", 13}
			c := comb.canCard(t)
			if tt.apply != nil {
				tt.apply(c)
			}
			info := comb.info()
			info.Ambiguous = tt.ambiguous
			if tt.err == nil {
				c.run(t, info, canPassword(t))
			} else {
				wantErr(t, fails(t, apdu.NewSession(c), info, canPassword(t), nil), tt.err, nil)
			}
			if !slices.Equal(c.namedParameters, tt.want) {
				t.Errorf("DO 84 %v, want %v", c.namedParameters, tt.want)
			}
		})
	}
	t.Run("identifier of two bytes", func(t *testing.T) {
		info := explicitInfo(t)
		info.ParameterID, info.Ambiguous = 0x0123, true
		card := apdutest.NewScript(t, "0022c1a413800a04007f0007020204020283010284020123 -> 6a80")
		wantErr(t, fails(t, apdu.NewSession(card), info, canPassword(t), nil), apdu.WrongData, nil)
	})
}

// explicitInfo offers generic mapping with explicit domain parameters, which
// are those of a known curve.
func explicitInfo(t *testing.T) secinfo.PACEInfo {
	t.Helper()
	info := "300f060a04007f00070202040202020102"
	domain := "300c060704007f0007010202010d" // standardized by number
	pdpi := hex.EncodeToString(object(0x30, vectortest.Hex(t, "060904007f000702020402"+domain)))
	infos, err := secinfo.Parse(object(0x31, vectortest.Hex(t, info+pdpi)))
	if err != nil || len(infos.PACE) != 1 {
		t.Fatalf("%+v, %v", infos, err)
	}
	return infos.PACE[0]
}

// Explicit domain parameters are used when they are those of a known curve.
func TestExplicitParameters(t *testing.T) {
	info := explicitInfo(t)
	if info.ParameterID != secinfo.NoID || pace.Name(info) != "PACE ECDH-GM AES-128 brainpoolP256r1" {
		t.Fatalf("identifier %d, %q", info.ParameterID, pace.Name(info))
	}
	comb := combination{"", "0.4.0.127.0.7.2.2.4.2.2", 13}
	c := comb.canCard(t)
	c.run(t, info, canPassword(t))
	if !slices.Equal(c.namedParameters, []int{-1}) {
		t.Errorf("DO 84 %v", c.namedParameters)
	}
	// There is nothing to name: a refusal is final.
	c = comb.canCard(t)
	c.answer = func(int, []byte, []byte) []byte { return []byte{0x6A, 0x80} }
	wantErr(t, fails(t, apdu.NewSession(c), info, canPassword(t), nil), apdu.WrongData, nil)
	if len(c.namedParameters) != 1 {
		t.Errorf("DO 84 %v", c.namedParameters)
	}
}

func noCard(t *testing.T) apdu.Doer {
	return apdu.NewSession(apdutest.Func(func(context.Context, []byte) ([]byte, error) {
		t.Error("a command was sent")
		return nil, apdutest.ErrGone
	}))
}

func TestUnsupported(t *testing.T) {
	const gm = "0.4.0.127.0.7.2.2.4.2.2"
	unnamed := explicitInfo(t)
	unnamed.Protocol = "0.4.0.127.0.7.2.2.4.6.2"
	tests := map[string]secinfo.PACEInfo{
		"zero":                          {},
		"no protocol":                   {Version: 2, ParameterID: 13},
		"version 1":                     {Protocol: gm, Version: 1, ParameterID: 13},
		"no parameters":                 {Protocol: gm, Version: 2, ParameterID: secinfo.NoID},
		"MODP group for a curve":        {Protocol: gm, Version: 2, ParameterID: 0},
		"curve for a MODP group":        {Protocol: "0.4.0.127.0.7.2.2.4.1.2", Version: 2, ParameterID: 13},
		"reserved parameters":           {Protocol: gm, Version: 2, ParameterID: 7},
		"reserved parameters above":     {Protocol: gm, Version: 2, ParameterID: 19},
		"reserved MODP group":           {Protocol: "0.4.0.127.0.7.2.2.4.1.2", Version: 2, ParameterID: 3},
		"negative parameters":           {Protocol: gm, Version: 2, ParameterID: -2},
		"unknown mapping":               {Protocol: "0.4.0.127.0.7.2.2.4.5.2", Version: 2, ParameterID: 13},
		"unknown cipher":                {Protocol: "0.4.0.127.0.7.2.2.4.2.5", Version: 2, ParameterID: 13},
		"cipher zero":                   {Protocol: "0.4.0.127.0.7.2.2.4.2.0", Version: 2, ParameterID: 13},
		"arc of two digits":             {Protocol: "0.4.0.127.0.7.2.2.4.2.22", Version: 2, ParameterID: 13},
		"no cipher":                     {Protocol: "0.4.0.127.0.7.2.2.4.2", Version: 2, ParameterID: 13},
		"one arc more":                  {Protocol: gm + ".1", Version: 2, ParameterID: 13},
		"another tree":                  {Protocol: "0.4.0.127.0.7.2.2.3.2.2", Version: 2, ParameterID: 13},
		"P-224 with integrated mapping": {Protocol: "0.4.0.127.0.7.2.2.4.4.2", Version: 2, ParameterID: 10},
		"3DES with chip authentication": {Protocol: "0.4.0.127.0.7.2.2.4.6.1", Version: 2, ParameterID: 13},
		"chip authentication over MODP": {Protocol: "0.4.0.127.0.7.2.2.4.6.2", Version: 2, ParameterID: 0},
		"chip authentication unnamed":   unnamed,
	}
	for name, info := range tests {
		t.Run(name, func(t *testing.T) {
			if pace.Name(info) != "" {
				t.Errorf("supported as %q", pace.Name(info))
			}
			wantErr(t, fails(t, noCard(t), info, canPassword(t), nil), pace.ErrUnsupported, pace.ErrUnsupported)
		})
	}
}

func TestNothingIsSent(t *testing.T) {
	info := combination{"", "0.4.0.127.0.7.2.2.4.2.2", 13}.info()
	wantErr(t, fails(t, noCard(t), info, pace.Password{}, nil), nil, nil)
	wantErr(t, fails(t, noCard(t), info, pace.FromMRZ(mrz.Key{}), nil), nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ch, _, err := pace.Establish(ctx, noCard(t), info, canPassword(t), nil); ch != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: channel %v, error %v", ch != nil, err)
	}
}

// Without all its randomness the terminal goes no further.
func TestShortRandomness(t *testing.T) {
	for _, id := range []string{"G.1", "G.2", "H.1", "H.2", "I.1"} {
		t.Run(id, func(t *testing.T) {
			e := exampleByID(t, id)
			whole, err := io.ReadAll(e.random(t))
			if err != nil {
				t.Fatal(err)
			}
			for n := range len(whole) {
				sent := 0
				card := apdutest.Func(func(_ context.Context, cmd []byte) ([]byte, error) {
					sent++
					return vectortest.Hex(t, e.APDUs[sent-1].Response), nil
				})
				err := fails(t, apdu.NewSession(card), e.info(t), e.password(t), &pace.Config{Rand: bytes.NewReader(whole[:n])})
				wantErr(t, err, nil, nil)
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%d bytes: %v", n, err)
				}
				if sent > 3 {
					t.Errorf("%d bytes: %d commands", n, sent)
				}
			}
		})
	}
}

func TestChoose(t *testing.T) {
	const id = "0.4.0.127.0.7.2.2.4."
	info := func(arcs string, parameter int) secinfo.PACEInfo {
		return secinfo.PACEInfo{Protocol: id + arcs, Version: 2, ParameterID: parameter}
	}
	tests := []struct {
		name  string
		infos []secinfo.PACEInfo
		want  int // index, -1 for none
	}{
		{"none", nil, -1},
		{"unsupported", []secinfo.PACEInfo{info("2.2", 3), info("5.2", 13)}, -1},
		{"the supported one", []secinfo.PACEInfo{info("2.2", 3), info("2.2", 13)}, 1},
		{"AES before 3DES", []secinfo.PACEInfo{info("2.1", 13), info("1.2", 0)}, 1},
		{"a curve before a MODP group", []secinfo.PACEInfo{info("1.2", 0), info("4.2", 13)}, 1},
		{"generic before integrated mapping", []secinfo.PACEInfo{info("4.2", 13), info("2.2", 13)}, 1},
		{"chip authentication mapping first", []secinfo.PACEInfo{info("4.2", 13), info("2.2", 13), info("6.2", 13)}, 2},
		{"the first of equals", []secinfo.PACEInfo{info("2.2", 12), info("2.4", 18)}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := pace.Choose(tt.infos)
			if ok != (tt.want >= 0) {
				t.Fatalf("chosen %v", ok)
			}
			if ok && got.Protocol+fmt.Sprint(got.ParameterID) != tt.infos[tt.want].Protocol+fmt.Sprint(tt.infos[tt.want].ParameterID) {
				t.Errorf("%s with %d", got.Protocol, got.ParameterID)
			}
		})
	}
}

func TestFromCAN(t *testing.T) {
	for _, s := range []string{"", " 123456", "12345a", "１２３４５６", strings.Repeat("1", 33), "123\x00"} {
		if pw, err := pace.FromCAN(s); !errors.Is(err, pace.ErrCAN) || !pw.IsZero() {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"0", "000000", "123456", strings.Repeat("9", 32)} {
		if pw, err := pace.FromCAN(s); err != nil || pw.IsZero() {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestPasswordIsRedacted(t *testing.T) {
	pw, err := pace.FromCAN("735264")
	if err != nil {
		t.Fatal(err)
	}
	type holder struct{ pw pace.Password }
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "pw", pw)
	encoded, err := json.Marshal(map[string]any{"pw": pw})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{pw.String(), pw.GoString(), log.String(), string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, pw), fmt.Sprintf(verb, &pw), fmt.Sprintf(verb, holder{pw}), fmt.Sprintf(verb, []pace.Password{pw}))
	}
	for _, s := range texts {
		if strings.Contains(s, "735264") || strings.Contains(s, hex.EncodeToString([]byte("735264"))) {
			t.Errorf("printed: %s", s)
		}
	}
	for _, s := range texts[:4] {
		if !strings.Contains(s, "[redacted]") {
			t.Errorf("not redacted: %s", s)
		}
	}
}

// A proof of chip authentication mapping is worth nothing with no key, or a
// key of another curve.
func TestCAMWithoutKey(t *testing.T) {
	var none *pace.CAM
	comb := combination{"", "0.4.0.127.0.7.2.2.4.6.2", 13}
	c := comb.canCard(t)
	_, cam := c.run(t, comb.info(), canPassword(t))
	for name, err := range map[string]error{
		"no proof":      none.Verify(c.static.Public()),
		"zero proof":    (&pace.CAM{}).Verify(c.static.Public()),
		"no key":        cam.Verify(nil),
		"another curve": cam.Verify(secinfo.StandardizedCurve(12).Generator()),
	} {
		if !errors.Is(err, pace.ErrCardAuthentication) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A clone: it runs PACE, and has another static key.
	d := comb.canCard(t)
	_, cam, err := pace.Establish(t.Context(), apdu.NewSession(d), comb.info(), canPassword(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := cam.Verify(c.static.Public()); !errors.Is(err, pace.ErrCardAuthentication) {
		t.Errorf("a clone: %v", err)
	}
}

// Chip authentication data has the width of the order (Doc 9303-11, 4.4.5.6).
func TestChipAuthenticationDataWidth(t *testing.T) {
	comb := combination{"", "0.4.0.127.0.7.2.2.4.6.2", 13}
	for name, change := range map[string]func([]byte) []byte{
		"one byte more": func(b []byte) []byte { return append([]byte{0}, b...) },
		"one byte less": func(b []byte) []byte { return b[1:] },
		"nothing":       func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := comb.canCard(t)
			c.caIC = change
			err := fails(t, apdu.NewSession(c), comb.info(), canPassword(t), nil)
			wantErr(t, err, pace.ErrCardAuthentication, pace.ErrCardAuthentication)
		})
	}
}

// A chip whose public key of the mapping cancels the nonce out: the generator
// would be the neutral element. It takes a chip that knows the terminal's
// private key.
func TestMappingToIdentity(t *testing.T) {
	for _, comb := range []combination{{"MODP", "0.4.0.127.0.7.2.2.4.1.2", 0}, {"curve", "0.4.0.127.0.7.2.2.4.2.2", 13}} {
		t.Run(comb.name, func(t *testing.T) {
			c := comb.canCard(t)
			terminal := big.NewInt(0x1234567)
			random := terminal.FillBytes(make([]byte, (c.group.order.BitLen()+7)/8))
			c.answer = func(step int, _, response []byte) []byte {
				if step != 2 {
					return response
				}
				// x = -s / x_IFD
				x := new(big.Int).ModInverse(terminal, c.group.order)
				x.Mul(x, new(big.Int).SetBytes(c.s)).Neg(x).Mod(x, c.group.order)
				return append(object(0x7C, object(0x82, c.group.mult(c.group.base, x))), 0x90, 0x00)
			}
			cfg := &pace.Config{Rand: io.MultiReader(bytes.NewReader(random), pattern{})}
			wantErr(t, fails(t, apdu.NewSession(c), comb.info(), canPassword(t), cfg), pace.ErrProtocol, pace.ErrProtocol)
			if c.step != 2 {
				t.Errorf("went on to step %d", c.step)
			}
		})
	}
}

// A responder that does not know the password: bounded, no panic, no channel.
func FuzzHostileCard(f *testing.F) {
	infos := []secinfo.PACEInfo{}
	for _, c := range combinations() {
		if c.id == 13 || c.id == 0 {
			infos = append(infos, c.info())
		}
	}
	seeds := 0
	for _, e := range examples(f, false) {
		for i, info := range infos {
			if info.Protocol != e.OID {
				continue
			}
			script := []byte{byte(i)}
			for _, a := range e.APDUs {
				r := vectortest.Hex(f, a.Response)
				script = append(append(script, byte(len(r)>>8), byte(len(r))), r...)
			}
			f.Add(script)
			seeds++
		}
	}
	if seeds != 5 {
		f.Fatalf("%d seeds", seeds)
	}
	pw := canPassword(f)
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) == 0 {
			return
		}
		d := &hostile{script: script[1:]}
		ch, cam, err := pace.Establish(t.Context(), d, infos[int(script[0])%len(infos)], pw, &pace.Config{Rand: pattern{}})
		if ch != nil || cam != nil || err == nil {
			t.Fatal("a channel with a card that does not know the password")
		}
		if d.sent > 7 {
			t.Errorf("%d commands", d.sent)
		}
	})
}

// hostile answers with pieces of its script, each with its length before it.
type hostile struct {
	script []byte
	sent   int
}

func (h *hostile) Do(context.Context, apdu.Command) (apdu.Response, error) {
	h.sent++
	if len(h.script) < 2 {
		return apdu.Response{}, apdutest.ErrGone
	}
	n := min(int(h.script[0])<<8|int(h.script[1]), len(h.script)-2)
	r := h.script[2 : 2+n]
	h.script = h.script[2+n:]
	return apdu.ParseResponse(r)
}

// pattern is randomness that makes runs repeatable.
type pattern struct{}

func (pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(0x11 + i)
	}
	return len(b), nil
}
