package doctor

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
)

// When material is old. A year is the age of a master list at which somebody should look
// for a newer one; a list of people is renewed every day.
const (
	oldTrust      = 365
	oldPopulation = 7
	longWait      = 24 * time.Hour
	veryLongWait  = 7 * 24 * time.Hour
)

// Store says whether the stored visits are sound.
func Store(state func(ctx context.Context) (wire.Store, error)) Check {
	return Check{ID: "store", Title: "Stored visits", Run: func(ctx context.Context) []wire.Diagnosed {
		s, err := state(ctx)
		switch {
		case err != nil:
			return one(ofError(wire.LevelError, err))
		case s.Fault != nil:
			d := wire.Diagnosed{
				Level: wire.LevelError, What: s.Fault.Cause, Remedy: s.Fault.Remedy, Page: fault.PagePath(fault.Code(s.Fault.Code)),
				Values: pairs([]string{"code", s.Fault.Code, "damaged", strconv.Itoa(s.Damaged)}),
			}
			return one(d)
		case s.Damaged > 0:
			d := of(wire.LevelError, fault.New(fault.VisitDamaged, nil))
			d.Values["damaged"] = strconv.Itoa(s.Damaged)
			return one(d)
		case !s.Checked:
			return one(wire.Diagnosed{Level: wire.LevelInfo, What: "They are being read through; nothing wrong was found yet."})
		}
		return one(ok("Every one of them can be read."))
	}}
}

// Queue says whether visits wait too long, or were rejected.
func Queue(state func(ctx context.Context) (wire.Queue, error)) Check {
	return Check{ID: "queue", Title: "Visits that wait", Run: func(ctx context.Context) []wire.Diagnosed {
		q, err := state(ctx)
		if err != nil {
			return one(ofError(wire.LevelError, err))
		}
		values := []string{"queued", strconv.Itoa(q.Queued), "stored", strconv.Itoa(q.Stored), "rejected", strconv.Itoa(q.Rejected)}
		var found []wire.Diagnosed
		if q.Rejected > 0 {
			d := of(wire.LevelWarning, fault.New(fault.VisitRejected, nil))
			d.What = fmt.Sprintf("%d visits were rejected by the insurer and wait for a person.", q.Rejected)
			d.Values = pairs(values)
			found = append(found, d)
		}
		if q.Queued+q.Stored > 0 && q.Oldest != nil {
			waits := time.Since(*q.Oldest)
			d := wire.Diagnosed{
				Level: wire.LevelOK, What: fmt.Sprintf("%d visits wait, the oldest since %s.", q.Queued+q.Stored, waits.Round(time.Minute)),
				Page: fault.PagePath(fault.VisitWaiting), Values: pairs(values),
			}
			switch {
			case waits > veryLongWait:
				d.Level = wire.LevelWarning
				d.Why, d.Remedy = "The insurer does not know of them yet.", "Look at the link to the central service."
			case waits > longWait:
				d.Level = wire.LevelInfo
			}
			found = append(found, d)
		}
		if len(found) == 0 {
			found = append(found, ok("None waits and none was rejected.", values...))
		}
		return found
	}}
}

// Trust says whose certificates are known, and how old they are; nil: none.
func Trust(state func(ctx context.Context) (*wire.Trust, error)) Check {
	return Check{ID: "trust", Title: "Issuers' certificates", Run: func(ctx context.Context) []wire.Diagnosed {
		t, err := state(ctx)
		if err != nil {
			return one(ofError(wire.LevelError, err))
		}
		if t == nil || t.Certificates == 0 {
			d := of(wire.LevelError, fault.New(fault.IssuerUnknown, nil))
			d.What, d.Why = "No issuer's certificate is loaded.", "No card can be verified; every one stays \"cannot tell\"."
			d.Remedy = "Import the issuers' certificates (`chamthe trust import`), or let the insurer send them."
			return one(d)
		}
		values := []string{
			"certificates", strconv.Itoa(t.Certificates), "states", strconv.Itoa(t.States), "dated", t.Dated, "imported", t.Imported,
			"revocation_lists", strconv.Itoa(t.RevocationLists), "outdated_lists", strconv.Itoa(t.OutdatedLists),
		}
		d := ok(fmt.Sprintf("Certificates: %d, of issuing states: %d.", t.Certificates, t.States), values...)
		switch {
		case t.OutdatedLists > 0:
			d.Level = wire.LevelWarning
			d.Why = fmt.Sprintf("%d revocation lists are out of date: whether a signer was revoked cannot be told.", t.OutdatedLists)
		case t.AgeDays != nil && *t.AgeDays > oldTrust:
			d.Level = wire.LevelWarning
			d.Why = fmt.Sprintf("They are %d days old: documents of newer issuers are not known.", *t.AgeDays)
		}
		if d.Level != wire.LevelOK {
			d.Remedy, d.Page = "Import newer ones; `chamthe trust check` lists what is due.", fault.PagePath(fault.TrustAttention)
		}
		return one(d)
	}}
}

// Bundles says how old the insurer's lists are, and why a newer one was refused.
func Bundles(state func(ctx context.Context) ([]wire.Bundle, error)) Check {
	return Check{ID: "bundles", Title: "The insurer's lists", Run: func(ctx context.Context) []wire.Diagnosed {
		all, err := state(ctx)
		if err != nil {
			return one(ofError(wire.LevelError, err))
		}
		var found []wire.Diagnosed
		for _, b := range all {
			d := ok(fmt.Sprintf("The list %q has %d entries and is %d days old.", b.Kind, b.Entries, b.AgeDays),
				"kind", b.Kind, "version", strconv.FormatUint(b.Version, 10), "entries", strconv.Itoa(b.Entries), "age_days", strconv.Itoa(b.AgeDays))
			d.ID = "bundles." + b.Kind
			limit := oldPopulation
			if b.Kind != "population" {
				limit = oldTrust
			}
			switch {
			case b.Fault != nil:
				d.Level, d.Why, d.Remedy = wire.LevelError, b.Fault.Cause, b.Fault.Remedy
				d.What, d.Page = fmt.Sprintf("A newer list %q was refused.", b.Kind), fault.PagePath(fault.Code(b.Fault.Code))
			case b.AgeDays > limit:
				d.Level, d.Why, d.Remedy = wire.LevelWarning, "Without a link it is what answers are made from.", "Look at the link to the central service."
			}
			found = append(found, d)
		}
		if len(found) == 0 {
			found = append(found, wire.Diagnosed{
				Level: wire.LevelInfo, What: "There is none.", Why: "Without a link, first-time visitors' entitlement stays unknown.",
				Remedy: "The insurer sends them to enrolled computers.",
			})
		}
		return found
	}}
}

// Audit says whether the trail of who looked at what is whole: verify returns how many
// entries it has.
func Audit(verify func(ctx context.Context) (int, error)) Check {
	return Check{ID: "audit", Title: "Audit trail", Run: func(ctx context.Context) []wire.Diagnosed {
		n, err := verify(ctx)
		if err != nil {
			return one(ofError(wire.LevelError, err))
		}
		return one(ok("It is whole.", "entries", strconv.Itoa(n)))
	}}
}
