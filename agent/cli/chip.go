package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/icao/chip"
	"github.com/chamthe/chamthe/icao/chip/specimen"
	"github.com/chamthe/chamthe/reader/virtual"
)

func newChip(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "chip",
		Short: "The software chip: a card without hardware, for demonstrations and tests",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newChipList(e), newChipShow(e), newChipServe(e))
	return c
}

func newChipList(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the profiles, people and kinds of tampering",
		Example: "  chamthe chip list",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "PROFILE\t")
			for _, p := range chip.Profiles() {
				fmt.Fprintf(w, "  %s\t%s\n", p.Name, p.Description)
			}
			fmt.Fprintln(w, "PERSON\t")
			for _, p := range specimen.People() {
				fmt.Fprintf(w, "  %s\t%s\n", p.ID, p.Note)
			}
			fmt.Fprintln(w, "TAMPERING\t")
			for _, t := range chip.Tampers() {
				fmt.Fprintf(w, "  %s\t%s\n", t.Kind, t.Description)
			}
			return w.Flush()
		},
	}
}

// documentFlags choose a document for the software chip.
type documentFlags struct {
	profile, person, tamper string
}

func (f *documentFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.profile, "chip", chip.ProfileCCCD, "profile of the software chip: "+strings.Join(profileNames(), ", "))
	complete(c, "chip", profileNames())
	f.addDetails(c)
}

// addDetails adds the flags beside that of the profile.
func (f *documentFlags) addDetails(c *cobra.Command) {
	c.Flags().StringVar(&f.person, "person", "", "synthetic person on the chip (`chamthe chip list`)")
	c.Flags().StringVar(&f.tamper, "tamper", "", "tamper with the document: "+strings.Join(tamperNames(), ", "))
	complete(c, "tamper", tamperNames())
	var people []string
	for _, p := range specimen.People() {
		people = append(people, p.ID)
	}
	complete(c, "person", people)
}

// complete offers the values of a flag to the shell.
func complete(c *cobra.Command, flag string, values []string) {
	if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // only a flag that does not exist: a mistake in this package
	}
}

// build makes the document, signed by pki or, if that is nil, by a new one.
func (f *documentFlags) build(at time.Time, pki *chip.PKI) (*chip.Document, error) {
	d, err := chip.Build(f.profile, chip.Options{Person: f.person, Tamper: chip.Tamper(f.tamper), PKI: pki, At: at})
	if errors.Is(err, chip.ErrUnknownProfile) || errors.Is(err, chip.ErrUnknownPerson) ||
		errors.Is(err, chip.ErrUnknownTamper) || errors.Is(err, chip.ErrTamperNotApplicable) {
		return nil, &usageError{fmt.Errorf("%w (see `chamthe chip list`)", err)}
	}
	return d, err
}

func profileNames() []string {
	var names []string
	for _, p := range chip.Profiles() {
		names = append(names, p.Name)
	}
	return names
}

func tamperNames() []string {
	var names []string
	for _, t := range chip.Tampers() {
		names = append(names, string(t.Kind))
	}
	return names
}

func newChipServe(e *env) *cobra.Command {
	var (
		doc       documentFlags
		vpcd, out string
		bsi       string
	)
	c := &cobra.Command{
		Use:   "serve",
		Short: "Lend the software chip to a real PC/SC service with the vpcd driver",
		Long: `Serve connects to the virtual reader (vpcd) of a running pcscd and answers as the
card that lies on it, so that every PC/SC program meets the software chip. It
prints what is printed on the card, and runs until it is interrupted.

The trust anchor of the document is made anew at each start; --out writes it
(csca.der) with the QR text and the machine readable lines (qr.txt, mrz.txt,
can.txt) for "chamthe read". Never trust it for real cards.`,
		Example: `  chamthe chip serve --vpcd 127.0.0.1:35963 --chip cccd --out /tmp/card
  chamthe chip serve --chip cccd --tamper clone
  chamthe chip serve --bsi DIR     the BSI TR-03105-5 reference data set`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if _, _, err := net.SplitHostPort(vpcd); err != nil {
				return usagef("--vpcd: want HOST:PORT")
			}
			var d *chip.Document
			var err error
			if bsi != "" {
				d, err = chip.LoadBSI(os.DirFS(bsi))
			} else {
				d, err = doc.build(time.Now(), nil)
			}
			if err != nil {
				return err
			}
			card, err := d.Chip()
			if err != nil {
				return err
			}
			if out != "" {
				if err := writeCard(out, d); err != nil {
					return err
				}
			}
			printCard(e, d)
			return serveChip(c.Context(), e, vpcd, card)
		},
	}
	doc.add(c)
	c.Flags().StringVar(&vpcd, "vpcd", virtual.DefaultVPCDAddress, "`HOST:PORT` of the virtual reader")
	c.Flags().StringVar(&bsi, "bsi", "", "serve the BSI reference data set from this `DIR` in place of a profile")
	c.Flags().StringVar(&out, "out", "", "write trust anchor, QR text and machine readable lines to this `DIR`")
	c.MarkFlagsMutuallyExclusive("bsi", "chip")
	c.MarkFlagsMutuallyExclusive("bsi", "tamper")
	return c
}

func serveChip(ctx context.Context, e *env, vpcd string, card *chip.Chip) error {
	l := &virtual.Lender{Address: vpcd, Chip: card, Notify: func(connected bool, reason error) {
		switch {
		case connected:
			fmt.Fprintf(e.stdout, "on the reader at %s\n", vpcd)
		case reason != nil:
			fmt.Fprintf(e.stdout, "off the reader: %v\n", reason)
		}
	}}
	return l.Run(ctx)
}

// writeCard writes what a desk needs to read the card.
func writeCard(dir string, d *chip.Document) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"csca.der": d.CSCA,
		"qr.txt":   []byte(d.QR),
		"mrz.txt":  []byte(strings.Join(d.MRZ, "\n")),
		"can.txt":  []byte(d.CAN),
	} {
		if len(content) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func printCard(e *env, d *chip.Document) {
	if d.QR != "" {
		fmt.Fprintf(e.stdout, "QR   %s\n", d.QR)
	}
	for _, l := range d.MRZ {
		fmt.Fprintf(e.stdout, "MRZ  %s\n", l)
	}
	if d.CAN != "" {
		fmt.Fprintf(e.stdout, "CAN  %s\n", d.CAN)
	}
}
