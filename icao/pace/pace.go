// Package pace is the terminal's side of Password Authenticated Connection
// Establishment: Doc 9303-11 (8th edition, 2021, with its amendments), 4.4.
//
// Terminal and chip prove to each other that both know a password of low
// entropy, from the machine readable zone or the card access number, and agree
// on strong session keys. All three mappings are here (generic, integrated,
// chip authentication), over the elliptic curves and the MODP groups of the
// standardized domain parameters, with 3DES and AES.
//
// Left out on purpose: trying several passwords and the choice between this
// protocol and BAC, which are the caller's; terminal authentication (the chip
// is not asked for certification authority references); other explicit domain
// parameters than those of a known curve, which the standard forbids (9.2.2);
// the reading of EF.CardSecurity, against which [CAM] is verified.
package pace

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/internal/kdf"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/icao/tlv"
)

// What callers may branch on. A refusal by the chip that is none of these
// wraps its [apdu.Status] only.
var (
	// ErrUnsupported reports a protocol or domain parameters that this package
	// does not perform. Nothing was sent.
	ErrUnsupported = errors.New("pace: unsupported protocol or domain parameters")
	// ErrWrongPassword reports that the chip refused the terminal's token with
	// 6300 or 63Cx. The error also wraps the [apdu.Status], so that the number
	// of tries left is visible where the chip tells it.
	//
	// No earlier step can tell: under a wrong password the nonce decrypts to
	// other random bytes, and every mapping maps those as well. A 63xx before
	// the token is therefore not this error.
	ErrWrongPassword = errors.New("pace: card refuses the password")
	// ErrCardAuthentication reports that the chip accepted the terminal's
	// token, but its own token or chip authentication data is wrong or
	// missing: it is damaged, or an impostor.
	ErrCardAuthentication = errors.New("pace: card does not authenticate itself")
	// ErrProtocol reports a response that the protocol does not allow: a data
	// object that is missing or malformed, or a public key that is invalid or
	// equal to the terminal's.
	ErrProtocol = errors.New("pace: response violates the protocol")
)

// A Config adjusts [Establish]. The zero value and nil are ready for use.
type Config struct {
	// Rand is the source of the terminal's ephemeral keys, and of its nonce in
	// integrated mapping, read in the order of their use. It has to be
	// cryptographically secure; nil is crypto/rand.
	Rand io.Reader
	// Deviates, if not nil, is called for each thing that the chip does against the
	// standard and that is tolerated: one of the constants of this package.
	Deviates func(deviation string)
}

// DevAuthData is a deviation: the chip sends chip authentication data (DO'8A')
// without having been asked for chip authentication mapping, which it must not
// (Doc 9303-11, 4.4.4.3, table 4). It proves nothing and harms nothing.
const DevAuthData = "pace_chip_authentication_data_unasked"

// Commands (Doc 9303-11, 4.4.4).
const (
	insManageSecurityEnvironment = 0x22
	p1MutualAuthentication       = 0xC1
	p2AuthenticationTemplate     = 0xA4

	insGeneralAuthenticate = 0x86
	claChaining            = 0x10
	claLast                = 0x00
)

// Data objects of MSE:Set AT and GENERAL AUTHENTICATE (Doc 9303-11, 4.4.4.1
// and 4.4.5).
const (
	doMechanism tlv.Tag = 0x80
	doPassword  tlv.Tag = 0x83
	doParameter tlv.Tag = 0x84

	doDynamic        tlv.Tag = 0x7C
	doEncryptedNonce tlv.Tag = 0x80
	doMapIFD         tlv.Tag = 0x81
	doMapIC          tlv.Tag = 0x82
	doKeyIFD         tlv.Tag = 0x83
	doKeyIC          tlv.Tag = 0x84
	doTokenIFD       tlv.Tag = 0x85
	doTokenIC        tlv.Tag = 0x86
	doChipAuthData   tlv.Tag = 0x8A

	tagPublicKey tlv.Tag = 0x7F49
	tagOID       tlv.Tag = 0x06
)

// maxNonceLen bounds the chip's nonce in generic mapping, where the chip
// chooses the length (4.4.3.3). Chips use 16 bytes.
const maxNonceLen = 64

// The steps of the protocol, for errors.
const (
	stepSelect       = "select protocol"
	stepNonce        = "get nonce"
	stepMap          = "map nonce"
	stepAgree        = "agree on keys"
	stepAuthenticate = "authenticate"
)

// Establish runs PACE over the plain session d with what info offers, before
// any application is selected, and returns the channel for everything that
// follows. With chip authentication mapping it also returns what proves that
// the chip is genuine, once it is verified; otherwise CAM is nil.
//
// If the chip refuses the protocol (6A80 or 6A88) and the domain parameters
// were not named, it is asked once more with their name.
//
// The error wraps one of this package's sentinels, the [apdu.Status] of a
// refusal, or what d returned when there was no response; channel and CAM are
// nil then. Nothing is left behind on this side; the card is best reset before
// the next protocol, and a chip may answer more slowly after a wrong password.
func Establish(ctx context.Context, d apdu.Doer, info secinfo.PACEInfo, pw Password, cfg *Config) (*sm.Channel, *CAM, error) {
	if pw.IsZero() {
		return nil, nil, errors.New("pace: no password")
	}
	s, err := suiteOf(info)
	if err != nil {
		return nil, nil, err
	}
	r := run{d: d, info: info, suite: s, password: pw, random: rand.Reader}
	if cfg != nil {
		if cfg.Rand != nil {
			r.random = cfg.Rand
		}
		r.deviates = cfg.Deviates
	}
	return r.do(ctx)
}

// A run is one call of Establish.
type run struct {
	d        apdu.Doer
	info     secinfo.PACEInfo
	suite    suite
	password Password
	random   io.Reader
	deviates func(string) // may be nil
}

func (r *run) do(ctx context.Context) (*sm.Channel, *CAM, error) {
	z, err := r.start(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := r.decryptNonce(z)
	if err != nil {
		return nil, nil, err
	}

	// Ephemeral domain parameters (Doc 9303-11, 4.4.1, step 3 b).
	mapped, mapIC, err := r.mapNonce(ctx, s)
	if err != nil {
		return nil, nil, err
	}

	// Steps 3 c and d.
	key, err := mapped.newKey(r.random)
	if err != nil {
		return nil, nil, fmt.Errorf("pace: random numbers: %w", err)
	}
	objects, err := r.authenticate(ctx, stepAgree, claChaining, doKeyIFD, key.public())
	if err != nil {
		return nil, nil, err
	}
	pkIC, ok := objects.find(doKeyIC)
	if !ok {
		return nil, nil, violation(stepAgree, "no ephemeral public key")
	}
	k, err := key.agree(pkIC)
	if err != nil {
		return nil, nil, violation(stepAgree, err.Error())
	}

	// Steps 3 e and f.
	ksEnc := derive(r.suite.cipher, k, kdf.Enc)
	ksMac := derive(r.suite.cipher, k, kdf.Mac)
	tIFD := r.token(ksMac, pkIC)
	objects, err = r.authenticate(ctx, stepAuthenticate, claLast, doTokenIFD, tIFD[:])
	if err != nil {
		if sw, ok := errors.AsType[apdu.Status](err); ok && sw.SW1() == 0x63 {
			return nil, nil, fmt.Errorf("%w: %w", ErrWrongPassword, sw)
		}
		return nil, nil, err
	}
	tIC, ok := objects.find(doTokenIC)
	if !ok {
		return nil, nil, violation(stepAuthenticate, "no token")
	}
	if want := r.token(ksMac, key.public()); subtle.ConstantTimeCompare(tIC, want[:]) != 1 {
		return nil, nil, fmt.Errorf("%w: wrong token", ErrCardAuthentication)
	}

	// Step 4.
	var cam *CAM
	if r.suite.mapping == chipAuthentication {
		if cam, err = r.chipAuthentication(objects, ksEnc, mapIC); err != nil {
			return nil, nil, err
		}
	} else if _, unasked := objects.find(doChipAuthData); unasked && r.deviates != nil {
		r.deviates(DevAuthData)
	}
	// Doc 9303-11, 9.8.6.3 and 9.8.7.3: the counter starts at zero.
	ssc := make([]byte, r.suite.cipher.BlockSize())
	ch, err := sm.New(r.d, r.suite.cipher, ksEnc, ksMac, ssc)
	if err != nil {
		return nil, nil, fmt.Errorf("pace: %w", err)
	}
	return ch, cam, nil
}

// start selects the protocol and fetches the encrypted nonce. Some chips name
// the missing reference to the domain parameters when it is set, some when it
// is used (Doc 9303-11, 4.4.4.1, note 1).
func (r *run) start(ctx context.Context) (z []byte, err error) {
	name := r.info.Ambiguous
	for {
		if z, err = r.getNonce(ctx, name); err == nil {
			return z, nil
		}
		if name || r.info.ParameterID == secinfo.NoID ||
			!errors.Is(err, apdu.WrongData) && !errors.Is(err, apdu.ReferencedDataNotFound) {
			return nil, err
		}
		name = true
	}
}

func (r *run) getNonce(ctx context.Context, nameParameters bool) ([]byte, error) {
	data := tlv.Append(nil, doMechanism, r.suite.oid)
	data = tlv.Append(data, doPassword, []byte{r.password.reference})
	if nameParameters {
		data = tlv.Append(data, doParameter, unsigned(r.info.ParameterID))
	}
	resp, err := r.d.Do(ctx, apdu.Command{
		INS: insManageSecurityEnvironment, P1: p1MutualAuthentication, P2: p2AuthenticationTemplate,
		Data: data,
	})
	if err == nil {
		err = resp.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("pace: %s: %w", stepSelect, err)
	}
	objects, err := r.authenticate(ctx, stepNonce, claChaining, 0, nil)
	if err != nil {
		return nil, err
	}
	z, ok := objects.find(doEncryptedNonce)
	if !ok {
		return nil, violation(stepNonce, "no encrypted nonce")
	}
	return z, nil
}

// decryptNonce returns s = D(K_pi, z) (Doc 9303-11, 4.4.1, step 2).
func (r *run) decryptNonce(z []byte) ([]byte, error) {
	// In integrated mapping the length is fixed, otherwise the chip's choice.
	ok := len(z) > 0 && len(z)%r.suite.cipher.BlockSize() == 0 && len(z) <= maxNonceLen
	if r.suite.mapping == integrated {
		ok = len(z) == nonceLen(r.suite.cipher)
	}
	if !ok {
		return nil, violation(stepNonce, fmt.Sprintf("encrypted nonce of %d bytes", len(z)))
	}
	kPi := derive(r.suite.cipher, r.password.secret(), kdf.Password)
	return decrypt(r.suite.cipher, kPi, z), nil
}

// mapNonce returns the ephemeral generator, and the chip's public key of the
// mapping where there is one.
func (r *run) mapNonce(ctx context.Context, s []byte) (mapped generator, mapIC []byte, err error) {
	if r.suite.mapping == integrated {
		mapped, err = r.mapIntegrated(ctx, s)
		return mapped, nil, err
	}
	// Generic mapping (Doc 9303-11, 4.4.3.3.1); chip authentication mapping is
	// the same here (4.4.3.3.3).
	key, err := r.suite.group.newKey(r.random)
	if err != nil {
		return nil, nil, fmt.Errorf("pace: random numbers: %w", err)
	}
	objects, err := r.authenticate(ctx, stepMap, claChaining, doMapIFD, key.public())
	if err != nil {
		return nil, nil, err
	}
	mapIC, ok := objects.find(doMapIC)
	if !ok {
		return nil, nil, violation(stepMap, "no mapping data")
	}
	if mapped, err = key.mapGeneric(s, mapIC); err != nil {
		return nil, nil, violation(stepMap, err.Error())
	}
	return mapped, mapIC, nil
}

// mapIntegrated sends the nonce t and maps both (Doc 9303-11, 4.4.3.3.2).
func (r *run) mapIntegrated(ctx context.Context, s []byte) (generator, error) {
	t := make([]byte, r.suite.cipher.KeyLen())
	if _, err := io.ReadFull(r.random, t); err != nil {
		return nil, fmt.Errorf("pace: random numbers: %w", err)
	}
	// The answer is an empty data object (4.4.5.2.2); chips also leave it out.
	objects, err := r.authenticate(ctx, stepMap, claChaining, doMapIFD, t)
	if err != nil {
		return nil, err
	}
	if mapIC, ok := objects.find(doMapIC); ok && len(mapIC) > 0 {
		return nil, violation(stepMap, "unexpected mapping data")
	}
	mapped, err := r.suite.group.mapIntegrated(pseudoRandom(r.suite.cipher, s, t, r.suite.group.bits()))
	if err != nil {
		return nil, violation(stepMap, err.Error())
	}
	return mapped, nil
}

// authenticate sends one GENERAL AUTHENTICATE of the chain, with one data
// object or, with tag 0, none, and returns the data objects of the answer.
func (r *run) authenticate(ctx context.Context, step string, cla byte, tag tlv.Tag, value []byte) (dataObjects, error) {
	var object []byte
	if tag != 0 {
		object = tlv.Append(nil, tag, value)
	}
	c := apdu.Command{CLA: cla, INS: insGeneralAuthenticate, Data: tlv.Append(nil, doDynamic, object), Ne: 256}
	if c.Extended() { // the answer is as long: a public key of 2048 bits
		c.Ne = 65536
	}
	resp, err := r.d.Do(ctx, c)
	if err == nil {
		err = resp.Err()
	}
	if err != nil {
		return dataObjects{}, fmt.Errorf("pace: %s: %w", step, err)
	}
	objects, ok := parseObjects(resp.Data)
	if !ok {
		return dataObjects{}, violation(step, "malformed response")
	}
	return objects, nil
}

// dataObjects is the content of the dynamic authentication data of a response,
// known to be well-formed.
type dataObjects struct{ content tlv.String }

// parseObjects unwraps a response. A response without data is one without data
// objects: so some chips answer the mapping step of integrated mapping.
func parseObjects(b []byte) (o dataObjects, ok bool) {
	if len(b) == 0 {
		return o, true
	}
	in := tlv.String(b)
	if !in.ReadTag(&o.content, doDynamic) || !in.Empty() {
		return dataObjects{}, false
	}
	var seen []tlv.Tag
	for rest := o.content; !rest.Empty(); {
		var tag tlv.Tag
		if !rest.Read(nil, &tag) || slices.Contains(seen, tag) {
			return dataObjects{}, false
		}
		seen = append(seen, tag)
	}
	return o, true
}

// find returns the data object with a tag. Others are passed over: chips may
// send what was not asked for (4.4.5.5).
func (o dataObjects) find(want tlv.Tag) ([]byte, bool) {
	for rest := o.content; !rest.Empty(); {
		var value tlv.String
		var tag tlv.Tag
		if !rest.Read(&value, &tag) {
			break
		}
		if tag == want {
			return value, true
		}
	}
	return nil, false
}

// token returns MAC(KS_MAC, public key data object) over the other side's
// public key as it was sent (Doc 9303-11, 4.4.3.4).
func (r *run) token(ksMac, public []byte) [tokenLen]byte {
	body := tlv.Append(nil, tagOID, r.suite.oid)
	body = tlv.Append(body, r.suite.group.tag(), public)
	return authenticationCode(r.suite.cipher, ksMac, tlv.Append(nil, tagPublicKey, body))
}

func violation(step, what string) error {
	return fmt.Errorf("%w: %s: %s", ErrProtocol, step, what)
}

// unsigned encodes a number in as few bytes as possible (Doc 9303-11, 9.4.1).
func unsigned(n int) []byte {
	b := []byte{byte(n)}
	for n >>= 8; n > 0; n >>= 8 {
		b = append(b, byte(n))
	}
	slices.Reverse(b)
	return b
}
