package chip

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/internal/kdf"
	"github.com/chamthe/chamthe/icao/internal/mac"
	"github.com/chamthe/chamthe/icao/tlv"
)

// suite is a symmetric cipher with its MAC, as the protocols name them.
type suite uint8

const (
	tripleDES suite = iota + 1
	aes128
	aes192
	aes256
)

func (s suite) blockSize() int {
	if s == tripleDES {
		return des.BlockSize
	}
	return aes.BlockSize
}

// keySize is the length of a key in bytes. 3DES has two keys of eight bytes.
func (s suite) keySize() int {
	switch s {
	case aes192:
		return 24
	case aes256:
		return 32
	default:
		return 16
	}
}

// derive is the key derivation function of Doc 9303-11, 9.7.1, for this cipher.
func (s suite) derive(secret []byte, counter uint32) []byte {
	switch s {
	case aes128:
		return kdf.AES(secret, counter, 128)
	case aes192:
		return kdf.AES(secret, counter, 192)
	case aes256:
		return kdf.AES(secret, counter, 256)
	default:
		k := kdf.TripleDES(secret, counter)
		return k[:]
	}
}

// block returns the cipher for a key that derive has made (or one of equal
// length): 16 bytes for 3DES, else an AES key.
func (s suite) block(key []byte) (cipher.Block, error) {
	if s == tripleDES {
		// Two-key 3DES: the third key is the first one.
		return des.NewTripleDESCipher(append(append(make([]byte, 0, 24), key...), key[:8]...))
	}
	return aes.NewCipher(key)
}

// mac8 authenticates msg, which is not padded, with the eight-byte MAC of this
// cipher. padded asks for padding method 2 over msg before AES-CMAC, as secure
// messaging does (Doc 9303-11, 9.8.1) and authentication tokens do not
// (4.4.3.4); the retail MAC always pads.
func (s suite) mac8(key, msg []byte, padded bool) []byte {
	if s == tripleDES {
		m := mac.Retail([16]byte(key), msg)
		return m[:]
	}
	if padded {
		msg = mac.Pad(msg, aes.BlockSize)
	}
	m := mac.CMAC(key, msg)
	return m[:8]
}

// Data objects of secure messaging (Doc 9303-11, 9.8.4).
const (
	doCryptogramTLV = 0x85 // with an odd INS: no padding indicator
	doCryptogram    = 0x87
	doLe            = 0x97
	doStatus        = 0x99
	doMAC           = 0x8E

	paddingISO = 0x01 // padding-content indicator: padding method 2

	statusLen = 4  // 99 02 SW1 SW2
	macLen    = 10 // 8E 08 MAC
)

// session is the card's end of secure messaging.
type session struct {
	suite suite
	enc   cipher.Block
	ksMac []byte
	ssc   []byte // send sequence counter, one block
}

// newSession takes the session keys and the start value of the send sequence
// counter; nil stands for zero (Doc 9303-11, 9.8.6.3 and 9.8.7.3). The slices
// are copied.
func newSession(s suite, ksEnc, ksMac, ssc []byte) (*session, error) {
	enc, err := s.block(ksEnc)
	if err != nil {
		return nil, err
	}
	full := make([]byte, s.blockSize())
	copy(full, ssc)
	return &session{suite: s, enc: enc, ksMac: append([]byte(nil), ksMac...), ssc: full}, nil
}

// count increases the send sequence counter, as before every command and
// every response (Doc 9303-11, 9.8.2). It reports false when the counter is
// used up: a value may never protect twice.
func (s *session) count() bool {
	for i := len(s.ssc) - 1; i >= 0; i-- {
		s.ssc[i]++
		if s.ssc[i] != 0 {
			return true
		}
	}
	return false
}

// iv is the initial value for the current counter: zero for 3DES (9.8.6.1), the
// encrypted counter for AES (9.8.7.1).
func (s *session) iv() []byte {
	iv := make([]byte, s.suite.blockSize())
	if s.suite != tripleDES {
		s.enc.Encrypt(iv, s.ssc)
	}
	return iv
}

// unprotect verifies and decrypts one protected command. Any status but
// apdu.OK is a secure messaging error, which ends the session.
func (s *session) unprotect(c command) (command, apdu.Status) {
	if !s.count() {
		return command{}, apdu.SMObjectsIncorrect
	}
	cryptogramTag := tlv.Tag(doCryptogram)
	if c.ins&1 == 1 {
		cryptogramTag = doCryptogramTLV
	}
	var (
		cryptogram, le, cc       tlv.String
		hasCryptogram, hasLe, ok bool
	)
	body := tlv.String(c.data)
	if !body.ReadOptional(&cryptogram, &hasCryptogram, cryptogramTag) ||
		!body.ReadOptional(&le, &hasLe, doLe) {
		return command{}, apdu.SMObjectsIncorrect
	}
	authenticated := c.data[:len(c.data)-len(body)] // both lengths are ours: what the cursor has passed
	if !body.ReadOptional(&cc, &ok, doMAC) || !body.Empty() {
		return command{}, apdu.SMObjectsIncorrect
	}
	if !ok {
		return command{}, apdu.SMObjectsMissing
	}

	// Doc 9303-11, 9.8.4: the header is padded on its own, and what follows
	// is padded again.
	msg := append([]byte(nil), s.ssc...)
	msg = append(msg, mac.Pad([]byte{c.cla, c.ins, c.p1, c.p2}, s.suite.blockSize())...)
	msg = append(msg, authenticated...)
	if subtle.ConstantTimeCompare(s.suite.mac8(s.ksMac, msg, true), cc) != 1 {
		return command{}, apdu.SMObjectsIncorrect
	}

	plain := command{cla: c.cla &^ claSM, ins: c.ins, p1: c.p1, p2: c.p2, extended: c.extended}
	if hasCryptogram {
		var indicator uint8
		if cryptogramTag == doCryptogram && (!cryptogram.ReadUint8(&indicator) || indicator != paddingISO) {
			return command{}, apdu.SMObjectsIncorrect
		}
		if len(cryptogram) == 0 || len(cryptogram)%s.suite.blockSize() != 0 {
			return command{}, apdu.SMObjectsIncorrect
		}
		data := make([]byte, len(cryptogram))
		cipher.NewCBCDecrypter(s.enc, s.iv()).CryptBlocks(data, cryptogram)
		if plain.data, ok = mac.Unpad(data, s.suite.blockSize()); !ok {
			return command{}, apdu.SMObjectsIncorrect
		}
	}
	if hasLe {
		if plain.ne, ok = protectedLe(le, c.extended); !ok {
			return command{}, apdu.SMObjectsIncorrect
		}
	}
	return plain, apdu.OK
}

// protectedLe decodes DO'97'. An empty one asks for as much as the form of
// the command allows (ISO/IEC 7816-4:2020, 10.4).
func protectedLe(le tlv.String, extended bool) (ne int, ok bool) {
	switch len(le) {
	case 0:
		if extended {
			return maxExtended, true
		}
		return maxShort, true
	case 1:
		var v uint8
		le.ReadUint8(&v)
		return expected(int(v), maxShort), true
	case 2:
		var v uint16
		le.ReadUint16(&v)
		return expected(int(v), maxExtended), true
	default:
		return 0, false
	}
}

// protect builds the protected response to a command with the given INS,
// without the trailing status word. alter, if not nil, is the chip's fault
// [Faults.Protect]. ok is false when the counter is used up.
func (s *session) protect(ins byte, r response, alter func(objects []byte) []byte) (body []byte, ok bool) {
	if !s.count() {
		return nil, false
	}
	if len(r.data) > 0 {
		data := mac.Pad(r.data, s.suite.blockSize())
		cipher.NewCBCEncrypter(s.enc, s.iv()).CryptBlocks(data, data)
		if ins&1 == 1 {
			body = tlv.Append(body, doCryptogramTLV, data)
		} else {
			body = tlv.Append(body, doCryptogram, append([]byte{paddingISO}, data...))
		}
	}
	body = tlv.Append(body, doStatus, []byte{r.sw.SW1(), r.sw.SW2()})
	if alter != nil {
		body = alter(body)
	}
	cc := s.suite.mac8(s.ksMac, append(append([]byte(nil), s.ssc...), body...), true)
	return tlv.Append(body, doMAC, cc), true
}

// protectedLen is the length of the protected response that carries n bytes
// of data, without the trailing status word.
func (s *session) protectedLen(ins byte, n int) int {
	if n == 0 {
		return statusLen + macLen
	}
	block := s.suite.blockSize()
	value := n/block*block + block
	if ins&1 == 0 {
		value++ // padding-content indicator
	}
	return headerLen(value) + value + statusLen + macLen
}

// maxData is the largest number of data bytes whose protected response fits
// into capacity bytes.
func (s *session) maxData(ins byte, capacity int) int {
	block := s.suite.blockSize()
	n := capacity/block*block + block - 1 // one less than whole blocks: the padding fills them
	for n > 0 && s.protectedLen(ins, n) > capacity {
		n -= block
	}
	return max(n, 0)
}

// headerLen is the length of a one-byte tag and the shortest length field for
// n bytes.
func headerLen(n int) int {
	switch {
	case n < 0x80:
		return 2
	case n < 0x100:
		return 3
	case n < 0x10000:
		return 4
	default:
		return 5
	}
}
