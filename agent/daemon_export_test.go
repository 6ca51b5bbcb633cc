package agent

import (
	"context"

	"github.com/chamthe/chamthe/sync/contract"
)

// Heartbeat is what an agent tells of itself.
func Heartbeat(a *Agent) contract.Status { return a.heartbeat() }

// StopPatience is how long a daemon may take to stop before it is closed.
const StopPatience = patienceIntake + patienceFront + patienceLink + patienceLast

// TakeScan gives a daemon what a scanner has read.
func TakeScan(ctx context.Context, d *Daemon, text string) bool {
	return d.takeScan(ctx, text)
}
