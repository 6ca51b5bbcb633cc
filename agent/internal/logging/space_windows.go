package logging

import "golang.org/x/sys/windows"

// errNoSpace reports a full disk.
const errNoSpace = windows.ERROR_DISK_FULL
