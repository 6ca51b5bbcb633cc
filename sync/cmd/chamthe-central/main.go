// Command chamthe-central is the reference central insurance service: it
// answers lookups, takes visits in, verifies their evidence and gives verdicts.
// It is for demonstrations, tests and load runs, and the model for a real
// integration; see package central.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The first signal asks the service to finish; a second one kills it.
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it. It returns the exit
// status: 0, or 1 when the service could not be started.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := root(stdout, stderr)
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(stderr, "chamthe-central:", err)
		return 1
	}
	return 0
}
