package inspect

import (
	"context"
	"errors"
	"fmt"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/bac"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/result"
)

// open runs the access protocol (Doc 9303-11, 4.2): PACE when the chip offers
// it, else BAC with each key candidate.
func (in *inspection) open(ctx context.Context) error {
	if len(in.access.Keys) == 0 && in.access.CAN == "" {
		in.r.set(AccessControl, result.Fail(ReasonWrongKey))
		return ErrNoAccess
	}
	d := apdu.NewSession(&in.meter)
	return in.openBAC(ctx, d)
}

// openBAC tries the key candidates in turn. A chip that counts tries (63Cx) is
// asked once only: a wrong guess of ours must not cost the citizen their card.
func (in *inspection) openBAC(ctx context.Context, d apdu.Doer) error {
	if err := lds.Select(ctx, d); err != nil {
		return in.accessFailed(err)
	}
	keys := in.access.Keys
	if len(keys) > maxCandidates {
		keys = keys[:maxCandidates]
	}
	var last error
	for i, key := range keys {
		ch, err := bac.Establish(ctx, d, key, &bac.Config{Rand: in.cfg.Rand})
		if err == nil {
			in.ch, in.r.Key, in.r.Access = ch, i, "BAC 3DES"
			in.r.set(AccessControl, result.Pass(in.r.Access))
			return nil
		}
		if !errors.Is(err, bac.ErrWrongKey) || in.lost(err) {
			return in.accessFailed(err)
		}
		last = err
		if sw, ok := errors.AsType[apdu.Status](err); ok {
			if _, counts := sw.Retries(); counts {
				break
			}
		}
	}
	in.r.set(AccessControl, result.Fail(ReasonWrongKey))
	return fmt.Errorf("%w: %w", ErrWrongKey, last)
}

func (in *inspection) accessFailed(err error) error {
	if in.lost(err) {
		in.r.set(AccessControl, result.Check{Value: result.Aborted, Reason: ReasonInterrupted})
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	in.r.set(AccessControl, result.Fail(ReasonRefused))
	return fmt.Errorf("%w: %w", ErrAccess, err)
}
