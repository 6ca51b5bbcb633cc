// Package ec is elliptic-curve arithmetic for every prime-field curve that
// chips and certificates use: NIST P-192, P-224, P-256, P-384 and P-521
// (FIPS 186-4, SP 800-186) and brainpoolP192r1 to brainpoolP512r1 (RFC 5639).
// It offers points, Diffie-Hellman as in BSI TR-03111, and ECDSA as in
// FIPS 186-5, 6.
//
// One implementation serves all of them: fixed-limb Montgomery arithmetic with
// the modulus as run-time data, complete addition formulas (Renes, Costello,
// Batina: "Complete addition formulas for prime order elliptic curves", 2016),
// and fixed-width big-endian bytes at the API. Whatever touches a secret
// (scalars of [Curve.ScalarMult] and [Curve.ScalarBaseMult], and all methods of
// [PrivateKey]) has no branch and no memory access that depends on it.
// [Verify] handles public values only and trades that property for speed.
//
// Where the standard library offers the same (ECDSA and ECDH on P-256 and
// larger NIST curves outside this module's protocols), prefer it: its P-256 has
// assembly. This package exists because it has neither brainpool curves nor
// point arithmetic, which PACE needs.
//
// Not here: the twisted brainpool curves (t1), binary curves, curves with a
// cofactor, compressed points (except a compressed generator in [Match]) and
// any encoding other than that of points; DER belongs to the caller.
package ec

// For the reviewer. Every curve is computed on in a model with a = -3, which
// has the cheapest complete formulas. The NIST curves are that already. A
// brainpool curve maps to one by (x, y) -> (u²x, u³y), where u is a fourth root
// of -3/a; it exists for each of them, and RFC 5639 lists the images as the
// twisted curves t1. NewPoint maps in, X and Y map out, and nothing between them
// knows.
//
// Additions of secret multiples use complete formulas (projective.go). Doublings
// between them go through Jacobian coordinates, whose doubling has no exception
// in a group of odd order. Only verification adds in Jacobian coordinates and
// branches on the exceptions (vartime.go).
