package chipauth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/chamthe/chamthe/icao/internal/ec"
	"github.com/chamthe/chamthe/icao/internal/modp"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/tlv"
)

// A chipKey is a static public key of the chip, checked.
type chipKey interface {
	// agree draws an ephemeral key pair and returns its public key and the
	// shared secret, both in fixed width. The private key ends with the call,
	// so that none is used twice.
	agree(random io.Reader) (public, k []byte, err error)
	name() string // of the curve or group
	weak() bool   // see Result
}

// What has 112 bits of security.
const (
	strongCurve = 224
	strongPrime = 2048
)

// Universal tags (X.690, 8).
const (
	tagInteger  tlv.Tag = 0x02
	tagBits     tlv.Tag = 0x03
	tagOID      tlv.Tag = 0x06
	tagSequence tlv.Tag = 0x30
)

// Object identifiers of DH keys, as encoded.
const (
	oidStandardized = "\x04\x00\x7F\x00\x07\x01\x02"         // standardizedDomainParameters, 0.4.0.127.0.7.1.2
	oidPKCS3        = "\x2A\x86\x48\x86\xF7\x0D\x01\x03\x01" // dhKeyAgreement, 1.2.840.113549.1.3.1
	oidX942         = "\x2A\x86\x48\xCE\x3E\x02\x01"         // dhpublicnumber, 1.2.840.10046.2.1
)

// parseKey reads and checks a key (Doc 9303-11, 9.2.6). The error is [ErrKey]
// or [ErrUnsupported].
func parseKey(info secinfo.ChipAuthenticationPublicKeyInfo, curve bool) (chipKey, error) {
	if curve {
		return parseCurveKey(info)
	}
	return parseDHKey(info.PublicKey)
}

// readKeyInfo splits a SubjectPublicKeyInfo into the content of its
// AlgorithmIdentifier and the bits of the key.
func readKeyInfo(spki []byte, algorithm, key *tlv.String) bool {
	in := tlv.String(spki)
	var body tlv.String
	var unused uint8
	return in.ReadTag(&body, tagSequence) && in.Empty() &&
		body.ReadTag(algorithm, tagSequence) && body.ReadTag(key, tagBits) && body.Empty() &&
		key.ReadUint8(&unused) && unused == 0
}

// curveKey is a key for ECDH.
type curveKey struct{ point *ec.Point }

func parseCurveKey(info secinfo.ChipAuthenticationPublicKeyInfo) (chipKey, error) {
	point, err := info.Point()
	if err == nil {
		return curveKey{point}, nil
	}
	// Point does not say whether it is the curve that it does not know or the
	// key that is wrong. It is the key, if the curve's generator would do.
	var algorithm, key tlv.String
	if !readKeyInfo(info.PublicKey, &algorithm, &key) {
		return nil, ErrKey
	}
	for _, c := range ec.All() {
		body := tlv.Append(nil, tagSequence, algorithm)
		body = tlv.Append(body, tagBits, append([]byte{0}, c.Generator().Bytes()...))
		probe := secinfo.ChipAuthenticationPublicKeyInfo{PublicKey: tlv.Append(nil, tagSequence, body)}
		if _, err := probe.Point(); err == nil {
			return nil, ErrKey
		}
	}
	return nil, ErrUnsupported
}

func (k curveKey) name() string { return k.point.Curve().Name() }

func (k curveKey) weak() bool { return k.point.Curve().BitSize() < strongCurve }

func (k curveKey) agree(random io.Reader) (public, secret []byte, err error) {
	d, err := k.point.Curve().GenerateKey(random)
	if err != nil {
		return nil, nil, fmt.Errorf("chipauth: random numbers: %w", err)
	}
	if secret, err = d.ECDH(k.point); err != nil {
		return nil, nil, fmt.Errorf("chipauth: %w", err)
	}
	return d.Public().Bytes(), secret, nil
}

// Bounds of DH groups.
const (
	// The smallest that the standard names (9.5.1).
	minDHBits = 1024
	// Beyond it, checking the group and agreeing on keys would keep a desk
	// waiting, and no document has more.
	maxDHBits = 4096
	// The order of the subgroup, and private keys, have at least as many bits.
	minOrderBits = 160
)

// dhKey is a key for DH. All its numbers are public; those that are not live in
// agree only.
//
// The arithmetic is math/big: its exponentiation has fixed windows, but its
// time is not promised to be independent of the values. A private key is used
// for one agreement.
type dhKey struct {
	group   string // name of a standardized group; empty for another
	p, g, y *big.Int
	q       *big.Int // order of g; nil if unknown
	bits    int      // of private keys, if q is unknown
	x942    bool
}

// parseDHKey reads a key in a standardized group or in one of its own, which is
// in the form of PKCS #3 or X9.42 (Doc 9303-11, 9.5, 9.6, and 8.5, note 2), and
// checks what can be checked. A group of the document's own is as trustworthy
// as the key itself, since one signature covers both; the checks keep mistakes
// and small subgroups out.
func parseDHKey(spki []byte) (chipKey, error) {
	var algorithm, bits, oid tlv.String
	if !readKeyInfo(spki, &algorithm, &bits) || !algorithm.ReadTag(&oid, tagOID) {
		return nil, ErrKey
	}
	k := new(dhKey)
	var err error
	switch string(oid) {
	case oidStandardized:
		err = k.readStandardized(&algorithm)
	case oidPKCS3:
		err = k.readPKCS3(&algorithm)
	case oidX942:
		err = k.readX942(&algorithm)
	default:
		err = ErrUnsupported
	}
	if err != nil {
		return nil, err
	}
	if !algorithm.Empty() || !readNumber(&bits, &k.y) || !bits.Empty() {
		return nil, ErrKey
	}
	if k.p.BitLen() < minDHBits || k.p.BitLen() > maxDHBits || k.p.BitLen()%8 == 1 {
		return nil, ErrUnsupported // for the last of these, see draw
	}
	if !k.recognize() || !k.valid() {
		return nil, ErrKey
	}
	if k.bits < minOrderBits || k.bits >= k.p.BitLen() {
		k.bits = k.p.BitLen() - 1
	}
	return k, nil
}

// readStandardized reads the number of a group (Doc 9303-11, 9.5.1).
func (k *dhKey) readStandardized(algorithm *tlv.String) error {
	var id *big.Int
	if !readNumber(algorithm, &id) {
		return ErrKey
	}
	groups := modp.Groups()
	if id.Cmp(big.NewInt(int64(len(groups)))) >= 0 {
		return ErrUnsupported
	}
	g := groups[id.Int64()]
	k.p, k.g = g.P, g.G
	return nil
}

// readPKCS3 reads DHParameter (PKCS #3, 9).
func (k *dhKey) readPKCS3(algorithm *tlv.String) error {
	var params tlv.String
	if !algorithm.ReadTag(&params, tagSequence) || !readNumber(&params, &k.p) || !readNumber(&params, &k.g) {
		return ErrKey
	}
	if params.Empty() {
		return nil
	}
	var l *big.Int // the length of private keys
	if !readNumber(&params, &l) || !params.Empty() {
		return ErrKey
	}
	if l.BitLen() <= 16 {
		k.bits = int(l.Int64())
	}
	return nil
}

// readX942 reads DomainParameters (RFC 3279, 2.3.3). The cofactor and how the
// group was made may follow.
func (k *dhKey) readX942(algorithm *tlv.String) error {
	var params tlv.String
	if !algorithm.ReadTag(&params, tagSequence) ||
		!readNumber(&params, &k.p) || !readNumber(&params, &k.g) || !readNumber(&params, &k.q) ||
		!params.ReadOptional(nil, nil, tagInteger) || !params.ReadOptional(nil, nil, tagSequence) || !params.Empty() {
		return ErrKey
	}
	k.x942 = true
	return nil
}

// recognize finds out whether the group is a standardized one, whose order is
// known. It reports false if the key says another order.
func (k *dhKey) recognize() bool {
	for _, g := range modp.Groups() {
		if k.p.Cmp(g.P) != 0 || k.g.Cmp(g.G) != 0 {
			continue
		}
		if k.q != nil && k.q.Cmp(g.Q) != 0 {
			return false
		}
		k.group, k.q = g.Name, g.Q
	}
	return true
}

// readNumber reads a non-negative INTEGER that is no longer than any group
// needs.
func readNumber(s *tlv.String, n **big.Int) bool {
	var content tlv.String
	if !s.ReadTag(&content, tagInteger) || content.Empty() || content[0]&0x80 != 0 || len(content) > maxNumberLen {
		return false
	}
	*n = new(big.Int).SetBytes(content)
	return true
}

// maxNumberLen leaves room for telling a group that is too large from one that
// is malformed.
const maxNumberLen = 4 * maxDHBits / 8

var one = big.NewInt(1)

// valid checks the group and the key: an odd prime, and elements other than 0,
// 1 and -1; with q known, in the subgroup of that order (RFC 2631, 2.1.5).
//
// The test for primes is Baillie-PSW alone: no composite is known to pass it,
// and more rounds cost more than this check is worth.
func (k *dhKey) valid() bool {
	last := new(big.Int).Sub(k.p, one)
	element := func(x *big.Int) bool { return x.Cmp(one) > 0 && x.Cmp(last) < 0 }
	if !element(k.g) || !element(k.y) || k.group == "" && !k.p.ProbablyPrime(0) {
		return false
	}
	if k.q == nil {
		return true
	}
	power := func(x *big.Int) *big.Int { return new(big.Int).Exp(x, k.q, k.p) }
	return k.q.BitLen() >= minOrderBits && k.q.Cmp(last) < 0 && new(big.Int).Rem(last, k.q).Sign() == 0 &&
		power(k.g).Cmp(one) == 0 && power(k.y).Cmp(one) == 0
}

func (k *dhKey) weak() bool { return k.p.BitLen() < strongPrime }

func (k *dhKey) name() string {
	if k.group != "" {
		return k.group
	}
	return fmt.Sprintf("MODP-%d", k.p.BitLen())
}

func (k *dhKey) agree(random io.Reader) (public, secret []byte, err error) {
	size := (k.p.BitLen() + 7) / 8
	x, y, err := k.draw(random, size)
	if err != nil {
		return nil, nil, err
	}
	z := new(big.Int).Exp(k.y, x, k.p)
	// The shared secret has the width of p, leading zeros included (PKCS #3, 8.3).
	return y.FillBytes(make([]byte, size)), z.FillBytes(make([]byte, size)), nil
}

// draw returns a private key and its public value: as many bits as it has, in
// whole bytes without the bits above them, until they fit.
//
// Public values that begin with a zero byte are left out. Doc 9303-11, 9.4.1,
// wants them without it, and not every chip agrees; so none is asked. That takes a
// second exponentiation now and then. Below a prime with a single bit in its first
// byte, as somebody might choose it, nearly all values can begin so: such primes,
// which no document has, are not supported. Where the values are few, and all of
// them short, it ends after maxPowers: nobody can stop an exponentiation.
func (k *dhKey) draw(random io.Reader, size int) (x, y *big.Int, err error) {
	if random == nil {
		random = rand.Reader
	}
	bits := k.bits
	if k.q != nil {
		bits = k.q.BitLen()
	}
	b := make([]byte, (bits+7)/8)
	defer clear(b)
	powers := 0
	for range maxDraws {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, nil, fmt.Errorf("chipauth: random numbers: %w", err)
		}
		b[0] &= 0xFF >> (8*len(b) - bits)
		x := new(big.Int).SetBytes(b)
		if x.Cmp(one) <= 0 || k.q != nil && x.Cmp(k.q) >= 0 {
			continue
		}
		if y := new(big.Int).Exp(k.g, x, k.p); y.BitLen() > 8*(size-1) {
			return x, y, nil
		}
		if powers++; powers == maxPowers {
			break
		}
	}
	return nil, nil, errors.New("chipauth: no private key in the random numbers")
}

const (
	// maxDraws is far more than a good source ever needs: half of the draws fit.
	maxDraws = 256
	// maxPowers is how many of those are tried as a private key. At least every other
	// one is good, and nearly all are for the primes that documents have.
	maxPowers = 16
)
