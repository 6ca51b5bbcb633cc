package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/sync/central"
	"github.com/chamthe/chamthe/sync/operator"
)

// adminFlags are those of the commands that work on a running deployment.
type adminFlags struct {
	dir  string
	nats []string
}

func (a *adminFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&a.dir, "dir", "", "`DIR` that init has made")
	c.Flags().StringSliceVar(&a.nats, "nats", nil, "`URL` of the server; default: the one that serve brings, on this machine")
	_ = c.MarkFlagRequired("dir") // fails for a flag that does not exist
}

// open connects to the registry of the deployment.
func (a *adminFlags) open(ctx context.Context) (*deployed, *central.Registry, error) {
	d, err := readDeployment(a.dir)
	if err != nil {
		return nil, nil, err
	}
	urls := a.nats
	if len(urls) == 0 {
		here, err := local(d.Listen)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", a.dir, errDeployment)
		}
		urls = []string{here}
	}
	cfg, err := d.registry(urls)
	if err != nil {
		return nil, nil, err
	}
	r, err := central.OpenRegistry(ctx, cfg)
	if errors.Is(err, central.ErrNoRegistry) {
		return nil, nil, errors.New("the service has never run on this server: start chamthe-central serve first")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the server does not let this program in (is chamthe-central serve running?): %w", err)
	}
	return d, r, nil
}

func enrol(stdout io.Writer) *cobra.Command {
	c := &cobra.Command{
		Use:   "enrol",
		Short: "Let computers become agents",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(enrolCode(stdout))
	return c
}

func enrolCode(stdout io.Writer) *cobra.Command {
	var a adminFlags
	var facility string
	var valid time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "code --dir DIR --facility CODE",
		Short: "Make a one-time code for one computer of a facility",
		Long: `code makes a code that lets one computer become an agent of a facility, once, and
prints the line to be typed there. Who has the code first is enrolled: pass it on
as you would a password. The service keeps a hash of it; the name that is printed
with it is what the log and the list of agents call it.`,
		Example: `  chamthe-central enrol code --dir /var/lib/chamthe --facility 01013
  chamthe-central enrol code --dir /var/lib/chamthe --facility 01013 --valid 2h --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d, r, err := a.open(c.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			code, name, err := r.NewCode(c.Context(), facility, valid)
			if err != nil {
				return err
			}
			sum := operator.Fingerprint(d.ca)
			if asJSON {
				return json.NewEncoder(stdout).Encode(struct {
					Server   string    `json:"server"`
					CASHA256 string    `json:"ca_sha256"`
					Code     string    `json:"code"`
					Name     string    `json:"name"`
					Facility string    `json:"facility"`
					Expires  time.Time `json:"expires"`
				}{d.URL, sum, code.Text(), name, facility, time.Now().Add(valid).UTC().Truncate(time.Second)})
			}
			_, err = fmt.Fprintf(stdout, `code %s (called %s), for one computer of %s, valid for %v

On that computer:
chamthe enrol --data DIR --server %s --ca-sha256 %s --code %s
`, code.Text(), name, facility, valid, d.URL, sum, code.Text())
			return err
		},
	}
	a.add(c)
	c.Flags().StringVar(&facility, "facility", "", "facility `CODE` that the agent will speak for")
	c.Flags().DurationVar(&valid, "valid", 24*time.Hour, "how long the code is valid, 168h at most")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	_ = c.MarkFlagRequired("facility")
	return c
}

func agents(stdout io.Writer) *cobra.Command {
	c := &cobra.Command{
		Use:   "agents",
		Short: "The agents that were enrolled",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(agentsList(stdout), agentsRevoke(stdout))
	return c
}

// agentItem is one agent in JSON.
type agentItem struct {
	Agent    string      `json:"agent"`
	Facility string      `json:"facility"`
	Code     string      `json:"code"` // its name
	Enrolled time.Time   `json:"enrolled"`
	Revoked  time.Time   `json:"revoked,omitzero"`
	Status   *statusItem `json:"status,omitempty"` // absent: never heard of
}

// statusItem is what an agent said of itself last. All times are by the clock of the
// central service.
type statusItem struct {
	Seen       time.Time `json:"seen"`
	Version    string    `json:"version"`
	Build      string    `json:"build,omitempty"`
	Reader     string    `json:"reader,omitempty"`
	Clock      string    `json:"clock"`
	Queued     int64     `json:"queued"`
	Stored     int64     `json:"stored"`
	Rejected   int64     `json:"rejected"`
	Oldest     time.Time `json:"oldest,omitzero"` // since when a visit waits
	Trust      time.Time `json:"trust,omitzero"`
	Population time.Time `json:"population,omitzero"`
	Malformed  int64     `json:"malformed"`
}

func itemOf(e central.EnrolledAgent) agentItem {
	i := agentItem{e.Key, e.Facility, e.Code, e.Enrolled, e.Revoked, nil}
	if s := e.Status; s != nil {
		i.Status = &statusItem{
			Seen: s.Heard, Version: s.Software, Build: s.Build, Reader: string(s.Reader), Clock: string(s.Clock),
			Queued: s.Queued, Stored: s.Stored, Rejected: s.Rejected, Trust: s.Trust, Population: s.Population, Malformed: s.Malformed,
		}
		// Both of its times are by the agent's clock: how far apart they are is right
		// whatever that shows.
		if !s.Oldest.IsZero() {
			i.Status.Oldest = s.Heard.Add(-max(s.At.Sub(s.Oldest), 0))
		}
	}
	return i
}

// ago says how long ago something was, roughly; "-" for never.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "-"
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}

func agentsList(stdout io.Writer) *cobra.Command {
	var a adminFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "list --dir DIR",
		Short: "List the agents, and how each of them is",
		Long: `list shows each agent with the name of the code that it was enrolled with and what
it said of itself last: when that was (SEEN), its version, how many visits wait to be
sent and since when, how many the insurer has rejected, and how old the certificates
are that it verifies cards with. An agent tells it every few minutes while it is
connected.`,
		Example: `  chamthe-central agents list --dir /var/lib/chamthe
  chamthe-central agents list --dir /var/lib/chamthe --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, r, err := a.open(c.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			all, err := r.Agents(c.Context())
			if err != nil {
				return err
			}
			items := []agentItem{}
			for _, e := range all {
				items = append(items, itemOf(e))
			}
			if asJSON {
				return json.NewEncoder(stdout).Encode(struct {
					Agents []agentItem `json:"agents"`
				}{items})
			}
			return printAgents(stdout, items, time.Now())
		},
	}
	a.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func printAgents(stdout io.Writer, items []agentItem, now time.Time) error {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AGENT\tFACILITY\tCODE\tENROLLED\tREVOKED\tSEEN\tVERSION\tQUEUED\tOLDEST\tREJECTED\tTRUST\t")
	for _, i := range items {
		revoked := "-"
		if !i.Revoked.IsZero() {
			revoked = i.Revoked.Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t", i.Agent, i.Facility, i.Code, i.Enrolled.Format(time.DateTime), revoked)
		if s := i.Status; s != nil {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%s\t\n", ago(s.Seen, now), s.Version, s.Queued, ago(s.Oldest, now), s.Rejected, ago(s.Trust, now))
		} else {
			fmt.Fprintln(w, "-\t-\t-\t-\t-\t-\t")
		}
	}
	return w.Flush()
}

func agentsRevoke(stdout io.Writer) *cobra.Command {
	var a adminFlags
	c := &cobra.Command{
		Use:   "revoke --dir DIR AGENT",
		Short: "Take an agent's credentials back, at once",
		Long: `revoke disconnects an agent and does not let it in again. What it has sent and what
was not judged yet is refused. A code that is made afterwards may enrol the same
computer again.`,
		Example: `  chamthe-central agents revoke --dir /var/lib/chamthe UB...the agent's public key`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, r, err := a.open(c.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			if err := r.Revoke(c.Context(), args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(stdout, "%s is revoked\n", args[0])
			return err
		},
	}
	a.add(c)
	return c
}
