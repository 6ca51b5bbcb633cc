package modp

import (
	"math/big"
	"testing"
)

// TestGroups: p and q are prime, q divides p - 1, and g generates a group of
// order q; the sizes are those of the names.
func TestGroups(t *testing.T) {
	one := big.NewInt(1)
	sizes := [][2]int{{1024, 160}, {2048, 224}, {2048, 256}}
	if len(Groups()) != len(sizes) {
		t.Fatalf("%d groups", len(Groups()))
	}
	for i, g := range Groups() {
		t.Run(g.Name, func(t *testing.T) {
			if g.P.BitLen() != sizes[i][0] || g.Q.BitLen() != sizes[i][1] {
				t.Errorf("%d and %d bits", g.P.BitLen(), g.Q.BitLen())
			}
			if !g.P.ProbablyPrime(20) || !g.Q.ProbablyPrime(20) {
				t.Error("not prime")
			}
			if rest := new(big.Int).Mod(new(big.Int).Sub(g.P, one), g.Q); rest.Sign() != 0 {
				t.Error("q does not divide p - 1")
			}
			if g.G.Cmp(one) <= 0 || g.G.Cmp(g.P) >= 0 || new(big.Int).Exp(g.G, g.Q, g.P).Cmp(one) != 0 {
				t.Error("g does not generate a group of order q")
			}
		})
	}
}
