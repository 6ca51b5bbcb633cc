package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/sync/contract"
	"github.com/chamthe/chamthe/sync/outbox"
)

// actor is who runs this command, for the audit trail.
func actor() string {
	if u, err := user.Current(); err == nil && u.Username != "" && len(u.Username) <= 64 {
		return strings.ToValidUTF8(u.Username, "?")
	}
	return "unknown"
}

// withTrail opens outbox and audit trail of a data directory for fn.
func withTrail(dir string, fn func(*outbox.Queue, *audit.Log) error) (err error) {
	if err := used(dir); err != nil {
		return err
	}
	q, log, st, err := agent.OpenTrail(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return fn(q, log)
}

// noVisit turns what the queue says of an id into what a person can do.
func noVisit(err error) error {
	switch {
	case errors.Is(err, outbox.ErrNotFound):
		return usagef("no visit has this id: see chamthe queue list")
	case errors.Is(err, outbox.ErrDamaged):
		return fault.New(fault.VisitDamaged, err)
	}
	return err
}

func newQueueShow(e *env) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show one visit with the person in it, as JSON; the audit trail notes it",
		Example: `  chamthe queue show --data /tmp/desk 01890a5d-ac96-774b-bcce-b302099a8057
  chamthe queue show --data /tmp/desk 01890a5d-ac96-774b-bcce-b302099a8057 | jq .visit.person`,
		Annotations: map[string]string{takesArguments: ""},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("give one visit's id: see chamthe queue list")
			}
			return withTrail(dir, func(q *outbox.Queue, log *audit.Log) error {
				return showVisit(c.Context(), e, q, log, args[0])
			})
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	required(c, "data")
	return c
}

func showVisit(ctx context.Context, e *env, q *outbox.Queue, log *audit.Log, id string) error {
	entry, item, err := q.Get(ctx, id)
	if err != nil {
		return noVisit(err)
	}
	if err := log.Append(ctx, audit.Entry{Actor: actor(), Action: audit.VisitShown, Object: entry.ID}); err != nil {
		return err
	}
	out := struct {
		queueItem
		Visit json.RawMessage `json:"visit,omitempty"` // as signed; absent once it was purged
	}{queueItem: itemOf(item)}
	if json.Valid(entry.Payload) {
		out.Visit = entry.Payload
	}
	return writeJSON(e.stdout, out)
}

func newQueueExport(e *env) *cobra.Command {
	var dir, out, state string
	c := &cobra.Command{
		Use:   "export [ID]...",
		Short: "Write visits with their evidence to a file, a line each; the audit trail notes it",
		Long: `Export writes visits exactly as they were signed, one JSON document per line:
those named, or all in a state, or all. The file is for who may see the people in
it: it is private to you, and what you do with it is noted nowhere. It appears
when it is complete; an export that fails leaves the file as it was. One that is
killed leaves a hidden file beside it, which is to be removed.
` + "`chamthe evidence verify`" + ` checks such a file anywhere, without a network.`,
		Example: `  chamthe queue export --data /tmp/desk --out visits.jsonl
  chamthe queue export --data /tmp/desk --state rejected --out rejected.jsonl
  chamthe queue export --data /tmp/desk --out - 01890a5d-ac96-774b-bcce-b302099a8057`,
		Annotations: map[string]string{takesArguments: ""},
		RunE: func(c *cobra.Command, ids []string) error {
			var which outbox.State
			if state != "" && which.UnmarshalText([]byte(state)) != nil {
				return usagef("--state: queued, stored, accepted, rejected or lost")
			}
			if state != "" && len(ids) > 0 {
				return usagef("give ids or --state, not both")
			}
			return withTrail(dir, func(q *outbox.Queue, log *audit.Log) error {
				return exportVisits(c.Context(), e, q, log, which, ids, out)
			})
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	c.Flags().StringVar(&out, "out", "", "`FILE` to write, - for standard output")
	c.Flags().StringVar(&state, "state", "", "only visits in this `STATE`")
	required(c, "data")
	required(c, "out")
	return c
}

const (
	// exportBatch is how many visits are noted and written at a time: each time the
	// trail waits for the disk.
	exportBatch = 200
	// exportBytes ends a batch early: visits may be long.
	exportBytes = 1 << 20
)

func exportVisits(ctx context.Context, e *env, q *outbox.Queue, log *audit.Log, which outbox.State, ids []string, out string) error {
	x := export{q: q, log: log, w: e.stdout}
	var err error
	if out == "-" {
		err = x.run(ctx, which, ids)
	} else {
		var failed error
		err = replaceFile(out, func(w io.Writer) error {
			x.w = w
			failed = x.run(ctx, which, ids)
			return failed
		})
		if err != nil && (failed == nil || x.unwritten) {
			err = usagef("--out: %w", err)
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "%s written", plural(x.count, "visit"))
	if x.without > 0 {
		fmt.Fprintf(e.stderr, "; %s without contents, which were purged after their time", plural(x.without, "accepted visit"))
	}
	fmt.Fprintln(e.stderr)
	if x.damaged > 0 {
		return fault.New(fault.VisitDamaged, fmt.Errorf("%d visits are damaged", x.damaged))
	}
	return nil
}

// export writes visits to w. It holds no more of them than a batch.
type export struct {
	q   *outbox.Queue
	log *audit.Log
	w   io.Writer

	notes []audit.Entry // of the visits in lines
	lines bytes.Buffer

	count, without, damaged int
	unwritten               bool // w has failed
}

// run exports those named, or all in a state.
func (x *export) run(ctx context.Context, which outbox.State, ids []string) error {
	for _, id := range ids {
		if err := x.add(ctx, id); err != nil {
			return err
		}
	}
	for after := uint64(0); len(ids) == 0; {
		page, err := x.q.List(ctx, which, after, 500)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, i := range page {
			after = i.Seq
			if i.ID == "" {
				x.damaged++
				continue
			}
			if err := x.add(ctx, i.ID); err != nil {
				return err
			}
		}
	}
	return x.flush(ctx)
}

func (x *export) add(ctx context.Context, id string) error {
	entry, item, err := x.q.Get(ctx, id)
	if err != nil {
		return noVisit(err)
	}
	if len(entry.Payload) == 0 {
		x.without++ // purged: only its state is left
		return nil
	}
	v := wire.ExportedVisit{
		ID: entry.ID, State: item.State.String(), RecordedAt: item.RecordedAt, StoredAt: item.StoredAt,
		Subject: entry.Subject, Header: entry.Header, Payload: entry.Payload,
	}
	if item.Verdict != nil {
		if v.Verdict, err = contract.EncodeVerdict(item.Verdict); err != nil {
			return err
		}
	}
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	x.lines.Write(append(line, '\n'))
	x.notes = append(x.notes, audit.Entry{Actor: actor(), Action: audit.VisitExported, Object: entry.ID, Note: item.State.String()})
	x.count++
	if len(x.notes) < exportBatch && x.lines.Len() < exportBytes {
		return nil
	}
	return x.flush(ctx)
}

// flush writes what has gathered. The trail comes first: what it does not know must
// not leave the store.
func (x *export) flush(ctx context.Context) error {
	if err := x.log.Append(ctx, x.notes...); err != nil {
		return err
	}
	if _, err := x.lines.WriteTo(x.w); err != nil {
		x.unwritten = true
		return err
	}
	x.notes = x.notes[:0]
	x.lines.Reset()
	return nil
}
