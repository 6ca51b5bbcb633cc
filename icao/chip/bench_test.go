package chip

import (
	"testing"

	"github.com/chamthe/chamthe/icao/chip/issuer"
)

// BenchmarkBuildVariant is what a document of a matrix costs, with shared keys.
func BenchmarkBuildVariant(b *testing.B) {
	for name, portrait := range map[string]Portrait{"drawn": {}, "given": {Image: []byte{0xFF, 0xD8, 0xFF}, Width: 1, Height: 1}} {
		b.Run(name, func(b *testing.B) {
			v := Variant{AA: &AAKey{Kind: KeyKind{Curve: "P-256"}}, Signer: issuer.ECDSAP256, Portrait: portrait}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := BuildVariant(v, Options{Keys: sharedKeys}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
