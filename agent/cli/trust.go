package cli

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/chamthe/chamthe/agent/truststore"
	"github.com/chamthe/chamthe/icao/trust"
)

// trustVariable names the directory of trust material.
const trustVariable = "CHAMTHE_TRUST"

// trustDir is the directory of trust material when no flag names one: that of
// the environment, else the user's.
func trustDir() (string, error) {
	if dir := os.Getenv(trustVariable); dir != "" {
		return dir, nil
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return "", usagef("give --dir or set %s: %w", trustVariable, err)
	}
	return filepath.Join(config, "chamthe", "trust"), nil
}

// loadTrust fills a pool from directories of "chamthe trust import", and from
// files and directories of files, which the administrator trusts by naming them.
// Without any it takes the default directory, if there is one.
func loadTrust(ctx context.Context, paths []string, at time.Time) (*trust.Pool, error) {
	if len(paths) == 0 {
		dir, err := trustDir()
		if err != nil || !truststore.Exists(dir) {
			return trust.NewPool(), nil // which trusts nobody
		}
		paths = []string{dir}
	}
	return truststore.Gather(ctx, paths, at)
}
