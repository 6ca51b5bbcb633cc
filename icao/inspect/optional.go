package inspect

import (
	"context"

	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

// optionalGroups are the data groups that [Config.All] asks for, with their checks.
var optionalGroups = []struct {
	dg int
	id ID
}{{7, DG7Integrity}, {11, DG11Integrity}, {12, DG12Integrity}, {16, DG16Integrity}}

// optional reads what no desk needs and a diagnosis wants to see: EF.COM and the
// optional data groups that the issuer signed. Nothing of it is needed to verify
// the rest, so only a chip that is lost ends the inspection here.
func (in *inspection) optional(ctx context.Context) error {
	if err := in.com(ctx); err != nil {
		return err
	}
	for _, g := range optionalGroups {
		if !in.covers(g.dg) {
			in.r.set(g.id, result.Check{Value: result.NotSupported, Reason: ReasonNotCovered})
			continue
		}
		b, state, err := in.group(ctx, g.dg)
		if err != nil {
			in.r.set(g.id, result.Check{Value: result.Aborted, Reason: ReasonInterrupted})
			return err
		}
		if state != Read {
			in.r.set(g.id, result.Check{Value: result.NotSupported, Reason: stateReason(state)})
			continue
		}
		c := passiveauth.CheckGroup(in.sod, g.dg, b)
		in.r.set(g.id, c)
		if c.Value == result.Successful {
			in.content(g.dg, b)
		}
	}
	in.aggregate()
	return nil
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
		// A lost exchange says nothing about the document.
		if d != devReopened {
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
// chip. Protocols that are known to fail (5.8.2.1.5) are not excused: which ones,
// the list says in codes of BSI TR-03129-2 that package trust does not interpret,
// and a copy would be excused with them.
func (in *inspection) applyDefects() {
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
