package cli

import (
	"context"
	"io"

	"github.com/chamthe/chamthe/reader"
)

// MainWith is [Main] on a computer with other readers.
func MainWith(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, d reader.Driver) int {
	return run(ctx, args, &env{stdin: stdin, stdout: stdout, stderr: stderr, readers: d})
}
