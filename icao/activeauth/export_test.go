package activeauth

// OpenRepresentative is for the examples that come without a modulus.
var OpenRepresentative = openRepresentative
