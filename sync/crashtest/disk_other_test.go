//go:build !linux

package crashtest

import "testing"

func smallDisk(t testing.TB) disk { return limitedFile(t) }
