package reader

// ParseQuirks is for tests that bring files of their own.
var ParseQuirks = parseQuirks
