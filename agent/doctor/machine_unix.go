//go:build unix

package doctor

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// free returns the bytes that an ordinary user may still write on the disk of dir.
func free(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil //nolint:unconvert // the types differ between systems
}

func ownedByRoot(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Uid == 0
}

// sameOwner reports whether a file belongs to whom the one called name belongs; true
// if that cannot be told.
func sameOwner(info fs.FileInfo, name string) bool {
	other, err := os.Stat(name)
	if err != nil {
		return true
	}
	a, isA := info.Sys().(*syscall.Stat_t)
	b, isB := other.Sys().(*syscall.Stat_t)
	return !isA || !isB || a.Uid == b.Uid
}

// accessible reports whether this account may use a device. It is not opened: that
// resets some.
func accessible(device string) bool { return unix.Access(device, unix.R_OK|unix.W_OK) == nil }
