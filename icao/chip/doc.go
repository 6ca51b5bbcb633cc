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
// # A document of one's own
//
// [Build] makes a complete document from a profile ([Profiles]), a synthetic
// person and, if wanted, a way in which it was tampered with ([Tampers]).
// [BuildVariant] makes any other combination; the fields of [Variant] and what
// they reach:
//
//	access           Open, NoBAC, PACE (mapping, group, cipher, explicit parameters, several), CAN, CANTries
//	authenticity     AA (RSA, ECDSA, RSASSA-PSS; hashes and forms), CA (curves, groups, ciphers, several keys)
//	data             Optional, Hidden, Refused, Listed, BCD, Portrait (picture, record format, size), DIR, ATRInfo
//	signatures       Signer, Authority, SOD, CardSecurity, NoKeyIdentifiers, DocumentTypes
//	operating system Limits (short or extended, bytes at a time, what happens beyond), SelectMF
//	bad habits       Quirks; the ways in which chips in the field were seen to differ
//
// With shared keys ([Options].Keys) a document takes milliseconds, so that tests can
// go through a matrix of them. [LoadBSI] personalises a chip with the published BSI
// reference data set. What is stranger than all that is a [Personalisation] changed
// by hand, before [New]: files of any content, a [FaultFunc] between any two
// exchanges, and [Faults] inside the protocols.
//
// A [Document] says what is printed on the card, which certificate to trust and
// what was signed. [Document.Chip] makes the chip, which answers commands in
// [Chip.Transmit]: an inspection can be given it as it is, package reader/virtual
// puts it on a reader of this process or lends it to a real pcscd, and so does
// "chamthe chip serve" for profiles, without programming.
//
// # Habits of chips in the field
//
// Each of these was reported by users of other readers, and has a field here:
//
//	refuses to select the master file, by one way or all    SelectMF, Quirks.SelectMFByID, SelectMFBare
//	has no short identifiers, or no SELECT of files         Quirks.NoShortID, NoSelectEF
//	answers 6700, 6B00, 6282, 6Cxx to long reads, or cuts   Limits.Plain, Protected, OverLimit, ShortEnd
//	gives zeros behind the end of a file                    Quirks.PadPastEnd
//	refuses Le of zero, or any Le where no data is          Quirks.RefuseLe00, RefuseLe, RefuseLeSelect
//	sends errors in clear within secure messaging           Quirks.Naked
//	wants domain parameters named in MSE:Set AT             Quirks.PACEReference
//	writes PACEInfo without parameters                      Variant.NoParameterID
//	locks up after a failed PACE, or refuses what follows   Quirks.FailedPACELocks, NoBAC
//	says in its own way that the key was wrong              Quirks.WrongKey, Variant.CANTries
//	knows one command of chip authentication alone          Quirks.NoSetKAT, NoSetAT
//	does not announce chip authentication, or another one   CAKey.NoInfo, Version
//	encodes DH keys with a fixed length                     Quirks.FixedLengthDH
//	cuts its signature, or gives none to extended length    Quirks.AATruncate, AAEmptyExtended
//	refuses chained commands                                Limits.NoChaining
//	answers 61xx                                            Limits.GetResponse
//	signs in another form                                   AAForm
//	lists files that it does not have, or refuses           Variant.Listed, Hidden, Refused
//	packs dates, writes BER, leaves out the certificate     Variant.BCD, SOD
//	leaves the field in the middle                          TamperTorn, Options.TearAfter
//
// # Why it is written apart
//
// The card side is written separately from the terminal side and shares only
// primitives with it (TLV, key derivation, MACs, curve arithmetic), so that one
// misreading of the standard cannot hide in both. A terminal that works
// with this chip proves nothing by itself; the published examples do.
//
// Left out: terminal authentication (fingerprints and irises answer 6982, or what
// Refused says), LDS2 applications, versions 2 and 3 of chip authentication, and
// any claim against side channels: a software chip is no place for a real secret.
package chip
