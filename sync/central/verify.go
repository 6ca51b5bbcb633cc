package central

import (
	"cmp"
	"crypto/subtle"
	"strings"
	"time"

	"github.com/chamthe/chamthe/icao/activeauth"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/mrz"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/icao/vn"
	"github.com/chamthe/chamthe/sync/contract"
)

const (
	// clockTolerance is how far an agent's clock may be off before its times
	// contradict the central service's. A computer that follows a time server is
	// off by less than a second; ten minutes is what people set by hand.
	clockTolerance = 10 * time.Minute
	// oldest is how long before its arrival a visit can have taken place: as long
	// as nonces are kept.
	oldest = noncesKept
)

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
	// Doubt is what an accepted visit leaves open. It is worth less than its
	// evidence claims, because the times contradict each other or ours
	// ([contract.ReasonTime]) or its nonce is not known here
	// ([contract.ReasonNonceUnknown]); or the card that it is charged to is not on
	// record, which only the intake looks up ([contract.ReasonCardUnknown]). The
	// first of these is kept with the record.
	Doubt contract.Reason
}

// Examination is a Finding with the steps that led to it, for people who want to
// know why. Reasons are of package passiveauth, or a [contract.Reason].
type Examination struct {
	Finding
	At            time.Time          // for which the certificates were judged; zero without a chip
	Times         result.Check       // the agent's times agree with each other, the nonce and the arrival
	Nonce         result.Check       // the nonce is one that this service issued
	Passive       passiveauth.Result // EF.SOD and the data groups that were sent
	Person        result.Check       // what the visit says of the person is in DG1
	AgentsChecks  result.Check       // the agent itself did not find a copy
	ChipSignature result.Check       // over the challenge that belongs to this visit
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
//     such a visit stays attested. A nonce that this service does not have is
//     as good as none, because its store may have been lost since; one that
//     differs from its own copy is a forgery.
//
// Clocks alone reject nothing: a computer whose battery is empty lives in
// another year, and ours can be wrong too. Where the times contradict each
// other or lie outside of what can be, they are not believed: the signer is
// judged at the arrival and not at a date of the agent's choice, and the visit
// is attested at most.
func (f *Verifier) Assess(v *contract.Visit, own *contract.Nonce, arrived time.Time) Finding {
	return f.assess(v, own, arrived, &Examination{})
}

// Examine is Assess for people: the finding with the steps that led to it.
// What follows the step that decided is not performed.
func (f *Verifier) Examine(v *contract.Visit, own *contract.Nonce, arrived time.Time) Examination {
	var x Examination
	x.Finding = f.assess(v, own, arrived, &x)
	return x
}

func (f *Verifier) assess(v *contract.Visit, own *contract.Nonce, arrived time.Time, x *Examination) Finding {
	var doubt contract.Reason
	x.Times = result.Pass("")
	if !plausible(v, own, arrived) {
		doubt = contract.ReasonTime
		x.Times = result.Unknown(result.Reason(doubt))
	}
	e := v.Evidence
	if v.Means != contract.MeansChip || e == nil {
		return Finding{Assurance: contract.AssuranceDeclared, Doubt: doubt}
	}
	at := e.Time
	if doubt != "" {
		at = arrived
	}
	x.At = at
	switch {
	case e.Nonce == nil:
		own = nil
		x.Nonce = result.Check{Value: result.NotSupported, Reason: "nonce_absent"}
	case own == nil:
		doubt = cmp.Or(doubt, contract.ReasonNonceUnknown)
		x.Nonce = result.Unknown(result.Reason(contract.ReasonNonceUnknown))
	case !sameNonce(e.Nonce, own):
		x.Nonce = result.Fail(result.Reason(contract.ReasonNonceUnknown))
		return reject(contract.ReasonNonceUnknown)
	default:
		x.Nonce = result.Pass("")
	}
	sod, why := f.passive(e, at, &x.Passive)
	if why != "" {
		return reject(why)
	}
	m, err := lds.ParseDG1(e.DG1)
	if err != nil {
		x.Person = result.Fail(result.Reason(contract.ReasonEvidenceMalformed))
		return reject(contract.ReasonEvidenceMalformed)
	}
	if !isPerson(&v.Person, m) {
		x.Person = result.Fail(result.Reason(contract.ReasonPersonMismatch))
		return reject(contract.ReasonPersonMismatch)
	}
	x.Person = result.Pass("")
	// What the agent itself found broken is not mended by leaving it out of the
	// evidence.
	for _, c := range v.Checks {
		switch c.ID {
		case contract.CheckActiveAuthentication, contract.CheckChipAuthentication, contract.CheckChipAuthenticity:
			if c.Result == contract.Failed {
				x.AgentsChecks = result.Fail(result.Reason(contract.ReasonChipSignature))
				return reject(contract.ReasonChipSignature)
			}
		}
	}
	x.AgentsChecks = result.Pass("")
	if len(e.Signature) == 0 {
		// A chip that can sign, in a visit that calls itself verified, and no
		// signature: copied data would look like this.
		if _, can := sod.Object.Hashes[15]; can && v.Verified {
			x.ChipSignature = result.Fail(result.Reason(contract.ReasonEvidenceMissing))
			return reject(contract.ReasonEvidenceMissing)
		}
		x.ChipSignature = result.Check{Value: result.NotSupported}
		return Finding{Assurance: contract.AssuranceAttested, Doubt: doubt}
	}
	algorithm, why := active(v)
	if why != "" {
		x.ChipSignature = result.Fail(result.Reason(why))
		return reject(why)
	}
	x.ChipSignature = result.Pass(algorithm)
	if own == nil || doubt != "" {
		return Finding{Assurance: contract.AssuranceAttested, Doubt: doubt}
	}
	// The server that took the visit in and the process that issued the nonce
	// are two machines: their clocks may cross by a moment.
	from := own.IssuedAt
	if from.After(arrived) {
		from = arrived
	}
	return Finding{Assurance: contract.AssuranceChip, Presence: &contract.Presence{From: from, To: arrived}}
}

// plausible reports whether the agent's clock and this service's agree as far
// as can be seen.
func plausible(v *contract.Visit, own *contract.Nonce, arrived time.Time) bool {
	earliest, latest := arrived.Add(-oldest), arrived.Add(clockTolerance)
	within := func(t time.Time) bool { return !t.Before(earliest) && !t.After(latest) }
	if !within(v.StartedAt) || !within(v.RecordedAt) || v.RecordedAt.Before(v.StartedAt.Add(-clockTolerance)) {
		return false
	}
	e := v.Evidence
	if e == nil {
		return true
	}
	switch {
	case !within(e.Time), e.Time.Before(v.StartedAt.Add(-clockTolerance)), e.Time.After(v.RecordedAt.Add(clockTolerance)):
		return false
	case own != nil && own.IssuedAt.After(latest):
		return false // it is our own clock that was set
	case own != nil && e.Nonce != nil && e.Time.Before(own.IssuedAt.Add(-clockTolerance)):
		return false // it uses a nonce from its own future
	}
	return true
}

func sameNonce(claimed, own *contract.Nonce) bool {
	return own != nil && claimed.ID == own.ID && claimed.IssuedAt.Equal(own.IssuedAt) &&
		subtle.ConstantTimeCompare(claimed.Value, own.Value) == 1
}

// passive repeats passive authentication over everything that was sent, at the
// time of the visit, and leaves its parts in r.
func (f *Verifier) passive(e *contract.Evidence, at time.Time, r *passiveauth.Result) (*lds.SOD, contract.Reason) {
	sod, err := lds.ParseSOD(e.SOD)
	if err != nil {
		r.Signature = result.Fail(result.Reason(contract.ReasonEvidenceMalformed))
		return nil, contract.ReasonEvidenceMalformed
	}
	groups := map[int][]byte{1: e.DG1}
	if len(e.DG14) > 0 {
		groups[14] = e.DG14
	}
	if len(e.DG15) > 0 {
		groups[15] = e.DG15
	}
	*r = passiveauth.Verify(sod, groups, f.Anchors, at)
	return sod, passiveReason(*r)
}

// active verifies the chip's signature over the challenge as it must be: what
// the evidence says it was is not believed.
func active(v *contract.Visit) (algorithm string, why contract.Reason) {
	e := v.Evidence
	expected := v.ExpectedChallenge()
	if subtle.ConstantTimeCompare(e.Challenge[:], expected[:]) != 1 {
		return "", contract.ReasonChallenge
	}
	key, err := lds.ParseDG15(e.DG15)
	if err != nil {
		return "", contract.ReasonEvidenceMalformed
	}
	opt := &activeauth.Options{}
	// DG14 is as signed: it went through passive authentication. One that cannot be
	// understood announces nothing, here as at the desk: it is the issuer's fault.
	if content, err := lds.ParseDG14(e.DG14); err == nil {
		if infos, err := secinfo.Parse(content); err == nil && len(infos.ActiveAuthentication) > 0 {
			opt.SignatureAlgorithm = infos.ActiveAuthentication[0].SignatureAlgorithm
		}
	}
	algorithm, err = activeauth.VerifySignature(key, expected, e.Signature, opt)
	return algorithm, activeReason(err)
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

// isHolder reports whether the insurer's own record of an insurance number, nil
// for none, is of the person in DG1. A chip holds no such number: without the
// record a visit could be charged to anybody's.
func isHolder(p *Person, m mrz.MRZ) bool {
	if p == nil || !m.NameMatches(p.Name) || !isDate(p.BirthDate, m.DateOfBirth) {
		return false
	}
	// Whoever has the same name and birth date has another number.
	return p.Number == "" || !holdsNumber(m) || isNumber(p.Number, m)
}

// holding is what the insurer's record says of a visit's card.
type holding int

const (
	unclear holding = iota // not on record, or nothing to compare
	theirs                 // the visit's person has it
	another                // somebody else has it
)

// holds compares the holder of a card, nil for a card that is not on record, with
// the person of a visit: as DG1 has it (m), else as the visit claims.
//
// Where both have the personal number it alone decides: insurers' records hold
// misspelt names, and the desk was shown the difference. Without it name and
// birth date have to do, as far as they are known.
func holds(holder *Person, card string, claimed *contract.Person, m *mrz.MRZ) holding {
	if holder == nil {
		return unclear
	}
	same := func(ok bool) holding {
		if ok {
			return theirs
		}
		return another
	}
	if m != nil {
		if holder.Number != "" && holdsNumber(*m) {
			return same(isNumber(holder.Number, *m))
		}
		return same(m.NameMatches(holder.Name) && isDate(holder.BirthDate, m.DateOfBirth))
	}
	switch {
	case holder.Number != "" && claimed.Number != "":
		return same(holder.Number == claimed.Number)
	case claimed.InsuranceNumber != "" && sameInsurance(claimed.InsuranceNumber, card):
		return theirs
	case claimed.Name == "":
		return unclear
	}
	return same(sameName(holder.Name, claimed.Name) && (claimed.BirthDate == "" || sameDate(holder.BirthDate, claimed.BirthDate)))
}

// sameInsurance compares insurance numbers as they are written: a card's 15
// characters end with the ten digits that alone are its person's.
func sameInsurance(a, b string) bool {
	const digits = 10
	return a == b && a != "" || len(a) >= digits && len(b) >= digits && (len(a) == digits || len(b) == digits) && a[len(a)-digits:] == b[len(b)-digits:]
}

var sexes = map[string]contract.Sex{"M": contract.SexMale, "F": contract.SexFemale, "<": contract.SexUnspecified}

// isNumber looks for the personal number, which only Vietnam's cards are known to
// have: all twelve digits in the optional data of the first line (a check digit
// follows after fillers). What another state writes into its optional data is
// no proof of a Vietnamese number, whoever trusts that state's certificates.
func isNumber(number string, m mrz.MRZ) bool {
	if !holdsNumber(m) {
		return false
	}
	first, _, _ := strings.Cut(m.OptionalData, "<")
	return first == number
}

func holdsNumber(m mrz.MRZ) bool { return m.IssuingState == vn.State && m.Layout == mrz.TD1 }

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
