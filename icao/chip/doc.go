// Package chip is a software eMRTD chip: the card side of Doc 9303-10 and
// 9303-11 (8th edition), and the issuing office that personalises it with
// synthetic people.
//
// A [Chip] answers command APDUs like a contactless card does: SELECT and READ
// BINARY over the files of the logical data structure, basic access control,
// PACE with all mappings over curves and modulo primes, secure messaging with 3DES
// and AES, active authentication and chip authentication version 1. Its state lives as long as the card is in the field; [Chip.Reset]
// clears it, and faults can be injected between any two exchanges.
//
// [Build] makes a complete document from a profile ([Profiles]), a synthetic
// person and, if wanted, a way in which it was tampered with ([Tampers]).
// [BuildVariant] makes any other combination of access, authenticity, data,
// signatures, limits and quirks; with shared keys ([Options].Keys) it takes
// milliseconds, so that tests can go through a matrix of them.
// [LoadBSI] personalises a chip with the published BSI reference data set.
//
// The card side is written separately from the terminal side and shares only
// primitives with it (TLV, key derivation, MACs, curve arithmetic), so that one
// misreading of the standard cannot hide in both. A terminal that works
// with this chip proves nothing by itself; the published examples do.
//
// Left out: terminal authentication (fingerprints and irises answer 6982
// always), LDS2 applications, versions 2 and 3 of chip authentication, and any claim
// against side channels: a software chip is no place for a real secret.
package chip
