// Package sm is the terminal's side of secure messaging: Doc 9303-11
// (8th edition, 2021, with its amendments), 9.8, with 3DES and with AES.
//
// A [Channel] is made by the protocol that agreed on the keys (BAC, PACE, chip
// authentication) and is used like a plain session. It is a latch: the first
// response that is not exactly right ends it for good.
//
// Left out on purpose: the chip's side, data objects for plain values
// (81, B3), and certificates or key references inside secure messaging.
package sm

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/internal/mac"
	"github.com/chamthe/chamthe/icao/tlv"
)

// Data objects of secure messaging (Doc 9303-11, 9.8.4).
const (
	tagCryptogram   tlv.Tag = 0x85 // without padding indicator, for odd INS
	tagPICryptogram tlv.Tag = 0x87 // padding indicator and cryptogram, for even INS
	tagLe           tlv.Tag = 0x97
	tagStatus       tlv.Tag = 0x99
	tagChecksum     tlv.Tag = 0x8E
)

const (
	claSM            = 0x0C // secure messaging, header authenticated
	paddingIndicator = 0x01 // ISO/IEC 9797-1, method 2
	macLen           = 8
	checksumLen      = 2 + macLen // of DO'8E'
	statusLen        = 2 + 2      // of DO'99'
)

// A Cipher says which block cipher and which key length a [Channel] uses. The
// zero value is none.
type Cipher uint8

// The ciphers of Doc 9303-11, 9.8.6 and 9.8.7.
const (
	TripleDES Cipher = iota + 1 // two keys, retail MAC
	AES128
	AES192
	AES256
)

// String returns the cipher's name, such as "AES-128".
func (c Cipher) String() string {
	switch c {
	case TripleDES:
		return "3DES"
	case AES128:
		return "AES-128"
	case AES192:
		return "AES-192"
	case AES256:
		return "AES-256"
	default:
		return fmt.Sprintf("sm.Cipher(%d)", uint8(c))
	}
}

// KeyLen returns the length in bytes of each of the two session keys, 0 for
// an unknown cipher.
func (c Cipher) KeyLen() int {
	switch c {
	case TripleDES, AES128:
		return 16
	case AES192:
		return 24
	case AES256:
		return 32
	default:
		return 0
	}
}

// BlockSize returns the block size in bytes, which is also the length of the
// send sequence counter; 0 for an unknown cipher.
func (c Cipher) BlockSize() int {
	switch c {
	case TripleDES:
		return des.BlockSize
	case AES128, AES192, AES256:
		return aes.BlockSize
	default:
		return 0
	}
}

// ErrBroken is what every error of a broken [Channel] wraps. The card has to
// be reset and its access protocol run again.
var ErrBroken = errors.New("sm: channel broken")

// ErrCommand reports a command that cannot be protected: its class byte
// already asks for secure messaging or has no room to say so, or its data or
// Ne are out of range. Nothing was sent, and the channel goes on.
var ErrCommand = errors.New("sm: command cannot be protected")

// An UnprotectedError reports a response without secure messaging: the chip
// has ended the session and deleted its keys, because it found an error in a
// command or was reset (Doc 9303-11, 9.8.3 and 9.8.5). It wraps [ErrBroken]
// and the status word. Nothing proves that the chip sent it.
type UnprotectedError struct {
	SW apdu.Status
}

// Error describes the response.
func (e *UnprotectedError) Error() string {
	return ErrBroken.Error() + ": response without secure messaging: " + e.SW.Error()
}

// Unwrap returns [ErrBroken] and the status word.
func (e *UnprotectedError) Unwrap() []error { return []error{ErrBroken, e.SW} }

// A Channel protects commands and verifies responses under one pair of session
// keys. It is not safe for concurrent use, and owns the session below it while
// it lives. Every way of printing it gives "[redacted]".
type Channel struct {
	d      apdu.Doer
	cipher Cipher
	err    error // why the channel is broken

	// secrets returns the keys and the counter; it is nil once the channel is
	// broken. A function, because fmt does not call Format for a Channel in
	// an unexported field of another type: all it can print then is an
	// address.
	secrets func() *secrets
}

type secrets struct {
	block cipher.Block // with KS.Enc
	ksMac []byte
	ssc   []byte
}

var _ apdu.Doer = (*Channel)(nil)

// New returns a channel over the plain session d. ksEnc and ksMac are the
// session keys, and ssc is the start value of the send sequence counter, one
// block long; all three are copied. Lengths that do not fit the cipher are an
// error. New exchanges nothing.
func New(d apdu.Doer, c Cipher, ksEnc, ksMac, ssc []byte) (*Channel, error) {
	if c.KeyLen() == 0 {
		return nil, errors.New("sm: unknown cipher")
	}
	if len(ksEnc) != c.KeyLen() || len(ksMac) != c.KeyLen() || len(ssc) != c.BlockSize() {
		return nil, fmt.Errorf("sm: keys of %d and %d bytes and a counter of %d do not fit %v", len(ksEnc), len(ksMac), len(ssc), c)
	}
	block, err := newBlock(c, ksEnc)
	if err != nil {
		return nil, err
	}
	s := &secrets{
		block: block,
		ksMac: append([]byte(nil), ksMac...),
		ssc:   append([]byte(nil), ssc...),
	}
	return &Channel{d: d, cipher: c, secrets: func() *secrets { return s }}, nil
}

func newBlock(c Cipher, key []byte) (cipher.Block, error) {
	if c != TripleDES {
		return aes.NewCipher(key)
	}
	k := append(make([]byte, 0, 24), key...) // K1 K2 K1
	return des.NewTripleDESCipher(append(k, key[:8]...))
}

// Cipher returns the channel's cipher.
func (c *Channel) Cipher() Cipher { return c.cipher }

// Do protects cmd, sends it, and returns the response without its protection.
// An error status that arrives protected, such as 6A82, is a normal response,
// and the channel goes on.
//
// ctx is checked before anything is sent; if it has ended then, or if cmd
// cannot be sent at all ([ErrCommand]), the channel stays as it was. Every other error breaks the channel: no response, because the
// counters of the two sides may then differ; a response without protection
// ([*UnprotectedError]); a malformed one; a wrong checksum. It wraps
// [ErrBroken], and the cause where there is one; the keys are dropped, and
// every later call returns the same error. On error the Response is zero.
func (c *Channel) Do(ctx context.Context, cmd apdu.Command) (apdu.Response, error) {
	if c.err != nil {
		return apdu.Response{}, c.err
	}
	if err := ctx.Err(); err != nil {
		return apdu.Response{}, err
	}
	if err := check(cmd); err != nil {
		return apdu.Response{}, err
	}
	resp, err := c.d.Do(ctx, c.wrap(cmd))
	if err != nil {
		return apdu.Response{}, c.fail(fmt.Errorf("%w: %w", ErrBroken, err))
	}
	plain, err := c.unwrap(resp)
	if err != nil {
		return apdu.Response{}, c.fail(err)
	}
	return plain, nil
}

// MaxNe returns the largest Ne whose response fits, protected, into limit
// bytes of response data (without the status word), or 0 when none does. What
// reader and card can take limits a plain response to as much: with 256 bytes
// it leaves 231 for 3DES and 223 for AES.
func (c *Channel) MaxNe(limit int) int {
	if limit > maxNe {
		limit = maxNe
	}
	bs := c.cipher.BlockSize()
	for enc := limit / bs * bs; enc > 0; enc -= bs {
		if headerLen(1+enc)+1+enc+statusLen+checksumLen <= limit {
			return enc - 1 // the padding takes at least one byte
		}
	}
	return 0
}

// headerLen is the length of a one-byte tag and the length of n bytes.
func headerLen(n int) int {
	switch {
	case n < 0x80:
		return 2
	case n < 0x100:
		return 3
	default:
		return 4
	}
}

// String returns "[redacted]".
func (c *Channel) String() string { return redacted }

// GoString returns "[redacted]".
func (c *Channel) GoString() string { return redacted }

// Format prints "[redacted]" for every verb, so that no verb prints the keys.
func (c *Channel) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

const redacted = "[redacted]"

const (
	maxNe = 65536

	// maxNc leaves room in 65535 bytes for what protection adds at most: 5
	// bytes before the cryptogram, 16 of padding, 4 of DO'97', 10 of DO'8E'.
	maxNc = 65535 - 35
)

// check reports whether cmd can be protected.
func check(cmd apdu.Command) error {
	// The bits for secure messaging have to be there and to be free: first
	// interindustry or proprietary classes, without them set.
	if cmd.CLA&(0x40|claSM) != 0 || len(cmd.Data) > maxNc || cmd.Ne < 0 || cmd.Ne > maxNe {
		return ErrCommand
	}
	return nil
}

// fail breaks the channel: it keeps the error and drops the keys.
func (c *Channel) fail(err error) error {
	clear(c.secrets().ksMac)
	c.secrets = nil
	c.err = err
	return err
}

// wrap protects a command (Doc 9303-11, 9.8.4 and D.4).
func (c *Channel) wrap(cmd apdu.Command) apdu.Command {
	c.increment()
	bs := c.cipher.BlockSize()

	var objects []byte
	if len(cmd.Data) > 0 {
		enc := mac.Pad(cmd.Data, bs)
		cipher.NewCBCEncrypter(c.secrets().block, c.iv()).CryptBlocks(enc, enc)
		if odd(cmd.INS) {
			objects = tlv.Append(objects, tagCryptogram, enc)
		} else {
			objects = tlv.Append(objects, tagPICryptogram, append([]byte{paddingIndicator}, enc...))
		}
	}
	if cmd.Ne > 0 {
		// The Le field as the plain command has it: one byte, or two when it
		// is extended. 256 is written as 00, 65536 as 0000.
		le := []byte{byte(cmd.Ne)}
		if cmd.Extended() {
			le = []byte{byte(cmd.Ne >> 8), byte(cmd.Ne)}
		}
		objects = tlv.Append(objects, tagLe, le)
	}

	protected := apdu.Command{CLA: cmd.CLA | claSM, INS: cmd.INS, P1: cmd.P1, P2: cmd.P2}
	header := []byte{protected.CLA, protected.INS, protected.P1, protected.P2}
	cc := c.checksum(append(mac.Pad(header, bs), objects...))
	protected.Data = tlv.Append(objects, tagChecksum, cc[:])

	// Le of the protected command is 00 or 0000 (Doc 9303-11, Figure 5).
	protected.Ne = 256
	if cmd.Extended() || protected.Extended() {
		protected.Ne = maxNe
	}
	return protected
}

// unwrap verifies a response and removes its protection (Doc 9303-11, 9.8.4
// and D.4). The checksum comes first: nothing else is looked at before.
func (c *Channel) unwrap(resp apdu.Response) (apdu.Response, error) {
	if len(resp.Data) == 0 {
		return apdu.Response{}, &UnprotectedError{SW: resp.SW}
	}
	c.increment()
	body := tlv.String(resp.Data)
	var objects []byte
	var cc tlv.String
	if !body.ReadBytes(&objects, len(body)-checksumLen) ||
		!body.ReadTag(&cc, tagChecksum) || !body.Empty() {
		return apdu.Response{}, broken("no checksum at the end of the response", resp.SW)
	}
	if want := c.checksum(objects); subtle.ConstantTimeCompare(cc, want[:]) != 1 {
		return apdu.Response{}, broken("wrong checksum", resp.SW)
	}

	// [DO'85' or DO'87'] DO'99'. Doc 9303-11 puts DO'99' in brackets too, but
	// without it nothing authenticates the status word. Either cryptogram
	// object is accepted whatever the INS was: each says by its tag how it is
	// built, and the checksum covers the tag.
	rest := tlv.String(objects)
	var enc, status tlv.String
	var present, hasPI bool
	if !rest.ReadOptional(&enc, &hasPI, tagPICryptogram) {
		return apdu.Response{}, broken("malformed cryptogram", resp.SW)
	}
	if present = hasPI; !present && !rest.ReadOptional(&enc, &present, tagCryptogram) {
		return apdu.Response{}, broken("malformed cryptogram", resp.SW)
	}
	var sw uint16
	if !rest.ReadTag(&status, tagStatus) || !status.ReadUint16(&sw) || !status.Empty() || !rest.Empty() {
		return apdu.Response{}, broken("malformed or missing status object", resp.SW)
	}
	if apdu.Status(sw) != resp.SW {
		return apdu.Response{}, broken("status differs from the status object", resp.SW)
	}
	if !present {
		return apdu.Response{SW: resp.SW}, nil
	}
	if pi := byte(0); hasPI && (!enc.ReadUint8(&pi) || pi != paddingIndicator) {
		return apdu.Response{}, broken("unknown padding", resp.SW)
	}
	bs := c.cipher.BlockSize()
	if len(enc)%bs != 0 {
		return apdu.Response{}, broken("cryptogram is not whole blocks", resp.SW)
	}
	plain := make([]byte, len(enc))
	cipher.NewCBCDecrypter(c.secrets().block, c.iv()).CryptBlocks(plain, enc)
	data, ok := mac.Unpad(plain, bs)
	if !ok {
		return apdu.Response{}, broken("wrong padding", resp.SW)
	}
	return apdu.Response{Data: data, SW: resp.SW}, nil
}

// broken describes a response that ends the channel.
func broken(what string, sw apdu.Status) error {
	return fmt.Errorf("%w: %s (outer status %04x)", ErrBroken, what, uint16(sw))
}

// odd reports whether an instruction takes its data in BER-TLV, which decides
// between DO'85' and DO'87' (Doc 9303-11, 9.8.4).
func odd(ins byte) bool { return ins&1 == 1 }

// increment adds one to the send sequence counter, before each command and
// each response (Doc 9303-11, 9.8.2). After the highest value comes zero: BAC
// starts anywhere, and no session has 2^64 messages.
func (c *Channel) increment() {
	ssc := c.secrets().ssc
	for i := len(ssc) - 1; i >= 0; i-- {
		ssc[i]++
		if ssc[i] != 0 {
			return
		}
	}
}

// iv returns the initial value for encryption: zero with 3DES (Doc 9303-11,
// 9.8.6.1), the encrypted counter with AES (9.8.7.1).
func (c *Channel) iv() []byte {
	iv := make([]byte, c.cipher.BlockSize())
	if c.cipher != TripleDES {
		s := c.secrets()
		s.block.Encrypt(iv, s.ssc)
	}
	return iv
}

// checksum returns the cryptographic checksum of a message, with the counter
// put before it and padding after it (Doc 9303-11, 9.8.6.2 and 9.8.7.2, and
// the note in 9.8.1). The retail MAC pads itself; for CMAC it is done here, so
// that CMAC sees whole blocks. Padding is added also when the message is a
// padded header alone (D.4: M is SSC || header || objects, then padding).
func (c *Channel) checksum(m []byte) [macLen]byte {
	s := c.secrets()
	n := append(append(make([]byte, 0, len(s.ssc)+len(m)), s.ssc...), m...)
	if c.cipher == TripleDES {
		return mac.Retail([16]byte(s.ksMac), n)
	}
	full := mac.CMAC(s.ksMac, mac.Pad(n, c.cipher.BlockSize()))
	return [macLen]byte(full[:macLen])
}
