package chip

import "github.com/chamthe/chamthe/icao/apdu"

// Quirks are deviations and peculiarities of chips in the field. The zero value
// is a chip without any. The limits that a chip may well have are in [Limits].
type Quirks struct {
	// PACEReference, if set, is the answer to MSE:Set AT for PACE without a
	// reference to domain parameters (DO'84'), which chips with one set of them
	// should not need: 6A80 or 6A88.
	PACEReference apdu.Status
	// FixedLengthDH gives public keys modulo a prime the length of the prime, on
	// the wire and in authentication tokens, in place of the shortest form that
	// Doc 9303-11, 9.4.3, asks for.
	FixedLengthDH bool

	// NoSetKAT has chip authentication with 3DES by MSE:Set AT and GENERAL
	// AUTHENTICATE only (MSE:Set KAT answers 6A86); NoSetAT has it by MSE:Set KAT
	// only (MSE:Set AT answers 6A80). Chips in the field have either (Doc 9303-11,
	// 6.2.4).
	NoSetKAT, NoSetAT bool

	// AATruncate, if positive, cuts signatures of active authentication to that
	// many bytes. Australian chips were seen to answer with 231.
	AATruncate int
	// AAEmptyExtended answers INTERNAL AUTHENTICATE with extended length fields by
	// 9000 and no signature, as Chinese chips were seen to do.
	AAEmptyExtended bool
}
