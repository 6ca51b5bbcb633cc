package reader

// ParseQuirks is for tests that bring files of their own.
var ParseQuirks = parseQuirks

// QuirksError is what is wrong with the file of quirks in the program.
func QuirksError() error {
	_, err := readQuirks()
	return err
}
