//go:build !linux && !windows

package cli

import (
	"errors"
	"os"
)

// hideTyping knows no terminal of this system.
func hideTyping(*os.File) (show func(), err error) { return nil, errors.ErrUnsupported }
