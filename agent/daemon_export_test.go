package agent

import (
	"context"

	"github.com/chamthe/chamthe/sync/contract"
)

// Heartbeat is what an agent tells of itself.
func Heartbeat(a *Agent) contract.Status { return a.heartbeat() }

// TakeScan gives a daemon what a scanner has read.
func TakeScan(ctx context.Context, d *Daemon, text string) bool {
	return d.takeScan(ctx, text)
}
