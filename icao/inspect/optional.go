package inspect

import (
	"context"
	"slices"
	"strings"

	"github.com/chamthe/chamthe/icao/activeauth"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

// optionalGroups are the data groups that [Config.All] reads, with their checks.
// The rare ones no document is known to have: they are not mentioned where they are
// not signed, and their content is compared and not taken apart.
var optionalGroups = []struct {
	dg   int
	id   ID
	rare bool
}{
	{dg: 5, id: DG5Integrity, rare: true},
	{dg: 6, id: DG6Integrity, rare: true},
	{dg: 7, id: DG7Integrity},
	{dg: 8, id: DG8Integrity, rare: true},
	{dg: 9, id: DG9Integrity, rare: true},
	{dg: 10, id: DG10Integrity, rare: true},
	{dg: 11, id: DG11Integrity},
	{dg: 12, id: DG12Integrity},
	{dg: 16, id: DG16Integrity},
}

// needsTerminal reports whether a data group is for terminals only that
// authenticate themselves: fingers and irises (Doc 9303-11, 7.1).
func needsTerminal(dg int) bool { return dg == 3 || dg == 4 }

// optional reads what no desk needs and a diagnosis wants to see: EF.COM and the
// optional data groups that the issuer signed. Nothing of it is needed to verify
// the rest, so only a chip that is lost ends the inspection here.
func (in *inspection) optional(ctx context.Context) error {
	if err := in.com(ctx); err != nil {
		return err
	}
	for _, g := range optionalGroups {
		if g.rare && !in.covers(g.dg) {
			continue
		}
		if err := in.optionalGroup(ctx, g.dg, g.id); err != nil {
			return err
		}
	}
	if err := in.askOnly(ctx); err != nil {
		return err
	}
	in.settle()
	in.aggregate()
	return nil
}

func (in *inspection) optionalGroup(ctx context.Context, dg int, id ID) error {
	if !in.covers(dg) {
		in.r.set(id, result.Check{Value: result.NotSupported, Reason: ReasonNotCovered})
		return nil
	}
	b, state, err := in.group(ctx, dg)
	if err != nil {
		in.r.set(id, result.Check{Value: result.Aborted, Reason: ReasonInterrupted})
		return err
	}
	if state != Read {
		in.r.set(id, result.Check{Value: result.NotSupported, Reason: stateReason(state)})
		return nil
	}
	var c result.Check
	sod := in.sod
	wait := in.beside(func() { c = passiveauth.CheckGroup(sod, dg, b) })
	in.later(func() {
		wait()
		in.r.set(id, c)
		if c.Value == result.Successful {
			in.content(dg, b)
		}
	})
	return nil
}

// devHandedOut says that fingers or irises are open to everybody.
const devHandedOut = " is handed out without terminal authentication"

// askOnly asks for the data groups whose content nobody wants here: fingers and
// irises, and what EF.COM lists and the issuer has not signed. It comes last,
// because a chip may end the channel with its refusal.
func (in *inspection) askOnly(ctx context.Context) error {
	listed := make(map[int]bool)
	if in.r.COM != nil {
		for _, tag := range in.r.COM.Tags {
			f, _ := lds.ByTag(tag)
			listed[f.DG] = true
		}
	}
	for dg := 1; dg <= 16; dg++ {
		if in.covers(dg) && !needsTerminal(dg) || !in.covers(dg) && !listed[dg] {
			continue
		}
		if _, asked := in.r.Groups[dg]; asked && !in.covers(dg) {
			continue // see [Config.ProbeUncovered]
		}
		f, _ := lds.DataGroup(dg)
		state, err := in.ask(ctx, f)
		in.r.Groups[dg] = state
		if err != nil {
			return err
		}
		if state == NotRequested && needsTerminal(dg) {
			in.deviates(f.Name + devHandedOut)
		}
	}
	return nil
}

// ask finds out what the chip says to who wants a file, and leaves it at that:
// the state is NotRequested if the file could be read.
func (in *inspection) ask(ctx context.Context, f lds.File) (GroupState, error) {
	_, state, err := in.attempt(ctx, func() ([]byte, error) {
		return nil, lds.Ask(ctx, in.doer(), f, &in.learned)
	}, nil)
	if state == Read {
		state = NotRequested
	}
	return state, err
}

// content takes an optional data group apart, which is as its issuer signed it.
func (in *inspection) content(dg int, b []byte) {
	var err error
	switch dg {
	case 7:
		in.r.DG7, err = parsed(lds.ParseDG7(b))
	case 11:
		in.r.DG11, err = parsed(lds.ParseDG11(b))
	case 12:
		in.r.DG12, err = parsed(lds.ParseDG12(b))
	case 16:
		in.r.DG16, err = parsed(lds.ParseDG16(b))
	}
	if err != nil && !in.cfg.Strict { // else it is among the findings
		f, _ := lds.DataGroup(dg)
		in.deviates(f.Name + " is malformed")
	}
}

func parsed[T any](v T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// com reads EF.COM and compares it with EF.SOD (BSI TR-03135-1, 5.6.4.4.1). The
// file is not signed: it is never the basis of anything, and documents whose
// files differ are in the field.
func (in *inspection) com(ctx context.Context) error {
	b, state, err := in.file(ctx, lds.EFCOM)
	if err != nil {
		in.r.set(COMConsistency, result.Check{Value: result.Aborted, Reason: ReasonInterrupted})
		return err
	}
	if state != Read {
		in.r.set(COMConsistency, result.Check{Value: result.NotSupported, Reason: stateReason(state)})
		return nil
	}
	com, err := lds.ParseCOM(b)
	if err != nil {
		in.r.set(COMConsistency, result.Fail(ReasonMalformed))
		return nil
	}
	in.r.COM = &com
	differences := lds.CompareCOM(com, &in.sod.Object)
	c := result.Pass("")
	for _, d := range differences {
		in.deviates(lds.EFCOM.Name + ": " + d.String())
		c = result.Fail(ReasonDiffers)
		if in.defect(trust.COMDiscrepancy) {
			c = result.Unknown(passiveauth.KnownDefect)
		}
	}
	in.r.set(COMConsistency, c)
	return nil
}

// permitted are deviations that are listed and leave a document conforming. The
// strength of an algorithm is judged by [Report.Weak]; documents of the first years
// were made with SHA-1, as their edition of the standard had it, and are accepted
// (BSI TR-03105-5.1, 7.1.1 and LDS_H_01). That a signature uses another hash than
// its message digest is allowed (RFC 5652, 5.4; LDS_H_75 and LDS_H_76). A lost
// exchange says nothing about the document.
var permitted = []string{devReopened, cms.DevSHA1, lds.DevSODHashSHA1, cms.DevDigestsDiffer}

// conforms reports whether a deviation leaves a document conforming, in whichever
// certificate it is.
func conforms(deviation string) bool {
	for _, prefix := range []string{"signer: ", "anchor: ", lds.EFSOD.Name + ": "} {
		deviation = strings.TrimPrefix(deviation, prefix)
	}
	return slices.Contains(permitted, deviation)
}

// conformity is the strict mode: whatever a parser tolerated, in any file that was
// read, fails. It says nothing of whether the document is genuine.
func (in *inspection) conformity() {
	for _, f := range in.seen {
		for _, found := range lds.Check(f.file, f.content) {
			in.deviates(found.String())
		}
	}
	c := result.Pass("")
	for _, d := range in.r.Deviations {
		if !conforms(d) {
			c = result.Fail(ReasonNonconforming)
		}
	}
	in.r.set(Conformity, c)
}

// defect reports whether a defect list says of the document's signer that its
// documents have a defect of this type. It counts only for documents that are of that
// signer by its signature: anybody can name it.
func (in *inspection) defect(kind trust.DefectType) bool {
	if in.r.Check(SODSignature).Value != result.Successful || in.r.Check(TrustChain).Value != result.Successful {
		return false
	}
	for _, d := range in.defects {
		if d.Type == kind {
			return true
		}
	}
	return false
}

// applyDefects applies what is known of the documents of a signer to the proofs of
// authenticity (BSI TR-03135-1, 5.8.2). A key that is compromised proves nothing,
// whoever holds it; an EF.CardSecurity that its issuer spoiled is no fault of the
// chip. A protocol that is known to fail (5.8.2.1.5) and does is undetermined: the
// issuer's own documents do no better than a copy, which is excused with them and
// gains nothing, because undetermined is no proof.
func (in *inspection) applyDefects() {
	for id := range knownFailures(in.defects) {
		if c := in.r.Check(id); c.Value == result.Failed && protocolFailed(c.Reason) && in.defect(trust.AuthenticationFails) {
			in.r.set(id, result.Unknown(passiveauth.KnownDefect))
		}
	}
	compromised := func(kind trust.DefectType, ids ...ID) {
		if !in.defect(kind) {
			return
		}
		for _, id := range ids {
			if c := in.r.Check(id); c.Value == result.Successful || c.Value == result.Undetermined {
				in.r.set(id, result.Fail(ReasonKeyCompromised))
			}
		}
	}
	compromised(trust.ChipAuthKeysCompromised, PACECAM, ChipAuthentication) // 5.8.2.1.3; one key serves both
	compromised(trust.ActiveAuthKeysCompromised, ActiveAuthentication)      // 5.8.2.1.4
	if c := in.r.Check(PACECAM); in.cardSecurityFailed && c.Value == result.Failed && in.defect(trust.CardSecurityMalformed) {
		in.r.set(PACECAM, result.Unknown(passiveauth.KnownDefect)) // 5.8.2.3.1
	}
	in.chipAuthenticity()
}

// knownFailures returns the protocols that defects say fail: the status codes of
// the defect "Authentication Protocol Failure" (BSI TR-03129-2, version 1.4.1,
// 7.3.1.5).
func knownFailures(defects []trust.KnownDefect) map[ID]bool {
	codes := [...][]ID{
		{ChipAuthentication},
		{ActiveAuthentication},
		{ChipAuthentication, ActiveAuthentication},
		{PACECAM},
		{ChipAuthentication, PACECAM},
		{ActiveAuthentication, PACECAM},
		{ChipAuthentication, ActiveAuthentication, PACECAM},
	}
	ids := make(map[ID]bool)
	for _, d := range defects {
		if d.Type == trust.AuthenticationFails && d.Status >= 0 && d.Status < len(codes) {
			for _, id := range codes[d.Status] {
				ids[id] = true
			}
		}
	}
	return ids
}

// protocolFailed reports whether a check failed because the protocol did. A key
// that is not the one that was signed, or a file that is kept back, is another matter.
func protocolFailed(why result.Reason) bool {
	switch why {
	case chipauth.ReasonRefused, chipauth.ReasonNotProved, chipauth.ReasonKey,
		activeauth.ReasonRefused, activeauth.ReasonSignature, activeauth.ReasonKey:
		return true
	}
	return false
}

// knownToFail reports whether a defect list says that a protocol fails with the
// documents of this one's signer, before passive authentication has its turn. The
// signature is what makes the document that signer's.
func (in *inspection) knownToFail(id ID) bool {
	res := passiveauth.Verify(in.sod, nil, in.cfg.Trust, in.cfg.At)
	return res.Signature.Value == result.Successful && res.Chain.Value == result.Successful && knownFailures(res.Defects)[id]
}
