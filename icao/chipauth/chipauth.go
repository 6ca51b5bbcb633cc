// Package chipauth is the terminal's side of chip authentication, version 1:
// Doc 9303-11 (8th edition, 2021, with its amendments), 6.2. It is a key
// agreement between an ephemeral key of the terminal and a static key of the
// chip. Whoever answers under the keys that come out of it holds the private
// key, and so is no copy; secure messaging goes on with these keys.
//
// [Authenticate] performs it, over every curve of this module and over DH
// groups that a document brings, with 3DES and AES. [VerifyCAM] judges the
// other proof of the same key, which PACE with chip authentication mapping
// yields (4.4.3.5).
//
// Either proves possession of the key in the SecurityInfos and no more. Whether
// that key belongs to the document is for passive authentication to say: DG14
// has to be covered by EF.SOD, EF.CardSecurity has to bear a good signature.
//
// Left out on purpose: versions 2 and 3 of TR-03110, terminal authentication,
// and every choice that needs the document, such as where the SecurityInfos
// are read.
package chipauth

import (
	"context"
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

// What callers may branch on. An error that is none of these means that the
// chip gave no answer: it wraps the cause, and says nothing about the chip.
var (
	// ErrNotOffered reports SecurityInfos without a key for chip
	// authentication. Nothing was sent.
	ErrNotOffered = errors.New("chipauth: not offered by the chip")
	// ErrUnsupported reports a protocol, curve or group that this package does
	// not perform. Nothing was sent, and nothing can be said about the chip.
	ErrUnsupported = errors.New("chipauth: unsupported protocol or domain parameters")
	// ErrKey reports an offer without a usable key: none belongs to it, or it
	// is malformed, not on its curve, or not in its group. Nothing was sent.
	ErrKey = errors.New("chipauth: no valid public key of the chip")
	// ErrRefused reports that the chip refused what it offers. The error also
	// wraps the [apdu.Status].
	ErrRefused = errors.New("chipauth: refused by the chip")
	// ErrCardAuthentication reports that the chip answered, but not as one that
	// holds the private key: it is damaged, or a copy.
	ErrCardAuthentication = errors.New("chipauth: card does not authenticate itself")
	// ErrLong comes beside any of the last two, or beside neither: a command failed
	// that does not fit into a short one, as only DH keys make them. Extended
	// length and chaining are each beyond some chips and readers, so it may have
	// been nothing but its length. Before that is held against the chip, try the
	// other way by means of [Config.MaxData].
	ErrLong = errors.New("chipauth: long command failed")
)

// A longError is an error of a run in which a long command failed.
type longError struct{ err error }

func (e *longError) Error() string   { return e.err.Error() }
func (e *longError) Unwrap() []error { return []error{ErrLong, e.err} }

// The deviations of a [Result]: a closed set of names, never data from the
// document. Whether one is acceptable is policy.
const (
	// A key without ChipAuthenticationInfo, as on early French passports; 3DES
	// was assumed, which is all there was then.
	DevNoInfo = "chip_authentication_info_missing"
	// Another version number than 1 in the ChipAuthenticationInfo (9.2.5);
	// version 1 was performed.
	DevVersion = "chip_authentication_info_version_not_1"
	// Only one of the two entries that belong together has a key identifier.
	DevKeyID = "chip_authentication_key_id_one_sided"
	// An entry that was passed over because of its key or its protocol.
	DevUnusable = "chip_authentication_entry_unusable"
	// The public key is encoded as of X9.42 (8.5, note 2, and 9.6 want PKCS #3;
	// 9.5.2 names X9.42).
	DevX942 = "chip_authentication_key_x942"
	// The chip refused one variant that it offers and performed another.
	DevVariantRefused = "chip_authentication_variant_refused"
	// The chip refused MSE:Set KAT and performed 3DES by MSE:Set AT (8.5, note 1).
	DevNoKAT = "chip_authentication_kat_refused"
	// A long command was chained, because the chip refused it in extended length
	// (9.3.2).
	DevChained = "chip_authentication_command_chained"
	// The answer to GENERAL AUTHENTICATE was not an empty template.
	DevResponse = "chip_authentication_response_unexpected"
)

// A Config adjusts [Authenticate]. The zero value and nil are ready for use.
type Config struct {
	// Rand is the source of the ephemeral keys, one for each attempt. It has
	// to be cryptographically secure; nil is crypto/rand.
	Rand io.Reader

	// Confirm is the first command under the new keys, whose response is the
	// proof. Any command will do that the chip answers under secure messaging;
	// a useful one saves an exchange. Nil selects EF.DG14, which changes
	// nothing and is how the chips behind the published exchanges were asked.
	Confirm *apdu.Command

	// MaxData is the longest command data field that reader and card carry,
	// protection included; 0 means as long as needed, in extended length.
	// Longer commands, which only DH keys make, are chained instead. Values
	// below 64 count as 64.
	MaxData int
}

// A Result describes a proof. The zero value is none.
type Result struct {
	// Algorithm is what the key was proved with, as a person would write it:
	// "CA ECDH AES-128 brainpoolP256r1", "PACE-CAM brainpoolP256r1".
	Algorithm string
	// KeyID identifies the chip's key; [secinfo.NoID] when it has no number.
	KeyID int
	// WeakKey says that the key has less than 112 bits of security: a curve of less
	// than 224 bits, or a prime of less than 2048 (NIST SP 800-57 part 1, table 2).
	WeakKey bool
	// Response is the answer to [Config.Confirm], for its data. Its status may
	// be an error: the checksum is the proof, not the status.
	Response apdu.Response
	// Deviations that were tolerated.
	Deviations []string
}

// Commands (Doc 9303-11, 6.2.4).
const (
	insManageSecurityEnvironment = 0x22
	p1Internal                   = 0x41
	p2KeyAgreement               = 0xA6 // MSE:Set KAT
	p2Authentication             = 0xA4 // MSE:Set AT

	insGeneralAuthenticate = 0x86
	claChaining            = 0x10
)

// Data objects (Doc 9303-11, 6.2.4).
const (
	doMechanism    tlv.Tag = 0x80
	doKeyReference tlv.Tag = 0x84
	doEphemeralKAT tlv.Tag = 0x91

	doDynamic     tlv.Tag = 0x7C
	doEphemeralGA tlv.Tag = 0x80
)

// The steps, for errors.
const (
	stepAgreement = "set key agreement template"
	stepSelect    = "select protocol"
	stepAgree     = "agree on keys"
	stepConfirm   = "confirm"
)

// maxVariants bounds what a chip that refuses everything makes a terminal do.
// Documents offer one to three keys.
const maxVariants = 8

// Authenticate runs chip authentication with what infos, the content of DG14,
// offer. ch is the working channel of BAC or PACE, and d is the plain session
// below it. The result is the channel for everything that follows; ch must not
// be used any more, because the chip has dropped its keys.
//
// The error is nil only after the chip has answered [Config.Confirm] under the
// new keys with a valid checksum.
//
// When several variants are offered, they are tried in this order until the
// chip accepts one: AES before 3DES (8.5), the longer AES key first; ECDH
// before DH; then as in the file. A ChipAuthenticationInfo goes with the key of
// its kind and identifier; if one of the two has no identifier, with any of its
// kind. Entries of another version than 1 come last. 3DES is agreed on by
// MSE:Set KAT, and if the chip refuses that, by MSE:Set AT, as is AES. Each
// attempt has an ephemeral key of its own.
//
// On error the channel is nil and the Result zero. ch stays in force (6.2.2) if
// the error is [ErrNotOffered], [ErrUnsupported] or [ErrKey], or [ErrRefused]
// without [sm.ErrBroken]. After any other error the card has to be reset.
func Authenticate(ctx context.Context, d apdu.Doer, ch *sm.Channel, infos secinfo.SecurityInfos, cfg *Config) (*sm.Channel, Result, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	r := run{d: d, ch: ch, random: cfg.Rand, confirm: selectDG14(), maxData: cfg.MaxData}
	if cfg.Confirm != nil {
		r.confirm = *cfg.Confirm
	}
	if r.maxData != 0 {
		r.maxData = max(r.maxData, minMaxData)
	}
	variants, err := variantsOf(infos)
	if err != nil {
		return nil, Result{}, err
	}
	next, result, err := r.do(ctx, variants)
	if err != nil && r.long {
		err = &longError{err}
	}
	return next, result, err
}

const minMaxData = 64

// selectDG14 is SELECT of EF.DG14 without data in the answer.
func selectDG14() apdu.Command {
	return apdu.Command{INS: 0xA4, P1: 0x02, P2: 0x0C, Data: []byte{0x01, 0x0E}}
}

// A run is one call of Authenticate.
type run struct {
	d          apdu.Doer
	ch         *sm.Channel // of BAC or PACE
	random     io.Reader
	confirm    apdu.Command
	maxData    int  // 0: as long as needed
	extended   bool // a command in extended length was sent
	long       bool // a command failed that is too long for a short one
	deviations []string
}

func (r *run) deviates(name string) {
	if !slices.Contains(r.deviations, name) {
		r.deviations = append(r.deviations, name)
	}
}

// do tries the variants until the chip accepts one. Only a refusal under secure
// messaging lets the next one be tried: the old keys are in force then.
func (r *run) do(ctx context.Context, variants []variant) (*sm.Channel, Result, error) {
	var last error
	for _, v := range variants[:min(len(variants), maxVariants)] {
		next, resp, err := r.attempt(ctx, v)
		if r.extended && r.maxData == 0 && refused(err) && errors.Is(err, apdu.WrongLength) {
			// A chip that has no extended length can still chain.
			r.maxData = maxShortData
			r.deviates(DevChained)
			next, resp, err = r.attempt(ctx, v)
		}
		if err == nil {
			for _, name := range v.deviations {
				r.deviates(name)
			}
			return next, Result{Algorithm: v.name(), KeyID: v.keyID, WeakKey: v.key.weak(), Response: resp, Deviations: r.deviations}, nil
		}
		if !refused(err) {
			return nil, Result{}, err
		}
		last = err
		if v.kat {
			r.deviates(DevNoKAT)
		} else {
			r.deviates(DevVariantRefused)
		}
	}
	return nil, Result{}, last
}

// refused reports whether the chip refused under secure messaging.
func refused(err error) bool {
	return errors.Is(err, ErrRefused) && !errors.Is(err, sm.ErrBroken)
}

// attempt runs the protocol once, with a fresh ephemeral key (6.2.1), and
// returns the new channel and the response that proves it.
func (r *run) attempt(ctx context.Context, v variant) (*sm.Channel, apdu.Response, error) {
	public, k, err := v.key.agree(r.random)
	if err != nil {
		return nil, apdu.Response{}, err
	}
	if v.kat {
		err = r.setKAT(ctx, v, public)
	} else {
		err = r.generalAuthenticate(ctx, v, public)
	}
	if err != nil {
		return nil, apdu.Response{}, err
	}

	// Doc 9303-11, 9.8.2: the answer above was the last one under the old keys;
	// the counter starts at zero (9.8.6.3, 9.8.7.3).
	next, err := sm.New(r.d, v.cipher, derive(v.cipher, k, kdf.Enc), derive(v.cipher, k, kdf.Mac), make([]byte, v.cipher.BlockSize()))
	if err != nil {
		return nil, apdu.Response{}, fmt.Errorf("chipauth: %w", err)
	}
	resp, err := next.Do(ctx, r.confirm)
	if err != nil {
		return nil, apdu.Response{}, noResponse(stepConfirm, err, ErrCardAuthentication)
	}
	return next, resp, nil
}

// setKAT agrees on keys by MSE:Set KAT (6.2.4.1).
func (r *run) setKAT(ctx context.Context, v variant, public []byte) error {
	data := v.appendReference(tlv.Append(nil, doEphemeralKAT, public))
	_, err := r.send(ctx, stepAgreement, apdu.Command{
		INS: insManageSecurityEnvironment, P1: p1Internal, P2: p2KeyAgreement, Data: data,
	})
	return err
}

// generalAuthenticate agrees on keys by MSE:Set AT and GENERAL AUTHENTICATE
// (6.2.4.2).
func (r *run) generalAuthenticate(ctx context.Context, v variant, public []byte) error {
	data := v.appendReference(tlv.Append(nil, doMechanism, v.oid))
	_, err := r.send(ctx, stepSelect, apdu.Command{
		INS: insManageSecurityEnvironment, P1: p1Internal, P2: p2Authentication, Data: data,
	})
	if err != nil {
		return err
	}
	resp, err := r.send(ctx, stepAgree, apdu.Command{
		INS: insGeneralAuthenticate, Data: tlv.Append(nil, doDynamic, tlv.Append(nil, doEphemeralGA, public)), Ne: 256,
	})
	if err != nil {
		return err
	}
	// The answer holds nothing that is used, so a malformed one does no harm:
	// what counts is the next response.
	in := tlv.String(resp.Data)
	var content tlv.String
	if !in.ReadTag(&content, doDynamic) || !content.Empty() || !in.Empty() {
		r.deviates(DevResponse)
	}
	return nil
}

// send sends a command under the old keys, chained if it is too long, and
// takes every status but 9000 for a refusal.
func (r *run) send(ctx context.Context, step string, c apdu.Command) (apdu.Response, error) {
	length := protectedLen(r.ch.Cipher().BlockSize(), len(c.Data))
	resp, err := r.sendWhole(ctx, step, c, r.maxData > 0 && length > r.maxData)
	if err != nil && length > maxShortData {
		r.long = true
	}
	return resp, err
}

func (r *run) sendWhole(ctx context.Context, step string, c apdu.Command, chained bool) (apdu.Response, error) {
	rest := tlv.String(c.Data)
	if chained {
		for link := linkLen(r.ch.Cipher().BlockSize(), r.maxData); len(rest) > link; {
			chained := apdu.Command{CLA: claChaining, INS: c.INS, P1: c.P1, P2: c.P2}
			rest.ReadBytes(&chained.Data, link)
			if _, err := r.sendOne(ctx, step, chained); err != nil {
				return apdu.Response{}, err
			}
		}
	}
	c.Data = rest
	return r.sendOne(ctx, step, c)
}

func (r *run) sendOne(ctx context.Context, step string, c apdu.Command) (apdu.Response, error) {
	if protectedLen(r.ch.Cipher().BlockSize(), len(c.Data)) > maxShortData {
		r.extended = true
	}
	resp, err := r.ch.Do(ctx, c)
	if err != nil {
		return apdu.Response{}, noResponse(step, err, ErrRefused)
	}
	if err := resp.Err(); err != nil {
		return apdu.Response{}, fmt.Errorf("%w: %s: %w", ErrRefused, step, err)
	}
	return resp, nil
}

// noResponse says what it means that a channel gave no response: unprotected if
// the chip answered without secure messaging, ErrCardAuthentication if it
// answered something else that the channel did not accept, and neither if there
// was no answer at all.
func noResponse(step string, err, unprotected error) error {
	if _, ok := errors.AsType[*sm.UnprotectedError](err); ok {
		return fmt.Errorf("%w: %s: %w", unprotected, step, err)
	}
	_, endless := errors.AsType[*apdu.LimitError](err)
	// A channel that turned a response down wraps ErrBroken alone; without a
	// response, the cause is there beside it.
	if endless || errors.Is(err, apdu.ErrResponse) || errors.Unwrap(err) == sm.ErrBroken {
		return fmt.Errorf("%w: %s: %w", ErrCardAuthentication, step, err)
	}
	return fmt.Errorf("chipauth: %s: %w", step, err)
}

// maxShortData is the longest data field of a command in short length.
const maxShortData = 255

// protectedLen returns the length of a command's data field under secure
// messaging, for n bytes and a block size (Doc 9303-11, 9.8.4): at most, since
// not every command has an Le.
func protectedLen(blockSize, n int) int {
	enc := 1 + (n/blockSize+1)*blockSize // padding indicator and cryptogram
	header := 2
	if enc >= 0x80 {
		header++
	}
	if enc >= 0x100 {
		header++
	}
	const le, checksum = 4, 10
	return header + enc + le + checksum
}

// linkLen returns how many bytes fit into one link of a chain.
func linkLen(blockSize, limit int) int {
	n := limit / blockSize * blockSize
	for protectedLen(blockSize, n-1) > limit && n > blockSize {
		n -= blockSize
	}
	return n - 1
}

// derive returns a session key (Doc 9303-11, 9.7.1 and 9.7.4).
func derive(c sm.Cipher, k []byte, counter uint32) []byte {
	if c == sm.TripleDES {
		key := kdf.TripleDES(k, counter)
		return key[:]
	}
	return kdf.AES(k, counter, 8*c.KeyLen())
}
