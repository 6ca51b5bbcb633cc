package agent_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/chamthe/chamthe/agent"
	"github.com/chamthe/chamthe/agent/client"
)

// TestDaemonServesBeforeItIsReady calls the API while it is being told that the daemon
// is ready: whoever tells that may have to wait, and keeps nobody from working.
func TestDaemonServesBeforeItIsReady(t *testing.T) {
	d, err := agent.OpenDaemon(t.Context(), daemonConfig(t, t.TempDir(), nil))
	if err != nil {
		t.Fatal(err)
	}
	desk := client.NewWithTokenFile(fmt.Sprintf("http://127.0.0.1:%d", d.Port()), d.Config().DeskTokenFile)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	asked, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var served error
	err = d.Run(ctx, func() {
		_, served = desk.Status(asked)
		stop()
	})
	desk.CloseIdle()
	if err != nil || served != nil {
		t.Errorf("Run = %v; the API answered %v", err, served)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
