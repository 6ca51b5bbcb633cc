package cli

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent"
)

func newKey(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "The key that seals a data directory: where it is, a new one, the end of it",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newKeyShow(e), newKeyRotate(e), newKeyDestroy(e))
	return c
}

func newKeyShow(e *env) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:     "show",
		Short:   "Say where the key is kept and whether it opens the data (never the key)",
		Example: "  chamthe key show --data /tmp/desk",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := used(dir); err != nil {
				return err
			}
			// Opening it also ends a rotation that was interrupted.
			_, st, err := agent.OpenQueue(dir)
			if err != nil {
				return err
			}
			id, _, err := st.KeyID()
			if err := st.Close(); err != nil {
				return err
			}
			if err != nil {
				return err
			}
			where, err := agent.KeyOf(dir)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.stdout, "the key is in %s; its name is %s, and it opens the data\n", where, hex.EncodeToString(id[:]))
			return err
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	required(c, "data")
	return c
}

func newKeyRotate(e *env) *cobra.Command {
	var dir, to string
	var lose, asJSON bool
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new key, seal everything with it, and destroy the old one",
		Long: `Rotate makes a new key, seals everything in the data directory with it, and
destroys the old key. No agent may be running, and the disk needs room for a
second copy of the data meanwhile. When the computer loses power, the next start
finds either the old data with the old key or the new data with the new key.

Copies of the directory that were made before stay sealed with the old key, and
cannot be opened afterwards.`,
		Example: `  chamthe key rotate --data /tmp/desk
  chamthe key rotate --data /tmp/desk --to keyring   keep the new key in the system's keyring`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := used(dir); err != nil {
				return err
			}
			if to != "" && to != agent.InFile && to != agent.InKeyring {
				return usagef("--to: want %s or %s", agent.InFile, agent.InKeyring)
			}
			n, err := agent.RotateKey(c.Context(), dir, agent.Rotate{Actor: actor(), To: to, LoseDamaged: lose})
			if err != nil {
				return err
			}
			return printRotation(e, n, asJSON)
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	c.Flags().StringVar(&to, "to", "", "`WHERE` the new key is kept: file or keyring; where the old one is, when not given")
	c.Flags().BoolVar(&lose, "lose-damaged", false, "give up visits that are damaged and cannot be opened")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	required(c, "data")
	return c
}

// keyRotation is a rotation in JSON.
type keyRotation struct {
	Old          string   `json:"old_key"`
	New          string   `json:"new_key"`
	Source       string   `json:"source"`
	Visits       int      `json:"visits"`
	Damaged      int      `json:"visits_damaged"`
	Forgotten    int      `json:"visits_forgotten"`
	Answers      int      `json:"answers"`
	AnswersLeft  int      `json:"answers_left"`
	Lists        int      `json:"list_entries"`
	ListsDropped []string `json:"lists_dropped,omitempty"`
	TrailEntries uint64   `json:"audit_entries"`
	TrailHead    string   `json:"audit_head_before"`
}

func printRotation(e *env, n agent.Rotation, asJSON bool) error {
	var dropped []string
	for _, kind := range n.ListsDropped {
		dropped = append(dropped, string(kind))
	}
	if asJSON {
		return writeJSON(e.stdout, keyRotation{
			hex.EncodeToString(n.Old[:]), hex.EncodeToString(n.New[:]), n.Key.Source,
			n.Visits.Entries, n.Visits.Damaged, n.Visits.Forgotten, n.Answers, n.AnswersLeft,
			n.Lists, dropped, n.Trail.Entries, n.Trail.Head,
		})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the new key is in %s; its name is %s\n", n.Key, hex.EncodeToString(n.New[:]))
	fmt.Fprintf(&b, "the old key %s is destroyed: backups that were sealed with it cannot be opened any more\n", hex.EncodeToString(n.Old[:]))
	fmt.Fprintf(&b, "sealed anew: %d visits, %d answers, %d entries of lists, %d entries of the audit trail\n", n.Visits.Entries, n.Answers, n.Lists, n.Trail.Entries)
	if n.Trail.Entries > 0 {
		fmt.Fprintf(&b, "the audit trail's head before was %s, which is in its new last entry\n", n.Trail.Head)
	}
	if n.Visits.Damaged > 0 {
		fmt.Fprintf(&b, "given up: %d damaged visits\n", n.Visits.Damaged)
	}
	if n.AnswersLeft > 0 {
		fmt.Fprintf(&b, "left behind: %d answers, which are asked for again\n", n.AnswersLeft)
	}
	if len(dropped) > 0 {
		fmt.Fprintf(&b, "left behind: damaged lists, which are fetched again: %s\n", strings.Join(dropped, ", "))
	}
	_, err := e.stdout.Write([]byte(b.String()))
	return err
}

func newKeyDestroy(e *env) *cobra.Command {
	var dir string
	var yes, lose, asJSON bool
	c := &cobra.Command{
		Use:   "destroy",
		Short: "Erase a data directory for good, by destroying its key",
		Long: `Destroy overwrites and removes the key of a data directory, or takes it out of the
system's keyring. Nobody can read the visits, answers, lists and the audit trail
in it any more, nor in any copy of it, unless somebody copied the key before: a
backup that holds the key file has to be destroyed as well.

It refuses while there are visits that the central service has not accepted:
with --lose-visits they are lost.`,
		Example: "  chamthe key destroy --data /tmp/desk --yes",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := used(dir); err != nil {
				return err
			}
			if !yes {
				return usagef("--yes: this cannot be undone; give it if everything in the directory is to be erased")
			}
			r, err := agent.DestroyKey(c.Context(), dir, agent.Destroy{Actor: actor(), LoseVisits: lose})
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(e.stdout, r)
			}
			return printRemains(e, r)
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	c.Flags().BoolVar(&yes, "yes", false, "really")
	c.Flags().BoolVar(&lose, "lose-visits", false, "also if visits were not accepted yet, which are lost then")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	required(c, "data")
	return c
}

func printRemains(e *env, r agent.Remains) error {
	var b strings.Builder
	if r.KeyFound {
		fmt.Fprintf(&b, "the key is destroyed; it was in %s\n", r.Key)
	} else {
		fmt.Fprintf(&b, "there was no key any more in %s\n", r.Key)
	}
	switch {
	case r.Visits == nil:
		b.WriteString("how many visits are lost cannot be told: they could not be opened before either\n")
	case r.Unsent > 0:
		fmt.Fprintf(&b, "LOST: %d visits that the central service has not accepted\n", r.Unsent)
	}
	if r.Visits != nil {
		b.WriteString("there were, by state:")
		for _, state := range slices.Sorted(maps.Keys(r.Visits)) {
			fmt.Fprintf(&b, " %s %d", state, r.Visits[state])
		}
		b.WriteByte('\n')
	}
	b.WriteString("what still can be seen: how many records there are, how long each is and when it was written, in these files:\n")
	for _, f := range r.Files {
		fmt.Fprintf(&b, "  %-20s %10d bytes  %s\n", printable(f.Name), f.Size, f.Time.Format(time.RFC3339))
	}
	b.WriteString("a backup that holds the key opens them all the same; flash disks may keep old blocks: full-disk encryption is the answer to that\n")
	_, err := e.stdout.Write([]byte(b.String()))
	return err
}
