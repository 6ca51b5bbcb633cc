package inspect_test

import "os"

// long reports whether every combination is to be tried: CHAMTHE_LONG=1. Otherwise
// each value of a dimension is, with the others taking turns.
func long() bool { return os.Getenv("CHAMTHE_LONG") == "1" }
