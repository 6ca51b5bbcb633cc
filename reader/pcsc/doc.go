// Package pcsc drives the readers of the system's smart card service: pcsc-lite
// on Linux, winscard on Windows and macOS (PC/SC workgroup specification,
// part 5, as the Microsoft and pcsc-lite documentation describe it).
//
// Every call that enters the service runs in a goroutine of its own and has a
// time limit. A call that does not return in time is left behind with
// [reader.ErrTimeout]; its goroutine cleans up if it ever comes back. One
// goroutine owns each open card and is the only one to touch its handle. At
// most one call per open card and one status call per process can be left
// behind, so a stuck service costs a bounded number of threads.
//
// Nothing is kept between calls but open cards: a service that was restarted
// is simply found again.
//
// Left out: the features of PC/SC part 10 (maximum APDU size, PIN pads) and the
// pseudo-APDUs of part 3. Built without cgo, except on Windows, the driver
// answers everything with [reader.ErrNoService].
package pcsc
