package chipauth_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"errors"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/kdf"
	"github.com/chamthe/chamthe/icao/internal/mac"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/icao/tlv"
)

// peer is the chip's side of secure messaging (Doc 9303-11, 9.8), written for
// these tests without the code under test.
type peer struct {
	cipher sm.Cipher
	enc    cipher.Block
	ksMac  []byte
	ssc    *big.Int
}

func newPeer(tb testing.TB, c sm.Cipher, ksEnc, ksMac, ssc []byte) *peer {
	tb.Helper()
	p := &peer{cipher: c, ksMac: ksMac, ssc: new(big.Int).SetBytes(ssc)}
	var err error
	if c == sm.TripleDES {
		p.enc, err = des.NewTripleDESCipher(slices.Concat(ksEnc, ksEnc[:8]))
	} else {
		p.enc, err = aes.NewCipher(ksEnc)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func (p *peer) step() []byte {
	p.ssc.Add(p.ssc, big.NewInt(1))
	return p.ssc.FillBytes(make([]byte, p.cipher.BlockSize()))
}

func (p *peer) checksum(ssc []byte, parts ...[]byte) []byte {
	n := slices.Concat(append([][]byte{ssc}, parts...)...)
	if p.cipher == sm.TripleDES {
		m := mac.Retail([16]byte(p.ksMac), n)
		return m[:]
	}
	m := mac.CMAC(p.ksMac, mac.Pad(n, p.cipher.BlockSize()))
	return m[:8]
}

func (p *peer) cbc(ssc []byte, mode func(cipher.Block, []byte) cipher.BlockMode, b []byte) []byte {
	iv := make([]byte, p.cipher.BlockSize())
	if p.cipher != sm.TripleDES {
		p.enc.Encrypt(iv, ssc)
	}
	out := make([]byte, len(b))
	mode(p.enc, iv).CryptBlocks(out, b)
	return out
}

var errSM = errors.New("secure messaging error")

// open verifies and decrypts a command. Ne is 0 without DO'97' and 256 with it.
func (p *peer) open(b []byte) (apdu.Command, error) {
	if len(b) < 6 || b[0]&0x0C != 0x0C {
		return apdu.Command{}, errSM
	}
	c := apdu.Command{CLA: b[0] &^ 0x0C, INS: b[1], P1: b[2], P2: b[3]}
	body, n := b[5:], int(b[4])
	if n == 0 && len(b) > 7 { // extended
		body, n = b[7:], int(b[5])<<8|int(b[6])
	}
	if len(body) < n || n < 10 {
		return apdu.Command{}, errSM
	}
	objects, sum := body[:n-10], body[n-10:n]
	ssc := p.step()
	want := p.checksum(ssc, mac.Pad(b[:4], p.cipher.BlockSize()), objects)
	if !bytes.Equal(sum, append([]byte{0x8E, 8}, want...)) {
		return apdu.Command{}, errSM
	}
	for in := tlv.String(objects); !in.Empty(); {
		var tag tlv.Tag
		var value tlv.String
		if !in.Read(&value, &tag) {
			return apdu.Command{}, errSM
		}
		switch tag {
		case 0x87:
			plain, ok := mac.Unpad(p.cbc(ssc, cipher.NewCBCDecrypter, value[1:]), p.cipher.BlockSize())
			if !ok {
				return apdu.Command{}, errSM
			}
			c.Data = plain
		case 0x97:
			c.Ne = 256
		}
	}
	return c, nil
}

// seal protects a response.
func (p *peer) seal(r apdu.Response) []byte {
	ssc := p.step()
	var objects []byte
	if len(r.Data) > 0 {
		enc := p.cbc(ssc, cipher.NewCBCEncrypter, mac.Pad(r.Data, p.cipher.BlockSize()))
		objects = tlv.Append(nil, 0x87, append([]byte{1}, enc...))
	}
	sw := []byte{r.SW.SW1(), r.SW.SW2()}
	objects = tlv.Append(objects, 0x99, sw)
	return slices.Concat(tlv.Append(objects, 0x8E, p.checksum(ssc, objects)), sw)
}

// static is a static key pair of a card.
type static struct {
	info  []byte // SubjectPublicKeyInfo
	curve bool
	agree func(public []byte) (k []byte, ok bool)
}

func curveStatic(tb testing.TB, name string) static {
	tb.Helper()
	c := ec.ByName(name)
	d, err := c.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return static{
		info: namedKeyInfo(tb, c.OID(), d.Public().Bytes()), curve: true,
		agree: func(public []byte) ([]byte, bool) {
			p, err := c.ParsePoint(public)
			if err != nil {
				return nil, false
			}
			k, err := d.ECDH(p)
			return k, err == nil
		},
	}
}

// oid encodes an object identifier.
func oid(tb testing.TB, s string) []byte {
	tb.Helper()
	var out []byte
	for i, text := range strings.Split(s, ".") {
		n, err := strconv.Atoi(text)
		if err != nil {
			tb.Fatal(err)
		}
		if i == 1 {
			out[0] = out[0]*40 + byte(n)
			continue
		}
		digits := []byte{byte(n & 0x7F)}
		for n >>= 7; n > 0; n >>= 7 {
			digits = append([]byte{byte(n) | 0x80}, digits...)
		}
		out = append(out, digits...)
	}
	return out
}

func element(tag tlv.Tag, parts ...[]byte) []byte {
	return tlv.Append(nil, tag, slices.Concat(parts...))
}

func integer(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return element(0x02, b)
}

func namedKeyInfo(tb testing.TB, curve string, point []byte) []byte {
	tb.Helper()
	algorithm := element(0x30, element(0x06, oid(tb, "1.2.840.10045.2.1")), element(0x06, oid(tb, curve)))
	return element(0x30, algorithm, element(0x03, []byte{0}, point))
}

const (
	pkcs3 = "1.2.840.113549.1.3.1"
	x942  = "1.2.840.10046.2.1"
)

// dhKeyInfo makes a SubjectPublicKeyInfo; more follows p and g.
func dhKeyInfo(tb testing.TB, kind string, p, g, y *big.Int, more ...[]byte) []byte {
	tb.Helper()
	params := element(0x30, integer(p), integer(g), slices.Concat(more...))
	algorithm := element(0x30, element(0x06, oid(tb, kind)), params)
	return element(0x30, algorithm, element(0x03, []byte{0}, integer(y)))
}

// A group is Diffie-Hellman parameters; this one is a safe prime group for tests, p = 2q+1 of RFC 3526 (section 3: 2048
// bits), with the generator 4 of the subgroup of order q.
type group struct{ p, g, q *big.Int }

func modp2048(tb testing.TB) group {
	tb.Helper()
	p, ok := new(big.Int).SetString("ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74"+
		"020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437"+
		"4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"+
		"ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05"+
		"98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb"+
		"9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b"+
		"e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718"+
		"3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff", 16)
	if !ok {
		tb.Fatal("malformed prime")
	}
	return group{p: p, g: big.NewInt(4), q: new(big.Int).Rsh(p, 1)}
}

// dhStatic is a DH key; more follows p and g in its parameters.
func dhStatic(tb testing.TB, g group, kind string, more ...[]byte) static {
	tb.Helper()
	x, err := rand.Int(rand.Reader, g.q)
	if err != nil {
		tb.Fatal(err)
	}
	y := new(big.Int).Exp(g.g, x, g.p)
	return static{
		info: dhKeyInfo(tb, kind, g.p, g.g, y, more...),
		agree: func(public []byte) ([]byte, bool) {
			z := new(big.Int).Exp(new(big.Int).SetBytes(public), x, g.p)
			return z.FillBytes(make([]byte, (g.p.BitLen()+7)/8)), true
		},
	}
}

// protocol returns the identifier of chip authentication, with a cipher's arc.
func protocol(curve bool, c sm.Cipher) string {
	arc := "1."
	if curve {
		arc = "2."
	}
	return "0.4.0.127.0.7.2.2.3." + arc + strconv.Itoa(int(c))
}

// offers makes SecurityInfos of one key with a cipher.
func (s static) offers(c sm.Cipher) secinfo.SecurityInfos {
	return secinfo.SecurityInfos{
		ChipAuthentication: []secinfo.ChipAuthenticationInfo{
			{Protocol: protocol(s.curve, c), Version: 1, KeyID: secinfo.NoID},
		},
		ChipAuthenticationKeys: []secinfo.ChipAuthenticationPublicKeyInfo{s.keyInfo(secinfo.NoID)},
	}
}

func (s static) keyInfo(id int) secinfo.ChipAuthenticationPublicKeyInfo {
	kind := "0.4.0.127.0.7.2.2.1.1"
	if s.curve {
		kind = "0.4.0.127.0.7.2.2.1.2"
	}
	return secinfo.ChipAuthenticationPublicKeyInfo{Protocol: kind, PublicKey: s.info, KeyID: id}
}

// card is a chip with secure messaging up, made for these tests.
type card struct {
	tb     testing.TB
	sm     *peer
	keys   map[int]static // by identifier; secinfo.NoID is the one that needs no name
	cipher sm.Cipher      // of MSE:Set KAT and until MSE:Set AT says otherwise

	// answer, when it returns something, is sent instead of what the card says
	// itself. The command is decrypted; seal protects a response.
	answer func(c apdu.Command) []byte

	endless   bool // answers GET RESPONSE with 6110 for ever
	short     bool // refuses extended length with 6700
	public    [][]byte
	plain     []apdu.Command // every command, decrypted
	longest   int            // APDU seen
	exchanges int

	selected *static
	chain    []byte
}

// newCard returns a card and the channel and session to it.
func newCard(tb testing.TB, keys map[int]static) (*card, apdu.Doer, *sm.Channel) {
	tb.Helper()
	old := func(b byte) []byte { return bytes.Repeat([]byte{b}, 16) }
	c := &card{tb: tb, keys: keys, cipher: sm.TripleDES}
	c.sm = newPeer(tb, sm.AES128, old(0x11), old(0x22), make([]byte, 16))
	d := apdu.NewSession(c)
	ch, err := sm.New(d, sm.AES128, old(0x11), old(0x22), make([]byte, 16))
	if err != nil {
		tb.Fatal(err)
	}
	return c, d, ch
}

func (k *card) Transmit(_ context.Context, cmd []byte) ([]byte, error) {
	k.exchanges++
	k.longest = max(k.longest, len(cmd))
	if k.endless {
		return []byte{0x61, 0x10}, nil
	}
	if k.sm == nil {
		return []byte{0x69, 0x82}, nil
	}
	c, err := k.sm.open(cmd)
	if err != nil {
		k.sm = nil
		return []byte{0x69, 0x88}, nil
	}
	k.plain = append(k.plain, c)
	if k.answer != nil {
		if b := k.answer(c); b != nil {
			if len(b) == 1 {
				return nil, apdutest.ErrGone
			}
			return b, nil
		}
	}
	if k.short && len(cmd) > 4 && cmd[4] == 0 {
		return k.sm.seal(apdu.Response{SW: apdu.WrongLength}), nil
	}
	if c.CLA&0x10 != 0 {
		k.chain = append(k.chain, c.Data...)
		return k.sm.seal(apdu.Response{SW: apdu.OK}), nil
	}
	c.Data, k.chain = append(k.chain, c.Data...), nil
	resp, next := k.execute(c)
	out := k.sm.seal(resp)
	if next != nil {
		k.sm = next
	}
	return out, nil
}

func (k *card) execute(c apdu.Command) (apdu.Response, *peer) {
	status := func(sw apdu.Status) (apdu.Response, *peer) { return apdu.Response{SW: sw}, nil }
	objects := map[tlv.Tag][]byte{}
	read := func(b []byte) {
		for in := tlv.String(b); !in.Empty(); {
			var tag tlv.Tag
			var value tlv.String
			if !in.Read(&value, &tag) {
				return
			}
			objects[tag] = value
		}
	}
	find := func() (static, bool) {
		id := secinfo.NoID
		if ref, ok := objects[0x84]; ok {
			id = int(new(big.Int).SetBytes(ref).Int64())
		}
		s, ok := k.keys[id]
		return s, ok
	}
	switch [3]byte{c.INS, c.P1, c.P2} {
	case [3]byte{0x22, 0x41, 0xA6}:
		if c.Ne != 0 {
			k.tb.Error("MSE:Set KAT has an Le field")
		}
		read(c.Data)
		s, ok := find()
		if !ok {
			return status(apdu.ReferencedDataNotFound)
		}
		k.cipher = sm.TripleDES
		return k.agree(s, objects[0x91], nil)
	case [3]byte{0x22, 0x41, 0xA4}:
		if c.Ne != 0 {
			k.tb.Error("MSE:Set AT has an Le field")
		}
		read(c.Data)
		s, ok := find()
		if !ok {
			return status(apdu.ReferencedDataNotFound)
		}
		mechanism := objects[0x80]
		if len(mechanism) != 10 {
			return status(apdu.WrongData)
		}
		k.cipher, k.selected = sm.Cipher(mechanism[9]), &s
		return status(apdu.OK)
	case [3]byte{0x86, 0, 0}:
		if k.selected == nil || c.Ne == 0 {
			return status(apdu.ConditionsNotSatisfied)
		}
		read(c.Data)
		read(objects[0x7C])
		s := *k.selected
		k.selected = nil
		return k.agree(s, objects[0x80], []byte{0x7C, 0})
	default:
		return apdu.Response{SW: apdu.OK, Data: bytes.Repeat([]byte{0xDA}, min(c.Ne, 3))}, nil
	}
}

func (k *card) agree(s static, public, data []byte) (apdu.Response, *peer) {
	k.public = append(k.public, public)
	secret, ok := s.agree(public)
	if !ok {
		return apdu.Response{SW: apdu.WrongData}, nil
	}
	key := func(counter uint32) []byte {
		if k.cipher == sm.TripleDES {
			b := kdf.TripleDES(secret, counter)
			return b[:]
		}
		return kdf.AES(secret, counter, 8*k.cipher.KeyLen())
	}
	return apdu.Response{SW: apdu.OK, Data: data}, newPeer(k.tb, k.cipher, key(1), key(2), nil)
}
