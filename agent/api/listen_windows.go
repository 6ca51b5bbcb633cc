package api

import (
	"errors"

	"golang.org/x/sys/windows"
)

// A port that somebody holds alone is refused as access.
func portTaken(err error) bool {
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}
