package cli

import "errors"

// Restarts reports whether a manager of services starts the agent again after a start
// that ended so.
func Restarts(err error) bool {
	_, final := errors.AsType[*startError](atStart(err))
	return !final
}
