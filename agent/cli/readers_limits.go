package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/reader"
)

// limitInfo is what is remembered of one kind of card in one model of reader.
type limitInfo struct {
	Reader     string    `json:"reader"`
	Card       string    `json:"card"` // a number of this computer's for the kind of card
	MaxNe      int       `json:"max_ne,omitempty"`
	NoExtended bool      `json:"no_extended,omitempty"`
	DelayMS    float64   `json:"delay_ms,omitempty"`
	NoSFI      bool      `json:"no_sfi,omitempty"`
	Probe      bool      `json:"probe,omitempty"`
	Learned    time.Time `json:"learned"`
}

func newReadersLimits(e *env) *cobra.Command {
	var (
		model       string
		all, asJSON bool
	)
	c := &cobra.Command{
		Use:   "limits",
		Short: "What was learned of readers and cards, and how to forget it",
		Long: `Limits lists what reading has shown of a model of reader with a kind of card: the
longest answer that worked, whether commands of extended length are refused,
which pause is needed. The next card of that kind is read accordingly. After new
firmware or a new driver, forget what was learned: it is found out again.`,
		Example: `  chamthe readers limits
  chamthe readers limits --forget "ACS ACR122U PICC Interface"`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := limits.UserDir()
			if err != nil {
				return err
			}
			store := limits.In(dir)
			forget := c.Flags().Changed("forget")
			if model = strings.TrimSpace(model); forget && model == "" {
				return usagef("--forget: no name; --all forgets everything")
			}
			if forget || all {
				var n int
				if all {
					n, err = store.ForgetAll(c.Context())
				} else if n, err = store.Forget(c.Context(), model); err == nil && n == 0 {
					// What is given is a model, as this command lists it, or the name
					// of a reader.
					n, err = store.Forget(c.Context(), reader.Model(model))
				}
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(e.stdout, struct {
						Forgotten int `json:"forgotten"`
					}{n})
				}
				_, err = fmt.Fprintf(e.stdout, "forgotten: %d\n", n)
				return err
			}
			entries, err := store.All(c.Context())
			if err != nil {
				return err
			}
			return printLimits(e, entries, asJSON)
		},
	}
	c.Flags().StringVar(&model, "forget", "", "forget what was learned with the reader of this `NAME`")
	c.Flags().BoolVar(&all, "all", false, "forget everything, and remove a damaged file")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.MarkFlagsMutuallyExclusive("forget", "all")
	return c
}

func printLimits(e *env, entries []limits.Entry, asJSON bool) error {
	list := []limitInfo{}
	for _, en := range entries {
		l := en.Limits
		list = append(list, limitInfo{
			Reader: en.Reader, Card: en.Card, MaxNe: l.MaxNe, NoExtended: l.NoExtended, DelayMS: millis(l.Delay),
			NoSFI: l.NoSFI, Probe: l.Probe, Learned: l.Learned.UTC(),
		})
	}
	if asJSON {
		return writeJSON(e.stdout, struct {
			Limits []limitInfo `json:"limits"`
		}{list})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(e.stdout, "nothing was learned yet: readers and cards did what they promise")
		return err
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "READER\tCARD\tLEARNED\tLIMITS")
	for i, l := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(l.Reader), l.Card, l.Learned.Format(time.DateOnly), limitWords(entries[i].Limits))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(e.stdout, b.String())
	return err
}

// limitWords says what limits mean.
func limitWords(l reader.Limits) string {
	var words []string
	if l.MaxNe > 0 {
		words = append(words, fmt.Sprintf("answers of at most %d bytes", l.MaxNe))
	}
	if l.NoExtended {
		words = append(words, "no extended length")
	}
	if l.Delay > 0 {
		words = append(words, fmt.Sprintf("%v between exchanges", l.Delay))
	}
	if l.NoSFI {
		words = append(words, "files are selected first")
	}
	if l.Probe {
		words = append(words, "headers are read first")
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}
