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
//	ins-people          entitlements, by the keyed hash of a number
//	ins-keys            which key that is; the key itself unless the deployment has it
//	ins-bundles         lists that agents keep, see package contract
//	ins-attempts        visits that may be taking processes down, see below
//	ins-codes           hash of a one-time code -> who may be, or was, enrolled with it
//	ins-statuses        agent -> what it said of itself last
//	ins-enrolments      agent -> its account, and when it was enrolled and revoked
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
// # Bad input
//
// A message that is not what it should be is refused, with a reason of package
// contract where there is somebody to tell: a visit by a verdict, a request by an
// error of the micro service (400 for what cannot be read or is not signed, 403
// for who may not ask). [Counts] counts each by its reason. Nothing that one agent
// sends holds up another's: what is refused is acknowledged for good, requests run
// side by side, and a visit that takes the process down is set aside after the
// tenth time, counted over all processes.
//
// Clocks reject nothing. A visit whose times contradict each other, its nonce or
// its arrival is attested at most, and its certificates are judged for the time of
// its arrival; the doubt is on record. Arrival is by the NATS server's clock.
//
// Agents publish their status every few minutes. The last one of each is kept, with
// the time at which it was heard; a status that is not signed by the agent that it
// is about, or not of its facility, is not.
//
// # How much it keeps
//
// VISITS has no limit unless Config.MaxBytes or Config.KeepVisits sets one: it is the
// only copy of the signed evidence, and what an auditor asks for. A
// visit takes about 6 kB with a chip, so that ten million take 60 GB on each
// replica. When the limit is reached, or the disk is full, the stream refuses
// (DiscardNew) and drops nothing: agents keep what was refused, say so at the
// desk, and send it when there is room. So set MaxBytes below the room of the
// disk: verdicts, records and nonces must be writable when visits are not.
// Room is made by raising the limit. Nobody can delete a message (DenyDelete and
// DenyPurge, which NATS does not take back); an operator who has archived the
// stream may remove it as a whole. The service makes a new one and knows every
// visit still, from ins-visits, and agents send again what has no verdict yet.
// ins-visits grows by half a kilobyte with each visit, for ever: it is what keeps
// one from being counted twice.
//
// # Who may be an agent
//
// [Enroller] enrols agents with the one-time codes that a [Registry] makes, and a
// Registry takes their credentials back. It holds a signing key of the NATS
// operator, and so is apart from [Central]; both may run in one process. Agents of
// the seed file are known without it.
//
// # What it does not do
//
// It archives nothing.
package central
