// Package cli is the command line of chamthe: one file per subcommand. Commands
// print for a person on standard output, or one JSON document with --json;
// what went wrong is a sentence on standard error and an exit status of its
// own (package fault).
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/pcsc"
)

// env is what every command may use of the outside world.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	readers        reader.Driver // of this computer
	began          bool          // a command was understood and runs
	// service is one more that the demonstration runs; for tests.
	service func(ctx context.Context) error
}

// Main runs one command and returns the process's exit status. It ends early
// when ctx ends.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return run(ctx, args, &env{stdin: stdin, stdout: stdout, stderr: stderr, readers: pcsc.New(nil)})
}

func run(ctx context.Context, args []string, e *env) int {
	out := &counter{Writer: e.stdout}
	e.stdout = out
	root := newRoot(e)
	root.SetArgs(args)
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	c, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	f := fault.Classify(err)
	if u, ok := errors.AsType[*usageError](err); ok {
		f = fault.New(fault.Usage, u)
	} else if !e.began {
		f = fault.New(fault.Usage, commandLine(c))
	}
	if out.n == 0 && wantsJSON(c) {
		// What reads the output of --json finds a document whatever happened. If
		// that cannot be written either, the exit status still tells.
		_ = printFailure(out, c, f)
	}
	printFault(e.stderr, f)
	if _, failed := errors.AsType[*startError](err); failed {
		return exitStart
	}
	if c.Name() == "run" && f.Exit == exitStart {
		return exitRunning
	}
	return f.Exit
}

// counter counts what is written.
type counter struct {
	io.Writer
	n int
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n += n
	return n, err
}

func wantsJSON(c *cobra.Command) bool {
	flag := c.Flags().Lookup("json")
	return flag != nil && flag.Value.String() == "true"
}

// printsOutcome marks a command whose document is a [wire.Outcome].
const printsOutcome = "outcome"

// printFailure prints the document of a command that came to nothing.
func printFailure(w io.Writer, c *cobra.Command, f *fault.Fault) error {
	verdict := wire.VerdictError
	if f.Kind == fault.Retry {
		verdict = wire.VerdictNotRead // a card, the same or another, may still be read
	}
	if _, ok := c.Annotations[printsOutcome]; ok {
		return writeJSON(w, &wire.Outcome{Verdict: verdict, Fault: encodeFault(f), TimingsMS: map[string]float64{}})
	}
	return writeJSON(w, &wire.Failure{Verdict: verdict, Fault: encodeFault(f)})
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "chamthe",
		Short: "Read and verify chip ID cards at a clinic's reception desk, and record visits",
		Long: `chamthe ("tap the card") reads the chip of an ID card, proves that the document is
genuine and the chip no copy, looks up the health-insurance entitlement, and
sends the verified visit to the central insurance service, now or when the link
is back.`,
		Example: `  chamthe demo                     the whole way, with a software chip and nothing to install
  chamthe readers                  which card readers are there
  chamthe read --qr "$(cat qr)"    read the card on the reader`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newDemo(e), newRun(e), newService(e), newConfig(e), newReaders(e), newRead(e), newChip(e), newQueue(e), newEnrol(e), newEvidence(e), newAudit(e), newKey(e), newOperator(e), newTrust(e), newDoctor(e), newSupportBundle(e), newVersion(e))
	wrap(e, root)
	return root
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// These do not repeat what was given: it may be half of a name that nobody
// quoted, or a person's number in the wrong place.
var (
	errArgument    = &usageError{errors.New("a word that belongs to no flag: quote values that have spaces")}
	errCommand     = &usageError{errors.New("no such command: see --help")}
	errCommandLine = errors.New("the command line cannot be understood: see --help")
)

// commandLine says what is wrong with a command line that was not begun. What a
// library says about it repeats it, and a number or a name may stand there by
// mistake; but which flags exclude each other or are missing it tells by their names.
func commandLine(c *cobra.Command) error {
	return cmp.Or(c.ValidateRequiredFlags(), c.ValidateFlagGroups(), errCommandLine)
}

// flagError says what is wrong with a flag without its value, and without its
// name if we have no such flag.
func flagError(_ *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	if v, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usagef("--%s: the value is not of the kind %s", v.GetFlag().Name, v.GetFlag().Value.Type())
	}
	if _, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usagef("a flag has no value: see --help")
	}
	return usagef("no such flag: see --help")
}

// takesArguments marks a command that looks at its arguments itself.
const takesArguments = "arguments"

// wrap notes when a command begins: whatever is wrong before that is wrong with
// the command line.
func wrap(e *env, c *cobra.Command) {
	if begin := c.RunE; begin != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			e.began = true
			return begin(c, args)
		}
	}
	wrong := errArgument
	if c.HasSubCommands() {
		wrong = errCommand
	}
	if _, takes := c.Annotations[takesArguments]; !takes {
		c.Args = func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return wrong
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrap(e, sub)
	}
}

// printFault says what went wrong and what to do about it.
func printFault(w io.Writer, f *fault.Fault) {
	fmt.Fprintf(w, "chamthe: %s (%s)\n", f.Cause, f.Code)
	if tries := f.TriesSentence(); tries != "" {
		fmt.Fprintf(w, "  %s\n", tries)
	}
	fmt.Fprintf(w, "  what to do: %s\n", f.Remedy)
	if f.Detail != "" {
		// A file may have a name that steers a terminal.
		fmt.Fprintf(w, "  detail: %s\n", printable(strings.ReplaceAll(f.Detail, "\n", "; ")))
	}
}
