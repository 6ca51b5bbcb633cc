package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

func initialise(stdout io.Writer) *cobra.Command {
	var address string
	var hosts []string
	c := &cobra.Command{
		Use:   "init DIR --url tls://HOST:PORT",
		Short: "Make the keys, accounts and certificates of a test deployment",
		Long: `init makes everything that a deployment needs to let agents in over the network:
a NATS operator with its accounts, a certificate authority with a certificate for
the server, the central service's own credentials, and the insurer's key that
signs bundles. DIR must not exist or be empty: nothing is overwritten, ever.

The keys in DIR are all there is between a stranger and the insured. The directory
is readable for its owner only; keys/operator.nk is not needed to run and belongs
elsewhere. The certificates last ten years; they and the keys beside each other on
one machine are right for a test, and wrong for a country: see the README beside
the sources of this program.`,
		Example: `  chamthe-central init /var/lib/chamthe --url tls://central.example:4222
  chamthe-central init /tmp/try --url tls://localhost:4222 --host 192.0.2.7`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			u, err := parseURL(address)
			if err != nil {
				return err
			}
			if err := makeDeployment(args[0], u, hosts, time.Now()); err != nil {
				return err
			}
			fmt.Fprintf(stdout, `made %[1]s for agents that connect to %[2]s

What to do next:
  1. serve, with the certificates of the country signing CAs in csca/:
       chamthe-central serve --dir %[1]s --trust csca/
  2. make a code for each desk, and give the line that it prints to who installs it:
       chamthe-central enrol code --dir %[1]s --facility 01013
  3. put keys/operator.nk into a safe, and take it away from here.
`, args[0], u)
			return nil
		},
	}
	c.Flags().StringVar(&address, "url", "", "where agents will find the server: tls://`HOST:PORT`")
	c.Flags().StringSliceVar(&hosts, "host", nil, "another `NAME` or address of the server, for its certificate; may be repeated")
	_ = c.MarkFlagRequired("url") // fails for a flag that does not exist
	return c
}
