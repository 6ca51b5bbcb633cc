package cli

import (
	"encoding/hex"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/reader"
)

func newReaders(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "readers",
		Short:   "List the card readers of this computer and what lies on them",
		Example: "  chamthe readers\n  chamthe readers --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			infos, err := e.readers.Readers(c.Context())
			if err != nil {
				return err
			}
			return printReaders(e, infos, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// readerInfo is one reader in JSON.
type readerInfo struct {
	Name  string `json:"name"`
	State string `json:"state"` // empty, present, busy, mute, unavailable, unknown
	ATR   string `json:"atr,omitempty"`
}

func printReaders(e *env, infos []reader.Info, asJSON bool) error {
	list := make([]readerInfo, 0, len(infos))
	for _, i := range infos {
		list = append(list, readerInfo{Name: i.Name, State: i.State.String(), ATR: hex.EncodeToString(i.ATR)})
	}
	if asJSON {
		return writeJSON(e.stdout, struct {
			Readers []readerInfo `json:"readers"`
		}{list})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(e.stdout, "no card reader: check the USB cable")
		return err
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "READER\tCARD\tATR")
	for _, i := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\n", i.Name, i.State, i.ATR)
	}
	return w.Flush()
}
