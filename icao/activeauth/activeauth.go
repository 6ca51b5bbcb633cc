// Package activeauth is active authentication: the chip signs a challenge with
// the private key whose public half is in DG15, and so shows that it is no
// copy (Doc 9303-11, 8th edition, 6.1).
//
// [Authenticate] performs the exchange; [VerifySignature] judges a signature
// and is pure, so that somebody who was not there can judge it later. RSA
// signatures are those of ISO/IEC 9796-2, scheme 1, with partial recovery;
// ECDSA signatures are plain (BSI TR-03111) or, as some chips answer, DER.
// RSASSA-PSS is accepted where it is announced, although the standard knows it for
// no chip: see pss.go.
//
// A good signature proves possession of the key in DG15. Whether that key
// belongs to the document is for passive authentication to say: both are
// needed.
//
// Left out on purpose: further RSA schemes (the standard allows none), signature
// keys that are shorter than icao/cms accepts, and SHA-1 or RIPEMD-160 with
// ECDSA, which the standard forbids.
package activeauth

import (
	"context"
	"errors"
	"fmt"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/result"
)

var (
	// ErrSignature: the chip's answer is no signature of the challenge by
	// this key.
	ErrSignature = errors.New("activeauth: signature does not verify")
	// ErrKey: the public key cannot be understood.
	ErrKey = errors.New("activeauth: malformed public key")
	// ErrUnsupported: key type, curve or algorithm are not known, so that
	// nothing can be said.
	ErrUnsupported = errors.New("activeauth: algorithm not supported")
	// ErrRefused: the chip refused to sign. Its [apdu.Status] is wrapped too.
	ErrRefused = errors.New("activeauth: refused by the chip")
)

// Reasons of the checks that [Check] returns.
const (
	ReasonSignature   result.Reason = "aa_signature_invalid"
	ReasonKey         result.Reason = "aa_key_malformed"
	ReasonUnsupported result.Reason = "aa_algorithm_not_supported"
	ReasonRefused     result.Reason = "aa_refused"
	ReasonInterrupted result.Reason = "aa_interrupted"
)

// ReasonOf names the cause of an error of this package; "" for nil.
func ReasonOf(err error) result.Reason {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrSignature):
		return ReasonSignature
	case errors.Is(err, ErrKey):
		return ReasonKey
	case errors.Is(err, ErrUnsupported):
		return ReasonUnsupported
	case errors.Is(err, ErrRefused):
		return ReasonRefused
	}
	return ReasonInterrupted
}

// Check turns what [Authenticate] or [VerifySignature] returned into the
// outcome of a check. A chip that refuses to sign has failed: a copy can do no
// better. An unknown algorithm is undetermined, a lost chip aborted.
func Check(algorithm string, err error) result.Check {
	reason := ReasonOf(err)
	switch reason {
	case "":
		return result.Pass(algorithm)
	case ReasonUnsupported:
		return result.Unknown(reason)
	case ReasonInterrupted:
		return result.Check{Value: result.Aborted, Reason: reason}
	}
	return result.Fail(reason)
}

// Options are what is known beyond the key. The zero value and nil are fine.
type Options struct {
	// SignatureAlgorithm is the object identifier in dotted form that the
	// document's ActiveAuthenticationInfo gives (DG14; Doc 9303-11, 9.2.4).
	// When it is empty, an ECDSA signature is tried with the hash functions
	// that the standard allows. For an RSA key id-RSASSA-PSS announces that
	// scheme; everything else is passed over, because the signatures of the
	// standard name their hash function.
	SignatureAlgorithm string

	// MaxNe is the most response data that card and reader carry in one APDU,
	// as in lds.ReadOptions; 0 when it is not known. [VerifySignature] does
	// not use it.
	MaxNe int
}

// A Result is what the chip answered.
type Result struct {
	// Algorithm that the signature was verified with, as a person would write
	// it ("RSA-2048 ISO/IEC 9796-2 SHA-256"); empty if it was not.
	Algorithm string
	// Signature as received, also when it did not verify; nil when nothing
	// was. It is evidence together with the challenge.
	Signature []byte
}

const insInternalAuthenticate = 0x88

// Authenticate has the chip sign the challenge rndIFD and verifies the
// signature under the key of spki, the content of DG15. The challenge must be
// fresh: random, or bound to something that the chip cannot have foreseen.
// d is usually a secure messaging channel.
//
// The error is nil only if the signature is good. Otherwise it is one of this
// package, or that of d, which then has no Result worth keeping except a
// Signature that came before.
//
// Chips and readers disagree about the length to ask for: some answer 6700 or
// nothing to an extended length, some cut the answer off at a short one. Both
// are tried, with the same challenge, before the chip's answer is final.
func Authenticate(ctx context.Context, d apdu.Doer, spki []byte, rndIFD [8]byte, opt *Options) (Result, error) {
	if opt == nil {
		opt = &Options{}
	}
	key, err := parseKey(spki)
	if err != nil {
		return Result{}, err
	}
	size := signatureSize(key)
	var res Result
	var cause error = ErrSignature
	asked := make(map[int]bool)
	corrected := false
	for queue := lengths(d, size, opt.MaxNe); len(queue) > 0; {
		ne := queue[0]
		queue = queue[1:]
		if asked[ne] {
			continue
		}
		asked[ne] = true
		if err := ctx.Err(); err != nil {
			return res, err
		}
		resp, err := d.Do(ctx, apdu.Command{INS: insInternalAuthenticate, Data: rndIFD[:], Ne: ne})
		if err != nil {
			return res, err
		}
		if resp.SW != apdu.OK {
			if len(res.Signature) == 0 {
				cause = fmt.Errorf("%w: %w", ErrRefused, resp.SW)
			}
			if exact := int(resp.SW.SW2()); resp.SW.SW1() == sw1WrongLe && exact > 0 && !corrected {
				corrected = true // once: a card that always wants another length wants no end
				queue = append([]int{exact}, queue...)
			} else if !lengthRefused(resp.SW) {
				return res, cause
			}
			continue
		}
		if len(resp.Data) <= len(res.Signature) {
			continue // nothing, or no more than before
		}
		res.Signature = resp.Data
		res.Algorithm, cause = verify(key, rndIFD, resp.Data, opt)
		if cause == nil || len(resp.Data) >= size {
			return res, cause
		}
	}
	return res, cause
}

const sw1WrongLe = 0x6C

// lengthRefused reports whether another length may find more favour.
func lengthRefused(sw apdu.Status) bool {
	switch sw {
	case apdu.WrongLength, apdu.EndOfFile, apdu.WrongP1P2:
		return true
	}
	return sw.SW1() == sw1WrongLe
}

// lengths are the values of Ne to try for a signature of size bytes. The
// standard's is 256 (Doc 9303-11, F, step 2) where the answer fits into a
// short response, and an extended one where it does not (6.1.4, note).
func lengths(d apdu.Doer, size, maxNe int) []int {
	const short, extended = 256, 65536
	fits := short
	if ch, ok := d.(interface{ MaxNe(limit int) int }); ok {
		fits = ch.MaxNe(short)
	}
	most := extended
	if maxNe > 0 {
		most = min(most, maxNe)
	}
	if most <= short {
		// The response comes in pieces, or not at all.
		return []int{short, size}
	}
	if size <= fits {
		return []int{short, most, size}
	}
	return []int{most, max(size, short+1), short}
}

// VerifySignature reports whether signature is the answer to the challenge
// rndIFD by the key of spki, the content of DG15 (a SubjectPublicKeyInfo). It
// returns the algorithm, or an error: [ErrSignature], [ErrKey] or
// [ErrUnsupported]. It is a pure function of its arguments.
func VerifySignature(spki []byte, rndIFD [8]byte, signature []byte, opt *Options) (algorithm string, err error) {
	key, err := parseKey(spki)
	if err != nil {
		return "", err
	}
	if opt == nil {
		opt = &Options{}
	}
	return verify(key, rndIFD, signature, opt)
}

func parseKey(spki []byte) (*cms.PublicKey, error) {
	key, err := cms.ParsePublicKey(spki)
	switch {
	case errors.Is(err, cms.ErrUnsupported):
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	case key.RSA == nil && key.EC == nil:
		return nil, ErrUnsupported
	}
	return key, nil
}

// signatureSize is the length of a signature in bytes, for ECDSA of a plain
// one; a DER-encoded one is longer.
func signatureSize(key *cms.PublicKey) int {
	if key.RSA != nil {
		return (key.RSA.N.BitLen() + 7) / 8
	}
	return 2 * key.EC.Curve().OrderSize()
}

func verify(key *cms.PublicKey, rndIFD [8]byte, signature []byte, opt *Options) (string, error) {
	if key.RSA != nil {
		return verifyAnyRSA(key, rndIFD, signature, opt.SignatureAlgorithm)
	}
	return verifyECDSA(key.EC, rndIFD, signature, opt.SignatureAlgorithm)
}
