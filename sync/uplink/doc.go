// Package uplink connects an agent with the central service over NATS: it
// publishes the outbox to JetStream, brings verdicts back, keeps a fresh nonce
// at hand, and asks for entitlements.
//
// A server that is not there is a state, not an error: [Uplink.Run] tries for
// ever, with waits that grow and are random, so that ten thousand agents do not
// return at once. Nothing is lost by any failure here, because nothing leaves
// the outbox but by a verdict.
//
// # Order and repetition
//
// Visits are published in the order in which they were recorded, several at a
// time, on a connection that is never resumed: after a failure publishing
// begins anew at the oldest visit that has no PubAck. The first visit of every
// attempt goes alone, so that a server that is not ready refuses one and not a
// window. Nats-Msg-Id is the visit's id, by which the stream drops what it has
// already; beyond its window the central service does.
//
// # Verdicts
//
// Verdicts come from the stream VERDICTS by a durable consumer whose name is
// the agent's key and whose filter is the agent's subject. The central service
// makes it when it enrols the agent. The server remembers what the agent has
// acknowledged, so an agent that was off for a month misses nothing, and needs
// no position of its own. Because the name is part of the API subjects,
// credentials can be restricted to exactly it: see [Permissions].
//
// A visit that stays without a verdict (the stream of visits or of verdicts was
// lost, say) is published again under another message id. The central service
// answers with the verdict that it has on record, or decides anew. That happens
// at once when a process begins, because it may be a short one, and when the
// agent notices that the store was lost: its consumer is another one than
// before, or the stream of visits counts from the beginning again.
//
// # Clock
//
// No wait here depends on this machine's clock, which may jump: see Config.Now.
// Which nonce is the latest, and how old it is, is the central service's to say.
package uplink
