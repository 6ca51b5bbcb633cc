// Package serialtest plays the other end of a serial port in tests: a PN532
// with a card on it, on anything that carries bytes ([Module]), and
// pseudo-terminals to connect it to the code that opens serial ports ([PTY],
// Linux only).
//
// The module is written from the manual and apart from package pn532, but for
// the frame codec, so that one misreading of a command does not hide in both.
package serialtest
