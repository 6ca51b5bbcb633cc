//go:build unix

package seal

import (
	"os"
	"syscall"
)

const (
	openNoFollow     = syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	checkPermissions = true
)

// syncDir makes a new name in dir survive a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
