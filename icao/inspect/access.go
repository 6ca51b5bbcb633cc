package inspect

import (
	"context"
	"errors"
	"fmt"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/bac"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/pace"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
)

// Deviations of the access protocol.
const (
	devCardAccessMalformed = "EF.CardAccess is malformed, BAC used"
	devPACEUnsupported     = "PACE is offered in no supported variant, BAC used"
	devPACEFailed          = "PACE failed, BAC used"
	devATRInfoMalformed    = "EF.ATR/INFO is malformed, short commands used"
	devReopened            = "the channel was lost, the chip was reset and opened anew"
)

// open runs the access protocol (Doc 9303-11, 4.2): PACE when the chip offers
// it, else BAC with each key candidate.
//
// EF.CardAccess is not protected: whoever sits between can hide it. So an offer
// that cannot be understood or performed is no more than none, and BAC goes on.
// A PACE that was begun and failed is another matter, see [Config.FallBackToBAC].
func (in *inspection) open(ctx context.Context) error {
	if len(in.access.Keys) == 0 && in.access.CAN == "" {
		in.r.set(AccessControl, result.Fail(ReasonWrongKey))
		return ErrNoAccess
	}
	in.plain = apdu.NewSession(&in.meter)
	d := in.plain
	info, offered, err := in.offer(ctx, d)
	if err == nil {
		err = in.lengths(ctx, d)
	}
	if err == nil && in.cfg.All {
		err = in.directory(ctx, d)
	}
	if err != nil {
		return in.accessFailed(err)
	}
	if !offered {
		if len(in.access.Keys) == 0 {
			return in.accessFailed(fmt.Errorf("%w: no usable PACE is offered", ErrNoCAN))
		}
		return in.openBAC(ctx, d)
	}

	err = in.openPACE(ctx, d, info)
	if err == nil {
		return nil
	}
	// Nothing of it is left: what the chip proved, it proved for that channel only.
	in.ch, in.again, in.cam, in.cardSecurity = nil, nil, nil, nil
	if errors.Is(err, pace.ErrWrongPassword) || errors.Is(err, pace.ErrCAN) {
		// It is the key that is wrong: no failure of PACE, and none for BAC.
		return in.wrongKey(err)
	}
	if in.meter.extended && (in.meter.err != nil || errors.Is(err, apdu.WrongLength)) {
		err = fmt.Errorf("%w: %w", ErrTooLong, err)
	}
	if in.meter.err != nil || ctx.Err() != nil ||
		!in.cfg.FallBackToBAC || in.resetter == nil || len(in.access.Keys) == 0 {
		return in.accessFailed(err)
	}
	in.r.Deviations = append(in.r.Deviations, devPACEFailed)
	if err := in.resetter.Reset(ctx); err != nil {
		in.meter.err = err
		return in.accessFailed(fmt.Errorf("reset: %w", err))
	}
	if err := in.openBAC(ctx, in.plain); err != nil {
		return err
	}
	opened := result.Pass(in.r.Access)
	opened.Reason = ReasonPACEFailed
	in.r.set(AccessControl, opened)
	return nil
}

// offer reads EF.CardAccess and says which PACE the chip offers. A chip
// without the file is in order; the error means that the chip was lost.
func (in *inspection) offer(ctx context.Context, d apdu.Doer) (info secinfo.PACEInfo, offered bool, err error) {
	b, err := lds.ReadCardAccess(ctx, d, nil)
	if errors.Is(err, lds.ErrNoFile) {
		return secinfo.PACEInfo{}, false, nil
	}
	if err != nil {
		return secinfo.PACEInfo{}, false, err
	}
	in.saw(lds.EFCardAccess, b)
	infos, err := secinfo.Parse(b)
	if err != nil {
		in.r.Deviations = append(in.r.Deviations, devCardAccessMalformed)
		return secinfo.PACEInfo{}, false, nil
	}
	in.r.Deviations = append(in.r.Deviations, infos.Deviations...)
	in.offered = infos.PACE
	info, offered = pace.Choose(infos.PACE)
	if !offered && len(infos.PACE) > 0 {
		in.r.Deviations = append(in.r.Deviations, devPACEUnsupported)
	}
	return info, offered, nil
}

// lengths asks the chip how much it carries in one APDU, if the reader carries
// more than a short one (Doc 9303-10, 3.11.1). The answer is not protected: a wrong
// one makes reading slower, no more. No answer is in order; the error means that
// the chip was lost.
func (in *inspection) lengths(ctx context.Context, d apdu.Doer) error {
	if in.cfg.MaxNe <= shortNe {
		return nil
	}
	// What the master file does not like says nothing about the application.
	b, err := lds.ReadFile(ctx, d, lds.EFATRInfo, nil)
	if err != nil {
		if in.lost(err) {
			return err
		}
		return nil
	}
	in.saw(lds.EFATRInfo, b)
	info, err := lds.ParseATRInfo(b)
	if err != nil {
		in.deviates(devATRInfoMalformed)
		return nil
	}
	in.read.MaxNe = max(shortNe, min(in.cfg.MaxNe, info.MaxNe()))
	return nil
}

// directory reads EF.DIR, for a diagnosis: nothing is decided by it (Doc 9303-10,
// 3.11.2). A refusal is in order; the error means that the chip was lost.
func (in *inspection) directory(ctx context.Context, d apdu.Doer) error {
	b, err := lds.ReadFile(ctx, d, lds.EFDIR, nil)
	if err != nil {
		if in.lost(err) {
			return err
		}
		return nil
	}
	// A chip that is in its application already shows EF.COM under this identifier.
	if dir, err := lds.ParseDIR(b); err == nil && len(dir.AIDs) > 0 {
		in.saw(lds.EFDIR, b)
		in.r.DIR = &dir
	}
	return nil
}

// A password is one way to open a chip with PACE.
type password struct {
	pace.Password
	key int // index of the key candidate; -1 for the card access number
}

// openPACE tries the card access number and then the key candidates in turn.
// A chip that counts tries (63Cx) is asked once only. The error is the last
// one of package pace, or what came after it.
func (in *inspection) openPACE(ctx context.Context, d apdu.Doer, info secinfo.PACEInfo) error {
	var passwords []password
	if in.access.CAN != "" {
		pw, err := pace.FromCAN(in.access.CAN)
		if err != nil {
			return err
		}
		passwords = append(passwords, password{pw, -1})
	}
	for i, key := range in.candidates() {
		passwords = append(passwords, password{pace.FromMRZ(key), i})
	}
	var last error
	for _, pw := range passwords {
		ch, cam, err := pace.Establish(ctx, d, info, pw.Password, &pace.Config{Rand: in.cfg.Rand, Deviates: in.deviates})
		if err == nil {
			in.ch, in.cam = ch, cam
			in.again = func(ctx context.Context) (*sm.Channel, error) {
				ch, cam, err := pace.Establish(ctx, in.plain, info, pw.Password, &pace.Config{Rand: in.cfg.Rand})
				if err != nil {
					return nil, err
				}
				if !in.selected {
					// EF.CardSecurity, in the master file, comes through this channel.
					in.cam = cam
					return ch, nil
				}
				if err := in.sameChip(cam); err != nil {
					return nil, err
				}
				return ch, lds.Select(ctx, ch)
			}
			if err := in.readCardSecurity(ctx); err != nil {
				return err
			}
			return in.opened(ctx, pw.key, pace.Name(info))
		}
		last = err
		if errors.Is(err, pace.ErrWrongPassword) && !countsTries(err) {
			continue
		}
		// A chip need not accept its card access number as a password
		// (Doc 9303-11, 4.4.4.1); the MRZ it must.
		if pw.key < 0 && errors.Is(err, apdu.ReferencedDataNotFound) {
			last = fmt.Errorf("%w: %w", ErrNoCAN, err)
			continue
		}
		break
	}
	return last
}

// opened selects the application inside the channel that PACE gave.
func (in *inspection) opened(ctx context.Context, key int, protocol string) error {
	if err := lds.Select(ctx, in.ch); err != nil {
		return err
	}
	in.selected, in.r.Key, in.r.Access = true, key, protocol
	in.r.set(AccessControl, result.Pass(protocol))
	return nil
}

// openBAC tries the key candidates in turn. A chip that counts tries (63Cx) is
// asked once only: a wrong guess of ours must not cost the citizen their card.
func (in *inspection) openBAC(ctx context.Context, d apdu.Doer) error {
	if err := lds.Select(ctx, d); err != nil {
		return in.accessFailed(err)
	}
	var last error
	for i, key := range in.candidates() {
		ch, err := bac.Establish(ctx, d, key, &bac.Config{Rand: in.cfg.Rand})
		if err == nil {
			in.ch, in.r.Key, in.r.Access = ch, i, "BAC 3DES"
			in.again = func(ctx context.Context) (*sm.Channel, error) {
				if err := lds.Select(ctx, in.plain); err != nil {
					return nil, err
				}
				return bac.Establish(ctx, in.plain, key, &bac.Config{Rand: in.cfg.Rand})
			}
			in.r.set(AccessControl, result.Pass(in.r.Access))
			return nil
		}
		if in.unprotected(ctx, err) {
			in.inClear = true
			in.again = func(ctx context.Context) (*sm.Channel, error) { return nil, lds.Select(ctx, in.plain) }
			in.r.set(AccessControl, result.Check{Value: result.NotSupported, Reason: ReasonUnprotected})
			return nil
		}
		if !errors.Is(err, bac.ErrWrongKey) || in.lost(err) {
			return in.accessFailed(err)
		}
		last = err
		if countsTries(err) {
			break
		}
	}
	return in.wrongKey(last)
}

// unprotected reports whether the chip, which does not run basic access control,
// hands its files out without (Doc 9303-11, 4.2: access control is the issuer's
// choice; BSI TR-03105-5.1, ISO7816_A_01). Nobody who sits between can gain by
// making a protected chip look like that: [AccessControl] is not successful then.
func (in *inspection) unprotected(ctx context.Context, refused error) bool {
	var sw apdu.Status
	if errors.Is(refused, bac.ErrWrongKey) || errors.Is(refused, bac.ErrCardAuthentication) || !errors.As(refused, &sw) || in.lost(refused) {
		return false
	}
	return lds.Ask(ctx, in.plain, lds.EFSOD, nil) == nil
}

// doer is what commands go through: the channel, or the plain session of a chip
// without access control.
func (in *inspection) doer() apdu.Doer {
	switch {
	case in.inClear:
		return in.plain
	case in.ch == nil:
		return nil
	}
	return in.ch
}

// candidates returns the keys that are tried on one chip.
func (in *inspection) candidates() []mrz.Key {
	return in.access.Keys[:min(len(in.access.Keys), maxCandidates)]
}

// countsTries reports whether the chip said how many tries are left.
func countsTries(err error) bool {
	sw, ok := errors.AsType[apdu.Status](err)
	if !ok {
		return false
	}
	_, counts := sw.Retries()
	return counts
}

func (in *inspection) wrongKey(err error) error {
	in.r.set(AccessControl, result.Fail(ReasonWrongKey))
	return fmt.Errorf("%w: %w", ErrWrongKey, err)
}

func (in *inspection) accessFailed(err error) error {
	if in.lost(err) {
		in.r.set(AccessControl, result.Check{Value: result.Aborted, Reason: ReasonInterrupted})
		if errors.Is(err, ErrInterrupted) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	in.r.set(AccessControl, result.Fail(ReasonRefused))
	return fmt.Errorf("%w: %w", ErrAccess, err)
}

// maxReopened bounds how often one chip is opened anew. Stubborn chips need it
// once for every limit of theirs and every file that they do not have, of which
// [Config.All] asks for many.
const (
	maxReopened    = 6
	maxReopenedAll = maxReopened + 16
)

// reopen resets the chip and opens it with the key that is known to be right,
// after the channel was lost: chips answer some errors without protection, after
// which both sides must begin again (Doc 9303-11, 9.8.3), and readers lose an
// exchange. It is no way back to a card that was taken away, and none to another
// card, which somebody in between may put in the place of the first. What was proven
// stays proven as far as it speaks of the data and not of the channel:
//
//   - EF.SOD is read once, and whatever is read before or afterwards has to match it.
//   - The keys of chip authentication and active authentication lie in DG14 and DG15,
//     which EF.SOD covers. Their proofs are not repeated: another chip can only go on
//     with a copy of the same document's data, and the chip of that document was
//     there. Who can relay to it for one exchange can do so for all of them.
//   - The key of chip authentication mapping lies in EF.CardSecurity, which nothing
//     ties to EF.SOD but that both were read in a channel with the chip that proved the
//     key. So it has to be proven for every channel, see sameChip.
//
// The error is [ErrCopy] if that proof does not hold any more.
func (in *inspection) reopen(ctx context.Context) error {
	most := maxReopened
	if in.cfg.All {
		most = maxReopenedAll
	}
	most += in.shortened // the ladder of lds bounds it
	if in.resetter == nil || in.again == nil || in.reopened == most || ctx.Err() != nil {
		return ErrInterrupted
	}
	in.reopened++
	if err := in.resetter.Reset(ctx); err != nil {
		return err
	}
	in.meter.err = nil
	in.plain = apdu.NewSession(&in.meter)
	ch, err := in.again(ctx)
	if err != nil {
		return err
	}
	in.ch = ch
	if in.reopened == 1 {
		in.r.Deviations = append(in.r.Deviations, devReopened)
	}
	return nil
}

// sameChip judges the chip authentication mapping of a channel that was opened anew:
// the chip has to prove the key that the first one proved. A first proof that did not
// hold is left as it is; no later one makes up for it.
func (in *inspection) sameChip(cam *pace.CAM) error {
	if in.cam == nil || !provesKey(in.cam, in.cardSecurity) || provesKey(cam, in.cardSecurity) {
		return nil
	}
	in.settle() // the first proof was good, and is not what counts now
	in.r.set(PACECAM, result.Fail(chipauth.ReasonNotProved))
	in.chipAuthenticity()
	return fmt.Errorf("%w: another chip after the channel was lost", ErrCopy)
}

// unopened says what it means that the chip could not be opened anew after lost.
func unopened(err, lost error) error {
	if errors.Is(err, ErrCopy) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrInterrupted, lost)
}
