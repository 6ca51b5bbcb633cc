// Package arch holds the test that enforces the shape of the project: which
// package may know which other (the table in rules_test.go), what the pure
// core may not do, and which files lie at the top.
//
// The test reads the sources itself instead of asking the go command: so every
// operating system and build tag counts, and the test cache sees a change. It
// follows imports through packages of this module only; what a package of
// somebody else imports is not held against us.
package arch
