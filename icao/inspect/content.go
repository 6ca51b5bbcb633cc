package inspect

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/vn"
)

// keyBinding compares the key that opened the chip with the MRZ that the chip
// hands out. On a document of its issuer they are the same; a chip that somebody
// else filled may open with what is printed on a forged card and hand out the
// signed data of another person.
//
// Where the printed zone is known, DG1 has to be that zone (Doc 9303-10, 4.7.1;
// BSI TR-03105-5.1, LDS_B_11 and LDS_B_12).
func (in *inspection) keyBinding(m mrz.MRZ) result.Check {
	keys := in.access.Keys
	switch {
	case in.inClear: // no key was needed: any that was given has to fit
	case in.r.Key >= 0 && in.r.Key < len(keys):
		keys = keys[in.r.Key : in.r.Key+1]
	default:
		keys = nil
	}
	if len(keys) > 0 && !slices.ContainsFunc(keys, func(k mrz.Key) bool { return sameKey(k, m) }) {
		return result.Fail(ReasonOtherDocument)
	}
	switch zone := in.access.Zone; {
	case zone != nil && !slices.Equal(zone.Lines, m.Lines):
		return result.Fail(ReasonZoneDiffers)
	case zone == nil && len(keys) == 0:
		return result.Check{Value: result.NotSupported, Reason: ReasonByCAN}
	}
	return result.Pass("")
}

func sameKey(k mrz.Key, m mrz.MRZ) bool {
	key, err := m.Key()
	if err != nil {
		return false
	}
	want, got := k.Hash(), key.Hash()
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// Deviations of the signed copies of EF.CardAccess.
const (
	devDG14Offer         = "DG14 does not repeat EF.CardAccess"
	devCardSecurityOffer = "EF.CardSecurity does not repeat EF.CardAccess"
)

// cardAccess compares what the chip offered in the clear with what its issuer
// signed (Doc 9303-11, 4.2, step 3). An offer that was changed on the way is
// somebody's doing. One that was not to be had may be an old chip's habit, or
// somebody who wants to see BAC: it costs the protection against listening, not
// the truth of the data.
//
// Both DG14 and EF.CardSecurity have to repeat EF.CardAccess (9.2.11). One that
// does is enough to know that the offer was not changed; one that does not is the
// issuer's mistake then (BSI TR-03105-5.1, LDS_J_02 and LDS_J_03).
func (in *inspection) cardAccess() result.Check {
	if len(in.offered) > 0 {
		if in.infosRead && len(in.infos.PACE) == 0 { // one that offers something else fails below
			in.deviates(devDG14Offer)
		}
		if in.cardInfosRead && !sameOffer(in.offered, in.cardInfos.PACE) {
			in.deviates(devCardSecurityOffer)
		}
	}
	signed := in.infos.PACE
	if len(signed) == 0 {
		signed = in.cardInfos.PACE
	}
	switch {
	case len(in.offered) == 0 && len(signed) == 0:
		return result.Check{Value: result.NotSupported, Reason: ReasonAbsent}
	case len(in.offered) == 0:
		return result.Unknown(ReasonOfferHidden)
	case len(signed) == 0:
		return result.Unknown(ReasonOfferUnsigned)
	}
	if !sameOffer(in.offered, signed) {
		return result.Fail(ReasonOfferAltered)
	}
	return result.Pass("")
}

// sameOffer reports whether two files offer the same variants of PACE, in any
// order: both are sets, which not every issuer sorts.
func sameOffer(a, b []secinfo.PACEInfo) bool {
	within := func(all []secinfo.PACEInfo) func(secinfo.PACEInfo) bool {
		return func(x secinfo.PACEInfo) bool {
			return slices.ContainsFunc(all, func(y secinfo.PACEInfo) bool { return samePACE(x, y) })
		}
	}
	return every(a, within(b)) && every(b, within(a))
}

func every(infos []secinfo.PACEInfo, is func(secinfo.PACEInfo) bool) bool {
	return !slices.ContainsFunc(infos, func(x secinfo.PACEInfo) bool { return !is(x) })
}

// samePACE compares explicit domain parameters as well: their number means
// nothing outside of its file.
func samePACE(a, b secinfo.PACEInfo) bool {
	return a.Protocol == b.Protocol && a.Version == b.Version && a.ParameterID == b.ParameterID &&
		bytes.Equal(a.Explicit.Raw(), b.Explicit.Raw())
}

// consistency compares the person in DG1 and DG13 of a Vietnamese citizen card.
// Both are signed, so a difference means an issuing mistake or two documents
// mixed into one chip; neither may be used then.
func consistency(m mrz.MRZ, d *vn.DG13) result.Check {
	number, _, _ := strings.Cut(m.OptionalData, "<")
	switch {
	case d.Number == "" || d.Name == "" || d.DateOfBirth.IsZero():
		return result.Unknown(ReasonAbsent)
	case number != string(d.Number) || d.Number.DocumentNumber() != strings.Trim(m.DocumentNumber, "<"):
		return result.Fail(ReasonNumberMismatch)
	case !m.NameMatches(d.Name) || !sameBirth(m.DateOfBirth, d.DateOfBirth):
		return result.Fail(ReasonPersonMismatch)
	}
	return result.Pass("")
}

// sameBirth compares the parts of a birth date that both sides know; the
// century is not in the zone.
func sameBirth(yymmdd string, d vn.Date) bool {
	for i, n := range []int{d.Year % 100, d.Month, d.Day} {
		part := yymmdd[2*i : 2*i+2]
		if part == "<<" || part == "00" && i > 0 || i > 0 && n == 0 {
			continue
		}
		if part != fmt.Sprintf("%02d", n) {
			return false
		}
	}
	return true
}

// documentValidity judges the expiry date of the MRZ at the time of inspection.
// A document is valid through its last day (Doc 9303-3, 4.8); what day it is
// depends on where the desk stands, so at's own location counts. 991231 is how
// cards without an expiry date write it.
func documentValidity(m mrz.MRZ, at time.Time) result.Check {
	if m.DateOfExpiry == vn.NoExpiry {
		return result.Pass("")
	}
	// Expiry is never far in the past's other century: Doc 9303 documents began
	// in the 1980s, and no citizen document is valid for 70 years.
	exp, err := time.ParseInLocation("060102", m.DateOfExpiry, at.Location())
	if err != nil {
		return result.Unknown(ReasonNoExpiry)
	}
	year := 2000 + exp.Year()%100
	end := time.Date(year, exp.Month(), exp.Day()+1, 0, 0, 0, 0, at.Location())
	if !at.Before(end) {
		return result.Fail(ReasonExpired)
	}
	return result.Pass("")
}
