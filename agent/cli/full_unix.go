//go:build !windows

package cli

import (
	"errors"
	"syscall"
)

// diskFull recognises that there is no space, or no quota.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
