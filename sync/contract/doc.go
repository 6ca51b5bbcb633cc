// Package contract is the wire contract between an agent and the central
// insurance service, version 1: subjects, messages, limits, signatures and the
// challenge that ties a chip to a visit. It imports the standard library only,
// so that whoever writes another agent or another central service can read, or
// take, this one package.
//
// # Messages
//
//	ins.v1.visit.<facility>.<agent>    Visit, signed by the agent (stream VISITS)
//	ins.v1.lookup.<facility>           LookupRequest, signed -> LookupResponse
//	ins.v1.nonce.<facility>            empty request -> Nonce
//	ins.v1.verdict.<agent>             Verdict
//	ins.v1.bundle.<kind>.<facility>    BundleRequest, signed -> Bundle, signed by the insurer, or a part of one
//	ins.v1.agent.<agent>.status        Status, signed
//
// # How a message is read
//
// Every Decode function takes the bytes of exactly one JSON object and returns
// a complete, valid message or the zero message and an [*Error]. It refuses a
// message that is too long or too deep, bytes that are not UTF-8, a member
// that appears twice or in another case, null, anything after the object, a
// missing member, an unknown value of a closed set, and members that
// contradict each other.
//
// What an agent sends (Visit, LookupRequest, BundleRequest, EnrolRequest, Status) may hold no unknown
// member: it is evidence, and a reader that skipped a part of it would vouch
// for something it has not read. What the central service sends (Verdict,
// LookupResponse, Nonce, bundles) may: a service is updated years before the last of its
// agents is, and an agent that could not read a verdict because of a new
// member would keep the visit in its queue for ever. A change that old readers
// would misunderstand gets a new version number, which every reader refuses.
//
// The rules for single values are in one table (format.go), which the decoders
// execute and from which the JSON Schema documents in the directory schema are
// generated: the two cannot say different things. The schema cannot express
// the relations between members; the decoders are stricter there.
//
// # What is left out
//
// No transport (see package uplink), no judgement of the evidence (see package
// central), and none of the card's data that the insurer has no use for:
// religion, ethnicity, relatives, distinguishing marks, address and photo have
// no member here.
package contract

//go:generate go run gen.go

// Version is the version of every message in this package.
const Version = 1
