package pace

import "math/big"

// MODP returns the numbers of a standardized MODP group.
func MODP(id int) (p, g, q *big.Int) {
	m := modpGroup(id)
	return m.p, m.g, m.q
}

// PseudoRandom is R(s,t).
var PseudoRandom = pseudoRandom
