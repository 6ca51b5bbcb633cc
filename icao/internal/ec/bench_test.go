package ec
import "testing"
func BenchmarkField(b *testing.B) {
	for _, n := range []string{"P-192","P-256","brainpoolP320r1","P-384","brainpoolP512r1","P-521"} {
		c := ByName(n)
		f := c.fp
		x, y := c.g.x, c.g.y
		b.Run(n+"/mul", func(b *testing.B) { for b.Loop() { f.mul(&x, &x, &y) } })
		b.Run(n+"/sqr", func(b *testing.B) { for b.Loop() { f.sqr(&x, &x) } })
		b.Run(n+"/add", func(b *testing.B) { for b.Loop() { f.add(&x, &x, &y) } })
		b.Run(n+"/sub", func(b *testing.B) { for b.Loop() { f.sub(&x, &x, &y) } })
	}
}
