package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/sync/outbox"
)

func newAudit(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Who looked at, exported or changed what on this computer",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newAuditList(e), newAuditVerify(e))
	return c
}

func newAuditList(e *env) *cobra.Command {
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the trail (no personal data)",
		Example: "  chamthe audit list --data /tmp/desk",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withTrail(dir, func(_ *outbox.Queue, log *audit.Log) error {
				all := []audit.Entry{}
				for after := uint64(0); ; {
					page, err := log.List(c.Context(), after, 500)
					if err != nil {
						return err
					}
					if len(page) == 0 {
						break
					}
					all = append(all, page...)
					after = page[len(page)-1].Seq
				}
				if asJSON {
					return writeJSON(e.stdout, struct {
						Entries []audit.Entry `json:"entries"`
					}{all})
				}
				w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "NO\tTIME\tWHO\tDID\tTO\tNOTE")
				for _, a := range all {
					fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", a.Seq, a.At.Format(time.RFC3339), printable(a.Actor), a.Action, printable(a.Object), printable(a.Note))
				}
				return w.Flush()
			})
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	required(c, "data")
	return c
}

func newAuditVerify(e *env) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check that the trail is as it was written",
		Long: `Verify follows the trail from its first entry. It prints how many entries there
are and a short value that stands for all of them: keep it elsewhere, and a trail
that was put back to an older state will show a smaller number or another value.
The first entry is made together with the data file. A trail that was taken out of a
file that is in use does not verify any more, now or later.`,
		Example: "  chamthe audit verify --data /tmp/desk",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withTrail(dir, func(_ *outbox.Queue, log *audit.Log) error {
				s, err := log.Verify(c.Context())
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(e.stdout, "%d entries from %s to %s, as written; head %s\n",
					s.Entries, s.First.Format(time.RFC3339), s.Last.Format(time.RFC3339), s.Head)
				return err
			})
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	required(c, "data")
	return c
}
