//go:build unix

package truststore_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/chamthe/chamthe/agent/truststore"
)

// TestPipe: a pipe that nobody writes to does not hold the command for ever.
func TestPipe(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pipe.der")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, req := range []truststore.Request{{Files: []string{file}}, {Root: file}} {
		req.By, req.At = "tester", now
		if _, err := truststore.Import(t.Context(), t.TempDir(), &req); !errors.Is(err, truststore.ErrUnreadable) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := truststore.Gather(t.Context(), []string{file}, now); !errors.Is(err, truststore.ErrUnreadable) {
		t.Errorf("got %v", err)
	}
}
