package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/operator"
	"github.com/chamthe/chamthe/sync/store"
)

func newOperator(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "operator",
		Short: "Who may sign in at the desk with a name and a PIN",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newOperatorList(e), newOperatorSet(e), newOperatorRemove(e))
	return c
}

func newOperatorList(e *env) *cobra.Command {
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List who has a PIN, also while the agent runs",
		Example: "  chamthe operator list --data /var/lib/chamthe",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := used(dir); err != nil {
				return err
			}
			names, err := agent.OperatorNames(dir)
			if err != nil {
				return operatorFault(err)
			}
			if asJSON {
				return writeJSON(e.stdout, struct {
					Operators []string `json:"operators"`
				}{names})
			}
			for _, name := range names {
				if _, err := fmt.Fprintln(e.stdout, printable(name)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	required(c, "data")
	return c
}

func newOperatorSet(e *env) *cobra.Command {
	var dir, name, pin string
	c := &cobra.Command{
		Use:   "set",
		Short: "Give somebody a PIN, or another one",
		Long: `Set asks for the PIN twice at the terminal, and shows nothing of it; with --pin - it
is the first line of standard input. It never stands on a command line, where others
could see it. Wrong ones that were tried before are forgotten.

The agent reads the PINs when it starts, and writes down who changed them: stop it,
change them, and start it again. The configuration (operator.logins and
operator.required) says whether somebody without a PIN may sign in, and whether
anything is recorded before somebody has.`,
		Example: `  chamthe operator set --data /var/lib/chamthe --name lan
  generate-pin | chamthe operator set --data /var/lib/chamthe --name lan --pin -`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("pin") && pin != "-" {
				return usagef("--pin: a PIN does not belong on a command line, which others can see: choose another one, and give --pin - or type it when asked")
			}
			// The directory first: nobody types for nothing.
			return withOperators(dir, func(o *operator.Operators) error {
				var err error
				if pin == "-" {
					pin, err = firstLine(e.stdin)
				} else {
					pin, err = askTwice(c.Context(), e)
				}
				if err != nil {
					return err
				}
				if err := o.SetPIN(c.Context(), actor(), name, pin); err != nil {
					return operatorFault(err)
				}
				_, err = fmt.Fprintln(e.stdout, "the PIN is set")
				return err
			})
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	c.Flags().StringVar(&name, "name", "", "`NAME` to sign in with")
	c.Flags().StringVar(&pin, "pin", "", "- to read the PIN from standard input")
	required(c, "data")
	required(c, "name")
	return c
}

func newOperatorRemove(e *env) *cobra.Command {
	var dir, name string
	c := &cobra.Command{
		Use:   "remove",
		Short: "Take somebody's PIN away",
		Long: `Remove takes a PIN away. With operator.logins, who has none may sign in by the login
name of the computer. The agent must not be running, as for "operator set".`,
		Example: "  chamthe operator remove --data /var/lib/chamthe --name lan",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withOperators(dir, func(o *operator.Operators) error {
				if err := o.Remove(c.Context(), actor(), name); err != nil {
					return operatorFault(err)
				}
				_, err := fmt.Fprintln(e.stdout, "the PIN is taken away")
				return err
			})
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	c.Flags().StringVar(&name, "name", "", "`NAME` that the person signed in with")
	required(c, "data")
	required(c, "name")
	return c
}

// withOperators opens the operators of a data directory for fn.
func withOperators(dir string, fn func(*operator.Operators) error) (err error) {
	if err := used(dir); err != nil {
		return err
	}
	o, st, err := agent.OpenOperators(dir)
	if errors.Is(err, store.ErrLocked) {
		return fault.New(fault.StoreLocked, errors.New("the agent runs: stop it (chamthe service stop), change the PIN, and start it again; it reads them when it starts"))
	}
	if err != nil {
		return operatorFault(err)
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return fn(o)
}

// operatorFault says what is wrong with a name, a PIN or their file.
func operatorFault(err error) error {
	switch {
	case errors.Is(err, operator.ErrName):
		return usagef("--name: up to 64 characters that can be seen, and no space before or behind them")
	case errors.Is(err, operator.ErrPIN):
		return usagef("a PIN has 4 to 64 characters: not the same one again and again, and not counting up or down")
	case errors.Is(err, operator.ErrUnknown):
		return usagef("--name: nobody of this name has a PIN")
	case errors.Is(err, operator.ErrFull):
		return usagef("--name: so many have a PIN that there is no room for another one")
	case errors.Is(err, operator.ErrOpen):
		return fault.New(fault.DataExposed, err)
	}
	return err
}

// maxLine bounds a line that is read in place of a flag's value.
const maxLine = 256

// firstLine reads a line, byte by byte: what follows is not ours. A line that is too
// long comes out too long.
func firstLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) <= maxLine; {
		n, err := r.Read(b)
		if n > 0 && b[0] == '\n' {
			break
		}
		line = append(line, b[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("cli: read a line: %w", err)
		}
	}
	return strings.TrimSuffix(string(line), "\r"), nil
}

// askTwice has a PIN typed at the terminal, twice, without showing it.
func askTwice(ctx context.Context, e *env) (string, error) {
	terminal, _ := e.stdin.(*os.File)
	if terminal == nil {
		return "", errNoTerminal
	}
	show, err := hideTyping(terminal)
	if err != nil {
		return "", errNoTerminal
	}
	defer show()
	type answer struct {
		pin string
		err error
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(e.stderr, prompt)
		defer fmt.Fprintln(e.stderr) // the typed one is not shown
		typed := make(chan answer, 1)
		// A read from a terminal heeds no context; it ends with the program, which
		// shows again what is typed.
		go func() {
			pin, err := firstLine(terminal)
			typed <- answer{pin, err}
		}()
		select {
		case a := <-typed:
			return a.pin, a.err
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	first, err := ask("PIN: ")
	if err != nil {
		return "", err
	}
	second, err := ask("the same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", usagef("the two were not the same: nothing was changed")
	}
	return first, nil
}

var errNoTerminal = usagef("standard input is no terminal at which a PIN could be typed unseen: give --pin -")
