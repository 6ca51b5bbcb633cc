// Package pn532 talks to the NFC controller PN532 of NXP over its serial
// interface (HSU): frames, the handshake around them, and the few commands
// that turn the module into a contactless card reader.
//
// It follows the user manual UM0701-02, revision 02 (firmware 1.6), cited here
// as "UM" with chapter: frames (6.2), the serial line (6.2.5) and the
// commands (7). Where the manual leaves room, the comment says what was chosen
// and why.
//
// A [Module] is not safe for use by several goroutines; its owner (package
// serial) makes calls happen one after the other. Every call is bounded in
// time by [Timing]. No error and no other text of this package holds bytes
// that were exchanged with a card.
//
// What is covered: type A and type B cards of ISO/IEC 14443-4 at 106 kbit/s,
// faster where type A cards and the antenna allow (212 and 424 kbit/s),
// commands and responses of any length by chaining, presence checks, power
// cycles of the field, and another speed of the serial line. Left out: NFC-DEP
// peers, FeliCa, Jewel, MIFARE Classic authentication, card emulation, I2C and
// SPI.
package pn532
