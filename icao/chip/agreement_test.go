package chip

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
)

// agreement is the terminal's arithmetic in one group. Elements are in their
// full length: points uncompressed, numbers as long as the modulus.
type agreement struct {
	t     testing.TB
	curve *ec.Curve
	p, q  *big.Int // of a group modulo a prime
	g     *big.Int
}

func newAgreement(t testing.TB, curve string, parameter int) agreement {
	t.Helper()
	if curve == "" {
		curve = issuer.CurveByID(parameter)
	}
	if curve != "" {
		return agreement{t: t, curve: ec.ByName(curve)}
	}
	g := issuer.GroupByID(parameter)
	n := func(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
	return agreement{t: t, p: n(g.P()), q: n(g.Q()), g: n(g.Generator())}
}

func (a agreement) order() *big.Int {
	if a.curve != nil {
		return new(big.Int).SetBytes(a.curve.N())
	}
	return a.q
}

func (a agreement) scalar(random io.Reader) []byte {
	a.t.Helper()
	b := make([]byte, 80)
	if _, err := io.ReadFull(random, b); err != nil {
		a.t.Fatal(err)
	}
	n := a.order()
	return new(big.Int).Mod(new(big.Int).SetBytes(b), n).FillBytes(make([]byte, (n.BitLen()+7)/8))
}

func (a agreement) point(b []byte) *ec.Point {
	a.t.Helper()
	p, err := a.curve.ParsePoint(b)
	if err != nil {
		a.t.Fatal(err)
	}
	return p
}

// power is base^k; a nil base is the generator.
func (a agreement) power(base, k []byte) []byte {
	a.t.Helper()
	if a.curve == nil {
		b := a.g
		if base != nil {
			b = new(big.Int).SetBytes(base)
		}
		return new(big.Int).Exp(b, new(big.Int).SetBytes(k), a.p).FillBytes(make([]byte, (a.p.BitLen()+7)/8))
	}
	p := a.curve.Generator()
	if base != nil {
		p = a.point(base)
	}
	r, err := a.curve.ScalarMult(p, k)
	if err != nil {
		a.t.Fatal(err)
	}
	return r.Bytes()
}

func (a agreement) multiply(x, y []byte) []byte {
	a.t.Helper()
	if a.curve == nil {
		r := new(big.Int).Mul(new(big.Int).SetBytes(x), new(big.Int).SetBytes(y))
		return r.Mod(r, a.p).FillBytes(make([]byte, len(x)))
	}
	r, err := a.curve.Add(a.point(x), a.point(y))
	if err != nil {
		a.t.Fatal(err)
	}
	return r.Bytes()
}

// wire is a public key as it is sent: a number without leading zeros.
func (a agreement) wire(x []byte) []byte {
	if a.curve == nil {
		return bytes.TrimLeft(x, "\x00")
	}
	return x
}

// full is a received public key in its full length.
func (a agreement) full(x []byte) []byte {
	if a.curve == nil {
		return new(big.Int).SetBytes(x).FillBytes(make([]byte, (a.p.BitLen()+7)/8))
	}
	return x
}

// secret is what keys are derived from.
func (a agreement) secret(x []byte) []byte {
	if a.curve == nil {
		return x
	}
	return a.point(x).X()
}

// integrated is the mapped generator of integrated mapping, for the cipher that
// arc names.
func (a agreement) integrated(arc byte, s, t []byte) []byte {
	a.t.Helper()
	size, c0, c1 := 16, "a668892a7c41e3ca739f40b057d85904", "a4e136ac725f738b01c1f60217c188ad"
	if arc > '2' {
		size = 24 + 8*int(arc-'3')
		c0 = "d463d65234124ef7897054986dca0a174e28df758cbaa03f240616414d5a1676"
		c1 = "54bd7255f0aaf831bec3423fcf39d69b6cbf066677d0faae5aadd99df8e53517"
	}
	encrypt := func(key, data []byte) []byte {
		var block cipher.Block
		if arc == '1' {
			block = tripleDESBlock(a.t, key[:size])
		} else {
			var err error
			if block, err = aes.NewCipher(key[:size]); err != nil {
				a.t.Fatal(err)
			}
		}
		out := bytes.Clone(data)
		cipher.NewCBCEncrypter(block, make([]byte, block.BlockSize())).CryptBlocks(out, out)
		return out
	}
	modulus := a.p
	if a.curve != nil {
		modulus = new(big.Int).SetBytes(a.curve.P())
	}
	var x []byte
	for k := encrypt(t, s); 8*len(x) < modulus.BitLen()+64; k = encrypt(k, vectortest.Hex(a.t, c0)) {
		x = append(x, encrypt(k, vectortest.Hex(a.t, c1))...)
	}
	n := new(big.Int).SetBytes(x)
	n.Mod(n, modulus)
	if a.curve == nil {
		cofactor := new(big.Int).Div(new(big.Int).Sub(a.p, big.NewInt(1)), a.q)
		return a.power(n.Bytes(), cofactor.Bytes())
	}
	p, err := a.curve.MapToPoint(n.FillBytes(make([]byte, a.curve.Size())))
	if err != nil {
		a.t.Fatal(err)
	}
	return p.Bytes()
}

// paceOptions are what the terminal does beyond the plain protocol.
type paceOptions struct {
	reference bool      // name the domain parameters
	random    io.Reader // nil: seeded
}

// pace runs PACE with one variant and the password of the given reference, and
// opens secure messaging. It returns the status that ended it. static is the
// chip's key for chip authentication mapping, which the chip then has to prove.
func (m *terminal) pace(v PACE, password byte, secret, static []byte, opt paceOptions) apdu.Status {
	m.t.Helper()
	random := opt.random
	if random == nil {
		random = seeded("terminal PACE")
	}
	arcs := strings.Split(v.Protocol, ".")
	mapping, arc := arcs[9], arcs[10][0]
	oid := vectortest.Hex(m.t, fmt.Sprintf("04007f0007020204%02s%02s", mapping, arcs[10]))
	a := newAgreement(m.t, v.Curve, v.ParameterID)

	template := join(object(0x80, oid), object(0x83, []byte{password}))
	if opt.reference {
		template = join(template, object(0x84, []byte{byte(v.ParameterID)}))
	}
	if _, sw := m.raw(fmt.Sprintf("0022c1a4%02x%x", len(template), template)); sw != apdu.OK {
		return sw
	}
	var sw apdu.Status
	step := func(cla string, tag byte, data []byte) []byte { // returns the objects in the answer
		m.t.Helper()
		var body []byte
		if tag != 0 {
			body = object(tag, data)
		}
		body = object(0x7C, body)
		length := fmt.Sprintf("%02x", len(body))
		le := "00"
		if len(body) > 255 {
			length, le = fmt.Sprintf("00%04x", len(body)), "0000"
		}
		var got []byte
		if got, sw = m.raw(fmt.Sprintf("%s860000%s%x%s", cla, length, body, le)); sw != apdu.OK {
			return nil
		}
		return value(m.t, got, 0x7C)
	}
	z := value(m.t, step("10", 0, nil), 0x80)
	kPi := deriveFor(arc, secret, 3)
	var block cipher.Block
	if arc == '1' {
		block = tripleDESBlock(m.t, kPi)
	} else {
		var err error
		if block, err = aes.NewCipher(kPi); err != nil {
			m.t.Fatal(err)
		}
	}
	s := bytes.Clone(z)
	cipher.NewCBCDecrypter(block, make([]byte, block.BlockSize())).CryptBlocks(s, s)

	var mapped, chipMap []byte
	if mapping == "3" || mapping == "4" {
		nonce := make([]byte, map[byte]int{'1': 16, '2': 16, '3': 24, '4': 32}[arc])
		if _, err := io.ReadFull(random, nonce); err != nil {
			m.t.Fatal(err)
		}
		if got := value(m.t, step("10", 0x81, nonce), 0x82); len(got) != 0 {
			m.t.Fatalf("integrated mapping: %x", got)
		}
		mapped = a.integrated(arc, s, nonce)
	} else {
		key := a.scalar(random)
		chipMap = a.full(value(m.t, step("10", 0x81, a.wire(a.power(nil, key))), 0x82))
		mapped = a.multiply(a.power(nil, s), a.power(chipMap, key))
	}

	key := a.scalar(random)
	public := a.power(mapped, key)
	chipWire := value(m.t, step("10", 0x83, a.wire(public)), 0x84)
	chipKey := a.full(chipWire)
	shared := a.secret(a.power(chipKey, key))

	m.start(arc, shared)
	token := func(public []byte) []byte {
		tag := byte(0x86)
		if a.curve == nil {
			tag = 0x84
		}
		body := object(0, join(object(6, oid), object(tag, public)))[1:]
		body = join([]byte{0x7F, 0x49}, body)
		if arc == '1' {
			return m.mac(pad(body, 8))
		}
		return m.mac(body)
	}
	answer := step("00", 0x85, token(chipWire))
	if sw != apdu.OK {
		m.block = nil
		return sw
	}
	if got := value(m.t, answer, 0x86); !bytes.Equal(got, token(a.wire(public))) {
		m.t.Fatal("wrong token of the chip")
	}
	rest := answer[10:]
	if static == nil {
		if len(rest) != 0 {
			m.t.Fatalf("more than a token: %x", rest)
		}
		return sw
	}
	data := bytes.Clone(value(m.t, rest, 0x8A))
	iv := bytes.Repeat([]byte{0xFF}, 16)
	m.block.Encrypt(iv, iv)
	cipher.NewCBCDecrypter(m.block, iv).CryptBlocks(data, data)
	data = bytes.TrimRight(data, "\x00")
	if size := a.curve.OrderSize(); len(data) != size+1 || data[size] != 0x80 {
		m.t.Fatalf("chip authentication data of %d bytes", len(data))
	}
	if !bytes.Equal(a.power(static, data[:len(data)-1]), chipMap) {
		m.t.Fatal("the chip has not proved its static key")
	}
	return sw
}

// value is the value of the object with a tag that b begins with.
func value(t testing.TB, b []byte, tag byte) []byte {
	t.Helper()
	if len(b) < 2 || b[0] != tag {
		t.Fatalf("no DO'%02X' in %x", tag, b)
	}
	head, n := 2, int(b[1])
	if b[1] > 0x80 {
		head, n = 2+int(b[1]-0x80), 0
		for _, x := range b[2:head] {
			n = n<<8 | int(x)
		}
	}
	if len(b) < head+n {
		t.Fatalf("DO'%02X' is cut", tag)
	}
	return b[head : head+n]
}

// chipAuthentication agrees on new keys with a static key of the chip, by
// MSE:Set KAT or by MSE:Set AT and GENERAL AUTHENTICATE. It returns the status
// that ended it.
func (m *terminal) chipAuthentication(ca ChipAuthentication, kat, reference bool, random io.Reader) apdu.Status {
	m.t.Helper()
	arcs := strings.Split(ca.Protocol, ".")
	arc := arcs[10][0]
	var (
		a      agreement
		static []byte
	)
	if ca.Key.EC != nil {
		static = ca.Key.EC.Public().Bytes()
		a = newAgreement(m.t, ca.Key.EC.Public().Curve().Name(), 0)
	} else {
		static = ca.Key.DH.Public()
		a = newAgreement(m.t, "", ca.Key.DH.Group().ID())
	}
	if random == nil {
		random = seeded("terminal CA")
	}
	key := a.scalar(random)
	public := a.wire(a.power(nil, key))
	var ref []byte
	if reference {
		ref = object(0x84, []byte{byte(ca.KeyID)})
	}
	if kat {
		if _, sw := m.long("002241a6", join(object(0x91, public), ref), 0); sw != apdu.OK {
			return sw
		}
	} else {
		oid := vectortest.Hex(m.t, fmt.Sprintf("04007f0007020203%02s%02s", arcs[9], arcs[10]))
		if _, sw := m.do("002241a4", join(object(0x80, oid), ref), 0); sw != apdu.OK {
			return sw
		}
		data, sw := m.long("00860000", object(0x7C, object(0x80, public)), 256)
		if sw != apdu.OK {
			return sw
		}
		if !bytes.Equal(data, []byte{0x7C, 0}) {
			m.t.Fatalf("GENERAL AUTHENTICATE: %x", data)
		}
	}
	m.start(arc, a.secret(a.power(static, key)))
	return apdu.OK
}

// The names of the second arc of PACE protocols, and of the last arc.
var (
	paceArcs = []struct {
		arc  int
		name string
	}{{1, "DH-GM"}, {2, "ECDH-GM"}, {3, "DH-IM"}, {4, "ECDH-IM"}, {6, "ECDH-CAM"}}
	cipherArcs = []string{1: "3DES", 2: "AES-128", 3: "AES-192", 4: "AES-256"}
)

// paceVariants calls f with every variant of PACE with standardized domain
// parameters.
func paceVariants(f func(name string, v PACE)) {
	for _, p := range paceArcs {
		ids := []int{0, 1, 2}
		if p.arc%2 == 0 {
			ids = []int{8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}
		}
		for _, id := range ids {
			for c, cipherName := range cipherArcs {
				if c == 0 || p.arc == 4 && id == 10 || p.arc == 6 && c == 1 {
					continue
				}
				f(fmt.Sprintf("%s %s %d", p.name, cipherName, id), PACE{
					Protocol: fmt.Sprintf("0.4.0.127.0.7.2.2.4.%d.%d", p.arc, c), ParameterID: id, Version: 2,
				})
			}
		}
	}
}

// withPACE makes a chip that offers v, and returns the public key of chip
// authentication mapping, if v is that.
func withPACE(t testing.TB, v PACE, change func(*Personalisation)) (m *terminal, static []byte) {
	t.Helper()
	m = newTestChip(t, func(p *Personalisation) {
		p.PACE, p.CAN = &v, "123456"
		p.Rand = seeded("chip PACE")
		if strings.HasPrefix(v.Protocol, "0.4.0.127.0.7.2.2.4.6.") {
			k, err := issuer.NewECKey(seeded("static"), issuer.CurveByID(v.ParameterID), false)
			if err != nil {
				t.Fatal(err)
			}
			p.ChipAuthentication = &ChipAuthentication{Key: k, KeyID: v.ParameterID}
			static = k.EC.Public().Bytes()
		}
		if change != nil {
			change(p)
		}
	})
	return m, static
}

// TestPACEVariants opens a chip with every variant and both passwords.
func TestPACEVariants(t *testing.T) {
	n := 0
	paceVariants(func(name string, v PACE) {
		n++
		t.Run(name, func(t *testing.T) {
			m, static := withPACE(t, v, nil)
			for _, p := range []struct {
				reference byte
				secret    []byte
			}{{passwordMRZ, sum1([]byte(testInformation))}, {passwordCAN, []byte("123456")}} {
				m.chip.Reset()
				if sw := m.pace(v, p.reference, p.secret, static, paceOptions{reference: n%2 == 0}); sw != apdu.OK {
					t.Fatalf("password %d: %04X", p.reference, uint16(sw))
				}
				if _, sw := m.do("00a4040c", []byte(applicationID), 0); sw != apdu.OK {
					t.Fatalf("SELECT application: %04X", uint16(sw))
				}
				m.read(0x1E)
			}
		})
	})
	if want := 2*3*4 + 11*4 + 10*4 + 11*3; n != want {
		t.Errorf("%d variants, want %d", n, want)
	}
}

// TestLeadingZeros forces zero bytes where fixed widths matter.
func TestLeadingZeros(t *testing.T) {
	tests := map[Drawn]string{
		DrawNonce: "nonce", DrawMapKey: "mapping key", DrawMapSecret: "mapping secret", DrawGenerator: "generator",
		DrawKey: "key", DrawSecret: "secret", DrawChipAuthenticationData: "authentication data",
	}
	for _, v := range []PACE{
		{Protocol: "0.4.0.127.0.7.2.2.4.1.2", ParameterID: 0},
		{Protocol: "0.4.0.127.0.7.2.2.4.2.4", ParameterID: 16},
		{Protocol: "0.4.0.127.0.7.2.2.4.3.3", ParameterID: 0},
		{Protocol: "0.4.0.127.0.7.2.2.4.4.1", ParameterID: 9},
		{Protocol: "0.4.0.127.0.7.2.2.4.6.2", ParameterID: 13},
		{Protocol: "0.4.0.127.0.7.2.2.4.6.3", ParameterID: 18},
	} {
		size := 0 // of a number modulo a prime
		if g := issuer.GroupByID(v.ParameterID); g != nil {
			size = g.Size()
		}
		for what, name := range tests {
			asked := false
			zero := func(got Drawn, b []byte) bool {
				if got != what {
					return false
				}
				asked = true
				switch {
				case what == DrawNonce, what == DrawSecret:
					return b[0] != 0
				case what == DrawChipAuthenticationData:
					return b[0] != 0
				case size > 0:
					return len(b) == size
				default:
					return b[1] != 0 // behind 04; of 521 bits it has one
				}
			}
			t.Run(fmt.Sprintf("%s %d %s", v.Protocol, v.ParameterID, name), func(t *testing.T) {
				m, static := withPACE(t, v, func(p *Personalisation) { p.Redraw = zero })
				if sw := m.pace(v, passwordCAN, []byte("123456"), static, paceOptions{}); sw != apdu.OK {
					t.Fatalf("PACE: %04X", uint16(sw))
				}
				m.do("00a4040c", []byte(applicationID), 0)
				m.read(0x1E)
				integrated := strings.Contains(v.Protocol, "2.2.4.3.") || strings.Contains(v.Protocol, "2.2.4.4.")
				mapping := what == DrawMapKey || what == DrawMapSecret || what == DrawGenerator
				data := what == DrawChipAuthenticationData
				if want := !(integrated && mapping || data && static == nil); asked != want {
					t.Errorf("asked %t, want %t", asked, want)
				}
			})
		}
	}
	t.Run("basic access control", func(t *testing.T) {
		m := newTestChip(t, func(p *Personalisation) {
			p.Redraw = func(what Drawn, b []byte) bool {
				return (what == DrawRndIC || what == DrawKIC) && b[0] != 0
			}
		})
		open(m).read(0x1E)
	})
	t.Run("never content", func(t *testing.T) {
		m := newTestChip(t, func(p *Personalisation) { p.Redraw = func(Drawn, []byte) bool { return true } })
		m.want("0084000008", apdu.NoPreciseDiagnosis)
	})
}

// TestPACESelection: which variant MSE:Set AT means, with several of them.
func TestPACESelection(t *testing.T) {
	gm := func(id int) PACE { return PACE{Protocol: "0.4.0.127.0.7.2.2.4.2.2", ParameterID: id, Version: 2} }
	im := func(id int) PACE { return PACE{Protocol: "0.4.0.127.0.7.2.2.4.4.2", ParameterID: id, Version: 2} }
	tests := []struct {
		name      string
		offers    []PACE
		take      PACE
		reference bool
		quirk     apdu.Status
		want      apdu.Status
	}{
		{"two mappings, one set of parameters", []PACE{gm(13), im(13)}, im(13), false, 0, apdu.OK},
		{"two mappings, one set of parameters, named", []PACE{gm(13), im(13)}, gm(13), true, 0, apdu.OK},
		{"two sets, not named", []PACE{gm(13), gm(12)}, gm(13), false, 0, apdu.ReferencedDataNotFound},
		{"two sets of two mappings, not named", []PACE{gm(13), im(12)}, im(12), false, 0, apdu.ReferencedDataNotFound},
		{"two sets, first", []PACE{gm(13), gm(12)}, gm(13), true, 0, apdu.OK},
		{"two sets, second", []PACE{gm(13), gm(12)}, gm(12), true, 0, apdu.OK},
		{"parameters of another mapping", []PACE{gm(13), im(12)}, im(13), true, 0, apdu.ReferencedDataNotFound},
		{"mapping that is not offered", []PACE{gm(13)}, im(13), true, 0, apdu.WrongData},
		{"chip insists on a reference, 6A80", []PACE{gm(13)}, gm(13), false, apdu.WrongData, apdu.WrongData},
		{"chip insists on a reference, 6A88", []PACE{gm(13)}, gm(13), false, apdu.ReferencedDataNotFound, apdu.ReferencedDataNotFound},
		{"chip gets its reference", []PACE{gm(13)}, gm(13), true, apdu.WrongData, apdu.OK},
		{
			"explicit parameters",
			[]PACE{{Protocol: "0.4.0.127.0.7.2.2.4.2.4", ParameterID: 32, Curve: "brainpoolP384r1"}},
			PACE{Protocol: "0.4.0.127.0.7.2.2.4.2.4", ParameterID: 32, Curve: "brainpoolP384r1"},
			true, 0, apdu.OK,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := withPACE(t, tt.offers[0], func(p *Personalisation) {
				p.MorePACE = tt.offers[1:]
				p.Quirks.PACEReference = tt.quirk
			})
			if sw := m.pace(tt.take, passwordCAN, []byte("123456"), nil, paceOptions{reference: tt.reference}); sw != tt.want {
				t.Errorf("status %04X, want %04X", uint16(sw), uint16(tt.want))
			}
		})
	}
}

// TestCANTries: the retry counter of the card access number.
func TestCANTries(t *testing.T) {
	v := PACE{Protocol: oidPACEGMAES128, ParameterID: 12, Version: 2}
	type attempt struct {
		password byte
		secret   string
		want     apdu.Status
	}
	mrzSecret, wrong, right := string(sum1([]byte(testInformation))), "000000", "123456"
	tests := []struct {
		name  string
		tries int
		noMRZ bool
		runs  []attempt
	}{
		{"no counter", 0, false, []attempt{{2, wrong, 0x6300}, {2, wrong, 0x6300}, {1, wrong, 0x6300}, {2, right, apdu.OK}}},
		{"down to nothing", 3, false, []attempt{
			{2, wrong, 0x63C2},
			{1, wrong, 0x6300},
			{2, wrong, 0x63C1},
			{2, wrong, 0x63C0},
			{2, right, apdu.AuthenticationMethodBlocked},
			{1, mrzSecret, apdu.OK},
			{2, right, apdu.AuthenticationMethodBlocked},
		}},
		{"begins anew", 2, false, []attempt{{2, wrong, 0x63C1}, {2, right, apdu.OK}, {2, wrong, 0x63C1}, {2, wrong, 0x63C0}}},
		{"CAN only", 0, true, []attempt{{1, mrzSecret, apdu.ReferencedDataNotFound}, {2, right, apdu.OK}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := withPACE(t, v, func(p *Personalisation) { p.CANTries, p.NoPACEByMRZ = tt.tries, tt.noMRZ })
			for i, a := range tt.runs {
				m.chip.Reset()
				if sw := m.pace(v, a.password, []byte(a.secret), nil, paceOptions{}); sw != a.want {
					t.Errorf("attempt %d: %04X, want %04X", i, uint16(sw), uint16(a.want))
				}
			}
		})
	}
}

// TestFixedLengthDH: a chip that pads its public keys, in the token too.
func TestFixedLengthDH(t *testing.T) {
	v := PACE{Protocol: "0.4.0.127.0.7.2.2.4.1.2", ParameterID: 0}
	m, _ := withPACE(t, v, func(p *Personalisation) {
		p.Quirks.FixedLengthDH = true
		p.Redraw = func(what Drawn, b []byte) bool { return what == DrawKey && b[0] != 0 }
	})
	if sw := m.pace(v, passwordCAN, []byte("123456"), nil, paceOptions{}); sw != apdu.OK {
		t.Errorf("status %04X", uint16(sw))
	}
}

// TestChipAuthenticationVariants takes every protocol on several groups, both ways
// where there are two.
func TestChipAuthenticationVariants(t *testing.T) {
	key := func(id int, seed string) *issuer.Key {
		var (
			k   *issuer.Key
			err error
		)
		if id < 8 {
			k, err = issuer.NewDHKey(seeded(seed), id, id == 0)
		} else {
			k, err = issuer.NewECKey(seeded(seed), issuer.CurveByID(id), true)
		}
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	withCA := func(t *testing.T, change func(*Personalisation), all ...ChipAuthentication) *terminal {
		return open(newTestChip(t, func(p *Personalisation) {
			p.ChipAuthentication, p.MoreChipAuthentication = &all[0], all[1:]
			if change != nil {
				change(p)
			}
		}))
	}
	protocol := func(id, c int) string {
		if id < 8 {
			return fmt.Sprintf("0.4.0.127.0.7.2.2.3.1.%d", c)
		}
		return fmt.Sprintf("0.4.0.127.0.7.2.2.3.2.%d", c)
	}
	for _, id := range []int{0, 1, 2, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18} {
		static := key(id, "static")
		for c := 1; c <= 4; c++ {
			t.Run(fmt.Sprintf("%d %s", id, cipherArcs[c]), func(t *testing.T) {
				ca := ChipAuthentication{Protocol: protocol(id, c), Key: static}
				m := withCA(t, nil, ca)
				for i := range 3 { // one after another, in changing forms
					kat := c == 1 && i%2 == 0
					if sw := m.chipAuthentication(ca, kat, false, seeded(fmt.Sprint(i))); sw != apdu.OK {
						t.Fatalf("%d: %04X", i, uint16(sw))
					}
					m.read(0x1E)
				}
			})
		}
	}

	a, b := key(12, "a"), key(13, "b")
	one := ChipAuthentication{Protocol: protocol(12, 2), Key: a, KeyID: 1}
	two := ChipAuthentication{Protocol: protocol(12, 2), Key: b, KeyID: 2}
	old := ChipAuthentication{Protocol: protocol(12, 1), Key: a, KeyID: 1}
	numberless := ChipAuthentication{Protocol: protocol(12, 1), Key: a}
	tests := []struct {
		name           string
		has            []ChipAuthentication
		take           ChipAuthentication
		kat, reference bool
		quirks         Quirks
		want           apdu.Status
	}{
		{"two keys, not named", []ChipAuthentication{one, two}, one, false, false, Quirks{}, apdu.ReferencedDataNotFound},
		{"two keys, first", []ChipAuthentication{one, two}, one, false, true, Quirks{}, apdu.OK},
		{"two keys, second", []ChipAuthentication{one, two}, two, false, true, Quirks{}, apdu.OK},
		{"key that is not there", []ChipAuthentication{one}, two, false, true, Quirks{}, apdu.ReferencedDataNotFound},
		{"one key, named", []ChipAuthentication{one}, one, false, true, Quirks{}, apdu.OK},
		{"one key, two protocols", []ChipAuthentication{one, old}, old, true, false, Quirks{}, apdu.OK},
		{"one key, two protocols, the other", []ChipAuthentication{one, old}, one, false, false, Quirks{}, apdu.OK},
		{"key of one protocol by the other", []ChipAuthentication{two, old}, ChipAuthentication{Protocol: old.Protocol, Key: b, KeyID: 2}, true, true, Quirks{}, apdu.ReferencedDataNotFound},
		{"protocol that is not offered", []ChipAuthentication{one}, old, false, false, Quirks{}, apdu.WrongData},
		{"Set KAT without 3DES", []ChipAuthentication{one}, old, true, false, Quirks{}, apdu.FunctionNotSupported},
		{"no Set KAT", []ChipAuthentication{old}, old, true, false, Quirks{NoSetKAT: true}, apdu.IncorrectP1P2},
		{"no Set KAT, by Set AT", []ChipAuthentication{old}, old, false, false, Quirks{NoSetKAT: true}, apdu.OK},
		{"no Set AT", []ChipAuthentication{old}, old, false, false, Quirks{NoSetAT: true}, apdu.WrongData},
		{"no Set AT, by Set KAT", []ChipAuthentication{old}, old, true, false, Quirks{NoSetAT: true}, apdu.OK},
		{"key without identifier, named", []ChipAuthentication{numberless}, old, true, true, Quirks{}, apdu.OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := withCA(t, func(p *Personalisation) { p.Quirks = tt.quirks }, tt.has...)
			if sw := m.chipAuthentication(tt.take, tt.kat, tt.reference, nil); sw != tt.want {
				t.Errorf("status %04X, want %04X", uint16(sw), uint16(tt.want))
			}
			m.read(0x1E) // under the new keys, or the old ones
		})
	}

	t.Run("small subgroup", func(t *testing.T) {
		ca := ChipAuthentication{Protocol: protocol(0, 1), Key: key(0, "static")}
		g := issuer.GroupByID(0)
		p := new(big.Int).SetBytes(g.P())
		minusOne := new(big.Int).Sub(p, big.NewInt(1))
		for _, y := range []*big.Int{new(big.Int), big.NewInt(1), big.NewInt(2), minusOne, p} {
			m := withCA(t, nil, ca)
			if _, sw := m.do("002241a6", object(0x91, y.Bytes()), 0); sw != apdu.WrongData {
				t.Errorf("%d bits: %04X", y.BitLen(), uint16(sw))
			}
			m.read(0x1E)
		}
	})
}
