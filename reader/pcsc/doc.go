// Package pcsc drives the readers of the system's smart card service: pcsc-lite
// on Linux, winscard on Windows and macOS (PC/SC workgroup specification,
// part 5, as the Microsoft and pcsc-lite documentation describe it).
//
// Every call that enters the service runs in a goroutine of its own and has a
// time limit, see [Options]. A call that does not return in time is left behind
// with [reader.ErrTimeout]; its goroutine cleans up if it ever comes back. One
// goroutine owns each open card and is the only one to touch its handle. At
// most one call for each reader with a card can be left behind, and no status
// call begins while one is, so a stuck service costs a bounded number of
// threads; Driver.Stuck counts them. A reader that is stuck does not concern
// the others, as far as the service itself keeps them apart.
//
// Nothing is kept between calls but open cards: a service that was restarted,
// or that Windows stopped with its last reader and started with the next one,
// is simply found again.
//
// A card has one owner: it is opened in shared mode, held by a transaction,
// and reset before its first exchange and after its last, so that no session
// of anybody else is met and none is left. A reset by somebody else in between
// is [reader.ErrCardReset].
//
// What the reader says of itself (PC/SC part 10, attributes) is
// [reader.Capable]; its pseudo-APDUs for UID and ATS (part 3) are a method
// Identify of the cards, on request only. Left out: PIN pads and escape
// commands. Built without cgo, except on Windows, the driver answers everything
// with [reader.ErrNoService].
package pcsc
