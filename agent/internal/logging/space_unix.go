//go:build !windows

package logging

import "syscall"

// errNoSpace reports a full disk.
const errNoSpace = syscall.ENOSPC
