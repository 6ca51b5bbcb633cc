package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/internal/overlap"
	"github.com/chamthe/chamthe/agent/limits"
	"github.com/chamthe/chamthe/agent/policy"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/reader"
)

func newRead(e *env) *cobra.Command {
	var (
		keys   accessFlags
		name   string
		trusts []string
		ports  []string
		photo  string
		asJSON bool
		quick  bool
		strict bool
		rules  policy.Policy
		wait   time.Duration
		limit  time.Duration
	)
	c := &cobra.Command{
		Use:   "read",
		Short: "Inspect the card on a reader, and print the report and the person",
		Long: `Read opens the chip with a key from the card's QR code, its machine readable
lines or its card access number, inspects it, and prints one line for every
check and every file. It reads all that a chip may hand out; with --quick only
what a check-in needs, with --strict it also lists all that deviates from the
standard. Nothing of the card is stored and nothing is sent; what the reader
bears with cards of this kind is remembered ("chamthe readers limits").

Issuers are known from "chamthe trust import", or from --trust, which takes its
place. Without either the best verdict is "undetermined".

A flag's value may be "-": then it is read from standard input, and personal
data does not stand in the list of processes.`,
		Example: `  chamthe read --qr - < qr.txt --trust csca-vietnam.der
  chamthe read --reader "ACS ACR1252 00 00" --mrz "IDVNM..." --photo face.jpg
  chamthe read --reader pn532:/dev/ttyUSB0 --qr - < qr.txt
  chamthe read --can 123456 --json`,
		Args:        cobra.NoArgs,
		Annotations: map[string]string{printsOutcome: ""},
		RunE: func(c *cobra.Command, _ []string) error {
			access, err := keys.access(e.stdin)
			if err != nil {
				return err
			}
			pool, err := loadTrust(c.Context(), trusts, time.Now())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), limit)
			defer cancel()
			started := time.Now()
			return e.withReaders(name, ports, func(all *readers) error {
				found, err := all.waitCard(ctx, wait)
				if err != nil {
					return err
				}
				card, err := all.Take(ctx, found)
				if err != nil {
					return err
				}
				defer card.Close()
				known := encodeTrust(pool, started)
				if !asJSON {
					fmt.Fprintf(e.stdout, "reader   %s\ntrust    %s\n", printable(found), trustLine(known))
				}
				timings := make(map[string]float64)
				tapped := time.Now()
				cfg := &inspect.Config{
					At: started, Trust: pool, Photo: true, ProbeUncovered: !quick, All: !quick, Strict: strict, Now: time.Now,
					Progress: func(ev inspect.Event) {
						if ev.Done {
							timings[string(ev.Step)] = millis(ev.Elapsed)
						}
						if ev.Report.TextVerified() {
							timings["verified_text"] = millis(time.Since(tapped))
						}
					},
				}
				rules.Prepare(cfg)
				r, err := inspectCard(ctx, card, access, cfg, func(err error) {
					if !asJSON {
						fmt.Fprintf(e.stdout, "note     what this reader bears is not remembered: %v\n", err)
					}
				})
				timings["total"] = millis(time.Since(tapped))
				out, err := readOutcome(r, rules, err, timings)
				out.Trust = known
				if photo != "" && r.Photo != nil && signed(r) {
					if werr := os.WriteFile(photo, r.Photo.Data, 0o600); werr != nil && err == nil {
						err = werr
					}
				}
				if perr := printOutcome(e, out, asJSON); perr != nil && err == nil {
					err = perr
				}
				return err
			})
		},
	}
	c.Flags().StringVar(&name, "reader", "", "`NAME` of the reader, or pn532:PORT (default: the best that has a card)")
	c.Flags().StringArrayVar(&ports, "serial", nil, "serial `PORT` with a PN532 module (repeatable)")
	keys.add(c)
	c.Flags().StringArrayVar(&trusts, "trust", nil, "directory of \"chamthe trust import\", or `FILE` or directory of files that are trusted because you name them: certificates, master lists, revocation lists (repeatable)")
	c.Flags().StringVar(&photo, "photo", "", "write the photo, if its signature holds, to this `FILE`")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.Flags().BoolVar(&quick, "quick", false, "read only what a check-in reads")
	c.Flags().BoolVar(&strict, "strict", false, "list everything that deviates from the standard; any deviation is a warning")
	c.Flags().BoolVar(&rules.AllowBAC, "allow-bac", false, "open the chip by basic access control (BAC) if the PACE that it offers fails; a warning")
	c.Flags().DurationVar(&wait, "wait", 10*time.Second, "how long to wait for a card")
	c.Flags().DurationVar(&limit, "timeout", time.Minute, "how long the whole command may take")
	c.MarkFlagsMutuallyExclusive("quick", "strict")
	return c
}

// inspectCard runs an inspection with what the reader and the card on it bear, as
// the desk does. trouble hears of what kept nobody from reading.
func inspectCard(ctx context.Context, card reader.Card, access inspect.Access, cfg *inspect.Config, trouble func(error)) (*inspect.Report, error) {
	tuning, err := limits.Tune(ctx, nil, "", card, cfg)
	if err != nil {
		trouble(err)
	}
	var beside overlap.Group
	defer beside.Wait()
	cfg.Overlap = beside.Do
	r, err := inspect.Run(ctx, card, access, cfg)
	if err := tuning.Save(context.WithoutCancel(ctx)); err != nil {
		trouble(err)
	}
	return r, err
}

// signed reports whether the hash of the photo stands in a security object whose
// signature holds. Who signed is another question: see the report.
func signed(r *inspect.Report) bool {
	return r.Check(inspect.SODSignature).Value == result.Successful && r.Check(inspect.DG2Integrity).Value == result.Successful
}

// waitCard waits for a card on the reader that is wanted, or on the best that
// has one, and returns the reader's name. What it says without one names the
// cause: who has the card, or what is wrong with the reader.
func (r *readers) waitCard(ctx context.Context, wait time.Duration) (string, error) {
	infos, err := r.Readers(ctx)
	if err != nil {
		return "", err
	}
	if !hasReader(infos, r.name) {
		return "", fault.New(fault.NoReader, reader.ErrNoReader)
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	in, err := reader.WaitCard(waiting, r, r.name)
	if err != nil && errors.Is(waiting.Err(), context.DeadlineExceeded) {
		err = r.whyNoCard(context.WithoutCancel(ctx))
	}
	return in.Name, err
}

// whyNoCard says why no card could be opened in time.
func (r *readers) whyNoCard(ctx context.Context) error {
	if busy, ok := r.InUse(r.name); ok {
		return busy
	}
	infos, err := r.Readers(ctx)
	if err != nil {
		return err
	}
	usable := false
	for _, i := range infos {
		switch {
		case r.name != "" && i.Name != r.name:
		case i.State == reader.Mute:
			return reader.ErrCardMute
		case i.State == reader.Unavailable:
			if problem := r.problem(i.Name); problem != nil {
				err = fmt.Errorf("%w: %w", reader.ErrNoReader, problem)
			}
		default:
			usable = true
		}
	}
	if err != nil && !usable {
		return err
	}
	return reader.ErrNoCard
}

func hasReader(infos []reader.Info, name string) bool {
	if name == "" {
		return len(infos) > 0
	}
	return slices.ContainsFunc(infos, func(i reader.Info) bool { return i.Name == name })
}

// readOutcome judges a report by a policy. The error it returns is
// what the command ends with.
func readOutcome(r *inspect.Report, rules policy.Policy, err error, timings map[string]float64) (*wire.Outcome, error) {
	d := rules.Decide(r)
	out := checkin.EncodeOutcome(r, d, timings)
	switch {
	case err != nil:
	case d.Outcome == policy.Refuse:
		err = d.Err()
	default:
		out.Verdict = wire.VerdictVerified
	}
	if err != nil {
		f := fault.Classify(err)
		out.Verdict = verdictOf(f)
		out.Fault = encodeFault(f)
		return out, f
	}
	return out, nil
}

// verdictOf says what a fault makes of an inspection.
func verdictOf(f *fault.Fault) string {
	switch f.Kind {
	case fault.Refuse:
		return wire.VerdictRefused
	case fault.Unsure:
		return wire.VerdictUndetermined
	default:
		return wire.VerdictNotRead
	}
}

func encodeFault(f *fault.Fault) *wire.Fault {
	return &wire.Fault{
		Code: string(f.Code), Kind: string(f.Kind), Cause: f.Cause, Remedy: f.Remedy, Detail: f.Detail, ExitCode: f.Exit, TriesLeft: f.Tries,
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
