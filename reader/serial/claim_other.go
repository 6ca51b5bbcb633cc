//go:build !linux

package serial

import (
	"errors"
	"runtime"
	"syscall"
	"time"
)

// A hold keeps other programs from a port. Windows does so by itself.
type hold struct{}

func claim(string) (*hold, error) { return &hold{}, nil }

func (*hold) shut()                       {}
func (*hold) interrupt()                  {}
func (*hold) release()                    {}
func (*hold) readable()                   {} // a read waits by itself
func (*hold) free() bool                  { return false }
func (*hold) writable(time.Duration) bool { return true }

// isBusy knows how Windows says that a port is open elsewhere: ERROR_ACCESS_DENIED
// or ERROR_SHARING_VIOLATION.
func isBusy(err error) bool {
	return runtime.GOOS == "windows" && (errors.Is(err, syscall.Errno(5)) || errors.Is(err, syscall.Errno(32)))
}

func isAbsent(error) bool { return false }
