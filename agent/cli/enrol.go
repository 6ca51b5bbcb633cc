package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/enrol"
	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/sync/contract"
)

// enrolled is the document of the command.
type enrolled struct {
	Agent    string    `json:"agent"`
	Facility string    `json:"facility"`
	Servers  []string  `json:"servers"`
	At       time.Time `json:"at"`
	Foreign  int       `json:"foreign_visits,omitempty"` // that it may not send
}

func newEnrol(e *env) *cobra.Command {
	var dir, code string
	var r enrol.Request
	var replace, keep, asJSON bool
	c := &cobra.Command{
		Use:   "enrol",
		Short: "Make this computer an agent of a facility, with a one-time code",
		Long: `Enrol asks the central service, with a code that it has made for one computer, to
know this one from now on. The whole line comes with the code: where the server is,
the fingerprint of the certificates that it may have, and the code.

The data directory gets a key of its own, which never leaves it, and the
credentials that go with it; every command that is given the directory uses them.
When the answer is lost on the way, give the same line again. With --code - the code
is read from standard input, so that it does not stand in a list of processes. Root
goes on as the account that owns the directory, as in every command that works in one.

A directory that is enrolled already needs --replace. While visits wait in it, it is
not enrolled at all unless you give --keep-visits: a visit can only be sent for the
facility that it was recorded for. Send them first (chamthe queue send), or be sure
that the code is for the same facility; then they are sent under the new enrolment.`,
		Example: `  chamthe enrol --data /var/lib/chamthe --server tls://central.example:4222 \
      --ca-sha256 5d1c...7a --code 7K3M-Q2XN-94TB-0HFA-W5RD
  chamthe queue send --data /var/lib/chamthe`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := readCode(e.stdin, &code); err != nil {
				return err
			}
			var err error
			if r.Code, err = contract.ParseEnrolCode(code); err != nil {
				return usagef("--code: there is a typing error in it; it has five groups of four letters and digits")
			}
			if err := becomeOwner(dir); err != nil {
				return err
			}
			switch old, err := agent.Enrolled(dir); {
			case errors.Is(err, os.ErrNotExist), err == nil && old == nil, replace:
			case err != nil:
				return err
			default:
				return usagef("--data: the directory is enrolled for %s since %s; give --replace to enrol it anew", old.Facility, old.At.Format(time.DateOnly))
			}
			done, foreign, err := (*enrol.Enrolment)(nil), 0, error(nil)
			if keep {
				done, foreign, err = agent.EnrolKeeping(c.Context(), dir, r)
			} else {
				done, err = agent.Enrol(c.Context(), dir, r)
			}
			if waiting, ok := errors.AsType[*agent.WaitingError](err); ok {
				return usagef("--data: %s not accepted yet would be left behind: send them first (chamthe queue send), or give --keep-visits if the code is for the same facility", plural(waiting.Visits, "visit"))
			}
			if errors.Is(err, enrol.ErrFingerprint) {
				return usagef("--ca-sha256: it has 64 hexadecimal digits")
			}
			if err != nil {
				return err
			}
			out := enrolled{done.Agent, done.Facility, done.URLs(), done.At, foreign}
			if asJSON {
				err = writeJSON(e.stdout, out)
			} else {
				_, err = fmt.Fprintf(e.stdout, "this is agent %s of %s now\nserver %s\n", out.Agent, out.Facility, strings.Join(out.Servers, ", "))
			}
			if err == nil && foreign > 0 {
				err = fault.New(fault.VisitForeign, fmt.Errorf("not sent until this directory is enrolled for their facility again: %s", plural(foreign, "visit")))
			}
			return err
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data `DIR`ectory")
	c.Flags().StringVar(&r.Server, "server", "", "`URL` of the central server: tls://host:port")
	c.Flags().StringVar(&r.CASHA256, "ca-sha256", "", "SHA-256 of its certificate authority, in `HEX`")
	c.Flags().StringVar(&code, "code", "", "the one-time `CODE`, or - for standard input")
	c.Flags().BoolVar(&replace, "replace", false, "enrol a directory anew that is enrolled already")
	c.Flags().BoolVar(&keep, "keep-visits", false, "enrol also while visits wait: the code is for the same facility")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	for _, flag := range []string{"data", "server", "ca-sha256", "code"} {
		required(c, flag)
	}
	return c
}

// readCode reads the code from standard input when it is "-".
func readCode(stdin io.Reader, code *string) error {
	if *code != "-" {
		return nil
	}
	const longest = 256
	line, err := bufio.NewReader(io.LimitReader(stdin, longest)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	*code = line
	return nil
}
