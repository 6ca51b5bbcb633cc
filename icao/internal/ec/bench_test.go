package ec

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"
)

func BenchmarkField(b *testing.B) {
	for _, name := range []string{"P-192", "P-256", "brainpoolP320r1", "P-384", "brainpoolP512r1", "P-521"} {
		c := ByName(name)
		f, x, y := c.fp, c.g.x, c.g.y
		for _, op := range []struct {
			name string
			do   func()
		}{
			{"mul", func() { f.mul(&x, &x, &y) }},
			{"sqr", func() { f.sqr(&x, &x) }},
			{"add", func() { f.add(&x, &x, &y) }},
			{"sub", func() { f.sub(&x, &x, &y) }},
			{"invert", func() { f.invert(&x, &x) }},
		} {
			b.Run(name+"/"+op.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					op.do()
				}
			})
		}
	}
}

func BenchmarkCurve(b *testing.B) {
	digest := sha256.Sum256([]byte("message"))
	for _, c := range All() {
		k, err := c.GenerateKey(nil)
		if err != nil {
			b.Fatal(err)
		}
		r, s, err := k.Sign(nil, digest[:])
		if err != nil || !Verify(k.Public(), digest[:], r, s) {
			b.Fatalf("sign and verify: %v", err)
		}
		for _, op := range []struct {
			name string
			do   func()
		}{
			{"verify", func() { Verify(k.Public(), digest[:], r, s) }},
			{"sign", func() { k.Sign(nil, digest[:]) }},
			{"ecdh", func() { k.ECDH(k.Public()) }},
			{"generate", func() { c.GenerateKey(nil) }},
		} {
			b.Run(c.Name()+"/"+op.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					op.do()
				}
			})
		}
	}
}

// BenchmarkStandard measures the standard library on the same machine, for the
// ratio. Its P-256 is assembly on amd64 and arm64; P-384 is portable Go.
func BenchmarkStandard(b *testing.B) {
	digest := sha256.Sum256([]byte("message"))
	for _, c := range []struct {
		name string
		ec   elliptic.Curve
		dh   ecdh.Curve
	}{
		{"P-224", elliptic.P224(), nil},
		{"P-256", elliptic.P256(), ecdh.P256()},
		{"P-384", elliptic.P384(), ecdh.P384()},
		{"P-521", elliptic.P521(), ecdh.P521()},
	} {
		k, err := ecdsa.GenerateKey(c.ec, rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		sig, err := ecdsa.SignASN1(rand.Reader, k, digest[:])
		if err != nil || !ecdsa.VerifyASN1(&k.PublicKey, digest[:], sig) {
			b.Fatalf("sign and verify: %v", err)
		}
		ops := []struct {
			name string
			do   func()
		}{
			{"verify", func() { ecdsa.VerifyASN1(&k.PublicKey, digest[:], sig) }},
			{"sign", func() { ecdsa.SignASN1(rand.Reader, k, digest[:]) }},
		}
		if c.dh != nil {
			d, err := k.ECDH()
			if err != nil {
				b.Fatal(err)
			}
			ops = append(ops, struct {
				name string
				do   func()
			}{"ecdh", func() { d.ECDH(d.PublicKey()) }})
		}
		for _, op := range ops {
			b.Run(c.name+"/"+op.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					op.do()
				}
			})
		}
	}
}
