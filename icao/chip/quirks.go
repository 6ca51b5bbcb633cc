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

	// WrongKey is the answer to EXTERNAL AUTHENTICATE with a wrong key; 0: 6300.
	// Chips answer 6982, 6985, 6988 and 63Cx too.
	WrongKey apdu.Status
	// NoBAC is the answer of a chip without basic access control to GET CHALLENGE,
	// such as 6A88 or 6982; 0: a challenge, and 6D00 to what a terminal does with it.
	NoBAC apdu.Status
	// FailedPACELocks has the chip answer 6985 to GET CHALLENGE and to PACE after
	// a failed PACE, until it is reset.
	FailedPACELocks bool

	// SelectMFByID and SelectMFBare, if set, are the answers to SELECT of the
	// master file with its identifier 3F00 and without data. Where
	// Personalisation.SelectMF is set too, it comes first.
	SelectMFByID, SelectMFBare apdu.Status
	// NoShortID and NoSelectEF, if set, are the answers to READ BINARY with a
	// short identifier and to SELECT of an elementary file. Chips in the field
	// lack one or the other; without both nothing can be read.
	NoShortID, NoSelectEF apdu.Status

	// RefuseLe answers 6700 to MANAGE SECURITY ENVIRONMENT with an Le field, which
	// has no response data (ISO/IEC 7816-4:2020, 5.2, case 3).
	RefuseLe bool
	// RefuseLeSelect does so to SELECT that asks for no control information (P2
	// 0C), which has no response data either.
	RefuseLeSelect bool
	// RefuseLe00 answers 6700 to a protected READ BINARY with an Le of zero, that
	// is, as much as there is.
	RefuseLe00 bool
	// PadPastEnd reads zero bytes past the end of a file, as many as were asked
	// for, with 9000. Polish chips were seen to do so.
	PadPastEnd bool

	// Naked sends error statuses in clear under secure messaging.
	Naked Naked
}

// Naked says what becomes of secure messaging when a chip sends an error status
// in clear, where Doc 9303-11, 9.8.3, wants all answers protected.
type Naked uint8

// What becomes of the session.
const (
	NakedNo      Naked = iota // error statuses are protected
	NakedEnds                 // the keys are deleted
	NakedCounted              // the session goes on, its counter as after a protected answer
	NakedIgnored              // the session goes on, its counter as before the command
)
