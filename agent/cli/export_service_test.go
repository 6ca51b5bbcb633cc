package cli

import (
	"bytes"
	"context"
	"strings"

	"github.com/chamthe/chamthe/agent/wire"
	"github.com/chamthe/chamthe/reader/virtual"
)

// MainBeside is [Main] with one more service in the demonstration.
func MainBeside(ctx context.Context, args []string, service func(context.Context) error) (exit int, stdout, stderr string) {
	var out, errs bytes.Buffer
	exit = run(ctx, args, &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, readers: virtual.New(), service: service})
	return exit, out.String(), errs.String()
}

// Words is what a person reads for a check, empty if nobody has thought of one.
func Words(id string) string { return words[id] }

// PrintFiles prints the states of files.
func PrintFiles(groups map[string]string) string {
	var b strings.Builder
	printChecks(&b, &wire.Report{Groups: groups})
	return b.String()
}
