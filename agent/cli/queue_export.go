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
it: it is private to you, and what you do with it is noted nowhere.
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

// exportBatch is how many visits are noted and written at a time.
const exportBatch = 200

func exportVisits(ctx context.Context, e *env, q *outbox.Queue, log *audit.Log, which outbox.State, ids []string, out string) error {
	var file bytes.Buffer
	w := io.Writer(&file)
	if out == "-" {
		w = e.stdout
	}
	var count, without int
	var notes []audit.Entry
	var lines bytes.Buffer
	// The trail first: what it does not know must not leave.
	flush := func() error {
		if err := log.Append(ctx, notes...); err != nil {
			return err
		}
		_, err := lines.WriteTo(w)
		notes, lines = notes[:0], bytes.Buffer{}
		return err
	}
	add := func(id string) error {
		entry, item, err := q.Get(ctx, id)
		if err != nil {
			return noVisit(err)
		}
		if len(entry.Payload) == 0 {
			without++ // purged: only its state is left
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
		lines.Write(append(line, '\n'))
		notes = append(notes, audit.Entry{Actor: actor(), Action: audit.VisitExported, Object: entry.ID, Note: item.State.String()})
		count++
		if len(notes) == exportBatch {
			return flush()
		}
		return nil
	}

	damaged := 0
	for _, id := range ids {
		if err := add(id); err != nil {
			return err
		}
	}
	for after := uint64(0); len(ids) == 0; {
		page, err := q.List(ctx, which, after, 500)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, i := range page {
			after = i.Seq
			if i.ID == "" {
				damaged++
				continue
			}
			if err := add(i.ID); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if out != "-" {
		if err := writeFile(out, file.Bytes()); err != nil {
			return usagef("--out: %w", err)
		}
	}
	fmt.Fprintf(e.stderr, "%s written", plural(count, "visit"))
	if without > 0 {
		fmt.Fprintf(e.stderr, "; %s without contents, which were purged after their time", plural(without, "accepted visit"))
	}
	fmt.Fprintln(e.stderr)
	if damaged > 0 {
		return fault.New(fault.VisitDamaged, fmt.Errorf("%d visits are damaged", damaged))
	}
	return nil
}
