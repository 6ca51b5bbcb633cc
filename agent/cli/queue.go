package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/sync/outbox"
	"github.com/chamthe/chamthe/sync/store"
)

func newQueue(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "queue",
		Short: "The visits of a data directory: what waits, what was accepted",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newQueueList(e), newQueueShow(e), newQueueExport(e), newQueueSend(e), newQueueRequeue(e), newQueueCheck(e))
	return c
}

// queueItem is one visit in JSON. It names no person.
type queueItem struct {
	ID         string    `json:"id"`
	State      string    `json:"state"`
	RecordedAt time.Time `json:"recorded_at"`
	StoredAt   time.Time `json:"stored_at,omitzero"`
	VerdictAt  time.Time `json:"verdict_at,omitzero"`
	Reason     string    `json:"reason,omitempty"`
	Assurance  string    `json:"assurance,omitempty"`
	Damaged    bool      `json:"damaged,omitempty"`
}

func newQueueList(e *env) *cobra.Command {
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the visits and how each stands (no personal data)",
		Example: "  chamthe queue list --data /tmp/desk",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withQueue(dir, func(q *outbox.Queue, _ *store.Store) error {
				items, err := allItems(c.Context(), q)
				if err != nil {
					return err
				}
				return printQueue(e, items, asJSON)
			})
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	required(c, "data")
	return c
}

// withQueue opens the outbox of a data directory for fn.
func withQueue(dir string, fn func(*outbox.Queue, *store.Store) error) (err error) {
	if err := used(dir); err != nil {
		return err
	}
	q, st, err := agent.OpenQueue(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return fn(q, st)
}

// used returns a usage error unless an agent has worked in dir: a name with a
// typing error must not become an empty queue where all is well. The administrator
// goes on as the owner of the directory.
func used(dir string) error {
	if err := becomeOwner(dir); err != nil {
		return err
	}
	ok, err := agent.Used(dir)
	if err == nil && !ok {
		err = usagef("--data: no visits were ever recorded in this directory")
	}
	return err
}

func required(c *cobra.Command, flag string) {
	if err := c.MarkFlagRequired(flag); err != nil {
		panic(err) // only a flag that does not exist: a mistake in this package
	}
}

func allItems(ctx context.Context, q *outbox.Queue) ([]queueItem, error) {
	items := []queueItem{}
	for after := uint64(0); ; {
		page, err := q.List(ctx, 0, after, 500)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return items, nil
		}
		for _, i := range page {
			item := itemOf(i)
			items = append(items, item)
			after = i.Seq
		}
	}
}

func itemOf(i outbox.Item) queueItem {
	item := queueItem{
		ID: i.ID, State: i.State.String(), RecordedAt: i.RecordedAt, StoredAt: i.StoredAt,
		VerdictAt: i.VerdictAt, Damaged: i.Damaged,
	}
	if i.Verdict != nil {
		item.Reason, item.Assurance = string(i.Verdict.Reason), string(i.Verdict.Assurance)
	}
	return item
}

func printQueue(e *env, items []queueItem, asJSON bool) error {
	if asJSON {
		return writeJSON(e.stdout, struct {
			Visits []queueItem `json:"visits"`
		}{items})
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VISIT\tSTATE\tRECORDED\tVERDICT\t")
	for _, i := range items {
		verdict := i.Assurance + i.Reason
		if !i.VerdictAt.IsZero() {
			verdict += " " + i.VerdictAt.Format(time.TimeOnly)
		}
		id, recorded := i.ID, "unknown"
		if id == "" {
			id = "(unreadable)"
		}
		if !i.RecordedAt.IsZero() {
			recorded = i.RecordedAt.Format(time.DateTime)
		}
		if i.Damaged {
			verdict = strings.TrimSpace("DAMAGED " + verdict)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", id, i.State, recorded, verdict)
	}
	return w.Flush()
}

func newQueueSend(e *env) *cobra.Command {
	var dir, url, facility string
	var wait time.Duration
	c := &cobra.Command{
		Use:   "send",
		Short: "Send what waits, and stay until the central service has answered for every visit",
		Example: `  chamthe queue send --data /tmp/desk
  chamthe queue send --data /tmp/desk --central nats://127.0.0.1:4222`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if err := used(dir); err != nil {
				return err
			}
			urls := []string{url}
			if url == "" {
				enrolment, err := agent.Enrolled(dir)
				if err != nil {
					return err
				}
				if enrolment == nil {
					return usagef("--central: give the server's URL, or enrol this directory (chamthe enrol)")
				}
				urls = enrolment.URLs()
			}
			a, err := agent.Open(agent.Config{Dir: dir, Facility: facility, URLs: urls})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, a.Close()) }()
			ctx, stop := context.WithCancel(c.Context())
			var services errgroup.Group
			services.Go(func() error { return a.Run(ctx) })
			defer func() {
				stop()
				err = errors.Join(err, services.Wait())
			}()
			return sendQueue(ctx, e, a, wait)
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	c.Flags().StringVar(&url, "central", "", "`URL` of the NATS server; default: as this directory was enrolled")
	c.Flags().StringVar(&facility, "facility", demoFacility, "facility `CODE`, unless this directory is enrolled")
	c.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait for the verdicts")
	required(c, "data")
	return c
}

func sendQueue(ctx context.Context, e *env, a *agent.Agent, wait time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	q := a.Queue()
	var last outbox.Stats
	err := a.Wait(limited, func() (bool, error) {
		s, err := q.Stats(ctx)
		if err != nil {
			return false, err
		}
		if s.Queued != last.Queued || s.Stored != last.Stored || s.Accepted != last.Accepted || s.Rejected != last.Rejected {
			fmt.Fprintf(e.stdout, "%d queued, %d stored, %d accepted, %d rejected\n", s.Queued, s.Stored, s.Accepted, s.Rejected)
		}
		last = s
		if s.Queued == 0 || s.Stored > 0 {
			return s.Queued+s.Stored == 0, nil
		}
		// Damaged entries can never be sent: nobody waits for them.
		next, err := q.Next(ctx, 0, 1)
		return len(next) == 0, err
	})
	late := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
	if err != nil && !late {
		return err
	}
	damaged, err := q.Damaged(ctx)
	if err != nil {
		return err
	}
	waiting := fmt.Sprintf("%d visits wait", last.Queued+last.Stored)
	switch {
	case damaged > 0:
		fmt.Fprintf(e.stdout, "%d damaged\n", damaged)
		if late {
			waiting += ": " + string(fault.OfLink(a.Link(ctx)))
		}
		return fault.New(fault.VisitDamaged, fmt.Errorf("%d visits are damaged; %s, the damaged ones among them", damaged, waiting))
	case late:
		return fault.New(fault.OfLink(a.Link(ctx)), errors.New(waiting))
	case last.Rejected > 0:
		return fault.New(fault.VisitRejected, fmt.Errorf("%d visits were rejected", last.Rejected))
	}
	return nil
}

func newQueueCheck(e *env) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "check",
		Short: "Read everything in a data directory, and say whether it is sound",
		Long: `Check reads every page of the data file and opens every visit. It changes
nothing. A running agent does the same when it starts.`,
		Example: "  chamthe queue check --data /tmp/desk",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withQueue(dir, func(q *outbox.Queue, st *store.Store) error {
				if err := st.Check(c.Context()); err != nil {
					return err
				}
				damaged, err := q.Damaged(c.Context())
				if err != nil {
					return err
				}
				s, err := q.Stats(c.Context())
				if err != nil {
					return err
				}
				fmt.Fprintf(e.stdout, "%d queued, %d stored, %d accepted, %d rejected; %d damaged\n", s.Queued, s.Stored, s.Accepted, s.Rejected, damaged)
				if damaged > 0 {
					return fault.New(fault.VisitDamaged, fmt.Errorf("%d visits are damaged", damaged))
				}
				return nil
			})
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	required(c, "data")
	return c
}

func newQueueRequeue(e *env) *cobra.Command {
	var dir string
	var rejected bool
	c := &cobra.Command{
		Use:   "requeue [ID]",
		Short: "Put a visit, or all rejected ones, back to be sent again",
		Long: `Requeue puts back what the central service rejected for a reason that is gone
now, or what was stored in a server that is lost. A visit that it has counted
already is not counted again.`,
		Example: `  chamthe queue requeue --data /tmp/desk 01890a5d-ac96-774b-bcce-b302099a8057
  chamthe queue requeue --data /tmp/desk --rejected`,
		Annotations: map[string]string{takesArguments: ""},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 1 || (len(args) == 1) == rejected {
				return usagef("give one visit's id, or --rejected")
			}
			return withTrail(dir, func(q *outbox.Queue, log *audit.Log) error {
				if rejected {
					return requeueRejected(c.Context(), e, q, log)
				}
				return requeue(c.Context(), e, q, log, args[0])
			})
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	c.Flags().BoolVar(&rejected, "rejected", false, "all visits that the central service rejected")
	required(c, "data")
	return c
}

// requeue puts one visit back. It repeats the id only when it is one.
func requeue(ctx context.Context, e *env, q *outbox.Queue, log *audit.Log, id string) error {
	_, before, err := q.Get(ctx, id)
	if err == nil {
		err = log.Append(ctx, audit.Entry{Actor: actor(), Action: audit.VisitRequeued, Object: id, Note: before.State.String()})
	}
	if err == nil {
		err = q.Requeue(ctx, id)
	}
	switch {
	case errors.Is(err, outbox.ErrNotFound):
		return usagef("no visit has this id: see chamthe queue list")
	case errors.Is(err, outbox.ErrFinal):
		return usagef("the visit is accepted: there is nothing to send again")
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s was %s, is queued\n", id, before.State)
	return err
}

func requeueRejected(ctx context.Context, e *env, q *outbox.Queue, log *audit.Log) error {
	done, damaged := 0, 0
	for after := uint64(0); ; {
		page, err := q.List(ctx, outbox.Rejected, after, 500)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, i := range page {
			after = i.Seq
			if i.Damaged {
				damaged++
				continue
			}
			if err := requeue(ctx, e, q, log, i.ID); err != nil {
				return err
			}
			done++
		}
	}
	fmt.Fprintf(e.stdout, "%d visits put back\n", done)
	if damaged > 0 {
		return fault.New(fault.VisitDamaged, fmt.Errorf("%d rejected visits are damaged", damaged))
	}
	return nil
}
