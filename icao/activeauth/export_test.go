package activeauth

// OpenRepresentative is for the examples that come without a modulus.
var OpenRepresentative = openRepresentative

// VerifyRSA is for those that are shorter than any key that is accepted.
var VerifyRSA = verifyRSA
