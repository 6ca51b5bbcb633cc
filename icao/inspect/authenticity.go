package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/chamthe/chamthe/icao/activeauth"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/pace"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/icao/trust"
)

// readCardSecurity reads the signed copy of the chip's keys, which lies in the
// master file and opens with PACE (Doc 9303-10, 3.11.4). Only chip authentication
// mapping needs it.
func (in *inspection) readCardSecurity(ctx context.Context) error {
	if in.cam == nil {
		return nil
	}
	b, _, err := in.file(ctx, lds.EFCardSecurity)
	in.cardSecurity = b // nil: withheld, which verifyCAM judges
	return err
}

// verifyCAM judges the proof of chip authentication mapping (Doc 9303-11,
// 4.4.3.5): the chip's data against the key in EF.CardSecurity, and that file
// against the issuer's signature. All of it is host work.
func (in *inspection) verifyCAM() {
	if in.cam == nil {
		in.r.set(PACECAM, result.Check{Value: result.NotSupported, Reason: ReasonAbsent})
		return
	}
	var v camVerdict
	cam, file, sod, pool, at := in.cam, in.cardSecurity, in.sod, in.cfg.Trust, in.cfg.At
	wait := in.beside(func() { v = judgeCAM(cam, file, sod, pool, at) })
	in.later(func() {
		wait()
		in.r.set(PACECAM, v.check)
		in.r.Deviations = append(in.r.Deviations, v.deviations...)
		in.cardInfos, in.cardInfosRead, in.cardSecurityFailed = v.infos, v.check.Value == result.Successful, v.unsigned
		if v.weakKey {
			in.weak("chip authentication mapping key, " + v.check.Algorithm)
		}
	})
}

// camVerdict is what judgeCAM found.
type camVerdict struct {
	check      result.Check
	deviations []string
	infos      secinfo.SecurityInfos // of EF.CardSecurity, if it is known to be signed
	unsigned   bool                  // its signature is why the check failed
	weakKey    bool
}

// provesKey reports whether cam proves a key of EF.CardSecurity, whoever signed it.
func provesKey(cam *pace.CAM, cardSecurity []byte) bool {
	cs, err := passiveauth.ParseCardSecurity(cardSecurity)
	if err != nil {
		return false
	}
	infos, err := secinfo.Parse(cs.SecurityInfos)
	if err != nil {
		return false
	}
	_, err = chipauth.VerifyCAM(cam, infos)
	return err == nil
}

func judgeCAM(cam *pace.CAM, cardSecurity []byte, sod *lds.SOD, pool *trust.Pool, at time.Time) (v camVerdict) {
	if cardSecurity == nil {
		v.check = result.Fail(ReasonWithheld) // the chip offers the mapping and keeps back its key
		return v
	}
	cs, err := passiveauth.ParseCardSecurity(cardSecurity)
	if err != nil {
		v.check = result.Fail(ReasonMalformed)
		return v
	}
	v.deviations = cs.Deviations
	infos, err := secinfo.Parse(cs.SecurityInfos)
	if err != nil {
		v.check = result.Fail(ReasonMalformed)
		return v
	}
	res, err := chipauth.VerifyCAM(cam, infos)
	if err != nil {
		v.check = chipauth.Check("", err)
		return v
	}
	signed := passiveauth.VerifyCardSecurity(cs, pool, at)
	if c := signed.Overall(); c.Value != result.Successful {
		v.unsigned = signed.Signature.Value == result.Failed
		v.check = c
		return v
	}
	// A key that another state signed proves another state's chip.
	if doc := passiveauth.Verify(sod, nil, pool, at); doc.Anchor == nil || signed.Anchor == nil ||
		doc.Anchor.Certificate.SubjectCountry() != signed.Anchor.Certificate.SubjectCountry() {
		v.check = result.Unknown(ReasonOtherIssuer)
		return v
	}
	v.infos, v.check, v.weakKey = infos, result.Pass(res.Algorithm), res.WeakKey
	return v
}

// chipAuthentication reads DG14 and lets the chip prove the key in it
// (Doc 9303-11, 6.2). Everything after it travels under the new keys.
func (in *inspection) chipAuthentication(ctx context.Context) error {
	if err := in.dg14(ctx); err != nil {
		return err
	}
	if in.dg14Malformed {
		in.r.set(ChipAuthentication, result.Unknown(ReasonMalformed))
		return nil
	}
	if len(in.infos.ChipAuthenticationKeys) == 0 && len(in.infos.ChipAuthentication) == 0 {
		why := ReasonAbsent
		if in.r.Check(DG14Integrity).Value != result.Successful {
			why = ReasonKeyAltered // whatever it announces, nobody signed it
		}
		in.r.set(ChipAuthentication, result.Check{Value: result.NotSupported, Reason: why})
		return nil
	}
	if in.inClear {
		// The protocol changes the keys of a channel, and there is none (Doc 9303-11, 6.2).
		in.r.set(ChipAuthentication, result.Unknown(ReasonNotTried))
		return nil
	}
	ch, res, err := in.proveKey(ctx)
	if errors.Is(err, ErrCopy) {
		return err
	}
	in.r.Deviations = append(in.r.Deviations, res.Deviations...)
	check := chipauth.Check(res.Algorithm, err)
	if in.meter.err != nil || ctx.Err() != nil || errors.Is(err, ErrInterrupted) {
		check = result.Check{Value: result.Aborted, Reason: ReasonInterrupted}
	}
	in.r.set(ChipAuthentication, check)
	if res.WeakKey {
		in.weak("chip authentication key, " + res.Algorithm)
	}
	switch {
	case errors.Is(err, ErrInterrupted):
		return err
	case check.Value == result.Aborted:
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	case err == nil:
		in.ch = ch
	case check.Value == result.Failed && in.lost(err):
		// The channel is gone with the answer. It is a copy, unless its issuer's
		// chips are known to fail so.
		if in.knownToFail(ChipAuthentication) && in.reopen(ctx) == nil {
			return nil
		}
		in.chipAuthenticity()
		return fmt.Errorf("%w: %w", ErrCopy, err)
	}
	return nil
}

// proveKey performs chip authentication. The public keys of DH do not fit into a
// short command: they are chained where extended length is not known to pass, and
// sent in extended length otherwise. Chips lack either, and so do readers, and what
// they say to it is anything from 6700 in clear to nothing at all. So if such a command
// failed, the other way is tried once, if need be in a channel opened anew, before the
// answer counts against the chip. The error is [ErrInterrupted] if there is no way to do
// so.
func (in *inspection) proveKey(ctx context.Context) (*sm.Channel, chipauth.Result, error) {
	cfg := &chipauth.Config{Rand: in.cfg.Rand}
	if in.read.MaxNe <= shortNe {
		cfg.MaxData = shortNc
	}
	ch, res, err := chipauth.Authenticate(ctx, in.plain, in.ch, in.infos, cfg)
	if !errors.Is(err, chipauth.ErrLong) {
		return ch, res, err
	}
	if in.lost(err) {
		if again := in.reopen(ctx); again != nil {
			return nil, chipauth.Result{}, unopened(again, err)
		}
	}
	if cfg.MaxData = shortNc - cfg.MaxData; cfg.MaxData > 0 {
		in.deviates(chipauth.DevChained)
	}
	return chipauth.Authenticate(ctx, in.plain, in.ch, in.infos, cfg)
}

// dg14 reads the security infos: which keys the chip has, and how they are to
// be used. They count only if the issuer signed them.
func (in *inspection) dg14(ctx context.Context) error {
	b, state, err := in.group(ctx, 14)
	if err != nil {
		return err
	}
	if state != Read {
		in.r.set(DG14Integrity, result.Fail(stateReason(state)))
		return nil
	}
	in.r.Evidence.DG14 = b
	c := passiveauth.CheckGroup(in.sod, 14, b)
	in.r.set(DG14Integrity, c)
	if c.Value != result.Successful {
		return nil
	}
	content, err := lds.ParseDG14(b)
	var infos secinfo.SecurityInfos
	if err == nil {
		infos, err = secinfo.Parse(content)
	}
	if err != nil {
		// As the issuer signed it, and not to be understood: no fault of the chip.
		in.r.Deviations = append(in.r.Deviations, "DG14 is malformed")
		in.dg14Malformed = true
		return nil
	}
	in.infos, in.infosRead = infos, true
	in.r.Deviations = append(in.r.Deviations, infos.Deviations...)
	return nil
}

// activeAuthentication reads DG15 and lets the chip sign a challenge
// (Doc 9303-11, 6.1). The signature proves something only if the key is the one
// that was signed: a DG15 that the security object does not cover may belong to
// anybody. It is performed beside chip authentication, because the signature is
// evidence that somebody else can verify later; the other proof convinces only
// who was there.
func (in *inspection) activeAuthentication(ctx context.Context) error {
	covered := in.covers(15)
	if !covered && !in.cfg.ProbeUncovered {
		in.r.set(ActiveAuthentication, result.Check{Value: result.NotSupported, Reason: ReasonNotCovered})
		in.chipAuthenticity()
		return nil
	}
	b, state, err := in.group(ctx, 15)
	if err != nil {
		return err
	}
	if state != Read {
		c := result.Check{Value: result.NotSupported, Reason: ReasonAbsent}
		if covered {
			// The issuer signed a key that this chip does not show: a copy that
			// wants to be taken for a document without active authentication.
			c = result.Fail(stateReason(state))
			in.r.set(DG15Integrity, c)
		}
		in.r.set(ActiveAuthentication, c)
		in.chipAuthenticity()
		return nil
	}
	in.r.Evidence.DG15 = b
	integrity := result.Check{Value: result.NotSupported, Reason: ReasonNotCovered}
	wait := func() {}
	if sod := in.sod; covered {
		wait = in.beside(func() { integrity = passiveauth.CheckGroup(sod, 15, b) })
	}
	auth, err := in.sign(ctx, b)
	if err != nil {
		return err
	}
	wait()
	in.r.set(DG15Integrity, integrity)
	if auth.Value == result.Successful {
		switch {
		case !covered:
			// The chip may well hold this key; nobody says that the document does.
			auth = result.Check{Value: result.Undetermined, Reason: ReasonKeyNotCovered, Algorithm: auth.Algorithm}
		case integrity.Value != result.Successful:
			auth = result.Fail(ReasonKeyAltered)
		}
	}
	in.r.set(ActiveAuthentication, auth)
	in.chipAuthenticity()
	return nil
}

// shortNe is the longest response that a short command can ask for.
const shortNe = 256

// shortNc is the longest data field of a short command.
const shortNc = 255

// sign returns what the chip's answer to the challenge is worth for the key in
// dg15, whoever signed that key. The error is set only if the chip was lost.
func (in *inspection) sign(ctx context.Context, dg15 []byte) (result.Check, error) {
	key, err := lds.ParseDG15(dg15)
	if err != nil {
		return result.Fail(ReasonMalformed), nil
	}
	var rndIFD [8]byte
	if in.cfg.Challenge != nil {
		rndIFD = *in.cfg.Challenge
	} else if _, err := io.ReadFull(in.cfg.Rand, rndIFD[:]); err != nil {
		return result.Check{}, fmt.Errorf("inspect: draw RND.IFD: %w", err)
	}
	opt := &activeauth.Options{MaxNe: in.cfg.MaxNe}
	if in.read.MaxNe > shortNe {
		opt.MaxNe = in.read.MaxNe // what the chip carries as well
	}
	if len(in.infos.ActiveAuthentication) > 0 {
		opt.SignatureAlgorithm = in.infos.ActiveAuthentication[0].SignatureAlgorithm
	}
	res, err := activeauth.Authenticate(ctx, in.doer(), key, rndIFD, opt)
	gaveUpExtended := false
	for tries := 1; err != nil && in.lost(err) && tries < 4; tries++ {
		silent := in.meter.err != nil
		if again := in.reopen(ctx); again != nil {
			return result.Check{}, unopened(again, err)
		}
		switch {
		case silent && tries == 1 && in.learned.MaxNe == 0:
			// The card was lifted, most likely: the same once more, see shorten.
		case opt.MaxNe != shortNe:
			// Or the length was refused, without protection; a short one never is.
			opt.MaxNe, gaveUpExtended = shortNe, silent && opt.MaxNe != 0
		case silent:
			in.plain.Limit(minLearnedNe)
			defer in.plain.Limit(0)
		default:
			tries = 4
		}
		res, err = activeauth.Authenticate(ctx, in.doer(), key, rndIFD, opt)
	}
	if err == nil && gaveUpExtended {
		in.learned.NoExtended = true
	}
	if len(res.Signature) > 0 {
		in.r.Evidence.Challenge = rndIFD[:]
		in.r.Evidence.Signature = res.Signature
	}
	if err != nil && in.lost(err) {
		return result.Check{}, fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	in.weakActiveAuthentication(key, res.Algorithm)
	return activeauth.Check(res.Algorithm, err), nil
}

// chipAuthenticity puts the proofs together (BSI TR-03135-1, 5.6.4.1): one that
// holds is enough, and one that failed is too much. A chip that proves one of
// its keys and not the other is not the chip that the issuer made. A proof that
// nobody's signature covers counts for nothing.
func (in *inspection) chipAuthenticity() {
	in.settle() // the first of them
	proofs := []result.Check{in.r.Check(PACECAM), in.r.Check(ChipAuthentication), in.r.Check(ActiveAuthentication)}
	best := result.Check{Value: result.NotSupported, Reason: ReasonNotCovered}
	for _, c := range proofs {
		if c.Reason == ReasonKeyNotCovered {
			c = result.Check{Value: result.NotSupported, Reason: ReasonKeyNotCovered}
		}
		switch {
		case c.Reason == ReasonKeyCompromised:
			// The key proves nothing any more; that says nothing of another one.
			if best.Value != result.Successful {
				best = c
			}
		case c.Value == result.Failed:
			in.r.set(ChipAuthenticity, c)
			return
		case c.Value == result.Successful && best.Value != result.Successful:
			best = c
		case c.Value == result.Undetermined && best.Value == result.NotSupported:
			best = c
		case c.Reason == ReasonKeyNotCovered && best.Reason == ReasonNotCovered:
			best = c
		}
	}
	if best.Value == result.NotSupported && (len(in.infos.ChipAuthenticationKeys) > 0 || len(in.infos.ChipAuthentication) > 0) {
		// The document can prove itself, by chip authentication or by PACE with
		// its mapping, and has not: that is not the same as having no means.
		best = result.Unknown(ReasonNotTried)
	}
	in.r.set(ChipAuthenticity, best)
}
