// Package central is the reference central insurance service: it hands out
// nonces, answers lookups, takes visits in, verifies their evidence anew and
// gives each a verdict. It is what a demonstration and a load run talk to, and
// the model for an integration with a real insurer.
//
// # What it keeps
//
// Everything is in JetStream; a process holds nothing that another could not
// go on from. Any number of them may serve side by side.
//
//	VISITS              stream: the signed visits exactly as they arrived
//	VERDICTS            stream: verdicts, one subject per agent, kept long enough
//	                    for an agent that was switched off
//	ins-visits          visit id -> what became of it; the first writer wins
//	ins-nonces          nonce id -> the nonce, for as long as a station may be offline
//	ins-agents          agent -> facility
//	ins-people          entitlements, by the hash of a number
//
// # Once
//
// A visit is counted when its record in ins-visits is created, which only one
// worker can do. The verdict is published from that record and the message
// acknowledged after it, so a crash between any two steps leads to a
// redelivery that finds the record, repeats the verdict and counts nothing.
// The stream's own duplicate window merely saves work.
//
// Only an authenticated visit gets a record: a message that anybody could have
// made must not occupy an id.
//
// # What it does not do
//
// It enrols nobody (agents come from the seed file), hands out no bundles, and
// keeps visits for ever unless the operator limits the stream.
package central
