package agent

import "github.com/chamthe/chamthe/sync/contract"

// Heartbeat is what an agent tells of itself.
func Heartbeat(a *Agent) contract.Status { return a.heartbeat() }
