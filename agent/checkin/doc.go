// Package checkin goes from a person at the desk to a recorded visit.
//
// A [Desk] does it for one card: [Desk.Inspect] binds the inspection to the visit
// that it may become, lets policy decide and asks for the entitlement;
// [Inspection.Record] signs the visit and puts it into the outbox. [Desk.Claim] is
// the way without a chip, of which nothing is ever verified. A visit counts as
// recorded only when the outbox says that it is on disk.
//
// A [Front] is what stands between a Desk and those who use it over the local API:
// one check-in at a time, shown as a [wire.CheckIn], through these states.
//
//	    Start
//	      |
//	      v     Key                card is there
//	+--> key ---------> card ----------------------> reading --> text
//	|     ^              ^                              |          |
//	|     | wrong key    | lifted, unreadable           |          |
//	|     +--------------+-----------------<------------+----------+
//	|                                                   |          |
//	|  without a chip: looks up only                    | policy   | read to the end,
//	+--------------------------------> reading          | refuses  | policy accepts
//	                                      |             v          v
//	                                      |          refused    confirm
//	                                      +------------------------^
//	                                                               | Confirm
//	                         failed <-- recording <----------------+
//	                                        |
//	                                        v
//	                                     recorded: Delivery goes on
//
// Cancel ends it as cancelled from every state before recording, and so do five
// minutes in which nobody does anything, the operator's word that this is another
// person, and the end of the program. Too many wrong keys or torn cards end it as
// failed. What has ended takes no more input; confirming twice is confirming once.
//
// This package names no faults: agent/fault knows it, and is handed in
// ([FrontConfig.Fault]).
package checkin
