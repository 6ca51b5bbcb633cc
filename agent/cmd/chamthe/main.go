// Chamthe is the edge agent of a clinic's reception desk: it reads and verifies
// chip ID cards, looks up entitlements and records visits. See the README.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/chamthe/chamthe/agent/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
