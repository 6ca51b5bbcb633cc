// Package crashtest kills what carries a visit from the desk to the insurer, and
// counts what arrives. Its tests are all there is of it.
//
// The chain is the real one: outbox, uplink, a NATS server with JetStream, and
// the central service, which verifies the evidence of every visit (EF.SOD up to
// the country's certificate, and the hash of DG1; the chip's own signature, which
// would take a chip for each visit, is left out, so the visits are "attested").
// Whatever is to be killed is this test binary again, in another role, and dies
// by SIGKILL.
//
// A visit counts as recorded when the process that recorded it has said so over
// a pipe, after [outbox.Queue.Put] had returned. Of these, lost are those that
// the central service does not have as accepted in the end, and doubled what it
// has written more than once. A visit that was recorded and not said so, because
// the process was killed in between, may arrive, once.
//
//	make crash KILLS=1000
//
// kills the agent 1,000 times at random moments: while it opens its file, while
// it records, publishes, marks, and takes verdicts. The server is killed 1 time
// for 20 of these, and 1 node of 3 for 50. In the ordinary tests it is 50 times
// for the agent.
//
// The central service is killed as well, 1 time for 10: two of them share one
// server, now the one and now the other dies with visits in its hands, and
// lookups are answered all the while.
//
// What SIGKILL cannot show is the loss of what the system had not written yet:
// a page that was handed to the kernel survives the death of the process. Every
// server here runs with sync_interval: always and every Put returns after fsync,
// which is what a power failure asks for; that the disk keeps its word is for the
// disk's maker to say.
//
// Two tests measure, each in the size that the environment names: a backlog that
// is sent (CHAMTHE_BACKLOG visits), and the start of an agent that has one and a
// large cache (CHAMTHE_CACHE answers). make bench-sync runs them with 100,000 and
// 1,000,000.
//
// TestLoad and TestIntake measure the central service: make bench-load, and
// README.md.
//
// A process in another role ends when its standard input does, and so with the
// test, however that ended.
package crashtest
