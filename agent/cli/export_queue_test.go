package cli

import (
	"context"
	"io"

	"github.com/chamthe/chamthe/agent/audit"
	"github.com/chamthe/chamthe/sync/outbox"
)

// Export writes all visits as `chamthe queue export` does.
func Export(ctx context.Context, q *outbox.Queue, log *audit.Log, w io.Writer) error {
	return (&export{q: q, log: log, w: w}).run(ctx, 0, nil)
}
