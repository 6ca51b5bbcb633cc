package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/truststore"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/trust"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/sync/uplink"
)

// trustSummary remembers what was said about a pool, which may hold hundreds of
// certificates: the state is asked for every few seconds.
type trustSummary struct {
	pool *trust.Pool
	at   time.Time
	s    wire.Trust
}

// Status returns how the daemon is doing, for an owner: whose check-in runs is for
// the one who began it and for the desk. What cannot be read is left out and named
// by a fault; the error is that of ctx.
func (d *Daemon) Status(ctx context.Context, owner string) (wire.Status, error) {
	now := time.Now()
	st := wire.Status{
		Version: d.cfg.Version, Now: now, Ready: d.ready.Load(), OperatorRequired: d.cfg.OperatorRequired, Training: d.cfg.Training,
		Facility: wire.Facility{Code: d.cfg.Agent.Facility, Name: d.cfg.FacilityName},
		Readers:  []wire.Reader{}, Bundles: []wire.Bundle{}, Link: wire.Link{State: "not_configured"}, Store: wire.Store{Free: -1},
	}
	if d.cfg.Training {
		st.Sample = d.cfg.Sample
	}
	if free, ok := freeSpace(d.cfg.Agent.Dir); ok {
		st.Store.Free = free
	}
	if d.agent == nil {
		return st, ctx.Err()
	}
	a := d.agent
	st.Operator = d.operators.Operator()
	st.Facility.Code, st.Agent = a.Facility(), a.Key()
	if list, err := d.Readers(ctx); err == nil {
		st.Readers = list
	}
	if !d.cfg.Agent.Offline {
		st.Link = d.link(a.Link(ctx))
	}
	if stats, err := a.queue.Stats(ctx); err == nil {
		st.Queue = wire.Queue{Queued: stats.Queued, Stored: stats.Stored, Accepted: stats.Accepted, Rejected: stats.Rejected}
		if !stats.Oldest.IsZero() {
			oldest := stats.Oldest.Local()
			st.Queue.Oldest = &oldest
		}
	} else if ctx.Err() == nil {
		st.Store.Fault = d.cfg.Fault(err)
	}
	if pool, err := a.Issuers(ctx); err == nil {
		st.Trust = d.trust(pool, now)
	} else if ctx.Err() == nil && st.Store.Fault == nil {
		st.Store.Fault = d.cfg.Fault(err)
	}
	if a.bundles != nil {
		for _, kind := range bundleKinds {
			s, err := a.bundles.State(kind)
			if err != nil || !s.Installed() && s.Refused == "" {
				continue
			}
			b := wire.Bundle{
				Kind: string(kind), Version: uint64(s.Serial), Entries: s.Entries, AsOf: s.IssuedAt, AgeDays: int(s.Age(now) / (24 * time.Hour)),
			}
			if s.Refused != "" {
				b.Fault = d.cfg.Fault(fmt.Errorf("%w: %s", ErrBundle, s.Refused))
			}
			st.Bundles = append(st.Bundles, b)
		}
	}
	h := a.Health()
	st.Store.Checked, st.Store.Damaged = h.Checked, h.Damaged
	if h.Err != nil && st.Store.Fault == nil {
		st.Store.Fault = d.cfg.Fault(h.Err)
	}
	// That there is one, for everybody: who comes next has to wait.
	st.Busy = d.front.Busy()
	return st, ctx.Err()
}

// link says how the link is.
func (d *Daemon) link(s uplink.State) wire.Link {
	l := wire.Link{State: "offline"}
	if !s.Since.IsZero() {
		since := s.Since.Local()
		l.Since = &since
	}
	switch {
	case s.Last == uplink.Unauthorized:
		l.State = "refused"
	case s.Last == uplink.TLSTrouble:
		l.State = "untrusted"
	case s.Online:
		d.online.Store(true)
		l.State = "online"
	case s.Last == uplink.NoTrouble && !d.online.Load():
		l.State = "connecting"
	}
	if d.cfg.LinkFault != nil {
		l.Fault = d.cfg.LinkFault(s)
	}
	return l
}

func (d *Daemon) trust(pool *trust.Pool, now time.Time) *wire.Trust {
	d.mu.Lock()
	defer d.mu.Unlock()
	const fresh = time.Minute
	if t := &d.summary; t.pool != pool || t.at.IsZero() || now.Sub(t.at) > fresh || now.Before(t.at) {
		s := truststore.Summarize(pool, now)
		t.pool, t.at = pool, now
		t.s = wire.Trust{Certificates: s.Anchors, States: s.States, RevocationLists: s.CRLs, OutdatedLists: s.Outdated}
		if !s.Dated.IsZero() {
			t.s.Dated = s.Dated.UTC().Format(time.RFC3339)
		}
		if !s.Imported.IsZero() {
			t.s.Imported = s.Imported.UTC().Format(time.RFC3339)
		}
		if newest := s.Newest(); !newest.IsZero() {
			days := max(0, int(now.Sub(newest)/(24*time.Hour)))
			t.s.AgeDays = &days
		}
	}
	s := d.summary.s
	return &s
}

// maxReaderName is how many bytes of a reader's name are shown.
const maxReaderName = 128

// Readers returns the card readers as they are now.
func (d *Daemon) Readers(ctx context.Context) ([]wire.Reader, error) {
	list := []wire.Reader{}
	if d.hub == nil {
		return list, nil
	}
	devices, err := d.hub.Devices(ctx)
	if err != nil {
		return list, err
	}
	for _, v := range devices {
		r := wire.Reader{Name: v.Name[:min(len(v.Name), maxReaderName)], Kind: v.Kind.String(), Best: v.Rank == 1, Page: v.Page}
		if v.Kind == reader.Token {
			r.Kind = reader.Contact.String() // a key that is reader and card in one
		}
		switch v.State {
		case reader.Present, reader.Mute, reader.Busy:
			r.Card = true
		}
		if v.Ours {
			r.Busy = "chamthe"
		} else if busy, ok := d.hub.InUse(v.Name); ok {
			r.Busy = "another program"
			if len(busy.Programs) > 0 {
				r.Busy = busy.Programs[0]
			}
		}
		switch {
		case v.State == reader.Unavailable:
			r.Trouble = d.cfg.Fault(reader.ErrNoReader).Code
		case v.State == reader.Mute:
			r.Trouble = d.cfg.Fault(reader.ErrCardMute).Code
		case r.Busy != "" && !v.Ours:
			r.Trouble = d.cfg.Fault(reader.ErrSharing).Code
		}
		list = append(list, r)
	}
	return list, nil
}

var (
	_ checkin.Deliveries = (*Agent)(nil)
	_ checkin.Readers    = (*reader.Hub)(nil)
	_ api.Journal        = (*Journal)(nil)
)
