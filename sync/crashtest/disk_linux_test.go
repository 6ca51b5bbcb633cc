package crashtest

import (
	"syscall"
	"testing"
)

// smallDisk mounts a file system of two megabytes.
func smallDisk(t testing.TB) disk {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Logf("a small file system cannot be mounted here: %v", err)
		return limitedFile(t)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk{"tmpfs of 2 MB", dir, nil, func() {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
			t.Error(err)
		}
	}}
}
