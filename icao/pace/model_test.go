package pace_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/kdf"
	"github.com/chamthe/chamthe/icao/internal/mac"
	"github.com/chamthe/chamthe/icao/pace"
	"github.com/chamthe/chamthe/icao/secinfo"
)

// A card is the chip's side of PACE for these tests, written from the standard
// and not from the code under test: every mapping, curves and MODP groups,
// every cipher. It accepts one password under one reference.
type card struct {
	t         testing.TB
	oid       string
	id        int
	group     cardGroup
	reference byte
	k         []byte         // f(pi)
	static    *ec.PrivateKey // of chip authentication mapping

	nonce  []byte                                      // nil: random
	accept func(public, shared []byte) bool            // which ephemeral keys of its own it likes; nil: all
	encode func(public []byte) []byte                  // how it writes its key; nil: as it is
	caIC   func([]byte) []byte                         // another CA_IC; nil: the right one
	answer func(step int, cmd, response []byte) []byte // what it says instead; nil: nothing else

	step                   int
	s                      []byte
	mapKey, key            *big.Int
	generator, peer, sent  []byte
	ksEnc, ksMac           []byte
	terminalPublic         [][]byte // what the terminal sent
	namedParameters        []int    // DO'84' of every MSE:Set AT, -1 for none
	finished               bool
	mapShared, agreeShared []byte
}

// A cardGroup computes with encoded elements.
type cardGroup struct {
	base   []byte
	order  *big.Int
	size   int // of the field in bytes
	prime  *big.Int
	tag    byte
	mult   func(element []byte, k *big.Int) []byte
	add    func(a, b []byte) []byte
	shared func(element []byte) []byte
	encode func(t *big.Int) []byte // integrated mapping
}

func curveModel(c *ec.Curve) cardGroup {
	point := func(b []byte) *ec.Point {
		p, err := c.ParsePoint(b)
		if err != nil {
			panic(err)
		}
		return p
	}
	p := new(big.Int).SetBytes(c.P())
	return cardGroup{
		base: c.Generator().Bytes(), order: new(big.Int).SetBytes(c.N()), size: c.Size(), prime: p, tag: 0x86,
		mult: func(e []byte, k *big.Int) []byte {
			r, err := c.ScalarMult(point(e), k.Bytes())
			if err != nil {
				panic(err)
			}
			return r.Bytes()
		},
		add: func(a, b []byte) []byte {
			r, err := c.Add(point(a), point(b))
			if err != nil {
				panic(err)
			}
			return r.Bytes()
		},
		shared: func(e []byte) []byte { return point(e).X() },
		encode: func(t *big.Int) []byte {
			x, y := encodePoint(p, new(big.Int).SetBytes(c.A()), new(big.Int).SetBytes(c.B()), t)
			r, err := c.NewPoint(x.FillBytes(make([]byte, c.Size())), y.FillBytes(make([]byte, c.Size())))
			if err != nil {
				panic(err)
			}
			return r.Bytes()
		},
	}
}

// encodePoint is the point encoding in affine coordinates (Doc 9303-11, B.1).
func encodePoint(p, a, b, t *big.Int) (x, y *big.Int) {
	mod := func(v *big.Int) *big.Int { return v.Mod(v, p) }
	mul := func(u, v *big.Int) *big.Int { return mod(new(big.Int).Mul(u, v)) }
	f := func(x *big.Int) *big.Int { // x³ + ax + b
		v := mul(mul(x, x), x)
		v.Add(v, mul(a, x))
		return mod(v.Add(v, b))
	}
	alpha := mod(new(big.Int).Neg(mul(t, t)))
	sum := mod(new(big.Int).Add(alpha, mul(alpha, alpha)))
	x2 := new(big.Int).Add(big.NewInt(1), new(big.Int).ModInverse(sum, p))
	x2 = mul(x2, mul(b, new(big.Int).ModInverse(a, p)))
	x2 = mod(x2.Neg(x2))
	x3 := mul(alpha, x2)
	h2 := f(x2)
	e := new(big.Int).Add(p, big.NewInt(1))
	e.Rsh(e, 2)
	e.Sub(new(big.Int).Sub(p, big.NewInt(1)), e)
	root := new(big.Int).Exp(h2, e, p)
	if mul(mul(root, root), h2).Cmp(big.NewInt(1)) == 0 {
		return x2, mul(root, h2)
	}
	return x3, mul(root, mul(mul(mul(t, t), t), h2))
}

func modpModel(p, g, q *big.Int) cardGroup {
	size := (p.BitLen() + 7) / 8
	number := func(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
	bytes := func(x *big.Int) []byte { return x.FillBytes(make([]byte, size)) }
	return cardGroup{
		base: bytes(g), order: q, size: size, prime: p, tag: 0x84,
		mult: func(e []byte, k *big.Int) []byte { return bytes(new(big.Int).Exp(number(e), k, p)) },
		add: func(a, b []byte) []byte {
			x := new(big.Int).Mul(number(a), number(b))
			return bytes(x.Mod(x, p))
		},
		shared: func(e []byte) []byte { return e },
		encode: func(t *big.Int) []byte {
			a := new(big.Int).Sub(p, big.NewInt(1))
			return bytes(t.Exp(t, a.Div(a, q), p))
		},
	}
}

// mapping and cipher are the last two arcs of the protocol.
func (c *card) mapping() byte { return c.oid[len(c.oid)-3] - '0' }
func (c *card) cipher() byte  { return c.oid[len(c.oid)-1] - '0' }

func (c *card) encodedOID() []byte {
	return []byte{4, 0, 127, 0, 7, 2, 2, 4, c.mapping(), c.cipher()}
}

func (c *card) kdf(secret []byte, counter uint32) []byte {
	if c.cipher() == 1 {
		k := kdf.TripleDES(secret, counter)
		return k[:]
	}
	return kdf.AES(secret, counter, 64+64*int(c.cipher()-1))
}

func (c *card) cbc(key, b []byte) []byte { return c.cbcIV(key, b, nil) }

func (c *card) cbcIV(key, b, iv []byte) []byte {
	block, _ := aes.NewCipher(key)
	if c.cipher() == 1 {
		block, _ = des.NewTripleDESCipher(append(key[:16:16], key[:8]...))
	}
	if iv == nil {
		iv = make([]byte, block.BlockSize())
	}
	out := make([]byte, len(b))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, b)
	return out
}

func (c *card) token(public []byte) []byte {
	oid := c.encodedOID()
	body := append([]byte{0x06, byte(len(oid))}, oid...)
	body = append(append(append(body, c.group.tag), berLen(len(public))...), public...)
	m := append(append([]byte{0x7F, 0x49}, berLen(len(body))...), body...)
	if c.cipher() == 1 {
		t := mac.Retail([16]byte(c.ksMac), m)
		return t[:]
	}
	t := mac.CMAC(c.ksMac, m)
	return t[:8]
}

func berLen(n int) []byte {
	switch {
	case n < 0x80:
		return []byte{byte(n)}
	case n < 0x100:
		return []byte{0x81, byte(n)}
	}
	return []byte{0x82, byte(n >> 8), byte(n)}
}

func object(tag byte, value []byte) []byte {
	return append(append([]byte{tag}, berLen(len(value))...), value...)
}

func (c *card) random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func (c *card) randomKey() *big.Int {
	k, err := rand.Int(rand.Reader, new(big.Int).Sub(c.group.order, big.NewInt(1)))
	if err != nil {
		c.t.Fatal(err)
	}
	return k.Add(k, big.NewInt(1))
}

// Transmit plays the chip.
func (c *card) Transmit(_ context.Context, cmd []byte) ([]byte, error) {
	response := c.respond(cmd)
	if c.answer != nil {
		response = c.answer(c.step, cmd, response)
	}
	return response, nil
}

func (c *card) respond(cmd []byte) []byte {
	ok := []byte{0x90, 0x00}
	if cmd[1] == 0x22 {
		c.step = 0
		return c.setAT(cmd)
	}
	c.step++
	data := c.dynamic(cmd)
	if want := byte(0x10); c.step < 4 && cmd[0] != want || c.step == 4 && cmd[0] != 0 || c.step > 4 {
		c.t.Errorf("step %d with class %02x", c.step, cmd[0])
	}
	switch c.step {
	case 1:
		if len(data) != 0 {
			c.t.Errorf("step 1 with data")
		}
		n := 16
		if c.cipher() >= 3 && (c.mapping() == 3 || c.mapping() == 4) {
			n = 32
		}
		if c.s = c.nonce; c.s == nil {
			c.s = c.random(n)
		}
		z := c.cbc(c.kdf(c.k, 3), c.s)
		return append(object(0x7C, object(0x80, z)), ok...)
	case 2:
		value := c.value(data, 0x81)
		if c.mapping() == 3 || c.mapping() == 4 {
			c.integrated(value)
			return append(object(0x7C, object(0x82, nil)), ok...)
		}
		c.terminalPublic = append(c.terminalPublic, value)
		var public []byte
		for {
			c.mapKey = c.randomKey()
			public = c.group.mult(c.group.base, c.mapKey)
			c.mapShared = c.group.mult(value, c.mapKey)
			if c.accept == nil || c.accept(public, c.group.shared(c.mapShared)) {
				break
			}
		}
		s := new(big.Int).SetBytes(c.s)
		if s.Sign() == 0 {
			c.generator = c.mapShared
		} else {
			c.generator = c.group.add(c.group.mult(c.group.base, s), c.mapShared)
		}
		return append(object(0x7C, object(0x82, c.encoded(public))), ok...)
	case 3:
		c.peer = c.value(data, 0x83)
		c.terminalPublic = append(c.terminalPublic, c.peer)
		var public []byte
		for {
			c.key = c.randomKey()
			public = c.group.mult(c.generator, c.key)
			c.agreeShared = c.group.shared(c.group.mult(c.peer, c.key))
			if c.accept == nil || c.accept(public, c.agreeShared) {
				break
			}
		}
		c.sent = c.encoded(public)
		c.ksEnc, c.ksMac = c.kdf(c.agreeShared, 1), c.kdf(c.agreeShared, 2)
		return append(object(0x7C, object(0x84, c.sent)), ok...)
	case 4:
		if !bytes.Equal(c.value(data, 0x85), c.token(c.sent)) {
			return []byte{0x63, 0x00}
		}
		c.finished = true
		objects := object(0x86, c.token(c.peer))
		if c.mapping() == 6 {
			objects = append(objects, object(0x8A, c.chipAuthenticationData())...)
		}
		return append(object(0x7C, objects), ok...)
	}
	return []byte{0x69, 0x85}
}

func (c *card) encoded(public []byte) []byte {
	if c.encode == nil {
		return public
	}
	return c.encode(public)
}

// setAT checks MSE:Set AT down to the byte.
func (c *card) setAT(cmd []byte) []byte {
	oid := c.encodedOID()
	want := append(object(0x80, oid), object(0x83, []byte{c.reference})...)
	named := append(bytes.Clone(want), object(0x84, []byte{byte(c.id)})...)
	header := []byte{0x00, 0x22, 0xC1, 0xA4}
	switch {
	case bytes.Equal(cmd, append(append(bytes.Clone(header), byte(len(want))), want...)):
		c.namedParameters = append(c.namedParameters, -1)
	case bytes.Equal(cmd, append(append(bytes.Clone(header), byte(len(named))), named...)):
		c.namedParameters = append(c.namedParameters, c.id)
	default:
		c.t.Errorf("MSE:Set AT %x", cmd)
		return []byte{0x6A, 0x80}
	}
	return []byte{0x90, 0x00}
}

// dynamic returns the content of DO'7C' and checks both length fields.
func (c *card) dynamic(cmd []byte) []byte {
	if !bytes.Equal(cmd[1:4], []byte{0x86, 0, 0}) {
		c.t.Fatalf("command %x", cmd[:4])
	}
	body, le := cmd[5:len(cmd)-1], cmd[len(cmd)-1:]
	if cmd[4] == 0 {
		body, le = cmd[7:len(cmd)-2], cmd[len(cmd)-2:]
		if want := int(cmd[5])<<8 | int(cmd[6]); want != len(body) || want < 256 {
			c.t.Errorf("extended length %d of %d bytes", want, len(body))
		}
	} else if int(cmd[4]) != len(body) {
		c.t.Errorf("length %d of %d bytes", cmd[4], len(body))
	}
	if !bytes.Equal(le, make([]byte, len(le))) {
		c.t.Errorf("Le %x", le)
	}
	return c.value(body, 0x7C)
}

// value returns the value of the one data object in b.
func (c *card) value(b []byte, tag byte) []byte {
	for _, n := range []int{2, 3, 4} {
		if len(b) >= n && bytes.Equal(b, object(tag, b[n:])) {
			return b[n:]
		}
	}
	c.t.Fatalf("step %d: not one object %02x: %x", c.step, tag, b)
	return nil
}

// integrated is R_p(s,t) and its encoding (Doc 9303-11, 4.4.3.3.2).
func (c *card) integrated(t []byte) {
	c0, c1 := "a668892a7c41e3ca739f40b057d85904", "a4e136ac725f738b01c1f60217c188ad"
	keyLen := 16
	switch c.cipher() {
	case 3:
		keyLen = 24
	case 4:
		keyLen = 32
	}
	if keyLen > 16 {
		c0 = "d463d65234124ef7897054986dca0a174e28df758cbaa03f240616414d5a1676"
		c1 = "54bd7255f0aaf831bec3423fcf39d69b6cbf066677d0faae5aadd99df8e53517"
	}
	if len(t) != keyLen {
		c.t.Errorf("nonce t of %d bytes", len(t))
	}
	unhex := func(s string) []byte {
		b, _ := hex.DecodeString(s)
		return b
	}
	l := len(c0) / 2
	n := (c.group.prime.BitLen() + 64 + 8*l - 1) / (8 * l)
	var x []byte
	k := c.cbc(t, c.s)
	for range n {
		k = k[:keyLen]
		x = append(x, c.cbc(k, unhex(c1))...)
		k = c.cbc(k, unhex(c0))
	}
	v := new(big.Int).SetBytes(x)
	c.generator = c.group.encode(v.Mod(v, c.group.prime))
}

// chipAuthenticationData is A_IC (Doc 9303-11, 4.4.3.5.1).
func (c *card) chipAuthenticationData() []byte {
	inverse := new(big.Int).ModInverse(new(big.Int).SetBytes(c.static.Bytes()), c.group.order)
	ca := inverse.Mul(inverse, c.mapKey)
	ca.Mod(ca, c.group.order)
	b := ca.FillBytes(make([]byte, (c.group.order.BitLen()+7)/8))
	if c.caIC != nil {
		b = c.caIC(b)
	}
	plain := mac.Pad(b, 16)
	iv := c.cbc(c.ksEnc, bytes.Repeat([]byte{0xFF}, 16))
	return c.cbcIV(c.ksEnc, plain, iv)
}

// A combination is a protocol with domain parameters.
type combination struct {
	name, oid string
	id        int
}

// combinations returns everything that package pace has to support
// (Doc 9303-11, 4.4.3.1, 4.4.3.2 and 9.5.1).
func combinations() (all []combination) {
	for _, p := range []struct {
		name     string
		arc      int
		from, to int
		first    int // cipher
	}{
		{"DH-GM", 1, 0, 2, 1},
		{"ECDH-GM", 2, 8, 18, 1},
		{"DH-IM", 3, 0, 2, 1},
		{"ECDH-IM", 4, 8, 18, 1},
		{"ECDH-CAM", 6, 8, 18, 2},
	} {
		for id := p.from; id <= p.to; id++ {
			if p.arc == 4 && id == 10 { // P-224 cannot be used
				continue
			}
			for c := p.first; c <= 4; c++ {
				all = append(all, combination{
					fmt.Sprintf("%s-%d/%d", p.name, c, id),
					fmt.Sprintf("0.4.0.127.0.7.2.2.4.%d.%d", p.arc, c), id,
				})
			}
		}
	}
	return all
}

func (c combination) info() secinfo.PACEInfo {
	return secinfo.PACEInfo{Protocol: c.oid, Version: 2, ParameterID: c.id}
}

// canCard returns a card for a combination that knows the CAN.
func (c combination) canCard(t testing.TB) *card {
	t.Helper()
	d := &card{t: t, oid: c.oid, id: c.id, reference: 2, k: []byte(can)}
	curve := secinfo.StandardizedCurve(c.id)
	if curve == nil {
		d.group = modpModel(pace.MODP(c.id))
		return d
	}
	d.group = curveModel(curve)
	if strings.HasPrefix(c.oid, "0.4.0.127.0.7.2.2.4.6.") {
		var err error
		if d.static, err = curve.GenerateKey(nil); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

const can = "012345"
