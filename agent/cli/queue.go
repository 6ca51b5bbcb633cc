package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/sync/outbox"
)

func newQueue(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "queue",
		Short: "The visits of a data directory: what waits, what was accepted",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newQueueList(e), newQueueSend(e))
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
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if err := used(dir); err != nil {
				return err
			}
			q, st, err := agent.OpenQueue(dir)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, st.Close()) }()
			items, err := allItems(c.Context(), q)
			if err != nil {
				return err
			}
			return printQueue(e, items, asJSON)
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	required(c, "data")
	return c
}

// used returns a usage error unless an agent has worked in dir: a name with a
// typing error must not become an empty queue where all is well.
func used(dir string) error {
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
			item := queueItem{
				ID: i.ID, State: i.State.String(), RecordedAt: i.RecordedAt, StoredAt: i.StoredAt,
				VerdictAt: i.VerdictAt, Damaged: i.Damaged,
			}
			if i.Verdict != nil {
				item.Reason, item.Assurance = string(i.Verdict.Reason), string(i.Verdict.Assurance)
			}
			items = append(items, item)
			after = i.Seq
		}
	}
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
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", i.ID, i.State, i.RecordedAt.Format(time.DateTime), verdict)
	}
	return w.Flush()
}

func newQueueSend(e *env) *cobra.Command {
	var dir, url, facility string
	var wait time.Duration
	c := &cobra.Command{
		Use:     "send",
		Short:   "Send what waits, and stay until the central service has answered for every visit",
		Example: `  chamthe queue send --data /tmp/desk --central nats://127.0.0.1:4222`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if err := used(dir); err != nil {
				return err
			}
			a, err := agent.Open(agent.Config{Dir: dir, Facility: facility, URLs: []string{url}})
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
	c.Flags().StringVar(&url, "central", "", "`URL` of the NATS server")
	c.Flags().StringVar(&facility, "facility", demoFacility, "facility `CODE`")
	c.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait for the verdicts")
	required(c, "data")
	required(c, "central")
	return c
}

func sendQueue(ctx context.Context, e *env, a *agent.Agent, wait time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var last outbox.Stats
	err := a.Wait(limited, func() (bool, error) {
		s, err := a.Queue().Stats(ctx)
		if err != nil {
			return false, err
		}
		if s.Queued != last.Queued || s.Stored != last.Stored || s.Accepted != last.Accepted || s.Rejected != last.Rejected {
			fmt.Fprintf(e.stdout, "%d queued, %d stored, %d accepted, %d rejected\n", s.Queued, s.Stored, s.Accepted, s.Rejected)
		}
		last = s
		return s.Queued+s.Stored == 0, nil
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		code := fault.VisitWaiting
		if !a.Link(ctx).Online {
			code = fault.CentralUnreachable
		}
		return fault.New(code, fmt.Errorf("%d visits wait", last.Queued+last.Stored))
	case err != nil:
		return err
	case last.Rejected > 0:
		return fault.New(fault.VisitRejected, fmt.Errorf("%d visits were rejected", last.Rejected))
	}
	return nil
}
