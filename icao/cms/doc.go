// Package cms reads and verifies the signed objects of an electronic travel
// document and of its trust lists: X.509 certificates and revocation lists (RFC
// 5280, profile of Doc 9303-12, 8th edition) and CMS SignedData (RFC 5652, profile of Doc
// 9303-10 and 9303-12, 8th edition).
//
// It exists because the certificates of issuing states are not those of the
// web. Doc 9303-12 asks for explicit elliptic-curve parameters, many states use
// the brainpool curves, old certificates are signed with SHA-1, and some encode
// a field in a way that a strict reader refuses. Here, explicit parameters are
// accepted when they equal a known curve, its generator included, and a known
// harmless oddity is recorded as a deviation (see the Dev constants) instead of
// being refused. Everything else that is not DER, or not the expected
// structure, is an error.
//
// # What is verified
//
// Signatures: RSASSA-PKCS1-v1_5 and RSASSA-PSS with their own parameters, ECDSA
// in the ANSI (DER) and the BSI TR-03111 plain form, DSA (FIPS 186-4) for old
// signers, each with SHA-1 to SHA-512. MD5 is never accepted. SHA-1 is, because valid documents carry it;
// the deviation [DevSHA1] tells.
//
// # What is left out
//
// Only verification: nothing signs here. There is no SHA-3, no Edwards curve, no certificate policy and no name constraint processing, and
// no path building: a caller asks one certificate whether one key signed it
// (package trust finds the key). Attribute certificates, CRLs inside a signed
// object, delta and indirect CRLs, counter-signatures and the algorithm-protection attribute (RFC 6211) are
// passed over.
//
// # Ownership and concurrency
//
// Parsers do not copy their input where they need not: the returned values
// share its memory, so a caller must not change the bytes afterwards. Parsed
// values are not changed by any method and may be used by several goroutines.
package cms
