//go:build unix

package readertest

import (
	"syscall"
	"time"
)

// processTime returns how long this process has used a processor.
func processTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
