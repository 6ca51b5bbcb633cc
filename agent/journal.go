package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/chamthe/chamthe/agent/api"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
)

const (
	// journalPage is how many visits one page holds.
	journalPage = 100
	// journalScan bounds how many visits are opened for one page of a search; the page
	// then says where to go on.
	journalScan = 2000
)

var (
	// errVisit reports a visit that is not in the queue, or that cannot be sent again:
	// it is on its way, or was accepted.
	errVisit = fmt.Errorf("%w: no such visit, or nothing to send again", api.ErrNone)
	// errCursor reports a place to go on from that this journal did not give.
	errCursor = fmt.Errorf("%w: no such page", api.ErrNone)
)

// A Journal is what was recorded in an agent's data directory, for the desk. Looking
// at it is for the caller to write in the audit trail. It may be used concurrently.
type Journal struct {
	a   *Agent
	now func() time.Time

	mu    sync.Mutex
	index []mark // of every visit, in the order of the queue
}

// A mark says when a visit was recorded: no personal data, 16 bytes. Going through
// the queue for each look would open every visit of the last month.
type mark struct {
	seq uint64
	at  int64 // Unix seconds
}

// Journal returns the journal of an agent.
func (a *Agent) Journal() *Journal { return &Journal{a: a, now: time.Now} }

// update takes what is new into the index, and drops what has gone.
func (j *Journal) update(ctx context.Context) ([]mark, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	last := uint64(0)
	if n := len(j.index); n > 0 {
		last = j.index[n-1].seq
	}
	for {
		items, err := j.a.queue.List(ctx, 0, last, 500)
		if err != nil {
			return nil, err
		}
		if len(items) == 0 {
			return slices.Clone(j.index), nil
		}
		for _, i := range items {
			j.index = append(j.index, mark{i.Seq, i.RecordedAt.Unix()})
			last = i.Seq
		}
	}
}

// History implements api.Journal: the visits of a day of this computer's calendar,
// newest first. Visits that are past their time are not in it.
func (j *Journal) History(ctx context.Context, q wire.HistoryQuery) (wire.History, error) {
	day := j.now()
	if q.Day != "" {
		var err error
		if day, err = time.ParseInLocation(time.DateOnly, q.Day, time.Local); err != nil {
			return wire.History{}, errCursor
		}
	}
	year, month, date := day.Date()
	from := time.Date(year, month, date, 0, 0, 0, 0, time.Local)
	until := from.AddDate(0, 0, 1)
	out := wire.History{Day: from.Format(time.DateOnly), Entries: []wire.HistoryEntry{}}
	index, err := j.update(ctx)
	if err != nil {
		return out, err
	}
	before := ^uint64(0)
	if q.After != "" {
		if before, err = strconv.ParseUint(q.After, 10, 64); err != nil {
			return out, errCursor
		}
	}
	wanted := search(q.Text)
	opened := 0
	// The clock of a computer may have been set back: the whole index is looked at, which
	// is a matter of microseconds, and the order is that of recording.
	for _, m := range slices.Backward(index) {
		if m.seq >= before || m.at < from.Unix() || m.at >= until.Unix() {
			continue
		}
		if len(out.Entries) == journalPage || opened == journalScan {
			out.Next = strconv.FormatUint(before, 10)
			return out, nil
		}
		before = m.seq
		opened++
		e, v, ok, err := j.entry(ctx, m.seq)
		if err != nil {
			return out, err
		}
		if ok && wanted.matches(v) {
			out.Entries = append(out.Entries, e)
		}
	}
	return out, nil
}

// entry opens one visit. It reports false for one that has gone, cannot be read, or
// was emptied because it is past its time.
func (j *Journal) entry(ctx context.Context, seq uint64) (wire.HistoryEntry, *contract.Visit, bool, error) {
	items, err := j.a.queue.List(ctx, 0, seq-1, 1)
	if err != nil || len(items) == 0 || items[0].Seq != seq || items[0].Damaged || items[0].Size == 0 {
		return wire.HistoryEntry{}, nil, false, err
	}
	e, v, err := j.encode(ctx, items[0])
	if errors.Is(err, outbox.ErrNotFound) || errors.Is(err, outbox.ErrDamaged) {
		return wire.HistoryEntry{}, nil, false, nil
	}
	return e, v, v != nil, err
}

// encode shows a visit as the desk lists it. The visit is nil if it cannot be read.
func (j *Journal) encode(ctx context.Context, item outbox.Item) (wire.HistoryEntry, *contract.Visit, error) {
	full, item, err := j.a.queue.Get(ctx, item.ID)
	if err != nil {
		return wire.HistoryEntry{}, nil, err
	}
	e := wire.HistoryEntry{Visit: item.ID, At: item.RecordedAt.Local(), Delivery: delivery(item)}
	v, err := contract.DecodeVisit(full.Payload)
	if err != nil {
		return e, nil, nil // of an older or newer program; it is still sent
	}
	e.Name, e.Means, e.Verified, e.Operator = v.Person.Name, string(v.Means), v.Verified, v.Operator
	if n := cmp.Or(v.Person.Number, v.Person.InsuranceNumber, v.Person.DocumentNumber); len(n) > 4 {
		e.Number = n[len(n)-4:]
	}
	e.Entitlement = string(v.Entitlement.Status)
	return e, &v, nil
}

// states of the queue by name.
var queueStates = map[string]outbox.State{"": 0, "queued": outbox.Queued, "stored": outbox.Stored, "accepted": outbox.Accepted, "rejected": outbox.Rejected}

// Queue implements api.Journal: the visits in one state, or all, oldest first.
func (j *Journal) Queue(ctx context.Context, state, after string) (wire.QueuePage, error) {
	out := wire.QueuePage{Entries: []wire.HistoryEntry{}}
	st, ok := queueStates[state]
	if !ok {
		return out, errCursor
	}
	last := uint64(0)
	if after != "" {
		var err error
		if last, err = strconv.ParseUint(after, 10, 64); err != nil {
			return out, errCursor
		}
	}
	items, err := j.a.queue.List(ctx, st, last, journalPage+1)
	if err != nil {
		return out, err
	}
	for i, item := range items {
		if i == journalPage {
			out.Next = strconv.FormatUint(items[i-1].Seq, 10)
			break
		}
		e := wire.HistoryEntry{Visit: item.ID, At: item.RecordedAt.Local(), Delivery: delivery(item)}
		if !item.Damaged {
			if full, _, err := j.encode(ctx, item); err == nil {
				e = full
			} else if !errors.Is(err, outbox.ErrNotFound) && !errors.Is(err, outbox.ErrDamaged) {
				return out, err
			}
		}
		out.Entries = append(out.Entries, e)
	}
	return out, nil
}

// Retry implements api.Journal. The trail is written first: an act that is written
// down and did not happen does no harm.
func (j *Journal) Retry(ctx context.Context, visit, actor string) error {
	_, item, err := j.a.queue.Get(ctx, visit)
	switch {
	case errors.Is(err, outbox.ErrNotFound):
		return errVisit
	case err != nil:
		return err
	case item.State != outbox.Rejected && item.State != outbox.Lost:
		return errVisit
	}
	if err := j.a.audit.Append(ctx, audit.Entry{Actor: actor, Action: audit.VisitRequeued, Object: visit}); err != nil {
		return err
	}
	defer j.a.signal()
	err = j.a.queue.Requeue(ctx, visit)
	if errors.Is(err, outbox.ErrNotFound) || errors.Is(err, outbox.ErrFinal) {
		return errVisit
	}
	return err
}

// Delivery implements checkin.Deliveries.
func (a *Agent) Delivery(ctx context.Context, visit string) (*wire.Delivery, error) {
	_, item, err := a.queue.Get(ctx, visit)
	if err != nil {
		return nil, err
	}
	d := delivery(item)
	stats, err := a.queue.Stats(ctx)
	if err != nil {
		return nil, err
	}
	d.Waiting = stats.Queued + stats.Stored
	return d, nil
}

// delivery says how far a visit went.
func delivery(i outbox.Item) *wire.Delivery {
	d := &wire.Delivery{VisitID: i.ID, State: i.State.String()}
	v := i.Verdict
	if v == nil || i.State != outbox.Accepted && i.State != outbox.Rejected {
		return d
	}
	d.Reason, d.Assurance = string(v.Reason), string(v.Assurance)
	if p := v.Presence; p != nil {
		if !p.From.IsZero() {
			d.PresentFrom = p.From.Format(time.RFC3339Nano)
		}
		d.PresentTo = p.To.Format(time.RFC3339Nano)
	}
	return d
}

// search is what somebody looks for: words of a name, in any order and without
// minding marks, or the end of a number.
type searched struct {
	words  []string
	digits string
}

func search(text string) searched {
	s := searched{words: strings.Fields(bare(text))}
	if len(s.words) == 1 && !strings.ContainsFunc(s.words[0], func(r rune) bool { return !unicode.IsDigit(r) }) {
		s.digits = s.words[0]
	}
	return s
}

func (s searched) matches(v *contract.Visit) bool {
	if v == nil {
		return false
	}
	if s.digits != "" {
		for _, n := range []string{v.Person.Number, v.Person.InsuranceNumber, v.Person.DocumentNumber} {
			if strings.HasSuffix(n, s.digits) {
				return true
			}
		}
		return false
	}
	name := bare(v.Person.Name)
	for _, w := range s.words {
		if !strings.Contains(name, w) {
			return false
		}
	}
	return true
}

// bare is a Vietnamese text in lower case without its marks: whoever is in a hurry
// types none.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case r == 'đ':
			return 'd'
		}
		return r
	}, norm.NFD.String(strings.ToLower(s)))
}
