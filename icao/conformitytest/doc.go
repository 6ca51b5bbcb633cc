// Package conformitytest judges the inspection as BSI TR-03105 Part 5.1 (version
// 1.5, 2020) judges an inspection system: as a black box, against simulated
// documents, of which some have to be accepted and some refused. It holds tests
// only; testdata/README.md says where its table comes from.
//
// Each case builds its document with icao/chip, which shares no protocol code
// with the reading side, and has it inspected twice: under the strict policy,
// which is the one that the guideline judges ([inspect.Config] with Strict and All,
// and [inspect.Report.StrictErr]), and as a desk does, which tolerates what
// documents in the field are known to have wrong. Both outcomes are asserted, and
// so is why a document was refused.
package conformitytest
