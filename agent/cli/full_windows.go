package cli

import (
	"errors"

	"golang.org/x/sys/windows"
)

// diskFull recognises that there is no space.
func diskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
