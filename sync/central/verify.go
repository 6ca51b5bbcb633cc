package central

import (
	"crypto/subtle"
	"strings"
	"time"

	"github.com/chamthe/chamthe/icao/activeauth"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/icao/vn"
	"github.com/chamthe/chamthe/sync/contract"
)

// clockTolerance is how far an agent's clock may be off before its times
// contradict the central service's. A computer that follows a time server is
// off by less than a second; ten minutes is what people set by hand.
const clockTolerance = 10 * time.Minute

// Verifier judges the evidence of a visit. It asks nobody and changes nothing,
// so it is safe for concurrent use, and the same visit gets the same finding.
type Verifier struct {
	Anchors *trust.Pool // must not change any more
}

// Finding is what the evidence shows. Exactly one of Reason and Assurance is
// set: Reason when the visit must be rejected. Presence is set with
// [contract.AssuranceChip]. The zero Finding says nothing, and is not an
// acceptance.
type Finding struct {
	Reason    contract.Reason
	Assurance contract.Assurance
	Presence  *contract.Presence
}

func reject(why contract.Reason) Finding { return Finding{Reason: why} }

// Assess judges a visit that [contract.OpenVisit] returned, whose agent is
// enrolled. own is the central service's copy of the nonce that the evidence
// names, nil if it has none; arrived is when the visit reached the stream. The
// visit is not changed.
//
//   - Without a chip the visit is declared: somebody said so.
//   - With a chip everything that was sent must hold: EF.SOD, its signer, the
//     hashes of DG1, DG14 and DG15, and the person must be the one in DG1. Then
//     it is attested: the data are genuine, the presence is the agent's word.
//   - With the chip's signature over this visit's challenge, made from a nonce
//     of this service, it is chip-verified, for the window from the nonce's
//     issue to the arrival. Without a nonce the signature has no lower bound (a
//     chip that was present once could have signed for many days to come), so
//     such a visit stays attested.
func (f *Verifier) Assess(v *contract.Visit, own *contract.Nonce, arrived time.Time) Finding {
	if why := times(v, own, arrived); why != "" {
		return reject(why)
	}
	e := v.Evidence
	if v.Means != contract.MeansChip || e == nil {
		return Finding{Assurance: contract.AssuranceDeclared}
	}
	if e.Nonce != nil && !sameNonce(e.Nonce, own) {
		return reject(contract.ReasonNonceUnknown)
	}
	sod, why := f.passive(e)
	if why != "" {
		return reject(why)
	}
	m, err := lds.ParseDG1(e.DG1)
	if err != nil {
		return reject(contract.ReasonEvidenceMalformed)
	}
	if !isPerson(&v.Person, m) {
		return reject(contract.ReasonPersonMismatch)
	}
	// What the agent itself found broken is not mended by leaving it out of the
	// evidence.
	for _, c := range v.Checks {
		switch c.ID {
		case contract.CheckActiveAuthentication, contract.CheckChipAuthentication, contract.CheckChipAuthenticity:
			if c.Result == contract.Failed {
				return reject(contract.ReasonChipSignature)
			}
		}
	}
	if len(e.Signature) == 0 {
		// A chip that can sign, in a visit that calls itself verified, and no
		// signature: copied data would look like this.
		if _, can := sod.Object.Hashes[15]; can && v.Verified {
			return reject(contract.ReasonEvidenceMissing)
		}
		return Finding{Assurance: contract.AssuranceAttested}
	}
	if why := active(v); why != "" {
		return reject(why)
	}
	if own == nil {
		return Finding{Assurance: contract.AssuranceAttested}
	}
	// The server that took the visit in and the process that issued the nonce
	// are two machines: their clocks may cross by a moment.
	from := own.IssuedAt
	if from.After(arrived) {
		from = arrived
	}
	return Finding{Assurance: contract.AssuranceChip, Presence: &contract.Presence{From: from, To: arrived}}
}

// times looks for contradictions between the agent's clock and this service's.
func times(v *contract.Visit, own *contract.Nonce, arrived time.Time) contract.Reason {
	latest := arrived.Add(clockTolerance)
	if v.RecordedAt.After(latest) || v.RecordedAt.Before(v.StartedAt.Add(-clockTolerance)) {
		return contract.ReasonTime
	}
	e := v.Evidence
	if e == nil {
		return ""
	}
	switch {
	case e.Time.Before(v.StartedAt.Add(-clockTolerance)), e.Time.After(v.RecordedAt.Add(clockTolerance)):
		return contract.ReasonTime
	case own != nil && own.IssuedAt.After(latest):
		return contract.ReasonTime
	case own != nil && e.Nonce != nil && e.Time.Before(own.IssuedAt.Add(-clockTolerance)):
		// It uses a nonce from its own future. This also keeps a signer's
		// validity from being judged at a date of the agent's choice.
		return contract.ReasonTime
	}
	return ""
}

func sameNonce(claimed, own *contract.Nonce) bool {
	return own != nil && claimed.ID == own.ID && claimed.IssuedAt.Equal(own.IssuedAt) &&
		subtle.ConstantTimeCompare(claimed.Value, own.Value) == 1
}

// passive repeats passive authentication over everything that was sent.
func (f *Verifier) passive(e *contract.Evidence) (*lds.SOD, contract.Reason) {
	sod, err := lds.ParseSOD(e.SOD)
	if err != nil {
		return nil, contract.ReasonEvidenceMalformed
	}
	groups := map[int][]byte{1: e.DG1}
	if len(e.DG14) > 0 {
		groups[14] = e.DG14
	}
	if len(e.DG15) > 0 {
		groups[15] = e.DG15
	}
	return sod, passiveReason(passiveauth.Verify(sod, groups, f.Anchors, e.Time))
}

// active verifies the chip's signature over the challenge as it must be: what
// the evidence says it was is not believed.
func active(v *contract.Visit) contract.Reason {
	e := v.Evidence
	expected := v.ExpectedChallenge()
	if subtle.ConstantTimeCompare(e.Challenge[:], expected[:]) != 1 {
		return contract.ReasonChallenge
	}
	key, err := lds.ParseDG15(e.DG15)
	if err != nil {
		return contract.ReasonEvidenceMalformed
	}
	opt := &activeauth.Options{}
	if len(e.DG14) > 0 { // as signed: it went through passive authentication
		content, err := lds.ParseDG14(e.DG14)
		if err != nil {
			return contract.ReasonEvidenceMalformed
		}
		infos, err := secinfo.Parse(content)
		if err != nil {
			return contract.ReasonEvidenceMalformed
		}
		if len(infos.ActiveAuthentication) > 0 {
			opt.SignatureAlgorithm = infos.ActiveAuthentication[0].SignatureAlgorithm
		}
	}
	_, err = activeauth.VerifySignature(key, expected, e.Signature, opt)
	return activeReason(err)
}

// isPerson reports whether everything that the visit says about the person is
// in DG1. What DG1 does not hold cannot be proven and may not be claimed; tone
// marks of the name are the exception, which a machine readable zone has not.
func isPerson(p *contract.Person, m mrz.MRZ) bool {
	if p.Name != "" && !m.NameMatches(p.Name) {
		return false
	}
	if p.DocumentNumber != "" && p.DocumentNumber != m.DocumentNumber {
		return false
	}
	if p.Number != "" && !isNumber(p.Number, m) {
		return false
	}
	if p.Nationality != "" && p.Nationality != m.Nationality {
		return false
	}
	if p.Sex != "" && p.Sex != sexes[m.Sex] {
		return false
	}
	return isDate(p.BirthDate, m.DateOfBirth) && isDate(p.Expiry, m.DateOfExpiry)
}

var sexes = map[string]contract.Sex{"M": contract.SexMale, "F": contract.SexFemale, "<": contract.SexUnspecified}

// isNumber looks for the personal number, which only Vietnam's cards are known to
// have: all twelve digits in the optional data of the first line (a check digit
// follows after fillers). What another state writes into its optional data is
// no proof of a Vietnamese number, whoever trusts that state's certificates.
func isNumber(number string, m mrz.MRZ) bool {
	if m.IssuingState != vn.State || m.Format != mrz.TD1 {
		return false
	}
	first, _, _ := strings.Cut(m.OptionalData, "<")
	return first == number
}

// isDate compares a date with YYMMDD in the parts that both know; the century
// is not in the zone.
func isDate(d contract.Date, yymmdd string) bool {
	if d == "" {
		return true
	}
	year, month, day, ok := d.Parts()
	if !ok || len(yymmdd) != 6 {
		return false
	}
	for i, n := range []int{year % 100, month, day} {
		part := yymmdd[2*i : 2*i+2]
		if part == "<<" || i > 0 && n == 0 {
			continue
		}
		if part != string([]byte{byte('0' + n/10), byte('0' + n%10)}) {
			return false
		}
	}
	return true
}
